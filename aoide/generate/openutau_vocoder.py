"""An exported vocoder -> a vocoder for OpenUtau: one graph, mel and F0 -> waveform, with no numpy after it.

    settings = write(Vocoder("universal-24k"), Path("bank/dsvocoder"))

What numpy does after the graph of a vocoder (`generate/synthesis.py`) becomes part of the graph: the steps of
Griffin-Lim, the inverse STFT, and the way to the 44,100 samples a second that OpenUtau plays whatever it is given.

A transform of real numbers of size N is two products of matrices here. With the window w and x folded at n = 0,

    Re X[k] =  sum of w[n] (x[n] + x[N - n]) cos(2 pi k n / N)      n = 1 ... N / 2, of which the last counts half
    Im X[k] = -sum of w[n] (x[n] - x[N - n]) sin(2 pi k n / N)      since w[0] is 0

and back alike. The matrices are gathered from one turn of cosine and sine when the graph is opened, so that the file
holds N numbers of each and not N * N. Sums in another order round otherwise; see `prove` for what then is equal.
"""

from __future__ import annotations

import copy
import itertools
import math
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from aoide.audio.mel_config import MelConfig
from aoide.audio.resample import length
from aoide.audio.spectrum import log_mel, magnitudes, window_of
from aoide.config import UserError, require, to_dict, write_yaml
from aoide.generate import openutau_schema as schema
from aoide.generate.packed import session
from aoide.generate.synthesis import CARRIED, HIGHEST_HARMONIC, TINY, TRUST, pulses
from aoide.generate.vocoder import FILE, KINDS, Vocoder

MOST_PHASES = 1024  # of a resampler: 44,100 to the rates that are in use needs 441 at most
PASSED = 0.96  # of half the lower rate: where the resampler is 6 dB down
ATTENUATION = 100.0  # dB
TOLERANCE = 1e-4  # between the graph and numpy, relative and absolute, where rounding does not grow
AS_ROUNDING = 4.0  # how many times as far from numpy as numpy is from itself, where rounding has grown
FEW = (1, 1, 1)  # Griffin-Lim steps after which it has not grown yet
Spectrum = tuple[str, str]  # names of a real and an imaginary part, (frames, bins)
LENGTHS = (17, 50, 131)  # frames of the sounds that prove a graph; OpenUtau gives 17 and more


def mel_settings(mel: MelConfig) -> dict[str, Any]:
    """A mel as dsconfig.yaml and vocoder.yaml say it, but for the base of its logarithm: graphs have natural ones."""
    return {
        "sample_rate": mel.sample_rate,
        "hop_size": mel.hop,
        "win_size": mel.win,
        "fft_size": mel.n_fft,
        "num_mel_bins": mel.n_mels,
        "mel_fmin": float(mel.fmin),
        "mel_fmax": float(mel.fmax),
        "mel_base": "e",
        "mel_scale": mel.scale,
    }


def unlike(one: MelConfig, other: MelConfig) -> list[str]:
    """How two mels differ, but for the base of their logarithms, `name: value, not value` each."""
    ours, theirs = to_dict(replace(one, log="ln")), to_dict(replace(other, log="ln"))
    return [f"{name}: {theirs[name]}, not {value}" for name, value in ours.items() if theirs[name] != value]


def write(vocoder: Vocoder, folder: Path) -> schema.Vocoder:
    """Writes the folder dsvocoder: vocoder.yaml, the graph, proven, and the card, since a licence goes along.

    Raises:
        UserError: a vocoder whose source is not made in its graph, a rate that does not become 44,100 in few steps, or
            a graph that gives something else than `Vocoder.vocode`.
        MissingExtra: onnx is not installed.
    """
    onnx = require("onnx", "export")
    of = vocoder.description
    if of.source is not None:
        raise UserError(f"{of.name}: reads {of.source.kind} beside the mel, which no graph makes; it cannot come along")
    told = schema.Vocoder(name=of.name, model=f"{FILE}.onnx", **mel_settings(of.mel))
    model = build(vocoder, of.polish, schema.PLAYED)
    prove(vocoder, model)
    folder.mkdir()
    onnx.save(model, str(folder / told.model))
    write_yaml(folder / f"{FILE}.yaml", {name: value for name, value in to_dict(told).items() if value is not False})
    if (vocoder.folder / "card.md").is_file():
        shutil.copy(vocoder.folder / "card.md", folder)
    return told


