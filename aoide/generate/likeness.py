"""Conversion into a voice that is heard once: published weights of OpenVoice's converter, on sound of any length.

    model = aoide.load("vc/openvoice", "hf:myshell-ai/OpenVoiceV2")
    like = Likeness(model, "friend.wav")                            # whose speaker agreed
    for piece in like.stream(Source.file("talk.wav")): ...

Voices are heard in the first seconds of both recordings, once; then the recording is converted part by part, cut at its
pauses (aoide/generate/convert.py).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from aoide.audio.sound import Sound
from aoide.config import UserError
from aoide.generate.convert import Source, cuts, joined
from aoide.generate.packed import tags

NAME = "vc/openvoice"
LISTEN = 30.0  # seconds of a recording in which a voice is heard
LEAST = 1.0  # and least
SILENCE = 1e-4  # root mean square of a part below which nobody speaks


class Likeness:
    """A converter into the voice of one recording.

    Args:
        model: of `vc/openvoice`, with its weights.
        reference: the recording; whoever speaks there must have agreed.
        seed: of what is drawn; each sound begins with it anew.

    Raises:
        UserError: no such recording, or one that is too short or silent.
    """

    def __init__(self, model: Any, reference: Sound | str | os.PathLike[str], seed: int = 0) -> None:
        self._model = model
        self._mel, self.seed = model.config.mel, seed
        self.sample_rate = self._mel.sample_rate
        sound = reference if isinstance(reference, Sound) else None
        name = "the reference" if sound is not None else os.fspath(reference)  # type: ignore[arg-type]
        source = Source.of(sound) if sound is not None else Source.file(name)
        self._target = self._voice(self._beginning(source, name))

    def tags(self) -> dict[str, str]:
        return tags(f"voice converted to that of another recording by {NAME}")

    def convert(self, sound: Sound) -> Sound:
        """A sound in the voice of the reference: one channel at `sample_rate`, as long as before."""
        pieces = list(self.stream(Source.of(sound)))
        return Sound(np.concatenate([np.zeros(0, np.float32), *pieces]), self.sample_rate, self.tags())

    def stream(self, source: Source) -> Iterator[np.ndarray]:
        """The same in pieces, in constant memory."""
        rate, hop = self.sample_rate, self._mel.hop
        generator = torch.Generator().manual_seed(self.seed)
        own = self._voice(self._beginning(source, None))

        def work(samples: np.ndarray, first: int) -> np.ndarray:
            if np.sqrt(np.mean(np.square(samples, dtype=np.float64))) < SILENCE:
                return np.zeros_like(samples)
            with torch.inference_mode():
                heard = self._model.listen(torch.from_numpy(samples)[None])
                made = self._model.revoice(*heard, own, self._target, generator=generator)[0]
            return np.clip(made[0].numpy(), -1.0, 1.0)

        yield from joined(source, cuts(source, rate, hop), rate, hop, work)

    def _voice(self, samples: np.ndarray) -> torch.Tensor:
        """The voice of samples (samples,), (1, values)."""
        with torch.inference_mode():
            return self._model.voice(*self._model.listen(torch.from_numpy(samples)[None]))

    def _beginning(self, source: Source, name: str | None) -> np.ndarray:
        """The first LISTEN seconds of a source in whole frames; with a name it must hold a voice."""
        most, taken = round(LISTEN * self.sample_rate), [np.zeros(0, np.float32)]
        for block in source.blocks(self.sample_rate):
            taken.append(np.asarray(block, np.float32))
            if sum(map(len, taken)) >= most:
                break
        samples = np.concatenate(taken)[:most]
        if not np.isfinite(samples).all():
            raise UserError(f"{name or 'the sound'} holds NaN or infinity")
        if name is not None and (len(samples) < LEAST * self.sample_rate or np.abs(samples).max() < SILENCE):
            raise UserError(f"{name}: too short or too quiet to hear a voice in it; some seconds of speech are needed")
        least = max(len(samples), round(LEAST * self.sample_rate))
        return np.pad(samples, (0, least - len(samples) + -least % self._mel.hop))
