"""Models of songs: sizes as published, each way of sampling, what their settings refuse."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from aoide.models.codec import oobleck
from aoide.models.ttm import acestep, songflow


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def awake(model: Any) -> Any:
    """With weights that are nowhere 0."""
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.1)
    return model.eval()


@pytest.mark.sweep  # torch takes seconds to build anything without memory
@pytest.mark.parametrize(
    ("module", "config", "millions"),
    [
        (oobleck, oobleck.Config(), 156),
        # config/diffrhythm-1b.json; JAM: "530M parameters"; ACE-Step: 6.61 GB of 16 bits, of which 629 M numbers are
        # attention in its blocks that is built and never called
        (songflow, songflow.Config(symbols=364, stems=1, dim=2048, layers=16, heads=32, hidden=8192), 1105),
        (
            songflow,
            songflow.Config(
                **{"symbols": 257, "stems": 1, "dim": 1408, "layers": 16, "heads": 32, "hidden": 5632},
                **{"lyric_rate": 4, "told": ("start", "seconds", "share"), "ending": True},
            ),
            530,
        ),
        (acestep, acestep.Config(alike={"mert": 1024, "hubert": 768}), 3305 - 629),
    ],
    ids=["oobleck", "diffrhythm", "jam", "acestep"],
)
def test_published_sizes(module: Any, config: Any, millions: int) -> None:
    with torch.device("meta"):
        model = module.Model(config)
    assert sum(p.numel() for p in model.parameters()) / 1e6 == pytest.approx(millions, rel=0.02)


def told() -> dict[str, Tensor]:
    batch = acestep.example(acestep.TOY, generator=seeded())
    return {name: batch[name] for name in ("text", "lyric", "voice_vector", "text_mask", "lyric_mask")}


def test_each_way_of_sampling_differs_and_repeats() -> None:
    model = awake(acestep.Model(acestep.TOY))
    ways: dict[str, dict[str, Any]] = {
        "projected": {},
        "plain": {"way": "plain"},
        "rescaled": {"way": "rescaled"},
        "by the description and the lyrics": {"text_guidance": 2.0},
        "none": {"guidance": 1.0},
        "everywhere": {"middle": 1.0},
        "heun": {"sampler": "heun"},
        "ping pong": {"sampler": "ping_pong"},
        "even": {"omega": 0.0},
    }
    made = {
        name: model.compose(**told(), frames=12, steps=4, **{"guidance": 4.0, **way}, generator=seeded(1))
        for name, way in ways.items()
    }
    assert all(latents.shape == (2, 12, 6) and torch.isfinite(latents).all() for latents in made.values())
    names = list(made)
    for i, name in enumerate(names):
        assert all(not torch.allclose(made[name], made[other]) for other in names[:i]), name
    again = model.compose(**told(), frames=12, steps=4, guidance=4.0, generator=seeded(1))
    assert torch.equal(again, made["projected"])


def test_features_are_guessed_at_the_block_that_is_asked() -> None:
    config = replace(acestep.TOY, alike={"mert": 5}, alike_at=1)
    model = acestep.Model(config)
    batch = acestep.example(config, generator=seeded())
    wanted, mask = torch.randn(2, 30, 5), torch.ones(2, 30, dtype=torch.bool)
    mask[1, 20:] = False
    output = model(*(batch[name] for name in ("noisy", "time", "text", "lyric")), frame_mask=batch["frame_mask"])
    assert output.alike["mert"].shape == (2, 19, 5)
    with_masks = {"mert": wanted, "mert_mask": mask, "frame_mask": batch["frame_mask"]}
    loss = acestep.LOSSES["mert"](output, with_masks)
    noisier = {**with_masks, "mert": wanted.masked_fill(~mask[..., None], 9.0)}
    assert torch.equal(loss, acestep.LOSSES["mert"](output, noisier)), "padded features are not compared"
    loss.backward()
    assert model.alike["mert"][0].weight.grad is not None and model.blocks[1].mlp.contract.weight.grad is not None
    assert model.out.weight.grad is None
    with pytest.raises(ValueError, match="one of 2 blocks"):
        replace(acestep.TOY, alike={"mert": 5}, alike_at=2)


@torch.no_grad()
def test_where_the_song_ends_is_heard() -> None:
    model = awake(songflow.Model(replace(songflow.TOY, ending=True)))
    batch = songflow.example(songflow.TOY, batch=1, generator=seeded())
    asked = {name: batch[name] for name in ("noisy", "time", "lyric", "style_vector")}
    short, long = (model(**asked, place_vector=torch.tensor([[0.0, 0.2, share]])) for share in (0.2, 1.0))
    assert not torch.allclose(short, long)
    model.ending.zero_()
    plain = songflow.Model(songflow.TOY).eval()
    plain.load_state_dict({key: value for key, value in model.state_dict().items() if key != "ending"})
    place = torch.tensor([[0.0, 0.2, 0.2]])
    torch.testing.assert_close(model(**asked, place_vector=place), plain(**asked, place_vector=place))


def test_a_hole_is_drawn_and_what_is_around_it_is_given() -> None:
    conceal = songflow.Concealment(least=0.3, most=0.5, drop_sound=0.0, drop_style=0.5, drop_lyric=0.5)
    model = songflow.Model(replace(songflow.TOY, conceal=conceal, mean=1.0, deviation=2.0))
    batch = songflow.example(songflow.TOY, batch=64, generator=seeded())
    told = model.conceal(batch, seeded(1))
    hidden, mask = told["hidden"], batch["frame_mask"]
    share = hidden.sum(1) / mask.sum(1)
    assert not (hidden & ~mask).any() and share.min() >= 0.2 and share.max() <= 0.5
    edges = (hidden[:, 1:] != hidden[:, :-1]).sum(1) + hidden[:, 0].long() + hidden[:, -1].long()
    assert (edges <= 2).all(), "one hole"
    assert not told["given"][hidden | ~mask].any()
    heard = mask & ~hidden
    torch.testing.assert_close(told["given"][heard], (batch["latents"][heard] - 1) / 2)
    assert 10 < told["drop_lyric"].sum() < 54 and 10 < (told["style_vector"] == 0).all(1).sum() < 54


@pytest.mark.parametrize(
    ("module", "changes", "message"),
    [
        (songflow, {"stems": 3}, "stems is 1"),
        (songflow, {"lyric_rate": 3}, "lyric_rate is 1, 2, 4"),
        (songflow, {"ending": True, "told": ("start",)}, "an ending needs `share`"),
        (songflow, {"heads": 3}, "twice the heads"),
        (acestep, {"patch": 40}, "patch of 32"),
        (oobleck, {"strides": (3, 4)}, "strides are even"),
        (oobleck, {"widths": (1,)}, "each stage has a width"),
        (oobleck, {"sides": 3}, "mono"),
    ],
)
def test_settings_that_do_not_go_together(module: Any, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(module.TOY, **changes)
