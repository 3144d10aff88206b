"""The shape of the house: who may import whom, what loads when, how long a file may be and how it may be called."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "aoide"
SOURCES = sorted(
    path
    for folder in ("aoide", "benchmarks", "tests", "tools")
    for path in (ROOT / folder).rglob("*.py")
    if path.is_file()
)
HEAVY = ("numpy", "torch", "onnxruntime", "yaml", "soundfile", "lhotse", "transformers")
SPEAKS_WITHOUT_TORCH = (  # the core: what `aoide say`, `models` and `doctor` are made of
    "aoide.cli",
    "aoide.commands.doctor",
    "aoide.commands.models",
    "aoide.commands.say",
    "aoide.audio.io",
    "aoide.audio.resample",
    "aoide.audio.sound",
    "aoide.generate.runtime",
    "aoide.generate.stream",
    "aoide.generate.synthesis",
    "aoide.generate.voice",
    "aoide.models.find",
    "aoide.score",
    "aoide.text",
    "aoide.text.lyrics",
    "aoide.trace",
    "aoide.voices",
)
NAMES_THAT_SAY_NOTHING = {"utils", "util", "helpers", "helper", "misc", "common", "tools", "base", "core"}


def python(code: str) -> str:
    """What a new Python prints."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_imports_point_down() -> None:
    from importlinter.cli import lint_imports

    assert lint_imports(config_filename=str(ROOT / "pyproject.toml"), no_cache=True) == 0, (
        "see the broken contract above"
    )


@pytest.mark.parametrize("words", ["import aoide", "from aoide import cli; cli.main(['--help'])"])
def test_nothing_heavy_is_loaded_before_it_is_needed(words: str) -> None:
    printed = python(f"{words}\nimport sys; print('loaded:', *(name for name in {HEAVY} if name in sys.modules))")
    assert printed.splitlines()[-1] == "loaded:"


@pytest.mark.parametrize("module", SPEAKS_WITHOUT_TORCH)
def test_the_core_imports_without_the_extras(module: str) -> None:
    blocked = ("torch", "lhotse", "transformers", "onnx", "scipy", "safetensors", "av")
    python(f"import sys\nfor name in {blocked}: sys.modules[name] = None\nimport {module}")


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_has_one_subject(path: Path) -> None:
    """Up to 600 lines, functions of up to 60 (docstrings not counted), a docstring, a name that says something."""
    text = path.read_text("utf-8")
    assert len(text.splitlines()) <= 600
    assert path.stem not in NAMES_THAT_SAY_NOTHING
    tree = ast.parse(text)
    if not path.is_relative_to(ROOT / "tests"):
        assert ast.get_docstring(tree), "a file says in its first line what it is"
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            assert lines_of_code(node) <= 60, f"{node.name} has {lines_of_code(node)} lines"


def lines_of_code(function: ast.FunctionDef) -> int:
    """Lines of a function from its `def`, without the docstring."""
    assert function.end_lineno is not None
    lines = function.end_lineno - function.lineno + 1
    first = function.body[0]
    if ast.get_docstring(function) is not None and first.end_lineno is not None:
        lines -= first.end_lineno - first.lineno + 1
    return lines


def test_the_tree_is_three_deep() -> None:
    deepest = max(len(path.relative_to(PACKAGE).parts) for path in PACKAGE.rglob("*.py"))
    assert deepest <= 3, "aoide/folder/folder/file is as deep as it goes"
