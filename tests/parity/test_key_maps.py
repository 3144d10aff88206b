"""Every tensor of a published checkpoint has its place in ours, and none of ours is left: by packs of its state dict.

Each tensor of the original's state dict (of a pack, of tests/fixtures/official_speech.json, or of a small network of
transformers) is filled with a number of its own. What `from_official` makes must hold nothing but these numbers, and
all of them. The table of docs/cloning.md is made here: python -m tests.parity.test_key_maps
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from aoide.models import find
from tests.parity import packs

ROOT = Path(__file__).parents[2]
BEGIN, END = "<!-- key maps: made by tests/parity/test_key_maps.py -->", "<!-- end of key maps -->"


@dataclass(frozen=True, kw_only=True)
class Case:
    """A published checkpoint.

    Attributes:
        where: its place, and the file or folder.
        model: ours.
        proof: the pack, or what else holds the names and shapes of its state dict.
        unread: tensors of the original that nothing reads: the end of their keys, and why.
        parity: whether the numbers that come out are compared as well.
    """

    where: str
    model: str
    proof: str
    unread: tuple[tuple[str, str], ...] = ()
    parity: bool = True


COMPUTED = "computed anew"
ROTARY = (("rotary_embed.inv_freq", COMPUTED),)
TIED = tuple((f"nar_predict_layers.{book}.weight", "the same tensor as a table that is read") for book in range(6))
AVERAGES = tuple(
    (f"_codebook.{name}", "a state of EnCodec's training") for name in ("inited", "cluster_size", "embed_avg")
)
TWICE = (("encoder.enc_emb_tokens.weight", "the same tensor as prior_encoder.enc_emb_tokens, which is read"),)
WINDOW = (("istft.window", COMPUTED),)
CASES = (
    Case(where="SWivid/F5-TTS, F5TTS_v1_Base", model="tts/f5", proof="f5_tts/dit_v1", unread=ROTARY),
    Case(where="SWivid/F5-TTS, F5TTS_Base", model="tts/f5", proof="f5_tts/dit_v0", unread=ROTARY),
    Case(where="SWivid/E2-TTS", model="tts/e2", proof="f5_tts/unett_e2", unread=ROTARY),
    Case(where="amphion/MaskGCT, t2s_model", model="tts/maskgct", proof="amphion_maskgct/maskgct_t2s"),
    Case(
        where="amphion/MaskGCT, s2a_model_1layer", model="tts/maskgct_s2a", proof="amphion_maskgct/maskgct_s2a_1layer"
    ),
    Case(where="amphion/MaskGCT, s2a_model_full", model="tts/maskgct_s2a", proof="amphion_maskgct/maskgct_s2a_full"),
    Case(
        where="amphion/MaskGCT, semantic_codec",
        model="codec/maskgct_semantic",
        proof="amphion_maskgct/semantic_repcodec",
    ),
    Case(
        where="amphion/MaskGCT, acoustic_codec/model",
        model="codec/maskgct_acoustic",
        proof="amphion_maskgct/acoustic_codec_encoder",
    ),
    Case(
        where="amphion/MaskGCT, acoustic_codec/model_1",
        model="codec/maskgct_acoustic",
        proof="amphion_maskgct/acoustic_codec_decoder",
        unread=WINDOW,
    ),
    Case(where="amphion/metis, base", model="tts/metis", proof="amphion_maskgct/metis_stage1_base"),
    Case(where="amphion/metis, voice conversion", model="tts/metis", proof="amphion_maskgct/metis_stage1_vc"),
    Case(
        where="amphion/valle_libritts, amphion/valle_librilight_6k",
        model="tts/valle",
        proof="amphion_tts/valle_prefix1",
        unread=TIED,
    ),
    Case(where="amphion/valle, both files", model="tts/valle_v2", proof="names from its code", parity=False),
    Case(
        where="amphion/naturalspeech2_libritts",
        model="tts/naturalspeech2",
        proof="amphion_tts/naturalspeech2",
        unread=(*AVERAGES, *TWICE, ("position_emb.pe", COMPUTED)),
    ),
    Case(where="amphion/Vevo, PhoneToVq8192, Vq32ToVq8192", model="vc/vevo_ar", proof="amphion_vevo/vevo_ar"),
    Case(where="amphion/Vevo, Vq8192ToMels", model="vc/vevo", proof="amphion_vevo/vevo_flow_matching"),
    Case(where="amphion/Vevo, Vocoder", model="vocoder/vocos", proof="amphion_vevo/vevo_vocos", unread=WINDOW),
    Case(
        where="amphion/Vevo, tokenizer/vq8192",
        model="codec/maskgct_semantic",
        proof="amphion_maskgct/semantic_repcodec",
    ),
    Case(where="HKUSTAudio/Llasa-1B, -3B, -8B", model="tts/llasa", proof="transformers LlamaForCausalLM"),
    Case(
        where="FunAudioLLM/CosyVoice2-0.5B, llm.pt",
        model="tts/cosyvoice2",
        proof="transformers Qwen2ForCausalLM",
        unread=(("llm.model.lm_head.weight", "Qwen's own head, which says text"),),
    ),
    Case(
        where="FunAudioLLM/CosyVoice2-0.5B, flow.pt",
        model="tts/cosyvoice2_flow",
        proof="official_speech cosyvoice2_flow",
    ),
    Case(where="FunAudioLLM/CosyVoice2-0.5B, hift.pt", model="vocoder/hift", proof="official_speech hift"),
)
FIXTURE = Path(__file__).parents[1] / "fixtures" / "official_speech.json"


def _qwen2(config: Any = None) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The state dict of CosyVoice 2's language model: transformers' Qwen 2 and what stands around it."""
    transformers = pytest.importorskip("transformers")
    sizes = transformers.Qwen2Config(
        vocab_size=11, hidden_size=128, intermediate_size=24, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=1, tie_word_embeddings=False,
    )  # fmt: skip
    inner = transformers.Qwen2ForCausalLM(sizes).state_dict()
    around = {"llm_embedding.weight": (2, 128), "speech_embedding.weight": (9, 128), "llm_decoder.weight": (9, 128)}
    state = {f"llm.model.{key}": value for key, value in inner.items()}
    state |= {key: torch.empty(shape) for key, shape in around.items()} | {"llm_decoder.bias": torch.empty(9)}
    return state, {}


