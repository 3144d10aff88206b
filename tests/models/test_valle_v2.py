"""VALL-E's second form: the published names, decoding step by step, and what is refused."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from aoide.config import UserError
from aoide.models.tts import valle_v2
from aoide.nn.token_lm import Sampling


def published(config: valle_v2.Config) -> dict[str, Tensor]:
    """A state dict with the keys and shapes of Amphion's two networks."""
    dim, vocabulary = config.dim, config.vocabulary
    state = {
        "ar.model.model.embed_tokens.weight": (vocabulary, dim),
        "ar.model.lm_head.weight": (vocabulary, dim),
        "ar.model.model.norm.weight": (dim,),
        "nar.model.model.embed_tokens.weight": (vocabulary, dim),
        "nar.model.model.embed_cond.weight": (config.codebooks, dim),
        "nar.model.model.norm.to_weight.weight": (dim, dim),
        "nar.model.model.norm.to_weight.bias": (dim,),
        "nar.phone_embedder.weight": (config.symbols + valle_v2.MARKS, dim),
    }
    state |= {
        f"nar.prompt_embedder.embeddings.{i}.weight": (config.codebook_size, dim) for i in range(config.codebooks)
    }
    state |= {f"nar.model.lm_head.{i}.weight": (vocabulary, dim) for i in range(config.codebooks - 1)}
    for part in ("ar", "nar"):
        for layer in range(config.layers):
            stem = f"{part}.model.model.layers.{layer}."
            state |= {f"{stem}self_attn.{name}_proj.weight": (dim, dim) for name in "qkvo"}
            state |= {f"{stem}mlp.{name}_proj.weight": (config.hidden, dim) for name in ("gate", "up")}
            state[f"{stem}mlp.down_proj.weight"] = (dim, config.hidden)
            for norm in ("input_layernorm", "post_attention_layernorm"):
                adaptive = {f"{stem}{norm}.to_weight.weight": (dim, dim), f"{stem}{norm}.to_weight.bias": (dim,)}
                state |= adaptive if part == "nar" else {f"{stem}{norm}.weight": (dim,)}
    draw = torch.Generator().manual_seed(0)
    return {key: 0.2 * torch.randn(shape, generator=draw) for key, shape in state.items()}


def test_every_published_key_is_used() -> None:
    state = published(valle_v2.TOY)
    config = {"num_attention_heads": valle_v2.TOY.heads}
    model = valle_v2.from_official(state, config)
    assert (model.config.symbols, model.config.hidden) == (valle_v2.TOY.symbols, valle_v2.TOY.hidden)
    assert torch.equal(model.books.weight, state["nar.model.model.embed_cond.weight"])
    for extra in ("nar.extra", "ar.extra", "nar.model.model.layers.0.extra"):
        with pytest.raises(UserError, match="beyond the model .*extra"):
            valle_v2.from_official({**state, extra: torch.zeros(1)}, config)
    with pytest.raises(UserError, match=r"lacks first\.head\.weight$"):
        valle_v2.from_official({key: value for key, value in state.items() if key != "ar.model.lm_head.weight"}, config)
    with pytest.raises(UserError, match="needs both state dicts"):
        valle_v2.from_official({key: value for key, value in state.items() if key.startswith("ar.")}, config)


def test_speaks_codes_alone_and_the_same_from_the_same_seed() -> None:
    torch.manual_seed(0)
    model = valle_v2.Model(valle_v2.TOY).eval()
    tokens, prompt = torch.tensor([[3, 4, 5]]), torch.tensor([[[1, 2], [3, 4]]])
    sampling = Sampling(temperature=1.0)
    codes = [
        model.speak(tokens, prompt, sampling=sampling, most=12, generator=torch.Generator().manual_seed(seed))
        for seed in (1, 1, 2)
    ]
    assert codes[0].shape[2] == 2 and int(codes[0].max()) < valle_v2.TOY.codebook_size
    assert torch.equal(codes[0], codes[1])
    with pytest.raises(UserError, match="one text at a time"):
        model.speak(tokens.expand(2, -1), prompt)


def test_what_is_filled_in_is_what_training_sees() -> None:
    torch.manual_seed(0)
    model = valle_v2.Model(valle_v2.TOY).eval()
    tokens, mask = torch.tensor([[3, 4, 5]]), torch.ones(1, 3, dtype=torch.bool)
    codes = torch.randint(0, valle_v2.TOY.codebook_size, (1, 6, 2))
    codes[:, 2:] = model.fill(tokens, codes[:, :2], codes[:, 2:, 0])
    with torch.no_grad():
        output = model(tokens, mask, codes, book=torch.tensor([1]), prompt_frames=torch.tensor([2]))
    assert torch.equal(output.later_scores.argmax(-1)[output.later_mask], codes[:, 2:, 1].flatten())
