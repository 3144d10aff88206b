"""Batches of words and how they are said, for models that read letters, from a pronunciation lexicon.

    data:
      kind: lexicon
      batch_words: 256

Words of like length come together. Which words an epoch's batches hold follows from the seed and the number of the
epoch alone, so the place in the middle of a run is one number. A word is held out by a hash of its spelling: it stays
so whatever else the lexicon learns.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from aoide.config import UserError
from aoide.text import letters
from aoide.text.lexicon import Lexicon

Batch = dict[str, Any]
PACKAGED = Path(letters.__file__).parent / "data" / "en-lexicon.bin"
_NUMBER = {sound: i + 1 for i, sound in enumerate(letters.SOUNDS)}
_JITTER = 0.5  # letters; words whose lengths differ by less change places from epoch to epoch


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """What is read, and how batches are made of it."""

    lexicon: Path | None = None  # a file of aoide.text.lexicon; null = the English one of the package
    batch_words: int = 256
    validation: float = 0.05  # share of the words that is held out, by a hash of the spelling
    longest: int = 24  # letters; longer words are left out

    def __post_init__(self) -> None:
        if self.batch_words < 1:
            raise ValueError(f"batch_words must be 1 or more, got {self.batch_words}")
        if not 0 < self.validation < 1:
            raise ValueError(f"validation is a share and must be between 0 and 1, got {self.validation}")


class LexiconData:
    """Training and held-out batches of one lexicon.

    A batch: letters (words, letters) and tokens (words, sounds), int64 padded with 0, in the alphabets of
    aoide/text/letters.py, with letter_mask, token_mask, and the words themselves as ids.

    Raises:
        UserError: the lexicon cannot be read, or the model needs something that a lexicon does not have.
    """

    def __init__(self, config: Config, needs: Sequence[str]) -> None:
        unknown = [name for name in needs if name not in ("letters", "tokens")]
        if unknown:
            raise UserError(f"a lexicon gives letters and tokens, not {', '.join(unknown)}; see data.kind")
        self.config = config
        path = config.lexicon or PACKAGED
        try:
            self.words = pairs(Lexicon(path), config.longest)
        except (OSError, ValueError) as error:
            raise UserError(f"data.lexicon: {path} cannot be read: {error}") from None
        held = np.array([zlib.crc32(word.encode()) < config.validation * 2**32 for word, _ in self.words], bool)
        self.training, self.held_out = np.flatnonzero(~held), np.flatnonzero(held)
        self._lengths = np.array([len(word) for word, _ in self.words])
        self._letters = _table([letters.encode(word) for word, _ in self.words])
        self._tokens = _table([[_NUMBER[sound] for sound in letters.sounds(said)] for _, said in self.words])
        self._epoch = self._taken = 0  # the place: epoch, and batches of all ranks that were handed out in it

    def batches(self, seed: int | torch.Generator, rank: int = 0, world: int = 1) -> Iterator[Batch]:
        """Training batches from the present place on, epoch after epoch, without end."""
        seed = seed.initial_seed() if isinstance(seed, torch.Generator) else seed
        while True:
            plan = self._plan(np.random.default_rng([seed % (1 << 63), self._epoch]))
            plan += [plan[i % len(plan)] for i in range(-len(plan) % world)]  # no rank waits for another at the end
            for step in range(self._taken // world, len(plan) // world):
                self._taken = (step + 1) * world
                if self._taken == len(plan):
                    self._epoch, self._taken = self._epoch + 1, 0
                yield self.batch(plan[step * world + rank])

    def validation(self) -> Iterator[Batch]:
        """The held-out words, in the same batches each time."""
        order = self.held_out[np.argsort(self._lengths[self.held_out], kind="stable")]
        for start in range(0, len(order), self.config.batch_words):
            yield self.batch(order[start : start + self.config.batch_words])

    def batch(self, numbers: np.ndarray) -> Batch:
        """The words of these numbers as a batch."""
        spelt, said = (torch.from_numpy(_trimmed(table[numbers])) for table in (self._letters, self._tokens))
        return {
            "letters": spelt,
            "letter_mask": spelt > 0,
            "tokens": said,
            "token_mask": said > 0,
            "ids": [self.words[i][0] for i in numbers.tolist()],
        }

    def state_dict(self) -> dict[str, Any]:
        """The place after the last batch that was handed out; the same on all ranks."""
        return {"epoch": self._epoch, "taken": self._taken, "words": len(self.words)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes back to a place; `batches` goes on from there.

        Raises:
            UserError: the lexicon is not the one of the state.
        """
        if state["words"] != len(self.words):
            raise UserError(
                f"the lexicon had {state['words']} words when the checkpoint was written and has {len(self.words)} "
                "now: begin a new run from its weights (--from)"
            )
        self._epoch, self._taken = state["epoch"], state["taken"]

    def _plan(self, rng: np.random.Generator) -> list[np.ndarray]:
        """The batches of an epoch: numbers of words."""
        lengths = self._lengths[self.training] + rng.uniform(0, _JITTER, len(self.training))
        order = self.training[np.argsort(lengths + 1e-9 * rng.random(len(lengths)), kind="stable")]
        size = self.config.batch_words
        batches = [order[start : start + size] for start in range(0, len(order), size)]
        return [batches[i] for i in rng.permutation(len(batches))]


def pairs(lexicon: Lexicon, longest: int) -> list[tuple[str, str]]:
    """(word in lower case, how it is said) of every entry that is one word of plain letters and no initialism."""
    found = {}
    for word, entry in lexicon.items():
        plain = word.lower()
        if not (word[1:].islower() and 2 < len(word) <= longest and set(plain) <= set(letters.LETTERS)):
            continue
        sounds = letters.sounds(entry.default)
        if _NUMBER.keys() >= set(sounds) and len(sounds) < letters.SLOTS * len(word):
            found[plain] = entry.default
    return sorted(found.items())


def _table(rows: Sequence[Sequence[int] | np.ndarray]) -> np.ndarray:
    """Rows of numbers below 256 as one array, padded with 0."""
    table = np.zeros((len(rows), max(map(len, rows))), np.uint8)
    for line, row in zip(table, rows, strict=True):
        line[: len(row)] = row
    return table


def _trimmed(rows: np.ndarray) -> np.ndarray:
    """Without the columns at the end that are all padding, int64."""
    longest = int(np.count_nonzero(rows, axis=1).max())
    return rows[:, :longest].astype(np.int64)
