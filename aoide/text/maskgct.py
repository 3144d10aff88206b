"""What MaskGCT's and Vevo's published models read: symbols of six languages, and their numbers.

    table = Table.published()
    symbols("你好", "zh")            # n i↑ x ɑʊ↓↑
    table.numbers_of("Hallo!", "de")  # of h a l oː !

The table has 363 symbols: marks, what espeak-ng says for English, Mandarin initials and finals with their tone, Open
JTalk's phonemes for Japanese as IPA, and what espeak-ng says beyond that for Korean, German and French. It is written
here by its structure; the order is that of vocab.json in github.com/open-mmlab/Amphion (MIT), models/tts/maskgct/g2p.

Our front ends make the sounds (aoide/text/languages), not espeak-ng, which is under the GPL; their units are turned
into these symbols, as near as may be. Mandarin, Japanese: the same symbols as the original for the same reading.
English, German, French, Korean: the same sounds, now and then another choice between two near ones. Symbols that the
original makes but its table lacks, it drops without a word: pf, ʏ, yː, øː, ɔø, ɛ̃, œ̃, kh, ph. Here they are p f, y,
y ː, ø ː, ɔɪ, ɛ and œ with the sign of nasality, kʰ, pʰ, which the table has.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from aoide.config import UserError
from aoide.text import frontend
from aoide.text.phonemes import PRIMARY, SECONDARY
from aoide.text.units import ENGLISH, MARKS, UnitFrontEnd, row
from aoide.text.units import GAP as SPACE

GAP = "_"
LANGUAGES = ("en", "zh", "ja", "ko", "fr", "de")

# ------------------------------------------------------------------------------------------------------------ the table

_TONES = {"5": "", "1": "→", "2": "↑", "3": "↓↑", "4": "↓"}
_TONED = row(
    "p⁼wo pʰwo mwo fwo jɛn ɥæn in ɥn iŋ ʊŋ jʊŋ ia iɛ iɑʊ ioʊ iɑŋ ua uo uaɪ ueɪ uan uən uɑŋ ɥɛ a o ə ɛ aɪ eɪ ɑʊ oʊ an "
    "ən ɑŋ əŋ əɹ i u ɥ ts`⁼ɹ ts`ʰɹ s`ɹ ɹ`ɹ ts⁼ɹ tsʰɹ sɹ"
)
_BEFORE = row(
    ", . ? ! _ iː ɪ ɜː ɚ oːɹ ɔː ɔːɹ ɑː uː ʊ ɑːɹ ʌ ɛ æ eɪ aɪ ɔɪ aʊ oʊ ɪɹ ɛɹ ʊɹ p b t d k ɡ f v θ ð s z ʃ ʒ h tʃ dʒ m n "
    "ŋ j w ɹ l tɹ dɹ ts dz i ɔ ə ɾ iə r u oː ɛː ɪː aɪə aɪɚ ɑ̃ ç ɔ̃ ææ ɐɐ ɡʲ nʲ iːː p⁼ pʰ t⁼ tʰ k⁼ kʰ x tʃ⁼ tʃʰ ts`⁼ ts`ʰ "
    "s` ɹ` ts⁼ tsʰ"
)
_AFTER = row(
    "ɯ e aː ɯː eː c\u0327 ɸ ɰᵝ ɴ g dʑ q ː bj tɕ dej tej gj gɯ c\u0327j kj kɯ mj nj pj ɾj ɕ tsɯ ɐ ɑ ɒ ɜ ɫ ʑ ʲ y ø œ ʁ "
    "\u0303 ɲ : ; ' …"
)


def _published() -> dict[str, int]:
    """The symbols in their order. The ç of German is one character, that of Japanese a c with a cedilla behind it."""
    toned = [final + tone for final in _TONED for tone in _TONES.values()]
    new = [symbol for symbol in toned if symbol not in _BEFORE]
    order = [*_BEFORE, *new, *_AFTER]
    return {symbol: number for number, symbol in enumerate(order)}


class Table:
    """The published numbers.

    Args:
        numbers: symbol -> number.
    """

    def __init__(self, numbers: Mapping[str, int]) -> None:
        self.numbers = dict(numbers)

    @classmethod
    def published(cls) -> Table:
        """The table that the published weights were trained with."""
        return cls(_published())

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Table:
        """From a vocab.json in the form of Amphion's models/tts/maskgct/g2p.

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

    def numbers_of(self, sentence: str, language: str) -> np.ndarray:
        """A sentence -> (tokens,) int64.

        Raises:
            UserError: a language that the table does not have, letters of another one, or a symbol that a table of
                somebody else lacks.
        """
        return self.look_up(symbols(sentence, language))

    def look_up(self, found: Sequence[str]) -> np.ndarray:
        """Symbols -> (tokens,) int64.

        Raises:
            UserError: one that the table lacks.
        """
        unknown = " ".join(dict.fromkeys(symbol for symbol in found if symbol not in self.numbers))
        if unknown:
            raise UserError(f"the table of phonemes has no {unknown} (in {' '.join(found)[:60]!r})")
        return np.array([self.numbers[symbol] for symbol in found], np.int64)


