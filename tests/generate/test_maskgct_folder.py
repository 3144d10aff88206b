"""MaskGCT's five parts, trained for a step on three clips by the tool that makes the toy, speak as one."""

from __future__ import annotations

import argparse
import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")

from aoide.audio.sound import Sound  # noqa: E402  (after the skip)
from aoide.config import UserError  # noqa: E402
from aoide.data import clips, manifest  # noqa: E402
from aoide.external import content  # noqa: E402
from aoide.generate import maskgct_folder  # noqa: E402

ROOT = Path(__file__).parents[2]
SAID = {"anna/1": ("Hello.", "həlˈO."), "anna/2": ("World.", "wˈɜɹld."), "ben/1": ("A bee.", "ˈA bˈi.")}
DIM = 6
SMALL = {
    "semantic": ("model.feature_dim=6", "model.dim=8", "model.hidden=8", "model.layers=1", "data.segment_seconds=0.5"),
    "acoustic": ("model.dim=8", "model.hidden=8", "model.layers=1", "model.codebooks=2", "model.codes=16"),
    "t2s": ("model.dim=8", "model.layers=1", "model.heads=2"),
    "s2a": ("model.dim=8", "model.layers=1", "model.heads=2", "model.codebooks=2", "model.codes=16"),
    "duration": ("model.dim=8", "model.layers=1"),
}


