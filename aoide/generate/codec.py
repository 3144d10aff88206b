"""An exported codec: sound -> codes -> sound with onnxruntime and numpy, without torch, of any length.

    codec = Codec("mel-24k")
    codes = codec.encode(Sound.load("in.wav"))      # Codes: (frames, codebooks), and how to read them
    codes.save("in.npz");  codec.decode(Codes.load("in.npz")).save("out.wav")

Its folder: `codec.json` (what it is), `encoder.onnx`, `decoder.onnx`, `card.md`. The encoder takes audio (1, frames *
hop) float32 and gives codes (1, frames, codebooks) int64, the decoder the other way round; -1 stands for codes of a
codebook that is left out. A codec of mels reads and gives mel (1, frames, n * mels) in the place of audio, n frames of
the mel side by side; numpy makes the mel of sound, and a vocoder of the package makes sound of the mel.
"""

from __future__ import annotations

import json
import math
import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from aoide.audio.mel_config import MelConfig
from aoide.audio.sound import Sound
from aoide.audio.spectrum import log_mel
from aoide.config import UserError, write_aside
from aoide.generate.chunks import in_chunks, in_rows
from aoide.generate.packed import Packed, open_graph, read, tags
from aoide.generate.vocoder import Vocoder
from aoide.voices import DEFAULT_VOCODER

FILE = "codec"
PIECE = 4.0  # seconds that are worked on at a time
SHORTEST = 4  # frames that the encoder's graph gets at least: its mirror needs something to mirror


@dataclass(frozen=True, kw_only=True, slots=True)
class Description(Packed):
    """What `codec.json` says."""

    sample_rate: int  # Hz
    hop: int  # samples of a frame
    codebooks: int
    cardinality: int  # entries of a codebook
    context: int  # frames before and after a frame on which its codes, and its sound, depend
    mel: MelConfig | None = None  # what a codec of mels reads and gives; None: it reads and gives sound
    vocoder: str = ""  # which makes sound of the mel, by name


