"""Captions to sound through latents: the parts fit, seeds and starts do what they say, mistakes are told."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from aoide.audio.sound import Sound
from aoide.config import UserError
from aoide.data.captioned import Text, open_text
from aoide.generate.latent_sound import LatentSound
from aoide.models.tta import Start, audioldm, autoencoderkl
from aoide.train import checkpoint, loop, recipe
from tests.test_recipes import ROOT, at_toy_width

RATE = autoencoderkl.TOY.mel.sample_rate
HEARD = Sound(0.5 * np.sin(np.arange(1600) / 5).astype(np.float32), RATE)


def awake(network: nn.Module) -> nn.Module:
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.05)
    return network


def vocoder() -> SimpleNamespace:
    """Says each band as a sample: 16 samples a frame."""
    return SimpleNamespace(
        mel=autoencoderkl.TOY.mel, vocode=lambda mel: np.pad(mel, ((0, 0), (0, 10))).reshape(-1).astype(np.float32)
    )


def model(edits: bool = False) -> LatentSound:
    torch.manual_seed(0)
    denoiser = awake(audioldm.Model(replace(audioldm.TOY, edits=edits)))
    autoencoder = awake(autoencoderkl.Model(autoencoderkl.TOY))
    made = LatentSound(denoiser, autoencoder, open_text(Text(dim=6)), vocoder())
    made.steps = 5
    return made


def test_a_sound_for_each_caption_and_the_same_for_the_same_seed() -> None:
    sounds = model()
    first, second = sounds.generate(["a dog barks", "rain"], 0.2, seed=3)
    assert (len(first.samples), first.sample_rate, first.channels) == (1600, RATE, 1)
    again = sounds.generate(["a dog barks", "rain"], 0.2, seed=3)[0]
    assert np.array_equal(first.samples, again.samples) and not np.array_equal(first.samples, second.samples)
    for other in ({"seed": 4}, {"guidance": 1.0, "seed": 3}, {"sampler": "ddim", "seed": 3}):
        assert not np.array_equal(first.samples, sounds.generate(["a dog barks", "rain"], 0.2, **other)[0].samples)  # type: ignore[arg-type]


def test_a_caption_sounds_the_same_in_company() -> None:
    sounds = model()
    alone = sounds.generate(["rain"], 0.2, seed=1)[0]
    beside = sounds.generate(["rain", "a very long caption of many words"], 0.2, seed=1)[0]
    assert np.abs(alone.samples - beside.samples).max() < 1e-3 * np.abs(alone.samples).max()


def test_what_is_kept_of_a_start_is_kept() -> None:
    sounds = model()
    known = sounds._latents(HEARD, 50)
    seen, decode = [], sounds.autoencoder.decode
    sounds.autoencoder.decode = lambda latents: seen.append(latents) or decode(latents)
    start = Start(sound=HEARD, fresh=((0.1, 0.15),))
    sounds.generate(["rain"], 0.2, start=start)
    assert torch.equal(seen[0][:, :24], known[:, :24]) and torch.equal(seen[0][:, 39:], known[:, 39:])
    assert not torch.isclose(seen[0][:, 25:37], known[:, 25:37], atol=1e-3).all(2).any()
    for strength in (0.2, 0.99):
        sounds.generate(["rain"], 0.2, start=Start(sound=HEARD, strength=strength))
    assert (seen[1] - known).abs().mean() < (seen[2] - known).abs().mean()
    longer = Start(sound=HEARD, fresh=((HEARD.seconds, 0.3),))
    assert sounds.generate(["rain"], 0.3, start=longer)[0].seconds == pytest.approx(0.3)
    assert torch.equal(seen[3][:, :49], sounds._latents(HEARD, 75)[:, :49])


def test_a_model_that_edits_is_given_the_sound() -> None:
    sounds = model(edits=True)
    one = sounds.generate(["Drop: rain"], 0.2, start=Start(sound=HEARD, strength=0.5))[0]
    other = sounds.generate(["Drop: rain"], 0.2)[0]
    assert not np.array_equal(one.samples, other.samples)


def test_what_cannot_be_is_told() -> None:
    sounds = model()
    with pytest.raises(UserError, match="there is no caption"):
        sounds.generate([], 1.0)
    with pytest.raises(UserError, match="the caption '' says nothing"):
        sounds.generate(["rain", ""], 1.0)
    with pytest.raises(UserError, match="has 2001 letters; 2000 at most"):
        sounds.generate(["a" * 2001], 1.0)
    for seconds in (0.0, -1.0, 10_000.0, float("nan")):
        with pytest.raises(UserError, match="of more than 0 and at most 60 s"):
            sounds.generate(["rain"], seconds)
    with pytest.raises(UserError, match="sampling takes 1 to 50 steps, got 0"):
        sounds.generate(["rain"], 0.1, steps=0)
    with pytest.raises(UserError, match="strength is above 0 and at most 1, got 0"):
        Start(sound=HEARD, strength=0)
    with pytest.raises(UserError, match="from 3 to 2 s|got 3 to 2 s"):
        Start(sound=HEARD, fresh=((3.0, 2.0),))
    with pytest.raises(UserError, match="needs a strength below 1, or spans"):
        Start(sound=HEARD)
    other = autoencoderkl.Model(replace(autoencoderkl.TOY, mel=replace(autoencoderkl.TOY.mel, n_mels=8)))
    with pytest.raises(UserError, match="make.* 250 frames of 6 values a second, its autoencoder reads 250 of 8"):
        LatentSound(sounds.denoiser, other, sounds._encode, vocoder())
    with pytest.raises(UserError, match="no vocoder of the package reads"):
        LatentSound(sounds.denoiser, sounds.autoencoder, sounds._encode)


@pytest.mark.slow  # 4 s: two runs of a step
def test_a_run_is_joined_from_what_its_recipe_names(tmp_path: Path) -> None:
    for name in ("autoencoderkl", "audioldm"):
        (tmp_path / name).mkdir()
        small = at_toy_width(recipe.read(ROOT / "recipes" / "tta" / f"{name}-folder.yaml"), tmp_path / name)
        loop.train(replace(small, loop=replace(small.loop, steps=1)), tmp_path / name / "run")
    runs = [tmp_path / name / "run" for name in ("audioldm", "autoencoderkl")]
    joined = LatentSound.of_run(runs[0], autoencoder=runs[1], vocoder=vocoder())
    assert len(joined.generate(["rain"], 0.1, steps=2)[0].samples) == 800
    assert checkpoint.load_model(runs[0])[1].config == joined.denoiser.config
    with pytest.raises(UserError, match="no such folder|runs/autoencoder"):
        LatentSound.of_run(runs[0], vocoder=vocoder())
    with pytest.raises(UserError, match="not a run of `aoide train`"):
        LatentSound.of_run(tmp_path, vocoder=vocoder())
