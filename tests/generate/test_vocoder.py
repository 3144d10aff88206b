"""Exported vocoders and codecs, and the verbs that use them: pieces equal the whole, and what is refused.

Their graphs are torch modules here; tests/generate/test_graphs.py has real ones.
"""

import json
import sys
from collections.abc import Iterator

import numpy as np
import pytest

import aoide
from aoide.audio import io
from aoide.cli import main
from aoide.config import UserError
from aoide.generate import chunks

torch = pytest.importorskip("torch")

from pathlib import Path  # noqa: E402

from aoide.generate import codec as codec_runtime  # noqa: E402
from aoide.generate import pack  # noqa: E402
from aoide.generate import vocoder as runtime  # noqa: E402
from aoide.generate.torch_vocoder import TorchVocoder  # noqa: E402
from aoide.models import find  # noqa: E402
from tests.generate.vocoders import (  # noqa: E402
    RATE,
    SOURCES,
    check_against_torch,
    mel_and_f0,
    noise,
    sourced,
    without_onnx,
)


@pytest.fixture(scope="module", autouse=True)
def stand_ins() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        without_onnx(patch)
        yield


@pytest.fixture(scope="module")
def vocoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    module = find.find("vocoder/vocos_gl")
    target = tmp_path_factory.mktemp("vocoder") / "toy"
    pack.export_vocoder(module.Model(module.TOY).eval(), target, name="toy", licence="MIT", polish=(2, 3, 1))
    return target


