"""A manifest is a CutSet of lhotse, opens by its index, and gives back what went in."""

from __future__ import annotations

import gzip
import json
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from aoide.config import UserError
from aoide.data.clips import Clip, Limits, Note, check
from aoide.data.manifest import CUTS, INDEX, Manifest, stable_hash, writing
from tests.data.conftest import save, voice


def some(folder: Path, count: int) -> list[Clip]:
    """Clips that were never recorded."""
    return [
        Clip(
            id=f"clip-{i:04}",
            audio=folder / "audio" / f"{i}.flac",
            text=f"Número {i}",
            speaker="ab"[i % 2],
            language="en",
            phonemes="wˈʌn" if i % 3 else None,
            durations=(1, 2, i) if i % 3 else None,
            frame_rate=80.0 if i % 3 else None,
            arrays={"f0": folder / "f0" / f"{i}.npy"} if i % 3 else {},
            samples=24000 + i,
            sample_rate=24000,
            channels=1 + (i == 5),
            content=f"{i:032x}",
        )
        for i in range(count)
    ]


@pytest.mark.parametrize("count", [1, 63, 64, 65, 200])
def test_what_goes_in_comes_out(tmp_path: Path, count: int) -> None:
    clips = some(tmp_path, count)
    with writing(tmp_path) as writer:
        for clip in clips:
            writer.add(clip)
    manifest = Manifest(tmp_path)
    assert len(manifest) == count and [manifest[i] for i in range(count)] == clips
    assert np.allclose(manifest.seconds, [clip.seconds for clip in clips])
    assert [manifest.speakers[s] for s in manifest.speaker] == [clip.speaker for clip in clips]
    assert manifest.hashes[0] == stable_hash("clip-0000")
    with pytest.raises(IndexError):
        manifest[count]


def test_what_singing_needs_comes_out(tmp_path: Path) -> None:
    sung = replace(
        some(tmp_path, 1)[0],
        text=None,
        phonemes="n i SP",
        phoneme_set="opencpop",
        phoneme_seconds=(0.1, 0.5, 0.4),
        notes=(Note(60, 0.1, 0.6, "ni"), Note(62.5, 0.6, 0.9, "", True)),
        gender="female",
        style="singing",
        technique="breathy",
        song="2001",
        more={"split": "test", "captions": ["a"]},
    )
    captioned = replace(some(tmp_path, 1)[0], id="b", text="A dog barks.", caption=True, notes=())
    with writing(tmp_path) as writer:
        writer.add(sung)
        writer.add(captioned)
    manifest = Manifest(tmp_path)
    assert [manifest[0], manifest[1]] == [sung, captioned]
    said = json.loads(gzip.decompress((tmp_path / CUTS).read_bytes()).splitlines()[0])["supervisions"][0]
    assert said["gender"] == "female" and said["custom"]["notes"] == [
        {"midi": 60, "start": 0.1, "end": 0.6, "lyric": "ni"},
        {"midi": 62.5, "start": 0.6, "end": 0.9, "slur": True},
    ]


def test_the_hash_never_changes() -> None:
    """It decides who is held out, in every version and on every machine."""
    assert stable_hash("clip-0000") == 0x6A0D7554163535CD


def test_without_an_index_it_is_read_whole(tmp_path: Path) -> None:
    clips = some(tmp_path, 70)
    with writing(tmp_path) as writer:
        for clip in clips:
            writer.add(clip)
    with_index = Manifest(tmp_path)
    (tmp_path / INDEX).unlink()
    without = Manifest(tmp_path)
    assert [without[i] for i in range(70)] == clips
    assert np.array_equal(without.hashes, with_index.hashes) and without.digest == with_index.digest


def test_an_index_of_other_cuts_is_not_believed(tmp_path: Path) -> None:
    with writing(tmp_path) as writer:
        writer.add(some(tmp_path, 1)[0])
    lines = gzip.decompress((tmp_path / CUTS).read_bytes())
    (tmp_path / CUTS).write_bytes(gzip.compress(lines + lines.replace(b"clip-0000", b"clip-0001")))
    assert [Manifest(tmp_path)[i].id for i in range(2)] == ["clip-0000", "clip-0001"]


