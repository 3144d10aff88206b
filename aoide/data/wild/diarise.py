"""Who speaks when: speaker vectors of short windows of speech, clustered.

Speech is cut into windows of about 1.5 s, Resemblyzer makes a vector of each, and the two groups of windows that are
most alike are joined until no two are alike enough (average linkage on the cosine). Groups of a few seconds join the
nearest large one, a window that stands alone between two of another speaker follows them.

Good for a few voices that take turns. It hears one voice at a time: where two speak at once, one gets it all. Emilia
uses pyannote 3.1 for this stage, whose weights need an account; with them, write a plug of your own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from aoide.audio.resample import resample
from aoide.data.wild import RATE, Reader, Span

_MOST = (
    1500  # windows that are clustered; of a longer recording as many, evenly spread, and the others go to the nearest
)
_SURE = 0.8  # seconds; a shorter window does not found a group


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    alike: float = 0.65  # cosine at which two groups of windows are one voice
    speakers: int | None = None  # how many there are, where that is known
    window: float = 1.5  # seconds, about
    min_seconds: float = 4.0  # a voice that is heard for less is taken for one of the others

    def __post_init__(self) -> None:
        if not 0 < self.alike < 1 or self.window < _SURE:
            raise ValueError(f"alike {self.alike} must lie between 0 and 1, window {self.window} be {_SURE} s or more")
        if self.speakers is not None and self.speakers < 1:
            raise ValueError(f"speakers {self.speakers} must be 1 or more")


class Voices:
    """Clusters speaker vectors.

    Args:
        embed: (samples,) at 16 kHz -> a vector; None: Resemblyzer's.

    Raises:
        MissingExtra: torch, or resemblyzer, which carries the weights, is not installed.
    """

    def __init__(self, config: Config, embed: Callable[[np.ndarray], np.ndarray] | None = None) -> None:
        self._config = config
        if embed is None:
            from aoide.external.resemblyzer import Resemblyzer  # torch: only where it is asked for

            embed = Resemblyzer().embed
        self._embed = embed

    def turns(self, sound: Reader, speech: Sequence[Span]) -> list[Span]:
        """See `aoide.data.wild.Diariser`; speakers are "1", "2" ... in the order in which they are first heard."""
        windows = [window for span in speech for window in _windows(span, self._config.window)]
        if not windows:
            return []
        vectors = np.stack([self._embed(resample(sound.read(w.start, w.end), RATE, 16000)) for w in windows])
        labels = _labels(vectors, np.array([w.seconds for w in windows]), self._config)
        names: dict[int, str] = {}
        for label in labels:
            names.setdefault(int(label), str(len(names) + 1))
        turns: list[Span] = []
        for window, label in zip(windows, labels, strict=True):
            who = names[int(label)]
            if turns and turns[-1].speaker == who and turns[-1].end == window.start:
                turns[-1] = turns[-1]._replace(end=window.end)
            else:
                turns.append(window._replace(speaker=who))
        return turns


def _windows(span: Span, seconds: float) -> list[Span]:
    """A stretch of speech in equal windows."""
    count = max(1, round(span.seconds / seconds))
    edges = np.linspace(span.start, span.end, count + 1).round().astype(int).tolist()
    return [Span(start, end) for start, end in pairwise(edges)]


def _labels(vectors: np.ndarray, seconds: np.ndarray, config: Config) -> np.ndarray:
    """The group of each window."""
    vectors = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
    sure = np.flatnonzero(seconds >= _SURE)
    if len(sure) == 0:
        sure = np.arange(len(vectors))
    sure = sure[np.linspace(0, len(sure) - 1, min(len(sure), _MOST)).round().astype(int)]
    groups = cluster(vectors[sure], config.alike, config.speakers)
    if config.speakers is None:
        groups = _large(groups, seconds[sure], config.min_seconds)
    centres = np.stack([vectors[sure[group]].mean(axis=0) for group in groups])
    centres /= np.maximum(np.linalg.norm(centres, axis=1, keepdims=True), 1e-9)
    labels = np.argmax(vectors @ centres.T, axis=1)
    for i in range(1, len(labels) - 1):  # one window among another speaker's is more often a slip than a word
        if labels[i - 1] == labels[i + 1] != labels[i] and seconds[i] < 2 * config.window:
            labels[i] = labels[i - 1]
    return labels


def cluster(vectors: np.ndarray, alike: float, groups: int | None = None) -> list[np.ndarray]:
    """Average linkage.

    Args:
        vectors: (windows, dim) of length 1.
        alike: the mean cosine between two groups at which they are one; not asked where `groups` is given.
        groups: how many there are to be.

    Returns:
        The windows of each group, the first heard first.
    """
    members = [[i] for i in range(len(vectors))]
    sums = vectors.astype(np.float64).copy()
    sizes = np.ones(len(vectors))
    similarity = sums @ sums.T
    np.fill_diagonal(similarity, -np.inf)
    for left in range(len(vectors), 1, -1):
        a, b = sorted(divmod(int(np.argmax(similarity)), len(vectors)))
        if left <= groups if groups is not None else similarity[a, b] < alike:
            break
        members[a] += members[b]
        members[b] = []
        sums[a] += sums[b]
        sizes[a] += sizes[b]
        open_ = np.isfinite(similarity[a])  # the groups that are left; -inf is itself or gone
        open_[b] = False
        row = np.where(open_, sums @ sums[a] / (sizes * sizes[a]), -np.inf)  # the mean cosine of all pairs
        similarity[a], similarity[:, a] = row, row
        similarity[b], similarity[:, b] = -np.inf, -np.inf
    return sorted((np.array(sorted(m)) for m in members if m), key=lambda group: int(group[0]))


def _large(groups: list[np.ndarray], seconds: np.ndarray, least: float) -> list[np.ndarray]:
    """Groups of `least` seconds or more; the longest alone if there is none."""
    lengths = [float(seconds[group].sum()) for group in groups]
    kept = [group for group, length in zip(groups, lengths, strict=True) if length >= least]
    return kept or [groups[int(np.argmax(lengths))]]
