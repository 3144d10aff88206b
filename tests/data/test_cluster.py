"""Work on many items: order, errors, and workers that die."""

import argparse
import importlib.util
import os
import signal
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from aoide.config import MissingExtra, UserError
from aoide.data import cluster


def square(number: int) -> int:
    time.sleep(0.001 * (5 - number % 5))  # later items are done first
    return number * number


def dies_once(number: int, folder: Path, deadly: int) -> int:
    """Kills its process at the first try of one item."""
    mark = folder / f"{number}-{time.monotonic_ns()}"
    mark.touch()
    if number == deadly and len(list(folder.glob(f"{number}-*"))) == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return number + 1


def always_dies(number: int, deadly: int) -> int:
    if number == deadly:
        os._exit(9)
    return number


def fails(number: int) -> int:
    if number == 3:
        raise UserError("clip-3.wav: is empty")
    if number == 5:
        raise MissingExtra("lhotse", extra="data")  # an exception that pickle cannot bring back
    return number


def threads_here(number: int) -> str:
    return os.environ["OMP_NUM_THREADS"]


@pytest.mark.parametrize("workers", [1, 3])
def test_results_come_in_order(workers: int) -> None:
    assert list(cluster.run(square, range(60), on="threads", workers=workers)) == [n * n for n in range(60)]


def test_no_items() -> None:
    assert list(cluster.run(square, [], on="processes")) == []


def test_items_are_started_no_further_ahead_than_bounded() -> None:
    """The first item is slow; what waits for it must not grow with the list."""
    started: list[int] = []

    def work(number: int) -> int:
        started.append(number)
        if number == 0:
            time.sleep(0.2)
            assert max(started) < 16 * 2 + 2
        return number

    assert list(cluster.run(work, range(500), on="threads", workers=2)) == list(range(500))


def test_threads_raise_what_the_work_raises() -> None:
    with pytest.raises(UserError, match=r"clip-3.wav: is empty"):
        list(cluster.run(fails, range(9), on="threads", workers=2))


def test_wrong_places_and_numbers_are_refused() -> None:
    with pytest.raises(UserError, match="threads, processes, ray, slurm"):
        list(cluster.run(square, [1], on="rya"))  # type: ignore[arg-type]
    with pytest.raises(UserError, match="-1 workers"):
        list(cluster.run(square, [1], workers=-1))
    with pytest.raises(UserError, match="takes no options"):
        list(cluster.run(square, [1], on="threads", options={"num_gpus": 1}))


def test_slurm_without_sbatch_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("submitit")
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(UserError, match="no sbatch"):
        list(cluster.run(square, [1], on="slurm"))


def test_a_verb_lets_the_user_choose() -> None:
    parser = argparse.ArgumentParser()
    cluster.add_arguments(parser, default="threads")
    assert cluster.chosen(parser.parse_args([])) == {"on": "threads", "options": {}}
    words = ["--on", "slurm", "--worker", "slurm_partition=long", "--worker", "mem_gb=4"]
    assert cluster.chosen(parser.parse_args(words)) == {
        "on": "slurm",
        "options": {"slurm_partition": "long", "mem_gb": 4},
    }
    with pytest.raises(UserError, match="'mem' is not a setting"):
        cluster.chosen(parser.parse_args(["--worker", "mem"]))


def places() -> list[Any]:
    """The places that have workers of their own, those that need a package where it is there."""
    found = [pytest.param("processes", None, id="processes")]
    for name, module, options in (("slurm", "submitit", {"cluster": "local"}), ("ray", "ray", None)):
        there = importlib.util.find_spec(module) is not None
        mark = pytest.mark.skipif(not there, reason=f"{module} is not installed: pip install 'aoide[{name}]'")
        found.append(pytest.param(name, options, id=name, marks=mark))
    return found


@pytest.mark.slow
@pytest.mark.parametrize(("on", "options"), places())
def test_a_dead_worker_costs_nothing(
    on: cluster.On,
    options: dict[str, Any] | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    """About 5 s with processes, 45 s with Slurm's stand-in and with Ray: all results, in order, then the errors."""
    monkeypatch.chdir(tmp_path)
    run: Callable[..., Any] = partial(cluster.run, on=on, workers=2, options=options)
    folder = tmp_path / "marks"
    folder.mkdir()
    assert list(run(partial(dies_once, folder=folder, deadly=4), range(9))) == list(range(1, 10))
    assert len(list(folder.glob("4-*"))) == 2, "it was done again"
    assert not list(tmp_path.glob("aoide-jobs-*")), "nothing is left behind"
    if on == "ray":  # from here on in a cluster that is there already, and stays
        ray = pytest.importorskip("ray")
        ray.init(num_cpus=2, log_to_driver=False, include_dashboard=False, logging_level="error")
        request.addfinalizer(ray.shutdown)
    with pytest.raises(UserError, match=r"^clip-3.wav: is empty$"):
        list(run(fails, range(5)))
    with pytest.raises(UserError, match="aoide\\[data\\]"):
        list(run(fails, [1, 5]))
    if on != "slurm":  # submitit waits 16 s for the results of each job that died
        with pytest.raises(UserError, match=r"^clip 2: a worker died with it 3 times .*"):
            list(run(partial(always_dies, deadly=2), range(6), name=lambda n: f"clip {n}"))


@pytest.mark.slow
def test_processes_have_one_thread_each() -> None:
    """About 1 s."""
    before = os.environ.get("OMP_NUM_THREADS")
    assert list(cluster.run(threads_here, range(3), workers=2)) == ["1"] * 3
    assert os.environ.get("OMP_NUM_THREADS") == before
