"""MusicXML (.musicxml, .xml, .mxl) -> Score, as it sounds: one voice of one part, repeats unfolded, ties joined.

XML that could harm is refused before it is read (entities, references to outside; defusedxml). Of a chord the top note
is taken, grace and cue notes are left out, and the score's remarks say so. Repeats and voltas are unfolded, each time
with the next verse; jumps (D.C., D.S., coda) are refused.
"""

from __future__ import annotations

import io
import math
import zipfile
import zlib
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import TYPE_CHECKING

from aoide.config import UserError
from aoide.score.formats import choose
from aoide.score.score import Meter, Note, Score, Tempo, pitch_number, top_notes
from aoide.score.unfold import Bar, unfold

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

_UNITS: dict[str, Fraction] = {  # in quarters
    name: Fraction(4) / value
    for name, value in (
        *(("long", Fraction(1, 4)), ("breve", Fraction(1, 2)), ("whole", 1), ("half", 2), ("quarter", 4)),
        *(("eighth", 8), ("16th", 16), ("32nd", 32), ("64th", 64), ("128th", 128)),
    )
}
_LARGEST = 50_000_000  # bytes of a part inside .mxl
_MANY = 4  # bars that are named in a remark


@dataclass(slots=True)
class _Event:
    """A note as written, in quarters from the beginning of its bar."""

    start: Fraction
    length: Fraction
    pitch: int
    cents: float
    voice: str
    verses: list[tuple[str, bool, bool]]  # (text, the word goes on, a melisma follows), by verse
    tied: bool  # goes on with the note before
    slurred: bool  # under a slur that began before
    breath: bool


@dataclass(slots=True)
class _Measure:
    """A bar of one part."""

    events: list[_Event] = field(default_factory=list)
    tempos: list[tuple[Fraction, float]] = field(default_factory=list)
    meter: tuple[int, int] | None = None
    length: Fraction = Fraction(0)
    bar: Bar = field(default_factory=Bar)


@dataclass(slots=True)
class _State:
    """What holds from one bar to the next."""

    where: str
    divisions: Fraction = Fraction(1)
    transpose: int = 0
    slurs: set[str] = field(default_factory=set)
    resolution: int = 480
    grace: list[str] = field(default_factory=list)  # numbers of bars with grace or cue notes
    transposed: bool = False


def read(data: bytes, where: str, part: str | int | None = None) -> Score:
    """Reads MusicXML, packed or not."""
    root = _parse(_unpack(data, where) if data.startswith(b"PK") else data, where)
    if root.tag == "score-timewise":
        raise UserError(f"{where}: the score is written bar by bar (score-timewise); save it part by part (partwise)")
    if root.tag != "score-partwise":
        raise UserError(f"{where}: XML, but not a MusicXML score: it begins with <{root.tag[:60]}>")
    parts = root.findall("part")
    if not parts:
        raise UserError(f"{where}: the score has no parts")
    titles = {p.get("id"): (p.findtext("part-name") or "").strip() for p in root.iterfind("part-list/score-part")}
    names = [titles.get(p.get("id"), "") for p in parts]
    with_notes = next((i for i, p in enumerate(parts) if p.find("measure/note/pitch") is not None), 0)
    default = next((i for i, p in enumerate(parts) if p.find("measure/note/lyric") is not None), with_notes)
    chosen = choose(names, part, default, where, "part")
    states = [_State(where) for _ in parts]
    measures = [[_measure(m, state) for m in p.findall("measure")] for p, state in zip(parts, states, strict=True)]
    remarks = _remarks(names, chosen, states[chosen])
    score, more = _assemble(measures, chosen, math.lcm(*(s.resolution for s in states)), where)
    title = (root.findtext("work/work-title") or root.findtext("movement-title") or "").strip()
    language = root.find("defaults/lyric-language")
    spoken = "" if language is None else language.get("{http://www.w3.org/XML/1998/namespace}lang", "")
    return replace(score, title=title, language=spoken.split("-")[0].lower(), remarks=(*remarks, *more))


def _remarks(names: list[str], chosen: int, state: _State) -> list[str]:
    found = []
    if len(names) > 1:
        found.append(f"part {chosen + 1} of {len(names)} ({names[chosen]}) is sung")
    if state.transposed:
        found.append("the part is written for a transposing instrument; it is sung as it sounds")
    if state.grace:
        more = ", ..." if len(state.grace) > _MANY else ""
        found.append(f"grace and cue notes are left out: bar {', '.join(state.grace[:_MANY])}{more}")
    return found


