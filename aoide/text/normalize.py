"""Written English -> the words that a person says, with six punctuation marks: . , ! ? ; :

    normalize("Dr. Smith paid $3.20 at 9:30am.")  ->  "Doctor Smith paid three dollars and twenty cents at nine thirty
    A.M."

What stays as it is: the case of letters, words in capitals (NASA, FBI: whether they are read or spelt is for the
lexicon to say), letters with full stops (U.S., A.M.: spelt), hyphens and apostrophes inside words. Quotation marks
fall silent, brackets and dashes become commas, emoji vanish. Letters of another script than Latin are an error that
says who reads them.
"""

import re
import unicodedata

from aoide.config import UserError
from aoide.text import numbers, quantities, tables

# ---------------------------------------------------------------------------------------------------------- characters

_CHARACTERS = {
    **dict.fromkeys("‘’‚‛`´ʼ′＇", "'"),
    **dict.fromkeys("“”„‟«»″＂「」『』", '"'),
    **dict.fromkeys("‐‑‒⁃", "-"),
    **dict.fromkeys("—―⸺⸻", " — "),
    **dict.fromkeys("。｡", ". "),
    **dict.fromkeys("，、､", ", "),
    **dict.fromkeys("™®℠\u00ad\u200b\u200c\u200d\u2060\ufeff", ""),
    "…": "... ",
    "！": "! ",
    "？": "? ",
    "：": ": ",
    "；": "; ",
    "¿": "",
    "¡": "",
    "•": " ",
    "·": " ",
    "²": "^2",
    "³": "^3",
    "º": "°",
    "µ": "μ",
    "Ω": "Ω",
    "℃": "°C",
    "℉": "°F",
    "№": "No. ",
    "⁄": "/",
    "∕": "/",
    "æ": "ae",
    "Æ": "Ae",
    "œ": "oe",
    "Œ": "Oe",
    "ø": "o",
    "Ø": "O",
    "ß": "ss",
    "ł": "l",
    "Ł": "L",
    "đ": "d",
    "Đ": "D",
    "ð": "th",
    "Ð": "Th",
    "þ": "th",
    "Þ": "Th",
    "ı": "i",
}
_CHARACTER = str.maketrans(_CHARACTERS)
_FRACTION = re.compile(r"(?<=\d)?([¼-¾⅐-⅞])")
_KEPT = frozenset(tables.SYMBOLS) | frozenset("—–−μΩ")
_EXTRAS = {
    "CJK": ("Han", "zh", "Chinese"),
    "HIRAGANA": ("Hiragana", "ja", "Japanese"),
    "KATAKANA": ("Katakana", "ja", "Japanese"),
}


def clean(text: str) -> str:
    """Plain characters only: ASCII, and the symbols that have a reading.

    Curly quotes are straightened, accents taken off (the lexicon has none), wide and stylised letters made plain,
    digits of all scripts made 0-9, single Greek letters named, emoji and everything without a reading dropped.

    Raises:
        UserError: letters of a script that this front end cannot read; names them and the extra that reads them.
    """
    if not text.isascii():
        text = _FRACTION.sub(lambda m: " " + unicodedata.normalize("NFKC", m[0]), text).translate(_CHARACTER)
        text = unicodedata.normalize("NFKC", text).translate(_CHARACTER)
        text = _GREEK.sub(_greek_letter, text)
        _refuse_foreign(text)
        text = "".join(map(_plain, unicodedata.normalize("NFKD", text)))
    return " ".join(text.split())


def _plain(character: str) -> str:
    """One character as itself, as a plain letter or digit, as a space, or as nothing."""
    if character.isascii() or character in _KEPT:
        return character
    category = unicodedata.category(character)
    if category in ("Ll", "Lu"):  # what NFKD cannot take apart: LATIN SMALL LETTER F WITH HOOK
        letter = unicodedata.name(character).split()[3]
        return "" if len(letter) > 1 else letter.lower() if category == "Ll" else letter
    if category == "Nd":
        return str(unicodedata.digit(character))
    return "" if category in ("Mn", "Me", "Cf", "Sk", "Lm", "Lo") else " "


_GREEK = re.compile(r"(?<![^\W\d_])[Α-Ωα-ω](?![^\W\d_])")


