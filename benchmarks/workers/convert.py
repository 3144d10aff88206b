"""How well does a converter convert? A worker, and a function to import:

    {"recordings": [{"group": "speech", "path": "agent-pass.flac", "singer": "heart", "text": "Please enter ...",
                     "task": "vc"}], "targets": {"heart": "taught/audio"}}

`recordings` are what is converted, each into its `singer`; `targets` are folders with recordings of the singers
themselves, of which a recording names the one it is compared with, unless it is that of its singer. Of a recording
whose `text` is known is also asked what of it can be understood. Its `task` is what `aoide convert --task` is told
(svc). One that stands `apart` does not count among all. The answer has, for each group and over all,

    f0_pearson      of the recording's F0 and the converted, frame by frame, where both are voiced; median
    similarity      to the singer, by Resemblyzer, less that of the recording itself; mean. All are brought to LEVEL
                    before, which Resemblyzer itself does with quiet sounds only: its mel is no logarithm, so that to it
                    a voice that is 10 dB louder is a different one
    similarity_as_loud  the same with each as loud as it is
    distillmos      of the converted, and of the recording; mean. The judge knows speech, not singing
    wer             of the converted, and of the recording, by Whisper base, where the words are known

and each recording by name.
"""

import statistics
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from aoide.audio.sound import Sound
from aoide.external.resemblyzer import RATE, Resemblyzer
from aoide.external.whisper import Whisper
from aoide.generate.converter import Converter
from aoide.metrics.distillmos import distillmos
from aoide.metrics.f0_pearson import f0_pearson
from aoide.metrics.wer import wer

ENDINGS = (".wav", ".flac", ".ogg", ".mp3")
ASKED = {"f0_pearson": 0.95, "similarity": 0.15}
AIMED = {"f0_pearson": 0.98, "similarity": 0.25}
REFERENCES = 10  # recordings of which a singer's voice is the mean
SECONDS = (1.0, 12.0)  # of a recording that is taken
PIECE = 10.0  # seconds of a longer one
LEVEL = -30.0  # dB below full scale, root mean square, to which Resemblyzer raises quieter sounds


