"""What a clip is, and whether it is fit to train on.

A corpus file yields clips as it finds them on disk, and `Refused` for what it cannot make a clip of. `check` listens to
a clip once and adds what it measured, or refuses it and says why; the rest of the corpus goes on. `divide` cuts a long
recording of which nothing is written down into clips, at its quietest places.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from aoide.audio import io
from aoide.config import MissingExtra, UserError

SILENT = 1e-3  # a clip whose loudest sample is below this (-60 dB) holds nothing
NARROW = 16000  # Hz; below, consonants lose what tells them apart
FASTEST = 35.0  # letters a second; an auctioneer reaches 30
FASTEST_SYLLABLES = 15.0  # Chinese characters, kana, hangul a second: each is a syllable, and ten is a tongue-twister
MISFIT = 0.25  # seconds by which the phonemes' times may go beyond the sound: annotators round, coders cut
_SYLLABLES = (("\u3041", "\u30ff"), ("\u3400", "\u9fff"), ("\uac00", "\ud7a3"), ("\U00020000", "\U0003ffff"))


class Note(NamedTuple):
    """A note of a melody; rests are the gaps between them."""

    midi: float  # 69 is the A of 440 Hz
    start: float  # seconds from the beginning of the clip
    end: float
    lyric: str = ""  # the syllable that begins on it
    slur: bool = False  # it goes on with the syllable of the note before


@dataclass(frozen=True, kw_only=True, slots=True)
class Clip:
    """A stretch of sound and what is known of it.

    The first group is what every corpus says, the second what singing needs, the third what `check` measured: a corpus
    leaves it alone. "What a manifest holds" in docs/corpora.md explains the fields.
    """

    id: str  # unique in its corpus, the same on every machine: it decides who is held out
    audio: Path
    text: str | None = None  # what is said or sung, as written; or a caption
    caption: bool = False  # the text describes the sound, nobody says it
    speaker: str = ""  # who speaks or sings
    language: str = ""  # a code such as en, or en-gb; empty where nobody speaks
    phonemes: str | None = None  # what is said, in the alphabet of aoide.text, or in that of `phoneme_set`
    durations: tuple[int, ...] | None = None  # frames of each token: of the phonemes, and of the pause at both ends
    frame_rate: float | None = None  # frames per second of the durations and arrays
    arrays: Mapping[str, Path] = field(default_factory=dict)  # name -> .npy with one row per frame
    start: int = 0  # sample of the file at which the clip begins
    span: tuple[float, float] | None = None  # seconds of the file that are the clip; `check` makes samples of them
    divisible: bool = False  # may be cut anywhere, if it is too long: nothing in it is written down

    phoneme_set: str = ""  # not empty: the corpus' own symbols, with a space between each two
    phoneme_seconds: tuple[float, ...] | None = None  # how long each of them lasts
    notes: tuple[Note, ...] | None = None
    gender: str = ""  # female, male
    style: str = ""  # speech, singing, amateur ...
    technique: str = ""  # belt, breathy, vibrato ...
    song: str = ""
    more: Mapping[str, Any] = field(default_factory=dict)  # what only this corpus knows, such as dnsmos; fit for JSON

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
        if limits.text and not (clip.text or clip.phonemes or "").strip():
            return refuse(clip, "no text")
        info = io.probe(clip.audio)
        if info.samples == 0:
            return refuse(clip, "no samples")
        start, samples = _stretch(clip, info)
        if samples > limits.max_seconds * info.sample_rate:
            return refuse(clip, f"{samples / info.sample_rate:.1f} s is longer than {limits.max_seconds:g} s")
        sound = io.read(clip.audio, start, samples)
    except (UserError, MissingExtra) as error:
        return refuse(clip, str(error).removeprefix(f"{clip.audio}: "))
    measured = replace(
        clip,
        start=start,
        span=None,
        samples=len(sound.samples),
        sample_rate=sound.sample_rate,
        channels=sound.channels,
        content=fingerprint(sound.samples, sound.sample_rate),
    )
    whole = info.complete and samples <= len(sound.samples)
    reason = "" if whole else "broken sound file: it ends too early"
    reason = reason or _unfit_sound(sound.samples) or _unfit_length(measured, limits)
    reason = reason or _unfit_arrays(measured) or _unfit_phonemes(measured)
    return refuse(clip, reason) if reason else (measured, _notes(info))


def refuse(clip: Clip, reason: str) -> Refused:
    return Refused(id=clip.id, path=clip.audio, reason=reason)


def fingerprint(samples: np.ndarray, sample_rate: int) -> str:
    """A hash of a sound, 32 hexadecimal digits."""
    digest = hashlib.blake2b(np.ascontiguousarray(samples, np.float32).tobytes(), digest_size=16)
    digest.update(f"{samples.shape} {sample_rate}".encode())
    return digest.hexdigest()


def divide(clip: Clip, limits: Limits) -> list[Clip]:
    """A long recording as clips of at most `limits.max_seconds`, cut at the quietest place of each one's second half.

    Silence at the beginning of a clip is left out. What is short enough, or cannot be read, comes back as it is.
    """
    try:
        info = io.probe(clip.audio)
        if info.seconds <= limits.max_seconds:
            return [clip]
        step = max(1, info.sample_rate // 50)
        levels = np.concatenate([_levels(block, step) for block in io.blocks(clip.audio, info.sample_rate)])
    except (UserError, MissingExtra):
        return [clip]
    smooth = np.convolve(levels, np.full(11, 1 / 11), "same")  # 0.22 s: a rest, not the zero of a wave
    longest, seconds = int(limits.max_seconds * info.sample_rate / step), step / info.sample_rate
    cuts, at = [], 0
    while at < len(smooth):
        loud = np.flatnonzero(smooth[at:] > SILENT)
        if not len(loud):
            break
        at += max(0, int(loud[0]) - 5)
        end = len(smooth)
        if end - at > longest:
            end = at + longest // 2 + int(np.argmin(smooth[at + longest // 2 : at + longest])) + 1
        cuts.append((at * seconds, min(end * seconds, info.seconds)))
        at = end
    return [replace(clip, id=f"{clip.id}-{i:03}", span=span) for i, span in enumerate(cuts, 1)]


def _levels(samples: np.ndarray, step: int) -> np.ndarray:
    """(samples,) to (samples // step,): the loudest sample of each step."""
    return np.abs(samples[: len(samples) // step * step].reshape(-1, step)).max(axis=1)


def _stretch(clip: Clip, info: io.Info) -> tuple[int, int]:
    """Where in its file a clip begins, and how many samples it has."""
    if clip.span is None:
        return clip.start, clip.samples or info.samples - clip.start
    begin, end = (round(second * info.sample_rate) for second in clip.span)
    begin = max(0, begin)
    if info.samples < end <= info.samples + MISFIT * info.sample_rate:
        end = info.samples
    return begin, max(0, end - begin)


def _unfit_sound(samples: np.ndarray) -> str:
    if not np.isfinite(samples).all():
        return "holds samples that are no numbers"
    return "silent" if len(samples) and float(np.abs(samples).max()) < SILENT else ""


def _unfit_length(clip: Clip, limits: Limits) -> str:
    if clip.seconds < limits.min_seconds:
        return f"{clip.seconds:.2f} s is shorter than {limits.min_seconds:g} s"
    text = clip.text or ""
    letters = sum(c.isalnum() for c in text)
    syllables = sum(any(first <= c <= last for first, last in _SYLLABLES) for c in text)
    least = syllables / FASTEST_SYLLABLES + max(0, letters - syllables) / FASTEST
    if least > clip.seconds and not clip.caption:
        return f"its text has {letters} letters for {clip.seconds:.1f} s: more than one can say"
    return ""


def _unfit_phonemes(clip: Clip) -> str:
    """Whether there is a time for each phoneme, and the times and notes lie within the sound."""
    if clip.phoneme_seconds is not None:
        symbols = len((clip.phonemes or "").split())
        if symbols != len(clip.phoneme_seconds):
            return f"has {symbols} phonemes, and times for {len(clip.phoneme_seconds)}"
        if min(clip.phoneme_seconds, default=0.0) < 0:
            return "a phoneme lasts less than no time"
    last = max(sum(clip.phoneme_seconds or ()), max((note.end for note in clip.notes or ()), default=0.0))
    if last > clip.seconds + MISFIT:
        return f"its phonemes or notes end at {last:.1f} s, the sound at {clip.seconds:.1f} s"
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
