"""Listening tests: the files, the scoring, bad answers; and in a browser, where there is one, from end to end."""

from __future__ import annotations

import base64
import html
import json
import re
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aoide.audio.sound import Sound
from aoide.cli import main
from aoide.config import UserError
from aoide.metrics.evaluation import opinions
from tests.plots.test_report import BROWSER

RATE = 16000
KINDS = ("mos", "smos", "cmos", "mushra", "abx")


@pytest.fixture
def places(tmp_path: Path) -> list[str]:
    """A reference and two systems of four short sounds of white noise."""
    random = np.random.default_rng(0)
    for place in ("ref", "a", "b"):
        for i in range(4):
            path = tmp_path / place / f"s{i}.wav"
            path.parent.mkdir(exist_ok=True)
            Sound(0.1 * random.standard_normal(RATE // 4).astype(np.float32), RATE).save(path)
    return [str(tmp_path / place) for place in ("ref", "a", "b")]


def made(kind: str, places: list[str], out: Path, *words: str) -> dict[str, Any]:
    assert main(["listen", "make", "--kind", kind, *places, "-o", str(out), *words]) == 0
    page = (out / "index.html").read_text("utf-8")
    return json.loads(re.search("const TEST = (.*);\n", page)[1])


@pytest.mark.parametrize("kind", KINDS)
def test_names_are_hidden_and_sounds_are_there(kind: str, places: list[str], tmp_path: Path) -> None:
    test = made(kind, places, tmp_path / "out", "--title", "</script>")
    systems = json.loads(base64.b64decode(test["key"]))
    want = {"smos": ["a", "b"], "mushra": ["(reference)", "a", "b", "(anchor)"]}.get(kind, ["(reference)", "a", "b"])
    assert systems == want and test["systems"] == len(want)
    paths = [path for item in test["items"] for path in [*item["sounds"], *([item["open"]] if "open" in item else [])]]
    assert all((tmp_path / "out" / path).is_file() for path in paths) and len(set(paths)) == len(paths)
    assert not any(word in path for path in paths for word in ("ref", "anchor", "s0"))
    assert made(kind, places, tmp_path / "again", "--title", "</script>") == test
    page = (tmp_path / "out" / "index.html").read_text("utf-8")
    assert page.count("</script>") == 1 and not re.search("https?://", page)


def test_the_anchor_ends_at_three_and_a_half_kilohertz(places: list[str], tmp_path: Path) -> None:
    """BS.1534-3: flat to 3.5 kHz, 25 dB down at 4 kHz, 50 dB down at 4.5 kHz."""
    test = made("mushra", places, tmp_path / "out", "--count", "1")
    name = test["items"][0]["id"]
    original = Sound.load(Path(places[0]) / f"{name}.wav").samples
    anchor = Sound.load(tmp_path / "out" / test["items"][0]["sounds"][3]).samples
    ratio = np.abs(np.fft.rfft(anchor)) / np.abs(np.fft.rfft(original))
    hz = np.fft.rfftfreq(len(original), 1 / RATE)
    level = [
        20 * np.log10(np.median(ratio[(hz > low) & (hz < high)]))
        for low, high in ((500, 3400), (4000, 4400), (4500, 8000))
    ]
    assert abs(level[0]) < 0.3 and level[1] < -25 and level[2] < -45  # 16 bits hold no more


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["make", "--kind", "mos", "REF", "-o", "out"], "at least one system"),
        (["make", "REF", "A", "-o", "out"], "needs --kind"),
        (["make", "--kind", "mos", "REF", "A", "-o", "out", "--count", "9"], "there are 4 sounds"),
        (["make", "--kind", "mos", "REF", "nowhere", "-o", "out"], "no such file or folder"),
        (["score", "nowhere.json"], "cannot be read"),
        (["score", "REF/s0.wav"], "not answers of a listening test"),
    ],
)
def test_bad_input(words: list[str], told: str, places: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    names = {"REF": places[0], "A": places[1], "REF/s0.wav": f"{places[0]}/s0.wav", "out": f"{places[0]}/../out"}
    assert main(["listen", *(names.get(word, word) for word in words)]) == 2
    assert told in capsys.readouterr().err


# -------------------------------------------------------------------------------------------------------------- scoring


def answers(listener: int, kind: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    return {"test": "t", "kind": kind, "listener": str(listener), "answers": rows}


def test_mean_opinions_and_their_test() -> None:
    """Eight listeners, four sounds each; ours is a point better for everybody."""
    given = [
        answers(n, "mos", [{"item": f"s{i}", "system": "ours", "score": 3 + n % 2} for i in range(2)]
                + [{"item": f"s{i}", "system": "theirs", "score": 2 + n % 2} for i in range(2)])
        for n in range(8)
    ]  # fmt: skip
    found = opinions.score(given)
    assert found["systems"]["ours"]["value"] == 3.5 and found["systems"]["ours"]["n"] == 16
    assert (
        found["systems"]["ours"]["low"] < 3.3 and found["systems"]["ours"]["high"] > 3.7
    )  # eight people, not 16 ratings
    (test,) = found["tests"]
    assert test["value"] == 1.0 and test["p"] == pytest.approx(2 / 2**8)


def test_mushra_leaves_out_who_misses_the_reference() -> None:
    def rated(reference: float) -> dict[str, Any]:
        return {"item": "s", "scores": {"(reference)": reference, "ours": 60.0, "(anchor)": 20.0}}

    good, bad = [rated(100)] * 9 + [rated(80)], [rated(100)] * 8 + [rated(80)] * 2
    found = opinions.score([answers(1, "mushra", good), answers(2, "mushra", bad)])
    assert list(found["screened"]) == ["2"] and found["listeners"] == 1
    with pytest.raises(UserError, match="no listener is left"):
        opinions.score([answers(2, "mushra", bad)])


def test_comparisons_count_for_who_was_second() -> None:
    """On the page +2 says that the second is better: both rows speak for b."""
    rows = [
        {"item": "s0", "first": "a", "second": "b", "score": 2},
        {"item": "s1", "first": "b", "second": "a", "score": -2},
    ]
    (pair,) = opinions.score([answers(0, "cmos", rows)])["pairs"]
    assert (pair["first"], pair["second"], pair["value"]) == ("a", "b", -2.0)


def test_telling_apart() -> None:
    rows = [{"item": f"s{i}", "first": "a", "second": "b", "x": "a", "chosen": "ab"[i >= 8]} for i in range(10)]
    (pair,) = opinions.score([answers(0, "abx", rows)])["pairs"]
    assert pair["value"] == 0.8 and pair["p"] == pytest.approx(56 / 1024)  # 8, 9 or 10 of 10 by guessing
    assert (pair["low"], pair["high"]) == pytest.approx((0.490, 0.943), abs=1e-3)  # Wilson's


def test_answers_that_do_not_belong_together() -> None:
    row = [{"item": "s", "system": "a", "score": 3}]
    with pytest.raises(UserError, match="different tests"):
        opinions.score([answers(0, "mos", row), {**answers(1, "mos", row), "test": "other"}])
    with pytest.raises(UserError, match="listener 0 answered twice"):
        opinions.score([answers(0, "mos", row), answers(0, "mos", row)])


@pytest.mark.parametrize(
    "change",
    [{"answers": []}, {"kind": "x"}, {"key": "!"}, {"aoide_listening": 2},
     {"answers": [{"item": "s", "system": 9, "score": 3}]}, {"answers": [{"item": "s", "system": -1, "score": 3}]},
     {"answers": [{"item": "s", "system": 0, "score": 6}]}, {"answers": [{"item": "s", "system": 0}]}],
)  # fmt: skip
def test_bad_files_end_with_status_2(
    change: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    key = base64.b64encode(b'["a", "b"]').decode()
    good = {"aoide_listening": 1, "test": "t", "kind": "mos", "listener": "0", "key": key}
    good["answers"] = [{"item": "s", "system": 0, "score": 3}]
    path = tmp_path / "answers.json"
    path.write_text(json.dumps(good))
    assert main(["listen", "score", str(path)]) == 0
    path.write_text(json.dumps(good | change))
    assert main(["listen", "score", str(path)]) == 2
    assert str(path) in capsys.readouterr().err


# -------------------------------------------------------------------------------------------------------- in a browser

DRIVE = """welcome();
const out = [];
for (let n = 0; n < 6; n++) {
  listener = String(n); answers.length = 0; localStorage.clear(); start(n);
  for (const t of plan(n)) {
    const radios = [...document.querySelectorAll("input[type=radio]")];
    if (TEST.kind === "mushra") document.querySelectorAll("input[type=range]").forEach((range, k) => {
      range.value = [100, 70, 40, 10][t.systems[k]]; range.dispatchEvent(new Event("input")); });
    else if (TEST.kind === "abx") radios[t.x === t.systems[0] ? 0 : 1].click();
    else if (TEST.kind === "cmos") radios[t.systems[1] < t.systems[0] ? 5 : 1].click();
    else radios[4 - t.systems[0]].click();
    document.querySelector("button").click();
  }
  out.push(saved());
}
document.body.innerHTML = "<pre></pre>";
document.querySelector("pre").textContent = JSON.stringify(out);
"""


@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None, reason="no chromium here")
@pytest.mark.parametrize("kind", KINDS)
def test_a_whole_test(kind: str, places: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Six listeners who always find the first system best, the second next; everybody hears each system as often."""
    made(kind, places, tmp_path / "out")
    page = (tmp_path / "out" / "index.html").read_text("utf-8").replace("welcome();\n", DRIVE)
    path = tmp_path / "out" / "drive.html"
    path.write_text(page, "utf-8")
    command = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom", path.as_uri()]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
    files = []
    for text in json.loads(html.unescape(re.search("<pre>(.*)</pre>", shown, re.S)[1])):
        files.append(tmp_path / f"answers-{len(files)}.json")
        files[-1].write_text(text)
    capsys.readouterr()
    assert main(["listen", "score", "--json", *map(str, files)]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["listeners"] == 6
    if kind in ("cmos", "abx"):
        assert len(found["pairs"]) == 3 and sum(row["n"] for row in found["pairs"]) == 24
        assert {row["n"] for row in found["pairs"]} == {8}
        assert all(abs(row["value"]) == (1 if kind == "abx" else 2) for row in found["pairs"])
    else:
        values = [cell["value"] for cell in found["systems"].values()]
        assert values == {"mos": [5, 4, 3], "smos": [5, 4], "mushra": [100, 70, 40, 10]}[kind]
        assert len({cell["n"] for cell in found["systems"].values()}) == 1
