"""What a model makes of held-out clips, to be heard and seen: sounds, and mels beside the recorded ones.

A vocoder or codec gives sounds. A text-to-speech model gives mels, and sound where it makes some itself or where a
vocoder is at hand that reads its mel. What a model does not give is left out; a model of neither gives nothing.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from aoide.audio.mel import MelConfig, MelSpectrogram
from aoide.config import UserError
from aoide.objectives import inputs
from aoide.plots import spectrogram

CLIPS = 2  # of the first held-out batch
SECONDS = 10.0  # of each; a long clip would fill the disk with every validation

Hear = Callable[[np.ndarray, Any], np.ndarray | None]


@dataclass(kw_only=True)
class Samples:
    """By name: sounds (samples,), with their rate in Hz, and PNG pictures, the generated mel above the recorded."""

    sample_rate: int = 0
    sounds: dict[str, np.ndarray] = field(default_factory=dict)
    pictures: dict[str, bytes] = field(default_factory=dict)


@torch.no_grad()
def make(module: Any, model: Any, batch: Mapping[str, Any], hear: Hear | None = None) -> Samples:
    """Runs the model on a held-out batch.

    Args:
        module: the model file.
        model: the network, in evaluation mode.
        batch: of the data, on the model's device.
        hear: mel (frames, mels) and its settings -> samples, or None for settings that it does not know.
    """
    mel: MelConfig | None = getattr(model.config, "mel", None)
    rate = int(getattr(mel, "sample_rate", 0) or getattr(model.config, "sample_rate", 0))
    made = Samples(sample_rate=rate)
    output = _output(module, model, batch) if rate else None
    if output is None:
        return made
    sounds, mels = _sounds(model, output), _mels(output, mel)
    if sounds is None and mels is None:
        return made
    for i, name in enumerate(batch["ids"][:CLIPS]):
        seconds = _seconds(batch, output, i, model.config, rate)
        recorded = _numbers(batch["audio"][i], round(seconds * rate)) if "audio" in batch else None
        generated = None if sounds is None else _numbers(sounds[i], round(seconds * rate))
        if mels is not None and "mel" in batch:
            assert mel is not None
            frames = round(seconds * mel.frame_rate)
            said, real = _numbers(mels[i], frames), _numbers(batch["mel"][i], frames)
            made.pictures[name] = spectrogram.draw([(said, None), (real, None)])
            if generated is None and hear is not None:
                generated, recorded = hear(said, mel), hear(real, mel) if recorded is None else recorded
        elif generated is not None and recorded is not None:
            both = (_mel_of(sound, mel, rate) for sound in (generated, recorded))
            made.pictures[name] = spectrogram.draw([(picture, None) for picture in both])
        for kind, sound in (("generated", generated), ("recorded", recorded)):
            if sound is not None:
                made.sounds[f"{name}/{kind}"] = sound
    return made


def _output(module: Any, model: Any, batch: Mapping[str, Any]) -> Any:
    """What the model says of the batch; None where its forward is a part of training that says nothing."""
    if hasattr(model, "vocode") and "mel" in batch:  # sample by sample or step by step: a second has to do
        frames = round(model.config.mel.frame_rate)
        asked = set(inspect.signature(model.vocode).parameters) - {"frame_mask"}
        return model.vocode(**{name: batch[name][:CLIPS, :frames] for name in ("mel", "f0") if name in asked})
    try:
        return model(**inputs(module, batch))
    except UserError:  # it needs what its objective draws: noise, times, masks
        return None


def _sounds(model: Any, output: Any) -> Tensor | None:
    """(batch, samples) of what the model gave, if that is sound or can become it."""
    if isinstance(output, Tensor) and ".vocoder." in type(model).__module__ and output.ndim == 2:
        return output
    if hasattr(model, "waveform"):
        return model.waveform(output)
    sound = getattr(output, "audio", None)
    return sound if isinstance(sound, Tensor) and sound.ndim == 2 else None


def _mels(output: Any, mel: MelConfig | None) -> Tensor | None:
    """(batch, frames, mels) of what the model gave."""
    found = getattr(output, "mel", None)
    return found if mel is not None and isinstance(found, Tensor) and found.ndim == 3 else None


def _seconds(batch: Mapping[str, Any], output: Any, item: int, settings: Any, rate: int) -> float:
    """How much of an item is real, SECONDS at most."""
    mask = getattr(output, "frame_mask", None)
    mask = batch.get("frame_mask") if mask is None else mask
    hop = getattr(getattr(settings, "mel", settings), "hop", None)
    if mask is not None and hop:
        return min(SECONDS, float(mask[item].sum()) * hop / rate)
    return min(SECONDS, batch["audio"].shape[-1] / rate if "audio" in batch else SECONDS)


def _numbers(values: Tensor, count: int) -> np.ndarray:
    return values[:count].detach().float().cpu().numpy()


def _mel_of(sound: np.ndarray, mel: MelConfig | None, rate: int) -> np.ndarray:
    """(frames, mels) of a sound, with the model's settings or usual ones."""
    settings = mel or MelConfig(sample_rate=rate, n_fft=1024, win=1024, hop=256, n_mels=80, fmax=rate / 2)
    return MelSpectrogram(settings)(torch.from_numpy(sound)[None])[0].numpy()
