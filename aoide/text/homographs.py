"""Words that are spelt alike and said differently: what their neighbours say about them.

The tagger knows what is likely; the rules here know what is certain. Two kinds: `correct` mends tags where the words
around leave no choice between noun and verb (to record, a record), `settle` fixes words that the part of speech does
not tell apart (the metal lead, the bass guitar, what I read yesterday).
"""

from collections.abc import Callable, Sequence

from aoide.text import tables
from aoide.text.tokens import Token

_MODALS = tables.words(
    "will would can could shall should may might must cannot can't won't wouldn't couldn't shouldn't mustn't mightn't do don't "
    "doesn't didn't does did let's please i'll you'll he'll she'll we'll they'll it'll i'd you'd he'd she'd we'd they'd "
    "gonna wanna gotta"
)
_SUBJECTS = tables.words("i you we they")
_THIRD = tables.words("he she it who")
_ADVERBS = tables.words("not never always also only ever still just really even often usually sometimes then now")
_DETERMINERS = tables.words("the a an my your its our their no any every each another whose some this")
_PREPOSITIONS = tables.words("of in for with by from at on under without into through during")
_OBJECTS = tables.words("the a an him them it us me you his her their my our your its this that these those each")
_PLURALS = tables.words("people police men women children folk they we")
_GOES_ON = _OBJECTS | tables.words("with against when if to about from over through at as for on around down up")
_PREPOSITION_TO = tables.words(
    "led leads leading due subject according response addition close contrary amount back key reaction compared exposed prone "
    "related prior similar down up next return reference"
)
_BE = tables.words(
    "is are was were be been being am i'm you're he's she's it's we're they're isn't aren't wasn't weren't"
)
_HAVE = tables.words("has have had having i've you've we've they've haven't hasn't hadn't he'd she'd i'd they'd we'd")


class Around:
    """A word of a sentence and its neighbours, in lower case; outside the sentence there are empty words."""

    def __init__(self, words: Sequence[str], tags: Sequence[str], at: int) -> None:
        self.words, self.tags, self.at = words, tags, at

    def __getitem__(self, offset: int) -> str:
        i = self.at + offset
        return self.words[i] if 0 <= i < len(self.words) else ""

    def tag(self, offset: int) -> str:
        i = self.at + offset
        return self.tags[i] if 0 <= i < len(self.tags) else ""

    def near(self, cues: str, reach: int = 5) -> bool:
        """Is one of these words within `reach` words?"""
        around = self.words[max(0, self.at - reach) : self.at + reach + 1]
        return not frozenset(cues.split()).isdisjoint(around)

    def before(self) -> int:
        """The offset of the nearest word before that is no adverb."""
        offset = -1
        while self[offset] in _ADVERBS:
            offset -= 1
        return offset

    def asked(self) -> bool:
        """Did you X? Can they X?: an auxiliary, a pronoun, the word."""
        return self[-1] in _SUBJECTS | _THIRD and self[-2] in _MODALS


def _is_verb(here: Around) -> bool | None:
    """True: a verb; False: no verb; None: the neighbours do not say."""
    offset = here.before()
    before = here[offset]
    if before == "to":
        return here[offset - 1] not in _PREPOSITION_TO or None
    if before in _MODALS or here.asked():
        return True
    if before in _SUBJECTS and here[offset - 1] not in ("of", "for", "between"):
        return True
    plural = before in _PLURALS or (
        before.endswith("s") and not before.endswith(("ss", "'s", "us")) and len(before) > 3
    )
    if plural and not here.tag(offset).startswith("VB") and here[1] in _GOES_ON:
        return True if here[1] in _OBJECTS or not here[0].endswith("s") else None
    if before in ("", ",", ":", ";") and here[1] in _DETERMINERS and not here[0].endswith("s"):
        return True if before == "" or here[1] in ("the", "your") else None
    if before in _DETERMINERS or before.endswith("'s") and here.tag(offset) in ("NN", "NNP"):
        return False
    if here.tag(-1) == "JJ" and here[-2] in _DETERMINERS or before in _PREPOSITIONS:
        return False
    return None


