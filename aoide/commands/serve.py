"""Serve speech and more over HTTP: aoide serve.

The API is OpenAI's (POST /v1/audio/speech, GET /v1/models), with /v1/audio/convert, /sing, /sound, /resynth and a
WebSocket beside it; GET /docs shows all of it. On this machine alone no key is needed; at any other address one is.

  aoide serve                                          at http://127.0.0.1:8000
  aoide serve --host 0.0.0.0 --key "$KEY" --workers 4
  OPENAI_BASE_URL=http://127.0.0.1:8000/v1 OPENAI_API_KEY=none python your_program.py
"""

from __future__ import annotations

import argparse

from aoide.config import UserError, require
from aoide.voices import DEFAULT


def parser(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--host", default="127.0.0.1", metavar="ADDRESS", help="default: %(default)s, this machine")
    parser.add_argument("--port", type=int, default=8000, metavar="N", help="default: %(default)s")
    parser.add_argument(
        "--key",
        action="append",
        default=[],
        metavar="KEY",
        help="who sends it may call; may be given several times, or in AOIDE_KEYS, separated by commas",
    )
    parser.add_argument(
        "--origin",
        action="append",
        default=[],
        metavar="ORIGIN",
        help="whose pages may call, as https://example.org, or * for all; may be repeated (default: its own alone)",
    )
    parser.add_argument("--workers", type=int, default=1, metavar="N", help="processes (default: %(default)s)")
    parser.add_argument("--threads", type=int, metavar="N", help="of one process (default: its share of the cores)")
    parser.add_argument("--batch", type=int, default=1, metavar="N", help="sentences spoken in one go (default: 1)")
    parser.add_argument("--voice", default=DEFAULT, metavar="NAME", help="where none is named (default: %(default)s)")
    parser.add_argument(
        "--add", action="append", default=[], metavar="FOLDER", help="serve an exported voice too; may be repeated"
    )
    parser.add_argument(
        "--waiting", type=int, default=64, metavar="N", help="requests at once; more get 429 (default: %(default)s)"
    )
    parser.add_argument("--most-characters", type=int, default=4096, metavar="N", help="of a text (default: 4096)")
    parser.add_argument("--most-seconds", type=float, default=600, metavar="S", help="of a sound sent (default: 600)")
    parser.add_argument("--most-bytes", type=int, default=25_000_000, metavar="N", help="of a file (default: 25 MB)")


def run(options: argparse.Namespace) -> int:
    from aoide.serve import address
    from aoide.serve.settings import Settings, keys_of_environment

    keys = tuple(options.key) or keys_of_environment()
    if not address.is_loopback(options.host) and not keys:
        raise UserError(
            f"--host {options.host}: others can reach this address, so a key is needed: --key KEY, or AOIDE_KEYS"
        )
    if options.workers < 1:
        raise UserError(f"--workers: 1 or more, got {options.workers}")
    address.check(options.host, options.port)
    uvicorn = require("uvicorn", "serve")
    from aoide.serve import create_app

    settings = Settings(
        voice=options.voice,
        others=tuple(options.add),
        keys=keys,
        origins=tuple(options.origin),
        batch=options.batch,
        waiting=options.waiting,
        most_characters=options.most_characters,
        most_seconds=options.most_seconds,
        most_bytes=options.most_bytes,
        threads=_threads(options),
    )
    shared = {"host": options.host, "port": options.port, "log_level": "info", **settings.connections()}
    app = create_app(settings)  # here, so that what is wrong with a setting or a folder is said before anything starts
    if options.workers == 1:
        uvicorn.run(app, **shared)
    else:
        settings.to_environment()
        uvicorn.run("aoide.serve:create_app", factory=True, workers=options.workers, **shared)
    return 0


def _threads(options: argparse.Namespace) -> int:
    """Of one process: what was asked for, or its share of the cores."""
    from aoide.serve.settings import cores

    return max(1, cores() // options.workers) if options.threads is None else options.threads
