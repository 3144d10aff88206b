"""How fast, steady and robust is the server? With clients on the same machine, in a process of their own.

    pip install -e '.[serve,taught]' schemathesis
    python benchmarks/serving.py                       all of it, about ten minutes
    python benchmarks/serving.py --part steady         one part: first, steady, throughput, schema or page
    python benchmarks/serving.py --quick               each part short, no results file

- first: one client, `en-heart`, sentences of twenty words, PCM; the time from opening the connection to the first bytes
  of sound, the median of 40.
- steady: 32 clients at once for five minutes: answers that failed or broke off, and the memory of the server after one
  minute and at the end.
- throughput: seconds of sound a second with 32 clients, of the server, of the same voice in a plain wrapper that does
  one request at a time (with one thread, and with a thread for each core: the better counts), and of a plain FastAPI
  wrapper around hibari-tts. They take turns, three times each; the median counts.
- schema: schemathesis over the OpenAPI document, 2,000 cases: how many were answered with a status of 500 or more.
- page: see benchmarks/serving_explain.py.

The clients share the processor with the server, for all servers alike. Prints the table, asked beside measured, and
writes benchmarks/results/serving_<machine>_<date>.json; parts that were not run keep their figures there.
"""

import argparse
import datetime
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rooms import WORKERS
from voice import commit, machine

HERE = Path(__file__).resolve().parent
PORT = 8117
TEXTS = (HERE / "sentences-100.txt").read_text("utf-8")
TWENTY = """
The old clock in the hall struck nine times while everybody at the long table was still waiting for the soup.
Nobody who walked along the river that morning could have said where the music came from or why it stopped.
She put the letters back into the box and carried it up the narrow stairs to the room under the roof.
If the weather stays as it is now, they will have brought the whole harvest home before the end of August.
"""
ASKED = {"first_ms": 150, "growth": 0.05, "one_at_a_time": 1.5, "hibari": 1.0, "page_s": 2.0, "explaining": 1.5}


@contextmanager
def server(*words: str) -> Iterator[tuple[str, int]]:
    """A server that has come up: its address and its process."""
    environment = {**os.environ, "AOIDE_KEYS": ""}
    process = subprocess.Popen([sys.executable, *words], stdout=subprocess.DEVNULL, env=environment)
    address = f"http://127.0.0.1:{PORT}"
    try:
        for _ in range(600):
            if process.poll() is not None:
                raise SystemExit(f"{' '.join(words)}: ended with status {process.returncode}")
            try:
                urllib.request.urlopen(f"{address}/healthz", timeout=5)
                break
            except (urllib.error.URLError, OSError):
                time.sleep(0.1)
        yield address, process.pid
    finally:
        process.terminate()
        process.wait(30)


def ours(*more: str) -> tuple[str, ...]:
    return ("-m", "aoide.cli", "serve", "--port", str(PORT), *more)


def plain(voice: str, threads: int = 1) -> tuple[str, ...]:
    return (str(WORKERS / "plain_server.py"), "--voice", voice, "--threads", str(threads), "--port", str(PORT))


def load(address: str, texts: str = TEXTS, **settings: Any) -> dict[str, Any]:
    """What clients in another process met with."""
    words = [f"--{name.replace('_', '-')}={value}" for name, value in settings.items()]
    command = [sys.executable, str(WORKERS / "http_load.py"), address, *words]
    done = subprocess.run(command, input=texts, capture_output=True, text=True, check=True)
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def megabytes(pid: int) -> float:
    """Resident memory of a process."""
    text = Path(f"/proc/{pid}/status").read_text("ascii")
    return int(re.search(r"VmRSS:\s+(\d+)", text)[1]) / 1000  # type: ignore[index]


def first(quick: bool) -> dict[str, Any]:
    with server(*ours()) as (address, _):
        load(address, TWENTY, clients=1, answers=4)
        found = load(address, TWENTY, clients=1, answers=8 if quick else 40)
    return {"answers": found["answers"], "median_ms": found["first_ms_median"], "worst_ms": found["first_ms_worst"]}


def steady(quick: bool) -> dict[str, Any]:
    early, late = (5, 10) if quick else (60, 240)
    with server(*ours()) as (address, pid):
        reports = [load(address, clients=32, seconds=early)]
        before = megabytes(pid)
        reports.append(load(address, clients=32, seconds=late))
        after = megabytes(pid)
    errors = [report["errors"] for report in reports]
    return {
        "clients": 32,
        "seconds": sum(report["seconds"] for report in reports),
        "answers": sum(report["answers"] for report in reports),
        "errors": sum(sum(own.values()) for own in errors),
        "dropped": sum(own.get("dropped", 0) + own.get("IncompleteReadError", 0) for own in errors),
        "memory_mb": [round(before), round(after)],
        "growth": round(after / before - 1, 4),
        "first_ms_median": reports[-1]["first_ms_median"],
        "sound_per_second": reports[-1]["sound_per_second"],
    }


