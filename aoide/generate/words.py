"""Which symbols a text has, and by which numbers a model knows them: of the house, and of models that were published.

    AllWords          any language, phonemes of the house
    PublishedWords    MaskGCT and Vevo: six languages, aoide/text/maskgct.py
    PlacedWords       VALL-E, Amphion's second form: English, ARPAbet with places in the word
    ListedWords       VALL-E, the first form: English, espeak-ng's phonemes by the table beside the weights
    CmuWords          NaturalSpeech 2: English, ARPAbet

They are `Words` (aoide/generate/maskgct.py).
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from aoide.config import UserError
from aoide.generate.maskgct import HouseWords
from aoide.text import arpabet, frontend, names
from aoide.text.maskgct import GAP, Table, english
from aoide.text.phonemes import PAUSES
from aoide.text.sentences import sentences as splitting
from aoide.text.units import MARKS

ESPEAK = {"fr": "fr-fr", "zh": "cmn"}  # languages that it calls by other names
_FIRST = 0xE000  # of the letters that Unicode leaves free
_APART = {"tɹ": "t ɹ", "dɹ": "d ɹ", "ts": "t s", "dz": "d z"}  # joined in MaskGCT's table, and not by espeak-ng


class AllWords(HouseWords):
    """The phonemes of the house, for languages other than English by espeak-ng."""

    def sentences(self, text: str, language: str) -> list[str]:
        return super().sentences(text, reader_of(language))


def reader_of(language: str) -> str:
    """The front end of a language of two letters."""
    return language if language in names() or "/" in language else f"espeak/{ESPEAK.get(language, language)}"


class PublishedWords:
    """Texts by the published table of MaskGCT and Vevo; one letter of what `sentences` gives is one symbol of it.

    Args:
        path: a vocab.json; None: the table as it was published.
    """

    def __init__(self, path: str | os.PathLike[str] | None = None) -> None:
        self._table = Table.published() if path is None else Table.read(path)
        self._marks = {number for symbol, number in self._table.numbers.items() if symbol in MARKS}

    def sentences(self, text: str, language: str) -> list[str]:
        """The symbols of each sentence, as letters without a meaning of their own.

        Raises:
            UserError: a language that the table does not have.
        """
        found = []
        for sentence in splitting(text):
            if any(map(str.isalnum, sentence)):
                found.append("".join(chr(_FIRST + n) for n in self._table.numbers_of(sentence, language)))
        return [said for said in found if said]

    def encode(self, phonemes: str) -> np.ndarray:
        """(tokens,) int64; a space between sentences is a gap, but for one behind a mark."""
        tokens: list[int] = []
        for letter in phonemes:
            if letter != " ":
                tokens.append(ord(letter) - _FIRST)
            elif tokens and tokens[-1] not in self._marks:
                tokens.append(self._table.numbers[GAP])
        return np.array(tokens, np.int64)


class EnglishWords:
    """Sentences of English, in phonemes of the house: what the published VALL-E and NaturalSpeech 2 read."""

    def sentences(self, text: str, language: str) -> list[str]:
        """The phonemes of each sentence.

        Raises:
            UserError: another language.
        """
        if language != "en":
            raise UserError(f"what was published reads English, not {language!r}")
        reader = frontend("en")
        return [said for sentence in reader.sentences(text) if (said := reader.phonemize(sentence).strip())]


class PlacedWords(EnglishWords):
    """ARPAbet with places in the word, as the second form was published with."""

    def __init__(self) -> None:
        self._numbers = {phone: number for number, phone in enumerate(arpabet.PLACED)}

    def encode(self, phonemes: str) -> np.ndarray:
        """(tokens,) int64, with a beginning and an end."""
        found = arpabet.placed(arpabet.words(phonemes))
        return np.array([self._numbers[phone] for phone in found if phone in self._numbers], np.int64)


class ListedWords(EnglishWords):
    """espeak-ng's phonemes by the lines of symbols.dict, as the first form was published with.

    Raises:
        UserError: no such file, or something else.
    """

    def __init__(self, path: Path) -> None:
        try:
            lines = [line.split() for line in path.read_text("utf-8").splitlines() if line.strip()]
            listed = sorted(line[0] for line in lines)
        except (OSError, ValueError):
            raise UserError(f"{path}: cannot be read; it is the table of phonemes of the published VALL-E") from None
        self._numbers = {symbol: number for number, symbol in enumerate(["<pad>", "<bos>", "<eos>", *listed])}

    def encode(self, phonemes: str) -> np.ndarray:
        """(tokens,) int64, with a beginning and an end.

        Raises:
            UserError: a phoneme that the table lacks.
        """
        found = []
        for unit in english(phonemes):
            split = [unit] if unit in self._numbers and unit not in _APART else _APART.get(unit, unit).split()
            found += split if all(one in self._numbers for one in split) else list(unit)
        lost = " ".join(dict.fromkeys(unit for unit in found if unit not in self._numbers))
        if lost:
            raise UserError(f"the table of phonemes has no {lost}: is it that of these weights?")
        return np.array([1, *(self._numbers[unit] for unit in found), 2], np.int64)


class CmuWords(EnglishWords):
    """ARPAbet as the published weights read it; a mark of punctuation is a short pause."""

    def __init__(self) -> None:
        self._numbers = {phone: number for number, phone in enumerate(arpabet.CMU)}

    def encode(self, phonemes: str) -> np.ndarray:
        """(tokens,) int64."""
        found: list[str] = []
        for word in phonemes.split():
            found += [phone for one in arpabet.words(word) for phone in one]
            found += [arpabet.PAUSE] if word[-1] in PAUSES else []
        return np.array([self._numbers[phone] for phone in found], np.int64)
