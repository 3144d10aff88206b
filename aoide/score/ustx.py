"""USTX, the projects of OpenUtau (YAML) <-> Score. 480 ticks to a quarter; versions up to 0.9.

One track is sung, all of its parts. A word is written whole on its first note and goes on with `+`. What we do not
sing by (pitch points, vibrato, expressions, the singer) is kept, with its note or with the score, and written back.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from aoide.config import UserError
from aoide.score.formats import choose, text_of
from aoide.score.score import HOLDS, NEXT, Meter, Note, Score, Tempo
from aoide.score.syllables import breaths_as_notes, whole_words
from aoide.score.ust import BREATHS

NEWEST = (0, 9)
_HINT = re.compile(r"(.*?)\[([^\]]*)\]$")
_VERSION = re.compile(r"^ustx_version:[ \t]*['\"]?([^'\"\s]*)", re.M)
_OWN = {"position", "duration", "tone", "lyric", "tuning"}
_PROJECT = {"time_signatures", "tempos", "voice_parts", "name", "bpm", "beat_per_bar", "beat_unit", "resolution"}
_VIBRATO = {"length": 0, "period": 175, "depth": 25, "in": 10, "out": 10, "shift": 0, "drift": 0, "vol_link": 0}


def read(data: bytes, where: str, part: str | int | None = None) -> Score:
    """Reads a project."""
    text = text_of(data, where)
    _refuse_newer(text, where)
    project = _yaml(text, where)
    parts = _list(project, "voice_parts", where)
    tracks = _list(project, "tracks", where)
    numbers = sorted({_whole(p, "track_no", where, 0) for p in parts if _list(p, "notes", where)})
    if not numbers:
        raise UserError(f"{where}: no notes in it")
    names = [str(tracks[n].get("track_name") or "") if 0 <= n < len(tracks) else "" for n in numbers]
    chosen = choose(names, part, 0, where, "track")
    notes: list[Note] = []
    curves: list[dict[str, Any]] = []
    for voice in (p for p in parts if _whole(p, "track_no", where, 0) == numbers[chosen]):
        at = _whole(voice, "position", where, 0)
        notes += [_note(note, at, where) for note in _list(voice, "notes", where)]
        for curve in _list(voice, "curves", where):
            curves.append(curve | {"xs": [at + int(x) for x in curve.get("xs") or []]})
    kept = {key: value for key, value in project.items() if key not in _PROJECT}
    kept["track"] = tracks[numbers[chosen]] if 0 <= numbers[chosen] < len(tracks) else {}
    kept.pop("tracks", None)
    remarks = []
    if len(numbers) > 1:
        remarks.append(f"track {chosen + 1} of {len(numbers)} ({names[chosen]}) is sung")
    return Score(
        notes=tuple(notes),
        tempos=_tempos(project, where),
        meters=_meters(project, where),
        title=str(project.get("name") or ""),
        extra={"ustx": kept | ({"curves": curves} if curves else {})},
        remarks=tuple(remarks),
    )


def _yaml(text: str, where: str) -> dict[str, Any]:
    import yaml

    try:
        project = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506  (both are safe)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        mark = getattr(error, "problem_mark", None)
        raise UserError(
            f"{where}: not YAML, or damaged{f' in line {mark.line + 1}' if mark else ''}: {problem}"
        ) from None
    if _grows(project, 2 * len(text) + 100):
        raise UserError(f"{where}: its YAML repeats itself (*aliases) until it is larger than the file; refused")
    if not isinstance(project, dict) or not ({"voice_parts", "ustx_version", "tracks"} & set(project)):
        raise UserError(f"{where}: YAML, but not a project of OpenUtau")
    return project


def _grows(project: Any, most: int) -> bool:
    """Whether there are more than `most` things in it, which a file of so many characters only has by its aliases."""
    waiting, count = [project], 0
    while waiting and count <= most:
        count += 1
        item = waiting.pop()
        if isinstance(item, dict):
            waiting.extend(item.values())
        elif isinstance(item, list):
            waiting.extend(item)
    return count > most


def _refuse_newer(text: str, where: str) -> None:
    """Looks at the version as it is written: as a number of YAML, 0.10 would be 0.1."""
    found = _VERSION.search(text)
    if found is None:
        return
    if not re.fullmatch(r"\d+(\.\d+)*", found[1]):
        raise UserError(f"{where}: its ustx_version is {found[1][:40]!r}, no version")
    version = tuple(map(int, found[1].split(".")))
    if version[:2] > NEWEST:
        known = ".".join(map(str, NEWEST))
        raise UserError(f"{where}: written by a newer OpenUtau (USTX {found[1]}; known up to {known}); save it as UST")


def _list(group: Mapping[str, Any], key: str, where: str) -> list[dict[str, Any]]:
    found = group.get(key) or []
    if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
        raise UserError(f"{where}: {key} is not a list of groups; the file is damaged")
    return found


def _whole(group: Mapping[str, Any], key: str, where: str, default: int | None = None) -> int:
    value = group.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e12:
        raise UserError(f"{where}: {key} is {value!r}, not a number; the file is damaged")
    return round(value)


def _note(note: Mapping[str, Any], at: int, where: str) -> Note:
    tone, lyric = _whole(note, "tone", where), str(note.get("lyric") if note.get("lyric") is not None else "")
    if not 0 <= tone <= 127:
        raise UserError(f"{where}: a note with the tone {tone}; 0 to 127 are possible")
    hint = _HINT.match(lyric)
    phonemes = tuple(hint[2].split()) if hint else ()
    lyric = hint[1].strip() if hint else lyric
    lyric = BREATHS.get(lyric, lyric)
    return Note(
        start=at + _whole(note, "position", where),
        length=_whole(note, "duration", where),
        pitch=None if lyric == "R" else tone,  # a rest that comes from a UST
        lyric=lyric,
        slur=lyric.startswith(NEXT) or lyric in HOLDS,
        cents=float(note.get("tuning") or 0),
        phonemes=phonemes,
        extra={key: value for key, value in note.items() if key not in _OWN},
    )


def _tempos(project: Mapping[str, Any], where: str) -> tuple[Tempo, ...]:
    found = {0: float(project.get("bpm") or 120)}
    for tempo in _list(project, "tempos", where):
        found[_whole(tempo, "position", where, 0)] = float(tempo.get("bpm") or 0)
    if not all(0 < bpm < float("inf") for bpm in found.values()):
        raise UserError(f"{where}: a tempo of zero or less; the file is damaged")
    return tuple(Tempo(tick=tick, bpm=found[tick]) for tick in sorted(found))


def _meters(project: Mapping[str, Any], where: str) -> tuple[Meter, ...]:
    """Time signatures stand at bars, counted from 0."""
    found = {0: (_whole(project, "beat_per_bar", where, 4), _whole(project, "beat_unit", where, 4))}
    for meter in _list(project, "time_signatures", where):
        bar = _whole(meter, "bar_position", where, 0)
        found[bar] = (_whole(meter, "beat_per_bar", where, 4), _whole(meter, "beat_unit", where, 4))
    meters: list[Meter] = []
    tick = bar = 0
    for new in sorted(found):
        if meters:
            tick += round((new - bar) * 480 * 4 * meters[-1].beats / meters[-1].unit)
        bar = new
        beats, unit = found[new]
        if beats < 1 or unit < 1:
            raise UserError(f"{where}: a time signature of {beats}/{unit}; the file is damaged")
        meters.append(Meter(tick=tick, beats=beats, unit=unit))
    return tuple(meters)


# ---------------------------------------------------------------------------------------------------------- writing


def write(score: Score, where: str) -> bytes:
    """Writes a project with one track and one part; in the version that it came in, else 0.6."""
    import yaml

    score = breaths_as_notes(whole_words(score.with_metre().at_resolution(480)))
    kept = dict(score.extra.get("ustx", {}))
    track, curves = kept.pop("track", {}), kept.pop("curves", [])
    sung = [note for note in score.notes if note.pitch is not None and note.length > 0]
    last = max((note.end for note in sung), default=0)
    first = score.meters[0]
    project: dict[str, Any] = {
        "name": score.title,
        "comment": "",
        "output_dir": "Vocal",
        "cache_dir": "UCache",
        "ustx_version": "0.6",
        "resolution": 480,
        "bpm": score.tempos[0].bpm,
        "beat_per_bar": first.beats,
        "beat_unit": first.unit,
        "expressions": {},
        **kept,
        "time_signatures": _bars(score),
        "tempos": [{"position": tempo.tick, "bpm": tempo.bpm} for tempo in score.tempos],
        "tracks": [
            track or {"phonemizer": "OpenUtau.Core.DefaultPhonemizer", "mute": False, "solo": False, "volume": 0}
        ],
        "voice_parts": [
            {
                "duration": last,
                "name": "Voice",
                "comment": "",
                "track_no": 0,
                "position": 0,
                "notes": [_written(note) for note in sung],
                "curves": curves,
            }
        ],
    }
    project.setdefault("wave_parts", [])
    return yaml.dump(project, Dumper=yaml.SafeDumper, sort_keys=False, allow_unicode=True, width=1000).encode()


def _bars(score: Score) -> list[dict[str, int]]:
    """Time signatures by bars. One that does not stand at a bar line (behind a pickup) goes to the next."""
    found: dict[int, Meter] = {}
    bar, before = 0, score.meters[0]
    for meter in score.meters:
        bar += -(-(meter.tick - before.tick) * before.unit // (480 * 4 * before.beats))
        if not found or (meter.beats, meter.unit) != (before.beats, before.unit):
            found[bar] = meter
        before = meter
    return [{"bar_position": bar, "beat_per_bar": m.beats, "beat_unit": m.unit} for bar, m in found.items()]


def _written(note: Note) -> dict[str, Any]:
    lyric = note.lyric or (NEXT + "~" if note.slur else "la")
    if note.phonemes:
        lyric = f"{lyric}[{' '.join(note.phonemes)}]"
    points = [{"x": -40, "y": 0, "shape": "io"}, {"x": 40, "y": 0, "shape": "io"}]
    return {
        "position": note.start,
        "duration": note.length,
        "tone": note.pitch,
        "lyric": lyric,
        "pitch": {"data": points, "snap_first": True},
        "vibrato": dict(_VIBRATO),
        "tuning": round(note.cents),
        "phoneme_expressions": [],
        "phoneme_overrides": [],
        **note.extra,
    }
