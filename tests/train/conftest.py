"""Toy runs save often; waiting for the disk each time is left to the test that is about it."""

import importlib.util

import pytest

TORCH = importlib.util.find_spec("torch") is not None
collect_ignore_glob = [] if TORCH else ["*.py"]  # the core alone cannot train


@pytest.fixture(autouse=True)
def _no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    from aoide.train import checkpoint
    from tests.train import toy

    monkeypatch.setattr(checkpoint, "_sync", toy.unsynced)
