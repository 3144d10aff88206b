"""Fills the cache that training reads from: what is kept of every clip, computed by any number of processes.

Each part of the work is a few clips, read once each; what their features share (the resampled sound, the spectrum, the
pitch contour) is computed once for all of them. An entry that is there and sound is left alone, so a run that was
stopped goes on where it was, and two runs at a time do no harm.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from aoide.config import UserError
from aoide.data import cluster
from aoide.data.cache import Broken
from aoide.data.clips import Clip
from aoide.data.features import Settings
from aoide.data.reader import Reader
from aoide.data.shards import Corpus, Files, open_corpus
from aoide.data.sounds import Sounds
from aoide.data.speech import SpeechData

_SECONDS = 150.0  # of sound in a part: more are no faster, and a part that is lost is done again
_LAST = 15.0  # in the last ones, so that no process waits long for another


@dataclass(frozen=True, slots=True)
class Job:
    """All that a process must know, small enough to travel with every part."""

    manifest: Path | str
    names: tuple[str, ...]  # of the features
    settings: Settings
    cache: Path
    device: str
    digest: str = ""  # of the manifest, so that a process opens a changed one anew


@dataclass(slots=True)
class Report:
    """What was done.

    Attributes:
        computed, there: feature -> clips.
        broken: entries that were damaged and are computed anew.
        refused: (clip, why) of clips that could not be read.
        seconds: of sound that was heard for it.
        size: bytes that were written.
    """

    computed: Counter[str] = field(default_factory=Counter)
    there: Counter[str] = field(default_factory=Counter)
    broken: list[str] = field(default_factory=list)
    refused: list[tuple[str, str]] = field(default_factory=list)
    seconds: float = 0.0
    size: int = 0

    def add(self, other: Report) -> None:
        """Takes in the report of a part."""
        self.computed += other.computed
        self.there += other.there
        self.broken += other.broken
        self.refused += other.refused
        self.seconds += other.seconds
        self.size += other.size


def extract(source: SpeechData, jobs: int = 0, on: cluster.On = "processes", options: Any = None) -> Report:
    """Computes what `source` keeps and the cache lacks.

    Args:
        jobs: processes; 0: all processors, but at most four where a GPU computes.
        on, options: where they run, see `aoide.data.cluster.run`.

    Raises:
        UserError: nothing is kept, the cache cannot be written, or a process died again and again.
    """
    reader = source.reader
    if not reader.kept:
        told = "data.features is on_the_fly" if source.config.features == "on_the_fly" else "the model needs none"
        raise UserError(f"there is nothing to extract: no feature of this recipe is kept ({told})")
    device = "cpu" if source.config.device == "cpu" else _device()
    job = Job(source.config.manifest, reader.kept, reader.settings, reader.cache, device, source.fingerprint)
    if device != "cpu" and not jobs:
        jobs = 4
    clips = np.sort(np.concatenate([source.training, source.held_out]))
    parts = list(_parts(source.manifest, clips, jobs or os.cpu_count() or 1))
    report = Report()
    for done in cluster.run(partial(work, job), parts, on=on, workers=jobs, name=_name, unit="part", options=options):
        report.add(done)
    return report


def _device() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def _name(part: np.ndarray) -> str:
    return f"clips {part[0]} to {part[-1]}"


def _parts(corpus: Corpus, clips: np.ndarray, width: int = 1) -> Iterator[np.ndarray]:
    """Runs of clips of `_SECONDS` at most, less towards the end; none reaches from one shard into the next.

    Args:
        width: processes that share them.
    """
    left = float(corpus.seconds[clips].sum())
    for run in corpus.runs(clips):
        begin, total = 0, 0.0
        for i, seconds in enumerate(corpus.seconds[run].tolist()):
            if i > begin and total + seconds > min(_SECONDS, max(_LAST, left / (2 * width))):
                yield run[begin:i]
                begin, left, total = i, left - total, 0.0
            total += seconds
        yield run[begin:]
        left -= total


@lru_cache(maxsize=1)
def _open(job: Job) -> tuple[Corpus, Reader]:
    return open_corpus(job.manifest), Reader(job.names, job.settings, cache=job.cache, keep="cache", device=job.device)


def work(job: Job, numbers: np.ndarray) -> Report:
    """One part of the work, in a process of its own."""
    corpus, reader = _open(job)
    report = Report()
    missing: dict[tuple[str, ...], list[tuple[str, np.ndarray]]] = {}  # features -> (content, sound) of clips
    for clip, packed in corpus.load(numbers):
        try:
            _look(reader, clip, packed, missing, report)
        except UserError as error:
            report.refused.append((clip.id, str(error)))
    for names, clips in missing.items():
        _compute(reader, names, clips, report)
    return report


def _look(
    reader: Reader,
    clip: Clip,
    packed: Files | None,
    missing: dict[tuple[str, ...], list[tuple[str, np.ndarray]]],
    report: Report,
) -> None:
    """Notes which features the cache lacks of a clip."""
    sound: np.ndarray | None = None
    if not clip.content:
        sound = reader.sound(clip, packed)
    content = reader.content(clip, lambda: sound if sound is not None else reader.sound(clip, packed))
    wanted: list[str] = []
    lacking: list[str] = []  # of those, one for each entry: f0 and periodicity share theirs
    for name in reader.features:
        if name in clip.arrays:
            continue  # the corpus gives it
        try:
            if reader.caches[name].load(content) is not None:
                report.there[name] += 1
                continue
        except Broken as broken:
            report.broken.append(f"{clip.id}: {broken}")
        if not any(reader.caches[other].folder == reader.caches[name].folder for other in lacking):
            lacking.append(name)
        wanted.append(name)
    if lacking:
        heard = sound if sound is not None else reader.sound(clip, packed)
        report.computed.update(wanted)
        report.seconds += clip.seconds
        missing.setdefault(tuple(lacking), []).append((content, heard))


def _compute(reader: Reader, names: Sequence[str], clips: list[tuple[str, np.ndarray]], report: Report) -> None:
    clips.sort(key=lambda clip: len(clip[1]))  # those that are transformed together are of one length, nearly
    sounds = Sounds([sound for _, sound in clips], reader.clock.sample_rate, reader.device)
    for name in names:
        for (content, _), entry in zip(clips, reader.features[name].compute(sounds), strict=True):
            reader.caches[name].save(content, entry)
            report.size += entry.nbytes
