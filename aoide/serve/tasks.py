"""Files and descriptions in, sound out: POST /v1/audio/convert, /sing, /sound and /resynth."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import ExitStack, asynccontextmanager
from typing import Annotated, Any, Literal

import numpy as np
from fastapi import APIRouter, File, Form, Request, Response, UploadFile
from pydantic import BaseModel, Field

from aoide.config import UserError, near
from aoide.generate.convert import Source
from aoide.generate.voice import PITCHES, SPEEDS
from aoide.serve import state, uploads
from aoide.serve.encode import Encoder
from aoide.serve.responses import GoneError, RequestError, SoundResponse, unless_gone
from aoide.serve.speech import ANSWERS, HEADER, Format, as_header
from aoide.serve.state import Server, Shared

router = APIRouter()
Upload = Annotated[UploadFile, File(description="the file itself; a name or path of it is not used")]
REMARK = "X-Aoide-Remark"
UPLOADS = ("/v1/audio/convert", "/v1/audio/sing")
ANSWERS = {**ANSWERS, 415: {"description": "the file is none that can be read"}}


@router.post("/v1/audio/convert", response_class=Response, responses=ANSWERS)
async def convert(
    http: Request,
    server: Shared,
    file: Upload,
    voice: Annotated[str, Form(max_length=200, description="a singer of the converter")] = "",
    model: Annotated[str, Form(max_length=200, description="a converter of /v1/models")] = "",
    task: Annotated[Literal["svc", "vc"], Form(description="singing, or speech")] = "svc",
    transpose: Annotated[str, Form(max_length=20, description="semitones, or auto")] = "auto",
    response_format: Annotated[Format, Form()] = "mp3",
) -> SoundResponse:
    """Makes another voice of a recording."""
    from aoide import voices

    moved = _semitones(transpose)
    async with _inside(server, http, "convert") as stack:
        data = await _read(server, file)
        converter = await server.load(model or voices.DEFAULT_CONVERTER, "converter")
        if voice and voice not in converter.singers:
            guess = near(voice, converter.singers) or f" there is {', '.join(converter.singers)}"
            raise RequestError(404, f"{converter.name} has no singer {voice!r};{guess}", "voice")
        heard = Source.of(await server.work(_as_error, uploads.sound, data, server.settings.most_seconds))
        made = converter.stream(heard, voice or None, transpose=moved, f0="swift", task=task)
        tags = converter.tags(voice or None)
        return await _sent(http, "convert", made, converter.sample_rate, response_format, tags, stack)


@router.post("/v1/audio/sing", response_class=Response, responses=ANSWERS)
async def sing(
    http: Request,
    server: Shared,
    file: Upload,
    voice: Annotated[str, Form(max_length=200, description="a singer of /v1/models")] = "",
    transpose: Annotated[int, Form(ge=-24, le=24, description="semitones")] = 0,
    seed: Annotated[int, Form(ge=0, lt=2**31)] = 0,
    response_format: Annotated[Format, Form()] = "mp3",
) -> SoundResponse:
    """Sings a score: MusicXML, MIDI with lyrics, UST, USTX, a DiffSinger script, HTS labels, by the file's ending."""
    from aoide import voices
    from aoide.text import lyrics

    async with _inside(server, http, "sing") as stack:
        data = await _read(server, file, uploads.SCORE_BYTES)
        score = await server.work(_as_error, uploads.score, data, file.filename or "")
        language = lyrics.language_of(score) if any(note.lyric for note in score.notes) else "en"
        chosen = voice or voices.DEFAULT_SINGERS.get(language, "")
        if not chosen:
            raise RequestError(400, f"no singer of this server sings {language!r}; name one with voice", "voice")
        if score.end > server.settings.most_seconds:
            raise RequestError(
                413, f"the score lasts {score.end:.0f} s, and {server.settings.most_seconds:g} s are sung", "file"
            )
        singer = await server.load(chosen, "singer", "voice")
        made = (sound.samples for sound in singer.stream(score, transpose=transpose, seed=seed))
        tags = singer.tags(seed)
        return await _sent(http, "sing", made, singer.sample_rate, response_format, tags, stack)


class SoundRequest(BaseModel):
    """A sound in words."""

    input: str = Field(max_length=2000, description="what shall be heard")
    model: str = Field("", max_length=200, description="a model of described sounds of /v1/models")
    seconds: float | None = Field(None, gt=0, le=30)
    steps: int | None = Field(None, ge=1, le=100)
    guidance: float | None = Field(None, ge=1, le=20)
    seed: int = Field(0, ge=0, lt=2**31)
    response_format: Format = "mp3"


