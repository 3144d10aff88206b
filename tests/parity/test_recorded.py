"""Noro, CosyVoice 2's flow and its vocoder against their original code, of which no packs exist: by kept numbers.

tests/fixtures/official_speech.json holds the names and shapes of the original state dicts and what came out, with
weights and inputs by formula (tests/parity/formula.py).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from aoide.models.tts import cosyvoice2_flow
from aoide.models.vc import noro
from aoide.models.vocoder import hift
from tests.parity.formula import fill, wavy

FIXTURE = Path(__file__).parents[1] / "fixtures" / "official_speech.json"


def recorded(name: str) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """What is kept of an original, and its state dict."""
    kept = json.loads(FIXTURE.read_text("utf-8"))[name]
    return kept, fill({key: torch.empty(shape) for key, shape in kept["shapes"].items()})


def close(got: Tensor, want: list[Any]) -> None:
    torch.testing.assert_close(got, torch.tensor(want), atol=3e-5, rtol=1e-4)


@torch.no_grad()
def test_noro() -> None:
    kept, state = recorded("noro")
    model = noro.from_official(state, kept["config"]).eval()
    content, f0, prompt = wavy((1, 9, 7), 1), 150 + 50 * wavy((1, 9), 2), 2 * wavy((1, 7, 6), 3) - 4
    close(model.reference(prompt).mean(1)[0], kept["voice"])
    close(model.speak(content, f0, prompt, steps=4, noise=2 * wavy((1, 9, 6), 4))[0], kept["mel"])


@torch.no_grad()
def test_cosyvoices_flow() -> None:
    kept, state = recorded("cosyvoice2_flow")
    model = cosyvoice2_flow.from_official(state, {}).eval()
    model.encoder.chunk, model.decoder.chunk = 3, 6  # as it was recorded: chunks so short that they matter
    codes, prompt_codes = (
        (wavy((1, count), number) * 25 + 25).long().clamp(0, 49) for count, number in ((7, 1), (3, 2))
    )
    prompt, voice = wavy((1, 6, 80), 3) - 4, wavy((1, 192), 4)
    for name, chunked in (("whole", False), ("streamed", True)):
        noise = 2 * wavy((1, 20, 80), 5)
        mel = model.speak(codes[..., None], prompt_codes[..., None], prompt, voice, chunked=chunked, noise=noise)
        close(mel[0, :, ::8], kept[name])


@torch.no_grad()
def test_cosyvoices_vocoder() -> None:
    kept, state = recorded("hift")
    for key, value in state.items():  # by the formula alone the sound would be clipped
        value.mul_(0.05 if key.startswith("conv_post") and key.endswith("original0") else 1.0)
        value.add_(1.0 if key.endswith("alpha") else 0.0)
    model = hift.from_official(state, {}).eval()
    mel, given = wavy((1, 12, 8), 3) - 1, 200 + 80 * wavy((1, 12), 4)
    given[:, 4:6] = 0
    close(model.f0(mel)[0], kept["f0"])
    source = model.source(mel, given)
    source[..., hift.STATE :] = 0.0  # the noise, whose draws are other ones
    model.merge.weight.copy_(torch.eye(9)[:1])
    model.merge.bias.zero_()
    voiced = (given[0] > 0).repeat_interleave(480)[::97]
    sines = torch.tensor(kept["sines"])[:, 0] * voiced * 0.1
    torch.testing.assert_close(model.excitation(source)[0, ::97], torch.tanh(sines), atol=2e-4, rtol=1e-3)
    close(model.filtered(mel, 0.3 * wavy((1, 12 * 480), 6))[0, ::97], kept["sound"])
