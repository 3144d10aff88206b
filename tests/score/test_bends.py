"""Pitch as it was drawn in UTAU and OpenUtau."""

from typing import Any

import numpy as np
import pytest

from aoide.score import Note, Score, Tempo
from aoide.score.bends import drawn_pitch


def pitch(*notes: dict[str, Any], step: float = 0.01, **extra: Any) -> np.ndarray:
    """MIDI numbers at 0, 0.01, ... s of notes of one second, C4, D4, ..., that touch."""
    made = tuple(Note(start=480 * i, length=480, pitch=60 + 2 * i, extra=note) for i, note in enumerate(notes))
    curve = drawn_pitch(Score(notes=made, tempos=(Tempo(tick=0, bpm=60),), extra=extra), step)
    assert curve is not None
    return 69 + 12 * np.log2(curve.values / 440)


def points(*rows: tuple[float, float, str], snap: bool = True) -> dict[str, Any]:
    return {"pitch": {"data": [{"x": x, "y": y, "shape": shape} for x, y, shape in rows], "snap_first": snap}}


def test_nothing_drawn_is_nothing() -> None:
    assert drawn_pitch(Score(notes=(Note(start=0, length=9, pitch=60),))) is None
    assert drawn_pitch(Score()) is None


def test_portamento_goes_from_note_to_note() -> None:
    drawn = pitch({}, points((-100, 0, "l"), (100, 0, "l")))
    assert drawn[[0, 89]] == pytest.approx([60, 60])
    assert drawn[[95, 100, 105]] == pytest.approx([60.5, 61, 61.5])
    assert drawn[[110, 199]] == pytest.approx([62, 62])


@pytest.mark.parametrize(("shape", "middle"), [("l", 0.5), ("io", 0.5), ("i", 1 - 0.5**0.5), ("o", 0.5**0.5)])
def test_shapes(shape: str, middle: float) -> None:
    drawn = pitch(points((0, 0, shape), (500, 10, shape), snap=False))
    assert drawn[[0, 25, 60]] == pytest.approx([60, 60 + middle, 61])


def test_a_first_note_snaps_to_itself() -> None:
    assert pitch(points((-40, -30, "io"), (40, 0, "io")))[0] == pytest.approx(60)
    assert pitch(points((0, -30, "io"), (40, 0, "io"), snap=False))[0] == pytest.approx(57)


def test_vibrato_is_at_the_end_of_the_note() -> None:
    vibrato = {"length": 50, "period": 100, "depth": 50, "in": 0, "out": 0, "shift": 0, "drift": 0}
    drawn = pitch({"vibrato": vibrato} | points((0, 0, "io")), step=0.0125)
    assert drawn[:40] == pytest.approx(60)
    assert drawn[42:46:2] == pytest.approx([60.5, 60.0], abs=1e-6)  # a quarter and a half of the first period
    assert drawn.max() == pytest.approx(60.5) and drawn.min() == pytest.approx(59.5)
    faded = pitch({"vibrato": vibrato | {"in": 50, "out": 50}} | points((0, 0, "io")), step=0.0125)
    assert faded[42] == pytest.approx(60.05, abs=0.001) and abs(faded[-1] - 60) < 0.03


def test_deviations_are_added() -> None:
    curve = {"abbr": "pitd", "xs": [0, 240, 480], "ys": [0, 100, 0]}
    assert pitch({}, ustx={"curves": [curve]})[[0, 25, 50]] == pytest.approx([60, 60.5, 61])


def test_utau_mode_2_is_understood() -> None:
    drawn = pitch({}, {"PBS": "-100", "PBW": "100,100", "PBY": "30,0", "PBM": "s,s", "VBR": "0,180,20"})
    assert drawn[[89, 95, 100, 105, 111]] == pytest.approx([60, 62.5, 65, 63.5, 62])
    alone = pitch({"PBS": "0;-20", "PBW": "100", "PBM": "s"})
    assert alone[[0, 5, 20]] == pytest.approx([58, 59, 60])


def test_nonsense_does_no_harm() -> None:
    odd = {"pitch": {"data": [3, {"x": "a", "y": None}]}, "vibrato": {"length": "x", "period": 0}, "VBR": "a,b"}
    assert np.isfinite(pitch(odd, {"PBS": "", "PBW": "x"}, ustx={"curves": [{"abbr": "pitd", "xs": [1]}]})).all()
