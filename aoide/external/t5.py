"""T5: captions as rows of vectors, one for each piece of a word (Raffel et al. 2020, arXiv 1910.10683).

AudioLDM in Amphion's form reads captions with t5-base, TANGO with google/flan-t5-large, MusicGen with t5-base. The
weights come from a hub or a local folder, through transformers; no package carries them.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

import torch
from torch import Tensor

from aoide.external.weights import pretrained

SOURCE = "google-t5/t5-base"


class T5:
    """The encoder half of a T5, frozen.

    Args:
        source: a local folder or a hub name.
        longest: pieces of words that are read; what is beyond is left out.
        device: where it computes.

    Raises:
        UserError: neither a folder nor a hub has it. MissingExtra: transformers is not installed.
    """

    name = "t5"

    def __init__(
        self,
        source: str | os.PathLike[str] | None = None,
        *,
        longest: int = 512,
        device: str | torch.device = "cpu",
    ) -> None:
        source = source or SOURCE
        self.longest, self.device = longest, torch.device(device)
        self._tokenizer = pretrained("AutoTokenizer", source, "models")
        self._network = pretrained("T5EncoderModel", source, "models").to(self.device).requires_grad_(False)
        self.dim = int(self._network.config.d_model)

    @torch.no_grad()
    def encode(self, captions: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Captions -> (captions, pieces, dim) float32 and their mask (captions, pieces), True = real.

        An empty caption is the mark of the end alone: what guidance is held against.
        """
        tokens = self._tokenizer(
            list(captions), padding=True, truncation=True, max_length=self.longest, return_tensors="pt"
        ).to(self.device)
        rows = self._network(input_ids=tokens.input_ids, attention_mask=tokens.attention_mask).last_hidden_state
        mask = tokens.attention_mask.bool()
        return rows.float().masked_fill(~mask[..., None], 0.0), mask
