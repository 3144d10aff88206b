"""How fast are data and features, and is anything lost? The figures of training, in one run.

    python benchmarks/training.py                    all parts, some ten minutes on two cores
    python benchmarks/training.py --part extract     one of them; --part may be given several times

extract     mel + F0 + energy, kept in the cache: seconds of sound per second, beside the plain way (one file at a time,
            librosa and Praat, workers/plain_extract.py, in a room of its own) on the same files. Ours by the same
            method, Boersma's autocorrelation, in all processes; and per core, by processor time.
waiting     share of a training step that is spent waiting for data: FastSpeech 2 and HiFi-GAN on the CPU.
padding     padded frames in dynamic batches, on lengths as corpora of speech have them, and the largest batch.
million     a manifest of 1,000,000 clips that were never recorded: open to first batch, and memory.
resume      100,000 clips: back to the middle of an epoch, exactly.
kill        `kill -9` at 20 random moments (workers/training_kill.py): does the run equal an unbroken one, bit by bit?
processes   two processes against one, same global batch: do the losses agree?

The sounds are the voice of the package reading benchmarks/sentences-100.txt. Prints the table, asked beside measured,
and with all parts writes benchmarks/results/training_<machine>_<date>.json.
"""

import argparse
import datetime
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from rooms import WORKERS, Room, Worker, environment
from tqdm import tqdm
from voice import commit, machine

import aoide
from aoide.audio.mel_config import MelConfig
from aoide.audio.pitch import PitchConfig
from aoide.audio.sound import Sound

HERE = Path(__file__).resolve().parent
PLAIN = Room(
    name="plain-features",
    packages=("librosa==0.11.0", "soundfile==0.14.0", "praat-parselmouth==0.4.7", "numpy==2.4.6"),
)
MEL = MelConfig(sample_rate=22_050, n_mels=80, fmax=8_000, scale="slaney", norm="slaney")
TIMES = 10  # that the sentences stand in the corpus that is extracted, each time a little louder
MILLION, RESUMED = 1_000_000, 100_000
TRAINED = {"tts/fastspeech2-folder": (24, 60), "vocoder/hifigan-folder": (4, 1.5)}  # steps, seconds in a batch
Figures = dict[str, Any]


# -------------------------------------------------------------------------------------------------------------- corpora


def read_aloud(folder: Path, times: int = 1) -> Path:
    """The sentences as a folder of sounds and texts, read by the voice of the package."""
    voice = aoide.load("en-heart")
    folder.mkdir(parents=True)
    sentences = (HERE / "sentences-100.txt").read_text("utf-8").splitlines()
    for number, sentence in enumerate(tqdm(sentences, desc="reading aloud", disable=None)):
        sound = voice.say(sentence)
        for time_ in range(times):
            name = folder / f"{number:03}-{time_}"
            Sound(sound.samples * (0.5 + 0.05 * time_), sound.sample_rate).save(name.with_suffix(".wav"))
            name.with_suffix(".txt").write_text(sentence, "utf-8")
    return folder


def prepared(sounds: Path, folder: Path) -> Path:
    run = [
        sys.executable,
        "-m",
        "aoide.cli",
        "prepare",
        "folder",
        "--root",
        str(sounds),
        "-o",
        str(folder),
        "--jobs",
        "1",
    ]
    subprocess.run(run, check=True, stdout=subprocess.DEVNULL, env=environment())
    return folder


def invented(folder: Path, count: int) -> Path:
    """A manifest of clips that were never recorded, with lengths as in LibriTTS: log-normal around 4 s."""
    from aoide.data.clips import Clip
    from aoide.data.manifest import writing

    folder.mkdir(parents=True)
    seconds = np.random.default_rng(0).lognormal(1.4, 0.7, count).clip(0.5, 20)
    with writing(folder) as writer:
        for i, samples in enumerate(tqdm((seconds * 24000).astype(int).tolist(), desc="manifest", disable=None)):
            writer.add(
                Clip(
                    id=f"speaker{i % 500}/clip{i:07}",
                    audio=folder / "audio" / f"{i:07}.flac",
                    text="It was a bright cold day in April.",
                    phonemes="ɪt wʌz ə bɹˈIt kˈOld dˈA ɪn ˈApɹəl",
                    speaker=f"speaker{i % 500}",
                    language="en",
                    samples=samples,
                    sample_rate=24000,
                    content=f"{i:032x}",
                )
            )
    return folder


