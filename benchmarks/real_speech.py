"""What the voice and the vocoder of the package are worth beside real speech: the report of `aoide evaluate`.

    python tools/make_sounds.py unpacked sounds            once; its docstring says what to unpack
    pip install --no-deps distillmos==0.9.1 resemblyzer==0.1.4
    python benchmarks/real_speech.py --sounds sounds --texts unpacked --asr whisper-base --page docs/evaluating.md

The reference: telephone prompts that no model of the package was trained on (sounds/test/asterisk-en, 16 kHz, Allison
Smith, CC-BY-SA-3.0), those whose text is known. Against them:

- the voice says the same texts: naturalness, words heard wrong, and how far melody and timbre are from hers, after
  dynamic time warping. It is another speaker, so the distances tell little and the judges of single sounds most;
- the vocoder makes the recordings again from their mel (`aoide resynth`): everything, frame by frame.

Prints the tables, writes benchmarks/results/real-speech_<machine>_<date>.json, and puts the tables into --page. The
reports with sounds and pictures stay in --work.
"""

import argparse
import datetime
import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from real import transcripts
from tqdm import tqdm
from voice import commit, machine

import aoide
from aoide.audio.sound import Sound
from aoide.config import write_aside

HERE = Path(__file__).resolve().parent
RATE = 16_000  # Hz of the recordings
VOICE, VOCODER = "en-heart", "universal-24k"
REPORTS = {  # name -> systems, metrics
    "voice": ((VOICE, VOCODER), "dnsmos,distillmos,wer,cer,speaker_similarity,f0_rmse,f0_pearson,mcd"),
    "vocoder": ((VOCODER,), "usual"),
}
MARK = "real speech"


def recordings(sounds: Path, texts: Path, folder: Path) -> dict[str, str]:
    """Writes the recordings at their own rate below `folder`, and gives the text of each."""
    (said,) = sorted(texts.rglob("core-sounds-en.txt*"))[:1] or [None]
    clips = sorted((sounds / "test" / "asterisk-en").glob("*.flac"))
    if said is None or not clips:
        raise SystemExit("no prompts: see the docstring for what --sounds and --texts must hold")
    known = transcripts(said)
    folder.mkdir(parents=True, exist_ok=True)
    found = {path.stem: known[path.stem] for path in clips if path.stem in known}
    for path in (path for path in clips if path.stem in found):
        Sound.load(path).resample(RATE).save(folder / f"{path.stem}.wav")
    return found


def make(work: Path, texts: Mapping[str, str]) -> None:
    """The voice saying the texts, the vocoder's copies, and the file of texts."""
    (work / VOICE).mkdir(exist_ok=True)
    voice = aoide.load(VOICE)
    for name, text in tqdm(texts.items(), desc=VOICE, unit="sentence", disable=None):
        voice.say(text).save(work / VOICE / f"{name}.wav")
    aoide_("resynth", work / "recordings", "-o", work / VOCODER, "--vocoder", VOCODER)
    (work / "texts.txt").write_text("".join(f"{name}|{text}\n" for name, text in texts.items()), "utf-8")


def aoide_(*words: Any) -> None:
    subprocess.run([sys.executable, "-m", "aoide.cli", *map(str, words)], check=True, stdout=sys.stderr)


def report(work: Path, name: str, asr: str, jobs: list[str]) -> dict[str, Any]:
    """One evaluation, and what of it is kept: the means, the tests, what was left out."""
    systems, wanted = REPORTS[name]
    folder = work / f"report-{name}"
    heard = ["--text", work / "texts.txt", "--asr", asr] if "wer" in wanted else []
    places = [work / "recordings", *(work / system for system in systems)]
    aoide_("evaluate", *places, "--metrics", wanted, *heard, *jobs, "-o", folder)
    whole = json.loads((folder / "report.json").read_text("utf-8"))
    kept = ("align", "pairs", "systems", "metrics", "summary", "tests", "excluded", "unavailable", "notes")
    for metric in whole["metrics"]:
        metric["of"] = Path(metric["of"]).name  # the recogniser, wherever its folder lies
    return {key: whole[key] for key in kept}


def table(found: Mapping[str, Any]) -> str:
    """The means of one report in markdown, with their intervals; the recordings first where they have a value."""
    columns = ["(reference)", *found["systems"]]
    shown = ["recordings", *found["systems"]]
    if not any("(reference)" in cells for cells in found["summary"].values()):
        columns, shown = columns[1:], shown[1:]
    lines = [f"| metric | better | {' | '.join(shown)} |", f"|---|---|{'---|' * len(shown)}"]
    for metric in found["metrics"]:
        cells = (found["summary"][metric["name"]].get(column) for column in columns)
        unit = f", {metric['unit']}" if metric["unit"] else ""
        lines.append(f"| `{metric['name']}`{unit} | {metric['better']} | {' | '.join(map(cell, cells))} |")
    return "\n".join(lines)


def cell(found: Mapping[str, Any] | None) -> str:
    if found is None:
        return "–"
    return f"{found['value']:.3g} [{found['low']:.3g}, {found['high']:.3g}]"


def page(reports: Mapping[str, Any]) -> str:
    """What stands in the documentation: both tables."""
    return "\n\n".join(table(found) for found in reports.values())


def into(path: Path, mark: str, text: str) -> None:
    """Puts a text between its marks in a page."""
    before, start, rest = path.read_text("utf-8").partition(f"<!-- {mark} -->\n")
    _, end, after = rest.partition(f"<!-- end of {mark} -->")
    if not (start and end):
        raise SystemExit(f"{path}: no line <!-- {mark} --> with an end")
    with write_aside(path) as aside:
        aside.write_text(f"{before}{start}\n{text}\n\n{end}{after}", "utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sounds", type=Path, required=True, help="what tools/make_sounds.py wrote")
    parser.add_argument("--texts", type=Path, required=True, help="folder with asterisk-core-sounds-en, unpacked")
    parser.add_argument("--asr", default="base", help="Whisper: a size or folder (default: base)")
    parser.add_argument("--jobs", help="processes (default: one per core)")
    parser.add_argument("--work", type=Path, default=Path.home() / ".cache" / "aoide-bench" / "real-speech")
    parser.add_argument("--page", type=Path, help="put the tables into this page")
    parser.add_argument("--output", type=Path, default=HERE / "results", help="folder of the results file")
    options = parser.parse_args()
    hardware = machine()
    texts = recordings(options.sounds, options.texts, options.work / "recordings")
    make(options.work, texts)
    jobs = ["--jobs", options.jobs] if options.jobs else []
    reports = {name: report(options.work, name, options.asr, jobs) for name in REPORTS}
    print(page(reports))
    if options.page:
        into(options.page, MARK, page(reports))
    date = datetime.date.today().isoformat()
    content = {"benchmark": "real speech", "date": date, "commit": commit(), "machine": hardware}
    path = options.output / f"real-speech_{hardware['words']}_{date}.json"
    path.write_text(json.dumps(content | {"reports": reports}, indent=1) + "\n", "utf-8")
    print(path)


if __name__ == "__main__":
    main()
