"""Measure sounds against a reference, or by themselves: aoide evaluate REF GEN [GEN ...] -o report.

REF and GEN are folders, manifests of `aoide prepare`, or single files; sounds of a pair have the same name below their
folders. With one place there is no reference, and only what needs none is measured. Several GEN are compared with each
other by paired tests. -o keeps report.json, report.csv and report.html, and what is measured already: an interrupted
run goes on. Metrics that lack a package or a file say which, and the others run.

  aoide evaluate recordings generated -o report
  aoide evaluate recordings ours theirs --metrics mcd,f0_rmse,pesq -o report
  aoide evaluate generated --text metadata.csv --asr small.en -o report
  aoide evaluate recordings generated --metrics usual,utmos --set utmos.path=utmos.onnx
  aoide evaluate --list
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aoide.config import UserError, override, write_aside

_PICTURES, _SOUNDS = 4_500_000, 4_000_000  # bytes of the page
_SOUND_RATE = 16000  # Hz of the sounds inside the page


def parser(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("places", nargs="*", type=Path, metavar="REF GEN", help="folders, manifests or files")
    parser.add_argument("--metrics", metavar="A,B", help="names, or the groups usual and all (default: usual)")
    parser.add_argument("--like", choices=("amphion",), help="take each metric as Amphion computes it, faults and all")
    parser.add_argument(
        "--text", type=Path, metavar="PLACE", help="what is said: a file of name|text, or NAME.txt files"
    )
    parser.add_argument("--language", default="en", metavar="XX", help="of what is said (default: en)")
    parser.add_argument("--asr", default="base", metavar="MODEL", help="Whisper: a size or folder (default: base)")
    parser.add_argument("--embedding", default="yamnet", metavar="NAME", help="of metrics of sets (default: yamnet)")
    parser.add_argument("--embedding-source", metavar="PATH", help="its local file or folder, where it needs one")
    parser.add_argument(
        "--set", action="append", default=[], metavar="METRIC.OPTION=VALUE", help="an option of a metric; repeatable"
    )
    parser.add_argument(
        "--align", choices=("auto", "time", "dtw"), default="auto", help="which frames belong together (default: auto)"
    )
    parser.add_argument("--allow-missing", action="store_true", help="measure the names that all have")
    parser.add_argument("--jobs", type=int, metavar="N", help="processes (default: one per core)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of intervals and tests (default: 0)")
    parser.add_argument("-o", "--output", type=Path, metavar="DIR", help="folder for the report")
    parser.add_argument("--list", action="store_true", help="show all metrics and what they need")


def run(options: argparse.Namespace) -> int:
    if options.list:
        print(_listing())
        return 0
    if not options.places:
        raise UserError("name what is to be measured: aoide evaluate REF GEN, or GEN alone (--help explains)")
    from aoide.metrics.evaluation import Settings, evaluate
    from aoide.plots import spectrogram

    reference, systems = (None, options.places) if len(options.places) == 1 else (options.places[0], options.places[1:])
    settings = Settings(
        metrics=tuple(word.strip() for word in (options.metrics or "").split(",") if word.strip()),
        options=_options(options.set),
        like=options.like,
        align=options.align,
        asr=options.asr,
        language=options.language,
        embedding=options.embedding,
        embedding_source=options.embedding_source,
        jobs=options.jobs,
        seed=options.seed,
        allow_missing=options.allow_missing,
        picture=spectrogram.draw if options.output else None,
    )
    report = evaluate(reference, systems, settings, options.text, options.output)
    print(table(report))
    if options.output:
        write(report, options.output)
        print(f"{options.output / 'report.html'}")
    return 0


def _options(words: list[str]) -> dict[str, dict[str, Any]]:
    found = override({}, words)
    for name, value in found.items():
        if not isinstance(value, dict):
            raise UserError(f"--set {name}=...: write it as --set METRIC.OPTION=VALUE")
    return found


def _listing() -> str:
    from aoide.metrics import find, names

    rows = []
    for name in names():
        module = find(name)
        metric = module.METRIC
        needs = {
            "pair": "REF GEN",
            "single": "GEN",
            "sets": "sets",
            "text": "--text",
            "codes": "codes",
            "score": "score",
        }
        extra = f"aoide[{metric.extra}]" if metric.extra else ""
        like = "amphion" if hasattr(module, "amphion") else ""
        rows.append((name, metric.unit or "-", metric.better, needs[metric.kind], extra, like))
    head = ("metric", "unit", "better", "needs", "package", "--like")
    return _columns([head, *rows])


def _columns(rows: list[tuple[str, ...]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(f"{cell:{w}}" for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows)


def table(report: Mapping[str, Any]) -> str:
    """The means as text: one row per metric, one column per system."""
    from aoide.metrics.evaluation.measure import REFERENCE
    from aoide.plots.report import number

    measured = {system for cells in report["summary"].values() for system in cells}
    systems = [system for system in (REFERENCE, *report["systems"]) if system in measured]
    rows: list[tuple[str, ...]] = [("metric", "unit", "better", *systems)]
    for metric in report["metrics"]:
        cells = report["summary"][metric["name"]]
        shown = []
        for system in systems:
            cell = cells.get(system)
            text = "-"
            if cell:
                text = number(cell["value"])
                if math.isfinite(cell["low"]):
                    text += f" [{number(cell['low'])}, {number(cell['high'])}]"
                text += f" n={cell['n']}" + (f" undefined={cell['nan']}" if cell["nan"] else "")
                text += f" failed={cell['failed']}" if cell["failed"] else ""
            shown.append(text)
        rows.append((metric["name"], metric["unit"] or "-", metric["better"], *shown))
    lines = [_columns(rows)]
    lines += [f"excluded: {row['reason']} ({row['system']} {row['name']})" for row in report["excluded"]]
    lines += [f"left out, {place} lacks: {', '.join(names)}" for place, names in report["missing"].items()]
    lines += [f"not measured, {row['metric']}: {row['reason']}" for row in report["unavailable"]]
    lines += [f"note: {note}" for note in report["notes"]]
    return "\n".join(lines)


# --------------------------------------------------------------------------------------------------------------- files


def write(report: Mapping[str, Any], folder: Path) -> None:
    """report.json, report.csv and report.html, each written aside and then renamed."""
    from aoide.metrics.evaluation.journal import plain
    from aoide.plots.report import page

    with write_aside(folder / "report.json") as aside:
        aside.write_text(json.dumps(plain(report), indent=1, ensure_ascii=False) + "\n", "utf-8")
    with write_aside(folder / "report.csv") as aside, aside.open("w", encoding="utf-8", newline="") as file:
        _csv(report, file)
    inside = _Inside(folder)
    files = [row | {"path": inside.path(row["path"])} for row in report["files"]]
    with write_aside(folder / "report.html") as aside:
        aside.write_text(page({**report, "files": files}, inside.embed), "utf-8")


def _csv(report: Mapping[str, Any], file: Any) -> None:
    """One row per file and system; what is undefined is an empty cell."""
    names = [metric["name"] for metric in report["metrics"] if metric["kind"] != "sets"]
    rows = csv.writer(file)
    rows.writerow(["name", "system", "seconds", "rate", *names, "text", "transcript"])
    for row in report["files"]:
        values = (row["values"].get(name) for name in names)
        shown = ["" if value is None or not math.isfinite(value) else repr(value) for value in values]
        about = [row["name"], row["system"], row.get("seconds", ""), row.get("rate", "")]
        rows.writerow([*about, *shown, row.get("text") or "", row.get("transcript") or ""])


class _Inside:
    """Pictures and sounds as data URIs inside the page, as long as there is room; what comes first gets it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._room = {"image": _PICTURES, "audio": _SOUNDS}
        self._done: dict[str, str | None] = {}

    def path(self, path: str) -> str:
        """As the page, which lies in the folder, must write it."""
        return Path(os.path.relpath(path, self._folder)).as_posix()

    def embed(self, path: str) -> str | None:
        if path not in self._done:
            kind = "image" if path.endswith(".png") else "audio"
            self._done[path] = self._uri(path, kind) if self._room[kind] > 0 else None
            self._room[kind] -= len(self._done[path] or "")
        return self._done[path]

    def _uri(self, path: str, kind: str) -> str | None:
        import base64

        place = self._folder / path
        try:
            content = place.read_bytes() if kind == "image" else _small(place)
        except (OSError, UserError):
            return None
        data = base64.b64encode(content).decode("ascii")
        return f"data:{'image/png' if kind == 'image' else 'audio/mpeg'};base64,{data}"


def _small(path: Path) -> bytes:
    """The sound as MP3, which every browser plays, mono and at 16 kHz, which suffices for a first hearing."""
    from io import BytesIO

    from aoide.audio import io
    from aoide.audio.sound import Sound

    sound = Sound.load(path).mono().resample(_SOUND_RATE)
    file = BytesIO()
    with io.open_writer(file, sound.sample_rate, format="mp3") as writer:
        writer.write(sound.samples)
    return file.getvalue()
