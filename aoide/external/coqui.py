"""Coqui's XTTS-v2, YourTTS and TorToiSe, through the package coqui-tts (MPL-2.0), which is not part of an extra.

They follow a recording of a few seconds; XTTS and YourTTS ask for the language. Weights come from a local folder, or
are fetched by the package under its own terms: XTTS-v2 has the Coqui Public Model Licence, which allows non-commercial
use alone, and YourTTS CC-BY-NC-ND-4.0; that is said when they are loaded.
"""

from __future__ import annotations

import os
import tempfile
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from aoide.audio.sound import Sound
from aoide.config import MissingExtra, UserError, near, require
from aoide.external.speech import text_of


class Published(NamedTuple):
    """A system of the package."""

    model: str  # its name there
    licence: str
    commercial: bool
    multilingual: bool


SYSTEMS = {
    "xtts": Published("tts_models/multilingual/multi-dataset/xtts_v2", "Coqui Public Model Licence", False, True),
    "yourtts": Published("tts_models/multilingual/multi-dataset/your_tts", "CC-BY-NC-ND-4.0", False, True),
    "tortoise": Published("tts_models/en/multi-dataset/tortoise-v2", "Apache-2.0", True, False),
}


class Coqui:
    """See aoide/external/speech.py, `Speaker`.

    Args:
        name: one of `SYSTEMS`.
        engine: a TTS of the package, loaded.
    """

    def __init__(self, name: str, engine: Any) -> None:
        self.name, self.licence = name, SYSTEMS[name].licence
        self._engine = engine

    @property
    def sample_rate(self) -> int:
        """Hz."""
        return int(self._engine.synthesizer.output_sample_rate)

    def say(self, text: str, prompt: Sound | str | None = None, *, language: str = "en", seed: int = 0) -> Sound:
        """See `Speaker`. A recording is written to a temporary file, as the package reads only files."""
        import torch

        told: dict[str, Any] = {"language": self._language(language)} if SYSTEMS[self.name].multilingual else {}
        if isinstance(prompt, str):
            known = self._engine.speakers or []
            if prompt not in known:
                raise UserError(f"{self.name} has no voice {prompt!r};{near(prompt, known) or ' give a recording'}")
            told["speaker"] = prompt
        elif prompt is None and self.name != "tortoise":
            raise UserError(f"{self.name} needs a recording of who shall speak, or the name of one of its voices")
        with tempfile.TemporaryDirectory() as folder, torch.random.fork_rng():
            if isinstance(prompt, Sound):
                path = Path(folder) / "prompt.wav"
                prompt.save(path)
                told["speaker_wav"] = str(path)
            torch.manual_seed(seed)
            samples = self._engine.tts(text_of(text), **told)
        return Sound(np.asarray(samples, np.float32), self.sample_rate)

    def _language(self, language: str) -> str:
        known = list(self._engine.languages or [language])
        fits = [one for one in known if one.split("-")[0] == language or one == language]
        if not fits:
            raise UserError(f"{self.name} does not speak {language!r}; it speaks {', '.join(known)}")
        return fits[0]


def load(name: str, source: str | os.PathLike[str] | None = None, device: str = "cpu") -> Coqui:
    """A system of the package, by name.

    Args:
        source: a local folder with config.json and the weights; None: the package fetches them.

    Raises:
        MissingExtra: coqui-tts is not installed.
        UserError: no such folder, or weights that cannot be had.
    """
    system = SYSTEMS[name]
    folder = None if source is None else Path(source).expanduser()
    if folder is not None and not (folder / "config.json").is_file():
        raise UserError(f"{folder}: no folder with the config.json and weights of {name}")
    try:
        api = require("TTS.api", "coqui")
    except MissingExtra:
        raise UserError(f"{name} needs the package coqui-tts: pip install coqui-tts") from None
    if not system.commercial:
        warnings.warn(f"the weights of {name} are for non-commercial use alone ({system.licence})", stacklevel=2)
    try:
        if folder is None:
            engine = api.TTS(system.model, progress_bar=False)
        else:
            engine = api.TTS(model_path=str(folder), config_path=str(folder / "config.json"), progress_bar=False)
    except (OSError, EOFError, RuntimeError, ValueError, KeyError) as error:  # EOFError: nobody there to agree to terms
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(
            f"{name} cannot be loaded ({reason[:120]}): give a local folder with its config.json and weights"
        ) from None
    return Coqui(name, engine.to(device))
