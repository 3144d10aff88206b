"""Sung words -> phonemes on notes: English by the text front end, Mandarin by pypinyin, Japanese by a table of kana.

    score = aoide.Score.load("song.musicxml")
    for phoneme in lyrics.plan(score, "en"):
        print(phoneme.symbol, phoneme.start, phoneme.end, score.notes[phoneme.note].lyric)

Alphabets: English as in aoide.text.phonemes, without stress. Mandarin: initials and finals as the community's Mandarin
voices for DiffSinger have them (`zh ir`, `s i0`, `y En`, `x van`). Japanese: `k ky sh ts ...`, vowels `a i u e o`, `N`,
and `cl` for the pause of っ, as in Open JTalk. A breath is `AP`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

from aoide.config import MissingExtra, UserError, require
from aoide.score.plan import Sounds, place
from aoide.score.score import HOLDS, Finding, Phoneme, Score
from aoide.score.syllables import LA, Syllable, Word, words
from aoide.text import phonemes as english
from aoide.text import tables

LANGUAGES = ("en", "zh", "ja")

_KANA = re.compile(r"[\u3040-\u30ff]")
_HANZI = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff々〇]")
_VOWELS_EN = english.VOWELS | frozenset("ᵊɐɚ")
_WEAK = frozenset("əᵊ")  # vowels that singers elide first
_ONSETS_EN = frozenset(english.CONSONANTS - {"ŋ"}) | tables.words(
    "pl pɹ bl bɹ tɹ dɹ kl kɹ ɡl ɡɹ fl fɹ θɹ ʃɹ sp st sk sm sn sl sf tw dw kw sw θw ɡw hw pj bj fj vj mj kj hj nj tj dj "
    "lj spl spɹ stɹ skɹ skw spj skj"
)
_INITIALS = sorted(tables.words("zh ch sh b p m f d t n l g k h j q x r z c s y w"), key=len, reverse=True)
_FINALS = tables.words(
    "a o e ai ei ao ou an en ang eng ong er i ia ie iao iu ian in iang ing iong u ua uo uai ui uan un uang ueng v ve "
    "van vn i0 ir E En"
)
_HUMMED = {"n", "ng", "m", "hm", "hng"}

# ------------------------------------------------------------------------------------------------ kana, mora by mora

_ROWS = {
    "": "あ い う え お", "k": "か _ く け こ", "s": "さ _ す せ そ", "t": "た _ _ て と", "n": "な _ ぬ ね の",
    "h": "は _ _ へ ほ", "m": "ま _ む め も", "r": "ら _ る れ ろ", "g": "が _ ぐ げ ご", "z": "ざ _ ず ぜ ぞ",
    "d": "だ _ _ で ど", "b": "ば _ ぶ べ ぼ", "p": "ぱ _ ぷ ぺ ぽ", "y": "や _ ゆ いぇ よ", "w": "わ うぃ _ うぇ うぉ",
    "f": "ふぁ ふぃ ふ ふぇ ふぉ", "v": "ゔぁ ゔぃ ゔ ゔぇ ゔぉ", "ts": "つぁ つぃ つ つぇ つぉ",
    "sh": "しゃ し しゅ しぇ しょ", "j": "じゃ じ じゅ じぇ じょ", "ch": "ちゃ ち ちゅ ちぇ ちょ",
    "ky": "きゃ き きゅ きぇ きょ", "gy": "ぎゃ ぎ ぎゅ ぎぇ ぎょ", "ny": "にゃ に にゅ にぇ にょ",
    "hy": "ひゃ ひ ひゅ ひぇ ひょ", "by": "びゃ び びゅ びぇ びょ", "py": "ぴゃ ぴ ぴゅ ぴぇ ぴょ",
    "my": "みゃ み みゅ みぇ みょ", "ry": "りゃ り りゅ りぇ りょ",
    "ty": "てゃ _ てゅ _ てょ", "dy": "でゃ _ でゅ _ でょ",
}  # fmt: skip
_PLAIN = {"ky": "k", "gy": "g", "ny": "n", "hy": "h", "by": "b", "py": "p", "my": "m", "ry": "r"}  # before i
_MORE = {
    "ん": ("N",), "っ": ("cl",), "を": ("o",), "ゐ": ("i",), "ゑ": ("e",), "ゎ": ("w", "a"),
    "ぁ": ("a",), "ぃ": ("i",), "ぅ": ("u",), "ぇ": ("e",), "ぉ": ("o",),
    "ぢ": ("j", "i"), "ぢゃ": ("j", "a"), "ぢゅ": ("j", "u"), "ぢょ": ("j", "o"), "づ": ("z", "u"),
    "てぃ": ("t", "i"), "でぃ": ("d", "i"), "とぅ": ("t", "u"), "どぅ": ("d", "u"), "すぃ": ("s", "i"),
    "ずぃ": ("z", "i"), "くぁ": ("k", "w", "a"), "ぐぁ": ("g", "w", "a"),
}  # fmt: skip
_ROMAJI = {
    "la": "ら",
    "si": "し",
    "ti": "ち",
    "tu": "つ",
    "hu": "ふ",
    "zi": "じ",
    "n": "ん",
    "nn": "ん",
    "wo": "を",
    "cl": "っ",
} | {
    f"{consonant}{vowel}": f"{kana}{small}"
    for consonant, kana in (("sy", "し"), ("ty", "ち"), ("zy", "じ"), ("jy", "じ"))
    for vowel, small in (("a", "ゃ"), ("u", "ゅ"), ("o", "ょ"))
}


@cache
def _morae() -> dict[str, tuple[str, ...]]:
    """The phonemes of each mora."""
    found = dict(_MORE)
    for consonant, row in _ROWS.items():
        for vowel, kana in zip("aiueo", row.split(), strict=True):
            first = _PLAIN.get(consonant, consonant) if vowel == "i" else consonant
            if kana != "_":
                found[kana] = (first, vowel) if first else (vowel,)
    return found


@cache
def _romaji() -> dict[str, str]:
    """Morae in Latin letters -> kana."""
    plain = {"".join(sounds): kana for kana, sounds in reversed(_morae().items()) if sounds[-1] not in ("N", "cl")}
    return plain | _ROMAJI


_SECONDS = (
    dict.fromkeys(tables.words("b d g ɡ T ɾ by gy r ry"), 0.045)
    | dict.fromkeys(tables.words("p t k py ky ty dy"), 0.065)
    | dict.fromkeys(tables.words("w j y m n l ɹ v ð N my ny ŋ"), 0.07)
    | dict.fromkeys(tables.words("ʧ ʤ ts ch zh z c j q f h hy θ ʒ"), 0.09)
    | dict.fromkeys(tables.words("s ʃ sh x cl"), 0.11)
)
_OTHER = 0.08  # seconds of a consonant that is not listed, such as one of a file's own alphabet
_VOWEL = 0.12  # seconds of a further vowel on the same note


# -------------------------------------------------------------------------------------------------------- the doors


def plan(score: Score, language: str = "") -> list[Phoneme]:
    """The phonemes of a score with times and notes, in order; silence is where none is.

    A score that brings phonemes with times keeps them. Else each syllable's vowel begins with its note and is held
    through its melisma, and consonants are sung before (see aoide.score.plan). A score without lyrics sings "la".

    Args:
        language: of LANGUAGES; "": the score's, or what its letters show.

    Raises:
        UserError: a language that we cannot sing, or a lyric that it cannot read; names bar and beat.
        MissingExtra: what reads the language is not installed.
    """
    if score.phonemes:
        return list(score.phonemes)
    sounds, _ = _sounds(score, language)
    return place(score, sounds, _seconds)


def planned(score: Score, language: str = "") -> Score:
    """The score with the phonemes of `plan` in it, ready to be written as .ds or as labels."""
    if score.phonemes:
        return score
    return replace(score, phonemes=tuple(plan(score, language)), language=language or language_of(score))


def check(score: Score, language: str = "", *, low: int | None = None, high: int | None = None) -> list[Finding]:
    """`Score.check`, and words that have more or fewer syllables than notes."""
    found = score.check(low, high)
    if not score.phonemes:
        found += _sounds(score, language)[1]
    return found


def language_of(score: Score) -> str:
    """The score's language, or what the letters of its lyrics show: kana ja, other Han letters zh, else en."""
    if score.language in LANGUAGES:
        return score.language
    text = "".join(note.lyric for note in score.notes)
    if _KANA.search(text.replace("ー", "")):
        return "ja"
    return "zh" if _HANZI.search(text) else "en"


