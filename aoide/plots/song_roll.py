"""A song on paper: its melody as a piano roll in several systems, with words, chords and sections; one PNG picture.

    picture = draw(notes, chords, sections, bar=2.67, title="Evening")

Each system is a stretch of whole bars. Notes are bars on the rows of their semitones, their syllables stand inside;
chords stand above the bar lines where they change, sections above them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from aoide.plots import letters
from aoide.plots.piano_roll import BLACK_KEYS, NAMES
from aoide.plots.png import encode

WIDTH, LEFT, EDGE = 1400, 56, 12  # pixels of a system, of what stands at its left, and around all
ROW = 12  # pixels of a semitone
HEAD = 44  # pixels above a system, for sections and chords
SECOND = 92  # pixels of a second, at least: the words need them
_PAPER, _BLACK, _GRID, _NOTE, _LINE, _TEXT, _CHORD, _WHITE, _BEAT = range(9)
PALETTE = np.array(
    [(244, 244, 240), (231, 231, 226), (196, 196, 190), (142, 192, 226), (66, 118, 160), (28, 28, 32), (170, 52, 30)]
    + [(255, 255, 255), (218, 218, 212)],
    np.uint8,
)


def draw(
    notes: Sequence[tuple[float, float, int, str]],
    chords: Sequence[tuple[float, str]],
    sections: Sequence[tuple[float, str]],
    *,
    bar: float,
    beats: int,
    seconds: float,
    title: str = "",
) -> bytes:
    """The picture, as the bytes of a PNG file.

    Args:
        notes: (start, end, pitch, syllable); seconds and MIDI numbers.
        chords, sections: (when, name).
        bar, beats: seconds of a bar, and how many beats it has.
        seconds: of the whole song.

    Raises:
        ValueError: no notes.
    """
    if not notes:
        raise ValueError("a song without notes")
    low, high = min(note[2] for note in notes) - 1, max(note[2] for note in notes) + 1
    each = max(1, int(WIDTH / (SECOND * bar)))  # bars of a system
    scale = WIDTH / (each * bar)  # pixels of a second
    systems = max(1, int(np.ceil(round(seconds / bar, 3) / each)))
    height = (high - low + 1) * ROW
    top = EDGE + (30 if title else 0)
    whole = np.full((top + systems * (HEAD + height + 10) + EDGE, LEFT + WIDTH + EDGE), _WHITE)
    letters.paint(whole, title, EDGE, LEFT, _TEXT, 2)
    for number in range(systems):
        start = number * each * bar
        above = top + number * (HEAD + height + 10)
        roll = whole[above + HEAD : above + HEAD + height, LEFT : LEFT + WIDTH]
        _paper(roll, low, high, bar * scale, beats)
        for pitch in range(low, high + 1):
            if pitch % 12 not in BLACK_KEYS and pitch % 12 in (0, 5, 9):
                name = f"{NAMES[pitch % 12]}{pitch // 12 - 1}"
                at = above + HEAD + (high - pitch) * ROW
                letters.paint(whole, name, at + 2, LEFT - 8 - letters.width(name, 1), _TEXT, 1)
        for begin, end, pitch, syllable in notes:
            if start - 1e-6 <= begin < start + each * bar - 1e-6:
                row = (high - pitch) * ROW
                _bar(roll, row, round((begin - start) * scale), round((end - start) * scale), syllable)
        for marks, place, colour in ((sections, above + 4, _TEXT), (chords, above + 24, _CHORD)):
            for when, name in marks:
                if start - 1e-6 <= when < start + each * bar - 1e-6 and letters.knows(name):
                    letters.paint(whole, name, place, LEFT + round((when - start) * scale) + 2, colour, 2)
    return encode(whole, PALETTE)


def _paper(roll: np.ndarray, low: int, high: int, bar: float, beats: int) -> None:
    """Rows of keys, and lines for beats and bars."""
    roll[:] = _PAPER
    for pitch in range(low, high + 1):
        if pitch % 12 in BLACK_KEYS:
            roll[(high - pitch) * ROW : (high - pitch + 1) * ROW] = _BLACK
    for beat in range(round(roll.shape[1] / bar * beats)):
        column = min(roll.shape[1] - 1, round(beat * bar / beats))
        roll[:, column] = _LINE if beat % beats == 0 else _BEAT
    roll[0], roll[-1] = _GRID, _GRID


def _bar(roll: np.ndarray, row: int, left: int, right: int, syllable: str) -> None:
    """One note; its syllable inside, or what of it has room."""
    roll[row : row + ROW, left : max(left + 3, right - 1)] = _LINE
    roll[row + 1 : row + ROW - 1, left + 1 : max(left + 2, right - 2)] = _NOTE
    if letters.knows(syllable) and letters.width(syllable) <= roll.shape[1] - left - 3:
        letters.paint(roll, syllable, row + 3, left + 3, _TEXT, 1)
