"""MIDI, UST, USTX, .ds, labels, LRC: there and back, what is refused, and which format a file is in."""

import json
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aoide.config import MissingExtra, UserError
from aoide.data.sung import silent
from aoide.score import Curve, Meter, Note, Phoneme, Score, Segment, Tempo, ds, hts, lrc, midi, ust, ustx
from aoide.score.formats import ENDINGS, NAMES, sniff
from aoide.score.score import in_seconds

SONG = Score(
    notes=(
        Note(start=480, length=480, pitch=60, lyric="Twin", hyphen=True),
        Note(start=960, length=480, pitch=62, lyric="kle"),
        Note(start=1440, length=240, pitch=64, slur=True),
        Note(start=1920, length=960, pitch=65, lyric="stär"),
    ),
    tempos=(Tempo(tick=0, bpm=100.0), Tempo(tick=960, bpm=125.0)),
    meters=(Meter(tick=0, beats=3, unit=4), Meter(tick=1440, beats=4, unit=4)),
    title="Song",
)


def refused(read: Any, data: bytes, words: str) -> None:
    """One clear line that begins with the file."""
    with pytest.raises(UserError) as caught:
        read(data, "file")
    text = str(caught.value)
    assert text.startswith("file") and words in text and "\n" not in text, text


# ------------------------------------------------------------------------------------------------------------- MIDI


def test_midi_comes_back() -> None:
    assert midi.read(midi.write(SONG, "x"), "x") == SONG


@settings(max_examples=15, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 900), st.integers(1, 900), st.integers(0, 127), st.text("abcあ长'", max_size=4)),
        min_size=1,
        max_size=10,
    )
)
def test_any_melody_comes_back_from_midi(row: list[tuple[int, int, int, str]]) -> None:
    notes, tick = [], 0
    for gap, length, pitch, lyric in row:
        notes.append(Note(start=tick + gap, length=length, pitch=pitch, lyric=lyric))
        tick += gap + length
    song = Score(notes=tuple(notes), resolution=96)
    assert midi.read(midi.write(song, "x"), "x") == song


def chunk(body: bytes) -> bytes:
    return b"MTrk" + struct.pack(">I", len(body)) + body


def file(*tracks: bytes, kind: int = 1, division: int = 96, count: int | None = None) -> bytes:
    head = struct.pack(">4sIHHH", b"MThd", 6, kind, len(tracks) if count is None else count, division)
    return head + b"".join(map(chunk, tracks))


END = b"\x00\xff\x2f\x00"


def test_midi_of_format_0_with_running_status_and_a_chord() -> None:
    body = (
        b"\x00\xff\x05\x03one\x00\x90\x3c\x40\x00\x40\x40\x60\x3c\x00\x00\x40\x00"  # C4 and E4, ended by velocity 0
        b"\x00\xc0\x05\x00\xf0\x02\x01\xf7\x00\xff\x05\x03two\x00\x90\x3e\x40\x60\x80\x3e\x40" + END
    )
    song = midi.read(file(body, kind=0), "x")
    assert [(n.start, n.length, n.pitch, n.lyric) for n in song.notes] == [(0, 96, 64, "one"), (96, 96, 62, "two")]
    assert song.remarks == ("of chords, only the top note is sung: 1 left out",)


def test_karaoke_texts_are_lyrics() -> None:
    texts = [b"@Tsong", b"\\Twin", b"kle ", b"/star"]
    words = b"".join(
        b"\x00\xff\x01" + bytes([len(t)]) + t + (b"\x60\xff\x01\x01 " if t[0] != 64 else b"") for t in texts
    )
    notes = b"".join(b"\x00\x90\x3c\x40\x60\x80\x3c\x40" for _ in range(3))
    song = midi.read(file(words + END, notes + END), "x")
    assert [(n.lyric, n.hyphen) for n in song.notes] == [("Twin", True), ("kle", False), ("star", True)] or [
        (n.lyric, n.hyphen) for n in song.notes
    ] == [("Twin", True), ("kle", False), ("star", False)]


