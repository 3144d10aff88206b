"""List voices, vocoders, codecs and models, or show one: aoide models [NAME].

aoide models                  every voice and every model, a line each
aoide models en-heart         the model card of a voice (or of the folder that `aoide export` wrote)
aoide models vocoder/vocos    what a model is, from paper to published weights
"""

from __future__ import annotations

import argparse
import ast
from pathlib import Path

from aoide import voices

HEADS = {
    "singer": "singers (aoide sing SONG --voice NAME)",
    "converter": "converters (aoide convert IN --converter NAME -o OUT)",
    "described": "described sounds (aoide sound CAPTION --model NAME -o OUT)",
    "soundfont": "sound fonts (they play notes: docs/sounds.md)",
}


def parser(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", nargs="?", metavar="NAME", help="a voice, the folder of a voice, or a model")


def run(options: argparse.Namespace) -> int:
    from aoide.generate import folder
    from aoide.models import find

    if options.name is None:
        _list()
    elif options.name in find.names():
        print(_page(options.name))
    else:
        kind = voices.kind_of(options.name) or "voice"
        print(folder.read_card(voices.find(options.name, others=find.names(), kind=kind)).rstrip())
    return 0


def _list() -> None:
    from aoide.generate import folder
    from aoide.models import find

    spoken = {name: folder.read(voices.find(name)) for name in voices.names()}
    models = {name: _file(name).read_text("utf-8").partition("\n")[0].strip('"') for name in find.names()}
    packed = {name: _line(name, kind) for kind in voices.KINDS[1:] for name in voices.names(kind)}
    width = max(map(len, [*spoken, *packed, *models]), default=0)
    print("voices (speak at once: aoide say --voice NAME)")
    for name, about in spoken.items():
        facts = f"{about.language}, {about.sample_rate / 1000:g} kHz, {about.licence}."
        print(f"  {name:{width}}  {facts} {about.summary}".rstrip())
    for kind, title in HEADS.items():
        print(f"\n{title}")
        for name in voices.names(kind):
            print(f"  {name:{width}}  {packed.pop(name)}")
    print("\nvocoders and codecs (aoide resynth --vocoder NAME, aoide encode --codec NAME)")
    for name, line in packed.items():
        print(f"  {name:{width}}  {line}")
    print("\nmodels (to train, or to load with weights: aoide train RECIPE, aoide.load)")
    for name, line in models.items():
        print(f"  {name:{width}}  {line}")


def _line(name: str, kind: str) -> str:
    """What the JSON of a folder says in one line."""
    from aoide.generate.packed import one_line

    return one_line(voices.find(name, kind=kind), kind)


def _page(name: str) -> str:
    """The docstring of a model file, which is its page; the file is read and not imported, so torch is not needed."""
    return ast.get_docstring(ast.parse(_file(name).read_text("utf-8"))) or "(no description)"


def _file(name: str) -> Path:
    from aoide.models import find

    return Path(find.__file__).parent / f"{name}.py"
