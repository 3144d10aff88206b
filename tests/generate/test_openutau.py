"""Voicebanks for OpenUtau: what the schema refuses, and that exported graphs sing as torch does."""

import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

onnx = pytest.importorskip("onnx")

from aoide.config import UserError  # noqa: E402  (after the skip)
from aoide.generate import openutau_schema as schema  # noqa: E402
from tests.generate import banks  # noqa: E402

Break = Callable[[Path], Any]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return banks.write(tmp_path_factory.mktemp("bank") / "bank")


def test_a_whole_bank_is_fine(whole: Path) -> None:
    assert schema.check(whole) == []


def changed(file: str, **keys: Any) -> Break:
    """Sets keys of a YAML file; None takes them away."""

    def change(root: Path) -> None:
        data = yaml.safe_load((root / file).read_text())
        data = {key: value for key, value in {**data, **keys}.items() if value is not None}
        banks.dump(root / file, data)

    return change


def text(file: str, content: str) -> Break:
    return lambda root: (root / file).write_text(content)


def gone(file: str) -> Break:
    return lambda root: (root / file).unlink()


def graph(file: str, change: Callable[[Any], Any]) -> Break:
    def edit(root: Path) -> None:
        model = onnx.load(str(root / file))
        change(model)
        onnx.save(model, str(root / file))

    return edit


def port(model: Any, name: str) -> Any:
    return next(value for value in (*model.graph.input, *model.graph.output) if value.name == name)


def renamed(old: str, new: str) -> Callable[[Any], None]:
    def change(model: Any) -> None:
        port(model, old).name = new
        for node in model.graph.node:
            node.output[:] = [new if name == old else name for name in node.output]

    return change


def fixed(name: str, axis: int, size: int) -> Callable[[Any], None]:
    return lambda model: setattr(port(model, name).type.tensor_type.shape.dim[axis], "dim_value", size)


def typed(name: str, kind: int) -> Callable[[Any], None]:
    return lambda model: setattr(port(model, name).type.tensor_type, "elem_type", kind)


def without_loop(root: Path) -> None:
    of = schema.acoustic(schema.build(schema.Acoustic, banks.ACOUSTIC, ""))
    banks.stub(of, root / "acoustic.onnx", loop=False)


def newer(root: Path) -> None:
    of = schema.acoustic(schema.build(schema.Acoustic, banks.ACOUSTIC, ""))
    banks.stub(of, root / "acoustic.onnx", opset=schema.OPSET + 1)


def slower(root: Path) -> None:
    banks.vocoder(root / "dsvocoder" / "vocoder.onnx", 256)


def silenced(root: Path) -> None:
    banks.vocoder(root / "dsvocoder" / "vocoder.onnx", -1)


