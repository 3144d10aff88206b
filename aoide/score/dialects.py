"""How song models want their lyrics: readers and writers of a `SongScript` for each dialect.

    plain        tags on lines of their own, as people write it               (times are lost)
    lrc          the same with times
    diffrhythm   LRC in fixed columns, `[mm:ss.xx]line`, nothing else         (tags and words' times are lost)
    jam          JSON, [{"start": 1.2, "end": 1.5, "word": "The"}, ...]       (tags and lines are lost)
    ace-step     tags on lines of their own, in small letters; style apart    (times are lost)
    yue          the same, sections of about 30 s apart by an empty line, and none without words
    levo         one line: `[intro-short] ; [verse] A line. Another ; [outro-medium]`; no words in intro, inst and outro
    songbloom    one line: `[intro] [intro] , [verse] A line. Another.`, [intro] once a second
    karasinger   words alone, a phrase a line: it sings phrase by phrase and knows no sections

What a dialect has no room for is left out, as the right column says; where it has signs of its own inside a line, they
become commas or blanks. `style(script, dialect)` gives the style as the model is told it. Sources: DiffRhythm's and
JAM's reading code; what ACE-Step, YuE, LeVo and SongBloom ask of users in their READMEs (seen in 2026). KaraSinger was
published without code: its paper says that it takes the words of one phrase and no score.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable

from aoide.config import UserError, near
from aoide.score.song_script import (
    LONGEST,
    PLAYED,
    Line,
    Section,
    SongScript,
    TimedWord,
    expect_tag,
    read_tagged,
    words_of,
    write_tagged,
)

GAP = 0.6  # seconds between words that part two lines of a JAM file
SHORT = 10.0  # seconds; LeVo's parts without words are short up to here, and medium beyond
_TAGGED = re.compile(r"\s*\[[^\[\]]+\]")


def reader(dialect: str) -> Callable[[str, str], SongScript]:
    """text, what messages call it -> script."""
    return _READERS[_known(dialect)]


def writer(dialect: str) -> Callable[[SongScript], str]:
    """script -> text."""
    return _WRITERS[_known(dialect)]


def sniff(text: str) -> str:
    """The dialect that a text shows; "plain" also for those that look the same."""
    if re.match(r"\s*\[\s*[{\]]", text):
        return "jam"
    if len(text.strip().splitlines()) == 1 and _TAGGED.match(text):
        if re.search(r";\s*\[", text):
            return "levo"
        if re.search(r",\s*\[", text):
            return "songbloom"
    return "plain"


def style(script: SongScript, dialect: str) -> str:
    """The style in the words that a model wants: YuE's tags have blanks between them, all others commas."""
    tags = [tag.strip() for tag in script.style.split(",") if tag.strip()]
    return (" " if _known(dialect) == "yue" else ", ").join(tags)


def _known(dialect: str) -> str:
    if dialect not in NAMES:
        guess = near(dialect, NAMES) or f" there are {', '.join(NAMES)}"
        raise UserError(f"no dialect {dialect!r} of lyrics;{guess}")
    return dialect


# --------------------------------------------------------------------------------------------------------- with times


def _write_diffrhythm(script: SongScript) -> str:
    lines = []
    for line, start, _ in script.spans():
        hundredths = round(start * 100)
        if hundredths >= 600_000:
            raise UserError(f"the line {line.text[:40]!r} begins after 100 minutes; DiffRhythm has two digits for them")
        stamp = f"{hundredths // 6000:02d}:{hundredths // 100 % 60:02d}.{hundredths % 100:02d}"
        lines.append(f"[{stamp}]{line.text}\n")
    return "".join(lines)


def _read_jam(text: str, where: str) -> SongScript:
    try:
        data = json.loads(text)
        words = [(str(w["word"]).strip(), float(w["start"]), float(w["end"])) for w in data]
    except (ValueError, TypeError, KeyError, AttributeError):
        raise UserError(f'{where}: not the words of JAM: [{{"start": 1.2, "end": 1.5, "word": "The"}}, ...]') from None
    lines: list[list[TimedWord]] = []
    last = 0.0
    for number, (word, start, end) in enumerate(words, 1):
        if not 0 <= start <= end < float("inf"):
            raise UserError(f"{where}: word {number}, {word!r}, from {start:g} to {end:g} s: times rise from 0")
        if start < last - 1e-6:
            raise UserError(f"{where}: word {number}, {word!r}, begins at {start:g} s, before the one before it ends")
        if word and (not lines or start - last > GAP):
            lines.append([])
        if word:
            lines[-1].append(TimedWord(text=word, start=start, end=end))
        last = end
    found = tuple(_line(words) for words in lines)
    return SongScript(sections=(Section(tag="verse", lines=found),) if found else ())


def _line(words: list[TimedWord]) -> Line:
    text = words[0].text
    for word in words[1:]:
        spaced = len(words_of(f"{text[-1]}{word.text[0]}")) == 1  # letters of scripts without blanks stand together
        text += f" {word.text}" if spaced else word.text
    return Line(text=text, start=words[0].start, end=words[-1].end, words=tuple(words))


