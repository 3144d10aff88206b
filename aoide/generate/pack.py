"""A trained vocoder or codec -> a folder that works without torch (see `generate/vocoder.py` and `generate/codec.py`).

The folder appears when it is proven: the graph gives what torch gives, to 1e-4, at two lengths.
"""

from __future__ import annotations

import inspect
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from aoide.config import UserError
from aoide.generate import codec as codec_runtime
from aoide.generate import vocoder as runtime
from aoide.generate.export import TOLERANCE, headed, to_onnx
from aoide.generate.packed import Packed, open_graph, sum_of, write
from aoide.generate.quantise import rounded, store_in_8_bits
from aoide.nn.fold import fold
from aoide.voices import DEFAULT_VOCODER

LENGTHS = (37, 80)  # frames of the examples that prove a graph


class Spectrum(nn.Module):
    """mel -> magnitude, phase: what a vocoder that ends in an inverse STFT computes before it."""

    def __init__(self, vocoder: Any) -> None:
        super().__init__()
        self.vocoder = vocoder

    def forward(self, mel: Tensor) -> tuple[Tensor, Tensor]:
        return self.vocoder.spectrum(mel)


class Waveform(nn.Module):
    """mel -> audio (batch, samples): any other feed-forward vocoder."""

    def __init__(self, vocoder: Any) -> None:
        super().__init__()
        self.vocoder = vocoder

    def forward(self, mel: Tensor) -> Tensor:
        return getattr(self.vocoder, "vocode", self.vocoder)(mel)


class Sourced(nn.Module):
    """mel, source -> audio (batch, samples): a vocoder that is given what is drawn, or runs through the sound."""

    def __init__(self, vocoder: Any) -> None:
        super().__init__()
        self.vocoder = vocoder

    def forward(self, mel: Tensor, source: Tensor) -> Tensor:
        return self.vocoder(mel, source=source)


class Filters(nn.Module):
    """mel, f0 -> lh, theta, lr, phi (batch, frames, bins): a vocoder that filters pulses and noise in the spectrum."""

    def __init__(self, vocoder: Any) -> None:
        super().__init__()
        self.vocoder = vocoder

    def forward(self, mel: Tensor, f0: Tensor) -> tuple[Tensor, ...]:
        return self.vocoder.filters(mel, f0).unbind(dim=2)


def export_vocoder(
    model: Any,
    target: Path,
    *,
    name: str,
    licence: str,
    summary: str = "",
    facts: Mapping[str, str] | None = None,
    polish: Sequence[int] | None = None,
    quantise: bool = False,
) -> runtime.Description:
    """Writes the vocoder folder `target`.

    Args:
        model: a trained vocoder that works in pieces; folded and changed by this.
        facts: for the card: heading -> Markdown; what is not there asks to be written.
        polish: Griffin-Lim steps of a spectrum, see `synthesis.griffin_lim`; None: as the model was trained.
        quantise: weights of 8 bits, stored so.

    Raises:
        UserError: a model that is no such vocoder, a target that exists, or a graph that differs from torch.
        MissingExtra: onnx or onnxscript is not installed.
    """
    config = model.config
    trained = getattr(config, "polish", 0)
    steps = tuple(polish if polish is not None else [trained] if trained else [])
    if any(steps) and (len(steps) % 2 == 0 or min(steps) < 0 or not steps[-1]):
        raise UserError(
            f"polish: steps of all, or of all, of the lower half, of all, the last above 0; not {list(steps)}"
        )
    if not hasattr(config, "mel") or not hasattr(model, "context"):
        raise UserError(f"{type(model).__module__}: only vocoders that work in pieces become a folder without torch")
    if hasattr(model, "source") and not hasattr(model, "source_form"):
        raise UserError(f"{type(model).__module__}: nothing makes its source without torch")
    kind, plain = _graph(fold(model))
    hop, n_fft = config.mel.hop, config.mel.n_fft
    if kind != "waveform" and (n_fft % hop or kind == "filters" and hop % 2):
        raise UserError(f"without torch n_fft is a multiple of the hop, and the hop even, not {n_fft} and {hop}")
    source = getattr(model, "source_form", None)
    with aside(target) as folder:
        path = folder / f"{runtime.FILE}.onnx"
        examples = [_example(model, kind, frames) for frames in LENGTHS]
        inputs = list(inspect.signature(plain.forward).parameters)
        write_graph(plain, path, inputs, runtime.KINDS[kind], examples, "frames", quantise=quantise)
        description = runtime.Description(
            name=name,
            summary=summary,
            licence=licence,
            sha256={path.name: sum_of(path)},
            kind=kind,
            mel=config.mel,
            context=_context(model, steps),
            polish=steps if kind == "istft" else (),
            source=source,
        )
        write(description, folder, runtime.FILE)
        (folder / "card.md").write_text(_card(description, runtime.FILE, facts or {}), "utf-8")
    return description


