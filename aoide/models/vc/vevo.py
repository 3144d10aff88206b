"""Vevo: how something is said, and the voice of anybody -> a mel (batch, frames, mels) in that voice.

    codes (batch, frames, 1), a recording of the voice as codes and as a mel -> mel (batch, frames, mels) log magnitude

Idea         One codebook between HuBERT and a decoder decides what is left of a recording: with 8,192 entries content
             and style (pace, accent), with 32 hardly more than the words, the timbre with neither. So a flow matching
             Transformer that looks both ways is told codes frame by frame, hears a few seconds of a voice as the head
             of the mel, and goes on in it. Its three uses (aoide/generate/vevo.py): timbre takes the codes of a
             recording; style and voice let vc/vevo_ar say the same words anew, with the pace and accent of another.
Objective    flow matching (aoide/objectives/flow.py), L1 on the frames that are hidden
Recipes      recipes/vc/vevo-folder.yaml
Paper        Zhang et al. 2025, arXiv:2502.07243
Code         github.com/open-mmlab/Amphion, models/vc/flow_matching_transformer (MIT)
Checkpoints  amphion/Vevo (Hugging Face): acoustic_modeling/Vq8192ToMels (338 M) by `from_official`; its codes come from
             tokenizer/vq8192 (codec/maskgct_semantic, on HuBERT-large layer 18), its sound from acoustic_modeling/
             Vocoder (vocoder/vocos)
Parity       tests/parity/test_vevo.py
Differs      Each item of a batch has its own chance to lose its conditions, and a prompt of its own length. Guidance is
             rescaled item by item. Both of its branches are computed in one packed row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from aoide import trace
from aoide.audio.mel import MelConfig
from aoide.config import UserError
from aoide.nn import llama
from aoide.nn.denoise import TimeEmbedding
from aoide.nn.lengths import mask_from_lengths
from aoide.nn.llama import Llama, Settings
from aoide.nn.official import adopt
from aoide.objectives import Batch, flow

MEL = MelConfig(
    sample_rate=24_000,
    n_fft=1920,
    hop=480,
    win=1920,
    n_mels=128,
    fmax=12_000,
    scale="slaney",
    norm="slaney",
    eps=1e-9,
    padding="same",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """Settings; the defaults are those of Vq8192ToMels (338 M parameters)."""

    mel: MelConfig = field(default_factory=lambda: MEL)
    mel_mean: float = -4.92  # taken from every value of the mel
    mel_std: float = 8.14**0.5  # by which it is divided then
    codes: int = 8192  # values that a code has; there is one a frame
    dim: int = 1024
    layers: int = 16
    heads: int = 16
    drop: float = 0.2  # how often training tells neither codes nor voice, for guidance
    prompt: float = 0.4  # of a clip, at most, is heard as a prompt in training

    def __post_init__(self) -> None:
        if self.mel_std <= 0:
            raise ValueError(f"mel_std is above 0, got {self.mel_std}")
        if not 0 <= self.drop <= 1 or not 0 < self.prompt < 1:
            raise ValueError(f"drop is from 0 to 1 and prompt between them, got {self.drop} and {self.prompt}")


# ---------------------------------------------------------------------------------------------------------------- model


class Mapper(nn.Sequential):
    """Two layers, the first wide: (batch, frames, dim_in) -> (batch, frames, dim_out)."""

    def __init__(self, dim_in: int, hidden: int, dim_out: int) -> None:
        super().__init__(nn.Linear(dim_in, hidden), nn.SiLU(), nn.Linear(hidden, dim_out))


class Model(nn.Module):
    """Codes and a voice -> mel."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        dim, mels, wide = config.dim, config.mel.n_mels, 4 * config.dim
        self.table = nn.Embedding(config.codes, dim)
        nn.init.normal_(self.table.weight, std=0.02)
        self.condition = Mapper(dim, wide, dim)
        self.read = Mapper(mels, wide, dim)
        self.time = TimeEmbedding(dim, nn.SiLU())
        self.llama = Llama(
            Settings(dim=dim, layers=config.layers, heads=config.heads, hidden=wide, causal=False, adaptive=True)
        )
        self.out = Mapper(dim, wide, mels)

    def normalise(self, mel: Tensor) -> Tensor:
        """A log mel in the numbers in which the flow goes."""
        return (mel - self.config.mel_mean) / self.config.mel_std

    def denormalise(self, x: Tensor) -> Tensor:
        """The way back."""
        return x * self.config.mel_std + self.config.mel_mean

    def forward(  # noqa: PLR0913  (the fields of a batch)
        self,
        codes: Tensor,
        noisy: Tensor,
        time: Tensor,
        given: Tensor,
        hidden: Tensor,
        frame_mask: Tensor | None = None,
        drop: Tensor | None = None,
    ) -> Tensor:
        """The velocity (batch, frames, mels); of frames that are not hidden it says nothing of use.

        Args:
            codes: (batch, frames, 1), below `codes`.
            noisy: (batch, frames, mels), the normalised mel with noise. time: (batch,), from 0, noise, to 1.
            given: (batch, frames, mels), the log mel where it is heard. hidden: (batch, frames), where it is not.
            frame_mask: (batch, frames), True = real.
            drop: (batch,), True where the codes are not told.
        """
        x = torch.where(hidden[..., None], noisy, self.normalise(given))
        condition = self.table(codes[..., 0].long())
        if drop is not None:
            condition = condition.masked_fill(drop[:, None, None], 0.0)
        return self.velocity(x, time, condition, frame_mask)

    def conceal(self, batch: Batch, generator: torch.Generator | None) -> dict[str, Tensor]:
        """What training hides (objectives/flow.py): all but a prompt of 5 frames or more, or all, codes included."""
        mel = batch["mel"]
        mask = batch.get("frame_mask")
        mask = torch.ones_like(mel[..., 0], dtype=torch.bool) if mask is None else mask
        lengths = mask.sum(1)
        dropped, place = torch.rand(2, len(mel), generator=generator, device=mel.device)
        least, most = (lengths // 4).clamp(max=5), (lengths * self.config.prompt).long()
        prompt = least + ((most - least).clamp(min=0) * place).long()
        drop = dropped < self.config.drop
        hidden = mask & ~mask_from_lengths(prompt.masked_fill(drop, 0), mel.shape[1])
        return {"hidden": hidden, "given": mel.masked_fill(hidden[..., None], 0.0), "drop": drop}

    def velocity(  # noqa: PLR0913  (what can be left out is)
        self,
        x: Tensor,
        time: Tensor,
        condition: Tensor,
        mask: Tensor | None = None,
        lengths: Sequence[int] | None = None,
        last: int | Sequence[int] | None = None,
    ) -> Tensor:
        """x (batch, frames, mels) normalised, time (batch,), condition (batch, frames, dim) -> (batch, frames, mels).

        Args:
            mask, lengths, last: as `aoide.nn.llama.Llama` has them.
        """
        steps = self.time(time)
        x = self.read(x) + self.condition(condition)
        return self.out(self.llama(x, mask, steps, lengths=lengths, last=last))

    @torch.no_grad()
    def speak(  # noqa: PLR0913  (what steers a speaker)
        self,
        codes: Tensor,
        prompt_codes: Tensor,
        prompt: Tensor,
        *,
        steps: int = 32,
        guidance: float = 1.0,
        rescale: float = 0.75,
        noise: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Says codes in the voice of a prompt: (batch, frames, mels) log mel, without the prompt.

        Args:
            codes: (batch, frames, 1). prompt_codes: (batch, prompt frames, 1), of the prompt itself.
            prompt: (batch, prompt frames, mels) log mel.
            steps, guidance, rescale, noise: as `sample` has them.

        Raises:
            UserError: a prompt whose codes and mel are not of one length, codes that the model does not know.
        """
        if prompt.shape[:2] != prompt_codes.shape[:2] or not prompt.shape[1]:
            raise UserError(
                f"the prompt's mel {tuple(prompt.shape)} and codes {tuple(prompt_codes.shape)} are of different frames"
            )
        whole = torch.cat([prompt_codes, codes], dim=1)[..., 0]
        if int(whole.min()) < 0 or int(whole.max()) >= self.config.codes:
            raise UserError(f"codes go from 0 to {self.config.codes - 1}, but there is {int(whole.max())}")
        if noise is None:
            home = prompt.device if generator is None else generator.device
            shape = (*codes.shape[:2], self.config.mel.n_mels)
            noise = torch.randn(shape, generator=generator, device=home).to(prompt.device)
        x = self.sample(
            self.table(whole), self.normalise(prompt), noise, steps=steps, guidance=guidance, rescale=rescale
        )
        return self.denormalise(x)

    @torch.no_grad()
    def sample(
        self,
        condition: Tensor,
        prompt: Tensor,
        noise: Tensor,
        *,
        steps: int = 32,
        guidance: float = 1.0,
        rescale: float = 0.75,
    ) -> Tensor:
        """What follows a prompt, normalised: (batch, frames, mels).

        Args:
            condition: (batch, prompt frames + frames, dim). prompt: (batch, prompt frames, mels), normalised.
            noise: (batch, frames, mels).
            steps: calls of the network; each goes with the velocity at its middle.
            guidance: how much further than without codes and prompt; 0 halves the work.
            rescale: how far the guided velocity is brought back to the deviation of the plain one, 0 to 1.
        """
        frames, both = noise.shape[1], guidance > 0
        lengths = [condition.shape[1], frames] if both else None
        if both:
            condition = torch.cat([condition, torch.zeros_like(condition[:, :frames])], dim=1)

        def call(x: Tensor, time: Tensor) -> Tensor:
            row = torch.cat([prompt, x, x] if both else [prompt, x], dim=1)
            found = self.velocity(
                row, time + 0.5 / steps, condition, lengths=lengths, last=[frames, frames] if both else frames
            )
            if not both:
                return found
            told, untold = found.chunk(2, dim=1)
            further = told + guidance * (told - untold)
            scale = told.flatten(1).std(1) / further.flatten(1).std(1)
            return further * (rescale * scale + 1 - rescale)[:, None, None]

        x = flow.integrate(call, noise, flow.times(steps))
        trace.report("vevo/mel", x)
        return x


# ------------------------------------------------------------------------------------------------------------- training

TRAINING = flow.Config(sigma=1e-5, distance="l1", times="cosine", where="hidden")
LOSSES: dict[str, Any] = {}
NEEDS = ("codes", "mel")
TOY = Config(
    mel=MelConfig(sample_rate=8_000, n_fft=64, hop=16, win=64, n_mels=6, fmax=4_000),
    codes=16,
    dim=16,
    layers=1,
    heads=2,
)


def example(config: Config, batch: int = 2, generator: torch.Generator | None = None) -> dict[str, Tensor]:
    """A batch as the objective makes it, of random numbers; the last item is shorter."""
    mask = mask_from_lengths(torch.tensor([20] * (batch - 1) + [16]))
    shape = (*mask.shape, config.mel.n_mels)
    mel = torch.randn(shape, generator=generator) - 4
    hidden = mask & ~mask_from_lengths(torch.full((batch,), 5), mask.shape[1])
    return {
        "codes": torch.randint(config.codes, (*mask.shape, 1), generator=generator) * mask[..., None],
        "mel": mel,
        "frame_mask": mask,
        "noisy": torch.randn(shape, generator=generator),
        "time": torch.rand(batch, generator=generator),
        "given": mel.masked_fill(hidden[..., None], 0.0),
        "hidden": hidden,
        "drop": torch.zeros(batch, dtype=torch.bool),
    }


# ------------------------------------------------------------------------------------------------ published checkpoints

_NAMES = {
    "cond_emb": "table",
    "diff_estimator.cond_mlp": "condition",
    "diff_estimator.mel_mlp": "read",
    "diff_estimator.diff_step_mlp": "time.mlp",
    "diff_estimator.mel_out_mlp": "out",
}


def from_official(state: Mapping[str, Tensor], config: Mapping[str, Any]) -> Model:
    """Builds the model of a published checkpoint.

    Args:
        state: its state dict, with the original keys.
        config: the section `flow_matching_transformer` of its configuration, or the whole file, as a dict.

    Raises:
        UserError: a kind that is not built here, or a state that does not fit the configuration.
    """
    sizes = config.get("model", config)
    sizes = sizes.get("flow_matching_transformer", sizes)
    if not sizes.get("use_cond_code", True) or sizes.get("cond_scale_factor", 1) != 1:
        raise UserError(
            "this Vevo is told features, or codes of another rate than its mel; codes frame by frame are known"
        )
    model = Model(
        Config(
            mel=official_mel(config.get("preprocess", {}), sizes["mel_dim"]),
            mel_mean=config.get("preprocess", {}).get("mel_mean", 0.0),
            mel_std=config.get("preprocess", {}).get("mel_var", 1.0) ** 0.5,
            codes=sizes["cond_codebook_size"],
            dim=sizes["hidden_size"],
            layers=sizes["num_layers"],
            heads=sizes["num_heads"],
            drop=sizes.get("cfg_scale", 0.2),
        )
    )
    inner = "diff_estimator."
    renamed = {f"llama.{key}": value for key, value in llama.official(state, model.llama.settings, inner).items()}
    for key, value in state.items():
        if not llama.belongs(key, inner):
            part = next((name for name in _NAMES if key.startswith(f"{name}.")), None)
            renamed[key if part is None else _NAMES[part] + key.removeprefix(part)] = value
    return adopt(model, renamed, "Vevo checkpoint")


def official_mel(settings: Mapping[str, Any], bands: int) -> MelConfig:
    """The mel of Amphion's 24 kHz speech models; what the configuration leaves out is as in Vevo's."""
    rate = settings.get("sample_rate", MEL.sample_rate)
    return MelConfig(
        sample_rate=rate,
        n_fft=settings.get("n_fft", MEL.n_fft),
        hop=settings.get("hop_size", MEL.hop),
        win=settings.get("win_size", MEL.win),
        n_mels=bands,
        fmin=settings.get("fmin", 0),
        fmax=settings.get("fmax") or rate / 2,
        scale="slaney",
        norm="slaney",
        eps=MEL.eps,
        padding="same",
    )
