"""Files over the wire: conversion and singing, and files that are not what they say."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
import soundfile

pytest.importorskip("fastapi")
pytest.importorskip("av")

import aoide  # noqa: E402
from aoide.serve import uploads  # noqa: E402
from tests.serve.server import counters, running  # noqa: E402

SONG = Path(__file__).parents[2] / "examples" / "songs" / "twinkle.musicxml"


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with running(most_bytes=2_000_000, most_seconds=60.0) as at:
        yield at


def wav(samples: np.ndarray, rate: int = 24_000, format: str = "WAV") -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format=format)
    return file.getvalue()


@pytest.fixture(scope="module")
def speech() -> bytes:
    return wav(aoide.load("en-heart").say("Who speaks here?").samples)


def convert(address: str, data: bytes, name: str = "in.wav", **fields: str) -> httpx.Response:
    return httpx.post(f"{address}/v1/audio/convert", files={"file": (name, data)}, data=fields, timeout=60)


def test_convert(address: str, speech: bytes) -> None:
    answer = convert(address, speech, name="../../etc/passwd", voice="f001", response_format="wav")
    assert answer.status_code == 200 and "synthetic: yes" in answer.headers["x-aoide-provenance"]
    samples, rate = soundfile.read(io.BytesIO(answer.content))
    given = aoide.Sound(*soundfile.read(io.BytesIO(speech), dtype="float32"))
    wanted = aoide.load("convert-24k").convert(given, "f001").samples
    assert rate == 24_000 and np.abs(samples - np.clip(wanted, -1, 1)).max() < 1e-3


def test_sing(address: str) -> None:
    answer = httpx.post(
        f"{address}/v1/audio/sing", files={"file": SONG.open("rb")}, data={"response_format": "wav"}, timeout=60
    )
    samples = soundfile.read(io.BytesIO(answer.content))[0]
    score = aoide.Score.load(SONG)
    assert answer.status_code == 200
    assert len(samples) / 24_000 == pytest.approx(score.end, abs=0.5) and np.abs(samples).max() > 0.05


def lying(samples: int) -> bytes:
    """A WAV of 100 samples whose header says more."""
    data = bytearray(wav(np.zeros(100, np.float32)))
    data[40:44] = struct.pack("<I", 2 * samples)
    data[4:8] = struct.pack("<I", 36 + 2 * samples)
    return bytes(data)


def bomb() -> bytes:
    """FLAC of half an hour of silence at 192 kHz: some hundred kilobytes of what would be 1.4 GB."""
    file = io.BytesIO()
    with soundfile.SoundFile(file, "w", 192_000, 1, format="FLAC") as out:
        block = np.zeros(1 << 20, np.int16)
        for _ in range(330):
            out.write(block)
    return file.getvalue()


@pytest.mark.parametrize(
    ("data", "status", "says"),
    [
        (b"", 415, "decoded"),
        (b"hello" * 100, 415, "decoded"),
        (wav(np.zeros(0, np.float32)), 415, "no samples"),
        (wav(np.zeros(24_000 * 61, np.float32), 24_000, "FLAC"), 413, "longer than 60 s"),
        (b"RIFF" + b"\0" * 2_000_001, 413, "bytes"),
    ],
)
def test_bad_sounds(address: str, data: bytes, status: int, says: str) -> None:
    answer = convert(address, data)
    assert answer.status_code == status and says in answer.json()["error"]["message"]


def test_a_header_that_lies_is_not_believed() -> None:
    assert len(uploads.sound(lying(1 << 30), 60.0).samples) == 100


@pytest.mark.slow  # 8 s: writing the bomb
def test_a_bomb_is_given_up_at_the_bound(address: str) -> None:
    data = bomb()
    assert len(data) < 2_000_000
    assert convert(address, data).status_code == 413


def test_silence_is_said(address: str) -> None:
    answer = convert(address, wav(np.zeros(48_000, np.float32)))
    assert answer.status_code in (200, 400)
    assert counters(address)["aoide_active_requests"] == 0


@pytest.mark.parametrize(
    ("fields", "status", "says"),
    [
        ({"voice": "nobody"}, 404, "no singer"),
        ({"model": "../../x"}, 404, "no converter"),
        ({"transpose": "much"}, 422, "semitones"),
        ({"task": "x"}, 422, "task"),
    ],
)
def test_bad_settings(address: str, speech: bytes, fields: dict, status: int, says: str) -> None:
    answer = convert(address, speech, **fields)
    assert answer.status_code == status and says in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("name", "data", "status"),
    [
        ("song.musicxml", b"<score", 415),
        ("song.exe", b"x", 415),
        ("song", b"x", 415),
        ("song.mid", b"MThd", 415),
        ("song.musicxml", b'<!DOCTYPE x [<!ENTITY a "b"><!ENTITY c "&a;&a;">]><score-partwise/>', 415),
    ],
)
def test_bad_scores(address: str, name: str, data: bytes, status: int) -> None:
    answer = httpx.post(f"{address}/v1/audio/sing", files={"file": (name, data)})
    assert answer.status_code == status and answer.json()["error"]["message"]
    assert "/tmp" not in answer.text
