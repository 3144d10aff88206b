"""Sound files: read anything, write wav, flac, ogg, opus and mp3, whole or as a stream, never half a file.

Reading goes through libsndfile (soundfile); what it does not know (G.722, AAC, video files ...) goes through PyAV when
that is installed. Samples are float32 with full scale -1 to 1, whatever the width in the file.

Writing streams: `open_writer` takes the samples piece by piece, writes beside the target and renames when all is well.
Louder than full scale is clipped at full scale. Formats and their limits:

    .wav   16-bit PCM, any rate, any number of channels     .ogg   Vorbis
    .flac  16-bit, lossless, up to 655,350 Hz               .opus  Opus at 8, 12, 16, 24 or 48 kHz, else made 48 kHz
    .mp3   at the rates of MPEG, 8 to 48 kHz, else made 48 kHz
"""

from __future__ import annotations

import itertools
import os
import re
import struct
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from aoide.audio.resample import Resampler
from aoide.audio.sound import Sound
from aoide.config import MissingExtra, UserError, near, require, write_aside

if TYPE_CHECKING:
    import soundfile

# ending -> (format, subtype) of libsndfile, and the sample rates that the format takes (None: any)
_OPUS_RATES = (8000, 12000, 16000, 24000, 48000)
_MP3_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
_ENCODINGS: dict[str, tuple[str, str, tuple[int, ...] | None]] = {
    "wav": ("WAV", "PCM_16", None),
    "flac": ("FLAC", "PCM_16", None),
    "ogg": ("OGG", "VORBIS", None),
    "opus": ("OGG", "OPUS", _OPUS_RATES),
    "mp3": ("MP3", "MPEG_LAYER_III", _MP3_RATES),
}
FORMATS = tuple(_ENCODINGS)
"""The formats that can be written; each is also the ending of its files."""

TAGS = ("title", "artist", "album", "comment", "copyright", "date", "genre", "license", "software", "tracknumber")
"""The tags that can be written; mp3 keeps title, artist, album, comment, date, genre and tracknumber."""

_BLOCK = 1 << 16  # samples per call of an encoder: libsndfile's Vorbis encoder puts a whole call on the stack
_UNKNOWN_SIZE = 0xFFFFFFFF  # what a WAV header says when its writer could not come back to fill it in
_UNKNOWN_SIZES = 0x7FFFF000  # from here on a stated size means "not known": other writers put 2 GiB there


@dataclass(frozen=True, kw_only=True, slots=True)
class Info:
    """What a file says about its sound without decoding it."""

    sample_rate: int
    channels: int
    samples: int  # per channel
    encoding: str  # libsndfile's subtype (PCM_16, FLOAT, VORBIS ...) or FFmpeg's codec name
    complete: bool = True  # False: the file ends before its own header or its last page says
    tags: dict[str, str] = field(default_factory=dict)

    @property
    def seconds(self) -> float:
        return self.samples / self.sample_rate


# -------------------------------------------------------------------------------------------------------------- reading


def read(path: str | os.PathLike[str], start: int = 0, samples: int | None = None) -> Sound:
    """Reads a sound file, or the part of it that begins at sample `start` and is `samples` long.

    Raises:
        UserError: no such file, or not a sound file, or a broken one; the text names the file.
        MissingExtra: libsndfile does not know the format and PyAV is not installed.
    """
    import soundfile

    _check_source(path)
    try:
        with soundfile.SoundFile(os.fspath(path)) as file:
            if start:
                file.seek(min(start, file.frames))
            return Sound(file.read(-1 if samples is None else samples, dtype="float32"), file.samplerate)
    except soundfile.LibsndfileError as error:
        if "not recognised" not in str(error):  # a format that libsndfile knows, and the file is broken
            raise UserError(f"{path}: broken sound file: {_reason(error)}") from None
    sound = _read_by_av(path)
    end = None if samples is None else start + samples
    return Sound(sound.samples[start:end], sound.sample_rate)


