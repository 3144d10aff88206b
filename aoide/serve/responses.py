"""What goes back: errors in the form that OpenAI's clients read, and sound that is sent while it is made."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, TypeVar

from fastapi.responses import JSONResponse, Response

KINDS = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
}
Result = TypeVar("Result")


class RequestError(Exception):
    """Something that a client can mend, with the status that says so.

    Args:
        status: of HTTP.
        message: what was wrong and what to do.
        field: of the request.
        headers: of the answer.
    """

    def __init__(
        self, status: int, message: str, field: str | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status, self.field, self.headers = status, field, dict(headers or {})

    def response(self) -> JSONResponse:
        return problem(self.status, str(self), self.field, self.headers)


def problem(
    status: int, message: str, field: str | None = None, headers: Mapping[str, str] | None = None
) -> JSONResponse:
    """An error as a response."""
    kind = KINDS.get(status, "server_error" if status >= 500 else "invalid_request_error")
    error = {"message": message, "type": kind, "param": field, "code": None}
    return JSONResponse({"error": error}, status, dict(headers or {}))


class GoneError(Exception):
    """The client went away before there was anything to send; nobody reads an answer."""


async def unless_gone(receive: Any, wanted: Awaitable[Result]) -> Result:
    """Waits for something as long as the client is there.

    Args:
        receive: of ASGI, after the body was read.

    Raises:
        GoneError: the client has closed the connection; `wanted` was cancelled.
    """
    worker = asyncio.ensure_future(wanted)
    listener = asyncio.create_task(_gone(receive))
    try:
        await asyncio.wait({worker, listener}, return_when=asyncio.FIRST_COMPLETED)
        if not worker.done():
            raise GoneError
        return worker.result()
    finally:
        for task in (worker, listener):
            task.cancel()
        await asyncio.gather(worker, listener, return_exceptions=True)


class SoundResponse(Response):
    """Sends pieces as they come, and stops their making when the client goes away or takes nothing for too long.

    Args:
        pieces: bytes; the first is there already, so that an error before the first sound has a status of its own.
        patience: seconds to wait for a client that takes nothing.
        ended: awaited once, with "sent", "left" (the client went away), "stalled" or "failed".
    """

    def __init__(
        self,
        pieces: AsyncIterator[bytes],
        media_type: str,
        headers: Mapping[str, str],
        patience: float,
        ended: Callable[[str], Awaitable[None]],
    ) -> None:
        super().__init__(None, 200, dict(headers), media_type)
        del self.headers["content-length"]  # it is not known
        self._pieces, self._patience, self._ended = pieces, patience, ended

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        sender = asyncio.create_task(self._send(send))
        listener = asyncio.create_task(_gone(receive))
        how = "left"
        try:
            await asyncio.wait({sender, listener}, return_when=asyncio.FIRST_COMPLETED)
            if sender.done():
                how = sender.result()
        except Exception:
            how = "failed"
            raise
        finally:
            for task in (sender, listener):
                task.cancel()
            try:
                await asyncio.gather(sender, listener, return_exceptions=True)
                await self._pieces.aclose()  # type: ignore[attr-defined]
            finally:  # also where the server stops and cancels what is still open
                await self._ended(how)

    async def _send(self, send: Any) -> str:
        try:
            await self._put(send, {"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            async for piece in self._pieces:
                if piece:
                    await self._put(send, {"type": "http.response.body", "body": piece, "more_body": True})
            await self._put(send, {"type": "http.response.body", "body": b"", "more_body": False})
        except TimeoutError:
            return "stalled"
        except OSError:  # the connection broke while it was written to
            return "left"
        return "sent"

    async def _put(self, send: Any, message: Any) -> None:
        await asyncio.wait_for(send(message), self._patience)


async def _gone(receive: Any) -> None:
    """Returns when the client has closed the connection."""
    while (await receive())["type"] != "http.disconnect":
        pass
