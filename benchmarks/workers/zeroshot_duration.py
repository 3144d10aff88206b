"""How well a text's length is foretold: trains tts/duration on real clips, and measures on those held out.

    python benchmarks/workers/zeroshot_duration.py WORK CORPUS=ROOT ...
    python benchmarks/workers/zeroshot_duration.py work asterisk:en=root asterisk:fr=root fillets=root

CORPUS is a file of aoide/data/corpora, with a language where it has several; other languages than English need
espeak-ng (the extra `espeak`). Clips of 1 s and more lose the silence at their edges. At most `--each` of each speaker
are taken. One in five is held out by a hash of the id, and is seen by nothing but the measuring; among the others some
choose the checkpoint. The prompt of a held-out clip is another held-out clip of the speaker of 2.5 s or more
(`--prompt`), five drawn for each. With `--flow STEPS` a small tts/duration_flow is trained and measured, too, on
durations of phonemes that tts/duration has shared out over the true length of each clip.

One JSON line: mean absolute error in seconds of the model and of the published rule (seconds a phoneme of the prompt,
phonemes counted as in the published table: sounds, marks and gaps between words), and their ratio, in all and by
speaker. `ratio_bytes` is relative to the rule by bytes of text (Metis, F5) instead.
"""

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch

from aoide.audio import io
from aoide.config import UserError
from aoide.data import clips, manifest
from aoide.data.spoken import Item, SpokenData
from aoide.generate.prompt import edges
from aoide.models.tts import duration
from aoide.text import frontend
from aoide.text.phonemes import SYMBOLS
from aoide.text.tokenizer import Tokenizer
from aoide.train import loop, recipe
from aoide.train.checkpoint import load_model

HERE = Path(__file__).resolve().parent
RECIPES = HERE.parents[1] / "recipes" / "tts"
FLOW = ("model.dim=128", "model.layers=4", "data.batch_pairs=16", "data.pace=1.1", "optimiser.lr=1e-3")
FLOW += ("optimiser.warmup=50", "loop.ema=0.99", "loop.save_every=200", "loop.validate_every=200")
FINE = 200.0  # frames a second, in which durations are written down
LANGUAGES = {
    "en": "en",
    "fr": "espeak/fr-fr",
    "es": "espeak/es",
    "it": "espeak/it",
    "ru": "espeak/ru",
    "cs": "espeak/cs",
}
EACH_PAIR = {"flow": 16}  # which of the pairs are measured, where it is dear: each sixteenth
HELD_OUT, CHOOSING, DRAWS, STRESS = 0.2, 0.125, 5, "ˈˌ"  # shares of all clips, and of those to learn from
EACH = 1000  # clips of a speaker

Errors = dict[str, dict[str, list[float]]]


def found(corpora: list[str], each: int) -> Iterator[clips.Clip]:
    """The clips of the corpora, trimmed, with phonemes; speakers of two corpora stay apart."""
    for corpus in corpora:
        name, _, root = corpus.partition("=")
        name, _, language = name.partition(":")
        module = import_module(f"aoide.data.corpora.{name}")
        every = module.clips(Path(root), **({"language": language} if language else {}))
        usable = [c for c in every if isinstance(c, clips.Clip) and c.text and c.language in LANGUAGES]
        taken: Counter[str] = Counter()
        for clip in sorted(usable, key=lambda clip: manifest.stable_hash(clip.id)):
            if taken[clip.speaker] == each:
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


def prepare(folder: Path, corpora: list[str], each: int) -> None:
    """Writes the manifests `all`, `learn` and `test`, once."""
    if not (folder / "all" / manifest.CUTS).is_file():
        checked = (clips.check(clip, clips.Limits(max_seconds=20.0)) for clip in found(corpora, each))
        write(folder / "all", (clip[0] for clip in checked if isinstance(clip, tuple)))
    if not (folder / "test" / manifest.CUTS).is_file():
        corpus = manifest.Manifest(folder / "all")
        every = [corpus[i] for i in range(len(corpus))]
        held = [manifest.stable_hash(clip.id) < HELD_OUT * 2**64 for clip in every]
        write(folder / "learn", (clip for clip, out in zip(every, held, strict=True) if not out))
        write(folder / "test", (clip for clip, out in zip(every, held, strict=True) if out))


