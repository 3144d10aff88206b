"""German: rules from letters to sounds, prefixes and endings first, and a few hundred words that break the rules.

    units: aː a eː ɛ ɛː ə ɐ iː ɪ oː ɔ uː ʊ yː ʏ øː œ aɪ aʊ ɔʏ and p b t d k ɡ pf ts tʃ dʒ f v s z ʃ ʒ ç x h m n ŋ l ʁ j;
    no stress

A vowel is long before one consonant and a vowel, short before several; what ends a word loses its voice; r after a long
vowel, and -er, are ɐ. Compounds are taken apart where a common first part or ending shows, and not by a dictionary, so
a rare one may be read as one word. Numbers are read in words. Nothing but this file is needed.
"""

from __future__ import annotations

import re
from functools import lru_cache

from aoide.text.units import GAP, MARKS, UnitFrontEnd, plain, refuse, row, tidy

_V = "aeiouyäöü"
_LONG = {"a": "aː", "e": "eː", "i": "iː", "o": "oː", "u": "uː", "y": "yː", "ä": "ɛː", "ö": "øː", "ü": "yː"}
_SHORT = {"a": "a", "e": "ɛ", "i": "ɪ", "o": "ɔ", "u": "ʊ", "y": "ʏ", "ä": "ɛ", "ö": "œ", "ü": "ʏ"}
_DOUBLE = {"ei": "aɪ", "ai": "aɪ", "ey": "aɪ", "ay": "aɪ", "au": "aʊ", "eu": "ɔʏ", "äu": "ɔʏ", "oi": "ɔʏ"}
_CONSONANTS = (
    ("tsch", "tʃ"), ("dsch", "dʒ"), ("zsch", "tʃ"), ("sch", "ʃ"), ("chs", "k s"), ("ch", "CH"), ("ck", "k"),
    ("ph", "f"), ("pf", "pf"), ("th", "t"), ("rh", "ʁ"), ("tz", "ts"), ("dt", "t"), ("qu", "k v"), ("ng", "ŋ"),
    ("nk", "ŋ k"), ("ss", "s"), ("ß", "s"), ("zz", "ts"), ("bb", "b"), ("dd", "d"), ("ff", "f"), ("gg", "ɡ"),
    ("kk", "k"), ("ll", "l"), ("mm", "m"), ("nn", "n"), ("pp", "p"), ("rr", "ʁ"), ("tt", "t"), ("b", "b"), ("c", "k"),
    ("d", "d"), ("f", "f"), ("g", "ɡ"), ("h", "h"), ("j", "j"), ("k", "k"), ("l", "l"), ("m", "m"), ("n", "n"),
    ("p", "p"), ("r", "ʁ"), ("s", "s"), ("t", "t"), ("v", "f"), ("w", "v"), ("x", "k s"), ("z", "ts"),
)  # fmt: skip
_DEVOICED = {"b": "p", "d": "t", "ɡ": "k", "z": "s", "v": "f", "dʒ": "tʃ", "ʒ": "ʃ"}
_VOWELS = frozenset([*_LONG.values(), *_SHORT.values(), *_DOUBLE.values(), "ə", "ɐ"])
_BACK = frozenset(("aː", "a", "oː", "ɔ", "uː", "ʊ", "aʊ"))
_ONSETS = frozenset(
    row(
        "b d f g h j k l m n p r s t v w z bl br ch dr fl fr gl gr gn kl kn kr pf pfl pfr ph pl pr ps qu sch schl schm "
        "schn schr schw sk sl sp spl spr st str th tr wr zw zs"
    )
)
# What stands first in many words, and what is said: the rest begins a word of its own.
_PREFIXES = {
    "ge": "ɡ ə", "be": "b ə", "ver": "f ɛ ɐ", "zer": "ts ɛ ɐ", "er": "ɛ ɐ", "ent": "ɛ n t", "emp": "ɛ m p",
    "aus": "aʊ s", "auf": "aʊ f", "ab": "a p", "an": "a n", "ein": "aɪ n", "vor": "f oː ɐ", "um": "ʊ m", "un": "ʊ n",
    "zu": "ts uː", "mit": "m ɪ t", "nach": "n aː x", "über": "yː b ɐ", "unter": "ʊ n t ɐ", "hinter": "h ɪ n t ɐ",
    "wieder": "v iː d ɐ", "durch": "d ʊ ɐ ç", "gegen": "ɡ eː ɡ ə n", "haupt": "h aʊ p t", "hin": "h ɪ n",
    "her": "h eː ɐ", "los": "l oː s", "weg": "v ɛ k", "arbeits": "a ʁ b aɪ ts", "bundes": "b ʊ n d ə s",
    "landes": "l a n d ə s", "staats": "ʃ t aː ts", "selbst": "z ɛ l p s t", "wirt": "v ɪ ʁ t", "groß": "ɡ ʁ oː s",
    "hoch": "h oː x", "haus": "h aʊ s", "jahres": "j aː ʁ ə s", "lebens": "l eː b ə n s",
    "zusammen": "ts u z a m ə n", "zurück": "ts u ʁ ʏ k", "fest": "f ɛ s t", "volks": "f ɔ l k s", "welt": "v ɛ l t",
    "hand": "h a n t", "land": "l a n t", "sicher": "z ɪ ç ɐ", "journ": "ʒ ʊ ʁ n",
}  # fmt: skip
_PREFIXES_BY_LENGTH = sorted(_PREFIXES, key=len, reverse=True)
_NO_PREFIX = re.compile(
    r"gest[ei]?r?n|geste|gegen|gel[bdt]|gern|geist|geiz|gehen?|gerste|beid|bein|berg|bett|best|bess|beere|besen|"
    r"erbe|erde|erst|erz|ernst|ernt|ess|enten?$|unser|unter|unte[nr]|ander|angst|anker|angel|antwort|antik|ampel|"
    r"abend|aber|abt|einig|einsam|einzel|einfach|einma|umso|bei[ms]?|geb[eo]n|geber|geb|gib|genau$|genie|gen[eu]|"
    r"ger[äa]|geo|besse|bevor|beru?h?m|umwelt|mitt|zug(?!e)|zum|zur|zucker|zunge|zukunft|zustand|nachbar|nacht|"
    r"hering|herr|herz|herb|herd|herk|herst|hinder|losung|losen|festen?$|landen|handel|handy|handen?|hausen|vord|"
    r"wegen|unge?fähr|begin|bega?nn|anzahl"
)
_ENDINGS = (
    "schaft", "heit", "keit", "lich", "los", "bar", "sam", "haft", "chen", "lein", "nis", "tum", "weise", "voll",
    "wert", "reich", "zeit", "haus", "raum", "mann", "frau", "stadt", "platz", "bahn", "hof", "bau", "werk", "buch",
    "land", "tag", "jahr", "stück", "spiel", "stelle", "straße", "recht", "kraft", "wasser", "garten", "schule",
    "staat", "sache", "arbeit", "teil", "mittel", "bein", "arm", "berg", "burg",
)  # fmt: skip
_SPECIAL = """
ab a p|aber aː b ɐ|alle a l ə|als a l s|also a l z o|am a m|an a n|april a p ʁ ɪ l|art aː ɐ t|arzt aː ɐ ts t
auch aʊ x|august aʊ ɡ ʊ s t|baby b eː b i|band b a n t|bis b ɪ s|bist b ɪ s t|büro b y ʁ oː|chance ʃ ɑ s ə
chef ʃ ɛ f|china ç iː n a|christ k ʁ ɪ s t|computer k ɔ m p j uː t ɐ|da d aː|damit d a m ɪ t|darum d a ʁ ʊ m
das d a s|dass d a s|davon d a f ɔ n|dem d eː m|den d eː n|denn d ɛ n|der d eː ɐ|des d ɛ s|deutsch d ɔʏ tʃ
dezember d e ts ɛ m b ɐ|dich d ɪ ç|die d iː|doch d ɔ x|drin d ʁ ɪ n|du d uː|ein aɪ n|eine aɪ n ə|einem aɪ n ə m
einen aɪ n ə n|einer aɪ n ɐ|eines aɪ n ə s|einige aɪ n ɪ ɡ ə|er eː ɐ|erde eː ɐ d ə|erst eː ɐ s t|erste eː ɐ s t ə
ersten eː ɐ s t ə n|es ɛ s|familie f a m iː l j ə|familien f a m iː l j ə n|februar f eː b ʁ u aː ɐ
fertig f ɛ ʁ t ɪ ç|ferien f eː ʁ j ə n|gab ɡ aː p|gib ɡ iː p|gibt ɡ iː p t|glas ɡ l aː s|gras ɡ ʁ aː s|gut ɡ uː t
hab h aː p|hat h a t|hatte h a t ə|her h eː ɐ|herd h eː ɐ t|herz h ɛ ʁ ts|heute h ɔʏ t ə|hin h ɪ n|hoch h oː x
höchst h øː ç s t|ich ɪ ç|ihm iː m|ihn iː n|ihnen iː n ə n|ihr iː ɐ|ihre iː ʁ ə|im ɪ m|immer ɪ m ɐ|in ɪ n
internet ɪ n t ɐ n ɛ t|ist ɪ s t|ja j aː|jagd j aː k t|januar j a n u aː ɐ|jetzt j ɛ ts t
journalist ʒ ʊ ʁ n a l ɪ s t|jugend j uː ɡ ə n t|juli j uː l i|juni j uː n i|kaffee k a f e|kam k aː m|kind k ɪ n t
klavier k l a v iː ɐ|krebs k ʁ eː p s|lebendig l e b ɛ n d ɪ ç|linie l iː n j ə|mal m aː l|man m a n|mark m a ʁ k
maschine m a ʃ iː n ə|mehr m eː ɐ|mich m ɪ ç|mir m iː ɐ|mit m ɪ t|mond m oː n t|museum m u z eː ʊ m|musik m u z iː k
mutter m ʊ t ɐ|mädchen m ɛː t ç ə n|nach n aː x|name n aː m ə|nation n a ts j oː n|nächste n ɛː ç s t ə
nächsten n ɛː ç s t ə n|november n o v ɛ m b ɐ|nun n uː n|nur n uː ɐ|ob ɔ p|obst oː p s t|oder oː d ɐ
orange o ʁ ɑ ʒ ə|ort ɔ ʁ t|paar p aː ɐ|papst p aː p s t|party p aː ɐ t i|person p ɛ ʁ z oː n|pferd pf eː ɐ t
politik p o l i t iː k|problem p ʁ o b l eː m|rad ʁ aː t|restaurant ʁ ɛ s t o ʁ ɑ|schon ʃ oː n|schwert ʃ v eː ɐ t
sehr z eː ɐ|sein z aɪ n|seit z aɪ t|september z ɛ p t ɛ m b ɐ|service z øː ɐ v ɪ s|sie z iː|sind z ɪ n t|so z oː
sohn z oː n|spanien ʃ p aː n j ə n|sprach ʃ p ʁ aː x|stets ʃ t eː ts|städte ʃ t ɛː t ə|tag t aː k|team t iː m
tot t oː t|tür t yː ɐ|um ʊ m|und ʊ n t|uns ʊ n s|unser ʊ n z ɐ|usa uː ɛ s aː|vanille v a n ɪ l ə|vase v aː z ə
vater f aː t ɐ|verb v ɛ ʁ p|video v iː d e o|viel f iː l|viele f iː l ə|vielen f iː l ə n|vielleicht f i l aɪ ç t
vier f iː ɐ|vogel f oː ɡ ə l|vögel f øː ɡ ə l|villa v ɪ l a|visum v iː z ʊ m|vom f ɔ m|von f ɔ n|vor f oː ɐ
vulkan v ʊ l k aː n|wann v a n|war v aː ɐ|was v a s|wasser v a s ɐ|weg v eː k|wem v eː m|wen v eː n|wer v eː ɐ
werden v eː ɐ d ə n|wert v eː ɐ t|wir v iː ɐ|wo v oː|wohl v oː l|wort v ɔ ʁ t|wuchs v uː k s|wurde v ʊ ʁ d ə
wusste v ʊ s t ə|zu ts uː|zug ts uː k|zum ts ʊ m|zur ts uː ɐ|zurück ts u ʁ ʏ k|zwar ts v aː ɐ|zwei ts v aɪ
universität u n i v ɛ ʁ z i t ɛː t|oktober ɔ k t oː b ɐ|los l oː s|bus b ʊ s|hotel h o t ɛ l|modell m o d ɛ l
original o ʁ i ɡ i n aː l|genau ɡ ə n aʊ|bevor b ə f oː ɐ|gern ɡ ɛ ʁ n|gegen ɡ eː ɡ ə n|erbe ɛ ʁ b ə|beste b ɛ s t ə
guten ɡ uː t ə n|buch b uː x|bücher b yː ç ɐ|suchen z uː x ə n|sucht z uː x t|besuch b ə z uː x|tuch t uː x
kuchen k uː x ə n|fluch f l uː x|sprache ʃ p ʁ aː x ə|hohe h oː ə|hohen h oː ə n|wohnung v oː n ʊ ŋ
straße ʃ t ʁ aː s ə|grüße ɡ ʁ yː s ə|süß z yː s|möchte m œ ç t ə|möchten m œ ç t ə n|einfach aɪ n f a x
zukunft ts uː k ʊ n f t|ankunft a n k ʊ n f t|umwelt ʊ m v ɛ l t|anzahl a n ts aː l|zustand ts uː ʃ t a n t
nachbar n a x b aː ɐ|ungefähr ʊ n ɡ ə f ɛː ɐ|geben ɡ eː b ə n|gehen ɡ eː ə n|münchen m ʏ n ç ə n|woher v o h eː ɐ
daher d a h eː ɐ|bisher b ɪ s h eː ɐ|umher ʊ m h eː ɐ|hundert h ʊ n d ɐ t|komma k ɔ m a|prozent p ʁ o ts ɛ n t
euro ɔʏ ʁ o|deren d eː ʁ ə n|ander a n d ɐ|andere a n d ə ʁ ə|anderen a n d ə ʁ ə n
"""
_LEXICON = {
    word: tuple(said.split())
    for entry in _SPECIAL.replace("\n", "|").split("|")
    if entry.strip()
    for word, _, said in [entry.strip().partition(" ")]
}
_FOREIGN_V = re.compile(
    r"^(?:v[aeiou](?:lu|lid|nil|ri|se|ntil|ktor|gin|deo|llen|rus|sion|sit|um|kal|kabel|lum|lkan|tamin|trin|k)"
    r"|[a-zäöü]*(?:iv[aeu]|ov[aei]|av[aeio]|univ|serv|prov|priv|nerv|kurv|klav|adv|inv|konv|elev|even|rev))"
)
_UNITS = row(
    "null eins zwei drei vier fünf sechs sieben acht neun zehn elf zwölf dreizehn vierzehn fünfzehn sechzehn siebzehn "
    "achtzehn neunzehn"
)
_TENS = ["", "", *row("zwanzig dreißig vierzig fünfzig sechzig siebzig achtzig neunzig")]
_ABBREVIATED = {"z.b.": "zum beispiel", "d.h.": "das heißt", "usw.": "und so weiter", "bzw.": "beziehungsweise",
                "dr.": "doktor", "nr.": "nummer", "ca.": "circa",
                "%": " prozent", "€": " euro", "&": " und ", "$": " dollar", "+": " plus ",
                "=": " gleich ", "°": " grad "}  # fmt: skip
