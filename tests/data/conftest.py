"""Recordings that bite, made by code: good ones, and one of every kind that a corpus may hold and should not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

RATE = 16000


def voice(seconds: float, rate: int = RATE, seed: int = 0) -> np.ndarray:
    """Something like speech: a gliding buzz with pauses and a little noise; another one for every seed."""
    noise = np.random.default_rng(seed)
    t = np.arange(round(seconds * rate)) / rate
    f0 = 150 + 40 * np.sin(2 * np.pi * (0.7 + 0.1 * seed) * t + seed)
    phase = 2 * np.pi * np.cumsum(f0) / rate
    buzz = 0.08 * sum(np.cos(h * phase) / h for h in range(1, 9))
    syllables = np.clip(2 * np.sin(2 * np.pi * 3 * t) + 1, 0, 1)
    return (buzz * syllables + 1e-3 * noise.standard_normal(len(t))).astype(np.float32)


def save(path: Path, samples: np.ndarray, rate: int = RATE, text: str | None = "Some words.", **kind: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if "subtype" not in kind:
        samples = np.rint(samples * 32768).astype(np.int16)  # libsndfile rounds floats in its own way for each format
    soundfile.write(path, samples, rate, **kind)
    if text is not None:
        path.with_suffix(".txt").write_text(text, "utf-8")


@pytest.fixture
def recordings(tmp_path: Path) -> Path:
    """A folder of eight good clips by two speakers, 1.0 to 2.4 s."""
    root = tmp_path / "recordings"
    for i in range(8):
        save(
            root / ("anna" if i % 2 else "ben") / f"clip{i}.wav", voice(1.0 + 0.2 * i, seed=i), text=f"Clip number {i}."
        )
    return root


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    """A folder of four usable clips, each unusual, among a dozen that are not fit."""
    root = tmp_path / "hostile"
    save(root / "good-24bit.wav", voice(1.0, seed=1), subtype="PCM_24")
    save(root / "good-8khz.wav", voice(1.0, 8000, seed=2), 8000)
    save(root / "good-float.wav", voice(1.0, seed=3), subtype="FLOAT")
    save(root / "good-stereo.flac", np.stack([voice(1.0, seed=4), voice(1.0, seed=5)], axis=1))
    save(root / "bad-again.wav", voice(1.0, seed=3), subtype="FLOAT")  # sorts before good-float: that one is refused
    (root / "bad-text.wav").write_text("not a sound " * 20)
    (root / "bad-text.txt").write_text("Some words.")
    save(root / "bad-cut.wav", voice(1.0, seed=6))
    (root / "bad-cut.wav").write_bytes((root / "bad-cut.wav").read_bytes()[:9000])
    save(root / "bad-cut.flac", voice(1.0, seed=6), text=None)
    (root / "bad-cut.flac").write_bytes((root / "bad-cut.flac").read_bytes()[:9000])
    (root / "bad-empty.wav").touch()
    (root / "bad-empty.txt").write_text("Some words.")
    save(root / "bad-none.wav", np.zeros(0, np.float32))
    save(root / "bad-silent.wav", np.zeros(RATE, np.float32))
    save(root / "bad-nan.wav", np.full(RATE, np.nan, np.float32), subtype="FLOAT")
    save(root / "bad-short.wav", voice(0.1, seed=7))
    save(root / "bad-long.wav", voice(31.0, seed=8))
    save(root / "bad-wordless.wav", voice(1.0, seed=9), text="  \n ")
    save(root / "bad-untold.wav", voice(1.0, seed=10), text=None)
    save(root / "bad-talkative.wav", voice(0.5, seed=11), text="far too many letters for half a second of sound")
    save(root / "bad-bytes.wav", voice(1.0, seed=12), text=None)
    (root / "bad-bytes.lab").write_bytes(b"caf\xe9")
    return root
