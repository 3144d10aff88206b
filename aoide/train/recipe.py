"""A recipe: the YAML file that names a model, how and on what to train it, and only what differs from the defaults.

    model: {name: tts/fastspeech2, dim: 256}     the path of the model file, and fields of its Config
    objective: {weights: {mel: 10.0}}            fields of the method's Config, laid over the model's TRAINING
    data: {kind: speech, manifest: data/x}       the file in aoide/data, and fields of its Config
    optimiser: {lr: 5.0e-4}                      train/optimiser.py
    loop: {steps: 100_000}                       `Loop` below
    lora: {rank: 8}                              nn/lora.py; without it all weights are trained

`objective.name` chooses another method than the model's own. A resolved recipe (`to_dict`) has every field written
out; it stands in the run folder and in each checkpoint, and reads back as the same recipe.
"""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

from aoide import config
from aoide.config import UserError, near
from aoide.models.find import find
from aoide.nn import lora
from aoide.train import optimiser

GROUPS = ("model", "objective", "data", "optimiser", "loop", "lora")


@dataclass(frozen=True, kw_only=True, slots=True)
class Loop:
    """The settings of the training loop."""

    steps: int = 100_000
    accumulate: int = 1  # batches whose gradients make one step
    clip: float | None = 1.0  # norm of a network's gradient, above which it is scaled down; null = as it is
    ema: float | None = 0.999  # decay of the average of the weights; null = no average
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"  # of autocast on a GPU; a CPU always computes in fp32
    device: Literal["auto", "cpu", "cuda"] = "auto"  # auto = a GPU when there is one
    threads: int | None = None  # of torch on a CPU; null = as torch chooses
    seed: int = 0
    log_every: int = 50  # steps
    validate_every: int = 1000  # steps; 0 = only at the end
    save_every: int = 1000  # steps; the end and the best are saved too
    keep: int = 3  # newest checkpoints that stay, beside the best
    max_skips: int = 10  # steps in a row whose losses are not finite, after which the run stops
    tensorboard: bool = True  # where TensorBoard is installed
    trackio: bool = False  # the numbers to trackio as well, which the extra `track` installs
    parallel: Literal["ddp", "fsdp"] = "ddp"  # of several processes: each the whole model, or each a shard of it

    def __post_init__(self) -> None:
        least = {
            "steps": 1,
            "accumulate": 1,
            "log_every": 1,
            "validate_every": 0,
            "save_every": 1,
            "keep": 1,
            "max_skips": 1,
        }
        for name, value in least.items():
            if getattr(self, name) < value:
                raise ValueError(f"{name} must be {value} or more, got {getattr(self, name)}")
        if self.ema is not None and not 0 <= self.ema < 1:
            raise ValueError(f"ema is the decay of an average and must be in [0, 1), got {self.ema}")
        if self.clip is not None and self.clip <= 0:
            raise ValueError(f"clip must be above 0 (or null), got {self.clip}")
        if self.threads is not None and self.threads < 1:
            raise ValueError(f"threads must be 1 or more (or null), got {self.threads}")


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What to train, how, on what: modules and their built configs."""

    where: str  # the file, for errors
    name: str  # of the model: tts/fastspeech2
    module: ModuleType  # the model file
    model: Any  # its Config
    method: ModuleType  # the objective file
    objective: Any  # its Config
    kind: str  # of the data: speech
    source: ModuleType  # the file in aoide/data
    data: Any  # its Config
    optimiser: optimiser.Config
    loop: Loop
    lora: lora.Config | None = None

    def to_dict(self) -> dict[str, Any]:
        """The resolved recipe as plain data."""
        objective = config.to_dict(self.objective)
        if self.method is not self.module:
            objective = {"name": self.method.__name__.rpartition(".")[2], **objective}
        adapted = {} if self.lora is None else {"lora": config.to_dict(self.lora)}
        return {
            "model": {"name": self.name, **config.to_dict(self.model)},
            "objective": objective,
            "data": {"kind": self.kind, **config.to_dict(self.data)},
            "optimiser": config.to_dict(self.optimiser),
            "loop": config.to_dict(self.loop),
            **adapted,
        }

    def open_source(self) -> Any:
        """The data: `SpeechData` of aoide/data/speech.py, given what it asks for of the model's needs and clock."""
        needs = self.module.needs(self.objective) if hasattr(self.module, "needs") else self.module.NEEDS
        if hasattr(self.module, "follows"):  # what depends on the model's settings: curves, languages
            needs = (*needs, *self.module.follows(self.model))
        needs = (*needs, *(name for name in self._told() if name not in needs))
        offered = {
            "needs": needs,
            "mel": getattr(self.model, "mel", None),
            "tokenizer": _tokenizer() if "tokens" in needs else None,
            "frame_rate": getattr(self.model, "frame_rate", None),
            "sample_rate": getattr(self.model, "sample_rate", None),
            **{name: getattr(self.model, name, None) for name in ("symbols", "speakers", "languages")},
            **{name: getattr(self.model, name, None) for name in ("stem_mel", "stems", "lyric_rate", "style_dim")},
            "drawn": getattr(self.model, "drawn", ()),
            "gapless": getattr(self.module, "GAPLESS", False),
            "bands": _bands(self.model),
        }
        data = getattr(self.source, f"{self.kind.title()}Data")
        asked = [name for name in inspect.signature(data).parameters if name in offered]
        try:
            return data(self.data, **{name: offered[name] for name in asked})
        except UserError as error:
            raise UserError(f"{self.where}: {error}") from None

    def _told(self) -> list[str]:
        """Fields of data.networks that the model takes where they are given."""
        takes = inspect.signature(self.module.Model.forward).parameters
        return [name for name in getattr(self.data, "networks", ()) if name in takes]


