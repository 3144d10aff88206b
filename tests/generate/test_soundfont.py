"""Notes played by the sound font of the package, and by small .sf2 files made here."""

from __future__ import annotations

import struct
import warnings
from pathlib import Path

import numpy as np
import pytest

import aoide
from aoide import voices
from aoide.audio.font import open_font
from aoide.audio.sampler import Envelope, Font, Zone, play
from aoide.config import UserError
from aoide.generate.soundfont import Note, render

RATE = 24_000
NO_PITCH = (122,)
BELLS = (9, 11, 12, 98, 114)  # their partials are no harmonics


@pytest.fixture(scope="module")
def font() -> Font:
    return open_font()


def cents_off(sound: np.ndarray, f0: float, partials: int) -> float:
    """How far the pitch is from f0, by the partials that are there."""
    part, size = sound[round(0.1 * RATE) :], 1 << 17
    spectrum = np.abs(np.fft.rfft(part * np.hanning(len(part)), size))
    cents = np.arange(-60, 61, 0.5)
    at = f0 * 2 ** (cents / 1200) * size / RATE
    heights = [np.interp(number * at, np.arange(len(spectrum)), spectrum) for number in range(1, partials + 1)]
    return float(cents[np.argmax(sum(h / (h.max() + 1e-9) * h.max() ** 0.5 for h in heights))])


