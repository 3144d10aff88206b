"""VALL-E in Amphion's second form: two Llamas over the codes of SpeechTokenizer, trained on 45,000 hours.

    tokens (batch, tokens), prompt (batch, frames, codebooks) -> codes (batch, frames, codebooks)

Idea      As tts/valle: a language model draws the first code of each frame, then the others are filled in, one
          codebook after the other. Here phonemes, codes and marks are one vocabulary of one causal Llama, with the
          marks around the phonemes and around the codes; and the second network is a Llama that sees both ways, whose
          norms are scaled by which codebook it is at. The first codebook of SpeechTokenizer says the words, so that
          the language model has less to hold together.
Trained   next token (objectives/tokens.py), and cross-entropy of one later codebook an item, drawn anew each time
Recipes   recipes/tts/valle_v2-folder.yaml
Paper     Wang et al. 2023, arXiv:2301.02111 (VALL-E); Zhang et al. 2023, arXiv:2308.16692 (SpeechTokenizer)
Official  github.com/open-mmlab/Amphion (MIT) until May 2025, egs/tts/VALLE_V2
Weights   amphion/valle: valle_ar_mls_196000.bin and valle_nar_mls_164000.bin, joined to one state dict with "ar." and
          "nar." before their keys: `from_official`. Their phonemes are ARPAbet with places in the word, 300 of them.
Differs   padding stands after what is real and has no places, so an item gives the same alone as in a batch; each item
          has its own codebook and prompt; in use only codes and the end are drawn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from aoide import trace
from aoide.config import UserError
from aoide.models.tts import valle
from aoide.models.tts.valle import Output, later_loss
from aoide.nn import llama, token_lm
from aoide.nn.llama import Llama, Settings
from aoide.nn.official import adopt, replaced
from aoide.nn.token_lm import Sampling, TokenLM, framed, to_front
from aoide.objectives import tokens
from aoide.objectives.tokens import Classes

NEEDS = ("tokens", "codes")
MARKS = 10  # of the vocabulary that are neither phonemes nor codes; five are used
PROMPT = (5, 4, 2)  # training hears between 5 frames, or a quarter of fewer, and half of a clip


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """What is built; the defaults are those of the published weights."""

    symbols: int = 300  # size of the phoneme table
    sample_rate: int = 16_000  # Hz, of the codec's sound
    hop: int = 320  # samples of a frame of codes
    codebooks: int = 8
    codebook_size: int = 1024
    dim: int = 1024
    heads: int = 16
    layers: int = 16  # of each of the two Llamas
    hidden: int = 4096  # channels inside a layer

    def __post_init__(self) -> None:
        if self.codebooks < 2:
            raise ValueError(f"codebooks is 2 or more, got {self.codebooks}")

    @property
    def frame_rate(self) -> float:  # frames of codes a second
        return self.sample_rate / self.hop

    @property
    def vocabulary(self) -> int:
        """Codes, then phonemes, then marks."""
        return self.codebook_size + self.symbols + MARKS

    @property
    def pad(self) -> int:
        """The first mark; after it come the beginning and the end of codes, and of phonemes."""
        return self.codebook_size + self.symbols


class Model(nn.Module):
    """See the module's docstring."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.family = Classes(config.vocabulary)
        first, later = _settings(config)
        self.first = TokenLM(first, config.vocabulary)
        self.phones = nn.Embedding(config.symbols + MARKS, config.dim)
        self.tables = nn.ModuleList(nn.Embedding(config.codebook_size, config.dim) for _ in range(config.codebooks))
        self.books = nn.Embedding(config.codebooks, config.dim)
        self.later = Llama(later)
        self.heads = nn.ModuleList(
            nn.Linear(config.dim, config.vocabulary, bias=False) for _ in range(config.codebooks - 1)
        )
        for layer in (self.phones, *self.tables, self.books, *self.heads):
            nn.init.normal_(layer.weight, std=0.02)  # type: ignore[arg-type]

    def forward(
        self,
        tokens: Tensor,
        token_mask: Tensor,
        codes: Tensor,
        frame_mask: Tensor | None = None,
        book: Tensor | None = None,
        prompt_frames: Tensor | None = None,
    ) -> Output:
        """Scores of each next token, and of the codes of a later book: the view of training.

        Args:
            tokens, token_mask: (batch, tokens).
            codes: (batch, frames, codebooks). frame_mask: (batch, frames), True = real.
            book: (batch,) int64, from 1; None: torch's own draw.
            prompt_frames: (batch,) int64, how long the prompt of the second Llama is; None: torch's own draw in
                training, the least in evaluation.
        """
        if frame_mask is None:
            frame_mask = torch.ones(codes.shape[:2], dtype=torch.bool, device=codes.device)
        codes = codes.long()[..., : self.config.codebooks].masked_fill(~frame_mask[..., None], 0)
        if book is None:
            book = torch.randint(1, self.config.codebooks, (len(codes),), device=codes.device)
        if prompt_frames is None:
            prompt_frames = self._draw(frame_mask.sum(1))
        rows, real, learned = self.rows(tokens, token_mask, codes[..., 0], frame_mask)
        scores = self.first(self.first.table(rows[:, :-1]), real[:, :-1])
        inside = torch.arange(codes.shape[1], device=codes.device) < prompt_frames[:, None]
        targets = codes.gather(2, book[:, None, None].expand(-1, codes.shape[1], 1)).squeeze(2)
        later = self.fill_in(tokens, token_mask, codes, frame_mask, book, inside)
        return Output(scores, rows[:, 1:], learned[:, 1:], later, targets, frame_mask & ~inside)

    def _draw(self, lengths: Tensor) -> Tensor:
        frames, least, most = PROMPT
        low = (lengths // least).clamp(max=frames)
        share = torch.rand(lengths.shape, device=lengths.device) if self.training else torch.zeros_like(lengths)
        return low + (share * (lengths // most - low).clamp(min=0)).long()

    def rows(self, tokens: Tensor, token_mask: Tensor, codes: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Marked phonemes and marked codes, one after the other: the tokens (batch, places), which are real, and which
        are learned: those from the beginning of the codes on.
        """
        pad, shift = self.config.pad, self.config.codebook_size
        said, said_mask = framed(tokens + shift, token_mask, pad + 3, pad + 4, pad)
        heard, heard_mask = framed(codes, mask, pad + 1, pad + 2, pad)
        learned = torch.cat([torch.zeros_like(said_mask), heard_mask], dim=1)
        real, rows, learned = to_front(torch.cat([said_mask, heard_mask], 1), torch.cat([said, heard], 1), learned)
        return rows, real, learned

    def fill_in(  # noqa: PLR0913  (the fields of a batch)
        self, tokens: Tensor, token_mask: Tensor, codes: Tensor, mask: Tensor, book: Tensor, inside: Tensor
    ) -> Tensor:
        """Scores (batch, frames, codebook_size) of the codes of a later book.

        Args:
            codes: (batch, frames, codebooks), of which the books before are read, and all where it is `inside` the
                prompt, (batch, frames). book: (batch,) int64, from 1.
        """
        known = torch.where(inside, self.config.codebooks, book[:, None])
        parts = [table(codes[..., number]) * (number < known)[..., None] for number, table in enumerate(self.tables)]
        x = torch.cat([self.phones(tokens), torch.stack(parts).sum(0)], dim=1)
        real, x = to_front(torch.cat([token_mask, mask], dim=1), x)
        hidden = self.later(x, real, self.books(book))
        places = token_mask.sum(1, keepdim=True) + torch.arange(codes.shape[1], device=codes.device)
        places = places.clamp(max=hidden.shape[1] - 1)[..., None].expand(-1, -1, hidden.shape[2])
        weights = torch.stack([head.weight[: self.config.codebook_size] for head in self.heads])  # type: ignore[index]
        return hidden.gather(1, places) @ weights[book - 1].mT

    @torch.no_grad()
    def speak(
        self,
        tokens: Tensor,
        prompt: Tensor,
        *,
        sampling: Sampling | None = None,
        most: int = 2000,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Goes on in the voice of a prompt: codes (1, frames, codebooks) of what comes after it.

        Args:
            tokens: (1, tokens), those of the prompt's text and then those of what is to be said.
            prompt: (1, prompt frames, codebooks).
            sampling: of the first codes; None: as Amphion's demonstration.
            most: frames.

        Raises:
            UserError: more than one item, or the end came first.
        """
        if len(tokens) != 1 or len(prompt) != 1:
            raise UserError(f"speaks one text at a time, got {len(tokens)} and {len(prompt)} prompts")
        config = self.config
        masks = [torch.ones(x.shape[:2], dtype=torch.bool, device=x.device) for x in (tokens, prompt)]
        rows, _, _ = self.rows(tokens, masks[0], prompt[..., 0], masks[1])
        choose = (sampling or Sampling(temperature=0.95, top_k=5, top_p=0.9)).chooser(generator)
        end = config.pad + 2
        none = torch.full((config.vocabulary,), -torch.inf, device=tokens.device)
        none[: config.codebook_size] = none[end] = 0.0

        def among_codes(scores: Tensor, before: Sequence[int]) -> int:
            return choose(scores + none, before)

        said = list(self.first.go_on(self.first.table(rows[:, :-1]), among_codes, {end}, most=most))
        if not said:
            raise UserError("the end came before the first code: the model is not trained, or the prompt is another's")
        trace.report("codes/first", torch.tensor(said))
        return self.fill(tokens, prompt, torch.tensor(said, device=prompt.device)[None])

    @torch.no_grad()
    def fill(self, tokens: Tensor, prompt: Tensor, first: Tensor) -> Tensor:
        """The codes of all books, the likeliest of each: (batch, frames, codebooks).

        Args:
            tokens: (batch, tokens). prompt: (batch, prompt frames, codebooks). first: (batch, frames).
        """
        count, start = self.config.codebooks, prompt.shape[1]
        whole = torch.cat([prompt, functional.pad(first[..., None], (0, count - 1))], dim=1)
        mask, token_mask = torch.ones_like(whole[..., 0], dtype=torch.bool), torch.ones_like(tokens, dtype=torch.bool)
        inside = (torch.arange(whole.shape[1], device=whole.device) < start).expand(len(whole), -1)
        for number in range(1, count):
            book = torch.full((len(tokens),), number, device=tokens.device)
            scores = self.fill_in(tokens, token_mask, whole, mask, book, inside)
            whole[:, start:, number] = scores[:, start:].argmax(-1)
        return whole[:, start:]


def _settings(config: Config) -> tuple[Settings, Settings]:
    sizes: dict[str, Any] = {
        "dim": config.dim,
        "layers": config.layers,
        "heads": config.heads,
        "hidden": config.hidden,
    }
    return Settings(**sizes, causal=True), Settings(**sizes, causal=False, adaptive=True)


# ------------------------------------------------------------------------------------------------------------- training

LOSSES = {"later": later_loss}
TRAINING = tokens.Config(weights={"later": 1.0})
TOY = Config(symbols=20, sample_rate=8_000, hop=100, codebooks=2, codebook_size=9, dim=8, heads=2, layers=1, hidden=12)
example = valle.example


# ---------------------------------------------------------------------------------------------------- published weights

_NAMES = {
    "phone_embedder.weight": "phones.weight",
    "prompt_embedder.embeddings.": "tables.",
    "model.model.embed_cond.weight": "books.weight",
    "model.lm_head.": "heads.",
}


def from_official(state: Mapping[str, Tensor], config: Mapping[str, Any]) -> Model:
    """Amphion's second VALL-E: the state dicts of both networks in one, "ar." and "nar." before their keys, and their
    arguments, of which only `num_attention_heads` does not follow from the weights.

    Raises:
        UserError: keys or shapes that do not fit.
    """
    parts = {
        part: {key.removeprefix(f"{part}."): value for key, value in state.items() if key.startswith(f"{part}.")}
        for part in ("ar", "nar")
    }
    if not all(parts.values()):
        raise UserError('this VALL-E needs both state dicts in one, with "ar." and "nar." before their keys')
    nar = parts["nar"]
    size, dim = nar["prompt_embedder.embeddings.0.weight"].shape
    built = Config(
        symbols=len(nar["phone_embedder.weight"]) - MARKS,
        codebooks=len(nar["model.model.embed_cond.weight"]),
        codebook_size=size,
        dim=dim,
        heads=config.get("num_attention_heads", Config().heads),
        layers=len({key.split(".")[3] for key in nar if key.startswith("model.model.layers.")}),
        hidden=len(nar["model.model.layers.0.mlp.up_proj.weight"]),
    )
    first, later = _settings(built)
    renamed = {f"first.{key}": value for key, value in token_lm.official(parts["ar"], first, "model.").items()}
    renamed |= {f"later.{key}": value for key, value in llama.official(nar, later, "model.model.").items()}
    renamed |= {key: value for key, value in parts["ar"].items() if not key.startswith("model.")}
    for key, value in nar.items():
        if llama.belongs(key, "model.model.") or key == "model.model.embed_tokens.weight":
            continue  # taken above; a table that transformers makes and nothing reads
        renamed[replaced(key, _NAMES)] = value
    return adopt(Model(built), renamed, "VALL-E checkpoint")
