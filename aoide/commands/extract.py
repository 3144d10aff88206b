"""Compute the features that a recipe's model needs, before training: aoide extract RECIPE [key=value ...].

What `data.features` says is kept (auto: F0 and what networks hear; cache: the mel and the rest too) goes into the cache
that training reads. Entries are named by the sound and by all settings: a changed one is computed beside the old, and
what is there is left alone, so the command can be stopped and goes on. Without it, training computes what is missing.

  aoide extract recipes/tts/fastspeech2-folder.yaml data.manifest=data/mine data.features=cache
  aoide extract recipes/vocoder/nsf_hifigan-folder.yaml data.pitch.method=swift --jobs 8
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from aoide.config import UserError, require

if TYPE_CHECKING:
    from aoide.data.extraction import Report
    from aoide.data.speech import SpeechData

SHOWN = 10  # clips that are named where they could not be read


def parser(parser: argparse.ArgumentParser) -> None:
    from aoide.data.cluster import PLACES

    parser.add_argument("recipe", type=Path, metavar="RECIPE", help="a YAML file")
    parser.add_argument("words", nargs="*", metavar="key=value", help="settings laid over the recipe")
    parser.add_argument("--jobs", type=int, default=0, metavar="N", help="processes (default: all processors)")
    parser.add_argument("--on", choices=PLACES, default="processes", help="where they run (default: processes)")


def run(options: argparse.Namespace) -> int:
    require("torch", "train")
    from aoide.data.extraction import extract
    from aoide.data.speech import SpeechData
    from aoide.train import recipe

    read = recipe.read(options.recipe, options.words)
    source = read.open_source()
    if not isinstance(source, SpeechData):
        raise UserError(f"{read.where}: data of kind {read.kind} have no features to extract")
    started = time.perf_counter()
    report = extract(source, options.jobs, options.on)
    _show(source, report, time.perf_counter() - started)
    return 0


def _show(source: SpeechData, report: Report, elapsed: float) -> None:
    for broken in report.broken:
        print(f"broken, computed anew: {broken}", file=sys.stderr)
    for name, why in report.refused[:SHOWN]:
        print(f"left out: clip {name}: {why}", file=sys.stderr)
    if len(report.refused) > SHOWN:
        print(f"left out: {len(report.refused) - SHOWN:,} more", file=sys.stderr)
    if report.refused and not report.computed and not report.there:
        raise UserError(f"none of the {len(report.refused):,} clips can be read")
    print(source.reader.cache)
    for name in source.reader.kept:
        print(f"  {name:15} {report.computed[name]:9,} computed, {report.there[name]:9,} were there")
    if report.seconds:
        print(
            f"  {report.seconds / 3600:.2f} hours of sound in {elapsed:.0f} s: {report.seconds / elapsed:,.0f} seconds "
            f"per second; {report.size / 1e6:,.1f} MB"
        )
