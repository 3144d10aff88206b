"""One function over many items: on the processors of this machine, on a Ray cluster, or as jobs of Slurm.

    for result in cluster.run(listen, clips, on="processes", workers=8, unit="clip"):
        ...

Results come in the order of the items, whoever was first. A worker that dies (killed, out of memory, a machine gone)
costs nothing but time: its items are done again, twice at most; then the item that kills every worker is refused by
name. So work must be harmless to do twice: write aside and rename, or name files by their content.

Work and items travel by pickle everywhere but with `threads`: `work` is a function of a module (or a `partial` of
one), paths in the items are absolute, and on a cluster every machine sees the same files and has aoide installed.
"""

from __future__ import annotations

import argparse
import os
import pickle
import shutil
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol, TypeVar

from aoide.config import MissingExtra, UserError, override, require

Item = TypeVar("Item")
Result = TypeVar("Result")
On = Literal["threads", "processes", "ray", "slurm"]

PLACES: dict[str, str] = {
    "threads": "threads of this process, for work that leaves Python's lock",
    "processes": "processes on this machine",
    "ray": "the Ray cluster at RAY_ADDRESS, or a local one (extra: ray)",
    "slurm": "jobs of a Slurm cluster (extra: slurm)",
}

_AGAIN = 2  # times that an item is done again after a worker died with it
_AHEAD = 16  # items that may be done for each worker before the first of them is: bounds what waits in memory
_JOBS_EACH = 4  # Slurm jobs for each worker: few, since each takes seconds to start, but enough to even out
_POLL = 0.2  # seconds between two looks at Slurm's jobs
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")


class _Died(Exception):  # noqa: N818  (what happened, not what is wrong)
    """The worker ended without an answer; the text says what is known of the cause."""


class _Task(NamedTuple):
    """Items that one worker does in one go, by their places in the list."""

    numbers: tuple[int, ...]


class _Place(Protocol):
    """Where work is done."""

    width: int  # tasks that can be under way at a time

    def start(self, items: Sequence[Any]) -> Hashable:
        """Begins a task; gives what it is known by."""

    def finished(self, tasks: Iterable[Any]) -> Iterable[Any]:
        """Waits until one or more of these are over, and gives them."""

    def outcome(self, task: Any) -> tuple[list[Any], Exception | None]:
        """What `_do` gave.

        Raises:
            _Died: nothing came back.
        """

    def close(self, failed: bool) -> None:
        """Gives everything back; what has not begun is dropped."""


def run(
    work: Callable[[Item], Result],
    items: Iterable[Item],
    *,
    on: On = "processes",
    workers: int = 0,
    name: Callable[[Item], str] = str,
    unit: str = "item",
    options: Mapping[str, Any] | None = None,
) -> Iterator[Result]:
    """`work` of every item, in order, with a progress bar on stderr.

    Args:
        workers: how many work at a time; 0: all processors of this machine, all of the Ray cluster, 8 Slurm jobs.
        name: what an item is called where it must be refused.
        unit: what the progress bar counts.
        options: what one worker asks for. Ray: `num_cpus`, `num_gpus`, `memory` and the other arguments of
            `ray.remote`. Slurm: `slurm_partition`, `timeout_min`, `mem_gb` and the other parameters of submitit's
            executor; `folder`, where its jobs are kept while they run (a folder that all machines see; default: here),
            and `cluster: local`, which proves the set-up without a cluster.

    Raises:
        UserError: no such place, or an item with which a worker died three times.
        MissingExtra: Ray or submitit is not installed.
        Exception: whatever `work` raises; the rest is dropped.
    """
    if on not in PLACES:
        raise UserError(f"--on {on}: there is no such place to work; choose {', '.join(PLACES)}")
    if workers < 0:
        raise UserError(f"{workers} workers: must be 1 or more, or 0 for all")
    listed = list(items)
    if not listed:
        return
    place = _place(on, work, len(listed), workers, dict(options or {}))
    failed = True
    try:
        yield from _bar(_in_order(place, listed, name), len(listed), unit)
        failed = False
    finally:
        place.close(failed)


def add_arguments(parser: argparse.ArgumentParser, default: On = "processes") -> None:
    """The options of a verb that lets the user choose the place; `chosen` gives them to `run`."""
    places = "; ".join(f"{name}: {what}" for name, what in PLACES.items())
    parser.add_argument("--on", choices=PLACES, default=default, help=f"where to work (default: {default}). {places}")
    parser.add_argument(
        "--worker",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="what a worker asks of the cluster, such as num_gpus=1 (Ray) or slurm_partition=long (Slurm); repeatable",
    )


def chosen(arguments: argparse.Namespace) -> dict[str, Any]:
    """`on` and `options` for `run`, as the user chose them.

    Raises:
        UserError: a --worker that is not KEY=VALUE.
    """
    return {"on": arguments.on, "options": override({}, arguments.worker)}


