"""Makes the conversion of a converter, behind the encoder that tools/make_converter.py trained, and the folder:

    python tools/make_conversion.py sing -o work
    python tools/make_conversion.py train work --minutes 67
    python tools/make_conversion.py export work -o convert-24k

First the singers of the package sing melodies that nobody wrote. They were taught by the teachers of the takes, and it
is their voices that shall be heard; the notes that WORLD made of speech sound less like them.

Then the conversion learns the mel by regression, from an encoder that stays as it is: half of what is heard is
undisguised, so that little is lost, and half disguised, so that it knows other voices. Regression says the mean of all
that may be meant, and a mean is blurred; PEAKS makes formants higher again in use. (A critic did the same for
DistillMOS, and cost similarity and words.)

Reads work/both.pt; writes work/conversion.pt every three minutes and at the end, and goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import gzip
import math
import re
import sys
import time
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parent))

from make_converter import (  # noqa: E402
    MEL,
    OTHERS,
    SINGERS,
    UNTOLD,
    Both,
    Said,
    batches,
    collate,
    follow,
    load,
    put,
    save,
    shown,
)

import aoide  # noqa: E402
from aoide.audio import pitch  # noqa: E402
from aoide.audio.sound import Sound  # noqa: E402
from aoide.audio.spectrum import log_mel  # noqa: E402
from aoide.data.corpora._melodies import melody  # noqa: E402
from aoide.generate.convert import CEILING, FLOOR  # noqa: E402
from aoide.generate.converter import QUIET, Target  # noqa: E402
from aoide.generate.pack_converter import About, export_converter  # noqa: E402
from aoide.generate.retrieval import Bank, loud  # noqa: E402
from aoide.models.svc import harmonic  # noqa: E402
from aoide.score.score import Note  # noqa: E402

SENTENCES = Path(__file__).resolve().parents[1] / "recipes" / "tts" / "sentences-en.txt.gz"
SONGS = {"heart": ("en", "en-heart-song", 120), "f001": ("ja", "ja-f001-song", 60)}  # who sings, how many
FIRST_SONG = 20_000  # the number of the first melody, none of which is among those of benchmarks/singing.py
LOWEST, WIDE = (48, 50, 52, 55, 57, 60, 62), (12, 14, 17)  # MIDI numbers where a melody lies, and semitones
CONFIG = harmonic.Config(speakers=len(SINGERS) + len(OTHERS), dim=256, hidden=768, layers=8, loudness=0.17)
SHARES = {"spoken": 5, "heart's songs": 2, "f001": 3, "others": 2}  # of a batch
UNDISGUISED, VAGUE = 0.5, (0.05, 0.15)  # share of items, and deviation of the noise on their content and on the others'
LOUDER = 0.1  # deviation of what training adds to the loudness of an item, in nats
LR, BETAS, DECAY, EMA = 1.5e-3, (0.9, 0.98), 0.02, 0.998
WARMUP, LEVEL = 200, 0.3  # steps, and share of the time before the rate falls
SAVED = 180  # seconds from checkpoint to checkpoint
ABOUT = {"heart": "the voice of en-heart, English", "f001": "the voice of ja-f001-song, Japanese"}
PEAKS = 0.4  # of the exported conversion
CLIPS, ROWS = 300, 3000  # of a singer, from which frames are kept, and how many
TAKES = 200  # of a singer, from which F0, level and content are measured


# ---------------------------------------------------------------------------------------------------------------- sing


def sing(options: argparse.Namespace) -> None:
    """Writes work/SINGER-NUMBER-song.npz: T (frames, mels), f0 (frames,), and labels that say nothing."""
    options.output.mkdir(parents=True, exist_ok=True)
    words = (word for line in lines(3) if not re.search(r"\d", line) for word in re.findall(r"[a-z']+", line.lower()))
    for name, (language, voice, count) in SONGS.items():
        singer, random = aoide.load(voice), np.random.default_rng(5)
        for number in tqdm(range(count), desc=f"songs of {name}", disable=None):
            low, wide = int(random.choice(LOWEST)), int(random.choice(WIDE))
            score = melody(FIRST_SONG + number, language, low=low, high=low + wide)
            if language == "en":
                score = replace(score, notes=tuple(worded(score.notes, words)))
            keep(options.output / f"{name}-{number:04}-song.npz", singer.sing(score, seed=number))


def lines(seed: int) -> Iterator[str]:
    """Sentences from which the voices learned, in an order by chance."""
    with gzip.open(SENTENCES, "rt", encoding="utf-8") as file:
        known = file.read().splitlines()
    yield from (known[index] for index in np.random.default_rng(seed).permutation(len(known)))


def worded(notes: Iterable[Note], words: Iterator[str]) -> Iterator[Note]:
    """The notes with other words: one for as many notes as it has groups of vowels."""
    left = 0
    for note in notes:
        lyric = "+" if left else next(words)
        left = left - 1 if left else max(1, len(re.findall(r"[aeiouy]+", lyric.removesuffix("e")))) - 1
        yield replace(note, lyric=lyric, hyphen=False, slur=False)


def keep(path: Path, sound: Sound) -> None:
    samples = sound.mono().resample(MEL.sample_rate).samples
    samples = samples[: len(samples) // MEL.hop * MEL.hop]
    mel = log_mel(samples, MEL)
    f0 = pitch.track(samples, MEL.sample_rate, MEL.hop, "swift", FLOOR, CEILING)[: len(mel)]
    put(path, {"T": mel.astype(np.float16), "f0": f0, "labels": np.full(len(mel), UNTOLD, np.int16)})


# ---------------------------------------------------------------------------------------------------------------- train


class Trainer:
    """The encoder, the data, and the conversion that learns."""

    def __init__(self, work: Path) -> None:
        trained = Both()
        trained.load_state_dict(torch.load(work / "both.pt", weights_only=True)["mean"])
        self.encoder, self.voice = trained.content, harmonic.Model(CONFIG).train()
        groups, self.held = load(work)
        if lacking := {*SHARES, "f001's songs"} - set(groups):
            raise SystemExit(f"{work}: no {', '.join(sorted(lacking))}; make_converter.py and `sing` write them")
        groups["f001"] += groups.pop("f001's songs")
        self.groups = {name: groups[name] for name in SHARES}

    def heard(self, batch: dict[str, Tensor]) -> Tensor:
        """The content of a batch, some of it undisguised, (batch, frames, values)."""
        content = batch["mel"].new_empty(*batch["mel"].shape[:2], CONFIG.content)
        plain = torch.rand(len(content)) < UNDISGUISED
        for items, disguise, vague in ((plain, False, VAGUE[0]), (~plain, True, VAGUE[1])):
            if items.any():
                self.encoder.train(disguise)
                with torch.no_grad():
                    said = self.encoder.listen(*(batch[name][items] for name in ("mel", "f0", "mask")))
                content[items] = said + vague * torch.randn_like(said)
        return content

    def made(self, voice: harmonic.Model, content: Tensor, batch: dict[str, Tensor]) -> Tensor:
        energy = batch["mel"].exp().square().sum(-1).sqrt()
        if voice.training:
            energy = energy * (LOUDER * torch.randn(len(energy), 1)).exp()
        return voice(content, batch["f0"], energy, batch["speaker"], frame_mask=batch["mask"]).mel

    def judged(self, mean: dict[str, Tensor]) -> str:
        """The distance of the held-out clips, singer by singer, and of others."""
        voice, found = harmonic.Model(CONFIG).eval(), dict[str, list[float]]()
        voice.load_state_dict(mean)
        self.encoder.eval()
        whose: dict[str, list[Said]] = {}
        for item in self.held:
            whose.setdefault((*SINGERS, "others")[min(item.speaker, len(SINGERS))], []).append(item)
        with torch.inference_mode():
            for name, items in whose.items():
                for item in items[:: max(1, len(items) // 25)]:
                    batch = collate([item])
                    content = self.encoder.listen(batch["mel"], batch["f0"], batch["mask"])
                    found.setdefault(name, []).append(float(apart(self.made(voice, content, batch), batch)))
        return shown({name: float(np.mean(values)) for name, values in found.items()})


def apart(made: Tensor, batch: dict[str, Tensor]) -> Tensor:
    return (made - batch["mel"]).abs().mean(-1)[batch["mask"]].mean()


def train(options: argparse.Namespace) -> None:
    """Trains for so many minutes of processor time."""
    torch.manual_seed(0)
    of, path, spent, step = Trainer(options.work), options.work / "conversion.pt", 0.0, 0
    optimiser = torch.optim.AdamW(of.voice.parameters(), LR, BETAS, weight_decay=DECAY)
    mean = {name: value.clone() for name, value in of.voice.state_dict().items()}
    if path.exists():
        state = torch.load(path, weights_only=True)
        of.voice.load_state_dict(state["model"])
        optimiser.load_state_dict(state["optimiser"])
        mean, spent, step = state["mean"], state["spent"], state["step"]
    began, saved, whole = time.process_time() - spent, spent, options.minutes * 60
    drawn = batches(of.groups, np.random.default_rng(step), SHARES)
    while spent < whole:
        batch = next(drawn)
        for group in optimiser.param_groups:
            group["lr"] = rate(spent / whole, step)
        loss = apart(of.made(of.voice, of.heard(batch), batch), batch)
        loss.backward()
        nn.utils.clip_grad_norm_(of.voice.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad()
        step, spent = step + 1, time.process_time() - began
        follow(mean, of.voice, min(EMA, (step + 1) / (step + 15)))
        if step % 100 == 0:
            print(f"step {step}, {spent:.0f} s: {float(loss.detach()):.3f}", flush=True)
        if spent - saved > SAVED or spent >= whole:
            saved = spent
            save(path, of.voice, optimiser, mean, spent, step)
            print("held out:", of.judged(mean), flush=True)


def rate(share: float, step: int) -> float:
    """The learning rate: up, level for a third, then down as a cosine."""
    fall = 1.0 if share < LEVEL else 0.5 + 0.5 * math.cos(math.pi * (share - LEVEL) / (1 - LEVEL))
    return LR * min(1.0, (step + 1) / WARMUP) * fall + 1e-5


# --------------------------------------------------------------------------------------------------------------- export


def export(options: argparse.Namespace) -> None:
    """Writes the folder; its card's figures are those of benchmarks/singing.py, written in by hand."""
    trained = Both().eval()
    trained.load_state_dict(torch.load(options.work / "both.pt", weights_only=True)["mean"])
    voice = harmonic.Model(replace(CONFIG, speakers=len(SINGERS), peaks=PEAKS)).eval()
    state = torch.load(options.work / "conversion.pt", weights_only=True)["mean"]
    voice.load_state_dict(state | {"speakers.weight": state["speakers.weight"][: len(SINGERS)]})  # nobody else
    about = About(
        name=options.output.name,
        licence="CC-BY-SA-3.0",
        summary="Singing and speech in the voice heart (English) or f001 (Nitech's singer, Japanese); without torch.",
        singers={name: measured(options.work, name, trained.content) for name in SINGERS},
        energy="bands",
    )
    banks = {name: bank(options.work, name) for name in SINGERS}
    export_converter(trained.content, voice, options.output, about, banks=banks)


