"""A text in the voice of a recording: the pipeline with a speaker that only counts, and with toy models."""

from __future__ import annotations

import io
import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import aoide  # noqa: E402  (after the skip)
from aoide import cli  # noqa: E402
from aoide.audio.sound import Sound  # noqa: E402
from aoide.config import UserError  # noqa: E402
from aoide.generate import f5 as speaking  # noqa: E402
from aoide.generate import prompt as prompts  # noqa: E402
from aoide.generate import zeroshot  # noqa: E402
from aoide.generate.f5 import F5, Letters  # noqa: E402
from aoide.generate.zeroshot import Cloning  # noqa: E402
from aoide.models.codec import maskgct_acoustic, maskgct_semantic  # noqa: E402
from aoide.models.tts import duration, duration_flow, e2, f5, maskgct, maskgct_s2a  # noqa: E402
from aoide.text.phonemes import SYMBOLS  # noqa: E402

SAID = "Please press one to go on."
RATE = 8000


class Counter:
    """Silence, as long as it is told to be."""

    name, licence, sample_rate = "counter", "none", 100

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []

    def say(self, text: str, prompt: Sound, *, language="en", seed=0, prompt_text="", seconds=None) -> Sound:  # noqa: ANN001, PLR0913
        self.asked.append({"text": text, "language": language, "seconds": seconds, "prompt_text": prompt_text})
        return Sound(np.zeros(round(seconds * 100), np.float32), 100)


class Own(Counter):
    """One of other people: it takes neither the recording's text nor a length."""

    def say(self, text: str, prompt: Sound, *, language: str = "en", seed: int = 0) -> Sound:  # type: ignore[override]
        return Sound(np.zeros(100, np.float32), 100)


@pytest.fixture(autouse=True)
def no_detector(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prompts.importlib.util, "find_spec", lambda name: None)


@pytest.fixture(scope="module")
def sound() -> Sound:
    draw = np.random.default_rng(0).standard_normal(2 * RATE)
    return Sound((0.1 * draw * np.hanning(2 * RATE).clip(0.02)).astype(np.float32), RATE)


# ------------------------------------------------------------------------------------------------------------- lengths


def test_the_rule_goes_by_phonemes(sound: Sound) -> None:
    like = Cloning(Counter(), sound, SAID)
    twice = like.seconds(f"{SAID} {SAID}")
    assert twice == pytest.approx(2 * like.prompt.seconds)
    assert like.say(SAID, speed=2.0).seconds == pytest.approx(like.prompt.seconds / 2, abs=0.01)
    assert "synthetic: yes" in like.tags(3)["comment"] and "model: counter; seed: 3" in like.tags(3)["comment"]


