"""From a run to a checkpoint and back: what is written down of a run, and how one takes up where another stopped."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from aoide import config
from aoide.config import UserError
from aoide.train import checkpoint, shards
from aoide.train.checkpoint import Snapshot
from aoide.train.ema import Average

if TYPE_CHECKING:
    from aoide.train.loop import Run

FINGERPRINTS = ("manifest",)  # keys of a source's state that say which data these are
MOMENTS = ("step", "exp_avg", "exp_avg_sq")  # what Adam keeps of a parameter


def snapshot(run: Run) -> Snapshot:
    """All that the run is now; every process must call."""
    states = run.team.gather((_generator_states(run), run.source.state_dict(), run.meter.state_dict()))
    generators, sources, meters = zip(*states, strict=True)
    return Snapshot(
        step=run.step,
        model=run.model,
        networks={name: network.state_dict() for name, network in run.networks.items()},
        average=None if run.average is None else run.average.weights,
        optimisers={name: mover.state_dict()["state"] for name, mover in run.optimisers.items()},
        generators=list(generators),
        sources=list(sources),
        counters={
            "skips": run.skips,
            "best": run.best,
            "averaged": 0 if run.average is None else run.average.updates,
            "scaler": run.scaler.state_dict(),
            "meters": list(meters),
        },
    )


def restore(run: Run, folder: Path) -> list[str]:
    """Takes up a checkpoint; returns what there is to tell.

    Raises:
        UserError: it is of other networks or weights, or the data have changed and that was not accepted.
    """
    saved = checkpoint.read(folder, small=run.sharded)
    if set(saved.optimisers) != set(run.networks):
        theirs, ours = ", ".join(saved.optimisers), ", ".join(run.networks)
        raise UserError(f"{folder} is of a run with the networks {theirs}; this one has {ours}: choose another --run")
    same = _frozen(folder) == list(run.recipe.optimiser.freeze)
    if run.sharded:
        _take_shards(run, folder, saved, same)
    else:
        _take_whole(run, folder, saved, same)
    run.step, run.skips = saved.step, saved.counters["skips"]
    best = saved.counters["best"]
    run.best = None if best is None else (best[0], best[1])
    if run.scaler.is_enabled() and saved.counters["scaler"]:
        run.scaler.load_state_dict(saved.counters["scaler"])
    world = len(saved.sources)
    notes = [] if same else ["other weights are frozen than before: the optimiser begins anew"]
    notes += _find_place(run, folder, saved.sources[run.team.rank if world == run.team.world else 0])
    if world != run.team.world:
        now = run.team.world
        return [*notes, f"{folder} was written by {world} processes, not {now}: from here on the noise differs"]
    run.meter.load_state_dict(saved.counters["meters"][run.team.rank])
    _set_generator_states(run, saved.generators[run.team.rank])
    return notes


def _frozen(folder: Path) -> list[str]:
    """What the run of a checkpoint had frozen: an optimiser counts what is left."""
    return list(config.read_yaml(folder / "config.yaml").get("optimiser", {}).get("freeze") or ())


def _take_whole(run: Run, folder: Path, saved: Snapshot, same: bool) -> None:
    for name, network in run.networks.items():
        checkpoint.fill(network, saved.networks[name], str(folder / name))
        if same:
            state = run.optimisers[name].state_dict() | {"state": saved.optimisers[name]}
            run.optimisers[name].load_state_dict(state)
    if run.average is not None:
        run.average = Average(run.networks[run.model], run.average.decay)
        if saved.average is not None:
            run.average.load_state_dict(saved.average, saved.counters["averaged"])


def _take_shards(run: Run, folder: Path, saved: Snapshot, same: bool) -> None:
    """Every process reads its own parts of a sharded checkpoint, however many wrote it."""
    if not saved.sharded:
        raise UserError(
            f"{folder} is not sharded: go on with loop.parallel=ddp, or begin a new run from its weights (--from)"
        )
    held = shards.contents(folder / shards.FOLDER)
    moments: dict[str, dict[int, dict[str, Tensor]]] = {}
    for name, mover in run.optimisers.items():
        parameters = [parameter for group in mover.param_groups for parameter in group["params"]]
        moments[name] = {
            i: {key: torch.zeros(()) if key == "step" else torch.zeros_like(parameter.detach()) for key in MOMENTS}
            for i, parameter in enumerate(parameters)
            if same and f"optimiser/{name}/{i}/step" in held
        }
    networks = {name: network.state_dict() for name, network in run.networks.items()}
    average = run.average.weights if run.average is not None and saved.has_average else None
    shards.load_into(folder / shards.FOLDER, checkpoint.flat(networks, average, moments))
    for name, mover in run.optimisers.items():
        mover.load_state_dict(mover.state_dict() | {"state": moments[name]})
    if run.average is not None:
        if average is None:
            run.average = Average(run.networks[run.model], run.average.decay)
        else:
            run.average.updates = saved.counters["averaged"]


def _find_place(run: Run, folder: Path, saved: dict[str, Any]) -> list[str]:
    """Brings the data to where they were; data that have changed since are refused, or begin their epoch anew."""
    now = run.source.state_dict()
    changed = [key for key in FINGERPRINTS if saved.get(key) != now.get(key)]
    if not changed:
        run.source.load_state_dict(saved)
        return []
    if not run.accept:
        raise UserError(
            f"{run.folder}: the {' and '.join(changed)} has changed since {folder.name} was written, so the run "
            "cannot go on exactly; bring the old data back, go on with the new by --accept, or begin a new run from "
            "its weights (--from)"
        )
    run.source.load_state_dict({**now, "epoch": saved.get("epoch", 0)})
    return ["the data have changed since the checkpoint was written: their epoch begins anew (--accept)"]


def _generator_states(run: Run) -> dict[str, Tensor]:
    states = {"global": torch.get_rng_state(), "loop": run.generator.get_state()}
    if run.team.device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(run.team.device)
    return states


def _set_generator_states(run: Run, states: dict[str, Tensor]) -> None:
    torch.set_rng_state(states["global"])
    on_gpu = run.team.device.type == "cuda"
    if on_gpu == ("cuda" in states):  # a generator's state is of another kind on another device
        run.generator.set_state(states["loop"])
    if on_gpu and "cuda" in states:
        torch.cuda.set_rng_state(states["cuda"], run.team.device)
