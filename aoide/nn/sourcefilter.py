"""Source-filter synthesis by one inverse STFT: F0 and four spectra a frame -> waveform, differentiable.

    S = exp(lh) e^{i pi tanh(theta)} STFT(pulses(f0))  +  exp(lr) e^{i phi}          (batch, frames, bins)
    waveform = ISTFT(S)                                                              (batch, frames * hop)

The first term is a pulse train, every harmonic at unit amplitude, filtered in magnitude and phase: it makes the voice
and follows F0 wherever F0 is put, so pitch can be moved without touching the timbre. The second term has a phase of its
own: breath, bursts, and what harmonics cannot say. Both parts are summed before the only inverse transform, which costs
little and makes no frame joints.

Sources: harmonic-plus-noise models (Stylianou 2001); neural source-filter (Wang et al. 2019, arXiv:1904.12088); the
inverse STFT as upsampler (Kaneko et al. 2022, arXiv:2203.02395; Siuzdak 2023, arXiv:2306.00814). The spectra are those
of the signal model that the teacher voice of `data/corpora/taught.py` exposes, without its noise branch, which carries
under a millionth of the energy. `generate/synthesis.py` holds the same formula in numpy for exported voices; a test
compares the two.
"""

import math

import torch
from torch import Tensor

VOICED_ABOVE = 40.0  # Hz; F0 below it means unvoiced
HIGHEST_HARMONIC = 11_000.0  # Hz
MAX_LOG_MAGNITUDE = 7.0  # exp(7) is far above full scale: only guards against overflow early in training


def pulses(f0: Tensor, hop: int, sample_rate: int) -> Tensor:
    """Band-limited pulse train: f0 (batch, frames) in Hz, 0 = unvoiced -> (batch, frames * hop).

    The sum of cos(h t) for h = 1 ... H has the closed form sin((H + 1/2) t) / (2 sin(t / 2)) - 1/2; near t = 0 it is H.
    The phase t runs in float64: after a minute of sound float32 would be off by a tenth of a period.
    """
    batch, frames = f0.shape
    # Linear between the centres of frames, constant before the first and after the last.
    sample_f0 = torch.nn.functional.interpolate(f0[:, None], scale_factor=hop, mode="linear", align_corners=False)[:, 0]
    voiced = sample_f0 > VOICED_ABOVE
    sample_f0 = sample_f0.clamp(min=VOICED_ABOVE)
    harmonics = torch.floor(HIGHEST_HARMONIC / sample_f0)
    cycles = torch.cumsum(sample_f0.double() / sample_rate, dim=1)
    cycles = cycles - cycles.round()  # -1/2 to 1/2, so that both sines below keep their precision around 0
    upper = cycles * (harmonics + 0.5)
    numerator = torch.sin(2 * math.pi * (upper - upper.round()).to(f0.dtype))
    denominator = 2 * torch.sin(math.pi * cycles.to(f0.dtype))
    near_zero = denominator.abs() < 1e-6
    train = torch.where(near_zero, harmonics, numerator / torch.where(near_zero, 1.0, denominator) - 0.5)
    return torch.where(voiced, train, 0.0).view(batch, frames * hop)


def pulse_spectrum(f0: Tensor, n_fft: int, hop: int, sample_rate: int) -> Tensor:
    """STFT of the pulse train, scaled so that a unit cosine peaks near 2: (batch, frames) -> complex (batch, frames,
    bins).
    """
    window = torch.hann_window(n_fft, device=f0.device, dtype=f0.dtype)
    spectrum = torch.stft(
        pulses(f0, hop, sample_rate),
        n_fft,
        hop,
        window=window / (n_fft / 4),
        center=True,
        pad_mode="reflect",
        return_complex=True,
    )
    return spectrum[..., : f0.shape[1]].mT


def spectrum(lh: Tensor, theta: Tensor, lr: Tensor, phi: Tensor, source: Tensor) -> Tensor:
    """The four spectra (batch, frames, bins) and the pulse spectrum -> complex (batch, frames, bins)."""
    harmonic = torch.polar(lh.clamp(max=MAX_LOG_MAGNITUDE).exp(), math.pi * torch.tanh(theta))
    free = torch.polar(lr.clamp(max=MAX_LOG_MAGNITUDE).exp(), phi)
    return harmonic * source + free


def synthesize(lh: Tensor, theta: Tensor, lr: Tensor, phi: Tensor, f0: Tensor, *, hop: int, sample_rate: int) -> Tensor:
    """Four spectra (batch, frames, bins) and f0 (batch, frames) -> waveform (batch, frames * hop) in about [-1, 1]."""
    n_fft = 2 * (lh.shape[-1] - 1)
    total = spectrum(lh, theta, lr, phi, pulse_spectrum(f0, n_fft, hop, sample_rate))
    window = torch.hann_window(n_fft, device=f0.device, dtype=f0.dtype)
    return overlap_add(torch.fft.irfft(total, n=n_fft), window, hop)


def overlap_add(frames: Tensor, window: Tensor, hop: int) -> Tensor:
    """Windowed overlap-add, centred: (batch, frames, n_fft) -> (batch, frames * hop).

    torch.istft would refuse it: with exactly `frames` frames the last half window is not fully covered. There the sum
    of squared windows fades out and the division by it is kept from exploding.
    """
    batch, count, n_fft = frames.shape
    size = (count - 1) * hop + n_fft
    fold = torch.nn.functional.fold
    sound = fold((frames * window).mT, (1, size), (1, n_fft), stride=(1, hop)).view(batch, size)
    weight = fold(window.square().expand(1, count, n_fft).mT, (1, size), (1, n_fft), stride=(1, hop)).view(size)
    half = n_fft // 2
    sound, weight = (torch.nn.functional.pad(x, (0, max(0, half + count * hop - size))) for x in (sound, weight))
    return (sound / weight.clamp(min=1e-11))[:, half : half + count * hop]
