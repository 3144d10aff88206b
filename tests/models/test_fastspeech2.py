from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from aoide import trace
from aoide.models.tts import fastspeech2
from aoide.objectives import inputs, regression

ALIGNED = replace(fastspeech2.TOY, aligner=None)


def _model(config: fastspeech2.Config = fastspeech2.TOY, durations: float | None = None) -> fastspeech2.Model:
    """A model in use; with `durations` it predicts about so many frames for each token."""
    torch.manual_seed(0)
    model = fastspeech2.Model(config).eval()
    if durations is not None:
        torch.nn.init.normal_(model.duration.out.weight, std=1e-3)
        torch.nn.init.constant_(model.duration.out.bias, math.log(1 + durations))
    return model


def _batch() -> dict[str, Tensor]:
    return fastspeech2.example(fastspeech2.TOY, generator=torch.Generator().manual_seed(1))


def _text() -> dict[str, Tensor]:
    return {name: value for name, value in _batch().items() if name in ("tokens", "token_mask", "speaker")}


# ------------------------------------------------------------------------------------------------------------ training


@torch.no_grad()
def test_durations_come_from_the_aligner_and_fill_the_mel() -> None:
    batch = _batch()
    output = _model()(**inputs(fastspeech2, batch))
    assert torch.equal(output.durations.sum(1), batch["frame_mask"].sum(1))
    assert (output.durations[batch["token_mask"]] >= 1).all() and not output.durations[~batch["token_mask"]].any()
    assert torch.equal(output.frame_mask, batch["frame_mask"]) and output.scores is not None


@torch.no_grad()
def test_given_durations_go_before_the_aligner() -> None:
    batch = _batch()
    given = 3 * batch["token_mask"].long()
    output = _model()(**inputs(fastspeech2, batch), durations=given)
    assert torch.equal(output.durations, given) and output.scores is None
    assert torch.equal(output.frame_mask.sum(1), given.sum(1)), "frames beyond the last token are not judged"
    assert fastspeech2.forward_sum_loss(output, batch) == 0 and fastspeech2.binarisation_loss(output, batch) == 0


def test_what_cannot_be_known_is_told() -> None:
    batch = _batch()
    with pytest.raises(ValueError, match="no aligner .* the corpus must give durations"):
        _model(ALIGNED)(**inputs(fastspeech2, batch))
    with pytest.raises(ValueError, match="give mel or durations too"):
        _model()(**_text(), f0=batch["f0"])
    with pytest.raises(ValueError, match="2 voices: give speaker"):
        _model().infer(batch["tokens"], batch["token_mask"])
    with pytest.raises(ValueError, match="frames for 7 tokens"):
        _model()(**_text(), mel=batch["mel"][:, :6], frame_mask=batch["frame_mask"][:, :6])


@pytest.mark.parametrize("wrong", [{"dim": 15, "heads": 3}, {"dim": 16, "heads": 3}, {"kernels": (4, 1)}])
def test_bad_settings_are_refused(wrong: dict) -> None:
    with pytest.raises(ValueError, match=r"even and a multiple|must be odd"):
        replace(fastspeech2.TOY, **wrong)


def test_losses_without_post_net_and_aligner() -> None:
    config = replace(ALIGNED, postnet=None)
    batch = _batch() | {"durations": 4 * _batch()["token_mask"].long()}
    objective = regression.Objective(fastspeech2.TRAINING, fastspeech2, fastspeech2.Model(config))
    ((_, losses),) = objective.steps(batch)
    assert set(losses) == set(fastspeech2.LOSSES)
    assert [name for name, value in losses.items() if value == 0] == ["forward_sum", "bin"]


