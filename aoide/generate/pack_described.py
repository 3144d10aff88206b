"""A trained model of described sounds -> the folder that works without torch (see `generate/described.py`)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from aoide.config import UserError
from aoide.generate.described import FILE, Description
from aoide.generate.export import headed
from aoide.generate.pack import aside, write_graph
from aoide.generate.packed import sum_of, write
from aoide.models.tta import mel_dit
from aoide.text import captions
from aoide.text.wordvectors import words

THINGS = 600  # short captions that are written down at most
SEEN = 2  # captions in which a word stands before it counts as known


class Caption(nn.Module):
    """words, word_mask -> said (batch, dim), and what is said by no caption, likewise."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.encoder = model.caption

    def forward(self, words: Tensor, word_mask: Tensor) -> tuple[Tensor, Tensor]:
        said = self.encoder(words, word_mask)
        return said, torch.zeros_like(said) + self.encoder.unsaid


class Step(nn.Module):
    """noisy, time, said -> velocity."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, noisy: Tensor, time: Tensor, said: Tensor) -> Tensor:
        return self.model.velocity(noisy, time, said)


class Mel(nn.Module):
    """components -> mel."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, components: Tensor) -> Tensor:
        return self.model.restore(components)


class Components(nn.Module):
    """mel -> components."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, mel: Tensor) -> Tensor:
        patch = self.model.config.patch
        patches = mel.clamp(min=mel_dit.FLOOR).reshape(mel.shape[0], -1, patch * mel.shape[2])
        found = (patches - self.model.middle) @ self.model.components * self.model.weights
        return found.reshape(mel.shape[0], mel.shape[1], -1)


def known(told: Iterable[str], short: Iterable[str]) -> tuple[list[str], list[str]]:
    """The words of all captions that are not there by chance, and the short captions, each once."""
    seen = Counter(word for caption in told for word in set(words(caption)))
    return sorted(word for word, times in seen.items() if times >= SEEN), list(dict.fromkeys(short))[:THINGS]


@dataclass(frozen=True, kw_only=True, slots=True)
class About:
    """What a model of sounds says about itself and its weights cannot know."""

    name: str
    licence: str
    told: Iterable[str]  # the captions of training
    things: Iterable[str]  # short ones, of what it knows, that are named to users
    summary: str = ""
    guidance: float = 3.0  # where nobody says otherwise
    facts: Mapping[str, str] = field(default_factory=dict)  # for the card: heading -> Markdown


def export_described(model: Any, target: Path, about: About, *, quantise: bool = True) -> Description:
    """Writes the folder `target`.

    Args:
        model: a trained `tta/mel_dit`.
        quantise: weights of 8 bits, stored so.

    Raises:
        UserError: another kind of model, a target that exists, or a graph that differs from torch.
        MissingExtra: onnx or onnxscript is not installed.
    """
    if not isinstance(model, mel_dit.Model):
        raise UserError(f"{type(model).__module__}: only tta/mel_dit becomes a folder without torch")
    of, random = model.config, torch.Generator().manual_seed(0)
    known_words, known_things = known(about.told, about.things)
    numbers = [captions.batch(list(texts)) for texts in (("a", "a b c"), ("a trumpet plays a scale", "rain"))]
    asked = [(torch.from_numpy(rows), torch.from_numpy(mask)) for rows, mask in numbers]

    def drawn(*shape: int) -> Tensor:
        return torch.randn(shape, generator=random)

    walked = [(drawn(2, of.frames, of.values), drawn(2).sigmoid(), drawn(2, of.dim)) for _ in range(2)]
    there = [(drawn(2, places * of.patch, of.values),) for places in (1, 3)]
    mels = [(2 * drawn(2, places * of.patch, of.mel.n_mels) - 5,) for places in (1, 3)]
    with aside(target) as folder:
        parts = (
            (Caption(model), "caption.onnx", ["words", "word_mask"], ("said", "unsaid"), asked, "words"),
            (Step(model), "step.onnx", ["noisy", "time", "said"], ("velocity",), walked, ""),
            (Mel(model), "mel.onnx", ["components"], ("mel",), there, "frames"),
            (Components(model), "components.onnx", ["mel"], ("components",), mels, "frames"),
        )
        for plain, file, takes, gives, examples, time in parts:
            write_graph(plain, folder / file, takes, gives, examples, time, quantise=quantise)
        description = Description(
            name=about.name,
            summary=about.summary,
            licence=about.licence,
            sha256={file: sum_of(folder / file) for _, file, *_ in parts},
            mel=of.mel,
            frames=of.frames,
            patch=of.patch,
            floor=mel_dit.FLOOR,
            guidance=about.guidance,
            words=known_words,
            things=known_things,
        )
        write(description, folder, FILE)
        (folder / "card.md").write_text(card(description, about.facts), "utf-8")
    return description


def card(of: Description, facts: Mapping[str, str]) -> str:
    """The model card; what is not known asks to be written."""
    sums = "\n".join(f"- SHA-256 of {file}: `{value}`" for file, value in of.sha256.items())
    known = {
        "Metadata": f"- Name: {of.name}\n- Kind: sounds from captions\n- Made with: Aoide {of.aoide}\n{sums}",
        "Data": f"Not stated. It knows {len(of.words)} words. Say here what it heard, how much, under which licence.",
        "Usage": f'```python\nimport aoide\n\naoide.load("{of.name}").make("a caption").save("sound.wav")\n```',
        "Demo": f'`aoide sound "a caption" --model {of.name} -o sound.wav`',
        "Licence": of.licence,
        "Ethics": "What it makes is synthetic, and the files say so in their tags. Do not make listeners believe that "
        "it was recorded.",
    }
    return headed(of.name, of.summary, {**known, **facts})
