"""Words -> phonemes: the lexicon, its rules for endings, the little words that change with their neighbours, and
spelling.

The conventions are those of the misaki lexicon, because the voices were taught by them: *the* is ði before a vowel,
*a* is ɐ, a capital letter gives an unstressed word secondary stress, words in capitals get primary stress, -s, -ed and
-ing are added by sound, an initialism is one word with the stress on its last letter (FBI, ˌɛfbˌiˈI).
"""

import re
from collections.abc import Callable, Sequence

from aoide.text import numbers, phonemes, tables
from aoide.text.lexicon import Entry, Lexicon
from aoide.text.tokens import MARKS, Token

_PARENT = {"NN": "NOUN", "NNP": "NOUN", "JJ": "ADJ", "RB": "ADV"} | dict.fromkeys(("VB", "VBP", "VBD", "VBN"), "VERB")
_TAPPING = frozenset("AIOWYiuæɑəɛɪɹʊʌ")  # a t between one of these and an ending is tapped: waited, wˈATᵻd
_DOUBLED = re.compile(r"([bcdgklmnprstvxz])\1(?:ing|ed)$|ck(?:ing|ed)$")
_INITIALISM = re.compile(r"(?P<letters>[A-Z]{2,}|[A-Z](?:\.[A-Z])+)(?P<end>'?s)?$")
_CAMEL = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_SHOUTED = tables.words("ACT ADD AID AM AS BE CAP DEW DIP ELF HE HI HM HMM IN IS ISO ME MOD OH OR AH RIP SAT SOB")
_SHORTENED = {"'ll": "əl", "'ve": "əv", "'re": "ɹ", "'d": "d", "n't": "ᵊnt", "'m": "m"}


