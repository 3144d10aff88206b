"""The codec of the package and its two verbs: pieces equal the whole, fewer codebooks, other vocoders, bad input."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import aoide
from aoide import voices
from aoide.audio import io
from aoide.audio.spectrum import log_mel
from aoide.cli import main
from aoide.config import UserError
from aoide.generate import codec as runtime
from aoide.generate.codec import Codec, Codes

RATE = 24_000


@pytest.fixture(scope="module")
def codec() -> Codec:
    return Codec(voices.DEFAULT_CODEC)


def sound(seconds: float = 1.0, pitch: float = 150.0) -> aoide.Sound:
    """A gliding tone with its harmonics, and a little noise."""
    time = np.arange(int(seconds * RATE)) / RATE
    phase = 2 * np.pi * np.cumsum(pitch + 30 * np.sin(3 * time)) / RATE
    tone = sum(np.sin(k * phase) / k for k in range(1, 20))
    noise = np.random.default_rng(0).standard_normal(len(time))
    return aoide.Sound((0.1 * tone + 0.002 * noise).astype(np.float32), RATE)


def status(capsys: pytest.CaptureFixture, *words: object) -> tuple[int, str, str]:
    capsys.readouterr()
    code = main([str(word) for word in words])
    told = capsys.readouterr()
    return code, told.out, told.err


def distance(codec: Codec, made: aoide.Sound, of: aoide.Sound) -> float:
    assert codec.mel is not None
    return float(np.abs(log_mel(made.samples, codec.mel) - log_mel(of.samples, codec.mel)).mean())


def test_it_says_what_it_is(codec: Codec) -> None:
    assert aoide.load(voices.DEFAULT_CODEC).name == codec.name == voices.DEFAULT_CODEC in voices.names("codec")
    assert codec.mel == aoide.load(voices.DEFAULT_VOCODER).mel and codec.sample_rate == RATE
    assert codec.description.vocoder == voices.DEFAULT_VOCODER
    headings = [line[3:] for line in codec.card.splitlines() if line.startswith("## ")]
    assert headings == ["Metadata", "Data", "Configuration", "Evaluation", "Usage", "Demo", "Licence", "Ethics"]
    assert sum(path.stat().st_size for path in codec.folder.iterdir()) <= 4e6


def test_more_codebooks_come_nearer(codec: Codec) -> None:
    recorded = sound()
    codes = codec.encode(recorded)
    assert codes.codes.shape == (-(-RATE // codec.hop), codec.codebooks) and 3_000 <= codes.bit_rate <= 8_000
    distances = [distance(codec, codec.decode(codes, count), recorded) for count in (1, 5, codec.codebooks)]
    assert distances[0] > distances[1] > distances[2] and distances[2] < 0.6, distances
    made = codec.decode(codes)
    assert len(made.samples) == RATE and "synthetic: yes" in made.tags["comment"]


def test_pieces_equal_the_whole(codec: Codec, monkeypatch: pytest.MonkeyPatch) -> None:
    """Codes exactly and mels to rounding, which is all that the codec does; the vocoder makes a little more of it."""
    recorded = sound(2.0).samples
    codes = codec.encode(aoide.Sound(recorded, RATE))
    whole, mel = codec.decode(codes).samples, codec._decoded(codes.codes)
    monkeypatch.setattr(runtime, "PIECE", 0.3)
    blocks = np.split(recorded, [100, 30_000, 30_001])
    assert np.array_equal(np.concatenate(list(codec.encode_stream(blocks))), codes.codes)
    sounds = np.concatenate(list(codec.decode_stream(codec.checked(codes))))[: len(whole)]
    assert np.std(sounds - whole) < 0.02 * np.std(whole)
    monkeypatch.setattr(Codec, "open_vocoder", lambda self: None)
    mels = list(codec.decode_stream(codec.checked(codes)))
    assert len(mels) > 4
    np.testing.assert_allclose(np.concatenate(mels), mel, atol=1e-4)


def test_silence_one_sample_and_loudness(codec: Codec) -> None:
    silence = aoide.Sound(np.zeros(RATE // 2, np.float32), RATE)
    assert np.abs(codec.decode(codec.encode(silence)).samples).max() < 2e-3
    assert codec.encode(aoide.Sound(np.ones(1, np.float32), RATE)).codes.shape == (1, codec.codebooks)
    loud = sound(0.5)
    quiet = aoide.Sound(0.05 * loud.samples, RATE)
    made = codec.decode(codec.encode(quiet)).samples
    assert np.std(made) == pytest.approx(np.std(quiet.samples), rel=0.3)


def test_verbs_need_no_torch_and_no_names(tmp_path: Path) -> None:
    (tmp_path / "in" / "deep").mkdir(parents=True)
    io.write(tmp_path / "in" / "deep" / "a.flac", sound(0.5))
    program = """
