"""benchmarks/described_cascade.py: its songs are composed by the rules, and its figures can be wrong."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

from aoide.generate.cascade import compose
from aoide.score.rules import check_melody

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def part(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import described_cascade

    return described_cascade


@pytest.mark.sweep
def test_twenty_songs_keep_their_rules(part: ModuleType) -> None:
    scripts = part.scripts()
    assert len(scripts) == 20 and all(script.title and script.style for script in scripts)
    for number, script in enumerate(scripts):
        song = compose(script, seed=number)
        assert check_melody(song.score, song.rules) == [], script.title
        assert part.stresses_wrong(song.score, song.rules.phrases) == 0, script.title
        assert not [remark for remark in song.remarks if "no word that it knows" in remark]


def test_wrong_stresses_are_counted(part: ModuleType) -> None:
    song = compose(part.scripts()[0])
    first = song.rules.phrases[0]
    wrong = replace(first, stresses=tuple(2 - stress for stress in first.stresses))
    assert part.stresses_wrong(song.score, (wrong, *song.rules.phrases[1:])) > 0


def test_what_is_asked_for_decides(part: ModuleType) -> None:
    result = {"violations": 0, "stresses_wrong": 0, "cents": 3.0, "within_50": 0.98, "lufs": [-14.1, -13.9]}
    result |= {"stems_difference": 0.0}
    assert part.good(result)
    for name, value in (("violations", 1), ("cents", 25.0), ("lufs", [-15.0, -14.0]), ("stems_difference", 1e-5)):
        assert not part.good(result | {name: value}), name
