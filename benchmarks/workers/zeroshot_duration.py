"""How well a text's length is foretold: trains tts/duration on real clips, and measures on those held out.

    python benchmarks/workers/zeroshot_duration.py WORK CORPUS=ROOT ...
    python benchmarks/workers/zeroshot_duration.py work asterisk:en=root asterisk:fr=root fillets=root

CORPUS is a file of aoide/data/corpora, with a language where it has several; other languages than English need
espeak-ng (the extra `espeak`). Clips of 1 s and more lose the silence at their edges. 160 of each speaker
are taken, and one in five is held out, both by a hash of the id; its prompt is another held-out clip of the speaker of
2.5 s or more (`--prompt`), five drawn for each. With
--flow RUN a trained tts/duration_flow is measured on the English ones as well.

One JSON line: mean absolute error in seconds of the model and of the published rule (seconds a phoneme of the prompt,
phonemes counted as in the published table: sounds, marks and gaps between words), and their ratio, in all and by
speaker. `ratio_bytes` is relative to the rule by bytes of text (Metis, F5) instead.
"""

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch

from aoide.audio import io
from aoide.config import UserError
from aoide.data import clips, manifest
from aoide.data.spoken import SpokenData
from aoide.generate.prompt import edges
from aoide.models.tts import duration
from aoide.text import frontend
from aoide.text.phonemes import SYMBOLS
from aoide.text.tokenizer import Tokenizer
from aoide.train import loop, recipe
from aoide.train.checkpoint import load_model

HERE = Path(__file__).resolve().parent
RECIPE = HERE.parents[1] / "recipes" / "tts" / "duration-folder.yaml"
LANGUAGES = {
    "en": "en",
    "fr": "espeak/fr-fr",
    "es": "espeak/es",
    "it": "espeak/it",
    "ru": "espeak/ru",
    "cs": "espeak/cs",
}
HELD_OUT, DRAWS, STRESS = 0.2, 5, "ˈˌ"
EACH = 160  # clips of a speaker


Errors = dict[str, dict[str, list[float]]]


def found(corpora: list[str]) -> Iterator[clips.Clip]:
    """The clips of the corpora, trimmed, with phonemes; speakers of two corpora stay apart."""
    for corpus in corpora:
        name, _, root = corpus.partition("=")
        name, _, language = name.partition(":")
        module = import_module(f"aoide.data.corpora.{name}")
        every = module.clips(Path(root), **({"language": language} if language else {}))
        usable = [c for c in every if isinstance(c, clips.Clip) and c.text and c.language in LANGUAGES]
        taken: Counter[str] = Counter()
        for clip in sorted(usable, key=lambda clip: manifest.stable_hash(clip.id)):
            if taken[clip.speaker] == EACH:
                continue
            sound = io.read(clip.audio).mono()
            begin, end = edges(sound.samples, sound.sample_rate)
            if end - begin < sound.sample_rate:
                continue
            span = (begin / sound.sample_rate, end / sound.sample_rate)
            said = frontend(LANGUAGES[clip.language])
            try:
                phonemes = " ".join(said.phonemize(sentence) for sentence in said.sentences(clip.text))
            except UserError:  # nothing to say
                continue
            taken[clip.speaker] += 1
            own = f"{clip.language}-{clip.speaker}"
            yield replace(clip, span=span, phonemes=phonemes, id=f"{own}/{clip.id}", speaker=own)


def prepare(folder: Path, corpora: list[str]) -> None:
    """Writes the manifest, once."""
    if (folder / manifest.CUTS).is_file():
        return
    folder.mkdir(parents=True, exist_ok=True)
    with manifest.writing(folder) as writer:
        for clip in found(corpora):
            checked = clips.check(clip, clips.Limits(max_seconds=20.0))
            if isinstance(checked, tuple):
                writer.add(checked[0])


def counted(phonemes: str) -> int:
    """Phonemes as the published rule counts them."""
    return sum(symbol not in STRESS for symbol in phonemes)


