"""Songs by a cascade: lyrics -> melody -> chords -> singing -> accompaniment -> mix, each stage a file.

    composition = compose(SongScript.load("lyrics.txt"), "folk, guitar, 90 bpm", seed=1)      # no sound yet
    song = Cascade("song", script, "folk, guitar, 90 bpm", seed=1).run()                      # all of it, in a folder
    song.sound.save("song.wav")
    Cascade("song").run()                                   # after a file was edited: goes on from there

    script.txt         lyrics and style                    accompaniment.mid   what the band plays
    melody.musicxml    the melody with its words           accompaniment.wav
    rules.json         the rules that it states            mix.wav             the song; its two parts, which sum to it
    chords.mid         a chord for each bar                                    sample by sample, are mix-voice.wav and
    singing.wav        the voice alone                                         mix-accompaniment.wav
    song.json          what was made of what               song.png            melody, chords and sections

`song.json` knows the sha256 of every file and of what it was made from. A file that is not as it was written has been
edited: it stays, and what depends on it is made again. A file that is gone is made again. Nothing here is trained; the
singers and the font of the package do it.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from aoide import trace, voices
from aoide.audio import io
from aoide.audio.loudness import normalize
from aoide.audio.mix import mix
from aoide.audio.room import room
from aoide.audio.sound import Sound
from aoide.config import UserError, build, to_dict, write_aside
from aoide.generate import soundfont
from aoide.generate.packed import read
from aoide.generate.singer import FILE, Description, Singer
from aoide.score import Score, arrange, harmony, tracks
from aoide.score import style as styles
from aoide.score.compose import MOST, Verse, phrases_of
from aoide.score.compose import compose as compose_melody
from aoide.score.harmony import Span
from aoide.score.rules import Rules, check_melody, stated
from aoide.score.song_script import SongScript
from aoide.score.style import INSTRUMENTS, Style
from aoide.score.tracks import Event
from aoide.text import lyrics, verses
from aoide.version import __version__

STATE = "song.json"
FORMAT = 1
RATE = 44_100  # Hz of the mix
VOICE_ABOVE = 4.0  # dB of the voice above the accompaniment, before they are mixed
WET = -14.0  # dB of the room around the voice
RAW = -20.0  # LUFS of accompaniment.wav
WIDE = 17  # semitones of a melody, at most
SPARE = 2  # semitones at the top of a singer's range that melodies leave alone
LEAST = 13  # semitones of a low voice


@dataclass(frozen=True, slots=True)
class Composition:
    """A song before it is sung.

    score: the melody. rules: what it says of itself. spans: its chords. parts: what the band plays, by instrument.
    style: as it was understood. remarks: what a user should know.
    """

    score: Score
    rules: Rules
    spans: list[Span]
    parts: dict[str, list[Event]]
    style: Style
    remarks: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Song:
    """What a cascade made.

    stems: "voice" and "accompaniment", whose sum is the sound. made: the stages that were made now. edited: the files
    that were found edited by hand, and kept.
    """

    folder: Path
    sound: Sound
    stems: dict[str, Sound]
    made: tuple[str, ...]
    edited: tuple[str, ...]
    remarks: tuple[str, ...]


def compose(script: SongScript, style: str = "", seed: int = 0, *, singer: str = "") -> Composition:
    """Melody, chords and accompaniment for lyrics, without any sound.

    Args:
        style: in words; "": that of the script.
        singer: for whose range and language; "": the singer of the package by the language of the lyrics.

    Raises:
        UserError: lyrics in a language that nobody sings, a word that cannot be read, a style that nobody plays.
    """
    chosen = styles.parse(style or script.style, seed)
    score, rules = melody(script, chosen, _singer_for(script, singer)[1], seed)
    spans = harmony.harmonise(score, rules)
    parts = arrange.accompany(spans, score, chosen, rules, seed)
    return Composition(
        score, rules, spans, parts, chosen, (*script.remarks, *score.remarks, *styles.remarks(chosen), *_said(chosen))
    )


def melody(script: SongScript, style: Style, singer: Description, seed: int) -> tuple[Score, Rules]:
    """The melody of a script in the range of a singer, with what it states."""
    low, high = register(singer.low, singer.high, style.voice)
    sections = []
    for section in script.sections:
        phrases, starts = [], []
        for line in section.lines:
            found = verses.syllables(line.text, singer.language)
            pieces = phrases_of(found, _breaks(line.text, singer.language) if len(found) > MOST else ())
            phrases += pieces
            starts += [line.start, *[None] * (len(pieces) - 1)] if pieces else []
        sections.append(Verse(section.tag, tuple(phrases), tuple(starts), section.seconds))
    if not any(section.phrases for section in sections):
        raise UserError("no line of the lyrics has a word to sing")
    score, rules = compose_melody(sections, style, low, high, seed, script.title)
    return replace(score, language=singer.language, remarks=_late(sections, rules, style)), rules


def register(low: int, high: int, voice: str = "") -> tuple[int, int]:
    """The range of a melody inside that of a singer: "high", "low", or its middle."""
    top = high - SPARE
    if voice == "high":
        return max(low, top - WIDE), top
    if voice == "low":
        return low, min(top, low + max(LEAST, WIDE - 1))
    middle = (low + high) // 2
    return max(low, middle - WIDE // 2), min(top, middle - WIDE // 2 + WIDE)


def _breaks(line: str, language: str) -> list[int]:
    """The places among its syllables where a line has a comma or the like."""
    found, count = [], 0
    for piece in re.split(r"(?<=[,;:.!?、。，])\s*", line):
        count += len(verses.syllables(piece, language))
        found.append(count)
    return found[:-1]


def _late(sections: Sequence[Verse], rules: Rules, style: Style) -> tuple[str, ...]:
    """What to say of lines that begin later than their times, because those before them need their bars."""
    starts = [start for section in sections for start in section.starts]
    found = []
    for phrase, start in zip(rules.phrases, starts, strict=True):
        begins = phrase.bar * style.bar_seconds
        if start is not None and begins > start + style.bar_seconds:
            found.append(f"{' '.join(phrase.syllables[:3])} ... begins at {begins:.1f} s instead of {start:.1f} s")
    more = f", and {len(found) - 1} more" if len(found) > 1 else ""
    return (f"{found[0]}{more}: lines take whole bars; a faster tempo has shorter ones",) if found else ()


def _said(style: Style) -> list[str]:
    low = "style: a low voice: the singers of the package are women, and sing it as low as they can"
    return [low] if style.voice == "low" else []


def _words(script: SongScript) -> str:
    return " ".join(line.text for line in script.lines)


def _singer_for(script: SongScript, name: str = "") -> tuple[Path, Description]:
    """The folder and the description of the singer who is named, or of the one for the language of the lyrics."""
    if not name:
        language = script.language or verses.language_of(_words(script))
        if language not in voices.DEFAULT_SINGERS:
            known = ", ".join(voices.DEFAULT_SINGERS)
            raise UserError(f"no singer of the package sings {language!r} (there are {known}); name one with --voice")
        name = voices.DEFAULT_SINGERS[language]
    folder = voices.find(name, kind=FILE)
    return folder, read(Description, folder, FILE)


# --------------------------------------------------------------------------------------------------------------- stages


class Stage(NamedTuple):
    """A step: the files that it writes (the first is the one to edit), from which files, by which settings."""

    name: str
    files: tuple[str, ...]
    needs: tuple[str, ...]
    settings: tuple[str, ...]


STAGES = (
    Stage("melody", ("melody.musicxml", "rules.json"), ("script.txt",), ("seed", "singer")),
    Stage("chords", ("chords.mid",), ("melody.musicxml", "rules.json"), ()),
    Stage("singing", ("singing.wav",), ("melody.musicxml",), ("seed", "singer")),
    Stage("accompaniment", ("accompaniment.mid",), ("chords.mid", "melody.musicxml", "rules.json"), ("seed", "style")),
    Stage("playing", ("accompaniment.wav",), ("accompaniment.mid",), ("font",)),
    Stage("mix", ("mix.wav", "mix-voice.wav", "mix-accompaniment.wav"), ("singing.wav", "accompaniment.wav"), ()),
    Stage("picture", ("song.png",), ("melody.musicxml", "chords.mid", "rules.json"), ()),
)


class Cascade:
    """A song in a folder.

    Args:
        script: the lyrics; None: those of the folder.
        style: in words; "": that of the script. seed: None: that of the folder, or 0.
        singer: name or folder; "": that of the folder, or by language.
        font: a sound font; None: that of the folder, or the package's.

    Raises:
        UserError: nothing there to go on with, a broken `song.json`, a style or a language that nobody has, or a folder
            that cannot be made.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        script: SongScript | None = None,
        style: str = "",
        seed: int | None = None,
        *,
        singer: str = "",
        font: str | os.PathLike[str] | None = None,
        threads: int = 1,
    ) -> None:
        self.folder = Path(folder)
        self.threads = threads
        self.state = self._state(new=script is not None)
        old = self.state.get("settings", {})
        self.seed = int(old.get("seed", 0) if seed is None else seed)
        self.font = old.get("font") if font is None else os.fspath(font)
        path = self.folder / "script.txt"
        if script is None:
            script = SongScript.load(path)
        self.script = script = replace(script, style=style) if style else script
        self.style = styles.parse(script.style, self.seed)
        self._singer_folder, self.singer = self._chosen(singer, old.get("singer", ""))
        self.remarks: list[str] = [*script.remarks, *styles.remarks(self.style), *_said(self.style)]
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"{self.folder}: cannot be made: {error.strerror}") from None
        if not path.exists() or SongScript.load(path) != script:
            _write(path, script.write("lrc" if script.has_times else "plain").encode())

    def _chosen(self, named: str, before: str) -> tuple[Path, Description]:
        """The singer who is named; or the one before, as long as the lyrics are in their language."""
        if not named and before:
            found = _singer_for(self.script, before)
            language = self.script.language or verses.language_of(_words(self.script))
            if found[1].language == language:
                return found
        return _singer_for(self.script, named)

    def _state(self, *, new: bool) -> dict[str, Any]:
        path = self.folder / STATE
        if not path.exists():
            if not new and not (self.folder / "script.txt").exists():
                raise UserError(f"{self.folder}: no song to go on with: it has neither {STATE} nor script.txt")
            return {}
        try:
            state = json.loads(path.read_text("utf-8"))
            if state["format"] != FORMAT or not isinstance(state["stages"], dict):
                raise ValueError
        except (OSError, ValueError, KeyError, TypeError):
            raise UserError(f"{path}: is not what `aoide song` writes; delete it to have all made again") from None
        return dict(state)

    def run(self, progress: Callable[[str], None] | None = None) -> Song:
        """Makes what is not there or no longer fits, and keeps what was edited.

        Args:
            progress: told the name of each stage that is made, before it is.

        Raises:
            UserError: a file that cannot be read, or lyrics that cannot be sung.
        """
        made: list[str] = []
        edited: list[str] = []
        records: dict[str, Any] = self.state.setdefault("stages", {})
        for stage in STAGES:
            record, source = records.get(stage.name, {}), self._source(stage)
            hashes = {name: _hash(self.folder / name) for name in stage.files}
            by_hand = _by_hand(record, hashes)
            edited += by_hand
            if by_hand and record.get("source") != source:
                said = f"{by_hand[0]} was edited by hand and stays, though it was made from something else"
                self.remarks.append(f"{said}; delete it to have it made again")
            if None in hashes.values() or (record.get("source") != source and not by_hand):
                if progress is not None:
                    progress(stage.name)
                trace.report("cascade/stage", stage.name)
                kept = {name: (self.folder / name).read_bytes() for name in by_hand}
                getattr(self, f"_{stage.name}")()
                for name, data in kept.items():
                    _write(self.folder / name, data)
                made.append(stage.name)
                hashes = {name: _hash(self.folder / name) for name in stage.files}
            records[stage.name] = {"source": source, "sha256": hashes, "by_hand": by_hand}
            self._save()
        return self._song(made, edited)

    def _source(self, stage: Stage) -> str:
        """What a stage is made from, in one number."""
        settings = {name: self._setting(name) for name in stage.settings}
        files = {name: _hash(self.folder / name) for name in stage.needs}
        return hashlib.sha256(json.dumps([settings, files], sort_keys=True).encode()).hexdigest()

    def _setting(self, name: str) -> Any:
        if name == "singer":
            return self.singer.sha256
        if name == "style":
            return [self.style.instruments, self.style.pattern, self.style.drums]
        return getattr(self, name)

    def _save(self) -> None:
        self.state |= {
            "format": FORMAT,
            "aoide": __version__,
            "settings": {
                "seed": self.seed,
                "style": str(self.style),
                "singer": name if (name := self.singer.name) in voices.names(FILE) else str(self._singer_folder),
                "font": self.font,
            },
        }
        text = json.dumps(self.state, indent=1, ensure_ascii=False) + "\n"
        _write(self.folder / STATE, text.encode())

    # ------------------------------------------------------------------------------------------------------- the steps

    def _melody(self) -> None:
        score, rules = melody(self.script, self.style, self.singer, self.seed)
        self.remarks += score.remarks
        score.save(self.folder / "melody.musicxml")
        text = json.dumps({"rules": to_dict(rules), "stated": stated(rules)}, ensure_ascii=False, indent=1) + "\n"
        _write(self.folder / "rules.json", text.encode())

    def _chords(self) -> None:
        score, rules = self._score(), read_rules(self.folder / "rules.json")
        self.remarks += [f"melody, {finding}" for finding in check_melody(score, rules)[:5]]
        harmony.save(harmony.harmonise(score, rules), score, self.folder / "chords.mid")

    def _singing(self) -> None:
        singer = Singer(self._singer_folder, self.threads)
        performance = singer.perform(self._score(), seed=self.seed)
        self.remarks += [f"melody, {finding}" for finding in performance.findings[:5]]
        sound = performance.sound
        io.write(self.folder / "singing.wav", sound, {**sound.tags, "title": self.script.title or "singing"})

    def _accompaniment(self) -> None:
        spans, empty = harmony.load(self.folder / "chords.mid")
        score = self._score().at_resolution(empty.resolution)
        rules = read_rules(self.folder / "rules.json")
        parts = arrange.accompany(spans, score, self.style, rules, self.seed)
        _write(self.folder / "accompaniment.mid", tracks.write(parts, score))

    def _playing(self) -> None:
        events, score = tracks.read(self.folder / "accompaniment.mid")
        if not events:
            raise UserError(f"{self.folder / 'accompaniment.mid'}: no notes in it; delete it to have it made again")
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            font = None if self.font is None else Path(self.font)
            sound = soundfont.render(tracks.timed(events, score), sample_rate=RATE, font=font)
        asked = [f"program {INSTRUMENTS[n].program}:" for n in self.style.instruments if n in self.style.text.lower()]
        said = dict.fromkeys(str(warning.message) for warning in caught)
        self.remarks += [text for text in said if any(program in text for program in asked)]
        io.write(self.folder / "accompaniment.wav", normalize(sound, RAW), self.singer.tags(self.seed))

    def _mix(self) -> None:
        stems = {
            "voice": room(io.read(self.folder / "singing.wav"), level=WET),
            "accompaniment": io.read(self.folder / "accompaniment.wav"),
        }
        mixed = mix(stems, {"voice": VOICE_ABOVE}, sample_rate=RATE)
        tags = {**self.singer.tags(self.seed), "title": self.script.title or "song"}
        for name, sound in mixed.stems.items():
            io.write(self.folder / f"mix-{name}.wav", sound, tags)
        io.write(self.folder / "mix.wav", mixed.sound, tags)

    def _picture(self) -> None:
        spans, empty = harmony.load(self.folder / "chords.mid")
        score, rules = self._score(), read_rules(self.folder / "rules.json")
        chords = [(score.seconds(span.start * score.resolution / empty.resolution), span.chord.name) for span in spans]
        _write(self.folder / "song.png", picture(score, rules, chords))

    def _score(self) -> Score:
        return Score.load(self.folder / "melody.musicxml")

    def _song(self, made: list[str], edited: list[str]) -> Song:
        names = ("voice", "accompaniment")
        return Song(
            folder=self.folder,
            sound=io.read(self.folder / "mix.wav"),
            stems={name: io.read(self.folder / f"mix-{name}.wav") for name in names},
            made=tuple(made),
            edited=tuple(edited),
            remarks=tuple(dict.fromkeys(self.remarks)),
        )


