"""What does `aoide prepare wild` find in a long recording of which everything is known? In one run.

    python benchmarks/wild.py --prompts ROOT --whisper FOLDER [--music DIR] [--voices DIR] [--minutes 10]

A recording of some minutes is made of real speech: the English prompts of Asterisk (Debian packages
asterisk-core-sounds-en and -g722, unpacked in ROOT), in paragraphs, with pauses of 0.3 to 1.2 s between prompts and of
3 to 6 s between paragraphs. A paragraph is clean (noise 40 dB below the speech), noisy (15 dB), drowned (0 dB) or over
music (6 dB below); between them lie silence, noise and music alone. It is stored as 44.1 kHz stereo FLAC and goes
through the command as a user's file would. Then, against what is known:

- the share of the speech that the detector found, and of what is no speech that it took for speech
- the share that is kept in clips, by condition, and what was refused by which rule
- the word error rate of the transcripts of the clips that are kept, and of those that are refused
- processor seconds per second of sound, and the highest memory

With --voices, a folder in which every sub-folder holds recordings of one speaker, also: each speaker alone, each two,
all but one and all together, who take turns of one to three prompts, told apart as --diarise does; the share of the
speech that gets the right speaker (labels matched one to one), and whether their number is right.

Prints a table and writes benchmarks/results/wild_<machine>_<date>.json.
"""

import argparse
import datetime
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment
from voice import commit, machine

from aoide import metrics
from aoide.audio import io, vad
from aoide.audio.resample import resample
from aoide.audio.sound import Sound
from aoide.data.clips import Clip
from aoide.data.corpora import asterisk, wild
from aoide.data.wild import RATE as WILD_RATE
from aoide.data.wild import Span, cut, diarise, judge, pipeline
from aoide.data.wild.judge import Piece

HERE = Path(__file__).resolve().parent
RATE = 44100
CONDITIONS = {"clean": (40.0, None), "noisy": (15.0, None), "drowned": (0.0, None), "music": (40.0, 6.0)}
ORDER = ("clean", "clean", "noisy", "music", "clean", "drowned")
GAPS = ("silence", "noise", "music")
PARAGRAPH = 25.0  # seconds of speech
LEVEL = 0.05  # root mean square of the speech, -26 dBFS
OVERLAP = 0.3  # seconds of a prompt that are more than the edge of a clip
TRIM = 0.02  # of a prompt's peak: what is quieter at its ends is no speech


@dataclass(frozen=True)
class Said:
    """A prompt in the recording."""

    start: float  # seconds
    end: float
    text: str
    condition: str


def prompts(root: Path, random: np.random.Generator) -> Iterator[tuple[np.ndarray, str]]:
    """(samples, text) of the prompts of three words and more, in an order of their own, without silence at the ends."""
    found = [c for c in asterisk.clips(root) if isinstance(c, Clip) and c.text and len(c.text.split()) >= 3]
    for number in random.permutation(len(found)):
        samples = io.read(found[number].audio).mono().resample(RATE).samples
        loud = np.flatnonzero(np.abs(samples) > TRIM * np.abs(samples).max())
        samples = samples[loud[0] : loud[-1] + 1]
        yield samples * np.float32(LEVEL / np.sqrt(np.mean(samples**2))), found[number].text or ""


def paragraphs(root: Path, random: np.random.Generator) -> Iterator[tuple[np.ndarray, list[tuple[float, float, str]]]]:
    """(samples, [(start, end, text)]) of some prompts with short pauses between them."""
    pieces: list[np.ndarray] = []
    said: list[tuple[float, float, str]] = []
    at = 0
    for samples, text in prompts(root, random):
        said.append((at / RATE, (at + len(samples)) / RATE, text))
        pause = np.zeros(round(random.uniform(0.3, 1.2) * RATE), np.float32)
        pieces += [samples, pause]
        at += len(samples) + len(pause)
        if at >= PARAGRAPH * RATE:
            yield np.concatenate(pieces), said
            pieces, said, at = [], [], 0


