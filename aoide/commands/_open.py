"""Vocoders and codecs by name, for the verbs: of the package, exported, a run, published weights, other people's."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aoide import voices
from aoide.config import UserError, require

if TYPE_CHECKING:
    from aoide.generate.codec import AnyCodec
    from aoide.generate.torch_vocoder import Copier


def torch_on(threads: int) -> Any:
    """torch, with so many processor threads.

    Raises:
        UserError: less than one. MissingExtra: it is not installed.
    """
    if threads < 1:
        raise UserError(f"--threads {threads}: 1 or more")
    torch = require("torch", "torch")
    torch.set_num_threads(threads)
    return torch


def open_vocoder(name: str, source: str | None = None, *, threads: int = 1, seed: int = 0) -> Copier:
    """A vocoder by name.

    Args:
        name: a vocoder of the package or the folder of one, a model (`vocoder/...`, with `source`), or a run.
        source: the weights of a model, as `aoide.load` takes them.
        seed: of vocoders that draw.

    Raises:
        UserError: no such vocoder, or something else.
    """
    from aoide.models import find

    if source is None and name not in find.names() and not (Path(name) / "checkpoints").exists():
        if voices.kind_of(name) in ("vocoder", None):
            from aoide.generate.vocoder import Vocoder

            return Vocoder(voices.find(name, others=find.names(), kind="vocoder"), threads, seed)
        raise UserError(f"{name} is a {voices.kind_of(name)}, not a vocoder")
    import aoide
    from aoide.generate.torch_vocoder import TorchVocoder

    torch_on(threads)
    return TorchVocoder(aoide.load(name, source), seed)


def add_codec(parser: argparse.ArgumentParser) -> None:
    """The options that the verbs of codecs share; `open_codec` takes their values."""
    parser.add_argument(
        "--codec",
        default=voices.DEFAULT_CODEC,
        metavar="NAME",
        help="one of the package, a folder of `aoide export`, a run, a model with --weights, or encodec, mimi, xcodec2 "
        "(default: %(default)s)",
    )
    parser.add_argument("--weights", metavar="SOURCE", help="of a model: a folder, a file, or hf:owner/name")
    parser.add_argument("--threads", type=int, default=1, metavar="N", help="processor threads (default: 1)")


def open_codec(name: str, source: str | None = None, *, threads: int = 1, vocoder: str | None = None) -> AnyCodec:
    """A codec by name.

    Args:
        name: a codec of the package or the folder of one, a model (`codec/...`, with `source`), a run, or one of
            `aoide.external.CODECS`.
        source: the weights of a model, as `aoide.load` takes them.
        vocoder: what makes the sound of a codec of mels, a vocoder of the package or the folder of one; None: its own.

    Raises:
        UserError: no such codec, or something else.
    """
    from aoide import external
    from aoide.models import find

    is_run = (Path(name) / "checkpoints").exists()
    if source is None and name not in (*find.names(), *external.CODECS) and not is_run:
        if voices.kind_of(name) in ("codec", None):
            from aoide.generate.codec import Codec

            folder = voices.find(name, others=[*find.names(), *external.CODECS], kind="codec")
            return Codec(folder, threads, vocoder)
        raise UserError(f"{name} is a {voices.kind_of(name)}, not a codec")
    torch_on(threads)
    import aoide
    from aoide.generate.torch_codec import TorchCodec

    model = external.codec(name, source) if name in external.CODECS else aoide.load(name, source)
    return TorchCodec(model, name, vocoder)
