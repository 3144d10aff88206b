"""Turn sounds into the codes of a neural codec: aoide encode IN... -o DIR.

Each sound becomes an .npz file with its codes (frames, codebooks), from which `aoide decode` makes it again. Files of
any length take constant memory; folders are gone through, and their layout is kept.

  aoide encode speech.wav song.flac -o codes
  aoide encode recordings -o codes --codec codec/dac --weights weights_24khz_8kbps.pth
  aoide encode recordings -o codes --codec encodec
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from aoide.commands._files import each, files
from aoide.commands._open import add_codec, open_codec

if TYPE_CHECKING:
    import numpy as np


def parser(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("inputs", nargs="+", type=Path, metavar="IN", help="sound files, or folders of them")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="DIR", help="the folder for the codes")
    add_codec(parser)


def run(options: argparse.Namespace) -> int:
    from aoide.audio import io

    pairs = [(path, options.output / name.with_suffix(".npz")) for path, name in files(options.inputs)]
    codec = open_codec(options.codec, options.weights, threads=options.threads)
    rates: list[float] = []

    def work(path: Path, target: Path) -> None:
        samples = 0

        def counted() -> Iterator[np.ndarray]:
            nonlocal samples
            for block in io.blocks(path, codec.sample_rate):
                samples += len(block)
                yield block

        pieces = list(codec.encode_stream(counted()))
        codes = codec.gather(pieces, samples)
        codes.save(target)
        rates.append(codes.bit_rate)

    done = each(pairs, work)
    print(
        f"{options.output}: {done} of {len(pairs)} sounds as codes of {codec.name}, "
        f"{codec.codebooks} codebooks, {codec.frame_rate:g} frames/s, {rates[0] / 1000:.3g} kbit/s"
    )
    return 0
