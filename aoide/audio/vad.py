"""Where somebody speaks: voice activity frame by frame, stretches of speech, and places to cut a long sound.

    regions(track(blocks, detector()))             [(1.06, 4.35), (6.21, 9.60)]     seconds in which somebody speaks
    slices(sound, 20.0)                            [(0, 438272), (438272, 902144)]  samples; cut where nobody does

Two detectors, both streaming, both without torch:

    silero   Silero VAD 6 (Silero Team 2024, https://github.com/snakers4/silero-vad, MIT), a small recurrent network by
             onnxruntime. Its weights come in the package silero-vad; a minute takes about 0.2 s on one core.
    energy   louder than the noise floor of the last seconds. It takes music, steps and engines for speech, so it is for
             cutting at pauses, not for finding speech in the wild.

A track has one frame each 32 ms. An hour is 112,500 frames, 0.9 MB: a file of hours is no burden.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from aoide.audio.sound import Sound
from aoide.config import MissingExtra, UserError, near

RATE = 16000  # Hz that a detector hears
HOP = 512  # samples of a frame
FRAME = HOP / RATE  # seconds
DETECTORS = ("silero", "energy")

_CONTEXT = 64  # samples before its frame that Silero hears again
_STATE = 128  # numbers that each half of its state has
_GRAPH = "data/silero_vad_16k_sequence.onnx"  # many frames in one call, where the other graphs take one
_MOST = 512  # frames of one call
_FLOOR = (-75.0, -35.0)  # dB below full scale between which the noise floor is sought
_RISE = 0.05  # dB per frame, 1.6 dB per second, by which the floor follows noise that grows
_MARGIN = 12.0  # dB above the floor at which `energy` is undecided: probability a half
_SLOPE = 2.5  # dB for which its odds grow by e
_SILENCE = 1e-5  # root mean square of a frame that holds nothing, -100 dB


class Detector(Protocol):
    """Tells frame by frame how probable it is that somebody speaks."""

    name: str

    def listen(self, blocks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """Probabilities (frames,) of a stream (samples,) at 16 kHz; the last frame may be filled up with silence."""
        ...


class Track(NamedTuple):
    """A sound as a detector heard it."""

    speech: np.ndarray  # (frames,) float32, probability of speech
    level: np.ndarray  # (frames,) float32, root mean square in dB below full scale
    seconds: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """What counts as a stretch of speech; the values of Silero's own example, with longer pauses."""

    onset: float = 0.5  # probability at which speech begins
    offset: float = 0.35  # and below which it may end
    min_speech: float = 0.25  # seconds; shorter is a click or a cough
    min_silence: float = 0.2  # seconds; shorter is a plosive

    def __post_init__(self) -> None:
        if not 0.0 < self.offset <= self.onset < 1.0:
            raise ValueError(f"offset {self.offset} must be above 0 and at most onset {self.onset}, which is below 1")
        if self.min_speech < 0 or self.min_silence < 0:
            raise ValueError("min_speech and min_silence must be at least 0")


# ------------------------------------------------------------------------------------------------------------ detectors


