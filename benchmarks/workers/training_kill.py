"""Does a killed run lose anything? A toy FastSpeech 2 is killed with `kill -9` again and again, and goes on each time.

    python benchmarks/workers/training_kill.py        JSON on stdout; about a minute on one core of its own
    from training_kill import killed, two_processes   with benchmarks/workers on the path

`killed` compares all that a run leaves with an unbroken run, bit for bit: weights, average, optimiser and random
generators (the files of the last checkpoint), the clips of every batch in their order, and every logged loss. Every
second kill waits until a checkpoint is being written. `two_processes` trains the same global batch with one process and
with two that talk through gloo, and compares losses.

Processes are forked from this one, which has loaded torch: a start costs milliseconds, so twenty fit into a minute.
"""

from __future__ import annotations

import argparse
import contextlib
import inspect
import json
import multiprocessing
import os
import random
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import numpy as np
import torch

from aoide.audio.sound import Sound
from aoide.data import clips, manifest
from aoide.data.speech import SpeechData
from aoide.text.phonemes import SYMBOLS
from aoide.train import checkpoint, loop, recipe

PHONEMES = ("həlˈO", "wˈɜɹld", "ˈA bˈi sˈi", "ɡˈO")
CLIPS = 24
CLOCKS = ("waiting", "steps_per_second", "seconds_per_second", "clips_per_second")  # what no two runs have alike


class Noted(SpeechData):
    """Speech whose batches are written down, place and clips, as the loop takes them."""

    diary: Path

    def batches(self, seed: int | torch.Generator, rank: int = 0, world: int = 1) -> Iterator[dict[str, Any]]:
        for batch in super().batches(seed, rank, world):
            with self.diary.open("a", encoding="utf-8") as file:
                print(json.dumps([self._epoch, self._taken, batch["ids"]]), file=file)
            yield batch


def make_corpus(folder: Path) -> None:
    """A manifest of short tones with words that nobody said."""
    folder.mkdir()
    draw = np.random.default_rng(0)
    with manifest.writing(folder) as writer:
        for i in range(CLIPS):
            time_axis = np.arange(2400 + 60 * i) / 2400
            tone = 0.3 * np.sin(2 * np.pi * (150 + 5 * i) * time_axis) + 0.01 * draw.standard_normal(len(time_axis))
            path = folder / f"{i}.wav"
            Sound(tone.astype(np.float32), 2400).save(path)
            clip = clips.Clip(id=f"clip{i}", audio=path, text="a", speaker=f"s{i % 2}", phonemes=PHONEMES[i % 4])
            checked = clips.check(clip, clips.Limits())
            assert isinstance(checked, tuple), checked
            writer.add(checked[0])


def toy(data: Path, steps: int, **settings: Any) -> recipe.Recipe:
    """FastSpeech 2 at toy size: dropout draws from the global generator, the post-net has running statistics."""
    read = recipe.from_dict(
        {
            "model": {"name": "tts/fastspeech2"},
            "data": {"kind": "speech", "manifest": str(data), "batch_seconds": 5, "max_seconds": 4, "validation": 2}
            | {"workers": 0},
            "optimiser": {"lr": 1e-3},
            "loop": {"steps": steps, "log_every": 3, "validate_every": 20, "save_every": 4, "device": "cpu"}
            | {"tensorboard": False, "threads": 1},
        },
        "toy",
    )
    read = replace(read, data=replace(read.data, **settings.pop("reading", {})))
    model = replace(read.module.TOY, symbols=len(SYMBOLS) + 200, **settings.pop("model", {}))
    return replace(read, model=model, loop=replace(read.loop, **settings))


def _train(data: Path, folder: Path, steps: int, settings: dict[str, Any], place: dict[str, str]) -> None:
    os.environ.update(place)
    torch.set_num_threads(1)
    read = toy(data, steps, **settings)
    source = replace(read, source=_Noting(folder)).open_source()
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere:
        loop.train(read, folder, source=source, screen=nowhere)


class _Noting:
    """In the place of aoide/data/speech.py: the same data, with a diary beside the run."""

    def __init__(self, folder: Path) -> None:
        rank = os.environ.get("RANK", "0")
        self.SpeechData = type("SpeechData", (Noted,), {"diary": folder.with_name(f"{folder.name}-{rank}.diary")})
        self.SpeechData.__signature__ = inspect.signature(SpeechData)


def _warm() -> None:
    """Loads in this process what a run would load at its first step, so that its forks have it."""
    import safetensors.torch  # noqa: F401
    import torch._dynamo

    torch.set_num_threads(1)
    torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))]).step()


def _start(
    data: Path, folder: Path, steps: int, settings: dict[str, Any], place: dict[str, str] | None = None
) -> BaseProcess:
    process = multiprocessing.get_context("fork").Process(
        target=_train, args=(data, folder, steps, settings, place or {})
    )
    process.start()
    return process


