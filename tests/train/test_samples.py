"""Validation shows and sounds: a vocoder's audio, a text-to-speech model's mels, and their sound where it can be."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from aoide.models.codec import dac
from aoide.models.tts import fastspeech2, fastspeech2s
from aoide.models.vocoder import diffwave, vocos
from aoide.objectives import regression
from aoide.train import log, samples


def made(module: Any, **rest: Any) -> samples.Samples:
    torch.manual_seed(0)
    model = module.Model(module.TOY).eval()
    batch = module.example(module.TOY, generator=torch.Generator().manual_seed(0))
    return samples.make(module, model, {**batch, "ids": ["a", "b", "c"][: len(next(iter(batch.values())))]}, **rest)


@pytest.mark.parametrize("module", [vocos, dac, fastspeech2s, diffwave], ids=lambda module: module.__name__)
def test_what_sounds_is_heard_beside_the_recording(module: Any) -> None:
    got = made(module)
    assert {"a/generated", "a/recorded", "b/generated", "b/recorded"} == set(got.sounds)
    assert got.sample_rate > 0 and all(sound.ndim == 1 and len(sound) for sound in got.sounds.values())
    assert set(got.pictures) == {"a", "b"} and all(png.startswith(b"\x89PNG") for png in got.pictures.values())


def test_mels_are_seen_and_heard_where_a_vocoder_is_at_hand() -> None:
    assert made(fastspeech2).sounds == {} and set(made(fastspeech2).pictures) == {"a", "b"}
    heard: list[Any] = []

    def hear(mel: np.ndarray, settings: Any) -> np.ndarray:
        heard.append((mel.shape[1], settings))
        return np.zeros(len(mel) * settings.hop, np.float32)

    got = made(fastspeech2, hear=hear)
    assert set(got.sounds) == {"a/generated", "a/recorded", "b/generated", "b/recorded"}
    assert heard == [(fastspeech2.TOY.mel.n_mels, fastspeech2.TOY.mel)] * 4
    assert made(fastspeech2, hear=lambda mel, settings: None).sounds == {}


def test_what_has_no_sound_shows_nothing() -> None:
    model = SimpleNamespace(config=SimpleNamespace(dim=3))
    assert samples.make(None, model, {"ids": ["a"]}) == samples.Samples()


def test_tensorboard_holds_them(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    with log.Log(tmp_path, 0, 10, tensorboard=True, screen=(tmp_path / "screen").open("w")) as board:
        board.write(5, {"validation/mel": 0.5})
        board.show(5, made(vocos))
    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert set(events.Tags()["audio"]) == {f"{clip}/{kind}" for clip in "ab" for kind in ("generated", "recorded")}
    (sound,) = events.Audio("a/generated")
    assert sound.step == 5 and sound.sample_rate == vocos.TOY.mel.sample_rate
    (picture,) = events.Images("a/generated_above_recorded")
    assert picture.encoded_image_string.startswith(b"\x89PNG") and picture.width > 1
    assert events.Tags()["scalars"] == ["validation/mel"]


def test_trackio_gets_the_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[Any] = []
    fake = SimpleNamespace(
        init=lambda **words: said.append(words),
        log=lambda values, step: said.append((step, values)),
        finish=lambda: said.append("finished"),
    )
    monkeypatch.setattr(log, "require", lambda name, extra: said.append((name, extra)) or fake)
    with log.Log(
        tmp_path / ".", 0, 10, tensorboard=False, screen=(tmp_path / "screen").open("w"), trackio=True
    ) as board:
        board.write(5, {"model/mel": 0.5, "bad": float("nan")})
    asked, about, line, end = said
    assert asked == ("trackio", "track") and about["name"] == tmp_path.name
    assert line == (5, {"model/mel": 0.5, "bad": None}) and end == "finished"


def test_the_loop_writes_them(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    from aoide.train.distributed import Team
    from aoide.train.loop import Run
    from tests.train import toy

    batch = {**fastspeech2.example(fastspeech2.TOY), "ids": ["a", "b"]}
    source = toy.Data(toy.DataConfig())
    source.validation = lambda: iter([batch])  # type: ignore[method-assign]
    plain = toy.recipe(steps=1, tensorboard=True)
    recipe = replace(
        plain, module=fastspeech2, model=fastspeech2.TOY, method=regression, objective=fastspeech2.TRAINING
    )
    run = Run(recipe, tmp_path, Team(), source)
    with (tmp_path / "screen").open("w") as screen, run._log(screen) as log_of_run:
        run._validate(log_of_run)
    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert len(events.Tags()["images"]) == 2
