"""`SongScript`: the words of a song by sections, with times where they are known, and its style.

    script = SongScript.load("lyrics.txt")             # or .lrc, or a file in the dialect of a model
    script.timed().save("lyrics.lrc")
    print(script.write("levo"))                        # see aoide/score/dialects.py

Our own text is what people write, a tag and then its lines. LRC is the same with a time before each line:

    [ti: Evening]                      [ti: Evening]
    [style: folk, guitar, 90 bpm]      [style: folk, guitar, 90 bpm]
    [intro 4s]                         [intro 4s]
    [verse 1]                          [verse 1]
    The sun goes down                  [00:04.00]The sun goes down
    the birds are still                [00:07.50]the birds are still
    [chorus]                           [00:10.00]
                                       [chorus]

An empty line between two paragraphs without a tag begins a new section: a chorus if its words come twice, else a verse.
In LRC words may have times, too (`<00:04.20>The <00:04.50>sun`), and a time without words ends the line before it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from aoide.config import UserError, near, write_aside
from aoide.score import lrc

SUNG = ("verse", "pre-chorus", "chorus", "post-chorus", "bridge")
PLAYED = ("intro", "inst", "outro")  # may have words, and need none
TAGS = (*SUNG, *PLAYED)
ALIASES = {
    "prechorus": "pre-chorus",
    "postchorus": "post-chorus",
    "refrain": "chorus",
    "hook": "chorus",
    "strophe": "verse",
    "stanza": "verse",
    "middle-eight": "bridge",
    "instrumental": "inst",
    "interlude": "inst",
    "break": "inst",
    "solo": "inst",
    "start": "intro",
    "end": "outro",
    "ending": "outro",
    "coda": "outro",
}
LARGEST = 100_000  # characters of a song; the longest operas have as many
LONGEST = 1000  # characters of a line
LAST = 5.0  # seconds of a line whose end nothing tells
RATE, PAUSE, REST = 3.0, 0.5, 4.0  # of `timed`: syllables a second; seconds behind a line; of a section without words

_NAMES = {"ti": "title", "title": "title", "la": "language", "language": "language", "style": "style"}
_SHORT = {"title": "ti", "language": "la", "style": "style"}
_CLOCK = re.compile(r"(\d{1,3}):(\d{1,2})(?:[.:](\d{1,3}))?$")
_BRACKET = re.compile(r"\[([^\[\]]*)\]\s*")
_WORD = re.compile(r"<([^<>]*)>([^<]*)")
_TAG = re.compile(r"(?P<name>[a-z][a-z\- ]*?)[\s\-]*(?P<number>\d+)?(?:[\s\-]+(?P<seconds>\d+(?:\.\d+)?)\s*s)?$")
_ENDINGS = {".txt": "plain", ".lrc": "lrc", ".json": "jam"}
_UNSPACED = re.compile(r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff々〇]")  # scripts that put no blanks between words
SMALL_KANA = frozenset("ぁぃぅぇぉゃゅょゎっんァィゥェォャュョヮッンー")  # of the mora before them


@dataclass(frozen=True, kw_only=True, slots=True)
class TimedWord:
    """A word and when it is sung, in seconds; end None: until the next."""

    text: str
    start: float
    end: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """A line of lyrics.

    start, end: seconds; None where nobody said. A line without an end lasts until the next.
    words: with their times, where they are known; together they are the text.
    """

    text: str
    start: float | None = None
    end: float | None = None
    words: tuple[TimedWord, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Section:
    """A part of a song.

    tag: of TAGS.
    number: as in `verse 2`; "" is none.
    seconds: how long it shall last, where somebody said.
    """

    tag: str
    lines: tuple[Line, ...] = ()
    number: str = ""
    seconds: float | None = None

    @property
    def header(self) -> str:
        """`[verse 2]`, `[inst 8s]`."""
        length = "" if self.seconds is None else f"{self.seconds:g}s"
        return f"[{' '.join(filter(None, (self.tag, self.number, length)))}]"


@dataclass(frozen=True, kw_only=True)
class SongScript:
    """What a song says, in which order, and how it shall sound.

    language: "en", "ja", ... or "" for what the letters show.
    style: in words, as "folk, female voice, guitar, 90 bpm".
    about: what else its file says of the song, by the names of LRC (`ar`, `al`, `by`).
    remarks: what the reader chose, in words; no part of the script itself.
    """

    sections: tuple[Section, ...] = ()
    language: str = ""
    style: str = ""
    title: str = ""
    about: Mapping[str, str] = field(default_factory=dict)
    remarks: tuple[str, ...] = field(default=(), compare=False)

    # --------------------------------------------------------------------------------------------------------- files

    @classmethod
    def load(cls, path: str | os.PathLike[str], dialect: str = "") -> SongScript:
        """Reads a file; which dialect it is in is told by what is in it, unless it is named.

        Raises:
            UserError: no such file, no text, or what `read` says.
        """
        data = _bytes(Path(path))
        if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
            text = data.decode("utf-16", "replace")
        else:
            text = lrc.text_of(data, str(path), "utf-8-sig", "cp932", "gb18030")
        if "\0" in text:
            raise UserError(f"{path}: not a text")
        return cls.read(text, dialect, where=str(path))

    @classmethod
    def read(cls, text: str, dialect: str = "", *, where: str = "lyrics") -> SongScript:
        """Reads lyrics.

        Args:
            dialect: of `dialects.NAMES`; "" is found by what is in the text.
            where: what messages call it.

        Raises:
            UserError: empty, too long, no words, an unknown tag, broken or falling times; with the line.
        """
        from aoide.score import dialects

        text = text.removeprefix("\ufeff")
        if not text.strip():
            raise UserError(f"{where}: is empty: lyrics are lines of words, with tags such as [verse] and [chorus]")
        if len(text) > LARGEST:
            raise UserError(f"{where}: {len(text)} characters are too many for a song; {LARGEST} are the most")
        script: SongScript = dialects.reader(dialect or dialects.sniff(text))(text, where)
        if not any(section.lines for section in script.sections):
            raise UserError(f"{where}: has no words to sing, only tags; write lines below [verse]")
        return script

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes plain text (.txt), LRC (.lrc) or JAM's words (.json), aside and then renamed.

        Raises:
            UserError: another ending, or lines without times in a format that needs them.
        """
        ending = Path(path).suffix.lower()
        if ending not in _ENDINGS:
            raise UserError(f"{path}: no format of lyrics; choose {', '.join(_ENDINGS)}{near(ending, _ENDINGS)}")
        text = self.write(_ENDINGS[ending])
        with write_aside(path) as aside:
            aside.write_text(text, "utf-8")

    def write(self, dialect: str = "plain") -> str:
        """The script as a text in a dialect (see aoide/score/dialects.py).

        Raises:
            UserError: no such dialect; lines without times in one that needs them.
        """
        from aoide.score import dialects

        return dialects.writer(dialect)(self)

    # ---------------------------------------------------------------------------------------------------------- time

    @property
    def lines(self) -> tuple[Line, ...]:
        """The lines of all sections in order."""
        return tuple(line for section in self.sections for line in section.lines)

    @property
    def has_times(self) -> bool:
        """Whether each line knows when it begins."""
        return all(line.start is not None for line in self.lines)

    def spans(self) -> Iterator[tuple[Line, float, float]]:
        """(line, start, end) of each line, seconds; see `timed` for scripts that know none.

        Raises:
            UserError: a line without a time; names it.
        """
        lines = self.lines
        for i, line in enumerate(lines):
            if line.start is None:
                raise UserError(f"the line {line.text[:40]!r} has no time; SongScript.timed() gives it one")
            after = lines[i + 1].start if i + 1 < len(lines) else None
            end = line.end if line.end is not None else after if after is not None else line.start + LAST
            yield line, line.start, end

    def timed(self, rate: float = RATE, pause: float = PAUSE, rest: float = REST) -> SongScript:
        """The script with times: those that it has, or else by rule, words included.

        The rule: `rate` syllables a second, counted roughly by letters, `pause` seconds behind each line and `rest` for
        each section without words. A section that says how long it lasts is stretched or squeezed to that.
        """
        if self.lines and self.has_times:
            return self
        now, sections = 0.0, []
        for section in self.sections:
            natural = sum(rough_syllables(line.text) / rate + pause for line in section.lines) or rest
            length = natural if section.seconds is None else section.seconds
            scale, start, lines = length / natural, now, []
            for line in section.lines:
                sung = rough_syllables(line.text) / rate * scale
                lines.append(_spread(line.text, start, start + sung))
                start += sung + pause * scale
            sections.append(replace(section, lines=tuple(lines)))
            now += length
        return replace(self, sections=tuple(sections))


