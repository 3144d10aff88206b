"""CosyVoice 2, second stage: codes of speech and somebody's voice -> a mel (batch, frames, mels) in that voice.

    codes (batch, frames, 1), a prompt as codes and mel, a vector of the speaker -> mel log magnitude, two frames a code

Idea         Flow matching from noise to a mel, told by the codes what is said, by a prompt's mel and a speaker vector
             by whom. All of it can stream: convolutions look back alone (but three codes ahead at the beginning), and
             attention sees all before it and the rest of its own chunk of a second, in half of training. One network so
             serves whole sentences and those whose end is not known yet.
Objective    flow matching (aoide/objectives/flow.py)
Recipes      recipes/tts/cosyvoice2_flow-folder.yaml
Paper        Du et al. 2024, arXiv:2412.10117; the decoder is Matcha-TTS's, Mehta et al. 2023, arXiv:2309.03199
Code         github.com/FunAudioLLM/CosyVoice, cosyvoice/flow (Apache-2.0)
Checkpoints  FunAudioLLM/CosyVoice2-0.5B, flow.pt (Hugging Face): load with `from_official`; the speaker vector is that
             of campplus.onnx there, its vocoder (hift.pt) vocoder/hift
Parity       tests/parity/test_recorded.py
Differs      Trained here, the prompt's mel alone tells the voice where the data give no speaker vectors. Items of a
             batch are chunked or not one by one; padding is silent to its neighbours. The noise is drawn from a seed,
             not one tensor for all.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from aoide import trace
from aoide.audio.mel import MelConfig
from aoide.config import UserError
from aoide.nn import distance
from aoide.nn.distance import DistanceBlock, Enter
from aoide.nn.lengths import mask_from_lengths
from aoide.nn.official import adopt, count
from aoide.objectives import Batch, flow

RATIO = 2  # frames of the mel for a code
AHEAD = 3  # codes that the first convolution looks ahead
MEL = MelConfig(
    sample_rate=24_000,
    n_fft=1920,
    hop=480,
    win=1920,
    n_mels=80,
    fmax=8_000,
    scale="slaney",
    norm="slaney",
    eps=1e-9,
    padding="same",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """Settings; the defaults are those of CosyVoice2-0.5B (112 M parameters)."""

    mel: MelConfig = field(default_factory=lambda: MEL)
    codes: int = 6561
    voice: int = 192  # values of a speaker vector
    dim: int = 512  # of the encoder
    heads: int = 8
    hidden: int = 2048
    layers: int = 6  # at the rate of the codes
    upper_layers: int = 4  # at that of the mel
    dropout: float = 0.1
    channels: int = 256  # of the decoder
    middle: int = 12  # its stages between the first and the last
    blocks: int = 4  # of Transformer in each stage
    decoder_heads: int = 8
    head_dim: int = 64
    chunk: int = 25  # codes that are seen together where it streams
    drop: float = 0.2  # how often training tells nothing, for guidance
    prompt: float = 0.3  # of a clip, at most, is heard in training, in half of the clips

    def __post_init__(self) -> None:
        if self.dim % (2 * self.heads) or self.mel.n_mels % 2:
            raise ValueError(f"dim is a multiple of 2 heads and n_mels even, got {self.dim} and {self.mel.n_mels}")


def seen(mask: Tensor, chunk: int, chunked: Tensor | None) -> Tensor:
    """What attention looks at: (batch, 1, frames, frames), True = looked at.

    Args:
        mask: (batch, frames), True = real.
        chunk: frames of a chunk; a frame sees all before and in its own.
        chunked: (batch,), items for which that holds; the others see all. None: none of them.
    """
    keys = mask[:, None, None, :]
    if chunked is None:
        return keys
    place = torch.arange(mask.shape[1], device=mask.device)
    near = place[None, :] < ((place // chunk + 1) * chunk)[:, None]
    return keys & (near | ~chunked[:, None, None])[:, None]


def _silenced(x: Tensor, mask: Tensor) -> Tensor:
    return x.masked_fill(~mask[..., None], 0.0)


# -------------------------------------------------------------------------------------------------------------- encoder


class Encoder(nn.Module):
    """Codes -> what the mel's frames should be like: (batch, codes) -> (batch, 2 * codes, mels)."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        dim, sizes = config.dim, (config.dim, config.heads, config.hidden, config.dropout)
        self.chunk = config.chunk
        self.table = nn.Embedding(config.codes, dim)
        self.enter, self.upper_enter = Enter(dim, config.dropout), Enter(dim, config.dropout)
        self.ahead, self.behind = nn.Conv1d(dim, dim, AHEAD + 1), nn.Conv1d(dim, dim, 3)
        self.layers = nn.ModuleList(DistanceBlock(*sizes) for _ in range(config.layers))
        self.up = nn.Conv1d(dim, dim, 2 * RATIO + 1)
        self.upper = nn.ModuleList(DistanceBlock(*sizes) for _ in range(config.upper_layers))
        self.norm = nn.LayerNorm(dim)
        self.out = nn.Linear(dim, config.mel.n_mels)

    def forward(self, codes: Tensor, mask: Tensor, chunked: Tensor | None = None) -> Tensor:
        """codes, mask (batch, codes), chunked (batch,) -> (batch, 2 * codes, mels)."""
        x = self.enter(_silenced(self.table(codes), mask))
        look = functional.pad(_silenced(x, mask), (0, 0, 0, AHEAD)).mT
        look = functional.pad(functional.leaky_relu(self.ahead(look)), (2, 0))
        x = x + self.behind(look).mT
        sight = seen(mask, self.chunk, chunked)
        for layer in self.layers:
            x = layer(x, sight)
        x = self.up(functional.pad(x.repeat_interleave(RATIO, dim=1), (0, 0, 2 * RATIO, 0)).mT).mT
        sight = seen(mask.repeat_interleave(RATIO, dim=1), RATIO * self.chunk, chunked)
        x = self.upper_enter(x)
        for layer in self.upper:
            x = layer(x, sight)
        return self.out(self.norm(x))


