"""Corpora of effects and music, each read from a few clips in its own layout on disk."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile

from aoide.config import UserError
from aoide.data.corpora import _phrases, general_midi, named, opensfx, sonic_pi
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
    assert clips["000"].more["description"] == '"Horse". By "Wuzzy". License: CC0'
    assert clips["000"].more["captions"] == ["a horse neighs", "a horse"] and "captions" not in clips["001"].more
    assert clips["000"].audio == tmp_path / "out" / "audio" / "000.wav" and list(refused) == ["002"]
    before = clips["000"].audio.stat().st_mtime_ns
    assert heard("opensfx", tmp_path / "in", output=tmp_path / "out")[0] == clips
    assert clips["000"].audio.stat().st_mtime_ns == before, "what is there is not written again"
    path.write_bytes(b"\xff")
    with pytest.raises(UserError, match="not a sound set"):
        list(opensfx.clips(tmp_path / "in", output=tmp_path / "out"))


def test_sonic_pi(tmp_path: Path) -> None:
    for name in ("bd_haus.flac", "drum_tom_lo_hard.flac", "loop_tabla.flac", "hat_gem.wav", "bass_thick_c.flac"):
        beep(tmp_path / "package" / "samples" / name)
    beep(tmp_path / "package" / "samples" / "bd_haus.wav")
    beep(tmp_path / "package" / "other.wav")
    clips, refused = heard("sonic_pi", tmp_path)
    assert {name: clip.text for name, clip in clips.items()} == {
        "bass_thick_c": "a thick bass note",
        "bd_haus": "a bass drum",
        "drum_tom_lo_hard": "a hard stroke on a low tom",
        "hat_gem": "a hi-hat",
        "loop_tabla": "a tabla loop",
    }
    assert not refused and all(clip.caption for clip in clips.values())
    with pytest.raises(UserError, match="npm pack"):
        list(sonic_pi.clips(tmp_path / "nothing"))


def test_general_midi(tmp_path: Path) -> None:
    said: list[str] = []
    general_midi.make(tmp_path, said.append, clips=6)
    general_midi.make(tmp_path, said.append, clips=2, unseen=True)
    general_midi.make(tmp_path, said.append, clips=6)
    assert len(said) == 2, "what is there is not made again"
    (tmp_path / "clips" / "clip-000004.json").write_text("{}")
    clips, refused = heard("general_midi", tmp_path, clips=7)
    assert list(clips) == [f"clip-{n:06}" for n in (0, 1, 2, 3, 5)] and list(refused) == ["clip-000004", "clip-000006"]
    for clip in clips.values():
        assert clip.caption and len(clip.more["captions"]) == general_midi.CAPTIONS
        assert clip.seconds == pytest.approx(_phrases.SECONDS) and clip.sample_rate == 24_000
    unseen, _ = heard("general_midi", tmp_path, clips=2, unseen=True)
    assert not set(unseen) & set(clips)


def test_captions_say_what_is_played() -> None:
    random = np.random.default_rng(1)
    for unseen in (False, True):
        for _ in range(300):
            spec = _phrases.draw(random, unseen)
            notes = _phrases.notes(spec, random)
            text = _phrases.caption(spec, random, notes[0].pitch)
            assert spec.unseen == unseen and notes[0].start == 0
            assert max(note.start for note in notes) < _phrases.SECONDS - 0.05
            if spec.kind == "drums":
                assert spec.groove in text
                continue
            assert any(name in text for name in _phrases.INSTRUMENTS[spec.program].names), text
            assert any(word in text for word in _phrases.WORDS[spec.register]), text
            keys = [note.pitch for note in notes]
            if spec.direction and spec.kind == "scale" and len(keys) > 1:
                assert (keys[-1] > keys[0]) == (spec.direction == "rising")
                assert any(word in text for word in _phrases.WORDS[spec.direction])
            low, high = _phrases.BORDERS
            middle = float(np.median(keys)) if spec.kind != "chord" else keys[0]
            where = "low" if middle < low else "high" if middle > high else "middle"
            assert where == spec.register, (spec, keys)
