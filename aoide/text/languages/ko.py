"""Korean: Hangul is taken apart into its letters, and the rules of standard pronunciation are applied within a word.

    units: k kk kh, t tt th, p pp ph, c cc ch (ㅈㅉㅊ), s ss, h, m n ng, r (ㄹ between vowels) l (at an end); vowels
    a ae eo e o u eu i after y or w; voiced K T P C where ㄱㄷㅂㅈ stand between voiced sounds

Rules, after the National Institute of Korean Language's Standard Pronunciation: what ends a syllable is carried over to
a vowel; ends become seven; ㅎ breathes on its neighbours; stops become nasal before nasals, tense after stops; ㄴ and
ㄹ become ㄹㄹ; ㄷ and ㅌ before 이 become ㅈ and ㅊ. Not known here: compounds that put in ㄴ or tense what follows
(꽃잎, 손등), which only a dictionary tells. Numbers are read in Sino-Korean. Nothing but this file is needed.
"""

from __future__ import annotations

import re

from aoide.text.units import GAP, MARKS, UnitFrontEnd, english, pieces, plain, refuse, row, tidy

_ONSETS = "ㄱㄲㄴㄷㄸㄹㅁㅂㅃㅅㅆㅇㅈㅉㅊㅋㅌㅍㅎ"
_VOWELS = "ㅏㅐㅑㅒㅓㅔㅕㅖㅗㅘㅙㅚㅛㅜㅝㅞㅟㅠㅡㅢㅣ"
_CODAS = ["", *"ㄱㄲㄳㄴㄵㄶㄷㄹㄺㄻㄼㄽㄾㄿㅀㅁㅂㅄㅅㅆㅇㅈㅊㅋㅌㅍㅎ"]
_PAIRS = {
    "ㄳ": "ㄱㅅ", "ㄵ": "ㄴㅈ", "ㄶ": "ㄴㅎ", "ㄺ": "ㄹㄱ", "ㄻ": "ㄹㅁ", "ㄼ": "ㄹㅂ", "ㄽ": "ㄹㅅ", "ㄾ": "ㄹㅌ",
    "ㄿ": "ㄹㅍ", "ㅀ": "ㄹㅎ", "ㅄ": "ㅂㅅ",
}  # fmt: skip
_BREATHED = {"ㄱ": "ㅋ", "ㄷ": "ㅌ", "ㅂ": "ㅍ", "ㅈ": "ㅊ"}
_TENSE = {"ㄱ": "ㄲ", "ㄷ": "ㄸ", "ㅂ": "ㅃ", "ㅅ": "ㅆ", "ㅈ": "ㅉ"}
_NASAL = {"ㄱ": "ㅇ", "ㄷ": "ㄴ", "ㅂ": "ㅁ"}
_SEVEN = (
    dict.fromkeys("ㄱㄲㅋㄳㄺ", "ㄱ") | dict.fromkeys("ㄷㅌㅅㅆㅈㅊㅎ", "ㄷ") | dict.fromkeys("ㅂㅍㅄㄿ", "ㅂ")
    | dict.fromkeys("ㄴㄵㄶ", "ㄴ") | dict.fromkeys("ㄹㄼㄽㄾㅀ", "ㄹ") | dict.fromkeys("ㅁㄻ", "ㅁ") | {"ㅇ": "ㅇ"}
)  # fmt: skip
_SOUNDS = {
    "ㄱ": "k", "ㄲ": "kk", "ㅋ": "kh", "ㄷ": "t", "ㄸ": "tt", "ㅌ": "th", "ㅂ": "p", "ㅃ": "pp", "ㅍ": "ph",
    "ㅈ": "c", "ㅉ": "cc", "ㅊ": "ch", "ㅅ": "s", "ㅆ": "ss", "ㅎ": "h", "ㅁ": "m", "ㄴ": "n", "ㄹ": "r",
}  # fmt: skip
_ENDS = {"ㄱ": "k", "ㄷ": "t", "ㅂ": "p", "ㄴ": "n", "ㅁ": "m", "ㅇ": "ng", "ㄹ": "l"}
_NUCLEI = {
    "ㅏ": "a", "ㅐ": "ae", "ㅑ": "y a", "ㅒ": "y ae", "ㅓ": "eo", "ㅔ": "e", "ㅕ": "y eo", "ㅖ": "y e", "ㅗ": "o",
    "ㅘ": "w a", "ㅙ": "w ae", "ㅚ": "w e", "ㅛ": "y o", "ㅜ": "u", "ㅝ": "w eo", "ㅞ": "w e", "ㅟ": "w i", "ㅠ": "y u",
    "ㅡ": "eu", "ㅢ": "eu y", "ㅣ": "i",
}  # fmt: skip
_WITHOUT_Y = {"ㅑ": "ㅏ", "ㅕ": "ㅓ", "ㅛ": "ㅗ", "ㅠ": "ㅜ", "ㅖ": "ㅔ", "ㅒ": "ㅐ"}
_VOICED = {"k": "K", "t": "T", "p": "P", "c": "C"}
_OBSTRUENTS = frozenset("ㄱㄷㅂ")
_DIGITS = "영일이삼사오육칠팔구"
_POWERS = ("", "십", "백", "천")
_GROUPS = ("", "만", "억", "조", "경")
_NAMES = dict(
    zip(
        "ABCDEFGHIJKLMNOPQRSTUVWXYZ",
        row(
            "에이 비 씨 디 이 에프 지 에이치 아이 제이 케이 엘 엠 엔 오 피 큐 알 에스 티 유 브이 더블유 엑스 와이 제트"
        ),
        strict=True,
    )
)
_SIGNS = {"%": " 퍼센트 ", "℃": " 도 ", "&": " 앤드 ", "+": " 플러스 ", "=": " 는 ", "$": " 달러 ", "₩": " 원 "}


