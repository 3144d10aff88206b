"""Sound of descriptions by a diffusion model of latents: text encoder, denoiser, autoencoder and vocoder as one.

    sound = LatentSound.of_run("runs/audioldm").generate(["a dog barks twice in the rain"], seconds=8)[0]

    1. the encoder reads the captions, and an empty one            (captions, words, values)
    2. the denoiser makes latents of noise, or of a sound's        (captions, frames, dim)
    3. the autoencoder makes mels of them                          (captions, frames * stride, mels)
    4. a vocoder makes the sound, one caption after the other      (samples,)

Offers what `aoide.models.tta.Described` promises.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from aoide import config
from aoide.audio.sound import Sound
from aoide.config import UserError
from aoide.data.captioned import Text, open_text
from aoide.generate.torch_singer import matching
from aoide.models import tta
from aoide.models.tta import Start
from aoide.objectives import diffusion, editing
from aoide.objectives.editing import Edit

Encode = Callable[[Sequence[str]], tuple[Tensor, Tensor]]
FADE = 1  # frames of latents over which what is kept and what is made anew are mixed
LONGEST = 60.0  # seconds; a U-Net looks from everywhere to everywhere, so memory goes with the square of it


class LatentSound:
    """See the head of this file.

    Args:
        denoiser: `tta/audioldm`, in evaluation mode.
        autoencoder: `tta/autoencoderkl`, or another whose latents the denoiser was trained on.
        encode: what reads captions, as `aoide.data.captioned.open_text` gives it.
        vocoder: something with `mel` and `vocode(mel)`; None: one of the package that reads the autoencoder's mel. An
            autoencoder that gives sound needs none.
        name: for errors and tags.

    Raises:
        UserError: parts that do not fit each other.
    """

    steps, guidance = 50, 4.0
    longest = LONGEST

    def __init__(
        self, denoiser: Any, autoencoder: Any, encode: Encode, vocoder: Any = None, name: str = "tta/audioldm"
    ) -> None:
        self.denoiser, self.autoencoder, self.name = denoiser.eval(), autoencoder.eval(), name
        self._encode = encode
        self.sample_rate: int = autoencoder.sample_rate
        ours, theirs = (denoiser.config.dim, denoiser.config.frame_rate), (autoencoder.dim, autoencoder.frame_rate)
        if ours[0] != theirs[0] or abs(ours[1] - theirs[1]) > 1e-3:
            raise UserError(
                f"{name} makes {ours[1]:g} frames of {ours[0]} values a second, its autoencoder reads {theirs[1]:g} of "
                f"{theirs[0]}: take the one that it was trained with"
            )
        mel = getattr(autoencoder, "mel", None)
        self.vocoder = None if mel is None else matching(mel, vocoder)
        self.device = next(denoiser.parameters()).device

    @classmethod
    def of_run(
        cls, run: str | os.PathLike[str], *, autoencoder: Any = None, vocoder: Any = None, device: str = "cpu"
    ) -> LatentSound:
        """The model of a run of `aoide train`, with what its recipe names beside it.

        Args:
            autoencoder: a run or folder of weights in place of that of the recipe.
            vocoder: as for the class.

        Raises:
            UserError: not such a run, or something that it names is not there.
        """
        aoide = config.require("aoide", "torch")
        data = recipe_of(Path(run)).get("data", {})
        if not data.get("text"):
            raise UserError(f"{run}: its recipe names nothing that reads captions (data.text)")
        named = (data.get("networks") or {}).get("latents") or [{}]
        name, source = named[0].get("name", "tta/autoencoderkl"), autoencoder or named[0].get("source")
        if not source:
            raise UserError(f"{run}: its recipe names no autoencoder (data.networks.latents): give its run or folder")
        encode = open_text(config.build(Text, data["text"], str(run), "data.text"), device)
        parts = (aoide.load(run).to(device), aoide.load(name, source).to(device))
        return cls(*parts, encode, vocoder, name=Path(run).resolve().name)

    @torch.no_grad()
    def generate(
        self,
        captions: Sequence[str],
        seconds: float,
        *,
        steps: int | None = None,
        guidance: float | None = None,
        seed: int = 0,
        start: Start | None = None,
        sampler: str = "plms",
    ) -> list[Sound]:
        """See `aoide.models.tta.Described`; sampler: one of `diffusion.SAMPLERS`.

        Each caption is drawn from a seed of its own, `seed`, `seed + 1` ..., so that it sounds the same alone. A model
        that edits is told what to do with the sound of `start`; without one it is given silence.
        """
        tta.check(self, captions, seconds)
        frames = max(1, round(seconds * self.autoencoder.frame_rate))
        seeds = [torch.Generator().manual_seed(seed + number) for number in range(len(captions))]
        shape = (frames, self.autoencoder.dim)
        noise = torch.stack([diffusion.draw(shape, generator, self.device) for generator in seeds])
        edit = given = None
        if self.denoiser.config.edits:
            given = self._latents(None if start is None else start.sound, frames).expand(len(captions), -1, -1)
        elif start is not None:
            latents = self._latents(start.sound, frames).expand(len(captions), -1, -1)
            rate = self.autoencoder.frame_rate
            fresh = editing.spans(start.fresh, frames, rate, FADE).to(self.device) if start.fresh else None
            edit = Edit(latents, fresh, start.strength)
        latents = self.denoiser.generate(
            self._encode(captions),
            self._encode([""]),
            frames,
            steps=self.steps if steps is None else steps,
            guidance=self.guidance if guidance is None else guidance,
            sampler=sampler,
            given=given,
            edit=edit,
            noise=noise,
            generator=seeds[0],
        )
        made = self.autoencoder.decode(latents)
        return [self._sound(row.cpu().numpy(), round(seconds * self.sample_rate)) for row in made]

    def _latents(self, sound: Sound | None, frames: int) -> Tensor:
        """(1, frames, dim) of a sound, cut or with silence after it."""
        samples = np.zeros(frames * self.autoencoder.hop, np.float32)
        if sound is not None:
            heard = sound.mono().resample(self.sample_rate).samples[: len(samples)]
            samples[: len(heard)] = heard
        return self.autoencoder.encode(torch.from_numpy(samples)[None].to(self.device))

    def _sound(self, made: np.ndarray, samples: int) -> Sound:
        audio = made if self.vocoder is None else self.vocoder.vocode(made)
        audio = np.asarray(audio, np.float32)[:samples]
        return Sound(np.pad(audio, (0, samples - len(audio))), self.sample_rate)


def recipe_of(run: Path) -> dict[str, Any]:
    """The resolved recipe of a run, of its last checkpoint, or of a checkpoint."""
    found = sorted((run / "checkpoints").glob("step-*/config.yaml")) or [run / "config.yaml"]
    if not found[-1].is_file():
        raise UserError(f"{run}: not a run of `aoide train`: it has no checkpoints with a config.yaml")
    return config.read_yaml(found[-1])
