"""Conversion without its weights: parts and how they are joined, what is measured first, mixtures, toy graphs."""

from __future__ import annotations

import dataclasses
import math
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aoide import voices
from aoide.audio import io
from aoide.audio.sound import Sound
from aoide.config import UserError
from aoide.generate import convert, converter, retrieval
from aoide.generate.convert import Heard, Source, cuts, findings, flat, joined, semitones, survey
from aoide.generate.converter import KNEE, Converter, Target, as_loud, limited
from aoide.generate.packed import sum_of, write

RATE, HOP = 24_000, 256
SINGERS = {"low": Target(f0=110.0, level=-3.0), "high": Target(f0=440.0, level=-3.0)}


def tone(seconds: float, hz: float = 220.0, rate: int = RATE) -> np.ndarray:
    time = np.arange(int(seconds * rate)) / rate
    return (0.2 * sum(np.sin(2 * np.pi * hz * k * time) / k for k in range(1, 15))).astype(np.float32)


def song(seconds: float, pause: float, hz: float = 220.0) -> np.ndarray:
    """A tone that pauses every six seconds."""
    sound = tone(seconds, hz)
    for start in range(6, int(seconds), 6):
        sound[start * RATE : int((start + pause) * RATE)] = 0.0
    return sound


# --------------------------------------------------------------------------------------------------------------- joined


def test_parts_that_come_back_unchanged_are_the_whole() -> None:
    samples = np.random.default_rng(0).normal(0, 0.1, 5 * RATE + 77).astype(np.float32)
    starts = (0, 100 * HOP, 260 * HOP, 400 * HOP)
    pieces = list(joined(Source.of(Sound(samples, RATE)), starts, RATE, HOP, lambda part, first: part))
    assert len(pieces) == 4
    np.testing.assert_allclose(np.concatenate(pieces), samples, atol=1e-7)


def test_parts_hear_what_is_around_them_and_know_their_place() -> None:
    samples = np.arange(10 * RATE, dtype=np.float32)
    seen = []

    def work(part: np.ndarray, first: int) -> np.ndarray:
        assert len(part) % HOP == 0 and part[0] == first * HOP
        seen.append((first, len(part) / RATE))
        return part

    starts = (0, 400 * HOP)
    made = np.concatenate(list(joined(Source.of(Sound(samples, RATE)), starts, RATE, HOP, work)))
    np.testing.assert_allclose(made, samples, rtol=1e-6)
    assert seen[0][0] == 0 and seen[0][1] == pytest.approx(400 * HOP / RATE + 1, abs=0.02)
    assert seen[1][0] == pytest.approx((400 * HOP - RATE) / HOP, abs=1)


def test_a_part_fades_into_the_next() -> None:
    samples = np.ones(4 * RATE, np.float32)
    values = iter((1.0, 3.0))
    pieces = joined(Source.of(Sound(samples, RATE)), (0, 200 * HOP), RATE, HOP, lambda x, _: x * next(values))
    made = np.concatenate(list(pieces))
    assert len(made) == len(samples) and made[0] == 1.0 and made[-1] == 3.0
    rising = np.flatnonzero((made > 1.0) & (made < 3.0))
    assert np.all(np.diff(made) >= 0) and abs(rising.mean() - 200 * HOP) < 2
    assert len(rising) / RATE == pytest.approx(convert.FADE, abs=0.03)


def test_memory_is_that_of_a_part() -> None:
    """A source of an hour is read block by block: nobody ever holds more than a part and what is around it."""
    taken = 0

    def blocks(rate: int) -> Iterator[np.ndarray]:
        nonlocal taken
        for _ in range(360):
            taken += 10 * rate
            yield np.zeros(10 * rate, np.float32)

    starts = tuple(range(0, 3600 * 100, 20 * 100))
    given = ahead = 0
    for piece in joined(Source(blocks, 3600.0), starts, 100, 1, lambda part, first: part):
        given += len(piece)
        ahead = max(ahead, taken - given)
    assert given == 3600 * 100 and ahead <= 35 * 100


