"""The conversion of tools/make_converter.py, on what the trained encoder hears, in two steps:

    python tools/make_conversion.py work --minutes 78 --sharpen 22

First it learns the mel by regression, from work/both.pt, whose encoder stays as it is: half of what it hears is
undisguised, so that little is lost, and half disguised, so that it knows other voices. Of the singers it hears what
they say and the songs of `tools/make_converter.py sing`; the notes that WORLD made served the encoder only, as they
sound less like the singer.

Then it is sharpened. Regression says the mean of all that may be meant, and a mean is blurred: formants are wide, edges
soft. A critic learns to tell the mel of a singer from the converted one, seeing beside it where the harmonics must
stand, and the conversion learns to please it (least squares, Mao et al. 2016, arXiv:1611.04076; distance of the
critic's features, Larsen et al. 2015, arXiv:1512.09300), while it stays near the recorded mel.

Writes work/regressed.pt and work/conversion.pt every three minutes and at the end, and goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

sys.path.insert(0, str(Path(__file__).resolve().parent))

from make_converter import CONVERSION, SINGERS, Both, Said, batches, collate, follow, load, save, shown  # noqa: E402

from aoide.models.svc import harmonic  # noqa: E402

SHARES = {"spoken": 5, "heart's songs": 2, "f001": 3, "others": 2}  # of a batch
UNDISGUISED, VAGUE = 0.5, (0.05, 0.15)  # share of items, and deviation of the noise on their content and on the others'
LOUDER = 0.1  # deviation of what training adds to the loudness of an item, in nats
REGRESSION = {"lr": 1.5e-3, "betas": (0.9, 0.98), "decay": 0.02, "ema": 0.998, "warmup": 200, "level": 0.3}
SHARPENING = {"lr": 3e-4, "betas": (0.8, 0.99), "ema": 0.996, "warmup": 50}
ALONE = 60  # steps that the critic learns before the conversion does
WEIGHTS = {"mel": 1.0, "adversarial": 0.5, "features": 5.0}
CHANNELS = (24, 48, 64, 64)
SAVED = 180  # seconds from checkpoint to checkpoint


class Critic(nn.Module):
    """mel and the harmonics' places (batch, 2, frames, mels) -> maps of features, the last of them the verdict."""

    def __init__(self) -> None:
        super().__init__()
        first, second, third, fourth = CHANNELS
        self.layers = nn.ModuleList(
            [
                nn.Conv2d(2, first, 5, stride=2, padding=2),
                nn.Conv2d(first, second, 5, stride=2, padding=2),
                nn.Conv2d(second, third, 3, stride=2, padding=1),
                nn.Conv2d(third, fourth, 3, padding=1),
                nn.Conv2d(fourth, 1, 3, padding=1),
            ]
        )

    def forward(self, x: Tensor) -> list[Tensor]:
        maps = []
        for layer in self.layers:
            x = layer(x)
            maps.append(x)
            x = functional.leaky_relu(x, 0.2)
        return maps


