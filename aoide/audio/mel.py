"""The mel spectrogram: what most models read, write and are judged by.

    mel = MelSpectrogram(MelConfig(sample_rate=22050, n_mels=80, fmax=8000))(audio)      # (batch, frames, mels)

`MelConfig` and `filterbank` come from `aoide.audio.mel_config`, which needs no torch.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from aoide.audio.mel_config import MelConfig, filterbank
from aoide.audio.stft import frames_of, magnitude, stft

__all__ = ["MelConfig", "MelSpectrogram", "filterbank"]


class MelSpectrogram(nn.Module):
    """Log-mel spectrogram, differentiable, in float32 whatever the autocast around it says.

    Magnitude ** power of the Hann-windowed STFT, summed by the mel filters, floored, logarithm.
    """

    window: Tensor
    bands: Tensor

    def __init__(self, config: MelConfig) -> None:
        super().__init__()
        self.config = config
        # Not part of a checkpoint: both follow from the config.
        self.register_buffer("window", torch.hann_window(config.win), persistent=False)
        self.register_buffer("bands", torch.from_numpy(filterbank(config).T.copy()), persistent=False)

    def forward(self, audio: Tensor, lengths: Tensor | None = None, frames: int | None = None) -> Tensor:
        """Sound to log-mel.

        Args:
            audio: (batch, samples), full scale -1 to 1.
            lengths: (batch,) how many samples of each are real; the frames after them are silence. None: all.
            frames: how many frames to return; None: `samples // hop`, see `aoide.audio.stft`.

        Returns:
            (batch, frames, mels)
        """
        with torch.autocast(audio.device.type, enabled=False):
            return self.from_magnitude(self.magnitude(audio.float(), lengths, frames), lengths)

    def magnitude(self, audio: Tensor, lengths: Tensor | None = None, frames: int | None = None) -> Tensor:
        """The linear spectrum that the mel is made of: (batch, samples) -> (batch, frames, bins)."""
        c = self.config
        return magnitude(stft(audio, c.n_fft, c.hop, self.window, c.padding, lengths, frames), c.eps)

    def from_magnitude(self, spectrum: Tensor, lengths: Tensor | None = None) -> Tensor:
        """(batch, frames, bins) -> log-mel (batch, frames, mels); frames beyond `lengths` samples become silence."""
        c = self.config
        bands = (spectrum if c.power == 1.0 else spectrum**c.power) @ self.bands
        floored = bands.clamp(min=c.floor)
        mel = floored.log() if c.log == "ln" else floored.log10()
        if lengths is None:
            return mel
        real = torch.arange(mel.shape[1], device=mel.device) < (lengths // c.hop)[:, None]
        return mel.masked_fill(~real[..., None], c.silence)

    def shifted(self, audio: Tensor, semitones: float = 0.0, speed: float = 1.0) -> Tensor:
        """The mel that the sound would have if it were sung higher and faster, to augment singing data.

        The window is made longer by the interval, and the bins that then lie in the old range are kept: formants move
        with the pitch. Openvpi's DiffSinger trains with this (modules/nsf_hifigan/nvSTFT.py, key shift).

        Args:
            audio: (batch, samples).
            semitones: up is positive.
            speed: above 1 is faster, so fewer frames: `samples // round(hop * speed)`.

        Returns:
            (batch, frames, mels)
        """
        c = self.config
        factor = 2.0 ** (semitones / 12.0)
        n_fft, win, hop = round(c.n_fft * factor), round(c.win * factor), round(c.hop * speed)
        window = torch.hann_window(win, device=audio.device)
        frames = frames_of(audio.shape[1], hop)
        spectrum = magnitude(stft(audio.float(), n_fft, hop, window, c.padding, frames=frames), c.eps)
        missing = max(0, c.bins - spectrum.shape[2])  # shifted down: nothing is known of the highest bins
        spectrum = nn.functional.pad(spectrum[..., : c.bins], (0, missing)) * (c.win / win)
        return self.from_magnitude(spectrum)

    def linear(self, mel: Tensor) -> Tensor:
        """Log-mel back to the bands before the logarithm, same shape; what the floor swallowed stays at the floor."""
        return torch.exp(mel * (1.0 if self.config.log == "ln" else math.log(10.0)))
