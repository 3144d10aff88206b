"""Notes and vibrato of synthetic voices of which every note is known."""

import math

import numpy as np
import pytest

from aoide import metrics
from aoide.config import UserError
from aoide.metrics import notes, vibrato

PERIOD = 0.01
SCORE = np.array([[0.2, 0.9, 60], [0.9, 1.4, 62], [1.4, 2.2, 69], [2.3, 3.0, 69], [3.2, 4.0, 57]])


def contour(
    score: np.ndarray, cents: float = 0.0, shift: float = 0.0, rate: float = 5.5, extent: float = 0.0, seed: int = 0
) -> np.ndarray:
    """F0 of a score every 10 ms, with vibrato and a little noise."""
    time = np.arange(round((score[-1, 1] + 0.5) / PERIOD)) * PERIOD
    hz = np.zeros(len(time))
    jitter = np.random.default_rng(seed).normal(0.0, 3.0, len(time))
    for onset, offset, midi in score:
        sung = (time >= onset + shift - 1e-9) & (time < offset + shift - 1e-9)
        swing = cents + extent * np.sin(2 * np.pi * rate * time) + jitter
        hz[sung] = (440.0 * 2.0 ** ((midi - 69 + swing / 100) / 12))[sung]
    return hz


def voice(hz: np.ndarray, rate: int = 16000) -> np.ndarray:
    """A tone of ten harmonics with this F0."""
    at = np.arange(len(hz) * rate // 100) / rate
    voiced = np.interp(at, np.arange(len(hz)) * PERIOD, hz > 0) > 0.5
    held = np.interp(np.arange(len(hz)), np.flatnonzero(hz), hz[hz > 0])
    phase = 2 * np.pi * np.cumsum(np.interp(at, np.arange(len(hz)) * PERIOD, held)) / rate
    return (voiced * sum(np.sin(k * phase) / k for k in range(1, 11)) * 0.2).astype(np.float32)


@pytest.mark.parametrize("extent", [0.0, 60.0, 90.0])
@pytest.mark.parametrize("cents", [0.0, 35.0])
def test_the_notes_of_a_contour_are_found(cents: float, extent: float) -> None:
    found = notes.of_contour(contour(SCORE, cents, extent=extent), PERIOD)
    assert len(found.onset) == len(SCORE)
    assert np.abs(found.onset - SCORE[:, 0]).max() < 0.05 and np.abs(found.offset - SCORE[:, 1]).max() < 0.05
    wanted = 440.0 * 2.0 ** ((SCORE[:, 2] - 69 + cents / 100) / 12)
    assert np.abs(1200 * np.log2(found.hz / wanted)).max() < 30


def test_no_voice_has_no_notes() -> None:
    assert len(notes.of_contour(np.zeros(100), PERIOD).onset) == 0
    assert len(notes.of_contour(np.zeros(0), PERIOD).onset) == 0
    with pytest.raises(UserError, match="onset, offset"):
        notes.of_score(np.zeros((3, 2)))
    with pytest.raises(UserError, match="end after"):
        notes.of_score(np.array([[1.0, 1.0, 60.0]]))


def test_note_accuracy_of_known_mistakes() -> None:
    pytest.importorskip("mir_eval")
    score = notes.of_score(SCORE)

    def score_of(criterion: str, **changes: float) -> float:
        return metrics.note_accuracy(score, notes.of_contour(contour(SCORE, **changes), PERIOD), criterion=criterion)

    assert score_of("COnPOff") == 1.0
    assert score_of("COnP", cents=40.0) == 1.0 and score_of("COnP", cents=100.0) == 0.0
    assert score_of("COn", cents=1200.0) == 1.0 and score_of("COnP", cents=1200.0) == 0.0  # an octave is a wrong note
    assert score_of("COn", shift=0.03) == 1.0 and score_of("COn", shift=0.15) < 0.5

    def against(other: np.ndarray, criterion: str) -> float:
        return metrics.note_accuracy(score, notes.of_score(other), criterion=criterion)

    assert against(SCORE[:4], "COnP") == pytest.approx(2 * 4 / (5 + 4))  # one note is missing
    short = SCORE - np.array([0.0, 0.3, 0.0])
    assert against(short, "COnP") == 1.0 and against(short, "COnPOff") == 0.0
    nothing = notes.Notes(*np.zeros((3, 0)))
    assert metrics.note_accuracy(score, nothing) == 0.0 and math.isnan(metrics.note_accuracy(nothing, score))


def test_note_accuracy_of_a_sound() -> None:
    pytest.importorskip("mir_eval")
    pytest.importorskip("swift_f0")
    sung, wrong = voice(contour(SCORE)), voice(contour(SCORE, cents=200.0))
    assert metrics.note_accuracy(sung, sung, 16000) == 1.0
    assert metrics.note_accuracy(notes.of_score(SCORE), sung, 16000, criterion="COnP") > 0.75
    assert metrics.note_accuracy(sung, wrong, 16000, criterion="COnP") == 0.0
    assert math.isnan(metrics.note_accuracy(np.zeros(16000, np.float32), sung, 16000))
    assert metrics.note_accuracy(sung, np.zeros(16000, np.float32), 16000) == 0.0


@pytest.mark.parametrize(("rate", "extent"), [(5.0, 40.0), (5.5, 80.0), (6.8, 100.0), (4.2, 25.0)])
def test_vibrato_of_a_known_contour(rate: float, extent: float) -> None:
    found = vibrato.of_contour(contour(SCORE, rate=rate, extent=extent), PERIOD)
    assert found.rate == pytest.approx(rate, abs=0.25) and found.extent == pytest.approx(extent, rel=0.15)
    assert found.share > 0.5


@pytest.mark.parametrize(
    "hz",
    [
        contour(SCORE),
        np.zeros(200),
        np.zeros(0),
        np.geomspace(200, 400, 300),  # a glide
        200 * 2 ** (np.sin(2 * np.pi * 1.0 * np.arange(300) * PERIOD) / 12),  # too slow
    ],
    ids=["straight", "silence", "nothing", "glide", "slow"],
)
def test_what_is_no_vibrato(hz: np.ndarray) -> None:
    found = vibrato.of_contour(hz, PERIOD)
    assert math.isnan(found.rate) and math.isnan(found.extent) and found.share == 0.0


def test_differences_of_vibrato() -> None:
    pytest.importorskip("swift_f0")
    note = np.array([[0.2, 2.2, 64]])
    first = voice(contour(note, rate=5.0, extent=60.0))
    second = voice(contour(note, rate=6.5, extent=90.0))
    plain = voice(contour(note))
    assert metrics.vibrato_rate(first, first, 16000) == 0.0 and metrics.vibrato_extent(first, first, 16000) == 0.0
    assert metrics.vibrato_rate(first, second, 16000) == pytest.approx(1.5, abs=0.3)
    assert metrics.vibrato_extent(first, second, 16000) == pytest.approx(30.0, abs=15.0)
    assert math.isnan(metrics.vibrato_rate(first, plain, 16000))
