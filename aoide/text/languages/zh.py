"""Mandarin: Han letters -> syllables of pinyin by the package pypinyin (MIT; extra `zh`), with tone sandhi.

    units: INITIAL-FINAL and a tone from 1 to 5 (no tone): zh-ong1, -an4; finals are written in full (uei, iou, ve),
    and the vowel of zhi and zi is `ir` and `iz`

What a letter with several readings says follows from the phrases that pypinyin knows. Numbers are read as numbers,
years digit by digit. Latin letters between are English.
"""

from __future__ import annotations

import re
from functools import lru_cache

from aoide.config import UserError, require
from aoide.text.units import GAP, MARKS, UnitFrontEnd, english, pieces, plain, refuse, tidy

INITIALS = ("zh", "ch", "sh", *"bpmfdtnlgkhjqxrzcs")
_FINALS = {
    "a": "a", "o": "wo", "e": "ɤ", "ê": "ɛ", "ai": "ai", "ei": "ei", "ao": "au", "ou": "ou", "an": "an", "en": "ən",
    "ang": "aŋ", "eng": "əŋ", "er": "ɚ", "i": "i", "u": "u", "v": "y", "ia": "ja", "io": "jo", "ie": "je",
    "iao": "jau", "iou": "jou", "ian": "jɛn", "in": "in", "iang": "jaŋ", "ing": "iŋ", "ua": "wa", "uo": "wo",
    "uai": "wai", "uei": "wei", "uan": "wan", "uen": "wən", "uang": "waŋ", "ueng": "wəŋ", "ong": "ʊŋ", "ve": "ɥe",
    "van": "ɥɛn", "vn": "yn", "iong": "jʊŋ", "ir": "ɻ", "iz": "ɨ",
}  # fmt: skip
_CONSONANTS = {
    "": "", "b": "p", "p": "pʰ", "m": "m", "f": "f", "d": "t", "t": "tʰ", "n": "n", "l": "l", "g": "k", "k": "kʰ",
    "h": "x", "j": "ʨ", "q": "ʨʰ", "x": "ɕ", "zh": "ꭧ", "ch": "ꭧʰ", "sh": "ʂ", "r": "ɻ", "z": "ʦ", "c": "ʦʰ", "s": "s",
}  # fmt: skip
_TONES = {"1": "→", "2": "↗", "3": "↓", "4": "↘", "5": ""}
_WHOLE = {
    "yi": "i", "wu": "u", "yu": "v", "yue": "ve", "yuan": "van", "yun": "vn", "you": "iou", "yan": "ian", "yin": "in",
    "ying": "ing", "yong": "iong", "wei": "uei", "wen": "uen", "weng": "ueng",
}  # fmt: skip
_SHORT = {"iu": "iou", "ui": "uei", "un": "uen", "ue": "ve", "ü": "v", "üe": "ve"}
_HUMMED = frozenset(("n", "ng", "m", "hm", "hng"))
_DIGITS = "零一二三四五六七八九"
_POWERS = ("", "十", "百", "千")
_GROUPS = ("", "万", "亿", "兆")
_NOT_ER = ("女儿", "男儿", "少儿", "幼儿", "婴儿", "孤儿", "胎儿", "宠儿", "健儿")
_HAN = r"[㐀-䶿一-鿿豈-﫿〇]"
_SIGNS = {"℃": "摄氏度", "&": "和", "+": "加", "=": "等于", "×": "乘", "÷": "除以", "$": "美元", "¥": "元", "°": "度"}


class FrontEnd(UnitFrontEnd):
    """Reads Mandarin; see `aoide.text.FrontEnd`.

    Raises:
        MissingExtra: pypinyin is not installed.
    """

    HOUSE = {
        f"{initial}-{final}{tone}": consonant + vowel + arrow
        for initial, consonant in _CONSONANTS.items()
        for final, vowel in _FINALS.items()
        if {"ir": initial in ("zh", "ch", "sh", "r"), "iz": initial in ("z", "c", "s")}.get(final, True)
        for tone, arrow in _TONES.items()
    }

    def __init__(self) -> None:
        require("pypinyin", "zh")

    def units(self, sentence: str) -> list[str]:
        """See `UnitFrontEnd`."""
        found: list[str] = []
        for piece, latin in pieces(plain(sentence)):
            if latin:
                found += [GAP, *english(piece), GAP]
                continue
            for part in re.findall(rf"{_HAN}+|[,.!?;:…]|.", re.sub(r"\s+", "", written(piece))):
                if re.match(_HAN, part):
                    found += _syllables(part)
                elif part in MARKS:
                    found.append(part)
                else:
                    refuse(part, "Chinese")
        return tidy(found)