class Words:
    """Says words one after the other.

    Args:
        lexicon: the words that are known.
        guess: says a word that is not, in lower-case letters.
    """

    def __init__(self, lexicon: Lexicon, guess: Callable[[str], str]) -> None:
        self.lexicon = lexicon
        self.guess = guess

    def say(self, tokens: Sequence[Token], tags: Sequence[str], fixed: dict[int, str]) -> str:
        """The phonemes of a sentence, a space between words, marks close to the word before them.

        Args:
            tags: the part of speech of each token, as the tagger names them.
            fixed: tokens whose sound is settled already (heteronyms), by position.
        """
        said: list[str] = []  # from the last token to the first: what follows decides how *the* and *to* sound
        vowel: bool | None = None  # does the next sound begin with a vowel? None: nothing or a pause follows
        end = len(tokens)
        while end:
            start = end - 1
            while tokens[start].joined:
                start -= 1
            if tokens[start].is_mark:
                said.append(tokens[start].text)
                vowel = None
            else:
                sound = self._group(tokens, tags, fixed, start, end, vowel)
                said.append(" " + sound)
                vowel = _starts_with_vowel(sound, vowel)
            end = start
        return "".join(reversed(said)).strip()

    def knows(self, word: str) -> bool:
        """Is the word, or what it is an inflection of, in the lexicon?"""
        return self._inflected(word, "O", None) is not None

    def ambiguous(self, word: str) -> bool:
        """Is the word said differently as a noun and as a verb?"""
        entry = self.lexicon.get(word)
        return entry is not None and len(entry.by_tag) > 0 and entry.of("VERB") != entry.of("NOUN")

    # ------------------------------------------------------------------------------------------------------- compounds

    def _group(
        self,
        tokens: Sequence[Token],
        tags: Sequence[str],
        fixed: dict[int, str],
        start: int,
        end: int,
        vowel: bool | None,
    ) -> str:
        """Tokens that hyphens join, said as one word: as the lexicon has it, or part by part."""
        if end - start > 1:
            whole = "-".join(token.text for token in tokens[start:end])
            if known := self._known(whole, tags[end - 1], vowel):
                return known
        parts = []
        for i in range(end - 1, start - 1, -1):
            sound = fixed.get(i) or self._word(tokens, i, tags[i], vowel)
            vowel = _starts_with_vowel(sound, vowel)
            parts.append(sound)
        parts.reverse()
        return _as_one_word(parts, one_letter=len(tokens[start].text) == 1)

    # ---------------------------------------------------------------------------------------------------- single words

    def _word(self, tokens: Sequence[Token], i: int, tag: str, vowel: bool | None) -> str:
        text = tokens[i].text
        after = tokens[i + 1].text.lower() if i + 1 < len(tokens) else ""
        before = tokens[i - 1].text if i else "."
        letter = _is_letter(before) or _is_letter(after.upper()) and after not in ("a", "i")
        if little := self._little_word(text, tag, vowel, after, first=before in MARKS, letter=letter):
            return little
        if text == "point" and before in numbers.WORDS and after in numbers.WORDS:
            return phonemes.unstressed(self._known(text, tag, vowel) or "")
        return self._known(text, tag, vowel) or self._unknown(text, tag, vowel)

    def _little_word(
        self, text: str, tag: str, vowel: bool | None, after: str, *, first: bool, letter: bool
    ) -> str | None:
        """The words whose sound depends on their neighbours; None for all others.

        first: of the sentence, or behind a mark. letter: among single letters, so that A and I are letters, too.
        """
        lower = text.lower()
        if len(lower) > 4 or text.isupper() and len(text) > 1:
            return None
        if lower == "a":
            article = vowel is not None and not letter and (text == "a" or first and tag == "DT")
            return "ɐ" if article else "ˈA"
        if lower == "an":
            return "ɐn"
        if lower == "the":
            return "ði" if vowel else "ðə"
        if lower == "to":
            return "tu" if vowel is None else "tʊ" if vowel else "tə"
        if lower == "in":
            return "ˈɪn" if vowel is None or tag != "IN" else "ɪn"
        if text == "I":
            return "ˌI" if tag == "PRP" and not letter else "ˈI"
        if text == "am" and vowel is not None:
            return "ɐm"
        if lower == "by" and tag == "RB":
            return "bˈI"
        if lower == "used":
            return "jˈust" if after == "to" and tag in ("VBD", "JJ") else "jˈuzd"
        return None

    def _known(self, text: str, tag: str, vowel: bool | None) -> str | None:
        """As the lexicon and its endings have it; None if they do not know the word."""
        if initialism := _INITIALISM.match(text):
            return self._capitals(text, initialism, tag, vowel)
        if len(text) == 1:
            return self.spell(text)
        sound = self._inflected(text, tag, vowel)
        if sound is None and not text.islower():
            sound = self._inflected(text.lower(), tag, vowel)
        if sound is None or text.islower():
            return sound
        return phonemes.lightly_stressed(sound)

    def _capitals(self, text: str, initialism: re.Match[str], tag: str, vowel: bool | None) -> str | None:
        """A word in capitals: an acronym, a word said loudly, or letters to be spelt."""
        letters, end = initialism["letters"], initialism["end"]
        sound = None
        if "." not in letters:
            entry = self.lexicon.get(letters)
            if entry is None:
                name = tag == "NNP" and len(letters) < 8
                lower = letters.lower()
                loud = self._sound(lower, tag, vowel) if name else self._inflected(lower, tag, vowel)
                if loud and (not name or phonemes.PRIMARY in loud and self._trusted(lower)):
                    sound = loud
            elif entry.by_tag.get("NOUN") != "" or letters in _SHOUTED:
                sound = _chosen(entry, tag, vowel)
        sound = phonemes.fully_stressed(sound) if sound else self.spell(letters)
        return _plus_s(sound) if end else sound

    def spell(self, letters: str) -> str:
        """Letter by letter, as one word: HTML -> ˌAʧtˌiˌɛmˈɛl."""
        names = [self.lexicon.get(letter) for letter in letters.upper() if letter.isalpha()]
        sound = phonemes.weakened("".join(name.default for name in names if name))
        return phonemes.PRIMARY.join(sound.rsplit(phonemes.SECONDARY, 1))

    # --------------------------------------------------------------------------------------------- lexicon and endings

    def _find(self, word: str) -> Entry | None:
        """The entry of a word; a capital at its beginning counts only where the lexicon tells the two apart."""
        entry = self.lexicon.get(word)
        if entry is None and word.islower():
            return self.lexicon.get(word.capitalize())
        if entry is None and word[:1].isupper() and word[1:].islower():
            return self.lexicon.get(word.lower())
        return entry

    def _trusted(self, word: str) -> bool:
        entry = self._find(word)
        return entry is not None and entry.trusted

    def _sound(self, word: str, tag: str, vowel: bool | None) -> str | None:
        entry = self._find(word)
        return entry and _chosen(entry, tag, vowel)

    def _inflected(self, word: str, tag: str, vowel: bool | None) -> str | None:
        """The word itself, or a known word and one of the endings -s, -'s, -ed, -ing, -in'."""
        sound = self._sound(word, tag, vowel)
        if sound is not None:
            return sound
        for stem, ending in _stems(word):
            sound = self._sound(stem, tag, vowel)
            if sound:
                return ending(sound)
        return None

    # --------------------------------------------------------------------------------------------------- unknown words

    def _unknown(self, text: str, tag: str, vowel: bool | None) -> str:
        """A word that the lexicon lacks: shortened, written in camel case, spelt, or guessed from its letters."""
        for short, sound in _SHORTENED.items():
            if text.lower().endswith(short) and len(text) > len(short):
                stem = text[: -len(short)]
                return (self._known(stem, tag, False) or self._unknown(stem, tag, False)) + sound
        if text.lower().endswith("'s"):
            return _plus_s(self._unknown(text[:-2], tag, vowel))
        parts = _CAMEL.findall(text)
        if len(parts) > 1 and "'" not in text and parts[0] not in ("Mc", "Mac", "De", "Di", "Le", "La"):
            return _as_one_word([self._known(part, tag, False) or self._unknown(part, tag, False) for part in parts])
        lower = text.lower().replace("'", "")
        if not set(lower) & set("aeiouy"):
            return self.spell(lower)
        return self.guess(lower)


