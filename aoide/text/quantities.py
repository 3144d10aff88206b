"""Everything with a digit in it, as a person says it: money, dates, times, telephone numbers, measures, versions,
ranges.

`read(text)` walks over the text once. Where something numeric begins, the rules are tried in order and the first that
has an answer takes its piece; what a rule has said is not looked at again. A rule is a pattern and a function from its
match to the words, or to None: "not mine".
"""

import re
from collections.abc import Callable

from aoide.text import numbers, tables

NUMBER = r"(?:\d{1,3}(?:,\d{3})+(?!\d)(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+)"
SIGN = r"(?P<sign>[-−+±~≈]?)"
_SIGNS = {"": "", "-": "minus ", "−": "minus ", "+": "plus ", "±": "plus or minus ", "~": "about ", "≈": "about "}
_END = r"(?![A-Za-z\d])"
_BIG = r"(?:hundred|thousand|million|billion|trillion|bn|mn|tn|[kKmMbBT])"
_PER = r"(?:/(?P<per>[A-Za-z]+)(?:\^?(?P<power>[23]))?)?"
_MONTH = (
    r"(?:Jan(?:uary)?|Feb(?:ruary)?|Mar(?:ch)?|Apr(?:il)?|May|June?|July?|Aug(?:ust)?|Sept?(?:ember)?|Oct(?:ober)?"
    r"|Nov(?:ember)?|Dec(?:ember)?)"
)
_YEAR_AFTER = r"(?:,?\s+(?P<year>\d{4})(?!\d|\.\d|,\d))?"
_CODES = r"(?:USD|EUR|GBP|JPY|INR|RUB|BTC|KRW)"
_LANDS = r"(?:US|AU|CA|NZ|HK|[ACSR])"

Reading = Callable[[re.Match[str]], str | None]
_RULES: list[tuple[re.Pattern[str], Reading]] = []


def _rule(pattern: str) -> Callable[[Reading], Reading]:
    """Adds a function to the rules; the rules are tried in the order of this file."""

    def add(reading: Reading) -> Reading:
        _RULES.append((re.compile(pattern), reading))
        return reading

    return add


# ----------------------------------------------------------------------------------------------------- dates and times


def date(year: str | None, month: int, day: int, *, day_first: bool = False) -> str | None:
    """October twelfth, twenty nineteen; None where the calendar has no such day."""
    if not (1 <= month <= 12 and 1 <= day <= 31):
        return None
    name = list(tables.MONTHS.values())[month - 1]
    words = f"the {numbers.ordinal(day)} of {name}" if day_first else f"{name} {numbers.ordinal(day)}"
    return words + (f", {_year(year)}" if year else "")


def _year(digits: str) -> str:
    if len(digits) == 2:  # a short year is of the last or of this century, as spreadsheets have it
        digits = ("19" if int(digits) > 30 else "20") + digits
    return numbers.year(int(digits))


@_rule(r"(\d{4})-(\d{2})-(\d{2})(?!\d)")
def _iso_date(m: re.Match[str]) -> str | None:
    return date(m[1], int(m[2]), int(m[3]))


@_rule(r"(\d{1,2})([/-])(\d{1,2})\2(\d{4}|\d{2})(?![\d/-])")
def _american_date(m: re.Match[str]) -> str | None:
    month, day = int(m[1]), int(m[3])
    return date(m[4], *((day, month) if month > 12 else (month, day)))


@_rule(r"(\d{1,2})\.(\d{1,2})\.(\d{4})(?![\d.]\d)")
def _european_date(m: re.Match[str]) -> str | None:
    return date(m[3], int(m[2]), int(m[1]))


@_rule(rf"(?P<day>\d{{1,2}})(?:st|nd|rd|th)?\s+(?:of\s+)?(?P<month>{_MONTH})\b\.?{_YEAR_AFTER}")
def _day_month(m: re.Match[str]) -> str | None:
    month = list(tables.MONTHS).index(m["month"][:3].lower()) + 1
    said = date(m["year"], month, int(m["day"]), day_first=True)
    return said.removeprefix("the ") if said and _before(m).lower() == "the" else said


MONTH_DAY = re.compile(
    rf"\b(?P<month>{_MONTH})\b\.?\s+(?P<day>\d{{1,2}})(?P<th>st|nd|rd|th)?(?:\s?[-–]\s?(?P<last>\d{{1,2}}))?"
    rf"(?:,?\s+(?P<year>\d{{4}})(?!\d|\.\d|,\d))?(?![\d:%]|\.\d|,\d|\s?[ap]\.?m\b)"
)


