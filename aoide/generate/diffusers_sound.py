"""Other people's models of described sound, through the library diffusers: AudioLDM 2, Stable Audio and newer ones.

    sound = DiffusersSound("cvssp/audioldm2").generate(["rain on a tin roof"], seconds=8)[0]

A folder or a hub name in the form of diffusers (`model_index.json` and a folder a part) is loaded by its own pipeline;
`WAYS` says how each is asked. Offers what `aoide.models.tta.Described` promises. Going out from a sound is what Stable
Audio 3 can; the others say that they cannot. The weights have licences of their own: read them before use.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from aoide.audio.sound import Sound
from aoide.config import UserError, require
from aoide.models import tta
from aoide.models.tta import Start

EXTRA = "sounds"


@dataclass(frozen=True, kw_only=True, slots=True)
class Way:
    """How a pipeline is asked."""

    seconds: str  # its argument for how long the sound is
    steps: int
    guidance: float
    longest: Callable[[Any], float]  # seconds, of the pipeline
    rate: Callable[[Any], int]  # Hz


def _of_vae(pipeline: Any) -> int:
    return int(pipeline.vae.config.sampling_rate)


def _of_vocoder(pipeline: Any) -> int:
    return int(pipeline.vocoder.config.sampling_rate)


def _of_transformer(pipeline: Any) -> float:
    """Stable Audio's length is that of the latents that it was trained on."""
    return pipeline.transformer.config.sample_size * pipeline.vae.hop_length / _of_vae(pipeline)


_OLD = Way(seconds="audio_length_in_s", steps=200, guidance=3.5, longest=lambda pipeline: 60.0, rate=_of_vocoder)
WAYS: dict[str, Way] = {
    "AudioLDMPipeline": _OLD,
    "AudioLDM2Pipeline": _OLD,
    "MusicLDMPipeline": _OLD,
    "StableAudioPipeline": Way(
        seconds="audio_end_in_s", steps=100, guidance=7.0, longest=_of_transformer, rate=_of_vae
    ),
    "StableAudio3Pipeline": Way(
        seconds="duration", steps=8, guidance=1.0, longest=lambda pipeline: 380.0, rate=_of_vae
    ),
    "LongCatAudioDiTPipeline": Way(
        seconds="audio_duration_s",
        steps=16,
        guidance=4.0,
        longest=lambda pipeline: float(pipeline.max_wav_duration),
        rate=lambda pipeline: int(pipeline.sample_rate),
    ),
}
"""Class of the pipeline -> how it is asked; what it is asked with besides is the same for all."""


class DiffusersSound:
    """See the head of this file.

    Args:
        source: a local folder or a hub name; or a pipeline that is loaded already.
        device: where it computes.

    Raises:
        UserError: nothing of the kind there, or a pipeline that makes no sound.
        MissingExtra: diffusers is not installed.
    """

    def __init__(self, source: Any, device: str = "cpu") -> None:
        ready = hasattr(source, "components")
        self.pipeline = (source if ready else _load(os.fspath(source))).to(device)
        kind = type(self.pipeline).__name__
        if kind not in WAYS:
            raise UserError(f"{source}: a {kind} makes no sound of descriptions; there are {', '.join(WAYS)}")
        self.way = WAYS[kind]
        self.name = kind.removesuffix("Pipeline") if ready else str(source)
        self.sample_rate = self.way.rate(self.pipeline)
        self.longest = self.way.longest(self.pipeline)
        self.steps, self.guidance = self.way.steps, self.way.guidance
        if kind == "StableAudio3Pipeline" and not self.pipeline.scheduler.config.stochastic_sampling:
            self.steps, self.guidance = 100, 7.0  # the model that was not distilled to few steps
        self.pipeline.set_progress_bar_config(disable=None)  # shown on a terminal, and nowhere else

    def generate(
        self,
        captions: Sequence[str],
        seconds: float,
        *,
        steps: int | None = None,
        guidance: float | None = None,
        seed: int = 0,
        start: Start | None = None,
    ) -> list[Sound]:
        """See `aoide.models.tta.Described`."""
        torch = require("torch", "torch")
        tta.check(self, captions, seconds)
        if steps is not None and steps < 1:
            raise UserError(f"sampling takes 1 step or more, got {steps}")
        asked: dict[str, Any] = {
            self.way.seconds: seconds,
            "num_inference_steps": self.steps if steps is None else steps,
            "guidance_scale": self.guidance if guidance is None else guidance,
            "generator": torch.Generator().manual_seed(seed),
        }
        pipeline = self.pipeline
        if start is not None:
            pipeline, more = self._going_out(start, len(captions), seconds)
            asked |= more
            del asked["guidance_scale"]  # what edits has none
        try:
            made = pipeline(prompt=list(captions), **asked).audios
        except ValueError as error:  # its own check of what it is asked for
            raise UserError(f"{self.name}: {(str(error).splitlines() or ['it refuses'])[0][:200]}") from None
        return [self._sound(row, round(seconds * self.sample_rate)) for row in made]

    def _going_out(self, start: Start, count: int, seconds: float) -> tuple[Any, dict[str, Any]]:
        """The pipeline that goes out from a sound, and what it is asked with."""
        torch = require("torch", "torch")
        if type(self.pipeline).__name__ != "StableAudio3Pipeline":
            raise UserError(
                f"{self.name} makes sound of words alone; Stable Audio 3 goes out from a sound, and so do models that "
                "are trained here"
            )
        heard = start.sound.resample(self.sample_rate).samples[: round(seconds * self.sample_rate)]
        stereo = heard[:, :2] if heard.ndim == 2 and heard.shape[1] > 1 else np.stack([heard.reshape(-1)] * 2, axis=1)
        stereo = np.pad(stereo, ((0, round(seconds * self.sample_rate) - len(stereo)), (0, 0)))
        audio = torch.from_numpy(np.ascontiguousarray(stereo.T))[None].expand(count, -1, -1)
        diffusers = require("diffusers", EXTRA)
        if start.fresh:
            begins, ends = ([span[i] for span in start.fresh] for i in (0, 1))
            pipeline = diffusers.StableAudio3InpaintPipeline(**self.pipeline.components)
            asked = {"audio": audio, "mask_start_seconds": begins, "mask_end_seconds": ends}
        else:
            pipeline = diffusers.StableAudio3AudioToAudioPipeline(**self.pipeline.components)
            asked = {"audio": audio, "init_noise_level": start.strength}
        pipeline.set_progress_bar_config(disable=None)
        return pipeline, asked

    def _sound(self, made: Any, samples: int) -> Sound:
        """(samples,) or (channels, samples), an array or a tensor -> a sound of so many samples."""
        row = np.asarray(made.float().cpu() if hasattr(made, "cpu") else made, np.float32)
        if row.ndim == 2:
            row = row[0] if len(row) == 1 else row.T
        short = max(0, samples - len(row))
        return Sound(np.pad(row[:samples], ((0, short), (0, 0))[: row.ndim]), self.sample_rate)


def _load(source: str) -> Any:
    """The pipeline of a folder or a hub name; nothing in it is run as code."""
    diffusers = require("diffusers", EXTRA)
    name = os.path.expanduser(source)
    if (name.startswith(".") or os.path.isabs(name)) and not (Path(name) / "model_index.json").is_file():
        raise UserError(f"{name}: not a folder in the form of diffusers: it has no model_index.json")
    try:
        return diffusers.DiffusionPipeline.from_pretrained(name)
    except (OSError, ValueError) as error:  # no network, no such repository, a folder of something else
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(
            f"{name} cannot be loaded ({reason[:120]}): give a local folder with its model_index.json and parts"
        ) from None
