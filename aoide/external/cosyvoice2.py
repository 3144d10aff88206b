"""CosyVoice 2's ears, two ONNX graphs of its folder: what is said, as codes, and who speaks, as a vector.

    SpeechTokens("CosyVoice2-0.5B/speech_tokenizer_v2.onnx")    sound at 16 kHz -> 25 codes a second, of 6,561
    CamPlus("CosyVoice2-0.5B/campplus.onnx")                    sound at 16 kHz -> 192 numbers

The first looks like a codec that has no way back; tts/cosyvoice2_flow and a vocoder are that. Published with
FunAudioLLM/CosyVoice2-0.5B (Apache-2.0); CAM++ is Wang et al. 2023, arXiv:2303.00332.
"""

from __future__ import annotations

import os

import numpy as np
import torch
from torch import Tensor, nn

from aoide.config import UserError
from aoide.external.weights import local, session
from aoide.external.wespeaker import filter_banks
from aoide.external.whisper_encoder import heard

SOURCE = None  # nobody publishes the graphs alone
RATE, HOP = 16_000, 640  # Hz, and samples of a code
LONGEST = 30.0  # seconds that are heard at once
_WIN, _STEP, _BANDS = 400, 160, 128
_WHERE = "{} of FunAudioLLM/CosyVoice2-0.5B on the hub"


class SpeechTokens(nn.Module):
    """Sound -> codes, of the surface of a codec what training data and `tts/cosyvoice2` ask for.

    Args:
        path: the graph, speech_tokenizer_v2.onnx, or the folder that it lies in.
    """

    sample_rate, hop, frame_rate, codebooks, cardinality = RATE, HOP, RATE / HOP, 1, 6561

    def __init__(self, path: str | os.PathLike[str] | None) -> None:
        super().__init__()
        self._session = session(_graph(path, "CosyVoice 2's tokenizer", "speech_tokenizer_v2.onnx"))
        self._inputs = [entry.name for entry in self._session.get_inputs()]
        if len(self._inputs) != 2:
            raise UserError(f"{path}: not a tokenizer of speech, which asks for a mel and its length")

    def encode(self, audio: Tensor, mask: Tensor | None = None) -> Tensor:
        """audio (batch, samples), mask (batch, frames) with True = real -> codes (batch, frames, 1) int64.

        Sound that ends within a frame is filled up with silence; longer sound is heard in pieces.
        """
        frames = -(-audio.shape[1] // HOP)
        codes = torch.zeros(len(audio), frames, 1, dtype=torch.int64, device=audio.device)
        for row, sound in enumerate(audio.detach().cpu().numpy()):
            count = frames if mask is None else int(mask[row].sum())
            found = self._heard(np.pad(sound[: count * HOP], (0, max(0, count * HOP - len(sound)))))
            codes[row, :count, 0] = torch.from_numpy(found[:count]).to(audio.device)
        return codes

    def _heard(self, samples: np.ndarray) -> np.ndarray:
        most, count = round(LONGEST * RATE), len(samples) // HOP
        pieces = []
        for start in range(0, len(samples), most):
            mel = log_mel(samples[start : start + most])
            length = np.array([mel.shape[1]], np.int32)
            [codes, *_] = self._session.run(None, dict(zip(self._inputs, (mel[None], length), strict=True)))
            pieces.append(codes.reshape(-1).astype(np.int64))
        codes = np.concatenate(pieces) if pieces else np.zeros(0, np.int64)
        if count and not len(codes):
            raise UserError("the sound is too short to be told in codes")
        return np.pad(codes[:count], (0, max(0, count - len(codes))), mode="edge") if count else codes


class CamPlus:
    """A speaker encoder.

    Args:
        path: the graph, campplus.onnx, or the folder that it lies in.
    """

    rate, dim = RATE, 192

    def __init__(self, path: str | os.PathLike[str] | None = None) -> None:
        self._session = session(_graph(path, "CosyVoice 2's speaker encoder", "campplus.onnx"))
        self._input = self._session.get_inputs()[0].name

    def embed(self, samples: np.ndarray) -> np.ndarray:
        """(samples,) at 16 kHz -> (192,), of any length."""
        banks = filter_banks(np.pad(samples, (0, max(0, _WIN - len(samples)))), scale=1.0, window="povey")
        return self._session.run(None, {self._input: (banks - banks.mean(axis=0))[None]})[0].reshape(-1)


def load(source: str | os.PathLike[str] | None = SOURCE) -> SpeechTokens:
    """The tokenizer in a graph or its folder.

    Raises:
        UserError: nothing there.
    """
    return SpeechTokens(source)


def log_mel(samples: np.ndarray) -> np.ndarray:
    """What the tokenizer hears, Whisper's mel without its silence: (samples,) at 16 kHz -> (128, samples // 160)."""
    sound = np.asarray(samples, np.float32)
    padded = np.pad(sound, _WIN // 2, mode="reflect") if len(sound) > _WIN // 2 else np.pad(sound, _WIN // 2)
    return heard(padded, max(1, len(sound) // _STEP), _BANDS)


def _graph(path: str | os.PathLike[str] | None, what: str, name: str) -> str:
    found = local(path, what, _WHERE.format(name))
    return str(local(found / name if found.is_dir() else found, what, _WHERE.format(name)))