def correct(tokens: Sequence[Token], tags: Sequence[str], ambiguous: Callable[[str], bool]) -> list[str]:
    """The tags, mended where the neighbours of a word leave no choice.

    Args:
        ambiguous: is a word (in lower case) said differently as a noun and as a verb?
    """
    words = [token.text.lower() for token in tokens]
    mended = list(tags)
    for i, word in enumerate(words):
        if tokens[i].is_mark or tokens[i].joined or not ambiguous(word):
            continue
        verb = _is_verb(Around(words, mended, i))
        if verb is True and not mended[i].startswith("VB"):
            mended[i] = "VB"
        elif verb is False and mended[i].startswith("VB"):
            mended[i] = "NN"
    return mended


# ---------------------------------------------------------------------------------------------------- words one by one

_METAL = (
    "pipe pipes poisoning paint paints pencil pencils zinc copper tin mercury bullet bullets metal metals ore acid toxic gasoline "
    "petrol solder alloy molten mine mines arsenic cadmium iron roof lead-free plumber ingot ingots pellets glass dust ban"
)
_ON_STAGE = (
    "music broadcast broadcasts show shows concert performance performances audience album recording recordings event events "
    "coverage stream streaming television tv radio video chat feed version theater theatre action updates stage"
)
_LIVING = (
    "animal animals wire wires bait ammunition rounds lobster fish birth births cell cells oak oysters virus specimen"
)


def _read(here: Around) -> str:
    past, present = "ɹˈɛd", "ɹˈid"
    offset = here.before()
    before = here[offset]
    if before in _HAVE | _BE or here[-1] in _SUBJECTS | _THIRD and here[-2] in _HAVE or before == "well":
        return past
    if before == "to" or before in _MODALS or here.asked():
        return present
    if before == "":
        return present  # an order: Read this.
    if here.near("yesterday last ago once twice already earlier", 9) or before in ("he", "she", "it"):
        return past
    if here.near("every always often usually sometimes never daily each seldom rarely", 6):
        return present
    if before in ("who", "children", "people", "students") and here.near("are can do will like love should", 8):
        return present
    return past if here.tag(0) in ("VBD", "VBN", "VBP", "JJ") else present


def _lead(here: Around) -> str | None:
    verb = here.tag(0).startswith("VB") and here.before() != 0 and here[here.before()] in _MODALS | {"to"} | _SUBJECTS
    metal = (
        here[1] in _METAL.split()
        or not verb
        and here.near(_METAL)
        or here[-1] == "of"
        and here[-2] in ("made", "piece", "sheet")
    )
    return "lˈɛd" if metal else None


def _live(here: Around) -> str | None:
    staged = (
        here[1] in (_ON_STAGE + " " + _LIVING).split()
        or here[-1]
        in ("broadcast", "televised", "streamed", "aired", "recorded", "performed", "play", "played", "sang")
        or here[-1] in _BE
        and here[1] in ("on", "from", "at", "now", "", ".", "again")
        or here[-1] in ("a", "the", "go", "going", "went", "goes")
    )
    return "lˈIv" if staged and here[-1] not in ("to", "we", "i", "they", "you") else None


def _wind(here: Around) -> str | None:
    return (
        "wˈInd"
        if here[-1] not in _DETERMINERS and here.tag(-1) in ("NN", "NNP", "PRP") and here[1] in _GOES_ON - {"at"}
        else None
    )


def _wound(here: Around) -> str | None:
    coiled = here[1] in ("up", "around", "round", "through", "its", "the", "a", "tightly", "down", "onto", "on")
    return "wˈWnd" if coiled and here[-1] not in _DETERMINERS and here.tag(-1) != "JJ" else None


def _tear(here: Around) -> str | None:
    ripped = "jacket shirt pants trousers fabric cloth paper muscle ligament tendon dress sail sleeve knee skirt curtain wear"
    return "tˈɛɹ" if here[0] == "tear" and here.near(ripped) and here[1] != "gas" else None


def _bass(here: Around) -> str:
    fish = "fish fishing lake river sea caught catch striped largemouth smallmouth pond grilled fried angler bait fillet trout"
    return "bˈæs" if here.near(fish) else "bˈAs"


