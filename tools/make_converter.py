"""Makes the encoder of a converter of two synthetic singers, from their teachers on, step by step. Each goes on where
it was stopped; tools/make_conversion.py makes the rest, and the folder:

    aoide prepare taught --root taught -o data/taught; aoide prepare sinsy --root sinsy -o data/sinsy
    python tools/make_sounds.py ...; python tools/make_converter.py takes taught sinsy -o work
    python tools/make_converter.py listen taught sounds --whisper whisper-base -o work
    python tools/make_converter.py train work --minutes 34        on one core; less where there are more
    python tools/make_conversion.py sing -o work
    python tools/make_conversion.py train work
    python tools/make_conversion.py export work -o convert-24k

Takes are what the singers say and sing, with its phonemes, frame by frame; the English one, who only speaks, is also
transposed and made to sing notes that are drawn (WORLD, Morise et al. 2016). To know other voices too, the encoder
listens to recordings of people without knowing their words: what they say is told by Whisper's encoder, of which one
linear layer has learned from the first teacher what the phonemes are. A small conversion learns beside it: the encoder
hears a voice in disguise, tells its phonemes and, through its narrow layer, lets the conversion say what was said, at
its F0, in the voice of who said it. Then that conversion's task is done.
"""

from __future__ import annotations

import argparse
import os
import time
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from aoide.audio import pitch
from aoide.audio.mel_config import MelConfig
from aoide.audio.sound import Sound
from aoide.audio.spectrum import log_mel
from aoide.config import require
from aoide.data.clips import Clip
from aoide.data.corpora import sinsy, taught
from aoide.external.whisper_encoder import HOP, RATE, WhisperEncoder
from aoide.generate.convert import CEILING, FLOOR
from aoide.models.content import phonemes
from aoide.models.svc import harmonic
from aoide.text.phonemes import SYMBOLS

MEL = MelConfig()
STEP, N_FFT = 0.005, 1024  # seconds from frame to frame of WORLD, and its transform
VOWELS = frozenset("AIOWYaəɛæɑɔiuʊʌɪɜᵊᵻeo")
STRESS, PAUSES, UNTOLD = "ˈˌ", ' ;:,.!?—…"()“”', -1
# Sounds of Japanese by the English ones that are nearest, so that one singer can say what the other sings.
NEAREST = {
    "a": "ɑ", "e": "ɛ", "o": "ɔ", "r": "ɾ", "g": "ɡ", "y": "j", "ɴ": "n", "c": "k", "ɟ": "ɡ", "ɕ": "ʃ", "ʨ": "ʧ",
    "ʦ": None, "ʥ": "ʤ", "ɲ": "n", "ç": "h", "β": "b", "ɸ": "p", "ɰ": "m", "T": "t", "ʝ": "d", "ʔ": None,
}  # fmt: skip
SINGERS = ("heart", "f001")
OTHERS = ("asterisk-en", "asterisk-es", "asterisk-fr", "asterisk-it", "asterisk-ru")  # folders of recordings of people
HELD_OUT = 16  # one clip of so many is kept for validation
SUNG = 0.7  # share of what is sung among what is said anew; the rest is transposed
GAP, WINDOW = 0.3, 30.0  # seconds between two clips that Whisper hears at once, and how much it hears
SPEEDS = (0.8, 1.25)  # the teacher is heard so much slower, and lower, and faster
LEARNED = {"steps": 400, "batch": 4096, "lr": 3e-3, "decay": 0.05}  # of the linear layer
FRAMES, SHARES = 128, {"spoken": 3, "sung": 3, "f001": 3, "others": 5}  # of a batch: 19 s
LR, BETAS, DECAY, EMA = 2e-3, (0.9, 0.98), 0.02, 0.998
MEL_WEIGHT, OTHERS_WEIGHT = 4.0, 0.5


@dataclass(frozen=True)
class Take:
    """One way of saying a clip, on WORLD's frames: spectral envelope, noise and F0, (frames, bins) and (frames,)."""

    envelope: np.ndarray
    noise: np.ndarray
    f0: np.ndarray
    edges: np.ndarray  # seconds of the tokens' ends, from 0


# ---------------------------------------------------------------------------------------------------------------- takes


