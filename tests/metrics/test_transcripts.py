"""Word and character error rates on sentences whose edits are counted by hand, and what Amphion makes of them."""

import math
import os
from pathlib import Path

import numpy as np
import pytest

from aoide import metrics
from aoide.config import UserError
from aoide.metrics import transcripts

pytest.importorskip("rapidfuzz")


# ------------------------------------------------------------------------------------------------------------ counting


@pytest.mark.parametrize(
    ("said", "heard", "substitutions", "deletions", "insertions", "words"),
    [
        ("the cat sat on the mat", "the cat sat on the mat", 0, 0, 0, 6),
        ("the cat sat on the mat", "the cat sat on mat", 0, 1, 0, 6),
        ("the cat sat on the mat", "the cat sat on the the mat", 0, 0, 1, 6),
        ("the cat sat on the mat", "the hat sat on the mat", 1, 0, 0, 6),
        ("the cat sat", "a dog ran off", 3, 0, 1, 3),
        ("the cat sat", "", 0, 3, 0, 3),
        ("", "the cat sat", 0, 0, 3, 0),
    ],
)
def test_edits_are_counted_by_kind(
    said: str, heard: str, substitutions: int, deletions: int, insertions: int, words: int
) -> None:
    (found,) = transcripts.compare(said, heard, "words", "en")
    assert found.edits == transcripts.Edits(substitutions, deletions, insertions, words)


def test_the_rate_is_that_of_the_corpus_and_not_the_mean_of_rates() -> None:
    said, heard = (
        ["yes", "the quick brown fox jumps over a lazy dog"],
        ["no", "the quick brown fox jumps over a lazy dog"],
    )
    assert metrics.wer(said, heard) == pytest.approx(1 / 10)  # the mean of 1/1 and 0/9 would be 0.5


def test_identical_is_best_and_missing_is_never_perfect() -> None:
    text = "Dr. Smith didn't pay $1,200 at 9:30am!"
    assert metrics.wer(text, text) == 0.0 and metrics.cer(text, text) == 0.0
    assert math.isnan(metrics.wer("", "")) and math.isnan(metrics.cer("...", "!"))
    assert metrics.wer("some words", "") == 1.0
    assert metrics.wer("one word", "one word and many many more words") > 1.0
    assert metrics.wer(["", "a word"], ["noise", "a word"]) == pytest.approx(1 / 2)  # what was heard in silence counts


def test_characters_count_the_space_between_words() -> None:
    assert metrics.cer("nowhere", "no where") == pytest.approx(1 / 7)
    assert metrics.cer("no where", "no where") == 0.0
    assert metrics.cer("我有三十元", "我有二十元", language="zh") == pytest.approx(1 / 5)


def test_unequal_numbers_and_unknown_normalisers_are_errors() -> None:
    with pytest.raises(UserError, match="2 reference texts and 1 transcripts"):
        metrics.wer(["a", "b"], ["a"])
    with pytest.raises(UserError, match="did you mean english"):
        metrics.wer("a", "a", normalizer="englisch")


# --------------------------------------------------------------------------------------------------------- normalisers

SAME = [
    ("It's $3.20.", "it is three dollars and twenty cents"),
    ("Dr. Smith didn't pay $1,200 at 9:30am!", "doctor smith did not pay twelve hundred dollars at nine-thirty A.M."),
    ("one hundred and five", "105"),
    ("a hundred five", "105"),
    ("four two four two", "4242"),
    ("in nineteen oh five", "In 1905"),
    ("twenty nineteen", "2019"),
    ("two thousand nineteen", "2019"),
    ("seven forty seven", "747"),
    ("three point one four", "3.14"),
    ("2.3 million", "two million three hundred thousand"),
    ("the twenty-third of May", "the 23rd of May"),
    ("five percent", "5%"),
    ("We can't go", "we cannot go"),
    ("I'm gonna go", "I am going to go"),
    ("who's there? it's me", "Who is there, it is me"),
    ("the colour of the theatre", "the color of the theater"),
    ("Um, well, okay", "well ok"),
    ("[Music] hello", "Hello."),
    ("MR BROWN WENT", "Mr. Brown went"),
    ("the U.S. army", "the US army"),
    ("“Quoted” — text…", "quoted text"),
    ("well-known facts", "well known facts"),
    ("wait a second", "Wait a second!"),
]
DIFFERENT = [
    ("John's dog", "John is a dog"),
    ("105", "150"),
    ("thirteen", "thirty"),
    ("the second one", "the first one"),
    ("he can go", "he can't go"),
    ("colour", "collar"),
    ("two hundred", "200,000"),
    ("minus five", "five"),
]


@pytest.mark.parametrize(("written", "heard"), SAME)
def test_two_ways_to_write_the_same_english_are_equal(written: str, heard: str) -> None:
    assert transcripts.english(written) == transcripts.english(heard)


@pytest.mark.parametrize(("said", "heard"), DIFFERENT)
def test_different_english_stays_different(said: str, heard: str) -> None:
    assert transcripts.english(said) != transcripts.english(heard)


