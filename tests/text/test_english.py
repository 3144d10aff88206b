"""The English front end as a whole: what goes in as text comes out as the phonemes that the voices were taught."""

from __future__ import annotations

import gzip
import string
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aoide import text
from aoide.config import MissingExtra, UserError
from aoide.text import FrontEnd, normalize
from aoide.text.phonemes import SYMBOLS
from tests.text.heteronyms import CASES, UNSEEN

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def english() -> FrontEnd:
    return text.frontend("en")


# ------------------------------------------------------------------------------------------------------------- words


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("Hello there.", "həlˈO ðˈɛɹ."),
        ("The apple and the dog.", "ði ˈæpᵊl ænd ðə dˈɔɡ."),
        ("A dog in a park.", "ɐ dˈɔɡ ɪn ɐ pˈɑɹk."),
        ("I want to eat, to sleep, to.", "ˌI wˈɑnt tʊ ˈit, tə slˈip, tu."),
        ("She said so.", "ʃˌi sˈɛd sˌO."),
        ("The boxes waited, hoping and stopping.", "ðə bˈɑksᵻz wˈATᵻd, hˈOpɪŋ ænd stˈɑpɪŋ."),
        ("NASA and the FBI like HTML.", "nˈæsə ænd ði ˌɛfbˌiˈI lˈIk ˌAʧtˌiˌɛmˈɛl."),
        ("CEOs bought DVDs.", "sˌiˌiˈOz bˈɔt dˌivˌidˈiz."),
        ("The US, the IT team and the WHO.", "ðə jˌuˈɛs, ði ˌItˈi tˈim ænd ðə dˌʌbᵊljuˌAʧˈO."),
        ("It is US.", "ˌɪt ɪz jˌuˈɛs."),
        ("HELLO WORLD", "həlˈO wˈɜɹld"),
        ("He said NO.", "hˌi sˈɛd nˈO."),
        ("Gate A, plan B.", "ɡˈAt ˈA, plˈæn bˈi."),
        ("O S A I.", "ˈO ˈɛs ˈA ˈI."),
        ("U.S. Army", "jˌuˈɛs ˈɑɹmi"),
        ("my mother-in-law's e-mail", "mI mˈʌðəɹənlˌɔz ˈimˌAl"),
        ("a well-known X-ray", "ɐ wˌɛlnˈOn ˈɛksɹˌA"),
        ("Ann's, James's and the boys' books", "ˈænz, ʤˈAmzᵻz ænd ðə bˈYz bˈʊks"),
        ("They'll say we'd've gone.", "ðˌAl sˈA widəv ɡˈɔn."),
        ("rock 'n' roll, goin' on", "ɹˈɑk ən ɹˈOl, ɡˈOɪn ˌɔn"),
        ("YouTube and eBay", "jˈutˌub ænd ˈibˌA"),
        ("2.5 points", "tˈu pYnt fˈIv pˈYnts"),
        ("kg of tv", "kˌAʤˈi ʌv tˌivˈi"),
    ],
)
def test_words(english: FrontEnd, written: str, said: str) -> None:
    assert english.phonemize(written) == said


def share(english: FrontEnd, cases: list[tuple[str, str, str]]) -> float:
    right = 0
    for sentence, _, sound in cases:
        words = english.phonemize(sentence).translate(str.maketrans("", "", ".,!?;:")).split()
        right += sound in words or sound.replace("ˈ", "ˌ") in words
    return right / len(cases)


def test_heteronyms(english: FrontEnd) -> None:
    """The teacher has 82 % of the first list and 87 % of the second."""
    assert len(CASES) + len(UNSEEN) >= 190
    assert share(english, CASES) >= 0.98
    assert share(english, UNSEEN) >= 0.93


def test_reading_list_is_read_without_a_gap(english: FrontEnd) -> None:
    """Every line of the taught corpus's list gives phonemes that a voice knows, as many words as one would expect."""
    lines = gzip.decompress((ROOT / "recipes" / "tts" / "sentences-en.txt.gz").read_bytes()).decode().splitlines()
    for line in lines[::20]:
        said = " ".join(map(english.phonemize, english.sentences(line)))
        assert set(said) <= set(SYMBOLS), line
        assert len(said.split()) >= len(line.replace(" - ", " ").split()) - 1, line
        assert not set('()"“”—…') & set(said), line


# --------------------------------------------------------------------------------------------------------- any input


