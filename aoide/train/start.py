"""What a new run may start from: a run, a checkpoint, a voice that kept its weights, or weights that others published.

    start = of_run(Path("runs/en-heart"))           a run or one checkpoint of it
    start = of_folder(Path("voices/en-heart"))      an exported voice with weights.safetensors beside its graph
    start = Start(where="...", networks={"model": model.state_dict()}, model="model")     anything else

weights.safetensors of a voice holds its model's weights as its graph does: large ones as int8 with a scale for each
row (`NAME` and `NAME/scale`), small ones as they are; its metadata say which model file they are of.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from aoide import config
from aoide.config import UserError
from aoide.train import checkpoint

FILE = "weights.safetensors"
LEAST = 1024  # numbers; smaller tensors, biases and norms, are kept in full
SCALE = "/scale"


@dataclass(frozen=True, kw_only=True, slots=True)
class Start:
    """Weights by network, and the name of the network that is the model."""

    where: str  # for people
    networks: dict[str, dict[str, Tensor]]
    model: str


def of_run(path: Path) -> Start:
    """The weights of a checkpoint or of a run's latest; those of the model averaged where there is an average.

    Raises:
        UserError: none there, or a damaged one.
    """
    folder, networks, model = checkpoint.start_weights(path)
    return Start(where=str(folder), networks=networks, model=model)


def of_folder(folder: Path, model: str) -> Start:
    """The weights of an exported voice.

    Args:
        folder: of the voice.
        model: the model file that the run trains, such as tts/fastspeech2s.

    Raises:
        UserError: the folder keeps no weights, they are damaged, or they are of another model.
    """
    path = folder / FILE
    if not path.is_file():
        raise UserError(f"{folder}: keeps no weights to start from (no {FILE}); export it anew with --trainable")
    tensors, about = _read(path)
    if about.get("model") != model:
        raise UserError(
            f"{folder}: is a {about.get('model')}, the recipe trains a {model}; choose a recipe of its model"
        )
    whole = {
        name: value.float() * tensors[name + SCALE] if name + SCALE in tensors else value
        for name, value in tensors.items()
        if not name.endswith(SCALE)
    }
    return Start(where=str(folder), networks={"model": whole}, model="model")


def keep(folder: Path, name: str, model: nn.Module) -> Path:
    """Writes the weights of `model`, of the model file `name`, into the folder of its voice; returns the file.

    The rows are rounded as in the graph of 8 bits, so a run starts from just the weights that are heard.
    """
    from safetensors.torch import save_file

    tensors: dict[str, Tensor] = {}
    for key, value in model.state_dict().items():
        if value.ndim < 2 or value.numel() < LEAST or not value.is_floating_point():
            tensors[key] = value.detach().contiguous().clone()
            continue
        scale = value.abs().amax(dim=tuple(range(1, value.ndim)), keepdim=True) / 127
        scale = torch.where(scale == 0, 1.0, scale)
        tensors[key] = (value / scale).round().to(torch.int8)
        tensors[key + SCALE] = scale
    settings = getattr(model, "config", None)
    about = {"model": name, "config": json.dumps({} if settings is None else config.to_dict(settings))}
    with config.write_aside(folder / FILE) as aside:
        save_file(tensors, aside, metadata=about)
        aside.chmod(0o644)  # safetensors makes files that only their owner can read
    return folder / FILE


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise UserError(f"{path}: damaged, or not a safetensors file ({error})") from None
