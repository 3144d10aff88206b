"""Sound as bytes that can be sent while it is made: wav, pcm, mp3, opus, flac and aac.

    encoder = Encoder("mp3", 24000, tags)
    send(encoder.add(samples))
    ...
    send(encoder.close())

Nothing is written back into what was sent: a WAV header leaves the length open, as FFmpeg's does for a pipe, and a FLAC
header the number of samples. What has a place for words says that the sound is synthetic (`tags`); raw PCM has none.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import numpy as np

from aoide.config import require

TYPES = {
    "mp3": "audio/mpeg",
    "opus": "audio/ogg",
    "aac": "audio/aac",
    "flac": "audio/flac",
    "wav": "audio/wav",
    "pcm": "audio/pcm",
}
"""Formats and their media types; pcm is 16 bits, little-endian, one channel, at the rate of the voice."""

_CODECS = {"mp3": ("mp3", "mp3"), "opus": ("ogg", "libopus"), "aac": ("adts", "aac"), "flac": ("flac", "flac")}
_UNKNOWN = 0xFFFFFFFF  # bytes
_OPTIONS = {"ogg": {"page_duration": "100000"}}  # microseconds; Ogg would hold back a second of sound
_BIT_RATES = {"mp3": 96_000, "opus": 48_000, "aac": 96_000}


class Encoder:
    """Encodes one sound, piece by piece.

    Args:
        format: one of TYPES.
        sample_rate: Hz.
        tags: see `aoide.audio.io.TAGS`.

    Raises:
        MissingExtra: PyAV is not installed, which all but wav and pcm need.
    """

    def __init__(self, format: str, sample_rate: int, tags: Mapping[str, str] | None = None) -> None:
        self.type = TYPES[format]
        self._coder = (
            _Plain(sample_rate, tags or {}, header=format == "wav")
            if format in ("wav", "pcm")
            else _Coded(format, sample_rate, tags or {})
        )

    def add(self, samples: np.ndarray) -> bytes:
        """What can be sent of the sound so far.

        Args:
            samples: (samples,) float32, full scale -1 to 1; louder is clipped.
        """
        return self._coder.add(np.clip(np.rint(samples * 32768.0), -32768, 32767).astype("<i2"))

    def close(self) -> bytes:
        """The rest."""
        return self._coder.close()


class _Plain:
    """Samples as they are, with or without a WAV header."""

    def __init__(self, sample_rate: int, tags: Mapping[str, str], header: bool) -> None:
        self._head = _wav_header(sample_rate, tags) if header else b""

    def add(self, samples: np.ndarray) -> bytes:
        head, self._head = self._head, b""
        return head + samples.tobytes()

    def close(self) -> bytes:
        head, self._head = self._head, b""
        return head


def _wav_header(sample_rate: int, tags: Mapping[str, str]) -> bytes:
    """Of 16 bits and one channel, the length left open."""
    info = b"INFO"
    for name, key in (("title", b"INAM"), ("comment", b"ICMT"), ("software", b"ISFT")):
        if text := tags.get(name, ""):
            value = text.encode() + b"\0"
            info += key + struct.pack("<I", len(value)) + value + b"\0" * (len(value) % 2)
    head = struct.pack("<4sI4s4sI", b"RIFF", _UNKNOWN, b"WAVE", b"fmt ", 16)
    head += struct.pack("<HHIIHH", 1, 1, sample_rate, 2 * sample_rate, 2, 16)
    return head + struct.pack("<4sI", b"LIST", len(info)) + info + struct.pack("<4sI", b"data", _UNKNOWN)


class _Sink:
    """A file that cannot go back: what a container writes is taken out at once."""

    def __init__(self) -> None:
        self._data = bytearray()

    def write(self, data: bytes) -> int:
        self._data += data
        return len(data)

    def take(self) -> bytes:
        data = bytes(self._data)
        self._data.clear()
        return data


class _Coded:
    """Through FFmpeg's encoders (PyAV)."""

    def __init__(self, format: str, sample_rate: int, tags: Mapping[str, str]) -> None:
        self._av = av = require("av", "serve")
        container, codec = _CODECS[format]
        self._sink = _Sink()
        self._container: Any = av.open(self._sink, "w", format=container, options=_OPTIONS.get(container, {}))
        self._stream = self._container.add_stream(codec, rate=sample_rate, layout="mono")
        (self._stream if container == "ogg" else self._container).metadata.update(tags)
        if format in _BIT_RATES:
            self._stream.bit_rate = _BIT_RATES[format]
        self._rate, self._time = sample_rate, 0

    def add(self, samples: np.ndarray) -> bytes:
        if len(samples):
            frame = self._av.AudioFrame.from_ndarray(samples[None], format="s16", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = self._rate, self._time, Fraction(1, self._rate)
            self._time += len(samples)
            self._container.mux(self._stream.encode(frame))
        return self._sink.take()

    def close(self) -> bytes:
        self._container.mux(self._stream.encode(None))
        self._container.close()
        return self._sink.take()
