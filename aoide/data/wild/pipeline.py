"""All stages for one recording, kept on disk: what is finished is never done again, what is half done is done anew.

    OUT/recordings/ID.json             what was found in a recording, written last
    OUT/audio/ID/START-END.flac        its clips, 24 kHz, 16 bit; START and END in milliseconds of the recording
    OUT/.wild-*.f32                    the recording that is at work, removed afterwards

ID is the path of the recording below ROOT, with its ending. A record holds the measures of all clips, also of those
that are refused, so that other limits (`judge`) cost nothing; another model or cut, or a changed file, make it void.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from aoide.audio import io, vad
from aoide.audio.resample import Resampler
from aoide.audio.sound import Sound
from aoide.config import UserError, to_dict, write_aside
from aoide.data.wild import RATE, Plugs, Span, Unfit, cut, diarise, judge, separate, standardise, transcribe
from aoide.data.wild.judge import Piece
from aoide.data.wild.standardise import Recording

_VERSION = 1  # of the records: raise it when a stage does something else


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """All settings of `aoide prepare wild`, as its --recipe writes them."""

    standardise: standardise.Config = field(default_factory=standardise.Config)
    separate: separate.Config | None = None  # None: music stays
    detector: Literal["silero", "energy"] = "silero"
    diarise: diarise.Config | None = None  # None: one speaker in each recording
    cut: cut.Config = field(default_factory=cut.Config)
    transcribe: transcribe.Config = field(default_factory=transcribe.Config)
    score: Literal["dnsmos"] | None = "dnsmos"
    judge: judge.Config = field(default_factory=judge.Config)


def plugs(config: Config, threads: int = 1) -> Plugs:
    """The plugs that a configuration asks for, loaded.

    Raises:
        UserError, MissingExtra: weights that are not there, a package that is not installed.
    """
    from aoide.data.wild.score import DNSMOS

    return Plugs(
        detector=vad.detector(config.detector),
        separator=None if config.separate is None else separate.Network(config.separate, threads),
        diariser=None if config.diarise is None else diarise.Voices(config.diarise),
        transcriber=transcribe.Whisper(config.transcribe, threads),
        scorer=DNSMOS() if config.score else None,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Record:
    """What was found in one recording."""

    key: str
    seconds: float = 0.0  # of the recording
    speech: float = 0.0  # seconds of it in which somebody speaks
    gain: float = 0.0  # dB
    refused: str = ""  # why no clip can be made of it; empty: some can
    pieces: tuple[Piece, ...] = ()

    @staticmethod
    def read(path: Path) -> Record | None:
        """The record in a file; None where there is none that is whole."""
        try:
            found = json.loads(path.read_text("utf-8"))
            return Record(**found | {"pieces": tuple(Piece(**piece) for piece in found["pieces"])})
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def write(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        with write_aside(path) as aside:
            aside.write_text(json.dumps(asdict(self), ensure_ascii=False, indent=1), "utf-8")


def key(path: Path, config: Config) -> str:
    """A hash of all that a record follows from: the file's size and time, and the settings but for the limits."""
    settings = {name: value for name, value in to_dict(config).items() if name != "judge"}
    for name in ("batch", "device"):  # these change how fast it goes, and no more
        del settings["transcribe"][name]
    status = path.stat()
    told = json.dumps([_VERSION, status.st_size, status.st_mtime_ns, settings], sort_keys=True)
    return hashlib.blake2b(told.encode(), digest_size=16).hexdigest()


def place_of(out: Path, name: str) -> Path:
    """The record of the recording `name`."""
    return out / "recordings" / f"{name}.json"


def process(
    path: Path, name: str, out: Path, config: Config, plugs: Plugs, told: Callable[[float], None] = lambda _: None
) -> Record:
    """Makes the clips of one recording and its record, which are written below `out`.

    Args:
        name: the recording's ID.
        told: is called with the share of the work that is done, 0 to 1, as it grows.

    Raises:
        UserError: the disk is full, or what a plug cannot do.
    """
    record = Record(key=key(path, config))
    out.mkdir(parents=True, exist_ok=True)
    folder = out / "audio" / name
    shutil.rmtree(folder, ignore_errors=True)  # what an unfinished run left, or other settings
    scratch = out / f".wild-{hashlib.blake2b(name.encode(), digest_size=6).hexdigest()}"
    try:
        with ExitStack() as stack:
            sound = stack.enter_context(standardise.standardised(path, scratch.with_suffix(".f32"), config.standardise))
            gain = 20.0 * float(np.log10(sound.gain))
            told(0.05)
            if plugs.separator is not None:
                voice = plugs.separator.voice(sound.blocks())
                sound = stack.enter_context(standardise.derived(voice, scratch.with_suffix(".voice.f32")))
            spans, speech, clips = _cut(sound, config, plugs)
            told(0.1)
            pieces = []
            for piece in _measured(sound, clips, name, out, config, plugs):
                pieces.append(piece)
                told(0.1 + 0.9 * len(pieces) / len(clips))
            refused = "" if spans else "nobody speaks in it"
            record = Record(
                key=record.key, seconds=sound.seconds, speech=speech, gain=gain, refused=refused, pieces=tuple(pieces)
            )
    except Unfit as error:
        record = Record(key=record.key, refused=str(error))
    record.write(place_of(out, name))
    return record


