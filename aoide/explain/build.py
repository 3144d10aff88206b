"""Builds a `Trace`: pictures and sounds of steps, curves over them, paths through them, and panels of what is inside.

    builder = Builder({"model": "svs/diffsinger", "task": "sing", "settings": {"steps": 20}})
    builder.mels(mels, labels, config)                  # (steps, frames, mels) log mels, or
    builder.sounds([("pulses", sound), ...])            # stages that can be heard, or
    builder.pictures(values, labels, "codes")           # something else that changes from step to step
    builder.inside({"kind": "attention", ...}, map=array)
    trace = builder.finish()

A trace is for looking: pictures are bytes, and there are only as many steps as `MOST_CELLS` allows, thinned where
little changes. Curves are taken from what was recorded, before it was made small.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from aoide.audio.mel_config import MelConfig
from aoide.audio.sound import Sound
from aoide.config import to_dict
from aoide.explain import heard, views
from aoide.explain.traces import Trace

MOST_CELLS = 4_200_000  # of all pictures of a trace: with what else a page holds, 10 s stay below 10 MB
MOST_STEPS = 64
LEAST_STEPS = 6  # longer sounds lose frames rather than more steps
HEARD = 9  # steps that are made sound
MOST_HEARD = 150.0  # seconds of sound in all
MOST_PANELS = 48  # maps of what is inside
FRAME_POINTS = 240  # of a path from frame to frame


class Builder:
    """See the head of this file.

    Args:
        about: title, model, task, input, settings: what the page says of the run, and what tells two runs apart.
    """

    def __init__(self, about: Mapping[str, Any]) -> None:
        base = {"title": "", "model": "", "task": "", "input": "", "settings": {}, "seconds": 0.0}
        self.trace = Trace({**base, **about})
        self.about = self.trace.about
        self.about |= {"steps": [], "metrics": [], "paths": [], "inside": []}

    @classmethod
    def upon(cls, trace: Trace) -> Builder:
        """A builder that adds to a trace."""
        builder = cls({})
        builder.trace, builder.about = trace, trace.about
        return builder

    # ----------------------------------------------------------------------------------------------------------- steps

    def mels(
        self, mels: np.ndarray, labels: Sequence[str], config: MelConfig, numbers: Sequence[Mapping[str, Any]] = ()
    ) -> list[int]:
        """Steps of log mels (steps, frames, mels); gives which were kept.

        Args:
            numbers: what else is known of each step, such as its time.
        """
        kept = self._keep(mels)
        chosen = np.stack([np.asarray(mels[i], np.float32) for i in kept])
        self.about["mel"] = to_dict(config)
        seconds = mels.shape[1] / config.frame_rate
        self._pictures(chosen, "mel", seconds)
        ears = heard.Ears(config)
        self.about["vocoder"] = {"exact": ears.exact}
        count = max(2, min(HEARD, int(MOST_HEARD / max(seconds, 0.1))))
        audible = set(views.thinned(len(kept), count))
        for place, index in enumerate(kept):
            step = {"label": labels[index], "number": index, **(numbers[index] if numbers else {})}
            if place in audible:
                self._sounding(step, ears.sound(chosen[place]), place)
            self.about["steps"].append(step)
        self._curves(chosen, "dB")
        self._f0_curves()
        return kept

    def sounds(self, stages: Sequence[tuple[str, Sound]]) -> None:
        """Stages that can be heard, as steps; the pictures are their mels."""
        config = heard.HOUSE
        pictures = [heard.picture(sound) for _, sound in stages]
        frames = max(map(len, pictures))
        chosen = np.full((len(pictures), frames, config.n_mels), config.silence, np.float32)
        for row, own in zip(chosen, pictures, strict=True):
            row[: len(own)] = own
        self.about["mel"] = to_dict(config)
        self._pictures(chosen, "mel", frames / config.frame_rate)
        self.about["vocoder"] = {"exact": True}
        for place, (label, sound) in enumerate(stages):
            step = {"label": label, "number": place}
            self._sounding(step, sound, place)
            self.about["steps"].append(step)
        self._curves(chosen, "dB")
        self._f0_curves()

    def pictures(self, values: np.ndarray, labels: Sequence[str], what: str, seconds: float) -> list[int]:
        """Steps (steps, frames, rows) of something that is no mel; gives which were kept."""
        kept = self._keep(values)
        chosen = np.stack([np.asarray(values[i], np.float32) for i in kept])
        self._pictures(chosen, what, seconds)
        self.about["steps"] += [{"label": labels[index], "number": index} for index in kept]
        self._curves(chosen, "")
        return kept

    def _keep(self, values: np.ndarray) -> list[int]:
        cells = int(np.prod(values.shape[1:]))
        most = int(np.clip(MOST_CELLS // max(cells, 1), LEAST_STEPS, MOST_STEPS))
        small = [views.pooled(np.asarray(value, np.float32).T, 32, 100) for value in values]
        return views.thinned(len(values), most, views.moved(np.stack(small)))

    def _pictures(self, chosen: np.ndarray, what: str, seconds: float) -> None:
        most = max(1, MOST_CELLS // (len(chosen) * chosen.shape[2]))
        if chosen.shape[1] > most:
            chosen = views.pooled(chosen.transpose(0, 2, 1), chosen.shape[2], most).transpose(0, 2, 1)
        low, high = np.percentile(chosen[-1], (0.5, 99.9)) if chosen.size else (0.0, 1.0)
        low, high = (0.0, 1.0) if what == "codes" else (low, high)
        span = max(float(high - low), 1e-3)
        clipped = np.clip(chosen, low - 0.6 * span, high + 0.25 * span)
        self.trace.put("pictures", clipped, "u1")
        self.about["picture"] = {"array": "pictures", "what": what, "low": float(low), "high": float(high)}
        self.about["seconds"] = round(seconds, 4)

    def _sounding(self, step: dict[str, Any], sound: Sound, place: int) -> None:
        """Gives a step its sound and its F0."""
        name = f"step-{place:03}.ogg"
        self.trace.sounds[name] = heard.encoded(sound)
        frames = self.trace.arrays["pictures"].data.shape[1]
        f0 = heard.f0_of(sound, frames)
        step |= {"sound": name, "f0": self.trace.put(f"f0-{place:03}", f0)}

    # ---------------------------------------------------------------------------------------------------------- curves

    def _curves(self, chosen: np.ndarray, unit: str) -> None:
        if len(chosen) < 2:
            return
        last, scale = chosen[-1], views.DECIBEL if unit else 1.0
        if unit:
            self.metric("to_last", views.distance(chosen, last), "dB")
            self.metric("cepstral", views.cepstral(chosen, last), "dB")
        else:
            self.metric("to_last", np.sqrt(np.square(chosen - last).mean((1, 2))), "")
        moved = views.moved(chosen)
        self.metric("moved", np.append(moved[:1], moved) * scale, unit)
        error = views.error_map(chosen, last) * scale
        self.about["error"] = {"array": self.trace.put("error", error, "u1"), "unit": unit}
        self.path("pictures", views.coarse(chosen), "steps")
        frames = views.pooled(last.T, last.shape[1], FRAME_POINTS).T
        self.path("frames", frames, "frames")

    def _f0_curves(self) -> None:
        """F0 of each step that is heard, against that of the last."""
        steps = self.about["steps"]
        known = [step for step in steps if "f0" in step]
        if len(known) < 2:
            return
        goal = self.trace.array(known[-1]["f0"])
        rows = [views.f0_differences(self.trace.array(step["f0"]), goal) if "f0" in step else None for step in steps]
        for number, (name, unit) in enumerate((("f0_rmse", "cents"), ("f0_correlation", ""), ("voicing", ""))):
            values = [None if row is None else row[number] for row in rows]
            if sum(value is not None for value in values) > 1:
                self.metric(name, values, unit)

    def metric(self, name: str, values: Sequence[float | None] | np.ndarray, unit: str) -> None:
        """A curve over the kept steps; None where a step has no value."""
        rounded = [None if value is None or not np.isfinite(value) else round(float(value), 4) for value in values]
        self.about["metrics"].append({"name": name, "unit": unit, "values": rounded})

    def path(self, name: str, states: np.ndarray, over: str, **where: Any) -> None:
        """A path through states (count, dim), `over` the kept steps or frames at equal distances in time."""
        if len(states) < 3:
            return
        found = views.path(states)
        array = self.trace.put(f"path-{len(self.about['paths'])}", found.points)
        shares = [round(share, 4) for share in found.shares]
        self.about["paths"].append({"name": name, "array": array, "over": over, "shares": shares, **where})

    # ------------------------------------------------------------------------------------------------------- the others

    def reference(self, label: str, sound: Sound) -> None:
        """What should have come out, or what went in."""
        self.trace.sounds["reference.ogg"] = heard.encoded(sound)
        mel = heard.picture(sound)
        mel = mel if len(mel) * mel.shape[1] < MOST_CELLS // 2 else views.pooled(mel.T, mel.shape[1], 4000).T
        config = to_dict(heard.HOUSE)
        self.about["reference"] = {
            "label": label,
            "sound": "reference.ogg",
            "array": self.trace.put("reference", mel, "u1"),
            "f0": self.trace.put("f0-reference", heard.f0_of(sound, len(mel))),
            "seconds": round(sound.seconds, 4),
            "mel": config,
        }
        chosen = self.trace.array("pictures") if "pictures" in self.trace.arrays else None
        same = chosen is not None and self.about.get("mel") == config and abs(chosen.shape[1] - len(mel)) <= 4
        if same and chosen is not None and len(chosen) > 1:
            frames = min(chosen.shape[1], len(mel))
            self.metric("to_reference", views.distance(chosen[:, :frames], mel[:frames]), "dB")

    def final(self, sound: Sound) -> None:
        """The sound that the run gave, which is that of the last step where it has none, or another one."""
        self.trace.sounds["final.ogg"] = heard.encoded(sound)
        self.about["final"] = {"sound": "final.ogg", "seconds": round(sound.seconds, 4)}
        self.about["seconds"] = self.about["seconds"] or round(sound.seconds, 4)

    def inside(self, panel: Mapping[str, Any], **arrays: tuple[np.ndarray, str]) -> None:
        """A panel of what is inside: plain JSON, and arrays with how they are stored (see `Trace.put`)."""
        panels = self.about["inside"]
        if len(panels) >= MOST_PANELS:
            return
        number = len(panels)
        kept = {key: self.trace.put(f"inside-{number:02}-{key}", *stored) for key, stored in arrays.items()}
        panels.append({**panel, **kept})

    def finish(self) -> Trace:
        """The trace; a run without steps gets the sound that came of it as its only one."""
        if not self.about["steps"] and "final" in self.about:
            self.about["steps"].append({"label": "sound", "number": 0, "sound": self.about["final"]["sound"]})
        return self.trace
