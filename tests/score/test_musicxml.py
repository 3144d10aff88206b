"""MusicXML: what a score sounds like, what is refused, and back."""

import io
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aoide.config import UserError
from aoide.score import Meter, Note, Score, Tempo, musicxml
from aoide.score.unfold import Bar, unfold

SONGS = sorted((Path(__file__).parents[2] / "examples" / "songs").glob("*.musicxml"))
DOCTYPE = (
    '<!DOCTYPE score-partwise PUBLIC "-//Recordare//DTD MusicXML 3.1 Partwise//EN" '
    '"http://www.musicxml.org/dtds/partwise.dtd">'
)


def note(
    pitch: str, duration: int, inside: str = "", lyric: str = "", syllabic: str = "single", extend: str = ""
) -> str:
    step, octave = pitch[0], pitch[-1]
    alter = {"#": "<alter>1</alter>", "b": "<alter>-1</alter>"}.get(pitch[1:-1], "")
    words = f"<lyric number='1'><syllabic>{syllabic}</syllabic><text>{lyric}</text>{extend}</lyric>" if lyric else ""
    return (
        f"<note><pitch><step>{step}</step>{alter}<octave>{octave}</octave></pitch><duration>{duration}</duration>"
        f"{inside}{words}</note>"
    )


def bar(number: int, *content: str, first: str = "") -> str:
    start = f"<attributes><divisions>2</divisions>{first}</attributes>" if first or number == 1 else ""
    return f"<measure number='{number}'>{start}{''.join(content)}</measure>"


def score(*bars: str, more: str = "", names: str = "", head: str = DOCTYPE) -> bytes:
    names = names or "<score-part id='P1'><part-name>Voice</part-name></score-part>"
    return (
        f"<?xml version='1.0' encoding='UTF-8'?>{head}<score-partwise><part-list>{names}</part-list>"
        f"<part id='P1'>{''.join(bars)}</part>{more}</score-partwise>"
    ).encode()


def read(*bars: str, part: str | int | None = None, **more: str) -> Score:
    return musicxml.read(score(*bars, **more), "song.musicxml", part)


@pytest.mark.parametrize("path", SONGS, ids=lambda path: path.stem)
def test_the_songs_are_whole(path: Path, tmp_path: Path) -> None:
    song = Score.load(path)
    assert song.title and song.language and song.notes and not song.remarks
    assert song.check(low=55, high=81) == []
    for ending in (".musicxml", ".mxl"):
        song.save(tmp_path / f"again{ending}")
        assert Score.load(tmp_path / f"again{ending}") == song


def test_there_are_songs_in_three_languages() -> None:
    assert {Score.load(path).language for path in SONGS} == {"en", "ja", "zh"}


def test_ties_slurs_syllables_and_melismas() -> None:
    made = read(
        bar(
            1,
            note("C4", 2, lyric="A", syllabic="begin"),
            note("D4", 2, lyric="ve", syllabic="end", extend="<extend/>"),
            note("E4", 4, "<tie type='start'/>"),
        ),
        bar(2, note("E4", 4, "<tie type='stop'/>"), note("F4", 2, lyric="Ma"), note("G4", 2)),
        bar(
            3,
            note("A4", 2, "<notations><slur type='start'/></notations>", lyric="ri"),
            note("B4", 2, "<notations><slur type='stop'/></notations>"),
            note("Bb4", 4, "<notations><articulations><breath-mark/></articulations></notations>"),
        ),
    )
    assert [(n.start, n.length, n.pitch, n.lyric, n.hyphen, n.slur) for n in made.notes] == [
        (0, 480, 60, "A", True, False),
        (480, 480, 62, "ve", False, False),
        (960, 1920, 64, "", False, True),
        (2880, 480, 65, "Ma", False, False),
        (3360, 480, 67, "", False, False),  # neither slurred nor extended: a note without a syllable
        (3840, 480, 69, "ri", False, False),
        (4320, 480, 71, "", False, True),
        (4800, 960, 70, "", False, False),
    ]
    assert made.notes[-1].breath


def test_tempo_marks_and_meters() -> None:
    waltz = "<time><beats>3</beats><beat-type>4</beat-type></time>"
    metronome = (
        "<direction><direction-type><metronome><beat-unit>quarter</beat-unit><beat-unit-dot/><per-minute>c. 60"
        "</per-minute></metronome></direction-type></direction>"
    )
    made = read(
        bar(1, "<direction><sound tempo='90'/></direction>", note("C4", 6), first=waltz),
        bar(2, metronome, note("C4", 6)),
        bar(3, note("C4", 4), "<sound tempo='120'/>", note("C4", 4), first=waltz.replace("3", "4", 1)),
    )
    assert made.tempos == (Tempo(tick=0, bpm=90), Tempo(tick=1440, bpm=90), Tempo(tick=3840, bpm=120))
    assert made.meters == (Meter(tick=0, beats=3, unit=4), Meter(tick=2880, beats=4, unit=4))
    assert made.place(2880) == "bar 3 beat 1"


