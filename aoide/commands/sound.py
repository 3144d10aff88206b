"""Make a sound of a description: aoide sound "a bright trumpet plays a fast rising scale" -o trumpet.wav.

The small model of the package knows a closed world: notes, scales, arpeggios and chords of 25 instruments, drum beats,
and some 250 effects (docs/sounds.md lists them). It answers other captions too, and says that it guesses, and what the
nearest things are that it knows. --model takes a run of a model of tta/, or the folder or hub name of a pipeline that
diffusers loads.

  aoide sound "a bright trumpet plays a fast rising scale" -o trumpet.wav
  aoide sound "a rock drum loop" --seconds 8 --count 3 -o beat.wav         beat-1.wav, beat-2.wav, beat-3.wav
  aoide sound "a soft flute" --from violin.wav --strength 0.6 -o flute.wav       a variation of a recording
  aoide sound "an explosion" --from film.wav --fresh 1.0-2.5 -o again.wav        a span made anew
  aoide sound "a rock drum loop" --from beat.wav --continue 3 -o longer.wav      three seconds more
  aoide sound "a dog barks twice in the rain" --model hf:cvssp/audioldm2 --seconds 8 -o dog.wav
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aoide.config import UserError

if TYPE_CHECKING:
    from aoide.models.tta import Described, Start

MOST = 100  # sounds of one caption
OTHERWISE = 5.0  # seconds of a model that has no length of its own


def parser(parser: argparse.ArgumentParser) -> None:
    from aoide.voices import DEFAULT_DESCRIBED

    parser.add_argument("caption", metavar="CAPTION", help="what is to be heard, in English words")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE", help="the sound")
    parser.add_argument("--seconds", type=float, metavar="S", help="how long (default: as the model was trained)")
    parser.add_argument("--steps", type=int, metavar="N", help="of the sampler (default: the model's; here 10)")
    parser.add_argument(
        "--guidance", type=float, metavar="G", help="how much further than without the caption; 1 is none"
    )
    parser.add_argument(
        "--seed", type=int, default=0, metavar="N", help="of what is left to chance; same seed, same sound (default: 0)"
    )
    parser.add_argument("--count", type=int, default=1, metavar="N", help="so many sounds: FILE-1, FILE-2 ...")
    parser.add_argument(
        "--model",
        default=DEFAULT_DESCRIBED,
        metavar="NAME",
        help="one of `aoide models`, a folder of one, a run, or a pipeline of diffusers (default: %(default)s)",
    )
    parser.add_argument("--threads", type=int, default=1, metavar="N", help="processor threads (default: 1)")
    group = parser.add_argument_group("a recording to go out from")
    group.add_argument("--from", dest="source", type=Path, metavar="IN", help="the recording")
    group.add_argument("--strength", type=float, metavar="X", help="how much of it is made anew, above 0 to 1")
    group.add_argument(
        "--fresh", type=_span, action="append", default=[], metavar="A-B", help="seconds made anew, all else stays"
    )
    group.add_argument("--continue", dest="more", type=float, metavar="S", help="so many seconds more at its end")


def _span(text: str) -> tuple[float, float]:
    begin, _, end = text.partition("-")
    try:
        return float(begin), float(end)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r}: seconds from and to, such as 1.5-2.5") from None


def run(options: argparse.Namespace) -> int:
    _check(options)
    from aoide.audio import io
    from aoide.models import tta

    io.format_of(options.output)
    start, seconds = _start(options)
    model = _open(options)
    if seconds is None:
        seconds = getattr(model, "seconds", OTHERWISE)
    tta.check(model, [options.caption], seconds)
    remark = getattr(model, "remark", lambda caption: None)(options.caption)
    if remark:
        print(f"aoide: {remark}", file=sys.stderr)
    _make(model, options, seconds, start)
    return 0


def _check(options: argparse.Namespace) -> None:
    """What the arguments alone can get wrong, found before anything is loaded."""
    if options.seed < 0:
        raise UserError(f"seed: 0 or more, got {options.seed}")
    if not 1 <= options.count <= MOST:
        raise UserError(f"count: 1 to {MOST} sounds, got {options.count}")
    if options.seconds is not None and not options.seconds > 0:
        raise UserError(f"seconds: a sound lasts more than 0 s, got {options.seconds:g}")
    if options.source is None and (options.strength is not None or options.fresh or options.more is not None):
        raise UserError("--strength, --fresh and --continue go out from a recording: name it with --from IN")
    if options.more is not None and (options.fresh or options.seconds is not None or not options.more > 0):
        raise UserError("--continue S makes S seconds more, above 0; leave --fresh and --seconds out")


def _start(options: argparse.Namespace) -> tuple[Start | None, float | None]:
    """The recording to go out from, and how long the sound shall be."""
    if options.source is None:
        return None, options.seconds
    from aoide.audio import io
    from aoide.models.tta import Start

    sound = io.read(options.source)
    seconds = options.seconds if options.seconds is not None else sound.seconds
    fresh = tuple(options.fresh)
    if options.more is not None:
        seconds = sound.seconds + options.more
        fresh = ((sound.seconds, seconds),)
    if options.strength is None and not fresh:
        raise UserError("--from: say what is to be made of it: --strength 0.6, --fresh 1.0-2.5 or --continue 3")
    return Start(sound=sound, strength=1.0 if options.strength is None else options.strength, fresh=fresh), seconds


def _open(options: argparse.Namespace) -> Described:
    """The model: of the package, exported, a run, or a pipeline of diffusers."""
    from aoide import voices
    from aoide.commands._open import torch_on

    name = options.model
    kind = voices.kind_of(name)
    if kind == "described" or (kind is None and "/" not in name and ":" not in name and not Path(name).exists()):
        from aoide.generate.described import Described as Packed

        return Packed(voices.find(name, kind="described"), options.threads)
    if kind is not None:
        raise UserError(f"--model {name}: is a {kind}, not a model of described sounds")
    torch_on(options.threads)
    from aoide.generate.parts import is_run

    if is_run(Path(name)):
        return _trained(name)
    from aoide.generate.diffusers_sound import DiffusersSound

    return DiffusersSound(name.removeprefix("hf:"))


def _trained(run: str) -> Any:
    """A run of `aoide train`."""
    import aoide

    model: Any = aoide.load(run)
    name = type(model).__module__.removeprefix("aoide.models.").replace(".", "/")
    if name == "tta/mel_dit":
        from aoide.generate.torch_described import torch_described

        return torch_described(model, Path(run).resolve().name)
    if not name.startswith("tta/"):
        raise UserError(f"--model {run}: is a {name}; give the run of a model of tta/")
    from aoide.generate.latent_sound import LatentSound

    return LatentSound.of_run(run)


def _make(model: Described, options: argparse.Namespace, seconds: float, start: Start | None) -> None:
    """Makes and writes the sounds, one after the other."""
    from tqdm import tqdm

    from aoide.audio import io
    from aoide.generate.packed import tags

    settings = {"steps": options.steps, "guidance": options.guidance, "start": start}
    for number in tqdm(range(options.count), unit="sound", disable=None if options.count > 1 else True):
        sound = model.generate([options.caption], seconds, seed=options.seed + number, **settings)[0]
        path: Path = options.output
        if options.count > 1:
            path = path.with_name(f"{path.stem}-{number + 1}{path.suffix}")
        origin = sound.tags or tags(f"made by {model.name} from the caption: {options.caption}")
        io.write(path, sound, {"title": options.caption[:200], **origin})
