"""Sounds and scores that came over the wire, read within bounds that hold before and while they are decoded.

A file's own header is never believed: what decodes to more than is allowed is given up at the bound, whatever its
header says, so that a megabyte of compressed silence cannot become gigabytes. Only the formats that libsndfile knows
are read, from memory; no name or path of the client is ever opened.
"""

from __future__ import annotations

import io
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from aoide.audio.resample import Resampler
from aoide.audio.sound import Sound
from aoide.config import UserError, near

if TYPE_CHECKING:
    from aoide.score import Score

RATES = (4000, 192_000)  # Hz
KEPT_RATE = 48_000  # Hz; what is above is not kept, as no model reads it and it would take four times the memory
MOST_CHANNELS = 8
BLOCK = 1 << 16  # samples decoded at a time
SCORE_BYTES = 5_000_000


class TooLargeError(UserError):
    """What was sent is larger than this server takes."""


class UnreadableError(UserError):
    """What was sent is no file that can be read."""


def sound(data: bytes, most_seconds: float) -> Sound:
    """Decodes a sound file to one channel.

    Raises:
        TooLargeError: longer than `most_seconds`.
        UnreadableError: not a sound file, or a broken or empty one.
    """
    import soundfile

    try:
        with soundfile.SoundFile(io.BytesIO(data)) as file:
            rate, channels = file.samplerate, file.channels
            if not RATES[0] <= rate <= RATES[1] or channels > MOST_CHANNELS:
                raise UnreadableError(
                    f"the sound has {rate} Hz and {channels} channels; {RATES[0]} to {RATES[1]} Hz and at most "
                    f"{MOST_CHANNELS} channels can be read"
                )
            kept = min(rate, KEPT_RATE)
            resampler = Resampler(rate, kept)
            pieces, total = [], 0
            while len(piece := file.read(BLOCK, dtype="float32", always_2d=True)):
                total += len(piece)
                if total > most_seconds * rate:
                    raise TooLargeError(f"the sound is longer than {most_seconds:g} s; cut it")
                pieces.append(resampler.push(piece.mean(axis=1, dtype=np.float32)))
            pieces.append(resampler.finish())
    except UserError:
        raise
    except (soundfile.LibsndfileError, ValueError, AssertionError):
        known = "wav, flac, ogg, opus and mp3"
        raise UnreadableError(f"the file is not a sound that can be decoded; {known} are read") from None
    if not total:
        raise UnreadableError("the sound file holds no samples")
    samples = np.concatenate(pieces)
    if not np.isfinite(samples).all():
        raise UnreadableError("the sound holds values that are not numbers")
    return Sound(np.clip(samples, -1, 1), kept)


def score(data: bytes, name: str) -> Score:
    """Reads a score.

    Args:
        name: the client's name of the file, of which only a known ending is used.

    Raises:
        TooLargeError: a file too large for a score.
        UserError: not a score.
    """
    from aoide.score import Score, formats

    if len(data) > SCORE_BYTES:
        raise TooLargeError(f"the score has more than {SCORE_BYTES // 1_000_000} MB")
    ending = "." + name.rpartition(".")[2].lower()
    if ending not in formats.ENDINGS:
        known = ", ".join(formats.ENDINGS)
        raise UnreadableError(
            f"the score's name has to end in one of {known};{near(ending, formats.ENDINGS)}".rstrip(";")
        )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"score{ending}"
        path.write_bytes(data)
        try:
            return Score.load(path)
        except UserError as error:
            raise UnreadableError(str(error).replace(str(path), "the score")) from None
