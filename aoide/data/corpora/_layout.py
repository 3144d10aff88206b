"""What corpus files share: finding the corpus below --root, reading its texts, going on where one clip is broken."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from aoide.config import UserError
from aoide.data.clips import Clip, Refused
from aoide.data.corpora import AUDIO_ENDINGS

LISTED = 6  # names that an error shows of what is in a folder


def find(root: Path, *marks: str, layout: str, get: str) -> Path:
    """The folder of a corpus: `root`, or one within it, that holds everything that the patterns `marks` name.

    Raises:
        UserError: none does; says which layout is expected, what was found instead, and where to get the corpus.
    """
    if root.is_dir():
        for folder in (root, *sorted(path for path in root.iterdir() if path.is_dir())):
            if all(next(folder.glob(mark), None) for mark in marks):
                return folder
    raise UserError(f"{root}: expected {layout}; found {listing(root)}; get it at {get}")


def listing(folder: Path) -> str:
    """What is in a folder, in a few words."""
    names = sorted(path.name + "/" * path.is_dir() for path in folder.iterdir()) if folder.is_dir() else []
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return (", ".join(names[:LISTED]) + more) or "nothing"


def sounds(folder: Path, pattern: str = "**/*") -> Iterator[Path]:
    """The sound files below a folder, sorted; without what macOS leaves behind (._name)."""
    found = (path for path in folder.glob(pattern) if path.suffix.lower() in AUDIO_ENDINGS)
    return iter(sorted(path for path in found if not path.name.startswith(".")))


class TextError(UserError):
    """A text file that is not there or no text; `reason` says so without the path."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.reason = reason


def read(path: Path) -> str:
    """The text of a file in UTF-8, or in UTF-16 with its mark, as Praat writes it.

    Raises:
        TextError: it is not there, or in neither.
    """
    try:
        content = path.read_bytes()
        return content.decode("utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    except FileNotFoundError:
        raise TextError(path, f"there is no {path.name}") from None
    except OSError as error:
        raise TextError(path, f"{path.name}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise TextError(path, f"{path.name} is not UTF-8 at byte {error.start}") from None


def words(path: Path) -> str | None:
    """The text of a file on one line, or None where there is no such file."""
    return " ".join(read(path).split()) if path.is_file() else None


def each(items: Iterable[Any], name: Callable[[Any], tuple[str, Path]], make: Callable[[Any], Any]) -> Iterator[Any]:
    """What `make` makes of each item: a clip or several; an annotation that cannot be read refuses the item.

    Args:
        name: an item to its id and the file that the refusal names.
        make: may raise what reading foreign annotations raises: they lack fields, or have words where numbers belong.
    """
    for item in items:
        try:
            made = make(item)
            made = [made] if isinstance(made, (Clip, Refused)) else list(made)
        except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
            clip_id, path = name(item)
            yield Refused(id=clip_id, path=path, reason=f"its annotation cannot be read: {said(error)}")
            continue
        yield from made


def said(error: Exception) -> str:
    """An error in a few words, for people."""
    if isinstance(error, TextError):
        return error.reason
    return f"no {error}" if isinstance(error, KeyError) else str(error) or type(error).__name__


def gender(word: str) -> str:
    """`female`, `male` or nothing, from what corpora write: F, Female3, fem_01, Alto-1, man."""
    return next((kind for beginning, kind in _GENDERS.items() if word.lower().startswith(beginning)), "")


_GENDERS = dict.fromkeys(("fem", "woman", "alto", "soprano", "mezzo"), "female")
_GENDERS |= dict.fromkeys(("male", "man", "tenor", "bass"), "male") | {"f": "female", "m": "male"}