def test_sound_of_every_form_is_read_alike() -> None:
    stereo = Sound(np.stack([tone(1.0, rate=44_100), -tone(1.0, rate=44_100)], axis=1), 44_100)
    assert np.abs(np.concatenate(list(Source.of(stereo).blocks(RATE)))).max() < 1e-6, "channels are averaged"
    assert list(joined(Source.of(Sound(np.zeros(0, np.float32), RATE)), (0,), RATE, HOP, lambda x, _: x)) == []


# --------------------------------------------------------------------------------------------------------------- survey


def test_cuts_lie_in_pauses() -> None:
    source = Source.of(Sound(song(26.0, 0.6), RATE))
    starts = cuts(source, RATE, HOP)
    assert len(starts) == 2 and starts[0] == 0 and starts[1] % HOP == 0
    assert any(start < starts[1] / RATE < start + 0.6 for start in (12, 18))


def test_survey_finds_f0_level_and_the_way_to_a_singer() -> None:
    pytest.importorskip("pyworld")
    heard = survey(Source.of(Sound(song(8.0, 0.5), RATE)), RATE, HOP, "dio")
    assert len(heard.f0) == len(heard.level) == math.ceil(8 * RATE / HOP)
    assert heard.median == pytest.approx(220, rel=0.01) and not heard.silent
    voiced = tone(1.0)
    assert heard.loudness == pytest.approx(math.log(np.sqrt(np.mean(voiced**2))), abs=0.1)
    assert semitones("auto", "svc", heard.median, 440.0) == 12.0
    silence = survey(Source.of(Sound(np.zeros(RATE, np.float32), RATE)), RATE, HOP, "dio")
    assert silence.silent and silence.median is None and semitones("auto", "svc", silence.median, 440.0) == 0.0


def test_transposition() -> None:
    assert semitones("auto", "svc", 200.0, 230.0) == 2.0
    assert semitones("auto", "vc", 200.0, 230.0) == pytest.approx(12 * math.log2(1.15))
    assert semitones(-3.5, "svc", 200.0, 230.0) == -3.5
    with pytest.raises(UserError, match="-48 to 48"):
        semitones(math.nan, "svc", 200.0, 230.0)


def test_flat_tops_are_places_where_it_was_cut_off() -> None:
    wave = np.sin(2 * np.pi * 220 * np.arange(44_100) / 44_100)
    whole = np.rint(32767 * wave) / 32768
    assert flat(np.float32(whole)) == 0, "full scale alone is no fault"
    assert flat(np.float32((1.3 * whole).clip(-1, 32767 / 32768))) == pytest.approx(440, abs=2)
    stereo = np.stack([0.5 * whole, (1.3 * whole).clip(-1, 1)], axis=1)
    assert flat(np.float32(stereo)) == pytest.approx(440, abs=2)
    assert flat(np.ones(2, np.float32)) == 0 and flat(np.ones(50, np.float32)) == 1


def test_what_is_odd_is_told_in_a_line() -> None:
    def told(sound: np.ndarray, f0: float) -> list[str]:
        heard = Heard((0,), np.full(20, f0), np.full(20, np.abs(sound).max()), HOP)
        return list(findings(Source.of(Sound(sound, RATE)), heard))

    assert told(tone(0.3), 220.0) == []
    assert len(told((9 * tone(0.3)).clip(-1, 1), 220.0)) == 1 and "cut off" in told(9 * tone(0.3), 220.0)[0]
    assert "silent" in told(np.zeros(RATE, np.float32), 0.0)[0] and "no pitch" in told(tone(0.3), 0.0)[0]


