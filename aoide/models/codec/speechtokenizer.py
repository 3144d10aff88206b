"""SpeechTokenizer: sound (batch, samples) <-> codes (batch, frames, codebooks), samples = frames * hop.

Idea         EnCodec's convolutions and LSTMs, with a task for the first codebook: its vectors are, through one linear
             layer, to resemble what HuBERT hears. So it says what was spoken, and those after it how it sounded.
Objective    adversarial with mel, waveform and distillation distances (aoide/objectives/gan.py)
Recipes      recipes/codec/speechtokenizer-folder.yaml
Paper        Zhang et al. 2023, arXiv:2308.16692
Code         github.com/ZhangXInFD/SpeechTokenizer (Apache-2.0); Amphion has a copy (models/codec/speechtokenizer)
Checkpoints  fnlp/SpeechTokenizer (Hugging Face): speechtokenizer_hubert_avg/SpeechTokenizer.pt and its config.json
Parity       tests/parity/test_speechtokenizer.py
Differs      sound that ends within a frame is filled up with silence (theirs with its mirror image). A dead code starts
             anew: theirs means to, but overwrites the new code in the same step. The first codes come from the first
             batch as it is, not from its k-means.

The LSTMs hear the whole sound, so `context` is None: decoding in pieces is close to, not equal to, decoding the whole.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import rnn
from torch.nn.utils.parametrizations import weight_norm

from aoide import trace
from aoide.audio.mel import MelConfig
from aoide.config import UserError
from aoide.models.codec import Numbers, check_codes, commitment, whole_frames
from aoide.nn.discriminators import Period
from aoide.nn.official import adopt, modern_weight_norm
from aoide.nn.quantize import EuclideanVQ, ResidualVQ
from aoide.nn.stft_loss import MelLoss
from aoide.objectives import Batch, gan

ENDS = 7  # kernel of the first and the last convolution of encoder and decoder


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """Settings; the defaults are those of the published checkpoint (103.7 M parameters, 4 kbit/s)."""

    sample_rate: int = 16_000  # Hz
    filters: int = 64  # channels at the sample rate; each stage of the encoder doubles them
    dim: int = 1024  # of a frame between encoder and decoder, and of the codes
    strides: tuple[int, ...] = (8, 5, 4, 2)  # of the decoder's stages; the encoder has them the other way round
    units: int = 1  # residual units of a stage
    unit_kernel: int = 3
    dilation_base: int = 2  # unit i is dilated by the i-th power of this
    lstm_layers: int = 2
    bidirectional: bool = True  # the LSTM of the encoder; that of the decoder never is
    codebooks: int = 8
    codes: int = 1024  # entries of a codebook
    semantic_dim: int = 768  # of the features that the first codebook learns from

    def __post_init__(self) -> None:
        if min(self.strides) < 2 or self.lstm_layers < 1 or self.unit_kernel % 2 == 0:
            raise ValueError(
                f"strides are 2 or more, lstm_layers 1 or more, unit_kernel odd: got {self.strides}, "
                f"{self.lstm_layers}, {self.unit_kernel}"
            )

    @property
    def hop(self) -> int:
        """Samples in a frame."""
        return math.prod(self.strides)

    @property
    def frame_rate(self) -> float:
        """Frames per second."""
        return self.sample_rate / self.hop


class Output(NamedTuple):
    audio: Tensor  # (batch, frames * hop)
    codes: Tensor  # (batch, frames, codebooks)
    commitment: Tensor  # (batch, codebooks)
    codebook: Tensor  # (batch, codebooks), 0: the codes follow the encoder by themselves
    semantic: Tensor  # (batch, frames, semantic_dim): the first codebook's guess of HuBERT's features


# ---------------------------------------------------------------------------------------------------------------- parts


class MirroredConv(nn.Module):
    """A convolution that mirrors its input at both ends: (batch, channels, time) -> (batch, dim_out, time / stride)."""

    def __init__(self, dim_in: int, dim_out: int, kernel: int, stride: int = 1, dilation: int = 1) -> None:
        super().__init__()
        self.conv = weight_norm(nn.Conv1d(dim_in, dim_out, kernel, stride, dilation=dilation))
        total = (kernel - 1) * dilation - (stride - 1)
        self.left, self.right = total - total // 2, total // 2

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """x (batch, channels, time), lengths (batch,) of what is real; the rest of the output has no meaning."""
        return self.conv(mirror(x, self.left, self.right, lengths))


def mirror(x: Tensor, left: int, right: int, lengths: Tensor | None = None) -> Tensor:
    """Mirrors (batch, channels, time) at both ends of each item; zeros first make one longer that is too short."""
    reach = max(left, right)
    if reach == 0 or (lengths is None and x.shape[2] > reach):
        return functional.pad(x, (left, right), mode="reflect")
    real = torch.full((len(x),), x.shape[2], device=x.device) if lengths is None else lengths
    real = real[:, None]
    last = real.clamp(min=reach + 1) - 1  # where the mirror stands
    place = torch.arange(-left, x.shape[2] + right, device=x.device).abs().expand(len(x), -1)
    place = torch.where(place > last, 2 * last - place, place)
    index = place.clamp(0, x.shape[2] - 1)[:, None].expand(-1, x.shape[1], -1)
    outside = (place < 0) | (place >= real)
    return x.gather(2, index).masked_fill(outside[:, None], 0.0)


class Unit(nn.Module):
    """A 1x1 convolution of x + a narrow branch of two convolutions: (batch, channels, time) -> the same shape."""

    def __init__(self, channels: int, kernel: int, dilation: int) -> None:
        super().__init__()
        self.wide = MirroredConv(channels, channels // 2, kernel, dilation=dilation)
        self.point = MirroredConv(channels // 2, channels, 1)
        self.shortcut = MirroredConv(channels, channels, 1)

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        y = self.wide(functional.elu(x), lengths)
        return self.shortcut(x) + self.point(functional.elu(y))


class Recurrence(nn.Module):
    """x + LSTM(x), (batch, channels, time) -> the same; when bidirectional, each way with its x: 2 * channels."""

    def __init__(self, channels: int, layers: int, bidirectional: bool) -> None:
        super().__init__()
        self.lstm = nn.LSTM(channels, channels, layers, batch_first=True, bidirectional=bidirectional)

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        x = x.mT
        if lengths is None:
            y = self.lstm(x)[0]
        else:  # packed, so that the way back begins at each item's own end
            packed = rnn.pack_padded_sequence(x, lengths.cpu(), batch_first=True, enforce_sorted=False)
            y = rnn.pad_packed_sequence(self.lstm(packed)[0], batch_first=True, total_length=x.shape[1])[0]
        return (y + x.repeat(1, 1, y.shape[2] // x.shape[2])).mT


class Down(nn.Module):
    """Residual units, then a strided convolution that doubles the channels."""

    def __init__(self, channels: int, stride: int, config: Config) -> None:
        super().__init__()
        self.stride = stride
        self.units = _units(channels, config)
        self.down = MirroredConv(channels, 2 * channels, 2 * stride, stride)

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """`lengths` are those before it."""
        for unit in self.units:
            x = unit(x, lengths)
        return self.down(functional.elu(x), lengths)


class Up(nn.Module):
    """A transposed convolution that halves the channels, then residual units."""

    def __init__(self, channels: int, stride: int, config: Config) -> None:
        super().__init__()
        self.stride = stride
        self.up = weight_norm(nn.ConvTranspose1d(channels, channels // 2, 2 * stride, stride))
        self.units = _units(channels // 2, config)

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """`lengths` are those before it."""
        y = self.up(functional.elu(_silence(x, lengths)))
        right = self.stride // 2
        y = y[..., self.stride - right : y.shape[2] - right]
        for unit in self.units:
            y = unit(y, None if lengths is None else lengths * self.stride)
        return y


def _units(channels: int, config: Config) -> nn.ModuleList:
    return nn.ModuleList(Unit(channels, config.unit_kernel, config.dilation_base**i) for i in range(config.units))


def _silence(x: Tensor, lengths: Tensor | None) -> Tensor:
    """x (batch, channels, time), 0 after the end of each item."""
    if lengths is None:
        return x
    return x.masked_fill((torch.arange(x.shape[2], device=x.device) >= lengths[:, None])[:, None], 0.0)


class Encoder(nn.Module):
    """Sound (batch, frames * hop) -> latents (batch, frames, dim)."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        width = config.filters
        self.first = MirroredConv(1, width, ENDS)
        self.stages = nn.ModuleList()
        for stride in config.strides[::-1]:
            self.stages.append(Down(width, stride, config))
            width *= 2
        self.recurrence = Recurrence(width, config.lstm_layers, config.bidirectional)
        self.last = MirroredConv(width * (1 + config.bidirectional), config.dim, ENDS)
        self.hop = config.hop

    def forward(self, audio: Tensor, mask: Tensor | None = None) -> Tensor:
        """audio (batch, frames * hop), mask (batch, frames) with True = real -> (batch, frames, dim)."""
        lengths = None if mask is None else mask.sum(1) * self.hop
        x = self.first(audio[:, None], lengths)
        for stage in cast("Sequence[Down]", self.stages):
            x = stage(x, lengths)
            lengths = None if lengths is None else lengths // stage.stride
        return self.last(functional.elu(self.recurrence(x, lengths)), lengths).mT


