"""A checkpoint is whole or not there, and what cannot be read says so in one line."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from aoide.config import UserError
from aoide.train import checkpoint
from tests.train import toy


def snapshot(step: int, **changes: Any) -> checkpoint.Snapshot:
    model = toy.Model(toy.Config())
    what = {
        "model": "model",
        "networks": {"model": model.state_dict()},
        "average": model.state_dict(),
        "optimisers": {"model": {0: {"step": torch.tensor(3.0), "exp_avg": torch.randn(2, 3)}}},
        "generators": [{"global": torch.get_rng_state()}],
        "sources": [{"epoch": 1}],
        "counters": {"best": [0.1, 3]},
    }
    return checkpoint.Snapshot(step=step, **{**what, **changes})


def test_a_checkpoint_reads_back_bit_for_bit(tmp_path: Path) -> None:
    ours = snapshot(12)
    folder = checkpoint.save(tmp_path, ours, {"model": {"name": "toy"}})
    assert folder == tmp_path / "checkpoints" / "step-000012"
    assert {path.name for path in folder.iterdir()} == {
        "model.safetensors",
        "ema.safetensors",
        "state.safetensors",
        "state.json",
        "config.yaml",
    }
    theirs = checkpoint.read(folder)
    assert (theirs.step, theirs.model, theirs.sources, theirs.counters) == (12, "model", [{"epoch": 1}], ours.counters)
    for one, other in ((ours.networks["model"], theirs.networks["model"]), (ours.average, theirs.average)):
        assert one is not None and other is not None and one.keys() == other.keys()
        assert all(torch.equal(one[key], other[key]) and one[key].dtype == other[key].dtype for key in one)
    assert torch.equal(ours.optimisers["model"][0]["exp_avg"], theirs.optimisers["model"][0]["exp_avg"])
    assert torch.equal(ours.generators[0]["global"], theirs.generators[0]["global"])


def test_prune_keeps_the_newest_and_the_best(tmp_path: Path) -> None:
    for step in (1, 2, 3, 4, 5):
        checkpoint.save(tmp_path, snapshot(step), {})
        checkpoint.prune(tmp_path, keep=2, best=2 if step > 1 else None)
    names = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
    assert names == ["best", "step-000002", "step-000004", "step-000005"]
    assert (tmp_path / "checkpoints" / "best").resolve().name == "step-000002"
    checkpoint.prune(tmp_path, keep=2, best=5)
    assert (tmp_path / "checkpoints" / "best").resolve().name == "step-000005"
    assert not (tmp_path / "checkpoints" / "step-000002").exists()


def test_clean_removes_leftovers(tmp_path: Path) -> None:
    checkpoint.save(tmp_path, snapshot(1), {})
    (tmp_path / "checkpoints" / ".part-step-000002").mkdir()
    (tmp_path / "checkpoints" / ".part-step-000002" / "x").write_text("half")
    (tmp_path / "checkpoints" / ".part-old-step-000000").mkdir()
    (tmp_path / "checkpoints" / ".part-best").symlink_to("nowhere")
    checkpoint.clean(tmp_path)
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["step-000001"]


def test_everything_is_on_the_disk_before_the_name_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    diary: list[str] = []

    def synced(path: Path) -> None:
        diary.append(f"{path.name}{' named' if (tmp_path / 'checkpoints' / 'step-000001').exists() else ''}")

    monkeypatch.setattr(checkpoint, "_sync", synced)
    folder = checkpoint.save(tmp_path, snapshot(1), {})
    files = sorted(path.name for path in folder.iterdir())
    assert sorted(diary[: len(files)]) == files
    assert diary[len(files) :] == [".part-step-000001", "checkpoints named"]


def test_a_full_disk_leaves_the_last_good_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint.save(tmp_path, snapshot(1), {})

    def full(path: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint, "_sync", full)
    with pytest.raises(UserError, match=r"cannot be written: .*No space left.*the last good one is .*step-000001"):
        checkpoint.save(tmp_path, snapshot(2), {})
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["step-000001"]


def test_weights_that_are_not_finite_are_not_written(tmp_path: Path) -> None:
    bad = {"x": torch.tensor([1.0, float("nan")])}
    with pytest.raises(UserError, match=r"step 3 1 weights of model are not finite \(x.*there is no earlier one"):
        checkpoint.save(tmp_path, snapshot(3, networks={"model": bad}), {})
    assert not (tmp_path / "checkpoints").exists()


def test_locate(tmp_path: Path) -> None:
    for step in (3, 12):
        checkpoint.save(tmp_path / "run", snapshot(step), {})
    newest = tmp_path / "run" / "checkpoints" / "step-000012"
    for path in (tmp_path / "run", tmp_path / "run" / "checkpoints", newest):
        assert checkpoint.locate(path) == newest
    (tmp_path / "file.pt").write_text("")
    (tmp_path / "empty").mkdir()
    for path, message in (("file.pt", "is a file"), ("no", "no such folder"), ("empty", "not a checkpoint")):
        with pytest.raises(UserError, match=message):
            checkpoint.locate(tmp_path / path)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def overwrite(path: Path) -> None:
    path.write_bytes(b"PK\x03\x04 something else" * 10)


def edit(**changes: Any) -> Any:
    def change(path: Path) -> None:
        path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))

    return change


@pytest.mark.parametrize(
    ("name", "damage", "message"),
    [
        ("model.safetensors", cut, "damaged, or not a safetensors file"),
        ("model.safetensors", overwrite, "damaged, or not a safetensors file"),
        ("model.safetensors", Path.unlink, "the checkpoint lacks this file"),
        ("ema.safetensors", cut, "damaged, or not a safetensors file"),
        ("state.safetensors", cut, "damaged, or not a safetensors file"),
        ("state.json", cut, "damaged, or not a checkpoint of aoide"),
        ("state.json", overwrite, "damaged, or not a checkpoint of aoide"),
        ("state.json", edit(step="x"), "damaged, or not a checkpoint of aoide"),
        ("state.json", edit(format=99), "another version of aoide"),
        ("state.json", edit(networks=["model", "critic"]), "critic.safetensors: the checkpoint lacks this file"),
        ("config.yaml", overwrite, "config.yaml"),
    ],
)
def test_a_damaged_checkpoint_says_so(tmp_path: Path, name: str, damage: Any, message: str) -> None:
    toy.run(toy.recipe(steps=1), tmp_path / "run")
    damage(tmp_path / "run" / "checkpoints" / "step-000001" / name)
    with pytest.raises(UserError) as caught:
        toy.run(toy.recipe(steps=2), tmp_path / "run")
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_tensors_of_a_stranger_are_listed(tmp_path: Path) -> None:
    toy.run(toy.recipe(steps=1), tmp_path / "run")
    folder = tmp_path / "run" / "checkpoints" / "step-000001"
    shutil.copy(folder / "state.safetensors", folder / "model.safetensors")
    with pytest.raises(
        UserError, match=r"these weights do not fit the model: 9 missing \(first.weight, .* and 4 more\)"
    ):
        toy.run(toy.recipe(steps=2), tmp_path / "run")
