"""What a clip is, and whether it is fit to train on.

A corpus file yields clips as it finds them on disk, and `Refused` for what it cannot make a clip of. `check` listens to
a clip once and adds what it measured, or refuses it and says why; the rest of the corpus goes on.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from aoide.audio import io
from aoide.config import MissingExtra, UserError

SILENT = 1e-3  # a clip whose loudest sample is below this (-60 dB) holds nothing
NARROW = 16000  # Hz; below, consonants lose what tells them apart
FASTEST = 50.0  # letters a second; an auctioneer reaches 30


@dataclass(frozen=True, kw_only=True, slots=True)
class Clip:
    """A stretch of sound and what is known of it.

    The second group is what `check` measured; a corpus leaves it alone.
    """

    id: str  # unique in its corpus, the same on every machine: it decides who is held out
    audio: Path
    text: str | None = None  # what is said, as written
    speaker: str = ""
    language: str = ""  # a code such as en, or en-gb
    phonemes: str | None = None  # what is said, in the alphabet of aoide.text
    durations: tuple[int, ...] | None = None  # frames of each token: of the phonemes, and of the pause at both ends
    frame_rate: float | None = None  # frames per second of the durations and arrays
    arrays: Mapping[str, Path] = field(default_factory=dict)  # name -> .npy with one row per frame
    start: int = 0  # sample of the file at which the clip begins

    samples: int = 0  # per channel
    sample_rate: int = 0  # Hz
    channels: int = 1
    content: str = ""  # a hash of the samples: two clips with the same sound have the same, whatever their files

    @property
    def seconds(self) -> float:
        return self.samples / self.sample_rate if self.sample_rate else 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Refused:
    """Something in a corpus that is not fit to train on."""

    id: str
    path: Path
    reason: str  # in a few words: "silent", "no text"


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """What a clip must be to be taken."""

    min_seconds: float = 0.2
    max_seconds: float = 30.0
    text: bool = True  # False takes clips without text, for vocoders and codecs

    def __post_init__(self) -> None:
        if not 0 <= self.min_seconds < self.max_seconds:
            raise ValueError(
                f"min_seconds {self.min_seconds} must be at least 0 and below max_seconds {self.max_seconds}"
            )


def check(clip: Clip, limits: Limits) -> tuple[Clip, tuple[str, ...]] | Refused:
    """Listens to a clip.

    Returns:
        The clip with what was measured, and notes on what is unusual but usable ("stereo: ..."); or the refusal.
    """
    try:
        if limits.text and not (clip.text or "").strip():
            return refuse(clip, "no text")
        info = io.probe(clip.audio)
        if info.samples == 0:
            return refuse(clip, "no samples")
        if info.seconds > limits.max_seconds:
            return refuse(clip, f"{info.seconds:.1f} s is longer than {limits.max_seconds:g} s")
        sound = io.read(clip.audio, clip.start, clip.samples or None)
    except (UserError, MissingExtra) as error:
        return refuse(clip, str(error).removeprefix(f"{clip.audio}: "))
    measured = replace(
        clip,
        samples=len(sound.samples),
        sample_rate=sound.sample_rate,
        channels=sound.channels,
        content=fingerprint(sound.samples, sound.sample_rate),
    )
    whole = info.complete and (clip.samples or info.samples) <= len(sound.samples)
    reason = "" if whole else "broken sound file: it ends too early"
    reason = reason or _unfit_sound(sound.samples) or _unfit_length(measured, limits) or _unfit_arrays(measured)
    return refuse(clip, reason) if reason else (measured, _notes(info))


def refuse(clip: Clip, reason: str) -> Refused:
    return Refused(id=clip.id, path=clip.audio, reason=reason)


def fingerprint(samples: np.ndarray, sample_rate: int) -> str:
    """A hash of a sound, 32 hexadecimal digits."""
    digest = hashlib.blake2b(np.ascontiguousarray(samples, np.float32).tobytes(), digest_size=16)
    digest.update(f"{samples.shape} {sample_rate}".encode())
    return digest.hexdigest()


def _unfit_sound(samples: np.ndarray) -> str:
    if not np.isfinite(samples).all():
        return "holds samples that are no numbers"
    return "silent" if len(samples) and float(np.abs(samples).max()) < SILENT else ""


def _unfit_length(clip: Clip, limits: Limits) -> str:
    if clip.seconds < limits.min_seconds:
        return f"{clip.seconds:.2f} s is shorter than {limits.min_seconds:g} s"
    letters = sum(c.isalnum() for c in clip.text or "")
    if letters > FASTEST * clip.seconds:
        return f"its text has {letters} letters for {clip.seconds:.1f} s: more than one can say"
    return ""


def _unfit_arrays(clip: Clip) -> str:
    """Whether durations and arrays cover the sound: they may differ by two frames, since not everybody rounds alike."""
    if not clip.arrays and clip.durations is None:
        return ""
    if clip.frame_rate is None:
        return "has durations or arrays, but no frame rate"
    frames = clip.seconds * clip.frame_rate
    lengths = {} if clip.durations is None else {"durations": sum(clip.durations)}
    for name, path in clip.arrays.items():
        try:
            lengths[name] = len(np.load(path, mmap_mode="r"))
        except (OSError, ValueError) as error:
            return f"{path} cannot be read: {error}"
    wrong = [f"{name} have {length} frames" for name, length in lengths.items() if abs(length - frames) > 2]
    return f"{', '.join(wrong)}, the sound has {frames:.1f}" if wrong else ""


def _notes(info: io.Info) -> tuple[str, ...]:
    notes = []
    if info.channels > 1:
        notes.append(f"{info.channels} channels: will be mixed to one")
    if info.sample_rate < NARROW:
        notes.append(f"{info.sample_rate} Hz: dull, nothing above {info.sample_rate // 2} Hz")
    if info.encoding in ("PCM_U8", "PCM_S8", "ULAW", "ALAW"):
        notes.append(f"{info.encoding}: 8 bits, noisy")
    if info.encoding in ("PCM_24", "PCM_32", "FLOAT", "DOUBLE"):
        notes.append(f"{info.encoding}: read at full width")
    return tuple(notes)