def test_every_program_is_in_tune_and_ends_in_silence(font: Font) -> None:
    assert {program // 8 for program in font.programs} == set(range(16)), "a family is missing"
    for program in font.programs:
        sound = play(font, [Note(0, 1.3, 69, program=program)])[:, 0]
        assert 0.02 < np.abs(sound).max() < 0.6
        assert np.abs(sound[-3:]).max() < 1e-5, f"program {program} is cut off"
        if program not in NO_PITCH:
            off = cents_off(sound[: round(1.3 * RATE)], 440, 1 if program in BELLS else 5)
            assert abs(off) < 5, f"program {program} is {off:+.1f} cents off"


def test_loops_do_not_click(font: Font) -> None:
    for program in font.programs:
        for zone in font.zones(program, False)[::3]:
            assert zone.loop is not None
            tone = zone._read(1.0, round(zone.loop[1] + 3 * (zone.loop[1] - zone.loop[0])))
            bend = np.abs(np.diff(tone, 3))
            rows = bend[: len(bend) // 120 * 120].reshape(-1, 120).max(1)
            jumps = [round(zone.loop[1] + turn * (zone.loop[1] - zone.loop[0])) // 120 for turn in range(3)]
            usual = np.percentile(rows, 99.5)
            for jump in jumps:
                assert rows[jump - 1 : jump + 2].max() <= 1.6 * usual, f"program {program}, key {zone.root:.0f}"


def test_render(tmp_path: Path) -> None:
    notes = [Note(0.0, 0.3, 60, program=73), Note(0.5, 0.2, 38, drums=True)]
    sound = render(notes)
    assert sound.sample_rate == 44_100 and sound.channels == 2 and 0.8 < sound.seconds < 5
    assert render(notes, seconds=0.6).seconds == pytest.approx(0.6) and render([], seconds=0.2).seconds == 0.2
    assert len(render([]).samples) == 0
    louder = render([Note(0.0, 0.3, 60, 127, program=73)], seconds=0.3).samples
    softer = render([Note(0.0, 0.3, 60, 64, program=73)], seconds=0.3).samples
    np.testing.assert_allclose(softer, louder * (64 / 127) ** 2, atol=1e-6)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        render([Note(0, 0.1, 60, program=58)])  # a tuba
    assert "program 58: program 57 plays it" in str(said[0].message)
    for broken in ({"pitch": 128}, {"velocity": 0}, {"program": 128}, {"start": -1.0}, {"seconds": 0.0}):
        with pytest.raises(UserError):
            Note(**{"start": 0.0, "seconds": 1.0, "pitch": 60} | broken)  # type: ignore[arg-type]
    with pytest.raises(UserError, match="at most"):
        render(notes, seconds=1e5)
    with pytest.raises(UserError, match="no such sound font"):
        render(notes, font=tmp_path / "none.sf2")


def test_an_open_hat_is_ended_by_a_closed_one(font: Font) -> None:
    alone = play(font, [Note(0, 1, 46, drums=True)], seconds=1.0)
    both = play(font, [Note(0, 1, 46, drums=True), Note(0.2, 1, 42, 1, drums=True)], seconds=1.0)
    late = slice(round(0.45 * RATE), round(0.6 * RATE))
    assert np.abs(both[late]).max() < 0.05 * np.abs(alone[late]).max()


def test_envelope() -> None:
    levels = Envelope(attack=0.1, hold=0.1, decay=1.0, sustain=20.0, release=0.5).levels(1.0, 1000)
    assert levels[50] == pytest.approx(0.5, abs=0.02) and levels[150] == pytest.approx(1.0)
    assert levels[300] == pytest.approx(10 ** (-10 / 20), abs=0.01) and levels[900] == pytest.approx(0.1, abs=0.01)
    assert levels[-1] == 0 and len(levels) == 1400


def test_a_tone_is_read_at_its_pitch_around_its_loop() -> None:
    wave = np.sin(2 * np.pi * np.arange(406) / 40.5).astype(np.float32)
    zone = Zone(wave, RATE, 60.0, loop=(40.5, 364.5 + 36.4), envelope=Envelope(release=0.01))
    there = Zone(wave, RATE, 60.0, loop=(81.0, 324.0), envelope=Envelope(release=0.01))
    tone = there.sound(Note(0, 0.5, 67, 127), 0.5, RATE)
    want = np.sin(2 * np.pi * np.arange(len(tone)) / 40.5 * 2 ** (7 / 12))
    assert np.abs(tone[50:11_000] - want[50:11_000]).max() < 0.01
    assert np.abs(np.diff(zone.sound(Note(0, 0.5, 60, 127), 0.5, RATE), 2)).max() > 0.05  # a loop that does not fit


def sf2(path: Path, samples: np.ndarray, instrument: list[tuple[int, int]], preset: list[tuple[int, int]]) -> Path:
    """A font of one program, one instrument and one sample."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return name + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)

    def values(rows: list[tuple[int, int]]) -> bytes:
        return b"".join(struct.pack("<HH", number, value & 0xFFFF) for number, value in rows)

    header = struct.pack("<20sIIIIIBbHH", b"tone", 0, len(samples), 81, 324, RATE, 60, 0, 0, 1)
    parts = {
        b"phdr": struct.pack("<20sHHHIII", b"one", 5, 0, 0, 0, 0, 0)
        + struct.pack("<20sHHHIII", b"EOP", 0, 0, 1, 0, 0, 0),
        b"pbag": struct.pack("<HHHH", 0, 0, len(preset) + 1, 0),
        b"pgen": values([*preset, (41, 0), (0, 0)]),
        b"inst": struct.pack("<20sH", b"one", 0) + struct.pack("<20sH", b"EOI", 1),
        b"ibag": struct.pack("<HHHH", 0, 0, len(instrument) + 1, 0),
        b"igen": values([*instrument, (53, 0), (0, 0)]),
        b"shdr": header + struct.pack("<20sIIIIIBbHH", b"EOS", 0, 0, 0, 0, 0, 0, 0, 0, 0),
    }
    info = chunk(b"LIST", b"INFO" + chunk(b"ifil", struct.pack("<HH", 2, 1)))
    data = chunk(b"LIST", b"sdta" + chunk(b"smpl", (samples * 32767).astype("<i2").tobytes()))
    rest = chunk(b"LIST", b"pdta" + b"".join(chunk(name, content) for name, content in parts.items()))
    path.write_bytes(chunk(b"RIFF", b"sfbk" + info + data + rest))
    return path


def test_sf2(tmp_path: Path) -> None:
    wave = 0.9 * np.sin(2 * np.pi * np.arange(410) / 40.5)
    whole = (43, 127 << 8)
    path = sf2(tmp_path / "a.sf2", wave, [whole, (54, 1), (17, -500), (51, 12), (38, -7973)], [(52, 50), (48, 60)])
    font = open_font(path)
    assert list(font.programs) == [5] and not font.kits
    zone = font.zones(5, False)[0]
    assert zone.root == 60 - 12.5 and zone.pan == -1 and zone.loop == (81, 324)
    assert zone.gain == pytest.approx(10 ** (-0.4 * 6 / 20)) and zone.envelope.release == pytest.approx(0.01, rel=0.01)
    sound = play(font, [Note(0, 1, 60, program=5)])
    assert np.abs(sound[:, 1]).max() < 1e-6 < 0.1 < np.abs(sound[:, 0]).max()
    f0 = RATE / 40.5 * 2 ** (12.5 / 12)
    spectrum = np.abs(np.fft.rfft(sound[:44_100, 0] * np.hanning(44_100)))
    assert abs(np.argmax(spectrum) - f0) < 1
    narrow = open_font(sf2(tmp_path / "b.sf2", wave, [(43, (70 << 8) | 65), (44, (90 << 8) | 10)], []))
    assert len(play(narrow, [Note(0, 1, 60, 50, program=5)])) > 0, "the nearest key plays"
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(UserError, match="broken"):
        open_font(path)
    path.write_bytes(b"RIFF nothing")
    with pytest.raises(UserError, match="not a sound font"):
        open_font(path)


def test_the_font_says_what_it_is() -> None:
    folder = voices.find(voices.DEFAULT_FONT, kind="soundfont")
    loaded = aoide.load(voices.DEFAULT_FONT)
    assert loaded.card == (folder / "card.md").read_text("utf-8") and "26 programs" in repr(loaded)
    assert loaded.render([Note(0, 0.1, 60)], seconds=0.2, sample_rate=RATE).samples.shape == (4800, 2)
    card = loaded.card
    assert "MIT" in card and "Frank Wen" in card
    assert sum(path.stat().st_size for path in folder.iterdir()) < 5e6