# --------------------------------------------------------------------------------------------------------------- words


def words_of(text: str) -> list[str]:
    """The words of a line; of a script without blanks (Chinese, Japanese) its letters, small kana with theirs."""
    found: list[str] = []
    for word in text.split():
        if not _UNSPACED.search(word):
            found.append(word)
            continue
        first = len(found)
        for letter in word:
            joined = letter in SMALL_KANA or not (_UNSPACED.match(letter) or letter.isalnum())
            if joined and len(found) > first:
                found[-1] += letter
            else:
                found.append(letter)
    return found


def rough_syllables(text: str) -> int:
    """About how many syllables a text has, told by its letters; 1 at least. aoide.text knows better."""
    count = 0
    for word in words_of(text):
        if _UNSPACED.search(word):
            count += 1
            continue
        letters = re.sub(r"[^\w]", "", word.lower())
        groups = re.findall(r"[aeiouyàáâäãåèéêëìíîïòóôöõùúûüаеёиоуыэюяαεηιουω]+", letters)
        silent = len(groups) > 1 and re.search(r"[^aeiouyl]es?$", letters) is not None
        count += max(1, len(groups) - silent) if letters else 0
    return max(1, count)


def _spread(text: str, start: float, end: float) -> Line:
    """A line whose words share its time by their syllables."""
    words = words_of(text)
    sizes = [rough_syllables(word) for word in words]
    edges = [start + (end - start) * sum(sizes[:i]) / max(1, sum(sizes)) for i in range(len(words) + 1)]
    edges = [round(edge, 3) for edge in edges]
    timed = tuple(TimedWord(text=w, start=a, end=b) for w, a, b in zip(words, edges, edges[1:], strict=False))
    return Line(text=text, start=edges[0], end=edges[-1], words=timed)


