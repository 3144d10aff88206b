"""A trained vocoder or codec -> a folder that works without torch (see `generate/vocoder.py` and `generate/codec.py`).

The folder appears when it is proven: the graph gives what torch gives, to 1e-4, at two lengths.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from aoide.config import UserError
from aoide.generate import codec as codec_runtime
from aoide.generate import vocoder as runtime
from aoide.generate.export import TOLERANCE, to_onnx
from aoide.generate.packed import open_graph, sum_of, write
from aoide.generate.quantise import rounded, store_in_8_bits
from aoide.nn.fold import fold

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


def export_vocoder(
    model: Any,
    target: Path,
    *,
    name: str,
    licence: str,
    summary: str = "",
    card: str = "",
    polish: int | None = None,
    quantise: bool = False,
) -> runtime.Description:
    """Writes the vocoder folder `target`.

    Args:
        model: a trained vocoder of mels alone; folded and changed by this.
        card: Markdown; empty writes one that asks to be filled in.
        polish: Griffin-Lim steps of a spectrum; None: as the model was trained.
        quantise: weights of 8 bits, stored so.

    Raises:
        UserError: a model that is no such vocoder, a target that exists, or a graph that differs from torch.
        MissingExtra: onnx or onnxscript is not installed.
    """
    config = model.config
    steps = getattr(config, "polish", 0) if polish is None else polish
    spectral = hasattr(model, "spectrum") and getattr(config, "head", "istft") == "istft"
    if not hasattr(config, "mel") or not hasattr(model, "context") or hasattr(model, "source"):
        raise UserError(f"{type(model).__module__}: only vocoders that need a mel alone become a folder without torch")
    plain: nn.Module = Spectrum(fold(model)) if spectral else Waveform(fold(model))
    graph = (rounded(plain) if quantise else plain).eval()
    kind = "istft" if spectral else "waveform"
    with _aside(target) as folder:
        path = folder / f"{runtime.FILE}.onnx"
        examples = [(_mel(config.mel, frames),) for frames in LENGTHS]
        to_onnx(graph, examples[-1], ["mel"], runtime.KINDS[kind], path)
        prove(graph, path, ["mel"], runtime.KINDS[kind], examples)
        if quantise:
            store_in_8_bits(path)
            prove(graph, path, ["mel"], runtime.KINDS[kind], examples)
        description = runtime.Description(
            name=name,
            summary=summary,
            licence=licence,
            sha256={path.name: sum_of(path)},
            kind=kind,  # type: ignore[arg-type]
            mel=config.mel,
            context=_context(model, steps),
            polish=steps if spectral else 0,
        )
        write(description, folder, runtime.FILE)
        (folder / "card.md").write_text(card or f"# {name}\n\n{summary}\n\nLicence: {licence}\n", "utf-8")
    return description


def export_codec(
    module: ModuleType,
    model: Any,
    target: Path,
    *,
    name: str,
    licence: str,
    summary: str = "",
    card: str = "",
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
    sounds = [(0.1 * torch.randn(2, frames * model.hop, generator=random),) for frames in LENGTHS]
    shape = (2, LENGTHS[0], model.codebooks)  # two items, so that the graph leaves their number open
    codes = [(torch.randint(model.cardinality, shape, generator=random),)]
    with _aside(target) as folder:
        parts = (
            (module.ExportedEncoder(model), "encoder.onnx", "audio", "codes", sounds),
            (module.ExportedDecoder(model), "decoder.onnx", "codes", "audio", codes),
        )
        for plain, file, takes, gives, examples in parts:
            graph = (rounded(plain) if quantise else plain).eval()
            to_onnx(graph, examples[-1], [takes], [gives], folder / file)
            prove(graph, folder / file, [takes], (gives,), examples)
            if quantise:
                store_in_8_bits(folder / file)
                prove(graph, folder / file, [takes], (gives,), examples)
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
        )
        write(description, folder, codec_runtime.FILE)
        (folder / "card.md").write_text(card or f"# {name}\n\n{summary}\n\nLicence: {licence}\n", "utf-8")
    return description


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
                distance = np.abs(np.exp(1j * a) - np.exp(1j * b)) if name == "phase" else np.abs(a - b)
                worst = float(np.max(distance / (1 + np.abs(b)), initial=0.0))
            if not worst <= TOLERANCE:
                raise UserError(
                    f"the exported graph differs from torch: {name} by {worst:.1e}, more than {TOLERANCE:g}"
                )


@contextmanager
def _aside(target: Path) -> Iterator[Path]:
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


def _context(model: Any, steps: int) -> int:
    """With more Griffin-Lim steps than in training the sound of a frame depends on more frames around it."""
    trained = getattr(model.config, "polish", 0)
    mel = model.config.mel
    return model.context + max(0, steps - trained) * -(-mel.n_fft // mel.hop)


def _mel(mel: Any, frames: int) -> Tensor:
    random = torch.Generator().manual_seed(frames)
    return (
        torch.randn(2, frames, mel.n_mels, generator=random) - 4
    )  # two items, so that the graph leaves their number open
