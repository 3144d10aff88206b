"""DiffSinger of its authors: shallow start, durations and F0 that are predicted or given, padding, published keys."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from aoide.config import UserError
from aoide.models.svs import diffsinger_moon
from aoide.models.svs.diffsinger_moon import TOY
from aoide.objectives import diffusion, inputs

FROM_NOISE = replace(TOY, first=None, pitch=None)


def build(config: diffsinger_moon.Config = TOY, awake: bool = True) -> diffsinger_moon.Model:
    torch.manual_seed(0)
    model = diffsinger_moon.Model(config).eval()
    for parameter in model.parameters() if awake else ():
        parameter.data.add_(0.1 * torch.randn_like(parameter))
    return model


def batch() -> dict[str, Tensor]:
    return diffsinger_moon.example(TOY, generator=torch.Generator().manual_seed(1))


def score(**changes: Any) -> dict[str, Any]:
    names = ("tokens", "token_mask", "notes", "note_durations", "slurs", "speaker")
    return {name: value for name, value in batch().items() if name in names} | changes


def test_first_mel_durations_and_pitch_learn_a_clip() -> None:
    model, clip = build(), batch()
    clip["mel"] = clip["mel"].cumsum(1) / 3
    objective = diffusion.Objective(diffsinger_moon.TRAINING, diffsinger_moon, model)
    optimiser = torch.optim.Adam(model.parameters(), lr=3e-2)
    log = []
    for step in range(20):
        ((_, losses),) = objective.steps(clip, torch.Generator().manual_seed(step))
        optimiser.zero_grad()
        torch.stack([*losses.values()]).sum().backward()
        optimiser.step()
        log.append({name: float(value.detach()) for name, value in losses.items()})
    assert set(log[0]) == {"diffusion", "first", "duration", "pitch"}
    assert log[-1]["first"] < 0.7 * log[0]["first"]
    assert log[-1]["duration"] < 0.2 * log[0]["duration"] and log[-1]["pitch"] < 0.7 * log[0]["pitch"]


@torch.no_grad()
def test_a_walk_starts_at_the_first_mel() -> None:
    """A denoiser that sees no noise, and no noise: what comes out is the first mel, within the span."""
    model, fields = build(), score(durations=batch()["durations"], f0=batch()["f0"])
    torch.nn.init.zeros_(model.denoiser.out.weight)
    torch.nn.init.zeros_(model.denoiser.out.bias)
    heard = model.hear(**fields)
    first = model.span.back(model.span(model.first(heard.condition, heard.frame_mask)).clamp(-1, 1))
    quiet = torch.zeros(2, 24, 10)
    for sampler, steps in (("ddpm", None), ("ddim", 60)):
        mel = model.sing(
            **fields, noise=quiet, fresh=[quiet] * 59 if steps is None else None, sampler=sampler, steps=steps
        )
        torch.testing.assert_close(mel.clamp(*TOY.low, *TOY.high), first, atol=1e-3, rtol=0)
    loud = model.sing(**fields, generator=torch.Generator().manual_seed(0))
    assert (loud - first).abs().mean() > 0.1, "with noise it is drawn anew"


@torch.no_grad()
@pytest.mark.parametrize("config", [TOY, FROM_NOISE], ids=["from the first mel", "from noise"])
def test_sings_a_score_with_every_sampler(config: diffsinger_moon.Config) -> None:
    model = build(config)
    for sampler in diffusion.SAMPLERS:
        one, again, other = (
            model.sing(**score(), sampler=sampler, steps=5, generator=torch.Generator().manual_seed(seed))
            for seed in (0, 0, 1)
        )
        assert torch.isfinite(one).all() and torch.equal(one, again) and not torch.equal(one, other), sampler
    with pytest.raises(UserError, match="no sampler 'dddim'; did you mean ddim"):
        model.sing(**score(), sampler="dddim")
    with pytest.raises(UserError, match=f"1 to {config.start} steps"):
        model.sing(**score(), steps=config.start + 1)
    with pytest.raises(UserError, match="a score is wanted"):
        model.sing(**score(notes=None))


@torch.no_grad()
def test_durations_and_f0_are_predicted_unless_they_are_given() -> None:
    model = build()
    torch.nn.init.zeros_(model.pitch.out.weight)
    model.pitch.out.bias.copy_(torch.tensor([8.0, -1.0]))
    heard = model.hear(**score())
    whole = heard.frame_durations.clamp(min=0).round().long()
    assert torch.equal(heard.frame_mask.sum(1), whole.sum(1)) and heard.f0 is not None
    assert (heard.f0[heard.frame_mask] == 256).all() and not heard.f0[~heard.frame_mask].any()
    model.pitch.out.bias[1] = 1.0
    unvoiced = model.hear(**score()).f0
    assert unvoiced is not None and not unvoiced.any()
    words, lasts = batch()["words"], torch.tensor([[10, 10, 20, 20, 5, 5], [7, 7, 7, 7, 30, 30]])
    on = {"notes": 60 + words, "note_durations": lasts, "slurs": None}
    stretched = model.hear(**score(**on), words=words)
    assert stretched.durations.unflatten(1, (3, 2)).sum(2).tolist() == [[10, 20, 5], [7, 7, 30]]
    told = model.tell(**score(**on), words=words)
    assert torch.equal(told.durations, stretched.durations) and (told.f0 == 256).all() and not told.voiced.any()
    on_notes = build(FROM_NOISE).tell(**score(**on), words=words)
    assert on_notes.f0[0, 0] == pytest.approx(440 * 2 ** (-8 / 12)) and on_notes.voiced.sum(1).tolist() == [35, 44]
    given = batch()["durations"]
    f0 = torch.full((2, 24), 300.0)
    low, high = (model.hear(**score(), durations=given, f0=f * f0).condition for f in (1.0, 2.0))
    assert not torch.allclose(low, high) and torch.equal(low, model.hear(**score(), durations=given, f0=f0).condition)


@torch.no_grad()
@pytest.mark.parametrize("config", [TOY, FROM_NOISE], ids=["from the first mel", "from noise"])
def test_a_phrase_sings_alone_as_beside_a_longer_one(config: diffsinger_moon.Config) -> None:
    model = build(config)
    fields = score(durations=batch()["durations"].clone(), f0=None)
    fields["token_mask"][1, 4:] = False
    fields["tokens"][1, 4:] = fields["durations"][1, 4:] = 0
    noise = torch.randn(2, 24, 10, generator=torch.Generator().manual_seed(0))
    both = model.sing(**fields, noise=noise, sampler="ddim", steps=5)
    cut = {
        name: None if value is None else value[1:, :4] if value.ndim > 1 else value[1:]
        for name, value in fields.items()
    }
    alone = model.sing(**cut, noise=noise[1:, :16], sampler="ddim", steps=5)
    torch.testing.assert_close(both[1:, :16], alone, atol=1e-4, rtol=1e-3)
    assert (both[1, 16:] == TOY.mel.silence).all()


def test_bins_of_f0() -> None:
    f0 = torch.tensor([0.0, 50.0, 1100.0, 3000.0, 440.0])
    assert diffsinger_moon.coarse(f0).tolist() == [1, 1, 255, 255, 122]


def test_bad_settings_are_refused() -> None:
    for wrong in ({"depth": 101}, {"kernel": 4}, {"low": (-6.0, -5.0)}):
        with pytest.raises(ValueError, match="depth is|kernel odd|numbers"):
            replace(TOY, **wrong)


# ---------------------------------------------------------------------------------------------------- published weights

CONFIG = {
    "use_midi": True, "hidden_size": 8, "num_heads": 2, "enc_layers": 2, "dec_layers": 1, "enc_ffn_kernel_size": 3,
    "dec_ffn_kernel_size": 5, "dur_predictor_layers": 2, "dur_predictor_kernel": 3, "predictor_layers": 2,
    "predictor_kernel": 5, "predictor_hidden": -1, "rel_pos": True, "timesteps": 100, "K_step": 60, "max_beta": 0.06,
    "schedule_type": "linear", "residual_channels": 6, "residual_layers": 3, "dilation_cycle_length": 2,
    "audio_sample_rate": 24_000, "fft_size": 512, "hop_size": 128, "win_size": 512, "audio_num_mel_bins": 4,
    "fmin": 30, "fmax": 12_000, "wav2spec_eps": 1e-6, "spec_min": [-6.0], "spec_max": [0.5], "use_pitch_embed": True,
}  # fmt: skip
BUFFERS = (
    "betas", "alphas_cumprod", "alphas_cumprod_prev", "sqrt_alphas_cumprod", "sqrt_one_minus_alphas_cumprod",
    "log_one_minus_alphas_cumprod", "sqrt_recip_alphas_cumprod", "sqrt_recipm1_alphas_cumprod", "posterior_variance",
    "posterior_log_variance_clipped", "posterior_mean_coef1", "posterior_mean_coef2",
)  # fmt: skip


def block(prefix: str, kernel: int) -> dict[str, tuple[int, ...]]:
    return {
        f"{prefix}.op.layer_norm1.weight": (8,), f"{prefix}.op.layer_norm1.bias": (8,),
        f"{prefix}.op.self_attn.in_proj_weight": (24, 8), f"{prefix}.op.self_attn.out_proj.weight": (8, 8),
        f"{prefix}.op.layer_norm2.weight": (8,), f"{prefix}.op.layer_norm2.bias": (8,),
        f"{prefix}.op.ffn.ffn_1.weight": (32, 8, kernel), f"{prefix}.op.ffn.ffn_1.bias": (32,),
        f"{prefix}.op.ffn.ffn_2.weight": (8, 32), f"{prefix}.op.ffn.ffn_2.bias": (8,),
    }  # fmt: skip


def shapes(pitch: bool) -> dict[str, tuple[int, ...]]:
    """Names and shapes of a published state dict, without its prefix."""
    found: dict[str, tuple[int, ...]] = {
        "fs2.encoder_embed_tokens.weight": (9, 8), "fs2.encoder.embed_tokens.weight": (9, 8),
        "fs2.midi_embed.weight": (300, 8), "fs2.midi_dur_layer.weight": (8, 1), "fs2.midi_dur_layer.bias": (8,),
        "fs2.is_slur_embed.weight": (2, 8), "fs2.mel_out.weight": (4, 8), "fs2.mel_out.bias": (4,),
        "fs2.dur_predictor.linear.weight": (1, 8), "fs2.dur_predictor.linear.bias": (1,),
        "fs2.decoder.pos_embed_alpha": (1,), "fs2.decoder.embed_positions._float_tensor": (1,),
        "denoise_fn.input_projection.weight": (6, 4, 1), "denoise_fn.input_projection.bias": (6,),
        "denoise_fn.mlp.0.weight": (24, 6), "denoise_fn.mlp.0.bias": (24,), "denoise_fn.mlp.2.weight": (6, 24),
        "denoise_fn.mlp.2.bias": (6,), "denoise_fn.skip_projection.weight": (6, 6, 1),
        "denoise_fn.skip_projection.bias": (6,), "denoise_fn.output_projection.weight": (4, 6, 1),
        "denoise_fn.output_projection.bias": (4,),
    }  # fmt: skip
    for stack, layers, kernel in (("encoder", 2, 3), ("decoder", 1, 5)):
        found |= {f"fs2.{stack}.layer_norm.{kind}": (8,) for kind in ("weight", "bias")}
        for layer in range(layers):
            found |= block(f"fs2.{stack}.layers.{layer}", kernel)
    predictors = {"dur_predictor": 3, "pitch_predictor": 5} if pitch else {"dur_predictor": 3}
    for name, kernel in predictors.items():
        for layer in range(2):
            found |= {f"fs2.{name}.conv.{layer}.1.weight": (8, 8, kernel), f"fs2.{name}.conv.{layer}.1.bias": (8,)}
            found |= {f"fs2.{name}.conv.{layer}.3.{kind}": (8,) for kind in ("weight", "bias")}
    if pitch:
        found |= {"fs2.pitch_embed.weight": (300, 8), "fs2.pitch_predictor.pos_embed_alpha": (1,)}
        found |= {"fs2.pitch_predictor.linear.weight": (2, 8), "fs2.pitch_predictor.linear.bias": (2,)}
        found |= {"fs2.pitch_predictor.embed_positions._float_tensor": (1,)}
    for layer in range(3):
        one = f"denoise_fn.residual_layers.{layer}"
        found |= {f"{one}.dilated_conv.weight": (12, 6, 3), f"{one}.dilated_conv.bias": (12,)}
        found |= {f"{one}.diffusion_projection.weight": (6, 6), f"{one}.diffusion_projection.bias": (6,)}
        found |= {f"{one}.conditioner_projection.weight": (12, 8, 1), f"{one}.conditioner_projection.bias": (12,)}
        found |= {f"{one}.output_projection.weight": (12, 6, 1), f"{one}.output_projection.bias": (12,)}
    return found


def published(pitch: bool) -> dict[str, Tensor]:
    """A state dict of a checkpoint: the model under its prefix, its constants, and the pitch extractor beside it."""
    draw = torch.Generator().manual_seed(0)
    state = {key: 0.3 * torch.randn(shape, generator=draw) for key, shape in shapes(pitch).items()}
    state["fs2.encoder.embed_tokens.weight"] = state["fs2.encoder_embed_tokens.weight"]
    if pitch:
        state["fs2.pitch_predictor.linear.bias"] = torch.tensor([8.0, -0.2])
    state |= {name: torch.rand(100) for name in BUFFERS}
    state |= {"spec_min": torch.full((1, 1, 4), -6.0), "spec_max": torch.tensor([[[-0.8, 0.1, 0.3, 0.5]]])}
    return {f"model.{key}": value for key, value in state.items()} | {"pe.mel_prenet.out_proj.bias": torch.ones(3)}


@pytest.mark.parametrize("start", ["first mel", "noise"])
def test_published_keys_are_all_used(start: str) -> None:
    cascade = start == "first mel"
    state = published(cascade)
    config = CONFIG | {"use_pitch_embed": cascade, "gaussian_start": not cascade}
    model = diffsinger_moon.from_official(state, config)
    ours = model.state_dict()
    unused = ("fs2.encoder.embed_tokens", *(() if cascade else ("fs2.decoder", "fs2.mel_out")))
    wanted = [
        value for key, value in state.items()
        if "." in key.removeprefix("model.") and "_float_tensor" not in key and not key.startswith("pe.")
        and not key.removeprefix("model.").startswith(unused)
    ]  # fmt: skip
    # of the WaveNet: the bias of each layer's condition is added to that of its convolution, and of the last layer the
    # half that nobody reads is left out
    last = [state[f"model.denoise_fn.residual_layers.2.output_projection.{kind}"][:6] for kind in ("weight", "bias")]
    assert sum(v.numel() for v in ours.values()) == sum(v.numel() for v in wanted) - 3 * 12 - (6 * 6 + 6)
    total = sum(float(v.double().sum()) for v in wanted) - sum(float(v.double().sum()) for v in last)
    assert sum(float(v.double().sum()) for v in ours.values()) == pytest.approx(total, abs=1e-3), "each once"
    assert model.config.high == pytest.approx((-0.8, 0.1, 0.3, 0.5)) and model.config.positions == "backwards"
    assert model.config.start == (60 if cascade else 100) and model.config.mel.log == "log10"
    bare = {key.removeprefix("model."): value for key, value in state.items() if key.startswith("model.")}
    again = diffsinger_moon.from_official(bare, config).state_dict()
    assert all(torch.equal(value, again[key]) for key, value in ours.items())


def test_what_is_not_known_is_refused() -> None:
    state = published(True)
    table = "model.fs2.encoder.embed_tokens.weight"
    with pytest.raises(UserError, match="two phoneme tables"):
        diffsinger_moon.from_official(state | {table: state[table] + 1}, CONFIG)
    with pytest.raises(UserError, match="lacks notes.weight; has beyond the model strange.weight"):
        lacking = {key: value for key, value in state.items() if "midi_embed" not in key}
        diffsinger_moon.from_official(lacking | {"model.strange.weight": torch.ones(1)}, CONFIG)
    for what, message in (
        ({"use_midi": False}, "not from notes"),
        ({"use_energy_embed": True}, "use_energy_embed"),
        ({"pitch_type": "cwt"}, "another denoiser"),
    ):
        with pytest.raises(UserError, match=message):
            diffsinger_moon.from_official(state, CONFIG | what)


def test_what_the_forward_names_is_in_the_example() -> None:
    assert set(inputs(diffsinger_moon, batch())) == set(batch()) - {"mel", "words"}


# Numbers of github.com/MoonInTheRiver/DiffSinger at ce7789f, with these weights and noises: every so many of a tensor's
# values, and their sum.
RECORDED = {
    "condition": ([0.38326, 0.24769, -0.21521, 0.2199, 0.14362, 0.32076, -0.48168, -0.08003], 4.25931),
    "durations": ([0.16187, 0.17743, 0.37014, 0.08448, 0.29758], 1.09149),
    "f0": (
        [200.97366, 197.01418, 206.16348, 224.74159, 237.16928, 221.35335, 0.0, 266.85596, 254.89624, 244.79649],
        2053.96436,
    ),
    "first": ([-0.25303, 0.5956, 0.1065, -0.24519, -0.23754, 0.48737, -0.14125, -0.01504], -1.20239),
    "mel": ([-1.7609, 0.03826, 0.26962, -2.8529, -2.45115, -5.88535, 0.15308, 0.5], -82.13963),
}


def recorded_inputs() -> dict[str, Any]:
    """A score of five phonemes in ten frames, and the noises of sixty steps, the first for the start."""
    draw = torch.Generator().manual_seed(5)
    durations = torch.tensor([[2, 3, 1, 3, 1]])
    return {
        "tokens": torch.tensor([[1, 5, 8, 2, 3]]),
        "notes": torch.tensor([[60, 60, 62, 64, 0]]),
        "note_durations": torch.tensor([[20, 20, 11, 15, 6]]),
        "slurs": torch.tensor([[0, 0, 1, 0, 0]]),
        "durations": durations,
        "noises": [torch.randn(1, 10, 4, generator=draw) for _ in range(61)],
    }


@torch.no_grad()
def test_numbers_of_the_original() -> None:
    model = diffsinger_moon.from_official(published(True), CONFIG).eval()
    fields = recorded_inputs()
    mask, noises = torch.ones(1, 5, dtype=torch.bool), fields.pop("noises")
    heard = model.hear(
        fields["tokens"], mask, fields["notes"], fields["note_durations"], fields["slurs"], fields["durations"]
    )
    got = {
        "condition": heard.condition,
        "durations": (heard.frame_durations + 1).log(),
        "f0": heard.f0,
        "first": model.first(heard.condition, heard.frame_mask),
        "mel": model.sing(**fields, token_mask=mask, noise=noises[0], fresh=noises[1:]),
    }
    for name, (some, total) in RECORDED.items():
        values = got[name].flatten()
        torch.testing.assert_close(values[:: max(1, len(values) // 7)], torch.tensor(some), atol=2e-4, rtol=1e-5)
        assert float(values.sum()) == pytest.approx(total, abs=2e-3), name
