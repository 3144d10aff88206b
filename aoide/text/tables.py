"""What English short forms stand for: months, titles, abbreviations, units, money, symbols. Data only, no rules."""


def words(text: str) -> frozenset[str]:
    """The words of a list that is written as one text."""
    return frozenset(text.split())


MONTHS = {
    "jan": "January", "feb": "February", "mar": "March", "apr": "April", "may": "May", "jun": "June", "jul": "July",
    "aug": "August", "sep": "September", "oct": "October", "nov": "November", "dec": "December",
}  # fmt: skip

# Said in full before a name, and never the end of a sentence: Dr. Smith.
TITLES = {
    "Mr": "Mister",
    "Mrs": "Missus",
    "Ms": "Miz",
    "Messrs": "Messrs",
    "Mme": "Madame",
    "Dr": "Doctor",
    "Drs": "Doctors",
    "Prof": "Professor",
    "St": "Saint",
    "Mt": "Mount",
    "Ft": "Fort",
    "Gen": "General",
    "Gov": "Governor",
    "Sen": "Senator",
    "Rep": "Representative",
    "Capt": "Captain",
    "Cdr": "Commander",
    "Cmdr": "Commander",
    "Lt": "Lieutenant",
    "Col": "Colonel",
    "Maj": "Major",
    "Adm": "Admiral",
    "Sgt": "Sergeant",
    "Cpl": "Corporal",
    "Pvt": "Private",
    "Rev": "Reverend",
    "Hon": "Honorable",
    "Pres": "President",
    "Supt": "Superintendent",
    "Fr": "Father",
    "Msgr": "Monsignor",
    "Atty": "Attorney",
}

# After a name or a number these are parts of an address: Mulholland Dr., Main St.
STREETS = {"Dr": "Drive", "St": "Street"}

# Written with a full stop, said in full wherever they stand.
ABBREVIATIONS = {
    "Jr": "Junior",
    "Sr": "Senior",
    "Esq": "Esquire",
    "Ave": "Avenue",
    "Blvd": "Boulevard",
    "Rd": "Road",
    "Ln": "Lane",
    "Hwy": "Highway",
    "Pkwy": "Parkway",
    "Sq": "Square",
    "Ste": "Suite",
    "Apt": "Apartment",
    "Bldg": "Building",
    "Ltd": "Limited",
    "Inc": "Incorporated",
    "Corp": "Corporation",
    "Co": "Company",
    "Bros": "Brothers",
    "Dept": "Department",
    "Univ": "University",
    "Assn": "Association",
    "Govt": "Government",
    "Intl": "International",
    "Natl": "National",
    "approx": "approximately",
    "appt": "appointment",
    "avg": "average",
    "est": "established",
    "etc": "et cetera",
    "ext": "extension",
    "incl": "including",
    "max": "maximum",
    "misc": "miscellaneous",
    "vs": "versus",
    "viz": "namely",
    "cf": "compare",
    "Sept": "September",
    "Tues": "Tuesday",
    "Thurs": "Thursday",
}
ABBREVIATIONS |= {short: name for short, name in ((n[:3], n) for n in MONTHS.values()) if short != "May"}

# Days are words too (the sun, he sat): only before a date or a time.
DAYS = {
    "Mon": "Monday", "Tue": "Tuesday", "Tues": "Tuesday", "Wed": "Wednesday", "Thu": "Thursday", "Thur": "Thursday",
    "Thurs": "Thursday", "Fri": "Friday", "Sat": "Saturday", "Sun": "Sunday",
}  # fmt: skip

# Only before a number: no. 5, vol. 2, pp. 3-7.
BEFORE_NUMBER = {
    "no": "number",
    "nos": "numbers",
    "nr": "number",
    "vol": "volume",
    "vols": "volumes",
    "ch": "chapter",
    "chap": "chapter",
    "fig": "figure",
    "figs": "figures",
    "p": "page",
    "pp": "pages",
    "pg": "page",
    "par": "paragraph",
    "sec": "section",
    "art": "article",
    "eq": "equation",
    "ed": "edition",
    "ver": "version",
    "v": "version",
    "ca": "circa",
    "c": "circa",
    "tel": "telephone",
    "ext": "extension",
    "apt": "apartment",
    "rm": "room",
}

