"""A new run starts from a run, a voice that kept its weights, or published ones; the wrong ones are refused."""

from __future__ import annotations

import argparse
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from aoide import voices
from aoide.commands import train as command
from aoide.config import UserError
from aoide.generate.runtime import Runtime
from aoide.models.tts import fastspeech2s
from aoide.nn import lora
from aoide.train import checkpoint, recipe, start
from aoide.train.distributed import Team
from aoide.train.loop import Run
from tests.train import toy

HEART = {"model": {"name": "tts/fastspeech2s"}, "data": {"kind": "speech", "manifest": "nowhere"}}


def test_the_voice_of_the_package_can_be_trained_on() -> None:
    """Its weights make just what its graph says: a run starts from what is heard."""
    read = recipe.from_dict(HEART, "test")
    begun = command._start(voices.DEFAULT, read)
    model = fastspeech2s.Model(read.model).eval()
    checkpoint.fill(model, begun.networks["model"], begun.where)
    tokens = np.array([[0, 50, 51, 16, 63, 72, 54, 57, 0]], np.int64)
    ones = np.ones(1, np.float32)
    heard = Runtime(voices.find(voices.DEFAULT)).outputs(tokens, np.array([9]), ones, 0 * ones)
    with torch.no_grad():
        said = fastspeech2s.Exported(model)(torch.from_numpy(tokens), *(torch.tensor([x]) for x in (9, 1.0, 0.0)))
    for name, value in zip(("lh", "theta", "lr", "phi", "f0", "durations"), said, strict=True):
        assert np.allclose(heard[name], value, atol=2e-4), name


