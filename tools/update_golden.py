"""Records the golden losses of models anew: python tools/update_golden.py [NAME ...]; without names, of all models.

Look at the difference before you commit it: each changed number says that training is no longer what it was.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from aoide.models import find  # noqa: E402  (after the path)
from tests.golden import run  # noqa: E402


def main(words: list[str]) -> None:
    for name in words or find.names():
        find.find(name)  # a wrong name is told, with the near ones
        run.write(name)
        print(run.path(name))


if __name__ == "__main__":
    main(sys.argv[1:])