class Decoder(nn.Module):
    """Latents (batch, frames, dim) -> sound (batch, frames * hop)."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        width = config.filters * 2 ** len(config.strides)
        self.first = MirroredConv(config.dim, width, ENDS)
        self.recurrence = Recurrence(width, config.lstm_layers, bidirectional=False)
        self.stages = nn.ModuleList()
        for stride in config.strides:
            self.stages.append(Up(width, stride, config))
            width //= 2
        self.last = MirroredConv(width, 1, ENDS)

    def forward(self, latents: Tensor, mask: Tensor | None = None) -> Tensor:
        """latents (batch, frames, dim), mask (batch, frames) with True = real -> (batch, frames * hop), padded 0."""
        lengths = None if mask is None else mask.sum(1)
        x = self.recurrence(self.first(latents.mT, lengths), lengths)
        for stage in cast("Sequence[Up]", self.stages):
            x = stage(x, lengths)
            lengths = None if lengths is None else lengths * stage.stride
        return _silence(self.last(functional.elu(x), lengths), lengths)[:, 0].float()


# ---------------------------------------------------------------------------------------------------------------- model


class Model(Numbers, nn.Module):
    """Sound -> codes -> sound; see `aoide.models.codec.Codec`. The first codebook is the semantic one."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder(config)
        self.quantiser = ResidualVQ(EuclideanVQ(config.dim, config.codes) for _ in range(config.codebooks))
        same = config.dim == config.semantic_dim
        self.semantic: nn.Module = nn.Identity() if same else nn.Linear(config.dim, config.semantic_dim)
        self.decoder = Decoder(config)

    @property
    def context(self) -> None:
        return None

    def forward(self, audio: Tensor, frame_mask: Tensor | None = None) -> Output:
        """audio (batch, samples), frame_mask (batch, frames) with True = real -> see `Output`."""
        quantised = self.quantiser(self.encoder(whole_frames(audio, self), frame_mask), frame_mask)
        trace.report("speechtokenizer/codes", quantised.codes)
        sound = self.decoder(quantised.vectors, frame_mask)
        semantic = self.semantic(quantised.parts[0].vectors)
        return Output(sound, quantised.codes, quantised.commitment, quantised.codebook, semantic)

    def encode(self, audio: Tensor, mask: Tensor | None = None) -> Tensor:
        """audio (batch, samples), mask (batch, frames) with True = real -> codes (batch, frames, codebooks) int64."""
        return self.quantiser.encode(self.encoder(whole_frames(audio, self), mask), mask)

    def decode(self, codes: Tensor, mask: Tensor | None = None) -> Tensor:
        """codes (batch, frames, codebooks or the first few of them) -> audio (batch, frames * hop).

        Raises:
            UserError: codes that are not of this codec.
        """
        check_codes(codes, self)
        return self.decoder(self.quantiser.decode(codes, mask), mask)


