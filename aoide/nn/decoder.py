"""From latent frames to sound: HiFi-GAN's upsampling network, told the speaker, and the pitch where it sings.

    sound = tanh(Upsampler(latent; + speaker after the first convolution; + source at each stage))

The source is that of NSF-HiFiGAN: F0 and its overtones as sines with a little noise, merged into one signal that each
stage hears at its own rate (`nn/sourcefilter.py`). It is what voices that sing have in their end-to-end models.

Sources: Kong et al. 2020, arXiv:2010.05646 (HiFi-GAN); Kim et al. 2021, arXiv:2106.06103 (VITS); Wang et al. 2019,
arXiv:1904.12088 (source). Parity: tests/parity/test_vits.py, test_sovits.py.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from aoide.nn import sourcefilter, upsampler
from aoide.nn.official import modern_weight_norm
from aoide.nn.segments import cut, random_starts
from aoide.nn.snake import AntiAliased, SnakeBeta, without_filters
from aoide.nn.upsampler import Upsampler


@dataclass(frozen=True, kw_only=True, slots=True)
class Waveform:
    """Settings of `Decoder`; the defaults are those of VITS at 22.05 kHz."""

    dim: int = 512  # channels before the first stage; each stage halves them
    rates: tuple[int, ...] = (8, 8, 2, 2)  # how many times longer each stage makes the signal
    kernels: tuple[int, ...] = (16, 16, 4, 4)  # of the transposed convolutions
    block: Literal["1", "2"] = "1"  # two convolutions for each dilation, or one
    block_kernels: tuple[int, ...] = (3, 7, 11)
    dilations: tuple[tuple[int, ...], ...] = ((1, 3, 5),) * 3
    activation: Literal["leaky_relu", "snake"] = "leaky_relu"
    partials: int = 0  # F0 and its overtones in the source; 0 = no source
    plain_ends: bool = True  # the ends have no weight normalisation, and the last convolution no bias

    def __post_init__(self) -> None:
        upsampler.check(self.dim, self.rates, self.kernels, self.block_kernels, self.dilations)
        if self.partials < 0:
            raise ValueError(f"partials is 0 or more, got {self.partials}")

    @property
    def hop(self) -> int:
        """Samples of a frame."""
        return math.prod(self.rates)

    @property
    def noise(self) -> int:
        """Numbers a frame that the source draws: a phase for each partial, then noise sample by sample."""
        return self.partials * (1 + self.hop)


class Decoder(nn.Module):
    """Latent frames -> waveform.

    Args:
        config: its form.
        latent: channels of the frames.
        condition: channels of the speaker's vector, 0 = none.
        sample_rate: Hz, which the source needs to know.
    """

    def __init__(self, config: Waveform, latent: int, condition: int = 0, sample_rate: int = 0) -> None:
        super().__init__()
        self.config, self.sample_rate = config, sample_rate
        snake: Callable[[int], nn.Module] | None = _snake if config.activation == "snake" else None
        self.upsampler = Upsampler(
            latent,
            config.dim,
            config.rates,
            config.kernels,
            config.block_kernels,
            config.dilations,
            block=config.block,
            activation=snake,
            upsampling_activation=snake or True,
            plain_ends=config.plain_ends,
            last_bias=not config.plain_ends,
        )
        self.condition = nn.Linear(condition, config.dim) if condition else None
        if config.partials:
            stages = range(len(config.rates))
            self.merge = nn.Linear(config.partials, 1)
            self.inject = nn.ModuleList(
                _injection(config.dim // 2 ** (i + 1), math.prod(config.rates[i + 1 :])) for i in stages
            )

    @property
    def context(self) -> int:
        """Frames before and after a frame that its sound depends on, once the source is given."""
        return self.upsampler.reach

    def draw(self, f0: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """The chance in the source: (batch, frames, config.noise), whose phases are the same in all frames."""
        config = self.config
        phases = sourcefilter.drawn(torch.rand, (len(f0), 1, config.partials), f0, generator)
        phases = phases * (torch.arange(config.partials, device=f0.device) > 0)  # F0 itself begins at 0
        noise = sourcefilter.drawn(torch.randn, (*f0.shape, config.noise - config.partials), f0, generator)
        return torch.cat([phases.expand(-1, f0.shape[1], -1), noise], dim=2)

    def forward(
        self,
        latent: Tensor,
        mask: Tensor | None = None,
        condition: Tensor | None = None,
        f0: Tensor | None = None,
        chance: Tensor | None = None,
    ) -> Tensor:
        """Decodes.

        Args:
            latent: (batch, frames, channels).
            mask: (batch, frames), True = real; what is padded comes out as silence.
            condition: (batch, 1, channels), the speaker's vector.
            f0: (batch, frames) Hz, 0 = unvoiced, where there is a source.
            chance: of `draw`, for these frames; None: drawn here.

        Returns:
            (batch, frames * hop)
        """
        heard = None if self.condition is None or condition is None else self.condition(condition)
        sources: list[Tensor | None] = [None] * len(self.config.rates)
        if self.config.partials:
            assert f0 is not None, "a decoder with a source follows F0"
            signal = self.source(f0, self.draw(f0) if chance is None else chance, mask)
            sources = [layer(signal[:, None]).mT for layer in self.inject]
        return torch.tanh(self.upsampler(latent, mask, condition=heard, sources=sources)[..., 0].float())

    def learn(
        self,
        latent: Tensor,
        mask: Tensor,
        condition: Tensor | None = None,
        f0: Tensor | None = None,
        chance: Tensor | None = None,
        *,
        count: int,
        starts: Tensor | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """Decodes what a loss shall hear: while it trains a random piece of each item, which saves most of the work.

        Args:
            latent, mask, condition, f0, chance: as in `forward`, of whole items.
            count: frames of a piece; of shorter batches as many as there are.
            starts: (batch,) int64, the first frame of each piece; None: a random one in training, all of it in
                evaluation.

        Returns:
            The sound (batch, samples), and the sample at which each piece begins (batch,), None where it is no piece.
        """
        count = min(count, latent.shape[1])
        if starts is None and self.training:
            starts = random_starts(mask.sum(1), count)
        if starts is None:
            return self(latent, mask, condition, f0, chance), None
        f0, chance = (None if x is None else cut(x, starts, count) for x in (f0, chance))
        sound = self(cut(latent, starts, count), cut(mask, starts, count), condition, f0, chance)
        return sound, starts * self.config.hop

    def source(self, f0: Tensor, chance: Tensor, mask: Tensor | None = None) -> Tensor:
        """The signal that the stages hear: f0 (batch, frames) Hz, chance of `draw` -> (batch, frames * hop)."""
        hop, partials = self.config.hop, self.config.partials
        phases, noise = chance.split((partials, hop * partials), dim=2)
        phase = sourcefilter.sine_phase(f0, hop, self.sample_rate, mask=mask)
        sines = sourcefilter.partials(phase, phases[:, :, None])
        signal = torch.tanh(self.merge(sourcefilter.breathing(sines, f0, noise.reshape(sines.shape))))[..., 0]
        if mask is not None:
            signal = signal.masked_fill(~mask[..., None], 0.0)
        return signal.flatten(1)


def _snake(channels: int) -> nn.Module:
    return AntiAliased(SnakeBeta(channels, log_scale=True))


def _injection(channels: int, step: int) -> nn.Conv1d:
    """Hears the source every `step` samples by twice as many: (batch, 1, time) -> (batch, channels, time / step)."""
    if step == 1:
        return nn.Conv1d(1, channels, 1)
    return nn.Conv1d(1, channels, 2 * step, step, padding=(step + 1) // 2)


def official_settings(config: Mapping[str, Any], **more: Any) -> Waveform:
    """The settings under the names that all of HiFi-GAN's descendants use (upsample_rates ...), and `more` of ours."""
    return Waveform(
        dim=config["upsample_initial_channel"],
        rates=tuple(config["upsample_rates"]),
        kernels=tuple(config["upsample_kernel_sizes"]),
        block=str(config["resblock"]),  # type: ignore[arg-type]
        block_kernels=tuple(config["resblock_kernel_sizes"]),
        dilations=tuple(map(tuple, config["resblock_dilation_sizes"])),
        **more,
    )


def official(state: Mapping[str, Tensor], config: Waveform, ours: str) -> dict[str, Tensor]:
    """Published keys of a decoder (its prefix removed) -> ours, with `ours` before them."""
    names = {"cond": "condition", "m_source.l_linear": "merge", "noise_convs": "inject"}
    plain = without_filters(state, "decoder")
    plain = {key.replace("snake_post.", "activation_post."): value for key, value in plain.items()}
    renamed = {}
    for key, value in upsampler.rename_official(plain, len(config.block_kernels), "upsampler.").items():
        theirs = next((name for name in names if key.startswith(f"{name}.")), None)
        if key.startswith("snakes."):
            _, stage, rest = key.split(".", 2)
            renamed[f"upsampler.stages.{stage}.before.{rest.replace('act.', 'activation.')}"] = value
        elif theirs is None:
            renamed[key] = value
        else:
            flat = theirs == "cond" and value.ndim == 3
            renamed[names[theirs] + key.removeprefix(theirs)] = value[..., 0] if flat else value
    return {ours + key: value for key, value in modern_weight_norm(renamed).items()}
