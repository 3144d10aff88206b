"""WORLD there and back: F0 to the cent, the spectrum within a bound, noise where there is noise; and a singer's."""

from __future__ import annotations

import numpy as np
import pytest

from aoide.audio import world
from aoide.metrics.log_spectral_distance import log_spectral_distance

pytest.importorskip("pyworld")

RATE, HOP = 24_000, 240


def vowel(f0: float, seconds: float = 0.6) -> np.ndarray:
    """Harmonics of one pitch, under three formants: (samples,)."""
    time = np.arange(int(seconds * RATE)) / RATE
    numbers = np.arange(1, int(9000 / f0))[:, None]
    formants = ((700, 130), (1220, 160), (2600, 300))
    levels = sum(1 / (1 + ((numbers * f0 - centre) / width) ** 2) for centre, width in formants) / numbers**0.5
    return (0.2 * (levels * np.cos(2 * np.pi * numbers * f0 * time + numbers)).sum(0)).astype(np.float32)


def exact(samples: np.ndarray, near: float) -> float:
    """F0 in Hz by the phase that its fundamental gains from one half of the sound to the other."""
    size = 4096
    window = np.hanning(size) * np.exp(-2j * np.pi * near * np.arange(size) / RATE)
    first, second = ((samples[start : start + size] * window).sum() for start in (2000, 2000 + HOP))
    ahead = np.angle(second / first) / (2 * np.pi) - near * HOP / RATE
    return near + (ahead - np.round(ahead)) * RATE / HOP + 0.0


@pytest.mark.parametrize("f0", [196.0, 329.63])
def test_a_vowel_comes_back_at_its_pitch_and_in_its_colour(f0: float) -> None:
    samples = vowel(f0)
    heard = world.analyse(samples, RATE, HOP)
    assert heard.envelope.shape == (60, world.BANDS) and heard.aperiodicity.shape == (60, world.NOISE_BANDS)
    steady = heard.f0[5:-5]
    assert np.abs(1200 * np.log2(steady / f0)).max() < 5, "WORLD's own analysis, cents"
    told = np.where(heard.f0 > 0, np.float32(f0), 0)
    back = world.synthesise(told, heard.envelope, heard.aperiodicity, sample_rate=RATE, hop=HOP)
    assert back.shape == samples.shape and back.dtype == np.float32
    assert abs(1200 * np.log2(exact(back, f0) / f0)) < 1, "the pitch that it is told, to the cent"
    assert log_spectral_distance(samples[2000:-2000], back[2000:-2000], RATE, floor=-80) < 9
    higher = world.synthesise(told * 2 ** (7 / 12), heard.envelope, heard.aperiodicity, sample_rate=RATE, hop=HOP)
    assert abs(1200 * np.log2(exact(higher, f0 * 2 ** (7 / 12)) / f0) - 700) < 1, "and another that it is told"


def test_noise_stays_noise() -> None:
    noise = 0.1 * np.random.default_rng(0).standard_normal(RATE // 2).astype(np.float32)
    heard = world.analyse(noise, RATE, HOP)
    assert (heard.f0 > 0).mean() < 0.2
    back = world.synthesise(np.zeros_like(heard.f0), heard.envelope, heard.aperiodicity, sample_rate=RATE, hop=HOP)
    assert back[2000:-2000].std() == pytest.approx(noise.std(), rel=0.15)


def test_a_transform_holds_three_of_the_longest_periods() -> None:
    assert [world.transform(rate) for rate in (16_000, 22_050, 24_000, 44_100, 48_000)] == [
        1024,
        1024,
        1024,
        2048,
        2048,
    ]


def test_a_singer_sounds_by_it() -> None:
    torch = pytest.importorskip("torch")
    from aoide.models.svs import xiaoicesing

    config = xiaoicesing.Config(symbols=5, encoder_dim=8, encoder_layers=1, dim=8, hidden=16, layers=1)
    torch.manual_seed(0)
    model = xiaoicesing.Model(config).eval()
    heard = world.analyse(vowel(220.0), RATE, HOP)
    shown = (torch.from_numpy(x)[None].repeat(2, 1, 1) for x in (heard.envelope, heard.aperiodicity))
    mask = torch.arange(60) < torch.tensor([[60], [45]])
    sounds = model.vocode(xiaoicesing.Output(*shown, mask), torch.full((2, 60), 220.0))
    assert [len(sound.samples) for sound in sounds] == [60 * HOP, 45 * HOP] and sounds[0].sample_rate == RATE
    assert abs(1200 * np.log2(exact(sounds[0].samples, 220.0) / 220.0)) < 1
