"""From the values of all files to the numbers of the report: means, intervals, tests, and what must be said beside."""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from aoide.config import MissingExtra, UserError
from aoide.metrics import find, transcripts
from aoide.metrics.evaluation.measure import REFERENCE, unpack
from aoide.metrics.evaluation.plan import Chosen
from aoide.metrics.evaluation.statistics import Interval, difference, holm, interval

Rows = Mapping[str, Mapping[str, Any]]  # name -> key of step -> value


@dataclass(slots=True)
class Column:
    """One metric of one system.

    Attributes:
        values: by name; NaN where undefined.
        parts: (numerator, denominator) by name, of what is a ratio over the corpus; empty for means.
        total: the number of a set that is no mean over its files; None otherwise.
        failed: how many files gave an error instead of a value.
    """

    values: dict[str, float] = field(default_factory=dict)
    parts: dict[str, tuple[float, float]] = field(default_factory=dict)
    total: float | None = None
    clips: int = 0
    failed: int = 0

    def arrays(self, names: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Numerators and denominators of these names."""
        pairs = [self.parts[name] if self.parts else (self.values[name], 1.0) for name in names]
        return np.array([a for a, _ in pairs], float), np.array([b for _, b in pairs], float)

    def finite(self) -> list[str]:
        return [name for name, value in self.values.items() if math.isfinite(value)]


class Summary:
    """Collects columns; `table` and `tests` are what the report shows.

    Args:
        names: the files that count.
        texts: what is said in them.
        seed: of intervals and tests.
    """

    def __init__(self, names: Sequence[str], texts: Mapping[str, str], seed: int) -> None:
        self.names, self.texts, self.seed = names, texts, seed
        self.columns: dict[str, dict[str, Column]] = {}
        self.refused: dict[str, str] = {}
        self.notes: list[str] = []

    def add(self, chosen: Chosen, rows: Mapping[str, Rows]) -> None:
        """A metric: `rows` holds what was measured of each system."""
        for system, of in rows.items():
            if system == REFERENCE and not _of_reference(chosen):
                continue
            try:
                column = self._column(chosen, of, rows.get(REFERENCE, {}))
            except (MissingExtra, UserError) as error:
                self.refused[chosen.name] = str(error)
                return
            if column.clips or column.values:
                self.columns.setdefault(chosen.name, {})[system] = column

    def _column(self, chosen: Chosen, rows: Rows, reference: Rows) -> Column:
        key = chosen.step.key
        if chosen.of_set:
            return self._of_set(chosen, rows, reference)
        have = {name: rows[name][key] for name in self.names if key in rows.get(name, {})}
        if chosen.step.what == "transcript":
            return self._of_texts(chosen, have)
        column = Column(failed=len(self.names) - len(have))
        for name, value in have.items():
            if isinstance(value, list):  # Amphion's counts of voicing
                hits, false, missed = value
                below = hits + (false + missed) / 2
                column.parts[name] = float(hits), below
                column.values[name] = hits / below if below else math.nan
            else:
                column.values[name] = math.nan if value is None else value
        return column

    def _of_texts(self, chosen: Chosen, heard: Mapping[str, str]) -> Column:
        have = [name for name in heard if name in self.texts]
        column = Column(failed=len(self.names) - len(heard))
        said, texts = [self.texts[name] for name in have], [heard[name] for name in have]
        if chosen.amphion:
            for name, one, other in zip(have, said, texts, strict=True):
                column.values[name] = chosen.function([one], [other], **chosen.options)
            return column
        unit: transcripts.Unit = "words" if chosen.name == "wer" else "characters"
        compared = transcripts.compare(said, texts, unit, **chosen.options)
        for name, found in zip(have, compared, strict=True):
            column.values[name] = found.edits.rate
            if found.edits.reference:
                column.parts[name] = found.edits.total, found.edits.reference
        return column

    def _of_set(self, chosen: Chosen, rows: Rows, reference: Rows) -> Column:
        key = chosen.step.key
        have = [name for name in self.names if rows.get(name, {}).get(key) is not None]
        alone = chosen.name in ("diversity", "inception_score")
        if not alone:
            have = [name for name in have if reference.get(name, {}).get(key) is not None]
        if not have:
            return Column()
        sides = [rows] if alone else [reference, rows]
        sets = [np.concatenate([unpack(side[name][key]) for name in have]) for side in sides]
        if chosen.step.what == "labels":
            sets = [labels / labels.sum(axis=1, keepdims=True) for labels in sets]
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            total = float(chosen.function(*sets, **chosen.options))
        self._note(*(f"{chosen.name}: {warning.message}" for warning in caught))
        return Column(total=total, clips=len(have), failed=len(self.names) - len(have))

    def _note(self, *notes: str) -> None:
        self.notes += [note for note in notes if note not in self.notes]

    # ------------------------------------------------------------------------------------------------- what is shown

    def table(self) -> dict[str, dict[str, dict[str, Any]]]:
        """metric -> system -> value, low, high, median, n, nan, failed."""
        return {
            name: {system: self._cell(column) for system, column in columns.items()}
            for name, columns in self.columns.items()
        }

    def _cell(self, column: Column) -> dict[str, Any]:
        if column.total is not None:
            found, median, n = Interval(column.total, math.nan, math.nan), math.nan, column.clips
        else:
            finite = column.finite()
            found = interval(*column.arrays(finite), seed=self.seed)
            median, n = float(np.median([column.values[name] for name in finite])) if finite else math.nan, len(finite)
        undefined = len(column.values) - n if column.total is None else 0
        return {**found._asdict(), "median": median, "n": n, "nan": undefined, "failed": column.failed}

    def tests(self) -> list[dict[str, Any]]:
        """Every two systems on the files where both have a value; p is corrected for the number of pairs (Holm)."""
        found = []
        for name, columns in self.columns.items():
            rows = []
            systems = [system for system in columns if system != REFERENCE and columns[system].total is None]
            for a, b in itertools.combinations(systems, 2):
                there = set(columns[b].finite())
                common = [each for each in columns[a].finite() if each in there]
                if len(common) < 2:
                    continue
                (one, weights), (other, others) = (columns[system].arrays(common) for system in (a, b))
                if not np.array_equal(weights, others):  # Amphion's counts: their sums differ from system to system
                    one, other, weights = one / weights, other / others, np.ones(len(one))
                gap = difference(one, other, weights, self.seed)
                rows.append({"metric": name, "first": a, "second": b, **gap._asdict()})
            for row, p in zip(rows, holm([row["p"] for row in rows]), strict=True):
                found.append({**row, "p_corrected": p})
        return found


def _of_reference(chosen: Chosen) -> bool:
    """Whether the recordings themselves get a value, too: the floor beside which a system is read."""
    return chosen.step.what in ("single", "transcript", "caption") or (
        chosen.of_set and chosen.name in ("diversity", "inception_score")
    )


def described(chosen: Sequence[Chosen]) -> list[dict[str, Any]]:
    """What the report says of each metric."""
    rows = []
    for each in chosen:
        metric = find(each.name).METRIC
        about = (each.function.__doc__ if each.amphion else find(each.name).__doc__) or ""
        rows.append(
            {
                "name": each.name,
                "unit": metric.unit,
                "better": metric.better,
                "best": metric.best,
                "kind": each.kind,
                "about": about.strip().splitlines()[0],
                "options": dict(each.options),
                "of": each.step.name if each.step.what in ("embedding", "labels", "transcript") else "",
                "amphion": each.amphion,
            }
        )
    return rows
