"""Which captions a small model of sounds knows, and what comes nearest to those that it does not.

A model that was trained on a closed world answers any caption, since words that it never saw are made of letters that
it did see. Whoever asks should be told. What is known is a list of words and a list of things, written when the model
is exported; what is near is found by words that both have, by letters, and by a small list of kindred words.
"""

from __future__ import annotations

from collections.abc import Sequence

from aoide.text.wordvectors import words

SHOWN = 3  # things that are named
_PLAIN = """
a an the of on in at to and or with by for from is are be being it its his her their some someone something that which
while then very quite sound sounds noise heard hear can recording audio
"""
PLAIN = frozenset(_PLAIN.split())  # words that say nothing by themselves
_KIN = """
animal animals dog dogs bark barks barking cat cats meow meows purr wolf howl bird birds crow rooster duck owl
  parrot chicken sheep bleats cow moos horse neighs goat pig lion roars tiger monkey monkeys frog bee insect cawing
rain rains raining water sea ocean wave waves river stream splash splashes bubble bubbles drip drops shower pour
wind windy storm thunder lightning weather blows howls breeze hurricane heavy
car cars truck bus train trains plane planes jet helicopter aircraft motorcycle engine ship boat ferry vehicle
  traffic horn honks siren tram locomotive drives starts takes departs steam
guitar banjo ukulele mandolin lute sitar harp zither koto plucked strum strummed
violin viola cello fiddle bass strings string contrabass bowed orchestra symphony
trumpet trombone tuba horn cornet brass bugle fanfare
flute clarinet oboe bassoon saxophone sax recorder piccolo ocarina panpipes woodwind
piano keyboard harpsichord organ accordion celesta keys clavinet rhodes
drum drums snare kick cymbal tom hi-hat tabla conga bongo percussion beat beats groove loop drummer taiko
bell bells chime chimes gong glockenspiel vibraphone marimba xylophone rings ringing doorbell
voice voices choir singing sings singer person people man woman child baby crowd laughter laughs speech talk talks
  talking shout shouts scream applause clap cheer says oooh burp cough sneeze whistle
explosion explodes crash crashes gun gunshot shot bang boom impact hit hits hammer hammering breaks glass falls
machine machines factory saw sawmill drill jackhammer chainsaw printer mining construction tool engine motor
electronic synth synthesizer beep beeps laser glitch computer telephone phone robot robotic game arcade morse
door doors knock knocks steps footsteps walking creak wood closing
vinyl record scratch tape radio static hiss
"""
KIN = tuple(frozenset(group.split()) for group in _KIN.replace("\n  ", " ").strip().splitlines())  # words of one world


def unknown(caption: str, known: Sequence[str]) -> list[str]:
    """The words of a caption that the model never saw, without those that say nothing by themselves."""
    seen = {*known, *PLAIN}
    return list(dict.fromkeys(word for word in words(caption) if word not in seen and not word.isdigit()))


def nearest(caption: str, things: Sequence[str], strange: Sequence[str]) -> list[str]:
    """Of the things that are known, those that come nearest to a caption.

    Args:
        strange: the words of the caption that are unknown: a thing that is kin to them counts most.
    """
    asked = set(words(caption)) - PLAIN
    kin = [group for group in KIN if group & set(strange)]

    def likeness(thing: str) -> float:
        own = set(words(thing)) - PLAIN
        shared = len(own & asked) / (1 + len(own))
        related = max((len(group & own) / (1 + len(own)) for group in kin), default=0.0)
        letters = max((_alike(a, b) for a in strange for b in own), default=0.0)
        return 2 * related + shared + letters

    return sorted(things, key=lambda thing: (-likeness(thing), thing))[:SHOWN]


def remark(caption: str, known: Sequence[str], things: Sequence[str]) -> str | None:
    """What to say of a caption that goes beyond what is known, in a line; None where there is nothing to say."""
    strange = unknown(caption, known)
    if not strange:
        return None
    named = ", ".join(strange[:4])
    near = "; ".join(f"{thing!r}" for thing in nearest(caption, things, strange))
    return f"it never heard of {named}, so this is a guess; the nearest things that it knows: {near}"


def _alike(a: str, b: str) -> float:
    """How much of two words is the same, by threes of letters."""
    one, other = ({f"<{word}>"[i : i + 3] for i in range(len(word))} for word in (a, b))
    return len(one & other) / max(1, len(one | other))
