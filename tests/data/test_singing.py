"""Singing as models learn it: what labels and sound give to a batch, and what chance may change."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from aoide.audio.mel import MelConfig, MelSpectrogram
from aoide.audio.pitch import PitchConfig
from aoide.config import UserError
from aoide.data import features, sung
from aoide.data.clips import Clip, Limits, Note, Refused, check
from aoide.data.features import Settings
from aoide.data.manifest import writing
from aoide.data.singing import Config, SingingData
from aoide.data.sounds import Clock, Sounds
from tests.data.conftest import save

RATE = 16000
MEL = MelConfig(sample_rate=RATE, n_fft=512, hop=160, win=512, n_mels=20, fmax=8000.0)
ALL = ("tokens", "durations", "mel", "f0", "speaker", "language", "words", "notes", "note_durations")
BY_NOTE = (
    *("tokens", "durations", "words", "midi", "base_pitch", "curves", "notes", "note_durations"),
    *("note_rests", "note_glides", "note_mask"),
)


def buzz(f0: np.ndarray, rate: int = RATE, harmonics: int = 10) -> np.ndarray:
    phase = 2 * np.pi * np.cumsum(f0) / rate
    return np.asarray(sum(np.cos(k * phase) / k for k in range(1, harmonics + 1)), np.float32)


def prepare(folder: Path, **changes: Any) -> Path:
    """Three clips of two singers: rest, ka over two notes, rest, o; a second long, A3 B3, A4."""
    folder.mkdir(parents=True, exist_ok=True)
    with writing(folder) as writer:
        for i in range(3):
            f0 = np.repeat([0.0, 220.0, 246.94, 0.0, 440.0], (np.array([0.1, 0.25, 0.25, 0.1, 0.3]) * RATE).astype(int))
            sound = 0.1 * buzz(np.maximum(f0, 1.0)) * (f0 > 0) + 1e-3 * np.random.default_rng(i).standard_normal(RATE)
            save(folder / f"{i}.wav", sound.astype(np.float32), RATE, text=None)
            clip = Clip(
                id=f"c{i}",
                audio=folder / f"{i}.wav",
                speaker="ab"[i % 2],
                language="ja",
                phonemes="SP k a SP zh/o",
                phoneme_set="diffsinger",
                phoneme_seconds=(0.06, 0.04, 0.5, 0.1, 0.3),
                notes=(Note(57, 0.1, 0.35), Note(59, 0.35, 0.6, "", True), Note(69, 0.7, 1.0)),
                more={"ph_num": [2, 1, 1, 1], "note_glide": ["", "up", ""]},
            )
            checked = check(replace(clip, **changes), Limits())
            assert not isinstance(checked, Refused), checked
            writer.add(checked[0])
    return folder


def opened(folder: Path, needs: tuple[str, ...], **more: Any) -> SingingData:
    settings = {name: more.pop(name) for name in ("key_shift", "faster", "changed") if name in more}
    config = Config(manifest=folder, workers=0, validation=1, max_seconds=5, batch_seconds=20, **settings)
    clock = {"mel": MEL} if "mel" in needs else {"frame_rate": 100.0, "sample_rate": RATE}
    return SingingData(config, needs, **{"speakers": 2, **clock, **more})


def test_tokens_words_and_notes_of_each_phoneme(tmp_path: Path) -> None:
    data = opened(prepare(tmp_path), ALL, gapless=True)
    batch = next(data.batches(0))
    assert data.state_dict()["symbols"] == ["SP", "a", "k", "zh/o"] and data.state_dict()["languages"] == ["ja", "zh"]
    assert data.state_dict()["singers"] == ["a", "b"] and data.state_dict()["span"] == (57, 69)
    assert batch["tokens"][0].tolist() == [1, 3, 2, 1, 4] and batch["language"][0].tolist() == [0, 1, 1, 0, 2]
    assert batch["durations"][0].tolist() == [6, 4, 50, 10, 30] and batch["words"][0].tolist() == [1, 1, 2, 3, 4]
    assert batch["notes"][0].tolist() == [0, 0, 57, 0, 69] or batch["notes"][0].tolist() == [0, 0, 59, 0, 69]
    assert batch["note_durations"][0].tolist() == [10, 10, 25, 10, 30]
    assert batch["mel"].shape == (2, 100, 20) and batch["f0"].shape == (2, 100)
    assert (batch["f0"] > 100).all(), "no gaps"
    assert (opened(tmp_path, ALL).validation().__next__()["f0"] == 0).any(), "gaps, where they are not asked away"


def test_phonemes_over_several_notes_are_cut_for_models_that_hear_one(tmp_path: Path) -> None:
    batch = next(opened(prepare(tmp_path), (*ALL, "slurs")).batches(0))
    assert batch["tokens"][0].tolist() == [1, 3, 2, 2, 1, 4] and batch["slurs"][0].tolist() == [0, 0, 0, 1, 0, 0]
    assert batch["durations"][0].tolist() == [6, 4, 25, 25, 10, 30] and batch["words"][0].tolist() == [1, 1, 2, 2, 3, 4]
    assert batch["notes"][0].tolist() == [0, 0, 57, 59, 0, 69]


def test_notes_in_a_row_and_what_is_sung_around_them(tmp_path: Path) -> None:
    data = opened(prepare(tmp_path), BY_NOTE, gapless=True, drawn=("pitch", "loudness"))
    batch = next(data.batches(0))
    assert batch["notes"][0].tolist() == [57, 57, 59, 59, 69] and batch["note_glides"][0].tolist() == [0, 0, 1, 0, 0]
    assert batch["note_rests"][0].tolist() == [True, False, False, True, False] and batch["note_mask"].all()
    assert batch["note_durations"][0].tolist() == [10, 25, 25, 10, 30]
    assert abs(batch["base_pitch"][0, 20] - 57) < 1e-5 and 57 < batch["base_pitch"][0, 35] < 59, "smoothed steps"
    sung_around = batch["curves"][0, :, 0]
    assert sung_around[15:30].abs().max() < 0.3 and sung_around[75:95].abs().max() < 0.3
    level = batch["curves"][0, :, 1]
    assert level[80] > level[65] + 20 and batch["midi"][0].tolist()[2] == 58 and batch["midi"][0].tolist()[4] == 69
    drawn_apart = opened(tmp_path, BY_NOTE, gapless=True, drawn=("loudness",))
    pitch = next(drawn_apart.batches(0))["base_pitch"]
    assert torch.allclose(pitch, batch["base_pitch"] + batch["curves"][..., 0], atol=1e-4), "of no pitch that is drawn"


def test_chance_shifts_and_stretches_but_never_what_is_held_out(tmp_path: Path) -> None:
    needs = ("tokens", "durations", "mel", "f0", "notes", "loudness", "key_shift", "speed", "speaker")
    chance = {"key_shift": 5.0, "faster": 1.5, "changed": 1.0}
    plain = opened(prepare(tmp_path), needs)
    data = opened(tmp_path, needs, **chance)
    batches = [next(opened(tmp_path, needs, **chance).batches(seed)) for seed in range(3)]
    for batch in batches:
        key, speed = batch["key_shift"][0, 0].item(), batch["speed"][0, 0].item()
        assert 0 < abs(key) <= 5 and 0.66 <= speed <= 1.51 and abs(speed * 160 - round(speed * 160)) < 1e-3
        frames = int(batch["frame_mask"][0].sum())
        assert frames == RATE // round(160 * speed) and batch["durations"][0].sum() == frames
        f0 = batch["f0"][0][batch["f0"][0] > 0]
        assert abs(sung.midi(f0.numpy()).max() - 69 - key) < 0.5
        assert batch["notes"][0, 4].item() == pytest.approx(69 + key)
    held, known = next(data.validation()), next(plain.validation())
    assert all(torch.equal(held[name], known[name]) for name in needs)
    again = next(data.batches(1))
    assert torch.equal(again["mel"], batches[1]["mel"]), "the seed decides"


def test_the_mel_is_that_of_the_sound(tmp_path: Path) -> None:
    from aoide.audio import io

    batch = next(opened(prepare(tmp_path), ("tokens", "durations", "mel", "audio", "speaker")).validation())
    samples = io.read(tmp_path / f"{batch['ids'][0][1:]}.wav").samples
    assert torch.allclose(batch["mel"][0], MelSpectrogram(MEL)(torch.from_numpy(samples)[None])[0], atol=1e-4)
    assert torch.equal(batch["audio"][0], torch.from_numpy(samples))


@pytest.mark.parametrize(
    ("changes", "needs", "more", "words"),
    [
        ({"phoneme_seconds": None}, ALL, {}, "no times of its phonemes"),
        ({"notes": None}, ALL, {}, "has no notes"),
        ({"more": {}, "notes": None}, ("tokens", "words"), {}, "neither ph_num nor notes"),
        ({}, ALL, {"symbols": 4}, "5 phonemes, padding among them, the model knows 4; set model.symbols=5"),
        ({}, ALL, {"speakers": 1}, "2 singers"),
        ({}, ALL, {"speakers": None}, "tells none apart"),
        ({}, ("tokens", "envelope"), {}, "of a model with bands"),
        ({}, ("tokens", "durations", "curves", "midi"), {"key_shift": 2.0}, "change a mel"),
    ],
)
def test_what_is_missing_is_said_in_a_line(
    tmp_path: Path, changes: dict[str, Any], needs: tuple[str, ...], more: dict[str, Any], words: str
) -> None:
    folder = prepare(tmp_path, **changes)
    with pytest.raises(UserError, match=words) as error:
        next(opened(folder, needs, **more).batches(0))
    assert "\n" not in str(error.value)


def test_words_follow_from_notes_where_nobody_counted(tmp_path: Path) -> None:
    batch = next(opened(prepare(tmp_path, more={}), ("tokens", "words", "speaker")).batches(0))
    assert batch["words"][0].tolist() == [1, 1, 2, 3, 4]


# -------------------------------------------------------------------------------------------- what a voice is made of


def looked(name: str, samples: np.ndarray, bands: tuple[int, int] | None = None) -> np.ndarray:
    clock = Clock(sample_rate=RATE, hop=160)
    feature = features.find(name, Settings(clock=clock, pitch=PitchConfig(), bands=bands))
    entry = feature.compute(Sounds([samples.astype(np.float32)], RATE))[0]
    return feature.field(entry, len(samples) // 160)[10:-10]


def test_breath_voice_and_tension() -> None:
    pytest.importorskip("pyworld")
    tone = np.full(RATE // 2, 200.0)
    noise = 0.05 * np.random.default_rng(0).standard_normal(RATE // 2)
    rich, plain = 0.1 * buzz(tone), 0.1 * buzz(tone, harmonics=1)
    level = 10 * np.log10(np.mean(rich**2))
    assert abs(np.median(looked("voicing", rich)) - level) < 2.0
    clear, breathy = np.median(looked("breathiness", rich)), np.median(looked("breathiness", rich + noise))
    assert breathy > clear + 6 and abs(breathy - 20 * np.log10(0.05)) < 4
    assert np.median(looked("tension", rich)) > np.median(looked("tension", plain)) + 1


def test_envelope_and_aperiodicity() -> None:
    pytest.importorskip("pyworld")
    rich = 0.1 * buzz(np.full(RATE // 2, 200.0), harmonics=30)
    noise = 0.1 * np.random.default_rng(0).standard_normal(RATE // 2)
    assert looked("envelope", rich, (20, 5)).shape == (30, 20)
    share, of_noise = (looked("aperiodicity", x, (20, 5)) for x in (rich, noise))
    assert share.shape == (30, 5) and share[:, 1].mean() < -2 and of_noise.mean() > -0.2
