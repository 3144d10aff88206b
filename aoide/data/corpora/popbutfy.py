"""PopBuTFy: 22 singers sing English pop songs twice, as amateurs and as professionals do (Liu et al. 2022).

Size      904 recordings of songs, cut into 29,000 phrases, 40 hours, mp3 or wav
Licence   CC-BY-NC-SA-4.0, on request
Get it    https://github.com/MoonInTheRiver/NeuralSVB (resources/apply_form.md)
Layout    ROOT/data/Female1#singing#SONG_Amateur/Female1#singing#SONG_Amateur_0.mp3
          ROOT/data/Female1#singing#SONG_Professional/...          ROOT may also be the folder data itself.
Reads     singer, gender, song; style is amateur or professional. Words, where a .txt of the name of the sound is
          beside it or in ROOT/text_labels.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from aoide.data.clips import Clip, Refused
from aoide.data.corpora import _layout

TEXT = False


def clips(root: Path) -> Iterator[Clip | Refused]:
    """All phrases, sorted by path: Female1/SONG/Amateur/0."""
    layout = "data/SINGER#singing#SONG_Amateur/SINGER#singing#SONG_Amateur_0.mp3"
    base = _layout.find(root, "*#singing#*/*", layout=layout, get="https://github.com/MoonInTheRiver/NeuralSVB")
    texts = {path.stem: path for folder in (root, base.parent) for path in folder.glob("text_labels/**/*.txt")}

    def clip(path: Path) -> Clip:
        name = _id(path)
        singer, song, style, _ = name.split("/")
        text = _layout.words(texts.get(path.stem, path.with_suffix(".txt")))
        gender = _layout.gender(singer)
        return Clip(
            id=name,
            audio=path,
            text=text,
            speaker=singer,
            language="en",
            gender=gender,
            style=style.lower(),
            song=song,
        )

    yield from _layout.each(_layout.sounds(base, "*#singing#*/*"), lambda path: (path.stem, path), clip)


def _id(path: Path) -> str:
    """`Female1#singing#Almost_lover_Amateur_0` is Female1/Almost_lover/Amateur/0."""
    singer, _, rest = path.stem.split("#", 2)
    song, style, number = rest.rsplit("_", 2)
    return f"{singer}/{song}/{style}/{number}"
