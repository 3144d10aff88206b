"""What was computed once and need not be again: arrays, kept under the hash of the sound and of the settings.

    CACHE/f0-3fa98c12e5d07b64/settings.json      what the numbers were computed with
    CACHE/f0-3fa98c12e5d07b64/9c/9c41...e0.npy   one entry, named by the hash of the samples

A changed setting is another folder and a changed recording another file, so an entry is never stale. It is written
aside and renamed: a reader finds all of it or nothing, and two processes that compute the same entry do no harm.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from aoide.config import UserError, write_aside


class Cache:
    """Arrays of one kind, computed with one set of settings.

    Args:
        folder: where caches are; made when needed.
        kind: what is kept, part of the folder's name: "f0".
        settings: everything that the numbers depend on besides the sound: plain data and dataclasses.
    """

    def __init__(self, folder: Path, kind: str, settings: Mapping[str, Any]) -> None:
        self.settings = json.dumps(settings, sort_keys=True, default=dataclasses.asdict, indent=1)
        key = hashlib.blake2b(self.settings.encode(), digest_size=8).hexdigest()
        self.folder = folder / f"{kind}-{key}"

    def path(self, content: str) -> Path:
        """Where the entry of a sound is; `content` is the hash of its samples."""
        return self.folder / content[:2] / f"{content}.npy"

    def get(self, content: str, compute: Callable[[], np.ndarray]) -> np.ndarray:
        """The entry of a sound, computed and kept if it is not there yet.

        Raises:
            UserError: the cache cannot be written.
        """
        path = self.path(content)
        try:
            return np.load(path)
        except (FileNotFoundError, NotADirectoryError):
            pass
        except (OSError, ValueError, EOFError):
            path.unlink(missing_ok=True)  # a disk that lost part of it; it is computed anew
        array = compute()
        self._make(path.parent)
        with write_aside(path) as aside, open(aside, "wb") as file:
            np.save(file, array)
        return array

    def _make(self, folder: Path) -> None:
        if folder.is_dir():
            return
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"{folder}: the cache cannot be written: {error.strerror}; set data.cache") from None
        note = self.folder / "settings.json"
        if not note.exists():
            with write_aside(note) as aside:
                aside.write_text(self.settings, "utf-8")
