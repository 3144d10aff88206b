"""From what was recorded to a `Trace`: which reports are steps, which of them is heard, and what is inside.

Names of reports that are understood (aoide.trace.report):

    diffusion/x, flow/x, consistency/x   a sampler's steps; where the mel that comes of them is reported as well
                                         ("mel"), the line from one to the other is found, and all steps are mels
    hidden                               states of a layer at a step
    phrase                               seconds at which the next run of a sampler begins
    masked/codes, hidden, sure           unmasking
    attention, align/soft                who looks at whom
    durations, token_pitch, token_energy, f0
    tokens/next                          scores of the next token
    .../codes                            codebooks
    critic/scores                        what discriminators say
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from aoide.audio.mel_config import MelConfig
from aoide.explain import inside, views
from aoide.explain.build import Builder
from aoide.explain.recorder import STEPS
from aoide.explain.traces import Trace

if TYPE_CHECKING:
    from aoide.explain.recorder import Recorder
    from aoide.trace import Event


DECODED = 24  # steps, where each has to be decoded before it can be looked at


class Run(NamedTuple):
    """One run of a sampler: its steps (steps, frames, bands), where it begins, and what it came to."""

    x: np.ndarray
    times: list[float | None]
    start: float  # seconds
    mel: np.ndarray | None  # (frames, mels)
    hidden: dict[int, np.ndarray]  # layer -> (steps, dim)


def gather(recorder: Recorder) -> Trace:
    """The trace of a recording."""
    builder = Builder(described(recorder))
    config = recorder.told.get("mel") or getattr(getattr(recorder.model, "config", None), "mel", None)
    runs = found_runs(recorder.events)
    if recorder.to_mel is not None:
        runs = [decoded(run, recorder.to_mel) for run in runs]
    if runs:
        _sampled(builder, runs, config if isinstance(config, MelConfig) else None)
    elif any(event.name == "masked/codes" for event in recorder.events):
        inside.unmasking_steps(builder, recorder.events)
    elif recorder.sound is not None:
        builder.sounds([("sound", recorder.sound)])
    elif isinstance(config, MelConfig):
        _spoken(builder, recorder.events, config)
    finish(builder, recorder)
    return builder.finish()


def finish(builder: Builder, recorder: Recorder) -> None:
    """What every trace gets of a recording, whatever its steps are."""
    if recorder.sound is not None:
        builder.final(recorder.sound)
    if recorder.reference is not None:
        builder.reference(str(recorder.told.get("reference", "recording")), recorder.reference)
    inside.panels(builder, recorder.events, recorder.told.get("symbols"))
    if recorder.left_out:
        builder.about["left_out"] = recorder.left_out


def described(recorder: Recorder) -> dict[str, Any]:
    """What the page says of the run."""
    told = {key: value for key, value in recorder.told.items() if key not in ("mel", "symbols", "reference")}
    name = told.pop("name", None)
    if name is None and recorder.model is not None:
        kind = type(recorder.model)
        name = kind.__module__.removeprefix("aoide.models.").replace(".", "/")
        name = name if kind.__module__.startswith("aoide.models.") else getattr(recorder.model, "name", kind.__name__)
    plain: dict[str, Any] = {key: told.pop(key) for key in ("title", "label", "task", "input") if key in told}
    settings = {**told.pop("settings", {}), **told}
    title = plain.get("title") or " ".join([str(name or "run"), *(f"{k}={v}" for k, v in settings.items())])
    return {"model": name or "", **plain, "title": title, "settings": settings}


def _spoken(builder: Builder, events: list[Event], config: MelConfig) -> None:
    """A model that gives its mel at once: one step."""
    mels = [views.plain(event.value) for event in events if event.name == "mel"]
    mels = [mel[0] if mel.ndim == 3 else mel for mel in mels]
    mels = [mel for mel in mels if mel.ndim == 2 and mel.shape[1] == config.n_mels]
    if mels:
        builder.mels(np.concatenate(mels)[None], ["mel"], config)


# ------------------------------------------------------------------------------------------------------------- samplers


def found_runs(events: list[Event]) -> list[Run]:
    """The runs of samplers in a recording, those with the most bands (a variance model runs before a singer)."""
    places = [place for place, event in enumerate(events) if event.name in STEPS]
    orders = views.in_order([int(events[place].where.get("step", n)) for n, place in enumerate(places)])
    runs, before, start = [], 0, 0.0
    for order in orders:
        own = [places[index] for index in order]
        for event in events[before : own[0]]:
            start = float(event.value) if event.name == "phrase" else start
        runs.append(_run(events, before, own, start))
        before = own[-1] + 1
    if not runs:
        return []
    most = max(run.x.shape[2] for run in runs)
    return [run for run in runs if run.x.shape[2] == most]


def _run(events: list[Event], before: int, own: list[int], start: float) -> Run:
    """The run whose steps are at `own`, of what was reported since `before`."""
    hidden: dict[int, list[np.ndarray]] = {}
    pending: dict[int, np.ndarray] = {}
    marks = set(own)
    for place in range(before, own[-1] + 1):
        event = events[place]
        if event.name == "hidden":
            pending[event.where["layer"]] = event.value
        elif place in marks:
            for layer, value in pending.items():
                hidden.setdefault(layer, []).append(value)
    frames = len(events[own[-1]].value)
    x = np.stack([events[place].value.reshape(frames, -1) for place in own])
    mel = None
    for event in events[own[-1] + 1 :]:
        if event.name in STEPS:
            break
        if event.name == "mel":
            value = views.plain(event.value)
            mel = value[0] if value.ndim == 3 else value
            break
    states = {layer: np.stack(values) for layer, values in hidden.items() if len(values) == len(own)}
    return Run(x, [events[place].where.get("time") for place in own], start, mel, states)


def decoded(run: Run, to_mel: Callable[[np.ndarray], np.ndarray]) -> Run:
    """A run whose steps are components of mels, as mels; no more steps than are shown."""
    run = _thinned(run, min(len(run.x), DECODED))
    steps = [np.asarray(to_mel(x.astype(np.float32)[None]))[0] for x in run.x]
    return run._replace(x=np.stack(steps), mel=steps[-1])


def _sampled(builder: Builder, runs: list[Run], config: MelConfig | None) -> None:
    """Steps of a sampler, run after run on one clock."""
    count = min(len(run.x) for run in runs)
    runs = [_thinned(run, count) for run in runs]
    parts = [as_mel(run, config) for run in runs]
    labels = [f"step {number} of {count}" for number in range(1, count + 1)]
    if config is not None and all(part is not None for part in parts):
        starts = [round(run.start * config.frame_rate) for run in runs]
        starts = starts if any(starts) else list(np.cumsum([0, *(len(run.x[0]) for run in runs[:-1])]))
        frames = max(start + run.x.shape[1] for start, run in zip(starts, runs, strict=True))
        whole = np.full((count, frames, config.n_mels), config.silence, np.float32)
        for start, part in zip(starts, parts, strict=True):
            assert part is not None
            whole[:, start : start + part.shape[1]] = part
        numbers = [{} if time is None else {"time": round(float(time), 5)} for time in runs[0].times]
        kept = builder.mels(whole, labels, config, numbers)
    else:
        joined = np.concatenate([run.x.astype(np.float32) for run in runs], axis=1)
        rate = config.frame_rate if config is not None else 50.0
        kept = builder.pictures(joined, labels, "latent", joined.shape[1] / rate)
    for layer in sorted(runs[0].hidden):
        states = np.mean([run.hidden[layer] for run in runs if layer in run.hidden], axis=0)
        builder.path("hidden", states[kept], "steps", layer=layer)


def _thinned(run: Run, count: int) -> Run:
    """A run of so many steps, the last one among them: not all runs have as many."""
    kept = views.thinned(len(run.x), count)[-count:]
    hidden = {layer: states[kept] for layer, states in run.hidden.items()}
    return run._replace(x=run.x[kept], times=[run.times[number] for number in kept], hidden=hidden)


def calmed(x: np.ndarray) -> np.ndarray:
    """Steps (steps, frames, bands) of which none is more than twice as large as the last.

    Some samplers begin with noise that is eighty times as large as a sound (Karras et al. 2022): what the network is
    given then is the same made smaller, and that is what can be looked at.
    """
    middle = x[-1].mean()
    sizes = np.maximum((x - middle).std((1, 2)), 1e-6)
    factors = np.minimum(1.0, 2 * sizes[-1] / sizes)
    return np.asarray(middle + (x - middle) * factors[:, None, None], np.float32)


def as_mel(run: Run, config: MelConfig | None) -> np.ndarray | None:
    """The steps of a run as log mels, by the line from the last step to the mel that came of it."""
    if config is None or run.x.shape[2] != config.n_mels:
        return None
    x = calmed(run.x.astype(np.float32))
    if run.mel is not None:
        frames = min(x.shape[1], len(run.mel))
        line = views.affine(x[-1][-frames:], run.mel[-frames:])
        if line is not None:
            return x * line[0] + line[1]
    return x if x[-1].min() < -3.0 else None  # log mels are far below 0 where it is silent, normalised ones are not
