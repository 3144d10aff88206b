"""Words that are spelt alike and said differently, where the part of speech alone does not settle it."""

from collections.abc import Sequence

from aoide.text.tokens import Token


def settle(tokens: Sequence[Token], tags: Sequence[str]) -> dict[int, str]:
    return {}