_NAMES = {
    "a": "aː", "b": "b eː", "c": "ts eː", "d": "d eː", "e": "eː", "f": "ɛ f", "g": "ɡ eː", "h": "h aː", "i": "iː",
    "j": "j ɔ t", "k": "k aː", "l": "ɛ l", "m": "ɛ m", "n": "ɛ n", "o": "oː", "p": "p eː", "q": "k uː", "r": "ɛ ʁ",
    "s": "ɛ s", "t": "t eː", "u": "uː", "v": "f aʊ", "w": "v eː", "x": "ɪ k s", "y": "ʏ p s ɪ l ɔ n", "z": "ts ɛ t",
    "ä": "ɛː", "ö": "øː", "ü": "yː", "ß": "ɛ s ts ɛ t",
}  # fmt: skip
_UNITS_OF = frozenset(unit for _, said in _CONSONANTS for unit in said.split()) - {"CH"} | {
    "z",
    "ç",
    "x",
    "ʒ",
    "b",
    "v",
}


class FrontEnd(UnitFrontEnd):
    """Reads German; see `aoide.text.FrontEnd`."""

    HOUSE = (
        {unit: unit for unit in sorted(_UNITS_OF | _VOWELS | {"ɑ", "e", "i", "o", "u"})}
        | {"ʏ": "y", "aɪ": "I", "aʊ": "W", "ɔʏ": "Y", "ts": "ʦ", "tʃ": "ʧ", "dʒ": "ʤ"}
    )  # fmt: skip

    def units(self, sentence: str) -> list[str]:
        """See `UnitFrontEnd`."""
        found: list[str] = []
        for word in re.findall(r"[^\W\d_]+(?:['’][^\W\d_]+)*|[,.!?;:…]", written(sentence)):
            if word in MARKS:
                found.append(word)
                continue
            refuse((letter for letter in word.lower() if not re.match(r"[a-zà-ÿß'’]", letter)), "German")
            found += [*_said(word), GAP]
        return tidy(found)


