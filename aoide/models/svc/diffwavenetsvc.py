"""DiffWaveNetSVC: content, F0, energy, singer -> mel (batch, frames, mels), by diffusion.

Idea         What is sung (content features that say little of who sings), its F0 and how loud it is are added up with
             the singer to one condition a frame; a WaveNet that looks both ways takes noise away from a mel until it is
             one. Another singer's row of the table, another voice.
Objective    diffusion (aoide/objectives/diffusion.py)
Recipes      recipes/svc/diffwavenetsvc-folder.yaml
Papers       Zhang et al. 2023, arXiv:2310.11160 (several content features); Liu et al. 2021, arXiv:2105.13871 (DiffSVC)
Code         github.com/open-mmlab/Amphion, models/svc/diffusion (MIT)
Checkpoints  amphion/singing_voice_conversion (15 singers); load with `from_official`
Parity       tests/parity/test_diffwavenetsvc.py
Differs      The default is the form of Amphion's paper, 31 M (384 channels, 20 layers); its recipe builds 101 M.
             Padding is not heard. The extremes of the mel that are brought to -1 and 1 are settings, not files.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from aoide import trace
from aoide.audio.mel import MelConfig
from aoide.config import UserError, near
from aoide.models.svc._amphion import HIGH, LOW, MEL, mel_of, parts, steers
from aoide.nn import conversion, denoise
from aoide.nn.conversion import ConditionEncoder, Conditions, Span, check_span
from aoide.nn.denoise import Denoiser, SharedTime
from aoide.nn.official import adopt
from aoide.objectives import diffusion
from aoide.objectives.diffusion import Process


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """Settings of DiffWaveNetSVC; the defaults are those of Amphion's config/svc/diffusion.json."""

    mel: MelConfig = field(default_factory=lambda: MEL)
    low: tuple[float, ...] = LOW  # log mel that is brought to -1, one for all bands or one a band
    high: tuple[float, ...] = HIGH  # and to 1
    conditions: Conditions = field(default_factory=Conditions)
    process: Process = field(default_factory=Process)
    denoiser: Denoiser = field(default_factory=lambda: Denoiser(channels=384, layers=20, cycle=4, time=SharedTime()))

    def __post_init__(self) -> None:
        check_span(self.low, self.high, self.mel.n_mels)


class Model(nn.Module):
    """Content, F0, energy, singer -> mel."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.conditions = ConditionEncoder(config.conditions)
        self.denoiser = denoise.build(config.denoiser, config.mel.n_mels, config.conditions.dim)
        self.span = Span(config.low, config.high)

    def normalise(self, mel: Tensor) -> Tensor:
        """A log mel in the numbers, around -1 to 1, in which noise is added."""
        return self.span(mel)

    def forward(
        self,
        content: Tensor,
        f0: Tensor,
        noisy: Tensor,
        step: Tensor,
        energy: Tensor | None = None,
        speaker: Tensor | None = None,
        speaker_vector: Tensor | None = None,
        frame_mask: Tensor | None = None,
    ) -> Tensor:
        """What the process predicts of a normalised mel with noise (the noise): (batch, frames, mels).

        Args:
            content: (batch, frames, values). f0: (batch, frames) Hz, 0 = unvoiced. energy: (batch, frames).
            speaker: (batch,), rows of the table; or speaker_vector (batch, values), as the configuration has it.
            noisy: (batch, frames, mels). step: (batch,), of `config.process`.
            frame_mask: (batch, frames), True = real.
        """
        condition = self.conditions(content, f0, energy, speaker, speaker_vector=speaker_vector, mask=frame_mask)
        return self.denoiser(noisy, step.to(noisy.dtype), condition, frame_mask)

    @torch.no_grad()
    def convert(  # noqa: PLR0913  (what steers a conversion)
        self,
        content: Tensor,
        f0: Tensor,
        energy: Tensor | None = None,
        speaker: Tensor | None = None,
        *,
        speaker_vector: Tensor | None = None,
        mixture: Tensor | None = None,
        frame_mask: Tensor | None = None,
        steps: int = 50,
        sampler: str = "pndm",
        noise: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Sings in another voice: (batch, frames, mels) of `config.mel`; arguments as in `aoide.models.svc`.

        Args:
            steps: of the sampler. sampler: pndm, ddim, ddpm, plms, dpm_solver, unipc.
            noise: (batch, frames, mels), what to start from instead of drawing.

        Raises:
            UserError: an unknown sampler, more steps than were trained, or a condition that is not given.
        """
        condition = self.conditions(
            content, f0, energy, speaker, speaker_vector=speaker_vector, mixture=mixture, mask=frame_mask
        )
        start = diffusion.draw((*f0.shape, self.config.mel.n_mels), generator, f0.device) if noise is None else noise
        x = self.sample(condition, start, steps, sampler, mask=frame_mask, generator=generator)
        mel = self.span.back(x)
        trace.report("mel", mel)
        return mel if frame_mask is None else mel.masked_fill(~frame_mask[..., None], self.config.mel.silence)

    @torch.no_grad()
    def sample(
        self,
        condition: Tensor,
        noise: Tensor,
        steps: int,
        sampler: str = "pndm",
        *,
        mask: Tensor | None = None,
        generator: torch.Generator | None = None,
        fresh: Sequence[Tensor] | None = None,
    ) -> Tensor:
        """A normalised mel from noise, kept within -1 and 1 after each step as Amphion has it.

        Args:
            condition: (batch, frames, dim). noise: (batch, frames, mels).
            fresh: what ddpm adds, instead of drawing from `generator`.

        Raises:
            UserError: an unknown sampler, or more steps than were trained.
        """
        if sampler not in diffusion.SAMPLERS:
            raise UserError(f"there is no sampler {sampler!r}{near(sampler, diffusion.SAMPLERS)}")
        process = self.config.process
        between = sampler in ("dpm_solver", "unipc")
        walk = process.between(steps) if between else process.every(steps, leave_first=sampler in ("pndm", "plms"))
        extra: dict[str, Any] = {"generator": generator, "noise": fresh} if sampler == "ddpm" else {}
        call = denoise.settle(self.denoiser, condition, mask, steps)
        clip = "x" if sampler in ("pndm", "plms") else "both"
        return diffusion.SAMPLERS[sampler](call, noise, process, walk, clip=clip, **extra)


