"""`aoide train`, as a user types it."""

from pathlib import Path
from typing import Any

import pytest

from aoide import cli
from aoide.commands import train as command
from aoide.config import UserError
from aoide.train import loop, recipe
from tests.train import toy

RECIPE = "model: {name: vocoder/vocos}\ndata: {kind: speech, manifest: nowhere, segment_seconds: 0.5}\n"


@pytest.fixture
def trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What the loop was asked to train; nothing is trained."""
    asked: list[dict[str, Any]] = []

    def train(read: recipe.Recipe, folder: Path, **rest: Any) -> loop.Outcome:
        asked.append({"recipe": read, "folder": folder, **rest})
        return loop.Outcome(folder=folder, step=3, finished=read.loop.steps != 13)

    monkeypatch.setattr(loop, "train", train)
    monkeypatch.setattr(command, "_start", lambda source, read: source)
    monkeypatch.chdir(tmp_path)
    Path("mine.yaml").write_text(RECIPE)
    return asked


def test_recipe_words_and_options(trained: list[dict[str, Any]]) -> None:
    words = ["mine.yaml", "model.dim=32", "loop.steps=7", "--run", "there", "--from", "old", "--steps", "9"]
    assert cli.main(["train", *words]) == 0
    (asked,) = trained
    assert asked["recipe"].model.dim == 32 and asked["recipe"].loop.steps == 9
    assert asked["folder"] == Path("there") and asked["start"] == "old" and not asked["accept"]


def test_the_run_is_named_after_the_recipe(trained: list[dict[str, Any]]) -> None:
    assert cli.main(["train", "mine.yaml"]) == 0
    assert trained[0]["folder"] == Path("runs/mine") and trained[0]["start"] is None


def test_a_run_folder_brings_its_own_recipe(trained: list[dict[str, Any]]) -> None:
    Path("runs/old").mkdir(parents=True)
    Path("runs/old/config.yaml").write_text(RECIPE.replace("vocos}", "vocos, dim: 48}"))
    assert cli.main(["train", "runs/old", "--steps", "5"]) == 0
    assert trained[0]["folder"] == Path("runs/old") and trained[0]["recipe"].model.dim == 48
    assert cli.main(["train", "runs/old", "--run", "new"]) == 0
    assert trained[1]["folder"] == Path("new")


def test_interrupted_is_130(trained: list[dict[str, Any]]) -> None:
    assert cli.main(["train", "mine.yaml", "--steps", "13"]) == command.INTERRUPTED


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["no.yaml"], "no.yaml: no such file"),
        (["mine.yaml", "model.dmi=3"], "mine.yaml: model.dmi: no such setting; did you mean dim?"),
        (["mine.yaml", "dim"], "'dim' is not a setting; write it as key=value"),
        (["."], "is not a run (it has no config.yaml)"),
        (["mine.yaml", "--steps", "0"], "mine.yaml: loop: steps must be 1 or more, got 0"),
        (["mine.yaml", "--stesp", "3"], "did you mean --steps"),
    ],
)
def test_mistakes_end_in_one_line(
    trained: list[dict[str, Any]], capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    assert cli.main(["train", *words]) == 2
    error = capsys.readouterr().err
    assert error.startswith("aoide: ") and message in error and error.count("\n") == 1
    assert trained == []


def test_a_foreign_checkpoint_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "model.pt").write_bytes(b"PK")
    with pytest.raises(UserError, match="not a checkpoint"):
        toy.run(toy.recipe(), tmp_path / "run", start=tmp_path / "foreign")
    assert [path.name for path in (tmp_path / "run").iterdir()] == [".lock"]
