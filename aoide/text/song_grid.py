"""The words of a song on a clock of frames: which symbol begins to be sung at which, for models of whole songs.

    symbols = House()                                    phonemes of the house; or Vocabulary for published weights
    grid(script, frames=240, rate=21.5, symbols=symbols)        (240,) int64, 0 = nothing is sung

Where words have times, their phonemes are spread evenly over each word's frames, and the frames between two of them
say that it goes on (JAM). Where only lines have, theirs follow each other, a frame each, from the line's first frame
on, but never before the line before is told, and a mark ends them (DiffRhythm). A script without times gets them by
its syllables first (`SongScript.timed`).

Sources: the reading code of github.com/ASLP-lab/DiffRhythm (Apache-2.0) and what github.com/declare-lab/jamify says of
its words; both seen in 2026.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from aoide.config import UserError
from aoide.score.song_script import SongScript
from aoide.text import frontend
from aoide.text.phonemes import SYMBOLS
from aoide.text.wordvectors import WordVectors

PAUSE, END = ",", "."  # of DiffRhythm's lines: within one, and at its end
# one sign of the house -> the signs by which espeak, and the models that were trained with it, write the sound
IPA = {
    "A": "eɪ", "I": "aɪ", "O": "oʊ", "W": "aʊ", "Y": "ɔɪ", "ʤ": "dʒ", "ʧ": "tʃ", "ᵻ": "ɪ", "ᵊ": "ə", "i": "iː",
    "u": "uː", "ɑ": "ɑː", "ɔ": "ɔː",
}  # fmt: skip


class Symbols(Protocol):
    """What words are written in."""

    @property
    def words(self) -> bool:
        """Whether times of words count; else those of lines alone."""
        ...

    @property
    def silence(self) -> int:
        """Where nothing is sung."""
        ...

    @property
    def hold(self) -> int:
        """Within a word: what was begun goes on."""
        ...

    @property
    def end(self) -> tuple[int, ...]:
        """Behind a line of which only the beginning is known."""
        ...

    def encode(self, text: str) -> list[int]:
        """A word or a line, as numbers from 1."""
        ...


class House:
    """Phonemes of the house, without stress; 178 numbers, and one more for what goes on.

    Args:
        language: of the front end.
    """

    size = max(SYMBOLS.values()) + 2
    words, silence = True, 0
    hold = max(SYMBOLS.values()) + 1
    end = (SYMBOLS[END],)

    def __init__(self, language: str = "en") -> None:
        self._front = frontend(language or "en")
        self._known: dict[str, list[int]] = {}

    def encode(self, text: str) -> list[int]:
        """See `Symbols`.

        Raises:
            UserError: letters that the language cannot read.
        """
        if text not in self._known:
            said = _bare(self._front.phonemize(text))
            self._known[text] = [SYMBOLS[sign] for sign in said if sign in SYMBOLS]
        return self._known[text]


class Vocabulary:
    """The signs of published weights: English in IPA, the longest that fits first.

    DiffRhythm's signs are g2p/g2p/vocab.json of its repository, whose numbers are counted from 1 here, as its own code
    does. Of JAM's, which stand in a checkpoint of DeepPhonemizer, a JSON list or mapping must be made; it is told
    words: `Vocabulary(path, first=0, words=True, hold=62, silence=63)`.

    Args:
        path: a JSON mapping of signs to numbers from 0, also under "vocab", or a list of signs.
        first: what is added to the numbers.
        words: whether times of words count, each of which ends with `_` then.
        hold, silence: what says that a word goes on, and that nothing is sung.

    Raises:
        UserError: no such file, or none of these.
    """

    def __init__(
        self, path: str | Path, first: int = 1, *, words: bool = False, hold: int = 0, silence: int = 0
    ) -> None:
        try:
            data: Any = json.loads(Path(path).read_text("utf-8"))
            table = data.get("vocab", data) if isinstance(data, dict) else {sign: i for i, sign in enumerate(data)}
            self.signs: dict[str, int] = {str(sign): int(number) + first for sign, number in table.items()}
        except OSError as error:
            raise UserError(f"{path}: cannot be read: {error.strerror}") from None
        except (ValueError, TypeError, AttributeError):
            raise UserError(f"{path}: not the signs of a song model: a JSON mapping of signs to numbers") from None
        longest_first = sorted(self.signs, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, longest_first)))
        self.words, self.hold, self.silence = words, hold, silence
        self.end = (self.signs[END],) if END in self.signs else ()
        self._front = frontend("en")

    def encode(self, text: str) -> list[int]:
        """See `Symbols`; blanks are the sign `_` where there is one, and marks within a line its pause."""
        said = "".join(IPA.get(sign, sign) for sign in _bare(self._front.phonemize(text)))
        said = re.sub(r"[.!?;:—…]", PAUSE, said).rstrip(f" {PAUSE}").replace(" ", "_") + "_" * self.words
        return [self.signs[sign] for sign in self._pattern.findall(said)]


def _bare(phonemes: str) -> str:
    return re.sub(r"[ˈˌ\"“”()]", "", phonemes)


def grid(script: SongScript, frames: int, rate: float, symbols: Symbols, start: float = 0.0) -> np.ndarray:
    """A script on so many frames, (frames,) int64; see the head of this file.

    Args:
        rate: frames per second.
        start: the second of the song at which the first frame stands.
    """
    found = np.full(frames, symbols.silence, np.int64)
    free = 0  # the first frame that no line has yet
    for line, begin, _ in script.timed().spans():
        if line.words and symbols.words:
            for word, after in zip(line.words, (*line.words[1:], None), strict=True):
                until = word.end if word.end is not None else after.start if after is not None else line.end
                first = _frame(word.start - start, rate)
                last = _frame((word.start + 0.5 if until is None else until) - start, rate)
                _spread(found, first, max(last, first + 1), symbols.encode(word.text), symbols)
            continue
        at = max(_frame(begin - start, rate), free)
        tokens = [*symbols.encode(line.text), *symbols.end][: max(0, frames - at)]
        if at + len(tokens) > 0:
            found[max(0, at) : at + len(tokens)] = tokens[max(0, -at) :]
        free = max(free, at + len(tokens))
    return found


def _frame(seconds: float, rate: float) -> int:
    """The frame in which a time lies; one that is meant to be its edge is."""
    return math.floor(seconds * rate + 1e-6)


def _spread(found: np.ndarray, first: int, last: int, tokens: Sequence[int], symbols: Symbols) -> None:
    """A word's symbols evenly on its frames, in place; what does not fit is left out."""
    size = last - first
    row = np.full(size, symbols.hold if tokens else symbols.silence, np.int64)
    step = max(1, size // max(1, len(tokens)))
    for number, token in enumerate(tokens[:size]):
        row[number * step] = token
    left, right = max(0, first), min(len(found), last)
    if right > left:
        found[left:right] = row[left - first : right - first]


def style_code(style: str, dim: int) -> np.ndarray:
    """A style as one vector, (dim,) float32 of deviation about 1: the directions of its words and places, added up.

    That is enough for a closed world of styles; two words that mean the same are as far apart as any others.
    """
    rows, mask = WordVectors(dim).encode([style])
    return (rows[0].sum(0) / np.sqrt(max(1, int(mask.sum())))).astype(np.float32)
