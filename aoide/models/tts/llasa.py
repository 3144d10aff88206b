"""Llasa: a language model that goes on from text to speech, tokens (batch, tokens) -> codes (batch, frames, 1).

Idea         Where a codec has one codebook (X-codec 2: 65,536 codes, 50 a second) speech is a text in another alphabet.
             A Llama 3.2 gets 65,536 words more and goes on reading: the text between two marks, then the codes of
             somebody saying it. To clone a voice, the text of a recording stands before the text, and its codes before
             the codes. What language models learn about scale holds for it as it stands.
Objective    next token (aoide/objectives/tokens.py), on the codes
Recipes      recipes/tts/llasa-folder.yaml
Paper        Ye et al. 2025, arXiv:2502.04128
Code         github.com/zhenye234/LLaSA_training; a plain LlamaForCausalLM of transformers
Checkpoints  HKUSTAudio/Llasa-1B, -3B, -8B (Hugging Face, CC-BY-NC-4.0): load with `from_official`; the text goes
             through their tokenizer, see `prompt`. The sound comes from HKUSTAudio/xcodec2-hf
             (aoide/external/xcodec2.py)
Differs      trained here, it reads phonemes, and no chat stands around them
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from aoide.config import UserError
from aoide.nn import token_lm
from aoide.nn.lengths import mask_from_lengths
from aoide.nn.llama import Settings
from aoide.nn.official import adopt
from aoide.nn.rotary import Stretch
from aoide.nn.token_lm import Sampling, Scored, TokenLM, to_front
from aoide.objectives import tokens as next_token

MARKS = 8  # between the text's tokens and the codes; four of them, by pairs, are used
SAMPLING = Sampling(temperature=0.9, top_p=0.95)
MOST = 2048  # places that the published models were trained on


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """Settings; the defaults are those of Llasa-1B (1.4 G parameters)."""

    sample_rate: int = 16_000  # Hz, of the sound that the codes were made from
    hop: int = 320  # samples of it a code
    symbols: int = 128_256  # of the text
    codes: int = 65_536
    dim: int = 2048
    layers: int = 16
    heads: int = 32
    kv_heads: int | None = 8
    hidden: int = 8192  # channels inside the MLP
    norm_eps: float = 1e-5
    rope_base: float = 500_000.0
    rope_stretch: Stretch | None = Stretch()
    tied: bool = True  # the table is the last layer, too

    @property
    def frame_rate(self) -> float:
        """Codes a second."""
        return self.sample_rate / self.hop

    @property
    def settings(self) -> Settings:
        """Of the Llama."""
        return Settings(
            dim=self.dim,
            layers=self.layers,
            heads=self.heads,
            kv_heads=self.kv_heads,
            hidden=self.hidden,
            norm_eps=self.norm_eps,
            rope_base=self.rope_base,
            rope_stretch=self.rope_stretch,
            causal=True,
        )


class Model(nn.Module):
    """Text -> codes of speech."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.begin, self.end, self.begin_codes, self.end_codes = range(config.symbols + 2, config.symbols + 6)
        self.first = config.symbols + MARKS  # the row of code 0
        self.lm = TokenLM(config.settings, self.first + config.codes, config.tied)
        self.family = next_token.Classes(self.first + config.codes)

    def forward(
        self, tokens: Tensor, codes: Tensor, token_mask: Tensor | None = None, frame_mask: Tensor | None = None
    ) -> Scored:
        """How likely each code is after the text and those before it, see `Scored`.

        Args:
            tokens: (batch, tokens), below `symbols`. token_mask: (batch, tokens), True = real.
            codes: (batch, frames, 1), below `codes`. frame_mask: (batch, frames).
        """
        text, text_mask = token_lm.framed(tokens, token_mask, self.begin, self.end, 0)
        spoken = codes[..., 0].long() + self.first
        speech, speech_mask = token_lm.framed(spoken, frame_mask, self.begin_codes, self.end_codes, 0)
        rows, judged = torch.cat([text, speech], dim=1), torch.cat([torch.zeros_like(text_mask), speech_mask], dim=1)
        mask, rows, judged = to_front(torch.cat([text_mask, speech_mask], dim=1), rows, judged)
        return Scored(self.lm(self.lm.table(rows[:, :-1]), mask[:, :-1]), rows[:, 1:], judged[:, 1:])

    @torch.no_grad()
    def speak(
        self,
        tokens: Tensor,
        prompt: Tensor | None = None,
        *,
        sampling: Sampling = SAMPLING,
        most: int = MOST,
        choose: token_lm.Choose | None = None,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Codes of the text: (frames, 1) int64, without those of the prompt.

        Args:
            tokens: (tokens,), the text of the prompt and then what is to be said: below `symbols`; or all that stands
                before the codes, as `prompt` of this file makes it for published weights.
            prompt: (frames,) codes of somebody who says the beginning of the text.
            most: places that text and codes may take.
            choose: draws in place of `sampling`.

        Raises:
            UserError: numbers that are no tokens or codes, or a text that leaves no room to say it.
        """
        if tokens.ndim != 1 or not len(tokens) or int(tokens.min()) < 0 or int(tokens.max()) >= self.first:
            raise UserError(f"tokens are a row of one number or more from 0 to {self.first - 1}")
        if int(tokens[-1]) != self.begin_codes:
            tokens = token_lm.framed(tokens[None], None, self.begin, self.end, 0)[0][0]
            tokens = torch.cat([tokens, tokens.new_tensor([self.begin_codes])])
        if prompt is not None:
            if prompt.ndim != 1 or int(prompt.min()) < 0 or int(prompt.max()) >= self.config.codes:
                raise UserError(f"codes of the prompt are a row of numbers from 0 to {self.config.codes - 1}")
            tokens = torch.cat([tokens, prompt + self.first])
        room = most - len(tokens)
        if room < 1:
            raise UserError(f"text and prompt take {len(tokens)} places of {most}; cut the text or the prompt")
        drawn = self.lm.go_on(
            self.lm.table(tokens)[None], choose or sampling.chooser(generator), {self.end_codes}, most=room
        )
        codes = [row - self.first for row in drawn if row >= self.first]
        return torch.tensor(codes, dtype=torch.int64, device=tokens.device)[:, None]


def prompt(tokenizer: Any, text: str) -> list[int]:
    """All that stands before the codes, for published weights.

    Args:
        tokenizer: of the published folder: transformers' AutoTokenizer.from_pretrained(folder).
        text: of the recording that is to be followed, if there is one, and then what is to be said.
    """
    asked = f"Convert the text to speech:<|TEXT_UNDERSTANDING_START|>{text}<|TEXT_UNDERSTANDING_END|>"
    chat = [
        {"role": "user", "content": asked},
        {"role": "assistant", "content": "<|SPEECH_GENERATION_START|>"},
    ]
    ids: Sequence[int] = tokenizer.apply_chat_template(
        chat, tokenize=True, continue_final_message=True, return_dict=False
    )
    return list(ids)


# ------------------------------------------------------------------------------------------------------------- training

TRAINING = next_token.Config()
LOSSES: dict[str, Any] = {}
NEEDS = ("tokens", "codes")
TOY = Config(
    sample_rate=800,
    hop=16,
    symbols=12,
    codes=16,
    dim=16,
    layers=1,
    heads=4,
    kv_heads=2,
    hidden=24,
    rope_base=10_000.0,
    rope_stretch=None,
)


def example(config: Config, batch: int = 2, generator: torch.Generator | None = None) -> dict[str, Tensor]:
    """Random tokens and codes; the last item is shorter."""
    token_mask = mask_from_lengths(torch.tensor([6] * (batch - 1) + [4]))
    frame_mask = mask_from_lengths(torch.tensor([15] * (batch - 1) + [11]))
    return {
        "tokens": torch.randint(config.symbols, token_mask.shape, generator=generator) * token_mask,
        "token_mask": token_mask,
        "codes": torch.randint(config.codes, (*frame_mask.shape, 1), generator=generator) * frame_mask[..., None],
        "frame_mask": frame_mask,
    }


# ------------------------------------------------------------------------------------------------ published checkpoints


def from_official(state: Mapping[str, Tensor], config: Mapping[str, Any]) -> Model:
    """Llasa, or any LlamaForCausalLM with its vocabulary: the state dict and config.json of the published folder.

    Where it has another number of codes, `config["speech_codes"]` says how many.

    Raises:
        UserError: weights or settings of something else.
    """
    if config.get("model_type", "llama") != "llama":
        raise UserError(f"this is a checkpoint of {config['model_type']}, not of a Llama")
    codes = config.get("speech_codes", Config().codes)
    if config["vocab_size"] <= codes + MARKS:
        raise UserError(f"a vocabulary of {config['vocab_size']} has no room for {codes} codes: this is not Llasa")
    told = {"rope_theta": config.get("rope_theta"), **(config.get("rope_scaling") or {})}
    rope = config.get("rope_parameters") or told
    own = Config(
        symbols=config["vocab_size"] - codes - MARKS,
        codes=codes,
        dim=config["hidden_size"],
        layers=config["num_hidden_layers"],
        heads=config["num_attention_heads"],
        kv_heads=config.get("num_key_value_heads"),
        hidden=config["intermediate_size"],
        norm_eps=config.get("rms_norm_eps", 1e-6),
        rope_base=rope.get("rope_theta") or 10_000.0,
        rope_stretch=_stretch(rope),
        tied=config.get("tie_word_embeddings", False),
    )
    renamed = token_lm.official(state, own.settings)
    if own.tied:
        renamed.pop("head.weight", None)
    known = ("model.layers.", "model.norm.", "model.embed_tokens.", "lm_head.")
    rest = {key: value for key, value in state.items() if not key.startswith(known)}
    return adopt(Model(own), {f"lm.{key}": value for key, value in renamed.items()} | rest, "Llasa checkpoint")


def _stretch(rope: Mapping[str, Any]) -> Stretch | None:
    kind = rope.get("rope_type", rope.get("type", "default"))
    if kind == "default":
        return None
    if kind != "llama3":
        raise UserError(f"this checkpoint stretches its places in a way ({kind}) that is not known here")
    return Stretch(
        factor=rope["factor"],
        low=rope["low_freq_factor"],
        high=rope["high_freq_factor"],
        places=rope["original_max_position_embeddings"],
    )
