"""Trained singers: scores through script, variance model and acoustic model to sound, and back to a script."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from aoide.audio.mel import MelConfig  # noqa: E402  (after the skip)
from aoide.config import UserError  # noqa: E402
from aoide.data import sung  # noqa: E402
from aoide.generate import script  # noqa: E402
from aoide.generate.torch_singer import Table, TorchSinger, matching, mixed  # noqa: E402
from aoide.models.svs import diffsinger, diffsinger_moon, diffsinger_variance, mlpsinger, visinger, xiaoicesing  # noqa: E402
from aoide.score import Curve, Note, Score, Tempo  # noqa: E402
from aoide.text import lyrics  # noqa: E402

TABLE = Table(("AP", "SP", "a", "k", "o", "r", "s", "u"), ("ja",), ("anna", "ben", "cleo"), key_shift=5.0)
VARIANCE = Table(("SP", "a", "ja/k", "o", "r", "s", "u"), ("ja",), ("anna",))


class Vocoder:
    """A sound that tells of the mel and of F0."""

    def __init__(self, mel: MelConfig) -> None:
        self.mel, self.sample_rate = mel, mel.sample_rate

    def vocode(self, mel: np.ndarray, f0: np.ndarray | None = None) -> np.ndarray:
        assert f0 is not None and len(f0) == len(mel) and np.isfinite(mel).all()
        return np.repeat(0.01 * np.tanh(mel.mean(axis=1)) + 1e-5 * f0, self.mel.hop).astype(np.float32)


def song() -> Score:
    """ka-ra (held over two notes), a long rest, su, a breath of its own, o."""
    notes = [
        (0, 480, 60, "か"),
        (480, 240, 62, "ら"),
        (720, 240, 64, "ー"),
        (2400, 480, 65, "す"),
        (3120, 480, 67, "お"),
    ]
    found = [Note(start=a, length=b, pitch=p, lyric=lyric, slur=lyric == "ー") for a, b, p, lyric in notes]
    found.insert(4, Note(start=2880, length=240, pitch=None, lyric="AP"))
    return Score(notes=tuple(found), tempos=(Tempo(tick=0, bpm=120.0),), language="ja", title="A song")


def singer(module: Any = diffsinger, variance: bool = True, **settings: Any) -> TorchSinger:
    torch.manual_seed(0)
    config = replace(module.TOY, symbols=len(TABLE.symbols) + 1, **settings)
    model = module.Model(config)
    filler = None
    if variance:
        of = replace(diffsinger_variance.TOY, symbols=len(VARIANCE.symbols) + 1, sample_rate=8_000, hop=20)
        filler = (diffsinger_variance.Model(of), VARIANCE)
    vocoder = Vocoder(config.mel) if hasattr(config, "mel") else None
    return TorchSinger(model, TABLE, variance=filler, vocoder=vocoder, name="toy")


def test_a_written_script_sings_the_same(tmp_path: Path) -> None:
    voice = singer()
    first = voice.perform(song(), seed=3, steps=2)
    assert abs(first.sound.seconds - song().end) < 0.3 and np.abs(first.sound.samples).max() > 0
    assert {curve.name for curve in first.score.curves} == {"f0", "energy", "tension"}
    assert len(first.score.segments) == 2, "a long rest parts two phrases"
    first.score.save(tmp_path / "song.ds")
    again = voice.perform(Score.load(tmp_path / "song.ds"), seed=3, steps=2)
    assert len(again.sound.samples) == len(first.sound.samples)
    assert np.abs(again.sound.samples - first.sound.samples).max() < 1e-5
    assert not np.allclose(voice.perform(song(), seed=4, steps=2).sound.samples, first.sound.samples)


def test_what_is_drawn_counts_and_the_rest_is_filled_in(tmp_path: Path) -> None:
    voice = singer()
    first = voice.perform(song(), steps=1).score
    edited = [replace(c, values=np.full(len(c.values), 300.0)) if c.name == "f0" else c for c in first.curves]
    edited = [c for c in edited if c.name != "tension"]
    again = voice.perform(replace(first, curves=tuple(edited)), steps=1)
    assert {round(x) for x in np.unique(again.f0)} == {0, 300}
    assert [c.name for c in again.score.curves].count("tension") == 2
    energy = [[c.values for c in s.curves if c.name == "energy"] for s in (first, again.score)]
    assert all(np.allclose(a, b) for a, b in zip(*energy, strict=True))


def test_the_sampler_of_a_flow_is_none_of_a_diffusion() -> None:
    voice = singer(method="diffusion", first=None)
    assert np.isfinite(voice.sing(song(), steps=3, sampler="dpm_solver", speaker="cleo").samples).all()


def test_durations_of_words_are_those_of_their_notes() -> None:
    performance = singer().perform(song(), steps=1)
    vowels = {p.symbol: p for p in performance.score.phonemes}
    assert abs(vowels["o"].end - song().end) < 0.05
    symbols = [p.symbol for p in performance.score.phonemes]
    assert symbols.count("AP") == 1 and [s for s in symbols if s not in ("SP", "AP")] == list("karasuo")
    ends = [p.end for p in performance.score.phonemes]
    assert ends == sorted(ends)


def test_streamed_is_whole() -> None:
    voice = singer(variance=False, curves=("key_shift", "speed"))
    whole = voice.sing(song(), seed=1, steps=1, speaker="ben")
    pieces = [sound.samples for sound in voice.stream(song(), seed=1, steps=1, speaker="ben")]
    assert len(pieces) > 2 and np.array_equal(np.concatenate(pieces), whole.samples)
    assert not np.allclose(voice.sing(song(), seed=1, steps=1).samples, whole.samples), "another singer"


def test_gender_and_key_are_followed() -> None:
    voice = singer(variance=False, curves=("key_shift",))
    phrase = script.phrases(lyrics.planned(song()), timed=False)[0].drawn("gender", np.full(9, 0.4), 10.0)
    assert np.allclose(voice._curve(phrase, "key_shift", 5), 2.0)
    high = voice.perform(song().transpose(12), steps=1).f0
    low = voice.perform(song(), steps=1, transpose=0).f0
    assert np.allclose(high[high > 0].mean() / low[low > 0].mean(), 2.0, rtol=0.01)


@pytest.mark.parametrize("module", [mlpsinger, diffsinger_moon, visinger, xiaoicesing])
def test_other_models_sing(module: Any) -> None:
    performance = singer(module, variance=False).perform(song())
    assert abs(performance.sound.seconds - song().end) < 0.3 and np.isfinite(performance.sound.samples).all()
    assert np.abs(performance.sound.samples).max() > 0
    if module is not diffsinger_moon:
        with pytest.raises(UserError, match="has no steps"):
            singer(module, variance=False).perform(song(), steps=3)


@pytest.mark.parametrize(
    ("score", "settings", "words"),
    [
        (song(), {"speaker": "ana"}, "did you mean anna"),
        (song(), {"steps": 0}, "1 or more"),
        (song(), {"sampler": "eular"}, "did you mean euler"),
        (Score(), {}, "nothing to sing"),
        (replace(song(), notes=(Note(start=0, length=480, pitch=60, lyric="み"),)), {}, "no phoneme 'm'"),
        (replace(song(), language="en", notes=(Note(start=0, length=9, pitch=60, lyric="me"),)), {}, "are English"),
    ],
)
def test_what_cannot_be_sung_is_said_in_a_line(score: Score, settings: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError, match=words) as error:
        singer().sing(score, **settings)
    assert "\n" not in str(error.value)


def test_curves_that_nobody_drew_and_vocoders_of_another_mel_are_told() -> None:
    with pytest.raises(UserError, match="follows energy, which the score does not draw"):
        singer(variance=False).sing(song())
    with pytest.raises(UserError, match="no vocoder of the package reads"):
        matching(MelConfig(n_mels=13), None)
    with pytest.raises(UserError, match="but the vocoder reads"):
        matching(MelConfig(), Vocoder(MelConfig(n_mels=13)))
    assert matching(MelConfig(), None).name == "universal-24k"


def test_pieces_are_laid_over_silence() -> None:
    ones = np.ones(4, np.float32)
    for total in (5, 9, 12):
        made = np.concatenate(list(mixed([(1, ones), (3, ones), (9, ones[:2])], total)))
        want = np.array([0, 1, 1, 2, 2, 1, 1, 0, 0, 1, 1, 0], np.float32)
        assert np.array_equal(made, want[: max(total, 9)] if total < 11 else want), total


def test_a_phrase_knows_its_own_curves_and_those_of_the_song() -> None:
    planned = lyrics.planned(song())
    first, second = script.phrases(planned, timed=False)
    own = Curve(name="tension", start=second.offset, step=0.1, values=np.arange(5.0))
    over = Curve(name="f0", start=0.0, step=0.01, values=np.full(1000, 220.0))
    first, second = script.phrases(replace(planned, curves=(own, over)), timed=False)
    assert set(first.lines) == {"f0"} and set(second.lines) == {"f0", "tension"}
    assert np.allclose(second.lines["tension"].on(6, 20.0), [0, 0.5, 1, 1.5, 2, 2.5])
    assert np.allclose(second.lines["f0"].values, 220.0)


def test_words_and_notes_in_frames() -> None:
    notes = sung.Row(
        np.array([60, 0, 64], np.float32), np.array([False, True, False]), np.array([0.2, 0.1, 0.3]),
        np.array([False, False, False]), np.zeros(3, np.int64),
    )  # fmt: skip
    assert sung.filled(notes).pitches.tolist() == [60, 60, 64]
    assert sung.words(list("ka") + ["SP"] + list("sa"), [0.02, 0.18, 0.1, 0.05, 0.25], notes).tolist() == [
        1,
        1,
        2,
        3,
        3,
    ]
    assert sung.frames_of([0.104, 0.104, 0.104], 100.0, 33).tolist() == [10, 11, 12]
    assert sung.counted([2, 0, 1]).tolist() == [1, 1, 3]
    owners, lasting = sung.split_at_slurs(np.array([3, 7]), np.array([2, 5, 3]), np.array([False, True, True]))
    assert owners.tolist() == [0, 0, 1, 1] and lasting.tolist() == [2, 1, 4, 3]


def test_a_singer_tells_by_itself_what_the_score_leaves_open() -> None:
    voice = singer(visinger, variance=False)  # an untaught one sings the notes as they are written
    sung = voice.perform(song())
    vowels = [phoneme.start for phoneme in sung.score.phonemes if phoneme.symbol in "aou"]
    assert vowels[1:] == pytest.approx([0.5, 2.5, 3.25]), "vowels begin with their notes, consonants before them"
    for seconds, note in ((0.4, 60), (0.7, 62), (0.9, 64), (2.8, 65), (3.5, 67)):
        assert sung.f0[round(seconds * voice.frame_rate)] == pytest.approx(440 * 2 ** ((note - 69) / 12), rel=1e-4)
    again = voice.perform(sung.score)
    assert np.array_equal(again.f0, sung.f0), "what was told stands in the score, and is sung as it is"
