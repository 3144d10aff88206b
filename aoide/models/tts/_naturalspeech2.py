"""Amphion's names of what NaturalSpeech 2 is made of -> ours."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from aoide.nn.official import replaced

_NAMES = {
    "prior_encoder.enc_emb_tokens.": "embed.",
    "prior_encoder.encoder.layers.": "encoder.",
    "prior_encoder.encoder.last_ln.": "encoder_norm.",
    "prompt_encoder.layers.": "prompt.",
    "prompt_encoder.last_ln.": "prompt_norm.",
    "prompt_lin.": "prompt_in.",
    "self_attn.in_proj_": "attention.project.",
    "self_attn.out_proj.": "attention.out.",
    ".ln_1.": ".attention_norm.",
    ".ln_2.": ".conv_norm.",
    "ffn.ffn_1.": "expand.",
    "ffn.ffn_2.": "contract.",
    "prior_encoder.duration_predictor.": "duration.",
    "prior_encoder.pitch_predictor.": "pitch.",
    "prior_encoder.pitch_embedding.": "pitches.",
    "prior_encoder.pitch_bins": "edges",
    "query_emb.weight": "questions",
    "query_attn.": "ask.heads.",
    "diffusion.diff_estimator.": "wavenet.",
    "wavenet.in_proj.": "wavenet.embed.",
    "wavenet.mlp.": "wavenet.time.mlp.",
    "wavenet.cond_ln.": "wavenet.norm.",
    "wavenet.skip_proj.": "wavenet.skip.",
    ".dilated_conv.": ".conv.",
    ".diffusion_proj.": ".time.",
    ".cond_proj.": ".condition.",
    ".film.": ".",
    ".attn.": ".listen.heads.",
    ".ln.": ".norm.",
    ".linear.": ".out.",
}
_ONES = ("embed.weight", "skip.weight", "condition.weight", "out.weight")  # convolutions of one frame: linear here


def tables(state: Mapping[str, Tensor]) -> Tensor:
    """The code vectors of the first 16 books of EnCodec's quantiser, which the checkpoint holds whole."""
    kept = {int(key.split(".")[3]): value for key, value in state.items() if key.endswith("._codebook.embed")}
    return torch.stack([kept[number] for number in sorted(kept)][:16])


def keys(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The state dict under our names, but for the codec's tables."""
    renamed = {}
    for key, value in state.items():
        if key.endswith(".pe") or key.startswith("quantizer.") or key == "prior_encoder.encoder.enc_emb_tokens.weight":
            continue  # a table of sines, computed here; the codec's statistics; one table under two names
        name = _name(replaced(key, _NAMES))
        flat = value.ndim == 3 and value.shape[2] == 1 and name.endswith(_ONES)
        renamed[name] = value[..., 0] if flat else value
    return renamed


def _name(key: str) -> str:
    parts = key.split(".")
    if parts[0] in ("duration", "pitch") and parts[1] in ("conv", "cattn"):
        return _of_predictor(parts)
    if parts[0] == "wavenet" and parts[-2] == "out_proj" and parts[-3] != "heads":
        return ".".join([*parts[:-2], "out", parts[-1]])
    return key


def _of_predictor(parts: list[str]) -> str:
    """conv.N.0 -> convs.N, conv.N.2 -> norms.N, cattn.N.0 -> listen.N.heads, cattn.N.1 -> listen_norms.N."""
    who, kind, number, place, *rest = parts
    names = {"conv": {"0": "convs", "2": "norms"}, "cattn": {"0": "listen", "1": "listen_norms"}}
    inner = ["heads"] if kind == "cattn" and place == "0" else []
    return ".".join([who, names[kind][place], number, *inner, *rest])
