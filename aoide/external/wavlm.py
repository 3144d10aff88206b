"""WavLM (Chen et al. 2022, arXiv 2110.13900): a speech encoder in three roles.

WavLM         features of a layer, averaged over a clip: an embedding for distances between sets of speech
WavLMSpeaker  microsoft/wavlm-base-plus-sv, an x-vector head of transformers: Amphion's default speaker encoder
WavLMTDNN     WavLM large under an ECAPA-TDNN, fine-tuned for speaker verification: the SIM-O of VALL-E, MaskGCT,
              F5-TTS. A local file, `wavlm_large_finetune.pth` of github.com/microsoft/UniSpeech
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from aoide.config import UserError, require
from aoide.external.weights import adopt, inner, local, pretrained, read_state

RATE = 16000  # Hz
_LEAST = 640  # samples below which the convolutions leave no frame, or one without a spread
_WHERE = "wavlm_large_finetune.pth of github.com/microsoft/UniSpeech (downstreams/speaker_verification)"


class WavLM:
    """An embedder of clips.

    Args:
        source: a local folder or a hub name.
        layer: whose output is averaged over time; -1 is the last.
    """

    rate, name = RATE, "wavlm"

    def __init__(self, source: str | os.PathLike[str] | None = None, layer: int = -1) -> None:
        self._network = pretrained("WavLMModel", source or "microsoft/wavlm-base-plus")
        self._layer = layer
        # the large models, told by their front end, were trained on sounds of variance 1; the base models were not
        self._scaled = self._network.config.feat_extract_norm == "layer"
        self.dim = self._network.config.hidden_size

    def embed(self, samples: np.ndarray) -> np.ndarray:
        """(samples,) at 16 kHz -> (1, dim)."""
        with torch.inference_mode():
            return _layers(self._network, _batch(samples, self._scaled))[self._layer].mean(dim=1).numpy()


class WavLMSpeaker:
    """A speaker encoder.

    Args:
        source: a local folder or a hub name of a WavLMForXVector.
    """

    rate = RATE

    def __init__(self, source: str | os.PathLike[str] | None = None) -> None:
        self._source = source or "microsoft/wavlm-base-plus-sv"
        self._network = pretrained("WavLMForXVector", self._source)
        # The published preprocessor_config.json of the base model says do_normalize: false; a folder may say otherwise.
        self._scaled = bool(pretrained("Wav2Vec2FeatureExtractor", self._source).do_normalize)

    def embed(self, samples: np.ndarray) -> np.ndarray:
        """(samples,) at 16 kHz -> (dim,), of any length."""
        with torch.inference_mode():
            return self._network(_batch(samples, self._scaled, least=8000)).embeddings[0].numpy()


class WavLMTDNN:
    """A speaker encoder.

    Args:
        path: the weights.
    """

    rate, dim = RATE, 256

    def __init__(self, path: str | os.PathLike[str] | None = None) -> None:
        state = inner(read_state(local(path, "WavLM-large TDNN", _WHERE)), "model")
        self._network = from_official(state)

    def embed(self, samples: np.ndarray) -> np.ndarray:
        """(samples,) at 16 kHz -> (256,), of any length."""
        with torch.inference_mode():
            return self._network(_batch(samples, scaled=True))[0].numpy()


def _batch(samples: np.ndarray, scaled: bool, least: int = _LEAST) -> Tensor:
    """(1, samples) at mean 0 and variance 1 where `scaled`; a very short sound is followed by silence."""
    sound = torch.from_numpy(np.pad(np.asarray(samples, np.float32), (0, max(0, least - len(samples)))))[None]
    return functional.layer_norm(sound, sound.shape[1:]) if scaled else sound


def _layers(wavlm: Any, audio: Tensor) -> Tensor:
    """(batch, samples) -> (layers + 1, batch, frames, dim): what goes into each layer, and what leaves the last one.

    The last of `hidden_states` is before or after the final normalisation, as the version of transformers has it.
    """
    found = wavlm(audio, output_hidden_states=True)
    return torch.stack([*found.hidden_states[:-1], found.last_hidden_state])


# ------------------------------------------------------------------------------------------------- WavLM large and TDNN


class SpeakerTDNN(nn.Module):
    """All layers of WavLM, weighted, under an ECAPA-TDNN (Desplanques et al. 2020, arXiv 2005.07143).

    Names are those of the published state dict, but for WavLM itself, which has those of transformers.
    """

    def __init__(self, wavlm: Any, dim: int = 512, wide: int = 1536, embedding: int = 256) -> None:
        super().__init__()
        features = wavlm.config.hidden_size
        self.feature_extract = wavlm
        self.feature_weight = nn.Parameter(torch.zeros(wavlm.config.num_hidden_layers + 1))
        self.instance_norm = nn.InstanceNorm1d(features)
        self.layer1 = _ConvNorm(features, dim, 5)
        self.layer2, self.layer3, self.layer4 = (_Res2(dim, dilation) for dilation in (2, 3, 4))
        self.conv = nn.Conv1d(3 * dim, wide, 1)
        self.pooling = _StatisticsPool(wide)
        self.bn = nn.BatchNorm1d(2 * wide)
        self.linear = nn.Linear(2 * wide, embedding)

    def forward(self, audio: Tensor) -> Tensor:
        """(batch, samples) at 16 kHz, mean 0 and variance 1 -> (batch, 256)"""
        layers = _layers(self.feature_extract, audio)
        x = (self.feature_weight.softmax(dim=0)[:, None, None, None] * layers).sum(dim=0).mT + 1e-6
        first = self.layer1(self.instance_norm(x))
        second = self.layer2(first)
        third = self.layer3(second)
        x = functional.relu(self.conv(torch.cat([second, third, self.layer4(third)], dim=1)))
        return self.linear(self.bn(self.pooling(x)))


class _ConvNorm(nn.Module):
    def __init__(self, before: int, after: int, kernel: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv1d(before, after, kernel, padding=kernel // 2)
        self.bn = nn.BatchNorm1d(after)

    def forward(self, x: Tensor) -> Tensor:
        return self.bn(functional.relu(self.conv(x)))


class _Groups(nn.Module):
    """The channels in eight groups, each hears the one before it (Res2Net)."""

    def __init__(self, dim: int, dilation: int) -> None:
        super().__init__()
        self.width = dim // 8
        self.convs = nn.ModuleList(
            nn.Conv1d(self.width, self.width, 3, padding=dilation, dilation=dilation) for _ in range(7)
        )
        self.bns = nn.ModuleList(nn.BatchNorm1d(self.width) for _ in range(7))

    def forward(self, x: Tensor) -> Tensor:
        groups = x.split(self.width, dim=1)
        done: list[Tensor] = []
        for conv, norm, group in zip(self.convs, self.bns, groups[:-1], strict=True):
            done.append(norm(functional.relu(conv(group + done[-1] if done else group))))
        return torch.cat([*done, groups[-1]], dim=1)


class _Weigh(nn.Module):
    """Squeeze and excite: the channels weighed by what the whole sound says."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.linear1, self.linear2 = nn.Linear(dim, 128), nn.Linear(128, dim)

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(self.linear2(functional.relu(self.linear1(x.mean(dim=2)))))[..., None]