@pytest.fixture(scope="module")
def codec(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    module = find.find("codec/spectral")
    target = tmp_path_factory.mktemp("codec") / "toy"
    pack.export_codec(module, module.Model(module.TOY).eval(), target, name="toy", licence="MIT")
    return target


def refused(*arguments: object) -> str:
    """What is said when a command is refused."""
    with pytest.raises(UserError) as caught:
        aoide.load(*arguments) if isinstance(arguments[0], str) else arguments[0](*arguments[1:])
    assert "\n" not in str(caught.value)
    return str(caught.value)


def status(capsys: pytest.CaptureFixture, *words: object) -> tuple[int, str]:
    capsys.readouterr()
    code = main([str(word) for word in words])
    return code, capsys.readouterr().err


# --------------------------------------------------------------------------------------------------------------- chunks


@pytest.mark.parametrize("sizes", [[50], [1] * 50, [20, 0, 29, 1], [7] * 7 + [1]])
@pytest.mark.parametrize(("size", "context"), [(10, 3), (1, 5), (50, 0), (49, 60)])
def test_pieces_equal_the_whole(sizes: list[int], size: int, context: int) -> None:
    """A moving sum over `context` rows on both sides, each row stretched to two."""
    rows = np.random.default_rng(0).standard_normal((50, 3))

    longest = 0

    def step(piece: np.ndarray) -> np.ndarray:
        nonlocal longest
        longest = max(longest, len(piece))
        padded = np.pad(piece, ((context, context), (0, 0)))
        summed = np.stack([padded[i : i + 2 * context + 1].sum(axis=0) for i in range(len(piece))])
        return np.repeat(summed, 2, axis=0)

    blocks = np.split(rows, np.cumsum(sizes)[:-1])
    made = list(chunks.in_chunks(blocks, step, size, context))
    assert longest <= size + 2 * context, "what is worked on at a time does not grow"
    np.testing.assert_allclose(np.concatenate(made), step(rows), atol=1e-12)
    if size + context < 50:
        assert len(made) > 1


def test_rows_fill_up_with_silence() -> None:
    rows = np.concatenate(list(chunks.in_rows([np.ones(5), np.ones(1), np.zeros(0), np.ones(4)], 4)))
    assert rows.shape == (3, 4) and rows.sum() == 10 and not rows[2, 2:].any()


# -------------------------------------------------------------------------------------------------------------- vocoder


def test_the_exported_vocoder_is_the_torch_one(vocoder: Path) -> None:
    module = find.find("vocoder/vocos_gl")
    torch.manual_seed(0)
    model = module.Model(module.TOY).eval()
    loaded = aoide.load(vocoder)
    assert isinstance(loaded, runtime.Vocoder) and loaded.mel == module.TOY.mel and "toy" in loaded.card
    mel = module.example(module.TOY, batch=1)["mel"]
    with torch.no_grad():
        want = model.vocode(mel, polish=(2, 3, 1))[0].numpy()
    np.testing.assert_allclose(loaded.vocode(mel[0].numpy()), want, atol=1e-5)


def test_a_stream_equals_the_whole(vocoder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = aoide.load(vocoder)
    mel = np.random.default_rng(0).standard_normal((300, 10)).astype(np.float32) - 3
    whole = loaded.vocode(mel)
    sound = loaded.resynth(aoide.Sound(noise(1.0), RATE))
    monkeypatch.setattr(runtime, "PIECE", 0.1)
    np.testing.assert_allclose(np.concatenate(list(loaded.stream(np.split(mel, [7, 8, 200])))), whole, atol=1e-6)
    again = np.concatenate(list(loaded.copy(np.split(noise(1.0), [5, 600, 601]))))
    np.testing.assert_allclose(again[: len(sound.samples)], sound.samples, atol=1e-5)


def test_mels_that_cannot_be(vocoder: Path) -> None:
    loaded = aoide.load(vocoder)
    good = np.zeros((5, 10), np.float32)
    assert len(loaded.vocode(good[:1])) == loaded.mel.hop, "one frame is a sound"
    assert "without frames" in refused(loaded.vocode, good[:0])
    assert "(frames, 10)" in refused(loaded.vocode, good[:, :8]) and "sample_rate=8000" in refused(
        loaded.vocode, good.T
    )
    for bad in (np.nan, np.inf):
        spoilt = good.copy()
        spoilt[2, 3] = bad
        assert "NaN or infinity" in refused(loaded.vocode, spoilt)


def test_mels_that_a_loaded_model_refuses(tmp_path: Path) -> None:
    """In one clear line, which says what the vocoder reads."""
    import yaml
    from safetensors.torch import save_file

    module = find.find("vocoder/hifigan")
    sizes = {"upsample_rates": [2, 2], "upsample_kernel_sizes": [4, 4], "upsample_initial_channel": 8, "hop_size": 4}
    blocks = {"resblock": "2", "resblock_kernel_sizes": [3], "resblock_dilation_sizes": [[1, 3]]}
    mel = {"num_mels": 10, "sampling_rate": RATE, "n_fft": 16, "win_size": 16, "fmin": 0, "fmax": None}
    config = {**sizes, **blocks, **mel}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    save_file(torch.nn.Conv1d(1, 1, 1).state_dict(), tmp_path / "g.safetensors")
    told = refused("vocoder/hifigan", tmp_path)
    assert "does not fit its configuration: it lacks upsampler." in told and "; has beyond the model bias, " in told
    model = aoide._ready(module.Model(module.TOY).eval())
    good = torch.zeros(1, 5, module.TOY.mel.n_mels)
    assert model(good).shape == (1, 5 * module.TOY.mel.hop)
    assert "not a mel (1, 5, 3)" in refused(model, good[..., :3]) and "without frames" in refused(model, good[:, :0])
    assert "NaN or infinity" in refused(model, good / 0)


def test_folders_that_cannot_be(vocoder: Path, codec: Path, tmp_path: Path) -> None:
    for source, file in ((vocoder, "vocoder"), (codec, "codec")):
        broken = tmp_path / file
        broken.mkdir()
        for path in source.iterdir():
            (broken / path.name).write_bytes(path.read_bytes())
        graph = next(broken.glob("*.onnx"))
        graph.write_bytes(graph.read_bytes()[:-1])
        assert "truncated or exchanged" in refused(str(broken))
        about = json.loads((broken / f"{file}.json").read_text())
        (broken / f"{file}.json").write_text(json.dumps(about | {"format": 99}))
        assert "newer Aoide" in refused(str(broken))
        (broken / f"{file}.json").write_text("{")
        assert "broken" in refused(str(broken))
    assert "did you mean universal-24k" in refused("universal-24")


@pytest.mark.parametrize("name", ["vocoder/vocos", "vocoder/nsf_hifigan", "vocoder/sourcefilter", "vocoder/diffwave"])
def test_copies_by_torch_models(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of every kind: feed-forward, with a source that runs through, with an output, and as a whole."""
    from aoide.generate import torch_vocoder

    module = find.find(name)
    torch.manual_seed(0)
    model = module.Model(module.TOY)
    samples = noise(1.0)
    monkeypatch.setattr(torch_vocoder, "F0_REACH", 2.0)  # all that there is, so that F0 is that of the whole
    whole = np.concatenate(list(TorchVocoder(model, seed=3).copy([samples])))
    assert len(samples) <= len(whole) < len(samples) + model.config.mel.hop
    monkeypatch.setattr(torch_vocoder, "PIECE", 0.3)
    pieces = list(TorchVocoder(model, seed=3).copy(np.split(samples, [100, 4000])))
    if hasattr(model, "context") and not hasattr(model, "source"):
        assert len(pieces) > 1
    if not hasattr(model, "source"):  # what is drawn piece by piece comes in another order
        np.testing.assert_allclose(np.concatenate(pieces), whole, atol=2e-5)


# ---------------------------------------------------------------------------------------------------------------- codec


def test_a_codec_there_and_back(codec: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = aoide.load(codec)
    sound = aoide.Sound(noise(1.01), RATE)
    codes = loaded.encode(sound)
    assert codes.codes.shape == (-(-len(sound.samples) // loaded.hop), loaded.codebooks)
    assert codes.bit_rate == pytest.approx(loaded.frame_rate * loaded.codebooks * np.log2(loaded.cardinality))
    codes.save(tmp_path / "codes.npz")
    back = codec_runtime.Codes.load(tmp_path / "codes.npz")
    decoded = loaded.decode(back)
    assert len(decoded.samples) == len(sound.samples) and "synthetic" in decoded.tags["comment"]
    monkeypatch.setattr(codec_runtime, "PIECE", 0.1)
    assert np.array_equal(loaded.encode(sound).codes, codes.codes)
    np.testing.assert_allclose(loaded.decode(back).samples, decoded.samples, atol=1e-6)
    module = find.find("codec/spectral")
    torch.manual_seed(0)
    model = module.Model(module.TOY).eval()
    with torch.no_grad():
        coarse = model.decode(torch.from_numpy(codes.codes[None, :, :1].astype(np.int64)))[0].numpy()
    np.testing.assert_allclose(loaded.decode(back, 1).samples, coarse[: len(sound.samples)], atol=1e-5)
    assert len(loaded.encode(aoide.Sound(noise(1.0)[:1], RATE)).codes) == 1


def test_codes_that_cannot_be(codec: Path, tmp_path: Path) -> None:
    loaded = aoide.load(codec)
    codes = loaded.encode(aoide.Sound(noise(0.1), RATE))
    assert "9 of them" in refused(loaded.decode, codes, 9) and "0 of them" in refused(loaded.decode, codes, 0)
    other = codec_runtime.Codes(codes.codes, "another", RATE, 10, 12, 500.0)
    assert "written by another" in refused(loaded.decode, other)
    high = codec_runtime.Codes(codes.codes + 12, "toy", RATE, 10, 12, 500.0)
    assert "go from 0 to 11" in refused(loaded.decode, high)
    assert "no such file" in refused(codec_runtime.Codes.load, tmp_path / "none.npz")
    (tmp_path / "bad.npz").write_bytes(b"PK no")
    assert "not codes" in refused(codec_runtime.Codes.load, tmp_path / "bad.npz")
    assert "without samples" in refused(loaded.encode, aoide.Sound(np.zeros(0, np.float32), RATE))


# ------------------------------------------------------------------------------------------------------------- commands


def test_resynth_encode_decode(vocoder: Path, codec: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    (tmp_path / "in" / "deep").mkdir(parents=True)
    for name, rate in (("a.wav", RATE), ("deep/b.flac", 16_000)):
        io.write(tmp_path / "in" / name, aoide.Sound(np.stack([noise(0.5), noise(0.5, 1)], axis=1), rate))
    out = tmp_path / "out"
    assert status(capsys, "resynth", tmp_path / "in", "-o", out, "--vocoder", vocoder)[0] == 0
    copy = io.read(out / "deep" / "b.wav")
    assert (copy.sample_rate, len(copy.samples)) == (RATE, RATE // 4)
    assert "synthetic: yes" in io.probe(out / "a.wav").tags["comment"]
    assert status(capsys, "encode", tmp_path / "in", "-o", tmp_path / "codes", "--codec", codec)[0] == 0
    command = ("decode", tmp_path / "codes", "-o", tmp_path / "back", "--codec", codec, "--format", "flac")
    assert status(capsys, *command)[0] == 0
    assert len(io.read(tmp_path / "back" / "a.flac").samples) == RATE // 2


def test_commands_that_cannot_be(vocoder: Path, codec: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    def said(*words: object) -> str:
        code, error = status(capsys, *words)
        assert code == 2 and error.count("\n") == 1, error
        return error

    io.write(tmp_path / "a.wav", aoide.Sound(noise(0.1), RATE))
    good = ("-o", tmp_path / "out", "--vocoder", vocoder)
    assert "no such file or folder" in said("resynth", tmp_path / "none.wav", *good)
    (tmp_path / "empty").mkdir()
    assert "no files in it" in said("resynth", tmp_path / "empty", *good)
    (tmp_path / "bad.wav").write_bytes(b"not a sound")
    assert "bad.wav" in said("resynth", tmp_path / "bad.wav", *good)
    assert not list((tmp_path / "out").glob("*")), "nothing is left half-written"
    assert "not a vocoder" in said("resynth", tmp_path / "a.wav", "-o", tmp_path / "out", "--vocoder", codec)
    assert "not a codec" in said("encode", tmp_path / "a.wav", "-o", tmp_path / "out", "--codec", vocoder)
    assert "no such" in said("resynth", tmp_path / "a.wav", "-o", tmp_path, "--vocoder", "no/where")
    assert "needs weights" in said("resynth", tmp_path / "a.wav", "-o", tmp_path, "--vocoder", "vocoder/vocos")


# ------------------------------------------------------------------------------------------------------------------ hub


def test_the_hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Which files are asked for, and what is said when there is no network."""
    from types import SimpleNamespace

    from aoide.generate import published

    asked = {}
    names = ["config.json", "bigvgan_generator.pt", "bigvgan_discriminator_optimizer.pt", "README.md", "sub/g_02500000"]

    class Api:
        def list_repo_files(self, repository: str, revision: str | None) -> list[str]:
            return names

    def snapshot(repository: str, revision: str | None, **wanted: object) -> str:
        if wanted.get("local_files_only"):
            raise OSError("no copy")
        asked.update(repository=repository, revision=revision, **wanted)
        return str(tmp_path)

    hub = SimpleNamespace(HfApi=Api, snapshot_download=snapshot)
    monkeypatch.setitem(sys.modules, "huggingface_hub", hub)
    assert published.download("hf:nvidia/bigvgan@main") == tmp_path
    assert asked == {
        "repository": "nvidia/bigvgan",
        "revision": "main",
        "allow_patterns": ["config.json", "bigvgan_generator.pt", "sub/g_02500000"],
    }
    assert published.download("hf:nvidia/bigvgan/sub") == tmp_path / "sub"
    assert "a place on the hub" in refused(published.download, "hf:nvidia")
    monkeypatch.setattr(Api, "list_repo_files", lambda *_, **__: (_ for _ in ()).throw(ConnectionError("down")))
    assert "cannot be reached" in refused(published.download, "hf:nvidia/bigvgan")
    monkeypatch.setattr(Api, "list_repo_files", lambda *_, **__: (_ for _ in ()).throw(OSError("404 Client Error")))
    assert "the hub has no nvidia/bigvgan" in refused(published.download, "hf:nvidia/bigvgan")


# ------------------------------------------------------------------------------------------------------- with a source


@pytest.fixture(params=SOURCES)
def with_source(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[torch.nn.Module, runtime.Vocoder]:
    """A model, and the vocoder that it becomes."""
    without_onnx(monkeypatch)
    model = sourced(request.param)
    pack.export_vocoder(model, tmp_path / "toy", name="toy", licence="MIT")
    return model, runtime.Vocoder(tmp_path / "toy", seed=3)


def test_a_source_is_made_without_torch(
    with_source: tuple[torch.nn.Module, runtime.Vocoder], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sound is torch's, pieces equal the whole, the seed decides, and F0 is asked for."""
    model, loaded = with_source
    check_against_torch(model, loaded)
    mel, f0 = mel_and_f0(model)
    whole = loaded.vocode(mel, f0)
    assert np.array_equal(loaded.vocode(mel, f0), whole)
    monkeypatch.setattr(runtime, "PIECE", 0.02)
    cuts = [7, 8, 30]
    pieces = list(loaded.stream(np.split(mel, cuts), np.split(f0, cuts)))
    assert len(pieces) > 2
    np.testing.assert_allclose(np.concatenate(pieces), whole, atol=1e-5)
    loaded.seed = 4
    if model.source_form.partials or not loaded.needs_f0 or loaded.description.kind == "filters":
        assert np.abs(loaded.vocode(mel, f0) - whole).max() > 1e-4
    if loaded.needs_f0:
        assert "reads F0 as well" in refused(loaded.vocode, mel)
        for wrong in (f0[:-1], np.full_like(f0, np.nan)):
            assert "60 frames" in refused(loaded.vocode, mel, wrong)


def test_copies_with_a_source(
    with_source: tuple[torch.nn.Module, runtime.Vocoder], monkeypatch: pytest.MonkeyPatch
) -> None:
    if with_source[1].needs_f0:
        pytest.importorskip("swift_f0")
    monkeypatch.setattr(runtime, "F0_REACH", 2.0)  # all that there is, so that F0 is that of the whole
    model, loaded = with_source
    samples = noise(1.0)
    samples += 0.3 * np.sin(2 * np.pi * 150 * np.arange(len(samples)) / RATE).astype(np.float32)
    whole = loaded.resynth(aoide.Sound(samples, RATE))
    assert len(whole.samples) == len(samples)
    monkeypatch.setattr(runtime, "PIECE", 0.1)
    pieces = np.concatenate(list(loaded.copy(np.split(samples, [100, 4000]))))
    np.testing.assert_allclose(pieces[: len(samples)], whole.samples, atol=1e-4)