def _place(on: str, work: Callable[[Any], Any], count: int, workers: int, options: dict[str, Any]) -> _Place:
    here = min(workers or len(os.sched_getaffinity(0)), count)
    if on == "ray":
        return _Ray(work, workers, options)
    if on == "slurm":
        return _Slurm(work, min(workers or 8, count), count, options)
    if options:
        raise UserError(f"--on {on} takes no options; got {', '.join(options)}")
    return _Threads(work, here) if on == "threads" else _Processes(work, here)


def _bar(results: Iterator[Result], total: int, unit: str) -> Iterator[Result]:
    from tqdm import tqdm

    yield from tqdm(results, total=total, unit=unit, disable=None)


def _in_order(place: _Place, items: list[Any], name: Callable[[Any], str]) -> Iterator[Any]:
    """Starts as many tasks as there is room for, gives results as soon as all before them are given."""
    size = getattr(place, "chunk", 1)
    waiting = deque(_Task(tuple(range(i, min(i + size, len(items))))) for i in range(0, len(items), size))
    under_way: dict[Any, _Task] = {}
    done: dict[int, Any] = {}
    deaths = [0] * len(items)
    given = 0
    while given < len(items):
        while waiting and len(under_way) < place.width and waiting[0].numbers[0] < given + _AHEAD * place.width * size:
            task = waiting.popleft()
            under_way[place.start([items[number] for number in task.numbers])] = task
        for handle in place.finished(under_way):
            task = under_way.pop(handle)
            try:
                results, error = place.outcome(handle)
            except _Died as death:
                for number in task.numbers:
                    deaths[number] += 1
                    if deaths[number] > _AGAIN:
                        raise UserError(_refusal(name(items[number]), str(death))) from None
                waiting.extendleft(_Task((number,)) for number in reversed(task.numbers))
                continue
            if error is not None:
                raise error
            done.update(zip(task.numbers, results, strict=True))
        while given in done:
            yield done.pop(given)
            given += 1


def _refusal(name: str, cause: str) -> str:
    return f"{name}: a worker died with it {_AGAIN + 1} times ({cause}); leave it out, or give each worker more memory"


# ------------------------------------------------------------------------------------------------- what a worker does


def _do(work: Callable[[Any], Any], items: Sequence[Any]) -> tuple[list[Any], Exception | None]:
    """The results up to the first error, and the error. An error is an answer: it must not look like a death."""
    results = []
    try:
        for item in items:
            results.append(work(item))
    except Exception as error:  # noqa: BLE001  (it is raised again where the results are wanted)
        return results, error
    return results, None


def _do_far(work: Callable[[Any], Any], items: Sequence[Any]) -> tuple[list[Any], Exception | None]:
    """`_do` whose error survives the journey: some cannot be unpickled, and would take the pool with them."""
    results, error = _do(work, items)
    if error is None:
        return results, None
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301  (what we have just written)
    except Exception:  # noqa: BLE001  (the reason does not matter)
        if isinstance(error, (UserError, MissingExtra)):
            return results, UserError(str(error))
        return results, RuntimeError("".join(traceback.format_exception(error)).strip())
    return results, error


def _begin() -> None:
    """What a process does first: it leaves Ctrl-C to its parent, and does not outlive it."""
    import multiprocessing
    from multiprocessing.connection import wait as wait_for

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:

        def follow() -> None:
            wait_for([parent.sentinel])
            os._exit(1)

        threading.Thread(target=follow, daemon=True).start()


# ----------------------------------------------------------------------------------------------------- on this machine


class _Threads:
    """Threads; they cannot die alone."""

    def __init__(self, work: Callable[[Any], Any], width: int) -> None:
        self.width = width
        self._work = work
        self._pool: Executor = ThreadPoolExecutor(width)

    def start(self, items: Sequence[Any]) -> Future[Any]:
        return self._pool.submit(_do, self._work, items)

    def finished(self, tasks: Iterable[Future[Any]]) -> Iterable[Future[Any]]:
        return wait(list(tasks), return_when=FIRST_COMPLETED).done

    def outcome(self, task: Future[Any]) -> tuple[list[Any], Exception | None]:
        return task.result()

    def close(self, failed: bool) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)


