"""The voices of Hedgewars: some sixty exclamations each, by fifteen actors; one of them sings.

Size      15 packs of some 60 phrases; the pack Singer has 60 sung phrases, 70 seconds; 44,100 Hz and others
Licence   GFDL-1.3, GPL-2, some CC-BY-SA: see the package; the actors did not agree to be cloned
Get it    the Debian package hedgewars-data:  apt-get download hedgewars-data; dpkg -x hedgewars-data*.deb ROOT
Layout    ROOT/usr/share/games/hedgewars/Data/Sounds/voices/Singer/Illgetyou.ogg
Reads     what is said, which the name of the file tells; packs that are not English, and noises, have no text
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from aoide.data.clips import Clip, Refused
from aoide.data.corpora import _layout

ENGLISH = ("British", "Classic", "Default", "HillBilly", "Mobster", "Pirate", "Robot", "Singer", "Surfer")
LANGUAGES = {"es": "es", "pl": "pl", "ru": "ru", "uk": "uk"}
PHRASES = {
    "Byebye": "Bye bye",
    "Comeonthen": "Come on then",
    "Cutitout": "Cut it out",
    "Enemydown": "Enemy down",
    "Firepunch": "Fire punch",
    "Firstblood": "First blood",
    "Flyaway": "Fly away",
    "Gonnagetyou": "Gonna get you",
    "Illgetyou": "I'll get you",
    "Justyouwait": "Just you wait",
    "Leavemealone": "Leave me alone",
    "Ohdear": "Oh dear",
    "Runaway": "Run away",
    "Sameteam": "Same team",
    "Solong": "So long",
    "Takecover": "Take cover",
    "Thisoneismine": "This one is mine",
    "Watchit": "Watch it",
    "Watchthis": "Watch this",
    "Whatthe": "What the",
    "Yessir": "Yes sir",
    "Youllregretthat": "You'll regret that",
}
NOISES = ("Hmm", "Jump", "Laugh", "Nooo", "Ooff", "Ouch", "Ow")


def clips(root: Path) -> Iterator[Clip | Refused]:
    """All phrases of all packs, sorted: Singer/Illgetyou."""
    voices = "**/Data/Sounds/voices"
    get = "the Debian package hedgewars-data"
    base = _layout.find(root, f"{voices}/*/*.ogg", layout="Data/Sounds/voices/PACK/PHRASE.ogg", get=get)
    for path in _layout.sounds(base, f"{voices}/*/*.ogg"):
        pack, phrase = path.parent.name, re.sub(r"\d+$", "", path.stem)
        language = "en" if pack in ENGLISH else LANGUAGES.get(pack.rpartition("_")[2], "")
        told = pack in ENGLISH and phrase not in NOISES
        yield Clip(
            id=f"{pack}/{path.stem}",
            audio=path,
            text=f"{PHRASES.get(phrase, phrase)}!" if told else None,
            speaker=pack,
            language=language,
            style="singing" if pack == "Singer" else "acted",
        )
