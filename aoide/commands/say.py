"""Speak a text: aoide say TEXT -o FILE.

The text is the argument, a file (--file), or standard input (-). A long text is spoken and written sentence by
sentence, so a book takes no more memory than its longest sentence.

  aoide say "Any input becomes sound." -o hello.wav
  aoide say --file chapter.txt -o chapter.opus --speed 1.1
  fortune | aoide say - -o - --format mp3 | mpv -
  aoide say "In another voice." --like friend.wav --prompt-text "What it says." --model tts/f5 --weights RUN -o x.wav
"""

from __future__ import annotations

import argparse
import codecs
import json
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, BinaryIO

from aoide.commands import _like
from aoide.config import UserError
from aoide.voices import DEFAULT

if TYPE_CHECKING:
    from aoide.generate.stream import Speech

BLOCK = 1 << 16  # bytes of text read at a time
LONG = 2000  # characters from which a progress bar is worth its place
IN_MEMORY = 1 << 20  # bytes of JSON kept in memory before it goes to a temporary file
FORMATS = ("wav", "flac", "ogg", "opus", "mp3")  # as aoide.audio.io, which is not imported for --help


def parser(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("text", nargs="?", metavar="TEXT", help="what to say; - reads standard input")
    parser.add_argument("--file", type=Path, metavar="FILE", help="read the text from a file (UTF-8)")
    parser.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        help=f"the sound: a file ending in {', '.join('.' + f for f in FORMATS)}, or - for standard output",
    )
    parser.add_argument(
        "--voice",
        default=DEFAULT,
        metavar="NAME",
        help="a voice of `aoide models`, or the folder of one (default: %(default)s)",
    )
    parser.add_argument("--speed", type=float, default=1.0, metavar="X", help="0.5 to 2, 1 is normal")
    parser.add_argument("--pitch", type=float, default=0.0, metavar="SEMITONES", help="-12 to 12, 0 is the voice's own")
    parser.add_argument(
        "--seed",
        type=int,
        default=0,
        metavar="N",
        help="of what is left to chance; the same seed gives the same samples",
    )
    parser.add_argument(
        "--json",
        action="store_true",
        help="print the phonemes with their times, the seconds of sound, and seconds of work per second of sound",
    )
    parser.add_argument("--format", choices=FORMATS, help="the format for standard output (default: wav)")
    parser.add_argument("--threads", type=int, default=1, metavar="N", help="processor threads (default: 1)")
    _like.arguments(parser)


def run(options: argparse.Namespace) -> int:
    _check(options)
    started = time.perf_counter()
    text, length = _open_text(options)
    if options.like is not None:
        return _like.run(options, text)

    from aoide import voices
    from aoide.audio import io
    from aoide.generate.voice import Voice, check

    check(options.speed, options.pitch, options.seed)
    if options.output not in (None, "-"):
        io.format_of(options.output)
    voice = Voice(voices.find(options.voice), options.threads)
    loaded = time.perf_counter()
    title = options.text if length is not None and options.file is None else Path(options.file or "standard input").name
    with ExitStack() as stack:
        report = stack.enter_context(_report(voice, options)) if options.json else None
        writer = None
        if options.output is not None:
            tags = {"title": " ".join(title.split())[:80], **voice.tags(options.seed)}
            writer = stack.enter_context(io.open_writer(options.output, voice.sample_rate, options.format, tags))
        seconds = 0.0
        speeches = voice.speak_each(text, options.speed, options.pitch, options.seed)
        for speech in stack.enter_context(_progress(speeches, length)):
            seconds += speech.sound.seconds
            if writer is not None:
                writer.write(speech.sound.samples)
            if report is not None:
                report.add(speech)
        if report is not None:
            report.finish(seconds, loaded - started, time.perf_counter() - loaded)
    return 0


def _check(options: argparse.Namespace) -> None:
    """What the arguments alone can get wrong, found before anything is loaded."""
    if (options.text is None) == (options.file is None):
        raise UserError(
            "say what? give a TEXT, or --file FILE, or - for standard input"
            + (", not two of them" if options.file else "")
        )
    if options.output is None and not options.json:
        raise UserError("where to? give -o FILE, for instance -o hello.wav, or -o - for standard output")
    if options.format and options.output != "-":
        raise UserError("--format is for standard output (-o -); a file's format is its ending")
    if options.json and options.output == "-":
        raise UserError("--json and -o - both want standard output: write the sound to a file")
    if options.output == "-" and sys.stdout.isatty():
        raise UserError("standard output is a terminal: pipe the sound into a player or a file, or give -o FILE")
    _like.check(options)


