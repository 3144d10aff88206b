"""From spoken pieces to running speech: where a long sentence may be cut, how much silence is trimmed, and the pause
between two sentences.

A `Joiner` takes what was spoken piece by piece, puts the pause before each piece but the first and moves its times
onto the clock of the whole. It keeps nothing of the sound, so a book takes no more memory than its longest sentence.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from aoide.audio.sound import Sound

# Seconds of silence after a mark, at speed 1; a reader breathes longer after a question than after a comma.
PAUSES = {".": 0.42, "!": 0.42, "?": 0.46, "…": 0.55, ":": 0.28, ";": 0.28, "—": 0.24, ",": 0.18}
PAUSE = 0.3  # after anything else
VARIATION = 0.15  # a pause is that much shorter or longer, by chance: equal pauses sound like a machine
MARKS = frozenset(' .,!?;:—…"()“”')  # symbols without a sound of their own
STRESS = frozenset("ˈˌ")

THRESHOLD = 10 ** (-45 / 20)  # of the loudest frame: below it a frame at the edge counts as silence
FLOOR = 1e-4  # full scale is 1: below it everything is silence
MARGIN = 0.03  # seconds of silence that stay at a trimmed edge
FADE = 0.005  # seconds


class Timed(NamedTuple):
    """A phoneme and when it sounds, in seconds."""

    symbol: str
    start: float
    end: float


class Part(NamedTuple):
    """What was spoken of a sentence in one go, trimmed: samples (samples,) and the phonemes with their times in
    them."""

    samples: np.ndarray
    phonemes: list[Timed]


@dataclass(frozen=True, slots=True, eq=False)
class Speech:
    """What was said: the text, its phonemes with their times, and the sound.

    Attributes:
        sound: of this piece; where it is one of several, the pause before it is in it.
        phonemes: times count from the beginning of the whole.
        start: when `sound` begins, on the same clock, seconds.
    """

    sound: Sound
    phonemes: list[Timed]
    text: str
    start: float = 0.0


def speakable(phonemes: str) -> bool:
    """Whether there is any sound in it, not only marks."""
    return any(symbol not in MARKS and symbol not in STRESS for symbol in phonemes)


def pieces(phonemes: str, most: int) -> list[str]:
    """Cuts what is longer than `most` symbols: after the last comma or other mark that fits, else at the last space,
    else hard.

    A cut after a mark in the first third is not taken, as it would leave crumbs.
    """
    found = []
    rest = phonemes.strip()
    while len(rest) > most:
        window = rest[: most + 1]
        cut = max(window.rfind(mark + " ") + 1 for mark in PAUSES)
        if cut <= most // 3:
            cut = window.rfind(" ")
        if cut <= 0:
            cut = most
        found.append(rest[:cut].strip())
        rest = rest[cut:].strip()
    found.append(rest)
    return [piece for piece in found if speakable(piece)]


def pause_after(phonemes: str) -> float:
    """Seconds of silence that a reader leaves after a sentence that ends like this, at speed 1."""
    mark = phonemes.rstrip(' "()“”')[-1:]
    return PAUSES.get(mark, PAUSE)


def edges(samples: np.ndarray, hop: int, margin: int, before: int, after: int) -> tuple[int, int]:
    """Where the sound begins and ends: (start, stop) in samples.

    Args:
        samples: (samples,).
        hop: length of the frames in which silence is looked for.
        margin: so many samples of silence stay on both sides.
        before, after: at most so many samples may go at the beginning and at the end: those that belong to no phoneme.
    """
    frames = len(samples) // hop
    power = np.square(samples[: frames * hop].reshape(frames, hop)).mean(axis=1)
    loud = np.flatnonzero(power > max(power.max(initial=0.0) * THRESHOLD**2, FLOOR**2))
    if not loud.size:
        return 0, len(samples)
    start = min(max(0, loud[0] * hop - margin), before)
    stop = max(min(len(samples), (loud[-1] + 1) * hop + margin), len(samples) - after)
    return int(start), int(stop)


def trim(samples: np.ndarray, tokens: str, durations: np.ndarray, hop: int, sample_rate: int) -> Part:
    """Takes the silence off both ends of one spoken piece.

    Args:
        samples: (samples,).
        tokens: one symbol per token, without the padding tokens at both ends.
        durations: (tokens + 2,) frames, with those of the padding.

    Returns:
        The samples, faded in and out where something was cut, and the phonemes with their times in them.
    """
    ends = np.cumsum(durations) * hop  # of each token, in samples
    spoken = len(tokens.rstrip("".join(MARKS)))
    margin = round(MARGIN * sample_rate)
    start, stop = edges(samples, hop, margin, before=int(ends[0]), after=int(ends[-1] - ends[spoken]))
    trimmed = samples[start:stop].copy()
    fade = min(round(FADE * sample_rate), len(trimmed))
    ramp = np.linspace(0, 1, fade, endpoint=False, dtype=np.float32)
    if start:
        trimmed[:fade] *= ramp
    if stop < len(samples):
        trimmed[len(trimmed) - fade :] *= ramp[::-1]
    times = np.clip(ends - start, 0, len(trimmed)) / sample_rate
    return Part(trimmed, [Timed(symbol, float(times[i]), float(times[i + 1])) for i, symbol in enumerate(tokens)])


class Joiner:
    """Strings pieces of speech together; one for each text.

    Args:
        sample_rate: Hz.
        speed: shortens the pauses as it shortens the sounds.
        seed: of the variation of the pauses.
        tags: of the sounds.
    """

    def __init__(self, sample_rate: int, speed: float, seed: int, tags: Mapping[str, str] | None = None) -> None:
        self._tags = tags or {}
        self._sample_rate = sample_rate
        self._speed = speed
        self._random = random.Random(seed)
        self._clock = 0  # samples so far
        self._pause = 0.0  # seconds, before the next piece

    def add(self, part: Part, text: str) -> Speech:
        """The part with the pause before it, its phonemes on the clock of the whole."""
        silence = np.zeros(round(self._pause * self._sample_rate), np.float32)
        start = self._clock / self._sample_rate
        begin = start + len(silence) / self._sample_rate
        sound = Sound(np.concatenate([silence, part.samples]), self._sample_rate, self._tags)
        self._clock += len(sound.samples)
        varied = 1 + VARIATION * self._random.uniform(-1, 1)
        self._pause = pause_after("".join(timed.symbol for timed in part.phonemes)) * varied / self._speed
        moved = [Timed(timed.symbol, timed.start + begin, timed.end + begin) for timed in part.phonemes]
        return Speech(sound, moved, text, start)


def merge(speeches: Sequence[Speech], text: str) -> Speech:
    """Consecutive pieces as one."""
    if len(speeches) == 1:
        return replace(speeches[0], text=text)
    samples = np.concatenate([speech.sound.samples for speech in speeches])
    phonemes = [timed for speech in speeches for timed in speech.phonemes]
    return Speech(replace(speeches[0].sound, samples=samples), phonemes, text, speeches[0].start)
