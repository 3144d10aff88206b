"""DiffSinger's models -> graphs of ONNX as OpenUtau calls them, with the sampling loop inside; torch.

A graph that samples is made of three that torch writes: what comes before the loop, one step, and what comes after.
They are put together here, since a step runs as often as `steps` says when the graph runs: an operator Loop holds it,
and what in a step does not change from call to call (the condition, projected) is taken out of the loop.

What models of today know and OpenUtau says otherwise is translated here: key_shift is gender, -1 to 1 over the range
that was trained; speed is velocity; loudness is energy. Of several solvers the graph has the one of one call a step
(Euler for flows, DDIM for diffusion), as openvpi's export has.

Sources: the names of openvpi's exporters (deployment/, Apache-2.0); the operator: github.com/onnx/onnx, Loop-16.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from aoide.config import require
from aoide.generate.export import silence
from aoide.generate.openutau_schema import IR, OPSET, Graph, Port
from aoide.models.svs._variance import MIDI_NOTES
from aoide.models.svs.diffsinger import TIME_SCALE
from aoide.nn.lengths import token_of_frame

Given = dict[str, Tensor]
CURVES = {"energy": "loudness", "breathiness": "breathiness", "voicing": "voicing", "tension": "tension"}
SMOOTH = 0.06  # seconds of the sine that smooths the notes to a base pitch
LENGTHS = {"n_tokens": 6, "n_words": 3, "n_notes": 4, "n_frames": 23}  # of the example that is traced


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """What a model cannot know and a graph needs."""

    speaker: int | None = None  # the one that is sung with; None = OpenUtau gives its vector
    tongues: tuple[int, ...] = ()  # the language of each token; () = none is told where the token itself tells it
    shared: tuple[int, ...] = ()  # tokens that several languages have in common: there OpenUtau tells it
    key_range: tuple[float, float] = (-5.0, 5.0)  # semitones by which keys were shifted in training
    speed_range: tuple[float, float] = (0.5, 2.0)
    silence: bool = False  # whether token 0 is a silence of its own, and not padding


# --------------------------------------------------------------------------------------------------------------- loops


class Begin(nn.Module):
    """Noise -> where the loop begins, the place of its first step, from step to step, and how many steps.

    A diffusion carries x / sqrt(a_t), so that a step adds noise times the difference of two known numbers.
    """

    alphas: Tensor

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.flow = config.method == "flow"
        self.start, self.depth = getattr(config, "start", 0.0), getattr(config, "depth", None)
        self.register_buffer("alphas", config.process.alphas().float(), persistent=False)

    def forward(
        self, noise: Tensor, steps: Tensor, first: Tensor | None = None, depth: Tensor | None = None
    ) -> tuple[Tensor, ...]:
        count = steps.reshape(-1)[:1].sum().clamp(min=1)  # OpenUtau gives one number in a row
        share = torch.ones(()) if depth is None else depth.reshape(-1)[:1].sum()
        if self.flow:
            at = torch.zeros(()) if first is None else (1 - share).clamp(self.start, 1.0)
            x = noise if first is None else at * first + (1 - at) * noise
            return x, at, (1 - at) / count, count
        most = len(self.alphas) if first is None or self.depth is None else self.depth
        upto = (share * len(self.alphas)).round().long().clamp(1, most)
        count = torch.minimum(count, upto)
        stride = upto // count
        x, at = noise, (count - 1) * stride
        if first is not None:
            alpha = _place(self.alphas, upto - 1)
            x = alpha.sqrt() * first + (1 - alpha).sqrt() * noise
        return x / _place(self.alphas, at).sqrt(), at, stride, count


class Step(nn.Module):
    """x, the number of the step, the place of the first and what lies between two, the condition -> x."""

    alphas: Tensor
    ratio: Tensor

    def __init__(self, config: Any, denoiser: nn.Module) -> None:
        super().__init__()
        self.denoiser, self.process, self.flow = denoiser, config.process, config.method == "flow"
        alphas = config.process.alphas()
        self.register_buffer("alphas", alphas.float(), persistent=False)
        self.register_buffer("ratio", ((1 - alphas) / alphas).sqrt().float(), persistent=False)

    def forward(self, x: Tensor, number: Tensor, at: Tensor, stride: Tensor, condition: Tensor) -> Tensor:
        if self.flow:
            time = at + number * stride
            return x + stride * self.denoiser(x, (TIME_SCALE * time).reshape(1), condition)
        here = at - number * stride
        there, alpha = (here - stride).clamp(min=0), _place(self.alphas, here)
        seen = x * alpha.sqrt()
        said = self.denoiser(seen, here.to(x.dtype).reshape(1), condition)
        grown = _place(self.ratio, there) - _place(self.ratio, here)
        return x + grown * self.process.noise(seen, said, alpha)


def _place(table: Tensor, place: Tensor) -> Tensor:
    """table (places,), place () -> (1,); an index in brackets would be a number that the exporter must know."""
    return table.gather(0, place.reshape(1))


class End(nn.Module):
    """What the loop carries -> a normalised mel or curve."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.scale = 1.0 if config.method == "flow" else math.sqrt(float(config.process.alphas()[0]))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.scale if self.scale != 1.0 else x


