"""The part `cascade` of benchmarks/described.py: does a song by rules keep what it states, and is it sung and mixed so?

    pip install swift-f0                                a tracker of F0
    python benchmarks/described_cascade.py              all 20 songs of benchmarks/lyrics-20.txt, each in its style
    python benchmarks/described_cascade.py --quick      every fifth; --keep DIR keeps their folders

The words are our own or in the public domain. Of each song, from its files alone:

- Melody: how many of its stated rules it breaks (aoide/score/rules.py, which does not know the composer), and whether
  the stresses that it says it sets are those of the front end, asked again.
- Singing: of each note of melody.musicxml that is held for 0.3 s or more, the median F0 of its middle in singing.wav by
  SwiftF0, against the note: the median distance in cents over all notes, and the share within 50 cents.
- Mix: loudness in LUFS and true peak of mix.wav; the largest difference of a sample between it and its two stems.
- Speed: processor seconds of the whole cascade for a second of song, one thread.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from singing import cents, heard, held_notes
from tqdm import tqdm

from aoide.audio import io
from aoide.audio.loudness import loudness
from aoide.audio.mix import true_peak
from aoide.generate.cascade import Cascade, read_rules
from aoide.score import Score
from aoide.score.rules import check_melody
from aoide.score.song_script import SongScript
from aoide.text import frontend, lyrics

HERE = Path(__file__).resolve().parent
ASKED = {"violations": 0, "cents": 20.0, "within_50": 0.9, "loudness_off": 0.5, "stems_difference": 0.0}
NEAR = 50.0  # cents


def scripts() -> list[SongScript]:
    """The songs of lyrics-20.txt, one after the other in one file."""
    text = (HERE / "lyrics-20.txt").read_text("utf-8")
    return [SongScript.read(f"[ti:{part}") for part in text.split("[ti:")[1:]]


def of_song(folder: Path) -> dict[str, Any]:
    """What the files of a song show."""
    score, rules = Score.load(folder / "melody.musicxml"), read_rules(folder / "rules.json")
    singing = io.read(folder / "singing.wav")
    planned = lyrics.planned(score, score.language)
    off = cents(held_notes(SimpleNamespace(score=planned)), heard(singing.samples, singing.sample_rate))
    mix = io.read(folder / "mix.wav")
    stems = [io.read(folder / f"mix-{name}.wav").samples for name in ("voice", "accompaniment")]
    return {
        "key": f"{rules.tonic} {rules.mode}",
        "notes": len(score.notes),
        "violations": len(check_melody(score, rules)),
        "stresses_wrong": stresses_wrong(score, rules.phrases),
        "cents": off,
        "lufs": round(loudness(mix), 3),
        "peak": round(true_peak(mix), 2),
        "stems_difference": float(np.abs(mix.samples - stems[0] - stems[1]).max()),
        "seconds": mix.seconds,
    }


def stresses_wrong(score: Score, phrases: Any) -> int:
    """English words of one syllable whose stress in their line, as the front end has it, is not that of the rules."""
    if score.language != "en":
        return 0
    wrong = 0
    front = frontend("en")
    notes = iter(score.notes)
    for phrase in phrases:
        own = [next(notes) for _ in phrase.syllables]
        words = "".join(note.lyric + ("" if note.hyphen else " ") for note in own).split()
        said = "".join(c for c in front.phonemize(" ".join(words)) if c not in ";:,.!?—…").split()
        if len(said) != len(words):
            continue
        at = 0
        for phonemes in said:
            size = 1
            while own[at + size - 1].hyphen:
                size += 1
            if size == 1 and ("ˈ" in phonemes) != (phrase.stresses[at] == 2):
                wrong += 1
            at += size
    return wrong


def run(quick: bool = False, keep: Path | None = None) -> dict[str, Any]:
    """All songs: the figures, and those of each."""
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as work:
        for number, script in enumerate(tqdm(scripts()[:: 5 if quick else 1], desc="songs", disable=None)):
            folder = (keep or Path(work)) / f"{number:02d}"
            started = time.process_time()
            Cascade(folder, script, seed=number).run()
            spent = time.process_time() - started
            rows.append({"title": script.title, "style": script.style, "work": spent, **of_song(folder)})
    off = [value for row in rows for value in row["cents"]]
    seconds = sum(row["seconds"] for row in rows)
    for row in rows:
        row["cents"] = round(statistics.median(row["cents"]), 2) if row["cents"] else None
    return {
        "songs": len(rows),
        "notes": sum(row["notes"] for row in rows),
        "held_notes": len(off),
        "violations": sum(row["violations"] for row in rows),
        "stresses_wrong": sum(row["stresses_wrong"] for row in rows),
        "cents": round(statistics.median(off), 2),
        "within_50": round(float(np.mean(np.array(off) <= NEAR)), 4),
        "lufs": [min(row["lufs"] for row in rows), max(row["lufs"] for row in rows)],
        "peak": max(row["peak"] for row in rows),
        "stems_difference": max(row["stems_difference"] for row in rows),
        "seconds": round(seconds, 1),
        "seconds_per_second": round(sum(row.pop("work") for row in rows) / seconds, 4),
        "asked": ASKED,
        "each": rows,
    }


def show(result: dict[str, Any]) -> None:
    """Prints the table."""
    print("| songs | notes | rules broken (0) | cents (<= 20) | within 50 (>= 0.9) | LUFS (-14 +- 0.5) | true peak |")
    print("|---|---|---|---|---|---|---|")
    low, high = result["lufs"]
    row = [result[name] for name in ("songs", "notes", "violations", "cents", "within_50")]
    print("|", " | ".join(map(str, [*row, f"{low} to {high}", f"{result['peak']} dB"])), "|")
    print(f"stems against mix: {result['stems_difference']:g} at most (0)")
    print(f"{result['seconds_per_second']} processor seconds for a second of song")


def good(result: dict[str, Any]) -> bool:
    """Whether all that is asked for is reached."""
    return bool(
        result["violations"] == result["stresses_wrong"] == 0
        and result["cents"] <= ASKED["cents"]
        and result["within_50"] >= ASKED["within_50"]
        and all(abs(value + 14) <= ASKED["loudness_off"] for value in result["lufs"])
        and result["stems_difference"] <= ASKED["stems_difference"]
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="every fifth song")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep the songs there")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    options = parser.parse_args()
    result = run(options.quick, options.keep)
    show(result)
    if options.json is not None:
        options.json.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", "utf-8")
    return 0 if good(result) else 1


if __name__ == "__main__":
    sys.exit(main())
