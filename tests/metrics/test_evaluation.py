"""Whole sets: pairs by name, what is left out, resuming, intervals and tests, bad input. Sounds of half a second."""

from __future__ import annotations

import json
import math
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aoide.audio.sound import Sound
from aoide.config import UserError
from aoide.metrics import evaluation, si_sdr
from aoide.metrics.evaluation import Settings, items, measure, statistics
from aoide.metrics.evaluation.run import in_parallel

RATE = 16000
QUICK = ("energy_rmse", "si_sdr")  # need no package beside the core


def tone(number: int, seconds: float = 0.5) -> np.ndarray:
    t = np.arange(int(seconds * RATE)) / RATE
    return (0.3 * np.sin(2 * np.pi * (200 + 40 * number) * t)).astype(np.float32)


def write(folder: Path, sounds: dict[str, np.ndarray], rate: int = RATE) -> Path:
    for name, samples in sounds.items():
        path = folder / f"{name}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        Sound(samples, rate).save(path)
    return folder


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path, Path]:
    """A reference of six sounds, a good system (40 dB) and a bad one (10 dB)."""
    random = np.random.default_rng(0)
    clean = {f"{'ab'[i % 2]}/{i}": tone(i) for i in range(6)}
    noisy = [
        {name: x + part * 0.3 / 2**0.5 * random.standard_normal(len(x)).astype(np.float32) for name, x in clean.items()}
        for part in (0.01, 0.316)
    ]
    return write(tmp_path / "ref", clean), write(tmp_path / "good", noisy[0]), write(tmp_path / "bad", noisy[1])


def run(reference: Any, systems: Any, folder: Path | None = None, **settings: Any) -> dict[str, Any]:
    chosen = Settings(**{"metrics": QUICK, "jobs": 1, "progress": False} | settings)
    return evaluation.evaluate(reference, systems, chosen, folder=folder)


# ---------------------------------------------------------------------------------------------- pairs and places


def test_pairs_are_made_by_name_and_never_by_order(tmp_path: Path) -> None:
    """Written in the opposite order, with another ending: each sound still meets its own."""
    sounds = {f"s{i}": tone(i) for i in range(4)}
    write(tmp_path / "ref", sounds)
    (tmp_path / "gen").mkdir()
    for name in reversed(sounds):
        Sound(sounds[name], RATE).save(tmp_path / "gen" / f"{name}.flac")
    report = run(tmp_path / "ref", [tmp_path / "gen"])
    assert report["pairs"] == 4
    assert all(row["values"]["si_sdr"] > 60 for row in report["files"] if row["system"] == "gen")


def test_values_are_those_of_the_metric(folders: tuple[Path, Path, Path]) -> None:
    reference, good, bad = folders
    report = run(reference, [good, bad])
    for row in report["files"]:
        if row["system"] != measure.REFERENCE:
            first, second = (
                Sound.load(place / f"{row['name']}.wav") for place in (reference, folders[0].parent / row["system"])
            )
            assert row["values"]["si_sdr"] == pytest.approx(si_sdr(first.samples, second.samples, RATE))
    cell = report["summary"]["si_sdr"]["good"]
    values = [row["values"]["si_sdr"] for row in report["files"] if row["system"] == "good"]
    assert cell["value"] == pytest.approx(np.mean(values)) and cell["median"] == pytest.approx(np.median(values))
    assert cell["low"] < cell["value"] < cell["high"] and cell["n"] == 6 and cell["nan"] == 0


def test_systems_are_compared_in_pairs(folders: tuple[Path, Path, Path]) -> None:
    tests = {test["metric"]: test for test in run(folders[0], folders[1:])["tests"]}
    assert tests["si_sdr"]["value"] == pytest.approx(30, abs=1)
    assert tests["si_sdr"]["low"] > 25 and tests["si_sdr"]["p"] == pytest.approx(2 / 2**6)


def test_unequal_names_are_listed_and_allowed_on_request(folders: tuple[Path, Path, Path]) -> None:
    reference, good, _ = folders
    (good / "a/0.wav").unlink()
    write(good, {"new": tone(1)})
    with pytest.raises(UserError, match=r"good lacks a/0.*--allow-missing measures the 5") as caught:
        run(reference, [good])
    assert "lacks new" in str(caught.value)
    report = run(reference, [good], allow_missing=True)
    assert report["pairs"] == 5 and report["missing"]["good"] == ["a/0"]


def test_nothing_in_common(folders: tuple[Path, Path, Path], tmp_path: Path) -> None:
    other = write(tmp_path / "other", {"x": tone(0)})
    with pytest.raises(UserError, match="no name is in all of them"):
        run(folders[0], [other], allow_missing=True)


