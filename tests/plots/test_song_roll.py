"""The picture of a song."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest

from aoide.plots import song_roll

NOTES = [(0.5 * i, 0.5 * i + 0.4, 60 + i % 5, "la") for i in range(40)]


def pixels(data: bytes) -> np.ndarray:
    width, height = struct.unpack(">II", data[16:24])
    at = data.index(b"IDAT")
    size = struct.unpack(">I", data[at - 4 : at])[0]
    rows = np.frombuffer(zlib.decompress(data[at + 4 : at + 4 + size]), np.uint8).reshape(height, -1)[:, 1:]
    return np.stack([rows >> 4, rows & 15], 2).reshape(height, -1)[:, :width]


def test_a_song_takes_as_many_systems_as_it_needs() -> None:
    short = pixels(song_roll.draw(NOTES[:8], [(0.0, "Am")], [(0.0, "verse")], bar=2.0, beats=4, seconds=4.0))
    long = pixels(song_roll.draw(NOTES, [(0.0, "Am")], [], bar=2.0, beats=4, seconds=20.0, title="A song"))
    assert len(long) > 1.8 * len(short) and short.shape[1] == long.shape[1]
    assert (short == 3).sum() > 8 * 100, "bars of notes are there"
    assert (short == 6).sum() > 20 and (long == 5).sum() > 100, "and chords, and letters"


def test_every_note_is_drawn_in_its_place() -> None:
    picture = pixels(song_roll.draw([(1.0, 1.5, 62, ""), (3.0, 3.5, 67, "")], [], [], bar=2.0, beats=4, seconds=4.0))
    columns = np.flatnonzero((picture == 3).any(axis=0))
    scale = song_roll.WIDTH / (int(song_roll.WIDTH / (song_roll.SECOND * 2.0)) * 2.0)
    assert abs(columns[0] - song_roll.LEFT - scale) < 3 and abs(columns[-1] - song_roll.LEFT - 3.5 * scale) < 5
    rows = np.flatnonzero((picture == 3).any(axis=1))
    assert abs((rows[-1] - rows[0]) - 5 * song_roll.ROW) < song_roll.ROW, "a fourth apart"
    with pytest.raises(ValueError, match="without notes"):
        song_roll.draw([], [], [], bar=2.0, beats=4, seconds=4.0)
