"""Repeats and voltas -> the order in which bars sound."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from aoide.config import UserError

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

_MOST = 20_000  # bars that may sound; a repeat of a million times is no music


@dataclass(slots=True)
class Bar:
    """The repeat signs of a bar."""

    forward: bool = False  # a repeated passage begins here
    backward: int = 0  # it ends here; how often it is sung in all
    ending: frozenset[int] = frozenset()  # a volta begins here: for these times
    ending_stops: bool = False
    notes: list[str] = field(default_factory=list)

    def read(self, barline: Element) -> None:
        """Takes what a barline says."""
        repeat, ending = barline.find("repeat"), barline.find("ending")
        if repeat is not None and repeat.get("direction") == "forward":
            self.forward = True
        elif repeat is not None:
            times = repeat.get("times") or "2"
            self.backward = int(times) if times.isdigit() else 2
        if ending is not None and ending.get("type") == "start":
            numbers = (ending.get("number") or "1").replace(".", ",").split(",")
            self.ending = frozenset(int(number) for number in numbers if number.strip().isdigit()) or frozenset((1,))
        elif ending is not None:
            self.ending_stops = True


def unfold(bars: list[Bar], where: str) -> list[int]:
    """The places of the bars in the order in which they sound.

    Raises:
        UserError: so many repeats that no song has them.
    """
    voltas = _voltas(bars)
    order: list[int] = []
    i, begin, time = 0, 0, 1
    while i < len(bars):
        if len(order) > _MOST:
            raise UserError(f"{where}: its repeats make more than {_MOST} bars")
        bar = bars[i]
        if bar.forward and begin != i:
            begin, time = i, 1
        if voltas[i] and time not in voltas[i]:
            i += 1
            continue
        order.append(i)
        if bar.backward:
            times = max(bar.backward, *_times(voltas, i)) if voltas[i] else bar.backward
            if time < times:
                time += 1
                i = begin
                continue
            begin, time = i + 1, 1
        elif voltas[i] and (i + 1 == len(bars) or not voltas[i + 1]):
            begin, time = i + 1, 1  # behind the last volta nothing is repeated any more
        i += 1
    return order


def _voltas(bars: list[Bar]) -> list[frozenset[int]]:
    """For each bar, at which times it sounds; empty: always."""
    found: list[frozenset[int]] = []
    now: frozenset[int] = frozenset()
    for bar in bars:
        now = bar.ending or now
        found.append(now)
        if bar.ending_stops or bar.backward:
            now = frozenset()
    return found


def _times(voltas: list[frozenset[int]], i: int) -> list[int]:
    """The numbers of all voltas in a row from bar i on."""
    numbers = [1]
    while i < len(voltas) and voltas[i]:
        numbers += voltas[i]
        i += 1
    return numbers
