"""Traces as files: what a model did step by step, in a few megabytes that hold no code.

    trace = Trace.load("run.aoide")
    trace.about["steps"], trace.array("steps")
    trace.save("copy.aoide")

A `.aoide` file is a zip archive (deflate):

    trace.json       the first member: format, version, what was run, and where everything is; see docs/explaining.md
    arrays/NAME      the numbers of an array, little-endian, row after row; `arrays` in trace.json says how to read them
    sounds/NAME      a sound file (Ogg Opus)

Arrays are bytes between a lowest and a highest value (u1: value = low + byte / 255 * (high - low)), half precision
(f2), or whole numbers (i4). A reader refuses a newer version, and bounds every size before it reads.
"""

from __future__ import annotations

import io
import json
import lzma
import os
import zipfile
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from aoide.config import UserError, write_aside
from aoide.version import __version__

FORMAT = "aoide-trace"
VERSION = 1
ENDING = ".aoide"
HEAD = "trace.json"
MOST_HEAD = 8 << 20  # bytes of trace.json
MOST_MEMBERS = 2000
SMALL = 8192  # bytes of an array that is not worth packing: a browser opens it at once
MOST_BYTES = 256 << 20  # of all members, unpacked
TYPES: dict[str, np.dtype[Any]] = {"u1": np.dtype("u1"), "f2": np.dtype("<f2"), "i4": np.dtype("<i4")}
MOST_AXES = 4


