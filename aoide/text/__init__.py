"""Words -> phonemes, one front end per language.

    front = aoide.text.frontend("en")
    for sentence in front.sentences(text):
        print(front.phonemize(sentence))

A front end is a file: `frontend("en")` is the class `FrontEnd` of aoide/text/languages/en.py. What comes after a
stroke is for the file to understand: `frontend("espeak/de")` is German by espeak-ng.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Protocol

from aoide.config import UserError, near


class FrontEnd(Protocol):
    """What every language offers."""

    def sentences(self, text: str | Iterable[str]) -> Iterator[str]:
        """The sentences of a text, which may come in pieces; memory does not grow with its length.

        Raises:
            UserError: there is nothing in it that can be said.
        """

    def phonemize(self, sentence: str) -> str:
        """The phonemes of a sentence; an empty string if nothing in it can be said.

        Raises:
            UserError: it has letters that this language cannot read.
        """


def names() -> list[str]:
    """The names of the front ends, by their files."""
    return sorted(path.stem for path in (Path(__file__).parent / "languages").glob("[!_]*.py"))


@lru_cache(maxsize=8)
def frontend(language: str) -> FrontEnd:
    """The front end of a language; made once, then shared.

    Raises:
        UserError: there is none; names the near ones.
        MissingExtra: it needs a package that is not installed.
    """
    name, _, variant = language.partition("/")
    if name not in names():
        guess = near(language, names()) or f" there are {', '.join(names())}"
        raise UserError(f"no language {language!r};{guess} (espeak/{name} asks espeak-ng for it)")
    module = importlib.import_module(f"aoide.text.languages.{name}")
    made: FrontEnd = module.FrontEnd(variant) if variant else module.FrontEnd()
    return made