def symbols(sentence: str, language: str) -> list[str]:
    """A sentence as the symbols of the table.

    Raises:
        UserError: a language that the table does not have, or letters that the language does not.
        MissingExtra: what reads the language is not installed.
    """
    if language not in LANGUAGES:
        raise UserError(f"the published phonemes are those of {', '.join(LANGUAGES)}, not of {language!r}")
    reader = frontend(language)
    if language == "en":
        return english(reader.phonemize(sentence))
    assert isinstance(reader, UnitFrontEnd)
    return of_units(reader.units(sentence), language)


def of_units(units: Sequence[str], language: str) -> list[str]:
    """Units of a front end as symbols of the table."""
    found: list[str] = []
    for place, unit in enumerate(units):
        if unit == SPACE:
            into_english = language == "zh" and not units[place - 1].startswith(ENGLISH)
            found += [] if into_english else [GAP]
        elif unit in MARKS:
            found.append(unit)
        elif unit.startswith(ENGLISH):
            found += english(unit.removeprefix(ENGLISH))
        else:
            found += _OF[language](unit, units[place - 1] if place else SPACE)
    return tight(found)


def tight(found: Sequence[str]) -> list[str]:
    """Symbols without gaps beside marks, as published."""
    marks = [symbol in MARKS for symbol in found]
    return [
        symbol
        for place, symbol in enumerate(found)
        if symbol != GAP or not (any(marks[max(0, place - 1) : place]) or any(marks[place + 1 : place + 2]))
    ]


# ------------------------------------------------------------------------------------------------------------- English

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


def english(phonemes: str) -> list[str]:
    """English phonemes in our alphabet as the symbols of the published table."""
    found: list[str] = []
    for word in phonemes.split():
        found += [*([GAP] if found else []), *_word(word)]
    return tight(found)


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


# ------------------------------------------------------------------------------------------------------ other languages

_INITIALS = {
    "b": "p⁼", "p": "pʰ", "m": "m", "f": "f", "d": "t⁼", "t": "tʰ", "n": "n", "l": "l", "g": "k⁼", "k": "kʰ", "h": "x",
    "j": "tʃ⁼", "q": "tʃʰ", "x": "ʃ", "zh": "ts`⁼", "ch": "ts`ʰ", "sh": "s`", "r": "ɹ`", "z": "ts⁼", "c": "tsʰ",
    "s": "s",
}  # fmt: skip
_FINALS = {
    "a": "a", "o": "o", "e": "ə", "ê": "ɛ", "ai": "aɪ", "ei": "eɪ", "ao": "ɑʊ", "ou": "oʊ", "an": "an", "en": "ən",
    "ang": "ɑŋ", "eng": "əŋ", "er": "əɹ", "i": "i", "u": "u", "v": "ɥ", "ia": "ia", "io": "ioʊ", "ie": "iɛ",
    "iao": "iɑʊ", "iou": "ioʊ", "ian": "jɛn", "in": "in", "iang": "iɑŋ", "ing": "iŋ", "ua": "ua", "uo": "uo",
    "uai": "uaɪ", "uei": "ueɪ", "uan": "uan", "uen": "uən", "uang": "uɑŋ", "ueng": "ʊŋ", "ong": "ʊŋ", "ve": "ɥɛ",
    "van": "ɥæn", "vn": "ɥn", "iong": "jʊŋ",
}  # fmt: skip


