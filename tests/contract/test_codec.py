"""What codecs promise beyond the common contract (aoide/models/codec/__init__.py)."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from aoide.config import UserError
from aoide.generate import codec
from aoide.generate.torch_codec import TorchCodec
from aoide.models import find

OF_CODEC = [name for name in find.names() if name.startswith("codec/")]
CODECS = [name for name in OF_CODEC if hasattr(find.find(name).Model, "cardinality")]  # others have latents, no codes
FRAMES = 70


def _model(name: str) -> Any:
    module = find.find(name)
    torch.manual_seed(0)
    return module.Model(module.TOY).eval()


def _asks_for(function: Any) -> list[str]:
    """The arguments that a call cannot do without."""
    return [p.name for p in inspect.signature(function).parameters.values() if p.default is p.empty]


def _hearing(name: str) -> Any:
    """The model, if sound is all that it encodes."""
    model = _model(name)
    if _asks_for(model.encode) != ["audio"]:
        pytest.skip(f"it encodes {' and '.join(_asks_for(model.encode))}")
    return model


def _speaking(name: str) -> Any:
    """The model, if it goes from sound to codes and, from them alone, to sound or to the mel of a vocoder."""
    model = _hearing(name)
    if _asks_for(model.decode) != ["codes"]:
        pytest.skip(f"it decodes {' and '.join(_asks_for(model.decode))}")
    return model


def _shape(model: Any, frames: int) -> tuple[int, ...]:
    """What it makes of `frames` frames of codes: samples, or a mel."""
    if not hasattr(model, "mel"):
        return (frames * model.hop,)
    assert model.hop % model.mel.hop == 0 and model.sample_rate == model.mel.sample_rate
    return (frames * model.hop // model.mel.hop, model.mel.n_mels)


def _sound(model: Any, frames: int = FRAMES, batch: int = 2) -> Tensor:
    return 0.3 * torch.randn(batch, frames * model.hop, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("name", CODECS)
def test_says_its_numbers(name: str) -> None:
    model = _model(name)
    whole = (model.sample_rate, model.hop, model.codebooks, model.cardinality)
    assert all(isinstance(value, int) and value > 0 for value in whole)
    assert model.frame_rate == pytest.approx(model.sample_rate / model.hop)
    assert model.context is None or model.context >= 1


@pytest.mark.parametrize("name", CODECS)
@torch.no_grad()
def test_codes_are_in_range_and_as_many_as_frames(name: str) -> None:
    model = _hearing(name)
    for samples in (1, model.hop, 3 * model.hop + 1, FRAMES * model.hop):
        codes = model.encode(_sound(model)[:, :samples])
        assert codes.shape == (2, -(-samples // model.hop), model.codebooks) and codes.dtype == torch.int64
        assert codes.min() >= 0 and codes.max() < model.cardinality


@pytest.mark.parametrize("name", CODECS)
@torch.no_grad()
def test_sound_ends_in_silence_up_to_a_whole_frame(name: str) -> None:
    model = _hearing(name)
    audio = _sound(model, frames=20)[:, :-3]
    assert torch.equal(model.encode(audio), model.encode(torch.nn.functional.pad(audio, (0, 3))))


@pytest.mark.parametrize("name", CODECS)
@torch.no_grad()
def test_padded_frames_change_no_code(name: str) -> None:
    model = _hearing(name)
    audio = _sound(model)
    mask = torch.arange(FRAMES) < torch.tensor([[FRAMES], [FRAMES - 23]])
    codes = model.encode(audio, mask)
    assert torch.equal(codes[:1], model.encode(audio[:1]))
    assert torch.equal(codes[1:, : FRAMES - 23], model.encode(audio[1:, : -23 * model.hop]))
    assert not codes[1, FRAMES - 23 :].any()


@pytest.mark.parametrize("name", CODECS)
@torch.no_grad()
def test_decodes_any_first_codebooks(name: str) -> None:
    model = _speaking(name)
    codes = model.encode(_sound(model))
    sounds = [model.decode(codes[..., :count]) for count in range(1, model.codebooks + 1)]
    assert all(sound.shape == (2, *_shape(model, FRAMES)) and sound.dtype == torch.float32 for sound in sounds)
    assert all(torch.isfinite(sound).all() for sound in sounds)
    assert all(not torch.equal(sound, sounds[-1]) for sound in sounds[:-1]), "every codebook tells something"
    assert model.decode(codes[:, :1]).shape == (2, *_shape(model, 1)), "one frame is a sound"


@pytest.mark.parametrize("name", CODECS)
@torch.no_grad()
def test_decoding_the_codes_is_what_forward_does(name: str) -> None:
    model = _speaking(name)
    of_mels = hasattr(model, "mel")
    output = model(model.spectrogram(_sound(model)) if of_mels else _sound(model))
    assert torch.equal(output.codes, model.encode(_sound(model)))
    made = output.mel if of_mels else output.audio
    torch.testing.assert_close(model.decode(output.codes), made, atol=1e-5, rtol=1e-4)
    assert output.commitment.shape == output.codebook.shape == (2, model.codebooks)


@pytest.mark.parametrize("name", CODECS)
@torch.no_grad()
def test_padded_codes_are_silent(name: str) -> None:
    model = _speaking(name)
    codes = model.encode(_sound(model))
    mask = torch.arange(FRAMES) < torch.tensor([[FRAMES], [30]])
    sound = model.decode(codes, mask)
    real = _shape(model, 30)[0]
    torch.testing.assert_close(sound[1:, :real], model.decode(codes[1:, :30]), atol=1e-5, rtol=1e-4)
    silence = torch.tensor(model.mel.silence if hasattr(model, "mel") else 0.0)
    torch.testing.assert_close(sound[1, real:], silence.expand_as(sound[1, real:]))


@pytest.mark.parametrize("name", CODECS)
def test_encoding_in_pieces_equals_the_whole(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pieces of any length come in; what is computed at a time does not grow with them."""
    model = _speaking(name)
    if model.context is None:
        pytest.skip("recurrent: its codes depend on the whole sound")
    audio = _sound(model, frames=5 * model.context + 40, batch=1)
    monkeypatch.setattr(codec, "PIECE", 13 / model.frame_rate)
    pieces = list(TorchCodec(model, name).encode_stream(torch.split(audio[0], 7 * model.hop + 5)))
    assert len(pieces) > 2
    with torch.no_grad():
        assert np.array_equal(np.concatenate(pieces), model.encode(audio)[0].numpy())


