"""The variational part of the VITS family: a spectrum becomes a sequence of Gaussians, whose samples are decoded.

    posterior = PosteriorEncoder(...)(spectrum, mask, speaker)          Gaussian: mean and log deviation of each frame
    latent = posterior.sample(noise)                                    (batch, frames, dim)
    loss = kl_divergence(flow(latent), posterior, prior, mask)          what the prior, moved by a flow, must meet

Sources: Kim et al. 2021, arXiv:2106.06103 (VITS; equations 3, 4 and appendix B). Parity: tests/parity/test_vits.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from aoide.audio.mel_config import MelConfig
from aoide.nn.official import modern_weight_norm
from aoide.nn.relative import RelativeEncoder
from aoide.nn.relative import official as official_encoder
from aoide.nn.wavenet import Shape, WaveNet, split_condition


class Gaussian(NamedTuple):
    """A diagonal normal distribution for each step."""

    mean: Tensor  # (batch, frames, dim)
    log_deviation: Tensor  # the same

    def sample(self, noise: Tensor | None = None, scale: float = 1.0) -> Tensor:
        """mean + scale * deviation * noise: (batch, frames, dim); the noise is torch's own unless it is given."""
        noise = torch.randn_like(self.mean) if noise is None else noise
        return self.mean + scale * noise * self.log_deviation.exp()


class PosteriorEncoder(nn.Module):
    """What a recording tells: a WaveNet stack over the linear spectrum.

    Args:
        bins: of the spectrum.
        dim: channels of the stack.
        latent: channels of the Gaussians.
        layers, kernel: of the stack, without dilation.
        condition: channels of the speaker's vector, 0 = none.
        separable: as in `nn/wavenet.Shape`.
    """

    def __init__(
        self,
        bins: int,
        dim: int,
        latent: int,
        layers: int = 16,
        kernel: int = 5,
        condition: int = 0,
        separable: bool = False,
    ) -> None:
        super().__init__()
        self.first = nn.Linear(bins, dim)
        self.stack = WaveNet(stack_shape(dim, layers, kernel, condition, separable))
        self.out = nn.Linear(dim, 2 * latent)

    def forward(self, spectrum: Tensor, mask: Tensor, condition: Tensor | None = None) -> Gaussian:
        """spectrum (batch, frames, bins) magnitudes, mask (batch, frames), condition (batch, 1, channels) -> Gaussians,
        of mean 0 and deviation 1 at padded frames.
        """
        x = self.stack(self.first(spectrum).masked_fill(~mask[..., None], 0.0), condition, mask=mask)
        return gaussian(self.out(x), mask)