BROKEN: list[tuple[Break, str]] = [
    (gone("character.txt"), r"character\.txt: is missing"),
    (text("character.txt", "author=me\n"), r"character\.txt: name= is missing"),
    (gone("character.yaml"), r"character\.yaml: no such file"),
    (changed("character.yaml", singer_type="utau"), r"singer_type: .*utau.* is not one of diffsinger"),
    (changed("character.yaml", portrait_opacty=1), r"portrait_opacty: no such setting; did you mean portrait_opacity"),
    (changed("character.yaml", default_phonemizer="OpenUtau.Plugin.ENXSAMPA"), r"default_phonemizer: .* is not one of"),
    (changed("character.yaml", portrait="me.png"), r"portrait: there is no me\.png"),
    (changed("character.yaml", subbanks=[{"color": "01: x", "suffix": "bass"}]), r"bass is not a speaker"),
    (changed("character.yaml", subbanks=[{"color": "01: x", "suffix": "alto"}]), r"tenor of dsconfig\.yaml is missing"),
    (gone("dsconfig.yaml"), r"^dsconfig\.yaml: no such file"),
    (changed("dsconfig.yaml", acoustic=None), r"acoustic: is missing"),
    (changed("dsconfig.yaml", hidden_size="large"), r"hidden_size: expects"),
    (changed("dsconfig.yaml", use_enrgy_embed=True), r"use_enrgy_embed: no such setting"),
    (changed("dsconfig.yaml", mel_scale="bark"), r"mel_scale: .*bark.* is not one of slaney, htk"),
    (changed("dsconfig.yaml", mel_fmax=30_000.0), r"mel_fmin and mel_fmax: expect"),
    (changed("dsconfig.yaml", win_size=4096), r"win_size: 4096 is more than fft_size"),
    (changed("dsconfig.yaml", vocoder=" "), r"vocoder: expects the name"),
    (changed("dsconfig.yaml", max_depth=1.5), r"max_depth: expects"),
    (changed("dsconfig.yaml", max_depth=None), r"max_depth: expects"),
    (changed("dsconfig.yaml", augmentation_args=None), r"random_pitch_shifting\.range: expects"),
    (changed("dsconfig.yaml", use_continuous_acceleration=False), r"use_continuous_acceleration: .* expects true"),
    (gone("phonemes.json"), r"^phonemes\.json: is missing"),
    (text("phonemes.json", '{"a": "b"}'), r"^phonemes\.json: expects phonemes with their numbers"),
    (text("phonemes.json", '{"AP": 1, "en/a": 2}'), r"^phonemes\.json: SP is missing"),
    (text("languages.json", '{"en": 0}'), r"languages\.json: is missing, or not languages with their numbers"),
    (text("languages.json", '{"en": 1}'), r"languages\.json: ja of the phonemes is missing"),
    (changed("dsconfig.yaml", languages=None), r"languages: is missing, and use_lang_id tells them apart"),
    (gone("alto.emb"), r"^alto\.emb: is missing"),
    (lambda root: (root / "alto.emb").write_bytes(bytes(12)), r"^alto\.emb: has 3 numbers"),
    (lambda root: (root / "alto.emb").write_bytes(np.full(4, np.nan, "<f4").tobytes()), r"alto\.emb: .* not finite"),
    (gone("acoustic.onnx"), r"^acoustic\.onnx: is missing"),
    (text("acoustic.onnx", "not a graph"), r"^acoustic\.onnx: not a whole ONNX graph"),
    (graph("acoustic.onnx", renamed("velocity", "speed")), r"^acoustic\.onnx: has no input velocity"),
    (graph("acoustic.onnx", renamed("velocity", "speed")), r"has an input speed that OpenUtau does not know"),
    (graph("acoustic.onnx", fixed("f0", 1, 100)), r"input f0: has shape \(1, 100\), expected \(1, n_frames\)"),
    (graph("acoustic.onnx", fixed("mel", 2, 80)), r"output mel: has shape \(1, n_frames, 80\), expected .* 8\)"),
    (graph("acoustic.onnx", typed("durations", onnx.TensorProto.FLOAT)), r"input durations: is float, expected int64"),
    (graph("acoustic.onnx", typed("depth", onnx.TensorProto.INT64)), r"input depth: is int64, expected float"),
    (without_loop, r"^acoustic\.onnx: takes steps and has no loop"),
    (newer, rf"^acoustic\.onnx: operators {schema.OPSET + 1} in format"),
    (gone("dsdur/dsdict.yaml"), r"dsdur/dsdict\.yaml: is missing"),
    (changed("dsdur/dsdict.yaml", symbols=[{"symbol": "en/t", "type": "stop"}]), r"none of them is a vowel"),
    (changed("dsdur/dsdict.yaml", symbols=banks.SYMBOLS[:3]), r"en/t, ja/a has no type"),
    (changed("dsdur/dsdict.yaml", symbols=[*banks.SYMBOLS, {"symbol": "q", "type": "stop"}]), r"q is not among the"),
    (
        changed("dsdur/dsdict.yaml", symbols=[{"symbol": "en/a", "type": "loud"}]),
        r"en/a: type .loud. is not one of vowel",
    ),
    (changed("dsdur/dsdict.yaml", entries=[{"grapheme": False, "phonemes": ["en/a"]}]), r"got .*False.* quote what is"),
    (changed("dsdur/dsdict.yaml", symbols=None), r"dsdict\.yaml: expects symbols and entries"),
    (text("dsdur/dsdict.yaml", "symbols: ["), r"dsdur/dsdict\.yaml: cannot be read"),
    (changed("dsdur/dsdict.yaml", entries=[{"grapheme": "x", "phonemes": ["ks"]}]), r"entries: x: sung on what is not"),
    (changed("dsdur/dsconfig.yaml", dur=None), r"dsdur/dsconfig\.yaml: dur: is missing"),
    (changed("dsdur/dsconfig.yaml", predict_dur=False), r"predict_dur: a folder that predicts durations says true"),
    (changed("dsdur/dsconfig.yaml", speakers=["tenor", "alto"]), r"dsdur/dsconfig\.yaml: speakers: not those"),
    (text("dsdur/phonemes.json", '{"AP": 1, "SP": 2, "en/a": 3}'), r"dsdur/phonemes\.json: en/t, ja/a of the root's"),
    (graph("dsdur/linguistic.onnx", renamed("word_div", "words")), r"dsdur/linguistic\.onnx: has no input word_div"),
    (graph("dsdur/dur.onnx", renamed("ph_dur_pred", "out")), r"dsdur/dur\.onnx: has no output ph_dur_pred"),
    (changed("dspitch/dsconfig.yaml", use_note_rest=False), r"pitch\.onnx: has an input note_rest"),
    (changed("dspitch/dsconfig.yaml", use_continuous_acceleration=False), r"dspitch/dsconfig\.yaml: use_continuous"),
    (changed("dsvariance/dsconfig.yaml", predict_energy=False, predict_tension=False), r"none of energy, .* predicted"),
    (lambda root: shutil.rmtree(root / "dsvariance"), r"follows energy, tension, which nothing predicts"),
    (changed("dsvocoder/vocoder.yaml", hop_size=256), r"vocoder\.yaml: hop_size: 256, and the acoustic model has 512"),
    (changed("dsvocoder/vocoder.yaml", mel_fmin=0.0), r"vocoder\.yaml: mel_fmin: 0\.0, and"),
    (changed("dsvocoder/vocoder.yaml", model=None), r"vocoder\.yaml: model: is missing"),
    (graph("dsvocoder/vocoder.onnx", renamed("waveform", "audio")), r"vocoder\.onnx: has no output waveform"),
    (gone("dsvocoder/vocoder.yaml"), r"dsvocoder/vocoder\.yaml: no such file"),
    (gone("dsvocoder/vocoder.onnx"), r"dsvocoder/vocoder\.onnx: is missing"),
    (
        changed("dsvocoder/vocoder.yaml", mel_base=10),
        r"vocoder\.yaml: mel_base: .* is not one of e, 10|mel_base: expects",
    ),
    (slower, r"vocoder\.onnx: gives 4352 samples of 17 frames; OpenUtau plays 44100 a second, .* there must be 8704"),
    (silenced, r"vocoder\.onnx: does not run with 17 frames"),
]


