"""Keeps out what is too much or has no key, before anything is parsed: an ASGI layer around the application."""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Callable
from typing import Any

from aoide.serve.responses import problem
from aoide.serve.settings import Settings

OPEN = ("/healthz",)  # needs no key
SMALL = 256_000  # bytes of a body that is not an upload: 4096 characters, six bytes each, and the rest


class Guard:
    """Checks keys, and counts the bytes of a body while it comes.

    Args:
        app: what is guarded.
        uploads: paths whose bodies hold files.
        refused: called with the reason, for the counters.
    """

    def __init__(self, app: Any, settings: Settings, uploads: tuple[str, ...], refused: Callable[[str], None]) -> None:
        self._app, self._settings, self._uploads, self._refused = app, settings, uploads, refused

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = {name.lower(): value for name, value in scope["headers"]}
        if not self._known(scope["path"], headers):
            self._refused("key")
            await self._turn_away(scope, receive, send)
            return
        if scope["type"] == "websocket":
            await self._app(scope, receive, send)
            return
        most = self._settings.most_bytes + SMALL if scope["path"] in self._uploads else SMALL
        said = headers.get(b"content-length", b"0")
        if not said.isdigit() or int(said) > most:
            self._refused("size")
            await _too_large(most)(scope, receive, send)
            return
        await self._counted(scope, receive, send, most)

    def _known(self, path: str, headers: dict[bytes, bytes]) -> bool:
        """Whether the caller has a key, or needs none."""
        if not self._settings.keys or path in OPEN:
            return True
        kind, _, sent = headers.get(b"authorization", b"").partition(b" ")
        matches = [hmac.compare_digest(sent.strip(), key.encode()) for key in self._settings.keys]
        return kind.lower() == b"bearer" and any(matches)

    async def _turn_away(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 4401, "reason": "a key is needed"})
            return
        say = "this server needs a key: send the header Authorization: Bearer KEY"
        await problem(401, say, headers={"WWW-Authenticate": "Bearer"})(scope, receive, send)

    async def _counted(self, scope: Any, receive: Any, send: Any, most: int) -> None:
        """Lets the application read, until the body is larger than it may be or stops coming."""
        total, complete, started = 0, False, False

        async def counted() -> Any:
            nonlocal total, complete
            if complete:  # from now on it only asks whether the client is still there
                return await receive()
            try:
                message = await asyncio.wait_for(receive(), self._settings.patience)
            except TimeoutError:
                raise _SlowError from None
            total += len(message.get("body", b""))
            complete = not message.get("more_body", False)
            if total > most:
                raise _LargeError
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
                say = f"the request did not come within {self._settings.patience:g} s"
                await problem(408, say, headers={"Connection": "close"})(scope, receive, send)


class _LargeError(BaseException):
    """Not an Exception: no handler of the application is to take it for an error of its own."""


class _SlowError(BaseException):
    """Likewise."""


def _too_large(most: int) -> Any:
    return problem(413, f"the request is larger than {most:,} bytes", headers={"Connection": "close"})
