"""The server: OpenAI's speech API and more over HTTP, for programs that call it already.

    aoide serve                                  on this machine, without keys
    uvicorn --factory aoide.serve:create_app     the same, in somebody else's process

app.py puts it together; speech.py and tasks.py hold what can be asked for; engine.py shares the processor between the
requests; guard.py keeps out what is too much. Settings are read by `settings.py`, from its arguments or, in a worker
process, from the environment.
"""

from __future__ import annotations

TYPE_CHECKING = False  # as typing.TYPE_CHECKING, without the import of typing
if TYPE_CHECKING:
    from fastapi import FastAPI

    from aoide.serve.settings import Settings


def create_app(settings: Settings | None = None) -> FastAPI:
    """The server as an ASGI application.

    Args:
        settings: None reads them from the environment, as worker processes do.

    Raises:
        MissingExtra: the extra `serve` is not installed.
        UserError: a setting that cannot be.
    """
    from aoide.serve import app
    from aoide.serve.settings import Settings

    return app.create(settings or Settings.of_environment())