def _write_jam(script: SongScript) -> str:
    rows = []
    for line, start, end in script.spans():
        words = line.words or _even(line.text, start, end)
        for i, word in enumerate(words):
            after = words[i + 1].start if i + 1 < len(words) else end
            until = word.end if word.end is not None else after
            rows.append({"start": round(word.start, 3), "end": round(until, 3), "word": word.text})
    return json.dumps(rows, ensure_ascii=False, indent=1) + "\n"


def _even(text: str, start: float, end: float) -> tuple[TimedWord, ...]:
    """The words of a line that has only its own times."""
    line = Section(tag="verse", lines=(Line(text=text),), seconds=end - start)
    timed = SongScript(sections=(line,)).timed(pause=0.0).lines[0].words
    return tuple(TimedWord(text=w.text, start=w.start + start, end=(w.end or 0.0) + start) for w in timed)


# -------------------------------------------------------------------------------------------------------- without times


def _write_paragraphs(script: SongScript, *, silent: bool) -> str:
    parts = []
    for section in script.sections:
        if section.lines or silent:
            parts.append("\n".join([f"[{section.tag}]", *(line.text for line in section.lines)]))
    return "\n\n".join(parts) + "\n"


def _write_ace_step(script: SongScript) -> str:
    return _write_paragraphs(script, silent=True)


def _write_yue(script: SongScript) -> str:
    return _write_paragraphs(script, silent=False)


def _read_levo(text: str, where: str) -> SongScript:
    return _read_flat(text, where, ";")


def _write_levo(script: SongScript) -> str:
    parts = []
    for section in script.sections:
        if section.lines:
            tag = "verse" if section.tag in PLAYED else section.tag  # what is sung in an outro is a verse to LeVo
            parts.append(f"[{tag}] " + ". ".join(_plain(line.text, ".;") for line in section.lines))
        elif section.tag in PLAYED:
            medium = section.seconds is not None and section.seconds > SHORT
            parts.append(f"[{section.tag}-{'medium' if medium else 'short'}]")
    return " ; ".join(parts) + "\n"


def _read_songbloom(text: str, where: str) -> SongScript:
    return _read_flat(text, where, ",")


def _write_songbloom(script: SongScript) -> str:
    parts = []
    for section in script.sections:
        if section.lines:
            parts.append(f"[{section.tag}] " + " ".join(f"{_plain(line.text, '.,')}." for line in section.lines))
        else:
            seconds = 4.0 if section.seconds is None else section.seconds
            parts.append(" ".join([f"[{section.tag}]"] * max(1, round(seconds))))
    return " , ".join(parts) + "\n"


def _read_flat(text: str, where: str, mark: str) -> SongScript:
    """Sections with a mark between, sentences with points."""
    sections = []
    for number, part in enumerate(re.split(rf"\s*{mark}\s*(?=\[)", text.strip()), 1):
        at = f"{where}: section {number}"
        tags = re.match(r"((?:\s*\[[^\[\]]*\])+)(.*)$", part, re.S)
        if not tags:
            raise UserError(f"{at} begins without a tag, such as [verse]: {part[:40]!r}")
        names = re.findall(r"\[([^\[\]]*)\]", tags[1])
        section = expect_tag(names[0], at)
        seconds = float(len(names)) if mark == "," and section.tag in PLAYED else section.seconds
        if names[0].endswith("-medium"):
            seconds = 1.5 * SHORT
        lines = [Line(text=line.strip(f" {mark}\n")) for line in re.split(r"\.(?:\s+|$)", tags[2])]
        for line in lines:
            if len(line.text) > LONGEST:
                raise UserError(f"{at}: a line of {len(line.text)} characters; put points between its sentences")
        kept = tuple(line for line in lines if line.text)
        sections.append(Section(tag=section.tag, number=section.number, lines=kept, seconds=seconds))
    return SongScript(sections=tuple(sections))


def _plain(text: str, marks: str) -> str:
    """The text without the signs that part sections and sentences."""
    inside = text.strip(" .,;!?")
    return " ".join(re.sub(f"[{re.escape(marks)}]", " " if "," in marks else ",", inside).split())


def _read_karasinger(text: str, where: str) -> SongScript:
    if _TAGGED.match(text):
        raise UserError(f"{where}: begins with a tag; KaraSinger's lyrics are phrases alone")
    lines = tuple(Line(text=line.strip()) for line in text.splitlines() if line.strip())
    return SongScript(sections=(Section(tag="verse", lines=lines),))


def _write_karasinger(script: SongScript) -> str:
    return "".join(f"{_plain(line.text, '.,;!?')}\n" for line in script.lines)


_READERS: dict[str, Callable[[str, str], SongScript]] = {
    "plain": read_tagged,
    "lrc": read_tagged,
    "diffrhythm": read_tagged,
    "jam": _read_jam,
    "ace-step": read_tagged,
    "yue": read_tagged,
    "levo": _read_levo,
    "songbloom": _read_songbloom,
    "karasinger": _read_karasinger,
}
_WRITERS: dict[str, Callable[[SongScript], str]] = {
    "plain": lambda script: write_tagged(script, times=False),
    "lrc": lambda script: write_tagged(script, times=True),
    "diffrhythm": _write_diffrhythm,
    "jam": _write_jam,
    "ace-step": _write_ace_step,
    "yue": _write_yue,
    "levo": _write_levo,
    "songbloom": _write_songbloom,
    "karasinger": _write_karasinger,
}
NAMES = tuple(_READERS)
