"""The constant-Q transform on sounds whose spectrum is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from aoide.config import UserError
from aoide.nn.cqt import LOWEST, ConstantQ, Doubler

RATE, HOP, OCTAVES, BINS = 16_000, 64, 7, 12


@pytest.fixture(scope="module")
def transform() -> ConstantQ:
    return ConstantQ(RATE, HOP, OCTAVES, BINS)


def _tone(hertz: float, seconds: float = 2.0, rate: int = RATE) -> torch.Tensor:
    time = torch.arange(int(seconds * rate), dtype=torch.float64) / rate
    return torch.sin(2 * torch.pi * hertz * time).float()[None]


def _magnitude(spectra: torch.Tensor) -> torch.Tensor:
    return torch.linalg.vector_norm(spectra, dim=1)[0]  # (frames, bins)


def test_shape(transform: ConstantQ) -> None:
    for samples in (128, 191, 192, 1_000, 1_001):
        assert transform(torch.zeros(2, samples)).shape == (2, 2, samples // HOP + 1, OCTAVES * BINS)


@pytest.mark.parametrize("pitch", [0, 5, 12, 25, 40, 57, 71, 83])
def test_a_tone_is_where_its_pitch_is(transform: ConstantQ, pitch: int) -> None:
    """A note of unit amplitude shows in its own bin at half that times the bin's gain, a fifth away hardly at all."""
    heard = _magnitude(transform(_tone(LOWEST * 2 ** (pitch / BINS))))
    middle = heard[len(heard) // 2]
    assert int(middle.argmax()) == pitch
    assert float(middle[pitch]) == pytest.approx(0.5 * float(transform.gains[pitch]), rel=0.02)
    away = [i for i in range(OCTAVES * BINS) if abs(i - pitch) >= 7]
    assert float((middle / transform.gains)[away].max()) < 0.005


def test_phase_turns_with_the_tone(transform: ConstantQ) -> None:
    """From frame to frame the phase of the bin goes on as the tone does in a hop: frames are on one clock."""
    for pitch in (9, 45, 80):
        hertz = LOWEST * 2 ** (pitch / BINS)
        real, imaginary = transform(_tone(hertz))[0, :, 150:200, pitch].double()
        turned = np.angle(np.exp(1j * np.diff(np.arctan2(imaginary.numpy(), real.numpy()))))
        expected = np.angle(np.exp(2j * np.pi * hertz * HOP / RATE))
        np.testing.assert_allclose(np.angle(np.exp(1j * (turned - expected))), 0, atol=0.02)


def test_frames_are_centred_on_their_hop(transform: ConstantQ) -> None:
    """A click shows in the frame on which it falls, in every octave; the halving filters lag less than a frame."""
    click = torch.zeros(1, 128 * HOP)
    click[0, 60 * HOP] = 1.0
    heard = _magnitude(transform(click))
    for octave in range(2, OCTAVES):
        assert abs(int(heard[:, octave * BINS + 6].argmax()) - 60) <= 1


def test_white_noise_is_equally_loud_in_every_bin(transform: ConstantQ) -> None:
    noise = torch.randn(1, 10 * RATE, generator=torch.Generator().manual_seed(0))
    power = _magnitude(transform(noise))[100:-100].square().mean(0)
    inside = power[2 * BINS : -2]
    assert float(inside.max() / inside.min()) < 2


def test_twice_as_loud_is_twice_the_spectrum(transform: ConstantQ) -> None:
    sound = torch.randn(1, 2_000, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(transform(2 * sound), 2 * transform(sound))


def test_half_precision_does_not_reach_it(transform: ConstantQ) -> None:
    sound = torch.randn(1, 2_000, generator=torch.Generator().manual_seed(0))
    whole = transform(Doubler()(sound))
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(transform(Doubler()(sound)), whole)


def test_what_does_not_fit_is_told() -> None:
    with pytest.raises(UserError, match="9 octaves reach up to 16.* above half the rate 16000"):
        ConstantQ(16_000, 256, 9, 24)
    with pytest.raises(UserError, match="cannot be halved 6 times"):
        ConstantQ(16_000, 96, 7, 12)
    with pytest.raises(UserError, match="7 octaves need 128 samples, and the sound has 127"):
        ConstantQ(16_000, 64, 7, 12)(torch.zeros(1, 127))


def test_doubling_keeps_what_is_in_the_band() -> None:
    """Against the tone at twice the rate; within 0.1 % but for the ends, and silence where the tone is at the edge."""
    for hertz in (100.0, 1_000.0, 5_000.0):
        doubled = Doubler()(_tone(hertz, 0.1))[0, 100:-100]
        wanted = _tone(hertz, 0.1, 2 * RATE)[0, 100:-100]
        assert float((doubled - wanted).abs().max()) < 0.015
    assert Doubler()(torch.zeros(3, 77)).shape == (3, 154)
