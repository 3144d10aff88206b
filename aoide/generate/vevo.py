"""Vevo's trained parts as one converter: the timbre, the style or both of another recording, or a text in its voice.

    vevo = Vevo(tokens, flow, vocoder, hear, statistics, first=first, content=content)
    vevo.timbre(source, reference)     # the source as it is, in the voice of the reference
    vevo.style(source, reference)      # its words with the pace and accent of the reference, in its own voice
    vevo.voice(source, reference)      # both of the reference
    vevo.say(phonemes, reference, phonemes_of_the_reference)
    voice = vevo.prompt(reference)     # heard once: timbre(source, voice) for any number of sources
    load("Vevo", aoide.load).say("A text.", reference, prompt_text="What the reference says.")

Style takes the timing from the reference, too, so what comes out has another length than the source (Zhang et al. 2025,
arXiv:2502.07243, section 3).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from aoide.audio.mel import MelSpectrogram
from aoide.audio.sound import Sound
from aoide.config import UserError
from aoide.external import content as encoders
from aoide.external.speech import text_of
from aoide.generate import parts
from aoide.generate.packed import tags
from aoide.generate.words import AllWords, PublishedWords
from aoide.models.vc.vevo_ar import without_repetitions

RATE = 16_000  # Hz, of what is heard
LEAST, MOST = 1.0, 30.0  # seconds of a recording
PART = 12.0  # seconds that a part of a long text takes, if sentences allow

Hear = Callable[[np.ndarray], np.ndarray]


class Prompt(NamedTuple):
    """A voice as the flow hears it."""

    mel: Tensor  # (1, frames, mels) log magnitude
    codes: Tensor  # (1, frames, 1)


class Vevo:
    """Sounds -> a sound; see the head of this file.

    Args:
        tokens: features -> codes of content and style (a codec/maskgct_semantic; published as tokenizer/vq8192).
        flow: these codes -> mel (vc/vevo).
        vocoder: its mel -> sound (vocoder/vocos).
        hear: samples at 16 kHz (samples,) -> features (frames, dim), 50 a second: `encode` of HuBERT-large, layer 18
            (aoide/external/content.py).
        statistics: mean and deviation of the features (dim,), by which they are standardised.
        first: what is said -> how it is said (vc/vevo_ar).
        content: features -> codes of what is said (a codec/maskgct_semantic of few codes).

    All parts are on one device.

    Raises:
        UserError: parts that do not go together.
    """

    def __init__(  # noqa: PLR0913  (its parts)
        self,
        tokens: Any,
        flow: Any,
        vocoder: Any,
        hear: Hear,
        statistics: tuple[np.ndarray, np.ndarray] | None = None,
        *,
        first: Any = None,
        content: Any = None,
    ) -> None:
        if flow.config.mel != vocoder.config.mel:
            raise UserError(f"the flow makes {flow.config.mel}, but the vocoder reads {vocoder.config.mel}")
        known = {"flow": flow.config.codes} | ({} if first is None else {"first stage": first.config.codes})
        for what, codes in known.items():
            if codes != tokens.cardinality:
                raise UserError(f"the tokens have {tokens.cardinality} codes, but the {what} knows {codes}")
        self.tokens, self.flow, self.vocoder, self.first, self.content = tokens, flow, vocoder, first, content
        self._hear, self._statistics = hear, statistics
        self._device = next(flow.parameters()).device
        self._mel = MelSpectrogram(flow.config.mel).to(self._device)

    @property
    def sample_rate(self) -> int:
        """Hz of what comes out."""
        return self.flow.config.mel.sample_rate

    def timbre(self, source: Sound, reference: Sound | Prompt, *, steps: int = 32, seed: int = 0) -> Sound:
        """The source in the voice of the reference; its words, pace and accent stay.

        Args:
            reference: a recording of the voice, or what `prompt` heard in it.
            steps: of the flow. seed: of what is left to chance.

        Raises:
            UserError: a recording that is too short, too long or silent.
        """
        return self._sound(self._codes(source, self.tokens), reference, steps, seed)

    def style(self, source: Sound, reference: Sound, *, steps: int = 32, seed: int = 0) -> Sound:
        """The words of the source with the pace and accent of the reference, in the voice of the source."""
        return self._sound(self._anew(source, reference, seed), source, steps, seed)

    def voice(self, source: Sound, reference: Sound, *, steps: int = 32, seed: int = 0) -> Sound:
        """The words of the source as the reference would say them."""
        return self._sound(self._anew(source, reference, seed), reference, steps, seed)

    def say(
        self, tokens: Tensor, reference: Sound, reference_tokens: Tensor, *, steps: int = 32, seed: int = 0
    ) -> Sound:
        """Says phonemes like the reference: tokens (tokens,), reference_tokens (tokens,), what the reference says."""
        codes = self._first(torch.cat([reference_tokens, tokens]).to(self._device), reference, seed)
        return self._sound(codes, reference, steps, seed)

    def _anew(self, source: Sound, style: Sound, seed: int) -> Tensor:
        if self.content is None:
            raise UserError("this Vevo has no content codes: it can change the timbre, and the style not")
        said = [without_repetitions(self._codes(sound, self.content)[0, :, 0]) for sound in (style, source)]
        shift = self._first_stage().config.symbols - self.content.cardinality  # phonemes come before content codes
        return self._first(torch.cat(said) + shift, style, seed)

    def _first(self, tokens: Tensor, style: Sound, seed: int) -> Tensor:
        prompt = self._codes(style, self.tokens)[0, :, 0]
        generator = torch.Generator().manual_seed(seed)
        codes = self._first_stage().speak(tokens, prompt, generator=generator)
        if not len(codes):
            raise UserError("the first stage said nothing; try another seed, or another reference")
        return codes[None]

    def _first_stage(self) -> Any:
        if self.first is None:
            raise UserError("this Vevo has no first stage: it can change the timbre, and the style not")
        return self.first

    @torch.no_grad()
    def prompt(self, voice: Sound) -> Prompt:
        """What is heard of a voice, to be used more than once.

        Raises:
            UserError: a recording that is too short, too long or silent.
        """
        samples = torch.from_numpy(voice.mono().resample(self.sample_rate).samples)[None].to(self._device)
        mel, codes = self._mel(samples), self._codes(voice, self.tokens)
        frames = min(mel.shape[1], codes.shape[1])
        return Prompt(mel[:, :frames], codes[:, :frames])

    @torch.no_grad()
    def _sound(self, codes: Tensor, voice: Sound | Prompt, steps: int, seed: int) -> Sound:
        heard = voice if isinstance(voice, Prompt) else self.prompt(voice)
        generator = torch.Generator().manual_seed(seed)
        made = self.flow.speak(codes, heard.codes, heard.mel, steps=steps, generator=generator)
        return Sound(self.vocoder(made)[0].float().cpu().numpy(), self.sample_rate)

    @torch.no_grad()
    def _codes(self, sound: Sound, codec: Any) -> Tensor:
        """Codes of a recording: (1, frames, 1)."""
        if not LEAST <= sound.seconds <= MOST:
            raise UserError(f"a recording has {LEAST:g} to {MOST:g} s, and this one {sound.seconds:.1f} s")
        heard = sound.mono().resample(RATE).samples
        if not np.any(heard):
            raise UserError("a recording is silent")
        features = self._hear(heard)
        if self._statistics is not None:
            features = (features - self._statistics[0]) / self._statistics[1]
        return codec.encode(torch.from_numpy(np.asarray(features, np.float32))[None].to(self._device))


# --------------------------------------------------------------------------------------------------- recording, speech


class Timbre:
    """Vevo-Timbre on long sound: the words, the pace and the accent stay. See `Revoicer` in generate/likeness.py.

    A voice and a part of the sound are together as long as the clips that the published flow was trained on.
    """

    name, listen, longest = "vc/vevo", 12.0, 15.0
    published = "the folder of amphion/Vevo with its configurations, which docs/cloning.md lists"

    def __init__(self, vevo: Vevo, steps: int = 32) -> None:
        self._vevo, self._steps = vevo, steps
        self.sample_rate, self.hop = vevo.sample_rate, vevo.flow.config.mel.hop

    @classmethod
    def open(cls, weights: str, load: Callable[..., Any]) -> Timbre:
        """From the folder that `load` below takes; the first stage may be missing."""
        return cls(_together(parts.folder_of(weights), load, (TOKENS, FLOW, VOCODER), "cpu"))

    def hear(self, samples: np.ndarray) -> Prompt:
        """See `Revoicer`."""
        return self._vevo.prompt(Sound(samples, self.sample_rate))

    def begin(self, beginning: np.ndarray, voice: Prompt, seed: int) -> Callable[[np.ndarray], np.ndarray]:
        """See `Revoicer`."""
        seeds = count(seed)

        def work(samples: np.ndarray) -> np.ndarray:
            part = Sound(samples, self.sample_rate)
            return self._vevo.timbre(part, voice, steps=self._steps, seed=next(seeds)).samples

        return work


class Speaking:
    """Vevo-TTS as a speaker: a text with the accent, the pace and the voice of a recording. See `Speaker` in
    aoide/external/speech.py.

    Args:
        vevo: with a first stage that reads phonemes.
        words: which phonemes it reads.
    """

    name, licence = "vc/vevo", "CC-BY-NC-4.0"

    def __init__(self, vevo: Vevo, words: Any) -> None:
        self._vevo, self._words = vevo, words

    @property
    def sample_rate(self) -> int:
        """Hz."""
        return int(self._vevo.sample_rate)

    def say(
        self,
        text: str,
        prompt: Sound | str | None = None,
        *,
        language: str = "en",
        seed: int = 0,
        prompt_text: str = "",
        steps: int = 32,
    ) -> Sound:
        """See `Speaker`; the pace is that of the recording, as the model hears it.

        Args:
            prompt_text: what the recording says.
            steps: of the flow's solver.

        Raises:
            UserError: nothing to say, no recording or one that does not do, no words of it, or an end before the first
                sound.
        """
        sentences = self._words.sentences(text_of(text), language)
        heard = parts.recording(prompt, self.name, LEAST, MOST)
        before = parts.said(self._words, prompt_text, language)
        sounds = []
        for number, part in enumerate(parts.together(sentences, len(before) / heard.seconds, PART)):
            rows = [torch.from_numpy(self._words.encode(one)) for one in (f"{before} {part}", before)]
            spoken = rows[0][len(rows[1]) :]
            sounds.append(self._vevo.say(spoken, heard, rows[1], steps=steps, seed=seed + number).samples)
        about = tags(f"in the voice of a recording, by {self.name}, seed {seed}")
        return Sound(np.concatenate(sounds), self.sample_rate, about)


TOKENS, FIRST, FLOW, VOCODER = (
    "tokenizer/vq8192",
    "contentstyle_modeling/PhoneToVq8192",
    "acoustic_modeling/Vq8192ToMels",
    "acoustic_modeling/Vocoder",
)
CONFIGS = {FIRST: "PhoneToVq8192.json", FLOW: "Vq8192ToMels.json", VOCODER: "Vocoder.json"}
STATISTICS, EARS, LAYER = "hubert_large_l18_mean_std.npz", "hubert-large", 18
MODELS = {TOKENS: "codec/maskgct_semantic", FIRST: "vc/vevo_ar", FLOW: "vc/vevo", VOCODER: "vocoder/vocos"}


def load(weights: str, opener: Callable[..., Any], device: str = "cpu") -> Speaking:
    """Vevo-TTS from a folder with its parts, each as published (amphion/Vevo) or a run of one's own.

    Args:
        opener: `aoide.load`, by which runs are opened.

    Raises:
        UserError: files that are missing, by name.
        MissingExtra: transformers is not installed.
    """
    folder = parts.folder_of(weights)
    vevo = _together(folder, opener, tuple(MODELS), device)
    return Speaking(vevo, AllWords() if parts.is_run(folder / FIRST) else PublishedWords())


def _together(folder: Path, opener: Callable[..., Any], chosen: Sequence[str], device: str) -> Vevo:
    """These of the parts in the folder."""
    runs = {part: parts.is_run(folder / part) for part in chosen}
    wanted = dict.fromkeys(chosen, "amphion/Vevo on the hub, or a run")
    configs = {part: file for part, file in CONFIGS.items() if part in chosen}
    wanted |= {file: "models/vc/vevo/config of Amphion" for part, file in configs.items() if not runs[part]}
    wanted |= {STATISTICS: "models/vc/vevo/config of Amphion"}
    if not runs[TOKENS] and runs[FLOW]:
        wanted[CONFIGS[FLOW]] = "models/vc/vevo/config of Amphion, with the sizes of the tokenizer"
    parts.need(folder, wanted)
    models = {}
    for part in chosen:
        config = {} if runs[part] else parts.read_config(folder / CONFIGS.get(part, CONFIGS[FLOW]))
        if part == TOKENS and config:
            config = config["model"]["repcodec"]
        models[part] = parts.open_part(folder, part, MODELS[part], opener, config).to(device)
    with np.load(folder / STATISTICS) as file:
        statistics = (file["mean"].astype(np.float32), file["std"].astype(np.float32))
    ears = folder / EARS
    hubert = encoders.open("hubert", ears if ears.is_dir() else "facebook/hubert-large-ll60k", LAYER, device=device)
    return Vevo(models[TOKENS], models[FLOW], models[VOCODER], hubert.encode, statistics, first=models.get(FIRST))
