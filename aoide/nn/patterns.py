"""In which order a language model says the codes of several books: layouts of frames over steps.

A layout is (steps, codebooks) int64: which frame of a codebook stands at a step, NOTHING where none does. The model
says at each step all that stand there, knowing the steps before. The order decides what a code may depend on:

    parallel    all codes of a frame at once: fast, and codes of a frame know nothing of each other
    delay       codebook k is k steps late: a code knows those above it, one step a frame (MusicGen)
    flat        one code a step: everything is known, codebooks times as many steps
    dual_track  two stems in turn, one code a step: voice, accompaniment, voice ... (YuE's first stage)
    levels      books of unlike rates: a block is said from the coarse to the fine, T M M B B B B (KaraSinger)
    mixed_dual  the mix first, one step ahead of the codes of both stems (LeVo, as one model)

Sources: delay and flat Copet et al. 2023, arXiv:2306.05284, section 2.2; dual track Yuan et al. 2025, arXiv:2503.08638;
levels Liao et al. 2022, arXiv:2110.04005; mixed and dual Lei et al. 2025, arXiv:2506.07520.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

NOTHING = -1


def parallel(frames: int, codebooks: int) -> Tensor:
    """All books at once."""
    return torch.arange(frames)[:, None].expand(frames, codebooks).clone()


def delay(frames: int, codebooks: int, late: Sequence[int] | None = None) -> Tensor:
    """Codebook k is late[k] steps late; None: k steps."""
    late = range(codebooks) if late is None else late
    if len(late) != codebooks or min(late) < 0:
        raise ValueError(f"{codebooks} codebooks are 0 or more steps late each, not {list(late)}")
    steps = frames + max(late)
    found = torch.arange(steps)[:, None] - torch.tensor(list(late))
    return found.masked_fill((found < 0) | (found >= frames), NOTHING)


def flat(frames: int, codebooks: int) -> Tensor:
    """One code a step, frame by frame."""
    return levels(frames, [1] * codebooks)


def dual_track(frames: int) -> Tensor:
    """Voice and accompaniment in turn."""
    return flat(frames, 2)


def levels(blocks: int, rates: Sequence[int]) -> Tensor:
    """One code a step; in each block so many of each book, one book after the other: rates (1, 2, 4) of three levels.

    Frames of book k count for themselves: there are blocks * rates[k].
    """
    if not rates or min(rates) < 1:
        raise ValueError(f"each book has 1 or more codes in a block, not {list(rates)}")
    a_block = [(book, number) for book, rate in enumerate(rates) for number in range(rate)]
    found = torch.full((blocks * len(a_block), len(rates)), NOTHING)
    for place, (book, number) in enumerate(a_block):
        found[place :: len(a_block), book] = torch.arange(blocks) * rates[book] + number
    return found


def mixed_dual(frames: int, codebooks: int) -> Tensor:
    """Book 0 is the mix; the others, those of the stems, follow a step later, each a step behind the one above."""
    return delay(
        frames, codebooks, [0, *(1 + (book - 1) % max(1, (codebooks - 1) // 2) for book in range(1, codebooks))]
    )


def lay(codes: Tensor, layout: Tensor, special: int) -> Tensor:
    """Codes by frame -> codes by step.

    Args:
        codes: (batch, frames, codebooks) int64; of books with fewer frames the rest is not looked at.
        layout: (steps, codebooks).
        special: stands where nothing does.

    Returns:
        (batch, steps, codebooks).
    """
    found = codes.gather(1, layout.clamp(min=0).to(codes.device).expand(len(codes), -1, -1))
    return found.masked_fill((layout == NOTHING).to(codes.device), special)


def gather(rows: Tensor, layout: Tensor) -> Tensor:
    """The way back: (batch, steps, codebooks) -> (batch, frames, codebooks); 0 where a book has fewer frames."""
    layout = layout.to(rows.device)
    frames = int(layout.max()) + 1
    found = rows.new_zeros(len(rows), frames + 1, rows.shape[2])
    places = layout.where(layout != NOTHING, layout.new_tensor(frames))  # what is nowhere goes into a row that is cut
    return found.scatter(1, places.expand(len(rows), -1, -1), rows)[:, :frames]


def real(layout: Tensor, frame_mask: Tensor) -> Tensor:
    """Which codes of a layout are real: frame_mask (batch, frames) -> (batch, steps, codebooks)."""
    layout = layout.to(frame_mask.device)
    seen = frame_mask[:, layout.clamp(min=0).flatten()].unflatten(1, layout.shape)
    return seen & (layout != NOTHING)