# --------------------------------------------------------------------------------------------------------------- rules


def _chosen(entry: Entry, tag: str, vowel: bool | None) -> str:
    """The sound for this part of speech; where the entry has one for the end of a phrase, that goes first."""
    if vowel is None and "None" in entry.by_tag:
        return entry.by_tag["None"]
    if tag in entry.by_tag:
        return entry.by_tag[tag]
    return entry.of(_PARENT.get(tag, tag))


def _is_letter(text: str) -> bool:
    return len(text) == 1 and text.isupper() and text not in "AI"


def _starts_with_vowel(sound: str, otherwise: bool | None) -> bool | None:
    """Of the first sound; ɐ, the article, is neither vowel nor consonant to the word before it: so voices learnt."""
    for symbol in sound:
        if symbol in phonemes.VOWELS:
            return True
        if symbol in phonemes.CONSONANTS:
            return False
    return otherwise


def _as_one_word(parts: Sequence[str], *, one_letter: bool = False) -> str:
    """Parts of a compound behind each other, with the lighter ones weakened until half of them are strong.

    one_letter: the first part is a letter, which keeps its stress: X-ray, ˈɛksɹˌA.
    """
    sounding = [i for i, part in enumerate(parts) if part]
    strong = sum(phonemes.PRIMARY in parts[i] for i in sounding)
    weak: Sequence[int] = ()
    if len(sounding) == 2 and one_letter:
        weak = sounding[1:]
    elif len(sounding) > 1 and strong > (len(sounding) + 1) // 2:
        by_weight = sorted(sounding, key=lambda i: (phonemes.PRIMARY in parts[i], phonemes.length(parts[i]), i))
        weak = by_weight[: len(sounding) // 2]
    return "".join(
        phonemes.weakened(part) if i in weak and phonemes.PRIMARY in part else part for i, part in enumerate(parts)
    )


def _stems(word: str) -> list[tuple[str, Callable[[str], str]]]:
    """What the word could be an inflection of, the likelier first, and how the ending is said."""
    length = len(word)
    if word.endswith("in'"):
        return [(word[:-1] + "g", lambda sound: sound.removesuffix("ŋ") + "n")] if length > 4 else []
    possible: tuple[tuple[bool, str, Callable[[str], str]], ...] = (
        (word.endswith("'s"), word[:-2], _plus_s),
        (word.endswith("s") and not word.endswith(("ss", "'s")) and length > 2, word[:-1], _plus_s),
        (word.endswith("ies") and length > 4, word[:-3] + "y", _plus_s),
        (word.endswith("es") and not word.endswith("ies") and length > 4, word[:-2], _plus_s),
        (word.endswith("d") and not word.endswith("dd") and length > 3, word[:-1], _plus_ed),
        (word.endswith("ed") and not word.endswith("eed") and length > 4, word[:-2], _plus_ed),
        (word.endswith("ied") and length > 4, word[:-3] + "y", _plus_ed),
        (word.endswith("ing") and length > 5, word[:-3], _plus_ing),
        (word.endswith("ing") and length > 4, word[:-3] + "e", _plus_ing),
    )
    found = [(stem, ending) for fits, stem, ending in possible if fits]
    if length > 5 and (doubled := _DOUBLED.search(word)):
        ing = doubled[0].endswith("ing")
        found.append((word[: -4 if ing else -3], _plus_ing if ing else _plus_ed))
    return found


def _plus_s(sound: str) -> str:
    if sound[-1:] in tuple("ptkfθ"):
        return sound + "s"
    return sound + ("ᵻz" if sound[-1:] in tuple("szʃʒʧʤ") else "z")


def _plus_ed(sound: str) -> str:
    if sound[-1] in "pkfθʃsʧ":
        return sound + "t"
    if sound[-1] == "t":
        return sound[:-1] + "Tᵻd" if sound[-2:-1] in _TAPPING else sound + "ᵻd"
    return sound + ("ᵻd" if sound[-1] == "d" else "d")


def _plus_ing(sound: str) -> str:
    sound = phonemes.lightly_stressed(sound)
    return sound[:-1] + "Tɪŋ" if sound[-1] == "t" and sound[-2:-1] in _TAPPING else sound + "ɪŋ"
