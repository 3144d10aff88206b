"""Bark (Suno 2023): text to speech, laughter and more, by three language models one after the other.

Text becomes semantic tokens, these two coarse books of EnCodec's codes, these all eight of them, and EnCodec makes
sound of it. It says some 14 seconds at a time, so give it a sentence or two. Its voices are presets ("v2/en_speaker_6",
ten for each of thirteen languages), or a file .npz of the same three arrays; it cannot follow a recording.
Weights: suno/bark, suno/bark-small (MIT), through transformers.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from aoide.audio.sound import Sound
from aoide.config import UserError, near
from aoide.external.speech import text_of
from aoide.external.weights import pretrained

SOURCE = "suno/bark-small"


class Bark:
    """See aoide/external/speech.py, `Speaker`.

    Args:
        network: a BarkModel. processor: its BarkProcessor.
        settings: given to the network at each call, such as `semantic_max_new_tokens`.
    """

    name, licence = "bark", "MIT"

    def __init__(self, network: Any, processor: Any, **settings: Any) -> None:
        self._network, self._processor, self._settings = network, processor, settings

    @property
    def sample_rate(self) -> int:
        """Hz."""
        return int(self._network.config.codec_config.sampling_rate)

    @property
    def voices(self) -> list[str]:
        """Names of its voices."""
        return list(self._processor.available_voice_presets)

    def say(self, text: str, prompt: Sound | str | None = None, *, language: str = "en", seed: int = 0) -> Sound:
        """See `Speaker`; the language follows from the text and the voice."""
        import torch

        if isinstance(prompt, Sound):
            raise UserError("Bark cannot follow a recording; name one of its voices, such as v2/en_speaker_6")
        if prompt is not None and not prompt.endswith(".npz") and prompt not in self.voices:
            known = near(prompt, self.voices) or " such as v2/en_speaker_6, or a file .npz"
            raise UserError(f"Bark has no voice {prompt!r};{known}")
        if prompt is not None and prompt.endswith(".npz") and not os.path.isfile(prompt):
            raise UserError(f"{prompt}: no such file with a voice of Bark")
        inputs = self._processor(text_of(text), voice_preset=prompt)
        device = next(self._network.parameters()).device
        inputs = {key: value.to(device) for key, value in inputs.items()}
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []), torch.no_grad():
            torch.manual_seed(seed)  # its sampling knows no generator
            audio = self._network.generate(**inputs, **self._settings)
        return Sound(np.asarray(audio[0].float().cpu(), np.float32), self.sample_rate)


def load(name: str = "bark", source: str | os.PathLike[str] | None = None, device: str = "cpu") -> Bark:
    """Bark with the weights of a hub name or a local folder.

    Raises:
        MissingExtra: transformers is not installed.
        UserError: neither a folder nor a hub has it.
    """
    source = SOURCE if source is None else source
    network = pretrained("BarkModel", source, extra="models").to(device)
    return Bark(network, pretrained("BarkProcessor", source, extra="models"))
