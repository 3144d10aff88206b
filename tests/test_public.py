"""The public surface is frozen: what stands here may grow, and does not change or go."""

import argparse
import importlib
import inspect
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import aoide
from aoide import cli

ROOT = Path(__file__).parents[1]


def test_names():
    assert aoide.__all__ == ["Score", "Sound", "__version__", "generate", "load", "models", "trace"]
    assert sorted(dir(aoide)) == sorted(aoide.__all__)
    for name in aoide.__all__:
        assert getattr(aoide, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = aoide.nonsense


def test_the_version_stands_once_more_in_the_project_file():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert aoide.__version__ == project["version"]


def test_signatures():
    from aoide.generate.voice import Voice

    def parameters(function):
        return [str(p).split(":")[0] for p in inspect.signature(function).parameters.values()]

    assert parameters(aoide.load) == ["name", "source", "threads", "variance", "vocoder"]
    assert parameters(type(aoide.generate).__call__) == ["self", "text", "voice", "speed", "pitch", "seed"]
    assert parameters(type(aoide.models).__call__) == ["self"]
    speaking = ["self", "text", "speed", "pitch", "seed"]
    for method in (Voice.say, Voice.speak, Voice.stream, Voice.speak_each):
        assert parameters(method) == speaking
    assert parameters(Voice.say_many) == ["self", "texts", *speaking[2:]]
    assert {"name", "sample_rate", "card", "tags"} <= set(dir(Voice))
    assert [f for f in dir(aoide.Sound) if not f.startswith("_")] == [
        "channels", "load", "mono", "resample", "sample_rate", "samples", "save", "seconds", "tags",
    ]  # fmt: skip


VERBS = {
    "doctor": [],
    "export": [
        "RUN",
        "--output",
        "--to",
        "--vocoder",
        "--speaker",
        "--name",
        "--language",
        "--licence",
        "--summary",
        "--quantise",
        "--trainable",
        "--polish",
        "--variance",
        "--phonemes",
        "--dictionary",
        "--singers",
        "--no-ema",
    ],
    "music": [
        "DESCRIPTION",
        "--output",
        "--seconds",
        "--melody",
        "--seed",
        "--midi",
        "--font",
        "--model",
        "--guidance",
        "--threads",
    ],
    "studio": ["--host", "--port", "--password", "--no-browser"],
    "serve": [
        "--host",
        "--port",
        "--key",
        "--origin",
        "--workers",
        "--threads",
        "--batch",
        "--voice",
        "--add",
        "--waiting",
        "--most-characters",
        "--most-seconds",
        "--most-bytes",
    ],
    "convert": [
        "IN",
        "--output",
        "--voice",
        "--like",
        "--converter",
        "--speaker",
        "--task",
        "--transpose",
        "--retrieval",
        "--f0",
        "--model",
        "--weights",
        "--i-have-consent",
        "--threads",
    ],
    "bench": ["WHAT", "NAME", "--threads", "--seconds", "--onnx", "--json"],
    "decode": ["IN", "--output", "--codebooks", "--format", "--vocoder", "--codec", "--weights", "--threads"],
    "encode": ["IN", "--output", "--codec", "--weights", "--threads"],
    "evaluate": [
        "REF GEN",
        "--metrics",
        "--like",
        "--text",
        "--language",
        "--asr",
        "--embedding",
        "--embedding-source",
        "--set",
        "--align",
        "--allow-missing",
        "--jobs",
        "--seed",
        "--output",
        "--list",
    ],
    "listen": [None, "PLACE", "--kind", "--output", "--title", "--count", "--seed", "--allow-missing", "--json"],
    "resynth": ["IN", "--output", "--vocoder", "--weights", "--format", "--seed", "--threads"],
    "models": ["NAME"],
    "say": [
        "TEXT",
        "--file",
        "--output",
        "--voice",
        "--speed",
        "--pitch",
        "--seed",
        "--json",
        "--format",
        "--threads",
        "--like",
        "--prompt-text",
        "--model",
        "--weights",
        "--language",
        "--seconds",
        "--duration",
        "--vocoder",
        "--asr",
        "--batch",
        "--i-have-consent",
    ],
    "song": [
        "LYRICS",
        "--output",
        "--style",
        "--stems",
        "--via",
        "--seed",
        "--picture",
        "--folder",
        "--resume",
        "--voice",
        "--font",
        "--threads",
        "--model",
        "--codec",
        "--seconds",
        "--steps",
        "--guidance",
    ],
    "sound": [
        "CAPTION",
        "--output",
        "--seconds",
        "--steps",
        "--guidance",
        "--seed",
        "--count",
        "--model",
        "--threads",
        "--from",
        "--strength",
        "--fresh",
        "--continue",
    ],
    "explain": [
        "MODEL",
        "INPUT",
        "NAME=VALUE",
        "--output",
        "--page",
        "--show",
        "--compare",
        "--vary",
        "--title",
        "--edits",
        "--weights",
        "--like",
        "--prompt-text",
        "--i-have-consent",
        "--variance",
        "--vocoder",
        "--threads",
    ],
}


def test_verbs():
    assert set(VERBS) <= set(cli.verbs())


@pytest.mark.parametrize("verb", VERBS)
def test_flags(verb):
    parser = argparse.ArgumentParser()
    importlib.import_module(f"aoide.commands.{verb}").parser(parser)
    flags = [action.option_strings[-1] if action.option_strings else action.metavar for action in parser._actions]
    assert flags == ["--help", *VERBS[verb]]


@pytest.mark.parametrize("verb", ["", *VERBS])
def test_help_loads_nothing_heavy(verb):
    program = f"import sys; from aoide import cli; sys.argv = ['aoide', {verb!r}]\n" + (
        "try:\n    cli.main([sys.argv[1], '--help'] if sys.argv[1] else ['--help'])\n"
        "except SystemExit:\n    pass\n"
        "heavy = {'numpy', 'torch', 'onnxruntime', 'yaml', 'typing'} & set(sys.modules)\n"
        "print('loaded:', *sorted(heavy - {'typing'}))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.rstrip().endswith("loaded:"), done.stdout


def test_import_loads_nothing_heavy():
    program = "import sys, aoide; print(len([m for m in sys.modules if m.startswith('aoide')]), 'numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["2", "False"]
