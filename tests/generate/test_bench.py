"""`aoide bench vocoder`: what it measures, and what it refuses."""

import json

import pytest

from aoide.cli import main

pytest.importorskip("torch")


@pytest.mark.slow
def test_a_table_and_json(capsys: pytest.CaptureFixture) -> None:
    """A model of torch and the vocoder of the package, a tenth of a second each."""
    words = ["bench", "vocoder", "vocoder/vocos", "universal-24k", "--threads", "1", "--seconds", "0.2"]
    assert main([*words, "--json"]) == 0
    torch_one, packed = json.loads(capsys.readouterr().out)
    assert torch_one["parameters"] > 13e6 and torch_one["memory"] > 50 and torch_one["graph"] == "torch"
    assert packed["graph"] == "onnx" and packed["seconds_per_second"] > 0 and packed["first_chunk"] > 0
    assert main(words) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3 and "1.000" in lines[1] and lines[2].startswith("universal-24k")


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["vocoder", "vocoder/vocs"], "did you mean vocoder/vocos"),
        (["vocoder", "tts/fastspeech2"], "not a vocoder"),
        (["vocoder", "--threads", "0"], "1 or more"),
        (["vocoder", "--seconds", "0"], "above 0"),
        (["codec"], "invalid choice"),
    ],
)
def test_what_cannot_be_measured(capsys: pytest.CaptureFixture, words: list[str], complaint: str) -> None:
    assert main(["bench", *words]) == 2
    error = capsys.readouterr().err
    assert complaint in error and error.count("\n") == 1
