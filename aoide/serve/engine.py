"""Shares the processor between requests: sentences of all of them wait in one line, threads speak them.

    engine = Engine({"en-heart": folder}, threads=2)
    async for speech in engine.speak("en-heart", text, speed=1.0, pitch=0.0, seed=0):
        ...

A request puts a few sentences into the line at a time and the next one when one is spoken: requests take turns,
sentence by sentence, so a book does not keep a greeting waiting, and what was spoken ahead of a slow listener stays
small. A thread that is free takes the sentence that waits longest, and with `batch` above 1 those behind it of the same
voice. Where one sentence waits alone and nobody else is at work it gets all threads: the first sound comes sooner. When
a request ends early, what it had in the line is left out.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aoide.generate.stream import Joiner, Part, Speech
from aoide.generate.voice import Sentence, Voice, nothing_to_say

AHEAD = 2  # sentences of a request in the line


@dataclass(eq=False, slots=True)
class Item:
    """A sentence in the line."""

    voice: str
    phonemes: str
    speed: float
    pitch: float
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[list[Part]]

    def left(self) -> bool:
        """Whether nobody waits for it any more."""
        return self.future.cancelled()

    def settle(self, parts: list[Part] | None, error: BaseException | None = None) -> None:
        """Hands over what was spoken, from whatever thread."""

        def hand() -> None:
            if not self.future.done():
                if error is not None:
                    self.future.set_exception(error)
                else:
                    self.future.set_result(parts or [])

        with suppress(RuntimeError):  # the loop is closed: the server stops
            self.loop.call_soon_threadsafe(hand)


class Line:
    """Items in the order of their coming; those that were left are dropped on the way."""

    def __init__(self) -> None:
        self._items: deque[Item] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self.working = 0

    def __len__(self) -> int:
        return len(self._items)

    def add(self, item: Item) -> None:
        with self._changed:
            self._items.append(item)
            self._changed.notify()

    def take(self, most: int) -> tuple[list[Item], bool]:
        """The next item and up to `most` in all of the same voice behind it, and whether nobody else is at work.

        Waits for one; empty when the line is closed. Every taking that is not empty is ended by `done`.
        """
        with self._changed:
            while True:
                while self._items and self._items[0].left():
                    self._items.popleft()
                if self._items:
                    break
                if self._closed:
                    return [], False
                self._changed.wait()
            first = self._items.popleft()
            taken: list[Item] = [first]
            passed: list[Item] = []
            while self._items and len(taken) < most:
                item = self._items.popleft()
                if not item.left():
                    (taken if item.voice == first.voice else passed).append(item)
            self._items.extendleft(reversed(passed))
            self.working += 1
            return taken, self.working == 1 and not self._items

    def done(self) -> None:
        with self._changed:
            self.working -= 1

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()


class Engine:
    """Threads that speak what waits in the line.

    Args:
        folders: of the voices, by name.
        threads: sentences at the same time.
        batch: sentences of one call.

    Raises:
        UserError: a folder holds no voice.
    """

    def __init__(self, folders: Mapping[str, Path], threads: int, batch: int = 1) -> None:
        self.voices = {name: Voice(folder) for name, folder in folders.items()}
        # all threads for one sentence, where there is more than one
        self.alone = self.voices if threads == 1 else {n: Voice(f, threads) for n, f in folders.items()}
        self._line = Line()
        self._batch = batch
        self._threads = [threading.Thread(target=self._work, name=f"voice-{n}", daemon=True) for n in range(threads)]
        for thread in self._threads:
            thread.start()

    @property
    def waiting(self) -> int:
        """Sentences in the line."""
        return len(self._line)

    def close(self) -> None:
        """Lets the threads finish what waits, and ends them."""
        self._line.close()
        for thread in self._threads:
            thread.join()

    async def speak(
        self,
        voice: str,
        text: str | Iterable[str],
        *,
        speed: float = 1.0,
        pitch: float = 0.0,
        seed: int = 0,
        executor: Executor | None = None,
    ) -> AsyncIterator[Speech]:
        """Speaks a text sentence by sentence: what `Voice.speak_each` gives, sample by sample.

        Args:
            text: or pieces of it; they are awaited on a thread of `executor`.

        Raises:
            UserError: nothing in the text can be said.
        """
        of = self.voices[voice]
        joiner = Joiner(of.sample_rate, speed, seed, of.tags(seed))
        sentences = of.sentences(text)
        pending: deque[tuple[Sentence, Item]] = deque()
        loop = asyncio.get_running_loop()
        said, more = False, True
        try:
            while True:
                while more and len(pending) < AHEAD and not (pending and not isinstance(text, str)):
                    sentence = await loop.run_in_executor(executor, next, sentences, None)
                    if sentence is None:
                        more = False
                    else:
                        pending.append((sentence, self._enter(loop, voice, sentence.phonemes, speed, pitch)))
                if not pending:
                    break
                sentence, item = pending.popleft()
                for part in await item.future:
                    said = True
                    yield joiner.add(part, sentence.text)
        finally:
            for _, item in pending:
                item.future.cancel()
        if not said:
            raise nothing_to_say(text if isinstance(text, str) else "the text")

    def _enter(self, loop: asyncio.AbstractEventLoop, voice: str, phonemes: str, speed: float, pitch: float) -> Item:
        item = Item(voice, phonemes, speed, pitch, loop, loop.create_future())
        self._line.add(item)
        return item

    def _work(self) -> None:
        while True:
            items, alone = self._line.take(self._batch)
            if not items:
                return
            voice = (self.alone if alone else self.voices)[items[0].voice]
            try:
                spoken = voice.render(
                    [item.phonemes for item in items], [item.speed for item in items], [item.pitch for item in items]
                )
                for item, parts in zip(items, spoken, strict=True):
                    item.settle(parts)
            except Exception as error:  # one bad sentence must not end the thread; whoever asked is told
                for item in items:
                    item.settle(None, error)
            finally:
                self._line.done()


def pieces(feed: Any) -> Iterator[str]:
    """What is put into a queue, until None comes."""
    while (piece := feed.get()) is not None:
        yield piece