# ------------------------------------------------------------------------------------------------------- text with tags


def tag_of(text: str) -> Section | None:
    """The section that `Verse 2`, `inst 8s` or `pre chorus` names; None if it is no tag."""
    found = _TAG.match(text.strip().lower().rstrip(":"))
    if not found:
        return None
    name = re.sub(r"[\s\-]+", "-", found["name"].strip())
    for length in ("-short", "-medium", "-long"):  # LeVo's; how long they are it does not say
        name = name.removesuffix(length)
    tag = ALIASES.get(name, name)
    if tag not in TAGS:
        last = ALIASES.get(name.rpartition("-")[2], name.rpartition("-")[2])  # guitar solo, final chorus
        if "-" not in name or last not in TAGS:
            return None
        tag = last
    seconds = None if found["seconds"] is None else float(found["seconds"])
    return Section(tag=tag, number=found["number"] or "", seconds=seconds)


def expect_tag(text: str, where: str) -> Section:
    """As `tag_of`.

    Raises:
        UserError: no tag; with the near ones.
    """
    found = tag_of(text)
    if found is None:
        guess = near(text.strip(" :-0123456789"), (*TAGS, *ALIASES)) or f" there are {', '.join(TAGS)}"
        raise UserError(f"{where}: [{text[:40]}] is no section of a song;{guess}")
    return found


