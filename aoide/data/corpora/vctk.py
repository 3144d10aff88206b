"""VCTK: 110 speakers of English with many accents read newspaper sentences (Veaux, Yamagishi and MacDonald 2019).

Size      44 hours, 48,000 Hz, two microphones (version 0.92) or one (0.80)
Licence   CC-BY-4.0 (0.92), ODC-By (0.80)
Get it    https://datashare.ed.ac.uk/handle/10283/3443 (VCTK-Corpus-0.92.zip)
Layout    ROOT/wav48_silence_trimmed/p225/p225_001_mic2.flac       version 0.92
          ROOT/wav48/p225/p225_001.wav                             version 0.80
          ROOT/txt/p225/p225_001.txt
          ROOT/speaker-info.txt                                    ID, age, gender, accent, region
          ROOT may also be the folder above, which holds VCTK-Corpus.
Reads     text, speaker, gender; accent, region and age in `more`. p315 has no texts, p280 no second microphone.

Options
    --mic N           1 or 2, of version 0.92 (default: 2)
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from aoide.config import UserError
from aoide.data.clips import Clip, Refused
from aoide.data.corpora import _layout

NEW, OLD = "wav48_silence_trimmed", "wav48"


def clips(root: Path, *, mic: int = 2) -> Iterator[Clip | Refused]:
    """All sentences, sorted: p225_001. A text without a sound is refused, as is a sound without a text."""
    if mic not in (1, 2):
        raise UserError(f"--mic {mic}: VCTK has microphones 1 and 2")
    layout = f"{NEW}/p225/p225_001_mic2.flac and txt/p225/p225_001.txt, or {OLD}/p225/p225_001.wav"
    get = "https://datashare.ed.ac.uk/handle/10283/3443"
    base = _layout.find(root, "wav48*/*/*", "txt/*/*.txt", layout=layout, get=get)
    tail = f"_mic{mic}" if (base / NEW).is_dir() else ""
    folder = base / (NEW if tail else OLD)
    files = {path.stem.removesuffix(tail): path for path in _layout.sounds(folder, f"*/*{tail}.*")}
    texts = {path.stem: path for path in sorted(base.glob("txt/*/[!.]*.txt"))}
    facts = _speakers(base / "speaker-info.txt")

    def clip(name: str) -> Clip | Refused:
        if name not in files:
            return Refused(id=name, path=texts[name], reason=f"there is no {name}{tail} in {folder.name}")
        speaker = name.partition("_")[0]
        more = dict(facts.get(speaker, {}))
        gender = _layout.gender(more.pop("gender", ""))
        text = _layout.words(texts[name]) if name in texts else None
        return Clip(
            id=name,
            audio=files[name],
            text=text,
            speaker=speaker,
            language="en",
            gender=gender,
            style="speech",
            more=more,
        )

    yield from _layout.each(sorted(files.keys() | texts.keys()), lambda name: (name, texts.get(name, folder)), clip)


def _speakers(path: Path) -> dict[str, dict[str, Any]]:
    """Speaker to age, gender, accent and region; of version 0.80, the speakers are numbers without their p."""
    found: dict[str, dict[str, Any]] = {}
    for line in _layout.read(path).splitlines()[1:] if path.is_file() else ():
        columns = line.partition("(")[0].split()  # in brackets stands a remark
        if len(columns) < 3:
            continue
        name, age, gender, accent, region = *columns[:3], " ".join(columns[3:4]), " ".join(columns[4:])
        known = {"age": int(age) if age.isdigit() else age, "gender": gender, "accent": accent, "region": region}
        found[name if name[0].isalpha() else f"p{name}"] = {key: value for key, value in known.items() if value}
    return found
