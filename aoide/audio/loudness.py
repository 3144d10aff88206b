"""Loudness as ITU-R BS.1770-4 and EBU R 128 measure it, and bringing a sound to a loudness.

    sound = normalize(sound, -23.0)        # LUFS; R 128 for broadcast, about -16 for podcasts

Measured in five steps: weight by ear (a high shelf and a high pass), mean square in blocks of 0.4 s every 0.1 s, sum
over the channels, drop blocks below -70 LUFS, drop blocks 10 LU below the mean of the rest. Checked against the
standard's own case: a full-scale 997 Hz sine in one channel is -3.01 LUFS.
"""

from __future__ import annotations

import numpy as np

from aoide.audio.sound import Sound

# The two filters of BS.1770 as analogue prototypes, so that they fit every sample rate: frequency in Hz, quality, gain
# in dB (De Man 2014, Evaluation of implementations of the EBU R128 loudness measurement).
_SHELF = (1681.974450955533, 0.7071752369554196, 3.999843853973347)
_HIGH_PASS = (38.13547087602444, 0.5003270373238773)
_SURROUND_GAIN = 1.41  # of channels 4 and 5 of a 5-channel sound
_BLOCK, _STEP = 0.4, 0.1  # seconds
_OFFSET = -0.691  # dB: makes the 997 Hz sine -3.01


def loudness(sound: Sound) -> float:
    """Integrated loudness in LUFS; minus infinity for silence. A sound below 0.4 s is measured as one block."""
    return of_weighted(weighted(sound), sound.sample_rate)


def weighted(sound: Sound) -> np.ndarray:
    """The samples as the ear weighs them, for who measures many mixes of the same sounds: (samples, channels)."""
    channels = 1 if sound.samples.ndim == 1 else sound.samples.shape[1]
    samples = sound.samples.reshape(-1, channels).astype(np.float64)
    return _weigh(samples, sound.sample_rate) if len(samples) else samples


def of_weighted(samples: np.ndarray, sample_rate: int) -> float:
    """Integrated loudness in LUFS of samples that are `weighted`."""
    if len(samples) == 0:
        return float("-inf")
    block, step = round(_BLOCK * sample_rate), round(_STEP * sample_rate)
    starts = np.arange(0, max(1, len(samples) - block + 1), step)
    total = np.concatenate([np.zeros((1, samples.shape[1])), np.cumsum(samples**2, axis=0)])
    size = min(block, len(samples))
    power = (total[starts + size] - total[starts]) / size  # (blocks, channels)
    gains = np.ones(samples.shape[1])
    gains[3:5] = _SURROUND_GAIN
    energy = power @ gains
    heard = energy[_lufs(energy) > -70.0]
    if len(heard) == 0:
        return float("-inf")
    gate = _lufs(heard.mean()) - 10.0
    return float(_lufs(heard[_lufs(heard) > gate].mean()))


def normalize(sound: Sound, target: float = -23.0, peak: float = 0.99) -> Sound:
    """The sound at `target` LUFS, or as near as it gets before its highest sample passes `peak`; silence stays."""
    now = loudness(sound)
    if np.isneginf(now):
        return sound
    gain = 10.0 ** ((target - now) / 20.0)
    highest = float(np.abs(sound.samples).max())
    return Sound(sound.samples * np.float32(min(gain, peak / highest)), sound.sample_rate)


def _lufs(energy: np.ndarray | float) -> np.ndarray:
    with np.errstate(divide="ignore"):
        return _OFFSET + 10.0 * np.log10(energy)


def _weigh(samples: np.ndarray, sample_rate: int) -> np.ndarray:
    """Applies both filters at once by their frequency response; the second of silence behind takes their ringing."""
    size = 1 << (len(samples) + sample_rate - 1).bit_length()
    z = np.exp(-2j * np.pi * np.fft.rfftfreq(size))  # one sample of delay, at every frequency
    response = np.ones_like(z)
    for b, a in (_shelf(sample_rate), _high_pass(sample_rate)):
        response *= (b[0] + b[1] * z + b[2] * z**2) / (a[0] + a[1] * z + a[2] * z**2)
    spectrum = np.fft.rfft(samples, size, axis=0) * response[:, None]
    return np.fft.irfft(spectrum, size, axis=0)[: len(samples)]


def _shelf(sample_rate: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """The head: 4 dB more above 1.7 kHz."""
    frequency, quality, gain = _SHELF
    k = np.tan(np.pi * frequency / sample_rate)
    high = 10.0 ** (gain / 20.0)
    band = high**0.4996667741545416
    b = (high + band * k / quality + k * k, 2.0 * (k * k - high), high - band * k / quality + k * k)
    return b, (1.0 + k / quality + k * k, 2.0 * (k * k - 1.0), 1.0 - k / quality + k * k)


def _high_pass(sample_rate: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """The ear is deaf to rumble: 12 dB per octave below 38 Hz. The standard leaves the numerator as 1, -2, 1."""
    frequency, quality = _HIGH_PASS
    k = np.tan(np.pi * frequency / sample_rate)
    norm = 1.0 + k / quality + k * k
    return (1.0, -2.0, 1.0), (1.0, 2.0 * (k * k - 1.0) / norm, (1.0 - k / quality + k * k) / norm)
