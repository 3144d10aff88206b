"""The parts of the English front end: numbers, lexicon, tagger, tokens, letters, tokenizer, stress."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from aoide.config import UserError
from aoide.text import numbers, phonemes
from aoide.text.letters import LETTERS, SLOTS, SOUNDS, Letters, decode, encode, sounds
from aoide.text.lexicon import Entry, Lexicon, pack
from aoide.text.phonemes import SYMBOLS
from aoide.text.tagger import TAGS, Tagger
from aoide.text.tokenizer import Tokenizer
from aoide.text.tokens import Token, tokens

DATA = Path(numbers.__file__).parent / "data"


# ----------------------------------------------------------------------------------------------------------- numbers


def test_numbers_do_not_clash() -> None:
    said = [numbers.cardinal(n) for n in range(20_000)]
    assert len(set(said)) == len(said)
    assert len({numbers.ordinal(n) for n in range(2_000)}) == 2_000


@pytest.mark.parametrize(
    ("function", "number", "said"),
    [
        (numbers.cardinal, 1_000_000, "one million"),
        (numbers.cardinal, -21, "minus twenty one"),
        (numbers.cardinal, 10**30, " ".join(["one"] + ["zero"] * 30)),
        (numbers.ordinal, 1_000, "one thousandth"),
        (numbers.year, 1000, "one thousand"),
        (numbers.year, 1100, "eleven hundred"),
        (numbers.year, 2000, "two thousand"),
        (numbers.hundreds, 205, "two oh five"),
        (numbers.decimal, "1,000.05", "one thousand point zero five"),
        (numbers.plural, "six", "sixes"),
        (numbers.plural, "forty", "forties"),
    ],
)
def test_numbers(function, number, said: str) -> None:
    assert function(number) == said


# ----------------------------------------------------------------------------------------------------------- lexicon


def test_lexicon_round_trip(tmp_path: Path) -> None:
    words = {
        f"word{i}": Entry(f"wˈɜɹd{'ə' * (i % 5)}", {"VERB": "v"} if i % 3 else {}, i % 2 == 0) for i in range(2_000)
    }
    words["US"] = Entry("ˌʌs", {"NOUN": ""}, True)
    path = tmp_path / "lexicon.bin"
    path.write_bytes(pack(words.items()))
    lexicon = Lexicon(path)
    assert dict(lexicon.items()) == words
    assert lexicon.get("word7") == words["word7"] and lexicon.get("word") is None and lexicon.get("wörd7") is None


def test_not_a_lexicon(tmp_path: Path) -> None:
    path = tmp_path / "x.bin"
    path.write_bytes(b"something else")
    with pytest.raises(ValueError, match="is not a lexicon"):
        Lexicon(path)
    with pytest.raises(ValueError, match="is not a tagger"):
        Tagger(path)


def test_packaged_lexicon() -> None:
    lexicon = Lexicon(DATA / "en-lexicon.bin")
    entries = dict(lexicon.items())
    assert len(entries) > 175_000
    assert lexicon.get("read") == Entry("ɹˈid", dict.fromkeys(("ADJ", "VBD", "VBN", "VBP"), "ɹˈɛd"), True)
    assert lexicon.get("US").by_tag == {"NOUN": ""}  # type: ignore[union-attr]
    used = {
        symbol for entry in entries.values() for sound in (entry.default, *entry.by_tag.values()) for symbol in sound
    }
    assert used <= set(SYMBOLS)


def test_shipped_data_are_small_and_have_their_licence() -> None:
    sizes = {path.name: path.stat().st_size for path in DATA.iterdir()}
    assert sum(sizes.values()) < 4e6 and sizes["en-letters.onnx"] < 1.5e6
    assert "Apache" in (DATA / "NOTICE").read_text() and "LICENSE-APACHE" in sizes


# ------------------------------------------------------------------------------------------------------ tokens, tagger


def test_tokens() -> None:
    assert tokens("The dogs' well-known U.S 'em, goin' 'on'.") == [
        Token("The"),
        Token("dogs"),
        Token("well"),
        Token("known", joined=True),
        Token("U.S"),
        Token("'em"),
        Token(","),
        Token("goin'"),
        Token("on"),
        Token("."),
    ]


def test_tagger() -> None:
    tagger = Tagger(DATA / "en-tagger.bin")
    assert tagger([]) == []
    sentence = tokens("She will record a new record in London.")
    tags = dict(zip([token.text for token in sentence], tagger(sentence), strict=True))
    assert set(tags.values()) <= set(TAGS)
    assert tags["She"] == "PRP" and tags["new"] == "JJ" and tags["London"] == "NNP" and tags["in"] == "IN"
    assert tagger(sentence)[2] == "VB" and tagger(sentence)[5] == "NN"


# --------------------------------------------------------------------------------------------------- letters, tokenizer


def test_letters_are_decoded_without_repetitions() -> None:
    scores = np.full((6, len(SOUNDS) + 1), -9.0, np.float32)
    for slot, symbol in enumerate([0, 3, 3, 0, 3, 5]):
        scores[slot, symbol] = 9.0
    assert decode(scores) == SOUNDS[2] * 2 + SOUNDS[4]


def test_encode_and_sounds() -> None:
    assert encode("az'é").tolist() == [2, len(LETTERS), 1, 1]
    assert sounds("fˈɪks") == ["f", "ˈɪ", "k", "s"] and set(sounds("nˌIntˈin")) <= set(SOUNDS)


@pytest.mark.parametrize(
    ("word", "consonants"),
    [("blorping", "blɹpŋ"), ("zintrask", "zntɹsk"), ("flimberous", "flmbɹs"), ("mundavic", "mndvk")],
)
def test_unknown_words_are_guessed_sensibly(word: str, consonants: str) -> None:
    said = Letters(DATA / "en-letters.onnx")(word)
    assert [s for s in said if s in phonemes.CONSONANTS] == list(consonants)
    assert said.count("ˈ") == 1


def test_a_monster_of_a_word_is_read_in_pieces() -> None:
    letters = Letters(DATA / "en-letters.onnx")
    assert len(letters.scores(["abc", "defgh"])[0]) == 3 * SLOTS
    assert 200 < len(letters("banana" * 60)) < 700


def test_tokenizer() -> None:
    tokenizer = Tokenizer(SYMBOLS)
    numbers_of = tokenizer.encode("həlˈO.")
    assert numbers_of.dtype == np.int64 and numbers_of.tolist() == [0, 50, 83, 54, 156, 31, 4, 0]
    assert tokenizer.decode(numbers_of) == "həlˈO."
    with pytest.raises(UserError, match="does not know the phonemes § 本"):
        tokenizer.encode("a§b本")
    with pytest.raises(ValueError, match="0 stands for the silence"):
        Tokenizer({"a": 0})


def test_symbols_are_numbered_once() -> None:
    assert len(set(SYMBOLS.values())) == len(SYMBOLS) == 114 and SYMBOLS["ᵻ"] == 177 and 0 not in SYMBOLS.values()


@pytest.mark.parametrize(
    ("function", "before", "after"),
    [
        (phonemes.lightly_stressed, "ʃi", "ʃˌi"),
        (phonemes.lightly_stressed, "ʃˈi", "ʃˈi"),
        (phonemes.fully_stressed, "ʃˌʊd", "ʃˈʊd"),
        (phonemes.fully_stressed, "hm", "hm"),
        (phonemes.weakened, "ˌAʧtˈi", "Aʧtˌi"),
        (phonemes.unstressed, "nˌIntˈin", "nIntin"),
    ],
)
def test_stress(function, before: str, after: str) -> None:
    assert function(before) == after
