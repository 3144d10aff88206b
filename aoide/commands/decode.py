"""Make sound of codes that `aoide encode` wrote: aoide decode IN... -o DIR.

aoide decode codes -o sounds
aoide decode codes/speech.npz -o sounds --codebooks 8        the coarsest eight only
aoide decode codes -o sounds --codec encodec
"""

from __future__ import annotations

import argparse
from pathlib import Path

from aoide.commands._files import each, files
from aoide.commands._open import add_codec, open_codec


def parser(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("inputs", nargs="+", type=Path, metavar="IN", help="files of codes (.npz), or folders of them")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="DIR", help="the folder for the sounds")
    parser.add_argument("--codebooks", type=int, metavar="N", help="take the first N codebooks (default: all)")
    parser.add_argument("--format", choices=("wav", "flac"), default="wav", help="of the sounds (default: wav)")
    parser.add_argument(
        "--vocoder", metavar="NAME", help="for a codec of mels: another one of the package, or a folder"
    )
    add_codec(parser)


def run(options: argparse.Namespace) -> int:
    from aoide.audio import io
    from aoide.generate.codec import Codes

    found = files(options.inputs, (".npz",))
    pairs = [(path, options.output / name.with_suffix(f".{options.format}")) for path, name in found]
    codec = open_codec(options.codec, options.weights, threads=options.threads, vocoder=options.vocoder)
    codec.open_vocoder()  # so that a missing one is told once, before any file

    def work(path: Path, target: Path) -> None:
        codes = Codes.load(path)
        pieces = codec.checked(codes, options.codebooks)
        with io.open_writer(target, codec.sample_rate, tags=codec.tags()) as writer:
            for samples in codec.decode_stream(pieces):
                writer.write(samples[: codes.samples - writer.samples])

    done = each(pairs, work)
    print(f"{options.output}: {done} of {len(pairs)} sounds, by {codec.name}")
    return 0