def symbols(language: str) -> list[str]:
    """All phonemes that `plan` can give in a language, sorted."""
    _known(language)
    if language == "en":
        found = set(_VOWELS_EN | english.CONSONANTS)
    elif language == "zh":
        found = set(_INITIALS) | set(_FINALS)
    else:
        found = {symbol for sounds in _morae().values() for symbol in sounds}
    return sorted(found | {"AP"})


def dictionary(language: str) -> dict[str, tuple[str, ...]]:
    """The lyrics that stand for one sound alone, and their phonemes: kana and romaji, or pinyin without tones.

    English, whose words are too many to be listed, and languages that are not known have none: {}.
    """
    if language == "ja":
        found = dict(_morae())
        found |= {"".join(chr(ord(c) + 0x60) for c in kana): sounds for kana, sounds in _morae().items()}
        return found | {romaji: _morae()[kana] for romaji, kana in _romaji().items() if kana in _morae()}
    if language != "zh":
        return {}
    pinyin = {}
    for initial in ("", *_INITIALS):
        for final in {*_FINALS, "ue"} - {"i0", "ir", "E", "En"}:
            parts = _pinyin_parts(initial + final)
            if parts is not None and parts[0] == ((initial,) if initial else ()):
                pinyin[initial + final] = (*parts[0], parts[1])
    return pinyin


