"""Who is let in: pages of other sites, names that point here, bodies that are too much or too slow, clients that leave
early."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import numpy as np
import pytest

pytest.importorskip("fastapi")
pytest.importorskip("av")

from aoide.config import UserError  # noqa: E402
from aoide.serve import address as addresses  # noqa: E402
from aoide.serve import guard  # noqa: E402
from aoide.serve.settings import Settings  # noqa: E402
from tests.serve.server import counters, http, raw, running, settled  # noqa: E402

SPEECH = "/v1/audio/speech"
LONG = "This is one sentence of a long text that nobody will hear to its end. " * 50
SOCKET = SPEECH + "/stream"


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with running(waiting=2, patience=0.5, origins=("https://mine.example",), most_characters=50_000) as at:
        yield at


# --------------------------------------------------------------------------------------------------------------- pages


@pytest.mark.parametrize(
    ("host", "origin", "let_in"),
    [
        ("127.0.0.1:8000", "", True),
        ("localhost:8000", "", True),
        ("[::1]:8000", "", True),
        ("127.0.0.1:8000", "http://127.0.0.1:8000", True),  # its own page
        ("127.0.0.1:8000", "https://mine.example", True),  # of --origin
        ("mine.example", "https://mine.example", True),
        ("127.0.0.1:8000", "http://evil.example", False),
        ("127.0.0.1:8000", "http://127.0.0.1:9999", False),  # another server of this machine
        ("127.0.0.1:8000", "null", False),  # a page in a sandbox
        ("evil.example:8000", "http://evil.example:8000", False),  # a name that was pointed here
        ("evil.example", "", False),
        ("127.0.0.1.evil.example", "", False),
        ("[::1", "", False),
        ("", "", False),
    ],
)
def test_which_pages_may_call(host: str, origin: str, let_in: bool) -> None:
    headers = {b"host": host.encode()} | ({b"origin": origin.encode()} if origin else {})
    assert (addresses.foreign(headers, ("https://mine.example",)) == "") is let_in
    assert addresses.foreign(headers, ("*",)) == ""


def test_a_foreign_page_is_turned_away(address: str) -> None:
    """What a form or a script of another site sends without asking: no sound is made for it."""
    evil = {"Origin": "http://evil.example", "Content-Type": "text/plain"}
    answer = http.post(address + SPEECH, content=b'{"input": "Hi."}', headers=evil)
    assert answer.status_code == 403 and "--origin" in answer.json()["error"]["message"]
    answer = http.post(address + SPEECH, json={"input": "Hi."}, headers={"Host": "evil.example"})
    assert answer.status_code == 403
    assert "access-control-allow-origin" not in answer.headers


def test_a_page_that_may_call_is_told_so(address: str) -> None:
    asks = {
        "Origin": "https://mine.example",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type,authorization",
    }
    answer = http.options(address + SPEECH, headers=asks)
    assert answer.status_code == 200 and answer.headers["access-control-allow-origin"] == "https://mine.example"
    answer = http.post(address + SPEECH, json={"input": "?"}, headers={"Origin": "https://mine.example"})
    assert answer.status_code == 400 and answer.headers["access-control-allow-origin"] == "https://mine.example"
    evil = {**asks, "Origin": "http://evil.example"}
    assert "access-control-allow-origin" not in http.options(address + SPEECH, headers=evil).headers


def test_a_socket_of_a_foreign_page_is_not_opened(address: str) -> None:
    from websockets.exceptions import InvalidStatus
    from websockets.sync.client import connect

    with (
        pytest.raises(InvalidStatus, match="403"),
        connect(address.replace("http", "ws") + SOCKET, origin="http://e.x"),
    ):
        pass
    with connect(address.replace("http", "ws") + SOCKET, origin="https://mine.example"):
        pass
    assert settled(address, "aoide_active_requests", 0)


def test_a_socket_needs_a_key_too() -> None:
    from websockets.exceptions import InvalidStatus
    from websockets.sync.client import connect

    with running(keys=("secret",)) as at:
        with pytest.raises(InvalidStatus, match="403"), connect(at.replace("http", "ws") + SOCKET):
            pass
        with connect(
            at.replace("http", "ws") + SOCKET,
            additional_headers={"Authorization": "Bearer secret", "Origin": "http://x"},
        ) as known:
            known.send("{")
            assert "error" in json.loads(known.recv(timeout=5))
        evil = {"Host": "voice.example", "Authorization": "Bearer secret"}  # who has a key may call it what they like
        assert http.get(at + "/v1/models", headers=evil).status_code == 200


@pytest.mark.parametrize("one", ["example.org", "https://example.org/page", "https://Example.org", "https://a b"])
def test_an_origin_that_is_none(one: str) -> None:
    with pytest.raises(UserError, match=r"https://example\.org"):
        Settings(origins=(one,))


@pytest.mark.parametrize("field", ["most_seconds", "patience"])
def test_a_bound_that_is_no_number_bounds_nothing_and_is_refused(field: str) -> None:
    with pytest.raises(UserError, match=field):
        Settings(**{field: float("nan")})


def test_keys_of_the_environment_hold_for_any_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """`uvicorn --factory aoide.serve:create_app` reads them as `aoide serve` does."""
    monkeypatch.setenv("AOIDE_KEYS", "one, two ")
    assert Settings.of_environment().keys == ("one", "two")
    monkeypatch.setenv("AOIDE_SERVE", json.dumps({"keys": ["three"], "origins": ["*"]}))
    assert Settings.of_environment() == Settings(keys=("three",), origins=("*",))


# -------------------------------------------------------------------------------------------------------------- bodies


def test_the_bound_of_a_body_follows_that_of_the_text(address: str) -> None:
    """50,000 characters, as this server takes, each escaped, are 300 kB."""
    body = json.dumps({"input": "?\u3042" * 24_000}).encode()
    assert len(body) > 160_000
    padded = b" " * 200_000 + body
    answer = http.post(address + SPEECH, content=padded, headers={"Content-Type": "application/json"})
    assert answer.status_code in (200, 400)


async def guarded(kept: guard.Guard, wait: float, pieces: int, sent: list[Any]) -> None:
    """A file comes to /file in pieces of 10 bytes, one each `wait` seconds."""
    left = pieces

    async def receive() -> Any:
        nonlocal left
        await asyncio.sleep(wait)
        left -= 1
        return {"type": "http.request", "body": b"x" * 10, "more_body": left > 0}

    async def send(message: Any) -> None:
        sent.append(message.get("status") or message["body"])

    scope = {"type": "http", "path": "/file", "method": "POST", "headers": [(b"host", b"localhost")]}
    await kept(scope, receive, send)


async def reading(scope: Any, receive: Any, send: Any) -> None:
    while (await receive())["more_body"]:
        pass
    await send({"type": "http.response.start", "status": 200})


def test_who_sends_drop_by_drop_is_dropped() -> None:
    """Never silent for as long as one may be, and never done."""
    refused: list[str] = []
    kept = guard.Guard(reading, Settings(patience=0.2), ("/file",), refused.append)
    sent: list[Any] = []
    asyncio.run(asyncio.wait_for(guarded(kept, 0.05, 1000, sent), 5))
    assert sent[0] == 408 and refused == ["slow"]
    sent.clear()
    asyncio.run(guarded(kept, 0.001, 5, sent))
    assert sent == [200]


def test_no_more_files_come_at_a_time_than_there_may_be_requests() -> None:
    """Each lies on the disk while it comes."""
    refused: list[str] = []
    kept = guard.Guard(reading, Settings(waiting=2), ("/file",), refused.append)

    async def three() -> list[list[Any]]:
        sent: list[list[Any]] = [[], [], []]
        await asyncio.gather(*(guarded(kept, 0.02, 3, own) for own in sent))
        later: list[Any] = []
        await guarded(kept, 0, 1, later)
        return [*sent, later]

    found = asyncio.run(three())
    assert [own[0] for own in found] == [200, 200, 429, 200] and refused == ["full"]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"[" * 100_000, 400),  # deeper than a parser goes
        (b'{"input": "Hi.", "seed": ' + b"9" * 10_000 + b"}", 400),
        (b'{"input": "Hi.", "seed": 1e999}', 422),
        (b'{"input": "\\ud800"}', 400),
        (b'{"input": null}', 422),
        (b'{"input": ["Hi."], "voice": {}}', 422),
        (b'"Hi."', 422),
        (b"\xff\xfe", 400),
        (b"", 422),
    ],
)
def test_json_that_is_meant_ill(address: str, body: bytes, status: int) -> None:
    answer = http.post(address + SPEECH, content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == status and answer.json()["error"]["message"]


def test_a_form_of_a_thousand_fields_is_refused(address: str) -> None:
    fields = {f"a{n}": "x" for n in range(1500)}
    answer = http.post(f"{address}/v1/audio/convert", data=fields, files={"file": b"x"})
    assert answer.status_code == 400 and answer.json()["error"]["message"]


def test_other_methods_and_addresses_are_told(address: str) -> None:
    assert http.head(f"{address}/healthz").status_code == 200
    wrong = http.get(address + SPEECH)
    assert wrong.status_code == 405 and "GET /docs" in wrong.json()["error"]["message"]
    nothing = http.get(f"{address}/v1/nothing")
    assert nothing.status_code == 404 and "/v1/nothing" in nothing.json()["error"]["message"]
    assert http.get(f"{address}/v1/models/en-heart").json()["id"] == "en-heart"
    assert "en-heart" in http.get(f"{address}/v1/models/en-hart").json()["error"]["message"]
    assert "trace" in http.get(f"{address}/explorer").text


def test_requests_behind_each_other_on_one_connection(address: str) -> None:
    """The second is answered after the first, and a body that is too large ends the connection."""
    body = b'{"input": "?"}'
    ask = b"POST %s HTTP/1.1\r\nHost: HOST\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
    one = ask % (SPEECH.encode(), len(body), body)
    last = one.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n", 1)
    assert raw(address, one + one + last).count(b"HTTP/1.1 400") == 3
    large = b"POST %s HTTP/1.1\r\nHost: HOST\r\nTransfer-Encoding: chunked\r\n\r\n" % SPEECH.encode()
    chunks = b"".join(b"10000\r\n%s\r\n" % (b" " * 65536) for _ in range(12))
    assert raw(address, large + chunks + one).count(b"HTTP/1.1") == 1
    both = b"POST %s HTTP/1.1\r\nHost: HOST\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    assert b"HTTP/1.1 200" not in raw(address, both % SPEECH.encode() + one, seconds=2)[:30]


def test_full_means_come_back_later(address: str) -> None:
    with ExitStack() as open_ones:
        for _ in range(2):
            body = {"input": LONG, "response_format": "pcm"}
            open_ones.enter_context(http.stream("POST", address + SPEECH, json=body))
        answer = http.post(address + SPEECH, json={"input": "Hi."})
    assert answer.status_code == 429 and 1 <= int(answer.headers["retry-after"]) <= 60
    assert settled(address, "aoide_active_requests", 0)


# ------------------------------------------------------------------------------------------------- clients that leave


def test_who_leaves_before_the_first_sound_is_not_spoken_to(monkeypatch: pytest.MonkeyPatch) -> None:
    from aoide.generate.voice import Voice

    with running() as at:
        began, go_on, spoken = threading.Event(), threading.Event(), []
        whole = Voice.render

        def slow(self: Any, phonemes: list[str], *others: Any) -> Any:
            spoken.append(phonemes)
            began.set()
            go_on.wait(5)
            return whole(self, phonemes, *others)

        monkeypatch.setattr(Voice, "render", slow)
        body = json.dumps({"input": "One. Two. Three.", "response_format": "pcm"}).encode()
        host, port = at.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port))) as client:
            client.sendall(
                b"POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
                % (SPEECH.encode(), len(body), body)
            )
            assert began.wait(5)
        assert settled(at, 'aoide_requests_total{how="left",task="speech"}', 1)
        assert counters(at)["aoide_active_requests"] == 0
        go_on.set()
        assert settled(at, "aoide_waiting_sentences", 0)
    assert len(spoken) == 1  # the second was in the line, and was left out


def test_an_encoder_that_fails_leaves_the_door(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    from aoide.config import MissingExtra
    from aoide.serve import speech

    def missing(*_: Any) -> Any:
        raise MissingExtra("av", extra="serve")

    monkeypatch.setattr(speech, "Encoder", missing)
    answer = http.post(address + SPEECH, json={"input": "Hi."})
    assert answer.status_code == 501 and "aoide[serve]" in answer.json()["error"]["message"]
    assert counters(address)["aoide_active_requests"] == 0


def test_who_leaves_a_socket_after_the_end_is_not_spoken_to(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    from websockets.sync.client import connect

    from aoide.generate.voice import Voice

    began, go_on = threading.Event(), threading.Event()

    def slow(self: Any, phonemes: list[str], *_: Any) -> Any:
        began.set()
        go_on.wait(5)
        return [[] for _ in phonemes]

    monkeypatch.setattr(Voice, "render", slow)
    with connect(address.replace("http", "ws") + SOCKET) as client:
        for message in ({}, {"text": "One. Two."}, {"end": True}):
            client.send(json.dumps(message))
        assert began.wait(5)
    left = settled(address, "aoide_active_requests", 0, seconds=3)
    go_on.set()
    assert left


def test_half_a_letter_on_a_socket(address: str) -> None:
    from websockets.sync.client import connect

    with connect(address.replace("http", "ws") + SOCKET) as client:
        for message in ("{}", '{"text": "Hi\\ud800 there."}', '{"end": true}'):
            client.send(message)
        assert "there" in json.loads(client.recv(timeout=10))["sentence"]
        assert np.frombuffer(client.recv(timeout=10), "<i2").std() > 100
        assert json.loads(client.recv(timeout=10)) == {"done": True}


def test_a_message_that_is_too_large_ends_the_socket(address: str) -> None:
    """It is not even read."""
    from websockets.exceptions import ConnectionClosed
    from websockets.sync.client import connect

    with connect(address.replace("http", "ws") + SOCKET) as client, pytest.raises(ConnectionClosed, match="1009"):
        client.send("x" * 400_000)
        client.recv(timeout=5)
    assert settled(address, "aoide_active_requests", 0)
