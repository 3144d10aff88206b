"""The functions `amphion` give the numbers that Amphion's own code gave, on real pairs and on seven known signals."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aoide.audio.sound import Sound
from aoide.metrics import find
from aoide.metrics.analysis import Analysis
from tests.metrics import signals
from tests.parity import packs

FOLDER = packs.FOLDER / "metrics"
SIGNALS = "the page is made by: python benchmarks/metrics.py --signals docs/evaluating.md"
NAMES = {  # Amphion's name -> ours
    "f0rmse": "f0_rmse",
    "fpc": "f0_pearson",
    "f1_v_uv(tp,fp,fn)": "vuv_f1",
    "f0_periodicity_rmse": "periodicity_rmse",
    "energy_pc": "energy_pearson",
    "mstft": "stft_distance",
}
TRACKED = ("f0rmse", "fpc", "f1_v_uv(tp,fp,fn)", "f0_periodicity_rmse")  # 1e-3 relative, others 1e-5 (README)
NEEDS = dict.fromkeys(TRACKED, ("parselmouth",)) | {
    "f0_periodicity_rmse": ("torch", "torchcrepe"),
    "mcd": ("pyworld",),
    "stoi": ("pystoi",),
}
OPTIONS = {"need_mean": "subtract_median", "db_scale": "decibel"}


def recorded() -> Iterator[Any]:
    """Every number of every pair; pairs are found in the file, so more may be put there."""
    if not FOLDER.is_dir():
        yield pytest.param("", "", None, marks=pytest.mark.skip(f"no parity packs at {packs.FOLDER}"))
        return
    for name, one in json.loads((FOLDER / "expected.json").read_text("utf-8"))["pairs"].items():
        for key, value in one["values"].items():
            if not isinstance(value, str):  # a string says why there is no number
                slow = [pytest.mark.slow] if key.startswith("f0_periodicity") else []  # the large CREPE
                yield pytest.param(name, key, value, id=f"{name} {key}", marks=slow)


@cache
def sounds(name: str) -> tuple[Analysis, Analysis]:
    loaded = [Sound.load(FOLDER / f"{name}_{which}.wav") for which in ("ref", "deg")]
    return tuple(Analysis(sound.samples, sound.sample_rate) for sound in loaded)


def compute(reference: Analysis, generated: Analysis, key: str) -> Any:
    """`f0rmse|cut|need_mean=True` by our twin of it."""
    metric, align, *settings = key.split("|")
    for package in NEEDS.get(metric, ()):
        if find_spec(package) is None:
            pytest.skip(f"{package} is not installed")
    module = find(NAMES.get(metric, metric))
    options = {OPTIONS[name]: value == "True" for name, value in (setting.split("=") for setting in settings)}
    if metric != "mcd":
        options["align"] = align
    return module.amphion(reference, generated, rate=reference.sample_rate, **options)


@pytest.mark.parametrize(("name", "key", "want"), list(recorded()))
def test_recorded_numbers(name: str, key: str, want: float | list[float]) -> None:
    got = compute(*sounds(name), key)
    np.testing.assert_allclose(got, want, rtol=1e-3 if key.split("|")[0] in TRACKED else 1e-5)


@pytest.mark.parametrize("name", sorted({case.values[0] for case in recorded() if case.values[0]}))
def test_pesq(name: str) -> None:
    """Amphion's own PESQ could not be recorded; the package is called as it was for these numbers."""
    pytest.importorskip("pesq")
    pairs = json.loads((FOLDER / "expected.json").read_text("utf-8"))["pairs"]
    first, second = sounds(name)
    length = min(len(first.samples), len(second.samples))
    for metric, band in (("pesq", "wb"), ("pesq_nb", "nb")):
        want = _found(pairs[name], f"pesq package 0.0.4 {band}")
        got = getattr(find(metric), metric)(first.lasting(length), second.lasting(length))
        assert got == pytest.approx(want, rel=1e-4)


def _found(tree: dict[str, Any], key: str) -> float:
    """The value of a key in nested dicts."""
    if key in tree:
        return tree[key]
    return next(_found(part, key) for part in tree.values() if isinstance(part, dict) and key in json.dumps(part))


def known() -> Iterator[Any]:
    """Every number of the seven known pairs."""
    for key in signals.AMPHION:
        slow = [pytest.mark.slow] if key.startswith("f0_periodicity") else []
        for pair in signals.PAIRS:
            yield pytest.param(key, pair, id=f"{pair} {key}", marks=slow)


@pytest.mark.parametrize(("key", "pair"), list(known()))
def test_seven_known_pairs(key: str, pair: str) -> None:
    """The table that shows what is wrong with Amphion's numbers is reproduced, to its six digits."""
    want = signals.AMPHION[key][signals.PAIRS.index(pair)]
    got = compute(*signals.pair(pair), key)
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=2e-5)


def test_the_table_of_the_seven_pairs() -> None:
    """What a reader of the benchmark sees: our twin agrees with Amphion, and the correct number with the signal."""
    for package in ("parselmouth", "pyworld", "pystoi", "swift_f0", "torch"):
        pytest.importorskip(package)
    rows = {(row["metric"], row["pair"]): row for row in signals.table()}
    assert len(rows) == 7 * len(signals.COMPARED)
    for row in rows.values():
        assert row["compatible"] == pytest.approx(row["amphion"], rel=1e-4, abs=2e-5), row
    octave = rows["f0_rmse", "octave_up"]
    assert octave["amphion"] < 2 and octave["correct"] == pytest.approx(1200, abs=3)
    assert rows["f0_rmse", "pitch_up_3pct"]["correct"] == pytest.approx(1200 * np.log2(1.03), abs=1)
    assert rows["energy_rmse", "gain_half"]["correct"] == pytest.approx(6.0206, abs=1e-3)
    assert rows["vuv_f1", "wrong_contour"]["amphion"] == 1.0 > rows["vuv_f1", "wrong_contour"]["correct"] + 0.05
    assert rows["mcd", "gain_half"]["amphion"] > 4 > 0.01 > rows["mcd", "gain_half"]["correct"]
    page = signals.read_markdown((Path(__file__).parents[2] / "docs" / "evaluating.md").read_text("utf-8"))
    assert {metric for metric, _ in page} == {*(metric for metric, _ in rows), "periodicity_rmse"}
    for (metric, which), printed in page.items():
        now = signals.AMPHION["f0_periodicity_rmse|dtw"] if metric == "periodicity_rmse" else None
        if now is None:
            now = [rows[metric, pair][which] for pair in signals.PAIRS]
        if which != "correct" or metric in {name for name, _ in rows}:  # CREPE's minutes are the slow test's
            assert printed == pytest.approx(now, rel=2e-3, abs=2e-3), f"{metric}, {which}: {SIGNALS}"
