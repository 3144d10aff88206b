"""Chinese, Japanese, Korean, French and German: units, the alphabet of the house, and MaskGCT's published table."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from aoide.config import MissingExtra, UserError
from aoide.text import frontend, maskgct, units
from aoide.text.languages import de, fr, ja, ko, zh
from aoide.text.maskgct import Table, symbols
from aoide.text.phonemes import SYMBOLS

FILES = {"de": de, "fr": fr, "ja": ja, "ko": ko, "zh": zh}
READ = {"今日は東京で": "ky o o w a t o o ky o o d e", "ラーメンを食べました": "r a a m e N o t a b e m a sh I t a",
        "学校へ": "g a cl k o o e"}  # fmt: skip


@pytest.fixture
def open_jtalk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Open JTalk's answers to the sentences here; the dictionary of the package has 350 MB."""
    ja._read.cache_clear()
    monkeypatch.setattr(ja, "require", lambda name, extra: SimpleNamespace(g2p=lambda text: READ[text]))
    monkeypatch.setattr(ja.FrontEnd, "__init__", lambda self: None)


def said(text: str, language: str) -> str:
    return " ".join("_" if unit == units.GAP else unit for unit in FILES[language].FrontEnd().units(text))


# ------------------------------------------------------------------------------------------------------------ languages


@pytest.mark.parametrize(
    ("written", "spoken"),
    [
        ("한국어", "한구거"), ("국민", "궁민"), ("독립", "동닙"), ("신라", "실라"), ("좋다", "조타"), ("같이", "가치"),
        ("없어요", "업써요"), ("읽다", "익따"), ("읽어", "일거"), ("입학", "이팍"), ("많이", "마니"), ("싫어", "시러"),
        ("놓는", "논는"), ("넓다", "널따"), ("밟다", "밥따"), ("앉아", "안자"), ("닫히다", "다치다"), ("희망", "히망"),
        ("학교", "학꾜"), ("닭", "닥"), ("꽃", "꼳"), ("3", "삼"), ("2024년", "이천이십사년"), ("KBS", "케이비에스"),
    ],
)  # fmt: skip
def test_korean_is_said_by_rule(written: str, spoken: str) -> None:
    assert said(written, "ko") == said(spoken, "ko")


def test_korean() -> None:
    assert said("안녕하세요, 반갑습니다!", "ko") == "a n n y eo ng h a s e y o , p a n K a p ss eu m n i T a !"
    assert frontend("ko").phonemize("감사합니다.") == "kamsahamnida."
    assert said("AI와 Python", "ko").startswith("e i a i _ w a _ en:")
    with pytest.raises(UserError, match="Korean has no letters 'п'"):
        frontend("ko").phonemize("안녕 привет")


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("你好，世界！", "n-i2 h-ao3 , sh-ir4 j-ie4 !"),
        ("我不去银行，去重庆。", "-uo3 b-u2 q-v4 -in2 h-ang2 , q-v4 ch-ong2 q-ing4 ."),
        ("绿色的月亮", "l-v4 s-e4 d-e5 -ve4 l-iang4"),
        ("去玩儿，女儿", "q-v4 -uan2 -er5 , n-v3 -er2"),
        ("自己写 Python 程序", "z-iz4 j-i3 x-ie3 _ en:pˈIθˌɑn _ ch-eng2 x-v4"),
    ],
)
def test_chinese(text: str, want: str) -> None:
    pytest.importorskip("pypinyin")
    assert said(text, "zh") == want


def test_chinese_numbers() -> None:
    assert zh.written("2024年有10203人，12.5%，2个") == "二零二四年有一万零二百零三人，百分之十二点五，两个"
    told = {
        0: "零",
        10: "十",
        105: "一百零五",
        100_000: "十万",
        1_000_001: "一百万零一",
        20_000_305: "二千万零三百零五",
    }
    assert {number: zh.counted(number) for number in told} == told
    with pytest.raises(UserError, match="no syllable of Mandarin"):
        zh.syllable("blorp1")


def test_japanese(open_jtalk: None) -> None:
    assert said("今日は東京で、ラーメンを食べました。", "ja") == (
        "ky o o w a t o o ky o o d e , r a a m e N o t a b e m a sh i t a ."
    )
    assert ja.FrontEnd().phonemize("今日は東京で。") == "kʲoowatookʲoode."


def test_japanese_by_open_jtalk() -> None:
    pytest.importorskip("pyopenjtalk")
    ja._read.cache_clear()
    assert said("学校へ行って、Pythonを学ぶ。", "ja").startswith("g a cl k o o e i cl t e , en:pˈIθˌɑn _ o m a n a b u")


