"""Resampling by soxr, a whole sound at once or a stream piece by piece. Both give the same samples."""

from __future__ import annotations

import numpy as np


def length(samples: int, source: int, target: int) -> int:
    """How many samples `samples` become when they go from `source` to `target` samples per second (halves go up)."""
    return (2 * samples * target + source) // (2 * source)


def resample(samples: np.ndarray, source: int, target: int) -> np.ndarray:
    """Brings samples (samples,) or (samples, channels) from `source` to `target` samples per second.

    The result is float32 and `length(samples, source, target)` samples long.
    """
    import soxr

    samples = np.asarray(samples, dtype=np.float32)
    if source == target:
        return samples
    wanted = length(len(samples), source, target)
    if wanted == 0:
        return samples[:0]
    return _fit(soxr.resample(samples, source, target, quality="HQ"), wanted)


class Resampler:
    """Resamples a stream: feed pieces to `push`, then call `finish` once for what is still inside.

    Args:
        source, target: samples per second that come in and go out.
        channels: 1 for pieces of shape (samples,), more for (samples, channels).
    """

    def __init__(self, source: int, target: int, channels: int = 1) -> None:
        import soxr

        self._source, self._target = source, target
        self._empty = np.zeros(0 if channels == 1 else (0, channels), np.float32)
        self._stream = None
        if source != target:
            self._stream = soxr.ResampleStream(source, target, channels, dtype="float32", quality="HQ")
        self._taken = self._given = 0

    def push(self, samples: np.ndarray) -> np.ndarray:
        """Takes the next piece and returns the samples that are ready, possibly none."""
        samples = np.asarray(samples, dtype=np.float32)
        if self._stream is None:
            return samples
        self._taken += len(samples)
        ready = self._stream.resample_chunk(samples)
        self._given += len(ready)
        return ready

    def finish(self) -> np.ndarray:
        """The rest of the stream. The resampler is used up afterwards."""
        if self._stream is None:
            return self._empty
        rest = self._stream.resample_chunk(self._empty, last=True)
        return _fit(rest, max(0, length(self._taken, self._source, self._target) - self._given))


def _fit(samples: np.ndarray, wanted: int) -> np.ndarray:
    """Cuts or repeats the last sample: soxr may be one sample off the exact length."""
    if len(samples) >= wanted:
        return samples[:wanted]
    if len(samples) == 0:
        return np.zeros((wanted, *samples.shape[1:]), np.float32)
    return np.concatenate([samples, np.repeat(samples[-1:], wanted - len(samples), axis=0)])
