"""Train a model as a recipe says: aoide train RECIPE [key=value ...].

The run folder (runs/NAME for recipes/.../NAME.yaml) holds the resolved recipe, metrics.jsonl and checkpoints. Ctrl-C
ends the step and saves; the same command goes on from there, as it does after a crash. For several GPUs write
`torchrun --nproc-per-node 4 -m aoide.cli` in the place of `aoide`.

  aoide train recipes/tts/en-heart.yaml
  aoide train recipes/tts/en-heart.yaml model.decoder_dim=128 optimiser.lr=1e-3 --run runs/small
  aoide train recipes/tts/en-heart.yaml --run runs/mine --from runs/en-heart
  aoide train runs/small --steps 20000                                    go on with a run, for longer
"""

from __future__ import annotations

import argparse
from pathlib import Path

from aoide.config import UserError, require

INTERRUPTED = 130  # 128 + SIGINT, as a shell reports it


def parser(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("recipe", type=Path, metavar="RECIPE", help="a YAML file, or the folder of a run to go on with")
    parser.add_argument("words", nargs="*", metavar="key=value", help="settings laid over the recipe: model.dim=256")
    parser.add_argument("--run", type=Path, metavar="DIR", help="the run folder (default: runs/ and the recipe's name)")
    parser.add_argument(
        "--from",
        dest="start",
        type=Path,
        metavar="CHECKPOINT",
        help="a checkpoint or a run whose weights a new run starts from",
    )
    parser.add_argument("--steps", type=int, metavar="N", help="where to end; the same as loop.steps=N")


def run(options: argparse.Namespace) -> int:
    for package in ("torch", "safetensors"):
        require(package, "train")
    from aoide.train import loop, recipe

    path, folder = _places(options.recipe, options.run)
    words = options.words + ([] if options.steps is None else [f"loop.steps={options.steps}"])
    outcome = loop.train(recipe.read(path, words), folder, start=options.start)
    return 0 if outcome.finished else INTERRUPTED


def _places(recipe: Path, run: Path | None) -> tuple[Path, Path]:
    """The recipe's file and the run folder; a run folder in the recipe's place brings its own resolved recipe."""
    if not recipe.is_dir():
        return recipe, run or Path("runs") / recipe.stem
    if not (recipe / "config.yaml").is_file():
        raise UserError(f"{recipe}: is not a run (it has no config.yaml); give a recipe or the folder of a run")
    return recipe / "config.yaml", run or recipe
