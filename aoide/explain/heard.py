"""Mels made sound for the explorer, by the vocoder of the package, and sounds made small files.

    ears = Ears(config)                   # the mel that steps are in
    sound = ears.sound(mel)               # (frames, mels) -> Sound at 24 kHz
    encoded(sound)                        # the bytes of an Ogg Opus file

A mel that is not the vocoder's own is brought to it: bands to a spectrum by least squares, that to the vocoder's bands,
frames to its clock. That sounds duller than the model's own vocoder would, so the page says that it is not.
"""

from __future__ import annotations

import io
from functools import cached_property

import numpy as np

from aoide.audio import io as files
from aoide.audio import pitch
from aoide.audio.mel_config import MelConfig, filterbank
from aoide.audio.sound import Sound
from aoide.audio.spectrum import log_mel
from aoide.voices import DEFAULT_VOCODER

OPUS_RATES = (8000, 12000, 16000, 24000, 48000)
LOUDEST = 0.9
HOUSE = MelConfig()  # of the vocoder of the package, and of pictures of sounds
F0_HOP = 256


class Ears:
    """A vocoder for mels of `config`."""

    def __init__(self, config: MelConfig, vocoder: str = DEFAULT_VOCODER) -> None:
        from aoide.generate.vocoder import Vocoder

        self.config = config
        self._vocoder = Vocoder(vocoder)
        self.exact = config == self._vocoder.mel

    def sound(self, mel: np.ndarray) -> Sound:
        """The sound of a log mel (frames, mels), no louder than 0.9."""
        mel = np.nan_to_num(np.asarray(mel, np.float32), nan=self.config.silence)
        mel = mel if self.exact else self.translated(mel)
        mel = np.clip(mel, self._vocoder.mel.silence, 5.0)
        return quieter(Sound(self._vocoder.vocode(mel), self._vocoder.sample_rate))

    def translated(self, mel: np.ndarray) -> np.ndarray:
        """A mel of `config` as one of the vocoder's."""
        ours, theirs = self.config, self._vocoder.mel
        bands = np.exp(mel) if ours.log == "ln" else 10.0**mel
        spectrum = np.maximum(bands @ self._inverse.T, 0.0) ** (1 / ours.power)
        hz = np.linspace(0, ours.sample_rate / 2, ours.bins)
        wanted = np.linspace(0, theirs.sample_rate / 2, theirs.bins)
        scale = (theirs.win * theirs.sample_rate) / (ours.win * ours.sample_rate)
        spectrum = np.stack([np.interp(wanted, hz, frame, right=0.0) for frame in spectrum]) * scale
        log = np.log(np.maximum(spectrum.astype(np.float32) @ filterbank(theirs).T, np.float32(theirs.floor)))
        frames = max(1, round(len(log) / ours.frame_rate * theirs.frame_rate))
        places = np.linspace(0, len(log) - 1, frames)
        low = np.floor(places).astype(int)
        high = np.minimum(low + 1, len(log) - 1)
        share = (places - low)[:, None].astype(np.float32)
        return log[low] * (1 - share) + log[high] * share

    @cached_property
    def _inverse(self) -> np.ndarray:
        return np.linalg.pinv(filterbank(self.config).astype(np.float64)).astype(np.float32)


def quieter(sound: Sound) -> Sound:
    """The sound, one channel, with no sample beyond `LOUDEST`."""
    samples = sound.mono().samples
    peak = float(np.abs(samples).max(initial=0.0))
    return Sound(samples * np.float32(LOUDEST / peak), sound.sample_rate) if peak > LOUDEST else sound.mono()


def picture(sound: Sound) -> np.ndarray:
    """The log mel (frames, mels) of a sound in the mel of the house."""
    return log_mel(sound.mono().resample(HOUSE.sample_rate).samples, HOUSE)


def f0_of(sound: Sound, frames: int) -> np.ndarray:
    """F0 (frames,) in Hz, 0 = unvoiced, of a sound, on a clock of so many frames over its length."""
    samples = sound.mono().resample(HOUSE.sample_rate).samples
    if len(samples) < 4 * F0_HOP:
        return np.zeros(frames, np.float32)
    found = pitch.track(samples, HOUSE.sample_rate, F0_HOP, "swift")
    places = np.minimum((np.arange(frames) + 0.5) / frames * len(found), len(found) - 1).astype(int)
    return found[places]


def encoded(sound: Sound) -> bytes:
    """The bytes of an Ogg Opus file."""
    sound = quieter(sound)
    if sound.sample_rate not in OPUS_RATES:
        sound = sound.resample(24_000 if sound.sample_rate < 48_000 else 48_000)
    file = io.BytesIO()
    with files.open_writer(file, sound.sample_rate, "opus") as writer:
        writer.write(sound.samples)
    return file.getvalue()
