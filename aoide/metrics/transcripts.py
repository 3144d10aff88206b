"""What word and character error rates stand on: texts made comparable, and edits counted.

    compare(["It's $3.20."], ["it is three dollars and twenty cents"], "words", "en")[0].edits.total     ->  0

A recogniser writes as it likes: "9:30", "nine thirty", "nine-thirty". Before anything is counted, both sides go through
the same named normaliser:

    english     spoken form of everything written (`aoide.text.normalize`: numbers, money, dates, abbreviations), then
                numbers back to digits however they were said, contractions apart, American spelling, no fillers (uh,
                um), no punctuation, lower case
    chinese     numbers as they are said, no punctuation, no spaces, lower case; a character is a word
    characters  no punctuation, no spaces, lower case; a character is a word: Japanese, Thai, ...
    basic       no punctuation, lower case; what is written with spaces between words
    none        the text as it is

Words in round brackets are kept: a voice that is given them says them; [Music] is dropped. The English form follows
the aims of the normaliser of Whisper (Radford et al. 2022, appendix C), with its own rules: a possessive stays one
word (Whisper: "John is").
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from aoide.config import UserError, near, require
from aoide.text import numbers
from aoide.text.normalize import normalize

Unit = Literal["words", "characters"]
UNSPACED = frozenset(("zh", "yue", "ja", "th", "lo", "my", "km"))  # languages whose words are not told apart in writing


@dataclass(frozen=True, slots=True)
class Edits:
    """How a transcript differs from its reference. The sum of two is the count over both."""

    substitutions: int = 0
    deletions: int = 0
    insertions: int = 0
    reference: int = 0  # units in the reference

    @property
    def total(self) -> int:
        return self.substitutions + self.deletions + self.insertions

    @property
    def rate(self) -> float:
        """Edits per unit of the reference; more than 1 where much was inserted, NaN where the reference is empty."""
        return self.total / self.reference if self.reference else float("nan")

    def __add__(self, other: Edits) -> Edits:
        return Edits(
            self.substitutions + other.substitutions,
            self.deletions + other.deletions,
            self.insertions + other.insertions,
            self.reference + other.reference,
        )


@dataclass(frozen=True, slots=True)
class Comparison:
    """One utterance: both texts as they were counted, and the edits between them."""

    reference: str
    transcript: str
    edits: Edits


def compare(
    references: str | Sequence[str],
    transcripts: str | Sequence[str],
    unit: Unit,
    language: str = "en",
    normalizer: str | None = None,
) -> list[Comparison]:
    """Counts the edits utterance by utterance.

    Args:
        references, transcripts: what should be said and what was heard, one text or one of each per utterance.
        unit: what is counted; words of a language that writes no spaces are its characters.
        language: two letters.
        normalizer: a name from the head of this file; None: that of the language.

    Raises:
        UserError: unequal numbers of texts, or an unknown normaliser.
    """
    said, heard = ([text] if isinstance(text, str) else list(text) for text in (references, transcripts))
    if len(said) != len(heard):
        raise UserError(f"{len(said)} reference texts and {len(heard)} transcripts: each sound needs one of each")
    name = normalizer or normalizer_of(language)
    if name not in NORMALIZERS:
        raise UserError(f"no text normaliser {name!r};{near(name, NORMALIZERS) or f' there are {_known()}'}")
    normal = NORMALIZERS[name]
    units = _UNITS[unit, language in UNSPACED or name in ("chinese", "characters")]
    return [_comparison(normal(a), normal(b), units) for a, b in zip(said, heard, strict=True)]


def normalizer_of(language: str) -> str:
    """The name of the normaliser that a language gets."""
    if language in ("en", "english"):
        return "english"
    if language in ("zh", "yue", "chinese"):
        return "chinese"
    return "characters" if language in UNSPACED else "basic"


def corpus(comparisons: Sequence[Comparison]) -> Edits:
    """All edits over all units: the sum, whose `rate` is the corpus-level error rate."""
    return sum((comparison.edits for comparison in comparisons), Edits())


def edits(reference: Sequence[str], transcript: Sequence[str]) -> Edits:
    """The fewest edits that turn one sequence into the other (Levenshtein 1966), by kind."""
    found = require("rapidfuzz.distance", "metrics").Levenshtein.editops(reference, transcript)
    kinds = [operation.tag for operation in found]
    return Edits(kinds.count("replace"), kinds.count("delete"), kinds.count("insert"), len(reference))


def amphion_mean(
    reference: str | Sequence[str], transcript: str | Sequence[str], unit: Unit, mode: str, language: str
) -> float:
    """The mean over utterances that Amphion makes of texts without spaces; its faults are told in `wer.amphion`."""
    heard = [transcript] if isinstance(transcript, str) else list(transcript)
    said = heard if mode == "gt_audio" and language != "chinese" else reference
    rates = []
    for one, other in zip([said] if isinstance(said, str) else said, heard, strict=True):
        bare, bare_heard = (text.translate(_AMPHION_DROPS).lower() for text in (one, other))
        # split() of a text without spaces is one word, or none
        found = edits(bare.split(), bare_heard.split()) if unit == "words" else edits(bare, bare_heard)
        rates.append(found.rate if found.reference else float("inf") if found.total else float("nan"))
    kept = [rate for rate in rates if not math.isnan(rate)]
    return sum(kept) / len(kept) if kept else float("nan")


_AMPHION_DROPS = str.maketrans("", "", " .'-,!")


def _comparison(reference: str, transcript: str, units: Callable[[str], Sequence[str]]) -> Comparison:
    return Comparison(reference, transcript, edits(units(reference), units(transcript)))


def _mixed(text: str) -> list[str]:
    """Characters of writings without spaces, whole words of the others: 我用 iPhone -> 我 用 iphone."""
    return re.findall(r"[a-zA-ZÀ-ɏ0-9']+|\S", text)


_UNITS: dict[tuple[Unit, bool], Callable[[str], Sequence[str]]] = {
    ("words", False): str.split,
    ("words", True): _mixed,
    ("characters", False): str,  # with the single spaces between words
    ("characters", True): lambda text: "".join(text.split()),
}


# --------------------------------------------------------------------------------------------------------- normalisers


def basic(text: str) -> str:
    """Lower case, no punctuation and symbols; an apostrophe is dropped, everything else between words is one space."""
    text = unicodedata.normalize("NFKC", _ANNOTATION.sub(" ", text)).lower().translate(_APOSTROPHES)
    kept = (" " if unicodedata.category(c)[0] in "PSZC" else c for c in text.replace("'", ""))
    return " ".join("".join(kept).split())


def characters(text: str) -> str:
    """As `basic`, and no spaces but those between two Latin words."""
    return re.sub(r"(?<![a-zÀ-ɏ0-9]) | (?![a-zÀ-ɏ0-9])", "", basic(text))


_ANNOTATION = re.compile(r"\[[^\]]*\]")  # [Music]: what a recogniser says about a sound, and nobody says aloud
_APOSTROPHES = str.maketrans(dict.fromkeys("‘’‛ʼ´`", "'"))
_HAN_DIGITS = "零一二三四五六七八九"
_HAN_SMALL = ("", "十", "百", "千")
_HAN_LARGE = ("", "万", "亿", "万亿")


def chinese(text: str) -> str:
    """As `characters`, with numbers as a reader says them: 30 -> 三十, 2019年 -> 二零一九年, 5% -> 百分之五."""
    text = unicodedata.normalize("NFKC", text).replace("〇", "零")
    text = re.sub(r"(?<=\d),(?=\d{3})", "", text)
    text = re.sub(r"(\d+(?:\.\d+)?)%", r"百分之\1", text)
    text = re.sub(r"\d{4}(?=年)|\d{9,}", lambda m: _han_digits(m[0]), text)
    text = re.sub(r"(\d+)\.(\d+)", lambda m: f"{_han_cardinal(m[1])}点{_han_digits(m[2])}", text)
    return characters(re.sub(r"(?<![A-Za-z])\d+", lambda m: _han_cardinal(m[0]), text))


def _han_digits(digits: str) -> str:
    return "".join(_HAN_DIGITS[int(d)] for d in digits)


def _han_cardinal(digits: str) -> str:
    """10203 -> 一万零二百零三; a number that begins with zero is read digit by digit."""
    if len(digits) > 8 or (digits[0] == "0" and len(digits) > 1):
        return _han_digits(digits)
    said, gap = "", False
    for index, digit in enumerate(digits):
        place = len(digits) - 1 - index
        if digit == "0":
            gap = True
        else:
            said += ("零" if gap and said else "") + _HAN_DIGITS[int(digit)] + _HAN_SMALL[place % 4]
            gap = False
        group = digits[max(0, index - 3 + place % 4) : index + 1] if place % 4 == 0 else ""
        if place and group.strip("0"):
            said += _HAN_LARGE[place // 4]
    return re.sub(r"^一十", "十", said) or "零"


def english(text: str) -> str:
    """See the head of this file: "Dr. Smith didn't pay $1,200" -> "doctor smith did not pay 1200 dollars"."""
    try:
        said = normalize(unicodedata.normalize("NFKC", _ANNOTATION.sub(" ", text)).translate(_APOSTROPHES))
    except UserError:  # letters of another script: nothing to be read, but to be counted as wrong
        return basic(text)
    said = re.sub(r"(?<=[A-Za-z])\.(?=[A-Za-z]\b)", "", said).lower()  # A.M -> am
    said = re.sub(r"[^a-z0-9' ]+", " ", said)
    said = _CONTRACTION.sub(lambda m: _CONTRACTIONS[m[0]], said)
    said = _SUFFIX.sub(lambda m: _SUFFIXES[m[1]], _IS.sub(r"\1 is", said))
    said = re.sub(r"(?<=\w)'(?=\w)|'", "", said)
    words = [_WORDS.get(word, word) for word in _FILLER.sub(" ", said).split()]
    return " ".join(_american(word) for word in _digits(" ".join(words).split()))


def _known() -> str:
    return ", ".join(NORMALIZERS)


_FILLER = re.compile(r"\b(?:u+h+|u+m+|e+r+m+|h+m+|m+h+m+|m{2,})\b")
_CONTRACTIONS = {
    "won't": "will not",
    "can't": "can not",
    "cannot": "can not",
    "shan't": "shall not",
    "ain't": "is not",
    "let's": "let us",
    "y'all": "you all",
    "o'clock": "oclock",
    "'twas": "it was",
    "'tis": "it is",
    "'em": "them",
    "'cause": "because",
    "gonna": "going to",
    "wanna": "want to",
    "gotta": "got to",
}
_CONTRACTION = re.compile(r"(?<!\w)(?:" + "|".join(sorted(_CONTRACTIONS, key=len, reverse=True)) + r")\b")
_SUFFIXES = {"n't": " not", "'re": " are", "'ll": " will", "'ve": " have", "'m": " am", "'d": " would"}
_SUFFIX = re.compile(r"(?<=[a-z])(n't|'re|'ll|'ve|'m|'d)\b")
_IS = re.compile(
    r"\b(it|he|she|that|this|there|here|what|who|where|when|how|why|everything|everyone|everybody|something|someone"
    r"|nothing|one)'s\b"
)
_WORDS = {
    "mr": "mister",
    "mrs": "missus",
    "missis": "missus",
    "dr": "doctor",
    "prof": "professor",
    "ok": "okay",
    "alright": "all right",
    "anymore": "any more",
    "percent": "per cent",
    "tv": "television",
}

# British -> American: the letters that change, at the end of the stem that they change in.
_SPELLINGS = (
    (r"\b(arm|behavi|cand|clam|col|demean|endeav|fav|ferv|flav|glam|harb|hon|hum|lab|neighb|od|parl|ranc|rig|rum"
     r"|sav|splend|tum|val|vap|vig)our", r"\1or"),
    (r"\b(cent|theat|fib|lit|calib|lust|meag|somb|spect|kilomet|centimet|millimet|met)re(s?)\b", r"\1er\2"),
    (r"\b(apolog|author|capital|categor|central|civil|critic|emphas|familiar|final|general|organ|maxim|memor|minim"
     r"|modern|normal|real|recogn|special|symbol|sympath|util|visual)is(e|ed|es|er|ers|ing|ation|ations)\b", r"\1iz\2"),
    (r"\b(anal|paral)ys(e|ed|es|ing)\b", r"\1yz\2"),
    (r"\b(cancel|travel|label|level|model|signal|counsel|fuel|marvel|quarrel)l(ed|ing|er|ers)\b", r"\1\2"),
    (r"\b(catal|dial|anal|prol)ogue(s?)\b", r"\1og\2"),
    (r"\b(def|off|lic|pret)ence(s?)\b", r"\1ense\2"),
    (r"\bgrey", "gray"),
    (r"\bprogramme(s?)\b", r"program\1"),
    (r"\b(m|sm)ould", r"\1old"),
    (r"\bplough", "plow"),
    (r"\btyre(s?)\b", r"tire\1"),
    (r"\bcheque(s?)\b", r"check\1"),
    (r"\bsceptic", "skeptic"),
    (r"\bjewellery\b", "jewelry"),
    (r"\baluminium\b", "aluminum"),
    (r"\bpyjamas\b", "pajamas"),
    (r"\bpractis(e|ed|es|ing)\b", r"practic\1"),
)  # fmt: skip
_SPELLING = [(re.compile(pattern), new) for pattern, new in _SPELLINGS]


def _american(word: str) -> str:
    for pattern, new in _SPELLING:
        word = pattern.sub(new, word)
    return word


# ------------------------------------------------------------------------------------- numbers, however they are said

_SMALL = {word: value for value, word in enumerate(numbers.ONES)} | {
    word: 10 * tens for tens, word in enumerate(numbers.TENS) if word
}
_SCALE = {word: 1000**power for power, word in enumerate(numbers.SCALES) if word}
_ORDINAL = {numbers.as_ordinal(word): word for word in (*_SMALL, *_SCALE, "hundred")}
_SAID = frozenset((*_SMALL, *_SCALE, "hundred"))


def _digits(words: list[str]) -> list[str]:
    """Runs of number words become digits: two hundred and five -> 205, four two -> 42, twenty third -> 23rd."""
    result: list[str] = []
    at = 0
    while at < len(words):
        end = _end_of_number(words, at)
        if end == at:
            result.append(words[at])
            at += 1
            continue
        run = [word for word in words[at:end] if word != "and"]
        ordinal = run[-1] in _ORDINAL
        run[-1] = _ORDINAL.get(run[-1], run[-1])
        number = _read(run)
        result.append(number + (_ordinal_ending(number) if ordinal else ""))
        at = end
    return result


def _ordinal_ending(number: str) -> str:
    return "th" if number[-2:-1] == "1" else {"1": "st", "2": "nd", "3": "rd"}.get(number[-1], "th")


def _end_of_number(words: list[str], start: int) -> int:
    """Where the run of number words that begins at `start` ends; `start` itself where none does."""
    at = start
    while at < len(words):
        word, following = words[at], words[at + 1] if at + 1 < len(words) else ""
        begun = at > start
        if word in _ORDINAL:
            return at + 1 if begun or word != "second" else at  # alone, a second is of a minute
        joins = word == "and" and words[at - 1] in ("hundred", *_SCALE) and following in {**_SMALL, **_ORDINAL}
        spoken_zero = word in ("oh", "o") and following in _SMALL
        many = word == "a" and not begun and following in ("hundred", *_SCALE)
        decimal = word == "point" and following in _SMALL
        if not (word in _SAID or word.isdigit() or many or (begun and (joins or spoken_zero or decimal))):
            break
        at += 1
    return at


def _read(run: list[str]) -> str:
    """The digits of a run of number words; what does not add up to one number is set side by side: 19 oh 5, 7 40 7."""
    written = ""
    total = group = 0
    last = 0  # the least of the values that may still be added to: 20 takes 1 to 9, 5 takes nothing
    open_ = False
    for word in ["one" if word == "a" else "zero" if word in ("oh", "o") else word for word in run]:
        if word == "point":
            written, total, group, last, open_ = written + str(total + group) + ".", 0, 0, 0, False
        elif word == "hundred" and 0 < group < 100:
            group, last = group * 100, 100
        elif word in _SCALE and open_ and written.endswith("."):  # 2.3 million
            total, group, written, last = round(float(f"{written}{group}") * _SCALE[word]), 0, "", 0
        elif word in _SCALE and group > 0 and (total == 0 or total % (_SCALE[word] * 1000) == 0):
            total, group, last = total + group * _SCALE[word], 0, 1000
        else:
            value = int(word) if word.isdigit() else _SMALL.get(word, 100 if word == "hundred" else _SCALE.get(word, 0))
            if open_ and not (0 < value < last and not (last == 10 and value > 9)):
                written, total, group = written + str(total + group), 0, 0
            group += value
            last = 10 if 20 <= value < 100 and value % 10 == 0 else 0
            open_ = True
    return written + (str(total + group) if open_ else "")


NORMALIZERS: dict[str, Callable[[str], str]] = {
    "english": english,
    "chinese": chinese,
    "characters": characters,
    "basic": basic,
    "none": str,
}
