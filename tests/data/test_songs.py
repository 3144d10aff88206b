"""Songs with stems and lyrics: the corpora `songs` and `toy_songs`, and the batches made of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from aoide.audio.mel_config import MelConfig  # noqa: E402  (after the skip)
from aoide.audio.sound import Sound  # noqa: E402
from aoide.audio.spectrum import log_mel  # noqa: E402
from aoide.config import UserError  # noqa: E402
from aoide.data import clips, manifest  # noqa: E402
from aoide.data import songs as data  # noqa: E402
from aoide.data.corpora import songs, toy_songs  # noqa: E402
from aoide.score.song_script import SongScript  # noqa: E402

MEL = MelConfig(sample_rate=8_000, n_fft=1024, hop=400, win=1024, n_mels=20, fmax=4_000, floor=1e-2)
LIMITS = clips.Limits(max_seconds=10)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("songs")
    toy_songs.make(folder, lambda line: None, songs=3)
    (folder / "manifest").mkdir()
    with manifest.writing(folder / "manifest") as writer:
        for clip in toy_songs.clips(folder, songs=3):
            assert isinstance(clip, clips.Clip)
            checked = clips.check(clip, LIMITS)
            assert isinstance(checked, tuple), checked
            writer.add(checked[0])
    return folder


def read(folder: Path, validation: int = 1, **told: object) -> data.SongsData:
    config = data.Config(
        manifest=folder / "manifest", batch_seconds=20, max_seconds=10, validation=validation, workers=0
    )
    needs = ("latents", "lyric", "style_vector")
    asked = {"frame_rate": 20.0, "sample_rate": 8_000, "stem_mel": MEL, "stems": 2, "lyric_rate": 2, "style_dim": 8}
    return data.SongsData(config, needs, **{**asked, **told})  # type: ignore[arg-type]


def test_toy_songs_are_what_they_say_and_the_same_each_time(corpus: Path) -> None:
    song = toy_songs.plan(1)
    assert song == toy_songs.plan(1) and song != toy_songs.plan(2)
    voice = toy_songs.voice(song)
    sung = np.zeros(len(voice), bool)
    for _, start, end in song.words:
        sung[round(start * 8_000) : round(end * 8_000)] = True
    assert not voice[~sung].any() and np.sqrt(np.mean(voice[sung] ** 2)) > 0.1
    script = SongScript.load(corpus / "song-00001.lrc")
    found = [word for line in script.lines for word in line.words]
    assert [word.text for word in found] == [word for word, _, _ in song.words]
    times = [(word.start, word.end) for word in found]
    np.testing.assert_allclose(times, [(start, end) for _, start, end in song.words], atol=1e-6)
    assert (corpus / "song-00001.txt").read_text() == song.style == f"{song.key}, {song.tempo} bpm"
    mix = Sound.load(corpus / "song-00001.flac").samples
    np.testing.assert_allclose(mix, voice + toy_songs.accompaniment(song), atol=1e-4)


def test_batches_have_stems_lyrics_and_style(corpus: Path) -> None:
    batch = next(read(corpus).validation())
    number = int(batch["ids"][0].removeprefix("song-"))
    song = toy_songs.plan(number)
    assert batch["latents"].shape == (1, 120, 40) and batch["lyric"].shape == (1, 240)
    want = log_mel(toy_songs.voice(song), MEL)
    loud = want > 0  # what is quiet is changed by the 16 bits of the file
    np.testing.assert_allclose(batch["latents"][0, :, :20].numpy()[loud], want[loud], atol=0.05)
    sung = batch["lyric"][0] != 0
    for _, start, end in song.words:
        assert sung[int(start * 40) : int(end * 40)].all()
    assert batch["style_vector"].shape == (1, 8) and batch["style_vector"].any()
    again = next(read(corpus).validation())
    assert torch.equal(batch["latents"], again["latents"]), "from the cache, too"


def test_lyrics_without_places_come_in_a_row(corpus: Path) -> None:
    batch = next(read(corpus, lyric_rate=None).validation())
    assert batch["lyric"].shape == batch["lyric_mask"].shape and (batch["lyric"] > 0).all()


def test_what_is_missing_is_told(corpus: Path, tmp_path: Path) -> None:
    Sound(np.full(8_000, 0.1, np.float32), 8_000).save(tmp_path / "a.wav")
    Sound(np.full(8_000, 0.1, np.float32), 8_000).save(tmp_path / "b.wav")
    (tmp_path / "b.txt").write_text("folk")
    (tmp_path / "b.lrc").write_text("[00:05.00]late\n[00:01.00]early\n[00:00.00]")
    (tmp_path / "c.wav").write_bytes((tmp_path / "a.wav").read_bytes())
    (tmp_path / "c.txt").write_text("folk")
    found = {item.id: item for item in songs.clips(tmp_path)}
    assert isinstance(found["a"], clips.Refused) and "no style" in found["a"].reason
    assert isinstance(found["b"], clips.Refused) and "its words cannot be read" in found["b"].reason
    assert isinstance(found["c"], clips.Clip) and found["c"].more == {}
    (tmp_path / "manifest").mkdir()
    with manifest.writing(tmp_path / "manifest") as writer:
        checked = clips.check(found["c"], LIMITS)
        assert isinstance(checked, tuple)
        writer.add(checked[0])
    with pytest.raises(UserError, match=r"song c has no stem c\.voice\.wav, and this model learns stems"):
        next(read(tmp_path, validation=0).batches(0))
    with pytest.raises(UserError, match="expected songs and their styles"):
        list(songs.clips(corpus / "manifest"))
    with pytest.raises(UserError, match="lyrics belong to whole songs"):
        data.SongsData(data.Config(manifest=corpus / "manifest", segment_seconds=2.0), ("lyric",))
