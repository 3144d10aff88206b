"""MIDI files (.mid, .kar), formats 0 and 1, with lyrics in meta events <-> Score.

One track is sung: the first with lyrics, else the first with notes (of format 0, the channel that has them). A lyric
belongs to the note that begins with it. `Twin-` goes on with the next syllable; files that put blanks between words
instead (karaoke) are understood, too. `-` alone holds the vowel before it. Other notes without a lyric stay without.
"""

from __future__ import annotations

import struct
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from aoide.config import UserError
from aoide.score.formats import choose
from aoide.score.score import HOLDS, NEXT, Meter, Note, Score, Tempo, top_notes

_LYRIC, _TEXT, NAME, _TEMPO, _METER, _END = 0x05, 0x01, 0x03, 0x51, 0x58, 0x2F
_DRUMS = 9
_NEAR = 16  # a lyric belongs to a note within a 16th of a quarter


@dataclass(slots=True)
class _Track:
    name: str = ""
    notes: dict[int, list[tuple[int, int, int]]] = field(default_factory=lambda: defaultdict(list))  # by channel
    lyrics: list[tuple[int, bytes]] = field(default_factory=list)
    texts: list[tuple[int, bytes]] = field(default_factory=list)
    tempos: list[tuple[int, float]] = field(default_factory=list)
    meters: list[tuple[int, int, int]] = field(default_factory=list)
    unfinished: int = 0


def read(data: bytes, where: str, part: str | int | None = None) -> Score:
    """Reads a MIDI file."""
    if data[:4] == b"RIFF":
        data = data[data.find(b"MThd") :]
    kind, division, bodies = chunks(data, where)
    if kind == 2:
        raise UserError(f"{where}: MIDI of format 2, songs side by side; save it as format 1")
    if division & 0x8000 or division == 0:
        raise UserError(f"{where}: its time is counted in film frames, not in beats; save it with ticks per quarter")
    tracks = [_track(body, f"{where}: track {i}") for i, body in enumerate(bodies, 1)]
    voices = _voices(tracks)
    if not voices:
        raise UserError(f"{where}: no notes in it")
    default = next((i for i, (track, _) in enumerate(voices) if track.lyrics), 0)
    chosen = choose([track.name for track, _ in voices], part, default, where, "track")
    track, channel = voices[chosen]
    lyrics = track.lyrics or [lyric for other in tracks for lyric in other.lyrics] or _karaoke(tracks)
    notes, dropped = _notes(track.notes[channel], division)
    notes, lost = _sung(notes, _split(lyrics), division)
    remarks = []
    if len(voices) > 1:
        remarks.append(f"track {chosen + 1} of {len(voices)} ({track.name}) is sung")
    if dropped:
        remarks.append(f"of chords, only the top note is sung: {dropped} left out")
    if lost:
        remarks.append(f"{len(lost)} lyrics stand at no note and are left out: {', '.join(lost[:4])}")
    if track.unfinished:
        remarks.append(f"{track.unfinished} notes never end; they end with their track")
    return Score(
        notes=tuple(notes),
        tempos=_tempos(tracks),
        meters=_meters(tracks),
        resolution=division,
        title=tracks[0].name if kind == 1 and tracks[0] is not track else "",
        remarks=tuple(remarks),
    )


# ------------------------------------------------------------------------------------------------------------ bytes


def chunks(data: bytes, where: str) -> tuple[int, int, list[bytes]]:
    """The format, the ticks a quarter and the tracks of a file."""
    if len(data) < 14 or data[:4] != b"MThd":
        raise UserError(f"{where}: not a MIDI file, or cut off")
    size, kind, count, division = struct.unpack(">IHHH", data[4:14])
    at = 8 + size
    chunks: list[bytes] = []
    while at + 8 <= len(data) and len(chunks) < count:
        name, length = data[at : at + 4], struct.unpack(">I", data[at + 4 : at + 8])[0]
        if at + 8 + length > len(data):
            raise UserError(
                f"{where}: cut off in track {len(chunks) + 1}: {length} bytes promised, {len(data) - at - 8} there"
            )
        if name == b"MTrk":
            chunks.append(data[at + 8 : at + 8 + length])
        at += 8 + length
    if not chunks or len(chunks) < count:
        raise UserError(f"{where}: cut off: {count} tracks promised, {len(chunks)} there")
    return kind, division, chunks


