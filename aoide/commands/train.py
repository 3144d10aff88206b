"""Train a model as a recipe says: aoide train RECIPE [key=value ...].

The run folder (runs/NAME for recipes/.../NAME.yaml) holds the resolved recipe, metrics.jsonl and checkpoints. Ctrl-C
ends the step and saves; the same command goes on from there, as it does after a crash. For several GPUs write
`torchrun --nproc-per-node 4 -m aoide.cli` in the place of `aoide`.

  aoide train recipes/tts/en-heart.yaml
  aoide train recipes/tts/en-heart.yaml model.decoder_dim=128 optimiser.lr=1e-3 --run runs/small
  aoide train recipes/tts/en-heart.yaml --run runs/mine --from runs/en-heart
  aoide train recipes/tts/en-heart-adapt.yaml data.manifest=data/mine --from en-heart
  aoide train runs/small --steps 20000                                    go on with a run, for longer
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aoide.config import UserError, near, require

if TYPE_CHECKING:
    import numpy as np

    from aoide.train.recipe import Recipe
    from aoide.train.start import Start

INTERRUPTED = 130  # 128 + SIGINT, as a shell reports it


def parser(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("recipe", type=Path, metavar="RECIPE", help="a YAML file, or the folder of a run to go on with")
    parser.add_argument("words", nargs="*", metavar="key=value", help="settings laid over the recipe: model.dim=256")
    parser.add_argument("--run", type=Path, metavar="DIR", help="the run folder (default: runs/ and the recipe's name)")
    parser.add_argument(
        "--from",
        dest="start",
        metavar="WEIGHTS",
        help="what a new run starts from: a run, a checkpoint, a voice (en-heart, or a folder), or published weights",
    )
    parser.add_argument(
        "--freeze",
        nargs="+",
        default=[],
        metavar="PATTERN",
        help="weights that stay as they are: modules, parameters, patterns; the same as optimiser.freeze=[...]",
    )
    parser.add_argument(
        "--lora",
        metavar="rank=8,alpha=16,...",
        help="train small additions of low rank instead of the weights; targets=attention+convolution, or names; "
        "the same as a section lora in the recipe",
    )
    parser.add_argument(
        "--accept", action="store_true", help="go on although the manifest has changed; its epoch begins anew"
    )
    parser.add_argument("--steps", type=int, metavar="N", help="where to end; the same as loop.steps=N")


def run(options: argparse.Namespace) -> int:
    for package in ("torch", "safetensors"):
        require(package, "train")
    from aoide.train import loop, recipe

    path, folder = _places(options.recipe, options.run)
    words = options.words + ([] if options.steps is None else [f"loop.steps={options.steps}"])
    words += [f"optimiser.freeze=[{', '.join(options.freeze)}]"] if options.freeze else []
    words += [] if options.lora is None else _lora(options.lora)
    read = recipe.read(path, words)
    start = None if options.start is None else _start(options.start, read)
    outcome = loop.train(read, folder, start=start, accept=options.accept, hear=_hear)
    return 0 if outcome.finished else INTERRUPTED


def _hear(mel: np.ndarray, settings: Any) -> np.ndarray | None:
    """Samples of a mel (frames, mels), by the vocoder of the package; None where that is for other mels."""
    from aoide import voices
    from aoide.generate.vocoder import Vocoder

    if voices.DEFAULT_VOCODER not in voices.names("vocoder"):
        return None
    vocoder = Vocoder(voices.DEFAULT_VOCODER)
    return vocoder.vocode(mel) if vocoder.mel == settings else None


def _lora(text: str) -> list[str]:
    """rank=8,targets=attention+head -> lora.rank=8, lora.targets=[attention, head]."""
    words = []
    for part in text.split(","):
        key, equals, value = part.partition("=")
        if not equals or not value:
            raise UserError(f"--lora {text}: expects settings such as rank=8,alpha=16,targets=attention+convolution")
        words.append(f"lora.{key}=[{', '.join(value.split('+'))}]" if key in ("targets", "train") else f"lora.{part}")
    return words


def _start(source: str, recipe: Recipe) -> Start:
    """What `--from` means: a run or checkpoint, a voice that kept its weights, else weights that somebody published."""
    from aoide import voices
    from aoide.train import start

    path = Path(source)
    if source not in voices.names() and (path / "state.json").is_file() or (path / "checkpoints").is_dir():
        return start.of_run(path)
    if source in voices.names() or (path / "voice.json").is_file():
        return start.of_folder(voices.find(source), recipe.name)
    if not source.startswith("hf:") and not path.exists():
        guess = near(source, voices.names()) or " give a run, a checkpoint, a voice, published weights or hf:owner/name"
        raise UserError(f"--from {source}: there is no such run or voice;{guess}")
    if path.is_dir() and not hasattr(recipe.module, "from_official"):
        return start.of_run(path)  # which says what a run or a checkpoint is
    from aoide.generate import published

    model = published.load(recipe.name, recipe.module, source)
    _same_settings(source, model.config, recipe)
    return start.Start(where=source, networks={"model": model.state_dict()}, model="model")


def _same_settings(source: str, theirs: Any, recipe: Recipe) -> None:
    """Published weights decide what the model is; a recipe with other settings would read them wrongly."""
    from aoide.config import to_dict
    from aoide.train.recipe import differences

    told = differences(to_dict(recipe.model), to_dict(theirs), "model")
    if told:
        say = "; ".join(line.replace(" was ", " is ").replace(", is ", " in the recipe, ") for line in told[:5])
        raise UserError(f"--from {source}: these weights are of other settings: {say} in the weights; set them alike")


def _places(recipe: Path, run: Path | None) -> tuple[Path, Path]:
    """The recipe's file and the run folder; a run folder in the recipe's place brings its own resolved recipe."""
    if not recipe.is_dir():
        return recipe, run or Path("runs") / recipe.stem
    if not (recipe / "config.yaml").is_file():
        raise UserError(f"{recipe}: is not a run (it has no config.yaml); give a recipe or the folder of a run")
    return recipe / "config.yaml", run or recipe
