"""Makes the sound font that comes in the package from a large one: a program of each family, few keys, short loops.

    python tools/make_soundfont.py FluidR3_GM.sf2 -o aoide/voices/general-midi-24k

FluidR3_GM.sf2 (MIT) comes with the Debian package fluid-soundfont-gm. Each key is played by `aoide.audio.sampler` at
44.1 kHz, left channel, and brought to 24 kHz. Of a tone that holds, the loop is where the sound before its end is most
like that before its start, and the two are crossfaded. A tone that dies away is first made level, and told to die away
as fast again: so it can be looped too. Pitch is measured and put right.
"""

from __future__ import annotations

import argparse
import json
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import soundfile

from aoide.audio.font import FILE, SAMPLES, Description, Tone
from aoide.audio.resample import resample
from aoide.audio.sampler import FULL, Note, play
from aoide.audio.sf2 import SoundFont2
from aoide.config import to_dict
from aoide.generate.packed import sum_of
from aoide.version import __version__

RATE = 24_000
GUARD = 6  # samples beyond a loop, for the interpolation
STEP = 8  # of 16 bits: 13 are kept
VELOCITY = 100


@dataclass(frozen=True)
class Plan:
    """How a program is taken."""

    name: str
    keys: tuple[int, ...]  # that are recorded
    seconds: float = 1.1  # of each
    dies: bool = False  # by itself
    fade: float = 0.06  # seconds of crossfade
    partials: int = 5  # that tell its pitch; 0: it has none


PLAN = {
    0: Plan("piano", (29, 36, 43, 50, 57, 64, 71, 78, 86, 96), 1.6, dies=True),
    9: Plan("glockenspiel", (72, 79, 86, 93, 100), 1.2, dies=True, partials=1),
    11: Plan("vibraphone", (50, 57, 64, 71, 78), 1.2, dies=True, partials=1),
    12: Plan("marimba", (45, 54, 63, 72, 81), 0.9, dies=True, partials=1),
    19: Plan("church organ", (36, 46, 55, 64, 73, 84), 1.2, fade=0.15),
    21: Plan("accordion", (45, 54, 62, 70, 79), 1.1, fade=0.1),
    24: Plan("acoustic guitar", (40, 46, 52, 58, 64, 71, 79), 1.4, dies=True),
    30: Plan("distorted guitar", (40, 48, 56, 64, 72), 1.4, fade=0.1),
    32: Plan("double bass", (28, 35, 42, 49, 57), 1.3, dies=True),
    40: Plan("violin", (55, 61, 67, 74, 81, 89), 1.3, fade=0.1),
    42: Plan("cello", (36, 43, 50, 57, 64, 71), 1.3, fade=0.1),
    46: Plan("harp", (36, 45, 54, 63, 72, 82, 92), 1.4, dies=True),
    48: Plan("strings", (36, 44, 52, 60, 68, 76, 86), 1.7, fade=0.3),
    52: Plan("choir", (43, 51, 59, 67, 75), 1.7, fade=0.3),
    56: Plan("trumpet", (54, 61, 67, 73, 80), 1.1),
    57: Plan("trombone", (40, 47, 54, 61, 68), 1.1),
    60: Plan("french horn", (41, 48, 55, 62, 70), 1.3, fade=0.1),
    65: Plan("saxophone", (50, 57, 63, 70, 78), 1.2),
    71: Plan("clarinet", (50, 57, 64, 72, 81), 1.1),
    73: Plan("flute", (60, 67, 74, 82, 91), 1.2),
    80: Plan("square synthesizer", (45, 57, 69, 81), 0.7),
    89: Plan("synthesizer pad", (40, 52, 64, 76), 1.9, fade=0.3),
    98: Plan("crystal bells", (52, 61, 70, 79), 1.3, dies=True, partials=1),
    104: Plan("sitar", (48, 55, 62, 69), 1.4, dies=True),
    114: Plan("steel drum", (55, 63, 71, 79), 0.9, dies=True, partials=1),
    122: Plan("sea shore", (60,), 3.5, fade=0.5, partials=0),
}
DRUMS = {  # key -> seconds
    36: 0.4, 37: 0.2, 38: 0.4, 39: 0.35, 42: 0.15, 44: 0.15, 46: 0.8, 41: 0.6, 45: 0.6, 48: 0.6, 49: 1.8, 51: 1.2,
    54: 0.35, 56: 0.4, 63: 0.35, 64: 0.5, 70: 0.15, 75: 0.15, 81: 1.0,
}  # fmt: skip
HATS = (42, 44, 46)


def recorded(font: SoundFont2, note: Note, seconds: float) -> np.ndarray:
    """The left channel at RATE from its beginning on: (samples,) of `seconds`."""
    sound = resample(play(font, [note], seconds + 0.2)[:, 0], font.sample_rate, RATE)
    loud = np.abs(sound) > 0.003 * np.abs(sound).max()
    begin = max(0, int(np.argmax(loud)) - round(0.002 * RATE))
    sound = sound[begin : begin + round(seconds * RATE)].copy()
    rise = min(len(sound), round(0.001 * RATE))
    sound[:rise] *= np.linspace(0, 1, rise)
    return sound


