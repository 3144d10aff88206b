"""How good is the codec of the package? Beside its vocoder alone, with all of its codebooks and with fewer.

    python tools/make_sounds.py unpacked sounds            once; its docstring says what to unpack
    pip install --no-deps distillmos==0.9.1                the weights of a judge
    python benchmarks/codec.py --sounds sounds --whisper base
    python benchmarks/codec.py --sounds sounds --whisper base --quick     every fifth clip, no results file

On the clips of `benchmarks/vocoder.py`, held out from training: 100 prompts of five speakers in five languages, and 20
clips of Wesnoth's music, which has the STFT distance alone. PESQ, STFT distance and the fall of DistillMOS are as
there; WER is of what Whisper hears in the decoded prompts against what it hears in the recordings, English by itself
and the five languages together. Time is that of the processor, for encoding and for decoding, a second of sound.

Prints a table and writes benchmarks/results/codec_<machine>_<date>.json.
"""

import argparse
import datetime
import json
import os
import time
from pathlib import Path
from typing import Any

from tqdm import tqdm
from vocoder import Copy, quality
from voice import commit, machine

from aoide import metrics, voices
from aoide.audio import io
from aoide.audio.sound import Sound
from aoide.external.whisper import Whisper
from aoide.generate.codec import Codec

HERE = Path(__file__).resolve().parent
MUSIC = "wesnoth"


def misheard(copy: Copy, clips: list[Path], listener: Whisper, heard: dict[Path, str]) -> dict[str, float]:
    """Word error rates in percent; `heard` keeps what is heard in the recordings."""
    found: dict[str, tuple[list[str], list[str]]] = {}
    for path in tqdm(
        [path for path in clips if path.parent.name != MUSIC], desc="listening", unit="clip", disable=None
    ):
        recorded, language = io.read(path), path.parent.name[-2:]
        if path not in heard:
            heard[path] = listener.transcribe(recorded.mono().samples, recorded.sample_rate, language)
        made = copy(recorded)
        said, understood = found.setdefault(language, ([], []))
        said.append(heard[path])
        understood.append(listener.transcribe(made.samples, made.sample_rate, language))
    rates = {language: metrics.wer(*texts, language=language) for language, texts in found.items()}
    words = {language: sum(len(text.split()) for text in said) for language, (said, _) in found.items()}
    together = sum(rates[language] * words[language] for language in rates) / sum(words.values())
    return {"wer_en": round(100 * rates["en"], 2), "wer_all": round(100 * together, 2)}


def speed(codec: Codec, clips: list[Path]) -> dict[str, float]:
    """Processor seconds a second of sound, on ten clips."""
    sounds = [io.read(path) for path in clips[:10]]
    seconds = sum(sound.seconds for sound in sounds)
    codec.decode(codec.encode(sounds[0]))  # what is loaded on first use is not counted
    began = time.process_time()
    codes = [codec.encode(sound) for sound in sounds]
    between = time.process_time()
    for of in codes:
        codec.decode(of)
    return {
        "encode_seconds_per_second": round((between - began) / seconds, 4),
        "decode_seconds_per_second": round((time.process_time() - between) / seconds, 4),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sounds", type=Path, required=True, help="what tools/make_sounds.py wrote")
    parser.add_argument("--whisper", default="base", help="a size, a hub name or a local folder")
    parser.add_argument("--codec", default=voices.DEFAULT_CODEC, help="a codec of the package, or a folder")
    parser.add_argument("--quick", action="store_true", help="every fifth clip, no results file")
    parser.add_argument("--output", type=Path, default=HERE / "results", help="folder of the results file")
    args = parser.parse_args()
    clips = sorted((args.sounds / "test").glob("*/*.flac"))[:: 5 if args.quick else 1]
    if not clips:
        parser.error(f"{args.sounds}: no test/*/*.flac in it; python tools/make_sounds.py makes them")
    hardware, codec = machine(), Codec(args.codec)

    def coded(codebooks: int) -> Copy:
        return lambda sound: codec.decode(codec.encode(sound), codebooks)

    def vocoded(sound: Sound) -> Sound:
        vocoder = codec.open_vocoder()
        assert vocoder is not None
        return vocoder.resynth(sound)

    counts = (codec.codebooks, codec.codebooks // 2)
    systems = {f"{codec.name}, {count} codebooks": coded(count) for count in counts}
    if codec.mel is not None:
        systems = {"its vocoder alone": vocoded, **systems}
    listener, heard = Whisper(args.whisper, threads=1), dict[Path, str]()
    figures: dict[str, dict[str, Any]] = {}
    for name, copy in systems.items():
        figures[name] = quality(copy, clips, name) | misheard(copy, clips, listener, heard)
    bits = codec.encode(io.read(clips[0])).bit_rate / codec.codebooks
    for count, name in zip(counts, list(systems)[-len(counts) :], strict=True):
        figures[name]["bits_per_second"] = round(count * bits)
    times = speed(codec, clips)
    columns = ("pesq", "stft_distance", "distillmos_drop", "music_stft_distance", "wer_en", "wer_all")
    print(
        f"{'':28}" + "".join(f"{title:>10}" for title in ("PESQ", "STFT dB", "drop", "music dB", "WER en", "WER all"))
    )
    for name, of in figures.items():
        print(f"{name:28}" + "".join(f"{of[column]:>10.3f}" for column in columns))
    print(times)
    if args.quick:
        return
    date = datetime.date.today().isoformat()
    setting = {"whisper": os.path.basename(args.whisper), "codec": codec.name}
    content = {"benchmark": "codec", "date": date, "commit": commit(), "machine": hardware, "setting": setting}
    path = args.output / f"codec_{hardware['words']}_{date}.json"
    path.write_text(json.dumps(content | {"quality": figures, "speed": times}, indent=1) + "\n", "utf-8")
    print(path)


if __name__ == "__main__":
    main()