def bank(work: Path, singer: str) -> Bank:
    """Frames of what a singer said, as it was."""
    mel, f0 = [], []
    for path in spread(work, singer)[:CLIPS]:
        with np.load(path) as file:
            frames = loud(file["T"])
            mel.append(file["T"][frames])
            f0.append(file["f0"][: len(frames)][frames])
    return Bank.of(np.concatenate(mel), np.concatenate(f0), MEL, ROWS)


def spread(work: Path, singer: str) -> list[Path]:
    """The teacher's takes of what a singer said as it was, in an order by chance."""
    found = [path for path in work.glob(f"{singer}-*.npz") if not path.stem.endswith(("-sung", "-song"))]
    return sorted(found, key=lambda path: zlib.crc32(path.name.encode()))


@torch.inference_mode()
def measured(work: Path, singer: str, encoder: nn.Module) -> Target:
    """Where a singer's own F0 lies, how loud the voice is there, and the mean of the content."""
    f0, level, content = [], [], []
    for path in spread(work, singer)[:TAKES]:
        with np.load(path) as file:
            frames = min(len(file["f0"]), len(file["level"]))
            mel, hz, rms = (file[name][:frames].astype(np.float32) for name in ("T", "f0", "level"))
        voiced = (hz > 0) & (rms > 1e-4)
        if voiced.any():
            f0.append(hz[voiced])
            level.append(rms[voiced])
            heard = encoder.listen(torch.from_numpy(mel)[None], torch.from_numpy(hz)[None])[0].numpy()
            content.append(heard[rms > np.median(rms[voiced]) * math.exp(-QUIET)])
    median = [float(np.median(np.concatenate(values))) for values in (f0, level)]
    sung = [np.load(path)["f0"] for path in sorted(work.glob(f"{singer}-*-sung.npz"))[:TAKES]]
    height = round(float(np.median(np.concatenate([each[each > 0] for each in sung]))), 1) if sung else None
    return Target(
        f0=round(median[0], 1),
        level=round(float(np.log(median[1])), 3),
        sung=height,
        content=tuple(round(float(value), 3) for value in np.concatenate(content).mean(0)),
        about=ABOUT[singer],
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    steps = parser.add_subparsers(required=True)
    first = steps.add_parser("sing", help="what the singers of the package sing")
    first.add_argument("-o", "--output", type=Path, required=True)
    first.set_defaults(run=sing)
    second = steps.add_parser("train")
    second.add_argument("work", type=Path)
    second.add_argument("--minutes", type=float, default=67, help="of processor time")
    second.set_defaults(run=train)
    third = steps.add_parser("export")
    third.add_argument("work", type=Path)
    third.add_argument("-o", "--output", type=Path, required=True)
    third.set_defaults(run=export)
    options = parser.parse_args()
    options.run(options)


if __name__ == "__main__":
    main()
