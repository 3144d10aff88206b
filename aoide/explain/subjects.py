"""What `aoide explain` can run by name without torch: the voices, singers, converters, vocoders and codecs.

    trace = explain(Request(model="en-heart", input="Any input becomes sound."))

What has no steps by itself is shown by its stages: pulses, filter and noise of a voice; a codec's codebooks one after
the other; the recording and what became of it. Runs and models with published weights stand in runs.py.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import aoide.voices as voices
from aoide import trace
from aoide.audio.sound import Sound
from aoide.config import UserError, near, require
from aoide.explain import inside, views
from aoide.explain.build import Builder
from aoide.explain.recorder import Recorder
from aoide.explain.traces import Trace
from aoide.generate import handles
from aoide.generate.handles import Edits, Spoken

LEAST, LONGEST = 0.1, 60.0  # seconds of sound that a trace is made of
WHOLE, NUMBERS = ("seed", "steps"), ("guidance", "pitch", "seconds", "speed", "transpose")  # what settings are


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """What to run: a model, what it is given, and settings by the names of `say`, `sing` and `convert`."""

    model: str
    input: str
    settings: dict[str, Any] = field(default_factory=dict)
    edits: Edits = field(default_factory=Edits)
    weights: str | None = None
    like: str | None = None  # a recording: whose voice, or what was said
    like_text: str | None = None
    variance: str | None = None
    vocoder: str | None = None
    threads: int = 1

    def take(self, *names: str, automatic: tuple[str, ...] = ()) -> dict[str, Any]:
        """The settings of these names that were given.

        Args:
            automatic: those that may be "auto" in place of a number.

        Raises:
            UserError: one was given that is not among them, or that is no number where it has to be one.
        """
        for name, value in self.settings.items():
            if name not in names:
                there = f" it has {', '.join(names)}" if names else " it has none"
                raise UserError(f"{self.model} has no setting {name!r};{near(name, names) or there}")
            if name in WHOLE and not isinstance(value, int):
                raise UserError(f"{name}={value}: is a whole number")
            if name in NUMBERS and not isinstance(value, (int, float)) and (name not in automatic or value != "auto"):
                raise UserError(f"{name}={value}: is a number{', or auto' if name in automatic else ''}")
        return dict(self.settings)


def explain(request: Request) -> Trace:
    """Runs the model and records it.

    Raises:
        UserError: no such model, an input or a setting that it does not take.
    """
    kind = voices.kind_of(request.model)
    if kind is not None and request.weights is None:
        if request.edits and kind != "voice":
            raise UserError(f"--edits is for voices, and {request.model} is a {kind}")
        if kind not in KINDS:
            raise UserError(f"{request.model} is a {kind}: there are no steps in it that could be explained")
        return KINDS[kind](request)
    require("torch", "torch").set_num_threads(request.threads)
    from aoide.explain import runs

    return runs.explain(request)


def titled(request: Request, about: dict[str, Any]) -> dict[str, Any]:
    """What the page says of a run."""
    shown = {key: value for key, value in about.items() if value is not None}
    name = Path(request.model).name or request.model
    given = request.input
    if len(given) < 1000 and Path(given).suffix and Path(given).exists():  # a file: its folder is nobody's business
        given = Path(given).name
    label = " ".join([name, *(f"{key}={value}" for key, value in shown.items() if key in request.settings)])
    return {"title": f"{name}: {given}"[:120], "label": label[:60], "settings": shown, "input": given}


def recording(path: str) -> Sound:
    """A recording, one channel, of no more than `LONGEST` seconds."""
    if not Path(path).exists():
        raise UserError(f"{path}: no such file; this model is given a recording")
    sound = Sound.load(path).mono()
    if sound.seconds > LONGEST:
        raise UserError(f"{path}: {sound.seconds:.0f} s are too long to be looked at; give up to {LONGEST:g} s of it")
    if sound.seconds < LEAST:
        raise UserError(f"{path}: {sound.seconds:.2f} s are too short to be looked at; give {LEAST:g} s or more")
    return sound


# ------------------------------------------------------------------------------------------------------------- speaking


def _voice(request: Request) -> Trace:
    settings = request.take("speed", "pitch", "seed")
    seed = settings.pop("seed", 0)
    folder = voices.find(request.model)
    about = {"model": request.model, "task": "say", **titled(request, {"voice": Path(folder).name, **request.settings})}
    if not handles.can_speak_again(folder):
        return _said(request, about, {**settings, "seed": seed})
    spoken = handles.speak(request.model, request.input, **settings)
    whole = spoken.edited(request.edits) if request.edits else spoken
    again = {"model": request.model, "input": request.input, **settings}
    builder = Builder(about)
    spoken_again(builder, whole, again if not request.edits and request.model in voices.names() else None)
    return builder.finish()


def spoken_again(builder: Builder, spoken: Spoken, resynth: dict[str, Any] | None = None) -> None:
    """What a voice of pulses and noise says: its stages, and the handles.

    Args:
        resynth: what `handles.resynth` needs to speak it again, beside the edits.
    """
    builder.sounds(stages(spoken))
    _path_of_frames(builder, np.concatenate(spoken.spectra[:1] + spoken.spectra[2:3], axis=1))
    inside.handles(
        builder,
        spoken.durations,
        spoken.symbols,
        pitch=views.per_token(spoken.f0, spoken.durations, above=0.0),
        energy=views.per_token(spoken.loudness(), spoken.durations),
        frame_rate=spoken.sample_rate / spoken.hop,
        pitch_unit="Hz",
        resynth=resynth,
    )


def _said(request: Request, about: dict[str, Any], settings: dict[str, Any]) -> Trace:
    """A voice of another kind: its sound, and how long each phoneme lasts."""
    if request.edits:
        raise UserError(f"{request.model} is no voice of pulses and noise, so it cannot be edited")
    from aoide.generate.voice import Voice

    voice = Voice(voices.find(request.model), request.threads)
    speech = voice.speak(request.input, **settings)
    builder = Builder(about)
    builder.sounds([("sound", speech.sound)])
    lasting = np.array([round((timed.end - timed.start) * 100) for timed in speech.phonemes])
    inside.handles(builder, lasting, [timed.symbol for timed in speech.phonemes], frame_rate=100.0)
    return builder.finish()


def stages(spoken: Spoken) -> list[tuple[str, Sound]]:
    """The way from pulses to a voice."""
    pulses = spoken.sound(filtered=False, noise=False)
    peak = float(np.abs(pulses.samples).max(initial=0.0))
    pulses = Sound(pulses.samples * np.float32(0.5 / peak), pulses.sample_rate) if peak > 0.5 else pulses
    return [
        ("pulses alone: the pitch", pulses),
        ("pulses through the filter: the voiced part", spoken.sound(noise=False)),
        ("noise alone: breath and hiss", spoken.sound(pulses=False)),
        ("both together: the voice", spoken.sound()),
    ]


def _path_of_frames(builder: Builder, states: np.ndarray) -> None:
    small = views.pooled(states.astype(np.float32).T, 64, 240).T
    builder.path("states", small, "frames")


# -------------------------------------------------------------------------------------------------------------- singing


def _singer(request: Request) -> Trace:
    from aoide.generate.singer import Singer
    from aoide.score import Score

    settings = request.take("transpose", "seed", "part")
    score = Score.load(request.input, settings.pop("part", None))
    singer = Singer(request.model, request.threads)
    with Recorder() as recorder:
        performance = singer.perform(score, **settings)
    song = score.title or Path(request.input).stem
    about = {"singer": singer.name, "song": song, **request.settings}
    builder = Builder({"model": request.model, "task": "sing", **titled(request, about)})
    spoken = _sung(recorder.events, len(performance.f0), singer)
    peak = max(float(np.abs(performance.sound.samples).max(initial=0.0)), 1e-6)
    builder.sounds(
        [(label, _scaled(sound, peak)) for label, sound in stages(spoken)[:3]]
        + [("both together: the voice", performance.sound)]
    )
    _path_of_frames(builder, np.concatenate(spoken.spectra[:1] + spoken.spectra[2:3], axis=1))
    sung_phonemes(builder, performance)
    return builder.finish()


def _scaled(sound: Sound, peak: float) -> Sound:
    """A stage as loud as the whole at most."""
    own = float(np.abs(sound.samples).max(initial=0.0))
    return Sound(sound.samples * np.float32(min(1.0, peak / max(own, 1e-6))), sound.sample_rate)


def _sung(events: list[trace.Event], frames: int, singer: Any) -> Spoken:
    """What was sung, phrase by phrase, on one clock."""
    bins = next((event.value.shape[1] for event in events if event.name == "lh"), None)
    if bins is None:
        raise UserError("nothing is sung in this score that could be looked at")
    whole = {
        name: np.full((frames, bins), handles.SOUNDLESS if name in ("lh", "lr") else 0.0, np.float32)
        for name in ("lh", "theta", "lr", "phi")
    }
    f0, start = np.zeros(frames, np.float32), 0
    for event in events:
        if event.name == "phrase":
            start = round(event.value * singer.frame_rate)
        elif event.name in whole:
            whole[event.name][start : start + len(event.value)] = event.value[: max(0, frames - start)]
        elif event.name == "phrase/f0":
            f0[start : start + len(event.value)] = event.value[: max(0, frames - start)]
    spectra = (whole["lh"], whole["theta"], whole["lr"], whole["phi"])
    hop = round(singer.sample_rate / singer.frame_rate)
    return Spoken((), np.zeros(0, int), spectra, f0, hop, singer.sample_rate, singer.name)


def sung_phonemes(builder: Builder, performance: Any) -> None:
    """The panel of what was sung when and how high."""
    rate, f0 = performance.frame_rate, performance.f0
    bounds, symbols, at = [0], [], 0.0
    for phoneme in performance.score.phonemes:
        if phoneme.start > at + 0.5 / rate:
            bounds.append(round(phoneme.start * rate))
            symbols.append(handles.SILENT)
        bounds.append(round(phoneme.end * rate))
        symbols.append(phoneme.symbol)
        at = phoneme.end
    durations = np.maximum(np.diff(bounds), 0)
    pitch = views.per_token(f0, durations, above=0.0)
    inside.handles(builder, durations, symbols, pitch=pitch, frame_rate=rate, pitch_unit="Hz")


# ------------------------------------------------------------------------------------------------- from sound to sound


def _converter(request: Request) -> Trace:
    from aoide.generate.converter import Converter

    settings = request.take("voice", "transpose", "f0", "task", automatic=("transpose",))
    singer = settings.pop("voice", None)
    source = recording(request.input)
    converter = Converter(request.model, request.threads)
    with Recorder() as recorder:
        made = converter.convert(source, singer, **settings)
    about = {"singer": singer or converter.singers[0], "source": Path(request.input).stem, **request.settings}
    builder = Builder({"model": request.model, "task": "convert", **titled(request, about)})
    builder.sounds([("the recording", source), ("in the other voice", made)])
    contents = [event.value for event in recorder.events if event.name == "content"]
    if contents:
        _path_of_frames(builder, np.concatenate(contents))
    builder.reference("recording", source)
    return builder.finish()


def _vocoder(request: Request) -> Trace:
    from aoide.generate.vocoder import Vocoder

    settings = request.take("seed")
    source = recording(request.input)
    vocoder = Vocoder(request.model, request.threads, **settings)
    made = vocoder.resynth(source)
    builder = Builder(
        {
            "model": request.model,
            "task": "resynth",
            **titled(request, {"source": Path(request.input).stem, **request.settings}),
        }
    )
    builder.sounds([("the recording", source), ("made again", made)])
    builder.reference("recording", source)
    return builder.finish()


def _codec(request: Request) -> Trace:
    from aoide.generate.codec import Codec

    request.take()
    return codec(request, Codec(voices.find(request.model, kind="codec"), request.threads, request.vocoder))


def codec(request: Request, codec: Any) -> Trace:
    """A codec: the sound of its first codebook, of the first two, and so on."""
    source = recording(request.input)
    codes = codec.encode(source)
    builder = Builder(
        {"model": request.model, "task": "encode", **titled(request, {"source": Path(request.input).stem})}
    )
    count = codes.codes.shape[1]
    kept = [number + 1 for number in views.thinned(count, 9)]
    labels = ["1 codebook" if number == 1 else f"{number} codebooks" for number in kept]
    builder.sounds([(label, codec.decode(codes, number)) for label, number in zip(labels, kept, strict=True)])
    builder.reference("recording", source)
    inside.codes(builder, codes.codes, codec.name, codec.cardinality)
    return builder.finish()


def _described(request: Request) -> Trace:
    """A model of described sounds: the steps of its flow, of components of mels."""
    from aoide.generate.described import Described

    settings = request.take("seconds", "steps", "guidance", "seed")
    model = Described(voices.find(request.model, kind="described"), request.threads)
    about = titled(request, {"text": request.input, **request.settings})
    mel = model.description.mel
    with Recorder(None, to_mel=model._network.mel, name=request.model, task="sound", mel=mel, **about) as recorder:
        recorder.sound = model.make(request.input, **settings)
    return recorder.trace


KINDS: dict[str, Callable[[Request], Trace]] = {
    "voice": _voice,
    "singer": _singer,
    "converter": _converter,
    "vocoder": _vocoder,
    "codec": _codec,
    "described": _described,
}
