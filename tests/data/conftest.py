"""Recordings that bite, made by code: good ones, and one of every kind that a corpus may hold and should not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import soundfile

from aoide.config import UserError
from aoide.data import corpora
from aoide.data.clips import Clip, Limits, Refused, check

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


def beep(path: Path, seconds: float = 0.3, rate: int = RATE) -> Path:
    """Writes a short sound, another one for every path: what is there twice is refused."""
    save(path, voice(seconds, rate, seed=sum(str(path).encode()) % 1000 + len(str(path))), rate, text=None)
    return path


def put(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")
    return path


def heard(name: str, root: Path, **options: object) -> tuple[dict[str, Clip], dict[str, str]]:
    """What `aoide prepare NAME` takes of a corpus, by id, and why it refuses the rest."""
    corpus = corpora.find(name)
    limits = Limits(text=getattr(corpus, "TEXT", True))
    taken, refused = {}, {}
    for item in corpus.clips(root, **options):
        checked = check(item, limits) if isinstance(item, Clip) else item
        if isinstance(checked, Refused):
            refused[checked.id] = checked.reason
        else:
            taken[checked[0].id] = checked[0]
    if "output" not in options:
        _spoil(corpus.clips, root, options)
    return taken, refused


def _spoil(clips: Callable[..., Iterator[object]], root: Path, options: dict[str, object]) -> None:
    """Whatever an annotation holds, a corpus says what is wrong, of a clip or of all: nothing else is ever raised."""
    for path in sorted(root.rglob("*")):
        if path.is_file() and path.suffix not in corpora.AUDIO_ENDINGS:
            content = path.read_bytes()
            for broken in (b"", b"\xff\x00caf\xe9", b"[1, 2]\n", content[: len(content) // 2], b"a|b\tc,d " + content):
                path.write_bytes(broken)
                with suppress(UserError):
                    list(clips(root, **options))
            path.write_bytes(content)


def textgrid(**tiers: list[tuple[float, float, str]]) -> str:
    """A TextGrid as Praat writes it."""
    end = max(label[1] for tier in tiers.values() for label in tier)
    lines = [
        'File type = "ooTextFile"',
        'Object class = "TextGrid"',
        "",
        "xmin = 0",
        f"xmax = {end}",
        "tiers? <exists>",
    ]
    lines += [f"size = {len(tiers)}", "item []:"]
    for number, (name, labels) in enumerate(tiers.items(), 1):
        lines += [
            f"    item [{number}]:",
            '        class = "IntervalTier"',
            f'        name = "{name}"',
            "        xmin = 0",
        ]
        lines += [f"        xmax = {end}", f"        intervals: size = {len(labels)}"]
        for place, (start, stop, symbol) in enumerate(labels, 1):
            lines += [f"        intervals [{place}]:", f"            xmin = {start}", f"            xmax = {stop}"]
            lines += [f'            text = "{symbol}"']
    return "\n".join(lines) + "\n"
