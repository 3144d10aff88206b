"""Turns of speech become clips of 3 to 30 s that begin and end in a pause.

What one speaker says with pauses shorter than `max_pause` is joined, up to a comfortable length; a piece too short to
stand alone may fill its neighbour up to the longest. What is longer is cut at its longest pause. Every clip gets a
little of the silence around it.

Differs from Emilia: there a turn of more than 30 s is cut each 30 s, in mid-word as it happens, and only turns shorter
than 3 s are joined, to what precedes them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from aoide.audio import vad
from aoide.data.wild import RATE, Span


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    shortest: float = 3.0  # seconds of a clip
    longest: float = 30.0
    comfortable: float = 15.0  # seconds up to which pieces are joined
    max_pause: float = 2.0  # seconds of silence inside a clip
    margin: float = 0.15  # seconds of silence that a clip keeps at either end, where there is as much

    def __post_init__(self) -> None:
        if not 0 < self.shortest < self.longest <= 30.0:
            raise ValueError(f"shortest {self.shortest} must be above 0 and below longest {self.longest}, at most 30 s")
        if not self.shortest <= self.comfortable <= self.longest:
            raise ValueError(f"comfortable {self.comfortable} must lie between shortest and longest")
        if self.max_pause < 0 or not 0 <= self.margin < self.shortest / 4:
            raise ValueError("max_pause must be at least 0, and margin between 0 and a quarter of shortest")


def spoken(heard: vad.Track, samples: int) -> list[Span]:
    """The stretches of speech in a recording of so many samples."""
    return [
        Span(round(start * RATE), min(samples, round(end * RATE)))
        for start, end in vad.regions(heard)
        if round(start * RATE) < samples
    ]


def clips(turns: Sequence[Span], heard: vad.Track, samples: int, config: Config) -> list[Span]:
    """Clips, in order and apart; those shorter than `shortest` are among them, and no stretch of speech is lost.

    Args:
        turns: stretches of speech in order and apart, each of one speaker.
        heard: the recording as the detector heard it, to find the pauses in.
        samples: of the whole recording.
    """
    room = config.longest - 2 * config.margin
    parts = [part for turn in turns for part in _parts(turn, heard, room)]
    joined: list[Span] = []
    for part in parts:
        if joined and _belongs(joined[-1], part, room, config):
            joined[-1] = joined[-1]._replace(end=part.end)
        else:
            joined.append(part)
    return _widened(joined, samples, round(config.margin * RATE))


def _parts(turn: Span, heard: vad.Track, longest: float) -> list[Span]:
    """A turn, cut where it is longer than a clip may be."""
    places = vad.cuts(heard, turn.start / RATE, turn.end / RATE, longest - 1 / RATE)
    edges = [turn.start, *(round(place * RATE) for place in places), turn.end]
    return [Span(start, end, turn.speaker) for start, end in pairwise(edges)]


def _belongs(clip: Span, part: Span, room: float, config: Config) -> bool:
    """Whether a part is to go on with the clip before it."""
    if part.speaker != clip.speaker or part.start - clip.end > config.max_pause * RATE:
        return False
    together = (part.end - clip.start) / RATE
    needy = min(clip.seconds, part.seconds) < config.shortest
    return together <= (room if needy else min(room, config.comfortable))


def _widened(clips: Sequence[Span], samples: int, margin: int) -> list[Span]:
    """Gives each clip some of the silence around it, to either neighbour no more than half of what lies between."""
    between = [(before.end + after.start) // 2 for before, after in pairwise(clips)]
    walls = zip(clips, [0, *between], [*between, samples], strict=False)  # no clips have no walls
    return [
        clip._replace(start=max(clip.start - margin, left), end=min(clip.end + margin, right))
        for clip, left, right in walls
    ]
