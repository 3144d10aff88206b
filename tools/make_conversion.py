"""Makes the conversion of a converter, behind the encoder that tools/make_converter.py trained, and the folder:

    python tools/make_conversion.py sing -o work
    python tools/make_conversion.py train work --minutes 82 --sharpen 26
    python tools/make_conversion.py export work -o convert-24k

First the voices of the package say sentences and sing melodies that nobody wrote. They were taught by the teachers of
the takes, and it is their voices that shall be heard; the notes that WORLD made of speech sound less like them.

Then the conversion learns the mel by regression, from an encoder that stays as it is: half of what is heard is
undisguised, so that little is lost, and half disguised, so that it knows other voices.

Then it is sharpened. Regression says the mean of all that may be meant, and a mean is blurred: formants are wide, edges
soft. A critic learns to tell the mel of a singer from the converted one, seeing beside it where the harmonics must
stand, and the conversion learns to please it (least squares, Mao et al. 2016, arXiv:1611.04076; distance of the
critic's features, Larsen et al. 2015, arXiv:1512.09300), while it stays near the recorded mel. In use the mean of the
content is brought to the singer's (`Converter`), which in a short recording is off by what it happens to say; so it is
here, for pieces as short as a second.

Reads work/both.pt; writes work/regressed.pt and work/conversion.pt every three minutes and at the end, and goes on
where it was stopped.
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
from torch.nn import functional
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
from aoide.generate.converter import EDGE, QUIET, Target  # noqa: E402
from aoide.generate.pack_converter import About, export_converter  # noqa: E402
from aoide.generate.retrieval import Bank, loud  # noqa: E402
from aoide.models.svc import harmonic  # noqa: E402
from aoide.score.score import Note  # noqa: E402

SENTENCES = Path(__file__).resolve().parents[1] / "recipes" / "tts" / "sentences-en.txt.gz"
SONGS = {"heart": ("en", "en-heart-song", 120), "f001": ("ja", "ja-f001-song", 60)}  # who sings, how many
FIRST_SONG = 20_000  # the number of the first melody, none of which is among those of benchmarks/singing.py
LOWEST, WIDE = (48, 50, 52, 55, 57, 60, 62), (12, 14, 17)  # MIDI numbers where a melody lies, and semitones
SPEECH, SPEAKS = 542, (1.5, 12.0)  # sentences that en-heart says, and seconds of one
CONFIG = harmonic.Config(speakers=len(SINGERS) + len(OTHERS), dim=256, hidden=768, layers=8, loudness=0.17)
SHARES = {"spoken": 3, "heart's speech": 3, "heart's songs": 2, "f001": 3, "others": 2}  # of a batch
CENTRED, CLIPS_OF_MEAN = 0.6, 60  # share of items whose mean is moved, and clips of a group that tell a singer's
UNDISGUISED, VAGUE = 0.5, (0.05, 0.15)  # share of items, and deviation of the noise on their content and on the others'
LOUDER = 0.1  # deviation of what training adds to the loudness of an item, in nats
REGRESSION = {"lr": 1.5e-3, "betas": (0.9, 0.98), "decay": 0.02, "ema": 0.998, "warmup": 200, "level": 0.3}
SHARPENING = {"lr": 3e-4, "betas": (0.8, 0.99), "ema": 0.996, "warmup": 50}
ALONE = 60  # steps that the critic learns before the conversion does
WEIGHTS = {"mel": 1.0, "adversarial": 0.5, "features": 5.0}
CHANNELS = (24, 48, 64, 64)
SAVED = 180  # seconds from checkpoint to checkpoint
ABOUT = {"heart": "the voice of en-heart, English", "f001": "the voice of ja-f001-song, Japanese"}
PEAKS = 0.3  # of the exported conversion
CLIPS, ROWS = 300, 3000  # of a singer, from which frames are kept, and how many
TAKES = 200  # of a singer, from which F0, level and content are measured


# ---------------------------------------------------------------------------------------------------------------- sing


def sing(options: argparse.Namespace) -> None:
    """Writes work/SINGER-NUMBER-song.npz and -said.npz: T (frames, mels), f0 (frames,), and labels that say nothing."""
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
    voice, said = aoide.load("en-heart"), 0
    for line in tqdm(lines(7), desc="sentences", total=SPEECH, disable=None):
        sound = voice.say(line)
        if SPEAKS[0] < sound.seconds < SPEAKS[1]:
            keep(options.output / f"heart-{said:04}-said.npz", sound)
            said += 1
        if said == SPEECH:
            break


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


class Critic(nn.Module):
    """mel and the harmonics' places (batch, 2, frames, mels) -> maps of features, the last of them the verdict."""

    def __init__(self) -> None:
        super().__init__()
        first, second, third, fourth = CHANNELS
        self.layers = nn.ModuleList(
            [
                nn.Conv2d(2, first, 5, stride=2, padding=2),
                nn.Conv2d(first, second, 5, stride=2, padding=2),
                nn.Conv2d(second, third, 3, stride=2, padding=1),
                nn.Conv2d(third, fourth, 3, padding=1),
                nn.Conv2d(fourth, 1, 3, padding=1),
            ]
        )

    def forward(self, x: Tensor) -> list[Tensor]:
        maps = []
        for layer in self.layers:
            x = layer(x)
            maps.append(x)
            x = functional.leaky_relu(x, 0.2)
        return maps


