"""Frames of a mel take the colour of the nearest frame of the singer; harmonics, loudness and silence stay."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from aoide.audio.envelope import envelope
from aoide.audio.mel_config import MelConfig
from aoide.config import UserError
from aoide.generate import retrieval
from aoide.generate.retrieval import Bank

MEL = MelConfig()
BANDS = np.arange(100)
# Two colours of the singer, dark and bright, and the same two as another one has them.
DARK, BRIGHT = -0.04 * BANDS, -0.04 * (99 - BANDS)
FORMANT = np.exp(-(((BANDS - 40) / 5.0) ** 2))


def frames(shapes: list[np.ndarray], each: int = 40, level: float = -3.0) -> np.ndarray:
    return level + np.repeat(np.stack(shapes), each, axis=0)


@pytest.fixture
def bank() -> Bank:
    mel = frames([DARK, BRIGHT, DARK - 9.0])
    return Bank.of(mel, np.repeat([200.0, 210.0, 200.0], 40), MEL, rows=60)


def test_a_bank_holds_loud_frames_without_their_level(bank: Bank) -> None:
    assert bank.shapes.shape == (60, 100) and np.abs(bank.shapes.mean(1)).max() < 1e-5
    assert np.ptp(bank.f0) == 10.0


def test_a_frame_takes_the_colour_of_the_nearest(bank: Bank) -> None:
    mel = frames([DARK + FORMANT, BRIGHT + FORMANT])
    f0 = np.full(80, 205.0)
    made = mel + bank.nearer(mel, f0, MEL)
    for rows, own in ((slice(10, 30), DARK), (slice(50, 70), BRIGHT)):
        before, after = (np.abs(retrieval.shape(x[rows] - own)).max() for x in (mel, made))
        assert before > 0.8 and after < 0.2
    np.testing.assert_allclose(made.mean(1), mel.mean(1), atol=1e-3)


def test_what_the_singer_never_sang_so_high_and_silence_stay(bank: Bank) -> None:
    mel = frames([DARK + FORMANT, DARK - 9.0])
    assert not bank.nearer(mel, np.full(80, 400.0), MEL).any()
    assert not bank.nearer(mel, np.zeros(80), MEL).any(), "there are no unvoiced frames in the bank"
    change = bank.nearer(mel, np.full(80, 205.0), MEL)
    assert np.abs(change[:36]).max() > 0.5 and not change[44:].any()


def test_banks_come_back(bank: Bank, tmp_path: Path) -> None:
    retrieval.save(tmp_path / "bank.npz", {"ann": bank})
    found = retrieval.load(tmp_path / "bank.npz", 100)
    assert list(found) == ["ann"] and np.abs(found["ann"].shapes - bank.shapes).max() <= retrieval.STEP / 2 + 1e-6
    np.testing.assert_allclose(found["ann"].f0, bank.f0)
    with pytest.raises(UserError, match="another mel"):
        retrieval.load(tmp_path / "bank.npz", 80)
    (tmp_path / "none.npz").write_bytes(b"no")
    with pytest.raises(UserError, match="no bank"):
        retrieval.load(tmp_path / "none.npz", 100)


def test_numpy_and_torch_smooth_alike() -> None:
    torch = pytest.importorskip("torch")
    from aoide.models.content.phonemes import Envelope

    random = np.random.default_rng(0)
    mel, f0 = random.normal(-5, 2, (30, 100)), np.where(np.arange(30) % 4, 90.0 * 1.1 ** np.arange(30), 0.0)
    want = Envelope(MEL)(torch.from_numpy(mel).float(), torch.from_numpy(f0).float()).numpy()
    np.testing.assert_allclose(envelope(mel, f0, MEL), want, atol=1e-4)
