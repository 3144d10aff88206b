"""A piano roll with the F0 of what was sung drawn over it, as one small PNG picture.

Notes are bars on the rows of their semitones, as every music editor shows them; rows of black keys are darker, as on
the keyboard at the left. F0 is a line: where it lies on the bars, the song is in tune. Vibrato, overshoot and the way
from note to note are seen as they are. Lines for seconds stand behind.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from aoide.plots import letters
from aoide.plots.png import encode

ROW = 10  # pixels of a semitone
SECOND = 60  # pixels
KEYS = 24  # pixels of the keyboard
MARGIN = 2  # semitones above and below the notes
NAMES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
AXIS, BORDER = 60, 40  # pixels of `figure` at the left, and above and below
BLACK_KEYS = frozenset((1, 3, 6, 8, 10))
_WHITE, _BLACK, _GRID, _NOTE, _EDGE, _LINE, _KEY, _DARK = range(8)
PALETTE = np.array(
    [(244, 244, 240), (228, 228, 222), (206, 206, 200), (126, 178, 214), (66, 118, 160), (196, 48, 40), (255, 255, 255)]
    + [(40, 40, 44)],
    np.uint8,
)


def draw(notes: Sequence[tuple[float, float, float]], f0: np.ndarray, frame_rate: float) -> bytes:
    """Notes and F0 on one axis, as the bytes of a PNG file.

    Args:
        notes: (start, end, pitch) of each: seconds, and a MIDI number.
        f0: (frames,) Hz, 0 = unvoiced.
        frame_rate: of F0, frames per second.

    Raises:
        ValueError: no notes.
    """
    return encode(_picture(notes, f0, frame_rate)[0], PALETTE)


def figure(
    notes: Sequence[tuple[float, float, float]],
    f0: np.ndarray,
    frame_rate: float,
    *,
    title: str,
    lyrics: Sequence[str] = (),
) -> bytes:
    """The same twice as large, with a title, seconds, the names of the notes, and lyrics below their bars.

    Args:
        notes, f0, frame_rate: as in `draw`.
        lyrics: one a note; what is wider than its bar, or has letters that `letters` does not draw, is left out.
    """
    picture, low = _picture(notes, f0, frame_rate)
    roll = np.kron(picture[:, KEYS:], np.ones((2, 2), picture.dtype))
    height, width = roll.shape
    whole = np.full((height + 2 * BORDER + 20, width + AXIS + 10), _KEY)
    whole[BORDER : BORDER + height, AXIS : AXIS + width] = roll
    letters.paint(whole, title, 10, AXIS, _DARK, 2)
    for row in range(height // (2 * ROW)):
        key = low + row
        if key % 12 not in BLACK_KEYS:
            top = BORDER + height - (row + 1) * 2 * ROW
            name = f"{NAMES[key % 12]}{key // 12 - 1}"
            letters.paint(whole, name, top + 3, AXIS - 10 - letters.width(name, 2), _DARK, 2)
    for second in range(width // (2 * SECOND) + 1):
        text = f"{second}"
        left = AXIS + 2 * SECOND * second - letters.width(text, 2) // 2
        letters.paint(whole, text, BORDER + height + 12, left, _DARK, 2)
    letters.paint(whole, "note", BORDER + height + 34, 6, _DARK, 2)
    seconds = AXIS + (width - letters.width("seconds", 2)) // 2
    letters.paint(whole, "seconds", BORDER + height + 34, seconds, _DARK, 2)
    for (start, end, pitch), lyric in zip(notes, lyrics, strict=False):
        room = round((end - start) * 2 * SECOND) - 4
        if lyric and letters.width(lyric, 2) <= room and letters.knows(lyric):
            below = BORDER + height - round((pitch - low) * 2 * ROW) + 3  # on the bar itself lies F0
            letters.paint(whole, lyric, below, AXIS + round(start * 2 * SECOND) + 4, _DARK, 2)
    return encode(whole, PALETTE)


def _picture(notes: Sequence[tuple[float, float, float]], f0: np.ndarray, frame_rate: float) -> tuple[np.ndarray, int]:
    """(height, width) colours, and the pitch of the lowest row."""
    if not notes:
        raise ValueError("a piano roll without notes")
    pitches = [pitch for _, _, pitch in notes]
    low, high = int(np.floor(min(pitches))) - MARGIN, int(np.ceil(max(pitches))) + MARGIN
    seconds = max(*(end for _, end, _ in notes), len(f0) / frame_rate)
    picture = _background(low, high, seconds)
    height = len(picture)

    def row(pitch: float) -> int:
        """The row of pixels of a pitch; whole numbers lie in the middle of their key."""
        return int(np.clip(round(height - (pitch - low + 0.5) * ROW), 0, height - 1))

    for start, end, pitch in notes:
        left, right = KEYS + round(start * SECOND), KEYS + round(end * SECOND)
        top, bottom = max(0, row(pitch) - ROW // 2 + 1), min(height, row(pitch) + ROW // 2)
        picture[top:bottom, left : right - 1] = _EDGE
        picture[top + 1 : bottom - 1, left + 1 : right - 2] = _NOTE
    columns = np.arange(KEYS, picture.shape[1])
    frames = np.minimum(((columns - KEYS + 0.5) / SECOND * frame_rate).astype(int), len(f0) - 1)
    before = None
    for column, hz in zip(columns, f0[frames], strict=True):
        if hz <= 0:
            before = None
            continue
        here = row(69 + 12 * np.log2(hz / 440))
        top, bottom = (
            min(here, before if before is not None else here),
            max(here, before if before is not None else here),
        )
        picture[max(0, top - 1) : bottom + 1, column] = _LINE  # two pixels thick, and joined where it is steep
        before = here
    return picture, low


def _background(low: int, high: int, seconds: float) -> np.ndarray:
    """Rows of keys, the keyboard, and lines for seconds: (height, width) colours, high pitches at the top."""
    width = KEYS + int(np.ceil(seconds * SECOND))
    picture = np.full(((high - low + 1) * ROW, width), _WHITE)
    for pitch in range(low, high + 1):
        top = (high - pitch) * ROW
        black = pitch % 12 in BLACK_KEYS
        if black:
            picture[top : top + ROW, KEYS:] = _BLACK
        picture[top : top + ROW, :KEYS] = _DARK if black else _KEY
        if pitch % 12 in (4, 11):  # between two white keys
            picture[top, :KEYS] = _GRID
    picture[:, KEYS::SECOND] = _GRID
    picture[:, KEYS - 1] = _DARK
    return picture