def write(folder: Path, some: Iterable[clips.Clip]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with manifest.writing(folder) as writer:
        for clip in some:
            writer.add(clip)


@torch.no_grad()
def share(folder: Path, learn: manifest.Manifest, model: Any) -> None:
    """Writes a manifest with the durations that the model gives to the phonemes of each clip, as long as that is."""
    if (folder / manifest.CUTS).is_file():
        return

    def timed(clip: clips.Clip) -> clips.Clip:
        tokens = torch.from_numpy(np.asarray(Tokenizer(SYMBOLS).encode(clip.phonemes or ""), np.int64))
        count, seconds = torch.tensor([len(tokens)]), torch.tensor([clip.seconds])
        own = model(torch.cat([tokens, tokens])[None], count, seconds).durations[0, len(tokens) :]
        ends = (FINE * clip.seconds * own.cumsum(0) / own.sum()).round().int().tolist()
        return replace(clip, durations=tuple(np.diff([0, *ends]).tolist()), frame_rate=FINE)

    write(folder, (timed(learn[i]) for i in range(len(learn))))


def trained(name: str, run: Path, data: Path, settings: list[str]) -> recipe.Recipe:
    """Trains by a recipe, as far as that is not done."""
    told = recipe.read(RECIPES / f"{name}.yaml", [f"data.manifest={data}", "loop.tensorboard=false", *settings])
    if not loop.train(told, run).finished:
        raise SystemExit("the training was stopped; the same command goes on with it")
    return told


def counted(phonemes: str) -> int:
    """Phonemes as the published rule counts them."""
    return sum(symbol not in STRESS for symbol in phonemes)


def measure(held: list[Item], texts: dict[str, tuple[str, str]], models: dict[str, Any], least: float) -> Errors:
    """Mean absolute errors on the held-out clips: speaker -> method -> seconds."""
    draw, count = np.random.default_rng(0), 0
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
            count += 1
            for name, model in models.items():
                if count % EACH_PAIR.get(name, 1):
                    continue
                tokens = (torch.from_numpy(prompt.tokens), torch.from_numpy(target.tokens))
                guesses[name] = model.seconds(tokens[0], prompt.seconds, tokens[1])
            mine = errors.setdefault(target.speaker, {})
            if "flow" in guesses:
                guesses["rule_of_flow"] = guesses["rule"]  # on the same pairs
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
    means = {name: float(np.mean(values)) for name, values in every.items()}
    figures |= {f"{name}_seconds": round(value, 3) for name, value in means.items()}
    figures["ratio_bytes"] = round(means["regression"] / means["bytes"], 3)
    if "flow" in means:
        figures["ratio_flow"] = round(means["flow"] / means["rule_of_flow"], 3)
    return figures | {"ratio": round(means["regression"] / means["rule"], 3)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path, help="folder for the manifest and the run")
    parser.add_argument("corpora", nargs="+", metavar="CORPUS=ROOT")
    parser.add_argument("--prompt", type=float, default=2.5, metavar="SECONDS", help="length of a prompt at least")
    parser.add_argument("--flow", type=int, default=0, metavar="STEPS", help="train tts/duration_flow as well")
    parser.add_argument("--each", type=int, default=EACH, metavar="N", help=f"clips of a speaker (default: {EACH})")
    parser.add_argument("--steps", type=int, metavar="N", help="of training, instead of the recipe's")
    args = parser.parse_args()
    prepare(args.work, args.corpora, args.each)
    learn, test = (manifest.Manifest(args.work / name) for name in ("learn", "test"))
    settings = [f"data.validation={int(CHOOSING * len(learn))}", "loop.threads=1", "loop.device=cpu"]
    more = [] if args.steps is None else [f"loop.steps={args.steps}"]
    small = trained("duration-folder", args.work / "run", args.work / "learn", [*settings, *more])
    models = {"regression": load_model(args.work / "run" / "checkpoints" / "best")[1].eval()}
    if args.flow:
        share(args.work / "timed", learn, models["regression"])
        words = [*FLOW, *settings, f"loop.steps={args.flow}"]
        trained("duration-flow-folder", args.work / "flow", args.work / "timed", words)
        models["flow"] = load_model(args.work / "flow" / "checkpoints" / "best")[1].eval()
    held = SpokenData(replace(small.data, manifest=args.work / "test", validation=0), ("tokens",), Tokenizer(SYMBOLS))
    texts = {clip.id: (clip.phonemes or "", clip.text or "") for clip in (test[i] for i in range(len(test)))}
    errors = measure(held.items, texts, models, args.prompt)
    about = {"clips": len(learn) + len(test), "held_out": len(test), "steps": small.loop.steps, "prompt": args.prompt}
    print(json.dumps({**about, **summary(errors)}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
