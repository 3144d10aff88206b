"""The judge of benchmarks/described_songflow.py: right about recorded songs, wrong about songs of other words."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aoide.audio.mel_config import MelConfig
from aoide.data.corpora import toy_songs

HERE = Path(__file__).resolve().parents[1] / "benchmarks"
MEL = MelConfig(sample_rate=8_000, n_fft=1024, hop=400, win=1024, n_mels=80, fmax=4_000, floor=1e-2)


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(HERE))
    import described_songflow

    monkeypatch.setattr(described_songflow, "KNOWN", 8)
    monkeypatch.setattr(described_songflow, "through", lambda sound, mel: sound)  # the trip to the mel costs most
    yield described_songflow
    sys.modules.pop("described_songflow")


def test_the_judge_tells_right_from_wrong(bench: Any) -> None:
    judge = bench.Judge(MEL)
    asked = [toy_songs.plan(number) for number in range(bench.ASKED, bench.ASKED + 12)]
    sounds = [[toy_songs.voice(song), toy_songs.accompaniment(song)] for song in asked]
    right = bench.shares(judge, asked, sounds)
    assert all(of["right"] >= 0.9 for of in right.values()), right
    wrong = bench.shares(judge, asked, [*sounds[5:], *sounds[:5]])
    assert all(wrong[what]["right"] < right[what]["right"] - 0.2 for what in ("vowel", "key", "tempo")), wrong
    quiet = bench.shares(judge, asked, [[np.zeros(48_000), np.zeros(48_000)]] * 12)
    assert quiet["sung"]["right"] == 0 and quiet["silent"]["right"] == 1
    assert bench.good({"made": right, "nothing told": quiet}) and not bench.good({"made": quiet, "nothing told": quiet})
    assert not bench.good({"made": right, "nothing told": right}), "then the judge is no judge"


def test_bounds_are_three_deviations_above_chance(bench: Any) -> None:
    assert bench.bound("key", 60) == pytest.approx(1 / 3 + 3 * (2 / 9 / 60) ** 0.5)
    assert bench.bound("vowel", 300) == pytest.approx(0.2 + 3 * (0.16 / 300) ** 0.5)
