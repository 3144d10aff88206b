"""Make a voice, vocoder or codec of a trained model: aoide export RUN -o FOLDER.

The folder works without torch: aoide say --voice FOLDER, aoide resynth --vocoder FOLDER, aoide encode --codec FOLDER,
aoide sound CAPTION --model FOLDER (of tta/mel_dit).
It holds the graph, its description and a model card whose gaps you fill in.

  aoide export runs/en-heart -o exported/en-heart --licence MIT
  aoide export runs/en-heart/checkpoints/best -o small --name en-heart --quantise
  aoide export runs/fastspeech2 --vocoder runs/vocos -o mine
  aoide export runs/universal-24k -o exported/universal-24k --polish 10,16,2

A singer of svs/diffsinger becomes a voicebank for OpenUtau, with what fills in a score as far as a run of
svs/diffsinger_variance predicts it (docs/openutau.md):

  aoide export runs/acoustic --to openutau --variance runs/variance --language ja -o Ann
  aoide export runs/acoustic --to openutau --vocoder exported/my-vocoder -o Ann
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
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
        "--to", choices=("aoide", "openutau"), default="aoide", help="who is to read the folder (default: %(default)s)"
    )
    parser.add_argument(
        "--vocoder",
        type=Path,
        metavar="RUN",
        help="for a model that ends at a mel: the run of the vocoder that goes on; for OpenUtau the name of its "
        "package, or a vocoder that comes along: one that ships with Aoide, or an exported folder",
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
    bank = parser.add_argument_group("for --to openutau")
    bank.add_argument("--variance", type=Path, metavar="RUN", help="of svs/diffsinger_variance: what fills in a score")
    bank.add_argument(
        "--phonemes", type=Path, metavar="FILE", help="JSON, phoneme -> token (default: those of --language)"
    )
    bank.add_argument(
        "--dictionary", type=Path, metavar="FILE", help="lines of a lyric, a tab and its phonemes with spaces between"
    )
    bank.add_argument("--singers", metavar="A,B,...", help="names of the singers of the table (default: of the corpus)")
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

    if options.to == "openutau":
        return _voicebank(options)
    if options.output.exists():
        raise UserError(f"{options.output}: exists already; give a new folder, or remove that one")
    folder = checkpoint.locate(options.run)
    module, model, recipe = checkpoint.load_model(folder, ema=options.ema)
    task = recipe.name.partition("/")[0]
    if recipe.name == "svs/xiaoicesing":
        return _singer(module, model, recipe, folder, options)
    if recipe.name == "tta/mel_dit":
        return _described(model, recipe, folder, options)
    if task in ("vocoder", "codec"):
        return _pack(task, module, model, recipe, folder, options)
    frontend(options.language)  # an unknown language ends here
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


def _singer(module: Any, model: Any, recipe: Recipe, checkpoint: Path, options: argparse.Namespace) -> int:
    """A singer as a folder."""
    from aoide.generate import pack_singer
    from aoide.generate.torch_singer import Table
    from aoide.train.checkpoint import position

    table = Table.read(position(checkpoint), checkpoint)
    name = options.name or options.output.resolve().name
    language = options.language if options.language in table.languages else ""
    about = pack_singer.described(
        model.config, table, name, language=language, licence=options.licence, summary=options.summary
    )
    facts = _facts(model, recipe, checkpoint)
    pack_singer.export_singer(module.Sung(model), about, options.output, facts=facts, quantise=options.quantise)
    size = (options.output / "singer.onnx").stat().st_size / 1e6
    print(
        f"{options.output}: {name} sings {about.language}, {size:.1f} MB: aoide sing SONG --voice {options.output} "
        "-o song.wav"
    )
    print(f"fill in {options.output / 'card.md'}: data, evaluation and ethics are yours to state")
    return 0


def _described(model: Any, recipe: Recipe, checkpoint: Path, options: argparse.Namespace) -> int:
    """A model of described sounds as a folder; what it knows is read from the corpus that it was trained on."""
    from aoide.data.manifest import Manifest
    from aoide.generate.pack_described import About, export_described

    clips = Manifest(Path(recipe.data.manifest))
    told = [
        [text for text in clip.more.get("captions") or [clip.text] if text]
        for clip in (clips[number] for number in range(len(clips)))
    ]
    about = About(
        name=options.name or options.output.resolve().name,
        licence=options.licence,
        summary=options.summary,
        told=[text for texts in told for text in texts],
        things=[min(texts, key=len) for texts in told if texts],
        facts=_facts(model, recipe, checkpoint),
    )
    description = export_described(model, options.output, about, quantise=options.quantise)
    size = sum(path.stat().st_size for path in options.output.glob("*.onnx")) / 1e6
    print(
        f"{options.output}: {description.name} knows {len(description.words)} words, {size:.1f} MB: "
        f"aoide sound CAPTION --model {options.output} -o sound.wav"
    )
    print(f"fill in {options.output / 'card.md'}: data, evaluation and ethics are yours to state")
    return 0


def _voicebank(options: argparse.Namespace) -> int:
    """A singer for OpenUtau."""
    from aoide.generate import openutau
    from aoide.train import checkpoint

    for option in ("quantise", "trainable", "polish"):
        if getattr(options, option):
            raise UserError(f"--{option}: is for folders that Aoide reads; leave it out with --to openutau")
    if options.vocoder is not None and options.vocoder.is_dir() and not (options.vocoder / "vocoder.json").is_file():
        raise UserError(
            f"{options.vocoder}: not a vocoder that `aoide export` wrote; of a run make one first: "
            f"aoide export {options.vocoder} -o FOLDER"
        )
    runs = [options.run] if options.variance is None else [options.run, options.variance]
    models: list[Any] = []
    for run, name in zip(runs, ("svs/diffsinger", "svs/diffsinger_variance"), strict=False):
        _, model, recipe = checkpoint.load_model(checkpoint.locate(run), ema=options.ema)
        if recipe.name != name:
            raise UserError(f"{run}: is a run of {recipe.name}; a voicebank for OpenUtau is made of {name}")
        models.append(model.eval())
    places = [checkpoint.position(run) for run in runs]  # where the data wrote down what numbers mean
    if places[0].get("symbols") != places[-1].get("symbols"):
        raise UserError(f"{options.variance}: has other phonemes than {options.run}; train both on one corpus")
    place = places[0]
    singers = _singers(options, models[0], place)
    if options.speaker is not None and not 0 <= options.speaker < len(singers):
        raise UserError(f"--speaker {options.speaker}: the run has {len(singers)} singers, counted from 0")
    shift = float(place.get("key_shift") or 5)
    about = openutau.About(
        name=options.name or options.output.resolve().name,
        language=options.language,
        phonemes=_phonemes(options, place),
        languages=tuple(place.get("languages", ())) if models[0].config.languages else (),
        told="all" if "languages" in place else "shared",
        key_range=(-shift, shift),
        dictionary={} if options.dictionary is None else openutau.read_dictionary(options.dictionary),
        speakers=singers,
        speaker=None if options.speaker is None else singers[options.speaker],
        vocoder="" if options.vocoder is None else str(options.vocoder),
    )
    openutau.write(models[0], options.output, about, *models[1:])
    size = sum(path.stat().st_size for path in options.output.rglob("*") if path.is_file()) / 1e6
    brings = " with its vocoder" if (options.output / "dsvocoder").is_dir() else ""
    print(f"{options.output}: voicebank {about.name}{brings}, {size:.1f} MB; put the folder into OpenUtau's Singers")
    return 0


def _phonemes(options: argparse.Namespace, place: Mapping[str, Any]) -> dict[str, int]:
    """Phoneme -> token: as given, as the run learned them, or those of a language."""
    from aoide.generate import openutau

    if options.phonemes is not None:
        return openutau.read_table(options.phonemes)
    return openutau.learned(place["symbols"]) if place.get("symbols") else openutau.table(options.language)


def _singers(options: argparse.Namespace, model: Any, place: Mapping[str, Any]) -> tuple[str, ...]:
    """The names of the singers of the model's table: as given, of the corpus, or by number."""
    if options.singers is not None:
        return tuple(name.strip() for name in options.singers.split(","))
    count = model.config.speakers or 0
    return tuple(place.get("singers", ()))[:count] or tuple(f"singer{number}" for number in range(1, count + 1))


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
