"""What a DiffSinger voicebank for OpenUtau must look like: every file, key, graph input and output; and a check of one.

    problems = check("my-bank")        # [] = OpenUtau will sing with it

The names are those of openvpi's exporters (github.com/openvpi/DiffSinger, deployment) and of what OpenUtau reads
(github.com/openutau/OpenUtau, OpenUtau.Core/DiffSinger), which looks into `dsconfig.yaml` of the root for the acoustic
model and into those of dsdur/, dspitch/ and dsvariance/ for what fills in durations, pitch and curves:

    character.txt  character.yaml  dsconfig.yaml  acoustic.onnx  phonemes.json  languages.json  SINGER.emb
    dsdur/      dsconfig.yaml  dsdict.yaml  linguistic.onnx  dur.onnx       phonemes.json  languages.json  SINGER.emb
    dspitch/    dsconfig.yaml  dsdict.yaml  linguistic.onnx  pitch.onnx     ...
    dsvariance/ dsconfig.yaml  dsdict.yaml  linguistic.onnx  variance.onnx  ...
    dsvocoder/  vocoder.yaml  MODEL.onnx          where the vocoder comes along; else OpenUtau takes the package whose
                                                  name stands in dsconfig.yaml, where there must be one in any case

`acoustic`, `linguistic` ... say which inputs and outputs a graph has whose dsconfig.yaml says this and that; the export
(`generate/openutau.py`) takes them from here, too. It needs onnx and onnxruntime, and no torch.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from aoide.config import UserError, build, read_yaml, require

OPSET = 18  # ONNX operators: OpenUtau's onnxruntime 1.23 reads later ones, too, that of older releases does not
IR = 8  # of the file format, likewise
VARIANCES = ("energy", "breathiness", "voicing", "tension")  # curves that models follow or predict, in their order
SILENCES = ("SP", "AP")  # pause and breath: OpenUtau puts SP around every phrase
KINDS = ("vowel", "semivowel", "liquid", "nasal", "stop", "fricative", "affricate", "aspirate")  # of phonemes
PHONEMIZER = "OpenUtau.Core.DiffSinger.DiffSingerPhonemizer"  # the one that knows a voicebank's dictionary and no more
PLAYED = 44_100  # samples a second: what OpenUtau takes every waveform for, whatever vocoder.yaml says
TRIED, SILENT = (17, 40), -6.0  # frames of the mel that a vocoder is tried with, and the logarithm in its bands
PARTS = ("dsdur", "dspitch", "dsvariance")

# ------------------------------------------------------------------------------------------------------------- settings


@dataclass(frozen=True, kw_only=True, slots=True)
class Shift:
    """By how much the key was shifted in training."""

    range: tuple[float, float]  # semitones, one below 0 and one above


@dataclass(frozen=True, kw_only=True, slots=True)
class Augmentation:
    """What of the training OpenUtau must know."""

    random_pitch_shifting: Shift


@dataclass(frozen=True, kw_only=True, slots=True)
class MelSettings:
    """The mel between a model and its vocoder, as vocoder.yaml names it, too."""

    sample_rate: int
    hop_size: int
    win_size: int
    fft_size: int
    num_mel_bins: int
    mel_fmin: float
    mel_fmax: float
    mel_base: Literal["e", "10"]
    mel_scale: Literal["slaney", "htk"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Acoustic(MelSettings):
    """dsconfig.yaml of the root."""

    phonemes: str
    acoustic: str
    vocoder: str
    hidden_size: int
    use_continuous_acceleration: bool  # whether the graph takes steps (and depth as a share), or a speedup
    languages: str | None = None
    use_lang_id: bool = False
    speakers: tuple[str, ...] | None = None
    augmentation_args: Augmentation | None = None
    use_key_shift_embed: bool = False
    use_speed_embed: bool = False
    use_energy_embed: bool = False
    use_breathiness_embed: bool = False
    use_voicing_embed: bool = False
    use_tension_embed: bool = False
    use_variable_depth: bool = False
    max_depth: float | None = None  # 0 to 1: how much of the sampling there is, where it begins at a first mel


@dataclass(frozen=True, kw_only=True, slots=True)
class Filler:
    """dsconfig.yaml of dsdur, dspitch and dsvariance: what is not of the folder's own part is left out."""

    phonemes: str
    linguistic: str
    hidden_size: int
    sample_rate: int
    hop_size: int
    predict_dur: bool  # whether `linguistic` reads words with their durations, or phonemes with theirs
    use_continuous_acceleration: bool
    languages: str | None = None
    use_lang_id: bool = False
    speakers: tuple[str, ...] | None = None
    dur: str | None = None
    pitch: str | None = None
    use_expr: bool = False
    use_note_rest: bool = False
    variance: str | None = None
    predict_energy: bool = False
    predict_breathiness: bool = False
    predict_voicing: bool = False
    predict_tension: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Vocoder(MelSettings):
    """vocoder.yaml: `sample_rate` and `hop_size` say how long a frame lasts; the waveform has PLAYED all the same."""

    name: str
    model: str
    pitch_controllable: bool = False  # whether the acoustic model is to sing where SHFC shifts to, while f0 stays
    force_on_cpu: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Subbank:
    """A voice colour of character.yaml."""

    color: str
    suffix: str  # the speaker
    prefix: str = ""
    tone_ranges: tuple[str, ...] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Character:
    """character.yaml."""

    singer_type: Literal["diffsinger"]
    text_file_encoding: Literal["utf-8"]
    default_phonemizer: str
    name: str | None = None
    localized_names: dict[str, str] | None = None
    image: str | None = None
    portrait: str | None = None
    portrait_opacity: float = 0.67
    portrait_height: int = 0
    author: str | None = None
    voice: str | None = None
    web: str | None = None
    version: str | None = None
    sample: str | None = None
    subbanks: tuple[Subbank, ...] = ()


