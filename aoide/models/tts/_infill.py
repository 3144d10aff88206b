"""What F5, E2 and MMDiT have in common: speech is a mel with a hole, and the text of all of it says what was there.

In training most of a clip is hidden at a place drawn anew each time, and the velocity there is what counts; for
guidance, the sound around the hole or all conditions are left out now and then. To speak like somebody, their recording
is what stands before the hole, and its text what stands before the text.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from aoide.audio.mel import MelConfig
from aoide.config import UserError
from aoide.nn.lengths import mask_from_lengths
from aoide.objectives import Batch, diffusion, flow

BYTES_OF_A_BREATH = 10  # shorter texts are spoken slower, as published
SLOW = 0.3

Told = Callable[[Tensor, Tensor | None, bool], flow.Velocity]


@dataclass(frozen=True, kw_only=True, slots=True)
class Concealment:
    """What a model in training is not told; the defaults are the paper's."""

    least: float = 0.7  # of a clip that is hidden
    most: float = 1.0
    drop_sound: float = 0.3  # how often it does not hear what stands around the hole
    drop_all: float = 0.2  # and how often it is not told the text either

    def __post_init__(self) -> None:
        if not 0 < self.least <= self.most <= 1:
            raise ValueError(f"0 < least <= most <= 1 does not hold for {self.least} and {self.most}")
        if not (0 <= self.drop_sound <= 1 and 0 <= self.drop_all <= 1):
            raise ValueError(f"drop_sound and drop_all are from 0 to 1, got {self.drop_sound} and {self.drop_all}")


def hole(lengths: Tensor, share: Tensor, place: Tensor, size: int) -> Tensor:
    """Which frames are hidden: (batch, size) bool.

    Args:
        lengths: (batch,) frames of each item.
        share: (batch,), of them that is hidden.
        place: (batch,) from 0 to below 1, where between the first and the last place possible.
    """
    hidden = (share * lengths).long().clamp(min=1)
    start = ((lengths - hidden) * place).long().clamp(min=0)[:, None]
    frame = torch.arange(size, device=lengths.device)
    return (frame >= start) & (frame < start + hidden[:, None])


def conceal(settings: Concealment, batch: Batch, generator: torch.Generator | None) -> dict[str, Tensor]:
    """The fields of training: `hidden` (batch, frames), `given` (batch, frames, mels) and `drop_text` (batch,)."""
    mel, mask = batch["mel"], batch["frame_mask"]
    share, place, sound, text = torch.rand(4, len(mel), generator=generator, device=mel.device)
    share = settings.least + (settings.most - settings.least) * share
    hidden = hole(mask.sum(1), share, place, mel.shape[1]) & mask
    drop_text = text < settings.drop_all
    unheard = hidden | ~mask | (drop_text | (sound < settings.drop_sound))[:, None]
    return {"hidden": hidden, "given": mel.masked_fill(unheard[..., None], 0.0), "drop_text": drop_text}


def frames_to_speak(prompt_text: str, text: str, prompt_frames: int, speed: float = 1.0) -> int:
    """How many frames a text takes after a prompt, by the published rule: as many for a byte as the prompt has.

    Raises:
        UserError: no prompt text, so that there is no pace to follow, or a speed that is not above 0.
    """
    told = len(prompt_text.encode("utf-8"))
    if not told or speed <= 0:
        raise UserError(f"the pace follows from the prompt's text ({told} bytes) and a speed above 0, got {speed}")
    length = len(text.encode("utf-8"))
    return int(prompt_frames / told * length / (SLOW if length < BYTES_OF_A_BREATH else speed))


def check_length(tokens: Tensor, frames: Tensor) -> None:
    """UserError where a text laid on the frames, a symbol each, is longer than they are."""
    said = (tokens != 0).sum(1)
    if bool((said >= frames).any()):
        item = int((said - frames).argmax())
        raise UserError(f"{int(frames[item])} frames cannot hold a text of {int(said[item])} symbols: ask for more")