def throughput(quick: bool) -> dict[str, Any]:
    cores = os.cpu_count() or 1
    systems: dict[str, tuple[tuple[str, ...], str]] = {
        "aoide serve": (ours(), "pcm"),
        "one at a time, 1 thread": (plain("aoide", 1), "wav"),
        f"one at a time, {cores} threads": (plain("aoide", cores), "wav"),
        "hibari-tts, plain FastAPI": (plain("hibari"), "wav"),
    }
    rounds: dict[str, list[float]] = {name: [] for name in systems}
    errors = dict.fromkeys(systems, 0)
    for _ in range(1 if quick else 3):
        for name, (words, format) in systems.items():
            with server(*words) as (address, _pid):
                load(address, clients=2, answers=2, format=format)
                report = load(address, clients=32, seconds=6 if quick else 15, format=format)
            rounds[name].append(report["sound_per_second"])
            errors[name] += sum(report["errors"].values())
    medians = {name: statistics.median(values) for name, values in rounds.items()}
    best = max(value for name, value in medians.items() if name.startswith("one at a time"))
    return {
        "sound_per_second": rounds,
        "errors": errors,
        "over_one_at_a_time": round(medians["aoide serve"] / best, 2),
        "over_one_thread": round(medians["aoide serve"] / medians["one at a time, 1 thread"], 2),
        "over_hibari": round(medians["aoide serve"] / medians["hibari-tts, plain FastAPI"], 2),
    }


def schema(quick: bool) -> dict[str, Any]:
    """Schemathesis in a process of its own; what it counts as wrong is a status of 500 or more, nothing else."""
    cases = 200 if quick else 2000
    with server(*ours("--most-seconds", "5", "--most-characters", "300")) as (address, _):
        paths = json.load(urllib.request.urlopen(f"{address}/openapi.json"))["paths"]
        of_input = [path for path, methods in paths.items() if "post" in methods]  # the others have one case each
        each = round(1.05 * cases / len(of_input))
        command = [
            str(Path(sys.executable).with_name("schemathesis")), "run", f"{address}/openapi.json",
            "--checks", "not_a_server_error", "--max-examples", str(each), "--phases", "fuzzing", "--seed", "1",
            "--request-timeout", "60", "--no-color",
        ]  # fmt: skip
        with tempfile.TemporaryDirectory() as folder:  # it leaves what it learned where it runs
            done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
    found = re.search(r"(\d+) generated", done.stdout)
    return {
        "cases": int(found[1]) if found else 0,
        "status": done.returncode,
        "server_errors": len(re.findall(r"^\d+\. Test Case ID", done.stdout, re.M)),
        "report": [] if done.returncode == 0 else done.stdout.splitlines()[-60:],
    }


def page(quick: bool) -> dict[str, Any]:
    import serving_explain

    return dict(serving_explain.run(quick))


PARTS: dict[str, Callable[[bool], dict[str, Any]]] = {
    "first": first,
    "steady": steady,
    "throughput": throughput,
    "schema": schema,
    "page": page,
}


def rows(found: dict[str, dict[str, Any]]) -> list[tuple[str, str, str, bool]]:
    """What was asked, what was measured, and whether that is enough."""
    lines = []
    if own := found.get("first"):
        value = own["median_ms"]
        lines.append(
            ("first sound, one client, median", "150 ms (aim 60)", f"{value:.0f} ms", value <= ASKED["first_ms"])
        )
    if own := found.get("steady"):
        said = f"{own['errors']} / {own['dropped']} / {100 * own['growth']:+.1f} % ({own['answers']} answers)"
        good = own["errors"] == own["dropped"] == 0 and own["growth"] <= ASKED["growth"]
        lines.append((f"32 clients, {own['seconds']:.0f} s: errors / dropped / memory", "0 / 0 / 5 %", said, good))
    if own := found.get("throughput"):
        value = own["over_one_at_a_time"]
        said = f"{value:.2f} (of one thread {own['over_one_thread']:.2f})"
        lines.append(("throughput / one at a time", "1.5 (aim 2.5)", said, value >= ASKED["one_at_a_time"]))
        value = own["over_hibari"]
        lines.append(("throughput / hibari-tts in FastAPI", "1.0 (aim 1.5)", f"{value:.2f}", value >= ASKED["hibari"]))
    if own := found.get("page"):
        value = own["interactive_s"]
        lines.append(("page of a 10 s trace is interactive", "2 s (aim 1)", f"{value:.2f} s", value <= ASKED["page_s"]))
        value = own["explaining_over_not"]
        lines.append(("explaining on / off", "1.5 (aim 1.2)", f"{value:.2f}", value <= ASKED["explaining"]))
    if own := found.get("schema"):
        good = own["cases"] >= 2000 and own["server_errors"] == 0 and own["status"] in (0, 1)
        lines.append((f"schemathesis, {own['cases']} cases", "no 5xx", f"{own['server_errors']} of 5xx", good))
    return lines


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", choices=tuple(PARTS), action="append", help="may be repeated; default: all")
    parser.add_argument("--quick", action="store_true", help="each part short, no results file")
    options = parser.parse_args()
    target = HERE / "results" / f"serving_{machine()['words']}_{datetime.date.today()}.json"
    kept = json.loads(target.read_text("utf-8")) if target.exists() else {}
    found: dict[str, Any] = {name: kept[name] for name in PARTS if name in kept}
    for name in options.part or PARTS:
        print(f"{name} ...", file=sys.stderr)
        found[name] = PARTS[name](options.quick)
    table = rows(found)
    for what, asked, measured, good in table:
        print(f"| {what} | {asked} | {measured} | {'met' if good else 'MISSED'} |")
    if not options.quick:
        setting = {"date": str(datetime.date.today()), "commit": commit(), "machine": machine(), "asked": ASKED}
        target.write_text(json.dumps({**setting, **found}, indent=1) + "\n", "utf-8")
    return 0 if all(good for *_, good in table) else 1


if __name__ == "__main__":
    sys.exit(main())
