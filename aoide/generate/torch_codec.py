"""A torch codec, ours or one of the transformers library, with the surface of an exported one (`generate/codec.py`).

codec = TorchCodec(aoide.load("codec/dac", "weights_24khz_8kbps.pth"), "codec/dac")
codec = TorchCodec(aoide.external.codec("encodec"), "encodec")
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from aoide.config import UserError
from aoide.generate.codec import Codec


class TorchCodec(Codec):
    """Any codec of models/codec or external/ with the surface of an exported one."""

    def __init__(self, model: Any, name: str) -> None:
        if not hasattr(model, "cardinality") or not hasattr(model, "sample_rate"):
            raise UserError(f"{name} is not a codec of sound")
        self.model = model.eval()
        self.name = name
        self.sample_rate, self.hop = model.sample_rate, model.hop
        self.codebooks, self.cardinality = model.codebooks, model.cardinality

    def encode_stream(self, blocks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """See `Codec.encode_stream`."""
        import torch

        from aoide.models import codec as task

        pieces = (torch.from_numpy(np.ascontiguousarray(block))[None] for block in blocks if len(block))
        with torch.inference_mode():
            for codes in task.encode(self.model, pieces):
                yield codes[0].numpy().astype(np.int32)

    def decode_stream(self, pieces: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """See `Codec.decode_stream`."""
        import torch

        from aoide.models import codec as task

        with torch.inference_mode():
            for sound in task.decode(self.model, (torch.from_numpy(piece.astype(np.int64))[None] for piece in pieces)):
                yield sound[0].float().numpy()
