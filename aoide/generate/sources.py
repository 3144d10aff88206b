"""The sources of exported vocoders in numpy: what runs through a whole sound, and what is drawn, made frame by frame.

A vocoder with a source reads it beside the mel, (frames, numbers), and can then work in pieces (models/vocoder says
why). `Maker` makes it of F0 and chance as the model's method `source` does in torch, piece after piece, in constant
memory. Its numbers a frame, by kind:

    noise    hop samples of noise
    sines    the phase before the frame in cycles, F0 in Hz, the offsets of the partials in cycles, noise for each
             sample and partial, noise for a hidden layer
    pulses   the phase at the centre of the frame in cycles, F0 in Hz, hop samples of noise

`tests/generate/test_sources.py` compares the phases with those of torch.
"""

from __future__ import annotations

import numpy as np

from aoide.generate.synthesis import VOICED_ABOVE
from aoide.models.vocoder import Source

F0_REACH = 1.0  # seconds of sound around a piece that an F0 tracker hears


class Maker:
    """Makes the source of one sound.

    Args:
        form: what kind of source.
        frame_rate, sample_rate: of the vocoder, per second.
        seed: the same gives the same source.
    """

    def __init__(self, form: Source, frame_rate: float, sample_rate: int, seed: int = 0) -> None:
        self.form = form
        self._rate = float(sample_rate) if form.kind == "pulses" else frame_rate * form.hop  # samples of it a second
        self._random = np.random.default_rng(seed)
        self._offsets = self._random.random(form.partials, np.float32)
        self._offsets[:1] = 0  # F0 itself begins at 0
        self._last: tuple[float, float] | None = None  # phase and F0 of the frame before

    def rows(self, f0: np.ndarray) -> np.ndarray:
        """The source (frames, numbers) float32 of the next frames, whose F0 is f0 (frames,) Hz, 0 = unvoiced.

        Noise has no F0, but as many frames.
        """
        form = self.form
        each = form.hop * (form.partials if form.kind == "sines" else 1) + form.hidden
        noise = self._random.standard_normal((len(f0), each), np.float32)
        if form.kind == "noise" or not len(f0):
            return noise
        f0 = np.asarray(f0, np.float32)
        phase = self._starts(f0) if form.kind == "sines" else self._centres(f0)
        self._last = (float(phase[-1]), float(f0[-1]))
        state = np.stack([phase.astype(np.float32), f0], axis=1)
        return np.concatenate([state, np.tile(self._offsets, (len(f0), 1)), noise], axis=1)

    def _starts(self, f0: np.ndarray) -> np.ndarray:
        """The phase before each frame: `sine_starts` of nn/sourcefilter.py."""
        hop = self.form.hop
        before, around = (0.0, f0) if self._last is None else (self._last[0], np.append(self._last[1], f0))
        pace = around.astype(np.float64) / (self._rate or 1.0)
        passed = pace[:-1] * hop
        if self.form.glide:
            passed += 0.5 * np.diff(pace) * (hop - 1)
        total = before + np.cumsum(np.concatenate([[0.0], passed]))[-len(f0) :]
        return total - np.rint(total)

    def _centres(self, f0: np.ndarray) -> np.ndarray:
        """The phase at the centre of each frame: `pulse_centres` of nn/sourcefilter.py."""
        hop = self.form.hop
        clamped = np.maximum(f0, np.float32(VOICED_ABOVE))
        if self._last is None:
            before, around = (hop - (hop + 1) // 2) / self._rate * float(clamped[0]), f0
        else:
            before, around = self._last[0], np.append(np.float32(self._last[1]), f0)
        place = (np.arange(hop, dtype=np.float32) + np.float32(0.5 if hop % 2 == 0 else 0.0)) / np.float32(hop)
        between = around[:-1, None] + np.diff(around)[:, None] * place
        passed = np.maximum(between, np.float32(VOICED_ABOVE)).sum(axis=1, dtype=np.float64) / self._rate
        total = before + np.cumsum(np.concatenate([[0.0], passed]))[-len(f0) :]
        return total - np.rint(total)
