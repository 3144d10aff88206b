"""Manifests: the clips of a prepared corpus, as a lhotse CutSet that opens in no time however long it is.

    data/NAME/cuts.jsonl.gz     one cut per line, as lhotse writes them: CutSet.from_file(...) reads it
    data/NAME/cuts.index.npz    what batches are planned from: length, speaker and place of every clip
    data/NAME/summary.json      what was prepared from what, written last: the mark that the rest is complete

The lines are gzipped in blocks of 64 (a gzip file may be many, one after the other), so any clip is one small block
away and a million clips need some tens of megabytes of memory. A manifest that lhotse wrote has no index; it is read
whole then. lhotse itself is not needed: its import takes seconds, and a line takes it half a millisecond.

Files inside the manifest's folder are written relative to it, so that the folder can be moved; for lhotse say
`CutSet.from_file(path).with_recording_path_prefix(folder)`. What lhotse has no field for stands in `custom`:

    of the supervision  phonemes, durations, frame_rate, caption, phoneme_set, phoneme_seconds, style, technique, song,
                        more, notes: [{"midi", "start", "end", "lyric", "slur"}, ...]
    of the cut          arrays, content

"What a manifest holds" in docs/corpora.md says what each of them is.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import zlib
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from aoide.config import UserError, write_aside
from aoide.data.clips import Clip, Note

CUTS, INDEX = "cuts.jsonl.gz", "cuts.index.npz"
_BLOCK = 64  # clips
_KEPT = 256  # blocks that stay unpacked in memory, some 20 MB
_PLAIN = (
    "phonemes",
    "frame_rate",
    "caption",
    "phoneme_set",
    "style",
    "technique",
    "song",
)  # fields written as they are


def stable_hash(name: str) -> int:
    """64 bits of a name, the same on every machine and in every version; Python's own hash changes from run to run."""
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "big")


# -------------------------------------------------------------------------------------------------------------- writing


class _Columns:
    """What batches are planned from, one value per clip."""

    def __init__(self) -> None:
        self._seconds: list[float] = []
        self._hashes: list[int] = []
        self._speakers: list[str] = []

    def add(self, clip: Clip) -> None:
        self._seconds.append(clip.seconds)
        self._hashes.append(stable_hash(clip.id))
        self._speakers.append(clip.speaker)

    def arrays(self) -> dict[str, np.ndarray]:
        names = sorted(set(self._speakers))
        number = {name: i for i, name in enumerate(names)}
        return {
            "seconds": np.array(self._seconds, np.float32),
            "hashes": np.array(self._hashes, np.uint64),
            "speakers": np.array(names, np.str_),
            "speaker": np.array([number[name] for name in self._speakers], np.int32),
        }


class Writer:
    """Takes clips one by one; made by `writing`."""

    def __init__(self, folder: Path, file: BinaryIO) -> None:
        self._folder = folder.absolute()
        self._file = file
        self._lines: list[str] = []
        self._blocks = [0]  # byte at which each block begins, and the end of the last
        self._columns = _Columns()
        self._digest = hashlib.blake2b(digest_size=16)

    def add(self, clip: Clip) -> None:
        """Appends a clip that `aoide.data.clips.check` has measured."""
        assert clip.samples and clip.sample_rate, f"{clip.id} was not checked"
        self._lines.append(json.dumps(_to_cut(clip, self._folder), ensure_ascii=False))
        self._columns.add(clip)
        if len(self._lines) == _BLOCK:
            self.flush()

    def flush(self) -> None:
        """Writes the block that is not full yet."""
        if self._lines:
            block = gzip.compress(("\n".join(self._lines) + "\n").encode(), mtime=0)
            self._file.write(block)
            self._digest.update(block)
            self._blocks.append(self._blocks[-1] + len(block))
            self._lines = []

    def index(self) -> dict[str, np.ndarray]:
        """The arrays of the index."""
        own = {"digest": np.array(self._digest.hexdigest()), "blocks": np.array(self._blocks, np.int64)}
        return own | self._columns.arrays()


