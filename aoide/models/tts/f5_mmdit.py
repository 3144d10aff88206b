"""F5 with two streams: text and sound each have layers of their own, and look at each other in every block.

    tokens (batch, tokens), prompt (batch, frames, mels), a length -> mel (batch, frames, mels) log magnitude

Idea      Speech is a mel with a hole, as in F5 (tts/f5). Here the text is not laid on the frames: it stays a sequence
          of its own, and each block attends over both at once (MMDiT, as in Stable Diffusion 3). The text may so be
          longer than the sound has frames.
Trained   flow, objectives/flow.py, on frames that are hidden       Recipes  recipes/tts/f5_mmdit-folder.yaml
Paper     Chen et al. 2024, arXiv:2410.06885 (F5); Esser et al. 2024, arXiv:2403.03206 (two streams)
Official  github.com/SWivid/F5-TTS (MIT) has it as MMDiT
Weights   none were published; what is trained with that code loads with `from_official`, parity in
          tests/parity/test_f5.py
Differs   as tts/f5 does; padding is silent to the convolutions too, which `from_official` leaves as published.
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
from aoide.models.tts._infill import Concealment
from aoide.nn import dit
from aoide.nn.dit import ConvPlaces, FinalSteer, JointBlock, Sizes, TimeCode, place_code
from aoide.nn.official import adopt
from aoide.objectives import Batch, flow

NEEDS = ("tokens", "mel")


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """What is built; the defaults have about as many parameters as F5TTS_v1_Base."""

    symbols: int = 2546  # size of the symbol table, with the filler
    mel: MelConfig = field(default_factory=MelConfig)  # that of Vocos, with a floor of 1e-5
    dim: int = 1024
    layers: int = 11
    heads: int = 16
    head_dim: int = 64
    hidden: int = 2048  # channels inside a block's layers
    dropout: float = 0.1
    silent_filler: bool = True  # whether filler in the text is 0 from the start
    norm: bool = False  # of queries and keys
    conceal: Concealment = field(default_factory=Concealment)
    leaky_padding: bool = False  # let padding be heard by its neighbours, as the published code does

    def __post_init__(self) -> None:
        if self.dim % 16 or self.head_dim % 2:
            raise ValueError(f"dim is a multiple of 16, head_dim is even; got {self.dim}, {self.head_dim}")


class Model(nn.Module):
    """See the module's docstring."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        mels, dim = config.mel.n_mels, config.dim
        self.time = TimeCode(dim)
        self.embed = nn.Embedding(config.symbols, dim)
        self.join = nn.Linear(2 * mels, dim)
        self.places = ConvPlaces(dim)
        sizes = Sizes(dim, config.heads, config.head_dim, config.hidden, config.dropout, norm=config.norm)
        self.blocks = nn.ModuleList(JointBlock(sizes, number == config.layers - 1) for number in range(config.layers))
        self.steer = FinalSteer(dim)
        self.out = nn.Linear(dim, mels)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(
        self,
        tokens: Tensor,
        token_mask: Tensor,
        noisy: Tensor,
        time: Tensor,
        given: Tensor,
        frame_mask: Tensor | None = None,
        drop_text: Tensor | None = None,
    ) -> Tensor:
        """The velocity (batch, frames, mels): the view of training.

        Args:
            tokens, token_mask: (batch, tokens), 0 = filler and padding.
            noisy: (batch, frames, mels), the mel with noise. time: (batch,), how far it is from noise.
            given: (batch, frames, mels), the mel where it is heard, else 0.
            frame_mask: (batch, frames), True = real.
            drop_text: (batch,) bool, those whose text is not told.
        """
        return self.velocity(noisy, time, given, self.text(tokens, token_mask, drop_text), token_mask, frame_mask)

    def conceal(self, batch: Batch, generator: torch.Generator | None) -> dict[str, Tensor]:
        """What training hides (objectives/flow.py)."""
        return _infill.conceal(self.config.conceal, batch, generator)

    def text(self, tokens: Tensor, token_mask: Tensor, drop: Tensor | None = None) -> Tensor:
        """The text's code: (batch, tokens, dim)."""
        x = self.embed(tokens if drop is None else tokens.masked_fill(drop[:, None], 0))
        x = x + place_code(x.shape[1], x.shape[2], x)
        return x.masked_fill(~token_mask[..., None], 0.0) if self.config.silent_filler else x

    def velocity(  # noqa: PLR0913  (two streams with their masks)
        self, noisy: Tensor, time: Tensor, given: Tensor, text: Tensor, token_mask: Tensor, mask: Tensor | None
    ) -> Tensor:
        """The velocity with the text's code (batch, tokens, dim)."""
        leaky = self.config.leaky_padding
        steer = self.time(time)
        x = self.join(torch.cat([noisy, given], dim=-1))
        x = x + self.places(x, None if leaky else mask)
        frames = torch.ones(x.shape[:2], dtype=torch.bool, device=x.device) if mask is None else mask
        seen = None if leaky else torch.cat([frames, token_mask], dim=1)
        for number, block in enumerate(self.blocks):
            x, text = block(x, text, steer, mask, token_mask, seen)
            trace.layer(number, len(self.blocks), x)
        return self.out(self.steer(x, steer))

    @torch.no_grad()
    def speak(  # noqa: PLR0913  (what steers a speaker)
        self,
        tokens: Tensor,
        token_mask: Tensor,
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
        """Says the text like the prompt: arguments, result and errors are those of `f5.Model.speak`, and token_mask
        (batch, tokens) with True = real.
        """
        if prompt_frames is None:
            prompt_frames = torch.full_like(frames, prompt.shape[1])

        def told(given: Tensor, mask: Tensor | None, doubled: bool) -> flow.Velocity:
            words, drop, real = tokens, None, token_mask
            if doubled:
                given, words, drop = _infill.both(given, tokens)
                real = torch.cat([token_mask, token_mask])
            mask = _infill.twice(mask, doubled)
            text = self.text(words, real, drop)
            return lambda x, time: self.velocity(x, time, given, text, real, mask)

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

_NAMES = {
    "text.embed.": "embed.",
    ".attn_norm_x.": ".steer.",
    ".attn_norm_c.": ".text_steer.",
    ".attn.to_q.": ".heads.project.",
    ".attn.to_q_c.": ".text_heads.project.",
    ".attn.to_out.0.": ".out.",
    ".attn.to_out_c.": ".text_out.",
    ".attn.q_norm.": ".heads.query_norm.",
    ".attn.k_norm.": ".heads.key_norm.",
    ".attn.c_q_norm.": ".text_heads.query_norm.",
    ".attn.c_k_norm.": ".text_heads.key_norm.",
    ".ff_x.": ".mlp.",
    ".ff_c.": ".text_mlp.",
}
_KNOWN = (
    "dim",
    "depth",
    "heads",
    "dim_head",
    "dropout",
    "ff_mult",
    "mel_dim",
    "text_num_embeds",
    "text_mask_padding",
    "qk_norm",
    "checkpoint_activations",
)


def from_official(state: Mapping[str, Tensor], config: Mapping[str, Any]) -> Model:
    """MMDiT of F5-TTS's code: the state dict of its checkpoint and its YAML.

    Raises:
        UserError: a setting that is not known here, or keys or shapes that do not fit.
    """
    arch, mel = _infill.sizes_of(config, {})
    _infill.refuse(arch, _KNOWN, "MMDiT")
    inner = dit.bare(state)
    built = Config(
        symbols=len(inner["text_embed.text_embed.weight"]),
        mel=_infill.official_mel(mel, len(inner["proj_out.bias"])),
        dim=arch["dim"],
        layers=arch["depth"],
        heads=arch["heads"],
        head_dim=arch.get("dim_head", 64),
        hidden=int(arch["dim"] * arch.get("ff_mult", 4)),
        dropout=arch.get("dropout", 0.1),
        silent_filler=arch.get("text_mask_padding", True),
        norm=arch.get("qk_norm") is not None,
        leaky_padding=True,
    )
    return adopt(Model(built), dit.official(inner, _NAMES), "MMDiT checkpoint")
