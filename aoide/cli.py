"""The command line: `aoide VERB ...`. A verb is a file in aoide/commands; only the one asked for is imported.

Whatever a user can cause ends in one line on standard error and exit status 2, without a traceback.
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

from aoide.config import MissingExtra, UserError, near
from aoide.version import __version__

USAGE = """usage: aoide VERB ...

{verbs}

aoide VERB --help explains a verb, aoide --version tells the version.
Example: aoide say "Any input becomes sound." -o hello.wav
"""
FAILED = 2
INTERRUPTED = 130  # 128 + SIGINT, as a shell reports it
NOBODY_LISTENS = 141  # 128 + SIGPIPE


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message} ({self.prog} --help explains)")


def verbs() -> dict[str, str]:
    """The verbs and what each does: the files in aoide/commands and the first line of each, read and not imported."""
    folder = Path(__file__).parent / "commands"
    return {path.stem: _first_line(path) for path in sorted(folder.glob("[!_]*.py"))}


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and returns the exit status."""
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        with _orderly_end():
            status = _run(arguments)
            sys.stdout.flush()  # here, where a closed pipe is still caught
        return status
    except (UserError, MissingExtra) as error:
        print(f"aoide: {' '.join(str(error).split())}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        print("aoide: interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python flushes once more at exit
        return NOBODY_LISTENS


@contextmanager
def _orderly_end() -> Iterator[None]:
    """Lets `kill` end the program as an error does, so that half-written files are removed on the way out."""

    def end(number: int, frame: object) -> NoReturn:
        raise SystemExit(128 + number)

    try:
        before = signal.signal(signal.SIGTERM, end)
    except ValueError:  # not in the main thread: who called it there sees to signals
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _run(arguments: Sequence[str]) -> int:
    known = verbs()
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        width = max(map(len, known))
        print(USAGE.format(verbs="\n".join(f"  {verb:{width}}  {line}" for verb, line in known.items())), end="")
        return 0
    if arguments[0] == "--version":
        print(f"aoide {__version__}")
        return 0
    verb, *rest = arguments
    if verb not in known:
        guess = near(verb, known) or f" verbs are {', '.join(known)}"
        raise UserError(f"unknown verb {verb!r};{guess}")
    import importlib

    command = importlib.import_module(f"aoide.commands.{verb}")
    summary, _, story = (command.__doc__ or "").strip().partition("\n")
    parser = Parser(
        prog=f"aoide {verb}",
        description=f"{summary}\n{story}".strip(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    command.parser(parser)
    try:  # options and words in any order: train R.yaml --steps 9 model.dim=8
        chosen, unknown = parser.parse_known_intermixed_args(rest)
    except TypeError:  # argparse cannot do that where a verb takes all the rest as it is
        chosen, unknown = parser.parse_known_args(rest)
    if unknown:
        options = re.findall(r"(?<![\w-])--[a-z][a-z-]*", parser.format_help())
        guess = near(unknown[0].partition("=")[0], options) if unknown[0].startswith("--") else ""
        parser.error(f"{unknown[0]!r} is not an argument of {verb}{';' if guess else ''}{guess}")
    return command.run(chosen)


def _first_line(path: Path) -> str:
    """The first line of a file's docstring, without its full stop."""
    with path.open(encoding="utf-8") as file:
        return file.readline().strip().strip('"').rstrip(".")


if __name__ == "__main__":
    sys.exit(main())
