"""The pitch that people drew in UTAU and OpenUtau -> an F0 curve: portamento, vibrato, pitch deviation.

Both programs bend each note by points (milliseconds from its beginning, tenths of a semitone from its pitch, a shape
towards the next point) and let a part of it vibrate. The first point of a note that touches the one before it starts
at that one's pitch. OpenUtau adds a curve of deviations in cents.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from aoide.score.score import Curve, Note, Score

_SHAPES = {"": "io", "s": "l", "r": "o", "j": "i"}  # UTAU's names for OpenUtau's


class _Point(NamedTuple):
    seconds: float  # from the note's beginning
    semitones: float  # from the note's pitch
    shape: str  # towards the next: io (sine in and out), i, o, l (linear)


class _Vibrato(NamedTuple):
    length: float = 0.0  # per cent of the note, at its end
    period: float = 175.0  # milliseconds
    depth: float = 25.0  # cents
    fade_in: float = 10.0  # per cent of the vibrato
    fade_out: float = 10.0
    shift: float = 0.0  # per cent of a period
    drift: float = 0.0  # per cent of the depth


def drawn_pitch(score: Score, step: float = 0.005) -> Curve | None:
    """The F0 that a UST or USTX file draws, over the whole score; None if nothing is drawn in it.

    Between notes it goes on: whether something is voiced is told by the phonemes.
    """
    notes = [note for note in score.notes if note.sung and note.length > 0]
    deviations = [c for c in score.extra.get("ustx", {}).get("curves", []) if c.get("abbr") == "pitd"]
    drawn = any("pitch" in note.extra or "PBS" in note.extra or "VBR" in note.extra for note in notes)
    if not notes or not (drawn or deviations):
        return None
    times = np.arange(0.0, score.end, step)
    spans = [(score.seconds(note.start), score.seconds(note.end)) for note in notes]
    tones = [(note.pitch or 0) + note.cents / 100 for note in notes]
    ends = np.array([end for _, end in spans])
    flat = np.array(tones)[np.minimum(np.searchsorted(ends, times, side="right"), len(notes) - 1)]
    pitch = flat.copy()
    for i, note in enumerate(notes):
        start, end = spans[i]
        inside = slice(*np.searchsorted(times, (start, end)))
        pitch[inside] += _wave(_vibrato(note.extra), times[inside], start, end)
        touches = i > 0 and notes[i - 1].end >= note.start
        before = tones[i - 1] - tones[i] if touches else None
        points = _points(note, before)
        if points:
            bent = slice(*np.searchsorted(times, (start + min(points[0].seconds, 0.0), end)))
            pitch[bent] += _bend(points, times[bent] - start) + tones[i] - flat[bent]
    for curve in deviations:
        at = [score.seconds(tick * score.resolution / 480) for tick in curve.get("xs") or []]
        if at and len(at) == len(curve.get("ys") or []):
            pitch += np.interp(times, at, curve["ys"]) / 100
    return Curve(name="f0", start=0.0, step=step, values=440 * 2 ** ((pitch - 69) / 12))


def _bend(points: Sequence[_Point], times: np.ndarray) -> np.ndarray:
    """Semitones at times from the note's beginning."""
    bent = np.full(len(times), points[-1].semitones)
    bent[times < points[0].seconds] = points[0].semitones
    for a, b in zip(points, points[1:], strict=False):
        inside = (times >= a.seconds) & (times < b.seconds)
        x = (times[inside] - a.seconds) / max(b.seconds - a.seconds, 1e-9)
        if a.shape == "l":
            y = x
        elif a.shape == "i":
            y = 1 - np.cos(x * np.pi / 2)
        elif a.shape == "o":
            y = np.sin(x * np.pi / 2)
        else:
            y = (1 - np.cos(x * np.pi)) / 2
        bent[inside] = a.semitones + (b.semitones - a.semitones) * y
    return bent


def _wave(vibrato: _Vibrato, times: np.ndarray, start: float, end: float) -> np.ndarray:
    """Semitones of vibrato at times inside a note."""
    length = (end - start) * min(vibrato.length, 100) / 100
    if length <= 0 or vibrato.period <= 0:
        return np.zeros(len(times))
    x = times - (end - length)  # seconds of the vibrato
    wave = vibrato.depth * (np.sin(2 * np.pi * (x * 1000 / vibrato.period + vibrato.shift / 100)) + vibrato.drift / 100)
    fade = np.ones(len(times))
    if vibrato.fade_in > 0:
        fade = np.minimum(fade, x / (length * vibrato.fade_in / 100))
    if vibrato.fade_out > 0:
        fade = np.minimum(fade, (length - x) / (length * vibrato.fade_out / 100))
    return np.where(x >= 0, wave * np.clip(fade, 0, 1), 0.0) / 100


def _vibrato(extra: Mapping[str, Any]) -> _Vibrato:
    if isinstance(drawn := extra.get("vibrato"), Mapping):
        keys = ("length", "period", "depth", "in", "out", "shift", "drift")
        return _Vibrato(*(_number(drawn.get(key, default)) for key, default in zip(keys, _Vibrato(), strict=True)))
    if "VBR" in extra:
        return _Vibrato(*map(_number, str(extra["VBR"]).split(",")[:7]))
    return _Vibrato()


def _points(note: Note, before: float | None) -> list[_Point]:
    """The points of a note in order of time; before: how much higher the note is that it touches."""
    drawn = note.extra.get("pitch")
    snap = True
    if isinstance(drawn, Mapping) and isinstance(drawn.get("data"), list):
        rows = [point for point in drawn["data"] if isinstance(point, Mapping)]
        points = [_Point(_number(p.get("x")) / 1000, _number(p.get("y")) / 10, str(p.get("shape"))) for p in rows]
        snap = drawn.get("snap_first") is not False
    else:
        points = _utau_points(note.extra)
    points.sort(key=lambda point: point.seconds)
    if points and snap and before is not None:
        points[0] = points[0]._replace(semitones=before)
    elif points and snap and isinstance(drawn, Mapping):
        points[0] = points[0]._replace(semitones=0.0)
    return points


def _utau_points(extra: Mapping[str, Any]) -> list[_Point]:
    """PBS, where it begins; PBW, the ways to the next points; PBY, their heights; PBM, the shapes between them."""
    if "PBS" not in extra:
        return []
    start = str(extra["PBS"]).replace(";", ",").split(",")
    widths = [_number(width) for width in str(extra.get("PBW", "")).split(",") if width.strip()]
    heights = [_number(height) for height in str(extra.get("PBY", "")).split(",")]
    shapes = str(extra.get("PBM", "")).split(",")
    at = _number(start[0])
    points = [_Point(at / 1000, _number(start[1]) / 10 if len(start) > 1 else 0.0, _SHAPES.get(shapes[0], "io"))]
    for i, width in enumerate(widths):
        at += width
        height = heights[i] if i < len(heights) and i + 1 < len(widths) else 0.0  # the last is the note itself
        shape = _SHAPES.get(shapes[i + 1], "io") if i + 1 < len(shapes) else "io"
        points.append(_Point(at / 1000, height / 10, shape))
    return points


def _number(value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return 0.0
    return number if abs(number) < 1e6 else 0.0
