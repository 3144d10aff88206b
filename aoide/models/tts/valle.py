"""VALL-E: phonemes and three seconds of a voice -> codes of a codec, as a language model goes on with a text.

    tokens (batch, tokens), prompt (batch, frames, codebooks) -> codes (batch, frames, codebooks)

Idea      A codec turns sound into a few small numbers a frame, the first of which says most. A Transformer that reads
          the phonemes and the codes so far predicts the first number of the next frame, so it goes on in the voice, the
          room and the mood in which the prompt began. A second one, which sees all frames at once, then adds the other
          numbers, one codebook after the other, told by its normalisation which one it is at.
Trained   next token (objectives/tokens.py), and cross-entropy of one later codebook an item, drawn anew each time
Recipes   recipes/tts/valle-folder.yaml
Paper     Wang et al. 2023, arXiv:2301.02111
Official  none by the authors; github.com/open-mmlab/Amphion (MIT), after github.com/lifeiteng/vall-e (Apache-2.0)
Weights   amphion/valle_libritts: `from_official`, parity in tests/parity/test_valle.py. The codec is EnCodec at 24 kHz
          with 8 codebooks. The later form of Amphion is tts/valle_v2.
Differs   from the paper: the prompt of training is the head of the clip, as Amphion has it. From Amphion: decoding
          keeps keys and values, so that a token costs one pass over one place; each item has its own codebook and its
          own prompt, not the whole batch; padded places do not count as ends. Its variants with a pre-net, with another
          width for the second Transformer or with norms after are refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from aoide import trace
from aoide.config import UserError
from aoide.nn import token_lm
from aoide.nn.attention import sinusoids
from aoide.nn.lengths import mask_from_lengths
from aoide.nn.official import adopt, replaced
from aoide.nn.token_lm import Choose, Sampling
from aoide.objectives import Batch, tokens
from aoide.objectives.tokens import Classes

NEEDS = ("tokens", "codes")
LONGEST_PROMPT = 225  # frames of the second Transformer's prompt in training: three seconds
PROMPT = (0.25, 0.5)  # the share of a clip that it is


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """What is built; the defaults are those of Amphion."""

    symbols: int = 512  # size of the phoneme table, with padding
    sample_rate: int = 24_000  # Hz, of the codec's sound
    hop: int = 320  # samples of a frame of codes
    codebooks: int = 8
    codebook_size: int = 1024
    dim: int = 1024
    heads: int = 16
    layers: int = 12  # of each of the two Transformers
    dropout: float = 0.1
    begin: bool = False  # a token of its own stands before the first code, which is then predicted too
    prompts: Literal["none", "head", "copy"] = "head"  # of the second Transformer: nothing, the head of the clip with
    # all its codes, or a piece of it put before
    tied: bool = True  # codes are predicted by the table that reads them, but for those of the last book

    def __post_init__(self) -> None:
        if self.dim % (2 * self.heads) or self.codebooks < 2:
            raise ValueError(f"dim is a multiple of 2 heads, codebooks 2 or more; got {self.dim}, {self.codebooks}")

    @property
    def frame_rate(self) -> float:  # frames of codes a second
        return self.sample_rate / self.hop


class Output(NamedTuple):
    scores: Tensor  # (batch, places, codebook_size + 1), of the first book's next code; the last is the end
    targets: Tensor  # (batch, places), what stands there
    mask: Tensor  # (batch, places), True = real
    later_scores: Tensor  # (batch, frames, codebook_size), of the codes of a later book
    later_targets: Tensor  # (batch, frames)
    later_mask: Tensor  # (batch, frames), True where they are to be found


# ---------------------------------------------------------------------------------------------------------------- parts


class Memory:
    """Keys and values of the places so far, for each layer: (batch, heads, capacity, channels of a head)."""

    def __init__(self, layers: int, shape: tuple[int, int, int, int], like: Tensor) -> None:
        self.keys = like.new_zeros(layers, *shape)
        self.values = torch.zeros_like(self.keys)
        self.length = 0

    def add(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Lays those of new places into a layer; all of it so far."""
        end = self.length + keys.shape[2]
        self.keys[layer, :, :, self.length : end] = keys
        self.values[layer, :, :, self.length : end] = values
        return self.keys[layer, :, :, :end], self.values[layer, :, :, :end]


