"""Whisper (Radford et al. 2022, arXiv 2212.04356): what was said, as text, by one of two back ends.

    listener = Whisper("base")                                   # a size, a hub name, or a local folder
    listener.transcribe(samples, 24000, language="en")           # "That option is invalid. Please try again."

    faster-whisper   CTranslate2, quantised to 8 bits on a CPU; the default. A folder has model.bin.
    transformers     PyTorch. A folder has config.json and model.safetensors.

A model is loaded when the object is made, and once.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from aoide.audio.resample import resample
from aoide.config import UserError, near, require
from aoide.external.weights import pretrained

RATE = 16000  # Hz
Backend = Literal["faster-whisper", "transformers"]
_WINDOW = 30.0  # seconds that the network hears at once


class Heard(NamedTuple):
    """What was heard in one clip."""

    text: str
    language: str  # two letters
    confidence: float  # probability of the language
    log_probability: float  # mean over the tokens; below -1 the text is a guess
    no_speech: float  # probability that nobody speaks


class Whisper:
    """A loaded Whisper.

    Args:
        model: a size ("tiny.en", "base", "large-v3"), a hub name or a local folder.
        backend: see above; None: transformers for a folder with its weights, else faster-whisper.
        device: "cpu" or "cuda".
        beams: hypotheses that the search keeps.
        threads: of one call on a CPU; 0: as the back end chooses.

    Raises:
        MissingExtra: the back end is not installed.
        UserError: no model of this name can be had.
    """

    rate = RATE

    def __init__(
        self,
        model: str | os.PathLike[str] = "base",
        backend: Backend | None = None,
        device: str = "cpu",
        beams: int = 5,
        threads: int = 0,
    ) -> None:
        self.name = os.fspath(model)
        folder = Path(self.name).expanduser()
        self.backend: Backend = backend or _backend_of(folder)
        self.beams = beams
        if self.backend == "faster-whisper":
            self._model = _faster(str(folder) if folder.is_dir() else self.name, device, threads)
        else:
            source = str(folder) if folder.is_dir() or "/" in self.name else f"openai/whisper-{self.name}"
            self._processor = pretrained("WhisperProcessor", source)
            self._model = pretrained("WhisperForConditionalGeneration", source).to(device)

    def transcribe(self, samples: np.ndarray, sample_rate: int = RATE, language: str | None = None) -> str:
        """What was said.

        Args:
            samples: (samples,) mono, full scale -1 to 1.
            sample_rate: Hz.
            language: two letters ("en", "zh"); None: as the model hears it. Say it where it is known: a language that
                is guessed wrong makes a wrong transcript of right speech.

        Returns:
            The text as Whisper writes it, with punctuation; empty for silence.
        """
        heard = resample(samples, sample_rate, RATE)
        if len(heard) == 0 or not np.any(heard):
            return ""
        if self.backend == "transformers":
            return self._transformers(heard, language)
        segments, _ = self._model.transcribe(heard, language=language, beam_size=self.beams)
        return " ".join(segment.text.strip() for segment in segments)

    def listen(self, clips: Sequence[np.ndarray], sample_rate: int = RATE, language: str | None = None) -> list[Heard]:
        """What was said in several clips at once, in which language, and how sure that is; by faster-whisper.

        One pass, without the second tries at higher temperatures of `transcribe`: what it is unsure of says so.

        Args:
            clips: each (samples,) mono, at most 30 s.
            language: as in `transcribe`.

        Raises:
            UserError: the model is loaded by transformers, or does not know the language.
        """
        if self.backend != "faster-whisper":
            raise UserError(f"Whisper {self.name}: needs a folder of CTranslate2 with model.bin, or a size")
        assert all(len(clip) <= _WINDOW * sample_rate + 1 for clip in clips), "Whisper hears 30 s at once"
        if not clips:
            return []
        from faster_whisper.audio import pad_or_trim

        spectra = [self._model.feature_extractor(resample(clip, sample_rate, RATE)) for clip in clips]
        encoded = self._model.encode(np.stack([pad_or_trim(spectrum) for spectrum in spectra]))
        spoken = self._languages(encoded, len(clips), language)
        tokenizers = {name: self._tokenizer(name) for name, _ in spoken}
        found = self._model.model.generate(
            encoded,
            [self._model.get_prompt(tokenizers[name], [], without_timestamps=True) for name, _ in spoken],
            beam_size=self.beams,
            return_scores=True,
            return_no_speech_prob=True,
        )
        heard = []
        for result, (name, confidence) in zip(found, spoken, strict=True):
            text = " ".join(tokenizers[name].decode(result.sequences_ids[0]).split())
            heard.append(Heard(text, name, confidence, float(result.scores[0]), float(result.no_speech_prob)))
        return heard

    def _languages(self, encoded: Any, clips: int, wanted: str | None) -> list[tuple[str, float]]:
        """(language, its probability) of each clip; a model of English alone knows no other."""
        if not self._model.model.is_multilingual:
            if wanted not in (None, "en"):
                raise UserError(f"Whisper {self.name} knows English alone, not {wanted!r}")
            return [("en", 1.0)] * clips
        probable = [
            {token[2:-2]: float(p) for token, p in ranked} for ranked in self._model.model.detect_language(encoded)
        ]
        if wanted is not None and wanted not in probable[0]:
            raise UserError(f"Whisper {self.name} knows no language {wanted!r};{near(wanted, probable[0])}")
        best = [wanted or max(by_language, key=lambda name: by_language[name]) for by_language in probable]
        return [(name, by_language[name]) for name, by_language in zip(best, probable, strict=True)]

    def _tokenizer(self, language: str) -> Any:
        from faster_whisper.tokenizer import Tokenizer

        multilingual = self._model.model.is_multilingual
        return Tokenizer(self._model.hf_tokenizer, multilingual, task="transcribe", language=language)

    def _transformers(self, samples: np.ndarray, language: str | None) -> str:
        import torch

        long = len(samples) > _WINDOW * RATE
        features = self._processor(
            samples,
            sampling_rate=RATE,
            return_tensors="pt",
            return_attention_mask=True,
            **({"truncation": False, "padding": "longest"} if long else {}),
        ).to(self._model.device)
        spoken = {"language": language, "task": "transcribe"} if self._model.generation_config.is_multilingual else {}
        with torch.inference_mode():
            found = self._model.generate(**features, num_beams=self.beams, return_timestamps=long, **spoken)
        return self._processor.batch_decode(found, skip_special_tokens=True)[0].strip()


def _backend_of(folder: Path) -> Backend:
    weights = ("model.safetensors", "pytorch_model.bin", "model.safetensors.index.json")
    return "transformers" if any((folder / name).is_file() for name in weights) else "faster-whisper"


def _faster(model: str, device: str, threads: int) -> Any:
    faster = require("faster_whisper", "metrics")
    compute = "int8" if device == "cpu" else "float16"
    try:
        return faster.WhisperModel(model, device=device, compute_type=compute, cpu_threads=threads)
    except (ValueError, OSError, RuntimeError) as error:  # no such size; no network; a folder without model.bin
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(
            f"Whisper {model!r} cannot be loaded ({reason[:120]}): give a size, or a local folder with model.bin"
        ) from None