# ------------------------------------------------------------------------------------------------------------ acoustic


class AcousticBefore(nn.Module):
    """What OpenUtau gives -> the condition, and where the loop begins."""

    def __init__(self, model: Any, asked: Asked) -> None:
        super().__init__()
        self.who = _who(model, asked)
        self.model = copy.deepcopy(model)
        self.model.speakers = None  # the singer comes as a vector a frame
        self.asked, self.begin = asked, Begin(model.config)

    def forward(self, given: Given) -> tuple[Tensor, ...]:
        tokens, model = given["tokens"], self.model
        language = _language(given, tokens, self.asked) if model.languages is not None else None
        curves: dict[str, Tensor | None] = {ours: given[name] for name, ours in CURVES.items() if name in given}
        if "gender" in given:
            low, high = self.asked.key_range
            gender = given["gender"].clamp(-1, 1)
            curves["key_shift"] = torch.where(gender < 0, -low * gender, high * gender)
        if "velocity" in given:
            curves["speed"] = given["velocity"].clamp(*self.asked.speed_range)
        real = torch.ones_like(tokens, dtype=torch.bool)
        condition = model.condition(tokens, real, given["durations"], given["f0"], language, None, curves)
        condition = condition + (given["spk_embed"] if self.who is None else self.who)
        first = None if model.first is None else model.first(condition, None)
        return condition, *self.begin(given["noise"], given["steps"], first, given.get("depth"))


