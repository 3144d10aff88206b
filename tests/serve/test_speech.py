"""The speech API over a real connection: formats, streaming, errors, clients that misbehave."""

from __future__ import annotations

import io
import json
import socket
from collections.abc import Iterator

import numpy as np
import pytest

pytest.importorskip("fastapi")
av = pytest.importorskip("av")

import aoide  # noqa: E402
from aoide.serve.encode import TYPES  # noqa: E402
from tests.serve.server import counters, http, running, settled  # noqa: E402

TEXT = "Any input becomes sound. It does."
SPEECH = "/v1/audio/speech"
LONG = "This is one sentence of a long text that nobody will hear to its end. " * 50


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with running(waiting=4, most_bytes=1_000_000, most_seconds=5.0, patience=0.5) as at:
        yield at


@pytest.fixture(scope="module")
def said() -> np.ndarray:
    return aoide.load("en-heart").say(TEXT).samples


def decoded(data: bytes, format: str) -> np.ndarray:
    if format == "pcm":
        return np.frombuffer(data, "<i2") / 32768
    with av.open(io.BytesIO(data)) as container:
        frames = [frame.to_ndarray().ravel() for frame in container.decode(audio=0)]
    samples = np.concatenate(frames)
    return samples / 32768 if samples.dtype == np.int16 else samples


@pytest.mark.parametrize("format", TYPES)
def test_every_format_holds_the_whole_sound(address: str, said: np.ndarray, format: str) -> None:
    answer = http.post(
        address + SPEECH, json={"model": "tts-1", "voice": "alloy", "input": TEXT, "response_format": format}
    )
    assert answer.status_code == 200 and answer.headers["content-type"] == TYPES[format]
    assert "synthetic: yes" in answer.headers["x-aoide-provenance"]
    samples = decoded(answer.content, format)
    if format in ("wav", "pcm", "flac"):  # lossless: sample by sample what the voice says
        assert np.abs(samples - np.clip(said, -1, 1)).max() < 1e-4
    else:
        rate = 48_000 if format == "opus" else 24_000
        assert abs(len(samples) / rate - len(said) / 24_000) < 0.1
        assert np.sqrt(np.mean(samples**2)) == pytest.approx(np.sqrt(np.mean(said**2)), rel=0.1)


def test_files_say_that_they_are_synthetic(address: str) -> None:
    for format in ("mp3", "opus", "flac", "wav"):
        answer = http.post(address + SPEECH, json={"input": "Hello.", "response_format": format})
        with av.open(io.BytesIO(answer.content)) as container:
            tags = {**container.metadata, **container.streams.audio[0].metadata}
        assert "synthetic: yes" in {k.lower(): v for k, v in tags.items()}["comment"], format


@pytest.mark.sweep
def test_speed_pitch_and_seed_are_the_voice_s_own(address: str) -> None:
    settings = {"speed": 1.5, "pitch": 3.0, "seed": 7}
    answer = http.post(address + SPEECH, json={"input": TEXT, "response_format": "pcm", **settings})
    wanted = aoide.load("en-heart").say(TEXT, **settings).samples
    assert np.abs(decoded(answer.content, "pcm") - wanted).max() < 1e-4


def test_sound_comes_sentence_by_sentence(address: str) -> None:
    """The first piece is there when most of the text is still unspoken."""
    with http.stream("POST", address + SPEECH, json={"input": LONG, "response_format": "pcm"}) as answer:
        next(answer.iter_raw())
        spoken = counters(address)['aoide_sound_seconds_total{task="speech"}']
    assert settled(address, "aoide_active_requests", 0)
    assert counters(address)['aoide_sound_seconds_total{task="speech"}'] < spoken + 100


