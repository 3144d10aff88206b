"""MaskGCT's sampling as it was published, with the weights of our models: what `benchmarks/zeroshot.py` compares with.

Written anew after Amphion's models/tts/maskgct (MIT) and the Llama of transformers 4.41 that it runs: guidance is two
passes one after the other, each through all layers at all places; attention is explicit, the mask a sum; angles are
computed in every layer, conditions in every pass; every frame is scored and every code gets noise in every step.
One item at a time.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from aoide.nn.llama import Llama, RMSNorm


def norm(layer: RMSNorm, x: Tensor, condition: Tensor) -> Tensor:
    scaled = x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + layer.eps)
    return layer.scale(condition)[:, None] * scaled


def turned(x: Tensor) -> Tensor:
    rates = 1.0 / (10_000 ** (torch.arange(0, x.shape[-1], 2) / x.shape[-1]))
    angles = torch.arange(x.shape[2])[:, None] * rates
    angles = torch.cat([angles, angles], dim=-1)
    half = x.shape[-1] // 2
    return x * angles.cos() + torch.cat([-x[..., half:], x[..., :half]], dim=-1) * angles.sin()


def attend(layer: nn.Module, x: Tensor, mask: Tensor, heads: int) -> Tensor:
    dim = x.shape[-1]
    queries, keys, values = (
        functional.linear(x, weight).unflatten(-1, (heads, -1)).transpose(1, 2)
        for weight in layer.project.weight.split(dim)
    )
    queries, keys = turned(queries), turned(keys)
    scores = queries @ keys.mT / math.sqrt(dim // heads) + mask
    return layer.out((scores.softmax(-1, dtype=torch.float32) @ values).transpose(1, 2).flatten(2))


def network(llama: Llama, x: Tensor, condition: Tensor) -> Tensor:
    """x (1, tokens, dim), condition (1, dim) -> (1, tokens, dim)."""
    mask = (1 - torch.ones(1, 1, x.shape[1], x.shape[1])) * torch.finfo(torch.float32).min
    for block in llama.layers:
        x = x + attend(block.attention, norm(block.attention_norm, x, condition), mask, llama.settings.heads)
        seen = norm(block.mlp_norm, x, condition)
        gate, through = (functional.linear(seen, weight) for weight in block.expand.weight.chunk(2))
        x = x + block.contract(functional.silu(gate) * through)
    return norm(llama.norm, x, condition)


def gumbel(shape: torch.Size) -> Tensor:
    return -torch.log(-torch.log(torch.zeros(shape).uniform_(0, 1) + 1e-10) + 1e-10)


class Decoder:
    """One codebook, one item: `step` takes what the network gave with and without prompt and text."""

    def __init__(self, length: int, steps: int, sampling, head: nn.Linear | tuple[Tensor, Tensor]) -> None:
        self.codes, self.hidden = torch.zeros(1, length, dtype=torch.int64), torch.ones(1, length, dtype=torch.bool)
        self.length, self.steps, self.sampling, self.head = length, steps, sampling, head

    def step(self, number: int, given: Tensor, without: Tensor | None) -> bool:
        """False when nothing is hidden any more."""
        sampling, time = self.sampling, 1.0 - number / self.steps
        if without is not None:
            spread = given.std()
            given = given + sampling.guidance * (given - without)
            given = sampling.rescale * given * spread / given.std() + (1 - sampling.rescale) * given
        scores = functional.linear(given, *self.head)
        values, places = scores.topk(sampling.kept(scores.shape[-1]), dim=-1)
        scores = torch.full_like(scores, -torch.inf).scatter(2, places, values)
        if number + 1 == self.steps > 1:
            drawn = scores.argmax(-1)
        else:
            heat = 0.2 if self.steps == 1 else max(sampling.temperature * time, 1e-3)
            drawn = (scores / heat + gumbel(scores.shape)).argmax(-1)
        self.codes = torch.where(self.hidden, drawn, self.codes)
        sure = scores.softmax(-1).gather(2, drawn[..., None])[..., 0]
        unsure = (1 - (sure + time * gumbel(sure.shape))).masked_fill(~self.hidden, -torch.inf)
        after = int(math.sin(math.pi / 2 * (1.0 - (number + 1) / self.steps)) * self.length)
        if after == 0 or number + 1 == self.steps:
            return False
        self.hidden = torch.zeros_like(self.hidden).scatter(1, unsure.topk(after, dim=-1).indices, True)
        self.codes = self.codes.masked_fill(self.hidden, 0)
        return True


@torch.no_grad()
def text_to_semantic(model, length: int, tokens: Tensor, prompt: Tensor, steps: int) -> Tensor:
    """tokens (tokens,), prompt (prompt frames,) -> (length,)."""
    sampling = model.config.sampling
    decoder = Decoder(length, steps, sampling, (model.head.weight, model.head.bias))
    for number in range(steps):
        time = torch.full((1,), 1.0 - number / steps)
        frames = model.frames(decoder.codes, decoder.hidden)
        row = torch.cat([model.text(tokens[None]), model.codes(prompt[None]), frames], dim=1)
        given = network(model.llama, row, model.time(time))[:, -length:]
        without = network(model.llama, frames, model.time(time)) if sampling.guidance else None
        if not decoder.step(number, given, without):
            break
    return decoder.codes[0]


@torch.no_grad()
def semantic_to_acoustic(model, semantic: Tensor, prompt: Tensor, known: Tensor | None, steps) -> Tensor:
    """semantic (prompt frames + frames,), prompt (prompt frames, codebooks) -> (frames, codebooks)."""
    config, sampling, length = model.config, model.config.sampling, len(semantic) - len(prompt)
    made = [] if known is None else [*known.mT]
    told = sum(model.codes(prompt[:, i] + i * config.codes) for i in range(config.codebooks))
    for layer in range(len(made), config.codebooks):
        below = sum((model.codes(x + i * config.codes) for i, x in enumerate(made)), torch.zeros(length, config.dim))
        own = slice(layer * config.codes, (layer + 1) * config.codes)
        decoder = Decoder(length, steps[layer], sampling, (model.head.weight[own], model.head.bias[own]))
        for number in range(steps[layer]):
            time = torch.full((1,), 1.0 - number / steps[layer])
            frames = below + model.frames(decoder.codes, decoder.hidden, layer)
            frames = frames + (config.codebooks - 1 - layer) * model.gap
            condition = model.semantic(semantic) + model.layer.weight[layer]
            row = torch.cat([told[None], frames], dim=1) + model.mapper(condition)
            given = network(model.llama, row, model.time(time))[:, -length:]
            without = None
            if sampling.guidance:
                alone = frames + model.mapper(condition[len(prompt) :])
                without = network(model.llama, alone, model.time(time))
            if not decoder.step(number, given, without):
                break
        made.append(decoder.codes[0])
    return torch.stack(made, dim=1)
