"""What goes wrong outside: changed data, a worker that dies, a full disk, no memory. Each ends in a line that helps."""

from __future__ import annotations

import errno
import io
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from aoide.config import UserError
from aoide.train import checkpoint
from tests.train import toy


class Printed(toy.Data):
    """Data with a fingerprint."""

    def __init__(self, manifest: str) -> None:
        super().__init__(toy.DataConfig())
        self.manifest = manifest

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "manifest": self.manifest}


def test_a_changed_manifest_is_refused_until_it_is_accepted(tmp_path: Path) -> None:
    toy.run(toy.recipe(steps=13), tmp_path, source=Printed("old"))
    with pytest.raises(UserError, match=r"the manifest has changed since step-000013 .* --accept.* \(--from\)"):
        toy.run(toy.recipe(), tmp_path, source=Printed("new"))
    assert checkpoint.latest(tmp_path) == tmp_path / "checkpoints" / "step-000013", "nothing was written"
    screen, source = io.StringIO(), Printed("new")
    assert toy.run(toy.recipe(steps=15), tmp_path, source=source, screen=screen, accept=True).finished
    assert "epoch begins anew (--accept)" in screen.getvalue()
    assert source.state_dict() == {"epoch": 1, "taken": 2, "manifest": "new"}
    assert toy.run(toy.recipe(steps=16), tmp_path, source=Printed("new")).finished, "accepted once is accepted"


class Mortal(Dataset):
    def __getitem__(self, number: int) -> toy.Batch:
        if number == 12:
            os.kill(os.getpid(), signal.SIGKILL)
        return {"ids": [f"clip{number}"], "x": torch.ones(4, 4), "y": torch.ones(4, 4)}

    def __len__(self) -> int:
        return 40


class Workers(toy.Data):
    def batches(self, seed: int, rank: int, world: int) -> Iterator[toy.Batch]:
        yield from DataLoader(Mortal(), batch_size=None, num_workers=1, prefetch_factor=1)


def test_a_worker_that_dies_is_named_and_the_run_can_go_on(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"data died .*lower data.workers or data.batch_seconds.*step-000010"):
        toy.run(toy.recipe(), tmp_path, source=Workers(toy.DataConfig()))
    assert toy.run(toy.recipe(), tmp_path).finished


def test_a_disk_that_fills_up_in_mid_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second file of the second checkpoint finds no room: the first checkpoint stays, and loads, and goes on."""
    write, written = checkpoint._write_tensors, []

    def fill_up(path: Path, tensors: dict[str, torch.Tensor]) -> None:
        written.append(path)
        if len(written) == 5:  # three files a checkpoint
            path.write_bytes(b"half of it")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write(path, tensors)

    monkeypatch.setattr(checkpoint, "_write_tensors", fill_up)
    with pytest.raises(UserError, match=r"step-000010: .*No space left on device.*last good one is .*step-000007"):
        toy.run(toy.recipe(), tmp_path / "broken")
    assert sorted(path.name for path in (tmp_path / "broken" / "checkpoints").iterdir()) == ["step-000007"]
    checkpoint.read(tmp_path / "broken" / "checkpoints" / "step-000007")
    monkeypatch.setattr(checkpoint, "_write_tensors", write)
    for name in ("broken", "whole"):
        assert toy.run(toy.recipe(), tmp_path / name).finished
    prints = [toy.fingerprint(tmp_path / name / "checkpoints" / "step-000030") for name in ("broken", "whole")]
    assert prints[0] == prints[1]