class Band:
    """Music to lay under speech and between it: files of a folder, one after the other, at a known level."""

    def __init__(self, folder: Path | None) -> None:
        paths = sorted(folder.glob("*.flac")) if folder else []
        found = [io.read(path).mono().resample(RATE).samples for path in paths]
        found = [samples for samples in found if len(samples) and np.abs(samples).max() > 0.01]
        self._music = np.concatenate(found) if found else None
        self._at = 0

    def play(self, samples: int, level: float) -> np.ndarray | None:
        """So many samples at a root mean square of `level`; None: there is no music."""
        if self._music is None:
            return None
        heard = np.take(self._music, range(self._at, self._at + samples), mode="wrap")
        self._at += samples
        return heard * np.float32(level / max(1e-4, float(np.sqrt(np.mean(heard**2)))))


def noise(samples: int, level: float, random: np.random.Generator) -> np.ndarray:
    """Pink noise at a root mean square of `level`."""
    spectrum = np.fft.rfft(random.standard_normal(samples))
    spectrum[1:] /= np.sqrt(np.arange(1, len(spectrum)))
    spectrum[0] = 0
    found = np.fft.irfft(spectrum, samples)
    return (found * (level / np.sqrt(np.mean(found**2)))).astype(np.float32)


def recording(root: Path, music: Path | None, minutes: float) -> tuple[np.ndarray, list[Said]]:
    """(samples, 2) and what is said in it; the same for the same prompts and music."""
    random, band = np.random.default_rng(0), Band(music)
    parts: list[np.ndarray] = []
    said: list[Said] = []
    at = 0
    for number, (speech, texts) in enumerate(paragraphs(root, random)):
        condition = ORDER[number % len(ORDER)]
        below, under = CONDITIONS[condition]
        mixed = speech + noise(len(speech), LEVEL * 10 ** (-below / 20), random)
        if under is not None:
            played = band.play(len(speech), LEVEL * 10 ** (-under / 20))
            condition = condition if played is not None else "clean"
            mixed = mixed if played is None else mixed + played
        said += [Said(at / RATE + start, at / RATE + end, text, condition) for start, end, text in texts]
        gap = GAPS[number % len(GAPS)]
        size = round(random.uniform(3.0, 6.0) * RATE) * (3 if gap == "music" else 1)
        quiet = np.zeros(size, np.float32)
        filled = (
            band.play(size, LEVEL) if gap == "music" else noise(size, LEVEL / 30, random) if gap == "noise" else quiet
        )
        parts += [mixed, quiet if filled is None else filled]
        at += len(parts[-2]) + size
        if at >= minutes * 60 * RATE:
            break
    mono = np.concatenate(parts)
    echo = 0.9 * np.concatenate([np.zeros(20, np.float32), mono[:-20]])  # the other channel hears it a little later
    return np.clip(np.stack([mono, echo], axis=1), -1, 1), said


# ------------------------------------------------------------------------------------------------------------ measuring


def covered(stretches: list[tuple[float, float]], start: float, end: float) -> float:
    """Seconds between two that lie in stretches which are apart."""
    return sum(max(0.0, min(end, b) - max(start, a)) for a, b in stretches)


def texts(pieces: list[tuple[Piece, bool]], said: list[Said], kept: bool) -> tuple[list[str], list[str]]:
    """(what is said, what was written down) in the clips that are kept, or in those that are refused.

    Clips that share a prompt, because it was cut in two, are compared as one; where one of them is kept and the other
    is not they are left out of both.
    """
    found: list[tuple[str, str, set[bool]]] = []
    last: Said | None = None
    for piece, good in pieces:
        heard = [s for s in said if min(s.end, piece.end) - max(s.start, piece.start) > OVERLAP]
        if found and heard and heard[0] is last:
            before, text, kinds = found.pop()
            found.append((" ".join([before, *(s.text for s in heard[1:])]), f"{text} {piece.text}", kinds | {good}))
        else:
            found.append((" ".join(s.text for s in heard), piece.text, {good}))
        last = heard[-1] if heard else last
    own = [(spoken, text) for spoken, text, kinds in found if kinds == {kept} and spoken]
    return [spoken for spoken, _ in own], [text for _, text in own]


def shares(said: list[Said], kept: list[Piece]) -> dict[str, float]:
    """The share of the speech that is in clips, by condition."""
    stretches = [(p.start, p.end) for p in kept]
    found: dict[str, float] = {}
    for condition in sorted({s.condition for s in said}):
        own = [s for s in said if s.condition == condition]
        found[condition] = sum(covered(stretches, s.start, s.end) for s in own) / sum(s.end - s.start for s in own)
    return found


