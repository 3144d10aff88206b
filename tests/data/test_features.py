"""Features: kept or made on the fly they are the same numbers, on common frames, several networks side by side."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from aoide.audio.pitch import PitchConfig  # noqa: E402  (after the skip)
from aoide.config import UserError  # noqa: E402
from aoide.data import features  # noqa: E402
from aoide.data.features import Network, Settings, align, networks  # noqa: E402
from aoide.data.sounds import Clock, Sounds  # noqa: E402
from aoide.data.speech import Config, SpeechData  # noqa: E402
from tests.data.conftest import RATE, voice  # noqa: E402
from tests.data.test_speech import MEL, prepare, settings  # noqa: E402

ALL = ("mel", "energy", "f0", "periodicity", "loudness", "audio")
PITCH = PitchConfig(method="autocorrelation")


class Ear:
    """A content encoder for tests: what it hears is how loud each hundredth of a second is, `dim` times."""

    frame_rate = 50.0

    def __init__(self, dim: int) -> None:
        self.dim = dim

    def encode(self, samples: np.ndarray) -> np.ndarray:
        frames = max(1, len(samples) // 320)
        level = np.abs(np.pad(samples, (0, 320))[: frames * 320]).reshape(frames, 320).mean(axis=1)
        return np.repeat(level[:, None], self.dim, axis=1).astype(np.float32)


@pytest.fixture
def ears(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Content encoders without weights: the layer says how many dimensions. A list that counts what was heard."""
    heard: list[int] = []

    def hear(network: Network, device: str) -> Any:
        def listen(samples: np.ndarray) -> np.ndarray:
            heard.append(len(samples))
            return networks.pooled(Ear(network.layer or 2).encode(samples), network.pool)

        if network.name == "resemblyzer":
            return lambda samples: np.full(4, np.abs(samples).mean(), np.float32), 16000, 0.0
        if network.name == "encodec":
            return lambda samples: np.full((len(samples) // 160, 2), 7, np.int64), 16000, 100.0
        return listen, 16000, 50.0

    monkeypatch.setattr(networks, "_open", hear)
    return heard


def data(folder: Path, *needs: str, **changes: object) -> SpeechData:
    return SpeechData(settings(folder, **({"pitch": PITCH} | changes)), needs, mel=MEL)


@pytest.mark.parametrize("segment", [None, 0.3])
@pytest.mark.parametrize("given", [False, True])
def test_kept_or_on_the_fly_the_numbers_are_the_same(tmp_path: Path, segment: float | None, given: bool) -> None:
    folder = prepare(tmp_path / "x", 6, given=given)
    changes = {"segment_seconds": segment, "batch_seconds": 6.0 if segment is None else 1.2}
    modes = {mode: data(folder, *ALL, features=mode, **changes) for mode in ("on_the_fly", "auto", "cache")}
    batches = {mode: list(islice(source.batches(3), 4)) for mode, source in modes.items()}
    entries = list((folder / "cache").rglob("*.npy"))
    assert len({path.parent.parent for path in entries}) == 4, "mel, energy, pitch and loudness are kept"
    again = list(islice(data(folder, *ALL, features="cache", **changes).batches(3), 4))
    for fly, auto, kept, read in zip(*batches.values(), again, strict=True):
        assert fly.keys() == auto.keys() == kept.keys() == read.keys()
        assert fly["ids"] == kept["ids"] == read["ids"]
        for name in ALL:
            assert fly[name].shape == kept[name].shape and fly[name].dtype == kept[name].dtype
            assert torch.equal(kept[name], read[name]), name
            assert torch.allclose(fly[name], kept[name], atol=2e-3 if name == "mel" else 1e-4), name
            assert torch.allclose(fly[name], auto[name], atol=1e-4), name


def test_on_the_fly_writes_nothing_and_cache_reads_no_sound(tmp_path: Path) -> None:
    folder = prepare(tmp_path / "x", 4)
    next(data(folder, "mel", "f0", features="on_the_fly").batches(0))
    assert not (folder / "cache").exists()
    first = next(data(folder, "mel", "f0", features="cache").batches(0))
    for path in (folder / "audio").iterdir():
        path.unlink()
    assert torch.equal(next(data(folder, "mel", "f0", features="cache").batches(0))["mel"], first["mel"])


def test_a_changed_setting_is_another_entry(tmp_path: Path) -> None:
    folder = prepare(tmp_path / "x", 2)
    next(data(folder, "f0").batches(0))
    next(data(folder, "f0", pitch=replace(PITCH, floor=90.0)).batches(0))
    assert len(list((folder / "cache").iterdir())) == 2


def test_a_broken_entry_is_computed_anew_and_said(tmp_path: Path) -> None:
    folder = prepare(tmp_path / "x", 2)
    first = next(data(folder, "f0").batches(0))
    path = next((folder / "cache").rglob("*.npy"))
    content = bytearray(path.read_bytes())
    content[150] ^= 1  # one bit of the array
    path.write_bytes(content)
    with pytest.warns(UserWarning, match="its checksum is another; it is computed anew"):
        assert torch.equal(next(data(folder, "f0").batches(0))["f0"], first["f0"])


@pytest.mark.parametrize("mode", ["on_the_fly", "cache"])
def test_several_networks_side_by_side_on_the_frames_of_the_model(tmp_path: Path, ears: list[int], mode: str) -> None:
    folder = prepare(tmp_path / "x", 4)
    nets = {
        "content": (Network(name="whisper", layer=3), Network(name="hubert", layer=2, pool=2)),
        "semantic": (Network(name="hubert", layer=5),),
        "speaker_vector": (Network(name="resemblyzer"),),
        "codes": (Network(name="encodec"),),
    }
    source = data(folder, "mel", "content", "semantic", "speaker_vector", "codes", features=mode, networks=nets)
    batch = next(source.batches(0))
    size, frames = batch["frame_mask"].shape
    assert batch["content"].shape == (size, frames, 5) and batch["semantic"].shape == (size, frames, 5)
    assert batch["speaker_vector"].shape == (size, 4) and bool((batch["speaker_vector"] > 0).all())
    assert batch["codes"].shape == (size, frames, 2) and batch["codes"].dtype == torch.int64
    real = batch["frame_mask"][..., None]
    assert bool((batch["codes"] == 7 * real).all()) and not (batch["content"] * ~real).any()
    loud = batch["energy"] if "energy" in batch else batch["semantic"][..., 0]
    assert torch.corrcoef(torch.stack([loud[0][real[0, :, 0]], batch["content"][0, :, 0][real[0, :, 0]]]))[0, 1] > 0.99
    count = len(ears)
    next(source.batches(0))
    assert (len(ears) == count) == (mode == "cache")


class SemanticCodec(torch.nn.Module):
    """A codec of features, one code a frame; `wide` codes sound."""

    def __init__(self, hears_sound: bool = False) -> None:
        super().__init__()
        self.sample_rate, self.hop, self.frame_rate = 16_000, 320, 50.0
        self.config = SimpleNamespace() if hears_sound else SimpleNamespace(feature_dim=3)

    def encode(self, x: torch.Tensor) -> torch.Tensor:
        rows = x if x.ndim == 3 else x.unflatten(1, (-1, 320))
        return (100 * rows.mean(2, keepdim=True)).abs().long()


def test_a_codec_of_features_hears_a_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = prepare(tmp_path / "x", 3)
    opened: list[dict[str, Any]] = []

    def content(name: str, *given: Any) -> Ear:
        opened.append({"name": name, "statistics": given[3]})
        return Ear(3)

    codec = SemanticCodec()
    door = {"aoide.external.content": SimpleNamespace(open=content), "aoide": SimpleNamespace(load=lambda *_: codec)}
    real = networks.require
    monkeypatch.setattr(networks, "require", lambda name, extra: door.get(name) or real(name, extra))
    networks._open.cache_clear()
    ears = Network(name="w2v_bert", statistics="stats.pt")
    semantic = Network(name="codec/maskgct_semantic", source="x", of=ears)
    twice = replace(semantic, repeat=2)
    mel = replace(MEL, hop=320, win=640, n_fft=640)
    config = settings(folder, networks={"semantic_codes": (semantic,)})
    batch = next(SpeechData(config, ("semantic_codes",), mel=mel).batches(0))
    assert batch["semantic_codes"].shape == (*batch["frame_mask"].shape, 1)
    assert batch["semantic_codes"].dtype == torch.int64 and bool((batch["semantic_codes"] > 0).any())
    assert opened == [{"name": "w2v_bert", "statistics": "stats.pt"}]
    doubled = settings(folder, networks={"codes": (twice,)})
    codes = next(SpeechData(doubled, ("codes",), mel=replace(MEL, hop=160)).batches(0))["codes"]
    assert torch.equal(codes[:, 0:20:2], codes[:, 1:21:2])
    with pytest.raises(UserError, match="100 frames of codes a second, the model 50"):
        next(SpeechData(doubled, ("codes",), mel=mel).batches(0))
    for network, wrong, message in (
        (replace(semantic, of=None), SemanticCodec(), "codes features: say with `of` which network makes them"),
        (replace(semantic, source="y"), SemanticCodec(hears_sound=True), "hears sound: leave out `of`"),
        (replace(semantic, of=Network(name="encodec")), SemanticCodec(), "encodec gives no features; hubert"),
    ):
        codec = wrong
        with pytest.raises(UserError, match=message):
            networks._open(network, "cpu")
    networks._open.cache_clear()


def test_older_entries_keep_their_names(tmp_path: Path) -> None:
    """Settings that came later stand in the key of an entry only where they are used."""

    def key(network: Network) -> dict[str, Any]:
        nets = (("codes", (network,)),)
        return features.find("codes", Settings(clock=Clock(sample_rate=RATE, hop=160), networks=nets)).key["networks"][
            0
        ]

    assert key(Network(name="encodec")).keys() == {
        *("name", "source", "layer", "projected"),
        "statistics",
        "pool",
        "weights",
    }
    assert key(Network(name="encodec", repeat=2))["repeat"] == 2
    assert key(Network(name="codec/x", of=Network(name="hubert")))["of"]["name"] == "hubert"


def test_what_does_not_go_together_is_said(tmp_path: Path, ears: list[int]) -> None:
    folder = prepare(tmp_path / "x", 2)
    cases: list[tuple[dict[str, Any], str]] = [
        ({"networks": {"content": (Network(name="huberd"),)}}, "did you mean hubert"),
        ({"networks": {"content": (Network(name="hubert"), Network(name="encodec"))}}, "do not make one field"),
        ({"networks": {"content": (Network(name="encodec"), Network(name="mimi"))}}, "one codec makes a field"),
    ]
    for changes, message in cases:
        with pytest.raises(UserError, match=message):
            data(folder, "content", **changes)
    with pytest.raises(UserError, match="dio measures no periodicity"):
        data(folder, "periodicity", pitch=PitchConfig(method="dio"))
    with pytest.raises(UserError, match="mel needs a model with mel settings"):
        SpeechData(Config(manifest=folder, validation=0), ("mel",))
    slow = SpeechData(
        settings(folder, networks={"codes": (Network(name="encodec"),)}), ("codes",), mel=replace(MEL, hop=200)
    )
    with pytest.raises(UserError, match="encodec has 100 frames of codes a second, the model 80"):
        next(slow.batches(0))


def test_other_weights_in_the_same_place_are_another_entry(tmp_path: Path) -> None:
    keys = []
    for weights in (b"one", b"two"):
        (tmp_path / "model.bin").write_bytes(weights)
        nets = (("content", (Network(name="whisper", source=str(tmp_path)),)),)
        found = features.find("content", Settings(clock=Clock(sample_rate=RATE, hop=160), networks=nets))
        keys.append(found.key)
    assert keys[0] != keys[1]


def test_align_takes_the_row_whose_time_it_is() -> None:
    rows = np.arange(4.0)[:, None]
    assert align(rows, 8, 50, 100)[:, 0].tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert align(rows, 2, 50, 25)[:, 0].tolist() == [1, 3]
    assert align(rows, 6, 50, 50)[:, 0].tolist() == [0, 1, 2, 3, 3, 3]
    assert align(rows, 8, 50, 100, "linear")[:, 0] == pytest.approx([0, 0.25, 0.75, 1.25, 1.75, 2.25, 2.75, 3])
    assert align(rows[:1], 3, 50, 86.1, "linear").tolist() == [[0], [0], [0]]
    line = np.arange(500, dtype=np.float32)
    drawn = align(line, 861, 50.0, 86.1328125, "linear")
    want = (np.arange(861) + 0.5) / 86.1328125 * 50 - 0.5
    assert np.abs(drawn - want.clip(0, 499)).max() < 1e-3
    with pytest.raises(ValueError, match="nothing to align"):
        align(rows[:0], 3, 50, 100)


def test_sounds_share_what_features_have_in_common() -> None:
    sounds = Sounds([voice(0.6, seed=1), voice(0.9, seed=2)], RATE)
    made = Settings(clock=Clock(sample_rate=RATE, hop=160), mel=MEL, pitch=PITCH)
    mel, energy = (features.find(name, made).compute(sounds) for name in ("mel", "energy"))
    assert [len(x) for x in mel] == [len(x) for x in energy] == [60, 90]
    assert len(sounds._shared) == 1, "one spectrum for both"
    assert features.find("f0", made).compute(sounds)[1] is features.find("periodicity", made).compute(sounds)[1]
    loud = features.find("loudness", made)
    [level] = loud.compute(Sounds([np.full(RATE, 0.1, np.float32)], RATE))
    assert level == pytest.approx(-20.0, abs=1e-3)
    assert loud.compute(Sounds([np.zeros(RATE, np.float32)], RATE))[0].max() == -100.0


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_a_gpu_gives_the_same_numbers(tmp_path: Path) -> None:
    folder = prepare(tmp_path / "x", 4)
    here, there = (
        next(data(folder, *ALL, features="on_the_fly", device=device).batches(0)) for device in ("cpu", "cuda")
    )
    for name in ALL:
        assert torch.allclose(here[name], there[name].cpu(), atol=1e-2), name
