"""Makes the model of described sounds that comes in the package, sounds-24k, from nothing.

    apt-get download openttd-opensfx; dpkg -x openttd-opensfx*.deb opensfx
    npm pack supersonic-scsynth-samples; mkdir samples; tar xzf supersonic-*.tgz -C samples
    python tools/make_sound_model.py world opensfx samples -o data/sounds
    aoide extract recipes/tta/sounds-24k.yaml
    aoide train recipes/tta/sounds-24k.yaml
    python tools/make_sound_model.py phrases data/sounds -o data/sounds/phrases
    aoide train recipes/tta/sounds-24k.yaml --from runs/sounds-24k --run runs/sounds-24k-phrases \
        data.manifest=data/sounds/phrases objective.shift=16 loop.steps=2600 optimiser.lr=1.3e-3
    python tools/make_sound_model.py export runs/sounds-24k-phrases --world data/sounds -o sounds-24k

`world` plays 5,000 clips with the sound font of the package (`aoide prepare general_midi`), and takes each effect of
OpenSFX and each sample of Sonic Pi a few times: at another level and a little later, long ones from another place on,
short ones also twice or three times. It goes on where it stopped. `phrases` is all of it that rises or falls, and three
tenths of the rest: whether a phrase rises is little of what there is to learn of a sound, and is learned last.
Benchmark: python benchmarks/described.py
"""

from __future__ import annotations

import argparse
import sys
import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from aoide.audio import io
from aoide.audio.sound import Sound
from aoide.config import write_aside
from aoide.data import manifest
from aoide.data.clips import Clip, Limits, Refused, check
from aoide.data.corpora import general_midi, opensfx, sonic_pi
from aoide.data.corpora._phrases import GROOVES, INSTRUMENTS, SECONDS

RATE = 24_000
TAKES = 4  # of each effect
SHORT = 0.9  # seconds; what is shorter is also heard twice or three times
TIMES = {1: "", 2: " twice", 3: " three times"}
DRUMS = [f"a {groove} drum beat" for groove in GROOVES]
REST = 30  # percent of what neither rises nor falls, in the manifest of phrases
WAYS = ("{}", "{}", "the sound of {}", "{} can be heard")


def effects(folders: list[Path], output: Path) -> Iterator[Clip]:
    """TAKES of every effect, written to output/effects."""
    (output / "effects").mkdir(exist_ok=True, parents=True)
    found = [*opensfx.clips(folders[0], output=output / "opensfx"), *sonic_pi.clips(folders[1])]
    for clip in found:
        if isinstance(clip, Refused) or (clip.text or "").startswith("Unused"):
            continue
        sound = Sound.load(clip.audio).mono().resample(RATE).samples
        captions = clip.more.get("captions") or [clip.text]
        for take in range(TAKES):
            random = np.random.default_rng([zlib.crc32(clip.audio.stem.encode()), take])
            times = int(random.integers(1, 4)) if take and len(sound) < SHORT * RATE else 1
            name = f"{'sfx-' if clip.audio.suffix == '.wav' else ''}{clip.audio.stem}-{take}"
            path = output / "effects" / f"{name}.flac"
            if not path.is_file():
                io.write(path, Sound(taken(sound, times, take, random), RATE))
            said = [way.format(text) + TIMES[times] for text in captions for way in WAYS]
            yield Clip(id=name, audio=path, text=said[0], caption=True, more={"captions": said, "kind": "effect"})


def taken(sound: np.ndarray, times: int, take: int, random: np.random.Generator) -> np.ndarray:
    """An effect as it is heard in a clip: (samples,) of SECONDS."""
    whole = np.zeros(round(SECONDS * RATE), np.float32)
    peak = random.uniform(0.3, 0.8) / max(1e-4, float(np.abs(sound).max()))
    begin = round((random.uniform(0, 0.1) if take else 0.0) * RATE)
    if len(sound) > 1.5 * len(whole) and take:
        sound = sound[int(random.integers(len(sound) - len(whole))) :]
    gap = max(len(sound), round(random.uniform(0.3, 0.7) * RATE))
    for turn in range(times):
        start = begin + turn * gap
        part = sound[: max(0, len(whole) - start)]
        whole[start : start + len(part)] += peak * part
    whole[-1200:] *= np.linspace(1, 0, 1200, dtype=np.float32)
    return whole


