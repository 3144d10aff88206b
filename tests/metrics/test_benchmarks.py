"""The benchmarks of the metrics: what resumes, what is compared, and the tables that stand in the documentation."""

import json
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
BENCHMARKS = ROOT / "benchmarks"


@pytest.fixture
def speed(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """benchmarks/metrics.py, which finds its neighbours as it does when it is run."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    monkeypatch.delitem(sys.modules, "metrics", raising=False)
    return import_module("metrics")


@pytest.fixture
def real(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return import_module("real_speech")


def test_a_stage_is_measured_once_until_something_changes(speed: ModuleType, tmp_path: Path) -> None:
    calls: list[int] = []

    def take(fresh: bool, jobs: int) -> int:
        stages = speed.Stages(tmp_path, fresh, "pairs", jobs)
        return stages.take("one", lambda: calls.append(1) or len(calls))

    assert [take(False, 1), take(False, 1), take(False, 2), take(False, 1), take(True, 1)] == [1, 1, 2, 1, 3]


def test_ways_are_compared_by_the_second_of_sound(speed: ModuleType) -> None:
    rows = [{"metric": "a", "wall": 6.0, "cpu": 8.0}, {"metric": "dnsmos", "wall": 4.0, "cpu": 8.0}]
    slow = {"metrics": rows, "pairs": 5, "seconds": 10.0, "peak_mb": 1.0}
    fast = {"wall": 8.0, "cpu": 16.0, "pairs": 20, "seconds": 40.0}
    assert speed.ratios(speed.only(slow, ["a", "dnsmos"]), fast) == {"wall": 5.0, "cpu": 4.0}
    assert speed.ratios(speed.only(slow, ["a"]), fast) == {"wall": 3.0, "cpu": 2.0}


def test_other_means_are_named(speed: ModuleType) -> None:
    rows = [{"metric": name, "mean": mean} for name, mean in (("same", 2.0), ("other", 2.0), ("undefined", None))]
    found = speed.other_means(rows, {"same": 2.01, "other": 2.2, "undefined": None})
    assert found == {"other": (2.0, 2.2)}


def test_a_table_goes_between_its_marks(real: ModuleType, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- m -->\nold\n<!-- end of m -->\nafter\n")
    real.into(page, "m", "new")
    assert page.read_text() == "before\n<!-- m -->\n\nnew\n\n<!-- end of m -->\nafter\n"
    with pytest.raises(SystemExit, match="no line <!-- n -->"):
        real.into(page, "n", "new")


def test_the_page_has_what_was_measured_on_real_speech(real: ModuleType) -> None:
    """The tables in the documentation are those of the newest results file."""
    newest = max((BENCHMARKS / "results").glob("real-speech_*.json"), key=lambda path: path.stem.rpartition("_")[2])
    reports = json.loads(newest.read_text("utf-8"))["reports"]
    assert real.page(reports) in (ROOT / "docs" / "evaluating.md").read_text("utf-8")
    assert all(row["value"] is not None for cells in reports["voice"]["summary"].values() for row in cells.values())
