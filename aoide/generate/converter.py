"""An exported converter: one voice's singing or speech in another voice, without torch, of any length.

    converter = Converter("convert-24k")
    converter.convert(Sound.load("in.wav"), "heart").save("out.wav")
    converter.convert(sound, {"heart": 0.5, "f001": 0.5}, transpose=-12)

Its folder: `converter.json` (what it is), `content.onnx`, `mel.onnx`, `card.md`, and perhaps `bank.npz`, frames that
the singers sang (`generate/retrieval.py`). The first graph takes mel (1, frames, stride * mels), some frames side by
side, and their f0 (1, frames, stride), and gives their content, what is said, side by side as well. The second takes
content (1, frames, dim), f0 (1, frames) Hz with 0 = unvoiced, energy (1, frames) and mixture (1, frames, singers),
shares of the singers, and gives the mel in their voice, of which a vocoder makes the sound. F0 and loudness are those
of the source, so the song is the same; loudness frame by frame, or over a time (`loudness` in converter.json), so that
how loud each sound is beside the next is as the singer has it.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from aoide import trace
from aoide.audio import pitch
from aoide.audio.dynamics import over_time
from aoide.audio.mel_config import MelConfig
from aoide.audio.sound import Sound
from aoide.audio.spectrum import log_mel, transform, window_of
from aoide.config import UserError, near
from aoide.generate import retrieval as frames
from aoide.generate.convert import Heard, Source, Task, Transpose, findings, joined, parts, semitones, survey
from aoide.generate.packed import Packed, checked, open_graph, read, tags
from aoide.generate.vocoder import Vocoder
from aoide.voices import DEFAULT_VOCODER

FILE = "converter"
LOUDER = 1.4  # nats, 12 dB, by which a frame that came out too quiet is raised at most
QUIET = 2.5  # nats below a voice's loudness down to which a frame counts as its sound
ENOUGH, HALF = 120.0, 1.6  # seconds of content that are heard for its mean, and after which half of it is believed
EDGE = np.hanning(13)[1:-1] / np.hanning(13).sum()  # frames over which what is done to a voice begins and ends
SILENCE = 1e-4  # root mean square of a hop, -80 dB, below which nobody sings
KNEE = 0.9  # of full scale, above which what comes out is bent, not cut off

Singers = str | Mapping[str, float] | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """A singer of a converter."""

    f0: float  # Hz, the median of the singer's own F0
    level: float  # natural logarithm of the root mean square of a hop, the median of the singer's own voiced ones
    sung: float | None = None  # Hz, the median when the singer sings, of one whose f0 is that of speech
    content: tuple[float, ...] = ()  # the mean of the content of what the singer says; (): it is left as it is heard
    about: str = ""  # who it is, for people


@dataclass(frozen=True, kw_only=True, slots=True)
class Description(Packed):
    """What `converter.json` says."""

    mel: MelConfig = field(default_factory=MelConfig)
    content: int  # values a frame
    stride: int = 1  # frames that the content graph hears at once
    context: int  # frames before and after a frame that its mel depends on
    energy: Literal["bands", "spectrum"] = "bands"  # of what the length of a frame is taken (aoide/audio/energy.py)
    loudness: float = 0.0  # seconds, deviation of the window over which it is as loud as its source; 0: each frame
    singers: dict[str, Target]  # in the order of the table
    vocoder: str = DEFAULT_VOCODER
    retrieval: float = 0.0  # by how much frames take the colour of the singer's own in bank.npz, 0 to 1, unless told

    def __post_init__(self) -> None:
        if not self.singers:
            raise ValueError("a converter has one singer or more")
        if any(len(of.content) not in (0, self.content) for of in self.singers.values()):
            raise ValueError(f"the content of a singer has {self.content} values, or none")
        if not self.loudness >= 0:
            raise ValueError(f"loudness is 0 or more seconds, got {self.loudness}")
        if not 0 <= self.retrieval <= 1:
            raise ValueError(f"retrieval is from 0 to 1, got {self.retrieval}")


class Converter:
    """A converter that can be called.

    Args:
        folder: of an exported converter, or the name of one in the package.
        threads: of one call.
        vocoder: the name or folder of a vocoder; None: the one that the converter names.

    Raises:
        UserError: no such converter, a broken one, or a vocoder of another mel.
    """

    def __init__(self, folder: str | os.PathLike[str], threads: int = 1, vocoder: str | None = None) -> None:
        from aoide import voices

        self.folder = voices.find(os.fspath(folder), kind=FILE)
        self.description = of = read(Description, self.folder, FILE)
        self._content, self._mel = (
            open_graph(self.folder / file, of.sha256[file], threads) for file in ("content.onnx", "mel.onnx")
        )
        self.name, self.singers, self.mel = of.name, tuple(of.singers), of.mel
        self._banks: dict[str, frames.Bank] = {}
        if frames.FILE in of.sha256:
            checked(self.folder / frames.FILE, of.sha256[frames.FILE])
            self._banks = frames.load(self.folder / frames.FILE, of.mel.n_mels)
        self.sample_rate = of.mel.sample_rate
        self._vocoder = Vocoder(vocoder or of.vocoder, threads)
        if self._vocoder.mel != of.mel:
            raise UserError(f"{self.name} gives {of.mel}, but the vocoder {self._vocoder.name} reads another mel")

    def __repr__(self) -> str:
        return f"Converter({self.name}, {', '.join(self.singers)}, {self.sample_rate} Hz)"

    @property
    def card(self) -> str:
        return (self.folder / "card.md").read_text("utf-8")

    def tags(self, singer: Singers = None) -> dict[str, str]:
        """What a converted sound says about itself."""
        shares = zip(self.singers, self._shares(singer), strict=True)
        voice = " and ".join(name for name, share in shares if share > 0)
        return tags(f"voice converted to {voice} by {self.name}")

    # ------------------------------------------------------------------------------------------------------------ sound

    def convert(
        self,
        sound: Sound,
        singer: Singers = None,
        *,
        transpose: Transpose = "auto",
        f0: pitch.Method = "swift",
        task: Task = "svc",
        retrieval: float | None = None,
        told: Callable[[str], object] = lambda _: None,
    ) -> Sound:
        """A sound in another voice: one channel at `sample_rate`, as long as before.

        Args:
            singer: a name of `singers`, or shares of several; None: the first.
            transpose: semitones, or "auto": see `aoide.generate.convert.semitones`.
            f0: the tracker of F0, see `aoide.audio.pitch`.
            task: "svc" keeps to whole semitones, and to the height at which the singer speaks or sings, whichever is
                nearer; "vc" (speech) is as high as the singer speaks, to the cent.
            retrieval: by how much each frame takes the colour of the most alike one that the singer sang, 0 to 1:
                nearer to the voice, and rougher; None: as the converter's folder says. See `generate/retrieval.py`.
            told: is called with a line for each thing that is odd: see `aoide.generate.convert.findings`.

        Raises:
            UserError: a singer that is not there, NaN in the sound, or a transposition of more than four octaves.
            MissingExtra: the tracker is not installed.
        """
        settings: dict[str, Any] = {"transpose": transpose, "f0": f0, "task": task, "retrieval": retrieval}
        pieces = list(self.stream(Source.of(sound), singer, **settings, told=told))
        samples = np.concatenate([np.zeros(0, np.float32), *pieces])
        return Sound(samples, self.sample_rate, self.tags(singer))

    def stream(
        self,
        source: Source,
        singer: Singers = None,
        *,
        transpose: Transpose = "auto",
        f0: pitch.Method = "swift",
        task: Task = "svc",
        retrieval: float | None = None,
        told: Callable[[str], object] = lambda _: None,
    ) -> Iterator[np.ndarray]:
        """The same in pieces, in constant memory; other arguments and errors as of `convert`."""
        shares, amount = self._shares(singer), self._amount(retrieval)
        heard = survey(source, self.sample_rate, self.mel.hop, f0)
        for line in findings(source, heard):
            told(line)
        targets = self.description.singers.values()
        level = sum(share * of.level for share, of in zip(shares, targets, strict=True))
        factor = 2 ** (semitones(transpose, task, heard.median, self.height(shares, task, heard.median)) / 12)
        gain = 0.0 if heard.silent else level - heard.loudness
        shift = self._shift(source, heard, shares, gain)
        yield from self._stream(source, heard, shares, factor, gain, amount, shift)

    def height(self, shares: np.ndarray, task: Task, source: float | None) -> float:
        """Hz, to which the median of a source's F0 is brought; `source` is that median, None where there is none."""
        targets = self.description.singers.values()
        spoken, sung = (
            math.exp(sum(share * math.log(hz) for share, hz in zip(shares, heights, strict=True)))
            for heights in ([of.f0 for of in targets], [of.sung or of.f0 for of in targets])
        )
        if task == "vc" or source is None:
            return spoken
        return min(spoken, sung, key=lambda hz: abs(math.log(hz / source)))

    def _stream(
        self,
        source: Source,
        heard: Heard,
        shares: np.ndarray,
        factor: float,
        gain: float,
        amount: float = 0.0,
        shift: np.ndarray | None = None,
    ) -> Iterator[np.ndarray]:
        def work(samples: np.ndarray, first: int) -> np.ndarray:
            level = np.sqrt(np.square(samples.reshape(-1, self.mel.hop), dtype=np.float64).mean(1))
            if level.max() < SILENCE:
                return np.zeros_like(samples)
            f0 = np.where(level > SILENCE, heard.f0_of(first, len(level)), 0.0).astype(np.float32)
            moved = None if shift is None else softened(sounding(level, heard))[:, None] * shift
            mel = self.said(samples, f0, shares, factor, gain, amount, moved)
            return limited(self._vocoder.vocode(mel))

        yield from joined(source, heard.starts, self.sample_rate, self.mel.hop, work)

    def _shift(self, source: Source, heard: Heard, shares: np.ndarray, gain: float) -> np.ndarray | None:
        """(dim,) that brings the mean of a source's content to the singer's; None where that is not known, or silent.

        Something of a voice is left in the content, in all of it alike. The shorter the source, the more of its mean
        is what it happens to say, so the less is believed of it.
        """
        targets = self.description.singers.values()
        centres = [share * np.array(of.content) for share, of in zip(shares, targets, strict=True) if share]
        if heard.silent or not all(len(centre) for centre in centres):
            return None
        total, count, hop = np.zeros(self.description.content), 0, self.mel.hop
        for part in parts(source, self.sample_rate, heard.starts, around=0):
            samples = np.pad(part.samples, (0, -len(part.samples) % hop))
            span = slice(part.start // hop, (part.start + len(samples)) // hop)
            loud = sounding(heard.level[span], heard)
            if loud.any():
                mel = np.maximum(log_mel(samples, self.mel) + np.float32(gain), np.float32(self.mel.silence))
                total += self.content(mel, heard.f0[span].astype(np.float32))[loud].sum(0)
                count += int(loud.sum())
            if count > ENOUGH * self.mel.frame_rate:
                break
        belief = count / (count + HALF * self.mel.frame_rate)
        return np.asarray(belief * (np.sum(centres, axis=0) - total / max(1, count)), np.float32)

    # -------------------------------------------------------------------------------------------------------------- mel

    def said(
        self,
        samples: np.ndarray,
        f0: np.ndarray,
        shares: np.ndarray,
        factor: float = 1.0,
        gain: float = 0.0,
        amount: float = 0.0,
        shift: np.ndarray | None = None,
    ) -> np.ndarray:
        """The mel (frames, mels) of what samples (frames * hop,) say, in the voice of `shares`.

        Args:
            f0: (frames,) Hz of the source, 0 = unvoiced.
            shares: (singers,), see `_shares`.
            factor: of F0.
            gain: nats by which the source is made louder for the networks; the mel is as loud as the source was.
            amount: of retrieval, see `convert`.
            shift: (frames, dim) that is added to the content.
        """
        of = self.description
        source = log_mel(samples, of.mel)
        heard = np.maximum(source + np.float32(gain), np.float32(of.mel.silence))
        energy = self._energy(samples, source) * math.exp(gain)
        content = self.content(heard, f0)
        if shift is not None:
            content = content + shift.astype(np.float32)
        trace.report("content", content)
        feeds = {
            "content": content[None],
            "f0": (f0[None] * factor).astype(np.float32),
            "energy": energy[None].astype(np.float32),
            "mixture": np.tile(shares.astype(np.float32), (1, len(f0), 1)),
        }
        mel = self._mel.run(["mel"], feeds)[0][0]
        for name, share in zip(self.singers, amount * shares, strict=True):
            if share and name in self._banks:
                mel = mel + share * self._banks[name].nearer(mel, feeds["f0"][0], of.mel)
        return as_loud(mel, source, gain, of.mel.silence, of.loudness * of.mel.frame_rate)

    def content(self, mel: np.ndarray, f0: np.ndarray) -> np.ndarray:
        """mel (frames, mels), f0 (frames,) Hz -> what is said (frames, dim)."""
        frames, stride = len(mel), self.description.stride
        filled = np.pad(mel, ((0, -frames % stride), (0, 0)), constant_values=np.float32(self.mel.silence))
        feeds = {
            "mel": filled.reshape(1, len(filled) // stride, -1),
            "f0": np.pad(f0, (0, -frames % stride)).reshape(1, len(filled) // stride, stride).astype(np.float32),
        }
        return self._content.run(["content"], feeds)[0].reshape(-1, self.description.content)[:frames]

    def _energy(self, samples: np.ndarray, mel: np.ndarray) -> np.ndarray:
        """(frames,): the length of each frame, of what the model was trained with."""
        if self.description.energy == "bands":
            return np.linalg.norm(np.exp(mel), axis=1)
        of = self.mel
        left = of.n_fft // 2 if of.padding == "center" else (of.n_fft - of.hop) // 2
        padded = np.pad(samples, (left, of.n_fft - left), mode="reflect")
        return np.linalg.norm(
            transform(padded, of.n_fft, of.hop, window_of("hann", of.win, of.n_fft), len(mel)), axis=1
        )

    def _amount(self, retrieval: float | None) -> float:
        """Of retrieval, checked."""
        if retrieval is None:
            return self.description.retrieval
        if not 0 <= retrieval <= 1:
            raise UserError(f"retrieval: 0 to 1, got {retrieval:g}")
        if retrieval and not self._banks:
            raise UserError(f"{self.name} has no frames of its singers to retrieve (bank.npz); leave retrieval out")
        return retrieval

    def _shares(self, singer: Singers) -> np.ndarray:
        """(singers,) float32 that add up to 1."""
        wanted = {self.singers[0]: 1.0} if singer is None else {singer: 1.0} if isinstance(singer, str) else singer
        for name, share in wanted.items():
            if name not in self.singers:
                guess = near(name, self.singers) or f" there is {', '.join(self.singers)}"
                raise UserError(f"{self.name} has no singer {name!r};{guess}")
            if not 0 <= share < math.inf:
                raise UserError(f"the share of {name} is {share:g}: 0 or more")
        shares = np.array([wanted.get(name, 0.0) for name in self.singers], np.float32)
        if shares.sum() <= 0:
            raise UserError("a mixture of singers needs a share above 0")
        return shares / shares.sum()


def sounding(level: np.ndarray, heard: Heard) -> np.ndarray:
    """Which frames, of so much root mean square (frames,), are sound of the voice and not a pause: (frames,) bool."""
    return level > math.exp(heard.loudness - QUIET)


def softened(where: np.ndarray) -> np.ndarray:
    """(frames,) bool -> 0 to 1, which goes from one to the other over EDGE."""
    return np.convolve(where, EDGE)[len(EDGE) // 2 :][: len(where)]


def as_loud(mel: np.ndarray, source: np.ndarray, gain: float, silence: float, deviation: float = 0.0) -> np.ndarray:
    """A mel as loud as its source, which was heard with `gain` nats more, over a window of `deviation` frames.

    What came out too quiet is raised by LOUDER at most: a network that leaves a frame out has its reasons.
    """
    lengths = (np.linalg.norm(np.exp(x), axis=1) for x in (source, mel))
    wanted, found = (np.log(over_time(length, deviation) + 1e-6) for length in lengths)
    change = np.minimum(wanted - found, LOUDER - gain)
    return np.maximum(mel + change[:, None], np.float32(silence)).astype(np.float32)


def limited(samples: np.ndarray) -> np.ndarray:
    """Samples within full scale: what is above KNEE is bent, so that a peak stays a peak."""
    over = np.abs(samples) - KNEE
    bent = KNEE + (1 - KNEE) * np.tanh(np.maximum(over, 0.0) / (1 - KNEE))
    return np.where(over > 0, np.copysign(bent, samples), samples).astype(np.float32)
