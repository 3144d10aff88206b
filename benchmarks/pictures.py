"""Pictures of the pages about singing: python benchmarks/pictures.py

    docs/images/sing-piano-roll.png   a melody that no singer learned from, and the F0 that is heard in what one sings
    docs/images/sing-samplers.png     steps against quality of every sampler

The samplers go back from noise to mels of singing whose distribution is known: a mixture of Gaussians, fitted to what a
singer of the package sings. Its denoiser and its velocity are known exactly, so what is seen is the error of a sampler
and of nothing else: how far it comes to lie from where very many steps lead from the same noise, root mean square over
bands, in dB. For `ddpm`, which draws noise at every step, the noise of a large step is that of the small ones together.
"""

import math
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from singing import FIRST, RANGES
from torch import Tensor

from aoide.audio import pitch
from aoide.audio.mel import MelConfig, MelSpectrogram
from aoide.data.corpora._melodies import melody
from aoide.generate.intonation import tones
from aoide.generate.singer import Singer
from aoide.objectives import diffusion, flow
from aoide.objectives.diffusion import Process
from aoide.plots import lines, piano_roll
from aoide.score import Score

IMAGES = Path(__file__).resolve().parents[1] / "docs" / "images"
SINGER, SECONDS = "en-heart-song", 9.0
FRAMES, PARTS = 200, 24
LOW, HIGH = -11.52, 2.0  # log mel that is brought to -1 and to 1
DB = (HIGH - LOW) / 2 * 20 / math.log(10)
STEPS = {"diffusion": (5, 10, 20, 50, 100), "flow": (2, 5, 10, 20, 50)}
MANY = {"diffusion": 1000, "flow": 300}


def roll(target: Path) -> None:
    """The piano roll of the first seconds of a held-out melody."""
    low, high = RANGES["en"]
    score, singer = melody(FIRST + 1, "en", low=low, high=high), Singer(SINGER)
    performance = singer.perform(score)
    sound, hop = performance.sound, singer.description.hop
    f0 = pitch.track(sound.samples, sound.sample_rate, hop)
    sung = [note for note in score.notes if note.sung and note.length > 0]
    notes = [note for note in tones(score) if note[1] <= SECONDS]
    lyrics = [note.lyric or "" for note in sung[: len(notes)]]
    frames = round(notes[-1][1] * singer.frame_rate) + 12
    title = f"a score that {SINGER} has never seen: its notes, and the F0 heard in what is sung"
    picture = piano_roll.figure(notes, f0[:frames], singer.frame_rate, title=title, lyrics=lyrics)
    target.write_bytes(picture)


class Mixture(NamedTuple):
    """A distribution of frames that is known: (parts,), and (parts, bands) each."""

    weights: Tensor
    means: Tensor
    variances: Tensor

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        part = torch.multinomial(self.weights, count, replacement=True, generator=generator)
        noise = torch.randn(count, self.means.shape[1], generator=generator)
        return self.means[part] + self.variances[part].sqrt() * noise

    def clean(self, x: Tensor, sound: float, noise: float) -> Tensor:
        """What x_0 is expected where x = sound * x_0 + noise * epsilon."""
        spread, means = sound**2 * self.variances + noise**2, sound * self.means
        near = x.square() @ (1 / spread).T - 2 * x @ (means / spread).T
        near = near + (means.square() / spread + spread.log()).sum(1)
        share = (self.weights.log() - 0.5 * near).softmax(-1)
        gain = sound * self.variances / spread
        return share @ (self.means - gain * means) + x * (share @ gain)


def fitted(frames: Tensor, generator: torch.Generator) -> Mixture:
    """By k-means."""
    means = frames[torch.randperm(len(frames), generator=generator)[:PARTS]]
    for _ in range(20):
        nearest = torch.cdist(frames, means).argmin(1)
        means = torch.stack([frames[nearest == k].mean(0) if (nearest == k).any() else means[k] for k in range(PARTS)])
    counts = torch.stack([(nearest == k).sum() for k in range(PARTS)]).float()
    variances = torch.stack([(frames[nearest == k] - means[k]).square().mean(0) for k in range(PARTS)])
    kept = counts > 5
    return Mixture(counts[kept] / counts[kept].sum(), means[kept], variances[kept].clamp(min=1e-4))


