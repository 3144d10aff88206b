"""Makes docs/sounds.html: what the package makes of words, to be heard, with captions and spectrograms, in one file.

    python tools/make_sounds_page.py                         sounds, music and a song by the cascade
    python tools/make_sounds_page.py --songflow runs/songflow-toy     and a song by a trained SongFlow

Nothing is chosen by ear: each caption gets the sound of seed 0.
"""

from __future__ import annotations

import argparse
import base64
import html
import subprocess
import sys
import tempfile
from pathlib import Path

from aoide.audio import io
from aoide.config import write_aside
from aoide.serve.studio import picture

ROOT = Path(__file__).resolve().parents[1]
TARGET = ROOT / "docs" / "sounds.html"
SOUNDS = (
    "a bright trumpet plays a fast rising scale",
    "a soft low cello plays a slow falling scale",
    "a flute plays a rising arpeggio",
    "a high note on a piano",
    "a low note on a tuba",
    "a minor chord on an acoustic guitar",
    "a violin plays a falling scale",
    "a rock drum loop",
    "a slow drum loop",
    "an explosion",
    "a horse neighs",
    "a dog barks twice in the rain",
)
MUSIC = ("slow strings in A minor, 70 bpm", "jazz, saxophone and piano, 120 bpm", "folk, flute and guitar in D major")
SONGFLOW = "c major, 110 bpm"
LYRICS = "[00:00.50]la le\n[00:02.00]lo lu\n[00:04.50]\n"


def made(folder: Path, *words: str) -> tuple[Path, list[str]]:
    """What a verb wrote, and what it remarked."""
    target = folder / "sound.wav"
    command = [sys.executable, "-m", "aoide.cli", *words, "-o", str(target)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    if done.returncode:
        raise SystemExit(f"aoide {' '.join(words)}: {done.stderr}")
    return target, [line.removeprefix("aoide: ") for line in done.stderr.splitlines() if line.startswith("aoide: ")]


def card(folder: Path, caption: str, *words: str) -> str:
    """A sound with its caption, its command and its picture."""
    path, remarks = made(folder, *words)
    sound = io.read(path)
    small = folder / "small.opus"
    io.write(small, sound.mono().resample(24_000))
    data = base64.b64encode(small.read_bytes()).decode("ascii")
    drawn = base64.b64encode(picture(path, melody=False)).decode("ascii")
    told = "".join(f"<p class=remark>{html.escape(remark)}</p>" for remark in remarks)
    shown = " ".join(["aoide", *(f'"{word}"' if " " in word else word for word in words), "-o", "sound.wav"])
    return (
        f"<article><h3>{html.escape(caption)}</h3>"
        f'<img alt="Mel spectrogram of: {html.escape(caption)}" src="data:image/png;base64,{drawn}">'
        f'<audio controls preload=none src="data:audio/ogg;base64,{data}"></audio>'
        f"<code>{html.escape(shown)}</code>{told}</article>"
    )


def section(title: str, about: str, cards: list[str]) -> str:
    return f"<h2>{title}</h2><p>{about}</p><div class=grid>{''.join(cards)}</div>"


STYLE = """
:root {color-scheme: light dark; --line: #8884; --soft: #8881}
body {font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem}
.grid {display: grid; grid-template-columns: repeat(auto-fill, minmax(18rem, 1fr)); gap: 1rem}
article {border: 1px solid var(--line); border-radius: .5rem; padding: .8rem; background: var(--soft)}
h3 {font-size: 1rem; margin: 0 0 .5rem} img {width: 100%; height: 8rem; object-fit: fill; border-radius: .3rem}
audio {width: 100%; margin: .5rem 0} code {font-size: .75rem; overflow-wrap: anywhere}
.remark {font-size: .8rem; margin: .4rem 0 0}
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--songflow", type=Path, metavar="RUN", help="a run of recipes/ttm/songflow-toy.yaml")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sounds = [card(folder, caption, "sound", caption) for caption in SOUNDS]
        music = [card(folder, caption, "music", caption, "--seconds", "15") for caption in MUSIC]
        style = "folk, guitar, 96 bpm"
        songs = [card(folder, f"Cascade: {style}", "song", "examples/lyrics/evening.txt", "--style", style)]
        if options.songflow is not None:
            (folder / "toy.lrc").write_text(LYRICS, "utf-8")
            words = ("song", str(folder / "toy.lrc"), "--style", SONGFLOW, "--model", str(options.songflow))
            toy = card(folder, f"SongFlow, toy: {SONGFLOW}", *words, "--seconds", "6")
            songs.append(toy.replace(str(folder), ".").replace(str(options.songflow), "runs/songflow-toy"))
    parts = [
        section(
            "Sounds", "By the small model of the package, ten steps. The last ones lie beyond what it knows.", sounds
        ),
        section("Music", "Composed by rules, played by the sound font of the package.", music),
        section("Songs", "One by each route.", songs),
    ]
    page = (
        '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>Aoide: sounds from words</title><style>{STYLE}</style><h1>Sounds from words</h1>"
        f"<p>All of it is synthetic; seed 0 throughout, nothing was chosen by ear.</p>{''.join(parts)}"
    )
    with write_aside(TARGET) as aside:
        aside.write_text(page, "utf-8")
    print(f"{TARGET}: {TARGET.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
