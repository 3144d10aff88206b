"""Phoneme strings <-> the numbers that a voice knows them by."""

from collections.abc import Iterable, Mapping

import numpy as np

from aoide.config import UserError

PAD = 0  # the silence before and after an utterance


class Tokenizer:
    """One symbol, one number.

    Args:
        symbols: symbol -> number, as a voice's card has it; 0 is the silence at both ends and belongs to no symbol.
    """

    def __init__(self, symbols: Mapping[str, int]) -> None:
        if PAD in symbols.values():
            raise ValueError("0 stands for the silence at both ends, no symbol can have it")
        self.symbols = dict(symbols)
        self._by_number = {number: symbol for symbol, number in symbols.items()}

    def encode(self, phonemes: str) -> np.ndarray:
        """The numbers of the symbols, int64 (tokens,), with a 0 at both ends.

        Raises:
            UserError: a symbol that the voice does not know.
        """
        try:
            numbers = [self.symbols[symbol] for symbol in phonemes]
        except KeyError:
            unknown = " ".join(dict.fromkeys(symbol for symbol in phonemes if symbol not in self.symbols))
            raise UserError(f"this voice does not know the phonemes {unknown} (in {phonemes[:60]!r})") from None
        return np.array([PAD, *numbers, PAD], dtype=np.int64)

    def decode(self, tokens: Iterable[int]) -> str:
        """The phoneme string of tokens; zeros are left out."""
        return "".join(self._by_number[int(token)] for token in tokens if int(token) != PAD)
