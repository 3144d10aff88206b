"""What a run says: a live line on a terminal, plain lines elsewhere, metrics.jsonl in the run folder, and TensorBoard,
which also gets sounds and pictures of held-out clips; or trackio in its place or beside it.

metrics.jsonl has one JSON object a line, each with its `step`: means since the line before (`generator/mel`), learning
rates, seconds of audio per second, and the share of the time that was spent waiting for data; `validation/...` lines
between them. A resumed run goes on in the same file, as if it had never stopped.
"""

from __future__ import annotations

import importlib.util
import json
import math
import struct
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

import numpy as np
from tqdm import tqdm

from aoide.config import require, write_aside
from aoide.train.samples import Samples


class Meter:
    """Means since the last look, kept as sums so that processes can be added up and a checkpoint can hold them."""

    def __init__(self) -> None:
        self.sums: dict[str, float] = {}
        self.counts: dict[str, int] = {}

    def add(self, values: dict[str, float]) -> None:
        for name, value in values.items():
            self.sums[name] = self.sums.get(name, 0.0) + value
            self.counts[name] = self.counts.get(name, 0) + 1

    def take(self, total: Callable[[list[float]], list[float]]) -> dict[str, float]:
        """The means of all processes, added up by `total`; the meter starts anew."""
        names = list(self.sums)
        numbers = total([*self.sums.values(), *map(float, self.counts.values())])
        self.sums, self.counts = {}, {}
        return {name: numbers[i] / numbers[i + len(names)] for i, name in enumerate(names)}

    def state_dict(self) -> dict[str, Any]:
        return {"sums": self.sums, "counts": self.counts}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.sums, self.counts = state["sums"], state["counts"]


class Pace:
    """How fast training goes since the last look, validation and saving left out."""

    def __init__(self) -> None:
        self.data = self.waiting = self.working = 0.0
        self.steps = 0
        self.unit = "clips"

    def add(self, data: float, unit: str, waiting: float, working: float) -> None:
        """One step: how many `unit` of data this process took, and its seconds of waiting for them and of work."""
        self.data, self.unit, self.steps = self.data + data, unit, self.steps + 1
        self.waiting, self.working = self.waiting + waiting, self.working + working

    def take(self, total: Callable[[list[float]], list[float]]) -> dict[str, float]:
        """The pace of all processes, added up by `total`; counting starts anew."""
        elapsed = max(self.waiting + self.working, 1e-9)
        pace = {
            f"{self.unit}_per_second": total([self.data])[0] / elapsed,
            "steps_per_second": self.steps / elapsed,
            "waiting": self.waiting / elapsed,
        }
        self.data = self.waiting = self.working = 0.0
        self.steps = 0
        return pace


class Log:
    """The voice of one run; made by the leading process alone.

    Args:
        run: the run's folder.
        step: where the run is; lines of later steps, written by a run that was killed, leave metrics.jsonl.
        steps: where it ends.
        tensorboard: write to run/tensorboard too, where TensorBoard is installed.
        screen: where to speak; a terminal gets a live line.
        trackio: write to trackio too.

    Raises:
        MissingExtra: trackio is asked for and not installed.
    """

    def __init__(  # noqa: PLR0913
        self,
        run: Path,
        step: int,
        steps: int,
        tensorboard: bool,
        screen: TextIO | None = None,
        trackio: bool = False,
    ) -> None:
        self.screen = screen or sys.stderr
        self.steps = steps
        self.path = run / "metrics.jsonl"
        _forget_after(self.path, step)
        self._file = self.path.open("a", encoding="utf-8")
        self._board = _board(run / "tensorboard", step) if tensorboard else None
        self._tracker = require("trackio", "track") if trackio else None
        if self._tracker is not None:
            self._tracker.init(project="aoide", name=run.resolve().name, resume="allow")
        live = self.screen.isatty()
        self._bar = tqdm(total=steps, initial=step, unit="step", file=self.screen, dynamic_ncols=True) if live else None
        self._first, self._started = step, time.perf_counter()

    def __enter__(self) -> Log:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._bar is not None:
            self._bar.close()
        if self._board is not None:
            self._board.close()
        if self._tracker is not None:
            self._tracker.finish()
        self._file.close()

    def advance(self) -> None:
        """One step is done."""
        if self._bar is not None:
            self._bar.update()

    def say(self, line: str) -> None:
        """A line for people."""
        if self._bar is not None:
            self._bar.write(line, file=self.screen)
        else:
            print(line, file=self.screen, flush=True)

    def write(self, step: int, values: dict[str, float]) -> None:
        """One line of metrics.jsonl, and the same for TensorBoard."""
        line = {name: value if math.isfinite(value) else None for name, value in values.items()}  # JSON knows no NaN
        self._file.write(json.dumps({"step": step, **line}) + "\n")
        self._file.flush()
        if self._board is not None:
            for name, value in values.items():
                self._board.add_scalar(name, value, step)
        if self._tracker is not None:
            self._tracker.log(line, step=step)

    def show(self, step: int, samples: Samples) -> None:
        """Sounds and pictures of held-out clips, for TensorBoard."""
        if self._board is None:
            return
        for name, sound in samples.sounds.items():
            self._board.add_audio(name, np.clip(sound, -1, 1)[None], step, samples.sample_rate)
        for name, picture in samples.pictures.items():
            _add_picture(self._board, f"{name}/generated_above_recorded", picture, step)
        self._board.flush()

    def progress(self, step: int, losses: dict[str, float], pace: dict[str, float]) -> None:
        """Shows the means since the last time: beside the bar on a terminal, otherwise as a line with the time left."""
        shown = [f"{name} {value:.4g}" for name, value in losses.items()]
        shown += [f"{value:.3g} {_UNITS[name]}" for name, value in pace.items() if name in _UNITS]
        if self._bar is not None:
            self._bar.set_postfix_str("  ".join(shown[:6]))
            return
        left = (time.perf_counter() - self._started) / max(1, step - self._first) * (self.steps - step)
        self.say("  ".join([f"step {step}/{self.steps}", *shown, f"{_clock(left)} left"]))


_UNITS = {"seconds_per_second": "s/s", "clips_per_second": "clips/s"}


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}"


def _forget_after(path: Path, step: int) -> None:
    """Takes lines of later steps, and a last line that was cut off, out of metrics.jsonl."""
    if not path.is_file():
        return
    old = path.read_text("utf-8", errors="replace")
    kept = "".join(line for line in old.splitlines(keepends=True) if _step_of(line) <= step)
    if kept != old:
        with write_aside(path) as aside:
            aside.write_text(kept, "utf-8")


def _step_of(line: str) -> float:
    """The step of a line; infinity for a line that is not whole."""
    try:
        return json.loads(line)["step"] if line.endswith("\n") else float("inf")
    except (ValueError, KeyError, TypeError):
        return float("inf")


def _add_picture(board: Any, name: str, png: bytes, step: int) -> None:
    """Adds a finished PNG; TensorBoard's own `add_image` would make one, and needs another package to do so."""
    from tensorboard.compat.proto.summary_pb2 import Summary

    width, height = struct.unpack(">II", png[16:24])
    image = Summary.Image(width=width, height=height, colorspace=3, encoded_image_string=png)
    board._get_file_writer().add_summary(Summary(value=[Summary.Value(tag=name, image=image)]), step)


def _board(folder: Path, step: int) -> Any:
    """TensorBoard's writer, or None where it is not installed."""
    if importlib.util.find_spec("tensorboard") is None:
        return None
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter(str(folder), purge_step=step + 1)  # what a killed run wrote beyond this step does not count
