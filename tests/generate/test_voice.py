"""A voice speaks: whole, streamed and in batches, the same samples every time."""

import tracemalloc

import numpy as np
import pytest

from aoide.audio.sound import Sound
from aoide.config import UserError
from aoide.generate.voice import Voice
from tests.generate import tiny

TEXT = "Any input becomes sound. Does it? It does, of course; and it is quick!"


@pytest.fixture(scope="module", params=["sourcefilter", "istft", "waveform"])
def voice(request, tmp_path_factory):
    return Voice(tiny.make(tmp_path_factory.mktemp("voices") / "en-tiny", request.param))


def test_it_says_a_text(voice):
    sound = voice.say(TEXT)
    assert isinstance(sound, Sound) and sound.sample_rate == voice.sample_rate == tiny.SAMPLE_RATE
    assert sound.samples.ndim == 1 and 2 < sound.seconds < 30 and np.abs(sound.samples).max() > 0.01


def test_the_stream_is_the_whole(voice):
    sounds = list(voice.stream(TEXT, speed=1.2, pitch=1, seed=5))
    assert len(sounds) == 3
    whole = voice.say(TEXT, speed=1.2, pitch=1, seed=5)
    assert np.array_equal(np.concatenate([sound.samples for sound in sounds]), whole.samples)


def test_a_stream_takes_text_cut_anywhere(voice):
    pieces = [TEXT[i : i + 7] for i in range(0, len(TEXT), 7)]
    streamed = np.concatenate([sound.samples for sound in voice.stream(iter(pieces))])
    assert np.array_equal(streamed, voice.say(TEXT).samples)


def test_the_first_sound_comes_before_the_text_has_ended(voice):
    def endless():
        while True:
            yield "And so it goes. "

    stream = voice.stream(endless())
    assert all(next(stream).seconds > 0.1 for _ in range(3))


def test_one_by_one_is_as_all_at_once(voice):
    texts = [TEXT, "Short.", "A sentence of a middling length, I should say. And another one."]
    together = voice.say_many(texts, speed=0.9, pitch=-1, seed=2)
    for text, sound in zip(texts, together, strict=True):
        alone = voice.say(text, speed=0.9, pitch=-1, seed=2)
        assert sound.samples.shape == alone.samples.shape
        assert np.abs(sound.samples - alone.samples).max() <= 1e-5


def test_the_same_seed_gives_the_same_samples_and_another_seed_others(voice):
    one, same, other = voice.say(TEXT, seed=1), voice.say(TEXT, seed=1), voice.say(TEXT, seed=2)
    assert np.array_equal(one.samples, same.samples)
    assert one.samples.shape != other.samples.shape or not np.array_equal(one.samples, other.samples)


def test_speech_tells_when_each_phoneme_sounds(voice):
    speech = voice.speak(TEXT)
    assert speech.text == TEXT and "".join(t.symbol for t in speech.phonemes).strip().endswith("!")
    times = [time for t in speech.phonemes for time in (t.start, t.end)]
    assert times == sorted(times) and times[0] >= 0 and times[-1] <= speech.sound.seconds


def test_speed_acts(voice):
    assert voice.say(TEXT, speed=2.0).seconds < 0.75 * voice.say(TEXT).seconds


def test_a_long_sentence_is_spoken_in_parts(tmp_path):
    long = "one two three, " * 40 + "four."
    whole = Voice(tiny.make(tmp_path / "a", max_tokens=2000)).speak(long)
    parts = Voice(tiny.make(tmp_path / "b", max_tokens=60)).speak(long)

    def sounds(speech):
        return [t.symbol for t in speech.phonemes if t.symbol not in " ,"]

    assert sounds(whole) == sounds(parts)
    assert parts.sound.seconds == pytest.approx(whole.sound.seconds, rel=0.3)


@pytest.mark.parametrize("text", ["", "  \n ", "...", "?!", "🎵🎶", "\u200b"])
def test_nothing_to_say(voice, text):
    with pytest.raises(UserError) as caught:
        voice.say(text)
    assert "nothing to say" in str(caught.value) and "\n" not in str(caught.value)
    with pytest.raises(UserError, match="nothing to say"):
        voice.say_many([TEXT, text])


def test_symbols_between_sentences_are_passed_over(voice):
    assert len(list(voice.stream("Hello there. 🎵 ... Goodbye then."))) >= 2


@pytest.mark.parametrize(
    ("setting", "value"),
    [("speed", 0.4), ("speed", 2.1), ("speed", float("nan")), ("pitch", 13), ("pitch", float("inf")), ("seed", -1)],
)
def test_settings_out_of_range(voice, setting, value):
    with pytest.raises(UserError, match=setting):
        voice.say(TEXT, **{setting: value})


def test_a_book_takes_no_more_memory_than_a_page(voice):
    def peak(sentences):
        tracemalloc.start()
        for _ in voice.stream("This is a sentence of the book. " for _ in range(sentences)):
            pass
        highest = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return highest

    peak(3)
    assert peak(60) < 1.5 * peak(6)


def test_origin_is_told(voice, tmp_path):
    from aoide.audio import io

    next(voice.stream("Hello there. Who is it?", seed=7)).save(tmp_path / "x.flac", {"title": "Hello."})
    tags = io.probe(tmp_path / "x.flac").tags
    assert tags["title"] == "Hello." and voice.say_many(["Hello."])[0].tags == voice.say("Hello.").tags != {}
    for fact in ("synthetic: yes", "voice: en-tiny", "aoide: ", "seed: 7"):
        assert fact in tags["comment"]


def test_the_card(voice):
    assert voice.card.startswith("# en-tiny")
    (voice.folder / "card.md").rename(voice.folder / "gone.md")
    try:
        with pytest.raises(UserError, match="no card"):
            _ = voice.card
    finally:
        (voice.folder / "gone.md").rename(voice.folder / "card.md")