def test_midi_tracks_are_chosen() -> None:
    def track(name: bytes, pitch: int, channel: int = 0) -> bytes:
        on, off = bytes([0x90 + channel, pitch, 64]), bytes([0x80 + channel, pitch, 64])
        return b"\x00\xff\x03" + bytes([len(name)]) + name + b"\x00" + on + b"\x60" + off + END

    data = file(track(b"Drums", 35, 9), track(b"Piano", 50), track(b"Voice", 60))
    assert midi.read(data, "x").notes[0].pitch == 50
    assert midi.read(data, "x", "Voice").notes[0].pitch == 60
    assert midi.read(data, "x", 2).remarks == ("track 2 of 2 (Voice) is sung",)
    with pytest.raises(UserError, match="no track 'Vioce'; did you mean Voice"):
        midi.read(data, "x", "Vioce")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"MThd", "cut off"),
        (file(b"", kind=2), "format 2"),
        (file(b"", division=0xE728), "film frames"),
        (file(b"", count=3), "cut off: 3 tracks promised, 1 there"),
        (file(b"\x00\x90\x3c\x40\x60\x80\x3c\x40" + END)[:-4], "cut off in track 1"),
        (file(b"\x00\x40\x40" + END), "data without a status"),
        (file(b"\x00\x90\x3c\xff" + END), "a broken event"),
        (file(b"\xff\xff\xff\xff\xff" + END), "more than four bytes"),
        (file(b"\x00\xff\x05\x7fone"), "in the middle of an event"),
        (file(b"\x00\xf4"), "no event of a file"),
        (file(END), "no notes"),
    ],
)
def test_corrupt_midi_is_one_clear_line(data: bytes, words: str) -> None:
    refused(midi.read, data, words)


@settings(max_examples=40, deadline=None)
@given(st.binary(max_size=60))
def test_noise_never_crashes_the_midi_reader(noise: bytes) -> None:
    for data in (b"MThd" + noise, file(noise)):
        try:
            midi.read(data, "file")
        except UserError as error:
            assert "\n" not in str(error)


def test_midi_says_what_it_cannot_write() -> None:
    with pytest.raises(UserError, match="no time signature 4/3"):
        midi.write(replace(SONG, meters=(Meter(tick=0, beats=4, unit=3),)), "x")


# -------------------------------------------------------------------------------------------------------- UST, USTX

WHOLE = replace(  # as editors write words: whole on the first note
    SONG,
    notes=(
        Note(start=480, length=480, pitch=60, lyric="Twinkle"),
        Note(start=960, length=480, pitch=62, lyric="+", slur=True),
        Note(start=1440, length=240, pitch=64, lyric="-", slur=True),
        Note(start=1920, length=960, pitch=65, lyric="star", extra={"Flags": "g-2", "PBS": "-40"}),
    ),
    meters=(Meter(tick=0, beats=4, unit=4),),
)


def test_ust_comes_back() -> None:
    again = ust.read(ust.write(WHOLE, "x"), "x")
    assert replace(again, extra={}) == WHOLE
    assert ust.read(ust.write(again, "x"), "x") == again


def test_ust_in_both_encodings() -> None:
    text = "[#VERSION]\r\nUST Version1.2\r\n[#SETTING]\r\nTempo=120,50\r\n"
    text += "[#0000]\r\nLength=480\r\nLyric=R\r\nNoteNum=60\r\n"
    text += "[#0001]\r\nLength=240\r\nLyric=あ\r\nNoteNum=62\r\n[#TRACKEND]\r\n"
    for data in (text.encode("cp932"), b"\xef\xbb\xbf" + text.encode()):
        song = ust.read(data, "x")
        assert song.tempos[0].bpm == 120.5
        assert [(n.start, n.length, n.pitch, n.lyric) for n in song.notes] == [(480, 240, 62, "あ")]
    assert b"Charset=UTF-8" in ust.write(Score(notes=(Note(start=0, length=1, pitch=60, lyric="ñ한"),)), "x")


