"""MaskGCT that was trained here: a folder with a run of each part, as one speaker.

    speaker = load("work")
    speaker.say("Hello there.", Sound.load("somebody.wav"), prompt_text="What somebody says.")

    work/semantic, work/acoustic, work/t2s, work/s2a    runs of `aoide train`
    work/duration       likewise; without it a text takes as long as the prompt does, phoneme for phoneme
    work/ears.json      the network that hears what is said: {"name": "whisper", "source": "whisper-base"}
    work/ears.npz       mean and deviation of its features, (dim,) each

The acoustic codec may be one of mels: then the vocoder of the package makes the sound. tools/make_toy_maskgct.py writes
such folders, and docs/zeroshot-training.md says how.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from aoide.audio.sound import Sound
from aoide.config import UserError, require
from aoide.data.features import align
from aoide.external import content
from aoide.external.speech import text_of
from aoide.generate.maskgct import HouseWords, MaskGCT
from aoide.generate.vocoder import Vocoder
from aoide.voices import DEFAULT_VOCODER

EARS, STATISTICS = "ears.json", "ears.npz"
PARTS = ("semantic", "acoustic", "t2s", "s2a")


class Ears:
    """A content encoder, its features brought to mean 0 and deviation 1, and to another number of frames a second.

    Args:
        encoder: what hears.
        mean, deviation: (dim,) of its features.
        frame_rate: frames a second that are wanted.
    """

    def __init__(self, encoder: content.Encoder, mean: np.ndarray, deviation: np.ndarray, frame_rate: float) -> None:
        self._encoder, self._mean, self._deviation, self.frame_rate = encoder, mean, deviation, frame_rate

    def encode(self, samples: np.ndarray) -> np.ndarray:
        """(samples,) at 16 kHz -> (frames, dim) float32."""
        rows = (self._encoder.encode(samples) - self._mean) / self._deviation
        return self.aligned(rows, len(samples) / content.RATE)

    def aligned(self, rows: np.ndarray, seconds: float) -> np.ndarray:
        """Features of the encoder on the frames that are wanted."""
        frames = max(1, int(seconds * self.frame_rate))
        return align(rows, frames, self._encoder.frame_rate, self.frame_rate).astype(np.float32)


class Sounding:
    """A codec of mels with a vocoder, as a codec of sound; of the surface of `Codec` what MaskGCT asks for."""

    def __init__(self, codec: Any, vocoder: Vocoder) -> None:
        if vocoder.mel != codec.mel:
            raise UserError(f"the vocoder {vocoder.name} does not read the mel of this codec")
        self._codec, self._vocoder = codec, vocoder
        self.sample_rate, self.frame_rate, self.codebooks = codec.sample_rate, codec.frame_rate, codec.codebooks

    def encode(self, audio: Tensor) -> Tensor:
        """audio (batch, samples) -> codes (batch, frames, codebooks)."""
        return self._codec.encode(audio)  # type: ignore[no-any-return]

    def decode(self, codes: Tensor) -> Tensor:
        """codes (batch, frames, codebooks) -> audio (batch, samples)."""
        mels = self._codec.decode(codes).cpu().numpy()
        return torch.from_numpy(np.stack([self._vocoder.vocode(mel) for mel in mels]))


class Trained:
    """The parts of a folder as one speaker; see aoide/external/speech.py, `Speaker`.

    Attributes:
        semantic, acoustic, t2s, s2a: the models; `acoustic` makes sound.
        ears: what hears.
        duration: the duration model, or None.
    """

    name, licence = "maskgct", "that of the data it was trained on"

    def __init__(self, models: dict[str, Any], ears: Ears) -> None:
        self.semantic, self.t2s, self.s2a = models["semantic"], models["t2s"], models["s2a"]
        self.duration, self.ears = models.get("duration"), ears
        self.acoustic = sounding(models["acoustic"])
        self._speaker = MaskGCT(self.t2s, [self.s2a], self.semantic, self.acoustic, ears)
        self._words = HouseWords()

    @property
    def sample_rate(self) -> int:
        """Hz."""
        return self._speaker.sample_rate

    def say(  # noqa: PLR0913  (what steers speech)
        self,
        text: str,
        prompt: Sound | str | None = None,
        *,
        language: str = "en",
        seed: int = 0,
        prompt_text: str = "",
        speed: float = 1.0,
        seconds: float | None = None,
        steps: int = 25,
    ) -> Sound:
        """As `MaskGCT.say`; how long it takes says the duration model, where there is one.

        Raises:
            UserError: as there.
        """
        if seconds is None and self.duration is not None and isinstance(prompt, Sound) and prompt_text.strip():
            seconds = self.seconds(text, prompt, prompt_text, language) / speed
        return self._speaker.say(
            text,
            prompt,
            language=language,
            seed=seed,
            prompt_text=prompt_text,
            speed=speed,
            seconds=seconds,
            steps=steps,
        )

    def seconds(self, text: str, prompt: Sound, prompt_text: str, language: str = "en") -> float:
        """How long the text is expected to take in the voice of the prompt, by the duration model."""
        assert self.duration is not None, "there is no duration model"
        told = torch.from_numpy(self._tokens(prompt_text, language))
        wanted = torch.from_numpy(self._tokens(text_of(text), language))
        return float(self.duration.seconds(told, prompt.seconds, wanted))

    def _tokens(self, text: str, language: str) -> np.ndarray:
        return self._words.encode(" ".join(self._words.sentences(text, language)))


def sounding(codec: Any) -> Any:
    """A codec that makes sound: itself, or with the vocoder of the package if it makes a mel."""
    return Sounding(codec, Vocoder(DEFAULT_VOCODER)) if hasattr(codec, "mel") else codec


def open_ears(folder: Path, frame_rate: float, encoder: content.Encoder | None = None) -> Ears:
    """The ears of a folder.

    Raises:
        UserError: there are none, or their network cannot be had.
    """
    try:
        about = json.loads((folder / EARS).read_text("utf-8"))
        with np.load(folder / STATISTICS) as file:
            mean, deviation = file["mean"], file["deviation"]
    except FileNotFoundError as error:
        raise UserError(f"{folder}: no {Path(error.filename).name}: it is not a folder of a trained MaskGCT") from None
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"{folder}: {EARS} or {STATISTICS} cannot be read: {error}") from None
    if encoder is None:
        encoder = content.open(about.get("name", "whisper"), about.get("source"))
    return Ears(encoder, mean, deviation, frame_rate)


def load(folder: str | os.PathLike[str], encoder: content.Encoder | None = None) -> Trained:
    """The speaker of a folder.

    Args:
        encoder: what hears, in the place of the network that `ears.json` names.

    Raises:
        UserError: a part is missing or cannot be read, or the parts do not go together.
    """
    folder = Path(folder)
    missing = [part for part in PARTS if not (folder / part).is_dir()]
    if missing:
        raise UserError(f"{folder}: no run of {', '.join(missing)}: a trained MaskGCT has {', '.join(PARTS)}")
    parts = [*PARTS, *(["duration"] if (folder / "duration").is_dir() else [])]
    door = require("aoide", "torch")  # which opens runs; they stand in a layer beside this one
    models: dict[str, Any] = {part: door.load(folder / part) for part in parts}
    ears = open_ears(folder, models["semantic"].config.frame_rate, encoder)
    return Trained(models, ears)
