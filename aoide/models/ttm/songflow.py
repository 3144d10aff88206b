"""SongFlow: lyrics with times and a style -> a song, as latents of two stems that are made together.

    lyric (batch, frames * lyric_rate) symbols on the latents' clock, style_vector (batch, style_dim)
        -> latents (batch, frames, stems * channels): the voice's beside the accompaniment's, or those of the mix

Idea      A Transformer of Llama blocks that sees both ways carries a flow from noise to the latents of a whole song.
          What is sung stands on the latents' own clock: the phonemes of a line from the frame on where it begins, or
          those of a word spread over its frames; so no durations and no aligner, and what is sung where is no guess.
          The lyrics, the style and what is kept of a sound (to go on from it, or to fill a hole) enter beside the
          noise; the lyrics are told again to the first half of the blocks. With two stems voice and accompaniment
          attend to each other and come out apart; with one it is DiffRhythm, and JAM with a finer grid for the lyrics.
Trained   flow, objectives/flow.py, on frames that are hidden
Recipes   recipes/ttm/songflow-songs.yaml, recipes/ttm/songflow-toy.yaml
Paper     Ning et al. 2025, arXiv:2503.01183 (DiffRhythm); Liu et al. 2025, arXiv:2507.20880 (JAM)
Official  github.com/ASLP-lab/DiffRhythm (Apache-2.0), github.com/declare-lab/jamify (non-commercial)
Weights   ASLP-lab/DiffRhythm-1_2, -1_2-full (Apache-2.0), declare-lab/JAM-0.5 (non-commercial): `from_official`,
          parity in tests/parity/test_songflow.py; of JAM its keys. Their latents are those of codec/oobleck.
Differs   two stems are ours, no published weights have them; each item of a batch has its own chance to lose its
          conditions, a hole in the sound is really drawn in training, and padding is neither seen nor heard
          (`from_official` does as the originals, whose songs are all of one length).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional

from aoide import trace
from aoide.audio.mel_config import MelConfig
from aoide.config import UserError
from aoide.nn import dit, llama
from aoide.nn.dit import ConvPlaces, FinalSteer, Text, TextCode, TimeCode
from aoide.nn.lengths import mask_from_lengths
from aoide.nn.llama import Block, Call, Settings, Sight
from aoide.nn.official import adopt, count
from aoide.nn.rotary import angles
from aoide.objectives import Batch, diffusion, flow

STEMS = ("voice", "accompaniment")  # in this order, where there are two
Number = Literal["start", "seconds", "share"]
LONG = 500.0  # seconds of a song that `seconds` tells as 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Concealment:
    """What a model in training is not told."""

    least: float = 0.7  # of a song that is hidden
    most: float = 1.0
    drop_sound: float = 0.3  # how often it does not hear what stands around the hole
    drop_style: float = 0.1
    drop_lyric: float = 0.1

    def __post_init__(self) -> None:
        if not 0 < self.least <= self.most <= 1:
            raise ValueError(f"0 < least <= most <= 1 does not hold for {self.least} and {self.most}")
        if not all(0 <= share <= 1 for share in (self.drop_sound, self.drop_style, self.drop_lyric)):
            raise ValueError("drop_sound, drop_style and drop_lyric are from 0 to 1")


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """What is built; the sizes are those of a small model (60 million parameters), the clock is DiffRhythm's."""

    symbols: int = 178  # size of the table of what can be sung, with 0 = nothing; 178: phonemes of the house
    stems: int = 2  # 1: the latents of the mix
    channels: int = 64  # of a stem's latents
    stem_mel: MelConfig | None = None  # the latents are this mel of each stem; null = those of an autoencoder
    mean: float = 0.0  # of the latents, and how far they are from it: noise is added to what is left of both
    deviation: float = 1.0
    sample_rate: int = 44_100  # Hz, and samples of a frame of latents; of `stem_mel` where there is one
    hop: int = 2048
    longest: int = 2048  # frames of the longest song
    dim: int = 512
    layers: int = 12
    heads: int = 8
    hidden: int = 2048  # channels inside a block
    text_dim: int = 512
    text_layers: int = 4  # ConvNeXt V2 blocks over the lyrics
    lyric_rate: int = 1  # places of the lyrics in a frame: 1, 2, 4 ...
    style_dim: int = 512  # numbers of a style, and of the codes of all times
    told: tuple[Number, ...] = ("start",)  # of the song: from where on, how long, as a share of the longest
    ending: bool = False  # frames after the song's end are told by a vector of their own
    conceal: Concealment = field(default_factory=Concealment)
    seen_padding: bool = False  # let padding be seen and heard, as the published checkpoints were trained

    def __post_init__(self) -> None:
        if self.stems not in (1, 2):
            raise ValueError(f"stems is 1 (the mix) or 2 ({' and '.join(STEMS)}), got {self.stems}")
        if self.dim % 16 or self.text_dim % 2 or self.dim % (2 * self.heads):
            raise ValueError("dim is a multiple of 16 and of twice the heads, text_dim even")
        if self.lyric_rate < 1 or self.lyric_rate & (self.lyric_rate - 1):
            raise ValueError(f"lyric_rate is 1, 2, 4, 8 ..., got {self.lyric_rate}")
        if self.stem_mel is not None and (self.stem_mel.n_mels, self.stem_mel.sample_rate, self.stem_mel.hop) != (
            self.channels,
            self.sample_rate,
            self.hop,
        ):
            raise ValueError("channels, sample_rate and hop are those of the mel")
        if self.deviation <= 0 or len(set(self.told)) != len(self.told) or (self.ending and "share" not in self.told):
            raise ValueError("deviation is above 0, told names each number once, and an ending needs `share`")

    @property
    def dim_out(self) -> int:
        """Values of a frame, all stems together."""
        return self.stems * self.channels

    @property
    def frame_rate(self) -> float:
        """Frames of latents per second."""
        return self.sample_rate / self.hop


