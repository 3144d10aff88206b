"""What `aoide explain` can run with torch: runs of one's own, and models with published weights.

    trace = explain(Request(model="runs/diffsinger", input="song.musicxml", settings={"steps": 20}))

By task: a singer is given a score, a converter of voices a recording, a speaker a text (and a recording, to show how a
learned aligner hears it, or whose voice to take), a vocoder and a codec a recording. A model of another kind is
recorded in Python: `with aoide.trace(model) as trace: ...`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

import aoide
from aoide.audio.sound import Sound
from aoide.config import UserError
from aoide.data import features
from aoide.data.sounds import Clock, Sounds
from aoide.explain import heard
from aoide.explain.recorder import Recorder
from aoide.explain.subjects import Request, codec, recording, sung_phonemes, titled
from aoide.explain.traces import Trace
from aoide.generate import handles
from aoide.text import frontend
from aoide.text.phonemes import SYMBOLS
from aoide.text.tokenizer import Tokenizer
from aoide.train import checkpoint

LISTENED = 6.0  # seconds that critics listen to


class Opened(NamedTuple):
    """A model, its file's name, and the recipe of its run."""

    name: str
    model: Any
    recipe: Any  # None for published weights


def explain(request: Request) -> Trace:
    """Runs a run, or a model with its weights, and records it."""
    opened = _opened(request)
    name, model = opened.name, opened.model
    task = name.partition("/")[0]
    if request.edits and not _can_be_edited(model):
        raise UserError(f"--edits: {name} is not steered by durations, pitch and energy of each sound")
    if name in _like_names():
        return _like(request, name)
    if task not in TASKS:
        raise UserError(
            f"{name} cannot be run by name here: record it in Python, `with aoide.trace(model) as trace: ...`, and "
            "trace.page('run.html')"
        )
    return TASKS[task](request, opened)


def _opened(request: Request) -> Opened:
    from aoide.models import find

    if request.model in find.names():
        if request.weights is None:
            raise UserError(f"{request.model} needs weights: --weights RUN, FOLDER or hf:OWNER/NAME")
        if request.model in _like_names():
            return Opened(request.model, None, None)
        return Opened(request.model, aoide.load(request.model, request.weights), None)
    if not Path(request.model).exists():
        aoide.load(request.model)  # raises, and names the near ones
    _, model, recipe = checkpoint.load_model(request.model)
    return Opened(recipe.name, model, recipe)


def _like_names() -> tuple[str, ...]:
    from aoide.generate import zeroshot

    return tuple(zeroshot.NAMES)