def month_day(m: re.Match[str]) -> str:
    """`MONTH_DAY` starts with a letter, so the normaliser calls it before it looks for digits."""
    if not 1 <= int(m["day"]) <= 31:
        return m[0]
    said = f"{tables.MONTHS[m['month'][:3].lower()]} {numbers.ordinal(int(m['day']))}"
    if m["last"]:
        said += f" to {numbers.ordinal(int(m['last']))}"
    return said + (f", {_year(m['year'])}" if m["year"] else "")


_HALF = r"(?P<half>a(?:m|\.\s?m\.?)|p(?:m|\.\s?m\.?)|A(?:M|\.\s?M\.?)|P(?:M|\.\s?M\.?))(?![A-Za-z])"


@_rule(rf"(?P<hour>\d{{1,2}}):(?P<minute>\d{{2}})(?::(?P<second>\d{{2}})(?:\.\d+)?)?(?!\d)(?:\s?{_HALF})?(?:Z\b)?")
def _clock(m: re.Match[str]) -> str | None:
    hour, minute, second = int(m["hour"]), int(m["minute"]), m["second"]
    if hour > 24 or minute > 59:
        return f"{numbers.cardinal(hour)} to {numbers.cardinal(minute)}"
    words = numbers.cardinal(hour)
    if minute:
        words += " " + numbers.pair(minute)
    elif not m["half"]:
        words += " o'clock" if 0 < hour <= 12 else " hundred hours"
    if second:
        words += f" and {_counted(str(int(second)), 'second', 'seconds')}"
    return words + (f" {m['half'][0].upper()}.M" if m["half"] else "")


@_rule(rf"(?P<hour>\d{{1,2}})\s?{_HALF}")
def _hour(m: re.Match[str]) -> str | None:
    return f"{numbers.cardinal(int(m['hour']))} {m['half'][0].upper()}.M" if int(m["hour"]) <= 24 else None


@_rule(r"(\d+):(\d+)(?![\d:])")
def _ratio(m: re.Match[str]) -> str:
    return f"{numbers.cardinal(int(m[1]))} to {numbers.cardinal(int(m[2]))}"


# --------------------------------------------------------------------------------------------------- codes, one by one


@_rule(r"(?P<country>\+?1[-. ])?(?:\((\d{3})\)\s?|(\d{3})[-. ])(\d{3})[-. ](\d{4})(?![-.]?\d)")
def _telephone(m: re.Match[str]) -> str:
    groups = [m["country"] or "", m[2] or m[3], m[4], m[5]]
    return ("plus " if groups[0].startswith("+") else "") + ", ".join(numbers.digits(g) for g in groups if g)


@_rule(r"\+\d{1,3}(?:[ .-]\(?\d{1,10}\)?){2,6}(?!\d)")
def _foreign_telephone(m: re.Match[str]) -> str:
    return "plus " + ", ".join(numbers.digits(group) for group in re.findall(r"\d+", m[0]))


@_rule(r"\d{3}-\d{4}(?![-.]?\d)|\d{3}-\d{2}-\d{4}(?![-\d])|\d{4}([ -])\d{4}\1\d{4}\1\d{4}(?!\d)")
def _groups(m: re.Match[str]) -> str:
    return ", ".join(numbers.digits(group) for group in re.split("[ -]", m[0]))


@_rule(r"(?P<v>[vV]\.?)?(?P<parts>\d+(?:\.\d+){2,})|(?P<short>[vV]\.?(?P<two>\d+(?:\.\d+)?))")
def _version(m: re.Match[str]) -> str:
    parts = (m["parts"] or m["two"]).split(".")
    if len(parts) == 4 and all(int(part) < 256 for part in parts):  # an address in the internet
        return " dot ".join(numbers.hundreds(int(part)) for part in parts)
    words = " point ".join(numbers.whole_number(part) for part in parts)
    return f"version {words}" if m["v"] or m["short"] else words


# --------------------------------------------------------------------------------------------------------------- money

_MONEY_TAIL = rf"(?:(?P<gap>[\s-]?)(?P<big>{_BIG})(?![A-Za-z]))?"


@_rule(
    rf"{SIGN}(?P<land>{_LANDS})?(?P<symbol>[$£€¥₹₩₽₿]|Rs\.?)\s?(?P<number>{NUMBER})"
    rf"(?:\s?[-–]\s?(?P=symbol)?(?P<to>{NUMBER}))?{_MONEY_TAIL}{_PER}(?P<joined>(?=-[A-Za-z]))?"
)
def _money(m: re.Match[str]) -> str:
    return _amount(m, m["symbol"].rstrip("."))


