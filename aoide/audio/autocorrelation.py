"""F0 by autocorrelation, many sounds at once: the method that phonetics trusts, as fast as a spectrogram.

Boersma 1993, "Accurate short-term analysis of the fundamental frequency ...", IFA Proceedings 17, which is also what
Praat does: each frame is windowed over three of the longest periods; its autocorrelation, divided by that of the
window, has peaks at the periods that may be; a path through the frames chooses among them and "unvoiced", so that it
pays for jumps. The settings are the paper's and Praat's; tests/audio/test_autocorrelation.py holds the two together.

It is fast because the sound is thinned to what a voice's periods need before it is cut into windows, because the frames
of a whole batch are transformed together, because of the power spectrum only the lags that may be periods are computed,
by one product of matrices, and because only the chosen peaks are refined. It runs on a GPU when the sounds lie there;
the path is found on the CPU, in one pass for all sounds of the batch. What else is in a batch changes nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

VOICING = 0.45  # of the strength 0 to 1: below, a peak loses to "unvoiced"
SILENCE = 0.03  # of the loudest sample: what is quieter is less and less likely to be voiced
OCTAVE = 0.01  # per octave of period: of two equal peaks the higher pitch is meant
JUMP = 0.35  # per octave from frame to frame
CHANGE = 0.14  # from voiced to unvoiced and back; JUMP and CHANGE hold for frames of 10 ms
PEAKS = 6  # that a frame may choose from, the best ones
_PERIODS = 3  # of the floor, in a window
_BLOCK = {"cpu": 256, "cuda": 16384}  # frames that are transformed at a time: more leave the processor's cache
_ENOUGH = 10000  # Hz: a sound of twice this rate or more is thinned, its lower half says as much about periods
_FLANKS = 16  # samples after thinning that the low-pass filter before it reaches to both sides
_ROW = 32  # samples that are thinned at a time
_NEAR = 32  # samples of lag: a peak before is so narrow that its height is wrong unless it is refined at once
_REACH = 16  # samples to both sides that a refined peak is interpolated from
_STEP = 0.1  # samples between the values that the refined peak is found from


@dataclass(frozen=True, slots=True)
class _Plan:
    """What follows from the rate and the floor."""

    factor: int  # so many times fewer samples are looked at
    rate: float  # Hz, of those
    low: Tensor  # (samples, _ROW) takes a stretch of the sound to `_ROW` samples of the thinned one
    window: Tensor  # (win,)
    size: int  # of the transform
    least: int  # lag from which peaks are looked for
    most: int  # and to which
    back: Tensor  # (bins, lags) takes a power spectrum to the autocorrelation divided by the window's own


def track(
    sounds: Sequence[Tensor],
    sample_rate: int,
    frames: int,
    period: float,
    floor: float = 60.0,
    ceiling: float = 800.0,
) -> tuple[np.ndarray, np.ndarray]:
    """Finds F0 and periodicity at the times 0, period, 2 * period ...

    Args:
        sounds: (samples,) float32 each, on one device.
        sample_rate: Hz.
        frames: how many to return of each; beyond the end of a sound they are unvoiced.
        period: seconds from frame to frame.
        floor, ceiling: Hz, where to look.

    Returns:
        F0 (sounds, frames) float32 Hz, 0 = unvoiced, and periodicity (sounds, frames) float32 from 0 to 1.
    """
    hz, periodicity = np.zeros((2, len(sounds), frames), np.float32)
    if frames == 0 or not any(map(len, sounds)):
        return hz, periodicity
    ends = np.array([len(sound) for sound in sounds]) / (sample_rate * period)
    counts = np.minimum(frames, np.where(ends > 0, ends.astype(int) + 1, 0))  # frames that lie in the sounds
    row = np.repeat(np.arange(len(sounds)), counts)
    frame = np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts, counts)
    with torch.inference_mode():
        plan = _plan(sample_rate, floor, ceiling, str(sounds[0].device))
        line, begins, loudest = _laid_out(sounds, plan)
        places = begins[row] + np.rint(frame * (period * plan.rate)).astype(np.int64)
        r, level, found = _correlated(line, places, plan)
        lags, heights = _peaks(r, found, plan)
        quiet = 2.0 - level / loudest[row] * ((1.0 + VOICING) / SILENCE)
        unvoiced = VOICING + np.maximum(quiet, 0.0)
        chosen = _choose(lags, heights, unvoiced, counts[counts > 0], period, floor / plan.rate)
        voiced = np.flatnonzero(chosen)
        lag, height = _refine(r[torch.from_numpy(voiced).to(r.device)], torch.from_numpy(chosen[voiced]).to(r.device))
    sure = heights.max(axis=1)
    sure[voiced] = height.cpu().numpy()
    hz[row[voiced], frame[voiced]] = plan.rate / lag.cpu().numpy()
    periodicity[row, frame] = sure.clip(0.0, 1.0)
    return hz, periodicity


@lru_cache(maxsize=8)
def _plan(sample_rate: int, floor: float, ceiling: float, device: str) -> _Plan:
    factor = 1
    while sample_rate / (2 * factor) >= _ENOUGH:
        factor *= 2
    rate = sample_rate / factor
    win = 2 * round(_PERIODS / floor * rate / 2)
    least, most = max(2, int(rate / ceiling)), int(rate / floor)
    lags = torch.arange(most + _REACH + 2)
    size = _fast(win + len(lags))
    window = torch.hann_window(win, periodic=False)
    around = torch.fft.irfft(torch.fft.rfft(window, size).abs() ** 2, size)[: len(lags)]
    bins = torch.arange(size // 2 + 1)
    angle = (bins[:, None] * lags) % size * (2 * math.pi / size)
    twice = torch.where((bins == 0) | (2 * bins == size), 1.0, 2.0)  # a bin and its mirror
    back = twice[:, None] * torch.cos(angle.double()) * (around[0] / around)
    low, window, back = (x.float().to(device) for x in (_low(factor), window, back))
    return _Plan(factor, rate, low, window, size, least, most, back)


def _fast(least: int) -> int:
    """The next length of transform that is even and a product of twos, threes and fives."""
    sizes = (2 * 2**a * 3**b * 5**c for a in range(16) for b in range(4) for c in range(3))
    return min(size for size in sizes if size >= least)


def _low(factor: int) -> Tensor:
    """The low-pass filter, a windowed sinc that ends near the new highest frequency, once for each sample of a row."""
    taps = torch.arange(-_FLANKS * factor, _FLANKS * factor + 1)
    kernel = torch.sinc(taps * (0.9 / factor)) * torch.hann_window(len(taps) + 2, periodic=False)[1:-1]
    low = torch.zeros((_ROW - 1) * factor + len(taps), _ROW)
    for i in range(_ROW):
        low[i * factor : i * factor + len(taps), i] = kernel / kernel.sum()
    return low


def _laid_out(sounds: Sequence[Tensor], plan: _Plan) -> tuple[Tensor, np.ndarray, np.ndarray]:
    """The thinned sounds one after the other, with room for a window around each.

    Returns:
        The line (samples,); where each sound's first window begins; and its loudest sample.
    """
    win = len(plan.window)
    sizes = np.array([-(-len(sound) // plan.factor) for sound in sounds])
    begins = np.cumsum(sizes + 2 * win) - (sizes + 2 * win)
    line = torch.zeros(int((sizes + 2 * win).sum()), device=sounds[0].device)
    loudest = torch.full((len(sounds),), 1e-9, device=line.device)
    for i, (sound, begin, size) in enumerate(zip(sounds, begins.tolist(), sizes.tolist(), strict=True)):
        if size:
            thin = line[begin + win // 2 :][:size]
            thin.copy_(_thinned(sound, size, plan))
            loudest[i] = (thin - thin.mean()).abs().max().clamp_min(1e-9)
    return line, begins, loudest.cpu().numpy()


def _thinned(sound: Tensor, size: int, plan: _Plan) -> Tensor:
    """(samples,) -> (size,), so many times fewer."""
    if plan.factor == 1:
        return sound
    step = _ROW * plan.factor
    reach, rows = _FLANKS * plan.factor, -(-len(sound) // step)
    padded = torch.nn.functional.pad(sound, (reach, reach + rows * step - len(sound)))
    return (padded.unfold(0, len(plan.low), step) @ plan.low).flatten()[:size]


def _correlated(line: Tensor, places: np.ndarray, plan: _Plan) -> tuple[Tensor, np.ndarray, np.ndarray]:
    """The autocorrelation of the frames that begin at `places` in `line`.

    Returns:
        It, (frames, lags), over that at lag 0; the loudest sample in the middle period (frames,); and the places of the
        peaks (peaks,) in the flattened autocorrelation, in order.
    """
    win, lags = len(plan.window), plan.back.shape[1]
    middle, half = win // 2, win // (2 * _PERIODS)
    views = line.as_strided((len(line) - win + 1, win), (1, 1))
    size = _BLOCK[line.device.type]
    padded = line.new_zeros(min(size, len(places)), plan.size)
    r = line.new_empty(len(places), lags)
    levels, found = [], []
    for begin, block in enumerate(torch.from_numpy(places).to(line.device).split(size)):
        frames = views.index_select(0, block)
        frames -= frames[:, middle - 2 * half : middle + 2 * half].mean(dim=1, keepdim=True)
        levels.append(frames[:, middle - half : middle + half + 1].abs().amax(dim=1))
        torch.mul(frames, plan.window, out=padded[: len(block), :win])
        spectrum = torch.fft.rfft(padded[: len(block)])
        power = spectrum.real.square().addcmul_(spectrum.imag, spectrum.imag)
        part = r[begin * size : begin * size + len(block)]
        torch.mm(power, plan.back, out=part)
        part /= part[:, :1].clamp_min(1e-12)
        inner = part[:, plan.least : plan.most + 1]
        below = part[:, plan.least + 1 : plan.most + 2].clamp_min(VOICING / 2)
        peak = (inner > part[:, plan.least - 1 : plan.most]) & (inner >= below)
        frame, place = np.divmod(np.flatnonzero(peak.cpu().numpy()), peak.shape[1])
        found.append((begin * size + frame) * lags + place + plan.least)
    return r, torch.cat(levels).cpu().numpy(), np.concatenate(found)


def _peaks(r: Tensor, found: np.ndarray, plan: _Plan) -> tuple[np.ndarray, np.ndarray]:
    """The best peaks of each frame of r (frames, lags) among those at `found` in it.

    Returns:
        Their lags in samples and heights, (frames, PEAKS) each, 0 where there are fewer.
    """
    flat, at = r.view(-1), torch.from_numpy(found).to(r.device)
    left, mid, right = (flat[at + k].cpu().numpy() for k in (-1, 0, 1))
    bend = np.minimum(left - 2 * mid + right, -1e-9)
    frame, lag = np.divmod(found, r.shape[1])
    height = mid - 0.125 * (left - right) ** 2 / bend
    height = np.where(height > 1.0, 1.0 / np.maximum(height, 1e-9), height)
    refined = (lag + (0.5 * (left - right) / bend).clip(-0.5, 0.5)).astype(np.float32)
    near = np.flatnonzero(lag < _NEAR)
    exact = _refine(r[torch.from_numpy(frame[near]).to(r.device)], torch.from_numpy(refined[near]).to(r.device))
    refined[near], height[near] = (x.cpu().numpy() for x in exact)
    worth = height - OCTAVE * np.log2(lag)  # of two equal ones the shorter
    order = np.lexsort((-worth, frame))
    counts = np.bincount(frame, minlength=len(r))
    rank = np.arange(len(found)) - np.repeat(np.cumsum(counts) - counts, counts)
    best, rank = order[rank < PEAKS], rank[rank < PEAKS]
    lags, heights = np.zeros((2, len(r), PEAKS), np.float32)
    lags[frame[best], rank], heights[frame[best], rank] = refined[best], height[best]
    return lags, heights


def _below_1(height: Tensor) -> Tensor:
    """The window's own autocorrelation overdoes it now and then: a height above 1 means one that far below."""
    return torch.where(height > 1.0, 1.0 / height.clamp_min(1e-9), height)


