"""`aoide extract`: fills the cache that training reads, whole, once, and goes on where it was stopped."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from aoide import cli  # noqa: E402  (after the skip)
from aoide.config import UserError  # noqa: E402
from aoide.data import extraction  # noqa: E402
from tests.data.test_features import ALL, data  # noqa: E402
from tests.data.test_speech import prepare  # noqa: E402

RECIPE = """
model: {name: vocoder/nsf_hifigan}
data: {kind: speech, manifest: x, segment_seconds: 0.3, min_seconds: 0.1, pitch: {method: autocorrelation}}
"""


def entries(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in (folder / "cache").rglob("*.npy")}


def test_what_is_extracted_is_what_training_would_compute(tmp_path: Path) -> None:
    folder = prepare(tmp_path / "x", 6)
    report = extraction.extract(data(folder, *ALL, features="cache"), on="threads")
    assert report.computed == dict.fromkeys(("mel", "energy", "f0", "periodicity", "loudness"), 6)
    assert report.seconds == pytest.approx(sum(0.5 + 0.13 * i for i in range(6)), abs=0.01) and not report.refused
    ours = entries(folder)
    for path in folder.rglob("cache/*/*/*.npy"):
        path.unlink()
    list(zip(range(6), data(folder, *ALL, features="cache", batch_seconds=5.0).batches(0), strict=False))
    theirs = entries(folder)
    assert ours.keys() == theirs.keys() and len(ours) == 24
    for name, entry in ours.items():
        a, b = (np.frombuffer(x[128:-4], np.float32) for x in (entry, theirs[name]))
        assert a.shape == b.shape and np.allclose(a, b, atol=2e-3), name


def test_what_is_there_stays_what_is_broken_or_missing_is_computed(tmp_path: Path) -> None:
    folder = prepare(tmp_path / "x", 4)
    source = data(folder, "f0", "mel", features="cache")
    extraction.extract(source, on="threads")
    before = {p: p.stat().st_mtime_ns for p in (folder / "cache").rglob("*.npy")}
    [broken, missing, *_] = sorted(before)
    broken.write_bytes(broken.read_bytes()[:-9] + b"123456789")
    missing.unlink()
    report = extraction.extract(source, on="threads")
    assert sum(report.computed.values()) == 2 and sum(report.there.values()) == 6 and len(report.broken) == 1
    changed = {p for p, time in before.items() if p.stat().st_mtime_ns != time}
    assert changed == {broken, missing}
    assert not extraction.extract(source, on="threads").computed


def test_parts_hold_every_clip_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = data(prepare(tmp_path / "x", 9), "f0")
    monkeypatch.setattr(extraction, "_SECONDS", 2.0)
    parts = list(extraction._parts(source.manifest, source.training))
    assert len(parts) > 3 and np.concatenate(parts).tolist() == list(range(9)) and all(map(len, parts))


def test_clips_that_cannot_be_read_are_named_and_the_rest_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    prepare(tmp_path / "x", 4)
    (tmp_path / "x" / "audio" / "2.wav").write_bytes(b"RIFF")
    (tmp_path / "r.yaml").write_text(RECIPE)
    monkeypatch.chdir(tmp_path)
    command = ["extract", "r.yaml", "data.features=cache", "data.validation=1", "--on", "threads"]
    assert cli.main(command) == 0
    told = capsys.readouterr()
    assert re.search(r"f0 +3 computed, +0 were there", told.out) and re.search(r"seconds per second", told.out)
    assert "left out: clip c2: " in told.err
    assert cli.main(command) == 0
    assert re.search(r"mel +0 computed, +3 were there", capsys.readouterr().out)


def test_nothing_to_extract_is_said(tmp_path: Path) -> None:
    folder = prepare(tmp_path / "x", 2)
    with pytest.raises(UserError, match="nothing to extract.*on_the_fly"):
        extraction.extract(data(folder, "f0", features="on_the_fly"))
    with pytest.raises(UserError, match="nothing to extract.*needs none"):
        extraction.extract(data(folder, "audio"))


@pytest.mark.slow  # 12 s: two processes load torch
def test_processes_give_the_same_files(tmp_path: Path) -> None:
    folder = prepare(tmp_path / "x", 4)
    source = data(folder, "f0", "mel", features="cache")
    extraction.extract(source, on="threads")
    ours = entries(folder)
    other = data(folder, "f0", "mel", features="cache", cache=tmp_path / "y" / "cache")
    assert extraction.extract(other, jobs=2).computed == {"f0": 4, "mel": 4}
    assert entries(tmp_path / "y").keys() == ours.keys()
    assert replace(other.config, cache=None) == source.config
