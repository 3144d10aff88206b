"""Trained models of svs/diffsinger -> a DiffSinger voicebank that OpenUtau sings with; torch.

    write(acoustic, folder, About(name="Ann", language="ja", phonemes=table, vocoder="nsf_hifigan"), variance=model)

`generate/openutau_schema.py` says what lies in the folder. It appears when all of it is proven: each graph gives what
torch's own sampling gives from the same noise, to 1e-4, at several numbers of steps and lengths; a vocoder of Aoide
that comes along gives what it gives in numpy (`generate/openutau_vocoder.py`); and the schema holds.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from aoide import voices
from aoide.audio.mel import MelConfig
from aoide.config import UserError, near, to_dict, write_yaml
from aoide.data.corpora.sinsy import LETTERS
from aoide.generate import openutau_graphs as graphs
from aoide.generate import openutau_proof as proof
from aoide.generate import openutau_schema as schema
from aoide.generate import openutau_vocoder
from aoide.generate.openutau_graphs import CURVES, Asked
from aoide.generate.pack import aside
from aoide.generate.vocoder import Vocoder
from aoide.score.score import BREATHS
from aoide.score.score import SILENCES as SILENT
from aoide.text import lyrics
from aoide.text.phonemes import SYMBOLS

HIFIGAN = "pc_nsf_hifigan_44.1k_hop512_128bin_2025.02"  # the vocoder of today's voicebanks, and its mel
HIFIGAN_MEL = MelConfig(
    sample_rate=44_100,
    n_fft=2048,
    hop=512,
    win=2048,
    n_mels=128,
    fmin=40.0,
    fmax=16_000.0,
    scale="slaney",
    norm="slaney",
    padding="same",
)
_CLASSES = {
    "semivowel": "j w y",
    "liquid": "l r ɹ ɾ ry ly",
    "nasal": "m n ŋ N ng my ny",
    "affricate": "ʧ ʤ ch j ts z c q zh dz",
    "fricative": "f v s ʃ ʒ θ ð sh x h hy fy vy",
    "aspirate": "hh",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class About:
    """What a voicebank says about itself and its models cannot know."""

    name: str
    phonemes: dict[str, int]  # phoneme -> token; of several languages `en/a`
    language: str = ""  # whose lyrics the dictionary holds: en, ja, zh
    dictionary: dict[str, tuple[str, ...]] = field(
        default_factory=dict
    )  # lyric -> phonemes, beside those of the language
    languages: tuple[str, ...] = ()  # of models that tell several apart, in the order of their numbers
    told: Literal["shared", "all"] = "shared"  # where they tell them: as openvpi's, or as those that Aoide trains
    speakers: tuple[str, ...] = ()  # names of the singers of the models' tables, in their order
    speaker: str | None = None  # the one that sings; None = OpenUtau chooses among all
    vocoder: str = ""  # the name of its package; or a vocoder of Aoide, which then comes along: one of those that ship
    # with it, or a folder that `aoide export` wrote; "" = the one that fits, where one does
    key_range: tuple[float, float] = (-5.0, 5.0)  # see `openutau_graphs.Asked`
    speed_range: tuple[float, float] = (0.5, 2.0)
    author: str = ""


def write(acoustic: Any, target: Path, about: About, variance: Any | None = None) -> None:
    """Writes the voicebank `target`.

    Args:
        acoustic: a model of svs/diffsinger.
        variance: one of svs/diffsinger_variance with the same phonemes: what it predicts becomes dsdur, dspitch and
            dsvariance.

    Raises:
        UserError: models that do not belong together or to `about`, a target that exists, a graph that differs from
            torch, or a voicebank that OpenUtau would refuse.
        MissingExtra: onnx or onnxscript is not installed.
    """
    _fits(acoustic, variance, about)
    name, own = vocoder_of(acoustic.config.mel, about.vocoder)
    asked, names = _asked(acoustic, about), _names(acoustic, about)
    with aside(target) as folder:
        _character(folder, about, names)
        of = _acoustic_settings(acoustic, about, asked, names, name)
        write_yaml(folder / "dsconfig.yaml", _stated(of))
        _tables(folder, about, acoustic, names)
        _acoustic(acoustic, of, asked, folder / of.acoustic)
        if own is not None:
            openutau_vocoder.write(own, folder / "dsvocoder")
        if variance is not None:
            _fillers(variance, about, _asked(variance, about), _names(variance, about), folder)
        if problems := schema.check(folder):
            raise UserError(f"{target}: not written, since OpenUtau would refuse it: {problems[0]}")


# ------------------------------------------------------------------------------------------------------------- settings


def _fits(acoustic: Any, variance: Any | None, about: About) -> None:
    """Raises a UserError where the models and what is said about them do not belong together."""
    for task, model in (("acoustic", acoustic), ("variance", variance)):
        if model is None:
            continue
        config = model.config
        if len(about.phonemes) == 0 or max(about.phonemes.values()) >= config.symbols:
            most = max(about.phonemes.values(), default=0)
            raise UserError(f"phonemes: the {task} model knows tokens below {config.symbols}, and the table has {most}")
        count = config.speakers or 0
        if count and (len(about.speakers) > count or count > 1 and not about.speakers):
            raise UserError(f"the {task} model has {count} singers, and {len(about.speakers)} are named")
        if (config.languages or 0) < len(about.languages):
            raise UserError(f"the {task} model tells {config.languages or 0} languages apart, not {about.languages}")
    if about.speaker is not None and about.speaker not in about.speakers:
        raise UserError(f"there is no singer {about.speaker}{near(about.speaker, about.speakers)}")
    if lacking := [name for name in schema.SILENCES if name not in about.phonemes]:
        raise UserError(
            f"phonemes: {' and '.join(lacking)} is missing: OpenUtau puts SP around phrases, AP is a breath"
        )
    drawn = () if variance is None else variance.config.curves
    if lacking := [curve for curve in acoustic.config.curves if curve in CURVES.values() and curve not in drawn]:
        raise UserError(f"the singer follows {', '.join(lacking)}: give a variance model that predicts it")


def _asked(model: Any, about: About) -> Asked:
    """What the graphs need to know."""
    speaker = None
    if len(about.speakers) < 2 or about.speaker is not None:
        speaker = 0 if about.speaker is None else about.speakers.index(about.speaker)
    said: dict[int, set[str]] = {}
    for phoneme, token in about.phonemes.items():
        said.setdefault(token, set()).add(phoneme.partition("/")[0] if "/" in phoneme else "")
    tongues = [0] * model.config.symbols
    if about.told == "all":
        for phoneme, token in about.phonemes.items():
            own, slash, _ = phoneme.rpartition("/")
            if slash or len(about.languages) == 1 and phoneme not in (*SILENT, *BREATHS):
                tongues[token] = 1 + about.languages.index(own if slash else about.languages[0])
    return Asked(
        speaker=speaker,
        tongues=tuple(tongues) if any(tongues) else (),
        shared=tuple(token for token, languages in sorted(said.items()) if len(languages) > 1),
        key_range=about.key_range,
        speed_range=about.speed_range,
        silence=0 in about.phonemes.values(),
    )


def _names(model: Any, about: About) -> tuple[str, ...]:
    """The singers among which OpenUtau chooses."""
    return about.speakers if model.config.speakers and about.speaker is None and len(about.speakers) > 1 else ()


def _common(model: Any, about: About, asked: Asked, names: tuple[str, ...]) -> dict[str, Any]:
    """Settings of every dsconfig.yaml."""
    return {
        "phonemes": "phonemes.json",
        "languages": "languages.json" if about.languages else None,
        "use_lang_id": bool(about.languages and asked.shared and model.config.languages),
        "hidden_size": model.config.dim,
        "speakers": names or None,
        "use_continuous_acceleration": True,
    }


def vocoder_of(mel: MelConfig, named: str = "") -> tuple[str, Vocoder | None]:
    """The name of the vocoder for a singer's mel, and the vocoder itself where it is Aoide's and shall come along.

    Raises:
        UserError: a vocoder of Aoide for another mel, or none is named and none is known for this mel.
    """
    if not named and replace(mel, log="ln") == HIFIGAN_MEL:
        return HIFIGAN, None
    shipped = voices.names("vocoder")
    if named and named not in shipped and not Path(named).is_dir():
        return named, None
    opened = [Vocoder(name) for name in ([named] if named else shipped)]
    fitting = next((each for each in opened if not openutau_vocoder.unlike(mel, each.mel)), None)
    if fitting is not None:
        return fitting.name, fitting
    if named:
        wrong = ", ".join(openutau_vocoder.unlike(mel, opened[0].mel))
        raise UserError(f"the vocoder {named} is for another mel than the singer's: {wrong}")
    raise UserError(f"vocoder: name a package of OpenUtau for this singer's mel ({_told(mel)}); none is known here")


def _acoustic_settings(model: Any, about: About, asked: Asked, names: tuple[str, ...], vocoder: str) -> schema.Acoustic:
    config = model.config
    shallow = model.first is not None
    shares = config.process.alphas()
    follows: dict[str, Any] = {f"use_{name}_embed": ours in config.curves for name, ours in CURVES.items()}
    return schema.Acoustic(
        **_common(model, about, asked, names),
        acoustic="acoustic.onnx",
        vocoder=vocoder,
        augmentation_args=schema.Augmentation(random_pitch_shifting=schema.Shift(range=about.key_range))
        if "key_shift" in config.curves
        else None,
        use_key_shift_embed="key_shift" in config.curves,
        use_speed_embed="speed" in config.curves,
        **follows,
        use_variable_depth=shallow,
        max_depth=None if not shallow else 1 - config.start if config.method == "flow" else config.depth / len(shares),
        **openutau_vocoder.mel_settings(config.mel),  # of natural logarithms, to which the graph converts
    )


def _told(mel: MelConfig) -> str:
    return f"{mel.sample_rate} Hz, hop {mel.hop}, {mel.n_mels} bands from {mel.fmin:g} to {mel.fmax:g} Hz, {mel.scale}"


def _stated(settings: Any) -> dict[str, Any]:
    """As YAML shall say it: without what is not there."""
    return {name: value for name, value in to_dict(settings).items() if value is not None}


def _character(folder: Path, about: About, names: Sequence[str]) -> None:
    lines = [f"name={about.name}", *([f"author={about.author}"] if about.author else [])]
    (folder / "character.txt").write_text("\n".join(lines) + "\n", "utf-8")
    banks = [schema.Subbank(color=f"{number:02d}: {name}", suffix=name) for number, name in enumerate(names, start=1)]
    said = schema.Character(
        singer_type="diffsinger",
        text_file_encoding="utf-8",
        default_phonemizer=schema.PHONEMIZER,
        author=about.author or None,
        subbanks=tuple(banks),
    )
    stated = _stated(said)
    stated["subbanks"] = [_stated(bank) for bank in said.subbanks]
    write_yaml(folder / "character.yaml", stated)


def _tables(folder: Path, about: About, model: Any, names: Sequence[str]) -> None:
    """Phonemes, languages and the vectors of the singers."""
    tables = {"phonemes.json": about.phonemes}
    if about.languages:
        tables["languages.json"] = {name: number for number, name in enumerate(about.languages, start=1)}
    for file, table in tables.items():
        (folder / file).write_text(json.dumps(table, ensure_ascii=False, indent=2) + "\n", "utf-8")
    for number, name in enumerate(names):
        vector = model.speakers.weight[number].detach().numpy()
        (folder / f"{name}.emb").write_bytes(vector.astype("<f4").tobytes())


# ----------------------------------------------------------------------------------------------------------- dictionary


def table(language: str) -> dict[str, int]:
    """The phonemes of a language that `aoide.text.lyrics` sings, and the tokens that models of Aoide learn them by.

    Raises:
        UserError: no such table.
    """
    if language == "en":
        found = {name: SYMBOLS[name] for name in lyrics.symbols("en") if name in SYMBOLS}
        return found | {"AP": 0, "SP": 0}
    if language == "ja":
        letters = {name: SYMBOLS[letter] for name, letter in LETTERS.items()}
        pause = letters.pop("pau")
        return letters | {"AP": pause, "SP": pause}
    raise UserError(f"the tokens of {language!r} are not known; give a table: --phonemes FILE")


def learned(symbols: Sequence[str]) -> dict[str, int]:
    """The tokens of a run: its symbols in order, from 1; pause and breath go by OpenUtau's names, too."""
    found = {symbol: number for number, symbol in enumerate(symbols, start=1)}
    pause = next((found[name] for name in ("SP", *sorted(SILENT)) if name in found), 0)
    breath = next((found[name] for name in ("AP", *sorted(BREATHS)) if name in found), pause)
    return {"SP": pause, "AP": breath} | found


