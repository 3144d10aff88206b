"""A one-step student against its own 50-step teacher, DiffComoSVC at toy size on real recordings; a worker:

    {"sounds": "recordings", "work": "scratch"}           more in `measure`, all with defaults

`sounds` is a folder of recordings of one voice. Some minutes of them become a corpus with content features of our own
(the mel in a fifth of its bands, a mean of four frames), F0 and energy; `aoide train`'s loop trains the teacher and
then the student, both for a minute or two on one core: what they sing is rough, and the figure is how much rougher one
step is than fifty. The denoiser is LYNXNet2, whose layers hand on what they do not change: the WaveNet of a toy, 64
channels behind a ReLU, cannot carry the noise of 100 bands, leaves half of it in the sound at every level (45 % at
sigma 0.5, where 6 % would be right), and fifty steps of it end at 13.6 dB; one step, from a level where nothing but
noise is seen, did not show it. The published WaveNet has 384. The answer has, over held-out clips,

    mcd_teacher, mcd_student     dB from the recording, both through the vocoder of the package
    mcd_increase                 the second less the first
    mcd_first                    dB of the first mel, around which both draw. A sample of all that may be sung lies up
                                 to sqrt(2) as far from the recording as the mean that this mel is
    mcd_vocoder                  dB of the recorded mel through the same vocoder: what is lost there
    speed_up                     CPU time of a conversion, 50 steps over one, at toy size
    speed_up_full                the same at the published size (37 M), with random weights: time knows no quality
"""

import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from aoide.audio import pitch
from aoide.audio.mel import MelConfig, MelSpectrogram
from aoide.audio.sound import Sound
from aoide.data import clips, manifest
from aoide.generate.vocoder import Vocoder
from aoide.metrics.mcd import mcd
from aoide.models.svc import diffcomosvc
from aoide.train import checkpoint, loop, recipe

MEL = MelConfig()  # that of universal-24k
COARSE, POOL = 5, 4  # bands, and frames, that are one of the content
STEPS = 50


def corpus(sounds: Path, folder: Path, seconds: float, held_out: int) -> list[clips.Clip]:
    """Writes the manifest of the first `seconds` of clips between 1 and 8 s, and returns further `held_out` ones."""
    spectrum, rest, total = MelSpectrogram(MEL), list[clips.Clip](), 0.0
    folder.mkdir(parents=True)
    limits = clips.Limits(min_seconds=1.0, max_seconds=8.0, text=False)
    with manifest.writing(folder) as writer:
        for path in sorted(path for path in sounds.rglob("*") if path.suffix in (".wav", ".flac", ".ogg", ".mp3")):
            sound = Sound.load(path).mono().resample(MEL.sample_rate)
            if not limits.min_seconds <= sound.seconds <= limits.max_seconds:
                continue
            mel = spectrum(torch.from_numpy(sound.samples)[None])[0]
            rows = {
                "content": content(mel).numpy(),
                "f0": pitch.track(sound.samples, MEL.sample_rate, MEL.hop),
            }
            name, arrays = path.stem, {}
            for field, values in rows.items():
                arrays[field] = folder / f"{name}.{field}.npy"
                np.save(arrays[field], np.asarray(values, np.float32))
            sound.save(folder / f"{name}.wav")
            clip = clips.Clip(id=name, audio=folder / f"{name}.wav", arrays=arrays, frame_rate=MEL.frame_rate)
            checked = clips.check(clip, limits)
            if not isinstance(checked, tuple):
                continue
            if total < seconds:
                writer.add(checked[0])
                total += sound.seconds
            else:
                rest.append(checked[0])
                if len(rest) == held_out:
                    break
    return rest


def content(mel: torch.Tensor) -> torch.Tensor:
    """(frames, mels) -> (frames, mels / COARSE): what is said, with little of how."""
    bands = mel.unflatten(1, (-1, COARSE)).mean(2)
    frames = len(bands)
    padded = torch.nn.functional.pad(bands.mT[None], (0, -frames % POOL), mode="replicate")
    return torch.nn.functional.avg_pool1d(padded, POOL).repeat_interleave(POOL, dim=2)[0, :, :frames].mT / 4 + 1


