"""The fast numpy synthesis against its definition, computed term by term in float64, and against torch."""

import numpy as np
import pytest

from aoide.generate import synthesis

SAMPLE_RATE, HOP, N_FFT = 24_000, 300, 1200


def direct_pulses(f0, hop, sample_rate):
    """The sum of all harmonics, cosine by cosine."""
    frames = len(f0)
    middles = (np.arange(frames) + 0.5) * hop - 0.5
    pitch = np.interp(np.arange(frames * hop), middles, f0)
    phase = 2 * np.pi * np.cumsum(np.maximum(pitch, 40.0)) / sample_rate
    count = np.floor(11_000 / np.maximum(pitch, 40.0))
    train = np.zeros(len(pitch))
    for h in range(1, int(count.max()) + 1):
        train += np.where(h <= count, np.cos(h * phase), 0)
    return np.where(pitch > 40, train, 0)


def direct_stft(samples, frames, hop, n_fft):
    """Windows cut one by one from the mirrored signal and multiplied with the matrix of the transform."""
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n_fft) / n_fft)
    padded = np.pad(samples, n_fft // 2, mode="reflect")
    matrix = np.exp(-2j * np.pi * np.outer(np.arange(n_fft), np.arange(n_fft // 2 + 1)) / n_fft)
    return np.stack([(padded[k * hop : k * hop + n_fft] * window / (n_fft / 4)) @ matrix for k in range(frames)])


def direct_istft(spectrum, hop, n_fft, skip):
    """The inverse transform frame by frame, overlap-added and divided by the sum of squared windows."""
    frames = len(spectrum)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n_fft) / n_fft)
    signal, weight = np.zeros((2, skip + frames * hop + n_fft))
    for k in range(frames):
        signal[k * hop : k * hop + n_fft] += np.fft.irfft(spectrum[k], n_fft) * window
        weight[k * hop : k * hop + n_fft] += window**2
    return (signal / np.maximum(weight, 1e-11))[skip : skip + frames * hop]


def random_spectra(frames, bins=N_FFT // 2 + 1, seed=0):
    random = np.random.default_rng(seed)
    lh, theta, lr, phi = random.normal(size=(4, frames, bins)).astype(np.float32)
    return lh - 3, theta, lr - 2, 3 * phi


def contour(frames, seed=1):
    """F0 with voiced and unvoiced stretches."""
    random = np.random.default_rng(seed)
    f0 = 180 + 60 * np.sin(np.arange(frames) / 9) + random.uniform(-3, 3, frames)
    f0[frames // 3 : frames // 2] = 0
    f0[-frames // 6 :] = 0
    return f0.astype(np.float32)


@pytest.mark.parametrize("frames", [1, 2, 5, 90])
def test_pulses_are_the_sum_of_all_harmonics(frames):
    f0 = contour(frames) if frames > 5 else np.full(frames, 173.3, np.float32)
    got = synthesis.pulses(f0, HOP, SAMPLE_RATE)
    assert got.dtype == np.float32 and got.shape == (frames * HOP,)
    want = direct_pulses(f0, HOP, SAMPLE_RATE)
    assert np.abs(got - want).max() < 2e-3  # of a peak of 60
    assert np.sqrt(np.mean((got - want) ** 2)) < 1e-4


def test_a_pulse_exactly_at_phase_zero_has_its_full_height():
    train = synthesis.pulses(np.full(4, 240.0, np.float32), HOP, SAMPLE_RATE)  # a period of exactly 100 samples
    assert train[99] == pytest.approx(np.floor(11_000 / 240), abs=1e-3)


def test_without_pitch_there_are_no_pulses():
    assert not synthesis.pulses(np.zeros(5, np.float32), HOP, SAMPLE_RATE).any()


def test_the_phase_does_not_drift_in_a_long_sound():
    train = synthesis.pulses(np.full(80 * 60, 240.0, np.float32), HOP, SAMPLE_RATE)
    assert np.argmax(train[-100:]) == 99


@pytest.mark.parametrize("frames", [1, 2, 3, 4, 5, 63, 64, 65, 150])
def test_sourcefilter_is_its_formula(frames):
    lh, theta, lr, phi = random_spectra(frames)
    f0 = contour(frames) if frames > 5 else np.full(frames, 211.7, np.float32)
    got = synthesis.sourcefilter((lh, theta, lr, phi), f0, hop=HOP, sample_rate=SAMPLE_RATE)
    source = direct_stft(direct_pulses(f0, HOP, SAMPLE_RATE), frames, HOP, N_FFT)
    spectrum = np.exp(np.minimum(lh, 7.0) + 1j * np.pi * np.tanh(theta)) * source + np.exp(
        np.minimum(lr, 7.0) + 1j * phi
    )
    want = direct_istft(spectrum, HOP, N_FFT, N_FFT // 2)
    assert got.dtype == np.float32 and got.shape == (frames * HOP,)
    assert np.abs(got - want).max() < 2e-5 * max(1, np.abs(want).max())


def test_unvoiced_frames_are_skipped_without_a_difference():
    """The same sound in the middle of silence and alone: the shortcut for unvoiced frames changes nothing."""
    spectra = random_spectra(30)
    f0 = np.zeros(30, np.float32)
    f0[14] = 150
    got = synthesis.sourcefilter(spectra, f0, hop=HOP, sample_rate=SAMPLE_RATE)
    source = direct_stft(direct_pulses(f0, HOP, SAMPLE_RATE), 30, HOP, N_FFT)
    lh, theta, lr, phi = spectra
    want = direct_istft(
        np.exp(lh + 1j * np.pi * np.tanh(theta)) * source + np.exp(lr + 1j * phi), HOP, N_FFT, N_FFT // 2
    )
    assert np.abs(got - want).max() < 2e-5


def test_overflow_is_held_back():
    lh, theta, lr, phi = random_spectra(4)
    loud = synthesis.sourcefilter(
        (lh + 500, theta, lr + 500, phi), np.full(4, 200, np.float32), hop=HOP, sample_rate=SAMPLE_RATE
    )
    assert np.isfinite(loud).all()


@pytest.mark.parametrize("padding", ["center", "same"])
@pytest.mark.parametrize(("n_fft", "hop"), [(1024, 256), (600, 300), (64, 16)])
def test_istft_is_its_formula(n_fft, hop, padding):
    random = np.random.default_rng(2)
    magnitude = random.uniform(0, 2, (70, n_fft // 2 + 1)).astype(np.float32)
    phase = random.uniform(-9, 9, magnitude.shape).astype(np.float32)
    got = synthesis.istft(magnitude, phase, hop=hop, padding=padding)
    skip = n_fft // 2 if padding == "center" else (n_fft - hop) // 2
    want = direct_istft(magnitude * np.exp(1j * phase.astype(np.float64)), hop, n_fft, skip)
    assert got.shape == (70 * hop,) and got.dtype == np.float32
    inside = slice(n_fft, -n_fft)  # at the ends of "same" the division by a fading window magnifies the rounding
    assert np.abs(got - want)[inside].max() < 1e-5
    assert np.abs(got - want).max() < 1e-4 * max(1, np.abs(want).max())


def test_numpy_and_torch_synthesise_the_same():
    torch = pytest.importorskip("torch")
    sourcefilter = pytest.importorskip("aoide.nn.sourcefilter")
    spectra, f0 = random_spectra(120), contour(120)
    got = synthesis.sourcefilter(spectra, f0, hop=HOP, sample_rate=SAMPLE_RATE)
    tensors = [torch.from_numpy(part)[None] for part in spectra]
    want = sourcefilter.synthesize(*tensors, torch.from_numpy(f0)[None], hop=HOP, sample_rate=SAMPLE_RATE)[0].numpy()
    assert np.abs(got - want).max() < 1e-4 * max(1, np.abs(want).max())
