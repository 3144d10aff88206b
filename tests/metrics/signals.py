"""Sounds whose metrics theory can tell, and the numbers that Amphion gives for seven pairs of them.

The recipe of `voice` and the numbers are those with which Amphion's code was measured (its commit d3de90f, torchmetrics
1.9, librosa 0.11, parselmouth 0.4.7, torchcrepe 0.0.24, pymcd 0.2.1; all at 16 kHz).
"""

from __future__ import annotations

from functools import cache

import numpy as np

from aoide.metrics.analysis import Analysis

RATE = 16000
PAIRS = ("identical", "noisy_20dB", "gain_half", "pitch_up_3pct", "octave_up", "wrong_contour", "longer_10pct")


def voice(
    seconds: float,
    f0: float,
    vibrato: float = 5.0,
    depth: float = 0.02,
    gaps: tuple[tuple[float, float], ...] = (),
) -> np.ndarray:
    """A harmonic tone with vibrato and a 1/k spectrum, and gaps of faint noise: (samples,) float32 at 16 kHz.

    Args:
        seconds: how long.
        f0: Hz, the mean; it swings by 15 % every 1.4 s, and by `depth` at `vibrato` Hz.
        gaps: (begin, end) in seconds.
    """
    random = np.random.RandomState(0)
    t = np.arange(int(seconds * RATE)) / RATE
    hz = f0 * (1 + 0.15 * np.sin(2 * np.pi * 0.7 * t)) * (1 + depth * np.sin(2 * np.pi * vibrato * t))
    phase = 2 * np.pi * np.cumsum(hz) / RATE
    x = sum(np.sin(k * phase) / k for k in range(1, 20)) * 0.2 * (0.6 + 0.4 * np.sin(2 * np.pi * 1.3 * t))
    for begin, end in gaps:
        hole = slice(int(begin * RATE), int(end * RATE))
        x[hole] = 0.02 * random.randn(len(x[hole]))
    return (x + 0.001 * random.randn(len(x))).astype(np.float32)


@cache
def generated(name: str) -> np.ndarray:
    """The generated sound of one of `PAIRS`; the reference is that of "identical"."""
    if name == "identical":
        return voice(2.0, 200, gaps=((0.8, 1.0),))
    reference = generated("identical")
    if name == "noisy_20dB":
        noise = np.random.RandomState(1).randn(len(reference)).astype(np.float32)
        return reference + (np.std(reference) / 10) * noise
    if name == "gain_half":
        return reference * 0.5
    if name == "pitch_up_3pct":
        return voice(2.0, 206, gaps=((0.8, 1.0),))
    if name == "octave_up":
        return voice(2.0, 400, gaps=((0.8, 1.0),))
    if name == "wrong_contour":
        return voice(2.0, 200, vibrato=9, depth=0.08, gaps=((0.3, 0.5),))
    return voice(2.2, 200, gaps=((0.88, 1.1),))


@cache
def pair(name: str) -> tuple[Analysis, Analysis]:
    """Reference and generated sound; analysed once for all tests."""
    reference = _reference()
    return reference, Analysis(generated(name), RATE)


@cache
def _reference() -> Analysis:
    return Analysis(generated("identical"), RATE)


AMPHION: dict[str, list] = {  # metric|alignment|setting -> its number for each of PAIRS
    "fpc|dtw|need_mean=True": [1, 0.999978, 1, 1, 0.999991, 0.926736, 0.981747],
    "fpc|cut|need_mean=True": [1, 0.999978, 1, 1, 0.997818, 0.786965, 0.986561],
    "fpc|dtw|need_mean=False": [1, 0.999998, 1, 0.999149, 0.999845, 0.969955, 0.998317],
    "fpc|cut|need_mean=False": [1, 0.999998, 1, 1, 0.971277, 0.011315, 0.67081],
    "f0rmse|dtw|need_mean=True": [0, 1.45966, 0, 0.140865, 1.74358, 73.6256, 33.7095],
    "f0rmse|cut|need_mean=True": [0, 1.47845, 0, 0.140865, 12.0142, 127.535, 31.3226],
    "f0rmse|dtw|need_mean=False": [0, 0.125498, 0, 2.63666, 198.742, 14.707, 3.79623],
    "f0rmse|cut|need_mean=False": [0, 0.125498, 0, 5.98323, 201.865, 91.3047, 53.7341],
    "f1_v_uv(tp,fp,fn)|dtw": [
        (110, 0, 0),
        (110, 0, 0),
        (110, 0, 0),
        (164, 0, 0),
        (111, 0, 0),
        (159, 0, 0),
        (127, 0, 0),
    ],
    "f1_v_uv(tp,fp,fn)|cut": [
        (110, 0, 0),
        (110, 0, 0),
        (110, 0, 0),
        (110, 0, 0),
        (110, 1, 0),
        (98, 12, 12),
        (104, 5, 6),
    ],
    "f0_periodicity_rmse|dtw": [0, 0.003646, 0, 0.017871, 0.020555, 0.819056, 0.022768],
    "f0_periodicity_rmse|cut": [0, 0.004093, 0, 0.031615, 0.026004, 0.887494, 0.266657],
    "energy_rmse|dtw": [0, 0.384256, 3.60581, 0.119529, 0.056621, 2.46416, 0.977631],
    "energy_rmse|cut": [0, 0.399878, 6.0206, 0.119529, 0.056621, 6.77143, 5.14678],
    "energy_pc|dtw": [1, 0.999151, 0.896324, 0.999796, 0.999954, 0.926223, 0.985848],
    "energy_pc|cut": [1, 0.999467, 1, 0.999796, 0.999954, 0.345316, 0.605554],
    "mstft|cut": [0, 0.822826, 1.19313, 1.35075, 2.03979, 1.70015, 0.71391],
    "si_sdr|cut": [95.4336, 20.0125, 89.413, -43.1045, -5.10602, -21.5691, 7.03397],
    "si_snr|cut": [95.4336, 20.0125, 89.413, -43.1038, -5.10602, -21.5692, 7.034],
    "stoi|cut": [1, 0.987258, 1, 0.961853, 0.586118, 0.530963, 0.697059],
    "mcd|dtw": [0, 2.58138, 4.16964, 0.517111, 6.82312, 4.09716, 0.890998],
}