def export_codec(
    module: ModuleType,
    model: Any,
    target: Path,
    *,
    name: str,
    licence: str,
    summary: str = "",
    facts: Mapping[str, str] | None = None,
    quantise: bool = False,
) -> codec_runtime.Description:
    """Writes the codec folder `target` of a model file that has `ExportedEncoder` and `ExportedDecoder`.

    Arguments as of `export_vocoder`.

    Raises:
        UserError, MissingExtra: as `export_vocoder`.
    """
    if not hasattr(module, "ExportedEncoder"):
        raise UserError(
            f"{module.__name__}: a codec without ExportedEncoder and ExportedDecoder cannot be exported yet"
        )
    random = torch.Generator().manual_seed(0)
    mel = getattr(model, "mel", None)
    if mel is None:
        kind = "audio"
        sounds = [(0.1 * torch.randn(2, frames * model.hop, generator=random),) for frames in LENGTHS]
    else:
        kind = "mel"
        stride = model.hop // mel.hop  # frames of the mel that are one of the codec stand side by side
        sounds = [(_mel(mel, frames * stride).reshape(2, frames, -1),) for frames in LENGTHS]
    shape = (2, LENGTHS[0], model.codebooks)  # two items, so that the graph leaves their number open
    codes = [(torch.randint(model.cardinality, shape, generator=random),)]
    with aside(target) as folder:
        parts = (
            (module.ExportedEncoder(model), "encoder.onnx", kind, "codes", sounds),
            (module.ExportedDecoder(model), "decoder.onnx", "codes", kind, codes),
        )
        for plain, file, takes, gives, examples in parts:
            time = "samples" if takes == "audio" else "frames"
            write_graph(plain, folder / file, [takes], (gives,), examples, time, quantise=quantise)
        description = codec_runtime.Description(
            name=name,
            summary=summary,
            licence=licence,
            sha256={file: sum_of(folder / file) for _, file, *_ in parts},
            sample_rate=model.sample_rate,
            hop=model.hop,
            codebooks=model.codebooks,
            cardinality=model.cardinality,
            context=model.context,
            mel=mel,
            vocoder=DEFAULT_VOCODER if mel is not None else "",
        )
        write(description, folder, codec_runtime.FILE)
        (folder / "card.md").write_text(_card(description, codec_runtime.FILE, facts or {}), "utf-8")
    return description


def _card(of: Packed, task: str, facts: Mapping[str, str]) -> str:
    """The model card of a vocoder or a codec."""
    sums = "\n".join(f"- SHA-256 of {file}: `{value}`" for file, value in of.sha256.items())
    uses = {
        "vocoder": ('vocoder.resynth(aoide.Sound.load("in.wav")).save("copy.wav")', "resynth IN.wav"),
        "codec": ('codec.decode(codec.encode(aoide.Sound.load("in.wav"))).save("copy.wav")', "encode IN.wav"),
    }
    line, words = uses[task]
    known = {
        "Metadata": f"- Name: {of.name}\n- Kind: {task}\n- Made with: Aoide {of.aoide}\n{sums}",
        "Data": "Not stated. Say here what it was trained on, how much of it, and under which licence.",
        "Usage": f'```python\nimport aoide\n\n{task} = aoide.load("{of.name}")\n{line}\n```',
        "Demo": f"`aoide {words} --{task} {of.name} -o copies`",
        "Licence": of.licence,
        "Ethics": "What it makes is synthetic sound; Aoide writes that into the tags of every file. Do not make "
        "listeners believe that it is a recording.",
    }
    return headed(of.name, of.summary, {**known, **facts})