def settings(folder: Path, steps: int, **objective: Any) -> dict[str, Any]:
    """The recipe at toy size, of the teacher or of the student."""
    student = objective.get("stage") == "student"
    return {
        "model": {
            "name": "svc/diffcomosvc",
            "mel": {},
            "low": [-11.52],
            "high": [2.0],
            "conditions": {"content": {"coarse": MEL.n_mels // COARSE}, "dim": 48, "speakers": None},
            "prior": {"layers": 1, "hidden": 96},
            "denoiser": {"kind": "lynxnet2", "channels": 128, "layers": 3, "expansion": 1, "kernel": 15},
            "distilled": student,
        },
        "objective": objective,
        "data": {
            "kind": "speech",
            "manifest": str(folder),
            "batch_seconds": 4.0,
            "segment_seconds": 1.0,
            "min_seconds": 1.0,
            "validation": 2,
            "workers": 0,
            "features": "cache",
        },
        "optimiser": {"lr": 5e-4 if student else 2e-3, "schedule": "cosine", "warmup": 50},
        "loop": {
            "steps": steps,
            "ema": None if student else 0.98,
            "validate_every": 0,
            "save_every": steps,
            "tensorboard": False,
            "threads": 1,
            "device": "cpu",
        },
    }


@torch.inference_mode()
def quality(teacher: Any, student: Any, held_out: list[clips.Clip]) -> dict[str, Any]:
    """MCD of both, and how long both take, over the held-out clips."""
    spectrum, vocoder = MelSpectrogram(MEL), Vocoder("universal-24k")
    found: dict[str, list[float]] = {"teacher": [], "student": [], "vocoder": [], "first": []}
    taken: list[tuple[float, float]] = []
    for number, clip in enumerate(held_out):
        sound = Sound.load(clip.audio)
        audio = torch.from_numpy(sound.samples)[None]
        mel = spectrum(audio)
        fields = {name: torch.from_numpy(np.load(path))[None] for name, path in clip.arrays.items()}
        fields["energy"] = torch.linalg.vector_norm(spectrum.magnitude(audio), dim=-1)
        mels, times = {"vocoder": mel, "first": teacher.span.back(teacher.prior(**fields))}, []
        for name, model in (("teacher", teacher), ("student", student)):
            started = time.process_time()
            mels[name] = model.convert(**fields, generator=torch.Generator().manual_seed(number))
            times.append(time.process_time() - started)
        taken.append((times[0], times[1]))
        for name, each in mels.items():
            generated = vocoder.vocode(each[0].numpy())
            found[name].append(mcd(sound.samples, generated, MEL.sample_rate, align="time"))
    means = {name: statistics.fmean(values) for name, values in found.items()}
    return {
        "clips": len(held_out),
        **{f"mcd_{name}": round(value, 3) for name, value in means.items()},
        "mcd_increase": round(means["student"] - means["teacher"], 3),
        "speed_up": round(statistics.median(a / b for a, b in taken), 1),
    }


@torch.inference_mode()
def full_size(frames: int = 281, steps: int = STEPS) -> dict[str, Any]:
    """CPU time of 50 steps over that of one at the published size."""
    torch.manual_seed(0)
    plain = diffcomosvc.Config()
    models = [diffcomosvc.Model(plain).eval()]
    models.append(diffcomosvc.Model(replace(plain, distilled=True)).eval())
    fields = {key: value for key, value in diffcomosvc.example(plain, batch=1).items() if key in ("content", "f0")}
    fields = {
        key: value.repeat(1, -(-frames // 20), *[1] * (value.ndim - 2))[:, :frames] for key, value in fields.items()
    }
    fields |= {"energy": fields["f0"], "speaker": torch.tensor([0])}
    best = []
    for model, repeats, count in zip(models, (1, 3), (steps, 1), strict=True):
        model.convert(**fields, steps=1)  # what torch makes ready on first use
        times = []
        for _ in range(repeats):
            started = time.process_time()
            model.convert(**fields, steps=count)
            times.append(time.process_time() - started)
        best.append(min(times))
    seconds = frames / MEL.frame_rate
    return {
        "parameters": sum(p.numel() for p in models[0].parameters()),
        "teacher": round(best[0] / seconds, 4),
        "student": round(best[1] / seconds, 4),
        "speed_up": round(best[0] / best[1], 1),
    }


def measure(
    sounds: str,
    work: str | None = None,
    seconds: float = 300.0,
    held_out: int = 8,
    teacher_steps: int = 450,
    student_steps: int = 150,
    full: bool = True,
) -> dict[str, Any]:
    """The answer described at the head of this file.

    Args:
        sounds: a folder of recordings.
        work: where the corpus and the runs go; None = a folder that is removed.
        seconds: of sound to train on.
        held_out: clips to judge by.
        teacher_steps, student_steps: of training.
        full: whether to measure the speed at the published size, too.
    """
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(work or scratch)
        rest = corpus(Path(sounds), folder / "corpus", seconds, held_out)
        started = time.process_time()
        stages: list[dict[str, Any]] = [{}, {"stage": "student", "teacher": str(folder / "teacher")}]
        for name, steps, stage in zip(("teacher", "student"), (teacher_steps, student_steps), stages, strict=True):
            loop.train(recipe.from_dict(settings(folder / "corpus", steps, **stage), name), folder / name)
        models = [checkpoint.load_model(folder / name)[1] for name in ("teacher", "student")]
        answer = {
            "seconds_of_sound": seconds,
            "steps": [teacher_steps, student_steps],
            "training_cpu_seconds": round(time.process_time() - started),
            "parameters": sum(p.numel() for p in models[0].parameters()),
            **quality(*models, rest),
        }
        if full:
            answer["full_size"] = full_size()
    return answer


if __name__ == "__main__":
    import talk

    talk.serve(lambda question: measure(**question))
