"""NaturalSpeech 2: phonemes and a few seconds of a voice -> codec latents in that voice, by diffusion.

    tokens (batch, tokens), prompt codes (batch, frames, codebooks) -> latents (batch, frames, dim) of a codec

Idea      What a neural codec's decoder reads is a sum of code vectors: smooth numbers, few a second. A WaveNet learns
          to predict them from noise (x0), guided by phonemes that were drawn out by durations, with F0 added, and by
          the voice: a Transformer hears the prompt, encoder and predictors attend to all of it, the WaveNet only to
          32 questions put to it, so that it takes the voice and not the words. Besides the latents, training asks for
          the noise they imply (the score), and that the residual quantiser would find the right codes.
Trained   diffusion, objectives/diffusion.py; a piece of each clip is its prompt    Recipes
          recipes/tts/naturalspeech2-folder.yaml
Paper     Shen et al. 2023, arXiv:2304.09116
Official  none by the authors; github.com/open-mmlab/Amphion (MIT)
Weights   amphion/naturalspeech2_libritts: `from_official`, parity in tests/parity/test_naturalspeech2.py. The codec is
          EnCodec at 24 kHz and 12 kbps; of its codebooks the first 16 are read.
Differs   from the paper: Amphion's sizes; no phoneme encoder of its own for the prompt's text. From Amphion: a frame
          is told its own place and not its item's place in the batch, padding is silent to its neighbours; both are
          settings, and `from_official` chooses theirs. Its flow variant is refused.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from aoide import trace
from aoide.config import UserError
from aoide.models.tts import _naturalspeech2
from aoide.nn.attention import PreNormFFTBlock, sinusoids
from aoide.nn.conv import Conv1d
from aoide.nn.denoise import TimeEmbedding
from aoide.nn.lengths import expand, mask_from_lengths, mean_over_time
from aoide.nn.official import adopt
from aoide.nn.variance import bridge
from aoide.objectives import Batch, diffusion
from aoide.objectives.diffusion import Continuous
from aoide.objectives.regression import masked_l1

NEEDS = ("tokens", "durations", "codes", "f0")


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """What is built; the defaults are those of Amphion's base configuration."""

    symbols: int = 100  # size of the phoneme table, with padding
    sample_rate: int = 24_000  # Hz, of the codec's sound
    hop: int = 320  # samples of a frame of codes
    codebooks: int = 16
    codebook_size: int = 1024
    latent: int = 128  # channels of the codec's latents
    codec: str | None = "facebook/encodec_24khz"  # whose code vectors training takes at its first batch, a hub name or
    # a folder; null = those that the model has: random ones, or of a checkpoint
    dim: int = 512
    heads: int = 8
    layers: int = 6  # of the phoneme encoder, and of the prompt's
    hidden: int = 2048  # channels inside a layer's convolution
    kernel: int = 9  # places that it sees; odd
    dropout: float = 0.2
    predictor_layers: int = 30  # of durations and of F0
    duration_kernel: int = 3
    pitch_kernel: int = 5
    predictor_dropout: float = 0.5
    pitch_bins: int = 512  # F0 is rounded to so many, evenly in its logarithm
    pitch_low: float = 50.0  # Hz
    pitch_high: float = 1100.0
    questions: int = 32  # that the WaveNet hears of the prompt
    wavenet_layers: int = 40
    wavenet_cycle: int = 2  # dilations 1, 2, 1, 2 ...
    attend_every: int = 3  # layer of the predictors and of the WaveNet
    process: Continuous = field(default_factory=lambda: Continuous(predicts="x0"))
    prompt_least: float = 0.25  # of a clip that is its prompt in training
    prompt_most: float = 0.45
    item_places: bool = False  # tell each place its item's number in the batch, as the published code does
    leaky_padding: bool = False  # let padding be heard by its neighbours, as the published code does in a batch

    def __post_init__(self) -> None:
        if self.dim % (2 * self.heads):
            raise ValueError(f"dim is a multiple of 2 heads, got {self.dim} and {self.heads}")
        if any(kernel % 2 == 0 for kernel in (self.kernel, self.duration_kernel, self.pitch_kernel)):
            raise ValueError("kernels are odd")
        if not 0 < self.prompt_least <= self.prompt_most < 1:
            raise ValueError(f"0 < prompt_least <= prompt_most < 1, got {self.prompt_least}, {self.prompt_most}")

    @property
    def frame_rate(self) -> float:  # frames of codes a second
        return self.sample_rate / self.hop


