"""Handles: how long, how high and how loud each sound of a text is, changed by hand and spoken again.

    edits = Edits.read("edits.json")                    # what the page saves
    sound = resynth({"model": "en-heart", "input": "Hello.", "edits": {...}})

This is for voices that filter pulses and noise (kind sourcefilter), those of the package among them: their graph gives
spectra and F0 for each frame, so a longer sound is more frames of the same, a higher one other pulses, and a louder one
larger spectra. A model with durations, pitch and energy of its own is asked again instead (explain/runs.py).

An edit has a number for each token, those of silence at both ends included:

    durations   factors, 0.25 to 4          pitch   semitones, -12 to 12          energy   dB, -12 to 12
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from aoide import voices
from aoide.audio.sound import Sound
from aoide.config import UserError
from aoide.generate import folder as voice_folder
from aoide.generate import stream, synthesis
from aoide.generate.packed import tags
from aoide.generate.runtime import Runtime
from aoide.text import frontend
from aoide.text.tokenizer import Tokenizer

LIMITS = {"durations": (0.25, 4.0), "pitch": (-12.0, 12.0), "energy": (-12.0, 12.0)}
MOST_TOKENS = 20_000
MOST_TEXT = 4000  # characters that `resynth` speaks
NEPERS = math.log(10) / 20  # of a dB
SILENT = "·"  # the silence at both ends of a piece
SOUNDLESS = -30.0  # log magnitude of what cannot be heard


@dataclass(frozen=True, slots=True)
class Edits:
    """What was changed, a number a token each; an empty one changes nothing."""

    durations: tuple[float, ...] = ()
    pitch: tuple[float, ...] = ()
    energy: tuple[float, ...] = ()

    @classmethod
    def of(cls, data: Any, where: str = "edits") -> Edits:
        """From JSON: {"durations": [...], "pitch": [...], "energy": [...]}, or that below the key `edits`.

        Raises:
            UserError: something else, or a number out of range.
        """
        inner = data.get("edits", data) if isinstance(data, Mapping) else None
        if not isinstance(inner, Mapping) or not set(inner) <= set(LIMITS):
            raise UserError(f"{where}: an edit has {', '.join(LIMITS)}, a list of numbers each")
        return cls(**{name: _numbers(inner.get(name, []), name, where) for name in LIMITS})

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Edits:
        """From a file that the page saved."""
        try:
            data = json.loads(Path(path).read_text("utf-8"))
        except FileNotFoundError:
            raise UserError(f"{path}: no such file") from None
        except (OSError, ValueError):
            raise UserError(f"{path}: not JSON that can be read") from None
        return cls.of(data, str(path))

    def fitted(self, tokens: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Factors, semitones and dB, (tokens,) each.

        Raises:
            UserError: an edit of another text.
        """
        found = []
        for name, neutral in (("durations", 1.0), ("pitch", 0.0), ("energy", 0.0)):
            own = getattr(self, name)
            if own and len(own) != tokens:
                raise UserError(f"this edit is of {len(own)} tokens and the text has {tokens}: it is of another text")
            found.append(np.array(own or [neutral] * tokens, float))
        return found[0], found[1], found[2]

    def __bool__(self) -> bool:
        return bool(self.durations or self.pitch or self.energy)


def _numbers(values: Any, name: str, where: str) -> tuple[float, ...]:
    low, high = LIMITS[name]
    if not isinstance(values, list) or len(values) > MOST_TOKENS:
        raise UserError(f"{where}: {name} is a list of numbers, one a token")
    for value in values:
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
            raise UserError(f"{where}: {name} goes from {low:g} to {high:g}, and there is {value!r}")
    return tuple(float(value) for value in values)


