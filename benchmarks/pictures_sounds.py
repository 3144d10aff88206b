"""The picture of the page about described sounds: python benchmarks/pictures_sounds.py

docs/images/sounds.png   mels of what the model of the package makes of captions, with the captions
"""

from pathlib import Path

import numpy as np

from aoide.audio.mel_config import MelConfig
from aoide.audio.spectrum import log_mel
from aoide.generate.described import Described
from aoide.plots import letters
from aoide.plots.png import encode
from aoide.plots.spectrogram import PALETTE

IMAGES = Path(__file__).resolve().parents[1] / "docs" / "images"
CAPTIONS = (
    "a bright trumpet plays a fast rising scale in the high register",
    "a slow descending arpeggio on a piano in the middle register",
    "a long low note on a cello",
    "a quick high repeated note on a glockenspiel",
    "a fast rock drum loop",
    "a sheep bleats",
)
COLUMNS, SIZE, GAP, LINE = 2, 2, 14, 24  # pictures side by side; pixels of a frame; between two; of a caption
RANGE = 7.5  # natural log below the loudest
PAPER, INK = len(PALETTE), len(PALETTE) + 1


def strip(sound: np.ndarray, mel: MelConfig) -> np.ndarray:
    """(mels, frames) colours, low frequencies at the bottom."""
    levels = log_mel(sound, mel)
    shades = (levels - levels.max() + RANGE) / RANGE * 14
    return np.clip(shades, 0, 13).astype(int).T[::-1]


def main() -> None:
    model = Described("sounds-24k", threads=2)
    strips = [strip(model.make(caption, seed=1).samples, model.description.mel) for caption in CAPTIONS]
    height, width = (side * SIZE for side in strips[0].shape)
    rows = -(-len(strips) // COLUMNS)
    whole = np.full((rows * (height + LINE + GAP) + GAP, COLUMNS * (width + GAP) + GAP), PAPER)
    for number, (caption, colours) in enumerate(zip(CAPTIONS, strips, strict=True)):
        top = GAP + number // COLUMNS * (height + LINE + GAP)
        left = GAP + number % COLUMNS * (width + GAP)
        size = 2 if letters.width(caption, 2) <= width else 1
        letters.paint(whole, caption, top, left, INK, size)
        grown = np.kron(colours, np.ones((SIZE, SIZE), int))
        whole[top + LINE : top + LINE + height, left : left + width] = grown[:, :width]
    colours = np.vstack([PALETTE, [(250, 250, 248), (30, 30, 40)]])
    path = IMAGES / "sounds.png"
    path.write_bytes(encode(whole, colours))
    print(path)


if __name__ == "__main__":
    main()
