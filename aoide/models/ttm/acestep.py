"""ACE-Step, first version: a description and lyrics -> a song as latents; a Transformer whose cost grows with length.

    text (batch, words, text_dim), lyric (batch, letters) pieces of words, voice_vector (batch, speaker_dim)
        -> latents (batch, frames, channels * bins) of 10.8 frames a second, four minutes in 2584

Idea      Attention among the frames is linear: ReLUs of queries and keys in the place of a softmax, so what all frames
          say is summed once, and convolutions over three frames in the layers between bring back what is near. What is
          told, a description by another network's vectors, a singer, the lyrics by an encoder of their own, is looked
          at by ordinary attention; where which word is sung is found by it alone. In training two features of networks
          that know music and speech (MERT, mHuBERT) are to be guessed from the middle of the stack, which makes it
          learn faster (`alike`). One network of six numbers a channel steers all blocks, each with a table of its own.
Trained   flow, objectives/flow.py: more of the times near the noise, judged by the sound, not the velocity
Recipes   recipes/ttm/acestep-songs.yaml
Paper     Gong et al. 2025, arXiv:2506.00045; the block: Xie et al. 2024, arXiv:2410.10629 (SANA)
Official  github.com/ace-step/ACE-Step (Apache-2.0)
Weights   ACE-Step/ACE-Step-v1-3.5B (Apache-2.0): `from_official`, parity in tests/parity/test_acestep.py. They read
          descriptions as umt5-base tells them and lyrics as pieces of words, 6693 of them; their latents are those of a
          deep-compression autoencoder of mels (diffusers: AutoencoderDC) with a vocoder of its own, which is not here:
          for songs to listen to there is version 1.5 through diffusers (aoide/generate/diffusers_song.py).
Differs   padding is neither seen nor heard (`from_official` does as the original, which lets its convolutions and the
          statistics of its first layer hear it). Features to be guessed are compared with the real frames alone.
          The turning of queries and keys is as published: the two channels of a pair turn by different angles.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from aoide import trace
from aoide.config import UserError
from aoide.nn import distance
from aoide.nn.distance import DistanceBlock, Enter
from aoide.nn.lengths import mask_from_lengths
from aoide.nn.linear_attention import EPS, LinearBlock, Sizes, Told, steered
from aoide.nn.official import adopt, count, replaced
from aoide.nn.rotary import angles
from aoide.objectives import Batch, diffusion, flow

GROUPS = 32  # of channels that the first layer normalises together
SINUSOIDS = 256  # numbers that a time is told by
Guidance = Literal["projected", "plain", "rescaled"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Concealment:
    """How often training does not tell what."""

    text: float = 0.15
    voice: float = 0.5
    lyric: float = 0.15

    def __post_init__(self) -> None:
        if not all(0 <= share <= 1 for share in (self.text, self.voice, self.lyric)):
            raise ValueError("text, voice and lyric are from 0 to 1")


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """What is built; the defaults are those of ACE-Step-v1-3.5B."""

    channels: int = 8  # of the latents, which are pictures of so many
    bins: int = 16  # places of pitch
    sample_rate: int = 44_100  # Hz, and samples of a frame of latents
    hop: int = 4096
    dim: int = 2560
    layers: int = 24
    heads: int = 20
    hidden: int = 6400  # channels inside a block's convolutions
    patch: int = 2048  # channels inside the first layer
    rope_base: float = 1e6
    text_dim: int = 768
    speaker_dim: int = 512
    symbols: int = 6693  # of the lyrics
    lyric_dim: int = 1024
    lyric_layers: int = 6
    lyric_heads: int = 16
    lyric_hidden: int = 4096
    lyric_dropout: float = 0.1
    alike: dict[str, int] = field(default_factory=dict)  # features to be guessed, and their numbers a frame; published:
    # mert 1024, hubert 768, fields of the batch with a mask each (mert_mask); they need objective.weights as well
    alike_at: int = 8  # the block whose output guesses them, from 0
    conceal: Concealment = field(default_factory=Concealment)
    seen_padding: bool = False  # let convolutions and statistics hear padding, as the published code does

    def __post_init__(self) -> None:
        if self.dim % (2 * self.heads) or self.lyric_dim % (2 * self.lyric_heads) or self.patch % GROUPS:
            raise ValueError(
                f"dim and lyric_dim are multiples of twice their heads, patch of {GROUPS}; got {self.dim}, "
                f"{self.lyric_dim} and {self.patch}"
            )
        if self.alike and not 0 <= self.alike_at < self.layers:
            raise ValueError(f"alike_at is one of {self.layers} blocks, counted from 0, got {self.alike_at}")

    @property
    def frame_rate(self) -> float:
        """Frames of latents per second."""
        return self.sample_rate / self.hop

    @property
    def dim_out(self) -> int:
        """Values of a frame."""
        return self.channels * self.bins


class Output(NamedTuple):
    prediction: Tensor  # (batch, frames, channels * bins), the velocity
    alike: dict[str, Tensor]  # guessed features, (batch, frames, their numbers) each


# ---------------------------------------------------------------------------------------------------------------- parts


class Patch(nn.Module):
    """A frame's latents through two layers, normalised between over all frames, in groups of channels."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.expand = nn.Linear(config.dim_out, config.patch)
        self.norm = nn.GroupNorm(GROUPS, config.patch, eps=EPS)
        self.contract = nn.Linear(config.patch, config.dim)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """x (batch, frames, channels * bins), mask (batch, frames) -> (batch, frames, dim)."""
        x = self.expand(x)
        if mask is None:
            return self.contract(self.norm(x.mT).mT)
        grouped = x.unflatten(-1, (GROUPS, -1))
        real = mask[..., None, None]
        count = mask.sum(1)[:, None, None, None] * grouped.shape[-1]
        mean = grouped.masked_fill(~real, 0.0).sum((1, 3), keepdim=True) / count
        off = (grouped - mean).masked_fill(~real, 0.0)
        spread = off.square().sum((1, 3), keepdim=True) / count
        return self.contract((off / (spread + EPS).sqrt()).flatten(2) * self.norm.weight + self.norm.bias)


