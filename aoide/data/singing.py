"""Batches of singing, from a manifest whose clips have phonemes with times, and notes where a model asks for them.

    data:
      kind: singing
      manifest: data/singers
      batch_seconds: 60
      key_shift: 5                  semitones by which a clip is shifted at most, for more voices out of few songs

What comes from the labels (aoide/data/sung.py) is made for each batch anew: tokens, durations, words, notes, the line
of the notes. What comes from the sound is what other models get (aoide/data/features); curves are smoothed. Phonemes
are those of the corpus, numbered in the order of the alphabet; the table stands in every checkpoint, so a run knows how
to sing.

Fields, beside those of data.kind: speech:

    language (batch, tokens)       from 1, by the corpus' language or what stands before a slash (`ja/a`); pauses have 0
    words (batch, tokens)          which word a phoneme belongs to, from 1
    midi (batch, tokens)           the pitch that was sung, a mean over each phoneme, rounded
    notes, note_durations, slurs (batch, tokens)   the note of each phoneme, its frames, whether it goes on with the one
                                   before; phonemes over several notes are cut. For a model that needs `note_rests`:
    notes, note_durations, note_rests, note_glides, note_mask (batch, notes)    the notes in a row, rests among them
    base_pitch (batch, frames)     the line of the notes, MIDI numbers; of a model that draws no pitch, what was sung
    curves (batch, frames, curves) what a variance model draws: pitch from the base pitch, and curves
    key_shift, speed (batch, frames)   by how much a clip was shifted, and how much faster it is
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from aoide.audio.mel import MelConfig, MelSpectrogram
from aoide.config import UserError
from aoide.data import speech, sung
from aoide.data.clips import Clip
from aoide.data.features import Settings, align, fit
from aoide.data.reader import Batch, Item, Reader, _mask, _Once, _stack
from aoide.data.shards import Files
from aoide.data.sounds import Sounds
from aoide.data.speech import SpeechData

OF_TOKENS = ("tokens", "durations", "language", "words", "midi", "slurs")
OF_NOTES = ("notes", "note_durations", "note_rests", "note_glides", "note_mask")
OF_SCORE = (*OF_TOKENS, *OF_NOTES, "base_pitch", "curves", "key_shift", "speed", "speaker")
CURVES = ("loudness", "breathiness", "voicing", "tension")
FILLS = {"speed": 1.0}


@dataclass(frozen=True, kw_only=True, slots=True)
class Config(speech.Config):
    """As for speech, and how singing is made more."""

    symbols: tuple[str, ...] = ()  # phonemes in the order of their numbers, from 1; () = those of the manifest, sorted
    languages: tuple[str, ...] = ()  # likewise
    key_shift: float = 0.0  # semitones by which a clip is shifted at most, up or down; formants move with the pitch
    faster: float = 1.0  # how many times faster, or slower, a clip is made at most
    changed: float = 0.5  # the share of the clips of an epoch that are shifted and made faster

    def __post_init__(self) -> None:
        speech.Config.__post_init__(self)
        if not 0 <= self.key_shift <= 24 or not 1 <= self.faster <= 4 or not 0 <= self.changed <= 1:
            raise ValueError("key_shift is 0 to 24 semitones, faster 1 to 4, changed 0 to 1")
        if self.segment_seconds is not None:
            raise ValueError("segment_seconds: singing is learned in whole clips; leave it out")


class SingingData(SpeechData):
    """Training and held-out batches of one manifest of singing.

    Args:
        config: the recipe's `data`.
        needs: the fields that a batch must hold, see the head of this file.
        mel, frame_rate, sample_rate: the clock, as for `SpeechData`.
        symbols: how many numbers the model has for phonemes, padding among them.
        speakers, languages: how many it tells apart; None = it does not.
        drawn: of a variance model, the names of what `curves` holds, in order.
        gapless: whether F0 goes on where nothing is voiced.
        bands: points of the envelope and of the aperiodicity, of a model that has them.

    Raises:
        UserError: as for `SpeechData`; or the manifest has more phonemes, singers or languages than the model.
    """

    config: Config

    def __init__(  # noqa: PLR0913  (what a recipe offers)
        self,
        config: Config,
        needs: Sequence[str],
        *,
        mel: MelConfig | None = None,
        frame_rate: float | None = None,
        sample_rate: int | None = None,
        symbols: int | None = None,
        speakers: int | None = None,
        languages: int | None = None,
        drawn: Sequence[str] = (),
        gapless: bool = False,
        bands: tuple[int, int] | None = None,
    ) -> None:
        self._asked = (tuple(drawn), gapless, bands)
        super().__init__(config, needs, mel=mel, frame_rate=frame_rate, sample_rate=sample_rate)
        table, manifest = self.reader.table, self.manifest.path
        counts = (
            ("symbols", len(table.symbols) + 1, symbols, "phonemes, padding among them"),
            ("speakers", len(self.manifest.speakers), speakers, f"singers ({', '.join(self.manifest.speakers[:6])})"),
            ("languages", len(table.languages), languages, f"languages ({', '.join(table.languages)})"),
        )
        for name, there, known, what in counts:
            if known is not None and there > known:
                raise UserError(f"{manifest}: {there} {what}, the model knows {known}; set model.{name}={there}")
        if speakers is None and len(self.manifest.speakers) > 1:
            raise UserError(
                f"{manifest}: {len(self.manifest.speakers)} singers, and the model tells none apart; set "
                f"model.speakers={len(self.manifest.speakers)}, or prepare one singer"
            )

    reader: SungReader

    def _open_reader(self, needs: Sequence[str], settings: Settings, tokenizer: Any) -> SungReader:
        drawn, gapless, bands = self._asked
        return SungReader(
            needs,
            replace(settings, bands=bands),
            Table.of(self.config, self.manifest),
            self.config,
            speakers=self.manifest.speakers,
            drawn=drawn,
            gapless=gapless,
            cache=self.config.cache or (self.manifest.folder or Path()) / "cache",
        )

    def state_dict(self) -> dict[str, Any]:
        """The place, and what the numbers of phonemes, singers and languages mean: what singing needs of a run."""
        table = self.reader.table
        return {
            **super().state_dict(),
            "symbols": list(table.symbols),
            "languages": list(table.languages),
            "singers": list(self.manifest.speakers),
            "key_shift": self.config.key_shift,
            "span": table.span,
        }


@dataclass(frozen=True, slots=True)
class Table:
    """What numbers mean: symbols and languages in order, from 1; and the lowest and the highest note that is sung."""

    symbols: tuple[str, ...]
    languages: tuple[str, ...]
    span: tuple[int, int] | None = None  # MIDI numbers; None = nobody wrote down notes

    @classmethod
    def of(cls, config: Config, manifest: Any) -> Table:
        """Those of the recipe, or else of the manifest.

        Raises:
            UserError: shards, whose clips are not at hand.
        """
        if config.symbols and config.languages:
            return cls(config.symbols, config.languages)
        if manifest.apart:
            raise UserError(f"{manifest.path}: of shards say data.symbols and data.languages, the phonemes in order")
        symbols, languages, pitches = set[str](), set[str](), set[int]()
        for number in range(len(manifest)):
            clip = manifest[number]
            symbols.update((clip.phonemes or "").split())
            languages.add(clip.language)
            pitches.update(round(note.midi) for note in clip.notes or ())
        languages |= {language_of(symbol, "") for symbol in symbols}
        span = (min(pitches), max(pitches)) if pitches else None
        return cls(config.symbols or tuple(sorted(symbols)), config.languages or tuple(sorted(languages - {""})), span)


def language_of(symbol: str, language: str) -> str:
    """The language of a phoneme: what stands before a slash, or that of the clip; pauses and breaths have none."""
    own, slash, _ = symbol.rpartition("/")
    return own if slash else "" if sung.silent(symbol) else language


class SungReader(Reader):
    """Makes the fields of a batch from clips of singing; whatever is computed of the sound is computed for each clip.

    Args:
        needs: see the head of this file.
        settings, speakers, cache: as for `Reader`.
        table: numbers of phonemes and languages.
        config: of the data.
        drawn, gapless: as for `SingingData`.
    """

    def __init__(
        self,
        needs: Sequence[str],
        settings: Settings,
        table: Table,
        config: Config,
        *,
        speakers: Sequence[str],
        drawn: Sequence[str],
        gapless: bool,
        cache: Path,
    ) -> None:
        self.table, self.gapless, self.drawn, self._config = table, gapless, tuple(drawn), config
        self.wanted = tuple(needs)
        heard = [name for name in needs if name not in OF_SCORE]
        heard += [name for name in drawn if name in CURVES and name not in heard]
        if "f0" not in heard and {"midi", "base_pitch", "curves"} & set(needs):
            heard.append("f0")
        super().__init__(heard, settings, speakers=speakers, cache=cache, keep=config.features)
        self._later = ()  # all is computed for each clip
        changes = config.key_shift > 0 or config.faster > 1
        if changes and (settings.mel is None or {"audio", "envelope", "aperiodicity", "curves"} & set(needs)):
            raise UserError("data.key_shift and data.faster change a mel; this model is not trained with mels alone")
        self._mel = MelSpectrogram(settings.mel) if settings.mel is not None and "mel" in heard else None
        self._symbols = {symbol: number for number, symbol in enumerate(table.symbols, 1)}
        self._languages = {language: number for number, language in enumerate(table.languages, 1)}

    # ------------------------------------------------------------------------------------------------------- one clip

    def read(
        self,
        clip: Clip,
        segment: int | None = None,
        place: float = 0.0,
        packed: Files | None = None,
        *,
        held_out: bool = False,
    ) -> Item:
        """The fields of one clip; `place` decides by how much it is shifted."""
        assert segment is None
        key, speed = (0.0, 1.0) if held_out else self._change(place)
        heard = _Once(lambda: self.sound(clip, packed))
        rows = self._heard(clip, packed, heard, key, speed)
        lengths = [len(row) for name, row in rows.items() if name != "audio"]
        frames = min(lengths) if lengths else self._count(clip, speed)
        if frames < 1:
            raise UserError(f"clip {clip.id}: is shorter than a frame")
        fields: dict[str, np.ndarray] = {name: row[: frames if name != "audio" else None] for name, row in rows.items()}
        if "audio" in fields:
            fields["audio"] = fit(fields["audio"], frames * self.clock.hop)
        fields |= self._labels(clip, fields.get("f0"), frames, key, speed)
        self._lines(fields, frames)
        fields |= {"key_shift": np.full(frames, key, np.float32), "speed": np.full(frames, speed, np.float32)}
        item: Item = {"id": clip.id, "frames": frames, "count": frames}
        item |= {name: _tensor(fields[name]) for name in (*self.wanted, "note_mask") if name in fields}
        if "speaker" in self.wanted:
            item["speaker"] = self._speakers[clip.speaker]
        return item

    def _change(self, place: float) -> tuple[float, float]:
        """By how many semitones a clip is shifted, and how many times faster it is: exactly as whole hops allow."""
        of = self._config
        draw = np.random.default_rng(int(place * 2**53))
        if (of.key_shift == 0 and of.faster == 1) or draw.random() >= of.changed:
            return 0.0, 1.0
        key = draw.uniform(-of.key_shift, of.key_shift)
        hop = round(self.clock.hop * float(np.exp(draw.uniform(-1, 1) * np.log(of.faster))))
        return key, hop / self.clock.hop

    def _count(self, clip: Clip, speed: float) -> int:
        samples = round(clip.samples * self.clock.sample_rate / clip.sample_rate)
        return samples // round(self.clock.hop * speed)

    def _heard(self, clip: Clip, packed: Files | None, heard: _Once, key: float, speed: float) -> dict[str, np.ndarray]:
        """What comes from the sound, or from arrays that the corpus gives: name -> (frames, ...)."""
        frames, rows = self._count(clip, 1.0), dict[str, np.ndarray]()
        for name in self.needs:
            if name == "audio":
                rows[name] = heard()
            elif name == "mel" and self._mel is not None and (key or speed != 1.0):
                with torch.inference_mode():
                    rows[name] = self._mel.shifted(torch.from_numpy(heard())[None], key, speed)[0].numpy()
            else:
                rows[name] = self._row(clip, name, packed, heard, frames)
        if speed != 1.0:
            count = self._count(clip, speed)
            for name, row in rows.items():
                if name not in ("mel", "audio"):
                    rows[name] = align(row, count, 1.0, 1 / speed)
        if "f0" in rows:
            f0 = sung.bridged(rows["f0"]) if self.gapless else rows["f0"]
            rows["f0"] = (f0 * 2 ** (key / 12)).astype(np.float32)
        return rows

    def _row(self, clip: Clip, name: str, packed: Files | None, heard: _Once, frames: int) -> np.ndarray:
        if name not in self.features or self._fits(clip, name):
            return np.asarray(self._array(clip, name, packed))
        feature = self.features[name]
        if name in self.kept:
            entry = self._entry(clip, name, heard)
        else:
            entry = feature.compute(Sounds([heard()], self.clock.sample_rate))[0]
        row = feature.field(entry, frames)
        return sung.smoothed(row, self.clock.frame_rate) if name in CURVES else row

    def _labels(
        self, clip: Clip, f0: np.ndarray | None, frames: int, key: float, speed: float
    ) -> dict[str, np.ndarray]:
        """What comes from the phonemes and the notes."""
        if clip.phonemes is None or clip.phoneme_seconds is None:
            raise UserError(
                f"clip {clip.id} has no times of its phonemes: singing is learned from corpora with labels, see "
                "`aoide prepare diffsinger --help`"
            )
        symbols, rate = clip.phonemes.split(), self.clock.frame_rate / speed
        unknown = [symbol for symbol in symbols if symbol not in self._symbols]
        if unknown:
            raise UserError(f"clip {clip.id}: the phoneme {unknown[0]!r} is not in data.symbols")
        durations = sung.frames_of(clip.phoneme_seconds, rate, frames)
        tongues = [self._languages.get(language_of(symbol, clip.language), 0) for symbol in symbols]
        fields = {
            "tokens": np.array([self._symbols[symbol] for symbol in symbols], np.int64),
            "language": np.array(tongues, np.int64),
            "durations": durations,
        }
        wanted = set(self.wanted)
        row = sung.row(clip.notes or (), clip.seconds, clip.more.get("note_glide", ()))
        if row is None and (wanted & set(OF_NOTES) or ("base_pitch" in wanted and "pitch" in self.drawn)):
            raise UserError(f"clip {clip.id} has no notes, which this model learns from")
        if "words" in wanted:
            fields["words"] = self._words(clip, symbols, row)
        if f0 is not None and {"midi", "base_pitch", "curves"} & wanted:
            fields["pitch"] = sung.midi(f0 if self.gapless else sung.bridged(f0))
            fields["midi"] = sung.heights(fields["pitch"], durations)
        if row is not None:
            row = row._replace(pitches=row.pitches + np.float32(key))
            self._add_notes(fields, row, sung.frames_of(row.seconds, rate, frames), frames)
        return fields

    def _words(self, clip: Clip, symbols: Sequence[str], row: sung.Row | None) -> np.ndarray:
        counts = clip.more.get("ph_num")
        if counts is not None and sum(counts) == len(symbols):
            return sung.counted(counts)
        if row is None:
            raise UserError(f"clip {clip.id}: neither ph_num nor notes say which phonemes make a word")
        return sung.words(symbols, clip.phoneme_seconds or (), row)

    def _add_notes(self, fields: dict[str, np.ndarray], row: sung.Row, lasting: np.ndarray, frames: int) -> None:
        """The notes in a row, or one for each phoneme; and their line."""
        fields["base_pitch"] = sung.line(row.pitches, lasting, frames, self.clock.frame_rate)
        if "note_rests" in self.wanted:
            fields |= {
                "notes": row.pitches,
                "note_durations": lasting,
                "note_rests": row.rests,
                "note_glides": row.glides,
                "note_mask": np.ones(len(lasting), bool),
            }
            return
        if "slurs" in self.wanted:
            owners, durations = sung.split_at_slurs(fields["durations"], lasting, row.slurs)
            for name in ("tokens", "language", "words", "midi"):
                if name in fields:
                    fields[name] = fields[name][owners]
            fields["durations"] = durations
            fields["slurs"] = (np.diff(owners, prepend=-1) == 0).astype(np.int64)
        note = sung.note_of(fields["durations"], lasting)
        fields["notes"] = np.where(row.rests, 0, row.pitches)[note]
        fields["note_durations"] = lasting[note]

    def _lines(self, fields: dict[str, np.ndarray], frames: int) -> None:
        """What a variance model draws."""
        if "curves" not in self.wanted:
            return
        if "pitch" not in self.drawn:
            fields["base_pitch"] = fields["pitch"]
        delta = fields["pitch"] - fields["base_pitch"]
        rows = [delta if name == "pitch" else fields[name] for name in self.drawn]
        fields["curves"] = np.stack(rows, axis=1) if rows else np.zeros((frames, 0), np.float32)

    # -------------------------------------------------------------------------------------------------------- a batch

    def collate(self, items: Sequence[Item], masked: bool) -> Batch:
        """Items of `read` to a batch: padded, stacked, masks made."""
        batch: Batch = {"ids": [item["id"] for item in items]}
        for name in items[0]:
            if name in ("id", "frames", "count"):
                continue
            if name == "speaker":
                batch[name] = torch.tensor([item[name] for item in items])
            else:
                batch[name] = _stack([item[name] for item in items], FILLS.get(name, self._fill(name)))
        if "tokens" in batch:
            batch["token_mask"] = _mask([len(item["tokens"]) for item in items])
        batch["frame_mask"] = _mask([item["frames"] for item in items])
        return batch

    def finish(self, batch: Batch) -> Batch:
        """Nothing is left to do."""
        return batch


def _tensor(array: np.ndarray) -> Tensor:
    if array.dtype == bool:
        return torch.from_numpy(np.ascontiguousarray(array))
    kind = np.int64 if np.issubdtype(array.dtype, np.integer) else np.float32
    return torch.from_numpy(np.array(array, kind))