# -------------------------------------------------------------------------------------------------------------- decoder


class Convolve(nn.Module):
    """A convolution that looks back, normalised: (batch, frames, dim_in) -> (batch, frames, dim_out)."""

    def __init__(self, dim_in: int, dim_out: int) -> None:
        super().__init__()
        self.conv, self.norm = Causal(dim_in, dim_out), nn.LayerNorm(dim_out)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        return _silenced(functional.mish(self.norm(self.conv(_silenced(x, mask)))), mask)


class Causal(nn.Conv1d):
    """Three frames: this one and the two before."""

    def __init__(self, dim_in: int, dim_out: int) -> None:
        super().__init__(dim_in, dim_out, 3)

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102
        return super().forward(functional.pad(x, (0, 0, 2, 0)).mT).mT


class Attention(nn.Module):
    """Attention without places, then two layers, each added to what came in."""

    def __init__(self, dim: int, heads: int, head_dim: int) -> None:
        super().__init__()
        self.heads, inner = heads, heads * head_dim
        self.attention_norm, self.mlp_norm = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.project, self.out = nn.Linear(dim, 3 * inner, bias=False), nn.Linear(inner, dim)
        self.expand, self.contract = nn.Linear(dim, 4 * dim), nn.Linear(4 * dim, dim)

    def forward(self, x: Tensor, sight: Tensor) -> Tensor:
        """x (batch, frames, dim), sight as `seen` gives it -> (batch, frames, dim)."""
        three = self.project(self.attention_norm(x)).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        queries, keys, values = three
        found = functional.scaled_dot_product_attention(queries, keys, values, attn_mask=sight)
        x = x + self.out(found.transpose(1, 2).flatten(2))
        return x + self.contract(functional.gelu(self.expand(self.mlp_norm(x))))


