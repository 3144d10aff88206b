"""A trained `tta/mel_dit` as it stands in a run: caption -> sound with torch; what `described.py` does with graphs."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from aoide.generate.described import Description, Sampling
from aoide.generate.vocoder import Vocoder
from aoide.models.tta import mel_dit
from aoide.voices import DEFAULT_VOCODER


class TorchNetwork:
    """See `aoide.generate.described.Network`."""

    def __init__(self, model: mel_dit.Model) -> None:
        self.model = model.eval()

    @torch.inference_mode()
    def say(self, words: np.ndarray, word_mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        said = self.model.caption(_tensor(words), _tensor(word_mask))
        return said.numpy(), (torch.zeros_like(said) + self.model.caption.unsaid).numpy()

    @torch.inference_mode()
    def go(self, noisy: np.ndarray, time: np.ndarray, said: np.ndarray) -> np.ndarray:
        return self.model.velocity(_tensor(noisy), _tensor(time), _tensor(said)).numpy()

    @torch.inference_mode()
    def mel(self, components: np.ndarray) -> np.ndarray:
        return self.model.restore(_tensor(components)).numpy()

    @torch.inference_mode()
    def components(self, mel: np.ndarray) -> np.ndarray:
        return self.model.normalise(_tensor(mel)).numpy()


def torch_described(model: Any, name: str, vocoder: str = DEFAULT_VOCODER) -> Sampling:
    """The model, ready for captions.

    Raises:
        UserError: a vocoder of another mel.
    """
    of = Description(
        name=name,
        licence="",
        sha256={},
        mel=model.config.mel,
        frames=model.config.frames,
        patch=model.config.patch,
        floor=mel_dit.FLOOR,
        vocoder=vocoder,
    )
    return Sampling(of, TorchNetwork(model), Vocoder(vocoder, torch.get_num_threads()))


def _tensor(values: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values))
