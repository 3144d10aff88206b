"""Filters against librosa, frames on their clock, gradients at silence, batch of one equals batch of many."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from aoide.audio import energy, mel_config
from aoide.audio.mel import MelConfig, MelSpectrogram, filterbank
from aoide.audio.stft import reflect, stft
from aoide.config import UserError, build

LIBROSA = json.loads((Path(__file__).parents[1] / "fixtures" / "librosa_filters.json").read_text())


@pytest.mark.parametrize("case", LIBROSA["cases"], ids=lambda c: f"{c['scale']}-{c['n_mels']}")
def test_filters_equal_librosa(case: dict) -> None:
    settings = {k: v for k, v in case.items() if k not in ("sums", "moments")}
    bands = filterbank(MelConfig(**settings, win=settings["n_fft"])).astype(np.float64)
    assert bands.shape == (case["n_mels"], case["n_fft"] // 2 + 1)
    assert np.abs(bands.sum(1) - case["sums"]).max() < 1e-6
    assert np.allclose(bands @ np.arange(bands.shape[1]), case["moments"], rtol=1e-6)


def test_filters_are_shared_and_read_only() -> None:
    assert filterbank(MelConfig()) is filterbank(MelConfig())
    with pytest.raises(ValueError, match="read-only"):
        filterbank(MelConfig())[0, 0] = 1


@pytest.mark.parametrize("scale", ["htk", "slaney"])
def test_mel_scale_there_and_back(scale: str) -> None:
    hz = np.linspace(0, 12000, 97)
    assert np.allclose(mel_config.mel_to_hz(mel_config.hz_to_mel(hz, scale), scale), hz)
    assert abs(float(mel_config.hz_to_mel(1000, scale)) - (999.99 if scale == "htk" else 15)) < 0.01


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"fmax": 13000.0}, "above half the sample rate"),
        ({"fmin": 9000.0, "fmax": 8000.0}, "below fmax"),
        ({"win": 2048}, "n_fft"),
        ({"floor": 0.0}, "floor"),
        ({"n_mels": 0}, "at least 1"),
        ({"n_mel": 80}, "did you mean n_mels"),
        ({"scale": "htk2"}, "htk"),
    ],
)
def test_impossible_settings_are_refused(settings: dict, words: str) -> None:
    with pytest.raises(UserError, match=words):
        build(MelConfig, settings, "here")


@pytest.mark.parametrize("padding", ["center", "same"])
def test_frames_are_counted_by_the_clock(padding: str) -> None:
    mel = MelSpectrogram(MelConfig(padding=padding))
    for samples in (0, 1, 255, 256, 300, 511, 512, 1000, 2560, 2561):
        assert mel(torch.zeros(2, samples)).shape == (2, samples // 256, 100)


@pytest.mark.parametrize("padding", ["center", "same"])
def test_frame_k_is_centred_where_the_config_says(padding: str) -> None:
    """A click is loudest in the frame whose centre is nearest."""
    config = MelConfig(padding=padding)
    for frame in (3, 10, 19):
        audio = torch.zeros(1, 24 * 256)
        audio[0, round(frame * config.hop + config.first_centre)] = 1.0
        assert int(MelSpectrogram(config).magnitude(audio).sum(-1).argmax()) == frame


@pytest.mark.parametrize("samples", [1, 2, 5, 100])
def test_mirror_of_short_sounds_equals_numpy(samples: int) -> None:
    audio = np.random.default_rng(0).standard_normal((2, samples)).astype(np.float32)
    want = np.pad(audio, ((0, 0), (7, 9)), mode="reflect")
    assert np.array_equal(reflect(torch.from_numpy(audio), 7, 9).numpy(), want)


@pytest.mark.parametrize("padding", ["center", "same"])
def test_batch_of_one_equals_batch_of_many(padding: str) -> None:
    """What a clip is padded with, and by whom it is accompanied, does not show in its frames."""
    mel = MelSpectrogram(MelConfig(padding=padding))
    lengths = torch.tensor([5000, 256, 300, 4864])
    clips = [torch.randn(int(n), generator=torch.Generator().manual_seed(int(n))) for n in lengths]
    batch = torch.nn.utils.rnn.pad_sequence(clips, batch_first=True, padding_value=7.0)
    together = mel(batch, lengths)
    for row, clip in zip(together, clips, strict=True):
        alone = mel(clip[None])[0]
        assert torch.allclose(row[: len(alone)], alone, atol=1e-5)
        assert bool((row[len(alone) :] == mel.config.silence).all())


@pytest.mark.parametrize("eps", [0.0, 1e-9])
def test_silence_gives_the_floor_and_a_finite_gradient(eps: float) -> None:
    audio = torch.zeros(1, 2048, requires_grad=True)
    mel = MelSpectrogram(MelConfig(eps=eps, floor=1e-3))(audio)
    assert torch.allclose(mel, torch.tensor(mel_config.MelConfig(floor=1e-3).silence))
    mel.sum().backward()
    assert audio.grad is not None and bool(audio.grad.isfinite().all())


def test_settings_change_what_they_say() -> None:
    audio = torch.randn(1, 4096, generator=torch.Generator().manual_seed(0)) * 0.1
    ln = MelSpectrogram(MelConfig())(audio)
    assert torch.allclose(MelSpectrogram(MelConfig(log="log10"))(audio) * np.log(10.0), ln, atol=1e-5)
    loud = MelSpectrogram(MelConfig(power=2.0, n_mels=1))(audio * 10) - MelSpectrogram(MelConfig(power=2.0, n_mels=1))(
        audio
    )
    assert torch.allclose(loud, torch.tensor(2 * np.log(10.0)).float(), atol=1e-3)
    assert not (set(MelSpectrogram(MelConfig()).state_dict())), "window and filters follow from the config"


def test_autocast_does_not_coarsen_the_mel() -> None:
    mel, audio = MelSpectrogram(MelConfig()), torch.randn(1, 4096, generator=torch.Generator().manual_seed(0))
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(mel(audio), mel(audio.clone())) and mel(audio).dtype == torch.float32
    with torch.autocast("cpu", torch.bfloat16):
        inside = mel(audio)
    assert torch.equal(inside, mel(audio))


def test_parseval() -> None:
    """The sum of all squared magnitudes is the energy of the windowed frames."""
    audio = torch.randn(1, 8192, generator=torch.Generator().manual_seed(0))
    window = torch.hann_window(1024)
    spectra = stft(audio, 1024, 256, window, "same")
    weights = torch.full((513,), 2.0)
    weights[0] = weights[-1] = 1.0
    frame = audio[0, 16 * 256 - 384 : 16 * 256 - 384 + 1024] * window
    assert torch.allclose((spectra[0, 16].abs() ** 2 * weights).sum() / 1024, (frame**2).sum(), rtol=1e-4)


def test_energy_follows_the_sound() -> None:
    mel = MelSpectrogram(MelConfig())
    audio = torch.randn(1, 8192, generator=torch.Generator().manual_seed(0))
    quiet, loud = energy.from_magnitude(mel.magnitude(audio)), energy.from_magnitude(mel.magnitude(3 * audio))
    assert quiet.shape == (1, 32) and torch.allclose(loud, 3 * quiet, rtol=1e-4)
    bands = mel.linear(mel(audio))
    assert torch.allclose(energy.from_bands(bands), bands.square().sum(-1).sqrt())


def test_shifting_up_an_octave_moves_the_peak() -> None:
    t = torch.arange(24000) / 24000
    mel = MelSpectrogram(MelConfig(n_mels=80))
    low, high = torch.sin(2 * torch.pi * 500 * t)[None], torch.sin(2 * torch.pi * 1000 * t)[None]
    peak = int(mel(high)[0, 40].argmax())
    assert abs(int(mel.shifted(low, semitones=12)[0, 40].argmax()) - peak) <= 1
    assert mel.shifted(low, speed=2.0).shape[1] == 24000 // 512