def test_places_that_are_none(tmp_path: Path, folders: tuple[Path, Path, Path]) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="no sound file in this folder"):
        run(tmp_path / "empty", [folders[1]])
    with pytest.raises(UserError, match="no such file or folder"):
        run(tmp_path / "nowhere", [folders[1]])
    with pytest.raises(UserError, match="compared with a single file"):
        run(folders[0], [folders[1] / "a/0.wav"])
    shutil.copy(folders[1] / "a/0.wav", folders[1] / "a/0.wave.wav")
    Sound(tone(0), RATE).save(folders[1] / "a/0.flac")
    with pytest.raises(UserError, match="have one name"):
        run(folders[0], [folders[1]])


def test_single_files_are_a_pair_whatever_their_names(folders: tuple[Path, Path, Path]) -> None:
    report = run(folders[0] / "a/0.wav", [folders[1] / "b/1.wav"])
    assert report["pairs"] == 1 and math.isnan(report["summary"]["si_sdr"]["1"]["low"])


def test_manifests_pair_by_id(folders: tuple[Path, Path, Path], tmp_path: Path) -> None:
    cuts = []
    for i in range(2):
        source = {"type": "file", "channels": [0], "source": str(folders[0] / f"{'ab'[i]}/{i}.wav")}
        recording = {"id": str(i), "sources": [source], "sampling_rate": RATE, "num_samples": 8000, "duration": 0.5}
        said = [{"id": str(i), "recording_id": str(i), "start": 0, "duration": 0.25, "channel": 0, "text": f"text {i}"}]
        cut = {"id": f"clip{i}", "start": 0.25, "duration": 0.25, "channel": 0, "type": "MonoCut"}
        cuts.append(cut | {"supervisions": said, "recording": recording})
    (tmp_path / "cuts.jsonl").write_text("\n".join(map(json.dumps, cuts)))
    gen = write(tmp_path / "gen", {f"clip{i}": tone(i)[4000:] for i in (1, 0)})
    report = run(tmp_path / "cuts.jsonl", [gen])
    assert report["pairs"] == 2 and report["summary"]["si_sdr"]["gen"]["value"] > 60
    assert items.gather(tmp_path / "cuts.jsonl")["clip1"].text == "text 1"


# ---------------------------------------------------------------------------------------------- bad sounds


