"""The application: routes, errors in one form, and what watches it (/healthz, /metrics, /v1/models)."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aoide import voices
from aoide.config import MissingExtra, UserError, near, require
from aoide.serve.settings import STOCK_MODELS, Settings
from aoide.version import __version__

DESCRIPTION = """Any input becomes sound. The speech API is OpenAI's: programs that call it need only another address.
Every sound is synthetic and says so, in its tags or in the header X-Aoide-Provenance."""

EXPLORER = Path(__file__).parents[1] / "explain" / "page" / "explorer.html"


def create(settings: Settings) -> Any:
    """The ASGI application, guarded."""
    fastapi = require("fastapi", "serve")
    require("python_multipart", "serve")
    require("prometheus_client", "serve")
    from aoide.serve import speech, tasks
    from aoide.serve.guard import Guard
    from aoide.serve.state import Server

    server = Server(settings)

    @asynccontextmanager
    async def lifespan(_: Any) -> AsyncIterator[None]:
        server.warm()
        yield
        server.close()

    app = fastapi.FastAPI(title="Aoide", version=__version__, description=DESCRIPTION, lifespan=lifespan)
    app.state.server = server
    app.include_router(speech.router)
    app.include_router(tasks.router)
    _add_views(app, server)
    _add_errors(app)

    def refused(reason: str) -> None:
        server.counters.refused.labels(reason).inc()

    app.add_middleware(Guard, settings=settings, uploads=tasks.UPLOADS, refused=refused)
    if settings.origins:  # around the guard, as a browser asks for leave without a key
        from starlette.middleware.cors import CORSMiddleware

        told = [speech.HEADER, tasks.REMARK, "Retry-After"]
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(settings.origins),
            allow_methods=["GET", "POST"],
            allow_headers=["*"],
            expose_headers=told,
        )
    return app


def _add_views(app: Any, server: Any) -> None:
    """What tells about the server."""
    from fastapi.responses import FileResponse, HTMLResponse, Response

    from aoide.serve.responses import RequestError

    born = int(time.time())

    @app.head("/healthz", include_in_schema=False)
    @app.get("/healthz")
    async def healthz() -> dict[str, Any]:
        """Whether it is up."""
        return {"status": "ok", "version": __version__}

    @app.get("/metrics", response_class=Response)
    async def metrics() -> Any:
        """Counters in Prometheus' format."""
        server.counters.waiting.set(server.engine.waiting)
        return Response(server.counters.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    def known() -> list[dict[str, Any]]:
        tasks = {"voice": "speech", "singer": "sing", "converter": "convert", "described": "sound"}
        served = [(name, "speech") for name in server.folders]
        served += [(name, task) for kind, task in tasks.items() if kind != "voice" for name in voices.names(kind)]
        served += [(name, "speech") for name in STOCK_MODELS]
        same = {"object": "model", "created": born, "owned_by": "aoide"}
        return [{"id": name, **same, "task": task} for name, task in served]

    @app.get("/v1/models")
    async def models() -> dict[str, Any]:
        """What can be asked for, in OpenAI's form; `task` says for what."""
        return {"object": "list", "data": known()}

    @app.get("/v1/models/{name}", responses={404: {"description": "no such model"}})
    async def model(name: str) -> dict[str, Any]:
        """One of them."""
        found = {one["id"]: one for one in known()}
        if name not in found:
            raise RequestError(404, f"no model {name[:200]!r};{near(name, found) or ' see GET /v1/models'}", "model")
        return found[name]

    @app.get("/explorer", response_class=HTMLResponse)
    async def explorer() -> Any:
        """The page of `aoide explain`, for a trace of one's own; from here it can speak what was edited again."""
        return FileResponse(EXPLORER, media_type="text/html")


def _add_errors(app: Any) -> None:
    """Every error in the form that OpenAI's clients read."""
    from fastapi.exceptions import RequestValidationError
    from starlette.exceptions import HTTPException

    from aoide.serve.responses import GoneError, RequestError, problem

    @app.exception_handler(RequestError)
    async def ours(_: Any, error: RequestError) -> Any:
        return error.response()

    @app.exception_handler(RequestValidationError)
    async def wrong(_: Any, error: RequestValidationError) -> Any:
        first = error.errors()[0]
        if first["type"] == "json_invalid":
            return problem(400, f"the body is not JSON: {first['ctx']['error']}")
        where = ".".join(str(part) for part in first["loc"][1:]) or None
        return problem(422, f"{where or 'the body'}: {first['msg']}", where)

    @app.exception_handler(HTTPException)
    async def plain(request: Any, error: HTTPException) -> Any:
        what = f"{request.method} {request.url.path[:200]}"
        says = {
            404: f"there is no {what}; GET /docs shows what there is",
            405: f"{what} is not possible; see GET /docs",
        }
        return problem(error.status_code, says.get(error.status_code, str(error.detail)), headers=error.headers)

    @app.exception_handler(GoneError)
    async def gone(_: Any, __: GoneError) -> Any:
        return problem(499, "the client has gone")  # for the log; nobody reads it

    @app.exception_handler(MissingExtra)
    async def missing(_: Any, error: MissingExtra) -> Any:
        return problem(501, f"this server lacks a part: {error}")

    @app.exception_handler(UserError)
    async def user(_: Any, error: UserError) -> Any:
        return problem(400, str(error))

    @app.exception_handler(Exception)
    async def own(_: Any, error: Exception) -> Any:
        return problem(500, f"the server failed on this request ({type(error).__name__}); its log says where")