@router.post("/v1/audio/sound", response_class=Response, responses=ANSWERS)
async def sound(request: SoundRequest, http: Request, server: Shared) -> SoundResponse:
    """Makes a sound of a description; what is odd about it, the header X-Aoide-Remark says."""
    from aoide import voices

    async with _inside(server, http, "sound") as stack:
        model = await server.load(request.model or voices.DEFAULT_DESCRIBED, "described")
        asked = request.model_dump(include={"seconds", "steps", "guidance", "seed"})
        made = (model.make(request.input, **asked).samples for _ in range(1))
        tags = model.tags(" ".join(request.input.split())[:200])
        response = await _sent(
            http, "sound", made, model.sample_rate, request.response_format, tags, stack, field="input"
        )
        if remark := model.remark(request.input):
            response.headers[REMARK] = as_header(remark)
        return response


class ResynthRequest(BaseModel):
    """A text with durations, pitch and energy edited, as the explorer saves them (docs/explaining.md)."""

    input: str = Field(max_length=1000, description="what to say")
    model: str = Field("", max_length=200, description="a voice of the package")
    speed: float = Field(1.0, ge=SPEEDS[0], le=SPEEDS[1])
    pitch: float = Field(0.0, ge=PITCHES[0], le=PITCHES[1], description="semitones")
    edits: dict[str, list[float]] = Field({}, description="durations, pitch, energy: a number a token each")
    response_format: Format = "mp3"


@router.post("/v1/audio/resynth", response_class=Response, responses=ANSWERS)
async def resynth(request: ResynthRequest, http: Request, server: Shared) -> SoundResponse:
    """Says a text once more, with the durations, the pitch and the energy of its sounds changed."""
    from aoide import voices
    from aoide.generate import handles

    name = request.model or voices.DEFAULT
    async with _inside(server, http, "resynth") as stack:
        voice = await server.load(name, "voice")
        body = request.model_dump(include={"input", "speed", "pitch", "edits"}) | {"model": name}
        made = (handles.resynth(body, voice.runtime).samples for _ in range(1))
        tags = voice.tags()
        return await _sent(
            http, "resynth", made, voice.sample_rate, request.response_format, tags, stack, field="input"
        )


# --------------------------------------------------------------------------------------------------------------- parts


@asynccontextmanager
async def _inside(server: Server, http: Request, task: str) -> AsyncIterator[ExitStack]:
    """Through the door and, when it is its turn, to work: `_sent` takes over what has to be called at the end."""
    with ExitStack() as stack:
        stack.callback(server.door.enter())
        try:
            await unless_gone(http.receive, server.turns.acquire())
            stack.callback(server.turns.release)
            yield stack
        except BaseException as error:
            server.counters.requests.labels(task, "left" if isinstance(error, GoneError) else "failed").inc()
            raise


async def _read(server: Server, file: UploadFile, most: int | None = None) -> bytes:
    most = min(most or server.settings.most_bytes, server.settings.most_bytes)
    data = await file.read(most + 1)
    if len(data) > most:
        raise RequestError(413, f"the file has more than {most:,} bytes", "file")
    return data


def _as_error(function: Callable[..., Any], *arguments: Any) -> Any:
    """Calls it, and gives what it finds wrong a status."""
    try:
        return function(*arguments)
    except uploads.TooLargeError as error:
        raise RequestError(413, str(error), "file") from None
    except uploads.UnreadableError as error:
        raise RequestError(415, str(error), "file") from None


def _semitones(text: str) -> float | Literal["auto"]:
    if text == "auto":
        return "auto"
    try:
        moved = float(text)
    except ValueError:
        moved = float("nan")
    if not -36 <= moved <= 36:
        raise RequestError(
            422, f"transpose is a number of semitones from -36 to 36, or auto; got {text!r}", "transpose"
        )
    return moved


async def _sent(
    http: Request,
    task: str,
    made: Iterator[np.ndarray],
    sample_rate: int,
    format: Format,
    tags: Mapping[str, str],
    stack: ExitStack,
    field: str = "file",
) -> SoundResponse:
    """The response that sends what `made` gives, each piece made on a thread when the one before is sent.

    Args:
        field: of the request, that errors name.
    """
    server, started = state.of(http), time.perf_counter()
    encoder = Encoder(format, sample_rate, tags)
    first = await unless_gone(http.receive, server.work(_first, made, field))
    server.counters.first.labels(task).observe(time.perf_counter() - started)
    leave = stack.pop_all().close

    async def ended(how: str) -> None:
        leave()
        server.counters.requests.labels(task, how).inc()

    async def sent() -> AsyncIterator[bytes]:
        piece: np.ndarray | None = first
        while piece is not None:
            server.counters.sound.labels(task).inc(len(piece) / sample_rate)
            yield await server.work(encoder.add, piece)
            piece = await server.work(next, made, None)
        yield encoder.close()

    return SoundResponse(sent(), encoder.type, {HEADER: as_header(tags["comment"])}, server.settings.patience, ended)


def _first(made: Iterator[np.ndarray], field: str) -> np.ndarray:
    """The first piece; what is wrong with the request shows here, when there is still a status to say it with."""
    try:
        return next(made)
    except StopIteration:
        raise RequestError(400, "nothing came out: there is nothing to work on", field) from None
    except UserError as error:
        raise RequestError(400, str(error), field) from None
