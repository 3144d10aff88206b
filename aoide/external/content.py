"""What is said, frame by frame, without who says it: content features of self-supervised speech encoders.

    encoder = open("contentvec")                    # or hubert, wavlm, wav2vec2, w2v_bert, whisper, wenet
    encoder.encode(samples)                         # (samples,) at 16 kHz -> (frames, dim), 50 a second, of wenet 25

    hubert       HuBERT (Hsu et al. 2021, arXiv 2106.07447)
    contentvec   ContentVec (Qian et al. 2022, arXiv 2204.09224): HuBERT that was taught to forget the speaker. so-vits
                 4.1 takes layer 12 (768 values); Amphion and so-vits 4.0 layer 9, projected to 256
    wavlm        WavLM (Chen et al. 2022, arXiv 2110.13900)
    wav2vec2     wav2vec 2.0 (Baevski et al. 2020, arXiv 2006.11477), XLS-R
    w2v_bert     w2v-BERT 2.0 (Barrault et al. 2023): MaskGCT, DualCodec take layer 17, normalised by `statistics`
    whisper      the encoder of Whisper (aoide/external/whisper_encoder.py); works from a local CTranslate2 folder
    wenet        the encoder of a recogniser of WeNet (aoide/external/wenet.py), a local file

The others come through transformers: from a local folder or by their hub names. Frame k is centred on sample
320 k + 160: where a network has no padding of its own, 40 samples of silence stand at both ends.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch.nn import functional

from aoide.config import UserError, near
from aoide.external.weights import local, pretrained, read_state

RATE, HOP = 16000, 320
_KINDS = {
    "hubert": ("HubertModel", "facebook/hubert-base-ls960"),
    "contentvec": ("HubertModel", "lengyue233/content-vec-best"),
    "wavlm": ("WavLMModel", "microsoft/wavlm-base-plus"),
    "wav2vec2": ("Wav2Vec2Model", "facebook/wav2vec2-base"),
}
_W2V_BERT = "facebook/w2v-bert-2.0"
NAMES = (*_KINDS, "w2v_bert", "whisper", "wenet")
MEAN = -1  # in the place of a layer
_LEAST = 400  # samples that make one frame


class Encoder(Protocol):
    """A network that hears 16 kHz and answers 50 times a second, or 25 times."""

    frame_rate: float

    def encode(self, samples: np.ndarray) -> np.ndarray:
        """(samples,) -> (frames, dim) float32 with frames = samples // (16000 / frame_rate), at least one."""


def open(  # noqa: A001, PLR0913  (as one opens a file)
    name: str,
    source: str | os.PathLike[str] | None = None,
    layer: int | None = None,
    projected: bool = False,
    statistics: str | os.PathLike[str] | None = None,
    device: str = "cpu",
) -> Encoder:
    """An encoder by name.

    Args:
        source: a local folder or a hub name, of wenet a local file or folder; None: as its authors published it.
        layer: whose output is taken; None: what is usual; -1: the mean of all, the input of the first included.
        projected: ContentVec's final projection after the layer.
        statistics: a file with `mean` and `var` of the features (.pt, .safetensors), which are then normalised.

    Raises:
        UserError: no such encoder, or nothing there.
        MissingExtra: transformers is not installed.
    """
    if name not in NAMES:
        raise UserError(f"no content encoder {name!r};{near(name, NAMES) or ' there are ' + ', '.join(NAMES)}")
    if projected and name != "contentvec":
        raise UserError(f"{name} has no projection; contentvec has one")
    if name == "whisper":
        from aoide.external.whisper_encoder import WhisperEncoder

        return WhisperEncoder(source, device)
    if name == "wenet":
        from aoide.external.wenet import WenetEncoder

        if layer is not None:
            raise UserError("wenet gives what its last layer says: leave out `layer`")
        return WenetEncoder(source, device)
    if name == "w2v_bert":
        return W2vBert(source, 17 if layer is None else layer, statistics, device)
    return SpeechEncoder(name, source, layer, projected, device)


