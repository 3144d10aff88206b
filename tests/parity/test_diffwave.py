"""DiffWave against Amphion's: the embedded step, the mel at the rate of samples, predictions, loss, sampled steps."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from aoide.config import UserError
from aoide.models.vocoder import diffwave
from aoide.objectives import diffusion
from tests.parity import packs

PACKS = packs.matching("amphion_vocoder", "diffwave")


@pytest.mark.parametrize("name", PACKS)
@torch.no_grad()
def test_predictions_and_loss(name: str) -> None:
    pack = packs.load(name)
    model = diffwave.from_official(pack.state, pack.config).eval()
    inputs = pack.inputs
    mel, wav, step = inputs["mel"].mT, inputs["wav"], inputs["t"]
    condition, _ = model.conditions(mel)
    x = model.embed(wav[:, None]).relu()
    first, _ = model.stack.layers[0](x, condition.mT, model.step(step), None)
    objective = diffusion.Objective(diffwave.TRAINING, diffwave, model)
    (noise,) = pack.draws("loss")
    between = inputs["t_float"].expand(len(wav))
    got = {
        "mid.step_embedding": model.step(step),
        "mid.spectrogram_up": condition.mT,
        "mid.layer0_x": first,
        "eps": model(wav, step, mel)[:, None],
        "eps_t_float": model(wav, between, mel)[:, None],
        "loss_l1": objective.losses({"mel": mel, "audio": wav.clamp(-1, 1)}, step, noise)["diffusion"],
    }
    packs.check(pack, got)
    assert set(pack.out) <= set(got) | {"sample", "sample_T"}, "every recorded output is compared"


@pytest.mark.parametrize("name", PACKS)
def test_sampled_steps(name: str) -> None:
    pack = packs.load(name)
    model = diffwave.from_official(pack.state, pack.config).eval()
    sound = model.vocode(pack.inputs["mel"].mT, noise=pack.draws("sample"))
    walk = model.config.process.along(model.config.fast)
    packs.check(pack, {"sample": sound, "sample_T": torch.tensor(walk.steps)})


@pytest.mark.parametrize("name", PACKS)
def test_what_does_not_fit_is_told(name: str) -> None:
    pack = packs.load(name)
    state = {key: value for key, value in pack.state.items() if key != "skip_projection.bias"}
    with pytest.raises(UserError, match=r"DiffWave checkpoint.*lacks head\.bias$"):
        diffwave.from_official(state, pack.config)
    with pytest.raises(UserError, match="reads MelConfig.*n_mels"):
        diffwave.from_official(pack.state, pack.config).vocode(torch.zeros(1, 5, 80))


def test_the_form_of_lmnt() -> None:
    """Their params as a dict, their keys with the prefix of a checkpoint; the same network but for sizes."""
    params = {
        "sample_rate": 22_050,
        "n_mels": 80,
        "n_fft": 1024,
        "hop_samples": 256,
        "residual_layers": 3,
        "residual_channels": 4,
        "dilation_cycle_length": 2,
        "noise_schedule": torch.linspace(1e-4, 0.05, 50, dtype=torch.float64).tolist(),
        "inference_noise_schedule": [0.0001, 0.001, 0.01, 0.05, 0.2, 0.5],
    }
    layers = {"dilated_conv": (8, 4, 3), "conditioner_projection": (8, 80, 1), "output_projection": (8, 4, 1)}
    shapes = {f"residual_layers.{i}.{part}": shape for i in range(3) for part, shape in layers.items()}
    shapes |= {f"residual_layers.{i}.diffusion_projection": (4, 512) for i in range(3)}
    shapes |= {"input_projection": (4, 1, 1), "skip_projection": (4, 4, 1), "output_projection": (1, 4, 1)}
    shapes |= {"diffusion_embedding.projection1": (512, 128), "diffusion_embedding.projection2": (512, 512)}
    shapes |= {f"spectrogram_upsampler.conv{i}": (1, 1, 3, 32) for i in (1, 2)}
    state = {f"model.{key}.weight": torch.randn(shape) * 0.1 for key, shape in shapes.items()}
    state |= {f"model.{key}.bias": torch.zeros(shape[0]) for key, shape in shapes.items()}
    model = diffwave.from_official(state, params)
    process = diffwave.Process(steps=50, first=1e-4, last=0.05)
    torch.testing.assert_close(model.config.process.alphas(), process.alphas())
    assert isinstance(model, nn.Module) and model.config.mel.fmin == 20
    low, high = model.config.span
    assert model.config.mel.silence == pytest.approx(low) and high - low == pytest.approx(5.0)  # 100 dB
    assert model.vocode(torch.zeros(1, 2, 80), generator=torch.Generator().manual_seed(0)).shape == (1, 512)
