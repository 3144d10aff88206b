"""Sharpens what tools/make_converter.py trained: python tools/polish_converter.py work --minutes 15

Regression says the mean of all that may be meant, and a mean is blurred: formants are wide, edges soft. Here a critic
learns to tell the mel of a singer from the converted one, seeing beside it where the harmonics must stand, and the
conversion learns to please it (least squares, Mao et al. 2016, arXiv:1611.04076; distance of the critic's features,
Larsen et al. 2015, arXiv:1512.09300), while it stays near the recorded mel. The content encoder stays as it is.
Reads work/both.pt, and writes work/polished.pt every two minutes, with which it goes on when it was stopped.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

sys.path.insert(0, str(Path(__file__).resolve().parent))

from make_converter import Both, batches, follow, load, save, shown  # noqa: E402  (after the path)

LR, BETAS, EMA = 3e-4, (0.8, 0.99), 0.996
ALONE = 60  # steps that the critic learns before the conversion does
WEIGHTS = {"mel": 1.0, "adversarial": 0.5, "features": 5.0}
CHANNELS = (24, 48, 64, 64)


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


def seen(model: Both, mel: Tensor, f0: Tensor) -> Tensor:
    """What the critic sees, (batch, 2, frames, mels)."""
    places = model.voice.harmonics(f0).masked_fill((f0 <= 0)[..., None], 0.0)
    return torch.stack([(mel + 5) / 3, places / 3], dim=1)


def converted(model: Both, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """What the conversion makes of the singers' items, what they are, their F0, and the mask of what is real."""
    own = slice(0, len(batch["labels"]))
    mel, f0, mask = batch["mel"][own], batch["f0"][own], batch["mask"][own]
    with torch.no_grad():
        content = model.content(mel, f0, mask).content
    energy = mel.exp().square().sum(-1).sqrt()
    return model.voice(content, f0, energy, batch["speaker"][own], frame_mask=mask).mel, mel, f0, mask


def verdict(critic: Critic, real: Tensor, false: Tensor) -> Tensor:
    """The critic's loss."""
    right, wrong = critic(torch.cat([real, false.detach()]))[-1].chunk(2)
    return (right - 1).square().mean() + wrong.square().mean()


def pleasing(critic: Critic, real: Tensor, false: Tensor) -> dict[str, Tensor]:
    """The conversion's losses before the critic."""
    maps = critic(false)
    with torch.no_grad():
        wanted = critic(real)
    apart = [(a - b).abs().mean() / b.abs().mean() for a, b in zip(maps[:-1], wanted[:-1], strict=True)]
    return {"adversarial": (maps[-1] - 1).square().mean(), "features": torch.stack(apart).mean()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--minutes", type=float, default=15, help="of processor time")
    options = parser.parse_args()
    groups, _ = load(options.work)
    torch.manual_seed(0)
    model, critic, path = Both().train(), Critic().train(), options.work / "polished.pt"
    both = nn.ModuleDict({"model": model, "critic": critic})
    model.load_state_dict(torch.load(options.work / "both.pt", weights_only=True)["mean"])
    optimisers = [torch.optim.AdamW(part.parameters(), LR, BETAS) for part in (critic, model.voice)]
    mean = {name: value.clone() for name, value in model.state_dict().items()}
    spent, step = 0.0, 0
    if path.exists():
        state = torch.load(path, weights_only=True)
        both.load_state_dict(state["model"])
        for optimiser, known in zip(optimisers, state["optimiser"], strict=True):
            optimiser.load_state_dict(known)
        mean, spent, step = state["mean"], state["spent"], state["step"]
    began, saved, whole = time.process_time() - spent, spent, options.minutes * 60
    for batch in batches(
        {name: group for name, group in groups.items() if name != "others"}, np.random.default_rng(step)
    ):
        spent = time.process_time() - began
        for optimiser in optimisers:
            for group in optimiser.param_groups:
                group["lr"] = (
                    LR * min(1.0, (step + 1) / 50) * float(0.5 + 0.5 * np.cos(np.pi * min(1.0, spent / whole)))
                )
        made, mel, f0, mask = converted(model, batch)
        real, false = seen(model, mel, f0), seen(model, made, f0)
        critics = verdict(critic, real, false)
        critics.backward()
        optimisers[0].step()
        found = {"mel": (made - mel).abs().mean(-1)[mask].mean()} | pleasing(critic, real, false)
        if step >= ALONE:
            torch.stack([WEIGHTS[name] * loss for name, loss in found.items()]).sum().backward()
            nn.utils.clip_grad_norm_(model.voice.parameters(), 5.0)
            optimisers[1].step()
            follow(mean, model, EMA)
        both.zero_grad()
        step += 1
        if step % 50 == 0:
            print(f"step {step}, {spent:.0f} s: critic {float(critics.detach()):.3f},", shown(found), flush=True)
        if spent - saved > 120 or spent >= whole:
            saved = spent
            save(path, both, optimisers, mean, spent, step)
        if spent >= whole:
            return


if __name__ == "__main__":
    main()