def read(path: str | Path, words: Iterable[str] = ()) -> Recipe:
    """Reads a recipe with `model.dim=256` words laid over it.

    Raises:
        UserError: the file cannot be read, or names something that does not exist; says what, and what is near.
    """
    return from_dict(config.override(config.read_yaml(path), words), str(path))


def from_dict(data: dict[str, Any], where: str) -> Recipe:
    """Builds a recipe from plain data; `where` is the file, for errors."""
    for key in data:
        if key not in GROUPS:
            guess = near(key, GROUPS) or f" a recipe has {', '.join(GROUPS)}"
            raise UserError(f"{where}: {key}: no such setting;{guess}")
    groups = {key: _group(data, key, where) for key in GROUPS}
    name = _pop(groups["model"], "name", where, "model", "the path of a model, such as tts/fastspeech2")
    try:
        module = find(name)
    except UserError as error:
        raise UserError(f"{where}: model.name: {error}") from None
    method, objective = _objective(module, groups["objective"], where)
    kind = _pop(groups["data"], "kind", where, "data", "what the data are, such as speech")
    source = _data_file(kind, where)
    return Recipe(
        where=where,
        name=name,
        module=module,
        model=config.build(module.Config, groups["model"], where, "model"),
        method=method,
        objective=objective,
        kind=kind,
        source=source,
        data=config.build(source.Config, groups["data"], where, "data"),
        optimiser=config.build(optimiser.Config, groups["optimiser"], where, "optimiser"),
        loop=config.build(Loop, groups["loop"], where, "loop"),
        lora=config.build(lora.Config, groups["lora"], where, "lora") if "lora" in data else None,
    )


def differences(old: Any, new: Any, path: str = "") -> list[str]:
    """What differs between two resolved recipes, a line each: `optimiser.lr was 0.0002, is 0.0001`."""
    if isinstance(old, dict) and isinstance(new, dict):
        keys = [*old, *(key for key in new if key not in old)]
        below = (differences(old.get(key), new.get(key), f"{path}.{key}" if path else str(key)) for key in keys)
        return [line for lines in below for line in lines]
    return [] if old == new else [f"{path} was {old}, is {new}"]


def _group(data: dict[str, Any], key: str, where: str) -> dict[str, Any]:
    group = data.get(key)
    if group is None:
        return {}
    if not isinstance(group, dict):
        raise UserError(f"{where}: {key}: expects settings (`name: value` lines), got {group!r}")
    return dict(group)


def _pop(group: dict[str, Any], key: str, where: str, path: str, meaning: str) -> str:
    value = group.pop(key, None)
    if not isinstance(value, str):
        got = "nothing" if value is None else repr(value)
        raise UserError(f"{where}: {path}.{key}: expects {meaning}, got {got}")
    return value


def _bands(model: Any) -> tuple[int, int] | None:
    """Points of the envelope and of the aperiodicity, of a model that predicts them."""
    return (model.bands, model.noise_bands) if hasattr(model, "bands") and hasattr(model, "noise_bands") else None


def _tokenizer() -> Any:
    from aoide.text.phonemes import SYMBOLS
    from aoide.text.tokenizer import Tokenizer

    return Tokenizer(SYMBOLS)


def _objective(module: ModuleType, group: dict[str, Any], where: str) -> tuple[ModuleType, Any]:
    """The method's file and its Config: the model's TRAINING with the recipe laid over it, or another method's own."""
    own = sys.modules[type(module.TRAINING).__module__]  # an objective file; the model file where a model trains itself
    name = group.pop("name", None)
    chosen = own
    if name is not None:
        known = _files(Path(__file__).parents[1] / "objectives")
        if name not in known:
            raise UserError(f"{where}: objective.name: no method {name!r};{near(str(name), known) or _list(known)}")
        chosen = importlib.import_module(f"aoide.objectives.{name}")
    settings = _lay_over(config.to_dict(module.TRAINING), group) if chosen is own else group
    return chosen, config.build(chosen.Config, settings, where, "objective")


def _data_file(kind: str, where: str) -> ModuleType:
    folder = Path(__file__).parents[1] / "data"
    files = {name: (folder / f"{name}.py").read_text("utf-8") for name in _files(folder)}
    known = [name for name, text in files.items() if f"class {name.title()}Data" in text]
    if kind not in known:
        raise UserError(f"{where}: data.kind: no data of kind {kind!r};{near(kind, known) or _list(known)}")
    return importlib.import_module(f"aoide.data.{kind}")


def _lay_over(below: Any, above: Any) -> Any:
    if not (isinstance(below, dict) and isinstance(above, dict)):
        return above
    return below | {key: _lay_over(below.get(key), value) for key, value in above.items()}


def _files(folder: Path) -> list[str]:
    return sorted(path.stem for path in folder.glob("[!_]*.py"))


def _list(names: Iterable[str]) -> str:
    return f" there are {', '.join(names)}"