def speech(manifest: Path, needs: tuple[str, ...], **changes: Any) -> Any:
    from aoide.data.speech import Config, SpeechData
    from aoide.text.phonemes import SYMBOLS
    from aoide.text.tokenizer import Tokenizer

    settings = {"manifest": manifest, "pitch": PitchConfig(method="autocorrelation"), "validation": 0.0}
    return SpeechData(Config(**{**settings, **changes}), needs, mel=MEL, tokenizer=Tokenizer(SYMBOLS))


# ---------------------------------------------------------------------------------------------------------------- parts


def extract(folder: Path, cache: Path) -> Figures:
    """Rounds in turn, so that what else the machine does falls on both.

    The plain way has one thread: it does one thing after the other, and its one product of matrices is too small to be
    shared. Ours has as many processes as there are cores. Neither side's start counts: ours is taken out by a second,
    smaller corpus.
    """
    import torch

    from aoide.data import extraction

    sounds = read_aloud(folder / "sounds", TIMES)
    source = speech(prepared(sounds, folder / "data"), ("mel", "f0", "energy"), features="cache")
    files = sorted(map(str, sounds.glob("*-0.wav")))
    plain = Worker(PLAIN.python(cache), "plain_extract.py", threads=1)
    plain.ask(files=files[:3], out=str(folder / "warm"))
    reader = source.reader
    job = extraction.Job(source.config.manifest, reader.kept, reader.settings, reader.cache, "cpu")
    extraction.work(job, np.arange(3))
    rounds, threads = [], torch.get_num_threads()
    torch.set_num_threads(1)  # as in each process of `aoide extract`
    parts = list(extraction._parts(source.manifest, source.training))
    for number in range(3):
        theirs = plain.ask(files=files, out=str(folder / f"plain{number}"))
        cpu = time.process_time()
        seconds = sum(extraction.work(replace(job, cache=folder / f"cache{number}"), part).seconds for part in parts)
        rounds.append(theirs["cpu"] / theirs["seconds"] / ((time.process_time() - cpu) / seconds))
    torch.set_num_threads(threads)
    few = folder / "few"
    few.mkdir()
    for file in sounds.glob("*-0.*"):
        (few / file.name).symlink_to(file)
    manifests = [prepared(few, folder / "few-data"), source.config.manifest]
    rates, ratios, starts = [], [], []
    for number in range(5):
        theirs = plain.ask(files=files, out=str(folder / f"plain-{number}"))
        timed = [_timed(manifest, source, folder / f"all{number}-{i}") for i, manifest in enumerate(manifests)]
        heard, walls = zip(*timed, strict=True)
        rates.append((heard[1] - heard[0]) / (walls[1] - walls[0]))
        ratios.append(rates[-1] / (theirs["seconds"] / theirs["wall"]))
        starts.append(walls[0] - heard[0] / rates[-1])
    plain.close()
    return {
        "seconds": round(heard[1], 1),
        "cores": len(os.sched_getaffinity(0)),
        "seconds_per_second": round(float(np.median(rates)), 1),
        "ratio": round(float(np.median(ratios)), 2),
        "ratios": [round(ratio, 2) for ratio in ratios],
        "ratio_per_core": round(float(np.median(rounds)), 2),
        "start_seconds": round(float(np.median(starts)), 2),
    }


def _timed(manifest: Any, source: Any, cache: Path) -> tuple[float, float]:
    """Seconds of sound, and how long `aoide extract` takes for them, with the start of its processes."""
    from aoide.data import extraction

    started = time.perf_counter()
    report = extraction.extract(speech(manifest, source.reader.needs, features="cache", cache=cache))
    return report.seconds, time.perf_counter() - started