# -------------------------------------------------------------------------------------------------- syllables to notes

_Said = tuple[tuple[str, ...], str, tuple[str, ...]]  # onset, nucleus, coda


def _sounds(score: Score, language: str) -> tuple[list[Sounds], list[Finding]]:
    language = language or language_of(score)
    _known(language)
    sung = words(score)
    said = _SAY[language](score, sung)
    found: list[Sounds] = []
    findings: list[Finding] = []
    for word, syllables in zip(sung, said, strict=True):
        slots = [list(syllable.notes) for syllable in word.syllables]
        written = sum(not syllable.plus for syllable in word.syllables)
        where = score.place(score.notes[slots[0][0]].start)
        fitting = syllables
        if len(syllables) > len(slots):
            message = f"{word.text!r} has {len(syllables)} syllables for {len(slots)} notes; two are sung on one"
            findings.append(Finding(place=where, message=message))
            fitting = _fewer(syllables, len(slots))
        elif len(syllables) < written:
            message = f"{word.text!r} has {len(syllables)} syllables for {written} notes; the last is held"
            findings.append(Finding(place=where, message=message))
        for i, (onset, nucleus, coda) in enumerate(fitting):
            last = i + 1 == len(fitting)
            notes = [note for slot in slots[i:] for note in slot] if last else slots[i]
            found.append(Sounds(onset=onset, nucleus=nucleus, coda=coda, notes=tuple(notes)))
    return found, findings


def _fewer(syllables: Sequence[_Said], count: int) -> list[_Said]:
    """Syllables sung together until there are `count`: first where two vowels meet (di-a-), then weak ones, then last.

    The first vowel of the two is held, the rest follows at the end of the note.
    """
    found = list(syllables)
    while len(found) > count:
        pairs = range(len(found) - 1)
        meet = (i for i in pairs if not found[i][2] and not found[i + 1][0])
        weak = (i for i in pairs if found[i + 1][1] in _WEAK)
        i = [*meet, *weak, len(found) - 2][0]
        (onset, nucleus, coda), (between, second, end) = found[i : i + 2]
        found[i : i + 2] = [(onset, nucleus, (*coda, *between, second, *end))]
    return found


