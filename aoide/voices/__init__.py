"""The voices that come in the package, one folder each: voice.onnx, voice.json, card.md (see `generate/folder.py`)."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from aoide.config import UserError, near

DEFAULT = "en-heart"


def names() -> list[str]:
    """The names of the voices in the package, sorted."""
    return sorted(path.parent.name for path in Path(__file__).parent.glob("*/voice.json"))


def find(name: str, others: Iterable[str] = ()) -> Path:
    """The folder of a voice: one of `names()`, or the path of a folder that `aoide export` wrote.

    Args:
        others: names that the caller would have taken too; the error looks for near ones among them as well.

    Raises:
        UserError: neither; names the near ones.
    """
    if name in names():
        return Path(__file__).parent / name
    if name and Path(name).is_dir():
        return Path(name)
    known = names()
    guess = near(name, [*known, *others])
    if "/" in name and not guess:
        raise UserError(f"{name}: no such folder")
    guess = guess or (f" there is {', '.join(known)}" if known else " none came with this package")
    raise UserError(f"no voice {name!r};{guess}")
