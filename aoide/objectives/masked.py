"""Masked tokens: codes are hidden and guessed from those that are not. To sample, all are hidden, sure guesses stay.

    hidden share = sin(pi t / 2)        time t from 1 (all is hidden) to 0 (nothing is)

Training draws a time an item, hides each frame with that probability (a prompt at the beginning stays), and the loss is
the cross-entropy at hidden frames. For codes of several codebooks a codebook is drawn, the more often the lower it is:
those below are given, those above are not. One item in several loses prompt and text, so that guidance has something
to compare with.

A model of this objective has a forward that takes, beside the fields of a batch,

    <target>  (batch, frames[, codebooks])  codes; 0 stands where they are hidden
    masked    (batch, frames)               True = hidden, and to be guessed
    time      (batch,)                      t
    prompt    (batch,) int64                frames at the beginning that are told in all codebooks, if it asks
    layer     (batch,) int64                the codebook that is guessed, if it asks
    dropped   (batch,)                      True = text is not looked at, if it asks

and gives an output with `scores` (batch, frames, codes). Codebooks that it is always told stand in its `given`.

Sampling is `decode`: each step guesses all that is hidden, draws, and hides the least sure again, fewer each time. It
works on items of whatever lengths, one after the other in one row; what is settled is not scored, an item that is
complete or would not change is not computed. `guide` mixes what comes with and without prompt and text.

Sources: Chang et al. 2022, arXiv:2202.04200 (MaskGIT: schedule, confidence with Gumbel noise); Borsos et al. 2023,
arXiv:2305.09636 (SoundStorm: codebook by codebook); Wang et al. 2024, arXiv:2409.00750 (MaskGCT); Lin et al. 2023,
arXiv:2305.08891 (rescaled guidance). Settings as in Amphion's models/tts/maskgct (MIT).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from aoide import trace
from aoide.config import UserError
from aoide.objectives import Batch, inputs
from aoide.objectives.tokens import gumbel

ONE_STEP = 0.2  # the temperature of codes that are drawn in a single step
COLDEST = 1e-3
FIRST = 1e-5  # times of training are not below


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """What is hidden, and how much of it."""

    target: str = "semantic_codes"  # the field of the batch that is guessed
    drop: float = 0.15  # share of items without prompt and text
    least: float = 0.2  # no smaller share of the frames is hidden
    prompt: float = 0.4  # of an item's frames, the most that are prompt
    layers: Literal["linear", "cosine", "uniform"] = "linear"  # how the draws of a codebook fall with its number
    where: str = "frame_mask"  # the field that says which frames are real

    def __post_init__(self) -> None:
        if not 0 <= self.drop <= 1 or not 0 <= self.least < 1 or not 0 <= self.prompt < 1:
            raise ValueError(f"drop, least and prompt are shares, got {self.drop}, {self.least} and {self.prompt}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Sampling:
    """How codes are drawn."""

    guidance: float = 2.5  # how far scores move away from those without prompt and text; 0 = not at all
    rescale: float = 0.75  # how much of the spread that guidance adds is taken back
    temperature: float = 0.9  # of the first step; falls to 0 with the time
    threshold: float = 0.98  # share of a codebook, the least likely codes, that are never drawn
    refresh: int = 1  # in every so many passes text and prompt are computed anew; 1 = in all, as published
    compare: int = 1  # in every so many passes that without them is made; 1 = in all, as published

    def __post_init__(self) -> None:
        if min(self.refresh, self.compare) < 1:
            raise ValueError(f"refresh and compare are 1 or more, got {self.refresh} and {self.compare}")
        if self.guidance < 0 or not 0 <= self.rescale <= 1 or self.temperature <= 0 or not 0 <= self.threshold < 1:
            raise ValueError("guidance and temperature are above 0, rescale and threshold shares")

    def kept(self, codes: int) -> int:
        """How many of so many codes can be drawn."""
        return math.ceil((1 - self.threshold) * codes)


# --------------------------------------------------------------------------------------------------------------- hiding


def share(time: Tensor) -> Tensor:
    """The share of frames that is hidden at a time."""
    return torch.sin(time * math.pi / 2)


def hide(draw: Tensor, time: Tensor, prompt: Tensor, real: Tensor, least: float = 0.0) -> Tensor:
    """Which frames are hidden: (batch, frames) bool; never a prompt's, at least one of each item.

    Args:
        draw: (batch, frames) uniform in 0 to 1.
        time: (batch,).
        prompt: (batch,) int64, frames at the beginning that stay; fewer than are real.
        real: (batch, frames) bool.
        least: of the share.
    """
    places = torch.arange(draw.shape[1], device=draw.device)
    hidden = (draw < share(time).clamp(min=least)[:, None]) & (places >= prompt[:, None]) & real
    return hidden | (~hidden.any(1, keepdim=True) & (places == prompt[:, None]))


def prompt_range(lengths: Tensor, most: float) -> tuple[Tensor, Tensor]:
    """Between how many frames a prompt has, the upper end not included: (batch,) each, for items of these lengths."""
    return (lengths // 4).clamp(max=5), (lengths * most).long()


def layer_weights(codebooks: int, given: int, kind: str) -> Tensor:
    """How often each codebook is drawn for training: (codebooks,), 0 for those that are given."""
    place = torch.arange(codebooks, dtype=torch.float32) - given
    falling = {
        "linear": codebooks - place,
        "cosine": torch.cos(place / codebooks * math.pi / 2),
        "uniform": torch.ones_like(place),
    }[kind]
    return falling.masked_fill(place < 0, 0.0)


class Task(NamedTuple):
    """What an item of a batch is asked: (batch,) each, masked (batch, frames)."""

    time: Tensor
    prompt: Tensor  # int64, frames at the beginning that are told
    masked: Tensor  # bool, frames that are to be guessed
    layer: Tensor  # int64, the codebook of those
    dropped: Tensor  # bool, whether there is no text


def conceal(codes: Tensor, task: Task) -> tuple[Tensor, Tensor]:
    """Codes (batch, frames[, codebooks]) as the model sees them, 0 where it does not, and those of the codebook that is
    asked for (batch, frames).
    """
    if codes.ndim == 2:
        return codes.masked_fill(task.masked, 0), codes
    wanted = codes.gather(2, task.layer[:, None, None].expand(*codes.shape[:2], 1))[..., 0]
    place = torch.arange(codes.shape[2], device=codes.device) - task.layer[:, None, None]
    told = torch.arange(codes.shape[1], device=codes.device)[:, None] < task.prompt[:, None, None]
    seen = (place < 0) | (place == 0) & ~task.masked[..., None] | told
    return codes.masked_fill(~seen, 0), wanted


# ------------------------------------------------------------------------------------------------------------- sampling


class State(NamedTuple):
    """Where decoding stands, for the items that are still to do, one after the other in one row."""

    items: list[int]  # which of those that were asked for
    lengths: list[int]  # frames of each
    codes: Tensor  # (frames of all,) int64, 0 where hidden
    masked: Tensor  # (frames of all,) bool
    time: float


Scores = Callable[[State], Tensor]  # -> (hidden frames, codes)
Noise = Callable[[int, Tensor, Tensor], tuple[Tensor, Tensor]]
"""(step, hidden frames (hidden,), codes (hidden, kept)) -> Gumbel noise for each of the codes, and for each frame."""


def random(generator: torch.Generator | None = None) -> Noise:
    """Noise as it comes from the generator."""

    def draw(step: int, places: Tensor, codes: Tensor) -> tuple[Tensor, Tensor]:
        noise = gumbel((len(codes), codes.shape[1] + 1), generator).to(codes.device)
        return noise[:, 1:], noise[:, 0]

    return draw


@torch.no_grad()
def decode(  # noqa: PLR0913  (the last two are for the record and the device)
    call: Scores,
    lengths: Sequence[int],
    steps: int,
    sampling: Sampling,
    noise: Noise,
    layer: int = 0,
    device: torch.device | None = None,
) -> list[Tensor]:
    """Codes of items of these lengths: (frames,) int64 each.

    Each step draws every hidden code from its likeliest ones at a temperature that falls with the time (the last takes
    the likeliest), and hides those again whose probability, with noise that falls too, is smallest. Codes that stay
    are final. Where a step would hide as many as are hidden, nothing would come of it, and the network is not called.

    Args:
        call: scores of what is hidden; it is given the items that this step changes.
        lengths: frames of each item.
        steps: at most so many calls.
        layer: the codebook, for the record.

    Raises:
        UserError: no step, or an item without frames.
    """
    if steps < 1 or not lengths or min(lengths) < 1:
        raise UserError(f"sampling takes 1 step or more and items of 1 frame or more, got {steps} and {[*lengths]}")
    codes = [torch.zeros(length, dtype=torch.int64, device=device) for length in lengths]
    masked = [torch.ones(length, dtype=torch.bool, device=device) for length in lengths]
    hidden = [*lengths]
    for step in range(steps):
        time, after = 1.0 - step * (1.0 / steps), _hidden_after(step, steps, lengths)
        items = [number for number, count in enumerate(after) if count < hidden[number]]
        if not items:
            continue
        rows = torch.cat([codes[i] for i in items]), torch.cat([masked[i] for i in items])
        scores = call(State(items, [lengths[i] for i in items], *rows, time))
        drawn, sure = _draw(scores, noise, rows[1].nonzero()[:, 0], step, steps, sampling)
        counts = [hidden[i] for i in items]
        for i, guess, surety in zip(items, drawn.split(counts), sure.split(counts), strict=True):
            places = masked[i].nonzero()[:, 0]
            again = places[surety.topk(after[i], largest=False).indices]
            codes[i] = codes[i].index_copy(0, places, guess).index_fill(0, again, 0)
            masked[i] = torch.zeros_like(masked[i]).index_fill(0, again, True)
            hidden[i] = after[i]
        if trace.active():
            where = {"step": step, "layer": layer, "time": time, "items": tuple(items)}
            for name, value in {"codes": torch.cat(codes), "hidden": torch.cat(masked), "sure": sure}.items():
                trace.report(f"masked/{name}", value, **where)
    return codes


def guide(given: Tensor, without: Tensor, lengths: Sequence[int], sampling: Sampling) -> Tensor:
    """Moves hidden states away from those without prompt and text: (1, frames of all items, dim) each.

    Some of the spread that this adds, over all of an item, is taken back. Amphion measures the spread over a whole
    batch, which makes an item depend on those beside it.
    """
    moved = given + sampling.guidance * (given - without)
    spreads = zip(given.split([*lengths], 1), moved.split([*lengths], 1), strict=True)
    factors = [sampling.rescale * old.std() / new.std() + (1 - sampling.rescale) for old, new in spreads]
    return torch.cat([x * factor for x, factor in zip(moved.split([*lengths], 1), factors, strict=True)], dim=1)


def _hidden_after(step: int, steps: int, lengths: Sequence[int]) -> list[int]:
    """How many frames of each item are hidden after a step; in single precision, as the published samplers count."""
    time = torch.tensor(0.0 if step + 1 == steps else 1.0 - (step + 1) * (1.0 / steps))
    return (share(time) * torch.tensor(lengths)).long().tolist()


def _draw(
    scores: Tensor, noise: Noise, places: Tensor, step: int, steps: int, sampling: Sampling
) -> tuple[Tensor, Tensor]:
    """Codes (hidden,), and how sure they are."""
    time = 1.0 - step * (1.0 / steps)
    values, codes = scores.float().topk(sampling.kept(scores.shape[-1]), dim=-1)
    for_codes, for_frames = noise(step, places, codes)
    if step + 1 == steps > 1:
        chosen = torch.zeros_like(codes[:, :1])  # the likeliest stands first
    else:
        temperature = ONE_STEP if steps == 1 else max(sampling.temperature * time, COLDEST)
        chosen = (values / temperature + for_codes).argmax(-1, keepdim=True)
    sure = values.softmax(-1).gather(1, chosen)[:, 0] + time * for_frames
    return codes.gather(1, chosen)[:, 0], sure


# ------------------------------------------------------------------------------------------------------------ objective


class Objective:
    """Trains a model of masked tokens; see the head of this file for what it must have."""

    def __init__(self, config: Config, module: ModuleType, model: nn.Module) -> None:
        self.config, self.module = config, module
        self.networks: dict[str, nn.Module] = {"model": model}
        self._given: int = getattr(model, "given", 0)  # kept, since a wrapper hides it

    def steps(self, batch: Batch, generator: torch.Generator | None = None) -> Iterator[tuple[str, dict[str, Tensor]]]:
        """Yields ("model", losses) once; "masked" is in nats per hidden frame."""
        yield "model", {"masked": self._loss(batch, generator)}

    @torch.no_grad()
    def validate(self, batch: Batch, generator: torch.Generator | None = None) -> dict[str, Tensor]:
        """The loss of a held-out batch."""
        return {"masked": self._loss(batch, generator)}

    def _loss(self, batch: Batch, generator: torch.Generator | None) -> Tensor:
        config, codes = self.config, batch[self.config.target].long()
        count, frames = codes.shape[:2]
        codebooks = codes.shape[2] if codes.ndim == 3 else 1

        def uniform(*shape: int) -> Tensor:
            return torch.rand(shape, generator=generator, device=codes.device)

        real = batch.get(config.where)
        real = codes.new_ones(count, frames, dtype=torch.bool) if real is None else real
        dropped = uniform(count) < config.drop
        low, high = prompt_range(real.sum(1), config.prompt)
        prompt = low + (uniform(count) * (high - low).clamp(min=0)).long()
        prompt = prompt.masked_fill(dropped, 0)
        time = uniform(count).clamp(min=FIRST)
        weights = layer_weights(codebooks, self._given, config.layers).to(codes.device)
        layer = torch.multinomial(weights, count, replacement=True, generator=generator)
        masked = hide(uniform(count, frames), time, prompt, real, config.least)
        return self.loss(batch, Task(time, prompt, masked, layer, dropped))

    def loss(self, batch: Batch, task: Task) -> Tensor:
        """The cross-entropy of the hidden codes."""
        codes = batch[self.config.target].long()
        shown, wanted = conceal(codes, task)
        fields = {**batch, **task._asdict(), self.config.target: shown}
        scores = self.networks["model"](**inputs(self.module, fields)).scores
        return functional.cross_entropy(scores[task.masked].float(), wanted[task.masked])
