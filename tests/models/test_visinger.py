"""VISinger: notes keep their time, a fresh singer sings what is written, F0 is heard, padding, seeds, learning."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from aoide.config import UserError
from aoide.models.svs import visinger
from aoide.models.svs.visinger import TOY
from aoide.nn.singing import hertz, note_groups
from aoide.objectives import inputs, named_losses


def build(config: visinger.Config = TOY, awake: bool = True) -> visinger.Model:
    torch.manual_seed(0)
    model = visinger.Model(config).eval()
    for parameter in model.parameters() if awake else ():
        parameter.data.add_(0.1 * torch.randn_like(parameter))
    return model


def batch() -> dict[str, Tensor]:
    return visinger.example(TOY, generator=torch.Generator().manual_seed(1))


def score(**changes: Any) -> dict[str, Any]:
    names = ("tokens", "token_mask", "words", "notes", "note_durations", "speaker")
    return {name: value for name, value in batch().items() if name in names} | changes


# --------------------------------------------------------------------------------------------------------------- notes


def test_which_note_a_phoneme_belongs_to() -> None:
    words = torch.tensor([[1, 1, 2, 2, 2, 3, 3]])
    notes = torch.tensor([[60, 60, 60, 60, 62, 62, 62]])
    lasts = torch.tensor([[9, 9, 9, 9, 9, 9, 9]])
    assert note_groups(words, notes, lasts).tolist() == [[0, 0, 1, 1, 2, 3, 3]]
    assert note_groups(words, 0 * notes, lasts).tolist() == [[0, 0, 1, 1, 1, 2, 2]]
    slurs = torch.tensor([[0, 0, 0, 1, 0, 0, 0]])
    assert note_groups(words, 0 * notes, lasts, slurs).tolist() == [[0, 0, 1, 2, 2, 3, 3]]
    longer = torch.tensor([[9, 9, 9, 9, 9, 9, 4]])
    assert note_groups(words, notes, longer).tolist() == [[0, 0, 1, 1, 2, 3, 4]]


@torch.no_grad()
def test_each_note_lasts_as_long_as_it_is_written() -> None:
    model = build()
    words = torch.tensor([[1, 1, 1, 2, 2, 3], [1, 2, 2, 2, 2, 3]])
    lasts = torch.tensor([[17, 17, 17, 5, 5, 30], [4, 50, 50, 50, 50, 7]])
    sung = model.perform(**score(words=words, notes=60 + words, note_durations=lasts))
    totals = torch.zeros(2, 4, dtype=torch.int64).scatter_add(1, words, sung.durations)[:, 1:]
    assert totals.tolist() == [[17, 5, 30], [4, 50, 7]]
    assert sung.durations.min() >= 0 and sung.frame_mask.sum(1).tolist() == [52, 61]
    told = model.tell(**score(words=words, notes=60 + words, note_durations=lasts))
    assert torch.equal(told.durations, sung.durations) and torch.equal(told.f0 * told.voiced, sung.f0)
    assert sung.audio.shape == (2, 61 * TOY.mel.hop) and not sung.audio[0, 52 * TOY.mel.hop :].any()


@torch.no_grad()
def test_a_fresh_singer_sings_the_notes_as_they_are_written() -> None:
    model, given = build(awake=False), batch()["durations"]
    notes = batch()["notes"].clone()
    notes[:, 2:4] = 0  # a rest in the middle: a line is drawn over it
    sung = model.perform(**score(notes=notes), durations=given)
    frames = notes.repeat_interleave(given[0], dim=1)
    there = frames > 0
    torch.testing.assert_close(sung.f0[there], hertz(frames[there].float()))
    first, last = frames[0, 7], frames[0, 16]
    line = first + (last - first) * torch.arange(1, 9) / 9
    torch.testing.assert_close(12 * (sung.f0[0, 8:16] / 440).log2() + 69, line, atol=1e-3, rtol=0)
    higher = model.perform(**score(notes=torch.where(notes > 0, notes + 12, 0)), durations=given)
    torch.testing.assert_close(higher.f0, 2 * sung.f0, rtol=1e-5, atol=0)


# -------------------------------------------------------------------------------------------------------------- singing


@torch.no_grad()
def test_f0_that_is_given_goes_before_and_is_heard() -> None:
    model, clip = build(), batch()
    given = clip["tokens"], clip["token_mask"], clip["durations"]
    f0 = torch.full((2, 24), 400.0)
    settings = {"speaker": clip["speaker"], "variety": 0.0}

    def sing(f0: Tensor, seed: int = 0, **more: Any) -> Tensor:
        return model.sing(*given, f0, **settings, **more, generator=torch.Generator().manual_seed(seed))

    plain = sing(f0)
    assert plain.shape == (2, 24 * TOY.mel.hop) and torch.equal(plain, sing(f0))
    assert not torch.allclose(plain, sing(2 * f0)) and not torch.allclose(plain, sing(f0, seed=1))
    written = {"notes": torch.full((2, 6), 67), "note_durations": clip["durations"]}
    torch.testing.assert_close(plain, sing(f0, **written))  # 400 Hz is a G
    with pytest.raises(UserError, match="go together"):
        sing(f0, notes=written["notes"])
    with pytest.raises(ValueError, match="3 singers: say which one"):
        model.sing(*given, f0)


@torch.no_grad()
def test_a_phrase_sings_alone_as_beside_a_longer_one() -> None:
    model = build()
    fields = score()
    fields = {name: value.clone() for name, value in fields.items()}
    fields["token_mask"][1, 4:] = False
    for name in ("tokens", "words", "notes", "note_durations"):
        fields[name][1, 4:] = 0
    draw = torch.Generator().manual_seed(0)
    noises = {"noise": torch.randn(2, 24, 6, generator=draw)}
    noises["source_noise"] = torch.randn(2, 24, TOY.decoder.noise, generator=draw)
    both = model.perform(**fields, **noises)
    cut = {name: value[1:, :4] if value.ndim > 1 else value[1:] for name, value in fields.items()}
    alone = model.perform(**cut, **{name: value[1:, :16] for name, value in noises.items()})
    assert torch.equal(both.durations[1:, :4], alone.durations) and both.frame_mask.sum(1).tolist() == [24, 16]
    torch.testing.assert_close(both.f0[1:, :16], alone.f0, atol=1e-3, rtol=1e-5)
    torch.testing.assert_close(both.audio[1:, : 16 * TOY.mel.hop], alone.audio, atol=1e-4, rtol=1e-3)
    assert not both.audio[1, 16 * TOY.mel.hop :].any() and not both.f0[1, 16:].any()


# ------------------------------------------------------------------------------------------------------------- learning


def tone() -> dict[str, Tensor]:
    """A clip whose sound is what its notes say: five harmonics, with vibrato."""
    clip = batch()
    clip["notes"] = torch.tensor([[60, 60, 64, 64, 67, 67], [72, 72, 65, 65, 60, 60]])
    frames = clip["notes"].repeat_interleave(clip["durations"][0], dim=1)
    time = torch.arange(24)
    clip["f0"] = hertz(frames + 0.5 * torch.sin(2 * math.pi * time / 8))
    phase = 2 * math.pi * (clip["f0"].repeat_interleave(16, dim=1) / 8_000).cumsum(1)
    clip["audio"] = 0.1 * sum(torch.cos(n * phase) for n in range(1, 6))
    return clip


@pytest.mark.slow  # 3 s
def test_learns_a_clip() -> None:
    model, clip = build(awake=False), tone()
    judges = named_losses(visinger, TOY, visinger.TRAINING.weights)
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-2)
    log = []
    for _ in range(60):
        output = model(**inputs(visinger, clip))
        losses = {name: visinger.TRAINING.weights[name] * loss(output, clip) for name, loss in judges.items()}
        optimiser.zero_grad()
        torch.stack([*losses.values()]).sum().backward()
        optimiser.step()
        log.append({name: float(value.detach()) for name, value in losses.items()})
    first, last = log[0], log[-1]
    assert set(first) == {"mel", "kl", "duration", "pitch", "voicing", "phoneme"}
    for name, share in {"mel": 0.3, "kl": 0.2, "duration": 0.1, "pitch": 0.7, "voicing": 0.1, "phoneme": 0.2}.items():
        assert last[name] < share * first[name], name


def test_bad_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="mel.hop is 32"):
        replace(TOY, mel=replace(TOY.mel, hop=32))
    with pytest.raises(ValueError, match="latent be even"):
        replace(TOY, latent=5)
    with pytest.raises(ValueError, match="number of frames"):
        replace(TOY, segment=0)