@lru_cache(maxsize=8192)
def _said(word: str) -> tuple[str, ...]:
    small = word.lower().translate(str.maketrans("éèêáàóñç’", "eeeaaonc'")).replace("'", "")
    if small in _LEXICON:
        return _LEXICON[small]
    if not re.search(rf"[{_V}]", small) or (word.isupper() and 1 < len(word) < 5):
        return tuple(unit for letter in small if letter in _NAMES for unit in _NAMES[letter].split())
    return tuple(_word(small))


def _word(word: str, depth: int = 0) -> list[str]:
    """A word that may have parts before and behind it."""
    if word in _LEXICON:
        return list(_LEXICON[word])
    if depth < 4:
        if not _NO_PREFIX.match(word):
            for prefix in _PREFIXES_BY_LENGTH:
                rest = word[len(prefix) :]
                if word.startswith(prefix) and len(rest) > 2 and _can_begin(rest) and re.search(rf"[{_V}]", rest):
                    return _PREFIXES[prefix].split() + _word(rest, depth + 1)
        for ending in _ENDINGS:
            head, found, tail = word.rpartition(ending)
            linked = len(head) > 2 and re.search(rf"[{_V}]", head)
            if ending == "chen" and head.endswith("s"):
                continue
            if found and linked and tail in ("", "e", "en", "s", "es", "er", "ern", "n"):
                return _word(head, depth + 1) + _ended(ending, tail)
    return _simple(word)