def read_rules(path: Path) -> Rules:
    """The rules of a song from `rules.json`.

    Raises:
        UserError: not there, or broken.
    """
    try:
        data = json.loads(path.read_text("utf-8"))
        return build(Rules, data["rules"], str(path))
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    except (ValueError, KeyError, TypeError) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f"{path}: is not what `aoide song` writes; delete it to have it made again") from None


def picture(score: Score, rules: Rules, chords: Sequence[tuple[float, str]]) -> bytes:
    """Melody, chords and sections as a PNG picture.

    Args:
        chords: (when, name), seconds; one that goes on is shown once.
    """
    from aoide.plots import song_roll

    notes = [
        (score.seconds(note.start), score.seconds(note.end), note.pitch or 0, _shown(note.lyric) + "-" * note.hyphen)
        for note in score.notes
        if note.sung
    ]
    meter = score.meters[0]
    bar = 4 * score.resolution * meter.beats // meter.unit
    sections = [(score.seconds(part.bar * bar), part.tag) for part in rules.parts]
    shown = [chord for i, chord in enumerate(chords) if i == 0 or chords[i - 1][1] != chord[1]]
    seconds = max(score.seconds(rules.bars * bar), score.end)
    return song_roll.draw(
        notes, shown, sections, bar=score.seconds(bar), beats=meter.beats, seconds=seconds, title=score.title
    )


def _shown(lyric: str) -> str:
    """A syllable in Latin letters, which are all that the picture can draw."""
    morae = lyrics.dictionary("ja") if verses.language_of(lyric) == "ja" else {}
    found = ""
    while lyric and morae:
        size = 2 if lyric[:2] in morae else 1
        found += "".join(morae.get(lyric[:size], ())).removesuffix("cl")
        lyric = lyric[size:]
    return found or lyric


def _by_hand(record: dict[str, Any], hashes: dict[str, str | None]) -> list[str]:
    """The files of a stage that are not as it wrote them, now or at an earlier run."""
    old, known = record.get("sha256", {}), record.get("by_hand", [])
    return [name for name, now in hashes.items() if now is not None and (name in known or old.get(name, now) != now)]


def _hash(path: Path) -> str | None:
    """The sha256 of a file; None where there is none."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return None


def _write(path: Path, data: bytes) -> None:
    with write_aside(path) as aside:
        aside.write_bytes(data)