@settings(max_examples=150, deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=60))
def test_any_text_gives_known_symbols_or_one_clear_line(written: str) -> None:
    english = text.frontend("en")
    try:
        said = english.phonemize(written)
    except UserError as error:
        assert "\n" not in str(error) and "pip install 'aoide[" in str(error)
        return
    assert set(said) <= set(SYMBOLS) and "  " not in said and said == said.strip()


@settings(max_examples=150, deadline=None)
@given(st.text(string.ascii_letters + string.digits + " .,:;-/$%'\"()+=&@#*°\n", max_size=120))
def test_any_printable_text_is_read(written: str) -> None:
    english = text.frontend("en")
    said = english.phonemize(written)
    assert set(said) <= set(SYMBOLS) and "  " not in said
    if any(map(str.isalnum, normalize._SMILEY.sub("", written))):
        assert said.strip(".,;:?! ")  # signs may be read too (plus, percent), words and numbers must


@pytest.mark.parametrize("nothing", ["", "   \n", "...", "?!", "😀 ☺", "—", "(*)"])
def test_nothing_to_say(english: FrontEnd, nothing: str) -> None:
    with pytest.raises(UserError, match="^nothing to say"):
        list(english.sentences(nothing))
    assert english.phonemize(nothing) == ""


def test_symbols_between_sentences_are_passed_over(english: FrontEnd) -> None:
    assert list(english.sentences("One. *** ... Two.")) == ["One.", "Two."]


@pytest.mark.parametrize(
    ("written", "shown", "extra"),
    [
        ("Say Привет, please.", "Привет (Cyrillic letters)", "aoide[espeak]"),
        ("你好", "你好 (Han letters)", "aoide[zh]"),
        ("I love こんにちは", "こんにちは (Hiragana letters)", "aoide[ja]"),
        ("안녕", "안녕 (Hangul letters)", "aoide[espeak]"),
        ("Καλημέρα", "Καλημέρα (Greek letters)", "aoide[espeak]"),
    ],
)
def test_unknown_scripts_are_named(english: FrontEnd, written: str, shown: str, extra: str) -> None:
    with pytest.raises(UserError) as caught:
        english.phonemize(written)
    assert shown in str(caught.value) and extra in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("unit", ["a", "word ", "word, ", "5", "W", "%x", "THE CAT ", "xkcd ", "777,777 "])
def test_no_piece_is_longer_than_a_voice_can_say(english: FrontEnd, unit: str) -> None:
    endless = unit * (20_000 // len(unit))
    pieces = list(english.sentences(endless))
    assert max(len(english.phonemize(piece)) for piece in pieces[:12] + pieces[-2:]) <= 400
    assert "".join(pieces).replace(" ", "") == endless.replace(" ", "").strip()


# ------------------------------------------------------------------------------------------------------------ languages


def test_languages_are_files_and_a_wrong_name_names_the_near_ones() -> None:
    assert text.names() == ["de", "en", "espeak", "fr", "ja", "ko", "zh"]
    with pytest.raises(UserError, match="no language 'espeek'; did you mean espeak"):
        text.frontend("espeek")
    with pytest.raises(UserError, match="no language 'it'; .*espeak/it asks espeak-ng"):
        text.frontend("it")


def test_espeak_is_an_extra() -> None:
    try:
        import phonemizer  # noqa: F401
    except ImportError:
        with pytest.raises(MissingExtra, match=r"aoide\[espeak\]"):
            text.frontend("espeak/de")
    else:
        assert text.frontend("espeak/de").phonemize("Guten Morgen!").endswith("!")
        with pytest.raises(UserError, match="did you mean de"):
            text.frontend("espeak/dee")


# -------------------------------------------------------------------------------------------------------- speed, memory


def test_nothing_heavy_is_imported() -> None:
    code = (
        "import sys; from aoide import text; text.frontend('en').phonemize('A first sentence.');"
        "print([m for m in ('torch', 'onnxruntime', 'hibari', 'phonemizer', 'yaml') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"


def test_a_sentence_costs_little(english: FrontEnd) -> None:
    """About 0.35 ms on an idle core; the limit leaves room for a busy machine."""
    sentence = "She sells sea shells by the shore."
    english.phonemize(sentence)
    started = time.process_time()
    for _ in range(100):
        english.phonemize(sentence)
    assert (time.process_time() - started) / 100 < 2e-3


def test_a_long_text_needs_no_more_memory_than_a_short_one(english: FrontEnd) -> None:
    def peak(count: int) -> int:
        tracemalloc.start()
        for sentence in english.sentences("This is a sentence of the book. " for _ in range(count)):
            assert sentence
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return used

    peak(10)
    assert peak(3000) < peak(300) + 50_000
