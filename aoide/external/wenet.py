"""The encoder of WeNet (Zhang et al. 2022, arXiv 2203.15455; Conformer: Gulati et al. 2020, arXiv 2005.08100) as
content features, 25 frames a second.

WeNet (github.com/wenet-e2e/wenet, Apache-2.0) publishes a recogniser per corpus, each in two forms. Both are read here:

    the checkpoint    final.pt with train.yaml beside it: the network below runs it
    the runtime       final.zip, TorchScript, often with weights of 8 bits: it brings its own network; on the CPU alone

Amphion's conversion takes 20220506_u2pp_conformer_exp, taught by WenetSpeech: 12 blocks of 512 values.

    sound -> Kaldi's filter banks, 80 every 10 ms -> the means and deviations of the corpus -> two convolutions,
    each to half the frames -> blocks of half a feed-forward part, attention, a convolution over time, the other half

Here frame k is centred on sample 640 k + 320: 360 samples of silence stand at both ends. Amphion puts none in front, so
that its frames come 22.5 ms too early, and adds the noise (`dither`) with which the network was taught; WeNet itself
recognises without. Up to 40 s are heard at once, as much as the longest clip of WeNet's recipe for WenetSpeech; a
longer sound is heard in equal pieces.
"""

from __future__ import annotations

import math
import os
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from aoide.config import UserError, build, read_yaml
from aoide.external.weights import adopt, local, read_state
from aoide.external.wespeaker import filter_banks

RATE, HOP = 16000, 640
_BANDS, _STRIDE, _MORE = 80, 4, 3  # n frames need 4 n + 3 filter banks
_AROUND = 360  # samples of silence at both ends
_PIECE = 1000  # frames heard at once
_WHERE = "final.pt with train.yaml beside it, or final.zip, of a pretrained model of github.com/wenet-e2e/wenet"
_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "swish": functional.silu,
    "relu": functional.relu,
    "gelu": functional.gelu,
    "selu": functional.selu,
    "tanh": torch.tanh,
    "hardtanh": functional.hardtanh,
}
_UNUSED = (".concat_linear.", ".pos_enc.pe")  # of versions before 2023 a part that nobody calls; of later ones a table


