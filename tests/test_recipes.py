"""Every recipe builds strictly, names only what differs, and trains two steps on three clips at toy width."""

from __future__ import annotations

import importlib
import json
import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")

from safetensors.torch import save_file  # noqa: E402  (after the skip)

from aoide import config  # noqa: E402
from aoide.audio.sound import Sound  # noqa: E402
from aoide.data import captioned, clips, manifest  # noqa: E402
from aoide.models import find  # noqa: E402
from aoide.text import lexicon  # noqa: E402
from aoide.text.phonemes import SYMBOLS  # noqa: E402
from aoide.train import checkpoint, loop, recipe  # noqa: E402
from aoide.train.recipe import Recipe  # noqa: E402
from tests import toy  # noqa: E402

ROOT = Path(__file__).parents[1]
RECIPES = sorted((ROOT / "recipes").rglob("*.yaml"))
WORDS = tuple(letter + "ama" for letter in "bdfgjklmnpst")
PHONEMES = ("həlˈO", "wˈɜɹld", "ˈA bˈi sˈi")
assert RECIPES, "there are recipes"


@pytest.fixture(params=RECIPES, ids=lambda path: str(path.relative_to(ROOT / "recipes")))
def path(request: pytest.FixtureRequest) -> Path:
    return request.param  # type: ignore[no-any-return]


def test_recipe_builds_and_its_resolved_form_is_the_same(path: Path) -> None:
    read = recipe.read(path)
    assert recipe.from_dict(read.to_dict(), "resolved") == replace(read, where="resolved")