def _greek_letter(m: re.Match[str]) -> str:
    if m[0] in "μΩ" and m.string[m.start() - 1 : m.start()] in tuple("0123456789 "):
        return m[0]  # a unit: 5 Ω
    return unicodedata.name(m[0]).split()[3].lower()


def _refuse_foreign(text: str) -> None:
    """Raises the error of `clean` if there are letters that are not Latin, and not the Greek of a unit."""
    foreign = [
        c
        for c in text
        if not c.isascii()
        and c not in "μΩ"
        and unicodedata.category(c) in ("Ll", "Lu", "Lt", "Lo")
        and not unicodedata.name(c, "").startswith(("LATIN", "FEMININE", "MASCULINE"))
    ]
    if not foreign:
        return
    words = [word for word in re.findall(r"[^\W\d_]+", text) if not set(foreign).isdisjoint(word)]
    script = unicodedata.name(foreign[0], "unknown").split()[0]
    name, extra, language = _EXTRAS.get(script, (script.title(), "espeak", "its language"))
    shown = ", ".join(dict.fromkeys(words[:3]))[:60]
    raise UserError(
        f"the English front end cannot read {shown} ({name} letters): pip install 'aoide[{extra}]' for the front end "
        f"that reads {language}, or write it in Latin letters"
    )


# ------------------------------------------------------------------------------------------------ addresses in the net

_DOMAINS = "com|org|net|edu|gov|mil|int|info|biz|io|co|ai|app|dev|uk|us|ca|au|de|fr|eu|tv|me|ly|ch|jp|nl|se|no|es"
_ADDRESS = re.compile(
    r"(?P<url>\b(?:https?|ftp)://[^\s<>\"]*[^\s<>\".,;:!?')\]]|\bwww\.[^\s<>\"]*[^\s<>\".,;:!?')\]])"
    r"|(?P<mail>\b[\w.+-]+@[\w-]+(?:\.[\w-]+)+)"
    rf"|(?P<domain>\b(?:[A-Za-z0-9][A-Za-z0-9-]*\.)+(?:{_DOMAINS})\b(?:/[^\s<>\"]*[^\s<>\".,;:!?')\]])?)(?![.]\w)"
    r"|(?<![\w@])@(?P<handle>[A-Za-z]\w*)|(?<![\w&#])\#(?P<tag>[A-Za-z]\w*)"
)
_ADDRESS_MARKS = {
    ".": "dot", "/": "slash", "-": "dash", "_": "underscore", "@": "at", ":": "colon", "?": "question mark",
    "=": "equals", "&": "and", "#": "hash", "+": "plus", "~": "tilde", "%": "percent",
}  # fmt: skip
_ADDRESS_PARTS = re.compile(r"\d+|[A-Z]?[a-z]+|[A-Z]+(?![a-z])|[^\w\s]|_")


def _read_address(m: re.Match[str]) -> str:
    if m["handle"]:
        return "at " + _camel_words(m["handle"])
    if m["tag"]:
        return "hashtag " + _camel_words(m["tag"])
    text = re.sub(r"^(?:https?|ftp)://", "", m[0]).rstrip("/")
    said = []
    for part in _ADDRESS_PARTS.findall(text):
        if part.isdigit():
            said.append(numbers.whole_number(part) if len(part) < 3 else numbers.digits(part))
        elif part == "www":
            said.append("W.W.W.")
        else:
            said.append(_ADDRESS_MARKS.get(part, part if part.isalpha() else ""))
    return " ".join(filter(None, said))


def _camel_words(name: str) -> str:
    return " ".join(_ADDRESS_PARTS.findall(name)).replace("_ ", "")


# --------------------------------------------------------------------------------------------------------- short forms