def _hinted(symbols: Sequence[str]) -> _Said:
    """Phonemes that the file gives for a syllable; the first that looks like a vowel is held."""
    at = next((i for i, symbol in enumerate(symbols) if is_vowel(symbol)), len(symbols) - 1)
    return tuple(symbols[:at]), symbols[at], tuple(symbols[at + 1 :])


def is_vowel(symbol: str) -> bool:
    """Whether a phoneme of any of the languages may be held."""
    return symbol[:1].lower() in "aeiou" or symbol in _VOWELS_EN or symbol in _FINALS or symbol == "N"


def _seconds(symbol: str) -> float:
    return _SECONDS.get(symbol, _VOWEL if is_vowel(symbol) else _OTHER)


def _known(language: str) -> None:
    if language not in LANGUAGES:
        raise UserError(f"lyrics in {language!r} cannot be sung yet; these can: {', '.join(LANGUAGES)}")


def _unreadable(score: Score, syllable: Syllable, why: str) -> UserError:
    return UserError(f"{score.place(score.notes[syllable.notes[0]].start)}: the lyric {syllable.text!r} {why}")


def _phrases(sung: Sequence[Word]) -> Iterable[list[int]]:
    """Places of the words between two rests."""
    phrase: list[int] = []
    for i, word in enumerate(sung):
        if word.rest_before and phrase:
            yield phrase
            phrase = []
        phrase.append(i)
    if phrase:
        yield phrase


# ------------------------------------------------------------------------------------------------------------ English


def _say_english(score: Score, sung: Sequence[Word]) -> list[list[_Said]]:
    from aoide.text import frontend

    front = frontend("en")
    said: list[list[_Said]] = []
    for phrase in _phrases(sung):
        texts = [_letters(sung[i].text) or LA for i in phrase]
        together = front.phonemize(" ".join(texts)).translate(_MARKS).split()
        if len(together) != len(texts):  # a word that is not said as one, such as a number
            together = ["".join(front.phonemize(text).translate(_MARKS).split()) for text in texts]
        for i, text in zip(phrase, together, strict=True):
            hints = [_hinted(syllable.phonemes) for syllable in sung[i].syllables if syllable.phonemes]
            said.append(hints or syllables_of(text or "lɑ"))
    return said


_MARKS = dict.fromkeys(map(ord, 'ˈˌ;:,.!?—…"()“”'), None)


def _letters(text: str) -> str:
    """A word without the punctuation that scores print behind it."""
    return re.sub(r"[^\w']+", " ", text.replace("’", "'").replace("‿", " ")).strip()


def syllables_of(phonemes: str) -> list[_Said]:
    """English phonemes without stress -> (onset, vowel, coda) of each syllable; onsets as long as English allows."""
    vowels = [i for i, symbol in enumerate(phonemes) if symbol in _VOWELS_EN]
    if not vowels:  # hm, sh: the last sound is held
        return [(tuple(phonemes[:-1]), phonemes[-1], ())]
    cuts = [0]
    for before, after in zip(vowels, vowels[1:], strict=False):
        cluster = phonemes[before + 1 : after]
        taken = next((k for k in range(len(cluster)) if cluster[k:] in _ONSETS_EN), len(cluster))
        cuts.append(before + 1 + taken)
    cuts.append(len(phonemes))
    return [
        (tuple(phonemes[start:vowel]), phonemes[vowel], tuple(phonemes[vowel + 1 : end]))
        for start, vowel, end in zip(cuts, vowels, cuts[1:], strict=False)
    ]


# ----------------------------------------------------------------------------------------------------------- Mandarin


def _say_mandarin(score: Score, sung: Sequence[Word]) -> list[list[_Said]]:
    said: list[list[_Said]] = []
    for phrase in _phrases(sung):
        readings = iter(_readings("".join(_HANZI.findall("".join(sung[i].text for i in phrase)))))
        for i in phrase:
            spoken = []
            for syllable in sung[i].syllables:
                if syllable.phonemes:
                    spoken.append(_hinted(syllable.phonemes))
                    for _ in _HANZI.findall(syllable.text):
                        next(readings)
                    continue
                spoken += [_pinyin(score, syllable, text) for text in _pieces(syllable.text, readings)]
            said.append(spoken)
    return said