class SpeechEncoder:
    """HuBERT, ContentVec, WavLM or wav2vec 2.0.

    Args: as `open`.
    """

    frame_rate = RATE / HOP

    def __init__(
        self,
        name: str,
        source: str | os.PathLike[str] | None = None,
        layer: int | None = None,
        projected: bool = False,
        device: str = "cpu",
    ) -> None:
        kind, usual = _KINDS[name]
        source = source or usual
        self._network = pretrained(kind, source, "models").to(device)
        self._device, self._layer = device, layer
        config = self._network.config
        if layer is not None and not MEAN <= layer <= config.num_hidden_layers:
            raise UserError(
                f"{name} has layers 0 to {config.num_hidden_layers}, or -1 for the mean of all; got {layer}"
            )
        # networks with a layer norm in front were trained on sounds of variance 1; those with a group norm were not
        self._scaled = config.feat_extract_norm == "layer"
        self._projection = _projection(source) if projected else None

    def encode(self, samples: np.ndarray) -> np.ndarray:
        """See `Encoder`."""
        around = (_LEAST - HOP) // 2
        length = max(HOP, len(samples) // HOP * HOP)
        heard = np.pad(samples[:length], (0, max(0, length - len(samples))))
        sound = torch.from_numpy(np.asarray(heard, np.float32))[None].to(self._device)
        with torch.inference_mode():
            if self._scaled:
                sound = functional.layer_norm(sound, sound.shape[1:])
            found = self._network(functional.pad(sound, (around, around)), output_hidden_states=self._layer is not None)
            features = _chosen(found, self._layer)[0]
            if self._projection is not None:
                weight, bias = (x.to(self._device) for x in self._projection)
                features = functional.linear(features, weight, bias)
            return features.float().cpu().numpy()


class W2vBert:
    """w2v-BERT 2.0, up to the layer that is wanted.

    Args: as `open`.
    """

    frame_rate = RATE / HOP

    def __init__(
        self,
        source: str | os.PathLike[str] | None = None,
        layer: int = 17,
        statistics: str | os.PathLike[str] | None = None,
        device: str = "cpu",
    ) -> None:
        source = source or _W2V_BERT
        self._network = pretrained("Wav2Vec2BertModel", source, "models").to(device)
        self._listen = pretrained("SeamlessM4TFeatureExtractor", source, "models")
        self._device, self._layer = device, layer
        layers = self._network.config.num_hidden_layers
        if not MEAN <= layer <= layers:
            raise UserError(f"this w2v_bert has layers 0 to {layers}, or -1 for the mean of all; got {layer}")
        if layer != MEAN:  # what comes after the layer is not computed: of 24, MaskGCT asks for 17
            self._network.encoder.layers = self._network.encoder.layers[: max(layer, 1)]
        self._statistics = None if statistics is None else _statistics(statistics)

    def encode(self, samples: np.ndarray) -> np.ndarray:
        """See `Encoder`."""
        frames = max(1, len(samples) // HOP)
        heard = np.pad(samples, (0, max(0, 2 * HOP - len(samples))))
        inputs = self._listen(heard, sampling_rate=RATE, return_tensors="pt").to(self._device)
        with torch.inference_mode():
            found = self._network(**inputs, output_hidden_states=True)
            features = (_chosen(found, MEAN) if self._layer == MEAN else found.hidden_states[self._layer])[0].float()
            if self._statistics is not None:
                mean, deviation = (x.to(self._device) for x in self._statistics)
                features = (features - mean) / deviation
        rows = features.cpu().numpy()
        return np.pad(rows, ((0, max(0, frames - len(rows))), (0, 0)), mode="edge")[:frames]


def _chosen(found: Any, layer: int | None) -> torch.Tensor:
    """(batch, frames, dim) of a layer. The last of `hidden_states` may lack the final normalisation."""
    if layer is None:
        return found.last_hidden_state
    states = [*found.hidden_states[:-1], found.last_hidden_state]
    return torch.stack(states).mean(dim=0) if layer == MEAN else states[layer]


def _projection(source: str | os.PathLike[str]) -> tuple[torch.Tensor, torch.Tensor]:
    """ContentVec's `final_proj`, which lies in the file of weights beside what HubertModel reads."""
    folder = Path(source).expanduser()
    if not folder.is_dir():
        from huggingface_hub import snapshot_download

        folder = Path(snapshot_download(str(source), local_files_only=True))  # transformers has just fetched it
    for name in ("model.safetensors", "pytorch_model.bin"):
        if (folder / name).is_file():
            state = read_state(folder / name)
            if "final_proj.weight" in state:
                return state["final_proj.weight"].float(), state["final_proj.bias"].float()
    raise UserError(
        f"{source}: has no final_proj: these weights are of HuBERT, or of ContentVec without its projection"
    )


def _statistics(path: str | os.PathLike[str]) -> tuple[torch.Tensor, torch.Tensor]:
    state = read_state(local(path, "w2v_bert's normalisation", "wav2vec2bert_stats.pt of amphion/MaskGCT"))
    if not {"mean", "var"} <= state.keys():
        raise UserError(f"{path}: holds {', '.join(state)}, not mean and var")
    return state["mean"].float(), state["var"].float().sqrt()
