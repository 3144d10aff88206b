"""What is said in the clips: Whisper by faster-whisper, several clips in one pass.

Differs from Emilia, which asks WhisperX for one language at a time: here each clip of a batch is written down in the
language that it is heard to be in, and the sound goes through the encoder once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from aoide.data.wild import Heard
from aoide.external import whisper


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    model: str = "base"  # a size, a hub name or a local folder with model.bin
    language: str | None = None  # two letters; None: as each clip is heard
    batch: int = 8  # clips in one pass
    beams: int = 5  # hypotheses that the search keeps
    device: str = "cpu"  # or cuda

    def __post_init__(self) -> None:
        if self.batch < 1 or self.beams < 1:
            raise ValueError(f"batch {self.batch} and beams {self.beams} must be 1 or more")


class Whisper:
    """Whisper as a transcriber.

    Args:
        threads: of one pass on a CPU; 0: as the back end chooses.

    Raises:
        MissingExtra: faster-whisper is not installed.
        UserError: no such model.
    """

    def __init__(self, config: Config, threads: int = 0) -> None:
        self._whisper = whisper.Whisper(
            config.model, backend="faster-whisper", device=config.device, beams=config.beams, threads=threads
        )

    def listen(self, clips: Sequence[np.ndarray], sample_rate: int, language: str | None) -> Sequence[Heard]:
        """See `aoide.data.wild.Transcriber`."""
        return self._whisper.listen(clips, sample_rate, language)
