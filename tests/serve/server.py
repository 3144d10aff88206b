"""A server on a port of its own, in a thread of the test, as clients find it."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import uvicorn

from aoide.serve import create_app
from aoide.serve.settings import Settings


@contextmanager
def running(**settings: Any) -> Iterator[str]:
    """The address of a server with these settings; it ends with the block."""
    app = create_app(Settings(**{"threads": 1, **settings}))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="critical", timeout_graceful_shutdown=2))
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
    lines = [line for line in httpx.get(f"{address}/metrics").text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


def settled(address: str, name: str, value: float, seconds: float = 5) -> bool:
    """Whether a counter reaches a value within some seconds."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if counters(address).get(name, 0) == value:
            return True
        time.sleep(0.02)
    return False
