"""Llasa with its tokenizer and its codec as one speaker: a text, and the voice of a recording, to sound.

speaker = load("models/Llasa-1B")                        # a folder or hf:HKUSTAudio/Llasa-1B
speaker.say("Hello there.", Sound.load("somebody.wav"), prompt_text="What somebody says.")
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import torch

from aoide.audio.sound import Sound
from aoide.config import UserError
from aoide.external import xcodec2
from aoide.external.speech import text_of
from aoide.external.weights import pretrained, read_state
from aoide.generate import published
from aoide.models.tts import llasa

LEAST, MOST = 1.0, 20.0  # seconds of a recording


class Llasa:
    """See aoide/external/speech.py, `Speaker`.

    Args:
        model: a tts/llasa in evaluation mode.
        codec: whose codes it speaks: an aoide/external/xcodec2.py.
        tokenizer: of the published folder, of transformers.
    """

    name, licence = "llasa", "CC-BY-NC-4.0"

    def __init__(self, model: Any, codec: Any, tokenizer: Any) -> None:
        if codec.cardinality != model.config.codes:
            raise UserError(f"the codec has {codec.cardinality} codes, but the model knows {model.config.codes}")
        self._model, self._codec, self._tokenizer = model, codec, tokenizer

    @property
    def sample_rate(self) -> int:
        """Hz."""
        return int(self._codec.sample_rate)

    def say(
        self,
        text: str,
        prompt: Sound | str | None = None,
        *,
        language: str = "en",
        seed: int = 0,
        prompt_text: str = "",
    ) -> Sound:
        """See `Speaker`; the language follows from the text, which is Chinese or English.

        Args:
            prompt_text: what the recording says, which must be known to follow it.

        Raises:
            UserError: no text, a name in place of a recording, a recording without its text, or too long or short.
        """
        text = text_of(text)
        device = next(self._model.parameters()).device
        codes = None
        if prompt is not None:
            codes = self._heard(prompt, prompt_text).to(device)
            text = f"{prompt_text.strip()} {text}"
        ids = torch.tensor(llasa.prompt(self._tokenizer, text), device=device)
        said = self._model.speak(ids, codes, generator=torch.Generator().manual_seed(seed))
        if not len(said):
            raise UserError("the end came before the first sound; try another seed, or another recording")
        sound = self._codec.decode(said[None].to(next(self._codec.parameters()).device))
        return Sound(sound[0].float().cpu().numpy(), self.sample_rate)

    def _heard(self, prompt: Sound | str, text: str) -> torch.Tensor:
        if isinstance(prompt, str):
            raise UserError(f"Llasa has no voice {prompt!r}: give a recording and what it says")
        if not text.strip():
            raise UserError("to follow a recording, Llasa must know what it says: give its text")
        if not LEAST <= prompt.seconds <= MOST:
            raise UserError(f"a recording has {LEAST:g} to {MOST:g} s, and this one {prompt.seconds:.1f} s")
        samples = torch.from_numpy(prompt.mono().resample(self.sample_rate).samples)
        return self._codec.encode(samples[None])[0, :, 0]


def load(
    source: str | os.PathLike[str] = "hf:HKUSTAudio/Llasa-1B",
    codec: str | os.PathLike[str] = xcodec2.SOURCE,
    device: str = "cpu",
) -> Llasa:
    """Llasa from a folder or the hub (hf:owner/name), and X-codec 2 likewise (owner/name).

    Raises:
        MissingExtra: transformers is not installed.
        UserError: weights that cannot be had.
    """
    text = os.fspath(source)
    hub = text.startswith(published.HUB)
    folder = published.download(text) if hub else Path(text)
    files = sorted(folder.glob("*.safetensors"))  # the larger ones come in several
    if not files or not (folder / "config.json").is_file():
        raise UserError(f"{text}: no folder with the config.json and weights (.safetensors) of Llasa")
    state = {key: value for file in files for key, value in read_state(file).items()}
    model = llasa.from_official(state, json.loads((folder / "config.json").read_text("utf-8"))).eval()
    tokenizer = pretrained("AutoTokenizer", text.removeprefix(published.HUB) if hub else folder, extra="models")
    return Llasa(model.to(device), xcodec2.load(codec).to(device), tokenizer)
