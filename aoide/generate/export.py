"""A trained torch model -> the folder of a voice that speaks without torch (see `generate/folder.py`).

A model file that can become a voice offers `Exported(model)`: an nn.Module whose forward takes tokens, lengths, speed,
pitch and gives the outputs of one of the kinds of voices, in their order; the number of outputs tells the kind.

The folder appears when all of it is proven: the graph gives what torch gives (to 1e-4), alone and in a batch.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import logging
import os
import shutil
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from aoide.config import UserError, require
from aoide.generate import folder as voice_folder
from aoide.generate.folder import Description
from aoide.generate.quantise import rounded, store_in_8_bits
from aoide.generate.runtime import Request, Runtime
from aoide.generate.twostage import TwoStage
from aoide.version import __version__

TOLERANCE = 1e-4  # between torch and the exported graph, relative and absolute
COMPANY = 1e-5  # between a sentence alone and in a batch, in samples
OPSET = 20  # the first with Gelu as one operator
CARD_HEADINGS = ("Metadata", "Data", "Configuration", "Evaluation", "Usage", "Demo", "Licence", "Ethics")


@dataclass(frozen=True, kw_only=True, slots=True)
class About:
    """What a voice says about itself and its model cannot know."""

    name: str
    language: str
    symbols: dict[str, int]  # phoneme -> token
    licence: str
    summary: str = ""
    facts: dict[str, str]  # for the card: heading -> Markdown


def speaking(
    module: ModuleType, model: nn.Module, vocoder: nn.Module | None = None, speaker: int | None = None
) -> nn.Module:
    """The graph of a voice: the model file's `Exported`, or the model and a vocoder one after the other.

    Raises:
        UserError: the model needs a vocoder, or can do without, or the two do not fit.
    """
    name = module.__name__.removeprefix("aoide.models.").replace(".", "/")
    if hasattr(module, "Exported"):
        if vocoder is not None:
            raise UserError(f"{name} makes sound by itself; leave the vocoder out")
        return module.Exported(model)
    if vocoder is None:
        raise UserError(f"{name} does not turn text into sound by itself; name a vocoder of its mel: --vocoder RUN")
    return TwoStage(model, vocoder, speaker)


def export_voice(graph: nn.Module, frames: Any, about: About, target: Path, quantise: bool = False) -> Description:
    """Writes the voice folder `target`.

    Args:
        graph: what `speaking` gives: tokens, lengths, speed, pitch -> the outputs of one of the kinds of voices.
        frames: the config of the model that makes the sound, with `sample_rate`, `hop` and `n_fft`, or a `mel` that has
            them.
        quantise: round weights to 8 bits and store them so: a quarter of the size at the same speed.

    Returns:
        What `voice.json` says.

    Raises:
        UserError: the model cannot become a voice, the target exists or cannot be written, or the graph differs from
            torch.
        MissingExtra: onnx or onnxscript is not installed.
    """
    if target.exists():
        raise UserError(f"{target}: exists already; give a new folder, or remove that one")
    if not target.parent.is_dir():
        raise UserError(f"{target}: there is no folder {target.parent}; make it first")
    wrapper = (rounded(graph) if quantise else graph).eval()
    examples = _examples(max(about.symbols.values()))
    with torch.inference_mode():
        expected = [[value.numpy() for value in wrapper(*example)] for example in examples]
    aside = target.with_name(f".part-{os.getpid()}-{target.name}")
    try:
        aside.mkdir()
        kind = _kind(wrapper, len(expected[0]))
        to_onnx(wrapper, examples[0], voice_folder.INPUTS, voice_folder.OUTPUTS[kind], aside / "voice.onnx")
        description = _describe(frames, kind, about, aside)
        _compare(Runtime(aside), voice_folder.OUTPUTS[kind], examples, expected)
        if quantise:
            store_in_8_bits(aside / "voice.onnx")
            description = _rewrite(aside, description)
            _compare(Runtime(aside), voice_folder.OUTPUTS[kind], examples, expected)
        if not _keeps_company(Runtime(aside), examples[0]):
            description = _rewrite(aside, replace(description, max_batch=1))
        (aside / "card.md").write_text(card(description, about.facts), "utf-8")
        os.rename(aside, target)
    except PermissionError:
        raise UserError(f"{target}: cannot be written: permission denied") from None
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return description


def to_onnx(
    module: nn.Module,
    example: Sequence[Tensor],
    inputs: Sequence[str],
    outputs: Sequence[str],
    path: Path,
    time: str | Sequence[str] = "tokens",
) -> None:
    """Writes a module as one ONNX file whose inputs may be of any length.

    The first axis of every input is the batch. The second, of those that have one, is the time: tokens, frames or
    samples. Inputs whose time has the same name are equally long.

    Args:
        example: one value for each input; two items or more, so that the batch is left open.
        inputs, outputs: their names in the graph.
        time: what the graph calls the second axis; one name for all inputs, or one for each; "" = its size is fixed.

    Raises:
        MissingExtra: onnx or onnxscript is not installed.
    """
    require("onnx", "export")
    require("onnxscript", "export")
    names = [time] * len(example) if isinstance(time, str) else list(time)
    batch, times = torch.export.Dim("batch"), {name: torch.export.Dim(name) for name in names if name}
    axes = [
        {0: batch, 1: times[name]} if v.ndim > 1 and name else {0: batch}
        for v, name in zip(example, names, strict=True)
    ]
    with silence(), torch.inference_mode():
        torch.onnx.export(
            module,
            tuple(example),
            str(path),
            input_names=list(inputs),
            output_names=list(outputs),
            dynamic_shapes=tuple(axes),
            opset_version=OPSET,
            dynamo=True,
            external_data=False,
        )
    _forget_where(path)


def _forget_where(path: Path) -> None:
    """Takes from a graph what the exporter notes beside each node: source lines, with the paths of this machine."""
    onnx = require("onnx", "export")
    model = onnx.load(str(path))
    for part in (model, model.graph, *model.graph.node, *model.graph.value_info, *model.graph.initializer):
        for field in ("metadata_props", "doc_string"):
            part.ClearField(field)
    onnx.save(model, str(path))


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """Keeps from the user what the exporter says about itself: prints, warnings, that torchvision is missing."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def card(description: Description, facts: dict[str, str]) -> str:
    """The model card of a voice; what is not known asks to be written."""
    of = description
    known = {
        "Metadata": f"- Name: {of.name}\n- Language: {of.language}\n- Kind: {of.kind}, {of.sample_rate} Hz\n"
        f"- Made with: Aoide {of.aoide}\n- SHA-256 of the graph: `{of.sha256}`",
        "Data": "Not stated. Say here whose speech the voice learned from, how much of it, and under which licence.",
        "Usage": "```python\nimport aoide\n\n"
        f'aoide.load("{of.name}").say("Any input becomes sound.").save("hello.wav")\n```',
        "Demo": f'`aoide say "Any input becomes sound." --voice {of.name} -o hello.wav`',
        "Licence": of.licence,
        "Ethics": "What this voice says is synthetic speech; Aoide writes that into the tags of every file. Do not "
        "make listeners believe that a real person spoke. Say here whether the speaker agreed to the voice.",
    }
    return headed(of.name, of.summary, {**known, **facts})


