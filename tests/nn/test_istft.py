from __future__ import annotations

import math

import pytest
import torch

from aoide.audio.stft import stft
from aoide.generate import synthesis
from aoide.nn.istft import InverseMDCT, InverseSTFT

SIZES = [(64, 16), (60, 16), (1200, 300), (64, 31)]  # the second and last: a hop that does not divide n_fft


def _spectrum(frames: int, n_fft: int, batch: int = 2) -> torch.Tensor:
    torch.manual_seed(0)
    return torch.randn(batch, frames, n_fft // 2 + 1, dtype=torch.complex64)


@pytest.mark.parametrize(("n_fft", "hop"), SIZES)
def test_equals_torch_where_torch_goes(n_fft: int, hop: int) -> None:
    spectrum = _spectrum(20, n_fft)
    theirs = torch.istft(spectrum.mT, n_fft, hop, window=torch.hann_window(n_fft))
    ours = InverseSTFT(n_fft, hop)(spectrum)
    assert ours.shape == (2, 20 * hop) and theirs.shape == (2, 19 * hop)
    torch.testing.assert_close(ours[:, : 19 * hop], theirs, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("padding", ["center", "same"])
@pytest.mark.parametrize(("n_fft", "hop"), SIZES[:3])
def test_gives_back_the_sound_that_was_analysed(n_fft: int, hop: int, padding: str) -> None:
    torch.manual_seed(0)
    sound = torch.randn(2, 20 * hop)
    spectrum = stft(sound, n_fft, hop, torch.hann_window(n_fft), padding)
    assert spectrum.shape[1] == 20
    torch.testing.assert_close(InverseSTFT(n_fft, hop, padding)(spectrum), sound, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("padding", ["center", "same"])
def test_mdct_gives_back_the_sound_that_was_analysed(padding: str) -> None:
    torch.manual_seed(0)
    hop, frames = 16, 12
    sound = torch.randn(1, frames * hop)
    trim = hop if padding == "center" else hop // 2
    n, k = torch.arange(2 * hop)[:, None], torch.arange(hop)[None]
    window = torch.sin(math.pi / (2 * hop) * (n + 0.5))
    basis = math.sqrt(2 / hop) * window * torch.cos(math.pi / hop * (n + 0.5 + hop / 2) * (k + 0.5))  # (2 * hop, hop)
    pieces = torch.nn.functional.pad(sound, (trim, 2 * hop)).unfold(1, 2 * hop, hop)[:, :frames]
    back = InverseMDCT(hop, padding)(pieces @ basis)
    whole = slice(hop, (frames - 1) * hop)  # beyond it a frame has no partner
    torch.testing.assert_close(back[:, whole], sound[:, whole], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("padding", ["center", "same"])
def test_the_runtime_without_torch_makes_the_same_sound(padding: str) -> None:
    spectrum = _spectrum(20, 64, batch=1)
    theirs = synthesis.istft(spectrum.abs()[0].numpy(), spectrum.angle()[0].numpy(), hop=16, padding=padding)
    ours = InverseSTFT(64, 16, padding)(spectrum)[0]
    torch.testing.assert_close(torch.from_numpy(theirs), ours, atol=1e-5, rtol=1e-4)


TRANSFORMS = [
    *((InverseSTFT(n_fft, hop, padding), n_fft) for n_fft, hop in SIZES for padding in ("center", "same")),
    *((InverseMDCT(16, padding), None) for padding in ("center", "same")),
]


@pytest.mark.parametrize("chunks", [[1] * 23, [23], [5, 1, 17], [2, 0, 21], [22, 1]])
@pytest.mark.parametrize(("transform", "n_fft"), TRANSFORMS)
def test_streaming_equals_offline(transform, n_fft: int | None, chunks: list[int]) -> None:
    spectrum = torch.randn(2, 23, 16) if n_fft is None else _spectrum(23, n_fft)
    whole = transform(spectrum)
    stream = transform.stream()
    for _ in range(2):  # the second time: a flushed stream is as good as new
        pieces = [stream.push(part) for part in spectrum.split(chunks, dim=1)]
        told = torch.cat(pieces, dim=1).shape[1]
        assert told == whole.shape[1] - transform.overlap.trim, "a sample is given as soon as it is complete"
        torch.testing.assert_close(torch.cat([*pieces, stream.flush()], dim=1), whole, atol=1e-5, rtol=1e-4)


def test_a_stream_shorter_than_its_lag() -> None:
    transform = InverseSTFT(64, 16)
    spectrum = _spectrum(1, 64)
    stream = transform.stream()
    assert stream.push(spectrum).shape == (2, 0)
    torch.testing.assert_close(stream.flush(), transform(spectrum))
    with pytest.raises(ValueError, match="nothing was pushed"):
        stream.flush()


@pytest.mark.parametrize(("transform", "n_fft"), TRANSFORMS)
def test_padding_changes_nothing_real(transform, n_fft: int | None) -> None:
    spectrum = torch.randn(2, 23, 16) if n_fft is None else _spectrum(23, n_fft)
    mask = torch.ones(2, 23, dtype=torch.bool)
    mask[0, 9:] = False
    together = transform(spectrum, mask)
    alone = transform(spectrum[:1, :9])
    torch.testing.assert_close(together[:1, : alone.shape[1]], alone, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(together[1:], transform(spectrum[1:]))
    assert torch.equal(together[0, alone.shape[1] :], torch.zeros(together.shape[1] - alone.shape[1]))


def test_gradient_is_finite_where_masked() -> None:
    spectrum = _spectrum(10, 64).requires_grad_()
    mask = torch.arange(10)[None] < torch.tensor([[3], [10]])
    InverseSTFT(64, 16, "same")(spectrum, mask).square().sum().backward()
    assert torch.isfinite(torch.view_as_real(spectrum.grad)).all()


def test_impossible_sizes_are_told() -> None:
    with pytest.raises(ValueError, match="n_fft 64, hop 32"):
        InverseSTFT(64, 32)
    with pytest.raises(ValueError, match="even n_fft"):
        InverseSTFT(65, 16)
