"""Put a trained out-of-vocabulary network into the package, and say how well it reads words that it has not seen.

aoide train recipes/g2p/letters-en.yaml
python tools/make_letters.py runs/letters-en -o aoide/text/data/en-letters.onnx
"""

import argparse
from pathlib import Path

from aoide.config import write_aside
from aoide.generate.quantise import rounded, store_in_8_bits
from aoide.models.g2p import letters as network
from aoide.text.letters import SOUNDS, Letters
from aoide.train import checkpoint


def distance(one: str, other: str) -> int:
    """The fewest insertions, deletions and substitutions that turn `one` into `other`."""
    row = list(range(len(other) + 1))
    for i, a in enumerate(one, start=1):
        last, row[0] = row[0], i
        for j, b in enumerate(other, start=1):
            last, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, last + (a != b))
    return row[-1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    args = parser.parse_args()
    _, model, recipe = checkpoint.load_model(checkpoint.locate(args.run))
    with write_aside(args.output) as aside:
        network.export(rounded(model).eval(), aside)
        store_in_8_bits(aside)
    read = Letters(args.output)
    words = sounds = wrong_words = wrong_sounds = 0
    for batch in recipe.open_source().validation():
        for word, tokens in zip(batch["ids"], batch["tokens"], strict=True):
            wanted = "".join(SOUNDS[int(token) - 1] for token in tokens if token)
            errors = distance(read(word), wanted)
            words, sounds = words + 1, sounds + len(wanted)
            wrong_words, wrong_sounds = wrong_words + (errors > 0), wrong_sounds + errors
    size = args.output.stat().st_size / 1e6
    print(f"{args.output}: {size:.2f} MB; of {words} held-out words {wrong_words / words:.1%} have an error,", end=" ")
    print(f"{wrong_sounds / sounds:.1%} of the sounds and stress marks are wrong")


if __name__ == "__main__":
    main()
