"""French: rules from letters to sounds, a few hundred words that break them, and the liaisons that must be made.

    units: a e ɛ i o ɔ u y ø œ ə ɑ̃ ɛ̃ ɔ̃ œ̃ j w ɥ and p b t d k ɡ f v s z ʃ ʒ m n ɲ ŋ l ʁ; no stress, which stands on the
    last syllable of a phrase

What is written decides most of what is said, from left to right: the first rule that fits at a place says its sounds.
The ending -ent is silent where the word before is the subject of a verb. Numbers are read in words. Nothing but this
file is needed.
"""

from __future__ import annotations

import re
from functools import lru_cache

from aoide.text.units import GAP, MARKS, UnitFrontEnd, plain, refuse, row, tidy

_V = "aeiouyàâäéèêëîïôöûùüœæ"
_C = "bcçdfghjklmnpqrstvwxz"
_NASAL = f"(?![{_V}nmh])"  # what stands behind a nasal vowel's n
# What is written (a regular expression; ^ and # are the ends of a word) and what is said; longer ones stand first.
_RULES: tuple[tuple[str, str], ...] = (
    # vowels
    (r"aient#", "ɛ"), (r"aill(?=[aeiouéè])", "a j"), (r"ail(?=s?#)", "a j"), (rf"ai[nm]{_NASAL}", "ɛ̃"),
    (r"aî|aie(?=s?#)", "ɛ"), (rf"ay(?=[{_V}])", "ɛ j"), (r"ays", "e i"), (r"ay", "ɛ"), (r"aï", "a i"), (r"aoû", "u"),
    (r"aon(?=s?#)", "ɑ̃"), (r"ai", "ɛ"), (r"aux?#", "o"), (r"au(?=r)", "ɔ"), (r"au", "o"),
    (rf"an{_NASAL}|am(?=[bp])|æn{_NASAL}", "ɑ̃"), (r"[aàâ]", "a"), (r"æ", "e"), (r"eaux?", "o"),
    (rf"ei[nm]{_NASAL}", "ɛ̃"), (r"eill(?=[aeiouéè])|eil(?=s?#)", "ɛ j"), (r"ei", "ɛ"),
    (r"e[uû]ill(?=[aeiouéè])|euil(?=s?#)", "œ j"), (r"eur", "œ ʁ"),
    (r"eu(?=(?:[lfnvp]|bl|vr|pl)(?:e?s?#|[^aou#]))", "œ"), (r"e[uû]", "ø"), (r"(?<=[éi])en(?=s?#|t[^aeiou#])", "ɛ̃"),
    (r"(?<=i)en(?=d|s#|#)", "ɛ̃"), (r"e(?=mmen)", "a"), (r"^en(?=[nh])|^em(?=m)", "ɑ̃"),
    (rf"en{_NASAL}|em(?=[bp])", "ɑ̃"), (r"er#|ers#|ez#", "e"), (r"ets?#", "ɛ"), (r"^es#", "ɛ"),
    (rf"(?<=^[{_C}])e#", "ə"), (rf"(?<=^[{_C}])es#", "e"), (r"es?#", ""), (r"ée?s?#|é", "e"), (r"[èêë]", "ɛ"),
    (rf"ex(?=h?[{_V}])", "ɛ ɡ z"), (r"ex", "ɛ k s"), (rf"e(?=(?:ss|ff|ll|rr|tt|nn|mm|cc|pp|sc)[{_V}])", "ɛ"),
    (r"e(?=[bcdfgptkv][lr])", "ə"), (rf"e(?=[{_C}]h?[{_C}])", "ɛ"), (rf"e(?=(?:ch|ph|th|gn|qu)[{_V}])", "ə"),
    (rf"e(?=[{_C}]#)", "ɛ"), (r"e(?=[aoiuâ])", ""), (r"e", "ə"), (rf"(?<=[{_V}])ill(?=[{_V}])", "j"),
    (rf"ill(?=[{_V}])", "i j"), (rf"i[nm]{_NASAL}", "ɛ̃"), (r"ies?#", "i"), (rf"(?<=[bcdfgptv][lr])i(?=[{_V}])", "i j"),
    (r"i(?=[aeoéèêuâôœ])", "j"), (r"[iîï]", "i"), (rf"oin{_NASAL}", "w ɛ̃"), (rf"oy(?=[{_V}])", "w a j"),
    (r"o[iîy]e?(?=s?#)|o[iî]", "w a"), (r"(?:œ|oe)ill?", "œ j"), (r"(?:œu|oeu)x?s?#", "ø"), (r"œu|oeu", "œ"),
    (r"oê|oe(?=[lu])", "w a"), (r"œ|oe", "e"), (r"ouill(?=[aeiouéè])", "u j"),
    (r"ou(?=[aeiéèê])(?!e?s?#|ent#)", "w"), (r"o[uûù]e?(?=s?#)|o[uûù]", "u"), (r"oo", "u"), (rf"o[nm]{_NASAL}", "ɔ̃"),
    (r"ô", "o"), (rf"o(?=s[{_V}]|tion|s#|t#|ts#|p#|x#|#)", "o"), (r"[oö]", "ɔ"), (r"um#", "ɔ m"),
    (rf"u[nm]{_NASAL}", "œ̃"), (r"uy(?=[aeiouéè])", "ɥ i j"), (r"ueill?", "œ j"), (r"ue?s?#", "y"), (r"uent#", "y"),
    (r"(?<=[bcdfgptv][lr])u(?=[aeiéèo])", "y"), (r"u(?=[iaeéèoî])", "ɥ"), (r"[uûüù]", "y"), (rf"y[nm]{_NASAL}", "ɛ̃"),
    (rf"y(?=[{_V}])", "j"), (r"y", "i"),
    # consonants
    (r"bb?", "b"), (r"cch", "k"), (r"cc(?=[eiéèêy])", "k s"), (r"cqu?|ck|cc", "k"), (r"ch(?=[rlnt])", "k"),
    (r"ch", "ʃ"), (r"c(?=[eiyéèêëîœ])|ç", "s"), (r"(?<=n)cs?#", ""), (r"cs?#|c", "k"), (r"ds?#", ""), (r"dd?", "d"),
    (r"ff?", "f"), (r"gn", "ɲ"), (r"gu(?=[eiyéèêî])", "ɡ"), (r"ge(?=[aoâôu])", "ʒ"), (r"g(?=[eiyéèêî])", "ʒ"),
    (r"gs?#", ""), (r"gg?", "ɡ"), (r"h", ""), (r"j", "ʒ"), (r"k", "k"), (r"ll?", "l"), (r"mm?", "m"), (r"nn?", "n"),
    (r"ph", "f"), (r"ps?#", ""), (r"pp?", "p"), (r"qu|q", "k"), (r"rr?h?", "ʁ"), (r"sch|sh", "ʃ"),
    (r"sc(?=[eiyéèê])", "s"), (r"ss", "s"), (rf"(?<=[{_V}])s(?=h?[{_V}])", "z"), (r"s#", ""), (r"s", "s"),
    (r"(?<=s)t(?=ion)", "t"), (r"ti(?=on|el|eux|al#|aux#)", "s j"), (r"(?<=a)tie(?=s?#)", "s i"),
    (r"(?<=pa)ti(?=en[tc])", "s j"), (r"th|tt", "t"), (r"ct(?=s?#)", "k t"), (r"ts?#", ""), (r"t", "t"), (r"v", "v"),
    (r"w", "w"), (r"x#", ""), (r"x", "k s"), (r"z#", ""), (r"zz?", "z"), (r"['’-]", ""), (r"#", ""),
)  # fmt: skip
_COMPILED = tuple((re.compile(pattern.replace("^", r"\^")), tuple(said.split())) for pattern, said in _RULES)
_SPECIAL = """
a a|à a|abbaye a b e i|ai e|août u t|as a|au o|aujourd'hui o ʒ u ʁ d ɥ i|automne ɔ t ɔ n|aux o|avec a v ɛ k
avril a v ʁ i l|bus b y s|cap k a p|ces s e|cet s ɛ t|cette s ɛ t|chef ʃ ɛ f|cher ʃ ɛ ʁ|chez ʃ e|cinq s ɛ̃ k
club k l œ b|compte k ɔ̃ t|compter k ɔ̃ t e|comptes k ɔ̃ t|contact k ɔ̃ t a k t|deuxième d ø z j ɛ m|dessous d ə s u
dessus d ə s y|dix d i s|dixième d i z j ɛ m|donc d ɔ̃ k|des d e|est ɛ|et e|eu y|eue y|eus y|eut y
examen ɛ ɡ z a m ɛ̃|faim f ɛ̃|femme f a m|femmes f a m|fer f ɛ ʁ|fier f j ɛ ʁ|fils f i s|football f u t b o l|gars ɡ a
gaz ɡ a z|gentil ʒ ɑ̃ t i|hier i j ɛ ʁ|hiver i v ɛ ʁ|huit ɥ i t|internet ɛ̃ t ɛ ʁ n ɛ t|les l e|lorsque l ɔ ʁ s k
mars m a ʁ s|mer m ɛ ʁ|mes m e|messieurs m e s j ø|mille m i l|million m i l j ɔ̃|millions m i l j ɔ̃
monsieur m ə s j ø|net n ɛ t|neuf n œ f|oignon ɔ ɲ ɔ̃|oignons ɔ ɲ ɔ̃|os ɔ s|ouest w ɛ s t|oui w i|ours u ʁ s
parfum p a ʁ f œ̃|pays p e i|paysage p e i z a ʒ|paysan p e i z ɑ̃|pied p j e|pieds p j e|plus p l y|prix p ʁ i
puis p ɥ i|pull p y l|quand k ɑ̃|qui k i|quoi k w a|sandwich s ɑ̃ d w i t ʃ|second s ə ɡ ɔ̃|seconde s ə ɡ ɔ̃ d
secondes s ə ɡ ɔ̃ d|sens s ɑ̃ s|sept s ɛ t|septembre s ɛ p t ɑ̃ b ʁ|ses s e|six s i s|sixième s i z j ɛ m
solennel s ɔ l a n ɛ l|sont s ɔ̃|sourcil s u ʁ s i|sud s y d|super s y p ɛ ʁ|tabac t a b a|temps t ɑ̃|tes t e
tous t u|tout t u|tranquille t ʁ ɑ̃ k i l|un œ̃|une y n|ver v ɛ ʁ|vers v ɛ ʁ|village v i l a ʒ|villages v i l a ʒ
ville v i l|villes v i l|vingt v ɛ̃|wagon v a ɡ ɔ̃|week-end w i k ɛ n d|yeux j ø|œuf œ f|œufs ø|œuvre œ v ʁ|cœur k œ ʁ
sœur s œ ʁ|chœur k œ ʁ|écho e k o|estomac ɛ s t ɔ m a|orchestre ɔ ʁ k ɛ s t ʁ|technique t ɛ k n i k|chaos k a o
psychologie p s i k ɔ l ɔ ʒ i|respect ʁ ɛ s p ɛ|aspect a s p ɛ|suspect s y s p ɛ|instinct ɛ̃ s t ɛ̃|porc p ɔ ʁ
franc f ʁ ɑ̃|outil u t i|fusil f y z i|bacille b a s i l|amer a m ɛ ʁ|enfer ɑ̃ f ɛ ʁ|cancer k ɑ̃ s ɛ ʁ|maths m a t
virus v i ʁ y s|autobus o t o b y s|hélas e l a s|atlas a t l a s|tennis t e n i s|campus k ɑ̃ p y s|but b y t
brut b ʁ y t|quelqu'un k ɛ l k œ̃|peut-être p ø t ɛ t ʁ|rendez-vous ʁ ɑ̃ d e v u|vient v j ɛ̃|tient t j ɛ̃
client k l i j ɑ̃|science s j ɑ̃ s|sciences s j ɑ̃ s|patient p a s j ɑ̃|orient ɔ ʁ j ɑ̃|il i l|ils i l|fais f ɛ
faisait f ə z ɛ|faisais f ə z ɛ|faisons f ə z ɔ̃|dehors d ə ɔ ʁ|deux d ø|minuit m i n ɥ i|eût y|gens ʒ ɑ̃|corps k ɔ ʁ
ressembler ʁ ə s ɑ̃ b l e|ressource ʁ ə s u ʁ s|ressources ʁ ə s u ʁ s|cuiller k ɥ i j ɛ ʁ|quartier k a ʁ t j e
"""
_LEXICON = {
    word: tuple(said.split())
    for entry in _SPECIAL.replace("\n", "|").split("|")
    if entry.strip()
    for word, _, said in [entry.strip().partition(" ")]
}
_ASPIRATED = re.compile(
    r"h(?:a(?!b[ie]|m[ei]|rm|leine|llu)|ér[oi]s|eurt|ibou|ollande|onte|ors|uit|ut|érisson|oquet)|onze|oui|y[ae]|un#"
)
_LIAISON = (
    dict.fromkeys(
        row(
            "les des ces mes tes ses nos vos leurs nous vous ils elles deux trois six dix dans sans très plus chez aux "
            "quelques plusieurs sous pas petits grands autres"
        ),
        "z",
    )
    | dict.fromkeys(row("un on en mon ton son aucun bien rien"), "n")
    | dict.fromkeys(row("est sont ont quand tout petit grand cet vingt cent fait ait soit étaient était"), "t")
    | dict.fromkeys(row("premier dernier"), "ʁ")
)
_ELIDED = {
    "l": "l", "d": "d", "j": "ʒ", "n": "n", "s": "s", "c": "s", "m": "m", "t": "t", "qu": "k", "jusqu": "ʒ y s k",
    "lorsqu": "l ɔ ʁ s k", "puisqu": "p ɥ i s k", "quoiqu": "k w a k",
}  # fmt: skip
_ABBREVIATED = {
    "m.": "monsieur", "mme": "madame", "mlle": "mademoiselle", "dr": "docteur", "etc.": "et cetera", "st": "saint",
    "ste": "sainte", "n°": "numéro", "%": " pour cent", "€": " euros", "&": " et ", "$": " dollars", "+": " plus ",
    "=": " égale ", "°": " degrés ",
}  # fmt: skip
_NAMES = dict(
    zip(
        "abcdefghijklmnopqrstuvwxyz",
        row("a bé cé dé e èf gé hache i ji ka èle ème ène o pé ku ère èsse té u vé double-vé ixe i-grec zède"),
        strict=True,
    )
)
_SUBJECTS = frozenset(row("ils elles qui ne n se s y en me te nous vous leur les lui"))
_NO_NOUN = frozenset(
    row(
        "très plus moins pas dans sans sous mais puis alors des les ces mes tes ses nos vos leurs deux trois six dix "
        "depuis vers jamais toujours assez trop aux nous vous tous"
    )
)
_UNITS = row("zéro un deux trois quatre cinq six sept huit neuf dix onze douze treize quatorze quinze seize")
_TENS = ["", "dix", "vingt", "trente", "quarante", "cinquante", "soixante", "soixante", "quatre-vingt", "quatre-vingt"]
_VOWELS = frozenset(("a", "e", "ɛ", "i", "o", "ɔ", "u", "y", "ø", "œ", "ɑ̃", "ɛ̃", "ɔ̃", "œ̃", "ə"))


