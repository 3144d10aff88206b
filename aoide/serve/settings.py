"""What a server serves and how much of it: one frozen object, which worker processes read from the environment."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from aoide import voices
from aoide.config import UserError
from aoide.serve import address

VARIABLE = "AOIDE_SERVE"  # holds the settings of worker processes, as JSON
KEYS = "AOIDE_KEYS"  # keys, with commas between
STOCK_VOICES = ("alloy", "ash", "ballad", "coral", "echo", "fable", "nova", "onyx", "sage", "shimmer", "verse")
MESSAGE = 1000  # bytes of a WebSocket's message beside its text
STOCK_MODELS = ("tts-1", "tts-1-hd", "gpt-4o-mini-tts")


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """Everything that `aoide serve` can be told.

    Attributes:
        voice: what speaks where a request names no voice of ours.
        others: folders of exported voices that are served beside those of the package, by their last name.
        keys: who may call; none: everybody on this machine.
        origins: pages that may call, `https://example.org`, or `*` for all (see address.py).
        threads: sentences that are spoken at the same time, each on a thread.
        batch: sentences that one thread speaks in one go where more wait. On processors 1 is best (docs/serving.md).
        waiting: requests that are worked on or wait; the next one gets 429.
        most_characters: of a text (OpenAI's own limit).
        most_bytes: of an uploaded file.
        most_seconds: of an uploaded sound, and of a score.
        sockets: open WebSockets.
        patience: seconds that a client may take nothing, or send nothing, before it is dropped.
        aliases: voices under other names: programs name OpenAI's voices, and get `voice`.
    """

    voice: str = voices.DEFAULT
    others: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()
    threads: int = field(default_factory=cores)
    batch: int = 1
    waiting: int = 64
    most_characters: int = 4096
    most_bytes: int = 25_000_000
    most_seconds: float = 600.0
    sockets: int = 32
    patience: float = 60.0
    aliases: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("threads", "batch", "waiting", "most_characters", "most_bytes", "most_seconds", "sockets"):
            if not getattr(self, name) >= 1:  # which is said of what is not a number, too
                raise UserError(f"{name}: 1 or more, got {getattr(self, name)}")
        if not self.patience > 0:
            raise UserError(f"patience: seconds above 0, got {self.patience:g}")
        if any(not key.strip() for key in self.keys):
            raise UserError("a key is empty: whoever sends nothing would be let in")
        for one in self.origins:
            if one not in (address.ANY, "null") and not re.fullmatch(r"[a-z][a-z0-9+.-]*://[a-z0-9.:\[\]-]+", one):
                raise UserError(
                    f"origin {one!r}: an origin looks like https://example.org, in small letters; or * for all"
                )

    def to_environment(self) -> None:
        """Leaves the settings where worker processes of this one find them."""
        os.environ[VARIABLE] = json.dumps(asdict(self))

    @classmethod
    def of_environment(cls) -> Settings:
        """What `to_environment` left; without it the defaults, and the keys of AOIDE_KEYS."""
        if VARIABLE not in os.environ:
            return cls(keys=keys_of_environment())
        found = json.loads(os.environ[VARIABLE])
        for name in ("others", "keys", "origins"):
            found[name] = tuple(found.get(name, ()))
        return cls(**found)

    @property
    def most_message(self) -> int:
        """Bytes of a WebSocket's message, at most."""
        return MESSAGE + 6 * self.most_characters

    def connections(self) -> dict[str, Any]:
        """What uvicorn has to know: how large a message of a WebSocket may be, how many of them wait, and how long open
        requests may go on when the server is to stop."""
        return {
            "ws_max_size": self.most_message,
            "ws_max_queue": 4,
            "timeout_graceful_shutdown": 5,
            "server_header": False,
        }


def keys_of_environment() -> tuple[str, ...]:
    """What AOIDE_KEYS holds."""
    return tuple(key.strip() for key in os.environ.get(KEYS, "").split(",") if key)