def test_an_hour_of_stereo_takes_no_more_memory_than_a_minute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """44.1 kHz, two channels, on disk; the peak of what numpy holds, for a minute and for two."""
    starts = tuple(range(0, 120 * RATE, 20 * RATE // HOP * HOP))
    monkeypatch.setattr(convert, "cuts", lambda *_: starts)
    monkeypatch.setattr(convert.pitch, "track", lambda samples, rate, hop, *_: np.full(len(samples) // hop, 220.0))
    block, peaks = np.stack([tone(10.0, rate=44_100)] * 2, axis=1), []
    for seconds in (60, 120):
        path = tmp_path / f"{seconds}.wav"
        with io.open_writer(path, 44_100, channels=2) as writer:
            for _ in range(seconds // 10):
                writer.write(block)
        source = Source.file(path)
        tracemalloc.start()
        heard = survey(source, RATE, HOP)
        assert not list(findings(source, heard)) and len(heard.starts) == seconds // 20
        samples = sum(len(x) for x in joined(source, heard.starts, RATE, HOP, lambda part, first: part))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert samples == seconds * RATE
    assert peaks[1] < 1.1 * peaks[0] + 2**20


def test_nan_is_refused() -> None:
    pytest.importorskip("pyworld")
    with pytest.raises(UserError, match="NaN"):
        survey(Source.of(Sound(np.full(RATE, np.nan, np.float32), RATE)), RATE, HOP, "dio")


# ------------------------------------------------------------------------------------------------------------ converter


class Graph:
    """Stands for both graphs: the content is the mel, its first band in all of a frame's numbers; the mel says F0."""

    def run(self, outputs: list[str], feeds: dict[str, np.ndarray]) -> list[np.ndarray]:
        if outputs == ["content"]:
            return [feeds["mel"].reshape(1, -1, 2, 100).mean(-1)]
        assert feeds["mixture"].sum(-1) == pytest.approx(1.0)
        frames = feeds["f0"].shape[1]
        assert feeds["content"].shape == (1, frames, 1) and feeds["energy"].shape == (1, frames)
        self.f0 = feeds["f0"][0]
        return [np.full((1, frames, 100), 3.0, np.float32)]


class Plain:
    """Stands for the vocoder: a steady tone as loud as the mel."""

    name = "plain"

    def __init__(self, mel: Any) -> None:
        self.mel = mel

    def vocode(self, mel: np.ndarray) -> np.ndarray:
        level = 0.05 * np.repeat(np.exp(mel.mean(1)), self.mel.hop)
        return (level * np.sin(np.arange(len(level)) * 0.1)).astype(np.float32)


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Converter:
    """A converter of two singers whose graphs are `Graph`."""
    graph = Graph()
    for file in ("content.onnx", "mel.onnx"):
        (tmp_path / file).write_bytes(b"")
    sums = {file: sum_of(tmp_path / file) for file in ("content.onnx", "mel.onnx")}
    about = converter.Description(
        name="toy", licence="CC0-1.0", sha256=sums, content=1, stride=2, context=3, singers=SINGERS
    )
    write(about, tmp_path, converter.FILE)
    monkeypatch.setattr(converter, "open_graph", lambda *_: graph)
    monkeypatch.setattr(converter, "Vocoder", lambda *_: Plain(about.mel))
    return Converter(tmp_path)


def test_f0_goes_to_the_singer_and_unvoiced_stays(made: Converter) -> None:
    pytest.importorskip("pyworld")
    sound = Sound(np.concatenate([tone(1.5), np.zeros(RATE, np.float32)]), RATE)
    for singer, hz in (("low", 110.0), ("high", 440.0), ({"low": 1.0, "high": 1.0}, 220.0)):
        converted = made.convert(sound, singer, f0="dio")
        assert len(converted.samples) == len(sound.samples) and converted.sample_rate == RATE
        f0 = made._mel.f0
        assert np.median(f0[f0 > 0]) == pytest.approx(hz, rel=0.01)
        assert not f0[-60:].any()
    made.convert(sound, "high", f0="dio", transpose=-5)
    assert np.median(made._mel.f0[made._mel.f0 > 0]) == pytest.approx(220 * 2 ** (-5 / 12), rel=0.01)


def test_who_speaks_lower_than_she_sings_is_brought_to_what_is_nearer(made: Converter) -> None:
    of = {"both": Target(f0=190.0, level=-3.0, sung=280.0), "one": Target(f0=400.0, level=-3.0)}
    made.description = dataclasses.replace(made.description, singers=of)
    first, last = np.array([1.0, 0.0]), np.array([0.5, 0.5])
    assert made.height(first, "svc", 210.0) == pytest.approx(190) == made.height(first, "vc", 400.0)
    assert made.height(first, "svc", 400.0) == pytest.approx(280)
    assert made.height(first, "svc", None) == pytest.approx(190)
    assert made.height(last, "svc", 500.0) == pytest.approx(math.sqrt(280 * 400))


def test_content_is_brought_to_where_the_singers_lies(made: Converter, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pyworld")
    seen: list[np.ndarray] = []
    run = Graph.run

    def kept(self: Graph, outputs: list[str], feeds: dict[str, np.ndarray]) -> list[np.ndarray]:
        if outputs == ["mel"]:
            seen.append(feeds["content"][0, :, 0])
        return run(self, outputs, feeds)

    monkeypatch.setattr(Graph, "run", kept)
    sound = Sound(np.concatenate([tone(3.0), np.zeros(RATE, np.float32)]), RATE)
    singers = {
        name: dataclasses.replace(of, content=(value,))
        for (name, of), value in zip(SINGERS.items(), (2.0, 6.0), strict=True)
    }
    made.convert(sound, "low", f0="dio")
    plain, voiced = seen[-1], slice(20, 260)
    made.description = dataclasses.replace(made.description, singers=singers)
    belief = 3.0 / (3.0 + converter.HALF)
    for singer, wanted in (("low", 2.0), ("high", 6.0), ({"low": 1.0, "high": 3.0}, 5.0)):
        made.convert(sound, singer, f0="dio")
        moved = seen[-1] - plain
        assert np.median(moved[voiced]) == pytest.approx(belief * (wanted - plain[voiced].mean()), rel=0.05)
        assert not moved[-60:].any(), "pauses are left as they are"
    made.convert(Sound(np.zeros(RATE, np.float32), RATE), "low", f0="dio")
    with pytest.raises(ValueError, match="1 values"):
        dataclasses.replace(made.description, singers={"low": dataclasses.replace(SINGERS["low"], content=(1.0, 2.0))})


def test_retrieval_is_asked_for_and_checked(made: Converter, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pyworld")
    sound = Sound(tone(0.5), RATE)
    with pytest.raises(UserError, match="no frames of its singers"):
        made.convert(sound, f0="dio", retrieval=0.5)
    with pytest.raises(UserError, match="0 to 1"):
        made.convert(sound, f0="dio", retrieval=2.0)
    bank = retrieval.Bank(np.zeros((3, 100), np.float32), np.full(3, 110.0, np.float32))
    monkeypatch.setattr(retrieval.Bank, "nearer", lambda self, mel, f0, of: np.linspace(-1, 1, 100)[None] + 0 * mel)
    made._banks = {"low": bank}
    seen: list[np.ndarray] = []
    monkeypatch.setattr(converter, "as_loud", lambda mel, *_: seen.append(mel) or mel)
    for amount in (None, 0.0, 0.5):
        made.convert(sound, "low", f0="dio", retrieval=amount)
    assert np.array_equal(seen[0], seen[1]) and np.ptp(seen[2][0]) == pytest.approx(1.0, rel=1e-5)


def test_peaks_are_bent_not_cut() -> None:
    wave = np.linspace(-3, 3, 601, dtype=np.float32)
    bent = limited(wave)
    assert np.abs(bent).max() <= 1 and np.all(np.diff(bent) >= 0) and np.array_equal(bent[250:351], wave[250:351])
    assert KNEE < limited(np.float32([1.1]))[0] < 1


def test_silence_stays_silence_and_loudness_follows(made: Converter) -> None:
    pytest.importorskip("pyworld")
    silent = made.convert(Sound(np.zeros((RATE, 2), np.float32), 44_100), f0="dio")
    assert len(silent.samples) == round(RATE * RATE / 44_100) and not silent.samples.any()
    loud = tone(1.0)
    both = made.convert(Sound(np.concatenate([loud, 0.1 * loud]), RATE), f0="dio").samples
    levels = [float(np.sqrt(np.mean(part**2))) for part in (both[2400:21600], both[26400:45600])]
    assert levels[0] / levels[1] == pytest.approx(10.0, rel=0.1)


def test_nothing_in_gives_nothing_out(made: Converter) -> None:
    pytest.importorskip("pyworld")
    assert len(made.convert(Sound(np.zeros(0, np.float32), RATE), f0="dio").samples) == 0
    assert len(made.convert(Sound(np.full(10, 0.1, np.float32), RATE), f0="dio").samples) == 10


def test_it_says_what_it_did_and_refuses_who_is_not_there(made: Converter) -> None:
    assert "synthetic: yes" in made.tags("low")["comment"] and "converted to low by toy" in made.tags("low")["comment"]
    assert "low and high" in made.tags({"low": 0.5, "high": 0.5})["comment"]
    for singer, words in (("hihg", "did you mean high"), ({"low": 0.0}, "above 0"), ({"low": -1.0}, "0 or more")):
        with pytest.raises(UserError, match=words):
            made.convert(Sound(tone(0.1), RATE), singer)


def test_as_loud_brings_frames_to_their_source() -> None:
    source = np.full((4, 10), -4.0, np.float32)
    mel = np.array([-4.0, -2.0, -9.0, -4.0], np.float32)[:, None] + np.zeros((4, 10), np.float32)
    fixed = as_loud(mel, source, 0.0, -11.5)
    np.testing.assert_allclose(fixed[[0, 1, 3]], -4.0, atol=1e-3)
    np.testing.assert_allclose(fixed[2], -9.0 + converter.LOUDER, atol=1e-3)


def test_as_loud_over_a_time_leaves_sounds_as_loud_beside_each_other_as_they_came_out() -> None:
    beat = np.where(np.arange(60) % 2, -2.0, -6.0)[:, None] + np.zeros((60, 10))
    source = np.full((60, 10), -4.0)
    source[30:] += 1.0
    fixed = as_loud(beat.astype(np.float32), source.astype(np.float32), 0.0, -11.5, deviation=4.0)[:, 0]
    np.testing.assert_allclose(np.diff(fixed[8:22]), np.diff(beat[8:22, 0]), atol=0.2)
    rms = [np.sqrt(np.mean(np.exp(2 * part))) for part in (fixed[4:24], fixed[36:56])]
    np.testing.assert_allclose(np.log(rms), [-4.0, -3.0], atol=0.1)


def test_heard_f0_beyond_the_end_is_unvoiced() -> None:
    heard = Heard((0,), np.array([1.0, 2.0]), np.zeros(2), HOP)
    assert heard.f0_of(1, 3).tolist() == [2.0, 0.0, 0.0]


@pytest.mark.slow  # 15 s: two exports
def test_exported_networks_convert(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    pytest.importorskip("onnxscript")
    pytest.importorskip("pyworld")
    from aoide.generate.pack_converter import About, export_converter
    from aoide.models.content import phonemes
    from aoide.models.svc import harmonic

    torch.manual_seed(0)
    content = phonemes.Model(phonemes.Config(content=6, dim=16, hidden=24, layers=2)).eval()
    voice = harmonic.Model(harmonic.Config(content=6, dim=16, hidden=24, layers=2, speakers=2)).eval()
    about = About(name="toy", licence="CC0-1.0", singers=SINGERS)
    export_converter(content, voice, tmp_path / "toy", about, quantise=False)
    assert voices.kind_of(str(tmp_path / "toy")) == "converter"
    made = Converter(tmp_path / "toy")
    mel = np.random.default_rng(0).normal(-5, 1, (33, 100)).astype(np.float32)
    f0 = np.where(np.arange(33) % 5, 230.0, 0.0).astype(np.float32)
    with torch.inference_mode():
        want = content.listen(torch.from_numpy(mel)[None], torch.from_numpy(f0)[None])[0].numpy()
    np.testing.assert_allclose(made.content(mel, f0), want, atol=1e-4)
    assert len(made.convert(Sound(tone(1.0), RATE), "high", f0="dio").samples) == RATE
    assert "## Ethics" in made.card and "CC0-1.0" in made.card
    with pytest.raises(UserError, match="singers"):
        bad = About(name="bad", licence="CC0-1.0", singers={"one": SINGERS["low"]})
        export_converter(content, voice, tmp_path / "bad", bad)
