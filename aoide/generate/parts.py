"""What speakers that are put together of several weights have in common: files by name, a prompt, and long text."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from aoide.audio.sound import Sound
from aoide.config import UserError
from aoide.external.weights import read_state
from aoide.generate import published
from aoide.models import find

SILENCE = 1e-4  # root mean square of a recording in which nobody speaks


def folder_of(weights: str) -> Path:
    """The local folder of weights: itself, or a copy of what the hub has.

    Raises:
        UserError: no such folder.
    """
    folder = published.download(weights) if weights.startswith(published.HUB) else Path(weights)
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder")
    return folder


def is_run(folder: Path) -> bool:
    """Whether `aoide train` wrote it."""
    return any((folder / part).exists() for part in ("checkpoints", "state.json"))


def encodec_of(folder: Path) -> Any:
    """EnCodec, from its folder among the weights of a speaker, or from the hub."""
    from aoide.external import encodec

    own = folder / "encodec_24khz"
    return encodec.load(own if own.is_dir() else encodec.SOURCE)


def need(folder: Path, wanted: Mapping[str, str]) -> None:
    """Makes sure that files or folders are there.

    Args:
        wanted: name below the folder -> what it is and whose.

    Raises:
        UserError: names all that are missing.
    """
    missing = [f"{name} ({what})" for name, what in wanted.items() if not (folder / name).exists()]
    if missing:
        raise UserError(f"{folder}: needs these files: {', '.join(missing)}")


def open_part(folder: Path, part: str, model: str, load: Callable[..., Any], config: Mapping[str, Any]) -> Any:
    """A model from a run in `folder/part`, or from published weights: the file, or the only one in the folder.

    Raises:
        UserError: nothing of the kind there, or weights of something else.
    """
    place = folder / part
    if is_run(place):
        return load(model, place)
    if place.is_dir():
        files = sorted(path for path in place.iterdir() if path.suffix in published.WEIGHTS)
        if len(files) != 1:
            raise UserError(f"{place}: needs one file of weights of {model}, and has {len(files)}")
        place = files[0]
    state = read_state(place)
    for name in ("model", "state_dict"):
        state = dict(state[name]) if isinstance(state.get(name), Mapping) else state
    try:
        return find.find(model).from_official(state, config).eval()
    except (KeyError, TypeError) as error:
        raise UserError(f"{place}: not weights of {model} as published: {type(error).__name__} {error}") from None


def read_config(path: Path) -> dict[str, Any]:
    """JSON that may have comments behind // and commas at ends, as Amphion writes it.

    Raises:
        UserError: no such file, or something else.
    """
    try:
        text = re.sub(r'("(?:[^"\\]|\\.)*")|//[^\n]*', lambda m: m[1] or "", path.read_text("utf-8"))
        return dict(json.loads(re.sub(r",(\s*[}\]])", r"\1", text)))
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from None
    except (ValueError, TypeError):
        raise UserError(f"{path}: not JSON that can be read") from None


def recording(prompt: Sound | str | None, name: str, least: float, most: float) -> Sound:
    """The prompt as one channel.

    Raises:
        UserError: none, or one that is too short, too long or silent.
    """
    if not isinstance(prompt, Sound):
        raise UserError(f"{name} has no voice of its own: give a recording")
    if not least <= prompt.seconds <= most:
        raise UserError(f"a recording of {least:g} to {most:g} s can be followed, not one of {prompt.seconds:.1f} s")
    mono = prompt.mono()
    if np.sqrt(np.mean(np.square(mono.samples, dtype=np.float64))) < SILENCE:
        raise UserError("the recording is silent")
    return mono


def said(words: Any, text: str, language: str) -> str:
    """The phonemes of a recording's text, one sentence behind the other.

    Raises:
        UserError: none was given.
    """
    found = " ".join(words.sentences(text, language)) if text.strip() else ""
    if not found:
        raise UserError("what the recording says must be known, to go on from it: give prompt_text")
    return found


def together(sentences: Sequence[str], pace: float, seconds: float) -> list[str]:
    """Sentences in parts of up to so many seconds at `pace` characters a second; one that is longer stands alone.

    Raises:
        UserError: there are none.
    """
    if not sentences:
        raise UserError("there is nothing in the text that can be said")
    parts = [sentences[0]]
    for sentence in sentences[1:]:
        joined = f"{parts[-1]} {sentence}"
        if len(joined) <= pace * seconds:
            parts[-1] = joined
        else:
            parts.append(sentence)
    return parts
