"""Keeps out what is too much, has no key or comes from a foreign page, before anything is parsed: an ASGI layer around
the application."""

from __future__ import annotations

import asyncio
import hmac
import time
from collections.abc import Callable
from typing import Any

from aoide.serve import address
from aoide.serve.responses import problem
from aoide.serve.settings import Settings

OPEN = ("/healthz",)  # needs no key
SMALL = 256_000  # bytes of a body that is not an upload, at least
ESCAPED = 12  # bytes of a character in JSON, at most
SLOWEST = 10_000  # bytes a second of a body that is longer in coming than a client may be silent


class Guard:
    """Checks keys and origins, and counts the bytes of a body while it comes.

    Args:
        app: what is guarded.
        uploads: paths whose bodies hold files.
        refused: called with the reason, for the counters.
    """

    def __init__(self, app: Any, settings: Settings, uploads: tuple[str, ...], refused: Callable[[str], None]) -> None:
        self._app, self._settings, self._uploads, self._refused = app, settings, uploads, refused
        self._small = max(SMALL, ESCAPED * settings.most_characters + 10_000)
        self._coming = 0  # bodies of files that are being sent

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = {name.lower(): value for name, value in scope["headers"]}
        if answer := self._turned_away(scope["path"], headers):
            await _refuse(scope, receive, send, *answer)
            return
        if scope["type"] == "websocket":
            await self._app(scope, receive, send)
            return
        upload = scope["path"] in self._uploads
        most = self._settings.most_bytes + self._small if upload else self._small
        said = headers.get(b"content-length", b"0")
        if not said.isdigit() or len(said) > 15 or int(said) > most:
            self._refused("size")
            await _too_large(most)(scope, receive, send)
        elif upload:
            await self._upload(scope, receive, send, most)
        else:
            await self._counted(scope, receive, send, most, lambda: None)

    def _turned_away(self, path: str, headers: dict[bytes, bytes]) -> tuple[int, str] | None:
        """The status and the reason with which a caller is turned away."""
        if path in OPEN:
            return None
        if not self._settings.keys:
            if reason := address.foreign(headers, self._settings.origins):
                self._refused("origin")
                return 403, reason
            return None
        kind, _, sent = headers.get(b"authorization", b"").partition(b" ")
        matches = [hmac.compare_digest(sent.strip(), key.encode()) for key in self._settings.keys]
        if kind.lower() == b"bearer" and any(matches):
            return None
        self._refused("key")
        return 401, "this server needs a key: send the header Authorization: Bearer KEY"

    async def _upload(self, scope: Any, receive: Any, send: Any, most: int) -> None:
        """As many files at a time as there may be requests: each lies on the disk until it is read."""
        if self._coming >= self._settings.waiting:
            self._refused("full")
            say = f"the server takes {self._coming} files at a time, and as many are coming; come back in 1 s"
            await problem(429, say, headers={"Retry-After": "1", "Connection": "close"})(scope, receive, send)
            return
        self._coming += 1
        coming = True

        def came() -> None:
            nonlocal coming
            self._coming -= coming
            coming = False

        try:
            await self._counted(scope, receive, send, most, came)
        finally:
            came()

    async def _counted(self, scope: Any, receive: Any, send: Any, most: int, came: Callable[[], None]) -> None:
        """Lets the application read, until the body is larger than it may be, stops coming or comes too slowly."""
        patience, began = self._settings.patience, time.monotonic()
        total, complete, started = 0, False, False

        async def counted() -> Any:
            nonlocal total, complete
            if complete:  # from now on it only asks whether the client is still there
                return await receive()
            left = began + patience + total / SLOWEST - time.monotonic()
            try:
                message = await asyncio.wait_for(receive(), min(patience, max(left, 0)))
            except TimeoutError:
                raise _SlowError from None
            total += len(message.get("body", b""))
            complete = not message.get("more_body", False)
            if total > most:
                raise _LargeError
            if complete:
                came()
            return message

        async def noted(message: Any) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self._app(scope, counted, noted)
        except _LargeError:
            self._refused("size")
            if not started:
                await _too_large(most)(scope, receive, send)
        except _SlowError:
            self._refused("slow")
            if not started:
                say = f"the request did not come within {patience:g} s, or more slowly than {SLOWEST:,} bytes a second"
                await problem(408, say, headers={"Connection": "close"})(scope, receive, send)


class _LargeError(BaseException):
    """Not an Exception: no handler of the application is to take it for an error of its own."""


class _SlowError(BaseException):
    """Likewise."""


async def _refuse(scope: Any, receive: Any, send: Any, status: int, reason: str) -> None:
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": 4000 + status, "reason": reason[:100]})
        return
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else {}
    await problem(status, reason, headers=headers)(scope, receive, send)


def _too_large(most: int) -> Any:
    return problem(413, f"the request is larger than {most:,} bytes", headers={"Connection": "close"})
