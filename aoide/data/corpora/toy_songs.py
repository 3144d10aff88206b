"""A corpus of toy songs, made by rule: a voice of formants sings vowels over chords and a beat, and all is known.

Size      as many songs as asked for, of 6 s, 8,000 Hz mono, in two stems; 500 of them 0.8 hours and 65 MB
Licence   none needed: nobody was recorded, nothing was copied
Get it    nothing; a thousand songs take about a minute
Layout    that of the corpus `songs` (aoide/data/corpora/songs.py), which reads any songs in two stems

The world is closed: three keys (C, E, A flat major), three tempos (80, 110, 150 bpm), five vowels (ah, eh, ee, oh, oo),
two lines of words with rests around them. The style says key and tempo, the lyrics which vowel is sung when; the melody
and the chords are drawn. So a model can be asked for a song, and each stem be judged by what it was asked for.

Options
    --songs N     how many (default: 500)
    --first N     the number of the first, for songs that another corpus does not have (default: 0)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from aoide.audio import io
from aoide.audio.sound import Sound
from aoide.data.clips import Clip, Refused
from aoide.data.corpora import songs as folder
from aoide.score.song_script import Line, Section, SongScript, TimedWord

SAMPLE_RATE, SECONDS = 8_000, 6.0
KEYS = {"c major": 0, "e major": 4, "a flat major": 8}  # key -> its first note, semitones above C
TEMPOS = (80, 110, 150)  # beats per minute
# word -> its formants: Peterson and Barney 1952, men
VOWELS = {
    "ah": (730.0, 1090.0, 2440.0),
    "eh": (530.0, 1840.0, 2480.0),
    "ee": (270.0, 2290.0, 3010.0),
    "oh": (450.0, 800.0, 2830.0),
    "oo": (300.0, 870.0, 2240.0),
}
WIDTHS = (90.0, 110.0, 170.0)  # Hz of the formants
SCALE = (0, 2, 4, 5, 7, 9, 11)
CHORDS = ((0, 4, 7), (5, 9, 12), (7, 11, 14), (9, 12, 16))  # I, IV, V, vi, semitones above the key
LOWEST = 45  # MIDI number below which nobody sings here


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What a toy song is made of; times in seconds."""

    key: str
    tempo: int
    words: tuple[tuple[str, float, float], ...]  # vowel, start, end
    lines: tuple[int, ...]  # how many words each line has
    melody: tuple[int, ...]  # MIDI number of each word
    chords: tuple[int, ...]  # of each two beats, a place in CHORDS
    seed: int

    @property
    def style(self) -> str:
        """What is told of it in words."""
        return f"{self.key}, {self.tempo} bpm"

    @property
    def script(self) -> SongScript:
        """The lyrics, with the times of words."""
        lines, at = [], 0
        for count in self.lines:
            part = self.words[at : at + count]
            timed = tuple(TimedWord(text=word, start=a, end=b) for word, a, b in part)
            text = " ".join(word for word, _, _ in part)
            lines.append(Line(text=text, start=part[0][1], end=part[-1][2], words=timed))
            at += count
        return SongScript(sections=(Section(tag="verse", lines=tuple(lines)),), style=self.style, language="en")


def plan(number: int) -> Plan:
    """Song `number`: the same each time."""
    draw = np.random.default_rng([7, number])
    key, tempo = str(draw.choice(list(KEYS))), int(draw.choice(TEMPOS))
    words: list[tuple[str, float, float]] = []
    counts: list[int] = []
    now = float(draw.uniform(0.3, 1.2))
    for _ in range(2):
        counts.append(int(draw.integers(2, 5)))
        for _ in range(counts[-1]):
            length = float(draw.uniform(0.4, 0.7))
            words.append((str(draw.choice(list(VOWELS))), round(now, 2), round(now + length, 2)))
            now += length
        now += float(draw.uniform(0.6, 1.1))
    words = [word for word in words if word[2] <= SECONDS - 0.2]
    counts[1] = len(words) - counts[0]
    notes = [LOWEST + (KEYS[key] - LOWEST) % 12 + step for step in SCALE]
    melody = tuple(int(draw.choice(notes)) for _ in words)
    bars = int(np.ceil(SECONDS * tempo / 60 / 2))
    chords = (0, *(int(x) for x in draw.integers(0, len(CHORDS), bars - 1)))
    return Plan(
        key=key,
        tempo=tempo,
        words=tuple(words),
        lines=tuple(count for count in counts if count > 0),
        melody=melody,
        chords=chords,
        seed=number,
    )