@contextmanager
def writing(folder: Path) -> Iterator[Writer]:
    """Writes the manifest of `folder`, cuts and index, when the block ends well; until then the old one stays."""
    with write_aside(folder / INDEX) as aside_index:
        with write_aside(folder / CUTS) as aside, open(aside, "wb") as file:
            writer = Writer(folder, file)
            yield writer
            writer.flush()
        with open(aside_index, "wb") as file:
            np.savez(file, **writer.index())  # type: ignore[arg-type]


def _to_cut(clip: Clip, folder: Path) -> dict[str, Any]:
    """One line: a lhotse MonoCut or MultiCut with its recording and one supervision."""
    channels = list(range(clip.channels))
    channel = 0 if clip.channels == 1 else channels
    custom = {name: getattr(clip, name) for name in _PLAIN}
    custom |= {"durations": clip.durations, "phoneme_seconds": clip.phoneme_seconds, "more": dict(clip.more)}
    custom["notes"] = None if clip.notes is None else [_filled(note._asdict()) for note in clip.notes]
    own = {
        "content": clip.content,
        "arrays": {name: _relative(path, folder) for name, path in sorted(clip.arrays.items())},
    }
    return {
        "id": clip.id,
        "start": clip.start / clip.sample_rate,
        "duration": clip.seconds,
        "channel": channel,
        "supervisions": [
            {
                "id": clip.id,
                "recording_id": clip.id,
                "start": 0.0,
                "duration": clip.seconds,
                "channel": channel,
                **_filled({"text": clip.text, "language": clip.language, "speaker": clip.speaker}),
                **_filled({"gender": clip.gender}),
                **_filled({"custom": _filled(custom)}),
            }
        ],
        "recording": {
            "id": clip.id,
            "sources": [{"type": "file", "channels": channels, "source": _relative(clip.audio, folder)}],
            "sampling_rate": clip.sample_rate,
            "num_samples": clip.start + clip.samples,
            "duration": (clip.start + clip.samples) / clip.sample_rate,
            "channel_ids": channels,
        },
        **_filled({"custom": _filled(own)}),
        "type": "MonoCut" if clip.channels == 1 else "MultiCut",
    }


def _filled(values: dict[str, Any]) -> dict[str, Any]:
    """Without what says nothing: None, False, and what is empty but a list."""
    return {key: value for key, value in values.items() if value not in (None, "", {}) and value is not False}


def _relative(path: Path, folder: Path) -> str:
    path = path.absolute()
    return str(path.relative_to(folder)) if path.is_relative_to(folder) else str(path)


# -------------------------------------------------------------------------------------------------------------- reading


