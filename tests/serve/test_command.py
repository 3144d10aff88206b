"""aoide serve as a process: addresses that cannot be had, keys, several workers, an end that does not wait for ever."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

pytest.importorskip("fastapi")

from aoide import cli, voices  # noqa: E402
from tests.serve.server import free_port, http  # noqa: E402

LONG = "This is one sentence of a long text that nobody will hear to its end. " * 50


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--host", "0.0.0.0"), "needed: --key"),
        (("--host", "::"), "needed: --key"),
        (("--host", "nowhere.invalid", "--key", "k"), "cannot listen"),
        (("--host", "a..b", "--key", "k"), "not the name"),
        (("--port", "70000"), "65535"),
        (("--workers", "0"), "--workers"),
        (("--key", " "), "key is empty"),
        (("--origin", "example.org"), "https://example.org"),
        (("--voice", "en-hart"), "en-heart"),
        (("--add", "."), "no voice.json"),
        (("--add", str(voices.find("en-heart"))), "rename"),
        (("--most-seconds", "nan"), "most_seconds"),
    ],
)
def test_what_cannot_be_is_one_line(
    words: tuple[str, ...], says: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AOIDE_KEYS", raising=False)
    assert cli.main(["serve", *words]) == 2
    said = capsys.readouterr().err
    assert says in said and said.count("\n") == 1


def test_an_address_that_is_taken(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert cli.main(["serve", "--port", str(taken.getsockname()[1])]) == 2
    assert "another program listens there" in capsys.readouterr().err


@contextmanager
def served(*words: str, **variables: str) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    port = free_port()
    command = [sys.executable, "-m", "aoide.cli", "serve", "--port", str(port), "--threads", "1", *words]
    process = subprocess.Popen(command, env={**os.environ, **variables}, stderr=subprocess.DEVNULL)
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(300):
            try:
                http.get(f"{address}/healthz")
                break
            except httpx.TransportError:
                time.sleep(0.1)
        yield address, process
    finally:
        process.kill()
        process.wait(20)


@pytest.mark.sweep  # 7 s: three processes
def test_workers(tmp_path: Path) -> None:
    """Keys of the environment hold in each, a folder that was added is known in each, and Ctrl-C ends all."""
    mine = tmp_path / "mine"
    shutil.copytree(voices.find("en-heart"), mine)
    with served("--workers", "2", "--add", str(mine), AOIDE_KEYS="one,two") as (address, process):
        for key, status in (("one", 200), ("two", 200), ("three", 401)) * 2:
            headers = {"Authorization": f"Bearer {key}", "Connection": "close"}
            body = {"input": "Hi.", "voice": "mine", "response_format": "pcm"}
            assert http.post(f"{address}/v1/audio/speech", json=body, headers=headers).status_code == status
        process.send_signal(signal.SIGINT)
        process.wait(20)
        with pytest.raises(httpx.TransportError):
            http.get(f"{address}/healthz")


@pytest.mark.sweep  # 8 s, five of them the time that an open request is given
def test_an_open_stream_does_not_keep_it_from_ending() -> None:
    with served() as (address, process), httpx.Client(verify=False, timeout=20) as client:
        with client.stream("POST", f"{address}/v1/audio/speech", json={"input": LONG, "response_format": "wav"}) as got:
            next(got.iter_raw())
            process.send_signal(signal.SIGINT)
            process.wait(15)
        assert process.returncode in (0, -signal.SIGINT, 130)
