"""The part `convert` of benchmarks/singing.py: lyrics, means, pictures; no networks."""

import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from aoide.audio.sound import Sound
from aoide.plots import png
from aoide.score import Score

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def part(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    pytest.importorskip("tqdm")
    import singing_convert

    return singing_convert


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    pytest.importorskip("torch")
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks" / "workers"))
    monkeypatch.delitem(sys.modules, "convert", raising=False)
    import convert

    return convert


def test_syllables_are_joined_into_words(part: ModuleType) -> None:
    score = Score.load(ROOT / "examples" / "songs" / "twinkle.musicxml")
    assert part.words(score).startswith("Twinkle twinkle little star how I wonder what you are")


def test_a_picture_of_three_sounds(part: ModuleType, tmp_path: Path) -> None:
    sounds = [
        ("one", Sound(np.random.default_rng(0).normal(0, 0.1, n).astype(np.float32), 24_000)) for n in (3000, 2**17)
    ]
    part.picture(tmp_path / "mels.png", sounds)
    data = (tmp_path / "mels.png").read_bytes()
    assert data.startswith(png.SIGNATURE) and int.from_bytes(data[16:20], "big") == 3 * 375


def test_what_cannot_be_compared_is_counted_and_not_averaged(worker: ModuleType) -> None:
    row = {"similarity_before": 0.5, "similarity_after": 0.75, "similarity_gained_as_loud": 0.125}
    row |= {"distillmos": 3.0, "distillmos_source": 4.0}
    rows = [row | {"f0_pearson": value} for value in (0.9, 1.0, 0.8, float("nan"))]
    rows[0] |= {"text": "please hold the line", "heard_source": "please hold the line", "heard": "please hold a line"}
    found = worker.summary(rows)
    assert found["f0_pearson"] == 0.9 and found["f0_pearson_lowest"] == 0.8 and found["without_f0"] == 1
    assert found["similarity"] == 0.25 and found["similarity_as_loud"] == 0.125
    assert found["wer"] == 0.25 and found["wer_source"] == 0


def test_a_voice_is_judged_at_one_level(worker: ModuleType) -> None:
    class Level:
        def embed(self, samples: np.ndarray) -> np.ndarray:
            return np.array([np.sqrt(np.mean(np.square(samples)))])

    sound = Sound(np.random.default_rng(0).normal(0, 0.2, 16_000).astype(np.float32), 16_000)
    assert worker.vector(Level(), sound) == pytest.approx(10 ** (-30 / 20), rel=1e-4)
    assert worker.vector(Level(), sound, None) == pytest.approx(0.2, rel=0.05)
