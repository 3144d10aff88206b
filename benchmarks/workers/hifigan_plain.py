"""HiFi-GAN V1 as its authors formulate it against ours, with the same weights, timed in turn; a worker (talk.py):

    {"frames": 172, "threads": 1, "repeats": 7}         all of these have defaults

The plain side is the network of the paper in channels-first convolutions, after its weight norm was removed: each
residual block adds to a sum that is divided by three. Both must give the same sound, and it is an error if they do not.
The answer has seconds per second of both (fastest repeat) and `ratio`, ours over plain: the median over the repeats.
"""

import statistics
import time
from typing import Any

import talk
import torch
from torch import Tensor, nn
from torch.nn import functional

from aoide.models.vocoder import hifigan
from aoide.nn.fold import fold

RATES, KERNELS, DILATIONS = (8, 8, 2, 2), (3, 7, 11), (1, 3, 5)
CONFIG = {
    "resblock": "1",
    "upsample_rates": list(RATES),
    "upsample_kernel_sizes": [2 * rate for rate in RATES],
    "upsample_initial_channel": 512,
    "resblock_kernel_sizes": list(KERNELS),
    "resblock_dilation_sizes": [list(DILATIONS)] * 3,
}
HOP, SAMPLE_RATE = 256, 22_050


class Block(nn.Module):
    def __init__(self, channels: int, kernel: int) -> None:
        super().__init__()
        self.convs1 = nn.ModuleList(
            nn.Conv1d(channels, channels, kernel, dilation=d, padding=d * (kernel - 1) // 2) for d in DILATIONS
        )
        self.convs2 = nn.ModuleList(nn.Conv1d(channels, channels, kernel, padding=kernel // 2) for _ in DILATIONS)

    def forward(self, x: Tensor) -> Tensor:
        for wide, narrow in zip(self.convs1, self.convs2, strict=True):
            y = wide(functional.leaky_relu(x, 0.1))
            x = narrow(functional.leaky_relu(y, 0.1)) + x
        return x


class Plain(nn.Module):
    """mel (batch, mels, frames) -> (batch, 1, samples)."""

    def __init__(self) -> None:
        super().__init__()
        channels = [512 >> i for i in range(5)]
        self.conv_pre = nn.Conv1d(80, 512, 7, padding=3)
        pairs = zip(channels[:-1], channels[1:], RATES, strict=True)
        self.ups = nn.ModuleList(nn.ConvTranspose1d(a, b, 2 * rate, rate, rate // 2) for a, b, rate in pairs)
        self.resblocks = nn.ModuleList(Block(width, kernel) for width in channels[1:] for kernel in KERNELS)
        self.conv_post = nn.Conv1d(32, 1, 7, padding=3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv_pre(x)
        for i, up in enumerate(self.ups):
            x = up(functional.leaky_relu(x, 0.1))
            total = None
            for block in self.resblocks[3 * i : 3 * i + 3]:
                total = block(x) if total is None else total + block(x)
            x = total / 3
        return torch.tanh(self.conv_post(functional.leaky_relu(x)))


@torch.inference_mode()
def compare(frames: int = 172, threads: int = 1, repeats: int = 7) -> dict[str, Any]:
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    plain = Plain().eval()
    ours = fold(hifigan.from_official(plain.state_dict(), CONFIG)).eval()
    mel = torch.randn(1, frames, 80)
    channels_first = mel.mT.contiguous()
    torch.testing.assert_close(ours(mel), plain(channels_first)[:, 0], atol=1e-6, rtol=1e-4)
    clock = time.process_time if threads == 1 else time.perf_counter  # CPU time: other work falls least on it
    taken = []
    for _ in range(repeats):
        started = clock()
        plain(channels_first)
        between = clock()
        ours(mel)
        taken.append((between - started, clock() - between))
    seconds = frames * HOP / SAMPLE_RATE
    return {
        "threads": threads,
        "plain": round(min(a for a, _ in taken) / seconds, 4),
        "ours": round(min(b for _, b in taken) / seconds, 4),
        "ratio": round(statistics.median(b / a for a, b in taken), 3),
        "ratio_range": [round(min(b / a for a, b in taken), 3), round(max(b / a for a, b in taken), 3)],
    }


if __name__ == "__main__":
    talk.serve(lambda question: compare(**question))
