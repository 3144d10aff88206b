"""The part `convert` of benchmarks/singing.py: 20 recordings of people that it never heard, each in another voice.

Five telephone prompts each in English, French and Russian, and five sung clips of a game, the singers in turn:

    --sounds DIR     what tools/make_sounds.py wrote; prompts are taken from its test/asterisk-en
    --texts DIR      the package asterisk-core-sounds-en, unpacked, for what they say
    --hedgewars DIR  Sounds/voices/Singer of the Debian package hedgewars-data (GPL-2: listened to, not handed on)
    --whisper DIR    Whisper base for CTranslate2, which `benchmarks/voice.py` makes (default: where it does)
    --lyrics         songs whole, and their words too, half of which Whisper mishears in the source; it takes long
    --retrieval X    what `aoide convert` is told
    --people         recordings of people alone, without the two groups beside them
    --others         40 other recordings of people, by which settings may be chosen, in place of these 20
    --picture FILE   a PNG of three mels: an English song, a song of the Japanese singer, the first in her voice

What is not there is left out, and said. Two groups stand beside them and do not count among all: songs of each singer
of the package in the other one's voice, who to a judge of voices are not far apart, and, as what can be reached,
sentences of the voice en-heart converted into its own voice. What is said is compared with what heart says (en-heart),
what is sung with what the singer sings.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np
from real import transcripts
from rooms import WORKERS
from tqdm import tqdm

import aoide
from aoide.audio.mel_config import MelConfig
from aoide.audio.sound import Sound
from aoide.audio.spectrum import log_mel
from aoide.plots import letters, png, spectrogram
from aoide.score import Score
from aoide.score.score import HOLDS, NEXT

HERE = Path(__file__).resolve().parent
WHISPER = Path.home() / ".cache" / "aoide-bench" / "whisper-base"
EACH, COPIES = 5, 5
OTHER = {"en": "f001", "ja": "heart"}  # into whom a singer's songs are converted
SUNG = {"en": "heart-sung", "ja": "f001"}  # with whose songs what is sung into a singer is compared
LANGUAGES = ("en", "fr", "ru")  # of the prompts
REFERENCES = 5  # songs of a singer, and half of the sentences
MEL, SHOWN = MelConfig(), 4.0  # of the picture, seconds
DYNAMICS, SHADES = 9.0, 60  # nats below the loudest that are shown, in so many colours


def arguments(parser: argparse.ArgumentParser) -> None:
    for name in ("sounds", "texts", "hedgewars"):
        parser.add_argument(f"--{name}", type=Path, metavar="DIR", help="of the part convert")
    parser.add_argument("--whisper", type=Path, metavar="DIR", default=WHISPER, help="of the part convert")
    for name in ("lyrics", "people", "others"):
        parser.add_argument(f"--{name}", action="store_true", help="of the part convert")
    parser.add_argument("--retrieval", type=float, metavar="X", help="of the part convert (default: the converter's)")
    parser.add_argument("--picture", type=Path, metavar="FILE", help="of the part convert")


def words(score: Score) -> str:
    """The lyrics, with syllables joined into words."""
    text = ""
    for note in score.notes:
        if note.sung and note.lyric and note.lyric not in {*HOLDS, NEXT}:
            text += note.lyric + ("" if note.hyphen else " ")
    return text.strip()


def songs(folder: Path, found: dict[str, list[Score]], singers: dict[str, str], first: int) -> dict[str, list[Path]]:
    """Files of what the singers of the package sing."""
    folder.mkdir(parents=True, exist_ok=True)
    made: dict[str, list[Path]] = {}
    for language, several in found.items():
        singer = aoide.load(singers[language])
        for number, score in enumerate(tqdm(several, desc=f"songs, {language}", disable=None), first):
            path = folder / f"{language}-{number}.wav"
            singer.sing(score).save(path)
            made.setdefault(language, []).append(path)
    return made


def targets(folder: Path, found: dict[str, list[Score]], singers: dict[str, str]) -> dict[str, str]:
    """Folders with what heart says, and what each singer sings."""
    for language, several in songs(folder / "songs", found, singers, 100).items():
        own = folder / SUNG[language]
        own.mkdir(parents=True, exist_ok=True)
        for path in several:
            path.rename(own / path.name)
    voice = aoide.load("en-heart")
    (folder / "heart").mkdir()
    for number, text in enumerate(sentences()[-2 * REFERENCES :]):
        voice.say(text).save(folder / "heart" / f"said-{number}.wav")
    return {name: str(folder / name) for name in ("heart", *SUNG.values())}


def sentences() -> list[str]:
    return (HERE / "sentences-100.txt").read_text("utf-8").splitlines()


def recordings(options: Any, work: Path, sung: dict[str, list[Score]], singers: dict[str, str]) -> list[dict[str, str]]:
    """What is converted: see the head of this file."""
    found: list[dict[str, str]] = []
    for language, paths in songs(work / "songs", {} if options.people else sung, singers, 0).items():
        for path, score in zip(paths, sung[language], strict=True):
            row = {"group": f"songs-{language}", "path": str(path), "singer": OTHER[language], "apart": "yes"}
            row["target"] = SUNG["ja" if language == "en" else "en"]
            found.append(row | ({"text": words(score)} if language == "en" and options.lyrics else {}))
    known: dict[str, str] = {}
    if options.texts is not None:
        known = transcripts(next(iter(sorted(options.texts.rglob("core-sounds-en.txt*")))))
    from convert import some

    turns = ("heart", "f001")
    for language in LANGUAGES if options.sounds is not None else ():
        paths = sorted((options.sounds / "test" / f"asterisk-{language}").glob("*.flac"))
        paths = [path for path in paths if path.stem in known or language != "en"]
        for turn, path in enumerate(paths[EACH : 3 * EACH] if options.others else paths[:EACH]):
            row = {"group": f"prompts-{language}", "path": str(path), "singer": turns[turn % 2], "task": "vc"}
            found.append(row | ({"text": known[path.stem]} if language == "en" else {}))
    if options.hedgewars is not None:
        clips = some(options.hedgewars, EACH)
        if options.others:
            clips = [path for path in some(options.hedgewars, 4 * EACH) if path not in clips][: 2 * EACH]
        for turn, path in enumerate(clips):
            singer = turns[turn % 2]
            target = "heart-sung" if singer == "heart" else singer
            found.append({"group": "sung clips", "path": str(path), "singer": singer, "target": target})
    voice = aoide.load("en-heart")
    for number, text in enumerate([] if options.people else sentences()[:COPIES]):
        path = work / f"copy-{number}.wav"
        voice.say(text).save(path)
        row = {"group": "copy", "path": str(path), "singer": "heart", "text": text, "apart": "yes"}
        found.append(row | {"task": "vc"})
    return found


def part(options: Any, work: Path, sung: dict[str, list[Score]], more: dict[str, list[Score]], singers: Any) -> Any:
    """The figures, and the table on the screen; `sung` are the scores to convert, `more` those of the references."""
    sys.path.insert(0, str(WORKERS))
    from convert import measure

    if options.sounds is None or options.hedgewars is None:
        print("without --sounds or --hedgewars recordings of people are left out", file=sys.stderr)
    whisper = options.whisper if (options.whisper / "model.bin").is_file() else None
    rows = recordings(options, work, sung, singers)
    keep = None if options.keep is None else str(options.keep)
    own = targets(work, more, singers)
    result = measure(rows, own, "convert-24k", None if whisper is None else str(whisper), keep, options.retrieval)
    show(result)
    if options.picture is not None and not options.people:
        source, singer = Sound.load(rows[0]["path"]), "f001"
        target = Sound.load(sorted(Path(own["f001"]).glob("*.wav"))[0])
        converted = aoide.load("convert-24k").convert(source, singer)
        named = ("source: en-heart-song", source), (f"target: {singer}", target), ("converted", converted)
        picture(options.picture, list(named))
    return result


def show(result: dict[str, Any]) -> None:
    heads = ("recordings", "F0 Pearson (>= 0.95)", "similarity gained (>= 0.15), as loud", "DistillMOS, source")
    print("|", " | ".join((*heads, "WER, source")), "|")
    print("|---|---|---|---|---|")
    for name, of in [("all", result["all"]), *result["groups"].items()]:
        mos = f"{of['distillmos']}, {of['distillmos_source']}"
        heard = f"{of['wer']}, {of['wer_source']}" if "wer" in of else "–"
        gained = f"{of['similarity']}, {of['similarity_as_loud']}"
        print(f"| {name}: {of['recordings']} | {of['f0_pearson']} | {gained} | {mos} | {heard} |")


def good(result: dict[str, Any]) -> bool:
    """Whether all that is asked for is reached."""
    return all(result["all"][name] >= least for name, least in result["asked"].items())


def picture(path: Path, sounds: list[tuple[str, Sound]]) -> None:
    """Writes the mels of some sounds, the first SHOWN seconds of each, below each other with their names."""
    width = round(SHOWN * MEL.frame_rate)
    strips = []
    for name, sound in sounds:
        mel = log_mel(sound.mono().resample(MEL.sample_rate).samples, MEL)[:width]
        level = np.clip((mel - mel.max() + DYNAMICS) / DYNAMICS, 0, 1)
        shades = np.zeros((width, MEL.n_mels), int)
        shades[: len(mel)] = np.rint(level * (SHADES - 1))
        title = np.full((2 * letters.HEIGHT + 8, 3 * width), SHADES)
        letters.paint(title, name, 4, 4, SHADES + 1, size=2)
        strips += [title, shades.T[::-1].repeat(2, 0).repeat(3, 1)]
    stops = spectrogram.PALETTE[:14].astype(float)
    at = np.linspace(0, 13, SHADES)
    colours = [np.interp(at, np.arange(14), stops[:, channel]) for channel in range(3)]
    palette = np.vstack([np.stack(colours, 1), [(255, 255, 255), (0, 0, 0)]]).astype(np.uint8)
    path.write_bytes(png.encode(np.concatenate(strips), palette))