class TimeCode(nn.Module):
    """How far from the noise as sinusoids of what is left of it, through two layers: (batch,) -> (batch, dim)."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.mlp = nn.Sequential(nn.Linear(SINUSOIDS, dim), nn.SiLU(), nn.Linear(dim, dim))

    def forward(self, time: Tensor) -> Tensor:
        cos, sin = angles(1000 * (1 - time), SINUSOIDS)
        return self.mlp(torch.cat([cos, sin], dim=-1))


class Lyrics(nn.Module):
    """Pieces of words to vectors that know their neighbours: (batch, letters) -> (batch, letters, dim)."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        inside, dropout = config.lyric_dim, config.lyric_dropout
        self.table = nn.Embedding(config.symbols, inside)
        self.enter = Enter(inside, dropout)
        self.layers = nn.ModuleList(
            DistanceBlock(inside, config.lyric_heads, config.lyric_hidden, dropout, eps=1e-5)
            for _ in range(config.lyric_layers)
        )
        self.norm, self.out = nn.LayerNorm(inside), nn.Linear(inside, config.dim)

    def forward(self, lyric: Tensor, mask: Tensor) -> Tensor:
        x = self.enter(self.table(lyric))
        for layer in self.layers:
            x = layer(x, mask[:, None, None, :])
        return self.out(self.norm(x))


# ---------------------------------------------------------------------------------------------------------------- model


