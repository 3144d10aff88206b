"""MusicGen against transformers' own, of the same random weights; orders of codes; the melody."""

from __future__ import annotations

import pytest
import torch

from aoide.config import UserError
from aoide.models.ttm import musicgen, musicgen_melody
from aoide.nn import patterns
from aoide.nn.token_lm import Sampling

T5 = {"d_model": 8, "d_kv": 4, "d_ff": 8, "num_layers": 1, "num_heads": 2, "vocab_size": 20}
CODEC = {
    "sampling_rate": 800,
    "upsampling_ratios": [4, 4],
    "num_filters": 2,
    "hidden_size": 4,
    "codebook_size": 16,
    "codebook_dim": 4,
    "num_lstm_layers": 1,
    "target_bandwidths": [0.6],
    "audio_channels": 1,
}
LM = {
    "vocab_size": 16,
    "num_codebooks": 3,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "ffn_dim": 24,
    "pad_token_id": 16,
    "bos_token_id": 16,
    "dropout": 0.0,
}


def published(melody: bool):
    """transformers' MusicGen with random weights."""
    transformers = pytest.importorskip("transformers")
    name = "MusicgenMelody" if melody else "Musicgen"
    text = transformers.T5Config(**T5)
    codec = transformers.EncodecConfig(**CODEC)
    decoder = getattr(transformers, f"{name}DecoderConfig")(**LM)
    config = getattr(transformers, f"{name}Config")(
        text_encoder=text, audio_encoder=codec, decoder=decoder, **({"chroma_length": 5} if melody else {})
    )
    torch.manual_seed(0)
    return getattr(transformers, f"{name}ForConditionalGeneration")(config).eval()


def steps(layout: torch.Tensor, codes: torch.Tensor) -> torch.Tensor:
    """Rows (batch, steps, codebooks) with the empty first step, as both models read them."""
    return musicgen.laid(layout, codes, None, 16)[0]


@torch.no_grad()
def test_scores_are_those_of_transformers() -> None:
    theirs = published(melody=False)
    ours = musicgen.from_official(theirs.state_dict(), theirs.config.to_dict()).eval()
    assert ours.config.hop == 16 and ours.config.sample_rate == 800
    codes, words = torch.randint(16, (2, 7, 3)), torch.tensor([[3, 4, 5, 6], [7, 8, 0, 0]])
    mask = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]])
    text = theirs.text_encoder(words, mask).last_hidden_state
    rows = steps(ours.config.layout(7), codes)[:, :-1]
    wanted = theirs(input_ids=words, attention_mask=mask, decoder_input_ids=rows.mT.reshape(6, -1)).logits
    got = ours(codes, text, mask.bool()).scores.unflatten(1, (-1, 3)).transpose(1, 2).flatten(0, 1)
    assert (got - wanted).abs().max() < 1e-5


@torch.no_grad()
def test_the_likeliest_codes_are_those_of_transformers() -> None:
    """Greedy decoding with guidance, where every code depends on all that were drawn before."""
    theirs = published(melody=False)
    ours = musicgen.from_official(theirs.state_dict(), theirs.config.to_dict()).eval()
    words = torch.tensor([[3, 4, 5, 6]])
    text = theirs.text_encoder(words).last_hidden_state
    got = ours.write(text, 9, sampling=Sampling(temperature=0), guidance=3.0)
    layout = ours.config.layout(9)
    null = torch.zeros_like(text)
    rows = torch.full((1, len(layout) + 1, 3), 16)
    for step in range(len(layout)):  # the definition: two passes over all that is known, nothing kept
        known = rows[:, : step + 1].mT.reshape(3, -1)
        hidden = torch.cat([theirs.enc_to_dec_proj(text), null @ theirs.enc_to_dec_proj.weight.T])
        scores = [theirs.decoder(known, encoder_hidden_states=row[None]).logits[:, -1] for row in hidden]
        guided = scores[1] + 3.0 * (scores[0] - scores[1])
        rows[0, step + 1] = torch.where(layout[step] == patterns.NOTHING, 16, guided.argmax(-1))
    assert (got == patterns.gather(rows[:, 1:], layout)).all()


@torch.no_grad()
def test_melody_scores_are_those_of_transformers() -> None:
    theirs = published(melody=True)
    config = theirs.config.to_dict()
    ours = musicgen_melody.from_official(theirs.state_dict(), config).eval()
    codes, words = torch.randint(16, (1, 7, 3)), torch.tensor([[3, 4, 5, 6]])
    text = theirs.text_encoder(words).last_hidden_state
    melody = torch.nn.functional.one_hot(torch.tensor([[0, 5, 7]]), 12).float()
    rows = steps(ours.config.layout(7), codes)[:, :-1]
    for heard in (melody, None):
        wanted = theirs(
            input_ids=words,
            attention_mask=torch.ones_like(words),
            input_features=heard,
            decoder_input_ids=rows.mT.reshape(3, -1),
        ).logits[:, -rows.shape[1] :]
        before = ours.prefix(heard, text)
        got = ours.lm(torch.cat([before, ours.lm.embed(rows)], dim=1))[:, before.shape[1] :]
        assert (got[0].transpose(0, 1) - wanted).abs().max() < 1e-5


