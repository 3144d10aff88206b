"""The small codec: noise that the codes decide, what it tells of phase, and its two graphs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from aoide.models.codec import spectral
from aoide.objectives import regression


def _model(seed: int = 0) -> spectral.Model:
    torch.manual_seed(seed)
    return spectral.Model(spectral.TOY).eval()


def _sound(frames: int, batch: int = 2) -> Tensor:
    return 0.3 * torch.randn(batch, frames * spectral.TOY.hop, generator=torch.Generator().manual_seed(1))


@torch.no_grad()
def test_compressed_spectrum_gives_the_sound_back() -> None:
    model, audio = _model(), _sound(40)
    z = model.analysis(audio)
    power = z.unflatten(2, (2, -1)).square().sum(2).repeat(1, 1, 2)
    again = model.istft(torch.complex(*(z * power).chunk(2, dim=2)))
    torch.testing.assert_close(again[:, 20:-20], audio[:, 20:-20], atol=2e-3, rtol=0)


@torch.no_grad()
def test_the_codes_decide_the_noise_and_nothing_else_does() -> None:
    model, frames = _model(), 30
    codes = torch.randint(spectral.TOY.codes, (1, frames, 3), generator=torch.Generator().manual_seed(0))
    hidden = torch.zeros(1, frames, spectral.TOY.dim)
    noise = model.head(hidden, codes)[1] - model.head(hidden, codes)[0] ** 3
    assert len(noise[0].round(decimals=4).unique(dim=0)) > frames / 2, "frames of other codes have other phases"
    swapped = codes.flip(1)
    torch.testing.assert_close(model.head(hidden, swapped)[1], model.head(hidden, codes)[1].flip(1))


def test_losses_are_least_for_the_sound_itself() -> None:
    model, audio = _model(), _sound(200, batch=1)
    output = model(audio)
    perfect = output._replace(audio=audio, spectrum=model.analysis(audio))
    batch = {"audio": audio}
    for name in ("spectrum", "stft", "mel"):
        distance = spectral.LOSSES[name](spectral.TOY)
        assert float(distance(perfect, batch)) < 1e-6 < float(distance(output, batch)), name


def test_training_tells_a_tone_with_its_phase() -> None:
    """In a few steps the codec learns a chord: what it tells without noise comes near."""
    torch.manual_seed(0)
    model = spectral.Model(spectral.TOY).train()
    time = torch.arange(60 * spectral.TOY.hop) / spectral.TOY.sample_rate
    start = torch.rand(8, 1, generator=torch.Generator().manual_seed(0))
    audio = 0.3 * torch.sin(6.283 * (440 * time + start)) + 0.3 * torch.sin(6.283 * (1200 * time + 2 * start))
    judge = regression.Objective(regression.Config(weights={"spectrum": 1.0, "commitment": 0.25}), spectral, model)
    optimiser = torch.optim.Adam(model.parameters(), lr=5e-3)
    losses = []
    for _ in range(60):
        (_, parts), *_rest = judge.steps({"audio": audio})
        optimiser.zero_grad()
        sum(parts.values()).backward()
        optimiser.step()
        losses.append(float(parts["spectrum"].detach()))
    assert np.mean(losses[-5:]) < 0.5 * losses[0], losses


@torch.no_grad()
def test_graphs_compute_what_the_model_computes() -> None:
    model, audio = _model(), _sound(33)
    codes = spectral.ExportedEncoder(model)(audio)
    assert torch.equal(codes, model.encode(audio))
    torch.testing.assert_close(spectral.ExportedDecoder(model)(codes), model.decode(codes), atol=1e-5, rtol=1e-4)


@pytest.mark.slow  # the exporter takes its time
@pytest.mark.parametrize(("kind", "tensor"), [("encoder", "audio"), ("decoder", "codes")])
@torch.no_grad()
def test_graphs_run_without_torch(kind: str, tensor: str, tmp_path: Path) -> None:
    for package in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(package)
    import onnxruntime

    from aoide.generate import export

    model, audio = _model(), _sound(33)
    values = {"audio": audio, "codes": model.encode(audio)}
    graph = (spectral.ExportedEncoder if kind == "encoder" else spectral.ExportedDecoder)(model)
    outputs = ["codes" if kind == "encoder" else "audio"]
    export.to_onnx(graph, [values[tensor]], [tensor], outputs, tmp_path / "graph.onnx")
    session = onnxruntime.InferenceSession(str(tmp_path / "graph.onnx"))
    for frames in (33, 57):
        audio = _sound(frames, batch=3)
        values = {"audio": audio, "codes": model.encode(audio)}
        (got,) = session.run(None, {tensor: values[tensor].numpy()})
        np.testing.assert_allclose(got, graph(values[tensor]).numpy(), atol=1e-4)
