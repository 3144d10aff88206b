"""MIDI files with all their parts: tracks of notes with instruments, for what is played and not sung.

    data = write({"Guitar": [Event(0, 480, 60, 90, 24)]}, score)        # tempo and metre of a Score
    events, score = read(path)                                         # all notes, and a Score without notes
    notes = timed(events, score)                                       # in seconds, to be rendered

`Score` itself (midi.py) is one voice with lyrics.
"""

from __future__ import annotations

import struct
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from aoide.audio.sampler import Note
from aoide.config import UserError
from aoide.score import midi
from aoide.score.score import Score

DRUMS = 9  # the channel of drums
_CHANNELS = [*range(DRUMS), *range(DRUMS + 1, 16)]


class Event(NamedTuple):
    """A note of a part, in ticks; otherwise as `aoide.audio.sampler.Note`."""

    start: int
    length: int
    pitch: int
    velocity: int = 90
    program: int = 0
    drums: bool = False

    @property
    def end(self) -> int:
        return self.start + self.length


def timed(events: Sequence[Event], score: Score) -> list[Note]:
    """The notes in seconds, by the tempo map of a score."""
    found = []
    for e in events:
        start, end = score.seconds(e.start), score.seconds(e.end)
        found.append(Note(start, max(end - start, 1e-3), e.pitch, e.velocity, e.program, e.drums))
    return found


def write(parts: Mapping[str, Sequence[Event]], score: Score) -> bytes:
    """A MIDI file of format 1: tempo and metre, then a track for each part, named by its key.

    Raises:
        UserError: more than 15 parts with instruments, or a metre that MIDI does not have.
    """
    channels = iter(_CHANNELS)
    bodies = [midi.conductor(score, "a song")]
    for name, events in parts.items():
        channel = DRUMS if any(event.drums for event in events) else next(channels, -1)
        if channel < 0:
            raise UserError(f"{len(parts)} parts are too many for a MIDI file; 15 and drums are the most")
        track: list[tuple[int, int, bytes]] = [(0, 0, midi.meta_event(midi.NAME, name.encode()))]
        program = -1
        for event in sorted(events):
            if event.program != program:
                program = event.program
                track.append((event.start, 2, bytes((0xC0 | channel, program))))
            track.append((event.start, 3, bytes((0x90 | channel, event.pitch, event.velocity))))
            track.append((event.end, 1, bytes((0x80 | channel, event.pitch, 0))))
        bodies.append(track)
    head = struct.pack(">4sIHHH", b"MThd", 6, 1, len(bodies), score.resolution)
    return head + b"".join(midi.chunk(track) for track in bodies)


def read(path: Path) -> tuple[list[Event], Score]:
    """All notes of a MIDI file, and its tempo and metre as a score without notes.

    Raises:
        UserError: no such file, not a MIDI file, or a damaged one.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    where = str(path)
    _, division, chunks = midi.chunks(data, where)
    if division & 0x8000 or division == 0:
        raise UserError(f"{where}: its time is counted in film frames, not in beats; save it with ticks per quarter")
    found: list[Event] = []
    for number, chunk in enumerate(chunks, 1):
        found += _notes(chunk, f"{where}: track {number}")
    tempos, meters = midi.maps(chunks, where)
    return sorted(found), Score(resolution=division, tempos=tempos, meters=meters)


def _notes(data: bytes, where: str) -> list[Event]:
    """The notes of a track with their instruments."""
    programs: dict[int, int] = defaultdict(int)
    sounding: dict[tuple[int, int], list[tuple[int, int, int]]] = defaultdict(list)
    found: list[Event] = []
    tick = 0
    try:
        for tick, status, body in midi.events(data, where):
            channel = status & 0x0F
            if status == 0xFF:
                continue
            if status & 0xF0 == 0xC0:
                programs[channel] = body[0]
            elif status & 0xF0 == 0x90 and body[1]:
                sounding[channel, body[0]].append((tick, body[1], programs[channel]))
            elif sounding[channel, body[0]]:
                start, velocity, program = sounding[channel, body[0]].pop(0)
                if tick > start:
                    found.append(Event(start, tick - start, body[0], velocity, program, channel == DRUMS))
    except IndexError:
        raise UserError(f"{where}: damaged: it ends in the middle of an event") from None
    for (channel, pitch), starts in sounding.items():
        found += [Event(s, tick - s, pitch, v, p, channel == DRUMS) for s, v, p in starts if tick > s]
    return found
