"""Whether whoever is heard in a recording agreed to be spoken like: asked once a recording, and remembered.

The answers lie in the user's state folder ($XDG_STATE_HOME/aoide/consent.json, usually ~/.local/state), by a hash of
the recording's bytes, so a copy of it needs no second answer and another recording does. Nothing else is kept, and
whoever deletes the file is asked again. Scripts say --i-have-consent each time.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import os
import sys
from pathlib import Path
from typing import Any

from aoide.config import UserError, write_aside

CONSENT = (
    "--like speaks in anybody's voice: say with --i-have-consent that whoever is heard in {} agreed to it, "
    "or that the voice is your own"
)
ASK = (
    "This speaks in the voice of whoever is heard in {}.\n"
    "Did they agree to it, or is it your own voice? What comes out is marked as synthetic. [y/N] "
)


def check(recording: Path, said: bool) -> None:
    """Makes sure that there is consent.

    Args:
        said: it was said on the command line.

    Raises:
        UserError: nobody said so, and nobody can be asked or the answer was no.
    """
    if said:
        return
    if not (sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty()):
        raise UserError(CONSENT.format(recording))
    mark = _mark(recording)
    answers = _answers()
    if mark in answers:
        return
    print(ASK.format(recording), end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise UserError(CONSENT.format(recording))
    answers[mark] = {"name": recording.name, "agreed": datetime.date.today().isoformat()}
    _remember(answers)


def state() -> Path:
    """The file of answers."""
    root = os.environ.get("XDG_STATE_HOME", "")
    return (Path(root) if os.path.isabs(root) else Path.home() / ".local" / "state") / "aoide" / "consent.json"


def _mark(recording: Path) -> str:
    try:
        with recording.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UserError(f"{recording}: cannot be read: {error.strerror}") from None


def _answers() -> dict[str, Any]:
    """What was answered before; a file that is not there or not ours holds nothing."""
    try:
        kept = json.loads(state().read_text("utf-8"))["recordings"]
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return kept if isinstance(kept, dict) else {}


def _remember(answers: dict[str, Any]) -> None:
    """Writes the answers down; where that cannot be done the next run asks again."""
    try:
        state().parent.mkdir(parents=True, exist_ok=True)
        with write_aside(state()) as aside:
            aside.write_text(json.dumps({"recordings": answers}, ensure_ascii=False, indent=1) + "\n", "utf-8")
    except (OSError, UserError) as error:
        print(f"aoide: the answer cannot be remembered in {state()} ({error})", file=sys.stderr)
