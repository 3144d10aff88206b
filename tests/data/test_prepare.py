"""`aoide prepare`: what is taken, what is refused and why, and that a second run is free."""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from aoide import cli
from aoide.audio import io
from aoide.commands import prepare
from aoide.config import UserError
from aoide.data.manifest import CUTS, Manifest
from tests.data.conftest import beep, put, save, voice
from tests.data.test_corpora import prompts  # noqa: F401  (a fixture)


def run(*words: object) -> int:
    return cli.main(["prepare", *map(str, words)])


def summary(out: Path) -> dict:
    return json.loads((out / "summary.json").read_text("utf-8"))


def test_good_recordings(recordings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "data" / "mine"
    assert run("folder", "--root", recordings, "-o", out, "--no-phonemes") == 0
    manifest = Manifest(out)
    ids = [manifest[i].id for i in range(len(manifest))]
    assert ids == sorted(ids) and len(ids) == 8
    facts = summary(out)
    assert list(facts["speakers"]) == ["anna", "ben"] and facts["languages"] == {"en": 8} and not facts["refused"]
    assert facts["sample_rates"] == {"16000": 8} and facts["manifest"] == manifest.digest
    assert abs(facts["hours"] - sum(manifest.seconds) / 3600) < 1e-6
    printed = capsys.readouterr()
    assert "8 clips, 0.2 minutes" in printed.out and "2: anna, ben" in printed.out and "16000 Hz (8)" in printed.out
    assert not printed.err, "no progress bar where the output is no terminal"


def test_a_second_run_is_free_and_a_changed_file_is_seen(
    recordings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    words = ("folder", "--root", recordings, "-o", out, "--no-phonemes")
    run(*words)
    first, before = capsys.readouterr().out, {p: p.stat().st_mtime_ns for p in out.iterdir()}
    with monkeypatch.context() as patch:
        patch.setattr(io, "read", lambda *a: pytest.fail("listened again"))
        assert run(*words) == 0
    assert capsys.readouterr().out == first
    assert {p: p.stat().st_mtime_ns for p in out.iterdir()} == before
    save(recordings / "ben" / "new.wav", voice(1.0, seed=77))
    run(*words)
    assert summary(out)["clips"] == 9
    run(*words, "--max-seconds", 2)
    assert summary(out)["clips"] == 7
    (out / CUTS).write_bytes(b"")
    run(*words, "--max-seconds", 2)
    assert len(Manifest(out)) == 7


def test_hostile_recordings(hostile: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert run("folder", "--root", hostile, "-o", out, "--no-phonemes") == 0
    facts = summary(out)
    refused = {Path(item["file"]).name: item["reason"] for item in facts["refused"]}
    wanted = {
        "bad-text.wav": "not a sound file",
        "bad-cut.wav": "its id is that of",
        "bad-cut.flac": "broken sound file",
        "bad-empty.wav": "empty file",
        "bad-none.wav": "no samples",
        "bad-silent.wav": "silent",
        "bad-nan.wav": "no numbers",
        "bad-short.wav": "shorter",
        "bad-long.wav": "longer",
        "bad-wordless.wav": "no text",
        "bad-untold.wav": "no text",
        "bad-talkative.wav": "more than one can say",
        "bad-bytes.wav": "its text cannot be read",
        "good-float.wav": "its sound is that of",
    }
    assert set(refused) == set(wanted)
    for name, words in wanted.items():
        assert words in refused[name], f"{name}: {refused[name]}"
    manifest = Manifest(out)
    assert [manifest[i].id for i in range(len(manifest))] == ["bad-again", "good-24bit", "good-8khz", "good-stereo"]
    assert manifest[3].channels == 2 and manifest[2].sample_rate == 8000
    printed = capsys.readouterr().out
    assert "refused    14 of 18" in printed and "and 4 more, all in" in printed
    assert "8000 Hz: dull, nothing above 4000 Hz: good-8khz.wav" in printed
    assert "2 channels: will be mixed to one: good-stereo.flac" in printed


def test_what_libsndfile_cannot_read_is_stored_as_flac(prompts: Path, tmp_path: Path) -> None:  # noqa: F811
    out = tmp_path / "out"
    assert run("asterisk", "--root", prompts, "-o", out, "--no-phonemes") == 0
    manifest = Manifest(out)
    assert [manifest[i].id for i in range(len(manifest))] == ["activated", "at-tone", "digits/1"]
    clip = manifest[2]
    assert clip.audio == out / "audio" / "digits" / "1.flac"
    original = io.read(prompts / "usr/share/asterisk/sounds/en_US_f_Allison/digits/1.g722")
    assert np.array_equal(io.read(clip.audio).samples, original.samples)
    assert {r["id"] for r in summary(out)["refused"]} == {"beep", "silence/1", "pls-try-call-later", "unlisted"}


def test_phonemes(recordings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the front end says is written down; what it cannot say is refused."""
    from aoide import text

    class FrontEnd:
        def sentences(self, text: str) -> list[str]:
            return text.split("|")

        def phonemize(self, sentence: str) -> str:
            if "3" in sentence:
                raise UserError("no sound for 3")
            return "…" if "4" in sentence else f"<{sentence}>"

    monkeypatch.setattr(text, "frontend", lambda language: FrontEnd(), raising=False)
    (recordings / "ben" / "clip0.txt").write_text("One.|Two.")
    assert run("folder", "--root", recordings, "-o", tmp_path / "out") == 0
    manifest = Manifest(tmp_path / "out")
    spoken = {manifest[i].id: manifest[i].phonemes for i in range(len(manifest))}
    assert spoken["ben/clip0"] == "<One.> <Two.>" and spoken["anna/clip1"] == "<Clip number 1.>"
    reasons = {item["id"]: item["reason"] for item in summary(tmp_path / "out")["refused"]}
    assert reasons == {
        "anna/clip3": "its text cannot be pronounced: no sound for 3",
        "ben/clip4": "its text holds no words",
    }


def test_a_language_without_a_front_end(
    recordings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from aoide import text

    def frontend(language: str) -> None:
        raise UserError(f"no front end for {language}")

    monkeypatch.setattr(text, "frontend", frontend, raising=False)
    words = ("folder", "--root", recordings, "-o", tmp_path / "out", "--language", "xx")
    assert run(*words) == 0
    assert capsys.readouterr().err == "no phonemes for language 'xx': no front end for xx\n"
    assert run(*words, "--phonemes") == 2
    assert capsys.readouterr().err == "aoide: no front end for xx\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("foldr", "-o", "x"), "did you mean folder"),
        (("folder", "-o", "x"), "--root DIR"),
        (("folder", "--root", "{tmp}"), "-o data/folder"),
        (("folder", "--root", "{tmp}/none", "-o", "{tmp}/x"), "there is no such folder"),
        (("folder", "--root", "{tmp}/file", "-o", "{tmp}/x"), "is not a folder"),
        (("folder", "--root", "{tmp}", "-o", "{tmp}/file"), "cannot be made"),
        (
            ("folder", "--root", "{tmp}", "-o", "{tmp}/x", "--min-seconds", "9", "--max-seconds", "2"),
            "below max_seconds",
        ),
        (("folder", "--root", "{tmp}", "-o", "{tmp}/x", "--jobs", "-1"), "must be 1 or more"),
        (("folder", "--root", "{tmp}", "-o", "{tmp}/x", "--spectra"), "--spectra"),
        (("folder", "--root", "{tmp}", "-o", "{tmp}/x"), "no sound files"),
        (("taught", "-o", "{tmp}/x", "--text", "{tmp}/none"), "cannot be read: No such file"),
        (("taught", "-o", "{tmp}/x", "--text", "{tmp}/file"), "holds no sentences"),
    ],
)
def test_mistakes_end_in_one_line(
    words: tuple[str, ...], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if words[0] == "taught":
        pytest.importorskip("hibari")
    (tmp_path / "file").touch()
    assert run(*(word.format(tmp=tmp_path) for word in words)) == 2
    printed = capsys.readouterr()
    assert message in printed.err and printed.err.count("\n") == 1 and not printed.out


def test_nothing_usable(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save(tmp_path / "in" / "x.wav", np.zeros(16000, np.float32))
    assert run("folder", "--root", tmp_path / "in", "-o", tmp_path / "out", "--no-phonemes") == 2
    assert "none of its 1 clips can be used; the first is" in capsys.readouterr().err
    assert os.listdir(tmp_path / "out") == []


def test_options_may_stand_before_the_corpus(recordings: Path, tmp_path: Path) -> None:
    assert run("--root", recordings, "--no-phonemes", "folder", "-o", tmp_path / "out", "--speaker", "eve") == 0
    assert list(summary(tmp_path / "out")["speakers"]) == ["eve"]


def test_clips_without_text(recordings: Path, tmp_path: Path) -> None:
    for path in recordings.rglob("*.txt"):
        path.unlink()
    assert run("folder", "--root", recordings, "-o", tmp_path / "out", "--without-text") == 0
    assert summary(tmp_path / "out")["clips"] == 8


def test_a_corpus_of_singing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Notes, styles and kinds of refusals are counted; a second run says the same."""
    lines = [f"200100000{i}|啊|a|C4|0.5|0.5|0" for i in range(1, 5)] + ["2001000009|坏|h uai|C4|0.2|0.1|0"]
    put(tmp_path / "opencpop" / "segments" / "transcriptions.txt", "\n".join(lines) + "\n")
    for i in range(1, 4):
        beep(tmp_path / "opencpop" / "segments" / "wavs" / f"200100000{i}.wav", 0.5)
    words = ("opencpop", "--root", tmp_path / "opencpop", "-o", tmp_path / "out")
    assert run(*words) == 0
    printed = capsys.readouterr().out
    assert "3 clips, 0.0 minutes, 3 with phonemes, 3 with notes" in printed
    assert "languages  zh\n" in printed and "styles     singing\n" in printed
    assert "refused    2 of 5: 1 its annotation cannot be read, 1 no such file" in printed
    assert Manifest(tmp_path / "out")[0].notes is not None
    assert run(*words) == 0 and capsys.readouterr().out == printed
    assert run(*words[:2], tmp_path / "opencpop" / "segments" / "wavs", *words[3:]) == 2
    assert "expected segments/transcriptions.txt" in capsys.readouterr().err


def test_long_music_is_cut_and_needs_no_words(tmp_path: Path) -> None:
    save(tmp_path / "in" / "monophonic" / "chinese" / "fem_01" / "pos_1.wav", voice(7.0), text=None)
    assert run("opera", "--root", tmp_path / "in", "-o", tmp_path / "out", "--max-seconds", 4) == 0
    manifest = Manifest(tmp_path / "out")
    clips = [manifest[i] for i in range(len(manifest))]
    assert [clip.id for clip in clips] == [f"chinese/fem_01/pos_1-00{i}" for i in range(1, len(clips) + 1)]
    assert len(clips) >= 2 and all(clip.seconds <= 4 for clip in clips)
    assert all(a.start + a.samples <= b.start for a, b in zip(clips[:-1], clips[1:], strict=True))


def test_captions_are_not_pronounced(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    beep(tmp_path / "in" / "dark_woosh.wav")
    assert run("named", "--root", tmp_path / "in", "-o", tmp_path / "out") == 0
    clip = Manifest(tmp_path / "out")[0]
    assert (clip.text, clip.caption, clip.phonemes) == ("dark woosh", True, None)
    assert "no phonemes" not in capsys.readouterr().err


def test_help_shows_the_corpus(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        run("asterisk", "--help")
    assert end.value.code == 0 and "CC-BY-SA-3.0" in capsys.readouterr().out


def test_ids_that_lead_elsewhere_are_refused(tmp_path: Path) -> None:
    save(tmp_path / "in" / "x.wav", voice(1.0), text=None)
    save(tmp_path / "y.wav", voice(1.0, seed=1), text=None)
    (tmp_path / "in" / "metadata.csv").write_text("x|one\n../y|two\n")
    run("folder", "--root", tmp_path / "in", "-o", tmp_path / "out", "--no-phonemes")
    assert [r["reason"] for r in summary(tmp_path / "out")["refused"]] == ["its id leads out of the folder"]


def test_types_of_corpus_options() -> None:
    def clips(root: Path, *, text: Path | None = None, spectra: bool = True, jobs: int = 0) -> None: ...

    assert list(prepare._parameters(clips)) == [("text", Path, None), ("spectra", bool, True), ("jobs", int, 0)]
    assert prepare._of(clips, SimpleNamespace(text=None, spectra=False, jobs=2, more=1)) == {
        "text": None,
        "spectra": False,
        "jobs": 2,
    }
