"""The plain way to mel, energy and F0: one file at a time, librosa and Praat. Answers questions on stdin.

    {"files": [...], "out": "folder"}  ->  {"seconds": of sound, "wall": seconds, "cpu": seconds}

Runs in a room with librosa, soundfile and praat-parselmouth; knows nothing of aoide.
"""

import json
import resource
import sys
import time
from pathlib import Path

import librosa
import numpy as np
import parselmouth

RATE, N_FFT, HOP, MELS, FMAX = 22050, 1024, 256, 80, 8000


def extract(path: str, out: Path) -> float:
    samples, _ = librosa.load(path, sr=RATE)
    mel = librosa.feature.melspectrogram(
        y=samples, sr=RATE, n_fft=N_FFT, hop_length=HOP, n_mels=MELS, fmax=FMAX, power=1.0
    )
    energy = np.linalg.norm(np.abs(librosa.stft(samples, n_fft=N_FFT, hop_length=HOP)), axis=0)
    pitch = parselmouth.Sound(samples.astype(np.float64), RATE).to_pitch_ac(
        time_step=HOP / RATE, pitch_floor=60, pitch_ceiling=800
    )
    name = Path(path).stem
    np.save(out / f"{name}.mel.npy", np.log(np.maximum(mel, 1e-5)).T)
    np.save(out / f"{name}.energy.npy", energy)
    np.save(out / f"{name}.f0.npy", pitch.selected_array["frequency"])
    return len(samples) / RATE


def main() -> None:
    for line in sys.stdin:
        question = json.loads(line)
        out = Path(question["out"])
        out.mkdir(parents=True, exist_ok=True)
        wall, cpu = time.perf_counter(), cpu_seconds()
        seconds = sum(extract(path, out) for path in question["files"])
        answer = {"seconds": seconds, "wall": time.perf_counter() - wall, "cpu": cpu_seconds() - cpu}
        print(json.dumps(answer), flush=True)


def cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    main()