def world(options: argparse.Namespace) -> None:
    """Plays what is missing, and writes the manifest."""
    output: Path = options.output
    general_midi.make(output, print, clips=options.clips)
    notes = (clip for clip in general_midi.clips(output, clips=options.clips) if isinstance(clip, Clip))
    refused = 0
    with manifest.writing(output) as writer:
        for clip in (*notes, *effects([options.opensfx, options.samples], output)):
            checked = check(clip, Limits())
            if isinstance(checked, Refused):
                refused += 1
                continue
            writer.add(replace(checked[0], speaker=""))
    with write_aside(output / "summary.json") as aside:
        aside.write_text("{}\n", "utf-8")
    print(f"{output}: written, {refused} clips left out")


def export(options: argparse.Namespace) -> None:
    """Writes the folder of the trained model; its card's figures are those of the benchmark, written in by hand."""
    from aoide.generate.pack_described import About, export_described
    from aoide.train.checkpoint import load_model

    _, model, _ = load_model(options.run)
    world = manifest.Manifest(options.world)
    clips = [world[number] for number in range(len(world))]
    told = [text for clip in clips for text in clip.more["captions"]]
    of_effects = [clip.more["captions"][0] for clip in clips if clip.id.endswith("-0")]  # the plain takes
    about = About(
        name=options.output.name,
        licence="CC-BY-SA-3.0",
        told=told,
        things=[*(name for of in INSTRUMENTS.values() for name in of.names), *DRUMS, *of_effects],
        summary="Notes, scales, chords, beats of 25 instruments and drums, and 250 effects, from captions; no torch.",
        guidance=options.guidance,
    )
    export_described(model, options.output, about)
    print(f"{options.output}: {sum(path.stat().st_size for path in options.output.iterdir()) / 1e6:.1f} MB")


def phrases(options: argparse.Namespace) -> None:
    """The part of the corpus that rises or falls, and some of the rest, as a manifest of its own."""
    kept, world = 0, manifest.Manifest(options.world)
    options.output.mkdir(parents=True, exist_ok=True)
    with manifest.writing(options.output) as writer:
        for clip in (world[number] for number in range(len(world))):
            moves = clip.more.get("direction") in ("rising", "falling")
            if moves or zlib.crc32(clip.id.encode()) % 100 < REST:
                writer.add(clip)
                kept += 1
    print(f"{options.output}: {kept} clips")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    steps = parser.add_subparsers(required=True)
    first = steps.add_parser("world", help="plays and gathers the corpus")
    first.add_argument("opensfx", type=Path, help="a folder with opensfx.cat")
    first.add_argument("samples", type=Path, help="a folder with the samples of Sonic Pi")
    first.add_argument("--clips", type=int, default=5000, help="that the sound font plays")
    first.add_argument("-o", "--output", type=Path, required=True)
    first.set_defaults(call=world)
    between = steps.add_parser("phrases", help="the part of it that rises or falls, and some of the rest")
    between.add_argument("world", type=Path, help="the corpus")
    between.add_argument("-o", "--output", type=Path, required=True)
    between.set_defaults(call=phrases)
    second = steps.add_parser("export", help="writes the folder that works without torch")
    second.add_argument("run", type=Path)
    second.add_argument("--world", type=Path, required=True, help="the corpus it was trained on, for what it knows")
    second.add_argument("-o", "--output", type=Path, required=True)
    second.add_argument("--guidance", type=float, default=3.0, help="where nobody says otherwise")
    second.set_defaults(call=export)
    options = parser.parse_args()
    options.call(options)
    return 0


if __name__ == "__main__":
    sys.exit(main())
