"""The part `songflow` of benchmarks/described.py: does a model of songs make what it is told, stem by stem?

    python benchmarks/described_songflow.py --work build/songflow            trains some minutes on one core, then asks
    python benchmarks/described_songflow.py --work build/songflow --run runs/songflow-toy      asks a trained one

A model is trained by its recipe (recipes/ttm/songflow-toy.yaml) on songs made by rule, and asked for songs that it has
not seen: key and tempo by the style, vowels and their times by the lyrics. What it makes becomes sound without any
network, and each stem is judged:

    sung      where a word stands, the voice is there                                        chance 1/2
    silent    where none stands, between the lines and around them, it is not                chance 1/2
    vowel     the word's vowel, by the nearest mean of other songs                           chance 1/5
    key       of the accompaniment, by how much of its sound lies on the notes of each key   chance 1/3
    tempo     of the accompaniment, by how much its beginnings repeat at each tempo          chance 1/3

Each must be above chance by three standard deviations of a coin thrown as often (`bound`, fixed here, before any run).
Beside them stand the same figures of recorded songs, brought to mels and back (what can be reached), and of songs made
with nothing told: their vowels, keys and tempos must be below the bound, or the judge is no judge. (Of `sung` and
`silent` one gains what the other loses where a voice sings more, or less, than half of the time.)
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from aoide.audio.griffin_lim import sound_of
from aoide.audio.mel_config import MelConfig
from aoide.audio.spectrum import log_mel
from aoide.data.corpora import toy_songs
from aoide.data.corpora.toy_songs import KEYS, SAMPLE_RATE, SECONDS, TEMPOS, VOWELS, Plan

RECIPE = Path(__file__).resolve().parents[1] / "recipes" / "ttm" / "songflow-toy.yaml"
ASKED, HEARD = 100_000, 200_000  # numbers of the first song that is asked for, and of the first that the judge knows
SONGS, KNOWN = 60, 40  # of each
STEPS, GUIDANCE = 16, 2.0  # of the sampler
CHANCE = {"sung": 1 / 2, "silent": 1 / 2, "vowel": 1 / 5, "key": 1 / 3, "tempo": 1 / 3}
AIM = 0.9
LEVEL = 0.05  # root mean square above which a voice is there; a word has 0.25
REST = 0.4  # seconds of a silence that is judged
EDGE = 0.12  # seconds at the ends of words and silences that are not judged
COEFFICIENTS = slice(1, 16)  # of the cosine transform of a mel: its form, not its level, not its harmonics
Votes = dict[str, list[bool]]


def bound(what: str, count: int) -> float:
    """The share of right answers that is above chance by three standard deviations."""
    chance = CHANCE[what]
    return chance + 3 * math.sqrt(chance * (1 - chance) / max(1, count))


# ------------------------------------------------------------------------------------------------------------ the judge


class Judge:
    """Knows vowels by other songs of the corpus; key and tempo by rule.

    Args:
        mel: of the stems, in which songs are told to it.
    """

    def __init__(self, mel: MelConfig) -> None:
        self.mel = mel
        rows: dict[str, list[np.ndarray]] = {word: [] for word in VOWELS}
        for number in range(HEARD, HEARD + KNOWN):
            song = toy_songs.plan(number)
            sound = through(toy_songs.voice(song), mel)
            for word, start, end in song.words:
                rows[word].append(self._form(sound, start, end))
        self._means = np.stack([np.mean(found, axis=0) for found in rows.values()])
        inside = np.concatenate([np.stack(found) - np.mean(found, axis=0) for found in rows.values()])
        self._spread = inside.std(axis=0)

    def votes(self, song: Plan, voice: np.ndarray, accompaniment: np.ndarray) -> Votes:
        """What is right in a song: a list of answers for each question."""
        found: Votes = {what: [] for what in CHANCE}
        for word, start, end in song.words:
            found["sung"].append(_level(voice, start, end) > LEVEL)
            found["vowel"].append(self.vowel(voice, start, end) == word)
        edges = [0.0, *(time for _, start, end in song.words for time in (start, end)), SECONDS]
        rests = [(a, b) for a, b in zip(edges[::2], edges[1::2], strict=True) if b - a >= REST]
        found["silent"] = [_level(voice, a, b) < LEVEL for a, b in rests]
        found["key"] = [self.key(accompaniment) == song.key]
        found["tempo"] = [self.tempo(accompaniment) == song.tempo]
        return found

    def vowel(self, voice: np.ndarray, start: float, end: float) -> str:
        """The vowel whose mean form is nearest, in units of how much songs differ."""
        off = ((self._form(voice, start, end) - self._means) / self._spread) ** 2
        return list(VOWELS)[int(off.sum(1).argmin())]

    def key(self, sound: np.ndarray) -> str:
        """The key whose notes hold the largest share of the sound, from C3 to B5."""
        size = 4096
        pieces = np.lib.stride_tricks.sliding_window_view(sound, size)[:: size // 2] * np.hanning(size)
        power = (np.abs(np.fft.rfft(pieces)) ** 2).sum(0)
        notes = np.arange(48, 84)
        bins = np.rint(440 * 2 ** ((notes - 69) / 12) * size / SAMPLE_RATE).astype(int)
        chroma = np.zeros(12)
        np.add.at(chroma, notes % 12, np.sqrt(power[bins - 1] + power[bins] + power[bins + 1]))
        share = {key: sum(chroma[(first + step) % 12] for step in toy_songs.SCALE) for key, first in KEYS.items()}
        return max(share, key=lambda key: share[key])

    def tempo(self, sound: np.ndarray) -> int:
        """The tempo at whose beats what begins repeats best."""
        hop = SAMPLE_RATE // 100
        level = np.log(1e-3 + np.sqrt((sound[: len(sound) // hop * hop].reshape(-1, hop) ** 2).mean(1)))
        rising = np.diff(np.convolve(level, np.hanning(9) / 4, "same")).clip(0)
        rising = rising - rising.mean()
        fits = {}
        for tempo in TEMPOS:
            lags = [round(100 * 60 / tempo * beats) for beats in (1, 2, 3)]
            fits[tempo] = sum(max(self._repeats(rising, lag + off) for off in (-1, 0, 1)) for lag in lags)
        return max(fits, key=lambda tempo: fits[tempo])

    @staticmethod
    def _repeats(rising: np.ndarray, lag: int) -> float:
        return float((rising[lag:] * rising[:-lag]).mean() / max(1e-12, (rising**2).mean()))

    def _form(self, sound: np.ndarray, start: float, end: float) -> np.ndarray:
        """The form of a spectrum: some coefficients of the cosine transform of its mean mel."""
        first, last = (round(time * self.mel.frame_rate) for time in (start + EDGE, end - EDGE / 2))
        row = log_mel(sound.astype(np.float32), self.mel)[first : max(last, first + 1)].mean(0)
        number = np.arange(self.mel.n_mels)
        cosines = np.cos(np.pi * np.outer(np.arange(COEFFICIENTS.stop), number + 0.5) / self.mel.n_mels)
        return (cosines @ row)[COEFFICIENTS]


def through(sound: np.ndarray, mel: MelConfig) -> np.ndarray:
    """A sound to its mel and back."""
    return sound_of(log_mel(sound, mel).astype(np.float64), mel)


def _level(sound: np.ndarray, start: float, end: float) -> float:
    part = sound[round((start + EDGE) * SAMPLE_RATE) : round((end - EDGE) * SAMPLE_RATE)]
    return float(np.sqrt(np.mean(part**2))) if len(part) else 0.0


# ------------------------------------------------------------------------------------------------------------ the model


def train(work: Path, steps: int | None, songs: int) -> Path:
    """Makes the corpus and trains by the recipe; goes on where it was."""
    from aoide import cli

    data, folder = work / "songs", work / "run"
    if not (data / "summary.json").is_file():
        assert cli.main(["prepare", "toy_songs", "-o", str(data), "--songs", str(songs)]) == 0
    more = [] if steps is None else ["--steps", str(steps)]
    assert cli.main(["train", str(RECIPE), f"data.manifest={data}", "--run", str(folder), *more]) == 0
    return folder


def ask(model: Any, songs: Sequence[Plan], told: bool, together: int = 20) -> list[list[np.ndarray]]:
    """What it makes of the prompts of some songs, or with nothing told: the sound of each stem."""
    import torch

    from aoide.generate.songflow import SongFlow
    from aoide.text.song_grid import House, grid, style_code

    config, made = model.config, []
    frames = round(SECONDS * config.frame_rate)
    symbols, tool = House("en"), SongFlow(model)
    for first in range(0, len(songs), together):
        part = songs[first : first + together]
        lyric = np.stack([grid(song.script, frames, config.frame_rate, symbols) for song in part])
        style = np.stack([style_code(song.style, config.style_dim) for song in part])
        if not told:
            lyric, style = np.zeros_like(lyric), np.zeros_like(style)
        latents = model.compose(
            torch.from_numpy(lyric),
            torch.from_numpy(style),
            steps=STEPS,
            guidance=GUIDANCE if told else 0.0,
            generator=torch.Generator().manual_seed(first),
        )
        made += [[sound.numpy() for name, sound in tool.decode(row).items() if name != "mix"] for row in latents]
    return made


def shares(judge: Judge, songs: Sequence[Plan], sounds: Sequence[Sequence[np.ndarray]]) -> dict[str, dict[str, float]]:
    """Of each question: the share of right answers, of how many, and the bound."""
    every: Votes = {what: [] for what in CHANCE}
    for song, (voice, accompaniment) in zip(songs, sounds, strict=True):
        for what, answers in judge.votes(song, voice, accompaniment).items():
            every[what] += answers
    return {
        what: {
            "right": round(float(np.mean(answers)), 4),
            "of": len(answers),
            "must": round(bound(what, len(answers)), 4),
        }
        for what, answers in every.items()
    }


def run(work: Path, folder: Path | None = None, steps: int | None = None, songs: int = 500) -> dict[str, Any]:
    """The figures; without a run's `folder` one is trained in `work` first."""
    import aoide

    work.mkdir(parents=True, exist_ok=True)
    model = aoide.load("ttm/songflow", str(folder or train(work, steps, songs))).eval()
    judge = Judge(model.config.stem_mel)
    asked = [toy_songs.plan(number) for number in range(ASKED, ASKED + SONGS)]
    mel = model.config.stem_mel
    recorded = [[through(toy_songs.voice(song), mel), through(toy_songs.accompaniment(song), mel)] for song in asked]
    result = {
        "made": shares(judge, asked, ask(model, asked, told=True)),
        "recorded": shares(judge, asked, recorded),
        "nothing told": shares(judge, asked, ask(model, asked, told=False)),
    }
    return {**result, "parameters": sum(p.numel() for p in model.parameters()), "songs": SONGS, "aim": AIM}


