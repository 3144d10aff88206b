"""Llasa and CosyVoice 2: published key maps at toy size, decoding, and what streams and what cannot be is told."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from aoide.config import UserError
from aoide.models.codec import coco
from aoide.models.tts import cosyvoice2, cosyvoice2_flow, llasa
from aoide.models.vc import noro, vevo, vevo_ar
from aoide.nn import distance
from aoide.nn.distance import DistanceAttention
from aoide.nn.rotary import Stretch
from aoide.nn.token_lm import Sampling

GREEDY = Sampling(temperature=0)


def llama(head: str, dim: int, hidden: int, kv: int, layers: int = 2, bias: bool = False) -> dict[str, Tensor]:
    """A state dict with the names of transformers' LlamaModel or Qwen2Model."""
    shapes: dict[str, tuple[int, ...]] = {"norm.weight": (dim,)}
    for layer in range(layers):
        stem = f"layers.{layer}."
        shapes |= {f"{stem}{name}_layernorm.weight": (dim,) for name in ("input", "post_attention")}
        for name, rows in {"q": dim, "k": kv, "v": kv, "o": dim}.items():
            shapes[f"{stem}self_attn.{name}_proj.weight"] = (rows, dim)
            if bias and name != "o":
                shapes[f"{stem}self_attn.{name}_proj.bias"] = (rows,)
        shapes |= {f"{stem}mlp.{name}_proj.weight": (hidden, dim) for name in ("gate", "up")}
        shapes[f"{stem}mlp.down_proj.weight"] = (dim, hidden)
    return {head + name: torch.randn(shape) * 0.2 for name, shape in shapes.items()}


LLASA = {
    "model_type": "llama",
    "vocab_size": 12 + 8 + 16,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 24,
    "rms_norm_eps": 1e-5,
    "rope_theta": 500_000.0,
    "rope_scaling": {
        "factor": 32.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192,
        "rope_type": "llama3",
    },
    "tie_word_embeddings": True,
    "speech_codes": 16,
}


def published_llasa() -> dict[str, Tensor]:
    torch.manual_seed(0)
    return llama("model.", 16, 24, 8) | {"model.embed_tokens.weight": torch.randn(36, 16)}


def test_llasa_loads_what_was_published() -> None:
    state = published_llasa()
    model = llasa.from_official(state, LLASA)
    assert model.config.symbols == 12 and model.config.rope_stretch == Stretch() and model.lm.head is None
    assert (model.begin, model.end, model.begin_codes, model.end_codes, model.first) == (14, 15, 16, 17, 20)
    torch.testing.assert_close(
        model.lm.llama.layers[1].attention.project.weight,
        torch.cat([state[f"model.layers.1.self_attn.{name}_proj.weight"] for name in "qkv"]),
    )
    newer = {key: value for key, value in LLASA.items() if key not in ("rope_theta", "rope_scaling")}
    newer["rope_parameters"] = {"rope_theta": 500_000.0, **LLASA["rope_scaling"]}  # type: ignore[dict-item]
    assert llasa.from_official(state, newer).config == model.config
    untied = llasa.from_official(
        state | {"lm_head.weight": torch.randn(36, 16)}, LLASA | {"tie_word_embeddings": False}
    )
    assert untied.lm.head is not None
    with pytest.raises(UserError, match="beyond the model strange"):
        llasa.from_official(state | {"strange": torch.zeros(1)}, LLASA)
    with pytest.raises(UserError, match="lacks lm.table.weight"):
        llasa.from_official({key: value for key, value in state.items() if "embed" not in key}, LLASA)
    with pytest.raises(UserError, match="of qwen2, not of a Llama"):
        llasa.from_official(state, LLASA | {"model_type": "qwen2"})
    with pytest.raises(UserError, match="no room for 65536 codes"):
        llasa.from_official(state, {key: value for key, value in LLASA.items() if key != "speech_codes"})


