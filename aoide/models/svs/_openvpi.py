"""openvpi's DiffSinger checkpoints: their configuration and keys in our words, for both models of this folder."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from aoide.config import UserError
from aoide.nn import denoise
from aoide.nn.denoise import Denoiser
from aoide.nn.singing import Positions
from aoide.objectives.diffusion import Process

CURVES = {"energy": "loudness", "breathiness": "breathiness", "voicing": "voicing", "tension": "tension"}


def constants_aside(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A checkpoint's state dict without the prefix "model." and without what follows from the configuration: noise
    schedules, spans, position codes.
    """
    bare = {key.removeprefix("model."): value for key, value in state.items()}
    return {key: value for key, value in bare.items() if not _is_constant(key.split("."))}


def _is_constant(parts: list[str]) -> bool:
    schedule = len(parts) == 2 and parts[0] in ("diffusion", "pitch_predictor", "variance_predictor")
    return schedule or parts[-1] in ("inv_freq", "cached_freqs", "_float_tensor")


def positions(config: Mapping[str, Any]) -> Positions:
    """openvpi's position code."""
    if not config.get("use_pos_embed", True):
        return "none"
    if config.get("use_rope"):
        return "neighbours" if config.get("rope_interleaved", True) else "halves"
    return "backwards" if config.get("rel_pos") else "forwards"


def process(config: Mapping[str, Any]) -> Process:
    """openvpi's noise schedule."""
    return Process(
        schedule=config.get("schedule_type", "linear"),
        steps=config.get("timesteps", 1000),
        last=config.get("max_beta", 0.02),
    )


def denoiser(kind: str, sizes: Mapping[str, Any]) -> Denoiser:
    """openvpi's backbone_type and backbone_args.

    Raises:
        UserError: a backbone that is not known here.
    """
    if kind not in denoise.NETWORKS:
        raise UserError(f"this DiffSinger checkpoint has the backbone {kind}; known are {', '.join(denoise.NETWORKS)}")
    return Denoiser(
        kind=kind,  # type: ignore[arg-type]
        channels=sizes["num_channels"],
        layers=sizes["num_layers"],
        cycle=sizes.get("dilation_cycle_length", 4),
        kernel=sizes.get("kernel_size", 31),
        expansion=sizes.get("expansion_factor", 1 if kind == "lynxnet2" else 2),
        gate="arctan" if sizes.get("glu_type") == "atanglu" else "swish",
        activation=(sizes.get("activation") or "PReLU").lower(),  # type: ignore[arg-type]
        strong=bool(sizes.get("strong_cond")),
        dropout=sizes.get("dropout_rate", 0.0),
    )


def encoder_keys(state: Mapping[str, Tensor], ours: str) -> dict[str, Tensor]:
    """The keys of openvpi's FastSpeech2Encoder -> those of `Encoder`, with `ours` before them."""
    parts = {
        "op.layer_norm1": "attention_norm",
        "op.self_attn.in_proj": "attention.project",
        "op.self_attn.out_proj": "attention.out",
        "op.layer_norm2": "conv_norm",
        "op.ffn.ffn_1": "expand",
        "op.ffn.ffn_2": "contract",
    }
    renamed = {}
    for key, value in state.items():
        stem, _, kind = key.rpartition(".")
        if stem.startswith("layers."):
            _, layer, part = stem.split(".", 2)
            kind = "weight" if kind == "in_proj_weight" else kind
            part = "op.self_attn.in_proj" if part == "op.self_attn" else part
            stem = f"blocks.{layer}.{parts.get(part, part)}"
        renamed[f"{ours}{'norm' if stem == 'layer_norm' else stem}.{kind}"] = value
    return renamed