def _mandarin(unit: str, before: str) -> list[str]:
    """A syllable: an initial, and a final with its tone; both in one after b p m f before o, and in zhi and zi."""
    initial, _, final = unit[:-1].partition("-")
    tone = _TONES[unit[-1]]
    if final in ("ir", "iz"):
        return [f"{_INITIALS[initial]}ɹ{tone}"]
    if final == "o" and initial in tuple("bpmf"):
        return [f"{_INITIALS[initial]}wo{tone}"]
    return [*([_INITIALS[initial]] if initial else []), _FINALS[final] + tone]


_JAPANESE = {
    "a": "a", "i": "i", "u": "ɯ", "e": "e", "o": "o", "k": "k", "s": "s", "t": "t", "n": "n", "h": "c\u0327", "f": "ɸ",
    "m": "m", "y": "j", "r": "ɾ", "w": "ɰᵝ", "N": "ɴ", "g": "g", "j": "dʑ", "z": "z", "d": "d", "b": "b", "p": "p",
    "cl": "q", "v": "v", "by": "bj", "ch": "tɕ", "dy": "dej", "ty": "tej", "gy": "gj", "gw": "gɯ", "hy": "c\u0327j",
    "ky": "kj", "kw": "kɯ", "my": "mj", "ny": "nj", "py": "pj", "ry": "ɾj", "sh": "ɕ", "ts": "tsɯ", "fy": "ɸ j",
}  # fmt: skip
_KOREAN = {
    "k": "q", "kk": "q", "kh": "kʰ", "K": "q", "t": "t", "tt": "t", "th": "t h", "T": "d", "p": "p", "pp": "p",
    "ph": "pʰ", "P": "b", "c": "tɕ", "cc": "tɕ", "ch": "tʃ h", "C": "dʑ", "s": "s", "ss": "s", "h": "h", "m": "m",
    "n": "n", "ng": "ŋ", "r": "ɾ", "l": "ɫ", "a": "ɐ", "ae": "ɛ", "eo": "ʌ", "e": "e", "o": "o", "u": "u", "eu": "ɯ",
    "i": "i", "y": "j", "w": "w",
}  # fmt: skip
_FIRST_KOREAN = {"k": "ɡ", "t": "d"}  # as espeak-ng begins a word
_GERMAN = {
    "aː": "ɑː", "yː": "y ː", "ʏ": "y", "øː": "ø ː", "ɔʏ": "ɔɪ", "pf": "p f", "ʁ": "ɾ", "ɐ": "ɜ",
}  # fmt: skip
_FRENCH = {"ɛ̃": "ɛ \u0303", "œ̃": "œ \u0303", "ɥ": "y"}


def _korean(unit: str, before: str) -> list[str]:
    first = before == SPACE or before in MARKS
    return (_FIRST_KOREAN.get(unit) or _KOREAN[unit]).split() if first else _KOREAN[unit].split()


def _german(unit: str, before: str) -> list[str]:
    """r rolls at the beginning of a word and taps elsewhere; espeak-ng taps it too where it is ɐ after a long vowel."""
    if unit == "ʁ" and (before == SPACE or before in MARKS):
        return ["r"]
    if unit == "ɐ" and (before == "ɛ" or before.endswith("ː")):
        return ["ɾ"]
    return _GERMAN.get(unit, unit).split()


_OF: Mapping[str, Callable[[str, str], list[str]]] = {
    "zh": _mandarin,
    "ja": lambda unit, before: _JAPANESE[unit].split(),
    "ko": _korean,
    "de": _german,
    "fr": lambda unit, before: _FRENCH.get(unit, unit).split(),
}


def known(language: str, units: Iterable[str]) -> set[str]:
    """All symbols that units of a language may become, wherever they stand."""
    return {symbol for unit in units for before in (SPACE, "a", "ɛ", "aː") for symbol in _OF[language](unit, before)}