def test_the_folder_can_be_moved(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    inside, outside = some(tmp_path / "old", 2)
    outside = replace(outside, audio=Path("/elsewhere/x.wav"), arrays={})
    with writing(tmp_path / "old") as writer:
        writer.add(inside)
        writer.add(outside)
    (tmp_path / "old").rename(tmp_path / "new")
    manifest = Manifest(tmp_path / "new")
    assert manifest[0].audio == tmp_path / "new" / "audio" / "0.flac"
    assert manifest[1].audio == Path("/elsewhere/x.wav")


def test_a_failure_keeps_the_old_manifest(tmp_path: Path) -> None:
    for attempt in range(2):
        try:
            with writing(tmp_path) as writer:
                writer.add(replace(some(tmp_path, 1)[0], id=f"attempt-{attempt}"))
                if attempt == 1:
                    raise RuntimeError("half-way")
        except RuntimeError:
            pass
    assert Manifest(tmp_path)[0].id == "attempt-0"
    assert sorted(p.name for p in tmp_path.iterdir()) == [INDEX, CUTS]


def test_the_same_clips_give_the_same_bytes(tmp_path: Path) -> None:
    digests = set()
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        with writing(tmp_path / name) as writer:
            for clip in some(tmp_path / name, 5):
                writer.add(clip)
        digests.add(Manifest(tmp_path / name).digest)
    assert len(digests) == 1


def test_lhotse_reads_it_and_its_sound(tmp_path: Path) -> None:
    lhotse = pytest.importorskip("lhotse")
    save(tmp_path / "audio" / "x.wav", voice(1.5))
    save(tmp_path / "audio" / "y.flac", np.stack([voice(1.0, seed=1), voice(1.0, seed=2)], axis=1))
    checked = [
        check(Clip(id=n, audio=tmp_path / "audio" / n, text="Words.", speaker="anna", language="en"), Limits())
        for n in ("x.wav", "y.flac")
    ]
    with writing(tmp_path) as writer:
        for clip, _ in checked:
            writer.add(replace(clip, phonemes="wˈɜɹdz", durations=(1, 2), frame_rate=80.0, notes=(Note(60, 0, 1),)))
    cuts = list(lhotse.CutSet.from_file(tmp_path / CUTS).with_recording_path_prefix(tmp_path))
    assert [type(cut).__name__ for cut in cuts] == ["MonoCut", "MultiCut"]
    for cut, (clip, _) in zip(cuts, checked, strict=True):
        lhotse.qa.validate(cut)
        audio = cut.load_audio()
        assert audio.shape == (clip.channels, clip.samples)
        [said] = cut.supervisions
        assert (said.text, said.speaker, said.language, said.phonemes) == ("Words.", "anna", "en", "wˈɜɹdz")
        assert cut.content == clip.content and said.notes == [{"midi": 60, "start": 0, "end": 1}]


@pytest.mark.parametrize("name", ["theirs.jsonl", "theirs.jsonl.gz"])
def test_a_manifest_of_lhotse_is_read(tmp_path: Path, name: str) -> None:
    lhotse = pytest.importorskip("lhotse")
    save(tmp_path / "x.wav", voice(3.0))
    recording = lhotse.Recording.from_file(tmp_path / "x.wav", recording_id="x")
    words = [lhotse.SupervisionSegment("s", "x", 0.5, 1.0, text="Two words.", speaker="anna", language="en")]
    cut = recording.to_cut()
    cut.supervisions = words
    lhotse.CutSet.from_cuts([cut, cut.truncate(offset=0.5, duration=1.0).with_id("part")]).to_file(tmp_path / name)
    manifest = Manifest(tmp_path / name)
    whole, part = manifest[0], manifest[1]
    assert (whole.text, whole.speaker, whole.start, whole.samples) == ("Two words.", "anna", 0, 48000)
    assert (part.id, part.start, part.samples) == ("part", 8000, 16000)


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"{}\n", "line 1: not a cut"), (b"not json\n", "line 1: not a cut"), (b'{"id": "a"}\n[1]\n', "line 1")],
)
def test_foreign_files_are_refused(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "x.jsonl").write_bytes(content)
    with pytest.raises(UserError, match=words):
        Manifest(tmp_path / "x.jsonl")


def test_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="aoide prepare CORPUS -o"):
        Manifest(tmp_path)
    with pytest.raises(UserError, match="no manifest here"):
        Manifest(tmp_path / "data" / "x")
    (tmp_path / CUTS).write_bytes(gzip.compress(b"{}\n")[:-9])
    with pytest.raises(UserError, match="broken"):
        Manifest(tmp_path)


@pytest.mark.slow
def test_thirty_thousand_clips_open_at_once(tmp_path: Path) -> None:
    clip = some(tmp_path, 2)[1]
    with writing(tmp_path) as writer:
        for i in range(30_000):
            writer.add(replace(clip, id=f"clip-{i:06}"))
    begun = time.perf_counter()
    manifest = Manifest(tmp_path)
    assert json.loads(json.dumps(manifest[27_777].id)) == "clip-027777"
    assert time.perf_counter() - begun < 2.0
