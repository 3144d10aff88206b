"""An exported model of described sounds: a caption -> sound, with onnxruntime and numpy, without torch.

    model = Described("sounds-24k")
    model.make("a bright trumpet plays a fast rising scale", seed=1).save("trumpet.wav")
    model.make("a flute", start=Start(sound=Sound.load("in.wav"), strength=0.6))    a variation of a recording
    model.remark("a dog barks")                                  what is odd about a caption: it never heard a dog

Its folder: `described.json` (what it is and what it knows), four graphs, and `card.md`:

    caption.onnx  words (batch, words, pieces), word_mask (batch, words), as `text/captions.py` writes them, -> said and
                  unsaid (batch, dim): what steers the network, with the caption and without
    step.onnx     noisy (batch, frames, values), time (batch,), said (batch, dim) -> velocity (batch, frames, values)
    mel.onnx      components (1, frames, values), where the flow ends -> mel (1, frames, mels)
    components.onnx   the other way, for recordings to start from

A vocoder makes the sound. A piece has always so many frames, whole patches; what shall be longer is made piece by
piece, each of which hears the end of the one before. Offers what `aoide.models.tta.Described` promises.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np

from aoide import trace
from aoide.audio.mel_config import MelConfig
from aoide.audio.sound import Sound
from aoide.audio.spectrum import log_mel
from aoide.config import UserError
from aoide.generate import known_sounds
from aoide.generate.packed import Packed, open_graph, read, tags
from aoide.generate.vocoder import Vocoder
from aoide.models import tta
from aoide.models.tta import Start
from aoide.text import captions
from aoide.voices import DEFAULT_VOCODER

FILE = "described"
LONGEST = 30.0  # seconds
MOST_STEPS, MOST_GUIDANCE = 1000, 20.0
SHARED = 1 / 3  # of a piece: what the next one hears of it
CROSSFADE = 0.02  # seconds, where a recording that is kept meets what was made
LOUDEST = 0.97  # of full scale

Velocity = Callable[[np.ndarray, float], np.ndarray]  # x (1, frames, values), time -> like x


@dataclass(frozen=True, kw_only=True, slots=True)
class Description(Packed):
    """What `described.json` says."""

    mel: MelConfig = field(default_factory=MelConfig)
    frames: int  # of a piece
    patch: int  # frames that are one place for the network
    floor: float  # of the log mel: quieter than anybody hears
    steps: int = 10
    guidance: float = 3.0
    shift: float = 10.0  # of the times of the steps; above 1 more of them are near the noise
    vocoder: str = DEFAULT_VOCODER
    words: list[str] = field(default_factory=list)  # of the captions of training
    things: list[str] = field(default_factory=list)  # short captions of what it knows


class _Way(NamedTuple):
    steps: int
    guidance: float


class Network(Protocol):
    """What computes, by graphs or by torch."""

    def say(self, words: np.ndarray, word_mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What steers, with the captions and without: (batch, dim) twice."""
        ...

    def go(self, noisy: np.ndarray, time: np.ndarray, said: np.ndarray) -> np.ndarray:
        """The velocity, like `noisy` (batch, frames, values)."""
        ...

    def mel(self, components: np.ndarray) -> np.ndarray:
        """(1, frames, values) of whole patches -> (1, frames, mels)."""
        ...

    def components(self, mel: np.ndarray) -> np.ndarray:
        """The other way."""
        ...