class StageNorm(nn.Module):
    """Layer normalisation that is scaled and shifted by which codebook it is at."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.norm, self.stage = nn.LayerNorm(dim), nn.Linear(dim, 2 * dim)

    def forward(self, x: Tensor, stage: Tensor | None) -> Tensor:
        """x (batch, places, dim), stage (batch or 1, 1, dim)."""
        scale, shift = self.stage(stage).chunk(2, dim=-1)
        return scale * self.norm(x) + shift


class PlainNorm(nn.LayerNorm):
    """Layer normalisation that is called like `StageNorm`."""

    def forward(self, input: Tensor, stage: Tensor | None = None) -> Tensor:  # noqa: A002  (LayerNorm's own name)
        return super().forward(input)


class Layer(nn.Module):
    """Normalise and attend, normalise and think, each added to what came in."""

    def __init__(self, config: Config, staged: bool) -> None:
        super().__init__()
        dim = config.dim
        norm = StageNorm if staged else PlainNorm
        self.heads, self.dropout = config.heads, nn.Dropout(config.dropout)
        self.attention_norm, self.mlp_norm = norm(dim), norm(dim)
        self.project, self.out = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.expand, self.contract = nn.Linear(dim, 4 * dim), nn.Linear(4 * dim, dim)

    def forward(
        self, x: Tensor, seen: Tensor | None, stage: Tensor | None, memory: Memory | None, number: int
    ) -> Tensor:
        """x (batch, places, dim), seen (batch or 1, 1, places or 1, all places) or None = all."""
        projected = self.project(self.attention_norm(x, stage))
        queries, keys, values = projected.unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        if memory is not None:
            keys, values = memory.add(number, keys, values)
        share = self.dropout.p if self.training else 0.0
        found = functional.scaled_dot_product_attention(queries, keys, values, attn_mask=seen, dropout_p=share)
        x = x + self.dropout(self.out(found.transpose(1, 2).flatten(2)))
        return x + self.dropout(self.contract(self.dropout(self.expand(self.mlp_norm(x, stage)).relu())))


class Stack(nn.Module):
    """Layers and a last norm."""

    def __init__(self, config: Config, staged: bool) -> None:
        super().__init__()
        self.config = config
        self.layers = nn.ModuleList(Layer(config, staged) for _ in range(config.layers))
        self.norm = (StageNorm if staged else PlainNorm)(config.dim)

    def forward(
        self, x: Tensor, seen: Tensor | None, stage: Tensor | None = None, memory: Memory | None = None
    ) -> Tensor:
        """As in `Layer`; what `memory` holds stands before x."""
        for number, layer in enumerate(self.layers):
            x = layer(x, seen, stage, memory, number)
        if memory is not None:
            memory.length += x.shape[1]
        return self.norm(x, stage)

    def memory(self, batch: int, capacity: int) -> Memory:
        """An empty one, where the weights are."""
        config = self.config
        shape = (batch, config.heads, capacity, config.dim // config.heads)
        return Memory(config.layers, shape, next(self.parameters()))


class First(nn.Module):
    """Text and first codes -> scores of the first code that comes next."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.text = nn.Embedding(config.symbols, config.dim)
        self.codes = nn.Embedding(config.codebook_size + 1 + int(config.begin), config.dim)
        self.text_place, self.code_place = nn.Parameter(torch.ones(1)), nn.Parameter(torch.ones(1))
        self.dropout = nn.Dropout(config.dropout)
        self.stack = Stack(config, staged=False)
        self.out = nn.Linear(config.dim, config.codebook_size + 1, bias=False)

    def read(self, tokens: Tensor) -> Tensor:
        """(batch, tokens) -> (batch, tokens, dim)."""
        x = self.text(tokens)
        return self.dropout(x + self.text_place * sinusoids(x.shape[1], x.shape[2], like=x))

    def said(self, codes: Tensor, start: int = 0) -> Tensor:
        """Codes (batch, places), the first at place `start` -> (batch, places, dim)."""
        x = self.codes(codes)
        return self.dropout(x + self.code_place * sinusoids(x.shape[1], x.shape[2], like=x, start=start))

    def forward(self, text: Tensor, said: Tensor, mask: Tensor | None = None, memory: Memory | None = None) -> Tensor:
        """What `read` and `said` give -> scores (batch, places, codebook_size + 1) after each code. The text sees the
        text, a code all of the text and the codes before.

        Args:
            mask: (batch, tokens + places), True = real; None: all are.
        """
        tokens, places = text.shape[1], said.shape[1]
        seen = torch.ones(tokens + places, tokens + places, dtype=torch.bool, device=text.device).tril()
        seen[:, :tokens] = True
        seen[:tokens, tokens:] = False
        if mask is not None:
            seen = seen & mask[:, None, None, :]
        x = self.stack(torch.cat([text, said], dim=1), seen, memory=memory)
        return self.out(x[:, tokens:])


