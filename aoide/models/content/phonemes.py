"""Phoneme listener: log-mel (batch, frames, mels), F0 (batch, frames) Hz -> content (batch, frames, 64), and scores.

Idea         Whoever speaks or sings, an "a" is an "a". First the pitch is taken out: each band becomes the mean of the
             power over a width of F0 around it, in which one harmonic lies, wherever it stands (`Envelope`). Then a
             network is asked frame by frame which phoneme it hears, and hears the same sentence now as from a longer
             throat, now through a telephone, now in noise, now as blurred as high notes are: it has no use for the
             voice. What its last, narrow layer says, it says of the phoneme and of what lies between two of them; F0,
             loudness and singer are given to a conversion beside it. Two frames are heard at once.
Objective    regression (aoide/objectives/regression.py) of the phonemes' places: cross-entropy, frame by frame
Data         a corpus with durations of its phonemes: aoide prepare taught, aoide prepare sinsy
Recipes      recipes/content/phonemes.yaml; tools/make_converter.py trains it beside its partner
Code         Aoide's own. Phonetic posteriorgrams for conversion: Sun et al. 2016, Phonetic posteriorgrams for
             many-to-one voice conversion (ICME); the narrow layer is the bottleneck feature of Grezl et al. 2007
             (ICASSP). The mean over a width of F0 is that of CheapTrick (Morise 2015, Speech Communication 67), on
             mels. Longer and shorter throats: Jaitly and Hinton 2013, Vocal tract length perturbation (ICML
             workshop). The blocks are those of Vocos (arXiv:2306.00814)
Parity       none: there is no original
Differs      from HuBERT, ContentVec and Whisper (aoide/external/content.py): a hundredth of their size, taught by
             phonemes and not by itself, and so it knows the sounds of the languages it was taught, and no others
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from aoide import trace
from aoide.audio.envelope import WIDTHS, areas, bands, means
from aoide.audio.mel_config import MelConfig
from aoide.models.content import Heard
from aoide.nn.convnext import ConvNeXtBackbone
from aoide.nn.lengths import expand
from aoide.objectives import Batch, regression

LEVEL, SPREAD = -5.0, 3.0  # nats: about the mean and the deviation of log-mels of speech
THROATS = (0.76, 1.32)  # formants that training moves, as a factor
UNEVEN = 0.07  # by how much low ones are moved more than high ones, or less: the logarithm of a factor
HIGH = (150.0, 700.0)  # Hz of F0 as if sung at which training blurs the envelope
GAINS = (-3.0, 1.5)  # nats by which training makes a recording quieter or louder
EQUALISER = (1.0, 0.7, 0.5, 0.35, 0.25)  # nats, deviations of the cosines that training adds over the bands
DULL = (3_000.0, 9_000.0)  # Hz above which training takes away everything
NOISE = (4.0, 10.0)  # nats below the loudest band at which training adds noise
SHARES = {"blurred": 0.3, "noisy": 0.35, "dull": 0.25}  # of what is heard in training
VAGUE = 0.2  # deviation of what training adds to the content, whose own is 1: fine traces of a voice get lost in it


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """Settings; the defaults have 2 M parameters."""

    mel: MelConfig = field(default_factory=MelConfig)
    symbols: int = 178  # size of the phoneme table, with padding, which is silence
    unheard: tuple[int, ...] = (16, 156, 157, 158)  # symbols without a sound of their own: space, stress, length
    stride: int = 2  # frames that are heard at once
    content: int = 64  # numbers that say what is heard
    dim: int = 256
    hidden: int = 512  # channels inside a ConvNeXt block
    layers: int = 6

    def __post_init__(self) -> None:
        if min(self.symbols, self.stride, self.content, self.dim, self.hidden, self.layers) < 1:
            raise ValueError("symbols, stride, content, dim, hidden and layers are 1 or more")
        if self.mel.log != "ln":
            raise ValueError("the levels of this network are in nats: mel.log is ln")


class Envelope(nn.Module):
    """A mel without its harmonics: mel (..., mels) nats, f0 (...,) Hz with 0 = unvoiced -> (..., mels) nats.

    A band becomes the mean of the power over a width of F0 around it, at least WIDTHS[0]. Of a few widths there are
    tables; between two of them lies a mixture.
    """

    area: Tensor
    table: Tensor

    def __init__(self, mel: MelConfig) -> None:
        super().__init__()
        self.mel = mel
        self.register_buffer("area", torch.from_numpy(areas(mel)).float().log(), persistent=False)
        self.register_buffer("table", torch.from_numpy(means(mel)).float(), persistent=False)

    def forward(self, mel: Tensor, f0: Tensor) -> Tensor:
        power = ((mel - self.area) * (2 / self.mel.power)).exp()
        place = (f0.clamp(WIDTHS[0], WIDTHS[-1]) / WIDTHS[0]).log2() * 2
        share = (1 - (place[..., None] - torch.arange(len(WIDTHS), device=mel.device)).abs()).clamp(min=0)
        means = (power @ self.table).unflatten(-1, (len(WIDTHS), self.mel.n_mels))
        mean = (means * share[..., None]).sum(-2)
        return (mean.clamp(min=1e-30).log() * (self.mel.power / 2) + self.area).clamp(min=self.mel.silence)


class Model(nn.Module):
    """mel, F0 -> what is said; see `aoide.models.content.Listener`."""

    bands: Tensor

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("bands", torch.from_numpy(bands(config.mel)).float(), persistent=False)
        self.envelope = Envelope(config.mel)
        self.backbone = ConvNeXtBackbone(config.stride * config.mel.n_mels, config.dim, config.hidden, config.layers)
        self.narrow = nn.Linear(config.dim, config.stride * config.content)
        self.name = nn.Linear(config.content, config.symbols)

    @property
    def context(self) -> int:
        """Frames before and after a frame on which its content depends; a multiple of the stride."""
        return self.config.stride * (self.backbone.reach + 1)

    def forward(self, mel: Tensor, f0: Tensor | None = None, frame_mask: Tensor | None = None) -> Heard:
        """mel (batch, frames, mels), f0 (batch, frames) Hz with 0 = unvoiced, frame_mask (batch, frames) with
        True = real -> see `Heard`.

        In training it hears each item otherwise than it was: `disguised`.
        """
        content = self.listen(mel, f0, frame_mask)
        if self.training:
            content = content + VAGUE * torch.randn_like(content)
        trace.report("content/features", content)
        return Heard(content, self.name(content))

    def listen(self, mel: Tensor, f0: Tensor | None = None, frame_mask: Tensor | None = None) -> Tensor:
        """The content alone, (batch, frames, content): numbers of mean 0 and deviation 1 in each frame."""
        stride, frames = self.config.stride, mel.shape[1]
        if frame_mask is not None:
            mel = mel.masked_fill(~frame_mask[..., None], self.config.mel.silence)
        f0 = mel.new_zeros(mel.shape[:2]) if f0 is None else f0
        mel = functional.pad(mel, (0, 0, 0, -frames % stride), value=self.config.mel.silence)
        f0 = functional.pad(f0, (0, -frames % stride))
        if self.training:
            mel = disguised(self.envelope(mel, torch.maximum(f0, blur(f0))), self.bands, self.config.mel)
        else:
            mel = self.envelope(mel, f0)
        heard = self.hear(mel.unflatten(1, (-1, stride)), None if frame_mask is None else frame_mask[:, ::stride])
        return heard.flatten(1, 2)[:, :frames]

    def hear(self, envelope: Tensor, mask: Tensor | None = None) -> Tensor:
        """Envelopes (batch, frames, stride, mels), with those side by side that are heard as one -> content of each."""
        heard = self.narrow(self.backbone((envelope.flatten(2) - LEVEL) / SPREAD, mask))
        return functional.layer_norm(heard.unflatten(-1, (self.config.stride, -1)), (self.config.content,))


# ------------------------------------------------------------------------------------------------------------- disguise


def blur(f0: Tensor) -> Tensor:
    """Hz, (batch, 1), of the F0 as high as which some items are blurred; 0 for the others."""
    height = _drawn(len(f0), math.log(HIGH[0]), math.log(HIGH[1]), f0).exp()
    return height.masked_fill(torch.rand(len(f0), device=f0.device) > SHARES["blurred"], 0.0)[:, None]


def disguised(mel: Tensor, bands: Tensor, config: MelConfig) -> Tensor:
    """The same words from another throat, through another channel; draws from torch's own generator.

    Args:
        mel: (batch, frames, mels), nats, without harmonics: they would move with the throat.
        bands: (mels,) Hz, where the bands have their peaks.
    """
    batch, _, mels = mel.shape
    place = torch.linspace(0, math.pi, mels, device=mel.device)
    throat = _drawn(batch, math.log(THROATS[0]), math.log(THROATS[1]), mel)[:, None]
    throat = throat + _drawn(batch, -UNEVEN, UNEVEN, mel)[:, None] * place.cos()
    mel = _throat(mel, bands, throat.exp())
    waves = torch.stack([deviation * (n * place).cos() for n, deviation in enumerate(EQUALISER, 1)])
    mel = mel + (torch.randn(batch, len(waves), device=mel.device) @ waves)[:, None]
    mel = mel + _drawn(batch, *GAINS, like=mel)[:, None, None]
    noise = mel.flatten(1).amax(1) - _drawn(batch, *NOISE, like=mel)
    noise = noise.masked_fill(torch.rand(batch, device=mel.device) > SHARES["noisy"], config.silence)[:, None, None]
    colour = (torch.randn(batch, len(waves), device=mel.device) @ waves)[:, None]
    mel = torch.logaddexp(mel, noise + colour + 0.3 * torch.randn_like(mel))
    edge = _drawn(batch, *DULL, like=mel).masked_fill(
        torch.rand(batch, device=mel.device) > SHARES["dull"], config.fmax
    )
    mel = mel.masked_fill(bands > edge[:, None, None], config.silence)
    return mel.clamp(min=config.silence)


def _throat(mel: Tensor, bands: Tensor, factor: Tensor) -> Tensor:
    """Moves what stands at f Hz to f * factor, item by item; factor (batch, 1 or mels)."""
    wanted = bands / factor
    above = torch.searchsorted(bands, wanted.contiguous()).clamp(1, len(bands) - 1)
    below = above - 1
    share = ((wanted - bands[below]) / (bands[above] - bands[below])).clamp(0, 1)[:, None]
    frames = (-1, mel.shape[1], -1)
    low = mel.gather(2, below[:, None].expand(*frames))
    return low + share * (mel.gather(2, above[:, None].expand(*frames)) - low)


def _drawn(batch: int, low: float, high: float, like: Tensor) -> Tensor:
    return torch.empty(batch, device=like.device).uniform_(low, high)


# ------------------------------------------------------------------------------------------------------------- training


class Places:
    """Cross-entropy of the phoneme that stands in a frame; symbols without a sound of their own are not asked for."""

    def __init__(self, config: Config) -> None:
        self.unheard = config.unheard

    def __call__(self, output: Heard, batch: Batch) -> Tensor:
        wanted = labels(batch["tokens"], batch["durations"], output.scores.shape[1])
        real = batch.get("frame_mask")
        asked = torch.ones_like(wanted, dtype=torch.bool) if real is None else real
        asked = asked & (torch.isin(wanted, wanted.new_tensor(self.unheard), invert=True))
        return functional.cross_entropy(output.scores[asked], wanted[asked])


def labels(tokens: Tensor, durations: Tensor, frames: int) -> Tensor:
    """tokens, durations (batch, tokens), durations in frames -> the token of each frame (batch, frames)."""
    return expand(tokens[..., None], durations, frames)[0][..., 0]


LOSSES: dict[str, Any] = {"places": Places}
TRAINING = regression.Config(weights={"places": 1.0})
NEEDS = ("tokens", "durations", "mel", "f0")
TOY = Config(
    mel=MelConfig(sample_rate=8_000, n_fft=64, hop=16, win=64, n_mels=10, fmax=4_000),
    symbols=20,
    unheard=(16,),
    content=6,
    dim=16,
    hidden=24,
    layers=2,
)


def example(config: Config, batch: int = 2, generator: torch.Generator | None = None) -> dict[str, Tensor]:
    """A batch of random mels of 24 frames and four phonemes."""
    return {
        "tokens": torch.randint(0, min(16, config.symbols), (batch, 4), generator=generator),
        "token_mask": torch.ones(batch, 4, dtype=torch.bool),
        "durations": torch.full((batch, 4), 6),
        "mel": torch.randn(batch, 24, config.mel.n_mels, generator=generator) - 4,
        "f0": 300 * torch.rand(batch, 24, generator=generator),
        "frame_mask": torch.ones(batch, 24, dtype=torch.bool),
    }