# --------------------------------------------------------------------------------------------------------------- graphs


class Port(NamedTuple):
    """An input or output of a graph; a name among its dims is a length that is left open."""

    type: Literal["int64", "float", "bool"]
    dims: tuple[int | str, ...]


class Graph(NamedTuple):
    """What goes into a graph and what comes out, in order."""

    inputs: dict[str, Port]
    outputs: dict[str, Port]


TOKENS, FRAMES = Port("int64", (1, "n_tokens")), Port("float", (1, "n_frames"))
STEPS, DEPTH = Port("int64", ()), Port("float", ())


def acoustic(of: Acoustic) -> Graph:
    """Phonemes, their durations, F0 in Hz and curves -> mel."""
    inputs = {"tokens": TOKENS} | _languages(of) | {"durations": TOKENS, "f0": FRAMES}
    inputs |= {name: FRAMES for name in VARIANCES if getattr(of, f"use_{name}_embed")}
    if of.use_key_shift_embed:
        inputs["gender"] = FRAMES  # -1 to 1
    if of.use_speed_embed:
        inputs["velocity"] = FRAMES
    inputs |= _who(of, "n_frames")
    if of.use_variable_depth:
        inputs["depth"] = DEPTH
    return Graph({**inputs, "steps": STEPS}, {"mel": Port("float", (1, "n_frames", of.num_mel_bins))})


def linguistic(of: Filler) -> Graph:
    """Phonemes with words and their durations, or with their own -> encoded phonemes, and which of them are padding."""
    words = Port("int64", (1, "n_words"))
    more = {"word_div": words, "word_dur": words} if of.predict_dur else {"ph_dur": TOKENS}
    encoded = {"encoder_out": _encoded(of), "x_masks": Port("bool", (1, "n_tokens"))}
    return Graph({"tokens": TOKENS, **more, **_languages(of)}, encoded)


def durations(of: Filler) -> Graph:
    """Encoded phonemes and their notes -> durations in frames."""
    inputs = {"encoder_out": _encoded(of), "x_masks": Port("bool", (1, "n_tokens")), "ph_midi": TOKENS}
    return Graph({**inputs, **_who(of, "n_tokens")}, {"ph_dur_pred": Port("float", (1, "n_tokens"))})


def pitch(of: Filler) -> Graph:
    """Encoded phonemes with durations, and notes -> pitch, MIDI."""
    notes = Port("float", (1, "n_notes"))
    inputs = {"encoder_out": _encoded(of), "ph_dur": TOKENS, "note_midi": notes}
    if of.use_note_rest:
        inputs["note_rest"] = Port("bool", (1, "n_notes"))
    inputs |= {"note_dur": Port("int64", (1, "n_notes")), "pitch": FRAMES}
    if of.use_expr:
        inputs["expr"] = FRAMES
    inputs |= {"retake": Port("bool", (1, "n_frames")), **_who(of, "n_frames"), "steps": STEPS}
    return Graph(inputs, {"pitch_pred": FRAMES})