@_rule(
    rf"{SIGN}(?P<code>{_CODES})\s?(?P<number>{NUMBER})(?P<to>)(?P<land>)(?P<joined>(?!))?(?P<per>)"
    rf"{_MONEY_TAIL}{_END}"
)
@_rule(
    rf"{SIGN}(?P<number>{NUMBER})(?P<to>)(?P<land>)(?P<joined>(?!))?(?P<per>){_MONEY_TAIL}\s?"
    rf"(?P<code>[$£€¥₹₩₽₿](?!\d)|{_CODES}\b)"
)
def _money_by_code(m: re.Match[str]) -> str:
    return _amount(m, tables.CURRENCY_CODES.get(m["code"], m["code"]))


def _amount(m: re.Match[str], symbol: str) -> str:
    one, many, cent, cents = tables.CURRENCIES[symbol]
    if m["land"]:
        one, many = (f"{tables.DOLLARS[m['land']]} {name}" for name in (one, many))
    low, high = m["number"].replace(",", ""), (m["to"] or "").replace(",", "")
    sign, per = _SIGNS[m["sign"]], f" per {_per(m['per'])}" if m["per"] else ""
    whole, _, part = low.partition(".")
    if m["big"]:
        words = f"{numbers.decimal(low)}{f' to {numbers.decimal(high)}' if high else ''} {tables.MAGNITUDES[m['big']]}"
        return f"{sign}{words} {one if m['gap'] == '-' else many}{per}"
    if m["joined"] is not None and not part:  # a $20-a-day job
        return f"{sign}{numbers.decimal(low)} {one}"
    if high:
        return f"{sign}{numbers.decimal(low)} to {numbers.decimal(high)} {many}{per}"
    if len(part) != 2 or not cent:
        return f"{sign}{numbers.decimal(low)} {one if low == '1' else many}{per}"
    said = [] if int(whole or 0) == 0 and int(part) else [_counted(whole or "0", one, many)]
    if int(part):
        said.append(_counted(str(int(part)), cent, cents))
    return sign + " and ".join(said) + per


@_rule(rf"{SIGN}(?P<number>{NUMBER})\s?¢")
def _cents(m: re.Match[str]) -> str:
    return _SIGNS[m["sign"]] + _counted(m["number"], "cent", "cents")


_AGES = tables.words("the early late mid her his their my your our")


@_rule(r"(?P<mark>'?)(?P<number>(?:1\d|20)\d0|\d0)'?s(?![A-Za-z])")
def _decade(m: re.Match[str]) -> str | None:
    number = int(m["number"])
    if number > 99:
        return numbers.plural(numbers.year(number))
    if not m["mark"] and _before(m).lower() not in _AGES:
        return None  # 30s are seconds, the 30s a decade
    return numbers.plural(numbers.cardinal(number)) if number else "two thousands"


# ------------------------------------------------------------------------------------------------- shares and measures


@_rule(r"(?:(?P<whole>\d+)[ -])?(?P<above>\d{1,3})/(?P<below>\d{1,4})(?![\d/])")
def _fraction(m: re.Match[str]) -> str | None:
    above, below = int(m["above"]), int(m["below"])
    if not below or not above:
        return None
    if (
        not m["whole"]
        and below <= 31
        and above <= 12
        and _before(m).lower() in ("on", "since", "until", "before", "by", "from")
    ):
        return date(None, above, below)
    if not m["whole"] and (above > below or below > 100):
        return f"{_pairwise(above)} over {_pairwise(below)}"
    said = numbers.fraction(above, below)
    return f"{numbers.cardinal(int(m['whole']))} and {said.replace('one half', 'a half')}" if m["whole"] else said


_ADJECTIVE = re.compile(r" (?:turn|angle|bend|heat|weather|view|rotation|day|water|corner)s?\b")  # a 90 degree turn
_DEGREES = {
    "C": " Celsius",
    "F": " Fahrenheit",
    "K": " Kelvin",
    "N": " north",
    "S": " south",
    "E": " east",
    "W": " west",
}


@_rule(rf"{SIGN}(?P<number>{NUMBER})\s?°(?:\s?(?P<scale>[CFKNSEW])(?![A-Za-z]))?")
def _degrees(m: re.Match[str]) -> str:
    many = "degree" if _ADJECTIVE.match(m.string, m.end()) else "degrees"
    return _SIGNS[m["sign"]] + _counted(m["number"], "degree", many) + _DEGREES.get(m["scale"] or "", "")


@_rule(r"(?P<feet>\d{1,2})'\s?(?P<inches>\d{1,2})(?:\"|''|(?=\s))")
def _feet_and_inches(m: re.Match[str]) -> str:
    return f"{_counted(m['feet'], 'foot', 'feet')} {_counted(m['inches'], 'inch', 'inches')}"


