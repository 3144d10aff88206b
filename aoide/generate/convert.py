"""Conversion of long sound: where it is cut, what is measured of it first, and how its parts are joined again.

    source = Source.of(sound)                            # or Source.file("song.flac"): read twice, never whole
    heard = survey(source, 24000, 256, "swift")          # cuts, F0 and level: 800 bytes a second
    for piece in joined(source, heard.starts, 24000, 256, work): ...

A sound is cut where nobody sings (aoide/audio/vad.py). Each part is converted with a second more on both sides, which
is all that networks hear of a neighbour, and is faded into the next over a tenth of a second. So memory does not grow
with the sound, but for its F0.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from aoide.audio import io, pitch, vad
from aoide.audio.sound import Sound
from aoide.config import UserError

LONGEST = 20.0  # seconds of a part
AROUND = 1.0  # seconds before and after a part that are converted with it
FADE = 0.1  # seconds over which a part goes over into the next
FLOOR, CEILING = 60.0, 1100.0  # Hz between which F0 is looked for
LEAST = 5  # voiced frames of which a median says something
PIECE = 10  # seconds that a sound in memory is handed out at a time
FULL, FLAT = 32767 / 32768, 3  # of full scale: so many samples running at it were cut off there
Task = Literal["svc", "vc"]
Transpose = float | Literal["auto"]
Work = Callable[[np.ndarray, int], np.ndarray]


@dataclass(frozen=True, slots=True)
class Source:
    """A sound that can be read more than once, at any rate.

    Attributes:
        blocks: rate in Hz -> its samples at that rate, one channel, in pieces.
        seconds: how long it is.
        clipped: reads it as it is, and counts the places where it was cut off at full scale.
    """

    blocks: Callable[[int], Iterator[np.ndarray]]
    seconds: float
    clipped: Callable[[], int] = lambda: 0

    @classmethod
    def of(cls, sound: Sound) -> Source:
        """A sound in memory."""

        def blocks(rate: int) -> Iterator[np.ndarray]:
            samples = sound.mono().resample(rate).samples
            return (samples[i : i + PIECE * rate] for i in range(0, len(samples), PIECE * rate))

        return cls(blocks, sound.seconds, lambda: flat(sound.samples))

    @classmethod
    def file(cls, path: str | os.PathLike[str]) -> Source:
        """A sound file.

        Raises:
            UserError: none that can be read.
        """
        return cls(lambda rate: io.blocks(path, rate), io.probe(path).seconds, lambda: _flat_in(path))


def flat(samples: np.ndarray) -> int:
    """Samples (samples,) or (samples, channels) -> places where FLAT or more running ones are at full scale."""
    full = np.abs(samples if samples.ndim == 2 else samples[:, None]) >= FULL
    if not full.any() or len(full) < FLAT:
        return 0
    runs = np.all([full[n : len(full) - FLAT + 1 + n] for n in range(FLAT)], axis=0)
    return int(runs[0].sum() + (runs[1:] & ~runs[:-1]).sum())


def _flat_in(path: str | os.PathLike[str]) -> int:
    """The same of a file; 0 of one that was coded with loss by a codec that libsndfile does not read."""
    if not io.native(path):
        return 0
    import soundfile

    with soundfile.SoundFile(os.fspath(path)) as file:
        return sum(flat(piece) for piece in file.blocks(PIECE * file.samplerate, dtype="float32", always_2d=True))


@dataclass(frozen=True, slots=True, eq=False)
class Heard:
    """What a source was found to be.

    Attributes:
        starts: samples at which its parts begin, the first at 0.
        f0: (frames,) Hz, 0 = unvoiced, of the whole.
        level: (frames,) root mean square of each hop.
        hop: samples of a frame.
    """

    starts: tuple[int, ...]
    f0: np.ndarray
    level: np.ndarray
    hop: int

    def f0_of(self, first: int, frames: int) -> np.ndarray:
        """F0 (frames,) from frame `first` on; unvoiced beyond the end."""
        found = self.f0[first : first + frames]
        return np.pad(found, (0, frames - len(found)))

    @property
    def silent(self) -> bool:
        """Whether there is nothing to convert."""
        return not len(self.level) or float(self.level.max()) < 1e-5

    @property
    def median(self) -> float | None:
        """Hz, of F0; None where too little is voiced."""
        voiced = self.f0[self.f0 > 0]
        return float(np.median(voiced)) if len(voiced) >= LEAST else None

    @property
    def loudness(self) -> float:
        """The natural logarithm of the level where somebody sings: the median of voiced frames, else of loud ones."""
        voiced = self.level[(self.f0 > 0) & (self.level > 1e-5)]
        if len(voiced) < LEAST:
            voiced = self.level[self.level >= 0.1 * self.level.max(initial=0.0)]
        return math.log(max(float(np.median(voiced)) if len(voiced) else 0.0, 1e-5))


def survey(source: Source, rate: int, hop: int, method: pitch.Method = "swift") -> Heard:
    """Listens to a source twice: for the places to cut, then, part by part, for F0.

    Args:
        rate: Hz at which it will be converted.
        hop: samples of a frame at that rate.
        method: the tracker of F0, see `aoide.audio.pitch`.

    Raises:
        UserError: a sound that cannot be read, or with NaN or infinity in it.
        MissingExtra: the tracker is not installed.
    """
    starts = cuts(source, rate, hop)
    f0s, levels, length = [], [], 0
    for part in parts(source, rate, starts, round(AROUND * rate) // hop * hop):
        samples, length = part.samples, part.stop
        if not np.isfinite(samples).all():
            raise UserError("the sound holds NaN or infinity")
        first, count = (part.start - part.begin) // hop, -(-(part.stop - part.start) // hop)
        padded = np.pad(samples, (0, -len(samples) % hop))
        f0 = pitch.track(padded, rate, hop, method, FLOOR, CEILING)
        f0s.append(f0[first : first + count])
        power = np.square(padded.reshape(-1, hop), dtype=np.float64).mean(1)
        levels.append(np.sqrt(power)[first : first + count].astype(np.float32))
    none = [np.zeros(0, np.float32)]
    starts = tuple(start for start in starts if start < max(1, length))
    return Heard(starts, np.concatenate(none + f0s), np.concatenate(none + levels), hop)


def findings(source: Source, heard: Heard) -> Iterator[str]:
    """What is odd about a source, a line each; it is converted all the same."""
    if heard.silent:
        yield "nothing is heard in the recording: what comes out is silent, too"
    elif heard.median is None:
        yield "no pitch is heard in the recording (a whisper, noise?): it is converted without being transposed"
    places = source.clipped()
    if places:
        yield f"the recording was cut off at full scale in {places} places: record it with less gain if you can"


def cuts(source: Source, rate: int, hop: int, longest: float = LONGEST) -> tuple[int, ...]:
    """Samples, at `rate`, at which the parts of a source begin: 0, and where it is cut, on whole frames."""
    # Silero knows speech, and takes many a sung note for a pause
    track = vad.track(source.blocks(vad.RATE), vad.Energy())
    seconds = vad.cuts(track, 0.0, track.seconds, longest)
    return tuple(sorted({0, *(round(second * rate / hop) * hop for second in seconds)}))


def semitones(transpose: Transpose, task: Task, source: float | None, target: float) -> float:
    """How far F0 is moved.

    Args:
        transpose: semitones, or "auto": from the median of the source's F0 to the target's, for singing by whole
            semitones, so that who plays along can.
        source: Hz, None where nothing is voiced.
        target: Hz.

    Raises:
        UserError: more than four octaves.
    """
    if transpose == "auto":
        if source is None or target <= 0:
            return 0.0
        distance = 12 * math.log2(target / source)
        return float(round(distance)) if task == "svc" else distance
    if not abs(transpose) <= 48:
        raise UserError(f"transpose {transpose:g}: -48 to 48 semitones, or auto")
    return float(transpose)


def joined(source: Source, starts: tuple[int, ...], rate: int, hop: int, work: Work) -> Iterator[np.ndarray]:
    """Converts a source part by part.

    Args:
        starts: samples at which parts begin, see `cuts`.
        rate, hop: Hz, and samples of a frame.
        work: samples (frames * hop,) of a part with what is around it, and the frame of the whole that it begins with
            -> as many samples, converted.

    Yields:
        Samples (samples,), as long as the source in the end.
    """
    fade = round(FADE * rate / 2) // hop * hop
    around = round(AROUND * rate) // hop * hop
    rise = np.linspace(0.0, 1.0, 2 * fade, dtype=np.float32)
    held = np.zeros(0, np.float32)  # the end of the part before, over which the next one fades in
    for part in parts(source, rate, starts, around):
        padded = np.pad(part.samples, (0, -len(part.samples) % hop))
        made = work(padded, part.begin // hop)[: len(part.samples)]
        start = max(0, part.start - fade - part.begin)
        stop = len(made) if part.last else part.stop + fade - part.begin
        made = made[start:stop].copy()
        joint = min(len(held), len(made))
        made[:joint] = held[:joint] * (1 - rise[:joint]) + made[:joint] * rise[:joint]
        keep = 0 if part.last else min(2 * fade, len(made))
        held = made[len(made) - keep :]
        yield made[: len(made) - keep]


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """A part of a source: from `start` to `stop`, with sound around it from `begin` on; all in samples."""

    samples: np.ndarray
    begin: int
    start: int
    stop: int
    last: bool


def parts(source: Source, rate: int, starts: tuple[int, ...], around: int) -> Iterator[Part]:
    """The parts that begin at `starts`, each with `around` samples before and after where there are any."""
    blocks = source.blocks(rate)
    held, offset, ended = np.zeros(0, np.float32), 0, False

    def fill(until: int | None) -> None:
        nonlocal held, ended
        taken = [held]
        size = offset + len(held)
        while not ended and (until is None or size < until):
            block = next(blocks, None)
            if block is None:
                ended = True
            else:
                taken.append(np.asarray(block, np.float32))
                size += len(block)
        held = np.concatenate(taken)

    for start, stop in zip(starts, (*starts[1:], None), strict=True):
        fill(None if stop is None else stop + around)
        begin = max(0, start - around)
        held, offset = held[begin - offset :], begin
        end = offset + len(held)
        if stop is None or stop >= end:
            if end > start:
                yield Part(held, offset, start, end, last=True)
            return
        yield Part(held[: min(end, stop + around) - offset], offset, start, stop, last=False)