def write_graph(
    plain: nn.Module,
    path: Path,
    inputs: list[str],
    outputs: tuple[str, ...],
    examples: Sequence[tuple[Tensor, ...]],
    time: str,
    *,
    quantise: bool,
) -> None:
    """Writes a module as a graph and proves it.

    Args:
        inputs, outputs: their names in the graph.
        examples: inputs of several lengths, of two items each.
        time: what the graph calls the second axis of its inputs; "" = its size is fixed.
        quantise: weights of 8 bits, stored so.

    Raises:
        UserError: a graph that differs from torch. MissingExtra: onnx or onnxscript is not installed.
    """
    graph = (rounded(plain) if quantise else plain).eval()
    to_onnx(graph, examples[-1], inputs, outputs, path, time)
    prove(graph, path, inputs, outputs, examples)
    if quantise:
        store_in_8_bits(path)
        prove(graph, path, inputs, outputs, examples)


def prove(
    graph: nn.Module, path: Path, inputs: list[str], outputs: tuple[str, ...], examples: Sequence[tuple[Tensor, ...]]
) -> None:
    """Raises a UserError if the graph in `path` does not give what torch gives; of a phase the direction counts."""
    session = open_graph(path, sum_of(path), 1)
    for example in examples:
        feeds = {name: value.numpy() for name, value in zip(inputs, example, strict=True)}
        got = session.run(list(outputs), feeds)
        with torch.inference_mode():
            found = graph(*example)
        want = [value.numpy() for value in (found if isinstance(found, tuple) else (found,))]
        for name, a, b in zip(outputs, got, want, strict=True):
            if a.shape != b.shape:
                raise UserError(f"the exported graph differs from torch: {name} has shape {a.shape}, not {b.shape}")
            if a.dtype.kind == "i":
                worst = float((a != b).mean())
            else:
                turns = {"phase": lambda x: x, "theta": lambda x: np.pi * np.tanh(x)}.get(name)
                distance = np.abs(a - b) if turns is None else np.abs(np.exp(1j * turns(a)) - np.exp(1j * turns(b)))
                worst = float(np.max(distance / (1 + np.abs(b)), initial=0.0))
            if not worst <= TOLERANCE:
                raise UserError(
                    f"the exported graph differs from torch: {name} by {worst:.1e}, more than {TOLERANCE:g}"
                )


@contextmanager
def aside(target: Path) -> Iterator[Path]:
    """A folder beside `target` that becomes it when the block ends well."""
    if target.exists():
        raise UserError(f"{target}: exists already; give a new folder, or remove that one")
    if not target.parent.is_dir():
        raise UserError(f"{target}: there is no folder {target.parent}; make it first")
    aside = target.with_name(f".part-{os.getpid()}-{target.name}")
    try:
        aside.mkdir()
        yield aside
        os.rename(aside, target)
    except PermissionError:
        raise UserError(f"{target}: cannot be written: permission denied") from None
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _graph(model: Any) -> tuple[Literal["istft", "waveform", "filters"], nn.Module]:
    """The kind of a vocoder, and what of it becomes the graph."""
    if hasattr(model, "filters"):
        return "filters", Filters(model)
    if hasattr(model, "source"):
        return "waveform", Sourced(model)
    if hasattr(model, "spectrum") and getattr(model.config, "head", "istft") == "istft":
        return "istft", Spectrum(model)
    return "waveform", Waveform(model)


def _example(model: Any, kind: str, frames: int) -> tuple[Tensor, ...]:
    """Inputs of the graph; a third of the frames has no voice."""
    mel = _mel(model.config.mel, frames)
    if not hasattr(model, "source"):
        return (mel,)
    random = torch.Generator().manual_seed(frames)
    f0 = 100 + 300 * torch.rand(mel.shape[:2], generator=random)
    f0 = f0.masked_fill(torch.rand(f0.shape, generator=random) < 0.3, 0.0)
    if kind == "filters":
        return mel, f0
    known = {"mel": mel, "f0": f0, "generator": random}
    asked = inspect.signature(model.source).parameters
    with torch.inference_mode():
        return mel, model.source(**{key: value for key, value in known.items() if key in asked}).clone()


def _context(model: Any, steps: Sequence[int]) -> int:
    """With more Griffin-Lim steps than in training the sound of a frame depends on more frames around it."""
    trained = getattr(model.config, "polish", 0)
    mel = model.config.mel
    return model.context + max(0, sum(steps) - trained) * -(-mel.n_fft // mel.hop)


def _mel(mel: Any, frames: int) -> Tensor:
    random = torch.Generator().manual_seed(frames)
    return (
        torch.randn(2, frames, mel.n_mels, generator=random) - 4
    )  # two items, so that the graph leaves their number open
