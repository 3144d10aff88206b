"""VALL-E with its codec as one speaker: a text, and the voice of a recording of some seconds, to sound.

    speaker = load("tts/valle", "runs/valle", aoide.load)              # or tts/valle_v2
    speaker.say("Hello there.", Sound.load("somebody.wav"), prompt_text="What somebody says.")

The language model goes on from the recording's codes, so its text is read first and then what is to be said. A long
text is said in parts, each after the same recording. Which phonemes a text has: those of the house for runs; for
published weights what their tables hold (ARPAbet with places in the word, or espeak-ng's), English alone.

    tts/valle     a run, or a folder with Amphion's weights, their configuration and symbols.dict; EnCodec in
                  encodec_24khz/ or from the hub
    tts/valle_v2  a run, or a folder with valle_ar_mls_196000.bin and valle_nar_mls_164000.bin; SpeechTokenizer.pt and
                  config.json beside them or in speechtokenizer_hubert_avg/
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from aoide.audio.sound import Sound
from aoide.config import UserError
from aoide.external.speech import text_of
from aoide.external.weights import read_state
from aoide.generate import parts
from aoide.generate.packed import tags
from aoide.generate.words import AllWords, ListedWords, PlacedWords
from aoide.models.codec import speechtokenizer
from aoide.models.tts import valle_v2

LEAST, MOST = 1.0, 15.0  # seconds of a recording
PART = 12.0  # seconds that a part of a long text takes, if sentences allow
AR, NAR = "valle_ar_mls_196000.bin", "valle_nar_mls_164000.bin"
CODEC = "SpeechTokenizer.pt"
SYMBOLS = "symbols.dict"


class VallE:
    """See aoide/external/speech.py, `Speaker`.

    Args:
        model: a tts/valle or tts/valle_v2 in evaluation mode.
        codec: whose codes it speaks.
        words: which symbols a text has; None: those of the house.

    Raises:
        UserError: a codec of other codes.
    """

    licence = "that of the weights"

    def __init__(self, model: Any, codec: Any, words: Any = None) -> None:
        self.name = type(model).__module__.removeprefix("aoide.models.").replace(".", "/")
        config = model.config
        wanted, has = (config.codebook_size, config.frame_rate), (codec.cardinality, codec.frame_rate)
        if wanted != has or codec.codebooks < config.codebooks:
            raise UserError(
                f"{self.name} speaks {config.codebooks} codebooks of {wanted[0]} codes, {wanted[1]:g} a second; the "
                f"codec has {codec.codebooks} of {has[0]}, {has[1]:g} a second"
            )
        self._model, self._codec, self._words = model, codec, words or AllWords()
        self._device = next(model.parameters()).device

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
        """See `Speaker`; the pace is that of the model.

        Args:
            prompt_text: what the recording says.

        Raises:
            UserError: nothing to say, no recording or one that does not do, no words of it, or an end before the first
                sound.
        """
        sentences = self._words.sentences(text_of(text), language)
        heard = parts.recording(prompt, self.name, LEAST, MOST)
        before = parts.said(self._words, prompt_text, language)
        samples = torch.from_numpy(heard.resample(self.sample_rate).samples)[None].to(self._device)
        with torch.inference_mode():
            codes = self._codec.encode(samples)[..., : self._model.config.codebooks].clone()
        generator = torch.Generator().manual_seed(seed)
        sounds = []
        for part in parts.together(sentences, len(before) / heard.seconds, PART):
            tokens = torch.from_numpy(self._words.encode(f"{before} {part}"))[None].to(self._device)
            known = {"prompt_tokens": len(self._words.encode(before))} if hasattr(self._model, "go_on") else {}
            made = self._model.speak(tokens, codes, **known, generator=generator)
            with torch.inference_mode():
                sounds.append(self._codec.decode(made)[0].float().cpu().numpy())
        about = tags(f"in the voice of a recording, by {self.name}, seed {seed}")
        return Sound(np.concatenate(sounds), self.sample_rate, about)


# -------------------------------------------------------------------------------------------------------------- weights


def load(name: str, weights: str, opener: Callable[..., Any], codec: Any = None, device: str = "cpu") -> VallE:
    """VALL-E from a run or a folder with published weights.

    Args:
        name: tts/valle or tts/valle_v2.
        opener: `aoide.load`, by which runs are opened.
        codec: for a run of another codec than the published one.

    Raises:
        UserError: files that are missing, by name.
    """
    folder = parts.folder_of(weights)
    if parts.is_run(folder):
        model, words = opener(name, folder), None
        codec = codec or (_speech_tokenizer(folder) if name == "tts/valle_v2" else parts.encodec_of(folder))
        return VallE(model.to(device), codec.to(device), words)
    if name == "tts/valle_v2":
        parts.need(folder, {AR: "amphion/valle on the hub", NAR: "amphion/valle on the hub"})
        state: dict[str, Any] = {}
        for part, file in (("ar", AR), ("nar", NAR)):
            state |= {f"{part}.{key}": value for key, value in read_state(folder / file).items()}
        model, words = valle_v2.from_official(state, {}).eval(), PlacedWords()
        return VallE(model.to(device), (codec or _speech_tokenizer(folder)).to(device), words)
    parts.need(folder, {SYMBOLS: "the table of phonemes of amphion/valle_libritts"})
    listed = ListedWords(folder / SYMBOLS)
    return VallE(opener(name, folder).to(device), (codec or parts.encodec_of(folder)).to(device), listed)


def _speech_tokenizer(folder: Path) -> Any:
    inner = folder / "speechtokenizer_hubert_avg"
    place = inner if inner.is_dir() else folder
    what = "SpeechTokenizer, fnlp/SpeechTokenizer or amphion/valle on the hub"
    parts.need(place, {CODEC: what, "config.json": what})
    state: Mapping[str, Any] = read_state(place / CODEC)
    return speechtokenizer.from_official(state, parts.read_config(place / "config.json")).eval()