def test_a_language_without_a_front_end_goes_by_bytes(sound: Sound, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> Any:
        raise zeroshot.MissingExtra("phonemizer", "espeak")

    monkeypatch.setattr(zeroshot, "frontend", missing)
    like = Cloning(Counter(), sound, "Guten Tag, liebe Leute.", language="de")
    assert like.seconds("Guten Tag, liebe Leute." * 2) == pytest.approx(2 * like.prompt.seconds)


def test_a_trained_model_tells_the_length(sound: Sound) -> None:
    torch.manual_seed(0)
    for module in (duration, duration_flow):
        model = module.Model(replace(module.TOY, symbols=len(SYMBOLS) + 200)).eval()
        like = Cloning(Counter(), sound, SAID, duration=model)
        assert like.seconds(SAID) == like.seconds(SAID) > 0
        assert like.seconds(SAID) != pytest.approx(like.prompt.seconds, rel=1e-4)
    even = duration.Model(replace(duration.TOY, symbols=len(SYMBOLS) + 200)).eval()
    one, two = torch.arange(5), torch.arange(10)  # fresh, each token is as long as the next: that is the rule
    trust = torch.sigmoid(1.0 + 0.5 * torch.log(torch.tensor(0.06 * 5)))
    assert even.seconds(one, 0.5, two) == pytest.approx(float(0.6 * (0.5 / 0.3) ** trust), rel=1e-4)


def test_long_text_comes_in_blocks_after_the_same_recording(sound: Sound, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zeroshot, "BLOCK", 5.0)
    counter = Counter()
    like = Cloning(counter, sound, SAID)
    pieces = list(like.stream(f"{SAID} " * 5))
    assert len(pieces) == 3 and {ask["prompt_text"] for ask in counter.asked} == {SAID}
    total = sum(piece.seconds for piece in pieces)
    assert total == pytest.approx(5 * like.prompt.seconds + 2 * zeroshot.PAUSE, abs=0.05)
    told = sum(piece.seconds for piece in like.stream(f"{SAID} " * 5, seconds=8.0))
    assert told == pytest.approx(8.0, abs=0.05)


# ----------------------------------------------------------------------------------------------------------- bad input


def test_what_cannot_be_said(sound: Sound) -> None:
    like = Cloning(Counter(), sound, SAID)
    with pytest.raises(UserError, match=r"0\.2 s cannot hold the text: .* it would take [12]\.\d s"):
        like.say(SAID, seconds=0.2)
    with pytest.raises(UserError, match="speed: 0.5 to 2"):
        like.say(SAID, speed=3.0)
    with pytest.raises(UserError, match="nothing in the text"):
        like.say("...")
    with pytest.raises(UserError, match="mixes languages"):
        like.say("Привет, hello")
    with pytest.raises(UserError, match="its text has 1.. sounds in 2.0 s, which nobody says"):
        Cloning(Counter(), sound, f"{SAID} " * 10)
    with pytest.raises(UserError, match="what it says must be known"):
        Cloning(Counter(), sound, " ")
    assert Cloning(Own(), sound, "").say(SAID).seconds == 1.0
    with pytest.raises(UserError, match="keeps its own pace"):
        Cloning(Own(), sound, "").say(SAID, seconds=2.0)
    with pytest.raises(UserError, match="German has no letters 'да'"):
        Cloning(Counter(), sound, SAID, language="de").say("Das ist да.")
    assert Cloning(Own(), sound, "", language="de").say("Das ist да.").seconds == 1.0


def test_languages_that_are_read_here(sound: Sound) -> None:
    for text in ("Guten Tag, wie geht es Ihnen heute?", "Bonjour, comment allez-vous ?", "안녕하세요, 반갑습니다."):
        counter = Counter()
        like = Cloning(counter, sound, text)
        assert like.seconds(f"{text} {text}") == pytest.approx(2 * like.prompt.seconds, rel=0.05)
        like.say(text)
        assert counter.asked[0]["language"] == prompts.language_of(text) != "en"


def test_a_long_recording_with_a_text_of_all_of_it_is_refused(sound: Sound) -> None:
    long = Sound(np.tile(sound.samples, 10), RATE)
    with pytest.raises(UserError, match="too long to be used with a text of all of it"):
        Cloning(Counter(), long, SAID * 10)
    assert "up to a pause" in Cloning(Own(), long, "").remarks[0]


def test_weights_that_are_missing_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="did you mean tts/f5"):
        zeroshot.open_speaker("tts/f6", None, aoide.load)
    with pytest.raises(UserError, match="tts/f5 needs weights"):
        zeroshot.open_speaker("tts/f5", None, aoide.load)
    with pytest.raises(UserError, match="no such folder"):
        zeroshot.open_speaker("tts/maskgct", str(tmp_path / "x"), aoide.load)
    (tmp_path / "t2s_model").mkdir()
    with pytest.raises(UserError) as caught:
        zeroshot.open_speaker("tts/maskgct", str(tmp_path), aoide.load)
    for part in ("s2a_model/s2a_model_1layer", "semantic_codec", zeroshot.STATISTICS, zeroshot.CONFIG, "Amphion"):
        assert part in str(caught.value)
    assert "t2s_model," not in str(caught.value)


# ---------------------------------------------------------------------------------------------------------- toy models


@pytest.fixture(params=[f5, e2], ids=["f5", "e2"])
def speaker(request: pytest.FixtureRequest) -> F5:
    torch.manual_seed(0)
    toy = request.param.TOY
    slower = replace(toy.mel, hop=64)  # 125 frames a second
    model = request.param.Model(replace(toy, symbols=len(SYMBOLS) + 200, mel=slower)).eval()
    hop = model.config.mel.hop
    vocoder = SimpleNamespace(mel=model.config.mel, vocode=lambda mel: np.repeat(mel.mean(1), hop).astype(np.float32))
    return F5(model, vocoder)