class Listener:
    """A content encoder: the lowest bands of each 20 ms."""

    frame_rate = content.RATE / content.HOP

    def encode(self, samples: np.ndarray) -> np.ndarray:
        frames = samples[: len(samples) // content.HOP * content.HOP].reshape(-1, content.HOP)
        return np.abs(np.fft.rfft(frames))[:, 2 : 2 + DIM].astype(np.float32)


def tone(number: int, seconds: float = 1.2) -> Sound:
    time = np.arange(round(24_000 * seconds)) / 24_000
    return Sound((0.3 * np.sin(2 * np.pi * (150 + 60 * number) * time * (1 + time))).astype(np.float32), 24_000)


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    place = importlib.util.spec_from_file_location("make_toy_maskgct", ROOT / "tools" / "make_toy_maskgct.py")
    assert place is not None and place.loader is not None
    module = importlib.util.module_from_spec(place)
    place.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def folder(tool: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the tool makes of three clips."""
    work = tmp_path_factory.mktemp("toy")
    (work / "all").mkdir()
    with manifest.writing(work / "all") as writer:
        for number, (name, (text, phonemes)) in enumerate(SAID.items()):
            path = work / "all" / f"{number}.wav"
            tone(number).save(path)
            clip = clips.Clip(id=name, audio=path, text=text, phonemes=phonemes, speaker=name[:-2], language="en")
            found = clips.check(clip, clips.Limits())
            assert isinstance(found, tuple)
            writer.add(found[0])
    with pytest.MonkeyPatch.context() as patch:
        small = {part: (tool.PARTS[part][0], 0.2, (*words, "loop.tensorboard=false")) for part, words in SMALL.items()}
        patch.setattr(tool, "PARTS", small)
        options = argparse.Namespace(device="cpu", size="tiny", threads=1, few=0, minutes=0.0)
        tool.hear(work, Listener(), "nowhere", 0)
        tool.write_json(work / "plan.json", dict.fromkeys(SMALL, 1))
        tool.train(work, ("semantic", "acoustic"), options)
        tool.join(work, 0)
        tool.train(work, ("t2s", "s2a", "duration"), options)
    return work


def test_the_five_parts_speak_as_one(folder: Path) -> None:
    speaker = maskgct_folder.load(folder, Listener())
    said = speaker.say("Hello.", tone(1), prompt_text="World.", seconds=0.9, steps=2)
    again = speaker.say("Hello.", tone(1), prompt_text="World.", seconds=0.9, steps=2)
    assert said.sample_rate == 24_000 and abs(said.seconds - 0.9) < 0.03
    assert np.array_equal(said.samples, again.samples) and np.isfinite(said.samples).all()
    assert 0.05 < speaker.seconds("Hello.", tone(1), "World.") < 20


def test_pairs_hold_prompt_and_target_one_after_the_other(folder: Path, tool: ModuleType) -> None:
    pairs = manifest.Manifest(folder / "joined")
    assert sorted(clip.id for clip in pairs) == ["anna-1--anna-2", "anna-2--anna-1"], "ben has one clip, and no prompt"
    clip = next(clip for clip in pairs if clip.id == "anna-2--anna-1")
    assert clip.phonemes == "wˈɜɹld. həlˈO." and clip.speaker == "anna"
    codes, semantic = (np.load(clip.arrays[name]) for name in ("codes", "semantic_codes"))
    assert codes.shape == (len(semantic), 2) and len(semantic) * tool.HOP == clip.samples
    other = next(clip for clip in pairs if clip.id == "anna-1--anna-2")
    half = len(semantic) // 2
    assert np.array_equal(np.load(other.arrays["codes"])[half:], codes[:half]), "a clip has the same codes in each pair"


def test_held_out_clips_are_of_each_voice_and_do_not_depend_on_the_order(folder: Path, tool: ModuleType) -> None:
    known = list(manifest.Manifest(folder / "all"))
    learned, held = tool.split(known, 1)
    assert {clip.speaker for clip in held} == {"anna", "ben"} and len(learned) == 1
    assert {clip.id for clip in tool.split(known[::-1], 1)[1]} == {clip.id for clip in held}


def test_ears_are_normalised_and_on_the_wanted_frames(folder: Path) -> None:
    ears = maskgct_folder.open_ears(folder, 46.875, Listener())
    rows = ears.encode(tone(0).resample(content.RATE).samples)
    assert rows.shape == (56, DIM)  # 1.2 s
    whole = np.concatenate([np.load(path) for path in (folder / "speech" / "arrays").glob("*.npy")])
    assert np.abs(whole.mean(0)).max() < 0.1 and np.abs(whole.std(0) - 1).max() < 0.2


def test_a_folder_that_lacks_a_part_says_which(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "semantic").mkdir()
    with pytest.raises(UserError, match=r"no run of acoustic, t2s, s2a: a trained MaskGCT has"):
        maskgct_folder.load(tmp_path)
    with pytest.raises(UserError, match=r"no ears.json: it is not a folder of a trained MaskGCT"):
        maskgct_folder.open_ears(tmp_path, 46.875, Listener())
    assert json.loads((folder / "ears.json").read_text("utf-8")) == {"name": "whisper", "source": "nowhere"}


def test_the_summary_counts_words_and_voices(tool: ModuleType) -> None:
    row = {"text": "red house", "own": 0.8, "unrelated": 0.5, "seconds": 1.1, "recorded_seconds": 1.0}
    heard = {"chain": "red", "s2a_alone": "red house", "codec": "red house", "recording": "red house"}
    found = tool.summary([{**row, **heard}])
    assert (found["wer_chain"], found["wer_codec"], found["gain"]) == (50.0, 0.0, 0.3)
    assert found["seconds_off"] == pytest.approx(0.1)


def test_as_many_steps_are_made_as_fit_whatever_the_start_takes(
    tool: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, starts = 0.0, iter([40.0, 5.0, 5.0, 40.0, 5.0, 5.0])  # the first run loads what the others find

    def train(read: Any, folder: Path, screen: Any) -> None:
        nonlocal now
        now += next(starts) + 0.5 * read.loop.steps

    monkeypatch.setattr(tool.loop, "train", train)
    monkeypatch.setattr(tool.time, "process_time", lambda: now)
    path = ROOT / "recipes" / "codec" / "toy-maskgct-semantic.yaml"
    assert tool.steps(path, ["loop.device=cpu"], tmp_path, 2.0) == 240
    assert tool.steps(path, ["loop.device=cpu"], tmp_path, 1000.0) == 20_000, "no more than the recipe says"
