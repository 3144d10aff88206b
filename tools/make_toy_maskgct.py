"""Trains a toy MaskGCT, all five parts, from a folder of recordings, and says how well it speaks.

    python tools/make_toy_maskgct.py recordings -o toy --whisper whisper-base --minutes 300 --device cuda
    python tools/make_toy_maskgct.py recordings -o toy --whisper whisper-base --minutes 25 --size tiny --few 8

    recordings/VOICE/NAME.flac, NAME.txt     English, clips of some seconds, several voices
    whisper-base                             Whisper base for CTranslate2 (model.bin): it hears what is said, in the
                                             place of w2v-BERT, and judges the words at the end

Each step writes a part of the folder and is left out when that is there, so the same command goes on after an end. The
trainings are `aoide train` with the recipes codec/toy-maskgct-*.yaml and tts/toy-maskgct-*.yaml; the command of each is
printed. `--minutes` is what they take together, of the processor where there is no GPU: the first steps are timed, and
as many are made as fit.

    toy/all, toy/speech     manifests of all clips, and of those to learn from with what Whisper hears of them
    toy/joined              pairs of clips of a voice with their codes: the first is the prompt of the second
    toy/semantic ...        the runs; aoide/generate/maskgct_folder.py opens them as one speaker
    toy/said, result.json   sentences it learned from and sentences it never saw, and what Whisper heard in them
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shlex
import shutil
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from aoide import cli
from aoide.audio.sound import Sound
from aoide.config import UserError, write_aside
from aoide.data.clips import Clip, Limits, check
from aoide.data.features import fit
from aoide.data.manifest import Manifest, stable_hash, writing
from aoide.external import content
from aoide.generate import maskgct_folder
from aoide.generate.maskgct_folder import EARS, STATISTICS, Ears, Trained
from aoide.train import checkpoint, loop, recipe

RECIPES = Path(__file__).resolve().parents[1] / "recipes"
RATE, HOP = 24_000, 512  # of the frames of all parts
FRAME_RATE = RATE / HOP
LIMITS = Limits(min_seconds=1.0, max_seconds=12.0)
PARTNERS = 2  # prompts of each clip to learn from
# part -> its recipe, its share of the time, and what makes it tiny
PARTS: dict[str, tuple[str, float, tuple[str, ...]]] = {
    "semantic": ("codec/toy-maskgct-semantic", 0.08, ("model.dim=128", "model.hidden=384", "model.layers=4")),
    "acoustic": ("codec/toy-maskgct-acoustic", 0.12, ()),
    "t2s": ("tts/toy-maskgct-t2s", 0.32, ("model.dim=128", "model.layers=4", "model.heads=4")),
    "s2a": ("tts/toy-maskgct-s2a", 0.44, ("model.dim=128", "model.layers=4", "model.heads=4")),
    "duration": ("tts/toy-maskgct-duration", 0.04, ()),
}
# what was learned by heart is known, and need not be drawn: a quarter of the codes come out wrong otherwise
BY_HEART = ("model.sampling.temperature=0.1", "model.sampling.guidance=0", "data.validation=1")
CODES = {"semantic": "model.codes=256", "t2s": "model.codes=256", "s2a": "model.semantic=256"}  # of the tiny size
RESULT = "result.json"
FEW_STEPS = 40  # at least, of each part
TIMED = (2, 2, 10)  # steps of three runs; the first warms up, the difference of the others tells what a step takes


def parsed(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recordings", type=Path, help="a folder of each voice, with sounds and texts")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="DIR", help="where everything goes")
    parser.add_argument("--whisper", required=True, metavar="DIR", help="Whisper base for CTranslate2")
    parser.add_argument("--minutes", type=float, default=300.0, help="of all trainings together (default: 300)")
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))
    parser.add_argument("--size", default="toy", choices=("toy", "tiny"), help="as the recipes say, or for a CPU")
    parser.add_argument("--few", type=int, default=0, metavar="N", help="T2S and S2A learn N clips of a voice by heart")
    parser.add_argument("--held-out", type=int, default=4, metavar="N", help="clips of each voice (default: 4)")
    parser.add_argument("--say", type=int, default=3, metavar="N", help="of each voice, learned and held out")
    parser.add_argument("--threads", type=int, default=1, help="of torch on a CPU (default: 1)")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    options = parsed(arguments)
    torch.set_num_threads(options.threads)
    work = options.output
    work.mkdir(parents=True, exist_ok=True)
    try:
        run("prepare", "folder", "--root", options.recordings, "-o", work / "all", "--max-seconds", LIMITS.max_seconds)
        encoder = content.open("whisper", options.whisper)
        hear(work, encoder, options.whisper, options.held_out)
        train(work, ("semantic", "acoustic"), options)
        join(work, options.few, device_of(options))
        train(work, ("t2s", "s2a", "duration"), options)
        judge(work, encoder, options.whisper, options.say, options.threads)
    except UserError as error:
        print(f"make_toy_maskgct: {error}")
        return 2
    return 0


def run(*words: object) -> None:
    """A command of aoide, printed."""
    print("$ aoide " + shlex.join(map(str, words)), flush=True)
    if cli.main([*map(str, words)]):
        raise UserError(f"aoide {words[0]} did not end well")


# ------------------------------------------------------------------------------------------------- what is learned from


def split(clips: Iterable[Clip], held_out: int) -> tuple[list[Clip], list[Clip]]:
    """Clips to learn from, and those held out: of each voice as many with the lowest hashes."""
    learned, held = [], []
    by_voice: dict[str, list[Clip]] = {}
    for clip in clips:
        by_voice.setdefault(clip.speaker, []).append(clip)
    for own in by_voice.values():
        own.sort(key=lambda clip: stable_hash(clip.id))
        held += own[:held_out]
        learned += own[held_out:]
    return learned, held


def hear(work: Path, encoder: content.Encoder, source: str, held_out: int) -> None:
    """Writes ears.json, ears.npz, held.json, and the manifest `speech` with the features that are learned from."""
    folder = work / "speech"
    if (folder / "summary.json").exists():
        return
    clips = [clip for clip in Manifest(work / "all") if LIMITS.min_seconds <= clip.seconds <= LIMITS.max_seconds]
    learned, held = split(clips, held_out)
    if len({clip.speaker for clip in learned}) < 2:
        raise UserError(f"{work / 'all'}: a prompt is followed by a model that knows two voices or more")
    rows = dict(encoded(encoder, learned))
    every = np.concatenate([*rows.values()])
    mean, deviation = every.mean(0), np.maximum(every.std(0), 1e-3)
    put(work / STATISTICS, mean=mean, deviation=deviation)
    write_json(work / EARS, {"name": "whisper", "source": str(source)})
    write_json(work / "held.json", [clip.id for clip in held])
    ears = Ears(encoder, mean, deviation, FRAME_RATE)
    folder.mkdir(exist_ok=True)
    with writing(folder) as writer:
        for clip in learned:
            path = folder / "arrays" / f"{clip.id.replace('/', '-')}.npy"
            save(path, ears.aligned((rows[clip.id] - mean) / deviation, clip.seconds).astype(np.float16))
            writer.add(replace(clip, arrays={"semantic": path}, frame_rate=FRAME_RATE))
    seconds = sum(clip.seconds for clip in learned)
    write_json(folder / "summary.json", {"clips": len(learned), "hours": seconds / 3600})


def encoded(encoder: content.Encoder, clips: Sequence[Clip]) -> Iterator[tuple[str, np.ndarray]]:
    """What the encoder hears of each clip, (frames, dim): each alone, as a prompt is. Beside others a clip is heard
    otherwise, and a third of its codes change.
    """
    for clip in tqdm(clips, desc="hearing", unit="clip", disable=None):
        yield clip.id, encoder.encode(sound_of(clip).resample(content.RATE).samples)


def sound_of(clip: Clip) -> Sound:
    """One channel at 24 kHz."""
    return Sound.load(clip.audio).mono().resample(RATE)


def join(work: Path, few: int, device: str = "cpu") -> None:
    """Writes the manifest `joined`: pairs of clips of a voice with both codecs' codes."""
    folder = work / "joined"
    if (folder / "summary.json").exists():
        return
    semantic, acoustic = (checkpoint.load_model(work / name)[1].to(device) for name in ("semantic", "acoustic"))
    by_voice: dict[str, list[Clip]] = {}
    for clip in Manifest(work / "speech"):
        by_voice.setdefault(clip.speaker, []).append(clip)
    pairs = []
    for own in by_voice.values():
        told = sorted(own, key=lambda clip: stable_hash(clip.id))[: few or None]
        for step in range(1, 2 if few else PARTNERS + 1):
            pairs += [(told[(i + step) % len(told)], clip) for i, clip in enumerate(told) if len(told) > step]
    (folder / "audio").mkdir(parents=True, exist_ok=True)
    codes: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    for clip in tqdm({c.id: c for pair in pairs for c in pair}.values(), desc="coding", unit="clip", disable=None):
        codes[clip.id] = coded(clip, semantic, acoustic, device)
    with writing(folder) as writer:
        for pair in pairs:
            writer.add(joined(folder, pair, codes))
    write_json(folder / "summary.json", {"clips": len(pairs), "of": len(codes)})