class Later(nn.Module):
    """Text and the codes of the books so far -> scores of the codes of the next book, all frames at once."""

    text_place: Tensor
    code_place: Tensor

    def __init__(self, config: Config) -> None:
        super().__init__()
        size, dim, books = config.codebook_size, config.dim, config.codebooks
        self.config = config
        self.text = nn.Embedding(config.symbols, dim)
        self.tables = nn.ModuleList(nn.Embedding(size + int(book == 0), dim) for book in range(books))
        self.stages = nn.Embedding(books - 1, dim)
        self.register_buffer("text_place", torch.ones(1))
        self.register_buffer("code_place", torch.ones(1))
        self.dropout = nn.Dropout(config.dropout)
        self.stack = Stack(config, staged=True)
        self.heads = nn.ModuleList(
            nn.Linear(dim, size, bias=False) for book in range(1, books) if not config.tied or book == books - 1
        )

    def read(self, tokens: Tensor) -> Tensor:
        """(batch, tokens) -> (batch, tokens, dim)."""
        x = self.text(tokens)
        return x + self.text_place * sinusoids(x.shape[1], x.shape[2], like=x)

    def sums(self, codes: Tensor, books: Tensor) -> Tensor:
        """The sum of what the first books say of each frame.

        Args:
            codes: (batch, frames, codebooks).
            books: (batch, frames or 1) int64, how many.
        """
        parts = [table(codes[..., book]) * (book < books)[..., None] for book, table in enumerate(self.tables)]
        return torch.stack(parts).sum(0)

    def weight(self, book: int) -> Tensor:
        """Of the scores of a book's codes: (codebook_size, dim)."""
        if self.config.tied and book < self.config.codebooks - 1:
            return self.tables[book + 1].weight  # type: ignore[return-value]  # as published: that of the next book
        return self.heads[-1 if self.config.tied else book - 1].weight  # type: ignore[return-value]

    def forward(
        self, text: Tensor, token_mask: Tensor, said: Tensor, mask: Tensor, book: Tensor, places: Tensor | None = None
    ) -> Tensor:
        """Scores (batch, frames, codebook_size).

        Args:
            text, token_mask: (batch, tokens, dim) of `read`, (batch, tokens).
            said, mask: (batch, frames, dim) of `sums`, (batch, frames).
            book: (batch,) int64, from 1: whose codes are asked for.
            places: (batch, frames) int64; None: one after the other.
        """
        table = sinusoids(said.shape[1], said.shape[2], like=said)
        x = self.dropout(said + self.code_place * (table if places is None else table[places]))
        seen = torch.cat([token_mask, mask], dim=1)[:, None, None, :]
        x = self.stack(torch.cat([text, x], dim=1), seen, self.stages(book - 1)[:, None])[:, text.shape[1] :]
        weights = torch.stack([self.weight(number) for number in range(1, self.config.codebooks)])
        return x @ weights[book - 1].mT


# ---------------------------------------------------------------------------------------------------------------- model