# ------------------------------------------------------------------------------------------------------------- training


class MelDistance(nn.Module):
    """L1 between log-mels of coded and recorded sound with windows of 64 ms."""

    windows: tuple[int, ...] = (1024,)

    def __init__(self, config: Config) -> None:
        super().__init__()
        scales = [
            MelConfig(
                sample_rate=config.sample_rate,
                n_fft=window,
                win=window,
                hop=window * 240 // 1024,
                n_mels=80,
                fmax=config.sample_rate / 2,
                norm="slaney",
                padding="same",
            )
            for window in self.windows
        ]
        self.scales = nn.ModuleList(MelLoss(scale) for scale in scales)

    def forward(self, output: Output, batch: Batch) -> Tensor:
        audio = batch["audio"][:, : output.audio.shape[1]]
        return torch.stack([scale(output.audio, audio) for scale in self.scales]).sum()


class ShortMelDistance(MelDistance):
    """The same with windows of 32, 16 and 8 ms, summed."""

    windows = (512, 256, 128)


def wave_distance(output: Output, batch: Batch) -> Tensor:
    """L1 between the waveforms."""
    return (output.audio - batch["audio"][:, : output.audio.shape[1]]).abs().mean()


def distillation(output: Output, batch: Batch) -> Tensor:
    """How unlike the semantic features are over time, in each of their dimensions: -log sigmoid(cosine)."""
    theirs, mask = batch["semantic"], batch.get("frame_mask")
    ours = output.semantic if mask is None else output.semantic.masked_fill(~mask[..., None], 0.0)
    return -functional.logsigmoid(functional.cosine_similarity(ours, theirs, dim=1)).mean()


