"""Sounds from captions: the way from noise, pieces, editing, what is known; the network is written down here."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from aoide.audio.mel_config import MelConfig
from aoide.audio.sound import Sound
from aoide.audio.spectrum import log_mel
from aoide.config import UserError
from aoide.generate import known_sounds
from aoide.generate.described import Description, Sampling, fresh_frames, times
from aoide.models.tta import Start
from aoide.text import captions

FRAMES, SHIFT = 24, 3.0
Way = Callable[[np.ndarray, np.ndarray], np.ndarray]
MEL = MelConfig()


class Silent:
    """A vocoder that keeps what it is given, and makes the level of the mel audible as a constant."""

    name, mel = "silent", MEL

    def __init__(self) -> None:
        self.asked: list[np.ndarray] = []

    def vocode(self, mel: np.ndarray) -> np.ndarray:
        self.asked.append(mel)
        return np.repeat(np.exp(mel.mean(1)), MEL.hop).astype(np.float32)


class Straight:
    """A network whose mel is its components, times two, less four; it goes straight to ones with a caption, to zeros
    without, or as `way` says.
    """

    def __init__(self, way: Way | None = None) -> None:
        self._way = way

    def say(self, words: np.ndarray, word_mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return words.sum((1, 2))[:, None].astype(np.float32), np.zeros((len(words), 1), np.float32)

    def go(self, noisy: np.ndarray, time: np.ndarray, said: np.ndarray) -> np.ndarray:
        if self._way is not None:
            return self._way(noisy, time)
        goal = np.where(said > 0, 1.0, 0.0)[..., None]
        return ((goal - noisy) / (1 - time)[:, None, None]).astype(np.float32)

    def mel(self, components: np.ndarray) -> np.ndarray:
        return components * 2 - 4

    def components(self, mel: np.ndarray) -> np.ndarray:
        return ((mel + 4) / 2).astype(np.float32)


def sampling(way: Way | None = None, words: tuple[str, ...] = ("a", "trumpet", "plays")) -> Sampling:
    of = Description(
        name="toy", licence="", sha256={}, frames=FRAMES, patch=4, floor=-8.0, shift=SHIFT, words=list(words),
        things=["a trumpet", "a sheep bleats", "a splash of water"],
    )  # fmt: skip
    return Sampling(of, Straight(way), Silent())  # type: ignore[arg-type]


def test_times_begin_small() -> None:
    even = times(10, 1.0)
    np.testing.assert_allclose(even, np.linspace(0, 1, 11), atol=1e-12)
    bent = times(10, SHIFT)
    assert bent[0] == 0 and bent[-1] == 1 and np.all(np.diff(bent) > 0) and bent[1] < 0.04
    part = times(5, SHIFT, start=0.4)
    assert part[0] == pytest.approx(0.4) and part[-1] == 1


def test_the_way_ends_where_the_caption_says() -> None:
    model = sampling()
    sound = model.make("a trumpet plays", steps=4, guidance=1)
    assert sound.sample_rate == 24_000 and len(sound.samples) == FRAMES * MEL.hop
    asked = model._vocoder.asked[-1]  # type: ignore[attr-defined]
    np.testing.assert_allclose(asked, 1.0 * 2 - 4, atol=1e-4)
    model.make("a trumpet plays", steps=4, guidance=2)
    np.testing.assert_allclose(model._vocoder.asked[-1], 2.0 * 2 - 4, atol=1e-3)  # type: ignore[attr-defined]


def test_long_sounds_are_made_piece_by_piece() -> None:
    starts = []

    def way(noisy: np.ndarray, time: np.ndarray) -> np.ndarray:
        starts.append(float(time[0]))
        return ((1.0 - noisy) / (1 - time)[:, None, None]).astype(np.float32)

    model = sampling(way)
    sound = model.make("a trumpet", seconds=0.6, steps=3, guidance=1)
    assert len(sound.samples) == round(0.6 * 24_000)
    assert starts.count(0.0) == 4, "24 frames, then 16 more each time, of 57"


def test_same_seed_same_sound() -> None:
    def way(noisy: np.ndarray, time: np.ndarray) -> np.ndarray:
        return -0.5 * noisy

    model = sampling(way)
    one, two = (model.make("a trumpet", seed=3, steps=4).samples for _ in range(2))
    other = model.make("a trumpet", seed=4, steps=4).samples
    np.testing.assert_array_equal(one, two)
    assert np.abs(one - other).max() > 0


def recording(seconds: float) -> Sound:
    time = np.arange(round(seconds * 24_000)) / 24_000
    return Sound((0.3 * np.sin(2 * np.pi * 440 * time)).astype(np.float32), 24_000)


def test_a_span_is_made_anew_and_the_rest_stays() -> None:
    model, sound = sampling(), recording(0.8)
    made = model.make("a trumpet", steps=4, guidance=1, start=Start(sound=sound, fresh=((0.3, 0.5),)))
    assert len(made.samples) == len(sound.samples)
    kept = np.r_[0 : round(0.25 * 24_000), round(0.55 * 24_000) : len(sound.samples)]
    np.testing.assert_allclose(made.samples[kept], sound.samples[kept], atol=1e-6)
    middle = slice(round(0.35 * 24_000), round(0.45 * 24_000))
    assert made.samples[middle].std() < 0.01, "what is made is a constant"
    mel = model._vocoder.asked[-1]  # type: ignore[attr-defined]
    np.testing.assert_allclose(mel[30:45], -2.0, atol=1e-3)
    want = np.maximum(log_mel(sound.samples, MEL), -8.0)
    np.testing.assert_allclose(np.maximum(mel[:25], -7), np.maximum(want[:25], -7), atol=1e-3)


def test_a_recording_goes_on() -> None:
    model, sound = sampling(), recording(0.4)
    made = model.make("a trumpet", seconds=0.7, steps=3, start=Start(sound=sound, fresh=((0.4, 0.7),)))
    assert made.seconds == pytest.approx(0.7)
    np.testing.assert_allclose(made.samples[:8000], sound.samples[:8000], atol=1e-6)


def test_a_weak_variation_stays_near() -> None:
    def way(noisy: np.ndarray, time: np.ndarray) -> np.ndarray:
        return np.zeros_like(noisy)

    model, sound = sampling(way), recording(0.2)
    model.make("a trumpet", steps=3, guidance=1, start=Start(sound=sound, strength=0.02))
    want = np.maximum(log_mel(sound.samples, MEL), -8.0)
    heard = np.maximum(model._vocoder.asked[-1], -6.5)  # type: ignore[attr-defined]
    assert np.abs(heard[: len(want)] - np.maximum(want, -6.5)[: len(heard)]).mean() < 0.2


def test_spans() -> None:
    assert fresh_frames((), 10, 100, 0.1).all()
    np.testing.assert_array_equal(np.flatnonzero(fresh_frames(((0.02, 0.05),), 10, 100, 0.1)), [2, 3, 4])
    with pytest.raises(UserError, match="after the end"):
        fresh_frames(((0.2, 0.3),), 10, 100, 0.1)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"caption": "  "}, "says nothing"),
        ({"caption": "?!"}, "says nothing"),
        ({"caption": "word " * 500}, "2000 at most"),
        ({"seconds": 0.0}, "more than 0"),
        ({"seconds": 10_000.0}, "at most 30"),
        ({"steps": 0}, "steps"),
        ({"guidance": 0.5}, "guidance"),
        ({"guidance": float("nan")}, "guidance"),
    ],
)
def test_what_cannot_be_is_said(changes: dict[str, object], said: str) -> None:
    with pytest.raises(UserError, match=said):
        sampling().make(**{"caption": "a trumpet", **changes})  # type: ignore[arg-type]


def test_a_broken_recording_is_refused() -> None:
    broken = Sound(np.full(4800, np.nan, np.float32), 24_000)
    with pytest.raises(UserError, match="NaN"):
        sampling().make("a trumpet", start=Start(sound=broken, strength=0.5))


def test_what_it_never_heard_of_is_said() -> None:
    model = sampling()
    assert model.remark("A trumpet plays!") is None
    told = model.remark("a dog barks in the rain") or ""
    assert "dog, barks, rain" in told and told.index("sheep") < told.index("trumpet")
    assert "trumpet" in (model.remark("ein trumpets") or "")
    assert "犬" in (model.remark("犬が吠える") or "")
    assert known_sounds.nearest("a cat", ["a piano", "a cow moos"], ["cat"])[0] == "a cow moos"
    assert sampling(words=()).remark("anything") is None


def test_captions_as_numbers() -> None:
    rows, mask = captions.batch(["A trumpet, plays", "rain"])
    assert rows.shape == (2, 3, captions.PIECES) and mask.tolist() == [[True] * 3, [True, False, False]]
    assert rows.min() == 0 and rows[:, 0, 0].min() >= 1 and rows.max() < captions.BUCKETS
    one, other = (set(captions.pieces(word)) - {0} for word in ("trumpet", "trumpets"))
    assert len(one & other) >= 4, "kin share pieces"
    assert captions.encode("!?").shape == (1, captions.PIECES) and not captions.encode("!?").any()
    assert len(captions.encode("word " * 100)) == captions.LONGEST


@pytest.mark.slow  # 15 seconds: two graphs are exported
def test_export(tmp_path: Path) -> None:
    """A trained model's folder says the same with graphs as the model with torch."""
    torch = pytest.importorskip("torch")
    pytest.importorskip("onnxscript")
    from aoide.generate.described import Described
    from aoide.generate.pack_described import About, export_described
    from aoide.generate.torch_described import torch_described
    from aoide.models.tta import mel_dit

    torch.manual_seed(0)
    small = mel_dit.Config(frames=24, dim=16, layers=1, heads=2, hidden=16, caption_dim=8)
    model = mel_dit.Model(small).eval()
    torch.nn.init.normal_(model.out.weight, std=0.1)
    torch.nn.init.normal_(model.steer.linear.weight, std=0.1)
    told = ["a trumpet plays", "a trumpet", "a horn plays"]
    about = About(name="toy", licence="MIT", told=told, things=["a trumpet", "a trumpet", "a horn"])
    description = export_described(model, tmp_path / "toy", about, quantise=False)
    assert description.words == ["a", "plays", "trumpet"] and description.things == ["a trumpet", "a horn"]
    packed = Described(tmp_path / "toy")
    live = torch_described(model, "toy")
    assert "# toy" in packed.card and "toy" in repr(packed) and live.remark("anything") is None
    one, other = (each.make("a trumpet", 0.2, steps=2, seed=1).samples for each in (packed, live))
    assert np.abs(one).max() > 1e-4
    np.testing.assert_allclose(one, other, atol=2e-2 * float(np.abs(one).max()))
    (tmp_path / "toy" / "step.onnx").write_bytes(b"")
    with pytest.raises(UserError, match="truncated"):
        Described(tmp_path / "toy")
