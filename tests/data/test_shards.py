"""Shards: lhotse reads ours and we read lhotse's; training from them, also over HTTP, is exact and mixes."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import soundfile

torch = pytest.importorskip("torch")

from aoide.audio import io  # noqa: E402  (after the skip)
from aoide.config import UserError  # noqa: E402
from aoide.data import extraction, sharding, shards  # noqa: E402
from aoide.data.clips import Clip, Limits, check, fingerprint  # noqa: E402
from aoide.data.manifest import Manifest, writing  # noqa: E402
from aoide.data.reader import unpack  # noqa: E402
from aoide.data.shards import Shards, open_corpus  # noqa: E402
from aoide.data.speech import SpeechData  # noqa: E402
from tests.data.conftest import RATE, voice  # noqa: E402
from tests.data.test_features import PITCH, data  # noqa: E402
from tests.data.test_speech import equal, prepare  # noqa: E402

SMALL = 0.07  # megabytes: about two clips


@pytest.fixture
def packed(tmp_path: Path) -> Path:
    """Fourteen clips in six shards or so."""
    prepare(tmp_path / "x", 14)
    sharding.shard(tmp_path / "x", tmp_path / "s", SMALL, on="threads")
    return tmp_path / "s"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[str, list[str]]]:
    """The address at which tmp_path is served, and what was asked for."""
    asked: list[str] = []

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, form: str, *values: object) -> None:
            asked.append(self.path.rpartition("/")[2])

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(tmp_path))) as opened:
        thread = threading.Thread(target=opened.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{opened.server_port}", asked
        opened.shutdown()
        thread.join()


def test_all_clips_are_there_bit_by_bit(packed: Path) -> None:
    manifest, corpus = Manifest(packed.parent / "x"), open_corpus(packed)
    assert isinstance(corpus, Shards) and len(corpus) == 14 and len(corpus.ends) > 4
    ours = {clip.id: (clip, data) for clip, data in corpus.load(np.arange(14))}
    for i in range(14):
        clip = manifest[i]
        other, files = ours[clip.id]
        assert files is not None and not files.arrays
        assert replace(other, audio=clip.audio) == clip
        assert fingerprint(unpack(other, files.sound).samples, RATE) == clip.content
    assert corpus.seconds.sum() == pytest.approx(manifest.seconds.sum())
    assert sorted(corpus.hashes.tolist()) == sorted(manifest.hashes.tolist())
    assert [corpus[i].id for i in (0, 13)] == [clip.id for clip, _ in corpus.load(np.array([0, 13]))]


def test_pieces_of_files_lose_nothing(tmp_path: Path) -> None:
    """A long file with two clips, in 16 bits, 24 bits and floats."""
    (tmp_path / "x").mkdir()
    with writing(tmp_path / "x") as writer:
        for name, subtype in (("a", "PCM_16"), ("b", "PCM_24"), ("c", "FLOAT")):
            soundfile.write(tmp_path / f"{name}.wav", voice(2.0, seed=ord(name)), RATE, subtype=subtype)
            for start in (0, RATE):
                clip = Clip(id=f"{name}/{start}", audio=tmp_path / f"{name}.wav", start=start, samples=RATE)
                checked = check(clip, Limits(text=False))
                assert isinstance(checked, tuple), checked
                writer.add(checked[0])
    sharding.shard(tmp_path / "x", tmp_path / "s", on="threads")
    corpus = open_corpus(tmp_path / "s")
    for clip, files in corpus.load(np.arange(6)):
        assert files is not None and files.sound[:4] == (b"RIFF" if clip.id[0] == "c" else b"fLaC")
        assert fingerprint(unpack(clip, files.sound).samples, RATE) == clip.content


def test_lhotse_reads_ours_and_we_read_lhotses(packed: Path) -> None:
    lhotse = pytest.importorskip("lhotse")
    cuts = list(lhotse.CutSet.from_shar(in_dir=packed))
    manifest = Manifest(packed.parent / "x")
    by_id = {manifest[i].id: manifest[i] for i in range(14)}
    assert {cut.id for cut in cuts} == by_id.keys()
    for cut in cuts:
        assert np.array_equal(cut.load_audio()[0], io.read(by_id[cut.id].audio).samples)
        assert cut.supervisions[0].custom["phonemes"] == by_id[cut.id].phonemes
    theirs = packed.parent / "theirs"
    theirs.mkdir()
    with lhotse.shar.SharWriter(str(theirs), fields={"recording": "flac"}, shard_size=5) as writer:
        for cut in cuts:
            del cut.custom["shard_origin"]  # a path, which lhotse cannot write
            writer.write(cut)
    corpus = open_corpus(theirs)
    assert isinstance(corpus, Shards) and np.diff(corpus.ends, prepend=0).tolist() == [5, 5, 4]
    for clip, files in corpus.load(np.arange(14)):
        assert files is not None
        assert np.abs(unpack(clip, files.sound).samples - io.read(by_id[clip.id].audio).samples).max() < 1e-4


@pytest.fixture
def given(tmp_path: Path) -> Path:
    """Eight clips with arrays; one has no spectra."""
    whole = Manifest(prepare(tmp_path / "x", 8, given=True))
    clips = [whole[i] for i in range(8)]
    with writing(tmp_path / "x") as writer:
        for i, clip in enumerate(clips):
            writer.add(replace(clip, arrays={"f0": clip.arrays["f0"]}) if i == 3 else clip)
    sharding.shard(tmp_path / "x", tmp_path / "s", SMALL, on="threads")
    return tmp_path / "s"


def test_arrays_of_the_corpus_go_along(
    given: Path, tmp_path: Path, server: tuple[str, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    address, asked = server
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    far = data(f"{address}/s", "f0", "audio", workers=1, cache=tmp_path / "c")  # type: ignore[arg-type]
    shards_ = len(far.manifest.ends)
    assert shards_ > 2
    for batch in islice(far.batches(0), len(far.plan(0, 0))):
        for name, row, mask in zip(batch["ids"], batch["f0"], batch["frame_mask"], strict=True):
            assert bool((row[mask] == 100 + int(name[1:])).all())
    assert not (tmp_path / "c").exists(), "nothing was tracked"
    assert len({name for name in asked if name.startswith("f0.")}) == shards_
    assert not [name for name in asked if name.startswith("spectra.")], "only what the model needs is fetched"
    both = data(f"{address}/s", "spectra", "audio", cache=tmp_path / "c", min_seconds=0.95)  # type: ignore[arg-type]
    for batch in islice(both.batches(0), len(both.plan(0, 0))):
        assert batch["spectra"].shape[2:] == (4, 3) and "c3" not in batch["ids"]
        for name, rows, mask in zip(batch["ids"], batch["spectra"], batch["frame_mask"], strict=True):
            assert bool((rows[mask] == int(name[1:])).all())
    with pytest.raises(UserError, match="clip c3 has no spectra"):
        list(islice(data(given, "spectra").batches(0), 20))


def test_lhotse_reads_the_arrays(given: Path) -> None:
    lhotse = pytest.importorskip("lhotse")
    cuts = {cut.id: cut for cut in lhotse.CutSet.from_shar(in_dir=given)}
    assert len(cuts) == 8 and not cuts["c3"].has_custom("spectra")
    for name, cut in cuts.items():
        assert np.array_equal(cut.load_f0(), np.full(cut.f0.shape, 100.0 + int(name[1:])))
        assert name == "c3" or cut.load_spectra().dtype == np.float16


def test_what_an_earlier_time_left_goes_and_manifests_stay(given: Path, tmp_path: Path) -> None:
    assert len(list(given.glob("spectra.*.tar"))) == len(list(given.glob("recording.*.tar")))
    before = open_corpus(given).digest
    sharding.shard(prepare(tmp_path / "x", 3), given, on="threads")
    assert sorted(p.name for p in given.iterdir()) == [
        "cuts.000000.jsonl.gz",
        "cuts.index.npz",
        "recording.000000.tar",
    ]
    assert open_corpus(given).digest != before
    with pytest.raises(UserError, match="holds a manifest; choose another folder"):
        sharding.shard(tmp_path / "x", tmp_path / "x")


def test_arrays_that_cannot_go_along_are_said(tmp_path: Path) -> None:
    for name, message in (("recording", "'recording' cannot go into shards"), ("f0", "clip c0: .*cannot be read")):
        clip = Manifest(prepare(tmp_path / "x", 1))[0]
        (tmp_path / "x" / "0.npy").write_bytes(b"\x93NUMPY")
        with writing(tmp_path / "x") as writer:
            writer.add(replace(clip, arrays={name: tmp_path / "x" / "0.npy"}))
        with pytest.raises(UserError, match=message):
            sharding.shard(tmp_path / "x", tmp_path / "s", on="threads")


@pytest.mark.parametrize("segment", [None, 0.3])
def test_every_clip_once_an_epoch_mixed_and_resumed_exactly(packed: Path, segment: float | None) -> None:
    changes = {"segment_seconds": segment, "batch_seconds": 5.0 if segment is None else 0.3, "buffer": 2}

    def source(**more: object) -> SpeechData:
        return data(packed, "mel", "audio", "f0", **{**changes, **more})

    length = len(source().plan(7, 0))
    want = list(islice(source().batches(7), 2 * length + 3))
    ids = [name for batch in want[:length] for name in batch["ids"]]
    assert sorted(ids) == sorted(f"c{i}" for i in range(14))
    assert ids != [name for batch in want[length : 2 * length] for name in batch["ids"]]
    for stop, workers in ((1, 0), (length, 0), (length + 2, 2)):
        first = source(workers=workers)
        got = list(islice(first.batches(7), stop))
        second = source()
        second.load_state_dict(first.state_dict())
        got += list(islice(second.batches(7), len(want) - stop))
        assert len(got) == len(want) and all(map(equal, got, want))


def test_every_process_reads_its_shards(packed: Path) -> None:
    sources = [data(packed, "audio", buffer=1) for _ in range(2)]
    seen = [
        [name for b in islice(s.batches(0, rank, 2), len(s.plan(0, 0, rank, 2))) for name in b["ids"]]
        for rank, s in enumerate(sources)
    ]
    assert not set(seen[0]) & set(seen[1]) and sorted(seen[0] + seen[1]) == sorted(f"c{i}" for i in range(14))
    state = sources[1].state_dict()
    alone = data(packed, "audio", buffer=1)
    alone.load_state_dict({**state, "epoch": 0, "taken": 2})
    rest = [n for b in islice(alone.batches(0), len(alone.plan(0, 0))) for n in b["ids"]]
    assert sorted(rest) == sorted(f"c{i}" for i in range(14)), "other processes: the epoch begins anew"
    with pytest.raises(UserError, match="too few for 40 processes"):
        next(data(packed, "audio").batches(0, 39, 40))


def test_validation_reads_few_shards(packed: Path) -> None:
    source = data(packed, "audio", validation=2)
    assert len(source.held_out) == 2 and not set(source.held_out) & set(source.training)
    assert len(np.unique(source.manifest.shards_of(source.held_out))) <= 2
    held = [b["ids"] for b in source.validation()]
    assert sum(map(len, held)) == 2 and held == [b["ids"] for b in source.validation()]
    assert len(data(packed, "audio", validation=0.01).held_out) == 1


def test_training_over_http_is_that_from_the_folder(
    packed: Path, tmp_path: Path, server: tuple[str, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    address, asked = server
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    changes = {"buffer": 2, "batch_seconds": 5.0, "cache": tmp_path / "cache"}
    far = data(f"{address}/s", "mel", "f0", workers=1, **changes)  # type: ignore[arg-type]
    near = data(packed, "mel", "f0", **changes)
    length = len(near.plan(0, 0))
    assert all(map(equal, islice(far.batches(0), length), islice(near.batches(0), length)))
    came, count = [name for name in asked if name.startswith("recording")], len(near.manifest.ends)
    assert len(came) >= count and len(set(came[:count])) == count, "each shard comes once an epoch"
    assert len(far.manifest._ready) <= 2


def test_features_are_extracted_from_shards(packed: Path, tmp_path: Path) -> None:
    """And what was extracted for the files serves for the shards."""
    files = data(tmp_path / "x", "f0", cache=tmp_path / "cache")
    extraction.extract(files, on="threads")
    streamed = data(packed, "f0", cache=tmp_path / "cache")
    report = extraction.extract(streamed, on="threads")
    assert report.there["f0"] == 14 and not report.computed
    assert extraction.extract(data(packed, "f0", cache=tmp_path / "b"), on="threads").computed["f0"] == 14


def test_what_is_wrong_is_one_line(
    packed: Path, tmp_path: Path, server: tuple[str, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    address, _ = server
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(shards, "_TRIES", 1)
    with pytest.raises(UserError, match=r"nowhere/cuts.index.npz: the server says 404"):
        open_corpus(f"{address}/nowhere")
    with pytest.raises(UserError, match="cannot be read"):
        open_corpus("http://127.0.0.1:9/s")
    with pytest.raises(UserError, match=r"say data.cache=DIR.*f0 is kept"):
        data(f"{address}/s", "f0", pitch=PITCH)  # type: ignore[arg-type]
    (packed / "recording.000001.tar").write_bytes(b"not a tar")
    with pytest.raises(UserError, match=r"recording.000001.tar: not a whole tar file"):
        list(islice(data(packed, "audio").batches(0), 20))
    (packed / "recording.000001.tar").unlink()
    with pytest.raises(UserError, match=r"recording.000001.tar: cannot be read"):
        list(islice(data(packed, "audio").batches(0), 20))
    with pytest.raises(UserError, match="x: a manifest of files; pack it into shards"):
        open_corpus(f"{address}/x")
    (packed / "cuts.index.npz").write_bytes(b"PK")
    with pytest.raises(UserError, match=r"cuts.index.npz: broken"):
        open_corpus(packed)


def test_changed_shards_are_seen_on_resume(packed: Path, tmp_path: Path) -> None:
    source = data(packed, "audio")
    next(source.batches(0))
    prepare(tmp_path / "x", 13)
    assert sum(sharding.shard(tmp_path / "x", packed, SMALL, on="threads")) == 13
    with pytest.raises(UserError, match="has changed since the checkpoint"):
        data(packed, "audio").load_state_dict(source.state_dict())