TRAINING = diffusion.Config(target="mel")
LOSSES: dict[str, object] = {}
NEEDS = ("content", "f0", "energy", "mel", "speaker")
TOY = Config(
    mel=replace(MEL, sample_rate=8_000, n_fft=64, hop=16, win=64, n_mels=10, fmax=4_000),
    conditions=Conditions(content={"whisper": 5, "contentvec": 3}, dim=8, f0_bins=16, energy_bins=12, speakers=3),
    process=Process(steps=20, first=1e-3, last=0.2),
    denoiser=Denoiser(channels=8, layers=3, cycle=2, time=SharedTime(sinusoids=8, hidden=12)),
)


def example(config: Config, batch: int = 2, generator: torch.Generator | None = None) -> dict[str, Tensor]:
    """Batches of 20 frames."""
    fields = steers(config.conditions, config.mel, batch, generator)
    shape = fields["mel"].shape
    fields["noisy"] = torch.randn(shape, generator=generator)
    fields["step"] = torch.randint(0, len(config.process.alphas()), (batch,), generator=generator)
    return fields


def from_official(state: Mapping[str, Tensor], config: Mapping[str, Any]) -> Model:
    """Amphion's DiffWaveNetSVC: the state dict of its checkpoint and its args.json.

    The extremes of each mel band, which Amphion keeps in files beside its data, may stand in `config["mel_min"]` and
    `config["mel_max"]`.

    Raises:
        UserError: a variant that is not known here, or keys or shapes that do not fit the configuration.
    """
    encoder, network = parts(state)
    settings, process = config["model"]["diffusion"], config["model"]["diffusion"]["scheduler_settings"]
    if settings["model_type"].lower() != "bidilconv" or process.get("beta_schedule", "linear") != "linear":
        raise UserError("this checkpoint's denoiser or schedule of noise is not known here")
    conditions = conversion.official_conditions(config["model"]["condition_encoder"])
    denoiser = denoise.amphion_settings(settings)
    mel, low, high = mel_of(config)
    model = Model(
        Config(
            mel=mel,
            low=low,
            high=high,
            conditions=conditions,
            process=Process(
                steps=process["num_train_timesteps"], first=process["beta_start"], last=process["beta_end"]
            ),
            denoiser=denoiser,
        )
    )
    renamed = conversion.official(encoder, "conditions.")
    renamed |= denoise.amphion(network, denoiser.layers, "denoiser.")
    return adopt(model, renamed, "DiffWaveNetSVC checkpoint")