class AcousticAfter(nn.Module):
    """What the loop ends with -> the mel, natural log."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model, self.end = model, End(model.config)
        self.factor = math.log(10) if model.config.mel.log == "log10" else 1.0

    def forward(self, x: Tensor) -> Tensor:
        return self.model.denormalise(self.end(x)) * self.factor


# ------------------------------------------------------------------------------------------------------------ variance


class Linguistic(nn.Module):
    """Phonemes and words -> encoded phonemes, and which are padding."""

    def __init__(self, model: Any, asked: Asked) -> None:
        super().__init__()
        self.model, self.asked = model, asked

    def forward(self, given: Given) -> tuple[Tensor, Tensor]:
        tokens, model = given["tokens"], self.model
        padded = tokens < (0 if self.asked.silence else 1)
        if model.config.durations is not None:
            word = token_of_frame(given["word_div"], tokens.shape[1]) + 1  # from 1, and one more beyond the last
            word = word.masked_fill(word > given["word_div"].shape[1], 0)
            onset = word > functional.pad(word[:, :-1], (1, 0))
            lasting = functional.pad(given["word_dur"], (1, 0)).gather(1, word)[..., None].float()
            more = model.onset(onset.long()) + model.lasting(lasting)
        else:
            lasting = given["ph_dur"][..., None].float()
            more = model.lasting(lasting.log1p() if model.config.scaled else lasting)
        if model.languages is not None:
            more = more + model.languages(_language(given, tokens, self.asked))
        return model.encoder(model.embed(tokens), more, ~padded), padded


class DurationsOf(nn.Module):
    """Encoded phonemes with notes -> durations in frames."""

    def __init__(self, model: Any, asked: Asked) -> None:
        super().__init__()
        self.model, self.who = model, _who(model, asked)

    def forward(self, given: Given) -> Tensor:
        model = self.model
        x = given["encoder_out"] + model.midi(given["ph_midi"].clamp(0, MIDI_NOTES - 1))
        x = x + (given["spk_embed"] if self.who is None else self.who)
        return model.duration(x, ~given["x_masks"], model.config.leaky_padding).clamp(min=0)


class FilledBefore(nn.Module):
    """What pitch and the other curves have in common: encoded phonemes, repeated for their frames, and the singer."""

    def __init__(self, model: Any, asked: Asked) -> None:
        super().__init__()
        self.model, self.who, self.begin = model, _who(model, asked), Begin(model.config)

    def frames(self, given: Given) -> Tensor:
        x = self.model._frames(given["encoder_out"], given["ph_dur"], given["pitch"].shape[1], None)
        return x + (given["spk_embed"] if self.who is None else self.who)


class PitchBefore(FilledBefore):
    """... -> the condition of the pitch, where the loop begins, and the base pitch that it is drawn around."""

    window: Tensor

    def __init__(self, model: Any, asked: Asked) -> None:
        super().__init__(model, asked)
        width = round(SMOOTH * model.config.sample_rate / model.config.hop)
        window = torch.linspace(0, math.pi, width).sin() if width > 2 else torch.ones(1)
        self.register_buffer("window", (window / window.sum())[None, None], persistent=False)

    def forward(self, given: Given) -> tuple[Tensor, ...]:
        x, model = self.frames(given), self.model
        notes, lasting, retake = given["note_midi"], given["note_dur"], given["retake"]
        note = token_of_frame(lasting, x.shape[1])
        reach = self.window.shape[-1] - 1
        line = functional.pad(notes, (0, 1)).gather(1, note)[:, None]
        line = functional.pad(line, (reach // 2, reach - reach // 2), mode="replicate")
        base = functional.conv1d(line, self.window)[:, 0]
        delta = given["pitch"] - base
        within = torch.arange(x.shape[1]) < given["ph_dur"].sum(1, keepdim=True)
        score = (notes, given.get("note_rest"), lasting, None, torch.ones_like(notes, dtype=torch.bool))
        condition = model.pitch_condition(x, base, within, score, delta, retake, given.get("expr"))
        if model.melody is None:
            base = base + delta * ~retake  # what is kept belongs to the line that is followed
        return condition, *self.begin(given["noise"], given["steps"]), base


class PitchAfter(nn.Module):
    """What the loop ends with, and the base pitch -> pitch, MIDI."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.drawer, self.end = model.pitch, End(model.config)

    def forward(self, x: Tensor, base: Tensor) -> Tensor:
        return self.drawer.denormalise(self.end(x))[..., 0] + base


class CurvesBefore(FilledBefore):
    """... -> the condition of the curves, and where the loop begins."""

    def forward(self, given: Given) -> tuple[Tensor, ...]:
        model = self.model
        names = ordered(model.config.curves)
        where = [list(names.values()).index(curve) for curve in model.config.curves]
        known = torch.stack([given[name] for name in names], dim=-1)[..., where]
        condition = model.curve_condition(self.frames(given), given["pitch"], (known, given["retake"][..., where]))
        return condition, *self.begin(given["noise"], given["steps"])


