"""Text, whole or in pieces, -> sentences that a voice can say in one breath, in constant memory.

A sentence ends at . ! ? or … before white space, at an empty line, and at a line break that ends a heading. Full stops
of titles, initials, abbreviations and numbers end nothing. What is too long for a voice (400 phonemes) is cut where a
reader would breathe: at a clause mark, else at a space, else anywhere. How the text comes in pieces changes nothing.
"""

import re
from collections.abc import Iterable, Iterator

from aoide.text import tables

LONGEST = 340.0  # phonemes by the estimate below; words that sound longer than they look find room up to 400
WINDOW = 800  # characters in which a sentence should end; more than LONGEST phonemes of plain text
_AHEAD = 24  # characters that show what follows a full stop

_END = re.compile(r"[.!?…]+[\"'”’»)\]]*(?=\s)|[。！？]+[」』”]?|\n\s*\n|\n")
_WORD_BEFORE = re.compile(r"([^\s\"'“”‘’()\[\]]+)$")
_NEVER_END = frozenset(tables.TITLES) | frozenset(("vs", "approx", "cf", "e.g", "i.e", "viz", "incl"))
_SHORT = frozenset(tables.ABBREVIATIONS) | frozenset(tables.DAYS)
_STARTERS = tables.words(
    """The A An This That These Those It He She We You They I There Here But And Or So If When While As In On At By
    For From With After Before Then Now What Who Where Why How My Your His Her Its Our Their No Yes Not Some All Many
    Most"""
)
_AFTER_HOUR = re.compile(r"(?:[ECMP][SD]?T|GMT|UTC|CET|Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)")
_HEADING = 50  # characters; a shorter line before a capital letter is a heading or a verse, not wrapped prose


def sentences(text: str | Iterable[str]) -> Iterator[str]:
    """The sentences in order, stripped; pieces of text may end anywhere, even within a word."""
    waiting = ""
    for piece in [text] if isinstance(text, str) else text:
        for start in range(0, len(piece), WINDOW):  # one huge piece costs no more memory than many small ones
            waiting += piece[start : start + WINDOW]
            while (end := _first_end(waiting, final=False)) is not None:
                yield from breaths(waiting[:end])
                waiting = waiting[end:]
    while waiting:
        end = _first_end(waiting, final=True) or len(waiting)
        yield from breaths(waiting[:end])
        waiting = waiting[end:]


def _first_end(text: str, *, final: bool) -> int | None:
    """Where the first sentence of `text` ends; None while more text must be seen. A long one ends after a breath."""
    for m in _END.finditer(text, 0, WINDOW + _AHEAD):
        if m.end() > WINDOW:
            break
        after = text[m.end() : m.end() + WINDOW].lstrip()
        if len(after) < _AHEAD and not final and len(text) < 2 * WINDOW:
            return None
        if _is_end(text, m, after):
            return m.end()
    if len(text) < WINDOW + _AHEAD and not final:
        return None
    return _breath(text[:WINDOW]) if len(text) > WINDOW else None


def _is_end(text: str, m: re.Match[str], after: str) -> bool:
    """Does this mark, before `after`, end a sentence?"""
    mark, before = m[0], text[: m.start()]
    if mark.isspace():
        line = before.rpartition("\n")[2]
        return mark.count("\n") > 1 or (
            len(line.strip()) < _HEADING and after[:1].isupper() and line.rstrip()[-1:] != ","
        )
    if mark[0] in "。！？":
        return True
    if not before.strip() or after[:1].islower():
        return False
    word = _WORD_BEFORE.search(before)
    if mark[0] != "." or mark.startswith("..") or word is None:
        return True
    return _stop_ends(word[1], before[: word.start()].strip(), after)


def _stop_ends(word: str, before: str, after: str) -> bool:
    """Does the full stop behind `word` end the sentence?"""
    follower = re.match(r"[A-Za-z]*", after.lstrip("\"'“‘(["))
    starts = follower is not None and follower[0] in _STARTERS
    if word in _NEVER_END:
        return False
    if word.lower() in tables.BEFORE_NUMBER and after[:1].isdigit():
        return False
    if word.isdigit() and not before and len(word) < 4:
        return False  # the number of a list: 1. First
    if word.lower() in ("a.m", "p.m"):
        return not _AFTER_HOUR.match(after)
    if word in _SHORT or re.fullmatch(r"(?:[A-Za-z]\.)+[A-Za-z]|[A-HJ-Z]", word):
        return starts
    return True


# ---------------------------------------------------------------------------------------------------- what is too long

_COSTS = re.compile(
    r"(?P<digit>\d)|(?P<spelt>\b[A-Z]{1,5}\b|\b[^\W\d_aeiouyAEIOUY]{2,}\b)|(?P<word>[^\W\d_]+)"
    r"|(?P<mark>[\s.,;:!?'\"()_*-])|."
)
_CLAUSE = re.compile(r"[,;:—–)\]][\"'”’]?(?=\s)")


def breaths(sentence: str) -> Iterator[str]:
    """The sentence, stripped; in parts if it is longer than a voice can say at once."""
    while sentence.strip():
        end = _breath(sentence)
        if part := sentence[:end].strip():
            yield part
        sentence = sentence[end:]


def _breath(text: str) -> int:
    """How much of `text` can be said at once: all, or up to the last good place to breathe."""
    cost, limit = 0.0, len(text)
    for m in _COSTS.finditer(text):
        before, cost = cost, cost + _cost(m)
        if cost > LONGEST:
            room = int((LONGEST - before) / ((cost - before) / len(m[0])))
            limit = max(1, m.start() + (room if len(m[0]) > 40 else 0))  # only a monster of a word is cut apart
            break
    if limit == len(text):
        return limit
    least = limit // 3
    clauses = [m.end() for m in _CLAUSE.finditer(text, least, limit)]
    return clauses[-1] if clauses else max(text.rfind(" ", least, limit), text.rfind("\n", least, limit)) + 1 or limit


def _cost(m: re.Match[str]) -> float:
    """About how many phonemes this bit becomes, on the safe side."""
    if m["digit"]:
        return 14.0  # seven hundred seventy seven thousand ...
    if m["spelt"]:
        return sum(9.0 if letter in "Ww" else 4.0 for letter in m[0])
    if m["word"]:
        return 1.25 * len(m[0])
    return 1.0 if m["mark"] else 12.0  # symbols are read in words
