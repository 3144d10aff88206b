"""Prepare a corpus for training: aoide prepare CORPUS --root DIR -o data/NAME.

Every clip is listened to once. What is broken, silent, cut off, without text, too short, too long or there twice is
left out and listed by file with the reason; the rest becomes a manifest. A second run with nothing new costs nothing.
docs/corpora.md lists all corpora, with their licences and where to get them.

  aoide prepare folder --root recordings -o data/mine
  aoide prepare opencpop --root ~/opencpop -o data/opencpop
  aoide prepare taught -o data/taught --text sentences.txt
  aoide prepare folder --help        explains one corpus and its options
"""

from __future__ import annotations

import argparse
import hashlib
import inspect
import json
import os
import re
import sys
import typing
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from aoide.config import MissingExtra, UserError, write_aside

if TYPE_CHECKING:
    from aoide.data.clips import Clip, Limits, Refused
    from aoide.text import FrontEnd

SUMMARY, FORMAT = "summary.json", 2  # what an older FORMAT prepared is prepared anew
SHOWN = 10  # refusals that are printed; all are in the summary
KINDS = 4  # kinds of reasons that are counted in the report
NAMED = 3  # files that are named with a note


def parser(parser: argparse.ArgumentParser) -> None:
    from aoide.data.corpora import names

    parser.add_argument("corpus", metavar="CORPUS", help=", ".join(names()))
    _add_common(parser)
    # The rest is parsed once the corpus is known, by a parser of the same kind that knows the corpus' options too.
    parser.add_argument("rest", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    parser.set_defaults(parser_class=type(parser))


def run(options: argparse.Namespace) -> int:
    from aoide.data import corpora

    corpus = corpora.find(options.corpus)
    options = _parse_rest(corpus, options)
    root, out, limits = _folders(corpus, options)
    if hasattr(corpus, "make"):
        corpus.make(root, _say, **_of(corpus.make, options))
    found = _find(corpus, root, options, limits)
    speakable = _front_ends(found, options.phonemes)
    key = _key(options, limits, found, [*speakable, options.align])
    summary = _finished(out, key)
    if summary is None:
        (out / SUMMARY).unlink(missing_ok=True)  # from here on what is in the folder is not complete
        result = _listen(found, limits, options)
        _add_phonemes(result, speakable)
        if options.align is not None:
            _align(result, options.align)
        if not result.clips:
            first = next(iter(result.refused), None)
            why = f"; the first is {first.path}: {first.reason}" if first else ""
            raise UserError(f"{root}: none of its {len(found)} clips can be used{why}")
        _convert(result, out, options)
        summary = _write(result, root, out, options.corpus, key)
    _show(summary, out)
    return 0


# -------------------------------------------------------------------------------------------------------------- options


def _add_common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--root", type=Path, metavar="DIR", help="where the corpus is")
    parser.add_argument("-o", "--output", type=Path, metavar="DIR", help="where the manifest goes, such as data/NAME")
    parser.add_argument(
        "--min-seconds", type=float, default=0.2, metavar="S", help="refuse what is shorter (default: 0.2)"
    )
    parser.add_argument(
        "--max-seconds", type=float, default=30.0, metavar="S", help="refuse what is longer (default: 30)"
    )
    parser.add_argument("--without-text", action="store_true", help="take clips that have no text, for vocoders")
    parser.add_argument(
        "--phonemes",
        action=argparse.BooleanOptionalAction,
        help="write down the pronunciation (default: where there is a front end for the language)",
    )
    parser.add_argument(
        "--align",
        metavar="VOICE",
        help="write down when each phoneme sounds, by comparing with a voice, such as en-heart, that says the same",
    )
    parser.add_argument("--jobs", type=int, default=0, metavar="N", help="how many work at a time (default: all)")
    from aoide.data import cluster

    cluster.add_arguments(parser, default="threads")


def _parse_rest(corpus: ModuleType, options: argparse.Namespace) -> argparse.Namespace:
    """Parses what stands behind the corpus' name, with the options that are its own."""
    parser = options.parser_class(
        prog=f"aoide prepare {options.corpus}",
        description=corpus.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    _add_common(parser)
    common = {action.dest for action in parser._actions}
    for function in (corpus.clips, getattr(corpus, "make", None)):
        for name, kind, default in _parameters(function) if function else ():
            if name in common:
                continue
            common.add(name)
            flag = f"--{name.replace('_', '-')}"
            if kind is bool:
                parser.add_argument(
                    flag, action=argparse.BooleanOptionalAction, default=default, help=argparse.SUPPRESS
                )
            else:
                parser.add_argument(flag, type=kind, default=default, metavar=name.upper(), help=argparse.SUPPRESS)
    return parser.parse_args(options.rest, options)


def _parameters(function: Callable[..., Any]) -> Iterator[tuple[str, type, Any]]:
    """The options of a corpus: its keyword-only parameters with their types (without `| None`) and defaults."""
    hints = typing.get_type_hints(function)
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind is parameter.KEYWORD_ONLY:
            kinds = [k for k in typing.get_args(hints[name]) if k is not type(None)] or [hints[name]]
            yield name, kinds[0], parameter.default


def _of(function: Callable[..., Any], options: argparse.Namespace) -> dict[str, Any]:
    return {name: getattr(options, name) for name, _, _ in _parameters(function)}


def _folders(corpus: ModuleType, options: argparse.Namespace) -> tuple[Path, Path, Limits]:
    """Where the corpus is and where the manifest goes, made if need be, and what a clip must be."""
    from aoide.data.clips import Limits

    if options.output is None:
        raise UserError(f"say where the manifest is to go: -o data/{options.corpus}")
    root = options.root
    if root is None:
        if not hasattr(corpus, "make"):
            raise UserError(f"say where the corpus is: --root DIR (aoide prepare {options.corpus} --help explains)")
        root = options.output
    elif not root.is_dir() and not hasattr(corpus, "make"):
        raise UserError(f"--root {root}: {'is not a folder' if root.exists() else 'there is no such folder'}")
    has_text = not options.without_text and getattr(corpus, "TEXT", True)
    if options.jobs < 0:
        raise UserError(f"--jobs {options.jobs}: must be 1 or more, or 0 for all processors")
    options.jobs = options.jobs or len(os.sched_getaffinity(0))
    try:
        limits = Limits(min_seconds=options.min_seconds, max_seconds=options.max_seconds, text=has_text)
    except ValueError as error:
        raise UserError(str(error)) from None
    for folder in (options.output, root):
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"{folder}: cannot be made: {error.strerror}") from None
    return root, options.output, limits


# ------------------------------------------------------------------------------------------------------- done already?


def _key(options: argparse.Namespace, limits: Limits, found: Sequence[Clip | Refused], spoken: Sequence[Any]) -> str:
    """A hash of all that the result follows from: settings, front ends, and every file's name, size and time."""
    from aoide.version import __version__

    digest = hashlib.blake2b(digest_size=16)
    digest.update(repr((__version__, FORMAT, options.corpus, asdict(limits), spoken)).encode())
    for item in found:
        try:
            status = os.stat(getattr(item, "audio", None) or item.path)  # type: ignore[union-attr]
            digest.update(f"{item} {status.st_size} {status.st_mtime_ns}".encode())
        except OSError:
            digest.update(f"{item} is not there".encode())
    return digest.hexdigest()


def _finished(out: Path, key: str) -> dict[str, Any] | None:
    """The summary of an earlier run that came to its end with the same key and whose manifest is still there."""
    from aoide.data.manifest import Manifest

    try:
        summary = json.loads((out / SUMMARY).read_text("utf-8"))
        if summary["key"] == key and Manifest(out).digest == summary["manifest"]:
            return summary
    except (OSError, ValueError, KeyError, TypeError):  # a UserError, no manifest, is a ValueError
        pass
    return None


# --------------------------------------------------------------------------------------------------------- the work


def _find(corpus: ModuleType, root: Path, options: argparse.Namespace, limits: Limits) -> list[Clip | Refused]:
    """What the corpus holds; long recordings that may be cut anywhere are cut."""
    from tqdm import tqdm

    from aoide.data.clips import Clip, divide

    items = corpus.clips(root, **_of(corpus.clips, options))
    found: list[Clip | Refused] = []
    for item in tqdm(items, desc="reading", unit="clip", disable=None, leave=False):
        found += divide(item, limits) if isinstance(item, Clip) and item.divisible else [item]
    return found


@dataclass(slots=True)
class Result:
    """What became of the clips that were found."""

    clips: list[Clip]
    refused: list[Refused]
    notes: dict[str, list[str]]  # what is unusual but usable -> files


def _listen(found: Sequence[Clip | Refused], limits: Limits, options: argparse.Namespace) -> Result:
    """Checks every clip, and that none is there twice; sorted by id."""
    from aoide.data.clips import Refused, check, refuse

    result = Result([], [], defaultdict(list))
    candidates: dict[str, Clip] = {}
    for item in found:
        if isinstance(item, Refused):
            result.refused.append(item)
        elif item.id in candidates:
            result.refused.append(refuse(item, f"its id is that of {candidates[item.id].audio}"))
        elif Path(item.id).is_absolute() or ".." in Path(item.id).parts:
            result.refused.append(refuse(item, "its id leads out of the folder"))
        else:
            candidates[item.id] = item
    heard: dict[str, Clip] = {}
    ordered = [candidates[name] for name in sorted(candidates)]
    for checked in _in_parallel(partial(check, limits=limits), ordered, options):
        if isinstance(checked, Refused):
            result.refused.append(checked)
            continue
        clip, notes = checked
        if clip.content in heard:
            result.refused.append(refuse(clip, f"its sound is that of {heard[clip.content].audio}"))
            continue
        heard[clip.content] = clip
        result.clips.append(clip)
        for note in notes:
            result.notes[note].append(str(clip.audio))
    return result


def _in_parallel(function: Callable[[Clip], Any], clips: Sequence[Clip], options: argparse.Namespace) -> Iterator[Any]:
    """Of every clip, in order, where the user wants it done; by default in threads: decoding leaves Python's lock."""
    from aoide.data import cluster

    place = cluster.chosen(options)
    if place["on"] in ("ray", "slurm"):  # their workers stand in other folders
        clips = [replace(clip, audio=clip.audio.absolute()) for clip in clips]
    return cluster.run(function, clips, workers=options.jobs, name=lambda clip: str(clip.audio), unit="clip", **place)


def _front_ends(found: Sequence[Clip | Refused], wanted: bool | None) -> dict[str, FrontEnd]:
    """The front ends of the languages whose texts the corpus does not pronounce itself, by language.

    Raises:
        UserError, MissingExtra: a language has none, and the user asked for phonemes; else that is told and no more.
    """
    if wanted is False:
        return {}
    from aoide import text
    from aoide.data.clips import Clip

    languages = {c.language for c in found if isinstance(c, Clip) and c.language and _unpronounced(c)}
    front_ends = {}
    for language in sorted(languages):
        try:
            front_ends[language] = text.frontend(language)
        except (UserError, MissingExtra) as error:
            if wanted:
                raise
            _say(f"no phonemes for language {language!r}: {error}")
    return front_ends


def _unpronounced(clip: Clip) -> bool:
    return bool(clip.text) and clip.phonemes is None and not clip.caption


def _add_phonemes(result: Result, front_ends: dict[str, FrontEnd]) -> None:
    """Writes down how the texts are pronounced, where the corpus does not; refuses what nobody can say."""
    from aoide.data.clips import refuse

    clips, result.clips = result.clips, []
    for clip in clips:
        front_end = front_ends.get(clip.language) if _unpronounced(clip) else None
        if front_end is None:
            result.clips.append(clip)
            continue
        try:
            phonemes = " ".join(front_end.phonemize(sentence) for sentence in front_end.sentences(clip.text or ""))
        except UserError as error:
            result.refused.append(refuse(clip, f"its text cannot be pronounced: {error}"))
            continue
        if any(symbol.isalpha() for symbol in phonemes):
            result.clips.append(replace(clip, phonemes=phonemes))
        else:
            result.refused.append(refuse(clip, "its text holds no words"))


def _align(result: Result, name: str) -> None:
    """Adds the duration of each phoneme, where the corpus does not give it; refuses what cannot be aligned."""
    from tqdm import tqdm

    from aoide import voices
    from aoide.audio import io
    from aoide.data.clips import refuse
    from aoide.generate.align import Aligner
    from aoide.generate.runtime import Runtime

    aligner = Aligner(Runtime(voices.find(name)))
    clips, result.clips = result.clips, []
    for clip in tqdm(clips, unit="clip", desc="aligning", disable=None):
        if clip.phonemes is None or clip.durations is not None:
            result.clips.append(clip)
            continue
        try:
            durations = aligner(io.read(clip.audio, clip.start, clip.samples), clip.phonemes)
        except UserError as error:
            result.refused.append(refuse(clip, f"cannot be aligned: {error}"))
            continue
        result.clips.append(replace(clip, durations=durations, frame_rate=aligner.frame_rate))


def _convert(result: Result, out: Path, options: argparse.Namespace) -> None:
    """Stores as FLAC in the manifest's folder what libsndfile cannot read: training reads each clip many times."""
    from aoide.audio import io

    foreign = [clip for clip in result.clips if not io.native(clip.audio)]
    stored = {clip.id: clip for clip in _in_parallel(partial(_store, out=out.absolute()), foreign, options)}
    result.clips = [stored.get(clip.id, clip) for clip in result.clips]


def _store(clip: Clip, out: Path) -> Clip:
    from aoide.audio import io

    path = out / "audio" / f"{clip.id}.flac"
    path.parent.mkdir(parents=True, exist_ok=True)
    io.write(path, io.read(clip.audio, clip.start, clip.samples))
    return replace(clip, audio=path, start=0)


def _write(result: Result, root: Path, out: Path, corpus: str, key: str) -> dict[str, Any]:
    """Writes the manifest, and the summary last of all."""
    from aoide.data.manifest import Manifest, writing

    with writing(out) as manifest:
        for clip in result.clips:
            manifest.add(clip)
    speakers: dict[str, dict[str, float]] = {}
    for clip in result.clips:
        speaker = speakers.setdefault(clip.speaker, {"clips": 0, "hours": 0.0})
        speaker["clips"] += 1
        speaker["hours"] += clip.seconds / 3600
    summary = {
        "corpus": corpus,
        "root": str(root.absolute()),
        "clips": len(result.clips),
        "hours": sum(clip.seconds for clip in result.clips) / 3600,
        "speakers": dict(sorted(speakers.items())),
        "languages": _counted(clip.language for clip in result.clips),
        "sample_rates": _counted(str(clip.sample_rate) for clip in result.clips),
        "with_phonemes": sum(clip.phonemes is not None for clip in result.clips),
        "with_notes": sum(clip.notes is not None for clip in result.clips),
        "styles": _counted(clip.style for clip in result.clips if clip.style),
        "reasons": _counted(_kind(refusal.reason) for refusal in result.refused),
        "refused": [
            {"id": r.id, "file": str(r.path), "reason": r.reason} for r in sorted(result.refused, key=lambda r: r.id)
        ],
        "notes": {note: list(dict.fromkeys(files)) for note, files in sorted(result.notes.items())},
        "manifest": Manifest(out).digest,
        "key": key,
    }
    with write_aside(out / SUMMARY) as aside:
        aside.write_text(json.dumps(summary, ensure_ascii=False, indent=1), "utf-8")
    return summary


def _counted(values: Iterator[str]) -> dict[str, int]:
    return dict(sorted(Counter(values).items()))


def _kind(reason: str) -> str:
    """A reason without what differs from clip to clip: numbers, names of files, and what stands behind a colon."""
    kind = re.sub(r" of /.*", " of another", reason).split(": ")[0]
    return re.sub(r"\d+(\.\d+)?", "N", re.sub(r"\S+\.[a-z]\w{1,8}\b", "its file", kind))


# ----------------------------------------------------------------------------------------------------------- the report


def _show(summary: dict[str, Any], out: Path) -> None:
    """Prints what was prepared and what was refused."""
    hours, refused, speakers = summary["hours"], summary["refused"], list(summary["speakers"])
    length = f"{hours:.2f} hours" if hours >= 1 else f"{hours * 60:.1f} minutes"
    print(f"{out}: {summary['clips']:,} clips, {length}, {_with(summary)}")
    print(f"  speakers   {len(speakers)}: {_some(speakers)}")
    print(f"  languages  {_shares(summary['languages'], summary['clips'])}")
    print(f"  rates      {', '.join(f'{rate} Hz ({count:,})' for rate, count in summary['sample_rates'].items())}")
    if summary["styles"]:
        print(f"  styles     {_shares(summary['styles'], summary['clips'])}")
    for note, files in summary["notes"].items():
        print(f"  note       {note}: {_some([_inside(file, summary['root']) for file in files])}")
    if refused:
        kinds = sorted(summary["reasons"].items(), key=lambda kind: -kind[1])
        why = ", ".join(f"{count:,} {kind}" for kind, count in kinds[:KINDS])
        why += " ..." * (len(kinds) > KINDS)
        print(f"  refused    {len(refused):,} of {summary['clips'] + len(refused):,}: {why}")
        for item in refused[:SHOWN]:
            print(f"    {_inside(item['file'], summary['root'])}: {item['reason']}")
        if len(refused) > SHOWN:
            print(f"    and {len(refused) - SHOWN:,} more, all in {out / SUMMARY}")


def _with(summary: dict[str, Any]) -> str:
    notes = summary["with_notes"]
    return f"{summary['with_phonemes']:,} with phonemes" + (f", {notes:,} with notes" if notes else "")


def _shares(counts: dict[str, int], clips: int) -> str:
    """Names, with their counts where there are several: `en (3), ko (2)`."""
    if len(counts) == 1 and clips in counts.values():
        return _some(list(counts))
    return _some([f"{name or '(not named)'} ({count:,})" for name, count in counts.items()], 9)


def _inside(file: str, root: str) -> str:
    """A path as seen from the root of the corpus."""
    path = Path(file).absolute()
    return str(path.relative_to(root)) if path.is_relative_to(root) else file


def _some(names: Sequence[str], most: int = NAMED) -> str:
    shown = ", ".join(name or "(not named)" for name in names[:most])
    return shown + (f" and {len(names) - most:,} more" if len(names) > most else "")


def _say(message: str) -> None:
    print(message, file=sys.stderr, flush=True)
