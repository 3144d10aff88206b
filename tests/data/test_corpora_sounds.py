"""Corpora of effects and music, each read from a few clips in its own layout on disk."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import pytest
import soundfile

from aoide.config import UserError
from aoide.data.corpora import named, opensfx
from tests.data.conftest import beep, heard, put, voice


def test_audiocaps(tmp_path: Path) -> None:
    rows = ["audiocap_id,youtube_id,start_time,caption", '91139,r1nicOVtvkQ,130,"A woman talks, water pours"']
    rows += [
        "91140,r1nicOVtvkQ,130,Water runs",
        "91141,--_x,30,A dog barks",
        "91142,gone,0,Nothing",
        "91143,last,5,Wind",
    ]
    put(tmp_path / "dataset" / "train.csv", "\n".join(rows) + "\n")
    put(tmp_path / "dataset" / "other.csv", "a,b\n1,2\n")
    for name in ("r1nicOVtvkQ_130000_140000", "Y--_x", "last_5"):
        beep(tmp_path / "AudioCaps" / "wav" / f"{name}.wav")
    clips, refused = heard("audiocaps", tmp_path)
    assert {name: clip.text for name, clip in clips.items()} == {
        "r1nicOVtvkQ_130": "A woman talks, water pours",
        "--_x_30": "A dog barks",
        "last_5": "Wind",
    }
    clip = clips["r1nicOVtvkQ_130"]
    assert clip.caption and clip.more == {"captions": ["A woman talks, water pours", "Water runs"], "split": "train"}
    assert refused == {"gone_0": "its sound is not there: line 5"}


def test_named(tmp_path: Path) -> None:
    beep(tmp_path / "ambi" / "dark_woosh.flac")
    beep(tmp_path / "bell-window.ogg").rename(tmp_path / "bell-window.oga")
    put(tmp_path / "hum.wav", "no sound")
    clips, refused = heard("named", tmp_path)
    assert {name: clip.text for name, clip in clips.items()} == {
        "ambi/dark_woosh": "dark woosh",
        "bell-window": "bell window",
    }
    assert list(refused) == ["hum"] and clips["bell-window"].caption
    assert heard("named", tmp_path, folders=1, pattern="ambi/*")[0]["ambi/dark_woosh"].text == "ambi dark woosh"
    assert named.describe("swordSwing-2.fast") == "sword swing 2 fast"


def test_hedgewars(tmp_path: Path) -> None:
    voices = tmp_path / "usr/share/games/hedgewars/Data/Sounds/voices"
    for name in ("Singer/Illgetyou", "British/Amazing", "British/Ow1", "Default_es/Amazing"):
        beep(voices / f"{name}.ogg")
    clips, refused = heard("hedgewars", tmp_path)
    assert {name: clip.text for name, clip in clips.items()} == {
        "British/Amazing": "Amazing!",
        "Singer/Illgetyou": "I'll get you!",
    }
    assert (clips["Singer/Illgetyou"].style, clips["British/Amazing"].style) == ("singing", "acted")
    assert refused == {"British/Ow1": "no text", "Default_es/Amazing": "no text"}


def test_tuxpaint(tmp_path: Path) -> None:
    stamps = tmp_path / "usr/share/tuxpaint/stamps"
    put(stamps / "animals" / "dog.txt", "A dog.\nfr.utf8=Un chien.\npt_BR.utf8=Um cachorro.\n")
    put(stamps / "symbols" / "math" / "9.txt", "The number nine.\n")
    for name in ("dog", "dog_desc", "dog_desc_fr", "dog_desc_pt_BR", "dog_desc_ru"):
        beep(stamps / "animals" / f"{name}.ogg", 0.5)
    beep(stamps / "symbols" / "math" / "9.ogg", 0.5)
    clips, refused = heard("tuxpaint", tmp_path)
    assert {name: (clip.text, clip.language, clip.caption) for name, clip in clips.items()} == {
        "animals/dog": ("A dog.", "", True),
        "animals/dog_desc": ("A dog.", "en", False),
        "animals/dog_desc_fr": ("Un chien.", "fr", False),
        "animals/dog_desc_pt_BR": ("Um cachorro.", "pt-br", False),
        "symbols/math/9": ("The number nine.", "en", False),
    }
    assert refused == {"animals/dog_desc_ru": "no text in dog.txt for ru"}
    assert list(heard("tuxpaint", tmp_path, language="none")[0]) == ["animals/dog"]
    assert list(heard("tuxpaint", tmp_path, language="pt_BR")[0]) == ["animals/dog_desc_pt_BR"]


def effects(*entries: tuple[str, bytes]) -> bytes:
    """A sound set of OpenTTD: places and lengths, then descriptions and sounds."""
    head, body = b"", b""
    for description, sound in entries:
        text = description.encode("latin-1") + b"\0"
        entry = bytes([len(text)]) + text + sound
        head += struct.pack("<II", 8 * len(entries) + len(body) | (0 if head else 1 << 31), len(entry))
        body += entry
    return head + body


def test_opensfx(tmp_path: Path) -> None:
    sounds = []
    for seed in (1, 2):
        file = io.BytesIO()
        soundfile.write(file, voice(0.3, seed=seed), 16000, format="WAV")
        sounds.append(file.getvalue())
    whole = effects(('"Horse". By "Wuzzy". License: CC0', sounds[0]), ("Unnamed", sounds[1]), ('"Cut"', sounds[0][:99]))
    path = tmp_path / "in" / "opensfx.cat"
    path.parent.mkdir()
    path.write_bytes(whole)
    clips, refused = heard("opensfx", tmp_path / "in", output=tmp_path / "out")
    assert {name: clip.text for name, clip in clips.items()} == {"000": "Horse", "001": "Unnamed"}
    assert clips["000"].more == {"description": '"Horse". By "Wuzzy". License: CC0'}
    assert clips["000"].audio == tmp_path / "out" / "audio" / "000.wav" and list(refused) == ["002"]
    before = clips["000"].audio.stat().st_mtime_ns
    assert heard("opensfx", tmp_path / "in", output=tmp_path / "out")[0] == clips
    assert clips["000"].audio.stat().st_mtime_ns == before, "what is there is not written again"
    path.write_bytes(b"\xff")
    with pytest.raises(UserError, match="not a sound set"):
        list(opensfx.clips(tmp_path / "in", output=tmp_path / "out"))
