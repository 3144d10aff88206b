"""The recording that a voice is taken from, and what it says: made fit for a model that follows it, or refused.

    sound, remarks = prepare(Sound.load("somebody.wav"), "somebody.wav", most=15.0)
    language_of("Guten Tag")          # by script; of Latin letters by the commonest words, else English
    fits(sounds, sound.seconds, "somebody.wav")

What is wrong with it is one clear line; what is only odd is a remark, which the caller shows.
"""

from __future__ import annotations

import importlib.util
import re
import unicodedata
from collections import Counter

import numpy as np

from aoide.audio import vad
from aoide.audio.sound import Sound
from aoide.config import UserError
from aoide.text.phonemes import SYMBOLS
from aoide.text.units import row

LEAST = 1.0  # seconds of a recording
QUIET = 1e-3  # of full scale, -60 dB: a recording whose loudest sample is below holds nothing
EDGE = 10 ** (-40 / 20)  # of the loudest frame, below which the edges are silence
MARGIN = 0.03  # seconds of silence that stay at the edges
FRAME = 0.01
NOISY = 15.0  # dB from the quiet frames to the loud ones, below which it is noisy
SPEECH = 0.25  # of a recording that should be speech
USUAL = (5.0, 22.0)  # sounds a second of people who talk
POSSIBLE = (2.5, 32.0)  # and beyond which nobody does
_UNHEARD = frozenset('ˈˌː ;:,.!?—…"()“”↓→↗↘ʰʲ̃')
_SCRIPTS = {"HIRAGANA": "ja", "KATAKANA": "ja", "HANGUL": "ko", "CJK": "zh", "CYRILLIC": "ru", "LATIN": "en"}
_WORDS = {
    "en": row(
        "the of and to in is that it was for you with on are this have be at not what all we can there your which "
        "their if will one about hello thank please do i my he she they a an his her from as but were has by"
    ),
    "de": row(
        "der die das und ist nicht ein eine einen ich es mit sich auf für von dem den zu sie wir auch aber wie haben "
        "sind im am guten tag danke bitte hallo er war wird über noch nach bei einer um aus wenn mein heute"
    ),
    "fr": row(
        "le la les et est un une des que dans pour pas vous je il elle nous avec sur qui ce au du en son sont ne "
        "bonjour merci comment mais plus très cette tout bien où quand chez ils ont été aux mon"
    ),
}
_LETTERS = {"de": frozenset("äöüß"), "fr": frozenset("éèêàâçîôûëïœù")}
_SCRIPTS |= {"GREEK": "el", "ARABIC": "ar", "HEBREW": "he", "DEVANAGARI": "hi", "THAI": "th"}


def sounds(phonemes: str) -> int:
    """How many sounds phonemes in our alphabet have: without stress, marks and spaces."""
    return sum(symbol in SYMBOLS and symbol not in _UNHEARD for symbol in phonemes)


def edges(samples: np.ndarray, sample_rate: int) -> tuple[int, int]:
    """Where the sound of samples (samples,) begins and ends, in samples; (0, 0) where all is silent."""
    hop = max(1, round(FRAME * sample_rate))
    frames = np.pad(samples, (0, -len(samples) % hop)).reshape(-1, hop)
    level = np.sqrt(np.mean(np.square(frames, dtype=np.float64), axis=1))
    loud = np.flatnonzero(level > max(EDGE * level.max(initial=0.0), 1e-5))
    if not len(loud):
        return 0, 0
    margin = round(MARGIN * sample_rate)
    return max(0, int(loud[0]) * hop - margin), min(len(samples), int(loud[-1] + 1) * hop + margin)


