"""Any language of espeak-ng: `frontend("espeak/de")`. An adapter and nothing more, only loaded when it is asked for.

espeak-ng and phonemizer are under the GPL, version 3, and so is a program that is given away together with them; that
is why they come with an extra of their own (pip install 'aoide[espeak]') and nothing in Aoide needs them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from aoide.config import UserError, near, require
from aoide.text import sentences as splitting
from aoide.text.phonemes import SYMBOLS

# Two sounds that espeak ties together are one letter in our alphabet.
_TIED = {"aɪ": "I", "aʊ": "W", "eɪ": "A", "oʊ": "O", "əʊ": "Q", "ɔɪ": "Y", "dʒ": "ʤ", "tʃ": "ʧ", "dz": "ʣ", "ts": "ʦ",
         "tɕ": "ʨ", "dʑ": "ʥ"}  # fmt: skip
_TIE = "^"
_PLAIN = {"g": "ɡ", "ɝ": "ɜɹ", "ʏ": "y", "ɫ": "l", "‿": "", "-": ""}


class FrontEnd:
    """Reads the language that espeak-ng knows by the code `language`; see `aoide.text.FrontEnd`.

    Raises:
        MissingExtra: phonemizer or espeakng-loader is not installed.
        UserError: espeak-ng has no such language; names the near ones.
    """

    def __init__(self, language: str = "") -> None:
        backend = _backend()
        known = backend.supported_languages()
        if language not in known:
            guess = near(language, known) or f" it has {len(known)}: en-us, de, fr-fr, es, it, ..."
            raise UserError(f"espeak-ng has no language {language or 'without a name'!r};{guess} (write espeak/CODE)")
        self._speaker = backend(
            language, with_stress=True, preserve_punctuation=True, tie=_TIE, language_switch="remove-flags"
        )

    def sentences(self, text: str | Iterable[str]) -> Iterator[str]:
        """The sentences of a text, those without a letter or a digit left out.

        Raises:
            UserError: none of them has any.
        """
        empty = True
        for sentence in splitting.sentences(text):
            if any(map(str.isalnum, sentence)):
                empty = False
                yield sentence
        if empty:
            raise UserError("nothing to say: the text has no letters and no digits")

    def phonemize(self, sentence: str) -> str:
        """The phonemes of one sentence in the alphabet of aoide/text/phonemes.py; what it lacks is left out."""
        said = " ".join(self._speaker.phonemize([" ".join(sentence.split())], strip=True))
        for pair, letter in _TIED.items():
            said = said.replace(_TIE.join(pair), letter)
        for old, new in {**_PLAIN, _TIE: ""}.items():
            said = said.replace(old, new)
        return " ".join("".join(symbol for symbol in said if symbol in SYMBOLS).split())


def _backend() -> Any:
    """phonemizer's espeak backend, given the library that comes with espeakng-loader."""
    require("phonemizer", "espeak")
    loader = require("espeakng_loader", "espeak")
    from phonemizer.backend import EspeakBackend
    from phonemizer.backend.espeak.wrapper import EspeakWrapper

    EspeakWrapper.set_library(loader.get_library_path())
    EspeakWrapper.set_data_path(loader.get_data_path())
    return EspeakBackend
