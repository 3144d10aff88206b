"""The pronunciation lexicon: 180,000 words in one file that is searched without being parsed.

File: b"AOIDELEX", the length of the index (4 bytes, little end first), the index (JSON, deflated), then the blocks. A
block is 8 kB of sorted lines `word TAB value`, deflated by itself, so that a first sentence unpacks the dozen blocks
that it needs and nothing else. The index holds the first word and the packed size of each block, and the symbols that
the bytes 0x80 and up stand for.

Value: the phonemes; where the part of speech decides, `default|VERB=...|NOUN=...`, and `NOUN=` with nothing behind it
says that the word is spelt as that part of speech (US, IT). A leading `~` marks the second, machine-made layer of the
misaki lexicon, which is not to be trusted with names.
"""

import bisect
import json
import struct
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

MAGIC = b"AOIDELEX"
BLOCK = 8192  # bytes of a block before packing: 40 microseconds to unpack, 2 % larger in all than one single stream
MARK = "~"


class Entry(NamedTuple):
    """How a word is said: `default`, or `by_tag[tag]`; an empty string in `by_tag` means that the word is spelt."""

    default: str
    by_tag: dict[str, str]
    trusted: bool  # checked by people; False for the machine-made layer

    def of(self, tag: str) -> str:
        return self.by_tag.get(tag, self.default)


class Lexicon:
    """Words -> `Entry`. Looking up costs a few microseconds; words met once are remembered."""

    def __init__(self, path: Path) -> None:
        data = path.read_bytes()
        if data[: len(MAGIC)] != MAGIC:
            raise ValueError(f"{path} is not a lexicon: it should start with {MAGIC.decode()}")
        start = len(MAGIC) + 4
        (size,) = struct.unpack("<I", data[len(MAGIC) : start])
        index = json.loads(zlib.decompress(data[start : start + size]))
        self._letters = {0x80 + i: symbol for i, symbol in enumerate(index["symbols"])}
        self._first: list[str] = index["first"]
        self._offsets = [start + size]
        for packed in index["sizes"]:
            self._offsets.append(self._offsets[-1] + packed)
        self._data = data
        self._blocks: dict[int, bytes] = {}
        self._known: dict[str, Entry | None] = {}

    def get(self, word: str) -> Entry | None:
        """The entry of exactly this spelling, upper and lower case told apart; None if there is none."""
        if word not in self._known:
            if len(self._known) > 50_000:  # a whole library read in one go must not fill the memory
                self._known.clear()
            self._known[word] = self._find(word)
        return self._known[word]

    def items(self) -> Iterator[tuple[str, Entry]]:
        """All entries in the order of their spelling."""
        for number in range(len(self._first)):
            for line in self._block(number).decode("latin-1").strip("\n").split("\n"):
                word, _, value = line.partition("\t")
                yield word, self._entry(value)

    def _find(self, word: str) -> Entry | None:
        if not word.isascii():
            return None
        block = self._block(max(bisect.bisect_right(self._first, word) - 1, 0))
        head = f"\n{word}\t".encode()
        at = block.find(head)
        if at < 0:
            return None
        return self._entry(block[at + len(head) : block.index(b"\n", at + 1)].decode("latin-1"))

    def _block(self, number: int) -> bytes:
        if number not in self._blocks:
            packed = self._data[self._offsets[number] : self._offsets[number + 1]]
            self._blocks[number] = b"\n" + zlib.decompress(packed, wbits=-15)
        return self._blocks[number]

    def _entry(self, value: str) -> Entry:
        default, *others = value.translate(self._letters).split("|")
        by_tag = dict(other.split("=") for other in others)
        return Entry(default.removeprefix(MARK), by_tag, trusted=not default.startswith(MARK))


def pack(words: Iterable[tuple[str, Entry]]) -> bytes:
    """The file for these entries; the words must be ASCII."""
    rows = sorted(
        (word, (MARK * (not entry.trusted)) + "|".join([entry.default, *(f"{t}={p}" for t, p in entry.by_tag.items())]))
        for word, entry in words
    )
    symbols = "".join(sorted({symbol for _, value in rows for symbol in value if not symbol.isascii()}))
    codes = {ord(symbol): 0x80 + i for i, symbol in enumerate(symbols)}
    first: list[str] = []
    blocks: list[bytearray] = []
    for word, value in rows:
        line = f"{word}\t{value.translate(codes)}\n".encode("latin-1")
        if not blocks or len(blocks[-1]) + len(line) > BLOCK:
            first.append(word)
            blocks.append(bytearray())
        blocks[-1] += line
    packed = [zlib.compress(block, 9, wbits=-15) for block in blocks]
    index = {"symbols": symbols, "first": first, "sizes": [len(block) for block in packed]}
    head = zlib.compress(json.dumps(index, ensure_ascii=False).encode(), 9)
    return MAGIC + struct.pack("<I", len(head)) + head + b"".join(packed)
