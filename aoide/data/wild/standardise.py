"""Any sound file becomes one channel at 24 kHz with a loudness near -20 dBFS.

Emilia's rule: the gain that brings the whole recording to -20 dBFS (root mean square), but at most 3 dB up or down, so
that nothing is distorted. Differs: its script then divides by the highest sample, which undoes that gain and lets one
click decide how loud an hour is; here the gain is lowered where the peak would pass full scale, and that is all.

The file is decoded once, block by block. The samples wait in a raw file beside the output (346 MB an hour), from which
later stages read any stretch at no cost; memory does not grow with the length of the recording.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from aoide.audio import io
from aoide.config import MissingExtra, UserError
from aoide.data.clips import SILENT
from aoide.data.wild import RATE, Unfit

PEAK = 0.99  # of full scale
_WIDTH = 4  # bytes of a float32
_BLOCK = 10 * RATE


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    level: float = -20.0  # dBFS, root mean square of the whole recording
    max_gain: float = 3.0  # dB, up or down

    def __post_init__(self) -> None:
        if not self.level < 0 or self.max_gain < 0:
            raise ValueError(f"level {self.level} must be below 0 dBFS and max_gain {self.max_gain} at least 0 dB")


class Recording:
    """A standardised recording: raw float32 samples in a file, and the gain that they still need.

    Attributes:
        samples: how many.
        gain: factor.
    """

    def __init__(self, path: Path, samples: int, gain: float) -> None:
        self._path = path
        self.samples, self.gain = samples, gain

    @property
    def seconds(self) -> float:
        return self.samples / RATE

    def read(self, start: int, end: int) -> np.ndarray:
        """(end - start,) float32, less at the end of the recording."""
        count = max(0, min(end, self.samples) - start)
        return np.fromfile(self._path, np.float32, count, offset=start * _WIDTH) * np.float32(self.gain)

    def blocks(self) -> Iterator[np.ndarray]:
        """All of it, ten seconds at a time."""
        for start in range(0, self.samples, _BLOCK):
            yield self.read(start, start + _BLOCK)


@contextmanager
def standardised(path: Path, scratch: Path, config: Config) -> Iterator[Recording]:
    """Decodes a file into `scratch`, which is removed at the end of the block.

    Raises:
        Unfit: broken, empty or silent; the text says which.
        UserError: the disk is full.
    """
    try:
        blocks = io.blocks(path, RATE)
        samples, level, peak = _written(_decoded(path, blocks), scratch)
        if samples == 0:
            raise Unfit("no samples")
        if peak < SILENT:
            raise Unfit("silent")
        gain = np.clip(config.level - level, -config.max_gain, config.max_gain)
        yield Recording(scratch, samples, min(10.0 ** (gain / 20.0), PEAK / peak))
    finally:
        scratch.unlink(missing_ok=True)


@contextmanager
def derived(blocks: Iterable[np.ndarray], scratch: Path) -> Iterator[Recording]:
    """Another recording of the same kind, from samples that have their loudness already."""
    try:
        samples, _, peak = _written(blocks, scratch)
        if peak < SILENT:
            raise Unfit("nothing but music: the separated voice is silent")
        yield Recording(scratch, samples, min(1.0, PEAK / peak))
    finally:
        scratch.unlink(missing_ok=True)


def _decoded(path: Path, blocks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """The blocks of a file that is whole and holds numbers."""
    try:
        if io.native(path) and not io.probe(path).complete:  # PyAV says by itself what is broken
            raise Unfit("broken sound file: it ends too early")
        for block in blocks:
            if not np.isfinite(block).all():
                raise Unfit("holds samples that are no numbers")
            yield block
    except (UserError, MissingExtra) as error:
        raise Unfit(str(error).removeprefix(f"{path}: ")) from None


def _written(blocks: Iterable[np.ndarray], scratch: Path) -> tuple[int, float, float]:
    """Writes samples as they come; returns how many, their level in dBFS and the highest."""
    samples, power, peak = 0, 0.0, 0.0
    try:
        with scratch.open("wb") as file:
            for block in blocks:
                file.write(np.ascontiguousarray(block, np.float32).data)
                samples += len(block)
                power += float(np.square(block, dtype=np.float64).sum())
                peak = max(peak, float(np.abs(block).max(initial=0.0)))
    except OSError as error:
        raise UserError(f"{scratch}: cannot be written: {error.strerror}") from None
    level = 10.0 * float(np.log10(power / samples)) if power > 0 else float("-inf")
    return samples, level, peak
