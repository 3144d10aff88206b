"""The small checkpoints that come in the package, one folder each: voices, vocoders, codecs and more, each with a card.

NAME/voice.json      a voice (see `generate/folder.py`)
NAME/singer.json     a singer (see `generate/singer.py`)
NAME/vocoder.json    a vocoder (see `generate/vocoder.py`)
NAME/codec.json      a codec (see `generate/codec.py`)
NAME/converter.json  a converter of voices (see `generate/converter.py`)
NAME/described.json  a model of described sounds (see `generate/described.py`)
NAME/soundfont.json  a sound font (see `generate/soundfont.py`)
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from aoide.config import UserError, near

DEFAULT = "en-heart"
DEFAULT_SINGERS = {"en": "en-heart-song", "ja": "ja-f001-song"}  # by the language of the lyrics
DEFAULT_VOCODER = "universal-24k"
DEFAULT_CODEC = "mel-24k"
DEFAULT_CONVERTER = "convert-24k"
DEFAULT_DESCRIBED = "sounds-24k"
DEFAULT_FONT = "general-midi-24k"
KINDS = ("voice", "singer", "vocoder", "codec", "converter", "described", "soundfont")


def names(kind: str = "voice") -> list[str]:
    """The names of what is in the package, sorted."""
    return sorted(path.parent.name for path in Path(__file__).parent.glob(f"*/{kind}.json"))


def kind_of(name: str) -> str | None:
    """What `name` is, a folder or something in the package: one of KINDS, None for neither."""
    folders = (Path(__file__).parent / name, Path(name))
    return next((kind for folder in folders for kind in KINDS if name and (folder / f"{kind}.json").is_file()), None)


def find(name: str, others: Iterable[str] = (), kind: str = "voice") -> Path:
    """The folder of a voice, vocoder or codec: one of `names(kind)`, or the path of a folder that `aoide export` wrote.

    Args:
        others: names that the caller would have taken too; the error looks for near ones among them as well.

    Raises:
        UserError: neither; names the near ones.
    """
    known = names(kind)
    if name in known:
        return Path(__file__).parent / name
    if name and Path(name).is_dir():
        return Path(name)
    guess = near(name, [*known, *others])
    if "/" in name and not guess:
        raise UserError(f"{name}: no such folder")
    guess = guess or (f" there is {', '.join(known)}" if known else " none came with this package")
    raise UserError(f"no {kind} {name!r};{guess}")
