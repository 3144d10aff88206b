"""CosyVoice 2, first stage: a language model from text to speech, tokens (batch, tokens) -> codes (batch, frames, 1).

Idea         Codes of speech that were learned from a recogniser (6,561 of them, 25 a second) say what is said and how,
             and leave the voice out. A pretrained Qwen 2 of half a billion parameters reads the text, then a mark, and
             goes on with codes; a recording to be followed stands before as text and codes. Their sound is made by
             tts/cosyvoice2_flow, in anybody's voice. A code that was just said is drawn anew from all others, since
             models of this kind get stuck in silence. In half of training five tokens of text and fifteen codes take
             turns, so it can speak while the text is still being written (`converse`).
Objective    next token (aoide/objectives/tokens.py), on the codes
Recipes      recipes/tts/cosyvoice2-folder.yaml
Paper        Du et al. 2024, arXiv:2412.10117
Code         github.com/FunAudioLLM/CosyVoice, cosyvoice/llm (Apache-2.0)
Checkpoints  FunAudioLLM/CosyVoice2-0.5B, llm.pt (Hugging Face): load with `from_official`; its text goes through the
             tokenizer of its folder CosyVoice-BlankEN. Its codes come from speech_tokenizer_v2.onnx there
Differs      trained here it reads phonemes. What streams is bounded: a prompt that is longer than the text so far waits
             for it, and the end comes after 20 codes a token at the latest
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from aoide.config import UserError
from aoide.nn import llama, token_lm
from aoide.nn.lengths import mask_from_lengths
from aoide.nn.llama import Llama, Settings
from aoide.nn.official import adopt
from aoide.nn.token_lm import Sampling, Scored
from aoide.objectives import Batch
from aoide.objectives import tokens as next_token

SAMPLING = Sampling(top_k=25, top_p=0.8, of_all=True, window=10, share=0.1)
LEAST, MOST = 2, 20  # codes for a token of the text
SPARE = 3  # rows beyond the codes; the first is the end, the last asks for more text
TEXT, SPEECH = 5, 15  # tokens and codes that take turns
NOTHING = -1  # no target
HEAD_DIM = 64  # channels of a head of Qwen 2


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """Settings; the defaults are those of CosyVoice2-0.5B (506 M parameters)."""

    sample_rate: int = 16_000  # Hz, of the sound that the codes were made from
    hop: int = 640  # samples of it a code
    symbols: int = 151_936  # of the text
    codes: int = 6561
    dim: int = 896
    layers: int = 24
    heads: int = 14
    kv_heads: int | None = 2
    hidden: int = 4864  # channels inside the MLP
    rope_base: float = 1_000_000.0

    @property
    def frame_rate(self) -> float:
        """Codes a second."""
        return self.sample_rate / self.hop

    @property
    def settings(self) -> Settings:
        """Of the Llama, which Qwen 2 is but for its biases."""
        return Settings(
            dim=self.dim,
            layers=self.layers,
            heads=self.heads,
            kv_heads=self.kv_heads,
            hidden=self.hidden,
            rope_base=self.rope_base,
            bias=True,
            causal=True,
        )


def layout(tokens: int, frames: int, size: int, by_turns: bool) -> tuple[list[int], list[int | str]]:
    """What stands where, and what comes next.

    Args:
        tokens, frames: of an item. size: of the longest text of the batch.
        by_turns: five tokens, fifteen codes, and so on; the mark stands before the codes after the last text.

    Returns:
        rows of a bank that holds the beginning, `size` tokens, the mark and the codes; and for each the number of the
        code that comes next, "end", "more" where text is wanted, or "" for nothing to learn.
    """
    order, goal = [0], list[int | str]([""])
    word = frame = 0
    while by_turns and tokens - word >= TEXT:
        order += [*range(1 + word, 1 + word + TEXT), *range(size + 2 + frame, size + 2 + frame + SPEECH)]
        goal += [*[""] * (TEXT - 1), *range(frame, frame + SPEECH), "more"]
        word, frame = word + TEXT, frame + SPEECH
    order += [*range(1 + word, 1 + tokens), size + 1, *range(size + 2 + frame, size + 2 + frames)]
    goal += [*[""] * (tokens - word), *range(frame, frames), "end"]
    return order, goal


class Model(nn.Module):
    """Text -> codes of speech."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.text = nn.Embedding(config.symbols, config.dim)
        self.marks = nn.Embedding(2, config.dim)  # the beginning, and the turn from text to speech
        self.speech = nn.Embedding(config.codes + SPARE, config.dim)
        self.llama = Llama(config.settings)
        self.head = nn.Linear(config.dim, config.codes + SPARE)
        for table in (self.text, self.marks, self.speech):
            nn.init.normal_(table.weight, std=0.02)
        self.family = next_token.Classes(config.codes + SPARE)

    @property
    def end(self) -> int:
        """What says that speech is over."""
        return self.config.codes

    @property
    def more(self) -> int:
        """What says that text is wanted before speech can go on."""
        return self.config.codes + SPARE - 1

    def forward(  # noqa: PLR0913  (the fields of a batch)
        self,
        tokens: Tensor,
        codes: Tensor,
        token_mask: Tensor | None = None,
        frame_mask: Tensor | None = None,
        streamed: Tensor | None = None,
    ) -> Scored:
        """How likely each code is after the text and those before it, see `Scored`.

        Args:
            tokens: (batch, tokens), below `symbols`. token_mask: (batch, tokens), True = real.
            codes: (batch, frames, 1), below `codes`. frame_mask: (batch, frames).
            streamed: (batch,), items whose text and codes take turns, where there are codes enough.
        """
        said = codes[..., 0].long()
        bank = [self._mark(0, len(tokens)), self.text(tokens), self._mark(1, len(tokens)), self.speech(said)]
        words = [tokens.shape[1]] * len(tokens) if token_mask is None else token_mask.sum(1).tolist()
        frames = [said.shape[1]] * len(said) if frame_mask is None else frame_mask.sum(1).tolist()
        turns = [False] * len(tokens) if streamed is None else streamed.tolist()
        orders, goals = [], []
        for count, length, by_turns, row in zip(words, frames, turns, said.tolist(), strict=True):
            order, goal = layout(count, length, tokens.shape[1], by_turns and length > count * SPEECH / TEXT)
            orders.append(torch.tensor(order))
            told = {"end": self.end, "more": self.more, "": NOTHING}
            goals.append(torch.tensor([row[step] if isinstance(step, int) else told[step] for step in goal]))
        index = pad_sequence(orders, batch_first=True).to(tokens.device)
        targets = pad_sequence(goals, batch_first=True, padding_value=NOTHING).to(tokens.device)
        mask = mask_from_lengths(torch.tensor([len(order) for order in orders], device=tokens.device))
        whole = torch.cat(bank, dim=1)
        x = whole.gather(1, index[..., None].expand(-1, -1, whole.shape[2]))
        judged = targets != NOTHING
        return Scored(self.head(self.llama(x, mask)), targets.masked_fill(~judged, 0), judged)

    def conceal(self, batch: Batch, generator: torch.Generator | None) -> dict[str, Tensor]:
        """In half of the clips text and codes take turns (objectives/tokens.py)."""
        tokens = batch["tokens"]
        return {"streamed": torch.rand(len(tokens), generator=generator, device=tokens.device) < 0.5}

    def _mark(self, number: int, batch: int) -> Tensor:
        return self.marks.weight[number].expand(batch, 1, -1)

    def stream(
        self,
        tokens: Tensor,
        prompt_tokens: Tensor | None = None,
        prompt: Tensor | None = None,
        *,
        sampling: Sampling = SAMPLING,
        choose: token_lm.Choose | None = None,
        generator: torch.Generator | None = None,
    ) -> Iterator[int]:
        """Codes of the text, one by one as they are drawn.

        Args:
            tokens: (tokens,), what is to be said.
            prompt_tokens: (tokens,), what a recording says. prompt: (frames,), its codes.
            choose: draws in place of `sampling`.

        Raises:
            UserError: numbers that are no tokens or codes.
        """
        _check(tokens, self.config.symbols, "tokens")
        whole = tokens if prompt_tokens is None else torch.cat([prompt_tokens, tokens])
        start = [self._mark(0, 1), self.text(whole)[None], self._mark(1, 1)]
        if prompt is not None:
            _check(prompt, self.config.codes, "codes of the prompt")
            start.append(self.speech(prompt)[None])
        begin, most = torch.cat(start, dim=1), MOST * len(tokens)
        stop = range(self.end, self.end + SPARE)
        choose = choose or sampling.chooser(generator)
        step = self._step(begin.shape[1] + most)
        return token_lm.go_on(step, self._said, begin, choose, stop, least=LEAST * len(tokens), most=most)

    def _step(self, capacity: int) -> Callable[[Tensor], Tensor]:
        """What stands next, (1, places, dim) -> scores of what comes after; it remembers."""
        cache = self.llama.cache(1, capacity)

        def step(x: Tensor) -> Tensor:
            if cache.length + x.shape[1] > capacity:
                raise UserError(f"text and speech have become longer than {capacity} places: begin anew with a part")
            return self.head(self.llama(x, cache=cache, last=1)[0, 0])

        return step

    def _said(self, code: int) -> Tensor:
        return self.speech.weight[code][None, None]

    @torch.no_grad()
    def converse(
        self,
        text: Iterable[int],
        prompt_tokens: Tensor | None = None,
        prompt: Tensor | None = None,
        *,
        sampling: Sampling = SAMPLING,
        choose: token_lm.Choose | None = None,
        capacity: int = 8192,
        generator: torch.Generator | None = None,
    ) -> Iterator[int]:
        """Codes of a text that comes token by token: fifteen of them after each five, and the rest at its end.

        Args:
            text: tokens as they come, what a language model writes, for instance.
            prompt_tokens, prompt: as `stream` has them.
            choose: draws in place of `sampling`.
            capacity: places that all of it may take.

        Raises:
            UserError: it takes more.
        """
        step, choose = self._step(capacity), choose or sampling.chooser(generator)
        waiting: list[int] = [] if prompt_tokens is None else prompt_tokens.tolist()
        heard: list[int] = [] if prompt is None else prompt.tolist()
        pending, said, count = [self._mark(0, 1)], list[int](), 0
        ends = torch.arange(self.end, self.end + SPARE - 1, device=self.head.weight.device)
        for token in text:
            waiting.append(token)
            count += 1
            while len(waiting) >= TEXT:
                pending.append(self.text(ends.new_tensor([waiting[:TEXT]])))
                waiting, told, heard = waiting[TEXT:], heard[:SPEECH], heard[SPEECH:]
                pending += [self._said(code) for code in told]
                for _ in range(0 if heard else SPEECH - len(told)):
                    code = choose(step(torch.cat(pending, dim=1)).index_fill(0, ends, -torch.inf), said)
                    pending = []
                    if code == self.more:
                        break
                    yield code
                    said.append(code)
                    pending = [self._said(code)]
        if waiting:
            pending.append(self.text(ends.new_tensor([waiting])))
        pending += [self._mark(1, 1), *(self._said(code) for code in heard)]
        stop = range(self.end, self.end + SPARE)
        rest = token_lm.go_on(
            step, self._said, torch.cat(pending, dim=1), choose, stop, most=MOST * max(count, 1), before=said
        )
        yield from rest

    @torch.no_grad()
    def speak(self, tokens: Tensor, *prompt: Tensor | None, **settings: Any) -> Tensor:
        """All codes of the text: (frames, 1) int64; arguments as `stream` has them."""
        codes = list(self.stream(tokens, *prompt, **settings))
        return torch.tensor(codes, dtype=torch.int64, device=tokens.device)[:, None]


