"""A room around a dry sound: a few early reflections and a tail that fades, in stereo.

    wet = room(voice, seconds=1.1, level=-15.0)

The tail is noise that falls by 60 dB in `seconds`, different in both channels, high tones faster than low ones as air
and walls have it (Moorer 1979, About this reverberation business). It comes a little after the sound, whose own samples
stay as they are.
"""

from __future__ import annotations

import numpy as np

from aoide.audio.sound import Sound

BEFORE = 0.018  # seconds until the tail begins
EARLY = ((0.011, 0.5), (0.017, 0.42), (0.023, 0.36), (0.031, 0.3))  # seconds and amplitudes; every second one left
DULL = 3500.0  # Hz above which the tail gets softer
THIN = 250.0  # Hz below which it does, so that it does not rumble


def room(sound: Sound, seconds: float = 1.1, level: float = -15.0) -> Sound:
    """The sound in a room: (samples + those of the tail, 2).

    Args:
        seconds: until the tail has fallen by 60 dB.
        level: dB of what the room adds, against the sound.
    """
    dry = sound.samples.reshape(len(sound.samples), -1)
    dry = np.repeat(dry, 2, axis=1) if dry.shape[1] == 1 else dry[:, :2]
    response = _response(sound.sample_rate, seconds) * 10 ** (level / 20)
    length = len(dry) + len(response)
    size = 1 << (length - 1).bit_length()
    spectrum = np.fft.rfft(dry, size, axis=0) * np.fft.rfft(response, size, axis=0)
    wet = np.fft.irfft(spectrum, size, axis=0)[:length]
    wet[: len(dry)] += dry
    return Sound(wet.astype(np.float32), sound.sample_rate, sound.tags)


def _response(sample_rate: int, seconds: float) -> np.ndarray:
    """What the room answers to a click: (samples, 2) of energy 1."""
    count = round(seconds * sample_rate)
    time = np.arange(count) / sample_rate
    noise = np.random.default_rng(1979).standard_normal((count, 2)) * 10 ** (-3 * time / seconds)[:, None]
    frequency = np.fft.rfftfreq(count, 1 / sample_rate)
    colour = frequency**2 / (frequency**2 + THIN**2) / (1 + (frequency / DULL) ** 2)
    tail = np.fft.irfft(np.fft.rfft(noise, axis=0) * colour[:, None], count, axis=0)
    tail /= np.sqrt(np.square(tail).sum(axis=0))
    response = np.zeros((count + round(BEFORE * sample_rate), 2))
    response[-count:] = 0.8 * tail
    for number, (at, amplitude) in enumerate(EARLY):
        response[round(at * sample_rate), number % 2] += amplitude
    return response / np.sqrt(np.square(response).sum(axis=0))
