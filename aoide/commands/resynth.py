"""Make sounds again through a vocoder, to hear what it can do: aoide resynth IN... -o DIR.

Copy-synthesis: all that is kept of a sound is its mel spectrogram (and F0, for vocoders that read it), and the vocoder
makes the sound again. Files of any length take constant memory; folders are gone through, and their layout is kept.

  aoide resynth speech.wav song.flac -o copies
  aoide resynth recordings -o copies --vocoder runs/hifigan
  aoide resynth recordings -o copies --vocoder vocoder/bigvgan --weights hf:nvidia/bigvgan_v2_24khz_100band_256x
"""

from __future__ import annotations

import argparse
from pathlib import Path

from aoide.commands._files import each, files
from aoide.commands._open import open_vocoder
from aoide.config import UserError
from aoide.voices import DEFAULT_VOCODER


def parser(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("inputs", nargs="+", type=Path, metavar="IN", help="sound files, or folders of them")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="DIR", help="the folder for the copies")
    parser.add_argument(
        "--vocoder",
        default=DEFAULT_VOCODER,
        metavar="NAME",
        help="one of the package, a folder of `aoide export`, a run, or a model with --weights (default: %(default)s)",
    )
    parser.add_argument("--weights", metavar="SOURCE", help="of a model: a folder, a file, or hf:owner/name")
    parser.add_argument("--format", choices=("wav", "flac"), default="wav", help="of the copies (default: wav)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="for vocoders that draw (default: 0)")
    parser.add_argument("--threads", type=int, default=1, metavar="N", help="processor threads (default: 1)")


def run(options: argparse.Namespace) -> int:
    from aoide.audio import io

    pairs = [(path, options.output / name.with_suffix(f".{options.format}")) for path, name in files(options.inputs)]
    vocoder = open_vocoder(options.vocoder, options.weights, threads=options.threads, seed=options.seed)

    def work(path: Path, target: Path) -> None:
        samples = round(io.probe(path).seconds * vocoder.sample_rate)
        with io.open_writer(target, vocoder.sample_rate, tags=vocoder.tags()) as writer:
            for piece in vocoder.copy(io.blocks(path, vocoder.sample_rate)):
                writer.write(piece[: samples - writer.samples])
            if not writer.samples:
                raise UserError(f"{path}: holds no sound")

    done = each(pairs, work)
    print(f"{options.output}: {done} of {len(pairs)} sounds, by {vocoder.name}")
    return 0
