"""Chords -> an accompaniment: patterns for guitars and pianos, held chords, bass, drums, and a tune between the verses.

    parts = accompany(spans, score, style, rules, seed=1)      # {"guitar": [Event, ...], "bass": ..., "drums": ...}
    notes = instrumental(style, 20.0, seed=1)                  # a piece without a voice, to be rendered

The first instrument that plays chords has the style's pattern, others hold them; a lead plays the tune of the chorus
where nobody sings, and the thirds of the chords in choruses. Sections have their loudness. Chance, which a seed fixes,
is in how loud each note is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from aoide.audio.sampler import Note
from aoide.config import UserError
from aoide.score import harmony, tracks
from aoide.score.compose import Syllable, Verse, compose
from aoide.score.harmony import Chord, Span
from aoide.score.rules import Part, Rules
from aoide.score.score import Score
from aoide.score.style import INSTRUMENTS, Style
from aoide.score.tracks import Event

LOUD = {"intro": 72, "verse": 74, "pre-chorus": 78, "chorus": 88, "bridge": 80, "inst": 82, "outro": 72, "end": 70}
USUAL = 78  # velocity
BASS, CHORDS, HIGH = 31, 52, 60  # lowest pitches of a bass, of chords, of a tune
OWN_BASS = 40  # of an instrument that plays its own bass
HUMAN = 4.0  # deviation of velocity
STRUM = 10  # ticks from string to string
LONGEST = 1800.0  # seconds of a piece without a voice
KICK, STICK, SNARE, HAT, OPEN, CRASH, TOM = 36, 37, 38, 42, 46, 49, 45


class Stroke(NamedTuple):
    """What a pattern does: at an eighth, for so many; what: "bass", "fifth", "chord", or the number of a tone."""

    at: float
    length: float
    what: str | int
    louder: int = 0


# ------------------------------------------------------------------------------------------------------------- patterns


def _pick(size: int, beat: int) -> list[Stroke]:
    order = (0, 2, 1, 3, 0, 2, 1, 2)
    found = [Stroke(0, size / 2, "bass", 6), Stroke(size / 2, size / 2, "fifth", 2)]
    if size % 4:  # three in a bar
        found[1] = Stroke(2 * beat if beat == 2 else beat, beat, "fifth", 2)
    return found + [Stroke(i, 2, order[i % len(order)]) for i in range(1, size)]


def _arpeggio(size: int, beat: int) -> list[Stroke]:
    wave = (0, 1, 2, 3, 2, 1, 2, 1) if size == 8 else (0, 1, 2, 3, 2, 1)
    return [Stroke(0, size, "bass", 4), *(Stroke(i, 2, wave[i % len(wave)]) for i in range(size))]


def _blocks(size: int, beat: int) -> list[Stroke]:
    half = size / 2 if size == 8 else size
    return [Stroke(at, half, what) for at in np.arange(0, size, half).tolist() for what in ("bass", "chord")]


def _boom(size: int, beat: int) -> list[Stroke]:
    if beat == 3:
        pairs = [(0, "bass"), (2, "chord"), (3, "fifth"), (5, "chord")]
        return [Stroke(at, 1, what, 6 if what == "bass" else 0) for at, what in pairs]
    beats = size // beat
    low = {0: "bass", 2: "fifth"} if beats != 3 else {0: "bass"}
    return [Stroke(i * beat, 1.6, low.get(i, "chord"), 6 if i in low else 0) for i in range(beats)]


def _pulse(size: int, beat: int) -> list[Stroke]:
    strokes = [Stroke(i, 0.9, "chord", 5 if i % beat == 0 else -6) for i in range(size)]
    return [Stroke(0, size, "bass", 4), *strokes]


def _offbeat(size: int, beat: int) -> list[Stroke]:
    return [Stroke(0, beat, "bass", 2), *(Stroke(i * beat + beat - 1, 0.8, "chord") for i in range(size // beat))]


def _strum(size: int, beat: int) -> list[Stroke]:
    places = (0, 2, 3, 5, 6, 7) if size == 8 else (0, 2, 3, 4, 5) if size == 6 else (0, 2, 3)
    return [Stroke(0, size, "bass", 4), *(Stroke(i, 1, "chord", 4 if i % beat == 0 else -5) for i in places)]


PATTERNS: dict[str, Callable[[int, int], list[Stroke]]] = {
    "pick": _pick,
    "arpeggio": _arpeggio,
    "blocks": _blocks,
    "boom": _boom,
    "pulse": _pulse,
    "offbeat": _offbeat,
    "strum": _strum,
}
"""eighths of a bar, eighths of a beat -> what is played in it."""


def _beat(kind: str, size: int, beat: int) -> list[tuple[float, int, int]]:
    """(eighth, drum, velocity) of a bar."""
    strong, beats = list(range(0, size, beat)), size // beat
    back = strong[1::2] if beats != 3 else strong[1:]
    hats = [(float(i), HAT, 70 if i % beat == 0 else 52) for i in range(size)]
    if kind == "soft":
        return [(float(i), HAT, 58) for i in strong] + [(float(i), STICK, 62) for i in back] + [(0.0, KICK, 66)]
    if kind == "march":
        rolls = [(i + 0.5, SNARE, 48) for i in strong]
        return [(0.0, KICK, 90)] + [(float(i), SNARE, 78) for i in strong] + rolls
    if kind == "dance":
        return [(float(i), KICK, 100) for i in strong] + [(i + beat / 2, OPEN, 66) for i in strong] + [
            (float(i), SNARE, 84) for i in back
        ]  # fmt: skip
    kicks = [(0.0, KICK, 96)] + ([(float(size // 2), KICK, 86)] if beats == 4 else [])
    if kind == "rock" and size == 8:
        kicks.append((5.0, KICK, 84))
    return hats + kicks + [(float(i), SNARE, 96 if kind == "rock" else 84) for i in back]


# ---------------------------------------------------------------------------------------------------------------- parts


def accompany(
    spans: Sequence[Span], score: Score, style: Style, rules: Rules | None = None, seed: int = 0
) -> dict[str, list[Event]]:
    """The parts of an accompaniment.

    Args:
        spans: the chords.
        score: the melody, for tempo and metre, and for the tune of parts without a voice.
        rules: of the song, for its sections; None: all is one section without a voice, where the lead plays the melody.
    """
    if not spans:
        raise UserError("no chords to accompany")
    return _Band(spans, score, style, rules, seed).play()


class _Band:
    def __init__(self, spans: Sequence[Span], score: Score, style: Style, rules: Rules | None, seed: int) -> None:
        self.spans, self.score, self.style = sorted(spans, key=lambda span: span.start), score, style
        meter = score.meters[0]
        self.eighth = score.resolution / 2
        self.size = max(2, meter.beats * 8 // meter.unit)  # eighths in a bar
        self.beat = 3 if meter.unit == 8 and meter.beats % 3 == 0 else 2
        self.bar = round(self.size * self.eighth)
        self.bars = -int(-max(span.end for span in spans) // self.bar)
        whole = (Part(tag="", bar=0, bars=self.bars, like=0),)
        self.parts = whole if rules is None else rules.parts
        self.random = np.random.default_rng([seed, 7])

    def play(self) -> dict[str, list[Event]]:
        found: dict[str, list[Event]] = {}
        roles = {name: INSTRUMENTS[name].role for name in self.style.instruments}
        patterned = next((name for name, role in roles.items() if role == "chords"), "")
        has_bass = "bass" in roles.values()
        leads = [name for name, role in roles.items() if role == "lead"]
        for name, role in roles.items():
            program = INSTRUMENTS[name].program
            if role == "bass":
                events = self._bass(program)
            elif role == "chords":
                pattern = self.style.pattern if name == patterned else "blocks"
                events = self._patterned(program, pattern, own_bass=name == patterned or not has_bass)
            elif role == "sustain":
                events = self._held(program, own_bass=not has_bass and not patterned)
            else:
                events = self._thirds(program)
            if name == (leads[0] if leads else self.style.instruments[0]):
                events += self._tunes(program)
            found[name] = sorted(events)
        if self.style.drums:
            found["drums"] = sorted(self._drums())
        return {name: events for name, events in found.items() if events}

    # ------------------------------------------------------------------------------------------------------------ time

    def _part(self, bar: int) -> Part:
        return next((p for p in self.parts if p.bar <= bar < p.bar + p.bars), Part(tag="", bar=bar, bars=1))

    def _chord(self, tick: float) -> Chord | None:
        return next((span.chord for span in self.spans if span.start <= tick < span.end), None)

    def _event(
        self, at: float, length: float, pitch: int, louder: float, program: int, *, drums: bool = False
    ) -> Event:
        """A note at a tick, as loud as its section."""
        base = LOUD.get(self._part(int(at // self.bar)).tag, USUAL)
        velocity = int(np.clip(round(base + louder + self.random.normal(0, HUMAN)), 12, 120))
        return Event(round(at), max(1, round(length)), pitch, velocity, program, drums)

    # ------------------------------------------------------------------------------------------------------ instruments

    def _patterned(self, program: int, pattern: str, *, own_bass: bool) -> list[Event]:
        found: list[Event] = []
        middle = CHORDS + 8.0
        for bar in range(self.bars):
            last = self._part(bar).tag == "end"
            strokes = _blocks(self.size, self.beat) if last else PATTERNS[pattern](self.size, self.beat)
            for stroke in strokes:
                at = bar * self.bar + stroke.at * self.eighth
                chord = self._chord(at)
                if chord is None:
                    continue
                voiced = _voicing(chord, CHORDS, middle)
                middle = sum(voiced) / len(voiced)
                length = min(stroke.length, self.size - stroke.at) * self.eighth
                if stroke.what in ("bass", "fifth"):
                    tone = chord.tones[min(2, len(chord.tones) - 1)] if stroke.what == "fifth" else chord.root
                    if own_bass:
                        found.append(self._event(at, length, _from(tone, OWN_BASS), stroke.louder - 4, program))
                    continue
                if stroke.what == "chord":
                    gap = STRUM if pattern in ("strum", "boom") else 0
                    for i, pitch in enumerate(voiced):
                        late = at + i * gap
                        found.append(self._event(late, max(1, length - i * gap), pitch, stroke.louder - 10, program))
                    continue
                tones = [*voiced, *(pitch + 12 for pitch in voiced)]
                found.append(self._event(at, length, tones[int(stroke.what)], stroke.louder - 8, program))
        return found

    def _held(self, program: int, *, own_bass: bool) -> list[Event]:
        found: list[Event] = []
        middle = CHORDS + 10.0
        for span in self.spans:
            voiced = _voicing(span.chord, CHORDS, middle)
            middle = sum(voiced) / len(voiced)
            low = [_from(span.chord.root, OWN_BASS)] if own_bass else []
            for pitch in [*low, *voiced]:
                found.append(self._event(span.start, span.length * 0.98, pitch, -18 if not own_bass else -6, program))
        return found

    def _bass(self, program: int) -> list[Event]:
        found: list[Event] = []
        busy = self.style.drums in ("rock", "dance", "pop")
        for bar in range(self.bars):
            beats = self.size // self.beat
            places: list[tuple[float, bool]] = [(0, False)]
            if self._part(bar).tag == "end":
                pass
            elif busy:
                places = [(i, False) for i in range(0, self.size, 1 if self.style.drums == "rock" else 2)]
            elif beats != 3:
                places.append((self.size / 2, True))
            for (place, fifth), (after, _) in zip(places, [*places[1:], (self.size, False)], strict=True):
                at = bar * self.bar + place * self.eighth
                chord = self._chord(at)
                if chord is not None:
                    tone = chord.tones[min(2, len(chord.tones) - 1)] if fifth else chord.root
                    length = (after - place) * self.eighth * 0.95
                    found.append(self._event(at, length, _from(tone, BASS), 4 if place == 0 else -4, program))
        return found

    def _thirds(self, program: int) -> list[Event]:
        """In choruses a lead holds the third of each chord, softly."""
        found = []
        for span in self.spans:
            if self._part(span.start // self.bar).tag == "chorus" and len(span.chord.tones) > 1:
                pitch = _from(span.chord.tones[1], HIGH + 4)
                found.append(self._event(span.start, span.length * 0.95, pitch, -26, program))
        return found

    def _tunes(self, program: int) -> list[Event]:
        """The melody of another section in the parts without a voice."""
        found = []
        for part in self.parts:
            if part.like is None:
                continue
            moved = (part.bar - part.like) * self.bar
            first, last = part.like * self.bar, (part.like + part.bars) * self.bar
            notes = [n for n in self.score.notes if n.sung and n.pitch is not None and first <= n.start < last]
            up = 12 if notes and np.mean([note.pitch or 0 for note in notes]) < HIGH + 6 else 0
            for note in notes:
                length = min(note.end, last) - note.start
                pitch = min(127, (note.pitch or 0) + up)
                found.append(self._event(note.start + moved, length, pitch, 8, program))
        return found

    def _drums(self) -> list[Event]:
        found = []
        for bar in range(self.bars):
            part, start = self._part(bar), bar * self.bar
            if part.tag == "intro":
                continue
            if part.tag == "end":
                found += [self._event(start, self.bar, key, 16, 0, drums=True) for key in (CRASH, KICK)]
                continue
            strokes = _beat(self.style.drums, self.size, self.beat)
            if bar + 1 == part.bar + part.bars and part.bars > 2:  # a fill leads into the next section
                cut = self.size - self.beat
                strokes = [stroke for stroke in strokes if stroke[0] < cut]
                strokes += [(cut + i * 0.5, SNARE if i < 2 else TOM, 70 + 6 * i) for i in range(2 * self.beat)]
            for at, key, velocity in strokes:
                found.append(
                    self._event(start + at * self.eighth, self.eighth / 2, key, velocity - USUAL - 8, 0, drums=True)
                )
        return found


def _from(tone: int, lowest: int) -> int:
    """The first pitch of a pitch class from `lowest` on."""
    return lowest + (tone - lowest) % 12


def _voicing(chord: Chord, lowest: int, middle: float) -> list[int]:
    """The chord in the position whose middle is nearest to the one before, at least three tones."""
    tones = list(chord.tones) if len(chord.tones) > 2 else [*chord.tones, *chord.tones, *chord.tones][:3]
    best: list[int] = []
    for start in range(len(tones)):
        pitch = _from(tones[start], lowest)
        pitches = [pitch]
        for tone in tones[start + 1 :] + tones[:start]:
            pitch = _from(tone, pitch + 1)
            pitches.append(pitch)
        if not best or abs(sum(pitches) / len(pitches) - middle) < abs(sum(best) / len(best) - middle):
            best = pitches
    return best


# ---------------------------------------------------------------------------------------------- pieces without a voice


def instrumental(style: Style, seconds: float | None, seed: int = 0, melody: Score | None = None) -> list[Note]:
    """A piece of music as notes to be rendered (`aoide.generate.soundfont.render`).

    Args:
        style: as `style.parse` gives it; with a melody, its key and tempo take the place of the style's.
        seconds: how long it lasts, roughly: whole bars, at least one; None: as long as the melody.
        melody: what the lead plays; None: one by the rules.

    Raises:
        UserError: a length that makes no sense, or a melody without notes.
    """
    if seconds is not None and not 0 < seconds <= LONGEST:
        raise UserError(f"a piece of music lasts up to {LONGEST:.0f} s, not {seconds:g}")
    if melody is None:
        if seconds is None:
            raise UserError("how long shall the music be? name the seconds, or give a melody")
        bars = max(1, round(seconds / style.bar_seconds))
        melody, spans = _invented(style, bars, seed)
    else:
        melody = melody.with_metre().at_resolution(480)
        if not any(note.sung for note in melody.notes):
            raise UserError("the melody has no notes")
        tonic, mode = harmony.key_of(melody)
        style = replace(style, tonic=tonic, mode=mode)
        rules = _bare(style, melody)
        spans = harmony.harmonise(melody, rules)
        if seconds is not None:
            spans = [span for span in spans if melody.seconds(span.start) < seconds] or spans[:1]
    end = spans[-1].end
    kept = tuple(note for note in melody.notes if note.start < end)
    parts = accompany(spans, replace(melody, notes=kept), style, None, seed)
    return tracks.timed([event for events in parts.values() for event in events], melody)


def _invented(style: Style, bars: int, seed: int) -> tuple[Score, list[Span]]:
    """A tune of so many bars that ends on the tonic, and its chords; a verse and a chorus in turn."""
    random = np.random.default_rng([seed, 3])
    each = max(2, round(16 / max(1, style.beats * 4 // style.unit)))
    size = int(np.clip(round(2 * style.bar_seconds * 0.85 / 0.42), 4, 12))
    verses: list[Verse] = []
    for number in range(2 + bars // each):
        counts = [max(3, size + int(shift)) for shift in random.integers(-1, 2, 4)]
        phrases = tuple(tuple(Syllable("la", 2 if i % 2 == 0 else 0, False) for i in range(n)) for n in counts)
        verses.append(Verse("chorus" if number % 2 else "verse", phrases))
    score, rules = compose(verses, style, 62, 81, seed)
    skipped = rules.parts[0].bars * rules.bar_eighths * score.resolution // 2  # the introduction
    spans = [Span(s.start - skipped, s.length, s.chord) for s in harmony.harmonise(score, rules) if s.start >= skipped]
    spans = spans[:bars]
    last = spans[-1]
    spans[-1] = Span(last.start, last.length, harmony.diatonic(style.tonic, style.mode)[0])
    notes = [replace(note, start=note.start - skipped) for note in score.notes if note.start >= skipped]
    kept = [note for note in notes if note.start < last.start]
    for number, note in enumerate(kept):
        kept[number] = replace(note, length=min(note.length, last.start - note.start))
    home = min(
        (p for p in range(62, 82) if p % 12 == style.tonic), key=lambda p: abs(p - (kept[-1].pitch or 0) if kept else p)
    )
    sample = kept[-1] if kept else notes[0]
    kept.append(replace(sample, start=last.start, length=last.length, pitch=home))
    return replace(score, notes=tuple(kept)), spans


def _bare(style: Style, melody: Score) -> Rules:
    """Rules that know the key and the metre, and nothing of sections."""
    meter = melody.meters[0]
    return Rules(
        tonic=style.tonic, mode=style.mode, beats=meter.beats, unit=meter.unit, bpm=melody.tempos[0].bpm,
        low=0, high=127, shortest=1, parts=(), phrases=(), chords=(),
    )  # fmt: skip
