"""LRC, lyrics with times <-> Score: each line is a segment, `[mm:ss.xx]text`, from 0 to 3 digits behind the point.

Words may have times of their own (`<mm:ss.xx>word`), a line several (it is sung several times). A Score has no notes
from it, but keeps what the tags say ([ti:], [ar:], [offset:] in milliseconds, which is applied).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from aoide.config import UserError
from aoide.score.formats import text_of
from aoide.score.score import Score, Segment, in_seconds
from aoide.score.syllables import words

_TIME = r"(\d+):(\d{1,2})(?:[.:](\d{1,3}))?"
_LINE = re.compile(rf"((?:\[{_TIME}\]\s*)+)(.*)$")
_STAMP = re.compile(rf"\[{_TIME}\]")
_WORD = re.compile(rf"<{_TIME}>([^<]*)")
_TAG = re.compile(r"\[([a-zA-Z#]+):(.*)\]$")
_LAST = 5.0  # seconds that the last line lasts, of which the file does not tell
_PAUSE = 0.3  # seconds of silence that make a new line of a score's lyrics


def read(data: bytes, where: str, part: str | int | None = None) -> Score:
    """Reads LRC."""
    tags: dict[str, str] = {}
    lines: list[tuple[float, str, list[list[Any]]]] = []
    for number, raw in enumerate(text_of(data, where, "utf-8-sig", "cp932", "gb18030").splitlines(), 1):
        line = raw.strip()
        if not line:
            continue
        if found := _LINE.match(line):
            text = found[5]
            timed = [[seconds(m[1], m[2], m[3]), m[4].strip()] for m in _WORD.finditer(text)]
            plain = " ".join(re.sub(r"<[\d:.]+>", " ", text).split()) if timed else text.strip()
            for m in _STAMP.finditer(found[1]):
                lines.append((seconds(m[1], m[2], m[3]), plain, timed))
        elif tag := _TAG.match(line):
            tags[tag[1].lower()] = tag[2].strip()
        else:
            raise UserError(f"{where}: line {number}: neither [mm:ss.xx] nor a tag: {line[:40]!r}")
    if not lines:
        raise UserError(f"{where}: no line with a time in it")
    shift = offset_seconds(tags.pop("offset", "0"), where)
    lines.sort(key=lambda line: line[0])
    starts = [max(0.0, round(start - shift, 3)) for start, _, _ in lines]
    ends = [*starts[1:], starts[-1] + _LAST]
    segments = [
        Segment(start=a, end=b, text=text, extra={"words": timed} if timed else {})
        for a, b, (_, text, timed) in zip(starts, ends, lines, strict=True)
    ]
    title = tags.pop("ti", "")
    return in_seconds(segments=tuple(segments), title=title, extra={"lrc": tags} if tags else {})


def seconds(minutes: str, rest: str, part: str | None) -> float:
    """Of the parts of a time `mm:ss.xx`."""
    return int(minutes) * 60 + int(rest) + (int(part) / 10 ** len(part) if part else 0)


def offset_seconds(text: str, where: str) -> float:
    """Seconds by which the lyrics come earlier."""
    try:
        return int(text) / 1000
    except ValueError:
        raise UserError(f"{where}: [offset:{text[:40]}] is not a number of milliseconds") from None


def write(score: Score, where: str) -> bytes:
    """Writes LRC: the lines of the score, or its words between two rests."""
    lines = [f"[ti:{score.title}]"] if score.title else []
    lines += [f"[{key}:{value}]" for key, value in score.extra.get("lrc", {}).items()]
    segments = score.segments if any(s.text for s in score.segments) else _phrases(score)
    if not segments:
        raise UserError(f"{where}: the score has no lyrics to write")
    for segment in segments:
        timed = segment.extra.get("words")
        text = " ".join(f"<{stamp(at)}>{word}" for at, word in timed) if timed else segment.text
        lines.append(f"[{stamp(segment.start)}]{text}")
    return ("\n".join(lines) + "\n").encode()


def _phrases(score: Score) -> Sequence[Segment]:
    """The words of a score, a line for each stretch without a rest or a breath."""
    found: list[Segment] = []
    end = -1.0
    breath = False
    if not any(note.lyric for note in score.notes):
        return []
    glue = "" if score.language in ("zh", "ja") else " "
    for word in words(score):
        notes = [score.notes[i] for syllable in word.syllables for i in syllable.notes]
        start = score.seconds(notes[0].start)
        if found and start < end + _PAUSE and not breath:
            last = found.pop()
            found.append(Segment(start=last.start, end=last.end, text=f"{last.text}{glue}{word.text}"))
        else:
            found.append(Segment(start=start, end=start, text=word.text))
        end, breath = score.seconds(notes[-1].end), notes[-1].breath
    return found


def stamp(time: float) -> str:
    """`mm:ss.xx` of seconds, with a third digit where it is needed."""
    thousandths = round(time * 1000)
    part = f"{thousandths % 1000:03d}"
    part = part[:2] if part.endswith("0") else part
    return f"{thousandths // 60000:02d}:{thousandths // 1000 % 60:02d}.{part}"
