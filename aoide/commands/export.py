"""Make a voice, vocoder or codec of a trained model: aoide export RUN -o FOLDER.

The folder works without torch: aoide say --voice FOLDER, aoide resynth --vocoder FOLDER, aoide encode --codec FOLDER.
It holds the graph, its description and a model card whose gaps you fill in.

  aoide export runs/en-heart -o exported/en-heart --licence MIT
  aoide export runs/en-heart/checkpoints/best -o small --name en-heart --quantise
  aoide export runs/fastspeech2 --vocoder runs/vocos -o mine
  aoide export runs/universal-24k -o exported/universal-24k --polish 10,16,2
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aoide.config import UserError, require, to_dict

if TYPE_CHECKING:
    from aoide.train.recipe import Recipe


def parser(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "run", type=Path, metavar="RUN", help="a run, which means its latest checkpoint, or one checkpoint"
    )
    parser.add_argument(
        "-o", "--output", type=Path, required=True, metavar="FOLDER", help="the voice: a folder that does not exist yet"
    )
    parser.add_argument(
        "--vocoder",
        type=Path,
        metavar="RUN",
        help="for a model that ends at a mel: the run of the vocoder that goes on",
    )
    parser.add_argument("--speaker", type=int, metavar="N", help="for a model of several: which of them, from 0")
    parser.add_argument("--name", metavar="NAME", help="of the voice (default: that of the folder)")
    parser.add_argument(
        "--language", default="en", metavar="CODE", help="whose front end reads the text (default: %(default)s)"
    )
    parser.add_argument("--licence", default="not stated", metavar="TEXT", help="of the voice, for its card")
    parser.add_argument("--summary", default="", metavar="TEXT", help="one line about the voice, for lists")
    parser.add_argument(
        "--quantise", action="store_true", help="8-bit weights: a quarter of the size, a little less exact"
    )
    parser.add_argument(
        "--trainable", action="store_true", help="keep the weights too (in 8 bits), for aoide train --from FOLDER"
    )
    parser.add_argument(
        "--polish",
        type=_steps,
        metavar="N[,L,N]",
        help="Griffin-Lim steps of a vocoder that has them: of all, of the lower half, of all (default: as trained)",
    )
    parser.add_argument(
        "--no-ema", dest="ema", action="store_false", help="the weights of the last step instead of their average"
    )


def _steps(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(","))


def run(options: argparse.Namespace) -> int:
    require("torch", "export")
    require("onnx", "export")
    require("onnxscript", "export")
    from aoide.generate import export
    from aoide.text import frontend
    from aoide.text.phonemes import SYMBOLS
    from aoide.train import checkpoint, start

    frontend(options.language)  # an unknown language ends here
    if options.output.exists():
        raise UserError(f"{options.output}: exists already; give a new folder, or remove that one")
    folder = checkpoint.locate(options.run)
    module, model, recipe = checkpoint.load_model(folder, ema=options.ema)
    task = recipe.name.partition("/")[0]
    if task in ("vocoder", "codec"):
        return _pack(task, module, model, recipe, folder, options)
    vocoder = checkpoint.load_model(checkpoint.locate(options.vocoder), ema=options.ema)[1] if options.vocoder else None
    about = export.About(
        name=options.name or options.output.resolve().name,
        language=options.language,
        symbols=SYMBOLS,
        licence=options.licence,
        summary=options.summary,
        facts=_facts(model, recipe, folder),
    )
    graph = export.speaking(module, model, vocoder, options.speaker)
    frames = model.config if vocoder is None else vocoder.config
    description = export.export_voice(graph, frames, about, options.output, options.quantise)
    if options.trainable:
        start.keep(options.output, recipe.name, model)
    size = (options.output / "voice.onnx").stat().st_size / 1e6
    print(
        f"{options.output}: {description.name}, {description.kind}, {size:.1f} MB; "
        f"it speaks: aoide say TEXT --voice {options.output} -o hello.wav"
    )
    print(f"fill in {options.output / 'card.md'}: data, evaluation and ethics are yours to state")
    return 0


def _pack(task: str, module: Any, model: Any, recipe: Recipe, checkpoint: Path, options: argparse.Namespace) -> int:
    """A vocoder or a codec as a folder."""
    from aoide.generate import pack

    name = options.name or options.output.resolve().name
    about: dict[str, Any] = {"name": name, "licence": options.licence, "summary": options.summary}
    about["facts"] = _facts(model, recipe, checkpoint)
    if task == "vocoder":
        pack.export_vocoder(model, options.output, polish=options.polish, quantise=options.quantise, **about)
    else:
        pack.export_codec(module, model, options.output, quantise=options.quantise, **about)
    size = sum(path.stat().st_size for path in options.output.glob("*.onnx")) / 1e6
    use = f"aoide resynth IN.wav --vocoder {options.output} -o copies"
    if task == "codec":
        use = f"aoide encode IN.wav --codec {options.output} -o codes"
    print(f"{options.output}: {task} {name}, {size:.1f} MB; {use}")
    print(f"fill in {options.output / 'card.md'}: data, evaluation and ethics are yours to state")
    return 0


def _facts(model: Any, recipe: Recipe, folder: Path) -> dict[str, str]:
    """What the run knows of the card: heading -> Markdown."""
    import yaml

    parameters = sum(parameter.numel() for parameter in model.parameters()) / 1e6
    model_settings = {"model": {"name": recipe.name, **to_dict(recipe.model)}}
    data_settings = {"data": {"kind": recipe.kind, **to_dict(recipe.data)}}
    settings, data = (yaml.safe_dump(group, sort_keys=False) for group in (model_settings, data_settings))
    return {
        "Data": "Say here whose sound this is, how much of it, and under which licence. The recipe says:\n\n"
        f"```yaml\n{data}```",
        "Configuration": f"`{recipe.name}`, {parameters:.2f} M parameters, checkpoint `{folder.name}`.\n\n"
        f"```yaml\n{settings}```",
    }
