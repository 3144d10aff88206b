"""HiFT-Net beyond what all vocoders promise: its source goes on from piece to piece."""

from pathlib import Path

import pytest
import torch

from aoide.config import UserError
from aoide.generate import pack
from aoide.models.vocoder import hift


@torch.no_grad()
def test_a_source_that_goes_on_is_that_of_the_whole() -> None:
    torch.manual_seed(0)
    model = hift.Model(hift.TOY).eval()
    mel, f0 = torch.randn(1, 60, 10), 150 + 100 * torch.rand(1, 60)
    first = model.source(mel[:, :25], f0[:, :25])
    both = torch.cat([first, model.source(mel[:, 25:], f0[:, 25:], after=first)], dim=1)
    whole = model.source(mel, f0)
    for source in (both, whole):
        source[..., hift.STATE :] = 0.0
    torch.testing.assert_close(model.excitation(both), model.excitation(whole), atol=1e-6, rtol=1e-5)
    assert model.excitation(whole).diff().abs().max() < 0.2, "no jumps"


def test_it_stays_with_torch(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nothing makes its source without torch"):
        pack.export_vocoder(hift.Model(hift.TOY).eval(), tmp_path / "x", name="x", licence="none")


@torch.no_grad()
def test_pitch_of_the_source() -> None:
    """A steady F0 gives sines of that period, and nothing but noise where there is no voice."""
    model = hift.Model(hift.TOY).eval()
    model.merge.weight.copy_(torch.eye(3)[:1])
    model.merge.bias.zero_()
    f0 = torch.full((1, 64), 250.0)
    source = model.source(torch.zeros(1, 64, 10), f0)
    source[..., hift.STATE :] = 0.0
    signal = model.excitation(source)[0, 32:-32]
    spectrum = torch.fft.rfft(signal[:960] * torch.hann_window(960)).abs()
    assert int(spectrum.argmax()) * 8000 / 960 == 250.0
    silent = model.source(torch.zeros(1, 64, 10), torch.zeros(1, 64))
    silent[..., hift.STATE :] = 0.0
    assert not model.excitation(silent).any()
