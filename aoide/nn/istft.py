"""From spectra back to sound: inverse STFT and inverse MDCT, whole or frame by frame; the Fourier head of Vocos.

torch.istft has no "same" padding (the check of its window sum fails at the very ends, which that padding cuts off), no
mask and no streaming, so the overlap-add is written here once for all. Both transforms give `frames * hop` samples, as
many as the sound had that `aoide.audio.stft` made the frames of. Under "center" padding torch.istft gives one hop less;
the samples they share are equal.

Padding says where the first frame lies: "center" has its middle on sample 0, "same" on the middle of the first hop.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn

from aoide import trace

Padding = Literal["center", "same"]


class OverlapAdd(nn.Module):
    """Adds overlapping windowed frames (batch, frames, size) up to a signal (batch, frames * hop).

    Args:
        size: samples in a frame.
        hop: samples between the starts of two frames.
        trim: samples of the first frame that lie before the start of the signal.
        power: (size,) what one frame contributes to the sum by which the signal is divided; None divides by nothing.
    """

    power: Tensor | None

    def __init__(self, size: int, hop: int, trim: int, power: Tensor | None = None) -> None:
        super().__init__()
        assert hop + trim <= size, f"frames of {size} samples every {hop} cannot lose {trim} at the start"
        self.size, self.hop, self.trim = size, hop, trim
        self.register_buffer("power", power, persistent=False)

    def forward(self, frames: Tensor, mask: Tensor | None = None) -> Tensor:
        """frames (batch, frames, size), mask (batch, frames) -> (batch, frames * hop), 0 where the mask is not True."""
        total = frames.shape[1] * self.hop
        if mask is not None:
            frames = frames.masked_fill(~mask[..., None], 0.0)
        signal = self._add(frames)[:, self.trim : self.trim + total]
        if self.power is not None:
            signal = signal / self._envelope(frames.shape[1], mask)[:, self.trim : self.trim + total].clamp(min=1e-11)
        if mask is not None:
            signal = signal.masked_fill(~mask.repeat_interleave(self.hop, dim=1), 0.0)
        return signal

    def _envelope(self, count: int, mask: Tensor | None) -> Tensor:
        """The sum of `power` over the (real) frames: (batch or 1, samples)."""
        assert self.power is not None
        weights = self.power.expand(1, count, -1)
        return self._add(weights if mask is None else weights * mask[..., None])

    def _add(self, frames: Tensor) -> Tensor:
        """(batch, frames, size) -> (batch, (frames - 1) * hop + size rounded up to whole hops).

        Cut every frame into pieces of one hop: the k-th pieces of all frames, laid end to end, are one signal, and the
        result is the sum of these signals, the k-th shifted by k hops.
        """
        batch, count, size = frames.shape
        pieces = math.ceil(size / self.hop)
        frames = nn.functional.pad(frames, (0, pieces * self.hop - size))
        signals = frames.reshape(batch, count, pieces, self.hop).transpose(1, 2)  # (batch, pieces, frames, hop)
        shifted = [nn.functional.pad(signals[:, k], (0, 0, k, pieces - 1 - k)) for k in range(pieces)]
        return torch.stack(shifted).sum(0).reshape(batch, -1)


class InverseSTFT(nn.Module):
    """Complex spectrum (batch, frames, n_fft // 2 + 1) -> waveform (batch, frames * hop), with a periodic Hann window.

    Args:
        n_fft: size of the Fourier transform and of the window, in samples; even.
        hop: samples between frames, less than half of `n_fft`.
        padding: where the first frame lies; see the head of this file.
    """

    window: Tensor
    padding: Padding

    def __init__(self, n_fft: int, hop: int, padding: Padding = "center") -> None:
        super().__init__()
        if n_fft % 2 or not 0 < 2 * hop < n_fft:
            raise ValueError(f"an inverse STFT needs an even n_fft above 2 * hop, got n_fft {n_fft}, hop {hop}")
        self.n_fft, self.hop, self.padding = n_fft, hop, padding
        self.register_buffer("window", torch.hann_window(n_fft), persistent=False)
        trim = n_fft // 2 if padding == "center" else (n_fft - hop) // 2
        self.overlap = OverlapAdd(n_fft, hop, trim, power=self.window.square())

    def forward(self, spectrum: Tensor, mask: Tensor | None = None) -> Tensor:
        """spectrum (batch, frames, bins) complex, mask (batch, frames) -> (batch, frames * hop)."""
        return self.overlap(self.frames(spectrum), mask)

    def frames(self, spectrum: Tensor) -> Tensor:
        """The windowed pieces of sound: (batch, frames, bins) complex -> (batch, frames, n_fft)."""
        return torch.fft.irfft(spectrum, self.n_fft, dim=-1) * self.window

    def stream(self) -> Stream:
        """A fresh stream: push spectra in pieces, get the waveform in pieces."""
        return Stream(self.frames, self.overlap)


class FourierHead(nn.Module):
    """hidden (batch, frames, dim) -> waveform (batch, frames * hop) through magnitude, phase and an inverse STFT.

    The head of Vocos (Siuzdak 2023, arXiv:2306.00814, section 3.3). `reach` is how many frames before and after a frame
    its samples depend on.
    """

    def __init__(self, dim: int, n_fft: int, hop: int, padding: Padding) -> None:
        super().__init__()
        self.out = nn.Linear(dim, n_fft + 2)
        self.istft = InverseSTFT(n_fft, hop, padding)
        self.reach = math.ceil(n_fft / hop / 2) + 1

    def forward(self, hidden: Tensor, mask: Tensor | None = None) -> Tensor:
        """hidden (batch, frames, dim), mask (batch, frames) -> waveform (batch, frames * hop), 0 at padded frames."""
        magnitude, phase = self.spectrum(hidden)
        trace.report("vocos/magnitude", magnitude)
        trace.report("vocos/phase", phase)
        return self.istft(torch.polar(magnitude, phase), mask)

    def spectrum(self, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """hidden -> magnitude, phase (radians, unwrapped), each (batch, frames, n_fft // 2 + 1)."""
        log_magnitude, phase = exact(self.out, hidden).chunk(2, dim=-1)
        return log_magnitude.exp().clamp(max=100.0), phase  # the clamp keeps early training from exploding


class InverseMDCT(nn.Module):
    """MDCT coefficients (batch, frames, hop) -> waveform (batch, frames * hop), with a sine window of two hops.

    Its frames overlap by half and cancel each other's aliasing; the last hop (or, with "same", the first and last half)
    has no partner and stays aliased.
    """

    window: Tensor
    before: Tensor
    after: Tensor

    def __init__(self, hop: int, padding: Padding = "same") -> None:
        super().__init__()
        self.hop, size = hop, 2 * hop
        time = torch.arange(size, dtype=torch.float64)
        shift = (hop + 1) / 2
        # y[n] = sqrt(2 / hop) * sum_k x[k] cos(pi / hop * (n + shift) * (k + 1/2)), as one complex FFT of 2 * hop
        # points between two rotations; these are computed in float64 since their angles reach pi * hop.
        before = torch.polar(torch.ones(hop, dtype=torch.float64), math.pi * shift / hop * time[:hop])
        after = torch.polar(
            torch.tensor(math.sqrt(2 / hop) * size, dtype=torch.float64), math.pi / size * (time + shift)
        )
        self.register_buffer("window", torch.sin(math.pi / size * (time + 0.5)).float(), persistent=False)
        self.register_buffer("before", before.to(torch.complex64), persistent=False)
        self.register_buffer("after", after.to(torch.complex64), persistent=False)
        self.overlap = OverlapAdd(size, hop, trim=hop if padding == "center" else hop // 2)

    def forward(self, coefficients: Tensor, mask: Tensor | None = None) -> Tensor:
        """coefficients (batch, frames, hop), mask (batch, frames) -> (batch, frames * hop)."""
        return self.overlap(self.frames(coefficients), mask)

    def frames(self, coefficients: Tensor) -> Tensor:
        """The windowed pieces of sound: (batch, frames, hop) -> (batch, frames, 2 * hop)."""
        turned = torch.fft.ifft(coefficients * self.before, 2 * self.hop, dim=-1)
        return (turned * self.after).real * self.window

    def stream(self) -> Stream:
        """A fresh stream: push coefficients in pieces, get the waveform in pieces."""
        return Stream(self.frames, self.overlap)


class Stream:
    """Overlap-add that takes spectra in pieces of any number of frames and gives each sample as soon as it is complete.

    The pieces laid end to end equal the offline result. The waveform lags by `trim` samples, which `flush` gives at the
    end; after that the stream is ready for the next sound.
    """

    def __init__(self, frames: Callable[[Tensor], Tensor], overlap: OverlapAdd) -> None:
        self._frames, self._overlap = frames, overlap
        self._reset()

    def _reset(self) -> None:
        self._signal: Tensor | None = None  # (batch, tail) what later frames will be added to
        self._envelope: Tensor | None = None  # (1, tail) the same for the sum of the window power
        self._skip = self._overlap.trim  # samples still to be cut off at the start

    @torch.no_grad()
    def push(self, spectrum: Tensor) -> Tensor:
        """spectrum (batch, frames, bins) -> the samples (batch, n) that no later frame will change; n may be 0."""
        add, count = self._overlap, spectrum.shape[1]
        if count == 0:
            return spectrum.real.new_zeros(len(spectrum), 0)
        self._signal = _lay(self._signal, add._add(self._frames(spectrum)))
        if add.power is not None:
            self._envelope = _lay(self._envelope, add._envelope(count, None))
        return self._take(count * add.hop)

    @torch.no_grad()
    def flush(self) -> Tensor:
        """The rest of the sound, (batch, trim); then starts anew.

        Raises:
            ValueError: nothing was pushed since the start or the last flush.
        """
        if self._signal is None:
            raise ValueError("nothing was pushed into this stream, so there is nothing to flush")
        rest = self._take(self._overlap.trim)
        self._reset()
        return rest

    def _take(self, samples: int) -> Tensor:
        """Cuts the first `samples` off the state and gives them, less what lies before the start of the sound."""
        assert self._signal is not None
        done, self._signal = self._signal[:, :samples], self._signal[:, samples:]
        if self._envelope is not None:
            done = done / self._envelope[:, :samples].clamp(min=1e-11)
            self._envelope = self._envelope[:, samples:]
        skipped = min(self._skip, done.shape[1])
        self._skip -= skipped
        return done[:, skipped:]


def _lay(tail: Tensor | None, signal: Tensor) -> Tensor:
    """Adds what is left of earlier frames to the start of a new signal, which is never shorter."""
    return signal if tail is None else signal + nn.functional.pad(tail, (0, signal.shape[1] - tail.shape[1]))


def exact(layer: nn.Linear, x: Tensor) -> Tensor:
    """`layer(x)` in float32 even under autocast: a phase of many turns does not survive in 8 bits."""
    if not torch.is_autocast_enabled(x.device.type):
        return layer(x)
    with torch.autocast(x.device.type, enabled=False):
        return layer(x.float())