class Silero:
    """Silero VAD.

    Args:
        path: its graph for sequences (silero_vad_16k_sequence.onnx); None: that of the installed package.

    Raises:
        MissingExtra: the package silero-vad is not installed.
        UserError: no such file, a package too old to have it, or another graph.
    """

    name = "silero"

    def __init__(self, path: str | os.PathLike[str] | None = None) -> None:
        self._network = _session(Path(path) if path is not None else _packaged())

    def listen(self, blocks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """See `Detector`. Every call is a stream of its own."""
        state = [np.zeros((1, 1, _STATE), np.float32) for _ in range(2)]
        context = np.zeros(_CONTEXT, np.float32)
        for piece in _whole_frames(blocks):
            heard = np.concatenate([context, piece])
            context = heard[-_CONTEXT:]
            windows = np.lib.stride_tricks.sliding_window_view(heard, _CONTEXT + HOP)[::HOP]
            feed = {"input": np.ascontiguousarray(windows), "h": state[0], "c": state[1]}
            speech, *state = self._network.run(None, feed)
            yield speech.reshape(-1)


class Energy:
    """Louder than the noise floor: a fallback that needs no weights and does not know what speech is."""

    name = "energy"

    def listen(self, blocks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """See `Detector`. The floor falls with the level at once and rises slowly, so that speech is not taken in."""
        floor = _FLOOR[1]
        for piece in _whole_frames(blocks):
            level = _levels(piece)
            rise = _RISE * np.arange(1, len(level) + 1)
            lowest = np.minimum.accumulate(np.maximum(level, _FLOOR[0]) - rise)
            floors = np.minimum(np.minimum(lowest, floor) + rise, _FLOOR[1])
            floor = float(floors[-1])
            yield (1.0 / (1.0 + np.exp((_MARGIN + floors - level) / _SLOPE))).astype(np.float32)


def detector(name: str | None = None) -> Detector:
    """A detector by name; None: silero where its package is installed, else energy.

    Raises:
        UserError: neither of the two.
        MissingExtra: silero, and its package is not installed.
    """
    if name is None:
        name = "silero" if importlib.util.find_spec("silero_vad") else "energy"
    if name not in DETECTORS:
        raise UserError(f"no voice activity detector {name!r};{near(name, DETECTORS)} there are {', '.join(DETECTORS)}")
    return Silero() if name == "silero" else Energy()


def _packaged() -> Path:
    found = importlib.util.find_spec("silero_vad")  # found and not imported: its import asks for torch
    if found is None or not found.submodule_search_locations:
        raise MissingExtra("silero-vad", "data")
    return Path(next(iter(found.submodule_search_locations))) / _GRAPH


def _session(path: Path) -> Any:
    import onnxruntime

    if not path.is_file():
        raise UserError(f"{path}: no such file; silero-vad 6.2.3 and newer carry it")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1  # a frame is too little work to share
    options.log_severity_level = 3
    try:
        network = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime has a class of its own for each way in which bytes are no graph
        raise UserError(f"{path}: not an ONNX graph: {str(error).splitlines()[0][:120]}") from None
    if [entry.name for entry in network.get_inputs()] != ["input", "h", "c"]:
        raise UserError(f"{path}: not Silero's graph for sequences, {Path(_GRAPH).name}")
    return network


def _whole_frames(blocks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """A stream cut anew into pieces of 1 to _MOST whole frames; the last one is filled up with zeros."""
    rest = np.zeros(0, np.float32)
    for block in blocks:
        rest = np.concatenate([rest, np.asarray(block, np.float32)])
        while len(rest) >= HOP:
            size = min(len(rest) // HOP, _MOST) * HOP
            yield rest[:size]
            rest = rest[size:]
    if len(rest):
        yield np.pad(rest, (0, HOP - len(rest)))


def _levels(samples: np.ndarray) -> np.ndarray:
    power = np.mean(np.square(samples.reshape(-1, HOP), dtype=np.float64), axis=1)
    return 10.0 * np.log10(np.maximum(power, _SILENCE**2))


# -------------------------------------------------------------------------------------------------- stretches of speech


def track(blocks: Iterable[np.ndarray], detector: Detector) -> Track:
    """Listens to a stream once.

    Args:
        blocks: (samples,) at 16 kHz, in pieces of any length, as `aoide.audio.io.blocks(path, 16000)` gives them.
    """
    levels: list[np.ndarray] = []
    samples = 0

    def counted() -> Iterator[np.ndarray]:
        nonlocal samples
        for block in blocks:
            samples += len(block)
            yield block

    def measured() -> Iterator[np.ndarray]:
        for piece in _whole_frames(counted()):
            levels.append(_levels(piece).astype(np.float32))
            yield piece

    speech = list(detector.listen(measured()))
    none = [np.zeros(0, np.float32)]
    return Track(np.concatenate(none + speech), np.concatenate(none + levels), samples / RATE)


def regions(heard: Track, settings: Settings | None = None) -> list[tuple[float, float]]:
    """Stretches of speech, (start, end) in seconds, in order and apart.

    Speech begins with the first frame at `onset` or above and ends where `min_silence` seconds stay below `offset`.
    """
    settings = settings or Settings()
    found: list[tuple[float, float]] = []
    begin, last = -1, -1  # frame at which speech began, and the last one that was not below the offset
    needed = max(1, round(settings.min_silence / FRAME))
    frames = len(heard.speech)
    for frame in np.flatnonzero(heard.speech >= settings.offset).tolist() + [frames + needed]:
        if begin >= 0 and frame - last > needed:
            end = min((last + 1) * FRAME, heard.seconds)
            if end - begin * FRAME >= settings.min_speech:
                found.append((begin * FRAME, end))
            begin = -1
        if begin < 0 and frame < frames and heard.speech[frame] >= settings.onset:
            begin = frame
        last = frame
    return found


def speech(sound: Sound, by: Detector | None = None, settings: Settings | None = None) -> list[tuple[int, int]]:
    """Stretches of speech in a sound, (start, end) in samples of it."""
    heard = _track_of(sound, by)
    size = len(sound.samples)
    return [
        (round(start * sound.sample_rate), min(size, round(end * sound.sample_rate)))
        for start, end in regions(heard, settings)
    ]


# ------------------------------------------------------------------------------------------------------- places to cut


def slices(sound: Sound, max_seconds: float, by: Detector | None = None) -> list[tuple[int, int]]:
    """Cuts a long sound at its pauses.

    Args:
        max_seconds: no slice is longer.
        by: the detector; None: as `detector` chooses.

    Returns:
        (start, end) in samples of `sound`; together they are the whole of it, and each that had to be cut is at least
        half as long as it may be. Where nobody pauses it is cut at the quietest frame.

    Raises:
        UserError: max_seconds below a tenth of a second.
    """
    if not max_seconds >= 0.1:
        raise UserError(f"max_seconds {max_seconds:g}: slices must be allowed to be 0.1 s long or longer")
    size = len(sound.samples)
    if sound.seconds <= max_seconds:
        return [(0, size)] if size else []
    longest = max_seconds - 1 / sound.sample_rate  # the places are rounded
    places = cuts(_track_of(sound, by), 0.0, sound.seconds, longest)
    edges = [0, *(round(second * sound.sample_rate) for second in places), size]
    return list(zip(edges, edges[1:], strict=False))


def cuts(heard: Track, start: float, end: float, max_seconds: float) -> list[float]:
    """Seconds at which the stretch from `start` to `end` is to be cut, so that no part is longer than `max_seconds`.

    Each cut lies in the second half of what a part may be: in the middle of the longest pause there, else at the
    quietest frame.
    """
    places: list[float] = []
    while end - start > max_seconds:
        first, last = start + max_seconds / 2, start + max_seconds
        if end - last < max_seconds / 4:  # leave no crumb behind: the last cut halves what is left
            last = min(last, end - max_seconds / 4)
        start = _quietest(heard, first, last)
        places.append(start)
    return places


def _quietest(heard: Track, first: float, last: float) -> float:
    """The best second for a cut between two."""
    begin = int(np.ceil(first / FRAME))
    end = max(begin + 1, int(last / FRAME))
    speech, level = heard.speech[begin:end], heard.level[begin:end]
    if len(speech) == 0:  # less than a frame to choose from
        return last
    pauses = _runs(speech < Settings().offset)
    if pauses:
        # of pauses alike the later one, so that there are fewer parts
        begin_pause, end_pause = max(pauses, key=lambda run: (run[1] - run[0], run[0]))
        return min(last, (begin + (begin_pause + end_pause) / 2) * FRAME)
    smooth = np.convolve(np.pad(level, 1, mode="edge"), np.ones(3) / 3, mode="valid")
    return min(last, (begin + int(np.argmin(smooth)) + 0.5) * FRAME)


def _runs(mask: np.ndarray) -> Sequence[tuple[int, int]]:
    """(first, behind the last) of each run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(np.int8)))
    return [(int(a), int(b)) for a, b in edges.reshape(-1, 2)]


def _track_of(sound: Sound, by: Detector | None) -> Track:
    heard = sound.mono().resample(RATE).samples
    return track((heard[i : i + 10 * RATE] for i in range(0, len(heard), 10 * RATE)), by or detector())
