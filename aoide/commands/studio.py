"""Try every task in the browser: aoide studio.

A page with a tab for each task, made with Gradio: type, press, hear. Each tab shows the command line and the lines of
Python that do the same, and the model cards of what it uses.

  aoide studio                          opens http://127.0.0.1:7860
  aoide studio --port 8080 --no-browser
"""

from __future__ import annotations

import argparse

from aoide.config import UserError


def parser(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--host", default="127.0.0.1", metavar="ADDRESS", help="default: %(default)s, this machine")
    parser.add_argument("--port", type=int, default=7860, metavar="N", help="default: %(default)s")
    parser.add_argument("--no-browser", action="store_true", help="only say where the page is")


def run(options: argparse.Namespace) -> int:
    if not 0 < options.port < 65536:
        raise UserError(f"--port: 1 to 65535, got {options.port}")
    from aoide.serve import studio

    studio.launch(options.host, options.port, inbrowser=not options.no_browser)
    return 0
