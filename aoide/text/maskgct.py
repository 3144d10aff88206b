"""Our phonemes by the numbers of MaskGCT's published table, vocab.json: what its weights were trained on.

    table = Table.read("maskgct/vocab.json")
    table.encode("həlˈO wˈɜɹld.")        # h ə l oʊ _ w ɜː l d .

The table holds what espeak-ng and other tools say for six languages; this file speaks the English part of it: American
English as espeak-ng writes it, without stress, a gap between words, and some neighbours joined, t and ɹ for instance.
The two are near each other, not the same: which words have oːɹ and which ɔːɹ is not known here, and ours is ɔːɹ.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from aoide.config import UserError
from aoide.text.phonemes import PRIMARY, SECONDARY

GAP = "_"
LANGUAGES = ("en",)
_LETTERS = {
    "A": "eɪ", "I": "aɪ", "O": "oʊ", "Q": "oʊ", "W": "aʊ", "Y": "ɔɪ", "ʤ": "dʒ", "ʧ": "tʃ", "T": "ɾ", "ʔ": "t",
    "ᵻ": "ɪ", "ɐ": "ɚ", "u": "uː", "ɑ": "ɑː", "ɔ": "ɔː", "ɜ": "ɜː", "ʦ": "ts", "ʣ": "dz", "x": "k", "ɒ": "ɑː", "g": "ɡ",
    "—": ",",
}  # fmt: skip
_JOINED = {
    ("t", "ɹ"): "tɹ", ("d", "ɹ"): "dɹ", ("t", "s"): "ts", ("d", "z"): "dz", ("ɪ", "ɹ"): "ɪɹ", ("ɛ", "ɹ"): "ɛɹ",
    ("ʊ", "ɹ"): "ʊɹ", ("ɑː", "ɹ"): "ɑːɹ", ("ɔː", "ɹ"): "ɔːɹ", ("ɜː", "ɹ"): "ɜː", ("ə", "ɹ"): "ɚ",
    ("ᵊ", "l"): "l", ("ᵊ", "n"): "n", ("aɪ", "ə"): "aɪə", ("aɪə", "ɹ"): "aɪɚ", ("aɪ", "ɚ"): "aɪɚ",
}  # fmt: skip
_SILENT = frozenset('"()“”ː‿')  # marks that the table lacks, and that nobody hears


class Table:
    """The published numbers.

    Args:
        numbers: symbol -> number.
    """

    def __init__(self, numbers: Mapping[str, int]) -> None:
        self.numbers = dict(numbers)

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Table:
        """From vocab.json of Amphion's models/tts/maskgct/g2p.

        Raises:
            UserError: no such file, or something else.
        """
        try:
            numbers = json.loads(Path(path).read_text("utf-8"))["vocab"]
            if not all(isinstance(number, int) for number in numbers.values()):
                raise TypeError
        except OSError:
            raise UserError(f"{path}: cannot be read; it is models/tts/maskgct/g2p/g2p/vocab.json of Amphion") from None
        except (ValueError, KeyError, TypeError, AttributeError):
            raise UserError(f'{path}: not a table of phonemes, {{"vocab": {{"symbol": number}}}}') from None
        return cls(numbers)

    def encode(self, phonemes: str) -> np.ndarray:
        """English phonemes in our alphabet -> (tokens,) int64.

        Raises:
            UserError: a phoneme that English does not have.
        """
        found = symbols(phonemes)
        unknown = " ".join(dict.fromkeys(symbol for symbol in found if symbol not in self.numbers))
        if unknown:
            raise UserError(f"the published table has no {unknown} (in {phonemes[:60]!r}); English alone is mapped")
        return np.array([self.numbers[symbol] for symbol in found], np.int64)


def symbols(phonemes: str) -> list[str]:
    """English phonemes in our alphabet as the symbols of the published table."""
    found: list[str] = []
    for word in phonemes.split():
        found += [*([GAP] if found else []), *_word(word)]
    return found


def _word(word: str) -> list[str]:
    units: list[str] = []
    stressed = False
    for place, letter in enumerate(word):
        if letter in (PRIMARY, SECONDARY):
            stressed = True
            continue
        if letter in _SILENT:
            continue
        unit = _LETTERS.get(letter, letter)
        if unit == "i":  # happy ends in a short one
            last = not any(map(str.isalpha, word[place + 1 :].replace(PRIMARY, "").replace(SECONDARY, "")))
            unit = "i" if last and not stressed else "iː"
        stressed = False
        if units and (units[-1], unit) in _JOINED:
            unit = _JOINED[units.pop(), unit]
        units.append(unit)
    return ["ə" if unit == "ᵊ" else unit for unit in units]
