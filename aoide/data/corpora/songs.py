"""Songs with their lyrics and a description of each, whole or in stems: a folder for models of songs.

    ROOT/evening.flac                 the song (wav, flac, ogg, mp3 ...)
    ROOT/evening.txt                  how it sounds: "folk, female voice, guitar, 90 bpm"
    ROOT/evening.lrc                  what is sung and when: LRC, better with the times of words
    ROOT/evening.lyrics.txt           or without times, with [verse] and [chorus]
    ROOT/evening.voice.flac           if there are stems: the voice,
    ROOT/evening.accompaniment.flac   and all the rest; as long as the song

Size      yours; songs are long: `aoide prepare songs --root DIR -o data/songs --max-seconds 300`
Licence   yours; who sings must agree

Songs may stand in folders below ROOT. Without lyrics a song counts as music without words.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from aoide.config import UserError
from aoide.data.clips import Clip, Refused
from aoide.data.corpora import AUDIO_ENDINGS
from aoide.data.corpora._layout import listing
from aoide.score.song_script import SongScript

STEMS = ("voice", "accompaniment")
LYRICS = (".lrc", ".lyrics.txt", ".json")


def clips(root: Path) -> Iterator[Clip | Refused]:
    """Every song, by its name; lyrics are read, so that broken ones are told now and not in training."""
    sounds = sorted(path for path in root.rglob("[!.]*") if path.suffix.lower() in AUDIO_ENDINGS and not _is_stem(path))
    if not sounds:
        raise UserError(f"{root}: expected songs and their styles, evening.flac and evening.txt; found {listing(root)}")
    for path in sounds:
        name = path.relative_to(root).with_suffix("").as_posix()
        try:
            style = path.with_suffix(".txt").read_text("utf-8-sig").strip()
            more: dict[str, str] = {}
            words = next((p for ending in LYRICS if (p := path.with_suffix(ending)).is_file()), None)
            if words is not None:
                SongScript.load(words)
                more["lyrics"] = words.read_text("utf-8-sig")
        except FileNotFoundError:
            yield Refused(id=name, path=path, reason="no style: a .txt beside it says how it sounds")
        except (OSError, UnicodeDecodeError, UserError) as error:
            yield Refused(id=name, path=path, reason=f"its words cannot be read: {error}")
        else:
            yield Clip(id=name, audio=path, text=style, caption=True, speaker="", more=more)


def stem_of(audio: Path, stem: str) -> Path:
    """Where a stem of a song lies: beside it."""
    return audio.with_name(f"{audio.stem}.{stem}{audio.suffix}")


def _is_stem(path: Path) -> bool:
    return path.stem.endswith(tuple(f".{stem}" for stem in STEMS))
