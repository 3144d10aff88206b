"""The patch critic: looks at a mel as a picture and says of each patch whether it was recorded.

Source: Isola et al. 2017, arXiv:1611.07004 (PatchGAN, section 3.2.2), as the autoencoders of latent diffusion train
with it (Rombach et al. 2022, arXiv:2112.10752, appendix G). Parity: tests/parity/test_audioldm.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from aoide.nn.discriminators.parts import Judgement
from aoide.nn.official import adopt


@dataclass(frozen=True, kw_only=True, slots=True)
class Patch:
    """Settings of `PatchCritic`."""

    channels: int = 64  # of the first layer; twice as many each layer, up to eight times
    layers: int = 3  # that halve the picture
    deviation: float = 0.02  # of the weights at first

    def __post_init__(self) -> None:
        if min(self.channels, self.layers) < 1 or self.deviation <= 0:
            raise ValueError("channels and layers are 1 or more, deviation is above 0")

    def critic(self, sample_rate: int) -> PatchCritic:
        """The network of these settings; it sees mels, whatever the sample rate of their sound."""
        return PatchCritic(self)


class PatchCritic(nn.Module):
    """One part; see the top of this file."""

    def __init__(self, config: Patch) -> None:
        super().__init__()
        self.config = config
        widths = [config.channels * min(2**i, 8) for i in range(config.layers + 1)]
        stack: list[nn.Module] = [nn.Conv2d(1, widths[0], 4, stride=2, padding=1), nn.LeakyReLU(0.2)]
        for number in range(1, config.layers + 1):
            stride = 2 if number < config.layers else 1
            conv = nn.Conv2d(widths[number - 1], widths[number], 4, stride=stride, padding=1, bias=False)
            stack += [conv, nn.BatchNorm2d(widths[number]), nn.LeakyReLU(0.2)]
        self.main = nn.Sequential(*stack, nn.Conv2d(widths[-1], 1, 4, padding=1))
        for module in self.main:
            if isinstance(module, nn.Conv2d):
                nn.init.normal_(module.weight, std=config.deviation)
            elif isinstance(module, nn.BatchNorm2d):
                nn.init.normal_(module.weight, mean=1.0, std=config.deviation)

    def forward(self, mel: Tensor) -> Judgement:
        """mel (batch, frames, mels) -> one part: score (batch, 1, fewer mels, fewer frames), maps after each layer."""
        x, maps = mel.mT[:, None], []
        for layer in self.main:
            x = layer(x)
            if isinstance(layer, nn.LeakyReLU):
                maps.append(x)
        return Judgement([x.float()], [maps])


def from_official(state: Mapping[str, Tensor], config: Mapping[str, Any]) -> PatchCritic:
    """The critic of Amphion's autoencoder checkpoints, and of latent diffusion's.

    Args:
        state: keys `main. ...`, with or without `discriminator.` before them; others are not looked at.
        config: disc_num_layers.

    Raises:
        UserError: it does not fit its configuration.
    """
    inner = {key.removeprefix("discriminator."): value for key, value in state.items()}
    inner = {key: value for key, value in inner.items() if key.startswith("main.")}
    first = inner.get("main.0.weight")
    settings = Patch(channels=1 if first is None else len(first), layers=config.get("disc_num_layers", 3))
    return adopt(PatchCritic(settings), inner, "patch critic")