def test_a_broken_file_is_reported_and_its_name_counts_for_nobody(folders: tuple[Path, Path, Path]) -> None:
    reference, good, bad = folders
    (good / "a/0.wav").write_bytes(b"RIFF, and then nothing")
    whole = (bad / "b/1.wav").read_bytes()
    (bad / "b/1.wav").write_bytes(whole[: len(whole) // 2])
    report = run(reference, [good, bad])
    assert {(row["name"], row["system"]) for row in report["excluded"]} == {("a/0", "good"), ("b/1", "bad")}
    assert report["pairs"] == 4
    assert {cell["n"] for cells in report["summary"].values() for cell in cells.values()} == {4}


def test_silence_and_a_single_sample_are_counted_and_not_averaged(tmp_path: Path) -> None:
    sounds = {"a": tone(1), "b": tone(2), "silent": np.zeros(8000, np.float32), "tiny": np.full(1, 0.5, np.float32)}
    reference = write(tmp_path / "ref", sounds)
    gen = write(tmp_path / "gen", {**sounds, "a": 0.5 * tone(1)})
    report = run(reference, [gen], align="time", metrics=("si_sdr", "energy_pearson"))
    cell = report["summary"]["energy_pearson"]["gen"]
    assert (cell["n"], cell["nan"]) == (2, 2)
    assert any("1 of 4 sounds are silent" in note for note in report["notes"])


def test_nothing_but_silence_is_an_error(tmp_path: Path) -> None:
    for name in ("ref", "gen"):
        write(tmp_path / name, {"a": np.zeros(8000, np.float32)})
    with pytest.raises(UserError, match="nothing could be measured; .*undefined for all files"):
        run(tmp_path / "ref", [tmp_path / "gen"])


def test_other_rates_are_said(folders: tuple[Path, Path, Path], tmp_path: Path) -> None:
    finer = tmp_path / "finer"
    for path in folders[0].rglob("*.wav"):
        target = finer / path.relative_to(folders[0])
        target.parent.mkdir(parents=True, exist_ok=True)
        Sound.load(path).resample(24000).save(target)
    report = run(folders[0], [finer])
    assert any("6 of 6 pairs differ in sample rate (16000 and 24000 Hz)" in note for note in report["notes"])
    assert report["summary"]["si_sdr"]["finer"]["value"] > 20


def test_one_set_is_aligned_one_way(folders: tuple[Path, Path, Path]) -> None:
    assert run(folders[0], [folders[1]])["align"] == "time"
    longer = Sound.load(folders[1] / "a/0.wav").samples
    Sound(np.concatenate([longer, longer]), RATE).save(folders[1] / "a/0.wav")
    assert run(folders[0], [folders[1]])["align"] == "dtw"


# ---------------------------------------------------------------------------------------------- metrics


def test_what_cannot_run_says_why_and_the_rest_runs(folders: tuple[Path, Path, Path]) -> None:
    report = run(folders[0], [folders[1]], metrics=("si_sdr", "utmos", "wer", "bit_rate"))
    reasons = {row["metric"]: row["reason"] for row in report["unavailable"]}
    assert set(reasons) == {"utmos", "wer", "bit_rate"}
    assert "--text" in reasons["wer"] and "local file" in reasons["utmos"] and "encode" in reasons["bit_rate"]
    assert list(report["summary"]) == ["si_sdr"]


def test_without_a_reference(folders: tuple[Path, Path, Path]) -> None:
    with pytest.raises(UserError, match="needs a reference"):
        run(None, [folders[1]])
    with pytest.raises(UserError, match="nothing could be measured.*local file"):
        run(None, [folders[1]], metrics=("utmos",))


def test_unknown_names_and_options(folders: tuple[Path, Path, Path]) -> None:
    with pytest.raises(UserError, match="did you mean si_sdr"):
        run(folders[0], [folders[1]], metrics=("si_sdrr",))
    with pytest.raises(UserError, match=r"energy_rmse: no option 'flor'; did you mean floor\?"):
        run(folders[0], [folders[1]], options={"energy_rmse": {"flor": 3}})
    with pytest.raises(UserError, match="which is not measured"):
        run(folders[0], [folders[1]], options={"mcd": {"order": 3}})
    louder = run(folders[0], [folders[1]], options={"energy_rmse": {"floor": -10}})
    assert louder["summary"]["energy_rmse"]["good"]["value"] < 0.1


def test_like_amphion_takes_the_twins_and_says_so(folders: tuple[Path, Path, Path]) -> None:
    from aoide.metrics import find

    report = run(folders[0], [folders[2]], like="amphion", metrics=("energy_rmse", "mel_ssim"))
    assert "Amphion's numbers" in report["notes"][0] and report["like"] == "amphion"
    assert report["unavailable"] == [{"metric": "mel_ssim", "reason": "Amphion does not have it"}]
    row = next(row for row in report["files"] if (row["name"], row["system"]) == ("a/0", "bad"))
    sounds = [Sound.load(place / "a/0.wav").samples for place in (folders[0], folders[2])]
    assert row["values"]["energy_rmse"] == pytest.approx(find("energy_rmse").amphion(*sounds, RATE))


def test_error_rates_are_those_of_the_corpus(folders: tuple[Path, Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """One text of a word that is misheard, one of nine that is not: 1 edit of 10 words, not the mean 0.5."""
    pytest.importorskip("rapidfuzz")

    class Listener:
        def transcribe(self, samples: np.ndarray, rate: int, language: str) -> str:
            return "no" if len(samples) == 4000 else "a b c d e f g h i"

    monkeypatch.setattr(measure, "_listener", lambda model: Listener())
    place = write(folders[0].parent / "said", {"short": tone(0, 0.25), "long": tone(0)})
    (place / "short.txt").write_text("yes")
    (place / "long.txt").write_text("a b c d e f g h i")
    settings = Settings(metrics=("wer",), jobs=1, progress=False)
    report = evaluation.evaluate(None, [place], settings, texts=place)
    assert report["summary"]["wer"]["said"]["value"] == pytest.approx(0.1)
    assert {row["name"]: row["transcript"] for row in report["files"]}["short"] == "no"
    assert report["notes"] == []
    (place / "short.txt").unlink()
    report = evaluation.evaluate(None, [place], settings, texts=place)
    assert report["summary"]["wer"]["said"]["value"] == 0.0 and report["summary"]["wer"]["said"]["n"] == 1
    assert report["notes"] == ["wer: 1 of 2 sounds have no text: short"]
    with pytest.raises(UserError, match="no text of any of the sounds"):
        evaluation.evaluate(None, [place], settings, texts=folders[0])


@pytest.mark.parametrize(
    "content", ["short|yes\nlong|no\n", "short\tignored\tyes\nlong\tx\tno", '{"short": "yes", "long": "no"}']
)
def test_texts_in_one_file(content: str, tmp_path: Path) -> None:
    path = tmp_path / ("t.json" if content.startswith("{") else "t.csv")
    path.write_text(content)
    assert items.read_texts(path, ["long", "short"]) == {"long": "no", "short": "yes"}


def test_sets_have_one_number(folders: tuple[Path, Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    class Network:
        rate = RATE

        def embed(self, samples: np.ndarray) -> np.ndarray:
            spectrum = np.abs(np.fft.rfft(samples))[: 4 * 500].reshape(4, -1).mean(axis=1)
            return np.stack([spectrum, spectrum + 1])

    monkeypatch.setattr(measure, "_network", lambda *arguments: Network())
    report = run(folders[0], folders[1:], metrics=("frechet_distance", "diversity"))
    cells = report["summary"]["frechet_distance"]
    assert cells["good"]["value"] < cells["bad"]["value"] and cells["good"]["n"] == 6
    assert math.isnan(cells["good"]["low"]) and not report["tests"]
    assert set(report["summary"]["diversity"]) == {measure.REFERENCE, "good", "bad"}
    assert any("below 1000" in note for note in report["notes"])


# ---------------------------------------------------------------------------------------------- resuming, in parallel


def test_a_second_run_measures_nothing_again(
    folders: tuple[Path, Path, Path], tmp_path: Path, monkeypatch: Any
) -> None:
    out = tmp_path / "out"
    first = run(folders[0], folders[1:], out)
    with (out / "values.jsonl").open("a") as file:
        file.write('{"name": "half a li')  # as a killed run leaves it
    measured = []
    real = measure.measure_and_tidy
    monkeypatch.setattr(evaluation.run, "measure_and_tidy", lambda task: measured.append(task) or real(task))
    second = run(folders[0], folders[1:], out)
    assert measured == [] and second["summary"] == first["summary"] and second["files"] == first["files"]
    run(folders[0], folders[1:], out, metrics=(*QUICK, "mel_ssim"))
    assert len(measured) == 6 and all([s.name for s in task.steps["good"]] == ["mel_ssim"] for task in measured)
    measured.clear()
    changed = folders[1] / "a/0.wav"
    Sound(tone(0) * 0.5, RATE).save(changed)
    os.utime(changed, (1, 1))
    third = run(folders[0], folders[1:], out)
    assert [task.name for task in measured] == ["a/0"] and "bad" not in measured[0].steps
    assert third["summary"]["energy_rmse"]["good"] != first["summary"]["energy_rmse"]["good"]


def test_processes_give_the_same(folders: tuple[Path, Path, Path]) -> None:
    here, there = (run(folders[0], folders[1:], jobs=jobs) for jobs in (1, 2))
    assert here["summary"] == there["summary"] and here["files"] == there["files"]


def test_a_worker_that_dies_is_told(folders: tuple[Path, Path, Path]) -> None:
    item = items.gather(folders[0])["a/0"]
    (folders[0] / "pictures").mkdir()
    before = dict(os.environ)
    task = measure.Task("a/0", {"x": item}, {}, folder=folders[0], picture=_die, pictured={"x"})
    with pytest.raises(UserError, match="worker process died"):
        list(in_parallel([task], 2))
    assert dict(os.environ) == before  # what was set for the workers is put back


def _die(sounds: Any) -> bytes:
    os._exit(9)


# ---------------------------------------------------------------------------------------------- statistics


def test_the_interval_covers_the_mean_as_often_as_it_says() -> None:
    random = np.random.default_rng(0)
    hits = 0
    for seed in range(200):
        found = statistics.interval(random.standard_normal(30), seed=seed)
        hits += found.low < 0 < found.high
    assert 0.88 <= hits / 200 <= 0.98  # 0.95, a little less for 30 values; three standard errors


def test_intervals_are_repeatable_and_weighted() -> None:
    values, weights = np.array([1.0, 0.0, 2.0]), np.array([1.0, 9.0, 10.0])
    found = statistics.interval(values, weights, seed=3)
    assert found == statistics.interval(values, weights, seed=3) and found.value == pytest.approx(3 / 20)
    assert math.isnan(statistics.interval(np.zeros(0)).value)


def test_permutation_tests() -> None:
    random = np.random.default_rng(0)
    same = [statistics.difference(*random.standard_normal((2, 20)), seed=i).p for i in range(100)]
    assert np.mean(np.array(same) < 0.05) <= 0.12  # five of a hundred are expected
    a = random.standard_normal(20)
    assert statistics.difference(a + 2, a).p == pytest.approx(1e-4)
    assert statistics.difference(a[:5] + 2, a[:5]).p == pytest.approx(2 / 32)  # exact: all or none flipped
    assert statistics.difference(a, a).p == 1.0
    assert statistics.holm([0.01, 0.04, 0.03, math.nan])[:3] == pytest.approx([0.03, 0.06, 0.06])
