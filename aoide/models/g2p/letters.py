"""Letters -> phonemes with stress, for words that no lexicon has; small enough to come with the package.

Idea     a transformer reads the letters; each letter has two slots, and each slot holds a sound (a vowel with its
         stress) or nothing. The slots are filled at once, and connectionist temporal classification learns which
         sound belongs to which letter, so no alignment is needed and a word costs one pass.
In, out  letters (batch, letters) int64 -> scores (batch, 2 * letters, sounds + 1); alphabets in aoide/text/letters.py
Trained  objectives/ctc.py      Recipe  recipes/g2p/letters-en.yaml      Runs without torch as  aoide/text/letters.py
Papers   Graves et al. 2006 (CTC); Vaswani et al. 2017; Shaw et al. 2018, arXiv:1803.02155 (relative positions). The
         combination for this task is ours; nothing official to compare it with.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from aoide.config import require
from aoide.models.g2p import Reading
from aoide.objectives import ctc
from aoide.text.letters import LETTERS, SLOTS, SOUNDS


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    dim: int = 160
    layers: int = 4
    heads: int = 4
    hidden: int = 320  # of the feed-forward layers
    reach: int = 8  # letters; farther neighbours all look equally far
    dropout: float = 0.0  # the network is too small to learn its words by heart

    def __post_init__(self) -> None:
        if self.dim % self.heads:
            raise ValueError(f"dim {self.dim} must be a multiple of heads {self.heads}")


class Attention(nn.Module):
    """Every letter looks at every other; how far away it stands counts, where in the word it stands does not."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.heads, self.reach = config.heads, config.reach
        self.project = nn.Linear(config.dim, 3 * config.dim)
        self.out = nn.Linear(config.dim, config.dim)
        self.distance = nn.Parameter(torch.zeros(2 * config.reach + 1, config.heads))

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """x (batch, letters, dim), mask (batch, letters) -> the same shape as x."""
        batch, letters, dim = x.shape
        split = self.project(x).view(batch, letters, 3, self.heads, dim // self.heads).permute(2, 0, 3, 1, 4)
        query, key, value = split.unbind(0)  # each (batch, heads, letters, dim / heads)
        place = torch.arange(letters, device=x.device)
        far = (place[:, None] - place[None, :]).clamp(-self.reach, self.reach) + self.reach
        bias = self.distance[far].permute(2, 0, 1)  # (heads, letters, letters)
        scores = query @ key.mT * (dim // self.heads) ** -0.5 + bias
        scores = scores.masked_fill(~mask[:, None, None, :], -1e4)
        mixed = scores.softmax(-1) @ value
        return self.out(mixed.transpose(1, 2).reshape(batch, letters, dim))


class Block(nn.Module):
    """Attention, then a feed-forward layer; normalised before, added after."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(config.dim)
        self.attention = Attention(config)
        self.feed_norm = nn.LayerNorm(config.dim)
        self.expand = nn.Linear(config.dim, config.hidden)
        self.contract = nn.Linear(config.hidden, config.dim)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """x (batch, letters, dim), mask (batch, letters) -> the same shape as x."""
        x = x + self.dropout(self.attention(self.norm(x), mask))
        return x + self.dropout(self.contract(functional.gelu(self.expand(self.feed_norm(x)))))


class Model(nn.Module):
    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.embed = nn.Embedding(len(LETTERS) + 1, config.dim // 2, padding_idx=0)
        self.neighbours = nn.Conv1d(config.dim // 2, config.dim, 5, padding=2)  # five letters in a row
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.norm = nn.LayerNorm(config.dim)
        self.head = nn.Linear(config.dim, SLOTS * (len(SOUNDS) + 1))

    def forward(self, letters: Tensor, letter_mask: Tensor | None = None) -> Reading:
        """letters (batch, letters) int64, 0 = padding -> scores (batch, 2 * letters, sounds + 1) and their mask."""
        mask = letters > 0 if letter_mask is None else letter_mask
        x = self.embed(letters).masked_fill(~mask[..., None], 0.0)  # padding is what stands beyond the ends of a word
        x = self.neighbours(x.mT).mT
        for block in self.blocks:
            x = block(x, mask)
        scores = self.head(self.norm(x)).view(letters.shape[0], -1, len(SOUNDS) + 1)
        return Reading(scores, mask.repeat_interleave(SLOTS, dim=1))


TRAINING = ctc.Config()
LOSSES: dict[str, object] = {}
NEEDS = ("letters", "tokens")
TOY = Config(dim=16, layers=2, heads=2, hidden=32, reach=3)


def example(config: Config, batch: int = 2, generator: torch.Generator | None = None) -> dict[str, Tensor]:
    """A batch of random words of seven letters and nine sounds."""
    return {
        "letters": torch.randint(1, len(LETTERS) + 1, (batch, 7), generator=generator),
        "letter_mask": torch.ones(batch, 7, dtype=torch.bool),
        "tokens": torch.randint(1, len(SOUNDS) + 1, (batch, 9), generator=generator),
        "token_mask": torch.ones(batch, 9, dtype=torch.bool),
    }


# -------------------------------------------------------------------------------------------------------------- export


class Exported(nn.Module):
    """letters (batch, letters) -> scores alone."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.model = model

    def forward(self, letters: Tensor) -> Tensor:
        return self.model(letters).scores


def export(model: Model, path: Path) -> None:
    """Writes the graph that aoide/text/letters.py runs: letters int64 -> scores float32, both axes free.

    Raises:
        MissingExtra: onnx or onnxscript is not installed.
    """
    for package in ("onnx", "onnxscript"):
        require(package, "export")
    example_letters = torch.randint(1, len(LETTERS) + 1, (2, 9), generator=torch.Generator().manual_seed(0))
    program = torch.onnx.export(
        Exported(model).eval(),
        (example_letters,),
        input_names=["letters"],
        output_names=["scores"],
        dynamic_shapes={"letters": {0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC}},
        dynamo=True,
    )
    assert program is not None
    program.save(str(path))