class FrontEnd(UnitFrontEnd):
    """Reads Korean; see `aoide.text.FrontEnd`."""

    HOUSE = {
        "k": "k", "kk": "ʔk", "kh": "kʰ", "K": "ɡ", "t": "t", "tt": "ʔt", "th": "tʰ", "T": "d", "p": "p", "pp": "ʔp",
        "ph": "pʰ", "P": "b", "c": "ʨ", "cc": "ʔʨ", "ch": "ʨʰ", "C": "ʥ", "s": "s", "ss": "ʔs", "h": "h", "m": "m",
        "n": "n", "ng": "ŋ", "r": "ɾ", "l": "l", "a": "a", "ae": "ɛ", "eo": "ʌ", "e": "e", "o": "o", "u": "u",
        "eu": "ɯ", "i": "i", "y": "j", "w": "w",
    }  # fmt: skip

    def units(self, sentence: str) -> list[str]:
        """See `UnitFrontEnd`."""
        found: list[str] = []
        for piece, latin in pieces(plain(sentence)):
            if latin:
                named = _named(piece)
                found += [GAP, *(english(piece) if named is None else _said(named)), GAP]
            else:
                found += _said(_written(piece))
        return tidy(found)


def _named(text: str) -> str | None:
    """KBS -> 케이비에스; other words are English."""
    return "".join(_NAMES[letter] for letter in text) if text.isupper() and text.isalpha() and len(text) < 6 else None


def _written(text: str) -> str:
    """Numbers and signs in words."""
    for sign, word in _SIGNS.items():
        text = text.replace(sign, word)
    text = re.sub(r"(?<=\d),(?=\d{3})", "", text)
    return re.sub(r"(\d+)(?:\.(\d+))?", _number, text)


def _number(match: re.Match[str]) -> str:
    whole, part = match[1], match[2]
    digits = "".join(_DIGITS[int(digit)] for digit in whole).replace("영", "공")
    said = digits if len(whole) > 16 or (whole[0] == "0" and len(whole) > 1) else counted(int(whole))
    return said + (" 점 " + "".join(_DIGITS[int(digit)] for digit in part) if part else "")


def counted(number: int) -> str:
    """A number in Sino-Korean: 21000 -> 이만 천."""
    if number == 0:
        return _DIGITS[0]
    said, place = [], 0
    while number:
        number, group = divmod(number, 10_000)
        words = "".join(
            ("" if digit == 1 and power else _DIGITS[digit]) + _POWERS[power]
            for power, digit in reversed(list(enumerate(map(int, reversed(str(group))))))
            if digit
        )
        if group:
            said.append(("" if group == 1 and place == 1 else words) + _GROUPS[place])
        place += 1
    return " ".join(reversed(said))


def _said(text: str) -> list[str]:
    """Units of Hangul, marks and spaces."""
    found: list[str] = []
    for word in re.findall(r"[가-힣]+|[,.!?;:…]|\s+|.", text):
        if "가" <= word[0] <= "힣":
            found += _word(word)
        elif word in MARKS:
            found.append(word)
        elif word.isspace() or not word.isalnum():
            found.append(GAP)
        elif word.isalpha() and not _is_han(word):
            refuse(word, "Korean")
    return found


def _is_han(letter: str) -> bool:
    return "㐀" <= letter <= "鿿" or "豈" <= letter <= "﫿"  # Hanja beside Hangul are a gloss