def test_a_pickup_keeps_the_bars_in_place() -> None:
    four = "<time><beats>4</beats><beat-type>4</beat-type></time>"
    made = read(bar(1, note("C4", 2), first=four), bar(2, note("D4", 8)), bar(3, note("E4", 8)))
    assert [made.place(n.start) for n in made.notes] == ["bar 1 beat 1", "bar 2 beat 1", "bar 3 beat 1"]
    assert musicxml.read(musicxml.write(made, "x.musicxml"), "x") == made


def test_chords_grace_notes_and_voices_are_said() -> None:
    made = read(
        bar(
            1,
            "<note><grace/><pitch><step>B</step><octave>3</octave></pitch></note>",
            note("C4", 4, lyric="one"),
            note("E4", 4, "<chord/>").replace("<note><pitch>", "<note><chord/><pitch>"),
            note("F4", 4, "<voice>1</voice>", lyric="two"),
            "<backup><duration>4</duration></backup>",
            note("C3", 4, "<voice>2</voice>"),
        )
    )
    assert [(n.start, n.pitch, n.lyric) for n in made.notes] == [(0, 64, "one"), (960, 65, "two")]
    assert made.remarks == (
        "grace and cue notes are left out: bar 1",
        "of chords, only the top note is sung: 1 left out",
        "the part has more than one voice; 1 notes of the others are left out",
    )


def test_transposing_instruments_sound() -> None:
    made = read(
        bar(1, note("C4", 8), first="<transpose><chromatic>-2</chromatic><octave-change>1</octave-change></transpose>")
    )
    assert made.notes[0].pitch == 70
    assert "transposing" in made.remarks[0]


def test_parts_are_chosen_by_name_or_number() -> None:
    names = "".join(
        f"<score-part id='P{i}'><part-name>{n}</part-name></score-part>" for i, n in ((1, "Flute"), (2, "Alto"))
    )
    more = f"<part id='P2'>{bar(1, note('A3', 8, lyric='la'))}</part>"
    flute = bar(1, "<direction><sound tempo='77'/></direction>", note("C6", 8))
    assert read(flute, more=more, names=names).notes[0].pitch == 57, "the part with lyrics"
    assert read(flute, more=more, names=names).tempos[0].bpm == 77, "the tempo stands in another part"
    assert read(flute, more=more, names=names, part="Flute").notes[0].pitch == 84
    assert read(flute, more=more, names=names, part=2).remarks == ("part 2 of 2 (Alto) is sung",)
    with pytest.raises(UserError, match="no part 'Alt'; did you mean Alto"):
        read(flute, more=more, names=names, part="Alt")
    with pytest.raises(UserError, match="no part 3; there are 1 Flute, 2 Alto"):
        read(flute, more=more, names=names, part=3)


REPEAT = "<barline><repeat direction='{}'/></barline>"
FORWARD, BACKWARD = REPEAT.format("forward"), REPEAT.format("backward")


def test_repeats_sing_the_next_verse() -> None:
    verses = "<lyric number='1'><text>one</text></lyric><lyric number='2'><text>two</text></lyric>"
    made = read(bar(1, note("C4", 8, verses), BACKWARD), bar(2, note("D4", 8, lyric="end")))
    assert [(n.pitch, n.lyric) for n in made.notes] == [(60, "one"), (60, "two"), (62, "end")]
    assert "repeats are written out: 2 bars become 3" in made.remarks
    assert "2 verses are written, 1 sung" in read(bar(1, note("C4", 8, verses))).remarks


def test_voltas_are_unfolded() -> None:
    ending = "<barline><ending number='{}' type='{}'/></barline>"
    made = read(
        bar(1, note("C4", 8)),
        bar(2, FORWARD, note("D4", 8)),
        bar(3, ending.format(1, "start"), note("E4", 8), BACKWARD, ending.format(1, "stop")),
        bar(4, ending.format(2, "start"), note("F4", 8), ending.format(2, "discontinue")),
        bar(5, note("G4", 8)),
    )
    assert "".join("CDEFG"[[60, 62, 64, 65, 67].index(n.pitch or 0)] for n in made.notes) == "CDEDFG"


@pytest.mark.parametrize(
    ("bars", "order"),
    [
        ([Bar(), Bar()], "01"),
        ([Bar(backward=3)], "000"),
        ([Bar(forward=True), Bar(backward=2), Bar(forward=True, backward=2)], "010122"),
        ([Bar(), Bar(ending=frozenset((1, 2)), backward=2), Bar(ending=frozenset((3,))), Bar()], "0101023"),
        ([Bar(), Bar(ending=frozenset((1,)), backward=2), Bar(ending=frozenset((2,)), backward=2), Bar()], "01023"),
    ],
)
def test_orders_of_bars(bars: list[Bar], order: str) -> None:
    assert "".join(map(str, unfold(bars, "x"))) == order


