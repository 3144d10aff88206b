"""Words that no lexicon knows: a small network reads their letters (models/g2p/letters.py,
recipes/g2p/letters-en.yaml).

Each letter has two slots in which the network writes sounds or nothing; what stands in the slots, less repetitions and
nothings, is the pronunciation (connectionist temporal classification). A vowel and its stress are one sound here: the
network cannot write the one and forget the other.
"""

import re
from pathlib import Path
from typing import Any

import numpy as np

from aoide.text.phonemes import PRIMARY, SECONDARY

LETTERS = "'abcdefghijklmnopqrstuvwxyz"  # 1, 2, ... as the network's input; 0 is padding
_CONSONANTS = "bdfhjklmnpstvwzðŋɡɹʃʒʤʧθT"
_VOWELS = "AIOWYæɑɔəɛɜɪʊʌᵊᵻiu"
SOUNDS = (*_CONSONANTS, *(stress + vowel for stress in ("", PRIMARY, SECONDARY) for vowel in _VOWELS))
"""1, 2, ... as the network's output; 0 is "nothing here"."""
_FIRST_VOWEL = len(_CONSONANTS) + 1  # its number; the vowels come plain, with primary, with secondary stress
SLOTS = 2  # per letter: x in *fix* is k and s
LONGEST = 32  # letters; longer strings are read in pieces

_SOUND = re.compile(f"[{PRIMARY}{SECONDARY}]?.")


class Letters:
    """Guesses pronunciations with the network of an ONNX file, which is opened when the first word is asked for."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._session: Any = None  # onnxruntime.InferenceSession
        self._known: dict[str, str] = {}

    def __call__(self, word: str) -> str:
        """The phonemes of a word in lower-case letters and apostrophes."""
        if word not in self._known:
            if len(self._known) > 20_000:
                self._known.clear()
            pieces = [word[i : i + LONGEST] for i in range(0, len(word), LONGEST)]
            self._known[word] = "".join(decode(scores) for scores in self.scores(pieces))
        return self._known[word]

    def scores(self, words: list[str]) -> list[np.ndarray]:
        """What the network thinks of each slot of each word: float32 (slots, sounds + 1)."""
        if self._session is None:
            import onnxruntime

            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = options.inter_op_num_threads = 1
            options.log_severity_level = 3
            self._session = onnxruntime.InferenceSession(str(self._path), options, providers=["CPUExecutionProvider"])
        letters = np.zeros((len(words), max(map(len, words))), np.int64)
        for row, word in zip(letters, words, strict=True):
            row[: len(word)] = encode(word)
        (scores,) = self._session.run(None, {"letters": letters})
        return [of_word[: SLOTS * len(word)] for of_word, word in zip(scores, words, strict=True)]


def encode(word: str) -> np.ndarray:
    """The numbers of the letters, int64 (letters,); what is no letter is read as an apostrophe, which is silent."""
    return np.array([max(LETTERS.find(letter), 0) + 1 for letter in word], np.int64)


def sounds(phonemes: str) -> list[str]:
    """The phonemes in units of `SOUNDS`: fˈɪks -> f, ˈɪ, k, s. What the network cannot write comes out as it is."""
    return _SOUND.findall(phonemes)


def decode(scores: np.ndarray) -> str:
    """(slots, sounds + 1) -> phonemes: the best of each slot, repetitions and nothings left out, one primary stress."""
    best = scores.argmax(axis=-1)
    slots = np.flatnonzero((best != 0) & (best != np.concatenate(([0], best[:-1]))))
    kept = best[slots]
    vowels = np.flatnonzero(kept > len(_CONSONANTS))
    if vowels.size:
        bare = (kept[vowels] - _FIRST_VOWEL) % len(_VOWELS) + _FIRST_VOWEL
        primary, secondary = bare + len(_VOWELS), bare + 2 * len(_VOWELS)
        strong = kept[vowels] == primary
        if strong.sum() != 1:  # the network judges each vowel by itself; a word has one main stress
            chances = scores[slots[vowels]]
            row = np.arange(len(vowels))
            gain = chances[row, primary] - chances[row, np.where(strong, secondary, kept[vowels])]
            chosen = int(np.where(strong | ~strong.any(), gain, -np.inf).argmax())
            kept[vowels[strong]] = secondary[strong]
            kept[vowels[chosen]] = primary[chosen]
    return "".join(SOUNDS[i - 1] for i in kept)
