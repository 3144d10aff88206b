"""Panels of what is inside a model, from what its blocks reported: attention, alignment, unmasking, codebooks, critics.

Each panel is a dictionary for the page with `kind` and what that kind shows; maps are stored as bytes.
docs/explaining.md says what a reader sees in each.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from aoide.explain import views

if TYPE_CHECKING:
    from aoide.explain.build import Builder
    from aoide.trace import Event

COLUMNS, ROWS = 400, 160  # of a map
MOST_ATTENTION = 18
DURATIONS = ("durations", "align/durations")
FRAME_RATE = 50.0  # of codes whose clock nobody tells


def panels(builder: Builder, events: Sequence[Event], symbols: Sequence[str] | None = None) -> None:
    """All panels that the events of a recording have something for.

    Args:
        symbols: what each token is, for people.
    """
    steps: tuple[Callable[..., None], ...] = (
        _unmasking,
        _handles,
        _alignment,
        _attention,
        _certainty,
        _codes,
        _critics,
    )
    for step in steps:
        step(builder, events, symbols)


# ---------------------------------------------------------------------------------------------------------- unmasking


def _masked_runs(events: Sequence[Event]) -> list[list[dict[str, Any]]]:
    """Of each run of the sampler of masked tokens, its steps: codes, hidden and sure, with step and layer."""
    runs: list[list[dict[str, Any]]] = []
    last = (-1, -1)
    for event in events:
        if event.name == "masked/codes":
            key = (event.where["layer"], event.where["step"])
            if not runs or key[0] != last[0] or key[1] <= last[1]:
                runs.append([])
            runs[-1].append({"codes": views.plain(event.value), "step": key[1], "layer": key[0]})
            last = key
        elif event.name in ("masked/hidden", "masked/sure") and runs:
            runs[-1][-1][event.name.removeprefix("masked/")] = views.plain(event.value)
    return runs


def _settled(run: list[dict[str, Any]]) -> tuple[np.ndarray, np.ndarray]:
    """At which report each frame was settled (frames,), and how sure the network was then (frames,) in 0 to 1."""
    frames = len(run[0]["codes"])
    hidden = np.ones(frames, bool)
    settled, sure = np.zeros(frames, np.int32), np.full(frames, np.nan, np.float32)
    for number, step in enumerate(run):
        places = np.flatnonzero(hidden)
        after = step["hidden"].astype(bool)
        now = hidden & ~after
        settled[now] = number
        if len(step["sure"]) == len(places):
            believed = np.full(frames, np.nan, np.float32)
            believed[places] = step["sure"]
            sure[now] = believed[now]
        hidden = after
    known = np.isfinite(sure)
    if known.any():  # a rank from 0 to 1: samplers measure how sure they are in different numbers
        ranks = np.argsort(np.argsort(sure[known])) / max(1, known.sum() - 1)
        sure[known] = ranks
    return settled, np.nan_to_num(sure, nan=1.0)


def unmasking_steps(builder: Builder, events: Sequence[Event]) -> None:
    """The steps of a model of masked tokens: what is settled after each, a row a codebook."""
    runs = _masked_runs(events)
    frames = max(len(run[0]["codes"]) for run in runs)
    rows = np.zeros((len(runs), frames), np.float32)
    pictures, labels = [rows.T.copy()], ["all is hidden"]
    for row, run in enumerate(runs):
        settled, sure = _settled(run)
        place = np.arange(frames) * len(settled) // frames
        for number in range(len(run)):
            rows[row] = np.where(settled <= number, 0.35 + 0.65 * sure, 0.0)[place]
            pictures.append(rows.T.copy())
            labels.append(f"row {row + 1}: step {number + 1} of {len(run)}")
    builder.pictures(np.stack(pictures), labels, "codes", frames / FRAME_RATE)


def _unmasking(builder: Builder, events: Sequence[Event], symbols: Sequence[str] | None) -> None:
    runs = _masked_runs(events)
    if not runs:
        return
    frames = max(len(run[0]["codes"]) for run in runs)
    order, sure = np.zeros((len(runs), frames)), np.zeros((len(runs), frames))
    for row, run in enumerate(runs):
        settled, believed = _settled(run)
        place = np.arange(frames) * len(settled) // frames
        order[row], sure[row] = (settled / max(1, len(run) - 1))[place], believed[place]
    about = {"kind": "unmasking", "steps": [len(run) for run in runs], "layers": [run[0]["layer"] for run in runs]}
    builder.inside(about, order=(order, "u1"), sure=(sure, "u1"))


# --------------------------------------------------------------------------------------------- durations and their like


def _last(events: Sequence[Event], *names: str) -> np.ndarray | None:
    """The last report under one of these names, of the first item of a batch."""
    for event in reversed(events):
        if event.name in names:
            value = views.plain(event.value)
            return value[0] if value.ndim > 1 else value
    return None


def _handles(builder: Builder, events: Sequence[Event], symbols: Sequence[str] | None) -> None:
    """Durations, pitch and energy of the tokens; a voice of the package brings its own (subjects.py)."""
    durations = _last(events, *DURATIONS)
    if durations is None or any(panel["kind"] == "handles" for panel in builder.about["inside"]):
        return
    pitch, energy = _last(events, "token_pitch"), _last(events, "token_energy")
    handles(builder, durations, symbols, pitch=pitch, energy=energy)


def handles(
    builder: Builder,
    durations: np.ndarray,
    symbols: Sequence[str] | None,
    *,
    pitch: np.ndarray | None = None,
    energy: np.ndarray | None = None,
    **about: Any,
) -> None:
    """The panel of handles.

    Args:
        durations: (tokens,) frames. pitch, energy: (tokens,), NaN where there is none.
        about: units, the frame rate, and how it can be spoken again.
    """
    durations = np.asarray(durations).astype(int)
    names = list(symbols) if symbols is not None and len(symbols) == len(durations) else None
    panel: dict[str, Any] = {
        "kind": "handles",
        "tokens": names or [str(number + 1) for number in range(len(durations))],
        "durations": durations.tolist(),
        **about,
    }
    for name, values in (("pitch", pitch), ("energy", energy)):
        if values is not None and len(values) == len(durations):
            panel[name] = [round(float(value), 3) if np.isfinite(value) else None for value in values]
    builder.inside(panel)


def _alignment(builder: Builder, events: Sequence[Event], symbols: Sequence[str] | None) -> None:
    soft = next((event for event in reversed(events) if event.name == "align/soft"), None)
    if soft is None:
        return
    matrix = views.plain(soft.value)[0]
    durations = _last(events, "align/durations")
    ends = [] if durations is None else np.cumsum(durations).astype(int).tolist()
    names = list(symbols) if symbols is not None and len(symbols) == matrix.shape[1] else []
    shape = {"frames": matrix.shape[0], "tokens": matrix.shape[1]}
    panel = {"kind": "alignment", "ends": ends, "symbols": names, **shape}
    builder.inside(panel, map=(views.pooled(matrix.T, 4 * ROWS, COLUMNS), "u1"))


# ------------------------------------------------------------------------------------------------ attention and tokens


def _attention(builder: Builder, events: Sequence[Event], symbols: Sequence[str] | None) -> None:
    found = [event for event in events if event.name == "attention"]
    grown = [event for event in found if event.value.shape[1] == 1]
    if len(grown) > 3:  # a model that speaks token by token: a row each
        _grown_attention(builder, grown)
        found = [event for event in found if event.value.shape[1] > 1]
    keys = sorted({(event.where["step"], event.where["layer"]) for event in found})
    chosen = {keys[i] for i in views.thinned(len(keys), MOST_ATTENTION)} if keys else set()
    for event in found:
        key = (event.where["step"], event.where["layer"])
        if key not in chosen:
            continue
        chosen.discard(key)
        about = {"kind": "attention", "step": key[0] + 1, "layer": key[1] + 1, "heads": len(event.value)}
        builder.inside(about, map=(_clipped(np.sqrt(event.value.astype(np.float32)), 0.2), "u1"))


def _grown_attention(builder: Builder, events: Sequence[Event]) -> None:
    layers: dict[int, list[np.ndarray]] = {}
    for event in events:
        layers.setdefault(event.where["layer"], []).append(event.value[:, 0].astype(np.float32))
    for layer, rows in sorted(layers.items())[-3:]:
        width = max(row.shape[1] for row in rows)
        heads = min(len(row) for row in rows)
        matrix = np.zeros((heads, len(rows), width), np.float32)
        for number, row in enumerate(rows):
            matrix[:, number, : row.shape[1]] = row[:heads]
        about = {"kind": "attention", "step": None, "layer": layer + 1, "heads": heads}
        builder.inside(about, map=(np.sqrt(views.pooled(matrix, ROWS, ROWS)), "u1"))


def _certainty(builder: Builder, events: Sequence[Event], symbols: Sequence[str] | None) -> None:
    said = [event.value for event in events if event.name == "tokens/next"]
    if len(said) < 2:
        return
    table = np.stack(said)
    about = {"kind": "certainty", "tokens": table[:, 0].astype(int).tolist()}
    builder.inside(about, chance=(table[:, 1], "f2"), entropy=(table[:, 2], "f2"))


# ---------------------------------------------------------------------------------------------------- codes and critics


def _codes(builder: Builder, events: Sequence[Event], symbols: Sequence[str] | None) -> None:
    names = dict.fromkeys(event.name for event in events if event.name.endswith("codes") and "masked" not in event.name)
    for name in names:
        values = [views.plain(event.value) for event in events if event.name == name]
        values = [value[0] if value.ndim == 3 else value for value in values if value.ndim in (2, 3)]
        if values:
            codes(builder, np.concatenate(values), name)


def codes(builder: Builder, table: np.ndarray, name: str, size: int | None = None) -> None:
    """The panel of codes (frames, codebooks): how much of each codebook is used, and when which code."""
    if not table.size:
        return
    size = int(table.max()) + 1 if size is None else size
    kept = table[np.linspace(0, len(table) - 1, min(len(table), 1200)).astype(int)].T
    about = {"kind": "codes", "name": name, "size": size, "frames": len(table), **views.code_use(table, size)}
    builder.inside(about, map=(kept, "i4"))


def _critics(builder: Builder, events: Sequence[Event], symbols: Sequence[str] | None) -> None:
    """Score maps of discriminators, of a recording and of what was made of it, in one batch in this order."""
    for event in events:
        if event.name != "critic/scores":
            continue
        scores = views.plain(event.value)
        rows = event.where.get("rows", 1)
        scores = scores.reshape(len(scores), rows, -1) if rows > 1 else scores
        maps = _clipped(np.stack([_as_map(item) for item in scores[:2]]), 2.0)
        means = [round(float(item.mean()), 4) for item in scores[:2]]
        about = {"kind": "critic", "critic": event.where["critic"], "part": event.where["part"] + 1, "means": means}
        builder.inside(about, map=(maps, "u1"))


def _clipped(values: np.ndarray, percent: float) -> np.ndarray:
    """Without outliers at both ends, which would leave no shades for the rest."""
    return np.clip(values, *np.percentile(values, (percent, 100 - percent)))


def _as_map(scores: np.ndarray) -> np.ndarray:
    """Scores of one item as (rows, time): a line has one row, a map of periods or bins has the longer side as time."""
    scores = np.squeeze(scores)
    scores = scores.reshape(1, -1) if scores.ndim < 2 else scores.reshape(-1, *scores.shape[-2:])[0]
    scores = scores.T if scores.shape[0] > scores.shape[1] else scores
    return views.pooled(scores.astype(np.float32), 48, 300)
