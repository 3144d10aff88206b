"""A trained content encoder and a trained conversion -> a converter's folder (see `generate/converter.py`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from aoide.config import UserError
from aoide.generate import retrieval
from aoide.generate.converter import FILE, Description, Target
from aoide.generate.export import headed
from aoide.generate.pack import aside, write_graph
from aoide.generate.packed import sum_of, write
from aoide.voices import DEFAULT_VOCODER

LENGTHS = (37, 80)  # frames of the examples that prove a graph


class Ears(nn.Module):
    """mel, its frames side by side (batch, frames, stride * mels), f0 (batch, frames, stride) -> content likewise."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, mel: Tensor, f0: Tensor) -> Tensor:
        of = self.model.config
        return self.model.hear(self.model.envelope(mel.unflatten(-1, (of.stride, of.mel.n_mels)), f0)).flatten(2)


@dataclass(frozen=True, kw_only=True, slots=True)
class About:
    """What a converter says about itself and its models cannot know."""

    name: str
    licence: str
    singers: dict[str, Target]  # in the order of the conversion's table
    summary: str = ""
    facts: dict[str, str] = field(default_factory=dict)  # for the card: heading -> Markdown
    energy: Literal["bands", "spectrum"] = "spectrum"  # what the conversion was trained with; `aoide train`: spectrum
    vocoder: str = DEFAULT_VOCODER
    retrieval: float = 0.0  # unless told, where there are banks


def export_converter(
    content: Any,
    conversion: Any,
    target: Path,
    about: About,
    *,
    banks: Mapping[str, retrieval.Bank] | None = None,
    quantise: bool = True,
) -> Description:
    """Writes the converter folder `target`.

    Args:
        content: a trained `content/phonemes`.
        conversion: a trained `svc/harmonic` that was trained with its content.
        banks: frames that the singers sang, which the converted are brought near to.
        quantise: weights of 8 bits, stored so.

    Raises:
        UserError: two models that do not fit, a target that exists, or a graph that differs from torch.
        MissingExtra: onnx or onnxscript is not installed.
    """
    from aoide.models.svc.harmonic import Exported

    mel, of = content.config.mel, conversion.config
    if of.mel != mel or of.content != content.config.content:
        raise UserError("the conversion was not trained with this content encoder: mel or content differ")
    if len(about.singers) != of.speakers:
        raise UserError(f"the conversion has {of.speakers} singers, but {len(about.singers)} names are given")
    stride, random = content.config.stride, torch.Generator().manual_seed(0)

    def drawn(*shape: int) -> Tensor:
        return torch.rand(2, *shape, generator=random)  # two items, so that the graph leaves their number open

    heard = [(3 * drawn(n, stride * mel.n_mels) - 6, 500 * drawn(n, stride)) for n in LENGTHS]
    conditions = [
        (drawn(n, of.content) * 4 - 2, (600 * drawn(n) - 150).clamp(min=0), 9 * drawn(n), drawn(n, of.speakers))
        for n in LENGTHS
    ]
    parts = (
        (Ears(content), "content.onnx", ["mel", "f0"], "content", heard),
        (Exported(conversion), "mel.onnx", ["content", "f0", "energy", "mixture"], "mel", conditions),
    )
    with aside(target) as folder:
        for plain, file, takes, gives, examples in parts:
            write_graph(plain, folder / file, takes, (gives,), examples, "frames", quantise=quantise)
        files = [file for _, file, *_ in parts]
        if banks:
            retrieval.save(folder / retrieval.FILE, dict(banks))
            files.append(retrieval.FILE)
        description = Description(
            name=about.name,
            summary=about.summary,
            licence=about.licence,
            sha256={file: sum_of(folder / file) for file in files},
            retrieval=about.retrieval if banks else 0.0,
            mel=mel,
            content=of.content,
            stride=stride,
            context=content.context + conversion.context,
            energy=about.energy,
            loudness=of.loudness,
            singers=about.singers,
            vocoder=about.vocoder,
        )
        write(description, folder, FILE)
        (folder / "card.md").write_text(card(description, about.facts), "utf-8")
    return description


def card(of: Description, facts: Mapping[str, str]) -> str:
    """The model card of a converter; what is not known asks to be written."""
    sums = "\n".join(f"- SHA-256 of {file}: `{value}`" for file, value in of.sha256.items())
    singers = "\n".join(f"- Singer {name}: {who.about}, about {who.f0:.0f} Hz" for name, who in of.singers.items())
    known = {
        "Metadata": f"- Name: {of.name}\n- Kind: converter\n{singers}\n- Made with: Aoide {of.aoide}\n{sums}",
        "Data": "Not stated. Say here whose voices these are, how much of each was heard, and under which licence.",
        "Usage": f'```python\nimport aoide\n\nconverter = aoide.load("{of.name}")\n'
        'converter.convert(aoide.Sound.load("in.wav")).save("out.wav")\n```',
        "Demo": f"`aoide convert IN.wav --voice {of.name} -o OUT.wav`",
        "Licence": of.licence,
        "Ethics": "What it makes is synthetic sound, and the files say so in their tags. Convert only recordings that "
        "you may use. Say here whether those whose voices it has agreed to it.",
    }
    return headed(of.name, of.summary, {**known, **facts})
