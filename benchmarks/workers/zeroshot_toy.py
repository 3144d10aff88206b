"""How well does the toy MaskGCT speak? Trains it as far as it is not trained, judges it, and prints one line of JSON.

    python benchmarks/workers/zeroshot_toy.py recordings -o toy --whisper whisper-base ...

The arguments are those of tools/make_toy_maskgct.py, which says what they are; of a folder that is complete only the
judging is done anew. In the line: for sentences that were learned and for sentences held out, the word error rate in
percent of the whole chain, of S2A on the recording's own semantic codes, of the acoustic codec alone and of the
recordings, and by how much what was said is nearer to recordings of its own voice than to those of others.
"""

import contextlib
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))
import make_toy_maskgct as tool  # noqa: E402  (a neighbour of this folder)


def main() -> int:
    with contextlib.redirect_stdout(sys.stderr):
        status = tool.main(sys.argv[1:])
    if status:
        return status
    folder = tool.parsed(sys.argv[1:]).output
    result = json.loads((folder / tool.RESULT).read_text("utf-8"))
    for kind in ("learned", "held_out"):
        result[kind] = {key: value for key, value in result[kind].items() if key != "sentences"}
    print(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
