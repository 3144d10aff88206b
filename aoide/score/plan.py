"""When each phoneme is sung: the rule that singers follow, for scores that nobody has timed.

The vowel begins with the note. Consonants before it are sung before the note, in the time of the syllable before or of
the rest; only where there is neither (at the very beginning) they take the beginning of the note. Consonants behind it
end with the note. They have the lengths of unhurried speech, and less where the notes leave less. A model of durations
does better; this is what there is without one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from aoide.score.score import BREATHS, Phoneme, Score
from aoide.score.syllables import BREATH_SECONDS, BREATH_SHARE, LEAST_REST, breaths

_BEFORE = 0.4  # of the time between two vowels' beginnings, for the consonants before the second
_BEHIND = 0.4  # of the time until those, for the consonants behind the first
_IN_REST = 0.8  # of a rest, for the consonants before the note behind it
_INSIDE = 0.4  # of a note, for the consonants before its vowel where nothing is before it
_TOUCH = 1e-3  # seconds; notes closer than that have no rest between them
BREATH = "AP"


@dataclass(frozen=True, kw_only=True, slots=True)
class Sounds:
    """A syllable as it is said, and the notes (places in `Score.notes`) that its vowel is held through."""

    onset: tuple[str, ...]
    nucleus: str
    coda: tuple[str, ...]
    notes: tuple[int, ...]


@dataclass(slots=True)
class _Span:
    """A syllable in seconds."""

    sounds: Sounds
    start: float
    end: float
    breath: bool


def place(score: Score, sounds: Sequence[Sounds], seconds: Callable[[str], float]) -> list[Phoneme]:
    """Times for the phonemes of syllables, breaths included; silence is where none is.

    Args:
        seconds: how long a consonant (or a further vowel on the same note) is, unhurried.
    """
    spans = _spans(score, sounds)
    found: list[Phoneme] = []
    free = 0.0  # nothing is sung from here on
    for i, span in enumerate(spans):
        after = spans[i + 1] if i + 1 < len(spans) else None
        notes = span.sounds.notes
        if found and found[-1].end > free:
            free = found[-1].end
        touches = i > 0 and span.start - spans[i - 1].end < _TOUCH
        onset = _onset(span, free, seconds, touches=touches)
        vowel = onset[-1].end if onset and not onset[-1].onset else span.start
        found += onset
        end = span.end
        if after is not None and after.start - end < _TOUCH:
            end = after.start - min(_total(after.sounds.onset, seconds), _BEFORE * (after.start - vowel))
        end = max(end, vowel)
        breath = _breath(span, end, after, vowel) if span.breath else None
        if breath is not None:
            end = min(end, breath[0])
        coda = min(_total(span.sounds.coda, seconds), _BEHIND * (end - vowel))
        found.append(Phoneme(symbol=span.sounds.nucleus, start=vowel, end=end - coda, note=notes[0]))
        found += _in_a_row(span.sounds.coda, end - coda, end, notes[0], seconds, onset=False)
        if breath is not None:
            found.append(Phoneme(symbol=BREATH, start=max(end, breath[0]), end=breath[1], note=notes[0]))
        free = found[-1].end
    return _with_written_breaths(score, found)


def _spans(score: Score, sounds: Sequence[Sounds]) -> list[_Span]:
    """Syllables that have some time, each until the next begins at the latest."""
    spans = []
    for syllable in sounds:
        notes = [score.notes[i] for i in syllable.notes]
        start, end = score.seconds(notes[0].start), max(score.seconds(note.end) for note in notes)
        if end > start:
            spans.append(_Span(syllable, max(start, 0.0), end, notes[-1].breath))
    for before, after in pairwise(spans):
        before.end = min(before.end, after.start)
    return [span for span in spans if span.end > span.start]


def _total(symbols: Sequence[str], seconds: Callable[[str], float]) -> float:
    return sum(map(seconds, symbols))


def _onset(span: _Span, free: float, seconds: Callable[[str], float], *, touches: bool) -> list[Phoneme]:
    """The consonants before the vowel, in what the syllable before has left for them, or in the rest."""
    symbols = span.sounds.onset
    if not symbols:
        return []
    wanted = _total(symbols, seconds)
    room = span.start - free
    note = span.sounds.notes[0]
    if room < _TOUCH:
        end = span.start + min(wanted, _INSIDE * (span.end - span.start))
        return _in_a_row(symbols, span.start, end, note, seconds, onset=False)
    start = free if touches else max(span.start - wanted, span.start - _IN_REST * room)
    return _in_a_row(symbols, start, span.start, note, seconds, onset=True)


def _in_a_row(
    symbols: Sequence[str], start: float, end: float, note: int, seconds: Callable[[str], float], *, onset: bool
) -> list[Phoneme]:
    """The symbols one after the other between two times, each with its share."""
    found, now, wanted = [], start, _total(symbols, seconds)
    for i, symbol in enumerate(symbols):
        until = end if i + 1 == len(symbols) else now + (end - start) * seconds(symbol) / wanted
        found.append(Phoneme(symbol=symbol, start=now, end=until, note=note, onset=onset))
        now = until
    return found


def _breath(span: _Span, end: float, after: _Span | None, vowel: float) -> tuple[float, float]:
    """A breath behind a note: in the rest behind it if that is long enough, else in its last part."""
    rest = float("inf") if after is None else after.start - span.end
    if rest >= LEAST_REST:
        return span.end, span.end + min(BREATH_SECONDS, rest / 2)
    return end - min(BREATH_SECONDS, BREATH_SHARE * (end - vowel)), end


def _with_written_breaths(score: Score, phonemes: list[Phoneme]) -> list[Phoneme]:
    """Breaths that are notes of their own, where nothing is sung at that time."""
    written = []
    for i, start, end in breaths(score):
        begin, until = score.seconds(start), score.seconds(end)
        after = [p.start for p in phonemes if p.end > begin and p.start < until]
        until = min([until, *after])
        if until - begin > _TOUCH and score.notes[i].lyric in BREATHS:
            written.append(Phoneme(symbol=BREATH, start=begin, end=until, note=i))
    return sorted([*phonemes, *written], key=lambda p: p.start)