class CurvesAfter(nn.Module):
    """What the loop ends with -> a curve each."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.drawer, self.end = model.varied, End(model.config)
        self.curves = model.config.curves

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        drawn = dict(zip(self.curves, self.drawer.denormalise(self.end(x)).unbind(-1), strict=True))
        return tuple(drawn[curve] for curve in ordered(self.curves).values())


def ordered(curves: Iterable[str]) -> dict[str, str]:
    """OpenUtau's name of each curve -> ours, in OpenUtau's order."""
    return {name: ours for name, ours in CURVES.items() if ours in curves}


def _who(model: Any, asked: Asked) -> Tensor | None:
    """What a singer adds; None = it is given."""
    if model.speakers is None:
        return torch.zeros(())
    return None if asked.speaker is None else model.speakers.weight.detach()[asked.speaker]


def _language(given: Given, tokens: Tensor, asked: Asked) -> Tensor:
    """The language of each token; 0, which adds nothing, where none is told."""
    own = torch.tensor(asked.tongues)[tokens] if asked.tongues else torch.zeros_like(tokens)
    if "languages" not in given:
        return own
    return torch.where((tokens[..., None] == torch.tensor(asked.shared)).any(dim=-1), given["languages"], own)


# -------------------------------------------------------------------------------------------------------- torch -> ONNX


def plain(module: nn.Module, graph: Graph, path: Path) -> None:
    """Writes a graph without a loop."""
    model = _written(module, _examples(graph), list(graph.outputs), path)
    _close(model, graph, path)


def looped(before: nn.Module, step: nn.Module, after: nn.Module, graph: Graph, bins: int, path: Path) -> None:
    """Writes a graph that samples, with the noise (1, frames, bins) as one more input; see `draw`.

    Args:
        before: given -> condition, x, at, stride, count, and more for `after`.
        step: x, number, at, stride, condition -> x.
        after: x, and what `before` gave more -> the outputs.
        bins: values of x a frame.
    """
    helper = require("onnx", "export").helper
    whole = graph._replace(inputs={**graph.inputs, "noise": Port("float", (1, "n_frames", bins))})
    given = _examples(whole)
    with torch.inference_mode():
        condition, x, at, stride, count, *more = before.eval()(given)
    carried = ["condition", "x", "at", "stride", "count", *(f"more{number}" for number in range(len(more)))]
    model = _written(before, given, carried, path)
    each = {"x": x, "number": torch.tensor(1), "at": at, "stride": stride, "condition": condition}
    one = _written(_Named(step, list(each)), each, ["stepped"], path).graph
    last = {"x": x} | dict(zip(carried[5:], more, strict=True))
    end = _written(_Named(after, list(last)), last, list(graph.outputs), path).graph

    known = {name: f"before/{name}" for name in carried if name != "x"}
    _rename(model.graph, lambda name: name if name in given else f"before/{name}")
    _rename(one, lambda name: known.get(name, f"step/{name}"))
    _rename(
        end, lambda name: "loop/x" if name == "x" else name if name in graph.outputs else known.get(name, f"end/{name}")
    )
    body = _body(one, model.graph, bins)
    model.graph.node.append(helper.make_node("Loop", ["before/count", "", "before/x"], ["loop/x"], body=body))
    model.graph.node.extend(end.node)
    model.graph.initializer.extend([*one.initializer, *end.initializer])
    _close(model, whole, path)


def draw(source: Path, graph: Graph, bins: int, path: Path) -> None:
    """Writes what `looped` wrote as `path`, with noise that is drawn instead of given."""
    onnx = require("onnx", "export")
    helper, model = onnx.helper, onnx.load(str(source))
    frames = next(name for name in ("f0", "pitch") if name in graph.inputs)
    nodes = [
        helper.make_node("Shape", [frames], ["noise/frames"]),
        helper.make_node("Constant", [], ["noise/bins"], value_ints=[bins]),
        helper.make_node("Concat", ["noise/frames", "noise/bins"], ["noise/shape"], axis=0),
        helper.make_node("ConstantOfShape", ["noise/shape"], ["noise/like"]),
        helper.make_node("RandomNormalLike", ["noise/like"], ["noise"], dtype=onnx.TensorProto.FLOAT),
    ]
    rest = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend([*nodes, *rest])
    _close(model, graph, path)


def _body(step: Any, around: Any, bins: int) -> Any:
    """The graph of a step as the body of a Loop; what does not change from step to step moves into `around`."""
    onnx = require("onnx", "export")
    value, types = onnx.helper.make_tensor_value_info, onnx.TensorProto
    changes, nodes = {"step/x", "step/number"}, []
    for node in step.node:
        if changes & set(node.input) or any(attribute.HasField("g") for attribute in node.attribute):
            changes |= set(node.output)
            nodes.append(node)
        else:
            around.node.append(node)
    nodes.append(onnx.helper.make_node("Identity", ["step/on"], ["step/still"]))
    inputs = [value("step/number", types.INT64, []), value("step/on", types.BOOL, [])]
    inputs.append(value("step/x", types.FLOAT, [1, None, bins]))
    outputs = [value("step/still", types.BOOL, []), value("step/stepped", types.FLOAT, [1, None, bins])]
    return onnx.helper.make_graph(nodes, "step", inputs, outputs)


class _Named(nn.Module):
    """A module of several arguments as one of a dict."""

    def __init__(self, module: nn.Module, names: Sequence[str]) -> None:
        super().__init__()
        self.module, self.names = module, names

    def forward(self, given: Given) -> Any:
        return self.module(*(given[name] for name in self.names))


def _examples(graph: Graph) -> Given:
    """Inputs to trace with."""
    made: Given = {}
    for name, (kind, dims) in graph.inputs.items():
        shape = [LENGTHS[dim] if isinstance(dim, str) else dim for dim in dims]
        made[name] = torch.rand(shape) if kind == "float" else torch.full(shape, 1 if kind == "int64" else False)
    return made


def _written(module: nn.Module, given: Given, outputs: Sequence[str], path: Path) -> Any:
    """The graph that torch makes of a module, whose inputs are left open where their second axis is a time."""
    onnx = require("onnx", "export")
    require("onnxscript", "export")
    dims = {length: torch.export.Dim(name) for name, length in LENGTHS.items()}
    open_axes = {
        name: {1: dims[value.shape[1]]} if value.ndim > 1 and value.shape[1] in dims else {}
        for name, value in given.items()
    }
    with silence(), torch.inference_mode():
        torch.onnx.export(
            module.eval(),
            (),
            str(path),
            kwargs={"given": {**given}},
            input_names=list(given),
            output_names=list(outputs),
            dynamic_shapes={"given": open_axes},
            opset_version=OPSET,
            dynamo=True,
            external_data=False,
        )
    return onnx.load(str(path))


def _rename(graph: Any, new: Callable[[str], str]) -> None:
    """Gives all values and nodes of a graph, and of those inside it, other names."""
    for node in graph.node:
        node.name = new(node.name) if node.name else ""
        for names in (node.input, node.output):
            names[:] = [new(name) if name else "" for name in names]
        for attribute in node.attribute:
            if attribute.HasField("g"):
                _rename(attribute.g, new)
    for value in (*graph.input, *graph.output, *graph.initializer):
        value.name = new(value.name)


def _close(model: Any, graph: Graph, path: Path) -> None:
    """Writes a graph with the inputs and outputs that it is to have, and nothing of the machine that made it."""
    onnx = require("onnx", "export")
    helper, types, inner = onnx.helper, onnx.TensorProto.DataType, model.graph
    for part, ports in ((inner.input, graph.inputs), (inner.output, graph.outputs)):
        del part[:]
        part.extend(
            helper.make_tensor_value_info(name, types.Value(k.upper()), dims) for name, (k, dims) in ports.items()
        )
    inner.name = path.stem
    for each in (model, inner, *inner.node, *inner.initializer):
        for field in ("metadata_props", "doc_string"):
            each.ClearField(field)
    inner.ClearField("value_info")
    model.ir_version, model.producer_name = IR, "aoide"
    model.ClearField("producer_version")
    onnx.checker.check_model(model)
    onnx.save(model, str(path))
