"""F5-TTS: text and a few seconds of anybody's voice -> that voice says the text; no durations, no aligner.

    tokens (batch, tokens), prompt (batch, frames, mels), a length -> mel (batch, frames, mels) log magnitude

Idea      Speech is a mel with a hole. A flow matching Transformer (DiT) fills it in, told what stands before the hole
          and the text of the whole, whose symbols are simply laid on the first frames, refined by a few ConvNeXt V2
          blocks; which frame says which symbol is found by attention. To clone a voice, its recording stands before the
          hole and its text before the text. Small steps first (sway) make 32 steps enough, chosen ones make it 7
          (`pruned`).
Trained   flow, objectives/flow.py, on frames that are hidden       Recipes  recipes/tts/f5-folder.yaml
Paper     Chen et al. 2024, arXiv:2410.06885; pruned steps: Zheng et al. 2025, arXiv:2505.19931
Official  github.com/SWivid/F5-TTS (MIT)
Weights   SWivid/F5-TTS, F5TTS_v1_Base and F5TTS_Base (CC-BY-NC-4.0): `from_official`, parity in
          tests/parity/test_f5.py. They read characters and pinyin by their vocab.txt: a symbol's line, from 1; 0 is
          filler. Their sound comes from Vocos (vocoder/vocos).
Differs   each item of a batch has its own chance to lose its conditions, not the whole batch; attention and
          convolutions see no padding, so an item speaks alone as in a batch (`from_official` does as the original).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from aoide import trace
from aoide.audio.mel import MelConfig
from aoide.models.tts import _infill
from aoide.models.tts._infill import Concealment, frames_to_speak
from aoide.nn import dit
from aoide.nn.dit import ConvPlaces, DiTBlock, FinalSteer, Sizes, Text, TextCode, TimeCode
from aoide.nn.official import adopt
from aoide.objectives import Batch, flow

NEEDS = ("tokens", "mel")
__all__ = ["LOSSES", "NEEDS", "TOY", "TRAINING", "Config", "Model", "example", "frames_to_speak", "from_official"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """What is built; the defaults are those of F5TTS_v1_Base."""

    symbols: int = 2546  # size of the symbol table, with the filler
    mel: MelConfig = field(default_factory=MelConfig)  # that of Vocos, with a floor of 1e-5
    dim: int = 1024
    layers: int = 22
    heads: int = 16
    head_dim: int = 64
    hidden: int = 2048  # channels inside a block's layers
    dropout: float = 0.1
    text_dim: int = 512
    text_layers: int = 4  # ConvNeXt V2 blocks over the text
    silent_filler: bool = True  # what is after the text is silent to it; false in F5TTS_Base
    spread: bool = False  # repeat each symbol evenly over the frames, instead of filler at the end
    rotary_heads: int | None = None  # heads that know places; null = all, 1 in F5TTS_Base
    norm: bool = False  # of queries and keys
    long_skip: bool = False  # the last block's output is joined with the first one's input
    conceal: Concealment = field(default_factory=Concealment)
    leaky_padding: bool = False  # let padding be heard by the text's convolutions, as the published code does
    seen_padding: bool = False  # let attention look at padding, as the published checkpoints were trained

    def __post_init__(self) -> None:
        if self.dim % 16 or self.head_dim % 2 or self.text_dim % 2:
            raise ValueError(
                f"dim is a multiple of 16, head_dim and text_dim are even; got {self.dim}, {self.head_dim}, "
                f"{self.text_dim}"
            )


class Model(nn.Module):
    """See the module's docstring."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        mels, dim = config.mel.n_mels, config.dim
        self.time = TimeCode(dim)
        self.text = TextCode(
            Text(
                config.symbols,
                config.text_dim,
                config.text_layers,
                config.silent_filler,
                config.spread,
                config.leaky_padding,
            )
        )
        self.join = nn.Linear(2 * mels + config.text_dim, dim)
        self.places = ConvPlaces(dim)
        sizes = Sizes(
            dim, config.heads, config.head_dim, config.hidden, config.dropout, config.rotary_heads, config.norm
        )
        self.blocks = nn.ModuleList(DiTBlock(sizes) for _ in range(config.layers))
        self.skip = nn.Linear(2 * dim, dim, bias=False) if config.long_skip else None
        self.steer = FinalSteer(dim)
        self.out = nn.Linear(dim, mels)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

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
        text = self.text(tokens, noisy.shape[1], frame_mask, drop_text)
        return self.velocity(noisy, time, given, text, frame_mask)

    def conceal(self, batch: Batch, generator: torch.Generator | None) -> dict[str, Tensor]:
        """What training hides (objectives/flow.py)."""
        return _infill.conceal(self.config.conceal, batch, generator)

    def velocity(self, noisy: Tensor, time: Tensor, given: Tensor, text: Tensor, mask: Tensor | None) -> Tensor:
        """The velocity with the text's code (batch, frames, text_dim)."""
        steer = self.time(time)
        x = self.join(torch.cat([noisy, given, text], dim=-1))
        first = x = self.places(x, mask) + x
        seen = None if self.config.seen_padding else mask
        for number, block in enumerate(self.blocks):
            x = block(x, steer, mask, seen)
            trace.layer(number, len(self.blocks), x)
        if self.skip is not None:
            x = self.skip(torch.cat([x, first], dim=-1))
        return self.out(self.steer(x, steer))

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
        """Says the text like the prompt: (batch, frames, mels), the prompt at its head.

        Args:
            tokens: (batch, tokens), those of the prompt's text and then those of what is to be said.
            prompt: (batch, prompt frames, mels).
            frames: (batch,) int64, how long it is with the prompt: those of the prompt and of `frames_to_speak`.
            prompt_frames: (batch,) int64; None: all of the prompt is real.
            steps: of the solver; 5, 6, 7, 10, 12 and 16 are pruned from 32 where `pruned`.
            guidance: how much further than without the conditions; 0 halves the work.
            sway: below 0 the first steps are the small ones.
            noise: (batch, frames, mels), what to start from instead of drawing.

        Raises:
            UserError: a length that cannot hold the text or leaves nothing after the prompt, or an unknown solver.
        """
        _infill.check_length(tokens, frames)
        if prompt_frames is None:
            prompt_frames = torch.full_like(frames, prompt.shape[1])

        def told(given: Tensor, mask: Tensor | None, doubled: bool) -> flow.Velocity:
            words, drop = tokens, None
            if doubled:
                given, words, drop = _infill.both(given, tokens)
            mask = _infill.twice(mask, doubled)
            text = self.text(words, given.shape[1], mask, drop)
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
    layers=1,
    heads=2,
    head_dim=4,
    hidden=16,
    text_dim=8,
    text_layers=1,
    norm=True,
    long_skip=True,
)


