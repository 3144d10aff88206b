"""Every format is tested by decoding what was written: its length, and its likeness to what went in."""

from __future__ import annotations

import io as pyio
import os
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from aoide.audio import io
from aoide.audio.sound import Sound
from aoide.config import UserError

RATE = 24000


def chirp(seconds: float = 2.5, rate: int = RATE, channels: int = 1) -> np.ndarray:
    """A sweep from 200 to 2,000 Hz: unlike a tone it shows lost and doubled pieces."""
    t = np.arange(round(seconds * rate)) / rate
    wave = 0.4 * np.sin(2 * np.pi * (200 * t + 900 * t**2 / seconds))
    wave = wave.astype(np.float32)
    return wave if channels == 1 else np.stack([wave / (c + 1) for c in range(channels)], axis=1)


def likeness(a: np.ndarray, b: np.ndarray) -> float:
    """Correlation of two sounds that should lie on top of each other."""
    n = min(len(a), len(b))
    return float((a[:n] * b[:n]).sum() / np.sqrt((a[:n] ** 2).sum() * (b[:n] ** 2).sum()))


@pytest.mark.parametrize("ending", io.FORMATS)
@pytest.mark.parametrize("channels", [1, 2])
def test_written_in_pieces_reads_back_whole(tmp_path: Path, ending: str, channels: int) -> None:
    samples, path = chirp(channels=channels), tmp_path / f"x.{ending}"
    with io.open_writer(path, RATE, channels=channels) as writer:
        for i in range(0, len(samples), 5000):
            writer.write(samples[i : i + 5000])
        assert writer.samples == len(samples)
        assert not path.exists()
    sound = io.read(path)
    assert sound.sample_rate == RATE and sound.channels == channels
    assert len(sound.samples) == len(samples)
    assert likeness(sound.samples, samples) > 0.995
    info = io.probe(path)
    assert (info.samples, info.sample_rate, info.channels, info.complete) == (len(samples), RATE, channels, True)
    assert os.listdir(tmp_path) == [path.name]


@pytest.mark.parametrize("ending", io.FORMATS)
@pytest.mark.parametrize("rate", [8000, 22050, 44100, 48000, 96000])
def test_rates(tmp_path: Path, ending: str, rate: int) -> None:
    samples, path = chirp(0.5, rate), tmp_path / f"x.{ending}"
    io.write(path, Sound(samples, rate))
    sound = io.read(path)
    if ending in ("wav", "flac", "ogg"):
        assert sound.sample_rate == rate
    assert abs(sound.seconds - 0.5) < 1e-4
    assert likeness(sound.resample(rate).samples, samples) > 0.98


def test_one_long_call_and_many_short_ones_are_equal(tmp_path: Path) -> None:
    """FLAC goes through the cut into blocks, Opus at 44.1 kHz through the resampler too."""
    samples = chirp(5.0, 44100)
    for ending in ("flac", "opus"):
        io.write(tmp_path / f"a.{ending}", Sound(samples, 44100))
        with io.open_writer(tmp_path / f"b.{ending}", 44100) as writer:
            for i in range(0, len(samples), 777):
                writer.write(samples[i : i + 777])
        a, b = io.read(tmp_path / f"a.{ending}"), io.read(tmp_path / f"b.{ending}")
        assert np.array_equal(a.samples, b.samples)


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"])
def test_every_wav_width(tmp_path: Path, subtype: str) -> None:
    """A reader that takes 24 bits for 16 gives noise of the wrong length."""
    samples = chirp(1.0, 8000, 2)
    soundfile.write(tmp_path / "x.wav", samples, 8000, subtype=subtype)
    sound = io.read(tmp_path / "x.wav")
    assert sound.samples.shape == (8000, 2) and sound.sample_rate == 8000
    assert np.abs(sound.samples - samples).max() < (1 / 64 if subtype == "PCM_U8" else 1e-4)
    assert io.probe(tmp_path / "x.wav").encoding == subtype