def waiting(folder: Path, cache: Path) -> Figures:
    """The log's own figure over the second half of a few steps, at the sizes that the recipes have."""
    from aoide.train import loop, recipe

    data = prepared(read_aloud(folder / "sounds"), folder / "data")
    found: Figures = {}
    for name, (steps, seconds) in TRAINED.items():
        words = [f"data.batch_seconds={seconds}"]
        common = [f"data.manifest={data}", "data.workers=1", f"loop.steps={steps}", f"loop.log_every={steps // 2}"]
        common += ["loop.validate_every=0", "loop.tensorboard=false", "loop.device=cpu", "data.validation=2"]
        read = recipe.read(HERE.parent / "recipes" / f"{name}.yaml", [*common, *words])
        with open(os.devnull, "w") as nowhere:
            loop.train(read, folder / name, screen=nowhere)
        lines = [json.loads(line) for line in (folder / name / "metrics.jsonl").read_text().splitlines()]
        shares = [line["waiting"] for line in lines if "waiting" in line]
        found[name] = {"first_half": round(shares[0], 4), "second_half": round(shares[-1], 4)}
    return found


def padding(folder: Path, cache: Path) -> Figures:
    """Frames of padding among all frames of an epoch; and how many seconds the largest batch has, padding included."""
    source = speech(invented(folder / "data", 50_000), ("audio",), batch_seconds=60.0)
    seconds = source.manifest.seconds
    shares, largest = [], 0.0
    for epoch in range(3):
        padded = np.array([len(batch) * float(seconds[batch].max()) for batch in source.plan(0, epoch)])
        shares.append(1.0 - float(seconds[source.training].sum()) / float(padded.sum()))
        largest = max(largest, float(padded.max()))
    return {"clips": 50_000, "padding": round(max(shares), 4), "largest_batch_seconds": round(largest, 2)}


FIRST_BATCH = """
import json, sys, time
started = time.perf_counter()
sys.path.insert(0, sys.argv[2])
from pathlib import Path
import training
source = training.speech(Path(sys.argv[1]), ("tokens", "speaker"), batch_seconds=60.0, workers=0, max_seconds=20.0)
opened = time.perf_counter()
batch = next(source.batches(0))
from aoide.generate.bench import peak
used = peak()
print(json.dumps({"open": opened - started, "first_batch": time.perf_counter() - started, "megabytes": used,
                  "clips": len(source.manifest), "in_batch": len(batch["ids"])}))
"""


def million(folder: Path, cache: Path) -> Figures:
    """In a process of its own, imports included; the fields are those that need no sound."""
    manifest = invented(folder / "data", MILLION)
    command = [sys.executable, "-c", FIRST_BATCH, str(manifest), str(HERE)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment(1))
    return {key: round(value, 3) for key, value in json.loads(done.stdout).items()}


def resume(folder: Path, cache: Path) -> Figures:
    """The place in the middle of the second epoch: the batches that follow must be those of an unbroken run."""
    manifest = invented(folder / "data", RESUMED)

    def opened() -> Any:
        return speech(manifest, ("tokens", "speaker"), workers=0)

    whole = opened()
    plan = whole.plan(0, 1)
    half = len(plan) // 2
    state = {**whole.state_dict(), "epoch": 1, "taken": half}
    started = time.perf_counter()
    back = opened()
    back.load_state_dict(state)
    stream = back.batches(0)
    first = next(stream)["ids"]
    elapsed = time.perf_counter() - started
    want = [[whole.manifest[i].id for i in batch.tolist()] for batch in plan[half : half + 50]]
    got = [first, *(next(stream)["ids"] for _ in range(49))]
    return {"clips": RESUMED, "seconds": round(elapsed, 3), "exact": got == want}


def kill(folder: Path, cache: Path) -> Figures:
    sys.path.insert(0, str(WORKERS))
    from training_kill import killed

    return killed(folder)


