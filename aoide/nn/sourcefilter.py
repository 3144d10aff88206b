"""Source-filter synthesis by one inverse STFT: F0 and four spectra a frame -> waveform, differentiable.

    S = exp(lh) e^{i pi tanh(theta)} STFT(pulses(f0))  +  exp(lr) e^{i phi}          (batch, frames, bins)
    waveform = ISTFT(S)                                                              (batch, frames * hop)

The first term is a pulse train, every harmonic at unit amplitude, filtered in magnitude and phase: it makes the voice
and follows F0 wherever F0 is put, so pitch can be moved without touching the timbre. The second term has a phase of its
own: breath, bursts, and what harmonics cannot say. Both parts are summed before the only inverse transform, which costs
little and makes no frame joints.

Below stand the sources of the networks that filter in the time domain (nsf_hifigan, and the voices that carry its
decoder): sines whose phase runs with F0, by a closed form within each frame, so that a sum over frames is all that has
to run through the whole sound.

Sources: harmonic-plus-noise models (Stylianou 2001); neural source-filter (Wang et al. 2019, arXiv:1904.12088); the
inverse STFT as upsampler (Kaneko et al. 2022, arXiv:2203.02395; Siuzdak 2023, arXiv:2306.00814). The spectra are those
of the signal model that the teacher voice of `data/corpora/taught.py` exposes, without its noise branch, which carries
under a millionth of the energy. `generate/synthesis.py` holds the same formula in numpy for exported voices; a test
compares the two.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

VOICED_ABOVE = 40.0  # Hz; F0 below it means unvoiced
HIGHEST_HARMONIC = 11_000.0  # Hz
MAX_LOG_MAGNITUDE = 7.0  # exp(7) is far above full scale: only guards against overflow early in training


def pulses(f0: Tensor, hop: int, sample_rate: int, centres: Tensor | None = None) -> Tensor:
    """Band-limited pulse train: f0 (batch, frames) in Hz, 0 = unvoiced -> (batch, frames * hop).

    F0 is linear between the centres of frames, constant before the first and after the last. The sum of cos(h t) for
    h = 1 ... H has the closed form sin((H + 1/2) t) / (2 sin(t / 2)) - 1/2; near t = 0 it is H. The phase t runs in
    float64: after a minute of sound float32 would be off by a tenth of a period.

    Args:
        centres: (batch, frames) the phase at the centre of each frame, from `pulse_centres` of the whole of which this
            F0 is a piece; None: this is the whole. Of a piece all but the outer half frames is as in the whole.
    """
    sample_f0 = _between_centres(torch.cat([f0[:, :1], f0, f0[:, -1:]], dim=1), hop)  # (batch, frames + 1, hop)
    voiced = sample_f0 > VOICED_ABOVE
    sample_f0 = sample_f0.clamp(min=VOICED_ABOVE)
    harmonics = torch.floor(HIGHEST_HARMONIC / sample_f0)
    within = torch.cumsum(sample_f0.double() / sample_rate, dim=2)
    centres = (pulse_centres(f0, hop, sample_rate) if centres is None else centres).double()
    before = torch.cat([centres[:, :1] - within[:, 0, -1:], centres], dim=1)
    cycles = before[..., None] + within
    cycles = cycles - cycles.round()  # -1/2 to 1/2, so that both sines below keep their precision around 0
    upper = cycles * (harmonics + 0.5)
    numerator = torch.sin(2 * math.pi * (upper - upper.round()).to(f0.dtype))
    denominator = 2 * torch.sin(math.pi * cycles.to(f0.dtype))
    near_zero = denominator.abs() < 1e-6
    train = torch.where(near_zero, harmonics, numerator / torch.where(near_zero, 1.0, denominator) - 0.5)
    lead = (hop + 1) // 2  # samples between the middle before the sound, where the first row begins, and its start
    return torch.where(voiced, train, 0.0).flatten(1)[:, lead : lead + f0.shape[1] * hop]


def pulse_centres(f0: Tensor, hop: int, sample_rate: int, after: Tensor | None = None) -> Tensor:
    """The phase of the pulse train at the centre of each frame: (batch, frames) Hz -> (batch, frames) cycles, -1/2 to
    1/2, in float64.

    Args:
        after: (batch, 2) phase and F0 at the centre of the frame before, where the sound goes on; None: it begins.
    """
    around = f0 if after is None else torch.cat([after[:, 1:].to(f0.dtype), f0], dim=1)
    passed = (_between_centres(around, hop).clamp(min=VOICED_ABOVE).double() / sample_rate).sum(2)
    if after is None:
        first = (hop - (hop + 1) // 2) / sample_rate * f0[:, :1].clamp(min=VOICED_ABOVE).double()
        total = torch.cat([first, passed], dim=1).cumsum(dim=1)
    else:
        total = after[:, :1].double() + passed.cumsum(dim=1)
    return total - total.round()


def _between_centres(f0: Tensor, hop: int) -> Tensor:
    """F0 of the samples from the centre of each frame to that of the next: (batch, frames) -> (batch, frames - 1, hop).

    With an even hop centres lie between samples, with an odd one on them.
    """
    place = torch.arange(hop, device=f0.device, dtype=f0.dtype) + (0.5 if hop % 2 == 0 else 0.0)
    return f0[:, :-1, None] + f0.diff(dim=1)[..., None] * place / hop


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


# ------------------------------------------------------------------------------------------ sines, in the time domain

SINE = 0.1  # amplitude of each partial
BREATH = 0.003  # deviation of the noise on voiced sound; on unvoiced sound, where it is alone, it is SINE / 3


def drawn(
    draw: Callable[..., Tensor], shape: tuple[int, ...], like: Tensor, generator: torch.Generator | None
) -> Tensor:
    """`draw` (torch.randn, torch.rand) of this shape where `like` is, from the generator or from torch's own.

    torch.export cannot trace a draw that is handed a generator, be it None.
    """
    if generator is None:
        return draw(shape, device=like.device)
    return draw(shape, device=like.device, generator=generator)


def sine_starts(
    f0: Tensor, hop: int, sample_rate: float, *, glide: bool = False, after: Tensor | None = None
) -> Tensor:
    """The phase before each frame of a sine that follows F0: (batch, frames) Hz -> (batch, frames) cycles, -1/2 to 1/2.

    What has passed is summed in float64.

    Args:
        hop, sample_rate, glide: see `sine_phase`.
        after: (batch, 2) phase and F0 of the frame before, where the sound goes on; None: it begins, with phase 0.
    """
    pace = (f0 if after is None else torch.cat([after[:, 1:], f0], dim=1)).double() / sample_rate
    passed = pace[:, :-1] * hop
    if glide:
        passed = passed + 0.5 * pace.diff(dim=1) * (hop - 1)
    first = torch.zeros_like(pace[:, :1]) if after is None else after[:, :1].double()
    total = torch.cat([first, passed - passed.round()], dim=1).cumsum(dim=1)
    total = total if after is None else total[:, 1:]
    return (total - total.round()).to(f0.dtype)


def sine_phase(
    f0: Tensor,
    hop: int,
    sample_rate: float,
    starts: Tensor | None = None,
    *,
    glide: bool = False,
    mask: Tensor | None = None,
) -> Tensor:
    """The phase of a sine that follows F0: f0 (batch, frames) Hz -> (batch, frames, hop) cycles, -1/2 to 1/2.

    Sample n = 1 ... hop of frame k has passed s n cycles of its frame, where s = f0 / sample_rate is constant in the
    frame; with `glide` it moves linearly to that of the next frame, d further: s n + d n (n - 1) / (2 hop).

    Args:
        hop: samples of the source a frame; a slow source has fewer than the sound.
        sample_rate: of the source, Hz.
        starts: (batch, frames) of `sine_starts` of the whole of which this F0 is a piece; None: this is the whole.
        mask: (batch, frames), True = real: nothing glides to a frame that is not.
    """
    if starts is None:
        starts = sine_starts(f0, hop, sample_rate, glide=glide)
    steps = torch.arange(1, hop + 1, device=f0.device, dtype=f0.dtype)
    pace = (f0 / sample_rate)[..., None]  # cycles a sample
    cycles = starts[..., None] + pace * steps
    if glide:
        change = torch.nn.functional.pad(pace.diff(dim=1), (0, 0, 0, 1))
        if mask is not None:
            change = change.masked_fill(~torch.nn.functional.pad(mask[:, 1:], (0, 1))[..., None], 0.0)
        cycles = cycles + 0.5 * change * steps * (steps - 1) / hop
    return cycles - cycles.round()


def partials(phase: Tensor, offsets: Tensor) -> Tensor:
    """F0 and its overtones, unit sines: phase (batch, frames, hop) cycles -> (batch, frames, hop, partials).

    Args:
        offsets: (batch or 1, partials) cycles that each partial is ahead, or (batch, frames, hop, partials) where that
            changes on the way.
    """
    if offsets.ndim == 2:
        offsets = offsets[:, None, None]
    number = torch.arange(1, offsets.shape[-1] + 1, device=phase.device, dtype=phase.dtype)
    return torch.sin(2 * math.pi * (phase[..., None] * number + offsets))


def breathing(sines: Tensor, f0: Tensor, noise: Tensor) -> Tensor:
    """Sines where voiced, noise everywhere: the harmonic-plus-noise source of Wang et al. 2019, arXiv:1904.12088.

    Args:
        sines: (batch, frames, hop, partials), of unit amplitude.
        f0: (batch, frames) Hz, 0 = unvoiced.
        noise: standard normal, like the sines.
    """
    voiced = (f0 > 0)[..., None, None]
    return torch.where(voiced, SINE * sines + BREATH * noise, SINE / 3 * noise)
