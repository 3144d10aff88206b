"""Weights of transformers' networks: all of them, and no others."""

from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from safetensors.torch import load_file, save_file  # noqa: E402

from aoide.config import UserError  # noqa: E402
from aoide.external.weights import pretrained  # noqa: E402


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    config = transformers.LlamaConfig(
        vocab_size=11, hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=2
    )
    transformers.LlamaModel(config).save_pretrained(tmp_path)
    return tmp_path


def _changed(folder: Path, drop: tuple[str, ...] = (), **more: torch.Tensor) -> None:
    state = load_file(folder / "model.safetensors")
    state = {key: value for key, value in state.items() if not key.endswith(drop or ("nothing",))}
    save_file(state | more, folder / "model.safetensors", {"format": "pt"})


def test_complete_weights_are_loaded(folder: Path) -> None:
    _changed(folder, **{"lm_head.weight": torch.zeros(11, 8), "layers.0.self_attn.rotary_emb.inv_freq": torch.ones(2)})
    assert not pretrained("LlamaModel", folder).training


def test_missing_weights_are_named_and_counted(folder: Path) -> None:
    _changed(folder, ("q_proj.weight", "k_proj.weight", "v_proj.weight", "o_proj.weight"))
    with pytest.raises(
        UserError, match=r"not the weights of a LlamaModel: 4 missing: layers.0.self_attn.k_proj.*\.\.\.$"
    ):
        pretrained("LlamaModel", folder)


def test_weights_that_are_left_over_are_named(folder: Path) -> None:
    _changed(folder, ("norm.weight",), **{"strange.weight": torch.zeros(3)})
    with pytest.raises(UserError, match=r"3 missing: .*; 1 left over: strange.weight$"):
        pretrained("LlamaModel", folder)


def test_other_shapes_are_told(folder: Path) -> None:
    _changed(folder, ("embed_tokens.weight",), **{"embed_tokens.weight": torch.zeros(12, 8)})
    with pytest.raises(UserError, match="not the weights of a LlamaModel"):
        pretrained("LlamaModel", folder)
