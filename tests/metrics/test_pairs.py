"""Metrics of pairs on signals whose values theory tells: noise, gain, polarity, shift, length, rate, silence, pitch."""

from __future__ import annotations

import math
from functools import cache
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest

import aoide.metrics
from aoide.audio.resample import resample
from aoide.config import UserError
from aoide.metrics import find
from aoide.metrics.analysis import Analysis
from tests.metrics import signals

RATE = signals.RATE
NEEDS = {
    "estoi": "pystoi",
    "mcd": "pyworld",
    "pesq": "pesq",
    "pesq_nb": "pesq",
    "stoi": "pystoi",
    **dict.fromkeys(
        (
            "f0_gross_error",
            "f0_mean_error",
            "f0_pearson",
            "f0_rmse",
            "f0_rmse_hz",
            "periodicity_rmse",
            "semitone_accuracy",
            "vuv_error",
            "vuv_f1",
        ),
        "swift_f0",
    ),
}
WAVEFORM = ("si_sdr", "si_snr")
SPECTRAL = ("log_spectral_distance", "mel_ssim", "spectral_convergence", "stft_distance")
F0 = tuple(name for name, package in NEEDS.items() if package == "swift_f0")
ALL = tuple(sorted({*NEEDS, *WAVEFORM, *SPECTRAL, "energy_rmse", "energy_pearson"}))


def measure(name: str, reference: Any, generated: Any, *args: Any, **options: Any) -> float:
    if name in NEEDS and find_spec(NEEDS[name]) is None:
        pytest.skip(f"{NEEDS[name]} is not installed")
    value = getattr(aoide.metrics, name)(reference, generated, *args, **options)
    assert type(value) is float
    return value


def error(name: str, value: float) -> float:
    """How far from the best, so that less is better for every metric."""
    metric = find(name).METRIC
    return value - metric.best if metric.better == "lower" else metric.best - value


@cache
def reference() -> Analysis:
    return signals.pair("identical")[0]


def analysis(samples: np.ndarray) -> Analysis:
    return Analysis(samples.astype(np.float32), RATE)


@cache
def noisy(decibel: int) -> Analysis:
    samples = reference().samples
    noise = np.random.default_rng(1).standard_normal(len(samples)) * samples.std()
    return analysis(samples + noise * 10 ** (-decibel / 20))


def buzz(hz: np.ndarray, partials: int = 8) -> np.ndarray:
    """A sum of harmonics whose F0 is given for each sample."""
    phase = 2 * np.pi * np.cumsum(hz) / RATE
    return (0.1 * sum(np.cos(k * phase) / k for k in range(1, partials + 1))).astype(np.float32)


def glide(start: float, octaves: float, seconds: float = 1.0) -> np.ndarray:
    t = np.arange(int(seconds * RATE)) / RATE
    return buzz(start * 2 ** (octaves * t / seconds))


def spoken(seconds: float) -> np.ndarray:
    """A voice whose pitch and two formants move; `seconds` says how fast."""
    place = np.arange(int(seconds * RATE)) / (seconds * RATE)  # 0 to 1
    hz = 140 * 2 ** (0.4 * np.sin(2 * np.pi * 2 * place))
    low, high = 500 + 250 * np.sin(2 * np.pi * 1.5 * place), 1700 + 700 * np.sin(2 * np.pi * place + 1)
    phase = 2 * np.pi * np.cumsum(hz) / RATE
    x = np.zeros(len(place))
    for k in range(1, 30):
        bells = np.exp(-(((k * hz - low) / 150) ** 2)) + 0.5 * np.exp(-(((k * hz - high) / 200) ** 2))
        x += (bells + 0.01) * np.cos(k * phase)
    return 0.1 * x + 1e-4 * np.random.default_rng(0).standard_normal(len(x))


# ------------------------------------------------------------------------------------------------------- every metric


@pytest.mark.parametrize("name", ALL)
def test_a_copy_gets_the_best_value(name: str) -> None:
    assert error(name, measure(name, reference(), signals.pair("identical")[1])) == pytest.approx(0, abs=0.005)


@pytest.mark.parametrize("name", ALL)
def test_noise_never_helps_and_a_lot_of_it_harms(name: str) -> None:
    """From 40 to 0 dB. Trackers stand the noise, so metrics of F0 hardly move; they must not improve by much."""
    errors = [error(name, measure(name, reference(), noisy(decibel))) for decibel in (40, 30, 20, 10, 0)]
    slack = {"f0_mean_error": 1.0, "f0_rmse": 0.5}.get(name, 0.02)  # cents
    assert all(after > before - slack for before, after in zip(errors, errors[1:], strict=False)), errors
    if name not in F0:
        assert all(after > before for before, after in zip(errors, errors[1:], strict=False)), errors


