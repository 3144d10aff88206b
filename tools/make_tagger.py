"""Train aoide/text/data/en-tagger.bin: which part of speech is a word, where that changes how it is said?

    python tools/make_tagger.py --wordnet /usr/share/wordnet --lexicon aoide/text/data/en-lexicon.bin \\
        -o aoide/text/data/en-tagger.bin

Text: the examples and glosses of WordNet 3.0 (Debian `wordnet-base`). Tags: the perceptron tagger of hibari-tts
(Apache-2.0), which is the voice's teacher, so that both read alike; where it calls a word a noun in an example that
WordNet gives for a verb of that name, or the other way round, WordNet is believed. Lines that stand in the voice's
reading list (recipes/tts/sentences-en.txt.gz) are held out, so that the agreement measured there is honest.
"""

import argparse
import gzip
import json
import random
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from aoide.text.lexicon import Lexicon
from aoide.text.normalize import normalize
from aoide.text.tagger import BITS, OF_THE_WORD, TAGS, features, pack
from aoide.text.tokens import Token, spans

COARSE = {
    "NNS": "NN", "NNPS": "NNP", "JJR": "JJ", "JJS": "JJ", "AFX": "JJ", "RBR": "RB", "RBS": "RB", "RP": "RB",
    "WRB": "RB", "EX": "RB", "VBZ": "VB", "VBG": "VB", "TO": "IN", "WDT": "IN", "PDT": "DT", "PRP$": "PRP",
    "WP": "PRP", "WP$": "PRP",
} | {tag: tag for tag in TAGS}  # fmt: skip
LITTLE = frozenset(("a", "by", "in", "that", "used", "am"))  # said differently as another part of speech
Line = tuple[bool, str, list[str], list[tuple[Token, str]]]  # held out, part, words of the example, tokens with tags


def wordnet(folder: Path) -> Iterator[tuple[str, str, list[str]]]:
    """(text, "noun" or "verb" if it is an example of that, the words that it is an example of)."""
    for part in ("noun", "verb", "adj", "adv"):
        for line in (folder / f"data.{part}").read_text("utf-8").splitlines():
            if line.startswith("  "):
                continue
            head, _, gloss = line.partition(" | ")
            fields = head.split()
            words = [fields[4 + 2 * i].lower() for i in range(int(fields[3], 16))]
            for quote in re.findall(r'"([^"]+)"', gloss):
                if text := quote.strip(" ;"):
                    yield text[0].upper() + text[1:] + "." * (text[-1] not in ".?!"), part, words
            for definition in re.sub(r'"[^"]*"', "", gloss).split(";"):
                if len(definition.split()) > 3:
                    yield definition.strip(), "", []


def tagged(folder: Path, held_out: str) -> Iterator[Line]:
    """Every line of WordNet in our tokens, with the teacher's tags."""
    from hibari.g2p import G2P

    teacher = G2P()
    for text, part, words in wordnet(folder):
        try:
            line = normalize(text)
        except ValueError:
            continue  # Greek
        theirs, at = [], 0
        for token in teacher.tokenize(line):
            theirs.append((at, at + len(token.text), COARSE.get(token.tag, "O")))
            at += len(token.text) + len(token.whitespace)
        ours = [(token, _overlapping(span, theirs)) for span, token in spans(line)]
        if ours:
            yield text.strip(" .")[1:] in held_out, part, words, ours


def _overlapping(span: tuple[int, int], tokens: list[tuple[int, int, str]]) -> str:
    """The tag of the token that shares most letters with the span."""
    shared = [(min(end, span[1]) - max(start, span[0]), tag) for start, end, tag in tokens]
    best = max(shared, key=lambda entry: entry[0], default=(0, "O"))
    return best[1] if best[0] > 0 else "O"


def believe_wordnet(lines: list[Line], heteronyms: set[str]) -> int:
    """Corrects tags of heteronyms by what the line is an example of; returns how many."""
    corrected = 0
    for _, part, words, tokens in lines:
        if part not in ("noun", "verb"):
            continue
        forms = {word + ending for word in words for ending in ("", "s", "es", "d", "ed")}
        wrong = ("NN", "JJ", "NNP", "O", "RB") if part == "verb" else ("VB", "VBP", "VBD", "VBN")
        for i, (token, tag) in enumerate(tokens):
            word = token.text.lower()
            if word in forms and word in heteronyms and tag in wrong:
                tokens[i] = token, "VB" if part == "verb" else "NN"
                corrected += 1
    return corrected


def matters(token: Token, heteronyms: set[str]) -> bool:
    text = token.text
    return text.lower() in heteronyms or text.lower() in LITTLE or (text.isupper() and len(text) > 1)


