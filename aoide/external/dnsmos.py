"""DNSMOS: how a listener would rate speech in noise, by two small networks of Microsoft that need no reference.

Reddy et al. 2021 (arXiv 2010.15258, P.808) and 2022 (arXiv 2110.01763, P.835). The weights come in the package
`speechmos` and are run here by onnxruntime alone; the mel of P.808 is that of librosa's defaults.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import numpy as np

from aoide.external.spectra import magnitude_frames, slaney_bands
from aoide.external.weights import packaged, session

RATE = 16000  # Hz
_LENGTH = round(9.01 * RATE)  # samples that the networks hear at once
# The networks were fitted to scores on another scale; these polynomials of Microsoft's script bring them back.
_SCALES: dict[bool, dict[str, tuple[float, ...]]] = {
    False: {"sig": (-0.08397278, 1.22083953, 0.0052439), "bak": (-0.13166888, 1.60915514, -0.39604546),
            "ovrl": (-0.06766283, 1.11546468, 0.04602535)},
    True: {"sig": (-0.01019296, 0.02751166, 1.19576786, -0.24348726),
           "bak": (-0.04976499, 0.44276479, -0.1644611, 0.96883132),
           "ovrl": (-0.00533021, 0.005101, 1.18058466, -0.11236046)},
}  # fmt: skip


class Scores(NamedTuple):
    """Mean opinion scores, 1 to 5."""

    sig: float  # the speech alone (P.835)
    bak: float  # the background alone (P.835)
    ovrl: float  # all in all (P.835)
    p808: float  # all in all, from the other network (P.808)


def scores(samples: np.ndarray, personalized: bool = False) -> Scores:
    """The scores of one sound.

    Args:
        samples: (samples,) at 16 kHz, not silent. Shorter ones are repeated up to 9.01 s, longer ones are heard in
            windows a second apart, whose scores are averaged.
        personalized: other speakers count as background (pDNSMOS).

    Raises:
        MissingExtra: speechmos is not installed.
    """
    primary, p808 = _networks(personalized)
    sound = np.clip(np.asarray(samples, np.float32), -1.0, 1.0)
    while len(sound) < _LENGTH:
        sound = np.concatenate([sound, sound])
    count = int(len(sound) // RATE - 9.01) + 1
    windows = [sound[second * RATE : second * RATE + _LENGTH] for second in range(count)]
    rated = []
    for window in (w for w in windows if len(w) == _LENGTH):
        raw = dict(zip(("sig", "bak", "ovrl"), primary.run(None, {"input_1": window[None]})[0][0], strict=True))
        on_scale = {name: float(np.polyval(_SCALES[personalized][name], value)) for name, value in raw.items()}
        rated.append(Scores(**on_scale, p808=float(p808.run(None, {"input_1": _mel(window[:-160])[None]})[0][0][0])))
    return Scores(*np.mean(rated, axis=0).tolist())


@cache
def _networks(personalized: bool) -> tuple[Any, Any]:
    folder = "pdnsmos_models" if personalized else "dnsmos_models"
    primary = session(packaged("speechmos", f"{folder}/sig_bak_ovr.onnx"))
    return primary, session(packaged("speechmos", "dnsmos_models/model_v8.onnx"))


@cache
def _bands() -> np.ndarray:
    return slaney_bands(RATE, 321, 120, 0.0, RATE / 2)


def _mel(samples: np.ndarray) -> np.ndarray:
    """(frames, 120): decibels below the loudest band, at most 80, shifted and scaled to -1 to 1."""
    power = magnitude_frames(samples, 321, 160, centred=True) ** 2 @ _bands().T
    decibels = 10.0 * np.log10(np.maximum(power, 1e-10))
    decibels -= decibels.max()
    return ((np.maximum(decibels, -80.0) + 40.0) / 40.0).astype(np.float32)
