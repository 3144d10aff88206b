"""Lines of lyrics -> syllables to set to music, with their stress.

    for syllable in syllables("Twinkle, little star", "en"):
        print(syllable.text, syllable.stress, syllable.hyphen)      # Twin 2 True, kle 0 False, lit 2 True ...

English by the front end, in its sentence: words that carry no stress there (the, of, will) have none. Japanese by
morae, whose pitch accent nobody writes and melodies need not follow: no stress. The letters of an English word are cut
where singers' books cut them, as far as a few rules see that; what is sung are the phonemes of the word.
"""

from __future__ import annotations

import re

from aoide.config import MissingExtra, UserError, require
from aoide.score import Note, Score
from aoide.score.compose import Syllable
from aoide.score.score import BREATHS, SILENT
from aoide.score.song_script import SMALL_KANA
from aoide.text import lyrics, tables
from aoide.text.phonemes import PRIMARY, SECONDARY

_HANZI = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff々〇]")
_KANA = re.compile(r"[\u3041-\u3096\u30a1-\u30fa]")
_TOGETHER = ("tch", "dge", "th", "sh", "ch", "ph", "wh", "ck", "ng", "qu", "gh")
_BEGIN = tables.words("bl br cl cr dr fl fr gl gr pl pr sl sm sn sp st sw tr tw")


def language_of(text: str) -> str:
    """The language that the letters show: ja, zh or else en."""
    return lyrics.language_of(Score(notes=(Note(start=0, length=1, pitch=60, lyric=text),)))


def syllables(line: str, language: str) -> list[Syllable]:
    """The syllables of a line; [] if it has no letters.

    Raises:
        UserError: a language of which it knows no syllables, or letters that it cannot read.
    """
    if language == "en":
        return _english(line)
    if language == "ja":
        return _japanese(line)
    raise UserError(f"no melody for lyrics in {language!r}: syllables are known of en and ja")


# ------------------------------------------------------------------------------------------------------------ English


def _english(line: str) -> list[Syllable]:
    from aoide.text import frontend

    words = re.findall(r"[^\W_]+(?:'[^\W_]+)*'?", line.replace("’", "'"))
    if not words:
        return []
    front = frontend("en")
    said = front.phonemize(" ".join(words)).translate(_MARKS).split()
    if len(said) != len(words):  # a word that is not said as one, such as a number
        said = ["".join(front.phonemize(word).translate(_MARKS).split()) for word in words]
    found: list[Syllable] = []
    for word, phonemes in zip(words, said, strict=True):
        stresses = _stresses(phonemes)
        pieces = split(word, len(stresses))
        last = len(pieces) - 1
        found += [Syllable(_sung(p), s, i < last) for i, (p, s) in enumerate(zip(pieces, stresses, strict=False))]
    return found


def _sung(text: str) -> str:
    """The letters of a syllable, with a mark behind them where scores take them for a sign: Br, AP."""
    return f"{text}'" if text in BREATHS or text == SILENT else text


_MARKS = dict.fromkeys(map(ord, ';:,.!?—…"()“”'), None)


def _stresses(phonemes: str) -> list[int]:
    """Of each syllable of a word."""
    bare = phonemes.replace(PRIMARY, "").replace(SECONDARY, "")
    sounds = lyrics.syllables_of(bare or "lɑ")
    marked: dict[int, int] = {}  # place of a symbol in `bare` -> stress
    at = 0
    for symbol in phonemes:
        if symbol in (PRIMARY, SECONDARY):
            marked[at] = 2 if symbol == PRIMARY else 1
        else:
            at += 1
    found, start = [], 0
    for onset, nucleus, coda in sounds:
        end = start + len("".join((*onset, nucleus, *coda)))
        found.append(max((stress for place, stress in marked.items() if start <= place < end), default=0))
        start = end
    return found


def split(word: str, count: int) -> list[str]:
    """The letters of a word in `count` pieces, each with a vowel where there are enough; fewer if it is too short."""
    if count <= 1 or len(word) < 2:
        return [word]
    groups = [found.span() for found in re.finditer(r"(?<=q)u[aeiouy]+|(?!^y[aeiou])[aeiouy]+", word.lower())]
    if len(groups) > count and re.search(r"[^aeiouyl]e[sd]?$", word.lower()):
        groups.pop()  # a silent e
    while len(groups) < count:
        wide = next((i for i, (a, b) in enumerate(groups) if b - a > 1), None)
        if wide is None:
            return _even(word, count)
        a, b = groups[wide]
        groups[wide : wide + 1] = [(a, a + 1), (a + 1, b)]
    while len(groups) > count:
        i = min(range(len(groups) - 1), key=lambda i: groups[i + 1][0] - groups[i][1])
        groups[i : i + 2] = [(groups[i][0], groups[i + 1][1])]
    cuts = [0]
    for (_, before), (after, _) in zip(groups, groups[1:], strict=False):
        cuts.append(before + _cut(word[before:after].lower(), word[after:].lower()))
    return [word[a:b] for a, b in zip(cuts, [*cuts[1:], len(word)], strict=True)]


def _cut(consonants: str, rest: str) -> int:
    """How many consonants between two vowels belong to the first."""
    if len(consonants) < 2:
        return 0
    if rest.startswith("e") and consonants[-1] == "l" and len(consonants) > 1 and rest in ("e", "es", "ed"):
        return len(consonants) - 2  # lit-tle
    if consonants in _TOGETHER:
        return 0 if consonants in ("th", "sh", "ch", "ph", "wh", "qu") else len(consonants)
    tail = consonants[-2:]
    if tail in _TOGETHER or tail in _BEGIN:
        return len(consonants) - 2 or (0 if tail in ("th", "sh", "ch", "ph") or tail in _BEGIN - {"st", "sp"} else 1)
    return len(consonants) - 1


def _even(word: str, count: int) -> list[str]:
    count = min(count, len(word))
    edges = [round(i * len(word) / count) for i in range(count + 1)]
    return [word[a:b] for a, b in zip(edges, edges[1:], strict=False)]


# ----------------------------------------------------------------------------------------------------------- Japanese


def _japanese(line: str) -> list[Syllable]:
    text = line
    if _HANZI.search(text):
        try:
            text = str(require("pyopenjtalk", "ja").g2p(text, kana=True))
        except MissingExtra:
            raise UserError(f"{line[:40]!r} has kanji; write kana, or pip install 'aoide[ja]'") from None
    found: list[str] = []
    for letter in text:
        if letter in SMALL_KANA and found:
            found[-1] += letter
        elif _KANA.match(letter):
            found.append(letter)
        elif letter.isalpha():
            raise UserError(f"{line[:40]!r}: {letter!r} is no kana; write how it is sung in kana")
    return [Syllable(mora, 0, False) for mora in found]