def test_infilling_models_say_as_long_as_they_are_told(speaker: F5, sound: Sound) -> None:
    like = Cloning(speaker, sound, SAID)
    made = like.say("Thank you for calling.", seconds=1.5, seed=1)
    assert made.sample_rate == RATE and made.seconds == pytest.approx(1.5, abs=0.01)
    assert np.array_equal(made.samples, like.say("Thank you for calling.", seconds=1.5, seed=1).samples)
    assert speaker.say("Thank you.", sound, prompt_text=SAID, speed=2.0, steps=1).seconds < 1.0


def test_parts_are_those_of_a_long_text(speaker: F5, sound: Sound, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speaking, "PART", 2.0)
    made = speaker.say("Thank you for calling. " * 4, sound, prompt_text=SAID, seconds=6.0, steps=1)
    assert made.seconds == pytest.approx(6.0, abs=0.3)
    with pytest.raises(UserError, match="give prompt_text"):
        speaker.say("Thank you.", sound)
    with pytest.raises(UserError, match="no voice of its own"):
        speaker.say("Thank you.")


def test_published_models_read_letters(tmp_path: Path) -> None:
    (tmp_path / "vocab.txt").write_text(" \na\nb\n", "utf-8")
    letters = Letters(tmp_path / "vocab.txt")
    assert letters.encode("ab a?").tolist() == [2, 3, 1, 2, 1]
    with pytest.raises(UserError, match="pinyin"):
        letters.sentences("你好", "zh")


def test_f5_opens_with_its_symbols_and_vocoder(speaker: F5, tmp_path: Path) -> None:
    model, vocoder = speaker._model, speaker._vocoder

    def load(name: str, source: Any = None) -> Any:
        return vocoder if name == "universal-24k" else model

    with pytest.raises(UserError, match=r"come with a vocab\.txt"):
        zeroshot.open_speaker("tts/f5", str(tmp_path), load)
    (tmp_path / "vocab.txt").write_text(" \na\n", "utf-8")
    assert isinstance(zeroshot.open_speaker("tts/f5", str(tmp_path), load)._words, Letters)
    (tmp_path / "checkpoints").mkdir()
    assert isinstance(zeroshot.open_speaker("tts/f5", str(tmp_path), load)._words, zeroshot.AllWords)
    other = SimpleNamespace(mel=replace(model.config.mel, n_mels=7), vocode=vocoder.vocode)
    with pytest.raises(UserError, match="but the vocoder reads"):
        zeroshot.open_speaker("tts/f5", str(tmp_path), lambda name, source=None: other if source is None else model)


