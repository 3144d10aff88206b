"""A model in shards trains as a whole one does, and its checkpoints are read by any number of processes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from aoide.config import UserError
from aoide.train import checkpoint, shards
from tests.train import toy
from tests.train.test_resume import finish, free_port

STEPS = 12


def go(rank: int, folder: Path, steps: int, parallel: str, accumulate: int = 1) -> None:
    plain, still = toy.Config(dropout=0.0, norm=False, dim=6), toy.RegressionConfig(noise=0.0)
    settings = {"steps": steps, "save_every": 5, "log_every": 1, "parallel": parallel, "accumulate": accumulate}
    recipe = toy.recipe("regression", plain, still, toy.DataConfig(dim=6, shuffle=False), **settings)
    with (folder.parent / f"{folder.name}-{rank}-{steps}.txt").open("w") as screen:
        toy.run(recipe, folder, screen=screen)


def start(folder: Path, steps: int, parallel: str) -> None:
    finish(toy.spawn(go, free_port(), folder, steps, parallel, world=2))


@pytest.mark.slow  # about 25 s: six runs of two processes
def test_shards_train_as_a_whole_and_go_on_in_any_number(tmp_path: Path) -> None:
    start(tmp_path / "whole", STEPS, "ddp")
    start(tmp_path / "cut", STEPS, "fsdp")
    for one, other in zip(toy.lines(tmp_path / "whole"), toy.lines(tmp_path / "cut"), strict=True):
        assert one == pytest.approx(other, abs=1e-5)
    newest = checkpoint.latest(tmp_path / "cut")
    assert newest is not None and sorted(path.name for path in newest.iterdir()) == [
        "config.yaml", "shards", "state.json", "state.safetensors",
    ]  # fmt: skip
    files = [path.name for path in (newest / shards.FOLDER).iterdir()]
    assert len(files) == 2 and all(name.endswith(".safetensors") for name in files), "one a process, none a pickle"
    whole, cut = (checkpoint.read(tmp_path / name / "checkpoints" / newest.name) for name in ("whole", "cut"))
    assert cut.average is not None and whole.average is not None
    for key, value in whole.networks["model"].items():
        assert torch.allclose(value, cut.networks["model"][key], atol=1e-6)
        assert torch.allclose(whole.average[key], cut.average[key], atol=1e-6)
    # stopped and gone on with: bit for bit
    start(tmp_path / "broken", 7, "fsdp")
    start(tmp_path / "broken", STEPS, "fsdp")
    again = checkpoint.read(tmp_path / "broken" / "checkpoints" / newest.name)
    for one, two in ((cut.networks["model"], again.networks["model"]), (cut.average, again.average)):
        assert all(torch.equal(one[key], two[key]) for key in one)
    moments = [found.optimisers["model"] for found in (cut, again)]
    assert moments[0] and all(
        torch.equal(value, moments[1][index][key]) for index, own in moments[0].items() for key, value in own.items()
    )
    # on one process, which takes them whole
    go(0, tmp_path / "broken", STEPS + 2, "fsdp", accumulate=2)
    assert "written by 2 processes, not 1" in (tmp_path / f"broken-0-{STEPS + 2}.txt").read_text()
    start(tmp_path / "whole", STEPS + 2, "ddp")
    ends = [toy.lines(tmp_path / name)[-2]["model/square"] for name in ("broken", "whole")]
    assert ends[0] == pytest.approx(ends[1], abs=1e-5)


def test_shards_of_one_process(tmp_path: Path) -> None:
    """Written and read without a group: names, types and a prefix."""
    tensors = {
        "network/model/a": torch.arange(6.0).view(2, 3),
        "average/a": torch.ones(2),
        "optimiser/model/0/step": torch.tensor(3.0),
    }
    shards.save(tmp_path, tensors)
    assert shards.contents(tmp_path)["network/model/a"] == (torch.Size([2, 3]), torch.float32)
    assert torch.equal(shards.read(tmp_path, "network/")["network/model/a"], tensors["network/model/a"])
    assert set(shards.read(tmp_path, "average/")) == {"average/a"}
    with pytest.raises(UserError, match=r"1 weights are missing or of another shape \(b"):
        shards.load_into(tmp_path, {"b": torch.zeros(1)})
    (next(tmp_path.glob("*.safetensors"))).write_bytes(b"what")
    with pytest.raises(UserError, match="cannot be read"):
        shards.read(tmp_path)


def test_methods_of_several_networks_are_refused(tmp_path: Path) -> None:
    from aoide.train.distributed import Team
    from aoide.train.loop import Run

    recipe = toy.recipe("gan")
    recipe = replace(recipe, loop=replace(recipe.loop, parallel="fsdp"))
    assert not Run(recipe, tmp_path, Team(), toy.Data(toy.DataConfig())).sharded, "one process has nothing to share"
    with pytest.raises(UserError, match="fsdp is for methods that train one network"):
        _shard_of_two(recipe, tmp_path)


def _shard_of_two(recipe, folder: Path) -> None:  # type: ignore[no-untyped-def]
    from aoide.train.distributed import Team
    from aoide.train.loop import Run

    run = Run(recipe, folder, Team(), toy.Data(toy.DataConfig()))
    run._shard()
