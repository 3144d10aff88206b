from __future__ import annotations

import pytest
import torch

from aoide.audio.mel import MelConfig
from aoide.nn.stft_loss import MelLoss, MultiResolutionSTFTLoss, MultiScaleMelLoss, STFTLoss

RATE = 8_000
LOSSES = {
    "stft": STFTLoss(256, 64, 200),
    "multi-resolution": MultiResolutionSTFTLoss(((256, 64, 256), (128, 32, 100))),
    "mel": MelLoss(MelConfig(sample_rate=RATE, n_fft=256, hop=64, win=256, n_mels=20, fmax=4_000)),
    "multi-scale mel": MultiScaleMelLoss(RATE, n_mels=(5, 20), windows=(64, 256)),
}


def _tone(hertz: float) -> torch.Tensor:
    return 0.3 * torch.sin(2 * torch.pi * hertz / RATE * torch.arange(2_000))[None]


@pytest.mark.parametrize("name", LOSSES)
def test_nought_for_equal_sounds_and_more_the_further(name: str) -> None:
    loss = LOSSES[name]
    assert loss(_tone(440), _tone(440)) == 0
    near, far = loss(_tone(450), _tone(440)), loss(_tone(1700), _tone(440))
    assert 0 < near < far


@pytest.mark.parametrize("name", LOSSES)
def test_silence_gives_finite_gradients(name: str) -> None:
    silence = torch.zeros(1, 2_000)
    for generated, real in ((silence, _tone(440)), (_tone(440), silence), (silence, silence)):
        fake = generated.clone().requires_grad_()
        value = LOSSES[name](fake, real)
        value.backward()
        assert torch.isfinite(value) and torch.isfinite(fake.grad).all()


def test_known_values() -> None:
    """Twice as loud: the log magnitude is off by ln 2 everywhere above the floor, and the convergence is 1/2."""
    torch.manual_seed(0)
    noise = torch.randn(1, 4_000)
    assert abs(float(STFTLoss(256, 64, 256)(noise, 2 * noise)) - (0.5 + torch.log(torch.tensor(2.0)))) < 1e-3
    assert abs(float(LOSSES["mel"](noise, 2 * noise)) - torch.log(torch.tensor(2.0))) < 1e-4


def test_sounds_shorter_than_the_window() -> None:
    assert torch.isfinite(MultiResolutionSTFTLoss()(torch.randn(1, 300), torch.randn(1, 300)))
