"""MaskGCT, codes to codes: what is said, and how the prompt sounds -> codes of sound, codebook by codebook.

    semantic_codes (batch, frames), codes with gaps (batch, frames, 12) -> scores (batch, frames, 1024)

Idea      SoundStorm: a Transformer that sees both ways adds up, frame by frame, the semantic code and those acoustic
          codes that are known, and guesses the hidden ones of one codebook. To speak, the codebooks are made in order,
          the first ones in many passes, the rest, which say little more, in one each. The prompt is frames at the
          beginning whose codes of all codebooks are known. Published as two: one that makes the first codebook alone,
          and one of twelve that is given the first. 50 frames a second.
Trained   masked tokens (objectives/masked.py)
Recipes   recipes/tts/maskgct-s2a.yaml
Paper     Wang et al. 2024, arXiv:2409.00750; Borsos et al. 2023, arXiv:2305.09636 (SoundStorm)
Code      github.com/open-mmlab/Amphion, models/tts/maskgct (MIT); training was not published
Weights   amphion/MaskGCT, s2a_model/s2a_model_1layer and s2a_model_full (Hugging Face, CC-BY-NC-4.0): `from_official`,
          parity in tests/parity/test_maskgct.py
Differs   training draws a codebook an item, not one a batch. `sample` computes both branches of guidance in one packed
          pass, the mapping of the semantic codes once a codebook, and rescales an item by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from aoide.config import UserError
from aoide.models.tts.maskgct import Passes, mapper, network, one_codebook, sizes
from aoide.nn import llama
from aoide.nn.denoise import TimeEmbedding
from aoide.nn.official import adopt
from aoide.objectives import masked as masked_tokens
from aoide.objectives.masked import Noise, Sampling, State, decode

NEEDS = ("semantic_codes", "codes")
STEPS = (25, 10)  # passes for the first codebooks, as published; each further one has one


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """What is built; the defaults are those of the larger published checkpoint (353 M parameters)."""

    codebooks: int = 12
    codes: int = 1024  # entries of each
    given: int = 1  # codebooks, from the first, that are always known; 0 in the model that makes the first alone
    semantic: int = 8192  # semantic codes
    sample_rate: int = 24_000  # Hz, of the sound
    hop: int = 480  # samples of it in a frame
    dim: int = 1024
    layers: int = 16
    heads: int = 16
    sampling: Sampling = field(default_factory=lambda: Sampling(temperature=1.5))

    def __post_init__(self) -> None:
        if min(self.codebooks, self.codes, self.semantic, self.dim, self.layers, self.heads) < 1:
            raise ValueError("codebooks, codes, semantic, dim, layers and heads are 1 or more")
        if not 0 <= self.given < self.codebooks:
            raise ValueError(f"given {self.given} leaves none of {self.codebooks} codebooks to make")
        if self.dim % (2 * self.heads):
            raise ValueError(f"dim {self.dim} does not give {self.heads} heads an even number of channels each")

    @property
    def frame_rate(self) -> float:
        """Frames a second."""
        return self.sample_rate / self.hop


class Output(NamedTuple):
    """What a forward pass gives."""

    scores: Tensor  # (batch, frames, codes), before softmax


class Model(nn.Module):
    """See the module's docstring."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.given = config.given
        dim = config.dim
        self.codes = nn.Embedding(config.codebooks * config.codes, dim)  # those of one codebook after the other
        self.gap = nn.Parameter(torch.empty(dim))  # stands for a hidden code
        self.semantic = nn.Embedding(config.semantic, dim)
        self.layer = nn.Embedding(config.codebooks, dim)  # which codebook is being made
        self.mapper = mapper(dim)
        self.time = TimeEmbedding(dim, nn.SiLU())
        self.llama = network(dim, config.layers, config.heads)
        self.head = nn.Linear(dim, config.codebooks * config.codes)
        for weight in (self.codes.weight, self.gap, self.semantic.weight, self.layer.weight, self.head.weight):
            nn.init.normal_(weight, std=0.02)
        nn.init.zeros_(self.head.bias)

    def forward(  # noqa: PLR0913  (the fields of a batch)
        self,
        codes: Tensor,
        semantic_codes: Tensor,
        masked: Tensor,
        time: Tensor,
        layer: Tensor,
        prompt: Tensor,
        frame_mask: Tensor | None = None,
    ) -> Output:
        """Scores for the hidden frames; what stands at the others is of no use.

        Args:
            codes: (batch, frames, codebooks) int64.
            semantic_codes: (batch, frames), or (batch, frames, 1) as a codec gives them.
            masked: (batch, frames), True = hidden.
            time: (batch,), 1 = all is hidden.
            layer: (batch,) int64, the codebook that is guessed.
            prompt: (batch,) int64, frames at the beginning whose higher codebooks are known, too.
            frame_mask: (batch, frames), True = real.
        """
        told = torch.arange(codes.shape[1], device=codes.device) < prompt[:, None]
        x = self.mapper(self.semantic(one_codebook(semantic_codes)) + self.layer(layer)[:, None])
        for number in range(self.config.codebooks):
            above, here = number > layer[:, None], number == layer[:, None]
            x = x + self.frames(codes[..., number], above & ~told | here & masked, number)
        found = self.llama(x, frame_mask, self.time(time))
        shape = (self.config.codebooks, self.config.codes)
        weight, bias = self.head.weight.unflatten(0, shape)[layer], self.head.bias.unflatten(0, shape)[layer]
        return Output(torch.baddbmm(bias[:, None], found, weight.mT))

    def frames(self, codes: Tensor, masked: Tensor, number: int) -> Tensor:
        """Codes of a codebook (...,), masked (...,) -> (..., dim)."""
        return torch.where(masked[..., None], self.gap, self.codes(codes + number * self.config.codes))

    @torch.no_grad()
    def sample(  # noqa: PLR0913  (what steers sound)
        self,
        semantic_codes: Sequence[Tensor],
        prompts: Sequence[Tensor],
        known: Sequence[Tensor] | None = None,
        steps: Sequence[int] | None = None,
        sampling: Sampling | None = None,
        noise: Callable[[int], Noise] | None = None,
    ) -> list[Tensor]:
        """Draws the codes of some items: (frames, codebooks) int64 each.

        Args:
            semantic_codes: (prompt frames + frames,) int64 each.
            prompts: (prompt frames, codebooks or more) int64 each: codes of a recording of the voice.
            known: (frames, n) each: codes of the first n codebooks, where they are made already.
            steps: passes a codebook; None: as published.
            sampling: None: that of the configuration.
            noise: codebook -> noise, see `aoide.objectives.masked`; None: torch's own draws.

        Raises:
            UserError: conditions that do not fit each other, codebooks that must be known and are not, no steps.
        """
        steps = self._steps(steps)
        self._check(semantic_codes, prompts, known)
        prompts = [prompt[:, : self.config.codebooks] for prompt in prompts]
        lengths = [len(codes) - len(prompt) for codes, prompt in zip(semantic_codes, prompts, strict=True)]
        made = [x[:, :0] for x in prompts] if known is None else [*known]
        made = [x.new_zeros(n, 0) if known is None else x for x, n in zip(made, lengths, strict=True)]
        for number in range(made[0].shape[1], self.config.codebooks):
            call = self._scores(number, semantic_codes, prompts, made, sampling or self.config.sampling)
            draws = masked_tokens.random() if noise is None else noise(number)
            found = decode(
                call, lengths, steps[number], sampling or self.config.sampling, draws, number, self.gap.device
            )
            made = [torch.cat([x, new[:, None]], dim=1) for x, new in zip(made, found, strict=True)]
        return made

    def _scores(
        self,
        number: int,
        semantic_codes: Sequence[Tensor],
        prompts: Sequence[Tensor],
        made: Sequence[Tensor],
        sampling: Sampling,
    ) -> masked_tokens.Scores:
        """Scores of a codebook; what stays the same in all its steps is computed here."""
        config = self.config
        conditions = [self.mapper(self.semantic(x) + self.layer.weight[number]) for x in semantic_codes]
        before = [x[: len(p)] + self._sum(p) for x, p in zip(conditions, prompts, strict=True)]
        higher = (config.codebooks - 1 - number) * self.gap
        stays = [x[len(p) :] + self._sum(m) + higher for x, p, m in zip(conditions, prompts, made, strict=True)]
        own_codes = slice(number * config.codes, (number + 1) * config.codes)
        weight, bias = self.head.weight[own_codes], self.head.bias[own_codes]
        passes = Passes(self.llama, before, sampling)

        def call(state: State) -> Tensor:
            own = self.frames(state.codes, state.masked, number) + torch.cat([stays[i] for i in state.items])
            alone = [*own.split(state.lengths)]
            found = passes(state.items, alone, alone, self.time(self.gap.new_full((1,), state.time)))
            return functional.linear(found[0, state.masked], weight, bias)

        return call

    def _sum(self, codes: Tensor) -> Tensor:
        """Codes of the first codebooks (frames, n) as what the network reads of them: (frames, dim)."""
        offsets = self.config.codes * torch.arange(codes.shape[1], device=codes.device)
        return self.codes(codes + offsets).sum(1)

    def _steps(self, steps: Sequence[int] | None) -> Sequence[int]:
        codebooks = self.config.codebooks
        steps = (*STEPS, *[1] * codebooks)[:codebooks] if steps is None else steps
        if len(steps) != codebooks:
            raise UserError(f"steps are {codebooks} numbers, one a codebook, got {len(steps)}")
        return steps

    def _check(
        self, semantic_codes: Sequence[Tensor], prompts: Sequence[Tensor], known: Sequence[Tensor] | None
    ) -> None:
        if not len(semantic_codes) == len(prompts) == len(prompts if known is None else known):
            raise UserError("semantic_codes, prompts and known are as many as the items")
        if self.given and (known is None or min(x.shape[1] for x in known) < self.given):
            raise UserError(f"this model makes codebooks from number {self.given + 1} on: give those before as known")
        for codes, prompt in zip(semantic_codes, prompts, strict=True):
            if len(codes) <= len(prompt) or prompt.shape[1] < self.config.codebooks:
                raise UserError(
                    f"a prompt is (frames, {self.config.codebooks}) and shorter than the semantic codes "
                    f"({len(codes)} frames), got {tuple(prompt.shape)}"
                )


