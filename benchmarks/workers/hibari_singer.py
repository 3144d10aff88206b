"""The teacher of en-heart sings: hibari-tts with its frames stretched to the notes and its F0 replaced.

What it says and for how long comes from our plan of the score, so that teacher and student sing the same phonemes at
the same times; each phoneme's frames are stretched evenly over its time, which is all that a speaking model offers.
"""

from __future__ import annotations

import hibari
import numpy as np
import onnxruntime
from hibari import Hibari, dsp

from aoide.data.corpora import taught
from aoide.generate import sing
from aoide.generate.singer import Singer
from aoide.score import Score
from aoide.text import lyrics

UNIT = 2  # the teacher counts durations in pairs of frames


class Teacher:
    """Sings what a singer of the package would, with the same F0."""

    def __init__(self, singer: Singer) -> None:
        self.singer = singer
        graph = taught._teach(hibari)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        self.known = set(Hibari().vocab.values())

    def sing(self, score: Score, f0: np.ndarray) -> np.ndarray:
        """(samples,) of a score with F0 (frames,) at the singer's frames."""
        of = self.singer.description
        samples = np.zeros(len(f0) * of.hop, np.float32)
        phonemes = [p for p in lyrics.plan(score, of.language) if not sing.silent(p)]
        for phrase in sing.phrases(score, phonemes, self.singer.frame_rate, len(f0), of):
            made = self._phrase(phrase.tokens, phrase.durations, f0[phrase.start : phrase.end])
            samples[phrase.start * of.hop : phrase.start * of.hop + len(made)] += made
        return samples

    def _phrase(self, tokens: np.ndarray, durations: np.ndarray, f0: np.ndarray) -> np.ndarray:
        feeds = {"ids": tokens[None], "speed": np.ones(1, np.float32)}
        *parts, spoken = self.session.run(None, feeds)
        frames = np.rint(spoken).astype(int).reshape(-1) * UNIT
        ends, place = np.cumsum(frames), []
        for end, own, sung in zip(ends, frames, durations, strict=True):
            place += list(end - own + (np.arange(sung) + 0.5) * own / max(sung, 1))
        at = np.clip(np.array(place), 0, ends[-1] - 1)
        left = np.floor(at).astype(int)
        right, share = np.minimum(left + 1, ends[-1] - 1), (at - left).astype(np.float32)
        lh, theta, ln, lr, phi = (part[0] for part in parts[:5])
        lh, theta, ln, lr = (x[:, left] * (1 - share) + x[:, right] * share for x in (lh, theta, ln, lr))
        made = dsp.synth(lh, theta, ln, lr, phi[:, left], f0.astype(np.float32), np.random.default_rng(0))
        return np.asarray(made, np.float32)[: len(f0) * self.singer.description.hop]