@dataclass(slots=True)
class Trace:
    """What a model did.

    Attributes:
        about: trace.json without `arrays`: plain JSON.
        arrays: name -> numbers as they are stored, see `put` and `array`.
        sounds: name -> the bytes of a sound file.
    """

    about: dict[str, Any]
    arrays: dict[str, Stored] = field(default_factory=dict)
    sounds: dict[str, bytes] = field(default_factory=dict)

    def __repr__(self) -> str:
        about = self.about
        return f"Trace({about.get('model', '')}, {len(about.get('steps', ()))} steps, {about.get('seconds', 0):.2f} s)"

    # -------------------------------------------------------------------------------------------------------- contents

    def put(self, name: str, values: np.ndarray, kind: str = "f2") -> str:
        """Keeps an array under a name, and gives the name back.

        Args:
            kind: u1, of which each number takes a byte; f2, half precision; i4, whole numbers.
        """
        self.arrays[name] = Stored.of(np.asarray(values), kind)
        return name

    def array(self, name: str) -> np.ndarray:
        """The numbers of an array, float32 or int32."""
        return self.arrays[name].values()

    @property
    def title(self) -> str:
        return str(self.about.get("title", ""))

    # ----------------------------------------------------------------------------------------------------------- files

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the file, aside and then in place."""
        if Path(path).suffix.lower() != ENDING:
            raise UserError(f"{path}: a trace ends in {ENDING}")
        with write_aside(path) as aside:
            aside.write_bytes(self.bytes())

    def bytes(self) -> bytes:
        """What `save` writes."""
        head = {
            "format": FORMAT,
            "version": VERSION,
            "aoide": __version__,
            **self.about,
            "arrays": {name: stored.about() for name, stored in self.arrays.items()},
            "sounds": list(self.sounds),
        }
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
            archive.writestr(_member(HEAD), json.dumps(head, ensure_ascii=False, allow_nan=False))
            for name, stored in self.arrays.items():
                archive.writestr(_member(f"arrays/{name}", stored.data.nbytes > SMALL), stored.data.tobytes())
            for name, data in self.sounds.items():
                archive.writestr(_member(f"sounds/{name}", packed=False), data)
        return file.getvalue()

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Trace:
        """Reads a file.

        Raises:
            UserError: none there, another kind of file, a newer version, or one that is damaged or too large.
        """
        try:
            with open(path, "rb") as file:
                return read(file, str(path))
        except FileNotFoundError:
            raise UserError(f"{path}: no such file") from None
        except (IsADirectoryError, PermissionError) as error:
            raise UserError(f"{path}: cannot be read: {error.strerror}") from None

    # ------------------------------------------------------------------------------------------------------------ show

    def page(self, path: str | os.PathLike[str]) -> None:
        """Writes the page that shows it, one file that needs no network."""
        from aoide.explain import page

        page.write(path, [self])

    def _repr_html_(self) -> str:
        """The page inside a notebook."""
        from aoide.explain import page

        return page.framed([self])


@dataclass(slots=True)
class Stored:
    """An array as it lies in the file."""

    kind: str
    data: np.ndarray
    low: float = 0.0
    high: float = 1.0

    @classmethod
    def of(cls, values: np.ndarray, kind: str) -> Stored:
        if kind == "i4":
            return cls(kind, values.astype(TYPES[kind]))
        finite = np.nan_to_num(values.astype(np.float32), nan=0.0, posinf=6e4, neginf=-6e4)
        if kind == "f2":
            return cls(kind, np.clip(finite, -6.5e4, 6.5e4).astype(TYPES[kind]))
        low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
        high = high if high > low else low + 1.0
        scaled = np.rint((finite - np.float32(low)) * np.float32(255 / (high - low)))
        return cls(kind, np.clip(scaled, 0, 255).astype(TYPES[kind]), low, high)

    def values(self) -> np.ndarray:
        if self.kind == "i4":
            return self.data.astype(np.int32)
        if self.kind == "f2":
            return self.data.astype(np.float32)
        return self.data.astype(np.float32) * np.float32((self.high - self.low) / 255) + np.float32(self.low)

    def about(self) -> dict[str, Any]:
        about: dict[str, Any] = {"kind": self.kind, "shape": list(self.data.shape)}
        return about | ({"low": self.low, "high": self.high} if self.kind == "u1" else {})


def read(file: BinaryIO, name: str) -> Trace:
    """A trace from an open file; see `Trace.load`."""
    try:
        with zipfile.ZipFile(file) as archive:
            members = archive.infolist()
            if len(members) > MOST_MEMBERS or sum(member.file_size for member in members) > MOST_BYTES:
                raise UserError(f"{name}: larger than a trace can be ({MOST_BYTES >> 20} MB)")
            head = _head(archive, name)
            arrays = {key: _array(archive, key, about, name) for key, about in head.pop("arrays").items()}
            sounds = {key: _member_bytes(archive, f"sounds/{key}", MOST_BYTES) for key in head.pop("sounds")}
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError, NotImplementedError, RuntimeError):
        raise UserError(f"{name}: not a trace that `aoide explain` wrote, or a damaged one") from None
    except (KeyError, TypeError, AttributeError, ValueError, OverflowError) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f"{name}: a damaged trace ({error})") from None
    return Trace(head, arrays, sounds)


def _head(archive: zipfile.ZipFile, name: str) -> dict[str, Any]:
    """trace.json, checked."""
    if HEAD not in archive.namelist():
        raise UserError(f"{name}: not a trace: it holds no {HEAD}")
    head = json.loads(_member_bytes(archive, HEAD, MOST_HEAD))
    if not isinstance(head, dict) or head.pop("format", None) != FORMAT:
        raise UserError(f"{name}: not a trace: its {HEAD} says another format")
    version = head.pop("version", None)
    if not isinstance(version, int) or version > VERSION:
        raise UserError(
            f"{name}: written by Aoide {head.get('aoide', 'of a later day')} in version {version} of the format, and "
            f"this one reads up to {VERSION}: update Aoide"
        )
    if not isinstance(head.get("arrays"), dict) or not isinstance(head.get("sounds"), list):
        raise UserError(f"{name}: a damaged trace: its {HEAD} names no arrays or sounds")
    return head


def _array(archive: zipfile.ZipFile, key: str, about: dict[str, Any], name: str) -> Stored:
    """An array whose member is exactly as long as its shape says."""
    kind, shape = about["kind"], tuple(about["shape"])
    whole = all(isinstance(size, int) and 0 <= size <= MOST_BYTES for size in shape)
    if kind not in TYPES or not whole or len(shape) > MOST_AXES:
        raise UserError(f"{name}: a damaged trace: array {key} is of kind {kind}, shape {shape}")
    size = int(np.prod(shape, dtype=object)) * TYPES[kind].itemsize
    data = _member_bytes(archive, f"arrays/{key}", min(size, MOST_BYTES))
    if len(data) != size:
        raise UserError(f"{name}: a damaged trace: array {key} has {len(data)} bytes for shape {shape}")
    values = np.frombuffer(data, TYPES[kind]).reshape(shape)
    return Stored(kind, values, float(about.get("low", 0.0)), float(about.get("high", 1.0)))


def _member_bytes(archive: zipfile.ZipFile, name: str, most: int) -> bytes:
    """A member, of which no more than `most` bytes are unpacked, whatever the archive says of its size."""
    with archive.open(name) as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise UserError(f"{archive.filename or 'the trace'}: {name} is larger than it should be")
    return data


def _member(name: str, packed: bool = True) -> zipfile.ZipInfo:
    """A member with a fixed date, so that one run gives one file."""
    info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
    info.compress_type = zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED
    info.external_attr = 0o644 << 16
    return info