def killed(folder: Path, kills: int = 20, steps: int = 140, seed: int = 0) -> dict[str, Any]:
    """Kills a run `kills` times and compares it with an unbroken one; what was equal, and where the kills fell."""
    began = time.perf_counter()
    _warm()
    data = folder / "data"
    make_corpus(data)
    whole, broken = folder / "whole", folder / "broken"
    process = _start(data, whole, steps, {})
    process.join()
    assert process.exitcode == 0, "the unbroken run failed"
    draw, in_checkpoint, happened = random.Random(seed), 0, 0
    while True:
        before = _halves(broken)
        process = _start(data, broken, steps, {})
        if happened < kills:
            _kill(process, broken, draw, in_save=happened % 2 == 1)
        process.join()
        if process.exitcode == 0:
            break
        assert process.exitcode == -signal.SIGKILL, f"the run failed by itself: {process.exitcode}"
        happened += 1
        in_checkpoint += bool(_halves(broken) - before)
        newest = checkpoint.latest(broken)
        if newest is not None:
            checkpoint.read(newest)  # whatever the moment: the last one is whole
    names = {"model": "weights", "ema": "average", "state": "optimiser_and_generators"}
    equal = {
        what: _last(whole, f"{name}.safetensors").read_bytes() == _last(broken, f"{name}.safetensors").read_bytes()
        for name, what in names.items()
    }
    equal["place_and_counters"] = _last(whole, "state.json").read_bytes() == _last(broken, "state.json").read_bytes()
    equal["batch_order"] = _diary(whole) == _diary(broken) and len(_diary(whole)) >= steps
    equal["losses"] = _losses(whole) == _losses(broken)
    return {
        "kills": happened,
        "in_mid_checkpoint": in_checkpoint,
        "steps": steps,
        "equal": equal,
        "all_equal": all(equal.values()) and happened >= kills,
        "seconds": time.perf_counter() - began,
    }


def two_processes(folder: Path, steps: int = 20) -> dict[str, Any]:
    """The largest difference of any logged loss between one process of two micro-batches and two gloo processes."""
    _warm()
    data = folder / "data-two"
    make_corpus(data)
    still = {"dropout": 0.0, "predictor_dropout": 0.0, "postnet": None}  # two processes draw other dropout than one
    single = {"batch_seconds": 1.9, "max_seconds": 1.7}  # one clip a batch: an even number of batches an epoch
    settings = {"log_every": 1, "model": still, "reading": single}
    one = _start(data, folder / "one", steps, {**settings, "accumulate": 2})
    one.join()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    place = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    pair = [
        _start(data, folder / "two", steps, settings, {**place, "RANK": str(rank), "LOCAL_RANK": str(rank)})
        for rank in range(2)
    ]
    for process in pair:
        process.join()
    assert all(process.exitcode == 0 for process in (one, *pair)), "a run failed"
    apart = [
        abs(first[name] - second[name])
        for first, second in zip(_losses(folder / "one"), _losses(folder / "two"), strict=True)
        for name in first
        if name.startswith("model/") and not name.endswith("/gradient")
    ]
    return {"steps": steps, "losses_compared": len(apart), "largest_difference": max(apart)}


def _kill(process: BaseProcess, folder: Path, draw: random.Random, in_save: bool) -> None:
    """`kill -9` at a random moment of the next few steps; with `in_save` while the next checkpoint is being written."""
    diary = folder.with_name(f"{folder.name}-0.diary")
    far = _size(diary) + draw.randint(1, 500)  # bytes: a batch is a line of some sixty
    while process.is_alive() and _size(diary) < far:
        time.sleep(0.001)
    time.sleep(0.02 * draw.random())
    old = _halves(folder)
    while in_save and process.is_alive() and not _halves(folder) - old:
        time.sleep(0.0002)
    if in_save:
        time.sleep(0.003 * draw.random())
    if process.is_alive():
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _halves(run: Path) -> set[tuple[str, int]]:
    """The checkpoints that are half there, by name and inode: what an earlier kill left is not counted twice."""
    found = set()
    for path in (run / "checkpoints").glob(".part-step-*"):
        with contextlib.suppress(FileNotFoundError):  # it is whole now, and has its name
            found.add((path.name, path.stat().st_ino))
    return found


def _last(run: Path, name: str) -> Path:
    newest = checkpoint.latest(run)
    assert newest is not None
    return newest / name


def _diary(run: Path) -> dict[tuple[int, int], list[str]]:
    """Place -> clips; what a killed run had taken beyond its checkpoint stands there twice, and must be the same."""
    seen: dict[tuple[int, int], list[str]] = {}
    for line in run.with_name(f"{run.name}-0.diary").read_text("utf-8").splitlines():
        try:
            epoch, taken, ids = json.loads(line)
        except ValueError:
            continue  # cut off by the kill
        if seen.setdefault((epoch, taken), ids) != ids:
            return {}
    return seen


def _losses(run: Path) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text("utf-8").splitlines()]
    return [{name: value for name, value in line.items() if name not in CLOCKS} for line in lines]


def main(words: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--steps", type=int, default=140)
    options = parser.parse_args(words)
    with tempfile.TemporaryDirectory() as folder:
        found = {"killed": killed(Path(folder), options.kills, options.steps), "two": two_processes(Path(folder))}
    print(json.dumps(found, indent=1))
    return 0 if found["killed"]["all_equal"] and found["two"]["largest_difference"] <= 1e-5 else 1


if __name__ == "__main__":
    sys.exit(main())
