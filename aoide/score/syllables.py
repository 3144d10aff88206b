"""Which notes a syllable is sung on, and which syllables make a word.

A note without a lyric of its own, or with one of the marks of `HOLDS`, holds the vowel of the note before it; `+` takes
the next syllable of a word that its note before was given whole (OpenUtau's habit), or holds if there is none left.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from aoide.config import UserError
from aoide.score.score import BREATHS, HOLDS, NEXT, Note, Score

LA = "la"  # what is sung where no lyrics are
BREATH_SECONDS = 0.3  # of a breath that has no note of its own
BREATH_SHARE = 0.3  # of a note, at most, for a breath before the next note
LEAST_REST = 0.12  # seconds; a shorter rest is not enough to breathe


@dataclass(slots=True)
class Syllable:
    """A syllable as written, and the notes (places in `Score.notes`) that it is sung on."""

    text: str
    notes: list[int]
    plus: bool = False  # it was written as +: a further syllable of the word before, if that has one
    phonemes: tuple[str, ...] = ()


@dataclass(slots=True)
class Word:
    """Syllables that make a word; `rest_before`: silence, a breath or the beginning comes before it."""

    syllables: list[Syllable] = field(default_factory=list)
    rest_before: bool = True

    @property
    def text(self) -> str:
        return "".join(syllable.text for syllable in self.syllables)


def continues(note: Note) -> bool:
    """Does the note go on with what was sung before it?"""
    return note.slur or note.lyric in HOLDS or note.lyric == NEXT


def words(score: Score) -> list[Word]:
    """The words of a score in order. Where no note has a lyric, each note that is not slurred is a `la`."""
    silent = not any(note.lyric for note in score.notes if note.sung)
    found: list[Word] = []
    open_word = False  # the word before goes on
    end = -1  # of the note before
    for i, note in enumerate(score.notes):
        if not note.sung:
            continue
        rest = note.start > end or not found
        end = max(end, note.end)
        if note.breath:
            end = -1
        held = continues(note) or (not note.lyric and not silent)
        if held and found:
            last = found[-1].syllables
            if note.lyric == NEXT:
                last.append(Syllable("", [i], plus=True))
            else:
                last[-1].notes.append(i)
            continue
        text = note.lyric if note.lyric and not held else LA
        if not open_word:
            found.append(Word(rest_before=rest))
        found[-1].syllables.append(Syllable(text, [i], phonemes=note.phonemes))
        open_word = note.hyphen
    return found


def breaths(score: Score) -> Iterator[tuple[int, int, int]]:
    """(place of the note, start, end in ticks) of the breaths that are written as notes."""
    for i, note in enumerate(score.notes):
        if note.lyric in BREATHS:
            yield i, note.start, note.end


def breaths_as_notes(score: Score) -> Score:
    """The same with a breath behind a note as a note of its own, `AP`, for formats that know it so."""
    notes: list[Note] = []
    sung = [note.start for note in score.notes if note.length > 0]
    for note in score.notes:
        if not note.breath:
            notes.append(note)
            continue
        after = min((start for start in sung if start >= note.end), default=None)
        end = score.seconds(note.end)
        rest = float("inf") if after is None else score.seconds(after) - end
        if rest >= LEAST_REST:
            cut, until = note.end, score.tick(end + min(BREATH_SECONDS, rest / 2))
        else:
            share = min(BREATH_SECONDS, BREATH_SHARE * (end - score.seconds(note.start)))
            cut, until = score.tick(end - share), note.end
        notes.append(replace(note, length=cut - note.start, breath=False))
        notes.append(Note(start=cut, length=until - cut, pitch=note.pitch, lyric="AP"))
    return replace(score, notes=tuple(notes))


def whole_words(score: Score) -> Score:
    """The same with each word whole on its first note and `+` on the next syllables, as singing editors have it."""
    notes = list(score.notes)
    for word in words(score):
        first, *others = [syllable for syllable in word.syllables if not syllable.plus]
        if not others:
            continue
        notes[first.notes[0]] = replace(notes[first.notes[0]], lyric=word.text, hyphen=False)
        for syllable in others:
            i = syllable.notes[0]
            notes[i] = replace(notes[i], lyric=NEXT, slur=True, hyphen=False)
    return replace(score, notes=tuple(notes))


def lay(score: Score, text: str) -> Score:
    """See `Score.with_lyrics`."""
    parts: list[tuple[str, bool]] = []  # (syllable or _, the word goes on)
    for word in text.split():
        pieces = [piece for piece in re.split(r"-|(_)", word) if piece]
        parts += [
            (piece, j + 1 < len(pieces) and pieces[j + 1 :] != ["_"] * (len(pieces) - j - 1))
            for j, piece in enumerate(pieces)
        ]
    sung = [i for i, note in enumerate(score.notes) if note.sung]
    if len(parts) > len(sung):
        place = f"after {score.place(score.notes[sung[-1]].start)}" if sung else "the score has no notes"
        raise UserError(
            f"{len(parts)} syllables for {len(sung)} notes: {place}, no note is left for {parts[len(sung)][0]!r}"
        )
    if len(parts) < len(sung):
        place = score.place(score.notes[sung[len(parts)]].start)
        raise UserError(f"{len(parts)} syllables for {len(sung)} notes: none is left at {place}; _ holds a syllable")
    notes = list(score.notes)
    for i, (part, goes_on) in zip(sung, parts, strict=True):
        held = part == "_"
        notes[i] = replace(notes[i], lyric="" if held else part, slur=held, hyphen=goes_on and not held)
    return replace(score, notes=tuple(notes))