def _open_text(options: argparse.Namespace) -> tuple[str | Iterator[str], int | None]:
    """The text, or its pieces as they are read, and its length in bytes if that can be known."""
    if options.file is not None:
        try:
            file = options.file.open("rb")
            return _decoded(file, str(options.file)), options.file.stat().st_size
        except FileNotFoundError:
            raise UserError(f"{options.file}: no such file") from None
        except IsADirectoryError:
            raise UserError(f"{options.file}: is a folder, not a text file") from None
        except OSError as error:
            raise UserError(f"{options.file}: cannot be read: {error.strerror}") from None
    if options.text == "-":
        return _decoded(sys.stdin.buffer, "standard input"), None
    try:
        return options.text, len(options.text.encode())
    except UnicodeEncodeError:  # the system put bytes that are no UTF-8 into surrogates
        raise UserError("the text is not valid UTF-8") from None


def _decoded(file: BinaryIO, name: str) -> Iterator[str]:
    """UTF-8 text in pieces, as it comes; a byte order mark at the beginning is dropped."""
    decoder = codecs.getincrementaldecoder("utf-8-sig")()
    offset = 0
    with file:
        while True:
            data = file.read1(BLOCK) if hasattr(file, "read1") else file.read(BLOCK)
            pending = len(decoder.getstate()[0])
            try:
                yield decoder.decode(data, final=not data)
            except UnicodeDecodeError as error:
                at = offset - pending + error.start
                hint = f"iconv -f LATIN1 -t UTF-8 {name}" if name != "standard input" else "iconv -f LATIN1 -t UTF-8"
                raise UserError(
                    f"{name}: not UTF-8 text: byte {at} is wrong; if it is Latin-1, `{hint}` converts it"
                ) from None
            offset += len(data)
            if not data:
                return


@contextmanager
def _progress(speeches: Iterator[Speech], length: int | None) -> Iterator[Iterator[Speech]]:
    """The speeches, with a progress bar on a terminal where the text is long (or nobody knows how long)."""
    if not sys.stderr.isatty() or (length is not None and length < LONG):
        yield speeches
        return
    from tqdm import tqdm

    def advancing() -> Iterator[Speech]:
        for speech in speeches:
            yield speech
            bar.update(len(speech.text.encode()))
            bar.set_postfix_str(f"{speech.start + speech.sound.seconds:.0f} s of sound", refresh=False)

    with tqdm(total=length, unit="B", unit_scale=True, leave=False, dynamic_ncols=True) as bar:
        yield advancing()


class Report:
    """The JSON of a run, written aside sentence by sentence and shown only when all went well."""

    def __init__(self, file: IO[str], head: dict[str, Any]) -> None:
        self._file = file
        self._file.write(json.dumps(head, ensure_ascii=False)[:-1] + ', "sentences": [')
        self._separator = "\n "

    def add(self, speech: Speech) -> None:
        phonemes = [{"symbol": t.symbol, "start": round(t.start, 4), "end": round(t.end, 4)} for t in speech.phonemes]
        end = speech.start + speech.sound.seconds
        sentence = {"text": speech.text, "start": round(speech.start, 4), "end": round(end, 4), "phonemes": phonemes}
        self._file.write(self._separator + json.dumps(sentence, ensure_ascii=False))
        self._separator = ",\n "

    def finish(self, seconds: float, load_seconds: float, work_seconds: float) -> None:
        tail = {
            "seconds": round(seconds, 4),
            "load_seconds": round(load_seconds, 4),
            "work_seconds": round(work_seconds, 4),
            "seconds_per_second": round(work_seconds / seconds, 5) if seconds else None,
        }
        self._file.write("\n], " + json.dumps(tail)[1:] + "\n")


@contextmanager
def _report(voice: Any, options: argparse.Namespace) -> Iterator[Report]:
    """A report that reaches standard output when the block ends well. It is opened before the sound's file and closes
    after it."""
    import tempfile

    with tempfile.SpooledTemporaryFile(IN_MEMORY, "w+", encoding="utf-8") as file:
        settings = {"speed": options.speed, "pitch": options.pitch, "seed": options.seed, "threads": options.threads}
        head = {"voice": voice.name, "sample_rate": voice.sample_rate, **settings, "output": options.output}
        yield Report(file, head)
        file.seek(0)
        shutil.copyfileobj(file, sys.stdout)
