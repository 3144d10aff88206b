"""OpenSFX: the sound effects of OpenTTD, each with a caption, its author and its licence.

Size      73 effects, 149 seconds, 44,100 Hz
Licence   each its own, in `more`: 51 CC-BY-3.0, 21 CC0-1.0, 1 CC-BY-SA-3.0; name the authors
Get it    the Debian package openttd-opensfx:  apt-get download openttd-opensfx; dpkg -x openttd-opensfx*.deb ROOT
Layout    ROOT/**/opensfx.cat        a table of places, then for each sound its description and a WAV file
Reads     the quoted name as caption; the whole description in `more`, and captions in sentences for most of them. The
          sounds are written to OUT/audio.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from pathlib import Path

from aoide.config import UserError, write_aside
from aoide.data.clips import Clip, Refused
from aoide.data.corpora import _layout

_PLACE = 0x7FFFFFFF  # the highest bit says that there are descriptions
_NAME = re.compile(r'^"([^"]*)"')
CAPTIONS = {  # name -> how one would say it
    "Good Year": ("a short cheerful jingle", "a happy fanfare"), "Bad Year": ("a short sad jingle", "a sad fanfare"),
    "Splat (building docks/canals/river)": ("a splash of water", "something splashes into water"),
    "Factory Whistle": ("a factory whistle", "a factory whistle blows"),
    "Steam train station departure": ("a steam train departs with a whistle", "a steam locomotive leaves a station"),
    "Steam engine going in tunnel": ("a steam train goes into a tunnel", "a steam engine in a tunnel"),
    "Ship horn": ("a ship horn", "a ship blows its horn"), "Ferry horn": ("a ferry horn", "a ferry blows its horn"),
    "Propeller plane start": ("a propeller plane starts", "a propeller aircraft takes off"),
    "Early jet take off": ("an early jet takes off", "an old jet plane takes off"),
    "Diesel/electric train station departure": ("a diesel train departs", "a diesel train leaves a station"),
    "Mining machinery": ("mining machinery", "machines at work in a mine"),
    "Electric sparking": ("electric sparks", "electricity sparking"),
    "Steam (of steam engine)": ("steam hissing from a steam engine", "a hiss of steam"),
    "Level crossing": ("the bell of a level crossing", "a railway crossing bell rings"),
    "Road vehicle breakdown": ("a car breaks down", "a broken down vehicle"),
    "Train/ship breakdown": ("a train breaks down", "an engine breaks down"), "Crash": ("a crash", "something crashes"),
    "Explosion": ("an explosion", "something explodes"), "Big crash": ("a big crash", "a heavy crash"),
    "Cash till": ("a cash till", "the till of a shop rings"), "Beep": ("a beep", "a short beep"),
    "Morse": ("morse code", "a message in morse code"),
    "Plane wheels touching ground": ("the wheels of a plane touch the ground", "tyres screech on a runway"),
    "Helicopter": ("a helicopter", "a helicopter flies"),
    "Truck/old bus start, pull away": ("a truck starts and pulls away", "an old bus starts and drives off"),
    "Truck/old bus start, pull away with horn": ("a truck starts, honks its horn and pulls away",),
    "Modern bus start": ("a modern bus starts", "a bus drives off"), "Old bus start": ("an old bus starts",),
    "Applause": ("applause", "people clap their hands"), "Oooh sound": ("a crowd says oooh", "people say oooh"),
    "Jackhammer": ("a jackhammer", "a jackhammer breaks the road"),
    "Modern car horn": ("a car horn", "a car honks"), "Sheep": ("a sheep bleats", "a sheep"),
    "Cow": ("a cow moos", "a cow"), "Horse": ("a horse neighs", "a horse"),
    "Building bridge": ("building a bridge", "hammering on a construction site"),
    "Sawmill": ("a sawmill", "a saw cuts wood in a sawmill"),
    "Toyland: Bubble generated": ("a bubble", "a bubble bubbles up"), "Toyland: Bubble plop": ("a bubble pops",),
    "Toyland: Bubble slurped": ("a slurp", "something is slurped"),
    "Wind": ("wind", "the wind blows"), "Heavy wind": ("heavy wind", "a storm howls"),
    "Lumber mill: Crashing tree": ("a tree crashes to the ground",),
    "Lumber mill: Falling tree": ("a tree falls", "a falling tree"),
    "Lumber mill: Chainsaw": ("a chainsaw", "a chainsaw cuts wood"),
    "Mach 1+ Jet take off": ("a supersonic jet takes off", "a very loud jet takes off"),
    "Modern jet take off": ("a modern jet takes off", "a jet plane takes off"),
    "Maglev train station departure": ("a maglev train departs",),
    "Monorail train station departure": ("a monorail train departs",),
    "Tropical: Bird (1)": ("a tropical bird sings", "a bird sings"), "Tropical: Bird (2)": ("a tropical bird calls",),
    "Tropical: Lion roar": ("a lion roars", "a roaring lion"),
    "Tropical: Monkeys": ("monkeys screech", "monkeys in the jungle"),
    "Toyland: Propeller plane take off": ("a toy propeller plane takes off",),
    "Toyland: Jet take off": ("a toy jet takes off",), "Toyland: Train breakdown": ("a toy train breaks down",),
    "Toyland: Road vehicle breakdown": ("a toy car breaks down",),
    "Toyland: Comedy bus start (1)": ("a funny toy bus starts",),
    "Toyland: Comedy truck start (1)": ("a funny toy truck starts",),
    "Toyland: Toy factory (3)": ("a toy factory", "machines in a toy factory"),
    "Toyland: Plastic mine": ("machines in a toy mine",),
}  # fmt: skip


def clips(root: Path, *, output: Path) -> Iterator[Clip | Refused]:
    """All effects, in the order of the file."""
    path = next(iter(sorted(root.rglob("*.cat"))), None)
    if path is None:
        raise UserError(
            f"{root}: expected opensfx.cat in it; found {_layout.listing(root)}; "
            "unpack the Debian package openttd-opensfx there"
        )
    folder = output / "audio"
    folder.mkdir(parents=True, exist_ok=True)
    for number, (description, sound) in enumerate(_sounds(path)):
        named = _NAME.match(description)
        audio = folder / f"{number:03}.wav"
        if not sound:
            yield Refused(id=f"{number:03}", path=path, reason=f"no sound behind {description[:40]!r}")
            continue
        if not audio.is_file() or audio.read_bytes() != sound:
            with write_aside(audio) as aside:
                aside.write_bytes(sound)
        name = named[1] if named else description
        told = CAPTIONS.get(name.strip(), ())
        yield Clip(
            id=f"{number:03}",
            audio=audio,
            text=name,
            caption=True,
            more={"description": description, **({"captions": list(told)} if told else {})},
        )


def _sounds(path: Path) -> Iterator[tuple[str, bytes]]:
    """The description of each sound, and its WAV file; nothing where that is broken.

    Raises:
        UserError: not such a file.
    """
    content = path.read_bytes()
    try:
        count = (struct.unpack_from("<I", content)[0] & _PLACE) // 8
        places = [place & _PLACE for place, _ in struct.iter_unpack("<II", content[: count * 8])]
        for place in places:
            length = content[place]
            description = content[place + 1 : place + 1 + length].rstrip(b"\0").decode("latin-1")
            riff = content.find(b"RIFF", place, place + length + 16)
            size = struct.unpack_from("<I", content, riff + 4)[0] + 8 if riff >= 0 else 0
            whole = riff >= 0 and riff + size <= len(content)
            yield description, content[riff : riff + size] if whole else b""
    except (struct.error, IndexError):
        raise UserError(f"{path}: not a sound set of OpenTTD, or a broken one") from None
