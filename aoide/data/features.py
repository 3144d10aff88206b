"""What one clip gives to a batch, and how clips become a batch.

Frame-wise values follow the house's clock (aoide/audio/stft.py): `samples // hop` frames. A clip is read whole, or as a
segment of so many frames for vocoders. The mel of a segment is that of the whole clip, cut out: it is computed from the
segment and its surroundings, so no mirror stands where the sound goes on.

Given arrays (durations, F0, spectra ... of a teacher or an aligner) go before computed values. F0 is tracked once and
kept in the cache; mel and energy are computed for the whole batch at once, which costs less than reading them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from aoide.audio import energy, io, pitch
from aoide.audio.mel import MelConfig, MelSpectrogram
from aoide.audio.pitch import PitchConfig
from aoide.config import UserError
from aoide.data.clips import Clip, fingerprint

if TYPE_CHECKING:
    from aoide.data.cache import Cache

FROM_TEXT = ("tokens", "durations")
FROM_SOUND = ("audio", "mel", "energy", "f0")
KNOWN = (*FROM_TEXT, *FROM_SOUND, "speaker")
"""Fields that can be made for any clip; every other one is an array that the corpus must have given."""

Item = dict[str, Any]


class Tokenizer(Protocol):
    """`aoide.text.tokenizer.Tokenizer`, as far as it is needed here."""

    def encode(self, phonemes: str) -> np.ndarray: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Clock:
    """How time is counted: samples per second, and samples per frame."""

    sample_rate: int
    hop: int
    first_centre: float = 0.0  # the sample on which frame 0 is centred

    @property
    def frame_rate(self) -> float:
        return self.sample_rate / self.hop


class Reader:
    """Makes the fields of a batch from clips.

    Args:
        needs: names of the fields: KNOWN ones, or arrays of the corpus.
        clock: the rate and hop that sound and frames are brought to.
        mel: settings of the mel, needed for mel and energy.
        tokenizer: turns phonemes into tokens.
        speakers: names in order; a speaker's place is its number.
        tracker: settings for F0, and where it is kept.
    """

    def __init__(
        self,
        needs: Sequence[str],
        clock: Clock,
        mel: MelConfig | None,
        tokenizer: Tokenizer | None,
        speakers: Sequence[str],
        tracker: tuple[PitchConfig, Cache],
    ) -> None:
        self.needs = tuple(needs)
        self.clock = clock
        self._mel = MelSpectrogram(mel) if mel is not None else None
        self._tokenizer = tokenizer
        self._speakers = {name: number for number, name in enumerate(speakers)}
        self._tracker, self._cache = tracker
        self._given = [name for name in self.needs if name not in KNOWN]
        for name, wanted, what in (
            ("mel", mel, "a model with mel settings"),
            ("energy", mel, "a model with mel settings"),
            ("tokens", tokenizer, "a tokenizer"),
        ):
            if name in self.needs and wanted is None:
                raise ValueError(f"{name} needs {what}")

    # ------------------------------------------------------------------------------------------------------- one clip

    def read(self, clip: Clip, segment: int | None = None, place: float = 0.0) -> Item:
        """The fields of one clip.

        Args:
            clip: from the manifest.
            segment: frames to cut out; None takes the whole clip. A shorter clip is filled up with silence.
            place: where to cut, from 0, the beginning, to below 1, the end.

        Raises:
            UserError: the clip lacks something that is needed, or its file cannot be read; names clip and file.
        """
        durations = self._durations(clip) if "durations" in self.needs else None
        arrays = {name: self._array(clip, name) for name in self._given}
        if "f0" in self.needs and self._fits(clip, "f0"):
            arrays["f0"] = self._array(clip, "f0")
        sounds = any(name in self.needs and name not in arrays for name in FROM_SOUND)
        sound = self._sound(clip) if sounds else None
        frames = self._frames(clip, durations, arrays, sound)
        if "f0" in self.needs and "f0" not in arrays:
            assert sound is not None
            arrays["f0"] = self._track(clip, sound)
        count = frames if segment is None else segment
        first = 0 if segment is None else int(place * (max(0, frames - segment) + 1))
        item: Item = {"id": clip.id, "frames": min(frames, count), "count": count}
        for name, array in arrays.items():
            kind = np.int64 if np.issubdtype(array.dtype, np.integer) else np.float32  # codes stay whole numbers
            item[name] = torch.from_numpy(np.array(_fit(array[first : first + count], count), kind))
        if sound is not None:
            self._cut_sound(item, sound, frames, first, count)
        if "tokens" in self.needs:
            item["tokens"] = self._tokens(clip, durations)
        if durations is not None:
            item["durations"] = torch.tensor(durations, dtype=torch.int64)
        if "speaker" in self.needs:
            item["speaker"] = self._speakers[clip.speaker]
        return item

    def _array(self, clip: Clip, name: str) -> np.ndarray:
        if not self._fits(clip, name):
            if name in clip.arrays:
                raise UserError(
                    f"clip {clip.id}: its {name} has {clip.frame_rate or 0:g} frames per second, the model "
                    f"{self.clock.frame_rate:g}; prepare the corpus anew, or change the model's hop"
                )
            raise UserError(f"clip {clip.id} has no {name}: the corpus must give it; it has {_listed(clip.arrays)}")
        try:
            return np.load(clip.arrays[name], mmap_mode="r")
        except (OSError, ValueError) as error:
            raise UserError(f"clip {clip.id}: {clip.arrays[name]} cannot be read: {error}") from None

    def _fits(self, clip: Clip, name: str) -> bool:
        """Whether an array of the corpus is there, and on our clock."""
        return name in clip.arrays and self._same_rate(clip)

    def _same_rate(self, clip: Clip) -> bool:
        return abs((clip.frame_rate or 0) - self.clock.frame_rate) < 1e-3

    def _sound(self, clip: Clip) -> np.ndarray:
        """The clip's samples, (samples,), at our rate."""
        sound = io.read(clip.audio, clip.start, clip.samples)
        if len(sound.samples) < clip.samples:
            raise UserError(f"clip {clip.id}: {clip.audio} is shorter than when it was prepared; prepare it anew")
        return sound.mono().resample(self.clock.sample_rate).samples

    def _frames(
        self, clip: Clip, durations: tuple[int, ...] | None, arrays: dict[str, np.ndarray], sound: np.ndarray | None
    ) -> int:
        """How many frames the clip has: what durations or arrays say, else its samples."""
        lengths = {} if durations is None else {"durations": sum(durations)}
        lengths |= {name: len(array) for name, array in arrays.items()}
        if sound is not None:
            lengths["sound"] = len(sound) // self.clock.hop
        if not lengths:
            return round(clip.seconds * self.clock.frame_rate)
        name, frames = next(iter(lengths.items()))
        for other, length in lengths.items():
            if abs(length - frames) > 2:  # not everybody rounds alike
                raise UserError(f"clip {clip.id}: {name} has {frames} frames, {other} {length}; prepare it anew")
        return frames

    def _track(self, clip: Clip, sound: np.ndarray) -> np.ndarray:
        t, c = self._tracker, self.clock
        content = clip.content or fingerprint(sound, c.sample_rate)
        return self._cache.get(
            content,
            lambda: pitch.track(sound, c.sample_rate, c.hop, t.method, t.floor, t.ceiling, c.first_centre),
        )

    def _cut_sound(self, item: Item, sound: np.ndarray, frames: int, first: int, count: int) -> None:
        """Adds the samples of the frames, and those which the spectrum of these frames hears."""
        hop = self.clock.hop
        sound = _fit(sound, max(frames, count) * hop)
        if "audio" in self.needs:
            item["audio"] = torch.from_numpy(sound[first * hop : (first + count) * hop])
        if self._mel is not None and ("mel" in self.needs or "energy" in self.needs):
            around = -(-self._mel.config.n_fft // hop)  # frames that a transform reaches beyond its own
            begin, end = max(0, first - around), first + count + around
            item["heard"] = torch.from_numpy(sound[begin * hop : end * hop])
            item["skip"] = first - begin

    def _tokens(self, clip: Clip, durations: tuple[int, ...] | None) -> Tensor:
        if clip.phonemes is None:
            raise UserError(f"clip {clip.id} has no phonemes: prepare the corpus anew, without --no-phonemes")
        assert self._tokenizer is not None
        try:
            tokens = torch.from_numpy(np.asarray(self._tokenizer.encode(clip.phonemes), np.int64))
        except UserError as error:
            raise UserError(f"clip {clip.id}: {error}") from None
        if durations is not None and len(tokens) != len(durations):
            raise UserError(f"clip {clip.id}: {len(tokens)} tokens, and {len(durations)} durations in the manifest")
        return tokens

    def _durations(self, clip: Clip) -> tuple[int, ...]:
        """Frames of each token, on our clock."""
        if clip.durations is None:
            raise UserError(f"clip {clip.id} has no durations: the corpus must give them, or the model must align")
        if not self._same_rate(clip):
            raise UserError(
                f"clip {clip.id}: its durations count {clip.frame_rate or 0:g} frames per second, the model "
                f"{self.clock.frame_rate:g}; prepare the corpus anew, or change the model's hop"
            )
        return clip.durations

    # -------------------------------------------------------------------------------------------------------- a batch

    def collate(self, items: Sequence[Item], masked: bool) -> dict[str, Any]:
        """Items of `read` to a batch: padded, stacked, masks made, mel and energy computed.

        Args:
            items: at least one.
            masked: whether frames are padded, so that `frame_mask` is needed; segments all have the same length.
        """
        batch: dict[str, Any] = {"ids": [item["id"] for item in items]}
        for name in FROM_TEXT:
            if name in items[0]:
                batch[name] = _stack(items, name)
                batch["token_mask"] = _mask([len(item[name]) for item in items])
        for name in (*self._given, "f0", "audio"):
            if name in items[0]:
                batch[name] = _stack(items, name)
        if "heard" in items[0]:
            self._add_spectra(batch, items)
        if "speaker" in items[0]:
            batch["speaker"] = torch.tensor([item["speaker"] for item in items])
        if masked:
            batch["frame_mask"] = _mask([item["frames"] for item in items])
        return batch

    def _add_spectra(self, batch: dict[str, Any], items: Sequence[Item]) -> None:
        """Adds mel and energy, and takes away what was heard only for their sake."""
        mel = self._mel
        assert mel is not None
        lengths = torch.tensor([len(item["heard"]) for item in items])
        with torch.no_grad():
            spectrum = mel.magnitude(_stack(items, "heard"), lengths)
            if "mel" in self.needs:
                batch["mel"] = _cut(mel.from_magnitude(spectrum), items, mel.config.silence)
            if "energy" in self.needs:
                batch["energy"] = _cut(energy.from_magnitude(spectrum), items, 0.0)


def _stack(items: Sequence[Item], name: str) -> Tensor:
    """(batch, longest, ...), filled up with 0."""
    return pad_sequence([item[name] for item in items], batch_first=True)


def _cut(values: Tensor, items: Sequence[Item], fill: float) -> Tensor:
    """The frames that were asked for out of those that were heard: (batch, longest, ...)."""
    rows = [row[item["skip"] : item["skip"] + item["count"]] for row, item in zip(values, items, strict=True)]
    return pad_sequence(rows, batch_first=True, padding_value=fill)


def _mask(lengths: Sequence[int]) -> Tensor:
    """(batch, longest) bool, True where real."""
    return torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]


def _fit(array: np.ndarray, length: int) -> np.ndarray:
    """Cut, or filled up with 0, to `length` rows."""
    if len(array) >= length:
        return array[:length]
    return np.concatenate([array, np.zeros((length - len(array), *array.shape[1:]), array.dtype)])


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "none"