@torch.inference_mode()
def coded(clip: Clip, semantic: Any, acoustic: Any, device: str) -> tuple[np.ndarray, np.ndarray]:
    """Semantic codes (frames,) and acoustic ones (frames, codebooks) of a clip."""
    features = torch.from_numpy(np.load(clip.arrays["semantic"]).astype(np.float32)).to(device)
    sound = torch.from_numpy(sound_of(clip).samples).to(device)
    frames = len(features)
    return (
        semantic.encode(features[None])[0, :, 0].cpu().numpy().astype(np.int32),
        fit(acoustic.encode(sound[None])[0].cpu().numpy().astype(np.int32), frames),
    )


def joined(folder: Path, pair: tuple[Clip, Clip], codes: dict[str, tuple[np.ndarray, np.ndarray]]) -> Clip:
    """Two clips as one, on whole frames."""
    name = "--".join(clip.id.replace("/", "-") for clip in pair)
    told = [codes[clip.id] for clip in pair]
    parts = [fit(sound_of(clip).samples, len(own[0]) * HOP) for clip, own in zip(pair, told, strict=True)]
    path = folder / "audio" / f"{name}.flac"
    Sound(np.concatenate(parts), RATE).save(path)
    arrays = {key: folder / "arrays" / f"{name}-{key}.npy" for key in ("semantic_codes", "codes")}
    for key, values in zip(arrays, zip(*told, strict=True), strict=True):
        save(arrays[key], np.concatenate(values))
    clip = Clip(
        id=name,
        audio=path,
        text=" ".join(clip.text or "" for clip in pair),
        speaker=pair[0].speaker,
        language=pair[0].language,
        phonemes=" ".join((clip.phonemes or "").strip() for clip in pair),
        frame_rate=FRAME_RATE,
        arrays=arrays,
    )
    found = check(clip, Limits(max_seconds=3 * LIMITS.max_seconds))
    if not isinstance(found, tuple):
        raise UserError(f"{name}: {found.reason}")
    return found[0]