def test_audiocraft_s_form_is_the_same() -> None:
    """Queries, keys and values in one tensor, other names."""
    ours = musicgen.Model(musicgen.TOY)
    parts = {"own": "self_attn", "told": "cross_attention"}
    names = {
        "own_norm": "norm1",
        "told_norm": "norm_cross",
        "mlp_norm": "norm2",
        "expand": "linear1",
        "contract": "linear2",
    }
    state = {}
    for key, value in ours.state_dict().items():
        new = key.removeprefix("lm.").replace("blocks.", "transformer.layers.").replace("tables.", "emb.")
        for old, other in {**parts, **names, "heads.": "linears."}.items():
            new = new.replace(f".{old}.", f".{other}.") if "." not in old else new.replace(old, other)
        new = "out_norm" + new.removeprefix("norm") if new.startswith("norm.") else new
        new = new.replace("read.", "condition_provider.conditioners.description.output_proj.")
        state[new.replace(".out.weight", ".out_proj.weight")] = value
    for layer in ("self_attn", "cross_attention"):
        stem = f"transformer.layers.0.{layer}"
        state[f"{stem}.in_proj_weight"] = torch.cat(
            [state.pop(f"{stem}.{part}.weight") for part in ("queries", "keys", "values")]
        )
    again = musicgen.from_official(state, {"num_heads": 2, "sample_rate": 800})
    for key, value in ours.state_dict().items():
        assert torch.equal(again.state_dict()[key], value), key


def test_other_weights_are_refused() -> None:
    with pytest.raises(UserError, match="no MusicGen"):
        musicgen.from_official({"a.weight": torch.zeros(2)}, {})
    state = {**published(melody=False).state_dict(), "decoder.more": torch.zeros(1)}
    with pytest.raises(UserError, match="more"):
        musicgen.from_official(state, {"num_attention_heads": 2})


def test_pitch_classes_are_those_of_transformers() -> None:
    audio_utils = pytest.importorskip("transformers.audio_utils")
    wanted = audio_utils.chroma_filter_bank(sampling_rate=32_000, num_frequency_bins=16_384, num_chroma=12)
    assert abs(musicgen_melody.filters(32_000, 16_384).numpy() - wanted).max() < 1e-6


def test_a_scale_is_heard() -> None:
    rate = 8000
    chroma = musicgen_melody.Chroma(rate, 4096, 1024)
    time = torch.arange(rate) / rate
    for number, pitch in enumerate(range(60, 72)):
        tone = torch.sin(2 * torch.pi * 440 * 2 ** ((pitch - 69) / 12) * time)[None]
        assert (chroma(tone)[0, 2:-2].argmax(-1) == number).all()


# -------------------------------------------------------------------------------------------------------------- orders


@pytest.mark.parametrize(
    "layout",
    [
        patterns.parallel(5, 3),
        patterns.delay(5, 3),
        patterns.delay(5, 3, [0, 0, 2]),
        patterns.flat(5, 3),
        patterns.mixed_dual(5, 3),
    ],
)
def test_codes_come_back(layout: torch.Tensor) -> None:
    codes = torch.randint(16, (2, 5, 3))
    rows = patterns.lay(codes, layout, 16)
    assert torch.equal(patterns.gather(rows, layout), codes)
    assert int((layout != patterns.NOTHING).sum()) == 15 and int((rows == 16).sum()) == 2 * (layout.numel() - 15)


def test_delay_is_as_in_the_paper() -> None:
    assert patterns.delay(3, 2).tolist() == [[0, -1], [1, 0], [2, 1], [-1, 2]]


def test_two_tracks_take_turns() -> None:
    assert patterns.dual_track(2).tolist() == [[0, -1], [-1, 0], [1, -1], [-1, 1]]


def test_levels_go_from_the_coarse_to_the_fine() -> None:
    layout = patterns.levels(2, (1, 2, 4))  # T M M B B B B
    said = [(book, int(frame)) for row in layout for book, frame in enumerate(row) if frame != patterns.NOTHING]
    assert said[:7] == [(0, 0), (1, 0), (1, 1), (2, 0), (2, 1), (2, 2), (2, 3)] and said[7:9] == [(0, 1), (1, 2)]
    codes = torch.randint(16, (1, 8, 3))
    back = patterns.gather(patterns.lay(codes, layout, 16), layout)
    assert torch.equal(back[..., 2], codes[..., 2]) and torch.equal(back[:, :4, 1], codes[:, :4, 1])


@pytest.mark.parametrize("pattern", ["delay", "parallel", "flat", "dual_track", "mixed_dual"])
def test_no_code_sees_itself_or_what_comes_later(pattern: str) -> None:
    from dataclasses import replace

    config = replace(musicgen.TOY, pattern=pattern, codebooks=2 if pattern == "dual_track" else 3)
    model = musicgen.Model(config).eval()
    example = musicgen.example(config, 1)
    layout = config.layout(example["codes"].shape[1])
    before = model(example["codes"], example["text"]).scores.detach().unflatten(1, layout.shape)
    changed = example["codes"].clone()
    step = len(layout) // 2
    book = int((layout[step] != patterns.NOTHING).nonzero()[0])
    frame = int(layout[step, book])
    changed[0, frame, book] = (changed[0, frame, book] + 1) % config.codes
    after = model(changed, example["text"]).scores.detach().unflatten(1, layout.shape)
    moved = (after - before).abs().amax((0, 2, 3)) > 1e-7
    assert not moved[: step + 1].any() and moved[step + 1]


def test_a_prompt_stays_and_a_seed_is_a_piece() -> None:
    model = musicgen.Model(musicgen.TOY).eval()
    text, prompt = torch.randn(1, 4, 8), torch.randint(16, (1, 5, 3))

    def write(seed: int) -> torch.Tensor:
        return model.write(text, 9, prompt=prompt, generator=torch.Generator().manual_seed(seed))

    assert torch.equal(write(0)[:, :5], prompt) and torch.equal(write(0), write(0))
    assert not torch.equal(write(0), write(1))