def blocks(path: str | os.PathLike[str], sample_rate: int, seconds: float = 10.0) -> Iterator[np.ndarray]:
    """Reads a sound file piece by piece, as one channel at `sample_rate`, in constant memory.

    Yields:
        (samples,) float32; together as many samples as `read(path).mono().resample(sample_rate)` has.

    Raises:
        UserError, MissingExtra: as `read`.
    """
    import soundfile

    _check_source(path)
    if not native(path):
        yield from _blocks_by_av(path, sample_rate, seconds)
        return
    try:
        with soundfile.SoundFile(os.fspath(path)) as file:
            resampler = Resampler(file.samplerate, sample_rate)
            for piece in file.blocks(max(1, int(seconds * file.samplerate)), dtype="float32", always_2d=True):
                yield resampler.push(piece.mean(axis=1))
            yield resampler.finish()
    except soundfile.LibsndfileError as error:
        raise UserError(f"{path}: broken sound file: {_reason(error)}") from None


def probe(path: str | os.PathLike[str]) -> Info:
    """Length, rate, channels, encoding and tags of a sound file, read from its headers where the format has them.

    Raises:
        UserError, MissingExtra: as `read`.
    """
    import soundfile

    _check_source(path)
    try:
        with soundfile.SoundFile(os.fspath(path)) as file:
            log = file.extra_info
            return Info(
                sample_rate=file.samplerate,
                channels=file.channels,
                samples=file.frames,
                encoding=file.subtype,
                complete=not _cut_off(Path(path), file.format, log),
                tags={name: text for name in TAGS if (text := getattr(file, name))},
            )
    except soundfile.LibsndfileError as error:
        if "not recognised" not in str(error):
            raise UserError(f"{path}: broken sound file: {_reason(error)}") from None
    sound = _read_by_av(path)
    name = Path(path).suffix[1:].lower()
    return Info(sample_rate=sound.sample_rate, channels=sound.channels, samples=len(sound.samples), encoding=name)


def native(path: str | os.PathLike[str]) -> bool:
    """Whether libsndfile reads the file by itself: fast, and from any place inside."""
    import soundfile

    try:
        soundfile.info(os.fspath(path))
    except soundfile.LibsndfileError:
        return False
    return True


def _check_source(path: str | os.PathLike[str]) -> None:
    """A clear error instead of libsndfile's "System error"."""
    try:
        with open(path, "rb") as file:
            if not file.read(1):
                raise UserError(f"{path}: an empty file, not a sound")
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise UserError(f"{path}: is a folder, not a sound file") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None


def _cut_off(path: Path, format_name: str, log: str) -> bool:
    """Whether the file is shorter than it says. FLAC needs no look: its decoder fails on the missing part."""
    if format_name in ("WAV", "WAVEX"):  # libsndfile mends the length silently, and leaves a line in its log
        stated = re.search(r"^data : (\d+) \(should be (\d+)\)", log, re.MULTILINE)
        return stated is not None and int(stated[2]) < int(stated[1]) < _UNKNOWN_SIZES
    if format_name == "OGG":  # the last page must be whole and carry the end-of-stream flag (RFC 3533)
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - (1 << 17)))  # a page is at most 65,307 bytes
            tail = file.read()
        page = tail[max(0, tail.rfind(b"OggS")) :]
        return len(page) < 27 or not page[5] & 4 or len(page) < 27 + page[26] + sum(page[27 : 27 + page[26]])
    return False


def _reason(error: soundfile.LibsndfileError) -> str:
    """libsndfile's words without its prefix and full stop: "flac decoder lost sync"."""
    words = error.error_string.removeprefix("Error : ").rstrip(".")
    return (
        "no sound in it" if words.startswith("File does not exist") else words
    )  # what its MP3 decoder finds nothing in


def _read_by_av(path: str | os.PathLike[str]) -> Sound:
    """The whole sound, by FFmpeg."""
    planes, rate = [], 0
    for plane, rate in _planes_by_av(path):  # noqa: B007  (the rate is that of all)
        planes.append(plane)
    samples = np.concatenate(planes, axis=1).T
    return Sound(samples[:, 0] if samples.shape[1] == 1 else samples, rate)


def _blocks_by_av(path: str | os.PathLike[str], sample_rate: int, seconds: float) -> Iterator[np.ndarray]:
    """As `blocks`, by FFmpeg, whose own pieces are a few milliseconds long."""
    resampler: Resampler | None = None
    waiting: list[np.ndarray] = []
    samples = 0
    for plane, rate in _planes_by_av(path):
        resampler = resampler or Resampler(rate, sample_rate)
        waiting.append(plane.mean(axis=0))
        samples += plane.shape[1]
        if samples >= seconds * rate:
            yield resampler.push(np.concatenate(waiting))
            waiting, samples = [], 0
    if resampler is not None:
        yield resampler.push(np.concatenate([np.zeros(0, np.float32), *waiting]))
        yield resampler.finish()


