"""One file per data set; its name is what `aoide prepare` is given.

A corpus file has a docstring, which `aoide prepare NAME --help` shows (what it is, size, licence, where to get it,
layout on disk, what is read, options), and

    def clips(root: Path, *, <options>) -> Iterator[Clip | Refused]

which walks over the data as they lie on disk, in a fixed order, and yields each clip, or why it is none. It decodes
nothing and writes nothing. `TEXT = False` says that the corpus has no texts, so that none is asked for. What several
corpora need is in _layout.py (finding the folder, reading texts) and _labels.py (annotations of singing). lhotse's
recipes are not called: they end at the first broken sound, and say of no clip why it is left out; tests compare what
both read. A corpus that is made rather than found also has

    def make(root: Path, *, <options>) -> None

which is called before. Options are keyword arguments of type bool, int, float, str or Path (or None) with a default;
they become options of the command line: `spectra: bool = True` becomes --spectra / --no-spectra. Names of common
options, such as `output`, get what was given there.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

from aoide.config import UserError, near

AUDIO_ENDINGS = (
    *(".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aiff", ".aif"),
    *(".m4a", ".aac", ".g722", ".wma", ".webm"),
)
"""Files that are taken for sound where a corpus does not say which are."""


def names() -> list[str]:
    """All corpora: the files of this folder."""
    return sorted(path.stem for path in Path(__file__).parent.glob("[!_]*.py"))


def find(name: str) -> ModuleType:
    """The module of a corpus.

    Raises:
        UserError: there is none of this name; says which are near.
    """
    known = names()
    if name not in known:
        raise UserError(f"no corpus {name!r};{near(name, known)} corpora are {', '.join(known)}")
    return importlib.import_module(f"aoide.data.corpora.{name}")
