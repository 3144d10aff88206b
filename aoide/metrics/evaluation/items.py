"""Which sounds there are, which of them belong together, and what is said in them.

A place is a folder (all sound files below it), a manifest (`aoide.data.manifest`) or one sound file. A sound goes by
its path below the folder without the ending, or by its id in the manifest: "chapter1/0001". Sounds of the same name are
a pair; the order in which a folder lists its files means nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from aoide.audio import io
from aoide.config import UserError, near
from aoide.data.corpora import AUDIO_ENDINGS
from aoide.data.manifest import CUTS, Manifest

_TEXT_ENDINGS = (".txt", ".lab")
_NAMED = 8  # names that a message lists


@dataclass(frozen=True, slots=True)
class Item:
    """One sound of a set."""

    name: str
    path: Path
    text: str | None = None  # what is said
    start: int = 0  # first sample in the file
    samples: int | None = None  # None: to the end of the file
    sample_rate: int = 0  # Hz; 0: not looked at yet
    seconds: float = 0.0

    def read(self) -> tuple[np.ndarray, int]:
        """Samples (samples,) or (samples, channels), and their rate. Raises UserError for a broken file."""
        sound = io.read(self.path, self.start, self.samples)
        return sound.samples, sound.sample_rate

    def probed(self) -> Item:
        """With its rate and length. Raises UserError for a broken file."""
        info = io.probe(self.path)
        if not info.complete:
            raise UserError(f"{self.path}: the file ends before its header says")
        samples = max(0, info.samples - self.start) if self.samples is None else self.samples
        return replace(self, sample_rate=info.sample_rate, seconds=samples / info.sample_rate)


@dataclass(slots=True)
class Sets:
    """The sounds of all systems, by name.

    Attributes:
        reference: None without one.
        systems: the name of each system and its sounds.
        names: what is measured, sorted: the names that all have.
        missing: names that somebody lacks, by the place that lacks them.
    """

    reference: dict[str, Item] | None
    systems: dict[str, dict[str, Item]]
    names: list[str]
    missing: dict[str, list[str]] = field(default_factory=dict)


def gather(place: Path) -> dict[str, Item]:
    """The sounds of a place by name.

    Raises:
        UserError: nothing there, no sound in it, or two files of one name.
    """
    if place.is_file() and not _is_manifest(place):
        return {place.stem: Item(place.stem, place)}
    if not place.exists():
        raise UserError(f"{place}: no such file or folder")
    if _is_manifest(place):
        manifest = Manifest(place)
        clips = (manifest[number] for number in range(len(manifest)))
        found = {clip.id: Item(clip.id, clip.audio, clip.text, clip.start, clip.samples or None) for clip in clips}
        if not found:
            raise UserError(f"{place}: a manifest without clips")
        return found
    found = {}
    for path in sorted(path for path in place.rglob("*") if path.suffix.lower() in AUDIO_ENDINGS and path.is_file()):
        below = path.relative_to(place)
        if any(part.startswith(".") for part in below.parts):
            continue
        name = below.with_suffix("").as_posix()
        if name in found:
            raise UserError(f"{path} and {found[name].path} have one name: which of them is meant?")
        found[name] = Item(name, path)
    if not found:
        raise UserError(f"{place}: no sound file in this folder (endings are {', '.join(AUDIO_ENDINGS)})")
    return found


def _is_manifest(place: Path) -> bool:
    return (place / CUTS).is_file() if place.is_dir() else place.name.endswith((".jsonl", ".jsonl.gz"))


def match(reference: Path | None, places: Sequence[Path], allow_missing: bool = False) -> Sets:
    """Brings the sounds of all places together by name.

    Single files are a pair whatever their names.

    Args:
        reference: the place of the reference, or None.
        places: one of each system.
        allow_missing: measure what all have, and list the rest.

    Raises:
        UserError: unequal names without `allow_missing`, no name in common, or a file beside a folder.
    """
    labels = _labels(places)
    sets = {label: gather(place) for label, place in zip(labels, places, strict=True)}
    truth = None if reference is None else gather(reference)
    everybody = [(str(reference), truth)] if truth is not None else []
    everybody += list(sets.items())
    files = [place.is_file() and not _is_manifest(place) for place in ([reference] if reference else []) + [*places]]
    if all(files):
        name = next(iter(everybody[-1][1]))
        alone = {label: {name: replace(next(iter(found.values())), name=name)} for label, found in sets.items()}
        truth = None if truth is None else {name: replace(next(iter(truth.values())), name=name)}
        return Sets(truth, alone, [name])
    if any(files):
        raise UserError("a single file is compared with a single file, a folder with a folder")
    wanted = set().union(*(found for _, found in everybody))
    common = wanted.intersection(*(found for _, found in everybody))
    missing = {label: sorted(wanted - set(found)) for label, found in everybody if wanted - set(found)}
    if not common:
        raise UserError(_nothing_in_common(everybody))
    if missing and not allow_missing:
        lines = "; ".join(f"{label} lacks {listed(names)}" for label, names in missing.items())
        raise UserError(f"the names differ: {lines}. --allow-missing measures the {len(common)} that all have")
    return Sets(truth, sets, sorted(common), missing)


def listed(names: Sequence[str]) -> str:
    """`a, b, c and 7 more`."""
    shown = ", ".join(names[:_NAMED])
    return f"{shown} and {len(names) - _NAMED} more" if len(names) > _NAMED else shown


def _nothing_in_common(everybody: Iterable[tuple[str, Mapping[str, Item]]]) -> str:
    told = "; ".join(f"{label} has {listed(sorted(found)[:3])}" for label, found in everybody)
    return f"no name is in all of them: {told}. Sounds of a pair have the same path below their folders"


def _labels(places: Sequence[Path]) -> list[str]:
    """Short names for the systems: the last part of their paths, or all of it where that would not tell them apart."""
    short = [place.stem if place.is_file() else place.resolve().name for place in places]
    labels = [name if short.count(name) == 1 else str(place) for name, place in zip(short, places, strict=True)]
    if len(set(labels)) < len(labels):
        raise UserError(f"{', '.join(labels)}: the same place twice")
    return labels


# ---------------------------------------------------------------------------------------------------------------- texts


def read_texts(place: Path, names: Sequence[str]) -> dict[str, str]:
    """What is said in the sounds, by name.

    Args:
        place: a folder with NAME.txt or NAME.lab for each sound, or a file: JSON {name: text}, lines `name|text` or
            `name<tab>text` (as LJSpeech's metadata.csv), or the text itself where there is one sound.
        names: of the sounds.

    Raises:
        UserError: no such place, or no text for any of the names.
    """
    if not place.exists():
        raise UserError(f"{place}: no such file or folder of texts")
    found = _of_folder(place, names) if place.is_dir() else _of_file(place, names)
    if not any(name in found for name in names):
        example = near(names[0], found) or f" it has {listed(sorted(found)[:3]) or 'nothing'}"
        raise UserError(f"{place}: no text of any of the sounds ({names[0]} ...);{example}")
    return {name: found[name] for name in names if name in found}


def _of_folder(folder: Path, names: Sequence[str]) -> dict[str, str]:
    found = {}
    for name in names:
        for ending in _TEXT_ENDINGS:
            path = folder / f"{name}{ending}"
            if path.is_file():
                found[name] = _text(path).strip()
                break
    return found


def _of_file(path: Path, names: Sequence[str]) -> dict[str, str]:
    content = _text(path)
    if path.suffix == ".json":
        try:
            data = json.loads(content)
        except ValueError as error:
            raise UserError(f"{path}: not JSON: {error}") from None
        if not isinstance(data, dict) or not all(isinstance(text, str) for text in data.values()):
            raise UserError(f'{path}: expects {{"name": "text", ...}}')
        return data
    lines = [line for line in content.splitlines() if line.strip()]
    parted = [re.split(r"[|\t]", line) for line in lines]
    if all(len(parts) > 1 for parts in parted):
        return {parts[0].strip(): parts[-1].strip() for parts in parted}
    if len(names) == 1:
        return {names[0]: " ".join(content.split())}
    number = next(i for i, parts in enumerate(parted, 1) if len(parts) < 2)
    raise UserError(f"{path}: line {number}: expects name|text, one line for each sound")


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8-sig")
    except UnicodeDecodeError:
        raise UserError(f"{path}: not a text file in UTF-8") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
