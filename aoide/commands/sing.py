"""Sing a score: aoide sing SONG -o song.wav.

SONG is MusicXML, MIDI with lyrics, UST, USTX, a DiffSinger script (.ds), HTS labels, or what LibreSVIP reads. A score
without lyrics is sung on "la". What is odd in a score is told with bar and beat, and it is sung all the same; notes
beyond the voice's range stay where they are unless --transpose moves them. A voice may be a run of `aoide train` with a
model of svs/: what the score leaves open (durations, pitch, curves) the run of --variance fills in, or else a rule.

  aoide sing song.musicxml -o song.wav
  aoide sing song.mid -o song.wav --lyrics "Twin-kle twin-kle lit-tle star" --transpose -2
  aoide sing song.musicxml -o song.wav --write song.ds      phonemes and pitch, to be edited and sung again:
  aoide sing song.ds -o again.wav
  aoide sing choir.musicxml -o choir.wav --stems            choir.wav, and choir-1.wav, choir-2.wav ... of each part
  aoide sing song.musicxml -o song.wav --voice runs/diffsinger --variance runs/variance --write song.ds
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aoide.config import UserError, near

if TYPE_CHECKING:
    from aoide.audio.sound import Sound
    from aoide.generate.singer import Performance
    from aoide.score import Score

TOLD = 12  # findings that are shown; the others are counted


def parser(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("song", type=Path, metavar="SONG", help="a score with lyrics")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE", help="the sound")
    parser.add_argument(
        "--voice",
        metavar="NAME",
        help="a singer of `aoide models`, the folder of one, a run, or a checkpoint (default: by the language)",
    )
    parser.add_argument(
        "--variance", type=Path, metavar="RUN", help="of a trained voice: what fills in durations, pitch and curves"
    )
    parser.add_argument(
        "--vocoder",
        metavar="NAME",
        help="of a trained voice: one of the package that reads its mel, a folder, or a run",
    )
    parser.add_argument("--speaker", metavar="NAME", help="of a trained voice of several (default: the first)")
    parser.add_argument("--transpose", type=int, default=0, metavar="N", help="semitones higher; lower if negative")
    parser.add_argument("--lyrics", metavar="TEXT", help="sing these instead: Twin-kle lit-tle star; _ holds a note")
    parser.add_argument("--part", metavar="NAME", help="name or number of the part (default: the first with lyrics)")
    parser.add_argument("--stems", action="store_true", help="sing every part: the mix, and a file for each")
    parser.add_argument(
        "--write", type=Path, metavar="FILE", help="write what was sung, with phonemes and pitch (.ds, .lab, ...)"
    )
    parser.add_argument("--steps", type=int, metavar="N", help="of a voice that samples, such as a diffusion model")
    parser.add_argument("--sampler", metavar="NAME", help="likewise: euler, heun ... of a flow; ddim, unipc ... else")
    parser.add_argument(
        "--start", type=float, metavar="X", help="of one with a first mel: how much of the sampling is left out, 0 to 1"
    )
    parser.add_argument(
        "--seed", type=int, default=0, metavar="N", help="of what is left to chance; same seed, same song"
    )
    parser.add_argument("--threads", type=int, default=1, metavar="N", help="processor threads (default: 1)")


def run(options: argparse.Namespace) -> int:
    _check(options)
    from aoide.audio import io

    io.format_of(options.output)
    parts = _parts(options)
    singer = _singer(options, parts)
    tags = {"title": parts[0].title or options.song.stem, **singer.tags(options.seed)}
    sung = [_sing(singer, part, options) for part in parts]
    if options.stems:
        for number, performance in enumerate(sung, 1):
            stem = options.output.with_name(f"{options.output.stem}-{number}{options.output.suffix}")
            io.write(stem, performance.sound, tags)
    io.write(options.output, _mix([performance.sound for performance in sung]), tags)
    if options.write is not None:
        sung[0].score.save(options.write)
    return 0


def _check(options: argparse.Namespace) -> None:
    """What the arguments alone can get wrong, found before anything is loaded."""
    if options.seed < 0:
        raise UserError(f"seed: 0 or more, got {options.seed}")
    if options.stems and (options.part or options.lyrics or options.write):
        raise UserError("--stems sings every part; --part, --lyrics and --write are for one")
    if options.write is not None:
        from aoide.score.formats import ENDINGS

        ending = options.write.suffix.lower()
        if ending not in ENDINGS:
            raise UserError(f"--write {options.write}: endings are {', '.join(ENDINGS)}{near(ending, ENDINGS)}")


def _singer(options: argparse.Namespace, parts: list[Score]) -> Any:
    """The voice: of the package, exported, or trained."""
    if options.voice and any((Path(options.voice) / part).exists() for part in ("checkpoints", "state.json")):
        import aoide
        from aoide.commands._open import open_vocoder, torch_on

        torch_on(options.threads)
        vocoder = None
        if options.vocoder is not None:
            vocoder = open_vocoder(options.vocoder, threads=options.threads, seed=options.seed)
        singer = aoide.load(options.voice, variance=options.variance, vocoder=vocoder)
        if not hasattr(singer, "perform"):
            raise UserError(
                f"--voice {options.voice}: is no singer; give a run of a model of svs/, trained with data.kind: singing"
            )
        return singer
    from aoide import voices
    from aoide.generate.singer import Singer

    found = Singer(voices.find(options.voice or _voice_for(parts), kind="singer"), options.threads)
    for name in ("steps", "sampler", "start"):
        if getattr(options, name) is not None:
            raise UserError(f"--{name}: {found.name} sings in one go and has no {name}; leave it out")
    for name in ("variance", "vocoder", "speaker"):
        if getattr(options, name) is not None:
            raise UserError(
                f"--{name} is for a trained voice (--voice RUN), and {found.name} is a finished one; leave it out"
            )
    return found


def _parts(options: argparse.Namespace) -> list[Score]:
    """The score to sing, or with --stems each of its parts that has notes."""
    from aoide.score import Score

    if not options.stems:
        score = Score.load(options.song, options.part)
        return [score.with_lyrics(options.lyrics) if options.lyrics else score]
    found = [Score.load(options.song, 1)]
    while True:
        try:
            part = Score.load(options.song, len(found) + 1)
        except UserError:  # there is no part of this number
            break
        if part == found[-1]:  # a format without parts
            break
        found.append(part)
    return [part for part in found if any(note.sung for note in part.notes)] or found[:1]


def _voice_for(parts: list[Score]) -> str:
    """The singer of the lyrics' language."""
    from aoide import voices
    from aoide.text import lyrics

    language = next((lyrics.language_of(p) for p in parts if any(note.lyric for note in p.notes)), "en")
    if language not in voices.DEFAULT_SINGERS:
        known = ", ".join(voices.DEFAULT_SINGERS)
        raise UserError(f"no singer of the package sings {language!r} (there are {known}); name one with --voice")
    return voices.DEFAULT_SINGERS[language]


