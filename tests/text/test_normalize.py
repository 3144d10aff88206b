"""Written English is read as a person reads it."""

from __future__ import annotations

import pytest

from aoide.text.normalize import normalize
from tests.text.readings import READINGS

CASES = [(kind, written, said) for kind, cases in READINGS.items() for written, said in cases]


def test_there_are_enough_cases_and_none_twice() -> None:
    assert len(CASES) >= 220 and len({written for _, written, _ in CASES}) == len(CASES)


@pytest.mark.parametrize(("kind", "written", "said"), CASES, ids=[f"{kind}: {written}" for kind, written, _ in CASES])
def test_reading(kind: str, written: str, said: str) -> None:
    assert normalize(written) == said
