"""Note accuracy: how many notes of the score, or of the reference, are sung at the right time and pitch.

The notes of both sides are matched one to one and the F1 score of the matches is taken, with `mir_eval` (Raffel et
al. 2014) and the names of Molina et al. 2014:

    COnPOff   onset within 50 ms, pitch within 50 cents, offset within 50 ms or a fifth of the note, whichever is more
    COnP      onset and pitch
    COn       onset alone

Notes are found in the F0 by `aoide.metrics.notes`; where the score is known, give its notes.

Unit        F1 score
Range       0 to 1
Better      higher
Equation    2 P R / (P + R), P and R the shares of sung and of wanted notes that are matched
Paper       Molina et al. 2014, Evaluation framework for automatic singing transcription; Raffel et al.
            2014, mir_eval.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from aoide.audio.pitch import Method
from aoide.config import require
from aoide.metrics import notes as singing
from aoide.metrics.analysis import PERIOD, TRACKER, Analysis, analysis
from aoide.metrics.metric import Metric

METRIC = Metric(unit="F1", better="higher", best=1.0, kind="pair", extra="metrics")


def note_accuracy(
    reference: np.ndarray | Analysis | singing.Notes,
    generated: np.ndarray | Analysis | singing.Notes,
    sample_rate: int | None = None,
    *,
    criterion: Literal["COnPOff", "COnP", "COn"] = "COnPOff",
    onset_seconds: float = 0.05,
    pitch_cents: float = 50.0,
    tracker: Method = TRACKER,
) -> float:
    """The F1 score of the notes.

    Args:
        reference, generated: sounds, or notes (`notes.of_score(table)`): of the score on the one side, of the sound
            on the other.
        sample_rate: Hz of sounds that are arrays.
        criterion: what makes a note correct.
        onset_seconds, pitch_cents: how far onset and pitch may be off.
        tracker: finds F0, see `aoide.audio.pitch`.

    Returns:
        NaN where the reference has no note; 0 where it has and none is sung.

    Raises:
        MissingExtra: mir_eval is not installed.
    """
    first, second = (_notes(side, sample_rate, tracker) for side in (reference, generated))
    if len(first.onset) == 0:
        return float("nan")
    if len(second.onset) == 0:
        return 0.0
    transcription = require("mir_eval.transcription", "metrics")
    spans, heard = (np.stack([side.onset, side.offset], axis=1) for side in (first, second))
    if criterion == "COn":
        return float(transcription.onset_precision_recall_f1(spans, heard, onset_tolerance=onset_seconds)[2])
    ratio = 0.2 if criterion == "COnPOff" else None
    scores = transcription.precision_recall_f1_overlap(
        spans, first.hz, heard, second.hz,
        onset_tolerance=onset_seconds, pitch_tolerance=pitch_cents, offset_ratio=ratio,
    )  # fmt: skip
    return float(scores[2])


def _notes(side: np.ndarray | Analysis | singing.Notes, sample_rate: int | None, tracker: Method) -> singing.Notes:
    if isinstance(side, singing.Notes):
        return side
    sound = analysis(side, sample_rate)
    return sound.keep(("notes", tracker), lambda: singing.of_contour(sound.f0(tracker).hz, PERIOD))
