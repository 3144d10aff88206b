"""AudioLDM: a caption as rows of vectors -> latents (batch, frames, dim) of ten seconds of sound, by diffusion.

Idea         An autoencoder has made small pictures of mels (`tta/autoencoderkl`); a U-Net learns to take noise off such
             a picture, looking at what a frozen text encoder makes of the caption. Of some clips the caption is not
             told (data.dropped), so that sampling can go further from what is said without it.
Settings     The default is Amphion's: t5-base, latents 4 x 10 x 78 for 10 s. TANGO: flan-t5-large, a process that
             predicts v, `objective.min_snr: 5`, mixtures (data.kind: edited). AUDIT: `edits: true`; the latents of a
             sound stand beside the noisy ones, and the caption says what to do with it (aoide/data/edited.py).
Objective    diffusion (aoide/objectives/diffusion.py)
Recipes      recipes/tta/audioldm-folder.yaml, tango-folder.yaml, audit-folder.yaml
Papers       Liu et al. 2023, arXiv:2301.12503 (AudioLDM); Ghosal et al. 2023, arXiv:2304.13731 (TANGO); Wang et al.
             2023, arXiv:2304.00830 (AUDIT, whose text-to-audio part Amphion's is)
Code         github.com/open-mmlab/Amphion, models/tta/ldm (MIT)
Checkpoints  amphion/text_to_audio (audioldm...: U-Net of 400 M, with its autoencoder); load with `from_official`
Parity       tests/parity/test_audioldm.py
Differs      Padded frames and words are not seen: Amphion lets the U-Net look at padded words. `scale` brings latents
             to deviation 1, as latent diffusion does; Amphion leaves them as they are (1).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from aoide.nn import picture
from aoide.nn.official import adopt, part
from aoide.nn.unet2d import Shape, UNet2d, official
from aoide.objectives import diffusion, editing, flow
from aoide.objectives.diffusion import Process
from aoide.objectives.editing import Edit


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """Settings; the defaults are those of Amphion's text to audio."""

    sample_rate: int = 16_000  # Hz, of the autoencoder
    hop: int = 2048  # samples of a frame of latents, likewise
    channels: int = 4  # of a latent seen as a picture
    bins: int = 10  # its rows
    scale: float = 1.0  # what latents are multiplied by, so that their deviation is near 1
    text_dim: int = 768  # values of a row of the text
    edits: bool = False  # whether it is given a sound that the caption says what to do with (AUDIT)
    unet: Shape = field(default_factory=Shape)
    process: Process = field(default_factory=lambda: Process(schedule="scaled_linear", first=0.00085, last=0.012))

    def __post_init__(self) -> None:
        if min(self.sample_rate, self.hop, self.channels, self.bins, self.text_dim) < 1 or self.scale <= 0:
            raise ValueError("sample_rate, hop, channels, bins and text_dim are 1 or more, scale is above 0")

    @property
    def frame_rate(self) -> float:
        """Frames of latents per second."""
        return self.sample_rate / self.hop

    @property
    def dim(self) -> int:
        """Values of a frame of latents."""
        return self.channels * self.bins


class Model(nn.Module):
    """See `aoide.models.tta.Denoiser`."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        inward = config.channels * (2 if config.edits else 1)
        self.unet = UNet2d(config.unet, inward, config.channels, config.text_dim)

    def normalise(self, latents: Tensor) -> Tensor:
        """Latents in the space in which noise is added."""
        return latents * self.config.scale

    def forward(
        self,
        noisy: Tensor,
        step: Tensor,
        text: Tensor,
        text_mask: Tensor | None = None,
        given: Tensor | None = None,
        frame_mask: Tensor | None = None,
    ) -> Tensor:
        """What the process predicts of latents with noise: (batch, frames, dim), 0 where padded.

        Args:
            noisy: (batch, frames, dim). step: (batch,), of `config.process`.
            text: (batch, words, text_dim). text_mask: (batch, words), True = real.
            given: (batch, frames, dim), latents of the sound that is edited; of a model with `edits`.
            frame_mask: (batch, frames), True = real.
        """
        mask = picture.of_frames(frame_mask)
        x = picture.fold(noisy, self.config.channels)
        if self.config.edits:
            assert given is not None, "a model with edits is given a sound"
            x = torch.cat([x, picture.fold(self.normalise(given), self.config.channels)], dim=1)
        return picture.unfold(picture.shut(self.unet(x, step, text, text_mask, mask), mask))

    @torch.no_grad()
    def generate(  # noqa: PLR0913  (what steers it)
        self,
        text: tuple[Tensor, Tensor | None],
        nothing: tuple[Tensor, Tensor | None],
        frames: int,
        *,
        steps: int = 50,
        guidance: float = 4.0,
        sampler: str = "plms",
        given: Tensor | None = None,
        edit: Edit | None = None,
        noise: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Latents of sounds: (batch, frames, dim).

        Args:
            text: rows of the captions (batch, words, text_dim), and their mask or None.
            nothing: the same of an empty caption, of one or as many items.
            frames: of latents.
            steps, sampler: see `editing.diffused`; Amphion takes 200 of plms.
            guidance: how many times further than from nothing to the caption; 1 = the caption alone.
            given: (batch, frames, dim), of a model with `edits`.
            edit: latents to go out from, as the autoencoder gives them.
            noise: (batch, frames, dim), what to start from instead of drawing.

        Raises:
            UserError: an unknown sampler, or more steps than were trained.
        """
        rows, mask = _beside(text, nothing) if guidance != 1 else text
        if noise is None:
            noise = diffusion.draw((len(text[0]), frames, self.config.dim), generator, rows.device)
        twice = given if given is None or guidance == 1 else torch.cat([given, given])
        call = flow.guided(lambda x, step: self(x, step, rows, mask, twice), guidance - 1)
        if edit is not None:
            edit = Edit(self.normalise(edit.sound), edit.fresh, edit.strength, edit.passes)
        walk = self.config.process.every(steps, leave_first=True, offset=1)
        x = editing.diffused(
            call, noise, self.config.process, steps, sampler=sampler, walk=walk, edit=edit, generator=generator
        )
        return x / self.config.scale


