"""How fast is an evaluation, how much memory does it take, and are its numbers right? In one run.

    python benchmarks/metrics.py                 200 pairs of 3 to 10 s, made by the voice of the package, and noise
    python benchmarks/metrics.py --quick         12 pairs, no results file
    python benchmarks/metrics.py --pairs REF GEN pairs of yours, .wav files of the same names

- Speed: `evaluate` with all metrics of pairs and of single sounds that run on a CPU without a download and without a
  recogniser, against the plain way (workers/plain_metrics.py): seconds per pair, wall clock and processor. The plain
  way is measured on every fourth pair, its time grows with their number; both include starting and loading.
- The same without the networks that rate sounds (DNSMOS, DistillMOS, Resemblyzer): both ways run these as they are.
- Memory: the peak of all processes together, for 50 and for all pairs; and of DTW for a pair of 60 s.
- Correctness: for the seven known-signal pairs Amphion's number, our compatible one, our own.

Prints the tables and writes benchmarks/results/metrics_<machine>_<date>.json.
"""

import argparse
import datetime
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
from rooms import WORKERS, environment
from tqdm import tqdm
from voice import SENTENCES, commit, machine

import aoide
from aoide import metrics
from aoide.audio.sound import Sound

HERE = Path(__file__).resolve().parent
NEED_FILES = ("nisqa", "utmos")
NETWORKS = ("dnsmos", "distillmos", "speaker_similarity")
SHORTEST, LONGEST = 3.0, 10.0  # seconds
ONE_THREAD = 1


def make_pairs(folder: Path, count: int) -> tuple[Path, Path]:
    """Sentences of the voice, one to three in a row, and the same in noise of 0 to 40 dB; made once, by one seed."""
    reference, generated = folder / "ref", folder / "gen"
    if len(list(generated.glob("*.wav"))) == count:
        return reference, generated
    for place in (reference, generated):
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
    random = np.random.default_rng(0)
    voice = aoide.load("en-heart")
    spoken = [
        voice.say(line) for line in tqdm(SENTENCES.read_text("utf-8").splitlines(), desc="speaking", disable=None)
    ]
    rate = spoken[0].sample_rate
    for number in range(count):
        wanted = random.uniform(SHORTEST, LONGEST)
        samples = np.zeros(0, np.float32)
        while len(samples) < wanted * rate:
            samples = np.concatenate([samples, spoken[random.integers(len(spoken))].samples])
        samples = samples[: round(wanted * rate)]
        noise = random.standard_normal(len(samples)) * samples.std() * 10 ** (-random.uniform(0, 40) / 20)
        Sound(samples, rate).save(reference / f"{number:04}.wav")
        Sound((samples + noise).astype(np.float32), rate).save(generated / f"{number:04}.wav")
    return reference, generated


def names() -> list[str]:
    """All metrics of pairs and single sounds that need neither a file nor a recogniser."""
    known = (name for name in metrics.names() if name not in NEED_FILES)
    return [name for name in known if metrics.find(name).METRIC.kind in ("pair", "single")]


def part(reference: Path, generated: Path, step: int, folder: Path) -> tuple[Path, Path]:
    """Every `step`-th pair, as links."""
    for place, source in (("ref", reference), ("gen", generated)):
        (folder / place).mkdir(parents=True)
        for path in sorted(source.glob("*.wav"))[::step]:
            (folder / place / path.name).symlink_to(path.resolve())
    return folder / "ref", folder / "gen"


def watched(command: list[str], env: dict[str, str]) -> tuple[str, dict[str, float]]:
    """Runs a command; its output, wall seconds, processor seconds and peak of memory (MB) of all its processes."""
    before, begun = os.times(), time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env)
    peak = 0.0
    done = threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.wait(0.2):
            peak = max(peak, resident(process.pid))

    watcher = threading.Thread(target=watch)
    watcher.start()
    output, _ = process.communicate()
    done.set()
    watcher.join()
    if process.returncode:
        raise SystemExit(f"{command[1]} ended with status {process.returncode}")
    after = os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return output, {"wall": time.perf_counter() - begun, "cpu": cpu, "peak_mb": peak}