# ------------------------------------------------------------------------------------------------------------- training

TRAINING = masked_tokens.Config(target="codes", drop=0.15, least=0.0, prompt=0.5)
LOSSES: dict[str, Any] = {}
TOY = Config(codebooks=3, codes=16, given=0, semantic=16, sample_rate=800, hop=16, dim=16, layers=2, heads=2)


def example(config: Config, batch: int = 2, generator: torch.Generator | None = None) -> dict[str, Tensor]:
    """Batches of 20 frames."""
    shape = (batch, 20)
    return {
        "codes": torch.randint(0, config.codes, (*shape, config.codebooks), generator=generator),
        "semantic_codes": torch.randint(0, config.semantic, shape, generator=generator),
        "masked": torch.rand(shape, generator=generator) < 0.6,
        "time": torch.rand(batch, generator=generator),
        "layer": torch.randint(config.given, config.codebooks, (batch,), generator=generator),
        "prompt": torch.randint(0, 5, (batch,), generator=generator),
        "frame_mask": torch.ones(shape, dtype=torch.bool),
    }


# ---------------------------------------------------------------------------------------------------- published weights

OFFICIAL_FILES = ("model.safetensors",)  # in s2a_model/s2a_model_1layer/ and s2a_model_full/ of amphion/MaskGCT

