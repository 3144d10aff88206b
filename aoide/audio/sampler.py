"""A sampler: notes played by recorded tones, as sound fonts hold them. Numpy alone.

A font has programs (instruments, numbered as in General MIDI from 0) and drum kits; each is a list of zones. A zone is
a recorded tone and what it is for: a range of keys, a range of velocities, its pitch, a loop, an envelope. A note is
played by every zone in whose ranges it lies: the tone is read faster or slower (four-point interpolation, third order),
goes round the loop while the note lasts, and fades when it is let go.

What is not played: vibrato and tremolo, envelopes of filter and pitch, chorus and reverb.

Sources: SoundFont Technical Specification 2.04 (Creative/E-mu 2006) for ranges, units and envelopes; Catmull and Rom
1974 for the interpolation.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from aoide.config import UserError

DEEPEST = 100.0  # dB; an envelope ends there, and its times are told for so much
CHOKED = 0.02  # seconds in which a drum ends that another of its group takes the place of
FULL = 0.4  # of full scale: a tone of full level at the greatest velocity, in the middle of the stereo image
LEAST_FADE = 0.004  # seconds: a shorter release would click
KEYS = 128


@dataclass(frozen=True, slots=True)
class Note:
    """One note of a part.

    Raises:
        UserError: numbers that no note has.
    """

    start: float  # seconds
    seconds: float  # until it is let go; it may sound on
    pitch: int  # MIDI number, 69 is the A of 440 Hz; of drums which one it is
    velocity: int = 100  # 1 to 127
    program: int = 0  # 0 to 127, General MIDI's numbers less one; of drums which kit
    drums: bool = False

    def __post_init__(self) -> None:
        if not (self.start >= 0 and 0 < self.seconds < 1e4):
            raise UserError(f"a note begins at 0 s or later and lasts, not {self.seconds} s from {self.start} s on")
        if not (0 <= self.pitch < KEYS and 1 <= self.velocity < KEYS and 0 <= self.program < KEYS):
            raise UserError(f"pitch and program are 0 to 127, velocity 1 to 127: {self}")


@dataclass(frozen=True, slots=True)
class Envelope:
    """How loud a tone is over time: silence, up, held, down to a level, and away when the note is let go."""

    delay: float = 0.0  # seconds, as all times here
    attack: float = 0.001  # from nothing to all, a straight line
    hold: float = 0.0
    decay: float = 0.001  # for 100 dB, a straight line in dB
    sustain: float = 0.0  # dB below full level at which the decay ends
    release: float = 0.1  # for 100 dB

    def levels(self, seconds: float, rate: int) -> np.ndarray:
        """The level of each sample of a note that is let go after `seconds`, to the end of the release: (samples,)."""
        held = max(1, round(seconds * rate))
        # A note that has decayed already needs no release.
        over = self._decibels(np.array([seconds]))[0]
        fade = max(LEAST_FADE, self.release * max(0.0, DEEPEST + over) / DEEPEST)
        falling = over - (DEEPEST + over) * np.arange(1, round(fade * rate) + 1) / (fade * rate)
        decibels = np.concatenate([self._decibels(np.arange(held) / rate), falling])
        return _amplitude(decibels)

    def _decibels(self, time: np.ndarray) -> np.ndarray:
        up = np.clip((time - self.delay) / max(self.attack, 1e-4), 0, 1)
        rising = 20 * np.log10(np.maximum(up, 10 ** (-DEEPEST / 20)))
        since = time - self.delay - self.attack - self.hold
        falling = -DEEPEST * np.clip(since / max(self.decay, 1e-4), 0, 1)
        return np.maximum(np.minimum(rising, 0) + np.maximum(falling, -self.sustain), -DEEPEST)


@dataclass(frozen=True, slots=True, eq=False)
class Zone:
    """A recorded tone and what it is for."""

    samples: np.ndarray  # (samples,) int16 or float32; a few beyond the loop's end go on as the loop does
    rate: int  # of the samples, Hz
    root: float  # the key at which they sound as recorded
    loop: tuple[float, float] | None = None  # samples, from and to; need not be whole numbers
    keys: tuple[int, int] = (0, 127)
    velocities: tuple[int, int] = (0, 127)
    gain: float = 1.0
    pan: float = 0.0  # -1 left, 1 right
    scale: float = 1.0  # semitones a key
    decay_by_key: float = 0.0  # octaves of time that the decay is shorter, a key up from 60
    cutoff: float | None = None  # Hz above which the tone is damped
    choke: int = 0  # drums of one group end each other; 0: none
    envelope: Envelope = field(default_factory=Envelope)

    def plays(self, note: Note) -> bool:
        low, high = self.keys
        soft, loud = self.velocities
        return low <= note.pitch <= high and soft <= note.velocity <= loud

    def sound(self, note: Note, seconds: float, rate: int) -> np.ndarray:
        """The tone of a note that is let go after `seconds`, without its pan: (samples,) float32 at `rate`."""
        envelope, shorter = self.envelope, self.decay_by_key * (note.pitch - 60)
        if shorter:
            envelope = Envelope(
                envelope.delay, envelope.attack, envelope.hold, envelope.decay * 2**-shorter,
                envelope.sustain, envelope.release,
            )  # fmt: skip
        levels = envelope.levels(seconds, rate)
        step = 2 ** ((note.pitch - self.root) * self.scale / 12) * self.rate / rate
        tone = self._read(step, len(levels))
        return tone * (levels[: len(tone)] * (self.gain * (note.velocity / 127) ** 2)).astype(np.float32)

    def _read(self, step: float, count: int) -> np.ndarray:
        """The tone read every `step` samples, `count` times or until it ends."""
        place = np.arange(count) * step
        if self.loop is None:
            place = place[place < len(self.samples) - 3]
        else:
            start, end = self.loop
            place = np.where(place < end, place, start + (place - start) % (end - start))
        if not len(place):
            return np.zeros(0, np.float32)
        needed = self.samples[: int(place.max()) + 4]
        source = needed.astype(np.float32) / 32768 if needed.dtype == np.int16 else needed
        if self.cutoff is not None and self.cutoff < 0.45 * self.rate:
            source = _damped(source, self.cutoff / self.rate)
        source = np.concatenate([source[:1], source, np.zeros(3, np.float32)])
        whole = place.astype(np.int64)
        a, b, c, d = (source[whole + shift] for shift in range(4))
        x = (place - whole).astype(np.float32)
        # The cubic through b and c whose slopes there are those between the neighbours (Catmull-Rom).
        return b + 0.5 * x * (c - a + x * (2 * a - 5 * b + 4 * c - d + x * (3 * (b - c) + d - a)))


class Font(Protocol):
    """Instruments."""

    name: str
    sample_rate: int  # at which notes are best played

    @property
    def programs(self) -> Sequence[int]: ...

    @property
    def kits(self) -> Sequence[int]: ...

    def zones(self, program: int, drums: bool) -> Sequence[Zone]:
        """The zones of one of the programs, or of one of the kits."""


def play(font: Font, notes: Sequence[Note], seconds: float | None = None) -> np.ndarray:
    """Plays notes: (samples, 2) float32 at `font.sample_rate`.

    A program that the font has not is played by the nearest of its family, with a warning; a drum by the nearest one.

    Args:
        seconds: how long the sound is; what sounds on is cut with a short fade. None: until the last note has faded.
    """
    rate, parts = font.sample_rate, []
    which = {key: _at_hand(font, *key) for key in {(note.program, note.drums) for note in notes}}
    held = [(note, *_of(which[note.program, note.drums], note)) for note in notes]
    for note, zones, note_played in held:
        for zone in zones:
            length = _until_choked(note, zone, held) if zone.choke else note.seconds
            tone = FULL * zone.sound(note_played, length, rate)
            angle = np.pi / 4 * (1 + zone.pan)
            parts.append((round(note.start * rate), tone, np.sqrt(2) * np.array([np.cos(angle), np.sin(angle)])))
    end = max((start + len(tone) for start, tone, _ in parts), default=0)
    whole = np.zeros((end if seconds is None else max(end, round(seconds * rate)), 2), np.float32)
    for start, tone, sides in parts:
        whole[start : start + len(tone)] += tone[:, None] * sides.astype(np.float32)
    return whole if seconds is None else _cut(whole, round(seconds * rate), rate)


def _cut(sound: np.ndarray, samples: int, rate: int) -> np.ndarray:
    if len(sound) > samples and samples:
        fade = min(samples, round(0.02 * rate))
        sound[samples - fade : samples] *= np.linspace(1, 0, fade, dtype=np.float32)[:, None]
    return sound[:samples]


def _at_hand(font: Font, program: int, drums: bool) -> Sequence[Zone]:
    """The zones of a program, or of that which comes nearest."""
    there = font.kits if drums else font.programs
    if not there:
        raise UserError(f"the sound font {font.name} has no {'drums' if drums else 'instruments'}")
    if program in there:
        return font.zones(program, drums)
    nearest = min(there, key=lambda other: (other // 8 != program // 8, abs(other - program)))
    if not drums:
        warnings.warn(f"{font.name} has no program {program}: program {nearest} plays it", stacklevel=3)
    return font.zones(nearest, drums)


def _of(zones: Sequence[Zone], note: Note) -> tuple[list[Zone], Note]:
    """The zones that play a note, and the note as they play it: a drum that is not there becomes the nearest one."""
    found = [zone for zone in zones if zone.plays(note)]
    if found or not zones:
        return found, note
    pitch = min((key for zone in zones for key in zone.keys), key=lambda key: abs(key - note.pitch))
    nearest = Note(note.start, note.seconds, pitch if note.drums else note.pitch, note.velocity, note.program)
    near = [zone for zone in zones if zone.keys[0] <= pitch <= zone.keys[1]]
    loud = [zone for zone in near if zone.velocities[0] <= note.velocity <= zone.velocities[1]]
    return loud or near, nearest


def _until_choked(note: Note, zone: Zone, held: Sequence[tuple[Note, list[Zone], Note]]) -> float:
    """How long a drum sounds until another of its group begins."""
    starts = [
        other.start
        for other, zones, _ in held
        if other.start > note.start and other.drums == note.drums and any(each.choke == zone.choke for each in zones)
    ]
    return min([note.seconds, *(max(start - note.start, CHOKED) for start in starts)])


def _amplitude(decibels: np.ndarray) -> np.ndarray:
    """0 at the deepest, so that an envelope ends in silence."""
    floor = 10 ** (-DEEPEST / 20)
    return np.maximum(10 ** (decibels / 20) - floor, 0) / (1 - floor)


def _damped(samples: np.ndarray, cutoff: float) -> np.ndarray:
    """A Butterworth filter of second order, without its delay: `cutoff` of the sample rate."""
    padding = 256
    spectrum = np.fft.rfft(np.pad(samples, (padding, padding), mode="edge"))
    ratio = np.fft.rfftfreq(len(samples) + 2 * padding) / cutoff
    return np.fft.irfft(spectrum / np.sqrt(1 + ratio**4), len(samples) + 2 * padding)[padding:-padding].astype(
        np.float32
    )