class Manifest:
    """The clips of a prepared corpus, by number.

    Args:
        path: the folder that `aoide prepare` wrote, or a CutSet of lhotse (.jsonl, .jsonl.gz).

    Attributes:
        seconds: (clips,) float32.
        hashes: (clips,) uint64, `stable_hash` of the ids.
        speakers: names in order; `speaker` (clips,) int32 says who speaks.
        digest: a hash of the file: equal where the content is equal.

    Raises:
        UserError: no such folder or file, or not a manifest.
    """

    def __init__(self, path: Path) -> None:
        self.path = path / CUTS if path.is_dir() else path
        self.folder = self.path.parent.absolute()
        try:
            self.digest = _digest(self.path)
        except FileNotFoundError:
            where = path if path.is_dir() else self.path
            raise UserError(f"{where}: no manifest here; make one with `aoide prepare CORPUS -o {path}`") from None
        except OSError as error:
            raise UserError(f"{self.path}: cannot be read: {error.strerror}") from None
        self._kept: OrderedDict[int, list[bytes]] = OrderedDict()
        self._lines: list[bytes] | None = None
        self._blocks: np.ndarray | None = None
        index = self._read_index()
        if index is None:
            self._lines, index = self._scan()
        else:
            self._blocks = index["blocks"]
        self.seconds, self.hashes, self.speaker = index["seconds"], index["hashes"], index["speaker"]
        self.speakers = [str(name) for name in index["speakers"]]

    def __len__(self) -> int:
        return len(self.seconds)

    def __getitem__(self, number: int) -> Clip:
        if not 0 <= number < len(self):
            raise IndexError(number)
        line = self._lines[number] if self._lines is not None else self._block(number // _BLOCK)[number % _BLOCK]
        return _to_clip(json.loads(line), self.folder)

    def _block(self, number: int) -> list[bytes]:
        if number in self._kept:
            self._kept.move_to_end(number)
            return self._kept[number]
        assert self._blocks is not None
        begin, end = self._blocks[number : number + 2]
        with self.path.open("rb") as file:  # opened anew: a descriptor shared with forked workers shares its place
            file.seek(begin)
            lines = gzip.decompress(file.read(end - begin)).split(b"\n")
        self._kept[number] = lines
        if len(self._kept) > _KEPT:
            self._kept.popitem(last=False)
        return lines

    def _read_index(self) -> dict[str, np.ndarray] | None:
        """The index beside the manifest, or None where there is none or it is of other cuts."""
        try:
            with np.load(self.folder / INDEX) as file:
                index = dict(file)
        except (OSError, ValueError):
            return None
        return index if str(index["digest"]) == self.digest and self.path.name == CUTS else None

    def _scan(self) -> tuple[list[bytes], dict[str, np.ndarray]]:
        """Reads a manifest without an index, whole."""
        packed = self.path.suffix == ".gz"
        try:
            content = gzip.decompress(self.path.read_bytes()) if packed else self.path.read_bytes()
        except (OSError, EOFError, zlib.error) as error:
            raise UserError(f"{self.path}: broken: {error}") from None
        lines = [line for line in content.split(b"\n") if line.strip()]
        columns = _Columns()
        for number, line in enumerate(lines, 1):
            try:
                columns.add(_to_clip(json.loads(line), self.folder))
            except (ValueError, KeyError, TypeError, IndexError, AttributeError):
                raise UserError(f"{self.path}: line {number}: not a cut of lhotse with one recording") from None
        return lines, columns.arrays()


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def _to_clip(cut: dict[str, Any], folder: Path) -> Clip:
    """A line to a clip; supervisions of foreign cuts are joined, and the first names speaker and language."""
    recording, own = cut["recording"], cut.get("custom") or {}
    said = cut.get("supervisions") or [{}]
    custom = _described({**own, **(said[0].get("custom") or {})})
    rate = int(recording["sampling_rate"])
    texts = [s["text"] for s in said if s.get("text")]
    durations, seconds, notes = (custom.get(name) for name in ("durations", "phoneme_seconds", "notes"))
    return Clip(
        id=cut["id"],
        audio=folder / recording["sources"][0]["source"],
        text=" ".join(texts) if texts else custom.get("text"),
        speaker=said[0].get("speaker") or "",
        language=said[0].get("language") or "",
        gender=said[0].get("gender") or "",
        durations=None if durations is None else tuple(durations),
        phoneme_seconds=None if seconds is None else tuple(seconds),
        notes=None if notes is None else tuple(Note(**note) for note in notes),
        more=custom.get("more", {}),
        **{name: custom[name] for name in _PLAIN if name in custom},
        arrays={name: folder / path for name, path in own.get("arrays", {}).items()},
        start=round(cut["start"] * rate),
        samples=round(cut["duration"] * rate),
        sample_rate=rate,
        channels=len(recording.get("channel_ids") or recording["sources"][0]["channels"]),
        content=own.get("content", ""),
    )


def _described(custom: dict[str, Any]) -> dict[str, Any]:
    """Custom fields of other people's cuts as ours: a caption is the text, captions and lyrics stand in `more`."""
    told = {name: custom[name] for name in ("captions", "lyrics") if custom.get(name)}
    caption = custom.get("caption")
    if isinstance(caption, str):
        custom = {**custom, "text": caption, "caption": True}
    return {**custom, "more": {**told, **custom.get("more", {})}}