def variance(of: Filler) -> Graph:
    """Encoded phonemes with durations, and pitch -> curves."""
    curves = predicted(of)
    inputs = {"encoder_out": _encoded(of), "ph_dur": TOKENS, "pitch": FRAMES} | dict.fromkeys(curves, FRAMES)
    inputs["retake"] = Port("bool", (1, "n_frames", len(curves)))
    inputs |= {**_who(of, "n_frames"), "steps": STEPS}
    return Graph(inputs, {f"{curve}_pred": FRAMES for curve in curves})


def vocoder(of: MelSettings) -> Graph:
    """Mel and F0 in Hz -> samples."""
    mel = Port("float", (1, "n_frames", of.num_mel_bins))
    return Graph({"mel": mel, "f0": FRAMES}, {"waveform": Port("float", (1, "n_samples"))})


def predicted(of: Filler) -> tuple[str, ...]:
    """The curves that dsvariance draws."""
    return tuple(name for name in VARIANCES if getattr(of, f"predict_{name}"))


def _languages(of: Acoustic | Filler) -> dict[str, Port]:
    return {"languages": TOKENS} if of.use_lang_id else {}


def _who(of: Acoustic | Filler, time: str) -> dict[str, Port]:
    return {"spk_embed": Port("float", (1, time, of.hidden_size))} if of.speakers else {}


def _encoded(of: Filler) -> Port:
    return Port("float", (1, "n_tokens", of.hidden_size))


# ---------------------------------------------------------------------------------------------------------------- check


def check(folder: str | os.PathLike[str]) -> list[str]:
    """What is wrong with a voicebank, a line each; [] = nothing.

    Raises:
        UserError: there is no such folder.
        MissingExtra: onnx is not installed.
    """
    require("onnx", "export")
    root = Path(folder)
    if not root.is_dir():
        raise UserError(f"{root}: no such folder")
    return [problem.replace(f"{root}{os.sep}", "") for problem in _problems(root)]


def _problems(root: Path) -> Iterator[str]:
    yield from _text(root / "character.txt")
    of, found = _settings(Acoustic, root / "dsconfig.yaml")
    yield from found
    character, found = _settings(Character, root / "character.yaml")
    yield from found
    if character is not None:
        yield from _character(root, character, () if of is None or not of.speakers else of.speakers)
    if of is None:
        return
    phonemes, found = _phonemes(root, of)
    yield from found
    yield from _speakers(root, of)
    yield from _of_acoustic(root, of)
    yield from _graph(root, "acoustic", of.acoustic, acoustic(of))
    yield from _vocoder(root, of)
    drawn: tuple[str, ...] = ()
    for part in PARTS:
        if (root / part).exists():
            filler, found = _settings(Filler, root / part / "dsconfig.yaml")
            yield from found
            if filler is not None:
                yield from _filler(root / part, filler, of, phonemes)
                drawn = predicted(filler) if part == "dsvariance" else drawn
    needed = [name for name in VARIANCES if getattr(of, f"use_{name}_embed") and name not in drawn]
    if needed:
        yield f"dsvariance: the acoustic model follows {', '.join(needed)}, which nothing predicts"


def _settings(kind: type[Any], path: Path) -> tuple[Any, list[str]]:
    """The settings in a file, and why there are none."""
    try:
        return build(kind, read_yaml(path), str(path)), []
    except UserError as error:
        return None, [str(error)]


def _text(path: Path) -> Iterator[str]:
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        yield f"{path}: is missing, or not UTF-8"
        return
    pairs = dict(line.split("=", 1) for line in lines if "=" in line)
    if not pairs.get("name", "").strip():
        yield f"{path}: name= is missing; OpenUtau lists the singer by it"


def _character(root: Path, of: Character, speakers: Sequence[str]) -> Iterator[str]:
    path = root / "character.yaml"
    if not of.default_phonemizer.startswith("OpenUtau.Core.DiffSinger."):
        yield f"{path}: default_phonemizer: {of.default_phonemizer} is not one of OpenUtau.Core.DiffSinger"
    for name in ("image", "portrait", "sample"):
        if getattr(of, name) and not (root / getattr(of, name)).is_file():
            yield f"{path}: {name}: there is no {getattr(of, name)}"
    suffixes = [bank.suffix for bank in of.subbanks]
    for suffix in suffixes:
        if suffix not in speakers:
            yield f"{path}: subbanks: {suffix} is not a speaker of dsconfig.yaml; the first would sing instead"
    for speaker in speakers:
        if speaker not in suffixes:
            yield f"{path}: subbanks: {speaker} of dsconfig.yaml is missing, so nobody can choose it"