def _about(request: Request, name: str, task: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    return {"name": name, "task": task, **titled(request, dict(settings))}


def _source(request: Request) -> str:
    """Where the weights come from."""
    return request.weights or request.model


# -------------------------------------------------------------------------------------------------------------- singing


def _sing(request: Request, opened: Opened) -> Trace:
    from aoide.explain.build import Builder
    from aoide.score import Score

    settings = request.take("transpose", "seed", "steps", "sampler", "speaker", "part")
    part = settings.pop("part", None)
    score = Score.load(request.input, part)
    vocoder = None if request.vocoder is None else _heard_by(request.vocoder)
    singer = aoide.load(_source(request), variance=request.variance, vocoder=vocoder)
    if not hasattr(singer, "perform"):
        raise UserError(f"{request.model}: is no singer; give a run of svs/ that was trained with data.kind: singing")
    song = score.title or Path(request.input).stem
    told = {"singer": settings.get("speaker") or singer.name, "song": song, **request.settings}
    with Recorder(singer.model, **_about(request, opened.name, "sing", told)) as recorder:
        performance = singer.perform(score, **settings)
    recorder.sound = performance.sound
    made = recorder.trace
    if not any(panel["kind"] == "handles" for panel in made.about["inside"]):
        sung_phonemes(Builder.upon(made), performance)
    return made


def _heard_by(name: str) -> Any:
    """A vocoder, of the package or a run."""
    from aoide.generate.torch_vocoder import TorchVocoder

    found = aoide.load(name)
    return found if hasattr(found, "vocode") and hasattr(found, "mel") else TorchVocoder(found)


# ------------------------------------------------------------------------------------------------- from sound to sound


def fields_of(opened: Opened, needs: Iterable[str], sound: Sound) -> dict[str, torch.Tensor]:
    """What a model asks of a recording, as the data of its recipe compute it: (1, frames, ...) each.

    Raises:
        UserError: a field that only a corpus can give.
    """
    mel = getattr(opened.model.config, "mel", None)
    clocked = opened.model.config if mel is None else mel
    rate, hop = getattr(clocked, "sample_rate", sound.sample_rate), getattr(clocked, "hop", 256)
    clock = Clock(sample_rate=rate, hop=hop, first_centre=mel.first_centre if mel is not None else 0.0)
    data = None if opened.recipe is None else opened.recipe.data
    more: dict[str, Any] = {}
    if data is not None:
        more = {"pitch": data.pitch, "networks": tuple(getattr(data, "networks", {}).items())}
    settings = features.Settings(clock=clock, mel=mel, **more)
    samples = sound.mono().resample(rate).samples
    samples = samples[: len(samples) // hop * hop]
    if len(samples) < 4 * hop:
        raise UserError("the recording is too short to be looked at")
    sounds, frames = Sounds([samples], rate), len(samples) // hop
    found: dict[str, torch.Tensor] = {"audio": torch.from_numpy(samples)[None]}
    for need in needs:
        if need in ("audio", "speaker", "tokens", "durations"):
            continue
        feature = features.find(need, settings)
        values = np.asarray(feature.field(feature.compute(sounds)[0], frames))
        found[need] = torch.from_numpy(np.ascontiguousarray(values))[None]
    found["frame_mask"] = torch.ones(1, frames, dtype=torch.bool)
    return found


def _call(call: Callable[..., Any], fields: Mapping[str, Any]) -> Any:
    """A call with those of the fields that it asks for, without gradients."""
    asks = inspect.signature(call).parameters
    with torch.inference_mode():
        return call(**{key: value for key, value in fields.items() if key in asks and value is not None})


def _convert(request: Request, opened: Opened) -> Trace:
    settings = request.take("steps", "sampler", "seed", "transpose", "speaker")
    source = recording(request.input)
    model = opened.model
    fields: dict[str, Any] = dict(fields_of(opened, _needs(model), source))
    transpose = float(settings.pop("transpose", 0.0))
    if "f0" in fields:
        fields["f0"] = fields["f0"] * 2 ** (transpose / 12)
    speaker = _speaker(settings)
    fields |= {"speaker": torch.tensor([speaker])} if _several(model) else {}
    seed = settings.pop("seed", 0)
    fields["generator"] = torch.Generator().manual_seed(seed)
    asks = inspect.signature(model.convert).parameters
    for key in ("steps", "sampler"):
        if key in settings and key not in asks:
            raise UserError(f"{opened.name} converts in one go and has no {key}; leave it out")
    fields |= {key: settings[key] for key in ("steps", "sampler") if key in settings}
    told = {"singer": speaker, "source": Path(request.input).stem, **request.settings}
    with Recorder(model, **_about(request, opened.name, "convert", told)) as recorder:
        made = _call(model.convert, fields)[0].float().numpy()
    recorder.reference = source
    recorder.sound = _as_sound(made, model)
    return recorder.trace


def _needs(model: Any) -> tuple[str, ...]:
    """The fields that a model file trains with."""
    return tuple(getattr(inspect.getmodule(type(model)), "NEEDS", ()))


def _several(model: Any) -> bool:
    config = model.config
    return bool(getattr(getattr(config, "conditions", config), "speakers", None))


def _speaker(settings: Mapping[str, Any]) -> int:
    """The number of whoever shall be heard."""
    number = settings.get("speaker", 0)
    if not isinstance(number, int):
        raise UserError(f"speaker={number}: is the number of one, from 0")
    return number


def _as_sound(made: np.ndarray, model: Any) -> Sound:
    """Samples, or a mel made sound."""
    if made.ndim == 1:
        clock = getattr(model.config, "mel", model.config)
        return Sound(np.clip(made, -1.0, 1.0), clock.sample_rate)
    return heard.Ears(model.config.mel).sound(made)


def _vocoder(request: Request, opened: Opened) -> Trace:
    """Copy-synthesis; with the critics it was trained against, if the run has them."""
    from aoide.explain.build import Builder
    from aoide.explain.gather import described, finish
    from aoide.generate.torch_vocoder import TorchVocoder

    request.take()
    source = recording(request.input)
    vocoder = TorchVocoder(opened.model)
    samples = source.resample(vocoder.sample_rate).samples
    about = _about(request, opened.name, "resynth", {"source": Path(request.input).stem})
    with Recorder(opened.model, **about) as recorder:
        made = np.concatenate(list(vocoder.copy([samples])))[: len(samples)]
        critics = _critics(request.model, opened)
        if critics is not None:
            length = min(len(made), round(LISTENED * vocoder.sample_rate))
            both = np.stack([samples[:length], np.asarray(made[:length], np.float32)])
            with torch.inference_mode():
                critics(torch.from_numpy(both))
    builder = Builder(described(recorder))
    builder.sounds([("the recording", source), ("made again", Sound(np.clip(made, -1, 1), vocoder.sample_rate))])
    recorder.reference = source
    finish(builder, recorder)
    return builder.finish()


def _critics(run: str, opened: Opened) -> Any:
    """The critics of a run, with their weights; None for a run without."""
    from aoide.objectives import gan

    recipe = opened.recipe
    if recipe is None or not isinstance(recipe.objective, gan.Config):
        return None
    weights = checkpoint.start_weights(run)[1]
    if "critic" not in weights:
        return None
    critics = gan.Objective(recipe.objective, recipe.module, opened.model).critic
    checkpoint.fill(critics, weights["critic"], f"{run}: critic")
    return critics.eval()


def _codec(request: Request, opened: Opened) -> Trace:
    from aoide.generate.torch_codec import TorchCodec

    request.take()
    return codec(request, TorchCodec(opened.model, opened.name, request.vocoder))


# ------------------------------------------------------------------------------------------------------------- speaking


def _speak(request: Request, opened: Opened) -> Trace:
    """A text by a run; with a recording of the text, what an aligner of the model hears of it."""
    name, model = opened.name, opened.model
    settings = request.take("speed", "speaker", "seed", "steps", "solver")
    reader = frontend("en")
    phonemes = " ".join(reader.phonemize(sentence) for sentence in reader.sentences(request.input))
    tokens = torch.from_numpy(Tokenizer(SYMBOLS).encode(phonemes))[None]
    symbols = [handles.SILENT, *phonemes, handles.SILENT]
    fields: dict[str, Any] = {"tokens": tokens, "token_mask": torch.ones_like(tokens, dtype=torch.bool)}
    if _several(model):
        fields["speaker"] = torch.tensor([_speaker(settings)])
    fields |= {key: settings[key] for key in ("speed", "steps", "solver") if key in settings}
    fields["generator"] = torch.Generator().manual_seed(settings.get("seed", 0))
    if name == "tts/fastspeech2s":
        return _filtered(request, opened, fields, symbols)
    call = getattr(model, "infer", None) or getattr(model, "speak", None)
    if call is None:
        raise UserError(
            f"{name} does not speak by itself: record it in Python, `with aoide.trace(model) as trace: ...`"
        )
    about = {**_about(request, name, "say", request.settings), "symbols": symbols}
    # a model that draws without the generator draws from torch's own, whose state is whole again afterwards
    with torch.random.fork_rng(devices=[]), Recorder(model, **about) as recorder:
        if request.like is not None:
            _listen(request, opened, fields)
        torch.manual_seed(settings.get("seed", 0))
        output = _call(call, fields)
        if request.edits:
            output = _call(call, fields | edited(model, output, request.edits))
    recorder.sound = _sound_of(output, model)
    return recorder.trace


def _filtered(request: Request, opened: Opened, fields: dict[str, Any], symbols: list[str]) -> Trace:
    """The voice of the package, from a run."""
    from aoide.explain.build import Builder
    from aoide.explain.gather import described, finish
    from aoide.explain.subjects import spoken_again

    model = opened.model
    asked = {key: value for key, value in fields.items() if key != "generator"}
    if "speed" in asked:
        asked["speed"] = torch.tensor([float(asked["speed"])])
    with Recorder(model, **_about(request, opened.name, "say", request.settings)) as recorder:
        output = _call(model.forward, asked)
    spectra = tuple(part.float().numpy() for part in output.spectra[0].unbind(1))
    config, durations = model.config, output.durations[0].numpy()
    spoken = handles.Spoken(
        tuple(symbols), durations, spectra, output.f0[0].numpy(), config.hop, config.sample_rate, opened.name
    )
    builder = Builder(described(recorder))
    spoken_again(builder, spoken)
    finish(builder, recorder)
    return builder.finish()


def _listen(request: Request, opened: Opened, fields: Mapping[str, Any]) -> None:
    """Lets the model hear a recording of the text, as in training: its aligner reports what it finds."""
    asks = inspect.signature(opened.model.forward).parameters
    if not {"mel", "audio"} & set(asks) or {"noisy", "time"} & set(asks):
        raise UserError(f"{opened.name} has no aligner that hears a recording; leave --like out")
    known = fields_of(opened, _needs(opened.model), recording(request.like or ""))
    _call(opened.model.forward, {**fields, **known})


def _sound_of(output: Any, model: Any) -> Sound | None:
    """The sound of what a model gave: samples, or a mel."""
    named = (getattr(output, key, None) for key in ("audio", "sound", "mel"))
    found = next((value for value in named if value is not None), output)
    if not isinstance(found, torch.Tensor) or not hasattr(model.config, "mel"):
        return None
    values = found[0].float().numpy()
    is_mel = values.ndim == 2 and values.shape[1] == model.config.mel.n_mels
    return _as_sound(values, model) if values.ndim == 1 or is_mel else None


def _can_be_edited(model: Any) -> bool:
    call = getattr(model, "infer", None)
    return call is not None and {"durations", "token_pitch", "token_energy"} <= set(inspect.signature(call).parameters)


def edited(model: Any, output: Any, edits: handles.Edits) -> dict[str, torch.Tensor]:
    """Durations, pitch and energy of an output of FastSpeech 2 or its like, edited, to be given to it again."""
    factors, semitones, decibel = edits.fitted(output.durations.shape[1])
    config = model.config
    lasting = output.durations[0].double().numpy()
    durations = np.where(lasting > 0, np.maximum(1, np.rint(lasting * factors)), 0).astype(np.int64)
    louder = decibel * handles.NEPERS / config.energy.deviation if config.energy.log else 0.0 * decibel
    return {
        "durations": torch.from_numpy(durations)[None],
        "token_pitch": config.pitch.shift(output.token_pitch, torch.from_numpy(semitones.astype(np.float32))[None]),
        "token_energy": output.token_energy + torch.from_numpy(np.asarray(louder, np.float32))[None],
    }


def _like(request: Request, name: str) -> Trace:
    """A text in the voice of a recording."""
    from aoide.generate import zeroshot

    settings = request.take("seed", "speed", "seconds")
    if request.like is None:
        raise UserError(f"{name} speaks in the voice of a recording: give one with --like, and what it says")
    prompt = recording(request.like)
    speaker = zeroshot.open_speaker(name, _source(request), aoide.load, vocoder=request.vocoder)
    like = zeroshot.Cloning(speaker, prompt, request.like_text or "", name=request.like)
    model = getattr(speaker, "model", None)
    told = {"voice_of": Path(request.like).stem, **request.settings}
    with Recorder(model, **_about(request, name, "say", told)) as recorder:
        recorder.sound = like.say(request.input, **settings)
    recorder.reference = like.prompt
    recorder.told["reference"] = "recording whose voice it is"
    return recorder.trace


TASKS: dict[str, Callable[[Request, Opened], Trace]] = {
    "svs": _sing,
    "svc": _convert,
    "vocoder": _vocoder,
    "codec": _codec,
    "tts": _speak,
}
