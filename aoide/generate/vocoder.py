"""An exported vocoder: sound -> mel -> sound with onnxruntime and numpy, without torch, of any length.

    vocoder = Vocoder("universal-24k")
    vocoder.vocode(mel)                     # (frames, mels) -> (frames * hop,)
    vocoder.resynth(Sound.load("in.wav"))   # copy-synthesis: what is left of a sound when only its mel is known

Its folder: `vocoder.json` (what it is), `vocoder.onnx` (the graph), `card.md`. The graph takes mel (batch, frames,
mels) float32 and gives, by kind, magnitude and phase (batch, frames, bins), of which numpy makes the sound, or the
audio (batch, samples) itself.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from aoide.audio.mel_config import MelConfig
from aoide.audio.sound import Sound
from aoide.audio.spectrum import log_mel
from aoide.config import UserError
from aoide.generate import synthesis
from aoide.generate.chunks import in_chunks, in_rows
from aoide.generate.packed import Packed, open_graph, read, tags

FILE = "vocoder"
PIECE = 4.0  # seconds that are worked on at a time
KINDS = {"istft": ("magnitude", "phase"), "waveform": ("audio",)}


@dataclass(frozen=True, kw_only=True, slots=True)
class Description(Packed):
    """What `vocoder.json` says."""

    kind: Literal["istft", "waveform"]
    mel: MelConfig = field(default_factory=MelConfig)
    context: int  # frames before and after a frame that its sound depends on
    polish: int = 0  # Griffin-Lim steps, for kind "istft"


class Vocoder:
    """A vocoder that can be called.

    Args:
        folder: of an exported vocoder, or the name of one in the package.
        threads: of one call.

    Raises:
        UserError: no such vocoder, or a broken one.
    """

    def __init__(self, folder: str | os.PathLike[str], threads: int = 1) -> None:
        from aoide import voices

        self.folder = voices.find(os.fspath(folder), kind=FILE)
        self.description = read(Description, self.folder, FILE)
        self._graph = open_graph(self.folder / f"{FILE}.onnx", self.description.sha256[f"{FILE}.onnx"], threads)
        self.name, self.mel = self.description.name, self.description.mel
        self.sample_rate = self.mel.sample_rate

    def __repr__(self) -> str:
        return f"Vocoder({self.name}, {self.mel.n_mels} mels, {self.sample_rate} Hz)"

    @property
    def card(self) -> str:
        return (self.folder / "card.md").read_text("utf-8")

    def tags(self) -> dict[str, str]:
        return tags(f"resynthesised by the vocoder {self.name}")

    # ----------------------------------------------------------------------------------------------------- mel -> sound

    def vocode(self, mel: np.ndarray) -> np.ndarray:
        """The sound of a mel (frames, mels) of `self.mel`: (frames * hop,) float32.

        Raises:
            UserError: a mel of another shape, without frames, or with NaN or infinity in it.
        """
        return np.concatenate(list(self.stream([mel])))

    def stream(self, mels: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """The same in pieces: equal to `vocode` of all mels end to end."""
        size, context = round(PIECE * self.mel.frame_rate), self.description.context
        frames = 0
        for sound in in_chunks(map(self._checked, mels), self._sound, size, context):
            frames += len(sound)
            yield sound
        if not frames:
            raise UserError("a mel without frames has no sound")

    def _checked(self, mel: np.ndarray) -> np.ndarray:
        mel = np.asarray(mel)
        if mel.ndim != 2 or mel.shape[1] != self.mel.n_mels:
            raise UserError(f"{self.name} reads (frames, {self.mel.n_mels}) of {self.mel}, not {mel.shape}")
        if not np.isfinite(mel).all():
            raise UserError("the mel holds NaN or infinity")
        return mel.astype(np.float32, copy=False)

    def _sound(self, mel: np.ndarray) -> np.ndarray:
        of = self.description
        outputs = [value[0] for value in self._graph.run(list(KINDS[of.kind]), {"mel": mel[None]})]
        if of.kind == "waveform":
            return outputs[0]
        hop, padding = self.mel.hop, self.mel.padding
        return synthesis.griffin_lim(outputs[0], outputs[1], hop=hop, padding=padding, steps=of.polish)

    # --------------------------------------------------------------------------------------------------- sound -> sound

    def resynth(self, sound: Sound) -> Sound:
        """Copy-synthesis: the mel of a sound made sound again; one channel at the vocoder's rate, as long as before."""
        samples = sound.mono().resample(self.sample_rate).samples
        made = np.concatenate(list(self.copy([samples])))
        return Sound(made[: len(samples)], self.sample_rate, self.tags())

    def copy(self, blocks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """Copy-synthesis of samples (samples,) at the vocoder's rate, in pieces and in constant memory.

        The last piece fills up the last hop.
        """
        mel = self.mel
        reach = -(-mel.n_fft // (2 * mel.hop))  # frames whose window a cut would touch
        size, context = round(PIECE * mel.frame_rate), self.description.context + reach
        yield from in_chunks(in_rows(blocks, mel.hop), self._again, size, context)

    def _again(self, rows: np.ndarray) -> np.ndarray:
        """rows (frames, hop) of samples -> (frames * hop,)."""
        if not np.isfinite(rows).all():
            raise UserError("the sound holds NaN or infinity")
        return self._sound(log_mel(rows.ravel(), self.mel))
