"""Measure how fast vocoders are on this machine: aoide bench vocoder.

A table: seconds of work per second of sound at one and two threads (and relative to the first row), time to the first
tenth of a second, peak memory, size. Models that come without weights get random ones; arithmetic costs the same.

  aoide bench vocoder
  aoide bench vocoder universal-24k vocoder/hifigan vocoder/bigvgan --threads 1 2 4 --json
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict

from aoide.config import UserError

USUAL = ("vocoder/hifigan", "vocoder/bigvgan", "vocoder/nsf_hifigan", "vocoder/apnet", "vocoder/vocos")


def parser(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("what", choices=("vocoder",), metavar="WHAT", help="what to measure: vocoder")
    parser.add_argument("names", nargs="*", metavar="NAME", help="vocoders of the package, or models (default: a few)")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2], metavar="N", help="(default: 1 2)")
    parser.add_argument("--seconds", type=float, default=4.0, help="of sound to make (default: 4)")
    parser.add_argument("--onnx", action="store_true", help="the exported graphs of the models instead of torch")
    parser.add_argument("--json", action="store_true", help="print all figures as JSON")


def run(options: argparse.Namespace) -> int:
    from tqdm import tqdm

    from aoide import voices
    from aoide.generate.bench import Timing, measure
    from aoide.models import find

    if min(options.threads) < 1 or options.seconds <= 0:
        raise UserError("--threads are 1 or more, --seconds above 0")
    packed = voices.names("vocoder")
    names = options.names or [*USUAL, *packed]
    for name in names:
        if name not in packed:
            find.find(name)  # a wrong name ends here, before anything is measured
            if not name.startswith("vocoder/"):
                raise UserError(f"{name} is not a vocoder")
    rows: dict[str, list[Timing]] = {}
    work = [(name, threads) for name in names for threads in options.threads]
    for name, threads in tqdm(work, unit="run", disable=None, leave=False):
        found = measure(name, threads, options.seconds, options.onnx)
        rows.setdefault(name, []).append(found)
    if options.json:
        print(json.dumps([asdict(timing) for row in rows.values() for timing in row], indent=1))
        return 0
    width = max(map(len, rows))
    threads = "".join(f"{f's/s at {count}':>11}" for count in options.threads)
    print(f"{'':{width}}{threads}{'relative':>11}{'first 0.1 s':>13}{'memory':>10}{'parameters':>13}")
    one = next(iter(rows.values()))[0].seconds_per_second
    for name, row in rows.items():
        speeds = "".join(f"{timing.seconds_per_second:>11.4f}" for timing in row)
        size = f"{row[0].parameters / 1e6:.2f} M" if row[0].parameters else row[0].graph
        relative = f"{row[0].seconds_per_second / one:.3f}"
        latency = f"{1000 * row[0].first_chunk:.0f} ms"
        print(f"{name:{width}}{speeds}{relative:>11}{latency:>13}{f'{row[0].memory:.0f} MB':>10}{size:>13}")
    return 0
