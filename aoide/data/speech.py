"""Batches of speech, for training and validation, from the manifest that `aoide prepare` made.

    data:
      kind: speech
      manifest: data/ljspeech
      batch_seconds: 60

Batches are dynamic: clips of like length together, as many as fit into `batch_seconds` of padded sound, which bounds
the memory whatever the lengths. What an epoch's batches are follows from the manifest, the seed and the number of the
epoch alone, by a few numpy operations; so the place in the middle of an epoch is one number, and going back there costs
nothing. That is why the sampler is ours and not lhotse's, whose state is reached by drawing the epoch again, 6 s at
100,000 clips. Where a segment is cut follows from the same numbers and the clip, so neither the number of workers nor a
resume changes a sample.

    data = SpeechData(config, needs=("tokens", "mel"), mel=model.config.mel, tokenizer=tokenizer)
    for batch in data.batches(seed=0):          # epoch after epoch, without end
        ...; state = data.state_dict()
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from aoide.audio.mel import MelConfig
from aoide.audio.pitch import PitchConfig
from aoide.config import UserError
from aoide.data.features import FROM_TEXT, Network, Settings
from aoide.data.reader import Batch, Reader, Tokenizer
from aoide.data.shards import Corpus, Packed, Shards, open_corpus
from aoide.data.sounds import Clock

_Task = tuple[np.ndarray, int, int, list[Packed] | None]  # clips, epoch, seed, and what came out of shards
_JITTER = 0.1  # clips whose lengths differ by less change places from epoch to epoch
_VALIDATION = 0xFFFFFFFF  # stands for the epoch where there is none


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """What is read, and how batches are made of it."""

    manifest: Path | str  # the folder that `aoide prepare` made, or a folder or address (http://...) of shards
    batch_seconds: float = 60.0  # of sound in a batch, padding included; what a step needs in memory goes with it
    segment_seconds: float | None = None  # cut a random piece of this length out of each clip (vocoders, codecs)
    min_seconds: float = 0.2  # shorter clips are left out
    max_seconds: float = 20.0  # longer ones too
    validation: float = 0.01  # held out by a hash of the id: a fraction below 1, or a number of clips
    buffer: int = 4  # shards that are mixed at a time; as many again are fetched meanwhile
    workers: int = 2  # processes that load; 0 loads in the training process
    features: Literal["auto", "cache", "on_the_fly"] = "auto"  # what is computed is kept, or made for each batch anew;
    # auto keeps what is dear: F0, and what networks make. `aoide extract` fills the cache beforehand.
    cache: Path | None = None  # where it is kept; null = "cache" in the manifest's folder
    device: Literal["auto", "cpu", "cuda"] = "auto"  # where what is not kept is computed; auto = a GPU if there is one
    pitch: PitchConfig = field(default_factory=PitchConfig)
    networks: dict[str, tuple[Network, ...]] = field(default_factory=dict)  # field of the batch -> what computes it

    def __post_init__(self) -> None:
        if isinstance(self.manifest, str) and "://" not in self.manifest:
            object.__setattr__(self, "manifest", Path(self.manifest))
        if not 0 <= self.min_seconds < self.max_seconds:
            raise ValueError(
                f"min_seconds {self.min_seconds} must be at least 0 and below max_seconds {self.max_seconds}"
            )
        longest = self.max_seconds if self.segment_seconds is None else self.segment_seconds
        if longest <= 0 or longest > self.batch_seconds:
            what = "max_seconds" if self.segment_seconds is None else "segment_seconds"
            raise ValueError(f"{what} {longest} must be above 0 and at most batch_seconds {self.batch_seconds}")
        if self.validation < 0 or (self.validation >= 1 and self.validation != int(self.validation)):
            raise ValueError(f"validation {self.validation} is neither a fraction below 1 nor a number of clips")
        if self.workers < 0 or self.buffer < 1:
            raise ValueError("workers must be at least 0, buffer at least 1")


class SpeechData:
    """Training and held-out batches of one manifest.

    Args:
        config: the recipe's `data`.
        needs: the fields that a batch must hold: tokens, durations, mel, energy, f0, audio, speaker, or the names of
            arrays that the corpus gives (spectra ...). Masks and ids come with them.
        mel: the model's mel; None for a model that has none.
        tokenizer: phonemes -> tokens, for a model of text.
        frame_rate: frames per second of a model without a mel.
        sample_rate: Hz of a model without a mel; None takes that of the first clip.

    Raises:
        UserError: no manifest, no clip within the limits, or settings that do not go together.
    """

    def __init__(
        self,
        config: Config,
        needs: Sequence[str],
        *,
        mel: MelConfig | None = None,
        tokenizer: Tokenizer | None = None,
        frame_rate: float | None = None,
        sample_rate: int | None = None,
    ) -> None:
        self.config = config
        self.manifest = open_corpus(config.manifest)
        if len(self.manifest) == 0:
            raise UserError(f"{self.manifest.path}: holds no clips")
        if config.segment_seconds is not None and any(name in needs for name in FROM_TEXT):
            raise UserError("data.segment_seconds: a model of text needs whole clips; leave it out")
        self.clock = _clock(mel, sample_rate or self.manifest[0].sample_rate, frame_rate)
        self._segment = None
        if config.segment_seconds is not None:
            self._segment = max(1, round(config.segment_seconds * self.clock.frame_rate))
        settings = Settings(clock=self.clock, mel=mel, pitch=config.pitch, networks=tuple(config.networks.items()))
        self.reader = self._open_reader(needs, settings, tokenizer)
        self.manifest.bring(self.reader.arrays)
        if config.cache is None and self.manifest.folder is None and self.reader.kept:
            raise UserError(
                f"{config.manifest}: say data.cache=DIR, a folder here where {', '.join(self.reader.kept)} is kept, or "
                "data.features=on_the_fly"
            )
        self._loading = _Loading(self.manifest, self.reader, self._segment)
        self.training, self.held_out = split(self.manifest, config)
        if len(self.training) == 0:
            raise UserError(
                f"{self.manifest.path}: none of its {len(self.manifest)} clips is left to train on with "
                f"data.min_seconds {config.min_seconds:g}, data.max_seconds {config.max_seconds:g} and "
                f"data.validation {config.validation:g}"
            )
        self._epoch = self._taken = 0  # the place: epoch, and batches of all ranks that were handed out in it
        self._world: int | None = None  # processes among which shards were dealt out

    def _open_reader(self, needs: Sequence[str], settings: Settings, tokenizer: Tokenizer | None) -> Reader:
        config = self.config
        return Reader(
            needs,
            settings,
            tokenizer,
            self.manifest.speakers,
            cache=config.cache or (self.manifest.folder or Path()) / "cache",
            keep=config.features,
            device=_device(config.device),
        )

    # --------------------------------------------------------------------------------------------------------- batches

    def batches(self, seed: int | torch.Generator, rank: int = 0, world: int = 1) -> Iterator[Batch]:
        """Training batches from the present place on, epoch after epoch, without end.

        All ranks get equally many; the batches of one step are neighbours in the order of a single process, so two
        processes with one batch each see in a step what one process sees in two.

        Args:
            seed: of the order and the segments; a generator lends its seed and is not drawn from.
            rank, world: which of how many processes this is.
        """
        seed = seed.initial_seed() if isinstance(seed, torch.Generator) else seed
        if self.manifest.apart and self._world not in (None, world):
            self._taken = 0  # other processes read other shards
        self._world = world
        places: list[tuple[int, int]] = []
        for batch in self._load(self._tasks(seed % (1 << 63), rank, world, places), seed):
            self._epoch, self._taken = places.pop(0)
            yield batch

    def validation(self) -> Iterator[Batch]:
        """The held-out clips, in the same batches each time; segments are cut at the same places."""
        batches = self._cut(self.held_out, None)
        load = self.manifest.load if self.manifest.apart else None
        yield from self._load(((b, _VALIDATION, 0, None if load is None else list(load(b))) for b in batches), 0)

    def plan(self, seed: int, epoch: int, rank: int = 0, world: int = 1) -> list[np.ndarray]:
        """The batches of an epoch: numbers of clips in the manifest, in the order in which they come.

        Of files, for all processes together; of shards, for this process.
        """
        return [batch for window in self._windows(seed, epoch, rank, world) for batch in window]

    def _windows(self, seed: int, epoch: int, rank: int, world: int) -> list[list[np.ndarray]]:
        """The batches of an epoch, by what is mixed: all files, or the shards that are in memory together."""
        order = np.random.default_rng([seed, epoch])
        if not isinstance(self.manifest, Shards):
            batches = self._cut(self.training, order)
            return [[batches[i] for i in order.permutation(len(batches))]]
        runs = self.manifest.runs(self.training)
        own = [runs[i] for i in order.permutation(len(runs))][rank::world]
        if not own:
            raise UserError(f"{self.manifest.path}: {len(runs)} shards are too few for {world} processes")
        order = np.random.default_rng([seed, epoch, rank])
        windows = []
        for i in range(0, len(own), self.config.buffer):
            batches = self._cut(np.concatenate(own[i : i + self.config.buffer]), order)
            windows.append([batches[k] for k in order.permutation(len(batches))])
        return windows

    def _tasks(self, seed: int, rank: int, world: int, places: list[tuple[int, int]]) -> Iterator[_Task]:
        """What is to be loaded, without end; notes in `places` where one stands after each batch."""
        epoch, taken = self._epoch, self._taken
        self.manifest.keep(self.config.buffer)
        while True:
            windows = self._windows(seed, epoch, rank, world)
            dealt = 1 if self.manifest.apart else world  # batches that a step takes out of this plan
            rest = -sum(map(len, windows)) % dealt
            first = windows[0]
            windows[-1] += [first[i % len(first)] for i in range(rest)]  # so that no rank waits for another at the end
            total, step = sum(map(len, windows)), taken // dealt
            begin = 0
            for number, window in enumerate(windows):
                end = begin + len(window)
                if number + 1 < len(windows) and end > step * dealt:
                    self.manifest.expect(np.concatenate(windows[number + 1]))
                while step * dealt < end:
                    done = (step + 1) * dealt
                    places.append((epoch, done) if done < total else (epoch + 1, 0))
                    batch = window[step * dealt + (0 if self.manifest.apart else rank) - begin]
                    yield batch, epoch, seed, list(self.manifest.load(batch)) if self.manifest.apart else None
                    step += 1
                begin = end
            epoch, taken = epoch + 1, 0

    def _cut(self, clips: np.ndarray, order: np.random.Generator | None) -> list[np.ndarray]:
        """Cuts clips into batches: like lengths together, or as they come where segments make all lengths the same."""
        if self._segment is not None:
            size = max(1, int(self.config.batch_seconds * self.clock.frame_rate / self._segment))
            clips = clips if order is None else order.permutation(clips)
            whole = len(clips) - len(clips) % size if order is not None and len(clips) >= size else len(clips)
            return [clips[i : i + size] for i in range(0, whole, size)]
        seconds = self.manifest.seconds[clips]
        jitter = 0.0 if order is None else order.uniform(0.0, _JITTER, len(clips))
        by_length = np.argsort(np.log(seconds) + jitter, kind="stable")
        return [clips[part] for part in pack(by_length, seconds, self.config.batch_seconds)]

    def _load(self, tasks: Iterator[_Task], seed: int) -> Iterator[Batch]:
        """Loads in the background, in order, with a generator of its own: the global one stays as it is."""
        loader = DataLoader(
            self._loading,
            sampler=_Once(tasks),
            batch_size=None,
            num_workers=self.config.workers,
            generator=torch.Generator().manual_seed(seed % (1 << 63)),
            prefetch_factor=4 if self.config.workers else None,
            pin_memory=torch.cuda.is_available(),
        )
        for batch in loader:
            if isinstance(batch, UserError):
                raise batch
            yield self.reader.finish(batch)

    # ---------------------------------------------------------------------------------------------------------- resume

    def state_dict(self) -> dict[str, Any]:
        """The place after the last batch that was handed out, as plain data; of files the same on all ranks."""
        state = {"epoch": self._epoch, "taken": self._taken, "manifest": self.manifest.digest, "plan": self._key()}
        return {**state, "world": self._world} if self.manifest.apart else state

    @property
    def fingerprint(self) -> str:
        """Equal where the data are: a hash of the manifest."""
        return self.manifest.digest

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes back to a place; `batches` goes on from there.

        With other limits or another size of batches the place means nothing, and the epoch begins anew.

        Raises:
            UserError: the manifest is not the one of the state.
        """
        if state["manifest"] != self.manifest.digest:
            raise UserError(
                f"{self.manifest.path} has changed since the checkpoint was written, so the run cannot go on exactly; "
                "bring the old manifest back, or begin a new run from its weights (--from)"
            )
        self._epoch = state["epoch"]
        self._taken = state["taken"] if state["plan"] == self._key() else 0
        self._world = state.get("world")

    def _key(self) -> dict[str, Any]:
        """The settings that decide which clips are in which batch."""
        c = self.config
        key = {
            "batch_seconds": c.batch_seconds,
            "segment": self._segment,
            "limits": [c.min_seconds, c.max_seconds, c.validation],
        }
        return {**key, "buffer": c.buffer} if self.manifest.apart else key


