"""What is kept of what was measured, and why the rest is not.

The rules of Emilia: the language is one of those wanted and Whisper is at least 80 % sure of it; DNSMOS is 3 or more;
there are two letters or more; and the seconds per letter are no outlier (Tukey's fences: 1.5 interquartile ranges
beyond the quartiles) among the clips of the same recording and language, for a clip that is far too slow or too fast
for its text was written down wrong. To these we add Whisper's own two signs of a guess: a mean log probability below
-1, and a text that repeats itself.

Differs: in a recording of a few clips quartiles mean nothing, so those are compared with all clips of their language.
Judging reads measures and no sound: another limit costs no second of listening.
"""

from __future__ import annotations

import zlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

_ENOUGH = 12  # clips of a recording whose quartiles are its own
_FEWEST = 8  # clips among which one can be an outlier


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    languages: tuple[str, ...] = ()  # two letters each; none: all
    min_confidence: float = 0.8  # probability of the language
    min_dnsmos: float = 3.0  # overall score of DNSMOS, 1 to 5
    min_letters: int = 2
    outliers: float = 1.5  # interquartile ranges beyond the quartiles of seconds per letter; 0: keep them
    min_log_probability: float = -1.0  # mean over the text's tokens
    max_repetition: float = 2.4  # by how much zlib shrinks the text

    def __post_init__(self) -> None:
        if not 0 <= self.min_confidence <= 1 or self.outliers < 0 or self.min_letters < 1:
            raise ValueError("min_confidence lies between 0 and 1, outliers is at least 0, min_letters at least 1")


@dataclass(frozen=True, kw_only=True, slots=True)
class Piece:
    """A stretch of a recording and what was measured of it; seconds are those of the recording."""

    start: float
    end: float
    speaker: str
    audio: str | None = None  # the clip's file, below the output folder; None: it was too short to be listened to
    text: str = ""
    language: str = ""
    confidence: float = 0.0
    log_probability: float = 0.0
    dnsmos: float | None = None

    @property
    def seconds(self) -> float:
        return self.end - self.start

    @property
    def letters(self) -> int:
        return sum(c.isalnum() for c in self.text)


class Verdict(NamedTuple):
    """Why a piece is refused."""

    rule: str  # short, text, language, guess, dnsmos or pace
    reason: str


def judge(recordings: Sequence[Sequence[Piece]], config: Config) -> list[list[Verdict | None]]:
    """A verdict for each piece of each recording; None: it is kept."""
    verdicts = [[_alone(piece, config) for piece in pieces] for pieces in recordings]
    if config.outliers:
        for recording, number, verdict in _outliers(recordings, verdicts, config.outliers):
            verdicts[recording][number] = verdict
    return verdicts


def _alone(piece: Piece, config: Config) -> Verdict | None:
    """What can be said of a piece without the others, the cause before its effects."""
    if piece.audio is None:
        return Verdict("short", f"{piece.seconds:.1f} s of speech alone, too short for a clip")
    if piece.letters < config.min_letters:
        return Verdict("text", "no words heard" if not piece.letters else f"no more than {piece.text!r} heard")
    if config.languages and piece.language not in config.languages:
        return Verdict("language", f"language {piece.language}, wanted {', '.join(config.languages)}")
    if piece.confidence < config.min_confidence:
        sure = f"language {piece.language} is {piece.confidence:.0%} sure, less than {config.min_confidence:.0%}"
        return Verdict("language", sure)
    if piece.log_probability < config.min_log_probability:
        return Verdict("guess", f"its text is a guess, mean log probability {piece.log_probability:.2f}")
    if repetition(piece.text) > config.max_repetition:
        return Verdict("guess", f"its text repeats itself: {piece.text[:40]!r}")
    if piece.dnsmos is not None and not piece.dnsmos >= config.min_dnsmos:
        return Verdict("dnsmos", f"DNSMOS {piece.dnsmos:.2f} is below {config.min_dnsmos:g}")
    return None


def repetition(text: str) -> float:
    """Bytes of a text for each byte that zlib needs; some 1.2 for a sentence, more for a loop."""
    written = text.encode()
    return len(written) / len(zlib.compress(written)) if written else 0.0


def _outliers(
    recordings: Sequence[Sequence[Piece]], verdicts: Sequence[Sequence[Verdict | None]], fences: float
) -> Iterator[tuple[int, int, Verdict]]:
    """(recording, piece, verdict) of those whose pace does not fit their text."""
    by_language: dict[str, list[tuple[int, int, float]]] = defaultdict(list)
    for recording, pieces in enumerate(recordings):
        own: dict[str, list[tuple[int, int, float]]] = defaultdict(list)
        for number, piece in enumerate(pieces):
            if verdicts[recording][number] is None:
                own[piece.language].append((recording, number, piece.seconds / piece.letters))
        for language, paces in own.items():
            if len(paces) >= _ENOUGH:
                yield from _beyond(paces, fences)
            else:
                by_language[language] += paces
    for paces in by_language.values():
        yield from _beyond(paces, fences)


def _beyond(paces: Sequence[tuple[int, int, float]], fences: float) -> Iterator[tuple[int, int, Verdict]]:
    if len(paces) < _FEWEST:
        return
    low, high = np.percentile([pace for *_, pace in paces], [25, 75])
    low, high = low - fences * (high - low), high + fences * (high - low)
    for recording, number, pace in paces:
        if not low <= pace <= high:
            others = f"others take {max(low, 0) * 1000:.0f} to {high * 1000:.0f}"
            yield recording, number, Verdict("pace", f"{pace * 1000:.0f} ms a letter, {others}")
