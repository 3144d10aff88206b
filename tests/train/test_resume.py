"""A run that is killed, at whatever moment, goes on bit for bit; several processes are as one; one folder, one run."""

import os
import random
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import nn

from aoide.config import UserError
from aoide.train import checkpoint
from aoide.train.distributed import Team, team
from tests.train import toy

STEPS = 40


class Deadly(toy.Data):
    """Kills its process, as `kill -9` does, `delay` seconds after `after` batches: anywhere in a step or a save."""

    def __init__(self, config: toy.DataConfig, after: int, delay: float) -> None:
        super().__init__(config)
        self.left, self.delay = after, delay

    def batches(self, seed: int, rank: int, world: int) -> Iterator[toy.Batch]:
        for batch in super().batches(seed, rank, world):
            self.left -= 1
            if self.left == 0:
                threading.Timer(self.delay, os.kill, (os.getpid(), signal.SIGKILL)).start()
            yield batch


def go(rank: int, folder: Path, method: str, after: int = -1, delay: float = 0.0) -> None:
    """One process of a toy run, which is killed on the way if `after` is above 0."""
    recipe = toy.recipe(method, steps=STEPS, save_every=2, validate_every=5, log_every=3, keep=2)
    with (folder.parent / f"{folder.name}-{rank}.txt").open("w") as screen:
        toy.run(recipe, folder, source=Deadly(recipe.data, after, delay), screen=screen)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def finish(processes: list) -> None:  # type: ignore[type-arg]
    for process in processes:
        process.join(60)
        assert process.exitcode == 0


def check_equal(broken: Path, whole: Path) -> None:
    assert toy.lines(broken) == toy.lines(whole)
    names = [sorted(path.name for path in (run / "checkpoints").iterdir()) for run in (broken, whole)]
    assert names[0] == names[1]
    for name in names[0]:
        assert toy.fingerprint(broken / "checkpoints" / name) == toy.fingerprint(whole / "checkpoints" / name)


@pytest.mark.parametrize("method", ["regression", "gan"])
def test_killed_at_random_moments_equals_an_unbroken_run(tmp_path: Path, method: str) -> None:
    finish(toy.spawn(go, 0, tmp_path / "whole", method))
    draw = random.Random(method)
    kills = 0
    while True:
        (process,) = toy.spawn(go, 0, tmp_path / "broken", method, draw.randint(1, 12), 0.03 * draw.random())
        process.join(60)
        if process.exitcode == 0:
            break
        assert process.exitcode == -signal.SIGKILL
        kills += 1
        newest = checkpoint.latest(tmp_path / "broken")
        if newest is not None:
            checkpoint.read(newest)  # whatever the moment, the last one is whole
        assert kills < 100
    assert kills >= 3
    check_equal(tmp_path / "broken", tmp_path / "whole")


def test_two_processes_equal_one_with_the_same_global_batch(tmp_path: Path) -> None:
    finish(toy.spawn(compare, free_port(), tmp_path / "two", "gan", 4, world=2))
    finish(toy.spawn(compare, 0, tmp_path / "one", "gan", 8))
    for one, two in zip(toy.lines(tmp_path / "one"), toy.lines(tmp_path / "two"), strict=True):
        assert one == pytest.approx(two, abs=1e-5)
    one, two = (checkpoint.read(tmp_path / name / "checkpoints" / "step-000020").networks for name in ("one", "two"))
    for network in one:
        assert all(torch.allclose(one[network][key], two[network][key], atol=1e-5) for key in one[network])


def compare(rank: int, folder: Path, method: str, batch: int) -> None:
    plain = toy.Config(dropout=0.0, norm=False)
    recipe = toy.recipe(method, plain, data=toy.DataConfig(batch=batch, shuffle=False), steps=20)
    toy.run(recipe, folder)


def test_two_processes_killed_and_resumed(tmp_path: Path) -> None:
    finish(toy.spawn(go, free_port(), tmp_path / "whole", "regression", world=2))
    for process in toy.spawn(go, free_port(), tmp_path / "broken", "regression", 9, 0.0, world=2):
        process.join(60)
    assert checkpoint.latest(tmp_path / "broken") is not None
    finish(toy.spawn(go, free_port(), tmp_path / "broken", "regression", world=2))
    check_equal(tmp_path / "broken", tmp_path / "whole")
    assert len(checkpoint.read(tmp_path / "whole" / "checkpoints" / f"step-{STEPS:06d}").generators) == 2


def test_another_number_of_processes_goes_on_at_the_same_place(tmp_path: Path) -> None:
    finish(toy.spawn(go, free_port(), tmp_path, "regression", world=2))
    with (tmp_path / "screen").open("w") as screen:
        outcome = toy.run(toy.recipe(steps=STEPS + 3), tmp_path, screen=screen)
    assert outcome.step == STEPS + 3
    assert "written by 2 processes, not 1: from here on the noise differs" in (tmp_path / "screen").read_text()
    assert checkpoint.read(tmp_path / "checkpoints" / f"step-{STEPS + 3:06d}").sources == [{"epoch": 8, "taken": 3}]


def test_gradients_of_several_processes(tmp_path: Path) -> None:
    finish(toy.spawn(average, free_port(), world=2))


def average(rank: int) -> None:
    network = nn.ModuleDict({name: nn.Linear(2, 1, bias=False) for name in ("both", "one", "none")})
    with team("cpu") as processes:
        network["both"](torch.full((1, 2), float(rank))).sum().backward()
        if rank == 1:
            network["one"](torch.ones(1, 2)).sum().backward()
        processes.average_gradients(network)
        assert network["both"].weight.grad.tolist() == [[0.5, 0.5]]
        assert network["one"].weight.grad.tolist() == [[0.5, 0.5]]
        assert network["none"].weight.grad is None  # as in a single process: an optimiser leaves it alone
        assert processes.total([1.0, float(rank)]) == [2.0, 1.0]
        assert processes.any(rank == 1) and not processes.any(False)
        assert processes.gather({"rank": rank}) == [{"rank": 0}, {"rank": 1}]
        processes.share(network.parameters())


def test_a_team_of_one_needs_no_network() -> None:
    alone = Team()
    assert alone.total([1.0]) == [1.0] and alone.gather(3) == [3] and alone.leads and not alone.any(False)
    if not torch.cuda.is_available():
        with pytest.raises(UserError, match="needs a GPU and there are 0"), team("cuda"):
            pass


def test_two_runs_in_one_folder_are_refused(tmp_path: Path) -> None:
    (process,) = toy.spawn(hold, 0, tmp_path / "run")
    while not (tmp_path / "held").exists():
        assert process.exitcode is None
        time.sleep(0.01)
    with pytest.raises(UserError, match=rf"process {process.pid} on .* trains here; wait, or choose another --run"):
        toy.run(toy.recipe(), tmp_path / "run")
    process.kill()
    process.join()
    assert toy.run(toy.recipe(steps=1), tmp_path / "run").finished  # the lock went with the process


def hold(rank: int, folder: Path) -> None:
    class Held(toy.Data):
        def batches(self, seed: int, rank: int, world: int) -> Iterator[toy.Batch]:
            (folder.parent / "held").touch()
            time.sleep(60)
            yield from super().batches(seed, rank, world)

    toy.run(toy.recipe(), folder, source=Held(toy.DataConfig()))


def test_a_run_folder_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be used as a run folder"):
        toy.run(toy.recipe(), tmp_path / "file")