@dataclass(frozen=True, slots=True, eq=False)
class Codes:
    """The codes of a sound, and what a decoder must know.

    Attributes:
        codes: (frames, codebooks) int32.
        codec: the name of the codec that wrote them.
        sample_rate: Hz, of the sound.
        samples: length of the sound; the last frame may go beyond.
        cardinality: entries of a codebook.
        frame_rate: frames per second.
    """

    codes: np.ndarray
    codec: str
    sample_rate: int
    samples: int
    cardinality: int
    frame_rate: float

    @property
    def bit_rate(self) -> float:
        """Bits per second, without entropy coding."""
        return self.frame_rate * self.codes.shape[1] * math.log2(self.cardinality)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes an .npz file."""
        about = {name: getattr(self, name) for name in ("codec", "sample_rate", "samples", "cardinality", "frame_rate")}
        narrow = np.uint16 if self.cardinality <= 65536 else np.int32
        with write_aside(Path(path)) as aside, open(aside, "wb") as file:
            np.savez_compressed(file, codes=self.codes.astype(narrow), about=np.array(json.dumps(about)))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Codes:
        """Reads what `save` wrote.

        Raises:
            UserError: no such file, or another kind of file.
        """
        try:
            with np.load(path, allow_pickle=False) as file:
                return cls(file["codes"].astype(np.int32), **json.loads(str(file["about"])))
        except FileNotFoundError:
            raise UserError(f"{path}: no such file") from None
        except Exception as error:  # numpy's and zip's errors have no common base
            raise UserError(f"{path}: not codes that `aoide encode` wrote ({type(error).__name__})") from None


class AnyCodec(ABC):
    """What codecs do alike, exported or of torch: sound of any length, piece by piece, to codes and back.

    Args:
        description: what it is.
        vocoder: the name or the folder of a vocoder for a codec of mels; None: the one that it names.
        threads: of one call.
    """

    def __init__(self, description: Description, vocoder: str | None, threads: int) -> None:
        self.description = of = description
        self.name, self.sample_rate, self.hop, self.mel = of.name, of.sample_rate, of.hop, of.mel
        self.codebooks, self.cardinality = of.codebooks, of.cardinality
        self._vocoder, self._threads = of.vocoder if vocoder is None else vocoder, threads
        self._opened: Vocoder | None = None

    def __repr__(self) -> str:
        about = f"{self.codebooks} codebooks, {self.frame_rate:g} frames/s, {self.sample_rate} Hz"
        return f"{type(self).__name__}({self.name}, {about})"

    @property
    def frame_rate(self) -> float:
        """Frames per second."""
        return self.sample_rate / self.hop

    @property
    @abstractmethod
    def card(self) -> str:
        """The model card, Markdown."""

    def open_vocoder(self) -> Vocoder | None:
        """What makes sound of the mels, opened once; None for a codec that makes sound by itself.

        Raises:
            UserError: no such vocoder, one of another mel, or one where none is needed.
        """
        if self.mel is None:
            if self._vocoder:
                raise UserError(f"{self.name} makes sound by itself; leave the vocoder out")
            return None
        if self._opened is None:
            found = Vocoder(self._vocoder or DEFAULT_VOCODER, self._threads)
            if found.mel != self.mel:
                raise UserError(f"{self.name} gives {self.mel}, but the vocoder {found.name} reads {found.mel}")
            self._opened = found
        return self._opened

    def tags(self) -> dict[str, str]:
        return tags(f"decoded by the codec {self.name}")

    # ------------------------------------------------------------------------------------------------------------ whole

    def encode(self, sound: Sound) -> Codes:
        """The codes of a sound, of which channels are averaged.

        Raises:
            UserError: a sound without samples, or with NaN in it.
        """
        samples = sound.mono().resample(self.sample_rate).samples
        return self.gather(self.encode_stream([samples]), len(samples))

    def decode(self, codes: Codes, codebooks: int | None = None) -> Sound:
        """The sound of codes, of the first `codebooks` of them.

        Raises:
            UserError: codes of another codec.
        """
        pieces = list(self.decode_stream(self.checked(codes, codebooks)))
        return Sound(np.concatenate(pieces)[: codes.samples], self.sample_rate, self.tags())

    def gather(self, pieces: Iterable[np.ndarray], samples: int) -> Codes:
        """Pieces of codes as one, of a sound of `samples` samples."""
        gathered = list(pieces)
        if not gathered:
            raise UserError("a sound without samples has no codes")
        codes = np.concatenate(gathered)
        return Codes(codes, self.name, self.sample_rate, samples, self.cardinality, self.frame_rate)

    def checked(self, codes: Codes, codebooks: int | None = None) -> list[np.ndarray]:
        """The codes in pieces for `decode_stream`, after a look whether they are this codec's."""
        if codes.codec != self.name:
            raise UserError(f"these codes were written by {codes.codec}, and {self.name} cannot read them")
        table = codes.codes
        if table.ndim != 2 or not len(table) or not 1 <= table.shape[1] <= self.codebooks:
            raise UserError(f"{self.name} reads (frames, 1 to {self.codebooks}) codes, not {table.shape}")
        if table.min() < 0 or table.max() >= self.cardinality:
            raise UserError(f"codes of {self.name} go from 0 to {self.cardinality - 1}; these do not")
        if codebooks is not None and not 1 <= codebooks <= table.shape[1]:
            raise UserError(f"these codes have {table.shape[1]} codebooks; {codebooks} of them cannot be taken")
        kept = table[:, :codebooks]
        return [kept[start : start + self._size] for start in range(0, len(kept), self._size)]

    # ----------------------------------------------------------------------------------------------------------- stream

    def encode_stream(self, blocks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """samples (samples,) in blocks of any length -> codes (frames, codebooks); silence fills the last frame."""
        yield from in_chunks(in_rows(blocks, self.hop), self._encoded, self._size, self.description.context)

    def decode_stream(self, pieces: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """codes (frames, codebooks) in pieces -> samples (samples,)."""
        vocoder = self.open_vocoder()
        made = in_chunks(pieces, self._decoded, self._size, self.description.context)
        yield from made if vocoder is None else vocoder.stream(made)

    @property
    def _size(self) -> int:
        """Frames that are worked on at a time."""
        return max(1, round(PIECE * self.frame_rate))

    def _encoded(self, rows: np.ndarray) -> np.ndarray:
        if not np.isfinite(rows).all():
            raise UserError("the sound holds NaN or infinity")
        return self._codes(rows)

    @abstractmethod
    def _codes(self, rows: np.ndarray) -> np.ndarray:
        """rows (frames, hop) of samples -> codes (frames, codebooks) int32."""

    @abstractmethod
    def _decoded(self, codes: np.ndarray) -> np.ndarray:
        """codes (frames, codebooks or fewer) -> samples (frames * hop,), or for a codec of mels a mel of as long."""


class Codec(AnyCodec):
    """A codec that can be called.

    Args:
        folder: of an exported codec, or the name of one in the package.
        threads: of one call.
        vocoder: see `AnyCodec`.

    Raises:
        UserError: no such codec, or a broken one.
    """

    def __init__(self, folder: str | os.PathLike[str], threads: int = 1, vocoder: str | None = None) -> None:
        from aoide import voices

        self.folder = voices.find(os.fspath(folder), kind=FILE)
        super().__init__(read(Description, self.folder, FILE), vocoder, threads)
        self._encoder, self._decoder = (
            open_graph(self.folder / name, self.description.sha256.get(name, ""), threads)
            for name in ("encoder.onnx", "decoder.onnx")
        )
        self._kind = "audio" if self.mel is None else "mel"  # what the graphs call it

    @property
    def card(self) -> str:
        return (self.folder / "card.md").read_text("utf-8")

    def _codes(self, rows: np.ndarray) -> np.ndarray:
        frames = len(rows)
        heard: np.ndarray
        if self.mel is not None:
            heard = log_mel(rows.ravel(), self.mel).reshape(1, frames, -1)
        else:
            heard = np.pad(rows, ((0, max(0, SHORTEST - frames)), (0, 0))).reshape(1, -1)
        return self._encoder.run(["codes"], {self._kind: heard})[0][0, :frames].astype(np.int32)

    def _decoded(self, codes: np.ndarray) -> np.ndarray:
        missing = self.codebooks - codes.shape[1]
        if missing:  # the graph reads all codebooks; which ones are there is for the codes to say
            codes = np.pad(codes, ((0, 0), (0, missing)), constant_values=-1)
        made = self._decoder.run([self._kind], {"codes": codes[None].astype(np.int64)})[0][0]
        return made if self.mel is None else made.reshape(-1, self.mel.n_mels)
