"""Batches of pairs, for models of how long a text sounds: a prompt and a target, two clips of one speaker.

    data:
      kind: spoken
      manifest: data/many
      batch_pairs: 64

No sound is read: a clip is its phonemes, its length and, where the corpus knows them, the durations of its tokens. Each
clip is a target once an epoch, beside a clip of its speaker that is drawn anew; what an epoch's batches hold follows
from the seed and its number alone. Clips that begin and end with long silences should be cut before
(`Clip.span`), as nobody can know those.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from aoide.config import UserError
from aoide.data.reader import Tokenizer
from aoide.data.shards import open_corpus

Batch = dict[str, Any]
AMONG = 8  # batches, among which pairs of about the same length come together
GIVEN = ("tokens", "prompt_tokens", "prompt_seconds", "seconds", "durations")


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """What is read, and how batches are made of it."""

    manifest: Path  # the folder that `aoide prepare` made
    batch_pairs: int = 64
    min_seconds: float = 0.5  # shorter clips are left out
    max_seconds: float = 30.0  # longer ones too
    min_prompt: float = 1.0  # seconds; shorter clips are targets alone, unless a speaker has no longer one
    pace: float = 1.25  # both clips are told up to so much faster or slower, by chance; 1 = as they are
    validation: float = 0.05  # held out by a hash of the id: a fraction below 1, or a number of clips

    def __post_init__(self) -> None:
        if not 0 < self.min_seconds < self.max_seconds:
            raise ValueError(f"min_seconds {self.min_seconds} must be above 0 and below max_seconds {self.max_seconds}")
        if self.batch_pairs < 1 or self.pace < 1 or self.validation < 0:
            raise ValueError("batch_pairs and pace must be 1 or more, validation 0 or more")


class Item(NamedTuple):
    """A clip as this file sees it."""

    id: str
    speaker: str
    tokens: np.ndarray  # (tokens,) int64, with a pause at both ends
    seconds: float
    durations: np.ndarray | None  # (tokens,) seconds


class SpokenData:
    """Training and held-out pairs of one manifest.

    A batch: tokens, token_mask (batch, tokens), those of the prompt and then those of the target, each with a pause at
    both ends; prompt_tokens (batch,), how many are the prompt's; prompt_seconds and seconds (batch,), how long both
    sound; durations (batch, tokens) in seconds where asked for; and the ids of the targets.

    Args:
        config: the recipe's `data`.
        needs: which of these fields the model asks for.
        tokenizer: phonemes -> tokens.

    Raises:
        UserError: no manifest, no speaker with two clips, or clips without phonemes or durations.
    """

    def __init__(self, config: Config, needs: Sequence[str], tokenizer: Tokenizer) -> None:
        unknown = [name for name in needs if name not in GIVEN]
        if unknown:
            raise UserError(f"data of kind spoken give {', '.join(GIVEN)}, not {', '.join(unknown)}")
        self.config, self._timed = config, "durations" in needs
        corpus = open_corpus(config.manifest)
        self._digest = corpus.digest
        fits = (corpus.seconds >= config.min_seconds) & (corpus.seconds <= config.max_seconds)
        numbers = np.flatnonzero(fits)
        self.items = [self._item(corpus[int(number)], tokenizer) for number in numbers]
        order = np.argsort(corpus.hashes[numbers], kind="stable")
        share = config.validation
        count = int(share) if share >= 1 else int((corpus.hashes[numbers] < np.uint64(int(share * 2**64))).sum())
        self.held_out = self._paired(order[:count], order)
        self.training = self._paired(order[count:], order[count:])
        if not len(self.training):
            raise UserError(f"{config.manifest}: no speaker has two clips of {config.min_seconds:g} s or more")
        self._prompts = self._prompts_of(order[count:])  # also of who has one clip here, and another held out
        self._epoch = self._taken = 0

    def batches(self, seed: int | torch.Generator, rank: int = 0, world: int = 1) -> Iterator[Batch]:
        """Training batches from the present place on, epoch after epoch, without end."""
        seed = seed.initial_seed() if isinstance(seed, torch.Generator) else seed
        while True:
            draw = np.random.default_rng([seed % (1 << 63), self._epoch])
            plan = self._plan(draw)
            plan += [plan[i % len(plan)] for i in range(-len(plan) % world)]
            for step in range(self._taken // world, len(plan) // world):
                self._taken = (step + 1) * world
                if self._taken == len(plan):
                    self._epoch, self._taken = self._epoch + 1, 0
                yield self.batch(*plan[step * world + rank])

    def validation(self) -> Iterator[Batch]:
        """The held-out clips, each with the same prompt each time."""
        draw = np.random.default_rng(0)
        held = self._prompts_of(self.held_out)
        prompts = {s: own if len(own) > 1 else [*own, *self._prompts.get(s, ())] for s, own in held.items()}
        pairs = [(number, self._other(number, prompts, draw)) for number in self.held_out.tolist()]
        for start in range(0, len(pairs), self.config.batch_pairs):
            part = pairs[start : start + self.config.batch_pairs]
            yield self.batch(part, np.ones(len(part)))

    def batch(self, pairs: Sequence[tuple[int, int]], pace: np.ndarray) -> Batch:
        """(target, prompt) by their numbers, told `pace` times slower (pairs,), as a batch."""
        told = [(self.items[prompt], self.items[target]) for target, prompt in pairs]
        rows = [np.concatenate([a.tokens, b.tokens]) for a, b in told]
        tokens, mask = _padded(rows), _padded([np.ones(len(row), bool) for row in rows])
        slower = torch.from_numpy(np.asarray(pace, np.float32))
        found: Batch = {
            "tokens": tokens,
            "token_mask": mask,
            "prompt_tokens": torch.tensor([len(a.tokens) for a, _ in told]),
            "prompt_seconds": torch.tensor([a.seconds for a, _ in told]) * slower,
            "seconds": torch.tensor([b.seconds for _, b in told]) * slower,
            "ids": [b.id for _, b in told],
        }
        if self._timed:
            rows = [np.concatenate([a.durations, b.durations]).astype(np.float32) for a, b in told]  # type: ignore[list-item]
            found["durations"] = _padded(rows) * slower[:, None]
        return found

    # ---------------------------------------------------------------------------------------------------------- resume

    def state_dict(self) -> dict[str, Any]:
        """The place after the last batch that was handed out; the same on all ranks."""
        return {"epoch": self._epoch, "taken": self._taken, "manifest": self._digest}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes back to a place; `batches` goes on from there.

        Raises:
            UserError: the manifest is not the one of the state.
        """
        if state["manifest"] != self._digest:
            raise UserError(
                f"{self.config.manifest} has changed since the checkpoint was written; begin a new run from its "
                "weights (--from)"
            )
        self._epoch, self._taken = state["epoch"], state["taken"]

    # ----------------------------------------------------------------------------------------------------------- pairs

    def _item(self, clip: Any, tokenizer: Tokenizer) -> Item:
        if clip.phonemes is None:
            raise UserError(f"clip {clip.id} has no phonemes: prepare the corpus anew, without --no-phonemes")
        tokens = np.asarray(tokenizer.encode(clip.phonemes), np.int64)
        durations = None
        if self._timed:
            if clip.durations is None or len(clip.durations) != len(tokens):
                raise UserError(f"clip {clip.id} has no durations of its {len(tokens)} tokens, which this model learns")
            durations = np.asarray(clip.durations, np.float64) / clip.frame_rate
        return Item(clip.id, clip.speaker, tokens, float(clip.seconds), durations)

    def _paired(self, numbers: np.ndarray, among: np.ndarray) -> np.ndarray:
        """Those whose speaker has another clip among these."""
        many = Counter(self.items[i].speaker for i in among.tolist())
        return np.array([i for i in numbers.tolist() if many[self.items[i].speaker] > 1], np.int64)

    def _prompts_of(self, numbers: np.ndarray) -> dict[str, list[int]]:
        """Of each speaker the clips that may be prompts: the long ones, or all where there are too few of them."""
        found: dict[str, list[int]] = {}
        for number in numbers.tolist():
            found.setdefault(self.items[number].speaker, []).append(number)
        for speaker, own in found.items():
            long = [i for i in own if self.items[i].seconds >= self.config.min_prompt]
            found[speaker] = long if len(long) > 1 else own
        return found

    def _other(self, target: int, prompts: dict[str, list[int]], draw: np.random.Generator) -> int:
        others = [i for i in prompts[self.items[target].speaker] if i != target]
        return others[int(draw.integers(len(others)))] if others else target

    def _plan(self, draw: np.random.Generator) -> list[tuple[list[tuple[int, int]], np.ndarray]]:
        """The batches of an epoch: pairs, and how much slower they are told."""
        order = draw.permutation(self.training)
        pairs = [(number, self._other(number, self._prompts, draw)) for number in order.tolist()]
        width = np.log(self.config.pace)
        pace = np.exp(draw.uniform(-width, width, len(pairs)))
        size = self.config.batch_pairs
        tokens = np.array([len(self.items[a].tokens) + len(self.items[b].tokens) for a, b in pairs])
        alike: list[np.ndarray] = []  # pairs of a batch are about as long, so that little is padding
        for start in range(0, len(pairs), AMONG * size):
            near = start + np.argsort(tokens[start : start + AMONG * size], kind="stable")
            alike += [near[i : i + size] for i in range(0, len(near), size)]
        shuffled = [alike[i] for i in draw.permutation(len(alike)).tolist()]
        return [([pairs[i] for i in batch.tolist()], pace[batch]) for batch in shuffled]


def _padded(rows: Sequence[np.ndarray]) -> torch.Tensor:
    return torch.nn.utils.rnn.pad_sequence([torch.from_numpy(row) for row in rows], batch_first=True)
