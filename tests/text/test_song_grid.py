"""The words of a song on a clock of frames."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from aoide.config import UserError
from aoide.score.song_script import SongScript
from aoide.text.phonemes import SYMBOLS
from aoide.text.song_grid import END, House, Vocabulary, grid, style_code

TIMED = "[00:00.50]<00:00.50>ah <00:01.00>oh <00:01.40>\n[00:02.00]<00:02.00>ee <00:02.30>"
LINES = "[00:01.00]oh ah\n[00:01.10]ee\n[00:04.00]oo"


def test_words_hold_their_frames_and_rests_are_empty() -> None:
    house = House()
    found = grid(SongScript.read(TIMED), 30, 10.0, house)
    hold = house.hold
    assert list(found[5:14]) == [SYMBOLS["ɑ"], *[hold] * 4, SYMBOLS["O"], *[hold] * 3]
    assert list(found[20:23]) == [SYMBOLS["i"], hold, hold]
    assert not found[:5].any() and not found[14:20].any() and not found[23:].any()
    later = grid(SongScript.read(TIMED), 10, 10.0, house, start=1.0)
    assert np.array_equal(later, found[10:20]), "a window of the song is that part of its grid"


def test_lines_follow_each_other_from_where_they_begin() -> None:
    house = House()
    found = grid(SongScript.read(LINES), 45, 10.0, house)
    first = [*house.encode("oh ah"), SYMBOLS[END]]
    second = [*house.encode("ee"), SYMBOLS[END]]
    assert list(found[10 : 10 + len(first)]) == first
    at = 10 + len(first)  # it would begin at frame 11, but the line before is not told yet
    assert list(found[at : at + len(second)]) == second and not found[at + len(second) : 40].any()
    assert found[40] == SYMBOLS["u"] and len(grid(SongScript.read(LINES), 41, 10.0, house)) == 41


def test_a_script_without_times_gets_some() -> None:
    found = grid(SongScript.read("[verse]\nthe sun goes down"), 60, 10.0, House())
    assert found[0] > 0 and (found > 0).sum() > 8


def test_published_signs_are_the_longest_that_fit(tmp_path: Path) -> None:
    path = tmp_path / "vocab.json"
    path.write_text(
        json.dumps({"vocab": {",": 0, ".": 1, "_": 4, "ð": 36, "ə": 57, "s": 37, "ʌ": 16, "n": 45, "oʊ": 23}})
    )
    signs = Vocabulary(path)
    assert signs.encode("The sun, oh.") == [37, 58, 5, 38, 17, 46, 1, 5, 24]
    assert signs.end == (2,)
    timed = SongScript.read("[00:00.50]<00:00.50>oh <00:01.00>so <00:01.50>")
    assert list(grid(timed, 9, 10.0, signs)[4:]) == [0, 24, 5, 38, 24], "of lines alone, symbol by symbol"
    jam = Vocabulary(path, first=0, words=True, hold=62, silence=63)
    assert list(grid(timed, 14, 10.0, jam)[4:]) == [63, 23, 62, 4, 62, 62, 37, 23, 4, 62]
    path.write_text("[1, 2")
    with pytest.raises(UserError, match="not the signs of a song model"):
        Vocabulary(path)
    with pytest.raises(UserError, match="cannot be read"):
        Vocabulary(tmp_path / "none.json")


def test_styles_are_apart() -> None:
    one, two, again = (style_code(text, 64) for text in ("c major, 80 bpm", "e major, 150 bpm", "C major, 80 bpm"))
    assert np.array_equal(one, again) and one.shape == (64,) and 0.5 < one.std() < 2
    assert np.dot(one, two) / np.linalg.norm(one) / np.linalg.norm(two) < 0.8