class Output(NamedTuple):
    prediction: Tensor  # (batch, frames, latent), the latents that are seen in the noise
    step: Tensor  # (batch,), the time
    code_scores: Tensor  # (batch, frames, codebooks, codebook_size), how near each code is to them
    log_durations: Tensor  # (batch, tokens), predicted log(1 + frames)
    log_f0: Tensor  # (batch, frames), predicted ln of F0 in Hz


class Prior(NamedTuple):
    """What steers the WaveNet, and what was predicted for it."""

    condition: Tensor  # (batch, frames, dim)
    mask: Tensor  # (batch, frames)
    durations: Tensor  # (batch, tokens) int64 frames
    log_durations: Tensor  # (batch, tokens)
    log_f0: Tensor  # (batch, frames)


class Heard(NamedTuple):
    """What is known of the prompt."""

    frames: Tensor  # (batch, prompt frames, dim)
    mask: Tensor  # (batch, prompt frames)
    answers: Tensor  # (batch, questions, dim)


# ---------------------------------------------------------------------------------------------------------------- parts


class StyleNorm(nn.Module):
    """Layer normalisation, scaled and shifted by what the mean of the prompt says: (batch, time, dim) -> the same."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.style = nn.Linear(dim, 2 * dim)
        with torch.no_grad():
            self.style.bias[:dim] = 1.0
            self.style.bias[dim:] = 0.0

    def forward(self, x: Tensor, voice: Tensor) -> Tensor:
        """x (batch, time, dim), voice (batch, dim)."""
        scale, shift = self.style(voice)[:, None].chunk(2, dim=-1)
        return scale * functional.layer_norm(x, x.shape[-1:]) + shift


class StyledBlock(PreNormFFTBlock):
    """A Transformer block whose norms follow the prompt."""

    def __init__(self, dim: int, heads: int, hidden: int, kernel: int, dropout: float) -> None:
        super().__init__(dim, heads, hidden, kernel, dropout)
        self.attention_norm, self.conv_norm = StyleNorm(dim), StyleNorm(dim)  # type: ignore[assignment]

    def forward(  # type: ignore[override]  # a voice beside it
        self, x: Tensor, voice: Tensor, mask: Tensor | None, heard: Tensor | None
    ) -> Tensor:
        """x (batch, tokens, dim), voice (batch, dim), mask and heard (batch, tokens): for attention, convolution."""
        x = x + self.dropout(self.attention(self.attention_norm(x, voice), mask))
        return x + self.contract(self.dropout(self.expand(self.conv_norm(x, voice), heard).relu()))


class PromptBlock(PreNormFFTBlock):
    """A Transformer block whose attention may see less than its convolution."""

    def forward(self, x: Tensor, mask: Tensor | None = None, heard: Tensor | None = None) -> Tensor:
        """x (batch, frames, dim), mask and heard (batch, frames): for attention, convolution."""
        x = x + self.dropout(self.attention(self.attention_norm(x), mask))
        return x + self.contract(self.dropout(self.expand(self.conv_norm(x), heard).relu()))


class Listen(nn.Module):
    """Attention from one sequence to another."""

    def __init__(self, dim: int, heads: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.heads = nn.MultiheadAttention(dim, heads, dropout, batch_first=True)

    def forward(self, x: Tensor, other: Tensor, mask: Tensor | None = None) -> Tensor:
        """x (batch, time, dim), other (batch, places, dim), mask (batch, places) -> (batch, time, dim)."""
        unseen = None if mask is None else ~mask
        return self.heads(x, other, other, key_padding_mask=unseen, need_weights=False)[0]


class Predictor(nn.Module):
    """Convolutions that attend to the prompt now and then, and one number a place at the end."""

    def __init__(self, config: Config, kernel: int) -> None:
        super().__init__()
        count, dim = config.predictor_layers, config.dim
        self.every = config.attend_every
        self.convs = nn.ModuleList(Conv1d(dim, dim, kernel) for _ in range(count))
        self.norms = nn.ModuleList(nn.LayerNorm(dim) for _ in range(count))
        self.listen = nn.ModuleList(Listen(dim, config.heads) for _ in range(0, count, self.every))
        self.listen_norms = nn.ModuleList(nn.LayerNorm(dim) for _ in range(0, count, self.every))
        self.dropout, self.listen_dropout = nn.Dropout(config.predictor_dropout), nn.Dropout(0.2)
        self.out = nn.Linear(dim, 1)
        nn.init.normal_(self.out.weight, std=0.02)

    def forward(self, x: Tensor, prompt: Heard, heard: Tensor | None, kept: Tensor | None) -> Tensor:
        """x (batch, time, dim) -> (batch, time).

        Args:
            heard: (batch, time), what convolutions read. kept: (batch, time), what layers leave.
        """
        for number, (conv, norm) in enumerate(zip(self.convs, self.norms, strict=True)):
            before = x
            if number % self.every == 0:
                place = number // self.every
                found = self.listen[place](self.listen_norms[place](x), prompt.frames, prompt.mask)
                x = (self.listen_dropout(found) + x) / math.sqrt(2)
            x = self.dropout(norm(conv(x, heard).relu()))
            x = x + before if number else x
            x = x if kept is None else x.masked_fill(~kept[..., None], 0.0)
        return self.out(x).squeeze(2)


class Layer(nn.Module):
    """One layer of the WaveNet, which may attend to the answers of the prompt."""

    def __init__(self, dim: int, heads: int, dilation: int, attends: bool) -> None:
        super().__init__()
        self.conv = Conv1d(dim, 2 * dim, 3, dilation)
        self.time, self.condition = nn.Linear(dim, dim), nn.Linear(dim, 2 * dim)
        self.out = nn.Linear(dim, 2 * dim)
        nn.init.normal_(self.time.weight, std=0.02)
        for linear in (self.conv, self.condition, self.out):
            nn.init.kaiming_normal_(linear.weight)
        self.norm = nn.LayerNorm(dim) if attends else None
        self.listen = Listen(dim, heads, 0.1) if attends else None
        self.gain = nn.Linear(dim, 2 * dim) if attends else None
        self.bias = nn.Linear(dim, 2 * dim) if attends else None
        if self.gain is not None:
            nn.init.ones_(self.gain.bias)

    def forward(
        self, x: Tensor, mask: Tensor | None, condition: Tensor, time: Tensor, answers: Tensor
    ) -> tuple[Tensor, Tensor]:
        """x, condition (batch, frames, dim), time (batch, dim), answers (batch, questions, dim) -> x, what is kept."""
        y = _masked(x + self.time(time)[:, None], mask)
        inside = self.conv(y, mask) + self.condition(condition)
        if self.norm is not None and self.listen is not None and self.gain is not None and self.bias is not None:
            found = self.listen(self.norm(y), answers)
            inside = inside * self.gain(found) + self.bias(found)
        gate, value = inside.chunk(2, dim=2)
        residual, kept = _masked(self.out(gate.sigmoid() * value.tanh()), mask).chunk(2, dim=2)
        return (x + residual) / math.sqrt(2), kept


class WaveNet(nn.Module):
    """Noisy latents -> the latents: (batch, frames, latent) -> the same."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        dim = config.dim
        self.embed = nn.Linear(config.latent, dim)
        self.time = TimeEmbedding(dim, nn.Mish())
        self.norm = nn.LayerNorm(dim)
        self.layers = nn.ModuleList(
            Layer(dim, config.heads, 2 ** (number % config.wavenet_cycle), number % config.attend_every == 0)
            for number in range(config.wavenet_layers)
        )
        self.skip, self.out = nn.Linear(dim, dim), nn.Linear(dim, config.latent)
        nn.init.zeros_(self.out.weight)

    def forward(self, x: Tensor, time: Tensor, condition: Tensor, answers: Tensor, mask: Tensor | None) -> Tensor:
        """x (batch, frames, latent), time (batch,), condition (batch, frames, dim), answers (batch, questions, dim)."""
        x, when, condition = self.embed(x).relu(), self.time(time), self.norm(condition)
        total = torch.zeros_like(x)
        for layer in self.layers:
            x, kept = layer(x, mask, condition, when, answers)
            total = total + kept
        return self.out(self.skip(total / math.sqrt(len(self.layers))).relu())


