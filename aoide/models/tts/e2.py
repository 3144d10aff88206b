"""E2 TTS: text and a few seconds of anybody's voice -> that voice says the text; the simplest such system there is.

    tokens (batch, tokens), prompt (batch, frames, mels), a length -> mel (batch, frames, mels) log magnitude

Idea      Speech is a mel with a hole, as in F5 (tts/f5), which refines this one: the symbols' plain vectors are laid on
          the first frames, the time of the flow goes in as a frame before the first, and a flat U-Net of Transformer
          layers fills the hole: layers of the second half are joined with those of the first, last with first.
Trained   flow, objectives/flow.py, on frames that are hidden       Recipes  recipes/tts/e2-folder.yaml
Paper     Eskimez et al. 2024, arXiv:2406.18009
Official  none of the paper's; github.com/SWivid/F5-TTS (MIT) has it as UNetT
Weights   SWivid/E2-TTS, E2TTS_Base (CC-BY-NC-4.0): `from_official`, parity in tests/parity/test_f5.py. Their symbols
          are those of F5.
Differs   as tts/f5 does; padding is silent to the convolutions too, which `from_official` leaves as published.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from aoide import trace
from aoide.audio.mel import MelConfig
from aoide.models.tts import _infill
from aoide.models.tts._infill import Concealment
from aoide.nn import dit
from aoide.nn.dit import Attention, ConvPlaces, FeedForward, Sizes, Text, TextCode, TimeCode
from aoide.nn.official import adopt
from aoide.objectives import Batch, flow

NEEDS = ("tokens", "mel")
TINY = 1e-24  # of the normalisation: none, but that silence stays silence


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """What is built; the defaults are those of E2TTS_Base."""

    symbols: int = 2546  # size of the symbol table, with the filler
    mel: MelConfig = field(default_factory=MelConfig)  # that of Vocos, with a floor of 1e-5
    dim: int = 1024
    layers: int = 24
    heads: int = 16
    head_dim: int = 64
    hidden: int = 4096  # channels inside a layer
    dropout: float = 0.1
    rotary_heads: int | None = 1  # heads that know places; null = all
    conceal: Concealment = field(default_factory=Concealment)
    leaky_padding: bool = False  # let padding be heard by its neighbours, as the published code does

    def __post_init__(self) -> None:
        if self.dim % 16 or self.head_dim % 2 or self.layers % 2:
            raise ValueError(
                f"dim is a multiple of 16, head_dim and layers are even; got {self.dim}, {self.head_dim}, {self.layers}"
            )


class Layer(nn.Module):
    """Normalise and attend, normalise and think per frame; in the second half after a look at a layer of the first."""

    def __init__(self, sizes: Sizes, joined: bool) -> None:
        super().__init__()
        self.join = nn.Linear(2 * sizes.dim, sizes.dim, bias=False) if joined else None
        self.attention_norm = nn.RMSNorm(sizes.dim, eps=TINY)
        self.attention = Attention(sizes)
        self.mlp_norm = nn.RMSNorm(sizes.dim, eps=TINY)
        self.mlp = FeedForward(sizes)

    def forward(self, x: Tensor, early: Tensor | None, mask: Tensor | None, seen: Tensor | None) -> Tensor:
        """x, early (batch, frames, dim), mask and seen (batch, frames): where attention adds, and at what it looks."""
        if self.join is not None and early is not None:
            x = self.join(torch.cat([x, early], dim=-1))
        found = self.attention(self.attention_norm(x), seen)
        x = x + (found if mask is None else found.masked_fill(~mask[..., None], 0.0))
        return x + self.mlp(self.mlp_norm(x))


class Model(nn.Module):
    """See the module's docstring."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        mels, dim = config.mel.n_mels, config.dim
        self.time = TimeCode(dim)
        self.text = TextCode(Text(config.symbols, mels, 0))
        self.join = nn.Linear(3 * mels, dim)
        self.places = ConvPlaces(dim)
        sizes = Sizes(dim, config.heads, config.head_dim, config.hidden, config.dropout, config.rotary_heads)
        self.layers = nn.ModuleList(Layer(sizes, 2 * number >= config.layers) for number in range(config.layers))
        self.norm = nn.RMSNorm(dim, eps=TINY)
        self.out = nn.Linear(dim, mels)

    def forward(
        self,
        tokens: Tensor,
        noisy: Tensor,
        time: Tensor,
        given: Tensor,
        frame_mask: Tensor | None = None,
        drop_text: Tensor | None = None,
    ) -> Tensor:
        """The velocity (batch, frames, mels): the view of training.

        Args:
            tokens: (batch, tokens), 0 = filler and padding.
            noisy: (batch, frames, mels), the mel with noise. time: (batch,), how far it is from noise.
            given: (batch, frames, mels), the mel where it is heard, else 0.
            frame_mask: (batch, frames), True = real.
            drop_text: (batch,) bool, those whose text is not told.
        """
        text = self.text(tokens, noisy.shape[1], None, drop_text)
        return self.velocity(noisy, time, given, text, frame_mask)

    def conceal(self, batch: Batch, generator: torch.Generator | None) -> dict[str, Tensor]:
        """What training hides (objectives/flow.py)."""
        return _infill.conceal(self.config.conceal, batch, generator)

    def velocity(self, noisy: Tensor, time: Tensor, given: Tensor, text: Tensor, mask: Tensor | None) -> Tensor:
        """The velocity with the text's code (batch, frames, mels)."""
        x = self.join(torch.cat([noisy, given, text], dim=-1))
        x = x + self.places(x, None if self.config.leaky_padding else mask)
        x = torch.cat([self.time(time)[:, None], x], dim=1)
        mask = None if mask is None else functional.pad(mask, (1, 0), value=True)
        seen, early = None if self.config.leaky_padding else mask, list[Tensor]()
        for number, layer in enumerate(self.layers):
            if 2 * number < len(self.layers):
                early.append(x)
                x = layer(x, None, mask, seen)
            else:
                x = layer(x, early.pop(), mask, seen)
            trace.layer(number, len(self.layers), x)
        return self.out(self.norm(x)[:, 1:])

    @torch.no_grad()
    def speak(  # noqa: PLR0913  (what steers a speaker)
        self,
        tokens: Tensor,
        prompt: Tensor,
        frames: Tensor,
        prompt_frames: Tensor | None = None,
        *,
        steps: int = 32,
        guidance: float = 2.0,
        sway: float = -1.0,
        pruned: bool = True,
        solver: flow.Solver = "euler",
        noise: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Says the text like the prompt: arguments, result and errors are those of `f5.Model.speak`."""
        _infill.check_length(tokens, frames)
        if prompt_frames is None:
            prompt_frames = torch.full_like(frames, prompt.shape[1])

        def told(given: Tensor, mask: Tensor | None, doubled: bool) -> flow.Velocity:
            words, drop = tokens, None
            if doubled:
                given, words, drop = _infill.both(given, tokens)
            mask = _infill.twice(mask, doubled)
            text = self.text(words, given.shape[1], None, drop)
            return lambda x, time: self.velocity(x, time, given, text, mask)

        mel = _infill.speak(
            told,
            prompt,
            prompt_frames,
            frames,
            steps=steps,
            guidance=guidance,
            sway=sway,
            pruned=pruned,
            solver=solver,
            noise=noise,
            generator=generator,
        )
        trace.report("mel", mel)
        return mel


# ------------------------------------------------------------------------------------------------------------- training

TRAINING = flow.Config(where="hidden")
LOSSES: dict[str, Any] = {}
TOY = Config(
    symbols=20,
    mel=MelConfig(sample_rate=8_000, n_fft=64, hop=16, win=64, n_mels=6, fmax=4_000),
    dim=16,
    layers=2,
    heads=2,
    head_dim=4,
    hidden=16,
)


def example(config: Any, batch: int = 2, generator: torch.Generator | None = None) -> dict[str, Tensor]:
    """A batch as the objective makes it, of random numbers; the last item is shorter."""
    return _infill.example(config, batch, generator)


# ---------------------------------------------------------------------------------------------------- published weights

_PARTS = {"0": "join", "1": "attention_norm", "2": "attention", "3": "mlp_norm", "4": "mlp"}
OFFICIAL_FILES = ("model_1200000.safetensors",)  # in E2TTS_Base/ of SWivid/E2-TTS, without a configuration
_USUAL = {"dim": 1024, "depth": 24, "heads": 16, "ff_mult": 4, "pe_attn_head": 1}  # of that one
_KNOWN = (
    "dim",
    "depth",
    "heads",
    "dim_head",
    "dropout",
    "ff_mult",
    "mel_dim",
    "text_num_embeds",
    "text_mask_padding",  # without layers over the text it does nothing
    "pe_attn_head",
    "skip_connect_type",
)


def from_official(state: Mapping[str, Tensor], config: Mapping[str, Any]) -> Model:
    """E2 as SWivid publishes it: the state dict of its checkpoint and its YAML; an empty one means E2TTS_Base.

    Raises:
        UserError: a setting that is not known here, or keys or shapes that do not fit.
    """
    arch, mel = _infill.sizes_of(config, _USUAL)
    _infill.refuse(arch, _KNOWN, "E2")
    inner = dit.bare(state)
    mels = len(inner["proj_out.bias"])
    built = Config(
        symbols=len(inner["text_embed.text_embed.weight"]),
        mel=_infill.official_mel(mel, mels),
        dim=arch["dim"],
        layers=arch["depth"],
        heads=arch["heads"],
        head_dim=arch.get("dim_head", 64),
        hidden=int(arch["dim"] * arch.get("ff_mult", 4)),
        dropout=arch.get("dropout", 0.1),
        rotary_heads=arch.get("pe_attn_head"),
        leaky_padding=True,
    )
    renamed = dit.official({_renamed(key): value for key, value in inner.items()}, _NAMES)
    return adopt(Model(built), renamed, "E2 checkpoint")


_NAMES = {
    ".attention.to_q.": ".attention.heads.project.",
    ".attention.to_out.0.": ".attention.out.",
    "steer.g": "norm.weight",
}


def _renamed(key: str) -> str:
    """Names the parts of a layer, which the original numbers."""
    if not key.startswith("layers."):
        return key
    _, number, part, *rest = key.split(".")
    last = ["weight"] if rest == ["g"] else rest
    return ".".join(["layers", number, _PARTS[part], *last])
