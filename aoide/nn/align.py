"""A learned aligner: which token does each frame speak? Trained beside the model, no external aligner needed.

Text and mel are brought into one space; the closer the two codes, the likelier the pair. Two losses train it: the
forward sum (the likelihood of all monotonic paths from the first token to the last) and, so that the soft alignment
comes to agree with the hard one, the binarisation loss (the likelihood of the best path). A beta-binomial prior along
the diagonal makes the first steps easy. The best path, found by Viterbi search, gives the durations.

Badlani et al. 2021, "One TTS Alignment To Rule Them All" (arXiv:2108.10447); its losses and search are those of JETS
(Lim et al. 2022, arXiv:2203.16852), parity in tests/parity/test_fastspeech2.py. Three things differ from the published
code, since they decide how soon it learns: the scores are normalised after the prior is added (else CTC's blank
outweighs the tokens), a token's code comes from the token alone, and the binarisation loss gets little weight. Median
error of a boundary, in ms, on 8 minutes of speech with known durations, batches of 16 clips:

    after steps                                100    200
    as here, binarisation loss weighted 0.1     19     19
    scores not normalised after the prior      131     44
    convolution over three tokens               44     19
    binarisation loss weighted 1               231
    forward sum without the blank              231
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from aoide import trace
from aoide.config import UserError
from aoide.nn.conv import Conv1d
from aoide.nn.lengths import token_of_frame


class Alignment(NamedTuple):
    """What the aligner found.

    scores (batch, frames, tokens): the log-probability of each token given the frame; -inf at padded tokens.
    durations (batch, tokens): int64 frames a token on the best path, at least 1 at real tokens, 0 at padded ones.
    """

    scores: Tensor
    durations: Tensor


class Aligner(nn.Module):
    """Finds the durations of tokens in a mel.

    A token's code comes from the token alone: with its neighbours in view it can take the sound of one of them for its
    own.

    Args:
        text_dim: width of the tokens' codes.
        mels: bands of the mel.
        dim: width of the space in which the two meet.
    """

    def __init__(self, text_dim: int, mels: int, dim: int) -> None:
        super().__init__()
        self.text = nn.Sequential(nn.Linear(text_dim, dim), nn.ReLU(), nn.Linear(dim, dim))
        self.mel = nn.ModuleList([Conv1d(mels, dim, 3), Conv1d(dim, dim, 3), Conv1d(dim, dim, 1)])

    def forward(self, text: Tensor, mel: Tensor, token_mask: Tensor, frame_mask: Tensor) -> Alignment:
        """text (batch, tokens, text_dim), mel (batch, frames, mels), masks with True = real -> `Alignment`.

        Raises:
            UserError: an item has fewer frames than tokens.
        """
        scores = self.scores(text, mel, token_mask, frame_mask)
        durations = monotonic_search(scores, token_mask.sum(1), frame_mask.sum(1))
        if trace.active():
            trace.report("align/soft", scores.exp())
            trace.report("align/durations", durations)
        return Alignment(scores, durations)

    def scores(self, text: Tensor, mel: Tensor, token_mask: Tensor, frame_mask: Tensor) -> Tensor:
        """The scores of an `Alignment`: softmax over the tokens of minus the distance, times the prior, normalised."""
        for number, layer in enumerate(self.mel):
            mel = layer(mel if number == 0 else mel.relu(), frame_mask)
        distance = torch.cdist(mel.float(), self.text(text).float(), compute_mode="use_mm_for_euclid_dist")
        scores = beta_binomial(token_mask.sum(1), frame_mask.sum(1)) - distance
        return scores.log_softmax(2).masked_fill(~token_mask[:, None], -torch.inf)


def beta_binomial(token_lengths: Tensor, frame_lengths: Tensor) -> Tensor:
    """The prior of an alignment, given a frame's place alone: the log of a beta-binomial distribution (section 2.3).

    Frame t = 1 .. T of N tokens has alpha = t and beta = T - t + 1, so that the likeliest token moves along the
    diagonal, quite certainly at both ends and less so between. All terms are factorials of whole numbers, taken from
    one table. (The published code spreads the distribution over N + 1 outcomes, of which the last is no token.)

    Args:
        token_lengths, frame_lengths: (batch,) int64.

    Returns:
        (batch, frames, tokens) float32, -inf at padded tokens; padded frames are like the last one.
    """
    device = token_lengths.device
    there = torch.device("cpu") if device.type == "mps" else device  # Apple's GPUs lack 64 bits; large terms cancel
    tokens, frames = token_lengths.to(there), frame_lengths.to(there)
    size = int((tokens + frames).max())
    log_factorial = torch.from_numpy(np.cumsum(np.log(np.maximum(np.arange(size), 1)))).to(there)
    n, total = tokens[:, None, None] - 1, frames[:, None, None]
    place = torch.arange(int(tokens.max()), device=there)[None, None, :]
    k = place.minimum(n)
    t = torch.arange(1, int(frames.max()) + 1, device=there)[None, :, None].minimum(total)
    choose = log_factorial[n] - log_factorial[k] - log_factorial[n - k]
    above = log_factorial[k + t - 1] + log_factorial[n - k + total - t] - log_factorial[n + total]
    below = log_factorial[t - 1] + log_factorial[total - t] - log_factorial[total]
    return (choose + above - below).float().masked_fill(place > n, -torch.inf).to(device)


def forward_sum(scores: Tensor, token_mask: Tensor, frame_mask: Tensor, blank: float = -1.0) -> Tensor:
    """Minus the log-likelihood of all monotonic paths through the tokens (equation 5): a token's, then the items' mean.

    The sum is that of connectionist temporal classification (CTC) where each item spells 1, 2 .. N.

    Args:
        scores: (batch, frames, tokens), those of an `Alignment`.
        token_mask, frame_mask: (batch, tokens), (batch, frames), True = real.
        blank: the score of CTC's "no token", which the paper's sum does not have but its code does. Without it (-inf)
            training does not find the sounds.
    """
    tokens, frames = token_mask.sum(1), frame_mask.sum(1)
    finite = scores.float().clamp(min=-1e4)  # the gradient of CTC is NaN at -inf
    log_probability = functional.pad(finite, (1, 0), value=blank).log_softmax(2)
    spelling = torch.arange(1, scores.shape[2] + 1, device=scores.device).expand(len(scores), -1)
    return functional.ctc_loss(log_probability.transpose(0, 1), spelling, frames, tokens, zero_infinity=True)


def binarisation(scores: Tensor, durations: Tensor, frame_mask: Tensor) -> Tensor:
    """Minus the mean score along the best path (equation 8): a mean over an item's frames, then over the items."""
    token = token_of_frame(durations, scores.shape[1]).clamp(max=scores.shape[2] - 1)
    best = scores.gather(2, token[..., None]).squeeze(2).masked_fill(~frame_mask, 0.0)
    return -(best.sum(1) / frame_mask.sum(1)).mean()


