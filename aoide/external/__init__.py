"""Other people's frozen networks, one file each: loaded when asked for, from a package, a local path or a hub."""

from __future__ import annotations

import importlib
import os
from typing import Any

from aoide.config import UserError, near

CODECS = ("encodec", "mimi", "xcodec2", "cosyvoice2")


def codec(name: str, source: str | os.PathLike[str] | None = None) -> Any:
    """A codec of somebody else that looks like one of ours (aoide/models/codec/__init__.py).

    Args:
        name: one of `CODECS`.
        source: a hub name or a local folder with its weights; None: those that its authors published.

    Raises:
        UserError: no codec of this name, or no weights there.
        MissingExtra: transformers is not installed.
    """
    if name not in CODECS:
        guess = near(name, CODECS) or f" there are {', '.join(CODECS)}"
        raise UserError(f"no codec {name!r} of other people;{guess}")
    module = importlib.import_module(f"aoide.external.{name}")
    return module.load(module.SOURCE if source is None else source)