class TextPrior(nn.Module):
    """What a text tells: a Transformer that gives each token a Gaussian.

    Args:
        symbols: size of the phoneme table.
        latent: channels of the Gaussians.
        dim, heads, hidden, layers, kernel, dropout: of the encoder, see `nn/relative.py`.
    """

    def __init__(
        self,
        symbols: int,
        latent: int,
        *,
        dim: int,
        heads: int,
        hidden: int,
        layers: int,
        kernel: int = 3,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.embed = nn.Embedding(symbols, dim)
        nn.init.normal_(self.embed.weight, std=dim**-0.5)
        self.encoder = RelativeEncoder(dim, heads, hidden, layers, kernel=kernel, dropout=dropout)
        self.out = nn.Linear(dim, 2 * latent)

    def forward(self, tokens: Tensor, mask: Tensor) -> tuple[Tensor, Gaussian]:
        """tokens, mask (batch, tokens) with True = real -> codes (batch, tokens, dim), and Gaussians."""
        x = (self.embed(tokens) * self.embed.embedding_dim**0.5).masked_fill(~mask[..., None], 0.0)
        x = self.encoder(x, mask)
        return x, gaussian(self.out(x), mask)


def stack_shape(dim: int, layers: int, kernel: int, condition: int, separable: bool) -> Shape:
    """The stack that VITS uses in its posterior encoder and in its couplings."""
    return Shape(
        dim=dim,
        hidden=dim,
        skip=dim,
        kernel=kernel,
        dilations=(1,) * layers,
        condition=condition,
        scaled=False,
        separable=separable,
    )


def gaussian(numbers: Tensor, mask: Tensor) -> Gaussian:
    """Numbers (batch, frames, 2 * dim) of a last layer as mean and log deviation; both 0 at padded frames."""
    return Gaussian(*numbers.masked_fill(~mask[..., None], 0.0).chunk(2, -1))


def kl_divergence(moved: Tensor, posterior: Gaussian, prior: Gaussian, mask: Tensor) -> Tensor:
    """How much more the posterior says than the prior, estimated at one sample (equation 4).

    The posterior's own term is its entropy, not its density at the sample, as in the authors' code: less noise.

    Args:
        moved: (batch, frames, dim), the sample after the flow.
        mask: (batch, frames), True = real.

    Returns:
        A scalar: nats a real frame, all channels together.
    """
    distance = (moved.float() - prior.mean.float()).square() * torch.exp(-2 * prior.log_deviation.float())
    costs = prior.log_deviation - posterior.log_deviation - 0.5 + 0.5 * distance
    return costs.masked_fill(~mask[..., None], 0.0).sum() / mask.sum()


# ---------------------------------------------------------------------------------------------------- published weights


def official_state(state: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """The generator in a file of weights: the part "model" of a training checkpoint, without its optimiser, or all."""
    inner = {key.removeprefix("model."): value for key, value in state.items() if key.startswith("model.")}
    return inner or state


def official_parts(state: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """A state dict of the family by its parts (enc_p, enc_q, flow, dec ...), whose names are gone from the keys."""
    parts: dict[str, dict[str, Tensor]] = {}
    for key, value in state.items():
        top, _, rest = key.partition(".")
        parts.setdefault(top, {})[rest] = value
    return parts


def official_mel(config: Mapping[str, Any], bins: int, hop: int) -> MelConfig:
    """The mel of the family's losses, whose spectrum has so many bins.

    Args:
        config: a config.json with the section `data`, Amphion's args.json with `preprocess`, or their content; what it
            leaves out is as in VITS's for LJ Speech.
    """
    audio = config.get("data") or config.get("preprocess") or config
    rate = int(audio.get("sampling_rate") or audio.get("sample_rate") or 22_050)
    n_fft = 2 * (bins - 1)
    return MelConfig(
        sample_rate=rate,
        n_fft=n_fft,
        hop=hop,
        win=audio.get("win_length") or audio.get("win_size") or n_fft,
        n_mels=audio.get("n_mel_channels") or audio.get("n_mel") or 80,
        fmin=audio.get("mel_fmin") or audio.get("fmin") or 0.0,
        fmax=audio.get("mel_fmax") or audio.get("fmax") or rate / 2,
        scale="slaney",
        norm="slaney",
        eps=1e-6,
        padding="same",
    )


def official_segment(config: Mapping[str, Any], hop: int, usual: int) -> int:
    """Frames of a training slice; in configurations they are samples, SynthesizerTrn itself is told frames.

    Args:
        usual: samples where the configuration has none.
    """
    if "segment_size" in config:
        return int(config["segment_size"])
    sections = (config.get(name, {}) for name in ("train", "preprocess"))
    samples = next((part["segment_size"] for part in sections if "segment_size" in part), usual)
    return max(1, int(samples) // hop)


def official_text(state: Mapping[str, Tensor], ours: str) -> dict[str, Tensor]:
    """Published keys of a text encoder (emb, encoder, proj; its prefix removed) -> those of `TextPrior`."""
    inner = {key.removeprefix("encoder."): value for key, value in state.items() if key.startswith("encoder.")}
    renamed = {f"{ours}out.{kind}": state[f"proj.{kind}"].squeeze(-1) for kind in ("weight", "bias")}
    return renamed | {f"{ours}embed.weight": state["emb.weight"]} | official_encoder(inner, f"{ours}encoder.")


def official(state: Mapping[str, Tensor], layers: int, ours: str) -> dict[str, Tensor]:
    """Published keys of a posterior encoder (pre, enc, proj; its prefix removed) -> ours, with `ours` before them."""
    names = {"pre": "first", "proj": "out"}
    renamed = {
        f"{ours}{names[part]}.{kind}": value[..., 0] if kind == "weight" else value
        for key, value in state.items()
        for part, _, kind in [key.partition(".")]
        if part in names
    }
    inner = {key.removeprefix("enc."): value for key, value in state.items() if key.startswith("enc.")}
    return renamed | official_stack(inner, layers, f"{ours}stack")


def official_stack(state: Mapping[str, Tensor], layers: int, ours: str) -> dict[str, Tensor]:
    """Published keys of VITS's WaveNet stack (in_layers, res_skip_layers, cond_layer) -> those of our `WaveNet`.

    The bias of the condition goes into that of the dilated convolution beside it.
    """
    parts = {"depth_conv": "depth.", "point_conv": "point."}
    biases = state["cond_layer.bias"].chunk(layers) if "cond_layer.bias" in state else None
    renamed = {}
    for key, value in state.items():
        part, layer, *rest = key.split(".")
        if part == "cond_layer":
            continue
        reads = part == "in_layers" and rest[-1] == "bias" and rest[0] != "depth_conv"
        place = "dilated" if part == "in_layers" else "out"
        inner = "".join(parts.get(word, word) for word in rest)
        renamed[f"{ours}.layers.{layer}.{place}.{inner}"] = value + biases[int(layer)] if reads and biases else value
    return modern_weight_norm(renamed | split_condition(state, "cond_layer", ours, layers))
