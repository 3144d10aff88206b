"""The package of metrics: names, files, what is kept of a sound, alignment and dynamic time warping."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest

import aoide.metrics
from aoide.audio.mel_config import MelConfig
from aoide.config import UserError
from aoide.metrics import align, find, names
from aoide.metrics.analysis import PERIOD, Analysis, pair
from aoide.metrics.fastdtw import fastdtw
from aoide.metrics.metric import Metric
from aoide.metrics.warp import warp

RATE = 16000
BARE = ("none", "share", "squared units of the embedding")  # units of what METRIC calls a bare number


def sound(seconds: float = 0.5, seed: int = 0, rate: int = RATE) -> Analysis:
    return Analysis(0.1 * np.random.default_rng(seed).standard_normal(int(seconds * rate)), rate)


# --------------------------------------------------------------------------------------------------------- the package


def test_a_name_is_a_function_however_its_file_was_loaded() -> None:
    code = (
        "import sys, aoide.metrics\n"
        "assert 'torch' not in sys.modules and 'numpy' not in sys.modules\n"
        "names = aoide.metrics.names()\n"
        "assert 'f0_rmse' in names and 'align' not in names and len(names) > 20\n"
        "import aoide.metrics.f0_rmse\n"
        "assert callable(aoide.metrics.f0_rmse) and callable(aoide.metrics.si_sdr)\n"
        "from aoide.metrics import energy_rmse, warp\n"
        "assert callable(energy_rmse) and callable(warp.warp)\n"
        "assert 'f0_rmse' in dir(aoide.metrics) and 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_wrong_name_gets_the_near_ones() -> None:
    with pytest.raises(UserError, match="did you mean f0_rmse"):
        find("f0rmse")
    with pytest.raises(UserError, match=r"there are .*vuv_f1"):
        find("xyzzy")
    with pytest.raises(AttributeError, match="no attribute 'f0_rms'"):
        aoide.metrics.f0_rms  # noqa: B018


@pytest.mark.parametrize("name", names())
def test_every_file_keeps_its_promise(name: str) -> None:
    module = find(name)
    assert isinstance(module.METRIC, Metric)
    assert module.METRIC.kind in ("pair", "single", "text", "sets", "codes", "score")
    told = dict(re.findall(r"^(Unit|Range|Better|Equation|Paper)  +(\S.*)$", module.__doc__, re.M))
    assert set(told) == {"Unit", "Range", "Better", "Equation", "Paper"}
    assert told["Better"].startswith(module.METRIC.better)
    assert module.METRIC.unit.partition(" ")[0] in told["Unit"] if module.METRIC.unit else told["Unit"] in BARE
    function = getattr(aoide.metrics, name)
    assert inspect.getdoc(function) and inspect.getdoc(module)
    if module.METRIC.kind == "pair":
        assert list(inspect.signature(function).parameters)[:3] == ["reference", "generated", "sample_rate"]


# ---------------------------------------------------------------------------------------------------------- Analysis


def test_what_is_no_sound() -> None:
    with pytest.raises(UserError, match="divide by the full scale"):
        Analysis(np.zeros(10, np.int16), RATE)
    with pytest.raises(UserError, match="NaN or infinity"):
        Analysis(np.array([0.0, np.nan]), RATE)
    with pytest.raises(UserError, match=r"got shape \(2, 2, 2\)"):
        Analysis(np.zeros((2, 2, 2)), RATE)
    with pytest.raises(UserError, match="channels are the last axis"):
        Analysis(np.zeros((2, 1000)), RATE)
    with pytest.raises(UserError, match="sample rate must be above 0"):
        Analysis(np.zeros(4), 0)
    with pytest.raises(UserError, match="needs its sample_rate"):
        aoide.metrics.energy_rmse(np.zeros(4), np.zeros(4))


def test_a_pair_meets_at_the_lower_rate() -> None:
    first, second = pair(sound(rate=24000), sound(rate=RATE))
    assert first.sample_rate == second.sample_rate == RATE
    assert len(first.samples) == RATE // 2
    assert pair(sound(rate=24000), sound(), rate=10000)[0].sample_rate == 10000


def test_what_is_measured_once_is_kept() -> None:
    one = sound()
    assert one.stft(512, 128) is one.stft(512, 128)
    assert one.at(8000) is one.at(8000) and one.at(RATE) is one
    assert one.lasting(100) is one.lasting(100) and len(one.lasting(9000).samples) == 9000
    assert one.mel(MelConfig()) is one.mel(MelConfig())
    assert one.energy() is one.energy()


@pytest.mark.parametrize("rate", [8000, 16000, 22050, 44100])
def test_frames_lie_on_one_grid(rate: int) -> None:
    """A step in level after 0.25 s is in frame 25, whatever the rate; every measurement has as many frames."""
    samples = 0.1 * np.random.default_rng(0).standard_normal(int(rate * 0.5))
    samples[: rate // 4] = 0
    one = Analysis(samples, rate)
    assert one.frames == 51 == len(one.energy(seconds=0.02)) == len(align.envelope(one))
    step = np.argmax(np.diff(one.energy(seconds=0.01)))
    assert abs(step * PERIOD + PERIOD / 2 - 0.25) <= PERIOD


def test_level_of_a_sine_and_a_square() -> None:
    t = np.arange(RATE) / RATE
    assert Analysis(np.sin(2 * np.pi * 1000 * t), RATE).energy()[50] == pytest.approx(-3.01, abs=0.01)
    assert Analysis(np.sign(np.sin(2 * np.pi * 100 * t + 0.1)), RATE).energy()[50] == pytest.approx(0, abs=0.01)
    assert set(Analysis(np.zeros(RATE), RATE).energy()) == {-60.0}


@pytest.mark.parametrize(
    "config",
    [
        MelConfig(),
        MelConfig(sample_rate=22050, n_mels=80, fmax=8000, scale="slaney", norm="slaney", padding="same", eps=1e-9),
        MelConfig(sample_rate=RATE, fmax=8000.0, power=2.0, log="log10", win=800),
    ],
)
def test_the_mel_is_that_of_the_models(config: MelConfig) -> None:
    torch = pytest.importorskip("torch")
    from aoide.audio.mel import MelSpectrogram

    one = sound(rate=config.sample_rate)
    want = MelSpectrogram(config)(torch.from_numpy(one.samples)[None])[0].numpy()
    np.testing.assert_allclose(one.mel(config), want, atol=2e-4)


def test_magnitudes_are_those_of_torch() -> None:
    torch = pytest.importorskip("torch")
    one = sound()
    want = torch.stft(
        torch.from_numpy(one.samples), 512, 100, 400, torch.hann_window(400), pad_mode="constant", return_complex=True
    )
    np.testing.assert_allclose(one.stft(512, 100, 400, ends="constant"), want.abs().T.numpy(), atol=1e-5)


# ---------------------------------------------------------------------------------------------- alignment and warping


def plain(first: np.ndarray, second: np.ndarray) -> tuple[float, list[tuple[int, int]]]:
    """Dynamic time warping as the textbook has it."""
    cost = np.linalg.norm(first[:, None] - second[None], axis=2)
    total = np.full((len(first) + 1, len(second) + 1), np.inf)
    total[0, 0] = 0
    for i in range(len(first)):
        for j in range(len(second)):
            total[i + 1, j + 1] = cost[i, j] + min(total[i, j], total[i + 1, j], total[i, j + 1])
    i, j, path = len(first), len(second), []
    while i and j:
        path.append((i - 1, j - 1))
        step = np.argmin([total[i - 1, j - 1], total[i, j - 1], total[i - 1, j]])
        i, j = i - (step != 1), j - (step != 2)
    return total[-1, -1], path[::-1]


@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (5, 1), (2, 2), (30, 41), (41, 30), (64, 64)])
@pytest.mark.parametrize("cells", [2**22, 100])
def test_warping_is_exact(shape: tuple[int, int], cells: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """In one block of rows and in many."""
    monkeypatch.setattr("aoide.metrics.warp._CELLS_AT_ONCE", cells)
    random = np.random.default_rng(0)
    first, second = (random.standard_normal((n, 3)).cumsum(axis=0) for n in shape)
    i, j = warp(first, second)
    assert list(zip(i.tolist(), j.tolist(), strict=True)) == plain(first, second)[1]


def test_warping_finds_a_stretch() -> None:
    t = np.linspace(0, 1, 400)
    slow = np.stack([np.sin(6 * t), np.cos(9 * t)], axis=1)
    fast = slow[::2]
    i, j = warp(slow, fast)
    assert np.abs(i - 2 * j).max() <= 2


def test_fastdtw_is_nearly_exact() -> None:
    random = np.random.default_rng(1)
    first, second = (random.standard_normal((n, 4)).cumsum(axis=0) for n in (90, 77))
    i, j = fastdtw(first, second)
    assert i[0] == j[0] == 0 and i[-1] == 89 and j[-1] == 76
    cost = np.linalg.norm(first[i] - second[j], axis=1).sum()
    best = plain(first, second)[0]
    assert best - 1e-9 <= cost < 1.5 * best
    assert {(a, b) for a, b in zip(np.diff(i).tolist(), np.diff(j).tolist(), strict=True)} <= {(0, 1), (1, 0), (1, 1)}


def test_memory_of_warping_is_bounded() -> None:
    """A byte for each pair of frames and 200 MB at most for the rest: one minute at 10 ms stays far below 1 GB."""
    frames = 1500
    one = np.random.default_rng(0).standard_normal((frames, 12))
    tracemalloc.start()
    warp(one, one[:-10])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < frames**2 + 200e6


def test_alignment_is_chosen_by_length() -> None:
    assert align.choose(sound(1.0), sound(1.04)) == "time"
    assert align.choose(sound(1.0), sound(1.06)) == "dtw"
    assert align.choose(sound(1.0), sound(1.06), "time") == "time"
    i, j = align.frames(sound(1.0), sound(1.04))
    assert len(i) == 105 and (i == j).all()
    assert list(align.at(np.array([1.0, 2.0]), np.array([0, 1, 2]), -9.0)) == [1, 2, -9]


def test_the_envelope_hears_neither_gain_nor_pitch() -> None:
    """The same vowel at two pitches is nearer than two vowels at one pitch."""
    t = np.arange(RATE // 2) / RATE

    def vowel(f0: float, formants: tuple[float, ...]) -> np.ndarray:
        x = np.zeros(len(t))
        for k in range(1, int(7000 / f0)):
            gain = sum(np.exp(-(((k * f0 - formant) / 200) ** 2)) for formant in formants) + 0.01
            x += gain * np.cos(2 * np.pi * k * f0 * t)
        return 0.05 * x

    low, high = (
        align.envelope(Analysis(gain * np.concatenate([vowel(f0, (700, 1200)), vowel(f0, (300, 2300))]), RATE))
        for f0, gain in ((110, 1.0), (150, 0.3))
    )
    assert np.linalg.norm(low[25] - high[25]) < 0.5 * np.linalg.norm(low[25] - high[75])
