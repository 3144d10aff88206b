"""The pitch that a singer makes of notes: an F0 curve by rule, for scores in which nobody has drawn one.

Sung pitch is no staircase. Saitou, Unoki and Akagi (2005, Development of an F0 control model based on F0 dynamic
characteristics for singing-voice synthesis) name what makes it sound sung: the way from note to note, a little too far
at its end (overshoot) and a little to the other side before it (preparation), vibrato on long notes, and small
fluctuations everywhere. Each stands below as a few numbers in semitones and seconds. All of it stays around the notes:
the middle of each is where the score wants it.
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np

from aoide.score import Score, drawn_pitch

GLIDE = 0.11  # seconds from one note to the next, centred on its beginning
GLIDE_SHARE = 0.5  # of the shorter of two notes, at most
OVERSHOOT, OVERSHOOT_MOST, OVERSHOOT_SECONDS = 0.05, 0.3, 0.045  # of the interval; semitones; until its peak
PREPARATION, PREPARATION_MOST, PREPARATION_SECONDS = 0.04, 0.2, 0.04
SCOOP, SCOOP_SECONDS = 0.6, 0.035  # semitones below the first note after a rest, and how fast that is gone
VIBRATO_FROM, VIBRATO_AFTER, VIBRATO_RISE, VIBRATO_FALL = 0.5, 0.2, 0.3, 0.1  # seconds: of a note; in it; to full; back
VIBRATO_DEPTH, VIBRATO_RATE, VIBRATO_SPREAD = (
    0.3,
    5.6,
    0.2,
)  # semitones; Hz, and by how much it differs from note to note
FLUCTUATION, FLUCTUATION_SECONDS = 0.02, 0.03  # semitones (deviation), and how long one lasts
REST = 0.05  # seconds between notes from which on they are not sung in one line


class Tone(NamedTuple):
    """A note that is sung."""

    start: float  # seconds
    end: float
    pitch: float  # MIDI number with cents

    @property
    def seconds(self) -> float:
        return self.end - self.start


def f0(score: Score, times: np.ndarray, seed: int = 0) -> np.ndarray:
    """F0 in Hz at times in seconds (rising, equally far apart), without gaps: what is unvoiced, phonemes know.

    A curve `f0` of the score counts, then what was drawn in UTAU or OpenUtau, then the rule.

    Args:
        seed: of the fluctuations.
    """
    curve = by_rule(tones(score), times, seed)
    for drawn in (drawn_pitch(score), *(c for c in score.curves if c.name == "f0")):
        if drawn is not None and len(drawn.values):
            values = drawn.at(times)
            inside = (times >= drawn.start) & (times < drawn.end) & (values > 0)
            curve[inside] = values[inside]
    return curve


def tones(score: Score) -> list[Tone]:
    """The notes as they are sung: one after the other, each until the next begins at the latest."""
    notes = [note for note in score.notes if note.sung and note.length > 0]
    found = [
        Tone(score.seconds(note.start), score.seconds(note.end), (note.pitch or 0) + note.cents / 100) for note in notes
    ]
    cut = [before._replace(end=min(before.end, after.start)) for before, after in pairwise(found)]
    return [tone for tone in [*cut, *found[-1:]] if tone.seconds > 0]


def by_rule(tones: list[Tone], times: np.ndarray, seed: int = 0) -> np.ndarray:
    """As `f0`, from notes alone: (times,) Hz."""
    if not tones:
        return np.full(len(times), 220.0)
    random = np.random.default_rng(seed)
    pitch = np.full(len(times), tones[0].pitch)
    pitch -= _scoop(tones[0], times)
    for before, after in pairwise(tones):
        pitch += _step(before, after, times)
    for tone in tones:
        pitch += _vibrato(tone, times, VIBRATO_RATE + VIBRATO_SPREAD * random.standard_normal())
    pitch += _fluctuation(times, random)
    return np.asarray(440 * 2 ** ((pitch - 69) / 12))


def _step(before: Tone, after: Tone, times: np.ndarray) -> np.ndarray:
    """The way from one note to the next, 0 long before and the interval long after."""
    interval = after.pitch - before.pitch
    if after.start - before.end > REST:  # the new note is thought of in the rest, and begun from below
        at = (before.end + after.start) / 2
        return np.asarray(interval * _smooth((times - at) / (after.start - before.end)) - _scoop(after, times))
    width = min(GLIDE, GLIDE_SHARE * min(before.seconds, after.seconds))
    way = interval * _smooth((times - after.start) / width)
    size, room = np.sign(interval), width / GLIDE  # short notes have no time for flourishes
    over = min(OVERSHOOT * abs(interval), OVERSHOOT_MOST) * room
    prepare = min(PREPARATION * abs(interval), PREPARATION_MOST) * room
    way += size * over * _bump((times - after.start - width / 4) / OVERSHOOT_SECONDS)
    way -= size * prepare * _bump((after.start - width / 4 - times) / PREPARATION_SECONDS)
    return np.asarray(way)


def _smooth(x: np.ndarray) -> np.ndarray:
    """From 0 to 1 while x goes from -1/2 to 1/2, like half a cosine."""
    return np.asarray(0.5 + 0.5 * np.sin(np.pi * np.clip(x, -0.5, 0.5)))


def _bump(x: np.ndarray) -> np.ndarray:
    """Rises to 1 at x = 1 and fades; 0 for x below 0."""
    x = np.maximum(x, 0)
    return np.asarray(x**2 * np.exp(2 * (1 - x)))


def _scoop(tone: Tone, times: np.ndarray) -> np.ndarray:
    """Semitones below a note that begins after silence."""
    since = times - tone.start
    fading = np.exp(-np.maximum(since, 0) / SCOOP_SECONDS)
    return np.asarray(SCOOP * fading * np.clip(1 + since / 0.2, 0, 1))  # the way down lies in the rest


def _vibrato(tone: Tone, times: np.ndarray, rate: float) -> np.ndarray:
    if tone.seconds < VIBRATO_FROM:
        return np.zeros(len(times))
    since, left = times - tone.start - VIBRATO_AFTER, tone.end - times
    size = np.clip(np.minimum(since / VIBRATO_RISE, left / VIBRATO_FALL), 0, 1)
    return np.asarray(VIBRATO_DEPTH * size * np.sin(2 * np.pi * rate * since))


def _fluctuation(times: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Noise whose neighbours are alike."""
    if len(times) < 2:
        return np.zeros(len(times))
    reach = max(1, round(3 * FLUCTUATION_SECONDS / (times[1] - times[0])))
    window = np.exp(-0.5 * (np.arange(-reach, reach + 1) * 3 / reach) ** 2)
    noise = random.standard_normal(len(times) + 2 * reach)
    return np.asarray(FLUCTUATION * np.convolve(noise, window / np.sqrt(np.square(window).sum()), "valid"))
