"""Mel-cepstral distortion: how far the spectral envelope is off, in dB.

The envelope is WORLD's, so harmonics do not count; c0, the loudness, does not either, unless asked for. 24 coefficients
with the warping that is nearest to the mel scale at the rate of the sounds. The rate and the order change the value, so
name them where it is printed.

Unit        dB
Range       0 dB upwards; about 4 to 6 for speech from text
Better      lower
Equation    10 sqrt(2) / ln 10 * mean over frames of sqrt(sum from d = 1 to 24 of (r_d - g_d)^2)
Paper       Kubichek 1993, Mel-cepstral distance measure for objective speech quality assessment.
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np

from aoide.audio.pitch import Method
from aoide.metrics import amphion as its
from aoide.metrics import cepstra
from aoide.metrics.align import choose, equal_length
from aoide.metrics.analysis import TRACKER, Analysis, pair
from aoide.metrics.fastdtw import fastdtw
from aoide.metrics.metric import Metric
from aoide.metrics.warp import warp

METRIC = Metric(unit="dB", better="lower", best=0.0, kind="pair", extra="metrics")

_DECIBEL = 10.0 * math.sqrt(2.0) / math.log(10.0)  # of a distance of cepstra
_QUIET = 1e-10  # of power: -100 dB of full scale, so that digital silence has an envelope


def mcd(
    reference: np.ndarray | Analysis,
    generated: np.ndarray | Analysis,
    sample_rate: int | None = None,
    *,
    order: int = 24,
    loudness: bool = False,
    tracker: Method = TRACKER,
    align: Literal["auto", "time", "dtw"] = "auto",
) -> float:
    """MCD in dB; NaN if a sound is silent.

    Args:
        reference, generated: sounds, see `aoide.metrics`.
        sample_rate: Hz of sounds that are arrays.
        order: of the mel-cepstrum.
        loudness: whether c0 counts; half the gain is then 4.26 dB.
        tracker: finds F0, from which the envelope takes its window, see `aoide.audio.pitch`.
        align: time, frame by frame; dtw, the path on which the distance (without c0) is smallest, as is usual for
            speech from text; auto, time if the two last equally long within 50 ms.
    """
    first, second = pair(reference, generated, sample_rate)
    if first.silent or second.silent:
        return float("nan")
    dtw = choose(first, second, align) == "dtw"
    if not dtw:
        first, second = equal_length(first, second)
    r, g = (_cepstra(sound, order, tracker) for sound in (first, second))
    if dtw:
        i, j = second.keep(("mcd path", first, order, tracker), lambda: warp(r[:, 1:], g[:, 1:]))
        r, g = r[i], g[j]
    start = 0 if loudness else 1
    return _DECIBEL * float(np.sqrt(((r - g)[:, start:] ** 2).sum(axis=1)).mean())


def _cepstra(sound: Analysis, order: int, tracker: Method) -> np.ndarray:
    power = cepstra.envelope(sound, tracker)
    alpha = cepstra.mel_alpha(sound.sample_rate)
    return sound.keep(("mel cepstra", order, tracker), lambda: cepstra.mel_cepstra(power + _QUIET, order, alpha))


def amphion(
    reference: np.ndarray | Analysis,
    generated: np.ndarray | Analysis,
    sample_rate: int | None = None,
    *,
    rate: int = its.RATE,
) -> float:
    """Amphion's MCD, pymcd's "dtw_sl": c0 counts, the warping is that of 22 kHz at any rate, the path is approximate.

    The power envelope is taken for an amplitude and squared once more under a floor of 1e-8, and the result is
    multiplied by the ratio of the lengths.
    """
    first, second = pair(reference, generated, sample_rate, rate)
    r, g = (
        cepstra.mel_cepstra(cepstra.envelope_of_dio(sound, 0.005, 512) ** 2 + 1e-8, order=13, alpha=0.65)
        for sound in (first, second)
    )
    i, j = fastdtw(r[:, 1:], g[:, 1:])
    stretch = max(len(r), len(g)) / min(len(r), len(g))
    return stretch * _DECIBEL * float(np.sqrt(((r[i] - g[j]) ** 2).sum(axis=1)).mean())
