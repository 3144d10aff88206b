"""Text in, speech out: POST /v1/audio/speech as OpenAI's programs call it, and a WebSocket for text that is still being
written."""

from __future__ import annotations

import asyncio
import base64
import json
import queue
import time
from collections.abc import AsyncIterator
from typing import Any, Literal

from fastapi import APIRouter, Request, Response, WebSocket, WebSocketDisconnect
from pydantic import BaseModel, Field, ValidationError

from aoide.config import UserError
from aoide.generate.stream import Speech
from aoide.generate.voice import PITCHES, SPEEDS
from aoide.serve.encode import TYPES, Encoder
from aoide.serve.engine import pieces
from aoide.serve.responses import GoneError, RequestError, SoundResponse, unless_gone
from aoide.serve.state import Server, Shared

router = APIRouter()
LONGEST = 3600  # seconds that a WebSocket may be open
PARTING = 5  # seconds in which it may be told why it is closed
Format = Literal["mp3", "opus", "aac", "flac", "wav", "pcm"]
HEADER = "X-Aoide-Provenance"  # where a format has no place for it, the answer still says that the sound is synthetic


class Settled(BaseModel):
    """How something shall be said."""

    voice: str = Field("", max_length=200, description="a voice of /v1/models; OpenAI's names mean the default voice")
    response_format: Format = "mp3"
    speed: float = Field(1.0, ge=0.25, le=4.0, description=f"kept between {SPEEDS[0]} and {SPEEDS[1]}")
    pitch: float = Field(0.0, ge=PITCHES[0], le=PITCHES[1], description="semitones")
    seed: int = Field(0, ge=0, lt=2**31, description="of what is left to chance")


class SpeechRequest(Settled):
    """As OpenAI defines it, with `pitch` and `seed` added; `instructions` are taken and not followed."""

    input: str = Field(description="what to say")
    model: str = Field("", max_length=200, description="a model of /v1/models, or any of OpenAI's")
    instructions: str | None = None
    stream_format: Literal["audio", "sse"] = "audio"


ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {"content": {kind: {} for kind in TYPES.values()}, "description": "the sound, sent while it is made"},
    400: {"description": "the request cannot be done: the message says why"},
    401: {"description": "a key is needed"},
    404: {"description": "no such voice"},
    413: {"description": "too long"},
    422: {"description": "a field is missing or of the wrong type"},
    429: {"description": "the server is full: come back after Retry-After seconds"},
}


@router.post("/v1/audio/speech", response_class=Response, responses=ANSWERS)
async def speech(request: SpeechRequest, http: Request, server: Shared) -> SoundResponse:
    """Says a text of any voice, and sends it sentence by sentence."""
    voice = model_voice(server, request)
    if len(request.input) > server.settings.most_characters:
        most = server.settings.most_characters
        raise RequestError(
            413, f"input has {len(request.input):,} characters; at most {most:,} are spoken at once", "input"
        )
    of = server.engine.voices[voice]
    tags = of.tags(request.seed)
    encoder = Encoder(request.response_format, of.sample_rate, tags)
    leave = server.door.enter()
    started = time.perf_counter()
    spoken = say(server, request, voice, request.input)

    async def ended(how: str) -> None:
        leave()
        server.counters.requests.labels("speech", how).inc()
        await spoken.aclose()  # type: ignore[attr-defined]

    try:
        first = await unless_gone(http.receive, anext(spoken))
        server.counters.first.labels("speech").observe(time.perf_counter() - started)
        sent, kind = encoded(server, encoder, first, spoken), encoder.type
        if request.stream_format == "sse":
            sent, kind = events(sent), "text/event-stream"
        return SoundResponse(sent, kind, {HEADER: as_header(tags["comment"])}, server.settings.patience, ended)
    except BaseException as error:
        await ended("left" if isinstance(error, GoneError) else "failed")
        if isinstance(error, UserError):
            raise RequestError(400, str(error), "input") from None
        raise


def as_header(text: str) -> str:
    """As a header can carry it: no line ends and nothing that controls, Latin letters."""
    plain = "".join(letter if letter.isprintable() else "?" for letter in " ".join(text.split()))
    return plain.encode("latin-1", "replace").decode("latin-1")


def model_voice(server: Server, request: SpeechRequest) -> str:
    """The voice that a request means: what `voice` names, or else `model`, where that is one of ours."""
    if not request.voice and request.model in server.folders:
        return request.model
    return server.voice(request.voice)


def say(server: Server, settled: Settled, voice: str, text: Any, executor: Any = None) -> AsyncIterator[Speech]:
    speed = min(max(settled.speed, SPEEDS[0]), SPEEDS[1])
    return server.engine.speak(voice, text, speed=speed, pitch=settled.pitch, seed=settled.seed, executor=executor)


async def encoded(server: Server, encoder: Encoder, first: Speech, rest: AsyncIterator[Speech]) -> AsyncIterator[bytes]:
    """The bytes of speech, and of its end."""
    yield await _add(server, encoder, first)
    async for speech in rest:
        yield await _add(server, encoder, speech)
    yield encoder.close()


async def _add(server: Server, encoder: Encoder, speech: Speech) -> bytes:
    server.counters.sound.labels("speech").inc(speech.sound.seconds)
    return await asyncio.to_thread(encoder.add, speech.sound.samples)