def examples(lines: list[Line], heteronyms: set[str], others: float) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """(features, tags, does it matter) of all tokens that matter and of a share of the others."""
    rng = np.random.default_rng(1)
    rows, tags, weighty = [], [], []
    known: dict[str, tuple[int, ...]] = {}
    for _, _, _, tokens in lines:
        matter = np.array([matters(token, heteronyms) for token, _ in tokens])
        keep = matter | (rng.random(len(tokens)) < others)
        rows.append(features([token for token, _ in tokens], known)[keep].astype(np.int32))
        tags += [TAGS.index(tag) for (_, tag), kept in zip(tokens, keep, strict=True) if kept]
        weighty.append(matter[keep])
    return torch.from_numpy(np.concatenate(rows)), torch.tensor(tags), torch.from_numpy(np.concatenate(weighty))


NOTHING = 0  # the row that stands for a feature that is not to be seen


def train(
    rows: torch.Tensor,
    tags: torch.Tensor,
    epochs: int = 4,
    rate: float = 0.1,
    batch: int = 4096,
    blindness: float = 0.4,
) -> np.ndarray:
    """Softmax regression by Adagrad; the weights in 8 bits.

    blindness: how often the word itself is hidden, so that its neighbours must tell: heteronyms are rare, and what
    stands around nouns and verbs is the same for all of them.
    """
    weights = torch.zeros(2**BITS, len(TAGS))
    squares = torch.full_like(weights, 1e-4)
    generator = torch.Generator().manual_seed(0)
    for epoch in range(epochs):
        total = 0.0
        for chosen in torch.randperm(len(tags), generator=generator).split(batch):
            x, y = rows[chosen].long(), tags[chosen]
            blind = torch.rand(len(y), 1, generator=generator) < blindness
            x = torch.where(blind & torch.tensor(OF_THE_WORD), NOTHING, x)
            scores = torch.nn.functional.embedding_bag(x, weights, mode="sum")
            error = scores.softmax(1)
            total -= float(error[torch.arange(len(y)), y].log().sum())
            error[torch.arange(len(y)), y] -= 1
            gradient = torch.zeros_like(weights)
            gradient.index_add_(0, x.flatten(), error.repeat_interleave(x.shape[1], 0))
            squares += gradient**2
            weights -= rate * gradient / squares.sqrt()
        print(f"epoch {epoch}: {total / len(tags):.4f} nats a word", flush=True)
    step = torch.quantile(weights[weights != 0].abs()[::7], 0.9995) / 127
    return (weights / step).round().clamp(-127, 127).to(torch.int8).numpy()


def accuracy(weights: np.ndarray, lines: list[Line], heteronyms: set[str]) -> str:
    rows, tags, _ = examples([line for line in lines if line[0]], heteronyms, others=0.0)
    guessed = weights[rows.numpy()].sum(1, dtype=np.int32).argmax(1)
    return f"{(guessed == tags.numpy()).mean():.2%} of {len(tags)} held-out words that matter"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--wordnet", type=Path, default=Path("/usr/share/wordnet"))
    parser.add_argument("--lexicon", type=Path, default=Path("aoide/text/data/en-lexicon.bin"))
    parser.add_argument("--held-out", type=Path, default=Path("recipes/tts/sentences-en.txt.gz"))
    parser.add_argument("--tags", type=Path, help="keep the teacher's tags in this file, or take them from there")
    parser.add_argument("-o", "--output", type=Path, required=True)
    args = parser.parse_args()
    heteronyms = {
        word for word, entry in Lexicon(args.lexicon).items() if set(entry.by_tag) - {"None"} and entry.trusted
    }
    if args.tags and args.tags.exists():
        kept = map(json.loads, args.tags.read_text("utf-8").splitlines())
        lines = [(a, b, c, [(Token(*token), tag) for token, tag in d]) for a, b, c, d in kept]
    else:
        lines = list(tagged(args.wordnet, gzip.decompress(args.held_out.read_bytes()).decode()))
        if args.tags:
            args.tags.write_text("\n".join(map(json.dumps, lines)), "utf-8")
    random.Random(0).shuffle(lines)
    print(f"{len(lines)} lines, {believe_wordnet(lines, heteronyms)} tags by WordNet instead of the teacher")
    rows, tags, _ = examples([line for line in lines if not line[0]], heteronyms, others=0.4)
    weights = train(rows, tags)
    print(accuracy(weights, lines, heteronyms))
    args.output.write_bytes(pack(weights))
    print(f"-> {args.output}, {args.output.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
