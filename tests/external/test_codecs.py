"""Other people's codecs behind our promise, at toy size with random weights: nothing is downloaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from aoide import external  # noqa: E402  (after the skips)
from aoide.config import UserError  # noqa: E402
from aoide.external.encodec import EnCodec  # noqa: E402
from aoide.external.mimi import Mimi  # noqa: E402
from aoide.external.xcodec2 import XCodec2  # noqa: E402

SMALL = {"num_hidden_layers": 1, "intermediate_size": 16, "num_attention_heads": 2}


def _encodec() -> EnCodec:
    config = transformers.EncodecConfig(
        hidden_size=8, num_filters=4, upsampling_ratios=[4, 2], codebook_size=16, target_bandwidths=[12.0, 36.0]
    )
    return EnCodec(transformers.EncodecModel(config))


def _mimi() -> Mimi:
    config = transformers.MimiConfig(
        **SMALL,
        hidden_size=8,
        num_filters=4,
        upsampling_ratios=[4, 2],
        codebook_size=16,
        codebook_dim=8,
        vector_quantization_hidden_dimension=8,
        num_quantizers=3,
        num_key_value_heads=2,
        upsample_groups=8,
    )
    return Mimi(transformers.MimiModel(config))


def _xcodec2() -> XCodec2:
    semantic = transformers.Wav2Vec2BertConfig(
        **SMALL, hidden_size=16, output_hidden_size=16, conv_depthwise_kernel_size=3
    )
    config = transformers.Xcodec2Config(
        **SMALL,
        hidden_size=32,
        num_key_value_heads=2,
        head_dim=16,
        encoder_hidden_size=4,
        quantization_dim=48,
        quantization_levels=[4, 4],
        semantic_model_config=semantic,
    )
    return XCodec2(transformers.Xcodec2Model(config))


@pytest.fixture(params=[_encodec, _mimi, _xcodec2], ids=["encodec", "mimi", "xcodec2"], scope="module")
def codec(request: pytest.FixtureRequest) -> Any:
    torch.manual_seed(0)
    return request.param()


def _sound(codec: Any, frames: int, batch: int = 2) -> Any:
    return 0.3 * torch.randn(batch, frames * codec.hop, generator=torch.Generator().manual_seed(1))


def test_says_its_numbers(codec: Any) -> None:
    numbers = (codec.sample_rate, codec.hop, codec.codebooks, codec.cardinality)
    assert all(isinstance(number, int) and number > 0 for number in numbers) and codec.context is None
    assert codec.frame_rate == codec.sample_rate / codec.hop and not codec.training


def test_sound_to_codes_to_sound(codec: Any) -> None:
    for samples in (6 * codec.hop, 6 * codec.hop - 3):
        codes = codec.encode(_sound(codec, 6)[:, :samples])
        assert codes.shape == (2, 6, codec.codebooks) and codes.dtype == torch.int64
        assert codes.min() >= 0 and codes.max() < codec.cardinality
    for count in range(1, codec.codebooks + 1):
        sound = codec.decode(codes[..., :count])
        assert sound.shape == (2, 6 * codec.hop) and torch.isfinite(sound).all()
    assert torch.equal(codec.decode(codes), sound), "the same codes, the same sound"


def test_padded_frames_change_nothing(codec: Any) -> None:
    audio = _sound(codec, 9)
    mask = torch.arange(9) < torch.tensor([[6], [8]])
    codes = codec.encode(audio, mask)
    assert codes.shape == (2, 9, codec.codebooks)
    assert torch.equal(codes[:1, :6], codec.encode(audio[:1, : 6 * codec.hop])) and not codes[0, 6:].any()
    sound = codec.decode(codes, mask)
    assert sound.shape == (2, 9 * codec.hop) and not sound[0, 6 * codec.hop :].any()
    torch.testing.assert_close(sound[:1, : 6 * codec.hop], codec.decode(codes[:1, :6]))


def test_what_is_no_sound_and_no_code_is_told(codec: Any) -> None:
    with pytest.raises(UserError, match=r"not \(2, 1, 50\)"):
        codec.encode(torch.zeros(2, 1, 50))
    with pytest.raises(UserError, match="whole numbers"):
        codec.decode(torch.zeros(1, 3, codec.codebooks))
    with pytest.raises(UserError, match=f"of up to {codec.codebooks} codebooks"):
        codec.decode(torch.zeros(1, 3, codec.codebooks + 1, dtype=torch.int64))
    with pytest.raises(UserError, match=f"from 0 to {codec.cardinality - 1}"):
        codec.decode(torch.full((1, 3, codec.codebooks), codec.cardinality))


def test_from_a_local_folder_by_name(tmp_path: Path) -> None:
    torch.manual_seed(0)
    small = _encodec()
    small.network.save_pretrained(tmp_path)
    loaded = external.codec("encodec", tmp_path)
    audio = _sound(small, 5)
    assert torch.equal(loaded.encode(audio), small.encode(audio))
    with pytest.raises(UserError, match="did you mean encodec"):
        external.codec("encodek")
    with pytest.raises(UserError, match="no such folder"):
        external.codec("mimi", tmp_path / "nothing")


def test_the_model_of_pieces_is_refused() -> None:
    config = transformers.EncodecConfig(normalize=True, chunk_length_s=1.0, overlap=0.01, audio_channels=2)
    with pytest.raises(UserError, match="2 channels"):
        EnCodec(type("Network", (), {"config": config})())
