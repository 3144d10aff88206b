"""Whether a voicebank's graphs give what torch's own sampling gives from the same noise, to 1e-4."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from aoide.config import UserError, require
from aoide.generate import openutau_schema as schema
from aoide.generate.export import TOLERANCE
from aoide.generate.openutau_graphs import CURVES, SMOOTH, Asked, Given, ordered
from aoide.models.svs.diffsinger import sample
from aoide.nn.lengths import token_of_frame

CASES = ((3, 17, 1), (7, 50, 4), (5, 31, 20))  # tokens, frames and steps


def acoustic(model: Any, of: schema.Acoustic, asked: Asked, path: Path) -> None:
    """Proves the acoustic graph, with noise as an input, in `path`.

    Raises:
        UserError: it gives something else than torch.
    """
    for case in range(len(CASES)):
        given = _inputs(model, of, case)
        _compare(path, given, {"mel": _sung(model, of, asked, given)})


def filling(model: Any, of: Mapping[str, schema.Filler], asked: Asked, root: Path) -> None:
    """Proves the graphs of dsdur, dspitch and dsvariance one after the other; `given.onnx` take noise as an input.

    Raises:
        UserError: they give something else than `Model.fill`.
    """
    settings, folder = next(iter(of.values())), root / next(iter(of))
    for case, (tokens, frames, steps) in enumerate(CASES):
        if model.config.method == "diffusion":
            steps = min(steps, len(model.config.process.alphas()))  # noqa: PLW2901
        random = torch.Generator().manual_seed(case)
        given, base = _score(model, asked, settings, case)
        count, first = len(model.config.drawn), 1 if model.config.pitch is not None else 0
        anew = torch.rand(1, frames, count, generator=random) > (0.5 if case % 2 else -1.0)
        curves = torch.randn(1, frames, count, generator=random)
        noise = {
            name: torch.randn(1, frames, drawer.width, generator=random)
            for name, drawer in (("pitch", getattr(model, "pitch", None)), ("curves", getattr(model, "varied", None)))
            if drawer is not None
        }
        filled = _filled(model, asked, given, base, curves=curves, retake=anew, steps=steps, noise=noise)
        encoded = _run(folder / settings.linguistic, given, schema.linguistic(settings).outputs)
        given |= {name: torch.from_numpy(value) for name, value in encoded.items()}
        own = None if model.speakers is None else model.speakers.weight.detach()[asked.speaker or 0]
        given |= {"pitch": base + curves[..., 0] if first else base, "expr": torch.ones_like(base)}
        given["steps"] = torch.tensor(steps)
        if "dsdur" in of:
            who = {} if own is None else {"spk_embed": own.expand(1, tokens, -1)}
            _compare(root / "dsdur" / "dur.onnx", given | who, {"ph_dur_pred": filled.frame_durations.clamp(min=0)})
        who = {} if own is None else {"spk_embed": own.expand(1, frames, -1)}
        if "dspitch" in of:
            more = {**who, "retake": anew[..., 0], "noise": noise["pitch"]}
            _compare(root / "dspitch" / "given.onnx", given | more, {"pitch_pred": filled.pitch})
        if "dsvariance" in of:
            names = ordered(model.config.curves)
            places = [first + model.config.curves.index(ours) for ours in names.values()]
            more = {name: curves[..., place] for name, place in zip(names, places, strict=True)}
            more |= {**who, "retake": anew[..., places], "noise": noise["curves"]}
            wanted = {f"{name}_pred": filled.curves[ours] for name, ours in names.items()}
            _compare(root / "dsvariance" / "given.onnx", given | more, wanted)


# -------------------------------------------------------------------------------------------------------------- torch


def _sung(model: Any, of: schema.Acoustic, asked: Asked, given: Given) -> Tensor:
    """What torch makes of the inputs of the acoustic graph, by the sampler that `Model.sing` has, too."""
    curves = {ours: given[name] for name, ours in CURVES.items() if name in given}
    if "gender" in given:
        gender = given["gender"].clamp(-1, 1)
        curves["key_shift"] = torch.where(gender < 0, gender * -asked.key_range[0], gender * asked.key_range[1])
    if "velocity" in given:
        curves["speed"] = given["velocity"].clamp(*asked.speed_range)
    tokens, config, steps = given["tokens"], model.config, int(given["steps"])
    real = torch.ones_like(tokens, dtype=torch.bool)
    language, speaker = _language(model, asked, given), _speaker(model, asked)
    with torch.inference_mode():
        condition = model.condition(tokens, real, given["durations"], given["f0"], language, speaker, curves)
        first = None if model.first is None else model.first(condition, None)
        most = len(config.process.alphas())
        if first is not None:
            depth = float(given["depth"])
            kept = max(1, round(depth * most))
            config = replace(config, start=1 - depth) if config.method == "flow" else replace(config, depth=kept)
            most = config.depth
        if config.method == "diffusion":
            steps = min(steps, most)

        def call(x: Tensor, when: Tensor) -> Tensor:
            return model.denoiser(x, when, condition, None)

        mel = model.denormalise(sample(call, given["noise"], config, steps, None, first))
    return mel * (math.log(10) if config.mel.log == "log10" else 1.0)


def _filled(model: Any, asked: Asked, given: Given, base: Tensor, **more: Any) -> Any:
    """What `Model.fill` makes of a score."""
    tokens = given["tokens"]
    words = token_of_frame(given["word_div"], tokens.shape[1]) + 1
    return model.fill(
        tokens,
        torch.ones_like(tokens, dtype=torch.bool),
        words,
        given["word_dur"],
        given["ph_midi"],
        base,
        durations=given["ph_dur"],
        score=(given["note_midi"], given["note_rest"], given["note_dur"], None, None),
        language=_language(model, asked, given),
        speaker=_speaker(model, asked),
        **more,
    )


def _language(model: Any, asked: Asked, given: Given) -> Tensor | None:
    tokens = given["tokens"]
    if model.languages is None:
        return None
    own = torch.tensor([[asked.tongues[token] for token in tokens[0].tolist()]]) if asked.tongues else 0 * tokens
    if "languages" not in given:
        return own
    return torch.where(torch.isin(tokens, torch.tensor(asked.shared)), given["languages"], own)


def _speaker(model: Any, asked: Asked) -> Tensor | None:
    return None if model.speakers is None else torch.tensor([asked.speaker or 0])


# ------------------------------------------------------------------------------------------------------------- inputs


def _inputs(model: Any, of: schema.Acoustic, case: int) -> Given:
    """Inputs of the acoustic graph."""
    tokens, frames, steps = CASES[case]
    random, ports = torch.Generator().manual_seed(case), schema.acoustic(of).inputs
    scales = {"f0": (200.0, 200.0), "gender": (2.4, -1.2), "velocity": (2.0, 0.3)}
    given: Given = {}
    for name, (kind, dims) in ports.items():
        shape = [{"n_tokens": tokens, "n_frames": frames}.get(str(dim), dim) for dim in dims]
        if kind == "float":
            scale, least = scales.get(name, (1.0, 0.0))
            given[name] = scale * torch.rand(shape, generator=random) + least  # type: ignore[arg-type]
    given["tokens"] = torch.randint(1, model.config.symbols, (1, tokens), generator=random)
    given["durations"] = _split(frames, tokens, random)
    given["steps"] = torch.tensor(steps)
    if "languages" in ports:
        given["languages"] = torch.randint(1, model.config.languages + 1, (1, tokens), generator=random)
    if "spk_embed" in ports:
        given["spk_embed"] = model.speakers.weight.detach()[0].expand(1, frames, -1)
    if "depth" in ports:
        given["depth"] = torch.tensor((of.max_depth or 1.0) * (0.5 if case % 2 else 1.0))
    given["noise"] = torch.randn(1, frames, model.config.mel.n_mels, generator=random)
    return given


def _score(model: Any, asked: Asked, of: schema.Filler, case: int) -> tuple[Given, Tensor]:
    """Inputs of the graphs of the variance model, and the base pitch of their notes."""
    tokens, frames, _ = CASES[case]
    random = torch.Generator().manual_seed(case)
    words = (tokens + 1) // 2
    lasting = _split(frames, tokens, random)
    given = {
        "tokens": torch.randint(1, model.config.symbols, (1, tokens), generator=random),
        "word_div": torch.tensor([[2] * (tokens // 2) + [1] * (tokens % 2)]),
        "ph_dur": lasting,
        "word_dur": torch.stack([part.sum() for part in lasting[0].split(2)])[None],
        "ph_midi": torch.randint(50, 70, (1, tokens), generator=random),
        "note_midi": 50 + 20 * torch.rand(1, words, generator=random),
        "note_rest": torch.rand(1, words, generator=random) > 0.7,
        "note_dur": _split(frames, words, random),
    }
    if of.use_lang_id:
        given["languages"] = torch.randint(1, model.config.languages + 1, (1, tokens), generator=random)
    width = max(1, round(SMOOTH * of.sample_rate / of.hop_size))
    window = np.sin(np.linspace(0, np.pi, width)) if width > 2 else np.ones(1)
    line = np.repeat(given["note_midi"][0].numpy(), given["note_dur"][0].numpy())
    reach = len(window) - 1
    line = np.pad(line, (reach // 2, reach - reach // 2), mode="edge")
    base = np.convolve(line, window / window.sum(), mode="valid")
    return given, torch.from_numpy(base.astype(np.float32))[None]


def _split(frames: int, parts: int, random: torch.Generator) -> Tensor:
    """`frames` in so many parts of 1 or more: (1, parts)."""
    edges = torch.randperm(frames - 1, generator=random)[: parts - 1].sort().values + 1
    return torch.cat([torch.tensor([0]), edges, torch.tensor([frames])]).diff()[None]


# ---------------------------------------------------------------------------------------------------------------- ONNX


def _run(path: Path, given: Given, outputs: Mapping[str, Any]) -> dict[str, np.ndarray]:
    onnxruntime = require("onnxruntime", "export")
    options = onnxruntime.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 3, 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    feeds = {port.name: given[port.name].numpy() for port in session.get_inputs()}
    return dict(zip(outputs, session.run(list(outputs), feeds), strict=True))


def _compare(path: Path, given: Given, wanted: Mapping[str, Tensor]) -> None:
    """Raises a UserError where a graph does not give what torch gives."""
    got = _run(path, given, wanted)
    for name, want in wanted.items():
        have, right = got[name], want.numpy()
        same = have.shape == right.shape
        worst = float(np.max(np.abs(have - right) / (1 + np.abs(right)), initial=0.0)) if same else math.inf
        if not worst <= TOLERANCE:
            told = f"by {worst:.1e}, more than {TOLERANCE:g}" if same else f"in shape {have.shape}, not {right.shape}"
            raise UserError(f"the exported {path.parent.name}/{path.name} differs from torch: {name} {told}")