def put(path: Path, **arrays: np.ndarray) -> None:
    with write_aside(path) as aside, open(aside, "wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]


def save(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with write_aside(path) as aside, open(aside, "wb") as file:
        np.save(file, array)


def write_json(path: Path, value: Any) -> None:
    with write_aside(path) as aside:
        aside.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", "utf-8")


# ------------------------------------------------------------------------------------------------------------- training


def train(work: Path, parts: Iterable[str], options: argparse.Namespace) -> None:
    """Runs `aoide train` for each part, with as many steps as its share of the time allows."""
    plan_path = work / "plan.json"
    plan: dict[str, int] = json.loads(plan_path.read_text("utf-8")) if plan_path.exists() else {}
    for part in parts:
        path = RECIPES / f"{PARTS[part][0]}.yaml"
        words = words_of(part, work, options)
        if part not in plan:
            plan[part] = steps(path, words, work, options.minutes * PARTS[part][1])
            write_json(plan_path, plan)
        often = max(1, plan[part] // 5)
        words += [f"loop.steps={plan[part]}", f"loop.save_every={often}", f"loop.validate_every={often}"]
        run("train", path, *words, "--run", work / part)


def device_of(options: argparse.Namespace) -> str:
    """cpu or cuda."""
    return "cuda" if options.device == "auto" and torch.cuda.is_available() else options.device.replace("auto", "cpu")


def words_of(part: str, work: Path, options: argparse.Namespace) -> list[str]:
    """What is laid over the recipe."""
    manifest = work / ("joined" if part in ("t2s", "s2a") else "speech")
    words = [f"data.manifest={manifest}", f"loop.device={device_of(options)}"]
    if device_of(options) == "cpu":
        words += [f"loop.threads={options.threads}", "loop.precision=fp32", "loop.log_every=10"]
        words += [] if part == "duration" else ["data.workers=0"]
    if options.size == "tiny":
        words += [*PARTS[part][2], *([CODES[part]] if part in CODES else [])]
        words += ["data.batch_seconds=32", "optimiser.lr=1e-3"] if part in ("t2s", "s2a") else []
    if options.few and part in ("t2s", "s2a"):
        words += BY_HEART
    return words


def steps(path: Path, words: list[str], work: Path, minutes: float) -> int:
    """How many steps fit into so many minutes, at most those of the recipe."""
    folder, taken = work / ".timed", []
    read = recipe.read(path, words)
    most, clock = read.loop.steps, time.process_time if "loop.device=cpu" in words else time.perf_counter
    for count in TIMED:
        shutil.rmtree(folder, ignore_errors=True)
        started = clock()
        with open(os.devnull, "w") as nowhere:
            loop.train(recipe.read(path, [*words, f"loop.steps={count}"]), folder, screen=nowhere)
        taken.append(clock() - started)
    shutil.rmtree(folder, ignore_errors=True)
    each = max(1e-4, (taken[2] - taken[1]) / (TIMED[2] - TIMED[1]))
    return max(FEW_STEPS, min(most, math.floor(60 * minutes / each)))


# -------------------------------------------------------------------------------------------------------------- judging


def judge(work: Path, encoder: content.Encoder, whisper: str, most: int, threads: int = 1) -> None:
    """Lets it speak, so many sentences of each voice of each kind, and writes result.json."""
    from aoide.external.resemblyzer import Resemblyzer
    from aoide.external.whisper import Whisper

    speaker = maskgct_folder.load(work, encoder)
    clips = {clip.id: clip for clip in Manifest(work / "all")}
    listener, voices = Whisper(whisper, threads=threads), Resemblyzer()
    learned = [tuple(clip.id for clip in pair) for pair in learned_pairs(work, clips, most)]
    held = [clips[name] for name in json.loads((work / "held.json").read_text("utf-8"))]
    unseen = [(own[i + 1].id, own[i].id) for own in groups(held) for i in range(min(most, len(own) - 1))]
    result: dict[str, Any] = {"voices": sorted({clip.speaker for clip in clips.values()})}
    result["recordings_minutes"] = round(sum(clip.seconds for clip in Manifest(work / "speech")) / 60, 1)
    result["pairs"] = len(Manifest(work / "joined"))
    result["paired_minutes"] = round(sum(clip.seconds for clip in Manifest(work / "joined")) / 60, 1)
    result["parameters_m"] = {
        part: round(sum(p.numel() for p in checkpoint.load_model(work / part)[1].parameters()) / 1e6, 2)
        for part in PARTS
    }
    result["steps"] = json.loads((work / "plan.json").read_text("utf-8"))
    told = {"learned": learned, "held_out": unseen}
    for name, pairs in told.items():
        rows = [heard(work, name, clips[a], clips[b], speaker, listener, voices, clips) for a, b in tqdm(pairs, name)]
        result[name] = summary(rows)
    write_json(work / RESULT, result)
    print(json.dumps({key: value for key, value in result.items() if key not in told}, indent=1))
    for name in told:
        print(name, json.dumps({key: value for key, value in result[name].items() if key != "sentences"}))


def groups(clips: Iterable[Clip]) -> list[list[Clip]]:
    found: dict[str, list[Clip]] = {}
    for clip in clips:
        found.setdefault(clip.speaker, []).append(clip)
    return [*found.values()]


def learned_pairs(work: Path, clips: dict[str, Clip], most: int) -> list[tuple[Clip, Clip]]:
    """Pairs of clips that were learned from together, so many of each voice."""
    names = {clip.id.replace("/", "-"): clip for clip in clips.values()}
    training = recipe.read(work / "t2s" / "config.yaml").open_source()
    pairs: dict[str, list[tuple[Clip, Clip]]] = {}
    for number in training.training.tolist():
        one, other = training.manifest[number].id.split("--")
        pairs.setdefault(names[one].speaker, []).append((names[one], names[other]))
    return [pair for own in pairs.values() for pair in own[:most]]


def heard(  # noqa: PLR0913  (what it takes to judge)
    work: Path,
    kind: str,
    prompt: Clip,
    target: Clip,
    speaker: Trained,
    listener: Any,
    voices: Any,
    clips: dict[str, Clip],
) -> dict[str, Any]:
    """Says a sentence in the voice of a prompt: what is heard of it, of its codes alone, and of the recording."""
    recording, text = sound_of(target), target.text or ""
    said = speaker.say(text, sound_of(prompt), prompt_text=prompt.text or "")
    with torch.inference_mode():
        codes = speaker.acoustic.encode(torch.from_numpy(recording.samples)[None])
        copied = Sound(speaker.acoustic.decode(codes)[0].numpy(), RATE)
        half = from_semantic(speaker, sound_of(prompt), recording)
    folder = work / "said" / kind
    folder.mkdir(parents=True, exist_ok=True)
    name = target.id.replace("/", "-")
    row: dict[str, Any] = {"id": target.id, "prompt": prompt.id, "text": text}
    for what, sound in (("chain", said), ("s2a_alone", half), ("codec", copied), ("recording", recording)):
        sound.save(folder / f"{name}-{what}.wav")
        row[what] = listener.transcribe(sound.samples, sound.sample_rate, "en")
    point = voices.embed(said.mono().resample(voices.rate).samples)
    like = {v: similarity(point, v, prompt, voices, clips) for v in sorted({c.speaker for c in clips.values()})}
    row["own"] = like[prompt.speaker]
    row["unrelated"] = float(np.mean([value for voice, value in like.items() if voice != prompt.speaker]))
    row["seconds"], row["recorded_seconds"] = round(said.seconds, 2), round(recording.seconds, 2)
    return row


def from_semantic(speaker: Trained, prompt: Sound, recording: Sound) -> Sound:
    """The recording's own semantic codes, said by S2A in the voice of the prompt."""
    whole, told = [], []
    for sound in (prompt, recording):
        features = torch.from_numpy(speaker.ears.encode(sound.resample(content.RATE).samples))[None]
        codes = speaker.acoustic.encode(torch.from_numpy(sound.samples)[None])[0]
        semantic = speaker.semantic.encode(features)[0, :, 0]
        frames = min(len(codes), len(semantic))
        whole.append(semantic[:frames])
        told.append(codes[:frames])
    made = speaker.s2a.sample([torch.cat(whole)], [told[0]])[0]
    return Sound(speaker.acoustic.decode(made[None])[0].numpy(), RATE)


def similarity(point: np.ndarray, voice: str, prompt: Clip, voices: Any, clips: dict[str, Clip]) -> float:
    """Cosine of what was said with recordings of a voice, the prompt itself left out."""
    others = [clip for clip in clips.values() if clip.speaker == voice and clip.id != prompt.id][:3]
    points = [voices.embed(sound_of(clip).resample(voices.rate).samples) for clip in others]
    return float(np.mean([point @ other for other in points]))


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Word error rates in percent, and how much nearer its own voice is than another."""
    from aoide.metrics.wer import wer

    if not rows:
        return {"sentences": []}
    texts = [row["text"] for row in rows]
    return {
        **{
            f"wer_{what}": round(100 * wer(texts, [row[what] for row in rows]), 1)
            for what in ("chain", "s2a_alone", "codec", "recording")
        },
        "similarity": round(float(np.mean([row["own"] for row in rows])), 3),
        "gain": round(float(np.mean([row["own"] - row["unrelated"] for row in rows])), 3),
        "seconds_off": round(float(np.mean([abs(row["seconds"] / row["recorded_seconds"] - 1) for row in rows])), 3),
        "sentences": rows,
    }


if __name__ == "__main__":
    raise SystemExit(main())
