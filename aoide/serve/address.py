"""Where a server listens, and which pages may call it: a browser lets every page that somebody opens send requests to
a server on their machine.

A server without keys answers its own pages and programs, and no page of another site: requests name the page that they
come from (`Origin`), and a name that an attacker points at this machine shows in `Host`. A server with keys need not
ask, as no page has one by itself.
"""

from __future__ import annotations

import errno
import ipaddress
import socket
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

from aoide.config import UserError

ANY = "*"


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches the address."""
    name = host.strip("[]").lower()
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def foreign(headers: Mapping[bytes, bytes], origins: Sequence[str]) -> str:
    """What is wrong with where a request comes from, for a server that only this machine reaches; empty: nothing.

    Args:
        headers: by name, lower case.
        origins: of pages that may call besides the server's own: `https://example.org`, or `*`.
    """
    if ANY in origins:
        return ""
    host = headers.get(b"host", b"").decode("latin-1").lower()
    origin = headers.get(b"origin", b"").decode("latin-1").lower()
    if not is_loopback(_name(host)) and not any(host == _place(known) for known in origins):
        return f"this server is called 127.0.0.1 or localhost, and not {host[:100]!r}: see --origin"
    if origin and origin not in origins and _place(origin) != host:
        return f"pages of {origin[:100]!r} may not call this server: see --origin"
    return ""


def _place(origin: str) -> str:
    """Name and port of an origin, as `Host` has them."""
    return origin.partition("://")[2]


def _name(host: str) -> str:
    """Of `Host` without the port."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def check(host: str, port: int) -> None:
    """Sees whether one can listen there.

    Raises:
        UserError: another program does, this machine has no such address, or it is none.
    """
    if not 0 <= port < 65536:
        raise UserError(f"--port: 0 to 65535, got {port}")
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        socket.create_server(address[:2], family=family).close()
    except UnicodeError:  # of a name with an empty or far too long part
        raise UserError(f"--host {host}: not the name or address of a machine") from None
    except OSError as error:  # that a name is not known is one too
        why = "another program listens there" if error.errno == errno.EADDRINUSE else error.strerror
        raise UserError(f"cannot listen at {host}:{port}: {why}; --host and --port choose another address") from None
