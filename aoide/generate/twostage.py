"""Two trained networks as one voice: an acoustic model says the mel, a vocoder makes it sound.

    aoide export runs/fastspeech2 --vocoder runs/vocos -o my-voice

Both must have been trained on the same mel; else what one writes the other cannot read.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from aoide.config import UserError
from aoide.nn.lengths import mask_from_lengths


class TwoStage(nn.Module):
    """The graph of a voice made of two models; what `generate/folder.py` calls kind `istft` or `waveform`.

    Args:
        acoustic: a trained text-to-mel Model, with `infer(tokens, mask, speed=, pitch_shift=)` and `config.mel`.
        vocoder: a trained vocoder Model of the same mel. Where its last step is an inverse STFT (Vocos), the graph
            gives the spectrum and the runtime does that step, after Griffin-Lim steps where the vocoder has them.
        speaker: the number of the voice, for an acoustic model of several.

    Raises:
        UserError: one of them is something else, or their mels differ.
    """

    def __init__(self, acoustic: Any, vocoder: Any, speaker: int | None = None) -> None:
        super().__init__()
        for model, what in ((acoustic, "acoustic model"), (vocoder, "vocoder")):
            if not hasattr(model.config, "mel"):
                raise UserError(f"{type(model).__module__} has no mel, so it cannot be the {what} of a voice")
        if not hasattr(acoustic, "infer"):
            raise UserError(f"{type(acoustic).__module__} does not turn text into a mel")
        if acoustic.config.mel != vocoder.config.mel:
            raise UserError(
                f"the acoustic model makes {acoustic.config.mel}, but the vocoder reads {vocoder.config.mel}"
            )
        voices = getattr(acoustic.config, "speakers", None) or 0
        if voices and (speaker is None or not 0 <= speaker < voices):
            raise UserError(f"the acoustic model has {voices} voices; name one by its number, 0 to {voices - 1}")
        self.acoustic, self.vocoder = acoustic, vocoder
        self.speaker = speaker if voices else None
        self.config = vocoder.config

    def forward(self, tokens: Tensor, lengths: Tensor, speed: Tensor, pitch: Tensor) -> tuple[Tensor, ...]:
        """tokens (batch, tokens), lengths, speed, pitch (batch,) -> magnitude, phase (batch, frames, bins), durations,
        or audio (batch, samples), durations."""
        mask = mask_from_lengths(lengths, tokens.shape[1])
        speaker = None if self.speaker is None else torch.full_like(lengths, self.speaker)
        spoken = self.acoustic.infer(tokens, mask, speaker, speed=speed, pitch_shift=pitch)
        if not hasattr(self.vocoder, "spectrum") or getattr(self.vocoder.config, "head", "istft") != "istft":
            sound = getattr(self.vocoder, "vocode", self.vocoder)
            return sound(spoken.mel, spoken.frame_mask), spoken.durations
        magnitude, phase = self.vocoder.spectrum(spoken.mel, spoken.frame_mask)
        return magnitude, phase, spoken.durations