def _planes_by_av(path: str | os.PathLike[str]) -> Iterator[tuple[np.ndarray, int]]:
    """Decodes by FFmpeg, through PyAV: ((channels, samples) float32, sample rate) piece by piece, at least one."""
    try:
        av = require("av", "data")
    except MissingExtra:
        raise UserError(
            f"{path}: not a format that libsndfile reads ({', '.join(FORMATS)} ...); "
            "if it is a sound, pip install 'aoide[data]' brings PyAV, which reads nearly all"
        ) from None
    try:
        with av.open(os.fspath(path)) as container:
            if not container.streams.audio:
                raise UserError(f"{path}: holds no sound")
            stream = container.streams.audio[0]
            resampler = av.AudioResampler(format="fltp")  # float planes; rate and channels stay
            yield np.zeros((stream.channels, 0), np.float32), stream.rate
            for frame in itertools.chain(container.decode(stream), [None]):
                for piece in resampler.resample(frame):
                    yield piece.to_ndarray(), stream.rate
    except av.FFmpegError as error:
        raise UserError(f"{path}: not a sound file, or a broken one: {error.strerror}") from None


# -------------------------------------------------------------------------------------------------------------- writing


def write(path: str | os.PathLike[str], sound: Sound, tags: Mapping[str, str] | None = None) -> None:
    """Writes a whole sound to a file; the ending names the format.

    Raises:
        UserError: an ending or a tag that is not known, no such folder, no permission, a full disk.
    """
    with open_writer(path, sound.sample_rate, tags=tags, channels=sound.channels) as writer:
        writer.write(sound.samples)


def format_of(path: str | os.PathLike[str]) -> str:
    """The format that the ending of a path names.

    Raises:
        UserError: an ending that is not in FORMATS, or none.
    """
    ending = Path(path).suffix[1:].lower()
    if ending not in FORMATS:
        what = f"unknown ending .{ending};" if ending else "the name has no ending;"
        raise UserError(f"{path}: {what}{near(ending, FORMATS)} endings are {', '.join('.' + f for f in FORMATS)}")
    return ending


@contextmanager
def open_writer(
    target: str | os.PathLike[str] | BinaryIO,
    sample_rate: int,
    format: str | None = None,
    tags: Mapping[str, str] | None = None,
    channels: int = 1,
) -> Iterator[Writer]:
    """Opens a stream into a sound file.

        with open_writer("long.opus", 24000) as writer:
            for sound in voice.stream(text):
                writer.write(sound.samples)

    A path gets its file when the block ends well and nothing when it does not. `target` may be an open binary file;
    it is left open. What cannot go back (a pipe, standard output as "-") gets WAV as it comes, with a header that
    leaves the length open, and any other format in one piece at the end.

    Args:
        target: path, "-" for standard output, or binary file.
        sample_rate: of the samples that `write` will get.
        format: one of FORMATS; None takes the ending of the path, and WAV for what has none.
        tags: text by name, see TAGS; empty ones are left out.
        channels: 1 for samples (samples,), more for (samples, channels).

    Raises:
        UserError: as `write`.
    """
    if isinstance(target, (str, os.PathLike)) and os.fspath(target) == "-":
        target = sys.stdout.buffer
    if format is None:
        format = format_of(target) if isinstance(target, (str, os.PathLike)) else "wav"
    elif format not in FORMATS:
        raise UserError(f"unknown format {format!r};{near(format, FORMATS)} formats are {', '.join(FORMATS)}")
    tags = {name: text for name, text in (tags or {}).items() if text}
    for name in tags:
        if name not in TAGS:
            raise UserError(f"unknown tag {name!r};{near(name, TAGS)} tags are {', '.join(TAGS)}")
    if format == "wav" and not isinstance(target, (str, os.PathLike)) and not _can_go_back(target):
        yield _PipedWav(target, sample_rate, channels)
        return
    with _opened(target) as file:
        writer = _EncodedFile(file, sample_rate, format, tags, channels)
        try:
            yield writer
            if writer.samples == 0 and format != "wav":  # libsndfile writes 0 bytes then, which no program reads
                raise UserError(f"no samples were written, and a .{format} file cannot hold that; .wav can")
            writer.finish()
        finally:
            writer.close()


