"""The documentation runs: every `python` and `console` block of the README and the pages is executed here.

A page is read like a session: its blocks run in order, in one empty folder that knows the recipes; Python blocks
share their names. In a console block, lines after `$ ` are commands (bash), the others are what they print, with `...`
for any text. A word after the language says what a block needs:

    slow       longer than a few seconds: runs with `make slow`, as do then all blocks of the page
    gpu        a GPU: runs where there is one
    install    changes the environment: not run, but the make targets and extras that it names must exist
    hours      takes hours: not run, but the verbs, corpora and recipes that it names must exist
"""

import os
import re
import subprocess
import sys
import textwrap
import tomllib
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
WORDS = {"slow", "gpu", "install", "hours"}
NOT_RUN = {"install", "hours"}


class Block(NamedTuple):
    page: Path
    line: int  # of the first line inside the fence
    language: str
    words: frozenset[str]
    text: str

    @property
    def place(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page; a fence may be indented, as in a list."""
    fence = re.compile(r"^( *)```([^\n`]*)\n(.*?)^\1```$", re.M | re.S)
    text = page.read_text("utf-8")
    found = []
    for match in fence.finditer(text):
        language, *words = match[2].split() or [""]
        line = text.count("\n", 0, match.start(3)) + 1
        found.append(Block(page, line, language, frozenset(words), textwrap.dedent(match[3])))
    return found


def ids(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder with the recipes and the examples, as a user who has the source would see them."""
    for name in ("recipes", "examples"):
        (tmp_path / name).symlink_to(ROOT / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_page_runs(page: Path, folder: Path) -> None:
    run([block for block in blocks(page) if "slow" not in block.words], folder)


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in PAGES if any("slow" in b.words for b in blocks(page))], ids=ids)
def test_page_runs_with_its_slow_blocks(page: Path, folder: Path) -> None:
    run(blocks(page), folder)


def run(page: list[Block], folder: Path) -> None:
    names: dict[str, object] = {"__name__": "__main__"}
    for block in page:
        if block.language not in ("python", "console") or block.words & NOT_RUN or ("gpu" in block.words and not gpu()):
            continue
        if block.language == "python":
            code = compile("\n" * (block.line - 1) + block.text, str(block.page), "exec")
            exec(code, names)
        else:
            for command, printed in commands(block):
                run_command(command, printed, block, folder)


def run_command(command: str, printed: list[str], block: Block, folder: Path) -> None:
    """Runs a command with the `aoide` of this Python; it must print the lines that the page shows, in order."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    shell = ["bash", "-euo", "pipefail", "-c", command]
    together = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}  # in the order in which a person sees them
    done = subprocess.run(shell, cwd=folder, env=os.environ | {"PATH": path}, text=True, check=False, **together)
    assert done.returncode == 0, f"{block.place}: {command}\n{done.stdout}"
    lines = iter(done.stdout.splitlines())
    for expected in printed:
        pattern = ".*".join(re.escape(part) for part in expected.rstrip().split("..."))
        assert any(re.fullmatch(pattern, line.rstrip()) for line in lines), (
            f"{block.place}: {command}\nexpected the line: {expected}\n{done.stdout}"
        )


def commands(block: Block) -> list[tuple[str, list[str]]]:
    """(command, lines that it prints) of a console block; a backslash at the end continues a command."""
    found: list[tuple[str, list[str]]] = []
    lines = iter(block.text.splitlines())
    for line in lines:
        if line.startswith("$ "):
            command = line[2:]
            while command.endswith("\\"):
                command = f"{command}\n{next(lines)}"
            found.append((command, []))
        else:
            assert found, f"{block.place}: a console block begins with a command: $ ..."
            found[-1][1].append(line)
    return found


def gpu() -> bool:
    import torch

    return torch.cuda.is_available()


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_the_words_of_a_block_are_known(page: Path) -> None:
    for block in blocks(page):
        assert block.language in ("python", "console", "yaml", "text", "make"), f"{block.place}: {block.language!r}"
        assert block.words <= WORDS, f"{block.place}: {block.words - WORDS}"


def test_what_install_blocks_name_exists() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text("utf-8"), re.M)
    found = 0
    for block in (block for page in PAGES for block in blocks(page) if "install" in block.words):
        for command, _ in commands(block):
            for target in re.findall(r"^make ([a-z]+)", command):
                found += 1
                assert target in targets, f"{block.place}: make {target}"
            for names in re.findall(r"\[([a-z,]+)\]", command):
                found += 1
                assert set(names.split(",")) <= set(extras), f"{block.place}: {command}"
    assert found >= 3, "the README shows make hello, make test and an extra"


def test_what_hours_blocks_name_exists() -> None:
    from aoide.cli import verbs
    from aoide.data.corpora import names

    found = 0
    for block in (block for page in PAGES for block in blocks(page) if "hours" in block.words):
        for command, _ in commands(block) if block.language == "console" else []:
            command = re.sub(r"^torchrun .* -m aoide\.cli", "aoide", command)  # noqa: PLW2901
            aoide, verb, *rest = command.split()
            if aoide == "python":
                assert (ROOT / verb).is_file(), f"{block.place}: {command}"
                continue
            assert aoide == "aoide", f"{block.place}: {command}"
            assert verb in verbs(), f"{block.place}: {command}"
            if verb == "prepare":
                assert rest[0] in names(), f"{block.place}: {command}"
            for recipe in (word for word in rest if word.startswith("recipes/")):
                found += 1
                assert (ROOT / recipe).is_file(), f"{block.place}: {command}"
    assert found >= 1, "the README shows a training"


@pytest.mark.parametrize("page", [*PAGES, ROOT / "CHANGELOG.md", ROOT / "LOG.md"], ids=ids)
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text("utf-8"), flags=re.S)
    for target in re.findall(r"\]\(([^)#\s]+)|src=\"([^\"]+)", text):
        path = "".join(target)
        if not path.startswith(("http://", "https://")):
            assert (page.parent / path).exists(), f"{page.relative_to(ROOT)}: {path}"


@pytest.mark.parametrize("page", [*PAGES, ROOT / "CHANGELOG.md"], ids=ids)
def test_a_page_can_be_read_on_a_code_host(page: Path) -> None:
    """Fences are closed, and the first line is a title."""
    text = page.read_text("utf-8")
    assert text.startswith("# ")
    assert len(re.findall(r"^ *```", text, re.M)) == 2 * len(blocks(page))
