"""CosyVoice 2's ears with toy graphs of the same inputs and outputs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")

from aoide import external  # noqa: E402  (after the skips)
from aoide.config import UserError  # noqa: E402
from aoide.external.cosyvoice2 import CamPlus, SpeechTokens, log_mel  # noqa: E402
from aoide.external.wespeaker import filter_banks  # noqa: E402
from aoide.external.whisper_encoder import log_mel as whisper_mel  # noqa: E402

RATE = 16_000


def _save(path: Path, nodes: list, inputs: list, outputs: list, constants: list = ()) -> None:  # type: ignore[assignment]
    graph = onnx.helper.make_graph(nodes, "toy", inputs, outputs, list(constants))
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Codes: the loudest band of every fourth frame, in steps of a tenth. Vector: the mean of the banks."""
    make, info, types = onnx.helper.make_node, onnx.helper.make_tensor_value_info, onnx.TensorProto
    ints = [
        onnx.helper.make_tensor(n, types.INT64, [1], [v]) for n, v in (("a", 0), ("b", 1 << 40), ("x", 1), ("s", 4))
    ]
    _save(
        tmp_path / "speech_tokenizer_v2.onnx",
        [
            make("ReduceMax", ["feats"], ["loud"], axes=[1], keepdims=0),
            make("Slice", ["loud", "a", "b", "x", "s"], ["some"]),
            make("Add", ["some", "one"], ["up"]),
            make("Mul", ["up", "ten"], ["steps"]),
            make("Cast", ["steps"], ["codes"], to=types.INT32),
        ],
        [info("feats", types.FLOAT, [1, 128, "T"]), info("length", types.INT32, [1])],
        [info("codes", types.INT32, [1, "N"])],
        [*ints, *(onnx.helper.make_tensor(n, types.FLOAT, [1], [v]) for n, v in (("one", 1.0), ("ten", 10.0)))],
    )
    _save(
        tmp_path / "campplus.onnx",
        [make("ReduceMean", ["banks"], ["vector"], axes=[1], keepdims=0)],
        [info("banks", types.FLOAT, [1, "T", 80])],
        [info("vector", types.FLOAT, [1, 80])],
    )
    return tmp_path


def tone(seconds: float) -> np.ndarray:
    time = np.arange(round(seconds * RATE)) / RATE
    return (0.3 * np.sin(2 * np.pi * 300 * time) * np.minimum(1, time)).astype(np.float32)


def test_codes_are_25_a_second(folder: Path) -> None:
    codec = external.codec("cosyvoice2", folder)
    samples = torch.from_numpy(np.stack([tone(1.0), tone(1.0)[::-1].copy()]))
    codes = codec.encode(samples[:, :15_900])
    assert codes.shape == (2, 25, 1) and codes.dtype == torch.int64
    assert len(set(codes[0, :, 0].tolist())) > 2, "louder sound is another code"
    mask = torch.arange(25) < torch.tensor([[25], [10]])
    padded = codec.encode(samples, mask)
    assert not padded[1, 10:].any() and torch.equal(padded[0], codec.encode(samples[:1])[0])
    assert torch.equal(padded[1, :10], codec.encode(samples[1:, :6400])[0])
    assert codec.encode(torch.zeros(1, 31 * RATE)).shape == (1, 775, 1)


def test_the_mel_is_whispers_without_the_silence_behind(folder: Path) -> None:
    mel = log_mel(tone(1.0))
    assert mel.shape == (128, 100) and mel.dtype == np.float32
    assert mel[:, :97] == pytest.approx(whisper_mel(tone(1.0), 128)[:, :97], abs=2e-3)


def test_a_vector_of_the_speaker(folder: Path) -> None:
    ears = CamPlus(folder / "campplus.onnx")
    assert np.abs(ears.embed(tone(1.0))).max() < 1e-4, "the mean over time was taken away"
    noise = np.random.default_rng(0).standard_normal(RATE).astype(np.float32)
    quiet, loud = (filter_banks(noise, scale=scale, window="povey") for scale in (1.0, 2.0))
    assert (loud - quiet).mean() == pytest.approx(2 * np.log(2), abs=1e-3)
    assert np.abs(filter_banks(noise) - filter_banks(noise, window="povey")).max() > 0.1


def test_what_is_missing_is_named(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(UserError, match="speech_tokenizer_v2.onnx of FunAudioLLM/CosyVoice2-0.5B"):
        external.codec("cosyvoice2")
    with pytest.raises(UserError, match="no such file; CosyVoice 2's speaker encoder"):
        CamPlus(tmp_path / "x")
    with pytest.raises(UserError, match="asks for a mel and its length"):
        SpeechTokens(folder / "campplus.onnx")