def _track(data: bytes, where: str) -> _Track:
    track = _Track()
    sounding: dict[tuple[int, int], list[int]] = defaultdict(list)
    tick = 0
    try:
        for tick, status, body in events(data, where):
            if status == 0xFF:
                _meta(track, tick, body[0], body[1:])
                continue
            if status & 0xF0 == 0xC0:
                continue
            key = (status & 0x0F, body[0])
            if status & 0xF0 == 0x90 and body[1] > 0:
                sounding[key].append(tick)
            elif sounding[key]:
                start = sounding[key].pop(0)
                track.notes[key[0]].append((start, tick, key[1]))
    except IndexError:
        raise UserError(f"{where}: damaged: it ends in the middle of an event") from None
    for (channel, pitch), starts in sounding.items():
        track.unfinished += len(starts)
        track.notes[channel] += [(start, tick, pitch) for start in starts]
    return track


def events(data: bytes, where: str) -> Iterator[tuple[int, int, bytes]]:
    """(tick, status, data) of notes, programs and meta events; 0xFF is meta, whose first byte says of which kind."""
    at, tick, status = 0, 0, 0
    while at < len(data):
        step, at = _number(data, at, where)
        tick += step
        if data[at] & 0x80:
            status = data[at]
            at += 1
        elif status < 0x80 or status >= 0xF0:
            raise UserError(f"{where}: damaged: data without a status at byte {at}")
        if status == 0xFF:
            kind = data[at]
            length, at = _number(data, at + 1, where)
            if at + length > len(data):
                raise IndexError
            if kind == _END:
                return
            yield tick, 0xFF, bytes([kind]) + data[at : at + length]
            at += length
        elif status in (0xF0, 0xF7):
            length, at = _number(data, at, where)
            at += length
        elif status >= 0xF0:
            raise UserError(f"{where}: damaged: {status:#x} is no event of a file")
        else:
            size = 1 if status & 0xF0 in (0xC0, 0xD0) else 2
            body = data[at : at + size]
            if len(body) < size or any(byte & 0x80 for byte in body):
                raise UserError(f"{where}: damaged: a broken event at byte {at}")
            if status & 0xF0 in (0x80, 0x90, 0xC0):
                yield tick, status, body
            at += size


def _number(data: bytes, at: int, where: str) -> tuple[int, int]:
    """A number of variable length, and where it ends."""
    value = 0
    for i in range(at, at + 4):
        value = value << 7 | data[i] & 0x7F
        if not data[i] & 0x80:
            return value, i + 1
    raise UserError(f"{where}: damaged: a number of more than four bytes at byte {at}")


def _meta(track: _Track, tick: int, kind: int, body: bytes) -> None:
    if kind == NAME and not track.name:
        track.name = _decoded(body).strip()
    elif kind == _LYRIC:
        track.lyrics.append((tick, body))
    elif kind == _TEXT:
        track.texts.append((tick, body))
    elif kind == _TEMPO and len(body) == 3 and (beat := int.from_bytes(body, "big")):
        track.tempos.append((tick, 60e6 / beat))
    elif kind == _METER and len(body) >= 2 and body[0]:
        track.meters.append((tick, body[0], 2 ** min(body[1], 10)))


def maps(bodies: list[bytes], where: str) -> tuple[tuple[Tempo, ...], tuple[Meter, ...]]:
    """The tempos and the time signatures of the tracks of a file."""
    tracks = [_track(body, f"{where}: track {i}") for i, body in enumerate(bodies, 1)]
    return _tempos(tracks), _meters(tracks)


def _decoded(text: bytes) -> str:
    for encoding in ("utf-8", "cp932"):
        try:
            return text.decode(encoding)
        except UnicodeDecodeError:
            continue
    return text.decode("latin-1")


# ------------------------------------------------------------------------------------------------------------ music


def _voices(tracks: list[_Track]) -> list[tuple[_Track, int]]:
    """The channels that have notes, drums aside (unless there is nothing else)."""
    found = [(track, channel) for track in tracks for channel in sorted(track.notes) if track.notes[channel]]
    return [voice for voice in found if voice[1] != _DRUMS] or found


def _notes(events: list[tuple[int, int, int]], division: int) -> tuple[list[Note], int]:
    notes = [Note(start=start, length=end - start, pitch=pitch) for start, end, pitch in sorted(events)]
    return top_notes(notes)


def _karaoke(tracks: list[_Track]) -> list[tuple[int, bytes]]:
    """Lyrics as text events, as .kar files have them: not those with @, which are about the file."""
    fullest = max(tracks, key=lambda track: len(track.texts))
    words = [(tick, text) for tick, text in fullest.texts if not text.startswith(b"@") and text.strip(b"/\\ \r\n")]
    return words if len(words) > 2 else []