def read_table(path: Path) -> dict[str, int]:
    """Phonemes and their tokens from JSON, such as openvpi's phonemes.json.

    Raises:
        UserError: it cannot be read, or is something else.
    """
    try:
        found = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read as JSON: {error}") from None
    if not isinstance(found, dict) or not all(type(v) is int and v >= 0 for v in found.values()):
        raise UserError(f'{path}: expects phonemes and their tokens, {{"SP": 1, "a": 2, ...}}')
    return found


def read_dictionary(path: Path) -> dict[str, tuple[str, ...]]:
    """Lyrics and their phonemes: `lyric<TAB>ph ph`, as DiffSinger's dictionaries have it.

    Raises:
        UserError: it cannot be read, or a line is something else.
    """
    try:
        lines = path.read_text("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read: {error}") from None
    found = {}
    for number, line in enumerate(lines, start=1):
        lyric, _, sounds = line.partition("\t")
        if line.strip() and not (lyric.strip() and sounds.split()):
            raise UserError(f"{path}: line {number}: expects a lyric, a tab and its phonemes, got {line[:40]!r}")
        if line.strip():
            found[lyric.strip()] = tuple(sounds.split())
    return found


def kind_of(phoneme: str) -> str:
    """What OpenUtau calls a phoneme: notes begin with vowels, semivowels and liquids may stand before them."""
    bare = phoneme.partition("/")[2] or phoneme
    if phoneme in schema.SILENCES or lyrics.is_vowel(bare):
        return "vowel"
    return next((kind for kind, symbols in _CLASSES.items() if bare in symbols.split()), "stop")


