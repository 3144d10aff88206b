"""The recorder: what is kept of a run for the explorer, small enough to stay in memory beside the model.

    with aoide.trace(model) as trace:                     # aoide.trace is aoide/trace.py, called
        mel = model.convert(content, f0, steps=50)
    trace.page("run.html")                                # or trace.save("run.aoide"); in a notebook: trace

Samplers and blocks report far more than a page can show. So steps are kept in half precision and of the first item of a
batch, attention is asked for at a few steps only (steps 1, 2, 3, 5, 9, 17 ...) and of three layers after the first
step, and comes down to 128 x 128 at once; of scores over a vocabulary the chance of the token and the entropy are kept.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np

from aoide import trace
from aoide.explain import views

if TYPE_CHECKING:
    from aoide.audio.sound import Sound
    from aoide.explain.traces import Trace

SIDE = 128  # rows and columns of attention that are kept
HEADS = 4  # heads
FIRST_ROUND = 96  # layers of attention that are looked at before the first step ends
MOST_BYTES = 512 << 20  # of everything that is kept
STEPS = ("diffusion/x", "flow/x", "consistency/x")


class Recorder(trace.Recording):
    """A recording that chooses. Open it with `with`; afterwards it makes a `Trace`.

    Args:
        model: what is recorded: gives the name and the mel; None: neither is known.
        to_mel: where steps are no mels but components of them: (1, frames, values) -> (1, frames, mels), arrays.
        about: what the page says of the run: title, task, input, and settings such as steps=50, singer="heart".
    """

    def __init__(
        self, model: Any = None, *, to_mel: Callable[[np.ndarray], np.ndarray] | None = None, **about: Any
    ) -> None:
        super().__init__()
        self.model, self.told, self.to_mel = model, about, to_mel
        self.sound: Sound | None = None  # what came out, where the one who records says so
        self.reference: Sound | None = None  # what should have come out, or what went in
        self.left_out = 0  # reports for which there was no room
        self._open: AbstractContextManager[trace.Recording] | None = None
        self._steps, self._bytes = 0, 0
        self._seen = 0  # attention that was asked for since the last step
        self._layers: tuple[int, ...] | None = None  # of which attention is kept after the first step
        self._made: Trace | None = None

    def __enter__(self) -> Recorder:
        self._open = trace.record(into=self)
        self._open.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        assert self._open is not None
        self._open.__exit__(kind, error, where)

    # --------------------------------------------------------------------------------------------------------- keeping

    def wants(self, name: str) -> bool:
        """See `trace.Recording.wants`; counts the layers that ask."""
        if name != "attention":
            return True
        number = self._seen
        self._seen += 1
        if self._layers is None:
            return number < FIRST_ROUND
        return number in self._layers and (self._steps & (self._steps - 1)) == 0

    def add(self, name: str, value: Any, where: dict[str, Any]) -> None:
        if name == "attention":
            value = views.shrunk_attention(value, HEADS, SIDE)
            where = {**where, "step": self._steps, "layer": self._seen - 1}
        elif name == "tokens/next":
            value = views.certainty(value, where["token"])
        elif name in STEPS:
            value = views.first_item(value, np.float16)
        elif name == "hidden":
            value = views.first_item(value, np.float32)
        else:
            value = trace.snapshot(value)
        self._bytes += getattr(value, "nbytes", 64)
        if self._bytes > MOST_BYTES:
            self.left_out += 1
            return
        self.events.append(trace.Event(name, value, where))
        if name in STEPS or name in ("tokens/next", "masked/codes"):
            self._next_step()

    def _next_step(self) -> None:
        if self._layers is None and self._seen:
            self._layers = tuple(sorted({0, self._seen // 2, self._seen - 1}))
        self._steps, self._seen = self._steps + 1, 0

    # ----------------------------------------------------------------------------------------------------------- using

    @property
    def trace(self) -> Trace:
        """What was recorded, gathered once; steps are made sound here, which takes a moment each."""
        if self._made is None:
            from aoide.explain.gather import gather

            self._made = gather(self)
        return self._made

    def save(self, path: str | Path) -> None:
        """Writes a trace, `.aoide`."""
        self.trace.save(path)

    def page(self, path: str | Path) -> None:
        """Writes the page."""
        self.trace.page(path)

    def _repr_html_(self) -> str:
        return self.trace._repr_html_()