def test_server_sent_events(address: str, said: np.ndarray) -> None:
    import base64

    body = {"input": TEXT, "response_format": "pcm", "stream_format": "sse"}
    answer = http.post(address + SPEECH, json=body)
    found = [json.loads(line[6:]) for line in answer.text.splitlines() if line.startswith("data: ")]
    assert found[-1] == {"type": "speech.audio.done"} and len(found) > 2
    data = b"".join(base64.b64decode(event["audio"]) for event in found[:-1])
    assert np.abs(decoded(data, "pcm") - said).max() < 1e-4


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        (b'{"in', 400, "not JSON"),
        (b"[]", 422, "dictionary"),
        (b"{}", 422, "input"),
        (b'{"input": 3}', 422, "string"),
        (b'{"input": ""}', 400, "nothing to say"),
        (b'{"input": "?!"}', 400, "nothing to say"),
        (b'{"input": "Hi.", "voice": "en-hart"}', 404, "did you mean en-heart"),
        (b'{"input": "Hi.", "response_format": "doc"}', 422, "'mp3'"),
        (b'{"input": "Hi.", "speed": 9}', 422, "speed"),
        (b'{"input": "Hi.", "speed": NaN}', 422, "speed"),
        (b'{"input": "%s"}' % (b"a " * 2100), 413, "4,096"),
        (b'{"input": "%s"}' % (b"a" * 1_000_000), 413, "larger"),
    ],
)
def test_errors_teach(address: str, body: bytes, status: int, says: str) -> None:
    answer = http.post(address + SPEECH, content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == status, answer.text
    assert says in answer.json()["error"]["message"]


def test_a_body_that_never_says_its_length_is_counted(address: str) -> None:
    answer = http.post(address + SPEECH, content=(b"x" * 10_000 for _ in range(100)))
    assert answer.status_code == 413


def test_who_leaves_is_not_spoken_to(address: str) -> None:
    before = counters(address).get('aoide_requests_total{how="left",task="speech"}', 0)
    with http.stream("POST", address + SPEECH, json={"input": LONG, "response_format": "pcm"}) as answer:
        next(answer.iter_raw())
    assert settled(address, 'aoide_requests_total{how="left",task="speech"}', before + 1)
    assert settled(address, "aoide_waiting_sentences", 0) and settled(address, "aoide_active_requests", 0)


@pytest.mark.sweep  # 5 s: until the buffers of the system are full
def test_who_takes_nothing_is_dropped(address: str) -> None:
    host, port = address.removeprefix("http://").split(":")
    body = json.dumps({"input": LONG, "response_format": "wav"}).encode()
    with socket.socket() as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.connect((host, int(port)))
        slow.sendall(
            b"POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
            % (SPEECH.encode(), len(body), body)
        )
        assert settled(address, 'aoide_requests_total{how="stalled",task="speech"}', 1, seconds=20)
    assert settled(address, "aoide_active_requests", 0)


def test_who_sends_nothing_is_dropped(address: str) -> None:
    host, port = address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as slow:
        slow.sendall(b"POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: 50\r\n\r\n{" % SPEECH.encode())
        assert b" 408 " in slow.recv(100)


@pytest.mark.sweep  # 4 s, most of it to import the client
def test_openai_s_own_client(address: str, said: np.ndarray) -> None:
    openai = pytest.importorskip("openai")
    client = openai.OpenAI(base_url=f"{address}/v1", api_key="none", max_retries=0)
    assert "en-heart" in [model.id for model in client.models.list()]
    with client.audio.speech.with_streaming_response.create(
        model="tts-1", voice="alloy", input=TEXT, response_format="pcm"
    ) as answer:
        assert np.abs(decoded(b"".join(answer.iter_bytes()), "pcm") - said).max() < 1e-4
    with pytest.raises(openai.NotFoundError, match="no voice 'nobody'"):
        client.audio.speech.create(model="tts-1", voice="nobody", input="Hi.")


def test_keys() -> None:
    with running(keys=("secret",)) as at:
        assert http.get(at + "/healthz").status_code == 200
        for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "secret"}):
            answer = http.post(at + SPEECH, json={"input": "Hi."}, headers=headers)
            assert answer.status_code == 401 and "Bearer" in answer.json()["error"]["message"]
        answer = http.post(at + SPEECH, json={"input": "Hi."}, headers={"Authorization": "Bearer secret"})
        assert answer.status_code == 200
        assert http.get(at + "/metrics").status_code == 401


# ------------------------------------------------------------------------------------------------------------ WebSocket


def converse(address: str, *messages: object) -> tuple[list[dict], bytes]:
    """What comes back on a WebSocket: texts, and the sound."""
    from websockets.exceptions import ConnectionClosed
    from websockets.sync.client import connect

    texts, sound = [], b""
    with connect(address.replace("http", "ws") + SPEECH + "/stream") as socket:
        for message in messages:
            socket.send(message if isinstance(message, str | bytes) else json.dumps(message))
        try:
            while True:
                got = socket.recv(timeout=20)
                if isinstance(got, bytes):
                    sound += got
                else:
                    texts.append(json.loads(got))
        except ConnectionClosed:
            return texts, sound


def test_text_in_pieces_sound_out(address: str, said: np.ndarray) -> None:
    pieces = [{"text": TEXT[i : i + 5]} for i in range(0, len(TEXT), 5)]
    texts, sound = converse(address, {"voice": "en-heart"}, *pieces, {"end": True})
    assert [text.get("sentence") for text in texts[:-1]] == ["Any input becomes sound.", "It does."]
    assert texts[-1] == {"done": True}
    assert np.abs(decoded(sound, "pcm") - said).max() < 1e-4


@pytest.mark.parametrize(
    ("messages", "says"),
    [
        (["{"], "JSON"),
        ([{"voice": "nobody"}], "no voice"),
        ([{"speed": 100}], "speed"),
        ([{}, "no"], "JSON"),
        ([{}, {"txt": "x"}], '"text"'),
        ([{}, b"\0"], "binary"),
        ([{}, {"text": "a" * 5000}], "4,096"),
        ([{}, {"end": True}], "nothing to say"),
        ([{}], "nothing came"),
    ],
)
def test_errors_on_a_socket(address: str, messages: list, says: str) -> None:
    texts, sound = converse(address, *messages)
    assert says in texts[-1]["error"] and not sound
    assert settled(address, "aoide_active_requests", 0)


def test_what_comes_after_the_end_is_not_read(address: str) -> None:
    texts, sound = converse(address, {}, {"text": "Any input becomes sound."}, {"end": True}, b"\0", "no")
    assert texts[-1] == {"done": True} and sound


def test_the_api_describes_itself(address: str) -> None:
    paths = http.get(address + "/openapi.json").json()["paths"]
    assert {"/v1/audio/speech", "/v1/audio/convert", "/v1/audio/sing", "/v1/models", "/healthz"} <= set(paths)
    assert "audio/mpeg" in paths[SPEECH]["post"]["responses"]["200"]["content"]