@dataclass(slots=True)
class _Entry:
    """A line with the place of its section."""

    section: int
    line: Line
    at: int  # line of the file


def read_tagged(text: str, where: str) -> SongScript:
    """Reads our own text and LRC, which is the same with times."""
    headers: list[Section] = [Section(tag="")]  # "": lines before any tag
    entries: list[_Entry] = []
    about: dict[str, str] = {}
    known = {"title": "", "language": "", "style": ""}
    repeated, empty = False, True
    for number, raw in enumerate(text.splitlines(), 1):
        at, line = f"{where}: line {number}", raw.strip()
        if not line:
            if not headers[-1].tag and not empty:
                headers.append(Section(tag=""))
                empty = True
            continue
        stamps, rest = _stamps(line, at)
        if stamps:
            repeated |= len(stamps) > 1
            entries += [_Entry(len(headers) - 1, _timed_line(rest, stamp, at), number) for stamp in stamps]
            empty = False
        elif line.startswith("[") and line.endswith("]"):
            name, colon, value = line[1:-1].partition(":")
            if colon and value.strip() and tag_of(name) is None:
                key = name.strip().lower()
                if key in _NAMES:
                    known[_NAMES[key]] = value.strip()
                else:
                    about[key] = value.strip()
                continue
            headers.append(expect_tag(name, at))
        else:
            entries.append(_Entry(len(headers) - 1, Line(text=_short(line, at)), number))
            empty = False
    entries = _in_order(entries, where, repeated=repeated, offset=about.pop("offset", ""))
    sections, remarks = _sections(headers, entries)
    return SongScript(sections=tuple(sections), about=about, remarks=remarks, **known)


def _stamps(line: str, where: str) -> tuple[list[float], str]:
    """The times at the beginning of a line, and the rest of it."""
    found: list[float] = []
    while match := _BRACKET.match(line):
        inside = match[1].strip()
        if not re.match(r"-?\d", inside):
            break
        found.append(clock(inside, where))
        line = line[match.end() :]
    return found, line.strip()


def clock(text: str, where: str) -> float:
    """Seconds of `mm:ss.xx`.

    Raises:
        UserError: it is none.
    """
    found = _CLOCK.match(text.strip())
    if not found or int(found[2]) >= 60:
        raise UserError(f"{where}: [{text[:40]}] is no time; times are [mm:ss.xx] with seconds below 60")
    return lrc.seconds(found[1], found[2], found[3])


def _timed_line(text: str, start: float, where: str) -> Line:
    if "<" not in text or not _WORD.search(text):
        return Line(text=_short(text, where), start=start)
    words: list[TimedWord] = []
    end, now = None, start
    for match in _WORD.finditer(text):
        time = clock(match[1], where)
        if time < now:
            raise UserError(f"{where}: <{match[1]}> comes before what stands before it; times rise along a line")
        now = time
        if words and words[-1].end is None:
            words[-1] = replace(words[-1], end=time)
        if match[2].strip():
            words.append(TimedWord(text=match[2].strip(), start=time))
        else:
            end = time
    plain = " ".join(re.sub(r"<[^<>]*>", " ", text).split())
    return Line(text=_short(plain, where), start=start, end=end, words=tuple(words))


def _short(text: str, where: str) -> str:
    if len(text) > LONGEST:
        raise UserError(f"{where}: a line of {len(text)} characters; sing it as several ({LONGEST} at the most)")
    return text


