"""Pipelines of diffusers behind our surface: tiny ones with random weights, saved to a folder as the published are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from aoide.audio.sound import Sound
from aoide.config import UserError
from aoide.models.tta import Start

pytest.importorskip("diffusers")
transformers = pytest.importorskip("transformers")
pytestmark = pytest.mark.slow  # 15 s, most of it the import of diffusers


def tokenizer() -> Any:
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace

    words = Tokenizer(WordLevel({"<pad>": 0, "</s>": 1, "<unk>": 2, "rain": 3}, unk_token="<unk>"))
    words.pre_tokenizer = Whitespace()
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=words, pad_token="<pad>", eos_token="</s>", unk_token="<unk>", model_max_length=8
    )


@pytest.fixture(scope="module")
def stable_audio(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Stable Audio of 0.1 s at 8 kHz, two channels."""
    import diffusers

    folder = tmp_path_factory.mktemp("stable-audio")
    torch.manual_seed(0)
    text = transformers.T5EncoderModel(
        transformers.T5Config(vocab_size=4, d_model=8, d_kv=4, d_ff=8, num_layers=1, num_heads=2)
    )
    transformer = diffusers.StableAudioDiTModel(
        sample_size=200, in_channels=3, num_layers=1, attention_head_dim=4, num_key_value_attention_heads=2,
        out_channels=3, cross_attention_dim=4, time_proj_dim=8, global_states_input_dim=8, cross_attention_input_dim=4,
        num_attention_heads=2,
    )  # fmt: skip
    vae = diffusers.AutoencoderOobleck(
        encoder_hidden_size=6, downsampling_ratios=[1, 2], decoder_channels=3, decoder_input_channels=3,
        audio_channels=2, channel_multiples=[2, 4], sampling_rate=8000,
    )  # fmt: skip
    projection = diffusers.StableAudioProjectionModel(text_encoder_dim=8, conditioning_dim=4, min_value=0, max_value=32)
    scheduler = diffusers.EDMDPMSolverMultistepScheduler(
        solver_order=2, prediction_type="v_prediction", sigma_data=1.0, sigma_schedule="exponential"
    )
    diffusers.StableAudioPipeline(
        vae=vae, text_encoder=text, projection_model=projection, tokenizer=tokenizer(), transformer=transformer,
        scheduler=scheduler,
    ).save_pretrained(folder)  # fmt: skip
    return folder


def test_a_folder_makes_sound_and_the_same_seed_the_same(stable_audio: Path) -> None:
    from aoide.generate.diffusers_sound import DiffusersSound

    model = DiffusersSound(stable_audio)
    assert model.sample_rate == 8000 and model.longest == pytest.approx(200 * 2 / 8000)
    options: dict[str, Any] = {"seconds": 0.04, "steps": 3, "guidance": 2.0}
    first, second = model.generate(["rain", "rain rain"], seed=1, **options)
    assert (first.samples.shape, first.sample_rate) == ((320, 2), 8000)
    again, _ = model.generate(["rain", "rain rain"], seed=1, **options)
    assert np.array_equal(first.samples, again.samples) and not np.array_equal(first.samples, second.samples)
    assert not np.array_equal(first.samples, model.generate(["rain"], seed=2, **options)[0].samples)


def test_stable_audio_3_goes_out_from_a_sound() -> None:
    import diffusers
    from diffusers.models.autoencoders.autoencoder_same import AutoencoderSAME

    from aoide.generate.diffusers_sound import DiffusersSound

    torch.manual_seed(0)
    side = {
        "vocab_size": 4, "hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2,
        "num_key_value_heads": 1, "head_dim": 4, "query_pre_attn_scalar": 4,
    }  # fmt: skip
    text = transformers.T5GemmaConfig(encoder=side, decoder=side, vocab_size=4, is_encoder_decoder=False)
    vae = AutoencoderSAME(
        patch_size=4, encoder_channels=8, encoder_c_mults=(2,), encoder_strides=(2,), encoder_transformer_depths=(1,),
        latent_dim=4, dim_heads=8, sampling_rate=8000,
    )  # fmt: skip
    transformer = diffusers.StableAudio3DiTModel(
        io_channels=4, embed_dim=16, depth=1, num_heads=2, cond_token_dim=8, global_cond_dim=8, local_add_cond_dim=5,
        timestep_features_dim=8, num_memory_tokens=2,
    )  # fmt: skip
    with torch.no_grad():
        for parameter in [*transformer.parameters(), *vae.parameters()]:  # some begin at 0 and would hide what goes in
            parameter.add_(torch.randn_like(parameter), alpha=0.1)
    pipeline = diffusers.StableAudio3Pipeline(
        vae=vae,
        text_encoder=transformers.T5GemmaEncoderModel(text),
        tokenizer=tokenizer(),
        duration_embedder=diffusers.StableAudio3DurationEmbedder(output_dim=8, fourier_dim=8),
        transformer=transformer,
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(stochastic_sampling=True),
    )
    model = DiffusersSound(pipeline)
    assert (model.name, model.steps) == ("StableAudio3", 8)
    sound = Sound(0.3 * np.sin(np.arange(600) / 10).astype(np.float32), 8000)
    options: dict[str, Any] = {"seconds": 0.1, "steps": 2, "seed": 1}
    plain = model.generate(["rain"], **options)[0]
    varied = model.generate(["rain", "rain"], start=Start(sound=sound, strength=0.5), **options)
    filled = model.generate(["rain"], start=Start(sound=sound, fresh=((0.02, 0.05),)), **options)[0]
    for made in (plain, *varied, filled):
        assert made.samples.shape == (800, 2) and np.isfinite(made.samples).all()
    assert not np.array_equal(plain.samples, varied[0].samples) and not np.array_equal(plain.samples, filled.samples)


