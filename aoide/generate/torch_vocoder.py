"""Copy-synthesis: a sound is described by its mel (and F0) and made again by any vocoder, in constant memory.

    vocoder = TorchVocoder(aoide.load("vocoder/bigvgan", "hf:nvidia/bigvgan_v2_24khz_100band_256x"))
    for samples in vocoder.copy(io.blocks("in.wav", vocoder.sample_rate)): ...

The vocoders of the package, which work without torch, offer the same (`generate/vocoder.py`).

What comes out in pieces equals what a vocoder makes of the whole; but for F0, which a tracker finds in the piece with a
second around it.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator
from typing import Any, Protocol

import numpy as np

from aoide.config import UserError
from aoide.generate.chunks import in_chunks, in_rows
from aoide.generate.packed import tags
from aoide.generate.sources import F0_REACH

PIECE = 4.0  # seconds that are worked on at a time


class Copier(Protocol):
    """What makes sounds again."""

    name: str
    sample_rate: int

    def copy(self, blocks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """samples (samples,) at `sample_rate` in blocks of any length -> the same made again; fills up the last hop."""
        ...

    def tags(self) -> dict[str, str]: ...


class TorchVocoder:
    """Any `Model` of models/vocoder as a copier."""

    def __init__(self, model: Any, seed: int = 0) -> None:
        import torch

        if not hasattr(getattr(model, "config", None), "mel"):
            raise UserError(f"{type(model).__module__} is not a vocoder of mels")
        from aoide.audio.mel import MelSpectrogram

        self.model, self.mel = model.eval(), model.config.mel
        self.name = type(model).__module__.removeprefix("aoide.models.").replace(".", "/")
        self.sample_rate = self.mel.sample_rate
        self._spectrogram = MelSpectrogram(self.mel)
        self._call = getattr(model, "vocode", None) or model.forward
        self._asks = set(inspect.signature(self._call).parameters)
        self._source_asks = set(inspect.signature(model.source).parameters) if hasattr(model, "source") else set()
        self._generator = torch.Generator().manual_seed(seed)

    def tags(self) -> dict[str, str]:
        return tags(f"resynthesised by {self.name}")

    def vocode(self, mel: np.ndarray, f0: np.ndarray | None = None) -> np.ndarray:
        """The sound of a mel (frames, mels) of `self.mel`, with F0 (frames,) Hz where it is read: (frames * hop,)."""
        if self._needs_f0 and f0 is None:
            raise UserError(f"{self.name} reads F0 as well: give it for each frame of the mel")
        rows = np.asarray(mel, np.float32)
        if self._needs_f0:
            rows = np.concatenate([rows, np.asarray(f0, np.float32)[:, None]], axis=1)
        if self._source_asks:
            rows = np.concatenate(list(self._with_source(iter([rows]))))
        return self._sound(rows)

    def copy(self, blocks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """See `Copier`. A model that cannot work in pieces gets all at once."""
        mel = self.mel
        size = round(PIECE * mel.frame_rate)
        reach = -(-mel.n_fft // (2 * mel.hop)) + (round(F0_REACH * mel.frame_rate) if self._needs_f0 else 0)
        features = in_chunks(in_rows(blocks, mel.hop), self._features, size, reach)
        if not hasattr(self.model, "context"):
            gathered = list(features)
            if gathered:
                yield self._sound(np.concatenate(gathered))
            return
        if self._source_asks:
            features = self._with_source(features)
        yield from in_chunks(features, self._sound, size, self.model.context)

    @property
    def _needs_f0(self) -> bool:
        return "f0" in self._asks

    def _features(self, rows: np.ndarray) -> np.ndarray:
        """rows (frames, hop) of samples -> (frames, mels), and F0 as one more column where the model reads it."""
        import torch

        from aoide.audio import pitch

        samples = rows.ravel()
        if not np.isfinite(samples).all():
            raise UserError("the sound holds NaN or infinity")
        with torch.inference_mode():
            mel = self._spectrogram(torch.from_numpy(samples)[None])[0].numpy()
        if not self._needs_f0:
            return mel
        f0 = pitch.track(samples, self.sample_rate, self.mel.hop, "swift", first_centre=self.mel.first_centre)
        return np.concatenate([mel, f0[:, None]], axis=1)

    def _with_source(self, features: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
        """The features with the model's source as further columns; it goes on from piece to piece."""
        import torch

        after = None
        for rows in features:
            known = {**self._fields(rows), "after": after, "generator": self._generator}
            with torch.inference_mode():
                after = self.model.source(**{key: known[key] for key in self._source_asks if key in known})
            yield np.concatenate([rows, after[0].numpy()], axis=1)

    def _sound(self, rows: np.ndarray) -> np.ndarray:
        """rows of features -> (frames * hop,) samples."""
        import torch

        fields = self._fields(rows)
        if self._source_asks:
            fields.pop("f0", None)
        if "generator" in self._asks:
            fields["generator"] = self._generator
        with torch.inference_mode():
            made = self._call(**{key: value for key, value in fields.items() if key in self._asks})
        return (made if isinstance(made, torch.Tensor) else made.audio)[0].float().numpy()

    def _fields(self, rows: np.ndarray) -> dict[str, Any]:
        import torch

        columns = torch.from_numpy(np.ascontiguousarray(rows, np.float32))[None]
        mels = self.mel.n_mels
        fields = {"mel": columns[..., :mels]}
        if self._needs_f0:
            fields["f0"] = columns[..., mels]
        beyond = mels + self._needs_f0
        if columns.shape[-1] > beyond:
            fields["source"] = columns[..., beyond:]
        return fields