class Model(nn.Module):
    """See the module's docstring."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.family = Classes(config.codebook_size + 1)
        self.first = First(config)
        self.later = Later(config)

    def forward(
        self,
        tokens: Tensor,
        token_mask: Tensor,
        codes: Tensor,
        frame_mask: Tensor | None = None,
        book: Tensor | None = None,
        prompt_frames: Tensor | None = None,
    ) -> Output:
        """Scores of each next first code, and of the codes of a later book: the view of training.

        Args:
            tokens, token_mask: (batch, tokens).
            codes: (batch, frames, codebooks). frame_mask: (batch, frames), True = real.
            book: (batch,) int64, from 1; None: torch's own draw.
            prompt_frames: (batch,) int64, how long the prompt of the second Transformer is; None: torch's own draw in
                training, the least in evaluation.
        """
        if frame_mask is None:
            frame_mask = torch.ones(codes.shape[:2], dtype=torch.bool, device=codes.device)
        codes = codes.long()[..., : self.config.codebooks].masked_fill(~frame_mask[..., None], 0)
        if book is None:
            book = torch.randint(1, self.config.codebooks, (len(codes),), device=codes.device)
        if prompt_frames is None:
            prompt_frames = self._draw(frame_mask.sum(1))
        scores, targets, mask = self._first(tokens, token_mask, codes[..., 0], frame_mask)
        return Output(scores, targets, mask, *self._later(tokens, token_mask, codes, frame_mask, book, prompt_frames))

    def _draw(self, lengths: Tensor) -> Tensor:
        """How long the prompts are: (batch,)."""
        if self.config.prompts == "none":
            return torch.zeros_like(lengths)
        least, most = PROMPT if self.config.prompts == "head" else (PROMPT[0], PROMPT[0])
        share = torch.rand(lengths.shape, device=lengths.device) if self.training else torch.zeros_like(lengths)
        return ((least + (most - least) * share) * lengths).long().clamp(max=LONGEST_PROMPT)

    def _first(self, tokens: Tensor, token_mask: Tensor, codes: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        end = self.config.codebook_size
        rows = functional.pad(codes.masked_fill(~mask, end), (0, 1), value=end)  # the end stands after the last code
        if self.config.begin:
            given, targets = functional.pad(rows[:, :-1], (1, 0), value=end + 1), rows
            real = functional.pad(mask, (1, 0), value=True)
        else:
            given, targets, real = rows[:, :-1], rows[:, 1:], mask
        first, there = self.first, torch.cat([token_mask, real], dim=1)
        return first(first.read(tokens), first.said(given), there), targets, real

    def _later(  # noqa: PLR0913  (the fields of a batch)
        self, tokens: Tensor, token_mask: Tensor, codes: Tensor, mask: Tensor, book: Tensor, prompt_frames: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        later, frames = self.later, torch.arange(codes.shape[1], device=codes.device)
        inside = frames < prompt_frames[:, None]
        books, all_books = book[:, None], codes.shape[2]
        targets = codes.gather(2, book[:, None, None].expand(-1, codes.shape[1], 1)).squeeze(2)
        if self.config.prompts != "copy":
            said = later.sums(codes, torch.where(inside, all_books, books))
            scores = later(later.read(tokens), token_mask, said, mask, book)
            return scores, targets, mask & ~inside
        chance = torch.rand(len(codes), device=codes.device) if self.training else 0.5
        start = ((mask.sum(1) - prompt_frames) * chance).long()[:, None]  # where the piece is cut
        count = int(prompt_frames.max())
        piece = codes.gather(
            1, (start + frames[:count]).clamp(max=len(frames) - 1)[..., None].expand(-1, -1, all_books)
        )
        said = torch.cat([later.sums(piece, torch.full_like(books, all_books)), later.sums(codes, books)], dim=1)
        there = torch.cat([inside[:, :count], mask], dim=1)
        places = torch.cat([frames[:count].expand(len(codes), -1), prompt_frames[:, None] + frames], dim=1)
        scores = later(later.read(tokens), token_mask, said, there, book, places)[:, count:]
        taken = (frames >= start) & (frames < start + prompt_frames[:, None])
        return scores, targets, mask & ~taken

    @torch.no_grad()
    def speak(
        self,
        tokens: Tensor,
        prompt: Tensor,
        prompt_tokens: int = 0,
        *,
        sampling: Sampling | None = None,
        choose: Choose | None = None,
        most: int | None = None,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Goes on in the voice of a prompt: codes (1, frames, codebooks) of what comes after it.

        Args:
            tokens: (1, tokens), those of the prompt's text and then those of what is to be said.
            prompt: (1, prompt frames, codebooks).
            prompt_tokens: how many of the tokens are the prompt's; asked for by `prompts: copy` alone.
            sampling: of the first codes; None: the 50 likeliest. The likeliest code being the end ends it too.
            choose: instead of that, what draws a code from scores (see `nn/token_lm.py`).
            most: frames; None: 16 a token.

        Raises:
            UserError: more than one item, no prompt for a model without a token of its own to begin with, or the end
                came first.
        """
        config, end = self.config, self.config.codebook_size
        if len(tokens) != 1 or len(prompt) != 1:
            raise UserError(f"speaks one text at a time, got {len(tokens)} and {len(prompt)} prompts")
        if not prompt.shape[1] and not config.begin:
            raise UserError("this VALL-E needs a prompt: it was not trained to find the first code")
        most = 16 * tokens.shape[1] + 1 if most is None else most
        choose = choose or (sampling or Sampling(top_k=50)).chooser(generator)

        def ended(scores: Tensor, before: Sequence[int]) -> int:
            return end if int(scores.argmax()) == end else choose(scores, before)

        said = list(self.go_on(tokens, prompt[..., 0], ended, most))
        if not said:
            raise UserError("the end came before the first code: the model is not trained, or the prompt is another's")
        trace.report("codes/first", torch.tensor(said))
        first = torch.tensor(said, device=prompt.device)[None]
        if config.prompts == "copy":  # it hears the prompt, and reads only what is to be said
            tokens = torch.cat([tokens[:, :1], tokens[:, max(prompt_tokens - 1, 1) :]], dim=1)
        return self.fill(tokens, prompt, first)

    def go_on(self, tokens: Tensor, prompt: Tensor, choose: Choose, most: int) -> Iterator[int]:
        """Draws first codes one after the other, until the end.

        Args:
            tokens: (1, tokens). prompt: (1, prompt frames), first codes.
        """
        first, begin = self.first, self.config.codebook_size + 1
        given = functional.pad(prompt, (1, 0), value=begin) if self.config.begin else prompt
        text, place = first.read(tokens), given.shape[1]
        memory = first.stack.memory(1, tokens.shape[1] + given.shape[1] + most)
        start, count = first.said(given), iter(range(place, place + most))

        def step(x: Tensor) -> Tensor:
            if memory.length == 0:
                return first(text, x, memory=memory)[0, -1]
            return first.out(first.stack(x, None, memory=memory))[0, -1]

        def embed(code: int) -> Tensor:
            return first.said(torch.tensor([[code]], device=prompt.device), next(count))

        return token_lm.go_on(step, embed, start, choose, {self.config.codebook_size}, most=most)

    @torch.no_grad()
    def fill(self, tokens: Tensor, prompt: Tensor, first: Tensor) -> Tensor:
        """The codes of all books, the likeliest of each: (batch, frames, codebooks).

        Args:
            tokens: (batch, tokens). prompt: (batch, prompt frames, codebooks). first: (batch, frames).
        """
        later, count = self.later, self.config.codebooks
        codes = functional.pad(first[..., None], (0, count - 1))
        whole = torch.cat([prompt, codes], dim=1)
        mask, token_mask = torch.ones_like(whole[..., 0], dtype=torch.bool), torch.ones_like(tokens, dtype=torch.bool)
        inside = torch.arange(whole.shape[1], device=whole.device) < prompt.shape[1]
        text = later.read(tokens)
        for number in range(1, count):
            known = number if self.config.prompts == "none" else count
            said = later.sums(whole, torch.where(inside, known, number)[None])
            book = torch.full((len(tokens),), number, device=tokens.device)
            scores = later(text, token_mask, said, mask, book)
            whole[:, prompt.shape[1] :, number] = scores[:, prompt.shape[1] :].argmax(-1)
        return whole[:, prompt.shape[1] :]


