"""Conditional layer norm: a plain one at first, then the condition's; and FastSpeech 2 that adapts by it."""

from dataclasses import replace

import pytest
import torch

from aoide.models.tts import fastspeech2
from aoide.nn.conditional_norm import ConditionalLayerNorm, added
from aoide.nn.freeze import freeze
from aoide.objectives import inputs
from aoide.train import checkpoint


def test_it_is_plain_until_it_has_learned() -> None:
    torch.manual_seed(0)
    x, who = torch.randn(2, 5, 8), torch.randn(2, 3)
    norm = ConditionalLayerNorm(8, 3)
    assert torch.equal(norm(x, who), torch.nn.functional.layer_norm(x, (8,)))
    torch.nn.init.normal_(norm.scale.weight)
    torch.nn.init.normal_(norm.shift.weight)
    normal = torch.nn.functional.layer_norm(x, (8,))
    expected = normal * (1 + norm.scale(who))[:, None] + norm.shift(who)[:, None]  # the paper's form
    assert torch.allclose(norm(x, who), expected, atol=1e-6)
    assert torch.equal(norm(x), normal)


def test_a_trained_model_of_several_speakers_goes_over_into_one_for_a_new_speaker() -> None:
    torch.manual_seed(0)
    old = fastspeech2.Model(fastspeech2.TOY).eval()
    config = replace(fastspeech2.TOY, speakers=1, conditional_norm=True)
    new = fastspeech2.Model(config).eval()
    checkpoint.fill(new, fastspeech2.started(old.state_dict(), new), "test")
    batch = fastspeech2.example(fastspeech2.TOY, generator=torch.Generator().manual_seed(0))
    batch["speaker"] = torch.zeros(2, dtype=torch.long)
    with torch.no_grad():
        old.speakers.weight[0] = old.speakers.weight.mean(0)
    said = [model(**inputs(fastspeech2, batch)).mel for model in (old, new)]
    assert torch.equal(*said), "the new speaker starts as the mean of those known"


def test_only_the_speaker_and_the_norms_are_trained() -> None:
    model = fastspeech2.Model(replace(fastspeech2.TOY, speakers=1, conditional_norm=True))
    freeze({"model": model}, ["*", "!speakers", "!*.scale", "!*.shift"])
    trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert "speakers.weight" in trained and len(trained) == 5
    assert all(added(name) for name in trained - {"speakers.weight"})


def test_norms_that_listen_need_a_speaker() -> None:
    with pytest.raises(ValueError, match="conditional_norm needs speakers"):
        fastspeech2.Config(conditional_norm=True)