class Stage(nn.Module):
    """Two convolutions with the time between, then attention."""

    def __init__(self, dim_in: int, config: Config) -> None:
        super().__init__()
        dim = config.channels
        self.first, self.second = Convolve(dim_in, dim), Convolve(dim, dim)
        self.time, self.skip = nn.Linear(4 * dim, dim), nn.Linear(dim_in, dim)
        self.blocks = nn.ModuleList(Attention(dim, config.decoder_heads, config.head_dim) for _ in range(config.blocks))

    def forward(self, x: Tensor, time: Tensor, mask: Tensor, sight: Tensor) -> Tensor:
        """x (batch, frames, dim_in), time (batch, 4 * dim), mask (batch, frames) -> (batch, frames, dim)."""
        y = self.first(x, mask) + self.time(functional.mish(time))[:, None]
        x = self.second(y, mask) + self.skip(_silenced(x, mask))
        for block in self.blocks:
            x = block(x, sight)
        return x


class Decoder(nn.Module):
    """What is noisy, what it should be like, whose voice it is -> the velocity (batch, frames, mels)."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        dim, wide, mels = config.channels, 4 * config.mel.n_mels, config.mel.n_mels
        self.chunk, self.sinusoids = RATIO * config.chunk, wide
        self.time = nn.Sequential(nn.Linear(wide, 4 * dim), nn.SiLU(), nn.Linear(4 * dim, 4 * dim))
        self.down = Stage(wide, config)
        self.down_conv, self.up_conv = Causal(dim, dim), Causal(dim, dim)
        self.middle = nn.ModuleList(Stage(dim, config) for _ in range(config.middle))
        self.up = Stage(2 * dim, config)
        self.last, self.out = Convolve(dim, dim), nn.Linear(dim, mels)
        for layer in self.modules():
            if isinstance(layer, nn.Linear | nn.Conv1d):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)

    def forward(  # noqa: PLR0913  (what it is told)
        self,
        x: Tensor,
        time: Tensor,
        like: Tensor,
        voice: Tensor,
        given: Tensor,
        mask: Tensor,
        chunked: Tensor | None = None,
    ) -> Tensor:
        """x, like, given (batch, frames, mels), time (batch,), voice (batch, mels), mask (batch, frames)."""
        half = self.sinusoids // 2
        rates = torch.exp(torch.arange(half, device=x.device) * (-math.log(10_000) / (half - 1)))
        angles = 1000 * time[:, None] * rates
        when = self.time(torch.cat([angles.sin(), angles.cos()], dim=-1))
        sight = seen(mask, self.chunk, chunked)
        x = torch.cat([x, like, voice[:, None].expand_as(x), given], dim=-1)
        first = self.down(x, when, mask, sight)
        x = self.down_conv(_silenced(first, mask))
        for stage in self.middle:
            x = stage(x, when, mask, sight)
        x = self.up(torch.cat([x, first], dim=-1), when, mask, sight)
        x = self.last(self.up_conv(_silenced(x, mask)), mask)
        return self.out(x)


# ---------------------------------------------------------------------------------------------------------------- model


class Model(nn.Module):
    """Codes and a voice -> mel."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder(config)
        self.voice = nn.Linear(config.voice, config.mel.n_mels)
        self.decoder = Decoder(config)

    def forward(  # noqa: PLR0913  (the fields of a batch)
        self,
        codes: Tensor,
        noisy: Tensor,
        time: Tensor,
        given: Tensor,
        frame_mask: Tensor | None = None,
        speaker_vector: Tensor | None = None,
        drop: Tensor | None = None,
        chunked: Tensor | None = None,
    ) -> Tensor:
        """The velocity (batch, frames, mels).

        Args:
            codes: (batch, frames, 1), on the frames of the mel: each code stands twice.
            noisy: (batch, frames, mels). time: (batch,), from 0, noise, to 1.
            given: (batch, frames, mels), the mel where it is heard, else 0.
            frame_mask: (batch, frames), True = real.
            speaker_vector: (batch, voice); None: nothing says whose voice it is but `given`.
            drop: (batch,), True where nothing is told. chunked: (batch,), True where attention sees chunks.
        """
        mask = torch.ones_like(noisy[..., 0], dtype=torch.bool) if frame_mask is None else frame_mask
        like = self.encoder(codes[:, ::RATIO, 0].long(), mask[:, ::RATIO], chunked)[:, : noisy.shape[1]]
        voice = self.speaker(speaker_vector, noisy)
        if drop is not None:
            like, given = (x.masked_fill(drop[:, None, None], 0.0) for x in (like, given))
            voice = voice.masked_fill(drop[:, None], 0.0)
        return self.decoder(noisy, time, like, voice, given, mask, chunked)

    def speaker(self, vector: Tensor | None, like: Tensor) -> Tensor:
        """What the decoder is told of a speaker vector (batch, voice): (batch, mels)."""
        if vector is None:
            return like.new_zeros(len(like), self.config.mel.n_mels)
        return self.voice(functional.normalize(vector, dim=1))

    def conceal(self, batch: Batch, generator: torch.Generator | None) -> dict[str, Tensor]:
        """What training tells (objectives/flow.py): nothing, or in half of the clips how they begin."""
        mel = batch["mel"]
        mask = batch.get("frame_mask")
        mask = torch.ones_like(mel[..., 0], dtype=torch.bool) if mask is None else mask
        dropped, heard, share, chunked = torch.rand(4, len(mel), generator=generator, device=mel.device)
        prompt = (self.config.prompt * share * mask.sum(1)).long().masked_fill(heard < 0.5, 0)
        told = mask_from_lengths(prompt, mel.shape[1])
        given = mel.masked_fill(~told[..., None], 0.0)
        return {"given": given, "drop": dropped < self.config.drop, "chunked": chunked < 0.5}

    @torch.no_grad()
    def speak(  # noqa: PLR0913  (what steers a speaker)
        self,
        codes: Tensor,
        prompt_codes: Tensor | None = None,
        prompt: Tensor | None = None,
        speaker_vector: Tensor | None = None,
        *,
        steps: int = 10,
        guidance: float = 0.7,
        chunked: bool = False,
        noise: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Says codes in a voice: (batch, 2 * codes, mels), without the prompt.

        Args:
            codes: (batch, codes, 1). prompt_codes: (batch, prompt codes, 1), of the prompt.
            prompt: (batch, 2 * prompt codes, mels) log mel. speaker_vector: (batch, voice).
            steps: of the solver. guidance: how much further than without being told anything.
            chunked: as it sounds where it streams.
            noise: (batch, 2 * all codes, mels), what to start from instead of drawing.

        Raises:
            UserError: a prompt whose codes and mel do not fit, or numbers that are no codes.
        """
        whole = codes if prompt_codes is None else torch.cat([prompt_codes, codes], dim=1)
        if int(whole.min()) < 0 or int(whole.max()) >= self.config.codes:
            raise UserError(f"codes go from 0 to {self.config.codes - 1}, but there is {int(whole.max())}")
        shape = (len(whole), RATIO * whole.shape[1], self.config.mel.n_mels)
        head = shape[1] - RATIO * codes.shape[1]
        if head != (0 if prompt is None else prompt.shape[1]):
            raise UserError(f"the prompt has {head} frames by its codes, and its mel another number of them")
        home = codes.device if generator is None else generator.device
        start = torch.randn(shape, generator=generator, device=home).to(codes.device) if noise is None else noise
        mask = torch.ones(shape[:2], dtype=torch.bool, device=codes.device)
        all_chunked = torch.full((len(whole),), chunked, device=codes.device)
        like = self.encoder(whole[..., 0], mask[:, ::RATIO], all_chunked)
        voice = self.speaker(speaker_vector, start)
        given = torch.zeros_like(start) if prompt is None else functional.pad(prompt, (0, 0, 0, shape[1] - head))
        if guidance:
            like, voice, given = (torch.cat([x, torch.zeros_like(x)]) for x in (like, voice, given))
            mask, all_chunked = torch.cat([mask, mask]), torch.cat([all_chunked, all_chunked])

        def call(x: Tensor, time: Tensor) -> Tensor:
            return self.decoder(x, time, like, voice, given, mask, all_chunked)

        mel = flow.integrate(flow.guided(call, guidance), start, flow.times(steps, sway=-1.0))
        trace.report("mel", mel)
        return mel[:, head:]


# ------------------------------------------------------------------------------------------------------------- training

TRAINING = flow.Config(sigma=1e-6)
LOSSES: dict[str, Any] = {}
NEEDS = ("codes", "mel")
TOY = Config(
    mel=MelConfig(sample_rate=8_000, n_fft=64, hop=16, win=64, n_mels=6, fmax=4_000),
    codes=16,
    voice=5,
    dim=8,
    heads=2,
    hidden=12,
    layers=1,
    upper_layers=1,
    channels=8,
    middle=1,
    blocks=1,
    decoder_heads=2,
    head_dim=4,
    chunk=3,
)


def example(config: Config, batch: int = 2, generator: torch.Generator | None = None) -> dict[str, Tensor]:
    """A batch as the objective makes it, of random numbers; the last item is shorter."""
    mask = mask_from_lengths(torch.tensor([20] * (batch - 1) + [15]))
    shape = (*mask.shape, config.mel.n_mels)
    mel = torch.randn(shape, generator=generator) - 4
    told = mask_from_lengths(torch.full((batch,), 4), mask.shape[1])
    return {
        "codes": torch.randint(config.codes, (*mask.shape, 1), generator=generator) * mask[..., None],
        "mel": mel,
        "frame_mask": mask,
        "speaker_vector": torch.randn(batch, config.voice, generator=generator),
        "noisy": torch.randn(shape, generator=generator),
        "time": torch.rand(batch, generator=generator),
        "given": mel.masked_fill(~told[..., None], 0.0),
        "drop": torch.zeros(batch, dtype=torch.bool),
        "chunked": torch.arange(batch) % 2 == 0,
    }


# ------------------------------------------------------------------------------------------------ published checkpoints

OFFICIAL_FILES = ("flow.pt",)  # of CosyVoice2-0.5B; cosyvoice2.yaml beside it is in a language of its own
_NAMES = {
    "input_embedding.": "encoder.table.",
    "spk_embed_affine_layer.": "voice.",
    "encoder_proj.": "encoder.out.",
    "encoder.embed.out.0.": "encoder.enter.linear.",
    "encoder.embed.out.1.": "encoder.enter.norm.",
    "encoder.up_embed.out.0.": "encoder.upper_enter.linear.",
    "encoder.up_embed.out.1.": "encoder.upper_enter.norm.",
    "encoder.pre_lookahead_layer.conv1.": "encoder.ahead.",
    "encoder.pre_lookahead_layer.conv2.": "encoder.behind.",
    "encoder.up_layer.conv.": "encoder.up.",
    "encoder.after_norm.": "encoder.norm.",
    "encoder.encoders.": "encoder.layers.",
    "encoder.up_encoders.": "encoder.upper.",
    "decoder.estimator.time_mlp.linear_1.": "decoder.time.0.",
    "decoder.estimator.time_mlp.linear_2.": "decoder.time.2.",
    "decoder.estimator.down_blocks.0.2.": "decoder.down_conv.",
    "decoder.estimator.up_blocks.0.2.": "decoder.up_conv.",
    "decoder.estimator.down_blocks.0.": "decoder.down.",
    "decoder.estimator.up_blocks.0.": "decoder.up.",
    "decoder.estimator.mid_blocks.": "decoder.middle.",
    "decoder.estimator.final_block.block.0.": "decoder.last.conv.",
    "decoder.estimator.final_block.block.2.": "decoder.last.norm.",
    "decoder.estimator.final_proj.": "decoder.out.",
}
_INSIDE = {
    **distance.INSIDE,
    "block1.block.0.": "first.conv.",
    "block1.block.2.": "first.norm.",
    "block2.block.0.": "second.conv.",
    "block2.block.2.": "second.norm.",
    "mlp.1.": "time.",
    "res_conv.": "skip.",
    "norm1.": "attention_norm.",
    "norm3.": "mlp_norm.",
    "attn1.to_q.": "project.",
    "attn1.to_out.0.": "out.",
    "ff.net.0.proj.": "expand.",
    "ff.net.2.": "contract.",
}
_FUSED = {"linear_q": ("linear_q", "linear_k", "linear_v"), "to_q": ("to_q", "to_k", "to_v")}


def from_official(state: Mapping[str, Tensor], config: Mapping[str, Any]) -> Model:
    """CosyVoice 2's flow: the state dict of flow.pt; its sizes are in it.

    Args:
        config: may hold `attention_heads` of the encoder and `num_heads` of the decoder where they are not 8.

    Raises:
        UserError: weights of something else.
    """
    try:
        codes, dim = state["input_embedding.weight"].shape
        mels, voice = state["spk_embed_affine_layer.weight"].shape
        first = "decoder.estimator.down_blocks.0.1.0.attn1.to_q.weight"
        heads = config.get("num_heads", 8)
        own = Config(
            mel=MEL if mels == MEL.n_mels else MelConfig(n_mels=mels),
            codes=codes,
            voice=voice,
            dim=dim,
            heads=config.get("attention_heads", 8),
            hidden=len(state["encoder.encoders.0.feed_forward.w_1.weight"]),
            layers=count(state, "encoder.encoders."),
            upper_layers=count(state, "encoder.up_encoders."),
            channels=state[first].shape[1],
            middle=count(state, "decoder.estimator.mid_blocks."),
            blocks=count(state, "decoder.estimator.down_blocks.0.1."),
            decoder_heads=heads,
            head_dim=len(state[first]) // heads,
        )
    except KeyError as error:
        raise UserError(f"not the weights of CosyVoice 2's flow: they lack {error}") from None
    return adopt(Model(own), _renamed(state), "checkpoint of CosyVoice 2's flow")


def _renamed(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    renamed = {}
    for key in state:
        if any(part in key for part in (".linear_k.", ".linear_v.", ".to_k.", ".to_v.")):
            continue  # keys and values go with their queries
        name = next((_NAMES[head] + key.removeprefix(head) for head in _NAMES if key.startswith(head)), key)
        name = _stage(name)
        query, three = next(((q, parts) for q, parts in _FUSED.items() if f".{q}." in key), ("", ()))
        for theirs, ours in _INSIDE.items():
            name = name.replace(theirs, ours)
        if three:
            weight = torch.cat([state[key.replace(query, part)] for part in three])
        elif name.endswith(("skip.weight", "decoder.out.weight")):
            weight = state[key].flatten(1)  # a convolution of one frame there, a linear layer here
        else:
            weight = state[key]
        renamed[name] = weight
    return renamed


def _stage(name: str) -> str:
    """decoder.middle.3.1.2.attn1 ... -> decoder.middle.3.blocks.2.attn1 ...; what is no stage stays."""
    parts = name.split(".")
    if parts[0] != "decoder":
        return name
    at = {"down": 2, "up": 2, "middle": 3}.get(parts[1])
    if at is None:
        return name
    if parts[at] == "0":
        del parts[at]
    elif parts[at] == "1":
        parts[at] = "blocks"
    return ".".join(parts)