def measure(out: Path, root: Path, said: list[Said], seconds: float) -> dict[str, Any]:
    """The figures of a prepared folder with one recording."""
    [name] = wild.recordings(root, out)
    record = pipeline.Record.read(pipeline.place_of(out, name))
    assert record is not None
    [verdicts] = judge.judge([record.pieces], judge.Config())
    pairs = list(zip(record.pieces, verdicts, strict=True))
    kept = [piece for piece, verdict in pairs if verdict is None]
    judged = [(piece, verdict is None) for piece, verdict in pairs]
    everywhere = [(p.start, p.end) for p in record.pieces]
    speech = sum(s.end - s.start for s in said)
    inside = sum(covered(everywhere, s.start, s.end) for s in said)
    # pauses of up to two seconds belong to a clip; what is further from any prompt does not
    near = merged([(s.start - 1.0, s.end + 1.0) for s in said])
    total = sum(end - start for start, end in everywhere)
    astray = total - sum(covered(near, start, end) for start, end in everywhere)
    by_rule: dict[str, dict[str, float]] = {}
    for piece, verdict in pairs:
        if verdict is not None:
            sums = by_rule.setdefault(verdict.rule, {"clips": 0, "seconds": 0.0})
            sums["clips"] += 1
            sums["seconds"] = round(sums["seconds"] + piece.seconds, 2)
    scores = [piece.dnsmos for piece in kept if piece.dnsmos is not None]
    return {
        "seconds": round(seconds, 1),
        "seconds_of_speech": round(speech, 1),
        "speech_found": round(inside / speech, 4),
        "no_speech_taken": round(astray / (seconds - sum(end - start for start, end in near)), 4),
        "clips_kept": len(kept),
        "seconds_kept": round(sum(piece.seconds for piece in kept), 1),
        "speech_kept_by_condition": {k: round(v, 4) for k, v in shares(said, kept).items()},
        "refused": dict(sorted(by_rule.items())),
        "wer_kept": round(metrics.wer(*texts(judged, said, kept=True)), 4),
        "words_kept": sum(len(text.split()) for text in texts(judged, said, kept=True)[0]),
        "wer_refused": round(metrics.wer(*texts(judged, said, kept=False)), 4),
        "words_refused": sum(len(text.split()) for text in texts(judged, said, kept=False)[0]),
        "dnsmos_kept": [round(float(value), 2) for value in (min(scores), np.mean(scores), max(scores))],
        "pieces": [
            asdict(replace(piece, audio=None)) | {"refused": verdict.reason if verdict else ""}
            for piece, verdict in pairs
        ],
    }


def merged(stretches: list[tuple[float, float]]) -> list[tuple[float, float]]:
    found: list[tuple[float, float]] = []
    for start, end in sorted(stretches):
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((start, end))
    return found


# ------------------------------------------------------------------------------------------------------------ diarising


class Told:
    """A recording in memory of speakers who take turns.

    Attributes:
        said: (first sample, behind the last, speaker).
    """

    def __init__(self, speakers: dict[str, list[np.ndarray]], turns: int, random: np.random.Generator) -> None:
        parts = [np.zeros(WILD_RATE, np.float32)]
        self.said: list[tuple[int, int, str]] = []
        at, before = WILD_RATE, ""
        for _ in range(turns):
            before = str(random.choice([name for name in speakers if name != before or len(speakers) == 1]))
            own = speakers[before]
            for number in random.permutation(len(own))[: random.integers(1, 4)]:
                pause = np.zeros(round(random.uniform(0.1, 0.6) * WILD_RATE), np.float32)
                self.said.append((at, at + len(own[number]), before))
                parts += [own[number], pause]
                at += len(own[number]) + len(pause)
        sound = np.concatenate(parts)
        self._sound = (sound + 1e-3 * random.standard_normal(len(sound))).astype(np.float32)
        self.samples = len(sound)

    def read(self, start: int, end: int) -> np.ndarray:
        return self._sound[start:end]

    def share_right(self, turns: list[Span]) -> float:
        """Of the speech that was found, what got its speaker, by the best pairing of labels and speakers."""
        labels, names = (sorted(group) for group in ({t.speaker for t in turns}, {name for *_, name in self.said}))
        together = np.zeros((len(labels), len(names)))
        for turn in turns:
            for start, end, name in self.said:
                both = max(0, min(end, turn.end) - max(start, turn.start))
                together[labels.index(turn.speaker), names.index(name)] += both
        paired = linear_sum_assignment(-together)
        return float(together[paired].sum() / together.sum())


