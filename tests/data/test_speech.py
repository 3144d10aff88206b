"""Batches: what is in them, that resuming is exact, and that nothing depends on company, workers or processes."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch

from aoide.audio import io
from aoide.audio.mel import MelConfig, MelSpectrogram
from aoide.config import UserError
from aoide.data.clips import Clip, Limits, Refused, check
from aoide.data.manifest import writing
from aoide.data.speech import Config, SpeechData, pack, split
from tests.data.conftest import RATE, save, voice

MEL = MelConfig(sample_rate=16000, n_fft=512, hop=160, win=512, n_mels=20, fmax=8000.0)


class Letters:
    """A tokenizer for tests."""

    def encode(self, phonemes: str) -> np.ndarray:
        return np.array([0, *map(ord, phonemes), 0])


def prepare(folder: Path, count: int = 12, given: bool = False, rate: int = RATE) -> Path:
    """A manifest of clips from 0.5 s up, by two speakers; `given` adds durations and arrays, 100 frames per second."""
    folder.mkdir(parents=True, exist_ok=True)
    with writing(folder) as writer:
        for i in range(count):
            samples = voice(0.5 + 0.13 * i, rate, seed=i)
            save(folder / "audio" / f"{i}.wav", samples, rate, text=None)
            clip = Clip(
                id=f"c{i}",
                audio=folder / "audio" / f"{i}.wav",
                text="a b",
                speaker="ab"[i % 2],
                phonemes="ab" * (i + 1),
            )
            if given:
                frames = int(100 * len(samples) / rate)
                arrays = {"f0": np.full(frames, 100.0 + i), "spectra": np.full((frames, 4, 3), i, np.float16)}
                for name, array in arrays.items():
                    np.save(folder / f"{i}-{name}.npy", array)
                clip = replace(
                    clip,
                    arrays={name: folder / f"{i}-{name}.npy" for name in arrays},
                    frame_rate=100.0,
                    durations=(frames - 2 * i - 3, *[1] * (2 * i + 2), 1),
                )
            checked = check(clip, Limits())
            assert not isinstance(checked, Refused), checked
            writer.add(checked[0])
    return folder


def settings(folder: Path, **changes: object) -> Config:
    return Config(
        **{"manifest": folder, "batch_seconds": 6.0, "max_seconds": 5.0, "validation": 0.0, "workers": 0} | changes
    )


def data(folder: Path, *needs: str, **changes: object) -> SpeechData:
    return SpeechData(settings(folder, **changes), needs, mel=MEL, tokenizer=Letters())


def equal(a: dict, b: dict) -> bool:
    return a.keys() == b.keys() and all(
        torch.equal(a[k], b[k]) if isinstance(a[k], torch.Tensor) else a[k] == b[k] for k in a
    )


def epoch(source: SpeechData, seed: int = 0, number: int = 0) -> int:
    return len(source.plan(seed, number))


def test_what_a_batch_holds(tmp_path: Path) -> None:
    folder = prepare(tmp_path / "x", given=True)
    fields = ("tokens", "durations", "mel", "energy", "f0", "spectra", "audio", "speaker")
    source = data(folder, *fields)
    for batch in islice(source.batches(0), epoch(source)):
        size, frames = batch["frame_mask"].shape
        tokens = batch["token_mask"].shape[1]
        assert set(batch) == {*fields, "ids", "token_mask", "frame_mask"}
        shapes = {
            "tokens": (size, tokens), "durations": (size, tokens), "mel": (size, frames, 20), "energy": (size, frames),
            "f0": (size, frames), "spectra": (size, frames, 4, 3), "audio": (size, frames * 160), "speaker": (size,),
        }  # fmt: skip
        assert {name: tuple(batch[name].shape) for name in fields} == shapes
        assert batch["frame_mask"].dtype == batch["token_mask"].dtype == torch.bool
        assert batch["tokens"].dtype == batch["durations"].dtype == torch.int64
        assert batch["mel"].dtype == batch["spectra"].dtype == torch.float32
        assert torch.equal(batch["durations"].sum(1), batch["frame_mask"].sum(1))
        for row, name in enumerate(batch["ids"]):
            number = int(name[1:])
            real = batch["frame_mask"][row]
            assert bool((batch["f0"][row][real] == 100 + number).all()) and not batch["f0"][row][~real].any()
            assert bool((batch["spectra"][row][real] == number).all())
            assert int(batch["token_mask"][row].sum()) == 2 * number + 4
            assert int(batch["speaker"][row]) == number % 2
            own = io.read(folder / "audio" / f"{number}.wav").samples[: int(real.sum()) * 160]
            assert np.array_equal(batch["audio"][row, : len(own)].numpy(), own)
            alone = MelSpectrogram(MEL)(torch.from_numpy(own)[None])[0]
            assert torch.allclose(batch["mel"][row][real], alone, atol=1e-4), "company shows in the mel"
            assert bool((batch["mel"][row][~real] == MEL.silence).all())
            energy = MelSpectrogram(MEL).magnitude(torch.from_numpy(own)[None])[0].norm(dim=-1)
            assert torch.allclose(batch["energy"][row][real], energy, atol=1e-4)


def test_only_what_is_needed_is_read(tmp_path: Path) -> None:
    folder = prepare(tmp_path / "x", given=True)
    for path in (folder / "audio").iterdir():
        path.unlink()
    batch = next(data(folder, "tokens", "durations", "f0", "spectra").batches(0))
    assert set(batch) == {"tokens", "durations", "f0", "spectra", "ids", "token_mask", "frame_mask"}


def test_every_clip_once_an_epoch_in_another_order(tmp_path: Path) -> None:
    source = data(prepare(tmp_path / "x"), "audio")
    orders = []
    stream = source.batches(0)
    for number in range(3):
        batches = [next(stream)["ids"] for _ in range(epoch(source, 0, number))]
        assert sorted(name for ids in batches for name in ids) == sorted(f"c{i}" for i in range(12))
        orders.append(batches)
    assert orders[0] != orders[1] != orders[2]
    assert [b["ids"] for b in islice(data(tmp_path / "x", "audio").batches(1), 4)] != orders[0][:4]
    generator = torch.Generator().manual_seed(0)
    assert [b["ids"] for b in islice(data(tmp_path / "x", "audio").batches(generator), 4)] == orders[0][:4]
    assert generator.get_state().equal(torch.Generator().manual_seed(0).get_state()), "the generator was drawn from"


def test_batches_keep_to_their_bound_and_hardly_pad() -> None:
    """A thousand lengths: padded sound per batch stays below the bound, and padding is a small part of it."""
    seconds = np.random.default_rng(0).lognormal(1.5, 0.6, 3000).clip(0.5, 20).astype(np.float32)
    order = np.argsort(seconds)
    batches = pack(order, seconds, 60.0)
    assert sorted(np.concatenate(batches).tolist()) == list(range(3000))
    padded = sum(len(b) * float(seconds[b].max()) for b in batches)
    assert max(len(b) * float(seconds[b].max()) for b in batches) <= 60.0
    assert padded / seconds.sum() < 1.10


def test_padding_with_shuffling(tmp_path: Path) -> None:
    source = data(prepare(tmp_path / "x"), "audio")
    source.manifest.seconds = np.random.default_rng(0).lognormal(1.5, 0.6, 3000).clip(0.5, 5).astype(np.float32)
    source.training = np.arange(3000)
    for number in range(3):
        plan, seconds = source.plan(0, number), source.manifest.seconds
        padded = [len(batch) * float(seconds[batch].max()) for batch in plan]
        assert max(padded) <= 6.0 and sum(padded) / seconds.sum() < 1.10


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("segment", [None, 0.3])
def test_resume_in_the_middle_of_an_epoch_is_bit_exact(tmp_path: Path, workers: int, segment: float | None) -> None:
    folder = prepare(tmp_path / "x")
    needs = ("mel", "audio", "f0")
    changes = {"workers": workers, "segment_seconds": segment, "batch_seconds": 5.0 if segment is None else 0.9}
    whole = data(folder, *needs, **changes)
    length = epoch(whole)
    want = list(islice(whole.batches(7), 2 * length + 3))
    for stop in (1, length - 1, length, length + 2) if not workers else (length - 1, length + 2):
        first = data(folder, *needs, **changes)
        torch.manual_seed(stop)
        got = list(islice(first.batches(7), stop))
        state = first.state_dict()
        torch.manual_seed(random.randrange(1000))  # neither the past nor the global generator shows
        second = data(folder, *needs, **changes)
        second.load_state_dict(state)
        got += list(islice(second.batches(7), len(want) - stop))
        assert len(got) == len(want) and all(map(equal, got, want))


def test_the_global_generators_stay_as_they_were(tmp_path: Path) -> None:
    source = data(prepare(tmp_path / "x"), "mel", "f0", workers=1)
    before = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()  # noqa: NPY002
    next(source.batches(0))
    list(source.validation())
    assert torch.equal(before[0], torch.get_rng_state()) and (before[1] == np.random.get_state()[1]).all()  # noqa: NPY002
    assert before[2] == random.getstate()


@pytest.mark.parametrize("workers", [0, 2])
def test_workers_change_nothing(tmp_path: Path, workers: int) -> None:
    folder = prepare(tmp_path / "x")
    want = list(islice(data(folder, "mel", "audio", "f0", workers=1).batches(0), 6))
    got = list(islice(data(folder, "mel", "audio", "f0", workers=workers).batches(0), 6))
    for a, b in zip(want, got, strict=True):
        assert a["ids"] == b["ids"] and all(torch.allclose(a[k], b[k], atol=1e-5) for k in ("mel", "audio", "f0"))


@pytest.mark.parametrize("world", [2, 3])
def test_processes_share_what_one_would_see(tmp_path: Path, world: int) -> None:
    folder = prepare(tmp_path / "x")
    alone = [batch["ids"] for batch in islice(data(folder, "audio").batches(0), 3 * world)]
    sources = [data(folder, "audio") for _ in range(world)]
    length = -(-epoch(sources[0]) // world)
    ranks = [[b["ids"] for b in islice(s.batches(0, rank, world), length)] for rank, s in enumerate(sources)]
    together = [ids for step in zip(*ranks, strict=True) for ids in step]
    whole = epoch(sources[0])
    assert together[: min(whole, 3 * world)] == alone[: min(whole, 3 * world)]
    assert len({str(s.state_dict()) for s in sources}) == 1
    assert sources[0].state_dict()["epoch"] == 1 and sources[0].state_dict()["taken"] == 0


def test_another_number_of_processes_goes_on_from_the_same_place(tmp_path: Path) -> None:
    folder = prepare(tmp_path / "x", 16)
    sources = [data(folder, "audio", batch_seconds=5.0) for _ in range(2)]
    seen = [name for rank, s in enumerate(sources) for b in islice(s.batches(0, rank, 2), 2) for name in b["ids"]]
    alone = data(folder, "audio", batch_seconds=5.0)
    alone.load_state_dict(sources[0].state_dict())
    rest = [name for b in islice(alone.batches(0), epoch(alone) - 4) for name in b["ids"]]
    assert sorted(seen + rest) == sorted(f"c{i}" for i in range(16))


def test_a_segment_is_a_piece_of_the_whole(tmp_path: Path) -> None:
    """Sound and mel of a segment are cut from the same place of the whole clip, wherever it lies."""
    folder = prepare(tmp_path / "x")
    whole = {}
    for batch in islice(data(folder, "mel", "audio", "f0").batches(0), epoch(data(folder, "mel"))):
        for row, name in enumerate(batch["ids"]):
            frames = int(batch["frame_mask"][row].sum())
            whole[name] = batch["audio"][row, : frames * 160], batch["mel"][row, :frames], batch["f0"][row, :frames]
    source = data(folder, "mel", "audio", "f0", segment_seconds=0.3, batch_seconds=1.2)
    places = set()
    for batch in islice(source.batches(0), 12):
        assert batch["audio"].shape == (4, 4800) and batch["mel"].shape == (4, 30, 20) and "frame_mask" not in batch
        for row, name in enumerate(batch["ids"]):
            audio, mel, f0 = whole[name]
            windows = audio.unfold(0, 4800, 160)
            [first] = (windows == batch["audio"][row]).all(dim=1).nonzero()[:, 0].tolist()
            places.add((name, first))
            assert torch.allclose(batch["mel"][row], mel[first : first + 30], atol=1e-3)
            assert torch.equal(batch["f0"][row], f0[first : first + 30])
    assert len(places) > 40, "the places hardly vary"


def test_a_clip_shorter_than_a_segment_is_filled_up(tmp_path: Path) -> None:
    source = data(prepare(tmp_path / "x"), "audio", "mel", segment_seconds=2.5, batch_seconds=5.0)
    batch = next(source.batches(0))
    assert batch["audio"].shape == (2, 40000) and batch["mel"].shape == (2, 250, 20)
    assert not batch["audio"][:, 33000:].any()


def test_validation_is_held_out_and_always_the_same(tmp_path: Path) -> None:
    folder = prepare(tmp_path / "x", 16)
    for share, count in ((3, 3), (0.25, None)):
        source = data(folder, "audio", "mel", validation=share, segment_seconds=0.3, batch_seconds=1.2)
        held = [name for batch in source.validation() for name in batch["ids"]]
        assert count is None or len(held) == count
        trained = {name for batch in islice(source.batches(0), 3 * epoch(source)) for name in batch["ids"]}
        assert held and not trained & set(held)
        assert all(map(equal, source.validation(), source.validation()))
    assert not list(data(folder, "audio").validation())


def test_who_is_held_out_does_not_depend_on_the_rest(tmp_path: Path) -> None:
    small, large = data(prepare(tmp_path / "a", 10), "audio"), data(prepare(tmp_path / "b", 16), "audio")
    for source in (small, large):
        source.config = settings(tmp_path, validation=0.4)
    held = [{s.manifest[i].id for i in split(s.manifest, s.config)[1].tolist()} for s in (small, large)]
    assert held[0] and held[0] == {name for name in held[1] if int(name[1:]) < 10}


def test_f0_is_tracked_once_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from aoide.audio import pitch

    folder = prepare(tmp_path / "x", 4)
    first = next(data(folder, "f0").batches(0))
    assert len(list((folder / "cache").rglob("*.npy"))) == 4
    assert bool((first["f0"][first["frame_mask"]] > 60).float().mean() > 0.3)
    monkeypatch.setattr(pitch, "track", lambda *a, **k: pytest.fail("tracked again"))
    assert equal(next(data(folder, "f0").batches(0)), first)


def test_other_rates_are_brought_to_the_model(tmp_path: Path) -> None:
    folder = prepare(tmp_path / "x", 3, rate=22050)
    batch = next(data(folder, "audio", "mel").batches(0))
    seconds = batch["frame_mask"].sum(1) / MEL.frame_rate
    assert sorted(seconds.tolist()) == pytest.approx([0.5, 0.63, 0.76], abs=0.011)


def test_without_a_mel_the_frame_rate_counts(tmp_path: Path) -> None:
    folder = prepare(tmp_path / "x", 3, given=True)
    source = SpeechData(settings(folder), ("audio", "f0", "spectra"), frame_rate=100.0)
    batch = next(source.batches(0))
    assert batch["audio"].shape[1] == 160 * batch["f0"].shape[1]
    with pytest.raises(UserError, match="do not divide"):
        SpeechData(settings(folder), ("audio",), frame_rate=99.7)


@pytest.mark.parametrize("workers", [0, 1])
def test_what_is_wrong_is_one_line_that_names_the_clip(tmp_path: Path, workers: int) -> None:
    folder = prepare(tmp_path / "x", 3)
    with pytest.raises(UserError, match="has no durations"):
        next(data(folder, "tokens", "durations", workers=workers).batches(0))
    with pytest.raises(UserError, match=r"clip c\d has no codes: the corpus must give it, or .*; it has none"):
        next(data(folder, "codes", workers=workers).batches(0))
    for path in (folder / "audio").glob("*.wav"):
        path.unlink()
    with pytest.raises(UserError, match="no such file") as error:
        next(data(folder, "audio", workers=workers).batches(0))
    assert "Traceback" not in str(error.value)


def test_settings_that_do_not_go_together(tmp_path: Path) -> None:
    folder = prepare(tmp_path / "x", 3, given=True)
    with pytest.raises(UserError, match="needs whole clips"):
        data(folder, "tokens", segment_seconds=0.3)
    with pytest.raises(UserError, match="none of its 3 clips"):
        data(folder, "audio", min_seconds=4.0)
    with pytest.raises(ValueError, match="at most batch_seconds"):
        settings(folder, max_seconds=10.0)
    with pytest.raises(ValueError, match="neither a fraction"):
        settings(folder, validation=2.5)
    other = replace(MEL, hop=200)
    with pytest.raises(UserError, match="100 frames per second, the model 80"):
        next(SpeechData(settings(folder), ("spectra",), mel=other).batches(0))
    with pytest.raises(UserError, match="durations count 100"):
        next(SpeechData(settings(folder), ("tokens", "durations", "mel"), mel=other, tokenizer=Letters()).batches(0))


def test_a_changed_manifest_is_seen_on_resume(tmp_path: Path) -> None:
    folder = prepare(tmp_path / "x", 4)
    source = data(folder, "audio")
    next(source.batches(0))
    state = source.state_dict()
    other = data(folder, "audio", max_seconds=4.0)
    other.load_state_dict({**state, "taken": 1})
    assert other.state_dict()["taken"] == 0, "with other limits the epoch begins anew"
    prepare(folder, 5)
    with pytest.raises(UserError, match="has changed since the checkpoint"):
        data(folder, "audio").load_state_dict(state)