def gaussian_scores(latent: Tensor, mean: Tensor, log_deviation: Tensor) -> Tensor:
    """How likely each frame is under the Gaussian of each token: Glow-TTS's scores for `monotonic_search`.

    Args:
        latent: (batch, frames, dim).
        mean, log_deviation: (batch, tokens, dim).

    Returns:
        (batch, frames, tokens) log densities, float32. Source: Kim et al. 2020, arXiv:2005.11129, section 3.
    """
    with torch.autocast(latent.device.type, enabled=False):  # large terms cancel
        latent, mean, log_deviation = latent.float(), mean.float(), log_deviation.float()
        precision = torch.exp(-2 * log_deviation)
        of_token = (-0.5 * math.log(2 * math.pi) - log_deviation - 0.5 * mean.square() * precision).sum(2)
        return of_token[:, None] - 0.5 * latent.square() @ precision.mT + latent @ (mean * precision).mT


def monotonic_search(scores: Tensor, token_lengths: Tensor, frame_lengths: Tensor) -> Tensor:
    """The durations of the likeliest path that begins at the first token, ends at the last and skips none (Viterbi).

    Runs in numpy over the whole batch at once, one round a frame: on a GPU too, since the rounds are too small for it.

    Args:
        scores: (batch, frames, tokens) log-likelihoods.
        token_lengths, frame_lengths: (batch,) int64.

    Returns:
        (batch, tokens) int64 frames on the device of `scores`, at least 1 at real tokens; each item sums to its frames.

    Raises:
        UserError: an item has fewer frames than tokens.
    """
    tokens, frames = token_lengths.cpu().numpy(), frame_lengths.cpu().numpy()
    if (short := np.flatnonzero(frames < tokens)).size:
        i = short[0]
        raise UserError(
            f"item {i} of the batch has {frames[i]} frames for {tokens[i]} tokens, and each token needs one: "
            "its text is not what is said, or the hop is too long"
        )
    moved = _forward(scores.detach().float().cpu().numpy())
    return torch.from_numpy(_backward(moved, tokens, frames)).to(scores.device)


def _forward(scores: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Whether the best path to each (frame, token) came from the token before: (frames, batch, tokens)."""
    batch, frames, tokens = scores.shape
    moved = np.zeros((frames, batch, tokens), bool)
    best = np.full((batch, tokens + 1), -np.inf)  # one column before the first token: nobody comes from there
    best[:, 1] = scores[:, 0, 0]
    for frame in range(1, frames):
        np.greater_equal(best[:, :-1], best[:, 1:], out=moved[frame])
        best[:, 1:] = np.maximum(best[:, :-1], best[:, 1:]) + scores[:, frame]
    moved[:, :, 0] = False
    return moved


def _backward(moved: NDArray[np.bool_], tokens: NDArray[np.int64], frames: NDArray[np.int64]) -> NDArray[np.int64]:
    """Follows the best path back from its end and counts the frames of each token: (batch, tokens)."""
    items = np.arange(len(tokens))
    durations = np.zeros(moved.shape[1:], np.int64)
    token = tokens - 1
    for frame in range(len(moved) - 1, -1, -1):
        inside = frame < frames
        durations[items, token] += inside
        token = token - (moved[frame, items, token] & inside)
    return durations