def _write_dictionary(folder: Path, about: About) -> None:
    """dsdict.yaml; every text in quotes, since YAML takes `no` for a truth."""
    known = set(about.phonemes)
    entries = {k: v for k, v in lyrics.dictionary(about.language).items() if set(v) <= known} | about.dictionary
    lines = ["symbols:"]
    lines += [f"- {{symbol: {json.dumps(name, ensure_ascii=False)}, type: {kind_of(name)}}}" for name in about.phonemes]
    lines += ["entries:"] if entries else ["entries: []"]
    lines += [
        f"- {{grapheme: {json.dumps(lyric, ensure_ascii=False)}, phonemes: {json.dumps(sounds, ensure_ascii=False)}}}"
        for lyric, sounds in entries.items()
    ]
    (folder / "dsdict.yaml").write_text("\n".join(lines) + "\n", "utf-8")


# --------------------------------------------------------------------------------------------------------------- graphs


def _acoustic(model: Any, of: schema.Acoustic, asked: Asked, path: Path) -> None:
    graph, bins, whole = schema.acoustic(of), model.config.mel.n_mels, path.with_name("given.onnx")
    step = graphs.Step(model.config, model.denoiser)
    graphs.looped(graphs.AcousticBefore(model, asked), step, graphs.AcousticAfter(model), graph, bins, whole)
    proof.acoustic(model, of, asked, whole)
    graphs.draw(whole, graph, bins, path)
    whole.unlink()


