"""The rules that a composed melody states of itself, and a checker that knows nothing of how it was composed.

    for violation in check_melody(score, rules):
        print(violation)                       # bar 7 beat 3: a leap of 10 semitones; a sixth (9) is the largest

`Rules` is what `rules.json` of a song holds: its key, its metre, the range, and of each phrase where it stands, its
syllables and their stress. `stated(rules)` says the rules in words.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from aoide.score.harmony import LEADING, SUBTONIC, Chord, scale
from aoide.score.score import Finding, Note, Score, pitch_name
from aoide.score.style import KEYS

WIDEST = 9  # semitones of a leap: a major sixth
LEAP = 5  # semitones: from here on an interval is a leap, which a step the other way follows
STEP = 2  # semitones of a step, at most
BETWEEN = 12  # semitones from phrase to phrase in a section
LAST = 2  # eighths: the last note of a phrase is a quarter or more
BREATH = 1  # eighths of silence between two phrases, at least


@dataclass(frozen=True, kw_only=True, slots=True)
class Phrase:
    """What is sung in one breath.

    section: place of its part. place: which phrase of that part, from 0.
    bar, bars: where it stands; `bar` from 0. Unstressed syllables may come up to `pickup` eighths before.
    syllables, stresses: of each note; stress 2 is main, 1 secondary, 0 none.
    """

    section: int
    place: int
    bar: int
    bars: int
    pickup: int
    syllables: tuple[str, ...]
    stresses: tuple[int, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """A section in bars. like: the bar from which an instrumental part takes its chords and its tune; None is none."""

    tag: str
    bar: int
    bars: int
    like: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Rules:
    """What a melody says of itself.

    tonic, mode: the key. low, high: the range, MIDI numbers. shortest: of a note, in eighths.
    chords: one a bar, by name; what the melody was made for.
    """

    tonic: int
    mode: str
    beats: int
    unit: int
    bpm: float
    low: int
    high: int
    shortest: int
    parts: tuple[Part, ...]
    phrases: tuple[Phrase, ...]
    chords: tuple[str, ...]

    @property
    def bar_eighths(self) -> int:
        return self.beats * 8 // self.unit

    @property
    def beat_eighths(self) -> int:
        return 3 if self.unit == 8 else 2

    @property
    def bars(self) -> int:
        return len(self.chords)


def stated(rules: Rules) -> list[str]:
    """The rules in words, one a line."""
    of = f"{KEYS[rules.tonic]} {rules.mode}"
    raised = "; over a chord with the leading note the seventh is raised" if rules.mode == "minor" else ""
    beat = "dotted quarter" if rules.unit == 8 else "quarter"
    return [
        f"key: all notes are of the scale of {of}{raised}",
        f"range: {pitch_name(rules.low)} to {pitch_name(rules.high)}",
        f"metre: {rules.beats}/{rules.unit}, {rules.bpm:g} beats a minute; notes begin on eighths and last "
        f"{rules.shortest} or more",
        "syllables: each has one note, in their order",
        f"stress: a syllable with the main stress of a word that is stressed in its line begins on a beat ({beat})",
        "chords: one a bar; a note that begins with a bar is a tone of its chord",
        f"leaps: in a phrase at most {WIDEST} semitones, a sixth; after {LEAP} or more comes a step of at most {STEP} "
        f"the other way; between the phrases of a section at most {BETWEEN}",
        "phrases: each takes an even number of bars, ends in the last of them on a tone of the chord, with a note of "
        f"{LAST} eighths or more, and a rest follows",
        "cadences: sections end on the tonic chord (pre-choruses and bridges on the dominant, unless the song ends "
        "with one), choruses and the song on its root",
        "form: sections of a kind with as many phrases have the same chords and end their phrases on the same notes; "
        "with the same words, they are the same",
    ]


def check_melody(score: Score, rules: Rules) -> list[Finding]:
    """What in a melody breaks its rules, in the order of the song; [] is none."""
    reader = _Reader(score, rules)
    found = [*reader.notes(), *reader.phrases(), *reader.form()]
    return [Finding(place=score.place(round(tick)), message=message) for tick, message in sorted(found)]


class _Reader:
    """A melody beside its rules; times in eighths."""

    def __init__(self, score: Score, rules: Rules) -> None:
        self.rules = rules
        self.tick = score.resolution / 2
        self.sung = [note for note in score.notes if note.sung and note.pitch is not None]
        self.chords = [Chord.named(name) for name in rules.chords]
        self.groups: list[tuple[Phrase, list[Note]]] = []
        starts = [(phrase.bar * rules.bar_eighths - phrase.pickup) * self.tick for phrase in rules.phrases]
        for phrase, start, after in zip(rules.phrases, starts, [*starts[1:], float("inf")], strict=True):
            self.groups.append((phrase, [note for note in self.sung if start <= note.start < after]))

    def at(self, note: Note) -> float:
        """When a note begins, in eighths."""
        return note.start / self.tick

    def chord(self, note: Note) -> Chord:
        """The chord at the beginning of a note; a pickup's is that of the bar it leads out of."""
        bar = int(self.at(note) // self.rules.bar_eighths)
        return self.chords[min(bar, len(self.chords) - 1)]

    def notes(self) -> Iterator[tuple[float, str]]:
        """Rules of single notes."""
        rules = self.rules
        tones = scale(rules.tonic, rules.mode)
        for note in self.sung:
            pitch, chord, at = note.pitch or 0, self.chord(note), self.at(note)
            degree = (pitch - rules.tonic) % 12
            leading = rules.mode == "minor" and (rules.tonic + LEADING) % 12 in chord.tones
            allowed = degree == LEADING if leading and degree in (LEADING, SUBTONIC) else pitch % 12 in tones
            if not allowed:
                yield note.start, f"{pitch_name(pitch)} is not of the key over {chord.name}"
            if not rules.low <= pitch <= rules.high:
                yield note.start, f"{pitch_name(pitch)} is out of the range"
            if at != round(at):
                yield note.start, "a note that does not begin on an eighth"
            if note.length / self.tick < rules.shortest:
                yield note.start, f"a note of less than {rules.shortest} eighths"
            if at % rules.bar_eighths == 0 and pitch % 12 not in chord.tones:
                yield note.start, f"{pitch_name(pitch)} begins a bar and is no tone of {chord.name}"
        for before, after in pairwise(self.sung):
            if after.start < before.end:
                yield after.start, "overlaps the note before"

    def phrases(self) -> Iterator[tuple[float, str]]:
        """Rules of phrases, and from one to the next."""
        rules = self.rules
        known = sum(len(notes) for _, notes in self.groups)
        if known != len(self.sung):
            yield 0, f"{len(self.sung) - known} notes stand in no phrase"
        for (phrase, notes), after in zip(self.groups, [*self.groups[1:], None], strict=True):
            start = phrase.bar * rules.bar_eighths
            if [note.lyric for note in notes] != list(phrase.syllables):
                yield start * self.tick, f"the syllables are not {' '.join(phrase.syllables)}"
                continue
            for note, stress in zip(notes, phrase.stresses, strict=True):
                if stress == 2 and self.at(note) % rules.beat_eighths:
                    yield note.start, f"the stressed syllable {note.lyric!r} is not on a beat"
            yield from self._leaps(notes)
            last = notes[-1]
            end = (phrase.bar + phrase.bars) * rules.bar_eighths
            if not end - rules.bar_eighths <= self.at(last) < end or phrase.bars % 2:
                yield last.start, "a phrase that does not end in the last of its even number of bars"
            if (last.pitch or 0) % 12 not in self.chord(last).tones:
                yield last.start, f"a phrase ends on {pitch_name(last.pitch or 0)}, which is no tone of the chord"
            if last.length / self.tick < LAST:
                yield last.start, "the last note of a phrase is too short"
            if after is not None and after[1]:
                first = after[1][0]
                if first.start - last.end < BREATH * self.tick:
                    yield first.start, "no rest before a phrase"
                apart = abs((first.pitch or 0) - (last.pitch or 0))
                if after[0].section == phrase.section and apart > BETWEEN:
                    yield first.start, f"{apart} semitones from phrase to phrase"

    def _leaps(self, notes: list[Note]) -> Iterator[tuple[float, str]]:
        pitches = [note.pitch or 0 for note in notes]
        moves = [b - a for a, b in pairwise(pitches)]
        for note, move, after in zip(notes[1:], moves, [*moves[1:], None], strict=False):
            if abs(move) > WIDEST:
                yield note.start, f"a leap of {abs(move)} semitones; a sixth ({WIDEST}) is the largest"
            if abs(move) >= LEAP and not (after is not None and 0 < abs(after) <= STEP and (after > 0) != (move > 0)):
                yield note.start, f"a leap of {abs(move)} semitones that no step the other way follows"

    def form(self) -> Iterator[tuple[float, str]]:
        """Cadences, and what sections of one kind have in common."""
        rules = self.rules
        sections: dict[int, list[tuple[Phrase, list[Note]]]] = {}
        for phrase, notes in self.groups:
            sections.setdefault(phrase.section, []).append((phrase, notes))
        firsts: dict[tuple[str, int], list[tuple[Phrase, list[Note]]]] = {}
        ending = (rules.parts[max(sections)].tag, len(sections[max(sections)]))  # the kind of section at the end
        for number, group in sections.items():
            tag = rules.parts[number].tag
            phrase, notes = group[-1]
            if not notes:
                continue
            final = number == max(sections)
            wanted = 7 if tag in ("pre-chorus", "bridge") and (tag, len(group)) != ending else 0
            root = (rules.tonic + wanted) % 12
            if self.chord(notes[-1]).root != root:
                yield notes[-1].start, f"the section ends on {self.chord(notes[-1]).name}"
            if (tag == "chorus" or final) and (notes[-1].pitch or 0) % 12 != rules.tonic:
                yield notes[-1].start, f"the section ends on {pitch_name(notes[-1].pitch or 0)}, not on the tonic"
            first = firsts.setdefault((tag, len(group)), group)
            for (mine, own), (its, other) in zip(group, first, strict=True):
                yield from self._alike(mine, own, its, other)

    def _alike(self, mine: Phrase, own: list[Note], its: Phrase, other: list[Note]) -> Iterator[tuple[float, str]]:
        """The same phrase of two sections of one kind."""
        rules = self.rules
        moved = (mine.bar - its.bar) * rules.bar_eighths * self.tick
        if not own or not other or mine == its:
            return
        chords = [rules.chords[p.bar : p.bar + p.bars] for p in (mine, its)]
        if chords[0] != chords[1]:
            yield own[0].start, "other chords than in the first section of the kind"
        if own[-1].pitch != other[-1].pitch:
            yield own[-1].start, "another last note than in the first section of the kind"
        if (mine.syllables, mine.stresses) == (its.syllables, its.stresses):
            same = [(n.start - moved, n.length, n.pitch) for n in own] == [(n.start, n.length, n.pitch) for n in other]
            if not same:
                yield own[0].start, "the same words, and another melody than before"
