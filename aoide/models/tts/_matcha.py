"""Matcha-TTS's names of what it is made of -> ours."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

_NAMES = {
    "spk_emb.": "speakers.",
    "encoder.emb.": "embed.",
    "encoder.prenet.conv_layers.": "prenet.convs.",
    "encoder.prenet.norm_layers.": "prenet.norms.",
    "encoder.prenet.proj.": "prenet.out.",
    "encoder.proj_m.": "average.",
    "encoder.proj_w.conv_1.": "duration.convs.0.",
    "encoder.proj_w.conv_2.": "duration.convs.1.",
    "encoder.proj_w.norm_1.": "duration.norms.0.",
    "encoder.proj_w.norm_2.": "duration.norms.1.",
    "encoder.proj_w.proj.": "duration.out.",
    "decoder.estimator.time_mlp.linear_1.": "unet.time.0.",
    "decoder.estimator.time_mlp.linear_2.": "unet.time.2.",
    "decoder.estimator.final_block.block.0.": "unet.final.conv.",
    "decoder.estimator.final_block.block.1.": "unet.final.norm.",
    "decoder.estimator.final_proj.": "unet.out.",
}
_RESIDUAL = {
    "block1.block.0": "first.conv",
    "block1.block.1": "first.norm",
    "block2.block.0": "second.conv",
    "block2.block.1": "second.norm",
    "mlp.1": "time",
    "res_conv": "plain",
}
_BLOCK = {
    "norm1": "attention_norm",
    "norm3": "mlp_norm",
    "attn1.to_q": "project",
    "attn1.to_out.0": "out",
    "ff.net.0.proj": "expand",
    "ff.net.0": "snake",
    "ff.net.2": "contract",
}
_TEXT = {
    "attn_layers": {"conv_q": "project", "conv_o": "out"},
    "norm_layers_1": {"": "attention_norm"},
    "norm_layers_2": {"": "conv_norm"},
    "ffn_layers": {"conv_1": "expand", "conv_2": "contract"},
}
_KINDS = {"gamma": "weight", "beta": "bias"}
_LINEAR = (".out.weight", ".project.weight", ".plain.weight", "average.weight")  # convolutions of one place: linear


def keys(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The state dict under our names, with queries, keys and values joined to one projection."""
    renamed = {}
    for key in state:
        stem, _, last = key.rpartition(".")
        if stem.endswith(("conv_k", "conv_v", "to_k", "to_v")):
            continue  # they go with their queries
        joined = stem.endswith(("conv_q", "to_q"))
        value = torch.cat([state[f"{stem[:-1]}{which}.{last}"] for which in "qkv"]) if joined else state[key]
        name = _name(key)
        renamed[name] = value.squeeze(-1) if value.ndim == 3 and name.endswith(_LINEAR) else value
    return renamed


def _name(key: str) -> str:
    parts = key.split(".")
    if key.startswith("encoder.encoder."):
        _, _, group, number, *inner, last = parts
        name = _TEXT[group].get(".".join(inner), ".".join(inner))
        return f"encoder.{number}.{name}.{_KINDS.get(last, last)}"
    if parts[2:3] and parts[2] in ("down_blocks", "mid_blocks", "up_blocks"):
        return _of_unet(parts[2].removesuffix("_blocks"), parts[3:])
    for old, new in _NAMES.items():
        if key.startswith(old):
            last = key.removeprefix(old)
            return new + (last if "estimator" in old else ".".join(_KINDS.get(word, word) for word in last.split(".")))
    return key


def _of_unet(where: str, parts: list[str]) -> str:
    """Stage, then 0 = convolutional block, 1 = Transformer blocks, 2 = change of rate."""
    number, kind, *inner, end = parts
    stage = "middle" if where == "mid" else where
    if kind == "0":
        return f"unet.{stage}.{number}.residual.{_RESIDUAL.get('.'.join(inner), '.'.join(inner))}.{end}"
    if kind == "1":
        block, *inner = inner
        return f"unet.{stage}.{number}.blocks.{block}.{_BLOCK.get('.'.join(inner), '.'.join(inner))}.{end}"
    return f"unet.{'slower' if where == 'down' else 'faster'}.{number}.{end}"
