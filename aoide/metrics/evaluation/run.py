"""From places to a report: gather, match, look, measure in parallel, sum up."""

from __future__ import annotations

import datetime
import os
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from tqdm import tqdm

from aoide.config import MissingExtra, UserError
from aoide.metrics.align import TOLERANCE
from aoide.metrics.evaluation import plan
from aoide.metrics.evaluation.items import Item, Sets, listed, match, read_texts
from aoide.metrics.evaluation.journal import Journal, mark
from aoide.metrics.evaluation.measure import REFERENCE, Found, Task, begin, measure_and_tidy, picture_name
from aoide.metrics.evaluation.plan import Chosen, Settings, Step
from aoide.metrics.evaluation.summary import Summary, described
from aoide.version import __version__

_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
_NAMES_WORTH_A_PROCESS = 4  # below, starting another one takes longer than it saves


def evaluate(
    reference: str | os.PathLike[str] | None,
    systems: Sequence[str | os.PathLike[str]],
    settings: Settings | None = None,
    texts: str | os.PathLike[str] | Mapping[str, str] | None = None,
    folder: str | os.PathLike[str] | None = None,
) -> dict[str, Any]:
    """Measures one or more systems, against a reference or by themselves.

    Args:
        reference: a folder, a manifest or a file; None: metrics without a reference.
        systems: the same, one of each system.
        settings: see `Settings`.
        texts: what is said, see `items.read_texts`, or by name; None: what the manifests say.
        folder: keeps the values measured so far and the pictures, so that an interrupted run goes on.

    Returns:
        Plain data, NaN where a value is undefined:
        summary     metric -> system -> value, low, high (95 %), median, n, nan, failed
        tests       one row for each metric and two systems: value (first - second), low, high, p, p_corrected, n
        files       one row for each name and system: seconds, rate, values by metric, transcript, picture, path
        metrics     unit, direction, kind and options of each
        excluded    name, system and reason of each sound that could not be read; its name counts for nobody
        errors, unavailable, missing, notes, and how it was done

    Raises:
        UserError: no sounds, unequal names, unknown metrics, or nothing could be measured.
    """
    settings = settings or Settings()
    if not systems:
        raise UserError("nothing to evaluate: name a folder, a manifest or a file")
    sets = match(
        None if reference is None else Path(reference), [Path(place) for place in systems], settings.allow_missing
    )
    said = _texts(texts, sets)
    chosen, refused = plan.choose(settings, sets.reference is not None, bool(said))
    if not chosen:
        raise UserError("nothing to measure: " + "; ".join(f"{name} {reason}" for name, reason in refused))
    sets, excluded = _look(sets, said)
    align = settings.align if settings.align != "auto" else _alignment(sets)
    chosen = plan.aligned(chosen, align)
    with _place(folder) as where, Journal(where) as journal:
        run = _Run(sets, chosen, settings, journal, where if folder is not None else None)
        run.excluded += excluded
        run.go()
        report = _report(run, said, refused)
    report["align"] = align if any("align" in each.options for each in chosen) else None
    report["reference"] = None if reference is None else str(reference)
    if not any(cell["n"] for cells in report["summary"].values() for cell in cells.values()):
        raise UserError(_nothing(report))
    return report


