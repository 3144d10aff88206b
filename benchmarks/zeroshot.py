"""How dear is a voice from three seconds, and how good? Figures of the zero-shot family.

    python benchmarks/zeroshot.py --toy toy --whisper DIR --corpora CORPUS=ROOT ... --work DIR      all parts
    python benchmarks/zeroshot.py --part memory         one of them; --part may be given several times

parity      what benchmarks/parity.py wrote last about MaskGCT, VALL-E, NaturalSpeech 2, Vevo and F5.
sampling    MaskGCT's two models, random weights, a prompt of 3 s and 5 s to say: processor time on one thread of ours,
            relative to the published formulation with the same weights and steps (workers/maskgct_plain.py: two passes
            of the network a step, nothing shared, nothing left out), run in turn. `exact` gives the same codes;
            `kept` computes text, prompt and what guidance adds in one pass of eight (Passes in tts/maskgct).
wide        the same with the channels and heads as published and one and two layers; from these, sixteen.
memory      the published stack by count: bytes of all weights in bf16, parts loaded together and one after the other,
            with what the network of each part needs at its worst moment for 3 s of prompt and 20 s of speech. No weight
            is made: the tensors have shapes only.
cache       VALL-E's first stage with kept keys and values and without (workers/valle_cache.py).
duration    with --corpora: tts/duration on real clips held out, relative to the published rule
            (workers/zeroshot_duration.py says what the corpora are). The first time it trains, some ten minutes; --work
            keeps the run. With --flow, tts/duration_flow as well.
toy         with --toy, a folder that tools/make_toy_maskgct.py has made, and --whisper: how well it speaks
            (workers/zeroshot_toy.py).

Prints the table, asked beside measured, and writes benchmarks/results/zeroshot_<machine>_<date>.json: the parts that
were run now take the place of those that stand there, the others stay.
"""

import argparse
import datetime
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import weakref
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from rooms import WORKERS
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from tqdm import tqdm
from voice import commit, machine

from aoide.config import write_aside
from aoide.models.codec import maskgct_acoustic, maskgct_semantic
from aoide.models.tts import maskgct, maskgct_s2a

sys.path.insert(0, str(WORKERS))
import maskgct_plain as plain  # noqa: E402  (a neighbour of the workers)

HERE = Path(__file__).resolve().parent
RATE = 50  # frames a second
PROMPT, SPOKEN, LONG = 3, 5, 20  # seconds
PHONES = 14  # a second
SMALL = {"dim": 384, "layers": 8, "heads": 6}  # as the recipes name them
REPEATS = 3
KEPT = 8  # passes for which is kept what changes little
LAYERS = 16  # as published
GB = 1e9
HEARD = {"layers": 17, "dim": 1024}  # of w2v-BERT 2.0, what is computed
Figures = dict[str, Any]
# part -> what is asked of which of its figures
ASKED = {
    "parity": {"share_of_limit": "<= 1"},
    "sampling": {"ratio_kept": "<= 0.67, aim 0.5", "ratio_exact": "-"},
    "wide": {"ratio_kept": "<= 0.67, aim 0.5", "ratio_exact": "-"},
    "memory": {"together_gb": "< 6, aim 5"},
    "cache": {"ratio": ">= 8, aim 20"},
    "duration": {"ratio": "<= 0.7, aim 0.4"},
    "toy": {
        "learned.wer_chain": "<= 25, aim 10",
        "learned.gain": ">= 0.10, aim 0.20",
        "held_out.wer_chain": "by a run on a GPU",
        "held_out.gain": "by a run on a GPU",
    },
}
PACKS = ("amphion_maskgct/", "amphion_tts/valle", "amphion_tts/naturalspeech2", "amphion_vevo/", "f5_tts/")


# --------------------------------------------------------------------------------------------------------------- parity


def parity(_: argparse.Namespace) -> Figures:
    """The packs of this family in the newest results of benchmarks/parity.py."""
    found = sorted((HERE / "results").glob("parity_*.json"))
    if not found:
        raise SystemExit("python benchmarks/parity.py first: it compares with the original code")
    told = json.loads(found[-1].read_text("utf-8"))
    packs = {name: about for name, about in told["packs"].items() if name.startswith(PACKS)}
    worst = max(about["share_of_limit"] for about in packs.values())
    about = {"from": found[-1].name, "their_commit": told["commit"], "failed": told["failed"], "packs": len(packs)}
    return {**about, "outputs": sum(x["outputs"] for x in packs.values()), "share_of_limit": worst}


