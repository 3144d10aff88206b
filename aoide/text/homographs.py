"""Words that are spelt alike and said differently: what their neighbours say about them.

The tagger knows what is likely; the rules here know what is certain. Two kinds: `correct` mends tags where the words
around leave no choice between noun and verb (to record, a record), `settle` fixes words that the part of speech does
not tell apart (the metal lead, the bass guitar, what I read yesterday).
"""

from collections.abc import Callable, Sequence

from aoide.text.tables import words
from aoide.text.tokens import Token

_MODALS = words(
    """will would can could shall should may might must cannot can't won't wouldn't couldn't shouldn't mustn't mightn't
    do
    don't doesn't didn't does did let's please i'll you'll he'll she'll we'll they'll it'll i'd you'd he'd she'd we'd
    they'd gonna wanna gotta"""
)
_PLURAL_PRONOUNS = words("i you we they")
_SINGULAR_PRONOUNS = words("he she it who")
_PRONOUNS = _PLURAL_PRONOUNS | _SINGULAR_PRONOUNS
_ADVERBS = words("not never always also only ever still just really even often usually sometimes then now")
_DETERMINERS = words("the a an my your its our their no any every each another whose some this")
_POSSESSIVES = _DETERMINERS | words("his her")
_PREPOSITIONS = words("of in for with by from at on under without into through during")
_OBJECTS = words("the a an him them it us me you his her their my our your its this that these those each")
_PLURALS = words("people police men women children folk they we")
_GOES_ON = _OBJECTS | words("with against when if to about from over through at as for on around down up")
_AFTER_NO_INFINITIVE = words(
    """led leads leading due subject according response addition close contrary amount back key reaction compared
    exposed
    exposure prone related prior similar down up next return reference"""
)
_BE = words("is are was were be been being am i'm you're he's she's it's we're they're isn't aren't wasn't weren't")
_HAVE = words("has have had having i've you've we've they've haven't hasn't hadn't he'd she'd i'd they'd we'd")


class Around:
    """A word of a sentence and its neighbours, in lower case; outside the sentence there are empty words."""

    def __init__(self, sentence: Sequence[str], tags: Sequence[str], at: int) -> None:
        self.sentence, self.tags, self.at = sentence, tags, at

    def __getitem__(self, offset: int) -> str:
        i = self.at + offset
        return self.sentence[i] if 0 <= i < len(self.sentence) else ""

    def tag(self, offset: int) -> str:
        i = self.at + offset
        return self.tags[i] if 0 <= i < len(self.tags) else ""

    def near(self, cues: frozenset[str], reach: int = 5) -> bool:
        """Is one of these words within `reach` words?"""
        return not cues.isdisjoint(self.sentence[max(0, self.at - reach) : self.at + reach + 1])

    def before(self) -> int:
        """The offset of the nearest word before that is no adverb."""
        offset = -1
        while self[offset] in _ADVERBS:
            offset -= 1
        return offset

    def asked(self) -> bool:
        """Did you X? Can they X?: an auxiliary, a pronoun, the word."""
        return self[-1] in _PRONOUNS and self[-2] in _MODALS


# ----------------------------------------------------------------------------------------------------- noun or verb


def _is_verb(here: Around) -> bool | None:
    """True: a verb; False: no verb; None: the neighbours do not say."""
    offset = here.before()
    before = here[offset]
    if before == "to":
        return None if here[offset - 1] in _AFTER_NO_INFINITIVE else True
    if before in _MODALS or here.asked():
        return True
    if before in _PLURAL_PRONOUNS and here[offset - 1] not in ("of", "for", "between"):
        return True
    if _after_plural(here, offset) and not here[0].endswith("s"):
        return True
    if before == "" and here[1] in _DETERMINERS and not here[0].endswith("s"):
        return True  # an order: Separate the eggs.
    owned = before.endswith("'s") and here.tag(offset) in ("NN", "NNP")
    described = here.tag(-1) == "JJ" and here[-2] in _DETERMINERS
    return False if before in _DETERMINERS | _PREPOSITIONS or owned or described else None


def _after_plural(here: Around, offset: int) -> bool:
    """Metals contract when they cool: a plural, the word, and something that follows a verb."""
    subject = here[offset]
    plural = subject.endswith("s") and not subject.endswith(("ss", "'s", "us")) and len(subject) > 3
    if not plural and subject not in _PLURALS or here.tag(offset).startswith("VB"):
        return False
    return here[1] in _GOES_ON or here[1].endswith("ly")


