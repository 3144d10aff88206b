"""DiffComoSVC (CoMoSVC): content, F0, energy, singer -> mel (batch, frames, mels), in one step of a consistency model.

Idea         A Transformer makes a first mel of what is sung, its F0, how loud it is, and the singer. A WaveNet, steered
             by it, draws in what it lacks, from noise around it: a teacher in some 50 steps, and a student, which says
             at any noise what the teacher would come to in the end, in one.
Objective    consistency (aoide/objectives/consistency.py): first the teacher, then the student
Sizes        Noise of all bands must get through the denoiser: a WaveNet, which begins with a ReLU, wants two channels a
             band or more. A narrower one leaves noise at every level, and many steps are worse than one.
Recipes      recipes/svc/diffcomosvc-teacher.yaml, recipes/svc/diffcomosvc-student.yaml
Papers       Lu et al. 2024, arXiv:2401.01792 (CoMoSVC); Ye et al. 2023, arXiv:2305.06908 (CoMoSpeech)
Code         github.com/open-mmlab/Amphion, models/svc/comosvc (MIT)
Checkpoints  none are known; `from_official` loads what Amphion's recipe trains, teacher or student
Parity       tests/parity/test_comosvc.py
Differs      Padding is not heard. The loss of the first mel is a mean over its bands, which the original divides by
             their number once more. The teacher's sampling counts its calls (the original's n are n + 1). A student of
             ours holds no copy of its teacher.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from aoide import trace
from aoide.audio.mel import MelConfig
from aoide.config import UserError
from aoide.models.svc._amphion import HIGH, LOW, MEL, mel_of, parts, real, steers
from aoide.nn import conversion, denoise, relative
from aoide.nn.conversion import ConditionEncoder, Conditions, Span, check_span
from aoide.nn.denoise import Denoiser, SharedTime
from aoide.nn.official import adopt
from aoide.nn.relative import RelativeEncoder
from aoide.nn.ssim import ssim_loss
from aoide.objectives import Batch, consistency
from aoide.objectives.consistency import Karras
from aoide.objectives.diffusion import draw
from aoide.objectives.regression import masked_l2


@dataclass(frozen=True, kw_only=True, slots=True)
class Prior:
    """The encoder that makes the first mel."""

    heads: int = 2
    layers: int = 6
    hidden: int = 512  # channels between the convolutions of a block
    dropout: float = 0.1


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """Settings of DiffComoSVC; the defaults are those of Amphion's config/comosvc.json."""

    mel: MelConfig = field(default_factory=lambda: MEL)
    low: tuple[float, ...] = LOW  # log mel that is brought to -1, one for all bands or one a band
    high: tuple[float, ...] = HIGH  # and to 1
    conditions: Conditions = field(default_factory=Conditions)
    prior: Prior = field(default_factory=Prior)
    karras: Karras = field(default_factory=Karras)
    denoiser: Denoiser = field(default_factory=lambda: Denoiser(channels=384, layers=20, cycle=4, time=SharedTime()))
    distilled: bool = False  # a student, which holds an average of its denoiser and samples in one step

    def __post_init__(self) -> None:
        check_span(self.low, self.high, self.mel.n_mels)
        if self.conditions.dim % self.prior.heads:
            raise ValueError(f"conditions.dim {self.conditions.dim} does not divide among {self.prior.heads} heads")


class Output(NamedTuple):
    prediction: Tensor  # (batch, frames, mels), the mel that is seen in the noise, in numbers around -1 to 1
    condition: Tensor  # (batch, frames, mels), the first mel in the same numbers