def _in_order(entries: list[_Entry], where: str, *, repeated: bool, offset: str) -> list[_Entry]:
    """The lines by their times; those without words become the ends of the lines before."""
    times = [entry for entry in entries if entry.line.start is not None]
    if times and len(times) < len(entries):
        without = next(entry for entry in entries if entry.line.start is None)
        raise UserError(f"{where}: line {without.at} has no time, and others have: {without.line.text[:40]!r}")
    if not times:
        return entries
    shift = lrc.offset_seconds(offset or "0", where)
    if repeated:  # a line with several times is sung several times
        entries = sorted(entries, key=lambda entry: entry.line.start or 0.0)
    ordered: list[_Entry] = []
    last = -1.0
    for entry in entries:
        start = entry.line.start or 0.0
        if start < last:
            raise UserError(
                f"{where}: line {entry.at}: [{lrc.stamp(start)}] comes before [{lrc.stamp(last)}] of the line above; "
                "times rise"
            )
        last = start
        if entry.line.text:
            ordered.append(_Entry(entry.section, _shifted(entry.line, shift), entry.at))
        elif ordered and ordered[-1].line.end is None:
            ordered[-1].line = replace(ordered[-1].line, end=max(0.0, round(start - shift, 3)))
    return ordered


def _shifted(line: Line, seconds: float) -> Line:
    """The line so many seconds earlier."""
    if not seconds:
        return line

    def moved(time: float | None) -> float | None:
        return None if time is None else max(0.0, round(time - seconds, 3))

    words = tuple(replace(word, start=moved(word.start) or 0.0, end=moved(word.end)) for word in line.words)
    return replace(line, start=moved(line.start), end=moved(line.end), words=words)


def _sections(headers: Sequence[Section], entries: Sequence[_Entry]) -> tuple[list[Section], tuple[str, ...]]:
    """The sections with their lines, in the order of the lines; and what was chosen."""
    runs: list[tuple[int, list[Line]]] = [(i, []) for i in range(len(headers))]
    places = [entry.section for entry in entries]
    if places != sorted(places):  # repeated lines stand where their times put them
        runs = []
        for entry in entries:
            if not runs or runs[-1][0] != entry.section:
                runs.append((entry.section, []))
            runs[-1][1].append(entry.line)
    else:
        for entry in entries:
            runs[entry.section][1].append(entry.line)
    bare = [[line.text.lower() for line in lines] for i, lines in runs if not headers[i].tag]
    found, choruses = [], 0
    for i, lines in runs:
        header = headers[i]
        if not header.tag:
            if not lines:
                continue
            twice = len(bare) > 2 and bare.count([line.text.lower() for line in lines]) > 1
            choruses += twice
            header = replace(header, tag="chorus" if twice else "verse")
        found.append(replace(header, lines=tuple(lines)))
    said = f"no tags: paragraphs are verses{', those that come again choruses' if choruses else ''}"
    return found, (said,) if len(headers) > 1 and not any(h.tag for h in headers) else ()


def write_tagged(script: SongScript, *, times: bool) -> str:
    """Writes our own text, or LRC."""
    heads = {"title": script.title, "language": script.language, "style": script.style}
    lines = [f"[{_SHORT[name]}: {value}]" for name, value in heads.items() if value]
    lines += [f"[{key}: {value}]" for key, value in script.about.items()]
    spans = script.spans() if times else iter(())
    for section in script.sections:
        if lines and not times:
            lines.append("")
        lines.append(section.header)
        for line in section.lines:
            if times:
                lines += _stamped(line, *next(spans)[1:])
            else:
                lines.append(line.text)
    return "\n".join(lines) + "\n"


def _stamped(line: Line, start: float, end: float) -> list[str]:
    text = line.text
    if line.words:
        text = " ".join(f"<{lrc.stamp(word.start)}>{word.text}" for word in line.words)
        last = line.words[-1].end
        text += "" if last is None else f" <{lrc.stamp(last)}>"
    closed = line.end is not None and not (line.words and line.words[-1].end == line.end)
    return [f"[{lrc.stamp(start)}]{text}", *([f"[{lrc.stamp(end)}]"] if closed else [])]


def _bytes(path: Path) -> bytes:
    try:
        with open(path, "rb") as file:
            data = file.read(8 * LARGEST + 1)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    if len(data) > 8 * LARGEST:
        raise UserError(f"{path}: is too long for the words of a song; {LARGEST} characters are the most")
    return data