def correct(tokens: Sequence[Token], tags: Sequence[str], ambiguous: Callable[[str], bool]) -> list[str]:
    """The tags, mended where the neighbours of a word leave no choice.

    Args:
        ambiguous: is a word (in lower case) said differently as a noun and as a verb?
    """
    sentence = [token.text.lower() for token in tokens]
    mended = list(tags)
    for i, word in enumerate(sentence):
        if tokens[i].is_mark or tokens[i].joined or not ambiguous(word):
            continue
        verb = _is_verb(Around(sentence, mended, i))
        if verb is True and not mended[i].startswith("VB"):
            mended[i] = "VB"
        elif verb is False and mended[i].startswith("VB"):
            mended[i] = "NN"
    return mended


# -------------------------------------------------------------------------------------------------- words one by one

_PAST = words("yesterday last ago once twice already earlier")
_HABIT = words("every always often usually sometimes never daily each seldom rarely")
_METAL = words(
    """pipe pipes poisoning poisoned paint paints pencil pencils zinc copper tin mercury bullet bullets metal metals ore
    acid toxic gasoline petrol solder alloy molten mine mines arsenic cadmium iron roof plumber ingot ingots pellets
    glass
    dust exposure exposed contaminated"""
)
_STAGED = words(
    """music broadcast broadcasts show shows concert performance performances audience album recording recordings event
    events coverage stream streaming television tv radio video chat feed version theater theatre action updates stage
    animal animals wire wires bait ammunition rounds lobster fish birth births cell cells oak oysters virus specimen"""
)
_SHOWN = words("broadcast televised streamed aired recorded performed play played sang")
_TORN = words("jacket shirt pants trousers fabric cloth paper muscle ligament tendon dress sail sleeve knee skirt wear")
_FISH = words(
    "fish fishing fished lake river sea caught catch striped largemouth smallmouth pond grilled fried bait trout"
)
_SHIP = words("ship boat stern deck hull head heads")
_ARCHER = words("arrow arrows violin cello ribbon hair tied")
_SMALL = words(
    """trace traces amount amounts quantity quantities particle particles detail details difference differences change
    changes scale crack cracks dose doses fraction organisms hole holes drops"""
)


def _read(here: Around) -> str:
    past, present = "ɹˈɛd", "ɹˈid"
    before = here[here.before()]
    if before in _HAVE | _BE or before == "well" or here[-1] in _PRONOUNS and here[-2] in _HAVE:
        return past
    if before in _MODALS or before in ("to", "") or here.asked():
        return present
    if here.near(_PAST, 9) or before in ("he", "she", "it"):
        return past
    if here.near(_HABIT, 6):
        return present
    return past if here.tag(0) in ("VBD", "VBN", "VBP", "JJ") else present


def _lead(here: Around) -> str | None:
    if here[here.before()] in _MODALS | _PLURAL_PRONOUNS:
        return None
    metal = here.near(_METAL) or here[-1] == "of" and here[-2] in ("made", "piece", "sheet")
    return "lˈɛd" if metal else None


def _live(here: Around) -> str | None:
    if here[-1] in _PLURAL_PRONOUNS or here[-1] == "to":
        return None
    on_air = here[-1] in _BE and here[1] in ("on", "from", "at", "now", "", ".", "again")
    staged = here[1] in _STAGED or here[-1] in _SHOWN or here[-1] in ("a", "the", "go", "going", "went", "goes")
    return "lˈIv" if staged or on_air else None


def _wind(here: Around) -> str | None:
    bends = (
        here[1] in _GOES_ON - {"at"} if here[0] == "wind" else here[1] in ("through", "around", "along", "up", "its")
    )
    if not bends or here[-1] in _DETERMINERS or here.tag(-1) not in ("NN", "NNP", "PRP"):
        return None
    return "wˈInd" if here[0] == "wind" else "wˈIndz"


def _wound(here: Around) -> str | None:
    coiled = here[1] in ("up", "around", "round", "through", "its", "the", "a", "tightly", "down", "onto", "on")
    return "wˈWnd" if coiled and here[-1] not in _DETERMINERS and here.tag(-1) != "JJ" else None


def _tear(here: Around) -> str | None:
    return "tˈɛɹ" if here.near(_TORN) and here[1] != "gas" else None


def _bass(here: Around) -> str:
    return "bˈæs" if here.near(_FISH) else "bˈAs"


