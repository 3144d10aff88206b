"""Vocoders and codecs as graphs of ONNX, each of which takes ten seconds to write: they give what torch gives."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import aoide

torch = pytest.importorskip("torch")
pytest.importorskip("onnxscript")

from aoide.generate import pack  # noqa: E402
from aoide.generate import vocoder as runtime  # noqa: E402
from aoide.models import find  # noqa: E402
from tests.generate.vocoders import RATE, SOURCES, check_against_torch, sourced  # noqa: E402

pytestmark = pytest.mark.slow  # 10 s for each graph

FEED_FORWARD = ("apnet", "bigvgan", "hifigan", "melgan", "vocos", "vocos_gl")


@pytest.fixture(scope="module")
def vocoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    module = find.find("vocoder/vocos_gl")
    target = tmp_path_factory.mktemp("vocoder") / "toy"
    pack.export_vocoder(module.Model(module.TOY).eval(), target, name="toy", licence="MIT", polish=(2, 3, 1))
    return target


@pytest.fixture(scope="module")
def codec(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    module = find.find("codec/spectral")
    target = tmp_path_factory.mktemp("codec") / "toy"
    pack.export_codec(module, module.Model(module.TOY).eval(), target, name="toy", licence="MIT")
    return target


@pytest.mark.parametrize("name", FEED_FORWARD)
def test_every_generator_of_mels_alone(name: str, tmp_path: Path) -> None:
    module = find.find(f"vocoder/{name}")
    torch.manual_seed(0)
    model = module.Model(module.TOY).eval()
    mel = module.example(module.TOY, batch=1)["mel"]
    with torch.no_grad():
        want = getattr(model, "vocode", model)(mel)[0].numpy()
    pack.export_vocoder(model, tmp_path / name, name=name, licence="MIT")
    np.testing.assert_allclose(aoide.load(tmp_path / name).vocode(mel[0].numpy()), want, atol=1e-5)


@pytest.mark.parametrize("case", SOURCES)
def test_every_generator_with_a_source(case: str, tmp_path: Path) -> None:
    model = sourced(case)
    pack.export_vocoder(model, tmp_path / "toy", name="toy", licence="MIT")
    check_against_torch(model, runtime.Vocoder(tmp_path / "toy"))


def test_weights_in_8_bits(vocoder: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    module = find.find("vocoder/vocos_gl")
    model = module.Model(module.TOY).eval()
    pack.export_vocoder(model, tmp_path / "small", name="small", licence="MIT", polish=(2, 3, 1), quantise=True)
    mel = module.example(module.TOY, batch=1)["mel"][0].numpy()
    one, other = (aoide.load(folder).vocode(mel) for folder in (vocoder, tmp_path / "small"))
    assert 0 < np.abs(one - other).max() < 0.5 * np.abs(one).max()


def test_a_codec_gives_the_codes_of_torch(codec: Path) -> None:
    module = find.find("codec/spectral")
    torch.manual_seed(0)
    model = module.Model(module.TOY).eval()
    loaded = aoide.load(codec)
    samples = 0.1 * np.random.default_rng(0).standard_normal(50 * loaded.hop).astype(np.float32)
    codes = loaded.encode(aoide.Sound(samples, RATE))
    with torch.no_grad():
        want = model.encode(torch.from_numpy(samples)[None])
        sound = model.decode(want)[0].numpy()
    assert np.array_equal(codes.codes, want[0].numpy())
    np.testing.assert_allclose(loaded.decode(codes).samples, sound[: len(samples)], atol=1e-4)


# ------------------------------------------------------------------------------------------------------ constant memory

LONG = """
import resource, sys
import numpy as np
from aoide.generate.{task} import {name}
tool = {name}(sys.argv[1])
noise = np.random.default_rng(0).standard_normal(80_000).astype(np.float32) / 10
peaks = []
for minutes in (1, int(sys.argv[2])):
    count = sum(len(piece) for piece in tool.{method}(noise for _ in range(6 * minutes)))
    peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
print(count, *peaks)
"""


@pytest.mark.parametrize(
    ("task", "name", "method"), [("vocoder", "Vocoder", "copy"), ("codec", "Codec", "encode_stream")]
)
def test_an_hour_takes_no_more_memory_than_a_minute(
    request: pytest.FixtureRequest, task: str, name: str, method: str
) -> None:
    """10 s of noise at 8 kHz again and again; peak memory in MB of a process that does a minute, then an hour."""
    program = LONG.format(task=task, name=name, method=method)
    folder = str(request.getfixturevalue(task))
    done = subprocess.run([sys.executable, "-c", program, folder, "60"], capture_output=True, text=True, check=True)
    count, minute, hour = map(float, done.stdout.split())
    assert count >= 60 * 60 * RATE / (16 if task == "codec" else 1) * 0.999
    assert hour - minute < 20, f"{minute:.0f} MB after a minute, {hour:.0f} MB after an hour"
