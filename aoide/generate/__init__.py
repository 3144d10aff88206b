"""From a model to sound: exported voices without torch (voice, runtime, synthesis, stream), and the way there (export).

The package can be called: `aoide.generate("Hello.")` speaks.
"""

from __future__ import annotations

import os
import sys
from types import ModuleType

TYPE_CHECKING = False  # as typing.TYPE_CHECKING, without the import of typing
if TYPE_CHECKING:
    from aoide.audio.sound import Sound


class _Callable(ModuleType):
    """Gives the package the call that its name promises; its modules stay where they are."""

    def __call__(
        self,
        text: str,
        voice: str | os.PathLike[str] = "en-heart",
        speed: float = 1.0,
        pitch: float = 0.0,
        seed: int = 0,
    ) -> Sound:
        """Speaks a text with a voice of the package or from a folder, see `generate.voice.Voice.say`.

        It loads the voice at every call; for many calls, `aoide.load` the voice once.
        """
        from aoide import voices
        from aoide.generate.voice import Voice

        return Voice(voices.find(os.fspath(voice))).say(text, speed, pitch, seed)


sys.modules[__name__].__class__ = _Callable