def _check(numbers: Tensor, count: int, what: str) -> None:
    if numbers.ndim != 1 or not len(numbers) or int(numbers.min()) < 0 or int(numbers.max()) >= count:
        raise UserError(f"{what} are a row of one number or more from 0 to {count - 1}")


# ------------------------------------------------------------------------------------------------------------- training

TRAINING = next_token.Config()
LOSSES: dict[str, Any] = {}
NEEDS = ("tokens", "codes")
TOY = Config(sample_rate=800, hop=16, symbols=12, codes=16, dim=16, layers=1, heads=4, kv_heads=2, hidden=24)


def example(config: Config, batch: int = 2, generator: torch.Generator | None = None) -> dict[str, Tensor]:
    """Random tokens and codes, of which the first item has enough for turns; the last item is shorter."""
    token_mask = mask_from_lengths(torch.tensor([6] * (batch - 1) + [4]))
    frame_mask = mask_from_lengths(torch.tensor([22] * (batch - 1) + [14]))
    return {
        "tokens": torch.randint(config.symbols, token_mask.shape, generator=generator) * token_mask,
        "token_mask": token_mask,
        "codes": torch.randint(config.codes, (*frame_mask.shape, 1), generator=generator) * frame_mask[..., None],
        "frame_mask": frame_mask,
        "streamed": torch.ones(batch, dtype=torch.bool),
    }


