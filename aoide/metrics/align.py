"""Which frames of two sounds belong together: the same moment, or the same word.

    i, j = frames(reference, generated, "auto")        # frame i[k] of the reference belongs to frame j[k]

time    frame k belongs to frame k. The shorter sound is continued with silence, so what is missing counts.
dtw     dynamic time warping on the spectral envelope: how a mouth moves, but neither F0 nor loudness, which are what
        metrics compare (Sakoe & Chiba 1978). Aligning by the compared values themselves, as Amphion does, hides the
        errors that are to be found.
auto    time, if the two last equally long within 50 ms (the output of a vocoder or a codec); dtw otherwise (speech that
        was generated from text). One set should be measured one way: `choose` says which.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from aoide.audio.mel_config import MelConfig
from aoide.metrics.analysis import Analysis
from aoide.metrics.warp import warp

Align = Literal["auto", "time", "dtw"]

TOLERANCE = 0.05  # seconds

_MEL = MelConfig(
    sample_rate=16000, n_fft=512, win=400, hop=160, n_mels=40, fmin=50.0, fmax=7600.0, power=2.0, floor=1e-7
)
_CEPSTRA = 12  # from c1: c0 is loudness, and harmonics are finer than c12 of 40 bands can follow


def choose(reference: Analysis, generated: Analysis, align: Align = "auto") -> Literal["time", "dtw"]:
    """What `auto` means for this pair."""
    if align != "auto":
        return align
    return "time" if abs(reference.seconds - generated.seconds) <= TOLERANCE else "dtw"


def equal_length(reference: Analysis, generated: Analysis) -> tuple[Analysis, Analysis]:
    """Both as long as the longer one: the other is continued with silence."""
    samples = max(len(reference.samples), len(generated.samples))
    return reference.lasting(samples), generated.lasting(samples)


def frames(reference: Analysis, generated: Analysis, align: Align = "auto") -> tuple[np.ndarray, np.ndarray]:
    """Pairs of frames on the common grid of `Analysis`.

    Returns:
        Two int64 arrays (pairs,): frames of the reference and of the generated sound. With `time` the frames of the
        longer sound; an index beyond the end of the shorter one means silence, see `at`.
    """
    if choose(reference, generated, align) == "time":
        both = np.arange(max(reference.frames, generated.frames))
        return both, both
    if min(reference.frames, generated.frames) == 0:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    return generated.keep(("dtw", reference), lambda: warp(envelope(reference), envelope(generated)))


def at(values: np.ndarray, index: np.ndarray, silence: float) -> np.ndarray:
    """values[index] of values (frames,), and `silence` for the indices beyond its end."""
    if len(values) == 0:
        return np.full(len(index), silence, np.float64)
    inside = index < len(values)
    return np.where(inside, values[np.where(inside, index, 0)], silence).astype(np.float64)


def envelope(sound: Analysis) -> np.ndarray:
    """The spectral envelope on the common grid: cepstra (frames, 12) float32 of 40 mel bands, each with mean 0.

    The mean is left out since a microphone or a filter moves it.
    """
    return sound.keep("envelope", lambda: _cepstra(sound))


def _cepstra(sound: Analysis) -> np.ndarray:
    heard = sound.at(_MEL.sample_rate)
    # One frame more than the house's clock: the common grid has a frame on the end of the sound.
    mel = heard.lasting(len(heard.samples) + _MEL.hop).mel(_MEL)
    mel = np.pad(mel, ((0, max(0, sound.frames - len(mel))), (0, 0)), mode="edge")[: sound.frames]
    band = np.arange(_MEL.n_mels) + 0.5
    basis = np.cos(np.pi / _MEL.n_mels * np.outer(band, np.arange(1, _CEPSTRA + 1)))
    cepstra = mel @ basis.astype(np.float32)
    return cepstra - cepstra.mean(axis=0)
