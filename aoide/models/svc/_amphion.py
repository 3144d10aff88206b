"""What Amphion's models of singing voice conversion share: their mel, their checkpoints, an example of their fields."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from aoide.audio.mel import MelConfig
from aoide.nn.conversion import Conditions
from aoide.nn.official import amphion_mel

MEL = amphion_mel({})  # 24 kHz, 100 bands
LOW, HIGH = (-11.52,), (2.0,)  # log mel of silence and of the loudest band, where no extremes are known


def parts(state: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """A checkpoint's condition encoder and its acoustic model, without the "0." and "1." before their keys."""
    both = [{}, {}]  # type: list[dict[str, Tensor]]
    for key, value in state.items():
        number, _, rest = key.partition(".")
        both[number == "1"][rest if number in "01" else key] = value
    return both[0], both[1]


def mel_of(config: Mapping[str, Any]) -> tuple[MelConfig, tuple[float, ...], tuple[float, ...]]:
    """The mel, and its extremes band by band where the configuration has been given them."""
    mel = amphion_mel(config.get("preprocess", {}))
    return mel, tuple(config.get("mel_min", LOW)), tuple(config.get("mel_max", HIGH))


def real(batch: Mapping[str, Any]) -> Tensor:
    """Which frames of the recorded mel are real, (batch, frames): all, where the data cut segments."""
    mel = batch["mel"]
    return batch["frame_mask"] if "frame_mask" in batch else mel.new_ones(mel.shape[:2], dtype=torch.bool)


def steers(conditions: Conditions, mel: MelConfig, batch: int, generator: torch.Generator | None) -> dict[str, Tensor]:
    """What stands in a batch of 20 frames: all that steers, and the recorded mel."""
    shape = (batch, 20)
    fields = {
        "content": torch.randn(*shape, sum(conditions.content.values()), generator=generator),
        "f0": (200 + 200 * torch.rand(shape, generator=generator)) * (torch.rand(shape, generator=generator) > 0.3),
        "energy": torch.rand(shape, generator=generator).mul(8).sub(4).exp(),
        "mel": torch.randn(*shape, mel.n_mels, generator=generator) - 5,
        "frame_mask": torch.ones(shape, dtype=torch.bool),
    }
    if conditions.speakers is not None:
        fields["speaker"] = torch.randint(0, conditions.speakers, (batch,), generator=generator)
    if conditions.speaker_vector is not None:
        fields["speaker_vector"] = torch.randn(batch, conditions.speaker_vector, generator=generator)
    return fields
