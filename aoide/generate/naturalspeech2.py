"""NaturalSpeech 2 with EnCodec as one speaker: a text, and the voice of a recording of some seconds, to sound.

    speaker = load("runs/naturalspeech2", aoide.load)
    speaker.say("Hello there.", Sound.load("somebody.wav"))

The recording tells the voice alone, so what it says need not be known; durations and F0 are foretold. A long text is
said in parts, each after the same recording.

A run, or a folder with Amphion's weights and configuration (amphion/naturalspeech2_libritts), whose phonemes are
ARPAbet: English alone. EnCodec in encodec_24khz/ or from the hub.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from aoide.audio.sound import Sound
from aoide.config import UserError
from aoide.external.speech import text_of
from aoide.generate import parts
from aoide.generate.packed import tags
from aoide.generate.words import AllWords, CmuWords

LEAST, MOST = 1.0, 15.0  # seconds of a recording
PART, PACE = 12.0, 13.0  # seconds that a part of a long text takes, if sentences allow, at so many phonemes a second


class NaturalSpeech2:
    """See aoide/external/speech.py, `Speaker`.

    Args:
        model: a tts/naturalspeech2 in evaluation mode.
        codec: EnCodec, or one of ours.
        words: which symbols a text has; None: those of the house.

    Raises:
        UserError: a codec of other codes.
    """

    name, licence = "tts/naturalspeech2", "that of the weights"

    def __init__(self, model: Any, codec: Any, words: Any = None) -> None:
        config = model.config
        if codec.cardinality != config.codebook_size or codec.codebooks < config.codebooks:
            raise UserError(
                f"the model reads {config.codebooks} codebooks of {config.codebook_size} codes, the codec has "
                f"{codec.codebooks} of {codec.cardinality}"
            )
        self._model, self._codec, self._words = model, codec, words or AllWords()
        self._device = next(model.parameters()).device

    @property
    def sample_rate(self) -> int:
        """Hz."""
        return int(self._codec.sample_rate)

    def say(
        self,
        text: str,
        prompt: Sound | str | None = None,
        *,
        language: str = "en",
        seed: int = 0,
        steps: int = 150,
    ) -> Sound:
        """See `Speaker`.

        Args:
            steps: of the sampler.

        Raises:
            UserError: nothing to say, or no recording or one that does not do.
        """
        sentences = self._words.sentences(text_of(text), language)
        heard = parts.recording(prompt, self.name, LEAST, MOST)
        samples = torch.from_numpy(heard.resample(self.sample_rate).samples)[None].to(self._device)
        with torch.inference_mode():
            codes = self._codec.encode(samples)[..., : self._model.config.codebooks].clone()
        generator = torch.Generator().manual_seed(seed)
        sounds = []
        for part in parts.together(sentences, PACE, PART):
            tokens = torch.from_numpy(self._words.encode(part))[None].to(self._device)
            mask = torch.ones_like(tokens, dtype=torch.bool)
            latents, _ = self._model.speak(tokens, mask, codes, steps=steps, generator=generator)
            sounds.append(self._sound(latents))
        about = tags(f"in the voice of a recording, by {self.name}, seed {seed}")
        return Sound(np.concatenate(sounds), self.sample_rate, about)

    @torch.inference_mode()
    def _sound(self, latents: torch.Tensor) -> np.ndarray:
        """latents (1, frames, dim): by the codec's decoder, or, where it takes codes alone, by the nearest ones."""
        direct = getattr(self._codec, "sound_of", None)
        sound = direct(latents) if direct else self._codec.decode(self._model.nearest(latents)[0])
        return sound[0].float().cpu().numpy()  # type: ignore[no-any-return]


def load(weights: str, opener: Callable[..., Any], codec: Any = None, device: str = "cpu") -> NaturalSpeech2:
    """NaturalSpeech 2 from a run or a folder with published weights.

    Args:
        opener: `aoide.load`, by which runs are opened.
        codec: for a run of another codec than EnCodec.

    Raises:
        UserError: files that are missing, by name.
    """
    folder = parts.folder_of(weights)
    if not parts.is_run(folder) and not any(folder.iterdir()):
        raise UserError(f"{folder}: needs these files: weights and configuration of amphion/naturalspeech2_libritts")
    codec = codec or parts.encodec_of(folder)
    words = None if parts.is_run(folder) else CmuWords()
    return NaturalSpeech2(opener(NaturalSpeech2.name, folder).to(device), codec.to(device), words)
