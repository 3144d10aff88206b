"""Writes a corpus in shards (aoide/data/shards.py), in lhotse's Shar format.

The clips are dealt out by the hash of their ids, so that every shard is a sample of the whole corpus. A clip that is a
whole file goes in as this file, byte by byte; a piece of one as FLAC, of as many bits as its samples have. So nothing
is lost, and what was extracted for the files serves for the shards. The arrays that a corpus brings with it go along,
one tar file a shard for each name.
"""

from __future__ import annotations

import gzip
import json
import re
import tarfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from functools import lru_cache, partial
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from aoide.audio import io
from aoide.config import UserError, write_aside
from aoide.data import cluster
from aoide.data.clips import Clip
from aoide.data.manifest import CUTS, INDEX, Manifest, _to_cut
from aoide.data.shards import _cuts, _tar, index_of

_WHOLE = (".wav", ".flac", ".ogg", ".opus", ".mp3")  # what libsndfile tells by its first bytes


def shard(manifest: Path, out: Path, megabytes: float = 64.0, jobs: int = 0, on: cluster.On = "processes") -> list[int]:
    """Writes the shards of a manifest, the index last of all: without it the folder is not complete.

    Args:
        megabytes: the size of a shard at most, as if its sound were PCM of 16 bits.
        jobs, on: see `aoide.data.cluster.run`.

    Returns:
        How many clips each shard has.

    Raises:
        UserError: no manifest, or the folder cannot be written.
    """
    corpus = Manifest(manifest)
    if len(corpus) == 0:
        raise UserError(f"{corpus.path}: holds no clips")
    if (out / CUTS).exists():
        raise UserError(f"{out}: holds a manifest; choose another folder for its shards")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{out}: cannot be made: {error.strerror}") from None
    (out / INDEX).unlink(missing_ok=True)
    first = corpus[0]
    parts = list(_deal(corpus, megabytes * 1e6 / (2 * first.sample_rate * first.channels)))
    write = partial(_write, manifest, corpus.digest, out)
    shards = list(cluster.run(write, list(enumerate(parts)), on=on, workers=jobs, name=_name, unit="shard"))
    names = sorted({name for clips in shards for clip in clips for name in clip.arrays})
    for number, clips in enumerate(shards):  # lhotse wants as many files of each kind
        for name in names:
            if not any(name in clip.arrays for clip in clips):
                _write_arrays(out / _tar(number, name), name, clips)
    _sweep(out, len(shards), ("cuts", "recording", *names))
    with write_aside(out / INDEX) as aside, open(aside, "wb") as file:
        np.savez(file, **index_of(shards))  # type: ignore[arg-type]
    return [len(clips) for clips in shards]


def _name(task: tuple[int, np.ndarray]) -> str:
    return _tar(task[0])


def _sweep(out: Path, shards: int, kinds: Sequence[str]) -> None:
    """Removes what an earlier time has left: more shards, arrays that are no more."""
    for path in out.iterdir():
        found = re.fullmatch(r"([^.]+)\.(\d{6})\.(tar|jsonl\.gz)", path.name)
        if found and (int(found[2]) >= shards or found[1] not in kinds):
            path.unlink()


def _deal(corpus: Manifest, seconds: float) -> Iterator[np.ndarray]:
    """Clips in the order of their hashes, in parts of at most so many seconds; one clip at least."""
    order = np.argsort(corpus.hashes, kind="stable")
    begin, total = 0, 0.0
    for i, length in enumerate(corpus.seconds[order].tolist()):
        total += length
        if total > seconds and i > begin:
            yield order[begin:i]
            begin, total = i, length
    yield order[begin:]


@lru_cache(maxsize=1)
def _open(manifest: Path, digest: str) -> Manifest:
    """The manifest, opened once per process; `digest` is its content's, so that a changed one is opened anew."""
    return Manifest(manifest)