# ------------------------------------------------------------------------------------------------------------- sampling


Times = dict[str, dict[str, float]]  # model -> way -> seconds


def sampling(_: argparse.Namespace) -> Figures:
    """Ours over plain, for each model and for both, at the size of the recipes."""
    runs = ways(SMALL)
    times = [turn(runs) for _ in tqdm(range(REPEATS), desc="sampling", disable=None)]
    middle = {
        model: {way: statistics.median(x[model][way] for x in times) for way in ways}
        for model, ways in times[0].items()
    }
    return {"size": SMALL, "threads": 1, "kept_passes": KEPT, **ratios(middle)}


def wide(_: argparse.Namespace) -> Figures:
    """The same at published channels, with one and with two layers; each further one takes what the second took."""
    one, two = (turn(ways({"layers": layers})) for layers in tqdm((1, 2), desc="wide", disable=None))
    whole = {
        model: {way: first + (LAYERS - 1) * (two[model][way] - first) for way, first in own.items()}
        for model, own in one.items()
    }
    return {"measured_layers": [1, 2], "layers": LAYERS, "threads": 1, "kept_passes": KEPT, **ratios(whole)}


def ways(size: dict[str, int]) -> dict[str, dict[str, Callable[[], Any]]]:
    """What is timed: model -> way -> a call that draws all codes."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    first = maskgct.Model(maskgct.Config(**size)).eval()
    second = maskgct_s2a.Model(maskgct_s2a.Config(given=0, **size)).eval()
    phones, before, after = PHONES * (PROMPT + SPOKEN), RATE * PROMPT, RATE * SPOKEN
    tokens = torch.randint(1, first.config.symbols, (phones,))
    semantic = torch.randint(0, first.config.codes, (before + after,))
    prompt = torch.randint(0, second.config.codes, (before, second.config.codebooks))
    steps = (25, 10, *[1] * 10)

    def kept(model: Any) -> Any:
        return replace(model.config.sampling, refresh=KEPT, compare=KEPT)

    def codes(sampling: Any = None) -> Any:
        return first.sample([after], [tokens], [semantic[:before]], steps=25, sampling=sampling)

    def sound(sampling: Any = None) -> Any:
        return second.sample([semantic], [prompt], steps=steps, sampling=sampling)

    return {
        "text_to_semantic": {
            "exact": codes,
            "kept": lambda: codes(kept(first)),
            "plain": lambda: plain.text_to_semantic(first, after, tokens, semantic[:before], 25),
        },
        "semantic_to_acoustic": {
            "exact": sound,
            "kept": lambda: sound(kept(second)),
            "plain": lambda: plain.semantic_to_acoustic(second, semantic, prompt, None, steps),
        },
    }


def turn(runs: dict[str, dict[str, Callable[[], Any]]]) -> Times:
    """Each once."""
    return {model: {way: clock(run) for way, run in own.items()} for model, own in runs.items()}


def ratios(times: Times) -> Figures:
    """Seconds, and what they are relative to the published formulation, by model and in all."""
    figures: Figures = {
        model: {f"{way}_seconds": round(value, 2) for way, value in own.items()} for model, own in times.items()
    }
    for way in ("kept", "exact"):
        for model, own in times.items():
            figures[model][f"ratio_{way}"] = round(own[way] / own["plain"], 3)
        sums = [sum(own[x] for own in times.values()) for x in (way, "plain")]
        figures[f"ratio_{way}"] = round(sums[0] / sums[1], 3)
    return figures


def clock(run: Callable[[], Any]) -> float:
    """Seconds of processor time."""
    started = time.process_time()
    run()
    return time.process_time() - started


# --------------------------------------------------------------------------------------------------------------- memory


class Peak(TorchDispatchMode):
    """Counts the bytes of the tensors that are alive at the worst moment, without those of `network`."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.now = self.most = 0
        own = [*network.parameters(), *network.buffers()]
        self._seen = {tensor.untyped_storage()._cdata for tensor in own}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for value in tree_leaves(result):
            if isinstance(value, Tensor):
                self._count(value.untyped_storage())
        return result

    def _count(self, storage: torch.UntypedStorage) -> None:
        name, size = storage._cdata, storage.nbytes()
        if name in self._seen:
            return
        self._seen.add(name)
        self.now += size
        self.most = max(self.most, self.now)

        def gone() -> None:
            self._seen.discard(name)
            self.now -= size

        weakref.finalize(storage, gone)