@pytest.mark.slow  # 5 s: torch wakes up its meta device
def test_published_sizes_are_those_of_the_cards() -> None:
    """Without memory: the parameters are counted, not filled."""
    c = llasa.Config()
    assert c.symbols + llasa.MARKS + c.codes == 193_800
    assert (c.settings.head_dim, c.settings.kv_dim) == (64, 512)
    assert (cosyvoice2.Config().settings.head_dim, cosyvoice2.Config().settings.kv_dim) == (64, 128)
    sizes = {llasa: 1370.0, cosyvoice2: 505.8, cosyvoice2_flow: 112.5, vevo: 337.7, vevo_ar: 743.3, noro: 243.3}
    with torch.device("meta"):
        for module, millions in {**sizes, coco: 61.2}.items():
            count = sum(p.numel() for p in module.Model(module.Config()).parameters()) / 1e6  # type: ignore[attr-defined]
            assert count == pytest.approx(millions, abs=0.06), module.__name__


@torch.no_grad()
def test_llasa_goes_on_after_a_prompt() -> None:
    model = llasa.from_official(published_llasa(), LLASA).eval()
    tokens, prompt = torch.tensor([1, 2, 3]), torch.tensor([4, 5])
    codes = model.speak(tokens, prompt, sampling=GREEDY, most=14)
    assert codes.ndim == 2 and codes.shape[1] == 1 and (codes < 16).all()
    chat = torch.tensor([9, 14, 1, 2, 3, 15, 9, 16])  # what a tokenizer makes: ends with the mark of speech
    asked = []
    model.speak(chat, prompt, most=12, choose=lambda scores, before: asked.append(scores) or 17)
    rows = torch.cat([chat, prompt + 20])
    torch.testing.assert_close(asked[0], model.lm(model.lm.table(rows)[None])[0, -1])
    with pytest.raises(UserError, match="take 8 places of 8"):
        model.speak(tokens, prompt, most=8)
    with pytest.raises(UserError, match="from 0 to 15"):
        model.speak(tokens, torch.tensor([16]))


def test_llasas_prompt_is_a_chat() -> None:
    class Tokenizer:
        def apply_chat_template(self, chat: list[dict[str, str]], **settings: Any) -> list[int]:
            assert settings["continue_final_message"] and chat[1]["content"] == "<|SPEECH_GENERATION_START|>"
            assert chat[0]["content"].endswith("<|TEXT_UNDERSTANDING_START|>Hi.<|TEXT_UNDERSTANDING_END|>")
            return [1, 2]

    assert llasa.prompt(Tokenizer(), "Hi.") == [1, 2]


# ---------------------------------------------------------------------------------------------------------- CosyVoice 2


def published_lm() -> dict[str, Tensor]:
    torch.manual_seed(0)
    state = llama("llm.model.model.", 128, 24, 64, bias=True)
    table = torch.randn(12, 128)
    return state | {
        "llm.model.model.embed_tokens.weight": table,
        "llm.model.lm_head.weight": table,
        "llm_embedding.weight": torch.randn(2, 128),
        "speech_embedding.weight": torch.randn(19, 128),
        "llm_decoder.weight": torch.randn(19, 128) * 0.3,
        "llm_decoder.bias": torch.randn(19),
    }


@torch.no_grad()
def test_cosyvoice_speaks_with_published_names() -> None:
    state = published_lm()
    model = cosyvoice2.from_official(state, {}).eval()
    c = model.config
    assert (c.symbols, c.codes, c.heads, c.kv_heads, c.layers, c.hidden) == (12, 16, 2, 1, 2, 24)
    assert torch.equal(model.head.bias, state["llm_decoder.bias"])
    tokens, said, prompt = torch.tensor([1, 2, 3]), torch.tensor([4]), torch.tensor([5, 6])
    codes = model.speak(tokens, said, prompt, generator=torch.Generator().manual_seed(0))
    assert 6 <= len(codes) <= 60 and (codes < 16).all()
    asked: list[Tensor] = []
    list(model.stream(tokens, said, prompt, choose=lambda scores, before: asked.append(scores) or 16))
    output = model(torch.tensor([[4, 1, 2, 3]]), prompt[None, :, None])
    torch.testing.assert_close(asked[0][:16], output.scores[0, -1, :16])
    assert not torch.isfinite(asked[0][16:]).any(), "no end before two codes a token"
    assert output.targets[output.mask].tolist() == [5, 6, 16]
    with pytest.raises(UserError, match="lack 'speech_embedding.weight'"):
        cosyvoice2.from_official({k: v for k, v in state.items() if "speech" not in k}, {})
    with pytest.raises(UserError, match="beyond the model strange"):
        cosyvoice2.from_official(state | {"strange": torch.zeros(1)}, {})
    with pytest.raises(UserError, match="tokens are a row"):
        model.speak(torch.tensor([12]))