def test_louder_than_full_scale_is_clipped_not_wrapped(tmp_path: Path) -> None:
    loud = np.array([2.0, -2.0, 0.5], np.float32)
    for target in (tmp_path / "x.wav", tmp_path / "x.flac"):
        io.write(target, Sound(loud, RATE))
        assert np.allclose(io.read(target).samples, [1, -1, 0.5], atol=1e-4)


def test_sixteen_bits_are_rounded_to_the_nearest(tmp_path: Path) -> None:
    """libsndfile rounds floats down in WAV; a file read and written again must be the same."""
    steps = np.arange(-32768, 32768, 7)
    for ending in ("wav", "flac"):
        for shift in (-0.4, 0.0, 0.4):
            io.write(tmp_path / f"x.{ending}", Sound((steps + shift) / 32768, RATE))
            assert np.array_equal(io.read(tmp_path / f"x.{ending}").samples * 32768, steps)


def test_tags(tmp_path: Path) -> None:
    tags = {"title": "Grüße", "comment": "seed 7", "artist": "en-heart", "album": ""}
    for ending in io.FORMATS:
        io.write(tmp_path / f"x.{ending}", Sound(chirp(0.3), RATE), tags)
        found = io.probe(tmp_path / f"x.{ending}").tags
        assert {k: found.get(k) for k in ("title", "comment", "artist")} == {k: v for k, v in tags.items() if v}
    with pytest.raises(UserError, match="did you mean title"):
        io.write(tmp_path / "y.wav", Sound(chirp(0.3), RATE), {"titel": "x"})
    assert not (tmp_path / "y.wav").exists()


def test_part_of_a_file(tmp_path: Path) -> None:
    samples = chirp(1.0)
    io.write(tmp_path / "x.flac", Sound(samples, RATE))
    part = io.read(tmp_path / "x.flac", start=5000, samples=2000)
    assert np.allclose(part.samples, samples[5000:7000], atol=1e-4)
    assert len(io.read(tmp_path / "x.flac", start=23000, samples=2000).samples) == 1000
    assert len(io.read(tmp_path / "x.flac", start=99000, samples=2000).samples) == 0


def test_no_samples(tmp_path: Path) -> None:
    io.write(tmp_path / "x.wav", Sound(np.zeros(0), RATE))
    assert io.read(tmp_path / "x.wav").samples.shape == (0,)
    assert io.probe(tmp_path / "x.wav").seconds == 0
    for ending in io.FORMATS[1:]:
        with pytest.raises(UserError, match="cannot hold that"):
            io.write(tmp_path / f"x.{ending}", Sound(np.zeros(0), RATE))
    assert os.listdir(tmp_path) == ["x.wav"]


def test_failure_leaves_nothing_and_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "x.flac"
    io.write(path, Sound(chirp(0.2), RATE))
    before = path.read_bytes()
    with pytest.raises(RuntimeError, match="half-way"), io.open_writer(path, RATE) as writer:
        writer.write(chirp(1.0))
        raise RuntimeError("half-way")
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["x.flac"]


def test_errors_name_the_file_and_the_way_out(tmp_path: Path) -> None:
    sound = Sound(chirp(0.1), RATE)
    for name, words in [("x.wave", "did you mean wav"), ("x", "no ending"), ("x.m4a", r"\.wav, \.flac")]:
        with pytest.raises(UserError, match=words):
            io.write(tmp_path / name, sound)
    with pytest.raises(UserError, match="no folder"):
        io.write(tmp_path / "nowhere" / "x.wav", sound)
    (tmp_path / "folder.wav").mkdir()
    with pytest.raises(UserError, match="is a folder"):
        io.write(tmp_path / "folder.wav", sound)
    with pytest.raises(UserError, match="unknown format 'wave'"), io.open_writer(pyio.BytesIO(), RATE, format="wave"):
        pass
    with pytest.raises(UserError, match="no such file"):
        io.read(tmp_path / "missing.wav")
    with pytest.raises(UserError, match="is a folder"):
        io.read(tmp_path)
    (tmp_path / "empty.wav").touch()
    with pytest.raises(UserError, match="empty file"):
        io.read(tmp_path / "empty.wav")
    (tmp_path / "text.mp3").write_text("This is not a sound. " * 50)
    with pytest.raises(UserError, match=r"text\.mp3: broken sound file"):
        io.read(tmp_path / "text.mp3")


