"""An exported vocoder: sound -> mel -> sound with onnxruntime and numpy, without torch, of any length.

    vocoder = Vocoder("universal-24k")
    vocoder.vocode(mel)                     # (frames, mels) -> (frames * hop,); some read F0 too: vocode(mel, f0)
    vocoder.resynth(Sound.load("in.wav"))   # copy-synthesis: what is left of a sound when only its mel is known

Its folder: `vocoder.json` (what it is), `vocoder.onnx` (the graph), `card.md`. The graph takes mel (batch, frames,
mels) float32 and gives, by kind:

    istft      magnitude and phase (batch, frames, bins), of which numpy makes the sound
    waveform   the audio (batch, samples) itself
    filters    of F0 (batch, frames) Hz as well, lh, theta, lr and phi (batch, frames, bins): how numpy filters pulses
               and noise

What runs through the sound or is drawn does not happen in the graph: a waveform vocoder with a source takes it beside
the mel, (batch, frames, numbers), as `generate/sources.py` makes it.
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
from aoide.generate.sources import F0_REACH, Maker
from aoide.models.vocoder import Source

FILE = "vocoder"
PIECE = 16.0  # seconds that are worked on at a time: many beside the context at both ends, which is worked on twice
KINDS = {"istft": ("magnitude", "phase"), "waveform": ("audio",), "filters": ("lh", "theta", "lr", "phi")}


@dataclass(frozen=True, kw_only=True, slots=True)
class Description(Packed):
    """What `vocoder.json` says."""

    kind: Literal["istft", "waveform", "filters"]
    mel: MelConfig = field(default_factory=MelConfig)
    context: int  # frames before and after a frame that its sound depends on
    polish: tuple[int, ...] = ()  # Griffin-Lim steps, for kind "istft": see synthesis.griffin_lim
    source: Source | None = None  # what the vocoder reads beside the mel

    @property
    def inputs(self) -> tuple[str, ...]:
        """Of the graph."""
        if self.source is None:
            return ("mel",)
        return ("mel", "f0" if self.kind == "filters" else "source")


class Vocoder:
    """A vocoder that can be called.

    Args:
        folder: of an exported vocoder, or the name of one in the package.
        threads: of one call.
        seed: of a vocoder that draws; each sound begins with it anew.

    Raises:
        UserError: no such vocoder, or a broken one.
    """

    def __init__(self, folder: str | os.PathLike[str], threads: int = 1, seed: int = 0) -> None:
        from aoide import voices

        self.folder = voices.find(os.fspath(folder), kind=FILE)
        self.description = read(Description, self.folder, FILE)
        self._graph = open_graph(self.folder / f"{FILE}.onnx", self.description.sha256[f"{FILE}.onnx"], threads)
        self.name, self.mel = self.description.name, self.description.mel
        self.sample_rate, self.seed = self.mel.sample_rate, seed
        source = self.description.source
        self.needs_f0 = source is not None and source.kind != "noise"

    def __repr__(self) -> str:
        return f"Vocoder({self.name}, {self.mel.n_mels} mels, {self.sample_rate} Hz)"

    @property
    def card(self) -> str:
        return (self.folder / "card.md").read_text("utf-8")

    def tags(self) -> dict[str, str]:
        return tags(f"resynthesised by the vocoder {self.name}")

    # ----------------------------------------------------------------------------------------------------- mel -> sound

    def vocode(self, mel: np.ndarray, f0: np.ndarray | None = None) -> np.ndarray:
        """The sound of a mel (frames, mels) of `self.mel`: (frames * hop,) float32.

        Args:
            f0: (frames,) Hz, 0 = unvoiced, for a vocoder that reads it (`needs_f0`).

        Raises:
            UserError: a mel of another shape, without frames, or with NaN or infinity in it; no F0 where it is needed,
                or one of another length.
        """
        return np.concatenate(list(self.stream([mel], None if f0 is None else [f0])))

    def stream(self, mels: Iterable[np.ndarray], f0s: Iterable[np.ndarray] | None = None) -> Iterator[np.ndarray]:
        """The same in pieces: equal to `vocode` of all mels, with all F0, end to end."""
        size, frames = round(PIECE * self.mel.frame_rate), 0
        if self.needs_f0 and f0s is None:
            raise UserError(f"{self.name} reads F0 as well: give it for each frame of the mel")
        rows = map(self._checked, mels) if f0s is None else map(self._with_f0, mels, f0s)
        for sound in in_chunks(self._with_source(rows), self._sound, size, self.description.context):
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

    def _with_f0(self, mel: np.ndarray, f0: np.ndarray) -> np.ndarray:
        """Mel and F0 side by side, (frames, mels + 1)."""
        mel, f0 = self._checked(mel), np.asarray(f0, np.float32)
        if f0.shape != mel.shape[:1] or not np.isfinite(f0).all():
            raise UserError(f"a mel of {len(mel)} frames needs as many numbers of F0, in Hz, not {f0.shape}")
        return np.concatenate([mel, f0[:, None]], axis=1) if self.needs_f0 else mel

    def _with_source(self, rows: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """Rows of mel and F0, where it is read, -> of mel and source, which goes on from piece to piece."""
        form, mels = self.description.source, self.mel.n_mels
        if form is None:
            yield from rows
            return
        maker = Maker(form, self.mel.frame_rate, self.sample_rate, self.seed)
        for block in rows:
            f0 = block[:, mels] if self.needs_f0 else np.zeros(len(block), np.float32)
            yield np.concatenate([block[:, :mels], maker.rows(f0)], axis=1)

    def _sound(self, rows: np.ndarray) -> np.ndarray:
        """rows (frames, mels + numbers of the source) -> (frames * hop,)."""
        of, hop, mels = self.description, self.mel.hop, self.mel.n_mels
        mel, source = np.ascontiguousarray(rows[:, :mels]), rows[:, mels:]
        feeds = {"mel": mel[None]}
        if of.source is not None:
            feeds[of.inputs[1]] = np.ascontiguousarray(source[:, 1] if of.kind == "filters" else source)[None]
        outputs = [value[0] for value in self._graph.run(list(KINDS[of.kind]), feeds)]
        if of.kind == "waveform":
            return outputs[0]
        padding = self.mel.padding
        if of.kind == "istft":
            return synthesis.griffin_lim(outputs[0], outputs[1], hop=hop, padding=padding, polish=of.polish)
        centre, f0, noise = float(source[0, 0]), source[:, 1], source[:, 2:].ravel()
        return synthesis.filtered(outputs, f0, centre, noise, hop=hop, sample_rate=self.sample_rate, padding=padding)

    # --------------------------------------------------------------------------------------------------- sound -> sound

    def resynth(self, sound: Sound) -> Sound:
        """Copy-synthesis: the mel of a sound made sound again; one channel at the vocoder's rate, as long as before."""
        samples = sound.mono().resample(self.sample_rate).samples
        made = np.concatenate(list(self.copy([samples])))
        return Sound(made[: len(samples)], self.sample_rate, self.tags())

    def copy(self, blocks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """Copy-synthesis of samples (samples,) at the vocoder's rate, in pieces and in constant memory.

        The last piece fills up the last hop. F0, where it is read, is what a tracker finds in the piece with a second
        around it.

        Raises:
            UserError: NaN or infinity in the sound.
            MissingExtra: a vocoder that reads F0, and swift-f0 is not installed.
        """
        mel = self.mel
        reach = -(-mel.n_fft // (2 * mel.hop))  # frames whose window a cut would touch
        if self.needs_f0:
            reach += round(F0_REACH * mel.frame_rate)
        size = round(PIECE * mel.frame_rate)
        features = in_chunks(in_rows(blocks, mel.hop), self._features, size, reach)
        yield from in_chunks(self._with_source(features), self._sound, size, self.description.context)

    def _features(self, rows: np.ndarray) -> np.ndarray:
        """rows (frames, hop) of samples -> (frames, mels), and F0 as one more column where it is read."""
        samples = rows.ravel()
        if not np.isfinite(samples).all():
            raise UserError("the sound holds NaN or infinity")
        mel = log_mel(samples, self.mel)
        if not self.needs_f0:
            return mel
        from aoide.audio import pitch

        f0 = pitch.track(samples, self.sample_rate, self.mel.hop, "swift", first_centre=self.mel.first_centre)
        return np.concatenate([mel, f0[:, None]], axis=1)
