"""The explorer's page in a browser, with somebody behind it who speaks edits: a server on this machine alone."""

from __future__ import annotations

import io
import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from aoide.config import UserError

MOST = 4_000_000  # bytes of an edit
NAMES = ("127.0.0.1", "localhost")  # by which a browser may ask; another name is another page's trick


def server(html: str, port: int = 0) -> ThreadingHTTPServer:
    """Answers `/` with the page and `POST /v1/audio/resynth` with a sound, on loopback; `server_port` says where."""
    data = html.encode()

    class Handler(BaseHTTPRequestHandler):
        server_version, sys_version = "aoide", ""

        def do_GET(self) -> None:
            found = self.path.partition("?")[0] == "/"
            self._answer(200 if found else 404, data if found else b"", "text/html; charset=utf-8")

        def do_POST(self) -> None:
            length = self.headers.get("Content-Length", "")
            if self.path != "/v1/audio/resynth":
                self._answer(404, b"", "text/plain")
                return
            if not (length.isascii() and length.isdigit()) or int(length) > MOST:
                self._answer(413, f"an edit has at most {MOST:,} bytes, and says how many".encode(), "text/plain")
                return
            try:
                sound = _spoken(json.loads(self.rfile.read(int(length))))
            except (UserError, ValueError) as error:
                self._answer(400, str(error).encode(), "text/plain; charset=utf-8")
                return
            self._answer(200, sound, "audio/ogg")

        def _answer(self, status: int, body: bytes, kind: str) -> None:
            if self.headers.get("Host", "").rpartition(":")[0] not in NAMES:
                status, body, kind = 403, b"", "text/plain"
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Says nothing: the command says where the page is."""

    try:
        return ThreadingHTTPServer(("127.0.0.1", port), Handler)
    except OSError as error:
        raise UserError(f"port {port}: {error.strerror}; give another one, or 0 for any that is free") from None


def _spoken(body: Any) -> bytes:
    """The sound of an edit, a file of Ogg Opus."""
    from aoide.audio import io as files
    from aoide.generate import handles

    if not isinstance(body, dict):
        raise UserError("an edit is a JSON object")
    sound = handles.resynth(body)
    file = io.BytesIO()
    with files.open_writer(file, sound.sample_rate, "opus", sound.tags) as writer:
        writer.write(sound.samples)
    return file.getvalue()
