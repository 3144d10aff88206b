"""How much faster VALL-E draws its first codes with kept keys and values than without, on the CPU.

    python benchmarks/workers/valle_cache.py [--tokens 500] [--dim 256] [--layers 6] [--threads 1]

Random weights: what is computed does not hang on them. Both ways draw the same codes from 100 phonemes and a prompt of
three seconds (225 frames), which is checked: with the cache each code is one pass over one place, without it one over
all so far. Prints a JSON line: codes a second with (`cached`) and without (`plain`), their ratio, and the sizes.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from aoide.models.tts import valle
from aoide.nn import token_lm

PHONEMES, PROMPT = 100, 225


def without_cache(
    model: valle.Model, tokens: Tensor, prompt: Tensor, choose: token_lm.Choose, most: int
) -> Iterator[int]:
    """As `valle.Model.go_on`, but each step goes over all that stands before."""
    first, text, said = model.first, model.first.read(tokens), [prompt]

    def step(x: Tensor) -> Tensor:
        return first(text, first.said(torch.cat(said, dim=1)))[0, -1]

    def embed(code: int) -> Tensor:
        said.append(torch.tensor([[code]]))
        return text

    return token_lm.go_on(step, embed, text, choose, {model.config.codebook_size}, most=most)


def codes_a_second(codes: Iterator[int], count: int) -> tuple[float, list[int]]:
    """How fast they come, and which they are."""
    started = time.perf_counter()
    drawn = list(codes)
    assert len(drawn) == count, f"{len(drawn)} codes came, not {count}"
    return count / (time.perf_counter() - started), drawn


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=int, default=500, help="codes to draw")
    parser.add_argument("--dim", type=int, default=256, help="channels; the published model has 1024")
    parser.add_argument("--layers", type=int, default=6, help="the published model has 12")
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    config = valle.Config(symbols=178, dim=args.dim, layers=args.layers, heads=max(1, args.dim // 64), codebooks=2)
    model = valle.Model(config).eval()
    end = config.codebook_size
    tokens = torch.randint(1, config.symbols, (1, PHONEMES))
    prompt = torch.randint(0, config.codebook_size, (1, PROMPT))

    def choose(scores: Tensor, before: Sequence[int]) -> int:
        return int(scores[:end].argmax())  # never the end: both go on as long as they are asked to

    with torch.no_grad():
        codes_a_second(model.go_on(tokens, prompt, choose, 10), 10)  # the first calls pay for what torch loads
        cached, drawn = codes_a_second(model.go_on(tokens, prompt, choose, args.tokens), args.tokens)
        plain, again = codes_a_second(without_cache(model, tokens, prompt, choose, args.tokens), args.tokens)
    same = sum(a == b for a, b in zip(drawn, again, strict=True)) / args.tokens
    assert same == 1.0, f"only {same:.1%} of the codes are the same"
    sizes = {"dim": args.dim, "layers": args.layers, "tokens": args.tokens, "threads": args.threads}
    parameters = sum(p.numel() for p in model.first.parameters())
    figures = {"cached": round(cached, 1), "plain": round(plain, 2), "ratio": round(cached / plain, 1)}
    print(json.dumps({**figures, **sizes, "phonemes": PHONEMES, "prompt": PROMPT, "parameters": parameters}))


if __name__ == "__main__":
    main()
