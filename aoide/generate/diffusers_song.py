"""ACE-Step 1.5 through diffusers as a model of songs: lyrics and a style -> 48 kHz stereo, the mix alone.

    songs = AceStep.load("ACE-Step-v1-5-diffusers")                      a local folder, or a name on the hub
    made = songs.generate(SongScript.load("lyrics.txt"), "folk, guitar, female voice", 60.0)          {"mix": ...}

The network, its text encoder (Qwen3 Embedding) and its autoencoder (Oobleck) are those of the library; here are the
words that it is told. Version 1 is ours: models/ttm/acestep.py.
"""

from __future__ import annotations

import os
from typing import Any

import torch
from torch import Tensor

from aoide.config import UserError, require
from aoide.models import ttm
from aoide.models.ttm import MIX
from aoide.score.dialects import style as told_style
from aoide.score.song_script import SongScript

LONGEST = 600.0  # seconds, of which its authors speak
PLAYED = "[instrumental]"  # what it is told where nobody sings


class AceStep:
    """See `aoide.models.ttm.Songs`.

    Args:
        pipeline: a diffusers.AceStepPipeline.
    """

    name = "ACE-Step 1.5 (diffusers)"
    longest = LONGEST
    stems: tuple[str, ...] = ()

    def __init__(self, pipeline: Any) -> None:
        self._pipeline = pipeline
        pipeline.set_progress_bar_config(leave=False)

    @classmethod
    def load(cls, source: str | os.PathLike[str], device: str = "cpu") -> AceStep:
        """Opens a pipeline of diffusers.

        Raises:
            UserError: nothing there, or no such pipeline. MissingExtra: diffusers is not installed.
        """
        diffusers = require("diffusers", "sounds")
        try:
            pipeline = diffusers.AceStepPipeline.from_pretrained(os.fspath(source))
        except (OSError, ValueError, KeyError) as error:
            first = str(error).strip().partition("\n")[0]
            raise UserError(f"{source}: not ACE-Step 1.5 in the form of diffusers: {first}") from None
        return cls(pipeline.to(device))

    @property
    def sample_rate(self) -> int:
        """Hz."""
        return int(self._pipeline.sample_rate)

    @property
    def steps(self) -> int:
        """As its authors have it: few where it was trained for few."""
        return 8 if self._pipeline.is_turbo else 50

    @property
    def guidance(self) -> float:
        """How much further than the words say; what was trained for few steps has it in itself."""
        return 1.0 if self._pipeline.is_turbo else 7.0

    def generate(
        self,
        script: SongScript,
        style: str = "",
        seconds: float | None = None,
        *,
        steps: int | None = None,
        guidance: float | None = None,
        generator: torch.Generator | None = None,
    ) -> dict[str, Tensor]:
        """See `Songs`; times of lines do not reach it, it finds its own.

        Raises:
            UserError: no style, or a length that it does not make.
        """
        words = style or told_style(script, "ace-step")
        if seconds is None:
            seconds = max((end for _, _, end in script.timed().spans()), default=29.0) + 1.0
        ttm.check(self, [words], seconds)
        made = self._pipeline(
            prompt=words,
            lyrics=script.write("ace-step") if script.lines else PLAYED,
            vocal_language=script.language or "en",
            audio_duration=float(seconds),
            num_inference_steps=self.steps if steps is None else steps,
            guidance_scale=self.guidance if guidance is None else guidance,
            generator=generator,
            output_type="pt",
        )
        sound = made.audios[0].float().cpu().T  # (samples, channels)
        return {MIX: sound[: round(seconds * self.sample_rate)]}
