"""Word error rate: how many words a recogniser hears wrong, of all words that should have been said.

    wer(["That option is invalid."], ["that option is in valid"])        # 2 edits on 4 words: 0.5

WER = (substitutions + deletions + insertions) / words of the references, summed over the corpus (Morris et al. 2004),
with the fewest edits (Levenshtein 1966). Both sides go through a named normaliser, see `transcripts`. Where words are
not told apart in writing (Chinese, Japanese, Thai) a word is a character.

The transcripts are `aoide.external.whisper.Whisper(...).transcribe(samples, rate, language)`. A recogniser has errors
of its own: report the rate of the real recordings beside that of the system.

Unit        errors per word of the reference, 0.05 = 5 %
Range       0 upwards; may exceed 1
Better      lower
Equation    (substitutions + deletions + insertions) / words of the references, summed over the corpus
Paper       Levenshtein 1966; Morris et al. 2004, From WER and RIL to MER and WIL.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from aoide.metrics import transcripts
from aoide.metrics.metric import Metric

METRIC = Metric(unit="errors per word", better="lower", best=0.0, kind="text", extra="metrics", rate=16000)


def wer(
    reference: str | Sequence[str],
    transcript: str | Sequence[str],
    *,
    language: str = "en",
    normalizer: str | None = None,
) -> float:
    """The word error rate of a text or of a corpus.

    Args:
        reference, transcript: what should be said and what was heard; lists of the same length are one corpus, whose
            rate is all edits over all words, not the mean over utterances. `transcripts.compare` tells them apart.
        language: two letters, chooses the normaliser and what a word is.
        normalizer: another one, by name.

    Returns:
        Edits per word; NaN where the references hold no word.

    Raises:
        UserError: unequal numbers of texts, an unknown normaliser.
        MissingExtra: rapidfuzz is not installed.
    """
    return transcripts.corpus(transcripts.compare(reference, transcript, "words", language, normalizer)).rate


def amphion(
    reference: str | Sequence[str],
    transcript: str | Sequence[str],
    *,
    mode: Literal["gt_audio", "gt_content"] = "gt_audio",
    language: str = "english",
) -> float:
    """What Amphion prints as WER (evaluation/metrics/intelligibility/word_error_rate.py), with its faults.

    - gt_audio (its default): unless `language` is "chinese" it transcribes the generated sound for both sides, so the
      result is 0 for any system.
    - Spaces are removed before words are counted, so that every utterance is one word, right or wrong.
    - Only . ' - , ! are removed of all punctuation.
    - The mean over utterances, not the rate of the corpus. 0 / 0 is dropped; a text that was heard where none was
      expected is infinite, and stays.

    In gt_content it pairs texts and sounds by two unsorted listings of folders; that order cannot be known here, and
    the pairs are taken as they are given.

    Args:
        reference: the texts (gt_content), or the transcripts of the reference sounds (gt_audio).
        transcript: the transcripts of the generated sounds.
    """
    return transcripts.amphion_mean(reference, transcript, "words", mode, language)
