"""How fast is an evaluation, how much memory does it take, and are its numbers right? In one run.

    python benchmarks/metrics.py                 200 pairs of 3 to 10 s, made by the voice of the package, and noise
    python benchmarks/metrics.py --quick         8 pairs, no results file
    python benchmarks/metrics.py --pairs REF GEN pairs of yours, .wav files of the same names
    python benchmarks/metrics.py --signals docs/evaluating.md     only the table of known signals, in that page

- Speed: `evaluate` with all metrics of pairs and of single sounds that run on a CPU without a download and without a
  recogniser, against the plain way (workers/plain_metrics.py): seconds per second of sound, wall clock and processor.
  The plain way is measured on every fourth pair. Ours includes starting, loading and the report, the plain way does not
  count its start.
- The same without the networks that rate sounds (DNSMOS, DistillMOS, Resemblyzer).
- Memory: the peak of all processes together, for a quarter of the pairs and for all; and of DTW for a pair of 60 s.
- Correctness: for the seven known-signal pairs Amphion's number, our compatible one, our own.

Prints the tables and writes benchmarks/results/metrics_<machine>_<date>.json. About 20 minutes on two cores; an
interrupted run goes on where it was, as long as the code is the same (--fresh measures everything anew).
"""

import argparse
import datetime
import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from real_speech import into
from rooms import WORKERS, environment, sha256
from tqdm import tqdm
from voice import SENTENCES, commit, machine

import aoide
from aoide import metrics
from aoide.audio.io import probe
from aoide.audio.sound import Sound
from aoide.config import write_aside

HERE = Path(__file__).resolve().parent
NEED_FILES = ("nisqa", "utmos")
NETWORKS = ("dnsmos", "distillmos", "speaker_similarity")
SHORTEST, LONGEST = 3.0, 10.0  # seconds
ONE_THREAD = 1
MARK = "known signals"


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
    shutil.rmtree(folder, ignore_errors=True)
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
    shutil.rmtree(out, ignore_errors=True)
    command = [sys.executable, "-m", "aoide.cli", "evaluate", str(reference), str(generated)]
    command += ["--metrics", ",".join(wanted), "--align", "time", "-o", str(out), "--jobs", str(jobs)]
    _, took = watched(command, environment())
    report = json.loads((out / "report.json").read_text("utf-8"))
    means = {name: report["summary"][name][generated.name]["value"] for name in wanted}
    page = (out / "report.html").stat().st_size / 1e6
    return {**took, "pairs": report["pairs"], "seconds": seconds(generated), "means": means, "page_mb": page}


def plain(reference: Path, generated: Path, wanted: list[str], out: Path) -> dict[str, Any]:
    """What each metric took in the plain way, and its mean; goes on where it was."""
    command = [sys.executable, str(WORKERS / "plain_metrics.py"), str(reference), str(generated), ",".join(wanted)]
    _, took = watched([*command, str(out)], environment())
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    pairs = len(list(generated.glob("*.wav")))
    return {"pairs": pairs, "seconds": seconds(generated), "peak_mb": took["peak_mb"], "metrics": rows}


def only(slow: dict[str, Any], wanted: list[str]) -> dict[str, Any]:
    """The plain way with these metrics."""
    rows = [row for row in slow["metrics"] if row["metric"] in wanted]
    total = {key: sum(row[key] for row in rows) for key in ("wall", "cpu")}
    return {**total, **{key: slow[key] for key in ("pairs", "seconds")}}


def seconds(folder: Path) -> float:
    """Of sound in a folder."""
    return sum(probe(path).seconds for path in folder.glob("*.wav"))


def ratios(slow: dict[str, Any], fast: dict[str, Any]) -> dict[str, float]:
    """How many times as fast a second of sound is measured, by the clock and by the processor."""
    return {key: round(slow[key] / slow["seconds"] / (fast[key] / fast["seconds"]), 3) for key in ("wall", "cpu")}


class Stages:
    """What was measured so far, on disk: a stage is measured once, as long as the code and the sounds are the same."""

    def __init__(self, folder: Path, fresh: bool, *what: Any) -> None:
        package = Path(aoide.__file__).parent
        code = [package / part for part in ("metrics", "external", "audio", "plots", "commands/evaluate.py")]
        words = json.dumps([sha256([*code, WORKERS / "plain_metrics.py"]), *what])
        self.folder = folder / f"stages-{hashlib.sha256(words.encode()).hexdigest()[:12]}"
        if fresh:
            shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True, exist_ok=True)

    def take(self, name: str, measure: Callable[[], Any]) -> Any:
        path = self.folder / f"{name}.json"
        if not path.exists():
            print(f"{datetime.datetime.now():%H:%M:%S} {name}", file=sys.stderr, flush=True)
            found = measure()
            with write_aside(path) as aside:
                aside.write_text(json.dumps(found), "utf-8")
        return json.loads(path.read_text("utf-8"))


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


def write_signals(page: Path) -> None:
    """Puts the table of known signals, made anew, between its marks in a page."""
    rows = known_signals(slow=True)
    from tests.metrics import signals

    into(page, MARK, signals.markdown(rows))


