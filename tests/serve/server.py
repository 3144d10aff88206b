"""A server on a port of its own, in a thread of the test, as clients find it."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import httpx
import uvicorn

from aoide.serve import create_app
from aoide.serve.settings import Settings

http = httpx.Client(verify=False, timeout=60)
"""One for all tests: each new one would read the certificates of this machine first."""


def free_port() -> int:
    """One where nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@contextmanager
def running(**settings: Any) -> Iterator[str]:
    """The address of a server with these settings; it ends with the block."""
    app = create_app(Settings(**{"threads": 1, **settings}))
    port = free_port()
    options = {**app.state.server.settings.connections(), "timeout_graceful_shutdown": 2}
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="critical", **options))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        for _ in range(400):
            if server.started:
                break
            time.sleep(0.025)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(timeout=20)


def counters(address: str) -> dict[str, float]:
    """What /metrics says."""
    lines = [line for line in http.get(f"{address}/metrics").text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


def settled(address: str, name: str, value: float, seconds: float = 5) -> bool:
    """Whether a counter reaches a value within some seconds."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if counters(address).get(name, 0) == value:
            return True
        time.sleep(0.02)
    return False


def raw(address: str, sent: bytes, seconds: float = 10) -> bytes:
    """What comes back on a plain connection until it is closed or silent."""
    host, port = address.removeprefix("http://").split(":")
    found = b""
    with socket.create_connection((host, int(port)), timeout=seconds) as connection:
        connection.sendall(sent.replace(b"HOST", f"{host}:{port}".encode()))
        with suppress(TimeoutError, ConnectionResetError):
            while data := connection.recv(65536):
                found += data
    return found