def headed(name: str, summary: str, facts: dict[str, str]) -> str:
    """A model card with the eight headings of the Amphion paper: heading -> Markdown; what is missing says so."""
    missing = {"Evaluation": "Not measured."}
    sections = (
        f"## {heading}\n\n{facts.get(heading) or missing.get(heading, 'Not stated.')}\n" for heading in CARD_HEADINGS
    )
    return f"# {name}\n\n{summary}\n\n" + "\n".join(sections)


def _examples(highest: int) -> list[tuple[Tensor, Tensor, Tensor, Tensor]]:
    """Inputs to prove the graph with: two sentences of different lengths, one, and one with a single sound."""
    random = torch.Generator().manual_seed(0)
    examples = []
    for lengths in ([23, 17], [31], [3]):
        tokens = torch.randint(1, highest + 1, (len(lengths), max(lengths)), generator=random)
        tokens[:, 0] = 0
        for row, length in zip(tokens, lengths, strict=True):
            row[length - 1 :] = 0
        speed = 0.8 + 0.4 * torch.rand(len(lengths), generator=random)
        pitch = 4 * torch.rand(len(lengths), generator=random) - 2
        examples.append((tokens, torch.tensor(lengths), speed, pitch))
    return examples


def _kind(wrapper: nn.Module, outputs: int) -> str:
    for kind, names in voice_folder.OUTPUTS.items():
        if len(names) == outputs:
            return kind
    raise UserError(f"{type(wrapper).__module__}: Exported gives {outputs} outputs, which no kind of voice has")


def _describe(config: Any, kind: str, about: About, folder: Path) -> Description:
    """Writes `voice.json` for the graph in `folder`; frame settings are those of the model, or of its mel."""
    frames = getattr(config, "mel", config)
    description = Description(
        name=about.name,
        kind=kind,  # type: ignore[arg-type]
        language=about.language,
        sample_rate=frames.sample_rate,
        hop=frames.hop,
        n_fft=0 if kind == "waveform" else frames.n_fft,
        padding=getattr(frames, "padding", "center"),
        polish=() if kind != "istft" or not getattr(config, "polish", 0) else (config.polish,),
        symbols=about.symbols,
        summary=about.summary,
        licence=about.licence,
        sha256="",
        aoide=__version__,
    )
    return _rewrite(folder, description)


def _rewrite(folder: Path, description: Description) -> Description:
    """Writes `voice.json` with the sum of the graph as it is now."""
    description = replace(description, sha256=hashlib.sha256((folder / "voice.onnx").read_bytes()).hexdigest())
    voice_folder.write_description(folder, description)
    return description


def _compare(
    runtime: Runtime,
    names: Sequence[str],
    examples: Sequence[Sequence[Tensor]],
    expected: Sequence[Sequence[np.ndarray]],
) -> None:
    """Raises a UserError if the graph does not give what torch gave."""
    for example, wanted in zip(examples, expected, strict=True):
        outputs = runtime.outputs(*(value.numpy() for value in example))
        for name, want in zip(names, wanted, strict=True):
            got = outputs[name]
            if got.shape != want.shape:
                raise UserError(
                    f"the exported graph differs from torch: {name} has shape {got.shape}, not {want.shape}"
                )
            worst = float(np.max(np.abs(got - want) / (1 + np.abs(want)), initial=0.0))
            if not worst <= TOLERANCE:
                raise UserError(
                    f"the exported graph differs from torch: {name} by {worst:.1e}, more than {TOLERANCE:g}"
                )


def _keeps_company(runtime: Runtime, example: Sequence[Tensor]) -> bool:
    """Whether a sentence sounds the same alone and in a batch."""
    tokens, lengths, speed, pitch = (value.numpy() for value in example)
    requests = [Request(tokens[b, : lengths[b]], float(speed[b]), float(pitch[b])) for b in range(len(tokens))]
    together = runtime.run(requests)
    for request, in_batch in zip(requests, together, strict=True):
        alone = runtime.run([request])[0]
        if not np.array_equal(alone.durations, in_batch.durations):
            return False
        if np.max(np.abs(alone.samples - in_batch.samples), initial=0.0) > COMPANY:
            return False
    return True