def _phonemes(folder: Path, of: Acoustic | Filler) -> tuple[dict[str, int], list[str]]:
    """The table of phonemes, and what is wrong with it and with the languages."""
    path, found = folder / of.phonemes, list[str]()
    try:
        if path.suffix == ".json":
            table = json.loads(path.read_text("utf-8"))
        else:
            table = {line: number for number, line in enumerate(path.read_text("utf-8").splitlines())}
    except (OSError, ValueError):
        return {}, [f"{path}: is missing, or not what its ending says"]
    if not isinstance(table, dict) or not all(type(v) is int and v >= 0 for v in table.values()):
        return {}, [f"{path}: expects phonemes with their numbers"]
    found += [f"{path}: {name} is missing; OpenUtau puts it into phrases" for name in SILENCES if name not in table]
    used = {name.partition("/")[0] for name in table if "/" in name}
    if of.languages is None:
        if of.use_lang_id:
            found.append(f"{folder / 'dsconfig.yaml'}: languages: is missing, and use_lang_id tells them apart")
        return table, found
    path = folder / of.languages
    try:
        languages = json.loads(path.read_text("utf-8"))
        numbered = isinstance(languages, dict) and all(type(v) is int and v >= 1 for v in languages.values())
    except (OSError, ValueError):
        numbered = False
    if not numbered:
        found.append(f"{path}: is missing, or not languages with their numbers from 1 on")
    elif lacking := sorted(used - set(languages)):
        found.append(f"{path}: {', '.join(lacking)} of the phonemes is missing")
    return table, found


def _speakers(folder: Path, of: Acoustic | Filler) -> Iterator[str]:
    for speaker in of.speakers or ():
        path = folder / f"{speaker}.emb"
        try:
            values = np.frombuffer(path.read_bytes(), "<f4")
        except (OSError, ValueError):
            yield f"{path}: is missing, or not float32 numbers"
            continue
        if len(values) != of.hidden_size:
            yield f"{path}: has {len(values)} numbers, and hidden_size is {of.hidden_size}"
        elif not np.isfinite(values).all():
            yield f"{path}: has numbers that are not finite"


def _of_acoustic(root: Path, of: Acoustic) -> Iterator[str]:
    path = root / "dsconfig.yaml"
    yield from _accelerated(path, of)
    if of.use_key_shift_embed:
        low, high = (0.0, 0.0) if of.augmentation_args is None else of.augmentation_args.random_pitch_shifting.range
        if not low < 0 < high:
            yield f"{path}: augmentation_args.random_pitch_shifting.range: expects one below 0 and one above it"
    if of.use_variable_depth and not 0 < (of.max_depth or 0) <= 1:
        yield f"{path}: max_depth: expects a number above 0 and up to 1, got {of.max_depth}"
    if not 0 <= of.mel_fmin < of.mel_fmax <= of.sample_rate / 2:
        yield f"{path}: mel_fmin and mel_fmax: expect 0 <= mel_fmin < mel_fmax <= {of.sample_rate / 2:g}"
    if of.win_size > of.fft_size:
        yield f"{path}: win_size: {of.win_size} is more than fft_size {of.fft_size}"


def _accelerated(path: Path, of: Acoustic | Filler) -> Iterator[str]:
    if not of.use_continuous_acceleration:
        yield f"{path}: use_continuous_acceleration: graphs of today take steps; expects true"


