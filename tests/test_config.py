"""Settings are read strictly, and every error says what, where and what to do, in one line."""

import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest

from aoide import config
from aoide.config import MissingExtra, UserError


@dataclass(frozen=True, kw_only=True, slots=True)
class Mel:
    sample_rate: int = 24_000
    fmax: float = 12_000.0
    scale: Literal["htk", "slaney"] = "htk"

    def __post_init__(self) -> None:
        if self.fmax > self.sample_rate / 2:
            raise ValueError(f"fmax must be at most {self.sample_rate / 2} Hz, got {self.fmax}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Everything:
    dim: int
    mel: Mel = field(default_factory=Mel)
    betas: tuple[float, float] = (0.9, 0.999)
    layers: tuple[int, ...] = ()
    names: list[str] = field(default_factory=list)
    weights: dict[str, float] = field(default_factory=dict)
    critics: dict[str, Mel] = field(default_factory=dict)
    clip: float | None = None
    other: Mel | None = None
    held_out: int | float = 4
    mode: Literal["on", 3] | None = None
    on: bool = True
    folder: Path | None = None
    anything: Any = None


FULL: dict[str, Any] = {
    "dim": 8,
    "mel": {"sample_rate": 16_000, "fmax": 8000, "scale": "slaney"},
    "betas": [0.8, "5e-1"],
    "layers": [1, 2, 3],
    "names": ["a"],
    "weights": {"mel": 45},
    "critics": {"period": {"fmax": 10}},
    "clip": "5e-4",
    "other": {},
    "held_out": 0.25,
    "mode": 3,
    "on": False,
    "folder": "data/x",
    "anything": [{"a": 1}],
}


def test_build_gives_every_kind_of_value_its_type() -> None:
    made = config.build(Everything, FULL, "x.yaml")
    assert made.mel == Mel(sample_rate=16_000, fmax=8000.0, scale="slaney") and isinstance(made.mel.fmax, float)
    assert made.betas == (0.8, 0.5) and made.layers == (1, 2, 3) and made.names == ["a"]
    assert made.weights == {"mel": 45.0} and made.critics["period"].fmax == 10.0
    assert made.clip == 5e-4 and made.other == Mel() and made.held_out == 0.25 and made.mode == 3
    assert made.on is False and made.folder == Path("data/x") and made.anything == [{"a": 1}]
    assert config.build(Everything, {"dim": "1e3", "held_out": 3}, "x").dim == 1000
    assert type(config.build(Everything, {"dim": 1, "held_out": 3}, "x").held_out) is int
    assert config.build(Mel, None, "x.yaml") == Mel()


def test_to_dict_and_yaml_are_the_inverse(tmp_path: Path) -> None:
    made = config.build(Everything, FULL, "x.yaml")
    config.write_yaml(tmp_path / "x.yaml", made)
    assert config.build(Everything, config.read_yaml(tmp_path / "x.yaml"), "x.yaml") == made
    assert "betas: [0.8, 0.5]" in (tmp_path / "x.yaml").read_text()
    assert [path.name for path in tmp_path.iterdir()] == ["x.yaml"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dmi": 3}, "x.yaml: model.dmi: no such setting; did you mean dim?"),
        ({"mel": {"smaple_rate": 3}}, "x.yaml: model.mel.smaple_rate: no such setting; did you mean sample_rate?"),
        ({"mel": {"qqq": 3}}, "x.yaml: model.mel.qqq: no such setting; the settings here are sample_rate, fmax, scale"),
        ({"mel": {"fmax": 20_000}}, "x.yaml: model.mel: fmax must be at most 12000.0 Hz, got 20000.0"),
        (
            {"mel": {"scale": "slany"}},
            "x.yaml: model.mel.scale: 'slany' is not one of htk, slaney; did you mean slaney?",
        ),
        ({"mel": 3}, "x.yaml: model.mel: expects settings (`name: value` lines), got 3"),
        ({"dim": True}, "x.yaml: model.dim: expects a whole number, got True"),
        ({"dim": 2.5}, "x.yaml: model.dim: expects a whole number, got 2.5"),
        ({"dim": "nan"}, "x.yaml: model.dim: expects a whole number, got 'nan'"),
        ({"dim": None}, "x.yaml: model.dim: expects a whole number, got None"),
        ({"clip": "much"}, "x.yaml: model.clip: expects a number, got 'much'"),
        ({"on": 1}, "x.yaml: model.on: expects true or false, got 1"),
        ({"names": [1]}, "x.yaml: model.names[0]: expects text, got 1; put it in quotes"),
        ({"names": "a"}, "x.yaml: model.names: expects a list of text, got 'a'"),
        ({"betas": [1]}, "x.yaml: model.betas: expects 2 values, got 1: [1]"),
        ({"weights": {"mel": "x"}}, "x.yaml: model.weights.mel: expects a number, got 'x'"),
        ({"held_out": "x"}, "x.yaml: model.held_out: expects a whole number or a number, got 'x'"),
        ({"mode": "off"}, "x.yaml: model.mode: 'off' is not one of on, 3"),
        ({"folder": 3}, "x.yaml: model.folder: expects a path, got 3"),
        (
            {"critics": {"period": {"f_max": 10}}},
            "x.yaml: model.critics.period.f_max: no such setting; did you mean fmax?",
        ),
    ],
)
def test_build_refuses_in_one_clear_line(change: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as caught:
        config.build(Everything, {"dim": 1, **change}, "x.yaml", "model")
    assert str(caught.value).startswith(message) and "\n" not in str(caught.value)


def test_build_names_what_is_missing() -> None:
    with pytest.raises(UserError, match=r"^x\.yaml: dim: is missing"):
        config.build(Everything, {}, "x.yaml")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"a: 1\nb:\n  c: 2\n  c: 3\n", "line 4: c stands twice"),
        (b"a: [1\nb: 2\n", "line 2: not YAML"),
        (b"- 1\n- 2\n", "expects settings"),
        (b"\xff\xfe\x00", "not a text file in UTF-8"),
        (b"a: !!python/object/apply:os.system [ls]\n", "not YAML"),
        (b"a: \x00\n", "not YAML"),
        (b"? [1, 2]\n: 3\n", "cannot be the name of a setting"),
        (b"a: &a [*a]\n", "not YAML"),
    ],
)
def test_read_yaml_refuses(tmp_path: Path, text: bytes, message: str) -> None:
    path = tmp_path / "x.yaml"
    path.write_bytes(text)
    with pytest.raises(UserError) as caught:
        config.build(Everything, config.read_yaml(path), "x.yaml")
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_read_yaml_refuses_what_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file"):
        config.read_yaml(tmp_path / "no.yaml")
    with pytest.raises(UserError, match="is a folder"):
        config.read_yaml(tmp_path)