def measure(
    data: SpokenData, texts: dict[str, tuple[str, str]], models: dict[str, Any], least: float
) -> dict[str, Any]:
    """Mean absolute errors on the held-out clips: speaker -> method -> seconds."""
    draw = np.random.default_rng(0)
    held = [data.items[i] for i in data.held_out.tolist()]
    errors: Errors = {}
    for target in held:
        prompts = [item for item in held if item.speaker == target.speaker and item is not target]
        prompts = [item for item in prompts if item.seconds >= least]
        for number in draw.permutation(len(prompts))[:DRAWS].tolist():
            prompt = prompts[number]
            (before, said_before), (after, said_after) = texts[prompt.id], texts[target.id]
            guesses = {
                "rule": duration.rule(counted(before), prompt.seconds, counted(after)),
                "bytes": duration.rule(len(said_before.encode()), prompt.seconds, len(said_after.encode())),
            }
            for name, model in models.items():
                if name == "regression" or target.speaker.startswith("en-"):
                    tokens = (torch.from_numpy(prompt.tokens), torch.from_numpy(target.tokens))
                    guesses[name] = model.seconds(tokens[0], prompt.seconds, tokens[1])
            mine = errors.setdefault(target.speaker, {})
            for name, guess in guesses.items():
                mine.setdefault(name, []).append(abs(guess - target.seconds))
    return errors


def summary(errors: Errors) -> dict[str, Any]:
    """Means, and what they are relative to the rule."""
    figures: dict[str, Any] = {"speakers": {}}
    every: dict[str, list[float]] = {}
    for speaker, by in sorted(errors.items()):
        means = {name: round(float(np.mean(values)), 3) for name, values in by.items()}
        figures["speakers"][speaker] = {"pairs": len(by["rule"]), **means}
        for name, values in by.items():
            every.setdefault(name, []).extend(values)
        if "flow" in by:
            figures["ratio_flow"] = round(float(np.mean(by["flow"]) / np.mean(by["rule"])), 3)
    means = {name: float(np.mean(values)) for name, values in every.items() if name != "flow"}
    figures |= {f"{name}_seconds": round(value, 3) for name, value in means.items()}
    figures["ratio_bytes"] = round(means["regression"] / means["bytes"], 3)
    return figures | {"ratio": round(means["regression"] / means["rule"], 3)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path, help="folder for the manifest and the run")
    parser.add_argument("corpora", nargs="+", metavar="CORPUS=ROOT")
    parser.add_argument("--prompt", type=float, default=2.5, metavar="SECONDS", help="length of a prompt at least")
    parser.add_argument("--flow", type=Path, metavar="RUN", help="a run of tts/duration_flow, measured as well")
    parser.add_argument("--steps", type=int, metavar="N", help="of training, instead of the recipe's")
    args = parser.parse_args()
    prepare(args.work / "data", args.corpora)
    settings = [f"data.manifest={args.work / 'data'}", f"data.validation={HELD_OUT}", "loop.tensorboard=false"]
    settings += ["loop.threads=1", "loop.device=cpu"] + ([] if args.steps is None else [f"loop.steps={args.steps}"])
    small = recipe.read(RECIPE, settings)
    if not (args.work / "run" / "checkpoints" / "best").exists():
        loop.train(small, args.work / "run")
    models = {"regression": load_model(args.work / "run" / "checkpoints" / "best")[1]}
    if args.flow is not None:
        models["flow"] = load_model(args.flow)[1]
    data = SpokenData(small.data, ("tokens",), Tokenizer(SYMBOLS))
    corpus = manifest.Manifest(args.work / "data")
    texts = {clip.id: (clip.phonemes or "", clip.text or "") for clip in (corpus[i] for i in range(len(corpus)))}
    errors = measure(data, texts, models, args.prompt)
    print(json.dumps({"clips": len(corpus), "held_out": len(data.held_out), "prompt": args.prompt, **summary(errors)}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
