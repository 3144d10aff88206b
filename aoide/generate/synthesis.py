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

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

VOICED_ABOVE = 40.0  # Hz; F0 below it means unvoiced
HIGHEST_HARMONIC = 11_000.0  # Hz
MAX_LOG_MAGNITUDE = np.float32(7.0)  # keeps a foreign graph from overflowing
TRUST = 0.2  # in the spectrum that was tried, against what was heard of it; rho of the ADMM form
CARRIED = (TRUST - 1) / (2 * (1 + TRUST))  # k of `griffin_lim`
HALF = np.float32(0.5)
TINY = np.float32(5e-8)  # keeps the phase of silence finite
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
    magnitude: np.ndarray, phase: np.ndarray, *, hop: int, padding: str = "center", polish: Sequence[int] = ()
) -> np.ndarray:
    """Waveform of a spectrum whose phase is mended first by steps of the Griffin-Lim algorithm in its ADMM form.

    A step hears what the spectrum sounds like, keeps the phase that it hears, and takes the magnitude that was asked
    for; what the two disagree about is carried on to the next step, which gets there faster (Masuyama, Yatabe and
    Oikawa 2019, Griffin-Lim like phase recovery via ADMM; `models/vocoder/vocos_gl.py` trains through the same steps in
    torch). Other arguments and the result are those of `istft`.

    Args:
        polish: how many steps, in turn of the whole spectrum and of its lower half alone, which takes half the time and
            is where most of what is heard of phases lies; the whole comes first and last: (10, 16, 2). None: no step.

    With the spectrum x that is tried, the spectrum h that is heard of it, the magnitude m and the trust r in x:

        agreed = (h + r x) / (1 + r)     carried = x - agreed     u = agreed - carried     x <- m u / |u| + carried

    Of this v = u / 2 = h / (1 + r) + k x is computed, where k = (r - 1) / (2 (1 + r)), for then carried is x / 2 - v,
    and of x only k x is kept: v takes one sum, and k x <- k x / 2 + v (k m / |v| - k) the rest. Rounding grows some
    threefold with each step: what adds up in another order agrees to 1e-5 after four steps, and to 1e-2 at its worst
    sample after sixteen.
    """
    if not any(polish):
        return istft(magnitude, phase, hop=hop, padding=padding)
    assert len(polish) % 2 and polish[-1], f"the last steps are of the whole spectrum, not {list(polish)}"
    tried, asked = _aligned(*magnitude.shape, dtype=np.complex64), _aligned(*magnitude.shape)
    np.multiply(_polar(magnitude, phase), CARRIED, out=tried)
    np.multiply(magnitude, CARRIED, out=asked)
    for whole, part in zip(polish[:-1:2], polish[1::2], strict=True):
        _mend(tried, asked, hop, padding, whole)
        bins = magnitude.shape[1] // 2 + 1
        low, wanted = _aligned(len(tried), bins, dtype=np.complex64), _aligned(len(tried), bins)
        low[:], wanted[:] = tried[:, :bins], asked[:, :bins]
        _mend(low, wanted, hop // 2, padding, part)
        tried[:, :bins] = low
    return _mend(tried, asked, hop, padding, polish[-1], last=True)


def _sizes(spectrum: np.ndarray, hop: int, padding: str) -> tuple[int, int, int]:
    """n_fft, hop and the samples that are dropped at the beginning."""
    n_fft = 2 * (spectrum.shape[1] - 1)
    return n_fft, hop, n_fft // 2 if padding == "center" else (n_fft - hop) // 2


def _mend(tried: np.ndarray, asked: np.ndarray, hop: int, padding: str, steps: int, last: bool = False) -> np.ndarray:
    """Steps of `griffin_lim` on k x and k m, in place: of k x remains what the next steps go on with, or, after the
    last, u of magnitude m, of which this is the sound.
    """
    n_fft, hop, skip = _sizes(tried, hop, padding)
    frames, bins = tried.shape
    # norm="forward" divides by n_fft; without a factor to apply numpy's forward float32 FFT is five times as slow.
    window = _aligned(n_fft)
    np.multiply(_hann(n_fft), np.float32(n_fft / (1 + TRUST)), out=window)
    framed, heard, gain = _aligned(BLOCK, n_fft), _aligned(BLOCK, bins, dtype=np.complex64), _aligned(BLOCK, bins)
    sounds = _aligned(2, frames + 2 * (n_fft // hop), hop)  # the one that is heard, and the next
    signal = _overlap_add(lambda a, b: tried[a:b], frames, n_fft, hop, skip, 1 / CARRIED, sounds[0])
    for step in range(steps):
        windows = _windows_in(sounds[step % 2], frames, n_fft, skip)

        def block(start: int, stop: int, windows: np.ndarray = windows, end: bool = last and step == steps - 1) -> Any:
            size, x = stop - start, tried[start:stop]
            np.multiply(windows[start:stop], window, out=framed[:size])
            v = np.fft.rfft(framed[:size], norm="forward", out=heard[:size])
            v += x
            g = np.abs(v, out=gain[:size])
            g += TINY
            np.divide(asked[start:stop], g, out=g)
            if end:
                np.multiply(v, g, out=x)
                return x
            g -= CARRIED
            v *= g
            x *= HALF
            x += v
            return x

        if step == steps - 1 and not last:  # nobody will hear it as it is
            for start in range(0, frames, BLOCK):
                block(start, min(start + BLOCK, frames))
        else:
            signal = _overlap_add(block, frames, n_fft, hop, skip, 1 / CARRIED, sounds[1 - step % 2])
    return signal


def filtered(
    filters: Sequence[np.ndarray],
    f0: np.ndarray,
    centre: float,
    noise: np.ndarray,
    *,
    hop: int,
    sample_rate: int,
    padding: str = "center",
) -> np.ndarray:
    """Waveform of a source-filter vocoder, which filters noise as well as pulses (`models/vocoder/sourcefilter.py`).

    Args:
        filters: lh, theta, lr, phi, each (frames, bins) float32; n_fft = 2 * (bins - 1) must be a multiple of `hop`.
        f0: (frames,) Hz, 0 = unvoiced.
        centre: the phase of the pulses at the centre of the first frame, in cycles.
        noise: (frames * hop,) of unit power.
        hop, sample_rate: samples between frames, even, and Hz.
        padding: as of `istft`.

    Returns:
        (frames * hop,) float32.
    """
    lh, theta, lr, phi = filters
    n_fft = 2 * (lh.shape[1] - 1)
    skip = n_fft // 2 if padding == "center" else (n_fft - hop) // 2
    voice, breath = (_windows(source, n_fft, hop, skip) for source in (pulses(f0, hop, sample_rate, centre), noise))
    # of n_fft / 4 and of the root of 3 / 8 n_fft, the power of the window, norm="forward" below does 1 / n_fft
    of_voice, of_breath = (_hann(n_fft) * np.float32(factor) for factor in (4, math.sqrt(8 / 3 * n_fft)))

    def block(start: int, stop: int) -> np.ndarray:
        here = slice(start, stop)
        spectrum = _polar(np.exp(np.minimum(lr[here], MAX_LOG_MAGNITUDE)), phi[here])
        spectrum *= np.fft.rfft(breath[here] * of_breath, norm="forward")
        harmonic = _polar(np.exp(np.minimum(lh[here], MAX_LOG_MAGNITUDE)), np.float32(np.pi) * np.tanh(theta[here]))
        harmonic *= np.fft.rfft(voice[here] * of_voice, norm="forward")
        spectrum += harmonic
        return spectrum

    return _overlap_add(block, len(f0), n_fft, hop, skip)


def pulses(f0: np.ndarray, hop: int, sample_rate: int, centre: float | None = None) -> np.ndarray:
    """Band-limited pulse train: all harmonics of F0 below 11 kHz, each a cosine of amplitude 1.

    F0 (frames,) is taken at the middle of each hop and linear between, constant before the first and after the last;
    where it is below 40 Hz the train is silent and the phase goes on at 40 Hz. With t the running phase and H the
    number of harmonics, sum of cos(h t) for h = 1 ... H is sin((H + 1/2) t) / (2 sin(t / 2)) - 1/2, which tends to H
    at t = 0.

    Args:
        centre: the phase at the middle of the first hop in cycles, where this F0 is a piece of a longer one.

    Returns:
        (frames * hop,) float32.
    """
    around = np.pad(np.asarray(f0, np.float32), 1, mode="edge")
    ramp = (np.arange(hop, dtype=np.float32) + np.float32(0.5)) / np.float32(hop)
    train = np.empty(
        (len(f0) + 1, hop), np.float32
    )  # row k runs from the middle of frame k - 1 to the middle of frame k
    a_hop = hop * max(float(around[0]), VOICED_ABOVE) / sample_rate
    periods = -a_hop / 2 if centre is None else centre - a_hop  # without one, so that the phase is 0 at the beginning
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


def _aligned(*shape: int, dtype: type[np.generic] = np.float32) -> Any:
    """An empty array that begins where a line of the processor's cache does, 64 bytes, which numpy does not see to:
    where two lines are read for each vector, a product costs up to half more.
    """
    size = math.prod(shape) * np.dtype(dtype).itemsize
    space = np.empty(size + 64, np.uint8)
    start = -space.ctypes.data % 64
    return space[start : start + size].view(dtype).reshape(shape)


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


def _windows_in(rows: np.ndarray, frames: int, n_fft: int, left: int) -> np.ndarray:
    """The same of a sound that `_overlap_add` left in `rows`, of which no copy is made: the ends are mirrored there."""
    hop, flat, right = rows.shape[1], rows.reshape(-1), n_fft - left
    end = left + frames * hop
    if end - left > right:
        flat[:left] = flat[2 * left : left : -1]
        flat[end : end + right] = flat[end - 2 : end - right - 2 : -1]
    else:
        flat[: end + right] = np.pad(flat[left:end], (left, right), mode="reflect")
    return np.lib.stride_tricks.sliding_window_view(flat, n_fft)[::hop][:frames]


def _reached(source: np.ndarray, frames: int, n_fft: int, hop: int) -> np.ndarray:
    """(frames,) bool: whether any pulse lies within the window of a frame (or within a hop of it)."""
    voiced = source.reshape(frames, hop).any(axis=1)
    reach = n_fft // (2 * hop) + 1
    padded = np.pad(voiced, reach, mode="reflect" if frames > reach else "symmetric")
    return np.asarray(np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1).any(axis=1))


def _overlap_add(
    block: Callable[[int, int], np.ndarray],
    frames: int,
    n_fft: int,
    hop: int,
    skip: int,
    scale: float = 1.0,
    rows: np.ndarray | None = None,
) -> np.ndarray:
    """Inverse STFT with a Hann window: `scale * block(start, stop)` gives the spectra of frames start to stop.

    The windowed frames are added where they overlap and divided by the sum of squared windows there; `skip` samples
    are dropped at the beginning, frames * hop are kept. n_fft = overlap * hop, so the signal is rows of `hop` samples
    and adding is `overlap` sums. It is written into `rows` (frames + 2 * overlap, hop), where they are given.
    """
    overlap = n_fft // hop
    window, room = _aligned(n_fft), _aligned(min(BLOCK, frames), n_fft)
    np.multiply(_hann(n_fft), np.float32(scale), out=window)
    signal = _aligned(frames + 2 * overlap, hop) if rows is None else rows
    signal[:] = 0
    for start in range(0, frames, BLOCK):
        stop = min(start + BLOCK, frames)
        pieces = np.fft.irfft(block(start, stop), n_fft, out=room[: stop - start])
        pieces *= window
        pieces = pieces.reshape(stop - start, overlap, hop)
        for part in range(overlap):
            signal[start + part : stop + part] += pieces[:, part]
    head, full, tail = _per_weight(min(frames, overlap), n_fft, hop)
    signal[: len(head)] *= head
    signal[len(head) : frames] *= full
    signal[max(frames, len(head)) : frames + overlap - 1] *= tail
    return signal.reshape(-1)[skip : skip + frames * hop]


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