def _ended(ending: str, tail: str) -> list[str]:
    if ending == "chen":
        return ["ç", "ə", "n", *("s" if tail == "s" else "")]
    return list(_LEXICON.get(ending + tail) or _simple(ending + tail))


def _can_begin(rest: str) -> bool:
    cluster = re.match(rf"[^{_V}]*", rest)
    assert cluster is not None
    return not cluster[0] or cluster[0] in _ONSETS


def _simple(word: str) -> list[str]:
    """A word without parts, by rule."""
    found: list[str] = []
    place, first = 0, True
    while place < len(word):
        if word[place] in _V:
            units, place = _vowel(word, place, first)
            first = False
        else:
            units, place = _consonant(word, place, found)
        found += units
    return _finished(found)


def _vowel(word: str, at: int, first: bool) -> tuple[list[str], int]:
    rest = word[at:]
    if rest.startswith("ie"):
        return (["j", "ə"] if not first and re.match(r"ien?s?$", rest) else ["iː"]), at + 2 + (rest[2:3] == "h")
    if rest[:2] in _DOUBLE:
        return [_DOUBLE[rest[:2]]], at + 2
    if rest[:1] == rest[1:2] and rest[0] in "aeo":
        return [_LONG[rest[0]]], at + 2
    if rest.startswith("ion") and not first:
        return ["j", "oː"], at + 2
    letter, after = rest[0], rest[1:]
    if letter == "e" and not first:
        weak = _weak(after)
        if weak is not None:
            return weak[0], at + weak[1]
    if after[:1] == "h" and not re.match(rf"h[{_V}]", after) or re.match(r"h(?:e|ig|t$|st$|$)", after):
        return [_LONG[letter]], at + 2
    if letter == "i" and re.match(r"g(?:s|st|t)?$", after) and not first:
        return ["ɪ", "ç"], at + 2
    if letter == "i" and re.match(r"g(?:e|u)", after) and not first:
        return ["ɪ"], at + 1
    return [_LONG[letter] if _is_long(after, first, letter) else _SHORT[letter]], at + 1


