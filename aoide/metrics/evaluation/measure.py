"""One name, in a worker process: its sounds are read once, analysed once, and everything is measured on them."""

from __future__ import annotations

import base64
import ctypes
import hashlib
import os
import signal
import sys
import threading
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from aoide.audio.mel_config import MelConfig
from aoide.config import MissingExtra, UserError, write_aside
from aoide.metrics import find
from aoide.metrics.analysis import Analysis, pair
from aoide.metrics.evaluation.items import Item
from aoide.metrics.evaluation.plan import Picture, Step

REFERENCE = "(reference)"
_SHOWN = MelConfig(sample_rate=16000, n_fft=512, win=512, hop=160, n_mels=72, fmin=0.0, fmax=8000.0, floor=1e-4)


@dataclass(slots=True)
class Task:
    """What is left to do for one name.

    Attributes:
        items: sounds by system, that of the reference under `REFERENCE`.
        steps: what to measure of each.
        picture: draws a pair; pictures are files below `folder`.
    """

    name: str
    items: dict[str, Item]
    steps: dict[str, list[Step]]
    folder: Path | None = None
    picture: Picture | None = None
    pictured: set[str] = field(default_factory=set)  # systems whose picture is missing


@dataclass(slots=True)
class Found:
    """What was measured of one sound.

    Attributes:
        values: by key of the step; NaN where a value is undefined.
        errors: (kind, text) by key: "extra" where a package is missing, "user" where the metric says what is wrong,
            "fault" for anything else.
        excluded: why the sound is no use at all; empty if it is.
    """

    name: str
    system: str
    values: dict[str, Any] = field(default_factory=dict)
    errors: dict[str, tuple[str, str]] = field(default_factory=dict)
    excluded: str = ""
    about: dict[str, Any] = field(default_factory=dict)


def begin() -> None:
    """What a worker does first: it leaves Ctrl-C to its parent, and does not outlive it."""
    import multiprocessing
    from multiprocessing.connection import wait

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:

        def follow() -> None:
            wait([parent.sentinel])
            os._exit(1)

        threading.Thread(target=follow, daemon=True).start()


def measure(task: Task) -> list[Found]:
    """Measures all sounds of one name; the reference first."""
    sounds: dict[str, Analysis] = {}
    found = []
    for system, item in task.items.items():
        row = Found(task.name, system)
        found.append(row)
        try:
            sounds[system] = Analysis(*item.read())
        except (UserError, MissingExtra) as error:
            row.excluded = str(error)
    reference = sounds.get(REFERENCE)
    for row in found:
        if row.system not in sounds or (REFERENCE in task.items and reference is None):
            continue
        sound = sounds[row.system]
        row.about = {"seconds": round(sound.seconds, 3), "rate": sound.sample_rate, "silent": bool(sound.silent)}
        for step in task.steps.get(row.system, ()):
            _take(step, reference, sound, task.items[row.system].text, row)
        if row.system in task.pictured and task.picture and task.folder:
            shown = [sound] if reference is None else [reference, sound]
            _draw(task.picture, shown, task.folder / picture_name(task.name, row.system))
    return found


def measure_and_tidy(task: Task) -> list[Found]:
    """`measure`, and what is free afterwards goes back to the system.

    Sounds differ in length, and so does what networks need for them: glibc would keep it all, in pieces, and a worker
    would hold more with each sound.
    """
    found = measure(task)
    give_back = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if give_back is not None:  # other C libraries have no such function
        give_back(0)
    return found


def _take(step: Step, reference: Analysis | None, sound: Analysis, text: str | None, row: Found) -> None:
    try:
        row.values[step.key] = _value(step, reference, sound, text)
    except MissingExtra as error:
        row.errors[step.key] = "extra", str(error)
    except UserError as error:
        row.errors[step.key] = "user", str(error)
    except Exception as error:  # a library may fail in any way on a sound that it does not expect: the rest goes on
        row.errors[step.key] = "fault", f"{type(error).__name__}: {error}"


def _value(step: Step, reference: Analysis | None, sound: Analysis, text: str | None) -> Any:
    settings = step.settings
    if step.what in ("pair", "single"):
        module = find(step.name)
        function = module.amphion if step.amphion else getattr(module, step.name)
        if step.what == "single":
            return float(function(sound, **settings))
        assert reference is not None, step
        if step.name == "speaker_similarity" and step.amphion:  # takes sets; the mean of sets of one pair is the same
            first, second = pair(reference, sound)
            return float(function({"": first.samples}, {"": second.samples}, first.sample_rate, **settings))
        value = function(reference, sound, **settings)
        return list(value) if isinstance(value, tuple) else float(value)
    if step.what == "transcript":
        return _listener(step.name).transcribe(sound.samples, sound.sample_rate, settings["language"])
    if step.what == "caption":
        return _caption(settings["source"], sound, text)
    network = _network(step.name, settings["source"], step.amphion)
    if sound.silent and step.what == "labels":
        return None  # a tagger names even silence
    heard = sound.at(network.rate).samples
    rows = network.embed(heard) if step.what == "embedding" else network.labels(heard)[None]
    rows = rows if step.amphion or step.what == "labels" else rows.mean(axis=0, keepdims=True)
    return pack(rows)


def _caption(source: str | None, sound: Analysis, text: str | None) -> float:
    if not text:
        return float("nan")
    from aoide.metrics.clap_score import clap_score

    network = _network("clap", source, False)
    return clap_score(network.embed_text([text]), network.embed(sound.at(network.rate).samples).mean(0, keepdims=True))


@cache
def _listener(model: str) -> Any:
    from aoide.external.whisper import Whisper

    return Whisper(model, threads=1)


@cache
def _network(name: str, source: str | None, amphion: bool) -> Any:
    if amphion:
        from aoide.external.vggish import Vggish

        return Vggish(source, activation=False)
    from aoide.metrics.embeddings import embedder

    return embedder(name, source)


def pack(rows: np.ndarray) -> dict[str, Any]:
    """An array (rows, dim) as JSON."""
    return {"dim": rows.shape[1], "rows": base64.b64encode(rows.astype("<f4").tobytes()).decode("ascii")}


def unpack(value: dict[str, Any]) -> np.ndarray:
    return np.frombuffer(base64.b64decode(value["rows"]), "<f4").reshape(-1, value["dim"])


def picture_name(name: str, system: str) -> str:
    """The picture's path below the report's folder; any name makes a fit file name."""
    return f"pictures/{hashlib.blake2b(f'{system}/{name}'.encode(), digest_size=8).hexdigest()}.png"


def _draw(picture: Picture, shown: list[Analysis], path: Path) -> None:
    layers = []
    for sound in shown:
        try:
            hz = sound.f0().hz
        except MissingExtra:
            hz = None
        layers.append((sound.mel(_SHOWN), hz))
    with write_aside(path) as aside:
        aside.write_bytes(picture(layers))
