"""Vevo's parts together, at toy size: what each use takes from whom, and what cannot be done is told."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from aoide.audio.sound import Sound  # noqa: E402  (after the skip)
from aoide.config import UserError  # noqa: E402
from aoide.generate.vevo import Vevo  # noqa: E402
from aoide.models.codec import maskgct_semantic  # noqa: E402
from aoide.models.vc import vevo as flow  # noqa: E402
from aoide.models.vc import vevo_ar  # noqa: E402
from aoide.models.vocoder import vocos  # noqa: E402

MEL = replace(flow.TOY.mel, hop=160, n_fft=640, win=640)  # 50 frames a second, as the codes


def hear(samples: np.ndarray) -> np.ndarray:
    frames = samples[: len(samples) // 320 * 320].reshape(-1, 320)
    return frames[:, :: 320 // maskgct_semantic.TOY.feature_dim][:, : maskgct_semantic.TOY.feature_dim]


def recording(seed: int, seconds: float = 1.2) -> Sound:
    return Sound(np.random.default_rng(seed).standard_normal(int(seconds * 8000)).astype(np.float32) * 0.1, 8000)


def build(whole: bool = True) -> Vevo:
    torch.manual_seed(0)
    tokens = maskgct_semantic.Model(maskgct_semantic.TOY).eval()
    content = maskgct_semantic.Model(replace(maskgct_semantic.TOY, codes=4)).eval()
    models = [
        flow.Model(replace(flow.TOY, mel=MEL)).eval(),
        vocos.Model(replace(vocos.TOY, mel=MEL)).eval(),
    ]
    first = vevo_ar.Model(replace(vevo_ar.TOY, symbols=12 + 4)).eval()
    more = {"first": first, "content": content} if whole else {}
    return Vevo(tokens, *models, hear, (np.zeros(10), np.full(10, 0.1)), **more)


def test_timbre_keeps_the_length_and_follows_the_voice() -> None:
    converter = build()
    source, one, two = recording(1), recording(2), recording(3)
    made = converter.timbre(source, one, steps=2)
    assert made.sample_rate == 8000 and len(made.samples) == len(source.samples) // 160 * 160
    assert np.array_equal(made.samples, converter.timbre(source, one, steps=2).samples)
    assert not np.array_equal(made.samples, converter.timbre(source, two, steps=2).samples)


def test_style_and_voice_say_the_words_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    converter = build()
    asked = []

    def speak(tokens: torch.Tensor, prompt: torch.Tensor, **settings: object) -> torch.Tensor:
        asked.append((tokens, prompt))
        return prompt[:30, None]

    monkeypatch.setattr(converter.first, "speak", speak)
    source, reference = recording(1), recording(2)
    styled, voiced = converter.style(source, reference, steps=1), converter.voice(source, reference, steps=1)
    assert len(styled.samples) == len(voiced.samples) == 30 * 160
    assert not np.array_equal(styled.samples, voiced.samples), "another voice"
    assert torch.equal(asked[0][0], asked[1][0]) and torch.equal(asked[0][1], asked[1][1]), "the same words and style"
    assert asked[0][0].min() >= 12, "content codes stand after the phonemes"
    converter.say(torch.tensor([1, 2]), reference, torch.tensor([3]), steps=1)
    assert asked[-1][0].tolist() == [3, 1, 2]


def test_what_cannot_be_done_is_told() -> None:
    converter = build(whole=False)
    with pytest.raises(UserError, match="no content codes"):
        converter.style(recording(1), recording(2))
    with pytest.raises(UserError, match="has 1 to 30 s, and this one 0.5 s"):
        converter.timbre(recording(1, 0.5), recording(2))
    with pytest.raises(UserError, match="silent"):
        converter.timbre(Sound(np.zeros(9000, np.float32), 8000), recording(2))
    other = vocos.Model(vocos.TOY)
    with pytest.raises(UserError, match="but the vocoder reads"):
        Vevo(converter.tokens, converter.flow, other, hear)
    fewer = flow.Model(replace(flow.TOY, mel=MEL, codes=8))
    with pytest.raises(UserError, match="16 codes, but the flow knows 8"):
        Vevo(converter.tokens, fewer, converter.vocoder, hear)
