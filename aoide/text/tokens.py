"""Normalised text -> words and marks. Hyphenated words come apart, and remember that they belong together."""

import re
from collections.abc import Iterator
from typing import NamedTuple

from aoide.text import tables


class Token(NamedTuple):
    """A word or one punctuation mark; `joined` to the token before it by a hyphen or by nothing at all."""

    text: str
    joined: bool = False

    @property
    def is_mark(self) -> bool:
        return self.text in MARKS


MARKS = frozenset(",.;:?!")
_TOKEN = re.compile(
    r"(?P<dotted>[A-Za-z](?:\.[A-Za-z])+(?:'s)?)"  # U.S, P.M
    r"|(?P<word>'?[A-Za-z]+(?:'[A-Za-z]+)*'?)"
    r"|(?P<mark>[,.;:?!])"
)

# An apostrophe at the edge of a word is a quotation mark, unless it stands for the letters that these have lost.
_ELIDED = tables.words(
    "'em 'cause 'til 'till 'tis 'twas 'twere 'twill 'twould 'n 'n' 'bout 'round 'cept 'neath 'fraid 'nother o' th' ol'"
)


def spans(text: str) -> Iterator[tuple[tuple[int, int], Token]]:
    """The tokens of normalised text in order, each with where it begins and ends."""
    end = -1  # where the last word ended, a hyphen included
    for m in _TOKEN.finditer(text):
        word, start = m[0], m.start()
        if m["word"] and word[0] == "'" and word.lower() not in _ELIDED and word[:-1].lower() not in _ELIDED:
            word, start = word[1:], start + 1
        if m["word"] and word[-1] == "'" and not word.lower().endswith("in'") and word.lower() not in _ELIDED:
            word = word[:-1]
        yield (start, start + len(word)), Token(word, m.start() == end and not m["mark"])
        end = m.end() + (text[m.end() : m.end() + 1] == "-")


def tokens(text: str) -> list[Token]:
    """The tokens of normalised text in order."""
    return [token for _, token in spans(text)]
