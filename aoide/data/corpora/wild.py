"""Recordings in the wild: talks, podcasts, radio, films, of any length, without texts. Clips are cut out of them.

Size      yours; an hour of speech takes about 20 minutes on a core with Whisper base, and 30 MB
Licence   yours to know. Voices belong to people: ask those whom you record
Layout    ROOT/any/where/talk.mp3         whatever libsndfile or FFmpeg reads, also the sound of films

Each recording is brought to 24 kHz and -20 dBFS, cut into clips of 3 to 30 s where nobody speaks (Silero VAD), written
down (Whisper) and rated (DNSMOS). Kept are clips whose language is sure, whose score is 3 or more, and whose text goes
with their length, as in the pipeline of Emilia (arXiv 2407.05361). All clips of a recording have one speaker, unless
--diarise tells the voices apart. docs/wild.md explains the stages and how to put in your own.

    OUT/audio/talk.mp3/000012340-000017220.flac      a clip, by its milliseconds in the recording
    OUT/recordings/talk.mp3.json                     all that was measured, also of what was refused
    OUT/wild.json                                    hours of speech, kept, refused by rule, kept by language

A recording that is finished is never heard again: an interrupted run goes on, and other limits cost nothing.

Options
    --whisper NAME      a size (base, large-v3), a hub name or a folder with model.bin (default: base)
    --language CODE     what is spoken, where it is known (default: as each clip is heard)
    --diarise           tell the speakers of a recording apart
    --separate FILE     take the music away first, by an ONNX network such as UVR-MDX-NET-Inst_3.onnx
    --min-dnsmos X      refuse clips that are rated lower (default: 3)
    --recipe FILE       all settings of all stages, in YAML; what stands on the command line goes before
    --jobs N            threads of the networks (default: all)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from aoide.config import UserError, build, read_yaml
from aoide.data.clips import Clip, Refused
from aoide.data.corpora import AUDIO_ENDINGS
from aoide.data.wild import diarise as diarisation
from aoide.data.wild import judge, pipeline
from aoide.data.wild import separate as separation

ENDINGS = (*AUDIO_ENDINGS, ".mp4", ".m4v", ".mkv", ".mov", ".avi", ".mpg", ".ts", ".amr", ".au")


def make(  # noqa: PLR0913  (each is an option of the command line)
    root: Path,
    say: Callable[[str], None],
    *,
    output: Path,
    recipe: Path | None = None,
    whisper: str | None = None,
    language: str | None = None,
    diarise: bool | None = None,
    separate: Path | None = None,
    min_dnsmos: float | None = None,
    jobs: int = 0,
) -> None:
    """Makes the clips of every recording that is not finished yet.

    Raises:
        UserError: no recordings, weights that are not there, or a full disk.
        MissingExtra: a package is not installed.
    """
    config = settings(recipe, min_dnsmos)
    if whisper is not None:
        config = replace(config, transcribe=replace(config.transcribe, model=whisper))
    if language is not None:
        config = replace(config, transcribe=replace(config.transcribe, language=language))
    if diarise is not None:
        config = replace(config, diarise=(config.diarise or diarisation.Config()) if diarise else None)
    if separate is not None:
        own = config.separate
        config = replace(config, separate=replace(own, model=separate) if own else separation.Config(model=separate))
    found = recordings(root, output)
    todo = [(name, path) for name, path in found.items() if not _finished(path, name, output, config)]
    if todo:
        say(f"{len(todo):,} of {len(found):,} recordings to listen to")
        _process(todo, output, config, jobs)
    _report(list(found), output, config, say)


def clips(
    root: Path, *, output: Path, recipe: Path | None = None, min_dnsmos: float | None = None
) -> Iterator[Clip | Refused]:
    """The clips of all recordings as `make` found them, judged by the limits, in the order of their names."""
    found = recordings(root, output)
    records = {name: pipeline.Record.read(pipeline.place_of(output, name)) for name in found}
    verdicts = judge.judge([r.pieces if r else () for r in records.values()], settings(recipe, min_dnsmos).judge)
    for (name, record), judged in zip(records.items(), verdicts, strict=True):
        if record is None or record.refused:
            yield Refused(id=name, path=found[name], reason=record.refused if record else "was not listened to")
            continue
        for piece, verdict in zip(record.pieces, judged, strict=True):
            clip = f"{name}/{pipeline.id_of(piece.start, piece.end)}"
            if verdict is not None or piece.audio is None:
                reason = verdict.reason if verdict else "no sound"
                where = f"at {_at(piece.start)} to {_at(piece.end)}"
                yield Refused(id=clip, path=found[name], reason=f"{reason}: {where}")
                continue
            more = {
                "source": str(found[name].relative_to(root)),
                "source_start": piece.start,
                "source_end": piece.end,
                "confidence": piece.confidence,
            }
            yield Clip(
                id=clip,
                audio=output / piece.audio,
                text=piece.text,
                speaker=piece.speaker,
                language=piece.language,
                more=more if piece.dnsmos is None else {**more, "dnsmos": piece.dnsmos},
            )


def settings(recipe: Path | None, min_dnsmos: float | None = None) -> pipeline.Config:
    """The settings of a recipe, or the defaults, with the limit that was given beside it.

    Raises:
        UserError: no such file, or not such settings.
    """
    config = build(pipeline.Config, read_yaml(recipe) if recipe else {}, str(recipe or "wild"))
    return config if min_dnsmos is None else replace(config, judge=replace(config.judge, min_dnsmos=min_dnsmos))


def recordings(root: Path, output: Path) -> dict[str, Path]:
    """All recordings below `root`, sorted, by their path below it; the output folder may lie inside.

    Raises:
        UserError: there are none.
    """
    out = output.resolve()
    if root.resolve() == out:
        raise UserError("say where the recordings are: --root DIR, another folder than that of -o")
    paths = sorted(
        path
        for path in root.rglob("[!.]*")
        if path.suffix.lower() in ENDINGS and path.is_file() and not path.resolve().is_relative_to(out)
    )
    if not paths:
        raise UserError(f"{root}: no recordings in it; endings are {', '.join(ENDINGS)}")
    return {path.relative_to(root).as_posix(): path for path in paths}


def _finished(path: Path, name: str, output: Path, config: pipeline.Config) -> bool:
    """Whether a recording was listened to with these settings, and all its clips are still there."""
    record = pipeline.Record.read(pipeline.place_of(output, name))
    if record is None or record.key != pipeline.key(path, config):
        return False
    return all((output / piece.audio).is_file() for piece in record.pieces if piece.audio and piece.letters)


def _process(todo: list[tuple[str, Path]], output: Path, config: pipeline.Config, jobs: int) -> None:
    """One recording after the other: a network that hears many clips at once uses all processors by itself."""
    from tqdm import tqdm

    plugs = pipeline.plugs(config, threads=jobs)
    form = "{desc}{percentage:3.0f}%|{bar}| {n:.2f}/{total} recordings [{elapsed}<{remaining}]"
    with tqdm(total=len(todo), disable=None, bar_format=form) as bar:
        for number, (name, path) in enumerate(todo):
            bar.set_description(name[-30:])

            def told(share: float, number: int = number) -> None:
                bar.update(number + share - bar.n)

            pipeline.process(path, name, output, config, plugs, told)
            told(1.0)


def _report(names: list[str], output: Path, config: pipeline.Config, say: Callable[[str], None]) -> None:
    """Tells and writes down how much is kept and what becomes of the rest."""
    records = [r for name in names if (r := pipeline.Record.read(pipeline.place_of(output, name))) is not None]
    found = pipeline.totals(records, judge.judge([record.pieces for record in records], config.judge))
    pipeline.write_totals(output, found)
    kept = sum(group["hours"] for group in found["kept"].values())
    say(
        f"{found['hours'] * 60:.1f} minutes in {len(records):,} recordings, "
        f"{found['hours_of_speech'] * 60:.1f} of speech, {kept * 60:.1f} kept"
    )
    for rule, group in found["refused"].items():
        say(f"  refused for {rule}: {group['clips']:,} clips, {group['hours'] * 60:.1f} minutes")


def _at(seconds: float) -> str:
    """Where in a recording, as players show it: 1:02:03.4"""
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(int(minutes), 60)
    return f"{hours}:{minutes:02d}:{rest:04.1f}" if hours else f"{minutes}:{rest:04.1f}"
