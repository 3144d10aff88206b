"""Batches of captioned sounds that are mixed and changed on the way: what editing by instruction and TANGO learn from.

    data:
      kind: edited
      manifest: data/audiocaps
      tasks: [add, drop, replace, inpaint, refine]
      text: {name: t5, source: t5-base}
      networks:
        latents: [{name: tta/autoencoderkl, source: runs/autoencoder}]

A corpus of sounds with captions is enough; each clip of an epoch is given a task by chance, and another clip or two:

    task      given               wanted              caption
    make      nothing             A                   A's own
    mix       nothing             A and B             A's and B's
    add       A                   A and B             Add: B's
    drop      A and B             A                   Drop: B's
    replace   A and B             A and C             Replace: B's with: C's
    inpaint   A with a hole       A                   Inpaint: A's
    refine    A without treble    A                   Increase resolution: A's

Fields are those of data.kind: captioned, and `given` (batch, frames, dim), what `latents` are of what was given; of
nothing, of silence. Nothing that is computed is kept, since no sound comes twice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from torch import Tensor

from aoide.audio.mel import MelConfig
from aoide.audio.resample import resample
from aoide.config import UserError
from aoide.data import captioned
from aoide.data.captioned import CaptionedData, CaptionedReader
from aoide.data.clips import Clip
from aoide.data.features import fit
from aoide.data.reader import Batch, Item, _stack, _tensor
from aoide.data.shards import Corpus, Files
from aoide.data.sounds import Sounds

Task = Literal["make", "mix", "add", "drop", "replace", "inpaint", "refine"]
MADE = ("captions", "letters", "words", "text", "given", "audio", "mel")  # its fields, beside those of data.networks
APART = 6.0  # dB by which two sounds that are mixed differ at most
HOLE = (0.1, 0.5)  # share of a sound that a hole takes away
DULL = (4, 8)  # how many times fewer samples a second are left of a sound without treble
SILENT = 1e-4  # root mean square below which a sound is not brought to a level


@dataclass(frozen=True, kw_only=True, slots=True)
class Config(captioned.Config):
    """As for captioned, and what is done with the sounds."""

    tasks: tuple[Task, ...] = ("add", "drop", "replace", "inpaint", "refine")  # all alike; one twice comes more often

    def __post_init__(self) -> None:
        captioned.Config.__post_init__(self)
        if not self.tasks:
            raise ValueError("tasks names one or more of what is done with the sounds")
        if self.segment_seconds is not None:
            raise ValueError("segment_seconds: sounds are edited as a whole; leave it out")


class Made(NamedTuple):
    """An example: samples (samples,) that are given and wanted, and what is said."""

    given: np.ndarray
    wanted: np.ndarray
    caption: str


Told = tuple[np.ndarray, str]  # a sound and its caption


def instruction(task: Task, caption: str, other: str = "") -> str:
    """What is said for a task: `add`, `drop` and `replace` are told what, the rest what there is to hear.

    Args:
        caption: of what is added, dropped or replaced, or of the whole.
        other: of what comes instead.
    """
    return {
        "make": caption,
        "mix": f"{caption}, and {other}" if other else caption,
        "add": f"Add: {caption}",
        "drop": f"Drop: {caption}",
        "replace": f"Replace: {caption} with: {other}",
        "inpaint": f"Inpaint: {caption}",
        "refine": f"Increase resolution: {caption}",
    }[task]


def make(task: Task, own: Told, others: Callable[[], Told], sample_rate: int, draw: np.random.Generator) -> Made:
    """One example of a task.

    Args:
        own: the clip, (samples,) and its caption.
        others: gives another clip.
        sample_rate: Hz.
    """
    sound, caption = own
    if task == "make":
        return Made(np.zeros_like(sound), sound, caption)
    if task == "inpaint":
        size = int(len(sound) * draw.uniform(*HOLE))
        begin = int(draw.integers(len(sound) - size + 1))
        holed = sound.copy()
        holed[begin : begin + size] = 0.0
        return Made(holed, sound, instruction(task, caption))
    if task == "refine":
        rate = sample_rate // int(draw.integers(DULL[0], DULL[1] + 1))
        dull = resample(resample(sound, sample_rate, rate), rate, sample_rate)
        return Made(_as_long(dull, len(sound)), sound, instruction(task, caption))
    other, said = others()
    both = mixed(sound, other, draw)
    if task == "mix":
        return _within(Made(np.zeros_like(sound), both, instruction(task, caption, said)))
    if task == "add":
        return _within(Made(sound, both, instruction(task, said)))
    if task == "drop":
        return _within(Made(both, sound, instruction(task, said)))
    third, instead = others()
    return _within(Made(both, mixed(sound, third, draw), instruction(task, said, instead)))


def mixed(sound: np.ndarray, other: np.ndarray, draw: np.random.Generator) -> np.ndarray:
    """Both at once, nearly as loud, as long as the first: a longer second one is cut, a shorter begins somewhere. The
    sum may pass full scale.
    """
    spare = len(sound) - len(other)
    begin = int(draw.integers(abs(spare) + 1))
    placed = np.zeros_like(sound)
    if spare >= 0:
        placed[begin : begin + len(other)] = other
    else:
        placed[:] = other[begin : begin + len(sound)]
    levels = [float(np.sqrt(np.mean(np.square(x)))) for x in (sound, placed)]
    if min(levels) > SILENT:
        placed *= levels[0] / levels[1] * 10 ** (draw.uniform(-APART, APART) / 20)
    return sound + placed


def _within(made: Made) -> Made:
    """Both sounds softer by as much where one of them passes full scale, so that what they share stays as loud."""
    peak = max(1.0, *(float(np.abs(sound).max(initial=0.0)) for sound in (made.given, made.wanted)))
    return Made(made.given / peak, made.wanted / peak, made.caption)


def _as_long(samples: np.ndarray, length: int) -> np.ndarray:
    return np.pad(samples[:length], (0, max(0, length - len(samples)))).astype(np.float32)


class EditedReader(CaptionedReader):
    """Makes the fields of a batch from clips that are mixed and changed; arguments as for `CaptionedReader`."""

    _corpus: Corpus
    _choice: np.ndarray
    _tasks: tuple[Task, ...]

    def __init__(self, needs: Sequence[str], *rest: Any, **named: Any) -> None:
        self._gives = "given" in needs
        super().__init__([name for name in needs if name != "given"], *rest, **named)

    def deal(self, corpus: Corpus, choice: np.ndarray, tasks: tuple[Task, ...]) -> None:
        """Says which clips of the corpus may join another, and what is done."""
        self._corpus, self._choice, self._tasks = corpus, choice, tasks

    def read(
        self,
        clip: Clip,
        segment: int | None = None,
        place: float = 0.0,
        packed: Files | None = None,
        *,
        held_out: bool = False,
    ) -> Item:
        """The fields of one example, made of one clip or more; `place` decides what is done, and with which.

        Raises:
            UserError: a clip has no caption, or its file cannot be read.
        """
        draw = np.random.default_rng([1, int(place * 2**53)])
        task = self._tasks[int(draw.integers(len(self._tasks)))]

        def another() -> Told:
            other = self._corpus[int(self._choice[int(draw.integers(len(self._choice)))])]
            return self.sound(other), self._caption(other, place, held_out=True)

        own = self.sound(clip, packed), self._caption(clip, place, held_out=True)
        made = make(task, own, another, self.clock.sample_rate, draw)
        frames = len(made.wanted) // self.clock.hop
        if frames < 1:
            raise UserError(f"clip {clip.id}: is shorter than a frame")
        told = "" if not held_out and draw.random() < self._dropped else made.caption
        item: Item = {"id": clip.id, "frames": frames, "count": frames, "caption": told}
        for name in self.needs:
            if name == "audio":
                item[name] = _tensor(fit(made.wanted, frames * self.clock.hop))
            else:
                item[name] = self._heard(name, made.wanted, frames)
        if self._gives:
            item["given"] = self._heard("latents", made.given, frames)
        return item

    def _heard(self, name: str, samples: np.ndarray, frames: int) -> Tensor:
        feature = self.features[name]
        entry = feature.compute(Sounds([samples], self.clock.sample_rate))[0]
        return _tensor(fit(feature.field(entry, frames), frames, feature.fill))

    def collate(self, items: Sequence[Item], masked: bool) -> Batch:
        """Items of `read` to a batch: padded, stacked, masks made."""
        batch = super().collate(items, masked)
        if self._gives:
            batch["given"] = _stack([item["given"] for item in items])
        return batch


class EditedData(CaptionedData):
    """Training and held-out batches; arguments as for `SpeechData`.

    Raises:
        UserError: as for `CaptionedData`; or a field that nobody hears in sound, or shards.
    """

    config: Config
    reader: EditedReader
    _reads = EditedReader

    def __init__(
        self,
        config: Config,
        needs: Sequence[str],
        *,
        mel: MelConfig | None = None,
        frame_rate: float | None = None,
        sample_rate: int | None = None,
    ) -> None:
        if {"latents", "given"} & set(needs) and "latents" not in config.networks:
            raise UserError("data.networks.latents must name the autoencoder: latents are of sounds that are made here")
        heard = [name for name in needs if name not in (*MADE, *config.networks)]
        if heard:
            raise UserError(
                f"data.kind edited has {', '.join(heard)} of no sound that it makes; take data.kind captioned"
            )
        super().__init__(config, needs, mel=mel, frame_rate=frame_rate, sample_rate=sample_rate)
        if self.manifest.apart:
            raise UserError(f"{self.manifest.path}: sounds are mixed with any other; of shards that cannot be")
        self.reader.deal(self.manifest, self.training, config.tasks)
