"""Checkpoints: folders that are whole or not there, hold all that a run is, and read back bit for bit.

    run/checkpoints/step-000123/
        <network>.safetensors    weights of each network of the objective
        ema.safetensors          the averaged weights of the model, where the recipe asks for an average
        adapters.safetensors     of a run with LoRA: its additions alone, averaged where there is an average
        config.yaml              the resolved recipe
        state.safetensors        the optimisers' moments, the random generators of every process
        state.json               step, positions in the data, counters, and which network is the model
        shards/                  of a run with loop.parallel=fsdp: all weights and moments, in parts of each process
    run/checkpoints/best         a link to the one with the lowest validation loss

A checkpoint is written aside, synced to the disk and renamed; so whatever moment the power fails, every folder named
`step-...` is complete. Nothing here is a pickle: reading a foreign file runs no code.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from aoide import config
from aoide.config import UserError
from aoide.nn import lora
from aoide.train import recipe as recipes
from aoide.train import shards
from aoide.train.distributed import Team

FORMAT = 1  # of state.json; a later aoide refuses what it cannot read
STEP = re.compile(r"step-(\d{6,})")


@dataclass(kw_only=True)
class Snapshot:
    """All that a run is at one step; what `save` writes and `read` gives back."""

    step: int
    model: str  # the name of the network that is the model
    networks: dict[str, dict[str, Tensor]]
    average: dict[str, Tensor] | None  # averaged weights of the model
    optimisers: dict[str, dict[int, dict[str, Tensor]]]  # network -> index of the parameter -> moments
    generators: list[dict[str, Tensor]]  # by process: the state of each random generator
    sources: list[dict[str, Any]]  # by process: the position in the data, as JSON
    counters: dict[str, Any] = field(default_factory=dict)  # whatever else the loop counts, as JSON
    sharded: bool = False  # read: whether its tensors lie in shards
    has_average: bool = False  # read: whether it has averaged weights


# -------------------------------------------------------------------------------------------------------------- writing


def save(run: Path, snapshot: Snapshot, recipe: dict[str, Any]) -> Path:
    """Writes `run/checkpoints/step-<step>` and returns it.

    Raises:
        UserError: weights that are not finite, or a full or unwritable disk. Nothing half-written stays behind, and the
            message names the last good checkpoint.
    """
    folder = run / "checkpoints" / f"step-{snapshot.step:06d}"
    if folder.exists():
        return folder
    _refuse_infinite(run, snapshot)
    aside = folder.with_name(f".part-{folder.name}")
    try:
        _make(aside)
        for name, weights in snapshot.networks.items():
            _write_tensors(aside / f"{name}.safetensors", weights)
        if snapshot.average is not None:
            _write_tensors(aside / "ema.safetensors", snapshot.average)
        if "lora" in recipe:
            trained = snapshot.networks[snapshot.model] if snapshot.average is None else snapshot.average
            lora.save(aside / "adapters.safetensors", trained, config.build(lora.Config, recipe["lora"], "", "lora"))
        _write_tensors(aside / "state.safetensors", _state_tensors(snapshot))
        config.write_yaml(aside / "config.yaml", recipe)
        (aside / "state.json").write_text(json.dumps(_state_json(snapshot), indent=1), "utf-8")
        for path in aside.iterdir():
            shutil.copymode(aside / "state.json", path)  # safetensors makes files that only their owner can read
            _sync(path)
        _sync(aside)
        os.rename(aside, folder)
        _sync(folder.parent)
    except (OSError, UserError, _safetensors_error()) as error:
        shutil.rmtree(aside, ignore_errors=True)
        raise UserError(f"{folder}: the checkpoint cannot be written: {error}; {_last_good(run)}") from None
    return folder


def save_sharded(run: Path, snapshot: Snapshot, recipe: dict[str, Any], team: Team) -> Path:
    """As `save`, for a model in shards: every process writes its own, the first the rest; all must call.

    Raises:
        UserError: as `save`, on all processes.
    """
    folder = run / "checkpoints" / f"step-{snapshot.step:06d}"
    if team.any(team.leads and folder.exists()):
        return folder
    aside = folder.with_name(f".part-{folder.name}")
    trouble = _attempt(lambda: _refuse_infinite(run, snapshot))
    if not trouble and team.leads:
        trouble = _attempt(lambda: _make(aside))
    if not team.any(bool(trouble)):
        tensors = flat(snapshot.networks, snapshot.average, snapshot.optimisers)
        trouble = _attempt(lambda: shards.save(aside / shards.FOLDER, tensors))
    if not team.any(bool(trouble)) and team.leads:
        trouble = _attempt(lambda: _finish(aside, folder, snapshot, recipe))
    if team.any(bool(trouble)):
        if team.leads:
            shutil.rmtree(aside, ignore_errors=True)
        told = "; ".join(dict.fromkeys(filter(None, team.gather(trouble))))
        raise UserError(f"{folder}: the checkpoint cannot be written: {told}; {_last_good(run)}")
    return folder


def flat(
    networks: dict[str, dict[str, Tensor]],
    average: dict[str, Tensor] | None,
    optimisers: dict[str, dict[int, dict[str, Tensor]]],
) -> dict[str, Tensor]:
    """All tensors of a run under one roof: `network/NAME/WEIGHT`, `average/WEIGHT`, `optimiser/NAME/INDEX/MOMENT`."""
    tensors = {f"network/{name}/{key}": value for name, weights in networks.items() for key, value in weights.items()}
    tensors |= {f"average/{key}": value for key, value in (average or {}).items()}
    for name, parameters in optimisers.items():
        for index, moments in parameters.items():
            tensors |= {f"optimiser/{name}/{index}/{key}": value for key, value in moments.items()}
    return tensors


def _make(aside: Path) -> None:
    aside.parent.mkdir(parents=True, exist_ok=True)
    _remove(aside)
    aside.mkdir()


def _finish(aside: Path, folder: Path, snapshot: Snapshot, recipe: dict[str, Any]) -> None:
    """The small files of a sharded checkpoint; then all of it onto the disk, and its name."""
    alone = Snapshot(**{**vars(snapshot), "optimisers": {}, "sharded": True})
    _write_tensors(aside / "state.safetensors", _state_tensors(alone))
    config.write_yaml(aside / "config.yaml", recipe)
    (aside / "state.json").write_text(json.dumps(_state_json(alone), indent=1), "utf-8")
    for path in [*aside.rglob("*"), aside]:
        _sync(path)
    os.rename(aside, folder)
    _sync(folder.parent)


def _attempt(work: Callable[[], Any]) -> str:
    """Does something; what went wrong, for the others to hear, or nothing."""
    try:
        work()
    except (OSError, UserError, _safetensors_error()) as error:
        return str(error)
    return ""


def prune(run: Path, keep: int, best: int | None) -> None:
    """Removes all but the newest `keep` checkpoints and the one of step `best`, and points the link `best` to that."""
    folders = _all(run)
    for step, folder in folders[:-keep]:
        if step != best:
            _remove(folder)
    link, target = run / "checkpoints" / "best", f"step-{best or 0:06d}"
    if best is not None and (run / "checkpoints" / target).is_dir() and not _points_to(link, target):
        aside = link.with_name(".part-best")
        aside.unlink(missing_ok=True)
        aside.symlink_to(target)
        os.replace(aside, link)


def clean(run: Path) -> None:
    """Removes what an interrupted `save` or `prune` left behind."""
    for path in (run / "checkpoints").glob(".part-*"):
        _remove(path)


def _refuse_infinite(run: Path, snapshot: Snapshot) -> None:
    for name, weights in {**snapshot.networks, "the average": snapshot.average or {}}.items():
        bad = [key for key, value in weights.items() if _infinite(value)]
        if bad:
            raise UserError(
                f"{run}: at step {snapshot.step} {len(bad)} weights of {name} are not finite ({bad[0]}, ...), so no "
                f"checkpoint was written; {_last_good(run)}"
            )


def _infinite(value: Tensor) -> bool:
    return value.is_floating_point() and not bool(shards.local(value).isfinite().all())


def _state_tensors(snapshot: Snapshot) -> dict[str, Tensor]:
    tensors: dict[str, Tensor] = {}
    for network, parameters in snapshot.optimisers.items():
        for index, moments in parameters.items():
            tensors |= {f"optimiser/{network}/{index}/{key}": value for key, value in moments.items()}
    for rank, states in enumerate(snapshot.generators):
        tensors |= {f"generator/{rank}/{key}": value for key, value in states.items()}
    return tensors


def _state_json(snapshot: Snapshot) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "step": snapshot.step,
        "model": snapshot.model,
        "networks": list(snapshot.networks),
        "average": snapshot.average is not None,
        "sharded": snapshot.sharded,
        "counters": snapshot.counters,
        "sources": snapshot.sources,
    }


def _write_tensors(path: Path, tensors: dict[str, Tensor]) -> None:
    from safetensors.torch import save_file

    seen: set[int] = set()
    whole = {}
    for name, tensor in tensors.items():
        value = tensor.detach().to("cpu").contiguous()
        start = value.untyped_storage().data_ptr()
        whole[name] = value.clone() if start in seen else value  # tied weights: safetensors wants each its own memory
        seen.add(start)
    save_file(whole, path)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _remove(folder: Path) -> None:
    """Removes a folder so that it is gone at once: renamed first, since removing its files takes time."""
    if folder.is_symlink() or folder.is_file():
        folder.unlink()
    elif folder.is_dir():
        doomed = folder.with_name(f".part-old-{folder.name.removeprefix('.part-')}")
        shutil.rmtree(doomed, ignore_errors=True)
        os.rename(folder, doomed)
        shutil.rmtree(doomed)


# -------------------------------------------------------------------------------------------------------------- reading


def latest(run: Path) -> Path | None:
    """The checkpoint of the highest step, or None."""
    folders = _all(run)
    return folders[-1][1] if folders else None


def locate(path: str | Path) -> Path:
    """The checkpoint that a user means by `path`: itself, or the latest of a run folder.

    Raises:
        UserError: there is none; says what was expected.
    """
    folder = Path(path)
    if folder.is_file():
        raise UserError(f"{path}: is a file; give the folder of a checkpoint (.../checkpoints/step-...) or of a run")
    if not folder.is_dir():
        raise UserError(f"{path}: no such folder; give the folder of a checkpoint or of a run")
    if (folder / "state.json").is_file():
        return folder
    found = latest(folder)
    if found is None:
        raise UserError(
            f"{path}: not a checkpoint (it has no state.json) and not a run (it has no checkpoints/step-...)"
        )
    return found


def read(folder: Path, small: bool = False) -> Snapshot:
    """Reads a checkpoint.

    Args:
        small: leave what lies in shards where it is; each process then reads its own.

    Raises:
        UserError: a file of it is missing, damaged or foreign; names the file.
    """
    state = _read_state(folder)
    tensors = _read_tensors(folder / "state.safetensors")
    optimisers: dict[str, dict[int, dict[str, Tensor]]] = {name: {} for name in state["networks"]}
    generators: list[dict[str, Tensor]] = [{} for _ in state["sources"]]
    if state["sharded"] and not small:
        tensors |= shards.read(folder / shards.FOLDER, "optimiser/")
    for path, value in tensors.items():
        what, *keys = path.split("/")
        if what == "optimiser":
            network, index, key = "/".join(keys[:-2]), int(keys[-2]), keys[-1]
            optimisers[network].setdefault(index, {})[key] = value
        else:
            generators[int(keys[0])][keys[1]] = value
    left = small and state["sharded"]
    return Snapshot(
        step=state["step"],
        model=state["model"],
        networks={} if left else {name: _weights(folder, state, name) for name in state["networks"]},
        average=None if left or not state["average"] else _weights(folder, state, "ema"),
        optimisers=optimisers,
        generators=generators,
        sources=state["sources"],
        counters=state["counters"],
        sharded=state["sharded"],
        has_average=state["average"],
    )


def _weights(folder: Path, state: dict[str, Any], name: str) -> dict[str, Tensor]:
    """The weights of a network, or the average ("ema"), whole."""
    if not state["sharded"]:
        return _read_tensors(folder / f"{name}.safetensors")
    prefix = "average/" if name == "ema" else f"network/{name}/"
    held = shards.read(folder / shards.FOLDER, prefix)
    return {key.removeprefix(prefix): value for key, value in held.items()}


def position(path: str | Path) -> dict[str, Any]:
    """The place in the data of a checkpoint or run, and what else the data have written down there.

    Raises:
        UserError: no checkpoint there, or a damaged one.
    """
    sources = _read_state(locate(path))["sources"]
    return dict(sources[0]) if sources else {}


def load_model(path: str | Path, ema: bool = True) -> tuple[ModuleType, nn.Module, recipes.Recipe]:
    """The trained model of a checkpoint or run, on the CPU and in evaluation mode.

    Args:
        path: a checkpoint's folder, or a run's, which means its latest checkpoint.
        ema: the averaged weights where the checkpoint has them; False = the weights of that step.

    Returns:
        The model file, the model, and the resolved recipe.

    Raises:
        UserError: no checkpoint there, a damaged one, or one that does not fit its own recipe.
    """
    folder = locate(path)
    state = _read_state(folder)
    recipe = recipes.from_dict(config.read_yaml(folder / "config.yaml"), str(folder / "config.yaml"))
    name = "ema" if ema and state["average"] else state["model"]
    with torch.random.fork_rng([]):  # the first weights, which the saved ones replace, draw from the caller's generator
        model = recipe.module.Model(recipe.model)
        if recipe.lora is not None:
            lora.add(model, recipe.lora)
    fill(model, _weights(folder, state, name), f"{folder}: {name}")
    lora.merge(model)
    return recipe.module, model.eval(), recipe


def start_weights(path: str | Path) -> tuple[Path, dict[str, dict[str, Tensor]], str]:
    """What a new run may start from: (checkpoint, weights of each network, the name of the network that is the model).

    The model's weights are the averaged ones where there are any, with LoRA's additions added in.
    """
    folder = locate(path)
    state = _read_state(folder)
    files = {name: "ema" if name == state["model"] and state["average"] else name for name in state["networks"]}
    networks = {name: _weights(folder, state, file) for name, file in files.items()}
    if lora.adapters(networks[state["model"]]):
        networks[state["model"]] = load_model(folder)[1].state_dict()
    return folder, networks, state["model"]


def fill(network: nn.Module, weights: dict[str, Tensor], where: str) -> None:
    """Loads `weights` into `network`, all or nothing.

    Raises:
        UserError: names that are missing or beyond the network, or other shapes; lists the first of each.
    """
    own = network.state_dict()
    shapes = [
        f"{key} {list(weights[key].shape)} for {list(value.shape)}"
        for key, value in own.items()
        if key in weights and weights[key].shape != value.shape
    ]
    troubles = {
        "missing": [key for key in own if key not in weights],
        "extra": [key for key in weights if key not in own],
        "of another shape": shapes,
    }
    told = [f"{len(items)} {what} ({_first(items)})" for what, items in troubles.items() if items]
    if told:
        raise UserError(f"{where}: these weights do not fit the model: {'; '.join(told)}")
    network.load_state_dict(weights)


def _read_state(folder: Path) -> dict[str, Any]:
    path = folder / "state.json"
    try:
        state = json.loads(path.read_text("utf-8"))
        if state["format"] != FORMAT:
            raise UserError(f"{path}: of another version of aoide (format {state['format']}, this reads {FORMAT})")
        kinds = {"step": int, "model": str, "networks": list, "average": bool, "counters": dict, "sources": list}
        if not all(isinstance(state[key], kind) for key, kind in kinds.items()):
            raise TypeError
    except UserError:
        raise
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    except (ValueError, KeyError, TypeError):
        raise UserError(f"{path}: damaged, or not a checkpoint of aoide") from None
    return {"sharded": False, **state}


def _read_tensors(path: Path) -> dict[str, Tensor]:
    from safetensors.torch import load

    try:
        return load(path.read_bytes())  # a copy in memory, so that the checkpoint may be removed while the run goes on
    except FileNotFoundError:
        raise UserError(f"{path}: the checkpoint lacks this file") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    except _safetensors_error() as error:
        raise UserError(f"{path}: damaged, or not a safetensors file ({error})") from None


def _safetensors_error() -> type[Exception]:
    from safetensors import SafetensorError

    return SafetensorError


def _all(run: Path) -> list[tuple[int, Path]]:
    """(step, folder) of every checkpoint of a run, in order of steps; also when `run` is its folder `checkpoints`."""
    inner = run / "checkpoints"
    folder = inner if inner.is_dir() else run
    if not folder.is_dir():
        return []
    found = [(STEP.fullmatch(path.name), path) for path in folder.iterdir()]
    return sorted((int(match[1]), path) for match, path in found if match and path.is_dir())


def _last_good(run: Path) -> str:
    folder = latest(run)
    return f"the last good one is {folder}" if folder else "there is no earlier one"


def _points_to(link: Path, target: str) -> bool:
    return link.is_symlink() and os.readlink(link) == target


def _first(items: Iterable[str], most: int = 5) -> str:
    items = list(items)
    return ", ".join(items[:most]) + (f" and {len(items) - most} more" if len(items) > most else "")