def _bow(here: Around) -> str | None:
    if here[1] in ("tie", "ties", "string", "window") or here.near("arrow arrows violin cello ribbon hair tied", 6):
        return "bˈO"
    bending = here[1] in ("to", "down", "before") or here[-1] in ("take", "took", "final", "deep", "low", "polite")
    return "bˈW" if bending or here.near("ship boat stern deck hull head heads", 4) else None


def _row(here: Around) -> str | None:
    quarrel = here[-1] in ("a", "blazing", "furious", "political", "family") and here[1] in (
        "with",
        "about",
        "over",
        "between",
    )
    return "ɹˈW" if quarrel else None


def _minute(here: Around) -> str | None:
    small = "traces trace amount amounts quantity quantities particle particles detail details difference differences scale cracks"
    return (
        "mInˈut"
        if here[1] in small.split() or here[-1] in ("very", "so", "too", "extremely", "in") and here[1] == "detail"
        else None
    )


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
    return "dˈOv" if plunged and (here[-1] in _SUBJECTS | _THIRD or here.tag(-1) == "NNP") else None


def _does(here: Around) -> str | None:
    return (
        "dˈOz"
        if here.near("bucks deer fawns stags buck", 4) and here[-1] in ("and", "two", "three", "the", "or")
        else None
    )


def _resume(here: Around) -> str | None:
    noun = (
        here[-1] in _DETERMINERS | {"his", "her"} or here.tag(-1) == "JJ" and here[-2] in _DETERMINERS | {"his", "her"}
    )
    return "ɹˈɛzəmˌA" if noun else None


def _invalid(here: Around) -> str | None:
    noun = here[-1] in ("an", "the", "this", "poor") and (
        here.tag(1).startswith("VB") or here[1] in ("", ".", ",", "in", "who") or here[1] in _BE
    )
    return "ˈɪnvəlɪd" if noun else "ɪnvˈælɪd"


def _content(here: Around) -> str | None:
    pleased = here[-1] in _BE | {"feel", "feels", "felt", "seem", "seems", "seemed", "not", "very", "quite"}
    return "kəntˈɛnt" if pleased and here[1] in ("with", "to", ".", "", ",", "and") else None


def _close(here: Around) -> str | None:
    if here[1] == "to" and here[here.before()] not in _MODALS | {"to"} or here[1] == "by":
        return "klˈOs"
    shutting = (
        here.tag(-1) == "NN"
        and here[-1].endswith("s")
        and here[1] in ("at", "the", "for", "early", "late", "in", "down", "on")
    )
    return "klˈOz" if shutting else None


def _used(here: Around) -> str | None:
    if here[1] != "to":
        return None
    if here[-1] in _BE:  # she is used to work (jˈust) -- the tool is used to cut (jˈuzd)
        person = here[-2] in ("i", "he", "she", "we", "they", "you", "who") or here[-1].startswith(
            ("i'", "he'", "she'", "we'", "they'", "you'")
        )
        return "jˈust" if person or here[2].endswith("ing") or here[2] in _OBJECTS else "jˈuzd"
    habit = (
        here.tag(-1) in ("PRP", "RB")
        or here[-1] in ("get", "gets", "got", "become", "became", "who")
        or here.tag(0) == "VBD"
    )
    return "jˈust" if habit else "jˈuzd"


def _bases(here: Around) -> str:
    return "bˈAsiz" if here[1] in ("of", "for") else "bˈAsᵻz"


def _aged(here: Around) -> str | None:
    old = here[-1] in ("the", "an", "their", "his", "her", "my") and here.tag(1) in ("NN", "NNP", "O", "IN", "")
    return "ˈAʤᵻd" if old and here[1] not in ("care", "cheese", "beef", "well") else None


def _deserts(here: Around) -> str | None:
    return "dəzˈɜɹts" if here[-1] == "just" else None


_WORDS: dict[str, Callable[[Around], str | None]] = {
    "read": _read,
    "lead": _lead,
    "live": _live,
    "wind": _wind,
    "wound": _wound,
    "tear": _tear,
    "tears": _tear,
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
    """Words whose sound the rules know, by position."""
    words = [token.text.lower() for token in tokens]
    found = {}
    for i, word in enumerate(words):
        if rule := _WORDS.get(word):
            if sound := rule(Around(words, tags, i)):
                found[i] = sound
    return found
