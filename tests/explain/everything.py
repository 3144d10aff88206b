"""A recording with something of every kind in it, made of numbers alone: what tests gather, save and look at."""

import numpy as np

import aoide
from aoide import trace
from aoide.audio.sound import Sound
from aoide.explain.heard import HOUSE
from aoide.explain.recorder import Recorder

SECONDS, STEPS = 1.2, 8
SYMBOLS = list("·hˈæpi.·")


def mel(seed: int = 0) -> np.ndarray:
    """A log mel of something like a voice: harmonics that glide, with a pause."""
    frames = round(SECONDS * HOUSE.frame_rate)
    time = np.arange(frames) / frames
    f0 = 180 * 2 ** (0.5 * np.sin(5 * time + seed))
    centre = 700 * (10 ** ((np.arange(100) + 1) / 101 * 2595 * np.log10(1 + 12000 / 700) / 2595) - 1)
    out = np.full((frames, 100), -9.0)
    for harmonic in range(1, 30):
        width = 20 + 0.05 * centre
        near = np.exp(-0.5 * ((centre - harmonic * f0[:, None]) / width) ** 2)
        out = np.maximum(out, -9 + (9 - 0.18 * harmonic) * near)
    out[(time > 0.45) & (time < 0.55)] = HOUSE.silence
    return out.astype(np.float32)


def steps(seed: int = 0, count: int = STEPS) -> np.ndarray:
    """From noise to the mel, normalised: (steps, frames, mels)."""
    noise = np.random.default_rng(seed).normal(size=mel(seed).shape)
    shares = np.linspace(0, 1, count + 1)[1:, None, None]
    return (np.sqrt(1 - shares**2) * noise + shares * (mel(seed) + 4.5) / 4).astype(np.float32)


def record(seed: int = 0, count: int = STEPS, inside: bool = True, **about: object) -> Recorder:
    """The recording."""
    random = np.random.default_rng(seed + 1)
    given = {"name": "svc/example", "task": "convert", "mel": HOUSE, "symbols": SYMBOLS, "seed": seed, **about}
    with aoide.trace(None, **given) as recorder:
        for number, x in enumerate(steps(seed, count)):
            if inside:
                look = np.exp(-0.5 * (np.subtract.outer(np.arange(40), np.arange(40)) / (1 + number)) ** 2)
                trace.active("attention") and trace.report("attention", (look / look.sum(1))[None, None].repeat(2, 1))
            for layer in (0, 2, 4):
                trace.report("hidden", random.normal(size=(1, 16)) + number * np.ones(16), layer=layer, layers=5)
            trace.report("flow/x", x[None], step=number, time=(number + 1) / count)
        trace.report("mel", mel(seed)[None])
        if inside:
            _inside(random)
    seconds = np.arange(round(SECONDS * 24000)) / 24000
    recorder.reference = Sound((0.3 * np.sin(2 * np.pi * 200 * seconds)).astype(np.float32), 24000)
    return recorder


def _inside(random: np.random.Generator) -> None:
    durations = np.array([[8, 10, 0, 22, 12, 30, 10, 20]])
    token = np.repeat(np.arange(8), durations[0])
    trace.report("align/soft", np.eye(8)[token][None] * 0.9 + 0.0125)
    trace.report("align/durations", durations)
    trace.report("token_pitch", random.normal(size=(1, 8)))
    trace.report("token_energy", random.normal(size=(1, 8)))
    hidden = np.ones(30, bool)
    order = random.permutation(30)
    for layer in (0, 0, 1):
        hidden[:] = True
        for step in range(5):
            after = hidden.copy()
            after[order[: 6 * (step + 1)]] = False
            where = {"step": step, "layer": layer}
            values = {"codes": order, "hidden": after.copy(), "sure": random.uniform(size=int(hidden.sum()))}
            for name, value in values.items():
                trace.report(f"masked/{name}", value, **where)
            hidden = after
    for step in range(12):
        trace.report("tokens/next", random.normal(size=50) * 3, step=step, token=int(random.integers(50)))
    trace.report("dac/codes", random.integers(0, 64, (1, 90, 4)))
    for part in range(2):
        trace.report("critic/scores", random.normal(size=(2, 1, 40, 12 + part)), critic="band", part=part)
