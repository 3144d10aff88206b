"""Distances between sets: Gaussians of which theory knows the distance, and the bias of few clips."""

import math
import warnings
from collections.abc import Iterator

import numpy as np
import pytest

from aoide import metrics
from aoide.config import UserError
from aoide.metrics import embeddings, sets


@pytest.fixture(autouse=True)
def _few_clips_are_fine_here() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", sets.FewClips)
        yield


def normal(clips: int, mean: float | np.ndarray, spread: float | np.ndarray, dim: int, seed: int) -> np.ndarray:
    return mean + spread * np.random.default_rng(seed).standard_normal((clips, dim))


# ------------------------------------------------------------------------------------------------------------- Fréchet


def test_frechet_of_known_gaussians_is_the_closed_form() -> None:
    between = metrics.find("frechet_distance").between_gaussians
    # covariances that commute: |m|^2 + sum (s1 - s2)^2
    assert between(np.zeros(2), np.diag([1.0, 4.0]), np.array([3.0, 4.0]), np.diag([9.0, 4.0])) == pytest.approx(29.0)
    # and two that do not: tr A + tr B - 2 (sum of the roots of the eigenvalues of A B)
    a, b = np.array([[2.0, 1.0], [1.0, 2.0]]), np.array([[3.0, 0.0], [0.0, 1.0]])
    expected = 8.0 - 2.0 * np.sqrt(np.linalg.eigvals(a @ b)).sum().real
    assert between(np.zeros(2), a, np.zeros(2), b) == pytest.approx(expected)
    rotation = np.array([[0.6, -0.8], [0.8, 0.6]])
    assert between(np.zeros(2), rotation @ a @ rotation.T, np.zeros(2), rotation @ b @ rotation.T) == pytest.approx(
        expected
    )


def test_frechet_of_samples_nears_the_closed_form() -> None:
    first, second = normal(20000, 0.0, 1.0, 4, 0), normal(20000, 1.0, 2.0, 4, 1)
    assert metrics.frechet_distance(first, second) == pytest.approx(4 * 1 + 4 * 1, rel=0.03)
    assert metrics.frechet_distance(first, first) == pytest.approx(0.0, abs=1e-9)
    assert metrics.frechet_distance(first, second) == pytest.approx(metrics.frechet_distance(second, first))


def test_frechet_bears_embeddings_without_full_rank() -> None:
    flat = np.concatenate([normal(50, 0.0, 1.0, 8, 0), np.zeros((50, 56))], axis=1)  # 64 dimensions, 50 clips
    assert metrics.frechet_distance(flat, flat) == pytest.approx(0.0, abs=1e-6)
    assert metrics.frechet_distance(flat, flat + 1.0) == pytest.approx(64.0)


def test_the_correction_takes_the_bias_of_few_clips_away() -> None:
    """500 clips of 16 dimensions: the plain value is too high by about dim^2 / n and more, the corrected one is not."""
    plain, corrected = [], []
    for seed in range(6):
        first, second = normal(500, 0.0, 1.0, 16, 2 * seed), normal(500, 0.0, 1.0, 16, 2 * seed + 1)
        plain.append(metrics.frechet_distance(first, second))
        corrected.append(metrics.frechet_distance(first, second, corrected=True))
    assert np.mean(plain) > 0.1
    assert abs(np.mean(corrected)) < 0.35 * np.mean(plain)


def test_the_correction_is_the_same_for_the_same_seed() -> None:
    first, second = normal(300, 0.0, 1.0, 4, 0), normal(300, 0.5, 1.0, 4, 1)
    assert metrics.frechet_distance(first, second, corrected=True) == metrics.frechet_distance(
        first, second, corrected=True
    )
    fixed = metrics.frechet_distance(first, second, corrected=True, fixed_reference=True)
    assert fixed == pytest.approx(1.0, abs=0.5)


