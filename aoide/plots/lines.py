"""Curves over one axis, as one PNG picture: what is gained by more of something.

    png = draw({"euler": ([1, 2, 4], [5.0, 2.5, 1.2])}, title="...", x="steps", y="dB")

Each curve has a colour that those who do not tell red from green tell apart too (Okabe and Ito 2008, Color Universal
Design), a mark of its own, and its name beside its mark at the right. Both axes may be logarithmic.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from aoide.plots import letters
from aoide.plots.png import encode

Curve = tuple[Sequence[float], Sequence[float]]
HEIGHT, PANEL, NAMES = 440, 420, 190  # pixels of the picture, of a panel between its axes, of the names beside it
LEFT, TOP, BOTTOM = 90, 50, 70  # pixels around a panel
MARK = 4  # pixels from the middle of a mark to its edge
_PAPER, _GRID, _INK, _FIRST = 0, 1, 2, 3
_COLOURS = [(0, 114, 178), (213, 94, 0), (0, 158, 115), (204, 121, 167), (230, 159, 0), (86, 180, 233), (0, 0, 0)]
PALETTE = np.array([(255, 255, 255), (222, 222, 222), (40, 40, 40), *_COLOURS], np.uint8)


@dataclass(frozen=True, kw_only=True, slots=True)
class Panel:
    """One pair of axes."""

    curves: Mapping[str, Curve]  # name -> places and values
    title: str
    x: str  # what the axes are, with units
    y: str
    scales: tuple[Literal["linear", "log"], Literal["linear", "log"]] = ("log", "log")


def draw(panels: Sequence[Panel]) -> bytes:
    """Panels side by side, as the bytes of a PNG file.

    Raises:
        ValueError: nothing to draw, more curves than colours, or a number that is not above 0 on a logarithmic axis.
    """
    if not panels:
        raise ValueError("a picture without panels")
    return encode(np.concatenate([_panel(panel) for panel in panels], axis=1), PALETTE)


def _panel(panel: Panel) -> np.ndarray:
    """(HEIGHT, width) colours."""
    if not 0 < len(panel.curves) <= len(_COLOURS):
        raise ValueError(f"{panel.title}: 1 to {len(_COLOURS)} curves, got {len(panel.curves)}")
    picture = np.full((HEIGHT, LEFT + PANEL + NAMES), _PAPER)
    places = [np.asarray(each[0], float) for each in panel.curves.values()]
    values = [np.asarray(each[1], float) for each in panel.curves.values()]
    across = _Axis(np.concatenate(places), panel.scales[0], LEFT, LEFT + PANEL)
    up = _Axis(np.concatenate(values), panel.scales[1], HEIGHT - BOTTOM, TOP)
    for tick in across.ticks():
        column = across.at(tick)
        picture[TOP : HEIGHT - BOTTOM, column] = _GRID
        text = f"{tick:g}"
        letters.paint(picture, text, HEIGHT - BOTTOM + 10, column - letters.width(text, 2) // 2, _INK, 2)
    for tick in up.ticks():
        row = up.at(tick)
        picture[row, LEFT : LEFT + PANEL] = _GRID
        text = f"{tick:g}"
        letters.paint(picture, text, row - letters.HEIGHT, LEFT - 10 - letters.width(text, 2), _INK, 2)
    picture[TOP : HEIGHT - BOTTOM, LEFT] = _INK
    picture[HEIGHT - BOTTOM, LEFT : LEFT + PANEL] = _INK
    letters.paint(picture, panel.title, 14, LEFT, _INK, 2)
    letters.paint(picture, panel.x, HEIGHT - 26, LEFT + (PANEL - letters.width(panel.x, 2)) // 2, _INK, 2)
    middle = (TOP + HEIGHT - BOTTOM + letters.width(panel.y, 2)) // 2
    letters.paint(picture, panel.y, middle - letters.width(panel.y, 2), 8, _INK, 2, upwards=True)
    ends = [up.at(float(value[-1])) for value in values]
    for number, (name, beside) in enumerate(zip(panel.curves, _apart(ends), strict=True)):
        points = [(up.at(b), across.at(a)) for a, b in zip(places[number], values[number], strict=True)]
        for one, other in zip(points, points[1:], strict=False):
            _line(picture, one, other, _FIRST + number)
        for row, column in points:
            _mark(picture, row, column, number)
        _mark(picture, beside, LEFT + PANEL + 18, number)
        letters.paint(picture, name, beside - letters.HEIGHT, LEFT + PANEL + 32, _INK, 2)
    return picture


class _Axis:
    """Numbers to pixels, with a little room at both ends."""

    def __init__(self, numbers: np.ndarray, scale: str, first: int, last: int) -> None:
        self.log = scale == "log"
        if self.log and numbers.min() <= 0:
            raise ValueError("a logarithmic axis has numbers above 0")
        low, high = self._of(float(numbers.min())), self._of(float(numbers.max()))
        room = 0.04 * (high - low) or 0.5
        self.low, self.high, self.first, self.last = low - room, high + room, first, last

    def _of(self, number: float) -> float:
        return math.log10(number) if self.log else number

    def at(self, number: float) -> int:
        share = (self._of(number) - self.low) / (self.high - self.low)
        return round(self.first + share * (self.last - self.first))

    def ticks(self) -> list[float]:
        """Round numbers within the axis: 1, 2 and 5 times powers of ten, fewer where there would be more than nine."""
        if self.log:
            steps: tuple[float, ...] = (1, 2, 5)
            powers = range(math.floor(self.low), math.ceil(self.high) + 1)
            found = [step * 10.0**power for power in powers for step in steps]
            found = [tick for tick in found if self.low <= math.log10(tick) <= self.high]
            return found if len(found) <= 9 else [tick for tick in found if math.log10(tick) % 1 < 1e-9]
        rough = (self.high - self.low) / 6
        step = min((s * 10.0 ** math.floor(math.log10(rough)) for s in (1, 2, 5, 10)), key=lambda s: abs(s - rough))
        return [step * k for k in range(math.ceil(self.low / step), math.floor(self.high / step) + 1)]


def _apart(rows: Sequence[int], least: int = 22) -> list[int]:
    """Rows for names, as near to the ends of their curves as can be without one over the other."""
    order = sorted(range(len(rows)), key=lambda number: rows[number])
    placed = [0] * len(rows)
    last = TOP - least
    for rank, number in enumerate(order):
        most = HEIGHT - BOTTOM - least * (len(rows) - 1 - rank)
        last = placed[number] = min(max(rows[number], last + least), most)
    return placed


def _line(picture: np.ndarray, one: tuple[int, int], other: tuple[int, int], colour: int) -> None:
    """Three pixels thick."""
    count = max(abs(other[0] - one[0]), abs(other[1] - one[1]), 1) + 1
    rows = np.linspace(one[0], other[0], count).round().astype(int)
    columns = np.linspace(one[1], other[1], count).round().astype(int)
    for down in (-1, 0, 1):
        for right in (-1, 0, 1):
            picture[rows + down, columns + right] = colour


def _mark(picture: np.ndarray, row: int, column: int, number: int) -> None:
    """Circle, square, diamond, triangle, cross, plus, ring: the curve's own."""
    size = MARK + 1
    y, x = np.mgrid[-size : size + 1, -size : size + 1]
    round_about = np.hypot(x, y)
    shapes = (
        round_about <= size,
        (abs(x) < size) & (abs(y) < size),
        abs(x) + abs(y) <= size,
        (y < size) & (2 * abs(x) <= y + size),
        (abs(abs(x) - abs(y)) <= 1) & (round_about <= size + 1),
        (abs(x) <= 1) | (abs(y) <= 1),
        (round_about <= size) & (round_about > size - 2.5),
    )
    inside = shapes[number % len(shapes)]
    part = picture[row - size : row + size + 1, column - size : column + size + 1]
    part[inside] = _FIRST + number
