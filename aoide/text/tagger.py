"""Part of speech of each word, as far as it changes how a word is said (a *record*, to *record*).

A linear classifier over hashed features of the word and its two neighbours on each side: no table of words, no history,
so a whole sentence is a few numpy operations, and the model is one small array of 8-bit weights. How it was trained:
tools/make_tagger.py.

Tags: NN noun, NNP name, JJ adjective, RB adverb or particle, VB verb (base, -s, -ing), VBP verb in the present, VBD
past, VBN participle, IN preposition, DT determiner, PRP pronoun, O all others.
"""

import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from aoide.text.tokens import Token

TAGS = ("O", "NN", "NNP", "JJ", "RB", "VB", "VBP", "VBD", "VBN", "IN", "DT", "PRP")
BITS = 15  # of the hash: 32,768 rows of weights
MAGIC = b"AOIDETAG"

_FACTORS = np.array([0x85EBCA77, 0xC2B2AE3D, 0x27D4EB2F], np.uint32)


class Tagger:
    """Tags tokens with the weights of a file."""

    def __init__(self, path: Path) -> None:
        data = path.read_bytes()
        if data[: len(MAGIC)] != MAGIC:
            raise ValueError(f"{path} is not a tagger: it should start with {MAGIC.decode()}")
        self._weights = np.frombuffer(zlib.decompress(data[len(MAGIC) :]), np.int8).reshape(2**BITS, len(TAGS))
        self._hashes: dict[str, tuple[int, ...]] = {}

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


# Each feature is a hash of up to three things: (offset from the word, what of that word) with these kinds of things.
_WORD, _THREE, _TWO, _SHAPE, _START, _PLACE, _NOTHING = range(7)
_FEATURES = (
    ((0, _WORD),),
    ((-1, _WORD),),
    ((1, _WORD),),
    ((-2, _WORD),),
    ((2, _WORD),),
    ((-1, _WORD), (0, _WORD)),
    ((0, _WORD), (1, _WORD)),
    ((-1, _WORD), (1, _WORD)),
    ((0, _THREE),),
    ((0, _TWO),),
    ((0, _SHAPE), (0, _PLACE)),
    ((-1, _THREE),),
    ((1, _THREE),),
    ((0, _TWO), (-1, _SHAPE), (0, _PLACE)),
    ((0, _START), (0, _TWO)),
)
OF_THE_WORD = tuple(any(offset == 0 and what != _PLACE for offset, what in parts) for parts in _FEATURES)
_PADDED = [(*parts, *((0, _NOTHING),) * (3 - len(parts))) for parts in _FEATURES]
_OFFSETS = np.array([[offset + 2 for offset, _ in parts] for parts in _PADDED]).T[:, :, None]  # (3, features, 1)
_KINDS = np.array([[what for _, what in parts] for parts in _PADDED]).T[:, :, None]
_SEEDS = (np.arange(1, len(_FEATURES) + 1, dtype=np.uint32) * np.uint32(0x9E3779B1))[:, None]


def features(tokens: Sequence[Token], known: dict[str, tuple[int, ...]]) -> np.ndarray:
    """The rows of weights that speak for each token: (tokens, features). `known` remembers the hashes of words."""
    outside = (0, 0, 0, 0, 0, 0, 0)
    rows = [known.get(token.text) or _hashes(token.text, known) for token in tokens]
    table = np.array([outside, outside, *rows, outside, outside], np.uint32).T
    table[_PLACE, 2:-2] = [1 if i == 0 else 2 if token.joined else 3 for i, token in enumerate(tokens)]
    place = np.arange(len(tokens))
    mixed = np.repeat(_SEEDS, len(tokens), axis=1)
    for kinds, offsets, factor in zip(_KINDS, _OFFSETS, _FACTORS, strict=True):
        mixed ^= table[kinds, offsets + place]
        mixed *= factor  # wraps around
        mixed ^= mixed >> np.uint32(15)
    return (mixed >> np.uint32(32 - BITS)).T


def _hashes(word: str, known: dict[str, tuple[int, ...]]) -> tuple[int, ...]:
    """Of the word in lower case, its last three and two letters, its shape, its first two letters; see `_FEATURES`."""
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
    found = (*(crc(part.encode()) for part in (lower, lower[-3:], lower[-2:])), shape, crc(lower[:2].encode()), 0, 0)
    known[word] = found
    return found