class Method(NamedTuple):
    """A sampler, the steps that it is tried with, and how many calls of the network it has made."""

    sample: Callable[[int], Tensor]
    calls: list[int]


def of_diffusion(mixture: Mixture, noise: Tensor) -> dict[str, Method]:
    """The samplers of diffusion."""
    process, calls = Process(), [0]
    alphas = process.alphas()
    logs, spread = alphas.log().numpy(), ((1 - alphas) / alphas).float()
    fine = spread.diff().sqrt()[:, None, None] * torch.randn(len(spread) - 1, *noise.shape)

    def call(x: Tensor, step: Tensor) -> Tensor:
        calls[0] += 1
        alpha = float(np.exp(np.interp(float(step[0]), np.arange(len(logs)), logs)))
        return (x - alpha**0.5 * mixture.clean(x, alpha**0.5, (1 - alpha) ** 0.5)) / (1 - alpha) ** 0.5

    def sample(name: str, steps: int) -> Tensor:
        if name in ("dpm_solver", "unipc"):
            return diffusion.SAMPLERS[name](call, noise, process, process.between(steps))
        walk = process.every(steps, leave_first=True)
        if name != "ddpm":
            return diffusion.SAMPLERS[name](call, noise, process, walk)
        places = [int(step) for step in walk.steps]
        drawn = [fine[a:b].sum(0) / (spread[b] - spread[a]).sqrt() for a, b in pairwise(places)]
        return diffusion.ddpm(call, noise, process, walk, noise=drawn[::-1])

    names = ("ddpm", "ddim", "plms", "pndm", "dpm_solver", "unipc")
    return {name: Method(partial(sample, name), calls) for name in names}


def of_flow(mixture: Mixture, noise: Tensor) -> dict[str, Method]:
    """The solvers of flows."""
    calls = [0]

    def call(x: Tensor, time: Tensor) -> Tensor:
        calls[0] += 1
        t = min(float(time[0]), 1 - 1e-3)
        return (mixture.clean(x, t, 1 - t) - x) / (1 - t)

    def sample(name: Any, steps: int) -> Tensor:
        return flow.integrate(call, noise, flow.times(steps), name)

    return {name: Method(partial(sample, name), calls) for name in ("euler", "midpoint", "heun", "rk4")}


def samplers(target: Path) -> dict[str, dict[str, lines.Curve]]:
    """Draws steps against quality; returns the numbers."""
    singer, generator = Singer(SINGER), torch.Generator().manual_seed(1)
    songs = [Score.load(IMAGES.parents[1] / "examples" / "songs" / "twinkle.musicxml"), melody(FIRST, "en")]
    sung = np.concatenate([singer.sing(song).samples for song in songs])
    mel = MelSpectrogram(MelConfig())(torch.from_numpy(sung)[None])[0]
    frames = (mel.clamp(min=LOW) - LOW) / (HIGH - LOW) * 2 - 1
    mixture = fitted(frames[torch.randperm(len(frames), generator=generator)[:4000]], generator)
    noise = torch.randn(FRAMES, frames.shape[1], generator=generator)
    torch.manual_seed(2)
    found: dict[str, dict[str, lines.Curve]] = {}
    for kind, of in (("diffusion", of_diffusion), ("flow", of_flow)):
        found[kind] = {}
        for name, method in of(mixture, noise).items():
            best, points = method.sample(MANY[kind]), []
            for steps in STEPS[kind]:
                method.calls[0] = 0
                off = method.sample(steps) - best
                points.append((method.calls[0], DB * float(off.square().mean().sqrt())))
            found[kind][name] = ([calls for calls, _ in points], [off for _, off in points])
    panels = [
        lines.Panel(curves=curves, title=kind, x="calls of the network", y="off from many steps, dB")
        for kind, curves in found.items()
    ]
    target.write_bytes(lines.draw(panels))
    return found


def main() -> None:
    torch.set_num_threads(1)
    roll(IMAGES / "sing-piano-roll.png")
    for method, curves in samplers(IMAGES / "sing-samplers.png").items():
        for name, (calls, off) in curves.items():
            print(method, name, dict(zip(calls, (round(value, 2) for value in off), strict=True)))


if __name__ == "__main__":
    main()