class Model(nn.Module):
    """Content, F0, energy, singer -> mel."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        dim, mels, prior = config.conditions.dim, config.mel.n_mels, config.prior
        self.conditions = ConditionEncoder(config.conditions)
        self.encoder = RelativeEncoder(dim, prior.heads, prior.hidden, prior.layers, dropout=prior.dropout, eps=1e-4)
        self.first = nn.Linear(dim, mels)
        self.denoiser = denoise.build(config.denoiser, mels, mels)
        self.target: nn.Module | None = None
        if config.distilled:
            self.target = denoise.build(config.denoiser, mels, mels).requires_grad_(False)
            self.target.load_state_dict(self.denoiser.state_dict())
        self.span = Span(config.low, config.high)

    def normalise(self, mel: Tensor) -> Tensor:
        """A log mel in the numbers, around -1 to 1, in which noise is added."""
        return self.span(mel)

    def forward(
        self,
        content: Tensor,
        f0: Tensor,
        noisy: Tensor,
        sigma: Tensor,
        energy: Tensor | None = None,
        speaker: Tensor | None = None,
        speaker_vector: Tensor | None = None,
        frame_mask: Tensor | None = None,
    ) -> Output:
        """The normalised mel that is seen in one with noise, and the first mel.

        Args:
            content: (batch, frames, values). f0: (batch, frames) Hz, 0 = unvoiced. energy: (batch, frames).
            speaker: (batch,), rows of the table; or speaker_vector (batch, values), as the configuration has it.
            noisy: (batch, frames, mels), a normalised mel + sigma * noise; around the first mel the noise is brought
                here. sigma: (batch,).
            frame_mask: (batch, frames), True = real.
        """
        first = self.prior(content, f0, energy, speaker, speaker_vector=speaker_vector, frame_mask=frame_mask)
        return Output(self.clean(self.denoiser, noisy, sigma, first, frame_mask), first)

    def prior(
        self,
        content: Tensor,
        f0: Tensor,
        energy: Tensor | None = None,
        speaker: Tensor | None = None,
        *,
        speaker_vector: Tensor | None = None,
        mixture: Tensor | None = None,
        frame_mask: Tensor | None = None,
    ) -> Tensor:
        """The first mel, normalised: (batch, frames, mels). Arguments as in `forward`."""
        condition = self.conditions(
            content, f0, energy, speaker, speaker_vector=speaker_vector, mixture=mixture, mask=frame_mask
        )
        first = self.first(self.encoder(condition, frame_mask))
        trace.report("prior", first)
        return first

    def clean(
        self, network: nn.Module, noisy: Tensor, sigma: Tensor, condition: Tensor, frame_mask: Tensor | None = None
    ) -> Tensor:
        """The mel that `network` sees in noisy + sigma * condition; shapes as in `forward`."""
        there = noisy + sigma[:, None, None] * condition
        return self.config.karras.clean(lambda x, told: network(x, told, condition, frame_mask), there, sigma)

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
        steps: int | None = None,
        sampler: str | None = None,
        noise: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Sings in another voice: (batch, frames, mels) of `config.mel`; arguments as in `aoide.models.svc`.

        Args:
            steps: of the sampler; None = 1 of a student, 50 of a teacher.
            sampler: of aoide/objectives/consistency.py; None = leap of a student, euler of a teacher.
            noise: (batch, frames, mels), what to start from instead of drawing.

        Raises:
            UserError: an unknown sampler, no step, or a condition that is not given.
        """
        first = self.prior(
            content, f0, energy, speaker, speaker_vector=speaker_vector, mixture=mixture, frame_mask=frame_mask
        )
        start = draw(first.shape, generator, first.device) if noise is None else noise
        x = self.sample(first, start, steps, sampler, mask=frame_mask, generator=generator)
        mel = self.span.back(x)
        trace.report("mel", mel)
        return mel if frame_mask is None else mel.masked_fill(~frame_mask[..., None], self.config.mel.silence)

    @torch.no_grad()
    def sample(
        self,
        first: Tensor,
        noise: Tensor,
        steps: int | None = None,
        sampler: str | None = None,
        *,
        mask: Tensor | None = None,
        generator: torch.Generator | None = None,
        fresh: list[Tensor] | None = None,
    ) -> Tensor:
        """A normalised mel from noise around the first one.

        Args:
            first, noise: (batch, frames, mels); noise is of size 1 around 0.
            steps, sampler, generator: as in `convert`. fresh: what leap adds, instead of drawing.
        """
        student, karras = self.target is not None, self.config.karras
        name = sampler or ("leap" if student else "euler")
        count = (1 if student else 50) if steps is None else steps
        network = denoise.settle(self.denoiser if self.target is None else self.target, first, mask, count)

        def clean(x: Tensor, sigma: Tensor) -> Tensor:
            return karras.clean(network, x, sigma)

        extra: dict[str, Any] = {"centre": first, "generator": generator, "fresh": fresh} if name == "leap" else {}
        return consistency.sampler(name)(clean, noise + first, karras, count, **extra)


