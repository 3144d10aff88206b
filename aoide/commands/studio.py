"""Try every task in the browser: aoide studio.

A page with a tab for each task, made with Gradio: type, press, hear. Each tab shows the command line and the lines of
Python that do the same, and the model cards of what it uses.

  aoide studio                          opens http://127.0.0.1:7860
  aoide studio --port 8080 --no-browser
  aoide studio --host 0.0.0.0 --password "$WORD"
"""

from __future__ import annotations

import argparse
import os
import sys

from aoide.config import UserError


def parser(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--host", default="127.0.0.1", metavar="ADDRESS", help="default: %(default)s, this machine")
    parser.add_argument("--port", type=int, default=7860, metavar="N", help="default: %(default)s")
    parser.add_argument(
        "--password", default="", metavar="TEXT", help="who knows it may use the page; or AOIDE_PASSWORD"
    )
    parser.add_argument("--no-browser", action="store_true", help="only say where the page is")


def run(options: argparse.Namespace) -> int:
    from aoide.serve import address

    password = options.password or os.environ.get("AOIDE_PASSWORD", "")
    if not address.is_loopback(options.host) and not password:
        raise UserError(f"--host {options.host}: others can reach this address, so it needs a --password TEXT")
    if options.port == 0:
        raise UserError("--port: 1 to 65535, got 0")
    address.check(options.host, options.port)
    from aoide.serve import studio

    where = f"[{options.host}]" if ":" in options.host else options.host
    print(f"aoide: the studio is at http://{where}:{options.port}; Ctrl-C ends it", file=sys.stderr, flush=True)
    studio.launch(options.host, options.port, inbrowser=not options.no_browser, password=password)
    return 0
