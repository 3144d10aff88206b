"""Sentences end where a reader would end them, in whatever pieces the text comes."""

from __future__ import annotations

import random

import pytest

from aoide.text.sentences import sentences

TEXT = """Dr. Smith met J. K. Rowling in Washington, D.C. He left at 5 p.m. The U.S. Army came at 9 a.m. EST. See vol. 3
and No. 5. "Stop!" he said. "Really?" She asked. Apple Inc. announced it. He works at Apple Inc. They pay. It is 3.14.
Smith et al. wrote it in Jan. 2005. Hello... there. What? Yes! “Quoted end.” Next one (it was late.) Then home.

Chapter 1
It was a dark and stormy night; the rain fell in torrents, except at occasional intervals, when it was checked by a gust
of wind. 1. First item. 2. Second item.
"""
EXPECTED = [
    "Dr. Smith met J. K. Rowling in Washington, D.C.",
    "He left at 5 p.m.",
    "The U.S. Army came at 9 a.m. EST.",
    "See vol. 3\nand No. 5.",
    '"Stop!" he said.',
    '"Really?"',
    "She asked.",
    "Apple Inc. announced it.",
    "He works at Apple Inc.",
    "They pay.",
    "It is 3.14.",
    "Smith et al. wrote it in Jan. 2005.",
    "Hello... there.",
    "What?",
    "Yes!",
    "“Quoted end.”",
    "Next one (it was late.)",
    "Then home.",
    "Chapter 1",
    "It was a dark and stormy night; the rain fell in torrents, except at occasional intervals, when it was checked by "
    "a gust\nof wind.",
    "1. First item.",
    "2. Second item.",
]


def test_where_sentences_end() -> None:
    assert list(sentences(TEXT)) == EXPECTED


@pytest.mark.parametrize("seed", range(8))
def test_pieces_change_nothing(seed: int) -> None:
    draw, rest, pieces = random.Random(seed), TEXT * 8, []
    while rest:
        size = draw.randint(1, draw.choice([2, 60, 2000]))
        pieces.append(rest[:size])
        rest = rest[size:]
    assert list(sentences(pieces)) == list(sentences(TEXT * 8))


def test_a_sentence_comes_as_soon_as_it_is_complete() -> None:
    read = []

    def pieces():
        for word in ("One sentence is here. " * 20).split(" "):
            read.append(word)
            yield word + " "

    next(sentences(pieces()))
    assert len(read) < 12


def test_long_sentences_are_cut_at_clauses() -> None:
    long = "the night was dark, and the rain fell on the roofs of the town; " * 12
    parts = list(sentences(long))
    assert len(parts) > 2 and all(part[-1] in ",;" for part in parts)


@pytest.mark.parametrize("text", ["", " \n\n \t", "\n" * 3000])
def test_no_sentences(text: str) -> None:
    assert list(sentences(text)) == []