def _filler(folder: Path, of: Filler, root: Acoustic, phonemes: Mapping[str, int]) -> Iterator[str]:
    """What is wrong in dsdur, dspitch or dsvariance."""
    path, part = folder / "dsconfig.yaml", folder.name.removeprefix("ds")
    own = {"dur": of.dur, "pitch": of.pitch, "variance": of.variance}[part]
    if own is None:
        yield f"{path}: {part}: is missing, and it is what the folder is for"
        return
    if part != "pitch" or of.pitch:
        yield from _accelerated(path, of)
    if part == "dur" and not of.predict_dur:
        yield f"{path}: predict_dur: a folder that predicts durations says true"
    if part == "variance" and not predicted(of):
        yield f"{path}: predict_energy ...: none of {', '.join(VARIANCES)} is predicted"
    if of.speakers is not None and of.speakers != root.speakers:
        yield f"{path}: speakers: not those of the root, in their order; OpenUtau chooses by name"
    table, found = _phonemes(folder, of)
    yield from found
    if lacking := sorted(set(phonemes) - set(table)):
        yield f"{folder / of.phonemes}: {', '.join(lacking[:5])} of the root's phonemes is missing"
    yield from _speakers(folder, of)
    yield from _dictionaries(folder, table)
    yield from _graph(folder, "linguistic", of.linguistic, linguistic(of))
    graphs: dict[str, Callable[[Filler], Graph]] = {"dur": durations, "pitch": pitch, "variance": variance}
    yield from _graph(folder, part, own, graphs[part](of))


def _dictionaries(folder: Path, phonemes: Mapping[str, int]) -> Iterator[str]:
    if not (folder / "dsdict.yaml").is_file():
        yield f"{folder / 'dsdict.yaml'}: is missing; it says which phonemes are vowels, and how lyrics are sung"
    for path in sorted(folder.glob("dsdict*.yaml")):
        symbols, entries, found = _dictionary(path)
        yield from found
        if found:
            continue
        if strange := sorted(set(symbols) - set(phonemes)):
            yield f"{path}: symbols: {', '.join(strange[:5])} is not among the phonemes"
        if "vowel" not in [kind for symbol, kind in symbols.items() if symbol not in SILENCES]:
            yield f"{path}: symbols: none of them is a vowel, and notes begin with one"
        known = {name.partition("/")[2] or name for name in symbols} | set(symbols)
        for lyric, sounds in entries.items():
            if not sounds or set(sounds) - known:
                yield f"{path}: entries: {lyric}: sung on what is not among the symbols, or on nothing"
                break
        if path.name == "dsdict.yaml" and (lacking := sorted(set(phonemes) - set(symbols) - set(SILENCES))):
            yield f"{path}: symbols: {', '.join(lacking[:5])} has no type; OpenUtau refuses such a phoneme"


