"""How fast vocoders are on this machine: each in a process of its own, so that memory is its own too.

Weights are random for models that come without: arithmetic costs the same. Times are seconds of work per second of
sound; compare them within one run only, for another machine, or the same one at another time, gives others.
"""

from __future__ import annotations

import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from aoide.config import UserError

SLOW = ("vocoder/wavenet", "vocoder/wavernn")  # sample by sample
REPEATS = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class Timing:
    """One vocoder at one number of threads."""

    name: str
    threads: int
    parameters: int  # 0 where they are in a graph
    seconds_per_second: float
    first_chunk: float  # seconds until the first tenth of a second of sound is there
    memory: float  # MB at the peak, above what was there before the model was built
    graph: str  # torch or onnx


def measure(name: str, threads: int, seconds: float = 4.0, onnx: bool = False) -> Timing:
    """Times one vocoder in a new process.

    Args:
        name: `vocoder/...`, at the size of its default Config, or a vocoder of the package.
        seconds: of sound; sample-by-sample models get a hundredth.
        onnx: the exported graph of a model instead of torch.

    Raises:
        UserError: the vocoder cannot be run, with its own words.
    """
    arguments = json.dumps({"name": name, "threads": threads, "seconds": seconds, "onnx": onnx})
    command = [sys.executable, "-m", "aoide.generate.bench", arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise UserError(f"{name}: {(done.stderr.strip().splitlines() or ['ended without a word'])[-1]}")
    return Timing(**json.loads(done.stdout.splitlines()[-1]))


def _worker(name: str, threads: int, seconds: float, onnx: bool) -> Timing:
    from aoide import voices

    if name in voices.names("vocoder"):
        return _packed(name, name, threads, seconds)
    import torch

    from aoide.models import find

    torch.set_num_threads(threads)
    module = find.find(name)
    before = peak()
    torch.manual_seed(0)
    model = module.Model(module.Config()).eval()
    parameters = sum(parameter.numel() for parameter in model.parameters())
    if onnx:
        import tempfile

        from aoide.generate.pack import export_vocoder

        with tempfile.TemporaryDirectory() as folder:
            target = Path(folder) / "exported"
            export_vocoder(model, target, name=name, licence="")
            return _packed(name, str(target), threads, seconds)
    from aoide.nn.fold import fold

    fold(model)
    if name in SLOW:
        seconds /= 100
    example = module.example(module.Config(), batch=1)
    frames = max(1, round(seconds * _frame_rate(model)))
    call = model.vocode if hasattr(model, "vocode") else model
    few = max(1, round(0.1 * _frame_rate(model)))
    with torch.inference_mode():
        whole, first = (_inputs(call, example, count) for count in (frames, few))
        taken = _time(lambda: call(**whole))
        latency = _time(lambda: call(**first))
    return Timing(
        name=name,
        threads=threads,
        parameters=parameters,
        seconds_per_second=taken / (frames / _frame_rate(model)),
        first_chunk=latency,
        memory=peak() - before,
        graph="torch",
    )


def _packed(name: str, folder: str, threads: int, seconds: float) -> Timing:
    from aoide.generate.vocoder import Vocoder

    before = peak()
    vocoder = Vocoder(folder, threads)
    random = np.random.default_rng(0)
    mel = random.standard_normal((round(seconds * vocoder.mel.frame_rate), vocoder.mel.n_mels)).astype(np.float32) - 4
    few = mel[: round(0.1 * vocoder.mel.frame_rate) + vocoder.description.context]
    taken, latency = _time(lambda: vocoder.vocode(mel)), _time(lambda: vocoder.vocode(few))
    return Timing(
        name=name,
        threads=threads,
        parameters=0,
        seconds_per_second=taken / (len(mel) / vocoder.mel.frame_rate),
        first_chunk=latency,
        memory=peak() - before,
        graph="onnx",
    )


def _inputs(call: Any, example: dict[str, Any], frames: int) -> dict[str, Any]:
    """The fields that the call asks for, at this many frames, all real."""
    import inspect

    import torch

    asked = inspect.signature(call.forward if hasattr(call, "forward") else call).parameters
    fields: dict[str, Any] = {}
    for key in ("mel", "f0"):
        if key in asked and key in example:
            value = example[key]
            fields[key] = torch.cat([value] * -(-frames // value.shape[1]), dim=1)[:, :frames].contiguous()
    return fields


def _time(call: Callable[[], Any]) -> float:
    """Seconds of a call: the median of some after one that warms up."""
    call()
    taken = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        call()
        taken.append(time.perf_counter() - started)
    return statistics.median(taken)


def _frame_rate(model: Any) -> float:
    return model.config.mel.frame_rate


def peak() -> float:
    """MB that this process has held at most; getrusage would count what the process that started it held."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024
    except (OSError, StopIteration):  # not Linux
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asdict(_worker(**json.loads(sys.argv[1])))))
