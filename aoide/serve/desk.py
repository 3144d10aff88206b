"""Runs a verb of the command line for the studio, in a process of its own: what a tab shows is what it runs.

    remarks = run(Job(("say", "Hello.", "-o", "hello.wav"), folder), tell)

A process of its own can be stopped when the listener leaves, cannot take the studio down with it, and shows its
progress bar as to a person: its standard error is a terminal (a pty), from which the share that is done is read.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from aoide.config import UserError

BAR = re.compile(r"(\d+)%\|")  # of tqdm
NOISE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")  # what moves a terminal's cursor
REMARK = "aoide: "  # how a verb begins what it has to say
REFUSED = 2  # the status of a verb that was given something wrong, which its last remark tells


@dataclass(frozen=True, slots=True)
class Job:
    """A verb with its words, as one would type them after `aoide`, and the folder in which they are meant."""

    words: tuple[str, ...]
    folder: Path

    @property
    def line(self) -> str:
        """The command line."""
        return shlex.join(("aoide", *self.words))


def run(job: Job, tell: Callable[[float], None]) -> list[str]:
    """Runs it, and tells on the way how much is done.

    Args:
        tell: is given the share that is done, 0 to 1.

    Returns:
        What it remarked.

    Raises:
        UserError: what the verb found wrong.
    """
    remarks: list[str] = []
    process, lines = _started(job)
    try:
        for line in lines:
            if bar := BAR.search(line):
                tell(int(bar[1]) / 100)
            elif line.startswith(REMARK):
                remarks.append(line.removeprefix(REMARK))
        status = process.wait()
    finally:
        if process.poll() is None:  # the listener has left
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
    if status:
        told = status == REFUSED and remarks
        raise UserError(remarks[-1] if told else f"`{job.line}` ended with status {status}")
    return remarks


def _command(job: Job) -> list[str]:
    return [sys.executable, "-m", "aoide.cli", *job.words]


def _started(job: Job) -> tuple[subprocess.Popen[bytes], Iterator[str]]:
    """The process, and its lines as they come."""
    command = _command(job)
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    try:
        import pty
        import termios
    except ImportError:  # Windows has none, and no share to show
        process = subprocess.Popen(
            command, cwd=job.folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        assert process.stderr is not None
        return process, _lines(process.stderr.fileno())
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 120))  # a bar takes the width that there is, and of a new pty that is none
    try:
        process = subprocess.Popen(
            command, cwd=job.folder, env=environment, stdin=theirs, stdout=subprocess.DEVNULL, stderr=theirs
        )
    except BaseException:
        os.close(ours)
        raise
    finally:
        os.close(theirs)
    return process, _closing(ours)


def _closing(source: int) -> Iterator[str]:
    try:
        yield from _lines(source)
    finally:
        os.close(source)


def _lines(source: int) -> Iterator[str]:
    """Lines that end with a newline or, as those of a progress bar, with a return."""
    rest = b""
    while True:
        try:
            data = os.read(source, 4096)
        except OSError:  # a terminal whose other side is closed
            data = b""
        if not data:
            break
        *whole, rest = re.split(rb"[\r\n]+", rest + data)
        for line in whole:
            yield NOISE.sub("", line.decode("utf-8", "replace")).strip()
    if rest:
        yield NOISE.sub("", rest.decode("utf-8", "replace")).strip()
