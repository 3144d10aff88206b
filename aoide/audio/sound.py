"""A sound: samples and the rate at which they are played.

    sound = Sound.load("voice.wav").mono().resample(24000)
    sound.save("voice.mp3", tags={"title": "A voice"})

In a notebook a sound shows itself as a player.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True, slots=True, eq=False)
class Sound:
    """Samples of one sound.

    Attributes:
        samples: float32, (samples,) or (samples, channels); full scale is -1 to 1.
        sample_rate: samples per second and channel.
        tags: what a saved file shall say about itself, by name (see `aoide.audio.io.TAGS`); a voice tells here that the
            sound is synthetic and how it was made.
    """

    samples: np.ndarray
    sample_rate: int
    tags: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        samples = np.asarray(self.samples)
        if samples.ndim not in (1, 2):
            raise ValueError(f"a sound is (samples,) or (samples, channels), got shape {samples.shape}")
        if not np.issubdtype(samples.dtype, np.floating):
            raise ValueError(
                f"samples are floats between -1 and 1, got {samples.dtype}: divide by the full scale first"
            )
        if self.sample_rate <= 0:
            raise ValueError(f"the sample rate must be above 0, got {self.sample_rate}")
        object.__setattr__(self, "samples", samples.astype(np.float32, copy=False))
        object.__setattr__(self, "sample_rate", int(self.sample_rate))

    def __repr__(self) -> str:
        return f"Sound({self.seconds:.2f} s, {self.sample_rate} Hz, {self.channels} channel{'s'[: self.channels > 1]})"

    @property
    def seconds(self) -> float:
        return len(self.samples) / self.sample_rate

    @property
    def channels(self) -> int:
        return 1 if self.samples.ndim == 1 else self.samples.shape[1]

    def mono(self) -> Sound:
        """The mean of all channels, (samples,); a sound that is mono already is returned as it is."""
        if self.samples.ndim == 1:
            return self
        return Sound(self.samples.mean(axis=1, dtype=np.float32), self.sample_rate, self.tags)

    def resample(self, sample_rate: int) -> Sound:
        """The same sound at another rate; `round(samples * sample_rate / self.sample_rate)` samples long."""
        from aoide.audio.resample import resample

        return Sound(resample(self.samples, self.sample_rate, sample_rate), sample_rate, self.tags)

    def save(self, path: str | os.PathLike[str], tags: Mapping[str, str] | None = None) -> None:
        """Writes the sound to a file; its ending names the format (see `aoide.audio.io.write`).

        `tags` are laid over those that the sound has.
        """
        from aoide.audio import io

        io.write(path, self, {**self.tags, **(tags or {})})

    @staticmethod
    def load(path: str | os.PathLike[str]) -> Sound:
        """Reads a sound file of any format that `aoide.audio.io.read` knows."""
        from aoide.audio import io

        return io.read(path)

    def _repr_html_(self) -> str:
        """The player that a notebook shows: the sound itself, as a WAV file inside the page."""
        import base64
        from io import BytesIO

        from aoide.audio import io

        file = BytesIO()
        with io.open_writer(file, self.sample_rate, format="wav", channels=self.channels) as writer:
            writer.write(self.samples)
        data = base64.b64encode(file.getvalue()).decode("ascii")
        return f'<audio controls src="data:audio/wav;base64,{data}"></audio>'
