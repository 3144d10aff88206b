"""T5 as a reader of captions: a tiny one with random weights, saved to a folder as the published ones are."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from aoide.config import UserError
from aoide.data.captioned import Text, open_text

transformers = pytest.importorskip("transformers")
pytestmark = pytest.mark.slow  # 4 s, the import of transformers

WORDS = ("<pad>", "</s>", "<unk>", "a", "dog", "barks", "rain")


def save(folder: Path) -> Path:
    """A T5 of two layers that knows four words."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace
    from tokenizers.processors import TemplateProcessing

    tokens = Tokenizer(WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="<unk>"))
    tokens.pre_tokenizer = Whitespace()
    tokens.post_processor = TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokens, pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
    ).save_pretrained(folder)
    torch.manual_seed(0)
    config = transformers.T5Config(
        vocab_size=len(WORDS), d_model=12, d_kv=6, d_ff=16, num_layers=2, num_heads=2, decoder_start_token_id=0
    )
    transformers.T5EncoderModel(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(tmp_path_factory.mktemp("t5"))


def test_captions_become_rows_and_company_changes_nothing(folder: Path) -> None:
    encode = open_text(Text(name="t5", source=str(folder)))
    rows, mask = encode(["a dog barks", "rain", ""])
    assert rows.shape == (3, 4, 12) and mask.sum(1).tolist() == [4, 2, 1] and not rows.requires_grad
    alone, _ = encode(["rain"])
    torch.testing.assert_close(rows[1, :2], alone[0], atol=1e-6, rtol=1e-5)
    assert not rows[1, 2:].any() and not torch.allclose(rows[0, 0], rows[1, 0])
    torch.nn.Linear(12, 2)(rows).sum().backward()  # rows of a frozen network go into one that learns


def test_long_captions_are_cut(folder: Path) -> None:
    rows, _ = open_text(Text(name="t5", source=str(folder), longest=5))(["dog " * 40])
    assert rows.shape[1] == 5


def test_no_weights_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be loaded"):
        open_text(Text(name="t5", source=str(tmp_path)))
    with pytest.raises(UserError, match="no such folder"):
        open_text(Text(name="t5", source=str(tmp_path / "nothing")))
