"""Recordings that a voice is taken from: what is done to them, and what is refused."""

import numpy as np
import pytest

from aoide.audio import vad
from aoide.audio.sound import Sound
from aoide.config import UserError
from aoide.generate import prompt

RATE = 8000


@pytest.fixture(autouse=True)
def by_energy(monkeypatch: pytest.MonkeyPatch) -> None:
    """The small detector, which needs no package; these sounds are no speech."""
    monkeypatch.setattr(prompt.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(vad, "detector", lambda name=None: vad.Energy())


def talk(*lengths: float, quiet: float = 0.5) -> Sound:
    """Stretches of noise of these seconds with pauses between, before and after."""
    draw = np.random.default_rng(0)
    parts = [np.zeros(round(quiet * RATE), np.float32)]
    for length in lengths:
        noise = draw.standard_normal(round(length * RATE)) * np.hanning(round(length * RATE)).clip(0.02)
        parts += [0.1 * noise.astype(np.float32), parts[0]]
    return Sound(np.concatenate(parts), RATE)


def test_silence_at_the_edges_goes() -> None:
    heard, remarks = prompt.prepare(talk(2.0), "x.wav", most=10)
    assert 1.8 < heard.seconds < 2.1 and remarks == []
    assert prompt.edges(np.zeros(800, np.float32), RATE) == (0, 0)


def test_a_long_recording_is_cut_at_a_pause() -> None:
    heard, remarks = prompt.prepare(talk(2.0, 2.0, 2.0), "x.wav", most=6.0)
    assert 4.2 < heard.seconds < 4.7
    assert remarks[0].startswith("x.wav: of its 7.1 s the first 4.") and "up to a pause" in remarks[0]


def test_noise_all_through_is_remarked() -> None:
    noise = Sound(0.1 * np.random.default_rng(0).standard_normal(2 * RATE).astype(np.float32), RATE)
    assert "is noisy" in prompt.prepare(noise, "x.wav", most=10)[1][0]


@pytest.mark.parametrize(
    ("sound", "message"),
    [
        (Sound(np.zeros(3 * RATE, np.float32), RATE), "x.wav: is silent"),
        (talk(0.4), "too short"),
        (Sound(np.full(3 * RATE, np.nan, np.float32), RATE), "NaN"),
    ],
)
def test_what_cannot_be_used(sound: Sound, message: str) -> None:
    with pytest.raises(UserError, match=message):
        prompt.prepare(sound, "x.wav", most=10)


def test_a_text_that_does_not_fit() -> None:
    assert prompt.fits(30, 3.0, "x.wav") == []
    assert "24.0 sounds a second" in prompt.fits(72, 3.0, "x.wav")[0]
    with pytest.raises(UserError, match="says less than the sound holds"):
        prompt.fits(3, 3.0, "x.wav")
    with pytest.raises(UserError, match="says more than the sound can hold"):
        prompt.fits(300, 3.0, "x.wav")
    assert prompt.sounds("həlˈO, wˈɜɹld.") == 9


def test_music_is_remarked(monkeypatch: pytest.MonkeyPatch) -> None:
    """The detector of silero-vad, which knows speech, hears little of it."""
    monkeypatch.setattr(prompt.importlib.util, "find_spec", lambda name: True)
    heard = talk(2.0)
    monkeypatch.setattr(vad, "speech", lambda sound: [(0, len(sound.samples) // 10)])
    assert (
        "hardly any speech is heard in it (10%); is it music, or noise?"
        in prompt.prepare(heard, "x.wav", most=10)[1][0]
    )
    monkeypatch.setattr(vad, "speech", lambda sound: [(0, len(sound.samples))])
    assert prompt.prepare(heard, "x.wav", most=10)[1] == []


def test_languages_of_latin_letters() -> None:
    told = {
        "Guten Tag, wie geht es Ihnen?": "de",
        "Schöne Grüße!": "de",
        "Ich habe heute einen Brief bekommen.": "de",
        "Bonjour, comment allez-vous ?": "fr",
        "Les enfants jouent dans le jardin.": "fr",
        "The man was in the house of Mr. Müller.": "en",
        "Café culture is what they have in Paris.": "en",
        "Stop.": "en",
    }
    assert {text: prompt.language_of(text) for text in told} == told


def test_languages_by_script() -> None:
    told = {
        "Hello": "en",
        "你好": "zh",
        "漢字とかな": "ja",
        "안녕": "ko",
        "привет": "ru",
        "Say 你 to a friend now": "en",
    }
    assert {text: prompt.language_of(text) for text in told} == told
    with pytest.raises(UserError, match="mixes languages"):
        prompt.language_of("Hello привет")
    with pytest.raises(UserError, match="no letters"):
        prompt.language_of("12 + 4")
