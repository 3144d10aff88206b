"""Ten losses of a fixed ten-step run per model: a change that alters training shows here, and is reviewed.

Meant changes are recorded by `python tools/update_golden.py [NAME ...]`. The tolerance is some ten times what another
number of threads or another CPU changes.
"""

from __future__ import annotations

import json

import pytest

from aoide.models import find
from tests.golden import run

TOLERANCE = 1e-4
SLOW = ("codec/dac", "codec/dualcodec", "codec/facodec", "vocoder/bigvgan")  # 3 to 5 s each
NAMES = [pytest.param(name, marks=pytest.mark.slow if name in SLOW else ()) for name in find.names()]


@pytest.mark.parametrize("name", NAMES)
def test_losses_are_those_recorded(name: str) -> None:
    path = run.path(name)
    assert path.is_file(), f"no golden numbers of {name}: python tools/update_golden.py {name}"
    golden = json.loads(path.read_text("utf-8"))
    now = run.losses(name)
    assert list(now) == list(golden)
    for network, values in golden.items():
        assert now[network] == pytest.approx(values, rel=TOLERANCE), network


def test_no_numbers_without_a_model() -> None:
    known = {run.path(name) for name in find.names()}
    assert sorted(path.name for path in run.FOLDER.glob("*.json") if path not in known) == []
