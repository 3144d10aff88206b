"""Recordings in the wild: stage by stage, and the whole with stand-ins for the networks; the real ones are slow."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from aoide import cli
from aoide.audio import io, vad
from aoide.config import UserError
from aoide.data.manifest import Manifest
from aoide.data.wild import RATE, Plugs, Span, cut, diarise, judge, pipeline, separate, standardise
from aoide.data.wild.judge import Piece
from tests.data.conftest import save, voice

WHISPER = Path.home() / ".cache" / "aoide-bench" / "whisper-base"


class Said(NamedTuple):
    text: str
    language: str = "en"
    confidence: float = 0.95
    log_probability: float = -0.2


class Listener:
    """Stands in for Whisper: twelve letters for each second, or what it was told to answer to its n-th clip."""

    def __init__(self) -> None:
        self.clips: list[float] = []  # seconds of those it heard
        self.answers: dict[int, Said] = {}
        self.before: Callable[[int], None] = lambda clip: None

    def listen(self, clips: Sequence[np.ndarray], sample_rate: int, language: str | None) -> list[Said]:
        assert sample_rate == RATE
        found = []
        for clip in clips:
            self.before(len(self.clips))
            letters = np.random.default_rng(len(self.clips)).integers(97, 123, (round(3 * len(clip) / RATE), 4))
            words = " ".join(bytes(word).decode() for word in letters.astype(np.uint8))
            found.append(self.answers.get(len(self.clips), Said(words, language or "en")))
            self.clips.append(len(clip) / RATE)
        return found


class Rater:
    """Stands in for DNSMOS."""

    def __init__(self) -> None:
        self.scores: dict[int, float] = {}
        self.count = 0

    def rate(self, samples: np.ndarray, sample_rate: int) -> float:
        self.count += 1
        return self.scores.get(self.count - 1, 3.5)


@pytest.fixture
def networks(monkeypatch: pytest.MonkeyPatch) -> tuple[Listener, Rater]:
    """What `aoide prepare wild` listens and rates by in these tests, with the detector that needs no weights."""
    listener, rater = Listener(), Rater()
    stand_ins = Plugs(detector=vad.Energy(), transcriber=listener, scorer=rater)
    monkeypatch.setattr(pipeline, "plugs", lambda config, threads: stand_ins)
    return listener, rater


def talk(*seconds: float, pause: float = 2.5, rate: int = 16000, seed: int = 0) -> np.ndarray:
    """Stretches of speech, each followed by a pause, in faint noise."""
    parts = [np.zeros(rate, np.float32)]
    for i, length in enumerate(seconds):
        parts += [voice(length, rate, seed + i), np.zeros(round(pause * rate), np.float32)]
    whole = np.concatenate(parts)
    return (whole + 1e-4 * np.random.default_rng(seed).standard_normal(len(whole))).astype(np.float32)


def prepare(root: Path, out: Path, *words: str) -> int:
    return cli.main(["prepare", "wild", "--root", str(root), "-o", str(out), "--no-phonemes", "--jobs", "1", *words])


def summary(out: Path) -> dict:
    return json.loads((out / "summary.json").read_text("utf-8"))


def refused(out: Path) -> dict[str, str]:
    return {item["id"]: item["reason"] for item in summary(out)["refused"]}


def write_m4a(path: Path, samples: np.ndarray, rate: int) -> None:
    av = pytest.importorskip("av")
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=rate, layout="mono")
        for i in range(0, len(samples), 1024):
            frame = av.AudioFrame.from_ndarray(samples[None, i : i + 1024], format="fltp", layout="mono")
            frame.sample_rate = rate
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


# ------------------------------------------------------------------------------------------------------------ the whole


def test_every_kind_of_file(tmp_path: Path, networks: tuple[Listener, Rater], capsys: pytest.CaptureFixture) -> None:
    root, out = tmp_path / "root", tmp_path / "root" / "prepared"  # the output may lie inside
    save(root / "plain.wav", talk(4.0, 1.0, 5.0, pause=2.5), text=None)
    left = talk(4.0, rate=44100, seed=3)
    save(root / "radio" / "stereo.flac", np.stack([left, 0.5 * left], axis=1), 44100, text=None)
    write_m4a(root / "phone.m4a", talk(6.0, seed=4, rate=32000), 32000)
    save(root / "silent.wav", np.zeros(80000, np.float32), text=None)
    save(root / "hush.wav", 0.01 * np.random.default_rng(0).standard_normal(80000).astype(np.float32), text=None)
    save(root / "none.wav", np.zeros(0, np.float32), text=None)
    save(root / "nan.wav", np.full(16000, np.nan, np.float32), text=None, subtype="FLOAT")
    (root / "empty.mp3").touch()
    (root / "text.mp3").write_text("not a sound " * 50)
    save(root / "cut.wav", talk(4.0), text=None)
    (root / "cut.wav").write_bytes((root / "cut.wav").read_bytes()[:90000])
    assert prepare(root, out) == 0
    said = refused(out)
    assert {name: said[name] for name in ("silent.wav", "hush.wav", "none.wav", "cut.wav")} == {
        "silent.wav": "silent",
        "hush.wav": "nobody speaks in it",
        "none.wav": "no samples",
        "cut.wav": "broken sound file: it ends too early",
    }
    assert "no numbers" in said["nan.wav"] and "empty file" in said["empty.mp3"] and "text.mp3" in said
    [short] = [name for name in said if name.startswith("plain.wav/")]
    assert "too short for a clip: at 0:07." in said[short] and len(said) == 8
    manifest = Manifest(out)
    clips = {clip.id: clip for clip in (manifest[i] for i in range(len(manifest)))}
    assert [name.split("/0")[0] for name in clips] == ["phone.m4a", "plain.wav", "plain.wav", "radio/stereo.flac"]
    for clip in clips.values():
        info = io.probe(clip.audio)
        assert (info.sample_rate, info.channels, info.encoding) == (RATE, 1, "PCM_16")
        assert clip.text and clip.language == "en" and clip.speaker == clip.id.split("/0")[0]
        more = clip.more
        assert more["dnsmos"] == 3.5 and more["confidence"] == 0.95 and (root / more["source"]).is_file()
        assert more["source_end"] - more["source_start"] == pytest.approx(clip.seconds, abs=2e-3)
    first = next(clip for name, clip in clips.items() if name.startswith("plain.wav"))
    assert first.more["source_start"] == pytest.approx(0.85, abs=0.1) and first.seconds == pytest.approx(4.2, abs=0.3)
    told = json.loads((out / "wild.json").read_text())
    assert told["recordings"] == 10 and told["recordings_refused"] == 7
    assert told["kept"]["en"]["clips"] == 4 and told["refused"]["short"]["clips"] == 1
    assert "refused for short: 1 clips" in capsys.readouterr().err
    assert not list(out.glob(".*"))


def test_what_is_finished_is_not_done_again(tmp_path: Path, networks: tuple[Listener, Rater]) -> None:
    listener, rater = networks
    root, out = tmp_path / "root", tmp_path / "out"
    for i in range(3):
        save(root / f"{i}.wav", talk(4.0, 5.0, seed=10 * i), text=None)

    def killed(clip: int) -> None:
        if clip == 3:  # the second clip of the second recording
            raise KeyboardInterrupt

    listener.before = killed
    (tmp_path / "one.yaml").write_text("transcribe: {batch: 1}")
    assert prepare(root, out, "--recipe", str(tmp_path / "one.yaml")) == 130
    assert len(listener.clips) == 3 and not list(out.glob(".*"))
    assert (out / "recordings/0.wav.json").is_file() and not (out / "recordings/1.wav.json").exists()
    assert len(list((out / "audio/1.wav").iterdir())) == 1, "half done"
    listener.before = lambda clip: None
    assert prepare(root, out) == 0
    assert len(listener.clips) == 3 + 4 and summary(out)["clips"] == 6, "the first is kept, the others are done whole"
    assert prepare(root, out) == 0 and len(listener.clips) == 7, "nothing is new"
    save(root / "new.wav", talk(4.5, seed=40), text=None)
    save(root / "1.wav", talk(3.5, seed=50), text=None)
    assert prepare(root, out) == 0 and len(listener.clips) == 9 and summary(out)["clips"] == 6
    next((out / "audio/0.wav").iterdir()).unlink()
    assert prepare(root, out) == 0 and len(listener.clips) == 11, "a clip was lost"
    (out / "recordings/0.wav.json").write_text('{"key": "')
    assert prepare(root, out) == 0 and len(listener.clips) == 13, "a record was lost"


def test_other_limits_cost_nothing(tmp_path: Path, networks: tuple[Listener, Rater]) -> None:
    listener, rater = networks
    rater.scores, listener.answers = {0: 2.5}, {2: Said("Guten Morgen allerseits hier.", "de", 0.5)}
    root, out = tmp_path / "root", tmp_path / "out"
    save(root / "a.wav", talk(4.0, 5.0, 3.5), text=None)
    assert prepare(root, out) == 0
    assert summary(out)["clips"] == 1
    reasons = sorted(reason.partition(": at")[0] for reason in refused(out).values())
    assert reasons == ["DNSMOS 2.50 is below 3", "language de is 50% sure, less than 80%"]
    assert prepare(root, out, "--min-dnsmos", "2") == 0 and summary(out)["clips"] == 2
    (tmp_path / "all.yaml").write_text("judge: {min_dnsmos: 1, min_confidence: 0}")
    assert prepare(root, out, "--recipe", str(tmp_path / "all.yaml")) == 0
    assert summary(out)["languages"] == {"de": 1, "en": 2} and len(listener.clips) == 3
    assert prepare(root, out, "--language", "en") == 0
    assert len(listener.clips) == 6, "what is written down otherwise is heard again"


def test_more_text_than_one_can_say_is_refused(tmp_path: Path, networks: tuple[Listener, Rater]) -> None:
    """Not by a rule of its own: what is prepared goes through the checks of every corpus."""
    letters = np.random.default_rng(0).integers(97, 123, (50, 4)).astype(np.uint8)
    networks[0].answers = {0: Said(" ".join(bytes(word).decode() for word in letters))}
    save(tmp_path / "root" / "a.wav", talk(4.0, 5.0), text=None)
    assert prepare(tmp_path / "root", tmp_path / "out") == 0
    [reason] = refused(tmp_path / "out").values()
    assert "200 letters" in reason and "more than one can say" in reason and summary(tmp_path / "out")["clips"] == 1


def test_mistakes_are_told(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    root, out = tmp_path / "root", tmp_path / "out"
    root.mkdir()

    def told(*words: str) -> str:
        assert prepare(root, out, *words) == 2
        [line] = capsys.readouterr().err.strip().splitlines()
        return line

    assert "no recordings in it" in told()
    save(root / "a.wav", talk(4.0), text=None)
    (tmp_path / "x.yaml").write_text("cut: {longest: 40}")
    assert "longest 40.0, at most 30 s" in told("--recipe", str(tmp_path / "x.yaml"))
    (tmp_path / "x.yaml").write_text("jugde: {min_dnsmos: 2}")
    assert "did you mean judge" in told("--recipe", str(tmp_path / "x.yaml"))
    assert "nowhere.yaml" in told("--recipe", "nowhere.yaml")
    assert cli.main(["prepare", "wild", "-o", str(root)]) == 2
    assert "--root DIR, another folder" in capsys.readouterr().err


# ---------------------------------------------------------------------------------------------------------- standardise


def test_loudness_is_near_its_target_and_never_too_loud(tmp_path: Path) -> None:
    sound = voice(3.0, RATE)
    level = float(np.sqrt(np.mean(sound**2)))
    quiet, loud = 10 ** (-22 / 20) / level, 10 ** (-40 / 20) / level
    click = np.where(np.arange(len(sound)) == 1000, 0.97, sound * quiet)
    for samples, gain in ((sound * quiet, 2.0), (sound * loud, 3.0), (click, 20 * np.log10(0.99 / 0.97))):
        save(tmp_path / "a.wav", samples.astype(np.float32), RATE, text=None, subtype="FLOAT")
        with standardise.standardised(tmp_path / "a.wav", tmp_path / "x", standardise.Config()) as found:
            assert 20 * np.log10(found.gain) == pytest.approx(gain, abs=0.1)
            np.testing.assert_allclose(found.read(500, 1500), samples[500:1500] * found.gain, atol=1e-6)
            assert sum(map(len, found.blocks())) == found.samples == len(samples)
            assert len(found.read(found.samples - 10, found.samples + 10)) == 10
        assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("kind", ["wav", "m4a"])
def test_memory_does_not_grow_with_the_length(tmp_path: Path, kind: str) -> None:
    """30 seconds are 3 MB, and as many more for every step that holds them whole; a block of ten seconds is one."""
    sound = np.tile(voice(10.0, RATE), 3)
    path = tmp_path / f"long.{kind}"
    if kind == "m4a":
        write_m4a(path, sound, RATE)
    else:
        save(path, sound, RATE, text=None)
    whole = io.read(path).mono().resample(16000).samples
    np.testing.assert_allclose(np.concatenate(list(io.blocks(path, 16000))), whole, atol=1e-6)
    tracemalloc.start()
    with standardise.standardised(path, tmp_path / "x", standardise.Config()) as found:
        for _ in found.blocks():
            pass
        assert found.samples >= len(sound)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5e6


# ----------------------------------------------------------------------------------------------------------------- cut


def track_of(turns: Sequence[Span], seconds: float) -> vad.Track:
    frames = np.arange(int(seconds / vad.FRAME)) * vad.FRAME * RATE
    speech = np.zeros(len(frames), np.float32)
    for turn in turns:
        speech[(frames >= turn.start) & (frames < turn.end)] = 1
    return vad.Track(speech, 60 * speech - 80, seconds)


def spans(*seconds: tuple[float, float], speakers: str = "") -> list[Span]:
    return [Span(round(a * RATE), round(b * RATE), speakers[i : i + 1]) for i, (a, b) in enumerate(seconds)]


def cut_at(turns: Sequence[Span], seconds: float, **settings: float) -> list[tuple[float, float, str]]:
    found = cut.clips(turns, track_of(turns, seconds), round(seconds * RATE), cut.Config(**settings))
    return [(round(span.start / RATE, 2), round(span.end / RATE, 2), span.speaker) for span in found]


def test_short_pauses_join_and_long_ones_part() -> None:
    turns = spans((1, 3), (4, 6), (9, 12), (12.1, 14))
    assert cut_at(turns, 20) == [(0.85, 6.15, ""), (8.85, 14.15, "")]
    assert cut_at(turns, 20, max_pause=0.5) == [(0.85, 3.15, ""), (3.85, 6.15, ""), (8.85, 14.15, "")]


def test_a_clip_has_one_speaker() -> None:
    turns = spans((1, 5), (5.2, 9), (9.1, 13), speakers="112")
    assert cut_at(turns, 13) == [(0.85, 9.05, "1"), (9.05, 13.0, "2")]


def test_pieces_are_joined_to_a_comfortable_length_and_leave_no_crumbs() -> None:
    turns = spans((0, 10), (10.5, 20), (20.5, 29), (29.5, 31))
    assert cut_at(turns, 40) == [(0, 10.15, ""), (10.35, 20.15, ""), (20.35, 31.15, "")]


def test_no_clip_is_too_long_and_no_speech_is_lost() -> None:
    random = np.random.default_rng(0)
    for _ in range(20):
        edges = np.cumsum(random.exponential(1.5, 60) + 0.3)
        lengths = random.exponential(12, 60)
        places = [(a + float(lengths[:i].sum()), a + float(lengths[: i + 1].sum())) for i, a in enumerate(edges)]
        turns = spans(*places, speakers="".join(random.choice(list("12"), 60)))
        end = places[-1][1] + 1
        found = cut.clips(turns, track_of(turns, end), round(end * RATE), cut.Config())
        assert all(a.end <= b.start for a, b in pairwise(found))
        assert all(span.seconds <= 30.0 for span in found)
        covered = np.zeros(round(end * 100), bool)
        for span in found:
            covered[span.start * 100 // RATE : -(-span.end * 100 // RATE)] = True
        for turn in turns:
            assert covered[turn.start * 100 // RATE : turn.end * 100 // RATE].all()
            middle = (turn.start + turn.end) // 2
            assert all(s.speaker == turn.speaker for s in found if s.start <= middle < s.end)


# -------------------------------------------------------------------------------------------------------------- diarise


def test_groups_of_vectors_are_found() -> None:
    random = np.random.default_rng(0)
    centres = np.linalg.qr(random.standard_normal((64, 3)))[0].T
    truth = random.integers(0, 3, 200)
    truth[:3] = [0, 1, 2]
    vectors = centres[truth] + 0.08 * random.standard_normal((200, 64))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    for groups in (diarise.cluster(vectors, 0.4), diarise.cluster(vectors, 0.99, groups=3)):
        assert [set(truth[group]) for group in groups] == [{0}, {1}, {2}]
        assert sorted(np.concatenate(groups)) == list(range(200))
    assert len(diarise.cluster(vectors, 0.999)) == 200 and len(diarise.cluster(vectors, -1.0)) == 1


class Memory:
    """A recording in memory."""

    def __init__(self, samples: np.ndarray) -> None:
        self._sound, self.samples = samples, len(samples)

    def read(self, start: int, end: int) -> np.ndarray:
        return self._sound[start:end]


def loudness_is_the_voice(samples: np.ndarray) -> np.ndarray:
    """Stands in for Resemblyzer: loud sounds and quiet ones are two speakers."""
    angle = 0.2 if np.abs(samples).mean() > 0.25 else 1.5
    return np.array([np.cos(angle), np.sin(angle)])


def test_turns_change_with_the_speaker_and_not_for_a_moment() -> None:
    seconds = np.arange(40 * RATE) / RATE
    loud = (seconds < 6) | ((seconds >= 10.5) & (seconds < 12)) | (seconds > 24)
    sound = Memory(np.where(loud, 0.5, 0.1).astype(np.float32))
    found = diarise.Voices(diarise.Config(), loudness_is_the_voice).turns(sound, spans((0, 18), (20, 30), (33, 33.4)))
    assert [(round(s.start / RATE, 1), round(s.end / RATE, 1), s.speaker) for s in found] == [
        (0.0, 6.0, "1"),
        (6.0, 18.0, "2"),  # a window and a half of the other's in its middle is a slip
        (20.0, 24.3, "2"),
        (24.3, 30.0, "1"),
        (33.0, 33.4, "1"),
    ]
    one = diarise.Voices(diarise.Config(speakers=1), loudness_is_the_voice).turns(sound, spans((0, 18)))
    assert {span.speaker for span in one} == {"1"}
    assert diarise.Voices(diarise.Config(), loudness_is_the_voice).turns(sound, []) == []


# ------------------------------------------------------------------------------------------------------------- separate


def graph(path: Path, shape: list[int | str], factor: float) -> Path:
    onnx = pytest.importorskip("onnx")
    kind = onnx.TensorProto.FLOAT
    scale = onnx.helper.make_tensor("factor", kind, [], [factor])
    node = onnx.helper.make_node("Mul", ["input", "factor"], ["output"])
    ends = [onnx.helper.make_tensor_value_info(name, kind, shape) for name in ("input", "output")]
    made = onnx.helper.make_graph([node], "toy", [ends[0]], [ends[1]], [scale])
    model = onnx.helper.make_model(made, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=10)
    onnx.save(model, str(path))
    return path


@pytest.mark.parametrize(("gives", "factor"), [("music", 0.25), ("voice", 0.75)])
def test_what_mdx_net_gives_is_taken_from_the_sound(tmp_path: Path, gives: str, factor: float) -> None:
    """A network that takes a quarter of every spectrum for music leaves three quarters of the sound, without seams."""
    path = graph(tmp_path / "mdx.onnx", ["batch", 4, 1025, 16], factor)
    network = separate.Network(separate.Config(model=path, gives=gives, n_fft=2048))  # type: ignore[arg-type]
    sound = voice(2.0, RATE)
    found = [np.concatenate(list(network.voice(np.split(sound, edges)))) for edges in ([], [1, 9000, 9100, 40000])]
    assert [len(f) for f in found] == [len(sound)] * 2
    np.testing.assert_allclose(found[0], found[1], atol=1e-5)
    np.testing.assert_allclose(found[0][2000:-2000], 0.75 * sound[2000:-2000], atol=2e-3)


def test_a_network_of_waveforms_separates_too(tmp_path: Path) -> None:
    network = separate.Network(separate.Config(model=graph(tmp_path / "w.onnx", ["batch", "samples"], 0.5)))
    sound = voice(21.3, RATE)
    np.testing.assert_allclose(np.concatenate(list(network.voice([sound]))), 0.5 * sound, atol=1e-6)
    for shape in ([1, 2, 100], [1, 4, "bins", 16], [1, 4, 1024, 2]):
        with pytest.raises(UserError, match=r"wrong\.onnx"):
            separate.Network(separate.Config(model=graph(tmp_path / "wrong.onnx", shape, 1.0)))  # type: ignore[arg-type]
    with pytest.raises(UserError, match="no such file"):
        separate.Network(separate.Config(model=tmp_path / "none.onnx"))


def test_a_separated_voice_goes_on_through_the_stages(tmp_path: Path, networks: tuple[Listener, Rater]) -> None:
    listener, _ = networks

    class Half:
        def voice(self, blocks: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
            return (0.5 * block for block in blocks)

    class Gone:
        def voice(self, blocks: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
            return (0 * block for block in blocks)

    save(tmp_path / "a.wav", talk(4.0), text=None)
    levels = []
    for separator in (None, Half()):
        plugs = Plugs(detector=vad.Energy(), transcriber=listener, separator=separator)
        record = pipeline.process(tmp_path / "a.wav", "a.wav", tmp_path, pipeline.Config(), plugs)
        [piece] = record.pieces
        assert piece.audio is not None and piece.dnsmos is None
        levels.append(float(np.abs(io.read(tmp_path / piece.audio).samples).max()))
    assert levels[1] == pytest.approx(levels[0] / 2, rel=0.01)
    plugs = Plugs(detector=vad.Energy(), transcriber=listener, separator=Gone())
    record = pipeline.process(tmp_path / "a.wav", "a.wav", tmp_path, pipeline.Config(), plugs)
    assert record.refused == "nothing but music: the separated voice is silent" and not record.pieces


# ---------------------------------------------------------------------------------------------------------------- judge

GOOD = Piece(
    start=10.0,
    end=15.0,
    speaker="x",
    audio="a.flac",
    text="The quick brown fox jumps over the lazy dog and on.",
    language="en",
    confidence=0.9,
    log_probability=-0.3,
    dnsmos=3.2,
)


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({}, None),
        ({"dnsmos": None}, None),
        ({"audio": None, "text": "", "end": 12.0}, "short"),
        ({"text": " ... "}, "text"),
        ({"text": "a."}, "text"),
        ({"language": "fr"}, "language"),
        ({"confidence": 0.79}, "language"),
        ({"log_probability": -1.1}, "guess"),
        ({"text": "Thank you. " * 12}, "guess"),
        ({"dnsmos": 2.99}, "dnsmos"),
        ({"dnsmos": float("nan")}, "dnsmos"),
    ],
)
def test_each_rule_refuses(change: dict, rule: str | None) -> None:
    [[verdict]] = judge.judge([[replace(GOOD, **change)]], judge.Config(languages=("en", "de")))
    assert (verdict and verdict.rule) == rule


def test_a_pace_that_does_not_fit_the_text_is_refused() -> None:
    random = np.random.default_rng(0)
    many = [replace(GOOD, end=15.0 + random.uniform(-0.3, 0.3)) for _ in range(20)]
    wrong = [replace(GOOD, text="Half of it."), replace(GOOD, text="Twice as much " + GOOD.text * 2)]
    [verdicts] = judge.judge([[*many, *wrong]], judge.Config())
    assert verdicts[:20] == [None] * 20 and [v and v.rule for v in verdicts[20:]] == ["pace", "pace"]
    assert judge.judge([[*many, *wrong]], judge.Config(outliers=0)) == [[None] * 22]
    # few clips are compared with all of their language: a slow reader's recording is measured by itself
    slow = [replace(piece, end=piece.end + 15) for piece in many]
    assert judge.judge([many, slow], judge.Config()) == [[None] * 20] * 2
    few = [[piece] for piece in many] + [wrong[:1]]
    assert [bool(v[0]) for v in judge.judge(few, judge.Config())] == [False] * 20 + [True]
    other = replace(wrong[0], language="de")
    assert judge.judge([*few[:-1], [other]], judge.Config())[-1] == [None], "the only one of its language"


# ---------------------------------------------------------------------------------------------------- the real networks


@pytest.mark.slow  # half a minute on one core
@pytest.mark.skipif(not (WHISPER / "model.bin").is_file(), reason="no Whisper base in ~/.cache/aoide-bench")
@pytest.mark.skipif(find_spec("silero_vad") is None, reason="the package silero-vad is not installed")
@pytest.mark.skipif(find_spec("speechmos") is None, reason="the package speechmos is not installed")
@pytest.mark.skipif(find_spec("faster_whisper") is None, reason="the package faster-whisper is not installed")
def test_with_the_real_networks(tmp_path: Path) -> None:
    import aoide
    from aoide.external.whisper import Whisper

    texts = [
        "It was raining all night, and nobody came to the house.",
        "The train to London leaves early, and we are late again.",
    ]
    parts = [np.zeros(RATE, np.float32)]
    for text in texts:
        parts += [aoide.load("en-heart").say(text).resample(RATE).samples, np.zeros(3 * RATE, np.float32)]
    t = np.arange(10 * RATE) / RATE
    tune = 0.1 * sum(np.sin(2 * np.pi * 220 * h * (t % 0.5)) * np.exp(-4 * (t % 0.5)) / h for h in range(1, 6))
    save(tmp_path / "root" / "talk.wav", np.concatenate([*parts, tune]).astype(np.float32), RATE, text=None)
    save(tmp_path / "root" / "tune.wav", tune.astype(np.float32), RATE, text=None)
    assert prepare(tmp_path / "root", tmp_path / "out", "--whisper", str(WHISPER), "--min-dnsmos", "2") == 0
    manifest = Manifest(tmp_path / "out")
    heard = [" ".join((manifest[i].text or "").split()) for i in range(len(manifest))]
    assert len(heard) == 2 and "raining all night" in heard[0] and "train to London" in heard[1]
    assert refused(tmp_path / "out") == {"tune.wav": "nobody speaks in it"}
    assert 2 < manifest[0].more["dnsmos"] < 5 and manifest[0].more["confidence"] > 0.8
    with pytest.raises(UserError, match="knows no language 'xx'"):
        Whisper(WHISPER, threads=1).listen([io.read(manifest[0].audio).samples], RATE, "xx")