def test_few_clips_are_warned_of_and_bad_sets_are_errors() -> None:
    enough, few = normal(1000, 0.0, 1.0, 3, 0), normal(999, 0.0, 1.0, 3, 1)
    with pytest.warns(sets.FewClips, match="999 clips"):
        metrics.frechet_distance(enough, few)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        metrics.frechet_distance(enough, enough)
    with pytest.raises(UserError, match="no distribution"):
        metrics.frechet_distance(enough, few[:1])
    with pytest.raises(UserError, match="same network"):
        metrics.frechet_distance(enough, few[:, :2])
    with pytest.raises(UserError, match="NaN"):
        metrics.kernel_distance(enough, few * np.nan)


def test_amphion_turns_an_error_into_minus_one() -> None:
    amphion = metrics.find("frechet_distance").amphion
    first, second = normal(200, 0.0, 1.0, 3, 0), normal(200, 1.0, 1.0, 3, 1)
    assert amphion(first, second) == pytest.approx(metrics.frechet_distance(first, second))
    assert amphion(first, second[:, :2]) == -1.0


# -------------------------------------------------------------------------------------------------------------- kernel


def test_kernel_distance_of_gaussians_is_the_closed_form() -> None:
    """E exp(-|x - y|^2 / 2 s^2) of normal vectors is (s^2 / (s^2 + v))^(d/2) exp(-|m|^2 / 2 (s^2 + v))."""
    dim, width, shift = 3, 1.5, 0.8

    def mean(variance: float, offset: float) -> float:
        wide = width**2 + variance
        return (width**2 / wide) ** (dim / 2) * math.exp(-dim * offset**2 / (2 * wide))

    expected = mean(2.0, 0.0) + mean(8.0, 0.0) - 2 * mean(5.0, shift)
    first, second = normal(1500, 0.0, 1.0, dim, 0), normal(1500, shift, 2.0, dim, 1)
    assert metrics.kernel_distance(first, second, bandwidth=width) == pytest.approx(expected, abs=0.015)
    assert metrics.kernel_distance(first, second, bandwidth=width, scale=1000) == pytest.approx(
        1000 * metrics.kernel_distance(first, second, bandwidth=width)
    )


def test_the_polynomial_kernel_is_counted_pair_by_pair() -> None:
    first, second = normal(7, 0.0, 1.0, 2, 0), normal(5, 1.0, 1.0, 2, 1)

    def k(x: np.ndarray, y: np.ndarray) -> float:
        return float((x @ y / 2 + 1) ** 3)

    within = np.mean([k(a, b) for i, a in enumerate(first) for j, b in enumerate(first) if i != j])
    within2 = np.mean([k(a, b) for i, a in enumerate(second) for j, b in enumerate(second) if i != j])
    across = np.mean([k(a, b) for a in first for b in second])
    found = metrics.kernel_distance(first, second, kernel="polynomial")
    assert found == pytest.approx(within + within2 - 2 * across)


@pytest.mark.parametrize("kernel", ["gaussian", "polynomial"])
def test_kernel_distance_has_no_bias_of_few_clips(kernel: str) -> None:
    values = [
        metrics.kernel_distance(normal(40, 0.0, 1.0, 8, 2 * s), normal(40, 0.0, 1.0, 8, 2 * s + 1), kernel=kernel)
        for s in range(60)
    ]
    assert abs(np.mean(values)) < 3 * np.std(values) / math.sqrt(len(values))
    assert metrics.kernel_distance(normal(40, 0.0, 1.0, 8, 0), normal(40, 1.0, 1.0, 8, 1), kernel=kernel) > 0.05


def test_a_reference_without_spread_has_no_bandwidth() -> None:
    assert math.isnan(metrics.kernel_distance(np.ones((5, 2)), normal(5, 0.0, 1.0, 2, 0)))


# -------------------------------------------------------------------------------------------------------------- labels


