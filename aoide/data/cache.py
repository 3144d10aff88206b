"""What was computed once and need not be again: arrays, kept under the hash of the sound and of the settings.

    CACHE/pitch-3fa98c12e5d07b64/settings.json      what the numbers were computed with
    CACHE/pitch-3fa98c12e5d07b64/9c/9c41...e0.npy   one entry, named by the hash of the samples

A changed setting is another folder and a changed recording another file, so an entry is never stale. It is written
aside and renamed: a reader finds all of it or nothing, and two processes that compute the same entry do no harm. Behind
the array stands its checksum, four bytes that numpy does not look at: an entry that the disk changed is computed anew.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import struct
import threading
import warnings
import zlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from aoide.config import UserError, write_aside


class Broken(Exception):  # noqa: N818  (what is the matter with the entry, not what went wrong)
    """An entry that is not what was written."""


class Cache:
    """Arrays of one kind, computed with one set of settings.

    Args:
        folder: where caches are; made when needed.
        kind: what is kept, part of the folder's name: "pitch".
        settings: everything that the numbers depend on besides the sound: plain data and dataclasses.
    """

    def __init__(self, folder: Path, kind: str, settings: Mapping[str, Any]) -> None:
        self.settings = json.dumps(settings, sort_keys=True, default=dataclasses.asdict, indent=1)
        key = hashlib.blake2b(self.settings.encode(), digest_size=8).hexdigest()
        self.folder = folder / f"{kind}-{key}"

    def path(self, content: str) -> Path:
        """Where the entry of a sound is; `content` is the hash of its samples."""
        return Path(self._file(content))

    def _file(self, content: str) -> str:
        return f"{self.folder}/{content[:2]}/{content}.npy"

    def load(self, content: str) -> np.ndarray | None:
        """The entry of a sound; None if it is not there.

        Raises:
            Broken: it is there, and damaged.
        """
        path = self._file(content)
        try:
            with open(path, "rb") as file:
                data = file.read()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise Broken(f"{path}: {error.strerror}") from None
        if len(data) < 4 or zlib.crc32(memoryview(data)[:-4]) != struct.unpack("<I", data[-4:])[0]:
            raise Broken(f"{path}: its checksum is another")
        return np.lib.format.read_array(BytesIO(data), allow_pickle=False)

    def save(self, content: str, array: np.ndarray) -> None:
        """Keeps the entry of a sound.

        Raises:
            UserError: the cache cannot be written.
        """
        path = self._file(content)
        data = _npy(array)
        aside = f"{path}.part-{os.getpid()}-{threading.get_ident()}"
        try:  # by hand, not by `write_aside`, whose questions cost more than the writing of so small a file
            try:
                file = open(aside, "wb")  # noqa: SIM115  (closed below)
            except FileNotFoundError:  # the first entry there, or somebody has cleared the cache meanwhile
                self._make(os.path.dirname(path))
                file = open(aside, "wb")  # noqa: SIM115
            with file:
                file.write(data)
                file.write(struct.pack("<I", zlib.crc32(data)))
            os.replace(aside, path)
        except OSError as error:
            with suppress(OSError):
                os.unlink(aside)
            raise UserError(f"{path}: cannot be written: {error.strerror}; make room, or set data.cache") from None

    def get(self, content: str, compute: Callable[[], np.ndarray]) -> np.ndarray:
        """The entry of a sound, computed and kept if it is not there yet, or damaged.

        Raises:
            UserError: the cache cannot be written.
        """
        try:
            array = self.load(content)
        except Broken as broken:
            warnings.warn(f"{broken}; it is computed anew", stacklevel=2)
            array = None
        if array is None:
            array = compute()
            self.save(content, array)
        return array

    def _make(self, folder: str) -> None:
        try:
            os.makedirs(folder, exist_ok=True)
        except OSError as error:
            raise UserError(f"{folder}: the cache cannot be written: {error.strerror}; set data.cache") from None
        note = self.folder / "settings.json"
        if not note.exists():
            with write_aside(note) as aside:
                aside.write_text(self.settings, "utf-8")


def _npy(array: np.ndarray) -> bytes:
    """What `np.save` writes of a plain array, in a tenth of its time, which for small files is most of the work.

    Format 1.0 of numpy/lib/format.py: a mark, the length of what follows, the kind of the array as a dictionary of
    Python, blanks up to a multiple of 64 bytes, and the numbers in the order of C.
    """
    assert array.dtype.isbuiltin == 1, f"{array.dtype} is not a plain number"
    kind = f"{{'descr': {array.dtype.str!r}, 'fortran_order': False, 'shape': {array.shape!r}, }}"
    length = -(-(10 + len(kind) + 1) // 64) * 64 - 10
    head = b"\x93NUMPY\x01\x00" + struct.pack("<H", length) + kind.encode("latin1").ljust(length - 1) + b"\n"
    return head + array.tobytes()
