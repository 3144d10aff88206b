"""Voices that are heard once: every model behind the one door, long and odd sound, weights that are not there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import aoide  # noqa: E402  (after the skip)
from aoide.audio.sound import Sound  # noqa: E402
from aoide.config import UserError  # noqa: E402
from aoide.generate import likeness, noro, vevo  # noqa: E402
from aoide.generate.convert import Source  # noqa: E402
from aoide.generate.likeness import Likeness  # noqa: E402
from aoide.generate.torch_vocoder import TorchVocoder  # noqa: E402
from aoide.models.codec import facodec, maskgct_semantic  # noqa: E402
from aoide.models.vc import noro as noro_model  # noqa: E402
from aoide.models.vc import openvoice  # noqa: E402
from aoide.models.vc import vevo as flow  # noqa: E402
from aoide.models.vocoder import bigvgan, vocos  # noqa: E402

RATE = 8000  # Hz, of all toys
MEL = replace(flow.TOY.mel, hop=160, n_fft=640, win=640)  # 50 frames a second, as Vevo's codes


def recording(seed: int, seconds: float = 1.3) -> Sound:
    """Noise that swells and fades three times a second."""
    time = np.arange(round(seconds * RATE)) / RATE
    draw = np.random.default_rng(seed).standard_normal(len(time))
    return Sound((0.1 * draw * (1.1 + np.sin(6 * np.pi * time))).astype(np.float32), RATE)


def hear(values: int) -> Callable[[np.ndarray], np.ndarray]:
    """In place of HuBERT: 50 frames a second of 16 kHz."""
    return lambda samples: samples[: len(samples) // 320 * 320].reshape(-1, 320)[:, :values].astype(np.float32)


def open_voice() -> Any:
    return likeness.OpenVoice(openvoice.Model(openvoice.TOY).eval())


def codec() -> Any:
    return likeness.FACodec(facodec.Model(facodec.TOY).eval())


def timbre() -> Any:
    tokens = maskgct_semantic.Model(maskgct_semantic.TOY).eval()
    mels = flow.Model(replace(flow.TOY, mel=MEL)).eval()
    sounds = vocos.Model(replace(vocos.TOY, mel=MEL)).eval()
    return vevo.Timbre(vevo.Vevo(tokens, mels, sounds, hear(10), (np.zeros(10), np.full(10, 0.1))), steps=2)


def noisy(centres: np.ndarray | None = None) -> Any:
    model = noro_model.Model(noro_model.TOY).eval()
    torch.nn.init.normal_(model.wavenet.out.weight)  # before training it says nothing
    vocoder = TorchVocoder(bigvgan.Model(replace(bigvgan.TOY, mel=noro_model.TOY.mel)))
    return noro.Noro(model, vocoder, hear(noro_model.TOY.content), centres, steps=2)


TOYS = {"vc/openvoice": open_voice, "codec/facodec": codec, "vc/vevo": timbre, "vc/noro": noisy}


@pytest.fixture
def model(name: str) -> Any:
    torch.manual_seed(0)
    return TOYS[name]()


@pytest.mark.parametrize("name", likeness.MODELS)
def test_every_model_takes_on_a_voice(name: str, model: Any) -> None:
    assert model.name == name
    source, like = recording(1), Likeness(model, recording(2))
    made = like.convert(source)
    assert made.sample_rate == like.sample_rate == RATE and len(made.samples) == len(source.samples)
    assert made.samples.any() and np.abs(made.samples).max() <= 1
    assert np.array_equal(made.samples, like.convert(source).samples), "the same seed, the same sound"
    assert not np.array_equal(made.samples, Likeness(model, recording(3)).convert(source).samples), "another voice"
    assert name in made.tags["comment"] and "synthetic" in made.tags["comment"]


@pytest.mark.parametrize("name", likeness.MODELS)
def test_long_short_and_silent_sound(name: str, model: Any) -> None:
    """A model is given parts of some seconds and nothing shorter than one; silence stays silence."""
    model.longest = 1.0
    like, begin = Likeness(model, recording(2)), model.begin
    given: list[int] = []

    def watched(*words: Any) -> Any:
        convert = begin(*words)

        def work(samples: np.ndarray) -> np.ndarray:
            given.append(len(samples))
            return convert(samples)

        return work

    model.begin = watched
    at_double = Sound(np.repeat(recording(1, 2.5).samples, 2), 2 * RATE)
    pieces = list(like.stream(Source.of(at_double)))
    assert sum(map(len, pieces)) == 2.5 * RATE and len(pieces) == len(given) >= 3
    assert len(like.convert(recording(1, 0.3)).samples) == 0.3 * RATE
    assert min(given) >= likeness.LEAST * RATE and not any(count % model.hop for count in given)
    calls = len(given)
    assert not like.convert(Sound(np.zeros(RATE, np.float32), RATE)).samples.any() and len(given) == calls


def test_recordings_that_do_not_do() -> None:
    model = codec()
    for wrong in (recording(1, 0.5), Sound(np.zeros(2 * RATE, np.float32), RATE), Sound(np.zeros(0, np.float32), RATE)):
        with pytest.raises(UserError, match=r"the reference: too short or too quiet .* \(its first 30 s\)"):
            Likeness(model, wrong)
    broken = recording(1, 2.0)
    broken.samples[-1] = np.nan
    with pytest.raises(UserError, match="the reference holds NaN"):
        Likeness(model, broken)
    model.listen = 1.0  # so that the end is met on the way
    with pytest.raises(UserError, match="the sound holds NaN"):
        Likeness(model, recording(2)).convert(broken)


def test_the_details_of_facodec() -> None:
    torch.manual_seed(0)
    whole = facodec.Model(facodec.TOY).eval()
    plain, detailed = (
        Likeness(likeness.FACodec(whole, details=kept), recording(2)).convert(recording(1)) for kept in (False, True)
    )
    assert not np.array_equal(plain.samples, detailed.samples)
    with pytest.raises(UserError, match="its decoder is missing: give hf:amphion"):
        likeness.FACodec(facodec.Model(replace(facodec.TOY, decoder=None)))


def test_a_voice_that_vevo_heard_before() -> None:
    """A prompt is the recording that it was heard in."""
    torch.manual_seed(0)
    whole = timbre()._vevo
    source, reference = recording(1), recording(2)
    made = whole.timbre(source, whole.prompt(reference), steps=1)
    assert np.array_equal(made.samples, whole.timbre(source, reference, steps=1).samples)


def test_centres_of_noro() -> None:
    values = noro_model.TOY.content
    centres = np.eye(values, dtype=np.float32)[:3]
    found = noisy(centres)._content(recording(1).samples, 500)
    assert found.shape == (500, values) and len(np.unique(found, axis=0)) == 3
    rows = hear(values)(recording(1).resample(16_000).samples)
    nearest = np.square(rows[:, None] - centres).sum(2).argmin(1)
    assert np.array_equal(found[4::10], centres[nearest[:50]]), "500 frames a second, of 50"
    with pytest.raises(UserError, match="Noro reads 5 values a frame"):
        noisy(np.zeros((3, 4), np.float32))
    with pytest.raises(UserError, match="but the vocoder reads"):
        noro.Noro(noisy()._model, TorchVocoder(bigvgan.Model(bigvgan.TOY)), hear(5))


def test_weights_that_cannot_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, weights, expected in (
        ("facodec", "x", "did you mean codec/facodec"),
        ("tts/f5", "x", "tts/f5 does something else"),
        ("codec/facodec", None, "give --weights SOURCE.*hf:amphion/naturalspeech3_facodec"),
        ("codec/facodec", str(tmp_path), "expected one file with the weights"),
        ("vc/vevo", str(tmp_path), "needs these files: tokenizer/vq8192 .*Vocoder.json .*mean_std.npz"),
        ("vc/noro", str(tmp_path), "needs these files: model .*vocoder .*centres.npy"),
        ("vc/noro", str(tmp_path / "no"), "no such folder"),
    ):
        with pytest.raises(UserError, match=expected) as told:
            likeness.check(name, weights)
            likeness.open_model(name, str(weights), aoide.load)
        assert "\n" not in str(told.value) and "PhoneToVq8192" not in str(told.value)
    for part in ("model/checkpoints", "vocoder/checkpoints"):
        (tmp_path / part).mkdir(parents=True)
    whole = {"vc/noro": noisy()._model, "vocoder/bigvgan": noisy()._vocoder.model}
    monkeypatch.setattr(noro.encoders, "open", lambda name, source, layer: Ears())
    opened: Any = likeness.open_model("vc/noro", str(tmp_path), lambda name, source: whole[name])
    assert opened._centres is None and opened.name == "vc/noro"
    (tmp_path / noro.CENTRES).write_bytes(b"\x80\x04")
    with pytest.raises(UserError, match="not an array of numbers"):
        likeness.open_model("vc/noro", str(tmp_path), lambda name, source: whole[name])


class Ears:
    encode = staticmethod(hear(5))
