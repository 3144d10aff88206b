"""Curves over an axis, letters, and the large piano roll: what is drawn lies where it should."""

from __future__ import annotations

import numpy as np
import pytest

from aoide.plots import letters, lines, piano_roll
from tests.plots.test_png import decode


def panel(**changes: object) -> lines.Panel:
    curves = {"falls": ([1, 10, 100], [4.0, 2.0, 1.0]), "stays": ([1, 100], [3.0, 3.0])}
    return lines.Panel(**{"curves": curves, "title": "title", "x": "steps", "y": "dB", **changes})  # type: ignore[arg-type]


def test_curves_fall_and_stay() -> None:
    picture, _ = decode(lines.draw([panel()]))
    inside = picture[lines.TOP : lines.HEIGHT - lines.BOTTOM, lines.LEFT : lines.LEFT + lines.PANEL]
    rows = [np.median(np.nonzero(inside[:, column] == 3)[0]) for column in (40, 200, 380)]
    assert rows == sorted(rows) and rows[0] < rows[-1] - 50
    stays = [np.median(np.nonzero(inside[:, column] == 4)[0]) for column in (40, 200, 380)]
    assert max(stays) - min(stays) <= 1
    beside = picture[:, lines.LEFT + lines.PANEL + 10 :]
    assert (beside == 3).any() and (beside == 4).any() and (beside == 2).any(), "marks and names"


def test_panels_stand_side_by_side_and_linear_axes_go_below_zero() -> None:
    one, _ = decode(lines.draw([panel()]))
    two, _ = decode(lines.draw([panel(), panel(scales=("linear", "linear"), curves={"a": ([-1, 1], [-2, 5])})]))
    assert two.shape == (one.shape[0], 2 * one.shape[1])


@pytest.mark.parametrize(
    ("curves", "told"),
    [
        ({}, "1 to 7 curves"),
        ({str(k): ([1, 2], [1, 2]) for k in range(8)}, "1 to 7 curves, got 8"),
        ({"a": ([0, 1], [1, 2])}, "above 0"),
    ],
)
def test_what_cannot_be_drawn(curves: dict[str, lines.Curve], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        lines.draw([panel(curves=curves)])
    with pytest.raises(ValueError, match="without panels"):
        lines.draw([])


def test_letters_stand_and_lie() -> None:
    picture = np.zeros((40, 80), int)
    letters.paint(picture, "L", 1, 2, 5, 2)
    assert (picture[1:15, 2:4] == 5).all() and (picture[13:15, 2:12] == 5).all() and not picture[1:13, 4:].any()
    lying = np.zeros((40, 80), int)
    letters.paint(lying, "L", 1, 2, 5, 2, upwards=True)
    assert (lying[1:11, 14:16] == 5).all() and (lying[9:11, 2:16] == 5).all()
    letters.paint(picture, "beyond", 35, 70, 5, 2)  # what does not fit is left out
    assert letters.width("ab", 2) == 22 and letters.width("") == 0
    assert letters.knows("F0 of 2.5 s") and not letters.knows("ね")
    assert len({letters._glyph(letter).tobytes() for letter in letters._ROWS}) == len(letters._ROWS), "all differ"


def test_the_large_piano_roll_is_labelled() -> None:
    notes, f0 = [(0.0, 1.0, 60.0), (1.0, 2.0, 64.0)], np.full(200, 261.6)
    small, _ = decode(piano_roll.draw(notes, f0, 100.0))
    large, _ = decode(piano_roll.figure(notes, f0, 100.0, title="two notes", lyrics=["la", "ね"]))
    roll = large[piano_roll.BORDER : piano_roll.BORDER + 2 * small.shape[0], piano_roll.AXIS :]
    assert (roll[::2, : 2 * (small.shape[1] - piano_roll.KEYS) : 2] == small[:, piano_roll.KEYS :]).mean() > 0.98
    dark = large == piano_roll._DARK
    assert dark[: piano_roll.BORDER].any() and dark[:, : piano_roll.AXIS].any()
    assert dark[-40:, 100:].any(), "seconds"
