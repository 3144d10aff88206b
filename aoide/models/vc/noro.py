"""Noro: what is said and its melody, and a reference that may be noisy -> a mel (batch, frames, mels) in its voice.

    content (batch, frames, values), f0 (batch, frames) Hz, a reference's mel -> mel log magnitude

Idea         NaturalSpeech 2's diffusion WaveNet, steered by content features and F0 in place of text, hears a reference
             through 32 questions. In training each reference comes twice, clean and with noise: one encoder hears both,
             the WaveNet gets the mean of their answers, and a contrastive loss draws the two, and all clips of a
             speaker, together. So a phone call or a street recording is enough to be followed, and the encoder is a
             speaker encoder that nobody labelled for noise.
Objective    diffusion in continuous time (aoide/objectives/diffusion.py): L1 of the mel and of the noise it implies,
             and a quarter of the contrastive loss
Recipes      recipes/vc/noro-folder.yaml
Paper        He et al. 2024, arXiv:2411.19770
Code         github.com/open-mmlab/Amphion, models/vc/Noro (MIT)
Checkpoints  on Google Drive, by egs/vc/Noro of Amphion: load with `from_official`. Their content is HuBERT's layer 9,
             each frame the nearest of 256 cluster centres; the vocoder is a BigVGAN
Parity       tests/parity/test_recorded.py
Differs      The published reference encoder tells a frame the number of its item in the batch for its place, which is
             the same for all frames; here it tells the place (`places`), but for published weights. The noise of
             training is made on the mel, coloured and swelling, at 0 to 20 dB; the original mixes recordings of noise.
             Content is not clustered. F0 is standardised over real frames.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from aoide import trace
from aoide.audio.mel import MelConfig
from aoide.config import UserError
from aoide.nn import asking
from aoide.nn.asking import AskingWaveNet, Questions, Sizes
from aoide.nn.attention import PreNormFFTBlock, sinusoids
from aoide.nn.conv import Conv1d
from aoide.nn.lengths import mask_from_lengths
from aoide.nn.official import adopt
from aoide.nn.variance import bridge
from aoide.objectives import Batch, diffusion
from aoide.objectives.diffusion import Continuous
from aoide.objectives.regression import masked_l1

MEL = MelConfig(
    sample_rate=16_000,
    n_fft=1024,
    hop=200,
    win=800,
    n_mels=80,
    fmax=8_000,
    scale="slaney",
    norm="slaney",
    eps=1e-6,
    padding="same",
)
WARMTH = 1.2  # by which the first noise is made smaller, as published
HEAD = 64  # channels of a head of the questions


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """Settings; the defaults are those of Amphion's base configuration (243 M parameters)."""

    mel: MelConfig = field(default_factory=lambda: MEL)
    content: int = 768  # values of a frame
    dim: int = 512
    heads: int = 8
    layers: int = 6  # of the reference encoder
    hidden: int = 2048  # channels inside a layer's convolution
    kernel: int = 9  # frames that it sees; odd
    dropout: float = 0.2
    questions: int = 32
    wavenet_layers: int = 47
    wavenet_cycle: int = 2  # dilations 1, 2, 1, 2 ...
    attend_every: int = 3  # layer of the WaveNet
    process: Continuous = field(default_factory=lambda: Continuous(predicts="x0"))
    places: bool = True  # whether the reference encoder knows where in it a frame stands
    prompt_least: float = 0.25  # of a clip that is its reference in training
    prompt_most: float = 0.45
    loudest: float = 0.0  # dB, of the voice over the noise, from
    softest: float = 20.0  # to

    def __post_init__(self) -> None:
        if self.dim % (2 * self.heads) or self.kernel % 2 == 0:
            raise ValueError(f"dim is a multiple of 2 heads and kernel odd, got {self.dim}, {self.kernel}")
        if not 0 < self.prompt_least <= self.prompt_most < 1 or self.loudest > self.softest:
            raise ValueError("0 < prompt_least <= prompt_most < 1 and loudest <= softest do not hold")


class Output(NamedTuple):
    """What a forward pass gives."""

    prediction: Tensor  # (batch, frames, mels), the mel that is seen in the noise
    step: Tensor  # (batch,), the time
    voice: Tensor  # (batch, dim), the mean of the answers of the clean reference
    noisy_voice: Tensor  # (batch, dim), of the noisy one; the same where there is none


# ---------------------------------------------------------------------------------------------------------------- parts


class Block(PreNormFFTBlock):
    """NaturalSpeech 2's block with a smooth activation: (batch, frames, dim) -> the same."""

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """x (batch, frames, dim), mask (batch, frames) with True = real."""
        x = x + self.dropout(self.attention(self.attention_norm(x), mask))
        return x + self.contract(self.dropout(functional.silu(self.expand(self.conv_norm(x), mask))))


