"""aoide evaluate from the command line: the three files, what is printed, and what bad input leads to."""

from __future__ import annotations

import csv
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aoide.audio.sound import Sound
from aoide.cli import main

RATE = 16000


@pytest.fixture
def places(tmp_path: Path) -> Path:
    """ref, a (30 dB) and b (10 dB): four tones of half a second, one with a name that a page must escape."""
    random = np.random.default_rng(0)
    for i, name in enumerate(("s0", "s1", "sub/s2", "<b>&'s3")):
        tone = 0.3 * np.sin(2 * np.pi * (200 + 50 * i) * np.arange(RATE // 2) / RATE)
        for place, part in (("ref", 0.0), ("a", 0.03), ("b", 0.3)):
            path = tmp_path / place / f"{name}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            noise = part * 0.2 * random.standard_normal(len(tone))
            Sound((tone + noise).astype(np.float32), RATE).save(path)
    return tmp_path


def run(places: Path, words: str, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.chdir(places)
    return main(["evaluate", *words.split()])


def test_three_files(places: Path, monkeypatch: Any, capsys: Any) -> None:
    status = run(places, "ref a b --metrics si_sdr,energy_rmse,mel_ssim -o out --jobs 1", monkeypatch)
    assert status == 0
    printed = capsys.readouterr().out
    assert re.search(r"si_sdr +dB +higher +3\d\.\S* \[.*\] n=4", printed) and "out/report.html" in printed
    report = json.loads((places / "out/report.json").read_text("utf-8"), parse_constant=pytest.fail)  # strict JSON
    assert report["systems"] == ["a", "b"] and len(report["files"]) == 12 and len(report["tests"]) == 3
    with (places / "out/report.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 12 and {row["name"] for row in rows} == {"s0", "s1", "sub/s2", "<b>&'s3"}
    by_name = {(row["name"], row["system"]): row for row in rows}
    for row in report["files"]:
        if row["system"] == "a":
            assert float(by_name[row["name"], "a"]["si_sdr"]) == row["values"]["si_sdr"]
    page = (places / "out/report.html").read_text("utf-8")
    assert "<b>&'s3" not in page and "&lt;b&gt;" in page
    assert page.count("data:image/png") == 8 and page.count("data:audio/mpeg") == 16
    links = re.findall(r'href="(\.\./[^"]+wav)"', page)
    assert links and all((places / "out" / link.replace("%3C", "<").replace("%3E", ">").replace("%26", "&")
                          .replace("%27", "'")).exists() for link in links)  # fmt: skip
    assert not list((places / "out").rglob(".part-*"))


def test_without_a_reference_only_what_needs_none_is_tried(places: Path, monkeypatch: Any, capsys: Any) -> None:
    assert run(places, "a --metrics si_sdr,utmos", monkeypatch) == 2
    told = capsys.readouterr().err
    assert "si_sdr: needs a reference" in told and "utmos: UTMOS needs its weights as a local file" in told


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("", "name what is to be measured"),
        ("ref nowhere", "nowhere: no such file or folder"),
        ("ref a --metrics si_sdrr", "did you mean si_sdr"),
        ("ref a --metrics si_sdr --set energy_rmse.floor=1", "which is not measured"),
        ("ref a --metrics si_sdr --set floor=1", "METRIC.OPTION=VALUE"),
        ("ref a --metrics si_sdr --jobs 0", "jobs must be 1 or more"),
        ("ref a --metrics wer --text nowhere.csv", "nowhere.csv: no such file or folder of texts"),
        ("ref a --metrics wer", "needs to know what is said"),
        ("ref a a --metrics si_sdr", "the same place twice"),
        ("ref a/s0.wav --metrics si_sdr", "compared with a single file"),
        ("empty a --metrics si_sdr", "no sound file in this folder"),
        ("ref other --metrics si_sdr", "the names differ: other lacks"),
        ("ref unlike --metrics si_sdr --allow-missing", "no name is in all of them"),
        ("broken broken2 --metrics si_sdr", "no sound can be read"),
        ("ref a --metrics si_sdr -o ref/s0.wav", "cannot be made"),
    ],
)
def test_bad_input(words: str, told: str, places: Path, monkeypatch: Any, capsys: Any) -> None:
    (places / "empty").mkdir()
    tone = Sound(np.full(100, 0.1, np.float32), RATE)
    for name in ("other/s0", "unlike/x"):
        (places / name).parent.mkdir()
        tone.save(places / f"{name}.wav")
    for name in ("broken", "broken2"):
        (places / name).mkdir()
        (places / name / "s0.wav").write_bytes(b"RIFF no more")
    assert run(places, words, monkeypatch) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert told in error and error.startswith("aoide: ")


def test_the_list_tells_units_directions_and_needs(monkeypatch: Any, places: Path, capsys: Any) -> None:
    from aoide import metrics

    assert run(places, "--list", monkeypatch) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[1:]] == metrics.names()
    assert re.search(r"^mcd +dB +lower +REF GEN +aoide\[metrics\] +amphion$", "\n".join(lines), re.M)


@pytest.mark.slow
def test_what_was_measured_survives_a_kill(places: Path) -> None:
    """Killed in the middle, with its workers; the next run measures the rest, and nobody is left behind."""
    for i in range(4, 60):
        for place in ("ref", "a"):
            Sound.load(places / place / "s0.wav").save(places / place / f"s{i}.wav")
    command = [
        sys.executable,
        "-m",
        "aoide.cli",
        "evaluate",
        "ref",
        "a",
        "--metrics",
        "si_sdr,mel_ssim",
        "-o",
        "out",
        "--jobs",
        "2",
    ]
    process = subprocess.Popen(command, cwd=places, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    journal = places / "out/values.jsonl"
    limit = time.monotonic() + 60
    while time.monotonic() < limit and (not journal.exists() or journal.read_text().count("\n") < 10):
        time.sleep(0.01)
    process.kill()
    process.wait()
    kept = journal.read_text().count('"a"')
    assert kept > 0
    time.sleep(1.0)
    mine = [p for p in Path("/proc").glob("[0-9]*/cwd") if _leads(p, places)] if os.path.isdir("/proc/self") else []
    assert mine == []
    done = subprocess.run(command, cwd=places, capture_output=True, text=True, check=True)
    assert "n=60" in done.stdout


def _leads(link: Path, place: Path) -> bool:
    try:
        return Path(os.readlink(link)) == place
    except OSError:
        return False


def test_the_page_stays_small(places: Path, monkeypatch: Any) -> None:
    """Sounds and pictures go into the page as long as there is room; beyond, they are links."""
    from aoide.commands import evaluate

    monkeypatch.setattr(evaluate, "_SOUNDS", 1)
    monkeypatch.setattr(evaluate, "_PICTURES", 1)
    assert run(places, "ref a --metrics si_sdr -o out --jobs 1", monkeypatch) == 0
    page = (places / "out/report.html").read_text("utf-8")
    assert page.count("data:audio") == 1 and page.count("data:image") == 1
    for picture in re.findall(r'src="(pictures/[^"]+)"', page):
        assert (places / "out" / picture).is_file()
    assert page.count("<article") == 4