LOSSES: dict[str, Any] = {
    "mel": MelDistance,
    "short_mel": ShortMelDistance,
    "wave": wave_distance,
    "commitment": commitment,
    "distillation": distillation,
}
TRAINING = gan.Config(
    critics=("stft", "period", "scale"),
    loss="least_squares",
    reduction="sum",
    feature=2.0,
    period=Period(first_map=True),
    weights={"mel": 45.0, "short_mel": 1.0, "wave": 500.0, "commitment": 1.25, "distillation": 120.0},
)
NEEDS = ("audio", "semantic")
TOY = Config(
    sample_rate=8_000,
    filters=4,
    dim=8,
    strides=(4, 3),
    units=2,
    lstm_layers=1,
    codebooks=3,
    codes=12,
    semantic_dim=6,
)


def example(config: Config, batch: int = 2, generator: torch.Generator | None = None) -> dict[str, Tensor]:
    """A batch of noise of 80 frames, and random features in the place of HuBERT's."""
    frames = 80
    return {
        "audio": 0.1 * torch.randn(batch, frames * config.hop, generator=generator),
        "semantic": torch.randn(batch, frames, config.semantic_dim, generator=generator),
        "frame_mask": torch.ones(batch, frames, dtype=torch.bool),
    }


# ------------------------------------------------------------------------------------------------ published checkpoints


def from_official(state: Mapping[str, Tensor], config: Mapping[str, Any]) -> Model:
    """Builds the model of a published checkpoint.

    Args:
        state: its state dict, with the original keys.
        config: its config.json.

    Raises:
        UserError: another activation than ELU, or a state that does not fit the configuration.
    """
    if config.get("activation", "ELU") != "ELU":
        raise UserError(f"this checkpoint has the activation {config['activation']}; Aoide builds those with ELU")
    ours = Config(
        sample_rate=config["sample_rate"],
        filters=config["n_filters"],
        dim=config["dimension"],
        strides=tuple(config["strides"]),
        units=config["n_residual_layers"],
        unit_kernel=config["residual_kernel_size"],
        dilation_base=config["dilation_base"],
        lstm_layers=config["lstm_layers"],
        bidirectional=config["bidirectional"],
        codebooks=config["n_q"],
        codes=config["codebook_size"],
        semantic_dim=config["semantic_dimension"],
    )
    places = {f"encoder.{k}": v for k, v in _places(ours, "down").items()}
    places |= {f"decoder.{k}": v for k, v in _places(ours, "up").items()}
    renamed = {}
    for key, value in state.items():
        name = _rename(key, places)
        if name is not None:
            renamed[name] = value
    return adopt(Model(ours), modern_weight_norm(renamed), "SpeechTokenizer checkpoint")


def _places(config: Config, direction: str) -> dict[str, str]:
    """Their numbers of the parts of encoder (down) and decoder (up) -> our names."""
    parts: list[str] = ["first"] + (["recurrence"] if direction == "up" else [])
    for stage in range(len(config.strides)):
        units = [f"stages.{stage}.units.{unit}" for unit in range(config.units)]
        change = ["activation", f"stages.{stage}.{direction}"]
        parts += units + change if direction == "down" else change + units
    parts += (["recurrence"] if direction == "down" else []) + ["activation", "last"]
    return {f"model.{number}": part for number, part in enumerate(parts)}


def _rename(key: str, places: Mapping[str, str]) -> str | None:
    """One key of theirs -> ours; None for what we have no use for."""
    if key.startswith("quantizer."):
        layer, leaf = key.removeprefix("quantizer.vq.layers.").split(".")[0], key.rpartition(".")[2]
        names = {"embed": "table", "embed_avg": "sums", "cluster_size": "uses"}  # `inited` only guards their k-means
        return f"quantiser.layers.{layer}.{names[leaf]}" if leaf in names else None
    if key.startswith("transform."):
        return key.replace("transform", "semantic", 1)
    side, model, number, *rest = key.split(".")
    if f"{side}.{model}.{number}" not in places:
        return key
    branch = {
        "block.1.conv.conv": "wide.conv",
        "block.3.conv.conv": "point.conv",
        "shortcut.conv.conv": "shortcut.conv",
    }
    *middle, leaf = rest
    inside = ".".join(middle)
    known = {"conv.conv": "conv", "convtr.convtr": "", "lstm": "lstm", **branch}
    words = [side, places[f"{side}.{model}.{number}"], known.get(inside, inside), leaf]
    return ".".join(word for word in words if word)