class FrontEnd(UnitFrontEnd):
    """Reads French; see `aoide.text.FrontEnd`."""

    HOUSE = {unit: unit for unit in (*"aeɛioɔuyøœəjwɥpbtdkɡfvszʃʒmnɲŋlʁ", "ɑ̃", "ɛ̃", "ɔ̃", "œ̃")}

    def units(self, sentence: str) -> list[str]:
        """See `UnitFrontEnd`."""
        words = re.findall(r"[^\W\d_]+(?:['’-][^\W\d_]+)*['’]?|[,.!?;:…]", written(sentence))
        refuse((letter for word in words for letter in word if not re.match(r"[a-zà-ÿœæ]", letter)), "French")
        found: list[str] = []
        for place, word in enumerate(words):
            if word in MARKS:
                found.append(word)
                continue
            before = words[place - 1] if place else ""
            said = list(_said(word, _is_verb(word, before)))
            after = words[place + 1] if place + 1 < len(words) else ""
            linking = _LIAISON.get(word)
            if linking and _begins_with_vowel(after):
                if word in ("six", "dix"):
                    said.pop()
                said += [linking] if said[-1:] != [linking] else []
            found += [*said, GAP]
        return tidy(found)


def _begins_with_vowel(word: str) -> bool:
    return bool(re.match(rf"[{_V}h]", word)) and not _ASPIRATED.match(word + "#")


