"""Let another voice sing or say a recording: aoide convert IN -o OUT.

The song stays: words, melody and loudness are those of the recording, the voice is another. Recordings of any length
and form take constant memory; they are cut where nobody sings. What comes out has one channel at 24 kHz, or with --like
at the rate of the model.

  aoide convert song.wav --voice heart -o converted.wav
  aoide convert song.flac --voice f001 --transpose 12 -o high.wav
  aoide convert talk.mp3 --task vc --voice heart=0.5,f001=0.5 -o both.wav
  aoide convert talk.wav --like friend.wav --weights openvoice/converter -o like.wav
  aoide convert talk.wav --like friend.wav --model codec/facodec --weights naturalspeech3_facodec -o like.wav
"""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aoide.commands import _consent
from aoide.commands._open import torch_on
from aoide.config import UserError, near
from aoide.voices import DEFAULT_CONVERTER

if TYPE_CHECKING:
    from aoide.generate.converter import Converter

TRACKERS = ("swift", "harvest", "dio", "crepe", "crepe-tiny", "praat", "autocorrelation")
ALONE = ("model", "weights")  # mean --like
APART: dict[str, Any] = {  # are not for it, and where nobody gives them they are
    "converter": DEFAULT_CONVERTER,
    "speaker": None,
    "transpose": "auto",
    "retrieval": None,
    "f0": "swift",
}
LONG = 60.0  # seconds from which a progress bar is worth its place


def parser(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("input", metavar="IN", help="the recording: one voice, without accompaniment")
    parser.add_argument(
        "-o", "--output", required=True, metavar="OUT", help="the sound file that is written, - for WAV"
    )
    whose = parser.add_mutually_exclusive_group()
    whose.add_argument(
        "--voice",
        metavar="NAME",
        help="a singer of the converter, a mixture (a=0.5,b=0.5), a converter of `aoide models`, or the folder of one",
    )
    whose.add_argument("--like", type=Path, metavar="REF", help="a recording of the voice that it shall be")
    parser.add_argument(
        "--converter",
        metavar="NAME",
        help="the converter whose singer --voice names (default: %(default)s)",
    )
    parser.add_argument("--speaker", metavar="NAME", help="the singer, where --voice is a converter; or a mixture")
    parser.add_argument("--task", choices=("svc", "vc"), default="svc", help="singing, or speech (default: svc)")
    parser.add_argument(
        "--transpose",
        type=_transpose,
        metavar="N",
        help="semitones, or auto: into the range of the voice, for singing by whole semitones (default: %(default)s)",
    )
    parser.add_argument(
        "--retrieval",
        type=float,
        metavar="X",
        help="0 to 1: take the colour of the most alike frame that the singer sang; nearer to the voice, and rougher",
    )
    parser.add_argument("--f0", choices=TRACKERS, help="what finds F0 (default: %(default)s)")
    parser.add_argument(
        "--model",
        metavar="NAME",
        help="of --like: vc/openvoice, codec/facodec, vc/vevo or vc/noro (default: vc/openvoice)",
    )
    parser.add_argument("--weights", metavar="SOURCE", help="of --model: a run, a folder, or hf:OWNER/NAME")
    parser.add_argument("--i-have-consent", action="store_true", help="whoever --like sounds like agreed to it")
    parser.add_argument("--threads", type=int, default=1, metavar="N", help="processor threads (default: 1)")
    parser.set_defaults(**APART)


def run(options: argparse.Namespace) -> int:
    source = Path(options.input)
    if not source.exists():
        raise UserError(f"{source}: no such file")
    if options.output != "-" and Path(options.output).exists() and Path(options.output).samefile(source):
        raise UserError(f"{source} cannot be read and written at once; give another file with -o")
    if options.like is not None:
        return _like(options)
    for name in ALONE:
        if getattr(options, name):
            raise UserError(f"--{name} is of --like RECORDING, which was not given")
    converter, singer = _chosen(options)
    from aoide.audio import io
    from aoide.generate.convert import Source

    seconds = io.probe(source).seconds
    settings: dict[str, Any] = {"transpose": options.transpose, "f0": options.f0, "task": options.task}
    settings["retrieval"] = options.retrieval
    settings["told"] = lambda line: print(f"aoide: {source}: {line}", file=sys.stderr)
    with io.open_writer(options.output, converter.sample_rate, tags=converter.tags(singer)) as writer:
        _write(writer, converter.stream(Source.file(source), singer, **settings), seconds, converter.sample_rate)
    return 0


def _chosen(options: argparse.Namespace) -> tuple[Converter, dict[str, float] | None]:
    """The converter, and the shares of its singers."""
    from aoide import voices
    from aoide.generate.converter import Converter

    if options.voice is not None and voices.kind_of(options.voice) == "converter":
        converter = Converter(options.voice, options.threads)
        return converter, None if options.speaker is None else mixture(options.speaker)
    if options.voice is not None and (Path(options.voice).is_dir() or voices.kind_of(options.voice)):
        raise UserError(f"{options.voice} is a {voices.kind_of(options.voice) or 'folder'}, not a converter of voices")
    converter = Converter(options.converter, options.threads)
    if options.voice is not None and options.speaker is not None:
        raise UserError(f"--voice {options.voice} is a singer already; leave --speaker out, or name a converter")
    named = options.voice if options.voice is not None else options.speaker
    wanted = None if named is None else mixture(named)
    for name in wanted or ():
        if name not in converter.singers:
            known = [*converter.singers, *voices.names("converter")]
            guess = near(name, known) or f" there is {', '.join(known)}"
            raise UserError(f"no singer and no converter {name!r};{guess}")
    return converter, wanted


def mixture(text: str) -> dict[str, float]:
    """ "a" or "a=0.5,b=0.5" -> shares by name.

    Raises:
        UserError: another form.
    """
    shares: dict[str, float] = {}
    for part in text.split(","):
        name, _, share = (word.strip() for word in part.partition("="))
        try:
            value = float(share) if share else 1.0
        except ValueError:
            value = math.nan
        if not name or name in shares or not 0 <= value < math.inf:
            raise UserError(f"{text!r}: not a singer, and not a mixture such as heart=0.5,f001=0.5")
        shares[name] = value
    return shares


def _transpose(text: str) -> float | str:
    if text == "auto":
        return text
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r}: semitones, such as 12 or -3.5, or auto") from None