def _weak(after: str) -> tuple[list[str], int] | None:
    """The e of endings: units, and letters that they stand for."""
    if re.match(r"(?:|n|m|s|st|t|ns|l|ln|ls|lst|(?:nd|lt|nt|t)(?:e[mnrs]?)?)$", after):
        return ["ə"], 1
    if re.match(r"r(?:n|s|t|st|e|en|em|er|es|te|ten)?$", after):
        return (["ə"], 1) if re.match(r"r[e]", after) else (["ɐ"], 2)
    if re.match(rf"(?:n|l|r)[^{_V}]", after) and re.match(
        r"(?:ns|rs|ls|nt|rl|rn|rk|rw|rb|rg|rz|lh)[a-zäöüß]{3,}", after
    ):
        return (["ɐ"], 2) if after[0] == "r" else (["ə"], 1)
    if re.match(rf"[^{_V}]e(?:n|r|s|m|t|l|re[mnrs]?|ne[mnrs]?)?$", after):
        return ["ə"], 1
    return None


def _is_long(after: str, first: bool, letter: str) -> bool:
    """Whether a vowel before these letters is long."""
    if not after:
        return True
    if after[0] == "ß":
        return True
    if re.match(rf"(?:[bcdfgjklmnprstvwz]|qu|st[^{_V}]$)?[{_V}]", after) and not re.match(r"x|ck|ch|sch", after):
        return True
    if re.match(r"(?:[bdgkpt][lr])[" + _V + "]", after):
        return True
    if re.match(r"(?:ch|sch|ng|x|ck|tz|pf|ss|j)", after):
        return False
    if re.match(r"[bdgklmnprstfvz]$", after):
        return first and not (letter == "i" and after in ("n", "m", "s", "t"))
    if re.match(r"(?:gt|gst|bt|bst|gte|bte)$", after):
        return first
    return False


