"""The source-filter synthesiser: pitch, levels and timing of its sound, and equality with the torch-free runtime."""

import math

import numpy as np
import pytest
import torch

from aoide.nn import sourcefilter

RATE, HOP, N_FFT = 24_000, 300, 1200
BINS = N_FFT // 2 + 1


def flat(frames: int, level: float) -> torch.Tensor:
    return torch.full((1, frames, BINS), level)


@pytest.mark.parametrize("f0", [80.0, 220.0, 437.5])
def test_pulses_have_the_period_of_f0(f0: float) -> None:
    train = sourcefilter.pulses(torch.full((1, 80), f0), HOP, RATE)[0]
    spectrum = torch.fft.rfft(train * torch.hann_window(len(train), periodic=False)).abs()
    peak = spectrum[: int(1.5 * f0 * len(train) / RATE)].argmax() * RATE / len(train)
    assert abs(float(peak) - f0) <= RATE / len(train)


def test_pulses_match_the_sum_of_cosines_that_they_stand_for() -> None:
    f0 = 210.0
    train = sourcefilter.pulses(torch.full((1, 4), f0, dtype=torch.float64), HOP, RATE)[0]
    phase = 2 * math.pi * f0 / RATE * torch.arange(1, 4 * HOP + 1, dtype=torch.float64)
    harmonics = int(sourcefilter.HIGHEST_HARMONIC // f0)
    direct = sum(torch.cos(h * phase) for h in range(1, harmonics + 1))
    assert (train - direct).abs().max() < 1e-6


def test_unvoiced_frames_have_no_pulses() -> None:
    assert sourcefilter.pulses(torch.zeros(2, 10), HOP, RATE).abs().max() == 0


def test_a_minute_keeps_its_phase() -> None:
    """In float32 the running phase would drift; the last second must still repeat with the period."""
    train = sourcefilter.pulses(torch.full((1, 80 * 60), 240.0), HOP, RATE)[0]
    period = RATE // 240
    last = train[-RATE:]
    assert torch.allclose(last[:-period], last[period:], atol=0.2)


def test_harmonics_have_the_amplitude_of_the_filter() -> None:
    """exp(lh) = 300 A is a cosine of amplitude A for this window: a flat filter gives every harmonic the same
    amplitude.
    """
    amplitude, frames = 0.05, 80
    level = math.log(amplitude * N_FFT / 4)
    sound = sourcefilter.synthesize(
        flat(frames, level),
        flat(frames, 0.0),
        flat(frames, -50.0),
        flat(frames, 0.0),
        torch.full((1, frames), 400.0),
        hop=HOP,
        sample_rate=RATE,
    )[0]
    middle = sound[RATE // 4 : RATE // 4 + RATE // 2].double()
    time = torch.arange(len(middle), dtype=torch.float64) / RATE
    for harmonic in (1, 5, 20):
        wave = torch.exp(-2j * math.pi * 400 * harmonic * time)
        assert abs(2 * float((middle * wave).mean().abs()) - amplitude) < 0.02 * amplitude


def test_overlap_add_inverts_the_stft() -> None:
    sound = torch.randn(2, 20 * HOP, generator=torch.Generator().manual_seed(0))
    window = torch.hann_window(N_FFT)
    spectrum = torch.stft(sound, N_FFT, HOP, window=window, return_complex=True)[..., :20].mT
    back = sourcefilter.overlap_add(torch.fft.irfft(spectrum, n=N_FFT), window, HOP)
    assert back.shape == sound.shape
    # The frame that would centre on the very end is not there, so the last half window is only nearly covered.
    assert torch.allclose(back[:, : -N_FFT // 2], sound[:, : -N_FFT // 2], atol=1e-5)


def test_gradients_reach_every_spectrum_and_f0() -> None:
    generator = torch.Generator().manual_seed(0)
    spectra = [torch.randn(1, 6, BINS, generator=generator).requires_grad_() for _ in range(4)]
    f0 = torch.full((1, 6), 150.0, requires_grad=True)
    sourcefilter.synthesize(*spectra, f0, hop=HOP, sample_rate=RATE).square().sum().backward()
    for tensor in (*spectra, f0):
        assert tensor.grad is not None
        assert tensor.grad.isfinite().all()
        assert tensor.grad.abs().max() > 0


def test_runtime_without_torch_makes_the_same_sound() -> None:
    synthesis = pytest.importorskip("aoide.generate.synthesis")
    generator = torch.Generator().manual_seed(1)
    spectra = [torch.randn(1, 40, BINS, generator=generator) for _ in range(4)]
    f0 = torch.where(torch.arange(40) % 11 < 8, 120 + 4.0 * torch.arange(40), 0.0)[None]
    ours = sourcefilter.synthesize(*spectra, f0, hop=HOP, sample_rate=RATE)[0].numpy()
    theirs = synthesis.sourcefilter(tuple(s[0].numpy() for s in spectra), f0[0].numpy(), hop=HOP, sample_rate=RATE)
    assert theirs.shape == ours.shape
    assert np.abs(ours - theirs).max() <= 1e-4 * np.abs(ours).max()


@pytest.mark.parametrize("hop", [HOP, 77])
def test_pieces_of_the_pulses_are_as_in_the_whole(hop: int) -> None:
    f0 = 120 + 100 * torch.rand(2, 30, generator=torch.Generator().manual_seed(0))
    f0[:, 8:12] = 0.0
    whole = sourcefilter.pulses(f0, hop, RATE)
    centres = sourcefilter.pulse_centres(f0, hop, RATE)
    piece = sourcefilter.pulses(f0[:, 9:20], hop, RATE, centres[:, 9:20])
    # Rounded to float64 sums in another order: a pulse is as high as it has harmonics, about 100.
    torch.testing.assert_close(piece[:, hop:-hop], whole[:, 10 * hop : 19 * hop], atol=1e-3, rtol=0)
    later = sourcefilter.pulse_centres(f0[:, 9:], hop, RATE, torch.stack([centres[:, 8], f0[:, 8].double()], dim=1))
    apart = (later - centres[:, 9:]).abs()
    assert float(torch.minimum(apart, 1 - apart).max()) < 1e-9


@pytest.mark.parametrize("glide", [False, True])
def test_the_sine_has_the_frequency_of_f0_and_no_jumps(glide: bool) -> None:
    f0 = torch.linspace(200, 300, 50)[None]
    phase = sourcefilter.sine_phase(f0, 64, 8_000, glide=glide).flatten(1)[0]
    step = phase.diff()
    step = step - step.round()
    limit = 300 / 8_000 + 1e-5
    assert float(step.min()) > 200 / 8_000 - 1e-5 and float(step.max()) < limit, "at frame joints too"
    changes = step.diff().abs()
    assert (float(changes.max()) < 1e-5) == glide, "without a glide the frequency steps from frame to frame"


def test_an_hour_of_the_sine_keeps_its_phase() -> None:
    starts = sourcefilter.sine_starts(torch.full((1, 100 * 3600), 110.25), 441, 44_100)
    error = starts.double() - (1.1025 * torch.arange(100 * 3600, dtype=torch.float64))
    assert float((error - error.round()).abs().max()) < 1e-6


def test_partials_are_whole_multiples_ahead_by_their_offsets() -> None:
    phase = torch.linspace(-0.5, 0.5, 40).view(1, 5, 8)
    offsets = torch.tensor([[0.0, 0.25, 0.5]])
    waves = sourcefilter.partials(phase, offsets)
    for i in range(3):
        want = torch.sin(2 * math.pi * ((i + 1) * phase + offsets[0, i]))
        torch.testing.assert_close(waves[..., i], want, atol=1e-6, rtol=0)


def test_breath_is_louder_where_there_is_no_voice() -> None:
    f0 = torch.tensor([[0.0, 100.0]])
    noise = torch.ones(1, 2, 4, 3)
    mixed = sourcefilter.breathing(torch.zeros(1, 2, 4, 3), f0, noise)
    assert mixed[0, 0].unique().tolist() == [pytest.approx(0.1 / 3)]
    assert mixed[0, 1].unique().tolist() == [pytest.approx(0.003)]
