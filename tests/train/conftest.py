"""Toy runs save often; waiting for the disk each time is left to the test that is about it."""

import pytest

from aoide.train import checkpoint
from tests.train import toy


@pytest.fixture(autouse=True)
def _no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "_sync", toy.unsynced)