def prepare(sound: Sound, name: str, most: float) -> tuple[Sound, list[str]]:
    """One channel without silence at the edges, at most `most` seconds, cut at a pause; and remarks.

    Raises:
        UserError: nothing to hear, nobody who speaks, or less than a second.
    """
    samples = sound.mono().samples
    if not np.isfinite(samples).all():
        raise UserError(f"{name}: holds NaN or infinity")
    if not len(samples) or np.abs(samples).max() < QUIET:
        raise UserError(f"{name}: is silent; a voice is taken from some seconds of clear speech")
    begin, end = edges(samples, sound.sample_rate)
    heard, remarks = Sound(samples[begin:end], sound.sample_rate), []
    if heard.seconds < LEAST:
        raise UserError(
            f"{name}: {heard.seconds:.1f} s of sound are too short to take a voice from; 3 to 10 s are good"
        )
    if heard.seconds > most:
        longer, end = heard.seconds, vad.slices(heard, most)[0][1]
        heard = Sound(heard.samples[:end], heard.sample_rate)
        heard = Sound(heard.samples[: edges(heard.samples, heard.sample_rate)[1]], heard.sample_rate)
        remarks.append(f"{name}: of its {longer:.1f} s the first {heard.seconds:.1f} s are used, up to a pause")
    return heard, remarks + _oddities(heard, name)


def _oddities(heard: Sound, name: str) -> list[str]:
    hop = round(FRAME * heard.sample_rate)
    frames = heard.samples[: len(heard.samples) // hop * hop].reshape(-1, hop)
    level = 10 * np.log10(np.mean(np.square(frames, dtype=np.float64), axis=1) + 1e-10)
    low, high = np.percentile(level, [5, 90])
    remarks = [f"{name}: is noisy; what is said in its voice will be, too"] if high - low < NOISY else []
    if importlib.util.find_spec("silero_vad"):  # the detector by energy takes music for speech
        spoken = sum(end - begin for begin, end in vad.speech(heard)) / len(heard.samples)
        if spoken < SPEECH:
            remarks.append(f"{name}: hardly any speech is heard in it ({spoken:.0%}); is it music, or noise?")
    return remarks


def fits(count: int, seconds: float, what: str) -> list[str]:
    """Remarks on a text of so many sounds in so many seconds of `what`.

    Raises:
        UserError: nobody speaks so fast or so slowly.
    """
    pace = count / seconds
    if not POSSIBLE[0] <= pace <= POSSIBLE[1]:
        raise UserError(
            f"{what}: its text has {count} sounds in {seconds:.1f} s, which nobody says: "
            + ("it says less than the sound holds" if pace < POSSIBLE[0] else "it says more than the sound can hold")
        )
    if USUAL[0] <= pace <= USUAL[1]:
        return []
    return [
        f"{what}: its text has {pace:.1f} sounds a second, and people say {USUAL[0]:g} to {USUAL[1]:g}; is it right?"
    ]


def language_of(text: str) -> str:
    """Two letters of a language, by the script of the text: kana anywhere is Japanese, and Latin letters are English,
    or German or French by their commonest words and own letters.

    Raises:
        UserError: no letters, or several scripts of which none is a few words in the other.
    """
    found: Counter[str] = Counter()
    for letter in filter(str.isalpha, text):
        script = unicodedata.name(letter, "").split(" ")[0].split("-")[0]
        found[_SCRIPTS.get(script, script.lower())] += 1
    if found["ja"]:
        found["ja"] += found.pop("zh", 0)
    if not +found:
        raise UserError(f"no letters in {text[:40]!r} that tell a language: say it with --language")
    (first, count), *rest = found.most_common(2)
    if rest and rest[0][1] > count / 3:
        raise UserError(
            f"the text mixes languages ({first} and {rest[0][0]}, by its letters): say them one after the other, or "
            "say with --language how all of it is to be read"
        )
    return _by_words(text) if first == "en" else first


def _by_words(text: str) -> str:
    """Which language of Latin letters has the most of its commonest words here, a word with its own letters counting
    like one; English where none has two more than it, or all that there are."""
    words = re.findall(r"[^\W\d_]+", text.lower())
    score = {
        language: sum(word in common or any(letter in _LETTERS.get(language, ()) for letter in word) for word in words)
        for language, common in _WORDS.items()
    }
    best = max(score, key=lambda language: score[language])
    clear = score[best] >= score["en"] + 2 or (score[best] > 0 and score["en"] == 0 and len(words) < 4)
    return best if clear else "en"
