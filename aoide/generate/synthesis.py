"""The last step of an exported voice, in numpy: spectra -> waveform by one inverse STFT, without torch.

Two kinds of spectra come out of voice graphs:

    sourcefilter   lh, theta, lr, phi (frames, bins) and f0 (frames,): a pulse train filtered by
                   exp(lh) e^{i pi tanh(theta)}, plus a part with a phase of its own, exp(lr) e^{i phi}
                   (`nn/sourcefilter.py` is the same in torch)
    istft          magnitude and phase (frames, bins): the spectrum itself (Vocos)

It is written for one thread and for speed: float32 from end to end (numpy >= 2 keeps float32 in its FFT), blocks of
frames that stay in the processor's cache, no loop over frames or samples. Frames without a pulse in reach of their
window have no harmonic part, so it is not computed there. `tests/generate/test_synthesis.py` compares it with the
definition, sample by sample.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np

VOICED_ABOVE = 40.0  # Hz; F0 below it means unvoiced
HIGHEST_HARMONIC = 11_000.0  # Hz
MAX_LOG_MAGNITUDE = np.float32(7.0)  # keeps a foreign graph from overflowing
TRUST = np.float32(0.1)  # in the spectrum that was tried, against what was heard of it; rho of the ADMM form
TINY = np.float32(1e-7)  # keeps the phase of silence finite
BLOCK = 64  # frames at a time; 64 x 601 complex numbers are 300 kB


def sourcefilter(
    spectra: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray], f0: np.ndarray, *, hop: int, sample_rate: int
) -> np.ndarray:
    """Waveform of a source-filter voice.

    Args:
        spectra: lh, theta, lr, phi, each (frames, bins) float32; n_fft = 2 * (bins - 1) must be a multiple of `hop`.
        f0: (frames,) Hz, 0 = unvoiced.
        hop: samples between frames, even.
        sample_rate: Hz.

    Returns:
        (frames * hop,) float32, about -1 to 1.
    """
    lh, theta, lr, phi = spectra
    n_fft = 2 * (lh.shape[1] - 1)
    source = pulses(f0, hop, sample_rate)
    windows = _windows(source, n_fft, hop, n_fft // 2)
    audible = _reached(source, len(f0), n_fft, hop)
    # A cosine of amplitude 1 shall peak at 2: a factor of 4 / n_fft, of which norm="forward" below does 1 / n_fft.
    # (Without a factor to apply, numpy's forward float32 FFT takes a detour that makes it five times as slow.)
    analysis = _hann(n_fft) * np.float32(4)

    def block(start: int, stop: int) -> np.ndarray:
        spectrum = _polar(np.exp(np.minimum(lr[start:stop], MAX_LOG_MAGNITUDE)), phi[start:stop])
        rows = np.flatnonzero(audible[start:stop])
        if rows.size:
            rows_in_all = rows + start
            angle = np.tanh(theta[rows_in_all])
            angle *= np.float32(np.pi)
            harmonic = _polar(np.exp(np.minimum(lh[rows_in_all], MAX_LOG_MAGNITUDE)), angle)
            harmonic *= np.fft.rfft(windows[rows_in_all] * analysis, norm="forward")
            spectrum[rows] += harmonic
        return spectrum

    return _overlap_add(block, len(f0), n_fft, hop, skip=n_fft // 2)


def istft(magnitude: np.ndarray, phase: np.ndarray, *, hop: int, padding: str = "center") -> np.ndarray:
    """Waveform of a voice whose graph gives the spectrum itself.

    Args:
        magnitude, phase: (frames, bins) float32, phase in radians.
        hop: samples between frames; n_fft = 2 * (bins - 1) must be a multiple of it.
        padding: "center", where frame k is centred on sample k * hop, or "same", where it is centred on the middle of
            its own hop.

    Returns:
        (frames * hop,) float32.
    """
    n_fft = 2 * (magnitude.shape[1] - 1)
    skip = n_fft // 2 if padding == "center" else (n_fft - hop) // 2

    def block(start: int, stop: int) -> np.ndarray:
        return _polar(magnitude[start:stop], phase[start:stop])

    return _overlap_add(block, len(magnitude), n_fft, hop, skip)


def griffin_lim(
    magnitude: np.ndarray, phase: np.ndarray, *, hop: int, padding: str = "center", steps: int = 0
) -> np.ndarray:
    """Waveform of a spectrum whose phase is mended first by `steps` of the Griffin-Lim algorithm in its ADMM form.

    A step hears what the spectrum sounds like, keeps the phase that it hears, and takes the magnitude that was asked
    for; what the two disagree about is carried on to the next step, which gets there faster (Masuyama, Yatabe and
    Oikawa 2019, Griffin-Lim like phase recovery via ADMM; `models/vocoder/vocos_gl.py` trains through the same steps in
    torch). Arguments and result are those of `istft`.
    """
    signal = istft(magnitude, phase, hop=hop, padding=padding)
    n_fft = 2 * (magnitude.shape[1] - 1)
    skip = n_fft // 2 if padding == "center" else (n_fft - hop) // 2
    # norm="forward" divides by n_fft; without a factor to apply numpy's forward float32 FFT is five times as slow.
    window = _hann(n_fft) * np.float32(n_fft / (1 + TRUST))
    share = TRUST / (1 + TRUST)
    tried = _polar(magnitude, phase) if steps else np.empty(0, np.complex64)
    for step in range(steps):
        windows = _windows(signal, n_fft, hop, skip)

        def block(start: int, stop: int, windows: np.ndarray = windows, last: bool = step == steps - 1) -> np.ndarray:
            before = tried[start:stop]
            agreed = np.fft.rfft(windows[start:stop] * window, norm="forward")  # between what was tried and heard
            agreed += share * before
            disagreement = before - agreed
            agreed -= disagreement
            scale = np.abs(agreed)
            scale += TINY
            np.divide(magnitude[start:stop], scale, out=scale)
            agreed *= scale
            if last:
                return agreed
            np.add(agreed, disagreement, out=before)
            return before

        signal = _overlap_add(block, len(magnitude), n_fft, hop, skip)
    return signal


def pulses(f0: np.ndarray, hop: int, sample_rate: int) -> np.ndarray:
    """Band-limited pulse train: all harmonics of F0 below 11 kHz, each a cosine of amplitude 1.

    F0 (frames,) is taken at the middle of each hop and linear between, constant before the first and after the last;
    where it is below 40 Hz the train is silent and the phase goes on at 40 Hz. With t the running phase and H the
    number of harmonics, sum of cos(h t) for h = 1 ... H is sin((H + 1/2) t) / (2 sin(t / 2)) - 1/2, which tends to H
    at t = 0.

    Returns:
        (frames * hop,) float32.
    """
    around = np.pad(np.asarray(f0, np.float32), 1, mode="edge")
    ramp = (np.arange(hop, dtype=np.float32) + np.float32(0.5)) / np.float32(hop)
    train = np.empty(
        (len(f0) + 1, hop), np.float32
    )  # row k runs from the middle of frame k - 1 to the middle of frame k
    periods = (
        -(hop // 2) * max(float(around[0]), VOICED_ABOVE) / sample_rate
    )  # so that the phase is 0 where the sound begins
    for start in range(0, len(train), BLOCK):
        ends = around[start : start + BLOCK + 1, None]
        pitch = ends[:-1] + np.diff(ends, axis=0) * ramp
        voiced = pitch > VOICED_ABOVE
        np.maximum(pitch, np.float32(VOICED_ABOVE), out=pitch)
        phase = np.cumsum(pitch, dtype=np.float64).reshape(
            pitch.shape
        )  # float32 would drift by a tenth of a period a minute
        phase *= 1 / sample_rate
        phase += periods
        periods = phase[-1, -1] % 1.0
        train[start : start + BLOCK] = _cosines(phase, np.floor(np.float32(HIGHEST_HARMONIC) / pitch))
        train[start : start + BLOCK] *= voiced
    return train.ravel()[hop // 2 : hop // 2 + len(f0) * hop]


def _cosines(phase: np.ndarray, count: np.ndarray) -> np.ndarray:
    """Sum of the cosines of all harmonics 1 ... count at `phase` (float64, in periods), as float32."""
    phase = phase - np.rint(phase)  # -1/2 to 1/2, so that both sines below keep their precision around 0
    upper = phase * (count + np.float32(0.5))
    upper -= np.rint(upper)
    total = np.sin(upper.astype(np.float32) * np.float32(2 * np.pi))
    lower = np.sin(phase.astype(np.float32) * np.float32(np.pi))
    lower *= 2
    at_zero = np.abs(lower) < 1e-6
    total /= np.where(at_zero, np.float32(1), lower)
    total -= np.float32(0.5)
    np.copyto(total, count, where=at_zero)
    return total


def _polar(magnitude: np.ndarray, angle: np.ndarray) -> np.ndarray:
    """magnitude * e^{i angle} as complex64."""
    result = np.empty(angle.shape, np.complex64)
    np.cos(angle, out=result.real)
    np.sin(angle, out=result.imag)
    result *= magnitude
    return result


@lru_cache(maxsize=8)
def _hann(size: int) -> np.ndarray:
    """Periodic Hann window (size,) float32."""
    window = (0.5 - 0.5 * np.cos(2 * np.pi / size * np.arange(size))).astype(np.float32)
    window.flags.writeable = False
    return window


def _windows(samples: np.ndarray, n_fft: int, hop: int, left: int) -> np.ndarray:
    """Overlapping windows (frames, n_fft), a view; the first begins `left` samples before the sound, the ends are
    mirrored."""
    right = n_fft - left
    if len(samples) > right:
        padded = np.concatenate([samples[left:0:-1], samples, samples[-2 : -right - 2 : -1]])
    else:  # shorter than the mirror image: numpy reflects back and forth
        padded = np.pad(samples, (left, right), mode="reflect")
    return np.lib.stride_tricks.sliding_window_view(padded, n_fft)[::hop][: len(samples) // hop]


def _reached(source: np.ndarray, frames: int, n_fft: int, hop: int) -> np.ndarray:
    """(frames,) bool: whether any pulse lies within the window of a frame (or within a hop of it)."""
    voiced = source.reshape(frames, hop).any(axis=1)
    reach = n_fft // (2 * hop) + 1
    padded = np.pad(voiced, reach, mode="reflect" if frames > reach else "symmetric")
    return np.asarray(np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1).any(axis=1))


def _overlap_add(block: Callable[[int, int], np.ndarray], frames: int, n_fft: int, hop: int, skip: int) -> np.ndarray:
    """Inverse STFT with a Hann window: `block(start, stop)` gives the spectra of frames start to stop.

    The windowed frames are added where they overlap and divided by the sum of squared windows there; `skip` samples
    are dropped at the beginning, frames * hop are kept. n_fft = overlap * hop, so the signal is rows of `hop` samples
    and adding is `overlap` sums.
    """
    overlap = n_fft // hop
    window = _hann(n_fft)
    signal = np.zeros((frames + max(overlap - 1, (skip + hop - 1) // hop), hop), np.float32)
    for start in range(0, frames, BLOCK):
        stop = min(start + BLOCK, frames)
        pieces = np.fft.irfft(block(start, stop), n_fft)
        pieces *= window
        pieces = pieces.reshape(stop - start, overlap, hop)
        for part in range(overlap):
            signal[start + part : stop + part] += pieces[:, part]
    head, full, tail = _per_weight(min(frames, overlap), n_fft, hop)
    signal[: len(head)] *= head
    signal[len(head) : frames] *= full
    signal[max(frames, len(head)) : frames + overlap - 1] *= tail
    return signal.ravel()[skip : skip + frames * hop]


@lru_cache(maxsize=32)
def _per_weight(frames: int, n_fft: int, hop: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """One over the sum of squared windows: the rows where it grows, the row of all that lie between, the rows where it
    fades."""
    overlap = n_fft // hop
    squares = np.square(_hann(n_fft)).reshape(overlap, hop)
    weight = np.zeros((frames + overlap - 1, hop), np.float32)
    for part in range(overlap):
        weight[part : part + frames] += squares[part]
    inverse = 1 / np.maximum(weight, np.float32(1e-11))
    return inverse[: overlap - 1], inverse[overlap - 1], inverse[max(frames, overlap - 1) :]
