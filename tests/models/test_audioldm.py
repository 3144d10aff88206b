"""AudioLDM at toy size: learns which latents belong to which caption, follows guidance, hears what it is given."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from aoide.models.tta import audioldm
from aoide.nn.unet2d import Shape
from aoide.objectives import diffusion
from aoide.text.wordvectors import WordVectors

CAPTIONS = ("a dog", "the rain", "one bell")
CONFIG = replace(
    audioldm.TOY,
    text_dim=16,
    unet=Shape(channels=16, multiples=(1, 2), blocks=1, attends=(False, True), heads=2, groups=4),
)


def told(captions: list[str]) -> tuple[Tensor, Tensor]:
    rows, mask = WordVectors(16).encode(captions)
    return torch.from_numpy(rows), torch.from_numpy(mask)


@pytest.mark.slow  # 15 s
def test_captions_are_learned_and_sampled() -> None:
    """Three captions, three pictures: 12 samples lie nearest to their own; without the caption they are anybody's."""
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(0)
    pictures = torch.randn(3, 8, CONFIG.dim, generator=generator)
    model = audioldm.Model(CONFIG).train()
    judge = diffusion.Objective(audioldm.TRAINING, audioldm, model)
    optimiser = torch.optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(250):
        which = torch.randint(0, 3, (16,), generator=generator)
        said = [CAPTIONS[i] if torch.rand((), generator=generator) > 0.1 else "" for i in which]
        text, mask = told(said)
        batch = {"latents": pictures[which], "text": text, "text_mask": mask}
        optimiser.zero_grad()
        sum(next(judge.steps(batch, generator))[1].values()).backward()  # type: ignore[union-attr]
        optimiser.step()
    model.eval()

    def off(guidance: float) -> Tensor:
        """How far 12 samples are from each picture: (samples, pictures)."""
        noise = torch.randn(12, 8, CONFIG.dim, generator=torch.Generator().manual_seed(1))
        made = model.generate(told(list(CAPTIONS) * 4), told([""]), 8, steps=15, guidance=guidance, noise=noise)
        return (made[:, None] - pictures).square().mean((2, 3))

    plain, guided, untold = off(1.0), off(2.0), off(0.0)
    own = torch.arange(12) % 3
    assert (plain.argmin(1) == own).float().mean() > 0.9 and plain.min(1).values.mean() < 0.2
    assert (guided.argmin(1) == own).all()
    assert (untold.argmin(1) == own).float().mean() < 0.7, "guidance 0 is without the caption"


@torch.no_grad()
def test_what_is_given_is_heard_where_the_model_edits() -> None:
    config = replace(audioldm.TOY, edits=True)
    torch.manual_seed(0)
    model = audioldm.Model(config).eval()
    for parameter in model.parameters():
        parameter.add_(torch.randn_like(parameter), alpha=0.05)
    batch = audioldm.example(config)
    assert audioldm.follows(config) == ("given",) and audioldm.follows(audioldm.TOY) == ()
    asked = (batch["noisy"], batch["step"], batch["text"], batch["text_mask"])
    first = model(*asked, given=batch["given"], frame_mask=batch["frame_mask"])
    other = model(*asked, given=batch["given"] + 1, frame_mask=batch["frame_mask"])
    assert first.shape == batch["noisy"].shape and not torch.allclose(first, other)
    assert not first[~batch["frame_mask"]].any()


@torch.no_grad()
def test_scale_is_undone() -> None:
    """Latents ten times as large, told so, are the same to the network."""
    torch.manual_seed(0)
    model = audioldm.Model(audioldm.TOY).eval()
    larger = audioldm.Model(replace(audioldm.TOY, scale=0.1)).eval()
    larger.load_state_dict(model.state_dict())
    text, nothing = (torch.randn(1, 2, 6), None), (torch.zeros(1, 1, 6), None)
    noise = torch.randn(1, 8, audioldm.TOY.dim)
    small, large = (m.generate(text, nothing, 8, steps=3, noise=noise) for m in (model, larger))
    torch.testing.assert_close(large, 10 * small)
    torch.testing.assert_close(larger.normalise(large), model.normalise(small))
