"""Pack a prepared corpus into shards, for training that streams them: aoide shard MANIFEST -o DIR.

Shards are a few large files in the place of many small ones: lhotse's Shar format, read in a row from a network drive,
a web server or an object store. Training takes the folder or its address in the place of a manifest. Arrays that the
corpus brings with it (a teacher's F0 and spectra) go along; of these, training fetches what its model asks for.

  aoide shard data/mine -o shards/mine
  aoide train recipes/vocoder/vocos-ljspeech.yaml data.manifest=https://example.org/shards/mine data.cache=cache
"""

from __future__ import annotations

import argparse
from pathlib import Path

from aoide.config import UserError


def parser(parser: argparse.ArgumentParser) -> None:
    from aoide.data.cluster import PLACES

    parser.add_argument("manifest", type=Path, metavar="MANIFEST", help="the folder that `aoide prepare` wrote")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="DIR", help="where the shards go")
    parser.add_argument(
        "--megabytes", type=float, default=64.0, metavar="MB", help="of sound in a shard, unpacked (default: 64)"
    )
    parser.add_argument("--jobs", type=int, default=0, metavar="N", help="processes (default: all processors)")
    parser.add_argument("--on", choices=PLACES, default="processes", help="where they run (default: processes)")


def run(options: argparse.Namespace) -> int:
    from aoide.data.sharding import shard

    if not options.megabytes > 0:
        raise UserError(f"--megabytes {options.megabytes:g}: must be above 0")
    counts = shard(options.manifest, options.output, options.megabytes, options.jobs, options.on)
    size = sum(path.stat().st_size for path in options.output.glob("*.tar"))
    print(f"{options.output}: {sum(counts):,} clips in {len(counts):,} shards, {size / 1e6:,.1f} MB")
    return 0
