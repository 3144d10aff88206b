"""CosyVoice 2's parts as one speaker: a text, and the voice of a recording of some seconds, to sound.

    speaker = load("CosyVoice2-0.5B", aoide.load)
    speaker.say("Hello there.", Sound.load("somebody.wav"), prompt_text="What somebody says.")

    recording at 16 kHz -> speech_tokenizer_v2.onnx -> codes \
    text of the recording and what is to be said              > tts/cosyvoice2 -> codes of the text
    these codes, mel and speaker vector of the recording      > tts/cosyvoice2_flow -> mel -> vocoder/hift -> sound

The folder is that of the hub (FunAudioLLM/CosyVoice2-0.5B):

    llm.pt, flow.pt, hift.pt                   or runs of one's own in llm/, flow/, hift/
    speech_tokenizer_v2.onnx, campplus.onnx
    CosyVoice-BlankEN/                         the tokenizer; a run in llm/ reads phonemes of the house instead

A long text is said in parts, each after the same recording.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from aoide.audio.mel import MelSpectrogram
from aoide.audio.sound import Sound
from aoide.config import UserError
from aoide.external.cosyvoice2 import CamPlus, SpeechTokens
from aoide.external.speech import text_of
from aoide.external.weights import pretrained
from aoide.generate import parts
from aoide.generate.packed import tags
from aoide.generate.words import AllWords
from aoide.models.tts.cosyvoice2_flow import RATIO
from aoide.text.sentences import sentences as splitting

LEAST, MOST = 1.0, 30.0  # seconds of a recording
PART = 20.0  # seconds that a part of a long text takes, if sentences allow
PARTS = {"llm": "tts/cosyvoice2", "flow": "tts/cosyvoice2_flow", "hift": "vocoder/hift"}
TOKENIZER = "CosyVoice-BlankEN"
_HUB = "FunAudioLLM/CosyVoice2-0.5B on the hub"


class Spelt:
    """Text as the published model reads it: by its tokenizer, in any language that it knows."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer

    def sentences(self, text: str, language: str) -> list[str]:
        """The sentences as they are written."""
        return [" ".join(part.split()) for part in splitting(text) if any(map(str.isalnum, part))]

    def encode(self, text: str) -> np.ndarray:
        """(tokens,) int64."""
        return np.array(self._tokenizer.encode(text), np.int64)


class CosyVoice2:
    """See aoide/external/speech.py, `Speaker`.

    Args:
        lm: a tts/cosyvoice2. flow: a tts/cosyvoice2_flow. vocoder: a vocoder of its mel, such as vocoder/hift.
        heard: sound -> codes (`SpeechTokens`). speaker: sound -> a vector (`CamPlus`); None: the flow was trained
            without.
        words: what `lm` reads.

    Raises:
        UserError: parts that do not go together.
    """

    name, licence = "tts/cosyvoice2", "that of the weights"

    def __init__(self, lm: Any, flow: Any, vocoder: Any, heard: Any, speaker: Any, words: Any) -> None:  # noqa: PLR0913
        if flow.config.mel != vocoder.config.mel:
            raise UserError(f"the flow makes {flow.config.mel}, but the vocoder reads {vocoder.config.mel}")
        if not lm.config.codes == flow.config.codes == heard.cardinality:
            told = f"{lm.config.codes}, {flow.config.codes} and {heard.cardinality}"
            raise UserError(f"language model, flow and tokenizer have {told} codes")
        self._lm, self._flow, self._vocoder, self._heard, self._speaker = lm, flow, vocoder, heard, speaker
        self._words, self._device = words, next(lm.parameters()).device
        self._mel = MelSpectrogram(flow.config.mel).to(self._device)

    @property
    def sample_rate(self) -> int:
        """Hz."""
        return int(self._flow.config.mel.sample_rate)

    def say(
        self,
        text: str,
        prompt: Sound | str | None = None,
        *,
        language: str = "en",
        seed: int = 0,
        prompt_text: str = "",
        steps: int = 10,
    ) -> Sound:
        """See `Speaker`; the pace is that of the model.

        Args:
            prompt_text: what the recording says.
            steps: of the flow's solver.

        Raises:
            UserError: nothing to say, no recording or one that does not do, no words of it, or an end before the first
                sound.
        """
        sentences = self._words.sentences(text_of(text), language)
        recording = parts.recording(prompt, self.name, LEAST, MOST)
        before = parts.said(self._words, prompt_text, language)
        codes, mel, vector = self._listen(recording)
        generator = torch.Generator().manual_seed(seed)
        told = torch.from_numpy(self._words.encode(before)).to(self._device)
        sounds = []
        for part in parts.together(sentences, len(before) / recording.seconds, PART):
            tokens = torch.from_numpy(self._words.encode(part)).to(self._device)
            said = self._lm.speak(tokens, told, codes[:, 0], generator=generator)
            if not len(said):
                raise UserError("the end came before the first sound; try another seed, or another recording")
            made = self._flow.speak(said[None], codes[None], mel, vector, steps=steps, generator=generator)
            with torch.inference_mode():
                sounds.append(self._vocoder.vocode(made, generator=generator)[0].float().cpu().numpy())
        about = tags(f"in the voice of a recording, by {self.name}, seed {seed}")
        return Sound(np.concatenate(sounds), self.sample_rate, about)

    @torch.inference_mode()
    def _listen(self, recording: Sound) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
        """Codes (codes, 1), mel (1, 2 * codes, mels) and speaker vector (1, values) of a recording."""
        heard = recording.resample(self._heard.sample_rate).samples
        codes = self._heard.encode(torch.from_numpy(heard)[None])[0].to(self._device)
        samples = torch.from_numpy(recording.resample(self.sample_rate).samples)[None].to(self._device)
        mel = self._mel(samples)
        count = min(len(codes), mel.shape[1] // RATIO)
        vector = None
        if self._speaker is not None:
            vector = torch.from_numpy(np.asarray(self._speaker.embed(heard), np.float32))[None].to(self._device)
        return codes[:count].clone(), mel[:, : RATIO * count].clone(), None if vector is None else vector.clone()


def load(weights: str, opener: Callable[..., Any], device: str = "cpu") -> CosyVoice2:
    """CosyVoice 2 from its folder.

    Args:
        opener: `aoide.load`, by which runs are opened.

    Raises:
        UserError: files that are missing, by name.
        MissingExtra: transformers is not installed.
    """
    folder = parts.folder_of(weights)
    runs = {part: parts.is_run(folder / part) for part in PARTS}
    wanted = {f"{part}.pt": f"{model}, {_HUB}" for part, model in PARTS.items() if not runs[part]}
    wanted["speech_tokenizer_v2.onnx"] = _HUB
    vectors = (folder / "campplus.onnx").is_file()
    if not runs["flow"]:
        wanted["campplus.onnx"] = _HUB
    if not runs["llm"]:
        wanted[TOKENIZER] = f"the tokenizer, {_HUB}"
    parts.need(folder, wanted)
    models = {
        part: parts.open_part(folder, part if runs[part] else f"{part}.pt", model, opener, {}).to(device)
        for part, model in PARTS.items()
    }
    return CosyVoice2(
        models["llm"],
        models["flow"],
        models["hift"],
        SpeechTokens(folder),
        CamPlus(folder) if vectors else None,
        _words(folder, runs["llm"]),
    )


def _words(folder: Path, own: bool) -> Any:
    if own:
        return AllWords()
    return Spelt(pretrained("AutoTokenizer", folder / TOKENIZER, extra="models"))
