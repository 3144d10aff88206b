"""One file per model, under its task: aoide/models/vocoder/vocos.py is `vocoder/vocos` (see find.py).

A model file offers, in this order:

    docstring       the idea, input -> output with shapes and units, paper, official code, checkpoints, how it differs
    Config          frozen, keyword-only, slotted dataclass; unless it needs no mel, its field `mel` is a MelConfig
    Model           nn.Module, Model(config); forward takes fields of a batch by name, gives a tensor or a NamedTuple
    TRAINING        the Config of its objective, with its settings
    LOSSES          name -> loss(output, batch), or a class that the objective builds with the model's Config
    NEEDS           the fields of a batch that the data must provide for training
    TOY             a Config that builds in less than a second
    example         example(config, batch, generator) -> a batch of random inputs and targets, for tests and export
    from_official   where weights were published: (state dict, config) of the original -> Model
    OFFICIAL_FILES  where they come in files of their own, or without a configuration: the names of the files

A batch is a dict of tensors, time before channels, masks bool with True = real. tests/contract holds files to this.

The package can be called: `aoide.models()` lists what `aoide.load` knows.
"""

from __future__ import annotations

import sys
from types import ModuleType


class _Callable(ModuleType):
    """Gives the package the call that its name promises; its modules stay where they are."""

    def __call__(self) -> list[str]:
        """The voices, vocoders and codecs of the package, then the models, by name; nothing is imported for it."""
        from aoide import voices
        from aoide.models import find

        return [name for kind in voices.KINDS for name in voices.names(kind)] + find.names()


sys.modules[__name__].__class__ = _Callable