class Model(nn.Module):
    """See the module's docstring."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        dim = config.dim
        self.text, self.voice, self.lyrics = (
            nn.Linear(config.text_dim, dim),
            nn.Linear(config.speaker_dim, dim),
            Lyrics(config),
        )
        self.time, self.steer = TimeCode(dim), nn.Linear(dim, 6 * dim)
        self.patch = Patch(config)
        sizes = Sizes(dim, config.heads, config.hidden)
        self.blocks = nn.ModuleList(LinearBlock(sizes) for _ in range(config.layers))
        self.alike = nn.ModuleDict(
            {
                name: nn.Sequential(
                    nn.Linear(dim, 2 * dim), nn.SiLU(), nn.Linear(2 * dim, 2 * dim), nn.SiLU(), nn.Linear(2 * dim, size)
                )
                for name, size in config.alike.items()
            }
        )
        self.table = nn.Parameter(torch.randn(2, dim) / dim**0.5)
        self.out = nn.Linear(dim, config.dim_out)

    @property
    def frame_rate(self) -> float:
        return self.config.frame_rate

    def forward(  # noqa: PLR0913  (the conditions of a song)
        self,
        noisy: Tensor,
        time: Tensor,
        text: Tensor,
        lyric: Tensor,
        voice_vector: Tensor | None = None,
        text_mask: Tensor | None = None,
        lyric_mask: Tensor | None = None,
        frame_mask: Tensor | None = None,
        drop_lyric: Tensor | None = None,
    ) -> Output:
        """The velocity (batch, frames, channels * bins), and guessed features: the view of training.

        Args:
            noisy: (batch, frames, channels * bins), the latents with noise. time: (batch,), how far from noise.
            text: (batch, words, text_dim), 0 = untold.
            lyric: (batch, letters), numbers of pieces of words.
            voice_vector: (batch, speaker_dim), who sings; 0 or None = nobody whom it knows.
            text_mask, lyric_mask, frame_mask: True = real.
            drop_lyric: (batch,) bool, those whose lyrics are not told.
        """
        told = self.tell(text, lyric, voice_vector, text_mask, lyric_mask, drop_lyric)
        return self.velocity(noisy, time, told, frame_mask)

    def tell(
        self,
        text: Tensor,
        lyric: Tensor,
        voice_vector: Tensor | None = None,
        text_mask: Tensor | None = None,
        lyric_mask: Tensor | None = None,
        drop_lyric: Tensor | None = None,
    ) -> Told:
        """What is told, ready to be looked at; arguments as for `forward`."""
        real = [
            torch.ones(x.shape[:2], dtype=torch.bool, device=text.device) if mask is None else mask
            for x, mask in ((text, text_mask), (lyric, lyric_mask))
        ]
        words = lyric if drop_lyric is None else lyric.masked_fill(drop_lyric[:, None], 0)
        nobody = text.new_zeros(len(text), self.config.speaker_dim)
        voice = self.voice(nobody if voice_vector is None else voice_vector)[:, None]
        parts = [voice, self.text(text), self.lyrics(words, real[1])]
        mask = torch.cat([torch.ones_like(real[0][:, :1]), *real], dim=1)
        counted = torch.ones_like(mask) if self.config.seen_padding else mask
        return Told(torch.cat(parts, dim=1), mask, counted.cumsum(1) - 1)

    def velocity(self, noisy: Tensor, time: Tensor, told: Told, mask: Tensor | None = None) -> Output:
        """See `forward`."""
        config = self.config
        code = self.time(time)
        steer = self.steer(functional.silu(code)).unflatten(-1, (6, -1))
        hears = None if config.seen_padding else mask
        x = self.patch(noisy, hears)
        frames, each = torch.arange(x.shape[1], device=x.device), config.dim // config.heads
        turns = angles(frames, each, config.rope_base), angles(told.places[:, None], each, config.rope_base)
        guessed: dict[str, Tensor] = {}
        for number, block in enumerate(self.blocks):
            x = block(x, steer, told, turns, (mask, hears))
            trace.layer(number, len(self.blocks), x)
            if number == config.alike_at:
                guessed = {name: guess(x) for name, guess in self.alike.items()}
        shift, scale = (self.table + code[:, None])[:, :, None].unbind(1)
        return Output(self.out(steered(x, shift, scale)), guessed)

    def conceal(self, batch: Batch, generator: torch.Generator | None) -> dict[str, Tensor]:
        """What training does not tell (objectives/flow.py)."""
        settings, text = self.config.conceal, batch["text"]
        chances = torch.rand(3, len(text), generator=generator, device=text.device)
        told = {
            "text": text.masked_fill((chances[0] < settings.text)[:, None, None], 0.0),
            "drop_lyric": chances[2] < settings.lyric,
        }
        if "voice_vector" in batch:
            told["voice_vector"] = batch["voice_vector"].masked_fill((chances[1] < settings.voice)[:, None], 0.0)
        return told

    @torch.no_grad()
    def compose(  # noqa: PLR0913  (what steers a sampler)
        self,
        text: Tensor,
        lyric: Tensor,
        frames: int,
        *,
        voice_vector: Tensor | None = None,
        text_mask: Tensor | None = None,
        lyric_mask: Tensor | None = None,
        frame_mask: Tensor | None = None,
        steps: int = 60,
        guidance: float = 15.0,
        way: Guidance = "projected",
        text_guidance: float | None = None,
        middle: float = 0.5,
        omega: float = 10.0,
        shift: float = 3.0,
        sampler: Literal["euler", "heun", "ping_pong"] = "euler",
        noise: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Makes songs: latents (batch, frames, channels * bins).

        Args:
            text, lyric, voice_vector and masks: as in `forward`.
            guidance: how much further than without description, voice and lyrics; 1 = as they say.
            way: how told and untold are joined: `projected` (APG), `plain` or `rescaled` (CFG-Zero*).
            text_guidance: as published, this is how much further with the description than without anything, and
                `guidance` with the lyrics than with the description alone; `way` is plain then.
            middle: the share of the steps, in the middle, that is guided.
            omega: of flow.contrasted. shift: of flow.shifted_times.
            noise: (batch, frames, channels * bins), what to start from instead of drawing.
        """
        config = self.config
        if noise is None:
            noise = diffusion.draw((len(text), frames, config.dim_out), generator, text.device)
        silent, masks = torch.zeros_like(lyric), {"text_mask": text_mask, "lyric_mask": lyric_mask}
        every = self.tell(text, lyric, voice_vector, **masks)
        none = self.tell(torch.zeros_like(text), silent, **masks)
        plain = self._asked(frame_mask, every)
        if text_guidance is not None:
            some = self.tell(text, silent, **masks)
            call = flow.guided_twice(self._asked(frame_mask, every, some, none), guidance, text_guidance)
        elif guidance != 1:
            call = flow.guided(self._asked(frame_mask, every, none), guidance - 1, self._joined(way))
        else:
            call = plain
        times = flow.shifted_times(steps, shift)
        first, last = int(steps * (1 - middle) / 2), int(steps * (1 + middle) / 2)
        inside = times[first:last].float()  # as the velocity is told them
        if len(inside):
            call = flow.during(call, plain, float(inside[0]), float(inside[-1])) if middle < 1 else call
        call = flow.contrasted(call if len(inside) else plain, omega)
        if sampler == "ping_pong":
            latents = flow.ping_pong(call, noise, times, generator)
        elif sampler == "heun":  # the last step, to no noise at all, is one of Euler's
            latents = flow.integrate(call, flow.integrate(call, noise, times[:-1], "heun"), times[-2:])
        else:
            latents = flow.integrate(call, noise, times)
        trace.report("latents", latents)
        return latents

    def _asked(self, mask: Tensor | None, *told: Told) -> flow.Velocity:
        """A velocity that is asked under each of these conditions in one batch."""
        joined = Told(*(torch.cat(parts) for parts in zip(*told, strict=True)))
        masks = None if mask is None else mask.repeat(len(told), 1)
        return lambda x, time: self.velocity(x, time, joined, masks).prediction

    def _joined(self, way: Guidance) -> flow.Combine | None:
        if way != "projected":
            return flow.rescaled if way == "rescaled" else None
        pictures = flow.Projection(axes=(1, 3))  # each channel by itself, over frames and bins

        def combine(told: Tensor, untold: Tensor, strength: float) -> Tensor:
            shape = (self.config.channels, self.config.bins)
            return pictures(told.unflatten(-1, shape), untold.unflatten(-1, shape), strength).flatten(2)

        return combine


