"""One training step of HiFi-GAN with its period and scale critics, ours and the plain formulation, timed in turn:

    python benchmarks/workers/gan_step.py [--batch 2] [--repeats 5] [--samples 8192]

The plain side is the step as the authors wrote it (github.com/jik876/hifi-gan, train.py): the critics hear recorded and
generated sound in calls of their own, in both turns, and in the generator's turn everything keeps its gradients. It is
written here anew, from the layers of the paper. Ours is `gan.Objective` in the training loop's order. Both have the
same generator, weights, batch and kind of optimiser, so they must lose the same, and it is an error if they do not.
Prints one JSON object: CPU seconds of a step on each side and their ratio (median over the repeats of ours over plain
within a repeat, range).

Both sides use one thread.
"""

import argparse
import copy
import json
import statistics
import time
import warnings
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import spectral_norm, weight_norm

from aoide.models.vocoder import hifigan
from aoide.nn import discriminators
from aoide.objectives import gan
from aoide.train import optimiser

Step = Callable[[], dict[str, float]]
BETAS = (0.8, 0.99)
RATE = 2e-4


class PeriodPart(nn.Module):
    """HiFi-GAN's discriminator of one period."""

    def __init__(self, period: int) -> None:
        super().__init__()
        self.period = period
        sizes = zip(pairwise((1, 32, 128, 512, 1024, 1024)), (3, 3, 3, 3, 1), strict=True)
        self.convs = nn.ModuleList(weight_norm(nn.Conv2d(a, b, (5, 1), (s, 1), padding=(2, 0))) for (a, b), s in sizes)
        self.conv_post = weight_norm(nn.Conv2d(1024, 1, (3, 1), 1, padding=(1, 0)))

    def forward(self, audio: Tensor) -> tuple[Tensor, list[Tensor]]:
        audio = functional.pad(audio, (0, -audio.shape[2] % self.period), "reflect")
        x = audio.view(len(audio), 1, -1, self.period)
        return layers(self, x)


