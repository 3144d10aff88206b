"""Conversion into a voice that is heard once, by models that know many voices, on sound of any length.

    model = open_model("codec/facodec", "hf:amphion/naturalspeech3_facodec", aoide.load)       # one of MODELS
    like = Likeness(model, "friend.wav")                                                       # whose speaker agreed
    for piece in like.stream(Source.file("talk.wav")): ...

The voice is heard in the first seconds of its recording, once; then the other recording is converted part by part, cut
at its pauses (aoide/generate/convert.py). What a model must offer for that is a `Revoicer`; each is a few lines.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import numpy as np
import torch

from aoide.audio.sound import Sound
from aoide.config import UserError, near
from aoide.generate.convert import LONGEST, Source, cuts, joined
from aoide.generate.noro import Noro
from aoide.generate.packed import tags
from aoide.generate.vevo import Timbre
from aoide.models import find

Load = Callable[..., Any]  # aoide.load
Work = Callable[[np.ndarray], np.ndarray]

LISTEN = 30.0  # seconds of a recording in which a voice is heard, unless the model wants fewer
LEAST = 1.0  # and least; shorter parts are filled up with silence
SILENCE = 1e-4  # root mean square of a part below which nobody speaks


class Revoicer(Protocol):
    """What converts into a voice that it heard once.

    Attributes:
        name: as `aoide models` lists it.
        sample_rate: Hz, of what it hears and of what it makes.
        hop: samples of a frame.
        listen: seconds of a recording in which it hears a voice, at most.
        longest: seconds of a part that it converts, without the second around it.
    """

    name: str
    sample_rate: int
    hop: int
    listen: float
    longest: float

    def hear(self, samples: np.ndarray) -> Any:
        """The voice of samples (samples,), whole frames of LEAST seconds or more, as the model keeps it."""

    def begin(self, beginning: np.ndarray, voice: Any, seed: int) -> Work:
        """What converts a recording into a voice, part by part in order.

        Args:
            beginning: (samples,), of the recording, as `hear` has it.
            seed: of what is drawn.

        Returns:
            Samples (frames * hop,) -> as many, up to a frame fewer.
        """


class Likeness:
    """A converter into the voice of one recording.

    Args:
        model: what converts.
        reference: the recording; whoever speaks there must have agreed.
        seed: of what is drawn; each sound begins with it anew.

    Raises:
        UserError: no such recording, or one that is too short or silent.
    """

    def __init__(self, model: Revoicer, reference: Sound | str | os.PathLike[str], seed: int = 0) -> None:
        self._model, self.seed = model, seed
        self.sample_rate = model.sample_rate
        sound = reference if isinstance(reference, Sound) else None
        name = "the reference" if sound is not None else os.fspath(reference)  # type: ignore[arg-type]
        source = Source.of(sound) if sound is not None else Source.file(name)
        with torch.inference_mode():
            self._voice = model.hear(self._beginning(source, name))

    def tags(self) -> dict[str, str]:
        return tags(f"voice converted to that of another recording by {self._model.name}")

    def convert(self, sound: Sound) -> Sound:
        """A sound in the voice of the reference: one channel at `sample_rate`, as long as before."""
        pieces = list(self.stream(Source.of(sound)))
        return Sound(np.concatenate([np.zeros(0, np.float32), *pieces]), self.sample_rate, self.tags())

    def stream(self, source: Source) -> Iterator[np.ndarray]:
        """The same in pieces, in constant memory.

        Raises:
            UserError: a sound that cannot be read, or with NaN or infinity in it.
        """
        rate, hop = self.sample_rate, self._model.hop
        with torch.inference_mode():
            convert = self._model.begin(self._beginning(source, None), self._voice, self.seed)

        def work(samples: np.ndarray, first: int) -> np.ndarray:
            count = len(samples)
            _finite(samples, "the sound")
            if np.sqrt(np.mean(np.square(samples, dtype=np.float64))) < SILENCE:
                return np.zeros_like(samples)
            with torch.inference_mode():
                made = convert(self._filled(samples))[:count]
            return np.clip(np.pad(made, (0, count - len(made))), -1.0, 1.0)

        yield from joined(source, cuts(source, rate, hop, self._model.longest), rate, hop, work)

    def _beginning(self, source: Source, name: str | None) -> np.ndarray:
        """The first seconds of a source in whole frames; with a name it must hold a voice."""
        most, taken = round(self._model.listen * self.sample_rate), [np.zeros(0, np.float32)]
        for block in source.blocks(self.sample_rate):
            taken.append(np.asarray(block, np.float32))
            if sum(map(len, taken)) >= most:
                break
        samples = np.concatenate(taken)[: most // self._model.hop * self._model.hop]
        _finite(samples, name or "the sound")
        if name is not None and (len(samples) < LEAST * self.sample_rate or np.abs(samples).max() < SILENCE):
            raise UserError(
                f"{name}: too short or too quiet to hear a voice in it (its first {self._model.listen:g} s); some "
                "seconds of speech are needed"
            )
        return self._filled(samples)

    def _filled(self, samples: np.ndarray) -> np.ndarray:
        """Whole frames, LEAST seconds or more; what lacks is silence."""
        least = max(len(samples), round(LEAST * self.sample_rate))
        return np.pad(samples, (0, least + -least % self._model.hop - len(samples)))


def _finite(samples: np.ndarray, name: str) -> None:
    if not np.isfinite(samples).all():
        raise UserError(f"{name} holds NaN or infinity")


# --------------------------------------------------------------------------------------------------------------- models


class OpenVoice:
    """OpenVoice's converter: tells the voice of the recording from the other; both are vectors. See `Revoicer`."""

    name, listen, longest = "vc/openvoice", LISTEN, LONGEST
    published = "hf:myshell-ai/OpenVoiceV2/converter, or a folder with its checkpoint.pth and config.json"

    def __init__(self, model: Any) -> None:
        self._model = model
        self.sample_rate, self.hop = model.config.mel.sample_rate, model.config.mel.hop

    @classmethod
    def open(cls, weights: str, load: Load) -> OpenVoice:
        return cls(load(cls.name, weights))

    def hear(self, samples: np.ndarray) -> torch.Tensor:
        return self._model.voice(*self._model.listen(_row(samples)))

    def begin(self, beginning: np.ndarray, voice: torch.Tensor, seed: int) -> Work:
        own, generator = self.hear(beginning), torch.Generator().manual_seed(seed)

        def work(samples: np.ndarray) -> np.ndarray:
            heard = self._model.listen(_row(samples))
            return self._model.revoice(*heard, own, voice, generator=generator)[0][0].numpy()

        return work