# ------------------------------------------------------------------------------------------------------------- training


def later_loss(output: Output, batch: Batch) -> Tensor:
    """Minus the log-probability of the right codes of a later book, in nats a frame."""
    real = output.later_mask
    return functional.cross_entropy(output.later_scores[real], output.later_targets[real])


LOSSES = {"later": later_loss}
TRAINING = tokens.Config(weights={"later": 1.0})
TOY = Config(symbols=20, sample_rate=8_000, hop=100, codebooks=2, codebook_size=9, dim=8, heads=2, layers=1)


def example(config: Any, batch: int = 2, generator: torch.Generator | None = None) -> dict[str, Tensor]:
    """A batch as the data layer makes it, of random numbers; the last item is shorter."""
    token_mask = mask_from_lengths(torch.tensor([5] * (batch - 1) + [4]))
    frame_mask = mask_from_lengths(torch.tensor([13] * (batch - 1) + [11]))
    shape = (*frame_mask.shape, config.codebooks)
    return {
        "tokens": torch.randint(1, config.symbols, token_mask.shape, generator=generator) * token_mask,
        "token_mask": token_mask,
        "codes": torch.randint(0, config.codebook_size, shape, generator=generator),
        "frame_mask": frame_mask,
    }


# ---------------------------------------------------------------------------------------------------- published weights

