"""MaskGCT as one speaker, of toy parts with random weights: lengths, parts of a long text, bad input."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from aoide.audio.sound import Sound  # noqa: E402  (after the skip)
from aoide.config import UserError  # noqa: E402
from aoide.generate.maskgct import MaskGCT, grouped  # noqa: E402
from aoide.models.codec import maskgct_acoustic, maskgct_semantic  # noqa: E402
from aoide.models.tts import maskgct, maskgct_s2a  # noqa: E402
from aoide.objectives.masked import Sampling  # noqa: E402

PROMPT = Sound(np.random.default_rng(0).standard_normal(1200).astype(np.float32) * 0.1, 600)  # two seconds


class Heard:
    """In place of w2v-BERT: 50 rows a second that follow the sound."""

    frame_rate = 50.0

    def encode(self, samples: np.ndarray) -> np.ndarray:
        return samples[: len(samples) // 320 * 320].reshape(-1, 320)[:, :10].astype(np.float32)


class Words:
    """One letter, one phoneme."""

    def sentences(self, text: str, language: str) -> list[str]:
        return [part.strip() for part in text.lower().split(".") if part.strip(" !")]

    def encode(self, phonemes: str) -> np.ndarray:
        return np.array([0, *(ord(letter) % 11 + 1 for letter in phonemes), 0])


@pytest.fixture(scope="module")
def speaker() -> MaskGCT:
    torch.manual_seed(0)
    acoustic = maskgct_acoustic.Model(replace(maskgct_acoustic.TOY, sample_rate=600))
    one = maskgct_s2a.Model(replace(maskgct_s2a.TOY, codes=12, codebooks=1))
    rest = maskgct_s2a.Model(replace(maskgct_s2a.TOY, codes=12, given=1))
    semantic = maskgct_semantic.Model(maskgct_semantic.TOY)
    first = maskgct.Model(replace(maskgct.TOY, sampling=Sampling(threshold=0.5)))  # else one code of 16 is left to draw
    return MaskGCT(first, [one, rest], semantic, acoustic, Heard(), Words())


def test_the_pace_is_that_of_the_recording(speaker: MaskGCT) -> None:
    says = {"prompt_text": "twenty phonemes here", "steps": 2}  # in 100 frames: five a phoneme
    sound = speaker.say("thirty two phonemes are in this.", PROMPT, **says)
    assert sound.sample_rate == 600 and len(sound.samples) == 31 * 5 * 12
    assert "synthetic: yes" in sound.tags["comment"]
    again = speaker.say("thirty two phonemes are in this.", PROMPT, **says)
    assert np.array_equal(sound.samples, again.samples)
    assert not np.array_equal(
        sound.samples, speaker.say("thirty two phonemes are in this.", PROMPT, seed=1, **says).samples
    )
    assert len(speaker.say("thirty two phonemes are in this.", PROMPT, speed=2, **says).samples) == 78 * 12
    assert len(speaker.say("thirty two phonemes are in this.", PROMPT, seconds=2, **says).samples) == 100 * 12


def test_what_changes_little_is_computed_less_often_where_asked(speaker: MaskGCT) -> None:
    parts = (speaker._t2s, speaker._s2a, speaker._semantic, speaker._acoustic, Heard(), Words())
    places: list[int] = []
    hook = speaker._t2s.llama.register_forward_pre_hook(lambda _, args: places.append(args[0].shape[1]))
    says = {"prompt_text": "twenty phonemes here", "steps": 6}
    sounds = [MaskGCT(*parts, keep=keep).say("thirty two phonemes are in this.", PROMPT, **says) for keep in (1, 6)]
    hook.remove()
    assert len(sounds[0].samples) == len(sounds[1].samples)
    assert len(places) == 6 + 7 and sum(places[6:]) < 0.7 * sum(places[:6]), "one pass of all, one without, five more"


def test_long_text_is_said_in_parts(speaker: MaskGCT) -> None:
    text = "this is a sentence that has fifty letters, or nearly. " * 4
    sound = speaker.say(text, PROMPT, prompt_text="twenty phonemes here", steps=1)
    assert abs(len(sound.samples) - 4 * 52 * 5 * 12) < 3 * 5 * 12
    assert grouped(["aa", "bb", "cccccc", "d"], 5) == ["aa bb", "cccccc", "d"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"text": " "}, "no text to say"),
        ({"text": "!"}, "nothing in the text"),
        ({"prompt": None}, "give a recording"),
        ({"prompt": Sound(PROMPT.samples[:300], 600)}, "not one of 0.5 s"),
        ({"prompt": Sound(PROMPT.samples * 0, 600)}, "is silent"),
        ({"prompt_text": ""}, "give prompt_text"),
        ({"seconds": 0.1}, "11 phonemes cannot be said in 0.1 s"),
    ],
)
def test_what_cannot_be_said(speaker: MaskGCT, change: dict, message: str) -> None:
    given = {"text": "hello there", "prompt": PROMPT, "prompt_text": "some words"} | change
    with pytest.raises(UserError, match=message):
        speaker.say(given.pop("text"), given.pop("prompt"), **given)


def test_parts_that_do_not_go_together(speaker: MaskGCT) -> None:
    other = maskgct.Model(replace(maskgct.TOY, hop=8))
    with pytest.raises(UserError, match="different frames a second: 50, 100"):
        MaskGCT(other, speaker._s2a, speaker._semantic, speaker._acoustic, Heard())
    with pytest.raises(UserError, match="the codec has 3 codebooks, but 1 are made"):
        MaskGCT(speaker._t2s, speaker._s2a[:1], speaker._semantic, speaker._acoustic, Heard())
