"""A torch codec, ours or one of the transformers library, with the surface of an exported one (`generate/codec.py`).

codec = TorchCodec(aoide.load("codec/dac", "weights_24khz_8kbps.pth"), "codec/dac")
codec = TorchCodec(aoide.external.codec("encodec"), "encodec")
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from aoide.config import UserError
from aoide.generate.codec import AnyCodec, Description

RECURRENT_CONTEXT = 4.0  # seconds to each side after which a recurrent network has all but forgotten


class TorchCodec(AnyCodec):
    """Any codec of models/codec or external/ that goes from sound to codes and back, with nothing beside.

    Args:
        model: the codec.
        name: what it is called; codes carry this name.
        vocoder: see `AnyCodec`.

    Raises:
        UserError: no codec, or one that needs more than the sound (semantic features) or the codes (a voice).
    """

    def __init__(self, model: Any, name: str, vocoder: str | None = None) -> None:
        if not hasattr(model, "cardinality") or not hasattr(model, "sample_rate"):
            raise UserError(f"{name} is not a codec of sound")
        for verb, call, known in (("encodes", model.encode, "audio"), ("decodes", model.decode, "codes")):
            asks = _asks_for(call)
            if asks != [known]:
                raise UserError(
                    f"{name} {verb} {' and '.join(asks)}, and here is only {known}: call the model itself, as "
                    f"{type(model).__module__} says"
                )
        context = round(RECURRENT_CONTEXT * model.frame_rate) if model.context is None else model.context
        description = Description(
            name=name,
            licence="that of its weights",
            sha256={},
            sample_rate=model.sample_rate,
            hop=model.hop,
            codebooks=model.codebooks,
            cardinality=model.cardinality,
            context=context,
            mel=getattr(model, "mel", None),
        )
        super().__init__(description, vocoder, threads=1)
        self.model = model.eval()

    @property
    def card(self) -> str:
        """What the model file says about itself; weights of one's own have no other card."""
        return f"# {self.name}\n\n{(sys.modules[type(self.model).__module__].__doc__ or '').strip()}\n"

    def _codes(self, rows: np.ndarray) -> np.ndarray:
        import torch

        with torch.inference_mode():
            codes = self.model.encode(torch.from_numpy(np.ascontiguousarray(rows.reshape(1, -1), np.float32)))
        return codes[0].numpy().astype(np.int32)

    def _decoded(self, codes: np.ndarray) -> np.ndarray:
        import torch

        with torch.inference_mode():
            return self.model.decode(torch.from_numpy(codes[None].astype(np.int64)))[0].float().numpy()


def _asks_for(call: Callable[..., Any]) -> list[str]:
    """The arguments that a call cannot do without."""
    return [p.name for p in inspect.signature(call).parameters.values() if p.default is p.empty]
