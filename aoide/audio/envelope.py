"""A mel without its harmonics, in numpy: each band becomes the mean of the power over a width of F0 around it.

In a width of F0 lies one harmonic, wherever it stands, so what is left is how the throat colours the voice. The idea is
CheapTrick's (Morise 2015, Speech Communication 67), on mels. `models/content/phonemes.py` has the same in torch.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from aoide.audio.mel_config import MelConfig, filterbank, hz_to_mel, mel_to_hz

WIDTHS = tuple(120.0 * 2 ** (n / 2) for n in range(7))  # Hz over which the envelope is smoothed
LIVE = 1e-3  # sum of a band's filter; bands that hear less are made of their neighbours


def envelope(mel: np.ndarray, f0: np.ndarray, of: MelConfig) -> np.ndarray:
    """mel (frames, mels) nats, f0 (frames,) Hz with 0 = unvoiced -> (frames, mels) nats."""
    area = np.log(areas(of))
    power = np.exp((mel - area) * (2 / of.power))
    place = 2 * np.log2(np.clip(f0, WIDTHS[0], WIDTHS[-1]) / WIDTHS[0])
    share = np.maximum(1 - np.abs(place[:, None] - np.arange(len(WIDTHS))), 0.0)
    widths = means(of).reshape(of.n_mels, len(WIDTHS), of.n_mels)
    mean = np.zeros_like(power)
    for n in np.flatnonzero(share.any(axis=0)):
        mean += share[:, n, None] * (power @ widths[:, n])
    return np.maximum(np.log(np.maximum(mean, 1e-30)) * (of.power / 2) + area, of.silence)


@cache
def areas(mel: MelConfig) -> np.ndarray:
    """What a flat spectrum of 1 gives in each band, (mels,)."""
    return np.maximum(filterbank(mel).sum(1, dtype=np.float64), LIVE)


@cache
def means(mel: MelConfig) -> np.ndarray:
    """Shares of the bands in the mean around each: (mels, widths * mels)."""
    centres = bands(mel)
    edges = np.concatenate([[mel.fmin], (centres[1:] + centres[:-1]) / 2, [mel.fmax]])
    live = filterbank(mel).sum(1) > LIVE
    tables = []
    for width in WIDTHS:
        low, high = np.maximum(centres - width / 2, mel.fmin), np.minimum(centres + width / 2, mel.fmax)
        share = np.minimum(high, edges[1:, None]) - np.maximum(low, edges[:-1, None])  # (of which, around which)
        share = np.where(live[:, None], np.maximum(share, 0.0), 0.0)
        share[:, share.sum(0) == 0] = np.eye(mel.n_mels)[:, share.sum(0) == 0]
        tables.append(share / share.sum(0))
    return np.concatenate(tables, axis=1)


def bands(mel: MelConfig) -> np.ndarray:
    """Where the bands have their peaks, (mels,) Hz."""
    low, high = (float(hz_to_mel(hz, mel.scale)) for hz in (mel.fmin, mel.fmax))
    return np.asarray(mel_to_hz(np.linspace(low, high, mel.n_mels + 2)[1:-1], mel.scale))
