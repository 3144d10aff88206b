"""Vibrato: how fast and how far the pitch of held notes swings; for `vibrato_rate` and `vibrato_extent`."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from aoide.audio.pitch import Method
from aoide.metrics import notes
from aoide.metrics.analysis import PERIOD, Analysis

SLOWEST, FASTEST = 3.0, 9.0  # Hz: below is a glide, above a tremble
_SHORTEST = 0.5  # seconds of voice in which a vibrato can be heard
_LEAST_EXTENT = 15.0  # cents
_LEAST_SHARE = 0.5  # of the movement around the glide that one sine must explain
_STEP = 0.05  # Hz
_WINDOW = 1.0  # seconds of a note that are looked at at once, about; a vibrato changes its speed within a long note


class Vibrato(NamedTuple):
    """The vibrato of a sound, mean over where there is one; rate and extent are NaN where there is none."""

    rate: float  # Hz
    extent: float  # cents from the middle to the top: +-
    share: float  # of the voiced time that has a vibrato


def measure(sound: Analysis, tracker: Method) -> Vibrato:
    """The vibrato of a sound, kept with it."""
    return sound.keep(("vibrato", tracker), lambda: of_contour(sound.f0(tracker).hz, PERIOD))


def of_contour(hz: np.ndarray, period: float) -> Vibrato:
    """The vibrato in an F0 contour.

    A sine is fitted beside a parabola, for the glide, to pieces of notes of up to 1.5 s; the frequency that leaves the
    least is the rate (Prame 1994 counts cycles, which needs clean ones; the definition of rate and extent is his).

    Args:
        hz: (frames,) Hz, 0 = unvoiced.
        period: seconds from frame to frame.
    """
    contour = np.asarray(hz, np.float64)
    sung = notes.of_contour(contour, period)
    found: list[tuple[float, float, int]] = []
    for onset, offset in zip(sung.onset, sung.offset, strict=True):
        note = contour[round(onset / period) : round(offset / period)]
        note = note[note > 0]  # a pause of a frame or two inside a note does not move the fit
        for piece in np.array_split(note, max(1, round(len(note) * period / _WINDOW))):
            if len(piece) * period >= _SHORTEST and (swing := _fit(1200.0 * np.log2(piece), period)):
                found.append((*swing, len(piece)))
    if not found:
        return Vibrato(float("nan"), float("nan"), 0.0)
    rates, extents, frames = np.array(found).T
    return Vibrato(
        float(np.average(rates, weights=frames)),
        float(np.average(extents, weights=frames)),
        float(frames.sum() / (contour > 0).sum()),
    )


def _fit(cents: np.ndarray, period: float) -> tuple[float, float] | None:
    """Rate in Hz and extent in cents of the sine in a stretch of pitch, or None."""
    time = np.arange(len(cents)) * period
    trend = np.stack([np.ones_like(time), time, time**2], axis=1)
    around = cents - trend @ np.linalg.lstsq(trend, cents, rcond=None)[0]
    moved = float(np.square(around).sum())
    if moved < 1e-9:
        return None
    best = (float("inf"), 0.0, 0.0)
    for rate in np.arange(SLOWEST, FASTEST + _STEP / 2, _STEP):
        turn = 2 * np.pi * rate * time
        basis = np.concatenate([trend, np.cos(turn)[:, None], np.sin(turn)[:, None]], axis=1)
        weights = np.linalg.lstsq(basis, cents, rcond=None)[0]
        left = float(np.square(cents - basis @ weights).sum())
        best = min(best, (left, float(rate), float(np.hypot(*weights[3:]))))
    left, rate, extent = best
    at_edge = rate < SLOWEST + _STEP / 2 or rate > FASTEST - _STEP / 2  # the sine wanted to be slower or faster
    return None if at_edge or extent < _LEAST_EXTENT or 1 - left / moved < _LEAST_SHARE else (rate, extent)