class _Res2(nn.Module):
    def __init__(self, dim: int, dilation: int) -> None:
        super().__init__()
        self.Conv1dReluBn1 = _ConvNorm(dim, dim)
        self.Res2Conv1dReluBn = _Groups(dim, dilation)
        self.Conv1dReluBn2 = _ConvNorm(dim, dim)
        self.SE_Connect = _Weigh(dim)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.SE_Connect(self.Conv1dReluBn2(self.Res2Conv1dReluBn(self.Conv1dReluBn1(x))))


class _StatisticsPool(nn.Module):
    """Mean and deviation over time, with learnt weights for each channel: (batch, dim, frames) -> (batch, 2 dim)."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.linear1, self.linear2 = nn.Conv1d(dim, 128, 1), nn.Conv1d(128, dim, 1)

    def forward(self, x: Tensor) -> Tensor:
        weight = self.linear2(torch.tanh(self.linear1(x))).softmax(dim=2)
        mean = (weight * x).sum(dim=2)
        return torch.cat([mean, ((weight * x**2).sum(dim=2) - mean**2).clamp(min=1e-9).sqrt()], dim=1)


# Names of Microsoft's WavLM (left) and of transformers (right).
_RENAMED = (
    (r"^mask_emb$", "masked_spec_embed"),
    (r"^feature_extractor\.conv_layers\.(\d+)\.0\.", r"feature_extractor.conv_layers.\1.conv."),
    (r"^feature_extractor\.conv_layers\.(\d+)\.2\.1\.", r"feature_extractor.conv_layers.\1.layer_norm."),
    (r"^feature_extractor\.conv_layers\.(\d+)\.2\.", r"feature_extractor.conv_layers.\1.layer_norm."),
    (r"^post_extract_proj\.", "feature_projection.projection."),
    (r"^layer_norm\.", "feature_projection.layer_norm."),
    (r"^encoder\.pos_conv\.0\.weight_g$", "encoder.pos_conv_embed.conv.parametrizations.weight.original0"),
    (r"^encoder\.pos_conv\.0\.weight_v$", "encoder.pos_conv_embed.conv.parametrizations.weight.original1"),
    (r"^encoder\.pos_conv\.0\.", "encoder.pos_conv_embed.conv."),
    (r"\.self_attn_layer_norm\.", ".layer_norm."),
    (r"\.self_attn\.grep_linear\.", ".attention.gru_rel_pos_linear."),
    (r"\.self_attn\.grep_a$", ".attention.gru_rel_pos_const"),
    (r"\.self_attn\.relative_attention_bias\.", ".attention.rel_attn_embed."),
    (r"\.self_attn\.", ".attention."),
    (r"\.fc1\.", ".feed_forward.intermediate_dense."),
    (r"\.fc2\.", ".feed_forward.output_dense."),
)


def from_official(state: Mapping[str, Tensor], heads: int = 16) -> SpeakerTDNN:
    """The published state dict as our module, of any size.

    Args:
        state: keys as in `wavlm_large_finetune.pth`: `feature_extract.model.*` is WavLM.
        heads: of its attention, which no tensor tells.

    Raises:
        UserError: keys are missing.
        MissingExtra: transformers is not installed.
    """
    prefix = "feature_extract.model."
    if f"{prefix}post_extract_proj.weight" not in state:
        raise UserError(f"not a WavLM under a TDNN; it needs {_WHERE}")
    renamed: dict[str, Tensor] = {}
    for key, value in state.items():
        if key.startswith(prefix):
            name = key.removeprefix(prefix)
            for pattern, new in _RENAMED:
                name = re.sub(pattern, new, name)
            renamed[f"feature_extract.{name}"] = value
        else:
            renamed[key] = value
    transformers = require("transformers", "metrics")
    dim = state["layer1.conv.weight"].shape[0]
    network = SpeakerTDNN(
        transformers.WavLMModel(_wavlm_config(renamed, heads)),
        dim,
        state["conv.weight"].shape[0],
        state["linear.weight"].shape[0],
    )
    own = network.state_dict().keys()  # the published file also holds parts that only its training used
    return adopt(network, {k: v for k, v in renamed.items() if k in own}, "WavLM-large TDNN checkpoint")


def _wavlm_config(state: Mapping[str, Tensor], heads: int) -> Any:
    """The sizes of a WavLM of the large kind (layer norm before each part), read from its tensors."""
    at = "feature_extract."
    kernels = [value for key, value in state.items() if re.search(r"conv_layers\.\d+\.conv\.weight$", key)]
    group = state[
        f"{at}encoder.pos_conv_embed.conv.parametrizations.weight.original1"
    ]  # (hidden, hidden / groups, kernel)
    hidden, middle = state[f"{at}encoder.layers.0.feed_forward.output_dense.weight"].shape
    return require("transformers", "metrics").WavLMConfig(
        hidden_size=hidden,
        intermediate_size=middle,
        num_hidden_layers=1 + max(int(m[1]) for key in state if (m := re.search(r"encoder\.layers\.(\d+)\.", key))),
        num_attention_heads=heads,
        conv_dim=[kernel.shape[0] for kernel in kernels],
        conv_kernel=[kernel.shape[2] for kernel in kernels],
        conv_stride=[5, *[2] * (len(kernels) - 1)],
        conv_bias=any(key.endswith("conv_layers.0.conv.bias") for key in state),
        feat_extract_norm="layer",
        do_stable_layer_norm=True,
        num_conv_pos_embeddings=group.shape[2],
        num_conv_pos_embedding_groups=hidden // group.shape[1],
        max_bucket_distance=800,
        num_buckets=state[f"{at}encoder.layers.0.attention.rel_attn_embed.weight"].shape[0],
    )
