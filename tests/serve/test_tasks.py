"""Files over the wire: conversion and singing, and files that are not what they say."""

from __future__ import annotations

import io
import struct
import zipfile
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
from tests.serve.server import http, running, settled  # noqa: E402

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
    return http.post(f"{address}/v1/audio/convert", files={"file": (name, data)}, data=fields)


@pytest.mark.sweep
def test_convert(address: str, speech: bytes) -> None:
    answer = convert(address, speech, name="../../etc/passwd", voice="f001", response_format="wav")
    assert answer.status_code == 200 and "synthetic: yes" in answer.headers["x-aoide-provenance"]
    samples, rate = soundfile.read(io.BytesIO(answer.content))
    given = aoide.Sound(*soundfile.read(io.BytesIO(speech), dtype="float32"))
    wanted = aoide.load("convert-24k").convert(given, "f001").samples
    assert rate == 24_000 and np.abs(samples - np.clip(wanted, -1, 1)).max() < 1e-3


@pytest.mark.sweep
def test_sing(address: str) -> None:
    answer = http.post(
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


def bomb(seconds: int = 1200) -> bytes:
    """FLAC of silence: some ten kilobytes of what would be a gigabyte at the highest rate, if it were decoded."""
    file = io.BytesIO()
    with soundfile.SoundFile(file, "w", 8000, 1, format="FLAC") as out:
        block = np.zeros(8000 * 60, np.int16)
        for _ in range(seconds // 60):
            out.write(block)
    return file.getvalue()


def packed(inside: bytes, name: str = "score.xml") -> bytes:
    """A zip archive, as an .mxl is one."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, inside)
    return file.getvalue()


@pytest.mark.parametrize(
    ("data", "status", "says"),
    [
        (b"", 415, "decoded"),
        (b"hello" * 100, 415, "decoded"),
        (packed(bytes(10_000_000)), 415, "decoded"),
        (wav(np.zeros(100, np.float32), 400_000), 415, "400000 Hz"),
        (wav(np.zeros((100, 9), np.float32)), 415, "9 channels"),
        (wav(np.zeros(0, np.float32)), 415, "no samples"),
        (wav(np.zeros(24_000 * 61, np.float32), 24_000, "FLAC"), 413, "longer than 60 s"),
        (b"RIFF" + b"\0" * 2_000_001, 413, "bytes"),
    ],
)
def test_bad_sounds(address: str, data: bytes, status: int, says: str) -> None:
    answer = convert(address, data)
    assert answer.status_code == status and says in answer.json()["error"]["message"]


@pytest.mark.parametrize("said", [0, 10, 99, 101, 1 << 30, (1 << 31) - 20])
def test_a_header_that_lies_is_not_believed(said: int) -> None:
    """More than there is: what is there counts. Less: what it says, as players do; an error if that is nothing."""
    if said == 0:
        with pytest.raises(uploads.UnreadableError, match="no samples"):
            uploads.sound(lying(said), 60.0)
    else:
        assert len(uploads.sound(lying(said), 60.0).samples) == min(said, 100)


def test_a_bomb_is_given_up_at_the_bound(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    data = bomb()
    assert len(data) < 50_000
    answer = convert(address, data)
    assert answer.status_code == 413 and "longer than 60 s" in answer.json()["error"]["message"]
    read = 0
    whole = soundfile.SoundFile.read

    def counted(self: soundfile.SoundFile, *arguments: object, **settings: object) -> np.ndarray:
        nonlocal read
        found = whole(self, *arguments, **settings)
        read += len(found)
        return found

    monkeypatch.setattr(soundfile.SoundFile, "read", counted)
    with pytest.raises(uploads.TooLargeError):
        uploads.sound(data, 60.0)
    assert read <= 8000 * 60 + uploads.BLOCK


def test_high_rates_do_not_fill_the_memory() -> None:
    tone = np.sin(np.arange(192_000) * 2 * np.pi * 1000 / 192_000).astype(np.float32) / 2
    heard = uploads.sound(wav(tone, 192_000), 60.0)
    assert heard.sample_rate == uploads.KEPT_RATE and len(heard.samples) == 48_000
    middle = heard.samples[1000:-1000]
    assert np.sqrt(np.mean(middle**2)) == pytest.approx(0.5 / np.sqrt(2), rel=0.01)


def test_silence_is_said(address: str) -> None:
    answer = convert(address, wav(np.zeros(48_000, np.float32)))
    assert answer.status_code in (200, 400)
    assert settled(address, "aoide_active_requests", 0)


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
    assert answer.json()["error"]["param"] == next(iter(fields))


def damaged(archive: bytes) -> bytes:
    """What is compressed in it begins with what no compressor writes."""
    begin = 30 + len("score.xml")
    return archive[:begin] + b"\xff\xff\xff\xff" + archive[begin + 4 :]


GROWING = b"".join(  # each is eight times the one before: 134 million in half a kilobyte
    b"%s: &%s [%s]\n" % (name, name, b", ".join([b"*" + before] * 8))
    for before, name in zip(b"a b c d e f g".split(), b"b c d e f g h".split(), strict=True)
)


@pytest.mark.parametrize(
    ("name", "data", "status"),
    [
        ("song.musicxml", b"<score", 415),
        ("song.exe", b"x", 415),
        ("song", b"x", 415),
        ("song.mid", b"MThd", 415),
        ("song.mxl", damaged(packed(b"<score-partwise/>" * 9)), 415),
        ("song.ustx", b"ustx_version: 0.6\na: &a [x, x, x, x, x, x, x, x]\n" + GROWING + b"name: *h\n", 415),
        ("song.musicxml", b'<!DOCTYPE x [<!ENTITY a "b"><!ENTITY c "&a;&a;">]><score-partwise/>', 415),
    ],
)
def test_bad_scores(address: str, name: str, data: bytes, status: int) -> None:
    answer = http.post(f"{address}/v1/audio/sing", files={"file": (name, data)})
    assert answer.status_code == status and answer.json()["error"]["message"]
    assert "/tmp" not in answer.text


def test_an_archive_is_unpacked_to_its_bound(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from aoide.score import musicxml

    monkeypatch.setattr(musicxml, "_LARGEST", 1_000_000)
    data = packed(b"<score-partwise>" + bytes(2_000_000))
    answer = http.post(f"{address}/v1/audio/sing", files={"file": ("song.mxl", data)})
    assert len(data) < 5000
    assert answer.status_code == 415 and "unpacks to more" in answer.json()["error"]["message"]


@pytest.mark.sweep
def test_sound(address: str) -> None:
    body = {"input": "a flute plays a rising scale", "seconds": 1.5, "steps": 2, "response_format": "wav", "seed": 3}
    answer = http.post(f"{address}/v1/audio/sound", json=body)
    samples = soundfile.read(io.BytesIO(answer.content))[0]
    assert answer.status_code == 200 and len(samples) == 36_000 and np.abs(samples).max() > 0.01
    odd = http.post(f"{address}/v1/audio/sound", json={**body, "input": "a würg\x01 of\r\n\x85zzyzx \x7f語"})
    assert odd.status_code == 200 and odd.headers["x-aoide-remark"]
    bad = http.post(f"{address}/v1/audio/sound", json={**body, "input": "..."})
    assert bad.status_code == 400 and bad.json()["error"]["param"] == "input"
