"""The page of songs names what there is."""

from __future__ import annotations

from pathlib import Path

from aoide.score.dialects import NAMES
from aoide.score.song_script import TAGS
from aoide.score.style import GENRES, INSTRUMENTS

PAGE = Path(__file__).parents[2] / "docs" / "songs.md"


def test_every_genre_instrument_section_and_dialect_stands_there() -> None:
    text = PAGE.read_text("utf-8")
    missing = [word for word in (*GENRES, *INSTRUMENTS, *NAMES) if word not in text]
    missing += [tag for tag in TAGS if f"[{tag}]" not in text]
    assert not missing