def _sing(singer: Any, score: Score, options: argparse.Namespace) -> Performance:
    """Sings one part and tells what is odd in it."""
    names = [name for name in ("steps", "sampler", "speaker", "start") if getattr(options, name) is not None]
    settings = {name: getattr(options, name) for name in names}
    performance = singer.perform(score, transpose=options.transpose, seed=options.seed, **settings)
    told = [*score.remarks, *map(str, performance.findings)]
    for line in told[:TOLD]:
        print(f"aoide: {line}", file=sys.stderr)
    if len(told) > TOLD:
        print(f"aoide: and {len(told) - TOLD} more", file=sys.stderr)
    move = singer.fitting(score.transpose(options.transpose))
    if move:
        print(f"aoide: --transpose {options.transpose + move} would bring all notes into its range", file=sys.stderr)
    return performance


def _mix(sounds: list[Sound]) -> Sound:
    """All sounds at once; quieter where they would clip together."""
    import numpy as np

    from aoide.audio.sound import Sound

    if len(sounds) == 1:
        return sounds[0]
    mixed = np.zeros(max(len(sound.samples) for sound in sounds), np.float32)
    for sound in sounds:
        mixed[: len(sound.samples)] += sound.samples
    return Sound(mixed / max(1.0, float(np.abs(mixed).max())), sounds[0].sample_rate, sounds[0].tags)