def _write(manifest: Path, digest: str, out: Path, task: tuple[int, np.ndarray]) -> list[Clip]:
    """One shard; returns its clips."""
    number, numbers = task
    corpus = _open(manifest, digest)
    clips = [corpus[i] for i in numbers.tolist()]
    lines = []
    with ExitStack() as stack:
        tar = _opened(stack, out / _tar(number))
        for clip in clips:
            data, ending = _packed(clip)
            cut = _placeholder(clip)
            _add(tar, f"{clip.id}.{ending}", data)
            _add(tar, f"{clip.id}.json", json.dumps(cut["recording"]).encode())
            lines.append(json.dumps(cut, ensure_ascii=False))
    for name in sorted({name for clip in clips for name in clip.arrays}):
        _write_arrays(out / _tar(number, name), name, clips)
    with write_aside(out / _cuts(number)) as aside:
        aside.write_bytes(gzip.compress(("\n".join(lines) + "\n").encode(), mtime=0))
    return clips


def _write_arrays(path: Path, name: str, clips: Sequence[Clip]) -> None:
    """The arrays of one name, as lhotse lays them down; a clip that has none leaves a mark."""
    if not name.isidentifier() or name in ("cuts", "recording"):
        raise UserError(f"{clips[0].id}: an array of the name {name!r} cannot go into shards; call it something else")
    with ExitStack() as stack:
        tar = _opened(stack, path)
        for clip in clips:
            if name not in clip.arrays:
                _add(tar, f"{clip.id}.nodata", b"")
                _add(tar, f"{clip.id}.nometa", b"")
                continue
            try:
                data = clip.arrays[name].read_bytes()
                shape = np.load(BytesIO(data)).shape
            except (OSError, ValueError, EOFError) as error:
                raise UserError(f"clip {clip.id}: {clip.arrays[name]} cannot be read: {error}") from None
            _add(tar, f"{clip.id}.npy", data)
            _add(tar, f"{clip.id}.json", json.dumps(_described(shape, clip.frame_rate)).encode())


def _described(shape: tuple[int, ...], frame_rate: float | None) -> dict[str, Any]:
    """An array as lhotse knows it, with its frames where it has a frame rate."""
    array = {"storage_type": "shar", "storage_path": "", "storage_key": "", "shape": list(shape)}
    return {"array": array, "temporal_dim": 0, "frame_shift": 1 / frame_rate, "start": 0} if frame_rate else array


def _opened(stack: ExitStack, path: Path) -> tarfile.TarFile:
    """A tar file that is there when `stack` ends well."""
    return stack.enter_context(tarfile.open(stack.enter_context(write_aside(path)), "w", format=tarfile.PAX_FORMAT))


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(data)
    tar.addfile(member, BytesIO(data))


def _placeholder(clip: Clip) -> dict[str, Any]:
    """The clip as a cut of lhotse whose recording lies in the tar file."""
    cut = _to_cut(clip, Path("/"))
    cut["start"] = 0.0
    cut["recording"] |= {"num_samples": clip.samples, "duration": clip.seconds}
    cut["recording"]["sources"] = [{"type": "shar", "channels": cut["recording"]["channel_ids"], "source": ""}]
    if clip.arrays:
        cut["custom"]["arrays"] = dict.fromkeys(sorted(clip.arrays), "")
    return cut


def _packed(clip: Clip) -> tuple[bytes, str]:
    """A sound file with the samples of the clip and no others, and its ending."""
    if clip.audio.suffix.lower() in _WHOLE and clip.start == 0 and io.probe(clip.audio).samples == clip.samples:
        return clip.audio.read_bytes(), clip.audio.suffix[1:].lower()
    samples = io.read(clip.audio, clip.start, clip.samples).samples
    for bits, kind in ((16, np.int16), (24, np.int32)):
        scaled = samples.astype(np.float64) * 2 ** (bits - 1)
        if np.array_equal(scaled, np.rint(scaled)) and np.abs(scaled).max(initial=0) < 2 ** (bits - 1):
            whole = scaled.astype(kind) << (0 if bits == 16 else 8)  # libsndfile takes the upper bits
            return _encoded(whole, clip.sample_rate, "FLAC", f"PCM_{bits}"), "flac"
    return _encoded(samples, clip.sample_rate, "WAV", "FLOAT"), "wav"


def _encoded(samples: np.ndarray, rate: int, form: str, subtype: str) -> bytes:
    import soundfile

    buffer = BytesIO()
    soundfile.write(buffer, samples, rate, format=form, subtype=subtype)
    return buffer.getvalue()