class Sampling:
    """What makes sound of captions by a flow, whatever computes its velocity.

    Raises:
        UserError: a vocoder of another mel.
    """

    def __init__(self, of: Description, network: Network, vocoder: Vocoder) -> None:
        if vocoder.mel != of.mel:
            raise UserError(f"{vocoder.name} reads {vocoder.mel}, but {of.name} makes {of.mel}")
        self.description, self._network, self._vocoder = of, network, vocoder
        self.name, self.sample_rate = of.name, of.mel.sample_rate
        self.steps, self.guidance, self.longest = of.steps, of.guidance, LONGEST
        self.seconds = of.frames / of.mel.frame_rate  # of a piece, and where nobody says otherwise

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name}, {len(self.description.things)} things, {self.sample_rate} Hz)"

    def tags(self, caption: str) -> dict[str, str]:
        return tags(f"made by {self.name} from the caption: {caption}")

    def remark(self, caption: str) -> str | None:
        """What to tell whoever asks for a caption beyond what the model knows; None where it knows all words, or where
        nothing is written down of what it knows.
        """
        if not self.description.words:
            return None
        return known_sounds.remark(caption, self.description.words, self.description.things)

    def make(
        self,
        caption: str,
        seconds: float | None = None,
        *,
        steps: int | None = None,
        guidance: float | None = None,
        seed: int = 0,
        start: Start | None = None,
    ) -> Sound:
        """The sound of a caption, one channel; the arguments are those of `generate`.

        Args:
            seconds: None: a piece, or as long as the recording to start from.
        """
        if seconds is None:
            seconds = self.seconds if start is None else min(start.sound.seconds, self.longest)
        return self.generate([caption], seconds, steps=steps, guidance=guidance, seed=seed, start=start)[0]

    def generate(
        self,
        captions: Sequence[str],
        seconds: float,
        *,
        steps: int | None = None,
        guidance: float | None = None,
        seed: int = 0,
        start: Start | None = None,
    ) -> list[Sound]:
        """See `aoide.models.tta.Described`; a caption sounds the same alone and beside others.

        Args:
            captions: at least one.
            seconds: how long each is, at most `longest`.
            steps: of the flow; None: as the model says, 10.
            guidance: how much further than without the caption; 1: as it says, in half the time.
            seed: of all that is drawn: the same seed, the same sound.
            start: a recording to go out from.

        Raises:
            UserError: a caption, a length or another number that cannot be; says which.
        """
        steps = self.steps if steps is None else steps
        guidance = self.guidance if guidance is None else guidance
        tta.check(self, captions, seconds)
        if not 1 <= steps <= MOST_STEPS:
            raise UserError(f"steps are 1 to {MOST_STEPS}, not {steps}")
        if not 1 <= guidance <= MOST_GUIDANCE:
            raise UserError(f"guidance is 1, as the caption says, to {MOST_GUIDANCE:g}, not {guidance:g}")
        return [self._one(caption, seconds, _Way(steps, guidance), seed, start) for caption in captions]

    def _one(self, caption: str, seconds: float, way: _Way, seed: int, start: Start | None) -> Sound:
        velocity = self._velocity(caption, way.guidance)
        samples, hop = round(seconds * self.sample_rate), self.description.mel.hop
        random = np.random.default_rng(seed)
        if start is None:
            mel = self._long(-(-samples // hop), velocity, way.steps, random)
            sound = self._vocoded(mel, samples)
        else:
            sound = self._edited(start, samples, velocity, way.steps, random)
        return Sound(sound, self.sample_rate, self.tags(caption))

    # -------------------------------------------------------------------------------------------------------- flow

    def _velocity(self, caption: str, guidance: float) -> Velocity:
        """The network with what steers it: the caption, and with guidance no caption beside it."""
        words, mask = captions.batch([caption])
        said, unsaid = self._network.say(words, mask)
        conditions = said if guidance == 1 else np.concatenate([said, unsaid])
        count = len(conditions)

        def velocity(x: np.ndarray, time: float) -> np.ndarray:
            found = self._network.go(np.repeat(x, count, 0), np.full(count, time, np.float32), conditions)
            return found if count == 1 else found[1:] + np.float32(guidance) * (found[:1] - found[1:])

        return velocity

    def _piece(
        self,
        velocity: Velocity,
        steps: int,
        random: np.random.Generator,
        known: np.ndarray | None = None,
        kept: np.ndarray | None = None,
        strength: float = 1.0,
    ) -> np.ndarray:
        """One piece: components (1, frames, values).

        Args:
            known: components to go out from, like the piece.
            kept: (frames,) from 0, made anew, to 1, as it is known.
            strength: how far back to noise it goes.
        """
        of = self.description
        noise = random.standard_normal((1, of.frames, self._values), np.float32)
        x: np.ndarray = noise
        places = times(steps, of.shift, 1 - strength)
        if known is not None and strength < 1:
            x = (np.float32(1 - places[0]) * noise + np.float32(places[0]) * known).astype(np.float32)
        share = None if kept is None or known is None else kept[None, :, None].astype(np.float32)
        for number, (time, after) in enumerate(pairwise(places.tolist())):
            if share is not None and known is not None:
                x = share * (np.float32(1 - time) * noise + np.float32(time) * known) + (1 - share) * x
            x = x + np.float32(after - time) * velocity(x, time)
            trace.report("flow/x", x, step=number, time=after)
        return x if share is None or known is None else share * known + (1 - share) * x

    @cached_property
    def _silence(self) -> np.ndarray:
        """The components of a piece of silence."""
        of = self.description
        return self._network.components(np.full((1, of.frames, of.mel.n_mels), of.floor, np.float32))

    @property
    def _values(self) -> int:
        return self._silence.shape[2]

    def _long(self, frames: int, velocity: Velocity, steps: int, random: np.random.Generator) -> np.ndarray:
        """So many frames or more, piece by piece: components (frames, values) of whole patches."""
        of = self.description
        whole = self._piece(velocity, steps, random)[0]
        shared = round(of.frames * SHARED) // of.patch * of.patch
        kept = (np.arange(of.frames) < shared).astype(np.float32)
        while len(whole) < frames:
            known = self._silence.copy()
            known[0, :shared] = whole[-shared:]
            whole = np.concatenate([whole, self._piece(velocity, steps, random, known, kept)[0, shared:]])
        return whole

    # ------------------------------------------------------------------------------------------------------ editing

    def _edited(
        self, start: Start, samples: int, velocity: Velocity, steps: int, random: np.random.Generator
    ) -> np.ndarray:
        """A variation, or a recording of which spans are made anew: (samples,)."""
        of, hop = self.description, self.description.mel.hop
        there = start.sound.mono().resample(self.sample_rate).samples
        if not np.isfinite(there).all():
            raise UserError("the recording to start from holds NaN or infinity")
        recording = np.zeros(samples, np.float32)
        recording[: min(samples, len(there))] = there[:samples]
        frames = -(-samples // hop)
        whole = -(-frames // of.patch) * of.patch
        mel = np.maximum(log_mel(recording, of.mel)[:frames], np.float32(of.floor))
        mel = np.pad(mel, ((0, whole - len(mel)), (0, 0)), constant_values=of.floor)
        fresh = fresh_frames(start.fresh, frames, of.mel.frame_rate, samples / self.sample_rate)
        places = np.pad(fresh, (0, whole - frames)).reshape(-1, of.patch).max(1).repeat(of.patch)
        known = self._network.components(mel[None])[0]
        made = self._through(known, places, velocity, steps, random, start.strength)
        sound = self._vocoded(made, samples)
        if not start.fresh:
            return sound
        share = np.interp(np.arange(samples), (np.arange(frames) + 0.5) * hop, _widened(fresh))
        fade = max(1, round(CROSSFADE * self.sample_rate))
        share = np.convolve(np.pad(share, fade, mode="edge"), np.ones(2 * fade + 1) / (2 * fade + 1), "valid")
        return (share * sound + (1 - share) * recording).astype(np.float32)

    def _through(
        self,
        known: np.ndarray,
        fresh: np.ndarray,
        velocity: Velocity,
        steps: int,
        random: np.random.Generator,
        strength: float,
    ) -> np.ndarray:
        """Components (frames, values), made anew piece by piece where they are fresh; each hears what is before."""
        of, made = self.description, known.astype(np.float32)
        shared, place = round(of.frames * SHARED) // of.patch * of.patch, 0
        while True:
            end = min(len(made), place + of.frames)
            piece = self._silence.copy()
            piece[0, : end - place] = made[place:end]
            wanted = np.zeros(of.frames, np.float32)
            wanted[: end - place] = fresh[place:end]
            if place:
                wanted[:shared] = 0
            if wanted.any():
                kept = None if wanted[: end - place].all() else 1 - wanted
                made[place:end] = self._piece(velocity, steps, random, piece, kept, strength)[0, : end - place]
            if end == len(made):
                return made
            place += of.frames - shared

    def _vocoded(self, components: np.ndarray, samples: int) -> np.ndarray:
        """The sound of components (frames, values), of which so many samples are taken; what lies at the mel's floor is
        silent, and what is too loud becomes softer.
        """
        of = self.description
        mel = self._network.mel(components[None])[0][: -(-samples // of.mel.hop)]
        silence, edge = np.log(of.mel.floor), of.floor + 1
        mel = np.where(mel < edge, silence + (mel - of.floor) * (edge - silence), mel)
        sound = self._vocoder.vocode(mel.astype(np.float32))[:samples]
        return sound * min(1.0, LOUDEST / max(float(np.abs(sound).max(initial=0.0)), 1e-9))


class Described(Sampling):
    """A model in a folder, that can be called.

    Args:
        folder: of an exported model, or the name of one in the package.
        threads: of one call.
        vocoder: the name or folder of a vocoder; None: the one that the model names.

    Raises:
        UserError: no such model, a broken one, or a vocoder of another mel.
    """

    def __init__(self, folder: str | os.PathLike[str], threads: int = 1, vocoder: str | None = None) -> None:
        from aoide import voices

        self.folder = voices.find(os.fspath(folder), kind=FILE)
        of = read(Description, self.folder, FILE)
        super().__init__(of, _Graphs(self.folder, of, threads), Vocoder(vocoder or of.vocoder, threads))

    @property
    def card(self) -> str:
        return (self.folder / "card.md").read_text("utf-8")


class _Graphs:
    """The network as four graphs."""

    def __init__(self, folder: Path, of: Description, threads: int) -> None:
        names = ("caption", "step", "mel", "components")
        self._open = {name: open_graph(folder / f"{name}.onnx", of.sha256[f"{name}.onnx"], threads) for name in names}

    def say(self, words: np.ndarray, word_mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        said, unsaid = self._open["caption"].run(["said", "unsaid"], {"words": words, "word_mask": word_mask})
        return said, unsaid

    def go(self, noisy: np.ndarray, time: np.ndarray, said: np.ndarray) -> np.ndarray:
        return self._open["step"].run(["velocity"], {"noisy": noisy, "time": time, "said": said})[0]

    def mel(self, components: np.ndarray) -> np.ndarray:
        return self._open["mel"].run(["mel"], {"components": components})[0]

    def components(self, mel: np.ndarray) -> np.ndarray:
        return self._open["components"].run(["components"], {"mel": mel})[0]


def times(steps: int, shift: float, start: float = 0.0) -> np.ndarray:
    """The times of the steps from `start` to 1, the small ones first where `shift` is above 1: (steps + 1,)."""
    noise = 1 - start
    left = np.linspace(noise / (shift - (shift - 1) * noise), 0, steps + 1)
    return 1 - shift * left / (1 + (shift - 1) * left)


def fresh_frames(spans: Sequence[tuple[float, float]], frames: int, rate: float, seconds: float) -> np.ndarray:
    """Which frames are made anew: (frames,), 1 where a span touches the frame; without spans all of them.

    Raises:
        UserError: a span after the end.
    """
    if not spans:
        return np.ones(frames, np.float32)
    fresh = np.zeros(frames, np.float32)
    for begin, end in spans:
        if begin >= seconds:
            raise UserError(f"nothing is made anew: {begin:g} s lies after the end, at {seconds:.2f} s")
        first = int(begin * rate)
        fresh[first : max(first + 1, round(end * rate))] = 1
    return fresh


def _widened(fresh: np.ndarray) -> np.ndarray:
    """A frame more at both ends of each span: what was made beside it was made to fit."""
    return np.maximum(fresh, np.maximum(np.pad(fresh[1:], (0, 1)), np.pad(fresh[:-1], (1, 0))))
