"""Cutting, trimming and joining: no sound is lost, no crumb is left, and the times stay true."""

import numpy as np
import pytest

from aoide.generate import stream
from aoide.generate.stream import Joiner, Part, Timed

RATE, HOP = 24_000, 300


@pytest.mark.parametrize(
    ("phonemes", "most", "expected"),
    [
        ("hˈI.", 20, ["hˈI."]),
        ("wˈʌn, tˈu, θɹˈi, fˈɔɹ.", 14, ["wˈʌn, tˈu,", "θɹˈi, fˈɔɹ."]),
        ("wˈʌn tˈu θɹˈi fˈɔɹ", 10, ["wˈʌn tˈu", "θɹˈi fˈɔɹ"]),
        ("a, bˈaːbaːbaːbaː baːb", 18, ["a, bˈaːbaːbaːbaː", "baːb"]),  # no crumb `a,`
        ("abababababab", 5, ["ababa", "babab", "ab"]),
        ("  ", 5, []),
        ("ab . . . . . . . .", 6, ["ab . ."]),
    ],
)
def test_pieces(phonemes, most, expected):
    assert stream.pieces(phonemes, most) == expected


@pytest.mark.parametrize("most", [5, 17, 60])
def test_pieces_lose_no_sound(most):
    random = np.random.default_rng(most)
    phonemes = "".join(random.choice(list("abdefghijk   ,.;"), 2000))
    found = stream.pieces(phonemes, most)
    assert max(map(len, found)) <= most
    assert [p for p in "".join(found) if p.isalpha()] == [p for p in phonemes if p.isalpha()]


@pytest.mark.parametrize(
    ("phonemes", "answer"), [("a", True), ("...", False), ("", False), ("ˈ . ", False), ('"ʃ"', True)]
)
def test_speakable(phonemes, answer):
    assert stream.speakable(phonemes) is answer


def test_pauses_follow_the_last_mark():
    assert (
        stream.pause_after("hˈI,")
        < stream.pause_after("hˈI;")
        < stream.pause_after("hˈI.")
        < stream.pause_after("hˈI?")
    )
    assert stream.pause_after('hˈI."') == stream.pause_after("hˈI.")
    assert stream.pause_after("") == stream.pause_after("hˈI") == stream.PAUSE


def spoken(silence_before, sound, silence_after):
    """Samples with silence around them, and durations of [silence, a, b, ".", silence]."""
    samples = np.concatenate([np.zeros(silence_before * HOP), np.ones(sound * HOP), np.zeros(silence_after * HOP)])
    durations = np.array([silence_before, sound // 2, sound - sound // 2, 2, silence_after - 2])
    return samples.astype(np.float32) * np.float32(0.5), durations


def test_trim_leaves_a_margin_and_true_times():
    samples, durations = spoken(40, 20, 60)
    part = stream.trim(samples, "ab.", durations, HOP, RATE)
    margin = round(stream.MARGIN * RATE)
    assert len(part.samples) == 20 * HOP + 2 * margin
    assert [t.symbol for t in part.phonemes] == ["a", "b", "."]
    start = part.phonemes[0].start
    assert start == pytest.approx(stream.MARGIN)
    assert part.samples[round(start * RATE)] == 0.5 and part.samples[round(start * RATE) - 1] == 0
    assert part.phonemes[-1].end <= len(part.samples) / RATE


def test_trim_never_cuts_into_a_phoneme():
    samples, durations = spoken(2, 20, 4)
    samples[: 12 * HOP] = 0  # the first phoneme is said without a sound
    samples[-10 * HOP :] = 0
    part = stream.trim(samples, "ab.", durations, HOP, RATE)
    assert part.phonemes[0].start == 0 and len(part.samples) == (20 * HOP)


def test_trim_leaves_silence_as_it_is():
    samples, durations = spoken(4, 10, 6)
    part = stream.trim(samples * 0, "ab.", durations, HOP, RATE)
    assert len(part.samples) == len(samples)


def test_trim_fades_what_it_cuts():
    random = np.random.default_rng(0)
    samples, durations = spoken(40, 20, 60)
    samples += 1e-3 * random.normal(size=samples.shape).astype(np.float32)  # audible hiss around the words
    part = stream.trim(samples, "ab.", durations, HOP, RATE)
    fade = round(stream.FADE * RATE)
    assert part.samples[0] == 0 and np.abs(part.samples[1 : fade // 4]).max() < 1e-3


def test_joined_times_are_those_of_the_whole():
    joiner = Joiner(RATE, speed=1.0, seed=3)
    part = Part(np.full(2400, 0.5, np.float32), [Timed("a", 0.02, 0.06), Timed(".", 0.06, 0.1)])
    speeches = [joiner.add(part, "A.") for _ in range(4)]
    whole = stream.merge(speeches, "A. A. A. A.")
    assert whole.sound.seconds == pytest.approx(sum(s.sound.seconds for s in speeches))
    assert speeches[0].start == 0 and len(speeches[0].sound.samples) == 2400
    for speech in speeches:
        assert whole.sound.samples[round(speech.phonemes[0].start * RATE)] == 0.5
        assert speech.phonemes[0].end - speech.phonemes[0].start == pytest.approx(0.04)
    pauses = [len(s.sound.samples) - 2400 for s in speeches[1:]]
    expected = stream.PAUSES["."] * RATE
    assert all(abs(pause / expected - 1) <= stream.VARIATION + 1e-3 for pause in pauses) and len(set(pauses)) == 3


def test_pauses_shrink_with_speed():
    def pause(speed):
        joiner = Joiner(RATE, speed, seed=0)
        part = Part(np.ones(10, np.float32), [Timed(".", 0, 0)])
        joiner.add(part, "")
        return len(joiner.add(part, "").sound.samples) - 10

    assert pause(0.5) == pytest.approx(4 * pause(2.0), abs=4)