def resident(pid: int) -> float:
    """MB in memory of a process and all below it; what they share counts once for each."""
    total, waiting = 0.0, [pid]
    while waiting:
        one = waiting.pop()
        try:
            total += int(Path(f"/proc/{one}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
            for task in Path(f"/proc/{one}/task").iterdir():
                waiting += [int(child) for child in (task / "children").read_text().split()]
        except (OSError, ValueError):
            continue
    return total


def ours(reference: Path, generated: Path, wanted: list[str], out: Path, jobs: int) -> dict[str, Any]:
    """One evaluation from nothing; its means and what it took."""
    command = [sys.executable, "-m", "aoide.cli", "evaluate", str(reference), str(generated)]
    command += ["--metrics", ",".join(wanted), "--align", "time", "-o", str(out), "--jobs", str(jobs)]
    _, took = watched(command, environment())
    report = json.loads((out / "report.json").read_text("utf-8"))
    means = {name: report["summary"][name][generated.name]["value"] for name in wanted}
    return {**took, "pairs": report["pairs"], "means": means, "page_mb": (out / "report.html").stat().st_size / 1e6}


def plain(reference: Path, generated: Path, wanted: list[str]) -> dict[str, Any]:
    command = [sys.executable, str(WORKERS / "plain_metrics.py"), str(reference), str(generated), ",".join(wanted)]
    output, took = watched(command, environment())
    return {**took, "pairs": len(list(generated.glob("*.wav"))), "means": json.loads(output.splitlines()[-1])["means"]}


def ratios(slow: dict[str, Any], fast: dict[str, Any]) -> dict[str, float]:
    """How many times as fast a pair is measured, by the clock and by the processor."""
    return {key: round(slow[key] / slow["pairs"] / (fast[key] / fast["pairs"]), 3) for key in ("wall", "cpu")}


def warping_memory(folder: Path) -> float:
    """MB at most, of a process that aligns two sounds of 60 s by DTW and takes F0 RMSE and MCD."""
    random = np.random.default_rng(0)
    for name, seconds in (("first", 60.0), ("second", 60.3)):
        samples = (0.1 * random.standard_normal(round(seconds * 24000))).astype(np.float32)
        Sound(samples, 24000).save(folder / f"{name}.wav")
    code = (
        "import resource, sys\n"
        "from aoide import metrics\n"
        "from aoide.audio.sound import Sound\n"
        "from aoide.metrics.analysis import Analysis\n"
        "a, b = (Analysis(Sound.load(path).samples, 24000) for path in sys.argv[1:])\n"
        "metrics.f0_rmse(a, b, align='dtw'), metrics.mcd(a, b, align='dtw')\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3)\n"
    )
    command = [sys.executable, "-c", code, str(folder / "first.wav"), str(folder / "second.wav")]
    return float(
        subprocess.run(command, capture_output=True, text=True, check=True, env=environment(ONE_THREAD)).stdout
    )


def known_signals(slow: bool) -> list[dict[str, Any]]:
    """Amphion's number, our compatible number, our correct number, of the seven pairs."""
    sys.path.insert(0, str(HERE.parent))
    from tests.metrics import signals

    return signals.table(slow)


def show(found: dict[str, Any]) -> str:
    """The tables."""
    lines = []
    for title, key in (("all metrics", "all"), ("without networks", "signal")):
        slow, fast, ratio = found[f"plain_{key}"], found[f"ours_{key}"], found[f"ratio_{key}"]
        lines += [f"{title}, seconds per pair    plain        ours       times as fast"]
        lines += [
            f"  {what:22}{slow[what] / slow['pairs']:12.3f}{fast[what] / fast['pairs']:12.3f}{ratio[what]:14.2f}"
            for what in ("wall", "cpu")
        ]
    memory = found["memory_mb"]
    lines.append(
        f"memory, MB: {memory['fewer_pairs']:.0f} for a quarter of the pairs, {memory['all_pairs']:.0f} for all"
    )
    lines.append(f"both ways found the same means: {'yes' if found['same_means'] else 'NO'}")
    lines.append(f"DTW of a pair of 60 s: {found['dtw_60s_mb']:.0f} MB (must be below 1000)")
    lines += ["", f"{'metric':20}{'setting':30}{'pair':16}{'Amphion':>10}{'like':>10}{'ours':>10}  unit"]
    for row in found["known_signals"]:
        numbers = "".join(f"{row[key]:>10.4g}" for key in ("amphion", "compatible", "correct"))
        lines.append(f"{row['metric']:20}{row['setting']:30}{row['pair']:16}{numbers}  {row['unit']}")
    return "\n".join(lines)


def main() -> None:
    cores = len(os.sched_getaffinity(0))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=Path, nargs=2, metavar=("REF", "GEN"), help="folders of .wav files")
    parser.add_argument("--quick", action="store_true", help="12 pairs, no results file")
    parser.add_argument("--count", type=int, default=200, help="of pairs (default: 200; others write no results file)")
    parser.add_argument("--jobs", type=int, default=cores, help="processes of an evaluation (default: one per core)")
    parser.add_argument("--slow", action="store_true", help="also Amphion's periodicity, by the large CREPE")
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache" / "aoide-bench")
    parser.add_argument("--output", type=Path, default=HERE / "results", help="folder of the results file")
    args = parser.parse_args()
    hardware = machine()
    count = 12 if args.quick else args.count
    reference, generated = args.pairs or make_pairs(args.cache / f"metrics-{count}", count)
    wanted = names()
    signal = [name for name in wanted if name not in NETWORKS]
    found: dict[str, Any] = {"metrics": wanted, "cores": cores, "jobs": args.jobs}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        fewer = part(reference, generated, 4, folder / "fewer")
        for key, chosen in (("all", wanted), ("signal", signal)):
            found[f"plain_{key}"] = plain(*fewer, chosen)
            found[f"ours_{key}"] = ours(reference, generated, chosen, folder / f"report-{key}", args.jobs)
            found[f"ratio_{key}"] = ratios(found[f"plain_{key}"], found[f"ours_{key}"])
        small = ours(*fewer, signal, folder / "small", args.jobs)
        found["memory_mb"] = {"fewer_pairs": small["peak_mb"], "all_pairs": found["ours_signal"]["peak_mb"]}
        found["same_means"] = agree(found["plain_signal"]["means"], small["means"])
        found["dtw_60s_mb"] = warping_memory(folder)
    found["known_signals"] = known_signals(args.slow)
    print(show(found))
    if args.quick or args.count != 200:
        return
    date = datetime.date.today().isoformat()
    content = {"benchmark": "metrics", "date": date, "commit": commit(), "machine": hardware}
    path = args.output / f"metrics_{hardware['words']}_{date}.json"
    path.write_text(json.dumps(content | {"figures": found}, indent=1) + "\n", "utf-8")
    print(path)


def agree(first: dict[str, Any], second: dict[str, Any]) -> bool:
    """Whether both ways found the same means, but for what a resampler takes."""
    return all(one is None or abs(one - second[name]) <= 0.02 * max(1.0, abs(one)) for name, one in first.items())


if __name__ == "__main__":
    main()
