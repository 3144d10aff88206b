"""One MelConfig reproduces the mels of Amphion, HiFi-GAN, VITS, F5-TTS, Vocos and DiffSinger at the packs' limits."""

from __future__ import annotations

import torch

from aoide.audio import energy
from aoide.audio.mel import MelConfig, MelSpectrogram
from aoide.audio.stft import stft
from tests.parity import packs

# HiFi-GAN's family: filters of equal area, magnitude with a small number under the root, hop-centred frames.
HIFIGAN = {"scale": "slaney", "norm": "slaney", "eps": 1e-9, "padding": "same"}


def config(original: dict, **ours: object) -> MelConfig:
    """The original's own names to ours; `None` for the highest frequency means half the sample rate."""
    names = {
        "sample_rate": ("sample_rate", "sampling_rate", "sr", "target_sample_rate"),
        "n_fft": ("n_fft",),
        "hop": ("hop_size", "hop_length"),
        "win": ("win_size", "win_length"),
        "n_mels": ("n_mel", "num_mels", "n_mels", "n_mel_channels"),
        "fmin": ("fmin",),
        "fmax": ("fmax",),
    }
    found = {name: original[key] for name, keys in names.items() for key in keys if key in original}
    if found.get("fmax") is None:
        found["fmax"] = found["sample_rate"] / 2
    return MelConfig(**{**found, **ours})


def mel(settings: MelConfig, audio: torch.Tensor, frames: int | None = None) -> torch.Tensor:
    """(batch, samples) or (batch, 1, samples) -> (batch, mels, frames), the layout of the packs."""
    return MelSpectrogram(settings)(audio.reshape(len(audio), -1), frames=frames).mT


def test_hifigan_mel_and_loss() -> None:
    pack = packs.load("hifigan/mel_and_l1_loss")
    narrow, wide = config(pack.config, **HIFIGAN), config({**pack.config, "fmax": None}, **HIFIGAN)
    real, made = pack.inputs["y"], pack.inputs["y_hat"]
    loss = 45 * (mel(wide, real) - mel(wide, made)).abs().mean()
    packs.check(pack, {"mel": mel(narrow, real), "mel_loss_target": mel(wide, real), "loss.mel": loss})


def test_vits_spectrogram_and_mel() -> None:
    pack = packs.load("vits/spectrogram_and_mel")
    module = MelSpectrogram(config(pack.config, **{**HIFIGAN, "eps": 1e-6}))
    spectrum = module.magnitude(pack.inputs["y"][:, 0])
    packs.check(
        pack,
        {
            "spec": spectrum.mT[:, ::2],  # the pack keeps every second bin
            "mel_of_spec": module.from_magnitude(spectrum).mT,
            "mel": module(pack.inputs["y_hat"][:, 0]).mT,
        },
    )


def test_amphion_vocoder_and_svc() -> None:
    pack = packs.load("amphion_features/mel_vocoder_svc")
    settings = config(pack.config["preprocess"], **HIFIGAN)
    loss_settings = config(pack.config["preprocess"], **{**HIFIGAN, "eps": 1e-6})
    audio = pack.inputs["wav"]
    module = MelSpectrogram(settings)
    window = torch.hann_window(settings.win)
    spectra = stft(audio, settings.n_fft, settings.hop, window, settings.padding)
    # librosa's centred frames see zeros, not a mirror, around the sound: put 4 hops of zeros there, leave out 4 frames.
    zeros = torch.nn.functional.pad(audio, (1024, 1024))
    librosa = stft(zeros, settings.n_fft, settings.hop, window, "center").abs()[:, 4:80]
    packs.check(
        pack,
        {
            "mel": module(audio)[0].T,
            "mel_plain": module(pack.inputs["wav_plain"])[0].T,
            "mel_eps1e-6": mel(loss_settings, audio),
            "linear": module.magnitude(audio)[0].T[:, ::4],  # the pack keeps every 4th frame
            "energy_from_mel": energy.from_bands(module.linear(module(audio)))[0],
            "energy_from_waveform": energy.from_magnitude(librosa)[0],
            "log_amplitude": (spectra.abs() + 1e-5).log()[0].T[:, ::8],
            "rea": spectra.real[0].T[:, ::8],
            "imag": spectra.imag[0].T[:, ::8],
        },
    )


def test_amphion_tts() -> None:
    pack = packs.load("amphion_features/mel_tts")
    original = pack.config["preprocess"]
    taco = MelSpectrogram(config(original, **{**HIFIGAN, "eps": 0.0, "padding": "center"}))
    audio = pack.inputs["wav"]
    frames = pack.out["mel_taco"].shape[1]
    spectrum = taco.magnitude(audio, frames=frames)
    packs.check(
        pack,
        {
            "mel_taco": taco.from_magnitude(spectrum)[0].T,
            "energy_taco": energy.from_magnitude(spectrum)[0],
            "mel": mel(config(original, **HIFIGAN), audio)[0],
            "mel_fmax_null": mel(config({**original, "fmax": None}, **HIFIGAN), audio)[0],
        },
    )


def test_amphion_maskgct_and_vevo() -> None:
    pack = packs.load("amphion_features/mel_maskgct_vevo")
    full = mel(config(pack.config["mel"], **HIFIGAN), pack.inputs["wav"])
    normalised = (full.mT - pack.config["mel_mean"]) / pack.config["mel_var"] ** 0.5
    facodec = mel(config(pack.config["mel_ns3"], **HIFIGAN), pack.inputs["wav_16k"])
    packs.check(pack, {"mel": full, "mel_normalised": normalised, "mel_ns3": facodec})


def test_f5_tts() -> None:
    pack = packs.load("f5_tts/melspec")
    vocos = config(pack.config, fmin=0.0, fmax=12000.0)
    bigvgan = config(pack.config, **HIFIGAN)
    audio = pack.inputs["wav"]
    frames = pack.out["mel_vocos"].shape[2]  # samples // hop + 1: the original keeps the frame at the very end
    packs.check(pack, {"mel_vocos": mel(vocos, audio, frames), "mel_bigvgan": mel(bigvgan, audio)})


def test_vocos_features() -> None:
    for padding in ("center", "same"):
        pack = packs.load(f"vocos/mel_istft_{padding}")
        original = pack.config["feature_extractor"]
        settings = config(original, win=original["n_fft"], floor=1e-7, padding=padding)
        frames = pack.out["features_of_wav"].shape[2]
        packs.check(pack, {"features_of_wav": mel(settings, pack.inputs["wav"], frames)})


def test_diffsinger() -> None:
    pack = packs.load("diffsinger_openvpi/nvstft_mel")
    module = MelSpectrogram(config(pack.config, **{**HIFIGAN, "eps": 0.0}))
    audio = pack.inputs["wav"]
    packs.check(
        pack,
        {
            "mel": module(audio).mT,
            "mel_keyshift3": module.shifted(audio, semitones=3).mT,
            "mel_keyshift-2_speed1.2": module.shifted(audio, semitones=-2, speed=1.2).mT,
        },
    )