def _write(writer: Any, pieces: Any, seconds: float, rate: int) -> None:
    from tqdm import tqdm

    with tqdm(total=round(seconds), unit="s", disable=None if seconds >= LONG else True, file=sys.stderr) as bar:
        for piece in pieces:
            writer.write(piece)
            bar.update(round(writer.samples / rate) - bar.n)


def _like(options: argparse.Namespace) -> int:
    """The voice of a recording, by a model that hears it once."""
    if not options.like.exists():
        raise UserError(f"{options.like}: no such file")
    if options.output != "-" and Path(options.output).exists() and Path(options.output).samefile(options.like):
        raise UserError(f"{options.like} is the voice that is heard, and would be lost; give another file with -o")
    for name, usual in APART.items():
        if getattr(options, name) != usual:
            raise UserError(f"--{name} is of the package's converters, and --like takes another model: leave it out")
    torch_on(options.threads)
    import aoide
    from aoide.audio import io
    from aoide.generate import likeness
    from aoide.generate.convert import Source

    if options.output != "-":
        io.format_of(options.output)
    seconds = io.probe(options.input).seconds
    name = options.model or likeness.DEFAULT
    likeness.check(name, options.weights)
    _consent.check(options.like, options.i_have_consent)
    like = likeness.Likeness(likeness.open_model(name, options.weights, aoide.load), options.like)
    with io.open_writer(options.output, like.sample_rate, tags=like.tags()) as writer:
        _write(writer, like.stream(Source.file(options.input)), seconds, like.sample_rate)
    return 0
