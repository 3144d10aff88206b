"""Large corpora: what must not grow does not; resume and padding at the size of a real one."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from aoide.data.clips import Clip  # noqa: E402  (after the skip)
from aoide.data.manifest import writing  # noqa: E402
from aoide.data.speech import Config, SpeechData  # noqa: E402
from tests.data.test_speech import MEL, Letters  # noqa: E402


def invented(folder: Path, count: int) -> Path:
    """Clips that were never recorded, with lengths as speech has them."""
    folder.mkdir()
    seconds = np.random.default_rng(0).lognormal(1.4, 0.7, count).clip(0.5, 20)
    with writing(folder) as writer:
        for i, samples in enumerate((seconds * 13000).astype(int).tolist()):
            clip = Clip(id=f"c{i}", audio=folder / f"{i}.wav", phonemes="ab", samples=samples, sample_rate=13000)
            writer.add(clip)
    return folder


def opened(folder: Path, **changes: object) -> SpeechData:
    config = Config(**{"manifest": folder, "workers": 0, "validation": 0.0} | changes)  # type: ignore[arg-type]
    return SpeechData(config, ("tokens",), mel=MEL, tokenizer=Letters())


def test_resume_in_a_large_epoch_is_exact_and_reads_only_what_comes(tmp_path: Path) -> None:
    folder = invented(tmp_path / "x", 3000)
    whole = opened(folder)
    plan = whole.plan(0, 1)
    half = len(plan) // 2
    back = opened(folder)
    back.load_state_dict({**whole.state_dict(), "epoch": 1, "taken": half})
    got = [batch["ids"] for batch in islice(back.batches(0), 5)]
    assert got == [[f"c{i}" for i in batch.tolist()] for batch in plan[half : half + 5]]
    assert back.state_dict()["taken"] == half + 5
    assert len(back.manifest._kept) < 3000 / 64 + 1  # blocks of the manifest that were unpacked


def test_padding_and_the_bound(tmp_path: Path) -> None:
    source = opened(invented(tmp_path / "x", 3000), batch_seconds=60.0)
    seconds = source.manifest.seconds
    padded = np.array([len(batch) * float(seconds[batch].max()) for batch in source.plan(0, 0)])
    assert padded.max() <= 60.0 and 1 - float(seconds.sum()) / padded.sum() < 0.10


def test_the_fingerprint_is_that_of_the_data(tmp_path: Path) -> None:
    one = opened(invented(tmp_path / "x", 20)).fingerprint
    assert one == opened(tmp_path / "x").fingerprint != opened(invented(tmp_path / "y", 21)).fingerprint