def shaped(build: Callable[[], nn.Module]) -> nn.Module:
    """A network in bf16 whose weights are shapes only."""
    with torch.device("meta"):
        return build().to(torch.bfloat16).eval()


def w2v_bert() -> nn.Module:
    """As much of w2v-BERT 2.0 as is used."""
    from transformers import Wav2Vec2BertConfig, Wav2Vec2BertModel

    return Wav2Vec2BertModel(Wav2Vec2BertConfig(num_hidden_layers=HEARD["layers"]))


def worst(network: nn.Module, run: Callable[[], Any]) -> int:
    """Bytes of what a call computes, at its worst moment; attention counts its result alone, as fused kernels do."""
    fused = mock.patch.object(nn.functional, "scaled_dot_product_attention", lambda q, k, v, *_, **__: q.clone())
    with torch.no_grad(), torch.device("meta"), fused, Peak(network) as peak:
        run()
    return peak.most


def guided(model: nn.Module, known: int, spoken: int, codes: int) -> Callable[[], Any]:
    """One pass with both branches, and its scores."""
    dim = model.config.dim
    row = torch.empty(1, known + 2 * spoken, dim, dtype=torch.bfloat16, device="meta")
    time_ = torch.empty(1, dim, dtype=torch.bfloat16, device="meta")

    def run() -> Any:
        lengths = [known + spoken, spoken]
        found = model.llama(row, None, time_, lengths=lengths, last=[spoken, spoken])
        scores = nn.functional.linear(found[0, :spoken], model.head.weight[:codes]).float()
        return scores.topk(model.config.sampling.kept(codes))

    return run


def memory(_: argparse.Namespace) -> Figures:
    """Weights and the worst moment of each part, in GB."""
    before, spoken = RATE * PROMPT, RATE * LONG
    heard = shaped(w2v_bert)
    semantic = shaped(lambda: maskgct_semantic.Model(maskgct_semantic.Config()))
    acoustic = shaped(lambda: maskgct_acoustic.Model(maskgct_acoustic.Config()))
    first = shaped(lambda: maskgct.Model(maskgct.Config()))
    config = maskgct_s2a.Config()
    layers = {
        "s2a_1layer": shaped(lambda: maskgct_s2a.Model(replace(config, codebooks=1, given=0))),
        "s2a_full": shaped(lambda: maskgct_s2a.Model(config)),
    }

    def empty(*shape: int) -> Tensor:
        return torch.empty(shape, dtype=torch.bfloat16, device="meta")

    hop = acoustic.config.sample_rate // RATE
    phones = PHONES * (PROMPT + LONG)
    calls: dict[str, tuple[nn.Module, Callable[[], Any]]] = {
        "w2v_bert": (heard, lambda: heard(input_features=empty(1, before, 160))),
        "semantic_codec": (semantic, lambda: semantic.encoder(empty(1, before, HEARD["dim"]))),
        "t2s": (first, guided(first, phones + before, spoken, first.config.codes)),
        **{name: (net, guided(net, before, spoken, config.codes)) for name, net in layers.items()},
        "acoustic_encode": (acoustic, lambda: acoustic.latents(empty(1, before * hop))),
        "acoustic_decode": (acoustic, lambda: acoustic.decoder.backbone(empty(1, spoken, acoustic.config.dim))),
    }
    parts, nets = {}, {id(net): net for net, _ in calls.values()}
    for name, (net, run) in calls.items():
        parameters = sum(p.numel() for p in net.parameters())
        parts[name] = {"parameters_m": round(parameters / 1e6, 2), "weights_gb": round(2 * parameters / GB, 3)}
        parts[name]["activations_gb"] = round(worst(net, run) / GB, 3)
    whole = sum(p.numel() for net in nets.values() for p in net.parameters())
    most = max(part["activations_gb"] for part in parts.values())
    return {
        "parts": parts,
        "parameters_m": round(whole / 1e6, 1),
        "together_gb": round(2 * whole / GB + most, 2),
        "one_after_the_other_gb": round(max(p["weights_gb"] + p["activations_gb"] for p in parts.values()), 2),
    }


