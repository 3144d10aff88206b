"""SongScript: every dialect there and back, and what is refused, with the line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from aoide.config import UserError
from aoide.score import dialects
from aoide.score.song_script import SongScript, rough_syllables, words_of

PLAIN = """[ti: Evening]
[style: folk, guitar, 90 bpm]

[intro 4s]

[verse 1]
The sun goes down
the birds are still

[chorus]
Sleep now, my little one

[inst]

[verse 2]
The moon is up
and all is well

[outro]
"""
LRC = """[ti:Evening]
[ar:Nobody]
[verse]
[00:04.00]The sun goes down
[00:07.50]<00:07.50>the <00:08.00>birds <00:08.50>are <00:08.75>still <00:09.90>
[00:10.50]
[chorus]
[00:12.00]Sleep now
"""


@pytest.fixture
def script() -> SongScript:
    return SongScript.read(PLAIN)


def test_plain_text_is_understood_and_written_as_it_was(script: SongScript) -> None:
    assert script.write() == PLAIN
    assert [section.tag for section in script.sections] == ["intro", "verse", "chorus", "inst", "verse", "outro"]
    assert script.sections[0].seconds == 4 and script.sections[4].number == "2"
    assert script.title == "Evening" and script.style == "folk, guitar, 90 bpm" and len(script.lines) == 5


def test_lrc_keeps_lines_words_sections_and_ends() -> None:
    script = SongScript.read(LRC)
    verse, chorus = script.sections
    assert verse.lines[1].text == "the birds are still"
    assert [word.start for word in verse.lines[1].words] == [7.5, 8.0, 8.5, 8.75]
    assert verse.lines[1].words[-1].end == verse.lines[1].end == 9.9
    assert chorus.tag == "chorus" and chorus.lines[0].start == 12.0 and script.about == {"ar": "Nobody"}
    assert SongScript.read(script.write("lrc")) == script
    assert list(script.spans())[2][2] == 17.0, "the last line lasts a while"


def test_a_time_alone_ends_the_line_before_it() -> None:
    script = SongScript.read("[00:01.00]one\n[00:02.125]\n[00:03]two")
    assert script.lines[0].end == 2.125 and SongScript.read(script.write("lrc")) == script


def test_lines_with_several_times_are_sung_several_times_and_offset_counts() -> None:
    script = SongScript.read("[offset: 500]\n[chorus]\n[00:01.00][00:05.00]la la\n[verse]\n[00:03.00]words")
    assert [(line.text, line.start) for line in script.lines] == [("la la", 0.5), ("words", 2.5), ("la la", 4.5)]
    assert [section.tag for section in script.sections] == ["chorus", "verse", "chorus"]


def test_every_dialect_goes_there_and_back(script: SongScript) -> None:
    timed = script.timed()
    for name in dialects.NAMES:
        text = timed.write(name)
        again = SongScript.read(text, "" if name != "karasinger" else name)
        assert again.write(name) == text, name
        words = [w.strip(".,").lower() for line in again.lines for w in line.text.split()]
        assert words == [w.strip(".,").lower() for line in script.lines for w in line.text.split()], name


def test_what_each_model_gets(script: SongScript) -> None:
    timed = script.timed()
    assert timed.write("levo") == (
        "[intro-short] ; [verse] The sun goes down. the birds are still ; [chorus] Sleep now, my little one ; "
        "[inst-short] ; [verse] The moon is up. and all is well ; [outro-short]\n"
    )
    assert timed.write("songbloom").startswith("[intro] [intro] [intro] [intro] , [verse] The sun goes down. the")
    assert timed.write("yue").startswith("[verse]\nThe sun") and "[intro]" not in timed.write("yue")
    assert "[inst]\n\n[verse]" in timed.write("ace-step")
    first = timed.write("diffrhythm").splitlines()[0]
    assert first == "[00:04.00]The sun goes down" and len(first[1:9]) == 8
    row = json.loads(timed.write("jam"))[0]
    assert row["word"] == "The" and row["start"] == 4.0 and row["end"] > 4.1
    assert dialects.style(script, "yue") == "folk guitar 90 bpm"


def test_jam_keeps_times_and_finds_lines(script: SongScript) -> None:
    timed = script.timed(pause=0.8)
    again = SongScript.read(timed.write("jam"))
    assert [line.text for line in again.lines] == [line.text for line in script.lines]
    assert [line.words for line in again.lines] == [line.words for line in timed.lines]
    assert (
        SongScript.read('[{"start": 1, "end": 2, "word": "さ"}, {"start": 2, "end": 3, "word": "く"}]').lines[0].text
        == "さく"
    )


def test_times_by_rule_rise_and_fill_a_section_of_known_length() -> None:
    script = SongScript.read("[verse 10s]\none two three\nfour five\n[chorus]\nsix").timed()
    spans = list(script.spans())
    assert [start for _, start, _ in spans] == sorted(start for _, start, _ in spans)
    assert spans[2][1] == pytest.approx(10.0) and spans[1][2] < 10.0
    assert script.timed() is script


def test_paragraphs_without_tags() -> None:
    script = SongScript.read("one\ntwo\n\nla la\n\nthree\nfour\n\nla la\n")
    assert [section.tag for section in script.sections] == ["verse", "chorus", "verse", "chorus"]
    assert "no tags" in script.remarks[0]
    assert SongScript.read("just one line").sections[0].tag == "verse"


@pytest.mark.parametrize("tag", ["Verse 2", "CHORUS", "pre chorus", "Guitar Solo", "Refrain:", "Final chorus"])
def test_tags_as_people_write_them(tag: str) -> None:
    assert SongScript.read(f"[{tag}]\nla").sections[0].tag in dialects_tags()


def dialects_tags() -> tuple[str, ...]:
    from aoide.score.song_script import TAGS

    return TAGS


def test_syllables_and_words_of_other_scripts() -> None:
    assert [rough_syllables(word) for word in ("sleep", "little", "evening", "さくら", "きょう")] == [1, 2, 3, 3, 2]
    assert words_of("きょうは 晴れ") == ["きょ", "う", "は", "晴", "れ"] and words_of("so it is") == ["so", "it", "is"]
    russian = SongScript.read("[verse]\nСпи, моя радость").timed()
    assert russian.lines[0].words[1].text == "моя" and "Спи" in russian.write("jam")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty"),
        (" \n\n", "is empty"),
        ("[verse]\n[chorus]\n", "no words to sing"),
        ("[vers]\nla la", r"line 1: \[vers\] is no section of a song; did you mean verse"),
        ("[qqq]\nla la", "there are verse"),
        ("[00:10.00]one\n[00:05.00]two", r"line 2: \[00:05.00\] comes before \[00:10.00\]"),
        ("[00:75.00]one", r"line 1: \[00:75.00\] is no time"),
        ("[0a:10]one", r"\[0a:10\] is no time"),
        ("[00:01.00]one\ntwo", "line 2 has no time, and others have: 'two'"),
        ("[00:01]<00:01>a <00:00>b", "times rise along a line"),
        ("la " * 40_000, "too many for a song"),
        ("[verse]\n" + "la " * 400, "a line of 1199 characters"),
        ('[{"word": "a"}]', "not the words of JAM"),
        ('[{"start": 2, "end": 1, "word": "a"}]', "times rise"),
        (
            '[{"start": 1, "end": 2, "word": "a"}, {"start": 1.5, "end": 2, "word": "b"}]',
            "before the one before it ends",
        ),
        ("[verse] a. b ; [vers] c", r"section 2: \[vers\]"),
    ],
)
def test_what_is_refused(text: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        SongScript.read(text)


def test_files(tmp_path: Path, script: SongScript) -> None:
    script.save(tmp_path / "a.txt")
    assert SongScript.load(tmp_path / "a.txt") == script
    script.timed().save(tmp_path / "a.lrc")
    assert SongScript.load(tmp_path / "a.lrc").lines[0].start == 4.0
    (tmp_path / "utf16.txt").write_text(PLAIN, "utf-16")
    assert SongScript.load(tmp_path / "utf16.txt") == script
    with pytest.raises(UserError, match="has no time; SongScript.timed"):
        script.save(tmp_path / "b.lrc")
    with pytest.raises(UserError, match="no format of lyrics"):
        script.save(tmp_path / "b.doc")
    with pytest.raises(UserError, match="no such file"):
        SongScript.load(tmp_path / "none.txt")
    (tmp_path / "binary.txt").write_bytes(b"\0\1\2\3" * 99)
    with pytest.raises(UserError, match="not a text"):
        SongScript.load(tmp_path / "binary.txt")
    with pytest.raises(UserError, match="no dialect 'leevo' of lyrics; did you mean levo"):
        script.write("leevo")
