"""Do described sounds and songs do what is said? The package's model, the cascade, and a small trained SongFlow.

    python benchmarks/described.py                       model and cascade
    python benchmarks/described.py --part model          one part: model, cascade or songflow
    python benchmarks/described.py --part songflow --work DIR     trains it there first, unless --run names one
    python benchmarks/described.py --quick               fewer captions and songs, no results file

What is measured, and how, stands at the head of each part: described_sounds.py, described_cascade.py and
described_songflow.py. Parity with published code is benchmarks/parity.py.

Prints the tables, asked beside measured, and writes benchmarks/results/described_<machine>_<date>.json; parts that were
measured earlier on the same day stay in it.
"""

import argparse
import datetime
import importlib
import json
import sys
from pathlib import Path
from typing import Any

from voice import commit, machine

from aoide.voices import DEFAULT_DESCRIBED

HERE = Path(__file__).resolve().parent
PARTS = {"model": "described_sounds", "cascade": "described_cascade", "songflow": "described_songflow"}
USUAL = ("model", "cascade")  # what is measured without training


def measured(part: str, options: argparse.Namespace) -> tuple[dict[str, Any], bool]:
    """One part: its figures, and whether they reach what is asked for."""
    module = importlib.import_module(PARTS[part])
    if part == "songflow":
        results = module.run(options.work, options.run)
    elif part == "model":
        results = module.run(options.model, options.quick, options.keep)
    else:
        results = module.run(options.quick, options.keep)
    module.show(results)
    return results, bool(module.good(results))


def write(results: dict[str, Any]) -> Path:
    """Writes the results of today, beside those of parts that were measured before."""
    today = datetime.date.today().isoformat()
    path = HERE / "results" / f"described_{machine()['words']}_{today}.json"
    before = json.loads(path.read_text("utf-8")) if path.is_file() else {}
    about = {"date": today, "machine": machine(), "parts": before.get("parts", {}) | results}
    path.write_text(json.dumps(about, indent=1) + "\n", "utf-8")
    return path


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", choices=tuple(PARTS), help="one part alone (default: model and cascade)")
    parser.add_argument("--quick", action="store_true", help="fewer captions and songs, no results file")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep the sounds there")
    parser.add_argument("--model", default=DEFAULT_DESCRIBED, metavar="NAME", help="of the part model")
    parser.add_argument("--work", type=Path, default=Path("runs/songflow"), metavar="DIR", help="of the part songflow")
    parser.add_argument("--run", type=Path, metavar="RUN", help="of the part songflow: one that is trained already")
    options = parser.parse_args()
    if options.keep is not None:
        options.keep.mkdir(parents=True, exist_ok=True)
    results: dict[str, Any] = {}
    good = True
    for part in [options.part] if options.part else USUAL:
        figures, reached = measured(part, options)
        results[part] = {"commit": commit(), **figures}
        good &= reached
    if not options.quick:
        print(write(results))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