def _bow(here: Around) -> str | None:
    if here[1] in ("tie", "ties", "string", "window") or here.near(_ARCHER, 6):
        return "bˈO"
    bending = here[1] in ("to", "down", "before") or here[-1] in ("take", "took", "final", "deep", "low", "polite")
    return "bˈW" if bending or here.near(_SHIP, 4) else None


def _row(here: Around) -> str | None:
    about = here[1] in ("with", "about", "over", "between")
    return "ɹˈW" if about and here[-1] in ("a", "blazing", "furious", "political", "family") else None


def _minute(here: Around) -> str | None:
    small = here[1] in _SMALL or here[-1] in ("very", "so", "too", "extremely")
    return "mInˈut" if small and here[-1] != "last" else None


def _dove(here: Around) -> str | None:
    plunged = here[1] in (
        "into",
        "in",
        "under",
        "off",
        "down",
        "for",
        "headfirst",
        "straight",
        "deep",
        "through",
        "from",
    )
    return "dˈOv" if plunged and (here[-1] in _PRONOUNS or here.tag(-1) == "NNP") else None


def _does(here: Around) -> str | None:
    deer = here.near(words("bucks deer fawns stags buck"), 4)
    return "dˈOz" if deer and here[-1] in ("and", "two", "three", "the", "or") else None


def _resume(here: Around) -> str | None:
    owned = here[-1] in _POSSESSIVES or here.tag(-1) == "JJ" and here[-2] in _POSSESSIVES
    return "ɹˈɛzəmˌA" if owned else None


def _invalid(here: Around) -> str:
    follows = here[1] in _BE or here[1] in ("", ".", ",", "in", "who") or here.tag(1).startswith("VB")
    return "ˈɪnvəlɪd" if follows and here[-1] in ("an", "the", "this", "poor") else "ɪnvˈælɪd"


def _content(here: Around) -> str | None:
    felt = here[-1] in _BE | words("feel feels felt seem seems seemed not very quite")
    return "kəntˈɛnt" if felt and here[1] in ("with", "to", ".", "", ",", "and") else None


def _close(here: Around) -> str | None:
    if here[1] == "by" or here[1] == "to" and here[here.before()] not in _MODALS | {"to"}:
        return "klˈOs"
    plural = here.tag(-1) == "NN" and here[-1].endswith("s")
    return "klˈOz" if plural and here[1] in words("at the for early late in down on") else None


def _used(here: Around) -> str | None:
    """I used to go, she is used to work (jˈust); a used car, the tool is used to cut (jˈuzd)."""
    if here[1] != "to":
        return None
    if here[-1] in _BE:
        person = here[-2] in _PRONOUNS - {"it"} or here[-1].partition("'")[0] in _PRONOUNS - {"it"}
        habit = person or here[2].endswith("ing") or here[2] in _OBJECTS
    else:
        got = here[-1] in ("get", "gets", "got", "become", "became", "who")
        habit = got or here.tag(-1) in ("PRP", "RB") or here.tag(0) == "VBD"
    return "jˈust" if habit else "jˈuzd"


def _bases(here: Around) -> str:
    return "bˈAsiz" if here[1] in ("of", "for") else "bˈAsᵻz"


def _aged(here: Around) -> str | None:
    person = here[-1] in _POSSESSIVES and here[1] not in ("care", "cheese", "beef", "well")
    return "ˈAʤᵻd" if person else None


def _deserts(here: Around) -> str | None:
    return "dəzˈɜɹts" if here[-1] == "just" else None


_RULES: dict[str, Callable[[Around], str | None]] = {
    "read": _read,
    "lead": _lead,
    "live": _live,
    "wind": _wind,
    "winds": _wind,
    "wound": _wound,
    "tear": _tear,
    "bass": _bass,
    "bow": _bow,
    "row": _row,
    "minute": _minute,
    "dove": _dove,
    "does": _does,
    "resume": _resume,
    "invalid": _invalid,
    "content": _content,
    "close": _close,
    "used": _used,
    "bases": _bases,
    "aged": _aged,
    "deserts": _deserts,
}


def settle(tokens: Sequence[Token], tags: Sequence[str]) -> dict[int, str]:
    """The words whose sound the rules know, by their position."""
    sentence = [token.text.lower() for token in tokens]
    sounds = {i: _RULES[word](Around(sentence, tags, i)) for i, word in enumerate(sentence) if word in _RULES}
    return {i: sound for i, sound in sounds.items() if sound}
