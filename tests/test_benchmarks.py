"""The voice benchmark: what it measures on, how it sums up, and the line to its workers. No network, no judges."""

import gzip
import json
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parent.parent
BENCHMARKS = ROOT / "benchmarks"


@pytest.fixture
def voice(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """benchmarks/voice.py, which finds its neighbours as it does when it is run."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import voice

    return voice


def bare(text: str) -> str:
    return " ".join(re.findall(r"[a-z0-9']+", text.lower()))


def test_no_sentence_was_heard_in_training() -> None:
    sentences = (BENCHMARKS / "sentences-100.txt").read_text("utf-8").splitlines()
    assert len(set(map(bare, sentences))) == 100
    assert all(4 <= len(sentence.split()) <= 25 for sentence in sentences)
    lists = sorted((ROOT / "recipes").rglob("sentences-*.txt.gz"))
    assert lists
    for path in lists:
        taught = bare(gzip.decompress(path.read_bytes()).decode())
        assert [sentence for sentence in sentences if bare(sentence) in taught] == []


def test_the_parity_table(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The largest difference of a pack and the largest share of a limit, which need not be of one output."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import parity

    found = [("b/x", "wav", 0.5, 1.0), ("b/x", "wav", 0.1, 1.0), ("b/x", "loss", 0.3, 0.4), ("a/y", "codes", 0, 0)]
    lines = [dict(zip(("pack", "output", "difference", "limit"), row, strict=True)) for row in found]
    (tmp_path / "report.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    packs = parity.collect(tmp_path / "report.jsonl")
    assert list(packs) == ["a/y", "b/x"]
    assert packs["b/x"] == {"outputs": 2, "difference": 0.5, "share_of_limit": 0.75}
    assert packs["a/y"]["share_of_limit"] == 0
    assert "75.0%" in parity.table(packs)


def test_ratios_are_taken_within_a_repeat(voice: ModuleType) -> None:
    """The machine is slow in the second repeat, for both; the ratio does not notice."""
    mine = [{"wall": 0.01, "cpu": 0.01}, {"wall": 0.08, "cpu": 0.01}, {"wall": 0.01, "cpu": 0.01}]
    theirs = [{"wall": 0.02, "cpu": 0.02}, {"wall": 0.16, "cpu": 0.02}, {"wall": 0.02, "cpu": 0.02}]
    figures = voice.timing(mine, theirs)
    assert figures["relative_to_hibari"] == pytest.approx(0.5)
    assert figures["seconds_per_second"] == pytest.approx(0.01)
    assert figures["seconds_per_second_range"] == [0.01, 0.08]
    assert "relative_to_hibari" not in voice.timing(mine, None)


@pytest.mark.parametrize(
    ("value", "more", "expected"),
    [(3.5, False, "aim reached"), (6.0, False, "must reached"), (6.1, False, "**missed**"), (None, False, "")],
)
def test_verdicts(voice: ModuleType, value: float | None, more: bool, expected: str) -> None:
    assert voice.verdict(value, 6.0, 3.5, more) == expected


def test_verdict_where_more_is_better(voice: ModuleType) -> None:
    assert [voice.verdict(value, 4.0, 4.5, True) for value in (4.5, 4.0, 3.9)] == [
        "aim reached",
        "must reached",
        "**missed**",
    ]


def test_the_table_shows_what_was_asked_beside_what_was_measured(voice: ModuleType) -> None:
    lines = voice.table(
        {"aoide": {"name": "aoide x", "wer_percent": 4.0}, "real": {"name": "real speech"}}
    ).splitlines()
    assert lines[0] == "| figure | must | aim | aoide x | real speech | verdict |"
    assert lines[2] == "| WER | ≤ 6 % | ≤ 3.5 % | 4.00 % | – | must reached |"
    assert len(lines) == 3  # what nobody has is no row


def test_a_worker_answers_and_its_prints_do_not_disturb(voice: ModuleType, tmp_path: Path) -> None:
    script = tmp_path / "toy_voice.py"
    script.write_text(
        f"import sys; sys.path.insert(0, {str(BENCHMARKS / 'workers')!r})\n"
        "import numpy, talk\n"
        "print('a library says hello')\n"
        "def say(text):\n"
        "    print('and again')\n"
        "    return numpy.zeros(100 * len(text), 'float32'), 1000\n"
        "talk.speaker(say, {'name': 'toy'})\n"
    )
    worker = voice.Worker(sys.executable, script, threads=1)
    try:
        assert worker.ask(do="about") == {"name": "toy"}
        answer = worker.ask(do="say", text="word", to=str(tmp_path / "word.wav"))
        assert answer["seconds"] == pytest.approx(0.4)
        assert answer["wall"] >= 0
        assert sorted(path.name for path in tmp_path.iterdir()) == ["toy_voice.py", "word.wav"]
        with pytest.raises(SystemExit, match="KeyError"):
            worker.ask(do="say")
    finally:
        worker.close()


def test_a_sound_is_spoken_once(voice: ModuleType, tmp_path: Path) -> None:
    class Toy:
        asked = 0

        def ask(self, **question: str) -> dict:
            self.asked += 1
            Path(question["to"]).write_bytes(b"")
            return {}

    toy = Toy()
    first = voice.speak("toy", toy, ["one", "two"], tmp_path)
    assert voice.speak("toy", toy, ["one", "two"], tmp_path) == first
    assert toy.asked == 2


def test_weights_that_are_not_the_ones_measured_are_refused(voice: ModuleType, tmp_path: Path) -> None:
    weights = tmp_path / "lib" / "python3" / "site-packages" / "toy.onnx"
    weights.parent.mkdir(parents=True)
    weights.write_bytes(b"changed")
    with pytest.raises(SystemExit, match="toy.onnx has sha256"):
        voice.Room(name="toy", packages=(), files=(("toy.onnx", "0" * 64),)).check(tmp_path)


def test_real_speech_is_english_sentences(voice: ModuleType, tmp_path: Path) -> None:
    said = "conf-full: That conference is full at the moment.\nbeep: [this is a simple beep tone here]\nyes: Yes.\n"
    with gzip.open(tmp_path / "core-sounds-en.txt.gz", "wt") as file:
        file.write(said + "gone: A sentence that has no recording at all.\n")
    for language in ("en_US_f_Allison", "fr_FR_f_June"):
        for name in ("conf-full", "beep", "yes"):
            path = tmp_path / language / f"{name}.g722"
            path.parent.mkdir(exist_ok=True)
            path.touch()
    found = voice.recordings([tmp_path], 100)
    assert found == [(tmp_path / "en_US_f_Allison" / "conf-full.g722", "That conference is full at the moment.")]
    assert voice.recordings([tmp_path / "nowhere"], 100) == []


@pytest.mark.parametrize("path", sorted((BENCHMARKS / "results").glob("voice_*.json")), ids=lambda path: path.name)
def test_a_result_says_how_it_was_found(path: Path) -> None:
    result = json.loads(path.read_text("utf-8"))
    assert {"benchmark", "date", "commit", "sentences", "judges", "machine", "figures"} <= set(result)
    assert path.stem == f"voice_{result['machine']['words']}_{result['date']}"
