"""F5 and E2 with a vocoder as one speaker: a text, and the voice of a recording of some seconds, to sound.

    speaker = F5(aoide.load("tts/f5", "runs/f5"), aoide.load("universal-24k"))
    speaker.say("Hello there.", Sound.load("somebody.wav"), prompt_text="What somebody says.")

The recording stands at the beginning of the mel, and the model fills in what follows; a vocoder makes sound of that. A
long text is said in parts, each after the same recording, so that the voice stays; some are made together, and come out
as if made alone. Models that were trained here read the phonemes of the house; the published ones letters, by their
vocab.txt, English and what else is written in its letters.
"""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from aoide.audio.mel import MelSpectrogram
from aoide.audio.sound import Sound
from aoide.config import UserError
from aoide.external.speech import text_of
from aoide.generate.maskgct import HouseWords, grouped
from aoide.generate.packed import tags
from aoide.models.tts._infill import frames_to_speak
from aoide.text.sentences import sentences as splitting

LEAST, MOST = 1.0, 15.0  # seconds of a recording
PART = 12.0  # seconds that a part of a long text takes, if sentences allow
TOGETHER = 4  # parts that are made at once
LOUDNESS = 0.1  # root mean square to which a quieter recording is raised, and what is made of it lowered again


class Letters:
    """The symbols of the published models: letters of the text, by their lines in vocab.txt.

    Raises:
        UserError: no such file.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        try:
            lines = Path(path).read_text("utf-8").split("\n")
        except (OSError, ValueError):
            raise UserError(f"{path}: cannot be read; it is the vocab.txt beside the published weights") from None
        self._numbers = {line: number for number, line in enumerate(lines[:-1] if not lines[-1] else lines)}

    def sentences(self, text: str, language: str) -> list[str]:
        """The sentences of a text.

        Raises:
            UserError: Chinese or Japanese, which the model reads as pinyin.
        """
        if any(unicodedata.name(letter, "").startswith("CJK") for letter in text):
            raise UserError("the published weights read Chinese as pinyin, which is not made here; give letters")
        return [" ".join(sentence.split()) for sentence in splitting(text)]

    def encode(self, text: str) -> np.ndarray:
        """(tokens,) int64 from 1; what the list lacks is a space, as published."""
        return np.array([self._numbers.get(letter, 0) + 1 for letter in text], np.int64)


class F5:
    """See aoide/external/speech.py, `Speaker`.

    Args:
        model: a tts/f5, tts/e2 or tts/f5_mmdit in evaluation mode.
        vocoder: of its mel: one of the package, or a TorchVocoder.
        words: which symbols a text has; None: those of the house.

    Raises:
        UserError: a vocoder of another mel.
    """

    licence = "that of the weights; those published are CC-BY-NC-4.0"

    def __init__(self, model: Any, vocoder: Any, words: Any = None) -> None:
        read = replace(model.config.mel, floor=vocoder.mel.floor)  # published with Vocos, whose floor is lower
        if read != vocoder.mel:
            raise UserError(f"the model makes {model.config.mel}, but the vocoder reads {vocoder.mel}")
        self.name = type(model).__module__.removeprefix("aoide.models.").replace(".", "/")
        self._model, self._vocoder, self._words = model, vocoder, words or HouseWords()
        self._device = next(model.parameters()).device
        self._mel = MelSpectrogram(model.config.mel).to(self._device)

    @property
    def sample_rate(self) -> int:
        """Hz."""
        return int(self._model.config.mel.sample_rate)

    @property
    def model(self) -> Any:
        """What speaks."""
        return self._model

    def say(  # noqa: PLR0913  (what steers speech)
        self,
        text: str,
        prompt: Sound | str | None = None,
        *,
        language: str = "en",
        seed: int = 0,
        prompt_text: str = "",
        speed: float = 1.0,
        seconds: float | None = None,
        steps: int = 32,
    ) -> Sound:
        """See `Speaker`.

        Args:
            prompt_text: what the recording says.
            speed: 2 is twice as fast as in the recording.
            seconds: how long it shall take, in place of `speed`.
            steps: of the solver.

        Raises:
            UserError: nothing to say, no recording or one that does not do, no words of it, or a time in which the text
                cannot be said.
        """
        sentences = self._words.sentences(text_of(text), language)
        if not sentences:
            raise UserError("there is nothing in the text that can be said")
        if not isinstance(prompt, Sound):
            raise UserError(f"{self.name} has no voice of its own: give a recording, and what it says")
        said = " ".join(self._words.sentences(prompt_text, language)) if prompt_text.strip() else ""
        if not said:
            raise UserError("what the recording says must be known, to follow its pace: give prompt_text")
        mel, gain = self._listen(prompt)
        rate, every = self._model.config.mel.frame_rate, sum(map(len, sentences))
        pace = len(mel) / len(said) / speed if seconds is None else seconds * rate / every
        parts = grouped(sentences, max(1, int(PART * rate / pace)))
        if seconds is None:
            frames = [frames_to_speak(said, part, len(mel), speed) for part in parts]
        else:
            frames = [max(1, round(pace * len(part))) for part in parts]
        generator = torch.Generator().manual_seed(seed)
        sounds: list[np.ndarray] = []
        for start in range(0, len(parts), TOGETHER):
            several = slice(start, start + TOGETHER)
            sounds += self._make([f"{said} {part}" for part in parts[several]], frames[several], mel, steps, generator)
        about = tags(f"in the voice of a recording, by {self.name}, seed {seed}")
        return Sound(np.concatenate(sounds) * np.float32(gain), self.sample_rate, about)

    def _make(
        self, texts: Sequence[str], frames: Sequence[int], mel: Tensor, steps: int, generator: torch.Generator
    ) -> list[np.ndarray]:
        """The samples of some parts, made together."""
        rows = [torch.from_numpy(self._words.encode(text)) for text in texts]
        tokens = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True).to(self._device)
        whole = [len(mel) + own for own in frames]
        draws = [torch.randn(length, mel.shape[1], generator=generator) for length in whole]
        made = self._model.speak(
            tokens,
            mel.expand(len(texts), -1, -1),
            torch.tensor(whole, device=self._device),
            steps=steps,
            noise=torch.nn.utils.rnn.pad_sequence(draws, batch_first=True).to(self._device),
        )
        return [
            self._vocoder.vocode(one[len(mel) : length].float().cpu().numpy())
            for one, length in zip(made, whole, strict=True)
        ]

    def _listen(self, prompt: Sound) -> tuple[Tensor, float]:
        """The mel (frames, mels) of a recording at a usual loudness, and what brings it back to its own."""
        if not LEAST <= prompt.seconds <= MOST:
            raise UserError(
                f"a recording of {LEAST:g} to {MOST:g} s can be followed, not one of {prompt.seconds:.1f} s"
            )
        samples = prompt.mono().resample(self.sample_rate).samples
        level = float(np.sqrt(np.mean(np.square(samples, dtype=np.float64))))
        if level < 1e-4:
            raise UserError("the recording is silent")
        gain = min(1.0, level / LOUDNESS)
        with torch.inference_mode():
            return self._mel(torch.from_numpy(samples / np.float32(gain))[None].to(self._device))[0].clone(), gain
