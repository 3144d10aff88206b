"""MLP Singer: learns a clip, chunks that know nothing of each other, their overlap, notes and rests, published keys."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from aoide.config import UserError
from aoide.models.svs import mlpsinger
from aoide.models.svs.mlpsinger import TOY
from aoide.objectives import inputs


def build(config: mlpsinger.Config = TOY) -> mlpsinger.Model:
    torch.manual_seed(0)
    return mlpsinger.Model(config).eval()


def batch() -> dict[str, Tensor]:
    return mlpsinger.example(TOY, generator=torch.Generator().manual_seed(1))


def test_learns_a_clip() -> None:
    model, clip = build(), batch()
    clip["mel"] = clip["mel"].cumsum(1) / 3
    optimiser = torch.optim.Adam(model.parameters(), lr=2e-2)
    losses = []
    for _ in range(40):
        loss = mlpsinger.mel_loss(model(**inputs(mlpsinger, clip)), clip)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.2 * losses[0], "an MLP that mixes 12 frames knows 28 of them by heart"


@torch.no_grad()
def test_chunks_know_nothing_of_each_other() -> None:
    model, clip = build(), batch()
    plain = model(**inputs(mlpsinger, clip)).mel
    notes = clip["notes"].clone()
    notes[:, 6] = 60  # frames 24 to 27, in the third chunk of 12
    other = model(**inputs(mlpsinger, clip | {"notes": notes})).mel
    assert torch.equal(plain[:, :24], other[:, :24]) and not torch.allclose(plain[:, 24:], other[:, 24:])
    notes[:, 6], notes[:, 3] = 0, 60  # frames 12 to 15: all of the second chunk hears it
    other = model(**inputs(mlpsinger, clip | {"notes": notes})).mel
    changed = (plain != other).any(2).all(0)
    assert changed.tolist() == 12 * [False] + 12 * [True] + 4 * [False]


@torch.no_grad()
def test_overlapping_chunks_keep_their_middles() -> None:
    model = build()
    draw = torch.Generator().manual_seed(2)
    tokens, notes = (torch.randint(0, most, (1, 27), generator=draw) for most in (TOY.symbols, TOY.notes))
    mel = model.decode(tokens, notes, overlap=3)  # chunks of 12 begin every 6 frames: at 0, 6, 12, 18
    padded = [torch.nn.functional.pad(x, (0, 3)) for x in (tokens, notes)]
    chunks = [model.decode(*(x[:, start : start + 12] for x in padded)) for start in (0, 6, 12, 18)]
    joined = [chunks[0][:, :9], chunks[1][:, 3:9], chunks[2][:, 3:9], chunks[3][:, 3:9]]
    torch.testing.assert_close(mel, torch.cat(joined, dim=1))
    short = tokens[:, :11], notes[:, :11]
    assert torch.equal(model.decode(*short, overlap=3), model.decode(*short)), "one chunk has no neighbour"
    with pytest.raises(ValueError, match="chunks of 12 frames cannot overlap by 6"):
        model.decode(tokens, notes, overlap=6)


@torch.no_grad()
def test_notes_are_semitones_within_the_range() -> None:
    model, low, high = build(), TOY.lowest, TOY.lowest + TOY.notes - 1
    notes = torch.tensor([[0.0, low, low + 0.4, low + 0.6, high, high + 5, low - 9]])
    assert model.places(notes).tolist() == [[0, 1, 1, 2, TOY.notes, TOY.notes, 1]]


@torch.no_grad()
def test_sings_what_is_heard_in_f0_where_there_is_no_score() -> None:
    model, clip = build(), batch()
    f0 = torch.where(clip["notes"] > 0, 440 * 2 ** ((clip["notes"] - 69.2) / 12), 0.0).repeat_interleave(4, dim=1)
    given = clip["tokens"], clip["token_mask"], clip["durations"]
    assert torch.equal(model.sing(*given, f0), model.sing(*given, f0, notes=clip["notes"]))
    higher = model.sing(*given, f0, notes=torch.where(clip["notes"] > 0, clip["notes"] + 1, 0))
    assert not torch.allclose(model.sing(*given, f0), higher)
    mask = torch.arange(28) < torch.tensor([[28], [20]])
    assert (model.sing(*given, f0, frame_mask=mask)[1, 20:] == TOY.mel.silence).all()


PUBLISHED = {
    "num_pitch": 26, "d_pitch": 4, "num_phone": 47, "d_phone": 8, "mel_dim": 10, "num_layers": 2, "seq_len": 12,
    "expansion_factor": 2, "dropout": 0.5,
}  # fmt: skip


def published() -> dict[str, Tensor]:
    """A state dict with the names and shapes of the published one."""
    shapes: dict[str, tuple[int, ...]] = {
        "text_embed.weight": (47, 8), "pitch_embed.weight": (26, 4), "embed.weight": (12, 12), "embed.bias": (12,),
        "proj.weight": (10, 12), "proj.bias": (10,),
    }  # fmt: skip
    for layer in range(2):
        for mixer in ("token_mixer", "channel_mixer"):
            part = f"decoder.model.{layer}.{mixer}"
            shapes |= {f"{part}.norm.weight": (12,), f"{part}.norm.bias": (12,)}
            shapes |= {f"{part}.mlp.fc1.weight": (24, 12), f"{part}.mlp.fc1.bias": (24,)}
            shapes |= {f"{part}.mlp.fc2.weight": (12, 24), f"{part}.mlp.fc2.bias": (12,)}
    draw = torch.Generator().manual_seed(0)
    return {key: torch.randn(shape, generator=draw) for key, shape in shapes.items()}


@torch.no_grad()
def test_published_weights_load_and_compute_what_they_did() -> None:
    state = published()
    model = mlpsinger.from_official(state, {"model": PUBLISHED, "name": "default"}).eval()
    assert model.config.lowest == 53 and model.config.notes == 25 and model.config.chunk == 12
    draw = torch.Generator().manual_seed(1)
    tokens, notes = (torch.randint(0, most, (2, 12), generator=draw) for most in (47, 26))
    functional = torch.nn.functional

    def linear(x: Tensor, name: str) -> Tensor:
        return functional.linear(x, state[f"{name}.weight"], state[f"{name}.bias"])

    def mixed(x: Tensor, part: str) -> Tensor:
        return linear(functional.gelu(linear(x, f"{part}.mlp.fc1")), f"{part}.mlp.fc2")

    def normal(x: Tensor, part: str) -> Tensor:
        return functional.layer_norm(x, (12,), state[f"{part}.norm.weight"], state[f"{part}.norm.bias"])

    x = linear(torch.cat([state["text_embed.weight"][tokens], state["pitch_embed.weight"][notes]], dim=-1), "embed")
    for layer in range(2):
        part = f"decoder.model.{layer}.token_mixer"
        x = x + mixed(normal(x, part).transpose(1, 2), part).transpose(1, 2)
        part = f"decoder.model.{layer}.channel_mixer"
        x = x + mixed(normal(x, part), part)
    torch.testing.assert_close(model.decode(tokens, notes), linear(x, "proj"), atol=1e-4, rtol=1e-4)
    file = {f"model.{key}": value for key, value in state.items()} | {"optimizer.state.0.exp_avg": torch.ones(1)}
    again = mlpsinger.from_official(file, PUBLISHED).state_dict()
    assert all(torch.equal(value, again[key]) for key, value in model.state_dict().items())


def test_what_does_not_fit_is_told() -> None:
    with pytest.raises(UserError, match="MLP Singer checkpoint does not fit.*beyond the model strange.weight"):
        mlpsinger.from_official(published() | {"strange.weight": torch.ones(1)}, PUBLISHED)
    with pytest.raises(UserError, match="no configuration of MLP Singer: it has no num_phone"):
        mlpsinger.from_official(published(), {"d_model": 4})
    with pytest.raises(ValueError, match="1 or more"):
        replace(TOY, layers=0)