# -------------------------------------------------------------------------------------------------------------- workers


def worker(name: str, *words: object) -> Figures:
    """What a worker says in its last line."""
    command = [sys.executable, str(WORKERS / name), *map(str, words)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment)
    return json.loads(done.stdout.splitlines()[-1])  # type: ignore[no-any-return]


def cache(_: argparse.Namespace) -> Figures:
    """Codes a second with and without a cache, 500 codes."""
    return worker("valle_cache.py")


def duration(args: argparse.Namespace) -> Figures:
    """Errors of the model and of the rule."""
    with tempfile.TemporaryDirectory() as folder:
        return worker("zeroshot_duration.py", args.work or folder, *args.corpora, "--flow", args.flow)


def toy(args: argparse.Namespace) -> Figures:
    """Words and voices of a finished toy."""
    return worker("zeroshot_toy.py", args.toy, "--whisper", args.whisper, "--say", args.say)


# ----------------------------------------------------------------------------------------------------------------- main

PARTS: dict[str, Callable[[argparse.Namespace], Figures]] = {
    part.__name__: part for part in (parity, sampling, wide, memory, cache, duration, toy)
}
NEEDED = {"duration": ("corpora",), "toy": ("toy", "whisper")}  # options


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", action="append", choices=PARTS, help="only this part (default: all)")
    parser.add_argument("--corpora", nargs="+", metavar="CORPUS=ROOT", help="what duration is measured on")
    parser.add_argument("--work", type=Path, metavar="DIR", help="where the trained duration model is, or will be kept")
    parser.add_argument("--flow", type=int, default=0, metavar="STEPS", help="of tts/duration_flow, measured as well")
    parser.add_argument("--toy", type=Path, metavar="DIR", help="the folder of a trained toy")
    parser.add_argument("--whisper", type=Path, metavar="DIR", help="Whisper base for CTranslate2, which judges words")
    parser.add_argument("--say", type=int, default=3, metavar="N", help="sentences of each voice that the toy says")
    parser.add_argument("--output", type=Path, default=HERE / "results", help="folder of the results file")
    args = parser.parse_args()
    args.output.mkdir(parents=True, exist_ok=True)
    about = machine()
    path = args.output / f"zeroshot_{about['words']}_{datetime.date.today()}.json"
    for name in args.part or PARTS:
        missing = [option for option in NEEDED.get(name, ()) if getattr(args, option) is None]
        if missing:
            print(f"{name:12}left out: it needs {' and '.join('--' + option for option in missing)}")
            continue
        started = time.perf_counter()
        figures = {"commit": commit(), "load": round(about["load_before_timing"], 2), **PARTS[name](args)}
        figures["took_seconds"] = round(time.perf_counter() - started, 1)
        merge(path, about, name, figures)
        for key, asked in ASKED[name].items():
            print(f"{name:12}{key:24}{value(figures, key):>8}   asked {asked}", flush=True)
    print(f"written to {path}")
    return 0


def value(figures: Figures, key: str) -> Any:
    """A figure by its path."""
    for name in key.split("."):
        figures = figures[name]
    return figures


def merge(path: Path, about: dict[str, Any], name: str, figures: Figures) -> None:
    """Lays the figures of a part into the results file."""
    told = json.loads(path.read_text("utf-8")) if path.exists() else {}
    parts = {**told.get("parts", {}), name: figures}
    told = {"benchmark": "zeroshot", "machine": about, "parts": {part: parts[part] for part in PARTS if part in parts}}
    with write_aside(path) as aside:
        aside.write_text(json.dumps(told, indent=1, ensure_ascii=False) + "\n", "utf-8")


if __name__ == "__main__":
    sys.exit(main())