def speak(  # noqa: PLR0913  (what steers a sampler)
    told: Told,
    prompt: Tensor,
    prompt_frames: Tensor,
    frames: Tensor,
    *,
    steps: int,
    guidance: float,
    sway: float,
    pruned: bool,
    solver: flow.Solver,
    noise: Tensor | None,
    generator: torch.Generator | None,
) -> Tensor:
    """Fills in what follows a prompt: (batch, frames, mels), the prompt at its head as it was.

    Args:
        told: (given (batch, frames, mels), mask (batch, frames) or None, whether both branches of the guidance come in
            one batch) -> the velocity under these conditions.
        prompt: (batch, prompt frames, mels). prompt_frames: (batch,) int64, how many of them are real.
        frames: (batch,) int64, with those of the prompt.
        noise: (batch, frames, mels), what to start from instead of drawing.

    Raises:
        UserError: a length that leaves nothing to say after the prompt.
    """
    if bool((frames <= prompt_frames).any()):
        raise UserError("each length counts the prompt's frames, so it must be more than those")
    size = int(frames.max())
    kept = mask_from_lengths(prompt_frames, size)[..., None]
    sound = functional.pad(prompt, (0, 0, 0, size - prompt.shape[1])) if size > prompt.shape[1] else prompt[:, :size]
    given = torch.where(kept, sound, 0.0)
    mask = mask_from_lengths(frames, size) if bool((frames < size).any()) else None
    if noise is None:
        noise = diffusion.draw(given.shape, generator, prompt.device)
        noise = noise if mask is None else noise.masked_fill(~mask[..., None], 0.0)
    call = flow.guided(told(given, mask, guidance != 0), guidance)
    times = flow.times(steps, sway=sway, pruned=pruned)
    return torch.where(kept, sound, flow.integrate(call, noise, times, solver))


def both(given: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The batch of a guided step: given and tokens twice, the second time without sound; and whose text is dropped."""
    drop = torch.arange(2 * len(given), device=given.device) >= len(given)
    return torch.cat([given, torch.zeros_like(given)]), torch.cat([tokens, tokens]), drop


def example(config: Any, batch: int, generator: torch.Generator | None) -> dict[str, Tensor]:
    """Random fields of training for a config with `symbols` and `mel`: a mel with a hole, and its text."""
    lengths = torch.tensor([19] * (batch - 1) + [15])
    mask = mask_from_lengths(lengths)
    token_mask = mask_from_lengths(lengths // 3)
    shape = (*mask.shape, config.mel.n_mels)
    fields = {
        "tokens": torch.randint(1, config.symbols, token_mask.shape, generator=generator) * token_mask,
        "token_mask": token_mask,
        "mel": torch.randn(shape, generator=generator) - 4,
        "frame_mask": mask,
        "noisy": torch.randn(shape, generator=generator),
        "time": torch.rand(batch, generator=generator),
    }
    return {**fields, **conceal(Concealment(drop_sound=0.0, drop_all=0.0), fields, generator)}


def twice(mask: Tensor | None, doubled: bool) -> Tensor | None:
    """A mask for the batch of a guided step."""
    return mask if mask is None or not doubled else torch.cat([mask, mask])


# ---------------------------------------------------------------------------------------------------- published weights


def sizes_of(config: Mapping[str, Any], usual: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The backbone's settings and the mel's of a configuration of F5-TTS, as its YAML has them or by themselves; of an
    empty one, which means the published weights, the `usual` ones.
    """
    if not config:
        return dict(usual), {}
    inside = config.get("model", config)
    arch = inside["arch"] if "arch" in inside else inside["transformer"]
    return dict(arch), dict(inside.get("mel_spec", {}))


def official_mel(settings: Mapping[str, Any], mels: int) -> MelConfig:
    """F5's two mels: that of Vocos, the default, and that of BigVGAN."""
    rate = settings.get("target_sample_rate", 24_000)
    sizes: dict[str, Any] = {
        "sample_rate": rate,
        "n_fft": settings.get("n_fft", 1024),
        "hop": settings.get("hop_length", 256),
        "win": settings.get("win_length", 1024),
        "n_mels": mels,
        "fmax": rate / 2,
    }
    if settings.get("mel_spec_type", "vocos") == "bigvgan":
        return MelConfig(**sizes, scale="slaney", norm="slaney", eps=1e-9, padding="same")
    return MelConfig(**sizes)


def refuse(arch: Mapping[str, Any], known: Collection[str], who: str) -> None:
    """UserError for a setting of a backbone that is not among those known, which would sound wrong without a word."""
    for name, value in arch.items():
        if name not in known and value not in (None, False, "torch", "flash_attn"):
            raise UserError(f"this {who} checkpoint has {name}: {value}, which is not known here")
