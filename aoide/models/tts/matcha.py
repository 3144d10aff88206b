"""Matcha-TTS: phonemes -> mel in a few steps of flow matching; small, fast, and aligned by itself.

    tokens (batch, tokens) -> mel (batch, frames, mels) log magnitude, durations (batch, tokens) frames

Idea      A Transformer with rotary places gives each phoneme an average mel frame and a duration. In training the
          likeliest monotonic path from the recording's frames to those averages tells the durations; a loss draws the
          averages to the frames that fell to them. Repeated, they are what a U-Net over time is told when it learns the
          straight way from noise to the mel: ten steps are enough.
Trained   flow, objectives/flow.py, with losses of the averages and of durations     Recipes
          recipes/tts/matcha-folder.yaml
Paper     Mehta et al. 2023, arXiv:2309.03199; its text side after Glow-TTS, arXiv:2005.11129
Official  github.com/shivammehta25/Matcha-TTS (MIT)
Weights   matcha_ljspeech.ckpt, matcha_vctk.ckpt (MIT): `from_official`, parity in tests/parity/test_matcha.py. Their
          text goes in with their symbol 0 between all phonemes.
Differs   padding is silent to attention and normalisation of the U-Net, so an item gives the same alone as in a batch
          (`from_official` does as the original, whose attention hears padding). Symbols need no blank between them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from aoide import trace
from aoide.audio.mel import MelConfig
from aoide.config import UserError
from aoide.models.tts import _matcha
from aoide.nn import align
from aoide.nn.conv import Conv1d
from aoide.nn.lengths import expand, mask_from_lengths
from aoide.nn.official import adopt
from aoide.nn.rotary import rotate
from aoide.nn.snake import SnakeBeta
from aoide.nn.variance import Predictor
from aoide.objectives import Batch, diffusion, flow
from aoide.objectives.regression import masked_l2

NEEDS = ("tokens", "mel", "speaker")
EPS = 1e-4  # of the normalisations of the text side, as published
GROUPS = 8  # of the normalisations of the U-Net
PRENET = (3, 5, 0.5)  # layers, kernel and dropout of what reads the phonemes first


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """What is built; the defaults are those of the LJ Speech model."""

    symbols: int = 178  # size of the phoneme table, with padding
    speakers: int | None = None  # voices told apart by an embedding; null = one voice
    mel: MelConfig = field(
        default_factory=lambda: MelConfig(
            sample_rate=22_050, n_mels=80, fmax=8_000, scale="slaney", norm="slaney", eps=1e-9, padding="same"
        )
    )
    mean: float = -5.536622  # of all of a corpus' log mels, by which they are brought to about 0
    deviation: float = 2.116101  # and to about 1
    dim: int = 192  # of the text
    heads: int = 2
    hidden: int = 768  # channels inside a Transformer layer's convolutions
    layers: int = 6
    kernel: int = 3
    dropout: float = 0.1
    duration_hidden: int = 256
    speaker_dim: int = 64
    channels: tuple[int, ...] = (256, 256)  # of the U-Net, at each rate
    head_dim: int = 64  # channels of a head of its attention
    unet_heads: int = 2
    blocks: int = 1  # Transformer blocks after each of its convolutional ones
    middle: int = 2  # convolutional blocks at the lowest rate
    unet_dropout: float = 0.05
    leaky_padding: bool = False  # let padding be heard by its neighbours, as the published code does in a batch

    def __post_init__(self) -> None:
        if self.dim % (4 * self.heads) or any(width % GROUPS for width in self.channels) or not self.channels:
            raise ValueError(f"dim is a multiple of 4 heads, channels of {GROUPS}; got {self.dim}, {self.channels}")
        if self.width % (4 * self.heads) or (2 * self.mel.n_mels + self.told) % 2:
            raise ValueError(f"with {self.told} channels of a speaker neither heads nor times come out even")
        if self.deviation <= 0:
            raise ValueError(f"deviation must be above 0, got {self.deviation}")

    @property
    def told(self) -> int:
        """Channels of the speaker beside text and mel."""
        return self.speaker_dim if self.speakers else 0

    @property
    def width(self) -> int:
        """Of the text with the speaker."""
        return self.dim + self.told


class Output(NamedTuple):
    prediction: Tensor  # (batch, frames, mels), the velocity
    average: Tensor  # (batch, frames, mels), what the text says of each frame, in numbers around 0
    log_durations: Tensor  # (batch, tokens), predicted ln of frames
    durations: Tensor  # (batch, tokens) int64 frames, found by the search
    frame_mask: Tensor  # (batch, frames)


class Spoken(NamedTuple):
    mel: Tensor  # (batch, frames, mels); in padded frames it holds no meaning
    frame_mask: Tensor  # (batch, frames)
    durations: Tensor  # (batch, tokens) int64 frames
    average: Tensor  # (batch, frames, mels), in numbers around 0


# ----------------------------------------------------------------------------------------------------------------- text


class Prenet(nn.Module):
    """Convolutions that read the phonemes first; what they find is added. (batch, tokens, dim) -> the same."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        layers, kernel, dropout = PRENET
        self.convs = nn.ModuleList(Conv1d(dim, dim, kernel) for _ in range(layers))
        self.norms = nn.ModuleList(nn.LayerNorm(dim, eps=EPS) for _ in range(layers))
        self.dropout, self.out = nn.Dropout(dropout), nn.Linear(dim, dim)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        y = x
        for conv, norm in zip(self.convs, self.norms, strict=True):
            y = self.dropout(norm(conv(y, mask)).relu())
        return _masked(x + self.out(y), mask)


