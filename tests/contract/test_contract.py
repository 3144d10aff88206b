"""What every model file promises (aoide/models/__init__.py), tested on all of them as they are found."""

from __future__ import annotations

import dataclasses
import inspect
import re
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from aoide.models import find
from aoide.objectives import inputs
from tests import toy

ROOT = Path(__file__).parents[2]
SECONDS_TO_BUILD = 1.0

# Which axis the second dimension of a field of a batch is; fields of one dimension have none.
AXES = {
    "tokens": "token",
    "durations": "token",
    "mel": "frame",
    "f0": "frame",
    "energy": "frame",
    "spectra": "frame",
    "envelope": "frame",
    "aperiodicity": "frame",
    "codes": "frame",
    "audio": "sample",
}

pytestmark = pytest.mark.parametrize("name", find.names())


def _build(name: str, seed: int = 0) -> tuple[ModuleType, nn.Module]:
    module = find.find(name)
    torch.manual_seed(seed)
    return module, module.Model(module.TOY)


def _wake(model: nn.Module) -> None:
    """Moves parameters off their first values: one that starts at 0 would hide what stands before it from the loss."""
    torch.manual_seed(5)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.05)


def _example(module: ModuleType, batch: int = 2, seed: int = 1) -> dict[str, Tensor]:
    return module.example(module.TOY, batch=batch, generator=torch.Generator().manual_seed(seed))


def _run(module: ModuleType, model: nn.Module, batch: dict[str, Tensor]) -> dict[str, Tensor]:
    """The outputs by name, in eval mode; random draws, if any, from a fixed seed."""
    torch.manual_seed(3)
    with torch.no_grad():
        return toy.named(model.eval()(**inputs(module, batch)))


# -------------------------------------------------------------------------------------------------------------- surface


def test_file_offers_what_every_model_file_offers(name: str) -> None:
    module = find.find(name)
    surface = ("Config", "Model", "TRAINING", "LOSSES", "NEEDS", "TOY", "example")
    assert [word for word in surface if not hasattr(module, word)] == []
    assert dataclasses.is_dataclass(module.Config) and isinstance(module.TOY, module.Config)
    frozen = module.Config.__dataclass_params__  # type: ignore[attr-defined]
    assert frozen.frozen and hasattr(module.Config, "__slots__")
    assert all(f.kw_only for f in dataclasses.fields(module.Config))
    assert all(callable(loss) for loss in module.LOSSES.values())
    assert set(module.NEEDS) <= set(_example(module)), "the example holds what the data must provide"
    assert module.Config() == module.Config(), "all settings have defaults"
    assert inspect.getdoc(module.Model.forward), "forward says its shapes"


def test_docstring_keeps_its_word(name: str) -> None:
    module = find.find(name)
    text = module.__doc__ or ""
    assert "->" in text, "input -> output stands in the docstring"
    files = re.findall(r"(?<![\w/])(?:tests|recipes|aoide|objectives|nn|docs)/[\w/.-]+\.\w+", text)
    roots = {"objectives": ROOT / "aoide", "nn": ROOT / "aoide"}
    missing = [file for file in files if not (roots.get(file.split("/")[0], ROOT) / file).is_file()]
    assert missing == [], "files named in the docstring exist"
    claims = [line for line in text.splitlines() if re.search(r"\bparity\b", line, re.IGNORECASE)]
    if any("tests/parity/" in line for line in claims):
        assert hasattr(module, "from_official"), "parity is claimed, so published weights can be loaded"


# ---------------------------------------------------------------------------------------------------------------- model


def test_builds_in_a_moment(name: str) -> None:
    module = find.find(name)
    module.Model(module.TOY)  # the first build pays for what torch loads on first use
    started = time.process_time()
    model = module.Model(module.TOY)
    assert time.process_time() - started < SECONDS_TO_BUILD
    assert model.config is module.TOY


def test_shapes_are_those_promised(name: str) -> None:
    """What a model gives under the name of a field of the batch has the shape of that field."""
    module, model = _build(name)
    batch = _example(module)
    for field, value in _run(module, model, batch).items():
        assert value.ndim == 0 or len(value) == 2, f"{field} has a batch dimension"
        if field in batch:
            assert value.shape == batch[field].shape, field
        if value.is_floating_point():
            assert value.dtype == torch.float32, field


def test_every_parameter_learns_and_one_step_moves_all(name: str) -> None:
    module, model = _build(name)
    _wake(model)
    judge = toy.objective(module, model.train())
    before = {id(p): p.detach().clone() for network in judge.networks.values() for p in network.parameters()}
    turns = []

    def moved(network_name: str, network: nn.Module, losses: Any) -> None:
        turns.append(network_name)
        assert losses and all(value.ndim == 0 for value in losses.values()), "named scalars"
        for key, parameter in network.named_parameters():
            assert parameter.grad is not None, f"{network_name}: {key} gets no gradient"
            assert torch.isfinite(parameter.grad).all(), f"{network_name}: {key} gets a gradient that is not finite"
            assert not torch.equal(parameter, before[id(parameter)]), f"{network_name}: {key} does not move"

    toy.train(judge, [_example(module)], moved)
    assert set(turns) == set(judge.networks), "every network has its turn"


def test_same_seed_same_output(name: str) -> None:
    module, first = _build(name, seed=7)
    _, second = _build(name, seed=7)
    batch = _example(module)
    one, two, again = (_run(module, model, batch) for model in (first, second, first))
    for field, value in one.items():
        assert torch.equal(value, two[field]) and torch.equal(value, again[field]), field