def _readings(hanzi: str) -> list[str]:
    """The pinyin of each letter, those with several readings by the words around them."""
    if not hanzi:
        return []
    found: list[str] = require("pypinyin", "zh").lazy_pinyin(hanzi, errors=list)
    return found


def _pieces(text: str, readings: Iterable[str]) -> list[str]:
    """The pinyin of a lyric: of each of its Han letters, or the lyric itself."""
    taken = iter(readings)
    if hanzi := _HANZI.findall(text):
        return [next(taken) for _ in hanzi]
    return text.lower().replace("ü", "v").replace("u:", "v").split() or [LA]


def _pinyin(score: Score, syllable: Syllable, text: str) -> _Said:
    """`zhang1` -> zh ang."""
    parts = _pinyin_parts("en" if text in _HUMMED else re.sub(r"[1-5]$", "", text.strip(" ,.!?，。！？、")))
    if parts is None:
        raise _unreadable(score, syllable, "is neither a Han letter nor pinyin")
    return *parts, ()


def _pinyin_parts(text: str) -> tuple[tuple[str, ...], str] | None:
    """`zhang` -> (zh,), ang."""
    initial = next((start for start in _INITIALS if text.startswith(start) and len(text) > len(start)), "")
    final = text[len(initial) :]
    if initial in ("zh", "ch", "sh", "r") and final == "i":
        final = "ir"
    elif initial in ("z", "c", "s") and final == "i":
        final = "i0"
    elif initial in ("j", "q", "x", "y") and final.startswith("u"):
        final = "v" + final[1:]
    elif initial == "y":
        final = {"an": "En", "e": "E"}.get(final, final)
    final = "ve" if final == "ue" else final
    return (((initial,) if initial else ()), final) if final in _FINALS else None


# ----------------------------------------------------------------------------------------------------------- Japanese


def _say_japanese(score: Score, sung: Sequence[Word]) -> list[list[_Said]]:
    said = []
    for word in sung:
        spoken: list[_Said] = []
        for syllable in word.syllables:
            if syllable.phonemes:
                spoken.append(_hinted(syllable.phonemes))
            elif not syllable.plus:
                spoken += _japanese(score, syllable)
        said.append(spoken)
    return said


def _japanese(score: Score, syllable: Syllable) -> list[_Said]:
    """The syllables of a lyric: morae, with ん and っ at the end of the one before them."""
    text = syllable.text.split()[-1] if syllable.text.split() else LA  # UTAU's `a か` names the vowel before, too
    if _HANZI.search(text):
        text = _kana_of(score, syllable, text)
    kana = "".join(chr(ord(c) - 0x60) if "ァ" <= c <= "ヶ" else c for c in text if c not in HOLDS and c.isalpha())
    kana = _romaji().get(kana.lower(), kana)
    spoken: list[_Said] = []
    while kana:
        mora = kana[:2] if kana[:2] in _morae() else kana[:1]
        sounds = _morae().get(mora)
        if sounds is None:
            raise _unreadable(score, syllable, "is neither kana nor a mora in Latin letters")
        kana = kana[len(mora) :]
        if sounds in (("N",), ("cl",)) and spoken:
            spoken[-1] = (*spoken[-1][:2], (*spoken[-1][2], *sounds))
        else:
            spoken.append((sounds[:-1], sounds[-1], ()))
    if not spoken:
        raise _unreadable(score, syllable, "has no letter that is sung")
    return spoken


def _kana_of(score: Score, syllable: Syllable, text: str) -> str:
    """The reading of Han letters, if Open JTalk is there."""
    try:
        jtalk: Any = require("pyopenjtalk", "ja")
    except MissingExtra:
        raise _unreadable(score, syllable, "has kanji; write kana, or pip install 'aoide[ja]'") from None
    return str(jtalk.g2p(text, kana=True))


_SAY: dict[str, Callable[[Score, Sequence[Word]], list[list[_Said]]]] = {
    "en": _say_english,
    "zh": _say_mandarin,
    "ja": _say_japanese,
}
