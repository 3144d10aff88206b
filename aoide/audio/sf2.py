"""Reads sound fonts in the format of Creative and E-mu (.sf2), as far as `sampler` plays them.

The file is a RIFF of records of fixed size: presets point at instruments, instruments at samples, and each level says
what differs from the level below: an instrument's numbers are absolute, a preset's are added. Sounds stay in the file
until they are played.

Source: SoundFont Technical Specification 2.04 (Creative/E-mu 2006), sections 7 and 8.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from aoide.audio.sampler import Envelope, Zone
from aoide.config import UserError

DRUMS = 128  # the bank of the kits
RATE = 44_100  # at which notes are played
SOFTENED = 0.4  # what the hardware that fonts are made for makes of an attenuation
ROM = 0x8000  # the mark of samples that are in a chip
# The numbers of the generators that are read.
START, END, LOOP_START, LOOP_END, START_FAR, END_FAR, LOOP_START_FAR, LOOP_END_FAR = 0, 1, 2, 3, 4, 12, 45, 50
CUTOFF, PAN, DELAY, ATTACK, HOLD, DECAY, SUSTAIN, RELEASE, DECAY_BY_KEY = 8, 17, 33, 34, 35, 36, 37, 38, 40
INSTRUMENT, KEYS, VELOCITIES, ATTENUATION, COARSE, FINE, SAMPLE, MODES, SCALE, CHOKE, ROOT = (
    *(41, 43, 44, 48, 51, 52, 53, 54, 56, 57, 58),
)
DEFAULTS = {CUTOFF: 13500, SCALE: 100, ROOT: -1} | dict.fromkeys((DELAY, ATTACK, HOLD, DECAY, RELEASE), -12000)
NOT_ADDED = {KEYS, VELOCITIES, INSTRUMENT, SAMPLE, MODES, CHOKE, ROOT}


class Header(NamedTuple):
    """Of a sample."""

    name: bytes
    start: int  # samples from the beginning of all, as all places
    end: int
    loop_start: int
    loop_end: int
    rate: int
    key: int
    correction: int  # cents
    link: int
    kind: int


class SoundFont2:
    """A font in a file.

    Raises:
        UserError: no such file, or not such a font.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.name, self.sample_rate = path, path.stem, RATE
        try:
            with open(path, "rb") as file:
                self._places = _chunks(path, file)
            self._file: np.ndarray = np.memmap(path, np.uint8, "r")
            start, size = self._places[b"smpl"]
            self._samples = self._file[start : start + size // 2 * 2].view(np.int16)
            self._read()
        except OSError as error:
            raise UserError(f"{path}: cannot be read: {error.strerror}") from None
        except (KeyError, struct.error, IndexError, ValueError):
            raise UserError(f"{path}: not a sound font in the format .sf2, or a broken one") from None

    @property
    def programs(self) -> Sequence[int]:
        return sorted(program for bank, program in self._presets if bank == 0)

    @property
    def kits(self) -> Sequence[int]:
        return sorted(program for bank, program in self._presets if bank == DRUMS)

    def zones(self, program: int, drums: bool) -> Sequence[Zone]:
        try:
            return [
                self._zone(one, other)
                for one in self._presets[DRUMS if drums else 0, program]
                for other in self._instruments[one[INSTRUMENT]]
                if _overlap(one, other) and not self._headers[other[SAMPLE]].kind & ROM
            ]
        except (IndexError, ValueError):
            raise UserError(f"{self.path}: program {program} of this sound font is broken") from None

    # --------------------------------------------------------------------------------------------------------- reading

    def _records(self, name: bytes, form: str) -> list[tuple]:
        start, size = self._places[name]
        step = struct.calcsize(form)
        return list(struct.iter_unpack(form, self._file[start : start + size // step * step].tobytes()))

    def _read(self) -> None:
        self._headers = [Header(*row) for row in self._records(b"shdr", "<20sIIIIIBbHH")]
        bags, values = self._records(b"ibag", "<HH"), self._records(b"igen", "<Hh")
        rows = self._records(b"inst", "<20sH")
        self._instruments = [
            _levels(bags, values, row[1], after[1], SAMPLE) for row, after in zip(rows[:-1], rows[1:], strict=True)
        ]
        bags, values = self._records(b"pbag", "<HH"), self._records(b"pgen", "<Hh")
        rows = self._records(b"phdr", "<20sHHHIII")
        self._presets = {
            (row[2], row[1]): _levels(bags, values, row[3], after[3], INSTRUMENT)
            for row, after in zip(rows[:-1], rows[1:], strict=True)
        }

    def _zone(self, preset: dict[int, int], instrument: dict[int, int]) -> Zone:
        of = {**DEFAULTS, **instrument}
        for number, value in preset.items():
            if number not in NOT_ADDED:
                of[number] = of.get(number, 0) + value
        header = self._headers[of[SAMPLE]]

        def place(begin: int, near: int, far: int) -> int:
            return begin + of.get(near, 0) + 32768 * of.get(far, 0)

        start, end = place(header.start, START, START_FAR), place(header.end, END, END_FAR)
        loop = place(header.loop_start, LOOP_START, LOOP_START_FAR), place(header.loop_end, LOOP_END, LOOP_END_FAR)
        key = of[ROOT] if of[ROOT] >= 0 else header.key if header.key < 128 else 60
        semitones = of.get(COARSE, 0) + (of.get(FINE, 0) + header.correction) / 100
        scale = of[SCALE] / 100
        cutoff = 8.176 * 2 ** (of[CUTOFF] / 1200)
        looped = of.get(MODES, 0) in (1, 3) and start <= loop[0] < loop[1] <= end
        return Zone(
            samples=self._samples[start : end + 4],
            rate=header.rate,
            root=key - semitones / (scale or 1),
            loop=(loop[0] - start, loop[1] - start) if looped else None,
            keys=_both(preset, instrument, KEYS),
            velocities=_both(preset, instrument, VELOCITIES),
            gain=10 ** (-SOFTENED * max(0, of.get(ATTENUATION, 0)) / 200),
            pan=float(np.clip(of.get(PAN, 0) / 500, -1, 1)),
            scale=scale,
            decay_by_key=of.get(DECAY_BY_KEY, 0) / 1200,
            cutoff=cutoff if cutoff < 19_000 else None,
            choke=of.get(CHOKE, 0),
            envelope=_envelope(of),
        )


def _envelope(of: dict[int, int]) -> Envelope:
    delay, attack, hold, decay, release = (
        2 ** (min(of[number], 8000) / 1200) for number in (DELAY, ATTACK, HOLD, DECAY, RELEASE)
    )
    return Envelope(delay, attack, hold, decay, min(100.0, max(0.0, of.get(SUSTAIN, 0) / 10)), release)


def _chunks(path: Path, file: BinaryIO) -> dict[bytes, tuple[int, int]]:
    """Where the parts of the file are: name -> (place, size)."""
    head = file.read(12)
    if head[:4] != b"RIFF" or head[8:12] != b"sfbk":
        raise ValueError(path)
    total, places, here = struct.unpack("<I", head[4:8])[0] + 8, dict[bytes, tuple[int, int]](), 12
    while here + 8 <= total:
        file.seek(here)
        name, size = struct.unpack("<4sI", file.read(8))
        if name == b"LIST":
            here += 12
            continue
        places[name] = (here + 8, size)
        here += 8 + size + size % 2
    if b"ifil" in places:
        file.seek(places[b"ifil"][0])
        if struct.unpack("<H", file.read(2))[0] > 2:
            raise UserError(f"{path}: a sound font with compressed samples (.sf3); give the .sf2")
    return places


def _levels(bags: list[tuple], values: list[tuple], first: int, last: int, leaf: int) -> list[dict[int, int]]:
    """The zones of a preset or an instrument; the first, where it names no `leaf`, holds for all of them."""
    found, common = list[dict[int, int]](), dict[int, int]()
    for number in range(first, last):
        own = dict(values[bags[number][0] : bags[number + 1][0]])
        if leaf in own:
            found.append({**common, **own})
        elif number == first:
            common = own
    return found


def _range(of: dict[int, int], number: int) -> tuple[int, int]:
    value = of.get(number, 127 << 8) & 0xFFFF
    return value & 0xFF, value >> 8


def _both(one: dict[int, int], other: dict[int, int], number: int) -> tuple[int, int]:
    a, b = _range(one, number), _range(other, number)
    return max(a[0], b[0]), min(a[1], b[1])


def _overlap(one: dict[int, int], other: dict[int, int]) -> bool:
    ranges = (_both(one, other, number) for number in (KEYS, VELOCITIES))
    return all(low <= high for low, high in ranges)
