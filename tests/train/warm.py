"""Imported by the server that the processes of tests are forked from: what torch loads at its first step is here."""

import io
import tempfile
from pathlib import Path

import torch

from tests.train import toy

torch.set_num_threads(1)
with tempfile.TemporaryDirectory() as folder:
    toy.run(toy.recipe(steps=1), Path(folder), screen=io.StringIO())