def _beside(text: tuple[Tensor, Tensor | None], nothing: tuple[Tensor, Tensor | None]) -> tuple[Tensor, Tensor | None]:
    """Captions, then the empty one as often, of one width, with a mask where there is one or they differ."""
    pairs = [(rows, rows.new_ones(rows.shape[:2], dtype=torch.bool) if m is None else m) for rows, m in (text, nothing)]
    (told, told_mask), (untold, untold_mask) = pairs
    untold, untold_mask = (part.expand(len(told), *part.shape[1:]) for part in (untold, untold_mask))
    width = max(told.shape[1], untold.shape[1])
    rows = torch.cat([functional.pad(r, (0, 0, 0, width - r.shape[1])) for r in (told, untold)])
    mask = torch.cat([functional.pad(m, (0, width - m.shape[1])) for m in (told_mask, untold_mask)])
    return rows, None if bool(mask.all()) else mask


# ------------------------------------------------------------------------------------------------------------- training

LOSSES: dict[str, Any] = {}
TRAINING = diffusion.Config(target="latents")
NEEDS = ("latents", "text")
TOY = Config(
    sample_rate=8_000,
    hop=32,
    channels=2,
    bins=3,
    text_dim=6,
    unet=Shape(channels=8, multiples=(1, 2), blocks=1, attends=(False, True), heads=2, groups=4),
    process=Process(steps=50, schedule="scaled_linear", first=0.00085, last=0.2),
)


def follows(config: Config) -> tuple[str, ...]:
    """What the batch must hold beside NEEDS with these settings."""
    return ("given",) if config.edits else ()


def example(config: Config, batch: int = 2, generator: torch.Generator | None = None) -> dict[str, Tensor]:
    """A batch of random latents of 12 frames, and of captions of 5 words; every other one is shorter."""
    frames = torch.tensor([12 - 3 * (i % 2) for i in range(batch)])
    words = torch.tensor([5 - 2 * (i % 2) for i in range(batch)])
    found = {
        "latents": torch.randn(batch, 12, config.dim, generator=generator),
        "noisy": torch.randn(batch, 12, config.dim, generator=generator),
        "step": torch.randint(0, config.process.steps, (batch,), generator=generator),
        "text": torch.randn(batch, 5, config.text_dim, generator=generator),
        "text_mask": torch.arange(5) < words[:, None],
        "frame_mask": torch.arange(12) < frames[:, None],
    }
    if config.edits:
        found["given"] = torch.randn(batch, 12, config.dim, generator=generator)
    return found


def from_official(state: Mapping[str, Tensor], config: Mapping[str, Any]) -> Model:
    """A U-Net of Amphion's checkpoints.

    Args:
        state: keys `unet. ...`; `model` of the training checkpoint.
        config: `model` of the configuration, or all of it: audioldm, and autoencoderkl and noise_scheduler if there;
            or the settings of audioldm alone.

    Raises:
        UserError: it does not fit its configuration.
    """
    config = config.get("model", config)
    settings = config.get("audioldm", config)
    multiples = tuple(settings["channel_mult"])
    resolutions = settings["attention_resolutions"]
    shape = Shape(
        channels=settings["model_channels"],
        multiples=multiples,
        blocks=settings["num_res_blocks"],
        attends=tuple(2**level in resolutions for level in range(len(multiples))),
        heads=settings["num_heads"],
        depth=settings.get("transformer_depth", 1),
    )
    autoencoder, noise = config.get("autoencoderkl", {}), config.get("noise_scheduler", {})
    factor = 2 ** (len(autoencoder.get("ch_mult", (1, 2, 2, 4))) - 1)
    channels = settings["out_channels"]
    process = Process(
        schedule=noise.get("beta_schedule", "scaled_linear"),
        steps=noise.get("num_train_timesteps", 1000),
        first=noise.get("beta_start", 0.00085),
        last=noise.get("beta_end", 0.012),
    )
    model = Model(
        Config(
            hop=256 * factor,
            channels=channels,
            bins=80 // factor,
            text_dim=settings["context_dim"],
            edits=settings["in_channels"] == 2 * channels,
            unet=shape,
            process=process,
        )
    )
    inner = part(part(state, "model"), "unet")
    return adopt(model, {f"unet.{key}": value for key, value in official(inner, shape).items()}, "AudioLDM checkpoint")
