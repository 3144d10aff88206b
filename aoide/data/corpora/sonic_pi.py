"""The samples of Sonic Pi: drums, tabla, bass, loops, glitches and other strokes and sounds, with captions.

Size      206 sounds, 7 minutes, 44,100 Hz
Licence   CC0-1.0 (most from freesound.org, those of Arovane given by Uwe Zahn; PROVENANCE.md names each)
Get it    the npm package supersonic-scsynth-samples:  npm pack supersonic-scsynth-samples; tar xzf *.tgz -C ROOT
          the Debian package sonic-pi-samples has 166 of them
Layout    ROOT/**/bd_haus.flac     family and name
Reads     captions of the name: "a hard stroke on a low tom" of drum_tom_lo_hard; what only its maker understands of a
          name is left out. Long loops and textures may be cut anywhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from aoide.config import UserError
from aoide.data.clips import Clip, Refused
from aoide.data.corpora import _layout

WHOLE = {  # names that are said otherwise than by their parts
    "ambi_choir": "an ambient choir", "ambi_dark_woosh": "a dark whoosh", "ambi_drone": "an ambient drone",
    "ambi_glass_hum": "a glass humming", "ambi_glass_rub": "a glass being rubbed",
    "ambi_haunted_hum": "a haunted humming", "ambi_lunar_land": "an eerie lunar atmosphere",
    "ambi_piano": "an ambient piano", "ambi_sauna": "a hissing sauna", "ambi_soft_buzz": "a soft buzz",
    "ambi_swoosh": "an ambient swoosh", "bass_drop_c": "a dropping bass", "bass_woodsy_c": "a wooden bass note",
    "drum_cowbell": "a cowbell", "drum_roll": "a drum roll", "drum_heavy_kick": "a heavy kick drum",
    "guit_e_fifths": "fifths on an electric guitar", "guit_e_slide": "a slide on an electric guitar",
    "guit_em9": "a guitar chord", "guit_harmonics": "harmonics on a guitar",
    "loop_electric": "an electric loop", "loop_3d_printer": "a 3d printer working",
    "loop_tabla": "a tabla loop", "loop_industrial": "an industrial loop", "loop_safari": "a jungle percussion loop",
    "loop_drone_g_97": "a droning loop", "loop_amen": "a breakbeat", "loop_amen_full": "a breakbeat",
    "loop_breakbeat": "a breakbeat", "misc_burp": "a burp", "misc_cineboom": "a cinematic boom",
    "misc_crow": "a crow cawing", "perc_bell": "a bell ringing", "perc_bell2": "a bell ringing",
    "perc_door": "a door closing", "perc_snap": "a finger snap", "perc_snap2": "a finger snap",
    "perc_swash": "a swash", "perc_swoosh": "a swoosh", "perc_till": "a cash register",
    "vinyl_backspin": "a vinyl record spun back", "vinyl_hiss": "the hiss of a vinyl record",
    "vinyl_rewind": "a vinyl record rewound", "vinyl_scratch": "a scratch on a vinyl record",
    "tbd_voctone": "a robotic voice tone", "tbd_highkey_c4": "a high electronic key",
}  # fmt: skip
FAMILIES = {  # of the others; what stands for {} is the rest of the name, where it is a word
    "arovane": "an electronic beat", "bass": "a {} bass note", "bd": "a bass drum", "elec": "an electronic {}",
    "glitch": "a glitchy {} sound", "hat": "a hi-hat", "loop": "a {} loop", "mehackit": "a {} sound",
    "perc": "a percussive {}", "ride": "a ride cymbal", "sn": "a snare drum", "tabla": "a stroke on a tabla",
    "tbd": "an electronic {}",
}  # fmt: skip
OTHERS = ("ambi", "drum", "guit", "misc", "vinyl")
READ = {
    "hard", "thick", "hit", "bell", "blip", "bong", "chime", "cymbal", "flip", "ping", "pop", "snare", "tick",
    "triangle", "twang", "wood", "beep", "kick", "tom", "impact", "bass", "robot", "phone", "electric", "pad", "perc",
    "hollow", "fuzz", "soft", "tap", "trance",
}  # fmt: skip
SPELT = {"perc": "percussion", "phone": "telephone"}
PLACES = {"hi": "high", "mid": "middle", "lo": "low"}


def clips(root: Path) -> Iterator[Clip | Refused]:
    """All sounds, sorted by path.

    Raises:
        UserError: none there.
    """
    seen = set[str]()  # one of them is there in two formats
    for path in _layout.sounds(root):
        if path.stem in seen or path.stem.partition("_")[0] not in {*FAMILIES, *OTHERS}:
            continue
        seen.add(path.stem)
        text = caption(path.stem)
        yield Clip(id=path.stem, audio=path, text=text, caption=True, divisible=True, more={"captions": [text]})
    if not seen:
        raise UserError(
            f"{root}: expected sounds such as bd_haus.flac in it; found {_layout.listing(root)}; "
            "get them with npm pack supersonic-scsynth-samples"
        )


def caption(name: str) -> str:
    """What a sample's name says, in words."""
    if name in WHOLE:
        return WHOLE[name]
    family, *rest = re.sub(r"\d+$", "", name).split("_")
    if family == "drum":
        return _stroke(rest)
    words = [SPELT.get(word, word) for word in (re.sub(r"\d+$", "", part) for part in rest) if word in READ]
    said = " ".join(FAMILIES.get(family, f"a {family}").format(" ".join(words)).split())
    said = said if "{}" not in FAMILIES.get(family, "") or words or family in ("bass", "loop") else f"{said} sound"
    return said.replace("sound sound", "sound")


def _stroke(parts: list[str]) -> str:
    """Of the acoustic drums: tom, lo, hard."""
    thing = " ".join([*(PLACES[part] for part in parts if part in PLACES), *(p for p in parts if p in _DRUMS)])
    manner = next((part for part in parts if part in ("hard", "soft")), "")
    state = next((part for part in parts if part in ("open", "closed", "pedal")), "")
    thing = {"bass": "bass drum", "snare": "snare drum", "splash": "splash cymbal"}.get(thing, thing)
    thing = {"open": f"open {thing}", "closed": f"closed {thing}", "pedal": f"{thing} with a pedal", "": thing}[state]
    article = "an" if thing[0] in "aeiou" else "a"
    return f"a {manner} stroke on {article} {thing}".replace("a  ", "a ") if thing else "a drum"


_DRUMS = ("tom", "cymbal", "bass", "snare", "splash")
