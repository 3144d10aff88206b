"""F0 by autocorrelation, many sounds at once: the method that phonetics trusts, as fast as a spectrogram.

Boersma 1993, "Accurate short-term analysis of the fundamental frequency ...", IFA Proceedings 17, which is also what
Praat does: each frame is windowed over three of the longest periods; its autocorrelation, divided by that of the
window, has peaks at the periods that may be; a path through the frames chooses among them and "unvoiced", so that it
pays for jumps. The settings are the paper's and Praat's; tests/audio/test_autocorrelation.py holds the two together.

It is fast because the frames of a whole batch are transformed together and only the chosen peaks are refined, and it
runs on a GPU when the sounds lie there; the path is found on the CPU, in one pass for all sounds of the batch.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

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
_BLOCK = 128  # frames that are transformed at a time: more leave the processor's cache
_ENOUGH = 10000  # Hz: of a sound at twice this rate or more, the lower half of the spectrum is looked at
_REACH = 16  # samples to both sides that a refined peak is interpolated from
_STEP = 0.1  # samples between the values that the refined peak is found from


@dataclass(frozen=True, slots=True)
class _Plan:
    """What follows from the rate and the floor."""

    window: Tensor  # (win,)
    size: int  # of the transform
    rate: float  # Hz, of the lags: that of the sound, or so many times less
    half: int  # of the transform back
    least: int  # lag from which peaks are looked for
    most: int  # and to which
    around: Tensor  # (lags,) 1 / the window's own autocorrelation
    price: Tensor  # (most - least + 1,) what a longer period costs


def track(
    audio: Tensor,
    sample_rate: int,
    frames: int,
    period: float,
    floor: float = 60.0,
    ceiling: float = 800.0,
    lengths: Tensor | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Finds F0 and periodicity at the times 0, period, 2 * period ...

    Args:
        audio: (batch, samples) float32; shorter sounds are followed by silence, which is unvoiced.
        sample_rate: Hz.
        frames: how many to return.
        period: seconds from frame to frame.
        floor, ceiling: Hz, where to look.
        lengths: (batch,) how many samples of each are real; None: all.

    Returns:
        F0 (batch, frames) float32 Hz, 0 = unvoiced, and periodicity (batch, frames) float32 from 0 to 1.
    """
    if frames == 0 or audio.shape[1] == 0:
        nothing = np.zeros((len(audio), frames), np.float32)
        return nothing, nothing.copy()
    with torch.inference_mode():
        plan = _plan(sample_rate, floor, ceiling, audio.device)
        found = [_peaks(windows, plan) for windows in _windows(audio, sample_rate, frames, period, len(plan.window))]
        lags, heights, level, r = (
            torch.cat(parts).reshape(len(audio), frames, -1) for parts in zip(*found, strict=True)
        )
        count = audio.shape[1] if lengths is None else lengths[:, None]
        whole = (audio - audio.sum(dim=1, keepdim=True) / count).abs().amax(dim=1, keepdim=True)
        quiet = 2.0 - level[..., 0] / whole.clamp_min(1e-9) * ((1.0 + VOICING) / SILENCE)
        unvoiced = VOICING + quiet.clamp_min(0.0)
        chosen = _choose(lags.cpu().numpy(), heights.cpu().numpy(), unvoiced.cpu().numpy(), period, floor / plan.rate)
        lag, height = _refine(r.flatten(0, 1), torch.from_numpy(chosen).to(r.device).flatten())
        hz = torch.where(lag > 0, plan.rate / lag.clamp_min(1e-9), 0.0)
        periodicity = torch.where(lag > 0, height, heights[..., 0].flatten()).clamp(0.0, 1.0)
    return tuple(x.reshape(len(audio), frames).cpu().numpy() for x in (hz, periodicity))  # type: ignore[return-value]