def test_audioldm2_comes_out_of_a_folder(tmp_path: Path) -> None:
    import diffusers

    from aoide.generate.diffusers_sound import DiffusersSound

    torch.manual_seed(0)
    small = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    heard = {
        "hidden_size": 64, "patch_embeds_hidden_size": 8, "depths": [1] * 4, "num_attention_heads": [1] * 4,
        "num_hidden_layers": 4, "spec_size": 256, "num_mel_bins": 64, "projection_dim": 16,
    }  # fmt: skip
    clap = transformers.ClapConfig(
        text_config={**small, "vocab_size": 9, "projection_dim": 16}, audio_config=heard, projection_dim=16
    )
    language = transformers.GPT2Config(
        n_embd=16, n_head=2, n_layer=1, vocab_size=9, bos_token_id=0, eos_token_id=1, max_new_tokens=8
    )
    letters = {"<s>": 0, "<pad>": 1, "</s>": 2, "<unk>": 3, "<mask>": 4, "r": 5, "a": 6, "i": 7, "n": 8}
    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("\u2581rain", -1.0)]
    vocoder = transformers.SpeechT5HifiGanConfig(
        model_in_dim=8, upsample_initial_channel=16, upsample_rates=[2, 2], upsample_kernel_sizes=[4, 4],
        resblock_kernel_sizes=[3, 7], resblock_dilation_sizes=[[1, 3], [1, 3]], normalize_before=False,
    )  # fmt: skip
    t5 = transformers.T5Config(vocab_size=4, d_model=32, d_ff=37, d_kv=8, num_heads=1, num_layers=1)
    diffusers.AudioLDM2Pipeline(
        vae=diffusers.AutoencoderKL(
            block_out_channels=[8, 16], in_channels=1, out_channels=1, norm_num_groups=8, latent_channels=4,
            down_block_types=["DownEncoderBlock2D"] * 2, up_block_types=["UpDecoderBlock2D"] * 2,
        ),
        text_encoder=transformers.ClapModel(clap),
        text_encoder_2=transformers.T5EncoderModel(t5),
        projection_model=diffusers.AudioLDM2ProjectionModel(
            text_encoder_dim=16, text_encoder_1_dim=32, langauge_model_dim=16
        ),
        language_model=transformers.GPT2LMHeadModel(language),
        tokenizer=transformers.RobertaTokenizer(vocab=letters, merges=[], model_max_length=8),
        tokenizer_2=transformers.T5Tokenizer(vocab=pieces, extra_ids=0, model_max_length=8),
        feature_extractor=transformers.ClapFeatureExtractor(truncation="rand_trunc"),
        unet=diffusers.AudioLDM2UNet2DConditionModel(
            block_out_channels=(8, 16), layers_per_block=1, norm_num_groups=8, sample_size=32, in_channels=4,
            out_channels=4, down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"), cross_attention_dim=(8, 16),
        ),
        scheduler=diffusers.DDIMScheduler(clip_sample=False, set_alpha_to_one=False),
        vocoder=transformers.SpeechT5HifiGan(vocoder),
    ).save_pretrained(tmp_path)  # fmt: skip
    model = DiffusersSound(tmp_path)
    assert model.sample_rate == 16000 and model.steps == 200
    made = model.generate(["rain"], 0.02, steps=2, seed=1)[0]
    assert made.samples.shape == (320,) and np.isfinite(made.samples).all()


def test_longcat_audio_makes_sound() -> None:
    import diffusers

    from aoide.generate.diffusers_sound import DiffusersSound

    torch.manual_seed(0)
    text = transformers.UMT5Config(vocab_size=4, d_model=8, d_kv=4, d_ff=8, num_layers=1, num_heads=2)
    pipeline = diffusers.LongCatAudioDiTPipeline(
        vae=diffusers.LongCatAudioDiTVae(
            channels=4, c_mults=[1, 2], strides=[2], latent_dim=4, encoder_latent_dim=8, sample_rate=8000
        ),
        text_encoder=transformers.UMT5EncoderModel(text),
        tokenizer=tokenizer(),
        transformer=diffusers.LongCatAudioDiTTransformer(
            dit_dim=16, dit_depth=1, dit_heads=2, dit_text_dim=8, latent_dim=4
        ),
    )
    made = DiffusersSound(pipeline).generate(["rain"], 0.1, steps=2)[0]
    assert (made.samples.shape, made.sample_rate) == ((800,), 8000)


def test_what_cannot_be_is_told(stable_audio: Path, tmp_path: Path) -> None:
    from aoide.generate.diffusers_sound import DiffusersSound

    model = DiffusersSound(stable_audio)
    with pytest.raises(UserError, match="at most 0.05 s, not 9 s"):
        model.generate(["rain"], 9.0)
    with pytest.raises(UserError, match="the caption ' ' says nothing"):
        model.generate([" "], 0.04)
    with pytest.raises(UserError, match="1 step or more"):
        model.generate(["rain"], 0.04, steps=0)
    start = Start(sound=Sound(np.zeros(100, np.float32), 8000), strength=0.5)
    with pytest.raises(UserError, match="makes sound of words alone"):
        model.generate(["rain"], 0.04, start=start)
    with pytest.raises(UserError, match=r"no model_index\.json"):
        DiffusersSound(tmp_path)


def test_mono_and_short_sounds_are_brought_into_shape(stable_audio: Path) -> None:
    from aoide.generate.diffusers_sound import DiffusersSound

    model = DiffusersSound(stable_audio)
    assert model._sound(np.ones(5), 8).samples.tolist() == [1] * 5 + [0] * 3
    assert model._sound(torch.ones(1, 9), 8).samples.shape == (8,)
    assert model._sound(np.ones((2, 5)), 8).samples.shape == (8, 2)
