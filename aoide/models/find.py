"""The path is the name: `vocoder/vocos` is aoide/models/vocoder/vocos.py. Listing reads the folder, imports nothing."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

from aoide.config import UserError, near, require


def names() -> list[str]:
    """The names of all models, `task/model`, sorted."""
    folder = Path(__file__).parent
    return sorted(f"{path.parent.name}/{path.stem}" for path in folder.glob("[!_]*/[!_]*.py"))


def find(name: str) -> ModuleType:
    """The model file of this name, imported.

    Raises:
        UserError: there is none; names the near ones.
        MissingExtra: torch is not installed.
    """
    known = names()
    if name not in known:
        guess = near(name, known) or f" there are {', '.join(known)}"
        raise UserError(f"no model {name!r};{guess}")
    require("torch", "torch")
    return importlib.import_module(f"aoide.models.{name.replace('/', '.')}")
