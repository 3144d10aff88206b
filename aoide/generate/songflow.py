"""A model of songs with what makes sound of its latents: lyrics and a style -> voice, accompaniment and their mix.

    songs = SongFlow(aoide.load("ttm/songflow", "runs/songflow-toy"))
    made = songs.generate(SongScript.load("lyrics.lrc"), "c major, 110 bpm", 6.0)      {"mix": ..., "voice": ...}

A model whose latents are mels is heard through Griffin and Lim's phases (aoide/audio/griffin_lim.py); one whose latents
are those of an autoencoder needs it: `SongFlow(model, aoide.load("codec/oobleck", "runs/oobleck"))`. Published weights
(DiffRhythm, JAM) read signs of their own, `Vocabulary("vocab.json")`, and styles as MuQ-MuLan tells them, which must
come as vectors: `style=` takes a text for models that were trained here, `style_vector=` what another ear heard.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from aoide.audio.griffin_lim import sound_of
from aoide.config import UserError
from aoide.models import ttm
from aoide.models.ttm import MIX
from aoide.models.ttm.songflow import STEMS
from aoide.score.song_script import PAUSE, RATE, REST, SongScript
from aoide.text.song_grid import House, Symbols, grid, style_code

BEHIND = 1.0  # seconds after the last word, where nobody says how long the song is
FITTING = 1.05  # times faster than what would just fit
PIECE = 256  # frames of latents that are decoded at a time


class SongFlow:
    """See `aoide.models.ttm.Songs`.

    Args:
        model: a ttm/songflow in evaluation mode.
        autoencoder: what decodes its latents; None for a model of mels.
        symbols: what its lyrics are written in; None: the phonemes of the house, in the language of the script.

    Raises:
        UserError: latents that nothing decodes, or an autoencoder of others.
    """

    steps = 31
    guidance = 5.0  # counted from 1; DiffRhythm's 4, which is counted from 0

    def __init__(self, model: Any, autoencoder: Any = None, symbols: Symbols | None = None) -> None:
        config = model.config
        if config.stem_mel is None and autoencoder is None:
            raise UserError("this model makes latents of an autoencoder: give it too, such as codec/oobleck")
        if autoencoder is not None:
            theirs = (autoencoder.dim, autoencoder.sample_rate, autoencoder.hop)
            if theirs != (config.channels, config.sample_rate, config.hop):
                raise UserError(
                    f"the model makes {config.channels} numbers each {config.hop} samples at {config.sample_rate} Hz; "
                    f"the autoencoder knows {theirs[0]} each {theirs[2]} at {theirs[1]} Hz"
                )
        self.name = "ttm/songflow"
        self._model, self._autoencoder, self._symbols = model, autoencoder, symbols
        self._device = next(model.parameters()).device

    @property
    def sample_rate(self) -> int:
        """Hz."""
        return int(self._model.config.sample_rate)

    @property
    def longest(self) -> float:
        """Seconds of the longest song."""
        return float(self._model.config.longest / self._model.config.frame_rate)

    @property
    def stems(self) -> tuple[str, ...]:
        """What it gives beside the mix."""
        return STEMS if self._model.config.stems == 2 else ()

    def generate(  # noqa: PLR0913  (what steers a song)
        self,
        script: SongScript,
        style: str = "",
        seconds: float | None = None,
        *,
        style_vector: Tensor | None = None,
        steps: int | None = None,
        guidance: float | None = None,
        generator: torch.Generator | None = None,
    ) -> dict[str, Tensor]:
        """See `Songs`.

        Args:
            style_vector: (style_dim,), in place of a style in words.

        Raises:
            UserError: no style, a length that it does not make, lyrics that cannot be read, or whose times go on after
                the end of the song.
        """
        style = style or script.style
        timed = script.timed()
        end = max((end for _, _, end in timed.spans()), default=0.0)
        seconds = end + BEHIND if seconds is None else seconds
        ttm.check(self, [] if style_vector is not None else [style], seconds)
        if end > seconds:
            timed = _squeezed(script, end / seconds)
        config = self._model.config
        frames = max(1, round(seconds * config.frame_rate))
        symbols = self._symbols or House(script.language or "en")
        rate = config.lyric_rate
        lyric = torch.from_numpy(grid(timed, frames * rate, config.frame_rate * rate, symbols))
        code = torch.from_numpy(style_code(style, config.style_dim)) if style_vector is None else style_vector
        latents = self._model.compose(
            lyric[None].to(self._device),
            code[None].to(self._device),
            steps=self.steps if steps is None else steps,
            guidance=(self.guidance if guidance is None else guidance) - 1,
            generator=generator,
        )
        return self.decode(latents[0])

    def decode(self, latents: Tensor) -> dict[str, Tensor]:
        """latents (frames, stems * channels) -> the sound of each stem, and of all together under "mix"."""
        parts = [self._sound(part) for part in latents.chunk(self._model.config.stems, dim=-1)]
        mix = torch.stack(parts).sum(0)
        return {MIX: mix, **(dict(zip(STEMS, parts, strict=True)) if self.stems else {})}

    def _sound(self, latents: Tensor) -> Tensor:
        mel = self._model.config.stem_mel
        if self._autoencoder is None:
            return torch.from_numpy(sound_of(latents.cpu().numpy().astype(np.float64), mel))
        return torch.cat([*self._pieces(latents)])

    @torch.no_grad()
    def _pieces(self, latents: Tensor) -> Iterator[Tensor]:
        """The sound piece by piece, each with as many frames around it as it depends on: equal to the whole."""
        around, hop = self._autoencoder.context, self._autoencoder.hop
        for first in range(0, len(latents), PIECE):
            last = min(len(latents), first + PIECE)
            begin, end = max(0, first - around), min(len(latents), last + around)
            sound = self._autoencoder.decode(latents[None, begin:end])[0].cpu()
            yield sound[(first - begin) * hop : (last - begin) * hop]


def _squeezed(script: SongScript, factor: float) -> SongScript:
    """Lyrics without times of their own, sung so much faster that they fit.

    Raises:
        UserError: they have times.
    """
    if script.has_times:
        raise UserError(
            f"the lyrics go on {factor:.2g} times as long as the song: ask for more seconds, or leave them out"
        )
    faster = factor * FITTING
    return script.timed(rate=RATE * faster, pause=PAUSE / faster, rest=REST / faster)
