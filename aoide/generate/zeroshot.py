"""A text in the voice of a recording: whoever is heard in it agreed, some seconds are enough, nothing is trained.

    speaker = open_speaker("tts/f5", "runs/f5", aoide.load)       # or tts/e2, tts/maskgct, tts/llasa, xtts, ...
    like = Cloning(speaker, Sound.load("somebody.wav"), "What somebody says there.")
    like.remarks                                                  # what is odd about the recording
    for sound in like.stream("A long text. ..."): ...

A speaker makes sound of a text, a recording and what it says (`Zeroshot`). This file makes the recording fit for it
(aoide/generate/prompt.py), foretells how long the text takes (a trained tts/duration or tts/duration_flow; else the
published rule, phonemes by phonemes, or bytes by bytes in a language without a front end here), says a long text part
by part after the same recording, and finds the weights.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from aoide import external
from aoide.audio.sound import Sound
from aoide.config import MissingExtra, UserError, near
from aoide.external import content
from aoide.external import speech as others
from aoide.external.weights import read_state
from aoide.generate import parts, published
from aoide.generate import prompt as prompts
from aoide.generate.maskgct import MaskGCT
from aoide.generate.packed import tags
from aoide.generate.words import AllWords, PublishedWords, reader_of
from aoide.models import find
from aoide.models.tts.duration import rule
from aoide.text import frontend
from aoide.text.phonemes import SYMBOLS
from aoide.text.sentences import sentences as splitting
from aoide.text.tokenizer import Tokenizer

Load = Callable[..., Any]  # aoide.load

INFILLING = ("tts/f5", "tts/e2", "tts/f5_mmdit")
VALLE = ("tts/valle", "tts/valle_v2")
NAMES = (
    *INFILLING,
    *("tts/maskgct", "tts/llasa", *VALLE, "tts/naturalspeech2", "tts/cosyvoice2", "vc/vevo"),
    *others.FILES,
)
MOST = 15.0  # seconds of a recording that are listened to
BLOCK = 60.0  # seconds of text that are handed over at once; a speaker makes parts of it together
PAUSE = 0.25  # seconds between two of them
SPEEDS = (0.5, 2.0)


class Zeroshot(Protocol):
    """What follows a recording. Those of other people take no `prompt_text` and no `seconds`: the pace is theirs."""

    name: str
    licence: str
    sample_rate: int

    def say(  # noqa: PLR0913  (what steers speech)
        self,
        text: str,
        prompt: Sound,
        *,
        language: str = "en",
        seed: int = 0,
        prompt_text: str = "",
        seconds: float | None = None,
    ) -> Sound:
        """Says a text of any length like the recording, which says `prompt_text`, in about so many seconds."""


class Cloning:
    """A voice that is heard once, ready to speak.

    Args:
        speaker: a `Zeroshot`.
        prompt: the recording.
        prompt_text: what it says.
        language: two letters, of the recording and of what is said; None: by the script of the text.
        duration: a trained tts/duration or tts/duration_flow; None: the speaker's own, where it has one, or the rule.
        name: of the recording, for remarks and errors.

    Raises:
        UserError: a recording or a text of it that does not do; see `aoide.generate.prompt`.
    """

    def __init__(  # noqa: PLR0913  (what a voice is made of)
        self,
        speaker: Any,
        prompt: Sound,
        prompt_text: str,
        *,
        language: str | None = None,
        duration: Any = None,
        name: str = "the recording",
    ) -> None:
        self.speaker, self._language = speaker, language
        self._duration = getattr(speaker, "duration", None) if duration is None else duration
        self.prompt, self.remarks = prompts.prepare(prompt, name, MOST)
        self.prompt_text = " ".join(prompt_text.split())
        self._asks = set(inspect.signature(speaker.say).parameters)
        if "prompt_text" in self._asks:
            if not self.prompt_text:
                raise UserError(f"{name}: what it says must be known, to follow its pace; give its text")
            begin, end = prompts.edges(prompt.mono().samples, prompt.sample_rate)
            if end - begin > MOST * prompt.sample_rate:
                raise UserError(
                    f"{name}: {prompt.seconds:.1f} s are too long to be used with a text of all of it: only the first "
                    f"{self.prompt.seconds:.1f} s are heard; cut it, or leave its text out and let it be recognised"
                )
            count = prompts.sounds(self._phonemes(self.prompt_text) or self.prompt_text)
            self.remarks += prompts.fits(count, self.prompt.seconds, name)

    @property
    def sample_rate(self) -> int:
        """Hz."""
        return int(self.speaker.sample_rate)

    def tags(self, seed: int = 0) -> dict[str, str]:
        """What files in this voice say about themselves."""
        return tags(f"in the voice of a recording; model: {self.speaker.name}; seed: {seed}")

    def seconds(self, text: str) -> float:
        """How long a text is expected to take."""
        said, before = self._phonemes(text), self._phonemes(self.prompt_text)
        if said is None or before is None:
            return rule(len(self.prompt_text.encode()), self.prompt.seconds, len(text.encode()))
        if self._duration is None:
            return rule(prompts.sounds(before), self.prompt.seconds, prompts.sounds(said))
        tokens = [torch.from_numpy(Tokenizer(SYMBOLS).encode(phonemes)) for phonemes in (before, said)]
        return float(self._duration.seconds(tokens[0], self.prompt.seconds, tokens[1]))

    def say(self, text: str, **settings: Any) -> Sound:
        """As `stream`, all at once."""
        pieces = [sound.samples for sound in self.stream(text, **settings)]
        return Sound(np.concatenate(pieces), self.sample_rate, self.tags(settings.get("seed", 0)))

    def stream(
        self, text: str | Iterable[str], *, seconds: float | None = None, speed: float = 1.0, seed: int = 0
    ) -> Iterator[Sound]:
        """Says a text of any length, in blocks of up to a minute.

        Args:
            seconds: how long all of it shall take; None: as expected, divided by `speed`.
            speed: 0.5 to 2.
            seed: of what is left to chance.

        Raises:
            UserError: nothing to say, a speed out of range, or a time that cannot hold the text.
        """
        if not SPEEDS[0] <= speed <= SPEEDS[1]:
            raise UserError(f"speed: {SPEEDS[0]:g} to {SPEEDS[1]:g}, got {speed:g}")
        if seconds is not None and not seconds > 0:
            raise UserError(f"seconds: above 0, got {seconds:g}")
        if seconds is not None or speed != 1:
            self._can_be_steered()
        if seconds is None:
            yield from self._said(self._blocks(text), speed, seed)
            return
        blocks = list(self._blocks(text))
        spoken = seconds - PAUSE * (len(blocks) - 1)
        yield from self._said(iter(blocks), sum(length for _, length in blocks) / max(spoken, 1e-3), seed)

    def _said(self, blocks: Iterator[tuple[str, float]], speed: float, seed: int) -> Iterator[Sound]:
        first = True
        for block, expected in blocks:
            length = expected / speed
            language = self._language or prompts.language_of(block)
            known = {"language": language, "seed": seed, "prompt_text": self.prompt_text, "seconds": length}
            if "seconds" in self._asks:
                pace = self._count(block) / length
                if pace > prompts.POSSIBLE[1]:
                    raise UserError(
                        f"{length:.1f} s cannot hold the text: {pace:.0f} sounds a second, and nobody says more than "
                        f"{prompts.POSSIBLE[1]:g}; it would take {expected:.1f} s"
                    )
            sound = self.speaker.say(block, self.prompt, **{k: v for k, v in known.items() if k in self._asks})
            if not first:
                pause = np.zeros(round(PAUSE * self.sample_rate), np.float32)
                sound = Sound(np.concatenate([pause, sound.samples]), self.sample_rate)
            first = False
            yield Sound(sound.samples, self.sample_rate, self.tags(seed))
        if first:
            raise UserError("there is nothing in the text that can be said")

    def _blocks(self, text: str | Iterable[str]) -> Iterator[tuple[str, float]]:
        """Sentences together, up to a minute, with how long they are expected to take."""
        waiting, length = "", 0.0
        for sentence in splitting(text):
            if not any(map(str.isalnum, sentence)):
                continue
            own = self.seconds(sentence)
            if waiting and length + own > BLOCK:
                yield waiting, length
                waiting, length = "", 0.0
            waiting, length = f"{waiting} {sentence}".strip(), length + own
        if waiting:
            yield waiting, length

    def _can_be_steered(self) -> None:
        if "seconds" not in self._asks:
            raise UserError(f"{self.speaker.name} keeps its own pace: leave out how long or how fast it shall be")

    def _count(self, text: str) -> int:
        return prompts.sounds(self._phonemes(text) or text) or len(text)

    def _phonemes(self, text: str) -> str | None:
        """In our alphabet; None for a language without a front end here."""
        if not text:
            return None
        language = self._language or prompts.language_of(text)
        try:
            reader = frontend(reader_of(language))
            return " ".join(reader.phonemize(sentence) for sentence in reader.sentences(text))
        except MissingExtra:
            return None
        except UserError:  # letters that we cannot read; a speaker that reads by itself may
            if "seconds" in self._asks:
                raise
            return None


# -------------------------------------------------------------------------------------------------------------- weights


def open_speaker(name: str, weights: str | None, load: Load, *, vocoder: str | None = None, device: str = "cpu") -> Any:
    """A speaker by name, with its weights.

    Args:
        name: one of `NAMES`.
        weights: a run, a folder, or hf:owner/name; systems of other people have their own where it is None.
        load: `aoide.load`, by which runs are opened.
        vocoder: of a model of mels: one of the package, a run, or NAME=SOURCE for published weights of a model; None:
            the package's own. Of a model of codes its codec, likewise; None: that of the published weights.

    Raises:
        UserError: no such speaker, no weights, or files that are missing, by name.
        MissingExtra: a package that it needs.
    """
    if name not in NAMES:
        extra = f"; {name} has no way from text to sound in another voice here" if name in find.names() else ""
        raise UserError(f"no model {name!r} that speaks like a recording{extra};{near(name, NAMES) or _list(NAMES)}")
    if name in others.FILES:
        return others.speech(name, weights, device)
    if weights is None:
        raise UserError(
            f"{name} needs weights, and none came with this package: --weights RUN, FOLDER or hf:OWNER/NAME"
        )
    if name in INFILLING:
        return _f5(name, weights, load, vocoder, device)
    return _maskgct(weights, load, device) if name == "tts/maskgct" else _of_codes(name, weights, load, vocoder, device)


def _of_codes(name: str, weights: str, load: Load, codec: str | None, device: str) -> Any:
    """Language models of codes, and what else makes sound by a codec or a vocoder of its own."""
    if name == "tts/llasa":
        from aoide.generate import llasa

        return llasa.load(weights, device=device)
    if name == "tts/cosyvoice2":
        from aoide.generate import cosyvoice2

        return cosyvoice2.load(weights, load, device)
    if name == "vc/vevo":
        from aoide.generate import vevo

        return vevo.load(weights, load, device)
    chosen = None if codec is None else _codec(codec, load)
    if name == "tts/naturalspeech2":
        from aoide.generate import naturalspeech2

        return naturalspeech2.load(weights, load, chosen, device)
    from aoide.generate import valle

    return valle.load(name, weights, load, chosen, device)


def _codec(name: str, load: Load) -> Any:
    """A codec by name: one of other people, one of ours as NAME=SOURCE, or a run."""
    model, _, source = name.partition("=")
    codec = external.codec(model, source or None) if model in external.CODECS else load(*filter(None, (model, source)))
    if not hasattr(codec, "encode") or not hasattr(codec, "cardinality"):
        raise UserError(f"{name}: not a codec; {', '.join(external.CODECS)} are, and codec/... with =SOURCE")
    return codec


def _f5(name: str, weights: str, load: Load, vocoder: str | None, device: str) -> Any:
    from aoide.generate.f5 import F5, Letters

    folder = published.download(weights) if weights.startswith(published.HUB) else Path(weights)
    model = load(name, folder)
    words: Any = AllWords()
    if not parts.is_run(folder):
        listed = [path for path in (folder / "vocab.txt", folder.parent / "vocab.txt") if path.is_file()]
        if not listed:
            raise UserError(f"{weights}: the published weights come with a vocab.txt, which is not there")
        words = Letters(listed[0])
    return F5(model.to(device), _vocoder(vocoder, load), words)


def _vocoder(name: str | None, load: Load) -> Any:
    from aoide.generate.torch_vocoder import TorchVocoder
    from aoide.voices import DEFAULT_VOCODER

    model, _, source = (name or DEFAULT_VOCODER).partition("=")
    loaded = load(model, source) if source else load(model)
    return loaded if hasattr(loaded, "vocode") and hasattr(loaded, "mel") else TorchVocoder(loaded)


PARTS = {
    "t2s_model": "tts/maskgct",
    "s2a_model/s2a_model_1layer": "tts/maskgct_s2a",
    "s2a_model/s2a_model_full": "tts/maskgct_s2a",
    "semantic_codec": "codec/maskgct_semantic",
    "acoustic_codec": "codec/maskgct_acoustic",
}
STATISTICS, TABLE, CONFIG, HEARD = "wav2vec2bert_stats.pt", "vocab.json", "maskgct.json", "w2v-bert-2.0"


def _maskgct(weights: str, load: Load, device: str) -> Any:
    """MaskGCT from a folder with its parts, each a run of one's own or as published.

    A text-to-semantic model as published reads the published phonemes, and one of a folder with a vocab.json those of
    that table; other runs read the phonemes of the house. One s2a_model that makes all codebooks may stand for two.
    """
    folder = parts.folder_of(weights)
    if (folder / "ears.json").is_file():  # written by tools/make_toy_maskgct.py
        from aoide.generate import maskgct_folder

        return maskgct_folder.load(folder)
    whole = parts.is_run(folder / "s2a_model") or parts.is_run(folder / "s2a_model" / "s2a_model_full")
    wanted = {part: model for part, model in PARTS.items() if not (whole and part.startswith("s2a_model/"))}
    wanted |= {"s2a_model": "tts/maskgct_s2a"} if whole else {}
    needed = [part for part in wanted if not (folder / part).is_dir()]
    needed += [STATISTICS] if not (folder / STATISTICS).is_file() else []
    foreign = [part for part in wanted if not parts.is_run(folder / part)]
    if foreign and not (folder / CONFIG).is_file():
        needed.append(CONFIG)
    if needed:
        raise UserError(
            f"{weights}: lacks {', '.join(needed)}; the parts are those of amphion/MaskGCT on the hub, and "
            f"{CONFIG} and {STATISTICS} those of Amphion's models/tts/maskgct, put beside them"
        )
    loaded = {}
    for part, name in wanted.items():
        model = _official(name, folder / part, folder / CONFIG) if part in foreign else load(name, folder / part)
        loaded[part] = model.to(device)
    own = folder / HEARD
    heard = content.open("w2v_bert", own if own.is_dir() else None, statistics=folder / STATISTICS, device=device)
    second = [model for part, model in loaded.items() if part.startswith("s2a_model")]
    own_table = folder / TABLE if (folder / TABLE).is_file() else None
    words = PublishedWords(own_table) if own_table or "t2s_model" in foreign else AllWords()
    return MaskGCT(loaded["t2s_model"], second, loaded["semantic_codec"], loaded["acoustic_codec"], heard, words)


def _official(name: str, folder: Path, config: Path) -> Any:
    """A part with its published weights, all of which share one configuration."""
    module = find.find(name)
    files = [folder / file for file in getattr(module, "OFFICIAL_FILES", ("model.safetensors",))]
    missing = [str(file) for file in files if not file.is_file()]
    if missing:
        raise UserError(f"{', '.join(missing)}: no such file, which {name} needs")
    try:
        settings = json.loads(config.read_text("utf-8"))
    except ValueError:
        raise UserError(f"{config}: not JSON that can be read") from None
    return module.from_official({key: x for file in files for key, x in read_state(file).items()}, settings).eval()


def _list(names: Iterable[str]) -> str:
    return f" there are {', '.join(names)}"
