"""X-codec 2 (Ye et al. 2025, arXiv:2502.04128), the codec of Llasa: 16 kHz speech, 50 frames a second of one code.

A w2v-BERT hears what is said, convolutions how it sounds; both are rounded to eight dimensions of four levels: one of
65,536 codes. Weights: HKUSTAudio/xcodec2-hf (CC-BY-NC).

The spectra for w2v-BERT are made by SeamlessM4TFeatureExtractor, as in the original code: the extractor that
transformers has for this codec needs torchaudio. Sound of whole frames gets no frame of silence after it, as it does
there.
"""

from __future__ import annotations

import os
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from aoide.config import require
from aoide.external.pretrained_codec import PretrainedCodec
from aoide.external.weights import pretrained

SOURCE = "HKUSTAudio/xcodec2-hf"


class XCodec2(PretrainedCodec):
    """See `PretrainedCodec`.

    Args:
        network: an Xcodec2Model.
    """

    def __init__(self, network: Any) -> None:
        c = network.config
        codes = 1
        for levels in c.quantization_levels:
            codes *= levels
        super().__init__(network, c.sampling_rate, c.hop_length, 1, codes)
        bands = c.semantic_model_config.feature_projection_input_dim // 2  # two neighbouring frames are one
        transformers = require("transformers", "models")
        self.features = transformers.SeamlessM4TFeatureExtractor(
            feature_size=bands, num_mel_bins=bands, sampling_rate=c.sampling_rate, padding_value=1.0, stride=2
        )

    def _encode(self, audio: Tensor) -> Tensor:
        margin = self.hop // 2
        padded = functional.pad(audio, (margin, margin)).cpu().numpy()
        made = [
            self.features(one, sampling_rate=self.sample_rate, return_tensors="pt", padding=False)["input_features"]
            for one in padded
        ]
        features = torch.cat(made).to(audio.device)
        return self.network.encode(audio[:, None], input_features=features, return_dict=True).audio_codes.mT.long()

    def _decode(self, codes: Tensor) -> Tensor:
        return self.network.decode(audio_codes=codes.mT, return_dict=True).audio_values.flatten(1)


def load(source: str | os.PathLike[str] = SOURCE) -> XCodec2:
    """X-codec 2 with the weights of a hub name or a local folder.

    Raises:
        MissingExtra: transformers is not installed.
        UserError: neither a folder nor a hub has it.
    """
    return XCodec2(pretrained("Xcodec2Model", source, extra="models"))
