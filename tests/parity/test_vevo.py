"""Vevo against Amphion: the tokens of Coco, the flow, its sampling, the language model with and without a style."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor

from aoide.config import UserError
from aoide.models.codec import coco
from aoide.models.vc import vevo, vevo_ar
from aoide.nn.lengths import mask_from_lengths
from aoide.nn.token_lm import Sampling
from aoide.objectives import flow
from tests.parity import packs


@pytest.mark.parametrize("name", packs.matching("amphion_vevo", "coco_contentstyle"))
@torch.no_grad()
def test_tokens(name: str) -> None:
    pack = packs.load(name)
    model = coco.from_official(pack.state, pack.config).eval()
    semantic, chroma = pack.inputs["whisper_feats"], pack.inputs["chromagram_feats"]
    output, codes = model(semantic, chroma), model.encode(semantic, chroma)
    got = {
        "indices": output.codes.permute(2, 0, 1),
        "quantize.indices": codes[..., 0],
        "quantize.quantized": model.vectors(codes),
        "whisper_rec": output.semantic,
        "chromagram_rec": output.chroma,
    }
    packs.check(pack, got)
    assert set(pack.out) == set(got)
    assert torch.equal(model.decode(codes)["chroma"][:, : chroma.shape[1]], output.chroma)


@pytest.mark.parametrize("name", packs.matching("amphion_vevo", "vevo_flow_matching"))
@torch.no_grad()
def test_flow(name: str) -> None:
    pack = packs.load(name)
    model = vevo.from_official(pack.state, pack.config).eval()
    inputs = pack.inputs
    mask = inputs["x_mask"].bool()
    got = {"flow": model.velocity(inputs["x"], inputs["t"], inputs["cond"], mask)}
    for phase in ("train", "train2", "train3"):
        even, noise, _, *length = pack.draws(phase)
        time = 1 - torch.cos(torch.pi / 2 * even.clamp(1e-5, 1.0))
        prompt = length[0] if length else torch.zeros(len(even), dtype=torch.int64)
        heard = mask_from_lengths(prompt, mask.shape[1])
        hidden = mask & ~heard
        concealed = {"hidden": hidden, "given": inputs["x"], "drop": prompt == 0}
        batch = {"codes": inputs["cond_code"][..., None], "mel": inputs["x"], "frame_mask": mask, **concealed}
        # theirs lets a mel of padded frames be noisy, and ours the given one: neither is heard
        noisy = flow.blend(inputs["x"], noise, time, vevo.TRAINING.sigma)
        predicted = model(batch["codes"], noisy, time, inputs["x"], mask & ~heard | ~mask, mask, prompt == 0)
        got |= {f"{phase}.flow_pred": predicted, f"{phase}.final_mask": hidden[..., None].float()}
        got[f"{phase}.prompt_len"] = prompt.float()
        if f"{phase}.loss_l1" in pack.out:
            got[f"{phase}.loss_l1"] = flow.Objective(vevo.TRAINING, vevo, model).losses(batch, time, noise)["flow"]
    for guidance in (0, 1):
        (start,) = pack.draws(f"sample_cfg{guidance}")
        told = {"condition": inputs["cond"][:1], "prompt": inputs["x"][:1, : mask.shape[1] - start.shape[1]]}
        got[f"sample_cfg{guidance}"] = model.sample(**told, noise=start, steps=4, guidance=guidance)
    packs.check(pack, got)
    assert set(pack.out) == set(got), "every output is compared"


def drawn(tokens: Sequence[int], sampling: Sampling) -> Callable[[Tensor, Sequence[int]], int]:
    """Gives what the original drew, and makes sure that ours could have drawn it."""
    left = iter(tokens)

    def choose(scores: Tensor, before: Sequence[int]) -> int:
        token = next(left)
        assert torch.isfinite(sampling.left(scores, before)[token]), "it would not have been drawn"
        return token

    return choose


def style(model: vevo_ar.Model, mel: Tensor, mask: Tensor | None, order: Tensor) -> Tensor:
    """As the original has it: all items in the same random order, and a mean over padded frames, too."""
    assert model.style is not None
    mask = torch.ones_like(mel[..., 0], dtype=torch.bool) if mask is None else mask
    x = model.style.llama(model.style.read(mel[:, order]), mask[:, order])
    return model.style.tell(x).mean(1)


@pytest.mark.parametrize("name", packs.matching("amphion_vevo", "vevo_ar", "vevo_ar_style"))
@torch.no_grad()
def test_language_model(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pack = packs.load(name)
    model = vevo_ar.from_official(pack.state, pack.config).eval()
    inputs = pack.inputs
    said, said_mask = model.said(inputs["input_ids"], inputs["input_mask"].bool())
    told, told_mask = model.told(inputs["output_ids"], inputs["output_mask"].bool())
    got = {
        "padded_input.ids": said,
        "padded_input.mask": said_mask.long(),
        "padded_output.ids": told,
        "padded_output.mask": told_mask.long(),
        "padded_output.label": told.masked_fill(~told_mask, -100),
    }
    parts, masks = [model.lm.table(said), model.lm.table(told)], [said_mask, told_mask]
    phases = {"forward": pack.draws("forward"), "generate": pack.draws("generate")}
    if model.style is not None:
        parts.insert(1, style(model, inputs["mels"], inputs["mels_mask"].bool(), phases["forward"].pop(0))[:, None])
        masks.insert(1, said_mask[:, :1])
        order = phases["generate"].pop(0)
        monkeypatch.setattr(model, "_style", lambda mel, mask: style(model, mel, mask, order)[:, None])
    real = torch.cat(masks, dim=1)
    logits = model.lm(torch.cat(parts, dim=1), real)
    logits = torch.where(real[..., None], logits, pack.out["logits"])  # padding, here, sees itself
    before = logits[:, -told.shape[1] - 1 : -1]
    loss = model.family.loss(before[told_mask], told[told_mask]).mean()
    sampling = Sampling(penalty=1.1, temperature=0.8, top_k=10, top_p=0.9)
    draws = [int(token) for token in phases["generate"]]
    prompted = {} if model.style is None else {"mel": inputs["mels"][:1]}
    codes = model.speak(
        inputs["input_ids"][0],
        inputs["output_ids"][0, :3],
        **prompted,
        choose=drawn(draws, sampling),
        least=5,
        most=len(draws),
    )
    recorded = pack.out["generate"][0].tolist()
    spoken = [token for token in recorded if token < model.config.codes]
    assert codes[:, 0].tolist() == spoken, "the rest is no code"
    packs.check(pack, got | {"logits": logits, "loss": loss})
    assert set(pack.out) == set(got) | {"logits", "loss", "generate"}


def test_what_does_not_fit_is_told() -> None:
    pack = packs.load("amphion_vevo/vevo_flow_matching")
    with pytest.raises(UserError, match="Vevo checkpoint .*lacks table.weight$"):
        vevo.from_official({key: value for key, value in pack.state.items() if "cond_emb" not in key}, pack.config)
    with pytest.raises(UserError, match="is told features"):
        vevo.from_official(pack.state, {**pack.config, "use_cond_code": False})
    model = vevo.from_official(pack.state, pack.config)
    codes = torch.zeros(1, 4, 1, dtype=torch.int64)
    with pytest.raises(UserError, match="of different frames"):
        model.speak(codes, codes, torch.zeros(1, 5, 9))
    with pytest.raises(UserError, match="codes go from 0 to 39, but there is a? ?40"):
        model.speak(codes + 40, codes, torch.zeros(1, 4, 9))
    lm = packs.load("amphion_vevo/vevo_ar")
    with pytest.raises(UserError, match="Vevo's first stage .*beyond the model strange"):
        vevo_ar.from_official(lm.state | {"strange": torch.zeros(1)}, lm.config)
    first = vevo_ar.from_official(lm.state, lm.config)
    with pytest.raises(UserError, match="as a prompt"):
        first.speak(torch.tensor([1, 2]))
    with pytest.raises(UserError, match="tokens are a row of one number or more from 0 to 19"):
        first.speak(torch.tensor([20]), torch.tensor([1]))
    tokens = packs.load("amphion_vevo/coco_contentstyle")
    with pytest.raises(UserError, match=r"made of semantic \(batch, frames, 11\), not of nothing"):
        coco.from_official(tokens.state, tokens.config).encode(None, torch.zeros(1, 5, 6))