def part_of(state: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """What stands under a prefix, without it."""
    return {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}


def acoustic_keys(state: Mapping[str, Tensor], method: str, settings: Denoiser) -> dict[str, Tensor]:
    """The keys of the acoustic model -> those of `diffsinger.Model`."""
    velocity = "diffusion.velocity_fn." if method == "flow" else "diffusion.denoise_fn."
    names = {
        "fs2.txt_embed": "embed",
        "fs2.lang_embed": "languages",
        "fs2.spk_embed": "speakers",
        "fs2.dur_embed": "duration",
        "fs2.pitch_embed": "pitch",
        "fs2.stretch_embed.1": "stretch.embed.mlp.0",
        "fs2.stretch_embed.3": "stretch.embed.mlp.2",
        "fs2.stretch_embed_rnn": "stretch.gru",
        "fs2.key_shift_embed": "curves.key_shift",
        "fs2.speed_embed": "curves.speed",
        "aux_decoder.decoder.inconv": "first.embed",
        "aux_decoder.decoder.outconv": "first.out",
    }
    names |= {f"fs2.variance_embeds.{theirs}": f"curves.{ours}" for theirs, ours in CURVES.items()}
    blocks = {"dwconv": "depthwise", "norm": "norm", "pwconv1": "mlp.expand", "pwconv2": "mlp.contract"}
    renamed = denoise.official(part_of(state, velocity), settings, "denoiser.")
    renamed |= encoder_keys(part_of(state, "fs2.encoder."), "encoder.")
    for key, value in state.items():
        if key.startswith((velocity, "fs2.encoder.")):
            continue
        stem, _, kind = key.rpartition(".")
        if stem.startswith("aux_decoder.decoder.conv."):
            layer, _, part = stem.removeprefix("aux_decoder.decoder.conv.").partition(".")
            stem, kind = (
                (f"first.blocks.{layer}.{blocks[part]}", kind) if part else (f"first.blocks.{layer}.mlp", "scale")
            )
        renamed[f"{names.get(stem, stem)}.{kind}"] = value
    return renamed


def variance_keys(state: Mapping[str, Tensor], settings: Any) -> dict[str, Tensor]:
    """The keys of the variance model -> those of `diffsinger_variance.Model` with these settings."""
    network = "velocity_fn." if settings.method == "flow" else "denoise_fn."
    taken = {"fs2.encoder.": "encoder.", "melody_encoder.encoder.": "melody.encoder."}
    renamed: dict[str, Tensor] = {}
    for theirs, ours in taken.items():
        renamed |= encoder_keys(part_of(state, theirs), ours)
    for theirs, ours, drawn in (("pitch", "pitch", settings.pitch), ("variance", "varied", settings.varied)):
        prefix = f"{theirs}_predictor.{network}"
        taken[prefix] = ""
        if drawn is not None:
            renamed |= denoise.official(part_of(state, prefix), drawn.denoiser, f"{ours}.denoiser.")
    names = {
        "fs2.txt_embed": "embed",
        "fs2.lang_embed": "languages",
        "fs2.onset_embed": "onset",
        "fs2.word_dur_embed": "lasting",
        "fs2.ph_dur_embed": "lasting",
        "fs2.midi_embed": "midi",
        "fs2.dur_predictor.linear": "duration.out",
        "fs2.dur_predictor.res_conv": "duration.widen",
        "spk_embed": "speakers",
        "stretch_embed.1": "stretch.embed.mlp.0",
        "stretch_embed.3": "stretch.embed.mlp.2",
        "stretch_embed_rnn": "stretch.gru",
        "melody_encoder.note_midi_embed": "melody.pitch",
        "melody_encoder.note_dur_embed": "melody.duration",
        "melody_encoder.note_glide_embed": "melody.glide",
        "melody_encoder.out_proj": "melody.out",
        "delta_pitch_embed": "line",
        "base_pitch_embed": "line",
        "pitch_retake_embed": "retake",
        "pitch_embed": "around",
    }
    names |= {f"variance_embeds.{theirs}": f"kept.{ours}" for theirs, ours in CURVES.items()}
    residual = settings.durations is None or settings.durations.residual
    parts = {"0": "norms", "1": "convs", "3": "mixers"} if residual else {"1": "convs", "3": "norms"}
    for key, value in state.items():
        if key.startswith(tuple(taken)):
            continue
        stem, _, kind = key.rpartition(".")
        if stem.startswith("fs2.dur_predictor.conv."):
            layer, part = stem.removeprefix("fs2.dur_predictor.conv.").split(".")
            stem = f"duration.{parts.get(part, part)}.{layer}"
        linear = stem.startswith("duration.mixers") or stem == "fs2.dur_predictor.res_conv"
        renamed[f"{names.get(stem, stem)}.{kind}"] = value[..., 0] if linear and kind == "weight" else value
    return renamed
