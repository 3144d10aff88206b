"""A corpus made by a teacher: Sinsy's Japanese voice sings melodies that follow from their numbers.

Size      the default of 200 songs: an hour, 24,000 Hz; 90 MB of sound and 75 MB of features
Licence   Sinsy is BSD; its voice, NIT SONG070 F001 of the Nagoya Institute of Technology, is CC-BY-3.0: name it with
          whatever is made of these songs. What comes out is synthetic singing: say so.
Get it    pip install 'setuptools<80' cython numpy, then pip install --no-build-isolation --no-deps pysinsy, and
          pip install pyworld; nothing is downloaded. A minute of song takes about ten seconds on one core.
Layout    ROOT/songs/ID.json       the melody's number, phonemes, frames of each; written last
          ROOT/audio/ID.flac       16 bit
          ROOT/f0/ID.npy           (frames,) float32 Hz, 0 = unvoiced
          ROOT/envelope/ID.npy     (frames, 80) float16: natural log of the spectral envelope's amplitude, on the warped
                                   scale of aoide/models/svs/xiaoicesing.py, for pulses and noise of unit power
          ROOT/aperiodicity/ID.npy (frames, 12) float16: natural log of the share of noise in the amplitude
          100 frames per second. ROOT is the output folder unless --root says otherwise.

F0, envelope and aperiodicity are WORLD's (Morise et al. 2016). The teacher knows when its notes begin, but does not say
where in a note its consonant ends. That is found out here: each phoneme gets a mean and a variance of the envelope, the
boundaries that fit them best are looked for, and means and variances are taken anew, a few times over.

Phonemes are written with one letter each (LETTERS), so that the tables of the house hold for them.

Options
    --songs N         how many (default: 200)
    --first N         the number of the first, for songs that another corpus does not have (default: 0)
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from aoide.audio import io, world
from aoide.audio.resample import resample
from aoide.audio.sound import Sound
from aoide.config import require, write_aside
from aoide.data.clips import Clip, Refused
from aoide.data.corpora._melodies import melody
from aoide.score.score import Score
from aoide.score.syllables import continues
from aoide.text import lyrics

SAMPLE_RATE, HOP = 24_000, 240
FRAME_RATE = SAMPLE_RATE / HOP
BANDS, NOISE_BANDS = 80, 12
GAIN = 0.6 / 32768  # Sinsy's numbers are those of 16 bits, and go beyond them
LETTERS = {symbol: symbol for symbol in "aiueokstnhmrzdbpywfv"} | {
    "g": "ɡ",
    "N": "ɴ", "cl": "ʔ", "ky": "c", "gy": "ɟ", "sh": "ɕ", "ch": "ʨ", "ts": "ʦ", "j": "ʥ", "ny": "ɲ", "hy": "ç",
    "by": "β", "py": "ɸ", "my": "ɰ", "ry": "ɾ", "ty": "T", "dy": "ʝ",
    "pau": " ",
}  # fmt: skip
ROUNDS = 6  # of looking for boundaries
LEAST = 2  # frames of a phoneme
KANA = dict(zip("aiueoN", "あいうえおん", strict=True))
PARTS = ("f0", "envelope", "aperiodicity")


class Group(NamedTuple):
    """A note, or a rest, and the phonemes that share its time."""

    start: float  # seconds
    end: float
    symbols: tuple[str, ...]


def make(root: Path, say: Callable[[str], None], *, songs: int = 200, first: int = 0) -> None:
    """Lets the teacher sing every song that is not finished yet, and finds the boundaries of its phonemes.

    Raises:
        MissingExtra: the teacher or WORLD is not installed.
    """
    from tqdm import tqdm

    numbers = [n for n in range(first, first + songs) if not (root / "songs" / f"{_id(n)}.json").is_file()]
    if not numbers:
        return
    sinsy = require("pysinsy", "taught")
    require("pyworld", "data")  # before an hour is sung, not after it
    for part in ("songs", "audio", *PARTS):
        (root / part).mkdir(parents=True, exist_ok=True)
    say(f"{len(numbers)} of {songs} songs to sing, about {len(numbers) / 4:.0f} minutes, in {root}")
    sung = {}
    for number in tqdm(numbers, unit="song", disable=None):
        groups = _sing(root, number, sinsy)
        if groups is not None:
            sung[number] = groups
    for number, (symbols, durations) in _boundaries(root, sung).items():
        record = {"number": number, "symbols": symbols, "durations": durations}
        with write_aside(root / "songs" / f"{_id(number)}.json") as aside:
            aside.write_text(json.dumps(record, ensure_ascii=False), "utf-8")


def clips(root: Path, *, songs: int = 200, first: int = 0) -> Iterator[Clip | Refused]:
    """The songs that are finished, by number."""
    for number in range(first, first + songs):
        name = _id(number)
        path = root / "songs" / f"{name}.json"
        try:
            record = json.loads(path.read_text("utf-8"))
        except (OSError, ValueError):
            yield Refused(id=name, path=path, reason="was not made")
            continue
        symbols: list[str] = record["symbols"]
        yield Clip(
            id=name,
            audio=root / "audio" / f"{name}.flac",
            text=" ".join(symbols),
            speaker="f001",
            language="ja",
            phonemes="".join(LETTERS[symbol] for symbol in symbols[1:-1]),
            durations=tuple(record["durations"]),
            frame_rate=FRAME_RATE,
            arrays={part: root / part / f"{name}.npy" for part in PARTS},
            style="singing",
        )


def teach(score: Score, path: Path) -> tuple[np.ndarray, list[Group]]:
    """What the teacher sings of a score, and its notes with their phonemes.

    Args:
        path: of the MusicXML file that is written for it.

    Returns:
        Samples (samples,) at SAMPLE_RATE, and the notes, from silence to silence.
    """
    import pysinsy

    _spelled(score).save(path)
    samples, rate = pysinsy.synthesize(str(path))
    groups: list[Group] = []
    for line in pysinsy.extract_fullcontext(str(path)):
        start, end, context = line.split(" ", 2)
        symbol = context.split("-", 1)[1].split("+", 1)[0]
        times = int(start) / 1e7, int(end) / 1e7
        if groups and (groups[-1].start, groups[-1].end) == times:
            groups[-1] = groups[-1]._replace(symbols=(*groups[-1].symbols, symbol))
        else:
            groups.append(Group(*times, (symbol,)))
    return resample(np.asarray(samples * GAIN, np.float32), int(rate), SAMPLE_RATE), groups


def _spelled(score: Score) -> Score:
    """The same with a vowel on each note that holds one: the teacher does not sing through slurs."""
    sung = {phoneme.note: phoneme.symbol for phoneme in lyrics.plan(score, "ja") if phoneme.symbol in KANA}
    notes, last = [], "あ"
    for i, note in enumerate(score.notes):
        last = KANA.get(sung.get(i, ""), last)
        notes.append(replace(note, lyric=last, slur=False) if note.sung and continues(note) else note)
    return replace(score, notes=tuple(notes))


def analyse(samples: np.ndarray) -> dict[str, np.ndarray]:
    """WORLD's view of samples (samples,) at SAMPLE_RATE: what PARTS name, samples // HOP frames of each."""
    heard = world.analyse(samples, SAMPLE_RATE, HOP, low=110.0, high=1000.0, bands=BANDS, noise_bands=NOISE_BANDS)
    return {
        "f0": heard.f0,
        "envelope": heard.envelope.astype(np.float16),
        "aperiodicity": heard.aperiodicity.astype(np.float16),
    }


