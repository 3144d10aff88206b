"""Write aoide/text/data/en-lexicon.bin from the two layers of the misaki lexicon.

    python tools/make_lexicon.py us_gold.json.gz us_silver.json.gz --extra tools/lexicon-extra-en.txt \\
        -o aoide/text/data/en-lexicon.bin

The layers (Apache-2.0, https://github.com/hexgrad/misaki) also come in the assets folder of hibari-tts. What changes:
the tapped t and the glottal stop are written as the voices know them (T, t), and a machine-made entry that a checked
one hides is left out.
"""

import argparse
import gzip
import json
from pathlib import Path

from aoide.text.lexicon import Entry, Lexicon, pack

VOICED = str.maketrans({"ɾ": "T", "ʔ": "t"})


def entry(value: str | dict[str, str | None], trusted: bool) -> Entry:
    by_tag = {"DEFAULT": value} if isinstance(value, str) else value
    spoken = {tag: (phonemes or "").translate(VOICED) for tag, phonemes in by_tag.items()}
    return Entry(spoken.pop("DEFAULT"), spoken, trusted)


def extra(path: Path) -> dict[str, Entry]:
    """Lines `word phonemes TAG=phonemes ...`; those that begin with # are remarks."""
    found = {}
    for line in path.read_text("utf-8").splitlines():
        if not line.startswith("#"):
            word, default, *by_tag = line.split()
            found[word] = Entry(default, dict(reading.split("=") for reading in by_tag), trusted=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("gold", type=Path)
    parser.add_argument("silver", type=Path)
    parser.add_argument("--extra", type=Path, help="words of our own, which go before all others")
    parser.add_argument("-o", "--output", type=Path, required=True)
    args = parser.parse_args()
    gold, silver = (json.loads(gzip.decompress(path.read_bytes())) for path in (args.gold, args.silver))
    words = {word: entry(value, trusted=True) for word, value in gold.items()}
    for word, value in silver.items():
        if word not in gold and word.capitalize() not in gold:
            words[word] = entry(value, trusted=False)
    words |= extra(args.extra) if args.extra else {}
    args.output.write_bytes(pack(words.items()))
    assert dict(Lexicon(args.output).items()) == words
    print(f"{len(words)} words -> {args.output}, {args.output.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
