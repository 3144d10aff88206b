"""Trace files: they come back as they were, and what is no trace is refused with a sentence."""

import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest

from aoide.config import UserError
from aoide.explain import traces
from aoide.explain.traces import Trace, read


def example() -> Trace:
    trace = Trace({"title": "some", "model": "svc/some", "steps": [{"label": "step 1"}], "seconds": 1.0})
    trace.put("pictures", np.linspace(-9, 2, 60).reshape(2, 5, 6), "u1")
    trace.put("curve", np.array([0.25, np.nan, 1e9, -3.5]))
    trace.put("codes", np.array([[1, 70000]]), "i4")
    trace.sounds["step.ogg"] = b"OggS and more"
    return trace


def test_a_trace_comes_back(tmp_path: Path) -> None:
    trace = example()
    trace.save(tmp_path / "a.aoide")
    back = Trace.load(tmp_path / "a.aoide")
    assert back.about["steps"] == [{"label": "step 1"}] and back.title == "some" and back.sounds == trace.sounds
    assert np.abs(back.array("pictures") - np.linspace(-9, 2, 60).reshape(2, 5, 6)).max() < 11 / 255
    assert back.array("curve").tolist()[0] == 0.25 and np.isfinite(back.array("curve")).all()
    assert back.array("codes").tolist() == [[1, 70000]]
    assert back.bytes() == trace.bytes()  # the same run gives the same file
    assert list(tmp_path.iterdir()) == [tmp_path / "a.aoide"]


def changed(**head: object) -> bytes:
    """The example with another trace.json."""
    file = io.BytesIO(example().bytes())
    out = io.BytesIO()
    with zipfile.ZipFile(file) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            data = old.read(name)
            new.writestr(name, json.dumps({**json.loads(data), **head}) if name == "trace.json" else data)
    return out.getvalue()


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"no zip at all", "not a trace that"),
        (changed(version=2, aoide="9.1.0"), "written by Aoide 9.1.0 in version 2 of the format.*update Aoide"),
        (changed(version="1"), "version 1"),
        (changed(format="other"), "another format"),
        (changed(arrays=[]), "names no arrays"),
        (changed(arrays={"curve": {"kind": "f8", "shape": [4]}}), "kind f8"),
        (changed(arrays={"curve": {"kind": "f2", "shape": [5]}}), "8 bytes for shape"),
        (changed(arrays={"curve": {"kind": "f2", "shape": [-1]}}), "shape"),
        (changed(arrays={"curve": {"kind": "f2", "shape": [1 << 27, 1 << 27]}}), "bytes for shape|damaged"),
        (changed(arrays={"gone": {"kind": "f2", "shape": [1]}}), "damaged"),
        (changed(sounds=["gone.ogg"]), "damaged"),
        (example().bytes()[:-40], "not a trace that"),
    ],
    ids=lambda value: value[:24] if isinstance(value, str) else None,
)
def test_what_is_no_trace_is_refused(data: bytes, says: str) -> None:
    with pytest.raises(UserError, match=says):
        read(io.BytesIO(data), "x.aoide")


def test_sizes_are_bounded_before_anything_is_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(traces, "MOST_BYTES", 50)
    with pytest.raises(UserError, match="larger than a trace can be"):
        read(io.BytesIO(example().bytes()), "x.aoide")
    monkeypatch.setattr(traces, "MOST_BYTES", 1 << 20)
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("trace.json", b" " * (1 << 19))
    monkeypatch.setattr(traces, "MOST_HEAD", 1000)
    with pytest.raises(UserError, match="larger than it should be"):
        read(io.BytesIO(bomb.getvalue()), "x.aoide")


def test_files_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file"):
        Trace.load(tmp_path / "none.aoide")
    with pytest.raises(UserError, match="ends in .aoide"):
        example().save(tmp_path / "a.zip")
