"""Mel spectrograms with the F0 contour drawn over them, one above the other, as one small PNG picture.

Fourteen shades of one colour scale that is even to the eye and to those who do not tell red from green (from near black
over blue and green to yellow). F0 is a white line with a dark edge on a scale of its own, four octaves from 60 Hz at
the bottom of each strip to 960 Hz at its top: on that of the spectrogram a melody would be flat.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from aoide.plots.png import encode

WIDTH = 320  # pixels at most
_SHADES = 14
_RANGE = 8.0  # natural log: what is 70 dB softer than the loudest is black
_EDGE, _LINE = _SHADES, _SHADES + 1  # colours of F0, behind the shades
_GAP = 3  # rows between two sounds
_LOWEST_HZ, _OCTAVES = 60.0, 4.0  # of the line of F0

# dark violet, blue, teal, green, yellow: between them colours are interpolated
_STOPS = np.array([(26, 8, 44), (58, 62, 130), (36, 116, 140), (70, 178, 114), (248, 228, 60)], float)
_AT = np.linspace(0, len(_STOPS) - 1, _SHADES)
PALETTE = np.vstack(
    [
        np.stack([np.interp(_AT, np.arange(len(_STOPS)), _STOPS[:, channel]) for channel in range(3)], axis=1),
        [(0, 0, 0), (255, 255, 255)],
    ]
).astype(np.uint8)


def draw(sounds: Sequence[tuple[np.ndarray, np.ndarray | None]]) -> bytes:
    """The sounds below each other on one time axis, as the bytes of a PNG file.

    Args:
        sounds: of each a log-mel (frames, mels), HTK's scale from 0 to 8 kHz, natural log; and F0 (frames,) in Hz with
            0 = unvoiced at the same frames, or None.
    """
    frames = max(1, *(len(mel) for mel, _ in sounds))
    width = min(WIDTH, frames)
    loudest = max((float(mel.max()) for mel, _ in sounds if mel.size), default=0.0)
    strips = [_strip(mel, hz, frames, width, loudest) for mel, hz in sounds]
    gap = np.full((_GAP, width), _EDGE)
    rows = [part for strip in strips for part in (gap, strip)][1:]
    return encode(np.concatenate(rows), PALETTE)


def _strip(mel: np.ndarray, hz: np.ndarray | None, frames: int, width: int, loudest: float) -> np.ndarray:
    """(mels, width) colours of one sound, low frequencies at the bottom."""
    mels = mel.shape[1]
    edges = np.linspace(0, frames, width + 1).astype(int)
    shades = np.zeros((mels, width), int)
    heights = np.full(width, -1)
    for column, (begin, end) in enumerate(zip(edges, np.maximum(edges[1:], edges[:-1] + 1), strict=False)):
        part = mel[begin:end]
        if len(part):
            level = (part.max(axis=0) - loudest + _RANGE) / _RANGE
            shades[:, column] = np.clip(level * _SHADES, 0, _SHADES - 1).astype(int)
        voiced = hz[begin:end] if hz is not None else np.zeros(0)
        voiced = voiced[voiced > 0]
        if len(voiced):
            heights[column] = _row(float(np.median(voiced)), mels)
    for offset, colour in ((-1, _EDGE), (1, _EDGE), (0, _LINE)):
        columns = np.flatnonzero((heights >= 0) & (heights + offset >= 0) & (heights + offset < mels))
        shades[heights[columns] + offset, columns] = colour
    return shades[::-1]


def _row(hz: float, rows: int) -> int:
    """The row of an F0, from the bottom; what is beyond the scale lies on its edge."""
    place = np.log2(hz / _LOWEST_HZ) / _OCTAVES
    return int(np.clip(place * rows, 0, rows - 1))