class ScalePart(nn.Module):
    """HiFi-GAN's discriminator of one scale."""

    def __init__(self, norm: Callable[[nn.Module], nn.Module]) -> None:
        super().__init__()
        channels = pairwise((1, 128, 128, 256, 512, 1024, 1024, 1024))
        sizes = zip(
            channels, (15, 41, 41, 41, 41, 41, 5), (1, 2, 2, 4, 4, 1, 1), (1, 4, 16, 16, 16, 16, 1), strict=True
        )
        self.convs = nn.ModuleList(
            norm(nn.Conv1d(a, b, kernel, stride, padding=kernel // 2, groups=groups))
            for (a, b), kernel, stride, groups in sizes
        )
        self.conv_post = norm(nn.Conv1d(1024, 1, 3, 1, padding=1))

    def forward(self, audio: Tensor) -> tuple[Tensor, list[Tensor]]:
        return layers(self, audio)


def layers(part: Any, x: Tensor) -> tuple[Tensor, list[Tensor]]:
    """What the two have in common."""
    features = []
    for conv in part.convs:
        x = functional.leaky_relu(conv(x), 0.1)
        features.append(x)
    x = part.conv_post(x)
    features.append(x)
    return torch.flatten(x, 1, -1), features


class PlainCritic(nn.Module):
    """Several parts, asked about recorded and then about generated sound."""

    def __init__(self, parts: list[nn.Module], *, halve: bool) -> None:
        super().__init__()
        self.discriminators = nn.ModuleList(parts)
        self.halve = nn.AvgPool1d(4, 2, padding=2) if halve else None

    def forward(self, real: Tensor, fake: Tensor) -> list[tuple[Tensor, list[Tensor], Tensor, list[Tensor]]]:
        told = []
        for i, part in enumerate(self.discriminators):
            if i and self.halve is not None:
                real, fake = self.halve(real), self.halve(fake)
            told.append((*part(real), *part(fake)))
        return told


def plain_side(generator: nn.Module, critics: list[PlainCritic], mel_loss: Any, batch: dict[str, Tensor]) -> Step:
    """The authors' step."""
    of_generator = torch.optim.AdamW(generator.parameters(), RATE, betas=BETAS)
    of_critics = torch.optim.AdamW([p for c in critics for p in c.parameters()], RATE, betas=BETAS)
    real = batch["audio"][:, None]

    def step() -> dict[str, float]:
        fake = generator(batch["mel"])[:, None]
        of_critics.zero_grad()
        told = [part for critic in critics for part in critic(real, fake.detach())]
        critic_loss = sum((1 - r).square().mean() + f.square().mean() for r, _, f, _ in told)
        critic_loss.backward()
        of_critics.step()
        of_generator.zero_grad()
        loss = 45 * mel_loss(fake[:, 0], batch)
        told = [part for critic in critics for part in critic(real, fake)]
        loss = loss + sum((1 - f).square().mean() for _, _, f, _ in told)
        loss = loss + 2 * sum((r - f).abs().mean() for _, rs, _, fs in told for r, f in zip(rs, fs, strict=True))
        loss.backward()
        of_generator.step()
        return {"critic": float(critic_loss.detach()), "generator": float(loss.detach())}

    return step


def our_side(objective: gan.Objective, batch: dict[str, Tensor]) -> Step:
    """The objective, moved as aoide/train/loop.py does."""
    optimisers = optimiser.build(optimiser.Config(lr=RATE, betas=BETAS), objective.networks)

    def step() -> dict[str, float]:
        seen = {}
        for name, losses in objective.steps(batch):
            optimisers[name].zero_grad(set_to_none=True)
            total = torch.stack([*losses.values()]).sum()
            total.backward()
            optimisers[name].step()
            seen[name] = float(total.detach())
        return seen

    return step


def sides(batch: int = 2, samples: int = 8192) -> tuple[Step, Step]:
    """The plain step and ours, on the same random batch, from the same weights; each call is a step of training."""
    torch.manual_seed(0)
    config = hifigan.Config()
    generator = hifigan.Model(config)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # the old weight_norm is what the authors have
        periods = PlainCritic([PeriodPart(period) for period in (2, 3, 5, 7, 11)], halve=False)
        scales = PlainCritic([ScalePart(norm) for norm in (spectral_norm, weight_norm, weight_norm)], halve=True)
    objective = gan.Objective(hifigan.TRAINING, hifigan, copy.deepcopy(generator))
    published = {f"mpd.{key}": value for key, value in periods.state_dict().items()}
    published |= {f"msd.{key}": value for key, value in scales.state_dict().items()}
    objective.critic.by_name.load_state_dict(discriminators.from_official(published).by_name.state_dict())
    mel_loss = hifigan.LOSSES["mel"](config)
    data = {
        "mel": torch.randn(batch, samples // config.mel.hop, config.mel.n_mels) - 5,
        "audio": 0.1 * torch.randn(batch, samples),
    }
    return plain_side(generator, [periods, scales], mel_loss, data), our_side(objective, data)


def timed(step: Step) -> tuple[float, dict[str, float]]:
    """CPU seconds of a step, on which other work on the machine falls least, and what was lost."""
    started = time.process_time()
    losses = step()
    return time.process_time() - started, losses


def compare(batch: int, samples: int, repeats: int) -> dict[str, Any]:
    """Both sides in turn; the first step of each, which allocates, is compared and not timed."""
    plain, ours = sides(batch, samples)
    theirs, mine = plain(), ours()
    for name, value in theirs.items():
        if abs(mine[name] - value) > 0.01 * abs(value):  # spectral norm iterates once a call, so that it differs a bit
            raise RuntimeError(f"the two sides differ: the {name} loses {mine[name]:.5g} here, {value:.5g} there")
    times = [(timed(plain)[0], timed(ours)[0]) for _ in range(repeats)]
    ratios = [mine / theirs for theirs, mine in times]
    best = [min(side) for side in zip(*times, strict=True)]
    return {
        "batch": batch,
        "samples": samples,
        "plain_seconds_per_step": round(best[0], 3),
        "ours_seconds_per_step": round(best[1], 3),
        "ratio": round(statistics.median(ratios), 3),
        "ratio_range": [round(min(ratios), 3), round(max(ratios), 3)],
    }


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--batch", type=int, default=2, help="sounds a step (2)")
    words.add_argument("--samples", type=int, default=8192, help="of each sound, a multiple of the hop (8192)")
    words.add_argument("--repeats", type=int, default=5, help="how often both sides run (5)")
    given = words.parse_args()
    torch.set_num_threads(1)
    print(json.dumps(compare(given.batch, given.samples, given.repeats)), flush=True)


if __name__ == "__main__":
    main()