@_rule(
    rf"(?P<number>{NUMBER})\"(?=\s(?:(?:x|by|tall|wide|long|thick|deep|high)|"
    r"(?P<thing>screen|monitor|pipe|laptop|display|TV|disk|record))\b)"
)
def _inches(m: re.Match[str]) -> str:
    return _counted(m["number"], "inch", "inch" if m["thing"] else "inches")


@_rule(rf"{SIGN}(?P<number>{NUMBER})\s?(?P<unit>%|‰|percent\b)")
def _percent(m: re.Match[str]) -> str:
    return f"{_SIGNS[m['sign']]}{numbers.decimal(m['number'])} {tables.SYMBOLS.get(m['unit'], 'percent')}"


_UNIT_NAMES = "|".join(re.escape(unit) for unit in sorted(tables.UNITS, key=len, reverse=True))


@_rule(
    rf"{SIGN}(?P<number>{NUMBER})(?P<gap>\s?|-)(?P<unit>{_UNIT_NAMES}){_PER}(?![\w^])"
    r"(?P<stop>\.(?=\s+[a-z\d(]|[,;:)]))?"
)
def _measure(m: re.Match[str]) -> str | None:
    unit, gap = m["unit"], m["gap"]
    if gap and unit in tables.UNSURE_UNITS and not m["stop"]:
        return None
    one, many = tables.UNITS[unit]
    said = _counted(m["number"], one, one if gap == "-" else many)
    if m["per"]:
        per = _per(m["per"])
        if m["power"]:
            per = f"{per} squared" if per == "second" else f"{'square' if m['power'] == '2' else 'cubic'} {per}"
        said += f" per {per}"
    return _SIGNS[m["sign"]] + said


@_rule(rf"(?P<number>{NUMBER})(?P<big>[KkMB]|bn|mn){_END}")
def _short_scale(m: re.Match[str]) -> str:
    """1.5M users, 10K run: the k is said as a letter, as people do, a million in full."""
    number = numbers.decimal(m["number"])
    return f"{number} K" if m["big"] in "kK" else f"{number} {tables.MAGNITUDES[m['big']]}"


@_rule(rf"(?P<number>{NUMBER})\s?[x×](?:\s?(?=\d)|{_END})")
def _times(m: re.Match[str]) -> str:
    dimensions = m.string[m.end() : m.end() + 1].isdigit() and "=" not in m.string[m.end() :]
    return numbers.decimal(m["number"]) + (" by " if dimensions else " times ")


# ------------------------------------------------------------------------------------------------------- plain numbers


@_rule(r"(?P<number>\d{1,3}(?:,\d{3})+|\d+)(?:st|nd|rd|th)(?![A-Za-z])")
def _ordinal(m: re.Match[str]) -> str:
    return numbers.ordinal(int(m["number"].replace(",", "")))


@_rule(r"'(?P<number>\d\d)(?!\d)")
def _short_year(m: re.Match[str]) -> str:
    return numbers.pair(int(m["number"]))


@_rule(r"\#\s?(?P<number>\d+)")
def _numbered(m: re.Match[str]) -> str:
    return "number " + numbers.whole_number(m["number"])


@_rule(r"(?P<first>1\d{3}|20\d\d)[-–](?P<last>\d\d)(?!\d)")
def _season(m: re.Match[str]) -> str:
    return f"{numbers.year(int(m['first']))} to {numbers.pair(int(m['last']))}"


@_rule(rf"{SIGN}(?P<number>{NUMBER})")
def _plain(m: re.Match[str]) -> str:
    return _SIGNS[m["sign"]] + _plain_words(m)


def _plain_words(m: re.Match[str]) -> str:
    text, before = m["number"], _before(m).lower()
    if "." in text:
        whole, _, part = text.partition(".")
        if before in tables.VERSIONED and part[0] != "0":
            return f"{numbers.whole_number(whole)} point {numbers.cardinal(int(part))}"
        return numbers.decimal(text)
    if text in tables.EMERGENCY:
        return numbers.digits(text)
    if len(text) == 4 and 1100 <= int(text) < 2100 and not _counts_things(m):
        return numbers.year(int(text))
    if len(text) == 3 and before in tables.READ_IN_PAIRS:
        return numbers.hundreds(int(text))
    if "," in text:
        return numbers.cardinal(int(text.replace(",", "")))
    return numbers.whole_number(text)


_GLUED = re.compile(r"[-–]?(?P<number>\d+(?:\.\d+)?)")


