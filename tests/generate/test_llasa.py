"""Llasa with a codec and a tokenizer, all at toy size: what goes where, and what cannot be done is told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from safetensors.torch import save_file  # noqa: E402  (after the skip)

from aoide.audio.sound import Sound  # noqa: E402  (after the skip)
from aoide.config import UserError  # noqa: E402
from aoide.generate import llasa as generate_llasa  # noqa: E402
from aoide.generate.llasa import Llasa  # noqa: E402
from aoide.models.codec import spectral  # noqa: E402
from aoide.models.tts import llasa  # noqa: E402
from tests.models.test_speech_lms import LLASA, published_llasa  # noqa: E402


class Codec(torch.nn.Module):
    """Codes of one book, 50 a second, and a click for each of them."""

    sample_rate, cardinality = 16_000, llasa.TOY.codes

    def __init__(self) -> None:
        super().__init__()
        self.level = torch.nn.Parameter(torch.ones(1))

    def encode(self, audio: Any) -> Any:
        return (audio.reshape(1, -1, 320).abs().sum(2) * 100).long()[..., None] % self.cardinality

    def decode(self, codes: Any) -> Any:
        return (codes.float() * self.level.detach()).repeat_interleave(320, dim=1)[..., 0]


class Tokenizer:
    """A letter a token, and the mark of speech at the end."""

    def __init__(self) -> None:
        self.asked = ""

    def apply_chat_template(self, chat: list[dict[str, str]], **settings: Any) -> list[int]:
        self.asked = chat[0]["content"]
        return [*(ord(letter) % llasa.TOY.symbols for letter in self.asked), llasa.TOY.symbols + 4]


RECORDING = Sound(np.random.default_rng(0).standard_normal(9600).astype(np.float32), 8000)


def build() -> tuple[Llasa, Tokenizer]:
    torch.manual_seed(0)
    tokenizer = Tokenizer()
    return Llasa(llasa.Model(llasa.TOY).eval(), Codec(), tokenizer), tokenizer


def test_it_follows_a_recording_whose_words_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    speaker, tokenizer = build()
    heard = []

    def speak(tokens: Any, prompt: Any, generator: Any) -> Any:
        heard.append(prompt)
        return torch.randint(16, (5, 1), generator=generator)

    monkeypatch.setattr(speaker._model, "speak", speak)
    one, two = (speaker.say("There.", RECORDING, prompt_text="Hello.", seed=seed) for seed in (0, 1))
    assert one.sample_rate == 16_000 and len(one.samples) == 5 * 320 and not np.array_equal(one.samples, two.samples)
    assert "Hello. There." in tokenizer.asked and len(heard[0]) == 60 and torch.equal(heard[0], heard[1])
    speaker.say("There.")
    assert heard[2] is None and "Hello" not in tokenizer.asked


def test_a_published_folder_loads_with_all_its_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = published_llasa()
    keys = sorted(state)
    for number, part in enumerate((keys[:5], keys[5:])):
        save_file({key: state[key] for key in part}, str(tmp_path / f"model-0000{number}-of-00002.safetensors"))
    for name, content in {"config.json": LLASA, "special_tokens_map.json": {}, "generation_config.json": {}}.items():
        (tmp_path / name).write_text(json.dumps(content))
    monkeypatch.setattr(generate_llasa, "pretrained", lambda kind, source, extra: Tokenizer())
    monkeypatch.setattr(generate_llasa.xcodec2, "load", lambda source: Codec())
    loaded = generate_llasa.load(tmp_path)
    assert torch.equal(loaded._model.lm.table.weight, state["model.embed_tokens.weight"])
    with pytest.raises(UserError, match=r"no folder with the config\.json"):
        generate_llasa.load(tmp_path / "nothing")


def test_what_cannot_be_done_is_told() -> None:
    speaker, _ = build()
    with pytest.raises(UserError, match="must know what it says"):
        speaker.say("There.", RECORDING)
    with pytest.raises(UserError, match="has no voice 'ana'"):
        speaker.say("There.", "ana")
    with pytest.raises(UserError, match="has 1 to 20 s, and this one 0.5 s"):
        speaker.say("There.", Sound(np.ones(4000, np.float32), 8000), prompt_text="Hello.")
    with pytest.raises(UserError, match="no text"):
        speaker.say(" ")
    other = spectral.Model(spectral.TOY)
    with pytest.raises(UserError, match=f"has {other.cardinality} codes, but the model knows 16"):
        Llasa(llasa.Model(llasa.TOY), other, Tokenizer())
