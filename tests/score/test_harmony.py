"""Chords, their file, files of several parts, and accompaniments."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from aoide.config import UserError
from aoide.score import Meter, Note, Score, Tempo, harmony, tracks
from aoide.score.arrange import PATTERNS, accompany, instrumental
from aoide.score.harmony import Chord, Span
from aoide.score.style import parse
from aoide.score.tracks import Event

SONGS = Path(__file__).parents[2] / "examples" / "songs"


def test_names_of_chords() -> None:
    for name in ("C", "F#m", "Bbm7", "Bdim", "Ebmaj7"):
        assert Chord.named(name).name == name
    assert Chord.named("Am").tones == (9, 0, 4)
    assert harmony.roman("V", 9, "minor").name == "E", "with the leading note"
    with pytest.raises(UserError, match="'H7' is no chord"):
        Chord.named("H7")


def test_sections_end_with_a_cadence() -> None:
    for mode in ("major", "minor"):
        for seed in range(8):
            random = np.random.default_rng(seed)
            closed = harmony.progression("chorus", 8, 2, mode, random, closed=True)
            assert len(closed) == 8 and closed[-1] == harmony.diatonic(2, mode)[0]
            assert harmony.progression("bridge", 6, 2, mode, random, closed=False)[-1].root == 9


def test_chords_go_through_their_file(tmp_path: Path) -> None:
    score = Score(tempos=(Tempo(tick=0, bpm=90),), meters=(Meter(tick=0, beats=3, unit=4),))
    spans = [Span(i * 1440, 1440, Chord.named(name)) for i, name in enumerate(("Am", "Am", "F", "E7", "Bdim"))]
    harmony.save(spans, score, tmp_path / "chords.mid")
    again, empty = harmony.load(tmp_path / "chords.mid")
    assert again == spans and empty.meters == score.meters and abs(empty.tempos[0].bpm - 90) < 0.01
    (tmp_path / "bad.mid").write_bytes(b"MThd")
    with pytest.raises(UserError, match="cut off"):
        harmony.load(tmp_path / "bad.mid")


def test_a_known_song_gets_its_key_and_fitting_chords() -> None:
    score = Score.load(SONGS / "twinkle.musicxml")
    assert harmony.key_of(score) == ((score.notes[-1].pitch or 0) % 12, "major")
    notes = instrumental(parse("folk, guitar and flute"), None, 1, score)
    tune = [note for note in notes if note.program == 73]
    assert len(tune) >= len([n for n in score.notes if n.sung])
    assert max(note.start + note.seconds for note in notes) == pytest.approx(score.end, abs=1.5)


def test_tracks_keep_instruments_velocities_and_drums(tmp_path: Path) -> None:
    parts = {
        "guitar": [Event(0, 480, 60, 90, 24), Event(240, 480, 64, 70, 24)],
        "drums": [Event(0, 120, 36, 100, 0, True), Event(480, 120, 38, 99, 0, True)],
    }
    score = Score(tempos=(Tempo(tick=0, bpm=60), Tempo(tick=480, bpm=120)))
    (tmp_path / "a.mid").write_bytes(tracks.write(parts, score))
    events, empty = tracks.read(tmp_path / "a.mid")
    assert events == sorted([*parts["guitar"], *parts["drums"]])
    notes = tracks.timed(events, empty)
    assert [round(note.start, 3) for note in notes] == [0, 0, 0.5, 1.0] and notes[-1].seconds == pytest.approx(0.125)
    with pytest.raises(UserError, match="too many for a MIDI file"):
        tracks.write({str(i): [Event(0, 1, 60)] for i in range(16)}, score)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_patterns_play_tones_of_the_chord_inside_the_bar(pattern: str) -> None:
    for beats, unit in ((4, 4), (3, 4), (2, 4), (6, 8), (5, 4), (12, 8)):
        score = Score(meters=(Meter(tick=0, beats=beats, unit=unit),))
        bar = 1920 * beats // unit
        spans = [Span(i * bar, bar, Chord.named(name)) for i, name in enumerate(("Am", "F", "G7", "Am"))]
        style = replace(parse("guitar, pop, drums"), pattern=pattern)
        parts = accompany(spans, score, style, None, 1)
        assert set(parts) == {"guitar", "bass", "drums"}
        for event in (*parts["guitar"], *parts["bass"]):
            span = spans[event.start // bar]
            assert event.pitch % 12 in span.chord.tones and event.end <= span.end + 1, (pattern, beats, event)
        assert {event.start // bar for event in parts["guitar"]} == {0, 1, 2, 3}


def test_a_piece_is_as_long_as_asked_and_ends_at_home() -> None:
    style = parse("slow strings in A minor, 70 bpm")
    notes = instrumental(style, 20.0, seed=2)
    end = max(note.start + note.seconds for note in notes)
    assert abs(end - 20.0) < style.bar_seconds
    last = [note.pitch % 12 for note in notes if note.start > end - style.bar_seconds * 0.9]
    assert set(last) <= {9, 0, 4} and notes == instrumental(style, 20.0, seed=2)
    assert len({note.pitch for note in instrumental(style, 3.0)}) > 2, "a bar or two"
    for seconds, said in ((0.0, "lasts up to"), (1e5, "lasts up to"), (None, "how long")):
        with pytest.raises(UserError, match=said):
            instrumental(style, seconds)
    with pytest.raises(UserError, match="no notes"):
        instrumental(style, None, 0, Score())


def test_a_changed_melody_gets_chords_that_fit() -> None:
    from aoide.score.rules import Rules

    rules = Rules(
        tonic=0, mode="major", beats=4, unit=4, bpm=90, low=50, high=80, shortest=1, parts=(), phrases=(),
        chords=("C", "C"),
    )  # fmt: skip
    score = Score(notes=(Note(start=0, length=1920, pitch=64), Note(start=1920, length=960, pitch=62)))
    assert [span.chord.name for span in harmony.harmonise(score, rules)] == ["C", "Dm"]
    outside = Score(notes=(Note(start=0, length=1920, pitch=66),))
    assert 6 in harmony.harmonise(outside, rules)[0].chord.tones
