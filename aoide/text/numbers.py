"""Numbers as an American reader says them: 1,234 -> one thousand two hundred thirty four.

Every function takes a number as it is written in digits and gives lower-case words with single spaces between them.
"""

ONES = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine",
    "ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
)  # fmt: skip
TENS = ("", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
SCALES = ("", "thousand", "million", "billion", "trillion", "quadrillion", "quintillion", "sextillion", "septillion")
LARGEST = 10 ** (3 * len(SCALES)) - 1  # from here on a number is read digit by digit

_ORDINALS = {
    "one": "first",
    "two": "second",
    "three": "third",
    "five": "fifth",
    "eight": "eighth",
    "nine": "ninth",
    "twelve": "twelfth",
}
_FRACTIONS = {2: ("half", "halves"), 4: ("quarter", "quarters")}
WORDS = frozenset([*ONES, *TENS[2:], *SCALES[1:], "hundred", "oh"])


def cardinal(number: int) -> str:
    """4,205 -> four thousand two hundred five. Too large a number (octillions) is read digit by digit."""
    if number < 0:
        return "minus " + cardinal(-number)
    if number > LARGEST:
        return digits(str(number))
    if number < 1000:
        return _below_thousand(number)
    words: list[str] = []
    for scale in range(len(SCALES) - 1, -1, -1):
        group = number // 1000**scale % 1000
        if group:
            words += [_below_thousand(group), SCALES[scale]]
    return " ".join(filter(None, words))


def ordinal(number: int) -> str:
    """23 -> twenty third; 100 -> one hundredth."""
    return as_ordinal(cardinal(number))


def as_ordinal(words: str) -> str:
    """The last word of a number as an ordinal: twenty three -> twenty third."""
    head, space, last = words.rpartition(" ")
    regular = (last[:-1] + "ie" if last.endswith("y") else last) + "th"
    return head + space + _ORDINALS.get(last, regular)


def year(number: int) -> str:
    """1905 -> nineteen oh five; 2005 -> two thousand five; 1900 -> nineteen hundred; 2019 -> twenty nineteen."""
    century, rest = divmod(number, 100)
    if not 10 < century < 100 or (century % 10 == 0 and rest < 10):
        return cardinal(number)
    if rest == 0:
        return cardinal(century) + " hundred"
    return f"{cardinal(century)} {pair(rest)}"


def pair(number: int) -> str:
    """The last two digits of a year, a time or a room: 5 -> oh five, 42 -> forty two."""
    return f"oh {ONES[number]}" if number < 10 else cardinal(number)


def hundreds(number: int) -> str:
    """A three-digit number as rooms are read: 101 -> one oh one, 370 -> three seventy, 400 -> four hundred."""
    first, rest = divmod(number, 100)
    return cardinal(number) if rest == 0 or not 0 < first < 10 else f"{ONES[first]} {pair(rest)}"


def digits(text: str, zero: str = "zero") -> str:
    """One by one: 4051 -> four zero five one. Anything that is no digit is left out."""
    return " ".join(zero if mark == "0" else ONES[int(mark)] for mark in text if mark in "0123456789")


def decimal(text: str) -> str:
    """With or without a fraction: 3.14 -> three point one four; 0.50 -> zero point five zero; .5 -> point five."""
    whole, point, fraction = text.replace(",", "").partition(".")
    words = whole_number(whole) if whole else ""
    return f"{words} point {digits(fraction)}".strip() if point and fraction else words


def whole_number(text: str) -> str:
    """Digits without sign or fraction; a leading zero makes them a code, read one by one: 007 -> zero zero seven."""
    return digits(text) if len(text) > 1 and text[0] == "0" else cardinal(int(text))


def plural(words: str) -> str:
    """The last word of a number in the plural: nineteen ninety -> nineteen nineties, six -> sixes."""
    if words.endswith("y"):
        return words[:-1] + "ies"
    return words + ("es" if words.endswith(("six", "s")) else "s")


def fraction(above: int, below: int) -> str:
    """3/4 -> three quarters; 1/2 -> one half; 5/100 -> five hundredths."""
    part = ordinal(below).removeprefix("one ")
    one, many = _FRACTIONS.get(below, (part, part + "s"))
    return f"{cardinal(above)} {one if above == 1 else many}"


def _below_thousand(number: int) -> str:
    words = []
    if number >= 100:
        words += [ONES[number // 100], "hundred"]
        number %= 100
    if number >= 20:
        words.append(TENS[number // 10])
        number %= 10
    if number or not words:
        words.append(ONES[number])
    return " ".join(words)