def test_rests_and_breaths_as_utau_has_them() -> None:
    text = "[#SETTING]\nTempo=120\n"
    for number, lyric in enumerate(("R", "息", "rest")):
        text += f"[#000{number}]\nLength=480\nLyric={lyric}\nNoteNum=60\n"
    song = ust.read(text.encode("cp932"), "x")
    assert [(n.start, n.lyric, n.sung) for n in song.notes] == [(480, "AP", False), (960, "rest", True)]
    notes = [{"position": 480 * i, "duration": 480, "tone": 60, "lyric": lyric} for i, lyric in enumerate("R息a")]
    project = {"ustx_version": "0.6", "tracks": [{}], "voice_parts": [{"track_no": 0, "position": 0, "notes": notes}]}
    song = ustx.read(json.dumps(project).encode(), "x")
    assert [(n.lyric, n.sung) for n in song.notes] == [("R", False), ("AP", False), ("a", True)]


def test_an_american_r_is_no_rest() -> None:
    song = in_seconds(phonemes=tuple(Phoneme(symbol=s, start=i, end=i + 1) for i, s in enumerate(("SP", "R", "AH0"))))
    assert [line.split()[2] for line in hts.write(song, "x").decode().splitlines()] == ["pau", "R", "AH0"]
    assert not silent("en/R") and silent("en/SP") and silent("AP")


def test_a_word_that_is_rest_keeps_its_note() -> None:
    song = Score(notes=(Note(start=0, length=480, pitch=60, lyric="rest", phonemes=("r",)),))
    assert json.loads(ds.write(song, "x"))[0]["note_seq"].split() == ["C4", "rest"]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"hello", "no UST file"),
        (b"[#0000]\nLength=x\nLyric=a\nNoteNum=60", "line 1: the note has no Length"),
        (b"[#0000]\nLength=1\nLyric=a\nNoteNum=600", "no MIDI number"),
        (b"[#0000]\nLength=-1\nLyric=a\nNoteNum=60", "a length of -1"),
        (b"[#SETTING]\nTempo=fast", "not a tempo: 'fast'"),
        (b"[#SETTING]\nTempo=120\nnonsense", "line 3: neither a section nor name=value"),
        (b"[#SETTING]\nProjectName=\x81", "not a text in utf-8-sig or cp932"),
    ],
)
def test_bad_ust(data: bytes, words: str) -> None:
    refused(ust.read, data, words)


USTX = """
name: Song
ustx_version: "{version}"
bpm: 100
beat_per_bar: 3
beat_unit: 4
expressions: {{}}
tempos: [{{position: 0, bpm: 100}}, {{position: 960, bpm: 125}}]
time_signatures:
- {{bar_position: 0, beat_per_bar: 3, beat_unit: 4}}
- {{bar_position: 2, beat_per_bar: 4, beat_unit: 4}}
tracks:
- {{singer: nobody, phonemizer: OpenUtau.Core.DiffSinger.DiffSingerEnglishPhonemizer, track_name: Lead}}
voice_parts:
- name: A
  track_no: 0
  position: 480
  notes:
  - position: 0
    duration: 480
    tone: 60
    lyric: Twinkle
    pitch: {{data: [{{x: -25, y: 3, shape: io}}], snap_first: true}}
    vibrato: {{length: 75, period: 175, depth: 25, in: 10, out: 10, shift: 0, drift: 0}}
    tuning: 15
    phoneme_expressions: []
    phoneme_overrides: []
  - {{position: 480, duration: 480, tone: 62, lyric: "+"}}
  - {{position: 960, duration: 240, tone: 64, lyric: "+~"}}
  curves: [{{xs: [0, 5], ys: [10, 20], abbr: pitd}}]
- {{name: B, track_no: 0, position: 1920, notes: [{{position: 0, duration: 960, tone: 65, lyric: "star[s t aa r]"}}]}}
wave_parts: []
"""


