"""MaskGCT, text to codes: phonemes and a prompt -> what is said, as codes of a semantic codec, all frames at once.

    tokens (batch, tokens), codes with gaps (batch, frames) -> scores (batch, frames, 8192), 50 frames a second

Idea      No alignment and no durations of phonemes: a Transformer that sees both ways reads the phonemes, then the
          frames, of which some are hidden, and guesses those. A prompt is nothing but frames at the beginning that are
          not hidden; it gives voice, pace and mood. To speak, all frames after the prompt are hidden, and the surest
          guesses stay, in some 25 passes. The total length is given beforehand. `maskgct_s2a` makes codes of sound of
          these, codec/maskgct_acoustic the sound.
Trained   masked tokens (objectives/masked.py)
Recipes   recipes/tts/maskgct-t2s.yaml
Paper     Wang et al. 2024, arXiv:2409.00750
Code      github.com/open-mmlab/Amphion, models/tts/maskgct (MIT); training was not published
Weights   amphion/MaskGCT, t2s_model (Hugging Face, CC-BY-NC-4.0): `from_official`, parity in
          tests/parity/test_maskgct.py
Faster    `sampling.refresh` and `sampling.compare` above 1 are not exact: see `Passes`
Differs   in a batch the phonemes stand right before the frames of their item, so that padding is nowhere between;
          training drops text and prompt together, as sampling without them needs it. `sample` computes both branches
          of guidance in one packed pass, and rescales an item by itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from aoide.config import UserError
from aoide.nn import llama
from aoide.nn.denoise import TimeEmbedding
from aoide.nn.llama import Cache, Llama, pack
from aoide.nn.official import adopt
from aoide.objectives import masked as masked_tokens
from aoide.objectives.masked import Noise, Sampling, State, decode, guide

NEEDS = ("tokens", "semantic_codes")


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """What is built; the defaults are those of the published checkpoint (746 M parameters)."""

    symbols: int = 1024  # size of the phoneme table, with padding; 0 = a model without text
    codes: int = 8192
    sample_rate: int = 24_000  # Hz, of the sound
    hop: int = 480  # samples of it in a frame
    dim: int = 1536
    layers: int = 16
    heads: int = 16
    sampling: Sampling = field(default_factory=Sampling)

    def __post_init__(self) -> None:
        if min(self.codes, self.dim, self.layers, self.heads) < 1 or self.symbols < 0:
            raise ValueError("codes, dim, layers and heads are 1 or more, symbols 0 or more")
        if self.dim % (2 * self.heads):
            raise ValueError(f"dim {self.dim} does not give {self.heads} heads an even number of channels each")

    @property
    def frame_rate(self) -> float:
        """Frames a second."""
        return self.sample_rate / self.hop


class Output(NamedTuple):
    """What a forward pass gives."""

    scores: Tensor  # (batch, frames, codes), before softmax


def network(dim: int, layers: int, heads: int) -> Llama:
    """The Llama of MaskGCT: it sees both ways, and the time scales its norms."""
    return Llama(
        llama.Settings(dim=dim, layers=layers, heads=heads, hidden=4 * dim, causal=False, adaptive=True),
    )


def mapper(dim: int) -> nn.Sequential:
    """What conditions go through: (..., dim) -> the same shape."""
    return nn.Sequential(nn.Linear(dim, 4 * dim), nn.SiLU(), nn.Linear(4 * dim, dim))


def one_codebook(codes: Tensor) -> Tensor:
    """Codes of a codec with one codebook, (batch, frames) or (batch, frames, 1) -> (batch, frames) int64."""
    return (codes[..., 0] if codes.ndim == 3 else codes).long()


class Passes:
    """The passes of the network for one codebook, and what guidance makes of them.

    Both branches of guidance are one packed pass. Text and prompt look at the frames, so they change a little from pass
    to pass, and so does what guidance adds. With `sampling.refresh` above 1 the keys and values of text and prompt are
    kept for so many passes (as in arXiv:2505.22618), with `sampling.compare` what guidance adds (as in
    arXiv:2410.19355). That is not exact.

    Args:
        before: what stands before the frames of each item and stays, (places, dim) each.
    """

    def __init__(self, llama: Llama, before: Sequence[Tensor], sampling: Sampling) -> None:
        self._llama, self._before, self._sampling = llama, before, sampling
        self._told: dict[int, Cache] = {}  # keys and values of what stands before, of an item
        self._added: dict[int, Tensor] = {}  # given, less without text and prompt, of an item
        self._count = -1

    def __call__(self, items: Sequence[int], frames: Sequence[Tensor], alone: Sequence[Tensor], time: Tensor) -> Tensor:
        """Hidden states of the frames of all items: (1, frames, dim).

        Args:
            items: which of those that stand in `before`.
            frames: (frames, dim) of each.
            alone: the same without text and prompt, or one frame where all are alike.
            time: (1, dim).
        """
        self._count += 1
        sampling, wanted = self._sampling, [len(x) for x in frames]
        new = self._count % sampling.compare == 0 or not all(i in self._added for i in items)
        alone = alone if sampling.guidance and new else []
        if sampling.refresh == 1:
            rows = [torch.cat([self._before[i], x]) for i, x in zip(items, frames, strict=True)]
            found = self._packed([*rows, *alone], [*wanted, *map(len, alone)], time)
            given, without = found[:, : sum(wanted)], found[:, sum(wanted) :]
        else:
            given = torch.cat([self._after(i, x, time) for i, x in zip(items, frames, strict=True)], dim=1)
            without = self._packed(alone, [*map(len, alone)], time) if alone else given[:, :0]
        if not sampling.guidance:
            return given
        if alone:
            parts = without.split([*map(len, alone)], 1)
            without = torch.cat([x.expand(-1, n, -1) for x, n in zip(parts, wanted, strict=True)], dim=1)
            if sampling.compare > 1:
                self._added.update(zip(items, (given - without).split(wanted, 1), strict=True))
        else:
            without = given - torch.cat([self._added[i] for i in items], dim=1)
        return guide(given, without, wanted, sampling)

    def _packed(self, rows: Sequence[Tensor], wanted: Sequence[int], time: Tensor) -> Tensor:
        x, lengths = pack(rows)
        return self._llama(x, None, time, lengths=lengths, last=wanted)  # type: ignore[no-any-return]

    def _after(self, item: int, frames: Tensor, time: Tensor) -> Tensor:
        """(1, frames, dim) of an item after what stands before, whose keys and values are kept."""
        before, told = self._before[item], self._told.get(item)
        if told is None:
            told = self._told[item] = self._llama.cache(1, len(before) + len(frames))
        if told.length == 0 or self._count % self._sampling.refresh == 0:
            told.reset()
            frames = torch.cat([before, frames])
        found = self._llama(frames[None], None, time, told, last=told.capacity - len(before))
        told.crop(len(before))
        return found  # type: ignore[no-any-return]


class Model(nn.Module):
    """See the module's docstring."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        dim = config.dim
        self.phones = nn.Embedding(config.symbols, dim) if config.symbols else None
        self.phone_mapper = mapper(dim) if config.symbols else None
        self.codes = nn.Embedding(config.codes, dim)
        self.gap = nn.Parameter(torch.empty(dim))  # stands for a hidden code
        self.time = TimeEmbedding(dim, nn.SiLU())
        self.llama = network(dim, config.layers, config.heads)
        self.head = nn.Linear(dim, config.codes)
        for weight in (self.codes.weight, self.gap, self.head.weight):
            nn.init.normal_(weight, std=0.02)
        nn.init.zeros_(self.head.bias)
        if self.phones is not None:
            nn.init.normal_(self.phones.weight, std=0.02)

    def forward(  # noqa: PLR0913  (the fields of a batch)
        self,
        semantic_codes: Tensor,
        masked: Tensor,
        time: Tensor,
        frame_mask: Tensor | None = None,
        tokens: Tensor | None = None,
        token_mask: Tensor | None = None,
        dropped: Tensor | None = None,
        added: Tensor | None = None,
    ) -> Output:
        """Scores for the hidden frames; what stands at the others is of no use.

        Args:
            semantic_codes: (batch, frames), or (batch, frames, 1) as a codec gives them.
            masked: (batch, frames), True = hidden.
            time: (batch,), 1 = all is hidden.
            frame_mask: (batch, frames), True = real.
            tokens, token_mask: (batch, tokens); none for a model without text.
            dropped: (batch,), True = the text of this item is not looked at.
            added: (batch, frames, dim), something to know about the frames.
        """
        x = self.frames(one_codebook(semantic_codes), masked)
        x = x if added is None else x + added
        real = torch.ones_like(masked) if frame_mask is None else frame_mask
        before = 0
        if self.phones is not None and tokens is not None:
            told = torch.ones_like(tokens, dtype=torch.bool) if token_mask is None else token_mask
            before = tokens.shape[1]
            tokens, told = _to_the_end(tokens, told)
            told = told if dropped is None else told & ~dropped[:, None]
            x = torch.cat([self.text(tokens), x], dim=1)
            real = torch.cat([told, real], dim=1)
        found = self.llama(x, real, self.time(time), last=x.shape[1] - before)
        return Output(self.head(found))

    def frames(self, codes: Tensor, masked: Tensor) -> Tensor:
        """codes (...,) int64, masked (...,) -> (..., dim)."""
        return torch.where(masked[..., None], self.gap, self.codes(codes))

    def text(self, tokens: Tensor) -> Tensor:
        """tokens (..., tokens) -> (..., tokens, dim)."""
        assert self.phones is not None and self.phone_mapper is not None, "a model without text reads none"
        return self.phone_mapper(self.phones(tokens))

    @torch.no_grad()
    def sample(  # noqa: PLR0913  (what steers speech)
        self,
        lengths: Sequence[int],
        tokens: Sequence[Tensor] | None = None,
        prompts: Sequence[Tensor] | None = None,
        added: Sequence[Tensor] | None = None,
        steps: int = 25,
        sampling: Sampling | None = None,
        noise: Noise | None = None,
    ) -> list[Tensor]:
        """Draws the codes of some items: (frames,) int64 each.

        Args:
            lengths: frames of each item that are to be said.
            tokens: (tokens,) each: those of the prompt, then those to say.
            prompts: (prompt frames,) int64 each: codes of a recording of the voice.
            added: (prompt frames + frames, dim) each, something to know about the frames.
            steps: passes of the network.
            sampling: None: that of the configuration.
            noise: see `aoide.objectives.masked`; None: torch's own draws.

        Raises:
            UserError: no frames, no step, a number of tokens or prompts other than of lengths.
        """
        told = [items for items in (tokens, prompts, added) if items is not None]
        if any(len(items) != len(lengths) for items in told):
            raise UserError(f"{len(lengths)} lengths, but {', '.join(str(len(items)) for items in told)} conditions")
        if (tokens is None) != (self.phones is None):
            raise UserError("this model needs phonemes" if tokens is None else "this model is without text")
        sampling = sampling or self.config.sampling
        known = [self._known(number, tokens, prompts, added) for number in range(len(lengths))]

        passes = Passes(self.llama, known, sampling)

        def call(state: State) -> Tensor:
            own = [*self.frames(state.codes, state.masked).split(state.lengths)]
            if added is not None:
                own = [x + added[i][-len(x) :] for i, x in zip(state.items, own, strict=True)]
            # without prompt and text, frames that are all hidden are all alike: one stands for them
            alike = added is None and bool(state.masked.all())
            time = self.time(self.gap.new_full((1,), state.time))
            found = passes(state.items, own, [x[:1] for x in own] if alike else own, time)
            return self.head(found[0, state.masked])

        return decode(call, lengths, steps, sampling, noise or masked_tokens.random(), device=self.gap.device)

    def _known(
        self,
        number: int,
        tokens: Sequence[Tensor] | None,
        prompts: Sequence[Tensor] | None,
        added: Sequence[Tensor] | None,
    ) -> Tensor:
        """What stands before the frames of an item and stays: phonemes and prompt, (tokens + prompt frames, dim)."""
        parts = [self.gap.new_zeros(0, self.config.dim)]
        if tokens is not None:
            parts.append(self.text(tokens[number]))
        if prompts is not None:
            prompt = self.codes(prompts[number])
            parts.append(prompt if added is None else prompt + added[number][: len(prompt)])
        return torch.cat(parts)


