"""What an instrument plays in a few seconds, and how one says so: specifications, their notes and their captions.

A specification says what a listener could tell: instrument, what is played (note, scale, arpeggio, repeated note,
chord, drums), register, direction, speed, articulation, loudness, tone. Which note it begins on and how it is worded is
left to chance. `unseen` keeps every eighth combination away from training.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from aoide.audio.sampler import Note

SECONDS = 3.072  # of a clip
HELD_OUT = 8  # one combination in so many
REGISTERS = {"low": (38, 42), "middle": (55, 59), "high": (72, 76)}  # where a phrase of an octave begins, from below
BORDERS = (54.5, 71.5)  # MIDI numbers between the registers
SPEEDS = {"slow": (0.46, 0.52), "medium": (0.28, 0.34), "fast": (0.13, 0.17)}  # seconds from note to note
CHORDS = {"major": (0, 4, 7, 12), "minor": (0, 3, 7, 12), "diminished": (0, 3, 6, 12), "seventh": (0, 4, 7, 10)}
SCALES = {"major": (0, 2, 4, 5, 7, 9, 11, 12), "minor": (0, 2, 3, 5, 7, 8, 10, 12)}
TEMPOS = {"slow": (72, 88), "medium": (104, 120), "fast": (148, 168)}  # beats a minute
KICK, SIDE, SNARE, CLAP, HAT, PEDAL, OPEN, CRASH, RIDE, TAMBOURINE, COWBELL, CONGA, SHAKER, CLAVES = (
    *(36, 37, 38, 39, 42, 44, 46, 49, 51, 54, 56, 63, 70, 75),
)


@dataclass(frozen=True, slots=True)
class Instrument:
    """How an instrument is called, and where it plays."""

    names: tuple[str, ...]
    registers: tuple[str, ...]
    held: bool = True  # a note lasts as long as it is played


def _instrument(names: str, registers: str, held: bool = True) -> Instrument:
    where = {"l": "low", "m": "middle", "h": "high"}
    return Instrument(tuple(names.split(", ")), tuple(where[letter] for letter in registers), held)


INSTRUMENTS = {
    0: _instrument("piano, grand piano", "lmh", False),
    9: _instrument("glockenspiel", "h", False),
    11: _instrument("vibraphone", "mh", False),
    12: _instrument("marimba", "mh", False),
    19: _instrument("church organ, pipe organ", "mh"),
    21: _instrument("accordion", "mh"),
    24: _instrument("acoustic guitar, nylon guitar", "lm", False),
    30: _instrument("distorted guitar, overdriven electric guitar", "lm"),
    32: _instrument("double bass, upright bass", "l", False),
    40: _instrument("violin", "mh"),
    42: _instrument("cello", "lm"),
    46: _instrument("harp", "lmh", False),
    48: _instrument("string section, string orchestra", "lmh"),
    52: _instrument("choir, choir of voices", "m"),
    56: _instrument("trumpet", "mh"),
    57: _instrument("trombone", "lm"),
    60: _instrument("french horn, horn", "lm"),
    65: _instrument("saxophone, sax", "mh"),
    71: _instrument("clarinet", "mh"),
    73: _instrument("flute", "mh"),
    80: _instrument("square wave synthesizer, chiptune synth", "lmh"),
    89: _instrument("synth pad, synthesizer pad", "lm"),
    98: _instrument("crystal bell synth, crystal bells", "mh", False),
    104: _instrument("sitar", "m", False),
    114: _instrument("steel drum, steel pan", "mh", False),
}
GROOVES: dict[str, dict[int, tuple[float, ...]]] = {  # drum -> beats of a bar of four on which it sounds
    "rock": {KICK: (0, 2, 2.5), SNARE: (1, 3), HAT: tuple(i / 2 for i in range(8))},
    "disco": {KICK: (0, 1, 2, 3), SNARE: (1, 3), HAT: (0, 1, 2, 3), OPEN: (0.5, 1.5, 2.5, 3.5)},
    "hip hop": {KICK: (0, 0.75, 2.5), CLAP: (1, 3), HAT: tuple(i / 4 for i in range(16))},
    "jazz swing": {RIDE: (0, 1, 1.67, 2, 3, 3.67), PEDAL: (1, 3), KICK: (0,)},
    "bossa nova": {KICK: (0, 1.5, 2, 3.5), SIDE: (0, 0.75, 1.5, 2.5, 3.25), HAT: tuple(i / 2 for i in range(8))},
    "march": {KICK: (0, 2), SNARE: (0, 0.75, 1, 1.75, 2, 2.25, 2.5, 2.75, 3, 3.75)},
    "latin percussion": {CONGA: (0, 1, 1.5, 2, 3, 3.5), COWBELL: (0, 1, 2, 3), SHAKER: tuple(i / 2 for i in range(8))},
    "tambourine and clap": {TAMBOURINE: tuple(i / 2 for i in range(8)), CLAP: (1, 3), KICK: (0, 2)},
}
WORDS = {
    "low": ("low", "deep"),
    "middle": ("middle", "mid-range"),
    "high": ("high", "high-pitched"),
    "rising": ("rising", "ascending", "upward"),
    "falling": ("falling", "descending", "downward"),
    "slow": ("slow", "unhurried"),
    "fast": ("fast", "quick", "rapid"),
    "staccato": ("staccato", "short detached"),
    "legato": ("legato", "smooth"),
    "soft": ("soft", "quiet"),
    "loud": ("loud", "strong"),
    "bright": ("bright", "brilliant"),
    "mellow": ("mellow", "dark"),
}
KINDS = {"note": 3, "scale": 6, "arpeggio": 3, "repeated note": 2, "chord": 3}  # and how often
DRUMS = 0.08  # share of the clips
PLACES = ("C", "C sharp", "D", "E flat", "E", "F", "F sharp", "G", "A flat", "A", "B flat", "B")


@dataclass(frozen=True, slots=True)
class Spec:
    """What is heard; empty where nothing is said of it."""

    kind: str  # one of KINDS, or drums
    program: int = 0
    register: str = ""
    direction: str = ""  # of scales and arpeggios
    quality: str = ""  # of chords, scales and arpeggios
    speed: str = ""
    articulation: str = ""
    loudness: str = ""
    tone: str = ""
    groove: str = ""  # of drums

    @property
    def unseen(self) -> bool:
        """Whether the combination is kept away from training."""
        what = (self.kind, self.program, self.register, self.direction, self.speed, self.groove)
        return zlib.crc32(repr(what).encode()) % HELD_OUT == 0

    def facts(self) -> dict[str, Any]:
        """For a manifest: what is said."""
        return {name: value for name, value in asdict(self).items() if value != ""}


def draw(random: np.random.Generator, unseen: bool = False) -> Spec:
    """A specification by chance, out of those that are kept away from training, or out of the others."""
    while True:
        spec = _drums(random) if random.random() < DRUMS else _played(random)
        if spec.unseen == unseen:
            return spec


def _drums(random: np.random.Generator) -> Spec:
    return Spec("drums", groove=_one(random, tuple(GROOVES)), speed=_one(random, tuple(TEMPOS)))


def _played(random: np.random.Generator) -> Spec:
    program = int(random.choice(list(INSTRUMENTS)))
    of = INSTRUMENTS[program]
    weights = np.array(list(KINDS.values()), float)
    kind = str(random.choice(list(KINDS), p=weights / weights.sum()))
    moving, single = kind in ("scale", "arpeggio"), kind in ("note", "chord")
    return Spec(
        kind,
        program,
        register=_one(random, of.registers),
        direction=_one(random, ("rising", "falling")) if moving else "",
        quality=_one(random, tuple(CHORDS)) if kind == "chord" else _one(random, tuple(SCALES)) if moving else "",
        speed=_one(random, ("short", "long") if single else tuple(SPEEDS)),
        articulation=_one(random, ("", "", "staccato", "legato")) if of.held and not single else "",
        loudness=_one(random, ("", "", "soft", "loud")),
        tone=_one(random, ("", "", "", "bright", "mellow")),
    )


# ---------------------------------------------------------------------------------------------------------------- notes


def notes(spec: Spec, random: np.random.Generator) -> list[Note]:
    """What is played, within SECONDS."""
    if spec.kind == "drums":
        return _beaten(spec, random)
    root = int(random.integers(REGISTERS[spec.register][0], REGISTERS[spec.register][1] + 1))
    program, loud = spec.program, {"soft": 60, "": 92, "loud": 118}[spec.loudness]
    if spec.kind in ("note", "chord"):
        root = root + int(random.integers(0, 8)) if spec.kind == "note" else root
        seconds = random.uniform(0.35, 0.6) if spec.speed == "short" else random.uniform(1.7, 2.3)
        pitches = (0,) if spec.kind == "note" else CHORDS[spec.quality]
        return [Note(0.0, seconds, root + step, loud, program) for step in pitches]
    step = random.uniform(*SPEEDS[spec.speed])
    places = _places(spec, int((SECONDS - 0.35) / step))
    share = {"staccato": 0.45, "legato": 1.0, "": 0.85}[spec.articulation]
    if spec.kind == "repeated note":
        root += int(random.integers(0, 8))
    return [
        Note(number * step, step * share, root + place, int(loud + random.integers(-6, 7)), program)
        for number, place in enumerate(places)
    ]


def _places(spec: Spec, most: int) -> Sequence[int]:
    """Semitones above the root, one after the other."""
    if spec.kind == "repeated note":
        return [0] * most
    steps: Sequence[int] = (SCALES if spec.kind == "scale" else CHORDS)[spec.quality][:most]
    return steps if spec.direction == "rising" else steps[::-1]


def _beaten(spec: Spec, random: np.random.Generator) -> list[Note]:
    beat = 60 / random.uniform(*TEMPOS[spec.speed])
    found = []
    for bar in range(4):
        for drum, beats in GROOVES[spec.groove].items():
            for place in beats:
                start = (4 * bar + place) * beat
                if start < SECONDS - 0.1:
                    strong = 112 if place in (0, 1, 2, 3) else 88
                    found.append(Note(start, 1.0, drum, int(strong + random.integers(-8, 9)), 0, drums=True))
    return found


def sound(played: np.ndarray, spec: Spec, rate: int, random: np.random.Generator) -> np.ndarray:
    """What was played, as loud and as bright as the specification says: (samples,) of SECONDS."""
    samples = round(SECONDS * rate)
    whole = np.zeros(samples, np.float32)
    whole[: min(samples, len(played))] = played[:samples]
    if spec.tone:
        slope = {"bright": 5.0, "mellow": -7.0}[spec.tone]  # dB an octave, from 800 Hz to 6.4 kHz
        spectrum = np.fft.rfft(whole)
        octaves = np.clip(np.log2(np.maximum(np.fft.rfftfreq(samples, 1 / rate), 1) / 800), 0, 3)
        whole = np.fft.irfft(spectrum * 10 ** (slope * octaves / 20), samples).astype(np.float32)
    peak = {"soft": 0.1, "": 0.35, "loud": 0.85}[spec.loudness] * random.uniform(0.85, 1.1)
    whole *= peak / max(1e-5, float(np.abs(whole).max()))
    fade = round(0.01 * rate)
    whole[-fade:] *= np.linspace(1, 0, fade, dtype=np.float32)
    return whole


# ------------------------------------------------------------------------------------------------------------- captions


def caption(spec: Spec, random: np.random.Generator, root: int | None = None) -> str:
    """One of the ways to say what is heard.

    Args:
        root: the first key that is played, where the caption may name it.
    """
    said = {word: _one(random, ways) for word, ways in WORDS.items()} | {"": ""}
    if spec.kind == "drums":
        return _of_drums(spec, said, random)
    name = _one(random, INSTRUMENTS[spec.program].names)
    who = _join(said[spec.loudness], said[spec.tone], name)
    what = _what(spec, said, random, root)
    register = f"in the {said[spec.register]} register"
    if random.random() < 0.6:
        what, register = _join(said[spec.register], what), ""
    forms = (
        f"{_a(who)} plays {_a(what)} {register}",
        f"{_a(what)} on {_a(who)} {register}",
        f"{_a(what)} played by {_a(who)} {register}",
        f"{who}, {what} {register}",
    )
    return " ".join(_one(random, forms).split())


def _what(spec: Spec, said: dict[str, str], random: np.random.Generator, root: int | None) -> str:
    place = PLACES[root % 12] if root is not None and random.random() < 0.35 else ""
    if spec.kind == "note":
        length = _one(random, ("short", "brief") if spec.speed == "short" else ("long", "sustained"))
        return _join(length, f"{place} note" if place else "note")
    if spec.kind == "chord":
        length = "short" if spec.speed == "short" else _one(random, ("long", "held"))
        return _join(length, place, spec.quality, "chord")
    speed = said.get(spec.speed, _one(random, ("", "moderate")))
    if spec.kind == "repeated note":
        return _join(speed, said[spec.articulation], _one(random, ("repeated note", "series of repeated notes")))
    quality = spec.quality if random.random() < 0.5 else ""
    name = spec.kind if spec.kind == "scale" else _one(random, ("arpeggio", "broken chord"))
    return _join(speed, said[spec.articulation], said[spec.direction], quality, name)


def _of_drums(spec: Spec, said: dict[str, str], random: np.random.Generator) -> str:
    speed = said.get(spec.speed, _one(random, ("", "moderate")))
    beat = _join(speed, spec.groove, _one(random, ("beat", "drum loop", "groove", "rhythm")))
    forms = (f"{_a(beat)} on a drum kit", f"drums play {_a(beat)}", f"a drum kit plays {_a(beat)}", _a(beat))
    return _one(random, forms)


def _join(*words: str) -> str:
    return " ".join(word for word in words if word)


def _a(words: str) -> str:
    return f"an {words}" if words[0] in "aeiouAEF" and not words.startswith("F ") else f"a {words}"


def _one(random: np.random.Generator, ways: Sequence[str]) -> str:
    return str(ways[int(random.integers(len(ways)))])
