"""Retrieval: frames of a converted mel take the colour of the most alike frame that the singer has really sung.

    bank = Bank.of(mels, f0)                    # frames of the singer
    mel = mel + bank.nearer(mel, f0, config)    # (frames, mels)

A network says the mean of all that may be meant, and something of who spoke is left in it. Of the converted frame the
envelope is taken, the harmonics smoothed out, and replaced by that of one frame of the singer, of all kept ones the
most alike; harmonics, breath and loudness stay. The habit is that of so-vits-svc and RVC, who look among features of
the content; here the look is at what came out (compare Baas et al. 2023, arXiv:2305.18975, kNN-VC). One frame and not
the mean of several, which would be flat again.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from aoide.audio.envelope import envelope
from aoide.audio.mel_config import MelConfig
from aoide.config import UserError

FILE = "bank.npz"
STEP = 0.05  # nats of the shapes that are stored in 8 bits
LOUD = 4.5  # nats below the loudest twentieth of frames: below, nothing is looked for
COSINES, SOFT = 31, 24.0  # by which shapes are compared, the later ones less and less
APART = 5e-4  # of a squared semitone between F0 and F0, beside the squared distance of shapes, whose mean is 2
USUAL = (2, 98)  # percentiles of the singer's F0 between which voiced frames are looked for
SMOOTH = np.hanning(9)[1:-1] / np.hanning(9).sum()  # over frames, of what is changed


@dataclass(frozen=True, slots=False)
class Bank:
    """Frames of a singer.

    Attributes:
        shapes: (rows, mels) nats, envelopes without their means.
        f0: (rows,) Hz, 0 = unvoiced.
    """

    shapes: np.ndarray
    f0: np.ndarray

    @classmethod
    def of(cls, mel: np.ndarray, f0: np.ndarray, config: MelConfig, rows: int, seed: int = 0) -> Bank:
        """The bank of mel (frames, mels) and f0 (frames,): `rows` of its loud frames, drawn."""
        chosen = np.flatnonzero(loud(mel))
        chosen = np.sort(np.random.default_rng(seed).permutation(chosen)[:rows])
        found = shape(envelope(mel[chosen].astype(np.float64), f0[chosen], config))
        return cls(found.astype(np.float32), f0[chosen].astype(np.float32))

    def nearer(self, mel: np.ndarray, f0: np.ndarray, config: MelConfig) -> np.ndarray:
        """What is to be added to mel (frames, mels) at f0 (frames,) Hz: the nearest shapes less its own; nats."""
        own = shape(envelope(mel.astype(np.float64), f0, config))
        change = np.zeros_like(own)
        for voiced, (keys, scale, rows) in self._keys.items():
            frames = np.flatnonzero(self._usual(f0) & loud(mel) if voiced else (f0 <= 0) & loud(mel))
            if len(rows) and len(frames):
                asked = own[frames] @ cosines(own.shape[1])
                far = (asked**2).sum(1)[:, None] - 2 * asked @ keys.T + (keys**2).sum(1)
                far = far / scale
                if voiced:
                    far += APART * (12 * np.log2(f0[frames, None] / self.f0[rows])) ** 2
                change[frames] = self.shapes[rows[far.argmin(1)]] - own[frames]
        padded = np.pad(change, ((len(SMOOTH) // 2,) * 2, (0, 0)), mode="edge")
        return sum(share * padded[n : n + len(mel)] for n, share in enumerate(SMOOTH)).astype(np.float32)

    def _usual(self, f0: np.ndarray) -> np.ndarray:
        """(frames,): whether the singer has been heard so high; the colour of a high note is none of a low one."""
        voiced = self.f0[self.f0 > 0]
        low, high = np.percentile(voiced, USUAL) if len(voiced) else (np.inf, np.inf)
        return np.asarray((f0 >= low) & (f0 <= high))

    @cached_property
    def _keys(self) -> dict[bool, tuple[np.ndarray, float, np.ndarray]]:
        """Of voiced frames and of others: what shapes are compared by, how much that varies, and which rows."""
        found = {}
        for voiced in (True, False):
            rows = np.flatnonzero((self.f0 > 0) == voiced)
            keys = self.shapes[rows] @ cosines(self.shapes.shape[1])
            found[voiced] = keys, max(float(keys.var(0).sum()) if len(rows) else 0.0, 1e-9), rows
        return found


def shape(levels: np.ndarray) -> np.ndarray:
    return levels - levels.mean(1, keepdims=True)


def loud(mel: np.ndarray) -> np.ndarray:
    """(frames,): whether a frame is loud enough that something is sung in it."""
    level = np.log(np.linalg.norm(np.exp(mel.astype(np.float64)), axis=1) + 1e-6)
    return np.asarray(level > np.percentile(level, 95) - LOUD)


def cosines(mels: int) -> np.ndarray:
    """(mels, COSINES): shapes times this are compared."""
    order = np.arange(1, COSINES + 1)
    waves = np.cos(np.pi * (np.arange(mels)[:, None] + 0.5) * order / mels)
    return waves * np.exp(-((order / SOFT) ** 2)) / np.sqrt(mels)


def save(path: str | os.PathLike[str], banks: dict[str, Bank]) -> None:
    """Writes the banks of some singers; shapes are rounded to STEP."""
    arrays = {}
    for name, bank in banks.items():
        arrays[f"{name}.shapes"] = np.rint(bank.shapes / STEP).clip(-127, 127).astype(np.int8)
        arrays[f"{name}.f0"] = bank.f0.astype(np.float16)
    with open(path, "wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]


def load(path: str | os.PathLike[str], mels: int) -> dict[str, Bank]:
    """Banks by name.

    Raises:
        UserError: a file that is none.
    """
    try:
        with np.load(path) as file:
            arrays = dict(file)
        names = [name.removesuffix(".f0") for name in arrays if name.endswith(".f0")]
        shapes, heights = (
            {name: arrays[f"{name}.{what}"].astype(np.float32) for name in names} for what in ("shapes", "f0")
        )
        banks = {name: Bank(STEP * shapes[name], heights[name]) for name in names}
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"{path}: no bank of frames: {str(error).splitlines()[0]}") from None
    if any(bank.shapes.shape != (len(bank.f0), mels) for bank in banks.values()):
        raise UserError(f"{path}: frames of another mel")
    return banks
