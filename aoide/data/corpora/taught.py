"""A corpus made by a teacher: the voice heart of hibari-tts speaks a list of sentences, and shows how it does so.

Size      the default list has 8,946 lines: 9 hours, 24,000 Hz; 1 GB of sound and 12 GB of spectra
Licence   the teacher is Apache-2.0, its own teacher (Kokoro-82M) too. What comes out is synthetic speech: say so.
Get it    pip install 'aoide[taught]'; nothing is downloaded. An hour of speech takes about a minute on one core.
Layout    ROOT/clips/ID.json      the line, the teacher's phonemes, and frames per token; written last
          ROOT/audio/ID.flac      16 bit
          ROOT/f0/ID.npy          (frames,) float32 Hz, 0 = unvoiced
          ROOT/spectra/ID.npy     (frames, 4, 601) float16: log magnitude and phase of the harmonics, of the rest
          80 frames per second; a line of several sentences makes clips ID-1, ID-2 ...
          ROOT is the output folder unless --root says otherwise.

The teacher is a source-filter model: its network predicts, every 300 samples, F0 and the spectra of which one inverse
STFT makes the sound (aoide/nn/sourcefilter.py). They are a function of the text alone, so a student can learn them by
plain regression. A clip that is finished is never made again, so an interrupted run goes on where it stopped, and a
longer list adds to a shorter one.

Options
    --text FILE       one sentence a line, may be gzipped (default: recipes/tts/sentences-en.txt.gz)
    --no-spectra      leave the spectra out
    --jobs N          processes (default: one per core)
"""

from __future__ import annotations

import gzip
import hashlib
import json
import multiprocessing
import os
import shutil
import signal
import zlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from aoide.audio import io
from aoide.audio.sound import Sound
from aoide.config import UserError, require, write_aside
from aoide.data.clips import Clip, Refused

SAMPLE_RATE, HOP, BINS = 24000, 300, 601
FRAME_RATE = SAMPLE_RATE / HOP
_DURATIONS = "/Clip_output_0"  # the tensor inside the teacher's graph that holds the tokens' durations, in _UNIT frames
_UNIT = 2
_LETTERS_A_SECOND = 16.6  # of the default list; to say beforehand how much will come
_SPECTRA_BYTES = round(FRAME_RATE * 4 * BINS * 2)  # per second
_SOUND_BYTES = 30_000  # per second: FLAC keeps some five eighths


def make(
    root: Path, say: Callable[[str], None], *, text: Path | None = None, spectra: bool = True, jobs: int = 0
) -> None:
    """Lets the teacher speak every line that is not finished yet.

    Raises:
        UserError: no sentences, or not enough room on the disk.
        MissingExtra: the teacher is not installed.
    """
    from tqdm import tqdm

    hibari = require("hibari", "taught")
    wanted = sentences(text)
    todo = [line for line in wanted if not finished(root, line, spectra)]
    if not todo:
        return
    seconds = sum(map(len, todo)) / _LETTERS_A_SECOND
    size = round(seconds * (_SOUND_BYTES + (_SPECTRA_BYTES if spectra else 0)))
    for part in ("clips", "audio", "f0", "spectra")[: 4 if spectra else 3]:
        _make_folder(root / part)
    free = shutil.disk_usage(root).free
    say(
        f"{len(todo):,} of {len(wanted):,} lines to speak, about {seconds / 60:.0f} minutes of sound, "
        f"{_bytes(size)} in {root} ({_bytes(free)} free){'; --no-spectra needs far less' if spectra else ''}"
    )
    if size > free:
        raise UserError(f"{root}: needs about {_bytes(size)} and has {_bytes(free)} free; choose another --root")
    jobs = jobs or len(os.sched_getaffinity(0))
    task = partial(_speak, root=root, spectra=spectra)
    with ExitStack() as stack:
        if jobs == 1:
            _begin(_teach(hibari))
            done: Iterable[None] = map(task, todo)
        else:
            pool = ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn"), _begin, (_teach(hibari),))
            stack.callback(pool.shutdown, cancel_futures=True)
            done = pool.map(task, todo, chunksize=4)
        for _ in tqdm(done, total=len(todo), unit="line", disable=None):
            pass


def clips(root: Path, *, text: Path | None = None, spectra: bool = True) -> Iterator[Clip | Refused]:
    """The clips of the list that are finished, sorted by id."""
    kinds = ("f0", "spectra") if spectra else ("f0",)
    for line in sorted(map(id_of, sentences(text))):
        record = _record(root, line)
        if record is None:
            yield Refused(id=line, path=root / "clips" / f"{line}.json", reason="was not made")
            continue
        for name, part in _parts(line, record):
            if "phonemes" not in part:
                yield Refused(
                    id=name, path=root / "clips" / f"{line}.json", reason=f"{part['refused']}: {part['text']}"
                )
                continue
            yield Clip(
                id=name,
                audio=root / "audio" / f"{name}.flac",
                text=part["text"],
                speaker="heart",
                language="en",
                phonemes=part["phonemes"],
                durations=tuple(part["durations"]),
                frame_rate=FRAME_RATE,
                arrays={kind: root / kind / f"{name}.npy" for kind in kinds},
            )


def sentences(text: Path | None) -> list[str]:
    """The lines of a list, each once, in its order.

    Raises:
        UserError: no such file, not text, or nothing in it.
    """
    path = text if text is not None else _default_list()
    try:
        content = path.read_bytes()
        content = gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content
        lines = [" ".join(line.split()) for line in content.decode("utf-8-sig").splitlines()]
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from None
    except UnicodeDecodeError:
        raise UserError(f"{path}: not a text file in UTF-8") from None
    found = list(dict.fromkeys(line for line in lines if line))
    if not found:
        raise UserError(f"{path}: holds no sentences")
    return found