def test_ustx_is_read_and_comes_back() -> None:
    song = ustx.read(USTX.format(version="0.6").encode(), "x")
    assert [(n.start, n.length, n.pitch, n.lyric, n.slur) for n in song.notes] == [
        (480, 480, 60, "Twinkle", False),
        (960, 480, 62, "+", True),
        (1440, 240, 64, "+~", True),
        (1920, 960, 65, "star", False),
    ]
    assert song.tempos == SONG.tempos
    assert song.meters == (Meter(tick=0, beats=3, unit=4), Meter(tick=2880, beats=4, unit=4))
    assert song.notes[0].cents == 15 and song.notes[0].extra["vibrato"]["length"] == 75
    assert song.notes[3].phonemes == ("s", "t", "aa", "r")
    again = ustx.read(ustx.write(song, "x"), "x")
    assert again.extra["ustx"]["track"]["singer"] == "nobody"
    assert again.extra["ustx"]["curves"] == [{"xs": [480, 485], "ys": [10, 20], "abbr": "pitd"}]
    assert ustx.read(ustx.write(again, "x"), "x") == again
    assert replace(again, extra={}, notes=()) == replace(song, extra={}, notes=())
    plain = [replace(note, extra={}) for note in again.notes]
    assert plain == [replace(note, extra={}) for note in song.notes]


def test_old_ustx_has_one_tempo() -> None:
    data = b"ustx_version: 0.1\nbpm: 99\nbeat_per_bar: 3\nbeat_unit: 8\n"
    data += b"voice_parts: [{notes: [{position: 0, duration: 9, tone: 60, lyric: a}]}]"
    song = ustx.read(data, "x")
    assert song.tempos == (Tempo(tick=0, bpm=99.0),) and song.meters == (Meter(tick=0, beats=3, unit=8),)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (USTX.format(version="1.3").encode(), "a newer OpenUtau (USTX 1.3; known up to 0.9)"),
        (b"ustx_version: 0.10\nvoice_parts: []", "a newer OpenUtau (USTX 0.10; known up to 0.9)"),
        (USTX.format(version="next").encode(), "no version"),
        (USTX.format(version="0.6").replace("tone: 65", "tone: 650").encode(), "a note with the tone 650"),
        (USTX.format(version="0.6").replace("tone: 65", "tone: high").encode(), "tone is 'high', not a number"),
        (USTX.format(version="0.6").replace("bpm: 125", "bpm: 0").encode(), "a tempo of zero"),
        (b"ustx_version: 0.6\nvoice_parts: [", "not YAML, or damaged in line"),
        (b"a: 1", "not a project of OpenUtau"),
        (b"ustx_version: 0.6\nvoice_parts: 3", "voice_parts is not a list"),
        (b"ustx_version: 0.6\nvoice_parts: []", "no notes"),
        (b"ustx_version: \xff", "not a text in UTF-8"),
    ],
)
def test_bad_ustx(data: bytes, words: str) -> None:
    refused(ustx.read, data, words)


# --------------------------------------------------------------------------------------------------------------- .ds

SCRIPT = [
    {
        "offset": 1.25,
        "text": "SP 我 多 SP",
        "ph_seq": "SP w o d uo SP",
        "ph_dur": "0.14 0.06 0.4 0.1 0.75 0.25",
        "ph_num": "2 2 1 1",
        "note_seq": "rest C4 D#4+20 E4 rest",
        "note_dur": "0.2 0.5 0.5 0.25 0.25",
        "note_slur": "0 0 0 1 0",
        "note_glide": "none up none none none",
        "f0_seq": "261.6 262.0 0.0",
        "f0_timestep": "0.005",
        "energy": "-40.5 -39.25",
        "energy_timestep": "0.011609977324263039",
        "tension": "1.5 -2.5",
        "tension_timestep": "0.01",
        "lang": "zh",
        "spk_mix": {"a": "0.5", "b": 0.5},
        "seed": 7,
    },
    {"offset": 3.5, "text": "AP", "ph_seq": "AP", "ph_dur": "0.5", "ph_num": "1", "note_seq": "rest",
     "note_dur": "0.5", "note_slur": "0", "lang": "zh"},
]  # fmt: skip