@lru_cache(maxsize=4096)
def _syllables(text: str) -> tuple[str, ...]:
    pypinyin = require("pypinyin", "zh")
    style = pypinyin.Style.TONE3
    read = pypinyin.lazy_pinyin(
        text, style=style, neutral_tone_with_five=True, tone_sandhi=True, errors=lambda strange: [""] * len(strange)
    )
    lost = "".join(letter for letter, pinyin in zip(text, read, strict=True) if not pinyin)
    if lost:
        raise UserError(f"no reading is known for {lost}")
    said = [_without_tone(text, place, syllable(pinyin)) for place, pinyin in enumerate(read)]
    for place, letter in enumerate(text[:-1]):  # pypinyin does so within the phrases that it knows
        if letter == "不" and said[place] == "b-u4" and said[place + 1].endswith("4"):
            said[place] = "b-u2"
    return tuple(said)


def _without_tone(text: str, place: int, unit: str) -> str:
    """The 儿 of 玩儿 has no tone of its own."""
    ends = text[place : place + 1] == "儿" and place > 0 and text[place - 1 : place + 1] not in _NOT_ER
    return unit[:-1] + "5" if ends and text[place : place + 2] not in ("儿子", "儿童", "儿女", "儿歌") else unit


def syllable(pinyin: str) -> str:
    """`zhuang1` -> zh-uang1, `yue4` -> -ve4.

    Raises:
        UserError: no syllable of Mandarin.
    """
    plain_one, tone = (pinyin[:-1], pinyin[-1]) if pinyin[-1:].isdigit() else (pinyin, "5")
    if plain_one in _HUMMED:
        return f"-en{tone}"
    initial = next((start for start in INITIALS if plain_one.startswith(start) and plain_one != start), "")
    final = plain_one[len(initial) :]
    if not initial:
        final = _WHOLE.get(plain_one, {"y": "i", "w": "u"}.get(plain_one[:1], plain_one[:1]) + plain_one[1:])
    elif initial in ("j", "q", "x") and final.startswith("u"):
        final = "v" + final[1:]
    elif final == "i" and initial in ("zh", "ch", "sh", "r"):
        final = "ir"
    elif final == "i" and initial in ("z", "c", "s"):
        final = "iz"
    final = _SHORT.get(final, final)
    if final not in _FINALS:
        raise UserError(f"{pinyin!r} is no syllable of Mandarin")
    return f"{initial}-{final}{tone}"


# -------------------------------------------------------------------------------------------------------------- numbers


def written(text: str) -> str:
    """Numbers and signs in Han letters."""
    text = re.sub(r"(?<=\d),(?=\d{3})", "", text)
    text = re.sub(r"(\d{4})(?=年)", lambda m: _digits(m[1]), text)
    text = re.sub(r"(\d+(?:\.\d+)?)%", lambda m: "百分之" + _number(m[1]), text)
    text = re.sub(r"(\d+):(\d\d)(?!\d)", lambda m: f"{_number(m[1])}点{_number(m[2])}分", text)
    text = re.sub(r"(?<!\d)-(?=\d)", "负", text)
    text = re.sub(r"(?<![\d.])2(?=[个只位名次天年月点条张本杯])(?!月)", "两", text)
    text = re.sub(r"\d+(?:\.\d+)?", lambda m: _number(m[0]), text)
    for sign, word in _SIGNS.items():
        text = text.replace(sign, word)
    return text


def _digits(text: str) -> str:
    return "".join(_DIGITS[int(digit)] for digit in text)


def _number(text: str) -> str:
    whole, _, part = text.partition(".")
    long = len(whole) > 12 or (whole[0] == "0" and len(whole) > 1)
    return (_digits(whole) if long else counted(int(whole))) + (f"点{_digits(part)}" if part else "")


def counted(number: int) -> str:
    """A number in Han letters: 10203 -> 一万零二百零三."""
    if number == 0:
        return _DIGITS[0]
    said, place, gap = "", 0, False
    while number:
        number, group = divmod(number, 10_000)
        if group:
            words = _group(group)
            said = words + _GROUPS[place] + (_DIGITS[0] if gap and said else "") + said
            gap = group < 1000
        else:
            gap = bool(said) or gap
        place += 1
    return said[1:] if said.startswith("一十") else said


def _group(number: int) -> str:
    said, empty = "", False
    for power, digit in reversed(list(enumerate(map(int, reversed(str(number)))))):
        if digit:
            said += ("零" if empty else "") + _DIGITS[digit] + _POWERS[power]
        empty = not digit and bool(said)
    return said