def _device(wanted: str) -> str:
    if wanted == "cuda" and not torch.cuda.is_available():
        raise UserError("data.device: there is no GPU here; take cpu or auto")
    return "cuda" if wanted != "cpu" and torch.cuda.is_available() else "cpu"


def split(manifest: Corpus, config: Config) -> tuple[np.ndarray, np.ndarray]:
    """Which clips are trained on and which are held out: (numbers, numbers), by their ids and never by their order.

    Of files: with a fraction a clip stays where it is whatever else joins the corpus; a number takes the lowest hashes.
    Of shards: the clips of as few shards as may be, so that validation need not read them all.
    """
    fits = (manifest.seconds >= config.min_seconds) & (manifest.seconds <= config.max_seconds)
    clips = np.flatnonzero(fits)
    hashes = manifest.hashes[clips]
    if isinstance(manifest, Shards):
        count = int(np.ceil(config.validation * len(clips)) if config.validation < 1 else config.validation)
        order = np.lexsort((hashes, manifest.groups[clips]))
    elif config.validation < 1:
        count = int((hashes < np.uint64(int(config.validation * 2**64))).sum())
        order = np.argsort(hashes, kind="stable")
    else:
        count = int(config.validation)
        order = np.argsort(hashes, kind="stable")
    held = np.zeros(len(clips), bool)
    held[order[:count]] = True
    return clips[~held], clips[held]


