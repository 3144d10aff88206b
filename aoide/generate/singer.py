"""An exported singer: a score -> singing, without torch.

    singer = Singer("voices/en-heart-song")
    singer.sing(Score.load("song.musicxml")).save("song.wav")
    for sound in singer.stream(score):  # phrase by phrase, in constant memory
        play(sound)

The folder holds `singer.onnx`, `singer.json` (`Description`) and `card.md`. The graph takes

    tokens     (1, tokens) int64     phonemes, 0 = the silence at both ends
    durations  (1, tokens) int64     frames of each; 0 for marks, which only tell their neighbours something
    f0         (1, frames) float32   Hz, 0 = unvoiced

and gives what `synthesis.sourcefilter` makes sound of: lh, theta, lr, phi (1, frames, bins), and `drawn` (1, frames),
where it is above a half the phases phi are drawn by chance: held breath has none that could be learned.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from aoide import trace
from aoide.audio.sound import Sound
from aoide.config import UserError, near
from aoide.generate import sing, synthesis
from aoide.generate.packed import Packed, open_graph, read, tags
from aoide.generate.sing import Phrase
from aoide.score import Curve, Finding, Phoneme, Score
from aoide.text import lyrics
from aoide.version import __version__

FILE = "singer"
INPUTS = ("tokens", "durations", "f0")
OUTPUTS = ("lh", "theta", "lr", "phi", "drawn")
LOUDEST = 0.98  # of full scale: a louder phrase is sung softer
FADE = 0.005  # seconds, at both ends of a phrase


@dataclass(frozen=True, kw_only=True, slots=True)
class Description(Packed):
    """What `singer.json` says."""

    language: str  # of the lyrics: en, ja, zh
    sample_rate: int  # Hz
    hop: int  # samples between frames
    symbols: dict[str, int]  # phoneme -> token
    unvoiced: tuple[str, ...]  # phonemes without F0
    low: int  # the range, MIDI numbers
    high: int
    rest: str = ""  # the mark for silence inside a phrase; "" = that of its ends
    end: tuple[str, ...] = ()  # what follows a phrase unheard: a speaking voice lets the last syllable of a text fade
    between: str = ""  # the mark between words; "" = none
    stress: str = ""  # the mark of a stressed syllable, before its vowel
    stressed: tuple[str, ...] = ()  # vowels that always get it
    gain: float = 1.0  # of all that is sung
    max_tokens: int = 160  # longer phrases are sung in parts

    def tags(self, seed: int = 0) -> dict[str, str]:
        """What files with this singer say about their origin."""
        graph = self.sha256[f"{FILE}.onnx"][:12]
        return tags(f"singer: {self.name}; aoide: {__version__}; graph: {graph}; seed: {seed}")


@dataclass(frozen=True, slots=True, eq=False)
class Performance:
    """What was sung.

    Attributes:
        sound: as long as the score.
        score: with the phonemes as they were sung and the F0 curve: what a .ds file holds, to be sung again.
        findings: what is odd in the score, with bar and beat.
        f0: (frames,) Hz, 0 = unvoiced, `frame_rate` a second.
    """

    sound: Sound
    score: Score
    findings: list[Finding]
    f0: np.ndarray
    frame_rate: float


class Singer:
    """A singer from its folder.

    Args:
        folder: of an exported singer, or the name of one in the package.
        threads: of one call.

    Raises:
        UserError: no such singer, or a broken one.
    """

    def __init__(self, folder: str | os.PathLike[str], threads: int = 1) -> None:
        from aoide import voices

        self.folder = voices.find(os.fspath(folder), kind=FILE)
        self.description = read(Description, self.folder, FILE)
        self._graph = open_graph(self.folder / f"{FILE}.onnx", self.description.sha256[f"{FILE}.onnx"], threads)
        self.name, self.sample_rate = self.description.name, self.description.sample_rate
        self.frame_rate = self.sample_rate / self.description.hop

    def __repr__(self) -> str:
        return f"Singer({self.name}, {self.description.language}, {self.sample_rate} Hz)"

    @property
    def card(self) -> str:
        return (Path(self.folder) / "card.md").read_text("utf-8")

    def tags(self, seed: int = 0) -> dict[str, str]:
        """What files with this singer say about their origin."""
        return self.description.tags(seed)

    # ------------------------------------------------------------------------------------------------------- singing

    def sing(self, score: Score, *, transpose: int = 0, seed: int = 0) -> Sound:
        """Sings a score: one channel, as long as the score.

        Args:
            transpose: semitones.
            seed: of the small fluctuations of pitch, and of breath.

        Raises:
            UserError: nothing to sing, lyrics in another language, phonemes that the voice does not have, or a note
                that leaves the range of MIDI.
        """
        return self.perform(score, transpose=transpose, seed=seed).sound

    def perform(self, score: Score, *, transpose: int = 0, seed: int = 0) -> Performance:
        """As `sing`, and tells what was sung when and how high, and what is odd in the score."""
        score, phonemes, f0, findings = self._prepared(score, transpose, seed)
        trace.report("f0", f0)
        samples = np.concatenate(list(self._sounds(score, phonemes, f0, seed)))
        sung = replace(
            score,
            phonemes=tuple(phonemes),
            language=self.description.language,
            curves=(
                *(curve for curve in score.curves if curve.name != "f0"),
                Curve(name="f0", start=0.5 / self.frame_rate, step=1 / self.frame_rate, values=f0),
            ),
        )
        voiced = self._voiced(phonemes, f0)
        return Performance(Sound(samples, self.sample_rate, self.tags(seed)), sung, findings, voiced, self.frame_rate)

    def stream(self, score: Score, *, transpose: int = 0, seed: int = 0) -> Iterator[Sound]:
        """As `sing`, phrase by phrase, each as soon as it is ready; together they are the samples that `sing` gives."""
        score, phonemes, f0, _ = self._prepared(score, transpose, seed)
        for samples in self._sounds(score, phonemes, f0, seed):
            yield Sound(samples, self.sample_rate, self.tags(seed))

    def fitting(self, score: Score) -> int:
        """The smallest transposition that brings all notes into the voice's range; 0 where none is needed or helps."""
        return sing.fitting(score, self.description.low, self.description.high)

    def _prepared(
        self, score: Score, transpose: int, seed: int
    ) -> tuple[Score, list[Phoneme], np.ndarray, list[Finding]]:
        """The transposed score, its phonemes with times, F0 for each frame, and what is odd."""
        of = self.description
        score = score.transpose(transpose) if transpose else score
        sing.expect_language(score, of.language, self.name)
        findings = lyrics.check(score, of.language, low=of.low, high=of.high)
        phonemes = [p for p in lyrics.plan(score, of.language) if p.symbol in of.symbols or not sing.silent(p)]
        if not any(note.sung and note.length > 0 for note in score.notes) or not phonemes:
            raise UserError("nothing to sing: the score has no notes")
        for phoneme in phonemes:
            if phoneme.symbol not in of.symbols:
                guess = near(phoneme.symbol, of.symbols) or f" it has {' '.join(sorted(of.symbols))}"
                where = f"{phoneme.start:.2f} s: "
                raise UserError(f"{where}{self.name} has no phoneme {phoneme.symbol!r};{guess}")
        frames = int(np.ceil(max(score.end, phonemes[-1].end) * self.frame_rate - 1e-6))
        times = (np.arange(frames) + 0.5) / self.frame_rate
        return score, phonemes, sing.pitch(score, times, seed), findings

    def _voiced(self, phonemes: Sequence[Phoneme], f0: np.ndarray) -> np.ndarray:
        """F0 (frames,) where a voiced phoneme is sung, else 0."""
        voiced = np.zeros(len(f0), bool)
        for phoneme in phonemes:
            if phoneme.symbol not in self.description.unvoiced and not sing.silent(phoneme):
                voiced[round(phoneme.start * self.frame_rate) : round(phoneme.end * self.frame_rate)] = True
        return np.where(voiced, f0, 0.0)

    def _sounds(self, score: Score, phonemes: Sequence[Phoneme], f0: np.ndarray, seed: int) -> Iterator[np.ndarray]:
        """The samples of phrase after phrase and of the silence between."""
        hop, done = self.description.hop, 0
        voiced = self._voiced(phonemes, f0).astype(np.float32)
        for number, phrase in enumerate(sing.phrases(score, phonemes, self.frame_rate, len(f0), self.description)):
            if phrase.start > done:
                yield np.zeros((phrase.start - done) * hop, np.float32)
            own = voiced[phrase.start : phrase.end]
            yield self._phrase(phrase, own, np.random.default_rng([seed, number]))
            done = phrase.end
        if done < len(f0):
            yield np.zeros((len(f0) - done) * hop, np.float32)

    def _phrase(self, phrase: Phrase, f0: np.ndarray, random: np.random.Generator) -> np.ndarray:
        """The sound of one phrase: (frames * hop,)."""
        of = self.description
        parts = []
        for part in phrase.parts(of.max_tokens):
            inside = slice(part.start - phrase.start, part.end - phrase.start)
            feeds = {
                "tokens": part.tokens[None],
                "durations": part.durations[None],
                "f0": np.ascontiguousarray(f0[inside])[None],
            }
            outputs = [value[0] for value in self._graph.run(list(OUTPUTS), feeds)]
            parts.append([value[part.before : len(value) - part.behind] for value in outputs])
        lh, theta, lr, phi, drawn = (np.concatenate(pieces) for pieces in zip(*parts, strict=True))
        if trace.active("phrase"):
            trace.report("phrase", phrase.start / self.frame_rate)
            for name, value in (("lh", lh), ("theta", theta), ("lr", lr), ("phi", phi), ("phrase/f0", f0)):
                trace.report(name, value)
        held = drawn > 0.5
        phi[held] = random.uniform(-np.pi, np.pi, (int(held.sum()), phi.shape[1]))
        samples = synthesis.sourcefilter((lh, theta, lr, phi), f0, hop=of.hop, sample_rate=of.sample_rate)
        samples *= np.float32(min(of.gain, LOUDEST / max(float(np.abs(samples).max(initial=0.0)), 1e-9)))
        fade = min(round(FADE * of.sample_rate), len(samples))
        ramp = np.linspace(0, 1, fade, endpoint=False, dtype=np.float32)
        samples[:fade] *= ramp
        samples[len(samples) - fade :] *= ramp[::-1]
        return samples
