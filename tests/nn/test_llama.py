"""The Llama block: cache = whole, packed = separate, padding, what is not wanted, and transformers' own numbers."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from aoide import trace
from aoide.config import UserError
from aoide.nn import llama
from aoide.nn.llama import Llama, Settings, pack
from aoide.nn.official import adopt
from aoide.nn.rotary import Stretch

CAUSAL = Settings(dim=16, layers=2, heads=4, hidden=24, causal=True)
FORMS = {
    "causal": CAUSAL,
    "both ways": replace(CAUSAL, causal=False),
    "few keys": replace(CAUSAL, kv_heads=2, bias=True, rope_stretch=Stretch(factor=4, places=8)),
    "adaptive": replace(CAUSAL, causal=False, adaptive=True),
}


def made(settings: Settings) -> Llama:
    torch.manual_seed(0)
    network = Llama(settings).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.2)
    return network


def drawn(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(1))


@pytest.fixture(params=FORMS.values(), ids=FORMS)
def network(request: pytest.FixtureRequest) -> Llama:
    return made(request.param)


def condition(network: Llama, *shape: int) -> Tensor | None:
    return drawn(*shape, 16) if network.settings.adaptive else None


@torch.no_grad()
@pytest.mark.parametrize("form", ["causal", "few keys"])
def test_token_by_token_with_a_cache_is_the_whole(form: str) -> None:
    network, x = made(FORMS[form]), drawn(2, 9, 16)
    whole, cache = network(x), network.cache(batch=2, capacity=9)
    parts = [network(x[:, :4], cache=cache), *(network(x[:, i : i + 1], cache=cache) for i in range(4, 6))]
    parts.append(network(x[:, 6:], cache=cache))
    torch.testing.assert_close(torch.cat(parts, dim=1), whole, atol=1e-5, rtol=1e-5)
    cache.crop(5)
    torch.testing.assert_close(network(x[:, 5:], cache=cache, last=2), whole[:, -2:], atol=1e-5, rtol=1e-5)
    with pytest.raises(ValueError, match="room for 9 tokens, not for 10"):
        network(x[:, :1], cache=cache)
    with pytest.raises(ValueError, match="cannot be cut to 12"):
        cache.crop(12)


@torch.no_grad()
def test_a_batch_with_padding_in_front_decodes_as_alone() -> None:
    network, x = made(CAUSAL), drawn(2, 7, 16)
    mask = torch.ones(2, 7, dtype=torch.bool)
    mask[1, :3] = False
    cache = network.cache(batch=2, capacity=7)
    got = torch.cat([network(x[:, :5], mask[:, :5], cache=cache), network(x[:, 5:], cache=cache)], dim=1)
    torch.testing.assert_close(got[1, 3:], network(x[1:, 3:])[0], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(got[0], network(x[:1])[0], atol=1e-5, rtol=1e-5)
    assert torch.isfinite(got).all()
    cache.reset()
    torch.testing.assert_close(network(x, cache=cache), network(x), atol=1e-5, rtol=1e-5)


def test_packed_rows_are_their_parts(network: Llama) -> None:
    long, short = drawn(7, 16), drawn(3, 16)
    packed, lengths = pack([long, short])
    time = condition(network, 1)
    both = network(packed, None, time, lengths=lengths)[0]
    torch.testing.assert_close(both[:7], network(long[None], None, time)[0])
    torch.testing.assert_close(both[7:], network(short[None], None, time)[0])
    ends = network(packed, None, time, lengths=lengths, last=[4, 2])[0]
    torch.testing.assert_close(ends, torch.cat([both[3:7], both[8:]]))


def test_padding_behind_changes_nothing_and_the_last_are_the_last(network: Llama) -> None:
    x, mask = drawn(2, 6, 16), torch.arange(6) < torch.tensor([[6], [4]])
    each = condition(network, 2)
    got = network(x, mask, each)
    alone = network(x[1:, :4], None, None if each is None else each[1:])
    torch.testing.assert_close(got[1, :4], alone[0])
    torch.testing.assert_close(network(x, mask, each, last=3), got[:, 3:])


def test_a_condition_a_token() -> None:
    network, x, each = made(FORMS["adaptive"]), drawn(2, 6, 16), drawn(2, 1, 16)
    want = network(x, None, each[:, 0])
    torch.testing.assert_close(network(x, None, each.expand(-1, 6, -1)), want)
    torch.testing.assert_close(network(x, None, each.expand(-1, 6, -1), last=2), want[:, 4:])
    assert not torch.allclose(network(x, None, each[:, 0] + 1), want)


def test_attention_is_reported() -> None:
    network = made(FORMS["few keys"])
    with trace.record() as recording:
        network(drawn(1, 5, 16))
    first, second = recording.values("attention")
    assert first.shape == (1, 4, 5, 5) and not first.triu(1).any()
    torch.testing.assert_close(second.sum(-1), torch.ones(1, 4, 5))


@pytest.mark.parametrize(
    ("change", "message"),
    [({"heads": 3}, "3 heads an even number"), ({"kv_heads": 3}, "kv_heads 3"), ({"layers": 0}, "1 or more")],
)
def test_settings_that_do_not_go_together(change: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(CAUSAL, **change)


def split(network: Llama, prefix: str) -> dict[str, Tensor]:
    """The state dict under transformers' names."""
    own, other = network.settings.dim, network.settings.kv_dim
    state: dict[str, Tensor] = {f"{prefix}layers.0.self_attn.rotary_emb.inv_freq": torch.zeros(2)}
    for key, value in network.state_dict().items():
        stem, _, name = key.rpartition(".")
        if stem.endswith("attention.project"):
            for letter, part in zip("qkv", value.split([own, other, other]), strict=True):
                state[f"{prefix}{stem.removesuffix('attention.project')}self_attn.{letter}_proj.{name}"] = part
        elif stem.endswith("expand"):
            for word, part in zip(("gate", "up"), value.chunk(2), strict=True):
                state[f"{prefix}{stem.removesuffix('expand')}mlp.{word}_proj.{name}"] = part
        else:
            names = {
                "attention.out": "self_attn.o_proj",
                "contract": "mlp.down_proj",
                "attention_norm": "input_layernorm",
                "mlp_norm": "post_attention_layernorm",
            }
            place, _, last = stem.replace("attention.out", "attention-out").rpartition(".")
            word = names.get(last.replace("attention-out", "attention.out"), last)
            state[f"{prefix}{place}{'.' if place else ''}{word}.{name}"] = value
    return state


