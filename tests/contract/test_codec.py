"""What codecs promise beyond the common contract (aoide/models/codec/__init__.py)."""

from __future__ import annotations

import inspect
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from aoide.config import UserError
from aoide.models import codec, find

CODECS = [name for name in find.names() if name.startswith("codec/")]
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
    """The model, if it goes from sound to codes to sound."""
    model = _hearing(name)
    if _asks_for(model.decode) != ["codes"]:
        pytest.skip(f"it decodes {' and '.join(_asks_for(model.decode))}")
    return model


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
    assert all(sound.shape == (2, FRAMES * model.hop) and sound.dtype == torch.float32 for sound in sounds)
    assert all(torch.isfinite(sound).all() for sound in sounds)
    assert all(not torch.equal(sound, sounds[-1]) for sound in sounds[:-1]), "every codebook tells something"
    assert model.decode(codes[:, :1]).shape == (2, model.hop), "one frame is a sound"


@pytest.mark.parametrize("name", CODECS)
@torch.no_grad()
def test_decoding_the_codes_is_what_forward_does(name: str) -> None:
    model = _speaking(name)
    output = model(_sound(model))
    assert torch.equal(output.codes, model.encode(_sound(model)))
    torch.testing.assert_close(model.decode(output.codes), output.audio, atol=1e-5, rtol=1e-4)
    assert output.commitment.shape == output.codebook.shape == (2, model.codebooks)


@pytest.mark.parametrize("name", CODECS)
@torch.no_grad()
def test_padded_codes_are_silent(name: str) -> None:
    model = _speaking(name)
    codes = model.encode(_sound(model))
    mask = torch.arange(FRAMES) < torch.tensor([[FRAMES], [30]])
    sound = model.decode(codes, mask)
    torch.testing.assert_close(sound[1:, : 30 * model.hop], model.decode(codes[1:, :30]), atol=1e-5, rtol=1e-4)
    assert not sound[1, 30 * model.hop :].any()


@pytest.mark.parametrize("name", CODECS)
@torch.no_grad()
def test_encoding_in_pieces_equals_the_whole(name: str) -> None:
    """Pieces of any length come in; what is computed at a time does not grow with them."""
    model = _hearing(name)
    if model.context is None:
        pytest.skip("recurrent: its codes depend on the whole sound")
    audio = _sound(model, frames=5 * model.context + 40)
    pieces = torch.split(audio, 7 * model.hop + 5, dim=1)
    together = torch.cat(list(codec.encode(model, pieces, seconds=13 / model.frame_rate)), dim=1)
    assert torch.equal(together, model.encode(audio))


@pytest.mark.parametrize("name", CODECS)
@torch.no_grad()
def test_decoding_in_pieces_equals_the_whole(name: str) -> None:
    model = _speaking(name)
    if model.context is None:
        pytest.skip("recurrent: its sound depends on all codes")
    frames = 5 * model.context + 40
    generator = torch.Generator().manual_seed(0)
    codes = torch.randint(model.cardinality, (1, frames, model.codebooks), generator=generator)
    pieces = torch.split(codes, 11, dim=1)
    together = torch.cat(list(codec.decode(model, pieces, seconds=13 / model.frame_rate)), dim=1)
    torch.testing.assert_close(together, model.decode(codes), atol=1e-6, rtol=1e-4)


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


# ------------------------------------------------------------------------------------------------------ pieces by hand


class _Averages:
    """A codec in small: a code is the sum of three frames' whole numbers, a sound three codes added up."""

    hop, sample_rate, frame_rate, codebooks, context = 2, 2, 1.0, 1, 1

    def __init__(self) -> None:
        self.seen: list[int] = []

    def encode(self, audio: Tensor) -> Tensor:
        frames = torch.nn.functional.pad(audio.unfold(1, 2, 2).sum(-1), (1, 1))
        self.seen.append(audio.shape[1])
        return (frames[:, :-2] + frames[:, 1:-1] + frames[:, 2:]).long()[..., None]


def test_pieces_of_every_length_and_constant_memory() -> None:
    audio = torch.arange(200.0)[None]
    whole = _Averages().encode(audio)
    for size in (1, 2, 3, 7, 50, 200):
        small = _Averages()
        got = list(codec.encode(small, torch.split(audio, size, dim=1), seconds=5))  # type: ignore[arg-type]
        assert torch.equal(torch.cat(got, dim=1), whole), size
        assert max(small.seen) <= (1 + 5 + 1) * 2, "5 frames at a time, and one on each side"


def test_no_pieces_give_nothing_and_no_time_is_told() -> None:
    fake: Any = SimpleNamespace(context=1, frame_rate=1.0, hop=2, encode=None)
    assert list(codec.encode(fake, [])) == []
    with pytest.raises(UserError, match="longer than 0 s"):
        list(codec.encode(fake, [torch.zeros(1, 4)], seconds=0))
