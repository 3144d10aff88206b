"""Metis: what is said as codes, from other speech, worse speech, or no speech at all; one model before, many after.

    content (batch, frames, 1024), codes with gaps (batch, frames) -> scores (batch, frames, 8192), 50 frames a second

Idea      MaskGCT's first stage, trained on speech without text, knows how speech goes on. A task then is a condition a
          frame, added through a small network whose gate starts closed, and additions of low rank to the weights. With
          features (w2v-BERT 2.0) of the prompt and of another voice's speech it converts voices; of a mixture, it picks
          the prompt's speaker out; of noisy speech and without a prompt, it cleans; of a face, it reads lips. Text to
          speech is tts/maskgct itself, and the second stage for all is tts/maskgct_s2a.
Trained   masked tokens (objectives/masked.py); the additions by `lora` of the recipe
Recipes   recipes/tts/metis-convert.yaml
Paper     Wang et al. 2025, arXiv:2502.03128
Code      github.com/open-mmlab/Amphion, models/tts/metis (MIT); training was not published
Weights   amphion/metis (Hugging Face, CC-BY-NC-4.0), tuned whole, or base, adapter and LoRA laid together:
          `from_official`, parity in tests/parity/test_maskgct.py
Differs   as tts/maskgct. Published additions of low rank are merged into the weights when they are read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from aoide.config import UserError
from aoide.models.tts import maskgct
from aoide.models.tts.maskgct import Output
from aoide.nn.official import adopt
from aoide.objectives import masked as masked_tokens
from aoide.objectives.masked import Noise, Sampling

NEEDS = ("semantic_codes", "content")
STEPS = {"convert": 20, "extract": 10, "enhance": 10}  # passes, as published
GUIDANCE = {"convert": 1.0, "extract": 0.0, "enhance": 0.0}


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """What is built; the defaults are those of the published checkpoints (726 M parameters before tuning)."""

    content: int = 1024  # features a frame of what steers; 0 = the model before it is tuned
    gated: bool = True  # whether a gate that starts closed stands behind the condition; lip reading has none
    codes: int = 8192
    sample_rate: int = 24_000  # Hz, of the sound
    hop: int = 480  # samples of it in a frame
    dim: int = 1536
    layers: int = 16
    heads: int = 16
    sampling: Sampling = field(default_factory=lambda: Sampling(guidance=1.0))

    def __post_init__(self) -> None:
        if self.content < 0:
            raise ValueError(f"content is 0 or more features, got {self.content}")

    @property
    def base(self) -> maskgct.Config:
        """The settings of the model inside."""
        return maskgct.Config(
            symbols=0,
            codes=self.codes,
            sample_rate=self.sample_rate,
            hop=self.hop,
            dim=self.dim,
            layers=self.layers,
            heads=self.heads,
            sampling=self.sampling,
        )

    @property
    def frame_rate(self) -> float:
        """Frames a second."""
        return self.sample_rate / self.hop


class Adapter(nn.Module):
    """Brings what steers to the frames: (..., content) -> (..., dim)."""

    def __init__(self, content: int, dim: int, gated: bool) -> None:
        super().__init__()
        self.expand = nn.Linear(content, 4 * dim)
        self.contract = nn.Linear(4 * dim, dim)
        self.gate = nn.Parameter(torch.zeros(1)) if gated else None
        for layer in (self.expand, self.contract):
            nn.init.normal_(layer.weight, std=0.02)
            nn.init.zeros_(layer.bias)

    def forward(self, content: Tensor) -> Tensor:
        found = self.contract(nn.functional.silu(self.expand(content)))
        return found if self.gate is None else found * self.gate


class Model(nn.Module):
    """See the module's docstring."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.base = maskgct.Model(config.base)
        self.adapter = Adapter(config.content, config.dim, config.gated) if config.content else None

    def forward(
        self,
        semantic_codes: Tensor,
        masked: Tensor,
        time: Tensor,
        frame_mask: Tensor | None = None,
        content: Tensor | None = None,
    ) -> Output:
        """Scores for the hidden frames; what stands at the others is of no use.

        Args:
            semantic_codes: (batch, frames), or (batch, frames, 1) as a codec gives them.
            masked: (batch, frames), True = hidden.
            time: (batch,), 1 = all is hidden.
            frame_mask: (batch, frames), True = real.
            content: (batch, frames, content), of what steers; where it is a prompt's, of the prompt.
        """
        added = None if content is None else self._adapted(content)
        return self.base(semantic_codes, masked, time, frame_mask, added=added)

    @torch.no_grad()
    def sample(
        self,
        content: Sequence[Tensor],
        prompts: Sequence[Tensor] | None = None,
        steps: int = 20,
        sampling: Sampling | None = None,
        noise: Noise | None = None,
    ) -> list[Tensor]:
        """Draws the codes of some items: (frames,) int64 each. See `STEPS` and `GUIDANCE` for what was published.

        Args:
            content: (prompt frames + frames, content) each, of the prompt and of what is to be changed.
            prompts: (prompt frames,) int64 each: codes of a recording of the voice; None to enhance.

        Raises:
            UserError: nothing to change after the prompt; no step.
        """
        before = [0] * len(content) if prompts is None else [len(prompt) for prompt in prompts]
        if len(before) != len(content):
            raise UserError(f"{len(content)} pieces of content, but {len(before)} prompts")
        lengths = [len(x) - start for x, start in zip(content, before, strict=True)]
        added = [self._adapted(x) for x in content]
        return self.base.sample(lengths, None, prompts, added, steps, sampling or self.config.sampling, noise)

    def _adapted(self, content: Tensor) -> Tensor:
        if self.adapter is None:
            raise UserError("this Metis is not tuned yet: it takes no content (model.content is 0)")
        return self.adapter(content)