def test_repeats_without_end_are_refused() -> None:
    with pytest.raises(UserError, match="more than 20000 bars"):
        unfold([Bar(backward=10**9)], "x")


BOMB = "<!DOCTYPE x [<!ENTITY a 'ha'><!ENTITY b '&a;&a;&a;&a;&a;&a;&a;&a;'>]>"
OUTSIDE = "<!DOCTYPE x [<!ENTITY a SYSTEM 'file:///etc/passwd'>]>"


@pytest.mark.parametrize("head", [BOMB, OUTSIDE])
def test_harmful_xml_is_refused(head: str) -> None:
    data = score(bar(1, note("C4", 8)), head=head).replace(b"Voice", b"&b;" if head is BOMB else b"&a;")
    with pytest.raises(UserError, match=r"^song.xml: declares entities"):
        musicxml.read(data, "song.xml")


def archive(name: str, data: bytes, container: bool = True) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as file:
        if container:
            file.writestr(
                "META-INF/container.xml",
                f"<container><rootfiles><rootfile full-path='{name}'/></rootfiles></container>",
            )
        file.writestr(name, data)
    return packed.getvalue()


def test_archives(monkeypatch: pytest.MonkeyPatch) -> None:
    data = score(bar(1, note("C4", 8)))
    assert len(musicxml.read(archive("a.xml", data), "x").notes) == 1
    assert len(musicxml.read(archive("a.xml", data, container=False), "x").notes) == 1
    monkeypatch.setattr(musicxml, "_LARGEST", 1_000_000)
    with pytest.raises(UserError, match="a.xml unpacks to more than 1 MB; refused"):
        musicxml.read(archive("a.xml", b" " * 1_000_001), "x")
    with pytest.raises(UserError, match="a damaged archive"):
        musicxml.read(archive("a.xml", data)[:-30], "x")
    with pytest.raises(UserError, match="without a score"):
        musicxml.read(archive("a.txt", data, container=False), "x")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"<score-partwise><part", "not XML, or damaged"),
        (b"<html/>", "not a MusicXML score: it begins with <html>"),
        (b"<score-timewise/>", "score-timewise"),
        (b"<score-partwise/>", "no parts"),
        (b"<score-partwise><part id='P1'/></score-partwise>", "no bars"),
        (score(bar(1, "<direction><sound dacapo='yes'/></direction>", note("C4", 8))), "bar 1: jumps (dacapo)"),
        (score(bar(1, note("C4", 8).replace("<duration>8</duration>", ""))), "bar 1: a note without a duration"),
        (score(bar(1, note("C4", -8))), "bar 1: a note of negative length"),
        (score(bar(1, note("C4", 8).replace(">8<", ">eight<"))), "bar 1: duration is not a number: 'eight'"),
        (score(bar(1, note("H4", 8))), "bar 1: 'H4' is not the name of a pitch"),
        (score("<measure number='1'><attributes><divisions>0</divisions></attributes></measure>"), "above zero"),
        (score(bar(1, first="<time><beats>x</beats></time>")), "bar 1: not a time signature: x"),
        (score(bar(1, note("C4", 10**12))), "far too large"),
    ],
)
def test_bad_files_are_refused_in_words(data: bytes, words: str) -> None:
    with pytest.raises(UserError) as caught:
        musicxml.read(data, "song.xml")
    assert str(caught.value).startswith("song.xml: ") and words in str(caught.value)
    assert "\n" not in str(caught.value)


@settings(max_examples=15, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 1000),
            st.integers(1, 3000),
            st.integers(30, 90),
            st.sampled_from("-s_"),
            st.integers(-49, 49),
        ),
        min_size=1,
        max_size=12,
    ),
    st.sampled_from([(4, 4), (3, 4), (6, 8), (7, 8)]),
    st.lists(st.tuples(st.integers(0, 6000), st.floats(20, 300)), max_size=3),
)
def test_any_melody_comes_back(
    row: list[tuple[int, int, int, str, int]], meter: tuple[int, int], marks: list[tuple[int, float]]
) -> None:
    """Notes with rests between them, any lengths and bars: the same Score again."""
    notes: list[Note] = []
    tick = 0
    for gap, length, pitch, kind, cents in row:
        tick += gap
        held, goes_on = kind == "_" and len(notes) > 0, kind == "-" and len(notes) + 1 < len(row)
        words = {"lyric": "" if held else f"s{tick}", "slur": held, "hyphen": goes_on}
        notes.append(Note(start=tick, length=length, pitch=pitch, cents=float(cents), **words))  # type: ignore[arg-type]
        tick += length
    tempos = {0: 100.0} | {at: bpm for at, bpm in marks if at < tick}
    song = Score(
        notes=tuple(notes),
        tempos=tuple(Tempo(tick=at, bpm=tempos[at]) for at in sorted(tempos)),
        meters=(Meter(tick=0, beats=meter[0], unit=meter[1]),),
        title="a & b <c>",
        language="en",
    )
    assert musicxml.read(musicxml.write(song, "x.musicxml"), "x") == song
