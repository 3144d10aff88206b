"""The page: one HTML file that shows a trace, or two to four beside each other, and loads nothing.

    write("run.html", [Trace.load("run.aoide")])

The template `page/explorer.html` is built from the sources in `explorer/` (npm run build); the traces lie in it as they
are in their files, in base64. Traces that would make a page of more than `MOST` bytes get coarser pictures.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Sequence
from html import escape
from pathlib import Path

import numpy as np

from aoide.config import UserError, write_aside
from aoide.explain.traces import Stored, Trace

TEMPLATE = Path(__file__).parent / "page" / "explorer.html"
MARK = "<!--traces-->"
MOST_TRACES = 4
MOST = 9_600_000  # bytes of a page
COARSEST = 16  # frames that become one, at most
HEIGHT = 760  # pixels in a notebook


def html(traces: Sequence[Trace]) -> str:
    """The page.

    Raises:
        UserError: no trace, or more than four.
    """
    if not 1 <= len(traces) <= MOST_TRACES:
        raise UserError(f"a page shows 1 to {MOST_TRACES} traces, not {len(traces)}")
    template = TEMPLATE.read_text("utf-8")
    room = (MOST - len(template.encode())) * 3 // 4 // len(traces)
    parts = []
    for trace in traces:
        data = base64.b64encode(lighter(trace, room)).decode("ascii")
        name = escape(trace.title or "trace", quote=True)
        parts.append(f'<script type="application/x-aoide" data-name="{name}">{data}</script>')
    title = escape(traces[0].title or "Aoide Explorer")
    page = template.replace("<title>Aoide Explorer</title>", f"<title>{title} · Aoide Explorer</title>", 1)
    before, _, after = page.partition(MARK)
    return f"{before}{''.join(parts)}{after}"


def write(path: str | os.PathLike[str], traces: Sequence[Trace]) -> None:
    """Writes the page, aside and then in place."""
    if Path(path).suffix.lower() not in (".html", ".htm"):
        raise UserError(f"{path}: a page ends in .html")
    text = html(traces)
    with write_aside(path) as aside:
        aside.write_text(text, "utf-8")


def framed(traces: Sequence[Trace]) -> str:
    """The page as a notebook shows it, in a frame of its own."""
    source = escape(html(traces), quote=True)
    return f'<iframe srcdoc="{source}" style="width:100%;height:{HEIGHT}px;border:0" title="Aoide Explorer"></iframe>'


def lighter(trace: Trace, most: int) -> bytes:
    """The bytes of a trace, with pictures coarse enough and steps that are heard few enough for `most` bytes."""
    data = trace.bytes()
    factor = 1
    while len(data) > most and factor < COARSEST:
        factor *= 2
        data = _coarser(trace, factor).bytes()
    if len(data) > most:
        data = _quieter(_coarser(trace, COARSEST)).bytes()
    return data


def _coarser(trace: Trace, factor: int) -> Trace:
    """Pictures of which `factor` frames became one."""
    arrays = dict(trace.arrays)
    for name in ("pictures", "reference"):
        if name in arrays and arrays[name].data.shape[-2] > factor:
            stored = arrays[name]
            starts = np.arange(0, stored.data.shape[-2], factor)
            sums = np.add.reduceat(stored.data.astype(np.float32), starts, axis=-2)
            counts = np.diff(np.append(starts, stored.data.shape[-2]))[:, None]
            means = np.rint(sums / counts).astype(stored.data.dtype)
            arrays[name] = Stored(stored.kind, means, stored.low, stored.high)
    return Trace(trace.about, arrays, trace.sounds)


def _quieter(trace: Trace) -> Trace:
    """Without the sounds of steps but the first and the last that have one."""
    heard = [step["sound"] for step in trace.about["steps"] if "sound" in step]
    gone = set(heard[1:-1])
    steps = [
        {key: value for key, value in step.items() if key not in ("sound", "f0") or step.get("sound") not in gone}
        for step in trace.about["steps"]
    ]
    sounds = {name: data for name, data in trace.sounds.items() if name not in gone}
    kept = {step["f0"] for step in steps if "f0" in step}
    arrays = {k: v for k, v in trace.arrays.items() if not k.startswith("f0-") or k in kept or k == "f0-reference"}
    return Trace({**trace.about, "steps": steps}, arrays, sounds)