@pytest.mark.parametrize(("break_it", "told"), BROKEN, ids=[told for _, told in BROKEN])
def test_a_broken_bank_is_told(
    break_it: Break, told: str, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema, "_opens", lambda path: iter(()))  # a third of the time; what it tells is tested below
    root = Path(shutil.copytree(whole, tmp_path / "bank"))
    break_it(root)
    problems = schema.check(root)
    assert any(re.search(told, problem) for problem in problems), problems


def test_what_onnxruntime_does_not_open_is_told(whole: Path, tmp_path: Path) -> None:
    root = Path(shutil.copytree(whole, tmp_path / "bank"))
    graph("acoustic.onnx", lambda model: model.graph.node[0].ClearField("attribute"))(root)
    assert [problem[:44] for problem in schema.check(root)] == ["acoustic.onnx: onnxruntime does not open it:"]


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such folder"):
        schema.check(tmp_path / "nothing")


def test_names_are_those_of_openvpi(whole: Path) -> None:
    """Written down from openvpi's exporters once more, so that the schema and the export cannot err together."""
    of = schema.build(schema.Acoustic, banks.ACOUSTIC, "")
    assert list(schema.acoustic(of).inputs) == [
        "tokens", "languages", "durations", "f0", "energy", "tension", "gender", "velocity", "spk_embed", "depth",
        "steps",
    ]  # fmt: skip
    assert schema.acoustic(of).inputs["depth"].type == "float" and list(schema.acoustic(of).outputs) == ["mel"]
    pitch = schema.build(schema.Filler, banks.FILLER | banks.OWN["dspitch"], "")
    assert list(schema.linguistic(pitch).inputs) == ["tokens", "word_div", "word_dur", "languages"]
    assert list(schema.linguistic(replace(pitch, predict_dur=False)).inputs) == ["tokens", "ph_dur", "languages"]
    assert list(schema.linguistic(pitch).outputs) == ["encoder_out", "x_masks"]
    assert list(schema.durations(pitch).inputs) == ["encoder_out", "x_masks", "ph_midi", "spk_embed"]
    assert list(schema.pitch(pitch).inputs) == [
        "encoder_out", "ph_dur", "note_midi", "note_rest", "note_dur", "pitch", "expr", "retake", "spk_embed", "steps",
    ]  # fmt: skip
    variance = schema.build(schema.Filler, banks.FILLER | banks.OWN["dsvariance"], "")
    assert list(schema.variance(variance).inputs) == [
        "encoder_out", "ph_dur", "pitch", "energy", "tension", "retake", "spk_embed", "steps",
    ]  # fmt: skip
    assert schema.variance(variance).inputs["retake"] == ("bool", (1, "n_frames", 2))
    assert list(schema.variance(variance).outputs) == ["energy_pred", "tension_pred"]