def _llama() -> tuple[dict[str, Tensor], dict[str, Any]]:
    transformers = pytest.importorskip("transformers")
    sizes = transformers.LlamaConfig(
        vocab_size=65_536 + 40, hidden_size=8, intermediate_size=12, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=1, tie_word_embeddings=True,
    )  # fmt: skip
    state = transformers.LlamaForCausalLM(sizes).state_dict()
    return {key: value for key, value in state.items() if key != "lm_head.weight"}, sizes.to_dict()


def source(case: Case) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The state dict and the configuration of an original, at small sizes."""
    if case.proof.startswith("official_speech"):
        kept = json.loads(FIXTURE.read_text("utf-8"))[case.proof.split()[1]]
        return {key: torch.empty(shape) for key, shape in kept["shapes"].items()}, kept.get("config", {})
    if case.proof.startswith("transformers"):
        return _qwen2() if "Qwen2" in case.proof else _llama()
    pack = packs.load(case.proof)
    return pack.state, {"decoder": pack.config} if case.proof.endswith("codec_decoder") else pack.config


def _values(state: dict[str, Tensor]) -> set[float]:
    return {value for tensor in state.values() for value in torch.unique(tensor).tolist()}


SLOW = ("transformers", "official_speech")  # 5 to 15 s each
PROVED = [
    pytest.param(case, id=case.where.replace(" ", "_"), marks=[pytest.mark.slow] if case.proof.startswith(SLOW) else [])
    for case in CASES
    if case.proof != "names from its code"
]


@pytest.mark.parametrize("case", PROVED)
def test_every_key_is_used_and_none_is_left(case: Case) -> None:
    state, config = source(case)
    module = find.find(case.model)
    filled, numbers = {}, {}
    for number, (key, value) in enumerate(state.items(), 1):
        if value.is_floating_point() and value.numel():
            numbers[key] = torch.tensor(number / 1024).item()
            filled[key] = torch.full_like(value, numbers[key])
        else:
            filled[key] = value
    model = module.from_official(filled, config)
    ours = {key: value for key, value in model.state_dict().items() if value.is_floating_point()}
    strange = {key for key, value in ours.items() if _values({key: value}) - set(numbers.values())}
    assert strange == set(), "all that we load comes from the original"
    held = _values(ours)
    lost = {key for key, number in numbers.items() if number not in held}
    unread = {key for key in lost if any(key.endswith(end) for end, _ in case.unread)}
    assert lost - unread == set(), "every tensor of the original is read"


def test_the_table_in_the_docs_is_this_one() -> None:
    text = (ROOT / "docs" / "cloning.md").read_text("utf-8")
    inside = text.split(BEGIN)[1].split(END)[0].strip()
    assert inside == table(), "python -m tests.parity.test_key_maps prints it anew"


def table() -> str:
    """The table of docs/cloning.md."""
    rows = ["| published | ours | keys and shapes from | not read | numbers compared |", "|---|---|---|---|---|"]
    for case in CASES:
        reasons = {why: end for end, why in reversed(case.unread)}
        left = "; ".join(f"`{end}`, {why}" for why, end in reasons.items()) or "none"
        rows.append(f"| {case.where} | `{case.model}` | {case.proof} | {left} | {'yes' if case.parity else 'no'} |")
    return "\n".join(rows)


if __name__ == "__main__":
    print(table())  # noqa: T201
