"""What exported vocoders and codecs share: a folder with a JSON that says what it is, and graphs it vouches for.

Voices have a JSON of their own (`generate/folder.py`), but their graphs are run by the same `session`.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from aoide.config import UserError, build, to_dict, write_aside
from aoide.version import __version__

FORMAT = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Packed:
    """What every such JSON says."""

    format: int = FORMAT
    name: str
    summary: str = ""  # one line for lists
    licence: str
    sha256: dict[str, str]  # of each graph: file -> sum
    aoide: str = __version__  # the version that wrote it


AnyPacked = TypeVar("AnyPacked", bound=Packed)


def read(cls: type[AnyPacked], folder: Path, file: str) -> AnyPacked:
    """Reads `folder/file.json`.

    Raises:
        UserError: it is missing, broken, or from a newer Aoide.
    """
    path = folder / f"{file}.json"
    try:
        data = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise UserError(f"{folder}: no {path.name} in it, so no {file} that `aoide export` wrote") from None
    except (OSError, ValueError):
        raise UserError(f"{path}: broken: not JSON that can be read; export the {file} again") from None
    if not isinstance(data, dict) or data.get("format", 0) > FORMAT:
        raise UserError(f"{path}: not a {file} that this Aoide reads; get a newer Aoide")
    return build(cls, data, str(path))


def one_line(folder: Path, file: str) -> str:
    """Licence and summary of what is in `folder`, for lists."""
    try:
        data = json.loads((folder / f"{file}.json").read_text("utf-8"))
    except (OSError, ValueError):
        return "broken"
    return f"{data.get('licence', '')}. {data.get('summary', '')}".rstrip()


def write(description: Packed, folder: Path, file: str) -> None:
    """Writes `folder/file.json`, aside and then renamed."""
    with write_aside(folder / f"{file}.json") as aside:
        aside.write_text(json.dumps(to_dict(description), ensure_ascii=False, indent=1) + "\n", "utf-8")


def open_graph(path: Path, sha256: str, threads: int) -> Any:
    """A session of onnxruntime on the CPU, for a graph that a folder's JSON vouches for.

    Raises:
        UserError: a missing file, another one than the JSON vouches for, or one that cannot be run.
    """
    return session(checked(path, sha256), threads, path)


def checked(path: Path, sha256: str) -> bytes:
    """A file that a folder's JSON vouches for.

    Raises:
        UserError: it is missing, or another one.
    """
    try:
        data = path.read_bytes()
    except OSError:
        raise UserError(f"{path}: cannot be read; install or export it again") from None
    if hashlib.sha256(data).hexdigest() != sha256:
        raise UserError(f"{path}: not the file that its JSON describes: truncated or exchanged; install it again")
    return data


def session(graph: bytes, threads: int, path: Path) -> Any:
    """A session of onnxruntime on the CPU, for a graph that was read from `path`.

    Raises:
        UserError: no threads, or a graph that cannot be run.
    """
    import onnxruntime

    if threads < 1:
        raise UserError(f"threads: 1 or more, got {threads}")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # what goes wrong is raised; nothing is printed besides
    try:
        return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's errors have no common base but this one
        reason = str(error).splitlines()[0]
        raise UserError(f"{path}: onnxruntime {onnxruntime.__version__} cannot run it: {reason}") from None


def sum_of(path: str | os.PathLike[str]) -> str:
    """SHA-256 of a file."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def tags(comment: str) -> dict[str, str]:
    """What a file that was made by a network says about itself."""
    return {"comment": f"synthetic: yes; {comment}", "software": f"Aoide {__version__}"}
