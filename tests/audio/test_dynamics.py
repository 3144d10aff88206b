from __future__ import annotations

import numpy as np

from aoide.audio.dynamics import over_time, window


def test_a_window_has_its_deviation() -> None:
    weights = window(6.0)
    places = np.arange(len(weights)) - len(weights) // 2
    assert len(weights) == 49 and np.isclose(weights.sum(), 1.0)
    assert np.isclose(np.sqrt((weights * places**2).sum()), 6.0, rtol=0.01)
    assert window(0.0).tolist() == [1.0]


def test_energy_over_a_time_is_a_mean_of_power() -> None:
    energy = np.tile([1.0, 3.0], 40)
    np.testing.assert_allclose(over_time(energy, 6.0)[24:-24], np.sqrt(5.0), rtol=1e-3)
    np.testing.assert_allclose(over_time(np.full(9, 2.0), 6.0), 2.0)  # shorter than the window, and at its ends
    np.testing.assert_allclose(over_time(energy, 0.0), energy)