def _glued(m: re.Match[str]) -> str:
    """Behind letters: MP3 -> three, A380 -> three eighty, COVID-19 -> nineteen, pre-1945 -> nineteen forty five."""
    text = m["number"]
    if "." in text:
        return numbers.decimal(text)
    if len(text) == 3 and text[0] != "0":
        return numbers.hundreds(int(text))
    if len(text) == 4 and text[0] != "0":
        return numbers.year(int(text)) if int(text) >= 1100 else numbers.cardinal(int(text))
    return numbers.digits(text) if len(text) > 4 else numbers.whole_number(text)


# ------------------------------------------------------------------------------------------------------------ the walk

_START = re.compile(
    rf"(?<![A-Za-z\d])(?:[-−+±~≈](?={_LANDS}?[$£€¥₹₩₽₿]?\.?\d)|[(#'](?=\d)|\#(?=\s\d)|[vV]\.?(?=\d)"
    rf"|{_LANDS}?[$£€¥₹₩₽₿](?=\s?\.?\d)|Rs\.?(?=\s?\d)|{_CODES}(?=\s?\d)|\.?\d)"
    r"|(?P<glued>(?<=[A-Za-z])[-–]?(?=\d))"
)
_RANGE = re.compile(r"\s?[-–]\s?(?=[$£€¥]?\.?\d)")
_HYPHEN = re.compile(r"-(?=[A-Za-z])|(?=[A-Za-z])")


_ISO_MOMENT = re.compile(r"(?<!\d)(\d{4}-\d{2}-\d{2})T(?=\d{2}:)")  # 2019-10-12T08:30 is a date, then a time


def read(text: str) -> str:
    """The text with every number, amount, date, time, code and measure in words; all else is left as it is."""
    text = _ISO_MOMENT.sub(r"\1, ", text)
    said, at = [], 0
    found = _START.search(text)
    while found:
        match, words = _first_reading(text, found)
        if match is None:
            found = _START.search(text, found.start() + 1)
            continue
        end = match.end()
        if between := _RANGE.match(text, end):
            minus = len(between[0]) > 2 and "=" in text[end:]
            words, end = words + (" minus " if minus else " to "), between.end()
        elif between := _HYPHEN.match(text, end):
            words, end = words + " ", between.end()
        gap = " " if found["glued"] is not None else ""
        said += [text[at : match.start()], gap, words]
        at = end
        found = _START.search(text, end)
    return "".join(said) + text[at:]


def _first_reading(text: str, found: re.Match[str]) -> tuple[re.Match[str] | None, str]:
    if found["glued"] is not None:
        match = _GLUED.match(text, found.start())
        assert match
        return match, _glued(match)
    for pattern, reading in _RULES:
        match = pattern.match(text, found.start())
        words = match and reading(match)
        if match and words:
            return match, words
    return None, ""


# ------------------------------------------------------------------------------------------------------------- helpers

_NO_NOUN = tables.words(
    "is was has does as this us its his plus minus times versus across perhaps always else yes thus"
)
_NOUN = tables.words("people men women children feet mice geese teeth sheep fish euro yen")
_YEAR_BEFORE = tables.words(
    "in since until till by year during from of before after circa spring summer autumn fall winter"
)
_LAST_WORD = re.compile(r"([^\W\d_]+)\W*$")
_NEXT_WORD = re.compile(r"\s+([a-z]+)")


def _before(m: re.Match[str]) -> str:
    """The word before the match; an empty string where there is none."""
    word = _LAST_WORD.search(m.string[max(0, m.start() - 24) : m.start()])
    return word[1] if word else ""


def _counts_things(m: re.Match[str]) -> bool:
    """Is a four-digit number a count (1984 people) and not a year (in 1984 people ...)?"""
    word = _NEXT_WORD.match(m.string, m.end())
    if not word or _before(m).lower() in _YEAR_BEFORE:
        return False
    return word[1] in _NOUN or (word[1].endswith("s") and not word[1].endswith("ss") and word[1] not in _NO_NOUN)


def _counted(number: str, one: str, many: str) -> str:
    """One dollar, two dollars, zero point five dollars."""
    return f"{numbers.decimal(number)} {one if number.lstrip('0') == '1' else many}"


def _pairwise(number: int) -> str:
    return numbers.hundreds(number) if number < 1000 else numbers.cardinal(number)


_PERIODS = {"mo": "month", "yr": "year", "wk": "week", "d": "day", "hr": "hour", "h": "hour", "s": "second"}


def _per(unit: str) -> str:
    return _PERIODS.get(unit) or (tables.UNITS[unit][0] if unit in tables.UNITS else unit)
