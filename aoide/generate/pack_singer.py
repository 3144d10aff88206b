"""A trained model of singing -> a singer's folder, which works without torch (see `generate/singer.py`).

Two graphs can become singers: that of `svs/xiaoicesing`, which learned from songs, and a speaking voice, `SpeechSings`,
that is made to sing: it says its vowels as it would in speech, as far as the middle, stays there, and goes on when the
note ends.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from aoide.config import UserError
from aoide.generate.export import headed, to_onnx
from aoide.generate.pack import aside, prove
from aoide.generate.packed import sum_of, write
from aoide.generate.quantise import rounded, store_in_8_bits
from aoide.generate.sing import unvoiced
from aoide.generate.singer import FILE, INPUTS, OUTPUTS, Description
from aoide.generate.torch_singer import RESTS, Table
from aoide.nn.lengths import token_of_frame

SPOKEN = (7.0, 14.0)  # frames that a vowel has at least and at most as if it were spoken
HOLD, HOLD_GLIDE = 0.5, 0.3  # where in it the voice stays: in the middle, or early where the vowel goes on to another
HUSH, HUSH_BELOW = 6.0, 5000.0  # nats by which the rest of a held vowel is softer at 0 Hz, and where that ends: what
# stands there completes harmonics in speech, with phases that held frames do not have
SPAN = (48, 77)  # MIDI numbers of a singer whose songs had no notes written down
DRIFT = 0.06  # of the vowel that passes while it is held, so that it is not frozen


class SpeechSings(nn.Module):
    """The graph of a singer made of a speaking voice of `tts/fastspeech2s`.

    Args:
        model: the voice's model.
        vowels: tokens that are held, with whether they glide to another vowel.
    """

    softer: Tensor
    held: Tensor
    hold: Tensor

    def __init__(self, model: Any, vowels: Mapping[int, bool]) -> None:
        super().__init__()
        self.model = model
        held, hold = torch.zeros(model.config.symbols), torch.full((model.config.symbols,), HOLD)
        for token, glides in vowels.items():
            held[token], hold[token] = 1.0, HOLD_GLIDE if glides else HOLD
        bins = model.config.n_fft // 2 + 1
        softer = HUSH * (1 - torch.linspace(0, model.config.sample_rate / 2, bins) / HUSH_BELOW).clamp(min=0)
        self.register_buffer("softer", softer, persistent=False)
        self.register_buffer("held", held, persistent=False)
        self.register_buffer("hold", hold, persistent=False)

    def forward(self, tokens: Tensor, durations: Tensor, f0: Tensor) -> tuple[Tensor, ...]:
        """tokens, durations (1, tokens), f0 (1, frames) -> lh, theta, lr, phi (1, frames, bins), drawn (1, frames)."""
        voice, mask = self.model, torch.ones_like(tokens, dtype=torch.bool)
        text = voice.encoder_norm(voice.encoder(voice.embed(tokens), mask))
        spoken = (voice.duration_out(voice.duration(text, mask)).squeeze(-1).exp() - 1).clamp(*SPOKEN)
        sung = durations.to(f0.dtype)
        natural = torch.where(self.held[tokens] > 0, torch.minimum(spoken, sung), sung)
        frames = torch.arange(f0.shape[1], device=f0.device)
        owner = token_of_frame(durations, f0.shape[1]).clamp(max=tokens.shape[1] - 1)
        ends = durations.cumsum(dim=1)
        since = (frames - (ends - durations).gather(1, owner)).to(f0.dtype)
        length, own = natural.gather(1, owner), sung.gather(1, owner)
        place, still = _warp(since, length, own, self.hold[tokens].gather(1, owner))
        x = text.gather(1, owner[..., None].expand(-1, -1, text.shape[-1]))
        told = [
            (place + 0.5) / length.clamp(min=1) - 0.5,
            place.clamp(max=20) / 10 - 0.5,
            length.clamp(min=1).log() - 1.5,
        ]
        x = torch.cat([x, torch.stack(told, dim=-1)], dim=-1)
        lh, theta, lr, phi = voice.decode(x, f0, torch.ones_like(f0, dtype=torch.bool)).unbind(dim=2)
        return lh, theta, lr - still[..., None] * self.softer, phi, still


def _warp(since: Tensor, length: Tensor, own: Tensor, hold: Tensor) -> tuple[Tensor, Tensor]:
    """Frames since the beginning of a sung vowel -> of a spoken one; and 1 where it is held.

    The first part runs as in speech, so does the last; between them the place creeps by DRIFT.
    """
    attack = (hold - DRIFT / 2) * length
    release = length - attack - DRIFT * length
    middle = (own - attack - release).clamp(min=1e-3)
    creep = attack + DRIFT * length * ((since - attack) / middle).clamp(0, 1)
    late = length - (own - since)
    place = torch.where(since < attack, since, torch.where(since > own - release, late, creep))
    stretched = own > length + 0.5
    place = torch.where(stretched, place, since)
    still = stretched & (since >= attack) & (since <= own - release)
    return place, still.to(since.dtype)


def described(
    config: Any, table: Table, name: str, *, language: str = "", licence: str, summary: str = ""
) -> Description:
    """What `singer.json` shall say of a model of svs/xiaoicesing.

    Args:
        table: of its checkpoint; a phoneme with its language before it goes by both names.
        language: of the lyrics, one of the table's; "" = the first.

    Raises:
        UserError: a language that the singer did not learn.
    """
    language = language or table.languages[0]
    if language not in table.languages:
        raise UserError(f"the singer learned {', '.join(table.languages)}, not {language}")
    numbers = {symbol: number for number, symbol in enumerate(table.symbols, 1)}
    own = f"{language}/"
    symbols = {
        symbol.removeprefix(own): number for symbol, number in numbers.items() if symbol.startswith(own)
    } | numbers
    low, high = table.span or SPAN
    return Description(
        name=name,
        language=language,
        summary=summary,
        licence=licence,
        sha256={},
        sample_rate=config.sample_rate,
        hop=config.hop,
        symbols=symbols,
        unvoiced=tuple(symbol for symbol in symbols if unvoiced(symbol, language)),
        low=low,
        high=high,
        rest=next((symbol for symbol in RESTS if symbol in symbols), ""),
    )


def export_singer(
    graph: nn.Module,
    about: Description,
    target: Path,
    *,
    facts: Mapping[str, str] | None = None,
    quantise: bool = True,
) -> Description:
    """Writes the singer's folder `target`.

    Args:
        graph: tokens, durations, f0 -> what `generate/singer.py` says.
        about: what `singer.json` shall say; the sums are filled in.
        facts: for the card: heading -> Markdown; what is not there asks to be written.
        quantise: weights of 8 bits, stored so.

    Raises:
        UserError: a target that exists, or a graph that differs from torch.
        MissingExtra: onnx or onnxscript is not installed.
    """
    module = (rounded(graph) if quantise else graph).eval()
    examples = [_example(about, lengths) for lengths in ((3, 9, 14, 6, 40, 5), (4, 30, 11))]
    with aside(target) as folder:
        path = folder / f"{FILE}.onnx"
        to_onnx(module, examples[0], INPUTS, OUTPUTS, path, time=("tokens", "tokens", "frames"))
        prove(module, path, list(INPUTS), OUTPUTS, examples)
        if quantise:
            store_in_8_bits(path)
            prove(module, path, list(INPUTS), OUTPUTS, examples)
        description = replace(about, sha256={path.name: sum_of(path)})
        write(description, folder, FILE)
        (folder / "card.md").write_text(_card(description, facts or {}), "utf-8")
    return description


def _example(about: Description, lengths: Sequence[int]) -> tuple[Tensor, Tensor, Tensor]:
    """Two items of like length, so that the graph leaves their number open; a third of the frames has no voice."""
    random = torch.Generator().manual_seed(len(lengths))
    known = torch.tensor(sorted(set(about.symbols.values())))
    tokens = known[torch.randint(len(known), (2, len(lengths)), generator=random)]
    durations = torch.tensor([list(lengths), list(lengths)[::-1]])
    f0 = 150 + 300 * torch.rand(2, sum(lengths), generator=random)
    return tokens, durations, f0.masked_fill(torch.rand(f0.shape, generator=random) < 0.3, 0.0)


def _card(of: Description, facts: Mapping[str, str]) -> str:
    known = {
        "Metadata": f"- Name: {of.name}\n- Language: {of.language}\n- Kind: singer, {of.sample_rate} Hz\n"
        f"- Made with: Aoide {of.aoide}\n- SHA-256 of the graph: `{of.sha256[f'{FILE}.onnx']}`",
        "Usage": f'```python\nimport aoide\n\nscore = aoide.Score.load("song.musicxml")\n'
        f'aoide.load("{of.name}").sing(score).save("song.wav")\n```',
        "Demo": f"`aoide sing song.musicxml --voice {of.name} -o song.wav`",
        "Licence": of.licence,
        "Ethics": "What this voice sings is synthetic; Aoide writes that into the tags of every file. Do not make "
        "listeners believe that a real person sang.",
    }
    return headed(of.name, of.summary, {**known, **facts})
