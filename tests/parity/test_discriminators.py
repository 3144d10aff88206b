"""Critics and adversarial losses against their originals: every pack of a discriminator in the folders of vocoders.

Also the multi-scale mel loss of BigVGAN, which stands beside them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from functools import cache

import pytest
import torch
from torch import Tensor

from aoide.audio.mel import MelConfig, MelSpectrogram
from aoide.nn import discriminators
from aoide.nn.discriminators import Judgement, PeriodCritic
from aoide.nn.stft_loss import MultiScaleMelLoss
from aoide.objectives import gan
from tests.parity import packs

FOLDERS = ("amphion_discriminator", "hifigan", "bigvgan", "vits")
LEAST_SQUARES = gan.Config(loss="least_squares", reduction="sum", feature=2.0)
LOSSES = {
    "loss": LEAST_SQUARES,
    "loss_hifigan": LEAST_SQUARES,
    "loss_melgan": gan.Config(loss="hinge_linear", reduction="sum", feature=10.0),
    "loss_codec": gan.Config(loss="hinge", maps="mean", relative=True, feature=3.0),
}


@cache
def _classes() -> dict[str, str]:
    """Every pack in the folders, with the class of the original that made it."""
    from safetensors import safe_open

    found = {}
    for path in sorted(path for folder in FOLDERS for path in (packs.FOLDER / folder).glob("*.safetensors")):
        with safe_open(str(path), "pt") as file:
            found[f"{path.parent.name}/{path.stem}"] = json.loads(file.metadata()["source"])["class"]
    return found


def _names(word: str) -> list[str]:
    return [name for name, made_by in _classes().items() if word in made_by] or [f"hifigan/no pack of {word}"]


@pytest.mark.parametrize("name", _names("Discriminator"))
@torch.no_grad()
def test_critic_and_losses(name: str) -> None:
    pack = packs.load(name)
    critics = discriminators.from_official(pack.state, pack.config).eval()
    real, fake = (_hear(critics, pack.inputs[key][:, 0]) for key in ("y", "y_hat"))
    got = dict(_scores(real, "real", pack.out)) | dict(_scores(fake, "gen", pack.out)) | dict(_maps(real, pack.mid))
    for loss in {key.partition(".")[0] for key in pack.out if key.startswith("loss")}:
        # JETS weights the distance of feature maps outside of what was recorded.
        config = replace(LOSSES[loss], feature=1.0) if "last_real.0" in pack.out else LOSSES[loss]
        got |= {f"{loss}.{key}": value for key, value in _losses(config, real, fake).items()}
    got |= {f"mid.{key}": value for key, value in _transforms(critics, pack.inputs["y"][:, 0]).items()}
    packs.check(pack, {key: value for key, value in got.items() if key in pack.out or key[4:] in pack.mid})
    assert set(pack.out) | {f"mid.{key}" for key in pack.mid} <= set(got), "every recorded number is compared"


def _hear(critics: discriminators.Critics, audio: Tensor) -> Judgement:
    """The judgement of all critics as one, in the order and the layout of the originals: scales before periods."""
    scores, features = [], []
    for name, judgement in sorted(critics(audio).items(), reverse=True):
        for score, maps in zip(*judgement, strict=True):
            periodic = isinstance(critics.by_name[name], PeriodCritic)
            scores.append(maps[-1].mT.flatten(1) if periodic else score)
            features.append([m.mT for m in maps] if periodic else maps)
    return Judgement(scores, features)


def _scores(judgement: Judgement, kind: str, out: dict[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
    for i, score in enumerate(judgement.scores):
        last = f"last_{kind}.{i}"  # JETS: the last map, whose score has a channel axis in a scale
        yield (last, score.reshape(out[last].shape)) if last in out else (f"score_{kind}.{i}", score)


def _maps(judgement: Judgement, mid: dict[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
    for key in mid:
        if key.startswith("fmap_real."):
            part, layer = map(int, key.split(".")[1:])
            yield f"mid.{key}", judgement.features[part][layer]


def _losses(config: gan.Config, real: Judgement, fake: Judgement) -> dict[str, Tensor]:
    loss = gan.SCORE_LOSSES[config.loss]
    on_real, on_fake = (
        [each(score) for score in scores] for each, scores in ((loss.real, real[0]), (loss.fake, fake[0]))
    )
    distance = gan.feature_matching(real.features, fake.features, config.reduction, config.maps, config.relative)
    return {
        "discriminator": gan.critic_loss(loss, real.scores, fake.scores, config.reduction),
        "discriminator_real_parts": torch.stack(on_real),
        "discriminator_gen_parts": torch.stack(on_fake),
        "discriminator_real": torch.stack(on_real).mean(),
        "discriminator_fake": torch.stack(on_fake).mean(),
        "generator": gan.generator_loss(loss, fake.scores, config.reduction),
        "feature": config.feature * distance,
    }


def _transforms(critics: discriminators.Critics, audio: Tensor) -> dict[str, Tensor]:
    """What the CQT critic hears, (batch, bins, frames, 2) as the original has it."""
    if "cqt" not in critics.by_name:
        return {}
    critic = critics.by_name["cqt"]
    doubled = critic.doubler(audio)
    spectra = {f"cqt.{i}": part.transform(doubled).permute(0, 3, 2, 1) for i, part in enumerate(critic.parts)}
    return spectra | {"resampled.0": doubled[:, None]}


@pytest.mark.parametrize("name", _names("MultiScaleMelSpectrogramLoss"))
def test_multi_scale_mel_loss(name: str) -> None:
    pack = packs.load(name)
    real, fake = pack.inputs["y"][:, 0], pack.inputs["y_hat"][:, 0]
    rate = pack.config["sampling_rate"]
    mel = MelConfig(sample_rate=rate, fmax=rate / 2, scale="slaney", norm="slaney", padding="same", eps=1e-9)
    packs.check(pack, {"loss": MultiScaleMelLoss(rate)(fake, real), "mel": MelSpectrogram(mel)(real).mT})
