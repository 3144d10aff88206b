"""Does the small model of described sounds play what a caption says? Part `model` of benchmarks/described.py.

Two hundred captions of combinations of instrument, kind, register, direction and speed that training never saw
(`aoide prepare general_midi --unseen`, numbers 0 to 199). Of each caption one sound, seed 0.

- Instrument: a small classifier of cepstral statistics, trained here on 1,500 renders with seeds of their own and on
  blurred copies of their mels, 25 instruments and drums. Its accuracy on the true renders of the same captions is
  stated, and on those as the vocoder copies them: more than that cannot be reached.
- Direction and register, of what has one line (notes, repeated notes, scales, arpeggios): F0 by aoide.audio.pitch.
  Direction is the sign of the rank correlation of F0 with time; register where the median lies. For true renders too.
- Fréchet distance to 400 other held-out renders, in the 32 numbers before the classifier's last layer; beside that of
  the nearest captions of the training set (their true renders), by words that both have, rare ones counting more.
- Speed: seconds of work per second of sound on two threads with 10 steps, everything loaded.

Settings are chosen on captions with numbers from 5,000 on, never on the two hundred.
"""

import math
import time
import warnings
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from aoide.audio import pitch
from aoide.audio.font import open_font
from aoide.audio.mel_config import MelConfig
from aoide.audio.sampler import Font, play
from aoide.audio.sound import Sound
from aoide.audio.spectrum import log_mel
from aoide.data.corpora import _phrases
from aoide.generate.described import Described
from aoide.generate.vocoder import Vocoder
from aoide.metrics.frechet_distance import frechet_distance
from aoide.text.wordvectors import words

RATE, COUNT, STEPS = 24_000, 200, 10
LEARNED, OTHERS, TRAINED = 1500, 400, 5000  # renders for the classifier, for the distance; clips of the training set
FIRST_LEARNED, FIRST_OTHER = 1_000_000, 1000  # their first numbers
CLASSES = (*_phrases.INSTRUMENTS, -1)  # -1: drums
MEL = MelConfig()
FLOOR = -9.0
COSINES = np.cos(np.pi * np.arange(40)[:, None] * (np.arange(MEL.n_mels) + 0.5) / MEL.n_mels) / 10
EPOCHS, BATCH, BLURS = 25, 64, 3
LOUD = 9.0  # natural log below the loudest that the classifier sees
QUIET = 20.0  # dB below the loudest frame: F0 is not asked there
ASKED = {"instrument": 0.70, "direction": 0.70, "register": 0.70, "distance_ratio": 2.0, "seconds_per_second": 1.0}


class Case(NamedTuple):
    """A caption, what it says, and the render."""

    spec: _phrases.Spec
    caption: str
    sound: np.ndarray


def case(number: int, unseen: bool, font: Font | None) -> Case:
    """The clip of a number, as `aoide prepare general_midi` makes it; without a font only its caption."""
    random = np.random.default_rng([number, unseen])
    spec = _phrases.draw(random, unseen)
    notes = _phrases.notes(spec, random)
    played = np.zeros((1, 2), np.float32) if font is None else play(font, notes)
    sound = _phrases.sound(played.mean(1), spec, RATE, random)
    return Case(spec, _phrases.caption(spec, random, notes[0].pitch), sound)


def cases(first: int, count: int, unseen: bool, what: str) -> list[Case]:
    font = open_font()
    return [case(number, unseen, font) for number in tqdm(range(first, first + count), desc=what, disable=None)]


# ----------------------------------------------------------------------------------------------------------- instrument


def picture(sound: np.ndarray) -> np.ndarray:
    """The mel of a sound, (frames, mels)."""
    return np.maximum(log_mel(sound, MEL)[: round(_phrases.SECONDS * MEL.frame_rate)], FLOOR)