def test_published_keys() -> None:
    network = made(FORMS["few keys"])
    state = split(network, "model.") | {"model.embed_tokens.weight": torch.zeros(1), "lm_head.weight": torch.zeros(1)}
    renamed = llama.official(state, network.settings, "model.")
    assert renamed.keys() == network.state_dict().keys()
    assert all(torch.equal(value, network.state_dict()[key]) for key, value in renamed.items())
    deeper = split(made(replace(CAUSAL, layers=3)), "")
    with pytest.raises(UserError, match="has beyond the model layers.2"):
        adopt(made(CAUSAL), llama.official(deeper, CAUSAL), "Llama")


@pytest.mark.slow  # 8 s: imports transformers
@torch.no_grad()
def test_numbers_are_those_of_transformers() -> None:
    transformers = pytest.importorskip("transformers")
    settings = replace(CAUSAL, kv_heads=2, rope_base=500.0, norm_eps=1e-5)
    network = made(settings)
    shape = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 24}
    theirs = transformers.LlamaModel(
        transformers.LlamaConfig(
            **shape,
            num_key_value_heads=2,
            rms_norm_eps=1e-5,
            vocab_size=8,
            rope_parameters={
                "rope_type": "llama3",
                "rope_theta": 500.0,
                "factor": 4.0,
                "low_freq_factor": 1.0,
                "high_freq_factor": 4.0,
                "original_max_position_embeddings": 16,
            },
        )
    ).eval()
    ours = Llama(replace(settings, rope_stretch=Stretch(factor=4, places=16))).eval()
    ours.load_state_dict(llama.official(theirs.state_dict(), settings))
    x = drawn(2, 9, 16)
    torch.testing.assert_close(ours(x), theirs(inputs_embeds=x).last_hidden_state, atol=1e-5, rtol=1e-5)
    assert not torch.allclose(network(x), ours(x))
