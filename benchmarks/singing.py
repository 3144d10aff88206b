"""How good and fast do the singers of the package sing? Beside their teachers, on the same scores, in one run.

    pip install --no-deps distillmos==0.9.1 hibari-tts swift-f0       a judge, the English teacher, a tracker of F0
    pip install 'setuptools<80' cython numpy && pip install --no-build-isolation --no-deps pysinsy   the Japanese one
    python benchmarks/singing.py                 all of it
    python benchmarks/singing.py --part score    one part: score, convert (see benchmarks/singing_convert.py),
                                                 denoiser (of DiffWaveNetSVC, benchmarks/workers/svc_denoiser.py), or
                                                 consistency (benchmarks/workers/svc_consistency.py; 2 minutes)
    python benchmarks/singing.py --quick         every fifth score, no results file

Twenty scores that no singer learned from: four songs of examples/songs in the public domain, and melodies of
`aoide/data/corpora/_melodies.py` with numbers from 5000 on, where training has those below 1000.

- In tune: of each note that is held for 0.3 s or more, the median F0 of its middle (0.1 s after its beginning until
  0.08 s before its end) against the score, by SwiftF0; the median over notes of the distance in cents. The median of a
  note and not its frames, because vibrato moves around the note on purpose. Only vowels count.
- Onsets: where a note touches the one before it and differs by a semitone or more, listeners hear it begin when the
  pitch passes the middle between both. That moment, on F0 with gaps of consonants drawn through, against the score.
  Notes behind a rest and repeated notes have no such moment and are left out; how many are counted is written down.
- Naturalness: DistillMOS of singer and teacher on the same scores. The English teacher (hibari-tts, whose frames are
  stretched to the notes) gets our F0; the Japanese one (Sinsy) its own. The judge knows speech, so only the difference
  of the two means something.
- Speed: seconds of work per second of song on two threads, the graph loaded, score to samples.

Prints the table, asked beside measured, and writes benchmarks/results/singing_<machine>_<date>.json.
"""

import argparse
import datetime
import json
import statistics
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import singing_convert
from rooms import WORKERS
from tqdm import tqdm
from voice import commit, machine

from aoide.audio import pitch
from aoide.audio.sound import Sound
from aoide.data.corpora import sinsy
from aoide.data.corpora._melodies import melody
from aoide.generate.singer import Performance, Singer
from aoide.metrics.distillmos import distillmos
from aoide.score import Note, Score
from aoide.text import lyrics

HERE = Path(__file__).resolve().parent
SONGS = {"en": ("twinkle", "scarborough_fair", "ode_to_joy"), "ja": ("sakura",)}
RANGES = {"en": (55, 72), "ja": (58, 75)}
FIRST, COUNT = 5000, 10  # the number of the first melody; scores of each language
SINGERS = {"en": "en-heart-song", "ja": "ja-f001-song"}
REFERENCES = 5100  # the number of the first melody that says how a singer sounds
HELD, SETTLED, LEAVING = 0.3, 0.1, 0.08  # seconds
STEP = 0.005  # seconds between values of F0
ASKED = {"cents": 20, "onset_ms": 40, "behind_teacher": 0.3, "seconds_per_second": 0.3}
ASKED |= {"mcd_increase": 0.5, "speed_up": 20, "denoiser": 1.0}
PARTS = ("score", "convert", "denoiser", "consistency")


def scores(language: str) -> list[Score]:
    """The held-out scores of a language."""
    found = [Score.load(HERE.parent / "examples" / "songs" / f"{name}.musicxml") for name in SONGS[language]]
    low, high = RANGES[language]
    more = range(FIRST, FIRST + COUNT - len(found))
    return [*found, *(melody(number, language, low=low, high=high) for number in more)]


def heard(samples: np.ndarray, sample_rate: int) -> np.ndarray:
    """F0 in MIDI numbers every STEP seconds, NaN where there is none."""
    hop = round(STEP * sample_rate)
    f0 = pitch.track(samples, sample_rate, hop, method="swift")
    with np.errstate(divide="ignore"):
        return np.where(f0 > 0, 69 + 12 * np.log2(np.maximum(f0, 1.0) / 440), np.nan)


def held_notes(performance: Performance) -> list[tuple[float, float, float]]:
    """(start, end, pitch) of the middles of held notes, where a vowel sounds."""
    score, found = performance.score, []
    vowels = [p for p in score.phonemes if lyrics.is_vowel(p.symbol)]
    for note in sung(score):
        start, end = score.seconds(note.start), score.seconds(note.end)
        inside = [p for p in vowels if p.start < end and p.end > start]
        if not inside:
            continue
        start, end = max(start, inside[0].start), min(end, inside[-1].end)
        if end - start >= HELD:
            found.append((start + SETTLED, end - LEAVING, (note.pitch or 0) + note.cents / 100))
    return found


