"""Mel DiT: a caption -> the mel of a few seconds of sound, small enough to be trained on one processor core.

    words (batch, words, pieces), noise (batch, frames, values) -> mel (batch, frames, mels) log magnitude

Idea         A flow from noise to the principal components of a mel. A patch, twelve frames of all bands or 128 ms, has
             1,200 numbers, of which a tenth say nearly all; those are the places of a Transformer, few, so that it is
             cheap. They are dealt out to the patch's frames, ten each, so that time stays time. The components are
             found in the first batches and weighed, so that the faint ones, which are heard as well, are not lost in
             noise. The network says what a patch shall become, and the velocity follows: what it becomes has fewer
             degrees of freedom than the noise. The caption is one vector, which steers every block beside the time; it
             is read by a small encoder of words and threes of letters that learns with the rest. Captions that are left
             out now and then make room for guidance.
Trained      flow, objectives/flow.py; more often near the noise, where a mel's large shapes are settled
Recipe       recipes/tta/sounds-24k.yaml
Paper        Li and He 2025, arXiv:2511.13720 (Transformers on large patches that predict what is clean); blocks:
             Peebles and Xie 2023, arXiv:2212.09748; guidance: Ho and Salimans 2022, arXiv:2207.12598
Official     none: Aoide's own combination
Checkpoints  the package's sounds-24k
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional

from aoide import trace
from aoide.audio.mel import MelConfig
from aoide.nn.attention import sinusoids
from aoide.nn.caption import CaptionEncoder
from aoide.nn.dit import DiTBlock, FinalSteer, Sizes, TimeCode
from aoide.objectives import Batch, flow
from aoide.text import captions

NEEDS = ("mel", "words")
NEAREST = 0.1  # to the end of the way; there the velocity is told by what is left
FLOOR = -9.0  # of the log mel: what is quieter is not heard and need not be learned
START = 6000  # patches in which the components are found
WEIGHED = 0.5  # power of a component's deviation by which it is divided: 0 as it is, 1 all alike


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """What is built; the defaults are those of the package's sounds-24k."""

    mel: MelConfig = field(default_factory=MelConfig)
    frames: int = 288  # of the mel that are made at once: 3.07 s
    patch: int = 12  # frames that are one place
    values: int = 10  # of a patch's components, a frame
    dim: int = 144
    layers: int = 6
    heads: int = 4
    hidden: int = 576  # channels inside a block's layers
    caption_dim: int = 128
    caption_layers: int = 2
    unsaid: float = 0.1  # share of the captions that training leaves out

    def __post_init__(self) -> None:
        if self.frames % self.patch or self.patch < 1:
            raise ValueError(f"frames is a multiple of patch, got {self.frames} and {self.patch}")
        if self.dim % (2 * self.heads) or self.caption_dim % (2 * self.heads):
            raise ValueError(f"dim and caption_dim are multiples of 2 heads, got {self.dim} and {self.caption_dim}")
        if self.mel.log != "ln" or not 1 <= self.values <= self.mel.n_mels:
            raise ValueError("mel.log is ln, since levels are in nats here, and values is at most mel.n_mels")