# Letters with full stops between them that are said in words; all others are spelt (U.S., Ph.D.).
DOTTED = {"e.g": "for example", "i.e": "that is", "w.r.t": "with respect to"}

# Written without a full stop, or with a stroke.
SHORT_FORMS = {
    "w/o": "without", "w/": "with", "b/c": "because", "c/o": "care of", "n/a": "N.A", "N/A": "N.A",
    "9/11": "nine eleven",
    "24/7": "twenty four seven", "vs": "versus", "vs.": "versus", "aka": "also known as", "Xmas": "Christmas",
    "Ph.D.": "P.H.D", "Ph.D": "P.H.D", "PhD": "P.H.D", "km/h": "kilometers per hour", "m/s": "meters per second",
    "ft/s": "feet per second",
}  # fmt: skip

# unit -> how it is said after one, and after any other number if that is not the same with an s
_UNITS = """
km kilometer, m meter, dm decimeter, cm centimeter, mm millimeter, μm micrometer, um micrometer, nm nanometer,
kg kilogram, g gram, mg milligram, μg microgram, mcg microgram, ug microgram,
l liter, L liter, dl deciliter, dL deciliter, cl centiliter, cL centiliter, ml milliliter, mL milliliter,
μl microliter, μL microliter,
mi mile, in inch/inches, yd yard, yds yard, ft foot/feet, lb pound, lbs pound, oz ounce, gal gallon, pt pint, qt quart,
tbsp tablespoon, tsp teaspoon, ha hectare, cc cubic centimeter, mpg mile per gallon/miles per gallon,
mph mile per hour/miles per hour, kph kilometer per hour/kilometers per hour, kmh kilometer per hour/kilometers per
hour, kn knot, kt knot, kts knot, rpm revolution per minute/revolutions per minute, bpm beat per minute/beats per
minute, fps frame per second/frames per second, dpi dot per inch/dots per inch, ppi pixel per inch/pixels per inch, ppm
part per million/parts per million, ppb part per billion/parts per billion, h hour, hr hour, hrs hour, min minute, mins
minute, s second, sec second, secs second, ms millisecond, μs microsecond, ns nanosecond, wk week, wks week, mo month,
mos month, yr year, yrs year, y.o. year old/years old, Hz hertz/hertz, kHz kilohertz/kilohertz, MHz
megahertz/megahertz, GHz gigahertz/gigahertz, THz terahertz/terahertz, B byte, kB kilobyte, KB kilobyte, MB megabyte,
GB gigabyte, TB terabyte, PB petabyte, KiB kibibyte, MiB mebibyte, GiB gibibyte, kb kilobit, Mb megabit, Gb gigabit,
bps bit per second/bits per second, kbps kilobit per second/kilobits per second, Mbps megabit per second/megabits per
second, Gbps gigabit per second/gigabits per second, px pixel, MP megapixel, W watt, mW milliwatt, kW kilowatt, MW
megawatt, GW gigawatt, Wh watt hour, kWh kilowatt hour, MWh megawatt hour, GWh gigawatt hour, mAh milliamp hour, Ah amp
hour, V volt, mV millivolt, kV kilovolt, A amp, mA milliamp, Ω ohm, kΩ kilohm, J joule, kJ kilojoule, cal calorie, kcal
kilocalorie, N newton, Nm newton meter, Pa pascal, hPa hectopascal, kPa kilopascal, MPa megapascal, mbar millibar, bar
bar, psi pound per square inch/pounds per square inch, hp horsepower/horsepower, dB decibel, eV electronvolt, keV
kiloelectronvolt, MeV megaelectronvolt, mol mole, mmol millimole, lm lumen, lx lux/lux, pct percent/percent, ly light
year, au astronomical unit, AU astronomical unit
"""


def _units() -> dict[str, tuple[str, str]]:
    units = {}
    for entry in _UNITS.replace("\n", " ").split(","):
        short, said = entry.strip().split(" ", 1)
        one, slash, many = said.partition("/")
        units[short] = (one, many if slash else one + "s")
    for short in ("km", "m", "cm", "mm", "mi", "ft", "yd", "in"):
        one, many = units[short]
        for mark in ("2", "^2"):
            units[short + mark] = (f"square {one}", f"square {many}")
        for mark in ("3", "^3"):
            units[short + mark] = (f"cubic {one}", f"cubic {many}")
        units[f"sq {short}"] = units[f"sq. {short}"] = units[short + "2"]
        units[f"cu {short}"] = units[f"cu. {short}"] = units[short + "3"]
    return units


