"""What the front ends that write sounds one by one have in common: a sentence is read as a list of units.

    frontend("ko").units("안녕하세요.")      # a n n j ʌ ŋ h a s e j o .      the language's own sounds, and marks
    frontend("ko").phonemize("안녕하세요.")  # the same in the alphabet of the house, as one string

A unit is a sound (or a syllable, in Chinese) as the language's file names it, a mark of punctuation, a space between
words, or `en:` and the phonemes of an English word. Models that know sounds by other names read units
(aoide/text/maskgct.py).
"""

from __future__ import annotations

import re
import unicodedata
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping

from aoide.config import UserError
from aoide.text.sentences import sentences

GAP = " "
ENGLISH = "en:"
MARKS = frozenset(",.!?;:…")
_MARKS = str.maketrans(
    dict(zip("，、。！？；：．・·؟¿¡⋯—–―～~·", ",,.!?;:.,,?  …,,,,,,", strict=True))
    | dict.fromkeys('«»„“”‟"()（）[]【】《》〈〉「」『』‹›*_', " ")
)
_LATIN = re.compile(r"[A-Za-z][A-Za-z'’]*(?:[ -]+[A-Za-z][A-Za-z'’]*)*")


class UnitFrontEnd(ABC):
    """See `aoide.text.FrontEnd`.

    Attributes:
        HOUSE: unit -> letters of aoide/text/phonemes.py, for all sounds of the language.
    """

    HOUSE: Mapping[str, str]

    def sentences(self, text: str | Iterable[str]) -> Iterator[str]:
        """The sentences of a text, those without a letter or a digit left out.

        Raises:
            UserError: none of them has any.
        """
        empty = True
        for sentence in sentences(text):
            if any(map(str.isalnum, sentence)):
                empty = False
                yield sentence
        if empty:
            raise UserError("nothing to say: the text has no letters and no digits")

    def phonemize(self, sentence: str) -> str:
        """The phonemes of one sentence in the alphabet of the house."""
        return "".join(self._letters(unit) for unit in self.units(sentence)).strip()

    def _letters(self, unit: str) -> str:
        if unit.startswith(ENGLISH):
            return unit.removeprefix(ENGLISH)
        return unit + GAP if unit in MARKS else self.HOUSE.get(unit, unit)

    @abstractmethod
    def units(self, sentence: str) -> list[str]:
        """The sounds of one sentence, with marks and gaps.

        Raises:
            UserError: letters that the language does not use.
        """


def plain(text: str) -> str:
    """Text with one kind of letters and marks: full-width forms and quotes gone, one space between words."""
    text = unicodedata.normalize("NFC", unicodedata.normalize("NFKC", text).translate(_MARKS))
    return " ".join(text.replace("...", "…").split())


def english(text: str) -> list[str]:
    """Latin letters in another language's sentence, as units: words of English, and names of letters."""
    from aoide.text import frontend

    said = frontend("en").phonemize(text)
    found: list[str] = []
    for word in "".join(" " if letter in MARKS else letter for letter in said).split():
        found += [GAP, ENGLISH + word] if found else [ENGLISH + word]
    return found


def pieces(text: str) -> Iterator[tuple[str, bool]]:
    """Text apart from the Latin words in it: (piece, whether it is Latin)."""
    end = 0
    for match in _LATIN.finditer(text):
        if text[end : match.start()]:
            yield text[end : match.start()], False
        yield match[0], True
        end = match.end()
    if text[end:]:
        yield text[end:], False


def tidy(units: Iterable[str]) -> list[str]:
    """Units without gaps at the ends, beside marks, or twice, and without a mark at the beginning or after another."""
    found: list[str] = []
    for unit in units:
        last = found[-1] if found else ","
        if unit in MARKS and last == GAP:
            found.pop()
            last = found[-1] if found else ","
        if (unit == GAP or unit in MARKS) and (last == GAP or last in MARKS):
            continue
        found.append(unit)
    while found and found[-1] == GAP:
        found.pop()
    return found


def refuse(letters: Iterable[str], language: str) -> None:
    """Refuses letters of another script.

    Raises:
        UserError: there are any.
    """
    strange = "".join(dict.fromkeys(letter for letter in letters if letter.isalpha()))
    if strange:
        raise UserError(f"{language} has no letters {strange[:20]!r}: say the language of the text with --language")


def row(words: str) -> list[str]:
    """Words apart; so that a table of them is written as one line."""
    return words.split()