async def events(sent: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The same as server-sent events: speech.audio.delta with base64, and speech.audio.done."""
    try:
        async for data in sent:
            if data:
                text = base64.b64encode(data).decode("ascii")
                yield b"data: " + json.dumps({"type": "speech.audio.delta", "audio": text}).encode() + b"\n\n"
        yield b'data: {"type": "speech.audio.done"}\n\n'
    finally:
        await sent.aclose()  # type: ignore[attr-defined]


# ------------------------------------------------------------------------------------------------------------ WebSocket


class Start(Settled):
    """The first message of a WebSocket."""

    response_format: Format = "pcm"


@router.websocket("/v1/audio/speech/stream")
async def stream(socket: WebSocket) -> None:
    """Speaks a text while it is written.

    The first message is `Start`, then come {"text": "..."}, any number of times, and {"end": true}. Back come for each
    sentence {"sentence": TEXT, "start": SECONDS} and its sound in binary, and {"done": true} at the end; what went
    wrong comes as {"error": TEXT}.
    """
    server: Server = socket.app.state.server
    await socket.accept()
    if server.sockets >= server.settings.sockets:
        await _refuse(socket, "the server has as many sockets open as it takes", 1013)
        return
    server.sockets += 1
    how = "failed"
    try:
        with server.door.pass_through():
            async with asyncio.timeout(LONGEST):
                how = await _converse(server, socket)
    except TimeoutError:
        await _refuse(socket, f"a socket lasts {LONGEST // 60} minutes at most", 1008)
    except RequestError as error:
        await _refuse(socket, str(error), 1013 if error.status == 429 else 1008)
    except (ValidationError, UserError) as error:
        await _refuse(socket, _plain(error), 1008)
    except (WebSocketDisconnect, RuntimeError):  # starlette says the latter of a socket that is closed already
        how = "left"
    finally:
        server.sockets -= 1
        server.counters.requests.labels("stream", how).inc()


async def _converse(server: Server, socket: WebSocket) -> str:
    start = Start.model_validate_json(await _next(server, socket))
    voice = server.voice(start.voice)
    of = server.engine.voices[voice]
    encoder = Encoder(start.response_format, of.sample_rate, of.tags(start.seed))
    feed: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    reader = asyncio.create_task(_read(server, socket, feed))
    spoken = say(server, start, voice, pieces(feed), server.listeners)
    speaker = asyncio.create_task(_send(server, socket, encoder, spoken))
    try:
        await asyncio.wait({reader, speaker}, return_when=asyncio.FIRST_COMPLETED)  # the reader only ends in an error
        for task in (reader, speaker):
            if task.done():
                task.result()
    finally:
        feed.put(None)
        for task in (reader, speaker):
            task.cancel()
        await asyncio.gather(reader, speaker, return_exceptions=True)
        await spoken.aclose()  # type: ignore[attr-defined]
    await socket.send_text('{"done": true}')
    await socket.close()
    return "sent"


async def _next(server: Server, socket: WebSocket) -> str:
    """The next message.

    Raises:
        UserError: none came for too long, or one that is not text or too long.
    """
    try:
        text = await asyncio.wait_for(socket.receive_text(), server.settings.patience)
    except TimeoutError:
        raise UserError(f"nothing came for {server.settings.patience:g} s") from None
    except KeyError:
        raise UserError("messages are JSON texts, and this one is binary") from None
    if len(text) > server.settings.most_message:
        raise UserError(f"a message holds at most {server.settings.most_characters:,} characters of text")
    return text


async def _read(server: Server, socket: WebSocket, feed: queue.SimpleQueue[str | None]) -> None:
    """Hands on what the client writes; when that is at its end, only sees to it that somebody still listens.

    Raises:
        UserError: something else came, or more than may be written, or nothing for too long.
        WebSocketDisconnect: the client has gone.
    """
    total = 0
    while True:
        text = await _next(server, socket)
        try:
            message = json.loads(text)
        except (ValueError, RecursionError):
            raise UserError('a message is not JSON; send {"text": "..."} or {"end": true}') from None
        if isinstance(message, dict) and message.get("end") is True:
            feed.put(None)
            break
        if not isinstance(message, dict) or not isinstance(message.get("text"), str):
            raise UserError('send {"text": "..."} or {"end": true}')
        total += len(message["text"])
        if total > server.settings.most_characters:
            raise UserError(f"at most {server.settings.most_characters:,} characters are spoken on one socket")
        feed.put(message["text"].encode("utf-8", "replace").decode())  # half a surrogate pair is no letter
    while (await socket.receive())["type"] != "websocket.disconnect":
        pass
    raise WebSocketDisconnect


async def _send(server: Server, socket: WebSocket, encoder: Encoder, spoken: AsyncIterator[Speech]) -> None:
    """Sends each sentence and its sound.

    Raises:
        UserError: the client takes nothing for too long, or nothing can be said.
    """
    patience = server.settings.patience
    async for speech in spoken:
        data = await _add(server, encoder, speech)
        sentence = {"sentence": speech.text, "start": round(speech.start, 3)}
        try:
            async with asyncio.timeout(patience):
                await socket.send_text(json.dumps(sentence, ensure_ascii=False))
                if data:
                    await socket.send_bytes(data)
        except TimeoutError:
            raise UserError(f"nothing was taken for {patience:g} s") from None
    if data := encoder.close():
        await socket.send_bytes(data)


async def _refuse(socket: WebSocket, message: str, code: int) -> None:
    try:
        async with asyncio.timeout(PARTING):
            await socket.send_text(json.dumps({"error": message}, ensure_ascii=False))
            await socket.close(code)
    except (WebSocketDisconnect, RuntimeError, TimeoutError):  # it has gone already, or takes nothing
        pass


def _plain(error: ValidationError | UserError) -> str:
    if isinstance(error, UserError):
        return str(error)
    return "; ".join(f"{'.'.join(map(str, e['loc'])) or 'message'}: {e['msg']}" for e in error.errors())