def test_an_empty_file_is_all_defaults(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text("# nothing\n")
    assert config.read_yaml(tmp_path / "x.yaml") == {}


def test_override() -> None:
    data = {"model": {"dim": 1}, "data": None}
    words = ["model.dim=256", "data.seconds=5e-4", "optimiser.betas=[0.8, 0.9]", "a=", "b=x=y"]
    assert config.override(data, words) == {
        "model": {"dim": 256},
        "data": {"seconds": "5e-4"},
        "optimiser": {"betas": [0.8, 0.9]},
        "a": None,
        "b": "x=y",
    }
    assert data == {"model": {"dim": 1}, "data": None}


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("model.dim", "write it as key=value"),
        ("=3", "write it as key=value"),
        ("model..dim=3", "write it as key=value"),
        ("model.dim.x=3", "model.dim is 1, not a group"),
        ("model.dim=[", "not YAML"),
    ],
)
def test_override_refuses(word: str, message: str) -> None:
    with pytest.raises(UserError) as caught:
        config.override({"model": {"dim": 1}}, [word])
    assert message in str(caught.value) and word in str(caught.value)


def test_near() -> None:
    assert config.near("trian", ["train", "say", "export"]) == " did you mean train?"
    assert config.near("EN-Hart", ["en-heart"]) == " did you mean en-heart?"
    assert config.near("zzz", ["train"]) == ""


def test_require() -> None:
    assert config.require("json", "data").dumps({}) == "{}"
    with pytest.raises(MissingExtra, match=r"^this needs no_such_package: pip install 'aoide\[data\]'$"):
        config.require("no_such_package.part", "data")


def test_require_lets_a_broken_package_speak(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "aoide_broken_package.py").write_text("import something_it_needs")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="something_it_needs") as caught:
        config.require("aoide_broken_package", "data")
    assert not isinstance(caught.value, MissingExtra)


def test_write_aside_leaves_the_old_file_when_the_block_fails(tmp_path: Path) -> None:
    target = tmp_path / "x.wav"
    target.write_text("old")
    with pytest.raises(RuntimeError), config.write_aside(target) as aside:
        assert aside.parent == tmp_path and aside.suffix == ".wav"
        aside.write_text("half")
        raise RuntimeError
    assert target.read_text() == "old" and list(tmp_path.iterdir()) == [target]
    with config.write_aside(target) as aside:
        aside.write_text("new")
    assert target.read_text() == "new" and list(tmp_path.iterdir()) == [target]


def test_write_aside_follows_links_and_writes_devices(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("old")
    (tmp_path / "link").symlink_to(tmp_path / "x")
    with config.write_aside(tmp_path / "link") as aside:
        aside.write_text("new")
    assert (tmp_path / "x").read_text() == "new" and (tmp_path / "link").is_symlink()
    with config.write_aside("/dev/null") as aside:
        aside.write_text("away")
    assert not Path("/dev/null").is_file()


def test_write_aside_refuses(tmp_path: Path) -> None:
    for path, message in ((tmp_path, "is a folder"), (tmp_path / "no" / "x", "there is no folder")):
        with pytest.raises(UserError, match=message), config.write_aside(path):
            raise AssertionError("the block must not run")
    with pytest.raises(UserError, match="No space left"), config.write_aside(tmp_path / "x") as aside:
        aside.write_text("half")
        raise OSError(28, "No space left on device")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(FileNotFoundError), config.write_aside(tmp_path / "x"):
        open(tmp_path / "something else")  # noqa: SIM115  (an error that is not about the file being written)


def test_import_is_light() -> None:
    code = (
        "import sys; import aoide.config, aoide.trace; "
        "print([m for m in ('numpy', 'torch', 'yaml', 'dataclasses', 'typing', 'pathlib') if m in sys.modules])"
    )
    # -S: what `site` loads for an editable install is not ours
    command = [
        sys.executable,
        "-S",
        "-c",
        f"import sys; sys.path.insert(0, {str(Path(config.__file__).parents[1])!r}); {code}",
    ]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() == "[]"