def sung(score: Score) -> list[Note]:
    return [note for note in score.notes if note.sung and note.length > 0]


def cents(notes: list[tuple[float, float, float]], f0: np.ndarray) -> list[float]:
    """Of each note that is heard: how far its median lies from where it should, in cents."""
    found = []
    for start, end, wanted in notes:
        own = f0[round(start / STEP) : round(end / STEP)]
        if np.isfinite(own).mean() > 0.5:
            found.append(100 * abs(float(np.nanmedian(own)) - wanted))
    return found


def onsets(score: Score, f0: np.ndarray) -> list[float]:
    """Of each note whose beginning is a step of pitch: how far it lies from where it should, in milliseconds."""
    times = np.arange(len(f0)) * STEP
    known = np.isfinite(f0)
    line = np.interp(times, times[known], f0[known]) if known.any() else f0
    found = []
    for before, after in pairwise(sung(score)):
        if after.start != before.end or abs((after.pitch or 0) - (before.pitch or 0)) < 1:
            continue
        wanted = score.seconds(after.start)
        middle = ((after.pitch or 0) + (before.pitch or 0)) / 2
        first = max(score.seconds(before.start), wanted - 0.25)
        last = min(score.seconds(after.end), wanted + 0.25)
        near = slice(round(first / STEP), round(last / STEP))
        above = line[near] > middle
        changes = np.flatnonzero(above[1:] != above[:-1])
        if len(changes):
            at = times[near][changes] + STEP / 2
            found.append(1000 * float(np.min(np.abs(at - wanted))))
    return found


def teachers(language: str, singer: Singer) -> Any:
    """score, performance -> what the teacher sings: (samples,) at the singer's rate."""
    if language == "ja":
        folder = tempfile.mkdtemp()
        return lambda score, _: sinsy.teach(score, Path(folder) / "song.musicxml")[0]
    sys.path.insert(0, str(WORKERS))
    from hibari_singer import Teacher

    teacher = Teacher(singer)
    return lambda score, performance: teacher.sing(score, performance.f0)


def of_scores(language: str, step: int, keep: Path | None) -> dict[str, Any]:
    """One singer on all scores of its language, beside its teacher."""
    singer = Singer(SINGERS[language], threads=2)
    teach = teachers(language, singer)
    rows: dict[str, list[float]] = {name: [] for name in ("cents", "onset_ms", "singer", "teacher", "seconds", "work")}
    for number, score in enumerate(tqdm(scores(language)[::step], desc=language, disable=None)):
        started = time.perf_counter()
        performance = singer.perform(score)
        rows["work"].append(time.perf_counter() - started)
        rows["seconds"].append(performance.sound.seconds)
        samples = performance.sound.samples
        f0 = heard(samples, singer.sample_rate)
        rows["cents"] += cents(held_notes(performance), f0)
        rows["onset_ms"] += onsets(performance.score, f0)
        own = teach(score, performance)
        for name, sound in (("singer", samples), ("teacher", own)):
            rows[name].append(float(distillmos(sound, singer.sample_rate)))
            if keep is not None:
                Sound(sound, singer.sample_rate).save(keep / f"{language}-{number:02d}-{name}.wav")
    return {
        "singer": singer.name,
        "scores": len(rows["singer"]),
        "notes": len(rows["cents"]),
        "cents": round(statistics.median(rows["cents"]), 2),
        "cents_worst_tenth": round(float(np.percentile(rows["cents"], 90)), 2),
        "onsets": len(rows["onset_ms"]),
        "onset_ms": round(statistics.median(rows["onset_ms"]), 1),
        "distillmos": round(statistics.mean(rows["singer"]), 3),
        "distillmos_teacher": round(statistics.mean(rows["teacher"]), 3),
        "seconds_per_second": round(sum(rows["work"]) / sum(rows["seconds"]), 4),
        "threads": 2,
    }