def test_ds_is_read_whole() -> None:
    song = ds.read(json.dumps(SCRIPT).encode(), "x")
    assert [(n.start, n.length, n.pitch, n.cents, n.lyric, n.slur, n.glide) for n in song.notes[:5]] == [
        (1_250_000, 200_000, None, 0, "SP", False, ""),
        (1_450_000, 500_000, 60, 0, "我", False, "up"),
        (1_950_000, 500_000, 63, 20, "多", False, ""),
        (2_450_000, 250_000, 64, 0, "", True, ""),
        (2_700_000, 250_000, None, 0, "SP", False, ""),
    ]
    assert [(p.symbol, p.note) for p in song.phonemes] == [
        ("SP", 0), ("w", 0), ("o", 1), ("d", 1), ("uo", 2), ("SP", 4), ("AP", 5),
    ]  # fmt: skip
    assert song.curves[0] == Curve(name="f0", start=1.25, step=0.005, values=np.array([261.6, 262.0, 0.0]))
    assert {curve.name for curve in song.curves} == {"f0", "energy", "tension"}
    assert song.language == "zh" and song.segments[0].extra["seed"] == 7
    assert song.segments[0].end == pytest.approx(2.95)
    assert song.place(song.notes[1].start) == "1.45 s"


def test_ds_comes_back_field_by_field() -> None:
    song = ds.read(json.dumps(SCRIPT).encode(), "x")
    written = json.loads(ds.write(song, "x"))
    assert written == SCRIPT
    assert ds.read(ds.write(song, "x"), "x") == song


def test_ds_without_durations_gives_its_phonemes_to_notes() -> None:
    script = {key: value for key, value in SCRIPT[0].items() if key != "ph_dur" and not key.endswith("timestep")}
    script = {key: value for key, value in script.items() if key not in ("f0_seq", "energy", "tension")}
    song = ds.read(json.dumps(script).encode(), "x")
    assert song.phonemes == () and song.notes[1].phonemes == ("o", "d")
    assert json.loads(ds.write(song, "x")) == [script]


def test_silence_behind_the_beginning_of_the_next_phrase_is_left_out() -> None:
    phrase = {"text": "AP SP", "ph_seq": "AP SP", "ph_dur": "0.5 0.5", "ph_num": "1 1", "note_seq": "rest rest",
              "note_dur": "0.5 0.5", "note_slur": "0 0"}  # fmt: skip
    song = ds.read(json.dumps([phrase | {"offset": 0.0}, phrase | {"offset": 0.25}]).encode(), "x")
    assert [p.symbol for p in song.phonemes] == ["AP", "AP", "SP"]
    assert song.remarks == ("1 phrases go on in silence while the next begins; left out",)
    assert ds.read(ds.write(song, "x"), "x") == song


def test_a_score_with_phonemes_becomes_phrases() -> None:
    """Two phrases far apart; the consonant before a note counts with the word before it, silence is filled in."""
    song = Score(
        notes=(Note(start=960, length=480, pitch=60, lyric="la"), Note(start=4800, length=480, pitch=62, lyric="la")),
        phonemes=(
            Phoneme(symbol="l", start=0.9, end=1.0, note=0, onset=True),
            Phoneme(symbol="a", start=1.0, end=1.5, note=0),
            Phoneme(symbol="l", start=4.9, end=5.0, note=1, onset=True),
            Phoneme(symbol="a", start=5.0, end=5.5, note=1),
        ),
    )
    first, second = json.loads(ds.write(song, "x"))
    assert first["ph_seq"] == "SP l a SP" and first["ph_num"] == "2 1 1" and first["note_seq"] == "rest C4 rest"
    assert first["ph_dur"] == "0.15 0.1 0.5 0.25" and first["note_dur"] == "0.25 0.5 0.25" and first["offset"] == 0.75
    assert second["offset"] == 4.75 and second["note_seq"] == "rest D4 rest"
    with pytest.raises(UserError, match="x.ds: a .ds file lists phonemes"):
        SONG.save("x.ds")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"note_dur": "0.2"}, "phrase 1: 5 values in note_seq, but 1 in note_dur"),
        ({"ph_dur": "0.2 0.1"}, "6 values in ph_seq, but 2 in ph_dur"),
        ({"ph_dur": "a b c d e f"}, "ph_dur: could not convert string to float"),
        ({"ph_dur": "1 1 1 1 1 -1"}, "a negative duration"),
        ({"note_seq": "rest H4 C4 C4 rest"}, "note_seq: 'H4' is not the name of a pitch"),
        ({"note_slur": "0 1"}, "5 notes, but 2 in note_slur"),
        ({"f0_timestep": "0"}, "f0_timestep is '0', not a step"),
        ({"f0_seq": "nan 1"}, "values that are no numbers"),
        ({"offset": "soon"}, "offset is 'soon'"),
    ],
)
def test_bad_ds(change: dict[str, Any], words: str) -> None:
    refused(ds.read, json.dumps([SCRIPT[0] | change]).encode(), words)


