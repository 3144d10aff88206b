"""Vevo's first stage: what is said -> how somebody would say it, codes (batch, frames, 1) of content and style.

    tokens (batch, tokens), what was said so far (frames, 1) -> codes (frames, 1), 50 a second

Idea         What is said stands in front: phonemes, or content codes of a recording (a codebook of 32 keeps the words
             and hardly more) with repetitions taken out, so that their timing is gone. A causal Llama goes on with the
             codes of how somebody else would say it, pace and accent included, since those of this other person, for
             the words before, stand there as a prompt. Their timbre comes from the second stage (vc/vevo).
Objective    next token (aoide/objectives/tokens.py), on the codes
Recipes      recipes/vc/vevo_ar-folder.yaml
Paper        Zhang et al. 2025, arXiv:2502.07243
Code         github.com/open-mmlab/Amphion, models/vc/autoregressive_transformer (MIT)
Checkpoints  amphion/Vevo (Hugging Face): contentstyle_modeling/PhoneToVq8192 (743 M, phonemes of MaskGCT's table) and
             Vq32ToVq8192 (482 M; both kinds of input: content codes count from 1024 there); load with `from_official`
Parity       tests/parity/test_vevo.py
Differs      In a padded batch nothing stands between what is said and its codes, so an item gives what it gives alone.
             The style encoder hears its frames out of order, as published, but out of the same order each time, and
             takes the mean of real ones only. Published content codes of 32 (a network under a non-commercial licence)
             are not built here: codec/maskgct_semantic with `codes: 32` trains one of our own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from aoide.audio.mel import MelConfig
from aoide.config import UserError
from aoide.models.vc.vevo import MEL, official_mel
from aoide.nn import llama, token_lm
from aoide.nn.lengths import mask_from_lengths, mean_over_time
from aoide.nn.llama import Llama, Settings
from aoide.nn.official import adopt
from aoide.nn.token_lm import Sampling, Scored, TokenLM, to_front
from aoide.objectives import tokens as next_token

SPARE = 20  # rows of the table beyond both vocabularies; five of them are used
SAMPLING = Sampling(temperature=0.8, top_k=50, top_p=0.9)
_GOLDEN = 0.6180339887498949  # multiples of it, modulo 1, are far from any order
STYLE_MEL = MelConfig(
    sample_rate=16_000,
    n_fft=1920,
    hop=320,
    win=1920,
    n_mels=128,
    fmax=8_000,
    scale="slaney",
    norm="slaney",
    eps=1e-9,
    padding="same",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Style:
    """A network that listens to a mel and gives one vector of how somebody speaks."""

    mel: MelConfig = field(default_factory=lambda: STYLE_MEL)
    mel_mean: float = -4.92  # taken from every value of the mel
    mel_std: float = 8.14**0.5  # by which it is divided then
    dim: int = 1024
    layers: int = 6
    heads: int = 8


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """Settings; the defaults are those of PhoneToVq8192 (743 M parameters)."""

    sample_rate: int = 16_000  # Hz, of the sound that the codes were made from
    hop: int = 320  # samples of it a code
    symbols: int = 1024  # of what is said: phonemes, content codes, or both one after the other
    codes: int = 8192  # of how it is said
    dim: int = 1920
    layers: int = 12
    heads: int = 16
    hidden: int = 7680  # channels inside the MLP
    style: Style | None = None  # null = the prompt alone tells the style

    @property
    def frame_rate(self) -> float:
        """Codes a second."""
        return self.sample_rate / self.hop

    @property
    def settings(self) -> Settings:
        """Of the Llama."""
        return Settings(dim=self.dim, layers=self.layers, heads=self.heads, hidden=self.hidden, causal=True)


# ---------------------------------------------------------------------------------------------------------------- model


class StyleEncoder(nn.Module):
    """A mel, its frames out of order -> one vector: (batch, frames, mels) -> (batch, dim)."""

    def __init__(self, style: Style, dim: int) -> None:
        super().__init__()
        self.style = style
        wide = 4 * style.dim
        self.read = nn.Sequential(nn.Linear(style.mel.n_mels, wide), nn.SiLU(), nn.Linear(wide, style.dim))
        self.llama = Llama(Settings(dim=style.dim, layers=style.layers, heads=style.heads, hidden=wide, causal=False))
        self.tell = nn.Sequential(nn.Linear(style.dim, wide), nn.SiLU(), nn.Linear(wide, dim))

    def forward(self, mel: Tensor, mask: Tensor | None = None, order: Tensor | None = None) -> Tensor:
        """mel (batch, frames, mels), mask (batch, frames) with True = real -> (batch, dim).

        Args:
            order: (batch, frames), a number for each frame: they are heard in the order of it. None: in training a
                random one.
        """
        mask = torch.ones_like(mel[..., 0], dtype=torch.bool) if mask is None else mask
        if order is None:
            places = torch.arange(mel.shape[1], device=mel.device, dtype=torch.float64)
            order = torch.rand_like(mel[..., 0]) if self.training else (places * _GOLDEN % 1).expand(len(mel), -1)
        heard = order.masked_fill(~mask, torch.inf).argsort(dim=1)
        mask, x = mask.gather(1, heard), mel.gather(1, heard[..., None].expand_as(mel))
        x = self.read((x - self.style.mel_mean) / self.style.mel_std)
        return mean_over_time(self.tell(self.llama(x, mask)), mask)


class Model(nn.Module):
    """What is said -> codes of how it is said."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        both = config.symbols + config.codes
        self.pad, self.begin, self.end, self.begin_codes, self.end_codes = range(both, both + 5)
        self.lm = TokenLM(config.settings, both + SPARE)
        self.style = None if config.style is None else StyleEncoder(config.style, config.dim)
        self.family = next_token.Classes(both + SPARE)

    def forward(  # noqa: PLR0913  (the fields of a batch)
        self,
        tokens: Tensor,
        codes: Tensor,
        token_mask: Tensor | None = None,
        frame_mask: Tensor | None = None,
        mel: Tensor | None = None,
        mel_mask: Tensor | None = None,
    ) -> Scored:
        """How likely each code is after those before it, see `Scored`.

        Args:
            tokens: (batch, tokens), below `symbols`. token_mask: (batch, tokens), True = real.
            codes: (batch, frames, 1), below `codes`. frame_mask: (batch, frames).
            mel: (batch, mel frames, mels) of `config.style.mel`, where there is a style encoder, and its mel_mask.

        Raises:
            UserError: a mel that is lacking.
        """
        said, said_mask = self.said(tokens, token_mask)
        told, told_mask = self.told(codes[..., 0].long(), frame_mask)
        parts = [(self.lm.table(said), said_mask, torch.zeros_like(said), torch.zeros_like(said_mask))]
        if self.style is not None:
            vector = self._style(mel, mel_mask)
            one = said_mask[:, :1]
            parts.append((vector, torch.ones_like(one), torch.zeros_like(said[:, :1]), torch.zeros_like(one)))
        parts.append((self.lm.table(told), told_mask, told, told_mask))
        x, mask, targets, judged = (torch.cat(part, dim=1) for part in zip(*parts, strict=True))
        mask, x, targets, judged = to_front(mask, x, targets, judged)
        return Scored(self.lm(x[:, :-1], mask[:, :-1]), targets[:, 1:], judged[:, 1:])

    def said(self, tokens: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """tokens (batch, tokens) with a begin and an end as rows of the table, and their mask: (batch, tokens + 2)."""
        return token_lm.framed(tokens + self.config.codes, mask, self.begin, self.end, self.pad)

    def told(self, codes: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """codes (batch, frames) likewise."""
        return token_lm.framed(codes, mask, self.begin_codes, self.end_codes, self.pad)

    def _style(self, mel: Tensor | None, mask: Tensor | None) -> Tensor:
        assert self.style is not None
        if mel is None:
            raise UserError("this Vevo listens to a mel for the style, and there is none")
        return self.style(mel, mask)[:, None]

    @torch.no_grad()
    def speak(  # noqa: PLR0913  (what steers a speaker)
        self,
        tokens: Tensor,
        prompt: Tensor | None = None,
        mel: Tensor | None = None,
        *,
        sampling: Sampling = SAMPLING,
        least: int = 50,
        most: int = 2000,
        choose: token_lm.Choose | None = None,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Codes of how it is said: (frames, 1) int64.

        Args:
            tokens: (tokens,), what the prompt says and then what is to be said.
            prompt: (frames,) codes of somebody who says the beginning of it; None: the style comes from `mel`.
            mel: (1, frames, mels), where there is a style encoder.
            least, most: so many codes come.
            choose: draws in place of `sampling`.

        Raises:
            UserError: neither prompt nor mel, or numbers that are no tokens or codes.
        """
        if prompt is None and self.style is None:
            raise UserError("this Vevo needs codes of somebody's speech as a prompt")
        self._check(tokens, self.config.symbols, "tokens")
        rows = [self.said(tokens[None])[0]]
        start = [self.lm.table(rows[0])]
        if self.style is not None:
            start.append(self._style(mel, None))
        if prompt is not None:
            self._check(prompt, self.config.codes, "codes of the prompt")
            rows.append(self.told(prompt[None])[0][:, :-1])  # without an end
            start.append(self.lm.table(rows[1]))
        drawn = self.lm.go_on(
            torch.cat(start, dim=1),
            choose or sampling.chooser(generator),
            {self.end_codes},
            least=least,
            most=most,
            before=torch.cat(rows, dim=1)[0].tolist() if self.style is None else (),
        )
        codes = [code for code in drawn if code < self.config.codes]  # the beginning itself may be drawn, nothing else
        return torch.tensor(codes, dtype=torch.int64, device=tokens.device)[:, None]

    @staticmethod
    def _check(numbers: Tensor, count: int, what: str) -> None:
        if numbers.ndim != 1 or not len(numbers) or int(numbers.min()) < 0 or int(numbers.max()) >= count:
            raise UserError(f"{what} are a row of one number or more from 0 to {count - 1}")


def without_repetitions(codes: Tensor) -> Tensor:
    """codes (frames,) -> those that differ from the one before: what is said, without how long."""
    return torch.unique_consecutive(codes)


# ------------------------------------------------------------------------------------------------------------- training

TRAINING = next_token.Config()
LOSSES: dict[str, Any] = {}
NEEDS = ("tokens", "codes")
TOY = Config(sample_rate=800, hop=16, symbols=12, codes=16, dim=16, layers=1, heads=2, hidden=24)


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
    """Builds the model of a published checkpoint.

    Args:
        state: its state dict, with the original keys.
        config: the section `autoregressive_transformer` of its configuration, or the whole file, as a dict.

    Raises:
        UserError: a state that does not fit the configuration.
    """
    sizes = config.get("model", config)
    sizes = sizes.get("autoregressive_transformer", sizes)
    style = None
    if sizes.get("use_global_style_encoder"):
        inner = sizes["global_style_encoder"]
        style = Style(
            mel=_mel(config.get("preprocess", {}), inner["input_dim"]),
            mel_mean=config.get("preprocess", {}).get("mel_mean", 0.0),
            mel_std=config.get("preprocess", {}).get("mel_var", 1.0) ** 0.5,
            dim=inner["hidden_size"],
            layers=inner["num_hidden_layers"],
            heads=inner["num_attention_heads"],
        )
    own = Config(
        symbols=sizes["input_vocab_size"],
        codes=sizes["output_vocab_size"],
        dim=sizes["hidden_size"],
        layers=sizes["num_hidden_layers"],
        heads=sizes["num_attention_heads"],
        hidden=sizes["intermediate_size"],
        style=style,
    )
    model = Model(own)
    renamed = {f"lm.{key}": value for key, value in token_lm.official(state, own.settings, "model.").items()}
    head = "global_encoder."
    if model.style is not None:
        inside = {key.removeprefix(head): value for key, value in state.items() if key.startswith(head)}
        names = {"input_mlp": "read", "output_mlp": "tell"}
        of_llama = llama.official(inside, model.style.llama.settings)
        renamed |= {f"style.llama.{key}": value for key, value in of_llama.items()}
        for key, value in inside.items():
            part, _, rest = key.partition(".")
            if part in names:
                renamed[f"style.{names[part]}.{rest}"] = value
    known = ("model.model.", "model.lm_head.", *([head] if style else []))
    renamed |= {key: value for key, value in state.items() if not key.startswith(known)}
    return adopt(model, renamed, "checkpoint of Vevo's first stage")


def _mel(settings: Mapping[str, Any], bands: int) -> MelConfig:
    """The mel of the style encoder."""
    if settings.get("fmax", 0) > settings.get("sample_rate", MEL.sample_rate) / 2:
        raise UserError(
            "this checkpoint's style encoder hears bands above half the sample rate, which are not known here"
        )
    return official_mel(settings, bands)
