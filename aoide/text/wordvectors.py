"""Captions as rows of vectors without any network: each word has a direction of its own, which its letters decide.

Two words are nearly at right angles, whatever they are, so a model that looks at the rows can learn what each word
means; of words that it never saw it knows nothing. That is enough for a closed world, and for trying a recipe out: it
needs no file. For the open world take an encoder that has read much (aoide/external/t5.py, clap.py).

    vectors, mask = WordVectors(64).encode(["a dog barks", "rain"])     (2, 3, 64), (2, 3)
"""

from __future__ import annotations

import hashlib
import math
import re
import unicodedata
from collections.abc import Sequence

import numpy as np

_WORD = re.compile(
    "[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7a3]"  # scripts that put no space between words: each sign is one
    "|[^\\W\u3040-\u30ff\u3400-\u9fff\uac00-\ud7a3]+"
)
_PLACED = 0.5  # how much the place in the sentence shows, beside the word


def words(caption: str) -> list[str]:
    """The words of a caption, in small letters, without punctuation."""
    return _WORD.findall(unicodedata.normalize("NFKC", caption).casefold())


class WordVectors:
    """Makes rows of vectors of captions.

    Args:
        dim: values of a row.
        longest: words that are read; what is beyond is left out.
    """

    def __init__(self, dim: int, longest: int = 64) -> None:
        if dim < 2 or longest < 1:
            raise ValueError(f"dim is 2 or more and longest 1 or more, got {dim} and {longest}")
        self.dim, self.longest = dim, longest
        self._known: dict[str, np.ndarray] = {}
        rates = np.exp(-math.log(10_000.0) * np.arange(dim // 2) / (dim // 2))
        angles = np.arange(longest)[:, None] * rates
        places = np.concatenate([np.sin(angles), np.cos(angles), np.zeros((longest, dim % 2))], axis=1)
        self._places = (places * _PLACED * math.sqrt(2)).astype(np.float32)

    def encode(self, captions: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Captions -> (captions, words, dim) float32 of deviation about 1, and their mask (captions, words).

        A caption without words has one row of zeros.
        """
        rows = [self._row(caption) for caption in captions]
        width = max((len(row) for row in rows), default=1)
        vectors = np.zeros((len(rows), width, self.dim), np.float32)
        mask = np.zeros((len(rows), width), bool)
        for i, row in enumerate(rows):
            vectors[i, : len(row)], mask[i, : len(row)] = row, True
        return vectors, mask

    def _row(self, caption: str) -> np.ndarray:
        found = [self._vector(word) for word in words(caption)[: self.longest]]
        return np.stack(found) + self._places[: len(found)] if found else np.zeros((1, self.dim), np.float32)

    def _vector(self, word: str) -> np.ndarray:
        if word not in self._known:
            seed = int.from_bytes(hashlib.blake2b(word.encode(), digest_size=8).digest(), "big")
            self._known[word] = np.random.default_rng(seed).standard_normal(self.dim).astype(np.float32)
        return self._known[word]