def diarisation(folder: Path) -> dict[str, Any]:
    """How well speakers are told apart, by how many there are."""
    speakers = {path.name: spoken_by(path) for path in sorted(folder.iterdir()) if path.is_dir()}
    names = sorted(speakers)
    groups = [group for size in sorted({1, 2, len(names) - 1, len(names)}) for group in combinations(names, size)]
    plug, detector = diarise.Voices(diarise.Config()), vad.detector("silero")
    found = []
    for seed, group in enumerate(groups):
        told = Told({name: speakers[name] for name in group}, 4 + 2 * len(group), np.random.default_rng(seed))
        heard = resample(told.read(0, told.samples), WILD_RATE, vad.RATE)
        turns = plug.turns(told, cut.spoken(vad.track([heard], detector), told.samples))
        found.append((len(group), len({turn.speaker for turn in turns}), told.share_right(turns)))
    return {
        str(size): {
            "recordings": len(own := [f for f in found if f[0] == size]),
            "number_right": sum(told == size for _, told, _ in own),
            "time_right": round(float(np.mean([right for *_, right in own])), 4),
        }
        for size in sorted({size for size, *_ in found})
    }


def spoken_by(folder: Path) -> list[np.ndarray]:
    """The recordings of one speaker at one loudness."""
    sounds = [io.read(path).mono().resample(WILD_RATE).samples for path in sorted(folder.iterdir())]
    return [sound * np.float32(LEVEL / np.sqrt(np.mean(sound**2))) for sound in sounds if np.abs(sound).max() > 0.01]


def show(figures: dict[str, Any]) -> str:
    lines = [f"{name:28}{value}" for name, value in figures.items() if name != "pieces"]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompts", type=Path, required=True, metavar="ROOT", help="as for aoide prepare asterisk")
    parser.add_argument("--whisper", default="base", help="as for aoide prepare wild")
    parser.add_argument("--music", type=Path, metavar="DIR", help="FLAC files of music")
    parser.add_argument("--voices", type=Path, metavar="DIR", help="folders of recordings, one for each speaker")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--output", type=Path, default=HERE / "results", help="folder of the results file")
    args = parser.parse_args()
    hardware = machine()
    with tempfile.TemporaryDirectory() as place:
        root, out = Path(place) / "wild", Path(place) / "data"
        root.mkdir()
        samples, said = recording(args.prompts, args.music, args.minutes)
        io.write(root / "long.flac", Sound(samples, RATE))
        words = [
            "prepare",
            "wild",
            "--root",
            str(root),
            "-o",
            str(out),
            "--whisper",
            args.whisper,
            "--jobs",
            str(args.jobs),
        ]
        begin = time.perf_counter()
        command = [sys.executable, "-c", "import sys; from aoide.cli import main; sys.exit(main(sys.argv[1:]))", *words]
        subprocess.run(command, check=True)  # by itself, so that its memory is its own
        taken, used = time.perf_counter() - begin, resource.getrusage(resource.RUSAGE_CHILDREN)
        figures = measure(out, root, said, len(samples) / RATE)
        figures["processor_seconds_per_second"] = round((used.ru_utime + used.ru_stime) / figures["seconds"], 3)
        figures["wall_seconds_per_second"] = round(taken / figures["seconds"], 3)
        figures["peak_memory_mb"] = round(used.ru_maxrss / 1024)
    if args.voices:
        figures["diarisation"] = diarisation(args.voices)
    print(show(figures))
    date = datetime.date.today().isoformat()
    setting = {"whisper": Path(args.whisper).name, "minutes": args.minutes, "music": args.music is not None}
    content = {"benchmark": "wild", "date": date, "commit": commit(), "machine": hardware, "setting": setting}
    path = args.output / f"wild_{hardware['words']}_{date}.json"
    path.write_text(json.dumps(content | {"figures": figures}, indent=1) + "\n", "utf-8")
    print(path)


if __name__ == "__main__":
    main()
