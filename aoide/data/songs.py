"""Batches of songs: latents of each stem, the lyrics, the style. For models of whole songs.

    data:
      kind: songs
      manifest: data/songs         aoide prepare songs --root songs -o data/songs --max-seconds 300

A clip is a song whose text says how it sounds, with its lyrics (`lyrics` in `more`, or in the custom fields of a cut
that was made elsewhere): LRC, plain text with [verse] and [chorus], or another dialect of aoide/score/dialects.py.
Without lyrics nothing is sung. Fields, beside those of data.kind: captioned:

    latents        (batch, frames, stems * channels): for a model of mels those of the stems, which lie beside the song
                   (song.voice.flac, song.accompaniment.flac); else the corpus gives them as arrays, or
                   data.networks.latents hears them, such as [{name: codec/oobleck, source: runs/oobleck}], of the mix
    lyric          (batch, frames * lyric_rate) int64, see aoide/text/song_grid.py; for a model without a lyric_rate all
                   phonemes one after the other, (batch, phonemes), with lyric_mask
    style_vector   (batch, style_dim): directions of its words, for a closed world of styles; for an open one
                   data.networks or arrays of the corpus give what a better ear hears
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch

from aoide.audio import io
from aoide.audio.mel_config import MelConfig
from aoide.audio.spectrum import log_mel
from aoide.config import UserError
from aoide.data import captioned
from aoide.data.cache import Cache
from aoide.data.captioned import CaptionedData, CaptionedReader
from aoide.data.clips import Clip
from aoide.data.corpora.songs import STEMS, stem_of
from aoide.data.features import Settings, fit
from aoide.data.reader import Batch, Item, Tokenizer, _mask, _stack
from aoide.data.shards import Files
from aoide.score.song_script import SongScript
from aoide.text.song_grid import House, grid, style_code


@dataclass(frozen=True, kw_only=True, slots=True)
class Config(captioned.Config):
    """As for captioned; songs are longer."""

    batch_seconds: float = 600.0
    min_seconds: float = 1.0
    max_seconds: float = 300.0


class Told(NamedTuple):
    """What the model's Config says of songs."""

    mel: MelConfig | None  # of the stems; None: its latents come from elsewhere
    stems: int
    lyric_rate: int | None  # places of the lyrics in a frame; None: they have no places
    style_dim: int


class SongsReader(CaptionedReader):
    """Makes the fields of a batch from songs; arguments as for `CaptionedReader`, and then `tell`."""

    def tell(self, own: Sequence[str], songs: Told) -> None:
        """Which fields it makes by itself, and what the model says of songs."""
        self._own, self._songs = tuple(own), songs
        self._mels = Cache(self.cache, "stems", {"mel": songs.mel, "stems": songs.stems})
        self._symbols: dict[str, House] = {}

    def read(
        self,
        clip: Clip,
        segment: int | None = None,
        place: float = 0.0,
        packed: Files | None = None,
        *,
        held_out: bool = False,
    ) -> Item:
        """The fields of one song.

        Raises:
            UserError: as for `CaptionedReader`; or the song has no stems, or lyrics that cannot be read.
        """
        item = super().read(clip, segment, place, packed, held_out=held_out)
        if "latents" in self._own:
            rows = self._mels.get(clip.content, lambda: self._stems_of(clip))
            item["latents"] = torch.from_numpy(fit(rows, item["frames"]).astype(np.float32))
        if "lyric" in self._own:
            item["lyric"] = torch.from_numpy(self._lyric(clip, item["frames"]))
        if "style_vector" in self._own:
            item["style_vector"] = torch.from_numpy(style_code(item["caption"], self._songs.style_dim))
        return item

    def collate(self, items: Sequence[Item], masked: bool) -> Batch:
        """Items of `read` to a batch."""
        batch = super().collate(items, masked)
        for name in self._own:
            rows = [item[name] for item in items]
            batch[name] = torch.stack(rows) if name == "style_vector" else _stack(rows)
        if "lyric" in self._own and self._songs.lyric_rate is None:
            batch["lyric_mask"] = _mask([len(item["lyric"]) for item in items])
        return batch

    def _lyric(self, clip: Clip, frames: int) -> np.ndarray:
        rate = self._songs.lyric_rate
        text = clip.more.get("lyrics") or ""
        if not text.strip():
            return np.zeros(1 if rate is None else frames * rate, np.int64)
        script = SongScript.read(text, where=f"song {clip.id}: lyrics")
        language = script.language or clip.language or "en"
        symbols = self._symbols.setdefault(language, House(language))
        if rate is None:
            return np.array([token for line in script.lines for token in (*symbols.encode(line.text), *symbols.end)])
        return grid(script, frames * rate, self.clock.frame_rate * rate, symbols)

    def _stems_of(self, clip: Clip) -> np.ndarray:
        """The stems' mels side by side, or that of the song where one stem is all: (frames, stems * mels)."""
        mel = self._songs.mel
        assert mel is not None
        paths = [clip.audio] if self._songs.stems == 1 else [stem_of(clip.audio, stem) for stem in STEMS]
        rows = []
        for path in paths:
            if not path.is_file():
                raise UserError(f"song {clip.id} has no stem {path.name}, and this model learns stems")
            rows.append(log_mel(io.read(path).mono().resample(mel.sample_rate).samples, mel))
        frames = min(map(len, rows))
        return np.concatenate([row[:frames] for row in rows], axis=1).astype(np.float16)


class SongsData(CaptionedData):
    """Training and held-out batches of one manifest of songs; arguments as for `SpeechData`, and of the model's Config
    what it says of stems, lyrics and styles.

    Raises:
        UserError: as for `SpeechData`; or songs are to be cut, or two stems have no mel and no arrays.
    """

    config: Config
    _reads = SongsReader

    def __init__(  # noqa: PLR0913  (what a model says of itself)
        self,
        config: Config,
        needs: Sequence[str],
        *,
        frame_rate: float | None = None,
        sample_rate: int | None = None,
        stem_mel: MelConfig | None = None,
        stems: int | None = None,
        lyric_rate: int | None = None,
        style_dim: int | None = None,
    ) -> None:
        if config.segment_seconds is not None:
            raise UserError("data.segment_seconds: lyrics belong to whole songs; leave it out, or lower max_seconds")
        if (stems or 1) > 1 and stem_mel is None and "latents" in config.networks:
            raise UserError("data.networks.latents hears the mix: for two stems give model.stem_mel, or arrays latents")
        self._songs = Told(stem_mel, stems or 1, lyric_rate, style_dim or 1)
        super().__init__(config, needs, frame_rate=frame_rate, sample_rate=sample_rate)

    def _open_reader(self, needs: Sequence[str], settings: Settings, tokenizer: Tokenizer | None) -> SongsReader:
        own = {"lyric", "style_vector"} | ({"latents"} if self._songs.mel is not None else set())
        reader = super()._open_reader([name for name in needs if name not in own], settings, tokenizer)
        assert isinstance(reader, SongsReader)
        reader.tell([name for name in needs if name in own], self._songs)
        return reader