def good(result: dict[str, Any]) -> bool:
    """Whether all that must be reached is, and not with nothing told."""
    guessed = (result["nothing told"][what] for what in ("vowel", "key", "tempo"))
    reached = all(of["right"] >= of["must"] for of in result["made"].values())
    return reached and all(of["right"] < of["must"] for of in guessed)


def show(result: dict[str, Any]) -> None:
    """The table on the screen."""
    print(f"| stem-wise, {result['songs']} songs | made | must | of | recorded songs | nothing told |")
    print("|---|---|---|---|---|---|")
    for what, of in result["made"].items():
        beside = (result[name][what]["right"] for name in ("recorded", "nothing told"))
        print(
            f"| {what} | {of['right']:.3f} | {of['must']:.3f} | {of['of']} | "
            + " | ".join(f"{x:.3f}" for x in beside)
            + " |"
        )
    reached = sum(of["right"] >= AIM for of in result["made"].values())
    said = "reached" if good(result) else "NOT REACHED"
    print(f"{said}: above chance by three deviations, but not with nothing told; {reached} of 5 reach {AIM:.0%}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, metavar="DIR", help="where corpus and run go")
    parser.add_argument("--run", type=Path, metavar="DIR", help="a trained run, which then is only asked")
    parser.add_argument("--steps", type=int, metavar="N", help="of the training (default: as the recipe says)")
    parser.add_argument("--songs", type=int, default=500, metavar="N", help="of the corpus (default: 500)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    options = parser.parse_args()
    result = run(options.work, options.run, options.steps, options.songs)
    show(result)
    if options.json is not None:
        options.json.write_text(json.dumps(result, indent=1) + "\n", "utf-8")
    return 0 if good(result) else 1


if __name__ == "__main__":
    raise SystemExit(main())