@pytest.mark.parametrize("name", ALL)
def test_silence_is_never_perfect(name: str) -> None:
    nothing = Analysis(np.zeros(RATE, np.float32), RATE)
    assert math.isnan(measure(name, nothing, nothing))
    for pair in ((reference(), nothing), (nothing, reference())):
        value = measure(name, *pair)
        assert math.isnan(value) or error(name, value) > 0.3 * max(1.0, abs(find(name).METRIC.best))


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("samples", [0, 1, 100])
def test_next_to_nothing_is_not_perfect(name: str, samples: int) -> None:
    """A sound of one sample has spectra, and a level; nothing else can be said of it."""
    tiny = np.full(samples, 0.5, np.float32)
    value = measure(name, tiny, tiny, RATE)
    assert math.isnan(value) or (samples > 0 and name in (*WAVEFORM, *SPECTRAL, "energy_rmse", "mcd"))


@pytest.mark.parametrize("name", ALL)
def test_stereo_is_its_mean(name: str) -> None:
    left, right = noisy(20).samples, noisy(10).samples
    stereo = np.stack([left, right], axis=1)
    twice = np.stack([reference().samples] * 2, axis=1)
    want = measure(name, reference(), analysis((left + right) / 2))
    assert measure(name, twice, stereo, RATE) == pytest.approx(want, rel=1e-4, abs=1e-3)


@pytest.mark.parametrize("name", sorted({*ALL} - {*WAVEFORM}))
def test_a_copy_at_another_rate_is_nearly_perfect(name: str) -> None:
    """Both are compared at the lower rate; what the resampler's filter takes at its edge is what remains."""
    finer = Analysis(resample(reference().samples, RATE, 24000), 24000)
    allowed = {"log_spectral_distance": 4.0, "stft_distance": 3.0, "mcd": 4.0, "f0_rmse": 1.0, "pesq": 0.2}
    assert error(name, measure(name, reference(), finer)) < allowed.get(name, 0.1)