def published_flow() -> dict[str, Tensor]:
    """Names and shapes of flow.pt: 8 heads, an encoder of 1 + 1 layers, a decoder of 1 + 1 + 1 stages."""
    torch.manual_seed(0)
    dim, mels, channels, inner = 16, 6, 8, 16
    shapes: dict[str, tuple[int, ...]] = {
        "input_embedding.weight": (16, dim),
        **linear("spk_embed_affine_layer", mels, 5),
        **linear("encoder_proj", mels, dim),
        **linear("encoder.embed.out.0", dim, dim),
        **linear("encoder.embed.out.1", dim),
        **linear("encoder.up_embed.out.0", dim, dim),
        **linear("encoder.up_embed.out.1", dim),
        **linear("encoder.pre_lookahead_layer.conv1", dim, dim, 4),
        **linear("encoder.pre_lookahead_layer.conv2", dim, dim, 3),
        **linear("encoder.up_layer.conv", dim, dim, 5),
        **linear("encoder.after_norm", dim),
    }
    for layer in ("encoder.encoders.0.", "encoder.up_encoders.0."):
        for name in "qkv":
            shapes |= linear(f"{layer}self_attn.linear_{name}", dim, dim)
        shapes |= linear(f"{layer}self_attn.linear_out", dim, dim)
        shapes[f"{layer}self_attn.linear_pos.weight"] = (dim, dim)
        shapes |= {f"{layer}self_attn.pos_bias_{name}": (8, 2) for name in "uv"}
        shapes |= linear(f"{layer}feed_forward.w_1", 12, dim) | linear(f"{layer}feed_forward.w_2", dim, 12)
        shapes |= linear(f"{layer}norm_mha", dim) | linear(f"{layer}norm_ff", dim)
    estimator = "decoder.estimator."
    shapes |= linear(f"{estimator}time_mlp.linear_1", 4 * channels, 4 * mels)
    shapes |= linear(f"{estimator}time_mlp.linear_2", 4 * channels, 4 * channels)
    stages = {"down_blocks.0.": 4 * mels, "mid_blocks.0.": channels, "up_blocks.0.": 2 * channels}
    for name, width in stages.items():
        stage = estimator + name
        shapes |= linear(f"{stage}0.mlp.1", channels, 4 * channels)
        shapes |= linear(f"{stage}0.res_conv", channels, width, 1)
        for number, size in (("1", width), ("2", channels)):
            shapes |= linear(f"{stage}0.block{number}.block.0", channels, size, 3)
            shapes |= linear(f"{stage}0.block{number}.block.2", channels)
        block = f"{stage}1.0."
        shapes |= {f"{block}attn1.to_{letter}.weight": (inner, channels) for letter in "qkv"}
        shapes |= linear(f"{block}attn1.to_out.0", channels, inner)
        shapes |= linear(f"{block}norm1", channels) | linear(f"{block}norm3", channels)
        shapes |= linear(f"{block}ff.net.0.proj", 4 * channels, channels)
        shapes |= linear(f"{block}ff.net.2", channels, 4 * channels)
        if not name.startswith("mid"):
            shapes |= linear(f"{stage}2", channels, channels, 3)
    shapes |= linear(f"{estimator}final_block.block.0", channels, channels, 3)
    shapes |= linear(f"{estimator}final_block.block.2", channels)
    shapes |= linear(f"{estimator}final_proj", mels, channels, 1)
    return {name: torch.randn(shape) * 0.3 for name, shape in shapes.items()}