_SHORT_FORMS = "|".join(map(re.escape, sorted(tables.SHORT_FORMS, key=len, reverse=True)))
_SHORT_FORM = re.compile(rf"(?<![\w/])(?<!\d )(?:{_SHORT_FORMS})(?![\w/])|(?<![\w/])w/(?=\w)")
_BARE_TITLE = re.compile(r"\b(Mr|Mrs|Ms|Dr|Prof|St|Mt)(?= [A-Z])")
_DOTTED = re.compile(r"(?<![\w.])[A-Za-z](?:\.[A-Za-z])+\b\.?(?!\w)")
_INITIALS = re.compile(r"\b[A-Z]\.(?: ?[A-Z]\.)*(?= [A-Z][a-z])")
_STOPPED = re.compile(r"(?<![.\w])([A-Za-z]+)\.(?![A-Za-z])")
_ALWAYS_TITLES = tables.words("Mr Mrs Ms Messrs Dr Prof")
_CAREFUL = tables.words("max est ext")  # in capitals these are names
_AFTER_DAY = re.compile(rf",? (?:\d|at |to |[-–] |{'|'.join(tables.MONTHS.values())})")


def _dotted(m: re.Match[str]) -> str:
    """U.S. stays as it is, less the last stop, and will be spelt; e.g. is said in words."""
    letters = m[0].rstrip(".")
    return tables.DOTTED.get(letters.lower()) or letters.upper()


def _initials(m: re.Match[str]) -> str:
    """J. K. Rowling -> J.K Rowling: spelt in one breath."""
    return m[0].replace(" ", "").rstrip(".")


def _stopped(m: re.Match[str]) -> str:
    """A word and a full stop: an abbreviation said in full, or the end of a sentence, left as it is."""
    said = _abbreviation(m[1], m.string[: m.start()], m.string[m.end() :])
    return m[0] if said is None else said


def _abbreviation(word: str, before: str, rest: str) -> str | None:
    name_follows = bool(re.match(r" [A-Z]", rest))
    if word in tables.STREETS and _in_address(before, name_follows):
        return tables.STREETS[word]
    if word in tables.TITLES and (name_follows or word in _ALWAYS_TITLES):
        return tables.TITLES[word]
    if word.lower() in tables.BEFORE_NUMBER and re.match(r" ?\d", rest):
        said = tables.BEFORE_NUMBER[word.lower()]
        return said.capitalize() if word[0].isupper() else said
    if word in tables.DAYS and _AFTER_DAY.match(rest):
        return tables.DAYS[word]
    if word == "v" and name_follows:
        return "versus"
    if word == "al" and before.endswith("et "):
        return "al"
    if word in tables.ABBREVIATIONS:
        return tables.ABBREVIATIONS[word]
    return tables.ABBREVIATIONS.get(word.lower()) if word.istitle() and word.lower() not in _CAREFUL else None


def _in_address(before: str, name_follows: bool) -> bool:
    """Is St. a street, Dr. a drive? 221 Baker St. London; Main St.; but St. Paul, Dr. Smith."""
    if name_follows:
        return bool(re.search(r"\d\w* (?:[A-Z][a-z]*\.? )*[A-Z][a-z]+ $", before))
    return bool(re.search(r"(?:[A-Z][a-z]+|\d(?:st|nd|rd|th)) $", before))


_ROMAN = r"(?=[IVXLCDM])M{0,3}(?:CM|CD|D?C{0,3})(?:XC|XL|L?X{0,3})(?:IX|IV|V?I{0,3})(?<=[IVXLCDM])"
_NUMERAL = re.compile(rf"\b(?P<head>[A-Za-z]+) (?P<roman>{_ROMAN})\b(?!\.\w|'[a-rt-z])")
_ROMAN_AGE = re.compile(rf"\b{_ROMAN}(?= (?:[Cc]entury|[Cc]enturies|[Dd]ynasty|[Ll]egion|[Cc]orps|Olympiad)\b)")
_ROMAN_VALUES = {"I": 1, "V": 5, "X": 10, "L": 50, "C": 100, "D": 500, "M": 1000}
_AFTER_FIRST = re.compile(r"'s|[,;:.?!)]|$| (?:of|was|and|in|ruled|died|became|had|is)\b")


def _numeral(m: re.Match[str]) -> str:
    head, roman, rest = m["head"], m["roman"], m.string[m.end() :]
    if head.title() in tables.ROMAN_CARDINAL:
        return f"{head} {numbers.cardinal(_roman(roman))}"
    if len(roman) == 1 and re.match(r"\.? [A-Z]", rest):
        return m[0]  # an initial: John V. Smith
    if head in tables.ROMAN_ORDINAL and roman not in tuple("LCDM"):
        king = roman != "I" or _AFTER_FIRST.match(rest)  # "George I think" is no king
        return f"{head} the {numbers.ordinal(_roman(roman))}" if king else m[0]
    if len(roman) > 1 and set(roman) <= set("IVX") and head.istitle():
        return f"{head} {numbers.cardinal(_roman(roman))}"
    return m[0]


