"""American English: normalisation, lexicon, heteronyms by part of speech and context, and a network for unknown words.

Everything that it needs is in the package; nothing here imports torch. The data were made by tools/make_lexicon.py,
tools/make_tagger.py and `aoide train recipes/g2p/letters-en.yaml`; their sources and licences stand in
aoide/text/data/NOTICE.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

from aoide.config import UserError
from aoide.text import homographs
from aoide.text.letters import Letters
from aoide.text.lexicon import Lexicon
from aoide.text.normalize import normalize
from aoide.text.sentences import sentences
from aoide.text.tagger import Tagger
from aoide.text.tokens import Token, tokens
from aoide.text.words import Words

_DATA = Path(__file__).parents[1] / "data"


class FrontEnd:
    """Reads English; see `aoide.text.FrontEnd`."""

    def __init__(self) -> None:
        self._lexicon = Lexicon(_DATA / "en-lexicon.bin")
        self._tagger = Tagger(_DATA / "en-tagger.bin")
        self._words = Words(self._lexicon, Letters(_DATA / "en-letters.onnx"))

    def sentences(self, text: str | Iterable[str]) -> Iterator[str]:
        """The sentences of a text, those without a letter or a digit left out.

        Raises:
            UserError: none of them has any.
        """
        empty = True
        for sentence in sentences(text):
            if any(map(str.isalnum, sentence)):
                empty = False
                yield sentence
        if empty:
            raise UserError("nothing to say: the text has no letters and no digits")

    def phonemize(self, sentence: str) -> str:
        """The phonemes of one sentence, with . , ! ? ; : between them; an empty string if there is nothing to say.

        Raises:
            UserError: letters of a script that English does not use.
        """
        found = self._calm(tokens(normalize(sentence)))
        if not any(not token.is_mark for token in found):
            return ""
        tags = homographs.correct(found, self._tagger(found), self._words.ambiguous)
        return self._words.say(found, tags, homographs.settle(found, tags))

    def _calm(self, found: list[Token]) -> list[Token]:
        """A sentence that is all capitals is not spelt, but read as if it were not shouted."""
        loud = [token.text for token in found if not token.is_mark]
        if (
            not all(map(str.isupper, loud))
            or sum(len(word) > 1 and self._words.knows(word.lower()) for word in loud) == 0
        ):
            return found
        return [Token(t.text.lower(), t.joined) if self._words.knows(t.text.lower()) else t for t in found]
