"""Melodies that nobody wrote, with lyrics: what a teacher sings, and what a singer is examined with.

A melody walks up and down a scale in small steps, jumps now and then, breathes between phrases and comes home at the
end. It follows from its seed alone. Lyrics are morae of kana that cover all sounds of Japanese, or plain English words.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from aoide.score.score import Meter, Note, Score, Tempo

SCALES = ((0, 2, 4, 5, 7, 9, 11), (0, 2, 3, 5, 7, 8, 10), (0, 2, 4, 7, 9))  # major, minor, pentatonic
RHYTHMS = ((2, 2), (2, 2), (4,), (1, 1, 2), (2, 1, 1), (3, 1), (6, 2), (1, 1, 1, 1), (2, 2, 4))  # in eighths
COMMON = (
    "あ い う え お か き く け こ さ し す せ そ た ち つ て と な に ぬ ね の "
    "は ひ ふ へ ほ ま み む め も や ゆ よ ら り る れ ろ わ が ぎ ぐ げ ご ざ "
    "じ ず ぜ ぞ だ で ど ば び ぶ べ ぼ ぱ ぴ ぷ ぺ ぽ"
)
RARE = (
    "きゃ きゅ きょ しゃ しゅ しょ ちゃ ちゅ ちょ にゃ にゅ にょ ひゃ ひゅ ひょ みゃ みゅ "
    "みょ りゃ りゅ りょ ぎゃ ぎゅ ぎょ じゃ じゅ じょ びゃ びゅ びょ ぴゃ ぴゅ ぴょ ふぁ "
    "ふぃ ふぇ ふぉ てぃ でぃ とぅ つぁ しぇ ちぇ じぇ うぃ うぇ うぉ"
)
WORDS = (
    "rain falls on the sil-ver sea and I will fol-low home when morn-ing comes we sing a song of gold-en "
    "light the riv-er runs so far a-way from all the moun-tains that we know my heart is long-ing for the "
    "sum-mer days you are the one who holds my hand be-neath the stars a-lone no more to-mor-row brings "
    "an-oth-er sky of blue wild birds are fly-ing o-ver hills of green they call your name and I be-lieve in "
    "ev-er-y lit-tle word you say"
)


def melody(
    seed: int, language: str = "ja", *, low: int = 58, high: int = 75, phrases: int = 3, breaths: bool = True
) -> Score:
    """A melody between two pitches (MIDI numbers) of some phrases, each of two bars; the first bar is a rest.

    Args:
        language: "ja" or "en", of the lyrics.
        breaths: whether there is a rest between phrases.
    """
    draw = random.Random(f"{language}-{seed}")
    scale, bpm = draw.choice(SCALES), draw.randint(90, 170)
    key = draw.randint(low, min(low + 11, high - 5))
    steps = [p for p in range(low, high + 1) if (p - key) % 12 in scale]
    place = draw.randrange(len(steps) // 4, max(len(steps) // 4 + 1, 3 * len(steps) // 4))
    notes: list[Note] = []
    tick = eighth = 240
    tick *= 2
    for phrase in range(phrases):
        rhythm: list[int] = []
        while sum(rhythm) < 14:
            rhythm += draw.choice(RHYTHMS)
        rhythm[-1] += 16 - sum(rhythm) if sum(rhythm) < 16 else 0
        for k, eighths in enumerate(rhythm):
            last = phrase + 1 == phrases and k + 1 == len(rhythm)
            jump = draw.choice((-4, -3, 3, 4)) if draw.random() < 0.15 else draw.choice((-2, -1, -1, 0, 1, 1, 2))
            place = min(max(place + jump, 0), len(steps) - 1)
            length = eighth * (eighths + 4 if last else eighths)
            notes.append(Note(start=tick, length=length, pitch=steps[place]))
            tick += length
        tick += eighth * draw.choice((2, 4)) if breaths else 0
    lyrics = _kana(notes, draw) if language == "ja" else _words(notes, draw)
    return Score(
        notes=tuple(lyrics),
        tempos=(Tempo(tick=0, bpm=float(bpm)),),
        meters=(Meter(tick=0, beats=4, unit=4),),
        language=language,
        title=f"Melody {seed}",
    )


def _kana(notes: Sequence[Note], draw: random.Random) -> list[Note]:
    """A mora for each note; a long note may end in ん or be held through the next, a short one be cut by っ."""
    found: list[Note] = []
    for k, note in enumerate(notes):
        mora = draw.choice(RARE.split() if draw.random() < 0.3 else COMMON.split())
        chance = draw.random()
        touches = bool(found) and found[-1].end == note.start
        if touches and chance < 0.06:
            mora = "ー"
        elif touches and chance < 0.11:
            mora = "ん"
        elif chance < 0.15 and note.length >= 480:
            mora += "ん"
        elif chance < 0.19 and note.length >= 480 and k + 1 < len(notes) and notes[k + 1].start == note.end:
            mora += "っ"
        found.append(_with(note, mora, slur=mora == "ー"))
    return found


def _words(notes: Sequence[Note], draw: random.Random) -> list[Note]:
    """Syllables from a place in WORDS on; a word that does not end with the notes is left out for "la"."""
    words = WORDS.split()
    at = draw.randrange(len(words))
    syllables: list[tuple[str, bool]] = []
    while len(syllables) < len(notes):
        parts = words[at % len(words)].split("-")
        at += 1
        if len(syllables) + len(parts) > len(notes):
            parts = ["la"]
        syllables += [(part, k + 1 < len(parts)) for k, part in enumerate(parts)]
    return [_with(note, text, hyphen=goes_on) for note, (text, goes_on) in zip(notes, syllables, strict=True)]


def _with(note: Note, lyric: str, *, slur: bool = False, hyphen: bool = False) -> Note:
    return Note(start=note.start, length=note.length, pitch=note.pitch, lyric=lyric, slur=slur, hyphen=hyphen)
