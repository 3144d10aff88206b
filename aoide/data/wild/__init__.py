"""Recordings in the wild become clips: the stages of `aoide prepare wild`, one file each.

    standardise   any file -> one channel at 24 kHz, loudness near -20 dBFS
    separate      the voice alone, without music                                 (a plug: needs a model; off by default)
    diarise       who speaks when                                                (a plug; off by default)
    cut           stretches of speech, joined and cut to clips of 3 to 30 s      (a plug: the detector of speech)
    transcribe    what is said, in which language, and how sure that is          (a plug: Whisper)
    score         how a listener would rate the sound                            (a plug: DNSMOS)
    judge         what is kept, and why the rest is not
    pipeline      all of it for one recording, kept on disk so that nothing is done twice

The order and the limits are those of Emilia-Pipe (He et al. 2024, arXiv 2407.05361); every file says where it differs.
A plug is any object with the one method that the Protocol below asks for; `pipeline.plugs` makes those of a `Config`.
All sounds between the stages are float32 (samples,) at `RATE`; places in a recording are samples at that rate.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np

from aoide.audio.vad import Detector

RATE = 24000  # Hz


class Unfit(Exception):  # noqa: N818  (it is no error: a recording that is refused is a result like any other)
    """A recording that no clip can be made of; the text is the reason."""


class Span(NamedTuple):
    """A stretch of a recording."""

    start: int  # samples at RATE
    end: int
    speaker: str = ""

    @property
    def seconds(self) -> float:
        return (self.end - self.start) / RATE


class Heard(Protocol):
    """What a transcriber says of one clip."""

    @property
    def text(self) -> str: ...

    @property
    def language(self) -> str:
        """Two letters."""
        ...

    @property
    def confidence(self) -> float:
        """Probability of the language."""
        ...

    @property
    def log_probability(self) -> float:
        """Mean over the text's tokens."""
        ...


class Separator(Protocol):
    """Takes music and noise away."""

    def voice(self, blocks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """The voice alone of a stream (samples,) at RATE: as many samples, in pieces of any length."""
        ...


class Diariser(Protocol):
    """Tells voices apart."""

    def turns(self, sound: Reader, speech: Sequence[Span]) -> list[Span]:
        """The stretches of speech, cut where the speaker changes, each with a label such as "1"."""
        ...


class Reader(Protocol):
    """A standardised recording, of which any stretch can be read."""

    samples: int

    def read(self, start: int, end: int) -> np.ndarray: ...


class Transcriber(Protocol):
    """Writes down what is said."""

    def listen(self, clips: Sequence[np.ndarray], sample_rate: int, language: str | None) -> Sequence[Heard]:
        """One answer for each clip (samples,); `language` None: as it is heard."""
        ...


class Scorer(Protocol):
    """Rates a sound as listeners would."""

    def rate(self, samples: np.ndarray, sample_rate: int) -> float:
        """Mean opinion score, 1 to 5."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Plugs:
    """Who does what; None leaves a stage out."""

    detector: Detector
    transcriber: Transcriber
    scorer: Scorer | None = None
    diariser: Diariser | None = None
    separator: Separator | None = None