@pytest.mark.parametrize("ending", io.FORMATS)
@pytest.mark.parametrize("part", [0.3, 0.5, 0.95])
def test_truncated_files_are_seen(tmp_path: Path, ending: str, part: float) -> None:
    """Some fail to open or to decode, some say that they are not complete, and MP3 is shorter than it says."""
    path = tmp_path / f"x.{ending}"
    io.write(path, Sound(chirp(2.0), RATE))
    path.write_bytes(path.read_bytes()[: round(path.stat().st_size * part)])
    try:
        info, sound = io.probe(path), io.read(path)
    except UserError as error:
        assert f"{path}: broken sound file" in str(error)
    else:
        assert not info.complete or len(sound.samples) < info.samples


@pytest.mark.parametrize("format", io.FORMATS)
def test_open_file_as_target(format: str) -> None:
    file, samples = pyio.BytesIO(), chirp()
    with io.open_writer(file, RATE, format=format) as writer:
        writer.write(samples)
    file.seek(0)
    decoded, rate = soundfile.read(file)
    assert rate == RATE and len(decoded) == len(samples) and likeness(decoded, samples) > 0.995


@pytest.mark.parametrize("format", io.FORMATS)
def test_standard_output(tmp_path: Path, format: str) -> None:
    code = (
        "import numpy as np, sys; from aoide.audio import io\n"
        f"with io.open_writer('-', {RATE}, format={format!r}) as w:\n"
        f"    for _ in range(4): w.write(np.full({RATE} // 2, 0.25, np.float32))"
    )
    piped = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, check=True).stdout
    (tmp_path / "x").write_bytes(piped)
    sound = io.read(tmp_path / "x")
    assert len(sound.samples) == 2 * RATE and io.probe(tmp_path / "x").complete
    if format == "wav":
        assert np.allclose(sound.samples, 0.25, atol=1e-4)
        assert struct.unpack("<I", piped[40:44]) == (0xFFFFFFFF,)


def test_what_libsndfile_does_not_know_goes_through_pyav(tmp_path: Path) -> None:
    av = pytest.importorskip("av")
    samples, path = chirp(1.0, 16000), tmp_path / "x.g722"
    with av.open(str(path), "w", format="g722") as container:
        stream = container.add_stream("g722", rate=16000, layout="mono")
        frame = av.AudioFrame.from_ndarray((samples * 32767).astype(np.int16)[None], format="s16", layout="mono")
        frame.rate = 16000
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)
    sound = io.read(path)
    assert sound.sample_rate == 16000 and len(sound.samples) == 16000
    shifted = max(likeness(sound.samples[d:], samples) for d in range(60))  # the codec's filters delay by 22 samples
    assert shifted > 0.98
    assert io.probe(path).samples == 16000 and not io.native(path)


def test_without_pyav_the_error_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    (tmp_path / "x.aac").write_bytes(bytes(range(256)) * 8)
    with pytest.raises(UserError, match=r"pip install 'aoide\[data\]'"):
        io.read(tmp_path / "x.aac")


def test_a_full_disk_is_one_clear_line() -> None:
    if not os.access("/dev/full", os.W_OK):
        pytest.skip("no /dev/full here")
    code = (
        "import numpy as np; from aoide.audio import io; from aoide.config import UserError\n"
        "import soundfile, os\n"
        "try:\n"
        "    w = io._EncodedFile(open('/dev/full', 'wb', buffering=0), 24000, 'wav', {}, 1)\n"
        "    w.write(np.ones(1 << 20, np.float32)); w.close()\n"
        "except UserError as e: print(e)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "could not be written" in out or "cannot write" in out
