"""The short-time Fourier transform, and the house's clock: a sound of `samples` samples has `samples // hop` frames.

Every frame-wise feature of the house (mel, F0, energy, durations, spectra) counts frames by this clock, so that they
fit each other and a vocoder turns `frames` frames into `frames * hop` samples. The padding says where a frame lies:

    center   frame k is centred on sample k * hop (torch.stft, librosa, torchaudio with center=True); those give one
             frame more, centred on the end of the sound, which the clock leaves out. Ask for it with `frames=`.
    same     frame k is centred on the middle of hop k, sample (k + 1/2) * hop (HiFi-GAN and all who came from it).

Both mirror the sound at its ends (reflect padding), and a sound that is shorter than the mirror needs is mirrored again
and again, as numpy does. In a batch of sounds with different lengths each is mirrored at its own end, so that a frame
does not depend on what else is in the batch.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

Padding = Literal["center", "same"]


def frames_of(samples: int, hop: int) -> int:
    """The house's clock: how many frames a sound has."""
    return samples // hop


def reflect(audio: Tensor, left: int, right: int, lengths: Tensor | None = None) -> Tensor:
    """Mirrors sounds at both ends, without repeating the sample at the mirror.

    Args:
        audio: (batch, samples).
        left, right: samples to add at the two ends.
        lengths: (batch,) how many samples of each sound are real; the mirror stands at the end of these, and what
            comes after its right side has no meaning. None: all are.

    Returns:
        (batch, left + samples + right)
    """
    samples = audio.shape[1]
    if lengths is None and samples > max(left, right):
        return functional.pad(audio[:, None], (left, right), mode="reflect")[:, 0]
    position = torch.arange(-left, samples + right, device=audio.device)
    last = audio.new_full((1, 1), samples - 1, dtype=torch.long) if lengths is None else lengths[:, None] - 1
    period = (2 * last).clamp(min=1)  # there and back again; a single sample mirrors to itself
    there = position % period
    index = torch.where(there > last, period - there, there)
    return audio.gather(1, index.expand(audio.shape[0], -1))


def stft(
    audio: Tensor,
    n_fft: int,
    hop: int,
    window: Tensor,
    padding: Padding = "center",
    lengths: Tensor | None = None,
    frames: int | None = None,
) -> Tensor:
    """Complex spectra of sounds.

    Args:
        audio: (batch, samples) float32.
        n_fft: samples of one transform.
        hop: samples from frame to frame.
        window: (win,) with win <= n_fft; it is centred in the transform.
        padding: where the frames lie, see above.
        lengths: (batch,) int64, how many samples of each sound are real; None: all.
        frames: how many frames to return; None: `samples // hop`. With center padding one more is there to have.

    Returns:
        (batch, frames, bins) complex64 with bins = n_fft // 2 + 1; not scaled.
    """
    count = frames_of(audio.shape[1], hop) if frames is None else frames
    if count == 0:
        return torch.zeros(audio.shape[0], 0, n_fft // 2 + 1, dtype=torch.complex64, device=audio.device)
    left = n_fft // 2 if padding == "center" else (n_fft - hop) // 2
    right = n_fft // 2 if padding == "center" else n_fft - hop - left
    padded = reflect(audio, left, right, lengths)
    spectra = torch.stft(padded, n_fft, hop, len(window), window, center=False, return_complex=True).mT
    if count > spectra.shape[1]:
        raise ValueError(f"{audio.shape[1]} samples have {spectra.shape[1]} frames of hop {hop}, not {count}")
    return spectra[:, :count]


def magnitude(spectra: Tensor, eps: float = 0.0) -> Tensor:
    """sqrt(re^2 + im^2 + eps), same shape, real. With eps 0 the gradient at silence is 0, not NaN."""
    if eps == 0.0:
        return spectra.abs()
    return (spectra.real.square() + spectra.imag.square() + eps).sqrt()