def _refine(r: Tensor, lag: Tensor) -> tuple[Tensor, Tensor]:
    """Where between the samples one peak of each r (frames, lags) lies, and how high it is; near `lag` (frames,).

    A parabola through three samples is wrong where a sound is rich in high harmonics. This one goes through three
    values of the windowed sinc, near its top.
    """
    near = lag.round().long()
    taps = torch.arange(-_REACH, _REACH + 1, device=r.device)
    values = r.gather(1, (near[:, None] + taps).abs())
    at = (lag - near)[:, None] + torch.tensor([-_STEP, 0.0, _STEP], device=r.device)  # (frames, 3) samples from `near`
    away = at[..., None] - taps
    kernel = torch.sinc(away) * (0.5 + 0.5 * torch.cos(away * (torch.pi / (_REACH + 1))))
    low, mid, high = torch.einsum("fst,ft->sf", kernel, values)
    bend = (low - 2 * mid + high).clamp_max(-1e-9)
    move = (0.5 * _STEP * (low - high) / bend).clamp(-0.3, 0.3)
    return lag + move, _below_1(mid - 0.125 * (low - high) ** 2 / bend)


def _choose(
    lags: np.ndarray, heights: np.ndarray, unvoiced: np.ndarray, counts: np.ndarray, period: float, floor: float
) -> np.ndarray:
    """The best path (Viterbi) of each sound through the peaks of its frames and "unvoiced", the last state.

    The sounds are laid side by side so that they end together: before a sound begins all ways are free, so none feels
    how long the others are.

    Args:
        lags: (frames of all sounds, peaks) in samples, 0 = no peak.
        heights: of the peaks.
        unvoiced: (frames of all sounds,), how good it is to be unvoiced.
        counts: (sounds,) frames of each.
        period: seconds from frame to frame.
        floor: periods per sample.

    Returns:
        (frames of all sounds,) the chosen lag, 0 = unvoiced.
    """
    sounds, longest, peaks = len(counts), int(counts.max()), lags.shape[1]
    row = np.repeat(np.arange(sounds), counts)
    place = np.arange(len(row)) - np.repeat(np.cumsum(counts), counts) + longest
    octaves = -np.log2(np.where(lags > 0, lags * floor, 1.0))  # above the floor
    worth = np.where(lags > 0, heights + OCTAVE * octaves, -1e4)
    total = np.zeros((longest, peaks + 1, sounds))  # of the best way up to a frame, for each state that it ends in
    total[place, :, row] = np.concatenate([worth, unvoiced[:, None]], axis=1)
    heard = np.zeros((longest, peaks, sounds))
    heard[place, :, row] = octaves * (JUMP * 0.01 / period)
    price = np.zeros((longest, peaks + 1, peaks + 1, sounds))  # frame, from, to
    price[:, -1, :-1] = price[:, :-1, -1] = CHANGE * 0.01 / period
    np.abs(heard[:-1, :, None] - heard[1:, None], out=price[1:, :-1, :-1])
    price *= (np.arange(longest)[:, None] > longest - counts)[:, None, None]
    ways, best = np.empty_like(price[0]), np.empty_like(total[0])
    for frame in range(1, longest):
        np.subtract(total[frame - 1, :, None], price[frame], out=ways)
        np.maximum.reduce(ways, axis=0, out=best)
        total[frame] += best
    back = (total[:-1, :, None] - price[1:]).argmax(axis=1)
    states = np.empty((longest, sounds), np.intp)
    states[-1] = total[-1].argmax(axis=0)
    every = np.arange(sounds)
    for frame in range(longest - 1, 0, -1):
        states[frame - 1] = back[frame - 1, states[frame], every]
    state = states[place, row]
    return np.where(state < peaks, lags[np.arange(len(lags)), np.minimum(state, peaks - 1)], 0.0).astype(np.float32)