def _masked(x: Tensor, mask: Tensor | None) -> Tensor:
    return x if mask is None else x.masked_fill(~mask[..., None], 0.0)


# ---------------------------------------------------------------------------------------------------------------- model


class Model(nn.Module):
    """See the module's docstring. `tables` are the codec's code vectors, which do not learn."""

    tables: Tensor
    taken: Tensor

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        dim = config.dim
        sizes = (dim, config.heads, config.hidden, config.kernel, config.dropout)
        self.embed = nn.Embedding(config.symbols, dim, padding_idx=0)
        self.encoder = nn.ModuleList(StyledBlock(*sizes) for _ in range(config.layers))
        self.encoder_norm = StyleNorm(dim)
        self.duration = Predictor(config, config.duration_kernel)
        self.pitch = Predictor(config, config.pitch_kernel)
        self.pitches = nn.Embedding(config.pitch_bins, dim)
        self.prompt_in = nn.Linear(config.latent, dim)
        self.prompt = nn.ModuleList(PromptBlock(*sizes) for _ in range(config.layers))
        self.prompt_norm = nn.LayerNorm(dim)
        self.questions = nn.Parameter(torch.randn(config.questions, dim))
        self.ask = Listen(dim, config.heads)
        self.wavenet = WaveNet(config)
        self.dropout = nn.Dropout(config.dropout)
        self.register_buffer("tables", torch.randn(config.codebooks, config.codebook_size, config.latent))
        self.register_buffer("taken", torch.tensor(config.codec is None))  # whether they are the codec's
        edges = torch.linspace(math.log(config.pitch_low), math.log(config.pitch_high), config.pitch_bins - 1)
        self.register_buffer("edges", edges.exp())  # Hz

    def take_tables(self) -> None:
        """Takes the code vectors of `config.codec`.

        Raises:
            MissingExtra: transformers is not installed.
            UserError: neither a folder nor a hub has the codec, or it has other sizes.
        """
        from aoide.external import encodec  # a network of somebody else: only where it is asked for

        layers = encodec.load(str(self.config.codec)).network.quantizer.layers
        tables = torch.stack([layer.codebook.embed for layer in layers[: self.config.codebooks]])
        if tables.shape != self.tables.shape:
            raise UserError(
                f"model.codec {self.config.codec} has {tuple(tables.shape)} codebooks, codes and channels, the model "
                f"{tuple(self.tables.shape)}"
            )
        self.tables.copy_(tables)
        self.taken.fill_(True)

    def latents(self, codes: Tensor) -> Tensor:
        """Codes (batch, frames, codebooks) -> the latents (batch, frames, latent) that the codec's decoder reads."""
        books = torch.arange(self.config.codebooks, device=codes.device)
        return self.tables[books, codes[..., : self.config.codebooks].long()].sum(2)

    def nearest(self, latents: Tensor) -> tuple[Tensor, Tensor]:
        """The codes of latents, one book after the other: (batch, frames, codebooks), and the scores of all codes in
        each (batch, frames, codebooks, codebook_size): minus the squared distance, but for what all have in common.
        """
        rest, codes, scores = latents.float(), list[Tensor](), list[Tensor]()
        with torch.autocast(latents.device.type, enabled=False):  # half precision confuses near codes
            for table in self.tables:
                near = 2 * rest @ table.T - table.square().sum(1) - rest.square().sum(-1, keepdim=True)
                codes.append(near.argmax(-1))
                scores.append(near)
                rest = rest - table[codes[-1]]
        return torch.stack(codes, dim=2), torch.stack(scores, dim=2)

    def forward(  # noqa: PLR0913  (the fields of a batch)
        self,
        tokens: Tensor,
        token_mask: Tensor,
        durations: Tensor,
        f0: Tensor,
        prompt: Tensor,
        prompt_mask: Tensor,
        noisy: Tensor,
        step: Tensor,
        frame_mask: Tensor | None = None,
    ) -> Output:
        """What the noisy latents are, and what the text predicts: the view of training.

        Args:
            tokens, token_mask: (batch, tokens).
            durations: (batch, tokens) int64 frames of codes.
            f0: (batch, frames) Hz, 0 = unvoiced.
            prompt, prompt_mask: (batch, prompt frames, latent), (batch, prompt frames): how the voice sounds.
            noisy: (batch, frames, latent), latents with noise. step: (batch,), the time, 0 = none.
            frame_mask: (batch, frames), True = real.
        """
        if frame_mask is None:
            frame_mask = torch.ones(f0.shape, dtype=torch.bool, device=f0.device)
        heard = self.listen(prompt, prompt_mask)
        prior = self.prepare(tokens, token_mask, heard, durations, f0, frame_mask)
        prediction = self.wavenet(noisy, step, prior.condition, heard.answers, frame_mask)
        return Output(prediction, step, self.nearest(prediction)[1], prior.log_durations, prior.log_f0)

    def conceal(self, batch: Batch, generator: torch.Generator | None) -> dict[str, Tensor]:
        """Cuts a prompt out of each clip (objectives/diffusion.py): fields `latent`, `prompt`, `prompt_mask`, `asked`
        (batch, frames), the frames beside the prompt, of which losses are taken, and `aims` (batch, frames, codebooks),
        the codes that the right latents would be given, which are not always those that they were made of.
        """
        if not self.taken:
            self.take_tables()
        latent, mask = self.latents(batch["codes"]), batch["frame_mask"]
        share, place = torch.rand(2, len(latent), generator=generator, device=latent.device)
        lengths = mask.sum(1)
        least, most = self.config.prompt_least, self.config.prompt_most
        count = ((least + (most - least) * share) * lengths).long().clamp(min=1)
        start = ((lengths - count + 1) * place).long()
        frame = torch.arange(mask.shape[1], device=latent.device)
        inside = (frame >= start[:, None]) & (frame < (start + count)[:, None])
        prompt_mask = mask_from_lengths(count)
        index = (start[:, None] + frame[: prompt_mask.shape[1]]).clamp(max=mask.shape[1] - 1)
        prompt = _masked(latent.gather(1, index[..., None].expand(-1, -1, latent.shape[2])), prompt_mask)
        fields = {"latent": latent, "prompt": prompt, "prompt_mask": prompt_mask, "asked": mask & ~inside}
        with torch.no_grad():
            return {**fields, "aims": self.nearest(latent)[0]}

    def listen(self, prompt: Tensor, mask: Tensor) -> Heard:
        """What is known of prompt latents (batch, prompt frames, latent)."""
        heard = None if self.config.leaky_padding else mask
        x = self._placed(self.prompt_in(prompt))
        for block in self.prompt:
            x = block(x, mask, heard)
        x = self.prompt_norm(x)
        questions = self.questions.expand(len(x), -1, -1)
        return Heard(x, mask, self.ask(questions, x, mask))

    def _placed(self, x: Tensor) -> Tensor:
        if self.config.item_places:
            return self.dropout(x + sinusoids(len(x), x.shape[2], like=x)[:, None])
        return self.dropout(x + sinusoids(x.shape[1], x.shape[2], like=x))

    def prepare(
        self,
        tokens: Tensor,
        token_mask: Tensor,
        heard: Heard,
        durations: Tensor | None = None,
        f0: Tensor | None = None,
        frame_mask: Tensor | None = None,
    ) -> Prior:
        """What steers the WaveNet; what is not given is predicted."""
        leaky = self.config.leaky_padding
        voice = mean_over_time(heard.frames, None if leaky else heard.mask)
        x = self._placed(self.embed(tokens))
        for block in self.encoder:
            x = block(x, voice, token_mask, None if leaky else token_mask)
        x = self.encoder_norm(x, voice)
        log_durations = self.duration(x, heard, None if leaky else token_mask, token_mask)
        if durations is None:
            durations = log_durations.expm1().round().clamp(min=0).long().masked_fill(~token_mask, 0)
        x, spoken = expand(x, durations, None if frame_mask is None else frame_mask.shape[1])
        mask = spoken if frame_mask is None else frame_mask
        log_f0 = self.pitch(x, heard, None if leaky else mask, None if leaky else mask)
        heard_f0 = log_f0 if f0 is None else bridge(f0.clamp(min=1.0).log(), (f0 > 0) & mask)
        x = x + self.pitches(torch.bucketize(heard_f0.exp(), self.get_buffer("edges")))
        x = x if leaky and f0 is None else _masked(x, mask)
        trace.report("durations", durations)
        return Prior(x, mask, durations, log_durations, log_f0)

    @torch.no_grad()
    def speak(  # noqa: PLR0913  (what steers a speaker)
        self,
        tokens: Tensor,
        token_mask: Tensor,
        prompt: Tensor,
        prompt_mask: Tensor | None = None,
        *,
        durations: Tensor | None = None,
        f0: Tensor | None = None,
        steps: int = 150,
        sampler: Literal["euler", "ddim"] = "euler",
        noise: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> tuple[Tensor, Prior]:
        """Speaks in the voice of a prompt: latents (batch, frames, latent) for the codec's decoder (`nearest` has their
        codes), and what they follow.

        Args:
            tokens, token_mask: (batch, tokens).
            prompt: (batch, prompt frames, codebooks), codes. prompt_mask: (batch, prompt frames).
            durations, f0: (batch, tokens) frames and (batch, frames) Hz, instead of predicted ones.
            steps: of the sampler. Amphion takes 500, the paper 150.
            sampler: euler goes along the probability flow as published; ddim needs fewer steps.
            noise: (batch, frames, latent), what to start from instead of drawing.

        Raises:
            UserError: nothing is to be said, or a sampler that there is not.
        """
        if sampler not in ("euler", "ddim"):
            raise UserError(f"there is no sampler {sampler!r}; there are euler and ddim")
        if prompt_mask is None:
            prompt_mask = torch.ones(prompt.shape[:2], dtype=torch.bool, device=prompt.device)
        heard = self.listen(self.latents(prompt), prompt_mask)
        prior = self.prepare(tokens, token_mask, heard, durations, f0)
        if not bool(prior.mask.any(1).all()):
            raise UserError("the predicted durations are all 0: the model is not trained, or the text is empty")
        mask = None if self.config.leaky_padding else prior.mask
        shape = (*prior.mask.shape, self.config.latent)
        x = diffusion.draw(shape, generator, tokens.device) / 1.2 if noise is None else noise

        def call(x: Tensor, time: Tensor) -> Tensor:
            return self.wavenet(x, time, prior.condition, heard.answers, mask)

        process = self.config.process
        if sampler == "ddim":
            return diffusion.ddim(call, x, process, process.every(steps)), prior
        return diffusion.probability_flow(call, x, process, steps), prior


# ------------------------------------------------------------------------------------------------------------- training


class ScoreLoss:
    """How far off the noise is that the prediction implies: L1, a mean over the frames that are asked for."""

    def __init__(self, config: Config) -> None:
        self._process = config.process

    def __call__(self, output: Output, batch: Batch) -> Tensor:
        alpha = self._process.alpha(output.step)[:, None, None]
        weight = (alpha / (1 - alpha)).sqrt()  # noise = (x_t - sqrt(a) x_0) / sqrt(1 - a), so x_t falls out
        return masked_l1(weight * output.prediction, weight * batch["latent"], batch["asked"])


def code_loss(output: Output, batch: Batch) -> Tensor:
    """Minus the log-probability of the right codes, in nats a code, where their scores are the distances."""
    asked = batch["asked"]
    return functional.cross_entropy(output.code_scores[asked].flatten(0, 1), batch["aims"][asked].flatten())


def duration_loss(output: Output, batch: Batch) -> Tensor:
    """L1 of predicted and given durations, as log(1 + frames)."""
    return masked_l1(output.log_durations, batch["durations"].float().log1p(), batch["token_mask"])


def pitch_loss(output: Output, batch: Batch) -> Tensor:
    """L1 of predicted and measured ln F0; unvoiced frames take what a line between voiced ones has there."""
    voiced = (batch["f0"] > 0) & batch["frame_mask"]
    target = bridge(batch["f0"].clamp(min=1.0).log(), voiced)
    return masked_l1(output.log_f0, target, batch["frame_mask"] & voiced.any(1, keepdim=True))


LOSSES = {"score": ScoreLoss, "codes": code_loss, "duration": duration_loss, "pitch": pitch_loss}
TRAINING = diffusion.Config(
    target="latent",
    distance="l1",
    where="asked",
    weights={"score": 1.0, "codes": 0.5, "duration": 1.0, "pitch": 1.0},
)
TOY = Config(
    symbols=20, sample_rate=8_000, hop=100, codebooks=2, codebook_size=7, latent=6, codec=None, dim=8, heads=2,
    layers=1, hidden=8, kernel=3, predictor_layers=2, attend_every=2, pitch_bins=8, questions=3, wavenet_layers=2,
)  # fmt: skip


def example(config: Config, batch: int = 2, generator: torch.Generator | None = None) -> dict[str, Tensor]:
    """A batch as the objective makes it, of random numbers; the last item is shorter."""
    token_mask = mask_from_lengths(torch.tensor([5] * (batch - 1) + [4]))
    durations = torch.randint(2, 5, token_mask.shape, generator=generator) * token_mask
    frame_mask = mask_from_lengths(durations.sum(1))
    shape = frame_mask.shape
    prompt_mask = mask_from_lengths(torch.tensor([3] * (batch - 1) + [2]))
    voiced = torch.rand(shape, generator=generator) > 0.3
    return {
        "tokens": torch.randint(1, config.symbols, token_mask.shape, generator=generator) * token_mask,
        "token_mask": token_mask,
        "durations": durations,
        "frame_mask": frame_mask,
        "f0": torch.where(voiced, 60 + 900 * torch.rand(shape, generator=generator), 0.0),
        "codes": torch.randint(0, config.codebook_size, (*shape, config.codebooks), generator=generator),
        "prompt": torch.randn(*prompt_mask.shape, config.latent, generator=generator),
        "prompt_mask": prompt_mask,
        "noisy": torch.randn(*shape, config.latent, generator=generator),
        "step": torch.rand(batch, generator=generator),
    }


# ---------------------------------------------------------------------------------------------------- published weights


def from_official(state: Mapping[str, Tensor], config: Mapping[str, Any]) -> Model:
    """Amphion's NaturalSpeech 2: its state dict and the content of its configuration file (or of its `model`).

    Raises:
        UserError: the variant with flow matching, or keys or shapes that do not fit.
    """
    sizes = config.get("model", config)
    prior, wave = sizes["prior_encoder"], sizes["diffusion"]["wavenet"]
    if sizes["diffusion"].get("diffusion_type", "diffusion") != "diffusion":
        raise UserError("this NaturalSpeech 2 checkpoint was trained with flow matching; only diffusion is known")
    encoder, duration = prior["encoder"], prior["duration_predictor"]
    tables = _naturalspeech2.tables(state)
    codebooks, codebook_size, latent = tables.shape
    built = Config(
        symbols=prior["vocab_size"],
        codebooks=codebooks,
        codebook_size=codebook_size,
        latent=latent,
        dim=encoder["encoder_hidden"],
        heads=encoder["encoder_head"],
        layers=encoder["encoder_layer"],
        hidden=encoder["conv_filter_size"],
        kernel=encoder["conv_kernel_size"],
        dropout=encoder["encoder_dropout"],
        predictor_layers=duration["conv_layers"],
        duration_kernel=duration["kernel_size"],
        pitch_kernel=prior["pitch_predictor"]["kernel_size"],
        predictor_dropout=duration["drop_out"],
        pitch_bins=prior["pitch_bins_num"],
        pitch_low=prior["pitch_min"],
        pitch_high=prior["pitch_max"],
        questions=sizes["query_emb"]["query_token_num"],
        wavenet_layers=wave["num_layers"],
        wavenet_cycle=wave["dilation_cycle"],
        attend_every=wave["cross_attn_per_layer"],
        process=Continuous(first=sizes["diffusion"]["beta_min"], last=sizes["diffusion"]["beta_max"], predicts="x0"),
        item_places=True,
        leaky_padding=True,
    )
    return adopt(
        Model(built),
        {**_naturalspeech2.keys(state), "tables": tables, "taken": torch.tensor(True)},
        "NaturalSpeech 2 checkpoint",
    )