def _to_the_end(tokens: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Tokens and their mask (batch, tokens), with the padding in front instead of behind."""
    places = torch.arange(tokens.shape[1], device=tokens.device)
    missing = (~mask).sum(1, keepdim=True)
    return tokens.gather(1, (places - missing) % tokens.shape[1]), places >= missing


# ------------------------------------------------------------------------------------------------------------- training

TRAINING = masked_tokens.Config(target="semantic_codes", drop=0.15, least=0.2, prompt=0.4)
LOSSES: dict[str, Any] = {}
TOY = Config(symbols=12, codes=16, sample_rate=800, hop=16, dim=16, layers=2, heads=2)


def example(config: Config, batch: int = 2, generator: torch.Generator | None = None) -> dict[str, Tensor]:
    """Batches of 7 tokens and 20 frames."""
    tokens, frames = 7, 20
    fields = {
        "semantic_codes": torch.randint(0, config.codes, (batch, frames), generator=generator),
        "masked": torch.rand(batch, frames, generator=generator) < 0.6,
        "time": torch.rand(batch, generator=generator),
        "frame_mask": torch.ones(batch, frames, dtype=torch.bool),
    }
    if config.symbols:
        fields["tokens"] = torch.randint(1, config.symbols, (batch, tokens), generator=generator)
        fields["token_mask"] = torch.ones(batch, tokens, dtype=torch.bool)
    return fields


# ---------------------------------------------------------------------------------------------------- published weights

OFFICIAL_FILES = ("model.safetensors",)  # in t2s_model/ of amphion/MaskGCT


def from_official(state: Mapping[str, Tensor], config: Mapping[str, Any]) -> Model:
    """Builds the model of a published checkpoint.

    Args:
        state: its state dict, with the original keys.
        config: the section `t2s_model` of MaskGCT's maskgct.json, or the whole file, as a dict; {} = as published.

    Raises:
        UserError: a state that does not fit the configuration.
    """
    config = config.get("model", config)
    config = config.get("t2s_model", config)
    symbols = len(state["phone_emb.weight"]) if "phone_emb.weight" in state else 0
    settings = Config(symbols=symbols, heads=config.get("num_heads", 16), **sizes(state))
    model = Model(settings)
    return adopt(model, rename(state, model), "checkpoint of MaskGCT's text-to-semantic model")


def sizes(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """How large a published network is, as far as its weights tell."""
    found: dict[str, Any] = {"layers": sum(key.endswith(".mlp.down_proj.weight") for key in state)}
    if "cond_emb.weight" in state:
        found["codes"], found["dim"] = state["cond_emb.weight"].shape
    return found


_NAMES = {
    "phone_emb.": "phones.",
    "cond_emb.": "codes.",
    "to_logit.": "head.",
    "diff_estimator.cond_mlp.": "phone_mapper.",
    "diff_estimator.diff_step_mlp.": "time.mlp.",
}


def rename(state: Mapping[str, Tensor], model: Model) -> dict[str, Tensor]:
    """The published state dict under our names; a key that is not known keeps its own."""
    theirs = "diff_estimator."
    result = {f"llama.{key}": value for key, value in llama.official(state, model.llama.settings, theirs).items()}
    for key, value in state.items():
        if key == "mask_emb.weight":
            result["gap"] = value[0]
        elif not llama.belongs(key, theirs):
            old = next((stem for stem in _NAMES if key.startswith(stem)), "")
            result[_NAMES.get(old, "") + key.removeprefix(old)] = value
    return result
