"""English phonemes of the house as ARPAbet, the letters of the CMU dictionary, and the tables of models that read it.

words("həlˈO wˈɜɹld")       # [["HH", "AH0", "L", "OW1"], ["W", "ER1", "L", "D"]]
placed(words(...))          # <BOS> HHB AH0I LI OW1E | WB ER1I LI DE <EOS>      VALL-E of Amphion, second form
CMU                         # AA AA0 AA1 AA2 AE ... ZH sp spn sil <s> </s>      NaturalSpeech 2 of Amphion
"""

from __future__ import annotations

from aoide.text.phonemes import PRIMARY, SECONDARY
from aoide.text.units import row

_VOWELS = {
    "A": "EY", "I": "AY", "O": "OW", "Q": "OW", "W": "AW", "Y": "OY", "i": "IY", "u": "UW", "ɑ": "AA", "ɒ": "AA",
    "ɔ": "AO", "æ": "AE", "a": "AE", "ɛ": "EH", "e": "EH", "ɪ": "IH", "ᵻ": "IH", "ʊ": "UH", "ʌ": "AH", "ə": "AH",
    "ᵊ": "AH", "ɐ": "AH", "ɜ": "ER", "ɚ": "ER", "o": "OW",
}  # fmt: skip
_CONSONANTS = {
    "b": "B", "d": "D", "f": "F", "h": "HH", "j": "Y", "k": "K", "l": "L", "m": "M", "n": "N", "p": "P", "s": "S",
    "t": "T", "v": "V", "w": "W", "z": "Z", "ð": "DH", "ŋ": "NG", "ɡ": "G", "g": "G", "ɹ": "R", "r": "R", "ɾ": "T",
    "T": "T", "ʃ": "SH", "ʒ": "ZH", "ʤ": "JH", "ʧ": "CH", "θ": "TH", "x": "K", "ʔ": "T", "ʦ": "T S", "ʣ": "D Z",
}  # fmt: skip
_WITH_STRESS = sorted(set(_VOWELS.values()))
_WITHOUT = sorted({phone for phones in _CONSONANTS.values() for phone in phones.split()})

CMU = (
    *sorted([*_WITHOUT, *(vowel + stress for vowel in _WITH_STRESS for stress in ("", "0", "1", "2"))]),
    *row("sp spn sil <s> </s>"),
)
PAUSE = "sp"


def _with_places() -> tuple[str, ...]:
    """The 220 phones of Amphion's second VALL-E with B, I or E for their place in the word, in its order."""
    phones = [*_WITHOUT, *(vowel + stress for vowel in _WITH_STRESS for stress in "012")]
    found = sorted([*(phone + place for phone in phones for place in "BIE"), "AO1", "L"])
    first, second = found.index("UH1E"), found.index("UH2B")
    found.insert(first, found.pop(second))  # one that is out of order there
    return (*row("! , . .B : <BOS> <EOS> <PAD> <UNK> ?"), *found, "|")


PLACED = _with_places()


def words(phonemes: str) -> list[list[str]]:
    """Phonemes of the house, words apart -> ARPAbet of each word; marks and what is no English sound fall away."""
    found = []
    for word in phonemes.split():
        phones: list[str] = []
        stress = "0"
        for letter in word:
            if letter in (PRIMARY, SECONDARY):
                stress = "1" if letter == PRIMARY else "2"
            elif letter in _VOWELS:
                phones.append(_VOWELS[letter] + stress)
                stress = "0"
            elif letter == "ɹ" and phones and phones[-1][:2] in ("ER", "AH") and _coloured(phones[-1], word):
                phones[-1] = "ER" + phones[-1][-1]
            else:
                phones += _CONSONANTS.get(letter, "").split()
        if phones:
            found.append(phones)
    return found


def _coloured(phone: str, word: str) -> bool:
    """Whether the vowel before an r is one with it: ɜɹ always, əɹ where nothing but a consonant or the end follows."""
    if phone.startswith("ER"):
        return True
    behind = word[word.index("əɹ") + 2 :] if "əɹ" in word else "?"
    return phone == "AH0" and behind != "?" and behind.lstrip(PRIMARY + SECONDARY)[:1] not in _VOWELS


def placed(said: list[list[str]]) -> list[str]:
    """Words -> phones with their places, words apart, between the beginning and the end."""
    found = ["<BOS>"]
    for number, word in enumerate(said):
        found += ["|"] if number else []
        for place, phone in enumerate(word):
            found.append(phone + ("B" if place == 0 else "E" if place + 1 == len(word) else "I"))
    return [*found, "<EOS>"]
