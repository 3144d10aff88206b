"""The command line as a user meets it, good words and bad."""

import io
import json
import subprocess
import sys
import time

import numpy as np
import pytest

from aoide import cli
from aoide.audio import io as sound_files
from tests.generate import tiny

TEXT = "Any input becomes sound. Does it?"


@pytest.fixture(scope="session")
def voice(tmp_path_factory):
    return str(tiny.make(tmp_path_factory.mktemp("voices") / "en-tiny", "waveform"))


@pytest.fixture
def aoide(capsys, tmp_path, monkeypatch):
    """Runs a command in an empty folder: (status, standard output, standard error)."""
    monkeypatch.chdir(tmp_path)

    def run(*words):
        try:
            status = cli.main([str(word) for word in words])
        except SystemExit as done:  # argparse leaves this way after --help
            status = done.code
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return run


def refused(outcome, *hints):
    """One line on standard error, status 2, nothing else."""
    status, out, err = outcome
    assert status == 2 and out == ""
    assert err.startswith("aoide: ") and err.count("\n") == 1 and "Traceback" not in err
    for hint in hints:
        assert hint in err
    return True


def give(monkeypatch, data):
    """Puts bytes on standard input."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))


# -------------------------------------------------------------------------------------------------------------- verbs


def test_help_lists_the_verbs_with_their_first_lines(aoide):
    for words in ([], ["--help"], ["-h"], ["help"]):
        status, out, err = aoide(*words)
        assert status == 0 and err == ""
        assert "say " in out and "Speak a text: aoide say TEXT -o FILE" in out


def test_help_of_a_verb_has_an_example(aoide):
    for verb in cli.verbs():
        status, out, _ = aoide(verb, "--help")
        assert status == 0 and f"aoide {verb}" in out.partition("options:")[0].partition("\n\n")[2]


def test_version(aoide):
    status, out, _ = aoide("--version")
    assert status == 0 and out.startswith("aoide ") and out.count(".") >= 2


def test_unknown_verb_names_the_near_ones(aoide):
    assert refused(aoide("sya"), "'sya'", "did you mean say?")
    assert refused(aoide("xyzzy"), "verbs are", "say")


def test_unknown_option_names_the_near_ones(aoide):
    assert refused(aoide("say", "Hi.", "--sped", "2"), "'--sped'", "--speed")
    assert refused(aoide("say", "Hi.", "there."), "'there.'")


def test_options_and_words_stand_in_any_order(aoide):
    outcome = aoide("train", "nowhere.yaml", "model.dim=8", "--steps", "9", "optimiser.lr=1")
    assert refused(outcome, "nowhere.yaml: no such file")


def test_wrong_values_are_one_line(aoide):
    assert refused(aoide("say", "Hi.", "--speed", "fast"), "--speed", "fast")
    assert refused(aoide("say", "Hi.", "-o", "-", "--format", "aiff"), "--format", "aiff")


def test_an_interruption_is_no_error_of_the_program(aoide, monkeypatch):
    from aoide.commands import doctor

    def interrupted(options):
        raise KeyboardInterrupt

    monkeypatch.setattr(doctor, "run", interrupted)
    status, _, err = aoide("doctor")
    assert status == 130 and err.count("\n") == 1


def test_a_missing_extra_is_one_line(aoide, monkeypatch):
    from aoide.commands import doctor
    from aoide.config import MissingExtra

    def missing(options):
        raise MissingExtra("lhotse", "data")

    monkeypatch.setattr(doctor, "run", missing)
    assert refused(aoide("doctor"), "this needs lhotse: pip install 'aoide[data]'")


# ---------------------------------------------------------------------------------------------------------------- say


@pytest.mark.parametrize("ending", ["wav", "flac", "ogg", "opus", "mp3"])
def test_say_to_every_format(aoide, voice, ending, tmp_path):
    status, out, err = aoide("say", TEXT, "--voice", voice, "-o", f"hello.{ending}")
    assert (status, out, err) == (0, "", "")
    sound = sound_files.read(tmp_path / f"hello.{ending}")
    assert 1 < sound.seconds < 20 and np.abs(sound.samples).max() > 0.01
    assert [path.name for path in tmp_path.iterdir()] == [f"hello.{ending}"]


def test_say_writes_where_the_sound_comes_from(aoide, voice, tmp_path):
    aoide("say", TEXT, "--voice", voice, "-o", "hello.flac", "--seed", "3")
    tags = sound_files.probe(tmp_path / "hello.flac").tags
    assert tags["title"] == TEXT
    assert all(fact in tags["comment"] for fact in ("synthetic: yes", "voice: en-tiny", "seed: 3"))


def test_say_is_what_the_voice_says(aoide, voice, tmp_path):
    from aoide.generate.voice import Voice

    aoide("say", TEXT, "--voice", voice, "-o", "x.wav", "--speed", "1.3", "--pitch", "-2", "--seed", "4")
    samples = Voice(voice).say(TEXT, speed=1.3, pitch=-2, seed=4).samples
    assert np.abs(sound_files.read(tmp_path / "x.wav").samples - np.clip(samples, -1, 1)).max() < 1e-4


def test_the_three_ways_of_the_text_are_one(aoide, voice, tmp_path, monkeypatch):
    aoide("say", TEXT, "--voice", voice, "-o", "argument.wav")
    (tmp_path / "text.txt").write_bytes(b"\xef\xbb\xbf" + TEXT.encode())  # with a byte order mark
    aoide("say", "--file", "text.txt", "--voice", voice, "-o", "file.wav")
    give(monkeypatch, TEXT.encode())
    aoide("say", "-", "--voice", voice, "-o", "input.wav")
    argument, file, given = (sound_files.read(tmp_path / f"{n}.wav").samples for n in ("argument", "file", "input"))
    assert np.array_equal(argument, file) and np.array_equal(argument, given)


def test_letters_may_fall_between_two_blocks(aoide, voice, tmp_path, monkeypatch):
    from aoide.commands import say

    monkeypatch.setattr(say, "BLOCK", 3)
    text = "Caf\u00e9 na\u00efve. \u201cWell\u201d, fa\u00e7ade."
    give(monkeypatch, text.encode())
    status, _, err = aoide("say", "-", "--voice", voice, "-o", "x.wav")
    assert (status, err) == (0, "")


def test_json_tells_phonemes_with_times(aoide, voice):
    status, out, err = aoide("say", TEXT, "--voice", voice, "--json", "-o", "x.wav")
    told = json.loads(out)
    assert (status, err) == (0, "")
    assert list(told) == [
        "voice", "sample_rate", "speed", "pitch", "seed", "threads", "output", "sentences", "seconds", "load_seconds",
        "work_seconds", "seconds_per_second",
    ]  # fmt: skip
    assert [sentence["text"] for sentence in told["sentences"]] == ["Any input becomes sound.", "Does it?"]
    assert told["sentences"][0]["end"] == told["sentences"][1]["start"]
    assert told["sentences"][-1]["end"] == pytest.approx(told["seconds"], abs=1e-3)
    phoneme = told["sentences"][1]["phonemes"][0]
    assert list(phoneme) == ["symbol", "start", "end"] and phoneme["start"] >= told["sentences"][1]["start"]
    assert told["seconds_per_second"] > 0


def test_json_needs_no_file(aoide, voice, tmp_path):
    status, out, _ = aoide("say", TEXT, "--voice", voice, "--json")
    assert status == 0 and json.loads(out)["output"] is None and not list(tmp_path.iterdir())


def shell(*words, **settings):
    return subprocess.run([sys.executable, "-m", "aoide.cli", *words], capture_output=True, check=True, **settings)


@pytest.mark.parametrize(("form", "magic"), [(None, b"RIFF"), ("mp3", None), ("flac", b"fLaC"), ("opus", b"OggS")])
def test_say_to_standard_output(voice, form, magic, tmp_path):
    words = ["say", "-", "--voice", voice, "-o", "-"] + (["--format", form] if form else [])
    done = shell(*words, input=TEXT.encode())
    assert done.stderr == b"" and (magic is None or done.stdout.startswith(magic))
    (tmp_path / f"x.{form or 'wav'}").write_bytes(done.stdout)
    assert sound_files.read(tmp_path / f"x.{form or 'wav'}").seconds > 1


def test_a_pipe_that_closes_early_is_met_in_silence(voice):
    words = [sys.executable, "-m", "aoide.cli", "say", "-", "--voice", voice, "-o", "-"]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        process.stdin.write(b"One more sentence. " * 200)
        process.stdin.close()
        assert process.stderr.read() == b"" and process.wait() == 141


def test_a_kill_leaves_nothing_half_written(voice, tmp_path):
    words = [sys.executable, "-m", "aoide.cli", "say", "-", "--voice", voice, "-o", str(tmp_path / "x.wav")]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdin.write(b"One more sentence. " * 50)
        process.stdin.flush()
        deadline = time.monotonic() + 60
        while not list(tmp_path.iterdir()) and time.monotonic() < deadline:
            time.sleep(0.02)
        assert [path.name[0] for path in tmp_path.iterdir()] == ["."]  # written aside
        process.terminate()
        assert process.wait(30) == 143 and process.stderr.read() == b""
    assert not list(tmp_path.iterdir())


def test_no_progress_bar_unless_somebody_watches(aoide, voice):
    _, _, err = aoide("say", "This is a long text. " * 120, "--voice", voice, "-o", "x.wav")
    assert err == ""


def test_a_progress_bar_on_a_terminal(aoide, voice, monkeypatch):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    _, _, err = aoide("say", "This is a long text. " * 120, "--voice", voice, "-o", "x.wav")
    assert "%" in err and "s of sound" in err
    _, _, err = aoide("say", TEXT, "--voice", voice, "-o", "y.wav")
    assert err == ""


# ---------------------------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize("text", ["", "   ", "...!?", "\U0001f3b5 \U0001f600", "---", "\u2588\u2588"])
def test_nothing_to_say(aoide, voice, text, tmp_path):
    assert refused(aoide("say", text, "--voice", voice, "-o", "x.wav"))
    assert not list(tmp_path.iterdir())


@pytest.mark.slow  # 7 s
def test_a_hundred_thousand_letters_without_a_stop(aoide, voice, tmp_path):
    outcome = aoide("say", "a" * 100_000, "--voice", voice, "-o", "x.wav")
    assert outcome[0] == 0 or refused(outcome)
    assert [path.name for path in tmp_path.iterdir()] == (["x.wav"] if outcome[0] == 0 else [])


@pytest.mark.slow  # 3 s
def test_a_hundred_thousand_characters_without_a_stop(aoide, voice, tmp_path):
    status, _, err = aoide("say", "word after word " * 6250, "--voice", voice, "-o", "x.wav", "--speed", "2")
    assert (status, err) == (0, "")
    assert sound_files.probe(tmp_path / "x.wav").seconds > 1000 and len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("where", ["input", "file"])
def test_invalid_utf8(aoide, voice, where, tmp_path, monkeypatch):
    data = b"A good sentence comes first. " * 50 + b"Then caf\xe9."
    if where == "input":
        give(monkeypatch, data)
        outcome = aoide("say", "-", "--voice", voice, "-o", "x.wav")
    else:
        (tmp_path / "text.txt").write_bytes(data)
        outcome = aoide("say", "--file", "text.txt", "--voice", voice, "-o", "x.wav")
    assert refused(outcome, "not UTF-8", f"byte {data.index(0xE9)}", "iconv")
    assert not (tmp_path / "x.wav").exists() and not list(tmp_path.glob(".*"))


def test_invalid_utf8_in_an_argument(aoide, voice):
    assert refused(aoide("say", "caf\udce9", "--voice", voice, "-o", "x.wav"), "UTF-8")


def test_unknown_voice(aoide, monkeypatch):
    from aoide import voices

    monkeypatch.setattr(voices, "names", lambda kind="voice": ["en-heart", "en-star"])
    assert refused(aoide("say", TEXT, "--voice", "en-hart", "-o", "x.wav"), "did you mean en-heart")
    assert refused(aoide("say", TEXT, "--voice", "qqq", "-o", "x.wav"), "there is en-heart, en-star")
    assert refused(aoide("say", TEXT, "--voice", "no/such", "-o", "x.wav"), "no/such: no such folder")


def test_a_folder_that_is_no_voice(aoide, tmp_path):
    assert refused(aoide("say", TEXT, "--voice", tmp_path, "-o", "x.wav"), "no voice.json")


@pytest.mark.parametrize(
    ("output", "hint"),
    [
        ("nowhere/x.wav", "no folder nowhere"),
        ("x.aiff", "unknown ending .aiff"),
        ("x", "no ending"),
        ("folder.wav", "is a folder"),
        ("/proc/x.wav", "/proc/x.wav"),
    ],
)
def test_outputs_that_cannot_be(aoide, voice, output, hint, tmp_path):
    (tmp_path / "folder.wav").mkdir()
    assert refused(aoide("say", TEXT, "--voice", voice, "-o", output), hint)
    assert [path.name for path in tmp_path.iterdir()] == ["folder.wav"]


def test_a_failure_leaves_the_old_file(aoide, voice, tmp_path, monkeypatch):
    (tmp_path / "x.wav").write_bytes(b"the old one")
    give(monkeypatch, b"A good sentence. \xff")
    assert refused(aoide("say", "-", "--voice", voice, "-o", "x.wav"))
    assert [path.name for path in tmp_path.iterdir()] == ["x.wav"]
    assert (tmp_path / "x.wav").read_bytes() == b"the old one"


@pytest.mark.parametrize(
    "words",
    [
        ["say"],
        ["say", "Hi."],
        ["say", "Hi.", "--file", "x.txt", "-o", "x.wav"],
        ["say", "Hi.", "-o", "x.wav", "--format", "mp3"],
        ["say", "Hi.", "-o", "-", "--json"],
        ["say", "--file", "nowhere.txt", "-o", "x.wav"],
        ["say", "--file", ".", "-o", "x.wav"],
        ["say", "Hi.", "-o", "x.wav", "--speed", "3"],
        ["say", "Hi.", "-o", "x.wav", "--pitch", "nan"],
        ["say", "Hi.", "-o", "x.wav", "--seed", "-1"],
        ["say", "Hi.", "-o", "x.wav", "--threads", "0"],
    ],
)
def test_arguments_that_cannot_be(aoide, voice, words, tmp_path):
    assert refused(aoide(*words, "--voice", voice))
    assert not list(tmp_path.iterdir())


def test_a_truncated_voice(aoide, tmp_path):
    folder = tiny.make(tmp_path / "broken")
    graph = (folder / "voice.onnx").read_bytes()
    (folder / "voice.onnx").write_bytes(graph[:100])
    assert refused(aoide("say", TEXT, "--voice", folder, "-o", "x.wav"), "truncated")


# ------------------------------------------------------------------------------------------------------ models, doctor


def test_models_lists_voices_and_models(aoide, tmp_path, monkeypatch):
    from aoide import voices

    folder = tiny.make(tmp_path / "en-tiny")
    monkeypatch.setattr(voices, "names", lambda kind="voice": ["en-tiny"] if kind == "voice" else [])
    monkeypatch.setattr(voices, "find", lambda name, others=(), kind="voice": folder)
    status, out, err = aoide("models")
    assert (status, err) == (0, "")
    assert "en-tiny" in out and "Noise that knows the alphabet." in out and "vocoder/vocos" in out


def test_models_shows_a_card_and_a_page(aoide, voice):
    assert aoide("models", voice)[1].startswith("# en-tiny")
    status, out, _ = aoide("models", "vocoder/vocos")
    assert status == 0 and out.startswith("Vocos") and "arXiv" in out


def test_models_names_the_near_ones(aoide):
    assert refused(aoide("models", "vocoder/vocs"), "did you mean", "vocoder/vocos")


def test_doctor_tells_what_is_there(aoide):
    status, out, err = aoide("doctor")
    assert err == "" and status in (0, 1)
    for line in ("core", "voices", "extras", "device", "numpy", "onnxruntime"):
        assert line in out


def test_doctor_names_what_is_missing_and_the_cure(aoide, monkeypatch):
    from aoide.commands import doctor

    there = doctor._version
    monkeypatch.setattr(doctor, "_version", lambda package: None if package == "lhotse" else there(package))
    monkeypatch.setitem(doctor.CORE, "soxr", "soxr_is_not_here")
    status, out, _ = aoide("doctor")
    assert status == 1 and "soxr         missing" in out and "pip install soxr" in out.splitlines()[-1]
    if doctor._requirements():
        line = next(line for line in out.splitlines() if line.split()[:1] == ["data"])
        assert "missing lhotse" in line and "install" in line and "[data]'" in line