def _id(number: int) -> str:
    return f"song-{number:05d}"


def _sing(root: Path, number: int, sinsy: Any) -> list[Group] | None:
    """Writes sound and features of a song; None where the teacher's filter burst, which it does now and then."""
    name = _id(number)
    score = melody(number)
    samples, groups = teach(score, root / "audio" / f"{name}.musicxml")
    if not np.abs(samples).max() < 1.0:
        return None
    io.write(root / "audio" / f"{name}.flac", Sound(samples[: len(samples) // HOP * HOP], SAMPLE_RATE))
    for part, array in analyse(samples).items():
        with write_aside(root / part / f"{name}.npy") as aside, open(aside, "wb") as file:
            np.save(file, array)
    return groups


# ---------------------------------------------------------------------------------------------------------- boundaries


def _boundaries(root: Path, sung: dict[int, list[Group]]) -> dict[int, tuple[list[str], list[int]]]:
    """The phonemes of each song and how many frames each lasts."""
    songs = {number: (_look(root, number), groups) for number, groups in sung.items()}
    cuts = {number: [_first(group) for group in groups] for number, (_, groups) in songs.items()}
    for _ in range(ROUNDS):
        shapes = _shapes(songs, cuts)
        cuts = {number: [_best(look, group, shapes) for group in groups] for number, (look, groups) in songs.items()}
    found = {}
    for number, (look, groups) in songs.items():
        symbols: list[str] = []
        ends: list[int] = []
        for group, inner in zip(groups, cuts[number], strict=True):
            symbols += group.symbols
            ends += [*inner, _frame(group.end)]
        ends[-1] = len(look)
        found[number] = symbols, np.diff([0, *ends]).tolist()
    return found


def _frame(seconds: float) -> int:
    return round(seconds * FRAME_RATE)


def _look(root: Path, number: int) -> np.ndarray:
    """What boundaries are seen by: cepstrum of the envelope without its noise, and voicing: (frames, features)."""
    envelope = np.load(root / "envelope" / f"{_id(number)}.npy").astype(np.float64)
    f0 = np.load(root / "f0" / f"{_id(number)}.npy")
    k = np.arange(16)[:, None]
    basis = np.cos(np.pi * k * (np.arange(envelope.shape[1]) + 0.5) / envelope.shape[1]) / envelope.shape[1]
    return np.concatenate([np.maximum(envelope, -10.0) @ basis.T, (f0 > 0)[:, None] * 0.5], axis=1)


def _first(group: Group) -> list[int]:
    """A first guess: consonants of 60 ms, or a third of the note where it is short; ん and っ take the last third."""
    start, end = _frame(group.start), _frame(group.end)
    count, length = len(group.symbols), end - start
    if count == 1:
        return []
    consonant = 0 if group.symbols[0] in "aiueoN" else min(6, length // 3)
    cuts = [start + consonant] if consonant else []
    return [*cuts, *(start + length * 2 // 3 for _ in range(count - 1 - len(cuts)))][: count - 1]


def _shapes(songs: dict[int, Any], cuts: dict[int, list[list[int]]]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Mean and variance of each phoneme's frames."""
    frames: dict[str, list[np.ndarray]] = {}
    for number, (look, groups) in songs.items():
        for group, inner in zip(groups, cuts[number], strict=True):
            edges = [_frame(group.start), *inner, min(_frame(group.end), len(look))]
            for symbol, a, b in zip(group.symbols, edges, edges[1:], strict=False):
                frames.setdefault(symbol, []).append(look[a:b])
    found = {}
    for symbol, parts in frames.items():
        rows = np.concatenate(parts)
        if len(rows) > 2:
            found[symbol] = rows.mean(0), rows.var(0) + 0.01
    return found


def _best(look: np.ndarray, group: Group, shapes: dict[str, tuple[np.ndarray, np.ndarray]]) -> list[int]:
    """The inner boundaries of a note that fit the shapes best."""
    start, end = _frame(group.start), min(_frame(group.end), len(look))
    count = len(group.symbols)
    if count == 1 or end - start < count * LEAST or any(symbol not in shapes for symbol in group.symbols):
        return _first(group)
    rows = look[start:end]
    gains = []
    for symbol in group.symbols:
        mean, variance = shapes[symbol]
        likely = -0.5 * (np.square(rows - mean) / variance + np.log(variance)).sum(1)
        gains.append(np.concatenate([[0.0], np.cumsum(likely)]))
    # best[t]: the first phonemes until frame t; a boundary is chosen LEAST frames or more behind the one before
    best, choices = gains[0].copy(), []
    best[:LEAST] = -np.inf
    for gain in gains[1:]:
        before = np.maximum.accumulate(best - gain)
        place = np.maximum.accumulate(np.where(best - gain >= before, np.arange(len(best)), 0))
        choices.append(np.concatenate([np.zeros(LEAST, int), place[:-LEAST]]))
        best = np.concatenate([np.full(LEAST, -np.inf), before[:-LEAST]]) + gain
    cuts, at = [], len(rows)
    for choice in reversed(choices):
        at = int(choice[at])
        cuts.append(start + at)
    return cuts[::-1]
