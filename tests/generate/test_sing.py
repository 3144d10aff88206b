"""Singing without torch: pitch by rule, phrases, and the two singers of the package."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import aoide
from aoide.audio import warped
from aoide.config import UserError
from aoide.generate import intonation, sing
from aoide.generate.singer import Singer
from aoide.plots import piano_roll, png
from aoide.score import Curve, Note, Phoneme, Score, Tempo

SONGS = Path(__file__).parents[2] / "examples" / "songs"
RATE = 100.0


def melody(*notes: tuple[int, int, str], language: str = "en") -> Score:
    """Notes of (pitch or 0 for a rest, eighths, lyric) at 120."""
    found, tick = [], 0
    for pitch, eighths, lyric in notes:
        if pitch:
            found.append(Note(start=tick, length=240 * eighths, pitch=pitch, lyric=lyric))
        tick += 240 * eighths
    return Score(notes=tuple(found), tempos=(Tempo(tick=0, bpm=120.0),), language=language)


LINE = melody((60, 4, "la"), (64, 4, "la"), (0, 4, ""), (62, 8, "la"))


def midi(f0: np.ndarray) -> np.ndarray:
    return 69 + 12 * np.log2(f0 / 440)


@pytest.fixture(scope="module", params=["en-heart-song", "ja-f001-song"])
def singer(request: pytest.FixtureRequest) -> Singer:
    return aoide.load(request.param)


# --------------------------------------------------------------------------------------------------------------- pitch


def test_the_rule_stays_on_the_notes_and_moves_between_them() -> None:
    times = (np.arange(500) + 0.5) / RATE
    pitch = midi(intonation.f0(LINE, times))
    for start, end, wanted in ((0.2, 0.9, 60), (1.2, 1.9, 64), (3.2, 4.9, 62)):
        middle = pitch[round(start * RATE) : round(end * RATE)]
        assert abs(np.median(middle) - wanted) < 0.05 and np.abs(middle - wanted).max() < 0.5
    crossing = np.flatnonzero(pitch[70:130] > 62)[0] + 70
    assert abs(crossing / RATE - 1.0) <= 0.02, "the middle of the interval is passed where the note begins"
    assert np.abs(np.diff(pitch)).max() < 1.0, "no jumps"
    long = pitch[370:480] - 62
    assert 0.15 < long.max() < 0.45 and np.sum((long[1:] > 0) != (long[:-1] > 0)) >= 8, "vibrato on the long note"


def test_a_drawn_curve_counts_and_the_rule_fills_the_rest() -> None:
    times = (np.arange(500) + 0.5) / RATE
    drawn = replace(LINE, curves=(Curve(name="f0", start=0.0, step=0.01, values=np.full(80, 300.0)),))
    f0 = intonation.f0(drawn, times)
    assert np.allclose(f0[:79], 300.0)
    assert np.allclose(f0[85:], intonation.f0(LINE, times)[85:])


def test_the_seed_moves_only_little_things() -> None:
    times = (np.arange(500) + 0.5) / RATE
    first, again, other = (midi(intonation.f0(LINE, times, seed)) for seed in (0, 0, 1))
    assert np.array_equal(first, again) and not np.array_equal(first, other)
    assert np.abs(first - other)[:200].max() < 0.3


# ------------------------------------------------------------------------------------------------------------- phrases


class Symbols:
    symbols = {"l": 1, "ɑ": 2, ",": 3, " ": 4, "ˈ": 5}
    rest, between, end, stress, stressed = ",", " ", ("l", "ɑ"), "ˈ", ("ɑ",)


def said(*times: tuple[str, float, float, int]) -> list[Phoneme]:
    return [Phoneme(symbol=symbol, start=start, end=end, note=note) for symbol, start, end, note in times]


def test_phrases_part_at_rests_and_fill_their_frames() -> None:
    phonemes = said(
        ("l", 0.05, 0.1, 0), ("ɑ", 0.1, 1.0, 0), ("ɑ", 1.05, 2.0, 1), ("l", 2.9, 3.0, 2), ("ɑ", 3.0, 5.0, 2)
    )
    first, second = sing.phrases(LINE, phonemes, RATE, 500, Symbols())
    assert (first.start, first.end, second.start, second.end) == (0, 210, 280, 500)
    assert first.tokens.tolist() == [0, 1, 5, 2, 3, 5, 2, 1, 2, 0]
    assert first.durations.tolist() == [5, 5, 0, 90, 5, 0, 95, 0, 0, 10]
    assert second.durations.sum() == second.end - second.start


def test_parts_of_a_long_phrase_are_the_phrase() -> None:
    tokens = np.arange(100) % 7
    phrase = sing.Phrase(50, 50 + 300, tokens, np.full(100, 3))
    at = phrase.start
    for part in phrase.parts(40):
        assert len(part.tokens) <= 40 and part.start + part.before == at
        assert part.durations.sum() == part.end - part.start
        at = part.end - part.behind
    assert at == phrase.end


# ------------------------------------------------------------------------------------------------------------- singers


def loudest(samples: np.ndarray, rate: int, start: float, end: float) -> float:
    """F0 by autocorrelation, in MIDI numbers."""
    own = samples[round(start * rate) : round(end * rate)].astype(np.float64)
    spectrum = np.fft.rfft(own * np.hanning(len(own)), 8 * len(own))
    line = np.fft.irfft(np.abs(spectrum) ** 2)[: len(own) // 2]
    least = rate // 700
    lag = least + int(np.argmax(line[least : rate // 120]))
    a, b, c = line[lag - 1 : lag + 2]
    return float(midi(np.array(rate / (lag + 0.5 * (a - c) / (a - 2 * b + c)))))


def test_singers_are_in_tune(singer: Singer) -> None:
    score = replace(LINE, language=singer.description.language)
    score = replace(score, notes=tuple(replace(note, lyric="") for note in score.notes))
    performance = singer.perform(score)
    sound = performance.sound
    assert len(sound.samples) == round(5.0 * singer.sample_rate) and 0.02 < np.abs(sound.samples).max() <= 1.0
    for start, end, wanted in ((0.3, 0.7, 60), (1.3, 1.7, 64), (3.25, 3.6, 62)):
        assert abs(loudest(sound.samples, singer.sample_rate, start, end) - wanted) < 0.3
    rest = sound.samples[round(2.2 * singer.sample_rate) : round(2.7 * singer.sample_rate)]
    assert np.abs(rest).max() < 0.01
    assert [str(f) for f in performance.findings] == ['the score has no lyrics: every note is sung on "la"']


def test_streamed_is_whole_and_the_seed_decides(singer: Singer) -> None:
    score = replace(LINE, language=singer.description.language, notes=tuple(replace(n, lyric="") for n in LINE.notes))
    whole = singer.sing(score, seed=3)
    pieces = [sound.samples for sound in singer.stream(score, seed=3)]
    assert len(pieces) > 2 and np.array_equal(np.concatenate(pieces), whole.samples)
    assert not np.array_equal(singer.sing(score, seed=4).samples, whole.samples)
    assert "synthetic: yes" in singer.tags(3)["comment"] and "seed: 3" in whole.tags["comment"]


def test_every_sound_of_the_language_can_be_sung(singer: Singer) -> None:
    from aoide.text import lyrics

    known = set(singer.description.symbols)
    assert set(lyrics.symbols(singer.description.language)) - known <= {"AP"}
    assert set(singer.description.unvoiced) <= known


@pytest.mark.parametrize(("name", "song"), [("en-heart-song", "twinkle"), ("ja-f001-song", "sakura")])
def test_a_song_in_the_time_it_is_given(name: str, song: str) -> None:
    import time

    singer, score = aoide.load(name), Score.load(SONGS / f"{song}.musicxml")
    started = time.process_time()
    sound = singer.sing(score)
    assert time.process_time() - started <= 0.3 * sound.seconds
    assert abs(sound.seconds - score.end) < 0.2


def test_what_was_sung_can_be_written_and_sung_again(tmp_path: Path) -> None:
    singer = aoide.load("en-heart-song")
    performance = singer.perform(melody((60, 4, "sing"), (62, 4, "song")))
    performance.score.save(tmp_path / "song.ds")
    again = singer.perform(Score.load(tmp_path / "song.ds"))
    voiced = (performance.f0 > 0) & (again.f0[: len(performance.f0)] > 0)
    assert voiced.mean() > 0.5
    apart = np.abs(midi(performance.f0[voiced]) - midi(again.f0[: len(voiced)][voiced]))
    assert np.median(apart) < 0.03 and apart.max() < 0.3, "half a frame, in which a glide moves"


@pytest.mark.parametrize(
    ("score", "words"),
    [
        (Score(), "nothing to sing"),
        (melody((60, 2, "さ"), language="ja"), "Japanese"),
        (replace(LINE, phonemes=(Phoneme(symbol="qq", start=0.0, end=1.0),)), "no phoneme 'qq'"),
    ],
)
def test_what_cannot_be_sung_is_said_in_a_line(score: Score, words: str) -> None:
    with pytest.raises(UserError, match=words) as error:
        aoide.load("en-heart-song").sing(score)
    assert "\n" not in str(error.value)


def test_range_is_told_and_what_would_fit() -> None:
    singer = aoide.load("en-heart-song")
    high = LINE.transpose(20)
    assert any("above the voice's range" in str(f) for f in singer.perform(high).findings)
    low = singer.description.low
    assert singer.fitting(high) == singer.description.high - 84 and singer.fitting(LINE) == 0
    assert singer.fitting(LINE.transpose(low - 62)) == 2


# ------------------------------------------------------------------------------------------------------ what lies below


def test_points_on_the_warped_scale_give_magnitude_and_minimum_phase() -> None:
    """A filter with two poles, whose log spectrum is known, from 80 points of it."""
    omega = np.linspace(0, np.pi, 481)
    magnitude, phase = warped.basis(80, 481)

    def response(w: np.ndarray) -> np.ndarray:
        z = np.exp(-1j * w)
        return 1 / (1 - 0.9 * z + 0.5 * z * z)

    points = np.log(np.abs(response(np.pi * warped.grid(80))))
    assert np.abs(points @ magnitude - np.log(np.abs(response(omega)))).max() < 1e-5
    assert np.abs(points @ phase - np.angle(response(omega))).max() < 1e-5
    assert np.allclose(warped.warp(warped.warp(omega), -warped.ALPHA), omega)


def test_piano_roll_draws_notes_and_the_line() -> None:
    notes = [(0.0, 1.0, 60.0), (1.0, 2.0, 64.0)]
    f0 = np.repeat([440 * 2 ** (-9 / 12), 0.0, 440 * 2 ** (-5 / 12)], [80, 20, 100])
    picture = piano_roll.draw(notes, f0, RATE)
    assert picture.startswith(png.SIGNATURE) and len(picture) < 5000
    assert picture != piano_roll.draw(notes, f0 * 2 ** (1 / 12), RATE), "the line moves with F0"
    with pytest.raises(ValueError, match="without notes"):
        piano_roll.draw([], f0, RATE)