def test_a_folder_of_a_voice_with_its_weights(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = fastspeech2s.Model(fastspeech2s.TOY)
    size = start.keep(tmp_path, "tts/fastspeech2s", model).stat().st_size
    begun = start.of_folder(tmp_path, "tts/fastspeech2s")
    for name, value in model.state_dict().items():
        error = (begun.networks["model"][name] - value).abs().max()
        assert error <= value.abs().max() / 127 / 2 + 1e-7, name
    assert size < 4 * sum(value.numel() for value in model.state_dict().values())
    with pytest.raises(UserError, match="is a tts/fastspeech2s, the recipe trains a vocoder/vocos"):
        start.of_folder(tmp_path, "vocoder/vocos")
    (tmp_path / start.FILE).write_bytes(b"what")
    with pytest.raises(UserError, match="damaged"):
        start.of_folder(tmp_path, "tts/fastspeech2s")
    (tmp_path / start.FILE).unlink()
    with pytest.raises(UserError, match="keeps no weights.*--trainable"):
        start.of_folder(tmp_path, "tts/fastspeech2s")


def test_published_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from aoide.generate import published

    asked: list[Any] = []
    read = recipe.from_dict(HEART, "test")
    model = SimpleNamespace(config=read.model, state_dict=lambda: {"w": torch.ones(1)})
    monkeypatch.setattr(published, "load", lambda *words: asked.append(words) or model)
    begun = command._start("hf:somebody/something", read)
    assert asked == [("tts/fastspeech2s", fastspeech2s, "hf:somebody/something")]
    assert begun.networks == {"model": {"w": torch.ones(1)}}
    model.config = fastspeech2s.Config(decoder_dim=300)
    with pytest.raises(UserError, match=r"model.decoder_dim is 256 in the recipe, 300 in the weights"):
        command._start("hf:somebody/something", read)


@pytest.mark.parametrize(
    ("source", "message"), [("en-haert", "did you mean en-heart"), ("nowhere", "there is no such run or voice")]
)
def test_what_is_not_there(source: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        command._start(source, recipe.from_dict(HEART, "test"))


def test_freeze_and_lora_as_words(monkeypatch: pytest.MonkeyPatch) -> None:
    words = command._lora("rank=4,targets=attention+head,train=embed")
    assert words == ["lora.rank=4", "lora.targets=[attention, head]", "lora.train=[embed]"]
    with pytest.raises(UserError, match="expects settings such as rank=8"):
        command._lora("rank")
    parser = argparse.ArgumentParser()
    command.parser(parser)
    options = parser.parse_args(["r.yaml", "a.b=1", "--freeze", "encoder", "!encoder.0"])
    assert options.freeze == ["encoder", "!encoder.0"]


# ----------------------------------------------------------------------------------------------------- runs with LoRA


def adapted(**settings: Any) -> recipe.Recipe:
    from dataclasses import replace

    plain = toy.recipe(model=toy.Config(norm=True), steps=20, **settings)
    return replace(plain, lora=lora.Config(rank=1, targets=("first",)))


def test_a_lora_run_leaves_a_small_file_and_loads_as_a_plain_model(tmp_path: Path) -> None:
    toy.run(toy.recipe(steps=5), tmp_path / "base")
    toy.run(adapted(), tmp_path / "run", start=tmp_path / "base")
    newest = checkpoint.latest(tmp_path / "run")
    assert newest is not None
    base = start.of_run(tmp_path / "base").networks["model"]
    state = checkpoint.read(newest).networks["model"]
    assert torch.equal(state["first.parametrizations.weight.original"], base["first.weight"]), "the base has not moved"
    model = toy.Model(toy.Config())
    checkpoint.fill(model, base, "base")
    lora.attach(model, newest / "adapters.safetensors")
    assert not torch.equal(model.first.weight, base["first.weight"])


def test_additions_are_added_in_when_a_checkpoint_is_loaded(tmp_path: Path) -> None:
    from dataclasses import replace

    read = replace(recipe.from_dict({**HEART, "lora": {"rank": 2}}, "test"), model=fastspeech2s.TOY)
    assert recipe.from_dict(read.to_dict(), "test") == read
    run = Run(read, tmp_path, Team(), toy.Data(toy.DataConfig()))
    wrapped = run.networks["model"]
    for name, value in wrapped.named_parameters():
        if name.endswith(".up"):
            torch.nn.init.normal_(value)
    run.average = None
    run.begin(None)
    run._save()
    loaded = checkpoint.load_model(tmp_path)[1]
    assert set(loaded.state_dict()) == set(fastspeech2s.Model(fastspeech2s.TOY).state_dict())
    batch = fastspeech2s.example(fastspeech2s.TOY)
    words = {name: batch[name] for name in ("tokens", "token_mask", "durations", "f0")}
    assert torch.allclose(loaded(**words).spectra, wrapped(**words).spectra, atol=1e-5)
    begun = start.of_run(tmp_path).networks["model"]
    assert all(torch.equal(value, begun[name]) for name, value in loaded.state_dict().items())


def test_a_lora_run_is_resumed_bit_for_bit_and_not_with_other_settings(tmp_path: Path) -> None:
    from dataclasses import replace

    toy.run(adapted(), tmp_path / "whole")
    toy.run(replace(adapted(), loop=replace(adapted().loop, steps=9)), tmp_path / "broken")
    toy.run(adapted(), tmp_path / "broken")
    prints = [toy.fingerprint(tmp_path / name / "checkpoints" / "step-000020") for name in ("whole", "broken")]
    assert prints[0] == prints[1]
    with pytest.raises(UserError, match="lora.rank was 1, is 2"):
        toy.run(replace(adapted(), lora=lora.Config(rank=2, targets=("first",))), tmp_path / "whole")


def test_frozen_weights_stay(tmp_path: Path) -> None:
    from dataclasses import replace

    plain = toy.recipe(steps=10)
    frozen = replace(plain, optimiser=replace(plain.optimiser, freeze=("norm", "last.bias")))
    run = Run(frozen, tmp_path, Team(), toy.Data(toy.DataConfig()))
    before = {name: value.clone() for name, value in run.networks["model"].state_dict().items()}
    run.begin(None)
    with (tmp_path / "screen").open("w") as screen:
        run.go_on([], screen)
    after = run.networks["model"].state_dict()
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved == {"first.weight", "first.bias", "last.weight"}  # last.weight is first.weight
    assert "frozen: norm" in (tmp_path / "screen").read_text()
