"""The line of sentences: turns, batches, what is left out."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import aoide
from aoide import voices
from aoide.config import UserError
from aoide.serve.engine import Engine, Item, Line

FOLDERS = {"en-heart": voices.find("en-heart")}


def item(loop: asyncio.AbstractEventLoop, voice: str = "a") -> Item:
    return Item(voice, "x", 1.0, 0.0, loop, loop.create_future())


def test_a_taking_is_of_one_voice_and_keeps_the_order_of_the_others() -> None:
    loop = asyncio.new_event_loop()
    line = Line()
    items = [item(loop, voice) for voice in "abaab"]
    for one in items:
        line.add(one)
    assert line.take(2) == ([items[0], items[2]], False)
    assert line.take(9) == ([items[1], items[4]], False)
    assert line.take(9)[0] == [items[3]]
    loop.close()


def test_what_was_left_is_not_spoken() -> None:
    loop = asyncio.new_event_loop()
    line = Line()
    first, second = item(loop), item(loop)
    line.add(first)
    line.add(second)
    first.future.cancel()
    assert line.take(1) == ([second], True)
    line.close()
    assert line.take(1) == ([], False)
    loop.close()


@pytest.mark.parametrize(("threads", "batch"), [(1, 1), pytest.param(2, 4, marks=pytest.mark.sweep)])
def test_many_at_once_sound_as_one_alone(threads: int, batch: int) -> None:
    texts = ["One. Two, and three.", "Four!", "Five and six and seven. Eight."]

    async def one(engine: Engine, text: str) -> np.ndarray:
        return np.concatenate([speech.sound.samples async for speech in engine.speak("en-heart", text)])

    async def all_of() -> list[np.ndarray]:
        engine = Engine(FOLDERS, threads, batch)
        try:
            return await asyncio.gather(*(one(engine, text) for text in texts))
        finally:
            engine.close()

    voice = aoide.load("en-heart")
    for text, samples in zip(texts, asyncio.run(all_of()), strict=True):
        wanted = voice.say(text).samples
        assert samples.shape == wanted.shape and np.abs(samples - wanted).max() < 1e-4


def test_a_broken_sentence_ends_its_request_and_nobody_else_s(monkeypatch: pytest.MonkeyPatch) -> None:
    async def both() -> None:
        engine = Engine(FOLDERS, 1)
        voice = engine.voices["en-heart"]
        whole = voice.render
        monkeypatch.setattr(voice, "render", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            await anext(engine.speak("en-heart", "Hello."))
        monkeypatch.setattr(voice, "render", whole)
        assert (await anext(engine.speak("en-heart", "Hello."))).sound.seconds > 0.3
        with pytest.raises(UserError, match="nothing to say"):
            await anext(engine.speak("en-heart", "..."))
        engine.close()

    asyncio.run(both())


def test_text_that_is_still_written_is_awaited_elsewhere() -> None:
    """A listener who waits for words does not keep others from speaking."""
    import queue

    from aoide.serve.engine import pieces

    async def talk() -> list[str]:
        engine, feed, pool = Engine(FOLDERS, 1), queue.SimpleQueue(), ThreadPoolExecutor(1)
        heard = []
        feed.put("One is here. Two is not here, and the sentence goes on")
        async for speech in engine.speak("en-heart", pieces(feed), executor=pool):
            heard.append(speech.text)
            feed.put(" to its end." if len(heard) == 1 else None)
            feed.put(None)
        engine.close()
        pool.shutdown()
        return heard

    assert asyncio.run(talk()) == ["One is here.", "Two is not here, and the sentence goes on to its end."]
