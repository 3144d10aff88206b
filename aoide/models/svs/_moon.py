"""Checkpoints of DiffSinger's authors: their configuration and keys in our words, for `diffsinger_moon`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from aoide.audio.mel import MelConfig
from aoide.config import UserError
from aoide.models.svs import _openvpi
from aoide.nn import denoise
from aoide.nn.denoise import Denoiser

_NAMES = {
    "fs2.encoder_embed_tokens": "embed",
    "fs2.midi_embed": "notes",
    "fs2.midi_dur_layer": "lasting",
    "fs2.is_slur_embed": "slurs",
    "fs2.spk_embed_proj": "speakers",
    "fs2.dur_predictor.linear": "duration.out",
    "fs2.pitch_embed": "height",
    "fs2.pitch_predictor.linear": "pitch.out",
    "fs2.mel_out": "first.out",
}
_PLACES = {"fs2.pitch_predictor.pos_embed_alpha": "pitch.place", "fs2.decoder.pos_embed_alpha": "first.place"}
_PARTS = {"1": "convs", "3": "norms"}
_STACKS = {"fs2.dur_predictor.conv.": "duration.", "fs2.pitch_predictor.conv.": "pitch."}


def span(state: Mapping[str, Tensor], config: Mapping[str, Any], name: str) -> tuple[float, ...]:
    """`spec_min` or `spec_max`: of the state, or else of the configuration."""
    values = state[name].flatten().tolist() if name in state else list(config[name])
    return tuple(map(float, values))


def mel(config: Mapping[str, Any]) -> MelConfig:
    """The mel of their configuration."""
    return MelConfig(
        sample_rate=config["audio_sample_rate"],
        n_fft=config["fft_size"],
        hop=config["hop_size"],
        win=config["win_size"],
        n_mels=config["audio_num_mel_bins"],
        fmin=config["fmin"],
        fmax=config["fmax"],
        scale="slaney",
        norm="slaney",
        floor=float(config.get("wav2spec_eps", 1e-10)),
        log="log10",
    )


def keys(state: Mapping[str, Tensor], settings: Denoiser, first: bool) -> dict[str, Tensor]:
    """Their keys -> those of `diffsinger_moon.Model`. What follows from the configuration is left out, and the second
    copy of the phoneme table.

    Args:
        first: with the decoder of the first mel.

    Raises:
        UserError: the two copies differ.
    """
    twin, table = "fs2.encoder.embed_tokens.weight", state["fs2.encoder_embed_tokens.weight"]
    if not torch.equal(state.get(twin, table), table):
        raise UserError("this DiffSinger checkpoint has two phoneme tables that differ")
    kept = {key: value for key, value in state.items() if key != twin and "." in key and "_float_tensor" not in key}
    if not first:
        kept = {key: value for key, value in kept.items() if not key.startswith(("fs2.decoder.", "fs2.mel_out."))}
    renamed = denoise.official(_openvpi.part_of(kept, "denoise_fn."), settings, "denoiser.")
    renamed |= _openvpi.encoder_keys(_openvpi.part_of(kept, "fs2.encoder."), "encoder.")
    blocks = {key: value for key, value in kept.items() if key not in _PLACES}
    renamed |= _openvpi.encoder_keys(_openvpi.part_of(blocks, "fs2.decoder."), "first.")
    for key, value in kept.items():
        stem, _, kind = key.rpartition(".")
        stack = next((name for name in _STACKS if stem.startswith(name)), None)
        if key in _PLACES:
            renamed[_PLACES[key]] = value
        elif stack is not None:
            layer, part = stem.removeprefix(stack).split(".")
            renamed[f"{_STACKS[stack]}{_PARTS.get(part, part)}.{layer}.{kind}"] = value
        elif not key.startswith(("denoise_fn.", "fs2.encoder.", "fs2.decoder.")):
            renamed[f"{_NAMES.get(stem, stem)}.{kind}"] = value
    return renamed
