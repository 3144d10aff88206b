"""AudioCaps: what happens in ten seconds of AudioSet, described in a sentence (Kim et al. 2019).

Size      51,308 captions of 46,000 clips, 10 s each, 127 hours; version 2.0 has 98,606 captions
Licence   captions for research; each sound belongs to whoever put it on YouTube
Get it    captions at https://github.com/cdjkim/audiocaps (train.csv, val.csv, test.csv), sounds on request there
Layout    ROOT/**/train.csv, val.csv, test.csv   audiocap_id,youtube_id,start_time,caption
          ROOT/**/---1_cCGK4M_0_10000.wav        youtube_id, begin and end in ms; or youtube_id_start, Yyoutube_id,
                                                 youtube_id or audiocap_id alone, with any ending, in any folder
Reads     the first caption as text, all of them as `captions` in `more`, and `split`
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path

from aoide.config import UserError
from aoide.data.clips import Clip, Refused
from aoide.data.corpora import _layout

COLUMNS = {"audiocap_id", "youtube_id", "start_time", "caption"}


def clips(root: Path) -> Iterator[Clip | Refused]:
    """One clip for each sound, in the order of the tables; a sound that is not there is refused."""
    tables = {path: rows for path in sorted(root.rglob("[!.]*.csv")) if (rows := _rows(path)) is not None}
    if not tables:
        raise UserError(
            f"{root}: expected train.csv with the columns audiocap_id,youtube_id,start_time,caption and the sounds; "
            f"found {_layout.listing(root)}; get it at https://github.com/cdjkim/audiocaps"
        )
    files = {path.stem: path for path in _layout.sounds(root)}
    for table, rows in tables.items():
        clips: dict[str, tuple[Path, list[str]]] = {}
        for number, row in enumerate(rows, 2):
            name = f"{row['youtube_id']}_{row['start_time']}"
            path = next((files[stem] for stem in _stems(row) if stem in files), None)
            if path is None:
                yield Refused(id=name, path=table, reason=f"its sound is not there: line {number}")
            else:
                clips.setdefault(name, (path, []))[1].append(row["caption"].strip())
        for name, (path, captions) in clips.items():
            more = {"captions": captions, "split": table.stem}
            yield Clip(id=name, audio=path, text=captions[0], caption=True, more=more)


def _rows(table: Path) -> list[dict[str, str]] | None:
    """The rows of a table of captions, None for any other file."""
    try:
        reader = csv.DictReader(io.StringIO(_layout.read(table)))
        if not COLUMNS.issubset(reader.fieldnames or ()):
            return None
        return [row for row in reader if None not in row.values()]
    except (UserError, csv.Error):
        return None


def _stems(row: dict[str, str]) -> tuple[str, ...]:
    """The names that downloaders give to the sound of a row."""
    video, start = row["youtube_id"], row["start_time"]
    milliseconds = int(float(start) * 1000) if start.replace(".", "", 1).isdigit() else 0
    exact = f"{video}_{milliseconds}_{milliseconds + 10000}"
    return exact, f"{video}_{start}", f"Y{video}", video, row["audiocap_id"]