@dataclass(frozen=True, slots=True, eq=False)
class Spoken:
    """What a voice of pulses and noise says, before it is sound.

    Attributes:
        symbols: one a token, with those of silence at the ends of each piece.
        durations: (tokens,) frames.
        spectra: lh, theta, lr, phi, (frames, bins) each.
        f0: (frames,) Hz, 0 = unvoiced.
    """

    symbols: tuple[str, ...]
    durations: np.ndarray
    spectra: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
    f0: np.ndarray
    hop: int
    sample_rate: int
    name: str = ""

    def sound(self, *, pulses: bool = True, filtered: bool = True, noise: bool = True) -> Sound:
        """The sound, or what is left of it without its parts.

        Args:
            pulses: the voiced part. filtered: with the voice's filter on it, else the plain pulses. noise: the rest.
        """
        lh, theta, lr, phi = self.spectra
        f0 = self.f0 if pulses else np.zeros_like(self.f0)
        lr = lr if noise else np.full_like(lr, SOUNDLESS)
        if not filtered:
            lh, theta = np.full_like(lh, float(np.median(lh[self.f0 > 0])) if (self.f0 > 0).any() else 0.0), 0 * theta
        made = synthesis.sourcefilter((lh, theta, lr, phi), f0, hop=self.hop, sample_rate=self.sample_rate)
        return Sound(np.clip(made, -1.0, 1.0), self.sample_rate, tags(f"spoken by {self.name}"))

    def edited(self, edits: Edits) -> Spoken:
        """The same with other durations, pitch and energy."""
        factors, semitones, decibel = edits.fitted(len(self.symbols))
        durations = np.where(self.durations > 0, np.maximum(1, np.rint(self.durations * factors)), 0).astype(int)
        token = np.repeat(np.arange(len(durations)), durations)
        ends = np.cumsum(self.durations)
        inside = (np.arange(len(token)) - np.repeat(np.cumsum(durations) - durations, durations) + 0.5) / durations[
            token
        ]
        place = (ends - self.durations)[token] + inside * self.durations[token] - 0.5
        last = len(self.f0) - 1
        place = np.clip(place, 0, last)
        low, near = np.floor(place).astype(int), np.rint(place).astype(int)
        high, share = np.minimum(low + 1, last), (place - low)[:, None].astype(np.float32)
        lh, theta, lr, phi = self.spectra
        louder = (decibel[token] * NEPERS)[:, None].astype(np.float32)
        spectra = (
            lh[low] * (1 - share) + lh[high] * share + louder,
            theta[near],
            lr[low] * (1 - share) + lr[high] * share + louder,
            phi[near],
        )
        f0 = (self.f0[near] * 2 ** (semitones[token] / 12)).astype(np.float32)
        return Spoken(self.symbols, durations, spectra, f0, self.hop, self.sample_rate, self.name)

    def loudness(self) -> np.ndarray:
        """How loud each frame is, dB: (frames,)."""
        lh, _, lr, _ = self.spectra
        power = np.exp(2 * np.minimum(lh, 7.0)).mean(1) * (self.f0 > 0) + np.exp(2 * np.minimum(lr, 7.0)).mean(1)
        return 10 * np.log10(power + 1e-10)


def can_speak_again(folder: str | os.PathLike[str]) -> bool:
    """Whether a voice is of pulses and noise."""
    return voice_folder.read(folder).kind == "sourcefilter"


def speak(name: str, text: str, *, speed: float = 1.0, pitch: float = 0.0, runtime: Runtime | None = None) -> Spoken:
    """What a voice says: all sentences of a text, end to end.

    Args:
        runtime: that of the voice, where it is open already.

    Raises:
        UserError: no such voice, one of another kind, nothing to say, or a setting out of range.
    """
    from aoide.generate.voice import check, nothing_to_say

    check(speed, pitch, 0)
    runtime = runtime or Runtime(voices.find(name))
    of = runtime.description
    if of.kind != "sourcefilter":
        raise UserError(f"{of.name} is of kind {of.kind}: only voices of pulses and noise have handles")
    reader, tokenizer = frontend(of.language), Tokenizer(of.symbols)
    symbols: list[str] = []
    parts: list[dict[str, np.ndarray]] = []
    for sentence in reader.sentences(text):
        for piece in stream.pieces(reader.phonemize(sentence), of.max_tokens - 2):
            tokens = tokenizer.encode(piece)
            settings = np.array([speed * of.speed], np.float32), np.array([pitch + of.pitch], np.float32)
            outputs = runtime.outputs(tokens[None], np.array([len(tokens)], np.int64), *settings)
            frames = int(outputs["durations"].sum())
            parts.append({key: value[0] if key == "durations" else value[0, :frames] for key, value in outputs.items()})
            symbols += [SILENT, *piece, SILENT]
    if not parts:
        raise nothing_to_say(text)
    whole = {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}
    spectra = (whole["lh"], whole["theta"], whole["lr"], whole["phi"])
    return Spoken(tuple(symbols), whole["durations"], spectra, whole["f0"], of.hop, of.sample_rate, of.name)


def resynth(body: Mapping[str, Any], runtime: Runtime | None = None) -> Sound:
    """What `POST /v1/audio/resynth` answers: {"model": voice, "input": text, "speed", "pitch", "edits"} -> sound.

    A voice is one of the package, by its name; a path is never opened.

    Args:
        runtime: that of the voice, where it is open already.

    Raises:
        UserError: a body of another form, an unknown voice, or an edit of another text.
    """
    text, name = body.get("input"), body.get("model", voices.DEFAULT)
    if not isinstance(text, str) or not 0 < len(text) <= MOST_TEXT:
        raise UserError(f"input: a text of 1 to {MOST_TEXT} characters")
    if name not in voices.names():
        raise UserError(f"model: one of {', '.join(voices.names())}")
    settings = {key: body.get(key, neutral) for key, neutral in (("speed", 1.0), ("pitch", 0.0))}
    if not all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in settings.values()):
        raise UserError("speed and pitch are numbers")
    edits = Edits.of(body.get("edits", {}))
    return speak(name, text, **settings, runtime=runtime).edited(edits).sound()
