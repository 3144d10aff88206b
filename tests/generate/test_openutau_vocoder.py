"""Vocoders that come along with a voicebank: their graph gives what numpy gives, at the rate that OpenUtau plays."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")

from aoide.audio.mel_config import MelConfig  # noqa: E402  (after the skip)
from aoide.audio.resample import resample  # noqa: E402
from aoide.config import UserError  # noqa: E402
from aoide.generate import openutau_schema as schema  # noqa: E402
from aoide.generate import openutau_vocoder as exported  # noqa: E402
from aoide.generate import packed  # noqa: E402
from aoide.generate import vocoder as runtime  # noqa: E402
from aoide.models.vocoder import Source  # noqa: E402

MEL = MelConfig(sample_rate=8000, n_fft=64, hop=16, win=64, n_mels=10, fmin=0, fmax=4000)


def toy(
    folder: Path,
    mel: MelConfig = MEL,
    polish: tuple[int, ...] = (2, 3, 1),
    kind: Literal["istft", "waveform"] = "istft",
    **more: Any,
) -> runtime.Vocoder:
    """A vocoder that hears a spectrum in the mel: by a matrix, so that neither torch nor training is needed."""
    random, helper, types = np.random.default_rng(0), onnx.helper, onnx.TensorProto
    sizes = {"magnitude": mel.bins, "phase": mel.bins} if kind == "istft" else {"audio": mel.hop}
    nodes, tensors, outputs = [], [], []
    for name, size in sizes.items():
        matrix = random.standard_normal((mel.n_mels, size)).astype(np.float32)
        tensors.append(onnx.numpy_helper.from_array(0.2 * matrix if name == "magnitude" else matrix, f"{name}_of"))
        nodes += [
            helper.make_node("Gelu", ["mel"], [f"{name}_gelu"]),
            helper.make_node("MatMul", [f"{name}_gelu", f"{name}_of"], [f"{name}_made"]),
        ]
        shape = ["batch", "frames", size]
        if name == "phase":
            nodes.append(helper.make_node("Identity", ["phase_made"], ["phase"]))
        elif name == "magnitude":
            nodes.append(helper.make_node("Exp", ["magnitude_made"], ["magnitude"]))
        else:
            tensors.append(onnx.numpy_helper.from_array(np.array([0, -1]), "shape"))
            nodes.append(helper.make_node("Tanh", ["audio_made"], ["audio_bent"]))
            nodes.append(helper.make_node("Reshape", ["audio_bent", "shape"], ["audio"]))
            shape = ["batch", "samples"]
        outputs.append(helper.make_tensor_value_info(name, types.FLOAT, shape))
    takes = helper.make_tensor_value_info("mel", types.FLOAT, ["batch", "frames", mel.n_mels])
    graph = helper.make_graph(nodes, "toy", [takes], outputs, initializer=tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    folder.mkdir(parents=True)
    path = folder / "vocoder.onnx"
    onnx.save(model, str(path))
    (folder / "card.md").write_text("# toy\n")
    description = runtime.Description(
        name="toy", licence="MIT", sha256={path.name: packed.sum_of(path)}, kind=kind, mel=mel, context=9,
        polish=polish, **more,
    )  # fmt: skip
    packed.write(description, folder, runtime.FILE)
    return runtime.Vocoder(folder)


def mel_of(vocoder: runtime.Vocoder, frames: int) -> np.ndarray:
    return np.random.default_rng(frames).standard_normal((frames, vocoder.mel.n_mels)).astype(np.float32)


def sound(model: Any, mel: np.ndarray) -> np.ndarray:
    graph = packed.session(model.SerializeToString(), 1, Path("made"))
    f0 = np.full((1, len(mel)), 300, np.float32)
    made = graph.run(["waveform"], {"mel": mel[None], "f0": f0})[0]
    assert made.shape[0] == 1 and made.dtype == np.float32
    return np.asarray(made[0])


@pytest.mark.parametrize("mel", [MEL, replace(MEL, padding="same", log="log10")], ids=["center", "same"])
@pytest.mark.parametrize("polish", [(), (2,), (0, 2, 1)], ids=str)
def test_steps_and_inverse_stft_are_in_the_graph(mel: MelConfig, polish: tuple[int, ...], tmp_path: Path) -> None:
    vocoder = toy(tmp_path / "toy", mel, polish)
    model = exported.build(vocoder, polish, mel.sample_rate)
    for frames in (2, 17, 50):  # of which the first is shorter than what is mirrored
        given = mel_of(vocoder, frames)
        natural = given * np.float32(np.log(10)) if mel.log == "log10" else given
        want = vocoder.vocode(given)
        assert want.std() > 0.05
        np.testing.assert_allclose(sound(model, natural), want, atol=1e-4, rtol=1e-4)


def test_the_folder_that_comes_along(tmp_path: Path) -> None:
    vocoder = toy(tmp_path / "toy")
    told = exported.write(vocoder, tmp_path / "dsvocoder")
    assert sorted(path.name for path in (tmp_path / "dsvocoder").iterdir()) == [
        "card.md", "vocoder.onnx", "vocoder.yaml",
    ]  # fmt: skip
    assert told == schema._settings(schema.Vocoder, tmp_path / "dsvocoder" / "vocoder.yaml")[0]
    assert (told.name, told.sample_rate, told.hop_size, told.mel_base) == ("toy", 8000, 16, "e")
    path = tmp_path / "dsvocoder" / told.model
    assert not [*schema._graph(path.parent, "model", told.model, schema.vocoder(told)), *schema._played(path, told)]
    given = mel_of(vocoder, 40)
    made, want = sound(onnx.load(str(path)), given), resample(vocoder.vocode(given), 8000, 44_100)
    assert made.shape == want.shape == (40 * 16 * 441 // 80,)
    assert exported._spectral(made, want) < 0.1  # of noise up to half the rate; of what a resampler keeps see below


def test_a_vocoder_of_waveforms_comes_along(tmp_path: Path) -> None:
    vocoder = toy(tmp_path / "toy", kind="waveform", polish=())
    exported.write(vocoder, tmp_path / "dsvocoder")
    given, model = mel_of(vocoder, 30), exported.build(vocoder, (), 8000)
    np.testing.assert_allclose(sound(model, given), vocoder.vocode(given), atol=1e-5)


def scaled(model: Any) -> None:
    """Every sample a hundredth too loud."""
    node = model.graph.node[-1]
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.float32(1.01), "louder"))
    node.output[0] = "quiet"
    model.graph.node.append(onnx.helper.make_node("Mul", ["quiet", "louder"], ["waveform"]))


@pytest.mark.parametrize(
    ("polish", "rate", "change"),
    [((2, 3, 1), 24_000, None), ((2, 3, 2), schema.PLAYED, None), ((2, 3, 1), schema.PLAYED, scaled)],
    ids=["another rate", "one step more", "louder"],
)
def test_a_graph_that_gives_something_else_is_refused(
    polish: tuple[int, ...], rate: int, change: Callable[[Any], None] | None, tmp_path: Path
) -> None:
    vocoder = toy(tmp_path / "toy")
    model = exported.build(vocoder, polish, rate)
    if change is not None:
        change(model)
    with pytest.raises(UserError, match="toy: the graph for OpenUtau differs from the vocoder: Difference"):
        exported.prove(vocoder, model)


@pytest.mark.parametrize("rate", [8000, 16_000, 22_050, 24_000, 48_000])
def test_the_resampler_keeps_what_is_below_half_the_rate(rate: int) -> None:
    time = np.arange(rate // 2) / rate
    low = min(rate, 44_100) / 2
    tones = np.sin(2 * np.pi * np.outer([0.01, 0.3, 0.8], low * time)).sum(axis=0).astype(np.float32)
    made, want = exported.resampled(tones, rate, 44_100), resample(tones, rate, 44_100)
    assert made.shape == want.shape
    middle = slice(4410, -4410)
    assert np.abs(made - want)[middle].max() < 2e-4
    above = np.abs(np.fft.rfft(made[middle] * np.hanning(len(made[middle])) ** 2))
    heard = np.arange(len(above)) * 44_100 / (2 * len(above))
    if rate < 44_100:  # no image of what was there
        assert above[heard > 1.02 * low].max() < 1e-4 * above.max()


def test_what_cannot_come_along(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="44017 Hz: does not become the 44100 Hz that OpenUtau plays"):
        exported.phases(44_017, 44_100)
    vocoder = toy(tmp_path / "toy", kind="waveform", source=Source(kind="sines", hop=16, partials=1))
    with pytest.raises(UserError, match="toy: reads sines beside the mel, which no graph makes"):
        exported.write(vocoder, tmp_path / "dsvocoder")
    assert not (tmp_path / "dsvocoder").exists()


def test_which_vocoder_a_singer_gets(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    from aoide.generate import openutau

    folder = str(toy(tmp_path / "toy").folder)
    assert openutau.vocoder_of(openutau.HIFIGAN_MEL) == (openutau.HIFIGAN, None)
    assert openutau.vocoder_of(MEL, "of somebody else") == ("of somebody else", None)
    assert openutau.vocoder_of(MelConfig(), "of somebody else") == ("of somebody else", None)
    for mel, named, name in (
        (MelConfig(), "", "universal-24k"),
        (MelConfig(log="log10"), "universal-24k", "universal-24k"),
        (MEL, folder, "toy"),
    ):
        told, own = openutau.vocoder_of(mel, named)
        assert told == name and own is not None and own.name == name
    with pytest.raises(UserError, match="toy is for another mel than the singer's: hop: 16, not 20, n_mels: 10,"):
        openutau.vocoder_of(replace(MEL, n_mels=9, hop=20), folder)
    with pytest.raises(UserError, match="name a package of OpenUtau for this singer's mel .8000 Hz"):
        openutau.vocoder_of(MEL)


@pytest.mark.slow  # 3 s
def test_the_vocoder_of_the_package() -> None:
    vocoder = runtime.Vocoder("universal-24k")
    polish = vocoder.description.polish
    found = exported.prove(vocoder, exported.build(vocoder, polish, schema.PLAYED))
    assert max(each.plain for each in found) < 1e-6 and max(each.few for each in found) < 1e-5
    assert max(each.spectral for each in found) < 0.1
    with pytest.raises(UserError, match="differs from the vocoder"):
        exported.prove(vocoder, exported.build(vocoder, (10, 16, 1), schema.PLAYED))


@pytest.mark.slow  # 30 s: a graph of torch
def test_a_singer_brings_the_vocoder_of_the_package(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    pytest.importorskip("onnxscript")
    from aoide.generate import openutau
    from aoide.models.svs import diffsinger

    torch.manual_seed(0)
    small = diffsinger.Config(symbols=4, dim=8, layers=1, first=None, denoiser=diffsinger.TOY.denoiser)
    about = openutau.About(name="Ann", phonemes={"AP": 1, "SP": 2, "a": 3})
    model = diffsinger.Model(replace(small, mel=MelConfig())).eval()
    openutau.write(model, tmp_path / "Ann", about)
    assert schema.check(tmp_path / "Ann") == []
    of = schema._settings(schema.Acoustic, tmp_path / "Ann" / "dsconfig.yaml")[0]
    assert of.vocoder == "universal-24k" and (tmp_path / "Ann" / "dsvocoder" / "card.md").is_file()
    frames = 40
    given = {"tokens": np.array([[2, 3, 2]]), "durations": np.array([[8, 24, 8]]), "steps": np.array(2)}
    f0 = np.full((1, frames), 220, np.float32)
    acoustic, vocoder = (
        packed.session(path.read_bytes(), 1, path)
        for path in (tmp_path / "Ann" / "acoustic.onnx", tmp_path / "Ann" / "dsvocoder" / "vocoder.onnx")
    )
    mel = acoustic.run(["mel"], given | {"f0": f0})[0]
    waveform = vocoder.run(None, {"mel": mel, "f0": f0})[0]
    assert waveform.shape == (1, frames * 256 * 147 // 80) and np.isfinite(waveform).all()