class _Processes:
    """One pool of one process for each worker: when a process dies, it is known with which item."""

    def __init__(self, work: Callable[[Any], Any], width: int) -> None:
        self.width = width
        self._work = work
        self._free: list[Executor] = []
        self._busy: dict[Future[Any], Executor] = {}

    def start(self, items: Sequence[Any]) -> Future[Any]:
        pool = self._free.pop() if self._free else self._new()
        with _one_thread_each():  # the process is started by the first task
            task = pool.submit(_do_far, self._work, items)
        self._busy[task] = pool
        return task

    def finished(self, tasks: Iterable[Future[Any]]) -> Iterable[Future[Any]]:
        return wait(list(tasks), return_when=FIRST_COMPLETED).done

    def outcome(self, task: Future[Any]) -> tuple[list[Any], Exception | None]:
        pool = self._busy.pop(task)
        try:
            found = task.result()
        except BrokenProcessPool:
            pool.shutdown(wait=True)
            raise _Died("the process was killed, or it crashed") from None
        self._free.append(pool)
        return found

    def close(self, failed: bool) -> None:
        for pool in (*self._free, *self._busy.values()):
            pool.shutdown(wait=True, cancel_futures=True)

    @staticmethod
    def _new() -> Executor:
        from multiprocessing import get_context

        return ProcessPoolExecutor(1, mp_context=get_context("spawn"), initializer=_begin)


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Processes started inside use one thread: as many processes as cores are faster than threads that wait."""
    before = {name: os.environ.get(name) for name in _THREADS}
    os.environ.update(dict.fromkeys(_THREADS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


# --------------------------------------------------------------------------------------------------------------- Ray


class _Ray:
    """Tasks of a Ray cluster. Ray could do them again by itself, but could not say which it gave up."""

    def __init__(self, work: Callable[[Any], Any], workers: int, options: dict[str, Any]) -> None:
        self._ray = require("ray", "ray")
        self._started = not self._ray.is_initialized()
        if self._started:
            try:
                self._ray.init(log_to_driver=False, include_dashboard=False, logging_level="warning")
            except (ConnectionError, RuntimeError) as error:
                reason = str(error).strip().splitlines()[0]
                raise UserError(f"--on ray: no connection to the cluster ({reason}); see RAY_ADDRESS") from None
        processors = int(self._ray.cluster_resources().get("CPU", 1))
        self.width = workers or max(1, processors)
        self._work = self._ray.put(work)  # sent to each machine once
        self._remote = self._ray.remote(**{"num_cpus": 1, "max_retries": 0, **options})(_do_far)
        self._under_way: set[Any] = set()

    def start(self, items: Sequence[Any]) -> Any:
        task = self._remote.remote(self._work, items)
        self._under_way.add(task)
        return task

    def finished(self, tasks: Iterable[Any]) -> Iterable[Any]:
        return self._ray.wait(list(tasks), num_returns=1)[0]

    def outcome(self, task: Any) -> tuple[list[Any], Exception | None]:
        self._under_way.discard(task)
        try:
            return self._ray.get(task)
        except self._ray.exceptions.RayTaskError:
            raise  # not a death, and not the work either, whose errors `_do_far` hands over: Ray's own
        except self._ray.exceptions.RayError as error:
            raise _Died(_first_words(error) or type(error).__name__) from None

    def close(self, failed: bool) -> None:
        for task in self._under_way:
            self._ray.cancel(task, force=True)
        if self._started:
            self._ray.shutdown()


# -------------------------------------------------------------------------------------------------------------- Slurm


class _Slurm:
    """Jobs of Slurm, each with a share of the items, by way of submitit."""

    def __init__(self, work: Callable[[Any], Any], width: int, count: int, options: dict[str, Any]) -> None:
        submitit = require("submitit", "slurm")
        cluster = options.pop("cluster", "slurm")
        if cluster == "slurm" and shutil.which("sbatch") is None:
            raise UserError("--on slurm: there is no sbatch on this machine; start from a login node of the cluster")
        self.width = width
        self.chunk = -(-count // (width * _JOBS_EACH))
        self._work = work
        self._lost = submitit.core.utils.UncompletedJobError
        try:
            self._folder = Path(tempfile.mkdtemp(prefix="aoide-jobs-", dir=options.pop("folder", ".")))
        except OSError as error:
            raise UserError(f"{error.filename}: no folder for the jobs can be made there: {error.strerror}") from None
        self._executor = submitit.AutoExecutor(folder=self._folder, cluster=cluster)
        self._executor.update_parameters(**{"name": "aoide", "cpus_per_task": 1, **options})
        self._under_way: set[Any] = set()

    def start(self, items: Sequence[Any]) -> Any:
        job = self._executor.submit(_do_far, self._work, items)
        self._under_way.add(job)
        return job

    def finished(self, tasks: Iterable[Any]) -> Iterable[Any]:
        waiting = list(tasks)
        while not (over := [job for job in waiting if job.done()]):
            time.sleep(_POLL)
        return over

    def outcome(self, task: Any) -> tuple[list[Any], Exception | None]:
        self._under_way.discard(task)
        try:
            return task.result()
        except self._lost:
            raise _Died(f"job {task.job_id}, {task.state}; its log: {task.paths.stderr}") from None

    def close(self, failed: bool) -> None:
        for job in self._under_way:
            job.cancel()
        if not failed:
            shutil.rmtree(self._folder, ignore_errors=True)
        else:
            print(f"the logs of the jobs are in {self._folder}", file=sys.stderr)  # noqa: T201


def _first_words(error: Exception) -> str:
    """The first sentence of a long message."""
    lines = str(error).strip().splitlines()
    return lines[0].split(". ")[0] if lines else ""
