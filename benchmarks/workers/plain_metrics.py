"""The plain way to measure a set: one metric after the other, each going through the folder, one file after the other.

    python plain_metrics.py REF GEN metric,metric,...       ->  {"wall": s, "cpu": s, "means": {metric: mean}}

Each metric reads its two files, and hands arrays to the same back ends that `aoide evaluate` uses: the packages pesq
and pystoi by their own functions, everything else by the metric's function on arrays, which then analyses, tracks F0
and resamples for itself. Networks are loaded once. Threads are as the libraries choose. Nothing is shared, which is how
evaluation scripts of the field are written, Amphion's among them.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np
import pesq
import pystoi
import soundfile
import soxr

import aoide.metrics


def at(samples: np.ndarray, rate: int, wanted: int) -> np.ndarray:
    return samples if rate == wanted else soxr.resample(samples, rate, wanted)


def by_package(name: str, reference: np.ndarray, generated: np.ndarray, rate: int) -> float:
    if name.startswith("pesq"):
        wide = "wb" if name == "pesq" else "nb"
        return pesq.pesq(16000, at(reference, rate, 16000), at(generated, rate, 16000), wide)
    return pystoi.stoi(reference, generated, rate, extended=name == "estoi")


def measure(name: str, reference: Path, generated: Path) -> float:
    if aoide.metrics.find(name).METRIC.kind == "single":
        samples, rate = soundfile.read(generated, dtype="float32")
        return getattr(aoide.metrics, name)(samples, rate)
    (first, rate), (second, _) = (soundfile.read(path, dtype="float32") for path in (reference, generated))
    if name in ("pesq", "pesq_nb", "stoi", "estoi"):
        return by_package(name, first, second, rate)
    return getattr(aoide.metrics, name)(first, second, rate)


def main() -> None:
    reference, generated = Path(sys.argv[1]), Path(sys.argv[2])
    paths = sorted(generated.glob("*.wav"))
    wall, cpu = time.perf_counter(), time.process_time()
    means = {}
    for name in sys.argv[3].split(","):
        values = [measure(name, reference / path.name, path) for path in paths]
        if aoide.metrics.find(name).METRIC.kind == "single":  # the recordings are rated, too, as the report does
            for path in paths:
                measure(name, path, reference / path.name)
        means[name] = float(np.nanmean(values)) if np.isfinite(values).any() else None
    print(json.dumps({"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu, "means": means}))


if __name__ == "__main__":
    main()
