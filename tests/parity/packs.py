"""Reads parity packs, numbers recorded from an original implementation, and compares ours with them.

The folder is `AOIDE_PARITY`, or `../shared/parity` beside the repository; where it is absent the tests are skipped and
say so. What a pack holds is written in the README of that folder. A test reads

    pack = packs.load("vocos/mel_istft_center")
    model = vocos.from_official(pack.state, pack.config).eval()
    packs.check(pack, {"wav_of_mel": model(pack.inputs["mel"].mT)})
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from torch import Tensor

FOLDER = Path(os.environ.get("AOIDE_PARITY") or Path(__file__).resolve().parents[2].parent / "shared" / "parity")


@dataclass(frozen=True, slots=True)
class Pack:
    """One recorded case; the prefixes of the tensor names are gone from the keys.

    Attributes:
        name: folder/file without ending.
        meta: model, source, config, axes, outputs, quirks, rng, tolerance, notes ... as plain data.
        state: the original state dict.
        inputs: what went in.
        rng: what the random calls returned: "<phase>.<n>" in the order in which they were made.
        out: what came out.
        mid: activations on the way, to find where a difference starts.
    """

    name: str
    meta: dict[str, Any]
    state: dict[str, Tensor]
    inputs: dict[str, Tensor]
    rng: dict[str, Tensor]
    out: dict[str, Tensor]
    mid: dict[str, Tensor]

    @property
    def config(self) -> dict[str, Any]:
        return self.meta["config"]

    def draws(self, phase: str) -> list[Tensor]:
        """The random numbers of one phase, in order."""
        numbered = {int(n): t for key, t in self.rng.items() for p, _, n in [key.rpartition(".")] if p == phase}
        return [numbered[n] for n in sorted(numbered)]


def load(name: str) -> Pack:
    """Reads `<FOLDER>/<name>.safetensors`; skips the test where the packs are not there."""
    from safetensors import safe_open

    path = FOLDER / f"{name.removesuffix('.safetensors')}.safetensors"
    if not FOLDER.is_dir():
        pytest.skip(f"no parity packs at {FOLDER}; set AOIDE_PARITY to their folder")
    groups: dict[str, dict[str, Tensor]] = {prefix: {} for prefix in ("state", "in", "rng", "out", "mid")}
    with safe_open(str(path), "pt") as file:
        meta = {key: json.loads(text) for key, text in file.metadata().items()}
        for key in file.keys():  # noqa: SIM118  (not a dict: it has keys and cannot be iterated)
            prefix, _, rest = key.partition(".")
            groups[prefix][rest] = file.get_tensor(key)
    return Pack(name, meta, groups["state"], groups["in"], groups["rng"], groups["out"], groups["mid"])


def limit(pack: Pack, name: str, factor: float = 20.0, floor: float = 1e-5) -> float:
    """How far off `out.<name>` or `mid.<name>` may be.

    `factor` times what the original itself differs by between float32 and float64, but at least `floor` of the largest
    value; 0 for integers. Where nothing was measured (metadata `float64_run`) the README's 1e-4 holds.
    """
    group, _, rest = name.partition(".")
    want = pack.mid[rest] if group == "mid" else pack.out[name]
    if not want.is_floating_point():
        return 0.0
    key = name if group == "mid" else f"out.{name}"
    measured = pack.meta["tolerance"].get(key, {}).get("max_abs_diff", 1e-4 / factor if _unmeasured(pack) else 0.0)
    return max(factor * measured, floor * max(1.0, float(want.abs().max())))


def check(pack: Pack, got: dict[str, Tensor], factor: float = 20.0, floor: float = 1e-5) -> None:
    """Asserts that every tensor of `got` equals the recorded one within its limit.

    Args:
        got: by name without "out."; a name that begins with "mid." is compared with an activation.
        factor, floor: of the limit; change them only with a reason beside the call.
    """
    assert got, "nothing was compared"
    wrong = []
    for name, value in got.items():
        want = pack.mid[name.removeprefix("mid.")] if name.startswith("mid.") else pack.out[name]
        assert tuple(value.shape) == tuple(want.shape), f"{name}: shape {tuple(value.shape)}, not {tuple(want.shape)}"
        difference = float((value.detach().double() - want.double()).abs().max()) if want.numel() else 0.0
        allowed = limit(pack, name, factor, floor)
        _note(pack, name, difference, allowed)
        if not difference <= allowed:  # so that NaN fails
            wrong.append(f"{name}: off by {difference:.3g}, limit {allowed:.3g}")
    assert not wrong, f"{pack.name}: " + "; ".join(wrong)


def _note(pack: Pack, name: str, difference: float, allowed: float) -> None:
    """Appends a comparison to the file that AOIDE_PARITY_REPORT names, one JSON object a line."""
    if path := os.environ.get("AOIDE_PARITY_REPORT"):
        line = {"pack": pack.name, "output": name, "difference": difference, "limit": allowed}
        with open(path, "a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")


def _unmeasured(pack: Pack) -> bool:
    return "float64_run" in pack.meta


def matching(folder: str, *models: str) -> list[str]:
    """The packs of a folder whose metadata name one of these models; reads no tensor, and is empty where none are."""
    from safetensors import safe_open

    names = []
    for path in sorted((FOLDER / folder).glob("*.safetensors")):
        with safe_open(str(path), "pt") as file:
            if json.loads(file.metadata()["model"]) in models:
                names.append(f"{folder}/{path.stem}")
    return names