def _is_verb(word: str, before: str) -> bool:
    """Whether the ending -ent is that of a verb, and silent."""
    if not word.endswith("ent") or len(word) < 5:
        return False
    if re.search(r"(?:èr|iss|oi|ou)ent$", word):
        return True
    before = before.rstrip("'’")
    return before in _SUBJECTS or (before.endswith(("s", "x")) and before not in _NO_NOUN)


@lru_cache(maxsize=8192)
def _said(word: str, verb: bool) -> tuple[str, ...]:
    word = word.replace("’", "'")
    if word in _LEXICON:
        return _LEXICON[word]
    head, mark, rest = word.partition("'")
    if mark and head in _ELIDED:
        return (*_ELIDED[head].split(), *(_said(rest, verb) if rest else ()))
    if "-" in word:
        return tuple(unit for part in word.split("-") if part for unit in _said(part, verb))
    if len(word) == 1 and word in _NAMES and word not in "aoy":
        return _said(_NAMES[word], False) if len(_NAMES[word]) > 1 else _by_rule(word)
    if not re.search(rf"[{_V}]", word):  # a word of consonants is spelt
        return tuple(unit for letter in word if letter in _NAMES for unit in _said(_NAMES[letter], False))
    return _by_rule(word[:-3] + "e" if verb and not word.endswith("aient") else word)


