"""Make a listening test, and count its answers: aoide listen make|score.

`make` writes a page that people open in a browser, sounds beside it. Each listener gets a number; the number decides
the order, and a Latin square gives everybody each sound once and each system equally often. Who made a sound is shown
to nobody. At the end the page saves a file of answers; `score` turns these files into means with 95 % intervals.

  aoide listen make --kind mos recordings ours theirs -o test
  aoide listen make --kind mushra recordings ours theirs -o test --count 12
  aoide listen score answers-*.json

  mos     naturalness, 1 to 5; the recordings are among the systems      smos    likeness to the reference, 1 to 5
  cmos    which of two is better, -3 to 3                                abx     which of two is X
  mushra  all systems of one sound, 0 to 100, with hidden reference and a 3.5 kHz anchor (ITU-R BS.1534)
"""

from __future__ import annotations

import argparse
import base64
import binascii
import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from aoide.config import UserError, write_aside

KINDS = ("mos", "smos", "cmos", "mushra", "abx")
_ANCHOR_RATE = 7700  # Hz: through this rate passes what is below 3.5 kHz, and nothing above 3.85
_INSTRUCTIONS = "Please use headphones in a quiet place, and set a comfortable volume before you begin."


def parser(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", choices=("make", "score"))
    parser.add_argument("places", nargs="+", type=Path, metavar="PLACE", help="REF A B ..., or files of answers")
    parser.add_argument("--kind", choices=KINDS, help="of test")
    parser.add_argument("-o", "--output", type=Path, metavar="DIR", help="folder for the test")
    parser.add_argument("--title", default="Listening test", help="of the page")
    parser.add_argument("--count", type=int, metavar="N", help="so many sounds, drawn by the seed (default: all)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of orders and draws (default: 0)")
    parser.add_argument("--allow-missing", action="store_true", help="take the names that all have")
    parser.add_argument("--json", action="store_true", help="score: print all figures as JSON")


def run(options: argparse.Namespace) -> int:
    if options.action == "score":
        return _score(options)
    if options.kind is None or options.output is None:
        raise UserError("listen make needs --kind and -o")
    if len(options.places) < 2:
        raise UserError("listen make needs a reference and at least one system: REF A B ...")
    test = make(options)
    print(f"{options.output / 'index.html'}: {len(test['items'])} sounds, {test['systems']} systems, {options.kind}")
    print("Give each listener a number, from 0 on; a link with ?listener=NUMBER fills it in.")
    return 0


# ---------------------------------------------------------------------------------------------------------------- make


def make(options: argparse.Namespace) -> dict[str, Any]:
    """Writes the sounds and the page, and returns what the page knows."""
    import random

    from tqdm import tqdm

    from aoide.audio.sound import Sound
    from aoide.metrics.evaluation.items import match
    from aoide.metrics.evaluation.opinions import ANCHOR, REFERENCE
    from aoide.plots.listening import page

    sets = match(options.places[0], options.places[1:], options.allow_missing)
    assert sets.reference is not None, "the first place is the reference"
    names = sets.names
    if options.count is not None:
        if not 0 < options.count <= len(names):
            raise UserError(f"--count {options.count}: there are {len(names)} sounds")
        names = sorted(random.Random(options.seed).sample(names, options.count))
    shown = {REFERENCE: sets.reference} if options.kind != "smos" else {}
    shown |= sets.systems
    systems = [*shown, *([ANCHOR] if options.kind == "mushra" else [])]
    folder = options.output / "audio"
    folder.mkdir(parents=True, exist_ok=True)
    identity = f"{options.seed} {options.kind} {' '.join(systems)} {' '.join(names)}"
    items = []
    for name in tqdm(names, unit="sound", disable=None):
        paths = []
        for system in systems:
            source = shown.get(system, sets.reference)[name]
            sound = Sound(*source.read()).mono()
            if system == ANCHOR:
                sound = sound.resample(_ANCHOR_RATE).resample(sound.sample_rate)
            paths.append(_save(sound, folder, f"{identity} {system} {name}"))
        item: dict[str, Any] = {"id": name, "sounds": paths}
        if options.kind in ("smos", "mushra"):
            item["open"] = _save(Sound(*sets.reference[name].read()).mono(), folder, f"{identity} open {name}")
        items.append(item)
    test = {
        "test": _digest(identity),
        "kind": options.kind,
        "title": options.title,
        "instructions": _INSTRUCTIONS,
        "seed": options.seed,
        "systems": len(systems),
        "key": base64.b64encode(json.dumps(systems).encode()).decode("ascii"),
        "items": items,
    }
    with write_aside(options.output / "index.html") as aside:
        aside.write_text(page(test), "utf-8")
    return test


def _save(sound: Any, folder: Path, identity: str) -> str:
    """Writes a sound without loss under a name that tells nothing; its path below the page."""
    if not len(sound.samples):
        raise UserError("a sound without samples cannot be played")
    name = f"{_digest(identity)}.flac"
    sound.save(folder / name)
    return f"{folder.name}/{name}"


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


# --------------------------------------------------------------------------------------------------------------- score


def _score(options: argparse.Namespace) -> int:
    from aoide.metrics.evaluation.opinions import score

    found = score([read_answers(path) for path in options.places], options.seed)
    if options.json:
        print(json.dumps(found, indent=1))
        return 0
    print(f"{found['kind']}, {found['listeners']} listeners")
    for listener, reason in found["screened"].items():
        print(f"listener {listener} does not count: {reason}")
    for system, cell in found.get("systems", {}).items():
        print(f"{system}: {_interval(cell)} n={cell['n']}")
    for row in found.get("tests", []):
        print(f"{row['first']} - {row['second']}: {_interval(row)} p={row['p_corrected']:.4f} n={row['n']}")
    for row in found.get("pairs", []):
        what = "told apart" if found["kind"] == "abx" else "better by"
        against = (
            f"{row['first']} and {row['second']}" if found["kind"] == "abx" else f"{row['first']} than {row['second']}"
        )
        print(f"{against}, {what}: {_interval(row)} p={row['p']:.4f} n={row['n']}")
    return 0


def _interval(cell: Mapping[str, float]) -> str:
    text = f"{cell['value']:.3f}"
    return text if math.isnan(cell["low"]) else f"{text} [{cell['low']:.3f}, {cell['high']:.3f}]"


def read_answers(path: Path) -> dict[str, Any]:
    """A file that the page saved, with names of systems in the place of their numbers.

    Raises:
        UserError: no such file, or not one of these.
    """
    try:
        data = json.loads(path.read_text("utf-8"))
        if data["aoide_listening"] != 1 or data["kind"] not in KINDS or not isinstance(data["answers"], list):
            raise UserError(f"{path}: not answers of a listening test")
        systems = _Names(json.loads(base64.b64decode(data["key"])))
        rows = [_named(row, systems, data["kind"]) for row in data["answers"]]
        listener = str(data["listener"])
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    except UserError:
        raise
    except (ValueError, KeyError, TypeError, IndexError, binascii.Error) as error:
        raise UserError(f"{path}: not answers of a listening test ({type(error).__name__}: {error})") from None
    if not rows:
        raise UserError(f"{path}: holds no answers")
    return {"test": str(data["test"]), "kind": data["kind"], "listener": listener, "answers": rows}


class _Names(list[str]):
    """Names of systems by their number; a negative number is no system."""

    def __getitem__(self, number: Any) -> Any:
        if not isinstance(number, int) or number < 0:
            raise ValueError(f"{number!r} is not the number of a system")
        return super().__getitem__(number)


_RANGES = {"mos": (1, 5), "smos": (1, 5), "cmos": (-3, 3), "mushra": (0, 100)}


def _named(row: Mapping[str, Any], systems: Sequence[str], kind: str) -> dict[str, Any]:
    found: dict[str, Any] = {"item": str(row["item"])}
    if kind == "mushra":
        found["scores"] = {systems[int(number)]: float(value) for number, value in row["scores"].items()}
        if len(found["scores"]) != len(systems):
            raise ValueError("a sound was not rated")
    elif kind in ("mos", "smos"):
        found |= {"system": systems[row["system"]], "score": float(row["score"])}
    else:
        found |= {side: systems[row[side]] for side in ("first", "second")}
        found |= {"score": float(row["score"])} if kind == "cmos" else {k: systems[row[k]] for k in ("x", "chosen")}
    low, high = _RANGES.get(kind, (0, 0))
    for value in found.get("scores", {"": found.get("score", low)}).values():
        if not low <= value <= high:
            raise ValueError(f"{value} is not on the scale from {low} to {high}")
    return found
