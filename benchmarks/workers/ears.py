"""The judges: Whisper base writes down what it hears, DistillMOS says how natural it sounds.

    python ears.py WHISPER_FOLDER

WER is scored on normalised text: both sides go through the English normaliser published with Whisper
(`whisper-normalizer`): lower case, no punctuation, contractions and titles written out, British spelling made American,
numbers and money as digits. What is left is compared word by word by `jiwer`; the figure is all errors over all words.
"""

import importlib.machinery
import sys
import types
import wave
from pathlib import Path

import numpy as np
import soxr
import talk
import torch

HEARS = 16_000  # Hz, both judges


def sound(path: Path) -> np.ndarray:
    """The samples (samples,) of a wav of ours, or of a recording that PyAV can read (g722), at 16 kHz."""
    if path.suffix == ".wav":
        with wave.open(str(path)) as file:
            rate, data = file.getframerate(), file.readframes(file.getnframes())
        samples = np.frombuffer(data, "<i2").astype(np.float32) / 32768
    else:
        import av

        with av.open(str(path), format=path.suffix[1:]) as container:
            stream = container.streams.audio[0]
            rate = stream.rate
            samples = np.concatenate([frame.to_ndarray() for frame in container.decode(stream)], axis=1).reshape(-1)
        samples = samples.astype(np.float32) / 32768
    return soxr.resample(samples, rate, HEARS).astype(np.float32)


def whisper(folder: str):
    """Samples at 16 kHz -> text."""
    from faster_whisper import WhisperModel

    model = WhisperModel(folder, device="cpu", compute_type="int8", local_files_only=True)

    def listen(samples: np.ndarray) -> str:
        segments, _ = model.transcribe(samples, language="en", beam_size=5)
        return " ".join(segment.text.strip() for segment in segments)

    return listen


def distillmos():
    """Samples at 16 kHz -> mean opinion score, 1 to 5."""
    for name in ("torchaudio", "torchaudio.transforms"):  # imported for file reading only, and not made for this torch
        sys.modules[name] = types.ModuleType(name)
        sys.modules[name].__spec__ = importlib.machinery.ModuleSpec(name, None)
    from distillmos import ConvTransformerSQAModel

    model = ConvTransformerSQAModel().eval()

    @torch.inference_mode()
    def rate(samples: np.ndarray) -> float:
        return float(model(torch.from_numpy(samples)[None]))

    return rate


def errors(pairs: list[tuple[str, str]]) -> dict:
    """(reference, heard) pairs -> words in the references; wrong, missing and added words; the pairs that differ."""
    import jiwer
    from whisper_normalizer.english import EnglishTextNormalizer

    normalize = EnglishTextNormalizer()

    def normal(text: str) -> str:  # a lone full stop, which it leaves of "...", is no word
        return " ".join(word for word in normalize(text).split() if any(map(str.isalnum, word)))

    words = wrong = 0
    differ = []
    for reference, heard in pairs:
        found = jiwer.process_words(normal(reference), normal(heard))
        errors_here = found.substitutions + found.deletions + found.insertions
        words += found.hits + found.substitutions + found.deletions
        wrong += errors_here
        if errors_here:
            differ.append([errors_here, normal(reference), normal(heard)])
    return {"words": words, "wrong": wrong, "differ": sorted(differ, reverse=True)}


def main() -> None:
    listen, rate = whisper(sys.argv[1]), distillmos()
    about = {
        "versions": talk.versions("faster-whisper", "ctranslate2", "distillmos", "whisper-normalizer", "jiwer", "torch")
    }

    def answer(question: dict) -> dict:
        if question["do"] == "about":
            return about
        if question["do"] == "errors":
            return errors(question["pairs"])
        samples = sound(Path(question["wav"]))
        return {"heard": listen(samples), "mos": rate(samples)}

    talk.serve(answer)


main()
