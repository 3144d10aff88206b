"""Which files a verb is asked to work on, and the work on each: for verbs that turn many files into many files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from aoide.config import UserError
from aoide.data.corpora import AUDIO_ENDINGS


def files(inputs: Sequence[Path], endings: Sequence[str] = AUDIO_ENDINGS) -> list[tuple[Path, Path]]:
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


def each(pairs: Sequence[tuple[Path, Path]], work: Callable[[Path, Path], None]) -> int:
    """Calls `work(path, target)` for each pair, with a progress bar; says how many went well.

    Raises:
        UserError: the only one failed, or all did; otherwise those that fail are named and left out.
    """
    from tqdm import tqdm

    failed = 0
    for path, target in tqdm(pairs, unit="file", disable=None if len(pairs) > 1 else True):
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            work(path, target)
        except UserError as error:
            if len(pairs) == 1:
                raise
            failed += 1
            tqdm.write(f"left out: {error}")
    if failed == len(pairs):
        raise UserError(f"none of the {len(pairs)} files could be read")
    return len(pairs) - failed
