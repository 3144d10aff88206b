"""Character error rate: as `wer`, counted in characters.

    cer(["我有三十元"], ["我有二十元"])        # 1 edit on 5 characters: 0.2

CER = (substitutions + deletions + insertions) / characters of the references, summed over the corpus. The space between
two words counts as a character (nowhere / no where is one edit), as in other tools; Chinese, Japanese and Thai have
none.

Unit        errors per character of the reference
Range       0 upwards; may exceed 1
Better      lower
Equation    (substitutions + deletions + insertions) / characters of the references, summed over the corpus
Paper       Levenshtein 1966; Morris et al. 2004, From WER and RIL to MER and WIL.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from aoide.metrics import transcripts
from aoide.metrics.metric import Metric

METRIC = Metric(unit="errors per character", better="lower", best=0.0, kind="text", extra="metrics", rate=16000)


def cer(
    reference: str | Sequence[str],
    transcript: str | Sequence[str],
    *,
    language: str = "en",
    normalizer: str | None = None,
) -> float:
    """The character error rate of a text or of a corpus; arguments and errors as those of `wer`."""
    return transcripts.corpus(transcripts.compare(reference, transcript, "characters", language, normalizer)).rate


def amphion(
    reference: str | Sequence[str],
    transcript: str | Sequence[str],
    *,
    mode: Literal["gt_audio", "gt_content"] = "gt_audio",
    language: str = "english",
) -> float:
    """What Amphion prints as CER (character_error_rate.py): the faults of its WER but one.

    The generated sound is compared with itself in gt_audio, and the mean is over utterances; that spaces are removed
    does no harm to characters. See `wer`.
    """
    return transcripts.amphion_mean(reference, transcript, "characters", mode, language)
