"""What a run asks of its process: to hear when it shall stop, to keep the run folder to itself, and some threads."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import torch

from aoide.config import UserError


@contextmanager
def listen() -> Iterator[threading.Event]:
    """An event that Ctrl-C or a termination sets, so that the step can end; a second one ends at once."""
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop  # only the main thread hears signals
        return

    owner = os.getpid()

    def hear(number: int, frame: FrameType | None) -> None:
        if os.getpid() != owner:  # a data worker, forked with this handler: Ctrl-C is not for it, a termination is
            if number == signal.SIGTERM:
                os._exit(1)
            return
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    before = {number: signal.signal(number, hear) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def lock(folder: Path) -> Iterator[None]:
    """Keeps the run folder for this process. The lock goes with the process, however that ends."""
    import fcntl

    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / ".lock").open("a+", encoding="utf-8")
    except OSError as error:
        raise UserError(f"{folder}: cannot be used as a run folder: {error.strerror}") from None
    with file:
        try:
            # of this process alone: forked data workers do not hold it
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.seek(0)
            raise UserError(
                f"{folder}: {file.read().strip() or 'another process'} trains here; wait, or choose another --run"
            ) from None
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}")
        file.flush()
        yield


@contextmanager
def threads(number: int | None) -> Iterator[None]:
    """So many threads of torch inside the block; None: as many as there were."""
    before = torch.get_num_threads()
    if number is not None:
        torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)
