"""The denoiser of DiffWaveNetSVC as it is published against ours, with the same weights, timed in turn; a worker:

    {"frames": 281, "steps": 25, "threads": 1, "repeats": 3}         all of these have defaults

The plain side is the network of the paper (384 channels, 20 layers, 30 M) in channels-first convolutions, called once a
step: it brings frames and condition to channels first, projects the condition in each layer, and back. Ours is what a
conversion calls: made ready once for the condition (that time is ours, too), then called once a step. Both must give
the same, and it is an error if they do not. The answer has seconds of both per second of singing and step (fastest
repeat) and `ratio`, ours over plain: the median over the repeats.
"""

import math
import statistics
import time
from typing import Any

import torch
from torch import Tensor, nn

from aoide.models.svc import diffwavenetsvc
from aoide.nn import denoise

CHANNELS, LAYERS, CYCLE, MELS, CONDITION, SINUSOIDS, HIDDEN = 384, 20, 4, 100, 384, 128, 512
FRAME_RATE = 93.75


class Block(nn.Module):
    """A gated dilated convolution with its condition; what goes on, and what is given out."""

    def __init__(self, dilation: int) -> None:
        super().__init__()
        self.gau = nn.ModuleDict(
            {
                "conv": nn.Conv1d(CHANNELS, 2 * CHANNELS, 3, dilation=dilation, padding=dilation),
                "context_proj": nn.Conv1d(CONDITION, 2 * CHANNELS, 1),
            }
        )
        self.out_proj = nn.Conv1d(CHANNELS, 2 * CHANNELS, 1)

    def forward(self, x: Tensor, time: Tensor, condition: Tensor) -> tuple[Tensor, Tensor]:
        h = self.gau["conv"](x + time[..., None]) + self.gau["context_proj"](condition)
        value, gate = h.chunk(2, 1)
        passed, given = self.out_proj(value.tanh() * gate.sigmoid()).chunk(2, 1)
        return (x + passed) / math.sqrt(2.0), given


class Network(nn.Module):
    """The stack of blocks between 1x1 convolutions."""

    def __init__(self) -> None:
        super().__init__()
        self.input = nn.Sequential(nn.Conv1d(MELS, CHANNELS, 1), nn.ReLU())
        self.residual_blocks = nn.ModuleList(Block(2 ** (i % CYCLE)) for i in range(LAYERS))
        last = nn.Conv1d(CHANNELS, MELS, 1)
        self.out_proj = nn.Sequential(nn.Conv1d(CHANNELS, CHANNELS, 1), nn.ReLU(), last)


class Plain(nn.Module):
    """(x (batch, frames, mels), step (batch,), condition (batch, frames, dim)) -> (batch, frames, mels)."""

    def __init__(self) -> None:
        super().__init__()
        layers = [nn.Linear(SINUSOIDS, HIDDEN), nn.SiLU(), nn.Linear(HIDDEN, HIDDEN), nn.SiLU()]
        self.diff_encoder = nn.ModuleDict({"out": nn.Sequential(*layers, nn.Linear(HIDDEN, CHANNELS))})
        self.neural_network = Network()

    def forward(self, x: Tensor, step: Tensor, condition: Tensor) -> Tensor:
        half = SINUSOIDS // 2
        angles = step[:, None] * torch.exp(-math.log(10_000) / half * torch.arange(half))
        time = self.diff_encoder["out"](torch.cat([angles.cos(), angles.sin()], -1))
        net, condition = self.neural_network, condition.mT.contiguous()
        h, total = net.input(x.mT.contiguous()), None
        for block in net.residual_blocks:
            h, given = block(h, time, condition)
            total = given if total is None else total + given
        return net.out_proj(total / math.sqrt(LAYERS)).mT.contiguous()


@torch.inference_mode()
def compare(frames: int = 281, steps: int = 25, threads: int = 1, repeats: int = 3) -> dict[str, Any]:
    """The answer described at the head of this file; `frames` at 93.75 a second, `steps` calls for one condition."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    plain = Plain().eval()
    settings = diffwavenetsvc.Config()
    ours = denoise.build(settings.denoiser, MELS, CONDITION).eval()
    ours.load_state_dict(denoise.amphion(plain.state_dict(), LAYERS, ""))
    x, condition = torch.randn(1, frames, MELS), torch.randn(1, frames, CONDITION)
    times = [torch.tensor([1000.0 - 1000 / steps * i]) for i in range(steps)]
    call = denoise.settle(ours, condition)
    torch.testing.assert_close(call(x, times[0]), plain(x, times[0], condition), atol=1e-5, rtol=1e-4)
    clock = time.process_time if threads == 1 else time.perf_counter  # CPU time: other work falls least on it
    taken = []
    for _ in range(repeats):
        started = clock()
        for step in times:
            plain(x, step, condition)
        between = clock()
        call = denoise.settle(ours, condition)
        for step in times:
            call(x, step)
        taken.append((between - started, clock() - between))
    seconds = frames / FRAME_RATE * steps
    return {
        "parameters": sum(p.numel() for p in ours.parameters()),
        "threads": threads,
        "steps": steps,
        "plain": round(min(a for a, _ in taken) / seconds, 5),
        "ours": round(min(b for _, b in taken) / seconds, 5),
        "ratio": round(statistics.median(b / a for a, b in taken), 3),
        "ratio_range": [round(min(b / a for a, b in taken), 3), round(max(b / a for a, b in taken), 3)],
    }


if __name__ == "__main__":
    import talk

    talk.serve(lambda question: compare(**question))