def _plan(sample_rate: int, floor: float, ceiling: float, device: torch.device) -> _Plan:
    win = 2 * round(_PERIODS / floor * sample_rate / 2)
    factor = 1
    while sample_rate / (2 * factor) >= _ENOUGH:
        factor *= 2
    rate = sample_rate / factor
    least, most = max(2, int(rate / ceiling)), int(rate / floor)
    kept = most + _REACH + 2
    size = _fast(win + kept * factor, 2 * factor)
    window = torch.hann_window(win, periodic=False, device=device)
    around = torch.fft.irfft(torch.fft.rfft(window, size).abs() ** 2, size)[: kept * factor : factor]
    price = OCTAVE * torch.log2(torch.arange(least, most + 1, device=device) * (floor / rate))
    return _Plan(window, size, rate, size // factor, least, most, around[0] / around, price)


def _fast(least: int, factor: int) -> int:
    """The next length of transform that is a multiple of `factor` and else a product of twos, threes and fives."""
    sizes = (factor * 2**a * 3**b * 5**c for a in range(16) for b in range(4) for c in range(3))
    return min(size for size in sizes if size >= least)


def _windows(audio: Tensor, sample_rate: int, frames: int, period: float, win: int) -> Iterator[Tensor]:
    """The frames of all sounds, one sound after the other, in blocks (frames, win)."""
    last = round((frames - 1) * period * sample_rate)
    padded = torch.nn.functional.pad(audio, (win // 2, max(0, last + win - win // 2 - audio.shape[1])))
    places = torch.tensor([round(k * period * sample_rate) for k in range(frames)], device=audio.device)
    for views in padded.unfold(1, win, 1):  # (places, win)
        yield from (views[part] for part in places.split(_BLOCK))


def _peaks(frames: Tensor, plan: _Plan) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The best peaks of the autocorrelation of frames (frames, win).

    Returns:
        Their lags in samples and heights, (frames, PEAKS) each, the best first, 0 where there are fewer; the loudest
        sample in the middle period (frames, 1); and the autocorrelation (frames, lags).
    """
    win = frames.shape[1]
    middle, half = win // 2, win // (2 * _PERIODS)
    centred = frames - frames[:, middle - 2 * half : middle + 2 * half].mean(dim=1, keepdim=True)
    low, high = centred[:, middle - half : middle + half + 1].aminmax(dim=1, keepdim=True)
    level = torch.maximum(high, -low)
    spectrum = torch.fft.rfft(centred.mul_(plan.window), plan.size)
    kept = spectrum[:, : plan.half // 2 + 1]  # the lower band: fewer lags to go through, and the periods are the same
    r = torch.fft.irfft(kept * kept.conj(), plan.half)[:, : len(plan.around)]
    r = r * (plan.around / r[:, :1].clamp_min(1e-12))
    inner = r[:, plan.least : plan.most + 1]
    peak = (inner > r[:, plan.least - 1 : plan.most]) & (inner >= r[:, plan.least + 1 : plan.most + 2])
    best = torch.where(peak, inner - plan.price, -1.0).topk(min(PEAKS, inner.shape[1]), dim=1)
    lag = best.indices + plan.least
    left, mid, right = (r.gather(1, lag + k) for k in (-1, 0, 1))
    bend = (left - 2 * mid + right).clamp_max(-1e-9)
    there = (mid > VOICING / 2) & (best.values > -1.0)
    height = mid - 0.125 * (left - right) ** 2 / bend
    refined = lag + (0.5 * (left - right) / bend).clamp(-0.5, 0.5)
    return torch.where(there, refined, 0.0), torch.where(there, _below_1(height), 0.0), level, r


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
    return torch.where(lag > 0, lag + move, 0.0), _below_1(mid - 0.125 * (low - high) ** 2 / bend)


def _choose(lags: np.ndarray, heights: np.ndarray, unvoiced: np.ndarray, period: float, floor: float) -> np.ndarray:
    """The best path (Viterbi) through the peaks (batch, frames, peaks) and "unvoiced", the last state.

    Args:
        lags: in samples, 0 = no peak.
        heights: of the peaks.
        unvoiced: (batch, frames), how good it is to be unvoiced.
        period: seconds from frame to frame.
        floor: periods per sample.

    Returns:
        (batch, frames) the chosen lag, 0 = unvoiced.
    """
    there = lags > 0
    octaves = -np.log2(np.where(there, lags * floor, 1.0)).astype(np.float32)  # above the floor
    score = np.where(there, heights + OCTAVE * octaves, -1e4)
    score = np.concatenate([score, unvoiced[..., None]], axis=2).astype(np.float32)  # (batch, frames, states)
    scale = np.float32(0.01 / period)
    batch, frames, states = score.shape
    total, back = score[:, 0], np.zeros((frames, batch, states), np.intp)
    price = np.zeros((batch, states, states), np.float32)  # from, to
    price[:, -1, :-1] = price[:, :-1, -1] = CHANGE * scale
    jumps, octaves = price[:, :-1, :-1], octaves * (JUMP * scale)
    for frame in range(1, frames):
        np.subtract(octaves[:, frame - 1, :, None], octaves[:, frame, None, :], out=jumps)
        np.abs(jumps, out=jumps)
        ways = total[:, :, None] - price
        back[frame] = ways.argmax(axis=1)
        total = ways.max(axis=1) + score[:, frame]
    state, rows = total.argmax(axis=1), np.arange(batch)
    lags = np.concatenate([lags, np.zeros((batch, frames, 1), lags.dtype)], axis=2)
    chosen = np.empty((batch, frames), lags.dtype)
    for frame in range(frames - 1, -1, -1):
        chosen[:, frame] = lags[rows, frame, state]
        state = back[frame, rows, state]
    return chosen
