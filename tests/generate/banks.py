"""A voicebank for OpenUtau without a model: every file, and graphs with the right inputs and outputs and no sense."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import yaml
from onnx import TensorProto, helper

from aoide.config import build
from aoide.generate import openutau_schema as schema

MEL = {
    "sample_rate": 44_100, "hop_size": 512, "win_size": 2048, "fft_size": 2048, "num_mel_bins": 8, "mel_fmin": 40.0,
    "mel_fmax": 16_000.0, "mel_base": "e", "mel_scale": "slaney",
}  # fmt: skip
COMMON = {
    "phonemes": "phonemes.json", "languages": "languages.json", "use_lang_id": True, "hidden_size": 4,
    "speakers": ["alto", "tenor"], "use_continuous_acceleration": True,
}  # fmt: skip
ACOUSTIC = {
    **COMMON, **MEL, "acoustic": "acoustic.onnx", "vocoder": "some_hifigan",
    "augmentation_args": {"random_pitch_shifting": {"range": [-5.0, 5.0]}}, "use_key_shift_embed": True,
    "use_speed_embed": True, "use_energy_embed": True, "use_tension_embed": True, "use_variable_depth": True,
    "max_depth": 0.6,
}  # fmt: skip
FILLER = {**COMMON, "linguistic": "linguistic.onnx", "sample_rate": 44_100, "hop_size": 512, "predict_dur": True}
OWN: dict[str, dict[str, Any]] = {
    "dsdur": {"dur": "dur.onnx"},
    "dspitch": {"pitch": "pitch.onnx", "use_expr": True, "use_note_rest": True},
    "dsvariance": {"variance": "variance.onnx", "predict_energy": True, "predict_tension": True},
}
PHONEMES = {"AP": 1, "SP": 2, "en/a": 3, "ja/a": 3, "en/t": 4}
GRAPHS = {"dur": schema.durations, "pitch": schema.pitch, "variance": schema.variance}
SYMBOLS = [{"symbol": name, "type": "stop" if name.endswith("t") else "vowel"} for name in PHONEMES]


def write(root: Path) -> Path:
    """Makes the folder `root`."""
    root.mkdir()
    (root / "character.txt").write_text("name=Nobody\n")
    banks = [{"color": f"0{number}: {name}", "suffix": name} for number, name in enumerate(COMMON["speakers"], 1)]
    character = {"singer_type": "diffsinger", "text_file_encoding": "utf-8", "default_phonemizer": schema.PHONEMIZER}
    dump(root / "character.yaml", {**character, "subbanks": banks})
    dump(root / "dsconfig.yaml", ACOUSTIC)
    tables(root)
    stub(schema.acoustic(build(schema.Acoustic, ACOUSTIC, "")), root / "acoustic.onnx")
    for part, own in OWN.items():
        folder = root / part
        folder.mkdir()
        dump(folder / "dsconfig.yaml", FILLER | own)
        tables(folder)
        dump(folder / "dsdict.yaml", {"symbols": SYMBOLS, "entries": [{"grapheme": "ta", "phonemes": ["en/t", "a"]}]})
        settings, name = build(schema.Filler, FILLER | own, ""), part.removeprefix("ds")
        stub(schema.linguistic(settings), folder / "linguistic.onnx")
        stub(GRAPHS[name](settings), folder / f"{name}.onnx")
    (root / "dsvocoder").mkdir()
    dump(root / "dsvocoder" / "vocoder.yaml", {"name": "some_hifigan", "model": "vocoder.onnx", **MEL})
    vocoder(root / "dsvocoder" / "vocoder.onnx", MEL["hop_size"])
    return root


def vocoder(path: Path, hop: int) -> None:
    """A graph that gives F0 as a sound, so many samples a frame."""
    of = schema.vocoder(build(schema.Acoustic, ACOUSTIC, ""))
    nodes = [
        helper.make_node("Constant", [], ["times"], value_ints=[1, hop]),
        helper.make_node("Tile", ["f0", "times"], ["waveform"]),
    ]
    ports = [
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, port.dims) for name, port in part.items()]
        for part in of
    ]
    model = helper.make_model(
        helper.make_graph(nodes, "vocoder", *ports), opset_imports=[helper.make_opsetid("", schema.OPSET)]
    )
    model.ir_version = schema.IR
    onnx.save(model, str(path))


def dump(path: Path, data: Any) -> None:
    path.write_text(yaml.safe_dump(data, sort_keys=False, allow_unicode=True))


def tables(folder: Path) -> None:
    (folder / "phonemes.json").write_text(json.dumps(PHONEMES))
    (folder / "languages.json").write_text(json.dumps({"en": 1, "ja": 2}))
    for speaker in COMMON["speakers"]:
        (folder / f"{speaker}.emb").write_bytes(np.zeros(4, "<f4").tobytes())


def stub(graph: schema.Graph, path: Path, *, opset: int = schema.OPSET, loop: bool = True) -> None:
    """A graph with these inputs and outputs that gives zeros."""
    kinds = {"int64": TensorProto.INT64, "float": TensorProto.FLOAT, "bool": TensorProto.BOOL}
    nodes = []
    for name, (kind, dims) in graph.outputs.items():
        shape = [dim if isinstance(dim, int) else 2 for dim in dims]
        zeros = helper.make_tensor(name, kinds[kind], shape, np.zeros(int(np.prod(shape))))
        nodes.append(helper.make_node("Constant", [], [name], value=zeros))
    if loop and "steps" in graph.inputs:
        value = helper.make_tensor_value_info
        body = helper.make_graph(
            [helper.make_node("Identity", ["on"], ["still"]), helper.make_node("Identity", ["was"], ["is"])],
            "step",
            [value("number", kinds["int64"], []), value("on", kinds["bool"], []), value("was", kinds["int64"], [])],
            [value("still", kinds["bool"], []), value("is", kinds["int64"], [])],
        )
        nodes.append(helper.make_node("Loop", ["steps", "", "steps"], ["went"], body=body))
    ports = [
        [helper.make_tensor_value_info(name, kinds[kind], dims) for name, (kind, dims) in part.items()]
        for part in graph
    ]
    model = helper.make_model(
        helper.make_graph(nodes, path.stem, *ports), opset_imports=[helper.make_opsetid("", opset)]
    )
    model.ir_version = schema.IR
    onnx.save(model, str(path))