def show(found: dict[str, Any]) -> str:
    """The tables."""
    lines = []
    for title, key in (("all metrics", "all"), ("without networks", "signal")):
        slow, fast, ratio = found[f"plain_{key}"], found[f"ours_{key}"], found[f"ratio_{key}"]
        lines += [f"{title}, seconds per second of sound    plain        ours       times as fast"]
        lines += [
            f"  {what:36}{slow[what] / slow['seconds']:12.4f}{fast[what] / fast['seconds']:12.4f}{ratio[what]:14.2f}"
            for what in ("wall", "cpu")
        ]
    memory = found["memory_mb"]
    lines.append(
        f"memory, MB: {memory['fewer_pairs']:.0f} for a quarter of the pairs, {memory['all_pairs']:.0f} for all"
    )
    lines.append(f"both ways found the same means: {'yes' if not found['other_means'] else found['other_means']}")
    lines.append(f"DTW of a pair of 60 s: {found['dtw_60s_mb']:.0f} MB (must be below 1000)")
    lines += ["", f"{'metric':20}{'setting':30}{'pair':16}{'Amphion':>10}{'like':>10}{'ours':>10}  unit"]
    for row in found["known_signals"]:
        numbers = "".join(f"{row[key]:>10.4g}" for key in ("amphion", "compatible", "correct"))
        lines.append(f"{row['metric']:20}{row['setting']:30}{row['pair']:16}{numbers}  {row['unit']}")
    return "\n".join(lines)


def other_means(rows: list[dict[str, Any]], means: dict[str, Any]) -> dict[str, Any]:
    """Metrics of which both ways found other means on the same files, but for what a resampler takes."""
    pairs = {row["metric"]: (row["mean"], means[row["metric"]]) for row in rows}
    return {
        name: both
        for name, both in pairs.items()
        if None not in both and abs(both[0] - both[1]) > 0.02 * max(1.0, abs(both[0]))
    }


def figures(reference: Path, generated: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Everything that is measured, stage by stage."""
    wanted = names()
    signal = [name for name in wanted if name not in NETWORKS]
    stages = Stages(options.cache, options.fresh, str(reference), len(list(generated.glob("*.wav"))), options.jobs)
    fewer = part(reference, generated, 4, stages.folder / "fewer")
    found: dict[str, Any] = {"metrics": wanted, "cores": len(os.sched_getaffinity(0)), "jobs": options.jobs}
    report = stages.folder / "report"
    slow = stages.take("plain", lambda: plain(*fewer, wanted, stages.folder / "plain.jsonl"))
    few = stages.take("ours-quarter", lambda: ours(*fewer, wanted, report, options.jobs))
    found["plain_part"] = f"every fourth pair, {slow['pairs']} of {len(list(generated.glob('*.wav')))}"
    found["plain"] = slow["metrics"]
    for key, chosen in (("all", wanted), ("signal", signal)):
        measure = partial(ours, reference, generated, chosen, report, options.jobs)
        found[f"plain_{key}"] = only(slow, chosen)
        found[f"ours_{key}"] = stages.take(f"ours-{key}", measure)
        found[f"ratio_{key}"] = ratios(found[f"plain_{key}"], found[f"ours_{key}"])
    found["memory_mb"] = {"fewer_pairs": few["peak_mb"], "all_pairs": found["ours_all"]["peak_mb"]}
    found["other_means"] = other_means(slow["metrics"], few["means"])
    found["dtw_60s_mb"] = stages.take("dtw", partial(warping_memory, stages.folder))
    found["known_signals"] = stages.take("known-signals", partial(known_signals, options.slow))
    return found


def main() -> None:
    cores = len(os.sched_getaffinity(0))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=Path, nargs=2, metavar=("REF", "GEN"), help="folders of .wav files")
    parser.add_argument("--quick", action="store_true", help="8 pairs, no results file")
    parser.add_argument("--count", type=int, default=200, help="of pairs (default: 200; others write no results file)")
    parser.add_argument("--jobs", type=int, default=cores, help="processes of an evaluation (default: one per core)")
    parser.add_argument("--slow", action="store_true", help="also Amphion's periodicity, by the large CREPE")
    parser.add_argument("--fresh", action="store_true", help="forget what an interrupted run measured")
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache" / "aoide-bench")
    parser.add_argument("--output", type=Path, default=HERE / "results", help="folder of the results file")
    parser.add_argument("--signals", type=Path, metavar="PAGE", help="make only the table of known signals, in a page")
    options = parser.parse_args()
    if options.signals:
        return write_signals(options.signals)
    hardware = machine()
    count = 8 if options.quick else options.count
    reference, generated = options.pairs or make_pairs(options.cache / f"metrics-{count}", count)
    found = figures(reference, generated, options)
    print(show(found))
    if options.quick or options.pairs or options.count != 200:
        return None
    date = datetime.date.today().isoformat()
    content = {"benchmark": "metrics", "date": date, "commit": commit(), "machine": hardware}
    path = options.output / f"metrics_{hardware['words']}_{date}.json"
    path.write_text(json.dumps(content | {"figures": found}, indent=1) + "\n", "utf-8")
    print(path)
    return None


if __name__ == "__main__":
    main()
