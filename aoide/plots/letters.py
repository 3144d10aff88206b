"""Letters for pictures: a font of 5 x 7 points for what stands beside an axis, drawn without a library.

paint(picture, "steps", top, left, colour, size=2)     # picture (height, width) of colours, changed in place
"""

from __future__ import annotations

from functools import cache

import numpy as np

HEIGHT, WIDTH, GAP = 7, 5, 1  # points of a letter, and between two
# Seven rows of five points a letter, each row as a digit of base 32, the leftmost point the largest.
_ROWS = {
    "0": "E HJLPHE", "1": "4C4444E", "2": "EH1248V", "3": "V2421HE", "4": "26AIV22", "5": "VGU11HE", "6": "68GUHHE",
    "7": "V124888", "8": "EHHEHHE", "9": "EHHF12C", "A": "EHHHVHH", "B": "UHHUHHU", "C": "EHGGGHE", "D": "SIHHHIS",
    "E": "VGGUGGV", "F": "VGGUGGG", "G": "EHGNHHF", "H": "HHHVHHH", "I": "E44444E", "J": "72222IC", "K": "HIKOKIH",
    "L": "GGGGGGV", "M": "HRLLHHH", "N": "HHPLJHH", "O": "EHHHHHE", "P": "UHHUGGG", "Q": "EHHHLID", "R": "UHHUKIH",
    "S": "FGGE11U", "T": "V444444", "U": "HHHHHHE", "V": "HHHHHA4", "W": "HHHLLLA", "X": "HHA4AHH", "Y": "HHHA444",
    "Z": "V1248GV", "a": "00E1FHF", "b": "GGMPHHU", "c": "00EGGHE", "d": "11DJHHF", "e": "00EHVGE", "f": "698S888",
    "g": "00FHF1E", "h": "GGMPHHH", "i": "40C444E", "j": "2062 2IC", "k": "GGIKOKI", "l": "C44444E", "m": "00QLLHH",
    "n": "00MPHHH", "o": "00EHHHE", "p": "00UHUGG", "q": "00DJF11", "r": "00MPGGG", "s": "00EGE1U", "t": "88S8896",
    "u": "00HHHJD", "v": "00HHHA4", "w": "00HHLLA", "x": "00HA4AH", "y": "00HHF1E", "z": "00V248V", ".": "00000CC",
    ",": "0000C48", "-": "000V000", "+": "044V440", "/": "0124 8G0", "(": "2488842", ")": "8422248", ":": "0CC0CC0",
    "#": "AAVAVAA", "%": "OP248J3", "=": "00V0V00", "<": "248G842", ">": "8421248", "_": "000000V", "'": "C480000",
}  # fmt: skip


@cache
def _glyph(letter: str) -> np.ndarray:
    """(HEIGHT, WIDTH) bool."""
    rows = _ROWS.get(letter, "").replace(" ", "").rjust(HEIGHT, "0")
    values = np.array([int(digit, 32) for digit in rows])
    return (values[:, None] >> np.arange(WIDTH - 1, -1, -1)) & 1 == 1


def knows(text: str) -> bool:
    """Whether all letters of a text can be drawn."""
    return all(letter in _ROWS or letter == " " for letter in text)


def width(text: str, size: int = 1) -> int:
    """Pixels that a text takes from left to right."""
    return max(0, len(text) * (WIDTH + GAP) - GAP) * size


def paint(
    picture: np.ndarray, text: str, top: int, left: int, colour: int, size: int = 1, *, upwards: bool = False
) -> None:
    """Writes a text into a picture; what lies beyond its edges is left out, letters that are not known are blank.

    Args:
        picture: (height, width) colours; changed.
        top, left: of the text.
        size: pixels of a point.
        upwards: turned by a quarter, to be read from below: for the axis at the left.
    """
    line = np.zeros((HEIGHT, max(1, width(text))), bool)
    for number, letter in enumerate(text):
        at = number * (WIDTH + GAP)
        line[:, at : at + WIDTH] = _glyph(letter)
    points = np.kron(np.rot90(line) if upwards else line, np.ones((size, size), bool))
    rows, columns = np.nonzero(points)
    rows, columns = rows + top, columns + left
    inside = (rows >= 0) & (rows < picture.shape[0]) & (columns >= 0) & (columns < picture.shape[1])
    picture[rows[inside], columns[inside]] = colour
