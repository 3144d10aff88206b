"""What is computed of the sound of a clip, for models that ask for it: ONE FILE PER FEATURE.

    mel, energy              cheap: computed for each batch, unless the recipe says data.features: cache
    f0, periodicity          by the tracker of data.pitch
    loudness                 how loud each frame is
    breathiness, voicing, tension   what a voice is made of; envelope, aperiodicity: what WORLD needs to make it again
    anything in data.networks   content features, codes and speaker vectors of other people's networks (networks.py)

A model names fields in its NEEDS; the file of that name in this folder has the class `Feature`, which computes what is
kept in the cache, its entry, for many clips at once. `field` makes of an entry what stands in the batch: on the frames
of the model, by `align`. So an entry does not depend on the model's frames where its network has frames of its own, and
two models share it.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import numpy as np

from aoide.audio.mel_config import MelConfig
from aoide.audio.pitch import PitchConfig
from aoide.config import UserError
from aoide.data.sounds import Clock, Sounds

FROM_TEXT = ("tokens", "durations")
COMPUTED = (
    *("mel", "energy", "f0", "periodicity", "loudness", "breathiness", "voicing", "tension"),
    *("envelope", "aperiodicity"),
)
KNOWN = (*FROM_TEXT, "audio", *COMPUTED, "speaker")
"""Fields that can be made for any clip; every other one is of a network, or an array that the corpus has given."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Network:
    """One network of somebody else that hears the sound; `name` says which, see aoide/data/features/networks.py."""

    name: str  # hubert, contentvec, wavlm, w2v_bert, whisper, wenet ...; resemblyzer ...; encodec ..., or codec/...
    source: str | None = None  # its weights: a local file or folder, or a hub name; null = those of its authors
    layer: int | None = None  # of a content encoder, whose output is taken; null = what is usual; -1 = mean of all
    projected: bool = False  # ContentVec's final projection to 256 values after the layer
    statistics: str | None = None  # a file with mean and var, by which features are normalised (w2v-BERT of MaskGCT)
    pool: int = 1  # the mean of so many frames is one
    of: Network | None = None  # what a codec of features hears in place of sound: codec/maskgct_semantic wants w2v_bert
    repeat: int = 1  # each code stands so often, for a model of more frames than the codec has


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """All that features depend on besides the sound."""

    clock: Clock
    mel: MelConfig | None = None
    pitch: PitchConfig = field(default_factory=PitchConfig)
    bands: tuple[int, int] | None = None  # points of the envelope and the aperiodicity, for a model that has them
    networks: tuple[tuple[str, tuple[Network, ...]], ...] = ()  # field -> networks whose features stand side by side

    def of(self, name: str) -> tuple[Network, ...]:
        """The networks of a field; none if it has none."""
        return dict(self.networks).get(name, ())


class Feature(Protocol):
    """How one field of a batch is computed."""

    kind: str  # of the entry: part of its folder's name in the cache; features of one kind and key share entries
    key: Mapping[str, Any]  # all that an entry depends on besides the sound
    per: Literal["frame", "clip"]
    dear: bool  # costs so much that it is kept, unless the recipe says on_the_fly
    fill: float  # stands in frames after the end

    def compute(self, sounds: Sounds) -> list[np.ndarray]:
        """The entries of some clips: (frames, ...) each, or (...,) for a feature of the whole clip."""

    def field(self, entry: np.ndarray, frames: int) -> np.ndarray:
        """What stands in the batch: (frames, ...), or the entry for a feature of the whole clip."""


def find(name: str, settings: Settings) -> Feature:
    """The feature of a field.

    Raises:
        UserError: the settings lack something that it needs.
    """
    if settings.of(name):
        return importlib.import_module("aoide.data.features.networks").Feature(settings, name)
    if name not in COMPUTED:
        raise UserError(f"nothing computes {name}: the corpus must give it, or data.networks name what does")
    return importlib.import_module(f"aoide.data.features.{name}").Feature(settings)


def align(
    rows: np.ndarray, frames: int, source: float, target: float, how: Literal["nearest", "linear"] = "nearest"
) -> np.ndarray:
    """Features on another frame rate.

    Frame k of either rate stands for the time from k to k + 1 periods; its value is that of the middle.

    Args:
        rows: (source frames, ...), at least one.
        frames: how many are wanted; after the end the last row stands.
        source, target: frames per second.
        how: "nearest" takes the row whose time it is, "linear" draws a line from middle to middle.

    Returns:
        (frames, ...)
    """
    if len(rows) == 0:
        raise ValueError("there is nothing to align")
    place = (np.arange(frames) + 0.5) * (source / target)  # in source frames
    if how == "nearest":
        return rows[np.minimum(place.astype(np.int64), len(rows) - 1)]
    place = np.clip(place - 0.5, 0.0, len(rows) - 1.0)
    left = np.minimum(place.astype(np.int64), max(0, len(rows) - 2))
    share = (place - left).astype(np.float32).reshape(-1, *[1] * (rows.ndim - 1))
    right = np.minimum(left + 1, len(rows) - 1)
    return rows[left] * (1 - share) + rows[right] * share


def fit(rows: np.ndarray, frames: int, fill: float = 0.0) -> np.ndarray:
    """Cut, or filled up, to `frames` rows."""
    if len(rows) >= frames:
        return rows[:frames]
    return np.concatenate([rows, np.full((frames - len(rows), *rows.shape[1:]), fill, rows.dtype)])