# --------------------------------------------------------------------------------------------------------- real models

TABLE = {"AP": 1, "SP": 2, "en/a": 3, "ja/a": 3, "en/t": 4, "ja/k": 5}


def ran(path: Path, given: dict[str, Any], times: int = 1) -> dict[str, np.ndarray]:
    """What a graph gives; of several times the last, since each session draws the same noise first."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [port.name for port in session.get_outputs()]
    feeds = {port.name: given[port.name] for port in session.get_inputs()}
    return dict(zip(names, [session.run(names, feeds) for _ in range(times)][-1], strict=True))


@pytest.mark.slow  # 40 s: eleven graphs
def test_a_singer_of_flows_and_what_fills_in_its_scores(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    pytest.importorskip("onnxscript")
    from aoide.generate import openutau
    from aoide.models.svs import diffsinger, diffsinger_variance

    torch.manual_seed(0)
    acoustic = diffsinger.Model(diffsinger.TOY)
    filling = diffsinger_variance.Model(diffsinger_variance.TOY)
    for model in (acoustic, filling):
        for parameter in model.parameters():
            if not parameter.any():  # what begins at zero would prove nothing
                torch.nn.init.normal_(parameter, std=0.3)
        model.languages.weight.data[0] = 0
    names = ("alto", "tenor", "bass")
    about = openutau.About(name="Ann", phonemes=TABLE, languages=("en", "ja"), speakers=names, vocoder="some")
    target = tmp_path / "Ann"
    with pytest.raises(UserError, match="follows loudness, tension: give a variance model"):
        openutau.write(acoustic.eval(), target, about)
    openutau.write(acoustic, target, about, filling.eval())
    assert schema.check(target) == []
    assert not list(target.rglob("given.onnx")) and not list(target.rglob("*.part"))
    frames = 12
    given = {
        "tokens": np.array([[2, 4, 3, 2]]), "languages": np.array([[0, 1, 1, 0]]),
        "durations": np.array([[2, 3, 5, 2]]), "f0": np.full((1, frames), 220, np.float32),
        "energy": np.zeros((1, frames), np.float32), "tension": np.zeros((1, frames), np.float32),
        "spk_embed": np.tile(np.fromfile(target / "tenor.emb", "<f4"), (1, frames, 1)),
        "depth": np.array([0.6], np.float32), "steps": np.array([7]),  # a row of one, as OpenUtau gives them
    }  # fmt: skip
    mels = [ran(target / "acoustic.onnx", given, times)["mel"] for times in (1, 2)]
    assert mels[0].shape == (1, frames, 10) and np.isfinite(mels).all() and (mels[0] != mels[1]).any()
    given |= {"word_div": np.array([[2, 2]]), "word_dur": np.array([[5, 7]]), "ph_midi": np.full((1, 4), 60)}
    given |= ran(target / "dsdur" / "linguistic.onnx", given)
    by_token = {"spk_embed": given["spk_embed"][:, :4]}
    assert (ran(target / "dsdur" / "dur.onnx", given | by_token)["ph_dur_pred"] >= 0).all()
    given |= {"ph_dur": given["durations"], "expr": np.ones((1, frames), np.float32)}
    given |= {"note_midi": np.array([[60, 64]], np.float32), "note_dur": np.array([[5, 7]])}
    given["note_rest"] = np.array([[False, False]])
    given |= {"pitch": np.full((1, frames), 60, np.float32), "retake": np.ones((1, frames), bool)}
    pitch = ran(target / "dspitch" / "pitch.onnx", given)["pitch_pred"]
    assert 48 <= pitch.min() < pitch.max() <= 76  # the notes, and what is drawn around them
    given["retake"] = np.ones((1, frames, 2), bool)
    drawn = ran(target / "dsvariance" / "variance.onnx", given)
    assert list(drawn) == ["energy_pred", "tension_pred"] and drawn["energy_pred"].max() <= 0


@pytest.mark.slow  # 30 s
def test_one_singer_of_diffusion_without_durations_and_melody(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    pytest.importorskip("onnxscript")
    from aoide.generate import openutau
    from aoide.models.svs import diffsinger, diffsinger_variance

    torch.manual_seed(0)
    settings = replace(diffsinger.TOY, method="diffusion", curves=("key_shift", "speed"), languages=None)
    acoustic = diffsinger.Model(settings).eval()
    pitch = {"durations": None, "melody": None, "curves": (), "varied": None, "languages": None}
    filling = diffsinger_variance.Model(replace(diffsinger_variance.TOY, method="diffusion", **pitch)).eval()
    for model in (acoustic, filling):
        for parameter in model.parameters():
            if not parameter.any():
                torch.nn.init.normal_(parameter, std=0.3)
    names = ("alto", "tenor", "bass")
    table = {"AP": 1, "SP": 2, "a": 3}
    about = openutau.About(name="Ann", phonemes=table, speakers=names, speaker="tenor", vocoder="some")
    target = tmp_path / "Ann"
    openutau.write(acoustic, target, about, filling)
    said = yaml.safe_load((target / "dsconfig.yaml").read_text())
    assert said["use_variable_depth"] and said["max_depth"] == 0.5 and "speakers" not in said
    assert said["augmentation_args"] == {"random_pitch_shifting": {"range": [-5.0, 5.0]}}
    assert sorted(path.name for path in target.iterdir() if path.is_dir()) == ["dspitch"]
    assert yaml.safe_load((target / "dspitch" / "dsconfig.yaml").read_text())["predict_dur"] is False
    with pytest.raises(UserError, match="exists already"):
        openutau.write(acoustic, target, about, filling)


def test_models_and_words_that_do_not_fit() -> None:
    torch = pytest.importorskip("torch")
    from aoide.generate import openutau
    from aoide.models.svs import diffsinger

    torch.manual_seed(0)
    model = diffsinger.Model(replace(diffsinger.TOY, curves=()))
    about = openutau.About(name="Ann", phonemes=TABLE, speakers=("alto", "tenor", "bass"), vocoder="some")
    for change, told in (
        ({"phonemes": {"AP": 1, "SP": 12}}, "knows tokens below 12, and the table has 12"),
        ({"phonemes": {"a": 1, "SP": 2}}, "AP is missing"),
        ({"speakers": ("alto", "tenor", "bass", "boy")}, "has 3 singers, and 4 are named"),
        ({"speakers": ()}, "has 3 singers, and 0 are named"),
        ({"speaker": "tenro"}, "no singer tenro did you mean tenor"),
        ({"languages": ("en", "ja", "zh")}, "tells 2 languages apart"),
        ({"vocoder": ""}, "name a package of OpenUtau for this singer's mel .8000 Hz"),
    ):
        with pytest.raises(UserError, match=told):
            openutau.write(model, Path("nowhere"), replace(about, **change))
    assert not Path("nowhere").exists()


def test_lyrics_of_the_dictionary() -> None:
    from aoide.text import lyrics

    kana = lyrics.dictionary("ja")
    assert kana["きゃ"] == kana["キャ"] == kana["kya"] == ("ky", "a") and kana["ん"] == ("N",)
    pinyin = lyrics.dictionary("zh")
    assert pinyin["zhang"] == ("zh", "ang") and pinyin["si"] == ("s", "i0") and pinyin["xue"] == ("x", "ve")
    assert lyrics.dictionary("en") == {}


def test_tables_and_what_is_wrong_with_them(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    from aoide.generate import openutau

    japanese = openutau.table("ja")
    assert japanese["SP"] == japanese["AP"] and japanese["k"] != japanese["ky"]
    assert openutau.table("en")["SP"] == 0
    with pytest.raises(UserError, match="'zh' are not known; give a table"):
        openutau.table("zh")
    assert [openutau.kind_of(name) for name in ("a", "ja/N", "SP", "w", "ɹ", "en/k", "ʃ")] == [
        "vowel", "vowel", "vowel", "semivowel", "liquid", "stop", "fricative",
    ]  # fmt: skip
    path = tmp_path / "words.txt"
    path.write_text("no\tn O\n\nyes\tj ɛ s\n", "utf-8")
    assert openutau.read_dictionary(path) == {"no": ("n", "O"), "yes": ("j", "ɛ", "s")}
    path.write_text("no n O\n")
    with pytest.raises(UserError, match="line 1: expects a lyric, a tab"):
        openutau.read_dictionary(path)
    path.write_text('{"a": "b"}')
    with pytest.raises(UserError, match="expects phonemes and their tokens"):
        openutau.read_table(path)


def test_the_command_names_what_it_was_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("onnxscript")
    from types import SimpleNamespace

    from aoide import cli
    from aoide.generate import openutau
    from aoide.train import checkpoint

    runs = {
        "sung": ("svs/diffsinger", SimpleNamespace(config=SimpleNamespace(speakers=2, languages=2))),
        "filled": ("svs/diffsinger_variance", SimpleNamespace(config=SimpleNamespace(speakers=2, languages=2))),
        "spoken": ("tts/fastspeech2s", SimpleNamespace(config=SimpleNamespace(speakers=None))),
    }
    for _, model in runs.values():
        model.eval = lambda model=model: model
    written: list[tuple[Any, ...]] = []

    def load(path: Path, ema: bool) -> tuple[None, Any, Any]:
        name, model = runs[path.name]
        return None, model, SimpleNamespace(name=name, data=SimpleNamespace(manifest=tmp_path))

    def write(*given: Any) -> None:
        given[1].mkdir()
        written.append(given)

    monkeypatch.setattr(checkpoint, "locate", lambda path: path)
    monkeypatch.setattr(checkpoint, "load_model", load)
    monkeypatch.setattr(openutau, "write", write)
    place: dict[str, Any] = {}
    monkeypatch.setattr(checkpoint, "position", lambda path: place)
    (tmp_path / "words.txt").write_text("la\tr a\n")
    ask = ["export", "sung", "--to", "openutau", "-o", str(tmp_path / "Ann"), "--language", "ja", "--vocoder", "hifi"]
    assert cli.main([*ask, "--variance", "filled", "--dictionary", str(tmp_path / "words.txt"), "--speaker", "1"]) == 0
    acoustic, target, about, filling = written[0]
    assert (acoustic, target, filling) == (runs["sung"][1], tmp_path / "Ann", runs["filled"][1])
    assert about.name == "Ann" and about.vocoder == "hifi" and about.dictionary == {"la": ("r", "a")}
    assert about.speakers == ("singer1", "singer2") and about.speaker == "singer2" and about.phonemes["ky"]
    (tmp_path / "Ann").rmdir()
    assert cli.main([*ask, "--singers", "Ann, Bob"]) == 0 and written[1][2].speakers == ("Ann", "Bob")
    assert cli.main([*ask, "--speaker", "2"]) == 2 and cli.main([*ask, "--quantise"]) == 2
    assert cli.main([*ask, "--vocoder", str(tmp_path)]) == 2
    (tmp_path / "Ann").rmdir()
    place |= {"symbols": ["br", "en/a", "pau"], "languages": ["en"], "singers": ["Eve"], "key_shift": 3.0}
    assert cli.main(ask) == 0
    learned = written[2][2]
    assert learned.phonemes == {"SP": 3, "AP": 1, "br": 1, "en/a": 2, "pau": 3} and learned.speakers == ("Eve",)
    assert learned.languages == ("en",) and learned.told == "all" and learned.key_range == (-3.0, 3.0)
    assert cli.main([*ask, "--variance", "spoken"]) == 2