def _consonant(word: str, at: int, before: list[str]) -> tuple[list[str], int]:
    rest = word[at:]
    special = _in_place(word, at, before)
    if special is not None:
        return special
    for letters, said in _CONSONANTS:
        if rest.startswith(letters):
            return ([_ch(before)] if said == "CH" else said.split()), at + len(letters)
    return [], at + 1


def _in_place(word: str, at: int, before: list[str]) -> tuple[list[str], int] | None:
    """Consonants whose sound hangs on where they stand; None for all others."""
    rest = word[at:]
    if rest.startswith("h") and before and before[-1] in _VOWELS and (len(rest) == 1 or rest[1] not in _V):
        return [], at + 1
    if rest.startswith("s"):
        if at == 0 and rest[1:2] in ("p", "t"):
            return ["ʃ"], at + 1
        if rest[1:2] in tuple(_V) and (at == 0 or word[at - 1] in _V + "nlrm"):
            return ["z"], at + 1
    if rest.startswith("chs") and re.match(r"chs(?:t|$)", rest) and at > 1 and word[at - 1] in "äöüi":
        return [_ch(before)], at + 2
    if rest.startswith("ch") and at == 0:
        return (["k"], 2) if rest[2:3] in tuple("aourl") else (["ç"] if rest[2:3] in tuple("ie") else ["ʃ"], 2)
    if rest.startswith("c") and rest[1:2] in tuple("eiäy") and not rest.startswith("ch"):
        return ["ts"], at + 1
    if re.match(r"ng[aour]", rest) and not rest.startswith("ngung"):
        return ["ŋ", "ɡ"], at + 2
    if rest.startswith("v") and _FOREIGN_V.match(word):
        return ["v"], at + 1
    if re.match(r"ti(?=on|el[l]|ent|a[lr]$)", rest) and at:
        return (["ts", "j"], at + 2) if not rest.startswith("tion") else (["ts"], at + 1)
    return None