def takes(options: argparse.Namespace) -> None:
    """Writes work/SINGER-ID.npz, and SINGER-ID-sung.npz: T (frames, mels), labels and f0 (frames,), level."""
    options.output.mkdir(parents=True, exist_ok=True)
    for singer, clips, sung in (
        ("f001", sinsy.clips(options.sinsy), 0.0),
        ("heart", taught.clips(options.taught, spectra=False), options.sung),
    ):
        known = [clip for clip in clips if isinstance(clip, Clip)]
        np.random.default_rng(5).shuffle(known)  # type: ignore[arg-type]
        plain = anew = 0.0
        for clip in known:
            plain += kept(options.output / f"{singer}-{clip.id}.npz", clip, singer, retell=False)
            if anew < sung * 3600:
                anew += kept(options.output / f"{singer}-{clip.id}-sung.npz", clip, singer, retell=True)
            if plain > options.plain * 3600 and anew >= sung * 3600:
                break
        print(f"{singer}: {plain / 3600:.2f} h, and {anew / 3600:.2f} h anew", flush=True)


def kept(path: Path, clip: Clip, singer: str, retell: bool) -> float:
    """Writes a take unless it is there; seconds of it."""
    if not path.exists():
        made = take(clip, singer, retell)
        if made is None:
            return 0.0
        put(path, made)
    with np.load(path) as file:
        return len(file["f0"]) / MEL.frame_rate


def put(path: Path, arrays: dict[str, np.ndarray]) -> None:
    aside = path.with_name(f".{path.name}")
    np.savez(aside, **arrays)  # type: ignore[arg-type]
    os.replace(aside, path)


