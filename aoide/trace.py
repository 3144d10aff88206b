"""The recorder's hook: objectives and blocks report their steps to it; switched off it costs one look at a variable.

A sampler says what it does while it does it:

    trace.report("diffusion/x", x, step=i)

and whoever wants to see that opens a recording around the call:

    with trace.record() as recording:
        model(...)
    recording.values("diffusion/x")  # one array or tensor per step, in order

The module can be called: `with aoide.trace(model) as trace:` records what the explorer shows (aoide/explain), and
`trace.page("run.html")` shows it. The recording belongs to the current thread or task (a context variable), so two
requests of one server do not mix.
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import ModuleType

TYPE_CHECKING = False  # as typing.TYPE_CHECKING, without the import of typing
if TYPE_CHECKING:
    from typing import Any


class Event:
    """One report: the `name` of what was computed, its `value` at that moment, and `where` it was (step, layer)."""

    __slots__ = ("name", "value", "where")

    def __init__(self, name: str, value: Any, where: dict[str, Any]) -> None:
        self.name, self.value, self.where = name, value, where

    def __repr__(self) -> str:
        place = "".join(f", {key}={value}" for key, value in self.where.items())
        shape = getattr(self.value, "shape", None)
        return f"Event({self.name}{place}: {self.value if shape is None else tuple(shape)})"


class Recording:
    """What was reported while it was open, in order."""

    def __init__(self, only: Collection[str] | None = None) -> None:
        self.events: list[Event] = []
        self._only = only

    def add(self, name: str, value: Any, where: dict[str, Any]) -> None:
        """Keeps a copy of `value`, since the reporter may go on to change it in place."""
        if self.wants(name):
            self.events.append(Event(name, snapshot(value), where))

    def wants(self, name: str) -> bool:
        """Whether it keeps what is reported under `name` now: reporters ask before they compute what costs much."""
        return self._only is None or name in self._only

    def names(self) -> list[str]:
        """The names that were reported, each once, in the order of their first report."""
        return list(dict.fromkeys(event.name for event in self.events))

    def values(self, name: str) -> list[Any]:
        """The values reported under `name`, in order."""
        return [event.value for event in self.events if event.name == name]


_current: ContextVar[Recording | None] = ContextVar("aoide_recording", default=None)


@contextmanager
def record(only: Collection[str] | None = None, into: Recording | None = None) -> Iterator[Recording]:
    """Opens a recording; `only` keeps just these names. The innermost of nested recordings gets the reports.

    Args:
        into: one that chooses by itself what it keeps, instead of a new one.
    """
    recording = Recording(only) if into is None else into
    token = _current.set(recording)
    try:
        yield recording
    finally:
        _current.reset(token)


def active(name: str | None = None) -> bool:
    """Whether somebody records, and this name: ask before computing something only to report it."""
    recording = _current.get()
    return recording is not None and (name is None or recording.wants(name))


def report(name: str, value: Any, **where: Any) -> None:
    """Tells the open recording, if any, that `name` now has this value (a tensor, an array, a number) at `where`."""
    recording = _current.get()
    if recording is not None:
        recording.add(name, value, where)


def layer(number: int, count: int, x: Any) -> None:
    """Reports what goes through layer `number` of `count`, x (batch, frames, dim), as its mean over the frames.

    Only of the first, the middle and the last one: where a path of hidden states is looked at, these differ most.
    """
    if active("hidden") and number in (0, count // 2, count - 1):
        report("hidden", x.mean(-2), layer=number, layers=count)


def snapshot(value: Any) -> Any:
    """A copy that later in-place changes do not reach: tensors on the CPU without graph, arrays copied."""
    if hasattr(value, "detach"):  # a torch tensor, known by its methods: this module does not import torch
        return value.detach().to("cpu", copy=True)
    if hasattr(value, "__array_interface__"):
        return value.copy()
    return value


class _Callable(ModuleType):
    """Gives the module the call that its name promises; what stands in it stays where it is."""

    def __call__(self, model: Any = None, **about: Any) -> Any:
        """Records, while open, what a model does for the explorer; see `aoide.explain.recorder.Recorder`."""
        import importlib

        # by name, as it stands above this module and is loaded by nobody who does not ask for it
        return importlib.import_module("aoide.explain.recorder").Recorder(model, **about)


sys.modules[__name__].__class__ = _Callable