@pytest.mark.parametrize("data", [b'[{"offset": 1', b"[]", b"3", b'["a"]', b"[" * 100_000])
def test_what_is_no_ds(data: bytes) -> None:
    refused(ds.read, data, "JSON")


# ---------------------------------------------------------------------------------------------------------- labels

FULL = "{} {} xx@xx^sil-{}+a=xx_xx%xx^00_00~00-1!1[xx$xx]xx/A:xx-xx-xx@xx~xx/E:{}]0^0=4/4~100!1@60#24+xx]/F:xx#xx"


def test_labels_come_back() -> None:
    data = b"0 2500000 pau\n2500000 4000000 k\n4000000 9000000 a\n"
    song = hts.read(data, "x")
    assert [(p.symbol, p.start, p.end) for p in song.phonemes] == [("pau", 0, 0.25), ("k", 0.25, 0.4), ("a", 0.4, 0.9)]
    assert hts.write(song, "x") == data


def test_full_context_labels_know_notes() -> None:
    lines = [(0, 5, "sil", "xx"), (5, 6, "k", "Db4"), (6, 10, "a", "Db4"), (10, 15, "i", "E4")]
    text = "\n".join(FULL.format(a * 10**6, b * 10**6, phoneme, pitch) for a, b, phoneme, pitch in lines)
    song = hts.read(text.encode(), "x")
    assert [p.symbol for p in song.phonemes] == ["sil", "k", "a", "i"]
    assert [(n.start, n.length, n.pitch, n.phonemes) for n in song.notes] == [
        (0, 500_000, None, ()),
        (500_000, 500_000, 61, ("k", "a")),
        (1_000_000, 500_000, 64, ("i",)),
    ]
    assert [p.note for p in song.phonemes] == [0, 1, 1, 2]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"0 a", "line 1: not `start end label`"),
        (b"5 1 a", "line 1: ends before it begins"),
        (b"0 50 a\n20 60 b", "line 2: begins before the line above it ends"),
        (b"\n", "no labels"),
    ],
)
def test_bad_labels(data: bytes, words: str) -> None:
    refused(hts.read, data, words)


def test_labels_need_phonemes() -> None:
    with pytest.raises(UserError, match="phonemes with times"):
        hts.write(SONG, "x.lab")


# ------------------------------------------------------------------------------------------------------------- LRC


def test_lrc_comes_back() -> None:
    text = "[ti:Song]\n[ar:Nobody]\n[00:01.50]first line\n[00:03.255]<00:03.25>second <00:04.00>line\n[01:02.00]\n"
    song = lrc.read(text.encode(), "x")
    assert song.title == "Song" and song.extra["lrc"] == {"ar": "Nobody"}
    assert song.segments[0] == Segment(start=1.5, end=3.255, text="first line")
    assert song.segments[1].extra["words"] == [[3.25, "second"], [4.0, "line"]]
    assert lrc.write(song, "x").decode() == text
    assert lrc.read(lrc.write(song, "x"), "x") == song


def test_lrc_dialects() -> None:
    song = lrc.read(b"\xef\xbb\xbf[offset:500]\r\n[00:10][0:02.5]twice\r\n[00:05.1]once\r\n", "x")
    assert [(s.start, s.text) for s in song.segments] == [(2.0, "twice"), (4.6, "once"), (9.5, "twice")]


def test_a_score_becomes_lines() -> None:
    assert lrc.write(SONG, "x").decode() == "[ti:Song]\n[00:00.60]Twinkle stär\n"
    apart = replace(SONG, notes=tuple(replace(n, breath=n.start == 1440) for n in SONG.notes), language="zh")
    assert lrc.write(apart, "x").decode().count("\n[") == 2


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"hello", "line 1: neither [mm:ss.xx] nor a tag: 'hello'"),
        (b"[ti:x]", "no line with a time"),
        (b"[offset:x]\n[00:01]a", "[offset:x] is not a number"),
    ],
)
def test_bad_lrc(data: bytes, words: str) -> None:
    refused(lrc.read, data, words)


