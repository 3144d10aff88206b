"""How far are the models from the original code? Every parity pack through `from_official`, in one table.

    python benchmarks/parity.py                            the packs beside the repository, ../shared/parity
    python benchmarks/parity.py --packs FOLDER vocos dac   other packs; only the tests of these models

It runs the tests in tests/parity, which compare outputs, losses, feature maps and codes with numbers that were recorded
from the original code, and collects what they found: for each pack how many outputs were compared, the largest
difference, and the largest share of its limit (tests/parity/packs.py says how the limits come about). It ends with a
failure when a test fails. Packs that no test opened are listed, so that none is forgotten.

Prints the table and writes benchmarks/results/parity_<date>.json, which a run of some models alone does not.
"""

import argparse
import datetime
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from voice import commit

HERE = Path(__file__).resolve().parent
TESTS = HERE.parent / "tests" / "parity"


def run(models: list[str], folder: Path, report: Path) -> int:
    """Runs the tests and lets them write to `report`; their status."""
    environment = {**os.environ, "AOIDE_PARITY": str(folder), "AOIDE_PARITY_REPORT": str(report)}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(TESTS)]
    if models:
        command += ["-k", " or ".join(models)]
    return subprocess.run(command, cwd=HERE.parent, env=environment, check=False).returncode


def collect(report: Path) -> dict[str, dict[str, Any]]:
    """pack -> how many outputs were compared, the largest difference and the largest share of a limit.

    A limit of 0, of integers, has a share of 0 where it is kept.
    """
    packs: dict[str, dict[str, Any]] = {}
    for line in report.read_text("utf-8").splitlines():
        found = json.loads(line)
        pack = packs.setdefault(found["pack"], {"outputs": set(), "difference": 0.0, "share_of_limit": 0.0})
        pack["outputs"].add(found["output"])
        pack["difference"] = max(pack["difference"], found["difference"])
        if found["limit"]:
            pack["share_of_limit"] = max(pack["share_of_limit"], round(found["difference"] / found["limit"], 4))
    return {name: {**pack, "outputs": len(pack["outputs"])} for name, pack in sorted(packs.items())}


def table(packs: dict[str, dict[str, Any]]) -> str:
    lines = [f"{'pack':48}{'outputs':>8}{'difference':>12}{'of limit':>10}"]
    for name, pack in packs.items():
        lines.append(f"{name:48}{pack['outputs']:>8}{pack['difference']:>12.1e}{pack['share_of_limit']:>10.1%}")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", help="of which tests are run (default: all, with a results file)")
    default = os.environ.get("AOIDE_PARITY") or HERE.parent.parent / "shared" / "parity"
    parser.add_argument("--packs", type=Path, default=Path(default), help="folder of the packs")
    parser.add_argument("--output", type=Path, default=HERE / "results", help="folder of the results file")
    args = parser.parse_args()
    there = {f"{path.parent.name}/{path.stem}" for path in args.packs.glob("*/*.safetensors")}
    if not there:
        parser.error(f"{args.packs}: no packs (*/*.safetensors) in it")
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.jsonl"
        report.touch()
        status = run(args.models, args.packs.resolve(), report)
        packs = collect(report)
    print(table(packs))
    left = sorted(there - set(packs))
    print(f"{len(packs)} packs compared, {len(left)} of {len(there)} not opened")
    if args.models:
        return status
    date = datetime.date.today().isoformat()
    content = {"benchmark": "parity", "date": date, "commit": commit(), "failed": status != 0}
    path = args.output / f"parity_{date}.json"
    path.write_text(json.dumps(content | {"packs": packs, "not_opened": left}, indent=1) + "\n", "utf-8")
    print(path)
    return status


if __name__ == "__main__":
    sys.exit(main())
