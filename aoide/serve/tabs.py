"""What each tab of the studio asks for and which command line and which lines of Python do the same.

A tab is data: the studio draws its fields, runs its command and shows what came of it. `words` gives the command from
the values of the fields; a field that holds a file gives the name under which the file lies in the job's folder.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from aoide import voices

Values = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Field:
    """One thing to fill in.

    Attributes:
        name: in `Values`.
        kind: text, a longer one, one that the command reads from a file, a number, a choice, a sound (with a
            microphone), or a file.
        label: for people.
        value: at the beginning.
        bounds: of a number: least, most, step.
        choices: of a choice.
        endings: of a file.
        more: belongs to what is folded away.
        needed: it may not be left empty.
    """

    name: str
    kind: Literal["text", "lines", "script", "number", "choice", "sound", "file"]
    label: str
    value: Any = None
    bounds: tuple[float, float, float] = (0, 1, 1)
    choices: tuple[str, ...] = ()
    endings: tuple[str, ...] = ()
    more: bool = False
    needed: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class Tab:
    """A task.

    Attributes:
        name: of the tab, and of its verb.
        about: what it does, one sentence.
        fields: in order.
        words: values -> the words after `aoide`.
        lines: values -> the lines of Python.
        examples: values of all fields; "example:NAME" is a file of the studio's own.
        result: the file that the command writes, in the job's folder; None: NAME.wav.
        shows: what the result is: a sound, or a page.
        cards: of whom the model cards are shown.
        melody: whether the sound is of one voice, so that its F0 says something.
    """

    name: str
    about: str
    fields: tuple[Field, ...]
    words: Callable[[Values], Sequence[str]]
    lines: Callable[[Values], str]
    examples: tuple[tuple[Any, ...], ...] = ()
    result: str | None = None
    shows: Literal["sound", "page"] = "sound"
    cards: tuple[str, ...] = ()
    melody: bool = True


def _options(values: Values, **defaults: Any) -> list[str]:
    """--name value for each that is not its default."""
    words = []
    for name, default in defaults.items():
        value = values[name]
        if value not in (default, None, ""):
            number = f"{value:g}" if isinstance(value, float) else str(value)
            words += ["--" + name.replace("_", "-"), number]
    return words


def _call(values: Values, **defaults: Any) -> str:
    """, name=value for each that is not its default."""
    found = {name: values[name] for name, default in defaults.items() if values[name] not in (default, None, "")}
    return "".join(
        f", {name}={int(v) if isinstance(v, float) and v.is_integer() else v!r}" for name, v in found.items()
    )


SPEED = Field(name="speed", kind="number", label="Speed", value=1.0, bounds=(0.5, 2, 0.05), more=True)
PITCH = Field(name="pitch", kind="number", label="Pitch, semitones", value=0, bounds=(-12, 12, 1), more=True)
SEED = Field(name="seed", kind="number", label="Seed", value=0, bounds=(0, 9999, 1), more=True)


def _voice(kind: str, label: str) -> Field:
    known = tuple(voices.names(kind))
    return Field(name="voice", kind="choice", label=label, value=known[0], choices=known)


def say() -> Tab:
    return Tab(
        name="say",
        about="Type a text and hear it spoken.",
        fields=(
            Field(name="text", kind="lines", label="Text", value="Any input becomes sound."),
            _voice("voice", "Voice"),
            SPEED,
            PITCH,
            SEED,
        ),
        words=lambda v: [
            "say",
            v["text"],
            "-o",
            "say.wav",
            *_options(v, voice=voices.DEFAULT, speed=1.0, pitch=0, seed=0),
        ],  # fmt: skip
        lines=lambda v: (
            f"import aoide\n\nvoice = aoide.load({v['voice']!r})\n"
            f"voice.say({v['text']!r}{_call(v, speed=1.0, pitch=0, seed=0)}).save('say.wav')"
        ),
        examples=(
            ("Any input becomes sound.", "en-heart", 1.0, 0, 0),
            ("It was 3:45 pm on 5 May 1987, and Dr. Smith had $12.50 left.", "en-heart", 1.0, 0, 0),
            ("Slowly, and a little lower, the old man told his story.", "en-heart", 0.8, -2, 1),
        ),
        cards=tuple(voices.names("voice")),
    )


def sing() -> Tab:
    from aoide.score.formats import ENDINGS

    return Tab(
        name="sing",
        about="Give a score with lyrics, and hear it sung.",
        fields=(
            Field(name="song", kind="file", label="Score", endings=tuple(ENDINGS)),
            _voice("singer", "Singer"),
            Field(name="transpose", kind="number", label="Transpose, semitones", value=0, bounds=(-24, 24, 1)),
            Field(
                name="lyrics",
                kind="text",
                label="Other lyrics: Twin-kle twin-kle lit-tle star",
                value="",
                more=True,
                needed=False,
            ),
            SEED,
        ),
        words=lambda v: [
            "sing",
            v["song"],
            "-o",
            "sing.wav",
            *_options(v, voice=None, transpose=0, lyrics="", seed=0),
        ],  # fmt: skip
        lines=lambda v: (
            f"import aoide\n\nscore = aoide.Score.load({v['song']!r})"
            + (f".with_lyrics({v['lyrics']!r})" if v["lyrics"] else "")
            + f"\naoide.load({v['voice']!r}).sing(score{_call(v, transpose=0, seed=0)}).save('sing.wav')"
        ),
        examples=(
            ("example:twinkle.musicxml", "en-heart-song", 0, "", 0),
            ("example:twinkle.musicxml", "en-heart-song", 3, " ".join(["la"] * 42), 1),
        ),
        cards=tuple(voices.names("singer")),
    )


def convert() -> Tab:
    from aoide.generate.converter import Description
    from aoide.generate.packed import read

    singers = tuple(read(Description, voices.find(voices.DEFAULT_CONVERTER, kind="converter"), "converter").singers)
    return Tab(
        name="convert",
        about="Give a recording, and hear another voice sing or say it.",
        fields=(
            Field(name="sound", kind="sound", label="Recording"),
            Field(name="voice", kind="choice", label="Voice", value=singers[0], choices=singers),
            Field(name="task", kind="choice", label="Singing (svc) or speech (vc)", value="svc", choices=("svc", "vc")),
            Field(name="transpose", kind="text", label="Transpose: semitones, or auto", value="auto", more=True),
        ),
        words=lambda v: [
            "convert",
            v["sound"],
            "-o",
            "convert.wav",
            *_options(v, voice=None, task="svc", transpose="auto"),
        ],  # fmt: skip
        lines=lambda v: (
            f"import aoide\n\nsound = aoide.Sound.load({v['sound']!r})\n"
            f"aoide.load({voices.DEFAULT_CONVERTER!r}).convert(sound, {v['voice']!r}"
            + _call({**v, "transpose": _number(v["transpose"])}, task="svc", transpose="auto")
            + ").save('convert.wav')"
        ),
        examples=(("example:song.wav", singers[-1], "svc", "auto"), ("example:speech.wav", singers[-1], "vc", "auto")),
        cards=tuple(voices.names("converter")),
    )


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def resynth() -> Tab:
    return Tab(
        name="resynth",
        about="Give a recording, and hear what a vocoder makes of its mel spectrogram.",
        fields=(
            Field(name="sound", kind="sound", label="Recording"),
            Field(
                name="vocoder",
                kind="choice",
                label="Vocoder",
                value=voices.DEFAULT_VOCODER,
                choices=tuple(voices.names("vocoder")),
            ),
        ),
        words=lambda v: ["resynth", v["sound"], "-o", "copy", *_options(v, vocoder=voices.DEFAULT_VOCODER)],
        lines=lambda v: (
            f"import aoide\n\nsound = aoide.Sound.load({v['sound']!r})\n"
            f"aoide.load({v['vocoder']!r}).resynth(sound).save('resynth.wav')"
        ),
        examples=(("example:speech.wav", voices.DEFAULT_VOCODER), ("example:song.wav", voices.DEFAULT_VOCODER)),
        result="copy/*.wav",
        cards=tuple(voices.names("vocoder")),
    )


def evaluate() -> Tab:
    return Tab(
        name="evaluate",
        about="Give a recording and what was made after it, and see how far they are apart.",
        fields=(
            Field(name="reference", kind="sound", label="Reference"),
            Field(name="generated", kind="sound", label="Generated"),
            Field(
                name="metrics",
                kind="text",
                label="Metrics, with commas between",
                value="f0_rmse,f0_pearson,mcd,log_spectral_distance,si_sdr",
            ),
        ),
        words=lambda v: [
            "evaluate",
            v["reference"],
            v["generated"],
            "--metrics",
            v["metrics"],
            "--jobs",
            "1",
            "-o",
            "report",
        ],  # fmt: skip
        lines=lambda v: (
            "from aoide import Sound, metrics\n\n"
            f"a, b = Sound.load({v['reference']!r}).mono(), Sound.load({v['generated']!r}).mono()\n"
            "b = b.resample(a.sample_rate)\n"
            "metrics.f0_rmse(a.samples, b.samples, a.sample_rate)  # and so for each"
        ),
        examples=(("example:speech.wav", "example:copy.wav", "f0_rmse,f0_pearson,mcd,log_spectral_distance,si_sdr"),),
        result="report/report.html",
        shows="page",
    )


def sound() -> Tab:
    return Tab(
        name="sound",
        about="Describe a sound, and hear it. The model of the package knows instruments, drums and some effects.",
        fields=(
            Field(name="caption", kind="text", label="Description", value="a bright trumpet plays a fast rising scale"),
            Field(name="seconds", kind="number", label="Seconds", value=3, bounds=(1, 12, 0.5)),
            Field(name="steps", kind="number", label="Steps", value=10, bounds=(1, 50, 1), more=True),
            SEED,
        ),
        words=lambda v: [
            "sound",
            v["caption"],
            "-o",
            "sound.wav",
            "--seconds",
            f"{v['seconds']:g}",
            *_options(v, steps=10, seed=0),
        ],
        lines=lambda v: (
            f"import aoide\n\nmodel = aoide.load({voices.DEFAULT_DESCRIBED!r})\n"
            f"model.make({v['caption']!r}, {v['seconds']:g}{_call(v, steps=10, seed=0)}).save('sound.wav')"
        ),
        examples=(
            ("a bright trumpet plays a fast rising scale", 3, 10, 0),
            ("a rock drum loop", 3, 10, 1),
            ("a soft low cello plays a falling arpeggio", 3, 10, 2),
        ),
        cards=tuple(voices.names("described")),
        melody=False,
    )


def music() -> Tab:
    return Tab(
        name="music",
        about="Describe a piece of music: it is composed by rules and played by a sound font.",
        fields=(
            Field(name="description", kind="text", label="Description", value="slow strings in A minor, 70 bpm"),
            Field(name="seconds", kind="number", label="Seconds", value=15, bounds=(4, 120, 1)),
            Field(name="melody", kind="file", label="Melody: a score, or a recording", needed=False, more=True),
            SEED,
        ),
        words=lambda v: [
            "music",
            v["description"],
            "-o",
            "music.wav",
            *([] if v["melody"] else ["--seconds", f"{v['seconds']:g}"]),
            *_options(v, melody=None, seed=0),
        ],
        lines=lambda v: (
            "from aoide.generate.soundfont import render\nfrom aoide.score import Score, arrange, style\n\n"
            f"chosen = style.parse({v['description']!r}, {int(v['seed'])})\n"
            + (
                f"notes = arrange.instrumental(chosen, None, {int(v['seed'])}, Score.load({v['melody']!r}))\n"
                if v["melody"]
                else f"notes = arrange.instrumental(chosen, {v['seconds']:g}, {int(v['seed'])})\n"
            )
            + "render(notes).save('music.wav')"
        ),
        examples=(
            ("slow strings in A minor, 70 bpm", 15, None, 0),
            ("folk, flute and guitar", 15, "example:twinkle.musicxml", 1),
        ),
        cards=tuple(voices.names("soundfont")),
        melody=False,
    )


SONG = """[verse]
Over the river the evening is falling
Somebody hums while the lanterns are lit
[chorus]
Sing me the way home
Sing me the way
"""


def song() -> Tab:
    return Tab(
        name="song",
        about="Write lyrics, with [verse] and [chorus] before their lines, and hear a song.",
        fields=(
            Field(name="lyrics", kind="script", label="Lyrics", value=SONG),
            Field(name="style", kind="text", label="Style", value="folk, guitar, 96 bpm", needed=False),
            SEED,
        ),
        words=lambda v: ["song", v["lyrics"], "-o", "song.wav", *_options(v, style="", seed=0)],
        lines=lambda v: (
            "from aoide.generate import cascade\nfrom aoide.score.song_script import SongScript\n\n"
            f"script = SongScript.load({v['lyrics']!r})\n"
            f"song = cascade.Cascade('stages', script, {v['style']!r}, {int(v['seed'])}).run()\n"
            "song.sound.save('song.wav')"
        ),
        examples=((SONG, "folk, guitar, 96 bpm", 0), (SONG, "sad waltz in A minor, piano", 3)),
        cards=tuple(name for kind in ("singer", "soundfont") for name in voices.names(kind)),
        melody=False,
    )


def explain() -> Tab:
    known = tuple(name for kind in ("voice", "singer", "converter", "vocoder", "codec") for name in voices.names(kind))
    return Tab(
        name="explain",
        about="See and hear what a model does, step by step. A voice gets the text, everything else the file.",
        fields=(
            Field(name="model", kind="choice", label="Model", value=known[0], choices=known),
            Field(name="text", kind="text", label="Text, for a voice", value="Any input becomes sound.", needed=False),
            Field(name="file", kind="file", label="Score or recording, for the others", needed=False),
        ),
        words=lambda v: ["explain", v["model"], _given(v), "--page", "explain.html"],
        lines=lambda v: (
            "from aoide.explain.subjects import Request, explain\n\n"
            f"trace = explain(Request(model={v['model']!r}, input={_given(v)!r}))\ntrace.page('explain.html')"
        ),
        examples=(
            (voices.DEFAULT, "Any input becomes sound.", None),
            (voices.DEFAULT_CONVERTER, "", "example:speech.wav"),
            (voices.DEFAULT_SINGERS["en"], "", "example:twinkle.musicxml"),
        ),
        result="explain.html",
        shows="page",
    )


def _given(values: Values) -> str:
    """What the model to be explained is given."""
    return str(values["text"] if values["model"] in voices.names("voice") else values["file"] or "")


def all_of() -> list[Tab]:
    return [make() for make in (say, sing, convert, sound, music, song, resynth, evaluate, explain)]
