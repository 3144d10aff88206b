"""Matcha-TTS, NaturalSpeech 2, JETS and VALL-E in use: batches, what steers them, what is refused."""

from __future__ import annotations

from dataclasses import replace
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from aoide.config import UserError
from aoide.external import encodec
from aoide.models.tts import jets, matcha, naturalspeech2, valle
from aoide.nn.token_lm import Sampling

TOKENS = torch.tensor([[3, 4, 5, 6], [7, 8, 0, 0]])
MASK = TOKENS != 0
DURATIONS = torch.tensor([[3, 4, 2, 5], [6, 3, 0, 0]])
SPEAKER = torch.tensor([0, 1])


def awake(module: ModuleType, config: Any = None) -> Any:
    """A toy whose parameters are off their first values, with which it would say nothing."""
    torch.manual_seed(0)
    model = module.Model(config or module.TOY).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.1)
    return model


def test_matcha_speaks_a_batch_as_its_items() -> None:
    model, noise = awake(matcha), torch.randn(2, 14, 6)
    ask = {"speaker": SPEAKER, "durations": DURATIONS, "noise": noise, "steps": 2}
    both = model.speak(TOKENS, MASK, **ask)
    item = {"speaker": SPEAKER[1:], "durations": DURATIONS[1:, :2], "noise": noise[1:, :9], "steps": 2}
    alone = model.speak(TOKENS[1:, :2], MASK[1:, :2], **item)
    torch.testing.assert_close(both.mel[1:, :9], alone.mel, atol=1e-5, rtol=1e-4)
    assert both.frame_mask.sum(1).tolist() == [14, 9]


def test_matcha_is_faster_where_asked() -> None:
    model = awake(matcha)
    log_durations = torch.tensor([[1.9, 2.1, 0.5, 1.2]])
    real = torch.ones(1, 4, dtype=torch.bool)
    plain, half = (model._frames(log_durations, real, slower) for slower in (1.0, 0.5))
    assert plain.tolist() == [[7, 9, 2, 4]] and int(half.sum()) == 11
    with pytest.raises(UserError, match="speed must be above 0"):
        model.speak(TOKENS, MASK, SPEAKER, speed=0.0)
    with pytest.raises(ValueError, match="give speaker"):
        model.speak(TOKENS, MASK)


@pytest.mark.parametrize("sampler", ["euler", "ddim"])
def test_naturalspeech2_speaks_a_batch_as_its_items(sampler: Any) -> None:
    model, noise = awake(naturalspeech2), torch.randn(2, 14, 6)
    prompt = torch.randint(0, 7, (2, 5, 2))
    heard = torch.tensor([[True] * 5, [True, True, True, False, False]])
    steps = {"steps": 3, "sampler": sampler}
    both, _ = model.speak(TOKENS, MASK, prompt, heard, durations=DURATIONS, noise=noise, **steps)
    alone, prior = model.speak(
        TOKENS[1:, :2], MASK[1:, :2], prompt[1:, :3], durations=DURATIONS[1:, :2], noise=noise[1:, :9], **steps
    )
    torch.testing.assert_close(both[1:, :9], alone, atol=1e-4, rtol=1e-3)
    assert prior.mask.shape == (1, 9) and model.nearest(alone)[0].shape == (1, 9, 2)
    with pytest.raises(UserError, match="no sampler 'heun'"):
        model.speak(TOKENS, MASK, prompt, sampler="heun")


def test_naturalspeech2_takes_the_tables_of_the_codec_once(monkeypatch: pytest.MonkeyPatch) -> None:
    toy = replace(naturalspeech2.TOY, codec="somebody/encodec")
    tables, asked = torch.randn(3, 7, 6), []

    def load(source: str) -> Any:
        asked.append(source)
        layers = [SimpleNamespace(codebook=SimpleNamespace(embed=table)) for table in tables]
        return SimpleNamespace(network=SimpleNamespace(quantizer=SimpleNamespace(layers=layers)))

    monkeypatch.setattr(encodec, "load", load)
    model = naturalspeech2.Model(toy)
    batch = naturalspeech2.example(toy)
    for _ in range(2):
        fields = model.conceal(batch, None)
    assert asked == ["somebody/encodec"] and torch.equal(model.tables, tables[:2])
    assert torch.equal(fields["latent"], tables[0][batch["codes"][..., 0]] + tables[1][batch["codes"][..., 1]])
    assert not (fields["asked"] & ~batch["frame_mask"]).any() and fields["prompt_mask"].any(1).all()
    lasting = batch["frame_mask"].sum(1)
    assert torch.equal(fields["asked"].sum(1) + fields["prompt_mask"].sum(1), lasting), "the prompt is not asked for"
    with pytest.raises(UserError, match=r"has \(2, 7, 6\) codebooks, codes and channels, the model \(2, 7, 5\)"):
        naturalspeech2.Model(replace(toy, latent=5)).conceal(batch, None)


def test_jets_is_steered() -> None:
    model = awake(jets)
    ask: dict[str, Tensor] = {"tokens": TOKENS, "token_mask": MASK, "speaker": SPEAKER, "durations": DURATIONS}
    plain, high = model.infer(**ask), model.infer(**ask, pitch_shift=12.0)
    octave = model.config.pitch.shift(plain.token_pitch, 12.0)
    torch.testing.assert_close(high.token_pitch, octave)
    assert plain.audio.shape == (2, 14 * 16) and not torch.allclose(plain.audio, high.audio)
    assert not plain.audio[1, 9 * 16 :].any(), "what pads is silent"
    with pytest.raises(ValueError, match="comes with f0 and energy"):
        model(TOKENS, MASK, mel=torch.zeros(2, 14, 8), speaker=SPEAKER)


@pytest.mark.parametrize("begin", [False, True])
def test_valle_goes_on(begin: bool) -> None:
    model = awake(valle, replace(valle.TOY, begin=begin))
    prompt = torch.randint(0, 9, (1, 4, 2))
    one, two = (
        model.speak(TOKENS[:1], prompt, sampling=Sampling(), most=7, generator=torch.Generator().manual_seed(3))
        for _ in range(2)
    )
    assert torch.equal(one, two) and one.shape[2] == 2 and int(one.max()) < 9
    if not begin:
        with pytest.raises(UserError, match="needs a prompt"):
            model.speak(TOKENS[:1], prompt[:, :0])
    with pytest.raises(UserError, match="one text at a time"):
        model.speak(TOKENS, prompt)
    with pytest.raises(UserError, match="end came before the first code"):
        model.speak(TOKENS[:1], prompt, choose=lambda scores, before: 9)
