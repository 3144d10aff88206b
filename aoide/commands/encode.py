"""Turn sounds into the codes of a neural codec: aoide encode IN... -o DIR.

Each sound becomes an .npz file with its codes (frames, codebooks), from which `aoide decode` makes it again. Files of
any length take constant memory; folders are gone through, and their layout is kept.

  aoide encode speech.wav -o codes --codec encodec
  aoide encode recordings -o codes --codec codec/dac --weights weights_24khz_8kbps.pth
  aoide encode recordings -o codes --codec runs/codec-24k
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from aoide.config import UserError


def parser(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("inputs", nargs="+", type=Path, metavar="IN", help="sound files, or folders of them")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="DIR", help="the folder for the codes")
    add_codec(parser)


def add_codec(parser: argparse.ArgumentParser) -> None:
    """The options that `encode` and `decode` share."""
    parser.add_argument(
        "--codec",
        required=True,
        metavar="NAME",
        help="a folder of `aoide export`, a run, a model with --weights, or encodec, mimi, xcodec2",
    )
    parser.add_argument("--weights", metavar="SOURCE", help="of a model: a folder, a file, or hf:owner/name")
    parser.add_argument("--threads", type=int, default=1, metavar="N", help="processor threads (default: 1)")


def run(options: argparse.Namespace) -> int:
    from aoide.audio import io
    from aoide.commands._open import open_codec
    from aoide.generate.gather import sounds

    pairs = [(path, options.output / name.with_suffix(".npz")) for path, name in sounds(options.inputs)]
    codec = open_codec(options.codec, options.weights, threads=options.threads)
    rates: list[float] = []

    def work(path: Path, target: Path) -> None:
        samples = 0

        def counted() -> Any:
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


def each(pairs: list[tuple[Path, Path]], work: Any) -> int:
    """Calls `work(path, target)` for each pair, with a progress bar; says how many went well.

    Raises:
        UserError: the only one failed, or all did; otherwise those that fail are named and left out.
    """
    from tqdm import tqdm

    failed = 0
    for path, target in tqdm(pairs, unit="file", disable=None if len(pairs) > 1 else True):
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            work(path, target)
        except UserError as error:
            if len(pairs) == 1:
                raise
            failed += 1
            tqdm.write(f"left out: {error}")
    if failed == len(pairs):
        raise UserError(f"none of the {len(pairs)} files could be read")
    return len(pairs) - failed