def linear(name: str, *shape: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": shape, f"{name}.bias": shape[:1]}


@torch.no_grad()
def test_cosyvoices_flow_speaks_with_published_names() -> None:
    state = published_flow()
    model = cosyvoice2_flow.from_official(state, {}).eval()
    c = model.config
    assert (c.codes, c.voice, c.dim, c.layers, c.upper_layers, c.channels, c.middle, c.blocks) == (
        16,
        5,
        16,
        1,
        1,
        8,
        1,
        1,
    )
    generator = torch.Generator().manual_seed(1)
    codes = torch.randint(16, (1, 5, 1), generator=generator)
    prompt_codes, prompt = codes[:, :2], torch.randn(1, 4, 6, generator=generator)
    vector = torch.randn(1, 5, generator=generator)
    mel = model.speak(codes, prompt_codes, prompt, vector, steps=2, generator=generator)
    assert mel.shape == (1, 10, 6) and torch.isfinite(mel).all()
    with pytest.raises(UserError, match="of CosyVoice 2's flow: they lack 'input_embedding.weight'"):
        cosyvoice2_flow.from_official({}, {})
    with pytest.raises(UserError, match="beyond the model strange"):
        cosyvoice2_flow.from_official(state | {"strange": torch.zeros(1)}, {})
    with pytest.raises(UserError, match="another number of them"):
        model.speak(codes, prompt_codes, prompt[:, :3])
    with pytest.raises(UserError, match="there is 16"):
        model.speak(codes * 0 + 16)


@torch.no_grad()
def test_a_chunk_sounds_before_the_next_is_known() -> None:
    torch.manual_seed(0)
    model = cosyvoice2_flow.Model(cosyvoice2_flow.TOY).eval()
    codes = torch.randint(16, (1, 9, 1), generator=torch.Generator().manual_seed(0))
    other = codes.clone()
    other[:, 6:] = (other[:, 6:] + 1) % 16  # chunks are of 3 codes, and the first convolution looks 3 ahead
    noise = torch.randn(1, 18, 6, generator=torch.Generator().manual_seed(1))
    for chunked, same in ((True, True), (False, False)):
        one, two = (model.speak(c, steps=2, chunked=chunked, noise=noise) for c in (codes, other))
        assert torch.allclose(one[:, :6], two[:, :6], atol=1e-6) is same


@torch.no_grad()
def test_attention_knows_how_far_frames_are_apart() -> None:
    """Against the definition (Transformer-XL, equation 5), frame by frame."""
    torch.manual_seed(0)
    layer = DistanceAttention(8, 2)
    x = torch.randn(1, 5, 8)
    queries, keys, values = layer.project(x)[0].unflatten(-1, (3, 2, 4)).unbind(1)
    apart = torch.arange(-4, 5)
    terms = layer.distance(distance._sinusoids(apart, 8)).unflatten(-1, (2, 4))
    found = torch.zeros(5, 2, 4)
    for head in range(2):
        for i in range(5):
            scores = torch.stack(
                [
                    (queries[i, head] + layer.content_bias[head]) @ keys[j, head]
                    + (queries[i, head] + layer.distance_bias[head]) @ terms[i - j + 4, head]
                    for j in range(5)
                ]
            )
            found[i, head] = (scores / 2).softmax(0) @ values[:, head]
    sight = torch.ones(1, 1, 1, 5, dtype=torch.bool)
    torch.testing.assert_close(layer(x, sight)[0], layer.out(found.flatten(1)))


def test_text_and_speech_take_turns() -> None:
    order, goal = cosyvoice2.layout(7, 40, 9, by_turns=True)
    # the beginning, five tokens, fifteen codes, the two tokens left, the mark (row 10), the other codes
    assert order == [0, 1, 2, 3, 4, 5, *range(11, 26), 6, 7, 10, *range(26, 51)]
    assert goal == ["", "", "", "", "", *range(15), "more", "", "", *range(15, 40), "end"]
    order, goal = cosyvoice2.layout(5, 16, 5, by_turns=True)
    assert order[-2:] == [6, 22] and goal[-2:] == [15, "end"], "the mark stands there without any text left"
    order, goal = cosyvoice2.layout(2, 3, 4, by_turns=False)
    assert order == [0, 1, 2, 5, 6, 7, 8] and goal == ["", "", "", 0, 1, 2, "end"]


@torch.no_grad()
def test_it_speaks_while_the_text_is_written() -> None:
    """What `converse` asks at each place is what a forward pass over the same turns says there."""
    torch.manual_seed(0)
    model = cosyvoice2.Model(cosyvoice2.TOY).eval()
    tokens = torch.randint(12, (1, 7))
    codes = torch.randint(16, (1, 40, 1))
    output = model(tokens, codes, streamed=torch.tensor([True]))
    told = output.targets[output.mask].tolist()
    assert told == [*codes[0, :15, 0].tolist(), model.more, *codes[0, 15:, 0].tolist(), model.end]
    for heard in (0, 4, 15, 18):
        goals = [code for code in told if code < 16][heard:]
        left, asked = iter([*goals, model.end]), []

        def choose(scores: Tensor, before: Any, left: Any = left, asked: Any = asked) -> int:
            asked.append(scores)
            return next(left)

        prompt = codes[0, :heard, 0] if heard else None
        said = list(model.converse(iter(tokens[0].tolist()), None, prompt, choose=choose))
        assert said == goals
        places = [place for place in output.mask[0].nonzero()[:, 0].tolist() if output.targets[0, place] != model.more]
        for scores, place in zip(asked, places[heard:], strict=True):
            torch.testing.assert_close(scores[:16], output.scores[0, place, :16], atol=1e-5, rtol=1e-4)
    early = list(model.converse([1] * 5, choose=lambda scores, before: model.more if len(before) < 1 else model.end))
    assert early == []
    with pytest.raises(UserError, match="longer than 20 places"):
        list(model.converse([1] * 9, capacity=20, choose=lambda scores, before: 3))


@pytest.mark.slow  # 8 s: imports transformers
@torch.no_grad()
def test_scores_are_those_of_transformers() -> None:
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    common = {"num_hidden_layers": 2, "intermediate_size": 48, "tie_word_embeddings": True}
    stretch = {**LLASA["rope_scaling"], "original_max_position_embeddings": 64, "rope_theta": 500_000.0}  # type: ignore[dict-item]
    sizes = {"vocab_size": 36, "hidden_size": 64, "num_attention_heads": 4, "num_key_value_heads": 2}
    theirs = transformers.LlamaForCausalLM(transformers.LlamaConfig(**common, **sizes, rope_parameters=stretch)).eval()
    ours = llasa.from_official(theirs.state_dict(), {**theirs.config.to_dict(), "speech_codes": 16}).eval()
    tokens = torch.randint(36, (1, 150))
    torch.testing.assert_close(ours.lm(ours.lm.table(tokens)), theirs(tokens).logits, atol=1e-5, rtol=1e-4)

    sizes = {"vocab_size": 12, "hidden_size": 128, "num_attention_heads": 2, "num_key_value_heads": 1}
    qwen = transformers.Qwen2Config(
        **common | {"intermediate_size": 24}, **sizes, rope_parameters={"rope_type": "default", "rope_theta": 1e6}
    )
    network = transformers.Qwen2ForCausalLM(qwen).eval()
    state = published_lm()
    network.load_state_dict(
        {key.removeprefix("llm.model."): v for key, v in state.items() if key.startswith("llm.model.")}
    )
    tokens, codes = torch.randint(12, (1, 6)), torch.randint(16, (1, 9))
    begin, turn = state["llm_embedding.weight"][:, None, None]
    read = torch.cat([begin, network.model.embed_tokens(tokens), turn, state["speech_embedding.weight"][codes]], dim=1)
    hidden = network.model(inputs_embeds=read).last_hidden_state
    want = hidden @ state["llm_decoder.weight"].T + state["llm_decoder.bias"]
    got = cosyvoice2.from_official(state, {}).eval()(tokens, codes[..., None]).scores
    torch.testing.assert_close(got, want, atol=1e-4, rtol=1e-4)
