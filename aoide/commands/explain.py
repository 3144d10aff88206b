"""See and hear what a model does step by step: aoide explain MODEL INPUT -o TRACE --page PAGE.

A run is recorded into a file of some megabytes (.aoide), and the page (.html) shows it: it is one file, needs no
network and no server. INPUT is what the model is given: a text for a voice, a score for a singer, a recording for a
converter, a vocoder or a codec. Settings are words: steps=20 sampler=euler seed=1 speed=1.2 transpose=-2 voice=f001

  aoide explain en-heart "Any input becomes sound." --show         in the browser, where edits are spoken at once
  aoide explain en-heart "Any input becomes sound." --page said.html
  aoide explain convert-24k song.wav voice=f001 -o song.aoide --page song.html
  aoide explain runs/diffsinger song.musicxml --vary steps=4,16,64 --page steps.html
  aoide explain --compare one.aoide two.aoide --page both.html
  aoide explain en-heart "Any input becomes sound." --edits edits.json -o edited.aoide     handles that the page saved
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aoide.commands import _consent
from aoide.config import UserError

if TYPE_CHECKING:
    from aoide.explain.subjects import Request
    from aoide.explain.traces import Trace

MOST = 4  # traces of a page


def parser(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "model", nargs="?", metavar="MODEL", help="a name of `aoide models`, the folder of one, a run, or a .aoide file"
    )
    parser.add_argument("input", nargs="?", metavar="INPUT", help="a text, a score, or a recording")
    parser.add_argument("settings", nargs="*", metavar="NAME=VALUE", help="settings of the model")
    parser.add_argument("-o", "--output", type=Path, metavar="TRACE", help="the trace, .aoide")
    parser.add_argument("--page", type=Path, metavar="PAGE", help="the page that shows it, .html")
    parser.add_argument(
        "--show", nargs="?", const=0, type=int, metavar="PORT", help="open the page in the browser, until Ctrl-C"
    )
    parser.add_argument("--compare", nargs="+", type=Path, default=[], metavar="TRACE", help="shown beside it, up to 4")
    parser.add_argument("--vary", metavar="NAME=A,B", help="run it with two to four values of a setting, and compare")
    parser.add_argument("--title", metavar="TEXT", help="of the page")
    parser.add_argument(
        "--edits", type=Path, metavar="FILE", help="durations, pitch and energy, as the page saves them"
    )
    parser.add_argument("--weights", metavar="SOURCE", help="of a model: a run, a folder, or hf:owner/name")
    parser.add_argument("--like", metavar="REF", help="a recording: whose voice, or for an aligner what INPUT says")
    parser.add_argument("--prompt-text", metavar="TEXT", help="what --like says, where it is a voice")
    parser.add_argument("--i-have-consent", action="store_true", help="whoever is heard in --like agreed to it")
    parser.add_argument("--variance", metavar="RUN", help="of a trained singer: what fills in durations and pitch")
    parser.add_argument("--vocoder", metavar="NAME", help="what makes the sound of a model of mels")
    parser.add_argument("--threads", type=int, default=1, metavar="N", help="processor threads (default: 1)")


def run(options: argparse.Namespace) -> int:
    _check(options)
    from aoide.explain import page
    from aoide.explain.traces import Trace

    others = [Trace.load(path) for path in options.compare]
    made = _made(options)
    traces = [*(trace for _, trace in made), *others]
    if len(traces) > MOST:
        raise UserError(f"a page shows up to {MOST} traces, and these are {len(traces)}")
    if options.title:
        for trace in traces:
            trace.about["title"] = options.title
    if options.output is not None:
        for path, trace in made:
            trace.save(path)
            print(
                f"{path}: {trace.about['title']}, {len(trace.about['steps'])} steps, {path.stat().st_size / 1e6:.1f} MB"
            )
    if options.page is not None:
        page.write(options.page, traces)
        size = options.page.stat().st_size / 1e6
        print(f"{options.page}: {len(traces)} trace{'s'[: len(traces) > 1]}, {size:.1f} MB; open it in a browser")
    if options.show is not None:
        _show(page.html(traces), options.show)
    return 0


def _show(html: str, port: int) -> None:
    """Serves the page on this machine until somebody ends it."""
    import webbrowser

    from aoide.commands._show import server

    with server(html, port) as running:
        address = f"http://127.0.0.1:{running.server_port}/"
        print(f"aoide: the page is at {address}; Ctrl-C ends it", file=sys.stderr, flush=True)
        webbrowser.open(address)
        running.serve_forever()


def _check(options: argparse.Namespace) -> None:
    """What the arguments alone can get wrong."""
    if options.output is None and options.page is None and options.show is None:
        raise UserError("where to? give -o FILE.aoide for the trace, --page FILE.html for the page, or --show")
    if options.show is not None and not 0 <= options.show < 65536:
        raise UserError(f"--show {options.show}: a port is 0 to 65535")
    if options.model is None and not options.compare:
        raise UserError("explain what? give MODEL and INPUT, or --compare TRACE TRACE")
    if options.model is None and options.output is not None:
        raise UserError("-o is for a trace that is recorded: give MODEL and INPUT, or leave -o out")
    if options.threads < 1:
        raise UserError(f"--threads {options.threads}: 1 or more")
    for path, ending in ((options.output, ".aoide"), (options.page, ".html")):
        if path is not None and path.suffix.lower() != ending:
            raise UserError(f"{path}: ends in {ending}")
    if options.model is not None and options.input is None and not options.model.endswith(".aoide"):
        raise UserError(f"what shall {options.model} be given? a text, a score, or a recording, after its name")
    if options.like is not None:
        _consent.check(Path(options.like), options.i_have_consent)


def _made(options: argparse.Namespace) -> list[tuple[Path, Trace]]:
    """The traces that are recorded now, and where each is written."""
    if options.model is None:
        return []
    if options.model.endswith(".aoide"):
        from aoide.explain.traces import Trace

        if options.input is not None:
            return []
        return [(options.output or Path(options.model), Trace.load(options.model))]
    from tqdm import tqdm

    from aoide.explain.subjects import explain

    requests = _requests(options)
    target = options.output or Path("trace.aoide")
    bar = tqdm(requests, unit="run", file=sys.stderr, disable=True if len(requests) == 1 else None)
    made = []
    for varied, request in bar:
        path = target if varied is None else target.with_stem(f"{target.stem}-{varied}")
        made.append((path, explain(request)))
    return made


def _requests(options: argparse.Namespace) -> list[tuple[str | None, Request]]:
    """What is to be run, and the value that was varied."""
    from aoide.explain.subjects import Request
    from aoide.generate.handles import Edits

    settings = _settings(options.settings)
    common: dict[str, Any] = {
        "model": options.model,
        "input": options.input,
        "edits": Edits() if options.edits is None else Edits.read(options.edits),
        "weights": options.weights,
        "like": options.like,
        "like_text": options.prompt_text,
        "variance": options.variance,
        "vocoder": options.vocoder,
        "threads": options.threads,
    }
    if options.vary is None:
        return [(None, Request(settings=settings, **common))]
    name, _, listed = options.vary.partition("=")
    values = [value for value in listed.split(",") if value]
    if not name or not 2 <= len(values) <= MOST or len(set(values)) < len(values):
        raise UserError(f"--vary {options.vary}: a setting and two to {MOST} values of it, such as steps=4,16,64")
    if name in settings:
        raise UserError(f"--vary {name}: is given once more as {name}={settings[name]}")
    return [(value, Request(settings={**settings, name: _value(value)}, **common)) for value in values]


def _settings(words: Sequence[str]) -> dict[str, Any]:
    """["steps=20", ...] as a dictionary."""
    found: dict[str, Any] = {}
    for word in words:
        name, mark, value = word.partition("=")
        if not mark or not name.isidentifier():
            raise UserError(f"{word!r}: settings are words such as steps=20")
        if name in found:
            raise UserError(f"{name} is given twice")
        found[name] = _value(value)
    return found


def _value(text: str) -> Any:
    """A whole number, a number, or a word."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