def _by_rule(word: str) -> tuple[str, ...]:
    text, place, found = f"^{word}#", 1, list[str]()
    while place < len(text):
        for pattern, said in _COMPILED:
            end = _fits(pattern, text, place)
            if end is not None:
                found += said
                place = end
                break
        else:
            place += 1
    return tuple(_settled(found))


def _fits(pattern: re.Pattern[str], text: str, place: int) -> int | None:
    """Where a rule ends that fits at a place; a rule of a word's beginning is written with ^."""
    begin = place - 1 if place == 1 and pattern.pattern.startswith(r"\^") else place
    match = pattern.match(text, begin)
    return match.end() if match and match.end() > place else None


def _settled(units: list[str]) -> list[str]:
    """A ə falls between one consonant before and one behind, but for the first syllable; double sounds are one."""
    found: list[str] = []
    for place, unit in enumerate(units):
        if unit == "ə" and any(before in _VOWELS for before in found):
            single = len(found) > 1 and found[-1] not in _VOWELS and found[-2] in _VOWELS
            behind = units[place + 1 : place + 3]
            soft = len(behind) == 1 or behind[1:] and (behind[1] in _VOWELS or behind[1] in ("j", "w", "ɥ"))
            if single and behind and behind[0] not in _VOWELS and soft:
                continue
        if found and found[-1] == unit and unit not in _VOWELS:
            continue
        found.append(unit)
    return found


