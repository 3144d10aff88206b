"""PNG files, read back by the rules of the format: signature, checksums, packed rows."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest

from aoide.plots import spectrogram
from aoide.plots.png import SIGNATURE, encode


def decode(data: bytes) -> tuple[np.ndarray, np.ndarray]:
    """(indices, palette) of what `encode` wrote."""
    assert data.startswith(SIGNATURE)
    place, parts = len(SIGNATURE), {}
    while place < len(data):
        (length,) = struct.unpack(">I", data[place : place + 4])
        kind, content = data[place + 4 : place + 8], data[place + 8 : place + 8 + length]
        (check,) = struct.unpack(">I", data[place + 8 + length : place + 12 + length])
        assert check == zlib.crc32(kind + content)
        parts[kind], place = content, place + 12 + length
    width, height, depth, colours, *rest = struct.unpack(">IIBBBBB", parts[b"IHDR"])
    assert colours == 3 and rest == [0, 0, 0] and data.endswith(b"IEND" + struct.pack(">I", zlib.crc32(b"IEND")))
    rows = np.frombuffer(zlib.decompress(parts[b"IDAT"]), np.uint8).reshape(height, -1)
    assert (rows[:, 0] == 0).all()
    rows = rows[:, 1:]
    if depth == 4:
        rows = np.stack([rows >> 4, rows & 15], axis=2).reshape(height, -1)[:, :width]
    return rows, np.frombuffer(parts[b"PLTE"], np.uint8).reshape(-1, 3)


@pytest.mark.parametrize("colours", [2, 16, 17, 256])
@pytest.mark.parametrize("width", [1, 2, 7])
def test_what_was_written_is_read(colours: int, width: int) -> None:
    random = np.random.default_rng(0)
    indices, palette = random.integers(0, colours, (5, width)), random.integers(0, 256, (colours, 3))
    rows, read = decode(encode(indices, palette))
    assert np.array_equal(rows, indices) and np.array_equal(read, palette)


@pytest.mark.parametrize(
    ("indices", "palette"),
    [(np.zeros((0, 3)), np.zeros((1, 3))), (np.ones((2, 2)), np.zeros((1, 3))), (np.zeros((2, 2)), np.zeros((1, 4)))],
)
def test_what_is_no_picture(indices: np.ndarray, palette: np.ndarray) -> None:
    with pytest.raises(ValueError, match="picture|palette"):
        encode(indices, palette)


def test_a_tone_lies_where_it_should() -> None:
    """Band 18 of 72 is loud; F0 of 120 Hz lies an octave above the bottom, a quarter of the height."""
    mel = np.full((50, 72), -10.0, np.float32)
    mel[:, 18] = 0.0
    rows, _ = decode(spectrogram.draw([(mel, np.full(50, 120.0)), (mel, None)]))
    assert rows.shape == (2 * 72 + 3, 50)
    upper, lower = rows[:72][::-1], rows[-72:][::-1]
    assert (upper[18] == spectrogram._LINE).all() and (upper[[17, 19]] == spectrogram._EDGE).all()
    assert (lower[18] == spectrogram._SHADES - 1).all() and (np.delete(lower, 18, axis=0) == 0).all()


def test_nothing_to_see_is_still_a_picture() -> None:
    rows, _ = decode(spectrogram.draw([(np.zeros((0, 72), np.float32), np.zeros(0))]))
    assert rows.shape == (72, 1)
    long = np.random.default_rng(0).standard_normal((5000, 72)).astype(np.float32)
    rows, _ = decode(spectrogram.draw([(long, None)]))
    assert rows.shape == (72, spectrogram.WIDTH)