_NAMES = {
    "word_embeddings.": "",
    "nar_text_embedding.": "later.text.",
    "nar_audio_embeddings.": "later.tables.",
    "nar_text_position.alpha": "later.text_place",
    "nar_audio_position.alpha": "later.code_place",
    "nar_decoder.": "later.stack.",
    "ar_text_embedding.": "first.text.",
    "ar_audio_embedding.": "first.codes.",
    "ar_text_position.alpha": "first.text_place",
    "ar_audio_position.alpha": "first.code_place",
    "ar_decoder.": "first.stack.",
    "ar_predict_layer.": "first.out.",
    "self_attn.in_proj_": "project.",
    "self_attn.out_proj.": "out.",
    ".linear1.": ".expand.",
    ".linear2.": ".contract.",
    ".norm1.": ".attention_norm.",
    ".norm2.": ".mlp_norm.",
    ".project_layer.": ".stage.",
}
_PROMPTS: dict[int, Literal["none", "head", "copy"]] = {0: "none", 1: "head", 2: "copy", 4: "copy"}


def from_official(state: Mapping[str, Tensor], config: Mapping[str, Any]) -> Model:
    """Amphion's first VALL-E: its state dict and the content of its configuration file (or of its `model`).

    Raises:
        UserError: a variant that is not known here, or keys or shapes that do not fit.
    """
    sizes = config.get("model", config)
    strange = [
        name
        for name, usual in {"add_prenet": False, "norm_first": True, "nar_scale_factor": 1}.items()
        if sizes.get(name, usual) != usual
    ]
    if strange:
        raise UserError(f"this VALL-E checkpoint has {strange[0]} {sizes[strange[0]]}, which is not known here")
    features = config.get("preprocess", {})
    built = Config(
        symbols=sizes["text_token_num"],
        sample_rate=features.get("sample_rate", 24_000),
        hop=features.get("codec_hop_size", 320),
        codebooks=sizes["num_quantizers"],
        codebook_size=sizes["audio_token_num"],
        dim=sizes["decoder_dim"],
        heads=sizes["nhead"],
        layers=sizes["num_decoder_layers"],
        begin=sizes["prepend_bos"],
        prompts=_PROMPTS[sizes["prefix_mode"]],
        tied=sizes["share_embedding"],
    )
    return adopt(Model(built), _renamed(state, built), "VALL-E checkpoint")


def _renamed(state: Mapping[str, Tensor], config: Config) -> dict[str, Tensor]:
    renamed, stages, last = {}, {}, config.codebooks - 2
    for name, value in state.items():
        key = replaced(name, _NAMES)
        group, _, rest = key.partition(".")
        number = int(rest.split(".")[0]) if group in ("nar_stage_embeddings", "nar_predict_layers") else 0
        if group == "nar_stage_embeddings":
            stages[number] = value
        elif group == "nar_predict_layers":
            if not config.tied or number == last:  # the others are tables, under a second name
                renamed[f"later.heads.{0 if config.tied else number}.weight"] = value
        else:
            renamed[key] = value
    return {**renamed, "later.stages.weight": torch.cat([stages[number] for number in sorted(stages)])}