# -------------------------------------------------------------------------------------------------------------- numbers


def written(text: str) -> str:
    """Small letters; numbers and signs in words."""
    text = plain(text).lower().replace("’", "'")
    text = re.sub(r"(?<=\d)[ .](?=\d{3}\b)", "", text)
    text = re.sub(r"(\d+)\s*h\s*(\d\d)?\b", lambda m: f"{m[1]} heures {m[2] or ''}", text)
    text = re.sub(r"\b1er\b", "premier", text)
    text = re.sub(r"\b(\d+)e\b", lambda m: f"{counted(int(m[1]))}ième".replace("eième", "ième"), text)
    text = re.sub(r"(\d+)[,.](\d+)", lambda m: f"{counted(int(m[1]))} virgule {_digits(m[2])}", text)
    text = re.sub(r"\d+", lambda m: counted(int(m[0])) if len(m[0]) < 13 else _digits(m[0]), text)
    for short, long in _ABBREVIATED.items():
        if short[0].isalpha():
            end = "" if short.endswith("°") else r"(?!\w)"  # n°5 is written together
            text = re.sub(rf"\b{re.escape(short)}{end}", f"{long} ", text)
        else:
            text = text.replace(short, long)
    return text


def _digits(text: str) -> str:
    return " ".join(counted(int(digit)) for digit in text)


def counted(number: int) -> str:
    """A number in words: 91 -> quatre-vingt-onze."""
    if number < 17:
        return _UNITS[number]
    if number < 100:
        ten, one = divmod(number, 10)
        if ten in (7, 9):
            ten, one = ten - 1, one + 10
        head = _TENS[ten]
        if one in (1, 11) and ten < 8:
            return f"{head} et {counted(one)}"
        return f"{head}-{counted(one)}" if one else head + ("s" if ten == 8 else "")
    for size, name in ((10**9, "milliard"), (10**6, "million"), (1000, "mille"), (100, "cent")):
        if number >= size:
            count, rest = divmod(number, size)
            head = name if count == 1 and size <= 1000 else f"{counted(count)} {name}"
            head += "s" if count > 1 and (size > 1000 or (size == 100 and not rest)) else ""
            return f"{head} {counted(rest)}" if rest else head
    return ""