@pytest.mark.parametrize("name", CODECS)
def test_decoding_in_pieces_equals_the_whole(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = _speaking(name)
    if model.context is None:
        pytest.skip("recurrent: its sound depends on all codes")
    frames = 5 * model.context + 40
    generator = torch.Generator().manual_seed(0)
    codes = torch.randint(model.cardinality, (1, frames, model.codebooks), generator=generator)
    monkeypatch.setattr(codec, "PIECE", 13 / model.frame_rate)
    monkeypatch.setattr(TorchCodec, "open_vocoder", lambda self: None)  # a codec of mels then gives mels
    pieces = list(TorchCodec(model, name).decode_stream(np.split(codes[0].numpy(), range(11, frames, 11))))
    assert len(pieces) > 2
    with torch.no_grad():
        whole = model.decode(codes)[0].numpy()
    np.testing.assert_allclose(np.concatenate(pieces), whole, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", CODECS)
def test_a_codec_that_needs_more_than_sound_and_codes_is_refused(name: str) -> None:
    """Its own methods take what the verbs do not have; with all the rest the verbs work."""
    model = _model(name)
    asks = [_asks_for(model.encode), _asks_for(model.decode)]
    if asks == [["audio"], ["codes"]]:
        tool = TorchCodec(model, name)
        assert (tool.name, tool.codebooks, tool.hop) == (name, model.codebooks, model.hop)
        assert tool.description.sample_rate == model.sample_rate and tool.card.startswith(f"# {name}\n")
        return
    with pytest.raises(UserError, match=rf"{name} (encodes|decodes) \w+.* and here is only (audio|codes)"):
        TorchCodec(model, name)


@pytest.mark.parametrize("name", CODECS)
@torch.no_grad()
def test_silence_is_coded_and_comes_back_as_sound(name: str) -> None:
    model = _speaking(name)
    silence = torch.zeros(1, 20 * model.hop)
    codes = model.encode(silence)
    assert torch.equal(codes, model.encode(silence))
    assert torch.isfinite(model.decode(codes)).all()


@pytest.mark.parametrize("name", CODECS)
@torch.no_grad()
def test_what_are_no_codes_is_told(name: str) -> None:
    model = _speaking(name)
    codes = model.encode(_sound(model, frames=5))
    with pytest.raises(UserError, match=r"whole numbers \(batch, frames, codebooks\)"):
        model.decode(codes[..., 0])
    with pytest.raises(UserError, match=r"whole numbers \(batch, frames, codebooks\)"):
        model.decode(codes[:, :0])
    with pytest.raises(UserError, match=f"has {model.codebooks} codebooks, but the codes are of {model.codebooks + 1}"):
        model.decode(torch.zeros(1, 2, model.codebooks + 1, dtype=torch.int64))
    with pytest.raises(UserError, match=f"from 0 to {model.cardinality - 1}, but there is a {model.cardinality}"):
        model.decode(torch.full_like(codes, model.cardinality))
    with pytest.raises(UserError, match="not \\(2, 0\\)"):
        model.encode(torch.zeros(2, 0))
    with pytest.raises(UserError, match="not \\(2, 1, 50\\)"):
        model.encode(torch.zeros(2, 1, 50))