def level(sound: np.ndarray) -> tuple[np.ndarray, float]:
    """A tone that dies away, without doing so; and the seconds in which it falls by 100 dB."""
    step = round(0.05 * RATE)
    rows = sound[: len(sound) // step * step].reshape(-1, step)
    decibels = 10 * np.log10(np.maximum((rows**2).mean(1), 1e-14))
    time = (np.arange(len(decibels)) + 0.5) * step / RATE
    later = time > 0.35 * time[-1]
    slope = min(-4.0, np.polyfit(time[later], decibels[later], 1)[0])
    # A tone that falls below hearing is not lifted out of the noise.
    slope = max(slope, -60.0 / time[-1])
    return sound * 10 ** (-slope * np.arange(len(sound)) / RATE / 20), -100 / slope


def looped(sound: np.ndarray, plan: Plan) -> tuple[np.ndarray, tuple[float, float]]:
    """The tone with the end crossfaded to what is before the loop's start, and the loop."""
    fade = round(plan.fade * RATE)
    end = len(sound) - GUARD
    window = max(fade, round(0.04 * RATE))
    pattern = sound[end - window : end]
    first, last = window + round(0.15 * RATE), end - max(window, round(0.25 * RATE))
    near = sound[first - window : last]
    size = 1 << (len(near) + window - 1).bit_length()
    product = np.fft.irfft(np.fft.rfft(near, size) * np.conj(np.fft.rfft(pattern, size)), size)[: last - first]
    energy = np.concatenate([[0], np.cumsum(near.astype(np.float64) ** 2)])
    power = energy[window : window + len(product)] - energy[: len(product)]
    likeness = product / np.sqrt(power * (pattern.astype(np.float64) ** 2).sum() + 1e-12)
    best = int(np.argmax(likeness))
    start, alike = first + best, float(np.clip(likeness[best], 0, 1))
    rising = np.linspace(0, 1, fade)
    norm = np.sqrt(rising**2 + (1 - rising) ** 2 + 2 * rising * (1 - rising) * alike)
    mixed = ((1 - rising) * sound[end - fade : end] + rising * sound[start - fade : start]) / norm
    made = np.concatenate([sound[: end - fade], mixed, sound[start : start + GUARD]])
    return made, (float(start), float(end))


def off(sound: np.ndarray, key: int, partials: int) -> float:
    """How many semitones the tone is above its key."""
    if partials == 0:
        return 0.0
    part = sound[round(0.1 * RATE) :]
    size = 1 << 19
    spectrum = np.abs(np.fft.rfft(part * np.hanning(len(part)), size))
    cents = np.arange(-70, 71, 0.5)
    f0 = 440 * 2 ** ((key - 69 + cents / 100) / 12)
    heights = [
        spectrum[np.round(f0 * number * size / RATE).astype(int)]
        for number in range(1, partials + 1)
        if f0[-1] * number < RATE / 2
    ]
    found = sum(height / (height.max() + 1e-9) * height.max() ** 0.5 for height in heights)
    return float(cents[int(np.argmax(found))]) / 100


def tones(font: SoundFont2, program: int, plan: Plan) -> list[tuple[np.ndarray, Tone]]:
    """What a program becomes: tones and what they are for, without their places."""
    zones = font.zones(program, False)
    release = min(zone.envelope.release for zone in zones)
    found = []
    for number, key in enumerate(plan.keys):
        sound = recorded(font, Note(0, plan.seconds + 1, key, VELOCITY, program), plan.seconds)
        decay = 0.0
        semitones = off(sound, key, plan.partials)
        if plan.dies:
            sound, decay = level(sound)
        sound, loop = looped(sound, plan)
        low = 0 if number == 0 else (plan.keys[number - 1] + key) // 2 + 1
        high = 127 if key == plan.keys[-1] else (key + plan.keys[number + 1]) // 2
        tone = Tone(
            program=program, samples=(0, 0), root=round(key + semitones, 3), keys=(low, high), gain=1.0, loop=loop,
            decay=round(decay, 3), release=round(float(np.clip(release, 0.1, 4.0)), 3),
        )  # fmt: skip
        found.append((sound, tone))
    return found


def drums(font: SoundFont2) -> list[tuple[np.ndarray, Tone]]:
    """The kit."""
    found, keys = [], sorted(DRUMS)
    for key in keys:
        sound = recorded(font, Note(0, 4, key, VELOCITY, 0, drums=True), DRUMS[key])
        fade = len(sound) // 4
        sound[-fade:] *= np.cos(np.linspace(0, np.pi / 2, fade))
        tone = Tone(
            program=0, drums=True, samples=(0, 0), root=float(key), keys=(key, key), gain=1.0,
            choke=1 if key in HATS else 0, release=4.0 if key not in HATS else 0.3,
        )  # fmt: skip
        found.append((sound, tone))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("font", type=Path, help="FluidR3_GM.sf2")
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args()
    font = SoundFont2(options.font)
    found = [tone for program, plan in PLAN.items() for tone in tones(font, program, plan)] + drums(font)
    pieces, placed, here = [], [], 0
    for sound, tone in found:
        peak = float(np.abs(sound).max())
        whole = np.round(sound / peak * (32767 // STEP - 1)) * STEP
        pieces.append(whole.astype(np.int16))
        gain = peak / ((VELOCITY / 127) ** 2 * FULL)
        placed.append(replace(tone, samples=(here, here + len(whole)), gain=round(gain, 5)))
        here += len(whole)
    options.output.mkdir(exist_ok=True)
    aside = options.output / f".part-{SAMPLES}"
    soundfile.write(aside, np.concatenate(pieces), RATE, format="FLAC", subtype="PCM_16")
    shutil.move(aside, options.output / SAMPLES)
    about = Description(
        name=options.output.name,
        summary=f"Sound font: {len(PLAN)} instruments of all families of General MIDI and a drum kit.",
        licence="MIT",
        sha256={SAMPLES: sum_of(options.output / SAMPLES)},
        aoide=__version__,
        sample_rate=RATE,
        names={str(program): plan.name for program, plan in PLAN.items()},
        tones=placed,
    )
    (options.output / FILE).write_text(json.dumps(to_dict(about), ensure_ascii=False) + "\n", "utf-8")
    size = (options.output / SAMPLES).stat().st_size
    print(f"{len(placed)} tones, {here / RATE:.0f} s, {size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
