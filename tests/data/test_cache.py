"""Entries are keyed by sound and settings, whole or absent, and mended when broken."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from aoide.audio.pitch import PitchConfig
from aoide.config import UserError
from aoide.data.cache import Broken, Cache


def test_computed_once(tmp_path: Path) -> None:
    cache, calls = Cache(tmp_path, "f0", {"hop": 300, "pitch": PitchConfig()}), []

    def compute() -> np.ndarray:
        calls.append(1)
        return np.arange(3.0)

    for _ in range(3):
        assert np.array_equal(cache.get("abcd", compute), [0, 1, 2])
    assert len(calls) == 1 and cache.path("abcd").is_file()
    assert json.loads((cache.folder / "settings.json").read_text())["pitch"]["method"] == "autocorrelation"
    assert not [p for p in tmp_path.rglob("*") if "part" in p.name]


@pytest.mark.parametrize("kind", [np.float32, np.float16, np.int32, np.float64, bool])
@pytest.mark.parametrize("shape", [(), (0,), (5,), (3, 4), (2, 3, 4)])
def test_an_entry_is_a_file_of_numpy(tmp_path: Path, kind: type, shape: tuple[int, ...]) -> None:
    cache, array = Cache(tmp_path, "f0", {}), np.ones((*shape[::-1],), kind).T
    cache.save("abcd", array)
    for read in (cache.load("abcd"), np.load(cache.path("abcd"))):
        assert read is not None and read.dtype == kind and read.shape == shape and np.array_equal(read, array)
    ours = cache.path("abcd").read_bytes()
    np.save(tmp_path / "x.npy", np.ascontiguousarray(array).reshape(shape))
    assert ours[:-4] == (tmp_path / "x.npy").read_bytes()


def test_other_settings_are_another_entry(tmp_path: Path) -> None:
    names = {
        Cache(tmp_path, kind, settings).path("abcd")
        for kind, settings in [("f0", {"hop": 300}), ("f0", {"hop": 256}), ("mel", {"hop": 300})]
    }
    assert len(names) == 3
    assert Cache(tmp_path, "f0", {"a": 1, "b": 2}).folder == Cache(tmp_path, "f0", {"b": 2, "a": 1}).folder


def test_a_broken_entry_is_computed_anew(tmp_path: Path) -> None:
    cache = Cache(tmp_path, "f0", {})
    cache.get("abcd", lambda: np.ones(1000))
    for content in (b"", b"\x93NUMPY", cache.path("abcd").read_bytes()[:500]):
        cache.path("abcd").write_bytes(content)
        with pytest.warns(UserWarning, match="it is computed anew"):
            assert cache.get("abcd", lambda: np.ones(1000)).sum() == 1000
    assert np.load(cache.path("abcd")).sum() == 1000, "numpy reads an entry as it is"


def test_one_flipped_bit_is_seen(tmp_path: Path) -> None:
    cache = Cache(tmp_path, "f0", {})
    cache.save("abcd", np.ones(1000))
    data = bytearray(cache.path("abcd").read_bytes())
    data[500] ^= 4
    cache.path("abcd").write_bytes(data)
    with pytest.raises(Broken, match="checksum"):
        cache.load("abcd")
    assert cache.load("efgh") is None


def test_a_cache_that_was_cleared_meanwhile_is_made_again(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "c", "f0", {})
    cache.save("abcd", np.ones(3))
    shutil.rmtree(tmp_path / "c")
    cache.save("abce", np.ones(3))
    assert cache.load("abce") is not None and (cache.folder / "settings.json").is_file()


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"set data\.cache"):
        Cache(tmp_path / "file", "f0", {}).get("abcd", lambda: np.ones(1))


def test_a_failed_computation_leaves_nothing(tmp_path: Path) -> None:
    def fail() -> np.ndarray:
        raise RuntimeError("half-way")

    with pytest.raises(RuntimeError):
        Cache(tmp_path, "f0", {}).get("abcd", fail)
    assert not list(tmp_path.rglob("*.npy"))
