"""Corpora in shards, for training that streams: from a folder, over HTTP, or out of an object store.

    SHARDS/cuts.000000.jsonl.gz     clips of a shard, one cut of lhotse per line
    SHARDS/recording.000000.tar     their sound files, each with its recording beside it, in the same order
    SHARDS/f0.000000.tar            an array of the corpus, likewise, one .npy a clip; fetched where a model asks for it
    SHARDS/cuts.index.npz           what batches are planned from: length, speaker and place of every clip

This is lhotse's Shar format (`CutSet.from_shar(in_dir=SHARDS)` reads it) and an index. A folder that lhotse wrote has
no index; its cuts are read instead. A shard is read whole and kept in memory, packed as it is, until its turn is over:
so what a network drive or a server sees is a few large reads in a row.

`open_corpus` gives either kind of corpus, shards or a manifest of files, with one surface.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import tarfile
import time
import zlib
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np

from aoide.config import UserError, require
from aoide.data.clips import Clip
from aoide.data.manifest import CUTS, INDEX, Manifest, _to_clip, stable_hash

_TRIES = 4  # a server may be busy for a moment
_PATIENCE = 60.0  # seconds without a byte, after which a server is given up
_READERS = 2  # shards that are fetched at a time
_META = (".json", ".nometa", ".nodata")  # what lhotse writes beside a file, and where there is none


class Files(NamedTuple):
    """What came out of a shard for one clip."""

    sound: bytes  # its sound file
    arrays: Mapping[str, bytes]  # name -> .npy file, of the names that were asked for


Packed = tuple[Clip, Files | None]  # a clip, and its files where it came out of a shard


class Corpus(Protocol):
    """Clips by number: a manifest of files, or shards."""

    seconds: np.ndarray
    hashes: np.ndarray
    speakers: list[str]
    digest: str
    apart: bool  # each process of a run reads clips of its own

    @property
    def path(self) -> Path | str:
        """What was opened."""

    @property
    def folder(self) -> Path | None:
        """A local one, in which a cache may lie."""

    def __len__(self) -> int: ...

    def __getitem__(self, number: int) -> Clip: ...

    def keep(self, shards: int) -> None:
        """How many shards stay in memory."""

    def bring(self, arrays: Iterable[str]) -> None:
        """Says which arrays of the corpus will be read of its clips."""

    def load(self, numbers: np.ndarray) -> Iterator[Packed]:
        """Clips with what their sound is read from."""

    def expect(self, numbers: np.ndarray) -> None:
        """Says which clips will be asked for after those of now, so that they can be fetched meanwhile."""

    def runs(self, clips: np.ndarray) -> list[np.ndarray]:
        """Clips in runs that are read in one go."""


def open_corpus(place: Path | str) -> Corpus:
    """The corpus of a folder or an address.

    Raises:
        UserError: nothing there.
    """
    if isinstance(place, str) and "://" in place:
        return Shards(place)
    folder = Path(place)
    if (folder / _cuts(0)).exists() and not (folder / CUTS).exists():
        return Shards(folder)
    return Recordings(folder)


class Recordings(Manifest):
    """A manifest of sound files."""

    apart = False

    def load(self, numbers: np.ndarray) -> Iterator[Packed]:
        """See `Corpus`."""
        return ((self[number], None) for number in numbers.tolist())

    def keep(self, shards: int) -> None:
        """Nothing is kept of files."""

    def bring(self, arrays: Iterable[str]) -> None:
        """Each clip says where its arrays are."""

    def expect(self, numbers: np.ndarray) -> None:
        """Files need no time to come."""

    def runs(self, clips: np.ndarray) -> list[np.ndarray]:
        """All of them."""
        return [clips] if len(clips) else []


class Shards:
    """A corpus in shards.

    Args:
        place: a folder, or the address of one: http://, https://, or whatever fsspec knows (s3://, gs://, ...).
        kept: shards that stay in memory; `keep` changes it.

    Attributes: as `Corpus`, and
        ends: (shards,) the number of the clip after the last of each.

    Raises:
        UserError: no shards there.
    """

    apart = True

    def __init__(self, place: Path | str, kept: int = 2) -> None:
        self.path: Path | str = place
        self.folder: Path | None = place.absolute() if isinstance(place, Path) else None
        index = self._read_index()
        self.seconds, self.hashes, self.speaker = index["seconds"], index["hashes"], index["speaker"]
        self.speakers = [str(name) for name in index["speakers"]]
        self.ends, self.digest = index["ends"], str(index["digest"])
        self.groups = np.array([stable_hash(_tar(i)) for i in range(len(self.ends))], np.uint64)[
            np.repeat(np.arange(len(self.ends)), np.diff(self.ends, prepend=0))
        ]
        self._kept = kept
        self._names: tuple[str, ...] = ()  # of the arrays that come with the clips
        self._ready: OrderedDict[int, list[Packed]] = OrderedDict()
        self._coming: dict[int, Future[list[Packed]]] = {}
        self._pool: ThreadPoolExecutor | None = None

    def __getstate__(self) -> dict[str, object]:
        """Processes that load get what they need with each task; what was fetched, and threads, stay here."""
        return {**self.__dict__, "_ready": OrderedDict(), "_coming": {}, "_pool": None}

    def __len__(self) -> int:
        return len(self.seconds)

    def __getitem__(self, number: int) -> Clip:
        if not 0 <= number < len(self):
            raise IndexError(number)
        shard = int(self.shards_of(np.array([number]))[0])
        return self._clips(shard)[number - self._begin(shard)]

    def shards_of(self, numbers: np.ndarray) -> np.ndarray:
        """In which shard each clip is."""
        return np.searchsorted(self.ends, numbers, side="right")

    def keep(self, shards: int) -> None:
        """How many shards are in memory at a time; as many again may be coming."""
        self._kept = max(self._kept, shards)

    def bring(self, arrays: Iterable[str]) -> None:
        """See `Corpus`; other arrays are not fetched."""
        self._names = tuple(arrays)

    def load(self, numbers: np.ndarray) -> Iterator[Packed]:
        """See `Corpus`."""
        shards = self.shards_of(numbers)
        self.keep(len(np.unique(shards)))
        for number, shard in zip(numbers.tolist(), shards.tolist(), strict=True):
            yield self._shard(shard)[number - self._begin(shard)]

    def expect(self, numbers: np.ndarray) -> None:
        """See `Corpus`."""
        if self._pool is None:
            self._pool = ThreadPoolExecutor(_READERS, thread_name_prefix="shards")
        for shard in np.unique(self.shards_of(numbers)).tolist():
            if shard not in self._ready and shard not in self._coming:
                self._coming[shard] = self._pool.submit(self._fetch, shard)

    def runs(self, clips: np.ndarray) -> list[np.ndarray]:
        """The clips of each shard."""
        shards = self.shards_of(clips)
        return [clips[shards == shard] for shard in np.unique(shards)]

    def _begin(self, shard: int) -> int:
        return int(self.ends[shard - 1]) if shard else 0

    def _shard(self, number: int) -> list[Packed]:
        if number in self._ready:
            self._ready.move_to_end(number)
            return self._ready[number]
        coming = self._coming.pop(number, None)
        self._ready[number] = coming.result() if coming is not None else self._fetch(number)
        while len(self._ready) > self._kept:
            self._ready.popitem(last=False)
        return self._ready[number]

    def _fetch(self, number: int) -> list[Packed]:
        """A shard: its clips, each with its files."""
        clips = self._clips(number)
        sounds = self._unpack(_tar(number), "sound", [clip.id for clip in clips])
        arrays = {}
        for name in self._names:
            if having := [clip.id for clip in clips if name in clip.arrays]:
                arrays[name] = self._unpack(_tar(number, name), name, having)
        return [
            (clip, Files(sounds[clip.id], {name: files[clip.id] for name, files in arrays.items() if clip.id in files}))
            for clip in clips
        ]

    def _unpack(self, name: str, what: str, wanted: Sequence[str]) -> dict[str, bytes]:
        """The files of a tar file by clip; `wanted` must be among them."""
        try:
            with tarfile.open(fileobj=BytesIO(self._read(name)), mode="r:") as tar:
                files = {
                    member.name.rpartition(".")[0]: tar.extractfile(member).read()  # type: ignore[union-attr]
                    for member in tar
                    if not member.name.endswith(_META)
                }
        except tarfile.TarError as error:
            raise UserError(f"{self.path}/{name}: not a whole tar file: {error}") from None
        if missing := [clip for clip in wanted if not files.get(clip)]:
            raise UserError(
                f"{self.path}/{name}: has no {what} of clip {missing[0]}, which the cuts of this shard name"
            )
        return files

    def _clips(self, number: int) -> list[Clip]:
        name = _cuts(number)
        try:
            lines = gzip.decompress(self._read(name)).splitlines()
            clips = [_to_clip(json.loads(line), Path(_tar(number))) for line in lines]
        except (OSError, EOFError, zlib.error, ValueError, KeyError, TypeError) as error:
            if isinstance(error, UserError):
                raise
            raise UserError(f"{self.path}/{name}: not the cuts of a shard: {error}") from None
        # only the names of the files' kinds are known; they stand in errors, nothing is read from there
        return [
            replace(
                clip,
                audio=Path(_tar(number)) / clip.id,
                start=0,
                arrays={array: Path(_tar(number, array)) / clip.id for array in clip.arrays},
            )
            for clip in clips
        ]

    def _read(self, name: str) -> bytes:
        if self.folder is not None:
            try:
                return (self.folder / name).read_bytes()
            except OSError as error:
                raise UserError(f"{self.folder / name}: cannot be read: {error.strerror}") from None
        return fetch(f"{str(self.path).rstrip('/')}/{name}")

    def _read_index(self) -> dict[str, np.ndarray]:
        if self.folder is None or (self.folder / INDEX).exists():
            try:
                with np.load(BytesIO(self._read(INDEX))) as file:
                    index = dict(file)
            except (OSError, ValueError, KeyError, zlib.error) as error:
                if isinstance(error, UserError):
                    raise
                raise UserError(f"{self.path}/{INDEX}: broken; write the shards anew (aoide shard)") from None
            if "ends" not in index:
                raise UserError(f"{self.path}: a manifest of files; pack it into shards to stream it (aoide shard)")
            return index
        number, columns = 0, []
        while (self.folder / _cuts(number)).exists():
            columns.append(self._clips(number))
            number += 1
        return index_of(columns)


def index_of(shards: Sequence[Sequence[Clip]]) -> dict[str, np.ndarray]:
    """The arrays of the index."""
    clips = [clip for shard in shards for clip in shard]
    names = sorted({clip.speaker for clip in clips})
    number = {name: i for i, name in enumerate(names)}
    digest = hashlib.blake2b(digest_size=16)
    for clip in clips:
        arrays = "".join(f" {name}" for name in sorted(clip.arrays))
        digest.update(f"{clip.id} {clip.content} {clip.samples} {clip.phonemes} {clip.speaker}{arrays}\n".encode())
    return {
        "seconds": np.array([clip.seconds for clip in clips], np.float32),
        "hashes": np.array([stable_hash(clip.id) for clip in clips], np.uint64),
        "speakers": np.array(names, np.str_),
        "speaker": np.array([number[clip.speaker] for clip in clips], np.int32),
        "ends": np.cumsum([len(shard) for shard in shards], dtype=np.int64),
        "digest": np.array(digest.hexdigest()),
    }


def fetch(address: str) -> bytes:
    """What lies at an address, after a few tries.

    Raises:
        UserError: nothing there, or nobody answers.
        MissingExtra: the scheme needs a package of fsspec that is not installed.
    """
    if not address.startswith(("http://", "https://")):
        try:
            with require("fsspec", "train").open(address, "rb") as file:
                return file.read()
        except (OSError, ValueError, ImportError) as error:  # ImportError: s3fs, gcsfs ... says which
            raise UserError(f"{address}: cannot be read: {str(error)[:160]}") from None
    from http.client import HTTPException
    from urllib.error import HTTPError
    from urllib.request import urlopen

    for attempt in range(_TRIES):
        try:
            with urlopen(address, timeout=_PATIENCE) as answer:  # noqa: S310  (http or https, see above)
                return answer.read()
        except HTTPError as error:
            if error.code < 500 or attempt == _TRIES - 1:
                raise UserError(f"{address}: the server says {error.code} {error.reason}") from None
        except (OSError, HTTPException) as error:
            if attempt == _TRIES - 1:
                raise UserError(f"{address}: cannot be read: {error}") from None
        time.sleep(0.5 * 2**attempt)
    raise AssertionError("the last try returns or raises")


def _cuts(number: int) -> str:
    return f"cuts.{number:06}.jsonl.gz"


def _tar(number: int, name: str = "recording") -> str:
    return f"{name}.{number:06}.tar"
