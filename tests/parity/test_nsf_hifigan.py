"""NSF-HiFiGAN against openvpi's two forms and Amphion's, over every pack of these forms; the sources by themselves."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn

from aoide.config import UserError
from aoide.models.vocoder import nsf_hifigan
from aoide.nn import sourcefilter
from tests.parity import packs

OPENVPI = packs.matching("diffsinger_openvpi", "nsf_hifigan", "pc_nsf_hifigan")
AMPHION = packs.matching("amphion_vocoder", "nsfhifigan")
SO_VITS = packs.matching("so_vits_svc", "nsf_hifigan", "nsf_snake_transformer_flow")


def _source(model: nsf_hifigan.Model, f0: Tensor, draws: Iterator[Tensor]) -> Tensor:
    """`model.source` with recorded draws: random phases, then noise, then that of the hidden layer."""
    config = model.config
    parts = [model.source(f0)[..., :2]]
    if config.source == "harmonics":
        offsets = next(draws).flatten(0, -2).clone()
        offsets[:, 0] = 0
        parts.append(offsets[:, None].expand(len(f0), f0.shape[1], -1))
        parts.append(next(draws).unflatten(1, (f0.shape[1], -1)).flatten(2))
    if config.noise:
        parts.append(next(draws).mT)
    return torch.cat(parts, dim=2)


@pytest.mark.parametrize("name", OPENVPI)
@torch.no_grad()
def test_openvpi(name: str) -> None:
    pack = packs.load(name)
    model = nsf_hifigan.from_official(pack.state, pack.config).eval()
    f0, mel = pack.inputs["f0"], pack.inputs["mel"].mT
    draws = iter(pack.draws("forward"))
    source = _source(model, f0, draws)
    assert next(draws, None) is None, "every recorded draw is used"
    signal, _ = model.excitation(source)
    har = signal[:, None] if model.config.source == "sine" else signal[..., None]
    got = {"wav": model(mel, source=source)[:, None], "mid.har_source": har}
    packs.check(pack, got)
    assert set(pack.out) <= set(got), "every recorded output is compared"


@pytest.mark.parametrize("name", AMPHION)
@torch.no_grad()
def test_amphion_whose_source_is_never_heard(name: str) -> None:
    """Its offsets are added to the frequency of the first frame instead of the phase: `ahead` is what comes of that."""
    pack = packs.load(name)
    model = nsf_hifigan.from_official(pack.state, pack.config).eval()
    f0, (offsets, noise) = pack.inputs["f0"], pack.draws("forward")
    hop = model.config.mel.hop
    offsets = offsets.clone()
    offsets[:, 0] = 0
    place = torch.arange(1, f0.shape[1] * hop + 1, dtype=torch.float64).clamp(max=hop)
    ahead = (offsets.double()[:, None] * place[:, None]).unflatten(1, (-1, hop)) % 1
    got = {
        "wav": model(pack.inputs["mel"].mT, f0)[:, None],
        "mid.har_source": _merged(pack, f0, ahead.float(), noise, model.config.mel.sample_rate, "m_source"),
    }
    packs.check(pack, got)
    assert set(pack.out) <= set(got), "every recorded output is compared"


@pytest.mark.parametrize("name", SO_VITS)
@torch.no_grad()
def test_source_of_so_vits_svc(name: str) -> None:
    """Its decoder comes with its model; the source, which hears a slice of the F0 in training, is ours already."""
    pack = packs.load(name)
    if "har_source" not in pack.mid:
        pytest.skip("this pack has no source")
    draws, length = pack.draws("forward"), pack.config["segment_size"]
    pairs = [(a, b) for a, b in pairwise(draws) if a.ndim == 2 and b.ndim == 3 and a.shape[1] == b.shape[2]]
    ((offsets, noise),) = pairs  # random phases, then noise
    offsets = offsets.clone()
    offsets[:, 0] = 0
    starts = pack.out["forward.ids_slice"]
    f0 = torch.stack([row[start : start + length] for row, start in zip(pack.inputs["f0"], starts, strict=True)])
    har = _merged(pack, f0, offsets, noise, pack.config["sampling_rate"], "dec.m_source")
    packs.check(pack, {"mid.har_source": har})


def _merged(pack: packs.Pack, f0: Tensor, offsets: Tensor, noise: Tensor, rate: int, module: str) -> Tensor:
    """The source as the networks hear it: (batch, samples, 1)."""
    noise = noise.unflatten(1, (f0.shape[1], -1))
    sines = sourcefilter.partials(sourcefilter.sine_phase(f0, noise.shape[2], rate), offsets)
    weight, bias = (pack.state[f"{module}.l_linear.{part}"] for part in ("weight", "bias"))
    return torch.tanh(nn.functional.linear(sourcefilter.breathing(sines, f0, noise), weight, bias)).flatten(1, 2)


@torch.no_grad()
def test_published_configuration_form() -> None:
    """config.json of the release has all of the mel, and old ones know neither mini_nsf nor noise_sigma."""
    pack = packs.load(next(name for name in OPENVPI if name.endswith("/nsf_hifigan")))
    old = {key: value for key, value in pack.config.items() if key not in ("mini_nsf", "noise_sigma")}
    full = old | {"n_fft": 1024, "win_size": 1024, "hop_size": 16, "fmin": 40, "fmax": None}
    bare = {key.removeprefix("generator."): value for key, value in pack.state.items()}
    one, two = nsf_hifigan.from_official(pack.state, pack.config), nsf_hifigan.from_official(bare, full)
    assert two.config.mel.n_fft == 1024 and two.config.mel.fmax == 22_050 and one.config.mel.fmax == 16_000
    inputs = (pack.inputs["mel"].mT, pack.inputs["f0"])
    sounds = [model(*inputs, generator=torch.Generator().manual_seed(0)) for model in (one, two)]
    assert torch.equal(*sounds)


def test_what_does_not_fit_is_told() -> None:
    pack = packs.load(OPENVPI[0])
    with pytest.raises(UserError, match="NSF-HiFiGAN checkpoint does not fit.*lacks"):
        nsf_hifigan.from_official(dict(list(pack.state.items())[1:]), pack.config)
    model = nsf_hifigan.from_official(pack.state, pack.config)
    with pytest.raises(UserError, match="reads MelConfig.*n_mels=9"):
        model(torch.zeros(1, 5, 80), torch.zeros(1, 5))
    with pytest.raises(UserError, match=r"reads F0 as well: \(1, 5\) of it for this mel, not \(1, 6\)"):
        model(torch.zeros(1, 5, 9), torch.zeros(1, 6))
    with pytest.raises(UserError, match="reads F0 as well.* not nothing"):
        model(torch.zeros(1, 5, 9))