def test_every_number_comes_back_as_its_digits() -> None:
    from aoide.text import numbers

    for number in [*range(0, 130), 200, 305, 999, 1000, 1001, 1234, 10_000, 20_019, 123_456, 1_000_000, 2_300_045]:
        assert transcripts.english(f"they have {numbers.cardinal(number)} of them") == f"they have {number} of them"
        assert transcripts.english(f"they have {number:,} of them") == f"they have {number} of them"


def test_a_possessive_stays_one_word() -> None:
    assert transcripts.english("John's dog").split() == ["johns", "dog"]


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("我有30元。", "我有三十元"),
        ("2019年10月5日", "二零一九年十月五日"),
        ("10203", "一万零二百零三"),
        ("100000", "十万"),
        ("10000001", "一千万零一"),
        ("5%", "百分之五"),
        ("3.5", "三点五"),
        ("110", "一百一十"),
    ],
)
def test_chinese_numbers_are_read(written: str, said: str) -> None:
    assert transcripts.chinese(written) == said


def test_words_of_writings_without_spaces_are_characters() -> None:
    (found,) = transcripts.compare("我用 iPhone 打电话", "我用iphone打电", "words", "zh")
    assert found.edits == transcripts.Edits(0, 1, 0, 6)  # 我 用 iphone 打 电 话
    assert transcripts.compare("こんにちは。", "こんにちわ", "words", "ja")[0].edits.rate == pytest.approx(1 / 5)


def test_other_languages_lose_punctuation_and_case() -> None:
    assert transcripts.basic("L'été — déjà !") == "lété déjà"
    assert metrics.wer("¿Qué tal?", "qué tal", language="es") == 0.0
    assert metrics.wer("Hello there", "你好", language="en") == 1.0  # another script is wrong, and no crash


# ------------------------------------------------------------------------------------------------------------- Amphion


def test_amphion_gives_zero_to_another_sentence() -> None:
    """It transcribes the generated sound for both sides: ../shared/facts/amphion.md, section 4, fault (a)."""
    wer, cer = metrics.find("wer"), metrics.find("cer")
    said, heard = "The quick brown fox jumps over the lazy dog.", "My name is something else entirely."
    assert wer.amphion(said, heard) == 0.0 and cer.amphion(said, heard) == 0.0
    assert metrics.wer(said, heard) == 1.0 and metrics.cer(said, heard) > 0.5
    assert wer.amphion(said, heard, language="chinese") == 1.0  # only there it hears the reference


def test_amphion_counts_an_utterance_as_one_word() -> None:
    """Fault (b): one wrong word of nine is a rate of 1; characters are counted without spaces."""
    said, heard = "a quick brown fox jumps over one lazy dog", "a quick brown fox jumps over one lazy dot"
    assert metrics.find("wer").amphion(said, heard, mode="gt_content") == 1.0
    assert metrics.find("cer").amphion(said, heard, mode="gt_content") == pytest.approx(1 / 33)
    assert metrics.wer(said, heard) == pytest.approx(1 / 9)
    assert metrics.find("wer").amphion("Right?", "right", mode="gt_content") == 1.0  # a question mark is not removed
    assert metrics.find("wer").amphion("Well-done, right!", "well done right", mode="gt_content") == 0.0


def test_amphion_takes_the_mean_of_utterances_and_drops_what_has_no_value() -> None:
    amphion = metrics.find("wer").amphion
    assert amphion(["a b", "c"], ["a b", "d"], mode="gt_content") == 0.5
    assert amphion(["", "c"], ["", "c"], mode="gt_content") == 0.0  # 0 / 0 is dropped
    assert amphion([""], ["word"], mode="gt_content") == math.inf
    assert math.isnan(amphion([""], [""], mode="gt_content"))


# ------------------------------------------------------------------------------------------------------------- Whisper


@pytest.fixture(scope="module")
def whisper_folder() -> str:
    """A folder with a Whisper of faster-whisper (model.bin), base or larger."""
    if not (given := os.environ.get("AOIDE_WHISPER")):
        pytest.skip("no Whisper: name a folder with model.bin in AOIDE_WHISPER")
    return given


@pytest.mark.slow
def test_whisper_hears_what_our_voice_says(whisper_folder: str) -> None:
    pytest.importorskip("faster_whisper")
    import aoide
    from aoide.external.whisper import Whisper

    listener = Whisper(whisper_folder, threads=1)
    assert listener.backend == "faster-whisper"
    text = "The boy was there when the sun rose, and it was a quarter past nine."
    sound = aoide.load("en-heart").say(text)
    heard = listener.transcribe(sound.samples, sound.sample_rate, language="en")
    assert metrics.wer(text, heard) <= 0.15, heard
    assert listener.transcribe(np.zeros(16000, np.float32), 16000) == ""
    assert listener.transcribe(np.zeros(0, np.float32), 16000) == ""


def test_a_whisper_that_is_not_there_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("faster_whisper")
    from aoide.external.whisper import Whisper

    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="cannot be loaded"):
        Whisper(tmp_path / "empty")
    (tmp_path / "model.safetensors").write_bytes(b"")
    pytest.importorskip("transformers")
    with pytest.raises(UserError, match="cannot be loaded"):
        Whisper(tmp_path)  # the folder's form chooses transformers
