"""Systems of other people that speak: what they all offer, whatever package they come in.

speaker = speech("bark")                       # or xtts, yourtts, tortoise
speaker.say("Hello there.", "v2/en_speaker_6")  # a Sound
speech("xtts", "models/xtts").say("Hello there.", Sound.load("somebody.wav"))

bark       Suno's three language models and EnCodec (aoide/external/bark.py): package transformers; MIT
xtts       Coqui's XTTS-v2 (aoide/external/coqui.py): package coqui-tts; weights for non-commercial use alone (CPML)
yourtts    Coqui's YourTTS: package coqui-tts; weights CC-BY-NC-ND-4.0
tortoise   TorToiSe: package coqui-tts; weights Apache-2.0
"""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Protocol

from aoide.config import UserError, near

if TYPE_CHECKING:
    from aoide.audio.sound import Sound

FILES = {"bark": "bark", "xtts": "coqui", "yourtts": "coqui", "tortoise": "coqui"}


class Speaker(Protocol):
    """What a system offers: a text in a voice."""

    name: str
    licence: str  # of the weights

    def say(self, text: str, prompt: Sound | str | None = None, *, language: str = "en", seed: int = 0) -> Sound:
        """Says a text.

        Args:
            prompt: a recording of who shall speak, or the name of a voice that the system has; None: its own.
            language: two letters, where the system asks for it.
            seed: of what is left to chance; the same seed gives the same sound.

        Raises:
            UserError: no text, or a prompt that the system cannot follow.
        """


def speech(name: str, source: str | os.PathLike[str] | None = None, device: str = "cpu") -> Speaker:
    """A system by name, loaded.

    Args:
        name: one of `FILES`.
        source: a local folder with its weights; None: as its authors published it.
        device: "cpu" or "cuda".

    Raises:
        UserError: no system of this name, or no weights there.
        MissingExtra: its package is not installed.
    """
    if name not in FILES:
        guess = near(name, FILES) or f" there are {', '.join(FILES)}"
        raise UserError(f"no speaking system {name!r} of other people;{guess}")
    return importlib.import_module(f"aoide.external.{FILES[name]}").load(name, source, device)  # type: ignore[no-any-return]


def text_of(text: str) -> str:
    """The text without spaces around it.

    Raises:
        UserError: there is none.
    """
    if not text.strip():
        raise UserError("there is no text to say")
    return text.strip()
