"""The plain way to measure a set: one metric after the other, each going through the folder, one file after the other.

    python plain_metrics.py REF GEN metric,metric,... OUT     OUT: a line {"metric", "wall", "cpu", "mean"} for each

Each metric reads its two files and hands them to the back end as the back end's documentation does:

- DNSMOS: `speechmos.dnsmos.run(path, 16000)`;
- DistillMOS: the network on all windows of a sound in one batch, as the package `distillmos` does (its own module asks
  for torchaudio, so the same network with the package's weights is taken from Aoide, without what Aoide leaves out);
- PESQ and STOI: the functions of the packages pesq and pystoi;
- everything else: the metric's function on arrays, which then analyses, tracks F0 and resamples for itself.

Networks are loaded once. Threads are as the libraries choose. Nothing is shared, which is how evaluation scripts of the
field are written, Amphion's among them. What OUT holds already is not measured again.
"""

import json
import sys
import time
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pesq
import pystoi
import soundfile
import soxr
import torch
from speechmos import dnsmos
from tqdm import tqdm

import aoide.metrics
from aoide.external import distillmos

_WINDOW, _APART = 122880, 16000  # samples of DistillMOS


def read(path: Path, rate: int | None = None) -> tuple[np.ndarray, int]:
    samples, found = soundfile.read(path, dtype="float32")
    if rate is None or found == rate:
        return samples, found
    return soxr.resample(samples, found, rate), rate


@cache
def naturalness() -> torch.nn.Module:
    return distillmos.load().to(memory_format=torch.contiguous_format)


def by_distillmos(path: Path) -> float:
    sound = torch.from_numpy(read(path, distillmos.RATE)[0])
    sound = torch.nn.functional.pad(sound, (0, max(0, _WINDOW - len(sound))))
    beyond = len(sound) - _WINDOW
    starts = np.linspace(0, 1, int(np.ceil(beyond / _APART)) + 1) * beyond
    with torch.no_grad():
        return float(naturalness()(torch.stack([sound[int(s) : int(s) + _WINDOW] for s in starts])).mean())


def alone(name: str, path: Path) -> float:
    """A metric of one sound."""
    if name == "dnsmos":
        return float(dnsmos.run(str(path), 16000)["ovrl_mos"])
    if name == "distillmos":
        return by_distillmos(path)
    return getattr(aoide.metrics, name)(*read(path))


def between(name: str, reference: Path, generated: Path) -> float:
    """A metric of a pair."""
    if name in ("pesq", "pesq_nb"):
        first, second = (read(path, 16000)[0] for path in (reference, generated))
        return pesq.pesq(16000, first, second, "wb" if name == "pesq" else "nb")
    (first, rate), (second, _) = read(reference), read(generated)
    if name in ("stoi", "estoi"):
        return float(pystoi.stoi(first, second, rate, extended=name == "estoi"))
    return getattr(aoide.metrics, name)(first, second, rate)


def measure(name: str, reference: Path, paths: list[Path]) -> dict[str, Any]:
    """One metric of all pairs; the recordings are rated, too, as the report does."""
    wall, cpu = time.perf_counter(), time.process_time()
    single = aoide.metrics.find(name).METRIC.kind == "single"
    values = []
    for path in tqdm(paths, desc=name, leave=False, disable=None):
        values.append(alone(name, path) if single else between(name, reference / path.name, path))
        if single:
            alone(name, reference / path.name)
    mean = float(np.nanmean(values)) if np.isfinite(values).any() else None
    return {"metric": name, "wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu, "mean": mean}


def main() -> None:
    reference, generated, out = Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[4])
    paths = sorted(generated.glob("*.wav"))
    done = {json.loads(line)["metric"] for line in out.read_text().splitlines()} if out.exists() else set()
    wanted = [name for name in sys.argv[3].split(",") if name not in done]
    for name in tqdm(wanted, desc="plain", unit="metric", disable=None):
        row = measure(name, reference, paths)
        with out.open("a") as lines:
            lines.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main()