def _roman(numeral: str) -> int:
    values = [_ROMAN_VALUES[letter] for letter in numeral.upper()]
    return sum(-a if a < b else a for a, b in zip(values, [*values[1:], 0], strict=True))


# --------------------------------------------------------------------------------------------- symbols and punctuation

_SMILEY = re.compile(r"(?<!\S)[:;=8][-o']?[()\[\]dDpP/\\|*]+(?!\S)")
_POWER = re.compile(r"\^(two|three)\b")
_COMPARED = re.compile(r"(?<=\S)(?: ?(<=|>=|!=|==) ?| ([<>]) | ?([=+≤≥≠≈±×÷→⇒]) ?)(?=\S)")
_COMPARISONS = {"<=": "≤", ">=": "≥", "!=": "≠", "==": "="}
_SPOKEN_SYMBOLS = re.compile("[" + re.escape("".join(tables.SYMBOLS.keys() - set("#~<>=^−"))) + "]")
_SILENT = re.compile(r"[\"`*_~^<>\\#=]+")
_DASH = re.compile(r"\s*[—–]\s*|\s+-{1,3}\s+|-{2,}|\s*[()\[\]{}|]\s*| / ")
_MARKS = re.compile(r"\s*[,.;:?!](?:\s*[,.;:?!])*(?:(?!\w)|(?<=[,;:?!])|(?<=\.\.)|(?=[A-Z][a-z]))")
_STRENGTH = "?!.;:,"


def _symbols(text: str) -> str:
    text = _SMILEY.sub(" ", text)
    text = re.sub(r"\b([A-G])#(?!\w)", r"\1 sharp", text)
    text = _POWER.sub(lambda m: " squared" if m[1] == "two" else " cubed", text)
    text = _COMPARED.sub(lambda m: f" {tables.SYMBOLS[_COMPARISONS.get(s := m[1] or m[2] or m[3], s)]} ", text)
    text = _SPOKEN_SYMBOLS.sub(lambda m: f" {tables.SYMBOLS[m[0]]} ", text)
    text = _SILENT.sub(lambda m: "" if m[0] == '"' else " ", text)
    text = re.sub(r"(?<=\w)\.(?=[a-z])", " dot ", text)
    return re.sub(r"(?<=\w)/(?=\w)", " ", text).replace("/", " ")


def _marks(m: re.Match[str]) -> str:
    """A run of marks becomes its strongest; three dots inside a sentence are a pause, at its end a full stop."""
    run = m[0].replace(" ", "")
    if run.startswith("..") and m.end() < len(m.string) and not set(run) & set("?!"):
        return ", "
    return min(run, key=_STRENGTH.index) + " "


def normalize(text: str) -> str:
    """The words that a person says for `text`, one sentence or a few; see the head of this file.

    Raises:
        UserError: letters of a script that English does not use.
    """
    text = clean(text)
    comma = text.endswith(",")
    stopped = text.rstrip("\"' )]").endswith((".", "…"))
    if not text.isalpha():
        text = _ADDRESS.sub(_read_address, text.replace("+/-", "±"))
        text = _ROMAN_AGE.sub(lambda m: numbers.ordinal(_roman(m[0])), _NUMERAL.sub(_numeral, text))
        text = _SHORT_FORM.sub(lambda m: tables.SHORT_FORMS[m[0]] + " " * m[0].endswith("w/"), text)
        text = _BARE_TITLE.sub(lambda m: tables.TITLES[m[1]], text)
        text = quantities.MONTH_DAY.sub(quantities.month_day, text)
        text = _STOPPED.sub(_stopped, _DOTTED.sub(_dotted, _INITIALS.sub(_initials, text)))
        text = _symbols(quantities.read(text))
        text = _MARKS.sub(_marks, _DASH.sub(", ", text))
    text = " ".join(text.split()).lstrip(",.;:?! ")
    if text.endswith(",") and not comma:
        text = text[:-1]  # where a bracket was closed
    return text + "." if stopped and text and text[-1] not in _STRENGTH else text