UNITS = _units()
UNSURE_UNITS = words("in A B N J au AU MP kt kn cal bar pt")  # after a space these may be words

# symbol -> one, many, one hundredth, many hundredths
CURRENCIES = {
    "$": ("dollar", "dollars", "cent", "cents"),
    "£": ("pound", "pounds", "penny", "pence"),
    "€": ("euro", "euros", "cent", "cents"),
    "¥": ("yen", "yen", "sen", "sen"),
    "₹": ("rupee", "rupees", "paisa", "paise"),
    "₩": ("won", "won", "jeon", "jeon"),
    "₽": ("ruble", "rubles", "kopeck", "kopecks"),
    "₿": ("bitcoin", "bitcoins", "", ""),
    "Rs": ("rupee", "rupees", "paisa", "paise"),
}
CURRENCY_CODES = {
    "USD": "$", "EUR": "€", "GBP": "£", "JPY": "¥", "INR": "₹", "RUB": "₽", "BTC": "₿", "KRW": "₩",
}  # fmt: skip
DOLLARS = {"US": "U.S.", "A": "Australian", "AU": "Australian", "C": "Canadian", "CA": "Canadian", "NZ": "New Zealand",
           "HK": "Hong Kong", "S": "Singapore", "R": "Brazilian"}  # fmt: skip
MAGNITUDES = {
    "k": "thousand", "K": "thousand", "m": "million", "M": "million", "mn": "million", "b": "billion", "B": "billion",
    "bn": "billion", "t": "trillion", "T": "trillion", "tn": "trillion",
} | {word: word for word in ("hundred", "thousand", "million", "billion", "trillion")}  # fmt: skip

SYMBOLS = {
    "&": "and", "@": "at", "%": "percent", "‰": "per mille", "+": "plus", "=": "equals", "<": "less than",
    ">": "greater than", "≤": "less than or equal to", "≥": "greater than or equal to", "≠": "is not equal to",
    "≈": "about", "~": "about", "±": "plus or minus", "×": "times", "÷": "divided by", "√": "square root of",
    "∞": "infinity", "°": "degrees", "¢": "cents", "§": "section", "¶": "paragraph", "©": "copyright", "→": "to",
    "⇒": "implies", "$": "dollars", "£": "pounds", "€": "euros", "¥": "yen", "₹": "rupees", "₩": "won", "₽": "rubles",
    "₿": "bitcoin", "−": "minus", "#": "hash", "^": "to the power of", "µ": "micro", "Ω": "ohm",
}  # fmt: skip

# A Roman numeral behind these is a count (Chapter four) or a rank (Henry the eighth).
ROMAN_CARDINAL = words("""Chapter Part Act Scene Section Volume Vol Book Phase Article Title War Mark Type Level Stage
Class Grade Bowl Apollo
    Gemini Fantasy Episode Round Rocky Group Category Appendix Division Unit Table Figure Page Lesson Step Version Point
    Psalm Canto Schedule Annex Factor Amendment Wars Saturn""")
ROMAN_ORDINAL = words("""Pope King Queen Emperor Tsar Czar Prince Henry Louis Edward George William Charles James
Richard Elizabeth Napoleon Pius
    Benedict Leo Paul Ramses Frederick Philip Alexander Nicholas Peter Catherine Ivan Umberto Emmanuel Gustav Christian
    Ferdinand Friedrich Wilhelm Karl Francis Franz Innocent Clement Gregory Urban Boniface Mary John Haakon Harald Olav
    Ptolemy Cleopatra Darius Xerxes Artaxerxes Constantine Leopold Maximilian Otto Rudolf Sigismund Baldwin Alfonso
    Pedro Mehmed Murad Selim Suleiman""")

# numbers behind these are read in pairs: room one oh one, flight three seventy
READ_IN_PAIRS = words("room route flight highway interstate suite apartment bus channel apt rm hwy")
VERSIONED = words("version v release python java windows ios android ubuntu macos firmware kernel fedora debian")
EMERGENCY = frozenset({"911", "411", "311", "999", "112"})