# ------------------------------------------------------------------------------------------------ published checkpoints

OFFICIAL_FILES = ("llm.pt",)  # of CosyVoice2-0.5B; cosyvoice2.yaml beside it is in a language of its own
_NAMES = {
    "llm.model.model.embed_tokens.": "text.",
    "llm_embedding.": "marks.",
    "speech_embedding.": "speech.",
    "llm_decoder.": "head.",
}


def from_official(state: Mapping[str, Tensor], config: Mapping[str, Any]) -> Model:
    """CosyVoice 2's language model: the state dict of llm.pt; its sizes are in it.

    Args:
        config: may hold `num_attention_heads` and `rope_theta` of a Qwen 2 of another size.

    Raises:
        UserError: weights of something else.
    """
    inner = "llm.model.model."
    try:
        gates = [value for key, value in state.items() if key.endswith("gate_proj.weight")]
        symbols, dim = state[f"{inner}embed_tokens.weight"].shape
        keys = state[f"{inner}layers.0.self_attn.k_proj.weight"]
        rows = len(state["speech_embedding.weight"])
    except KeyError as error:
        raise UserError(f"not the weights of CosyVoice 2's language model: they lack {error}") from None
    heads = config.get("num_attention_heads", dim // HEAD_DIM)
    own = Config(
        symbols=symbols,
        codes=rows - SPARE,
        dim=dim,
        layers=len(gates),
        heads=heads,
        kv_heads=len(keys) // (dim // heads),
        hidden=len(gates[0]),
        rope_base=config.get("rope_theta", 1_000_000.0),
    )
    renamed = {f"llama.{key}": value for key, value in llama.official(state, own.settings, inner).items()}
    for key, value in state.items():
        part = next((name for name in _NAMES if key.startswith(name)), None)
        if part is not None:
            renamed[_NAMES[part] + key.removeprefix(part)] = value
        elif not llama.belongs(key, inner) and key != "llm.model.lm_head.weight":  # it is the table of the text
            renamed[key] = value
    return adopt(Model(own), renamed, "checkpoint of CosyVoice 2's language model")