def _fillers(model: Any, about: About, asked: Asked, names: tuple[str, ...], root: Path) -> None:
    """dsdur, dspitch and dsvariance, as far as the model predicts what they are for."""
    config = model.config
    common = _common(model, about, asked, names) | {
        "linguistic": "linguistic.onnx",
        "sample_rate": config.sample_rate,
        "hop_size": config.hop,
        "predict_dur": config.durations is not None,
    }
    own: dict[str, dict[str, Any]] = {}
    if config.durations is not None:
        own["dsdur"] = {"dur": "dur.onnx"}
    if config.pitch is not None:
        own["dspitch"] = {"pitch": "pitch.onnx", "use_expr": True, "use_note_rest": config.melody is not None}
    if config.curves:
        flags = {f"predict_{name}": ours in config.curves for name, ours in CURVES.items()}
        own["dsvariance"] = {"variance": "variance.onnx", **flags}
    of = {part: schema.Filler(**common, **more) for part, more in own.items()}
    for part, settings in of.items():
        (root / part).mkdir()
        shown = {key: value for key, value in _stated(settings).items() if key in common or key in own[part]}
        write_yaml(root / part / "dsconfig.yaml", shown)
        _tables(root / part, about, model, names)
        _write_dictionary(root / part, about)
    first = next(iter(of))
    graphs.plain(graphs.Linguistic(model, asked), schema.linguistic(of[first]), root / first / "linguistic.onnx")
    for part in list(of)[1:]:
        shutil.copy(root / first / "linguistic.onnx", root / part)
    if "dsdur" in of:
        graphs.plain(graphs.DurationsOf(model, asked), schema.durations(of["dsdur"]), root / "dsdur" / "dur.onnx")
    drawers = {
        "dspitch": (graphs.PitchBefore, "pitch", graphs.PitchAfter, schema.pitch),
        "dsvariance": (graphs.CurvesBefore, "varied", graphs.CurvesAfter, schema.variance),
    }
    drawn = []
    for part, (before, name, after, graph_of) in drawers.items():
        if part in of:
            drawer, graph, whole = getattr(model, name), graph_of(of[part]), root / part / "given.onnx"
            step = graphs.Step(config, drawer.denoiser)
            graphs.looped(before(model, asked), step, after(model), graph, drawer.width, whole)
            graphs.draw(whole, graph, drawer.width, root / part / f"{part.removeprefix('ds')}.onnx")
            drawn.append(whole)
    proof.filling(model, of, asked, root)
    for whole in drawn:
        whole.unlink()