class WenetEncoder:
    """The encoder of a recogniser of WeNet.

    Args:
        source: final.pt, final.zip, or the folder with one of them.
        device: "cpu" or "cuda"; final.zip stays on the CPU.

    Raises:
        UserError: nothing there, or not an encoder of this kind.
    """

    frame_rate = RATE / HOP

    def __init__(self, source: str | os.PathLike[str] | None = None, device: str = "cpu") -> None:
        path = _file(source)
        if _is_script(path):
            self._device, self._hear = "cpu", _runtime(path)
        else:
            self._device, self._hear = device, _checkpoint(path).to(device)

    def encode(self, samples: np.ndarray) -> np.ndarray:
        """(samples,) at 16 kHz -> (samples // 640, dim) float32, at least one frame."""
        frames = max(1, len(samples) // HOP)
        heard = samples[: frames * HOP]
        banks = torch.from_numpy(
            filter_banks(np.pad(heard, (_AROUND, _AROUND + frames * HOP - len(heard))), window="povey")
        )
        edges = np.linspace(0, frames, math.ceil(frames / _PIECE) + 1).astype(int).tolist()
        with torch.no_grad():  # not inference_mode: TorchScript cannot have it
            pieces = [
                self._hear(banks[None, _STRIDE * start : _STRIDE * end + _MORE].to(self._device))[0]
                for start, end in zip(edges, edges[1:], strict=False)
            ]
        return torch.cat(pieces).float().cpu().numpy()


# -------------------------------------------------------------------------------------------------------------- network


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """`encoder_conf` of train.yaml, under WeNet's names. Settings with one value are those of all published Conformers;
    the last ones matter to training alone.
    """

    output_size: int = 256
    attention_heads: int = 4
    linear_units: int = 2048
    num_blocks: int = 6
    activation_type: Literal["swish", "relu", "gelu", "selu", "tanh", "hardtanh"] = "swish"
    cnn_module_kernel: int = 15
    cnn_module_norm: Literal["batch_norm", "layer_norm"] = "batch_norm"
    causal: bool = False
    input_layer: Literal["conv2d"] = "conv2d"  # conv2d6 and conv2d8 have other frames
    pos_enc_layer_type: Literal["rel_pos"] = "rel_pos"
    selfattention_layer_type: Literal["rel_selfattn"] = "rel_selfattn"
    normalize_before: Literal[True] = True
    macaron_style: Literal[True] = True
    use_cnn_module: Literal[True] = True
    concat_after: Literal[False] = False
    static_chunk_size: Literal[0] = 0
    positionwise_conv_kernel_size: Literal[1] = 1
    dropout_rate: Any = None
    positional_dropout_rate: Any = None
    attention_dropout_rate: Any = None
    use_dynamic_chunk: Any = None
    use_dynamic_left_chunk: Any = None
    gradient_checkpointing: Any = None
    use_sdpa: Any = None

    def __post_init__(self) -> None:
        if min(self.output_size, self.attention_heads, self.linear_units, self.num_blocks, self.cnn_module_kernel) < 1:
            raise ValueError("sizes are 1 or more")
        if self.output_size % 2 or self.output_size % self.attention_heads:
            raise ValueError(f"{self.output_size} values do not divide among {self.attention_heads} heads and by 2")
        if not self.causal and self.cnn_module_kernel % 2 == 0:
            raise ValueError(f"cnn_module_kernel is odd where causal is false, got {self.cnn_module_kernel}")


class Network(nn.Module):
    """The encoder. Names are those of the published state dict.

    Args:
        normalised: whether it holds means and deviations of the filter banks.
    """

    def __init__(self, config: Config, normalised: bool = True) -> None:
        super().__init__()
        dim = config.output_size
        self.global_cmvn = _Normalise() if normalised else None
        first, second = nn.Conv2d(1, dim, 3, 2), nn.Conv2d(dim, dim, 3, 2)
        left = ((_BANDS - 1) // 2 - 1) // 2  # bands after the two
        self.embed = nn.ModuleDict(
            {
                "conv": nn.Sequential(first, nn.ReLU(), second, nn.ReLU()),
                "out": nn.Sequential(nn.Linear(dim * left, dim)),
            }
        )
        self.encoders = nn.ModuleList(_Block(config) for _ in range(config.num_blocks))
        self.after_norm = nn.LayerNorm(dim)

    def forward(self, banks: Tensor) -> Tensor:
        """(batch, 4 frames + 3, 80) logarithms of filter banks -> (batch, frames, dim)"""
        if self.global_cmvn is not None:
            banks = self.global_cmvn(banks)
        x = self.embed["out"](self.embed["conv"](banks[:, None]).transpose(1, 2).flatten(2))
        x = x * math.sqrt(x.shape[-1])
        places = _sinusoids(x.shape[1], x.shape[2], x)
        for block in self.encoders:
            x = block(x, places)
        return self.after_norm(x)


class _Normalise(nn.Module):
    mean: Tensor
    istd: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(_BANDS))
        self.register_buffer("istd", torch.ones(_BANDS))

    def forward(self, banks: Tensor) -> Tensor:
        return (banks - self.mean) * self.istd


class _Block(nn.Module):
    """Each part hears what is normalised and is added; the feed-forward parts by half."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        dim = config.output_size
        self.feed_forward_macaron, self.feed_forward = _FeedForward(config), _FeedForward(config)
        self.self_attn = _Attention(dim, config.attention_heads)
        self.conv_module = _Convolution(config)
        self.norm_ff_macaron, self.norm_mha, self.norm_conv = (nn.LayerNorm(dim) for _ in range(3))
        self.norm_ff, self.norm_final = nn.LayerNorm(dim), nn.LayerNorm(dim)

    def forward(self, x: Tensor, places: Tensor) -> Tensor:
        """x (batch, frames, dim), places (frames, dim) -> (batch, frames, dim)"""
        x = x + 0.5 * self.feed_forward_macaron(self.norm_ff_macaron(x))
        x = x + self.self_attn(self.norm_mha(x), places)
        x = x + self.conv_module(self.norm_conv(x))
        x = x + 0.5 * self.feed_forward(self.norm_ff(x))
        return self.norm_final(x)


class _FeedForward(nn.Module):
    def __init__(self, config: Config) -> None:
        super().__init__()
        self.w_1 = nn.Linear(config.output_size, config.linear_units)
        self.w_2 = nn.Linear(config.linear_units, config.output_size)
        self._activation = _ACTIVATIONS[config.activation_type]

    def forward(self, x: Tensor) -> Tensor:
        return self.w_2(self._activation(self.w_1(x)))


class _Attention(nn.Module):
    """Attention with a term for the place of the frame that is looked at.

    The formula is that of Transformer-XL (Dai et al. 2019, arXiv 1901.02860, section 3.3) without its shift: what
    stands for a distance there is here the place in the sound, whoever looks.
    """

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self._heads = heads
        self.linear_q, self.linear_k, self.linear_v = (nn.Linear(dim, dim) for _ in range(3))
        self.linear_out, self.linear_pos = nn.Linear(dim, dim), nn.Linear(dim, dim, bias=False)
        self.pos_bias_u = nn.Parameter(torch.zeros(heads, dim // heads))
        self.pos_bias_v = nn.Parameter(torch.zeros(heads, dim // heads))

    def forward(self, x: Tensor, places: Tensor) -> Tensor:
        """x (batch, frames, dim), places (frames, dim) -> (batch, frames, dim)"""
        queries, keys, values = (self._split(layer(x)) for layer in (self.linear_q, self.linear_k, self.linear_v))
        terms = (queries + self.pos_bias_v[:, None]) @ self._split(self.linear_pos(places)).mT
        found = functional.scaled_dot_product_attention(
            queries + self.pos_bias_u[:, None], keys, values, attn_mask=terms / math.sqrt(queries.shape[-1])
        )
        return self.linear_out(found.transpose(1, 2).flatten(2))

    def _split(self, x: Tensor) -> Tensor:
        """(..., frames, dim) -> (..., heads, frames, dim / heads)"""
        return x.unflatten(-1, (self._heads, -1)).transpose(-2, -3)


class _Convolution(nn.Module):
    """Gated, then over time frame by frame and channel by channel: around each frame, or (`causal`) up to it."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        dim, kernel = config.output_size, config.cnn_module_kernel
        self._before = kernel - 1 if config.causal else 0
        self.pointwise_conv1 = nn.Conv1d(dim, 2 * dim, 1)
        self.depthwise_conv = nn.Conv1d(dim, dim, kernel, padding=0 if config.causal else (kernel - 1) // 2, groups=dim)
        self.norm = nn.LayerNorm(dim) if config.cnn_module_norm == "layer_norm" else nn.BatchNorm1d(dim)
        self.pointwise_conv2 = nn.Conv1d(dim, dim, 1)
        self._activation = _ACTIVATIONS[config.activation_type]

    def forward(self, x: Tensor) -> Tensor:
        """(batch, frames, dim) -> the same."""
        # nothing stands before the gates where the past alone is heard, and after them where both sides are: so what
        # the frames beyond the edge hold is not the same
        x = functional.pad(x.mT, (self._before, 0))
        x = self.depthwise_conv(functional.glu(self.pointwise_conv1(x), dim=1))
        x = self.norm(x.mT).mT if isinstance(self.norm, nn.LayerNorm) else self.norm(x)
        return self.pointwise_conv2(self._activation(x)).mT


def _sinusoids(frames: int, dim: int, like: Tensor) -> Tensor:
    """Sines and cosines by turns of the places from 0 on: (frames, dim)."""
    rates = torch.exp(torch.arange(0, dim, 2, device=like.device) * (-math.log(10000.0) / dim))
    angles = torch.arange(frames, device=like.device)[:, None] * rates
    return torch.stack([angles.sin(), angles.cos()], dim=2).flatten(1).to(like.dtype)


# ---------------------------------------------------------------------------------------------------------------- files


def _file(source: str | os.PathLike[str] | None) -> Path:
    found = local(None if source is None else Path(source).expanduser(), "WeNet", _WHERE)
    if not found.is_dir():
        return found
    for name in ("final.pt", "final.zip"):
        if (found / name).is_file():
            return found / name
    raise UserError(f"{found}: has no final.pt and no final.zip; WeNet needs its weights: {_WHERE}")


def _is_script(path: Path) -> bool:
    """Whether the file is TorchScript, or is called as such; torch's weights are an archive too, without code."""
    if path.suffix == ".zip":
        return True
    try:
        with zipfile.ZipFile(path) as archive:
            return any("/code/" in name for name in archive.namelist())
    except (OSError, zipfile.BadZipFile):
        return False


def _checkpoint(path: Path) -> Network:
    settings = path.with_name("train.yaml")
    if not settings.is_file():
        raise UserError(f"{settings}: no such file; it holds the sizes of the network in {path.name}")
    told = read_yaml(settings)
    encoder, kind = told.get("encoder_conf"), told.get("encoder", "conformer")
    if not isinstance(encoder, dict):
        raise UserError(f"{settings}: has no encoder_conf: not the settings of a recogniser of WeNet")
    if kind != "conformer":
        raise UserError(f"{settings}: the encoder is a {kind}; a conformer is known here")
    _check_banks(told, settings)
    normalised = told.get("cmvn") == "global_cmvn" or told.get("cmvn_file") is not None
    network = Network(build(Config, encoder, str(settings), "encoder_conf"), normalised)
    state = {
        key.removeprefix("encoder."): value
        for key, value in read_state(path).items()
        if key.startswith("encoder.") and not any(part in key for part in _UNUSED)
    }
    if not state:
        raise UserError(f"{path}: has no weights `encoder....`: not a recogniser of WeNet")
    return adopt(network, state, f"checkpoint of WeNet ({path})")


def _check_banks(told: dict[str, Any], settings: Path) -> None:
    """Raises UserError where the network hears something else than 80 filter banks of 25 ms every 10 ms."""
    data = _group(told, "dataset_conf", settings)
    found = {"input_dim": told.get("input_dim"), "feats_type": data.get("feats_type")}
    found |= _group(data, "fbank_conf", settings)
    known = {"input_dim": _BANDS, "feats_type": "fbank", "num_mel_bins": _BANDS, "frame_length": 25, "frame_shift": 10}
    for name, value in known.items():
        if found.get(name) not in (None, value):
            raise UserError(f"{settings}: {name} is {found[name]}; known here is {value}")


def _group(settings: dict[str, Any], name: str, path: Path) -> dict[str, Any]:
    found = settings.get(name) or {}
    if not isinstance(found, dict):
        raise UserError(f"{path}: {name} is not a group of settings")
    return found


def _runtime(path: Path) -> Callable[[Tensor], Tensor]:
    try:
        script = torch.jit.load(str(path), map_location="cpu").eval()
    except RuntimeError as error:
        raise UserError(
            f"{path}: not a TorchScript file that can run here: {str(error).splitlines()[0][:120]}"
        ) from None
    if not all(hasattr(script, name) for name in ("forward_encoder_chunk", "subsampling_rate")):
        raise UserError(f"{path}: a TorchScript file of something else, not of WeNet's runtime")
    if script.subsampling_rate() != _STRIDE:
        raise UserError(f"{path}: one frame of {script.subsampling_rate()} filter banks; known here is {_STRIDE}")

    def hear(banks: Tensor) -> Tensor:
        return script.forward_encoder_chunk(banks, 0, 0)[0]  # all as one chunk; no memory is kept for a next one

    try:
        with torch.no_grad():
            hear(torch.zeros(1, _STRIDE + _MORE, _BANDS))
    except RuntimeError as error:  # it hears other banks, or no kernel for its weights of 8 bits is here
        raise UserError(f"{path}: does not run here: {str(error).strip().splitlines()[-1][:160]}") from None
    return hear
