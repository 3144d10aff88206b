"""Other programs' projects (VOCALOID, Synthesizer V, CeVIO, ACE Studio ...) -> Score, read by LibreSVIP.

An extra, `svp`. LibreSVIP knows the formats; here is only what its common model becomes: notes, lyrics, tempos, bars.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from aoide.config import MissingExtra, UserError, require
from aoide.score.formats import choose
from aoide.score.score import HOLDS, NEXT, Meter, Note, Score, Tempo

_MANAGER = "libresvip.extension.manager"
_TICKS = 480  # LibreSVIP's, to a quarter
# The endings of well-known programs, so that a file is known for what it is where LibreSVIP is not installed.
_KNOWN = ("svp", "s5p", "vpr", "vsqx", "vsq", "ccs", "svip", "acep", "aisp", "dv", "ppsf", "tssln", "vvproj", "nn")


def endings() -> frozenset[str]:
    """The endings that can be read, or could be if LibreSVIP were installed."""
    try:
        known = require(_MANAGER, "svp").get_supported_suffixes()
    except MissingExtra:
        known = _KNOWN
    return frozenset(f".{name}" for name in known)


def read(path: Path, part: str | int | None = None) -> Score:
    """Reads a project.

    Raises:
        MissingExtra: LibreSVIP is not installed.
        UserError: it cannot read the file.
    """
    converter = require(_MANAGER, "svp").get_svs_plugin_by_suffix(path.suffix.lower().removeprefix("."))
    try:
        project = converter.load(path, {})
    except Exception as error:  # noqa: BLE001  (a damaged file may raise anything there; its text is the reason)
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise UserError(f"{path}: LibreSVIP cannot read it: {reason}") from None
    return score_of(project, str(path), part)


def score_of(project: Any, where: str, part: str | int | None = None) -> Score:
    """LibreSVIP's Project as a Score: its singing track that has notes.

    Raises:
        UserError: it has none, or not the one that was asked for.
    """
    tracks = [track for track in project.track_list if getattr(track, "note_list", None)]
    if not tracks:
        raise UserError(f"{where}: no notes in it")
    chosen = choose([track.title for track in tracks], part, 0, where, "track")
    remarks = []
    if len(tracks) > 1:
        remarks.append(f"track {chosen + 1} of {len(tracks)} ({tracks[chosen].title}) is sung")
    tempos = {0: 120.0} | {tempo.position: tempo.bpm for tempo in project.song_tempo_list}
    return Score(
        notes=tuple(_note(note) for note in tracks[chosen].note_list),
        tempos=tuple(Tempo(tick=tick, bpm=tempos[tick]) for tick in sorted(tempos)),
        meters=_meters(project.time_signature_list),
        resolution=_TICKS,
        remarks=tuple(remarks),
    )


def _note(note: Any) -> Note:
    lyric = (note.lyric or "").strip()
    return Note(
        start=note.start_pos,
        length=note.length,
        pitch=note.key_number,
        lyric=lyric,
        slur=lyric in HOLDS or lyric == NEXT,
    )


def _meters(signatures: Any) -> tuple[Meter, ...]:
    """Time signatures stand at bars, counted from 0."""
    found = {0: (4, 4)} | {max(0, m.bar_index): (m.numerator, m.denominator) for m in signatures}
    meters: list[Meter] = []
    tick = before = 0
    for bar in sorted(found):
        if meters:
            tick += (bar - before) * _TICKS * 4 * meters[-1].beats // meters[-1].unit
        before = bar
        meters.append(Meter(tick=tick, beats=found[bar][0], unit=found[bar][1]))
    return tuple(meters)
