"""Sweeps are the tests that go through all models, recipes or pages: `make test` runs them, `make check` does not."""

from pathlib import Path

import pytest

SWEEPS = ("contract", "golden", "parity", "test_recipes.py", "test_docs.py")  # below this folder


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if item.path.relative_to(here).parts[0] in SWEEPS:
            item.add_marker(pytest.mark.sweep)