COMPARED: tuple[tuple[str, str, dict], ...] = (  # Amphion by its default settings, our metric, options of its twin
    ("fpc|dtw|need_mean=True", "f0_pearson", {}),
    ("f0rmse|dtw|need_mean=True", "f0_rmse", {}),
    ("f1_v_uv(tp,fp,fn)|dtw", "vuv_f1", {}),
    ("energy_rmse|dtw", "energy_rmse", {}),
    ("energy_pc|dtw", "energy_pearson", {}),
    ("mstft|cut", "stft_distance", {"align": "cut"}),
    ("si_sdr|cut", "si_sdr", {"align": "cut"}),
    ("si_snr|cut", "si_snr", {"align": "cut"}),
    ("stoi|cut", "stoi", {"align": "cut"}),
    ("mcd|dtw", "mcd", {}),
)


def table(slow: bool = False) -> list[dict]:
    """What Amphion says of the seven pairs, what our twin of it says, and what is right.

    Args:
        slow: also the periodicity, whose large CREPE takes some minutes.

    Returns:
        Rows: metric (ours), setting (Amphion's), pair, amphion, compatible, correct, unit. Counts of voicing are F1.
    """
    from aoide.metrics import find
    from aoide.metrics.vuv_f1 import amphion_f1

    compared = COMPARED + ((("f0_periodicity_rmse|dtw", "periodicity_rmse", {}),) if slow else ())
    rows = []
    for key, name, options in compared:
        module = find(name)
        for column, which in enumerate(PAIRS):
            reference, made = pair(which)
            numbers = [AMPHION[key][column], module.amphion(reference, made, rate=RATE, **options)]
            if name == "vuv_f1":
                numbers = [amphion_f1([counts]) for counts in numbers]
            rows.append(
                {
                    "metric": name,
                    "setting": key,
                    "pair": which,
                    "amphion": float(numbers[0]),
                    "compatible": float(numbers[1]),
                    "correct": getattr(module, name)(reference, made),
                    "unit": module.METRIC.unit,
                }
            )
    return rows


WHOSE = {"amphion": "Amphion", "compatible": "`--like amphion`", "correct": "**ours**"}


def markdown(rows: list[dict]) -> str:
    """The rows of `table` as a page shows them: three lines for each metric, a column for each pair."""
    lines = ["| metric | whose number | " + " | ".join(name.replace("_", " ") for name in PAIRS) + " |"]
    lines.append("|---|---|" + "---:|" * len(PAIRS))
    for metric in dict.fromkeys(row["metric"] for row in rows):
        of = {row["pair"]: row for row in rows if row["metric"] == metric}
        unit = of[PAIRS[0]]["unit"]
        for which, whose in WHOSE.items():
            name = f"`{metric}`{f', {unit}' if unit else ''}" if which == "amphion" else ""
            lines.append(f"| {name} | {whose} | " + " | ".join(f"{of[pair][which]:.4g}" for pair in PAIRS) + " |")
    return "\n".join(lines)


def read_markdown(page: str) -> dict[tuple[str, str], list[float]]:
    """(metric, whose number) -> the seven numbers, of a page with the table of `markdown`."""
    found, metric = {}, ""
    known = {whose: which for which, whose in WHOSE.items()}
    for line in page.splitlines():
        cells = [cell.strip() for cell in line.strip("| ").split("|")] if line.startswith("|") else []
        if line.startswith("|  |"):
            cells = ["", *cells]
        if len(cells) == 2 + len(PAIRS) and cells[1] in known:
            metric = cells[0].split("`")[1] if cells[0] else metric
            found[metric, known[cells[1]]] = [float(cell) for cell in cells[2:]]
    return found
