"""Captioned sounds: what a batch holds, that resuming is exact, that captions are drawn, and what is refused."""

from __future__ import annotations

import gzip
import json
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch

from aoide.audio.mel import MelConfig
from aoide.config import UserError
from aoide.data.captioned import CaptionedData, Config, Text
from aoide.data.clips import Clip, Limits, Refused, check
from aoide.data.manifest import Manifest, writing
from aoide.text.wordvectors import WordVectors, words
from tests.data.conftest import RATE, save, voice

MEL = MelConfig(sample_rate=16000, n_fft=512, hop=160, win=512, n_mels=20, fmax=8000.0)
SEVERAL = ("a dog barks", "barking, far away", "ein Hund bellt", "犬が吠える")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight clips from 0.4 s up; all have a caption and lyrics, the odd ones several captions."""
    folder = tmp_path_factory.mktemp("captioned")
    with writing(folder) as writer:
        for i in range(8):
            save(folder / f"{i}.wav", voice(0.4 + 0.1 * i, seed=i), RATE, text=None)
            more = {"lyrics": f"la {i}"} | ({"captions": list(SEVERAL)} if i % 2 else {})
            clip = Clip(id=f"c{i}", audio=folder / f"{i}.wav", text=f"rain number {i}", caption=True, more=more)
            checked = check(clip, Limits())
            assert not isinstance(checked, Refused), checked
            writer.add(checked[0])
    return folder


def data(folder: Path, *needs: str, **changes: object) -> CaptionedData:
    settings = {"manifest": folder, "batch_seconds": 2.5, "max_seconds": 2.0, "validation": 0.0, "workers": 0}
    return CaptionedData(Config(**settings | changes), needs, mel=MEL)  # type: ignore[arg-type]


def equal(a: dict, b: dict) -> bool:
    return a.keys() == b.keys() and all(
        torch.equal(a[k], b[k]) if isinstance(a[k], torch.Tensor) else a[k] == b[k] for k in a
    )


def test_what_a_batch_holds(folder: Path) -> None:
    source = data(folder, "mel", "audio", "lyrics", "letters", "text", text=Text(dim=24, longest=3))
    length = len(source.plan(0, 0))
    for batch in islice(source.batches(0), length):
        size, frames = batch["frame_mask"].shape
        assert batch["mel"].shape == (size, frames, 20) and batch["audio"].shape == (size, frames * 160)
        assert batch["text"].shape == (size, batch["text_mask"].shape[1], 24) and batch["text"].dtype == torch.float32
        for i, name in enumerate(batch["ids"]):
            number = int(name[1:])
            caption = batch["captions"][i]
            assert caption in SEVERAL if number % 2 else caption == f"rain number {number}"
            assert batch["lyrics"][i] == f"la {number}"
            spelt = batch["letters"][i][batch["letter_mask"][i]]
            assert bytes((spelt - 1).tolist()).decode() == caption and not batch["letters"][i][len(spelt) :].any()
            want, _ = WordVectors(24, 3).encode([caption])
            assert torch.equal(batch["text"][i][batch["text_mask"][i]], torch.from_numpy(want[0]))


def test_captions_come_without_being_asked_and_lyrics_do_not(folder: Path) -> None:
    assert set(next(data(folder, "mel").batches(0))) == {"mel", "frame_mask", "captions", "ids"}


@pytest.mark.parametrize("workers", [0, 1])
def test_resume_in_the_middle_of_an_epoch_is_exact(folder: Path, workers: int) -> None:
    needs = ("mel", "text", "letters")
    changes = {"workers": workers, "text": Text()}
    whole = data(folder, *needs, **changes)
    length = len(whole.plan(7, 0))
    assert length > 2
    want = list(islice(whole.batches(7), 2 * length + 1))
    for stop in (1, length, length + 1)[: 3 if not workers else 1]:
        first = data(folder, *needs, **changes)
        got = list(islice(first.batches(7), stop))
        second = data(folder, *needs, **changes)
        second.load_state_dict(first.state_dict())
        got += list(islice(second.batches(7), len(want) - stop))
        assert all(map(equal, got, want))


def test_another_caption_each_epoch_and_the_first_in_validation(folder: Path) -> None:
    source = data(folder, "mel", validation=3)
    told: dict[str, set[str]] = {}
    for batch in islice(source.batches(0), 12 * len(source.plan(0, 0))):
        for name, caption in zip(batch["ids"], batch["captions"], strict=True):
            told.setdefault(name, set()).add(caption)
    assert any(len(captions) > 2 for captions in told.values())
    for batches in (source.validation(), source.validation()):
        for batch in batches:
            for name, caption in zip(batch["ids"], batch["captions"], strict=True):
                assert caption == (SEVERAL[0] if int(name[1:]) % 2 else f"rain number {name[1:]}")
    fixed = data(folder, "mel", captions="first")
    assert {c for b in islice(fixed.batches(0), 20) for c in b["captions"]} & set(SEVERAL) == {SEVERAL[0]}


def test_segments_are_cut_where_the_same_numbers_say(folder: Path) -> None:
    batch = next(data(folder, "audio", segment_seconds=0.2, batch_seconds=1.0).batches(0))
    assert batch["audio"].shape == (5, 3200) and len(batch["captions"]) == 5 and "frame_mask" not in batch


def test_cuts_of_other_people_keep_their_caption_and_lyrics(tmp_path: Path) -> None:
    save(tmp_path / "a.wav", voice(0.5), RATE, text=None)
    recording = {
        "id": "a", "sources": [{"type": "file", "channels": [0], "source": str(tmp_path / "a.wav")}],
        "sampling_rate": RATE, "num_samples": RATE // 2, "duration": 0.5, "channel_ids": [0],
    }  # fmt: skip
    cut = {"id": "a", "start": 0.0, "duration": 0.5, "channel": 0, "supervisions": [], "recording": recording}
    custom = {"caption": "a bell", "lyrics": "ding dong"}
    with gzip.open(tmp_path / "cuts.jsonl.gz", "wt") as file:
        file.write(json.dumps({**cut, "custom": custom, "type": "MonoCut"}) + "\n")
    clip = Manifest(tmp_path)[0]
    assert clip.text == "a bell" and clip.caption is True and clip.more["lyrics"] == "ding dong"
    batch = next(data(tmp_path, "audio", "lyrics", min_seconds=0.0).batches(0))
    assert batch["captions"] == ["a bell"] and batch["lyrics"] == ["ding dong"]


def test_what_cannot_be_is_told(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"data\.text: this model reads captions as rows"):
        data(folder, "mel", "text")
    with writing(tmp_path) as writer:
        save(tmp_path / "x.wav", voice(0.5), RATE, text=None)
        checked = check(Clip(id="mute", audio=tmp_path / "x.wav"), Limits(text=False))
        assert not isinstance(checked, Refused)
        writer.add(checked[0])
    with pytest.raises(UserError, match="clip mute has no caption"):
        next(data(tmp_path, "mel").batches(0))
    with pytest.raises(ValueError, match="dim 2 or more"):
        Text(dim=1)


def test_words_have_directions_of_their_own() -> None:
    assert words("A dog, barking (twice)!") == ["a", "dog", "barking", "twice"]
    assert words("犬が") == ["犬", "が"] and words("…") == []
    vectors = WordVectors(256)
    rows, mask = vectors.encode(["Rain", "rain", "dog rain", ""])
    assert mask.tolist() == [[True, False], [True, False], [True, True], [True, False]]
    assert np.array_equal(rows[0], rows[1]) and not rows[3].any()
    dog, rain = rows[2]
    assert abs(float(dog @ rain)) / 256 < 0.5 < float(rain @ rows[0, 0]) / 256
    assert not np.array_equal(rain, rows[0, 0]), "its place shows"
