"""MusicGen: a language model that writes music as codes, text (batch, words, text_dim) -> codes (batch, frames, 4).

Idea         A codec says 20 ms of music by four codes, each of which mends what those above it left. A Transformer says
             the four of a frame one step after the other, all frames shifted against each other (`delay` of
             aoide/nn/patterns.py), so that there is one step a frame and a code still knows those above it. It looks at
             the caption, which T5 has read, and is asked twice, with and without it, to follow it more closely.
Objective    next token (aoide/objectives/tokens.py), on the codes of all books
Recipes      recipes/ttm/musicgen-folder.yaml
Paper        Copet et al. 2023, arXiv:2306.05284; for sounds Kreuk et al. 2022, arXiv:2209.15352 (AudioGen)
Code         github.com/facebookresearch/audiocraft (MIT)
Checkpoints  facebook/musicgen-{small,medium,large} and facebook/audiogen-medium (CC-BY-NC-4.0): `from_official`, in the
             form of audiocraft (`state_dict.bin`) and in that of transformers; `aoide music --model FOLDER`. Parity
             against transformers' own in tests/models/test_musicgen.py. Melody: ttm/musicgen_melody. The sound comes
             from the codec that lies beside it (aoide/generate/musicgen.py).
Differs      no dropout; patterns other than `delay` can be trained, with which it is YuE's first stage (`dual_track`)
             or the one of LeVo (`mixed_dual`)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from aoide import trace
from aoide.config import UserError
from aoide.nn import codes_lm, patterns, token_lm
from aoide.nn.codes_lm import CodesLM, Settings, Told
from aoide.nn.lengths import mask_from_lengths
from aoide.nn.official import adopt
from aoide.nn.token_lm import Sampling, Scored
from aoide.objectives import Batch
from aoide.objectives import tokens as next_token

SAMPLING = Sampling(top_k=250)
GUIDANCE = 3.0
Pattern = Literal["delay", "parallel", "flat", "dual_track", "mixed_dual"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """Settings; the defaults are those of musicgen-small (420 M parameters)."""

    sample_rate: int = 32_000  # Hz, of the sound that the codes were made from
    hop: int = 640  # samples of it a frame
    codebooks: int = 4
    codes: int = 2048
    dim: int = 1024
    layers: int = 24
    heads: int = 16
    hidden: int = 4096  # channels inside the MLP
    text_dim: int = 768
    pattern: Pattern = "delay"
    untold: float = 0.3  # how often training does not tell the caption

    def __post_init__(self) -> None:
        if not 0 <= self.untold <= 1:
            raise ValueError(f"untold is from 0 to 1, got {self.untold}")
        if self.pattern == "dual_track" and self.codebooks != 2:
            raise ValueError(f"dual_track has the codebooks of two stems, not {self.codebooks}")

    @property
    def frame_rate(self) -> float:
        """Frames a second."""
        return self.sample_rate / self.hop

    @property
    def settings(self) -> Settings:
        """Of the language model."""
        return Settings(
            codebooks=self.codebooks,
            codes=self.codes,
            dim=self.dim,
            layers=self.layers,
            heads=self.heads,
            hidden=self.hidden,
            told=True,
        )

    def layout(self, frames: int) -> Tensor:
        """The order of so many frames, see aoide/nn/patterns.py."""
        if self.pattern == "dual_track":
            return patterns.dual_track(frames)
        lays = {"delay": patterns.delay, "parallel": patterns.parallel, "flat": patterns.flat}
        return {**lays, "mixed_dual": patterns.mixed_dual}[self.pattern](frames, self.codebooks)


class Model(nn.Module):
    """Caption -> codes of music."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.lm = CodesLM(config.settings)
        self.read = nn.Linear(config.text_dim, config.dim)
        self.family = next_token.Classes(config.codes)

    def conceal(self, batch: Batch, generator: torch.Generator | None = None) -> dict[str, Tensor]:
        """Which captions of the batch are not told this time: untold (batch,), True = not."""
        drawn = torch.rand(len(batch["codes"]), generator=generator)
        return {"untold": (drawn < self.config.untold).to(batch["codes"].device)}

    def forward(
        self,
        codes: Tensor,
        text: Tensor,
        text_mask: Tensor | None = None,
        frame_mask: Tensor | None = None,
        untold: Tensor | None = None,
    ) -> Scored:
        """How likely each code is after those before it, see `Scored`; places are the codes of a step, step by step.

        Args:
            codes: (batch, frames, codebooks or more) int64. frame_mask: (batch, frames), True = real.
            text: (batch, words, text_dim). text_mask: (batch, words).
            untold: (batch,), see `conceal`.
        """
        codes = codes[..., : self.config.codebooks]
        rows, mask = laid(self.config.layout(codes.shape[1]), codes, frame_mask, self.config.codes)
        told = self.told(text, text_mask, untold)
        return judged(self.lm(self.lm.embed(rows[:, :-1]), told), rows, mask)

    def told(self, text: Tensor, text_mask: Tensor | None, untold: Tensor | None = None) -> Told:
        """The caption as the model looks at it."""
        mask = torch.ones(text.shape[:2], dtype=torch.bool, device=text.device) if text_mask is None else text_mask
        return self.lm.tell(self.read(text), mask if untold is None else mask & ~untold[:, None])

    @torch.no_grad()
    def write(
        self,
        text: Tensor,
        frames: int,
        text_mask: Tensor | None = None,
        *,
        prompt: Tensor | None = None,
        guidance: float = GUIDANCE,
        sampling: Sampling = SAMPLING,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Codes of so many frames: (batch, frames, codebooks).

        Args:
            text: (batch, words, text_dim). text_mask: (batch, words).
            prompt: (batch, fewer frames, codebooks), with which the music begins.
            guidance: how much further than the caption says; 1 = as it says, at half the price.
        """
        if guidance != 1:
            mask = torch.ones(text.shape[:2], dtype=torch.bool, device=text.device) if text_mask is None else text_mask
            text, text_mask = torch.cat([text, text]), torch.cat([mask, torch.zeros_like(mask)])
        told = self.told(text, text_mask)
        layout = self.config.layout(frames)
        return written(self.lm, layout, len(text), told, None, prompt, guidance, sampling, generator)


def laid(layout: Tensor, codes: Tensor, frame_mask: Tensor | None, special: int) -> tuple[Tensor, Tensor]:
    """The rows of a layout with a first step at which nothing stands, and which of their codes are real."""
    if frame_mask is None:
        frame_mask = torch.ones(codes.shape[:2], dtype=torch.bool, device=codes.device)
    layout = torch.cat([torch.full_like(layout[:1], patterns.NOTHING), layout])
    mask = patterns.real(layout, frame_mask)
    return patterns.lay(codes.long(), layout, special).masked_fill(~mask, special), mask


def judged(scores: Tensor, rows: Tensor, mask: Tensor) -> Scored:
    """Scores (batch, steps, codebooks, codes) of rows (batch, steps + 1, codebooks), one code a place."""
    targets = rows[:, 1:].masked_fill(~mask[:, 1:], 0)
    return Scored(scores.flatten(1, 2), targets.flatten(1), mask[:, 1:].flatten(1))


@torch.no_grad()
def written(  # noqa: PLR0913  (what decoding needs)
    lm: CodesLM,
    layout: Tensor,
    batch: int,
    told: Told | None,
    prefix: Tensor | None,
    prompt: Tensor | None,
    guidance: float,
    sampling: Sampling,
    generator: torch.Generator | None,
) -> Tensor:
    """Step after step of a layout; with guidance the second half of the batch was told nothing.

    Args:
        prefix: (batch, places, dim), what stands before the codes, embedded.
        prompt: (rows, frames, codebooks): codes that are known.

    Returns:
        (rows, frames, codebooks), half a batch of rows with guidance.
    """
    count = batch // 2 if guidance != 1 else batch
    device, special = lm.norm.weight.device, lm.settings.special
    rows = torch.full((count, len(layout) + 1, lm.settings.codebooks), special, device=device)
    if prompt is not None:
        known = layout.masked_fill(layout >= prompt.shape[1], patterns.NOTHING)
        rows[:, 1:] = patterns.lay(prompt, known, special)
    cache = lm.cache(batch, len(layout) + (0 if prefix is None else prefix.shape[1]))
    for step, scores in enumerate(_steps(lm, rows, told, prefix, cache, batch // count)):
        guided = scores
        if guidance != 1:
            with_words, without = scores.chunk(2)
            guided = without + guidance * (with_words - without)
        trace.report("musicgen/scores", guided, step=step)
        for book in range(rows.shape[2]):
            if int(layout[step, book]) == patterns.NOTHING:
                continue
            for row in range(count):
                if int(rows[row, step + 1, book]) == special:
                    rows[row, step + 1, book] = token_lm.draw(sampling.left(guided[row, book]), generator)
    return patterns.gather(rows[:, 1:], layout)


def _steps(
    lm: CodesLM, rows: Tensor, told: Told | None, prefix: Tensor | None, cache: Any, copies: int
) -> Iterator[Tensor]:
    """Scores (batch, codebooks, codes) of step after step; the rows of a step are read when the next is asked for."""
    for step in range(rows.shape[1] - 1):
        x = lm.embed(rows[:, step : step + 1]).repeat(copies, 1, 1)
        if step == 0 and prefix is not None:
            x = torch.cat([prefix, x], dim=1)
        yield lm(x, told, cache)[:, -1]


# ------------------------------------------------------------------------------------------------------------- training

TRAINING = next_token.Config()
LOSSES: dict[str, Any] = {}
NEEDS = ("codes", "text")
TOY = Config(
    sample_rate=800, hop=16, codebooks=3, codes=16, dim=16, layers=1, heads=2, hidden=24, text_dim=8, untold=0.0
)


def example(config: Config, batch: int = 2, generator: torch.Generator | None = None) -> dict[str, Tensor]:
    """Random codes and captions; the last item is shorter."""
    frame_mask = mask_from_lengths(torch.tensor([12] * (batch - 1) + [8]))
    text_mask = mask_from_lengths(torch.tensor([5] * (batch - 1) + [3]))
    codes = torch.randint(config.codes, (*frame_mask.shape, config.codebooks), generator=generator)
    return {
        "codes": codes * frame_mask[..., None],
        "frame_mask": frame_mask,
        "text": torch.randn(*text_mask.shape, config.text_dim, generator=generator) * text_mask[..., None],
        "text_mask": text_mask,
    }


# ------------------------------------------------------------------------------------------------ published checkpoints


def from_official(state: Mapping[str, Tensor], config: Mapping[str, Any]) -> Model:
    """MusicGen or AudioGen: `best_state` of audiocraft's `state_dict.bin`, or the state dict of transformers'
    MusicgenForConditionalGeneration, whose T5 and EnCodec are left out.

    Args:
        config: that of transformers (config.json); or for audiocraft's form the `transformer_lm` part of its settings,
            with `sample_rate` and `frame_rate` where they are not those of MusicGen.

    Raises:
        UserError: weights or settings of something else.
    """
    own = Config(**settings(state, config))
    renamed = {f"lm.{key}": value for key, value in official_lm(state, own.settings).items()}
    described = "condition_provider.conditioners.description.output_proj."
    for theirs in ("enc_to_dec_proj.", described):
        renamed |= {f"read.{key.removeprefix(theirs)}": value for key, value in state.items() if key.startswith(theirs)}
    return adopt(Model(own), renamed, "MusicGen checkpoint")


def official_lm(state: Mapping[str, Tensor], of: Settings) -> dict[str, Tensor]:
    """The keys of the language model; those of T5, of the codec and of what reads the caption are left out."""
    beside = ("text_encoder.", "audio_encoder.", "enc_to_dec_proj.", "audio_enc_to_dec_proj.", "condition_provider.")
    own = {
        key.removeprefix("decoder."): value
        for key, value in state.items()
        if not key.startswith(beside) and not key.endswith("embed_positions.weights")
    }
    return codes_lm.official(own, of)


def settings(state: Mapping[str, Tensor], config: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of a Config: sizes from the tensors, what they do not tell from the configuration."""
    state = {key: value for key, value in state.items() if not key.startswith(("text_encoder.", "audio_encoder."))}
    parts = dict(config.get("decoder") or config)
    tables = [value for key, value in state.items() if ".embed_tokens." in key or key.startswith("emb.")]
    mlp = next(
        (v for k, v in state.items() if k.endswith((".fc1.weight", ".linear1.weight")) and "layers.0." in k), None
    )
    text = next(
        (v for k, v in state.items() if k.endswith(("enc_to_dec_proj.weight", "description.output_proj.weight"))), None
    )
    if not tables or mlp is None or text is None:
        raise UserError("this is no MusicGen checkpoint: it has no tables, no layers or nothing that reads captions")
    codec = dict(config.get("audio_encoder") or {})
    sample_rate = codec.get("sampling_rate", config.get("sample_rate", 32_000))
    ratios = codec.get("upsampling_ratios")
    hop = torch.tensor(ratios).prod().item() if ratios else round(sample_rate / config.get("frame_rate", 50))
    layers = {key.split("layers.")[1].split(".")[0] for key in state if "layers." in key}
    return {
        "sample_rate": int(sample_rate),
        "hop": int(hop),
        "codebooks": len(tables),
        "codes": len(tables[0]) - 1,
        "dim": tables[0].shape[1],
        "layers": len(layers),
        "heads": parts.get("num_attention_heads") or parts["num_heads"],
        "hidden": len(mlp),
        "text_dim": text.shape[1],
    }
