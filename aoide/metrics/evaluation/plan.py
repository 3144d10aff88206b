"""Which metrics run, with which options, and what each needs to be measured at every file."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np

from aoide.config import UserError, near
from aoide.metrics import find, names
from aoide.metrics.metric import Kind

USUAL = (  # of speech with a reference; nothing here needs a download
    *("f0_rmse", "f0_pearson", "f0_gross_error", "vuv_error", "vuv_f1", "periodicity_rmse"),
    *("energy_rmse", "mcd", "stft_distance", "log_spectral_distance", "mel_ssim", "si_sdr"),
    *("pesq", "stoi", "estoi", "speaker_similarity", "dnsmos", "distillmos"),
)
USUAL_ALONE = ("dnsmos", "distillmos", "diversity")  # without a reference
USUAL_LIKE = ("energy_pearson", "si_snr")  # join the usual ones in the manner of Amphion
_LATE_LIKE = ("periodicity_rmse", "speaker_similarity")  # there, by name only: minutes of CREPE, and a download
HEARD = ("wer", "cer")  # join the usual ones where texts are given
_LABELLED = ("inception_score", "kl")  # metrics of sets that take a tagger's labels and not embeddings
_ALONE = ("diversity", "inception_score")  # metrics of sets that compare with nothing
_NOT_HERE = {  # kinds that folders of sounds do not give
    "codes": "is of the codes of a codec, not of sounds: call aoide.metrics.{0} on what `aoide encode` wrote",
    "score": "needs a score: call aoide.metrics.{0} in Python",
}

Picture = Callable[[Sequence[tuple[np.ndarray, np.ndarray | None]]], bytes]


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """How a set is evaluated.

    Attributes:
        metrics: names, or the groups "usual" and "all"; none: the usual ones.
        options: of metrics, by name: {"f0_rmse": {"tracker": "praat"}}.
        like: "amphion" takes each metric as Amphion computes it; metrics that it lacks are left out.
        align: which frames of a pair belong together. auto: frame by frame where all pairs of the set last equally
            long within 50 ms, otherwise dtw for all of them: one set is measured in one way.
        asr: of wer and cer, a size, hub name or folder of Whisper (`aoide.external.whisper`).
        language: two letters, of what is said.
        embedding: of metrics of sets, see `aoide.metrics.embeddings`; `embedding_source` is its local file or folder.
        jobs: processes; None: one per core.
        seed: of the bootstrap and the tests.
        allow_missing: sounds that somebody lacks are left out instead of being an error.
        picture: draws sounds, each a log-mel (frames, mels) and F0 in Hz (frames,) or None, as the bytes of a PNG file.
        progress: whether to show a bar; None: where a person looks on.
    """

    metrics: tuple[str, ...] = ()
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    like: Literal["amphion"] | None = None
    align: Literal["auto", "time", "dtw"] = "auto"
    asr: str = "base"
    language: str = "en"
    embedding: str = "yamnet"
    embedding_source: str | None = None
    jobs: int | None = None
    seed: int = 0
    allow_missing: bool = False
    picture: Picture | None = None
    progress: bool | None = None

    def __post_init__(self) -> None:
        if self.jobs is not None and self.jobs < 1:
            raise UserError(f"jobs must be 1 or more, got {self.jobs}")


@dataclass(frozen=True, slots=True)
class Step:
    """Something that is measured at each file: a metric, or what a metric of the whole set is made of.

    Attributes:
        what: pair and single are metrics by name; transcript, embedding and labels name their network; caption is the
            CLAP score.
        options: JSON, so that a step can be compared, sent and kept.
    """

    what: Literal["pair", "single", "transcript", "embedding", "labels", "caption"]
    name: str
    options: str = "{}"
    amphion: bool = False

    @property
    def key(self) -> str:
        """Under this the value is kept; equal where the value would be."""
        return f"{self.what} {self.name} {self.options}{' amphion' if self.amphion else ''}"

    @property
    def settings(self) -> dict[str, Any]:
        return json.loads(self.options)


@dataclass(frozen=True, slots=True)
class Chosen:
    """A metric that runs."""

    name: str
    kind: Kind
    options: Mapping[str, Any]
    amphion: bool
    step: Step  # what it is made of
    aligned: bool = False  # it takes the alignment of the set

    @property
    def function(self) -> Callable[..., Any]:
        module = find(self.name)
        return module.amphion if self.amphion else getattr(module, self.name)

    @property
    def of_set(self) -> bool:
        return self.kind == "sets"


def choose(settings: Settings, reference: bool, texts: bool) -> tuple[list[Chosen], list[tuple[str, str]]]:
    """The metrics that run, and (name, reason) of those asked for that cannot.

    Args:
        reference: whether there are reference sounds.
        texts: whether it is known what is said.

    Raises:
        UserError: an unknown metric or option.
    """
    wanted = _wanted(settings, reference, texts)
    for name in settings.options:
        if name not in wanted:
            raise UserError(f"options for {name!r}, which is not measured;{near(name, wanted) or ' see --metrics'}")
    chosen, refused = [], []
    for name in wanted:
        reason = _obstacle(name, settings, reference, texts)
        if reason:
            refused.append((name, reason))
        else:
            chosen.append(_chosen(name, settings))
    return chosen, refused


def _wanted(settings: Settings, reference: bool, texts: bool) -> list[str]:
    usual = [*(USUAL if reference else USUAL_ALONE), *(HEARD if texts else ())]
    if settings.like:
        usual = [name for name in (*USUAL_LIKE, *usual) if hasattr(find(name), "amphion") and name not in _LATE_LIKE]
    wanted: dict[str, None] = {}
    for word in settings.metrics or ("usual",):
        if word == "usual":
            wanted.update(dict.fromkeys(usual))
        elif word == "all":
            known = (name for name in names() if find(name).METRIC.kind not in _NOT_HERE)
            wanted.update(dict.fromkeys(known))
        else:
            find(word)
            wanted[word] = None
    return list(wanted)


def _obstacle(name: str, settings: Settings, reference: bool, texts: bool) -> str:
    """Why a metric cannot run here; empty if it can."""
    module = find(name)
    kind = module.METRIC.kind
    if kind in _NOT_HERE:
        return _NOT_HERE[kind].format(name)
    if not reference and (kind == "pair" or (kind == "sets" and name not in _ALONE)):
        return "needs a reference: aoide evaluate REF GEN"
    if kind == "text" and not texts:
        return "needs to know what is said: --text FILE or DIR"
    if settings.like and not hasattr(module, "amphion"):
        return "Amphion does not have it"
    return ""


def _chosen(name: str, settings: Settings) -> Chosen:
    kind: Kind = find(name).METRIC.kind
    options = dict(settings.options.get(name, {}))
    twin = settings.like == "amphion"
    made_of: Step
    if kind == "text" and name in HEARD:
        made_of = Step("transcript", settings.asr, json.dumps({"language": settings.language}))
        if not twin:
            options = {"language": settings.language, **options}
    elif kind == "text":
        made_of = Step("caption", name, json.dumps({"source": options.pop("source", None)}))
    elif kind == "sets":
        source = {"source": settings.embedding_source}
        what: Literal["labels", "embedding"] = "labels" if name in _LABELLED else "embedding"
        made_of = Step(what, settings.embedding, json.dumps(source), amphion=twin)
    else:
        made_of = Step("pair" if kind == "pair" else "single", name, json.dumps(options, sort_keys=True), twin)
    found = Chosen(name, kind, options, twin, made_of)
    accepted = _accepted(found)
    for option in options:
        if option not in accepted:
            guess = near(option, accepted) or (f" it has {', '.join(accepted)}" if accepted else " it has none")
            raise UserError(f"{name}: no option {option!r};{guess}")
    aligned = "align" in accepted and "align" not in options and not twin and kind == "pair"
    return Chosen(name, kind, options, twin, made_of, aligned)


def _accepted(chosen: Chosen) -> list[str]:
    parameters = inspect.signature(chosen.function).parameters.values()
    return [each.name for each in parameters if each.kind is inspect.Parameter.KEYWORD_ONLY]


def aligned(chosen: Sequence[Chosen], align: str) -> list[Chosen]:
    """The same metrics, those that can be told so with the alignment of the set."""
    return [_with_align(each, align) if each.aligned else each for each in chosen]


def _with_align(chosen: Chosen, align: str) -> Chosen:
    options = {**chosen.options, "align": align}
    step = replace(chosen.step, options=json.dumps(options, sort_keys=True))
    return replace(chosen, options=options, step=step)
