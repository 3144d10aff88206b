"""Part of speech of each word, as far as it changes how a word is said (a *record*, to *record*).

A linear classifier over hashed features of the word and its two neighbours on each side: no table of words, no history,
so a whole sentence is a few numpy operations, and the model is one small array of 8-bit weights. How it was trained:
tools/make_tagger.py.

Tags: NN noun, NNP name, JJ adjective, RB adverb or particle, VB verb (base, -s, -ing), VBP verb in the present, VBD past,
VBN participle, IN preposition, DT determiner, PRP pronoun, O all others.
"""

import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from aoide.text.tokens import Token

TAGS = ("O", "NN", "NNP", "JJ", "RB", "VB", "VBP", "VBD", "VBN", "IN", "DT", "PRP")
BITS = 15  # of the hash: 32,768 rows of weights
MAGIC = b"AOIDETAG"

_FACTORS = np.array([0x9E3779B1, 0x85EBCA77, 0xC2B2AE3D, 0x27D4EB2F], np.uint32)


class Tagger:
    """Tags tokens with the weights of a file."""

    def __init__(self, path: Path) -> None:
        data = path.read_bytes()
        if data[: len(MAGIC)] != MAGIC:
            raise ValueError(f"{path} is not a tagger: it should start with {MAGIC.decode()}")
        self._weights = np.frombuffer(zlib.decompress(data[len(MAGIC) :]), np.int8).reshape(2**BITS, len(TAGS))
        self._hashes: dict[str, tuple[int, int, int, int, int]] = {}

    def __call__(self, tokens: Sequence[Token]) -> list[str]:
        """One tag per token."""
        if not tokens:
            return []
        if len(self._hashes) > 50_000:
            self._hashes.clear()
        scores = self._weights[features(tokens, self._hashes)].sum(axis=1, dtype=np.int32)
        return [TAGS[i] for i in scores.argmax(axis=1)]


def pack(weights: np.ndarray) -> bytes:
    """The file for these weights, int8 (2 ** BITS, tags)."""
    return MAGIC + zlib.compress(np.ascontiguousarray(weights, np.int8).tobytes(), 9)


def features(tokens: Sequence[Token], known: dict[str, tuple[int, int, int, int, int]]) -> np.ndarray:
    """The rows of weights that speak for each token: int64 (tokens, features). `known` remembers the hashes of words."""
    nothing = (0, 0, 0, 0, 0)
    rows = [nothing, nothing, *(known.get(t.text) or _hashes(t.text, known) for t in tokens), nothing, nothing]
    table = np.array(rows, np.uint32).T
    two_before, before, here, after, two_after = (table[:, i : i + len(tokens)] for i in range(5))
    place = np.array([1 if i == 0 else 2 if t.joined else 3 for i, t in enumerate(tokens)], np.uint32)
    word, three, two, shape, start = here
    combined = (
        _mix(1, word),
        _mix(2, before[0]),
        _mix(3, after[0]),
        _mix(4, two_before[0]),
        _mix(5, two_after[0]),
        _mix(6, before[0], word),
        _mix(7, word, after[0]),
        _mix(8, before[0], after[0]),
        _mix(9, three),
        _mix(10, two),
        _mix(11, shape, place),
        _mix(12, before[1]),
        _mix(13, after[1]),
        _mix(14, two, before[3], place),
        _mix(15, start, two),
    )
    return np.stack(combined, axis=1).astype(np.int64)


def _hashes(word: str, known: dict[str, tuple[int, int, int, int, int]]) -> tuple[int, int, int, int, int]:
    """Of the word in lower case, its last three and two letters, its shape, its first two letters."""
    lower = word.lower()
    if word.islower():
        shape = 1
    elif word.isupper():
        shape = 2 if len(word) > 1 else 3
    elif word[0].isupper():
        shape = 4
    else:
        shape = 5 if word.isalpha() else 6
    crc = zlib.crc32
    found = (crc(lower.encode()), crc(lower[-3:].encode()), crc(lower[-2:].encode()), shape, crc(lower[:2].encode()))
    known[word] = found
    return found


def _mix(kind: int, *parts: np.ndarray) -> np.ndarray:
    """One hash per token of several numbers and of the kind of feature; the products wrap around."""
    mixed = np.full(parts[0].shape, kind * 0x9E3779B1 & 0xFFFFFFFF, np.uint32)
    for factor, part in zip(_FACTORS, parts, strict=False):
        mixed = (mixed ^ part) * factor
        mixed ^= mixed >> np.uint32(15)
    return mixed >> np.uint32(32 - BITS)
