"""What a singer would ask about before singing: the findings of `Score.check`."""

from __future__ import annotations

from itertools import pairwise

from aoide.score.score import Finding, Score, pitch_name
from aoide.score.syllables import continues

SLOW, FAST = 20.0, 400.0  # quarter notes a minute; beyond, a tempo mark is rather a mistake
SHORT = 0.03  # seconds; a shorter note has no time for a vowel


def findings(score: Score, low: int | None = None, high: int | None = None) -> list[Finding]:
    """See `Score.check`."""
    found = [
        (note_tick, Finding(place=score.place(note_tick), message=message))
        for note_tick, message in [*_lyrics(score), *_notes(score, low, high), *_tempos(score)]
    ]
    found.sort(key=lambda item: item[0])
    general = _general(score)
    return [*general, *(finding for _, finding in found)]


def _general(score: Score) -> list[Finding]:
    sung = [note for note in score.notes if note.sung]
    if not sung:
        return [Finding(place="", message="the score has no notes")]
    if not any(note.lyric or note.phonemes for note in sung) and not score.phonemes:
        return [Finding(place="", message='the score has no lyrics: every note is sung on "la"')]
    return []


def _lyrics(score: Score) -> list[tuple[int, str]]:
    found = []
    sung = [note for note in score.notes if note.sung]
    if not any(note.lyric for note in sung) or all(note.phonemes for note in sung):
        return []
    open_word = False
    for i, note in enumerate(sung):
        if continues(note):
            if i == 0:
                found.append((note.start, "goes on with a syllable, but nothing is sung before it"))
            continue
        if not note.lyric:
            found.append(
                (note.start, "more notes than syllables: a note without a lyric, which holds the vowel before")
            )
            continue
        if len(note.lyric.split()) > 1:
            found.append((note.start, f"more syllables than notes: {note.lyric!r} stands on one note"))
        open_word = note.hyphen
    if open_word:
        found.append((sung[-1].start, "more syllables than notes: the last word goes on, but there is no note left"))
    return found


def _notes(score: Score, low: int | None, high: int | None) -> list[tuple[int, str]]:
    found = []
    for note in score.notes:
        if note.length <= 0:
            found.append((note.start, f"a note without length ({_name(note.pitch)}) is not sung"))
        elif note.sung and score.seconds(note.end) - score.seconds(note.start) < SHORT:
            found.append((note.start, f"a note of less than {SHORT * 1000:.0f} ms ({_name(note.pitch)})"))
        if note.start < 0:
            found.append((note.start, "a note before the beginning"))
        if note.pitch is None:
            continue
        if low is not None and note.pitch < low:
            found.append((note.start, f"{_name(note.pitch)} is below the voice's range, which begins at {_name(low)}"))
        if high is not None and note.pitch > high:
            found.append((note.start, f"{_name(note.pitch)} is above the voice's range, which ends at {_name(high)}"))
    for before, after in pairwise(note for note in score.notes if note.length > 0):
        if after.start < before.end:
            what = "begins together with" if after.start == before.start else "overlaps"
            found.append((after.start, f"{_name(after.pitch)} {what} {_name(before.pitch)}, which ends there"))
    return found


def _tempos(score: Score) -> list[tuple[int, str]]:
    found = []
    if score.metered:
        for tempo in score.tempos:
            if not SLOW <= tempo.bpm <= FAST:
                found.append((tempo.tick, f"an odd tempo: {tempo.bpm:g} quarter notes a minute"))
    last = max((note.end for note in score.notes), default=0)
    for before, after in pairwise(score.tempos):
        if before.tick == after.tick:
            found.append((after.tick, f"two tempos at once: {before.bpm:g} and {after.bpm:g}; the second counts"))
        elif after.tick > last > 0:
            found.append((after.tick, f"the tempo {after.bpm:g} comes after the last note"))
    return found


def _name(pitch: int | None) -> str:
    return "a rest" if pitch is None else pitch_name(pitch)
