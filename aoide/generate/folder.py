"""The folder of an exported voice: `voice.json` (what it is), `voice.onnx` (the graph), `card.md` (the model card).

    voice.json   format, name, kind, language, sample_rate, hop, n_fft, padding, symbols, speed, pitch, max_tokens,
                 max_batch, summary, licence, sha256 (of the graph), aoide (the version that wrote it)

The graph takes tokens (batch, tokens) int64 padded with 0, lengths (batch,) int64, speed (batch,) float32 and pitch
(batch,) float32 in semitones. What it gives depends on the kind, time before channels, float32:

    sourcefilter   lh, theta, lr, phi (batch, frames, bins), f0 (batch, frames) Hz, durations
    istft          magnitude, phase (batch, frames, bins), durations
    waveform       audio (batch, samples), durations

durations (batch, tokens) int64 are frames; item b is durations[b].sum() frames long. `generate/synthesis.py` makes the
sound.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from aoide.config import UserError, build, to_dict, write_aside

FORMAT = 1
INPUTS = ("tokens", "lengths", "speed", "pitch")
OUTPUTS = {
    "sourcefilter": ("lh", "theta", "lr", "phi", "f0", "durations"),
    "istft": ("magnitude", "phase", "durations"),
    "waveform": ("audio", "durations"),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Description:
    """What `voice.json` says."""

    format: int = FORMAT  # of the folder, so that an older Aoide knows when it is too old
    name: str
    kind: Literal["sourcefilter", "istft", "waveform"]
    language: str  # chooses the front end: "en"
    sample_rate: int  # Hz
    hop: int  # samples between frames
    n_fft: int  # samples; 0 for kind "waveform"
    padding: Literal["center", "same"] = "center"  # where a frame stands, see synthesis.istft
    polish: tuple[int, ...] = ()  # Griffin-Lim steps, for kind "istft": see synthesis.griffin_lim
    symbols: dict[str, int]  # phoneme -> token; 0 is the padding
    speed: float = 1.0  # what a speed of 1 means to this voice
    pitch: float = 0.0  # semitones, likewise
    max_tokens: int = 400  # longer sentences are spoken in parts
    max_batch: int = (
        16  # sentences that the graph may get at once; 1 where company would change the sound (see export.py)
    )
    summary: str = ""  # one line for lists
    licence: str
    sha256: str
    aoide: str

    def __post_init__(self) -> None:
        if min(self.sample_rate, self.hop, self.max_batch) < 1 or self.max_tokens < 3:
            raise ValueError("sample_rate, hop and max_batch are 1 or more, max_tokens 3 or more")
        if self.kind != "waveform" and (self.n_fft < 2 * self.hop or self.n_fft % self.hop):
            raise ValueError(f"n_fft must be a multiple of hop, twice or more, got {self.n_fft} and {self.hop}")
        if self.kind == "sourcefilter" and self.hop % 2:
            raise ValueError(f"hop must be even, got {self.hop}")
        if not self.symbols or min(self.symbols.values()) < 1 or any(len(symbol) != 1 for symbol in self.symbols):
            raise ValueError("symbols are single characters with numbers from 1 on")


def read(folder: str | os.PathLike[str]) -> Description:
    """Reads `voice.json`.

    Raises:
        UserError: no such folder, no voice in it, a file that is broken or was written by a newer Aoide.
    """
    path = Path(folder) / "voice.json"
    if not Path(folder).is_dir():
        raise UserError(f"{folder}: no such folder")
    try:
        data = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise UserError(
            f"{folder}: no voice.json in it; `aoide export RUN -o DIR` makes a folder that can speak"
        ) from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    except ValueError:  # not UTF-8, or not JSON
        raise UserError(f"{path}: broken: not JSON; export the voice again") from None
    if not isinstance(data, dict) or not isinstance(data.get("format"), int):
        raise UserError(f"{path}: not a voice of Aoide: it states no format")
    if data["format"] > FORMAT:
        written = f"format {data['format']} of Aoide {data.get('aoide', '?')}"
        raise UserError(f"{path}: {written} is newer than what this Aoide reads ({FORMAT}): get a newer Aoide")
    return build(Description, data, str(path))


def read_graph(folder: str | os.PathLike[str], description: Description) -> bytes:
    """Reads `voice.onnx` and makes sure that it is the file that `voice.json` speaks of.

    Raises:
        UserError: it is missing, cut off, or another file.
    """
    path = Path(folder) / "voice.onnx"
    try:
        graph = path.read_bytes()
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; export the voice again") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    if hashlib.sha256(graph).hexdigest() != description.sha256:
        raise UserError(
            f"{path}: not the file that voice.json describes ({len(graph)} bytes, another sha256): "
            "truncated or exchanged; install or export the voice again"
        )
    return graph


def read_card(folder: str | os.PathLike[str]) -> str:
    """The model card, Markdown.

    Raises:
        UserError: the voice has none.
    """
    path = Path(folder) / "card.md"
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        raise UserError(f"{path}: this voice has no card that can be read") from None


def write_description(folder: str | os.PathLike[str], description: Description) -> None:
    """Writes `voice.json`, aside and then renamed.

    `polish` stands there only where there are steps, so that an older Aoide reads what it can speak.
    """
    data = to_dict(description)
    if not data["polish"]:
        del data["polish"]
    with write_aside(Path(folder) / "voice.json") as aside:
        aside.write_text(json.dumps(data, ensure_ascii=False, indent=1) + "\n", "utf-8")