@contextmanager
def _opened(target: str | os.PathLike[str] | BinaryIO) -> Iterator[BinaryIO]:
    """A binary file in which one can go back, whose content reaches `target` when the block ends well."""
    if isinstance(target, (str, os.PathLike)):
        with write_aside(target) as aside, open(aside, "wb+") as file:
            yield file
    else:
        import shutil
        import tempfile

        with tempfile.TemporaryFile() as file:
            yield file
            file.seek(0)
            shutil.copyfileobj(file, target)
            target.flush()


def _can_go_back(target: BinaryIO) -> bool:
    return target is not sys.stdout.buffer and target.seekable()


class Writer(ABC):
    """Takes the samples of one sound, piece by piece; made by `open_writer`."""

    def __init__(self, channels: int) -> None:
        self.channels = channels
        self.samples = 0  # taken so far, per channel

    def write(self, samples: np.ndarray) -> None:
        """Appends samples (samples,) or (samples, channels), float, full scale -1 to 1.

        Raises:
            UserError: the disk is full, or whatever else the system says.
        """
        samples = np.asarray(samples, dtype=np.float32)
        if samples.shape[1:] != (() if self.channels == 1 else (self.channels,)):
            raise ValueError(f"expected samples for {self.channels} channel(s), got shape {samples.shape}")
        self.samples += len(samples)
        self._put(samples)

    @abstractmethod
    def _put(self, samples: np.ndarray) -> None:
        """Encodes checked samples."""


class _EncodedFile(Writer):
    """Any format, into a file in which libsndfile can go back."""

    def __init__(self, file: BinaryIO, sample_rate: int, format: str, tags: Mapping[str, str], channels: int) -> None:
        import soundfile

        super().__init__(channels)
        container, subtype, rates = _ENCODINGS[format]
        file_rate = sample_rate if rates is None or sample_rate in rates else 48000
        self._resampler = Resampler(sample_rate, file_rate, channels)
        try:  # by descriptor rather than by Python file: libsndfile then writes and seeks by itself
            self._file = soundfile.SoundFile(
                file.fileno(), "w", file_rate, channels, subtype, format=container, closefd=False
            )
        except soundfile.LibsndfileError as error:
            what = f"{format} at {file_rate} Hz with {channels} channel(s)"
            raise UserError(f"cannot write {what}: {_reason(error)}") from None
        for name, text in tags.items():
            setattr(self._file, name, text)

    def _put(self, samples: np.ndarray) -> None:
        self._encode(self._resampler.push(samples))

    def finish(self) -> None:
        """Writes what the resampler still holds."""
        self._encode(self._resampler.finish())

    def close(self) -> None:
        """Completes the file."""
        import soundfile

        try:
            self._file.close()
        except soundfile.LibsndfileError as error:
            raise UserError(f"the sound could not be written: {_reason(error)}") from None

    def _encode(self, samples: np.ndarray) -> None:
        import soundfile

        if self._file.subtype == "PCM_16":
            samples = _to_16_bits(samples)
        try:
            for i in range(0, len(samples), _BLOCK):
                self._file.write(samples[i : i + _BLOCK])
        except soundfile.LibsndfileError as error:
            raise UserError(f"the sound could not be written: {_reason(error)}") from None
        except AssertionError:  # soundfile asserts that libsndfile wrote as much as it was given
            raise UserError("the sound could not be written: is the disk full?") from None


class _PipedWav(Writer):
    """16-bit WAV into something that cannot go back: the header says that the length is not known."""

    def __init__(self, pipe: BinaryIO, sample_rate: int, channels: int) -> None:
        super().__init__(channels)
        self._pipe = pipe
        width = 2 * channels  # bytes
        layout = (16, 1, channels, sample_rate, sample_rate * width, width, 16)  # PCM, 16 bits
        pipe.write(struct.pack("<4sI4s4s", b"RIFF", _UNKNOWN_SIZE, b"WAVE", b"fmt "))
        pipe.write(struct.pack("<IHHIIHH4sI", *layout, b"data", _UNKNOWN_SIZE))

    def _put(self, samples: np.ndarray) -> None:
        self._pipe.write(_to_16_bits(samples).tobytes())
        self._pipe.flush()


def _to_16_bits(samples: np.ndarray) -> np.ndarray:
    """Rounded and clipped. libsndfile would round down for WAV, half a step of bias, and to the nearest for FLAC."""
    return np.clip(np.rint(samples * 32768.0), -32768, 32767).astype("<i2")