class FACodec:
    """FACodec: codes of prosody and content without those of details, and another voice. See `Revoicer`.

    Args:
        details: keep the details, which sounds better and less like the other voice.
    """

    name, listen, longest = "codec/facodec", LISTEN, LONGEST
    published = (
        "hf:amphion/naturalspeech3_facodec, or its ns3_facodec_encoder.bin and ns3_facodec_decoder.bin in a folder"
    )

    def __init__(self, model: Any, details: bool = False) -> None:
        if model.encoder is None or model.decoder is None:
            lost = "encoder" if model.encoder is None else "decoder"
            raise UserError(f"{self.name} converts with both halves, and its {lost} is missing: give {self.published}")
        self._model, self._details = model, details
        self.sample_rate, self.hop = model.config.sample_rate, model.config.hop

    @classmethod
    def open(cls, weights: str, load: Load) -> FACodec:
        return cls(load(cls.name, weights))

    def hear(self, samples: np.ndarray) -> torch.Tensor:
        return self._model.voice(_row(samples))

    def begin(self, beginning: np.ndarray, voice: torch.Tensor, seed: int) -> Work:
        return lambda samples: self._model.convert(_row(samples), voice, details=self._details)[0].numpy()


def _row(samples: np.ndarray) -> torch.Tensor:
    """samples (samples,) -> (1, samples)."""
    return torch.from_numpy(np.ascontiguousarray(samples))[None]


MODELS: dict[str, Any] = {kind.name: kind for kind in (OpenVoice, FACodec, Timbre, Noro)}
DEFAULT = OpenVoice.name


def check(name: str, weights: str | None) -> None:
    """Makes sure that a model converts like this, and that weights are named.

    Raises:
        UserError: it does not, or they are not.
    """
    if name not in MODELS:
        extra = f"; {name} does something else" if name in find.names() else ""
        guess = near(name, MODELS) or f" there are {', '.join(MODELS)}"
        raise UserError(f"no model {name!r} that converts into the voice of a recording{extra};{guess}")
    if weights is None:
        raise UserError(
            f"{name} needs weights that know many voices, and none came with this package: give --weights SOURCE, a "
            f"run of your own or what was published: {MODELS[name].published}"
        )


def open_model(name: str, weights: str, load: Load) -> Revoicer:
    """A model by name, with its weights.

    Args:
        name: one of MODELS.
        weights: a run, a folder, or hf:owner/name.
        load: `aoide.load`, by which models are opened.

    Raises:
        UserError: no such model, or weights that are missing or of something else.
        MissingExtra: a package that it needs.
    """
    check(name, weights)
    return MODELS[name].open(weights, load)