class TextBlock(nn.Module):
    """Attention whose heads know places by half of their channels, then two convolutions; each added and normalised."""

    def __init__(self, dim: int, config: Config) -> None:
        super().__init__()
        self.heads = config.heads
        self.project, self.out = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.attention_norm, self.conv_norm = nn.LayerNorm(dim, eps=EPS), nn.LayerNorm(dim, eps=EPS)
        self.expand = Conv1d(dim, config.hidden, config.kernel)
        self.contract = Conv1d(config.hidden, dim, config.kernel)
        self.dropout = nn.Dropout(config.dropout)
        nn.init.xavier_uniform_(self.project.weight)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """x (batch, tokens, dim), mask (batch, tokens)."""
        queries, keys, values = self.project(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        share = self.dropout.p if self.training else 0.0
        found = functional.scaled_dot_product_attention(
            _half_turned(queries), _half_turned(keys), values, attn_mask=mask[:, None, None], dropout_p=share
        )
        x = self.attention_norm(x + self.dropout(self.out(found.transpose(1, 2).flatten(2))))
        y = self.contract(self.dropout(self.expand(x, mask).relu()), mask)
        return _masked(self.conv_norm(x + self.dropout(y)), mask)


def _half_turned(x: Tensor) -> Tensor:
    """The first half of the channels turned by their place; (batch, heads, tokens, dim)."""
    first, second = x.chunk(2, dim=-1)
    return torch.cat([rotate(first), second], dim=-1)


def _masked(x: Tensor, mask: Tensor) -> Tensor:
    return x.masked_fill(~mask[..., None], 0.0)


# ---------------------------------------------------------------------------------------------------------------- U-Net


class Groups(nn.GroupNorm):
    """Group normalisation over the frames that are real: (batch, frames, dim) -> the same."""

    def __init__(self, dim: int) -> None:
        super().__init__(GROUPS, dim)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:  # type: ignore[override]  # a mask beside it
        """mask (batch, frames), True = real; None: all are."""
        if mask is None:
            return super().forward(x.mT).mT
        real = mask[:, :, None, None]
        groups = x.unflatten(2, (self.num_groups, -1))
        count = (real.sum((1, 3), keepdim=True) * groups.shape[3]).clamp(min=1)
        mean = (groups * real).sum((1, 3), keepdim=True) / count
        variance = ((groups - mean) * real).square().sum((1, 3), keepdim=True) / count
        return ((groups - mean) * (variance + self.eps).rsqrt()).flatten(2) * self.weight + self.bias


class ConvBlock(nn.Module):
    """Convolution, normalisation, Mish: (batch, frames, dim_in) -> (batch, frames, dim_out), 0 at padded frames."""

    def __init__(self, dim_in: int, dim_out: int) -> None:
        super().__init__()
        self.conv, self.norm = Conv1d(dim_in, dim_out, 3), Groups(dim_out)

    def forward(self, x: Tensor, mask: Tensor, heard: Tensor | None) -> Tensor:
        return _masked(functional.mish(self.norm(self.conv(x, mask), heard)), mask)


class Residual(nn.Module):
    """Two convolutional blocks with the time between, beside a plain way."""

    def __init__(self, dim_in: int, dim_out: int, time: int) -> None:
        super().__init__()
        self.first, self.second = ConvBlock(dim_in, dim_out), ConvBlock(dim_out, dim_out)
        self.time, self.plain = nn.Linear(time, dim_out), nn.Linear(dim_in, dim_out)

    def forward(self, x: Tensor, time: Tensor, mask: Tensor, heard: Tensor | None) -> Tensor:
        y = self.first(x, mask, heard) + self.time(functional.mish(time))[:, None]
        return self.second(y, mask, heard) + self.plain(_masked(x, mask))


class UnetBlock(nn.Module):
    """A Transformer block: attention without places, and a layer of Snake."""

    def __init__(self, dim: int, config: Config) -> None:
        super().__init__()
        self.heads, width = config.unet_heads, config.unet_heads * config.head_dim
        self.attention_norm, self.mlp_norm = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.project, self.out = nn.Linear(dim, 3 * width, bias=False), nn.Linear(width, dim)
        self.expand, self.snake = nn.Linear(dim, 4 * dim), SnakeBeta(4 * dim, log_scale=True)
        self.contract, self.dropout = nn.Linear(4 * dim, dim), nn.Dropout(config.unet_dropout)

    def forward(self, x: Tensor, seen: Tensor) -> Tensor:
        """x (batch, frames, dim), seen (batch, 1, 1, frames): bool, or what is added to the scores."""
        projected = self.project(self.attention_norm(x))
        queries, keys, values = projected.unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        found = functional.scaled_dot_product_attention(queries, keys, values, attn_mask=seen)
        x = x + self.dropout(self.out(found.transpose(1, 2).flatten(2)))
        wave = self.snake(self.expand(self.mlp_norm(x)).mT).mT
        return x + self.contract(self.dropout(wave))


class Stage(nn.Module):
    """What is done at one rate."""

    def __init__(self, dim_in: int, dim_out: int, config: Config) -> None:
        super().__init__()
        self.leaky = config.leaky_padding
        self.residual = Residual(dim_in, dim_out, 4 * config.channels[0])
        self.blocks = nn.ModuleList(UnetBlock(dim_out, config) for _ in range(config.blocks))

    def forward(self, x: Tensor, time: Tensor, mask: Tensor) -> Tensor:
        x = self.residual(x, time, mask, None if self.leaky else mask)
        for block in self.blocks:  # the published code adds 1 to the scores of real frames, which hides none
            x = block(x, mask[:, None, None].to(x.dtype) if self.leaky else mask[:, None, None])
        return x


class Unet(nn.Module):
    """Noisy mel, average mel and speaker -> velocity: down to half the frames and up again, once for each width."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        mels, widths = config.mel.n_mels, config.channels
        self.inside = 2 * mels + config.told
        self.time = nn.Sequential(
            nn.Linear(self.inside, 4 * widths[0]), nn.SiLU(), nn.Linear(4 * widths[0], 4 * widths[0])
        )
        rising, falling = [self.inside, *widths], [*widths[::-1], widths[0]]
        self.down = nn.ModuleList(Stage(a, b, config) for a, b in zip(rising[:-1], rising[1:], strict=True))
        self.middle = nn.ModuleList(Stage(widths[-1], widths[-1], config) for _ in range(config.middle))
        self.up = nn.ModuleList(Stage(2 * a, b, config) for a, b in zip(falling[:-1], falling[1:], strict=True))
        last = len(widths) - 1
        self.slower = nn.ModuleList(
            nn.Conv1d(width, width, 3, padding=1, stride=1 if number == last else 2)
            for number, width in enumerate(widths)
        )
        self.faster = nn.ModuleList(
            nn.Conv1d(width, width, 3, padding=1) if number == last else nn.ConvTranspose1d(width, width, 4, 2, 1)
            for number, width in enumerate(falling[1:])
        )
        self.final, self.out = ConvBlock(widths[0], widths[0]), nn.Linear(widths[0], mels)
        self.leaky = config.leaky_padding
        for part in self.modules():
            if isinstance(part, nn.Conv1d | nn.Linear):
                nn.init.kaiming_normal_(part.weight, nonlinearity="relu")
                if part.bias is not None:
                    nn.init.zeros_(part.bias)

    def forward(self, noisy: Tensor, time: Tensor, average: Tensor, speaker: Tensor | None, mask: Tensor) -> Tensor:
        """noisy, average (batch, frames, mels), time (batch,), speaker (batch, dim) or None, mask (batch, frames)."""
        parts = [noisy, average] if speaker is None else [noisy, average, _along(speaker, noisy.shape[1])]
        frames = noisy.shape[1]
        more = -frames % 2 ** len(self.down)  # so that halving comes out even; once more than needed, as published
        x = functional.pad(torch.cat(parts, dim=2), (0, 0, 0, more))
        masks = [functional.pad(mask, (0, more))]
        when, early = self._time(time), list[Tensor]()
        for stage, slower in zip(self.down, self.slower, strict=True):
            x = stage(x, when, masks[-1])
            early.append(x)
            x = slower(_masked(x, masks[-1]).mT).mT
            masks.append(masks[-1][:, ::2])
        masks.pop()
        for stage in self.middle:
            x = stage(x, when, masks[-1])
        for stage, faster in zip(self.up, self.faster, strict=True):
            real = masks.pop()
            x = stage(torch.cat([x, early.pop()], dim=2), when, real)
            x = faster(_masked(x, real).mT).mT
        x = self.final(x, real, None if self.leaky else real)
        return _masked(self.out(x), real)[:, :frames]

    def _time(self, time: Tensor) -> Tensor:
        half = self.inside // 2
        rates = torch.exp(torch.arange(half, device=time.device) * (-math.log(10_000) / (half - 1)))
        angles = 1000 * time[:, None] * rates
        return self.time(torch.cat([angles.sin(), angles.cos()], dim=-1))


def _along(x: Tensor, places: int) -> Tensor:
    """(batch, dim) -> (batch, places, dim)."""
    return x[:, None].expand(-1, places, -1)


# ---------------------------------------------------------------------------------------------------------------- model


class Model(nn.Module):
    """See the module's docstring."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.embed = nn.Embedding(config.symbols, config.dim)
        nn.init.normal_(self.embed.weight, std=config.dim**-0.5)
        self.speakers = nn.Embedding(config.speakers, config.speaker_dim) if config.speakers else None
        self.prenet = Prenet(config.dim)
        self.encoder = nn.ModuleList(TextBlock(config.width, config) for _ in range(config.layers))
        self.average = nn.Linear(config.width, config.mel.n_mels)
        self.duration = Predictor(config.width, config.duration_hidden, config.kernel, config.dropout)
        for norm in self.duration.norms:
            norm.eps = EPS  # type: ignore[assignment]  # of a LayerNorm
        self.unet = Unet(config)

    def normalise(self, mel: Tensor) -> Tensor:
        """A log mel in numbers around 0, in which noise is added."""
        return (mel - self.config.mean) / self.config.deviation

    def forward(  # noqa: PLR0913  (the fields of a batch)
        self,
        tokens: Tensor,
        token_mask: Tensor,
        mel: Tensor,
        noisy: Tensor,
        time: Tensor,
        frame_mask: Tensor | None = None,
        speaker: Tensor | None = None,
        durations: Tensor | None = None,
    ) -> Output:
        """The velocity, and what the text says of the mel: the view of training.

        Args:
            tokens, token_mask: (batch, tokens).
            mel: (batch, frames, mels), to which the text is aligned; not seen by the U-Net.
            noisy: (batch, frames, mels), a normalised mel with noise. time: (batch,), how far it is from noise.
            frame_mask: (batch, frames), True = real.
            speaker: (batch,) int64, for a model of several.
            durations: (batch, tokens) int64 frames, instead of those of the search.

        Raises:
            UserError: an item has fewer frames than tokens.
        """
        if frame_mask is None:
            frame_mask = torch.ones(mel.shape[:2], dtype=torch.bool, device=mel.device)
        who = self.voice(speaker)
        average, log_durations = self.read(tokens, token_mask, who)
        if durations is None:
            durations = self._search(self.normalise(mel), average, token_mask, frame_mask)
        frames, _ = expand(average, durations, mel.shape[1])
        velocity = self.unet(noisy, time, frames, who, frame_mask)
        return Output(velocity, frames, log_durations, durations, frame_mask)

    def voice(self, speaker: Tensor | None) -> Tensor | None:
        """The speakers' vectors (batch, speaker_dim); None for a model of one voice."""
        if self.speakers is None:
            return None
        if speaker is None:
            raise ValueError(f"this model has {self.config.speakers} voices: give speaker, the number of one")
        return self.speakers(speaker)

    def read(self, tokens: Tensor, mask: Tensor, who: Tensor | None) -> tuple[Tensor, Tensor]:
        """The average mel frame of each token (batch, tokens, mels), and the predicted ln of its frames."""
        x = self.prenet(_masked(self.embed(tokens) * math.sqrt(self.config.dim), mask), mask)
        if who is not None:
            x = _masked(torch.cat([x, _along(who, x.shape[1])], dim=2), mask)
        for block in self.encoder:
            x = block(x, mask)
        return _masked(self.average(x), mask), self.duration(x.detach(), mask)

    @torch.no_grad()
    def _search(self, mel: Tensor, average: Tensor, token_mask: Tensor, frame_mask: Tensor) -> Tensor:
        scores = align.gaussian_scores(mel, average, torch.zeros_like(average))
        durations = align.monotonic_search(scores, token_mask.sum(1), frame_mask.sum(1))
        trace.report("align/durations", durations)
        return durations

    @torch.no_grad()
    def speak(  # noqa: PLR0913  (what steers a speaker)
        self,
        tokens: Tensor,
        token_mask: Tensor,
        speaker: Tensor | None = None,
        *,
        speed: float = 1.0,
        variety: float = 0.667,
        steps: int = 10,
        solver: flow.Solver = "euler",
        durations: Tensor | None = None,
        noise: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> Spoken:
        """Speaks.

        Args:
            tokens, token_mask: (batch, tokens).
            speaker: (batch,) int64, for a model of several.
            speed: above 1 is faster.
            variety: of the noise that it begins with: 0 says it as usual, 1 as varied as the recordings.
            durations: (batch, tokens) int64 frames, instead of predicted ones.
            noise: (batch, frames, mels), what to start from (times variety) instead of drawing.

        Raises:
            UserError: a speed that is not above 0, or an unknown solver.
        """
        if speed <= 0:
            raise UserError(f"speed must be above 0, got {speed}")
        who = self.voice(speaker)
        average, log_durations = self.read(tokens, token_mask, who)
        if durations is None:
            durations = self._frames(log_durations, token_mask, 1 / speed)
        trace.report("durations", durations)
        frames, mask = expand(average, durations, max(1, int(durations.sum(1).max())))
        if noise is None:
            noise = diffusion.draw(frames.shape, generator, frames.device)

        def call(x: Tensor, time: Tensor) -> Tensor:
            return self.unet(x, time, frames, who, mask)

        found = flow.integrate(call, variety * noise, flow.times(steps), solver)
        mel = found * self.config.deviation + self.config.mean
        trace.report("mel", mel)
        return Spoken(mel, mask, durations, frames)

    def _frames(self, log_durations: Tensor, token_mask: Tensor, slower: float) -> Tensor:
        """Whole frames (batch, tokens): each token begins at the first frame after the end of that before it."""
        lasting = log_durations.exp().masked_fill(~token_mask, 0.0).ceil() * slower
        total = lasting.sum(1, keepdim=True).floor().clamp(min=1)
        ends = lasting.cumsum(1).ceil().minimum(total).long()
        return ends - functional.pad(ends[:, :-1], (1, 0))


# ------------------------------------------------------------------------------------------------------------- training


class PriorLoss:
    """Minus the log density of the recorded mel, where each frame is a Gaussian around its token's average."""

    def __init__(self, config: Config) -> None:
        self._mean, self._deviation = config.mean, config.deviation

    def __call__(self, output: Output, batch: Batch) -> Tensor:
        mel = (batch["mel"] - self._mean) / self._deviation
        return 0.5 * (masked_l2(output.average, mel, output.frame_mask) + math.log(2 * math.pi))


def duration_loss(output: Output, batch: Batch) -> Tensor:
    """The squared difference of predicted and found durations, in the log domain."""
    found = (output.durations.to(output.log_durations.dtype) + 1e-8).log()
    return masked_l2(output.log_durations, found, batch["token_mask"])


LOSSES = {"prior": PriorLoss, "duration": duration_loss}
TRAINING = flow.Config(sigma=1e-4, weights={"prior": 1.0, "duration": 1.0})
TOY = Config(
    symbols=20,
    speakers=2,
    mel=MelConfig(sample_rate=8_000, n_fft=64, hop=16, win=64, n_mels=6, fmax=4_000),
    dim=8,
    heads=1,
    hidden=8,
    layers=1,
    duration_hidden=8,
    speaker_dim=4,
    channels=(8, 8),
    head_dim=4,
    middle=1,
)


def example(config: Config, batch: int = 2, generator: torch.Generator | None = None) -> dict[str, Tensor]:
    """A batch as the objective makes it, of random numbers; the last item is shorter."""
    token_mask = mask_from_lengths(torch.tensor([5] * (batch - 1) + [4]))
    frame_mask = mask_from_lengths(torch.tensor([14] * (batch - 1) + [11]))
    shape = (*frame_mask.shape, config.mel.n_mels)
    fields = {
        "tokens": torch.randint(1, config.symbols, token_mask.shape, generator=generator) * token_mask,
        "token_mask": token_mask,
        "mel": torch.randn(shape, generator=generator) - 5,
        "frame_mask": frame_mask,
        "noisy": torch.randn(shape, generator=generator),
        "time": torch.rand(batch, generator=generator),
    }
    return fields | {"speaker": torch.randint(0, config.speakers or 1, (batch,), generator=generator)}


# ---------------------------------------------------------------------------------------------------- published weights


def from_official(state: Mapping[str, Tensor], config: Mapping[str, Any]) -> Model:
    """Matcha-TTS: the state dict of its checkpoint and its model configuration, as its YAML or checkpoint has it.

    Raises:
        UserError: a decoder of other blocks, or keys or shapes that do not fit.
    """
    sizes = config.get("model", config)
    text, unet = sizes["encoder"]["encoder_params"], sizes["decoder"]
    if any(unet.get(f"{part}_block_type", "transformer") != "transformer" for part in ("down", "mid", "up")):
        raise UserError(
            "this Matcha-TTS checkpoint has Conformer blocks in its decoder; only Transformer ones are known"
        )
    if unet.get("act_fn", "snakebeta") != "snakebeta" or not text.get("prenet", True):
        raise UserError(
            "this Matcha-TTS checkpoint has another activation than snakebeta, or no prenet: not known here"
        )
    speakers = state.get("spk_emb.weight")
    rest = {key: value for key, value in state.items() if key not in ("mel_mean", "mel_std")}
    built = Config(
        symbols=len(state["encoder.emb.weight"]),
        speakers=None if speakers is None else len(speakers),
        mel=_mel(config, len(state["encoder.proj_m.weight"])),
        mean=float(state["mel_mean"]),
        deviation=float(state["mel_std"]),
        dim=text["n_channels"],
        heads=text["n_heads"],
        hidden=text["filter_channels"],
        layers=text["n_layers"],
        kernel=text["kernel_size"],
        dropout=text["p_dropout"],
        duration_hidden=len(state["encoder.proj_w.conv_1.weight"]),
        speaker_dim=Config().speaker_dim if speakers is None else speakers.shape[1],
        channels=tuple(unet["channels"]),
        head_dim=unet["attention_head_dim"],
        unet_heads=unet["num_heads"],
        blocks=unet["n_blocks"],
        middle=unet["num_mid_blocks"],
        unet_dropout=unet["dropout"],
        leaky_padding=True,
    )
    return adopt(Model(built), _matcha.keys(rest), "Matcha-TTS checkpoint")


def _mel(config: Mapping[str, Any], mels: int) -> MelConfig:
    """The mel of the published models; the `data` of a configuration may say another."""
    data, known = config.get("data", {}), Config().mel
    return MelConfig(
        sample_rate=data.get("sample_rate", known.sample_rate),
        n_fft=data.get("n_fft", known.n_fft),
        hop=data.get("hop_length", known.hop),
        win=data.get("win_length", known.win),
        n_mels=mels,
        fmin=data.get("f_min", known.fmin),
        fmax=data.get("f_max", known.fmax),
        scale="slaney",
        norm="slaney",
        eps=1e-9,
        padding="same",
    )