def _dictionary(path: Path) -> tuple[dict[str, str], dict[str, list[str]], list[str]]:
    """Phonemes with their types, lyrics with their phonemes, and what is wrong; of thousands of lines, so by hand."""
    import yaml

    try:
        data = yaml.load(path.read_text("utf-8"), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        return {}, {}, [f"{path}: cannot be read: {str(error).splitlines()[0]}"]
    if not isinstance(data, dict) or set(data) - {"symbols", "entries"} or "symbols" not in data:
        return {}, {}, [f"{path}: expects symbols and entries, and nothing else"]
    symbols: dict[str, str] = {}
    for row in data["symbols"] or ():
        if not isinstance(row, dict) or set(row) != {"symbol", "type"} or not isinstance(row["symbol"], str):
            return {}, {}, [f"{path}: symbols: expects a symbol and its type, got {row!r}"]
        if row["type"] not in KINDS:
            return {}, {}, [f"{path}: symbols: {row['symbol']}: type {row['type']!r} is not one of {', '.join(KINDS)}"]
        symbols[row["symbol"]] = row["type"]
    entries: dict[str, list[str]] = {}
    for row in data.get("entries") or ():
        fine = isinstance(row, dict) and set(row) == {"grapheme", "phonemes"} and isinstance(row["grapheme"], str)
        if not fine or not isinstance(row["phonemes"], list):
            return {}, {}, [f"{path}: entries: expects a grapheme and its phonemes, got {row!r}; quote what is text"]
        entries[row["grapheme"]] = row["phonemes"]
    return symbols, entries, []


def _vocoder(root: Path, of: Acoustic) -> Iterator[str]:
    if not of.vocoder.strip():
        yield f"{root / 'dsconfig.yaml'}: vocoder: expects the name of a vocoder"
    folder = root / "dsvocoder"
    if not folder.exists():
        return
    told, found = _settings(Vocoder, folder / "vocoder.yaml")
    yield from found
    if told is None:
        return
    for name in MelSettings.__dataclass_fields__:
        ours, theirs = getattr(of, name), getattr(told, name)
        same = math.isclose(ours, theirs, abs_tol=1e-5) if isinstance(ours, float) else ours == theirs
        if not same and name != "mel_base":  # which OpenUtau converts
            yield f"{folder / 'vocoder.yaml'}: {name}: {theirs}, and the acoustic model has {ours}"
    found = list(_graph(folder, "model", told.model, vocoder(told)))
    yield from found or _played(folder / told.model, told)


def _played(path: Path, of: Vocoder) -> Iterator[str]:
    """Whether a vocoder gives as many samples as OpenUtau plays while the frames last."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 4, 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    for frames in TRIED:
        mel = np.full((1, frames, of.num_mel_bins), SILENT, np.float32)
        try:
            sound = session.run(["waveform"], {"mel": mel, "f0": np.full((1, frames), 220, np.float32)})[0]
        except Exception as error:  # onnxruntime's have no common base
            yield f"{path}: does not run with {frames} frames: {str(error).splitlines()[0][:160]}"
            return
        if sound.shape[0] != 1 or not np.isfinite(sound).all():
            yield f"{path}: gives {sound.shape} of {frames} frames, or numbers that are not finite, not (1, samples)"
            return
        hop = of.hop_size * PLAYED / of.sample_rate
        if abs(sound.shape[1] - frames * hop) > hop:
            yield (
                f"{path}: gives {sound.shape[1]} samples of {frames} frames; OpenUtau plays {PLAYED} a second, "
                f"whatever sample_rate says, so that there must be {frames * hop:.0f}"
            )
            return


# ------------------------------------------------------------------------------------------------------------ one graph


def _graph(folder: Path, key: str, name: str, expected: Graph) -> Iterator[str]:
    """What is wrong with a graph; that it samples in a loop of `steps`, where it samples."""
    import onnx

    path = folder / name
    try:
        model = onnx.load(str(path))
        onnx.checker.check_model(model)
    except FileNotFoundError:
        yield f"{path}: is missing; {key} of the configuration names it"
        return
    except Exception as error:  # protobuf's and the checker's have no common base
        yield f"{path}: not a whole ONNX graph: {str(error).splitlines()[0][:120]}"
        return
    used = {opset.domain: opset.version for opset in model.opset_import}
    strange = sorted(domain for domain in used if domain not in ("", "ai.onnx"))
    if strange:
        yield f"{path}: operators of {', '.join(strange)}, which OpenUtau does not have"
    if used.get("", used.get("ai.onnx", 0)) > OPSET or model.ir_version > IR:
        told = f"operators {used.get('')} in format {model.ir_version}"
        yield f"{path}: {told}; OpenUtau's onnxruntime reads {OPSET} and {IR}"
    given = {value.name for value in model.graph.initializer}
    inputs = {value.name: value for value in model.graph.input if value.name not in given}
    outputs = {value.name: value for value in model.graph.output}
    for what, got, wanted in (("input", inputs, expected.inputs), ("output", outputs, expected.outputs)):
        for name in [*wanted, *(name for name in got if name not in wanted)]:
            if name not in got:
                yield f"{path}: has no {what} {name}"
            elif name not in wanted:
                yield f"{path}: has an {what} {name} that OpenUtau does not know of"
            elif told := _differs(got[name], wanted[name]):
                yield f"{path}: {what} {name}: {told}"
    if "steps" in expected.inputs and not any(node.op_type == "Loop" for node in model.graph.node):
        yield f"{path}: takes steps and has no loop"
    yield from _opens(path)


def _differs(value: Any, port: Port) -> str:
    """How an input or output differs from what it must be."""
    import onnx

    tensor = value.type.tensor_type
    kind = onnx.TensorProto.DataType.Name(tensor.elem_type).lower()
    if kind != port.type:
        return f"is {kind}, expected {port.type}"
    dims = [dim.dim_value if dim.HasField("dim_value") else dim.dim_param or "?" for dim in tensor.shape.dim]
    wrong = len(dims) != len(port.dims) or any(
        own != wanted if isinstance(wanted, int) else isinstance(own, int)
        for own, wanted in zip(dims, port.dims, strict=False)
    )
    return f"has shape ({', '.join(map(str, dims))}), expected ({', '.join(map(str, port.dims))})" if wrong else ""


def _opens(path: Path) -> Iterator[str]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's have no common base
        yield f"{path}: onnxruntime does not open it: {str(error).splitlines()[0][:160]}"
