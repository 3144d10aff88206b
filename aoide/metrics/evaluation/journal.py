"""What was measured so far, on disk, line by line: so that memory stays flat and an interrupted run goes on.

A line is one sound: {"name", "system", "reference": mark, "generated": mark, "values": {key: value}, "about": {...}}.
A mark is a hash of size, time of change and stretch of a file; a value counts again as long as the marks of the files
that it was measured on are the same. Later lines are laid over earlier ones.
"""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from aoide.config import UserError
from aoide.metrics.evaluation.items import Item
from aoide.metrics.evaluation.measure import Found

NAME = "values.jsonl"


def mark(item: Item | None) -> str:
    """Changes when the file does."""
    if item is None:
        return ""
    state = item.path.stat()
    text = f"{state.st_size} {state.st_mtime_ns} {item.start} {item.samples}"
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


class Journal:
    """The journal of a folder, read and then continued; a context manager.

    Raises:
        UserError: the file cannot be read or written.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / NAME
        self._rows: dict[tuple[str, str], dict[str, Any]] = {}
        self._file: IO[str] | None = None

    def __enter__(self) -> Journal:
        try:
            if self.path.exists():
                self._read()
            self._file = self.path.open("a", encoding="utf-8")
            self._file.write("\n")  # ends a line that an interrupted run left half written
        except OSError as error:
            raise UserError(f"{self.path}: {error.strerror}") from None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()

    def _read(self) -> None:
        with self.path.open(encoding="utf-8", errors="replace") as lines:
            for line in lines:
                try:
                    row = json.loads(line)
                    self._lay(row)
                except (ValueError, KeyError, TypeError):
                    continue  # half a line: its values are measured again

    def _lay(self, row: dict[str, Any]) -> None:
        place = row["name"], row["system"]
        known = self._rows.get(place)
        if known and known["generated"] == row["generated"]:
            known["about"].update(row["about"])
            if known["reference"] == row["reference"]:
                known["values"].update(row["values"])
                return
            kept = {key: value for key, value in known["values"].items() if not key.startswith("pair ")}
            row = {**row, "values": {**kept, **row["values"]}, "about": known["about"]}
        self._rows[place] = row

    def values(self, name: str, system: str, reference: str, generated: str) -> dict[str, Any]:
        """What is known by key of step, of a sound whose marks are these."""
        row = self._rows.get((name, system))
        if row is None or row["generated"] != generated:
            return {}
        if row["reference"] == reference:
            return row["values"]
        return {key: value for key, value in row["values"].items() if not key.startswith("pair ")}

    def about(self, name: str, system: str) -> dict[str, Any]:
        """Seconds, rate, silent."""
        row = self._rows.get((name, system))
        return row["about"] if row else {}

    def add(self, found: Found, reference: str, generated: str) -> None:
        """Keeps what a worker found. Sounds that were excluded are looked at again next time."""
        if found.excluded or not found.about:
            return
        row = {
            "name": found.name,
            "system": found.system,
            "reference": reference,
            "generated": generated,
            "values": found.values,
            "about": found.about,
        }
        self._lay(row)
        assert self._file is not None, "a journal is used in a with block"
        try:
            self._file.write(json.dumps(row, ensure_ascii=False) + "\n")
            self._file.flush()
        except OSError as error:
            raise UserError(f"{self.path}: cannot be written: {error.strerror}") from None


def plain(value: Any) -> Any:
    """For strict JSON: what is not finite becomes null."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value