_NAMES = {
    "cond_emb.": "semantic.",
    "layer_emb.": "layer.",
    "diff_estimator.cond_mlp.": "mapper.",
    "diff_estimator.diff_step_mlp.": "time.mlp.",
}
_JOINED = {
    "codes.weight": "token_emb.{}.weight",
    "head.weight": "to_logits.{}.weight",
    "head.bias": "to_logits.{}.bias",
}


def from_official(state: Mapping[str, Tensor], config: Mapping[str, Any]) -> Model:
    """Builds the model of a published checkpoint.

    Args:
        state: its state dict, with the original keys.
        config: the section `s2a_1layer` or `s2a_full` of MaskGCT's maskgct.json, or the whole file, as a dict;
            {} = as published.

    Raises:
        UserError: a state that does not fit the configuration.
    """
    codebooks = sum(key.startswith("token_emb.") for key in state)
    config = config.get("model", config)
    config = config.get("s2a_model", config)
    config = config.get("s2a_1layer" if codebooks == 1 else "s2a_full", config)
    table = state.get("token_emb.0.weight")
    settings = Config(
        codebooks=codebooks,
        codes=1024 if table is None else len(table),
        given=0 if config.get("predict_layer_1", codebooks == 1) else 1,
        heads=config.get("num_heads", 16),
        **{"semantic" if name == "codes" else name: size for name, size in sizes(state).items()},
    )
    model = Model(settings)
    theirs = "diff_estimator."
    renamed = {f"llama.{key}": value for key, value in llama.official(state, model.llama.settings, theirs).items()}
    rest = {key: value for key, value in state.items() if not llama.belongs(key, theirs)}
    rest.pop("diff_estimator.embed_tokens.weight", None)  # an embedding of no words, which nothing reads
    for ours, pattern in _JOINED.items():
        names = [pattern.format(number) for number in range(settings.codebooks)]
        if all(name in rest for name in names):
            renamed[ours] = torch.cat([rest.pop(name) for name in names])
    if "mask_emb.weight" in rest:
        renamed["gap"] = rest.pop("mask_emb.weight")[0]
    for key, value in rest.items():
        old = next((stem for stem in _NAMES if key.startswith(stem)), "")
        renamed[_NAMES.get(old, "") + key.removeprefix(old)] = value
    return adopt(model, renamed, "checkpoint of MaskGCT's semantic-to-acoustic model")
