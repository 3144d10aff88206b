"""How well does a toy MaskGCT speak? Judges a folder that tools/make_toy_maskgct.py has made; one line of JSON.

    python benchmarks/workers/zeroshot_toy.py toy --whisper whisper-base [--say 3]

In the line: for sentences that were learned and for sentences held out, the word error rate in percent of the whole
chain, of S2A on the recording's own semantic codes, of the acoustic codec alone and of the recordings, by how much what
was said is nearer to recordings of its own voice than to those of others, and what was heard in each sentence.
"""

import argparse
import contextlib
import json
import sys
from pathlib import Path

import torch

from aoide.external import content

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))
import make_toy_maskgct as tool  # noqa: E402  (a neighbour of this folder)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="of a toy that is trained")
    parser.add_argument("--whisper", required=True, metavar="DIR", help="Whisper base for CTranslate2")
    parser.add_argument("--say", type=int, default=3, metavar="N", help="sentences of each voice, learned and held out")
    args = parser.parse_args()
    torch.set_num_threads(1)
    with contextlib.redirect_stdout(sys.stderr):
        tool.judge(args.folder, content.open("whisper", args.whisper), args.whisper, args.say)
    print(json.dumps(json.loads((args.folder / tool.RESULT).read_text("utf-8"))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
