"""Corpora of singing, each read from a few clips in its own layout on disk: words, phonemes, times, notes."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest

from aoide.data.clips import Clip, Note
from aoide.data.corpora import _labels
from tests.data.conftest import beep, heard, put, textgrid

SCORE = """<?xml version="1.0" encoding="UTF-8"?>
<score-partwise version="3.0"><part-list><score-part id="P1"><part-name>v</part-name></score-part></part-list>
<part id="P1"><measure number="1"><attributes><divisions>2</divisions><time><beats>4</beats><beat-type>4</beat-type>
</time></attributes><direction><sound tempo="120"/></direction>{}</measure></part></score-partwise>"""
NOTE = (
    "<note><pitch><step>{}</step><octave>4</octave></pitch><duration>{}</duration><voice>1</voice>"
    "<lyric><syllabic>single</syllabic><text>{}</text></lyric></note>"
)
REST = "<note><rest/><duration>{}</duration><voice>1</voice></note>"


def lasting(clip: Clip) -> list[float]:
    assert clip.phoneme_seconds is not None and clip.phonemes is not None
    assert len(clip.phoneme_seconds) == len(clip.phonemes.split())
    return [round(seconds, 3) for seconds in clip.phoneme_seconds]


def midi(*notes: tuple[float, float, int, str]) -> bytes:
    """A MIDI file at 120 beats a minute, 480 ticks a beat; lyrics stand on their notes."""
    events = []
    for start, end, pitch, lyric in notes:
        word = lyric.encode()
        events += [
            (round(start * 960), 1, b"\xff\x05" + bytes([len(word)]) + word),
            (round(start * 960), 2, bytes([0x90, pitch, 80])),
            (round(end * 960), 0, bytes([0x80, pitch, 0])),
        ]
    track, now = b"", 0
    for tick, _, data in sorted(events):
        delta, now = tick - now, tick
        track += bytes([0x80 | delta >> 7, delta & 0x7F]) + data
    track += b"\x00\xff\x2f\x00"
    return b"MThd" + struct.pack(">IHHH", 6, 0, 1, 480) + b"MTrk" + struct.pack(">I", len(track)) + track


def test_opencpop(tmp_path: Path) -> None:
    lines = [
        "2001000001|感受|g an sh ou SP|A3 A3 C#4/Db4 C#4/Db4 rest|0.2 0.2 0.3 0.3 0.1|0.05 0.15 0.1 0.2 0.1|0 0 0 0 0",
        "2001000002|啊|a a AP|C4 D4 rest|0.2 0.2 0.2|0.2 0.2 0.2|0 1 0",
        "2001000003|坏|h uai|C4|0.2|0.1 0.1|0 0",
        "2001000004|短|d uan|C4 C4|0.2 0.2|0.1 4.1|0 0",
    ]
    put(tmp_path / "segments" / "transcriptions.txt", "\n".join(lines) + "\n")
    put(tmp_path / "segments" / "test.txt", lines[1] + "\n")
    for number in (1, 2, 3, 4):
        beep(tmp_path / "segments" / "wavs" / f"200100000{number}.wav", 0.6, 44100)
    clips, refused = heard("opencpop", tmp_path)
    first, second = clips["2001000001"], clips["2001000002"]
    assert (first.text, first.phonemes, first.phoneme_set) == ("感受", "g an sh ou SP", "opencpop")
    assert lasting(first) == [0.05, 0.15, 0.1, 0.2, 0.1]
    assert first.notes == (Note(57, 0.0, 0.2, "gan"), Note(61, 0.2, 0.5, "shou"))
    assert second.notes == (Note(60, 0.0, 0.2, "a"), Note(62, 0.2, 0.4, "", True))
    assert (first.song, first.more, second.more) == ("2001", {"split": "train"}, {"split": "test"})
    assert (first.speaker, first.gender, first.language, first.style) == ("opencpop", "female", "zh", "singing")
    assert "line 3 has 2 phonemes, 1 notes" in refused["2001000003"]
    assert refused["2001000004"] == "its phonemes or notes end at 4.2 s, the sound at 0.6 s"


def test_m4singer(tmp_path: Path) -> None:
    item = {
        "item_name": "Alto-1#美错#0000",
        "txt": "美错",
        "phs": ["<AP>", "m", "ei", "c", "uo", "uo"],
        "is_slur": [0, 0, 0, 0, 0, 1],
        "ph_dur": [0.1, 0.05, 0.1, 0.05, 0.1, 0.1],
        "notes": [0, 60, 60, 62, 62, 64],
        "notes_dur": [0.1, 0.15, 0.15, 0.15, 0.15, 0.1],
    }
    items = [item, item | {"item_name": "Tenor-2#歌#0001"}, item | {"item_name": "Bass-1#歌#0002"}, {"txt": "x"}]
    put(tmp_path / "m4singer" / "meta.json", json.dumps(items))
    beep(tmp_path / "m4singer" / "Alto-1#美错" / "0000.wav", 0.6)
    beep(tmp_path / "m4singer" / "Tenor-2##U6b4c" / "0001.wav", 0.6)
    clips, refused = heard("m4singer", tmp_path)
    clip = clips["Alto-1/美错/0000"]
    assert (clip.text, clip.phonemes, clip.speaker, clip.gender, clip.song) == (
        "美错",
        "AP m ei c uo uo",
        "Alto-1",
        "female",
        "美错",
    )
    assert clip.notes == (Note(60, 0.1, 0.25, "mei"), Note(62, 0.25, 0.4, "cuo"), Note(64, 0.4, 0.5, "", True))
    assert clips["Tenor-2/歌/0001"].gender == "male"
    assert refused["Bass-1/歌/0002"] == "no such file" and "no 'item_name'" in refused[""]


def test_gtsinger(tmp_path: Path) -> None:
    def word(text: str, start: float, symbols: list[str], notes: list[int], marks: str) -> dict:
        edges = [round(start + 0.1 * i, 3) for i in range(len(symbols) + 1)]
        steps = [round(start + 0.1 * len(symbols) * i / len(notes), 3) for i in range(len(notes) + 1)]
        return {
            "word": text,
            "ph": symbols,
            "ph_start": edges[:-1],
            "ph_end": edges[1:],
            "note": notes,
            "note_start": steps[:-1],
            "note_end": steps[1:],
            "breathy": list(marks),
            "emotion": "happy",
        }

    words = [
        word("<SP>", 0.0, ["<SP>"], [0], "0"),
        word("my", 0.1, ["M", "AY1"], [60], "01"),
        word("love", 0.3, ["L", "AH1", "V"], [62, 64], "000"),
    ]
    song = tmp_path / "English" / "EN-Alto-1" / "Breathy" / "my love"
    for group in ("Breathy_Group", "Control_Group", "Paired_Speech_Group"):
        beep(song / group / "0000.wav", 0.6, 48000)
        put(song / group / "0000.json", json.dumps(words))
    beep(song / "Control_Group" / "0001.wav", 0.6, 48000)
    clips, refused = heard("gtsinger", tmp_path)
    name = "EN-Alto-1/Breathy/my love"
    clip, control = clips[f"{name}/Breathy_Group/0000"], clips[f"{name}/Control_Group/0000"]
    spoken = clips[f"{name}/Paired_Speech_Group/0000"]
    assert (clip.text, clip.phonemes, clip.language) == ("my love", "SP M AY1 L AH1 V", "en")
    assert lasting(clip) == [0.1] * 6
    assert clip.notes == (Note(60, 0.1, 0.3, "my"), Note(62, 0.3, 0.45, "love"), Note(64, 0.45, 0.6, "", True))
    assert (clip.technique, control.technique, spoken.style, spoken.notes) == ("breathy", "", "speech", None)
    assert clip.more == {
        "emotion": "happy",
        "contrast": "breathy",
        "phoneme_techniques": ["", "", "breathy", "", "", ""],
    }
    for one in words:  # of some songs only the lengths of the notes are known
        del one["note_start"], one["note_end"]
        one |= {"start_time": one["ph_start"][0], "end_time": one["ph_end"][-1], "note_dur": [1.0] * len(one["note"])}
    put(song / "Breathy_Group" / "0000.json", json.dumps(words))
    assert heard("gtsinger", tmp_path)[0][clip.id].notes == clip.notes
    assert refused == {f"{name}/Control_Group/0001": "its annotation cannot be read: there is no 0001.json"}


def test_csd(tmp_path: Path) -> None:
    base = tmp_path / "CSD" / "english"
    rows = ["start,end,pitch,syllable", "0.10,0.30,60,t_w_ih_ng", "0.30,0.50,62,k_el", "0.90,1.20,64,s_t_aa_r"]
    for name in ("en001a", "en002a", "en003b"):
        put(base / "csv" / f"{name}.csv", "\n".join(rows) + "\n")
        put(base / "txt" / f"{name}.txt", "t_w_ih_ng k_el\n\ns_t_aa_r\n")
        put(base / "lyric" / f"{name}.txt", "Twinkle\n\nstar\n")
        beep(base / "wav" / f"{name}.wav", 1.5, 44100)
    put(base / "txt" / "en003b.txt", "t_w_ih_ng\n")
    clips, refused = heard("csd", tmp_path)
    assert list(clips) == ["en001a-001", "en001a-002", "en002a-001", "en002a-002"]
    first, second = clips["en001a-001"], clips["en001a-002"]
    assert (first.text, first.phonemes, first.language) == ("Twinkle", "t w ih ng k el", "en")
    assert (first.start, first.seconds, second.start) == (0, pytest.approx(0.6, abs=1e-3), round(0.8 * 44100))
    assert first.notes == (Note(60, 0.1, 0.3, "t_w_ih_ng"), Note(62, 0.3, 0.5, "k_el"))
    assert second.notes == (Note(64, 0.1, 0.4, "s_t_aa_r"),) and (second.song, second.more) == ("001", {"key": "a"})
    assert refused == {"en003b": "its annotation cannot be read: txt has 1 syllables, csv 3 notes"}


def test_kiritan(tmp_path: Path) -> None:
    lab = "0.0000000 0.5000000 pau\n0.5000000 0.6000000 k\n0.6000000 1.0000000 i\n1.0000000 1.6000000 r\n"
    lab += "1.6000000 2.0000000 a\n2.0000000 3.1000000 pau\n3.1000000 3.4000000 o\n3.4000000 4.0000000 pau\n"
    for name in ("01", "02", "03"):
        beep(tmp_path / "kiritan_singing" / "wav" / f"{name}.wav", 4.0)
        put(tmp_path / "kiritan_singing" / "mono_label" / f"{name}.lab", lab)
    (tmp_path / "kiritan_singing" / "mono_label" / "03.lab").unlink()
    notes = REST.format(2) + NOTE.format("A", 2, "き") + REST.format(2) + NOTE.format("B", 2, "ら") + REST.format(4)
    put(tmp_path / "kiritan_singing" / "musicxml" / "01.xml", SCORE.format(notes + NOTE.format("C", 2, "お")))
    clips, refused = heard("kiritan", tmp_path)
    assert list(clips) == ["01-001", "02-001"]
    clip = clips["01-001"]
    assert (clip.phonemes, clip.phoneme_set) == ("pau k i r a pau o pau", "hts-ja")
    assert lasting(clip) == [0.15, 0.1, 0.4, 0.6, 0.4, 1.1, 0.3, 0.15]
    assert clip.start == round(0.35 * 16000) and clip.seconds == pytest.approx(3.2, abs=1e-3)
    assert clip.notes is not None and [(n.midi, n.lyric) for n in clip.notes] == [(69, "き"), (71, "ら"), (60, "お")]
    assert [n.start for n in clip.notes] == pytest.approx([0.25, 1.25, 2.75], abs=0.01), "moved to the sung vowels"
    assert clips["02-001"].notes is None
    assert refused == {"03": "there is no mono_label/03.lab"}


def test_pjs(tmp_path: Path) -> None:
    base = tmp_path / "PJS_corpus_ver1.1"
    for name in ("pjs001", "pjs002", "pjs003"):
        beep(base / name / f"{name}_song.wav", 1.0, 48000)
        put(base / name / f"{name}.lab", "0 2000000 pau\n2000000 4000000 k\n4000000 7000000 a\n7000000 10000000 pau\n")
        put(base / name / f"{name}.txt", "か\n")
        put(base / name / f"{name}.musicxml", SCORE.format(REST.format(1) + NOTE.format("A", 1, "か")))
    beep(base / "pjs001" / "pjs001_speech.wav", 0.5, 48000)
    beep(base / "background_noise" / "noise.wav", 0.5, 48000)
    (base / "pjs003" / "pjs003.lab").write_text("4000000 2000000 k\n")
    clips, refused = heard("pjs", tmp_path)
    song, speech = clips["pjs001_song"], clips["pjs001_speech"]
    assert len(clips) == 3 and (song.text, speech.text, song.style, speech.style) == ("か", "か", "singing", "speech")
    assert song.phonemes == "pau k a pau" and lasting(song) == [0.2, 0.2, 0.3, 0.3] and speech.phonemes is None
    assert song.notes is not None and song.notes[0].midi == 69 and song.notes[0].start == pytest.approx(0.4)
    assert refused == {"pjs003_song": "its annotation cannot be read: line 1 ends before it begins"}


def test_kising(tmp_path: Path) -> None:
    beep(tmp_path / "segmented-wav" / "clean" / "421_all.wav", 2.0)
    put(tmp_path / "segmented-label" / "0421_align_all.txt", "0.0 0.5 sil\n0.5 0.8 n\n0.8 1.2 i\n1.2 2.0 sil\n")
    beep(tmp_path / "segmented-wav" / "clean" / "422_all.wav", 2.0)
    clips, refused = heard("kising", tmp_path)
    assert list(clips) == ["421-001"] and clips["421-001"].phonemes == "pau n i pau"
    assert lasting(clips["421-001"]) == [0.15, 0.3, 0.4, 0.15]
    assert refused == {"422_all": "its annotation cannot be read: there is no 0422_align_all.txt"}


def test_kising_phrases_and_scores(tmp_path: Path) -> None:
    beep(tmp_path / "clean" / "421" / "001.wav", 0.5)
    beep(tmp_path / "clean" / "421" / "002.wav", 0.5)
    put(tmp_path / "clean" / "421" / "002.txt", "你好")
    beep(tmp_path / "423" / "423-original.wav", 2.0)
    (tmp_path / "423" / "423.mid").write_bytes(midi((0.5, 0.75, 60, "ni"), (0.75, 1.0, 62, "-"), (1.0, 1.5, 64, "hao")))
    clips, refused = heard("kising", tmp_path)
    assert clips["421/002"].text == "你好" and refused == {"421/001": "no text"}
    clip = clips["423-original-001"]
    assert (clip.text, clip.speaker, clip.song) == ("ni hao", "original", "423") and clip.more == {"text": "pinyin"}
    assert clip.notes == (
        Note(60, 0.0, 0.25, "ni"),
        Note(62, 0.25, 0.5, "", True),
        Note(64, 0.5, 1.0, "hao"),
    )


def test_nus48e(tmp_path: Path) -> None:
    base = tmp_path / "nus-smc-corpus_48" / "ADIZ"
    for kind in ("sing", "read"):
        beep(base / kind / "01.wav", 2.0, 44100)
        put(base / kind / "01.txt", "0.000000 0.5 sil\n0.5 0.7 eh\n0.7 0.9 d\n0.9 1.2 sp\n1.2 1.6 l\n1.6 2.0 sil\n")
    beep(base / "sing" / "02.wav", 2.0, 44100)
    clips, refused = heard("nus48e", tmp_path)
    assert list(clips) == ["ADIZ/read/01-001", "ADIZ/sing/01-001"]
    clip = clips["ADIZ/sing/01-001"]
    assert (clip.text, clip.phonemes, clip.phoneme_set) == (None, "pau eh d pau l pau", "cmu")
    assert lasting(clip) == [0.15, 0.2, 0.2, 0.3, 0.4, 0.15]
    assert (clip.style, clips["ADIZ/read/01-001"].style, clip.speaker) == ("singing", "speech", "ADIZ")
    assert refused == {"ADIZ/sing/02": "its annotation cannot be read: there is no 02.txt"}


def test_opensinger(tmp_path: Path) -> None:
    folder = tmp_path / "OpenSinger" / "WomanRaw" / "0_光年之外"
    for number in (0, 1, 2):
        beep(folder / f"0_光年之外_{number}.wav", 0.5, 24000)
    put(folder / "0_光年之外_0.txt", "感受停\n")
    put(folder / "0_光年之外_0.lab", "0.0 0.1 g\n0.1 0.5 an\n")
    put(folder / "0_光年之外_1.txt", "在我\n")
    put(tmp_path / "OpenSinger" / "ManRaw" / "5_歌_曲" / "5_歌_曲_3.txt", "我\n")
    beep(tmp_path / "OpenSinger" / "ManRaw" / "5_歌_曲" / "5_歌_曲_3.wav", 0.5, 24000)
    clips, refused = heard("opensinger", tmp_path)
    first = clips["Woman_0/光年之外/0"]
    assert (first.text, first.phonemes, first.speaker, first.gender) == ("感受停", "g an", "Woman_0", "female")
    assert lasting(first) == [0.1, 0.4] and clips["Woman_0/光年之外/1"].phonemes is None
    man = clips["Man_5/歌_曲/3"]
    assert (man.gender, man.song) == ("male", "歌_曲") and refused == {"Woman_0/光年之外/2": "no text"}


def test_popcs(tmp_path: Path) -> None:
    song = tmp_path / "popcs" / "popcs-隐形"
    for name in ("0000", "0001", "0002"):
        beep(song / f"{name}_wf0.wav", 0.5, 24000)
        put(song / f"{name}.txt", "隐形\n")
        put(song / f"{name}_ph.txt", "y in x ing\n")
    words, phonemes = [(0.0, 0.5, "隐形")], [(0.0, 0.1, "y"), (0.1, 0.2, "in"), (0.2, 0.3, "x"), (0.3, 0.5, "ing")]
    put(song / "0000.TextGrid", textgrid(words=words, phones=phonemes))
    put(song / "0002.TextGrid", textgrid(words=words, phones=phonemes[:-1] + [(0.3, 1.5, "ing")]))
    clips, refused = heard("popcs", tmp_path)
    clip = clips["隐形/0000"]
    assert (clip.text, clip.phonemes, clip.song) == ("隐形", "y in x ing", "隐形") and lasting(clip) == [
        0.1,
        0.1,
        0.1,
        0.2,
    ]
    assert clips["隐形/0001"].phonemes == "y in x ing" and clips["隐形/0001"].phoneme_seconds is None
    assert refused == {"隐形/0002": "its phonemes or notes end at 1.5 s, the sound at 0.5 s"}


def test_popbutfy(tmp_path: Path) -> None:
    for style in ("Amateur", "Professional"):
        name = f"Female1#singing#Almost_lover_{style}"
        beep(tmp_path / "data" / name / f"{name}_0.mp3", 0.5, 24000)
    beep(tmp_path / "data" / "Male2#singing#x" / "Male2#singing#strange.mp3", 0.5, 24000)
    put(tmp_path / "text_labels" / "Female1#singing#Almost_lover_Amateur_0.txt", "your fingertips")
    clips, refused = heard("popbutfy", tmp_path)
    clip = clips["Female1/Almost_lover/Amateur/0"]
    assert (clip.text, clip.speaker, clip.gender, clip.style) == ("your fingertips", "Female1", "female", "amateur")
    assert clips["Female1/Almost_lover/Professional/0"].text is None and clip.song == "Almost_lover"
    assert list(refused) == ["Male2#singing#strange"]


def test_svcc(tmp_path: Path) -> None:
    for folder in ("CDF1", "IDM1"):
        beep(tmp_path / "Data" / folder / "10001.wav", 0.5, 24000)
    put(tmp_path / "Data" / "IDM1" / "10002.wav", "not a sound at all")
    put(tmp_path / "Data" / "IDM1" / "10001.txt", "la la\n")
    clips, refused = heard("svcc", tmp_path)
    assert (clips["IDM1/10001"].text, clips["CDF1/10001"].text) == ("la la", None)
    assert (clips["CDF1/10001"].gender, clips["CDF1/10001"].style) == ("female", "speech")
    assert (clips["IDM1/10001"].gender, clips["IDM1/10001"].style) == ("male", "singing")
    assert list(refused) == ["IDM1/10002"]


def test_vocalset(tmp_path: Path) -> None:
    folder = tmp_path / "FULL" / "female1" / "arpeggios" / "vocal_fry"
    beep(folder / "f1_arpeggios_vocal_fry_a.wav", 0.5, 44100)
    beep(tmp_path / "FULL" / "male11" / "excerpts" / "straight" / "m11_caro_straight.wav", 0.5, 44100)
    (folder / "f1_arpeggios_vocal_fry_e.wav").touch()
    clips, refused = heard("vocalset", tmp_path)
    clip = clips["female1/arpeggios/vocal_fry/f1_arpeggios_vocal_fry_a"]
    assert (clip.speaker, clip.gender, clip.technique) == ("female1", "female", "vocal_fry")
    assert clip.more == {"context": "arpeggios", "vowel": "a"}
    assert clips["male11/excerpts/straight/m11_caro_straight"].more == {"context": "excerpts"}
    assert refused == {"female1/arpeggios/vocal_fry/f1_arpeggios_vocal_fry_e": "an empty file, not a sound"}


def test_opera(tmp_path: Path) -> None:
    beep(tmp_path / "monophonic" / "chinese" / "fem_01" / "pos_1.wav", 0.5, 44100)
    beep(tmp_path / "monophonic" / "western" / "male_02" / "neg_3.wav", 0.5, 44100)
    beep(tmp_path / "polyphonic" / "western" / "male_02" / "neg_3.wav", 0.5, 44100)
    beep(tmp_path / "monophonic" / "western" / "male_02" / "neu_4.wav", 0.1, 44100)
    clips, refused = heard("opera", tmp_path)
    assert list(clips) == ["chinese/fem_01/pos_1", "western/male_02/neg_3"]
    clip = clips["chinese/fem_01/pos_1"]
    assert (clip.speaker, clip.gender, clip.language) == ("chinese-fem_01", "female", "zh") and clip.divisible
    assert clip.more == {"emotion": "pos", "tradition": "chinese"} and list(refused) == ["western/male_02/neu_4"]


# -------------------------------------------------------------------------------------------------------- annotations


def test_labels_in_seconds_and_in_units_of_hts() -> None:
    labels = [_labels.Label(0.0, 0.5, "pau"), _labels.Label(0.5, 1.25, "a")]
    units = _labels.labels("0 5000000 pau\n\n5000000 12500000 a\n")
    assert [label._replace(start=round(label.start, 6), end=round(label.end, 6)) for label in units] == labels
    assert _labels.labels("0.5 1.25 a\n0.0 0.5 pau\n") == labels
    assert _labels.labels("0 1 pau\n1 1.5 a")[0] == _labels.Label(0.0, 1.0, "pau")
    with pytest.raises(ValueError, match="line 1"):
        _labels.labels("1.0 0.5 a")


def test_short_textgrids_and_broken_ones() -> None:
    short = '"ooTextFile"\n"TextGrid"\n0\n1\n<exists>\n1\n"IntervalTier"\n"p"\n0\n1\n1\n0\n1\n"say ""a1"" 2"\n'
    assert _labels.textgrid(short) == {"p": [_labels.Label(0.0, 1.0, 'say ""a1"" 2')]}
    whole = textgrid(words=[(0, 1, "a")], phones=[(0.0, 0.5, "b"), (0.5, 1.0, "")])
    assert _labels.textgrid(whole)["phones"] == [_labels.Label(0.0, 0.5, "b"), _labels.Label(0.5, 1.0, "")]
    for broken in ("", whole[: len(whole) // 2], "some words"):
        with pytest.raises(ValueError, match="TextGrid"):
            _labels.textgrid(broken)


def test_phrases_stay_together_up_to_a_length_and_are_cut_at_breaths() -> None:
    rows = [(0, 2, "pau"), (2, 5, "a"), (5, 5.2, "br"), (5.2, 9, "o"), (9, 9.1, "pau"), (9.1, 14, "u"), (14, 20, "pau")]
    labels = [_labels.Label(*row) for row in rows]
    found = list(_labels.phrases(labels, longest=8.0))
    assert [p.symbols for p in found] == ["pau a br o pau", "pau u pau"]
    assert [(round(p.start, 3), round(p.end, 3)) for p in found] == [(1.85, 9.05), (9.05, 14.15)]
    assert all(sum(p.seconds) == pytest.approx(p.end - p.start) for p in found)
    assert [p.symbols for p in _labels.phrases(labels, longest=3.5)] == ["pau a", "br o pau", "pau u pau"]
    assert list(_labels.phrases(labels[:1])) == []


def test_a_score_of_something_else_does_not_follow() -> None:
    notes = [Note(60, i * 0.5, i * 0.5 + 0.4) for i in range(12)]
    sung = [3.0 + i * 0.5 for i in range(12)]
    moved = _labels.follow(notes, sung)
    assert moved is not None and [note.start for note in moved] == pytest.approx(sung)
    assert _labels.follow(notes, [0.0, 0.13, 0.31, 9.0, 9.7, 30.0]) is None
    assert _labels.follow([], sung) is None and _labels.follow(notes, []) is None


def test_pitches_have_names_or_numbers() -> None:
    assert [_labels.pitch(name) for name in ("A4", "C#4/Db4", "Bb3", "60", "rest", "0")] == [69, 61, 58, 60, None, None]
    with pytest.raises(ValueError, match="H"):
        _labels.pitch("H9x")


def test_diffsinger(tmp_path: Path) -> None:
    rows = [
        "name,ph_seq,ph_dur,ph_num,note_seq,note_dur,note_slur,note_glide",
        "one,SP k a AP,0.1 0.05 0.3 0.05,2 1 1,rest C4 D4+20 rest,0.15 0.2 0.1 0.05,0 0 1 0,none none up none",
        "two,ja/a SP,0.4 0.1,,,,,",
        "three,a,0.1 0.1,1,C4,0.2,0,none",
        "four,a,0.5,2,C4,0.5,0,none",
        "five,a,0.5,1,C4 D4,0.5,0 0,none none",
    ]
    put(tmp_path / "anna" / "raw" / "transcriptions.csv", "\ufeff" + "\n".join(rows) + "\n")
    for name in ("one", "two", "three", "four", "five"):
        beep(tmp_path / "anna" / "raw" / "wavs" / f"{name}.wav", 0.5, 44100)
    script = [
        {"offset": 0.1, "text": "あ", "ph_seq": "a SP", "ph_dur": "0.3 0.1", "note_seq": "A3", "note_dur": "0.4"},
        {"offset": 0.6, "ph_seq": "o", "ph_dur": "0.25", "lang": "zh"},
    ]
    put(tmp_path / "ben" / "song.ds", json.dumps(script))
    put(tmp_path / "ben" / "held.lab", "0 2000000 pau\n2000000 3000000 k\n3000000 8000000 a\n8000000 9000000 pau\n")
    put(tmp_path / "ben" / "grid.TextGrid", textgrid(words=[(0, 0.5, "か")], phones=[(0.1, 0.2, "k"), (0.2, 0.5, "a")]))
    for name in ("song", "held", "grid"):
        beep(tmp_path / "ben" / f"{name}.wav", 0.9, 44100)
    clips, refused = heard("diffsinger", tmp_path, language="ja")
    assert sorted(clips) == [
        "anna/one",
        "anna/two",
        *(f"ben/{n}" for n in ("grid-001", "held-001", "song-001", "song-002")),
    ]
    one = clips["anna/one"]
    assert (one.phonemes, one.speaker, one.language, one.phoneme_set) == ("SP k a AP", "anna", "ja", "diffsinger")
    assert lasting(one) == [0.1, 0.05, 0.3, 0.05]
    assert one.notes == (Note(60, 0.15, 0.35), Note(62.2, 0.35, 0.45, "", True))
    assert one.more == {"ph_num": [2, 1, 1], "note_glide": ["", "up"]}
    assert clips["anna/two"].notes is None and clips["anna/two"].more == {}
    first, second, held = clips["ben/song-001"], clips["ben/song-002"], clips["ben/held-001"]
    assert (first.start, first.seconds, first.text) == (4410, pytest.approx(0.4, abs=1e-3), "あ")
    assert first.notes == (Note(57, 0.0, 0.4),) and second.language == "zh"
    assert held.phonemes == "pau k a pau" and lasting(held) == [0.1, 0.1, 0.5, 0.05]
    assert "2 times in ph_dur" in refused["anna/three"] and "ph_num counts 2" in refused["anna/four"]
    assert "2 notes in note_seq" in refused["anna/five"]
