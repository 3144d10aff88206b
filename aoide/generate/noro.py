"""Noro's trained parts as one converter: a recording in the voice of another one, which may be noisy.

    noro = Noro.open("noro", aoide.load)                # what it needs is in the folder
    Likeness(noro, "call.wav").convert(sound)           # aoide/generate/likeness.py

    noro/model/         vc/noro: a run of one's own, or the published checkpoint with its exp_config_base.json
    noro/vocoder/       vocoder/bigvgan on the same mel, likewise
    noro/centres.npy    (centres, values): each frame of content becomes the nearest of them. Published weights were
                        taught 256 of HuBERT's layer 9, by fairseq
    noro/hubert-base/   facebook/hubert-base-ls960; fetched from the hub where it is not there

What is said comes from HuBERT's layer 9, brought to the frames of the mel by the nearest, as in training; the melody is
F0's, frame by frame (He et al. 2024, arXiv:2411.19770).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from aoide.audio import pitch
from aoide.audio.mel import MelSpectrogram
from aoide.audio.sound import Sound
from aoide.config import UserError
from aoide.data.features import align
from aoide.external import content as encoders
from aoide.generate import parts
from aoide.generate.convert import CEILING, FLOOR, LONGEST
from aoide.generate.torch_vocoder import TorchVocoder

MODEL, VOCODER, CENTRES, EARS, LAYER = "model", "vocoder", "centres.npy", "hubert-base", 9

Hear = Callable[[np.ndarray], np.ndarray]


class Noro:
    """See the head of this file, and `Revoicer` in generate/likeness.py.

    Args:
        model: content, F0 and a voice -> mel (vc/noro).
        vocoder: its mel -> sound; a `TorchVocoder`, or anything with its `mel` and `vocode`.
        hear: samples at 16 kHz (samples,) -> content (frames, values), 50 a second.
        centres: (centres, values), one of which stands for each frame of content; None: frames as they are.
        steps: of the solver, 150 to 300 by its authors.

    Raises:
        UserError: parts that do not go together.
    """

    name, listen, longest = "vc/noro", 10.0, LONGEST
    published = "a folder with model/, vocoder/ and centres.npy, which docs/converting.md lists"

    def __init__(
        self, model: Any, vocoder: Any, hear: Hear, centres: np.ndarray | None = None, steps: int = 200
    ) -> None:
        if replace(vocoder.mel, eps=model.config.mel.eps) != model.config.mel:  # nobody hears another eps
            raise UserError(f"Noro makes {model.config.mel}, but the vocoder reads {vocoder.mel}")
        if centres is not None and (centres.ndim != 2 or centres.shape[1] != model.config.content):
            raise UserError(f"the centres are {centres.shape}, and Noro reads {model.config.content} values a frame")
        self._model, self._vocoder, self._hear, self._centres, self._steps = model, vocoder, hear, centres, steps
        self._mel = MelSpectrogram(model.config.mel)
        self.sample_rate, self.hop = model.config.mel.sample_rate, model.config.mel.hop

    @classmethod
    def open(cls, weights: str, load: Callable[..., Any]) -> Noro:
        """From a folder.

        Args:
            load: `aoide.load`.

        Raises:
            UserError: files that are missing, by name.
            MissingExtra: transformers is not installed.
        """
        folder = parts.folder_of(weights)
        wanted = {MODEL: "vc/noro, a run or as published", VOCODER: "vocoder/bigvgan of its mel, likewise"}
        if not parts.is_run(folder / MODEL):
            wanted[CENTRES] = "the cluster centres of HuBERT's layer 9 that published weights were taught"
        parts.need(folder, wanted)
        vocoder = TorchVocoder(load("vocoder/bigvgan", folder / VOCODER))
        ears = folder / EARS
        hubert = encoders.open("hubert", ears if ears.is_dir() else None, LAYER)
        return cls(load(cls.name, folder / MODEL), vocoder, hubert.encode, _centres(folder / CENTRES))

    def hear(self, samples: np.ndarray) -> Tensor:
        """See `Revoicer`: its mel (1, frames, mels)."""
        return self._mel(torch.from_numpy(samples)[None])

    def begin(self, beginning: np.ndarray, voice: Tensor, seed: int) -> Callable[[np.ndarray], np.ndarray]:
        """See `Revoicer`."""
        generator, centre = torch.Generator().manual_seed(seed), self._model.config.mel.first_centre

        def work(samples: np.ndarray) -> np.ndarray:
            f0 = pitch.track(samples, self.sample_rate, self.hop, "swift", FLOOR, CEILING, centre)
            said = torch.from_numpy(self._content(samples, len(f0)))[None]
            steered = (said, torch.from_numpy(f0)[None], voice)
            mel = self._model.speak(*steered, steps=self._steps, generator=generator)
            return self._vocoder.vocode(mel[0].numpy(), f0)

        return work

    def _content(self, samples: np.ndarray, frames: int) -> np.ndarray:
        """What is said, (frames, values)."""
        rows = self._hear(Sound(samples, self.sample_rate).resample(encoders.RATE).samples)
        if self._centres is not None:
            distances = np.square(self._centres).sum(1) - 2 * rows @ self._centres.T
            rows = self._centres[distances.argmin(1)]
        rate = encoders.RATE / encoders.HOP
        return align(np.asarray(rows, np.float32), frames, rate, self.sample_rate / self.hop)


def _centres(path: Path) -> np.ndarray | None:
    if not path.is_file():
        return None
    try:
        return np.load(path, allow_pickle=False).astype(np.float32)
    except (OSError, ValueError, EOFError):
        raise UserError(f"{path}: not an array of numbers that numpy wrote (.npy)") from None
