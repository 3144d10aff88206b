"""VALL-E's first form against Amphion's: both Transformers, their losses, decoding with the recorded draws."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from aoide.config import UserError
from aoide.models.tts import valle
from aoide.nn.lengths import mask_from_lengths
from tests.parity import packs

PACKS = packs.matching("amphion_tts", "valle_prefix0", "valle_prefix1", "valle_prefix2")


def summed(scores: Tensor, targets: Tensor) -> Tensor:
    return functional.cross_entropy(scores.mT, targets, reduction="sum")


def accuracy(scores: Tensor, targets: Tensor, ignored: int, frames: Tensor) -> Tensor:
    """Theirs: the share of places whose right code is among the ten likeliest, times a number of frames."""
    right = (scores.topk(10).indices == targets[..., None]).any(-1)[targets != ignored]
    return right.float().mean() * frames


@pytest.mark.parametrize("name", PACKS)
@torch.no_grad()
def test_training_and_losses(name: str) -> None:
    pack = packs.load(name)
    model = valle.from_official(pack.state, pack.config).eval()
    inputs, end = pack.inputs, pack.config["audio_token_num"]
    frames = inputs["y_lens"]
    mask = mask_from_lengths(frames)
    fields = {
        "tokens": inputs["x"],
        "token_mask": mask_from_lengths(inputs["x_lens"]),
        "codes": inputs["y"],
        "frame_mask": mask,
    }
    seen: dict[str, Tensor] = {}
    model.first.stack.register_forward_hook(lambda module, args, out: seen.update({"first": out}))
    model.later.stack.register_forward_hook(lambda module, args, out: seen.update({"later": out}))
    got, known = {}, {}
    for run in ("nar", "both"):
        if f"{run}.stage" not in pack.out:
            continue
        prompt = pack.draws(run)[0] if pack.draws(run) else torch.tensor(0)
        stage = pack.out[f"{run}.stage"]
        output = model(**fields, book=stage.expand(2), prompt_frames=prompt.expand(2))
        real = output.later_mask
        total = frames.sum()
        known[run] = summed(output.later_scores[real][None], output.later_targets[real][None]) * (
            total / (total - 2 * prompt)
        )
        if run == "nar":
            both = torch.cat([fields["token_mask"], mask], dim=1)
            want = pack.mid["nar_decoder"]
            limit = packs.limit(pack, "mid.nar_decoder")
            assert float((seen["later"] - want)[both].abs().max()) <= limit, "the second Transformer"
            targets = output.later_targets.masked_fill(~real, end)[:, int(prompt) :]
            got["nar.top100acc"] = accuracy(output.later_scores[:, int(prompt) :], targets, end, total)
    output = model(**fields)
    got["mid.ar_decoder"] = seen["first"]
    got["ar.loss"] = summed(output.scores, output.targets)
    got["ar.top100acc"] = accuracy(output.scores, output.targets, end, frames.max())
    got |= {"nar.loss": known["nar"], "both.loss": (got["ar.loss"] + known["both"]) / 2} if known else {}
    packs.check(pack, got)
    stages = {key for key in pack.out if key.endswith(".stage")}
    rest = {"infer.codes"} | stages | {key for key in pack.out if key.endswith("_unused")}
    assert set(pack.out) == rest | {key for key in got if not key.startswith("mid.")}, "every output is compared"


@pytest.mark.parametrize("name", PACKS)
def test_decoding(name: str) -> None:
    pack = packs.load(name)
    model = valle.from_official(pack.state, pack.config).eval()
    drawn = iter(pack.draws("infer"))

    def choose(scores: Tensor, before: Sequence[int]) -> int:
        code = int(next(drawn))
        assert code in scores.topk(5).indices, "the draw is one of the five likeliest"
        return code

    length = int(pack.inputs["x_lens"][0])
    codes = model.speak(
        pack.inputs["x"][:1, :length],
        pack.inputs["y"][:1, :5],
        int(pack.inputs["enroll_x_lens"]),
        choose=choose,
    )
    packs.check(pack, {"infer.codes": codes})


@pytest.mark.parametrize("name", PACKS[:1])
def test_decoding_with_memory_says_what_the_whole_pass_says(name: str) -> None:
    pack = packs.load(name)
    model = valle.from_official(pack.state, pack.config).eval()
    tokens, prompt = pack.inputs["x"][:1, :5], pack.inputs["y"][:1, :4, 0]
    forced: Iterator[int] = iter([3, 1, 4, 1, 5])
    scores: list[Tensor] = []

    def choose(now: Tensor, before: Sequence[int]) -> int:
        scores.append(now)
        return next(forced)

    said = list(model.go_on(tokens, prompt, choose, most=5))
    whole = torch.cat([prompt, torch.tensor([said[:-1]])], dim=1)
    with torch.no_grad():
        want = model.first(model.first.read(tokens), model.first.said(whole))[0, 3:]
    torch.testing.assert_close(torch.stack(scores), want, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", PACKS)
def test_every_key_is_used(name: str) -> None:
    pack = packs.load(name)
    valle.from_official(pack.state, {"model": pack.config})
    with pytest.raises(UserError, match="beyond the model extra"):
        valle.from_official({**pack.state, "extra": torch.zeros(1)}, pack.config)
    with pytest.raises(UserError, match=r"lacks first\.text_place$"):
        valle.from_official({k: v for k, v in pack.state.items() if k != "ar_text_position.alpha"}, pack.config)
    with pytest.raises(UserError, match="add_prenet True, which is not known"):
        valle.from_official(pack.state, {**pack.config, "add_prenet": True})
