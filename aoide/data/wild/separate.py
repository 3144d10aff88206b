"""The voice without the music: a network in a file of yours, of one of two forms.

    MDX-Net     ONNX, (1, 4, bins, frames) -> the same: real and imaginary part, left and right, 44.1 kHz. Emilia uses
                UVR-MDX-NET-Inst_3.onnx, which gives the music; the voice is what is left without it.
    waveform    ONNX, (1, samples) -> (1, samples), at `rate`, gives the voice

No such network comes with a package, so this stage is off unless a file is named. The stream goes through it piece by
piece, with so much on either side that no seam is heard.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from aoide.audio.resample import Resampler
from aoide.config import UserError
from aoide.data.wild import RATE
from aoide.external import weights

_MDX_RATE, _MDX_HOP = 44100, 1024
_PIECE, _CONTEXT = 10.0, 0.5  # seconds that a network of waveforms gives at a time, and hears more on either side


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    model: Path
    gives: Literal["music", "voice"] = "music"  # of MDX-Net: what the network was trained to give
    n_fft: int | None = None  # of MDX-Net; None: twice its bins (6144 for Inst_3); Kim_Vocal_2 has 7680
    rate: int = RATE  # Hz, of a network of waveforms


class Network:
    """A separator from a file.

    Args:
        threads: of the network.

    Raises:
        UserError: no such file, not an ONNX graph, or none of the two forms.
    """

    def __init__(self, config: Config, threads: int = 1) -> None:
        self._path = path = weights.local(config.model, "separation", "an ONNX file, see docs/wild.md")
        network = weights.session(path, threads)
        [entry, *more] = network.get_inputs()
        run: Callable[[np.ndarray], np.ndarray] = lambda x: network.run(None, {entry.name: x})[0]  # noqa: E731
        if not more and len(entry.shape) == 4 and entry.shape[1] == 4:
            self._rate = _MDX_RATE
            bins, frames = entry.shape[2:]
            if not isinstance(bins, int) or not isinstance(frames, int):
                raise UserError(f"{path}: its bins and frames must be fixed, they are {bins} and {frames}")
            n_fft = config.n_fft or 2 * bins
            self._context = n_fft // 2
            self._step = _MDX_HOP * (frames - 1) - n_fft
            if self._step <= 0 or bins > n_fft // 2 + 1:
                raise UserError(f"{path}: {bins} bins and {frames} frames do not go with n_fft {n_fft}")
            self._run = lambda x: _mdx(x, run, bins, n_fft, config.gives)
        elif not more and len(entry.shape) == 2:
            self._rate = config.rate
            self._context, self._step = round(_CONTEXT * config.rate), round(_PIECE * config.rate)
            self._run = lambda x: run(x[None])[0]
        else:
            raise UserError(f"{path}: neither (1, 4, bins, frames) nor (1, samples): {entry.shape}")

    def voice(self, blocks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """See `aoide.data.wild.Separator`."""
        into, back = Resampler(RATE, self._rate), Resampler(self._rate, RATE)
        taken = given = 0

        def heard() -> Iterator[np.ndarray]:
            nonlocal taken
            for block in blocks:
                taken += len(block)
                yield into.push(block)
            yield into.finish()

        def ready() -> Iterator[np.ndarray]:
            for piece in self._pieces(heard()):
                yield back.push(piece)
            yield back.finish()

        for piece in ready():
            kept = piece[: max(0, taken - given)]  # there and back may be a sample too many, or too few
            given += len(kept)
            yield kept
        yield np.zeros(taken - given, np.float32)

    def _pieces(self, blocks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """The network over a stream at its own rate; pieces overlap by the context, which is thrown away."""
        window = self._step + 2 * self._context
        waiting = np.zeros(self._context, np.float32)
        pending = 0  # samples that came in and did not go out
        for block in blocks:
            pending += len(block)
            waiting = np.concatenate([waiting, block])
            while len(waiting) >= window:
                yield self._middle(waiting[:window])
                waiting = waiting[self._step :]
                pending -= self._step
        while pending > 0:
            piece = self._middle(np.pad(waiting[:window], (0, max(0, window - len(waiting)))))
            yield piece[:pending]
            waiting = waiting[self._step :]
            pending -= self._step

    def _middle(self, samples: np.ndarray) -> np.ndarray:
        found = np.asarray(self._run(np.ascontiguousarray(samples, np.float32)), np.float32).reshape(-1)
        if len(found) != len(samples):
            raise UserError(f"{self._path}: gave {len(found)} samples for {len(samples)}")
        return found[self._context : self._context + self._step]


def _mdx(samples: np.ndarray, run: Callable[[np.ndarray], np.ndarray], bins: int, n_fft: int, gives: str) -> np.ndarray:
    """MDX-Net (Kim et al. 2021, arXiv 2111.12203) on one window of mono sound, as both channels."""
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n_fft) / n_fft)
    half = n_fft // 2
    padded = np.pad(samples.astype(np.float64), half, mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(padded, n_fft)[::_MDX_HOP]
    spectrum = np.fft.rfft(frames * window, axis=1).T[:bins]
    channel = np.stack([spectrum.real, spectrum.imag])
    found = run(np.concatenate([channel, channel])[None].astype(np.float32))[0]
    left, right = found[:2], found[2:]
    full = np.zeros((half + 1, len(frames)), np.complex128)
    full[:bins] = ((left[0] + right[0]) + 1j * (left[1] + right[1])) / 2
    pieces = np.fft.irfft(full.T, n_fft, axis=1) * window
    total, weight = np.zeros(len(padded)), np.zeros(len(padded))
    for i, piece in enumerate(pieces):
        total[i * _MDX_HOP : i * _MDX_HOP + n_fft] += piece
        weight[i * _MDX_HOP : i * _MDX_HOP + n_fft] += window**2
    result = (total / np.maximum(weight, 1e-8))[half : half + len(samples)]
    return (samples - result if gives == "music" else result).astype(np.float32)
