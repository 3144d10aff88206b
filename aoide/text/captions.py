"""Captions as numbers: each word as itself and as the threes of letters in it, hashed; no list of words is needed.

    encode("a dog barks")     (3, PIECES) int64: word, then its threes of letters, 0 where there are no more

Words that were never seen share threes with their kin (trumpet, trumpets, trmpet), and long lists of words need no
room. A model that reads these numbers sums the vectors of a word's pieces (Bojanowski et al. 2017, arXiv:1607.04606).
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np

from aoide.text.wordvectors import words

BUCKETS = 4096  # numbers that there are, with 0 for none
PIECES = 8  # of a word that are read: itself and so many threes but one
LONGEST = 48  # words that are read


def encode(caption: str) -> np.ndarray:
    """(words, PIECES) int64 from 1 to BUCKETS - 1, 0 = none; of a caption without words one row of zeros."""
    rows = [pieces(word) for word in words(caption)[:LONGEST]]
    return np.array(rows or [[0] * PIECES], np.int64)


def batch(captions: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Captions -> (captions, words, PIECES) int64 and their mask (captions, words) bool."""
    rows = [encode(caption) for caption in captions]
    width = max(map(len, rows))
    padded = np.stack([np.pad(row, ((0, width - len(row)), (0, 0))) for row in rows])
    return padded, np.arange(width) < np.array([[len(row)] for row in rows])


def pieces(word: str) -> list[int]:
    """The numbers of a word: PIECES of them."""
    marked = f"<{word}>"
    parts = [marked, *(marked[i : i + 3] for i in range(len(marked) - 2))][:PIECES]
    numbers = [1 + zlib.crc32(part.encode()) % (BUCKETS - 1) for part in parts]
    return numbers + [0] * (PIECES - len(numbers))