class Heard:
    """In place of w2v-BERT: 50 rows a second that follow the sound."""

    frame_rate = 50.0

    def encode(self, samples: np.ndarray) -> np.ndarray:
        return samples[: len(samples) // 320 * 320].reshape(-1, 320)[:, :10].astype(np.float32)


def test_maskgct_opens_from_its_parts(tmp_path: Path, sound: Sound, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    toy = {
        "tts/maskgct": maskgct.Model(replace(maskgct.TOY, symbols=len(SYMBOLS) + 200)),
        "tts/maskgct_s2a": maskgct_s2a.Model(replace(maskgct_s2a.TOY, codes=12)),
        "codec/maskgct_semantic": maskgct_semantic.Model(maskgct_semantic.TOY),
        "codec/maskgct_acoustic": maskgct_acoustic.Model(replace(maskgct_acoustic.TOY, sample_rate=600)),
    }
    for part in ("t2s_model", "s2a_model", "semantic_codec", "acoustic_codec"):
        (tmp_path / part / "checkpoints").mkdir(parents=True)
    (tmp_path / zeroshot.STATISTICS).touch()
    monkeypatch.setattr(zeroshot.content, "open", lambda name, source, statistics, device: Heard())
    speaker = zeroshot.open_speaker("tts/maskgct", str(tmp_path), lambda name, source: toy[name].eval())
    like = Cloning(speaker, sound, SAID)
    made = like.say("Thank you for calling.", seconds=1.5)
    assert made.sample_rate == 600 and made.seconds == pytest.approx(1.5, abs=0.05)
    assert "model: maskgct" in made.tags["comment"]


# ------------------------------------------------------------------------------------------------------------- command


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sound: Sound) -> Path:
    monkeypatch.chdir(tmp_path)
    sound.save("prompt.wav")
    monkeypatch.setattr(zeroshot, "open_speaker", lambda name, weights, load, **_: Counter())
    return tmp_path


LIKE = ("--like", "prompt.wav", "--prompt-text", SAID, "--weights", "x")


def test_say_like(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["say", SAID, *LIKE, "--i-have-consent", "-o", "x.flac", "--seed", "4"]) == 0
    import soundfile

    with soundfile.SoundFile("x.flac") as file:
        assert "synthetic: yes" in file.comment and "seed: 4" in file.comment and "counter" in file.comment
        assert file.frames / file.samplerate == pytest.approx(1.98, abs=0.05)
    (here / "lines.txt").write_text(f"{SAID}\n\n{SAID} {SAID}\n")
    assert cli.main(["say", "--file", "lines.txt", *LIKE, "--i-have-consent", "--batch", "-o", "out"]) == 0
    assert [path.name for path in sorted((here / "out").iterdir())] == ["0001.wav", "0002.wav"]
    assert capsys.readouterr().err == ""


def test_what_is_not_said_is_heard(here: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    from aoide.external import whisper

    class Whisper:
        def __init__(self, model: str) -> None:
            assert model == "tiny.en"

        def transcribe(self, samples: np.ndarray, rate: int, language: str | None) -> str:
            return SAID

    monkeypatch.setattr(whisper, "Whisper", Whisper)
    words = [
        "say",
        SAID,
        "--like",
        "prompt.wav",
        "--weights",
        "x",
        "--asr",
        "tiny.en",
        "--i-have-consent",
        "-o",
        "x.wav",
    ]
    assert cli.main(words) == 0
    assert capsys.readouterr().err == f"aoide: prompt.wav says: {SAID}\n"


class Terminal(io.StringIO):
    """Somebody who answers."""

    def isatty(self) -> bool:
        return True


def test_consent_is_asked_once_a_recording(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(here / "state"))

    def say(answer: str, prompt: str = "prompt.wav") -> tuple[int, bool, str]:
        err = Terminal()
        monkeypatch.setattr(sys, "stdin", Terminal(answer))
        monkeypatch.setattr(sys, "stderr", err)
        code = cli.main(["say", SAID, "--like", prompt, *LIKE[2:], "-o", "x.wav"])
        return code, "Did they agree" in err.getvalue(), err.getvalue()

    assert say("n\n")[:2] == (2, True) and not (here / "x.wav").exists()
    assert say("y\n")[:2] == (0, True)
    assert say("")[:2] == (0, False)
    shutil.copy("prompt.wav", "copy.wav")
    assert say("", "copy.wav")[:2] == (0, False)
    kept = json.loads((here / "state" / "aoide" / "consent.json").read_text())["recordings"]
    assert [entry["name"] for entry in kept.values()] == ["prompt.wav"]
    Sound(Sound.load("prompt.wav").samples * 0.9, RATE).save("other.wav")
    assert say("", "other.wav")[:2] == (2, True)
    (here / "state" / "aoide" / "consent.json").write_text("[]")
    assert say("y\n")[:2] == (0, True)
    monkeypatch.setenv("XDG_STATE_HOME", "/dev/null/nowhere")
    code, asked, err = say("y\n")
    assert (code, asked) == (0, True) and "cannot be remembered" in err


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("silent", "prompt.wav: is silent; a voice is taken from some seconds of clear speech"),
        ("short", "prompt.wav: 0.5 s of sound are too short to take a voice from"),
        ("other words", "prompt.wav: its text has 170 sounds in 2.0 s, which nobody says"),
        ("mixed", "the text mixes languages (ru and en, by its letters)"),
        ("no time", "0.1 s cannot hold the text"),
        ("long, with its text", "are too long to be used with a text of all of it"),
    ],
)
def test_bad_input_is_told(here: Path, capsys: Any, sound: Sound, kind: str, message: str) -> None:
    text, more, like = SAID, (), LIKE
    if kind == "silent":
        Sound(np.zeros(2 * RATE, np.float32), RATE).save("prompt.wav")
    elif kind == "short":
        Sound(sound.samples[RATE : RATE + RATE // 2], RATE).save("prompt.wav")
    elif kind == "other words":
        like = (*LIKE[:3], f"{SAID} " * 10, *LIKE[4:])
    elif kind == "mixed":
        text = "Привет, hello"
    elif kind == "no time":
        more = ("--seconds", "0.1")
    else:
        Sound(np.tile(sound.samples, 10), RATE).save("prompt.wav")
        like = (*LIKE[:3], f"{SAID} " * 8, *LIKE[4:])
    assert cli.main(["say", text, *like, *more, "--i-have-consent", "-o", "x.wav"]) == 2
    err = capsys.readouterr().err
    assert message in err and err.count("\n") == 1 and not (here / "x.wav").exists()


def test_odd_input_is_remarked(here: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch, sound: Sound) -> None:
    noise = 0.1 * np.random.default_rng(0).standard_normal(2 * RATE).astype(np.float32)
    Sound(noise, RATE).save("prompt.wav")
    assert cli.main(["say", SAID, *LIKE, "--i-have-consent", "-o", "x.wav"]) == 0
    assert "prompt.wav: is noisy; what is said in its voice will be, too" in capsys.readouterr().err
    Sound(np.tile(sound.samples, 10), RATE).save("prompt.wav")
    monkeypatch.setattr("aoide.commands._like._heard", lambda sound, options: f"{SAID} " * 6)
    words = ["say", SAID, "--like", "prompt.wav", "--weights", "x", "--i-have-consent", "-o", "x.wav"]
    assert cli.main(words) == 0
    assert "of its 20.0 s the first" in capsys.readouterr().err


def test_a_script_says_it_each_time(here: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(here / "state"))
    assert cli.main(["say", SAID, *LIKE, "--i-have-consent", "-o", "x.wav"]) == 0
    assert not (here / "state").exists()
    assert cli.main(["say", SAID, *LIKE, "-o", "y.wav"]) == 2
    assert "--i-have-consent" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((*LIKE,), "say with --i-have-consent that whoever is heard in prompt.wav agreed"),
        (("--like", "no.wav", "--i-have-consent"), "no.wav: no such file"),
        (("--seconds", "3"), "--seconds is of --like RECORDING"),
        (("--batch",), "--batch is of --like"),
        ((*LIKE, "--pitch", "2"), "--pitch is of the voices of the package"),
        ((*LIKE, "--seconds", "2", "--speed", "1.1"), "both say how long it takes"),
        ((*LIKE, "--batch", "--seconds", "2"), "leave it out with --batch"),
        ((*LIKE, "--i-have-consent", "--seconds", "0.1"), "cannot hold the text"),
    ],
)
def test_mistakes_are_one_line(here: Path, capsys: Any, words: tuple[str, ...], message: str) -> None:
    assert cli.main(["say", SAID, *words, "-o", "x.wav"]) == 2
    err = capsys.readouterr().err
    assert message in err and err.count("\n") == 1 and not (here / "x.wav").exists()


def test_the_published_words_are_symbols_of_the_table(tmp_path: Path) -> None:
    path = tmp_path / "vocab.json"
    path.write_text(json.dumps({"vocab": {symbol: n for n, symbol in enumerate(("h", "ə", "l", "oʊ", ".", "_", "f"))}}))
    words = zeroshot.PublishedWords(path)
    [hello] = words.sentences("Hello.", "en")
    assert len(hello) == 5 and words.encode(hello).tolist() == [0, 1, 2, 3, 4]
    assert words.encode(f"{hello} {hello[:2]} {hello}").tolist() == [0, 1, 2, 3, 4, 0, 1, 5, 0, 1, 2, 3, 4]
    published = zeroshot.PublishedWords()
    for text, language in (("안녕하세요.", "ko"), ("Guten Tag.", "de"), ("Bonjour.", "fr")):
        assert len(published.encode(published.sentences(text, language)[0])) >= 6
    with pytest.raises(UserError, match="not of 'ru'"):
        published.sentences("Привет.", "ru")