def blurred(mel: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """A mel of which what is heard clearly is left: with noise, smoothed, with another floor and another level. From
    these too the classifier learns, so that it judges instruments and not how exactly a mel is drawn.
    """
    mel = mel + random.uniform(0, 0.5) * random.standard_normal(mel.shape)
    for axis in (0, 1):
        for _ in range(int(random.integers(0, 3))):
            mel = 0.5 * mel + 0.25 * (np.roll(mel, 1, axis) + np.roll(mel, -1, axis))
    return np.maximum(mel + random.uniform(-1, 1), random.uniform(FLOOR, FLOOR + 2.5))


def features(mel: np.ndarray) -> np.ndarray:
    """What the classifier sees of a mel: how its cepstrum lies and moves, at onsets and late, and how the level comes
    and goes. Not the level itself.
    """
    mel = np.maximum(mel, mel.max() - LOUD)
    level = np.log(np.exp(2 * mel).sum(1) + 1e-6) / 2
    level = np.maximum(level - level.max(), -6)
    mel = mel - mel.max()
    cepstra = mel @ COSINES.T
    loud = _shares(level > -3)
    late = _shares(np.exp(-(((level + 2.5) / 0.8) ** 2)))
    onsets = _shares(np.maximum(0, np.diff(level, prepend=0)))
    mean = loud @ cepstra
    spread = np.sqrt(loud @ (cepstra - mean) ** 2)
    moves = _shares(loud[1:]) @ np.abs(np.diff(cepstra, axis=0))
    levels = np.histogram(level, bins=12, range=(-6, 0))[0] / len(level)
    steps = np.histogram(np.diff(level), bins=16, range=(-0.4, 0.8))[0] / len(level)
    after = onsets @ np.concatenate([cepstra[2:], cepstra[-2:]])
    return np.concatenate([mean, spread, after, moves, late @ cepstra, loud @ mel, levels, steps]).astype(np.float32)


def _shares(weights: np.ndarray) -> np.ndarray:
    return weights / (weights.sum() + 1e-9)


class Ears(nn.Module):
    """Features (sounds, values) -> scores of CLASSES, and the 32 numbers before."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, known: Tensor) -> None:
        super().__init__()
        self.register_buffer("mean", known.mean(0))
        self.register_buffer("deviation", known.std(0) + 1e-3)
        self.wide, self.narrow = nn.Linear(known.shape[1], 256), nn.Linear(256, 32)
        self.out = nn.Linear(32, len(CLASSES))
        self.first, self.second = nn.Dropout(0.2), nn.Dropout(0.3)

    def forward(self, seen: Tensor) -> tuple[Tensor, Tensor]:
        x = (seen - self.mean) / self.deviation
        x = self.first(x + 0.1 * torch.randn_like(x) if self.training else x)
        numbers = self.narrow(self.second(nn.functional.gelu(self.wide(x))))
        return self.out(nn.functional.gelu(numbers)), numbers


def seen(mels: Iterable[np.ndarray]) -> Tensor:
    return torch.from_numpy(np.stack([features(mel) for mel in mels]))


def label(spec: _phrases.Spec) -> int:
    return CLASSES.index(-1 if spec.kind == "drums" else spec.program)


def ears(learned: list[Case]) -> Ears:
    """Trains the classifier."""
    torch.manual_seed(0)
    random = np.random.default_rng(0)
    mels = [picture(item.sound) for item in learned]
    data = torch.cat([seen(mels), *(seen(blurred(mel, random) for mel in mels) for _ in range(BLURS))])
    model, labels = Ears(data), torch.tensor([label(item.spec) for item in learned] * (1 + BLURS))
    optimiser = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0.05)
    for _ in tqdm(range(EPOCHS), desc="classifier", disable=None):
        for chosen in torch.randperm(len(data)).split(BATCH):
            loss = nn.functional.cross_entropy(model(data[chosen])[0], labels[chosen], label_smoothing=0.05)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    return model.eval()


@torch.no_grad()
def heard(model: Ears, sounds: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """The classes, and the 32 numbers of each sound."""
    scores, numbers = model(seen(map(picture, sounds)))
    return scores.argmax(1).numpy(), numbers.numpy()


# ------------------------------------------------------------------------------------------------------------------- F0


def line(sound: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Times and MIDI numbers of the frames that have a pitch and are loud enough."""
    hop = 240
    f0 = pitch.contour(sound, RATE, len(sound) // hop, hop / RATE, floor=60, ceiling=1500).hz
    rows = np.pad(sound, (hop, hop))[: (len(f0) + 2) * hop]
    power = np.array([np.mean(rows[i * hop : (i + 3) * hop] ** 2) for i in range(len(f0))])
    there = (f0 > 0) & (10 * np.log10(power + 1e-12) > 10 * np.log10(power.max() + 1e-12) - QUIET)
    return np.flatnonzero(there) * hop / RATE, 69 + 12 * np.log2(f0[there] / 440)


def register(midi: np.ndarray) -> str:
    if len(midi) < 3:
        return ""
    low, high = _phrases.BORDERS
    middle = float(np.median(midi))
    return "low" if middle < low else "high" if middle > high else "middle"


def direction(times: np.ndarray, midi: np.ndarray) -> str:
    if len(midi) < 3:
        return ""
    ranks = [np.argsort(np.argsort(values, kind="stable")).astype(float) for values in (times, np.round(midi))]
    return "rising" if np.corrcoef(ranks[0], ranks[1])[0, 1] > 0 else "falling"


def lines_right(held: list[Case], sounds: list[np.ndarray]) -> dict[str, float]:
    """Shares of right directions and registers."""
    right: dict[str, list[bool]] = {"direction": [], "register": []}
    for item, sound in zip(held, sounds, strict=True):
        if item.spec.kind in ("drums", "chord"):
            continue
        times, midi = line(sound)
        right["register"].append(register(midi) == item.spec.register)
        if item.spec.direction:
            right["direction"].append(direction(times, midi) == item.spec.direction)
    return {name: round(float(np.mean(values)), 3) for name, values in right.items()}


# ------------------------------------------------------------------------------------------------------------ retrieval


def nearest(held: list[Case]) -> list[np.ndarray]:
    """Of each caption the true render of the training caption that is most like it."""
    known = [set(words(case(number, False, None).caption)) for number in range(TRAINED)]
    seen = Counter(word for one in known for word in one)
    font, found = open_font(), []
    for item in tqdm(held, desc="retrieval", disable=None):
        weights = {word: math.log(TRAINED / (1 + seen[word])) for word in set(words(item.caption))}
        alike = [
            sum(weights.get(word, 0.0) for word in one) / math.sqrt(sum(math.log(TRAINED / (1 + seen[w])) for w in one))
            for one in known
        ]
        found.append(case(int(np.argmax(alike)), False, font).sound)
    return found


def share(classes: np.ndarray, held: list[Case]) -> float:
    return round(float(np.mean(classes == [label(item.spec) for item in held])), 3)


def run(name: str, quick: bool = False, keep: Path | None = None, steps: int = STEPS) -> dict[str, Any]:
    """All figures.

    Args:
        name: of the model, or its folder.
        quick: forty captions.
        keep: a folder for the sounds.
    """
    model = Described(name, threads=2)
    count = COUNT // 5 if quick else COUNT
    held = cases(0, count, True, "held-out renders")
    judge = ears(cases(FIRST_LEARNED, LEARNED // (3 if quick else 1), False, "renders to learn from"))
    true = [item.sound for item in held]
    copier = Vocoder(model.description.vocoder, threads=2)
    copies = [copier.resynth(Sound(sound, RATE)).samples for sound in tqdm(true, desc="copies", disable=None)]
    made, started = [], time.perf_counter()
    for item in tqdm(held, desc="made", disable=None):
        made.append(model.make(item.caption, seconds=_phrases.SECONDS, steps=steps, seed=0).samples)
    seconds = (time.perf_counter() - started) / (count * _phrases.SECONDS)
    others = heard(judge, [item.sound for item in cases(FIRST_OTHER, OTHERS, True, "other renders")])[1]
    results: dict[str, Any] = {"captions": count, "seconds_per_second": round(seconds, 3), "threads": 2, "steps": steps}
    sets = {"made": made, "true renders": true, "their copies": copies, "nearest caption": nearest(held)}
    for name, sounds in sets.items():
        classes, numbers = heard(judge, sounds)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of few clips: the ratio has as few on both sides
            distance = float(frechet_distance(others, numbers))
        results[name] = {
            "instrument": share(classes, held), **lines_right(held, sounds), "frechet": round(distance, 3),
        }  # fmt: skip
    results["distance_ratio"] = round(results["made"]["frechet"] / results["nearest caption"]["frechet"], 2)
    if keep is not None:
        for number, (item, sound) in enumerate(zip(held, made, strict=True)):
            Sound(sound, RATE).save(keep / f"{number:03}.wav", {"comment": item.caption})
    return results


def show(results: dict[str, Any]) -> None:
    """Prints the table."""
    print("| sounds | instrument (>= 0.70) | direction (>= 0.70) | register (>= 0.70) | Fréchet distance |")
    print("|---|---|---|---|---|")
    for name in ("made", "true renders", "their copies", "nearest caption"):
        row = results[name]
        print(f"| {name} | {row['instrument']} | {row['direction']} | {row['register']} | {row['frechet']} |")
    ratio, speed = results["distance_ratio"], results["seconds_per_second"]
    print(f"distance relative to the nearest caption's: {ratio} (<= 2); seconds per second: {speed} (<= 1)")


def good(results: dict[str, Any]) -> bool:
    """Whether all that is asked for is reached."""
    right = all(results["made"][name] >= ASKED[name] for name in ("instrument", "direction", "register"))
    return right and all(results[name] <= ASKED[name] for name in ("distance_ratio", "seconds_per_second"))
