"""Ears: one file per metric. Each name is a function that is loaded when it is first used.

    aoide.metrics.f0_rmse(reference, generated, 24000)      # cents
    aoide.metrics.names()                                   # all of them
    aoide.metrics.find("f0_rmse").METRIC                    # its unit, which way is better, its best value

A metric `x` is the file aoide/metrics/x.py, recognised by its line `METRIC = Metric(...)`. In it stand

    METRIC      what it is: see `metric.Metric`
    x(...)      the metric, by the kind of METRIC:
                pair    (reference, generated, sample_rate, *, options) -> float
                single  (generated, sample_rate, *, options) -> float
                sets    (reference (clips, dim), generated (clips, dim), *, options) -> float
                text, codes, score: as the docstring says
    amphion     where Amphion has the metric: its number, with all that is wrong about it, to compare with papers

Sounds are float arrays (samples,) or (samples, channels), or `analysis.Analysis` objects, which keep what several
metrics need. A value that does not exist (no voice to compare, silence) is NaN, never a perfect score.
"""

from __future__ import annotations

import importlib
import re
import sys
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from aoide.config import UserError, near

_FOLDER = Path(__file__).parent
_DECLARATION = re.compile(r"^METRIC = ", re.MULTILINE)


class _Metrics(ModuleType):
    """The package; what it hands out under a metric's name is the function, not the file."""

    def __setattr__(self, name: str, value: Any) -> None:
        # The import system hangs each imported file into its package, where it would hide the function of its name.
        if isinstance(value, ModuleType) and hasattr(value, "METRIC"):
            value = getattr(value, name)
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Metrics


def names() -> list[str]:
    """The names of all metrics, sorted. Files are read, not imported."""
    return sorted(path.stem for path in _FOLDER.glob("[!_]*.py") if _is_metric(path.stem))


def find(name: str) -> ModuleType:
    """The file of a metric, imported: METRIC, the function of its name, perhaps `amphion`.

    Raises:
        UserError: there is none of this name; names the near ones.
    """
    if not _is_metric(name):
        known = names()
        guess = near(name, known) or f" there are {', '.join(known)}"
        raise UserError(f"no metric {name!r};{guess}")
    return importlib.import_module(f"aoide.metrics.{name}")


@cache  # an evaluation asks for each metric of each pair
def _is_metric(name: str) -> bool:
    path = _FOLDER / f"{name}.py"
    return path.is_file() and _DECLARATION.search(path.read_text("utf-8")) is not None


def __getattr__(name: str) -> Any:
    if not name.startswith("_") and _is_metric(name):
        return getattr(importlib.import_module(f"aoide.metrics.{name}"), name)
    raise AttributeError(f"module 'aoide.metrics' has no attribute {name!r}; metrics: aoide.metrics.names()")


def __dir__() -> list[str]:
    return [*names(), "find", "names"]
