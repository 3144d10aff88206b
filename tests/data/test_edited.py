"""Sounds that are mixed and changed: what each task gives and wants, and that batches hold it."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from aoide.config import UserError
from aoide.data.captioned import Text
from aoide.data.clips import Clip, Limits, Refused, check
from aoide.data.edited import Config, EditedData, make, mixed
from aoide.data.features import Network, networks
from aoide.data.manifest import writing
from tests.data.conftest import RATE, save, voice

A, B, C = (voice(seconds, seed=seed) for seconds, seed in ((1.0, 0), (0.6, 1), (1.4, 2)))


def made(task: str, seed: int = 0):  # noqa: ANN201
    others = iter([(B, "rain"), (C, "a horn")])
    return make(task, (A, "a dog"), lambda: next(others), RATE, np.random.default_rng(seed))  # type: ignore[arg-type]


def test_each_task_gives_and_wants_what_it_says() -> None:
    said = {
        "make": "a dog", "mix": "a dog, and rain", "add": "Add: rain", "drop": "Drop: rain",
        "replace": "Replace: rain with: a horn", "inpaint": "Inpaint: a dog", "refine": "Increase resolution: a dog",
    }  # fmt: skip
    for task, caption in said.items():
        one = made(task)
        assert one.caption == caption and len(one.given) == len(one.wanted) == len(A)
    assert not made("make").given.any() and np.array_equal(made("make").wanted, A)
    assert not made("mix").given.any() and np.abs(made("mix").wanted - A).max() > 0.01
    add, drop = made("add"), made("drop")
    assert np.array_equal(add.given, A) and np.array_equal(drop.wanted, A) and np.array_equal(add.wanted, drop.given)
    assert not np.array_equal(made("replace").given, made("replace").wanted)


def test_a_hole_and_lost_treble() -> None:
    one = made("inpaint", 3)
    hole = np.flatnonzero((one.given == 0) & (one.wanted != 0))
    assert 0.1 <= len(hole) / len(A) <= 0.5 and np.array_equal(one.wanted, A)
    dull = made("refine").given
    spectra = [np.abs(np.fft.rfft(x * np.hanning(len(x)))) for x in (dull, A)]
    assert np.square(spectra[0][4000:]).sum() < 0.01 * np.square(spectra[1][4000:]).sum(), "above 4 kHz"


def test_two_sounds_are_nearly_as_loud() -> None:
    for seed in range(20):
        both = mixed(A, B * 0.01, np.random.default_rng(seed))
        added = both - A
        levels = [20 * np.log10(np.sqrt(np.mean(x**2))) for x in (added, A)]
        assert abs(levels[0] - levels[1]) <= 6.01
    assert np.array_equal(mixed(A, np.zeros(5, np.float32), np.random.default_rng(0)), A), "silence is not made loud"


@pytest.mark.parametrize("task", ["mix", "add", "drop", "replace"])
def test_what_is_given_and_wanted_never_clips_and_stays_as_loud(task: str) -> None:
    own, other = np.full(90, 0.9, np.float32), np.full(30, 0.9, np.float32)
    one = make(task, (own, "a"), lambda: (other, "b"), RATE, np.random.default_rng(0))  # type: ignore[arg-type]
    assert max(np.abs(one.given).max(), np.abs(one.wanted).max()) == pytest.approx(1.0)
    if task != "mix":
        assert np.sum(np.isclose(one.given, one.wanted)) >= 30, "where the other is not, both are the same sound"


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> None:
    """An autoencoder for tests: a frame is the mean and the largest of 160 samples."""

    class Tiny(torch.nn.Module):
        sample_rate, hop, frame_rate = RATE, 160, 100.0

        def encode(self, audio: torch.Tensor) -> torch.Tensor:
            pieces = audio.unflatten(1, (-1, 160))
            return torch.stack([pieces.mean(-1), pieces.amax(-1)], dim=-1)

    real = networks.require

    def found(name: str, extra: str):  # noqa: ANN202
        return SimpleNamespace(load=lambda *of: Tiny()) if name == "aoide" else real(name, extra)

    monkeypatch.setattr(networks, "require", found)
    networks._open.cache_clear()


def data(folder: Path, *needs: str, **changes: object) -> EditedData:
    latents = {"latents": (Network(name="tta/tiny", source=str(folder)),)}
    settings = {"manifest": folder, "batch_seconds": 4.0, "max_seconds": 2.0, "validation": 0.0, "workers": 0}
    return EditedData(Config(**settings | {"networks": latents} | changes), needs, sample_rate=RATE, frame_rate=100.0)  # type: ignore[arg-type]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with writing(tmp_path) as writer:
        for i in range(6):
            save(tmp_path / f"{i}.wav", voice(0.5 + 0.1 * i, seed=i), RATE, text=None)
            checked = check(Clip(id=f"c{i}", audio=tmp_path / f"{i}.wav", text=f"sound {i}", caption=True), Limits())
            assert not isinstance(checked, Refused)
            writer.add(checked[0])
    return tmp_path


def test_batches_hold_both_sides_and_come_again(folder: Path, heard: None) -> None:
    needs, changes = ("latents", "given", "text"), {"text": Text(dim=8), "validation": 2}
    whole = data(folder, *needs, **changes)
    want = list(islice(whole.batches(3), 8))
    for batch in want:
        assert batch["latents"].shape == batch["given"].shape == (*batch["frame_mask"].shape, 2)
        assert batch["latents"].dtype == batch["given"].dtype == torch.float32
        assert not batch["given"][~batch["frame_mask"]].any() and batch["text"].shape[2] == 8
    tasks = {caption.partition(":")[0] for batch in want for caption in batch["captions"]}
    assert tasks <= {"Add", "Drop", "Replace", "Inpaint", "Increase resolution"} and len(tasks) > 2
    held = {f"c{i}" for i in whole.held_out}
    told = " ".join(caption for batch in want for caption in batch["captions"])
    assert not any(f"sound {name[1:]}" in told for name in held), "held-out clips join no other"
    first = data(folder, *needs, **changes)
    got = list(islice(first.batches(3), 3))
    second = data(folder, *needs, **changes)
    second.load_state_dict(first.state_dict())
    got += list(islice(second.batches(3), 5))
    for a, b in zip(want, got, strict=True):
        assert a["captions"] == b["captions"] and torch.equal(a["latents"], b["latents"])
    seen = [[batch["captions"] for batch in whole.validation()] for _ in range(2)]
    assert seen[0] == seen[1]


def test_what_cannot_be_is_told(folder: Path, heard: None) -> None:
    with pytest.raises(UserError, match=r"data\.networks\.latents must name the autoencoder"):
        data(folder, "latents", networks={})
    with pytest.raises(UserError, match="data.kind edited has f0 of no sound"):
        data(folder, "f0")
    with pytest.raises(ValueError, match="edited as a whole"):
        Config(manifest=folder, segment_seconds=1.0)
    with pytest.raises(ValueError, match="tasks names one or more"):
        Config(manifest=folder, tasks=())