class PriorLoss(nn.Module):
    """How unlikely the recorded mel is around the first one, with a deviation of 1: half the square, and a constant."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.span = Span(config.low, config.high)

    def forward(self, output: Output, batch: Batch) -> Tensor:
        square = masked_l2(output.condition, self.span(batch["mel"]), real(batch))
        return 0.5 * (square + math.log(2 * math.pi))


class SsimLoss(PriorLoss):
    """How unlike the first mel and the recorded one are in their local structure."""

    def forward(self, output: Output, batch: Batch) -> Tensor:
        return ssim_loss(output.condition, self.span(batch["mel"]), real(batch))


TRAINING = consistency.Config(weights={"prior": 1.0, "ssim": 1.0})
LOSSES = {"prior": PriorLoss, "ssim": SsimLoss}
NEEDS = ("content", "f0", "energy", "mel", "speaker")
TOY = Config(
    mel=replace(MEL, sample_rate=8_000, n_fft=64, hop=16, win=64, n_mels=10, fmax=4_000),
    conditions=Conditions(content={"whisper": 5, "contentvec": 3}, dim=8, f0_bins=16, energy_bins=12, speakers=3),
    prior=Prior(layers=1, hidden=12),
    denoiser=Denoiser(channels=8, layers=3, cycle=2, time=SharedTime(sinusoids=8, hidden=12)),
)


def example(config: Config, batch: int = 2, generator: torch.Generator | None = None) -> dict[str, Tensor]:
    """Batches of 20 frames."""
    fields = steers(config.conditions, config.mel, batch, generator)
    fields["noisy"] = torch.randn(fields["mel"].shape, generator=generator)
    fields["sigma"] = torch.rand(batch, generator=generator).add(0.1)
    return fields


def started(weights: dict[str, Tensor], model: Model) -> dict[str, Tensor]:
    """Weights that a run starts from: a student's average begins as the teacher's denoiser."""
    if model.target is None or any(key.startswith("target.") for key in weights):
        return weights
    denoiser = {key: value for key, value in weights.items() if key.startswith("denoiser.")}
    return weights | {f"target.{key.removeprefix('denoiser.')}": value.clone() for key, value in denoiser.items()}


# ---------------------------------------------------------------------------------------------------- published weights


def from_official(state: Mapping[str, Tensor], config: Mapping[str, Any]) -> Model:
    """Amphion's DiffComoSVC: the state dict of its checkpoint, teacher or student, and its args.json.

    The extremes of each mel band, which Amphion keeps in files beside its data, may stand in `config["mel_min"]` and
    `config["mel_max"]`.

    Raises:
        UserError: a variant that is not known here, or keys or shapes that do not fit the configuration.
    """
    encoder, network = parts(state)
    settings = config["model"]["comosvc"]
    conditions = conversion.official_conditions(config["model"]["condition_encoder"])
    denoiser = denoise.amphion_settings(config["model"]["diffusion"])
    if settings["input_dim"] != conditions.dim or config["model"]["diffusion"]["model_type"].lower() != "bidilconv":
        raise UserError("this DiffComoSVC checkpoint has an encoder or a denoiser that is not known here")
    mel, low, high = mel_of(config)
    model = Model(
        Config(
            mel=mel,
            low=low,
            high=high,
            conditions=conditions,
            prior=Prior(
                heads=settings["n_heads"],
                layers=settings["n_layers"],
                hidden=settings["filter_channels"],
                dropout=settings["dropout"],
            ),
            karras=Karras(
                least=settings["sigma_min"],
                most=settings["sigma_max"],
                bend=settings["rho"],
                data=settings["sigma_data"],
                levels=settings["n_timesteps"],
            ),
            denoiser=denoiser,
            distilled=settings["distill"],
        )
    )
    renamed = conversion.official(encoder, "conditions.") | _renamed(network, denoiser.layers)
    return adopt(model, renamed, "DiffComoSVC checkpoint")


_PARTS = {
    "encoder.conformer_encoder.": "encoder.",
    "encoder.projection.": "first.",
    "decoder.denoise_fn.": "denoiser.",
    "decoder.denoise_fn_ema.": "target.",
    "decoder.denoise_fn_pretrained.": "",  # the teacher, which sampling does not need
}


def _renamed(state: Mapping[str, Tensor], layers: int) -> dict[str, Tensor]:
    groups: dict[str, dict[str, Tensor]] = {ours: {} for ours in _PARTS.values()}
    renamed: dict[str, Tensor] = {}
    for key, value in state.items():
        theirs = next((prefix for prefix in _PARTS if key.startswith(prefix)), None)
        if theirs is None:
            renamed[key] = value  # for `adopt` to tell
        else:
            groups[_PARTS[theirs]][key.removeprefix(theirs)] = value
    renamed |= relative.official(groups["encoder."], "encoder.")
    renamed |= {f"first.{key}": value.squeeze(-1) for key, value in groups["first."].items()}
    for ours in ("denoiser.", "target."):
        renamed |= denoise.amphion(groups[ours], layers, ours)
    return renamed
