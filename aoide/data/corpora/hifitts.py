"""Hi-Fi TTS: ten readers of LibriVox whose recordings are good, with at least 17 hours each (Bakhturina et al. 2021).

Size      291.6 hours, English, 10 readers, 44,100 Hz flac
Licence   CC-BY-4.0
Get it    https://www.openslr.org/109/ (hi_fi_tts_v0.tar.gz)
Layout    ROOT/hi_fi_tts_v0/92_manifest_clean_train.json     one clip a line: audio_filepath, text, text_normalized
          ROOT/hi_fi_tts_v0/audio/92_clean/10425/NAME.flac
          ROOT may also be the folder hi_fi_tts_v0 itself.
Reads     text_normalized, with its punctuation and case; the reader's number; quality and split in `more`
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from aoide.data.clips import Clip, Refused
from aoide.data.corpora import _layout

FEMALE = {"92", "8051", "9136", "11614", "11697", "12787"}  # the others are men
Line = tuple[str, int, Path]  # of a manifest: its text, its number, its file


def clips(root: Path) -> Iterator[Clip | Refused]:
    """All clips, in the order of the manifests; the id is the path below audio/."""
    layout = "92_manifest_clean_train.json and audio/92_clean/..."
    base = _layout.find(root, "*_manifest_*_*.json", layout=layout, get="https://www.openslr.org/109/")
    yield from _layout.each(_lines(base), lambda line: (f"{line[2].stem}:{line[1]}", line[2]), _clip)


def _lines(base: Path) -> Iterator[Line]:
    for manifest in sorted(base.glob("[!.]*_manifest_*_*.json")):
        for number, line in enumerate(_layout.read(manifest).splitlines(), 1):
            if line.strip():
                yield line, number, manifest


def _clip(line: Line) -> Clip:
    content, _, manifest = line
    facts = json.loads(content)
    reader, _, quality, split = manifest.stem.split("_")
    path = Path(facts["audio_filepath"])
    return Clip(
        id=path.with_suffix("").as_posix().removeprefix("audio/"),
        audio=manifest.parent / path,
        text=(facts.get("text_normalized") or facts["text"]).strip(),
        speaker=reader,
        language="en",
        gender="female" if reader in FEMALE else "male",
        style="speech",
        more={"quality": quality, "split": split},
    )