# --------------------------------------------------------------------------------------------------------------- graph


def build(vocoder: Vocoder, polish: Sequence[int], rate: int) -> Any:
    """The graph of a vocoder and of what follows it.

    Args:
        polish: Griffin-Lim steps, as `synthesis.griffin_lim` takes them.
        rate: samples per second that come out.
    """
    onnx = require("onnx", "export")
    of, nodes = vocoder.description, _Nodes()
    inner = onnx.compose.add_prefix(lowered(onnx.load(str(vocoder.folder / f"{FILE}.onnx"))), "network/")
    mel = nodes("Mul", "mel", 1 / math.log(10)) if of.mel.log == "log10" else "mel"
    nodes("Identity", mel, out="network/mel")
    nodes.nodes.extend(inner.graph.node)
    nodes.tensors.extend(inner.graph.initializer)
    outputs = [f"network/{name}" for name in KINDS[of.kind]]
    if of.kind == "istft":
        magnitude, phase = (nodes("Squeeze", name, [0]) for name in outputs)
        sound = _griffin_lim(nodes, magnitude, phase, of.mel, polish)
    else:
        sound = nodes("Squeeze", outputs[0], [0])
    _resample(nodes, sound, of.mel.sample_rate, rate)
    graph = schema.vocoder(schema.Vocoder(name=of.name, model="", **mel_settings(of.mel)))
    ports = [
        [
            onnx.helper.make_tensor_value_info(name, onnx.TensorProto.DataType.Value(kind.upper()), dims)
            for name, (kind, dims) in part.items()
        ]
        for part in graph
    ]
    model = onnx.helper.make_model(
        onnx.helper.make_graph(nodes.nodes, FILE, *ports, initializer=nodes.tensors),
        opset_imports=[onnx.helper.make_opsetid("", schema.OPSET)],
        producer_name="aoide",
        ir_version=schema.IR,
    )
    onnx.checker.check_model(model, full_check=True)
    return model


def lowered(model: Any) -> Any:
    """A graph in the operators of `schema.OPSET`: GELU, which came later, in its parts.

    Others that changed later did so for types and settings that a vocoder does not use; the checker knows them.
    """
    nodes = _Nodes("gelu/")
    for node in model.graph.node:
        node.ClearField("metadata_props")
        if node.op_type != "Gelu" or any(setting.s != b"none" for setting in node.attribute):
            nodes.nodes.append(node)
            continue
        share = nodes("Add", nodes("Erf", nodes("Mul", node.input[0], math.sqrt(0.5))), 1.0)
        nodes("Mul", nodes("Mul", node.input[0], 0.5), share, out=node.output[0])
    del model.graph.node[:]
    model.graph.node.extend(nodes.nodes)
    model.graph.initializer.extend(nodes.tensors)
    model.graph.ClearField("value_info")
    return model


