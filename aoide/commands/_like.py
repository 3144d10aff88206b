"""The story of `aoide say --like`: a text in the voice of a recording."""

from __future__ import annotations

import argparse
import inspect
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aoide.commands import _consent
from aoide.commands._open import torch_on
from aoide.config import UserError

if TYPE_CHECKING:
    from aoide.audio.sound import Sound
    from aoide.generate.zeroshot import Cloning

ALONE = ("prompt_text", "model", "weights", "language", "seconds", "duration", "vocoder", "asr")  # mean --like


def arguments(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("in the voice of a recording (docs/cloning.md)")
    group.add_argument("--like", type=Path, metavar="PROMPT", help="some seconds of the voice, whose owner agreed")
    group.add_argument("--prompt-text", metavar="TEXT", help="what the recording says; else Whisper writes it down")
    group.add_argument("--model", metavar="NAME", help="tts/f5, tts/maskgct, tts/valle, xtts ... (tts/f5)")
    group.add_argument("--weights", metavar="SOURCE", help="its weights: a run, a folder, or hf:OWNER/NAME")
    group.add_argument("--language", metavar="CODE", help="two letters; else by the script of the text")
    group.add_argument("--seconds", type=float, metavar="S", help="how long it shall take, in place of --speed")
    group.add_argument("--duration", metavar="RUN", help="a run of tts/duration or tts/duration_flow; else a rule")
    group.add_argument("--vocoder", metavar="NAME", help="or codec, of the model: NAME, RUN or MODEL=SOURCE")
    group.add_argument("--asr", metavar="NAME", help="size or folder of the Whisper for --prompt-text (base)")
    group.add_argument("--batch", action="store_true", help="each line is a text of its own, OUT a folder: 0001.wav")
    group.add_argument("--i-have-consent", action="store_true", help="whoever is heard in PROMPT agreed to it")


def check(options: argparse.Namespace) -> None:
    """What the arguments alone can get wrong."""
    if options.like is None:
        named = [f"--{name.replace('_', '-')}" for name in (*ALONE, "batch") if getattr(options, name)]
        if named:
            raise UserError(f"{named[0]} is of --like RECORDING, which was not given")
        return
    if options.pitch or options.json:
        raise UserError(f"{'--pitch' if options.pitch else '--json'} is of the voices of the package, not of --like")
    if options.seconds is not None and options.speed != 1.0:
        raise UserError("--seconds and --speed both say how long it takes: give one")
    if options.batch and options.seconds is not None:
        raise UserError("--seconds is of one text; leave it out with --batch")
    if options.batch and options.output == "-":
        raise UserError("--batch writes a file for each line: give a folder with -o")
    if not options.like.exists():
        raise UserError(f"{options.like}: no such file")
    _consent.check(options.like, options.i_have_consent)


def run(options: argparse.Namespace, text: str | Iterator[str]) -> int:
    """Says the text."""
    torch_on(options.threads)
    from aoide.audio import io

    if options.output != "-" and not options.batch:
        io.format_of(options.output)
    like = open_voice(options)
    for remark in like.remarks:
        print(f"aoide: {remark}", file=sys.stderr)
    settings = {"seconds": options.seconds, "speed": options.speed, "seed": options.seed}
    if not options.batch:
        _write(options.output, options.format, like, like.stream(text, **settings), settings)
        return 0
    from tqdm import tqdm

    whole = text if isinstance(text, str) else "".join(text)
    lines = [line.strip() for line in whole.splitlines() if line.strip()]
    folder = Path(options.output)
    folder.mkdir(parents=True, exist_ok=True)
    for number, line in enumerate(tqdm(lines, unit="text", disable=None if len(lines) > 3 else True), 1):
        _write(str(folder / f"{number:04}.wav"), None, like, like.stream(line, **settings), settings)
    return 0


def _write(output: str, form: str | None, like: Cloning, sounds: Iterator[Sound], settings: dict[str, Any]) -> None:
    from aoide.audio import io

    with io.open_writer(output, like.sample_rate, form, like.tags(settings["seed"])) as writer:
        for sound in sounds:
            writer.write(sound.samples)


def open_voice(options: argparse.Namespace) -> Cloning:
    """The model with the recording, ready to speak."""
    import aoide
    from aoide.audio.sound import Sound
    from aoide.generate import prompt, zeroshot

    sound = Sound.load(options.like)
    name = options.model or "tts/f5"
    text = options.prompt_text
    if text is None:  # of what will be heard, which is less than a long recording
        sound, remarks = prompt.prepare(sound, str(options.like), zeroshot.MOST)
    else:
        remarks = []
    speaker = zeroshot.open_speaker(name, options.weights, aoide.load, vocoder=options.vocoder)
    duration = None if options.duration is None else aoide.load(options.duration)
    if duration is not None and not hasattr(duration, "seconds"):
        raise UserError(f"{options.duration}: not a run of tts/duration or tts/duration_flow")
    if text is None and "prompt_text" in inspect.signature(speaker.say).parameters:
        text = _heard(sound, options)
        print(f"aoide: {options.like} says: {text}", file=sys.stderr)
    like = zeroshot.Cloning(
        speaker, sound, text or "", language=options.language, duration=duration, name=str(options.like)
    )
    like.remarks[:0] = [remark for remark in remarks if remark not in like.remarks]
    return like


def _heard(sound: Sound, options: argparse.Namespace) -> str:
    from aoide.external.whisper import Whisper

    try:
        heard = Whisper(options.asr or "base").transcribe(sound.mono().samples, sound.sample_rate, options.language)
    except (UserError, ImportError) as error:
        raise UserError(
            f"what {options.like} says is not known: give --prompt-text, or --asr FOLDER ({error})"
        ) from None
    if not heard.strip():
        raise UserError(f"{options.like}: no words are heard in it; a voice is taken from some seconds of clear speech")
    return heard
