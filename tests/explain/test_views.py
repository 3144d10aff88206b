"""The numbers behind the views."""

import numpy as np

from aoide.explain import views

RANDOM = np.random.default_rng(0)


def test_a_path_is_where_states_differ_most() -> None:
    way = np.linspace(0, 1, 20)[:, None] * RANDOM.normal(size=(1, 50)) * 10 + RANDOM.normal(size=(20, 50)) * 0.1
    found = views.path(way)
    assert found.points.shape == (20, 2) and np.abs(found.points).max() == 1.0
    assert found.shares[0] > 0.9 and found.shares[0] + found.shares[1] <= 1.0
    assert np.all(np.diff(found.points[:, 0]) > 0) or np.all(np.diff(found.points[:, 0]) < 0)
    assert views.path(np.zeros((4, 3))).points.tolist() == [[0, 0]] * 4


def test_distances_end_at_nothing() -> None:
    mels = np.cumsum(RANDOM.normal(size=(6, 30, 20)), axis=0)
    for values in (views.distance(mels, mels[-1]), views.cepstral(mels, mels[-1])):
        assert values.shape == (6,) and values[-1] == 0 and values[0] > values[-2] > 0
    louder = mels[-1] + np.log(10) / 20  # 1 dB
    assert np.allclose(views.distance(louder[None], mels[-1]), 1.0)
    assert np.allclose(views.cepstral(louder[None], mels[-1]), 0.0, atol=1e-6)  # loudness is left out
    error = views.error_map(mels, mels[-1], columns=10)
    assert error.shape == (6, 10) and not error[-1].any()


def test_the_line_from_steps_to_mels_is_found() -> None:
    x = RANDOM.normal(size=(40, 12)).astype(np.float32)
    slope, offset = RANDOM.uniform(2, 6, 12), RANDOM.normal(size=12) - 5
    mel = x * slope + offset
    mel[30:] = -11.5  # masked
    found = views.affine(x, mel)
    assert found is not None
    assert np.allclose(found[0], slope, rtol=3e-3) and np.allclose(found[1], offset, atol=5e-3)
    assert views.affine(x, RANDOM.normal(size=(40, 12))) is None
    assert views.affine(x, mel[:20]) is None


def test_steps_are_thinned_where_little_changes() -> None:
    assert views.thinned(5, 9) == [0, 1, 2, 3, 4]
    even = views.thinned(100, 9)
    assert len(even) == 9 and even[0] == 0 and even[-1] == 99 and max(np.diff(even)) - min(np.diff(even)) <= 1
    lengths = np.ones(99)
    lengths[50:] = 20
    late = views.thinned(100, 9, lengths)
    assert sum(step > 50 for step in late) > sum(step > 50 for step in even)


def test_runs_begin_where_steps_start_over() -> None:
    assert views.in_order([3, 2, 1, 0, 3, 2, 1, 0]) == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert views.in_order([0, 1, 0, 1, 2]) == [[0, 1], [2, 3, 4]]


def test_codes_certainty_and_pooling() -> None:
    codes = np.array([[0, 5], [0, 5], [1, 5], [1, 5]])
    assert views.code_use(codes, 8) == {"used": [0.25, 0.125], "perplexity": [2.0, 1.0]}
    token, chance, entropy = views.certainty(np.log([0.5, 0.25, 0.25]), 0)
    assert token == 0 and abs(chance - 0.5) < 1e-9 and abs(entropy - 1.5) < 1e-9
    matrix = np.arange(12.0).reshape(3, 4)
    assert views.pooled(matrix, 3, 2).tolist() == [[0.5, 2.5], [4.5, 6.5], [8.5, 10.5]]
    assert np.isclose(views.pooled(matrix, 2, 3).mean(), 5.5, atol=2)


def test_f0_is_compared_where_both_are_voiced() -> None:
    goal = np.where(np.arange(100) < 80, 200 + np.arange(100), 0.0)
    rmse, correlation, voicing = views.f0_differences(goal * 2 ** (1 / 12), goal)
    assert rmse is not None and abs(rmse - 100) < 1e-6 and correlation is not None and correlation > 0.999
    assert voicing == 0
    assert views.f0_differences(np.zeros(100), goal) == (None, None, 0.8)


def test_attention_comes_down_to_a_picture() -> None:
    torch = __import__("pytest").importorskip("torch")
    look = torch.rand(2, 6, 300, 200).softmax(-1)
    small = views.shrunk_attention(look, 4, 128)
    assert small.shape == (4, 128, 128) and small.dtype == np.float16
    plain = views.shrunk_attention(look.numpy(), 4, 128)
    assert abs(float(small.mean()) - float(plain.mean())) < 1e-4
