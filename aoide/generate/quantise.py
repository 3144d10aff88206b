"""Weights in 8 bits on disk, in 32 bits at work: a quarter of the size at the same speed.

Each large weight w becomes an int8 tensor q and a scale s per output channel, with w close to q * s, and two nodes that
multiply them. onnxruntime folds these nodes when it loads the graph, so a call costs what it cost before, and a
sentence sounds the same alone and in a batch. (Dynamic quantisation, where the products are computed in 8 bits too, was
slower than float on processors without VNNI, and its scales depend on the batch.)
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from aoide.config import require, write_aside

LEAST = 1024  # smaller tensors are left alone: they are biases and norms, which are precious and light
SAME = 1e-3  # of a step of 8 bits: so near are values that were rounded before
OUTPUT_AXIS = {"MatMul": -1, "Gemm": -1, "Conv": 0, "Gather": 0}  # of a weight, by the node that reads it


def rounded(module: nn.Module) -> nn.Module:
    """A copy of a torch module whose large weights have the values that 8 bits can hold.

    A graph made of it and then stored in 8 bits says exactly the same as the copy.
    """
    module = copy.deepcopy(module)
    for part in module.modules():
        if isinstance(part, nn.Linear | nn.Conv1d | nn.Embedding) and part.weight.numel() >= LEAST:
            whole, scale = _round(part.weight.detach().numpy(), axis=0)
            part.weight.data = torch.from_numpy(whole * scale)
    return module


def store_in_8_bits(path: Path) -> None:
    """Rewrites the graph at `path` with its large weights as 8-bit numbers and scales."""
    onnx = require("onnx", "export")
    model = onnx.load(str(path))
    graph = model.graph
    readers = {name: node for node in graph.node for name in node.input}
    unfolded = []
    for tensor in list(graph.initializer):
        weight = onnx.numpy_helper.to_array(tensor)
        axis = _output_axis(readers.get(tensor.name))
        if axis is None or weight.dtype != np.float32 or weight.size < LEAST:
            continue
        whole, scale = _round(weight, axis)
        if np.any(np.abs(whole * scale - weight) > SAME * scale):
            continue  # not a weight that `rounded` has rounded, but a constant such as a filter bank
        graph.initializer.remove(tensor)
        for name, value in ((f"{tensor.name}.int8", whole), (f"{tensor.name}.scale", scale)):
            graph.initializer.append(onnx.numpy_helper.from_array(value, name))
        float_name = f"{tensor.name}.float"
        unfolded += [
            onnx.helper.make_node("Cast", [f"{tensor.name}.int8"], [float_name], to=onnx.TensorProto.FLOAT),
            onnx.helper.make_node("Mul", [float_name, f"{tensor.name}.scale"], [tensor.name]),
        ]
    nodes = [*unfolded, *graph.node]  # a node stands after those whose results it reads
    del graph.node[:]
    graph.node.extend(nodes)
    with write_aside(path) as aside:
        onnx.save(model, str(aside))


def _output_axis(node: Any) -> int | None:
    """Which axis of a weight is that of the outputs of the node that reads it; None of other nodes."""
    if node is None:
        return None
    turned = any(attribute.name == "transB" and attribute.i for attribute in node.attribute)
    return 0 if turned else OUTPUT_AXIS.get(node.op_type)


def _round(weight: np.ndarray, axis: int) -> tuple[np.ndarray, np.ndarray]:
    """weight -> int8 of its shape, and the float32 scales, which broadcast to it."""
    others = tuple(i for i in range(weight.ndim) if i != axis % weight.ndim)
    scale = np.abs(weight).max(axis=others, keepdims=True) / 127
    scale[scale == 0] = 1.0
    return np.rint(weight / scale).astype(np.int8), scale.astype(np.float32)
