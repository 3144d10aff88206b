"""Music of descriptions by a language model of codes: text encoder, model and codec as one.

    music = MusicGen.of_folder("musicgen-small")         as transformers saves it; or hf:facebook/musicgen-small
    music = MusicGen.of_run("runs/musicgen")             a run of ttm/musicgen or ttm/musicgen_melody
    music.generate(["slow strings in A minor"], seconds=10)

    1. T5 reads the captions                             (captions, words, values)
    2. the model writes codes, one step a frame          (captions, frames, codebooks)
    3. the codec makes sound of them                     (captions, samples)

Offers what `aoide.models.ttm.Music` promises. Long music is written in pieces: each begins with the last third of the
one before, as the authors of MusicGen do it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from aoide import config
from aoide.audio.sound import Sound
from aoide.config import UserError
from aoide.data.captioned import Text, open_text
from aoide.external import codec as other_codec
from aoide.external.encodec import EnCodec
from aoide.external.weights import pretrained
from aoide.generate import published
from aoide.generate.latent_sound import recipe_of
from aoide.models import find, ttm
from aoide.models.ttm import musicgen

Encode = Callable[[Sequence[str]], tuple[Tensor, Tensor]]
LONGEST = 300.0  # seconds
PIECE = 30.0  # seconds that the model has learned to write in one go
OVERLAP = 10.0  # seconds of a piece with which the next begins
MODELS = {"musicgen": "ttm/musicgen", "musicgen_melody": "ttm/musicgen_melody"}
CLASSES = {"musicgen": "MusicgenForConditionalGeneration", "musicgen_melody": "MusicgenMelodyForConditionalGeneration"}


class MusicGen:
    """See the head of this file.

    Args:
        model: a ttm/musicgen or ttm/musicgen_melody, in evaluation mode.
        encode: what reads captions: (captions, words, values) and their mask.
        codec: whose codes the model writes.
        name: for errors and tags.

    Raises:
        UserError: a codec whose codes are not those of the model.
    """

    steps = None
    guidance = musicgen.GUIDANCE
    longest = LONGEST

    def __init__(self, model: Any, encode: Encode, codec: Any, name: str = "ttm/musicgen") -> None:
        own = model.config
        theirs = (codec.sample_rate, codec.hop, codec.cardinality)
        if theirs != (own.sample_rate, own.hop, own.codes) or codec.codebooks < own.codebooks:
            raise UserError(
                f"{name} writes {own.codebooks} books of {own.codes} codes each {own.hop} samples at {own.sample_rate} "
                f"Hz; the codec has {codec.codebooks} of {theirs[2]} each {theirs[1]} at {theirs[0]} Hz"
            )
        self.name, self.model, self.codec = name, model.eval(), codec
        self.sample_rate: int = own.sample_rate
        self._encode = encode

    @property
    def follows_melody(self) -> bool:
        """Whether it takes a melody."""
        return hasattr(self.model, "chroma")

    @classmethod
    def of_folder(cls, source: str | os.PathLike[str]) -> MusicGen:
        """MusicGen as transformers saves it: a local folder, or `hf:owner/name`.

        Raises:
            UserError: no such folder, or one of another model. MissingExtra: transformers is not installed.
        """
        source = os.fspath(source).removeprefix(published.HUB)
        kind = pretrained("AutoConfig", source, "models").model_type
        if kind not in MODELS:
            raise UserError(f"{source}: holds a model of kind {kind!r}, not MusicGen")
        whole = pretrained(CLASSES[kind], source, "models")
        model = find.find(MODELS[kind]).from_official(whole.state_dict(), whole.config.to_dict())
        reader = _Reader(pretrained("AutoTokenizer", source, "models"), whole.text_encoder)
        return cls(model, reader, EnCodec(whole.audio_encoder), Path(source).name)

    @classmethod
    def of_run(cls, run: str | os.PathLike[str], *, codec: Any = None) -> MusicGen:
        """The model of a run of `aoide train`, with what its recipe names beside it.

        Args:
            codec: in place of that of the recipe.

        Raises:
            UserError: not such a run, or something that it names is not there.
        """
        aoide = config.require("aoide", "torch")
        model, data = aoide.load(run), recipe_of(Path(run)).get("data", {})
        if type(model).__module__ not in _modules():
            raise UserError(f"{run}: holds no model of music that writes codes, such as ttm/musicgen")
        if not data.get("text"):
            raise UserError(f"{run}: its recipe names nothing that reads captions (data.text)")
        encode = open_text(config.build(Text, data["text"], str(run), "data.text"))
        return cls(model, encode, codec or _codec(run, data, aoide), Path(run).resolve().name)

    @torch.no_grad()
    def generate(
        self,
        captions: Sequence[str],
        seconds: float,
        *,
        melody: Sound | None = None,
        steps: int | None = None,
        guidance: float | None = None,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """See `aoide.models.ttm.Music`; there are no steps.

        Raises:
            UserError: a caption or a length that it cannot do, or a melody for a model that follows none.
        """
        ttm.check(self, captions, seconds)
        if steps is not None:
            raise UserError(f"{self.name} writes one frame after the other and has no steps; leave them out")
        text, mask = self._encode(captions)
        asked: dict[str, Any] = {"guidance": self.guidance if guidance is None else guidance, "generator": generator}
        if melody is not None:
            asked["melody"] = self._heard(melody, len(captions))
        rate = self.model.config.frame_rate
        frames, most, kept = round(seconds * rate), round(PIECE * rate), round(OVERLAP * rate)
        codes = self.model.write(text, min(frames, most), mask, **asked)
        while codes.shape[1] < frames:
            more = min(most, frames - codes.shape[1] + kept)
            piece = self.model.write(text, more, mask, prompt=codes[:, -kept:], **asked)
            codes = torch.cat([codes, piece[:, kept:]], dim=1)
        return self.codec.decode(codes)[:, : round(seconds * self.sample_rate)].cpu()

    def _heard(self, melody: Sound, count: int) -> Tensor:
        """The melody as the model hears it: (captions, samples)."""
        if not self.follows_melody:
            raise UserError(f"{self.name} follows no melody: leave it out, or take a model such as musicgen-melody")
        samples = melody.mono().resample(self.sample_rate).samples
        if not abs(samples).max(initial=0) > 0:
            raise UserError("the melody is silent")
        return torch.from_numpy(samples)[None].expand(count, -1)


class _Reader:
    """The T5 that lies beside a published model."""

    def __init__(self, tokenizer: Any, network: Any) -> None:
        self._tokenizer, self._network = tokenizer, network

    @torch.no_grad()
    def __call__(self, captions: Sequence[str]) -> tuple[Tensor, Tensor]:
        tokens = self._tokenizer(list(captions), padding=True, return_tensors="pt")
        rows = self._network(input_ids=tokens.input_ids, attention_mask=tokens.attention_mask).last_hidden_state
        return rows.float(), tokens.attention_mask.bool()


def _modules() -> tuple[str, ...]:
    return tuple(f"aoide.models.{name.replace('/', '.')}" for name in MODELS.values())


def _codec(run: str | os.PathLike[str], data: Mapping[str, Any], aoide: Any) -> Any:
    """The codec whose codes a recipe names."""
    named = ((data.get("networks") or {}).get("codes") or [{}])[0]
    name, source = named.get("name", ""), named.get("source")
    if not name:
        raise UserError(f"{run}: its recipe names no codec (data.networks.codes)")
    if name.startswith("codec/"):
        return aoide.load(name, source)
    return other_codec(name, source)