class Model(nn.Module):
    """See the module's docstring."""

    middle: Tensor
    components: Tensor
    weights: Tensor
    started: Tensor

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        dim, width, values = config.dim, config.patch * config.mel.n_mels, config.patch * config.values
        self.register_buffer("middle", torch.full((width,), -5.0))
        self.register_buffer("components", torch.linalg.qr(torch.randn(width, values))[0].contiguous())
        self.register_buffer("weights", torch.ones(values))
        self.register_buffer("started", torch.tensor(False))
        self.caption = CaptionEncoder(config.caption_dim, config.caption_layers, config.heads, dim)
        self.time = TimeCode(dim)
        self.into = nn.Linear(values, dim)
        self.order = nn.Linear(dim, dim)  # what a caption says of early and late: rising, falling, fast
        nn.init.zeros_(self.order.weight)
        nn.init.zeros_(self.order.bias)
        sizes = Sizes(dim, config.heads, dim // config.heads, config.hidden)
        self.blocks = nn.ModuleList(DiTBlock(sizes) for _ in range(config.layers))
        self.steer = FinalSteer(dim)
        self.out = nn.Linear(dim, values)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)
        self._waiting: list[Tensor] = []  # patches of the first batches

    def forward(
        self,
        noisy: Tensor,
        time: Tensor,
        words: Tensor,
        word_mask: Tensor | None = None,
        frame_mask: Tensor | None = None,
        drop: Tensor | None = None,
    ) -> Tensor:
        """The velocity (batch, frames, values).

        Args:
            noisy: (batch, frames, values), the components with noise.
            time: (batch,), how far they are from noise.
            words, word_mask: (batch, words, pieces), (batch, words): the captions as numbers (text/captions.py).
            frame_mask: (batch, frames), True = real; None: all.
            drop: (batch,) bool, those whose caption is not told.
        """
        return self.velocity(noisy, time, self.caption(words, word_mask, drop), frame_mask)

    def velocity(self, noisy: Tensor, time: Tensor, said: Tensor, frame_mask: Tensor | None = None) -> Tensor:
        """The same with the caption's vector, said (batch, dim)."""
        patch, frames = self.config.patch, noisy.shape[1]
        x = noisy if frame_mask is None else noisy.masked_fill(~frame_mask[..., None], 0.0)
        mask = None
        if frame_mask is not None:
            mask = functional.pad(frame_mask, (0, -frames % patch)).unflatten(1, (-1, patch)).any(-1)
        x = self.into(functional.pad(x, (0, 0, 0, -frames % patch)).unflatten(1, (-1, patch)).flatten(2))
        x = x + sinusoids(x.shape[1], x.shape[2], x) * (1 + self.order(said))[:, None]
        steer = self.time(time) + said
        for number, block in enumerate(self.blocks):
            x = block(x, steer, mask, mask)
            trace.layer(number, len(self.blocks), x)
        made = self.out(self.steer(x, steer)).unflatten(-1, (patch, -1)).flatten(1, 2)[:, :frames]
        trace.report("components", made)
        return (made - noisy) / (1 - time).clamp(min=NEAREST)[:, None, None]

    # ---------------------------------------------------------------------------------------------------- components

    def normalise(self, mel: Tensor) -> Tensor:
        """mel (batch, frames, mels) -> components (batch, frames, values) of about 1: the space in which the way lies.

        The first patches that are heard in training are kept until there are enough to find components in.
        """
        patch = self.config.patch
        whole = functional.pad(mel, (0, 0, 0, -mel.shape[1] % patch), value=FLOOR).clamp(min=FLOOR)
        patches = whole.unflatten(1, (-1, patch)).flatten(2)
        if self.training and not self.started:
            self._waiting.append(patches.detach().flatten(0, 1))
            if sum(map(len, self._waiting)) >= START:
                self.start(torch.cat(self._waiting))
                self._waiting = []
        found = (patches - self.middle) @ self.components * self.weights
        return found.unflatten(-1, (patch, -1)).flatten(1, 2)[:, : mel.shape[1]]

    def restore(self, normal: Tensor) -> Tensor:
        """Components (batch, frames, values), of whole patches -> mel (batch, frames, mels)."""
        patches = normal.unflatten(1, (-1, self.config.patch)).flatten(2) / self.weights
        mel = patches @ self.components.mT + self.middle
        return mel.unflatten(-1, (self.config.patch, -1)).flatten(1, 2).clamp(min=FLOOR)

    @torch.no_grad()
    def start(self, patches: Tensor) -> None:
        """Finds the components in patches (patches, patch * mels)."""
        self.middle.copy_(patches.mean(0))
        strength, found = torch.linalg.eigh(torch.cov((patches - self.middle).mT))
        count = len(self.weights)
        deviation = strength.flip(0)[:count].clamp(min=1e-6).sqrt()
        weights = deviation**-WEIGHED
        self.components.copy_(found.flip(1)[:, :count])
        self.weights.copy_(weights / (deviation * weights).square().mean().sqrt())
        self.started.fill_(True)

    def conceal(self, batch: Batch, generator: torch.Generator | None) -> dict[str, Tensor]:
        """What training does not say (objectives/flow.py)."""
        words = batch["words"]
        chance = torch.rand(len(words), generator=generator, device=words.device)
        return {"drop": chance < self.config.unsaid}


TRAINING = flow.Config(times="logit_normal", shift=10.0)
LOSSES: dict[str, None] = {}

TOY = Config(
    mel=MelConfig(sample_rate=4000, n_fft=64, hop=16, win=64, n_mels=8, fmax=2000),
    frames=32,
    patch=4,
    values=3,
    dim=16,
    layers=2,
    heads=2,
    hidden=32,
    caption_dim=8,
    caption_layers=1,
    unsaid=0.5,
)


def example(config: Config, batch: int = 2, generator: torch.Generator | None = None) -> dict[str, Tensor]:
    """Inputs of a forward pass, with the target: captions of different lengths, sounds too."""
    counts = torch.randint(3, 7, (batch,), generator=generator)
    frames = torch.randint(config.frames // 2, config.frames, (batch,), generator=generator)
    word_mask = torch.arange(int(counts.max())) < counts[:, None]
    frame_mask = torch.arange(int(frames.max())) < frames[:, None]
    shape = (batch, word_mask.shape[1], captions.PIECES)
    words = torch.randint(1, captions.BUCKETS, shape, generator=generator) * word_mask[..., None]
    mel = -5.0 + 2.0 * torch.randn(*frame_mask.shape, config.mel.n_mels, generator=generator)
    return {
        "words": words,
        "word_mask": word_mask,
        "mel": mel * frame_mask[..., None] + config.mel.silence * ~frame_mask[..., None],
        "noisy": torch.randn(*frame_mask.shape, config.values, generator=generator),
        "time": torch.rand(batch, generator=generator),
        "frame_mask": frame_mask,
    }