class Reference(nn.Module):
    """A reference's mel -> answers to questions about it: (batch, frames, mels) -> (batch, questions, dim)."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.places = config.places
        sizes = (config.dim, config.heads, config.hidden, config.kernel, config.dropout)
        self.read = nn.Linear(config.mel.n_mels, config.dim)
        self.layers = nn.ModuleList(Block(*sizes) for _ in range(config.layers))
        self.norm = nn.LayerNorm(config.dim)
        self.questions = Questions(config.questions, config.dim, max(1, config.dim // HEAD))
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, mel: Tensor, mask: Tensor | None = None) -> Tensor:
        """mel (batch, frames, mels), mask (batch, frames) with True = real."""
        x = self.read(mel)
        x = self.dropout(x + sinusoids(x.shape[1] if self.places else 1, x.shape[2], like=x))
        for layer in self.layers:
            x = layer(x, mask)
        return self.questions(self.norm(x), mask)


class Model(nn.Module):
    """Content, F0 and a reference -> mel."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.norm = nn.LayerNorm(config.content + 1)
        self.condition = Conv1d(config.content + 1, config.dim, 3)
        self.reference = Reference(config)
        self.wavenet = AskingWaveNet(
            Sizes(
                bins=config.mel.n_mels,
                dim=config.dim,
                heads=config.heads,
                layers=config.wavenet_layers,
                cycle=config.wavenet_cycle,
                every=config.attend_every,
            )
        )

    def forward(  # noqa: PLR0913  (the fields of a batch)
        self,
        content: Tensor,
        f0: Tensor,
        noisy: Tensor,
        step: Tensor,
        prompt: Tensor,
        prompt_mask: Tensor | None = None,
        noisy_prompt: Tensor | None = None,
        frame_mask: Tensor | None = None,
    ) -> Output:
        """What the noisy mel is, and whose voice was heard, see `Output`.

        Args:
            content: (batch, frames, values). f0: (batch, frames) Hz, 0 = unvoiced.
            noisy: (batch, frames, mels), the mel with noise. step: (batch,), the time, 0 = none.
            prompt: (batch, prompt frames, mels), the reference. prompt_mask: (batch, prompt frames).
            noisy_prompt: like `prompt`, the same with noise.
            frame_mask: (batch, frames), True = real.
        """
        answers = clean = self.reference(prompt, prompt_mask)
        dirty = clean
        if noisy_prompt is not None:
            dirty = self.reference(noisy_prompt, prompt_mask)
            answers = (clean + dirty) / 2
        condition = self.steer(content, f0, frame_mask)
        prediction = self.wavenet(noisy, step, condition, answers, frame_mask)
        return Output(prediction, step, clean.mean(1), dirty.mean(1))

    def steer(self, content: Tensor, f0: Tensor, mask: Tensor | None = None) -> Tensor:
        """Content (batch, frames, values) and F0 (batch, frames) -> the condition (batch, frames, dim)."""
        mask = torch.ones_like(f0, dtype=torch.bool) if mask is None else mask
        pitch = bridge(f0, (f0 > 0) & mask).masked_fill(~mask, 0.0)
        count = mask.sum(1, keepdim=True).clamp(min=2)
        apart = (pitch - pitch.sum(1, keepdim=True) / count).masked_fill(~mask, 0.0)
        deviation = (apart.square().sum(1, keepdim=True) / (count - 1)).sqrt()
        return self.condition(self.norm(torch.cat([content, (apart / (deviation + 1e-6))[..., None]], dim=2)), mask)

    def conceal(self, batch: Batch, generator: torch.Generator | None) -> dict[str, Tensor]:
        """Cuts a reference out of each clip (objectives/diffusion.py): `prompt`, `prompt_mask`, `noisy_prompt`
        and `asked` (batch, frames), the frames beside the reference.
        """
        mel, mask = batch["mel"], batch.get("frame_mask")
        mask = torch.ones_like(mel[..., 0], dtype=torch.bool) if mask is None else mask
        share, place = torch.rand(2, len(mel), generator=generator, device=mel.device)
        lengths = mask.sum(1)
        least, most = self.config.prompt_least, self.config.prompt_most
        count = ((least + (most - least) * share) * lengths).long().clamp(min=1)
        start = ((lengths - count + 1) * place).long()[:, None]
        frame = torch.arange(mel.shape[1], device=mel.device)
        asked = mask & ~((frame >= start) & (frame < start + count[:, None]))
        prompt_mask = mask_from_lengths(count)
        index = (start + frame[: prompt_mask.shape[1]]).clamp(max=mel.shape[1] - 1)
        prompt = mel.gather(1, index[..., None].expand(-1, -1, mel.shape[2]))
        noisy = with_noise(prompt, prompt_mask, self.config.loudest, self.config.softest, generator)
        return {"prompt": prompt, "prompt_mask": prompt_mask, "noisy_prompt": noisy, "asked": asked}

    @torch.no_grad()
    def speak(  # noqa: PLR0913  (what steers a conversion)
        self,
        content: Tensor,
        f0: Tensor,
        prompt: Tensor,
        *,
        prompt_mask: Tensor | None = None,
        frame_mask: Tensor | None = None,
        steps: int = 200,
        noise: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Says it in the voice of the reference: (batch, frames, mels) log mel.

        Args:
            content, f0, prompt and the masks: as `forward` has them.
            steps: of the solver, 150 to 300 by its authors.
            noise: (batch, frames, mels), what to start from instead of drawing.

        Raises:
            UserError: content of another size, or of other frames than F0.
        """
        if content.shape[:2] != f0.shape or content.shape[2] != self.config.content:
            shape = (*f0.shape, self.config.content)
            raise UserError(f"content is (batch, frames, values) {shape} beside this F0, not {tuple(content.shape)}")
        answers, condition = self.reference(prompt, prompt_mask), self.steer(content, f0, frame_mask)
        start = diffusion.draw((*f0.shape, self.config.mel.n_mels), generator, f0.device) if noise is None else noise

        def call(x: Tensor, time: Tensor) -> Tensor:
            return self.wavenet(x, time, condition, answers, frame_mask)

        mel = diffusion.probability_flow(call, start / WARMTH, self.config.process, steps)
        trace.report("mel", mel)
        return mel if frame_mask is None else mel.masked_fill(~frame_mask[..., None], self.config.mel.silence)


def with_noise(
    mel: Tensor, mask: Tensor, loudest: float, softest: float, generator: torch.Generator | None = None
) -> Tensor:
    """A log mel with noise of a random colour that swells and fades: (batch, frames, mels), mask (batch, frames).

    Args:
        loudest, softest: dB of the voice over the noise, drawn between the two.
    """
    batch, frames, mels = mel.shape
    draws = torch.randn(batch, 8 + 8, generator=generator, device=mel.device)
    above = torch.rand(batch, generator=generator, device=mel.device) * (softest - loudest) + loudest
    grain = torch.randn(mel.shape, generator=generator, device=mel.device)
    shape = functional.interpolate(draws[:, None, :8], mels, mode="linear", align_corners=True)
    swell = functional.interpolate(draws[:, None, 8:], frames, mode="linear", align_corners=True).mT
    noise = shape + 0.7 * swell + 0.3 * grain  # natural logarithm of a magnitude
    power = [(2 * x).exp().mean(2).masked_fill(~mask, 0.0).sum(1) / mask.sum(1) for x in (mel, noise)]
    level = (power[0].log() - power[1].log()) / 2 - above * 0.1151293  # decibels as a logarithm of magnitude
    return torch.logaddexp(2 * mel, 2 * (noise + level[:, None, None])) / 2


# ------------------------------------------------------------------------------------------------------------- training


class Score(nn.Module):
    """L1 of the noise that the predicted mel implies."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.process = config.process

    def forward(self, output: Output, batch: Batch) -> Tensor:
        alpha = self.process.alpha(output.step)[:, None, None]
        scale = (alpha / (1 - alpha)).sqrt()
        return masked_l1(scale * output.prediction, scale * batch["mel"], batch["asked"])


def speaker(output: Output, batch: Batch) -> Tensor:
    """How well voices, clean and noisy, tell which of the others are of the same speaker: a cross-entropy."""
    voices, who = torch.cat([output.voice, output.noisy_voice]), torch.cat([batch["speaker"], batch["speaker"]])
    same = (who[:, None] == who).to(voices.dtype)
    return functional.cross_entropy(voices @ voices.T, same.softmax(-1))


TRAINING = diffusion.Config(target="mel", distance="l1", where="asked", weights={"score": 1.0, "speaker": 0.25})
LOSSES = {"score": Score, "speaker": speaker}
NEEDS = ("content", "f0", "mel", "speaker")
TOY = Config(
    mel=MelConfig(sample_rate=8_000, n_fft=64, hop=16, win=64, n_mels=6, fmax=4_000),
    content=5,
    dim=8,
    heads=2,
    layers=1,
    hidden=12,
    kernel=3,
    questions=3,
    wavenet_layers=2,
)


def example(config: Config, batch: int = 2, generator: torch.Generator | None = None) -> dict[str, Tensor]:
    """A batch as the objective makes it, of random numbers; the last item is shorter."""
    mask = mask_from_lengths(torch.tensor([20] * (batch - 1) + [16]))
    prompt_mask = mask_from_lengths(torch.tensor([7] * (batch - 1) + [5]))
    shape = (*mask.shape, config.mel.n_mels)
    prompt = torch.randn(*prompt_mask.shape, config.mel.n_mels, generator=generator) - 4
    return {
        "content": torch.randn(*mask.shape, config.content, generator=generator),
        "f0": 200 * torch.rand(mask.shape, generator=generator).round() * mask,
        "mel": torch.randn(shape, generator=generator) - 4,
        "speaker": torch.arange(batch) % 2,
        "frame_mask": mask,
        "noisy": torch.randn(shape, generator=generator),
        "step": torch.rand(batch, generator=generator).clamp(0.1, 0.9),
        "prompt": prompt,
        "prompt_mask": prompt_mask,
        "noisy_prompt": with_noise(prompt, prompt_mask, config.loudest, config.softest, generator),
    }


# ------------------------------------------------------------------------------------------------ published checkpoints

_NAMES = {
    "content_f0_enc.0.": "norm.",
    "content_f0_enc.2.": "condition.",
    "reference_encoder.in_linear.": "reference.read.",
    "reference_encoder.transformer_encoder.last_ln.": "reference.norm.",
    "reference_encoder.transformer_encoder.layers.": "reference.layers.",
    "reference_encoder.query_embs.weight": "reference.questions.table",
    "reference_encoder.query_attn.": "reference.questions.listen.heads.",
}
_INSIDE = {
    "self_attn.in_proj_": "attention.project.",
    "self_attn.out_proj.": "attention.out.",
    "ln_1.": "attention_norm.",
    "ln_2.": "conv_norm.",
    "ffn.ffn_1.": "expand.",
    "ffn.ffn_2.": "contract.",
}


def from_official(state: Mapping[str, Tensor], config: Mapping[str, Any]) -> Model:
    """Builds the model of a published checkpoint.

    Args:
        state: its state dict, with the original keys.
        config: its exp_config_base.json as a dict.

    Raises:
        UserError: a variant that is not built here, or a state that does not fit the configuration.
    """
    sizes = config["model"]
    heard, noise, wave = sizes["reference_encoder"], sizes["diffusion"], sizes["diffusion"]["diff_wavenet"]
    if noise.get("diff_model_type", "WaveNet") != "WaveNet" or not heard.get("use_query_emb", True):
        raise UserError("this Noro has no WaveNet or no questions, and only that kind is known here")
    if heard.get("ref_out_dim", heard["encoder_hidden"]) != heard["encoder_hidden"]:
        raise UserError("this Noro's answers are of another size than its reference encoder, which is not known here")
    model = Model(
        Config(
            mel=_mel(config),
            content=sizes["vc_feature"]["content_feature_dim"],
            dim=wave["hidden_size"],
            heads=wave["attn_head"],
            layers=heard["encoder_layer"],
            hidden=heard["conv_filter_size"],
            kernel=heard["conv_kernel_size"],
            dropout=heard["encoder_dropout"],
            questions=heard["num_query_emb"],
            wavenet_layers=wave["num_layers"],
            wavenet_cycle=wave["dilation_cycle"],
            attend_every=wave["cross_attn_per_layer"],
            process=Continuous(first=noise["beta_min"], last=noise["beta_max"], predicts="x0"),
            places=False,
        )
    )
    inner, renamed = "diffusion.diff_estimator.", {}
    for key, value in state.items():
        if key.endswith("position_emb.pe"):
            continue  # a table of sines, computed here
        if key.startswith(inner):
            name, weight = asking.official(key.removeprefix(inner), value)
            renamed[f"wavenet.{name}"] = weight
            continue
        name = next((_NAMES[head] + key.removeprefix(head) for head in _NAMES if key.startswith(head)), key)
        for theirs, ours in _INSIDE.items():
            name = name.replace(theirs, ours)
        renamed[name] = value
    return adopt(model, renamed, "Noro checkpoint")


def _mel(config: Mapping[str, Any]) -> MelConfig:
    rate = config.get("sample_rate", MEL.sample_rate)
    return MelConfig(
        sample_rate=rate,
        n_fft=config.get("n_fft", MEL.n_fft),
        hop=config.get("hop_size", MEL.hop),
        win=config.get("win_size", MEL.win),
        n_mels=config["model"]["diffusion"]["diff_wavenet"]["input_size"],
        fmin=config.get("fmin", 0),
        fmax=config.get("fmax") or rate / 2,
        scale="slaney",
        norm="slaney",
        eps=MEL.eps,
        padding="same",
    )