def _cut(sound: Recording, config: Config, plugs: Plugs) -> tuple[list[Span], float, list[Span]]:
    """(stretches of speech, their seconds, clips)"""
    heard = vad.track(_resampled(sound.blocks(), vad.RATE), plugs.detector)
    spans = cut.spoken(heard, sound.samples)
    turns = spans if plugs.diariser is None else plugs.diariser.turns(sound, spans)
    return spans, sum(span.seconds for span in spans), cut.clips(turns, heard, sound.samples, config.cut)


def _measured(
    sound: Recording, clips: Sequence[Span], name: str, out: Path, config: Config, plugs: Plugs
) -> Iterator[Piece]:
    """Listens to the clips, so many at a time as the transcriber takes, and stores those in which words were heard."""
    settings = config.transcribe
    for first in range(0, len(clips), settings.batch):
        batch = clips[first : first + settings.batch]
        long = [span for span in batch if span.seconds >= config.cut.shortest]
        sounds = {span: sound.read(span.start, span.end) for span in long}
        found = plugs.transcriber.listen(list(sounds.values()), RATE, settings.language) if sounds else []
        heard = dict(zip(sounds, found, strict=True))
        for span in batch:
            start, end = (round(place / RATE, 3) for place in span[:2])
            speaker = f"{name}#{span.speaker}" if span.speaker else name
            if span not in heard:
                yield Piece(start=start, end=end, speaker=speaker)
                continue
            said = heard[span]
            audio = f"audio/{name}/{id_of(start, end)}.flac"
            worded = any(c.isalnum() for c in said.text)
            if worded:
                (out / audio).parent.mkdir(parents=True, exist_ok=True)
                io.write(out / audio, Sound(sounds[span], RATE))
            yield Piece(
                start=start,
                end=end,
                speaker=speaker,
                audio=audio,
                text=said.text,
                language=said.language,
                confidence=round(said.confidence, 4),
                log_probability=round(said.log_probability, 4),
                dnsmos=round(plugs.scorer.rate(sounds[span], RATE), 3) if plugs.scorer and worded else None,
            )


def id_of(start: float, end: float) -> str:
    """The name of a clip in its recording: its seconds as milliseconds, so that names sort as clips follow."""
    return f"{round(start * 1000):09d}-{round(end * 1000):09d}"


def _resampled(blocks: Iterator[np.ndarray], rate: int) -> Iterator[np.ndarray]:
    resampler = Resampler(RATE, rate)
    for block in blocks:
        yield resampler.push(block)
    yield resampler.finish()


# ----------------------------------------------------------------------------------------------------------- in numbers


def totals(records: Sequence[Record], verdicts: Sequence[Sequence[judge.Verdict | None]]) -> dict[str, Any]:
    """Hours of the recordings, of speech, kept and refused by rule, and kept by language."""
    kept: dict[str, dict[str, float]] = {}
    refused: dict[str, dict[str, float]] = {}
    for record, judged in zip(records, verdicts, strict=True):
        for piece, verdict in zip(record.pieces, judged, strict=True):
            group = kept if verdict is None else refused
            sums = group.setdefault(piece.language if verdict is None else verdict.rule, {"clips": 0, "hours": 0.0})
            sums["clips"] += 1
            sums["hours"] += piece.seconds / 3600
    return {
        "recordings": len(records),
        "recordings_refused": sum(bool(record.refused) for record in records),
        "hours": sum(record.seconds for record in records) / 3600,
        "hours_of_speech": sum(record.speech for record in records) / 3600,
        "kept": dict(sorted(kept.items())),
        "refused": dict(sorted(refused.items())),
    }


def write_totals(out: Path, found: dict[str, Any]) -> None:
    """Writes OUT/wild.json."""
    try:
        with write_aside(out / "wild.json") as aside:
            aside.write_text(json.dumps(found, indent=1), "utf-8")
    except OSError as error:
        raise UserError(f"{out / 'wild.json'}: cannot be written: {os.strerror(error.errno or 0)}") from None
