"""English phonemes by the published table of MaskGCT."""

import json

import numpy as np
import pytest

from aoide.config import UserError
from aoide.text import frontend
from aoide.text.maskgct import Table
from aoide.text.maskgct import english as symbols

KNOWN = """, . ? ! _ iː ɪ ɜː ɚ oːɹ ɔː ɔːɹ ɑː uː ʊ ɑːɹ ʌ ɛ æ eɪ aɪ ɔɪ aʊ oʊ ɪɹ ɛɹ ʊɹ p b t d k ɡ f v θ ð s z ʃ ʒ h tʃ dʒ
m n ŋ j w ɹ l tɹ dɹ ts dz i ɔ ə ɾ aɪə aɪɚ : ; …"""


def test_symbols_of_words() -> None:
    assert symbols("həlˈO wˈɜɹld.") == ["h", "ə", "l", "oʊ", "_", "w", "ɜː", "l", "d", "."]
    assert symbols("tɹˈi, dɹˈAv") == ["tɹ", "iː", ",", "dɹ", "eɪ", "v"]
    assert symbols("hˈæpi.") == ["h", "æ", "p", "i", "."]
    assert symbols("mˈʌðəɹz fˈIəɹ") == ["m", "ʌ", "ð", "ɚ", "z", "_", "f", "aɪɚ"]
    assert symbols("tˈAbᵊl (kˈæts)") == ["t", "eɪ", "b", "l", "_", "k", "æ", "ts"]
    assert symbols("nˈɔɹθ stˈɑɹ") == ["n", "ɔːɹ", "θ", "_", "s", "t", "ɑːɹ"]


def test_english_sentences_have_no_other_symbols(tmp_path) -> None:
    """The published table's English part, by its own names."""
    path = tmp_path / "vocab.json"
    path.write_text(json.dumps({"vocab": {symbol: number for number, symbol in enumerate(KNOWN.split())}}))
    table, front = Table.read(path), frontend("en")
    text = "The quick brown fox jumps over a lazy dog. Why choose years of boiling fury? Houses, buttons: thirty-three!"
    for sentence in front.sentences(text):
        tokens = table.look_up(symbols(front.phonemize(sentence)))
        assert tokens.dtype == np.int64 and len(tokens) > 15
    with pytest.raises(UserError, match="has no ø"):
        table.look_up(symbols("bˈø"))


@pytest.mark.parametrize("content", ["", "[]", '{"vocab": {"a": "b"}}'])
def test_another_file_is_told(tmp_path, content: str) -> None:
    (tmp_path / "vocab.json").write_text(content)
    with pytest.raises(UserError, match="not a table of phonemes"):
        Table.read(tmp_path / "vocab.json")
    with pytest.raises(UserError, match="cannot be read"):
        Table.read(tmp_path / "nothing.json")