def _unpack(data: bytes, where: str) -> bytes:
    """The score inside an .mxl archive."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = archive.namelist()
            path = None
            if "META-INF/container.xml" in names:
                found = _parse(_member(archive, "META-INF/container.xml", where), where).find(".//{*}rootfile")
                path = None if found is None else found.get("full-path")
            inside = [n for n in names if n.endswith((".xml", ".musicxml")) and not n.startswith("META-INF")]
            path = path or (inside[0] if inside else None)
            if path not in names:
                raise UserError(f"{where}: an archive without a score in it")
            return _member(archive, path, where)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError, ValueError) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f"{where}: a damaged archive: {error}") from None


def _member(archive: zipfile.ZipFile, name: str, where: str) -> bytes:
    with archive.open(name) as file:
        data = file.read(_LARGEST + 1)  # what the archive says of its size need not be true
    if len(data) > _LARGEST:
        raise UserError(f"{where}: {name} unpacks to more than {_LARGEST // 1_000_000} MB; refused")
    return data


def _parse(data: bytes, where: str) -> Element:
    from xml.etree.ElementTree import ParseError

    from defusedxml import DefusedXmlException
    from defusedxml.ElementTree import fromstring

    try:
        root: Element = fromstring(data, forbid_dtd=False, forbid_entities=True, forbid_external=True)
    except DefusedXmlException:
        raise UserError(f"{where}: declares entities or refers to other files, which no score needs; refused") from None
    except (ParseError, LookupError, ValueError) as error:
        raise UserError(f"{where}: not XML, or damaged: {error}") from None
    return root


# ---------------------------------------------------------------------------------------------------------- one bar


def _measure(element: Element, state: _State) -> _Measure:
    measure = _Measure()
    number = element.get("number") or "?"
    cursor = chord_start = Fraction(0)
    for child in element:
        if child.tag == "attributes":
            _attributes(child, measure, state, number)
        elif child.tag in ("backup", "forward"):
            step = _duration(child, state, number)
            cursor = max(Fraction(0), cursor - step) if child.tag == "backup" else cursor + step
        elif child.tag in ("direction", "sound"):
            _direction(child, measure, cursor, state, number)
        elif child.tag == "barline":
            measure.bar.read(child)
        elif child.tag == "note":
            start, length = cursor, Fraction(0)
            if child.find("grace") is not None or child.find("cue") is not None:
                state.grace.append(number)
            if child.find("grace") is None:
                length = _duration(child, state, number)
                if child.find("chord") is not None:
                    start = chord_start
                else:
                    chord_start, cursor = cursor, cursor + length
                if child.find("cue") is None and child.find("pitch") is not None:
                    measure.events.append(_event(child, start, length, state, number))
        measure.length = max(measure.length, cursor)
    return measure


def _attributes(element: Element, measure: _Measure, state: _State, number: str) -> None:
    if (divisions := element.findtext("divisions")) is not None:
        state.divisions = _fraction(divisions, state, number, "divisions")
        if state.divisions <= 0:
            raise UserError(f"{state.where}: bar {number}: divisions must be above zero")
        state.resolution = math.lcm(state.resolution, state.divisions.numerator)
        if state.resolution > 100_000:  # no file that people make; notes are rounded to a fine grid instead
            state.resolution = 480 * 7
    time = element.find("time")
    if time is not None and time.findtext("beats"):
        try:
            beats = sum(int(beat) for beat in str(time.findtext("beats")).split("+"))
            measure.meter = (beats, int(time.findtext("beat-type") or 4))
        except ValueError:
            raise UserError(f"{state.where}: bar {number}: not a time signature: {time.findtext('beats')}") from None
    if (transpose := element.find("transpose")) is not None:
        octaves = _fraction(transpose.findtext("octave-change") or "0", state, number, "transposition")
        state.transpose = int(_fraction(transpose.findtext("chromatic") or "0", state, number, "transposition"))
        state.transpose += 12 * int(octaves)
        state.transposed = state.transposed or state.transpose != 0


def _direction(element: Element, measure: _Measure, cursor: Fraction, state: _State, number: str) -> None:
    """Tempo marks, and jumps, which are refused. A tempo for the player beats the one that is printed."""
    sound = element if element.tag == "sound" else element.find("sound")
    offset = element.findtext("offset")
    at = cursor + (_fraction(offset, state, number, "offset") / state.divisions if offset else 0)
    if sound is not None:
        for jump in ("dacapo", "dalsegno", "tocoda"):
            if sound.get(jump):
                raise UserError(f"{state.where}: bar {number}: jumps ({jump}) are not followed; write the bars out")
        if (tempo := sound.get("tempo")) is not None:
            measure.tempos.append((max(Fraction(0), at), float(_fraction(tempo, state, number, "tempo"))))
            return
    metronome = element.find("direction-type/metronome")
    if metronome is not None and metronome.findtext("per-minute"):
        unit = _UNITS.get(metronome.findtext("beat-unit") or "quarter", Fraction(1))
        dots = len(metronome.findall("beat-unit-dot"))
        unit *= 2 - Fraction(1, 2**dots)
        digits = "".join(c for c in str(metronome.findtext("per-minute")) if c.isdigit() or c == ".").strip(".")
        if digits and Fraction(digits) > 0:
            measure.tempos.append((max(Fraction(0), at), float(Fraction(digits) * unit)))


def _event(element: Element, start: Fraction, length: Fraction, state: _State, number: str) -> _Event:
    pitch = element.find("pitch")
    assert pitch is not None
    alter = _fraction(pitch.findtext("alter") or "0", state, number, "alteration")
    try:
        natural, _ = pitch_number(f"{pitch.findtext('step')}{pitch.findtext('octave')}")
    except UserError as error:
        raise UserError(f"{state.where}: bar {number}: {error}") from None
    assert natural is not None
    notations = element.findall("notations")
    slurred = bool(state.slurs)
    for slur in (slur for part in notations for slur in part.findall("slur")):
        key = slur.get("number") or "1"
        state.slurs.discard(key) if slur.get("type") == "stop" else state.slurs.add(key)
    return _Event(
        start=start,
        length=length,
        pitch=natural + round(alter) + state.transpose,
        cents=float((alter - round(alter)) * 100),
        voice=element.findtext("voice") or "1",
        verses=[verse for lyric in _by_verse(element) if (verse := _lyric(lyric)) is not None],
        tied=any(tie.get("type") == "stop" for tie in element.findall("tie")),
        slurred=slurred,
        breath=any(part.find("articulations/breath-mark") is not None for part in notations),
    )


def _by_verse(element: Element) -> list[Element]:
    lyrics = element.findall("lyric")
    digits = ["".join(filter(str.isdigit, lyric.get("number") or "1")) or "1" for lyric in lyrics]
    order = sorted(range(len(lyrics)), key=lambda i: int(digits[i]))
    return [lyrics[i] for i in order]


def _lyric(element: Element) -> tuple[str, bool, bool] | None:
    text = "".join((child.text or "") for child in element if child.tag in ("text", "elision")).strip()
    if not text:
        return None
    goes_on = (element.findtext("syllabic") or "single") in ("begin", "middle")
    if element.findall("syllabic"):
        goes_on = (element.findall("syllabic")[-1].text or "") in ("begin", "middle")
    return text, goes_on, element.find("extend") is not None


def _duration(element: Element, state: _State, number: str) -> Fraction:
    """In quarters."""
    text = element.findtext("duration")
    if text is None:
        raise UserError(f"{state.where}: bar {number}: a {element.tag} without a duration")
    length = _fraction(text, state, number, "duration") / state.divisions
    if length < 0:
        raise UserError(f"{state.where}: bar {number}: a {element.tag} of negative length")
    return length


def _fraction(text: str, state: _State, number: str, what: str) -> Fraction:
    try:
        value = Fraction(text.strip())
    except (ValueError, ZeroDivisionError):
        raise UserError(f"{state.where}: bar {number}: {what} is not a number: {text.strip()[:40]!r}") from None
    if abs(value) > 10**9:
        raise UserError(f"{state.where}: bar {number}: {what} is far too large: {text.strip()[:40]}")
    return value


# ------------------------------------------------------------------------------------------------------ the whole part


def _assemble(parts: list[list[_Measure]], chosen: int, resolution: int, where: str) -> tuple[Score, list[str]]:
    """The bars in the order in which they sound -> a score."""
    if resolution > 100_000:
        resolution = 480 * 7
    own = parts[chosen]
    order = unfold([measure.bar for measure in own], where)
    voice, left_out = _voice(own)
    notes: list[tuple[Note, bool]] = []
    tempos: dict[int, float] = {}
    meters: list[Meter] = []
    sung: dict[int, int] = {}
    meter, irregular, position = (4, 4), True, Fraction(0)
    for i in order:
        verse = sung[i] = sung.get(i, -1) + 1
        tick = round(position * resolution)
        columns = [part[i] for part in parts if i < len(part)]
        new = next((m.meter for m in (own[i], *columns) if m.meter), meter)
        if new != meter or irregular:
            meters.append(Meter(tick=tick, beats=new[0], unit=new[1]))
        meter = new
        for column in columns:
            for at, bpm in column.tempos:
                if bpm > 0:
                    tempos[round((position + at) * resolution)] = bpm
        notes += [_note(event, position, verse, resolution) for event in own[i].events if event.voice == voice]
        nominal = Fraction(4 * meter[0], meter[1])
        length = max(column.length for column in columns) or nominal
        irregular = length != nominal
        position += length
    if not meters:
        raise UserError(f"{where}: the part has no bars")
    tempos.setdefault(0, tempos[min(tempos)] if tempos else 120.0)
    joined, dropped = _joined(notes)
    score = Score(
        notes=tuple(joined),
        tempos=tuple(Tempo(tick=tick, bpm=tempos[tick]) for tick in sorted(tempos)),
        meters=tuple(meters),
        resolution=resolution,
    )
    return score, _said(own, order, dropped, left_out)


def _said(own: list[_Measure], order: list[int], dropped: int, left_out: int) -> list[str]:
    remarks = []
    if order != list(range(len(own))):
        remarks.append(f"repeats are written out: {len(own)} bars become {len(order)}")
    if dropped:
        remarks.append(f"of chords, only the top note is sung: {dropped} left out")
    if left_out:
        remarks.append(f"the part has more than one voice; {left_out} notes of the others are left out")
    verses = max((len(event.verses) for measure in own for event in measure.events), default=0)
    times = max((order.count(i) for i in set(order)), default=1)
    if verses > times:
        remarks.append(f"{verses} verses are written, {times} sung")
    return remarks


def _voice(measures: list[_Measure]) -> tuple[str, int]:
    """The voice that is sung: the first with lyrics, else the first; and how many notes the others have."""
    events = [event for measure in measures for event in measure.events]
    if not events:
        return "1", 0
    voice = next((event.voice for event in events if event.verses), events[0].voice)
    return voice, sum(event.voice != voice for event in events)


def _note(event: _Event, position: Fraction, verse: int, resolution: int) -> tuple[Note, bool]:
    """The note, and whether it is tied to the one before. `slur` is settled when all are in a row."""
    start = round((position + event.start) * resolution)
    end = round((position + event.start + event.length) * resolution)
    text, goes_on, extend = "", False, False
    if event.verses:
        text, goes_on, extend = event.verses[verse] if verse < len(event.verses) else event.verses[0]
    note = Note(
        start=start,
        length=end - start,
        pitch=event.pitch,
        lyric=text,
        slur=event.slurred and not text,
        hyphen=goes_on,
        breath=event.breath,
        cents=event.cents,
        extra={"extend": True} if extend else {},
    )
    return note, event.tied


def _joined(notes: list[tuple[Note, bool]]) -> tuple[list[Note], int]:
    """Chords to their top notes, tied notes to one, and the notes of a melisma marked."""
    tied = {(note.start, note.pitch) for note, tie in notes if tie}
    top, dropped = top_notes([note for note, _ in notes])
    joined: list[Note] = []
    extending = False  # the last lyric has a line behind it
    for note in top:
        last = joined[-1] if joined else None
        if (note.start, note.pitch) in tied and last and last.end == note.start and last.pitch == note.pitch:
            joined[-1] = replace(last, length=note.end - last.start, breath=note.breath)
            continue
        if note.lyric:
            extending = "extend" in note.extra
        slur = not note.lyric and (note.slur or extending)
        joined.append(replace(note, slur=slur, extra={}))
    return joined, dropped


def write(score: Score, where: str) -> bytes:
    """Writes MusicXML 4.0; packed if `where` ends with .mxl."""
    from aoide.score.engrave import engrave

    text = engrave(score)
    if not where.lower().endswith(".mxl"):
        return text
    packed = io.BytesIO()
    container = (
        '<?xml version="1.0" encoding="UTF-8"?>\n<container><rootfiles><rootfile full-path="score.musicxml" '
        'media-type="application/vnd.recordare.musicxml+xml"/></rootfiles></container>\n'
    )
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in (("META-INF/container.xml", container.encode()), ("score.musicxml", text)):
            archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), content, zipfile.ZIP_DEFLATED)
    return packed.getvalue()
