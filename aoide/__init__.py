"""Aoide turns any input into sound.

    import aoide

    aoide.load("en-heart").say("Any input becomes sound.").save("hello.wav")
    aoide.generate("Any input becomes sound.")      # the same in one call
    aoide.models()                                  # what can be loaded

This is the public door: what stands in `__all__` stays. Importing it loads nothing else; each name loads its part when
it is first used. `aoide.generate` and `aoide.models` are packages that can be called.
"""

from __future__ import annotations

from aoide.version import __version__

__all__ = ["Score", "Sound", "__version__", "generate", "load", "models", "trace"]

TYPE_CHECKING = False  # as typing.TYPE_CHECKING, without the import of typing
if TYPE_CHECKING:
    import os
    from pathlib import Path
    from typing import Any

    from aoide import generate, models, trace
    from aoide.audio.sound import Sound
    from aoide.score import Score


def load(
    name: str | os.PathLike[str],
    source: str | os.PathLike[str] | None = None,
    *,
    threads: int = 1,
    variance: str | os.PathLike[str] | None = None,
    vocoder: Any = None,
) -> Any:
    """Loads something that makes sound.

        load("en-heart")                       a voice of the package
        load("en-heart-song")                  a singer: .sing(aoide.Score.load("song.musicxml"))
        load("universal-24k")                  a vocoder of the package, or a codec
        load("exported/")                      what `aoide export` wrote
        load("runs/mine")                      a torch model with the weights of one's own run or checkpoint
        load("runs/diffsinger", variance="runs/variance")    a trained singer: .sing(score)
        load("vocoder/vocos", "vocos-24k/")    a torch model with published weights and their configuration
        load("vocoder/vocos", "hf:charactr/vocos-mel-24khz")    the same from the Hugging Face hub

    Args:
        name: a voice, singer, vocoder, codec or model, as `aoide models` lists them, or a folder.
        source: where a model's weights are: a folder of published weights, `hf:owner/name`, a run or a checkpoint.
            Everything else has its own.
        threads: of a voice, singer, vocoder or codec, for one call.
        variance: of a trained singer: the run of a model that fills in durations, pitch and curves.
        vocoder: likewise: what makes sound of its mel, loaded; None: one of the package that reads it.

    Returns:
        A `generate.voice.Voice`, `generate.singer.Singer`, `generate.vocoder.Vocoder` or `generate.codec.Codec`; a
        `generate.torch_singer.TorchSinger` for the run of a model of singing; or the `Model` of a model file in
        evaluation mode.

    Raises:
        UserError: a name that does not exist (names the near ones), or a source that cannot be used.
        MissingExtra: a model, without torch installed.
    """
    import os
    from pathlib import Path

    name = os.fspath(name)
    if source is not None:
        return _load_model(name, os.fspath(source))
    from aoide import voices
    from aoide.models import find

    if name not in voices.names() and _is_run(Path(name)):
        model = _load_run(Path(name))
        return _singer(Path(name), model, variance, vocoder)
    if name in find.names():
        from aoide.config import UserError

        raise UserError(
            f"{name} is a model and needs weights: aoide.load({name!r}, SOURCE), a run or a folder of published weights"
        )
    kind = voices.kind_of(name) or "voice"
    folder = voices.find(
        name, others=[*(n for k in voices.KINDS[1:] for n in voices.names(k)), *find.names()], kind=kind
    )
    import importlib

    return getattr(importlib.import_module(f"aoide.generate.{kind}"), kind.capitalize())(folder, threads)


def _load_model(name: str, source: str) -> Any:
    """The model `name` with weights from `source`, published or one's own."""
    from pathlib import Path

    from aoide.models import find

    module = find.find(name)
    if not _is_run(Path(source)):
        from aoide.generate import published

        return _ready(published.load(name, module, source))
    model = _load_run(Path(source))
    if not isinstance(model, module.Model):
        from aoide.config import UserError

        raise UserError(
            f"{source}: holds a {type(model).__module__.removeprefix('aoide.models.').replace('.', '/')}, not a {name}"
        )
    return model


def _is_run(folder: Path) -> bool:
    """Whether it looks like a run or a checkpoint of `aoide train`."""
    return any((folder / part).exists() for part in ("checkpoints", "state.json"))


def _load_run(run: Path) -> Any:
    """The model of a run or a checkpoint."""
    from aoide.config import require

    require("torch", "torch")
    from aoide.train.checkpoint import load_model

    return _ready(load_model(run)[1])


def _singer(run: Path, model: Any, variance: str | os.PathLike[str] | None, vocoder: Any) -> Any:
    """The model; one of singing, whose checkpoint says what its numbers mean, ready to be given scores."""
    from pathlib import Path

    if ".models.svs." not in type(model).__module__ or hasattr(model, "fill"):
        return model
    from aoide.generate.torch_singer import Table, TorchSinger
    from aoide.train.checkpoint import position

    if "symbols" not in position(run):
        return model
    filler = None
    if variance is not None:
        filler = (_load_run(Path(variance)), Table.read(position(Path(variance)), variance))
    return TorchSinger(model, Table.read(position(run), run), variance=filler, vocoder=vocoder, name=run.resolve().name)


def _ready(model: Any) -> Any:
    """The model, in use: a vocoder of mels then refuses those that are not its own."""
    import inspect

    from aoide.models import vocoder

    call = getattr(model, "vocode", None) or model.forward
    if ".vocoder." in type(model).__module__ and "mel" in inspect.signature(call).parameters:
        return vocoder.guarded(model)
    return model


def __getattr__(name: str) -> Any:
    if name == "Sound":
        from aoide.audio.sound import Sound

        return Sound
    if name == "Score":
        from aoide.score import Score

        return Score
    if name in ("generate", "models", "trace"):
        import importlib

        return importlib.import_module(f"aoide.{name}")
    raise AttributeError(f"module 'aoide' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