def example(config: Any, batch: int = 2, generator: torch.Generator | None = None) -> dict[str, Tensor]:
    """A batch as the objective makes it, of random numbers; the last item is shorter."""
    return _infill.example(config, batch, generator)


# ---------------------------------------------------------------------------------------------------- published weights

_NAMES = {
    ".attn_norm.": ".steer.",
    ".attn.to_q.": ".attention.heads.project.",
    ".attn.to_out.0.": ".attention.out.",
    ".attn.q_norm.": ".attention.heads.query_norm.",
    ".attn.k_norm.": ".attention.heads.key_norm.",
    ".ff.": ".mlp.",
}
OFFICIAL_FILES = ("model_1250000.safetensors",)  # in F5TTS_v1_Base/ of SWivid/F5-TTS, without a configuration
_USUAL = {"dim": 1024, "depth": 22, "heads": 16, "ff_mult": 2, "conv_layers": 4}  # of that one
_KNOWN = (
    "dim",
    "depth",
    "heads",
    "dim_head",
    "dropout",
    "ff_mult",
    "mel_dim",
    "text_num_embeds",
    "text_dim",
    "text_mask_padding",
    "text_embedding_average_upsampling",
    "qk_norm",
    "conv_layers",
    "pe_attn_head",
    "attn_mask_enabled",
    "long_skip_connection",
    "checkpoint_activations",
)


def from_official(state: Mapping[str, Tensor], config: Mapping[str, Any]) -> Model:
    """F5-TTS: the state dict of its checkpoint (with or without "ema_model." and "transformer.") and its YAML; without
    one (an empty mapping) it is taken for F5TTS_v1_Base. The older F5TTS_Base has the same shapes: it needs its YAML.

    Raises:
        UserError: a setting that is not known here, or keys or shapes that do not fit.
    """
    arch, mel = _infill.sizes_of(config, _USUAL)
    _infill.refuse(arch, _KNOWN, "F5-TTS")
    inner = dit.bare(state)
    symbols, text_dim = inner["text_embed.text_embed.weight"].shape
    built = Config(
        symbols=symbols,
        mel=_infill.official_mel(mel, len(inner["proj_out.bias"])),
        dim=arch["dim"],
        layers=arch["depth"],
        heads=arch["heads"],
        head_dim=arch.get("dim_head", 64),
        hidden=int(arch["dim"] * arch.get("ff_mult", 4)),
        dropout=arch.get("dropout", 0.1),
        text_dim=text_dim,
        text_layers=arch.get("conv_layers", 0),
        silent_filler=arch.get("text_mask_padding", True),
        spread=arch.get("text_embedding_average_upsampling", False),
        rotary_heads=arch.get("pe_attn_head"),
        norm=arch.get("qk_norm") is not None,
        long_skip=arch.get("long_skip_connection", False),
        leaky_padding=True,
        seen_padding=not arch.get("attn_mask_enabled", False),
    )
    return adopt(Model(built), dit.official(inner, _NAMES), "F5-TTS checkpoint")
