"""Words -> a melody, by rules that it states (aoide/score/rules.py) and chance that a seed fixes.

    score, rules = compose(verses, style, low=57, high=74, seed=1)

Three steps, each the cheapest of all ways by dynamic programming, under the rules as hard conditions:

    bars      each phrase gets an even number of bars, as many as bring its syllables near 0.45 s, the same for the
              phrases in the same place of all sections of a kind; chords come from progressions (harmony.py)
    rhythm    syllables go to eighths: stressed ones on beats, rather strong ones, even in length
    pitch     near a contour, smooth, chord tones where a bar begins and where a phrase ends

What gives a melody its shape is drawn once for each letter of a section's form (A B A C ...): a contour, and small
likings for places and pitches. Phrases with the same letter therefore resemble each other, and sections of a kind,
which draw the same, repeat their melody as far as other words allow, and exactly with the same words.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from aoide.config import UserError
from aoide.score import harmony
from aoide.score.harmony import LEADING, SUBTONIC, Chord
from aoide.score.rules import BETWEEN, BREATH, LAST, LEAP, STEP, WIDEST, Part, Phrase, Rules
from aoide.score.score import Meter, Note, Score, Tempo
from aoide.score.style import Style

RESOLUTION = 480
EIGHTH = RESOLUTION // 2
MOST = 14  # syllables of a phrase; a longer line is sung as several
UNHURRIED = 0.45  # seconds of a syllable, if its line may choose
FASTEST = 0.17  # seconds of an eighth below which syllables take two
COUNTS = (2, 4, 6, 8, 12, 16)  # bars of a phrase
SUNG_SHARE = 0.85  # of the bars of a phrase; the rest is breath
LONGEST_SECONDS = 1800.0

_FORMS = {1: ("A",), 2: ("AB", "AA"), 3: ("AAB", "ABC"), 4: ("ABAC", "AABC", "AABA", "ABAB")}
_CENTRES = {"verse": 0.42, "chorus": 0.6, "bridge": 0.58, "post-chorus": 0.6}  # of the range
_CENTRE = 0.5
_SHAPES: tuple[Callable[[float], float], ...] = (  # place in the phrase, 0 to 1 -> semitones from the centre
    lambda x: 3.5 * float(np.sin(np.pi * x)),
    lambda x: 3.5 - 6.0 * x,
    lambda x: 5.0 * x - 3.0,
    lambda x: 3.0 * float(np.sin(2 * np.pi * x)),
    lambda x: 2.5 - 5.0 * float(np.sin(np.pi * x)),
)
_MOVES = {0: 0.7, 1: 0.0, 2: 0.0, 3: 0.45, 4: 0.55, 5: 1.1, 6: 4.0, 7: 1.5, 8: 2.4, 9: 2.4}  # cost of an interval
_LIKING_PLACE, _LIKING_PITCH = 0.35, 0.55  # deviations of what is left to chance
_NEAR = 8.0  # semitones from the contour beyond which a pitch is not thought of


class Syllable(NamedTuple):
    """text: as written. stress: 2 main, 1 secondary, 0 none. hyphen: the word goes on."""

    text: str
    stress: int
    hyphen: bool


class Verse(NamedTuple):
    """A section to compose.

    phrases: the syllables of each. starts: seconds at which a phrase shall begin; None is any time.
    seconds: how long a section without words shall last; None: a few bars.
    """

    tag: str
    phrases: tuple[tuple[Syllable, ...], ...] = ()
    starts: tuple[float | None, ...] = ()
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class _Form:
    """What the sections of a kind share."""

    bars: tuple[int, ...]  # of each phrase
    chords: tuple[Chord, ...]  # of all their bars
    letters: str  # of each phrase
    ends: tuple[int, ...]  # the last pitch of each phrase
    seed: tuple[int, ...]


def phrases_of(syllables: Sequence[Syllable], breaks: Sequence[int] = ()) -> list[tuple[Syllable, ...]]:
    """A line in phrases of at most MOST syllables, cut between words, rather where `breaks` (places) are."""
    if len(syllables) <= MOST:
        return [tuple(syllables)] if syllables else []
    places = [i for i in range(1, len(syllables)) if not syllables[i - 1].hyphen] or list(range(1, len(syllables)))
    half = len(syllables) / 2
    at = min(places, key=lambda i: abs(i - half) - (0.25 * len(syllables) if i in breaks else 0))
    left, right = [i for i in breaks if i < at], [i - at for i in breaks if i > at]
    return [*phrases_of(syllables[:at], left), *phrases_of(syllables[at:], right)]


def compose(
    verses: Sequence[Verse], style: Style, low: int, high: int, seed: int = 0, title: str = ""
) -> tuple[Score, Rules]:
    """A melody, and the rules that it keeps.

    Args:
        low, high: MIDI numbers between which it stays.

    Raises:
        UserError: no words, a range of less than an octave, or a song that is too long.
    """
    if not any(verse.phrases for verse in verses):
        raise UserError("no words to sing")
    if sum(len(phrase) for verse in verses for phrase in verse.phrases) * FASTEST > LONGEST_SECONDS:
        raise UserError(f"so many words take more than {LONGEST_SECONDS / 60:.0f} minutes; sing them in parts")
    if high - low < 12:
        raise UserError(f"a range of {high - low} semitones; melodies need an octave")
    made = _Composer(style, low, high, seed)
    parts, phrases, chords = made.lay(verses)
    rules = Rules(
        tonic=style.tonic, mode=style.mode, beats=style.beats, unit=style.unit, bpm=style.bpm, low=low, high=high,
        shortest=made.shortest, parts=tuple(parts), phrases=tuple(phrase for phrase, _ in phrases),
        chords=tuple(chord.name for chord in chords),
    )  # fmt: skip
    notes: list[Note] = []
    for phrase, syllables in phrases:
        count = sum(other.section == phrase.section for other in rules.phrases)
        form = made.forms[parts[phrase.section].tag, count]
        notes += made.notes(phrase, syllables, form)
    score = Score(
        notes=tuple(notes),
        tempos=(Tempo(tick=0, bpm=style.quarters),),
        meters=(Meter(tick=0, beats=style.beats, unit=style.unit),),
        resolution=RESOLUTION,
        title=title,
    )
    return score, rules


class _Composer:
    """One song."""

    def __init__(self, style: Style, low: int, high: int, seed: int) -> None:
        self.style, self.low, self.high, self.seed = style, low, high, seed
        self.bar = style.beats * 8 // style.unit  # eighths
        self.beat = 3 if style.unit == 8 else 2
        self.pickup = 2 if style.unit == 4 and style.beats > 2 else 1
        self.shortest = 1 if 30 / style.quarters >= FASTEST else 2
        self.forms: dict[tuple[str, int], _Form] = {}
        self.sung: dict[tuple[object, ...], list[tuple[int, int, int]]] = {}

    # ---------------------------------------------------------------------------------------------------------- layout

    def lay(self, verses: Sequence[Verse]) -> tuple[list[Part], list[tuple[Phrase, tuple[Syllable, ...]]], list[Chord]]:
        """Where everything stands: parts, phrases with their syllables, and a chord for each bar."""
        self._make_forms(verses)
        verses = [verse for verse in verses if verse.phrases or verse.tag in ("intro", "inst", "outro")]
        if verses[0].phrases:
            verses = [Verse("intro", seconds=next(iter(verses[0].starts), None)), *verses]
        sources = self._sources(verses)
        parts: list[Part] = []
        phrases: list[tuple[Phrase, tuple[Syllable, ...]]] = []
        chords: list[Chord] = []
        copies: list[int] = []  # places of parts that take what they play from another
        for verse in verses:
            first = len(chords)
            if not verse.phrases:
                count = self._instrumental_bars(verse, sources)
                copies.append(len(parts))
                chords += [self._tonic()] * count
                parts.append(Part(tag=verse.tag, bar=first, bars=count))
                continue
            form = self.forms[verse.tag, len(verse.phrases)]
            start = self._when(verse, 0)
            if start is not None and start > first:  # a time that leaves room is filled by instruments
                copies.append(len(parts))
                parts.append(Part(tag="inst", bar=first, bars=start - first))
                chords += [self._tonic()] * (start - first)
                first = start
            done = 0
            for place, (syllables, bars) in enumerate(zip(verse.phrases, form.bars, strict=True)):
                start = self._when(verse, place)
                if start is not None and start > len(chords):
                    chords += chords[-1:] * (start - len(chords))
                phrase = Phrase(
                    section=len(parts), place=place, bar=len(chords), bars=bars, pickup=self.pickup,
                    syllables=tuple(s.text for s in syllables), stresses=tuple(s.stress for s in syllables),
                )  # fmt: skip
                phrases.append((phrase, syllables))
                chords += form.chords[done : done + bars]
                done += bars
            parts.append(Part(tag=verse.tag, bar=first, bars=len(chords) - first))
            if len(chords) * self.style.bar_seconds > LONGEST_SECONDS:
                raise UserError(f"the song is longer than {LONGEST_SECONDS / 60:.0f} minutes; sing it in parts")
        parts.append(Part(tag="end", bar=len(chords), bars=1))
        chords.append(self._tonic())
        for number in copies:
            parts[number] = self._copied(parts[number], parts, chords)
        return parts, phrases, chords

    def _tonic(self) -> Chord:
        return harmony.diatonic(self.style.tonic, self.style.mode)[0]

    def _when(self, verse: Verse, place: int) -> int | None:
        """The bar at which a phrase with a time begins."""
        start = verse.starts[place] if place < len(verse.starts) else None
        return None if start is None else max(1, round(start / self.style.bar_seconds))

    def _sources(self, verses: Sequence[Verse]) -> int:
        """Bars of the section from which instrumental parts borrow."""
        sung = [verse for verse in verses if verse.phrases]
        source = next((verse for verse in sung if verse.tag == "chorus"), sung[0])
        return sum(self.forms[source.tag, len(source.phrases)].bars)

    def _instrumental_bars(self, verse: Verse, source: int) -> int:
        if verse.seconds is not None:
            return max(1, round(verse.seconds / self.style.bar_seconds))
        usual = 4 if verse.tag == "inst" or self.style.bar_seconds < 2 else 2
        return min(usual, source)

    def _copied(self, part: Part, parts: Sequence[Part], chords: list[Chord]) -> Part:
        """An instrumental part with the chords of the end of the chorus (or of the first section that is sung)."""
        sung = [other for other in parts if other.tag not in ("intro", "inst", "outro", "end")] or list(parts[:-1])
        source = next((other for other in sung if other.tag == "chorus"), sung[0])
        bars = min(part.bars, source.bars)
        first = source.bar + source.bars - bars
        for i in range(part.bars):  # a longer one begins with the tonic
            chords[part.bar + part.bars - 1 - i] = chords[first + bars - 1 - i] if i < bars else self._tonic()
        same = part.bars == bars and source.bar != part.bar
        return Part(tag=part.tag, bar=part.bar, bars=part.bars, like=first if same else None)

    # ----------------------------------------------------------------------------------------------------------- forms

    def _make_forms(self, verses: Sequence[Verse]) -> None:
        """One form for all sections of a kind with as many phrases."""
        final = next(verse for verse in reversed(verses) if verse.phrases)
        groups: dict[tuple[str, int], list[Verse]] = {}
        rooms: dict[tuple[str, int], list[list[float]]] = {}
        for verse, room in zip(verses, _rooms(verses), strict=True):
            if verse.phrases:
                groups.setdefault((verse.tag, len(verse.phrases)), []).append(verse)
                rooms.setdefault((verse.tag, len(verse.phrases)), []).append(room)
        for (tag, count), group in groups.items():
            seed = (self.seed, zlib.crc32(tag.encode()), count)
            random = np.random.default_rng(seed)
            room = [min(column) for column in zip(*rooms[tag, count], strict=True)]
            bars = self._bars([[verse.phrases[i] for verse in group] for i in range(count)], room)
            closed = tag not in ("pre-chorus", "bridge") or final in group
            style = self.style
            chords = harmony.progression(tag, sum(bars), style.tonic, style.mode, random, closed=closed)
            options = _FORMS.get(count)
            letters = str(random.choice(options)) if options else ("ABAC" * count)[: count - 1] + "D"
            ends = self._ends(tag, bars, chords, letters, seed, final=final in group)
            self.forms[tag, count] = _Form(bars, tuple(chords), letters, ends, seed)

    def _bars(self, places: Sequence[Sequence[tuple[Syllable, ...]]], rooms: Sequence[float]) -> tuple[int, ...]:
        """How many bars the phrases in each place of a kind of section have: the same, unless one does not fit.

        Args:
            rooms: seconds until the next phrase shall begin; infinity where no times are.
        """

        def hurry(bars: int) -> float:
            seconds = bars * self.style.bar_seconds * SUNG_SHARE
            each = (seconds / len(phrase) for phrases in places for phrase in phrases)
            return float(sum(np.log2(one / UNHURRIED) ** 2 for one in each))

        usual = min(COUNTS, key=hurry)
        found = []
        for phrases, room in zip(places, rooms, strict=True):
            fitting = [n for n in COUNTS if all(self._rhythm(p, n, None) for p in phrases)]
            if not fitting:
                raise UserError(f"a line of {max(map(len, phrases))} syllables is too long for {COUNTS[-1]} bars")
            timely = [n for n in fitting if n * self.style.bar_seconds <= room + 0.5 * self.style.bar_seconds]
            wanted = usual if np.isinf(room) else max(timely, default=fitting[0])
            found.append(next((n for n in fitting if n >= min(wanted, usual)), fitting[-1]))
        return tuple(found)

    def _ends(
        self,
        tag: str,
        bars: Sequence[int],
        chords: Sequence[Chord],
        letters: str,
        seed: tuple[int, ...],
        *,
        final: bool,
    ) -> tuple[int, ...]:
        """The last pitch of each phrase: a tone of its chord, open before the end and closed there."""
        found: list[int] = []
        tonic = self.style.tonic
        for i, letter in enumerate(letters):
            chord = chords[sum(bars[: i + 1]) - 1]
            last = i + 1 == len(letters)
            tones = set(chord.tones)
            if last and (tag == "chorus" or final):
                tones = {tonic}
            elif not last and len(tones - {tonic}) > 0:
                tones -= {tonic}
            shape, _, random = self._letter(letter, seed)
            wanted = self._centre(tag) + _SHAPES[shape](1.0) + random.normal(0, 1.0)
            if last:
                wanted = self._centre(tag) - 2.0
            if found:
                wanted = 0.75 * wanted + 0.25 * found[-1]
            pitches = [p for p in range(self.low, self.high + 1) if p % 12 in tones]
            found.append(min(pitches, key=lambda p: abs(p - wanted)))
        return tuple(found)

    def _centre(self, tag: str) -> float:
        return self.low + _CENTRES.get(tag, _CENTRE) * (self.high - self.low)

    @staticmethod
    def _letter(letter: str, seed: tuple[int, ...]) -> tuple[int, np.ndarray, np.random.Generator]:
        """(shape, likings for places, the rest of chance) of a letter of a form."""
        random = np.random.default_rng([*seed, ord(letter)])
        shape = int(random.integers(len(_SHAPES)))
        return shape, random.normal(0, _LIKING_PLACE, COUNTS[-1] * 12 + 8), random

    # ---------------------------------------------------------------------------------------------------------- rhythm

    def _rhythm(self, syllables: Sequence[Syllable], bars: int, likings: np.ndarray | None) -> list[int] | None:
        """The eighth at which each syllable begins, from the bar line on; None if they do not fit."""
        end = bars * self.bar - self.pickup - BREATH
        least = max(LAST, self.shortest)
        usual = end / len(syllables)
        best: dict[int, tuple[float, tuple[int, ...]]] = {}
        for i, syllable in enumerate(syllables):
            last = i + 1 == len(syllables)
            now: dict[int, tuple[float, tuple[int, ...]]] = {}
            first = (bars - 1) * self.bar if last else -self.pickup
            for place in range(first, end - least + 1 if last else end):
                own = self._weight(place, syllable.stress)
                if own is None or (self.shortest == 2 and place % 2):
                    continue
                own += 0.0 if likings is None else float(likings[place + self.pickup])
                if last:
                    own += 0.3 * max(0, 3 - (end - place))
                if i == 0:
                    if place < 0 and syllable.stress:
                        continue
                    now[place] = (own + 0.18 * max(0, place), (place,))
                    continue
                options = [
                    (cost + self._gap(before, place, usual, syllables[i - 1].stress), way)
                    for before, (cost, way) in best.items()
                    if place - before >= self.shortest
                ]
                if options:
                    cost, way = min(options)
                    now[place] = (cost + own, (*way, place))
            best = now
        return list(min(best.values())[1]) if best else None

    def _weight(self, place: int, stress: int) -> float | None:
        """What a syllable costs at a place in the bar; None: it must not stand there."""
        at = place % self.bar
        level = 0 if at % self.beat else 3 if at == 0 else 2 if 2 * at == self.bar and self.style.beats != 3 else 1
        if stress == 2:
            return None if level == 0 else (0.5, 0.15, 0.0)[level - 1]
        if stress == 1:
            return (0.3, 0.1, 0.05, 0.2)[level]
        return (0.0, 0.15, 0.45, 0.8)[level]

    def _gap(self, before: int, after: int, usual: float, stress: int) -> float:
        """What a note from one place to another costs: far from the usual length, or across a beat from beside it."""
        length = after - before
        cost = float(np.log2(length / (usual * (1.2 if stress else 0.9)))) ** 2
        if before % self.beat and before + length > before - before % self.beat + self.beat:
            cost += 1.5
        return cost

    # ----------------------------------------------------------------------------------------------------------- pitch

    def notes(self, phrase: Phrase, syllables: Sequence[Syllable], form: _Form) -> list[Note]:
        """The notes of a phrase."""
        key = (form.seed, phrase.place, tuple(syllables))
        if key not in self.sung:
            self.sung[key] = self._sing(phrase.place, syllables, form)
        start = phrase.bar * self.bar
        return [
            Note(start=(start + place) * EIGHTH, length=length * EIGHTH, pitch=pitch, lyric=s.text, hyphen=s.hyphen)
            for (place, length, pitch), s in zip(self.sung[key], syllables, strict=True)
        ]

    def _sing(self, number: int, syllables: Sequence[Syllable], form: _Form) -> list[tuple[int, int, int]]:
        """(eighth from the first bar line, length, pitch) of each syllable of a phrase."""
        bars = form.bars[number]
        shape, likings, random = self._letter(form.letters[number], form.seed)
        places = self._rhythm(syllables, bars, likings)
        assert places is not None, "the bars were chosen so that the syllables fit"
        end = bars * self.bar - self.pickup - BREATH
        ends = [*places[1:], min(end, places[-1] + max(self.bar * 3 // 4, LAST))]
        first = sum(form.bars[:number])
        chords = form.chords[first : first + bars]
        fancy = random.normal(0, _LIKING_PITCH, (COUNTS[-1] * 12 + 8, 128))
        tag_centre = self._centre_of(form)
        options = []
        for place in places:
            wanted = tag_centre + _SHAPES[shape](max(0, place) / max(1, end))
            chord = chords[place // self.bar] if place >= 0 else None
            options.append(self._options(place, chord, wanted, fancy[place + self.pickup]))
        options[-1] = {form.ends[number]: 0.0}
        before = form.ends[number - 1] if number else None
        return list(
            zip(places, [b - a for a, b in zip(places, ends, strict=True)], _line(options, before), strict=True)
        )

    def _centre_of(self, form: _Form) -> float:
        tag = next(tag for (tag, _), other in self.forms.items() if other is form)
        return self._centre(tag)

    def _options(self, place: int, chord: Chord | None, wanted: float, fancy: np.ndarray) -> dict[int, float]:
        """The pitches that a place may have, and what each costs."""
        tones = set(harmony.scale(self.style.tonic, self.style.mode))
        if self.style.mode == "minor":
            natural, raised = (self.style.tonic + SUBTONIC) % 12, (self.style.tonic + LEADING) % 12
            if chord is None:
                tones.discard(natural)  # a pickup, whose chord may be any
            elif raised in chord.tones:
                tones = tones - {natural} | {raised}
        if chord is not None and place % self.bar == 0:
            tones &= set(chord.tones)
        found = {}
        for pitch in range(self.low, self.high + 1):
            if pitch % 12 not in tones:
                continue
            foreign = chord is not None and pitch % 12 not in chord.tones and place % self.beat == 0
            found[pitch] = 0.05 * (pitch - wanted) ** 2 + float(fancy[pitch]) + 0.7 * foreign
        near = {pitch: cost for pitch, cost in found.items() if abs(pitch - wanted) <= _NEAR}
        return near if len(near) > 4 else found


def _rooms(verses: Sequence[Verse]) -> list[list[float]]:
    """Of each phrase of each section, the seconds until the next one with a time, shared with those in between."""
    starts = [
        start for verse in verses for start in (*verse.starts, *[None] * (len(verse.phrases) - len(verse.starts)))
    ]
    rooms = [float("inf")] * len(starts)
    known = [i for i, start in enumerate(starts) if start is not None]
    for first, after in pairwise(known):
        gap = (starts[after] or 0.0) - (starts[first] or 0.0)
        rooms[first:after] = [gap / (after - first)] * (after - first)
    shared = iter(rooms)
    return [[next(shared) for _ in verse.phrases] for verse in verses]


def _line(options: Sequence[dict[int, float]], before: int | None) -> list[int]:
    """The cheapest way through the pitches under the rules for leaps."""
    states: dict[tuple[int | None, int], tuple[float, tuple[int, ...]]] = {}
    for pitch, cost in options[0].items():
        apart = 0 if before is None else abs(pitch - before)
        if apart <= BETWEEN:
            states[None, pitch] = (cost + 0.08 * apart, (pitch,))
    for number, choices in enumerate(options[1:], 1):
        last = number + 1 == len(options)
        after: dict[tuple[int | None, int], tuple[float, tuple[int, ...]]] = {}
        for (past, pitch), (cost, way) in states.items():
            for follower, own in choices.items():
                move = _move(past, pitch, follower, last=last)
                if move is None:
                    continue
                total = cost + own + move
                old = after.get((pitch, follower))
                if old is None or total < old[0]:
                    after[pitch, follower] = (total, (*way, follower))
        states = after
    assert states, "a step to the nearest chord tone is always allowed"
    return list(min(states.values())[1])


@lru_cache(maxsize=65536)
def _move(past: int | None, pitch: int, follower: int, *, last: bool) -> float | None:
    """What it costs to go on; None: against the rules."""
    interval = follower - pitch
    if abs(interval) > WIDEST or (last and abs(interval) >= LEAP):
        return None
    leap = 0 if past is None else pitch - past
    if abs(leap) >= LEAP and not (0 < abs(interval) <= STEP and (interval > 0) != (leap > 0)):
        return None
    again = 0.8 if past == pitch == follower else 0.0
    return _MOVES[abs(interval)] + again