def test_a_package_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str, extra: str) -> Any:
        raise MissingExtra(name, extra)

    for file, extra in ((ja, "ja"), (zh, "zh")):
        monkeypatch.setattr(file, "require", missing)
        with pytest.raises(MissingExtra, match=rf"aoide\[{extra}\]"):
            file.FrontEnd()


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("Les enfants jouent dans le jardin.", "l e z _ ɑ̃ f ɑ̃ _ ʒ u _ d ɑ̃ _ l ə _ ʒ a ʁ d ɛ̃ ."),
        ("Je voudrais un peu d'eau, s'il vous plaît.", "ʒ ə _ v u d ʁ ɛ _ œ̃ _ p ø _ d o , s i l _ v u _ p l ɛ ."),
        ("Ils parlent lentement.", "i l _ p a ʁ l _ l ɑ̃ t m ɑ̃ ."),
        ("le soleil, la fille, la campagne, l'oignon", "l ə _ s ɔ l ɛ j , l a _ f i j , l a _ k ɑ̃ p a ɲ , l ɔ ɲ ɔ̃"),
        ("n°5, 20°C", "n y m e ʁ o _ s ɛ̃ k , v ɛ̃ _ d ə ɡ ʁ e _ s e"),
        ("Les héros ont 71 ans.", "l e _ e ʁ o _ ɔ̃ _ s w a k s ɑ̃ t _ e _ ɔ̃ z _ ɑ̃ ."),
    ],
)
def test_french(text: str, want: str) -> None:
    assert said(text, "fr") == want


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("Ich möchte ein Stück Brot.", "ɪ ç _ m œ ç t ə _ aɪ n _ ʃ t ʏ k _ b ʁ oː t ."),
        ("Schöne Grüße aus München!", "ʃ øː n ə _ ɡ ʁ yː s ə _ aʊ s _ m ʏ n ç ə n !"),
        ("zwei Vögel fliegen über Häuser", "ts v aɪ _ f øː ɡ ə l _ f l iː ɡ ə n _ yː b ɐ _ h ɔʏ z ɐ"),
        ("Entscheidung, Gesundheit, Krankenhaus", "ɛ n t ʃ aɪ d ʊ ŋ , ɡ ə z ʊ n t h aɪ t , k ʁ a ŋ k ə n h aʊ s"),
        ("Nacht, Buch, Milch, Fuchs, Wachs", "n a x t , b uː x , m ɪ l ç , f ʊ k s , v a k s"),
        ("5% und 2€, 20°C", "f ʏ n f _ p ʁ o ts ɛ n t _ ʊ n t _ ts v aɪ _ ɔʏ ʁ o , ts v a n ts ɪ ç _ ɡ ʁ aː t _ ts eː"),
        ("3,5 Millionen", "d ʁ aɪ _ k ɔ m a _ f ʏ n f _ m ɪ l j oː n ə n"),
    ],
)
def test_german(text: str, want: str) -> None:
    assert said(text, "de") == want


@pytest.mark.parametrize("language", FILES)
def test_every_unit_has_letters_of_the_house(language: str) -> None:
    house = FILES[language].FrontEnd.HOUSE
    assert {letter for letters in house.values() for letter in letters} <= SYMBOLS.keys()
    assert house.keys().isdisjoint({units.GAP, *units.MARKS})


@pytest.mark.parametrize("language", ["de", "fr", "ko"])
def test_whatever_is_written_gives_known_units(language: str) -> None:
    """Endings, clusters and vowels in all orders that letters can stand in."""
    draw = np.random.default_rng(0)
    letters = (
        [chr(code) for code in range(ord("가"), ord("힣"), 37)]
        if language == "ko"
        else [*"abcdefghijklmnopqrstuvwxyzäöüéèç"]
    )
    words = ["".join(draw.choice(letters, draw.integers(1, 9))) for _ in range(400)]
    front = FILES[language].FrontEnd()
    for word in words:
        assert set(front.units(word)) <= front.HOUSE.keys() | {units.GAP}, word


# ------------------------------------------------------------------------------------------------------------ the table


def test_the_published_table() -> None:
    table = Table.published().numbers
    assert len(table) == 363 and list(table.values()) == list(range(363))
    assert hashlib.sha256("\n".join(table).encode()).hexdigest()[:16] == "d1e1ba2afbf79103"  # of Amphion's vocab.json
    assert (table["_"], table["p⁼wo"], table["ts`ʰɹ↓↑"], table["tsɯ"], table["…"]) == (4, 90, 291, 345, 362)


@pytest.mark.parametrize("language", FILES)
def test_every_unit_has_symbols_of_the_table(language: str) -> None:
    assert maskgct.known(language, FILES[language].FrontEnd.HOUSE) <= Table.published().numbers.keys()


@pytest.mark.parametrize(
    ("language", "text", "want"),
    [
        ("en", "Hello, world.", "h ə l oʊ , w ɜː l d ."),
        ("zh", "你好，世界！", "n i↑ x ɑʊ↓↑ , s`ɹ↓ tʃ⁼ iɛ↓ !"),
        ("zh", "我用 Python 写", "uo↓↑ jʊŋ↓ p aɪ θ ɑː n _ ʃ iɛ↓↑"),
        ("ko", "안녕, 한국어 공부", "ɐ n n j ʌ ŋ , h ɐ n q u q ʌ _ ɡ o ŋ b u"),
        ("de", "Der rote Hut, zwölf Äpfel", "d eː ɾ _ r oː t ə _ h uː t , ts v œ l f _ ɛ p f ə l"),
        ("fr", "Bonjour, un vin.", "b ɔ̃ ʒ u ʁ , œ ̃ _ v ɛ ̃ ."),
    ],
)
def test_sentences_in_published_symbols(language: str, text: str, want: str) -> None:
    if language == "zh":
        pytest.importorskip("pypinyin")
    assert symbols(text, language) == want.split()
    assert Table.published().numbers_of(text, language).dtype == np.int64


def test_japanese_in_published_symbols(open_jtalk: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(maskgct, "frontend", lambda language: ja.FrontEnd())
    assert symbols("今日は東京で", "ja") == units.row("kj o o ɰᵝ a t o o kj o o d e")


def test_a_table_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "vocab.json"
    path.write_text(json.dumps({"vocab": {symbol: 9 - n for n, symbol in enumerate(("h", "ə", "l", "oʊ", "."))}}))
    table = Table.read(path)
    assert table.numbers_of("Hello.", "en").tolist() == [9, 8, 7, 6, 5]
    with pytest.raises(UserError, match="the table of phonemes has no f aɪ n"):
        table.numbers_of("Fine.", "en")
    with pytest.raises(UserError, match="those of en, zh, ja, ko, fr, de, not of 'ru'"):
        table.numbers_of("Привет", "ru")