class _Run:
    """The measuring: what is left to do for each name, done in parallel, written down as it comes."""

    def __init__(
        self, sets: Sets, chosen: Sequence[Chosen], settings: Settings, journal: Journal, folder: Path | None
    ) -> None:
        self.sets, self.chosen, self.settings, self.journal, self.folder = sets, chosen, settings, journal, folder
        self.everybody: dict[str, dict[str, Item]] = dict(sets.systems)
        if sets.reference is not None:
            self.everybody = {REFERENCE: sets.reference, **self.everybody}
        self.excluded: list[dict[str, str]] = []
        self.errors: list[dict[str, str]] = []
        self.hopeless: dict[str, str] = {}  # key of a step that cannot run at all -> why
        self._failures: Counter[tuple[str, str]] = Counter()
        self._worked: set[str] = set()

    def go(self) -> None:
        """Measures what the journal does not have yet."""
        left = [name for name in self.sets.names if self._task(name) is not None]
        bar = tqdm(
            total=len(self.sets.names),
            initial=len(self.sets.names) - len(left),
            unit="file" if len(self.everybody) == 1 else "pair",
            disable=None if self.settings.progress is None else not self.settings.progress,
        )
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        jobs = self.settings.jobs or min(cores, -(-len(left) // _NAMES_WORTH_A_PROCESS))
        if self.folder is not None and self.settings.picture:
            (self.folder / "pictures").mkdir(exist_ok=True)
        with bar:
            for found in in_parallel((task for name in left if (task := self._task(name))), jobs):
                self._take(found)
                bar.update()

    def rows(self, system: str) -> dict[str, dict[str, Any]]:
        """What was measured of a system, by name and key of step."""
        return {name: self._known(name, system) for name in self.sets.names}

    def _known(self, name: str, system: str) -> dict[str, Any]:
        return self.journal.values(name, system, *self._marks(name, system))

    def _marks(self, name: str, system: str) -> tuple[str, str]:
        truth = None if system == REFERENCE else self.everybody.get(REFERENCE, {}).get(name)
        return mark(truth), mark(self.everybody[system][name])

    def _steps(self, system: str) -> list[Step]:
        steps = dict.fromkeys(each.step for each in self.chosen)
        wanted = (step for step in steps if system != REFERENCE or step.what != "pair")
        return [step for step in wanted if step.key not in self.hopeless]

    def _task(self, name: str) -> Task | None:
        """What is left to do; None if nothing is."""
        items = {system: of[name] for system, of in self.everybody.items()}
        steps, pictured = {}, set()
        for system in items:
            known = self._known(name, system)
            left = [step for step in self._steps(system) if step.key not in known or step.what == "caption"]
            if left:
                steps[system] = left
            drawn = self.folder is not None and (self.folder / picture_name(name, system)).exists() and known
            if self.settings.picture and self.folder is not None and system != REFERENCE and not drawn:
                pictured.add(system)
        if not steps and not pictured:
            return None
        needed = {system for system in items if system in steps or system in pictured or system == REFERENCE}
        items = {system: item for system, item in items.items() if system in needed}
        return Task(name, items, steps, self.folder, self.settings.picture if pictured else None, pictured)

    def _take(self, found: list[Found]) -> None:
        for row in found:
            if row.excluded:
                self.excluded.append({"name": row.name, "system": row.system, "reason": row.excluded})
                continue
            self.journal.add(row, *self._marks(row.name, row.system))
            self._worked.update(row.values)
            for key, (kind, text) in row.errors.items():
                self.errors.append({"name": row.name, "system": row.system, "step": key, "reason": text})
                self._failures[key, text] += 1
                if key not in self._worked and (kind == "extra" or self._failures[key, text] == 2):
                    self.hopeless[key] = text  # the same words twice and never a value: it lacks something


def in_parallel(tasks: Iterable[Task], jobs: int) -> Iterator[list[Found]]:
    """`measure_and_tidy` of all tasks as they are done, by `jobs` processes of one thread; few are under way at once.

    Raises:
        UserError: a process died.
    """
    if jobs <= 1:
        yield from map(measure_and_tidy, tasks)
        return
    with _one_thread_each():
        pool = ProcessPoolExecutor(jobs, mp_context=get_context("spawn"), initializer=begin)
        under_way: set[Future[list[Found]]] = set()
        try:
            for task in tasks:
                under_way.add(pool.submit(measure_and_tidy, task))
                if len(under_way) >= 3 * jobs:
                    done, under_way = wait(under_way, return_when=FIRST_COMPLETED)
                    yield from (future.result() for future in done)
            while under_way:
                done, under_way = wait(under_way, return_when=FIRST_COMPLETED)
                yield from (future.result() for future in done)
        except BrokenProcessPool:
            raise UserError(
                "a worker process died, perhaps for want of memory: try --jobs 1; what was measured is kept"
            ) from None
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


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


@contextmanager
def _place(folder: str | os.PathLike[str] | None) -> Iterator[Path]:
    if folder is None:
        with tempfile.TemporaryDirectory() as place:
            yield Path(place)
        return
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{folder}: cannot be made: {error.strerror}") from None
    yield Path(folder)


# ----------------------------------------------------------------------------------------------------- before and after


def _texts(texts: str | os.PathLike[str] | Mapping[str, str] | None, sets: Sets) -> dict[str, str]:
    if isinstance(texts, Mapping):
        return {name: texts[name] for name in sets.names if name in texts}
    if texts is not None:
        return read_texts(Path(texts), sets.names)
    places = [place for place in (sets.reference, *sets.systems.values()) if place is not None]
    return {name: text for place in reversed(places) for name in sets.names if (text := place[name].text)}


def _look(sets: Sets, texts: Mapping[str, str]) -> tuple[Sets, list[dict[str, str]]]:
    """The sets with rates and lengths; a name of which one sound cannot be read counts for nobody."""
    excluded: list[dict[str, str]] = []
    seen: dict[str, dict[str, Item]] = {}
    everybody = [(REFERENCE, sets.reference)] if sets.reference is not None else []
    for system, place in [*everybody, *sets.systems.items()]:
        seen[system] = {}
        for name in sets.names:
            try:
                seen[system][name] = replace(place[name].probed(), text=texts.get(name))
            except (UserError, MissingExtra) as error:
                excluded.append({"name": name, "system": system, "reason": str(error)})
    names = [name for name in sets.names if all(name in place for place in seen.values())]
    truth = seen.pop(REFERENCE, None)
    if not names:
        raise UserError(f"no sound can be read; {excluded[0]['reason']}")
    return Sets(truth, seen, names, sets.missing), excluded


def _alignment(sets: Sets) -> str:
    if sets.reference is None:
        return "time"
    pairs = ((sets.reference[name], place[name]) for place in sets.systems.values() for name in sets.names)
    return "time" if all(abs(a.seconds - b.seconds) <= TOLERANCE for a, b in pairs) else "dtw"


def _report(run: _Run, texts: Mapping[str, str], refused: list[tuple[str, str]]) -> dict[str, Any]:
    settings, sets = run.settings, run.sets
    lost = {row["name"] for row in run.excluded}
    names = [name for name in sets.names if name not in lost]
    summary = Summary(names, texts, settings.seed)
    rows = {system: run.rows(system) for system in run.everybody}
    for each in run.chosen:
        summary.add(each, rows)
    unavailable = {**dict(refused), **summary.refused}
    for each in run.chosen:
        if each.name not in summary.columns and each.name not in unavailable:
            told = (error["reason"] for error in run.errors if error["step"] == each.step.key)
            unavailable[each.name] = next(told, "no file gave a value")
    measured = [each for each in run.chosen if each.name in summary.columns]
    by_key = {each.step.key: each.name for each in run.chosen}
    errors = [
        {**error, "step": by_key[error["step"]]} for error in run.errors if by_key[error["step"]] not in unavailable
    ]
    return {
        "aoide": __version__,
        "made": datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
        "like": settings.like,
        "seed": settings.seed,
        "systems": list(sets.systems),
        "pairs": len(names),
        "metrics": described(measured),
        "summary": summary.table(),
        "tests": summary.tests(),
        "files": [_file(run, summary, name, system, rows) for name in names for system in run.everybody],
        "excluded": run.excluded,
        "missing": sets.missing,
        "errors": errors,
        "unavailable": [{"metric": name, "reason": reason} for name, reason in unavailable.items()],
        "notes": [*_notes(run, names, texts), *summary.notes],
    }


def _file(run: _Run, summary: Summary, name: str, system: str, rows: Mapping[str, Any]) -> dict[str, Any]:
    values = {
        metric: columns[system].values[name]
        for metric, columns in summary.columns.items()
        if system in columns and name in columns[system].values
    }
    row = {
        "name": name,
        "system": system,
        "path": str(run.everybody[system][name].path),
        **run.journal.about(name, system),
        "values": values,
    }
    heard = next((each.step.key for each in run.chosen if each.step.what == "transcript"), None)
    if heard in rows[system].get(name, {}):
        row |= {"text": summary.texts.get(name), "transcript": rows[system][name][heard]}
    if run.folder is not None and (run.folder / picture_name(name, system)).exists():
        row["picture"] = picture_name(name, system)
    return row


def _notes(run: _Run, names: Sequence[str], texts: Mapping[str, str]) -> list[str]:
    """What a reader must know beside the numbers."""
    notes = []
    if run.settings.like:
        notes.append(
            "These are Amphion's numbers, computed as its code computes them, with its faults; do not read them as the "
            "quantities that their names say. Pairs are matched by name, where Amphion takes the order of a listing."
        )
    heard = [each.name for each in run.chosen if each.kind == "text"]
    untold = [name for name in names if name not in texts]
    if heard and untold:
        notes.append(f"{', '.join(heard)}: {len(untold)} of {len(names)} sounds have no text: {listed(untold)}")
    truth = run.everybody.get(REFERENCE)
    for system, place in run.everybody.items():
        silent = sum(bool(run.journal.about(name, system).get("silent")) for name in names)
        if silent:
            notes.append(
                f"{system}: {silent} of {len(names)} sounds are silent; what is undefined there is counted as NaN"
            )
        if truth is None or system == REFERENCE:
            continue
        other = [name for name in names if truth[name].sample_rate != place[name].sample_rate]
        if other:
            rates = sorted({(truth[name].sample_rate, place[name].sample_rate) for name in other})
            told = ", ".join(f"{a} and {b} Hz" for a, b in rates[:4])
            notes.append(
                f"{system}: {len(other)} of {len(names)} pairs differ in sample rate ({told}); "
                "each was compared at the lower one"
            )
    return notes


def _nothing(report: Mapping[str, Any]) -> str:
    told = [f"{row['metric']}: {row['reason']}" for row in report["unavailable"]]
    undefined = [name for name, cells in report["summary"].items() if any(cell["nan"] for cell in cells.values())]
    if undefined:
        told.append(f"{', '.join(undefined)}: undefined for all files (silence, or too short)")
    told += [f"{row['name']}: {row['reason']}" for row in report["excluded"][:3]]
    return "nothing could be measured; " + "; ".join(told)
