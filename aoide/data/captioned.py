"""Batches of sounds with captions, for models that make a sound of a description.

    data:
      kind: captioned
      manifest: data/audiocaps
      text: {name: t5, source: t5-base}        what reads the captions; null = the model reads them by itself

The caption of a clip is its text (or `caption` in the custom fields of a cut that was made elsewhere); where it has
several (`captions` in `more`), an epoch takes one of them by chance, validation the first. `lyrics` in `more`, or in
the custom fields, are what is sung. A corpus without captions is no corpus for this.

Fields, beside those of data.kind: speech:

    captions, lyrics   list[str] of the batch; captions are in every batch, lyrics where a model needs them
    letters            (batch, letters) int64: the bytes of the caption in UTF-8 from 1, 0 = padding; with letter_mask
    words              (batch, words, pieces) int64: words and their threes of letters, as numbers
                       (aoide/text/captions.py); with word_mask
    text               (batch, words, dim): what `data.text` makes of the captions; with text_mask (batch, words)
    latents            (batch, frames, dim), what data.networks.latents hears in the sound, at the model's frame rate
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from aoide.config import UserError
from aoide.data import speech
from aoide.data.clips import Clip
from aoide.data.features import Settings
from aoide.data.reader import Batch, Item, Reader, Tokenizer, _mask, _stack
from aoide.data.shards import Files
from aoide.data.speech import SpeechData
from aoide.text.captions import batch as numbered

TOLD = ("captions", "lyrics", "letters", "words", "text")  # fields that come from what is written, not from the sound
Encode = Callable[[Sequence[str]], tuple[Tensor, Tensor]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Text:
    """What makes rows of vectors of captions."""

    name: Literal["words", "t5", "clap"] = "words"  # words: a direction for each, without a network
    source: str | None = None  # of t5 and clap: a local folder or a hub name; null = t5-base, laion/clap-htsat-unfused
    longest: int = 64  # words or pieces of words that are read
    dim: int = 64  # of words; the others have their own

    def __post_init__(self) -> None:
        if self.longest < 1 or self.dim < 2:
            raise ValueError(f"longest is 1 or more and dim 2 or more, got {self.longest} and {self.dim}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Config(speech.Config):
    """As for speech, and how captions are read."""

    max_seconds: float = 30.0
    text: Text | None = None  # for a model that needs `text`
    captions: Literal["drawn", "first"] = "drawn"  # of several: another one each epoch, or always the first
    dropped: float = 0.0  # share of an epoch's clips whose caption is not told, so that sampling can be guided

    def __post_init__(self) -> None:
        speech.Config.__post_init__(self)
        if not 0 <= self.dropped < 1:
            raise ValueError(f"dropped is a share from 0 to below 1, got {self.dropped}")


def open_text(text: Text, device: str | torch.device = "cpu") -> Encode:
    """What `text` names, ready: captions -> (captions, words, dim), mask (captions, words), on `device`.

    Raises:
        UserError: no weights there. MissingExtra: transformers is not installed.
    """
    if text.name == "words":
        from aoide.text.wordvectors import WordVectors

        vectors = WordVectors(text.dim, text.longest)

        def encode(captions: Sequence[str]) -> tuple[Tensor, Tensor]:
            rows, mask = vectors.encode(captions)
            return torch.from_numpy(rows).to(device), torch.from_numpy(mask).to(device)

        return encode
    if text.name == "t5":
        from aoide.external.t5 import T5

        return T5(text.source, longest=text.longest, device=device).encode
    from aoide.external.clap import Clap

    clap = Clap(text.source)

    def encode_whole(captions: Sequence[str]) -> tuple[Tensor, Tensor]:
        rows = torch.from_numpy(clap.embed_text(captions))[:, None].to(device)
        return rows, torch.ones(rows.shape[:2], dtype=torch.bool, device=device)

    return encode_whole


class CaptionedReader(Reader):
    """Makes the fields of a batch from captioned clips; arguments as for `Reader`.

    Args:
        drawn: whether one of several captions is taken by chance.
        dropped: share of the clips whose caption is not told.
    """

    def __init__(self, needs: Sequence[str], *rest: Any, drawn: bool, dropped: float = 0.0, **named: Any) -> None:
        super().__init__([name for name in needs if name not in TOLD], *rest, **named)
        self._told = tuple(name for name in TOLD if name in needs)
        self._drawn, self._dropped = drawn, dropped

    def read(
        self,
        clip: Clip,
        segment: int | None = None,
        place: float = 0.0,
        packed: Files | None = None,
        *,
        held_out: bool = False,
    ) -> Item:
        """The fields of one clip; `place` decides which caption is taken.

        Raises:
            UserError: as for `Reader`; or the clip has no caption, or no lyrics where a model needs them.
        """
        item = super().read(clip, segment, place, packed, held_out=held_out)
        item["caption"] = self._caption(clip, place, held_out)
        if "lyrics" in self._told:
            item["lyrics"] = clip.more.get("lyrics") or ""
            if not item["lyrics"]:
                raise UserError(f"clip {clip.id} has no lyrics, which this model sings")
        return item

    def _caption(self, clip: Clip, place: float, held_out: bool) -> str:
        several = [text for text in clip.more.get("captions", ()) if isinstance(text, str) and text.strip()]
        own = [clip.text] if clip.text and clip.text.strip() else []
        choice = several or own
        if not choice:
            raise UserError(f"clip {clip.id} has no caption: it has no text, and no `captions` in `more`")
        if held_out:
            return choice[0].strip()
        draw = np.random.default_rng(int(place * 2**53))
        if self._dropped and draw.random() < self._dropped:
            return ""
        return choice[int(draw.integers(len(choice))) if self._drawn else 0].strip()

    def collate(self, items: Sequence[Item], masked: bool) -> Batch:
        """Items of `read` to a batch: captions, and what is made of their letters."""
        batch = super().collate(items, masked)
        batch["captions"] = [item["caption"] for item in items]
        if "lyrics" in self._told:
            batch["lyrics"] = [item["lyrics"] for item in items]
        if "words" in self._told:
            numbers, mask = numbered(batch["captions"])
            batch["words"], batch["word_mask"] = torch.from_numpy(numbers), torch.from_numpy(mask)
        if "letters" in self._told:
            rows = [letters(caption) for caption in batch["captions"]]
            batch["letters"], batch["letter_mask"] = _stack(rows), _mask([len(row) for row in rows])  # type: ignore[arg-type]
        return batch


class CaptionedData(SpeechData):
    """Training and held-out batches of one manifest of captioned sounds; arguments as for `SpeechData`.

    Raises:
        UserError: as for `SpeechData`; or the model needs `text` and the recipe does not say what makes it.
    """

    config: Config
    _reads: type[CaptionedReader] = CaptionedReader

    def _open_reader(self, needs: Sequence[str], settings: Settings, tokenizer: Tokenizer | None) -> CaptionedReader:
        """The reader, of the class that `_reads` names; and what makes text of captions, where it is needed."""
        if "text" in needs and self.config.text is None:
            raise UserError(
                "data.text: this model reads captions as rows of vectors; say what makes them, such as "
                "data.text={name: t5, source: t5-base}, or {name: words} for no network"
            )
        self._encode = open_text(self.config.text) if "text" in needs and self.config.text else None
        return self._reads(
            needs,
            settings,
            tokenizer,
            self.manifest.speakers,
            drawn=self.config.captions == "drawn",
            dropped=self.config.dropped,
            cache=self.config.cache or (self.manifest.folder or Path()) / "cache",
            keep=self.config.features,
            device=speech._device(self.config.device),
        )

    def _load(self, tasks: Iterator[Any], seed: int) -> Iterator[Batch]:
        """In the training process each batch gets its text: the encoder is there once, not in every worker."""
        for batch in super()._load(tasks, seed):
            if self._encode is not None:
                batch["text"], batch["text_mask"] = self._encode(batch["captions"])
            yield batch


def letters(caption: str) -> Tensor:
    """(letters,) int64: the bytes of a caption in UTF-8, from 1; of no caption a single 1."""
    return torch.tensor([byte + 1 for byte in caption.encode()] or [1])
