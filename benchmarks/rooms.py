"""Rooms and workers: each thing that the benchmark measures runs in a virtual environment and a process of its own.

A room is a virtual environment with pinned versions, made once under the cache folder and named after its pins, so that
another pin means another room. A worker is a script of benchmarks/workers/ that runs in a room and answers questions.
"""

import hashlib
import json
import os
import subprocess
import sys
import venv
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

WORKERS = Path(__file__).parent / "workers"
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@dataclass(frozen=True, kw_only=True, slots=True)
class Room:
    name: str
    packages: tuple[str, ...]
    alone: tuple[str, ...] = ()  # installed without what they ask for, where they ask for more than they use
    files: tuple[
        tuple[str, str], ...
    ] = ()  # (path below site-packages, sha256): the weights that the figures are about

    def python(self, cache: Path) -> Path:
        """The interpreter of the room, which is made first if it is not there."""
        pins = "\n".join((*self.packages, *self.alone, f"{sys.version_info.major}.{sys.version_info.minor}"))
        folder = cache / "rooms" / f"{self.name}-{hashlib.sha256(pins.encode()).hexdigest()[:10]}"
        python = folder / "bin" / "python"
        if not (folder / "ready").exists():
            print(f"making the environment of {self.name} (once)", file=sys.stderr)
            venv.create(folder, with_pip=True, clear=True)
            install = [str(python), "-m", "pip", "install", "-qq", "--disable-pip-version-check"]
            subprocess.run([*install, *self.packages], check=True)
            if self.alone:
                subprocess.run([*install, "--no-deps", *self.alone], check=True)
            self.check(folder)
            (folder / "ready").write_text(pins + "\n")
        return python

    def check(self, folder: Path) -> None:
        """Ends the run if a file is not the one that the figures are about."""
        for name, expected in self.files:
            (path,) = folder.glob(f"lib/python*/site-packages/{name}")
            if (found := sha256([path])) != expected:
                raise SystemExit(f"{self.name}: {name} has sha256 {found}, the benchmark was written for {expected}")


class Worker:
    """A running worker. `ask` sends one question and waits for the answer; the worker sleeps in between."""

    def __init__(self, python: Path | str, script: str | Path, *arguments: str, threads: int | None = None) -> None:
        self.name = Path(script).stem
        self.process = subprocess.Popen(
            [str(python), str(WORKERS / script), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            env=environment(threads),
        )

    def ask(self, **question: Any) -> dict[str, Any]:
        assert self.process.stdin is not None and self.process.stdout is not None
        try:
            print(json.dumps(question), file=self.process.stdin, flush=True)
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise SystemExit(f"{self.name} ended by itself with status {self.process.wait()}; its words are above")
        answer = json.loads(line)
        if "error" in answer:
            raise SystemExit(f"{self.name}: {answer['error']} (asked: {json.dumps(question)[:200]})")
        return answer

    def close(self) -> None:
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


def environment(threads: int | None = None) -> dict[str, str]:
    """The variables of a child: the thread count where it is given, and byte code is kept, as on a user's machine."""
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return inherited | ({name: str(threads) for name in THREAD_VARIABLES} if threads else {})


def files_below(paths: Iterable[Path]) -> list[Path]:
    """All files named or contained, sorted, without byte code."""
    found = set()
    for path in paths:
        found.update([path] if path.is_file() else (p for p in path.rglob("*") if p.is_file()))
    return sorted(path for path in found if "__pycache__" not in path.parts)


def sha256(paths: Iterable[Path]) -> str:
    """One hash over the contents of the files, in sorted order."""
    digest = hashlib.sha256()
    for path in files_below(paths):
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


def megabytes(paths: Iterable[Path]) -> float:
    return sum(path.stat().st_size for path in files_below(paths)) / 1e6