# ------------------------------------------------------------------------------------------------------------- training

TRAINING = masked_tokens.Config(target="semantic_codes", drop=0.15, least=0.2, prompt=0.4)
LOSSES: dict[str, Any] = {}
TOY = Config(content=5, codes=16, sample_rate=800, hop=16, dim=24, layers=2, heads=2)


def example(config: Config, batch: int = 2, generator: torch.Generator | None = None) -> dict[str, Tensor]:
    """Batches of 20 frames."""
    fields = maskgct.example(config.base, batch, generator)
    if config.content:
        fields["content"] = torch.randn(*fields["masked"].shape, config.content, generator=generator)
    return fields


# ---------------------------------------------------------------------------------------------------- published weights

_ADAPTER = {
    "cond_adapter.in_linear.": "adapter.expand.",
    "cond_adapter.out_linear.": "adapter.contract.",
    "cond_adapter.0.": "adapter.expand.",
    "cond_adapter.2.": "adapter.contract.",
}


def from_official(state: Mapping[str, Tensor], config: Mapping[str, Any]) -> Model:
    """Builds the model of a published checkpoint.

    Args:
        state: its state dict, with the original keys: of a model tuned whole, or of base, adapter and LoRA, the three
            files laid together.
        config: the section `t2s_model` of one of Metis' configurations, or the whole file, as a dict.

    Raises:
        UserError: a state that does not fit the configuration.
    """
    config = config.get("model", config)
    config = config.get("t2s_model", config)
    config = config.get("cfg", config)
    plain = merged(state, config.get("lora_alpha"))
    gate = plain.pop("cond_adapter.gate_scale", None)
    names = [f"cond_adapter.{name}.weight" for name in ("in_linear", "0")]
    widths = [plain[name].shape[1] for name in names if name in plain]
    settings = Config(
        content=widths[0] if widths else 0,
        gated=gate is not None or not widths,
        heads=config.get("num_heads", 16),
        **maskgct.sizes(plain),
    )
    model = Model(settings)
    renamed = {} if gate is None else {"adapter.gate": gate}
    for key in [key for key in plain if key.startswith("cond_adapter.")]:
        old = next((stem for stem in _ADAPTER if key.startswith(stem)), "")
        renamed[_ADAPTER.get(old, "") + key.removeprefix(old)] = plain.pop(key)
    renamed |= {f"base.{key}": value for key, value in maskgct.rename(plain, model.base).items()}
    return adopt(model, renamed, "checkpoint of Metis")


def merged(state: Mapping[str, Tensor], alpha: float | None) -> dict[str, Tensor]:
    """Additions of low rank, as the package peft names them, merged into the weights they belong to.

    Args:
        state: names may begin with model.; `X.lora_A.default.weight` (rank, in), `X.lora_B.default.weight` (out, rank),
            `X.base_layer.weight` or `X.weight`.
        alpha: the additions are scaled by alpha / rank; None: by 2, as all that were published.

    Raises:
        UserError: an addition to a weight that is not there.
    """
    bare = {key.removeprefix("model.").replace(".base_layer.", "."): value for key, value in state.items()}
    plain = {key: value for key, value in bare.items() if ".lora_" not in key}
    for key in [key for key in bare if key.endswith(".lora_A.default.weight")]:
        stem = key.removesuffix(".lora_A.default.weight")
        down, up, name = bare[key], bare.get(f"{stem}.lora_B.default.weight"), f"{stem}.weight"
        if up is None or name not in plain:
            raise UserError(f"this checkpoint of Metis adds to {name}, which is not in it: lay base and LoRA together")
        plain[name] = plain[name] + (2 if alpha is None else alpha / len(down)) * (up @ down)
    return plain
