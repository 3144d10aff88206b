"""How a model is trained and, where the method has one, sampled: one file per method, loss and sampler side by side.

An objective file offers a `Config` (a model file names one as its `TRAINING`) and

    objective = Objective(config, module, model)
    objective.networks                    # name -> network; each has its own optimiser
    objective.steps(batch, generator)     # yields (network, losses): the loop moves that network, then asks for more
    objective.validate(batch, generator)  # name -> loss on held-out data

where `module` is the model file and `model` its built `Model`. The losses are weighted already; their sum is what to
minimise. This file holds what all methods need to read a model file.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import TYPE_CHECKING, Any

from aoide.config import UserError, near

if TYPE_CHECKING:
    from torch import Tensor, nn

Batch = Mapping[str, Any]
Loss = Callable[[Any, Batch], "Tensor"]


def inputs(module: ModuleType, batch: Batch) -> dict[str, Any]:
    """The fields of `batch` that the forward of the model file `module` names, as its keyword arguments.

    Raises:
        UserError: the batch lacks a field that the forward cannot do without.
    """
    wanted = {name: p for name, p in inspect.signature(module.Model.forward).parameters.items() if name != "self"}
    missing = [name for name, p in wanted.items() if p.default is p.empty and name not in batch]
    if missing:
        raise UserError(f"{module.__name__} needs {', '.join(missing)} but the data give {', '.join(batch)}")
    return {name: batch[name] for name in wanted if name in batch}


def named_losses(module: ModuleType, config: Any, weights: Mapping[str, float]) -> dict[str, Loss]:
    """Those of the model file's `LOSSES` that have a weight, ready to be called with (output, batch).

    A loss that needs the model's settings (a mel loss its filterbank) stands in `LOSSES` as a class: it is built here
    with the model's `Config`.

    Raises:
        UserError: a weight for a loss that the model does not have; names the near ones.
    """
    for name in weights:
        if name not in module.LOSSES:
            guess = near(name, module.LOSSES) or f" it has {', '.join(module.LOSSES)}"
            raise UserError(f"objective.weights.{name}: {module.__name__} has no such loss;{guess}")
    chosen = {name: module.LOSSES[name] for name, weight in weights.items() if weight}
    return {name: _following(loss(config)) if isinstance(loss, type) else loss for name, loss in chosen.items()}


def predicted(output: Any) -> Tensor:
    """What a denoiser's forward gives as its prediction: the output, or its field `prediction` where there is more."""
    return getattr(output, "prediction", output)


def target_space(model: nn.Module) -> Callable[[Tensor], Tensor]:
    """Brings the target to where noise is added: the model's `normalise`, or nothing where it has none."""
    return getattr(model, "normalise", _as_it_is)


def concealment(model: nn.Module) -> Callable[[Batch, Any], Mapping[str, Tensor]]:
    """What a model in training is not told this time: its `conceal(batch, generator)`, or nothing where it has none.

    It gives fields that are laid over those of the batch: a part of the sound that is to be filled in, a prompt that is
    cut out, a condition that is dropped for guidance.
    """
    return getattr(model, "conceal", _all_is_told)


def _all_is_told(batch: Batch, generator: Any) -> Mapping[str, Tensor]:
    return {}


def _as_it_is(target: Tensor) -> Tensor:
    return target


def _following(loss: Any) -> Loss:
    """`loss`; a module among them is brought, with its filterbanks and windows, to where the batch is."""
    if not hasattr(loss, "to"):
        return loss

    def call(output: Any, batch: Batch) -> Tensor:
        device = next(value.device for value in batch.values() if hasattr(value, "device"))
        return loss.to(device)(output, batch)

    return call
