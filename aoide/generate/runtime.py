"""Runs the graph of an exported voice: tokens -> samples, in batches, with onnxruntime and numpy and no torch.

    runtime = Runtime("voices/en-heart", threads=1)
    runtime.run([Request(tokens, speed=1.0, pitch=0.0)])[0].samples

A runtime may be called from several threads at once. The sound of a request does not depend on its company in the
batch.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from aoide import trace
from aoide.config import UserError
from aoide.generate import folder as voice_folder
from aoide.generate import packed, synthesis


class Request(NamedTuple):
    """One thing to say: tokens (tokens,) int64 with the padding token 0 at both ends."""

    tokens: np.ndarray
    speed: float  # 2 is twice as fast
    pitch: float  # semitones


class Utterance(NamedTuple):
    """What came of a request: samples (samples,) float32, durations (tokens,) int64 in frames of `hop` samples."""

    samples: np.ndarray
    durations: np.ndarray


class Runtime:
    """A loaded voice graph.

    Args:
        folder: a voice folder, see `generate/folder.py`.
        threads: of one call of `run`; 1 is best for many calls side by side.

    Raises:
        UserError: the folder holds no voice, a broken one, or one that this Aoide cannot run.
    """

    def __init__(self, folder: str | os.PathLike[str], threads: int = 1) -> None:
        self.description = voice_folder.read(folder)
        graph = voice_folder.read_graph(folder, self.description)
        self._session = packed.session(graph, threads, Path(folder) / "voice.onnx")
        self._outputs = voice_folder.OUTPUTS[self.description.kind]
        self._check_contract(folder)

    def run(self, requests: Sequence[Request]) -> list[Utterance]:
        """Speaks all requests, at most `max_batch` of the voice at a time and such of like length together.

        Returns:
            One utterance per request, in their order.
        """
        most = self.description.max_batch
        by_length = sorted(range(len(requests)), key=lambda i: len(requests[i].tokens))
        spoken: dict[int, Utterance] = {}
        for start in range(0, len(requests), most):
            chosen = by_length[start : start + most]
            spoken.update(zip(chosen, self._run_batch([requests[i] for i in chosen]), strict=True))
        return [spoken[i] for i in range(len(requests))]

    def outputs(
        self, tokens: np.ndarray, lengths: np.ndarray, speed: np.ndarray, pitch: np.ndarray
    ) -> dict[str, np.ndarray]:
        """What the graph gives, by name; inputs and outputs as in `generate/folder.py`."""
        feeds = {"tokens": tokens, "lengths": lengths, "speed": speed, "pitch": pitch}
        values = self._session.run(list(self._outputs), feeds)
        for name, value in zip(self._outputs, values, strict=True):
            trace.report(name, value)
        return dict(zip(self._outputs, values, strict=True))

    def _run_batch(self, requests: Sequence[Request]) -> list[Utterance]:
        lengths = np.array([len(request.tokens) for request in requests], np.int64)
        tokens = np.zeros((len(requests), lengths.max()), np.int64)
        for row, request in zip(tokens, requests, strict=True):
            row[: len(request.tokens)] = request.tokens
        speed = np.array([request.speed for request in requests], np.float32) * np.float32(self.description.speed)
        pitch = np.array([request.pitch for request in requests], np.float32) + np.float32(self.description.pitch)
        outputs = self.outputs(tokens, lengths, speed, pitch)
        durations = [own[:length] for own, length in zip(outputs["durations"], lengths, strict=True)]
        return [Utterance(self._samples(outputs, b, int(own.sum())), own) for b, own in enumerate(durations)]

    def _samples(self, outputs: dict[str, np.ndarray], item: int, frames: int) -> np.ndarray:
        """The sound of one item of a batch, which is `frames` long: (frames * hop,)."""
        of, kind = self.description, self.description.kind
        if frames == 0:
            return np.zeros(0, np.float32)
        if kind == "waveform":
            return outputs["audio"][item, : frames * of.hop]
        own = [outputs[name][item, :frames] for name in self._outputs[:-1]]
        if kind == "istft":
            return synthesis.griffin_lim(own[0], own[1], hop=of.hop, padding=of.padding, polish=of.polish)
        return synthesis.sourcefilter((own[0], own[1], own[2], own[3]), own[4], hop=of.hop, sample_rate=of.sample_rate)

    def _check_contract(self, folder: str | os.PathLike[str]) -> None:
        takes = {node.name for node in self._session.get_inputs()}
        gives = {node.name for node in self._session.get_outputs()}
        if takes != set(voice_folder.INPUTS) or not set(self._outputs) <= gives:
            wanted = f"takes {', '.join(voice_folder.INPUTS)} and gives {', '.join(self._outputs)}"
            found = f"takes {', '.join(sorted(takes))} and gives {', '.join(sorted(gives))}"
            raise UserError(
                f"{folder}/voice.onnx: not a graph of kind {self.description.kind}, which {wanted}; this one {found}"
            )
        shapes = {node.name: node.shape for node in self._session.get_outputs()}
        bins = shapes[self._outputs[0]][-1]  # a number, or a name where the graph leaves it open
        if self.description.kind != "waveform" and isinstance(bins, int) and self.description.n_fft != 2 * (bins - 1):
            raise UserError(
                f"{folder}: voice.json says n_fft {self.description.n_fft}, but the graph gives {bins} bins"
            )
