"""What listeners said, summed up: opinion scores, comparisons, MUSHRA, ABX.

Ratings of one listener resemble each other, and so do ratings of one sound: intervals come from drawing whole listeners
again (or whole sounds, where there are fewer than `FEW_LISTENERS` people), never single ratings.
"""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from aoide.config import UserError
from aoide.metrics.evaluation.statistics import Interval, difference, holm, interval

KINDS = ("mos", "smos", "cmos", "mushra", "abx")
REFERENCE, ANCHOR = "(reference)", "(anchor)"
FEW_LISTENERS = 5
_HEARD_REFERENCE = 90  # points that the hidden reference should get at least (ITU-R BS.1534-3, 9.1.1)
_MISTAKES = 0.15  # share of the items where a listener may miss that

Answers = Sequence[Mapping[str, Any]]


def score(answers: Answers, seed: int = 0) -> dict[str, Any]:
    """The result of a test.

    Args:
        answers: what the page saved, one of each listener, with `key` already opened: system by its number.
        seed: of the bootstrap.

    Returns:
        kind, listeners, screened (MUSHRA: listener -> why), and by kind
        mos, smos, mushra   systems: name -> value, low, high, n; tests: rows of two systems
        cmos                pairs: rows of first, second, value (how much better the first is), low, high, p, n
        abx                 pairs: rows of first, second, value (share of right answers), low, high, p, n

    Raises:
        UserError: no answers, answers of different tests, or nobody left after screening.
    """
    if not answers:
        raise UserError("no answers")
    if len({(one["test"], one["kind"]) for one in answers}) > 1:
        raise UserError("these answers are of different tests; score them one at a time")
    twice = [name for name, group in itertools.groupby(sorted(one["listener"] for one in answers)) if len([*group]) > 1]
    if twice:
        raise UserError(f"listener {twice[0]} answered twice; leave one of the files out")
    kind = answers[0]["kind"]
    screened = _screened(answers) if kind == "mushra" else {}
    kept = [one for one in answers if one["listener"] not in screened]
    if not kept:
        raise UserError("no listener is left: all missed the hidden reference too often")
    found = {"kind": kind, "listeners": len(kept), "screened": screened}
    if kind == "cmos":
        return found | {"pairs": _compared(kept, seed)}
    if kind == "abx":
        return found | {"pairs": _told_apart(kept)}
    ratings = [
        (one["listener"], row["item"], system, float(value))
        for one in kept
        for row in one["answers"]
        for system, value in _scores(row).items()
    ]
    return found | {"systems": _means(ratings, seed), "tests": _tests(ratings, seed)}


def _scores(row: Mapping[str, Any]) -> Mapping[str, float]:
    return row["scores"] if "scores" in row else {row["system"]: row["score"]}


def _screened(answers: Answers) -> dict[str, str]:
    """Listeners whose ratings do not count, by the rule of BS.1534: they missed the hidden reference too often."""
    found = {}
    for one in answers:
        given = [row["scores"][REFERENCE] for row in one["answers"]]
        missed = sum(score < _HEARD_REFERENCE for score in given)
        if given and missed > _MISTAKES * len(given):
            found[one["listener"]] = f"rated the hidden reference below {_HEARD_REFERENCE} in {missed} of {len(given)}"
    return found


Rating = tuple[str, str, str, float]  # listener, item, system, value


def _means(ratings: Sequence[Rating], seed: int) -> dict[str, dict[str, Any]]:
    found = {}
    for system in dict.fromkeys(row[2] for row in ratings):
        own = [row for row in ratings if row[2] == system]
        found[system] = {**_clustered(own, seed)._asdict(), "n": len(own)}
    return dict(sorted(found.items(), key=lambda item: -item[1]["value"]))


def _cluster(rows: Iterable[tuple[str, str, Any]]) -> Callable[[tuple[str, str]], str]:
    """What is drawn again as a whole: the listener, or the item where listeners are few."""
    people = {row[0] for row in rows}
    return (lambda row: row[0]) if len(people) >= FEW_LISTENERS else (lambda row: row[1])


def _clustered(ratings: Sequence[Rating], seed: int) -> Interval:
    of = _cluster((row[0], row[1], None) for row in ratings)
    sums: dict[str, list[float]] = defaultdict(list)
    for row in ratings:
        sums[of((row[0], row[1]))].append(row[3])
    return interval(np.array([sum(v) for v in sums.values()]), np.array([float(len(v)) for v in sums.values()]), seed)


def _tests(ratings: Sequence[Rating], seed: int) -> list[dict[str, Any]]:
    """Two systems on what both were rated for: the means of each item (or of each listener) are the pairs."""
    of = _cluster((row[0], row[1], None) for row in ratings)
    table: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for row in ratings:
        table[row[2]][of((row[0], row[1]))].append(row[3])
    rows: list[dict[str, Any]] = []
    for a, b in itertools.combinations(table, 2):
        common = sorted(set(table[a]) & set(table[b]))
        if len(common) > 1:
            one, other = (np.array([np.mean(table[system][each]) for each in common]) for system in (a, b))
            rows.append({"first": a, "second": b, **difference(one, other, seed=seed)._asdict()})
    corrected = holm([row["p"] for row in rows])
    return [{**row, "p_corrected": p} for row, p in zip(rows, corrected, strict=True)]


def _by_pair(answers: Answers) -> dict[tuple[str, str], list[tuple[str, str, Mapping[str, Any]]]]:
    found: dict[tuple[str, str], list[tuple[str, str, Mapping[str, Any]]]] = defaultdict(list)
    for one in answers:
        for row in one["answers"]:
            a, b = sorted((row["first"], row["second"]))
            found[a, b].append((one["listener"], row["item"], row))
    return found


def _compared(answers: Answers, seed: int) -> list[dict[str, Any]]:
    rows = []
    for (a, b), given in _by_pair(answers).items():
        # on the page a positive answer says that the second is better
        ratings = [(who, item, a, row["score"] if row["second"] == a else -row["score"]) for who, item, row in given]
        of = _cluster(given)
        groups: dict[str, list[float]] = defaultdict(list)
        for who, item, _, value in ratings:
            groups[of((who, item))].append(float(value))
        means = np.array([np.mean(values) for values in groups.values()])
        found = _clustered(ratings, seed)
        p = difference(means, np.zeros(len(means)), seed=seed).p
        rows.append({"first": a, "second": b, **found._asdict(), "p": p, "n": len(ratings)})
    return rows


def _told_apart(answers: Answers) -> list[dict[str, Any]]:
    rows = []
    for (a, b), given in _by_pair(answers).items():
        right, n = sum(row["chosen"] == row["x"] for _, _, row in given), len(given)
        p = sum(math.comb(n, k) for k in range(right, n + 1)) / 2**n  # at least so many right by guessing
        rows.append({"first": a, "second": b, **_wilson(right, n)._asdict(), "p": p, "n": n})
    return rows


def _wilson(right: int, n: int) -> Interval:
    """A share and its 95 % interval (Wilson 1927)."""
    z = 1.959964
    middle = (right + z * z / 2) / (n + z * z)
    half = z / (n + z * z) * math.sqrt(right * (n - right) / n + z * z / 4)
    return Interval(right / n, middle - half, middle + half)