def test_inception_score_of_known_labels() -> None:
    sure = np.eye(4)
    assert metrics.inception_score(sure) == pytest.approx(4.0)  # each clip one class, all classes alike
    assert metrics.inception_score(np.full((6, 4), 0.25)) == pytest.approx(1.0)  # nothing is recognised
    assert metrics.inception_score(np.tile(sure[:1], (6, 1))) == pytest.approx(1.0)  # always the same
    assert metrics.inception_score(np.tile(sure, (3, 1)), splits=3) == pytest.approx(4.0)
    assert metrics.inception_score(sure, splits=4) == pytest.approx(1.0)  # one clip at a time says nothing
    with pytest.raises(UserError, match="sum 1"):
        metrics.inception_score(2 * sure)


def test_kl_of_known_labels() -> None:
    p, q = np.array([[0.5, 0.5], [0.9, 0.1]]), np.array([[0.25, 0.75], [0.9, 0.1]])
    first = 0.5 * math.log(2) + 0.5 * math.log(2 / 3)
    assert metrics.kl(p, q) == pytest.approx(first / 2, abs=1e-4)
    assert metrics.kl(p, p) == 0.0
    assert metrics.kl(p, p[::-1]) > 0.1 and metrics.kl(p, p[::-1], paired=False) == pytest.approx(0.0, abs=1e-12)
    assert math.isfinite(metrics.kl(np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]])))
    with pytest.raises(UserError, match="as many"):
        metrics.kl(p, q[:1])


def test_diversity_of_known_vectors() -> None:
    assert metrics.diversity(np.eye(3)) == pytest.approx(1.0)  # at right angles
    assert metrics.diversity(np.array([[1.0, 0.0], [-2.0, 0.0]])) == pytest.approx(2.0)
    assert metrics.diversity(np.ones((4, 3)) * np.arange(1, 5)[:, None]) == pytest.approx(0.0, abs=1e-12)
    assert math.isnan(metrics.diversity(np.zeros((3, 2))))


def test_clap_score_of_known_vectors() -> None:
    assert metrics.clap_score(np.eye(2), 3 * np.eye(2)) == pytest.approx(1.0)
    assert metrics.clap_score(np.eye(2), np.eye(2)[::-1]) == pytest.approx(0.0)
    assert math.isnan(metrics.clap_score(np.eye(2), np.zeros((2, 2))))
    with pytest.raises(UserError, match="one row per clip"):
        metrics.clap_score(np.eye(2), np.eye(3))


# ---------------------------------------------------------------------------------------------------------- embeddings


class Loudness:
    """An embedder of two numbers a second."""

    name, rate = "loudness", 1000

    def embed(self, samples: np.ndarray) -> np.ndarray:
        seconds = samples[: len(samples) // 1000 * 1000].reshape(-1, 1000)
        return np.stack([seconds.mean(axis=1), seconds.std(axis=1)], axis=1)


def test_a_set_is_embedded_clip_by_clip_or_frame_by_frame() -> None:
    sounds = [np.full(3000, 0.5), np.zeros((2000, 2))]
    assert embeddings.embed_set(iter(sounds), Loudness(), 1000).tolist() == [[0.5, 0.0], [0.0, 0.0]]
    assert embeddings.embed_set(sounds, Loudness(), 1000, pooled=False).shape == (5, 2)
    assert embeddings.embed_set([np.zeros(48000)], Loudness(), 16000).shape == (1, 2)  # resampled
    with pytest.raises(UserError, match="empty set"):
        embeddings.embed_set([], Loudness(), 1000)


def test_an_unknown_embedding_names_the_near_ones() -> None:
    with pytest.raises(UserError, match="did you mean yamnet"):
        embeddings.embedder("yamnett")
    for name in ("vggish", "panns"):
        with pytest.raises(UserError, match="needs its weights as a local file"):
            embeddings.embedder(name)
    with pytest.raises(UserError, match="no such file"):
        embeddings.embedder("nowhere.onnx")
