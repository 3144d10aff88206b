"""Pairs of clips of one speaker: what a batch holds, that it can be resumed, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from aoide.config import UserError  # noqa: E402  (after the skip)
from aoide.data import clips, manifest  # noqa: E402
from aoide.data.spoken import Config, SpokenData  # noqa: E402
from aoide.models.tts import duration, duration_flow  # noqa: E402
from aoide.text.phonemes import SYMBOLS  # noqa: E402
from aoide.text.tokenizer import Tokenizer  # noqa: E402

WORDS = ("həlˈO", "wˈɜɹld", "ˈA bˈi sˈi", "kˈɔl mi", "nˈO", "jˈɛs sˌɜɹ")
NEEDS = duration.NEEDS


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve clips of two speakers, one of whom takes twice the time, and a clip of somebody alone."""
    folder = tmp_path_factory.mktemp("spoken")
    with manifest.writing(folder) as writer:
        for speaker, frames in (("fast", 5), ("slow", 10), ("alone", 5)):
            for number, phonemes in enumerate(WORDS[: 1 if speaker == "alone" else None]):
                tokens = len(phonemes) + 2
                writer.add(
                    clips.Clip(
                        id=f"{speaker}{number}",
                        audio=folder / "x.wav",
                        text="a",
                        speaker=speaker,
                        phonemes=phonemes,
                        durations=(frames,) * tokens,
                        frame_rate=50.0,
                        samples=tokens * frames * 160,
                        sample_rate=8000,
                    )
                )
    return folder


def open_data(folder: Path, needs: tuple[str, ...] = (*NEEDS, "durations"), **settings: object) -> SpokenData:
    config = replace(Config(manifest=folder, batch_pairs=4, min_seconds=0.1, min_prompt=0.1, validation=3), **settings)
    return SpokenData(config, needs, Tokenizer(SYMBOLS))


def test_a_pair_is_of_one_speaker(folder: Path) -> None:
    data = open_data(folder, pace=1.0)
    assert len(data.training) + len(data.held_out) in (11, 12)  # without the one alone, and whoever is held out alone
    for batch in islice(data.batches(0), 6):
        assert batch["tokens"].shape == batch["token_mask"].shape == batch["durations"].shape
        for i, name in enumerate(batch["ids"]):
            frame = 0.2 if name.startswith("slow") else 0.1
            count, real = int(batch["prompt_tokens"][i]), int(batch["token_mask"][i].sum())
            assert not name.startswith("alone")
            assert float(batch["prompt_seconds"][i]) == pytest.approx(count * frame)
            assert float(batch["seconds"][i]) == pytest.approx((real - count) * frame)
            assert float(batch["durations"][i].sum()) == pytest.approx(real * frame, rel=1e-5)
            assert batch["tokens"][i, count - 1] == batch["tokens"][i, count] == 0, "a pause ends one, begins the other"


def test_whoever_has_one_clip_held_out_is_prompted_by_the_other(folder: Path, tmp_path: Path) -> None:
    corpus = manifest.Manifest(folder)
    every = sorted((corpus[i] for i in range(len(corpus))), key=lambda clip: manifest.stable_hash(clip.id))
    pair = {every[0].id, every[-1].id}  # the first is held out, the last is not
    with manifest.writing(tmp_path) as writer:
        for clip in every:
            writer.add(replace(clip, speaker="both" if clip.id in pair else "others"))
    data = open_data(tmp_path, needs=duration.NEEDS, validation=1)
    (batch,) = data.validation()
    assert batch["ids"] == [every[0].id] and float(batch["prompt_seconds"]) == pytest.approx(every[-1].seconds)
    assert every[-1].seconds != every[0].seconds, "or it would prove nothing"


def test_pace_changes_both(folder: Path) -> None:
    batch = max(islice(open_data(folder, pace=2.0).batches(0), 3), key=lambda batch: len(batch["ids"]))
    sums = torch.stack([batch["durations"][i, :n].sum() for i, n in enumerate(batch["prompt_tokens"].tolist())])
    torch.testing.assert_close(sums, batch["prompt_seconds"])
    assert len({round(float(s / n), 3) for s, n in zip(sums, batch["prompt_tokens"], strict=True)}) == 4


def test_pairs_of_a_batch_are_about_as_long(folder: Path) -> None:
    data = open_data(folder, batch_pairs=2)
    width = [
        int(batch["token_mask"].sum(1).max() - batch["token_mask"].sum(1).min()) for batch in islice(data.batches(1), 5)
    ]
    assert max(width) <= 4, "as drawn, pairs differ by up to 12 tokens"


def test_the_same_seed_and_place_give_the_same(folder: Path) -> None:
    data = open_data(folder)
    batches = list(islice(data.batches(3), 7))
    first = open_data(folder)
    list(islice(first.batches(3), 4))
    again = open_data(folder)
    again.load_state_dict(first.state_dict())
    for want, got in zip(batches[4:], islice(again.batches(3), 3), strict=True):
        assert want["ids"] == got["ids"] and torch.equal(want["seconds"], got["seconds"])
    one, two = list(data.validation()), list(open_data(folder).validation())
    assert [b["ids"] for b in one] == [b["ids"] for b in two]
    assert all(torch.equal(a["prompt_seconds"], b["prompt_seconds"]) for a, b in zip(one, two, strict=True))
    held = {name for b in one for name in b["ids"]}
    assert held and not held & {name for b in batches for name in b["ids"]}
    parts = [next(open_data(folder).batches(3, rank, 2))["ids"] for rank in (0, 1)]
    assert parts == [b["ids"] for b in batches[:2]]


def test_what_is_missing_is_told(folder: Path) -> None:
    with pytest.raises(UserError, match="give tokens, .* not mel"):
        open_data(folder, ("mel",))
    with pytest.raises(UserError, match="no speaker has two clips"):
        open_data(folder, min_seconds=5.0, max_seconds=6.0)
    data = open_data(folder)
    with pytest.raises(UserError, match="has changed since"):
        data.load_state_dict({**data.state_dict(), "manifest": "other"})


@pytest.mark.parametrize("module", [duration, duration_flow], ids=["regression", "flow"])
def test_the_pace_of_the_recording_is_followed(module, folder: Path) -> None:
    """After a few steps on two speakers, a text takes twice the time after the slow one's recording."""
    import sys

    torch.manual_seed(0)
    model = module.Model(replace(module.TOY, symbols=len(SYMBOLS) + 200, dim=32))
    judge = sys.modules[type(module.TRAINING).__module__].Objective(module.TRAINING, module, model)
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-2)
    generator = torch.Generator().manual_seed(0)
    for batch in islice(open_data(folder, module.NEEDS, pace=1.0, batch_pairs=16).batches(0), 80):
        for _, losses in judge.steps(batch, generator):
            optimiser.zero_grad()
            torch.stack([*losses.values()]).sum().backward()
            optimiser.step()
    said, before = (torch.from_numpy(np.asarray(Tokenizer(SYMBOLS).encode(WORDS[i]), np.int64)) for i in (0, 2))
    fast, slow = (model.eval().seconds(before, len(before) * frame, said) for frame in (0.1, 0.2))
    assert fast == pytest.approx(len(said) * 0.1, rel=0.2) and slow == pytest.approx(len(said) * 0.2, rel=0.2)
