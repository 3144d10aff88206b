"""Tiny random voices of every kind, made with onnx alone: each symbol has a fixed duration, pitch and spectrum."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aoide.generate import folder as voice_folder
from aoide.text.phonemes import SYMBOLS

HOP, N_FFT, SAMPLE_RATE = 300, 1200, 24_000
BINS = N_FFT // 2 + 1

EXPAND = """
<ir_version: 9, opset_import: ["": 18]>
voice (int64[batch, tokens] tokens, int64[batch] lengths, float[batch] speed, float[batch] pitch)
  => (OUTPUTS, int64[batch, tokens] durations)
<TABLES, float[k] frame_table>
{
  nought = Constant<value_int = 0>()
  one = Constant<value_int = 1>()
  first = Constant<value_ints = [0]>()
  second = Constant<value_ints = [1]>()
  third = Constant<value_ints = [2]>()
  both = Constant<value_ints = [0, 2]>()
  least = Constant<value_float = 1.0>()
  twelve = Constant<value_float = 12.0>()
  two = Constant<value_float = 2.0>()
  wanted = Gather(frame_table, tokens)
  per_item = Unsqueeze(speed, second)
  faster = Div(wanted, per_item)
  rounded = Round(faster)
  lasting = Max(rounded, least)
  whole = Cast<to = 7>(lasting)
  shape = Shape(tokens)
  count = Gather(shape, one)
  places = Range(nought, count, one)
  limits = Unsqueeze(lengths, second)
  real = Less(places, limits)
  durations = Where(real, whole, nought)
  ends = CumSum(durations, one)
  total = ReduceMax<keepdims = 0>(ends)
  frames = Range(nought, total, one)
  ends_3d = Unsqueeze(ends, second)
  frames_3d = Unsqueeze(frames, both)
  passed = GreaterOrEqual(frames_3d, ends_3d)
  passed_number = Cast<to = 7>(passed)
  passed_count = ReduceSum<keepdims = 0>(passed_number, third)
  last = Sub(count, one)
  owner = Min(passed_count, last)
  symbol = GatherElements<axis = 1>(tokens, owner)
  OCTAVES
}
"""
PITCH = """
  semitones = Unsqueeze(pitch, second)
  octaves = Div(semitones, twelve)
  factor = Pow(two, octaves)
  own_f0 = Gather(f0_table, symbol)
  f0 = Mul(own_f0, factor)"""
ROWS = """
  flat = Constant<value_ints = [0, -1]>()
  rows = Gather(audio_table, symbol)
  audio = Reshape(rows, flat)"""
UNUSED = "\n  ignored = Identity(pitch)"


def make(folder: Path, kind: str = "sourcefilter", seed: int = 0, **changes: Any) -> Path:
    """Writes a voice folder and returns it; `changes` are fields of its Description."""
    onnx = pytest.importorskip("onnx")
    folder.mkdir(parents=True, exist_ok=True)
    names = voice_folder.OUTPUTS[kind][:-1]
    spectra = [name for name in names if name not in ("f0", "audio")]
    body = "".join(f"\n  {name} = Gather({name}_table, symbol)" for name in spectra)
    outputs = [f"float[batch, frames, {BINS}] {name}" for name in spectra]
    tables = _tables(np.random.default_rng(seed))
    used = [f"{name}_table" for name in (*names, "frame")]
    if kind == "sourcefilter":
        outputs.append("float[batch, frames] f0")
        body += PITCH
    else:
        body += UNUSED
    if kind == "waveform":
        outputs.append("float[batch, samples] audio")
        body += ROWS
    declared = ", ".join(f"float[k, j] {name}" if tables[name].ndim > 1 else f"float[k] {name}" for name in used[:-1])
    text = EXPAND.replace("OUTPUTS", ", ".join(outputs)).replace("OCTAVES", body.strip()).replace("TABLES", declared)
    model = onnx.parser.parse_model(text)
    del model.graph.initializer[:]
    model.graph.initializer.extend(onnx.numpy_helper.from_array(tables[name], name) for name in used)
    for declared_only in [info for info in model.graph.value_info if info.name in used]:
        model.graph.value_info.remove(declared_only)
    onnx.checker.check_model(model)
    graph = model.SerializeToString()
    (folder / "voice.onnx").write_bytes(graph)
    settings: dict[str, Any] = {
        "name": folder.name, "kind": kind, "language": "en", "sample_rate": SAMPLE_RATE, "hop": HOP, "symbols": SYMBOLS,
        "n_fft": 0 if kind == "waveform" else N_FFT, "licence": "MIT", "aoide": "0.1.0",
        "summary": "Noise that knows the alphabet.", "sha256": hashlib.sha256(graph).hexdigest(),
    }  # fmt: skip
    voice_folder.write_description(folder, voice_folder.Description(**{**settings, **changes}))
    (folder / "card.md").write_text(f"# {folder.name}\n\n## Metadata\n\nA tiny voice for tests.\n", "utf-8")
    return folder


def _tables(random: np.random.Generator) -> dict[str, np.ndarray]:
    count = max(SYMBOLS.values()) + 1
    quiet = np.zeros(count, bool)
    quiet[[0, *(SYMBOLS[mark] for mark in ' .,!?;:—…"()“”')]] = True
    loudness = np.where(quiet, -12.0, 0.0)[:, None]
    spectra = {name: random.normal(size=(count, BINS)) for name in ("lh", "theta", "lr", "phi", "phase")}
    tables = {
        "lh": spectra["lh"] - 1 + loudness,
        "theta": spectra["theta"],
        "lr": spectra["lr"] - 2 + loudness,
        "phi": 3 * spectra["phi"],
        "magnitude": np.exp(spectra["lr"] + loudness),
        "phase": 3 * spectra["phase"],
        "audio": 0.1 * random.normal(size=(count, HOP)) * np.exp(loudness),
        "f0": np.where(quiet | (random.uniform(size=count) < 0.3), 0.0, random.uniform(90, 300, count)),
        "frame": random.integers(3, 12, count).astype(float),
    }
    return {f"{name}_table": table.astype(np.float32) for name, table in tables.items()}