class Trainer:
    """What both steps share: the encoder, the data, and the conversion that learns."""

    def __init__(self, work: Path) -> None:
        self.work = work
        trained = Both()
        trained.load_state_dict(torch.load(work / "both.pt", weights_only=True)["mean"])
        self.encoder, self.voice = trained.content, harmonic.Model(CONFIG).train()
        groups, self.held = load(work)
        groups["f001"] += groups.pop("f001's songs")
        self.groups, self.centres = groups, dict[int, Tensor]()
        self.batches = batches({name: groups[name] for name in SHARES}, np.random.default_rng(0), SHARES)

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

    def centred(self, content: Tensor, batch: dict[str, Tensor]) -> Tensor:
        """Some items' content with its mean where that of the singer lies, as it is in use."""
        moved, edge = content.clone(), torch.from_numpy(EDGE).float()[None, None]
        for item in torch.nonzero(torch.rand(len(content)) < CENTRED)[:, 0]:
            sound = sounding(batch["mel"][item], batch["f0"][item]) & batch["mask"][item]
            if sound.sum() >= 10:
                near = functional.conv1d(sound.float()[None, None], edge, padding=edge.shape[-1] // 2)[0, 0]
                moved[item] += near[:, None] * (self.centre(int(batch["speaker"][item])) - content[item][sound].mean(0))
        return moved

    def centre(self, singer: int) -> Tensor:
        """The mean content of what a singer says, (values,)."""
        if singer not in self.centres:
            names = ("spoken", "heart's speech") if SINGERS[singer] == "heart" else ("f001",)
            self.encoder.eval()
            heard, random = [], np.random.default_rng(1)
            for name in names:
                for index in random.choice(len(self.groups[name]), CLIPS_OF_MEAN, replace=False):
                    item = collate([self.groups[name][index]])
                    with torch.no_grad():
                        content = self.encoder.listen(item["mel"], item["f0"])[0]
                    heard.append(content[sounding(item["mel"][0], item["f0"][0])])
            self.centres[singer] = torch.cat(heard).mean(0)
        return self.centres[singer]

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


def sounding(mel: Tensor, f0: Tensor) -> Tensor:
    """Frames that are sound and no pause, (frames,) bool: as loud as voiced ones are, less QUIET."""
    level, voiced = mel.exp().square().sum(-1).sqrt().clamp(min=1e-9).log(), f0 > 0
    usual = level[voiced].median() if voiced.sum() > 5 else level.quantile(0.7)
    return level > usual - QUIET


def apart(made: Tensor, batch: dict[str, Tensor]) -> Tensor:
    return (made - batch["mel"]).abs().mean(-1)[batch["mask"]].mean()


def steps(
    of: Trainer, path: Path, parts: nn.ModuleDict, optimisers: list[torch.optim.Optimizer], minutes: float
) -> Iterator[tuple[int, float, dict[str, Tensor], dict[str, Tensor]]]:
    """Batches for so many minutes of processor time: (step, share of the time, batch, the conversion's mean weights).

    Goes on from `path`, and writes it from time to time, once the step is done.
    """
    mean = {name: value.clone() for name, value in of.voice.state_dict().items()}
    spent, step = 0.0, 0
    if path.exists():
        state = torch.load(path, weights_only=True)
        parts.load_state_dict(state["model"])
        for optimiser, known in zip(optimisers, state["optimiser"], strict=True):
            optimiser.load_state_dict(known)
        mean, spent, step = state["mean"], state["spent"], state["step"]
    began, saved, whole = time.process_time() - spent, spent, minutes * 60
    while spent < whole:
        yield step, spent / whole, next(of.batches), mean
        step, spent = step + 1, time.process_time() - began
        if spent - saved > SAVED or spent >= whole:
            saved = spent
            save(path, parts, optimisers, mean, spent, step)
            print(f"step {step}, {spent:.0f} s, held out:", of.judged(mean), flush=True)


def paced(optimiser: torch.optim.Optimizer, lr: float) -> None:
    for group in optimiser.param_groups:
        group["lr"] = lr


def fall(share: float, level: float) -> float:
    """1 for a share of the time, then down to 0 as a cosine."""
    return 1.0 if share < level else 0.5 + 0.5 * float(np.cos(np.pi * (share - level) / (1 - level)))


def regress(of: Trainer, minutes: float) -> None:
    how = REGRESSION
    optimiser = torch.optim.AdamW(of.voice.parameters(), how["lr"], how["betas"], weight_decay=how["decay"])
    path, parts = of.work / "regressed.pt", nn.ModuleDict({"model": of.voice})
    for step, share, batch, mean in steps(of, path, parts, [optimiser], minutes):
        paced(optimiser, how["lr"] * min(1.0, (step + 1) / how["warmup"]) * fall(share, how["level"]) + 1e-5)
        apart(of.made(of.voice, of.heard(batch), batch), batch).backward()
        nn.utils.clip_grad_norm_(of.voice.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad()
        follow(mean, of.voice, min(how["ema"], (step + 1) / (step + 15)))


def sharpen(of: Trainer, minutes: float) -> None:
    of.voice.load_state_dict(torch.load(of.work / "regressed.pt", weights_only=True)["mean"])
    how, critic = SHARPENING, Critic().train()
    optimisers = [torch.optim.AdamW(part.parameters(), how["lr"], how["betas"]) for part in (critic, of.voice)]
    path, parts = of.work / "conversion.pt", nn.ModuleDict({"model": of.voice, "critic": critic})
    for step, share, both, mean in steps(of, path, parts, optimisers, minutes):
        for optimiser in optimisers:
            paced(optimiser, how["lr"] * min(1.0, (step + 1) / how["warmup"]) * fall(share, 0.0))
        batch = {name: value[: len(both["labels"])] for name, value in both.items()}  # the singers' items
        made = of.made(of.voice, of.centred(of.heard(batch), batch), batch)
        real, false = seen(of.voice, batch["mel"], batch["f0"]), seen(of.voice, made, batch["f0"])
        critics = verdict(critic, real, false)
        critics.backward()
        optimisers[0].step()
        found = {"mel": apart(made, batch)} | pleasing(critic, real, false)
        if step >= ALONE:
            torch.stack([WEIGHTS[name] * loss for name, loss in found.items()]).sum().backward()
            nn.utils.clip_grad_norm_(of.voice.parameters(), 5.0)
            optimisers[1].step()
            follow(mean, of.voice, how["ema"])
        parts.zero_grad()
        if step % 100 == 0:
            print(f"step {step}: critic {float(critics.detach()):.3f},", shown(found), flush=True)


def seen(voice: harmonic.Model, mel: Tensor, f0: Tensor) -> Tensor:
    """What the critic sees, (batch, 2, frames, mels)."""
    places = voice.harmonics(f0).masked_fill((f0 <= 0)[..., None], 0.0)
    return torch.stack([(mel + 5) / 3, places / 3], dim=1)


def verdict(critic: Critic, real: Tensor, false: Tensor) -> Tensor:
    """The critic's loss."""
    right, wrong = critic(torch.cat([real, false.detach()]))[-1].chunk(2)
    return (right - 1).square().mean() + wrong.square().mean()


def pleasing(critic: Critic, real: Tensor, false: Tensor) -> dict[str, Tensor]:
    """The conversion's losses before the critic."""
    maps = critic(false)
    with torch.no_grad():
        wanted = critic(real)
    distances = [(a - b).abs().mean() / b.abs().mean() for a, b in zip(maps[:-1], wanted[:-1], strict=True)]
    return {"adversarial": (maps[-1] - 1).square().mean(), "features": torch.stack(distances).mean()}


def train(options: argparse.Namespace) -> None:
    """Trains for so many minutes of processor time."""
    torch.manual_seed(0)
    trainer = Trainer(options.work)
    regress(trainer, options.minutes)
    sharpen(trainer, options.sharpen)


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
    found = [path for path in work.glob(f"{singer}-*.npz") if not path.stem.endswith(("-sung", "-song", "-said"))]
    return sorted(found, key=lambda path: zlib.crc32(path.name.encode()))


@torch.inference_mode()
def measured(work: Path, singer: str, encoder: nn.Module) -> Target:
    """Where a singer's own F0 lies, how loud the voice is there, and the mean of the content."""
    f0, level, content = [], [], []
    for path in spread(work, singer)[:TAKES]:
        with np.load(path) as file:
            frames = min(len(file["f0"]), len(file["level"]))
            mel, hz, loud = (file[name][:frames].astype(np.float32) for name in ("T", "f0", "level"))
        voiced = (hz > 0) & (loud > 1e-4)
        if voiced.any():
            f0.append(hz[voiced])
            level.append(loud[voiced])
            heard = encoder.listen(torch.from_numpy(mel)[None], torch.from_numpy(hz)[None])[0].numpy()
            content.append(heard[loud > np.median(loud[voiced]) * math.exp(-QUIET)])
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
    first = steps.add_parser("sing", help="what the voices of the package sing and say")
    first.add_argument("-o", "--output", type=Path, required=True)
    first.set_defaults(run=sing)
    second = steps.add_parser("train")
    second.add_argument("work", type=Path)
    second.add_argument("--minutes", type=float, default=82, help="of regression, in processor time")
    second.add_argument("--sharpen", type=float, default=26, help="minutes before the critic")
    second.set_defaults(run=train)
    third = steps.add_parser("export")
    third.add_argument("work", type=Path)
    third.add_argument("-o", "--output", type=Path, required=True)
    third.set_defaults(run=export)
    options = parser.parse_args()
    options.run(options)


if __name__ == "__main__":
    main()