def _ch(before: list[str]) -> str:
    return "x" if before and before[-1] in _BACK else "ç"


def _finished(units: list[str]) -> list[str]:
    """Voice goes at the end and before voiceless sounds, r becomes a vowel after a long one, doubles are one."""
    found: list[str] = []
    quiet = frozenset(("p", "t", "k", "pf", "ts", "tʃ", "f", "s", "ʃ", "ç", "x"))
    for place, written_unit in enumerate(units):
        after = units[place + 1] if place + 1 < len(units) else "#"
        unit = _DEVOICED.get(written_unit, written_unit) if after == "#" or after in quiet else written_unit
        if unit == "ʁ" and after not in _VOWELS and found and found[-1].endswith("ː"):
            unit = "ɐ"
        if not (found and found[-1] == unit and unit not in _VOWELS):
            found.append(unit)
    return found


# -------------------------------------------------------------------------------------------------------------- numbers


def written(text: str) -> str:
    """Numbers, signs and abbreviations in words."""
    text = plain(text.replace("ſ", "s"))
    for short, long in _ABBREVIATED.items():
        apart = r"(?<!\w)" if short[0].isalpha() else ""  # a sign may stand right behind a number
        text = re.sub(apart + re.escape(short), long, text, flags=re.IGNORECASE)
    text = re.sub(r"(?<=\d)\.(?=\d{3}\b)", "", text)
    text = re.sub(
        r"\b(1[1-9]\d\d)\b(?!,\d)", lambda m: f"{counted(int(m[1]) // 100)} hundert {_rest(int(m[1]) % 100)}", text
    )
    text = re.sub(r"(\d+):(\d\d)\b", lambda m: f"{counted(int(m[1]))} uhr {counted(int(m[2]))}", text)
    text = re.sub(r"(\d+),(\d+)", lambda m: f"{counted(int(m[1]))} komma {_digits(m[2])}", text)
    text = re.sub(r"\b(\d{1,2})\. (?=[A-ZÄÖÜ])", lambda m: f"{_ordinal(int(m[1]))} ", text)
    return re.sub(r"\d+", lambda m: counted(int(m[0])) if len(m[0]) < 13 else _digits(m[0]), text)


def _rest(number: int) -> str:
    return counted(number) if number else ""


def _digits(text: str) -> str:
    return " ".join(_UNITS[int(digit)] for digit in text)


def _ordinal(number: int) -> str:
    special = {1: "erste", 3: "dritte", 7: "siebte", 8: "achte"}
    return special.get(number, counted(number) + ("te" if number < 20 else "ste"))


def counted(number: int) -> str:
    """A number in words: 321 -> dreihundert einundzwanzig. Parts that are words of their own stand apart."""
    if number < 20:
        return _UNITS[number]
    if number < 100:
        ten, one = divmod(number, 10)
        return f"{'ein' if one == 1 else _UNITS[one]} und {_TENS[ten]}" if one else _TENS[ten]
    for size, name, many in (
        (10**9, "milliarde", "milliarden"), (10**6, "million", "millionen"), (1000, "tausend", "tausend"),
        (100, "hundert", "hundert"),
    ):  # fmt: skip
        if number >= size:
            count, rest = divmod(number, size)
            alone = "eine" if size > 1000 else "ein"
            head = f"{alone if count == 1 else counted(count)} {name if count == 1 else many}"
            return f"{head} {counted(rest)}" if rest else head
    return ""
