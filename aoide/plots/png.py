"""PNG files without a library: palette pictures, small enough to lie inside a page by the hundred.

    encode(indices, palette)        # (height, width) numbers of colours, (colours, 3) RGB -> the bytes of a file

The format is that of the W3C recommendation of 2003 (ISO 15948): a header, the palette, rows packed to 4 bits where 16
colours are enough, deflated. Rows are not filtered: filters help smooth pictures and harm those of few colours.
"""

from __future__ import annotations

import struct
import zlib

import numpy as np

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PALETTE_COLOURS = 3  # the header's word for what the rows hold


def encode(indices: np.ndarray, palette: np.ndarray) -> bytes:
    """A picture as the bytes of a PNG file.

    Args:
        indices: (height, width) integers, each the row of a colour in the palette.
        palette: (colours, 3) red, green, blue from 0 to 255; at most 256 colours.
    """
    indices, palette = np.asarray(indices), np.asarray(palette)
    if indices.ndim != 2 or not indices.size:
        raise ValueError(f"a picture is (height, width), got shape {indices.shape}")
    if palette.ndim != 2 or palette.shape[1] != 3 or not 0 < len(palette) <= 256:
        raise ValueError(f"a palette is (colours, 3) with up to 256 colours, got shape {palette.shape}")
    if indices.min() < 0 or indices.max() >= len(palette):
        raise ValueError(f"colours {indices.min()} to {indices.max()} are not all in a palette of {len(palette)}")
    height, width = indices.shape
    depth = 4 if len(palette) <= 16 else 8
    rows: np.ndarray = indices.astype(np.uint8)
    if depth == 4:  # two pixels a byte, the left one in the upper half
        rows = np.pad(rows, ((0, 0), (0, width % 2)))
        rows = rows[:, ::2] << 4 | rows[:, 1::2]
    unfiltered = np.pad(rows, ((0, 0), (1, 0)))  # each row begins with the number of its filter: none
    header = struct.pack(">IIBBBBB", width, height, depth, _PALETTE_COLOURS, 0, 0, 0)
    parts = (
        (b"IHDR", header),
        (b"PLTE", palette.astype(np.uint8).tobytes()),
        (b"IDAT", zlib.compress(unfiltered.tobytes(), 9)),
        (b"IEND", b""),
    )
    return SIGNATURE + b"".join(map(_chunk, *zip(*parts, strict=True)))


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