class _Nodes:
    """Nodes of a graph as they are written; a call adds one and gives the name of what comes out."""

    def __init__(self, prefix: str = "made/") -> None:
        self.nodes: list[Any] = []
        self.tensors: list[Any] = []
        self._onnx, self._names = require("onnx", "export"), (f"{prefix}{number}" for number in itertools.count())

    def __call__(self, op: str, *inputs: Any, out: str = "", **settings: Any) -> str:
        """inputs: names, or numbers: whole ones become int64, others float32."""
        out = out or next(self._names)
        names = [value if isinstance(value, str) else self.known(value) for value in inputs]
        self.nodes.append(self._onnx.helper.make_node(op, names, [out], **settings))
        return out

    def known(self, value: Any) -> str:
        array = np.asarray(value)
        array = array.astype(np.int64 if array.dtype.kind in "iu" else np.float32)
        self.tensors.append(self._onnx.numpy_helper.from_array(array, next(self._names)))
        return str(self.tensors[-1].name)

    def repeat(self, times: int, step: Callable[[Spectrum], Spectrum], begun: Spectrum, bins: int) -> Spectrum:
        """An operator Loop. Each node packs the matrix that it multiplies by once more: written out, a hundred MB."""
        value, types = self._onnx.helper.make_tensor_value_info, self._onnx.TensorProto
        around, self.nodes = self.nodes, []
        names = [next(self._names) for _ in range(4)]
        made = [self("Identity", names[1]), *step((names[2], names[3]))]
        kinds = [(types.BOOL, []), *[(types.FLOAT, [None, bins])] * 2]
        inputs = [value(name, *kind) for name, kind in zip(names, [(types.INT64, list[int]()), *kinds], strict=True)]
        outputs = [value(name, *kind) for name, kind in zip(made, kinds, strict=True)]
        body, self.nodes = self._onnx.helper.make_graph(self.nodes, "step", inputs, outputs), around
        ended = next(self._names), next(self._names)
        self.nodes.append(self._onnx.helper.make_node("Loop", [self.known(times), "", *begun], list(ended), body=body))
        return ended


# ----------------------------------------------------------------------------------------------------- spectrum, sound