def test_training_is_repeatable(name: str) -> None:
    """The same seeds give the same weights after two steps, dropout included."""
    ends = []
    for _ in range(2):
        module, model = _build(name)
        toy.train(toy.objective(module, model.train()), [_example(module, seed=seed) for seed in (1, 2)])
        ends.append(model.state_dict())
    for key, value in ends[0].items():
        assert torch.equal(value, ends[1][key]), key


def test_padding_changes_nothing_real(name: str) -> None:
    """An item gives the same alone as beside another one, with noise in what pads it."""
    module, model = _build(name)
    _wake(model)
    assert any(field.endswith("_mask") for field in inspect.signature(module.Model.forward).parameters), "takes a mask"
    batches = [_example(module, batch=3, seed=seed) for seed in range(1, 4)]
    items = [_alone({field: value[i : i + 1] for field, value in batch.items()}) for batch in batches for i in range(3)]
    items.sort(key=lambda item: [size for axis, size in sorted(_lengths(item).items())])
    item, longest = items[0], items[-1]
    together = {field: torch.cat(_pad(field, item, longest)) for field in item}
    alone, beside = _run(module, model, item), _run(module, model, together)
    for field, want in alone.items():
        if want.ndim == 0:
            continue  # a statistic of the batch
        got = beside[field][(slice(0, 1), *(slice(0, size) for size in want.shape[1:]))]
        torch.testing.assert_close(got, want, atol=2e-5, rtol=1e-3, msg=lambda text, field=field: f"{field}: {text}")


def test_save_and_load_are_bit_equal(name: str, tmp_path: Path) -> None:
    module, model = _build(name)
    save_file(model.state_dict(), str(tmp_path / "model.safetensors"))
    _, other = _build(name, seed=1)
    other.load_state_dict(load_file(str(tmp_path / "model.safetensors")))
    batch = _example(module)
    one, two = _run(module, model, batch), _run(module, other, batch)
    for field, value in one.items():
        assert torch.equal(value, two[field]), field


def test_no_nan_on_silence(name: str) -> None:
    module, model = _build(name)
    batch = _example(module)
    quiet = {"audio": 0.0, "f0": 0.0, "energy": 0.0}
    if hasattr(module.TOY, "mel"):
        quiet["mel"] = module.TOY.mel.silence
    batch |= {field: torch.full_like(batch[field], value) for field, value in quiet.items() if field in batch}
    for field, value in _run(module, model, batch).items():
        assert not torch.isnan(value).any(), field  # an infinity may be meant: the log of what cannot be

    def moved(network_name: str, network: nn.Module, losses: dict[str, Tensor]) -> None:
        assert all(torch.isfinite(value) for value in losses.values()), losses
        assert all(torch.isfinite(p.grad).all() for p in network.parameters() if p.grad is not None)

    toy.train(toy.objective(module, model.train()), [batch], moved)


def test_validation_gives_named_scalars_without_gradients(name: str) -> None:
    module, model = _build(name)
    losses = toy.objective(module, model.eval()).validate(_example(module), torch.Generator().manual_seed(0))
    assert losses and all(value.ndim == 0 and not value.requires_grad for value in losses.values())


# -------------------------------------------------------------------------------------------------------------- padding


def _axis(field: str, batch: dict[str, Tensor]) -> str | None:
    """Which axis the second dimension of this field is, None if it has none."""
    if field.endswith("_mask"):
        return field.removesuffix("_mask")
    if batch[field].ndim < 2 or field.endswith("_vector"):
        return None
    if field == "noisy":  # it is like what noise is added to
        return "frame" if batch[field].ndim == 3 else "sample" if "audio" in batch else "token"
    if field in AXES:
        return AXES[field]
    masks = [key for key in batch if key.endswith("_mask") and batch[key].shape[1] == batch[field].shape[1]]
    same = [key.removesuffix("_mask") for key in masks]
    assert len(same) == 1, f"add the axis of {field} to AXES in {__file__}"
    return same[0]


def _lengths(batch: dict[str, Tensor]) -> dict[str, int]:
    """How much of each axis of a batch of one is real."""
    lengths = {field.removesuffix("_mask"): int(mask.sum()) for field, mask in batch.items() if field.endswith("_mask")}
    if "audio" in batch:
        lengths["sample"] = lengths["frame"] * (batch["audio"].shape[1] // batch["frame_mask"].shape[1])
    return lengths


def _alone(batch: dict[str, Tensor]) -> dict[str, Tensor]:
    """A batch of one, without padding."""
    lengths = _lengths(batch)
    sizes = {field: lengths.get(_axis(field, batch) or "") for field in batch}
    return {field: value if sizes[field] is None else value[:, : sizes[field]] for field, value in batch.items()}


def _pad(field: str, *items: dict[str, Tensor]) -> list[Tensor]:
    """This field of several batches of one at a common length; noise pads numbers, 0 the rest.

    The longest item gives the length, as the data layer does it; where all have the same, it is some places more.
    """
    torch.manual_seed(9)
    axis = _axis(field, items[0])
    if axis is None:
        return [item[field] for item in items]
    hop = _lengths(items[0])["sample"] // _lengths(items[0])["frame"] if axis == "sample" else 1
    sizes = {_lengths(item)["frame" if axis == "sample" else axis] for item in items}
    size = max(sizes) + (5 if len(sizes) == 1 else 0)
    padded = []
    for item in items:
        value = item[field]
        shape = (1, size * hop - value.shape[1], *value.shape[2:])
        filling = 3 * torch.randn(shape) if value.is_floating_point() else torch.zeros(shape, dtype=value.dtype)
        padded.append(torch.cat([value, filling], dim=1))
    return padded
