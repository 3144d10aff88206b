"""What the contract does not ask of content/phonemes and svc/harmonic: throats, pitch that is taken out, harmonics."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from aoide.audio.dynamics import over_time  # noqa: E402  (after the skip)
from aoide.audio.mel_config import MelConfig  # noqa: E402
from aoide.audio.spectrum import log_mel  # noqa: E402
from aoide.models.content import phonemes  # noqa: E402
from aoide.models.svc import harmonic  # noqa: E402

MEL = MelConfig()


def test_a_longer_throat_moves_what_stands_at_a_frequency() -> None:
    bands = torch.from_numpy(phonemes.bands(MEL)).float()
    assert bands[0] > 0 and bands[-1] < 12_000 and (bands.diff() > 0).all()
    peak = -0.5 * ((bands.log() - np.log(2000.0)) / 0.1) ** 2
    mel = peak.repeat(3, 4, 1)
    moved = phonemes._throat(mel, bands, torch.tensor([[0.8], [1.0], [1.25]]))
    torch.testing.assert_close(moved[1], mel[1], rtol=1e-4, atol=1e-3)
    for item, factor in zip(moved, (0.8, 1.0, 1.25), strict=True):
        assert bands[item[0].argmax()].item() == pytest.approx(2000 * factor, rel=0.04)


def test_disguise_follows_the_seed_and_keeps_to_the_floor() -> None:
    bands = torch.from_numpy(phonemes.bands(MEL)).float()
    mel = torch.full((4, 30, 100), -5.0)
    heard = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        heard.append(phonemes.disguised(mel, bands, MEL))
    assert torch.equal(heard[0], heard[1]) and not torch.equal(heard[0], heard[2])
    assert heard[0].shape == mel.shape and heard[0].min() >= MEL.silence - 1e-5 and torch.isfinite(heard[0]).all()


def test_labels_are_the_tokens_of_the_frames_and_silent_symbols_are_not_asked_for() -> None:
    tokens, durations = torch.tensor([[5, 16, 7, 0]]), torch.tensor([[2, 1, 3, 0]])
    assert phonemes.labels(tokens, durations, 8).tolist() == [[5, 5, 16, 7, 7, 7, 0, 0]]
    scores = torch.zeros(1, 6, 20)
    scores[0, :, 5] = torch.tensor([9.0, 9.0, 0.0, 0.0, 0.0, 0.0])
    scores[0, 3:, 7] = 9.0
    config = phonemes.Config(symbols=20, unheard=(16,))
    loss = phonemes.Places(config)(
        phonemes.Heard(scores, scores), {"tokens": tokens, "durations": durations, "frame_mask": torch.ones(1, 6) > 0}
    )
    assert loss < 0.01, "frame 2 says nothing of the space"


def pulses(hz: float, power: float = 1.0) -> np.ndarray:
    """A second of harmonics that grow weaker with the frequency."""
    time = np.arange(MEL.sample_rate) / MEL.sample_rate
    count = int(11_000 / hz)
    return sum(power**k * np.cos(2 * np.pi * k * hz * time) for k in range(1, count + 1)).astype(np.float32)


def test_the_envelope_has_no_pitch() -> None:
    """The same throat at two F0: as mels far apart, as envelopes alike, and smooth between the harmonics."""
    envelope = phonemes.Envelope(MEL)
    mels, smooth = [], []
    for hz in (180.0, 233.0):
        fall = np.exp(-hz / 1500)  # by frequency, not by number
        mel = torch.from_numpy(log_mel(pulses(hz, fall) * np.sqrt(hz).astype(np.float32), MEL)[40:50])
        mels.append(mel)
        smooth.append(envelope(mel, torch.full((10,), hz)))
    low = slice(6, 50)  # bands that tell one harmonic from the next
    assert (mels[0] - mels[1])[:, low].abs().mean() > 0.6
    assert (smooth[0] - smooth[1])[:, low].abs().mean() < 0.15
    assert smooth[0][:, low].diff(n=2).abs().mean() < 0.3 * mels[0][:, low].diff(n=2).abs().mean()


def test_the_envelope_of_silence_is_silence() -> None:
    silence = torch.full((1, 3, 100), MEL.silence)
    made = phonemes.Envelope(MEL)(silence, torch.tensor([[0.0, 100.0, 2000.0]]))
    assert torch.isfinite(made).all() and (made - MEL.silence).abs().max() < 3


@pytest.mark.parametrize("hz", [83.0, 220.0, 739.0])
def test_harmonics_stand_where_a_voice_of_this_f0_has_them(hz: float) -> None:
    """Above noise of the same power per Hz, which is an amplitude of 1 every F0."""
    noise = np.random.default_rng(0).normal(0, np.sqrt(MEL.sample_rate / 2 / (2 * hz)), 10 * MEL.sample_rate)
    heard = log_mel(pulses(hz), MEL)[40:50].mean(0)
    flat = np.log(np.exp(log_mel(noise.astype(np.float32), MEL)).mean(0))
    said = harmonic.Harmonics(harmonic.Config())(torch.tensor([[hz]]))[0, 0].numpy()
    clear = (heard > heard.max() - 4) & (phonemes.bands(MEL) < 10_000)
    assert clear.sum() > 20 and np.abs(said - (heard - flat))[clear].mean() < 0.2


def test_f0_beyond_the_table_takes_its_ends_and_unvoiced_is_noise() -> None:
    torch.manual_seed(0)
    model = harmonic.Model(harmonic.TOY).eval()
    batch = harmonic.example(harmonic.TOY, batch=1)
    batch.pop("mel")
    ends = [model(**batch | {"f0": torch.full((1, 20), hz)}).mel for hz in (1100.0, 1e4, 0.0)]
    assert torch.isfinite(ends[1]).all() and not torch.equal(ends[0], ends[2])


def test_peaks_make_formants_higher_in_use() -> None:
    torch.manual_seed(0)
    plain, sharp = (harmonic.Model(replace(harmonic.TOY, peaks=peaks)).eval() for peaks in (0.0, 0.5))
    with torch.no_grad():
        plain.envelope.bias += torch.tensor([0.0, 0, 0, 3, 0, 0, -3, 0, 0, 0])  # a formant and a valley
    sharp.load_state_dict(plain.state_dict())
    batch = harmonic.example(harmonic.TOY, batch=1)
    batch.pop("mel")
    made, higher = plain(**batch).mel, sharp(**batch).mel
    assert ((higher - made)[..., 3] > 0.5).all() and ((higher - made)[..., 6] < -0.5).all()
    sharp.train()
    torch.testing.assert_close(sharp(**batch).mel, made)


def test_a_mixture_of_one_is_that_singer() -> None:
    torch.manual_seed(0)
    model = harmonic.Model(harmonic.TOY).eval()
    batch = harmonic.example(harmonic.TOY, batch=2)
    batch.pop("mel")
    alone = model(**batch).mel
    batch.pop("speaker")
    shares = torch.eye(3)[:2]
    torch.testing.assert_close(model(**batch, mixture=shares).mel, alone)
    torch.testing.assert_close(model.convert(batch["content"], batch["f0"], batch["energy"], mixture=shares), alone)


def test_loudness_is_heard_over_a_time_alone_and_in_a_batch() -> None:
    config = replace(harmonic.TOY, loudness=0.006)  # 3 frames
    model = harmonic.Model(config).eval()
    energy = torch.rand(2, 40, generator=torch.Generator().manual_seed(0)) + 0.1
    mask = torch.arange(40) < torch.tensor([[40], [25]])
    heard = model._over_time(energy, mask)
    np.testing.assert_allclose(heard[0], over_time(energy[0].numpy(), 3.0), rtol=1e-4)
    np.testing.assert_allclose(heard[1, :25], over_time(energy[1, :25].numpy(), 3.0), rtol=1e-4)
    assert model.context == harmonic.Model(harmonic.TOY).context + 12
    torch.manual_seed(0)
    noisy = model.train()._over_time(energy, mask)
    assert (noisy >= heard - 1e-5).all() and (noisy > 1.1 * heard).any()