@pytest.mark.parametrize("name", ALL)
def test_half_is_missing(name: str) -> None:
    """What is missing counts: the generated sound stops in the middle."""
    options = {"align": "time"} if name in (*F0, "energy_rmse", "energy_pearson", "mel_ssim", "mcd") else {}
    half = analysis(reference().samples[: RATE * 2 // 2])
    value = error(name, measure(name, reference(), half, **options))
    if name in ("f0_rmse", "f0_rmse_hz", "f0_pearson", "f0_mean_error", "f0_gross_error"):  # of what both have
        assert value < 3.0
    elif name == "vuv_error":
        assert value == pytest.approx(0.5, abs=0.02)
    elif name == "semitone_accuracy":
        assert value == pytest.approx(100 / 180, abs=0.05)  # 0.8 of 1.8 voiced seconds are there
    elif name == "vuv_f1":
        assert value == pytest.approx(1 - 2 * 0.8 / (2 * 0.8 + 1.0), abs=0.03)
    else:
        assert value > 0.05


# ---------------------------------------------------------------------------------------------------- gain and polarity


@pytest.mark.parametrize("name", ALL)
def test_half_the_gain(name: str) -> None:
    value = measure(name, *signals.pair("gain_half"))
    if name == "energy_rmse":
        assert value == pytest.approx(20 * math.log10(2), abs=1e-3)
    elif name in ("stft_distance", "log_spectral_distance"):
        assert value == pytest.approx(20 * math.log10(2), rel=0.03)  # less where a bin lies on the floor
    elif name == "spectral_convergence":
        assert value == pytest.approx(0.5, abs=1e-4)
    elif name == "mel_ssim":
        assert 0.95 < value < 0.999  # 6 of 80 dB darker
    elif name in ("f0_rmse", "f0_rmse_hz", "f0_mean_error"):
        assert value < 1.0
    else:
        assert error(name, value) < 0.02


def test_the_loudness_of_mel_cepstra() -> None:
    """c0 is the log of the amplitude: half the gain is 10 sqrt(2) / ln 10 * ln 2 dB, and nothing without c0."""
    assert measure("mcd", *signals.pair("gain_half"), loudness=True) == pytest.approx(4.257, abs=0.01)


@pytest.mark.parametrize("name", ALL)
def test_polarity_is_not_heard(name: str) -> None:
    value = error(name, measure(name, reference(), analysis(-reference().samples)))
    assert value == pytest.approx(0.0, abs=0.3 if name.startswith("f0_") else 0.02)


# ------------------------------------------------------------------------------------------------------------ waveform


@pytest.mark.parametrize("name", WAVEFORM)
@pytest.mark.parametrize("degrees", [1, 10, 45, 80])
def test_a_shifted_sine(name: str, degrees: int) -> None:
    """Its projection is the cosine of the shift, the rest the sine."""
    phase = 2 * np.pi * 100 * np.arange(RATE) / RATE
    shift = math.radians(degrees)
    value = measure(name, np.sin(phase), np.sin(phase + shift), RATE)
    assert value == pytest.approx(20 * math.log10(math.cos(shift) / math.sin(shift)), abs=1e-3)


def test_an_offset_is_distortion_but_no_noise() -> None:
    noise = np.random.default_rng(0).standard_normal(RATE)
    noise -= noise.mean()
    noise /= noise.std()
    assert measure("si_snr", noise, noise + 0.1, RATE) == pytest.approx(100.0, abs=1.0)
    assert measure("si_sdr", noise, noise + 0.1, RATE) == pytest.approx(20.0, abs=1e-3)


def test_noise_of_known_level_and_half_a_sound() -> None:
    noise = np.random.default_rng(0).standard_normal((2, 4 * RATE))
    assert measure("si_sdr", noise[0], noise[0] + 0.1 * noise[1], RATE) == pytest.approx(20.0, abs=0.1)
    assert measure("si_sdr", noise[0], noise[0, : 2 * RATE], RATE) == pytest.approx(0.0, abs=0.1)  # 1/2 is, 1/2 is not


def test_time_shift_of_spectra() -> None:
    """A millisecond is nothing to spectra, and everything to samples."""
    shifted = analysis(np.roll(reference().samples, RATE // 1000))
    assert measure("spectral_convergence", reference(), shifted) < 0.25
    assert measure("mel_ssim", reference(), shifted) > 0.95
    assert measure("energy_rmse", reference(), shifted) < 0.5
    assert measure("si_sdr", reference(), shifted) < 5.0


# ------------------------------------------------------------------------------------------------------------------ F0


def test_an_octave() -> None:
    low, high = analysis(glide(150, 0.5)), analysis(glide(300, 0.5))
    assert measure("f0_rmse", low, high) == pytest.approx(1200, abs=3)
    assert measure("f0_mean_error", low, high) == pytest.approx(1200, abs=3)
    assert measure("f0_rmse_hz", low, high) == pytest.approx(
        np.sqrt(np.mean((150 * 2 ** np.linspace(0, 0.5)) ** 2)), rel=0.02
    )
    assert measure("f0_gross_error", low, high) == 1.0
    assert measure("semitone_accuracy", low, high) == 0.0
    assert measure("f0_pearson", low, high) > 0.995  # the contour is the same
    assert measure("vuv_error", low, high) < 0.03


@pytest.mark.parametrize("tracker", ["swift", "harvest", "dio", "praat"])
def test_the_wrong_contour_at_the_same_mean(tracker: str) -> None:
    """One glides up an octave, the other down: 1200 cents apart at both ends, the root mean square 1200 / sqrt(3)."""
    package = {"swift": "swift_f0", "praat": "parselmouth"}.get(tracker, "pyworld")
    if find_spec(package) is None:
        pytest.skip(f"{package} is not installed")
    up, down = analysis(glide(200, 1.0)), analysis(glide(400, -1.0))
    options = {"tracker": tracker, "align": "time"}
    assert measure("f0_pearson", up, down, **options) == pytest.approx(-1.0, abs=0.005)
    assert measure("f0_rmse", up, down, **options) == pytest.approx(1200 / math.sqrt(3), rel=0.05)
    assert measure("f0_mean_error", up, down, **options) < 45  # swift leaves more unvoiced at one end


def test_a_shift_in_time_of_a_glide() -> None:
    """An octave a second, 50 ms late: 60 cents everywhere; DTW on the envelope cannot be misled, for it hears no F0."""
    whole = glide(200, 1.1, 1.1)
    early, late = analysis(whole[RATE // 20 :]), analysis(whole[: -RATE // 20])
    assert measure("f0_rmse", early, late) == pytest.approx(60, abs=6)


def test_a_transposed_melody() -> None:
    """A semitone up: 100 cents, every note missed, the contour the same."""
    t = np.arange(2 * RATE) / RATE
    notes = 220 * 2 ** (np.array([0, 4, 7, 4])[np.minimum((t * 2).astype(int), 3)] / 12)
    song, higher = analysis(buzz(notes)), analysis(buzz(notes * 2 ** (1 / 12)))
    assert measure("f0_rmse", song, higher) == pytest.approx(100, abs=8)
    assert measure("semitone_accuracy", song, higher) < 0.05
    assert measure("semitone_accuracy", song, analysis(buzz(notes * 2 ** (0.2 / 12)))) > 0.9
    assert measure("f0_gross_error", song, higher) < 0.03


def test_voicing() -> None:
    """Of a voice of 1.8 s in 2 s, half a second is whispered."""
    samples = reference().samples.copy()
    hole = slice(int(1.2 * RATE), int(1.7 * RATE))
    samples[hole] = 0.02 * np.random.default_rng(0).standard_normal(hole.stop - hole.start)
    whispered = analysis(samples)
    assert measure("vuv_error", reference(), whispered) == pytest.approx(0.25, abs=0.03)
    assert measure("vuv_f1", reference(), whispered) == pytest.approx(2 * 1.3 / (2 * 1.3 + 0.5), abs=0.03)
    assert measure("periodicity_rmse", reference(), whispered) == pytest.approx(0.5, abs=0.1)  # sqrt(1/4) of near 1


def test_without_voice_f0_is_not_known() -> None:
    noise = analysis(0.1 * np.random.default_rng(0).standard_normal(RATE))
    for name in ("f0_rmse", "f0_rmse_hz", "f0_pearson", "f0_mean_error", "f0_gross_error"):
        assert math.isnan(measure(name, analysis(glide(200, 0.2)), noise))
    assert measure("vuv_error", analysis(glide(200, 0.2)), noise) > 0.95
    assert measure("vuv_f1", analysis(glide(200, 0.2)), noise) == 0.0
    assert math.isnan(measure("vuv_f1", noise, noise))


def test_a_monotone_has_no_contour() -> None:
    flat = np.zeros(100) + 200.0
    from aoide.metrics.contours import pearson

    assert math.isnan(pearson(flat, np.linspace(1, 2, 100)))
    assert pearson(np.linspace(1, 2, 100), np.linspace(3, 1, 100)) == pytest.approx(-1)


# ------------------------------------------------------------------------------------------------------------- lengths


def test_what_lasts_longer_is_aligned_by_its_envelope() -> None:
    """The same words a fifth slower: DTW finds the same contour; frame by frame they are far off."""
    first, second = analysis(spoken(1.2)), analysis(spoken(1.44))
    assert measure("f0_rmse", first, second) < 40 < 80 < measure("f0_rmse", first, second, align="time")
    assert measure("f0_pearson", first, second) > 0.97 > 0.8 > measure("f0_pearson", first, second, align="time")
    assert measure("mcd", first, second) < 0.5 * measure("mcd", first, second, align="time")
    assert measure("mel_ssim", first, second) > measure("mel_ssim", first, second, align="time") + 0.1


# -------------------------------------------------------------------------------------------------------------- options


def test_stft_distance_of_white_noise_of_other_gain() -> None:
    """Ten times the amplitude is 20 dB in every bin, where no floor is near."""
    noise = 0.05 * np.random.default_rng(0).standard_normal(RATE)
    assert measure("stft_distance", noise, 10 * noise, RATE) == pytest.approx(20, abs=0.01)
    assert measure("log_spectral_distance", noise, 10 * noise, RATE) == pytest.approx(20, abs=0.01)
    assert measure("spectral_convergence", noise, 10 * noise, RATE) == pytest.approx(9, rel=1e-4)


def test_spectral_convergence_of_silence_is_one() -> None:
    assert measure("spectral_convergence", reference(), analysis(np.zeros(2 * RATE))) == pytest.approx(1.0)


@pytest.mark.parametrize(("name", "low", "high"), [("pesq", 1.02, 4.65), ("pesq_nb", 1.0, 4.56), ("stoi", 0.0, 1.0)])
def test_bounds(name: str, low: float, high: float) -> None:
    noise = analysis(0.1 * np.random.default_rng(0).standard_normal(2 * RATE))
    assert low <= measure(name, reference(), noise) < measure(name, reference(), noisy(10)) <= high


@pytest.mark.parametrize("module", ["pystoi", "pesq", "pyworld", "parselmouth"])
def test_a_missing_package_names_its_extra(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    from aoide.config import MissingExtra

    monkeypatch.setitem(sys.modules, module, None)
    name = {"pystoi": "stoi", "pesq": "pesq", "pyworld": "mcd"}.get(module, "f0_rmse")
    options = {"tracker": "praat"} if module == "parselmouth" else {}
    sound = reference().samples[:RATE]
    with pytest.raises(MissingExtra, match="pip install"):
        getattr(aoide.metrics, name)(sound, sound, RATE, **options)


def test_trackers_without_periodicity_say_so() -> None:
    pytest.importorskip("pyworld")
    with pytest.raises(UserError, match="dio does not measure periodicity"):
        aoide.metrics.periodicity_rmse(reference(), noisy(20), tracker="dio")