class Trainer:
    """What both steps share: the encoder, the data, and the conversion that learns."""

    def __init__(self, work: Path) -> None:
        self.work = work
        trained = Both()
        trained.load_state_dict(torch.load(work / "both.pt", weights_only=True)["mean"])
        self.encoder, self.voice = trained.content, harmonic.Model(CONVERSION).train()
        groups, self.held = load(work)
        groups["f001"] += groups.pop("f001's songs", [])
        self.batches = batches({name: groups[name] for name in SHARES}, np.random.default_rng(0), SHARES)

    def heard(self, batch: dict[str, Tensor]) -> Tensor:
        """The content of a batch, some of it undisguised, (batch, frames, values)."""
        content = batch["mel"].new_empty(*batch["mel"].shape[:2], CONVERSION.content)
        plain = torch.rand(len(content)) < UNDISGUISED
        for items, disguise, vague in ((plain, False, VAGUE[0]), (~plain, True, VAGUE[1])):
            if items.any():
                self.encoder.train(disguise)
                with torch.no_grad():
                    said = self.encoder.listen(*(batch[name][items] for name in ("mel", "f0", "mask")))
                content[items] = said + vague * torch.randn_like(said)
        return content

    def made(self, voice: harmonic.Model, content: Tensor, batch: dict[str, Tensor]) -> Tensor:
        energy = batch["mel"].exp().square().sum(-1).sqrt()
        if voice.training:
            energy = energy * (LOUDER * torch.randn(len(energy), 1)).exp()
        return voice(content, batch["f0"], energy, batch["speaker"], frame_mask=batch["mask"]).mel

    def judged(self, mean: dict[str, Tensor]) -> str:
        """The distance of the held-out clips, singer by singer, and of others."""
        voice, found = harmonic.Model(CONVERSION).eval(), dict[str, list[float]]()
        voice.load_state_dict(mean)
        self.encoder.eval()
        whose: dict[str, list[Said]] = {}
        for item in self.held:
            whose.setdefault((*SINGERS, "others")[min(item.speaker, len(SINGERS))], []).append(item)
        with torch.inference_mode():
            for name, items in whose.items():
                for item in items[:: max(1, len(items) // 25)]:
                    batch = collate([item])
                    content = self.encoder.listen(batch["mel"], batch["f0"], batch["mask"])
                    found.setdefault(name, []).append(float(apart(self.made(voice, content, batch), batch)))
        return shown({name: float(np.mean(values)) for name, values in found.items()})


def apart(made: Tensor, batch: dict[str, Tensor]) -> Tensor:
    return (made - batch["mel"]).abs().mean(-1)[batch["mask"]].mean()


def steps(
    of: Trainer, path: Path, parts: nn.ModuleDict, optimisers: list[torch.optim.Optimizer], minutes: float
) -> Iterator[tuple[int, float, dict[str, Tensor], dict[str, Tensor]]]:
    """Batches for so many minutes of processor time: (step, share of the time, batch, the conversion's mean weights).

    Goes on from `path`, and writes it from time to time, once the step is done.
    """
    mean = {name: value.clone() for name, value in of.voice.state_dict().items()}
    spent, step = 0.0, 0
    if path.exists():
        state = torch.load(path, weights_only=True)
        parts.load_state_dict(state["model"])
        for optimiser, known in zip(optimisers, state["optimiser"], strict=True):
            optimiser.load_state_dict(known)
        mean, spent, step = state["mean"], state["spent"], state["step"]
    began, saved, whole = time.process_time() - spent, spent, minutes * 60
    while spent < whole:
        yield step, spent / whole, next(of.batches), mean
        step, spent = step + 1, time.process_time() - began
        if spent - saved > SAVED or spent >= whole:
            saved = spent
            save(path, parts, optimisers, mean, spent, step)
            print(f"step {step}, {spent:.0f} s, held out:", of.judged(mean), flush=True)


def paced(optimiser: torch.optim.Optimizer, lr: float) -> None:
    for group in optimiser.param_groups:
        group["lr"] = lr


def fall(share: float, level: float) -> float:
    """1 for a share of the time, then down to 0 as a cosine."""
    return 1.0 if share < level else 0.5 + 0.5 * float(np.cos(np.pi * (share - level) / (1 - level)))


def regress(of: Trainer, minutes: float) -> None:
    how = REGRESSION
    optimiser = torch.optim.AdamW(of.voice.parameters(), how["lr"], how["betas"], weight_decay=how["decay"])
    path, parts = of.work / "regressed.pt", nn.ModuleDict({"model": of.voice})
    for step, share, batch, mean in steps(of, path, parts, [optimiser], minutes):
        paced(optimiser, how["lr"] * min(1.0, (step + 1) / how["warmup"]) * fall(share, how["level"]) + 1e-5)
        apart(of.made(of.voice, of.heard(batch), batch), batch).backward()
        nn.utils.clip_grad_norm_(of.voice.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad()
        follow(mean, of.voice, min(how["ema"], (step + 1) / (step + 15)))


def sharpen(of: Trainer, minutes: float) -> None:
    of.voice.load_state_dict(torch.load(of.work / "regressed.pt", weights_only=True)["mean"])
    how, critic = SHARPENING, Critic().train()
    optimisers = [torch.optim.AdamW(part.parameters(), how["lr"], how["betas"]) for part in (critic, of.voice)]
    path, parts = of.work / "conversion.pt", nn.ModuleDict({"model": of.voice, "critic": critic})
    for step, share, both, mean in steps(of, path, parts, optimisers, minutes):
        for optimiser in optimisers:
            paced(optimiser, how["lr"] * min(1.0, (step + 1) / how["warmup"]) * fall(share, 0.0))
        batch = {name: value[: len(both["labels"])] for name, value in both.items()}  # the singers' items
        made = of.made(of.voice, of.heard(batch), batch)
        real, false = seen(of.voice, batch["mel"], batch["f0"]), seen(of.voice, made, batch["f0"])
        critics = verdict(critic, real, false)
        critics.backward()
        optimisers[0].step()
        found = {"mel": apart(made, batch)} | pleasing(critic, real, false)
        if step >= ALONE:
            torch.stack([WEIGHTS[name] * loss for name, loss in found.items()]).sum().backward()
            nn.utils.clip_grad_norm_(of.voice.parameters(), 5.0)
            optimisers[1].step()
            follow(mean, of.voice, how["ema"])
        parts.zero_grad()
        if step % 100 == 0:
            print(f"step {step}: critic {float(critics.detach()):.3f},", shown(found), flush=True)


def seen(voice: harmonic.Model, mel: Tensor, f0: Tensor) -> Tensor:
    """What the critic sees, (batch, 2, frames, mels)."""
    places = voice.harmonics(f0).masked_fill((f0 <= 0)[..., None], 0.0)
    return torch.stack([(mel + 5) / 3, places / 3], dim=1)


def verdict(critic: Critic, real: Tensor, false: Tensor) -> Tensor:
    """The critic's loss."""
    right, wrong = critic(torch.cat([real, false.detach()]))[-1].chunk(2)
    return (right - 1).square().mean() + wrong.square().mean()


def pleasing(critic: Critic, real: Tensor, false: Tensor) -> dict[str, Tensor]:
    """The conversion's losses before the critic."""
    maps = critic(false)
    with torch.no_grad():
        wanted = critic(real)
    distances = [(a - b).abs().mean() / b.abs().mean() for a, b in zip(maps[:-1], wanted[:-1], strict=True)]
    return {"adversarial": (maps[-1] - 1).square().mean(), "features": torch.stack(distances).mean()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--minutes", type=float, default=78, help="of regression, in processor time")
    parser.add_argument("--sharpen", type=float, default=22, help="minutes before the critic")
    options = parser.parse_args()
    torch.manual_seed(0)
    trainer = Trainer(options.work)
    regress(trainer, options.minutes)
    sharpen(trainer, options.sharpen)


if __name__ == "__main__":
    main()