def test_recipe_is_short(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 40, "a recipe names only what differs"


def test_recipe_trains_two_steps(path: Path, tmp_path: Path) -> None:
    small = at_toy_width(recipe.read(path), tmp_path)
    outcome = loop.train(small, tmp_path / "run")
    assert outcome.step == 2 and not (tmp_path / "run" / "skipped.jsonl").exists()
    before = torch.get_rng_state()
    module, model, resolved = checkpoint.load_model(tmp_path / "run")
    assert torch.equal(torch.get_rng_state(), before)
    assert module is small.module and not model.training
    assert resolved == replace(small, where=str(tmp_path / "run" / "checkpoints" / "step-000002" / "config.yaml"))


def at_toy_width(full: Recipe, folder: Path) -> Recipe:
    """The recipe with the model file's TOY settings and small critics, on three clips made for them."""
    model, objective = full.module.TOY, full.objective
    if hasattr(model, "symbols"):
        model = replace(model, symbols=len(SYMBOLS) + 200)
    if type(objective).__name__ == "Config" and hasattr(objective, "critics"):
        objective = replace(objective, **toy.SMALL_CRITICS, warmup=0)
    if getattr(objective, "stage", None) == "student":
        save_file(full.module.Model(model).state_dict(), str(folder / "teacher.safetensors"))
        model, objective = replace(model, distilled=True), replace(objective, teacher=folder / "teacher.safetensors")
    if hasattr(model, "edits"):
        model = replace(model, edits=full.model.edits)
    if full.kind in ("speech", "singing", "captioned", "edited"):
        (sing if full.kind == "singing" else speak)(full, model, folder / "data")
        changes = {"manifest": folder / "data", "workers": 0, "validation": 1, "min_seconds": 0.0}
        changes |= captions(full, model, folder) if full.kind in ("captioned", "edited") else {}
    elif full.kind == "songs":
        compose(model, folder / "data")
        changes = {"manifest": folder / "data", "workers": 0, "validation": 1, "min_seconds": 0.0, "networks": {}}
        changes |= {} if full.data.text is None else {"text": captioned.Text(dim=model.text_dim)}
    elif full.kind == "spoken":
        speak(full, find.find("tts/fastspeech2").TOY, folder / "data")
        changes = {"manifest": folder / "data", "validation": 1, "min_seconds": 0.01}
    else:
        (folder / "words.bin").write_bytes(lexicon.pack((word, lexicon.Entry("ˈɛmə", {}, True)) for word in WORDS))
        changes = {"lexicon": folder / "words.bin", "validation": 0.5}
    short = {"steps": 2, "tensorboard": False, "device": "cpu", "precision": "fp32", "accumulate": 1, "log_every": 1}
    return replace(
        full,
        model=model,
        objective=objective,
        data=replace(full.data, **changes),
        loop=replace(full.loop, **short),
        optimiser=replace(full.optimiser, warmup=0),
    )


def speak(full: Recipe, model: Any, folder: Path) -> None:
    """Writes a manifest of three clips with every array that the model needs, on the clock of its toy settings."""
    clock = getattr(model, "mel", model)
    frame_rate, hop = clock.sample_rate / clock.hop, clock.hop
    example = full.module.example(full.module.TOY)
    draw = np.random.default_rng(0)
    folder.mkdir()
    known = (*importlib.import_module("aoide.data.features").KNOWN, *importlib.import_module("aoide.data.spoken").GIVEN)
    known = (*known, *captioned.TOLD)
    with manifest.writing(folder) as writer:
        for i, phonemes in enumerate(PHONEMES):
            durations = draw.integers(3, 9, clips_tokens(phonemes))
            frames = int(durations.sum())
            time = np.arange(frames * hop) / clock.sample_rate
            Sound(np.sin(2 * np.pi * 200 * time).astype(np.float32) * 0.3, clock.sample_rate).save(folder / f"{i}.wav")
            arrays = {}
            for name in full.module.NEEDS:
                if name in ("f0", "envelope", "aperiodicity") or name not in known:
                    values = np.abs(draw.standard_normal((frames, *example[name].shape[2:])))
                    arrays[name] = folder / f"{i}.{name}.npy"
                    np.save(arrays[name], (values + 100 * (name == "f0")).astype(np.float32))
            clip = clips.Clip(
                id=f"clip{i}",
                audio=folder / f"{i}.wav",
                text="a",
                phonemes=phonemes,
                durations=tuple(map(int, durations)),
                frame_rate=frame_rate,
                arrays=arrays,
            )
            checked = clips.check(clip, clips.Limits(min_seconds=0.0))
            assert isinstance(checked, tuple), checked
            writer.add(checked[0])


def compose(model: Any, folder: Path) -> None:
    """Writes a manifest of three songs with a style, lyrics with the times of words, and latents."""
    draw = np.random.default_rng(0)
    folder.mkdir()
    with manifest.writing(folder) as writer:
        for i, frames in enumerate((17, 19, 15)):
            time = np.arange(frames * model.hop) / model.sample_rate
            sound = Sound(np.sin(2 * np.pi * 200 * time).astype(np.float32) * 0.3, model.sample_rate)
            sound.save(folder / f"{i}.wav")
            np.save(folder / f"{i}.npy", draw.standard_normal((frames, model.dim_out)).astype(np.float32))
            clip = clips.Clip(
                id=f"song{i}",
                audio=folder / f"{i}.wav",
                text="c major, 90 bpm",
                caption=True,
                frame_rate=model.frame_rate,
                arrays={"latents": folder / f"{i}.npy"},
                more={"lyrics": "[00:00.10]<00:00.10>ah <00:00.40>oh <00:00.60>"} if i else {},
            )
            checked = clips.check(clip, clips.Limits(min_seconds=0.0))
            assert isinstance(checked, tuple), checked
            writer.add(checked[0])


def captions(full: Recipe, model: Any, folder: Path) -> dict[str, Any]:
    """What reads captions at toy width: words without a network; and an autoencoder, where sounds are made anew."""
    changes: dict[str, Any] = {}
    if full.data.text is not None:
        changes["text"] = captioned.Text(dim=model.text_dim)
    if full.kind == "edited":
        (folder / "first").mkdir()
        first = at_toy_width(recipe.read(ROOT / "recipes" / "tta" / "autoencoderkl-folder.yaml"), folder / "first")
        loop.train(replace(first, loop=replace(first.loop, steps=1)), folder / "first" / "run")
        network = replace(full.data.networks["latents"][0], source=str(folder / "first" / "run"))
        changes["networks"] = {"latents": (network,)}
    return changes


def sing(full: Recipe, model: Any, folder: Path) -> None:
    """As `speak`, with the times of phonemes, and notes: two syllables, a rest, a syllable over two notes."""
    clock = getattr(model, "mel", model)
    frame_rate, hop = clock.sample_rate / clock.hop, clock.hop
    example = full.module.example(model)
    wanted = {*full.module.NEEDS, "f0", *getattr(model, "drawn", getattr(model, "curves", ()))} - {"pitch"}
    draw = np.random.default_rng(0)
    folder.mkdir()
    known = importlib.import_module("aoide.data.features").COMPUTED
    with manifest.writing(folder) as writer:
        for i in range(3):
            durations = draw.integers(4, 9, 7)
            frames = int(durations.sum())
            samples = 0.3 * np.sin(2 * np.pi * 200 * np.arange(frames * hop) / clock.sample_rate + i)
            Sound(samples.astype(np.float32), clock.sample_rate).save(folder / f"{i}.wav")
            arrays = {}
            for name in sorted(wanted & set(known) - {"mel", "energy"}):
                shape = example[name].shape[2:] if name in example else ()
                arrays[name] = folder / f"{i}.{name}.npy"
                np.save(arrays[name], (np.abs(draw.standard_normal((frames, *shape))) + 100).astype(np.float32))
            ends = np.cumsum(durations) / frame_rate
            times = [(60, ends[0], ends[2], ""), (62, ends[2], ends[3], ""), (64, ends[4], ends[5], "")]
            notes = [clips.Note(p, float(a), float(b), lyric) for p, a, b, lyric in times]
            clip = clips.Clip(
                id=f"clip{i}",
                audio=folder / f"{i}.wav",
                language="ja",
                phonemes="SP k a o SP N a",
                phoneme_set="diffsinger",
                phoneme_seconds=tuple(float(x) for x in durations / frame_rate),
                notes=(*notes, clips.Note(65, float(ends[5]), float(ends[6]), "", True)),
                frame_rate=frame_rate,
                arrays=arrays,
                more={"ph_num": [2, 1, 1, 1, 2]},
            )
            checked = clips.check(clip, clips.Limits(min_seconds=0.0))
            assert isinstance(checked, tuple), checked
            writer.add(checked[0])


def clips_tokens(phonemes: str) -> int:
    """How many tokens a phoneme string has, with the pause at both ends."""
    from aoide.text.tokenizer import Tokenizer

    return len(Tokenizer(SYMBOLS).encode(phonemes))


# ---------------------------------------------------------------------------------------------------------- bad recipes


def write(folder: Path, text: str) -> Path:
    path = folder / "x.yaml"
    path.write_text(text)
    return path


GOOD = "model: {name: vocoder/vocos}\ndata: {kind: speech, manifest: data/x, segment_seconds: 0.5}\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("modle: {}\n", "modle: no such setting; did you mean model?"),
        ("qqq: {}\n", "qqq: no such setting; a recipe has model, objective, data, optimiser, loop, lora"),
        ("model: 3\n", "model: expects settings"),
        ("model: {dim: 3}\n", "model.name: expects the path of a model, such as tts/fastspeech2, got nothing"),
        (GOOD.replace("vocos", "vokos"), "model.name: no model 'vocoder/vokos'; did you mean vocoder/vocos"),
        (GOOD.replace("vocos}", "vocos, dmi: 3}"), "model.dmi: no such setting; did you mean dim?"),
        (GOOD.replace("vocos}", "vocos, mel: {hopp: 3}}"), "model.mel.hopp: no such setting; did you mean hop?"),
        (GOOD.replace("kind: speech", "kind: speach"), "data.kind: no data of kind 'speach'; did you mean speech?"),
        (GOOD.replace("kind: speech,", ""), "data.kind: expects what the data are, such as speech, got nothing"),
        (
            GOOD.replace("segment_seconds", "segment_secs"),
            "data.segment_secs: no such setting; did you mean segment_sec",
        ),
        (GOOD + "objective: {name: gam}\n", "objective.name: no method 'gam'; did you mean gan?"),
        (GOOD + "objective: {feture: 2}\n", "objective.feture: no such setting; did you mean feature?"),
        (GOOD + "optimiser: {lr: fast}\n", "optimiser.lr: expects a number, got 'fast'"),
        (GOOD + "optimiser: {lr: -1}\n", "optimiser: lr must be above 0, got -1"),
        (GOOD + "loop: {step: 3}\n", "loop.step: no such setting; did you mean steps"),
        (GOOD + "loop: {precision: fp8}\n", "loop.precision: 'fp8' is not one of fp32, bf16, fp16"),
    ],
)
def test_a_bad_recipe_says_what_and_where(tmp_path: Path, text: str, message: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(config.UserError) as caught:
        recipe.read(path)
    assert str(caught.value).startswith(f"{path}: {message}") and "\n" not in str(caught.value)


def test_words_and_the_models_own_training_are_laid_together(tmp_path: Path) -> None:
    read = recipe.read(write(tmp_path, GOOD), ["model.dim=32", "objective.weights.mel=7", "optimiser.lr=5e-4"])
    assert read.model.dim == 32 and read.optimiser.lr == 5e-4
    training = read.module.TRAINING
    assert read.objective == replace(training, weights={**training.weights, "mel": 7.0})
    assert read.to_dict()["objective"]["name"] == "gan" and read.to_dict()["data"]["kind"] == "speech"


def test_another_method_starts_from_its_own_defaults(tmp_path: Path) -> None:
    read = recipe.read(write(tmp_path, GOOD + "objective: {name: regression, weights: {mel: 1}}\n"))
    assert read.method.__name__ == "aoide.objectives.regression" and read.objective.weights == {"mel": 1.0}
    assert recipe.from_dict(read.to_dict(), read.where) == read


def test_no_manifest_is_told_with_the_recipe(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD.replace("data/x", str(tmp_path / "nothing")))
    with pytest.raises(config.UserError, match=r"x\.yaml: .*nothing.*aoide prepare"):
        loop.train(recipe.read(path), tmp_path / "run")


def test_differences() -> None:
    old = {"a": {"b": 1, "c": [1]}, "d": 2}
    assert recipe.differences(old, {"a": {"b": 1, "c": [2]}, "e": 3}) == [
        "a.c was [1], is [2]",
        "d was 2, is None",
        "e was None, is 3",
    ]
    assert recipe.differences(old, old) == []


# ------------------------------------------------------------------------------------------------------ the real thing


def test_critics_begin_in_the_middle_of_a_run_that_accumulates(tmp_path: Path) -> None:
    small = at_toy_width(recipe.read(ROOT / "recipes" / "vocoder" / "vocos-asterisk.yaml"), tmp_path)
    small = replace(
        small,
        objective=replace(small.objective, warmup=2),
        loop=replace(small.loop, steps=4, accumulate=3),
        data=replace(small.data, segment_seconds=0.01, batch_seconds=0.015),
    )
    assert loop.train(small, tmp_path / "run").finished
    lines = map(json.loads, (tmp_path / "run" / "metrics.jsonl").read_text().splitlines())
    assert [line["step"] for line in lines if "critic/period" in line] == [3, 4]


def test_real_data_go_on_in_the_middle_of_an_epoch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = at_toy_width(recipe.read(ROOT / "recipes" / "vocoder" / "vocos-asterisk.yaml"), tmp_path)
    small = replace(small, loop=replace(small.loop, steps=7), data=replace(small.data, segment_seconds=0.01))
    small = replace(small, data=replace(small.data, batch_seconds=0.015))  # a clip a batch, two batches an epoch
    loop.train(small, tmp_path / "whole")
    plain = small.source.SpeechData.batches

    def interrupted(self: Any, seed: int, rank: int, world: int) -> Iterator[dict[str, Any]]:
        for number, batch in enumerate(plain(self, seed, rank, world), start=1):
            if number == 3:
                os.kill(os.getpid(), signal.SIGINT)
            yield batch

    with monkeypatch.context() as patch:
        patch.setattr(small.source.SpeechData, "batches", interrupted)
        assert loop.train(small, tmp_path / "broken").step == 3
    assert loop.train(small, tmp_path / "broken").finished
    for name in ("generator", "critic", "ema", "state"):
        files = [tmp_path / run / "checkpoints" / "step-000007" / f"{name}.safetensors" for run in ("whole", "broken")]
        assert files[0].read_bytes() == files[1].read_bytes(), name
