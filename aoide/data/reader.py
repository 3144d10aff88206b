"""What one clip gives to a batch, and how clips become a batch.

Frame-wise values follow the house's clock (aoide/audio/stft.py): `samples // hop` frames. A clip is read whole, or as a
segment of so many frames for vocoders. The mel of a segment is that of the whole clip, cut out: it is computed from the
segment and its surroundings, so no mirror stands where the sound goes on.

Given arrays (durations, F0, spectra ... of a teacher or an aligner) go before computed features. Of these, `read` takes
from the cache what is kept there, and computes it first if it is missing; the rest is computed by `finish` for the
whole batch at once: in the loading process on a CPU, in the training process on a GPU. The numbers are the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from aoide.audio import energy, io
from aoide.audio.mel import MelSpectrogram
from aoide.audio.sound import Sound
from aoide.config import UserError
from aoide.data import features
from aoide.data.cache import Cache
from aoide.data.clips import Clip, fingerprint
from aoide.data.features import COMPUTED, FROM_TEXT, KNOWN, Settings, fit
from aoide.data.shards import Files
from aoide.data.sounds import Sounds

Item = dict[str, Any]
Batch = dict[str, Any]
Keep = Literal["auto", "cache", "on_the_fly"]
PENDING = "pending"  # in a batch: what `finish` needs
_SPECTRAL = ("mel", "energy")
_EXACT = (".wav", ".flac")  # files that are read from any place inside, to the sample


class Tokenizer(Protocol):
    """`aoide.text.tokenizer.Tokenizer`, as far as it is needed here."""

    def encode(self, phonemes: str) -> np.ndarray: ...


class Reader:
    """Makes the fields of a batch from clips.

    Args:
        needs: names of the fields: those of `aoide.data.features`, of `settings.networks`, or arrays of the corpus.
        settings: clock, mel, tracker and networks.
        tokenizer: turns phonemes into tokens.
        speakers: names in order; a speaker's place is its number.
        cache: the folder where entries are kept.
        keep: "cache" keeps all that is computed, "on_the_fly" nothing, "auto" what is dear.
        device: where `finish` computes; not "cpu": the training process calls it.

    Raises:
        UserError: the settings lack what a field needs.
    """

    def __init__(
        self,
        needs: Sequence[str],
        settings: Settings,
        tokenizer: Tokenizer | None = None,
        speakers: Sequence[str] = (),
        *,
        cache: Path,
        keep: Keep = "auto",
        device: str = "cpu",
    ) -> None:
        self.needs, self.settings, self.clock, self.device = tuple(needs), settings, settings.clock, device
        self.cache = cache
        self._tokenizer = tokenizer
        self._speakers = {name: number for number, name in enumerate(speakers)}
        if "tokens" in self.needs and tokenizer is None:
            raise ValueError("tokens needs a tokenizer")
        computed = [name for name in self.needs if name in COMPUTED or settings.of(name)]
        self.features = {name: features.find(name, settings) for name in computed}
        self._given = [name for name in self.needs if name not in KNOWN and name not in computed]
        self.kept = tuple(
            name
            for name, feature in self.features.items()
            if keep == "cache" or (keep == "auto" and (feature.dear or feature.per == "clip"))
        )
        self.caches = {name: Cache(cache, f.kind, f.key) for name, f in self.features.items()}
        self._later = tuple(name for name in self.features if name not in self.kept)
        spectral = settings.mel is not None and any(name in _SPECTRAL for name in self._later)
        self._mel = MelSpectrogram(settings.mel) if spectral and settings.mel is not None else None

    # ------------------------------------------------------------------------------------------------------- one clip

    @property
    def arrays(self) -> tuple[str, ...]:
        """The fields for which an array of the corpus is taken where it has one."""
        return (*self._given, *self.features)

    def read(
        self,
        clip: Clip,
        segment: int | None = None,
        place: float = 0.0,
        packed: Files | None = None,
        *,
        held_out: bool = False,
    ) -> Item:
        """The fields of one clip.

        Args:
            clip: from the manifest.
            segment: frames to cut out; None takes the whole clip. A shorter clip is filled up with silence.
            place: where to cut, from 0, the beginning, to below 1, the end.
            packed: the clip's files, where it came out of a shard.
            held_out: it judges the training, so nothing of it is changed by chance; here nothing ever is.

        Raises:
            UserError: the clip lacks something that is needed, or its file cannot be read; names clip and file.
        """
        durations = self._durations(clip) if "durations" in self.needs else None
        arrays = {name: self._array(clip, name, packed) for name in self._given}
        arrays |= {name: self._array(clip, name, packed) for name in self.features if self._fits(clip, name)}
        frames = self._frames(clip, durations, arrays)
        count = frames if segment is None else segment
        first = 0 if segment is None else int(place * (max(0, frames - segment) + 1))
        item: Item = {"id": clip.id, "frames": min(frames, count), "count": count}
        heard = _Once(lambda: self.sound(clip, packed))
        for name, array in arrays.items():
            fill = self.features[name].fill if name in self.features else 0.0
            item[name] = _tensor(fit(array[first : first + count], count, fill))
        for name in self.kept:
            if name not in item:
                item[name] = self._cut_out(name, self._entry(clip, name, heard), frames, first, count)
        later = [name for name in self._later if name not in item]
        self._add_sound(item, clip, later, (frames, first, count), heard, packed)
        if "tokens" in self.needs:
            item["tokens"] = self._tokens(clip, durations)
        if durations is not None:
            item["durations"] = torch.tensor(durations, dtype=torch.int64)
        if "speaker" in self.needs:
            item["speaker"] = self._speakers[clip.speaker]
        return item

    def content(self, clip: Clip, heard: Callable[[], np.ndarray]) -> str:
        """The name of the clip's entries; of a clip that was not prepared here it must be heard."""
        return clip.content or fingerprint(heard(), self.clock.sample_rate)

    def sound(self, clip: Clip, packed: Files | None = None) -> np.ndarray:
        """The clip's samples, (samples,), at our rate."""
        return self._read(clip, packed, clip.start, clip.samples).mono().resample(self.clock.sample_rate).samples

    def _read(self, clip: Clip, packed: Files | None, start: int, samples: int) -> Sound:
        sound = io.read(clip.audio, start, samples) if packed is None else unpack(clip, packed.sound, start, samples)
        if len(sound.samples) < samples:
            raise UserError(f"clip {clip.id}: {clip.audio} is shorter than when it was prepared; prepare it anew")
        return sound

    def _array(self, clip: Clip, name: str, packed: Files | None) -> np.ndarray:
        if not self._fits(clip, name):
            if name in clip.arrays:
                raise UserError(
                    f"clip {clip.id}: its {name} has {clip.frame_rate or 0:g} frames per second, the model "
                    f"{self.clock.frame_rate:g}; prepare the corpus anew, or change the model's hop"
                )
            raise UserError(
                f"clip {clip.id} has no {name}: the corpus must give it, or data.networks name what computes it; it "
                f"has {_listed(clip.arrays)}"
            )
        try:
            return (
                np.load(clip.arrays[name], mmap_mode="r") if packed is None else np.load(BytesIO(packed.arrays[name]))
            )
        except (OSError, ValueError) as error:
            raise UserError(f"clip {clip.id}: {clip.arrays[name]} cannot be read: {error}") from None

    def _fits(self, clip: Clip, name: str) -> bool:
        """Whether an array of the corpus is there, and on our clock."""
        return name in clip.arrays and self._same_rate(clip)

    def _same_rate(self, clip: Clip) -> bool:
        return abs((clip.frame_rate or 0) - self.clock.frame_rate) < 1e-3

    def _frames(self, clip: Clip, durations: tuple[int, ...] | None, arrays: dict[str, np.ndarray]) -> int:
        """How many frames the clip has: what durations or arrays say, else its samples."""
        lengths = {} if durations is None else {"durations": sum(durations)}
        lengths |= {name: len(array) for name, array in arrays.items()}
        if not lengths or "audio" in self.needs or any(name not in arrays for name in self.features):
            lengths["sound"] = round(clip.samples * self.clock.sample_rate / clip.sample_rate) // self.clock.hop
        name, frames = next(iter(lengths.items()))
        for other, length in lengths.items():
            if abs(length - frames) > 2:  # not everybody rounds alike
                raise UserError(f"clip {clip.id}: {name} has {frames} frames, {other} {length}; prepare it anew")
        return frames

    def _entry(self, clip: Clip, name: str, heard: Callable[[], np.ndarray]) -> np.ndarray:
        """What the cache keeps of a feature, computed first if it is missing."""

        def compute() -> np.ndarray:
            return self.features[name].compute(Sounds([heard()], self.clock.sample_rate))[0]

        return self.caches[name].get(self.content(clip, heard), compute)

    def _cut_out(self, name: str, entry: np.ndarray, frames: int, first: int, count: int) -> Tensor:
        feature = self.features[name]
        rows = feature.field(entry, frames)
        return _tensor(rows if feature.per == "clip" else fit(rows[first : first + count], count, feature.fill))

    def _add_sound(
        self,
        item: Item,
        clip: Clip,
        later: Sequence[str],
        cut: tuple[int, int, int],
        heard: _Once,
        packed: Files | None,
    ) -> None:
        """Adds the samples of the frames, and the sound that `finish` computes the rest from."""
        frames, first, count = cut
        hop = self.clock.hop
        around = 0
        spectral = [name for name in later if name in _SPECTRAL]
        if spectral and self.settings.mel is not None:
            around = -(-self.settings.mel.n_fft // hop)  # frames that a transform reaches beyond its own
        if not spectral and "audio" not in self.needs and not later:
            return
        begin, end = max(0, first - around), first + count + around
        whole = len(spectral) < len(later) or heard.done or not self._partly(clip)
        length = max(frames, count) * hop
        if whole:
            sound = fit(heard(), length)[begin * hop : end * hop]
        else:
            wanted = min(end * hop, clip.samples) - begin * hop
            sound = self._read(clip, packed, clip.start + begin * hop, max(0, wanted)).mono().samples
            sound = fit(sound[: length - begin * hop], min(end * hop, length) - begin * hop)
        if "audio" in self.needs:
            at = (first - begin) * hop
            item["audio"] = torch.from_numpy(sound[at : at + count * hop])
        if later:
            pending: Item = {"skip": first - begin, "frames": frames, "first": first, "count": count}
            if spectral:
                pending["heard"] = torch.from_numpy(sound)
            if len(spectral) < len(later):
                pending["sound"] = torch.from_numpy(heard())
            item[PENDING] = pending

    def _partly(self, clip: Clip) -> bool:
        """Whether a piece of the clip can be read without the rest."""
        return clip.sample_rate == self.clock.sample_rate and clip.audio.suffix.lower() in _EXACT

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

    def collate(self, items: Sequence[Item], masked: bool) -> Batch:
        """Items of `read` to a batch: padded, stacked, masks made; on a CPU `finish` included.

        Args:
            items: at least one.
            masked: whether frames are padded, so that `frame_mask` is needed; segments all have the same length.
        """
        batch: Batch = {"ids": [item["id"] for item in items]}
        for name in FROM_TEXT:
            if name in items[0]:
                batch[name] = _stack([item[name] for item in items])
                batch["token_mask"] = _mask([len(item[name]) for item in items])
        for name in (*self._given, *self.kept, "audio"):
            if name in items[0]:
                batch[name] = _stack([item[name] for item in items], self._fill(name))
        if "speaker" in items[0]:
            batch["speaker"] = torch.tensor([item["speaker"] for item in items])
        if masked:
            batch["frame_mask"] = _mask([item["frames"] for item in items])
        if self._later:
            batch[PENDING] = [
                {**item.get(PENDING, {}), "given": {name: item[name] for name in self._later if name in item}}
                for item in items
            ]
        return self.finish(batch) if self.device == "cpu" else batch

    def finish(self, batch: Batch) -> Batch:
        """Computes what a batch still lacks, on the device; a batch that lacks nothing stays as it is."""
        pending = batch.pop(PENDING, None)
        if pending is None:
            return batch
        rows: dict[str, list[Tensor | None]] = {
            name: [clip["given"].get(name) for clip in pending] for name in self._later
        }
        missing = [i for i, clip in enumerate(pending) if len(clip["given"]) < len(self._later)]
        if missing:
            computed = self._compute([pending[i] for i in missing])
            for name, found in computed.items():
                for i, row in zip(missing, found, strict=True):
                    rows[name][i] = row if rows[name][i] is None else rows[name][i]
        for name, complete in rows.items():
            batch[name] = _stack([row.to(self.device) for row in complete if row is not None], self._fill(name))
        return batch

    def _compute(self, pending: Sequence[Item]) -> dict[str, list[Tensor]]:
        """The fields of `_later` of some clips, row by row."""
        rows: dict[str, list[Tensor]] = {}
        if self._mel is not None and all("heard" in clip for clip in pending):
            rows |= self._spectral(self._mel.to(self.device), pending)
        others = [name for name in self._later if name not in _SPECTRAL]
        if others and all("sound" in clip for clip in pending):
            sounds = Sounds([clip["sound"].numpy() for clip in pending], self.clock.sample_rate, self.device)
            for name in others:
                entries = self.features[name].compute(sounds)
                rows[name] = [
                    self._cut_out(name, entry, clip["frames"], clip["first"], clip["count"])
                    for entry, clip in zip(entries, pending, strict=True)
                ]
        return rows

    def _spectral(self, mel: MelSpectrogram, pending: Sequence[Item]) -> dict[str, list[Tensor]]:
        """Mel and energy of the pieces that were heard, without what was heard only for their sake."""
        lengths = torch.tensor([len(clip["heard"]) for clip in pending]).to(self.device)
        heard = _stack([clip["heard"] for clip in pending]).to(self.device)
        with torch.no_grad():
            spectrum = mel.magnitude(heard, lengths)
            found = {"mel": lambda: mel.from_magnitude(spectrum), "energy": lambda: energy.from_magnitude(spectrum)}
            values = {name: make() for name, make in found.items() if name in self._later}
        return {
            name: [row[clip["skip"] : clip["skip"] + clip["count"]] for row, clip in zip(whole, pending, strict=True)]
            for name, whole in values.items()
        }

    def _fill(self, name: str) -> float:
        feature = self.features.get(name)
        return feature.fill if feature is not None and feature.per == "frame" else 0.0


class _Once:
    """A value that is made when it is first asked for."""

    def __init__(self, make: Callable[[], np.ndarray]) -> None:
        self._make = make
        self._value: np.ndarray | None = None

    @property
    def done(self) -> bool:
        return self._value is not None

    def __call__(self) -> np.ndarray:
        if self._value is None:
            self._value = self._make()
        return self._value


def unpack(clip: Clip, packed: bytes, start: int = 0, samples: int = -1) -> Sound:
    """The sound of a file in memory.

    Raises:
        UserError: it is broken.
    """
    import soundfile

    try:
        with soundfile.SoundFile(BytesIO(packed)) as file:
            file.seek(min(start, file.frames))
            return Sound(file.read(samples, dtype="float32"), file.samplerate)
    except soundfile.LibsndfileError as error:
        raise UserError(f"clip {clip.id}: {clip.audio}: broken sound file: {error.error_string}") from None


def _tensor(array: np.ndarray) -> Tensor:
    kind = np.int64 if np.issubdtype(array.dtype, np.integer) else np.float32  # codes stay whole numbers
    return torch.from_numpy(np.array(array, kind))


def _stack(rows: Sequence[Tensor], fill: float = 0.0) -> Tensor:
    """(batch, longest, ...), filled up."""
    return pad_sequence(list(rows), batch_first=True, padding_value=fill)


def _mask(lengths: Sequence[int]) -> Tensor:
    """(batch, longest) bool, True where real."""
    return torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "none"