def voice(song: Plan) -> np.ndarray:
    """The voice alone, (samples,) float32: harmonics under formants, silent where nothing is sung."""
    draw = np.random.default_rng([8, song.seed])
    sound = np.zeros(round(SECONDS * SAMPLE_RATE))
    for (word, start, end), note in zip(song.words, song.melody, strict=True):
        first, last = round(start * SAMPLE_RATE), round(end * SAMPLE_RATE)
        time = np.arange(last - first) / SAMPLE_RATE
        f0 = 440 * 2 ** ((note - 69) / 12) * (1 + 0.008 * np.sin(2 * np.pi * 5.5 * time + draw.uniform(0, 6)))
        phase = 2 * np.pi * np.cumsum(f0) / SAMPLE_RATE
        number = np.arange(1, int(3_900 / f0.max()) + 1)[:, None]
        tones = np.sin(number * phase)
        strength = formed(number * f0.mean(), VOWELS[word]) / number**0.5
        edge = np.minimum(1, np.minimum(time + 1 / SAMPLE_RATE, time[::-1]) / 0.03)
        sung = (strength * tones).sum(0)
        sound[first:last] += 0.25 * edge * sung / np.sqrt(np.mean(sung**2))
    return sound.astype(np.float32)


def formed(frequency: np.ndarray, formants: tuple[float, ...]) -> np.ndarray:
    """How strong a frequency is in a vowel: the product of its resonances."""
    gain = np.ones_like(frequency)
    for centre, width in zip(formants, WIDTHS, strict=True):
        gain *= centre**2 / np.sqrt((centre**2 - frequency**2) ** 2 + (width * frequency) ** 2)
    return gain


def accompaniment(song: Plan) -> np.ndarray:
    """The rest alone, (samples,) float32: a chord and a stroke on each beat, a bass on every other."""
    draw = np.random.default_rng([9, song.seed])
    beat = 60 / song.tempo
    sound = np.zeros(round((SECONDS + 1) * SAMPLE_RATE))
    root = 60 + KEYS[song.key]
    for number in range(int(np.ceil(SECONDS / beat))):
        first = round(number * beat * SAMPLE_RATE)
        time = np.arange(round(min(0.9 * beat, 0.5) * SAMPLE_RATE)) / SAMPLE_RATE
        fade = np.exp(-6 * time) * np.minimum(1, time / 0.004)
        chord = [root + step for step in CHORDS[song.chords[number // 2]]]
        bass = [chord[0] - 24] if number % 2 == 0 else []
        for note in (*chord, *bass):
            tone = 2 * np.pi * 440 * 2 ** ((note - 69) / 12) * time
            sound[first : first + len(time)] += 0.09 * fade * (np.sin(tone) + 0.4 * np.sin(2 * tone))
        stroke = round(0.04 * SAMPLE_RATE)
        noise = np.diff(draw.standard_normal(stroke + 1)) * np.exp(-np.arange(stroke) / (0.012 * SAMPLE_RATE))
        sound[first : first + stroke] += 0.12 * noise
    return sound[: round(SECONDS * SAMPLE_RATE)].astype(np.float32)


def make(root: Path, say: Callable[[str], None], *, songs: int = 500, first: int = 0) -> None:
    """Writes every song that is not finished yet; the lyrics are written last."""
    from tqdm import tqdm

    todo = [n for n in range(first, first + songs) if not (root / f"{_id(n)}.lrc").is_file()]
    if not todo:
        return
    root.mkdir(parents=True, exist_ok=True)
    say(f"{len(todo)} of {songs} songs to make, in {root}")
    for number in tqdm(todo, unit="song", disable=None):
        song, path = plan(number), root / f"{_id(number)}.flac"
        stems = {"voice": voice(song), "accompaniment": accompaniment(song)}
        for name, samples in stems.items():
            io.write(folder.stem_of(path, name), Sound(samples, SAMPLE_RATE))
        io.write(path, Sound(sum(stems.values()), SAMPLE_RATE))  # type: ignore[arg-type]
        path.with_suffix(".txt").write_text(song.style, "utf-8")
        song.script.save(path.with_suffix(".lrc"))


def clips(root: Path, *, songs: int = 500, first: int = 0) -> Iterator[Clip | Refused]:
    """The songs that are asked for, by number."""
    wanted = {_id(number) for number in range(first, first + songs)}
    for clip in folder.clips(root):
        if clip.id in wanted:
            yield clip


def _id(number: int) -> str:
    return f"song-{number:05}"
