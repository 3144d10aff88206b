"""The line between the benchmark and a worker: one JSON object a line, question in on stdin, answer out on stdout.

A worker is a small script that runs in the virtual environment of the thing it measures, so it imports that thing,
this file and nothing of Aoide. `serve` answers until stdin closes; `speaker` is all that a voice needs around it.
"""

import json
import os
import sys
import time
import wave
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

Answer = dict[str, Any]

# Answers leave by a copy of stdout; stdout itself becomes stderr, so that no library can print into the line.
LINE = os.fdopen(os.dup(1), "w", encoding="utf-8")
os.dup2(2, 1)


def serve(answer: Callable[[Answer], Answer]) -> None:
    """Answers every line of stdin, until it closes."""
    for question in sys.stdin:
        try:
            reply = answer(json.loads(question))
        except Exception as error:  # the benchmark must see what went wrong, whatever it was
            reply = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(reply), file=LINE, flush=True)


def speaker(say: Callable[[str], tuple[np.ndarray, int]], about: Answer) -> None:
    """Serves a voice. Questions: `{"do": "about"}` and `{"do": "say", "text": ..., "to": wav path or null}`.

    Args:
        say: text -> (samples (samples,) float32 within +-1, sample rate in Hz); all of it is timed.
        about: name, versions, `graph` (the file of the network), `needed` (the data without which it cannot speak)
            and `code` (what else shapes the sound); files or folders.
    """

    def answer(question: Answer) -> Answer:
        if question["do"] == "about":
            return about
        wall, cpu = time.perf_counter(), time.process_time()
        samples, rate = say(question["text"])
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        if question.get("to"):
            write_wav(Path(question["to"]), samples, rate)
        return {"seconds": len(samples) / rate, "wall": wall, "cpu": cpu}

    serve(answer)


def one_thread() -> None:
    """Makes every onnxruntime session of this process use one thread, the same way for every voice.

    onnxruntime reads no environment variable for this, and not every voice lets its caller choose.
    """
    import onnxruntime

    class OneThread(onnxruntime.InferenceSession):
        def __init__(self, graph: Any, sess_options: Any = None, **rest: Any) -> None:
            options = sess_options or onnxruntime.SessionOptions()
            options.intra_op_num_threads = options.inter_op_num_threads = 1
            super().__init__(graph, options, **rest)

    onnxruntime.InferenceSession = OneThread


def write_wav(path: Path, samples: np.ndarray, rate: int) -> None:
    """Mono 16-bit PCM, written aside and renamed, so that an interrupted run leaves no half sound in the cache."""
    aside = path.with_suffix(".part")
    with wave.open(str(aside), "wb") as out:
        out.setparams((1, 2, rate, 0, "NONE", ""))
        out.writeframes(np.round(np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())
    aside.replace(path)


def versions(*packages: str) -> dict[str, str]:
    """The installed versions of the packages that a figure depends on."""
    return {name: metadata.version(name) for name in packages}