def id_of(line: str) -> str:
    """The clip of a line has the same name in every list; a line of two sentences makes clips ID-1 and ID-2."""
    return hashlib.blake2b(line.encode(), digest_size=6).hexdigest()


def finished(root: Path, line: str, spectra: bool) -> bool:
    """Whether all of a line is there. Every file is written whole or not at all, and clips/ID.json last."""
    record = _record(root, id_of(line))
    if record is None:
        return False
    spoken = [name for name, part in _parts(id_of(line), record) if "phonemes" in part]
    return not spectra or all((root / "spectra" / f"{name}.npy").is_file() for name in spoken)


def _record(root: Path, line_id: str) -> dict[str, Any] | None:
    """What was written of a line: {"text", "parts": [{"text", "phonemes", "durations"} or {"text", "refused"}]}."""
    try:
        return json.loads((root / "clips" / f"{line_id}.json").read_text("utf-8"))
    except (OSError, ValueError):
        return None


def _parts(line_id: str, record: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """The sentences of a line with the names of their clips."""
    parts = record["parts"]
    return [(line_id if len(parts) == 1 else f"{line_id}-{i}", part) for i, part in enumerate(parts, 1)]


def _bytes(number: int) -> str:
    return f"{number / 1e9:.1f} GB" if number >= 1e9 else f"{number / 1e6:.0f} MB"


def _default_list() -> Path:
    path = Path(__file__).parents[3] / "recipes" / "tts" / "sentences-en.txt.gz"
    if not path.is_file():
        raise UserError("the list of sentences is not installed with the package; name one with --text FILE")
    return path


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{folder}: cannot be made: {error.strerror}") from None


# ------------------------------------------------------------------------------------------------------ in each process

_teacher: Any = None  # one per process: a network cannot be sent from one to another


def _teach(hibari: Any) -> bytes:
    """The teacher's graph with the durations of the tokens as one more output."""
    onnx = require("onnx", "taught")
    graph = onnx.load(Path(hibari.__file__).parent / "assets" / "hibari.onnx")
    if not any(_DURATIONS in node.output for node in graph.graph.node):
        raise UserError("this hibari-tts does not show its durations; pip install 'aoide[taught]' brings one that does")
    graph.graph.output.append(onnx.ValueInfoProto(name=_DURATIONS))
    return graph.SerializeToString()


def _begin(graph: bytes) -> None:
    """Makes this process's teacher."""
    global _teacher  # noqa: PLW0603  (what initialises a process of a pool can leave it nothing else)
    import onnxruntime
    from hibari import Hibari

    if multiprocessing.parent_process() is not None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which lets us finish our sentence
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    _teacher = Hibari()
    _teacher.sess = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


def _speak(line: str, root: Path, spectra: bool) -> None:
    """Makes the files of a line that are not there: one clip, or one for each of its sentences."""
    texts = _teacher.split_sentences(line) or [line]
    record = {"text": line, "parts": [{"text": text} for text in texts]}
    for name, part in _parts(id_of(line), record):
        strings = _teacher.phonemize(part["text"])
        if not any(symbol.isalpha() for symbol in "".join(strings)):
            part["refused"] = "says nothing"
            continue
        if len(strings) > 1:
            part["refused"] = "too long for one sentence"
            continue
        part["phonemes"] = "".join(symbol for symbol in strings[0] if symbol in _teacher.vocab)
        part["durations"] = _make_clip(root, name, part["phonemes"], spectra)
    _write_json(root / "clips" / f"{id_of(line)}.json", record)


def _make_clip(root: Path, name: str, phonemes: str, spectra: bool) -> list[int]:
    """Writes the arrays and the sound of one sentence where they are not there; returns the frames of its tokens."""
    tokens = _teacher.ids(phonemes)
    feed = {"ids": np.array([tokens], np.int64), "speed": np.ones(1, np.float32)}
    *outputs, durations = _teacher.sess.run(None, feed)
    lh, theta, ln, lr, phi, f0 = (output[0] for output in outputs)  # (bins, frames), the last (frames,)
    frames = np.rint(durations).astype(int).reshape(-1) * _UNIT
    assert len(frames) == len(tokens), (len(frames), len(tokens))
    assert frames.sum() == len(f0), (frames.sum(), len(f0))
    if spectra:
        _write_array(root / "spectra" / f"{name}.npy", np.stack([lh.T, theta.T, lr.T, phi.T], axis=1), np.float16)
    _write_array(root / "f0" / f"{name}.npy", f0, np.float32)
    _write_sound(root / "audio" / f"{name}.flac", (lh, theta, ln, lr, phi, f0), seed=zlib.crc32(name.encode()))
    return frames.tolist()


def _write_sound(path: Path, parts: tuple[np.ndarray, ...], seed: int) -> None:
    """The teacher's own synthesis; the noise in it follows from the clip's name."""
    from hibari import dsp

    if not path.is_file():
        io.write(path, Sound(dsp.synth(*parts, np.random.default_rng(seed)), SAMPLE_RATE))


def _write_array(path: Path, array: np.ndarray, kind: type[np.floating]) -> None:
    if not path.is_file():
        with write_aside(path) as aside, open(aside, "wb") as file:
            np.save(file, np.ascontiguousarray(array, kind))


def _write_json(path: Path, record: dict[str, Any]) -> None:
    if not path.is_file():
        with write_aside(path) as aside:
            aside.write_text(json.dumps(record, ensure_ascii=False), "utf-8")