def some(folder: Path, count: int) -> list[Path]:
    """`count` recordings of a folder, evenly spread over the sorted names of those that can be judged."""
    found = [path for path in sorted(folder.rglob("*")) if path.suffix in ENDINGS]
    fit = [path for path in found if SECONDS[0] <= Sound.load(path).seconds]
    return [fit[i * len(fit) // count] for i in range(min(count, len(fit)))]


def heard(path: Path, whole: bool = False) -> Sound:
    """A recording, one channel; of a long one its middle, unless its words are asked for."""
    sound = Sound.load(path).mono()
    if whole or sound.seconds <= SECONDS[1]:
        return sound
    start = int((sound.seconds - PIECE) / 2 * sound.sample_rate)
    return Sound(sound.samples[start : start + int(PIECE * sound.sample_rate)], sound.sample_rate)


def vector(network: Resemblyzer, sound: Sound, level: float | None = LEVEL) -> np.ndarray:
    """Of length 1, of a sound that is brought to `level` dB first; None: left as it is."""
    samples = sound.resample(RATE).samples
    if level is not None:
        samples = samples * (10 ** (level / 20) / max(float(np.sqrt(np.mean(np.square(samples)))), 1e-6))
    return network.embed(samples)


def voice(network: Resemblyzer, sounds: Iterable[Sound], level: float | None = LEVEL) -> np.ndarray:
    """The mean vector of a speaker, of length 1."""
    vectors = [vector(network, sound, level) for sound in sounds]
    mean = np.mean(vectors, axis=0)
    return mean / np.linalg.norm(mean)


def measure(
    recordings: Sequence[Mapping[str, Any]],
    targets: Mapping[str, str],
    converter: str = "convert-24k",
    whisper: str | None = None,
    keep: str | None = None,
    retrieval: float | None = None,
) -> dict[str, Any]:
    """The answer described at the head of this file.

    Args:
        recordings: mappings with group, path, singer and perhaps target, text and apart.
        targets: folders by name, that of a singer or another.
        converter: a name or a folder.
        whisper: the folder of Whisper base; None = no WER.
        keep: a folder for the sounds.
        retrieval: what `aoide convert --retrieval` is told.
    """
    made, network = Converter(converter), Resemblyzer()
    listener = None if whisper is None else Whisper(whisper, threads=1)
    own = {
        name: [voice(network, map(heard, some(Path(folder), REFERENCES)), level) for level in (LEVEL, None)]
        for name, folder in targets.items()
    }
    rows = []
    for of in recordings:
        path, text = Path(of["path"]), of.get("text") if listener is not None else None
        source = heard(path, whole=text is not None).resample(made.sample_rate)
        converted = made.convert(source, of["singer"], task=of.get("task", "svc"), retrieval=retrieval)
        row = {"group": of["group"], "name": path.stem, "singer": of["singer"]}
        row |= judged(network, own[of.get("target", of["singer"])], source, converted)
        if text is not None:
            said = (listener.transcribe(sound.samples, sound.sample_rate, "en") for sound in (source, converted))
            row |= {"text": text} | dict(zip(("heard_source", "heard"), said, strict=True))
        if keep is not None:
            Path(keep).mkdir(parents=True, exist_ok=True)
            converted.save(Path(keep) / f"{len(rows):02}-{of['singer']}.wav")
            source.save(Path(keep) / f"{len(rows):02}-source.wav")
        rows.append(row)
        print(row, file=sys.stderr, flush=True)
    groups = list(dict.fromkeys(row["group"] for row in rows))
    parts = {group: summary([row for row in rows if row["group"] == group]) for group in groups}
    whole = summary([row for row, of in zip(rows, recordings, strict=True) if "apart" not in of] or rows)
    settings = {"retrieval": retrieval, "asked": ASKED, "aimed": AIMED}
    return {"all": whole, "groups": parts, "recordings": rows, **settings}


def judged(network: Resemblyzer, target: Sequence[np.ndarray], source: Sound, converted: Sound) -> dict[str, float]:
    """The figures of one recording; `target` is the singer's vector at LEVEL, and as loud as the singer is."""
    rate = converted.sample_rate
    before, after = (float(vector(network, sound) @ target[0]) for sound in (source, converted))
    loud = [float(vector(network, sound, None) @ target[1]) for sound in (source, converted)]
    figures = {
        "f0_pearson": f0_pearson(source.samples, converted.samples, rate),
        "similarity_before": before,
        "similarity_after": after,
        "similarity_gained_as_loud": loud[1] - loud[0],
        "distillmos": float(distillmos(converted.samples, rate)),
        "distillmos_source": float(distillmos(source.samples, rate)),
    }
    return {name: round(value, 4) for name, value in figures.items()}


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The figures of many recordings; F0 that cannot be compared (nothing voiced in both) is counted, not averaged."""
    pearson = [row["f0_pearson"] for row in rows if row["f0_pearson"] == row["f0_pearson"]]
    spoken = [row for row in rows if "heard" in row]
    found = {
        "recordings": len(rows),
        "f0_pearson": round(statistics.median(pearson), 4) if pearson else None,
        "f0_pearson_lowest": round(min(pearson), 4) if pearson else None,
        "without_f0": len(rows) - len(pearson),
        "similarity": round(statistics.mean(row["similarity_after"] - row["similarity_before"] for row in rows), 3),
        "similarity_as_loud": round(statistics.mean(row["similarity_gained_as_loud"] for row in rows), 3),
        "similarity_after": round(statistics.mean(row["similarity_after"] for row in rows), 3),
        "distillmos": round(statistics.mean(row["distillmos"] for row in rows), 2),
        "distillmos_source": round(statistics.mean(row["distillmos_source"] for row in rows), 2),
    }
    if spoken:
        references = [row["text"] for row in spoken]
        found["wer"] = round(wer(references, [row["heard"] for row in spoken]), 3)
        found["wer_source"] = round(wer(references, [row["heard_source"] for row in spoken]), 3)
    return found


if __name__ == "__main__":
    import talk

    talk.serve(lambda question: measure(**question))
