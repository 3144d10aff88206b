"""MaskGCT's five parts as one speaker: a text, and the voice of a recording of some seconds, to sound.

    speaker = MaskGCT(t2s, [s2a], semantic, acoustic, heard)
    speaker.say("Hello there.", Sound.load("somebody.wav"), prompt_text="What somebody says.")

    recording at 16 kHz -> w2v-BERT (heard) -> semantic codes \
    phonemes of the recording and of the text                  > tts/maskgct -> semantic codes of the text
    recording at 24 kHz -> codec/maskgct_acoustic -> codes    -> tts/maskgct_s2a -> codes -> sound

How long the text takes is what the recording takes, phoneme for phoneme, divided by `speed`; or given in seconds. A
long text is said in parts of some sentences, all after the same recording, so that the voice stays; they are made
together, in one packed batch. Which phonemes a text has, and their numbers, is `Words`: those of the house for models
that were trained here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from aoide.audio.sound import Sound
from aoide.config import UserError
from aoide.external.content import RATE, Encoder
from aoide.external.speech import text_of
from aoide.generate.packed import tags
from aoide.objectives import masked
from aoide.text import frontend
from aoide.text.phonemes import SYMBOLS
from aoide.text.tokenizer import Tokenizer

LEAST, MOST = 1.0, 20.0  # seconds of a recording
PART = 15.0  # seconds that a part of a long text takes, if sentences allow
FASTEST = 40.0  # phonemes a second that anybody can say
SILENCE = 1e-4  # root mean square of a recording in which nobody speaks
TOGETHER = 8  # parts that are made at once


class Words(Protocol):
    """Which phonemes a text has, and by which numbers a model knows them."""

    def sentences(self, text: str, language: str) -> list[str]:
        """The phonemes of each sentence; those that cannot be said are left out."""

    def encode(self, phonemes: str) -> np.ndarray:
        """(tokens,) int64."""


class HouseWords:
    """The front ends and the table of this package."""

    def __init__(self) -> None:
        self._tokenizer = Tokenizer(SYMBOLS)

    def sentences(self, text: str, language: str) -> list[str]:
        reader = frontend(language)
        return [said for sentence in reader.sentences(text) if (said := reader.phonemize(sentence).strip())]

    def encode(self, phonemes: str) -> np.ndarray:
        return self._tokenizer.encode(phonemes)


class Prompt(NamedTuple):
    """What was heard in a recording."""

    semantic: Tensor  # (frames,) int64
    acoustic: Tensor  # (frames, codebooks) int64
    phonemes: str


class MaskGCT:
    """See aoide/external/speech.py, `Speaker`.

    Args:
        t2s: a tts/maskgct in evaluation mode.
        s2a: tts/maskgct_s2a, each given what those before it made: one for all codebooks, or the published two.
        semantic, acoustic: codec/maskgct_semantic and codec/maskgct_acoustic.
        heard: w2v-BERT 2.0 with the statistics of the codec, `content.open("w2v_bert", ..., statistics=...)`.
        words: of what t2s was trained on.
        keep: passes for which text and prompt, and what guidance adds, are computed once; 1 = in each, exactly as
            published. See `aoide.models.tts.maskgct.Passes`.

    Raises:
        UserError: parts that do not go together.
    """

    name, licence = "maskgct", "CC-BY-NC-4.0"

    def __init__(  # noqa: PLR0913  (the parts)
        self,
        t2s: Any,
        s2a: Sequence[Any],
        semantic: Any,
        acoustic: Any,
        heard: Encoder,
        words: Words | None = None,
        keep: int = 1,
    ) -> None:
        self._keep = {"refresh": keep, "compare": keep}
        self._t2s, self._s2a, self._semantic, self._acoustic, self._heard = t2s, [*s2a], semantic, acoustic, heard
        self._words = words or HouseWords()
        rates = {part.config.frame_rate for part in (t2s, *s2a)} | {acoustic.frame_rate, semantic.config.frame_rate}
        if len(rates) > 1:
            raise UserError(f"the parts have different frames a second: {', '.join(f'{x:g}' for x in sorted(rates))}")
        if t2s.config.codes != semantic.config.codes:
            raise UserError(f"the codec has {semantic.config.codes} codes, but the model knows {t2s.config.codes}")
        if s2a[-1].config.codebooks != acoustic.codebooks:
            raise UserError(f"the codec has {acoustic.codebooks} codebooks, but {s2a[-1].config.codebooks} are made")

    @property
    def sample_rate(self) -> int:
        """Hz."""
        return int(self._acoustic.sample_rate)

    def say(  # noqa: PLR0913  (what steers speech)
        self,
        text: str,
        prompt: Sound | str | None = None,
        *,
        language: str = "en",
        seed: int = 0,
        prompt_text: str = "",
        prompt_language: str | None = None,
        speed: float = 1.0,
        seconds: float | None = None,
        steps: int = 25,
    ) -> Sound:
        """See `Speaker`.

        Args:
            prompt_text: what the recording says.
            prompt_language: two letters; None: as `language`.
            speed: 2 is twice as fast as in the recording.
            seconds: how long it shall take, in place of `speed`.
            steps: passes for what is said.

        Raises:
            UserError: nothing to say, no recording or one that is silent, too short or too long, no words of it, or a
                time in which the text cannot be said.
        """
        sentences = self._words.sentences(text_of(text), language)
        if not sentences:
            raise UserError("there is nothing in the text that can be said")
        heard = self._listen(prompt, prompt_text, prompt_language or language)
        rate = self._t2s.config.frame_rate
        pace = len(heard.semantic) / len(heard.phonemes) / speed  # frames a phoneme
        if seconds is not None:
            pace = seconds * rate / sum(map(len, sentences))
        if pace * FASTEST < rate:
            raise UserError(
                f"{sum(map(len, sentences))} phonemes cannot be said in {pace / rate * sum(map(len, sentences)):.1f} s"
            )
        parts = grouped(sentences, int(PART * rate / pace))
        generator = torch.Generator().manual_seed(seed)
        sounds: list[np.ndarray] = []
        for start in range(0, len(parts), TOGETHER):
            sounds += self._make(parts[start : start + TOGETHER], heard, pace, steps, generator)
        about = tags(f"in the voice of a recording, by {self.name}, seed {seed}")
        return Sound(np.concatenate(sounds), self.sample_rate, about)

    def _make(
        self, parts: Sequence[str], heard: Prompt, pace: float, steps: int, generator: torch.Generator
    ) -> list[np.ndarray]:
        """The samples of some parts, made together."""
        draws, device = masked.random(generator), heard.semantic.device
        lengths = [max(1, round(pace * len(part))) for part in parts]
        tokens = [torch.from_numpy(self._words.encode(f"{heard.phonemes} {part}")).to(device) for part in parts]
        before = [heard.semantic] * len(parts)
        sampling = replace(self._t2s.config.sampling, **self._keep)
        said = self._t2s.sample(lengths, tokens, before, steps=steps, sampling=sampling, noise=draws)
        whole = [torch.cat([heard.semantic, codes]) for codes in said]
        known = None
        for model in self._s2a:
            sampling = replace(model.config.sampling, **self._keep)
            known = model.sample(whole, [heard.acoustic] * len(parts), known, sampling=sampling, noise=lambda _: draws)
        assert known is not None
        with torch.inference_mode():
            return [self._acoustic.decode(codes[None])[0].float().cpu().numpy() for codes in known]

    def _listen(self, prompt: Sound | str | None, text: str, language: str) -> Prompt:
        if not isinstance(prompt, Sound):
            raise UserError("MaskGCT has no voice of its own: give a recording, and what it says")
        phonemes = " ".join(self._words.sentences(text, language)) if text.strip() else ""
        if not phonemes:
            raise UserError("what the recording says must be known, to follow its pace: give prompt_text")
        if not LEAST <= prompt.seconds <= MOST:
            raise UserError(
                f"a recording of {LEAST:g} to {MOST:g} s can be followed, not one of {prompt.seconds:.1f} s"
            )
        mono = prompt.mono()
        if np.sqrt(np.mean(np.square(mono.samples, dtype=np.float64))) < SILENCE:
            raise UserError("the recording is silent")
        device = next(self._t2s.parameters()).device
        features = torch.from_numpy(self._heard.encode(mono.resample(RATE).samples))[None].to(device)
        sound = torch.from_numpy(mono.resample(self.sample_rate).samples)[None].to(device)
        with torch.inference_mode():
            semantic, acoustic = self._semantic.encode(features)[0, :, 0], self._acoustic.encode(sound)[0]
        frames = min(len(semantic), len(acoustic))
        return Prompt(semantic[:frames].clone(), acoustic[:frames].clone(), phonemes)


def grouped(sentences: Sequence[str], most: int) -> list[str]:
    """Sentences in parts of up to `most` phonemes; one that is longer stands alone."""
    parts = [sentences[0]]
    for sentence in sentences[1:]:
        joined = f"{parts[-1]} {sentence}"
        if len(joined) <= most:
            parts[-1] = joined
        else:
            parts.append(sentence)
    return parts
