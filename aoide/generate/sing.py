"""From a score to what a singer's graph reads: phrases of tokens with their frames, and the pitch of each frame.

A phrase is what is sung between two rests. Each is sung for itself, with a little silence at both ends, so a long song
takes no more memory than its longest phrase. The stages, which `generate/singer.py` strings together:

    lyrics.plan    phonemes with times (aoide/text/lyrics.py)
    pitch          F0 of each frame, drawn or by rule (generate/intonation.py)
    phrases        tokens and durations, with the marks that the voice knows
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple, Protocol

import numpy as np

from aoide.config import UserError
from aoide.generate.intonation import f0 as pitch
from aoide.score import Phoneme, Score
from aoide.score.score import BREATHS, NEXT, SILENCES
from aoide.text import lyrics

__all__ = ["Part", "Phrase", "Symbols", "expect_language", "phrases", "pitch", "silent"]

REST = 0.15  # seconds of silence that part two phrases
SHORT = 0.03  # a shorter gap belongs to the phoneme before it
ROOM = 0.1  # seconds of silence at both ends of a phrase, where there is room
CONTEXT = 12  # tokens before and behind a part of a long phrase that are sung with it and thrown away
PAD = 0  # the token of silence at both ends
LANGUAGES = {"en": "English", "ja": "Japanese", "zh": "Mandarin"}
UNVOICED = {
    "en": "p t k f s h θ ʃ ʧ hh ch sh th",
    "ja": "p t k f s h sh ch ts ky py hy ty fy cl",
    "zh": "p t k f s h sh ch c q x b d g j z zh",  # the latter are soft, and begin without voice
}
"""Consonants without F0, in the alphabets of aoide.text.lyrics and of the community."""


class Symbols(Protocol):
    """What the description of a singer says of its tokens."""

    @property
    def symbols(self) -> dict[str, int]: ...
    @property
    def rest(self) -> str: ...
    @property
    def between(self) -> str: ...
    @property
    def stress(self) -> str: ...
    @property
    def end(self) -> tuple[str, ...]: ...
    @property
    def stressed(self) -> tuple[str, ...]: ...


class Part(NamedTuple):
    """A piece of a phrase, as the graph gets it."""

    start: int  # frame of the song
    end: int
    tokens: np.ndarray  # (tokens,) int64
    durations: np.ndarray  # (tokens,) int64 frames
    before: int  # frames at its beginning and at its end that are thrown away
    behind: int


class Phrase(NamedTuple):
    """What is sung between two rests."""

    start: int  # frame of the song
    end: int
    tokens: np.ndarray  # (tokens,) int64, PAD at both ends
    durations: np.ndarray  # (tokens,) int64 frames, together end - start

    def parts(self, most: int) -> Iterator[Part]:
        """The phrase, or pieces of it of at most `most` tokens, each with some of its neighbours around it."""
        starts = self.start + np.concatenate([[0], np.cumsum(self.durations)])
        step = len(self.tokens) if len(self.tokens) <= most else most - 2 * CONTEXT
        for first in range(0, len(self.tokens), step):
            last = min(first + step, len(self.tokens))
            a, b = max(0, first - CONTEXT), min(last + CONTEXT, len(self.tokens))
            if starts[last] > starts[first]:
                yield Part(
                    int(starts[a]),
                    int(starts[b]),
                    self.tokens[a:b],
                    self.durations[a:b],
                    int(starts[first] - starts[a]),
                    int(starts[b] - starts[last]),
                )


def silent(phoneme: Phoneme) -> bool:
    """A breath or a pause: what a voice without a sound for it leaves out."""
    return phoneme.symbol in BREATHS or phoneme.symbol in SILENCES


def fitting(score: Score, low: int, high: int) -> int:
    """The smallest transposition that brings all notes between two; 0 where none is needed or helps."""
    pitches = [note.pitch for note in score.notes if note.sung and note.pitch is not None]
    if not pitches or max(pitches) - min(pitches) > high - low:
        return 0
    return max(0, low - min(pitches)) - max(0, max(pitches) - high)


def unvoiced(symbol: str, language: str) -> bool:
    """Whether a phoneme has no F0; its language may stand before it (`ja/k`)."""
    own, _, bare = symbol.rpartition("/")
    return bare.lower() in UNVOICED.get(own or language, UNVOICED["en"]).split()


def expect_language(score: Score, language: str, name: str) -> None:
    """Raises a UserError for a score with lyrics that the voice does not sing."""
    if score.phonemes or not any(note.lyric for note in score.notes if note.sung):
        return
    found = lyrics.language_of(score)
    if found != language:
        said, can = LANGUAGES.get(found, found), LANGUAGES.get(language, language)
        raise UserError(f"the lyrics are {said} ({found}), and {name} sings {can} ({language}): choose another voice")


def phrases(
    score: Score, phonemes: Sequence[Phoneme], frame_rate: float, frames: int, symbols: Symbols
) -> Iterator[Phrase]:
    """The phrases of a song.

    Args:
        phonemes: in the order of their times, each with a token.
        frames: of the whole song.
    """
    sung = [p for p in phonemes if round(p.end * frame_rate) > round(p.start * frame_rate)]
    groups: list[list[Phoneme]] = []
    for phoneme in sung:
        if not groups or phoneme.start - groups[-1][-1].end >= REST:
            groups.append([])
        groups[-1].append(phoneme)
    room = round(ROOM * frame_rate)
    spans = [(round(group[0].start * frame_rate), round(group[-1].end * frame_rate)) for group in groups]
    for k, group in enumerate(groups):
        before = spans[k - 1][1] if k else -spans[0][0]
        behind = spans[k + 1][0] if k + 1 < len(groups) else 2 * frames - spans[k][1]
        start = spans[k][0] - min(room, (spans[k][0] - before) // 2)
        end = spans[k][1] + min(room, (behind - spans[k][1]) // 2)
        tokens, lasts = _tokens(score, group, frame_rate, symbols)
        durations = np.array([spans[k][0] - start, *lasts, end - spans[k][1]], np.int64)
        yield Phrase(start, end, np.array([PAD, *tokens, PAD], np.int64), durations)


def _tokens(score: Score, group: Sequence[Phoneme], frame_rate: float, symbols: Symbols) -> tuple[list[int], list[int]]:
    """Tokens and frames of a phrase, with marks of no frames between."""
    tokens: list[int] = []
    lasts: list[int] = []

    def add(symbol: str, frames: int = 0) -> None:
        tokens.append(symbols.symbols[symbol] if symbol else PAD)
        lasts.append(frames)

    for phoneme, after in [*pairwise(group), (group[-1], None)]:
        start, end = round(phoneme.start * frame_rate), round(phoneme.end * frame_rate)
        until = end if after is None else round(after.start * frame_rate)
        rest = until - end if until - end >= SHORT * frame_rate else 0
        if phoneme.symbol in symbols.stressed:
            add(symbols.stress)
        add(phoneme.symbol, until - start - rest)
        if rest:
            add(symbols.rest, rest)
        elif after is not None and symbols.between and _new_word(score, phoneme, after):
            add(symbols.between)
    for symbol in symbols.end:
        add(symbol)
    return tokens, lasts


def _new_word(score: Score, phoneme: Phoneme, after: Phoneme) -> bool:
    """Whether another word begins between two phonemes."""
    if phoneme.note is None or after.note is None or phoneme.note == after.note:
        return False
    return not score.notes[phoneme.note].hyphen and score.notes[after.note].lyric != NEXT
