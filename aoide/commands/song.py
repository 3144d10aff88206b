"""Make a song of lyrics: aoide song lyrics.txt --style "folk, guitar, 90 bpm" -o song.wav.

Lyrics are text with [verse], [chorus], [bridge], [intro], [inst] ... before their lines, or LRC with times. The style
is words: genre, mood, tempo, key, metre, instruments, high or low voice; what it does not know it says.

Two ways lead to the song. The cascade needs no training: melody, chords, singing (English or Japanese), accompaniment
and mix, by rules, with the singers and the sound font of the package. --via cascade writes every stage into a folder;
edit any of them and go on with --resume. The flow is a model that you have trained: --model RUN.

  aoide song lyrics.txt --style "folk, female voice, guitar, 90 bpm" -o song.wav --stems
  aoide song lyrics.txt --style "sad waltz in A minor, piano" -o song.wav --via cascade     writes song/, too
  aoide song --resume song -o again.wav                     after an edit of song/melody.musicxml, say in MuseScore
  aoide song --resume song --style "rock" -o rock.wav       other style, same folder
  aoide song lyrics.lrc --style "pop" --model runs/songflow -o song.wav
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from aoide.config import UserError, require, write_aside

if TYPE_CHECKING:
    from aoide.audio.sound import Sound
    from aoide.generate.cascade import Cascade
    from aoide.models.ttm import Songs
    from aoide.score.song_script import SongScript

TOLD = 12  # remarks that are shown; the others are counted


def parser(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "lyrics", type=Path, nargs="?", metavar="LYRICS", help="text with [verse] and [chorus], or .lrc"
    )
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE", help="the song")
    parser.add_argument("--style", default="", metavar="TEXT", help='such as "folk, guitar, 90 bpm, in G major"')
    parser.add_argument("--stems", action="store_true", help="also FILE-voice and FILE-accompaniment, which sum to it")
    parser.add_argument("--via", choices=("cascade", "flow"), help="by rules, all stages kept; or by a trained --model")
    parser.add_argument("--seed", type=int, metavar="N", help="of what is left to chance; same seed, same song")
    parser.add_argument("--picture", type=Path, metavar="FILE", help="the melody with words and chords, as PNG")
    group = parser.add_argument_group("cascade")
    group.add_argument("--folder", type=Path, metavar="DIR", help="for the stages (default: the name of the song)")
    group.add_argument("--resume", type=Path, metavar="DIR", help="go on from the files of a folder, edited or not")
    group.add_argument("--voice", default="", metavar="NAME", help="a singer (default: by the language)")
    group.add_argument("--font", type=Path, metavar="FILE", help="a sound font, .sf2 (default: that of the package)")
    group.add_argument("--threads", type=int, default=1, metavar="N", help="processor threads (default: 1)")
    group = parser.add_argument_group("flow")
    group.add_argument(
        "--model", type=Path, metavar="RUN", help="a run of ttm/songflow, or ACE-Step 1.5 as diffusers has it"
    )
    group.add_argument("--codec", type=Path, metavar="RUN", help="the autoencoder of its latents, if it needs one")
    group.add_argument("--seconds", type=float, metavar="S", help="how long (default: as the lyrics need)")
    group.add_argument("--steps", type=int, metavar="N", help="of the sampler")
    group.add_argument("--guidance", type=float, metavar="G", help="how much further than the words say; 1 is none")


def run(options: argparse.Namespace) -> int:
    _check(options)
    from aoide.audio import io
    from aoide.score.song_script import SongScript

    io.format_of(options.output)
    script = None if options.lyrics is None else SongScript.load(options.lyrics)
    if options.via == "flow" or options.model is not None:
        assert script is not None
        _flow(script, options)
        return 0
    if options.resume is not None or options.folder is not None or options.via == "cascade":
        _cascade(script, _folder(options), options)
        return 0
    with tempfile.TemporaryDirectory(prefix="aoide-song-") as folder:
        _cascade(script, Path(folder), options)
    return 0


def _check(options: argparse.Namespace) -> None:
    """What the arguments alone can get wrong, found before anything is loaded."""
    flow = options.via == "flow" or options.model is not None
    if options.seed is not None and options.seed < 0:
        raise UserError(f"seed: 0 or more, got {options.seed}")
    if options.lyrics is None and (options.resume is None or flow):
        raise UserError("which lyrics? name a file, or go on with --resume FOLDER")
    if flow and options.model is None:
        raise UserError("--via flow needs a trained model: --model RUN; --via cascade needs none")
    if flow and options.via == "cascade":
        raise UserError("--via cascade goes by rules and takes no --model; leave one of the two out")
    for name in ("folder", "resume", "voice", "font", "picture") if flow else ("codec", "seconds", "steps", "guidance"):
        if getattr(options, name):
            raise UserError(f"--{name} is for {'the cascade' if flow else 'a trained --model'}; leave it out")
    if options.folder is not None and options.resume is not None:
        raise UserError("--folder is for a new song and --resume for one that is there; give one of them")
    if options.seconds is not None and not 0 < options.seconds <= 3600:
        raise UserError(f"--seconds {options.seconds:g}: a song lasts more than 0 and at most 3600 s")
    if options.threads < 1:
        raise UserError(f"--threads {options.threads}: 1 or more")


# -------------------------------------------------------------------------------------------------------------- cascade


def _folder(options: argparse.Namespace) -> Path:
    """Where the stages are, or go."""
    if options.resume is not None:
        if not options.resume.is_dir():
            raise UserError(f"--resume {options.resume}: no such folder")
        return Path(options.resume)
    folder = options.folder or options.output.with_suffix("")
    if any((folder / name).exists() for name in ("song.json", "script.txt")):  # a song, or the beginning of one
        raise UserError(f"{folder}: holds a song; go on with --resume {folder}, or name another with --folder")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder}: is not empty; name another folder for the stages with --folder")
    return Path(folder)


def _cascade(script: SongScript | None, folder: Path, options: argparse.Namespace) -> None:
    from tqdm import tqdm

    from aoide.generate.cascade import STAGES, Cascade

    cascade = Cascade(
        folder, script, options.style, options.seed, singer=options.voice, font=options.font, threads=options.threads
    )
    with tqdm(total=len(STAGES), desc="song", disable=None, leave=False) as bar:

        def progress(stage: str) -> None:
            bar.set_postfix_str(stage)
            bar.update()

        song = cascade.run(progress)
    told = [*(f"{name} was edited by hand, and is kept" for name in song.edited), *song.remarks]
    for line in told[:TOLD]:
        print(f"aoide: {line}", file=sys.stderr)
    if len(told) > TOLD:
        print(f"aoide: and {len(told) - TOLD} more", file=sys.stderr)
    if options.picture is not None:
        with write_aside(options.picture) as aside:
            aside.write_bytes((folder / "song.png").read_bytes())
    _write(options, song.sound, song.stems, _tags(cascade))
    print(f"{options.output}: {song.sound.seconds:.1f} s, {cascade.style}, sung by {cascade.singer.name}")


def _tags(cascade: Cascade) -> dict[str, str]:
    return {**cascade.singer.tags(cascade.seed), "title": cascade.script.title or "Song"}


def _write(options: argparse.Namespace, sound: Sound, stems: dict[str, Sound], tags: dict[str, str]) -> None:
    from aoide.audio import io

    if options.stems:
        for name, stem in stems.items():
            path = options.output.with_name(f"{options.output.stem}-{name}{options.output.suffix}")
            io.write(path, stem, tags)
    io.write(options.output, sound, tags)


# ----------------------------------------------------------------------------------------------------------------- flow


def _flow(script: SongScript, options: argparse.Namespace) -> None:
    from aoide.audio.mix import mix
    from aoide.audio.sound import Sound
    from aoide.generate.packed import tags
    from aoide.version import __version__

    torch = require("torch", "torch")
    model = _songs(options)
    if options.stems and not model.stems:
        raise UserError(f"--stems: {model.name} makes the mix alone; leave it out")
    seed = options.seed or 0
    with torch.inference_mode():
        made = model.generate(
            script,
            options.style,
            options.seconds,
            steps=options.steps,
            guidance=options.guidance,
            generator=torch.Generator().manual_seed(seed),
        )
    names = model.stems or ("mix",)
    sounds = {name: Sound(made[name].float().cpu().numpy(), model.sample_rate) for name in names}
    mixed = mix(sounds, sample_rate=model.sample_rate)
    origin = tags(f"model: {model.name}; aoide: {__version__}; seed: {seed}")
    _write(options, mixed.sound, mixed.stems, {**origin, "title": script.title or "Song"})
    print(f"{options.output}: {mixed.sound.seconds:.1f} s, made by {model.name}")


def _songs(options: argparse.Namespace) -> Songs:
    """The model, ready to be given lyrics: a run, with its autoencoder if it needs one, or a pipeline of diffusers."""
    import aoide

    if (options.model / "model_index.json").exists():
        from aoide.generate.diffusers_song import AceStep

        return AceStep.load(options.model)
    model = aoide.load(options.model)
    if type(model).__module__ == "aoide.models.ttm.songflow":
        from aoide.generate.songflow import SongFlow

        return SongFlow(model, None if options.codec is None else aoide.load(options.codec))
    if not hasattr(model, "generate") or not hasattr(model, "stems"):
        raise UserError(f"--model {options.model}: makes no songs; give a run of ttm/songflow")
    songs: Songs = model
    return songs
