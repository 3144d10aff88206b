"""How dear is a voice from three seconds? Figures of the zero-shot family, in one run.

    python benchmarks/zeroshot.py                       all parts at the small sizes of the recipes, some three minutes
    python benchmarks/zeroshot.py --part memory         one of them; --part may be given several times
    python benchmarks/zeroshot.py --published           sampling at published sizes: half an hour, 5 GB

sampling    MaskGCT's two models, random weights, a prompt of 3 s and 5 s to say: processor time on one thread of ours,
            relative to the published formulation with the same weights and steps (workers/maskgct_plain.py: two passes
            of the network a step, nothing shared, nothing left out), run in turn.
memory      the published stack by count: bytes of all weights in bf16, parts loaded together and one after the other,
            with what the network of each part needs at its worst moment for 3 s of prompt and 20 s of speech. No weight
            is made: the tensors have shapes only.
duration    with --corpora: tts/duration, trained on real clips, relative to the published rule on clips held out
            (workers/zeroshot_duration.py, which says what the corpora are); ten minutes on one core.

Prints the table, asked beside measured, and with all parts writes benchmarks/results/zeroshot_<machine>_<date>.json.
"""

import argparse
import datetime
import json
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
GB = 1e9
HEARD = {"layers": 17, "dim": 1024}  # of w2v-BERT 2.0, what is computed
Figures = dict[str, Any]
ASKED = {"sampling": ("ratio", "<= 0.67, aim 0.5"), "memory": ("together_gb", "< 6, aim 5")}
ASKED["duration"] = ("ratio", "<= 0.7, aim 0.4")


# ------------------------------------------------------------------------------------------------------------- sampling


def sampling(published: bool) -> Figures:
    """Ours over plain, for each model and for both."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    size = {} if published else SMALL
    first = maskgct.Model(maskgct.Config(**size)).eval()
    second = maskgct_s2a.Model(maskgct_s2a.Config(given=0, **size)).eval()
    phones, before, after = PHONES * (PROMPT + SPOKEN), RATE * PROMPT, RATE * SPOKEN
    tokens = torch.randint(1, first.config.symbols, (phones,))
    semantic = torch.randint(0, first.config.codes, (before + after,))
    prompt = torch.randint(0, second.config.codes, (before, second.config.codebooks))
    steps = (25, 10, *[1] * 10)
    runs: dict[str, tuple[Callable[[], Any], Callable[[], Any]]] = {
        "text_to_semantic": (
            lambda: first.sample([after], [tokens], [semantic[:before]], steps=25),
            lambda: plain.text_to_semantic(first, after, tokens, semantic[:before], 25),
        ),
        "semantic_to_acoustic": (
            lambda: second.sample([semantic], [prompt], steps=steps),
            lambda: plain.semantic_to_acoustic(second, semantic, prompt, None, steps),
        ),
    }
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in runs}
    for _ in tqdm(range(1 if published else REPEATS), desc="sampling", disable=None):
        for name, (ours, theirs) in runs.items():
            times[name].append((clock(ours), clock(theirs)))
    figures: Figures = {"size": "published" if published else SMALL, "threads": 1}
    for name, pairs in times.items():
        figures[name] = {
            "seconds": round(statistics.median(a for a, _ in pairs), 2),
            "plain_seconds": round(statistics.median(b for _, b in pairs), 2),
            "ratio": round(statistics.median(a / b for a, b in pairs), 3),
        }
    sums = [[sum(x) for x in zip(*(p[i] for p in times.values()), strict=True)] for i in range(len(pairs))]
    return figures | {"ratio": round(statistics.median(a / b for a, b in sums), 3)}


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


def memory(_: bool) -> Figures:
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


# ------------------------------------------------------------------------------------------------------------- duration


def duration(corpora: list[str]) -> Figures:
    """The worker's figures."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, str(WORKERS / "zeroshot_duration.py"), folder, *corpora]
        return json.loads(
            subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()[-1]
        )


# ----------------------------------------------------------------------------------------------------------------- main

PARTS = {"sampling": sampling, "memory": memory}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", action="append", choices=[*PARTS, "duration"], help="only this part (default: all)")
    parser.add_argument("--published", action="store_true", help="sampling at published sizes")
    parser.add_argument("--corpora", nargs="+", metavar="CORPUS=ROOT", help="measure the part duration, too, on these")
    parser.add_argument("--output", type=Path, default=HERE / "results", help="folder of the results file")
    args = parser.parse_args()
    about, figures = machine(), {name: PARTS[name](args.published) for name in args.part or PARTS if name in PARTS}
    figures |= {"duration": duration(args.corpora)} if args.corpora else {}
    print(json.dumps(figures, indent=1))
    for name, found in figures.items():
        key, asked = ASKED[name]
        print(f"{name:12}{key:14}{found[key]:>8}   asked {asked}")
    if set(figures) >= set(PARTS):
        path = args.output / f"zeroshot_{about['words']}_{datetime.date.today()}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"commit": commit(), "machine": about, **figures}, indent=1) + "\n", "utf-8")
        print(f"written to {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