class Model(nn.Module):
    """See the module's docstring."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        dim, steer = config.dim, config.style_dim
        self.time = TimeCode(steer)
        self.told = nn.ModuleList(TimeCode(steer) for _ in config.told)
        self.text = TextCode(
            Text(
                config.symbols,
                config.text_dim,
                config.text_layers,
                silent_filler=False,
                leaky_padding=config.seen_padding,
            )
        )
        halvings = config.lyric_rate.bit_length() - 1
        self.fold = nn.ModuleList(nn.Conv1d(config.text_dim, config.text_dim, 4, 2, 1) for _ in range(halvings))
        self.ending = nn.Parameter(torch.zeros(config.text_dim)) if config.ending else None
        self.join = nn.Linear(2 * config.dim_out + config.text_dim + 2 * steer, dim)
        self.places = ConvPlaces(dim)
        settings = Settings(
            dim=dim, layers=config.layers, heads=config.heads, hidden=config.hidden, causal=False, norm_eps=dit.EPS
        )
        self.blocks = nn.ModuleList(Block(settings) for _ in range(config.layers))
        self.fusion = nn.ModuleList(nn.Linear(config.text_dim, dim) for _ in range(config.layers // 2))
        self.steer = FinalSteer(dim, steer)
        self.out = nn.Linear(dim, config.dim_out)
        for name, weight in self.blocks.named_parameters():
            if "norm" not in name:
                nn.init.normal_(weight, std=0.02)
        for layer in (*self.fusion, self.out):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    @property
    def frame_rate(self) -> float:
        return self.config.frame_rate

    def normalise(self, latents: Tensor) -> Tensor:
        """Latents to the space in which the way from noise lies."""
        return (latents - self.config.mean) / self.config.deviation

    def forward(  # noqa: PLR0913  (the conditions of a song)
        self,
        noisy: Tensor,
        time: Tensor,
        lyric: Tensor,
        style_vector: Tensor,
        given: Tensor | None = None,
        place_vector: Tensor | None = None,
        frame_mask: Tensor | None = None,
        drop_lyric: Tensor | None = None,
    ) -> Tensor:
        """The velocity (batch, frames, stems * channels).

        Args:
            noisy: (batch, frames, stems * channels), the latents with noise. time: (batch,), how far from noise.
            lyric: (batch, frames * lyric_rate), what begins to be sung there, 0 = nothing.
            style_vector: (batch, style_dim); 0 = untold.
            given: like noisy, the normalised latents where they are heard, else 0; None: nowhere.
            place_vector: (batch, told), what `config.told` names, from 0 to 1; None: a song from its beginning on that
                is as long as its frames.
            frame_mask: (batch, frames), True = real.
            drop_lyric: (batch,) bool, those whose lyrics are not told.
        """
        config = self.config
        places = self._places(noisy, frame_mask) if place_vector is None else place_vector
        steer = self.time(time)
        for code, place in zip(self.told, places.unbind(-1), strict=True):
            steer = steer + code(place)
        mask = None if config.seen_padding else frame_mask
        text = self._text(lyric, noisy.shape[1], mask, drop_lyric)
        if self.ending is not None:
            share = places[:, config.told.index("share")]
            after = torch.arange(noisy.shape[1], device=noisy.device) >= (config.longest * share).long()[:, None]
            text = text + self.ending * after[..., None]
        heard = torch.zeros_like(noisy) if given is None else given
        whole = torch.cat([style_vector, steer], dim=-1)[:, None].expand(-1, noisy.shape[1], -1)
        # the order of the published weights
        x = self.join(torch.cat([noisy, heard, text, whole], dim=-1))
        x = self.places(x, mask) + x
        return self.out(self.steer(self._blocks(x, text, mask), steer))

    def _blocks(self, x: Tensor, text: Tensor, mask: Tensor | None) -> Tensor:
        frames = x.shape[1]
        sight = Sight(None if mask is None else mask[:, None, None, :], causal=False)
        turned = angles(torch.arange(frames, device=x.device), self.config.dim // self.config.heads)
        call = Call(*turned, [frames], [sight], None)
        for number, block in enumerate(self.blocks):
            x = block(x, call, number, None)
            if number < len(self.fusion):
                x = x + functional.silu(self.fusion[number](text))
            trace.layer(number, len(self.blocks), x)
        return x

    def _text(self, lyric: Tensor, frames: int, mask: Tensor | None, drop: Tensor | None) -> Tensor:
        """The lyrics' code a frame: (batch, frames, text_dim)."""
        rate = self.config.lyric_rate
        fine = mask if mask is None else mask.repeat_interleave(rate, dim=1)
        x = self.text(lyric, frames * rate, fine, drop)
        for number, fold in enumerate(self.fold, start=1):
            if fine is not None:
                x = x.masked_fill(~fine[..., None], 0.0)
                fine = fine[:, ::2]
            x = fold(x.mT).mT
            assert x.shape[1] == frames * rate >> number
        return x

    def _places(self, noisy: Tensor, mask: Tensor | None) -> Tensor:
        """The numbers that are told of songs from their beginning: (batch, told)."""
        batch, size = noisy.shape[:2]
        frames = noisy.new_full((batch,), size) if mask is None else mask.sum(1).to(noisy.dtype)
        seconds = torch.log1p(frames / self.config.frame_rate) / math.log1p(LONG)
        numbers = {"start": torch.zeros_like(frames), "seconds": seconds, "share": frames / self.config.longest}
        return (
            torch.stack([numbers[name] for name in self.config.told], dim=-1)
            if self.told
            else noisy.new_zeros(batch, 0)
        )

    def conceal(self, batch: Batch, generator: torch.Generator | None) -> dict[str, Tensor]:
        """What training hides (objectives/flow.py): `hidden` (batch, frames), `given`, `style_vector`, `drop_lyric`."""
        settings, latents, mask = self.config.conceal, batch["latents"], batch["frame_mask"]
        share, place, sound, style, lyric = torch.rand(5, len(latents), generator=generator, device=latents.device)
        length = mask.sum(1)
        size = ((settings.least + (settings.most - settings.least) * share) * length).long().clamp(min=1)
        start = ((length - size + 1) * place).long()[:, None]
        frame = torch.arange(mask.shape[1], device=latents.device)
        hidden = (frame >= start) & (frame < start + size[:, None]) & mask
        unheard = hidden | ~mask | (sound < settings.drop_sound)[:, None]
        return {
            "hidden": hidden,
            "given": self.normalise(latents).masked_fill(unheard[..., None], 0.0),
            "style_vector": batch["style_vector"].masked_fill((style < settings.drop_style)[:, None], 0.0),
            "drop_lyric": lyric < settings.drop_lyric,
        }

    @torch.no_grad()
    def compose(  # noqa: PLR0913  (what steers a sampler)
        self,
        lyric: Tensor,
        style_vector: Tensor,
        *,
        untold: Tensor | None = None,
        place_vector: Tensor | None = None,
        kept: Tensor | None = None,
        fresh: Tensor | None = None,
        steps: int = 31,
        guidance: float = 4.0,
        lyric_guidance: float | None = None,
        between: tuple[float, float] = (0.0, 1.0),
        solver: flow.Solver = "euler",
        noise: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Makes songs: latents (batch, frames, stems * channels).

        Args:
            lyric: (batch, frames * lyric_rate), as in `forward`.
            style_vector: (batch, style_dim).
            untold: (style_dim,) or (batch, style_dim), the style to go away from; None: none at all.
            kept: (batch, frames, stems * channels), a song of which all but `fresh` stays.
            fresh: (batch, frames), True = made anew; None: all.
            steps: of the solver. DiffRhythm's default of 32 are 31 here.
            guidance: how much further than without style and lyrics; 0 halves the work.
            lyric_guidance: as JAM has it: `guidance` is how much further with the style than with the lyrics alone, and
                this with the lyrics than without anything; both count from 1 then, as published.
            between: the times between which it is guided.
            noise: (batch, frames, stems * channels), what to start from instead of drawing.

        Raises:
            UserError: lyrics that are no whole number of frames, or an unknown solver.
        """
        rate, items = self.config.lyric_rate, len(lyric)
        if lyric.shape[1] % rate or not lyric.shape[1]:
            raise UserError(f"lyrics stand on {rate} places a frame; {lyric.shape[1]} are no whole number of frames")
        shape = (items, lyric.shape[1] // rate, self.config.dim_out)
        if noise is None:
            noise = diffusion.draw(shape, generator, style_vector.device)
        away = torch.zeros_like(style_vector) if untold is None else untold.expand_as(style_vector)
        place = self._places(noise, None) if place_vector is None else place_vector
        given = None
        if kept is not None and fresh is not None:
            given = self.normalise(kept).masked_fill(fresh[..., None], 0.0)

        def told(*rows: tuple[Tensor, bool]) -> flow.Velocity:
            """A velocity that is asked for each of these (style, whether the lyrics are told) in one batch."""
            count = len(rows)
            style = torch.cat([row[0] for row in rows])
            drop = torch.tensor([not row[1] for row in rows], device=style.device).repeat_interleave(items)
            words, places = lyric.repeat(count, 1), place.repeat(count, 1)
            heard = None if given is None else given.repeat(count, 1, 1).masked_fill(drop[:, None, None], 0.0)
            return lambda x, time: self(x, time, words, style, heard, places, None, drop)

        plain = told((style_vector, True))
        if lyric_guidance is not None:
            rows = (style_vector, True), (away, True), (away, False)
            call = flow.guided_twice(told(*rows), guidance, lyric_guidance)
        elif guidance:
            call = flow.guided(told((style_vector, True), (away, False)), guidance)
        else:
            call = plain
        latents = flow.integrate(flow.during(call, plain, *between), noise, flow.times(steps), solver)
        latents = latents * self.config.deviation + self.config.mean
        trace.report("latents", latents)
        return latents if kept is None or fresh is None else torch.where(fresh[..., None], latents, kept)


# ------------------------------------------------------------------------------------------------------------- training

NEEDS = ("latents", "lyric", "style_vector")
TRAINING = flow.Config(target="latents", times="logit_normal", where="hidden")
LOSSES: dict[str, Any] = {}
TOY = Config(
    symbols=20,
    channels=3,
    sample_rate=8_000,
    hop=400,
    longest=40,
    dim=16,
    layers=2,
    heads=2,
    hidden=16,
    text_dim=8,
    text_layers=1,
    style_dim=6,
    told=("start", "seconds", "share"),
)


def example(config: Any, batch: int = 2, generator: torch.Generator | None = None) -> dict[str, Tensor]:
    """A batch as the objective makes it, of random numbers; the last item is shorter."""
    lengths = torch.tensor([19] * (batch - 1) + [15])
    mask = mask_from_lengths(lengths)
    shape = (*mask.shape, config.dim_out)
    fine = mask.repeat_interleave(config.lyric_rate, dim=1)
    latents = torch.randn(shape, generator=generator)
    hidden = mask & (torch.arange(mask.shape[1]) > 3)
    return {
        "lyric": torch.randint(0, config.symbols, fine.shape, generator=generator) * fine,
        "style_vector": torch.randn(batch, config.style_dim, generator=generator),
        "latents": latents,
        "frame_mask": mask,
        "noisy": torch.randn(shape, generator=generator),
        "time": torch.rand(batch, generator=generator),
        "hidden": hidden,
        "given": latents.masked_fill((hidden | ~mask)[..., None], 0.0),
        "drop_lyric": torch.zeros(batch, dtype=torch.bool),
    }


# ---------------------------------------------------------------------------------------------------- published weights

OFFICIAL_FILES = ("cfm_model.pt",)  # of DiffRhythm, without a configuration
HEADS = 32  # of all published models: the default of the Llama layers that they use
_NAMES = {
    "start_time.mlp.": "told.start.mlp.",
    "duration_time.mlp.": "told.share.mlp.",
    "duration_rel_embed.time_mlp.": "told.share.mlp.",
    "duration_abs_embed.time_mlp.": "told.seconds.mlp.",
    "text_fusion_linears.": "fusion.",
    "text_embed.downsample_blocks.": "fold.",
    "duration_pad_bias": "ending",
}
_FRAMES = {(): 2048, ("share",): 6144, ("seconds", "share"): 5000}  # of the longest song, by what is told of it


def from_official(state: Mapping[str, Tensor], config: Mapping[str, Any]) -> Model:
    """DiffRhythm and JAM: the state dict of a checkpoint (with or without "model_state_dict." and "transformer.").

    Args:
        state: of cfm_model.pt, or JAM's safetensors.
        config: config/diffrhythm-1b.json, configs/jam_infer.yaml, what stands in them under `model` or `dit`, or
            nothing: sizes are read off the weights, `max_frames` where it is named.

    Raises:
        UserError: keys or shapes that do not fit.
    """
    now = "model_state_dict."  # the weights that its own code takes, beside averaged ones
    inner = dit.bare({key.removeprefix(now): v for key, v in state.items() if key.startswith(now)} or state)
    try:
        dim = len(inner["input_embed.proj.bias"])
        style, text = len(inner["time_embed.time_mlp.0.bias"]), inner["text_embed.text_embed.weight"]
        latents = len(inner["proj_out.bias"])
        hidden = len(inner["transformer_blocks.0.mlp.gate_proj.weight"])
    except KeyError as missing:
        raise UserError(f"this is no checkpoint of DiffRhythm or JAM: it lacks {missing.args[0]}") from None
    if "long_skip_connection.weight" in inner:
        raise UserError("this checkpoint has a long skip connection, which no published one has")
    has = {"seconds": ("duration_abs_embed.",), "share": ("duration_time_embed.", "duration_rel_embed.")}
    numbers = tuple(name for name, stems in has.items() if any(key.startswith(stems) for key in inner))
    built = Config(
        symbols=len(text),
        stems=1,
        channels=latents,
        longest=int(_setting(config, "max_frames") or _FRAMES.get(numbers, 2048)),
        dim=dim,
        layers=count(inner, "transformer_blocks."),
        heads=HEADS,
        hidden=hidden,
        text_dim=text.shape[1],
        text_layers=count(inner, "text_embed.text_blocks."),
        lyric_rate=2 ** count(inner, "text_embed.downsample_blocks."),
        style_dim=style,
        told=("start", *numbers),  # type: ignore[arg-type]
        ending="duration_pad_bias" in inner,
        seen_padding=True,
    )
    return adopt(Model(built), _renamed(inner, built), "DiffRhythm or JAM checkpoint")


def _renamed(state: Mapping[str, Tensor], config: Config) -> dict[str, Tensor]:
    """Published keys, without what stands before them -> ours."""
    head = "transformer_blocks."
    layers = {key.replace(head, "layers."): value for key, value in state.items() if key.startswith(head)}
    settings = Settings(dim=config.dim, layers=config.layers, heads=config.heads, hidden=config.hidden, causal=False)
    blocks = {f"blocks.{key.removeprefix('layers.')}": v for key, v in llama.official(layers, settings).items()}
    rest = {key: v for key, v in state.items() if not key.startswith((head, "rotary_emb."))}
    renamed = {}
    for key, value in dit.official(rest, _NAMES).items():
        words = key.split(".")
        if words[0] == "told" and words[1] in get_args(Number):
            words[1] = str(config.told.index(words[1])) if words[1] in config.told else words[1]
        if words[0] == "fusion" and words[2] == "0":
            del words[2]
        renamed[".".join(words)] = value
    return renamed | blocks


def _setting(config: Mapping[str, Any], name: str) -> Any:
    """A setting, at the top or in one of the sections that published configurations have."""
    for section in (config, *(config.get(key) or {} for key in ("model", "transformer", "dit"))):
        if isinstance(section.get(name), int):
            return section[name]
    return None