def test_measured_pitch_and_energy_go_in() -> None:
    """The mel follows the F0 that is given, and the pitch loss compares the prediction with that same F0."""
    model, batch = _model(), _batch()
    high = batch | {"f0": 2 * batch["f0"]}
    one, other = (model(**inputs(fastspeech2, x)) for x in (batch, high))
    assert not torch.allclose(one.mel, other.mel) and torch.equal(one.token_pitch, other.token_pitch)
    loss = fastspeech2.PitchLoss(model.config)
    right = one._replace(token_pitch=model.config.pitch.of_pitch(batch["f0"], one.durations, one.frame_mask))
    assert loss(right, batch) == 0
    octave = math.log(2) / model.config.pitch.deviation
    torch.testing.assert_close(loss(right, high), torch.tensor(octave**2))


# -------------------------------------------------------------------------------------------------------------- in use


@torch.no_grad()
def test_speaks_from_text_alone() -> None:
    model = _model(durations=4)
    output = model.infer(**_text())
    assert output.mel.shape == (*output.frame_mask.shape, model.config.mel.n_mels)
    assert torch.equal(output.frame_mask.sum(1), output.durations.sum(1))
    assert torch.equal(output.mel, model(**_text()).mel), "a forward without targets is the same"


@torch.no_grad()
def test_an_untrained_model_says_at_least_a_frame() -> None:
    output = _model(durations=0).infer(**_text())
    assert output.durations.sum(1).tolist() == [1, 1] and output.frame_mask.sum(1).tolist() == [1, 1]


@torch.no_grad()
def test_speed() -> None:
    model = _model(durations=8)
    plain = model.infer(**_text()).durations
    assert torch.equal(model.infer(**_text(), speed=2.0).durations, plain // 2)
    both = model.infer(**_text(), speed=torch.tensor([2.0, 0.5])).durations
    assert torch.equal(both, torch.stack([plain[0] // 2, plain[1] * 2]))


@torch.no_grad()
def test_pitch_shift_is_in_semitones() -> None:
    model = _model(durations=3)
    plain, high = model.infer(**_text()), model.infer(**_text(), pitch_shift=12.0)
    octave = math.log(2) / model.config.pitch.deviation
    torch.testing.assert_close(high.token_pitch, plain.token_pitch + octave)
    each = model.infer(**_text(), pitch_shift=torch.tensor([0.0, 12.0]))
    torch.testing.assert_close(each.token_pitch, torch.stack([plain.token_pitch[0], high.token_pitch[1]]))
    assert not torch.allclose(plain.mel, high.mel)


@torch.no_grad()
def test_steering_by_numbers_is_what_was_predicted_when_given_back() -> None:
    model = _model(durations=3)
    free = model.infer(**_text())
    steered = model.infer(
        **_text(), durations=free.durations, token_pitch=free.token_pitch, token_energy=free.token_energy
    )
    torch.testing.assert_close(steered.mel, free.mel)
    louder = model.infer(**_text(), token_energy=free.token_energy + 1)
    assert not torch.allclose(louder.mel, free.mel)


@torch.no_grad()
def test_voices_differ() -> None:
    model = _model(durations=3)
    one, other = (model.infer(**_text() | {"speaker": torch.full((2,), i)}) for i in range(2))
    assert not torch.allclose(one.token_pitch, other.token_pitch)


@torch.no_grad()
def test_what_it_does_is_reported() -> None:
    with trace.record() as recording:
        _model()(**inputs(fastspeech2, _batch()))
    expected = {"align/soft", "align/durations", "attention", "durations", "token_pitch", "token_energy", "mel"}
    assert set(recording.names()) == expected


def test_published_size() -> None:
    """Amphion's default configuration has 35,105,857 parameters; tables of sines and boundaries are none here."""
    scale = replace(fastspeech2.Config().pitch, bins=256)
    published = fastspeech2.Config(
        symbols=152,
        mel=replace(fastspeech2.Config().mel, n_mels=80),
        decoder_layers=6,
        pitch=scale,
        energy=scale,
        aligner=None,
        postnet=512,
    )
    with torch.device("meta"):
        count = sum(p.numel() for p in fastspeech2.Model(published).parameters())
    assert count == 35_105_857 - 2 * 1001 * 256 - 2 * 255
