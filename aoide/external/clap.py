"""CLAP: sounds and captions as points of one space (Wu et al. 2023, arXiv 2211.06687), through transformers.

The weights come from a hub or a local folder (`laion/clap-htsat-unfused`, `laion/larger_clap_general`, ...); no
package carries them.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np
import torch

from aoide.external.weights import pretrained

RATE = 48000  # Hz
_LONGEST = 10 * RATE  # samples that the network hears at once


class Clap:
    """An embedder of sounds and of captions.

    Args:
        source: a local folder or a hub name.
    """

    rate, name = RATE, "clap"

    def __init__(self, source: str | os.PathLike[str] | None = None) -> None:
        self._source = source or "laion/clap-htsat-unfused"
        self._network = pretrained("ClapModel", self._source)
        self._features = pretrained("ClapFeatureExtractor", self._source)
        self.dim = self._network.config.projection_dim

    def embed(self, samples: np.ndarray) -> np.ndarray:
        """(samples,) at 48 kHz -> (pieces, dim), one row for every 10 s: the feature extractor alone would take a
        random piece.

        A piece shorter than 10 s is repeated, as the network was trained.
        """
        pieces = [samples[start : start + _LONGEST] for start in range(0, max(1, len(samples)), _LONGEST)]
        pieces = [piece for piece in pieces if len(piece) >= RATE // 10] or pieces[:1]
        return np.concatenate([self._piece(np.asarray(piece, np.float32)) for piece in pieces])

    def _piece(self, samples: np.ndarray) -> np.ndarray:
        features = self._features(samples, sampling_rate=RATE, return_tensors="pt")
        with torch.inference_mode():
            return _vector(self._network.get_audio_features(**features))

    def embed_text(self, captions: Sequence[str]) -> np.ndarray:
        """Captions -> (captions, dim)."""
        tokens = pretrained("AutoTokenizer", self._source)(
            list(captions), padding=True, truncation=True, return_tensors="pt"
        )
        with torch.inference_mode():
            return _vector(self._network.get_text_features(**tokens))


def _vector(found: object) -> np.ndarray:
    """The projected vectors; newer versions of transformers wrap them."""
    tensor = found if isinstance(found, torch.Tensor) else found.pooler_output  # type: ignore[attr-defined]
    return tensor.numpy()
