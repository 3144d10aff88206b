"""ACE-Step 1.5 of diffusers behind our Protocol, with a tiny network of random weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from aoide.config import UserError
from aoide.generate.diffusers_song import AceStep
from aoide.score.song_script import SongScript

diffusers = pytest.importorskip("diffusers")
transformers = pytest.importorskip("transformers")
tokenizers = pytest.importorskip("tokenizers")

pytestmark = pytest.mark.sweep  # the library takes its time to load

SIZES = {"hidden_size": 16, "intermediate_size": 24, "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 8}


@pytest.fixture(scope="module")
def pipeline() -> Any:
    torch.manual_seed(0)
    signs = {sign: i for i, sign in enumerate(["<pad>", "<unk>", "[", "]", *"abcdefghijklmnopqrstuvwxyz"])}
    words = tokenizers.Tokenizer(tokenizers.models.WordLevel(signs, unk_token="<unk>"))
    words.pre_tokenizer = tokenizers.pre_tokenizers.Split("", "isolated")
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=words, pad_token="<pad>", unk_token="<unk>")
    encoder = transformers.Qwen3Model(
        transformers.Qwen3Config(vocab_size=len(signs), num_hidden_layers=1, max_position_embeddings=4096, **SIZES)
    )
    vae = diffusers.AutoencoderOobleck(
        encoder_hidden_size=8,
        downsampling_ratios=[2, 4],
        channel_multiples=[1, 2],
        decoder_channels=4,
        decoder_input_channels=4,
        sampling_rate=400,
    )
    transformer = diffusers.AceStepTransformer1DModel(
        num_hidden_layers=2, in_channels=12, audio_acoustic_hidden_dim=4, sliding_window=8, **SIZES
    )
    conditions = diffusers.AceStepConditionEncoder(
        text_hidden_dim=16,
        timbre_hidden_dim=4,
        num_lyric_encoder_hidden_layers=1,
        num_timbre_encoder_hidden_layers=1,
        **SIZES,
    )
    scheduler = diffusers.FlowMatchEulerDiscreteScheduler(num_train_timesteps=1, shift=1.0)
    made = diffusers.AceStepPipeline(vae, encoder.eval(), tokenizer, transformer, conditions, scheduler)
    made.set_progress_bar_config(disable=True)
    return made


def test_a_song_has_its_length_and_follows_the_seed_and_the_words(pipeline: Any) -> None:
    model = AceStep(pipeline)
    script = SongScript.read("[style: folk]\n[verse]\nthe sun goes down\nthe birds are still")
    assert (model.sample_rate, model.stems, model.guidance, model.steps) == (400, (), 7.0, 50)

    def sing(words: SongScript, seed: int) -> torch.Tensor:
        return model.generate(words, seconds=2.0, steps=2, generator=torch.Generator().manual_seed(seed))["mix"]

    first = sing(script, 1)
    assert first.shape == (800, 2) and torch.isfinite(first).all() and first.std() > 0
    assert torch.equal(first, sing(script, 1)) and not torch.equal(first, sing(script, 2))
    other = SongScript.read("[style: folk]\n[verse]\nquite other words")
    assert not torch.allclose(first, sing(other, 1))


def test_what_it_cannot_do_is_told(pipeline: Any, tmp_path: Path) -> None:
    model = AceStep(pipeline)
    script = SongScript.read("[verse]\nthe sun goes down")
    with pytest.raises(UserError, match="says nothing"):
        model.generate(script, "", 2.0)
    with pytest.raises(UserError, match="at most 600 s, not 10000 s"):
        model.generate(script, "folk", 10_000)
    with pytest.raises(UserError, match="not ACE-Step 1.5 in the form of diffusers"):
        AceStep.load(tmp_path)
