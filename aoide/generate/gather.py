"""Which sound files a command is asked to work on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from aoide.config import UserError

ENDINGS = frozenset((".wav", ".flac", ".ogg", ".opus", ".mp3", ".m4a", ".aac", ".aif", ".aiff", ".g722", ".webm"))


def sounds(inputs: Sequence[Path], endings: frozenset[str] = ENDINGS) -> list[tuple[Path, Path]]:
    """(file, its name below the output) of files, and of all in folders with one of the endings.

    Raises:
        UserError: something that does not exist, a folder without such files, or two files of one name.
    """
    found: dict[Path, Path] = {}
    for place in inputs:
        if place.is_dir():
            inside = sorted(path for path in place.rglob("[!.]*") if path.suffix.lower() in endings)
            if not inside:
                raise UserError(f"{place}: no files in it that end in {', '.join(sorted(endings))}")
            pairs = [(path, path.relative_to(place)) for path in inside]
        elif place.exists():
            pairs = [(place, Path(place.name))]
        else:
            raise UserError(f"{place}: no such file or folder")
        for path, name in pairs:
            stem = name.with_suffix("")
            if found.setdefault(stem, path) != path:
                raise UserError(f"{path} and {found[stem]} would both become {stem}: give them one at a time")
    return [(path, stem.with_name(stem.name + path.suffix)) for stem, path in found.items()]
