"""F5, E2 and MMDiT: what training hides, how long speech is, that a batch speaks as its items do, published sizes."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor

from aoide.config import UserError
from aoide.models.tts import _infill, e2, f5, f5_mmdit
from aoide.models.tts._infill import Concealment
from aoide.nn import dit
from aoide.nn.lengths import mask_from_lengths

MODULES = [f5, e2, f5_mmdit]


def words(module: ModuleType, tokens: Tensor) -> dict[str, Tensor]:
    return {"tokens": tokens} | ({"token_mask": tokens != 0} if module is f5_mmdit else {})


def awake(module: ModuleType) -> Any:
    """A toy whose parameters are off their first values, with which it would say nothing."""
    torch.manual_seed(0)
    model = module.Model(module.TOY).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.1)
    return model


def test_a_hole_has_its_share_and_stays_inside() -> None:
    lengths = torch.tensor([10, 7, 1])
    for place in (0.0, 0.5, 0.999):
        hidden = _infill.hole(lengths, torch.tensor([0.7, 1.0, 0.7]), torch.full((3,), place), 12)
        assert hidden.sum(1).tolist() == [7, 7, 1], "at least one frame"
        assert not (hidden & ~mask_from_lengths(lengths, 12)).any()
    assert _infill.hole(lengths[:1], torch.tensor([0.5]), torch.tensor([0.5]), 10)[0].nonzero()[0] == 2


def test_what_is_dropped_is_not_given() -> None:
    batch = {"mel": torch.ones(400, 10, 2), "frame_mask": mask_from_lengths(torch.full((400,), 10))}
    fields = _infill.conceal(Concealment(), batch, torch.Generator().manual_seed(0))
    assert not fields["given"][fields["hidden"]].any()
    silent = (fields["given"] == 0).all((1, 2)) & ~fields["hidden"].all(1)
    assert 0.15 < fields["drop_text"].float().mean() < 0.25
    assert not fields["given"][fields["drop_text"]].any(), "without the text it does not hear the sound either"
    heard = ~fields["hidden"].all(1)
    assert 0.37 < (silent & heard).sum() / heard.sum() < 0.51, "0.2 + 0.8 * 0.3"
    with pytest.raises(ValueError, match="least <= most"):
        Concealment(least=0.9, most=0.5)


def test_the_published_rule_of_lengths() -> None:
    assert f5.frames_to_speak("a prompt of 20 bytes", "ten bytes!", 200) == 100
    assert f5.frames_to_speak("a prompt of 20 bytes", "ten bytes!", 200, speed=2.0) == 50
    assert f5.frames_to_speak("a prompt of 20 bytes", "short", 200) == int(50 / 0.3)
    with pytest.raises(UserError, match="0 bytes"):
        f5.frames_to_speak("", "text", 200)


@pytest.mark.parametrize("module", MODULES)
def test_a_batch_speaks_as_its_items_do(module: ModuleType) -> None:
    model = awake(module)
    tokens, prompt = torch.tensor([[3, 4, 5, 6], [7, 8, 0, 0]]), torch.randn(2, 4, 6)
    frames, heard, noise = torch.tensor([12, 9]), torch.tensor([4, 3]), torch.randn(2, 12, 6)
    settings = {"steps": 2, "guidance": 1.5}
    both = model.speak(
        **words(module, tokens), prompt=prompt, frames=frames, prompt_frames=heard, noise=noise, **settings
    )
    alone = model.speak(
        **words(module, tokens[1:, :2]), prompt=prompt[1:, :3], frames=frames[1:], noise=noise[1:, :9], **settings
    )
    torch.testing.assert_close(both[1:, :9], alone, atol=1e-5, rtol=1e-4)
    assert torch.equal(both[0, :4], prompt[0]), "the prompt stands at the head as it was"
    assert not torch.allclose(
        both, model.speak(**words(module, tokens), prompt=prompt, frames=frames, prompt_frames=heard, noise=noise)
    )


def test_chance_comes_from_the_generator_and_too_short_is_told() -> None:
    model = awake(f5)
    ask = {"tokens": torch.tensor([[3, 4]]), "prompt": torch.randn(1, 4, 6), "frames": torch.tensor([9]), "steps": 1}
    one, two, other = (model.speak(**ask, generator=torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert torch.equal(one, two) and not torch.equal(one, other)
    with pytest.raises(UserError, match="more than those"):
        model.speak(**{**ask, "frames": torch.tensor([4])})
    with pytest.raises(UserError, match="5 frames cannot hold a text of 6 symbols"):
        model.speak(**{**ask, "frames": torch.tensor([5]), "tokens": torch.full((1, 6), 3)})


def test_spreading_repeats_each_symbol_alike() -> None:
    x = torch.tensor([[1.0, 2, 3, 0, 0, 0, 0, 0], [4.0, 5, 0, 0, 0, 0, 0, 0]])[..., None]
    spread = dit.spread(x, x[..., 0] != 0, torch.tensor([8, 5]))[..., 0]
    assert spread.tolist() == [[1, 1, 2, 2, 2, 3, 3, 3], [4, 4, 5, 5, 5, 0, 0, 0]], "the last ones are the longer ones"


def test_published_weights_come_without_a_configuration() -> None:
    for module in (f5, e2):
        assert module.OFFICIAL_FILES
        arch, _ = _infill.sizes_of({}, module._USUAL)
        config = module.Config()
        assert (arch["dim"], arch["depth"], arch["heads"]) == (config.dim, config.layers, config.heads)
        assert arch["dim"] * arch["ff_mult"] == config.hidden and arch.get("pe_attn_head") == config.rotary_heads


@pytest.mark.parametrize(("module", "millions"), [(f5, 337.10), (e2, 333.47)])
def test_published_sizes(module: ModuleType, millions: float) -> None:
    with torch.device("meta"):
        model = module.Model(module.Config())
    assert sum(parameter.numel() for parameter in model.parameters()) / 1e6 == pytest.approx(millions, abs=0.01)