# ------------------------------------------------------------------------------------------------------------- training


class Alike:
    """How far guessed features are from those of another network: 1 - their cosine, a mean over their places.

    Args:
        name: the field of the batch, (batch, places, numbers), beside its mask.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, output: Any, batch: Batch) -> Tensor:
        """What was guessed, at the rate of the frames, is stretched to the places of the features."""
        guessed, wanted = output.alike[self.name], batch[self.name]
        frames = batch["frame_mask"].sum(1).tolist() if "frame_mask" in batch else [guessed.shape[1]] * len(guessed)
        places = batch[f"{self.name}_mask"].sum(1).tolist()
        off = []
        for item, (frame, place) in enumerate(zip(frames, places, strict=True)):
            near = functional.interpolate(guessed[item : item + 1, :frame].mT, size=place, mode="linear")[0].T
            off.append(1 - functional.cosine_similarity(near, wanted[item, :place], dim=-1).mean())
        return torch.stack(off).mean()


NEEDS = ("latents", "text", "lyric")
LOSSES = {"mert": Alike("mert"), "hubert": Alike("hubert")}
TRAINING = flow.Config(target="latents", times="logit_normal", shift=3.0, emphasis="noise")
TOY = Config(
    channels=2,
    bins=3,
    sample_rate=8_000,
    hop=400,
    dim=16,
    layers=2,
    heads=2,
    hidden=12,
    patch=64,
    text_dim=5,
    speaker_dim=4,
    symbols=20,
    lyric_dim=8,
    lyric_layers=1,
    lyric_heads=2,
    lyric_hidden=12,
    conceal=Concealment(text=0.0, voice=0.0, lyric=0.0),
)


def example(config: Any, batch: int = 2, generator: torch.Generator | None = None) -> dict[str, Tensor]:
    """A batch as the objective makes it, of random numbers; the last item is shorter."""
    masks = [mask_from_lengths(torch.tensor([size] * (batch - 1) + [size - 4])) for size in (19, 7, 11)]
    latents = torch.randn(*masks[0].shape, config.dim_out, generator=generator)
    return {
        "latents": latents,
        "frame_mask": masks[0],
        "noisy": torch.randn(latents.shape, generator=generator),
        "time": torch.rand(batch, generator=generator),
        "text": torch.randn(*masks[1].shape, config.text_dim, generator=generator),
        "text_mask": masks[1],
        "voice_vector": torch.randn(batch, config.speaker_dim, generator=generator),
        "lyric": torch.randint(1, config.symbols, masks[2].shape, generator=generator) * masks[2],
        "lyric_mask": masks[2],
        "drop_lyric": torch.zeros(batch, dtype=torch.bool),
    }


# ---------------------------------------------------------------------------------------------------- published weights

_NAMES = {
    "timestep_embedder.linear_1.": "time.mlp.0.",
    "timestep_embedder.linear_2.": "time.mlp.2.",
    "t_block.1.": "steer.",
    "speaker_embedder.": "voice.",
    "genre_embedder.": "text.",
    "lyric_embs.": "lyrics.table.",
    "lyric_proj.": "lyrics.out.",
    "lyric_encoder.embed.out.0.": "lyrics.enter.linear.",
    "lyric_encoder.embed.out.1.": "lyrics.enter.norm.",
    "lyric_encoder.encoders.": "lyrics.layers.",
    "lyric_encoder.after_norm.": "lyrics.norm.",
    "proj_in.early_conv_layers.0.": "patch.expand.",
    "proj_in.early_conv_layers.1.": "patch.norm.",
    "proj_in.early_conv_layers.2.": "patch.contract.",
    "transformer_blocks.": "blocks.",
    ".scale_shift_table": ".table",
    ".attn.to_q.": ".attention.project.",
    ".attn.to_out.0.": ".attention.out.",
    ".cross_attn.to_q.": ".listen.query.",
    ".cross_attn.to_k.": ".listen.pair.",
    ".cross_attn.to_out.0.": ".listen.out.",
    ".ff.inverted_conv.conv.": ".mlp.expand.",
    ".ff.depth_conv.conv.": ".mlp.near.",
    ".ff.point_conv.conv.": ".mlp.contract.",
    "final_layer.linear.": "out.",
    "final_layer.table": "table",
    **distance.INSIDE,
}
_UNUSED = (".cross_attn.add_", ".cross_attn.to_add_out.")  # built by the original, never called
_FUSED = {".attn.to_q.": ("q", "k", "v"), ".cross_attn.to_k.": ("k", "v")}
_GUESSED = {"mert": "mert", "m-hubert": "hubert"}  # published name -> field of the batch


def from_official(state: Mapping[str, Tensor], config: Mapping[str, Any]) -> Model:
    """ACE-Step v1: the state dict of ace_step_transformer/diffusion_pytorch_model.safetensors and its config.json.

    Raises:
        UserError: keys or shapes that do not fit.
    """
    try:
        patch, channels, bins, _ = state["proj_in.early_conv_layers.0.weight"].shape
        lyric_hidden, lyric_dim = state["lyric_encoder.encoders.0.feed_forward.w_1.weight"].shape
        sizes: dict[str, Any] = {
            "dim": len(state["timestep_embedder.linear_2.bias"]),
            "hidden": state["transformer_blocks.0.ff.point_conv.conv.weight"].shape[1],
            "text_dim": state["genre_embedder.weight"].shape[1],
            "speaker_dim": state["speaker_embedder.weight"].shape[1],
            "symbols": len(state["lyric_embs.weight"]),
            "lyric_heads": len(state["lyric_encoder.encoders.0.self_attn.pos_bias_u"]),
        }
    except KeyError as missing:
        raise UserError(f"this is no checkpoint of ACE-Step v1: it lacks {missing.args[0]}") from None
    names = config.get("ssl_names", ["mert", "m-hubert"])
    built = Config(
        channels=channels,
        bins=bins,
        layers=count(state, "transformer_blocks."),
        heads=config.get("num_attention_heads", 20),
        patch=patch,
        rope_base=config.get("rope_theta", 1e6),
        lyric_dim=lyric_dim,
        lyric_layers=count(state, "lyric_encoder.encoders."),
        lyric_hidden=lyric_hidden,
        alike={
            _GUESSED.get(name, name): len(state[f"projectors.{i}.4.bias"])
            for i, name in enumerate(names)
            if f"projectors.{i}.4.bias" in state
        },
        alike_at=config.get("ssl_encoder_depths", [8])[0],
        seen_padding=True,
        **sizes,
    )
    return adopt(Model(built), _renamed(state, built), "ACE-Step v1 checkpoint")


def _renamed(state: Mapping[str, Tensor], config: Config) -> dict[str, Tensor]:
    """Published keys -> ours. Their velocity goes from sound to noise, ours the other way: the last layer is negated;
    and it gives bins before channels.
    """
    guesses = {f"projectors.{i}.": f"alike.{name}." for i, name in enumerate(config.alike)}
    renamed = {}
    for key, value in distance.fused(state).items():
        if any(part in key for part in _UNUSED):
            continue
        if first := next((part for part in _FUSED if part in key), None):
            parts = [f"{first[:-2]}{which}." for which in _FUSED[first]]
            value = torch.cat([state[key.replace(first, part)] for part in parts])  # noqa: PLW2901  (the same key)
        elif any(part in key for part in (".attn.to_k.", ".attn.to_v.", ".cross_attn.to_v.")):
            continue  # they went with their queries, or with the keys
        name = replaced(key, {**_NAMES, **guesses})
        if name in ("out.weight", "out.bias"):
            value = -value.unflatten(0, (config.bins, config.channels)).transpose(0, 1).flatten(0, 1)  # noqa: PLW2901
        elif value.ndim > 2 and not name.endswith("mlp.near.weight"):
            value = value.flatten(1)  # noqa: PLW2901  (a convolution of one frame there, a linear layer here)
        renamed[name] = value
    return renamed
