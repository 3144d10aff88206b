"""An exported voice that speaks text, without torch.

    voice = Voice("voices/en-heart")
    voice.say("Any input becomes sound.").save("hello.wav")
    for sound in voice.stream(open("book.txt")):  # sentence by sentence, in constant memory
        play(sound)

The same text, settings and seed give the same samples, alone or in a batch.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from aoide import trace
from aoide.audio.sound import Sound
from aoide.config import UserError
from aoide.generate import folder as voice_folder
from aoide.generate import stream
from aoide.generate.runtime import Request, Runtime
from aoide.generate.stream import Part, Speech
from aoide.text import frontend
from aoide.text.tokenizer import Tokenizer
from aoide.version import __version__

SPEEDS = (0.5, 2.0)
PITCHES = (-12.0, 12.0)  # semitones


class Sentence(NamedTuple):
    """A sentence as it was written and as it is said."""

    text: str
    phonemes: str


class Voice:
    """A voice from its folder.

    Args:
        folder: voice.onnx, voice.json and card.md, see `generate/folder.py`.
        threads: of one call; 1 is best for many calls side by side.

    Raises:
        UserError: the folder holds no voice, a broken one, or one that this Aoide cannot run.
    """

    def __init__(self, folder: str | os.PathLike[str], threads: int = 1) -> None:
        self.folder = Path(folder)
        self._runtime = Runtime(folder, threads)
        self.description = self._runtime.description
        self._tokenizer = Tokenizer(self.description.symbols)
        self._symbols = {number: symbol for symbol, number in self.description.symbols.items()}
        self._frontend = frontend(self.description.language)

    def __repr__(self) -> str:
        return f"Voice({self.name}, {self.description.language}, {self.sample_rate} Hz)"

    @property
    def name(self) -> str:
        return self.description.name

    @property
    def sample_rate(self) -> int:
        return self.description.sample_rate

    @property
    def runtime(self) -> Runtime:
        """Its graph."""
        return self._runtime

    @property
    def card(self) -> str:
        """The model card, Markdown."""
        return voice_folder.read_card(self.folder)

    def tags(self, seed: int = 0) -> dict[str, str]:
        """What files with this voice say about their origin: that they are synthetic, and how they were made."""
        graph = self.description.sha256[:12]
        origin = f"synthetic: yes; voice: {self.name}; aoide: {__version__}; graph: {graph}; seed: {seed}"
        return {"comment": origin, "software": f"Aoide {__version__}"}

    # ------------------------------------------------------------------------------------------------------- speaking

    def say(self, text: str, speed: float = 1.0, pitch: float = 0.0, seed: int = 0) -> Sound:
        """Speaks a text of any length and gives the sound.

        Args:
            text: what to say.
            speed: 0.5 (slow) to 2 (fast).
            pitch: -12 to 12 semitones.
            seed: of what is left to chance: the length of pauses.

        Raises:
            UserError: nothing in the text can be said, or a setting is out of range.
        """
        return self.speak(text, speed, pitch, seed).sound

    def speak(self, text: str, speed: float = 1.0, pitch: float = 0.0, seed: int = 0) -> Speech:
        """As `say`, and also tells when each phoneme sounds."""
        return stream.merge(list(self.speak_each(text, speed, pitch, seed)), text)

    def stream(
        self, text: str | Iterable[str], speed: float = 1.0, pitch: float = 0.0, seed: int = 0
    ) -> Iterator[Sound]:
        """As `say`, one sound a sentence, each as soon as it is ready; together they are the samples that `say` gives.

        `text` may be an iterable of pieces of text, cut anywhere (an open file, what a language model writes).
        """
        for speech in self.speak_each(text, speed, pitch, seed):
            yield speech.sound

    def speak_each(
        self, text: str | Iterable[str], speed: float = 1.0, pitch: float = 0.0, seed: int = 0
    ) -> Iterator[Speech]:
        """As `stream`, with phonemes and their times."""
        check(speed, pitch, seed)
        joiner = stream.Joiner(self.sample_rate, speed, seed, self.tags(seed))
        said = False
        for sentence in self.sentences(text):
            parts = self.render([sentence.phonemes], [speed], [pitch])[0]
            yield stream.merge([joiner.add(part, sentence.text) for part in parts], sentence.text)
            said = True
        if not said:
            raise nothing_to_say(text if isinstance(text, str) else "the text")

    def say_many(self, texts: Sequence[str], speed: float = 1.0, pitch: float = 0.0, seed: int = 0) -> list[Sound]:
        """Speaks many texts at once: the same sounds as `say` gives one by one, in less time where there are threads
        to share.

        Raises:
            UserError: as `say`; the first text of which nothing can be said is shown.
        """
        check(speed, pitch, seed)
        plans = [list(self.sentences(text)) for text in texts]
        for text, plan in zip(texts, plans, strict=True):
            if not plan:
                raise nothing_to_say(text)
        phonemes = [sentence.phonemes for plan in plans for sentence in plan]
        rendered = iter(self.render(phonemes, [speed] * len(phonemes), [pitch] * len(phonemes)))
        sounds = []
        for plan in plans:
            joiner = stream.Joiner(self.sample_rate, speed, seed, self.tags(seed))
            speeches = [joiner.add(part, sentence.text) for sentence in plan for part in next(rendered)]
            sounds.append(stream.merge(speeches, "").sound)
        return sounds

    # ----------------------------------------------------------------------------------------------------- the stages

    def sentences(self, text: str | Iterable[str]) -> Iterator[Sentence]:
        """The sentences of a text with their phonemes, as soon as each is complete; those without any sound are left
        out."""
        for sentence in self._frontend.sentences(text):
            phonemes = self._frontend.phonemize(sentence)
            if stream.speakable(phonemes):
                trace.report("phonemes", phonemes)
                yield Sentence(sentence, phonemes)

    def render(self, sentences: Sequence[str], speeds: Sequence[float], pitches: Sequence[float]) -> list[list[Part]]:
        """Speaks the phonemes of sentences that may belong to different texts; a `stream.Joiner` for each text makes
        speech of them.

        Returns:
            For each sentence its parts: one, or more where it is longer than the voice can speak in one go.
        """
        of = self.description
        pieces = [stream.pieces(phonemes, of.max_tokens - 2) for phonemes in sentences]
        requests = [
            Request(self._tokenizer.encode(piece), speed, pitch)
            for own, speed, pitch in zip(pieces, speeds, pitches, strict=True)
            for piece in own
        ]
        parts = [
            stream.trim(spoken.samples, self._spell(request.tokens), spoken.durations, of.hop, of.sample_rate)
            for request, spoken in zip(requests, self._runtime.run(requests), strict=True)
        ]
        remaining = iter(parts)
        return [[next(remaining) for _ in own] for own in pieces]

    def _spell(self, tokens: np.ndarray) -> str:
        """The symbols of (tokens,) without the padding at both ends."""
        return "".join(self._symbols[int(token)] for token in tokens[1:-1])


def check(speed: float, pitch: float, seed: int) -> None:
    """Raises a UserError for a setting out of range (or not a number)."""
    for name, value, (low, high) in (("speed", speed, SPEEDS), ("pitch", pitch, PITCHES)):
        if not low <= value <= high:
            raise UserError(f"{name}: {low:g} to {high:g}, got {value:g}")
    if seed < 0:
        raise UserError(f"seed: 0 or more, got {seed}")


def nothing_to_say(text: str) -> UserError:
    """The error of a text without a sound in it."""
    text = " ".join(text.split())
    shown = f"{text[:40]!r}{'...' if len(text) > 40 else ''}" if text else "an empty text"
    return UserError(f"nothing to say: {shown} has no letters and no numbers")
