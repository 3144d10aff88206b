"""Content encoders at toy size with random weights: frames on the clock, layers as asked, Whisper's own spectrum."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from aoide.config import UserError  # noqa: E402  (after the skips)
from aoide.external import content, whisper_encoder  # noqa: E402

SOUND = np.random.default_rng(0).standard_normal(16000 * 2 // 3).astype(np.float32) * 0.1
SMALL = {"hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 16}
CONV = {"conv_dim": [8] * 7, "num_conv_pos_embeddings": 16, "num_conv_pos_embedding_groups": 2}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """HuBERT (with ContentVec's projection beside it), WavLM, w2v-BERT and Whisper, tiny."""
    root = tmp_path_factory.mktemp("encoders")
    torch.manual_seed(0)
    hubert = transformers.HubertModel(transformers.HubertConfig(**SMALL, **CONV))
    hubert.save_pretrained(root / "hubert")
    state = {**hubert.state_dict(), "final_proj.weight": torch.ones(4, 16), "final_proj.bias": torch.zeros(4)}
    hubert.save_pretrained(root / "contentvec")
    from safetensors.torch import save_file

    save_file(
        {k: v.contiguous() for k, v in state.items()}, root / "contentvec" / "model.safetensors", {"format": "pt"}
    )
    transformers.Wav2Vec2Model(transformers.Wav2Vec2Config(**SMALL, **CONV)).save_pretrained(root / "wav2vec2")
    scaled = {"feat_extract_norm": "layer", "conv_bias": True, "do_stable_layer_norm": True}
    transformers.WavLMModel(transformers.WavLMConfig(**SMALL, **CONV, **scaled)).save_pretrained(root / "wavlm")
    config = transformers.Wav2Vec2BertConfig(**SMALL, output_hidden_size=16, conv_depthwise_kernel_size=3)
    transformers.Wav2Vec2BertModel(config).save_pretrained(root / "w2v_bert")
    transformers.SeamlessM4TFeatureExtractor().save_pretrained(root / "w2v_bert")
    whisper = transformers.WhisperConfig(
        d_model=16, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2, decoder_attention_heads=2,
        encoder_ffn_dim=16, decoder_ffn_dim=16, vocab_size=51865,
    )  # fmt: skip
    transformers.WhisperModel(whisper).save_pretrained(root / "whisper")
    return root


@pytest.mark.slow  # 15 s in all: transformers makes and loads six networks
@pytest.mark.parametrize("name", [name for name in content.NAMES if name != "wenet"])  # 25: test_wenet.py
def test_fifty_frames_a_second_of_any_length(folder: Path, name: str) -> None:
    encoder = content.open(name, folder / name, layer=2 if name == "w2v_bert" else None)
    assert encoder.frame_rate == 50
    for samples in (len(SOUND), 320, 100, 0):
        found = encoder.encode(SOUND[:samples])
        assert found.shape == (max(1, samples // 320), 16) and found.dtype == np.float32
        assert np.isfinite(found).all() or not samples
    assert np.array_equal(encoder.encode(SOUND), encoder.encode(SOUND))


@pytest.mark.slow
def test_layers(folder: Path) -> None:
    layers = [content.open("hubert", folder / "hubert", layer=i).encode(SOUND) for i in range(4)]
    assert np.allclose(layers[3], content.open("hubert", folder / "hubert").encode(SOUND))
    mean = content.open("hubert", folder / "hubert", layer=content.MEAN).encode(SOUND)
    assert np.allclose(mean, np.mean(layers, axis=0), atol=1e-5)
    with pytest.raises(UserError, match="has layers 0 to 3"):
        content.open("hubert", folder / "hubert", layer=9)


@pytest.mark.slow
def test_projection_and_statistics(folder: Path, tmp_path: Path) -> None:
    plain = content.open("contentvec", folder / "contentvec", layer=2).encode(SOUND)
    projected = content.open("contentvec", folder / "contentvec", layer=2, projected=True).encode(SOUND)
    assert np.allclose(projected, plain.sum(axis=1, keepdims=True).repeat(4, axis=1), atol=1e-4)
    with pytest.raises(UserError, match="has no final_proj"):
        content.open("contentvec", folder / "hubert", projected=True)
    torch.save({"mean": torch.full((16,), 2.0), "var": torch.full((16,), 4.0)}, tmp_path / "s.pt")
    raw = content.open("w2v_bert", folder / "w2v_bert", layer=2).encode(SOUND)
    scaled = content.open("w2v_bert", folder / "w2v_bert", layer=2, statistics=tmp_path / "s.pt").encode(SOUND)
    assert np.allclose(scaled, (raw - 2.0) / 2.0, atol=1e-5)


@pytest.mark.slow
def test_w2v_bert_stops_at_its_layer(folder: Path) -> None:
    whole = transformers.Wav2Vec2BertModel.from_pretrained(folder / "w2v_bert").eval()
    heard = transformers.SeamlessM4TFeatureExtractor()(SOUND, sampling_rate=16000, return_tensors="pt")
    with torch.no_grad():
        states = whole(**heard, output_hidden_states=True).hidden_states
    for layer in range(4):
        encoder = content.open("w2v_bert", folder / "w2v_bert", layer=layer)
        assert len(encoder._network.encoder.layers) == max(layer, 1)
        found = encoder.encode(SOUND)
        count = min(len(found), states[layer].shape[1])
        assert np.allclose(found[:count], states[layer][0, :count].numpy(), atol=1e-5)
    with pytest.raises(UserError, match="has layers 0 to 3"):
        content.open("w2v_bert", folder / "w2v_bert", layer=4)


@pytest.mark.slow
def test_whispers_spectrum_is_that_of_its_authors() -> None:
    theirs = transformers.WhisperFeatureExtractor()(SOUND, sampling_rate=16000, return_tensors="np").input_features[0]
    ours = whisper_encoder.log_mel(SOUND)
    assert ours.shape == theirs.shape == (80, 3000) and np.abs(ours - theirs).max() < 1e-3


@pytest.mark.slow
def test_whisper_hears_long_sounds_in_pieces(folder: Path) -> None:
    encoder = content.open("whisper", folder / "whisper")
    long = np.tile(SOUND, 50)[: 16000 * 31]
    found = encoder.encode(long)
    assert len(found) == 31 * 50
    assert np.array_equal(found[1500:], encoder.encode(long[16000 * 30 :]))


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no content encoder 'huber'; did you mean hubert"):
        content.open("huber")
    with pytest.raises(UserError, match="needs its weights"):
        content.open("whisper")
    with pytest.raises(UserError, match="no such folder"):
        content.open("hubert", tmp_path / "nothing")
    with pytest.raises(UserError, match="hubert has no projection"):
        content.open("hubert", tmp_path, projected=True)


@pytest.mark.slow  # 5 s: converts a toy Whisper for CTranslate2
def test_ctranslate2_agrees_with_torch(folder: Path, tmp_path: Path) -> None:
    converters = pytest.importorskip("ctranslate2.converters")
    source = tmp_path / "source"
    model = transformers.WhisperForConditionalGeneration(transformers.WhisperConfig.from_pretrained(folder / "whisper"))
    model.model.load_state_dict(transformers.WhisperModel.from_pretrained(folder / "whisper").state_dict())
    model.save_pretrained(source)
    try:
        converters.TransformersConverter(str(source)).convert(str(tmp_path / "out"))
    except Exception as error:  # noqa: BLE001  (it wants a tokenizer, of whose form versions differ)
        pytest.skip(f"cannot convert: {error}")
    ours = content.open("whisper", folder / "whisper").encode(SOUND)
    assert np.abs(content.open("whisper", tmp_path / "out").encode(SOUND) - ours).max() < 1e-3