class _Transform:
    """The STFT of one size and back, of so many frames; `synthesis._mend` and `_overlap_add` say what they do.

    What goes in is k times a spectrum and what is heard of a sound is 1 / (1 + r) of one, as `griffin_lim` wants it.
    """

    def __init__(self, nodes: _Nodes, n_fft: int, hop: int, padding: str, frames: str) -> None:
        half, self.overlap, self.hop, self.nodes = n_fft // 2, n_fft // hop, hop, nodes
        self.skip = half if padding == "center" else (n_fft - hop) // 2
        turn, window = 2 * np.pi / n_fft * np.arange(n_fft), window_of("hann", n_fft, n_fft).astype(np.float64)
        time, bins = np.arange(1, half + 1)[:, None], np.arange(half + 1)[None]
        place = nodes("Mod", nodes("Mul", time, bins), n_fft)  # k n, which one turn repeats
        cos, sin = (nodes("Gather", wave, place) for wave in (np.cos(turn), np.sin(turn)))
        seen = window[1 : half + 1] / (1 + TRUST) * np.where(np.arange(half) < half - 1, 1.0, 0.5)
        self._analysis = nodes("Mul", cos, seen[:, None]), nodes("Mul", sin, -seen[:, None])
        share = np.where((bins[0] == 0) | (bins[0] == half), 1.0, 2.0) / (n_fft * CARRIED)
        scale = nodes("Mul", share[:, None], window[None, 1 : half + 1])
        self._synthesis = tuple(nodes("Mul", nodes("Transpose", wave, perm=[1, 0]), scale) for wave in (cos, sin))
        self._rows(frames, window)

    def _rows(self, frames: str, window: np.ndarray) -> None:
        """What depends on the number of frames: the sum of squared windows, and where mirrored ends come from."""
        nodes, overlap = self.nodes, self.overlap
        rows = nodes("Add", frames, overlap - 1)
        frame = nodes("Sub", nodes("Unsqueeze", nodes("Range", 0, rows, 1), [1]), np.arange(overlap)[None])
        there = nodes("And", nodes("GreaterOrEqual", frame, 0), nodes("Less", frame, frames))
        squares = nodes("MatMul", nodes("Cast", there, to=1), np.square(window).reshape(overlap, self.hop))
        self._per_weight = nodes("Reciprocal", nodes("Max", squares, 1e-11))
        self.samples = nodes("Mul", frames, self.hop)
        period = nodes("Mul", nodes("Sub", self.samples, 1), 2)
        place = nodes("Sub", nodes("Range", 0, nodes("Mul", rows, self.hop), 1), self.skip)
        place = nodes("Mod", place, period)
        self._mirror = nodes("Add", nodes("Min", place, nodes("Sub", period, place)), self.skip)

    def sound(self, spectrum: Spectrum) -> str:
        """(rows * hop,): the sound from `skip` on, with what lies before and after it."""
        nodes = self.nodes
        even, odd = (nodes("MatMul", part, matrix) for part, matrix in zip(spectrum, self._synthesis, strict=True))
        early = nodes("Pad", nodes("Sub", even, odd), [0, 1, 0, 0])
        late = nodes("Slice", nodes("Add", even, odd), [-2], [np.iinfo(np.int64).min], [1], [-1])
        pieces, last = nodes("Concat", early, late, axis=1), self.overlap - 1
        rows = [
            nodes("Pad", nodes("Slice", pieces, [p * self.hop], [(p + 1) * self.hop], [1]), [p, 0, last - p, 0])
            for p in range(self.overlap)
        ]
        return nodes("Reshape", nodes("Mul", nodes("Sum", *rows), self._per_weight), [-1])

    def heard(self, sound: str) -> Spectrum:
        nodes, last, half = self.nodes, self.overlap - 1, self.overlap * self.hop // 2
        rows = nodes("Reshape", nodes("Gather", sound, self._mirror), [-1, self.hop])
        ends = [p - last if p < last else np.iinfo(np.int64).max for p in range(self.overlap)]
        framed = nodes("Concat", *(nodes("Slice", rows, [p], [end], [0]) for p, end in enumerate(ends)), axis=1)
        early = nodes("Slice", framed, [1], [half + 1], [1])
        late = nodes("Slice", framed, [-1], [half - 1], [1], [-1])
        cos, sin = self._analysis
        return (
            nodes("MatMul", nodes("Add", early, late), cos),
            nodes("MatMul", nodes("Sub", early, late), sin),
        )

    def mended(self, tried: Spectrum, asked: str, steps: int) -> Spectrum:
        """`synthesis._mend`, but the last step of all, which is `agreed`."""
        nodes = self.nodes

        def step(tried: Spectrum) -> Spectrum:
            seen, gain = self._compared(tried, asked)
            gain = nodes("Sub", gain, CARRIED)
            real, imaginary = (
                nodes("Add", nodes("Mul", x, 0.5), nodes("Mul", v, gain)) for x, v in zip(tried, seen, strict=True)
            )
            return real, imaginary

        return nodes.repeat(steps, step, tried, self.overlap * self.hop // 2 + 1) if steps else tried

    def agreed(self, tried: Spectrum, asked: str) -> Spectrum:
        (real, imaginary), gain = self._compared(tried, asked)
        return self.nodes("Mul", real, gain), self.nodes("Mul", imaginary, gain)

    def _compared(self, tried: Spectrum, asked: str) -> tuple[Spectrum, str]:
        """v, and k m / |v|."""
        nodes = self.nodes
        heard = self.heard(self.sound(tried))
        real, imaginary = nodes("Add", heard[0], tried[0]), nodes("Add", heard[1], tried[1])
        power = nodes("Add", nodes("Mul", real, real), nodes("Mul", imaginary, imaginary))
        return (real, imaginary), nodes("Div", asked, nodes("Add", nodes("Sqrt", power), float(TINY)))


def _griffin_lim(nodes: _Nodes, magnitude: str, phase: str, mel: MelConfig, polish: Sequence[int]) -> str:
    """magnitude, phase (frames, bins) -> (samples,): `synthesis.griffin_lim`."""
    n_fft, low = mel.n_fft, mel.n_fft // 4 + 1
    frames = nodes("Squeeze", nodes("Shape", magnitude, start=0, end=1), [0])
    asked = nodes("Mul", magnitude, CARRIED)
    tried = nodes("Mul", asked, nodes("Cos", phase)), nodes("Mul", asked, nodes("Sin", phase))
    whole = _Transform(nodes, n_fft, mel.hop, mel.padding, frames)
    half = _Transform(nodes, n_fft // 2, mel.hop // 2, mel.padding, frames) if len(polish) > 1 else whole
    for steps, lower in zip(polish[:-1:2], polish[1::2], strict=True):
        real, imaginary = tried = whole.mended(tried, asked, steps)
        below = [nodes("Slice", part, [0], [low], [1]) for part in (real, imaginary, asked)]
        mended = half.mended((below[0], below[1]), below[2], lower)
        above = nodes("Slice", real, [low], [n_fft], [1]), nodes("Slice", imaginary, [low], [n_fft], [1])
        tried = nodes("Concat", mended[0], above[0], axis=1), nodes("Concat", mended[1], above[1], axis=1)
    if any(polish):
        tried = whole.agreed(whole.mended(tried, asked, polish[-1] - 1), asked)
    end = nodes("Unsqueeze", nodes("Add", whole.samples, whole.skip), [0])
    return nodes("Slice", whole.sound(tried), [whole.skip], end, [0])


# ------------------------------------------------------------------------------------------------------------ resample


def phases(source: int, target: int) -> np.ndarray:
    """The filters of a resampler: (target / g, source / g + 2 * reach) of the samples from `reach` before a block of
    source / g samples on, g the greatest common divisor; each row makes one sample of what the block becomes.

    Raises:
        UserError: rates that have too little in common.
    """
    divisor = math.gcd(source, target)
    up, down = target // divisor, source // divisor
    if up > MOST_PHASES:
        raise UserError(f"{source} Hz: does not become the {target} Hz that OpenUtau plays by a simple ratio")
    lower = 0.5 * min(1.0, target / source)  # half the lower rate, in cycles a sample of the source
    cutoff = PASSED * lower
    # Kaiser and Schafer: how wide a window gives that attenuation across twice what is left up to half the rate
    reach = math.ceil((ATTENUATION - 8) / (2.285 * 2 * np.pi * 2 * (lower - cutoff)) / 2)
    beta = 0.1102 * (ATTENUATION - 8.7)
    time = np.arange(up)[:, None] * down / up - np.arange(-reach, down + reach)[None]
    window = np.i0(beta * np.sqrt(np.maximum(1 - np.square(time / reach), 0))) / np.i0(beta)
    return np.where(np.abs(time) <= reach, 2 * cutoff * np.sinc(2 * cutoff * time) * window, 0.0)


def _resample(nodes: _Nodes, sound: str, source: int, target: int) -> None:
    """sound (samples,) -> waveform (1, samples), as many as `audio.resample.length` says."""
    if source == target:
        nodes("Unsqueeze", sound, [0], out="waveform")
        return
    filters = phases(source, target)
    up, width = filters.shape
    down = source // math.gcd(source, target)
    reach = (width - down) // 2
    samples = nodes("Shape", sound)
    after = nodes("Mod", nodes("Sub", 0, samples), down)
    pads = nodes("Concat", [reach], nodes("Add", after, reach), axis=0)
    padded = nodes("Unsqueeze", nodes("Pad", sound, pads), [0, 1])
    blocks = nodes("Conv", padded, filters[:, None].astype(np.float32), strides=[down])
    made = nodes("Reshape", nodes("Transpose", blocks, perm=[0, 2, 1]), [1, -1])
    count = nodes("Div", nodes("Add", nodes("Mul", samples, 2 * target), source), 2 * source)
    nodes("Slice", made, [0], count, [1], out="waveform")


def resampled(sound: np.ndarray, source: int, target: int) -> np.ndarray:
    """What the resampler in the graph makes of a sound (samples,), in numpy and in double precision."""
    if source == target:
        return sound
    filters, down = phases(source, target), source // math.gcd(source, target)
    reach = (filters.shape[1] - down) // 2
    padded = np.pad(sound.astype(np.float64), (reach, reach + -len(sound) % down))
    blocks = np.lib.stride_tricks.sliding_window_view(padded, filters.shape[1])[::down]
    return (blocks @ filters.T).reshape(-1)[: length(len(sound), source, target)].astype(np.float32)


# --------------------------------------------------------------------------------------------------------------- proof


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """Between the graph of a vocoder for OpenUtau and `Vocoder.vocode`."""

    plain: float  # the worst sample, relative and absolute, without Griffin-Lim steps
    few: float  # likewise after as many steps as FEW
    spectral: float  # of the whole: || |A| - |B| || / || |B| || of the STFTs of both, at the rate that is played
    rounding: float  # likewise between two sounds of numpy, of mels of which one is rounded up or down by a last digit


def prove(vocoder: Vocoder, model: Any) -> tuple[Difference, ...]:
    """Compares a graph that `build` made with `Vocoder.vocode`, at several lengths.

    Griffin-Lim steps treble what is rounded, so that after all of them no two ways to add agree in every sample: numpy
    does not agree with itself when the mel changes by its last digit. Hence three demands: without steps, and after a
    few, every sample agrees; after all, the graph is no further from numpy than a few times what such a digit does.

    Raises:
        UserError: it gives something else.
    """
    of, made = vocoder.description, []
    rate = of.mel.sample_rate
    few = () if not any(of.polish) else FEW if len(of.polish) > 1 else (sum(FEW),)
    graphs = {steps: _opened(build(vocoder, steps, rate)) for steps in {(), few}}
    whole = _opened(model)
    for case, frames in enumerate(LENGTHS):
        mel = _example(of.mel, frames, case)
        apart = [_worst(_run(graphs[steps], mel, of.mel), _polished(vocoder, mel, steps)) for steps in ((), few)]
        have, want = _run(whole, mel, of.mel), resampled(vocoder.vocode(mel), rate, schema.PLAYED)
        nudged = [vocoder.vocode(np.nextafter(mel, np.float32(to))) for to in (-100, 100)] if few else []
        rounding = max((_spectral(resampled(near, rate, schema.PLAYED), want) for near in nudged), default=0.0)
        found = Difference(plain=apart[0], few=apart[1], spectral=_spectral(have, want), rounding=rounding)
        close = found.spectral <= TOLERANCE + AS_ROUNDING * rounding
        if not (close and all(each <= TOLERANCE for each in apart)):  # which is false of NaN, too
            raise UserError(f"{of.name}: the graph for OpenUtau differs from the vocoder: {found}")
        made.append(found)
    return tuple(made)


def _example(mel: MelConfig, frames: int, seed: int) -> np.ndarray:
    """The mel of a tone with vibrato, pauses and breath: (frames, mels)."""
    time, random = np.arange(frames) / mel.frame_rate, np.random.default_rng(seed)
    f0 = np.where(time % 0.5 < 0.4, 220 * 2 ** (0.05 * np.sin(10 * np.pi * time)), 0)
    sound = pulses(f0, mel.hop, mel.sample_rate) if mel.sample_rate > 2 * HIGHEST_HARMONIC else 0.0
    breath = random.standard_normal(frames * mel.hop)
    return log_mel((0.02 * sound + 0.01 * breath).astype(np.float32), mel)


def _polished(vocoder: Vocoder, mel: np.ndarray, steps: Sequence[int]) -> np.ndarray:
    """What a vocoder would give after other Griffin-Lim steps."""
    other = copy.copy(vocoder)
    other.description = replace(vocoder.description, polish=tuple(steps))
    return other.vocode(mel)


def _opened(model: Any) -> Any:
    return session(model.SerializeToString(), 1, Path(f"{FILE}.onnx"))


def _run(graph: Any, mel: np.ndarray, of: MelConfig) -> np.ndarray:
    natural = mel * np.float32(math.log(10)) if of.log == "log10" else mel
    f0 = np.full((1, len(mel)), 220, np.float32)
    return np.asarray(graph.run(["waveform"], {"mel": natural[None], "f0": f0})[0][0])


def _worst(have: np.ndarray, want: np.ndarray) -> float:
    return float(np.max(np.abs(have - want) / (1 + np.abs(want)))) if have.shape == want.shape else math.inf


def _spectral(have: np.ndarray, want: np.ndarray) -> float:
    if have.shape != want.shape:
        return math.inf
    one, other = (magnitudes(sound, 2048, 512, window_of("hann", 2048, 2048)) for sound in (have, want))
    return float(np.linalg.norm(one - other) / np.linalg.norm(other))