def _split(lyrics: list[tuple[int, bytes]]) -> list[tuple[int, str, bool]]:
    """(tick, syllable, the word goes on)."""
    raw = [(tick, _decoded(text).replace("\r", " ").replace("\n", " ")) for tick, text in lyrics]
    raw = [(tick, " " + text[1:] if text[:1] in "/\\" and len(text) > 1 else text) for tick, text in raw]
    raw = [(tick, text) for tick, text in raw if text.strip()]
    spaced = sum(text != text.strip() for _, text in raw) > len(raw) / 4
    found = []
    for i, (tick, text) in enumerate(raw):
        after = raw[i + 1][1] if i + 1 < len(raw) else " "
        word = text.strip()
        goes_on = spaced and not text.endswith(" ") and not after.startswith(" ")
        if word not in HOLDS and len(word) > 1 and word.endswith("-"):
            word, goes_on = word[:-1], True
        found.append((tick, word, goes_on and word not in HOLDS and word != NEXT))
    return found


def _sung(notes: list[Note], lyrics: list[tuple[int, str, bool]], division: int) -> tuple[list[Note], list[str]]:
    """The notes with their lyrics, and the lyrics at which no note begins."""
    starts = [note.start for note in notes]
    lost = []
    for tick, word, goes_on in lyrics:
        at = bisect_left(starts, tick)
        near = [i for i in (at - 1, at) if 0 <= i < len(notes) and abs(starts[i] - tick) <= division / _NEAR]
        if not near:
            lost.append(word)
            continue
        i = min(near, key=lambda i: abs(starts[i] - tick))
        held = word in HOLDS
        notes[i] = replace(notes[i], lyric="" if held else word, hyphen=goes_on, slur=held or word == NEXT)
    return notes, lost


def _tempos(tracks: list[_Track]) -> tuple[Tempo, ...]:
    found = {0: 120.0} | dict(sorted(tempo for track in tracks for tempo in track.tempos))
    return tuple(Tempo(tick=tick, bpm=found[tick]) for tick in sorted(found))


def _meters(tracks: list[_Track]) -> tuple[Meter, ...]:
    found = {0: (4, 4)} | {tick: (beats, unit) for track in tracks for tick, beats, unit in track.meters}
    return tuple(Meter(tick=tick, beats=found[tick][0], unit=found[tick][1]) for tick in sorted(found))


# ---------------------------------------------------------------------------------------------------------- writing


def write(score: Score, where: str) -> bytes:
    """Writes format 1: a track with tempos and time signatures, and one with notes and lyrics in UTF-8."""
    score = score.with_metre()
    if score.resolution > 0x7FFF:
        score = score.at_resolution(960)
    voice: list[tuple[int, int, bytes]] = [(0, 0, meta_event(NAME, b"Voice"))]
    for note in score.notes:
        if not note.sung or note.pitch is None or note.length <= 0:
            continue
        lyric = note.lyric or ("-" if note.slur else "")
        if lyric:
            voice.append((note.start, 2, meta_event(_LYRIC, (lyric + "-" * note.hyphen).encode())))
        voice.append((note.start, 3, bytes((0x90, note.pitch, 100))))
        voice.append((note.end, 1, bytes((0x80, note.pitch, 0))))
    head = struct.pack(">4sIHHH", b"MThd", 6, 1, 2, score.resolution)
    return head + b"".join(chunk(track) for track in (conductor(score, where), voice))


def conductor(score: Score, where: str) -> list[tuple[int, int, bytes]]:
    """The events of a track with title, tempos and time signatures: (tick, rank among those at one tick, bytes)."""
    found: list[tuple[int, int, bytes]] = [(0, 0, meta_event(NAME, score.title.encode()))] if score.title else []
    for meter in score.meters:
        power = meter.unit.bit_length() - 1
        if 2**power != meter.unit or meter.beats > 255:
            raise UserError(f"{where}: MIDI has no time signature {meter.beats}/{meter.unit}")
        found.append((meter.tick, 1, meta_event(_METER, bytes((meter.beats, power, 24, 8)))))
    for tempo in score.tempos:
        beat = min(round(60e6 / tempo.bpm), 0xFFFFFF)
        found.append((tempo.tick, 2, meta_event(_TEMPO, beat.to_bytes(3, "big"))))
    return found


def chunk(events: list[tuple[int, int, bytes]]) -> bytes:
    """A track of a file: events as of `conductor`, in any order."""
    body, now = bytearray(), 0
    for tick, _, event in sorted(events, key=lambda event: event[:2]):
        body += _variable(tick - now) + event
        now = tick
    body += b"\x00\xff\x2f\x00"
    return struct.pack(">4sI", b"MTrk", len(body)) + bytes(body)


def meta_event(kind: int, body: bytes) -> bytes:
    """An event about the music, such as its NAME."""
    return bytes((0xFF, kind)) + _variable(len(body)) + body


def _variable(number: int) -> bytes:
    parts = [number & 0x7F]
    while number := number >> 7:
        parts.append(number & 0x7F | 0x80)
    return bytes(reversed(parts))
