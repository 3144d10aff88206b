"""Checkpoints: folders that are whole or not there, hold all that a run is, and read back bit for bit.

    run/checkpoints/step-000123/
        <network>.safetensors    weights of each network of the objective
        ema.safetensors          the averaged weights of the model, where the recipe asks for an average
        config.yaml              the resolved recipe
        state.safetensors        the optimisers' moments, the random generators of every process
        state.json               step, positions in the data, counters, and which network is the model
    run/checkpoints/best         a link to the one with the lowest validation loss

A checkpoint is written aside, synced to the disk and renamed; so whatever moment the power fails, every folder named
`step-...` is complete. Nothing here is a pickle: reading a foreign file runs no code.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from aoide import config
from aoide.config import UserError
from aoide.train import recipe as recipes

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
        folder.parent.mkdir(parents=True, exist_ok=True)
        _remove(aside)
        aside.mkdir()
        for name, weights in snapshot.networks.items():
            _write_tensors(aside / f"{name}.safetensors", weights)
        if snapshot.average is not None:
            _write_tensors(aside / "ema.safetensors", snapshot.average)
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
        bad = [key for key, value in weights.items() if value.is_floating_point() and not value.isfinite().all()]
        if bad:
            raise UserError(
                f"{run}: at step {snapshot.step} {len(bad)} weights of {name} are not finite ({bad[0]}, ...), so no "
                f"checkpoint was written; {_last_good(run)}"
            )


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


def read(folder: Path) -> Snapshot:
    """Reads a checkpoint.

    Raises:
        UserError: a file of it is missing, damaged or foreign; names the file.
    """
    state = _read_state(folder)
    tensors = _read_tensors(folder / "state.safetensors")
    optimisers: dict[str, dict[int, dict[str, Tensor]]] = {name: {} for name in state["networks"]}
    generators: list[dict[str, Tensor]] = [{} for _ in state["sources"]]
    for path, value in tensors.items():
        what, *keys = path.split("/")
        if what == "optimiser":
            network, index, key = "/".join(keys[:-2]), int(keys[-2]), keys[-1]
            optimisers[network].setdefault(index, {})[key] = value
        else:
            generators[int(keys[0])][keys[1]] = value
    return Snapshot(
        step=state["step"],
        model=state["model"],
        networks={name: _read_tensors(folder / f"{name}.safetensors") for name in state["networks"]},
        average=_read_tensors(folder / "ema.safetensors") if state["average"] else None,
        optimisers=optimisers,
        generators=generators,
        sources=state["sources"],
        counters=state["counters"],
    )


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
    fill(model, _read_tensors(folder / f"{name}.safetensors"), str(folder / f"{name}.safetensors"))
    return recipe.module, model.eval(), recipe


def start_weights(path: str | Path) -> tuple[Path, dict[str, dict[str, Tensor]], str]:
    """What a new run may start from: (checkpoint, weights of each network, the name of the network that is the model).

    The model's weights are the averaged ones where there are any.
    """
    folder = locate(path)
    state = _read_state(folder)
    files = {name: "ema" if name == state["model"] and state["average"] else name for name in state["networks"]}
    return folder, {name: _read_tensors(folder / f"{file}.safetensors") for name, file in files.items()}, state["model"]


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
    return state


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