# ------------------------------------------------------------------------------------------- which format is it in?


def contents() -> dict[str, bytes]:
    timed = in_seconds(phonemes=(Phoneme(symbol="a", start=0, end=1),))
    from aoide.score import musicxml

    return {
        "musicxml": musicxml.write(SONG, "x"),
        "midi": midi.write(SONG, "x"),
        "ust": ust.write(SONG, "x"),
        "ustx": ustx.write(SONG, "x"),
        "ds": json.dumps(SCRIPT).encode(),
        "hts": hts.write(timed, "x"),
        "lrc": lrc.write(SONG, "x"),
    }


def test_contents_show_the_format(tmp_path: Path) -> None:
    assert set(contents()) == set(NAMES) == set(ENDINGS.values())
    for name, data in contents().items():
        assert sniff(data) == name
        wrong = ".mid" if name != "midi" else ".ust"
        (tmp_path / f"{name}{wrong}").write_bytes(data)
        song = Score.load(tmp_path / f"{name}{wrong}")
        assert song.remarks[0] == f"{name}{wrong} is {NAMES[name]}, whatever its ending says"


@pytest.mark.parametrize("ending", sorted(set(ENDINGS) - {".ds", ".lab", ".xml"}))
def test_every_ending_is_written_and_read(ending: str, tmp_path: Path) -> None:
    SONG.save(tmp_path / f"song{ending}")
    again = Score.load(tmp_path / f"song{ending}")
    assert not again.remarks
    assert [p.name for p in tmp_path.iterdir()] == [f"song{ending}"]
    assert again.segments if ending == ".lrc" else [n.pitch for n in again.notes] == [60, 62, 64, 65]


def test_paths_that_are_no_scores(tmp_path: Path) -> None:
    for name, data, words in (
        ("empty.mid", b"", "is empty"),
        ("noise.mid", b"\x00\x01", "not a MIDI file"),
        ("song.midl", b"\x00\x01", r"not a score; these are: .*; did you mean"),
        ("text.txt", b"hello", "not a score"),
    ):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(UserError, match=words):
            Score.load(tmp_path / name)
    with pytest.raises(UserError, match="no such file"):
        Score.load(tmp_path / "none.mid")
    with pytest.raises(UserError, match="cannot be read"):
        Score.load(tmp_path)
    with pytest.raises(UserError, match="no format of ours; choose one of"):
        SONG.save(tmp_path / "song.pdf")
    with pytest.raises(UserError, match="there is no folder"):
        SONG.save(tmp_path / "nowhere" / "song.mid")


def test_other_projects_need_libresvip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "libresvip", None)
    (tmp_path / "song.svp").write_bytes(b'{"version": 113}')
    with pytest.raises(MissingExtra, match=r"aoide\[svp\]"):
        Score.load(tmp_path / "song.svp")


def test_other_projects_are_read_by_libresvip(tmp_path: Path) -> None:
    base = pytest.importorskip("libresvip.model.base")
    manager = pytest.importorskip("libresvip.extension.manager")
    notes = [
        base.Note(start_pos=480 * i, length=480, key_number=60 + i, lyric=word) for i, word in enumerate(("ah", "-"))
    ]
    project = base.Project(
        song_tempo_list=[base.SongTempo(position=0, bpm=100.0)],
        time_signature_list=[base.TimeSignature(bar_index=0, numerator=3, denominator=4)],
        track_list=[base.SingingTrack(title="Lead", note_list=notes)],
    )
    manager.get_svs_plugin_by_suffix("vsqx").dump(tmp_path / "song.vsqx", project, {})
    song = Score.load(tmp_path / "song.vsqx")
    assert [(n.length, n.pitch, n.lyric, n.slur) for n in song.notes] == [(480, 60, "ah", False), (480, 61, "-", True)]
    assert song.tempos[0].bpm == 100 and song.meters[0].beats == 3
    (tmp_path / "bad.vsqx").write_text("<vsq4/>")
    with pytest.raises(UserError, match="LibreSVIP cannot read it"):
        Score.load(tmp_path / "bad.vsqx")
