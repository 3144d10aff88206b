"""What a song or a piece shall be like, in words: "folk, female voice, guitar, 90 bpm", "sad waltz in A minor".

    style = parse("slow strings in A minor, 70 bpm")
    style.bpm, style.key, style.instruments      # 70.0, "A minor", ("strings",)
    style.unknown                                # words that it does not know, so that they can be said

The vocabulary is closed: genres, moods, tempi, keys, metres, instruments, voices. A later word of a kind wins over an
earlier one, a number over a word, and what is named over what a genre brings. What nothing tells is drawn by the seed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from aoide.config import UserError, near

SLOWEST, FASTEST = 40.0, 200.0  # beats a minute
METRES = ((4, 4), (3, 4), (2, 4), (6, 8))
KEYS = ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")
_STEPS = {"c": 0, "d": 2, "e": 4, "f": 5, "g": 7, "a": 9, "b": 11}
_USUAL = (0, 2, 3, 5, 7, 9, 10)  # keys to draw from


class Instrument(NamedTuple):
    """program: of General MIDI, from 0. role: chords (in a pattern), sustain (chords held), lead (a line), bass."""

    program: int
    role: str


INSTRUMENTS = {
    "piano": Instrument(0, "chords"),
    "electric piano": Instrument(4, "chords"),
    "guitar": Instrument(24, "chords"),
    "electric guitar": Instrument(27, "chords"),
    "distorted guitar": Instrument(30, "chords"),
    "harp": Instrument(46, "chords"),
    "accordion": Instrument(21, "chords"),
    "vibraphone": Instrument(11, "chords"),
    "marimba": Instrument(12, "chords"),
    "bells": Instrument(98, "chords"),
    "music box": Instrument(10, "chords"),
    "harpsichord": Instrument(6, "chords"),
    "banjo": Instrument(105, "chords"),
    "sitar": Instrument(104, "chords"),
    "steel drum": Instrument(114, "chords"),
    "organ": Instrument(19, "sustain"),
    "strings": Instrument(48, "sustain"),
    "choir": Instrument(52, "sustain"),
    "pad": Instrument(89, "sustain"),
    "brass": Instrument(61, "sustain"),
    "violin": Instrument(40, "lead"),
    "cello": Instrument(42, "lead"),
    "trumpet": Instrument(56, "lead"),
    "trombone": Instrument(57, "lead"),
    "horn": Instrument(60, "lead"),
    "saxophone": Instrument(65, "lead"),
    "oboe": Instrument(68, "lead"),
    "clarinet": Instrument(71, "lead"),
    "flute": Instrument(73, "lead"),
    "synthesizer": Instrument(80, "lead"),
    "glockenspiel": Instrument(9, "lead"),
    "bass": Instrument(33, "bass"),
    "double bass": Instrument(32, "bass"),
}
_INSTRUMENT_WORDS = {
    "acoustic guitar": "guitar",
    "keyboard": "piano",
    "church organ": "organ",
    "string section": "strings",
    "string orchestra": "strings",
    "orchestra": "strings",
    "synth": "synthesizer",
    "synth pad": "pad",
    "bass guitar": "bass",
    "contrabass": "double bass",
    "upright bass": "double bass",
    "sax": "saxophone",
    "french horn": "horn",
    "fiddle": "violin",
    "xylophone": "marimba",
    "chimes": "bells",
    "steel drums": "steel drum",
    "voices": "choir",
}


class Genre(NamedTuple):
    """What a genre brings where nothing else is said."""

    bpm: float
    metre: tuple[int, int]
    instruments: tuple[str, ...]
    pattern: str  # of aoide/score/arrange.py
    drums: str = ""
    mode: str = ""


GENRES = {
    "folk": Genre(92, (4, 4), ("guitar", "double bass"), "pick"),
    "pop": Genre(104, (4, 4), ("piano", "strings", "bass"), "pulse", "pop"),
    "rock": Genre(120, (4, 4), ("distorted guitar", "bass"), "pulse", "rock"),
    "ballad": Genre(72, (4, 4), ("piano", "strings"), "arpeggio"),
    "country": Genre(108, (4, 4), ("guitar", "bass"), "boom", "soft"),
    "lullaby": Genre(76, (3, 4), ("bells", "strings"), "arpeggio", mode="major"),
    "waltz": Genre(126, (3, 4), ("accordion", "double bass"), "boom"),
    "hymn": Genre(80, (4, 4), ("organ",), "blocks", mode="major"),
    "jazz": Genre(100, (4, 4), ("piano", "double bass", "saxophone"), "offbeat", "soft"),
    "blues": Genre(84, (4, 4), ("guitar", "bass"), "boom", "soft"),
    "march": Genre(112, (2, 4), ("brass", "trumpet"), "boom", "march", "major"),
    "dance": Genre(122, (4, 4), ("pad", "synthesizer", "bass"), "pulse", "dance"),
    "classical": Genre(88, (4, 4), ("piano", "strings"), "arpeggio"),
    "reggae": Genre(76, (4, 4), ("electric guitar", "organ", "bass"), "offbeat", "pop"),
    "jig": Genre(96, (6, 8), ("guitar", "violin"), "boom"),
    "ambient": Genre(66, (4, 4), ("pad", "bells"), "arpeggio"),
    "children": Genre(104, (4, 4), ("piano", "flute"), "boom", mode="major"),
}
_GENRE_WORDS = {
    "acoustic": "folk",
    "singer-songwriter": "folk",
    "carol": "hymn",
    "choral": "hymn",
    "gospel": "hymn",
    "electronic": "dance",
    "techno": "dance",
    "house": "dance",
    "disco": "dance",
    "synthpop": "dance",
    "shanty": "jig",
    "sea shanty": "jig",
    "nursery rhyme": "children",
    "kids": "children",
    "swing": "jazz",
    "orchestral": "classical",
    "metal": "rock",
    "punk": "rock",
    "indie": "pop",
    "cradle song": "lullaby",
}
MOODS: dict[str, tuple[str, float]] = {  # mode ("" = either), tempo times
    **dict.fromkeys(("sad", "melancholic", "dark", "mournful", "gloomy", "lonely", "tragic"), ("minor", 0.86)),
    **dict.fromkeys(("mysterious", "haunting", "angry", "dramatic"), ("minor", 1.0)),
    **dict.fromkeys(("happy", "joyful", "cheerful", "bright", "merry", "sunny", "uplifting"), ("major", 1.1)),
    **dict.fromkeys(("hopeful", "warm", "sweet", "romantic", "nostalgic"), ("major", 0.95)),
    **dict.fromkeys(("calm", "gentle", "soft", "tender", "quiet", "peaceful", "dreamy", "relaxed"), ("", 0.88)),
    **dict.fromkeys(("energetic", "lively", "driving", "powerful", "upbeat", "exciting"), ("", 1.15)),
    "major": ("major", 1.0),
    "minor": ("minor", 1.0),
}
TEMPI = {
    "very slow": 54, "slow": 68, "slowly": 68, "medium": 96, "mid-tempo": 96, "moderate": 96, "fast": 136, "quick": 136,
    "very fast": 160, "largo": 50, "adagio": 66, "andante": 84, "moderato": 100, "allegretto": 112, "allegro": 132,
    "vivace": 150, "presto": 170,
}  # fmt: skip
VOICES = {
    **dict.fromkeys(("female", "woman", "girl", "soprano", "high voice"), "high"),
    **dict.fromkeys(("male", "man", "boy", "tenor", "baritone", "deep voice", "low voice", "alto"), "low"),
}
_DRUMS = {"drums": "pop", "drum": "pop", "percussion": "soft", "drum kit": "pop", "no drums": "", "without drums": ""}
_METRE_WORDS = {"three-four": (3, 4), "six-eight": (6, 8), "triple time": (3, 4)}
_PATTERNS = {
    "strummed": "strum", "strumming": "strum", "fingerpicked": "pick", "fingerpicking": "pick", "picked": "pick",
    "arpeggios": "arpeggio", "arpeggio": "arpeggio", "block chords": "blocks", "syncopated": "offbeat",
}  # fmt: skip
_FILLERS = frozenset(
    re.findall(
        r"\S+",
        "a an the in of with and at on for is it to song songs music musical tune piece melody voice vocal vocals by "
        "from singer singing sung style styles key tempo metre meter time signature beat beats bpm accompaniment some "
        "backing accompanied instrument instruments instrumental solo very lead played playing plays",
    )
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Style:
    """What was asked for, with what follows from it.

    bpm: beats a minute; a beat is a quarter, in 6/8 a dotted one.
    tonic: pitch class, 0 is C. mode: "major" or "minor".
    instruments: of INSTRUMENTS. pattern: how chords are played. drums: "" is none.
    voice: "high", "low" or "" for the singer's own middle.
    unknown: words of the text that say nothing here.
    """

    text: str = ""
    bpm: float = 96.0
    tonic: int = 0
    mode: str = "major"
    beats: int = 4
    unit: int = 4
    instruments: tuple[str, ...] = ("piano",)
    pattern: str = "arpeggio"
    drums: str = ""
    voice: str = ""
    unknown: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """`A minor`."""
        return f"{KEYS[self.tonic]} {self.mode}"

    @property
    def quarters(self) -> float:
        """Quarter notes a minute."""
        return self.bpm * (1.5 if self.unit == 8 else 1.0)

    @property
    def bar_seconds(self) -> float:
        return 60 / self.quarters * 4 * self.beats / self.unit

    def __str__(self) -> str:
        patterned = [name for name in self.instruments if INSTRUMENTS[name].role == "chords"][:1]
        names = [f"{name} ({self.pattern})" if name in patterned else name for name in self.instruments]
        played = ", ".join([*names, *(["drums"] if self.drums else [])])
        return f"{self.key}, {self.beats}/{self.unit}, {self.bpm:g} beats a minute, {played}"


def parse(text: str, seed: int = 0) -> Style:
    """Reads a style; what it does not tell is drawn by the seed.

    Raises:
        UserError: a tempo that nobody plays.
    """
    rest, bpm, key, metre = _numbers(text)
    genre, moods, tempo, words = "", [], None, {}
    instruments: list[str] = []
    unknown: list[str] = []
    for word in _words(rest):
        kind, value = _meaning(word)
        if kind == "instrument":
            instruments += [value] if value not in instruments else []
        elif kind == "genre":
            genre = value
        elif kind == "mood":
            moods.append(MOODS[value])
        elif kind == "tempo":
            tempo = float(TEMPI[value])
        elif kind == "unknown":
            unknown += [word] if word not in unknown else []
        elif kind:
            words[kind] = value
    random = np.random.default_rng([seed, 1])
    drawn_tonic, drawn_mode = int(random.choice(_USUAL)), str(random.choice(("major", "major", "minor")))
    base = GENRES[genre] if genre else Genre(96, (4, 4), ("piano", "strings"), "arpeggio")
    if bpm is None:
        factor = float(np.prod([scale for _, scale in moods])) if tempo is None else 1.0
        bpm = round(float(np.clip((tempo or base.bpm) * factor, SLOWEST, FASTEST)))
    modes = [mode for mode, _ in moods if mode]
    beats, unit = metre or _METRE_WORDS.get(words.get("metre", ""), base.metre)
    chosen, pattern = _played(instruments, base)
    return Style(
        text=text.strip(),
        bpm=bpm,
        tonic=drawn_tonic if key is None else key[0],
        mode=key[1] if key else modes[-1] if modes else base.mode or drawn_mode,
        beats=beats,
        unit=unit,
        instruments=chosen,
        pattern=words.get("pattern", pattern),
        drums=_DRUMS[words["drums"]] if "drums" in words else base.drums,
        voice=words.get("voice", ""),
        unknown=tuple(unknown),
    )


def remarks(style: Style) -> list[str]:
    """What a user should know about how their words were read."""
    known = [*GENRES, *_GENRE_WORDS, *MOODS, *TEMPI, *INSTRUMENTS, *_INSTRUMENT_WORDS, *VOICES, *_PATTERNS, "drums"]
    found = []
    for word in style.unknown:
        found.append(f"style: {word!r} is no word that it knows, and is passed over;{near(word, known)}".rstrip(";"))
    return found


def _numbers(text: str) -> tuple[str, float | None, tuple[int, str] | None, tuple[int, int] | None]:
    """What stands in the text as numbers and keys, and the text without it."""
    text = f" {text.lower()} "
    bpm = None
    tempo = re.compile(r"(\d+(?:\.\d+)?)\s*(?:bpm|beats? (?:per|a) minute)|\b(?:bpm|tempo)\s*(?:is|of|:|=)?\s*(\d+)")
    for found in tempo.finditer(text):
        bpm = float(found[1] or found[2])
        if not SLOWEST <= bpm <= FASTEST:
            raise UserError(f"style: {bpm:g} beats a minute; it plays {SLOWEST:g} to {FASTEST:g}")
    text = tempo.sub(" ", text)
    key = None
    pattern = re.compile(r"\b([a-g])\s?(#|♯|b(?![a-z])|♭|-?sharp|-?flat)?[\s-]*(major|minor|dur|moll)\b")
    for found in pattern.finditer(text):
        sign = (found[2] or "").strip("-")
        step = _STEPS[found[1]] + {"": 0, "#": 1, "♯": 1, "sharp": 1}.get(sign, -1)
        key = step % 12, "minor" if found[3] in ("minor", "moll") else "major"
    text = pattern.sub(" ", text)
    metre = None
    for found in re.finditer(r"\b(\d)/(\d)\b", text):
        if (int(found[1]), int(found[2])) not in METRES:
            said = ", ".join(f"{beats}/{unit}" for beats, unit in METRES)
            raise UserError(f"style: no metre {found[0]}; there are {said}")
        metre = int(found[1]), int(found[2])
    return re.sub(r"\b\d/\d\b", " ", text), bpm, key, metre


def _words(text: str) -> list[str]:
    """The words, those of several parts as one."""
    found = []
    for part in re.split(r"[,;.:!?()\n]+", text):
        words = part.split()
        while words:
            size = next((n for n in (3, 2) if len(words) >= n and _meaning(" ".join(words[:n]))[0] != "unknown"), 1)
            found.append(" ".join(words[:size]))
            words = words[size:]
    return found


def _meaning(word: str) -> tuple[str, str]:
    """(kind, value) of a word; kind "" says nothing, "unknown" is not known."""
    if word in _FILLERS:
        return "", ""
    for form in (word, word.removesuffix("s")):
        if form in INSTRUMENTS or form in _INSTRUMENT_WORDS:
            return "instrument", _INSTRUMENT_WORDS.get(form, form)
        if form in GENRES or form in _GENRE_WORDS:
            return "genre", _GENRE_WORDS.get(form, form)
        if form in VOICES:
            return "voice", VOICES[form]
        if form in _PATTERNS:
            return "pattern", _PATTERNS[form]
        for kind, known in (("mood", MOODS), ("tempo", TEMPI), ("drums", _DRUMS), ("metre", _METRE_WORDS)):
            if form in known:
                return kind, form
    return "unknown", ""


def _played(named: list[str], base: Genre) -> tuple[tuple[str, ...], str]:
    """The instruments: those that are named, and of the genre's what they lack; and the pattern."""
    if not named:
        return base.instruments, base.pattern
    roles = {INSTRUMENTS[name].role for name in named}
    found = list(named)
    if not roles & {"chords", "sustain"}:
        found += [name for name in base.instruments if INSTRUMENTS[name].role == "chords"][:1] or ["piano"]
    if "bass" not in roles:
        found += [name for name in base.instruments if INSTRUMENTS[name].role == "bass"]
    pattern = base.pattern
    if pattern == "pick" and "guitar" not in found:
        pattern = "arpeggio"
    return tuple(found), pattern
