"""Make music of a description: aoide music "slow strings in A minor, 70 bpm" -o m.wav.

Without a model music is composed by rules and played by the sound font of the package: genre, mood, tempo, key, metre
and instruments are understood, what is not is said. With --melody it plays a melody of yours: a score, or a recording
of somebody who sings, hums or plays it. --model takes MusicGen (a folder, or hf:facebook/musicgen-small, whose licence
forbids commercial use), or a run of ttm/musicgen.

  aoide music "slow strings in A minor, 70 bpm" -o m.wav
  aoide music "jazz trio, 120 bpm" --seconds 30 --seed 4 -o jazz.wav --midi jazz.mid
  aoide music "folk, flute and guitar" --melody humming.wav -o folk.wav
  aoide music "lo-fi beat with a warm piano" --model hf:facebook/musicgen-small --seconds 12 -o beat.wav
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aoide.config import UserError, write_aside

if TYPE_CHECKING:
    from aoide.audio.sound import Sound
    from aoide.score import Score

SECONDS = 20.0
LOUDNESS = -16.0  # LUFS, of music by rules
RATE = 44_100  # Hz, likewise
STEP = 0.01  # seconds between values of F0 of a melody that is heard


def parser(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("description", metavar="DESCRIPTION", help="what it shall be like, in English words")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE", help="the sound")
    parser.add_argument("--seconds", type=float, metavar="S", help=f"how long (default: {SECONDS:g}, or the melody)")
    parser.add_argument("--melody", type=Path, metavar="FILE", help="a score, or a recording of one voice")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of what is left to chance (default: 0)")
    parser.add_argument("--midi", type=Path, metavar="FILE", help="by rules: the notes, too")
    parser.add_argument("--font", type=Path, metavar="FILE", help="by rules: a sound font (.sf2)")
    parser.add_argument("--model", metavar="NAME", help="MusicGen: a folder, hf:owner/name, or a run")
    parser.add_argument("--guidance", type=float, metavar="G", help="of a model: how close to the words; 1 is none")
    parser.add_argument("--threads", type=int, default=1, metavar="N", help="processor threads (default: 1)")


def run(options: argparse.Namespace) -> int:
    _check(options)
    from aoide.audio import io

    io.format_of(options.output)
    made = _by_rules(options) if options.model is None else _by_model(options)
    io.write(options.output, made, {"title": options.description[:200], **made.tags})
    return 0


def _check(options: argparse.Namespace) -> None:
    """What the arguments alone can get wrong, found before anything is loaded."""
    if options.seed < 0:
        raise UserError(f"seed: 0 or more, got {options.seed}")
    if options.seconds is not None and not options.seconds > 0:
        raise UserError(f"seconds: music lasts more than 0 s, got {options.seconds:g}")
    if not any(letter.isalnum() for letter in options.description):
        raise UserError('the description says nothing; for instance "slow strings in A minor, 70 bpm"')
    for name in ("midi", "font") if options.model is not None else ("guidance",):
        if getattr(options, name) is not None:
            which = "music by rules" if options.model is not None else "a model (--model NAME)"
            raise UserError(f"--{name} is for {which}; leave it out")
    if options.melody is not None and not options.melody.is_file():
        raise UserError(f"{options.melody}: no such file")


def _by_rules(options: argparse.Namespace) -> Sound:
    """Composed, and played by a sound font."""
    from aoide.audio.mix import mix
    from aoide.generate.packed import tags
    from aoide.generate.soundfont import render
    from aoide.score import arrange, style

    chosen = style.parse(options.description, options.seed)
    for remark in style.remarks(chosen):
        print(f"aoide: {remark}", file=sys.stderr)
    melody = None if options.melody is None else _score(options.melody)
    seconds = options.seconds or (SECONDS if melody is None else None)
    notes = arrange.instrumental(chosen, seconds, options.seed, melody)
    if options.midi is not None:
        _write_midi(options.midi, notes, chosen.bpm)
    sound = render(notes, None, RATE, options.font)
    sound = mix({"music": sound}, target=LOUDNESS).sound
    return type(sound)(sound.samples, sound.sample_rate, tags("music composed by rules, played by a sound font"))


def _score(path: Path) -> Score:
    """The melody as notes: a score as it is, of a recording what is heard in it."""
    from aoide.score import Score

    if _is_score(path):
        return Score.load(path)
    import numpy as np

    from aoide.audio import io, pitch
    from aoide.metrics import notes
    from aoide.score import Note
    from aoide.score.score import MICROSECONDS, in_seconds

    sound = io.read(path).mono()
    hz = pitch.track(sound.samples, sound.sample_rate, round(STEP * sound.sample_rate), method="swift")
    found = notes.of_contour(hz, round(STEP * sound.sample_rate) / sound.sample_rate)
    if not len(found.onset):
        raise UserError(f"{path}: no melody was heard in it: give a recording of one voice or one instrument")
    numbers = np.rint(69 + 12 * np.log2(found.hz / 440)).astype(int)
    rows = zip(found.onset, found.offset, numbers, strict=True)
    return in_seconds(
        notes=tuple(
            Note(
                start=round(begin * MICROSECONDS),
                length=round((end - begin) * MICROSECONDS),
                pitch=int(number),
                lyric="",
            )
            for begin, end, number in rows
        )
    )


def _is_score(path: Path) -> bool:
    from aoide.score.formats import ENDINGS

    return path.suffix.lower() in ENDINGS


def _write_midi(path: Path, notes: Sequence[Any], bpm: float) -> None:
    """The notes, a track for each instrument, in the tempo of the description."""
    from aoide.score import Score, Tempo
    from aoide.score.tracks import Event, write

    clock = Score(resolution=480, tempos=(Tempo(tick=0, bpm=bpm),))
    parts: dict[str, list[Event]] = {}
    for note in notes:
        start, end = (round(clock.tick(seconds)) for seconds in (note.start, note.start + note.seconds))
        event = Event(start, max(1, end - start), note.pitch, note.velocity, note.program, note.drums)
        parts.setdefault("drums" if note.drums else f"program {note.program}", []).append(event)
    with write_aside(path) as aside:
        aside.write_bytes(write(parts, clock))


def _by_model(options: argparse.Namespace) -> Sound:
    """Written by a language model of codes."""
    from aoide.commands._open import torch_on

    torch = torch_on(options.threads)
    from aoide.audio.sound import Sound
    from aoide.generate.musicgen import MusicGen
    from aoide.generate.packed import tags
    from aoide.generate.parts import is_run

    model = (MusicGen.of_run if is_run(Path(options.model)) else MusicGen.of_folder)(options.model)
    melody = None if options.melody is None else _heard(options.melody)
    seconds = options.seconds or (SECONDS if melody is None else min(melody.seconds, model.longest))
    generator = torch.Generator().manual_seed(options.seed)
    made = model.generate([options.description], seconds, melody=melody, guidance=options.guidance, generator=generator)
    return Sound(made[0].numpy(), model.sample_rate, tags(f"music by {model.name} of the words: {options.description}"))


def _heard(path: Path) -> Sound:
    """The melody as a sound: a recording as it is, a score as a flute plays it."""
    from aoide.audio import io

    if not _is_score(path):
        return io.read(path)
    from aoide.generate.soundfont import Note, render

    score = _score(path)
    played = [
        Note(score.seconds(note.start), score.seconds(note.end) - score.seconds(note.start), note.pitch, program=73)
        for note in score.notes
        if note.pitch is not None
    ]
    if not played:
        raise UserError(f"{path}: the melody has no notes")
    return render(played).mono()