def pack(order: np.ndarray, seconds: np.ndarray, budget: float) -> list[np.ndarray]:
    """Cuts `order` into runs whose padded length, clips times the longest, is at most `budget` seconds."""
    runs, begin, longest = [], 0, 0.0
    for i, length in enumerate(seconds[order].tolist()):
        if length > longest:  # not max(), which would be half of the time that a million clips take
            longest = length
        if longest * (i - begin + 1) > budget and i > begin:
            runs.append(order[begin:i])
            begin, longest = i, length
    if begin < len(order):
        runs.append(order[begin:])
    return runs


def _clock(mel: MelConfig | None, sample_rate: int, frame_rate: float | None) -> Clock:
    if mel is not None:
        return Clock(sample_rate=mel.sample_rate, hop=mel.hop, first_centre=mel.first_centre)
    hop = round(sample_rate / (frame_rate or 100.0))
    if frame_rate is not None and abs(sample_rate / hop - frame_rate) > 1e-3:
        raise UserError(f"{frame_rate:g} frames per second do not divide {sample_rate} samples per second")
    return Clock(sample_rate=sample_rate, hop=hop)


class _Once:
    """Tasks as the DataLoader wants its sampler: something to iterate, of any length."""

    def __init__(self, tasks: Iterator[_Task]) -> None:
        self._tasks = tasks

    def __iter__(self) -> Iterator[_Task]:
        return self._tasks


class _Loading(Dataset):
    """Loads one batch; runs in the workers. A batch follows from its task alone."""

    def __init__(self, manifest: Corpus, reader: Reader, segment: int | None) -> None:
        self._manifest, self._reader, self._segment = manifest, reader, segment

    def __getitem__(self, task: _Task) -> Batch | UserError:
        numbers, epoch, seed, clips = task
        try:
            items = []
            for number, (clip, packed) in zip(numbers.tolist(), clips or self._manifest.load(numbers), strict=True):
                place = np.random.default_rng([seed, epoch, number]).random()
                items.append(self._reader.read(clip, self._segment, place, packed, held_out=epoch == _VALIDATION))
            return self._reader.collate(items, masked=self._segment is None)
        except UserError as error:
            return error  # raised in a worker it would come out with the worker's traceback as its text