def take(clip: Clip, singer: str, retell: bool) -> dict[str, np.ndarray] | None:
    """What is kept of a clip; None for one that cannot be used."""
    sound = Sound.load(clip.audio).mono()
    durations, labels = np.array(clip.durations), labels_of(clip.phonemes or "")
    f0 = np.load(clip.arrays["f0"])
    if len(labels) != len(durations) or not 1.0 < sound.seconds < 40.0 or not (f0 > 0).any():
        return None
    assert clip.frame_rate is not None
    edges = np.concatenate([[0], np.cumsum(durations)]) / clip.frame_rate
    level = np.sqrt(np.square(sound.samples[: len(sound.samples) // MEL.hop * MEL.hop].reshape(-1, MEL.hop)).mean(1))
    centre = 0.5 if singer == "heart" else 0.0  # the teacher's frames are centred on their middles, WORLD's on the ends
    times = np.arange(int(sound.seconds / STEP) + 1) * STEP
    own = at(times * clip.frame_rate - centre, f0)
    if not retell:
        mel = log_mel(sound.samples, MEL)
        return {"T": mel.astype(np.float16), **on_mel(len(mel), own, edges, labels), "level": level.astype(np.float32)}
    world, random = require("pyworld", "data"), np.random.default_rng(zlib.crc32(clip.id.encode()))
    samples = sound.samples.astype(np.float64)
    envelope = world.cheaptrick(samples, own, times, MEL.sample_rate, fft_size=N_FFT)
    noise = world.d4c(samples, own[::2].copy(), times[::2].copy(), MEL.sample_rate, fft_size=N_FFT)
    plain = Take(envelope, np.repeat(noise, 2, axis=0)[: len(times)], own, edges)
    told = retold(plain, clip.phonemes or "", random.random() < SUNG, random)
    mel = log_mel(speak(world, told), MEL)
    return {"T": mel.astype(np.float16), **on_mel(len(mel), told.f0, told.edges, labels)}


def labels_of(text: str) -> np.ndarray:
    """Tokens of a clip as the encoder shall tell them; stress belongs to what follows, pauses are silence."""
    found = [0]
    for i, symbol in enumerate(text):
        told: str | None = text[i + 1] if symbol in STRESS and i + 1 < len(text) else symbol
        told = NEAREST.get(told, told) if told is not None else None
        short = symbol == " " and any(letter in STRESS for letter in text)  # between two words, no pause
        found.append(UNTOLD if told is None or short else 0 if told in PAUSES else SYMBOLS.get(told, UNTOLD))
    return np.array([*found, 0])


def at(places: np.ndarray, f0: np.ndarray) -> np.ndarray:
    """F0 between its frames: 0 where the nearest is unvoiced."""
    voiced = f0 > 40
    near = np.clip(np.rint(places).astype(int), 0, len(f0) - 1)
    return np.where(voiced[near], np.interp(places, np.flatnonzero(voiced), f0[voiced]), 0.0)


def on_mel(frames: int, f0: np.ndarray, edges: np.ndarray, labels: np.ndarray) -> dict[str, np.ndarray]:
    """Labels and F0 on the frames of the mel."""
    times = np.arange(frames) * MEL.hop / MEL.sample_rate
    token = np.clip(np.searchsorted(edges, times, "right") - 1, 0, len(labels) - 1)
    return {"labels": labels[token].astype(np.int16), "f0": at(times / STEP, f0).astype(np.float32)}


def retold(of: Take, text: str, sung: bool, random: np.random.Generator) -> Take:
    """The clip at other F0 and speed; sung: vowels held, on notes that are drawn, with vibrato."""
    durations = np.diff(of.edges) * random.uniform(0.85, 1.25)
    tokens = f"_{text}_"
    if sung:
        held = [symbol in VOWELS and random.random() < 0.5 for symbol in tokens]
        durations *= 1.15 * np.where(held, random.uniform(1.3, 3.2, len(held)), 1.0)
    edges = np.concatenate([[0.0], np.cumsum(durations)])
    times = np.arange(int(edges[-1] / STEP)) * STEP
    place = np.minimum(np.interp(times, edges, of.edges) / STEP, len(of.f0) - 1.001)
    left = place.astype(int)
    share = (place - left)[:, None]
    log = np.log(of.envelope)
    envelope = np.exp(log[left] * (1 - share) + log[left + 1] * share)
    voiced = of.f0[np.rint(place).astype(int)]
    hz = 2.0 ** melody(tokens, edges, times, random) if sung else voiced * 2 ** (random.uniform(-5, 10) / 12)
    return Take(envelope, of.noise[left], np.where(voiced > 0, hz.clip(75, 1000), 0.0), edges)


def melody(tokens: str, edges: np.ndarray, times: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Octaves above 1 Hz of a walk over semitones, a note a vowel, with glides and vibrato; (frames,)."""
    centre = np.log2(random.uniform(165, 500))
    note, notes = centre, np.full(len(times), centre)
    for symbol, start in zip(tokens, edges, strict=False):
        if symbol in VOWELS and random.random() < 0.8:
            note = np.round(12 * (centre + np.clip(note - centre + random.normal(0, 3) / 12, -7 / 12, 7 / 12))) / 12
        notes[times >= start] = note
    window = np.hanning(int(random.integers(8, 22)) + 2)[1:-1]
    notes = np.convolve(np.pad(notes, len(window), mode="edge"), window / window.sum(), "same")[len(window) :]
    vibrato = random.uniform(0, 0.5) / 12 * np.sin(2 * np.pi * random.uniform(4.8, 6.5) * times)
    return notes[: len(times)] + vibrato + random.normal(0, 0.05) / 12


def speak(world: Any, take: Take) -> np.ndarray:
    parts = (np.ascontiguousarray(part) for part in (take.f0, take.envelope, take.noise))
    return world.synthesize(*parts, MEL.sample_rate, 1000 * STEP).astype(np.float32)


# --------------------------------------------------------------------------------------------------------------- listen


def listen(options: argparse.Namespace) -> None:
    """Writes work/asterisk-NAME.npz: T (frames, mels), f0 (frames,), told (pairs of frames, symbols)."""
    ears = WhisperEncoder(options.whisper)
    paths = [path for name in OTHERS for path in (options.sounds / name).glob("*.flac")]
    paths.sort(key=lambda path: zlib.crc32(path.name.encode()))
    paths = [path for path in paths if not (options.output / f"{path.parent.name}-{path.stem}.npz").exists()]
    layer = learned(ears, options.taught, options.hours / 4)

    def recordings() -> Iterator[tuple[tuple[Path, Sound], np.ndarray]]:
        heard = 0.0
        for path in paths:
            sound = Sound.load(path).mono()
            if 0.8 < sound.seconds < WINDOW - GAP and heard < options.hours * 3600:
                heard += sound.seconds
                yield (path, sound), sound.resample(RATE).samples

    for (path, sound), features in encoded(ears, recordings()):
        samples = sound.resample(MEL.sample_rate).samples
        mel = log_mel(samples, MEL)
        f0 = pitch.track(samples, MEL.sample_rate, MEL.hop, "swift", FLOOR, CEILING)
        with torch.inference_mode():
            told = layer(torch.from_numpy(features)).softmax(-1).numpy()
        pairs = np.arange(-(-len(mel) // 2))
        place = np.clip((2 * pairs + 0.5) * MEL.hop / MEL.sample_rate * RATE / HOP, 0, len(told) - 1.001)
        left, share = place.astype(int), (place % 1)[:, None]
        told = told[left] * (1 - share) + told[left + 1] * share
        arrays = {"T": mel.astype(np.float16), "f0": f0[: len(mel)], "told": told.astype(np.float16)}
        put(options.output / f"{path.parent.name}-{path.stem}.npz", arrays)


def encoded(ears: WhisperEncoder, clips: Iterable[tuple[Any, np.ndarray]]) -> Iterator[tuple[Any, np.ndarray]]:
    """(name, samples at Whisper's rate) -> (name, features (frames, dim)); many clips are heard at once."""
    held: list[tuple[Any, int, int]] = []
    sound = np.zeros(0, np.float32)

    def heard() -> Iterator[tuple[Any, np.ndarray]]:
        features = ears.encode(sound)
        for name, start, stop in held:
            yield name, features[start // HOP : stop // HOP]

    for name, samples in clips:
        if held and len(sound) + len(samples) > WINDOW * RATE:
            yield from heard()
            held, sound = [], np.zeros(0, np.float32)
        held.append((name, len(sound), len(sound) + len(samples)))
        gap = -(len(sound) + len(samples)) % HOP + round(GAP * RATE) // HOP * HOP
        sound = np.concatenate([sound, samples, np.zeros(gap, np.float32)])
    if held:
        yield from heard()


def learned(ears: WhisperEncoder, root: Path, hours: float) -> nn.Module:
    """A layer that names the phonemes of Whisper's features: (frames, dim) -> (frames, symbols)."""
    random = np.random.default_rng(0)

    def spoken() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        known = [clip for clip in taught.clips(root, spectra=False) if isinstance(clip, Clip)]
        seconds = 0.0
        for index in random.permutation(len(known)):
            clip, speed = known[index], random.uniform(*SPEEDS)
            labels, durations = labels_of(clip.phonemes or ""), np.array(clip.durations)
            if len(labels) != len(durations) or clip.frame_rate is None:
                continue
            sound = Sound.load(clip.audio).mono()
            sound = Sound(sound.samples, round(sound.sample_rate * speed)).resample(RATE)
            edges = np.concatenate([[0], np.cumsum(durations)]) / clip.frame_rate / speed
            times = np.arange(len(sound.samples) // HOP) * HOP / RATE
            token = np.clip(np.searchsorted(edges, times, "right") - 1, 0, len(labels) - 1)
            seconds += sound.seconds
            yield labels[token], sound.samples
            if seconds > hours * 3600:
                return

    heard = [(features, labels[: len(features)]) for labels, features in encoded(ears, spoken())]
    features = torch.from_numpy(np.concatenate([features for features, _ in heard]))
    labels = torch.from_numpy(np.concatenate([labels for _, labels in heard])).long()
    mean, deviation = features.mean(0), features.std(0) + 1e-5
    torch.manual_seed(0)
    layer = nn.Linear(features.shape[1], max(SYMBOLS.values()) + 1)
    optimiser = torch.optim.AdamW(layer.parameters(), lr=LEARNED["lr"], weight_decay=LEARNED["decay"])
    held = torch.arange(len(labels)) > 0.93 * len(labels)
    known = torch.nonzero((labels != UNTOLD) & ~held)[:, 0]
    for _ in range(int(LEARNED["steps"])):
        chosen = known[torch.randint(len(known), (int(LEARNED["batch"]),))]
        scores = layer((features[chosen] - mean) / deviation)
        functional.cross_entropy(scores, labels[chosen], label_smoothing=0.02).backward()
        optimiser.step()
        optimiser.zero_grad()
    with torch.no_grad():
        layer.weight /= deviation
        layer.bias -= layer.weight @ mean
        asked = held & (labels != UNTOLD)
        right = (layer(features[asked]).argmax(-1) == labels[asked]).float().mean()
    print(f"Whisper's phonemes: {len(labels)} frames, {100 * right:.1f} % right on what is held out", flush=True)
    return layer


# ---------------------------------------------------------------------------------------------------------------- train


@dataclass(frozen=True)
class Said:
    """One clip in memory, on the frames of the mel; of the singers with labels, of others with the phonemes' shares."""

    speaker: int  # the singers come first
    mel: np.ndarray  # (frames, mels) float16
    f0: np.ndarray
    labels: np.ndarray  # (frames,), or (pairs, symbols)

    def part(self, random: np.random.Generator) -> Said:
        """FRAMES of it, from an even one on."""
        start = int(random.integers(0, max(1, len(self.f0) - FRAMES))) // 2 * 2
        cut = slice(start, start + FRAMES)
        labels = self.labels[cut] if self.labels.ndim == 1 else self.labels[start // 2 : (start + FRAMES) // 2]
        return Said(self.speaker, self.mel[cut], self.f0[cut], labels)


class Both(nn.Module):
    """The two networks that learn together."""

    def __init__(self) -> None:
        super().__init__()
        self.content = phonemes.Model(phonemes.Config())
        self.voice = harmonic.Model(harmonic.Config(speakers=len(SINGERS) + len(OTHERS)))

    def losses(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Cross-entropy of the phonemes of singers and of others, and L1 of the mel."""
        mel, mask, found = batch["mel"], batch["mask"], {}
        heard = self.content(mel, batch["f0"], mask)
        own = len(batch.get("labels", ()))
        if own:
            scores, labels = heard.scores[:own].flatten(0, 1), batch["labels"].flatten()
            found["phonemes"] = functional.cross_entropy(scores, labels, ignore_index=UNTOLD, label_smoothing=0.03)
        if own < len(mel):
            scores = heard.scores[own:, ::2].log_softmax(-1)
            found["others"] = -(batch["told"] * scores).sum() / batch["told"].sum()
        energy = mel.exp().square().sum(-1).sqrt()
        if self.training:
            energy = energy * (0.08 * torch.randn_like(energy)).exp()
        made = self.voice(heard.content, batch["f0"], energy, batch["speaker"], frame_mask=mask).mel
        found["mel"] = (made - mel).abs().mean(-1)[mask].mean()
        return found


def load(work: Path) -> tuple[dict[str, list[Said]], list[Said]]:
    """Clips for training, in groups of which each gets its share of a batch, and those that are held out."""
    groups: dict[str, list[Said]] = {}
    held: list[Said] = []
    for path in sorted(work.glob("*-*.npz")):
        with np.load(path) as file:
            names = [name for name in (*SINGERS, *OTHERS) if path.stem.startswith(f"{name}-")]
            speaker = (*SINGERS, *OTHERS).index(names[0])
            own = Said(speaker, file["T"], file["f0"], file["labels" if names[0] in SINGERS else "told"])
        whose = names[0] if names[0] in SINGERS else "others"
        kind = path.stem.rpartition("-")[2]
        if whose == "heart":
            whose = {"sung": "sung", "song": "heart's songs"}.get(kind, "spoken")
        elif whose == "f001" and kind == "song":
            whose = "f001's songs"
        (held if zlib.crc32(path.stem.encode()) % HELD_OUT == 0 else groups.setdefault(whose, [])).append(own)
    return groups, held


def batches(
    groups: dict[str, list[Said]], random: np.random.Generator, shares: dict[str, int]
) -> Iterator[dict[str, Tensor]]:
    while True:
        chosen = [group[random.integers(len(group))] for name, group in groups.items() for _ in range(shares[name])]
        yield collate([said.part(random) for said in chosen])


def collate(items: list[Said]) -> dict[str, Tensor]:
    """Those with labels come first."""
    items = sorted(items, key=lambda item: item.labels.ndim)
    own = [item for item in items if item.labels.ndim == 1]
    others = items[len(own) :]
    frames = max(len(item.f0) for item in items)

    def padded(arrays: list[np.ndarray], fill: float, kind: torch.dtype, frames: int = frames) -> Tensor:
        rows = [np.pad(a, [(0, frames - len(a)), *[(0, 0)] * (a.ndim - 1)], constant_values=fill) for a in arrays]
        return torch.from_numpy(np.stack(rows)).to(kind)

    batch = {
        "mel": padded([item.mel for item in items], MEL.silence, torch.float32),
        "f0": padded([item.f0 for item in items], 0, torch.float32),
        "speaker": torch.tensor([item.speaker for item in items]),
        "mask": torch.arange(frames) < torch.tensor([[len(item.f0)] for item in items]),
    }
    if own:
        batch["labels"] = padded([item.labels for item in own], UNTOLD, torch.int64)
    if others:
        batch["told"] = padded([item.labels for item in others], 0, torch.float32, -(-frames // 2))
    return batch


def train(options: argparse.Namespace) -> None:
    """Trains for so many minutes of processor time, and writes work/both.pt every two minutes."""
    groups, held = load(options.work)
    print({name: round(sum(len(s.f0) for s in group) / MEL.frame_rate / 3600, 2) for name, group in groups.items()})
    torch.manual_seed(0)
    model, path, spent, step = Both().train(), options.work / "both.pt", 0.0, 0
    optimiser = torch.optim.AdamW(model.parameters(), lr=LR, betas=BETAS, weight_decay=DECAY)
    mean = {name: value.clone() for name, value in model.state_dict().items()}
    if path.exists():
        state = torch.load(path, weights_only=True)
        model.load_state_dict(state["model"])
        optimiser.load_state_dict(state["optimiser"])
        mean, spent, step = state["mean"], state["spent"], state["step"]
    began, saved, whole = time.process_time() - spent, spent, options.minutes * 60
    for batch in batches({name: groups[name] for name in SHARES}, np.random.default_rng(step), SHARES):
        spent = time.process_time() - began
        for group in optimiser.param_groups:
            group["lr"] = rate(spent / whole, step)
        losses = model.losses(batch)
        weights = {"mel": MEL_WEIGHT, "others": OTHERS_WEIGHT}
        torch.stack([weights.get(name, 1.0) * loss for name, loss in losses.items()]).sum().backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad()
        step += 1
        follow(mean, model, min(EMA, (step + 1) / (step + 15)))
        if step % 50 == 0:
            print(f"step {step}, {spent:.0f} s:", shown(losses), flush=True)
        if spent - saved > 120 or spent >= whole:
            saved = spent
            save(path, model, optimiser, mean, spent, step)
            print("held out:", judged(mean, held), flush=True)
        if spent >= whole:
            return


def shown(losses: dict[str, Any]) -> str:
    return ", ".join(f"{name} {float(torch.as_tensor(loss).detach()):.3f}" for name, loss in losses.items())


def rate(share: float, step: int) -> float:
    """The learning rate: up, level for a third, then down as a cosine."""
    fall = 1.0 if share < 0.35 else 0.5 * (1 + np.cos(np.pi * min(1.0, (share - 0.35) / 0.65)))
    return LR * min(1.0, (step + 1) / 150) * float(fall) + 1e-5


def follow(mean: dict[str, Tensor], model: Both, decay: float) -> None:
    with torch.no_grad():
        for name, value in model.state_dict().items():
            mean[name].lerp_(value, 1 - decay)


def save(path: Path, model: nn.Module, optimiser: Any, mean: dict[str, Tensor], spent: float, step: int) -> None:
    state = {"model": model.state_dict(), "optimiser": optimiser.state_dict(), "mean": mean}
    torch.save({**state, "spent": spent, "step": step}, path.with_suffix(".part"))
    os.replace(path.with_suffix(".part"), path)


def judged(mean: dict[str, Tensor], held: list[Said]) -> str:
    """How well the held-out clips are told and said."""
    model = Both().eval()
    model.load_state_dict(mean)
    found: dict[str, list[float]] = {}
    with torch.inference_mode():
        for item in held[:: max(1, len(held) // 60)]:
            for name, loss in model.losses(collate([item])).items():
                found.setdefault(name, []).append(float(loss))
    return shown({name: float(np.mean(values)) for name, values in found.items()})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    steps = parser.add_subparsers(required=True)
    first = steps.add_parser("takes", help="what the singers say")
    first.add_argument("taught", type=Path, help="folder of `aoide prepare taught`")
    first.add_argument("sinsy", type=Path, help="folder of `aoide prepare sinsy`")
    first.add_argument("--sung", type=float, default=0.5, help="hours of heart that are said anew")
    first.add_argument("--plain", type=float, default=2.0, help="hours of each as they are")
    first.set_defaults(run=takes)
    second = steps.add_parser("listen", help="what others say")
    second.add_argument("taught", type=Path)
    second.add_argument("sounds", type=Path, help="recordings: a folder with asterisk-en/*.flac and so on")
    second.add_argument("--whisper", required=True, help="a folder of Whisper base with model.bin")
    second.add_argument("--hours", type=float, default=1.0, help="of others, and a quarter of it of heart")
    second.set_defaults(run=listen)
    for step in (first, second):
        step.add_argument("-o", "--output", type=Path, required=True)
    third = steps.add_parser("train")
    third.add_argument("work", type=Path)
    third.add_argument("--minutes", type=float, default=34, help="of processor time")
    third.set_defaults(run=train)
    options = parser.parse_args()
    options.run(options)


if __name__ == "__main__":
    main()