def _word(word: str) -> list[str]:
    syllables = [_apart(syllable) for syllable in word]
    for letter, syllable, after in zip(word, syllables, word[1:], strict=False):
        if letter == "밟" and _apart(after)[0] != "ㅇ":  # the one ㄼ that is a ㅂ
            syllable[2] = "ㅂ"
    for left, right in zip(syllables, syllables[1:], strict=False):
        _join(left, right)
    syllables[-1][2] = _SEVEN.get(syllables[-1][2], "")
    found: list[str] = []
    for number, (onset, vowel, coda) in enumerate(syllables):
        if onset != "ㅇ":
            doubled = onset == "ㄹ" and number and syllables[number - 1][2] == "ㄹ"
            found.append("l" if doubled else _SOUNDS[onset])
        found += _NUCLEI[_settled(onset, vowel, number)].split()
        if coda:
            found.append(_ENDS[coda])
    return _with_voice(found)


def _settled(onset: str, vowel: str, number: int) -> str:
    """The vowel that is said: behind a consonant ㅢ is ㅣ, and y is lost after ㅈ and before ㅔ."""
    if vowel == "ㅢ":
        return "ㅣ" if onset != "ㅇ" or number else vowel
    if onset in "ㅈㅉㅊ":
        return _WITHOUT_Y.get(vowel, vowel)
    return "ㅔ" if vowel == "ㅖ" and onset not in "ㅇㄹ" else vowel


def _apart(syllable: str) -> list[str]:
    number = ord(syllable) - ord("가")
    return [_ONSETS[number // 588], _VOWELS[number % 588 // 28], _CODAS[number % 28]]


def _join(left: list[str], right: list[str]) -> None:
    """Changes the end of a syllable and the beginning of the next, in place; the end is one of seven afterwards."""
    coda, onset = left[2], right[0]
    if onset == "ㅇ":
        _carry(left, right)
        return
    first, last = tuple(_PAIRS.get(coda, coda + coda)) if coda else ("", "")
    if last == "ㅎ" and onset in "ㄱㄷㅈ":
        left[2], right[0] = (_SEVEN[first] if coda in _PAIRS else ""), _BREATHED[onset]
    elif last == "ㅎ" and onset == "ㅅ":
        left[2], right[0] = (_SEVEN[first] if coda in _PAIRS else ""), "ㅆ"
    elif onset == "ㅎ" and coda and _BREATHED.get({"ㅈ": "ㅈ", "ㄵ": "ㅈ"}.get(coda, _SEVEN[coda])):
        stop = "ㅈ" if last == "ㅈ" else _SEVEN[coda]
        left[2] = {"ㄵ": "ㄴ", "ㄺ": "ㄹ", "ㄼ": "ㄹ"}.get(coda, "")
        right[0] = "ㅊ" if stop == "ㄷ" and last == "ㄷ" and right[1] == "ㅣ" else _BREATHED[stop]
    else:
        _meet(left, right)


def _carry(left: list[str], right: list[str]) -> None:
    """What ends a syllable begins the next one, which has no consonant of its own."""
    coda = left[2]
    if not coda or coda == "ㅇ":
        return
    first, last = tuple(_PAIRS[coda]) if coda in _PAIRS else ("", coda)
    if last == "ㅎ":
        left[2], right[0] = "", first or "ㅇ"
        return
    if right[1] in "ㅣㅕ" and last in "ㄷㅌ":
        last = {"ㄷ": "ㅈ", "ㅌ": "ㅊ"}[last]
    left[2], right[0] = first, _TENSE.get(last, last) if first and last == "ㅅ" else last


def _meet(left: list[str], right: list[str]) -> None:
    coda, onset = left[2], right[0]
    if not coda:
        return
    end = "ㄹ" if coda == "ㄺ" and onset == "ㄱ" else _SEVEN[coda]
    if (end in _OBSTRUENTS or coda in ("ㄵ", "ㄺ", "ㄼ", "ㄾ")) and onset in _TENSE:
        onset = _TENSE[onset]
    if end in _NASAL and onset in "ㄴㅁ":
        end = _NASAL[end]
    elif end in _NASAL and onset == "ㄹ":
        end, onset = _NASAL[end], "ㄴ"
    elif end in "ㅁㅇ" and onset == "ㄹ":
        onset = "ㄴ"
    elif {end, onset} == {"ㄴ", "ㄹ"}:
        end = onset = "ㄹ"
    left[2], right[0] = end, onset


def _with_voice(units: list[str]) -> list[str]:
    """ㄱㄷㅂㅈ between voiced sounds have voice."""
    quiet = frozenset(("k", "kk", "kh", "t", "tt", "th", "p", "pp", "ph", "c", "cc", "ch", "s", "ss", "h"))
    return [
        _VOICED[unit]
        if unit in _VOICED and 0 < i < len(units) - 1 and units[i - 1] not in quiet and units[i + 1] not in quiet
        and units[i + 1] not in ("m", "n", "ng", "l", "r")
        else unit
        for i, unit in enumerate(units)
    ]  # fmt: skip