import sys
from aoide.cli import main
folder = sys.argv[1]
assert main(["encode", folder + "/in", "-o", folder + "/codes"]) == 0
assert main(["decode", folder + "/codes", "-o", folder + "/out", "--format", "flac"]) == 0
assert "torch" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=True, capture_output=True)
    back = io.probe(tmp_path / "out" / "deep" / "a.flac")
    assert (back.samples, back.sample_rate) == (RATE // 2, RATE)
    codes = Codes.load(tmp_path / "codes" / "deep" / "a.npz")
    assert codes.codec == voices.DEFAULT_CODEC and codes.samples == RATE // 2


def test_vocoders_that_do_not_fit(codec: Codec, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    codec.encode(sound(0.2)).save(tmp_path / "a.npz")
    good = ("decode", tmp_path / "a.npz", "-o", tmp_path / "out")
    assert status(capsys, *good, "--vocoder", voices.DEFAULT_VOCODER)[0] == 0
    code, _, error = status(capsys, *good, "--vocoder", "universal-24")
    assert code == 2 and "did you mean universal-24k" in error and error.count("\n") == 1
    codec.encode(sound(0.2)).save(tmp_path / "b.npz")
    code, _, error = status(capsys, "decode", tmp_path, "-o", tmp_path / "out", "--vocoder", "no/where")
    assert code == 2 and error.count("\n") == 1, "told once, not for each file"


def test_sounds_that_cannot_be(codec: Codec) -> None:
    spoilt = sound(0.2).samples.copy()
    spoilt[7] = np.nan
    with pytest.raises(UserError, match="NaN or infinity"):
        codec.encode(aoide.Sound(spoilt, RATE))
    with pytest.raises(UserError, match="without samples"):
        codec.encode(aoide.Sound(np.zeros(0, np.float32), RATE))


@pytest.mark.slow  # two graphs are exported
def test_a_codec_of_mels_of_ones_own(tmp_path: Path) -> None:
    """Exported and in torch, with a vocoder of its mel; one of another mel is refused with both descriptions."""
    torch = pytest.importorskip("torch")
    pytest.importorskip("onnxscript")
    from aoide.generate import pack
    from aoide.generate.torch_codec import TorchCodec
    from aoide.models import find

    torch.manual_seed(0)
    module, vocoder = find.find("codec/mel"), find.find("vocoder/vocos_gl")
    model = module.Model(module.TOY).eval()
    model.start(4 * torch.randn(300, 20) - 4)
    pack.export_codec(module, model, tmp_path / "codec", name="own", licence="MIT")
    pack.export_vocoder(vocoder.Model(vocoder.TOY).eval(), tmp_path / "vocoder", name="toy", licence="MIT")
    noise = aoide.Sound(np.random.default_rng(0).standard_normal(4_000).astype(np.float32) / 10, 8_000)
    exported = Codec(tmp_path / "codec", vocoder=str(tmp_path / "vocoder"))
    codes = exported.encode(noise)
    in_torch = TorchCodec(model, "own", vocoder=str(tmp_path / "vocoder"))
    assert np.array_equal(in_torch.encode(noise).codes, codes.codes)
    np.testing.assert_allclose(in_torch.decode(codes).samples, exported.decode(codes).samples, atol=1e-4)
    with pytest.raises(UserError, match=r"own gives MelConfig\(.*universal-24k reads MelConfig\("):
        Codec(tmp_path / "codec").decode(codes)


LONG = """
import resource, sys
import numpy as np
from aoide.generate.codec import Codec
codec = Codec(sys.argv[1])
noise = np.random.default_rng(0).standard_normal(240_000).astype(np.float32) / 10
peaks = []
for minutes in (1, int(sys.argv[2])):
    count = 0
    for piece in codec.decode_stream(codec.encode_stream(noise for _ in range(6 * minutes))):
        count += len(piece)
    peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
print(count, *peaks)
"""


@pytest.mark.slow  # ten minutes of sound: half a minute
def test_long_sound_takes_no_more_memory_than_a_minute() -> None:
    """There and back, as a stream; peak memory in MB."""
    command = [sys.executable, "-c", LONG, voices.DEFAULT_CODEC, "10"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    count, minute, longer = map(float, done.stdout.split())
    assert count >= 600 * RATE
    assert longer - minute < 20, f"{minute:.0f} MB after a minute, {longer:.0f} MB after ten"