def show(results: list[dict[str, Any]]) -> bool:
    """Prints the table; whether all that is asked for is reached."""
    print("| singer | cents (<= 20) | onset, ms (<= 40) | DistillMOS, teacher (at most 0.3 above) | s per s (<= 0.3) |")
    print("|---|---|---|---|---|")
    good = True
    for r in results:
        mos = f"{r['distillmos']}, {r['distillmos_teacher']}"
        print(f"| {r['singer']} | {r['cents']} | {r['onset_ms']} | {mos} | {r['seconds_per_second']} |")
        behind = r["distillmos_teacher"] - r["distillmos"]
        good &= all(r[name] <= ASKED[name] for name in ("cents", "onset_ms", "seconds_per_second"))
        good &= behind <= ASKED["behind_teacher"]
    return good


def conversion(options: argparse.Namespace, step: int) -> dict[str, Any]:
    """The part `convert`, on half of the scores and on recordings."""
    sung = {language: scores(language)[: singing_convert.EACH : step] for language in SINGERS}
    more = {
        language: [melody(REFERENCES + n, language, low=low, high=high) for n in range(singing_convert.REFERENCES)]
        for language, (low, high) in RANGES.items()
    }
    with tempfile.TemporaryDirectory() as work:
        return singing_convert.part(options, Path(work), sung, more, SINGERS)


def denoiser(quick: bool) -> dict[str, Any]:
    """The part `denoiser`: ours and the published formulation with the same weights, in turn."""
    sys.path.insert(0, str(WORKERS))
    from svc_denoiser import compare

    result = compare(**({"frames": 24, "steps": 2, "repeats": 1} if quick else {}))
    print(f"denoiser of DiffWaveNetSVC, ours relative to the plain one (<= 1.0): {result['ratio']}")
    return result


def consistency(sounds: Path | None, quick: bool) -> dict[str, Any]:
    """The part `consistency`: one step against fifty, both learned in a minute or two at toy size."""
    if sounds is None:
        raise SystemExit("--part consistency learns from recordings: give --sounds, what tools/make_sounds.py wrote")
    if not (sounds / "train" / "asterisk-en").is_dir():
        raise SystemExit(f"{sounds}: --sounds wants what tools/make_sounds.py wrote, with train/asterisk-en in it")
    sys.path.insert(0, str(WORKERS))
    from svc_consistency import measure

    least = {"seconds": 60.0, "held_out": 2, "teacher_steps": 4, "student_steps": 2, "full": False}
    result = measure(str(sounds / "train" / "asterisk-en"), **(least if quick else {"seconds": 240.0}))
    print("| MCD of 50 steps, dB | of one | increase (<= 0.5) | speed-up (>= 20) | at the published size |")
    print("|---|---|---|---|---|")
    row = [result[name] for name in ("mcd_teacher", "mcd_student", "mcd_increase", "speed_up")]
    print("|", " | ".join(map(str, [*row, result.get("full_size", {}).get("speed_up", "–")])), "|")
    return result


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", choices=PARTS, help="one part alone (default: all that there is data for)")
    parser.add_argument("--language", choices=tuple(SINGERS), help="one singer alone, of the part score")
    parser.add_argument("--quick", action="store_true", help="every fifth score, no results file")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep the sounds there")
    singing_convert.arguments(parser)
    options = parser.parse_args()
    if options.keep is not None:
        options.keep.mkdir(parents=True, exist_ok=True)
    step = 5 if options.quick else 1
    results: dict[str, Any] = {}
    good = True
    if options.part in (None, "score"):
        chosen = [options.language] if options.language else list(SINGERS)
        results["score"] = [of_scores(language, step, options.keep) for language in chosen]
        good &= show(results["score"])
    if options.part in (None, "convert") and not options.language:
        results["convert"] = conversion(options, step)
        good &= singing_convert.good(results["convert"])
    if options.part in (None, "denoiser") and not options.language:
        results["denoiser"] = denoiser(options.quick)
        good &= results["denoiser"]["ratio"] <= ASKED["denoiser"]
    if options.part == "consistency" or options.part is None and options.sounds and not options.language:
        results["consistency"] = found = consistency(options.sounds, options.quick)
        good &= found["mcd_increase"] <= ASKED["mcd_increase"] and found["speed_up"] >= ASKED["speed_up"]
    if not options.quick and not options.language:
        today = datetime.date.today().isoformat()
        about = {"date": today, "commit": commit(), "machine": machine(), "asked": ASKED, **results}
        of = [options.part] if options.part else []
        of += [name for name in ("retrieval", "others") if getattr(options, name) not in (None, False)]
        words = "-".join(["singing", *of])
        path = HERE / "results" / f"{words}_{machine()['words']}_{today}.json"
        path.write_text(json.dumps(about, indent=1) + "\n", "utf-8")
        print(path)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
