"""What the requests of one server share: its settings, its voices, the door that counts them in, and the counters."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Request
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from aoide import voices
from aoide.config import UserError, near
from aoide.generate import folder as voice_folder
from aoide.serve.engine import Engine
from aoide.serve.responses import RequestError
from aoide.serve.settings import STOCK_VOICES, Settings

Result = TypeVar("Result")


class Counters:
    """What /metrics tells, in a registry of its own: two servers of one process do not mix."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self.requests = Counter(
            "aoide_requests", "Requests that ended, by what and how", ("task", "how"), registry=registry
        )
        self.refused = Counter("aoide_refused", "Requests that were turned away", ("reason",), registry=registry)
        self.first = Histogram("aoide_first_sound_seconds", "Until the first sound", ("task",), registry=registry)
        self.sound = Counter("aoide_sound_seconds", "Seconds of sound made", ("task",), registry=registry)
        self.active = Gauge("aoide_active_requests", "Requests worked on or waiting", registry=registry)
        self.waiting = Gauge("aoide_waiting_sentences", "Sentences in the line", registry=registry)

    def text(self) -> bytes:
        return generate_latest(self.registry)


class Door:
    """Counts requests in and out; beyond `most` they are turned away with 429 and a time to come back."""

    def __init__(self, most: int, threads: int, counters: Counters) -> None:
        self._most, self._threads, self._counters = most, threads, counters
        self._inside = 0
        self._took = 1.0  # seconds that a request takes, of late

    @contextmanager
    def pass_through(self) -> Iterator[None]:
        """Inside for as long as the block lasts."""
        leave = self.enter()
        try:
            yield
        finally:
            leave()

    def enter(self) -> Callable[[], None]:
        """Lets a request in and gives what it has to call, once, when it leaves.

        Raises:
            RequestError: 429, the server is full.
        """
        if self._inside >= self._most:
            self._counters.refused.labels("full").inc()
            wait = math.ceil(max(1.0, min(60.0, self._took * self._inside / self._threads / 2)))
            say = f"the server works on {self._inside} requests, which is all it takes; come back in {wait} s"
            raise RequestError(429, say, headers={"Retry-After": str(wait)})
        self._inside += 1
        self._counters.active.inc()
        entered = time.monotonic()

        def leave() -> None:
            self._inside -= 1
            self._counters.active.dec()
            self._took += 0.1 * ((time.monotonic() - entered) / max(1, self._inside + 1) * self._threads - self._took)

        return leave


class Server:
    """What `request.app.state.server` holds."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.folders = {name: voices.find(name) for name in voices.names()}
        for folder in settings.others:
            voice_folder.read(folder)  # what is wrong with it is said now, and not by threads
            name = Path(folder).resolve().name
            if name in self.folders:
                raise UserError(f"{folder}: there is a voice {name!r} already; rename the folder")
            self.folders[name] = Path(folder)
        if settings.voice not in self.folders:
            raise UserError(f"no voice {settings.voice!r};{near(settings.voice, self.folders)}")
        self.aliases = dict.fromkeys(STOCK_VOICES, settings.voice) | dict(settings.aliases)
        self.counters = Counters()
        self.door = Door(settings.waiting, settings.threads, self.counters)
        self.tasks = ThreadPoolExecutor(settings.threads, "task")  # conversion, singing and described sound
        self.listeners = ThreadPoolExecutor(settings.sockets, "socket")  # each waits for its client's next words
        self.turns = asyncio.Semaphore(2 * settings.threads + 2)  # files that are in memory, decoded
        self.sockets = 0
        self._loaded: dict[tuple[str, str], Any] = {}
        self._loading = asyncio.Lock()

    @cached_property
    def engine(self) -> Engine:
        return Engine(self.folders, self.settings.threads, self.settings.batch)

    def warm(self) -> None:
        """Loads the voices and says something, so that the first request finds everything in place."""
        for name in self.folders:
            for voice in (self.engine.voices[name], self.engine.alone[name]):
                voice.say("Ready.")

    def close(self) -> None:
        self.engine.close()
        for pool in (self.tasks, self.listeners):
            pool.shutdown(cancel_futures=True)

    def voice(self, name: str) -> str:
        """The voice that a request means.

        Raises:
            RequestError: 404, there is none of this name.
        """
        name = name or self.settings.voice
        name = self.aliases.get(name, name)
        if name not in self.folders:
            guess = near(name, self.folders) or f" there is {', '.join(self.folders)}"
            raise RequestError(404, f"no voice {name!r};{guess}", "voice")
        return name

    async def load(self, name: str, kind: str, field: str = "model") -> Any:
        """A singer, converter or other thing of the package, loaded once.

        Args:
            field: of the request, that names it.

        Raises:
            RequestError: 404, there is none of this name.
        """
        known = voices.names(kind)
        if name not in known:
            guess = near(name, known) or f" there is {', '.join(known)}" if known else " none came with this package"
            raise RequestError(404, f"no {kind} {name!r};{guess}", field)
        async with self._loading:
            if (name, kind) not in self._loaded:
                import aoide

                self._loaded[name, kind] = await self.work(aoide.load, name)
        return self._loaded[name, kind]

    async def work(self, function: Callable[..., Result], *arguments: Any) -> Result:
        """Calls something that takes a while, on a thread."""
        return await asyncio.get_running_loop().run_in_executor(self.tasks, function, *arguments)


def of(request: Request) -> Server:
    """The server that a request is of."""
    server: Server = request.app.state.server
    return server


Shared = Annotated[Server, Depends(of)]
"""What a route takes, to be given it."""