def processes(folder: Path, cache: Path) -> Figures:
    sys.path.insert(0, str(WORKERS))
    from training_kill import two_processes

    return two_processes(folder)


PARTS: dict[str, Callable[[Path, Path], Figures]] = {
    part.__name__: part for part in (extract, waiting, padding, million, resume, kill, processes)
}


# ---------------------------------------------------------------------------------------------------------------- table


def rows(found: dict[str, Figures]) -> list[tuple[str, str, str, bool]]:
    """What was measured: figure, asked, measured, whether it is so."""
    lines: list[tuple[str, str, str, bool]] = []

    def add(part: str, name: str, asked: str, value: Callable[[Figures], tuple[str, bool]]) -> None:
        if part in found:
            lines.append((name, asked, *value(found[part])))

    add("extract", "extraction, times the plain way", ">= 5", lambda f: (f"{f['ratio']}", f["ratio"] >= 5))
    add("extract", "  per core, by processor time", "", lambda f: (f"{f['ratio_per_core']}", True))
    for name in ("tts/fastspeech2-folder", "vocoder/hifigan-folder"):
        add(
            "waiting",
            f"waiting for data, {name}",
            "<= 5 %",
            lambda f, n=name: (f"{f[n]['second_half']:.1%}", f[n]["second_half"] <= 0.05),
        )
    add("padding", "padding in batches", "<= 10 %", lambda f: (f"{f['padding']:.1%}", f["padding"] <= 0.10))
    add(
        "padding",
        "largest batch of 60 s",
        "<= 60 s",
        lambda f: (f"{f['largest_batch_seconds']} s", f["largest_batch_seconds"] <= 60),
    )
    add(
        "million",
        "1,000,000 clips to first batch",
        "<= 10 s",
        lambda f: (f"{f['first_batch']:.1f} s", f["first_batch"] <= 10),
    )
    add("million", "  memory", "<= 1 GB", lambda f: (f"{f['megabytes']:.0f} MB", f["megabytes"] <= 1000))
    add(
        "resume",
        "resume at 100,000 clips, exact",
        "<= 10 s",
        lambda f: (f"{f['seconds']} s", f["seconds"] <= 10 and f["exact"]),
    )
    add("kill", "killed 20 times, equal to unbroken", "all", lambda f: (_equal(f["equal"]), f["all_equal"]))
    add(
        "processes",
        "two processes against one, losses",
        "<= 1e-5",
        lambda f: (f"{f['largest_difference']:.1e}", f["largest_difference"] <= 1e-5),
    )
    return lines


def _equal(parts: dict[str, bool]) -> str:
    other = [name for name, same in parts.items() if not same]
    return ", ".join(other) + " differ" if other else "all"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    about = "only this part, which replaces its figures in a file of today (default: all)"
    parser.add_argument("--part", action="append", choices=PARTS, help=about)
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache" / "aoide-benchmark", help="for rooms")
    options = parser.parse_args()
    found: dict[str, Figures] = {}
    for name in options.part or PARTS:
        with tempfile.TemporaryDirectory() as folder:
            place = Path(folder) / name
            place.mkdir()
            found[name] = PARTS[name](place, options.cache)
        print(f"{name}: {json.dumps(found[name])}", file=sys.stderr, flush=True)
    lines = rows(found)
    for name, asked, measured, well in lines:
        print(f"{name:46}{asked:>10}{measured:>12}{'' if well else '   NOT MET'}")
    date = datetime.date.today().isoformat()
    path = HERE / "results" / f"training_{machine()['words']}_{date}.json"
    if not options.part or path.exists():
        whole = json.loads(path.read_text()) if options.part else {"date": date, "machine": machine()}
        path.write_text(json.dumps({**whole, "commit": commit(), **found}, indent=1) + "\n")
        print(path)
    return 0 if all(well for *_, well in lines) else 1


if __name__ == "__main__":
    sys.exit(main())
