"""Japanese: Open JTalk reads Kanji and finds the morae (package pyopenjtalk-plus, MIT; extra `ja`, 350 MB).

    units: Open JTalk's phonemes: a i u e o, devoiced vowels as voiced ones, N (ん), cl (っ), k ky g gy s sh z j t ts ch
    d n ny h hy f b by p py m my y r ry w v, and ty dy kw gw fy of loanwords; a long vowel is the same one twice

Abbreviations in Latin capitals are read by Open JTalk, as Japanese says them; other Latin words are English. Spaces
mean nothing.
"""

from __future__ import annotations

import re
from functools import lru_cache

from aoide.config import UserError, require
from aoide.text.units import GAP, MARKS, UnitFrontEnd, english, plain, tidy

_WIDE = "[\u3040-\u30ff\u3400-\u9fff]"
_SILENT = frozenset(("pau", "sil"))


class FrontEnd(UnitFrontEnd):
    """Reads Japanese; see `aoide.text.FrontEnd`.

    Raises:
        MissingExtra: pyopenjtalk-plus is not installed.
    """

    HOUSE = {
        "a": "a", "i": "i", "u": "ɯ", "e": "e", "o": "o", "N": "ɴ", "cl": "ʔ", "k": "k", "ky": "kʲ", "g": "ɡ",
        "gy": "ɡʲ", "s": "s", "sh": "ɕ", "z": "z", "j": "ʥ", "t": "t", "ts": "ʦ", "ch": "ʨ", "d": "d", "n": "n",
        "ny": "ɲ", "h": "h", "hy": "ç", "f": "ɸ", "b": "b", "by": "bʲ", "p": "p", "py": "pʲ", "m": "m", "my": "mʲ",
        "y": "j", "r": "ɾ", "ry": "ɾʲ", "w": "w", "v": "v", "ty": "tʲ", "dy": "dʲ", "kw": "kw", "gw": "ɡw", "fy": "ɸʲ",
    }  # fmt: skip

    def __init__(self) -> None:
        require("pyopenjtalk", "ja")

    def units(self, sentence: str) -> list[str]:
        """See `UnitFrontEnd`."""
        text = re.sub(r"(?<=\d),(?=\d{3})", "", plain(sentence))
        text = re.sub(r"(?<=\d)\.(?=\d)", "点", text)
        text = re.sub(rf"(?<={_WIDE}) +| +(?={_WIDE})", "", text)
        found: list[str] = []
        for part in re.findall(r"[,.!?;:…]|[A-Za-z][A-Za-z' -]*[a-z][A-Za-z']*|[^,.!?;:…A-Za-z]+|[A-Z]+", text):
            if part in MARKS:
                found.append(part)
            elif part.isascii() and any(map(str.islower, part)):
                found += [GAP, *english(part), GAP]
            elif any(map(str.isalnum, part)):
                found += _read(part, frozenset(self.HOUSE))
        return tidy(found)


@lru_cache(maxsize=4096)
def _read(text: str, known: frozenset[str]) -> tuple[str, ...]:
    said = require("pyopenjtalk", "ja").g2p(text).split()
    found = tuple(unit.lower() if unit in "AIUEO" else unit for unit in said if unit not in _SILENT)
    strange = " ".join(dict.fromkeys(unit for unit in found if unit not in known))
    if strange:
        raise UserError(f"Open JTalk reads {text[:20]!r} with sounds that are not known here: {strange}")
    return found
